/* SPDX-License-Identifier: Apache-2.0 */

#include "inner.h"


/*
 * opensandbox_wait: a request waits for the sandbox's port to open.  It is
 * the request's own connection that is tried, again after a pause while it is
 * refused, and nothing is sent before it stands: so a server sees no connection
 * but those that carry requests, and each request once.
 *
 *     get_peer() ──► stand-in ──► attempt ──► pause ──► attempt ──► swapped
 *                    nginx holds it for a connection in progress
 *
 * The stand-in is a socket without events.  The attempt after the deadline is
 * left to nginx, which finds out what is wrong, and says so.
 */


#define NGX_HTTP_OSB_WAIT_PAUSE 100 /* milliseconds */


static ngx_connection_t *
ngx_http_osb_stand_in(ngx_log_t *log);
static void
ngx_http_osb_wait_again(ngx_event_t *ev);
static void
ngx_http_osb_wait_handler(ngx_event_t *ev);
static void
ngx_http_osb_wait_log(ngx_http_osb_ctx_t *ctx, ngx_err_t err);
static void
ngx_http_osb_wait_pause(ngx_http_osb_ctx_t *ctx);
static void
ngx_http_osb_wait_next_peer(ngx_http_osb_ctx_t *ctx);
static ngx_int_t
ngx_http_osb_wait_connect(ngx_http_osb_ctx_t *ctx, ngx_uint_t last);
static void
ngx_http_osb_wait_swap(ngx_http_osb_ctx_t *ctx, ngx_uint_t connected);


ngx_int_t
ngx_http_osb_wait(ngx_peer_connection_t *pc, ngx_http_osb_ctx_t *ctx)
{
    ngx_connection_t        *c;
    ngx_http_request_t      *r;
    ngx_http_osb_loc_conf_t *olcf;

    r = ctx->request;
    olcf = ngx_http_get_module_loc_conf(r, ngx_http_opensandbox_module);

    if (olcf->wait == 0) {
        return NGX_OK;
    }

    if (!ctx->waited) {
        ctx->waited = 1;
        ngx_http_osb_ctx_cleanup(ctx, ngx_http_osb_wait_end);
        ctx->deadline = ngx_current_msec + olcf->wait;

        ngx_memzero(&ctx->attempt, sizeof(ngx_peer_connection_t));
        ngx_memzero(&ctx->pause, sizeof(ngx_event_t));

    } else if ((ngx_msec_int_t) (ctx->deadline - ngx_current_msec) <= 0) {
        return NGX_OK;
    }

    c = ngx_http_osb_stand_in(pc->log);
    if (c == NULL) {
        return NGX_ERROR;
    }

    pc->connection = c;

    ctx->pause.handler = ngx_http_osb_wait_again;
    ctx->pause.data = ctx;
    ctx->pause.log = r->connection->log;

    /* as soon as nginx has made the stand-in its own */

    ngx_post_event(&ctx->pause, &ngx_posted_events);

    return NGX_AGAIN;
}


void
ngx_http_osb_wait_end(ngx_http_osb_ctx_t *ctx)
{
    if (!ctx->waited) {
        return;
    }

    if (ctx->attempt.connection) {
        ngx_close_connection(ctx->attempt.connection);
        ctx->attempt.connection = NULL;
    }

    if (ctx->pause.posted) {
        ngx_delete_posted_event(&ctx->pause);
    }

    if (ctx->pause.timer_set) {
        ngx_del_timer(&ctx->pause);
    }
}


static ngx_connection_t *
ngx_http_osb_stand_in(ngx_log_t *log)
{
    ngx_socket_t      s;
    ngx_connection_t *c;

    s = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (s == (ngx_socket_t) -1) {
        ngx_log_error(NGX_LOG_ALERT, log, ngx_socket_errno,
                      ngx_socket_n " failed");
        return NULL;
    }

    c = ngx_get_connection(s, log);

    if (c == NULL) {
        (void) ngx_close_socket(s);
        return NULL;
    }

    c->type = SOCK_STREAM;

    /* as of any connection over a unix socket: there are no such options */

    c->tcp_nodelay = NGX_TCP_NODELAY_DISABLED;
    c->tcp_nopush = NGX_TCP_NOPUSH_DISABLED;

    c->recv = ngx_recv;
    c->send = ngx_send;
    c->recv_chain = ngx_recv_chain;
    c->send_chain = ngx_send_chain;

    c->read->log = log;
    c->write->log = log;

    c->number = ngx_atomic_fetch_add(ngx_connection_counter, 1);
    c->start_time = ngx_current_msec;

    return c;
}


static void
ngx_http_osb_wait_again(ngx_event_t *ev)
{
    ngx_int_t            rc;
    ngx_uint_t           last;
    ngx_connection_t    *stand_in;
    ngx_http_upstream_t *u;
    ngx_http_osb_ctx_t  *ctx;

    ctx = ev->data;
    u = ctx->request->upstream;
    stand_in = u->peer.connection;

    /* nginx's own time-out, that of one connection */

    if (stand_in->write->timer_set) {
        ngx_del_timer(stand_in->write);
    }

    last = (ngx_msec_int_t) (ctx->deadline - ngx_current_msec) <= 0;

    rc = ngx_http_osb_wait_connect(ctx, last);

    if (rc == NGX_OK) {
        ngx_http_osb_wait_swap(ctx, 1);

    } else if (rc == NGX_AGAIN && last) {
        ngx_http_osb_wait_swap(ctx, 0);

    } else if (rc != NGX_AGAIN && last) {

        /* nginx can send nothing over it */

        ngx_post_event(stand_in->write, &ngx_posted_events);

    } else if (rc != NGX_AGAIN) {
        ngx_http_osb_wait_pause(ctx);
    }
}


