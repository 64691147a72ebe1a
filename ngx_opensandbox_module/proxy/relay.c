/* SPDX-License-Identifier: Apache-2.0 */

#include "inner.h"


/*
 * The bytes of an upgraded connection.  nginx keeps two buffers for each; here
 * all tunnels of a worker share one, that is read into and written from at
 * once.  Only what the other side does not take is kept, as long as it has to
 * be, and while it is, no more is read from where it came.
 */


#define NGX_HTTP_OSB_RELAY_SIZE 65536

/* how often one tunnel fills the buffer before others have their turn */
#define NGX_HTTP_OSB_RELAY_TURN 16


/* what one side has sent and the other has not taken yet, allocated */
typedef struct {
    u_char *start;
    u_char *pos;
    u_char *last;
} ngx_http_osb_rest_t;


struct ngx_http_osb_relay_s {
    ngx_http_osb_rest_t up;
    ngx_http_osb_rest_t down;

    /* nginx's own, which knows how to end the request */
    ngx_http_upstream_handler_pt finish;

    /* the end of what the client sends has been passed on */
    unsigned shut : 1;
};


static void
ngx_http_osb_relay_empty(ngx_buf_t *b);
static void
ngx_http_osb_relay_client(ngx_http_request_t *r);
static void
ngx_http_osb_relay_client_free(ngx_http_request_t *r);
static void
ngx_http_osb_relay_sandbox(ngx_http_request_t *r, ngx_http_upstream_t *u);
static void
ngx_http_osb_relay_sandbox_free(ngx_http_request_t *r, ngx_http_upstream_t *u);
static void
ngx_http_osb_relay(ngx_http_request_t *r, ngx_uint_t down);
static void
ngx_http_osb_relay_finish(ngx_http_request_t *r, ngx_http_osb_relay_t *relay);
static ngx_int_t
ngx_http_osb_relay_pass(ngx_connection_t *src, ngx_connection_t *dst,
                        ngx_http_osb_rest_t *rest, off_t *received);
static ssize_t
ngx_http_osb_relay_send(ngx_connection_t *dst, u_char *buf, size_t size);
static ngx_uint_t
ngx_http_osb_relay_done(ngx_http_request_t *r, ngx_http_osb_relay_t *relay);
static ngx_int_t
ngx_http_osb_relay_events(ngx_http_request_t *r, ngx_http_osb_relay_t *relay);
static ngx_int_t
ngx_http_osb_relay_watch(ngx_event_t *ev, ngx_uint_t write, ngx_msec_t timeout);
static ngx_int_t
ngx_http_osb_rest_keep(ngx_http_osb_rest_t *rest, u_char *data, size_t len,
                       ngx_log_t *log);
static ngx_int_t
ngx_http_osb_rest_send(ngx_http_osb_rest_t *rest, ngx_connection_t *dst);
static void
ngx_http_osb_rest_free(ngx_http_osb_rest_t *rest);


static u_char ngx_http_osb_relay_buffer[NGX_HTTP_OSB_RELAY_SIZE];


ngx_int_t
ngx_http_osb_relay_start(ngx_http_request_t *r, ngx_http_osb_ctx_t *ctx)
{
    ngx_http_upstream_t  *u;
    ngx_http_osb_relay_t *relay;

    u = r->upstream;

    relay = ngx_calloc(sizeof(ngx_http_osb_relay_t), r->connection->log);
    if (relay == NULL) {
        return NGX_ERROR;
    }

    ctx->relay = relay;

    /* what came together with the request, and with the answer to it */

    if (ngx_http_osb_rest_keep(
            &relay->up, r->header_in->pos,
            (size_t) (r->header_in->last - r->header_in->pos),
            r->connection->log) != NGX_OK ||
        ngx_http_osb_rest_keep(&relay->down, u->buffer.pos,
                               (size_t) (u->buffer.last - u->buffer.pos),
                               r->connection->log) != NGX_OK)
    {
        return NGX_ERROR;
    }

    r->header_in->pos = r->header_in->last;

    (void) ngx_pfree(r->pool, u->buffer.start);

    /* without room in its buffers nginx reads nothing itself */

    ngx_http_osb_relay_empty(&u->buffer);
    ngx_http_osb_relay_empty(&u->from_client);

    relay->finish = u->read_event_handler;

    u->read_event_handler = ngx_http_osb_relay_sandbox;
    u->write_event_handler = ngx_http_osb_relay_sandbox_free;
    r->read_event_handler = ngx_http_osb_relay_client;
    r->write_event_handler = ngx_http_osb_relay_client_free;

    ngx_post_event(r->connection->read, &ngx_posted_events);
    ngx_post_event(u->peer.connection->read, &ngx_posted_events);

    return NGX_OK;
}


