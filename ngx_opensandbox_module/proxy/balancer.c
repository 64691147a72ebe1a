/* SPDX-License-Identifier: Apache-2.0 */

#include "inner.h"
#include "socket.h"


/*
 * upstream { opensandbox; }: hands the stock proxy the request's peer, and
 * tells what went wrong with it.
 */


static ngx_http_osb_upstream_t *
ngx_http_osb_upstream_of(ngx_http_osb_main_conf_t     *omcf,
                         ngx_http_upstream_srv_conf_t *uscf);
static ngx_int_t
ngx_http_osb_upstream_server(ngx_http_upstream_srv_conf_t *uscf);
static ngx_int_t
ngx_http_osb_init_upstream(ngx_conf_t *cf, ngx_http_upstream_srv_conf_t *us);
static void
ngx_http_osb_misplaced(ngx_conf_t *cf, ngx_http_upstream_srv_conf_t *us,
                       const char *what);
static ngx_int_t
ngx_http_osb_init_peer(ngx_http_request_t *r, ngx_http_upstream_srv_conf_t *us);
static ngx_int_t
ngx_http_osb_get_peer(ngx_peer_connection_t *pc, void *data);
static ngx_str_t *
ngx_http_osb_peer_name(ngx_http_osb_ctx_t *ctx);
static void
ngx_http_osb_free_peer(ngx_peer_connection_t *pc, void *data, ngx_uint_t state);
static void
ngx_http_osb_failed(ngx_peer_connection_t *pc, ngx_http_osb_ctx_t *ctx);
static void
ngx_http_osb_not_connected(ngx_http_osb_ctx_t *ctx, ngx_err_t err);


char *
ngx_http_osb_balancer_conf(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    char                         *rv;
    ngx_http_upstream_srv_conf_t *uscf;
    ngx_http_osb_pool_t          *pool;
    ngx_http_osb_main_conf_t     *omcf;
    ngx_http_osb_upstream_t      *upstream;

    uscf = ngx_http_conf_get_module_srv_conf(cf, ngx_http_upstream_module);
    omcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_opensandbox_module);

    if (ngx_http_osb_upstream_of(omcf, uscf)) {
        return "is duplicate";
    }

    if (uscf->peer.init_upstream) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"opensandbox\" must be the first load balancing "
                           "method, and precede \"keepalive\"");
        return NGX_CONF_ERROR;
    }

    if (uscf->servers->nelts) {
        return "takes its servers from the zone, not from \"server\"";
    }

    omcf->used = 1;
    upstream = ngx_array_push(&omcf->upstreams);

    if (upstream == NULL || ngx_http_osb_upstream_server(uscf) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    upstream->conf = uscf;
    upstream->inited = 0;

    uscf->flags = NGX_HTTP_UPSTREAM_CREATE;
    uscf->peer.init_upstream = ngx_http_osb_init_upstream;

    if (cf->args->nelts == 1) {
        return NGX_CONF_OK;
    }

    rv = ngx_http_osb_pool_conf(cf, &pool);
    if (rv != NGX_CONF_OK) {
        return rv;
    }

    uscf->srv_conf[ngx_http_opensandbox_module.ctx_index] = pool;

    return NGX_CONF_OK;
}


static ngx_http_osb_upstream_t *
ngx_http_osb_upstream_of(ngx_http_osb_main_conf_t     *omcf,
                         ngx_http_upstream_srv_conf_t *uscf)
{
    ngx_uint_t               i;
    ngx_http_osb_upstream_t *upstream;

    upstream = omcf->upstreams.elts;

    for (i = 0; i < omcf->upstreams.nelts; i++) {
        if (upstream[i].conf == uscf) {
            return &upstream[i];
        }
    }

    return NULL;
}


/*
 * nginx wants a server.  Another method would take one without an address for
 * a mistake of its own, before balancer_init() can say what it is.
 */

static ngx_int_t
ngx_http_osb_upstream_server(ngx_http_upstream_srv_conf_t *uscf)
{
    ngx_http_upstream_server_t *us;

    static struct sockaddr none;
    static ngx_addr_t      nowhere = {&none, sizeof(none),
                                      ngx_string("opensandbox")};

    us = ngx_array_push(uscf->servers);
    if (us == NULL) {
        return NGX_ERROR;
    }

    ngx_memzero(us, sizeof(ngx_http_upstream_server_t));

    us->name = nowhere.name;
    us->addrs = &nowhere;
    us->naddrs = 1;

    return NGX_OK;
}


