/* SPDX-License-Identifier: Apache-2.0 */

#include "inner.h"


/*
 * A request's context: made when its route is first asked for, found again
 * behind internal redirects and from subrequests, and freed with the pool.
 */


static ngx_uint_t
ngx_http_osb_ctx_early(ngx_http_request_t *r);
static ngx_http_osb_ctx_t *
ngx_http_osb_ctx_make(ngx_http_request_t *r);
static ngx_http_osb_ctx_t *
ngx_http_osb_ctx_former(ngx_http_request_t *r);
static void
ngx_http_osb_ctx_end(void *data);
static ngx_http_osb_ctx_t *
ngx_http_osb_ctx_new(ngx_log_t *log);
static void
ngx_http_osb_ctx_free(ngx_http_osb_ctx_t *ctx);


#ifdef __SANITIZE_ADDRESS__
#define NGX_HTTP_OSB_SPARE 0 /* a context is one of malloc()'s */
#else
#define NGX_HTTP_OSB_SPARE 256
#endif


/* contexts to be used again, by their former */
static ngx_http_osb_ctx_t *ngx_http_osb_spare;
static ngx_uint_t          ngx_http_osb_nspare;


ngx_http_osb_ctx_t *
ngx_http_osb_ctx_get(ngx_http_request_t *r)
{
    ngx_http_osb_ctx_t *ctx;

    for (;;) {
        if (ngx_http_osb_ctx_early(r)) {
            return NULL;
        }

        ctx = ngx_http_osb_ctx_routed(r);

        if (ctx || r == r->main) {
            return ctx;
        }

        r = r->parent;
    }
}


ngx_http_osb_ctx_t *
ngx_http_osb_ctx_routed(ngx_http_request_t *r)
{
    ngx_http_osb_ctx_t      *ctx;
    ngx_http_osb_loc_conf_t *olcf;

    ctx = ngx_http_osb_ctx_own(r);

    if (ctx == NULL) {
        return ngx_http_osb_ctx_make(r);
    }

    if (ctx->passed ||
        ctx != ngx_http_get_module_ctx(r, ngx_http_opensandbox_module))
    {
        return ctx;
    }

    /* a variable has read the route; "rewrite" may have changed it since */

    olcf = ngx_http_get_module_loc_conf(r, ngx_http_opensandbox_module);

    if (olcf->mode == 0) {
        ngx_http_set_ctx(r, NULL, ngx_http_opensandbox_module);
        return NULL;
    }

    if (olcf != ctx->location || r->uri.data != ctx->from.data ||
        r->uri.len != ctx->from.len)
    {
        ngx_http_osb_request_route(r, olcf, ctx);
    }

    return ctx;
}


/*
 * Whether a request has not come to its location yet: neither the one that it
 * was redirected from nor its parent's says where it goes.
 */

static ngx_uint_t
ngx_http_osb_ctx_early(ngx_http_request_t *r)
{
    ngx_http_core_main_conf_t *cmcf;

    cmcf = ngx_http_get_module_main_conf(r, ngx_http_core_module);

    return r->phase_handler <
           (ngx_int_t) cmcf->phase_engine.location_rewrite_index;
}


static ngx_http_osb_ctx_t *
ngx_http_osb_ctx_make(ngx_http_request_t *r)
{
    ngx_http_osb_ctx_t      *ctx, *former;
    ngx_http_osb_loc_conf_t *olcf;

    olcf = ngx_http_get_module_loc_conf(r, ngx_http_opensandbox_module);

    if (olcf->mode == 0) {
        return NULL;
    }

    former = r->internal ? ngx_http_osb_ctx_former(r) : NULL;

    if (former) {

        /* the proxy may have given up before it made its request */
        ngx_http_osb_ctx_restore_uri(r, former);
    }

    if (former == NULL && r->parent) {
        former = ngx_http_osb_ctx_get(r->parent);
    }

    ctx = ngx_http_osb_ctx_attach(r);
    if (ctx == NULL) {
        return NULL;
    }

    ctx->former = former;
    ctx->http_version = r->http_version;

    ngx_http_osb_request_route(r, olcf, ctx);

    return ctx;
}