void
ngx_http_osb_relay_stop(ngx_http_osb_relay_t *relay)
{
    ngx_http_osb_rest_free(&relay->up);
    ngx_http_osb_rest_free(&relay->down);

    ngx_free(relay);
}


static void
ngx_http_osb_relay_empty(ngx_buf_t *b)
{
    b->start = ngx_http_osb_relay_buffer;
    b->pos = b->start;
    b->last = b->start;
    b->end = b->start;
}


static void
ngx_http_osb_relay_client(ngx_http_request_t *r)
{
    ngx_http_osb_relay(r, 0);
}


static void
ngx_http_osb_relay_client_free(ngx_http_request_t *r)
{
    ngx_http_osb_relay(r, 1);
}


static void
ngx_http_osb_relay_sandbox(ngx_http_request_t *r, ngx_http_upstream_t *u)
{
    ngx_http_osb_relay(r, 1);
}


static void
ngx_http_osb_relay_sandbox_free(ngx_http_request_t *r, ngx_http_upstream_t *u)
{
    ngx_http_osb_relay(r, 0);
}


/* Passes on what one side has sent: with down the sandbox, else the client. */

static void
ngx_http_osb_relay(ngx_http_request_t *r, ngx_uint_t down)
{
    ngx_int_t             rc;
    ngx_connection_t     *client, *sandbox;
    ngx_http_upstream_t  *u;
    ngx_http_osb_ctx_t   *ctx;
    ngx_http_osb_relay_t *relay;

    u = r->upstream;
    client = r->connection;
    sandbox = u->peer.connection;

    ctx = ngx_http_get_module_ctx(r, ngx_http_opensandbox_module);
    relay = ctx->relay;

    if (client->write->timedout || sandbox->read->timedout ||
        sandbox->write->timedout)
    {
        relay->finish(r, u);
        return;
    }

    if (down) {
        rc = ngx_http_osb_relay_pass(sandbox, client, &relay->down,
                                     &u->state->bytes_received);

    } else {
        rc = ngx_http_osb_relay_pass(client, sandbox, &relay->up, NULL);
    }

    if (rc == NGX_ERROR || ngx_http_osb_relay_done(r, relay) ||
        ngx_http_osb_relay_events(r, relay) != NGX_OK)
    {
        ngx_http_osb_relay_finish(r, relay);
    }
}


static void
ngx_http_osb_relay_finish(ngx_http_request_t *r, ngx_http_osb_relay_t *relay)
{
    /* its buffer is empty: to nginx nothing is left to be done */

    r->upstream->peer.connection->read->eof = 1;

    relay->finish(r, r->upstream);
}


