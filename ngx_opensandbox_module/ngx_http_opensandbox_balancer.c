/* SPDX-License-Identifier: Apache-2.0 */

#include "ngx_http_opensandbox_module.h"
#include "ngx_http_opensandbox_socket.h"


/*
 * The stock keepalive pool finds an idle connection by its whole socket
 * address.  Every address here ends in the generation of its record, in bytes
 * that connect(2) does not look at, so that a connection is never handed to a
 * later sandbox at the same address: in sin_zero, behind sockaddr_in6, or
 * behind the NUL of a socket's path.  The number of a location that speaks TLS
 * is there too, or a connection would be shared with one that speaks plain
 * HTTP, or checks certificates.
 */


#define NGX_HTTP_OPENSANDBOX_TLS_SHIFT 48


typedef struct {
    struct sockaddr_in6 in6;
    uint64_t            generation;
} ngx_http_opensandbox_sockaddr_in6_t;


static ngx_int_t
ngx_http_opensandbox_init_upstream(ngx_conf_t                   *cf,
                                   ngx_http_upstream_srv_conf_t *us);
static ngx_int_t
ngx_http_opensandbox_init_peer(ngx_http_request_t           *r,
                               ngx_http_upstream_srv_conf_t *us);
static ngx_int_t
ngx_http_opensandbox_get_peer(ngx_peer_connection_t *pc, void *data);
static void
ngx_http_opensandbox_free_peer(ngx_peer_connection_t *pc, void *data,
                               ngx_uint_t state);
static void
ngx_http_opensandbox_failed(ngx_peer_connection_t      *pc,
                            ngx_http_opensandbox_ctx_t *ctx);
static void
ngx_http_opensandbox_not_connected(ngx_http_opensandbox_ctx_t *ctx,
                                   ngx_err_t                   err);
#if (NGX_HTTP_SSL)
static ngx_int_t
ngx_http_opensandbox_set_session(ngx_peer_connection_t *pc, void *data);
static void
ngx_http_opensandbox_save_session(ngx_peer_connection_t *pc, void *data);
#endif


char *
ngx_http_opensandbox_upstream(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_upstream_server_t       *us;
    ngx_http_upstream_srv_conf_t     *uscf;
    ngx_http_opensandbox_main_conf_t *omcf;

    uscf = ngx_http_conf_get_module_srv_conf(cf, ngx_http_upstream_module);

    if (uscf->peer.init_upstream) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"opensandbox\" must be the first load balancing "
                           "method, and precede \"keepalive\"");
        return NGX_CONF_ERROR;
    }

    if (uscf->servers->nelts) {
        return "takes its servers from the zone, not from \"server\"";
    }

    /* an upstream without a server is an error for nginx */

    us = ngx_array_push(uscf->servers);
    if (us == NULL) {
        return NGX_CONF_ERROR;
    }

    ngx_memzero(us, sizeof(ngx_http_upstream_server_t));
    ngx_str_set(&us->name, "opensandbox");

    uscf->flags = NGX_HTTP_UPSTREAM_CREATE;
    uscf->peer.init_upstream = ngx_http_opensandbox_init_upstream;

    omcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_opensandbox_module);
    omcf->used = 1;

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_http_opensandbox_init_upstream(ngx_conf_t                   *cf,
                                   ngx_http_upstream_srv_conf_t *us)
{
    us->peer.init = ngx_http_opensandbox_init_peer;

    return NGX_OK;
}


static ngx_int_t
ngx_http_opensandbox_init_peer(ngx_http_request_t           *r,
                               ngx_http_upstream_srv_conf_t *us)
{
    ngx_peer_connection_t      *pc;
    ngx_http_opensandbox_ctx_t *ctx;
#if (NGX_HTTP_SSL)
    ngx_http_opensandbox_loc_conf_t *olcf;
#endif

    ctx = ngx_http_get_module_ctx(r, ngx_http_opensandbox_module);

    if (ctx == NULL || ctx->peer.sockaddr == NULL) {
        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "upstream \"%V\" is used in a location without "
                      "\"opensandbox\"",
                      &us->host);
        return NGX_ERROR;
    }

    /* the request to the sandbox has been made */
    ngx_http_opensandbox_restore_uri(r, ctx);

    pc = &r->upstream->peer;

    pc->data = ctx;
    pc->get = ngx_http_opensandbox_get_peer;
    pc->free = ngx_http_opensandbox_free_peer;
    pc->tries = ctx->nresolved ? ctx->nresolved : 1;

    ctx->attempts = 0;

    ngx_http_opensandbox_interim(r, ctx);

