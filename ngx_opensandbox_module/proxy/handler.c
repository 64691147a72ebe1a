/* SPDX-License-Identifier: Apache-2.0 */

#include "inner.h"
#include "access/access.h"
#include "renew/renew.h"
#include "status/status.h"
#include "trace/trace.h"


/*
 * A request on its way, from the route to the peer that the stock proxy is to
 * use.
 */


/* that a request may have come by */
#define NGX_HTTP_OSB_PROXIES_MAX 20


static ngx_int_t
ngx_http_osb_pass(ngx_http_request_t *r, ngx_http_osb_ctx_t *ctx);
static ngx_int_t
ngx_http_osb_refuse(ngx_http_request_t *r, ngx_http_osb_ctx_t *ctx);
static ngx_http_osb_ctx_t *
ngx_http_osb_clone(ngx_http_request_t *r);
static ngx_uint_t
ngx_http_osb_loops(ngx_http_request_t *r);
static ngx_uint_t
ngx_http_osb_alive(ngx_http_request_t *r);
static ngx_http_osb_status_e
ngx_http_osb_resolve(ngx_http_request_t *r, ngx_http_osb_ctx_t *ctx);
static ngx_http_osb_status_e
ngx_http_osb_resolve_asleep(ngx_http_request_t *r, ngx_http_osb_ctx_t *ctx);
static ngx_int_t
ngx_http_osb_resolve_large(ngx_http_request_t *r, ngx_http_osb_ctx_t *ctx,
                           ngx_http_osb_zone_t *zone);
static void
ngx_http_osb_settle(ngx_http_request_t *r);


