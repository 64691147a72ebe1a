/* SPDX-License-Identifier: Apache-2.0 */

#include "inner.h"


/*
 * What may hold a request before the proxy sees it: the look-up of a host
 * name.  It does not block the worker.
 */


static ngx_int_t
ngx_http_osb_look_up(ngx_http_request_t *r, ngx_http_osb_ctx_t *ctx);
static void
ngx_http_osb_release(ngx_http_osb_ctx_t *ctx);
static void
ngx_http_osb_looked_up(ngx_resolver_ctx_t *rctx);
static ngx_int_t
ngx_http_osb_keep(ngx_http_request_t *r, ngx_http_osb_ctx_t *ctx,
                  ngx_resolver_ctx_t *rctx);
static void
ngx_http_osb_suspend(ngx_http_request_t *r);
static void
ngx_http_osb_resume(ngx_http_request_t *r);


ngx_int_t
ngx_http_osb_hold(ngx_http_request_t *r, ngx_http_osb_ctx_t *ctx)
{
    ngx_int_t rc;

    if (ctx->endpoint->kind == NGX_HTTP_OSB_ENDPOINT_NAME) {
        rc = ngx_http_osb_look_up(r, ctx);

        if (rc != NGX_OK) {
            return rc;
        }
    }

    if (ctx->peer.sockaddr == NULL && ngx_http_osb_peer_set(r, ctx) != NGX_OK) {
        return NGX_ERROR;
    }

    return NGX_OK;
}


static void
ngx_http_osb_release(ngx_http_osb_ctx_t *ctx)
{
    if (ctx->resolver) {
        ngx_resolve_name_done(ctx->resolver);
        ctx->resolver = NULL;
    }
}


static ngx_int_t
ngx_http_osb_look_up(ngx_http_request_t *r, ngx_http_osb_ctx_t *ctx)
{
    ngx_resolver_ctx_t       *rctx, temp;
    ngx_http_core_loc_conf_t *clcf;

    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

    temp.name = ngx_http_osb_text(ctx->record, &ctx->endpoint->text);

    rctx = ngx_resolve_start(clcf->resolver, &temp);

    if (rctx == NULL) {
        return NGX_ERROR;
    }

    if (rctx == NGX_NO_RESOLVER) {
        ctx->status = NGX_HTTP_OSB_UNRESOLVED;
        ctx->reason = "the gateway has no resolver";
        return NGX_DECLINED;
    }

    rctx->name = temp.name;
    rctx->handler = ngx_http_osb_looked_up;
    rctx->data = r;
    rctx->timeout = clcf->resolver_timeout;

    ctx->resolver = rctx;

    if (ngx_resolve_name(rctx) != NGX_OK) {
        ctx->resolver = NULL;
        ctx->status = NGX_HTTP_OSB_UNRESOLVED;
        return NGX_DECLINED;
    }

    if (ctx->resolver) {
        ngx_http_osb_ctx_cleanup(ctx, ngx_http_osb_release);
        ngx_http_osb_suspend(r);
        return NGX_AGAIN;
    }

    return ctx->status == NGX_HTTP_OSB_OK ? NGX_OK : NGX_DECLINED;
}


static void
ngx_http_osb_looked_up(ngx_resolver_ctx_t *rctx)
{
    ngx_uint_t          async;
    ngx_connection_t   *c;
    ngx_http_request_t *r;
    ngx_http_osb_ctx_t *ctx;

    r = rctx->data;
    c = r->connection;
    ctx = ngx_http_get_module_ctx(r, ngx_http_opensandbox_module);

    if (rctx->state) {
        ctx->status = NGX_HTTP_OSB_UNRESOLVED;
        ctx->reason = ngx_resolver_strerror(rctx->state);

    } else if (ngx_http_osb_keep(r, ctx, rctx) != NGX_OK) {
        ctx->status = NGX_HTTP_OSB_UNRESOLVED;
        ctx->reason = "no memory";
    }

    async = rctx->async;

    ngx_resolve_name_done(rctx);
    ctx->resolver = NULL;

    if (async) {
        ngx_http_osb_resume(r);
        ngx_http_run_posted_requests(c);
    }
}


/* Copies the addresses of a name, in the order that the resolver chose. */

static ngx_int_t
ngx_http_osb_keep(ngx_http_request_t *r, ngx_http_osb_ctx_t *ctx,
                  ngx_resolver_ctx_t *rctx)
{
    ngx_uint_t               i;
    struct sockaddr_in      *sin;
    struct sockaddr_in6     *sin6;
    ngx_http_osb_resolved_t *resolved;

    resolved =
        ngx_palloc(r->pool, rctx->naddrs * sizeof(ngx_http_osb_resolved_t));
    if (resolved == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i < rctx->naddrs; i++) {

        /* a port of port_map stays, and the name */
        resolved[i].endpoint = *ctx->endpoint;

        if (rctx->addrs[i].sockaddr->sa_family == AF_INET6) {
            sin6 = (struct sockaddr_in6 *) rctx->addrs[i].sockaddr;
            resolved[i].endpoint.kind = NGX_HTTP_OSB_ENDPOINT_INET6;
            ngx_memcpy(resolved[i].addr, &sin6->sin6_addr,
                       sizeof(struct in6_addr));

        } else {
            sin = (struct sockaddr_in *) rctx->addrs[i].sockaddr;
            resolved[i].endpoint.kind = NGX_HTTP_OSB_ENDPOINT_INET;
            ngx_memcpy(resolved[i].addr, &sin->sin_addr,
                       sizeof(struct in_addr));
        }
    }

    ctx->endpoint = &resolved->endpoint;
    ctx->resolved = resolved;
    ctx->nresolved = rctx->naddrs;

    return NGX_OK;
}


static void
ngx_http_osb_suspend(ngx_http_request_t *r)
{
    r->read_event_handler = ngx_http_test_reading;
    r->write_event_handler = ngx_http_request_empty_handler;
}


static void
ngx_http_osb_resume(ngx_http_request_t *r)
{
    r->read_event_handler = ngx_http_block_reading;
    r->write_event_handler = ngx_http_core_run_phases;
    ngx_http_core_run_phases(r);
}
