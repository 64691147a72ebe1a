/* SPDX-License-Identifier: Apache-2.0 */

#include "inner.h"
#include "status/status.h"


/*
 * The tunnels and event streams of this worker.  While there is one, a timer
 * looks whether any record has changed, and ends those whose sandbox is gone or
 * another.  Other answers come to their end.
 */


#define NGX_HTTP_OSB_TUNNEL_TICK 250 /* milliseconds */


static void
ngx_http_osb_watch(ngx_http_request_t *r, ngx_http_osb_ctx_t *ctx);
static void
ngx_http_osb_tunnel_close(ngx_http_osb_ctx_t *ctx);
static void
ngx_http_osb_tunnel_tick(ngx_event_t *ev);
static ngx_uint_t
ngx_http_osb_tunnel_valid(ngx_http_osb_zone_t *zone, ngx_http_osb_ctx_t *ctx);
static void
ngx_http_osb_tunnel_end(ngx_http_osb_ctx_t *ctx);


static ngx_queue_t       ngx_http_osb_tunnels;
static ngx_event_t       ngx_http_osb_tunnel_event;
static ngx_connection_t  ngx_http_osb_tunnel_dummy;
static ngx_atomic_uint_t ngx_http_osb_tunnel_changes;


void
ngx_http_osb_tunnel_open(ngx_http_request_t *r, ngx_http_osb_ctx_t *ctx)
{
    ctx->tunnel = 1;

    ngx_http_osb_meters()->open.tunnels++;
    ngx_http_osb_meters()->upgrades++;

    ctx->open = ngx_http_osb_activity_open(&ctx->id);

    ngx_http_osb_watch(r, ctx);
}


void
ngx_http_osb_tunnel_stream_open(ngx_http_request_t *r, ngx_http_osb_ctx_t *ctx)
{
    ngx_http_osb_meters()->open.streams++;

    ngx_http_osb_watch(r, ctx);
}


static void
ngx_http_osb_watch(ngx_http_request_t *r, ngx_http_osb_ctx_t *ctx)
{
    ngx_event_t              *ev;
    ngx_http_osb_main_conf_t *omcf;

    omcf = ngx_http_get_module_main_conf(r, ngx_http_opensandbox_module);

    ev = &ngx_http_osb_tunnel_event;

    if (ngx_http_osb_tunnels.next == NULL) {
        ngx_queue_init(&ngx_http_osb_tunnels);

        ngx_http_osb_tunnel_dummy.fd = (ngx_socket_t) -1;

        ev->handler = ngx_http_osb_tunnel_tick;
        ev->data = &ngx_http_osb_tunnel_dummy;
        ev->log = ngx_cycle->log;
        ev->cancelable = 1;
    }

    ctx->watched = 1;
    ngx_http_osb_ctx_cleanup(ctx, ngx_http_osb_tunnel_close);

    ngx_queue_insert_tail(&ngx_http_osb_tunnels, &ctx->queue);

    if (!ev->timer_set) {

        /* the record may have changed since it was read */
        ngx_http_osb_tunnel_changes = omcf->zone->shared->changes - 1;

        ngx_add_timer(ev, NGX_HTTP_OSB_TUNNEL_TICK);
    }
}


/* Of either. */

static void
ngx_http_osb_tunnel_close(ngx_http_osb_ctx_t *ctx)
{
    if (ctx->tunnel) {
        ngx_http_osb_meters()->open.tunnels--;
        ngx_http_osb_activity_close(ctx->open);

    } else {
        ngx_http_osb_meters()->open.streams--;
    }

    ngx_queue_remove(&ctx->queue);
    ctx->watched = 0;

    if (ctx->relay) {
        ngx_http_osb_relay_stop(ctx->relay);
        ctx->relay = NULL;
    }
}


static void
ngx_http_osb_tunnel_tick(ngx_event_t *ev)
{
    ngx_queue_t              *q;
    ngx_uint_t                changed;
    ngx_atomic_uint_t         changes;
    ngx_http_osb_ctx_t       *ctx;
    ngx_http_osb_main_conf_t *omcf;

    if (ngx_queue_empty(&ngx_http_osb_tunnels)) {
        return;
    }

    q = ngx_queue_head(&ngx_http_osb_tunnels);
    ctx = ngx_queue_data(q, ngx_http_osb_ctx_t, queue);

    omcf = ngx_http_get_module_main_conf(ctx->request,
                                         ngx_http_opensandbox_module);

    changes = omcf->zone->shared->changes;
    changed = (changes != ngx_http_osb_tunnel_changes);
    ngx_http_osb_tunnel_changes = changes;

    for (; q != ngx_queue_sentinel(&ngx_http_osb_tunnels);
         q = ngx_queue_next(q)) {
        ctx = ngx_queue_data(q, ngx_http_osb_ctx_t, queue);

        if ((changed || ctx->record->expires <= ngx_time()) &&
            !ngx_http_osb_tunnel_valid(omcf->zone, ctx))
        {
            ngx_http_osb_tunnel_end(ctx);
        }
    }

    ngx_add_timer(ev, NGX_HTTP_OSB_TUNNEL_TICK);
}


static ngx_uint_t
ngx_http_osb_tunnel_valid(ngx_http_osb_zone_t *zone, ngx_http_osb_ctx_t *ctx)
{
    ngx_http_osb_copy_t copy;

    if (ngx_http_osb_registry_route(zone, &ctx->id, &copy.record,
                                    sizeof(copy)) != NGX_OK ||
        copy.record.generation != ctx->record->generation)
    {
        return 0;
    }

    ctx->record->expires = copy.record.expires;

    return copy.record.expires > ngx_time();
}


/*
 * nginx takes it for the end that both sides would make.  An event stream's
 * client may have others on its connection (HTTP/2); nginx tells it.
 */

static void
ngx_http_osb_tunnel_end(ngx_http_osb_ctx_t *ctx)
{
    ngx_http_request_t *r;

    r = ctx->request;

    ngx_log_error(NGX_LOG_INFO, r->connection->log, 0,
                  "opensandbox: the sandbox of this stream is gone");

    if (r->upstream->peer.connection) {
        (void) shutdown(r->upstream->peer.connection->fd, SHUT_RDWR);
    }

    if (ctx->tunnel) {
        (void) shutdown(r->connection->fd, SHUT_RDWR);
    }
}