ngx_int_t
ngx_http_osb_handler(ngx_http_request_t *r)
{
    ngx_http_osb_ctx_t      *ctx;
    ngx_http_osb_loc_conf_t *olcf;

    olcf = ngx_http_get_module_loc_conf(r, ngx_http_opensandbox_module);

    if (olcf->mode == 0) {
        return NGX_DECLINED;
    }

    if (ngx_http_osb_alive(r)) {
        ngx_http_finalize_request(r, ngx_http_osb_alive_answer(r));
        return NGX_DONE;
    }

    ctx = ngx_http_osb_ctx_get(r);
    if (ctx == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ctx->passed = 1;

    if (ctx->strays) {

        /* once more, by the location of the sandbox itself */

        ctx->strays = 0;
        ctx->strayed = 1;

        (void) ngx_http_internal_redirect(r, &ctx->route.prefix, NULL);
        ngx_http_finalize_request(r, NGX_DONE);

        return NGX_DONE;
    }

    return ngx_http_osb_pass(r, ctx);
}


/* To the sandbox, or to what is said instead. */

static ngx_int_t
ngx_http_osb_pass(ngx_http_request_t *r, ngx_http_osb_ctx_t *ctx)
{
    ngx_int_t rc;

    if (r != r->main) {
        ngx_http_osb_settle(r);
    }

    if (ctx->status == NGX_HTTP_OSB_OK && ctx->record == NULL) {
        ctx->status = ngx_http_osb_resolve(r, ctx);
    }

    if (ctx->status != NGX_HTTP_OSB_OK &&
        ngx_http_osb_sleeper_hold(r, ctx) == NGX_AGAIN)
    {
        return NGX_AGAIN;
    }

    if (ctx->status == NGX_HTTP_OSB_OK && ngx_http_osb_loops(r)) {
        ctx->status = NGX_HTTP_OSB_UNREACHABLE;
        ctx->reason = "the request has come by more than 20 proxies, as it "
                      "does where this port is the gateway's own";
    }

    /* whatever becomes of the request, nobody else is to see its cookie */

    if (ngx_http_osb_cookie_field_cut(r) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (ctx->status == NGX_HTTP_OSB_OK && ctx->link) {
        ngx_http_finalize_request(r, ngx_http_osb_link_follow(r, ctx));
        return NGX_DONE;
    }

    if (ctx->status == NGX_HTTP_OSB_OK) {
        if (ngx_http_osb_uri_keep_prefix(r, ctx) != NGX_OK) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        if (ngx_http_osb_follow_offer(r, ctx) != NGX_OK) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        rc = ngx_http_osb_link_open(r, ctx);

        if (rc != NGX_DECLINED) {
            ngx_http_finalize_request(r, rc);
            return NGX_DONE;
        }
    }

    if (ctx->status == NGX_HTTP_OSB_OK) {
        rc = ngx_http_osb_hold(r, ctx);

        if (rc == NGX_AGAIN) {
            return NGX_AGAIN;
        }

        if (rc == NGX_ERROR) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }
    }

    if (ctx->status != NGX_HTTP_OSB_OK) {
        return ngx_http_osb_refuse(r, ctx);
    }

    ngx_http_osb_renew(r, ctx);

    return NGX_DECLINED;
}


/* Whatever is wrong, a page of a named origin is told what it may send. */

static ngx_int_t
ngx_http_osb_refuse(ngx_http_request_t *r, ngx_http_osb_ctx_t *ctx)
{
    ngx_int_t rc;

    rc = ngx_http_osb_cors_preflight(r);

    if (rc != NGX_DECLINED) {
        ctx->status = NGX_HTTP_OSB_OK;
        ngx_http_finalize_request(r, rc);
        return NGX_DONE;
    }

    ngx_log_error(NGX_LOG_INFO, r->connection->log, 0,
                  "opensandbox: %V, sandbox \"%V\", port %ui%s%s",
                  ngx_http_osb_outcome_name(ctx->status), &ctx->id,
                  ctx->route.port, ctx->reason ? ": " : "",
                  ctx->reason ? ctx->reason : "");

    return (ngx_int_t) ngx_http_osb_outcome_status(ctx->status);
}


/*
 * A subrequest has its headers in common with its parents, the cookie among
 * them: what it may mean to those is found out before it is cut.
 */

static void
ngx_http_osb_settle(ngx_http_request_t *r)
{
    ngx_http_osb_ctx_t *ctx;

    while ((r = r->parent) != NULL) {
        ctx = ngx_http_osb_ctx_routed(r);

        if (ctx && !ctx->passed && !ctx->strays &&
            ctx->status == NGX_HTTP_OSB_OK && ctx->record == NULL)
        {
            ctx->passed = 1;
            ctx->status = ngx_http_osb_resolve(r, ctx);
        }
    }
}


ngx_int_t
ngx_http_osb_handler_proxy(ngx_http_request_t *r)
{
    ngx_str_t                 trace;
    ngx_http_osb_ctx_t       *ctx;
    ngx_http_osb_loc_conf_t  *olcf;
    ngx_http_osb_main_conf_t *omcf;

    ctx = ngx_http_get_module_ctx(r, ngx_http_opensandbox_module);

    if (ctx == NULL) {
        ctx = ngx_http_osb_clone(r);
    }

    olcf = ngx_http_get_module_loc_conf(r, ngx_http_opensandbox_module);

    if (ctx == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (olcf->handler == NULL) {

        /* of two "if" blocks that apply, the last one has no handler */

        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "opensandbox: the \"if\" block that applies last has "
                      "no \"proxy_pass\" or the like, but another one has");

        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    /* the request gets its traceparent */

    if (ngx_http_osb_trace(r, NGX_HTTP_OSB_TRACE_PARENT, &trace) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if ((ctx->mode->flags & NGX_HTTP_OSB_MODE_PREFIX) && !ctx->swapped) {

        /* a header for the sandbox may hold it: it is still the client's */

        omcf = ngx_http_get_module_main_conf(r, ngx_http_opensandbox_module);
        (void) ngx_http_get_indexed_variable(r, omcf->request_uri);

        /* until the proxy has made its request, see
         * ngx_http_osb_ctx_restore_uri() */

        ctx->uri = r->unparsed_uri;
        ctx->swapped = 1;

        r->unparsed_uri = ctx->rest;
        r->valid_unparsed_uri = 1;
    }

    ctx->proxied = 1;

#if (NGX_HTTP_CACHE)
    /* an error page may be had after an answer from the cache */
    r->cached = 0;
#endif

    return olcf->handler(r);
}


/*
 * The context of a subrequest that continues its parent in this very place (a
 * further slice, the update of a stale cache entry).  It asks the same sandbox.
 */

static ngx_http_osb_ctx_t *
ngx_http_osb_clone(ngx_http_request_t *r)
{
    ngx_http_osb_ctx_t *ctx, *parent;

    parent = r->parent ? ngx_http_get_module_ctx(r->parent,
                                                 ngx_http_opensandbox_module)
                       : NULL;

    if (parent == NULL || parent->peer.sockaddr == NULL) {
        return NULL;
    }

    ctx = ngx_http_osb_ctx_attach(r);
    if (ctx == NULL) {
        return NULL;
    }

    /* it ends before its parent, whose id and record it shares */

    ctx->mode = parent->mode;
    ctx->route = parent->route;
    ctx->id = parent->id;
    ctx->prefix = parent->prefix;
    ctx->rest = parent->rest;
    ctx->keep = parent->keep;

    ctx->record = parent->record;
    ctx->endpoint = parent->endpoint;
    ctx->resolved = parent->resolved;
    ctx->nresolved = parent->nresolved;
    ctx->current = parent->current;

    ctx->http_version = parent->http_version;
    ctx->passed = 1;

    return ngx_http_osb_peer_set(r, ctx) == NGX_OK ? ctx : NULL;
}


/*
 * Whether the request goes round in circles: a sandbox at the gateway's own
 * address would have it take all connections.  Each round adds an address.
 */

static ngx_uint_t
ngx_http_osb_loops(ngx_http_request_t *r)
{
    size_t           i;
    ngx_uint_t       n, addresses;
    ngx_list_part_t *part;
    ngx_table_elt_t *h;

    static ngx_str_t name = ngx_string("x-forwarded-for");

    n = 0;
    addresses = 0;
    part = &r->headers_in.headers.part;

    while ((h = ngx_http_osb_header_named(&part, &n, &name)) != NULL) {
        addresses++;

        for (i = 0; i < h->value.len; i++) {
            addresses += (h->value.data[i] == ',');
        }
    }

    return addresses > NGX_HTTP_OSB_PROXIES_MAX;
}


/* A load balancer's question; it names no sandbox and needs no route. */

static ngx_uint_t
ngx_http_osb_alive(ngx_http_request_t *r)
{
    static ngx_str_t path = ngx_string("/status.ok");

    return (r->method & (NGX_HTTP_GET | NGX_HTTP_HEAD)) &&
           r->uri.len == path.len &&
           ngx_strncmp(r->uri.data, path.data, path.len) == 0;
}


/* Route to record to verdict to place. */

static ngx_http_osb_status_e
ngx_http_osb_resolve(ngx_http_request_t *r, ngx_http_osb_ctx_t *ctx)
{
    ngx_int_t                 rc;
    ngx_http_osb_main_conf_t *omcf;

    omcf = ngx_http_get_module_main_conf(r, ngx_http_opensandbox_module);

    ctx->record = (ngx_http_osb_record_t *) ctx->space;

    rc = ngx_http_osb_registry_route(omcf->zone, &ctx->id, ctx->record,
                                     sizeof(ctx->space));

    if (rc == NGX_AGAIN) {
        rc = ngx_http_osb_resolve_large(r, ctx, omcf->zone);
    }

    if (rc == NGX_OK) {
        return ngx_http_osb_sleeps(r, ctx->record)
                   ? ngx_http_osb_resolve_asleep(r, ctx)
                   : ngx_http_osb_access(r, ctx);
    }

    ctx->record = NULL;

    if (rc == NGX_ERROR) {
        ctx->reason = "no memory";
        return NGX_HTTP_OSB_NOT_READY;
    }

    return NGX_HTTP_OSB_NOT_FOUND;
}


/*
 * Whom the sandbox admits is asked again when it is awake, maybe by another
 * record: what the route became for this one is taken back.
 */

static ngx_http_osb_status_e
ngx_http_osb_resolve_asleep(ngx_http_request_t *r, ngx_http_osb_ctx_t *ctx)
{
    ngx_str_t             prefix, rest;
    ngx_uint_t            bare;
    ngx_http_osb_route_t  route;
    ngx_http_osb_status_e status;

    route = ctx->route;
    prefix = ctx->prefix;
    rest = ctx->rest;
    bare = ctx->bare;

    status = ngx_http_osb_access(r, ctx);

    if (status == NGX_HTTP_OSB_PAUSED || status == NGX_HTTP_OSB_NOT_READY) {
        ctx->route = route;
        ctx->prefix = prefix;
        ctx->rest = rest;
        ctx->bare = bare;
        ctx->link = 0;
        ctx->cookie.len = 0;
    }

    return status;
}


/* A record that the context has no room for. */

static ngx_int_t
ngx_http_osb_resolve_large(ngx_http_request_t *r, ngx_http_osb_ctx_t *ctx,
                           ngx_http_osb_zone_t *zone)
{
    ngx_int_t           rc;
    ngx_http_osb_copy_t copy;

    rc =
        ngx_http_osb_registry_route(zone, &ctx->id, &copy.record, sizeof(copy));
    if (rc != NGX_OK) {
        return rc;
    }

    ctx->record = ngx_palloc(r->pool, copy.record.size);
    if (ctx->record == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(ctx->record, &copy, copy.record.size);

    return NGX_OK;
}