ngx_int_t
ngx_http_osb_balancer_init(ngx_conf_t *cf, ngx_http_osb_main_conf_t *omcf)
{
    ngx_uint_t                    i;
    ngx_http_upstream_srv_conf_t *uscf;
    ngx_http_osb_upstream_t      *upstream;

    upstream = omcf->upstreams.elts;

    for (i = 0; i < omcf->upstreams.nelts; i++) {
        uscf = upstream[i].conf;

        if (!upstream[i].inited) {
            ngx_http_osb_misplaced(
                cf, uscf,
                "\"opensandbox\" is the load balancing method: remove the "
                "other one");
            return NGX_ERROR;
        }

        /* some versions give every upstream the stock pool, asked or not */

        if (ngx_http_conf_upstream_srv_conf(uscf, ngx_http_opensandbox_module))
        {
            uscf->peer.init = ngx_http_osb_init_peer;
        }
    }

    return NGX_OK;
}


/* All directives of the block are known; one has to be ours alone. */

static ngx_int_t
ngx_http_osb_init_upstream(ngx_conf_t *cf, ngx_http_upstream_srv_conf_t *us)
{
    ngx_http_osb_upstream_t  *upstream;
    ngx_http_osb_main_conf_t *omcf;

    if (us->servers->nelts != 1) {
        ngx_http_osb_misplaced(
            cf, us,
            "\"opensandbox\" takes its servers from the zone: remove "
            "\"server\"");
        return NGX_ERROR;
    }

#if (NGX_HTTP_UPSTREAM_ZONE)
    if (us->shm_zone) {
        ngx_http_osb_misplaced(
            cf, us,
            "\"opensandbox\" shares its servers by \"opensandbox_zone\": "
            "remove \"zone\"");
        return NGX_ERROR;
    }
#endif

    omcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_opensandbox_module);
    upstream = ngx_http_osb_upstream_of(omcf, us);

    if (upstream == NULL) {
        return NGX_ERROR;
    }

    upstream->inited = 1;
    us->peer.init = ngx_http_osb_init_peer;

    return NGX_OK;
}


static void
ngx_http_osb_misplaced(ngx_conf_t *cf, ngx_http_upstream_srv_conf_t *us,
                       const char *what)
{
    ngx_log_error(NGX_LOG_EMERG, cf->log, 0, "%s in upstream \"%V\" in %s:%ui",
                  what, &us->host, us->file_name, us->line);
}


static ngx_int_t
ngx_http_osb_init_peer(ngx_http_request_t *r, ngx_http_upstream_srv_conf_t *us)
{
    uint64_t                 kind;
    ngx_peer_connection_t   *pc;
    ngx_http_osb_ctx_t      *ctx;
    ngx_http_osb_loc_conf_t *olcf;

    olcf = ngx_http_get_module_loc_conf(r, ngx_http_opensandbox_module);
    ctx = ngx_http_get_module_ctx(r, ngx_http_opensandbox_module);

    if (ctx == NULL || ctx->peer.sockaddr == NULL) {
        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "upstream \"%V\" is used in a location without "
                      "\"opensandbox\"",
                      &us->host);
        return NGX_ERROR;
    }

    /* the request to the sandbox has been made */
    ngx_http_osb_ctx_restore_uri(r, ctx);

    pc = &r->upstream->peer;

    ctx->pool =
        ngx_http_conf_upstream_srv_conf(us, ngx_http_opensandbox_module);

    pc->data = ctx;
    pc->get = ngx_http_osb_get_peer;
    pc->free = ngx_http_osb_free_peer;
    pc->tries = ctx->nresolved ? ctx->nresolved : 1;

    /* for a refusal alone, see free_peer() */

    ctx->spare = (ctx->pool == NULL && olcf->wait);
    pc->tries += ctx->spare;

    ctx->attempts = 0;

    ngx_http_osb_interim(r, ctx);

    if (ngx_http_osb_kind(r, &kind) != NGX_OK) {
        return NGX_ERROR;
    }

    if (kind != ctx->kind) {
        ctx->kind = kind;

        if (ngx_http_osb_peer_set(r, ctx) != NGX_OK) {
            return NGX_ERROR;
        }
    }

#if (NGX_HTTP_SSL)
    pc->set_session = ngx_http_osb_session_set;
    pc->save_session = ngx_http_osb_session_save;
#endif

    return NGX_OK;
}