/* NGX_OK, NGX_AGAIN while that is unknown, or else, with ctx->refusal. */

static ngx_int_t
ngx_http_osb_wait_connect(ngx_http_osb_ctx_t *ctx, ngx_uint_t last)
{
    ngx_int_t              rc;
    ngx_log_t              quiet, *log;
    ngx_msec_t             left;
    ngx_connection_t      *c;
    ngx_http_upstream_t   *u;
    ngx_peer_connection_t *pc;

    u = ctx->request->upstream;
    pc = &ctx->attempt;

    ngx_memzero(pc, sizeof(ngx_peer_connection_t));

    pc->sockaddr = u->peer.sockaddr;
    pc->socklen = u->peer.socklen;
    pc->name = u->peer.name;
    pc->local = u->peer.local;
    pc->transparent = u->peer.transparent;
    pc->so_keepalive = u->peer.so_keepalive;
    pc->get = ngx_event_get_peer;
    pc->log_error = NGX_ERROR_ERR;

    log = ctx->request->connection->log;

    /* the last refusal alone is worth a line above "info" */

    quiet = *log;
    quiet.log_level = NGX_LOG_EMERG;

    pc->log = last ? log : &quiet;

    ngx_set_errno(0);

    rc = ngx_event_connect_peer(pc);

    pc->log = log;

    if (rc != NGX_OK && rc != NGX_AGAIN) {
        ctx->refusal = ngx_errno;
        pc->connection = NULL;

        ngx_http_osb_wait_log(ctx, ctx->refusal);

        return rc;
    }

    c = pc->connection;

    c->log = log;
    c->read->log = log;
    c->write->log = log;

    if (rc == NGX_AGAIN && !last) {
        left = ctx->deadline - ngx_current_msec;

        c->data = ctx;
        c->read->handler = ngx_http_osb_wait_handler;
        c->write->handler = ngx_http_osb_wait_handler;

        ngx_add_timer(c->write, ngx_min(u->conf->connect_timeout, left));
    }

    return rc;
}


static void
ngx_http_osb_wait_handler(ngx_event_t *ev)
{
    int                 err;
    socklen_t           len;
    ngx_connection_t   *c;
    ngx_http_osb_ctx_t *ctx;

    c = ev->data;
    ctx = c->data;

    err = 0;
    len = sizeof(int);

    if (ev->timedout) {
        err = NGX_ETIMEDOUT;

    } else if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &err, &len) == -1) {
        err = ngx_socket_errno;
    }

    if (err == 0) {
        ngx_http_osb_wait_swap(ctx, 1);
        return;
    }

    ngx_http_osb_wait_log(ctx, err);

    ngx_close_connection(c);
    ctx->attempt.connection = NULL;

    ngx_http_osb_wait_pause(ctx);
}


static void
ngx_http_osb_wait_log(ngx_http_osb_ctx_t *ctx, ngx_err_t err)
{
    ngx_log_error(NGX_LOG_INFO, ctx->request->connection->log, err,
                  "opensandbox: waiting for sandbox \"%V\", port %ui", &ctx->id,
                  ctx->route.port);
}


static void
ngx_http_osb_wait_pause(ngx_http_osb_ctx_t *ctx)
{
    ngx_http_osb_wait_next_peer(ctx);

    ngx_add_timer(&ctx->pause, NGX_HTTP_OSB_WAIT_PAUSE);
}


/* A host name's next address, for nginx too. */

static void
ngx_http_osb_wait_next_peer(ngx_http_osb_ctx_t *ctx)
{
    ngx_peer_connection_t *pc;

    if (ngx_http_osb_peer_next(ctx->request, ctx) != NGX_OK) {
        return;
    }

    pc = &ctx->request->upstream->peer;

    pc->sockaddr = ctx->peer.sockaddr;
    pc->socklen = ctx->peer.socklen;
    *pc->name = ctx->peer.name;
}


/*
 * Puts the attempt's connection in the stand-in's place, and lets nginx go on
 * with it; not yet connected, nginx waits for that.
 */

static void
ngx_http_osb_wait_swap(ngx_http_osb_ctx_t *ctx, ngx_uint_t connected)
{
    ngx_connection_t    *c, *stand_in;
    ngx_http_request_t  *r;
    ngx_http_upstream_t *u;

    r = ctx->request;
    u = r->upstream;

    stand_in = u->peer.connection;

    c = ctx->attempt.connection;
    ctx->attempt.connection = NULL;

    c->data = stand_in->data;
    c->requests = stand_in->requests;
    c->read->handler = stand_in->read->handler;
    c->write->handler = stand_in->write->handler;

    c->pool = stand_in->pool;
    stand_in->pool = NULL;

    c->log = stand_in->log;
    c->read->log = stand_in->log;
    c->write->log = stand_in->log;

    c->sendfile &= r->connection->sendfile;
    u->output.sendfile = c->sendfile;

    if (r->connection->tcp_nopush == NGX_TCP_NOPUSH_DISABLED) {
        c->tcp_nopush = NGX_TCP_NOPUSH_DISABLED;
    }

    u->writer.connection = c;
    u->peer.connection = c;

    ngx_close_connection(stand_in);

    if (c->write->timer_set) {
        ngx_del_timer(c->write);
    }

    if (connected) {
        ngx_post_event(c->write, &ngx_posted_events);

    } else {
        ngx_add_timer(c->write, u->conf->connect_timeout);
    }
}