static ngx_int_t
ngx_http_osb_relay_pass(ngx_connection_t *src, ngx_connection_t *dst,
                        ngx_http_osb_rest_t *rest, off_t *received)
{
    u_char    *buf;
    ssize_t    n, sent;
    ngx_int_t  rc;
    ngx_uint_t i;

    buf = ngx_http_osb_relay_buffer;

    for (i = 0; i < NGX_HTTP_OSB_RELAY_TURN; i++) {

        rc = ngx_http_osb_rest_send(rest, dst);

        if (rc != NGX_OK) {
            return rc;
        }

        if (!src->read->ready) {
            return NGX_OK;
        }

        n = src->recv(src, buf, NGX_HTTP_OSB_RELAY_SIZE);

        if (n <= 0) {
            return n == NGX_ERROR ? NGX_ERROR : NGX_OK;
        }

        if (received) {
            *received += n;
        }

        sent = ngx_http_osb_relay_send(dst, buf, (size_t) n);

        if (sent == NGX_ERROR) {
            return NGX_ERROR;
        }

        if (ngx_http_osb_rest_keep(rest, buf + sent, (size_t) (n - sent),
                                   dst->log) != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    rc = ngx_http_osb_rest_send(rest, dst);

    if (rc == NGX_OK && src->read->ready) {
        ngx_post_event(src->read, &ngx_posted_next_events);
    }

    return rc;
}


/* How many of the bytes were sent at once, or NGX_ERROR. */

static ssize_t
ngx_http_osb_relay_send(ngx_connection_t *dst, u_char *buf, size_t size)
{
    ssize_t n;

#if (NGX_SSL)

    /* OpenSSL wants to be asked again with the same memory */

    if (dst->ssl) {
        return 0;
    }

#endif

    if (!dst->write->ready) {
        return 0;
    }

    n = dst->send(dst, buf, size);

    return n == NGX_ERROR ? NGX_ERROR : ngx_max(n, 0);
}


/*
 * The tunnel ends with the sandbox's side of it.  A client may end its own and
 * still listen, as "docker attach" does at the end of its input.
 */

static ngx_uint_t
ngx_http_osb_relay_done(ngx_http_request_t *r, ngx_http_osb_relay_t *relay)
{
    ngx_connection_t *sandbox;

    sandbox = r->upstream->peer.connection;

    if (sandbox->read->eof && relay->down.start == NULL) {
        return 1;
    }

    if (r->connection->read->eof && relay->up.start == NULL && !relay->shut) {

#if (NGX_SSL)
        if (sandbox->ssl) {
            return 1;
        }
#endif

        if (ngx_shutdown_socket(sandbox->fd, NGX_WRITE_SHUTDOWN) == -1) {
            return 1;
        }

        relay->shut = 1;
    }

    return 0;
}


static ngx_int_t
ngx_http_osb_relay_events(ngx_http_request_t *r, ngx_http_osb_relay_t *relay)
{
    ngx_msec_t                timeout;
    ngx_connection_t         *client, *sandbox;
    ngx_http_core_loc_conf_t *clcf;
    ngx_http_osb_loc_conf_t  *olcf;

    client = r->connection;
    sandbox = r->upstream->peer.connection;

    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);
    olcf = ngx_http_get_module_loc_conf(r, ngx_http_opensandbox_module);

    timeout = olcf->tunnel_timeout;

    /* a client that has said all awaits what any request does */

    if (relay->shut) {
        timeout = ngx_min(timeout, r->upstream->conf->read_timeout);
    }

    if (ngx_http_osb_relay_watch(sandbox->read, 0, timeout) != NGX_OK ||
        ngx_http_osb_relay_watch(sandbox->write, 1, olcf->tunnel_timeout) !=
            NGX_OK ||
        ngx_http_osb_relay_watch(client->write, 1, clcf->send_timeout) !=
            NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_handle_read_event(
        client->read,
        client->read->eof || client->read->error ? NGX_CLOSE_EVENT : 0);
}


/* Has a timer run while nothing can be read, or written. */

static ngx_int_t
ngx_http_osb_relay_watch(ngx_event_t *ev, ngx_uint_t write, ngx_msec_t timeout)
{
    ngx_int_t rc;

    if (write) {
        rc = ngx_handle_write_event(ev, 0);

    } else {
        rc = ngx_handle_read_event(ev,
                                   ev->eof || ev->error ? NGX_CLOSE_EVENT : 0);
    }

    if (rc != NGX_OK) {
        return NGX_ERROR;
    }

    if (ev->active && !ev->ready) {
        ngx_add_timer(ev, timeout);

    } else if (ev->timer_set) {
        ngx_del_timer(ev);
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_osb_rest_keep(ngx_http_osb_rest_t *rest, u_char *data, size_t len,
                       ngx_log_t *log)
{
    if (len == 0) {
        return NGX_OK;
    }

    rest->start = ngx_alloc(len, log);
    if (rest->start == NULL) {
        return NGX_ERROR;
    }

    rest->pos = rest->start;
    rest->last = ngx_cpymem(rest->start, data, len);

    return NGX_OK;
}


/* NGX_OK if nothing is left, NGX_AGAIN if something is, or NGX_ERROR. */

static ngx_int_t
ngx_http_osb_rest_send(ngx_http_osb_rest_t *rest, ngx_connection_t *dst)
{
    ssize_t n;

    while (rest->start) {

        if (!dst->write->ready) {
            return NGX_AGAIN;
        }

        n = dst->send(dst, rest->pos, (size_t) (rest->last - rest->pos));

        if (n == NGX_ERROR) {
            return NGX_ERROR;
        }

        if (n == NGX_AGAIN || n == 0) {
            return NGX_AGAIN;
        }

        rest->pos += n;

        if (rest->pos == rest->last) {
            ngx_http_osb_rest_free(rest);
        }
    }

    return NGX_OK;
}


static void
ngx_http_osb_rest_free(ngx_http_osb_rest_t *rest)
{
    if (rest->start) {
        ngx_free(rest->start);
    }

    ngx_memzero(rest, sizeof(ngx_http_osb_rest_t));
}