#if (NGX_HTTP_SSL)
    if (r->upstream->ssl) {
        olcf = ngx_http_get_module_loc_conf(r, ngx_http_opensandbox_module);

        ctx->tls = olcf->number;

        if (ngx_http_opensandbox_peer(r, ctx) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    pc->set_session = ngx_http_opensandbox_set_session;
    pc->save_session = ngx_http_opensandbox_save_session;
#endif

    return NGX_OK;
}


static ngx_int_t
ngx_http_opensandbox_get_peer(ngx_peer_connection_t *pc, void *data)
{
    ngx_http_opensandbox_ctx_t *ctx = data;

    if (ctx->attempts++ &&
        ngx_http_opensandbox_next_peer(ctx->request, ctx) == NGX_ERROR)
    {
        return NGX_ERROR;
    }

    pc->sockaddr = ctx->peer.sockaddr;
    pc->socklen = ctx->peer.socklen;
    pc->name = &ctx->peer.name;
    pc->cached = 0;
    pc->connection = NULL;

    return NGX_OK;
}


static void
ngx_http_opensandbox_free_peer(ngx_peer_connection_t *pc, void *data,
                               ngx_uint_t state)
{
    ngx_err_t                   err = ngx_errno;
    ngx_http_opensandbox_ctx_t *ctx = data;

    if (pc->tries) {
        pc->tries--;
    }

    if (!(state & NGX_PEER_FAILED)) {
        return;
    }

    if (pc->connection) {
        ngx_http_opensandbox_failed(pc, ctx);

    } else {

        /* connect() has just failed; nothing has set errno since */

        ngx_http_opensandbox_not_connected(ctx, err);
    }
}


/*
 * What went wrong with a connection.  nginx has taken the socket's error, and
 * the log has it; what it was shows all the same.
 */

static void
ngx_http_opensandbox_failed(ngx_peer_connection_t      *pc,
                            ngx_http_opensandbox_ctx_t *ctx)
{
    ngx_connection_t *c;

    c = pc->connection;

    ctx->failure = NULL;

#if (NGX_HTTP_SSL)
    if (c->ssl && !ctx->request->upstream->request_sent) {
        ctx->failed = NGX_HTTP_OPENSANDBOX_BAD_ANSWER;
        ctx->failure = "the TLS handshake failed";
        return;
    }
#endif

    if (c->read->eof) {
        ctx->failed = NGX_HTTP_OPENSANDBOX_DROPPED;

    } else if (c->read->error || c->write->error) {
        ctx->failed = NGX_HTTP_OPENSANDBOX_DROPPED;
        ctx->failure = "the connection was reset";

    } else if (ctx->request->upstream->request_sent) {
        ctx->failed = NGX_HTTP_OPENSANDBOX_BAD_ANSWER;

    } else if (ngx_http_opensandbox_socket_heard(c->fd)) {

        /* the one segment was a reset */

        ctx->failed = NGX_HTTP_OPENSANDBOX_REFUSED;

    } else {

        /* there was an ICMP message instead */

        ctx->failed = NGX_HTTP_OPENSANDBOX_UNREACHABLE;
        ctx->failure = "the network, or a firewall, rejects the connection";
    }
}


static void
ngx_http_opensandbox_not_connected(ngx_http_opensandbox_ctx_t *ctx,
                                   ngx_err_t                   err)
{
    u_char *p;

    enum {
        size = 128
    };

    ctx->failure = NULL;

    if (err == NGX_ECONNREFUSED) {
        ctx->failed = NGX_HTTP_OPENSANDBOX_REFUSED;
        return;
    }

    ctx->failed = NGX_HTTP_OPENSANDBOX_UNREACHABLE;

    p = ngx_pcalloc(ctx->request->pool, size);

    if (p) {
        (void) ngx_strerror(err, p, size - 1);
        ctx->failure = (char *) p;
    }
}


#if (NGX_HTTP_SSL)

static ngx_int_t
ngx_http_opensandbox_set_session(ngx_peer_connection_t *pc, void *data)
{
    return NGX_OK;
}


static void
ngx_http_opensandbox_save_session(ngx_peer_connection_t *pc, void *data)
{
}

#endif


ngx_int_t
ngx_http_opensandbox_peer(ngx_http_request_t         *r,
                          ngx_http_opensandbox_ctx_t *ctx)
{
    u_char                              *p;
    size_t                               room;
    uint64_t                             generation;
    ngx_str_t                            text;
    ngx_uint_t                           port;
    struct sockaddr_in                  *sin;
    struct sockaddr_un                  *sun;
    ngx_http_opensandbox_place_t        *place;
    ngx_http_opensandbox_sockaddr_in6_t *sin6;

    place = ctx->place;
    generation = ctx->record->generation +
                 ((uint64_t) ctx->tls << NGX_HTTP_OPENSANDBOX_TLS_SHIFT);
    port = place->port ? place->port : ctx->route.port;

    text = ngx_http_opensandbox_text(ctx->record, &place->text);

    room = place->kind == NGX_HTTP_OPENSANDBOX_PLACE_INET
               ? sizeof("255.255.255.255:65535")
               : text.len + 64;

    ctx->peer.name.data = ngx_pnalloc(r->pool, room);
    if (ctx->peer.name.data == NULL) {
        return NGX_ERROR;
    }

    p = ngx_http_opensandbox_place_print(ctx->peer.name.data, place, &text,
                                         port);
    ctx->peer.name.len = p - ctx->peer.name.data;

    switch (place->kind) {

    case NGX_HTTP_OPENSANDBOX_PLACE_INET:
        sin = ngx_pcalloc(r->pool, sizeof(struct sockaddr_in));
        if (sin == NULL) {
            return NGX_ERROR;
        }

        sin->sin_family = AF_INET;
        sin->sin_port = htons((in_port_t) port);
        ngx_memcpy(&sin->sin_addr, place->addr, sizeof(struct in_addr));
        ngx_memcpy(sin->sin_zero, &generation, sizeof(uint64_t));

        ctx->peer.sockaddr = (struct sockaddr *) sin;
        ctx->peer.socklen = sizeof(struct sockaddr_in);
        return NGX_OK;

    case NGX_HTTP_OPENSANDBOX_PLACE_INET6:
        sin6 =
            ngx_pcalloc(r->pool, sizeof(ngx_http_opensandbox_sockaddr_in6_t));
        if (sin6 == NULL) {
            return NGX_ERROR;
        }

        sin6->in6.sin6_family = AF_INET6;
        sin6->in6.sin6_port = htons((in_port_t) port);
        ngx_memcpy(&sin6->in6.sin6_addr, place->addr, sizeof(struct in6_addr));
        sin6->generation = generation;

        ctx->peer.sockaddr = (struct sockaddr *) sin6;
        ctx->peer.socklen = sizeof(ngx_http_opensandbox_sockaddr_in6_t);
        return NGX_OK;

    case NGX_HTTP_OPENSANDBOX_PLACE_UNIX:
        sun = ngx_pcalloc(r->pool, sizeof(struct sockaddr_un));
        if (sun == NULL) {
            return NGX_ERROR;
        }

        sun->sun_family = AF_UNIX;
        ngx_memcpy(sun->sun_path, text.data, text.len);
        ngx_memcpy(sun->sun_path + text.len + 1, &generation, sizeof(uint64_t));

        ctx->peer.sockaddr = (struct sockaddr *) sun;
        ctx->peer.socklen = offsetof(struct sockaddr_un, sun_path) + text.len +
                            1 + sizeof(uint64_t);
        return NGX_OK;

    default: /* NGX_HTTP_OPENSANDBOX_PLACE_NAME: resolved before */
        return ctx->peer.sockaddr ? NGX_OK : NGX_ERROR;
    }
}


ngx_int_t
ngx_http_opensandbox_next_peer(ngx_http_request_t         *r,
                               ngx_http_opensandbox_ctx_t *ctx)
{
    if (ctx->nresolved < 2) {
        return NGX_DECLINED;
    }

    ctx->current = (ctx->current + 1) % ctx->nresolved;
    ctx->place = &ctx->resolved[ctx->current];

    return ngx_http_opensandbox_peer(r, ctx);
}