ngx_http_osb_ctx_t *
ngx_http_osb_ctx_own(ngx_http_request_t *r)
{
    ngx_http_osb_ctx_t      *ctx;
    ngx_http_osb_loc_conf_t *olcf;

    ctx = ngx_http_get_module_ctx(r, ngx_http_opensandbox_module);

    if (ctx || (!r->internal && !r->filter_finalize)) {
        return ctx;
    }

    /* an internal redirect has cleared the contexts */

    ctx = ngx_http_osb_ctx_former(r);
    olcf = ngx_http_get_module_loc_conf(r, ngx_http_opensandbox_module);

    if (ctx && ctx->strayed && olcf->mode) {
        ctx->strayed = 0;
        ngx_http_set_ctx(r, ctx, ngx_http_opensandbox_module);
        return ctx;
    }

    return olcf->mode ? NULL : ctx;
}


/* The request's latest; its subrequests' lie in the same pool. */

static ngx_http_osb_ctx_t *
ngx_http_osb_ctx_former(ngx_http_request_t *r)
{
    ngx_pool_cleanup_t *cln;
    ngx_http_osb_ctx_t *ctx;

    for (cln = r->pool->cleanup; cln; cln = cln->next) {

        if (cln->handler != ngx_http_osb_ctx_end) {
            continue;
        }

        ctx = cln->data;

        if (ctx->request == r) {
            return ctx;
        }
    }

    return NULL;
}


ngx_http_osb_ctx_t *
ngx_http_osb_ctx_attach(ngx_http_request_t *r)
{
    ngx_pool_cleanup_t *cln;
    ngx_http_osb_ctx_t *ctx;

    cln = ngx_pool_cleanup_add(r->pool, 0);
    if (cln == NULL) {
        return NULL;
    }

    ctx = ngx_http_osb_ctx_new(r->connection->log);
    if (ctx == NULL) {
        return NULL;
    }

    ngx_memzero(ctx, offsetof(ngx_http_osb_ctx_t, folded));

    ctx->request = r;

    cln->handler = ngx_http_osb_ctx_end;
    cln->data = ctx;

    ngx_http_set_ctx(r, ctx, ngx_http_opensandbox_module);

    return ctx;
}


/* Also marks the context among the pool's cleanups. */

static void
ngx_http_osb_ctx_end(void *data)
{
    ngx_http_osb_ctx_t *ctx = data;

    while (ctx->ncleanups) {
        ctx->cleanups[--ctx->ncleanups](ctx);
    }

    ngx_http_osb_ctx_free(ctx);
}


/*
 * Contexts are used again, as nginx does with connections: in a request's pool
 * one would make most requests need a third block of it, and malloc() has no
 * short way for as many as are open at once.
 */

static ngx_http_osb_ctx_t *
ngx_http_osb_ctx_new(ngx_log_t *log)
{
    ngx_http_osb_ctx_t *ctx;

    ctx = ngx_http_osb_spare;

    if (ctx == NULL) {
        return ngx_alloc(sizeof(ngx_http_osb_ctx_t), log);
    }

    ngx_http_osb_spare = ctx->former;
    ngx_http_osb_nspare--;

    return ctx;
}


static void
ngx_http_osb_ctx_free(ngx_http_osb_ctx_t *ctx)
{
    if (ngx_http_osb_nspare == NGX_HTTP_OSB_SPARE) {
        ngx_free(ctx);
        return;
    }

    ctx->former = ngx_http_osb_spare;
    ngx_http_osb_spare = ctx;
    ngx_http_osb_nspare++;
}


void
ngx_http_osb_ctx_restore_uri(ngx_http_request_t *r, ngx_http_osb_ctx_t *ctx)
{
    if (ctx->swapped) {
        r->unparsed_uri = ctx->uri;
        ctx->swapped = 0;
    }
}


void
ngx_http_osb_ctx_cleanup(ngx_http_osb_ctx_t         *ctx,
                         ngx_http_osb_ctx_cleanup_pt handler)
{
    ngx_uint_t i;

    for (i = 0; i < ctx->ncleanups; i++) {
        if (ctx->cleanups[i] == handler) {
            return;
        }
    }

    ctx->cleanups[ctx->ncleanups++] = handler;
}