static ngx_int_t
ngx_http_osb_get_peer(ngx_peer_connection_t *pc, void *data)
{
    ngx_http_osb_ctx_t *ctx = data;

    ctx->failed = NGX_HTTP_OSB_OK;
    ctx->refusal = 0;

    if (ctx->attempts++ &&
        ngx_http_osb_peer_next(ctx->request, ctx) == NGX_ERROR) {
        return NGX_ERROR;
    }

    pc->sockaddr = ctx->peer.sockaddr;
    pc->socklen = ctx->peer.socklen;
    pc->name = ngx_http_osb_peer_name(ctx);
    pc->cached = 0;
    pc->connection = NULL;

    if (pc->name == NULL) {
        return NGX_ERROR;
    }

    if (ctx->pool) {
        if (ngx_http_osb_pool_take(ctx->pool, pc) == NGX_DONE) {
            return NGX_DONE;
        }

    } else if (ctx->attempts == 1) {

        /* there may be another pool, which looks but after NGX_OK */

        return NGX_OK;
    }

    return ngx_http_osb_wait(pc, ctx);
}


/* $upstream_addr lists the names of all attempts: each has one of its own. */

static ngx_str_t *
ngx_http_osb_peer_name(ngx_http_osb_ctx_t *ctx)
{
    ngx_str_t *name;

    if (ctx->nresolved < 2) {
        return &ctx->peer.name;
    }

    name = ngx_palloc(ctx->request->pool, sizeof(ngx_str_t));

    if (name) {
        *name = ctx->peer.name;
    }

    return name;
}


static void
ngx_http_osb_free_peer(ngx_peer_connection_t *pc, void *data, ngx_uint_t state)
{
    ngx_err_t           err = ngx_errno;
    ngx_http_osb_ctx_t *ctx = data;

    ngx_http_osb_wait_end(ctx);

    if (pc->tries) {
        pc->tries--;
    }

    if (ctx->spare && ctx->request->upstream->request_sent && pc->tries) {
        ctx->spare = 0;
        pc->tries--;
    }

    if (!(state & NGX_PEER_FAILED)) {

        if (ctx->pool && pc->connection) {
            ngx_http_osb_pool_keep(ctx->pool, pc, ctx->request->upstream);
        }

        return;
    }

    if (pc->connection) {
        ngx_http_osb_failed(pc, ctx);

    } else {

        /* connect() has just failed; nothing has set errno since */

        ngx_http_osb_not_connected(ctx, err);
    }
}


/*
 * What went wrong with a connection.  nginx has taken the socket's error, and
 * the log has it; what it was shows all the same.
 */

static void
ngx_http_osb_failed(ngx_peer_connection_t *pc, ngx_http_osb_ctx_t *ctx)
{
    ngx_connection_t    *c;
    ngx_http_upstream_t *u;

    c = pc->connection;
    u = ctx->request->upstream;

    ctx->failure = NULL;

    if (ctx->refusal) {
        ngx_http_osb_not_connected(ctx, ctx->refusal);
        return;
    }

    if (c->read->timedout || c->write->timedout) {
        ctx->failed = NGX_HTTP_OSB_SLOW;
        ctx->failure = u->request_sent ? NULL : "it took no connection";
        return;
    }

#if (NGX_HTTP_SSL)
    if (c->ssl && !u->request_sent) {
        ctx->failed = NGX_HTTP_OSB_BAD_ANSWER;
        ctx->failure = "the TLS handshake failed";
        ngx_http_osb_session_forget(pc);
        return;
    }
#endif

    if (u->request_sent && u->buffer.start && u->buffer.last == u->buffer.end) {
        ctx->failed = NGX_HTTP_OSB_BAD_ANSWER;
        ctx->failure = "its headers are larger than the gateway's "
                       "proxy_buffer_size";

    } else if (c->read->eof) {
        ctx->failed = NGX_HTTP_OSB_DROPPED;

    } else if (c->read->error || c->write->error) {
        ctx->failed = NGX_HTTP_OSB_DROPPED;
        ctx->failure = "the connection was reset";

    } else if (u->request_sent) {
        ctx->failed = NGX_HTTP_OSB_BAD_ANSWER;

    } else if (ngx_http_osb_socket_heard(c->fd)) {

        /* the one segment was a reset */

        ctx->failed = NGX_HTTP_OSB_REFUSED;

    } else {

        /* there was an ICMP message instead */

        ctx->failed = NGX_HTTP_OSB_UNREACHABLE;
        ctx->failure = "the network, or a firewall, rejects the connection";
    }
}


static void
ngx_http_osb_not_connected(ngx_http_osb_ctx_t *ctx, ngx_err_t err)
{
    u_char *p;

    enum {
        size = 128
    };

    ctx->failure = NULL;

    if (err == NGX_ECONNREFUSED) {
        ctx->failed = NGX_HTTP_OSB_REFUSED;
        return;
    }

    ctx->failed = NGX_HTTP_OSB_UNREACHABLE;

    p = ngx_pcalloc(ctx->request->pool, size);

    if (p) {
        (void) ngx_strerror(err, p, size - 1);
        ctx->failure = (char *) p;
    }
}
