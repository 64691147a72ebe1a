/* SPDX-License-Identifier: Apache-2.0 */

#include "inner.h"
#include "trace/trace.h"


static ngx_int_t
ngx_http_osb_variable(ngx_http_request_t *r, ngx_http_variable_value_t *v,
                      uintptr_t data);
static ngx_int_t
ngx_http_osb_host_variable(ngx_http_request_t *r, ngx_http_variable_value_t *v,
                           uintptr_t data);
static ngx_int_t
ngx_http_osb_endpoint_host(ngx_http_request_t *r, ngx_http_osb_ctx_t *ctx,
                           ngx_str_t *host);
static ngx_int_t
ngx_http_osb_client_variable(ngx_http_request_t        *r,
                             ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t
ngx_http_osb_upgrade_variable(ngx_http_request_t        *r,
                              ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t
ngx_http_osb_trace_variable(ngx_http_request_t *r, ngx_http_variable_value_t *v,
                            uintptr_t data);
static void
ngx_http_osb_set(ngx_http_variable_value_t *v, ngx_str_t *value);


enum {
    NGX_HTTP_OSB_VAR_ID = 0,
    NGX_HTTP_OSB_VAR_PORT,
    NGX_HTTP_OSB_VAR_PREFIX,
    NGX_HTTP_OSB_VAR_ENDPOINT,
    NGX_HTTP_OSB_VAR_MODE,
    NGX_HTTP_OSB_VAR_STATUS
};


enum {
    NGX_HTTP_OSB_CLIENT_SCHEME = 0,
    NGX_HTTP_OSB_CLIENT_HOST,
    NGX_HTTP_OSB_CLIENT_PORT
};


/*
 * What depends on the route, or on whom the location trusts, is never cached:
 * it is unknown before the location is chosen, a redirect may choose another,
 * and subrequests have theirs.
 */

static ngx_http_variable_t ngx_http_osb_vars[] = {

    {ngx_string("opensandbox_id"), NULL, ngx_http_osb_variable,
     NGX_HTTP_OSB_VAR_ID, NGX_HTTP_VAR_NOCACHEABLE, 0},

    {ngx_string("opensandbox_port"), NULL, ngx_http_osb_variable,
     NGX_HTTP_OSB_VAR_PORT, NGX_HTTP_VAR_NOCACHEABLE, 0},

    {ngx_string("opensandbox_prefix"), NULL, ngx_http_osb_variable,
     NGX_HTTP_OSB_VAR_PREFIX, NGX_HTTP_VAR_NOCACHEABLE, 0},

    {ngx_string("opensandbox_endpoint"), NULL, ngx_http_osb_variable,
     NGX_HTTP_OSB_VAR_ENDPOINT, NGX_HTTP_VAR_NOCACHEABLE, 0},

    {ngx_string("opensandbox_mode"), NULL, ngx_http_osb_variable,
     NGX_HTTP_OSB_VAR_MODE, NGX_HTTP_VAR_NOCACHEABLE, 0},

    {ngx_string("opensandbox_status"), NULL, ngx_http_osb_variable,
     NGX_HTTP_OSB_VAR_STATUS, NGX_HTTP_VAR_NOCACHEABLE, 0},

    {ngx_string("opensandbox_host"), NULL, ngx_http_osb_host_variable, 0,
     NGX_HTTP_VAR_NOCACHEABLE, 0},

    {ngx_string("opensandbox_client_scheme"), NULL,
     ngx_http_osb_client_variable, NGX_HTTP_OSB_CLIENT_SCHEME,
     NGX_HTTP_VAR_NOCACHEABLE, 0},

    {ngx_string("opensandbox_client_host"), NULL, ngx_http_osb_client_variable,
     NGX_HTTP_OSB_CLIENT_HOST, NGX_HTTP_VAR_NOCACHEABLE, 0},

    {ngx_string("opensandbox_client_port"), NULL, ngx_http_osb_client_variable,
     NGX_HTTP_OSB_CLIENT_PORT, NGX_HTTP_VAR_NOCACHEABLE, 0},

    {ngx_string("opensandbox_upgrade"), NULL, ngx_http_osb_upgrade_variable, 0,
     0, 0},

    {ngx_string("opensandbox_connection"), NULL, ngx_http_osb_upgrade_variable,
     1, 0, 0},

    {ngx_string("opensandbox_traceparent"), NULL, ngx_http_osb_trace_variable,
     NGX_HTTP_OSB_TRACE_PARENT, NGX_HTTP_VAR_NOCACHEABLE, 0},

    {ngx_string("opensandbox_trace_id"), NULL, ngx_http_osb_trace_variable,
     NGX_HTTP_OSB_TRACE_ID, NGX_HTTP_VAR_NOCACHEABLE, 0},

    {ngx_string("opensandbox_parent_id"), NULL, ngx_http_osb_trace_variable,
     NGX_HTTP_OSB_TRACE_PARENT_ID, NGX_HTTP_VAR_NOCACHEABLE, 0},

    ngx_http_null_variable};


ngx_int_t
ngx_http_osb_variables_add(ngx_conf_t *cf)
{
    ngx_http_variable_t *var, *v;

    for (v = ngx_http_osb_vars; v->name.len; v++) {
        var = ngx_http_add_variable(cf, &v->name, v->flags);
        if (var == NULL) {
            return NGX_ERROR;
        }

        var->get_handler = v->get_handler;
        var->data = v->data;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_osb_variable(ngx_http_request_t *r, ngx_http_variable_value_t *v,
                      uintptr_t data)
{
    u_char             *p;
    ngx_str_t           value;
    ngx_http_osb_ctx_t *ctx;

    ngx_http_osb_phases_read();

    ctx = ngx_http_osb_ctx_get(r);

    if (ctx == NULL) {
        v->not_found = 1;
        return NGX_OK;
    }

    ngx_str_null(&value);

    switch (data) {

    case NGX_HTTP_OSB_VAR_ID:
        value = ctx->id;
        break;

    case NGX_HTTP_OSB_VAR_PORT:
        if (ctx->route.port == 0) {
            break;
        }

        p = ngx_pnalloc(r->pool, NGX_INT_T_LEN);
        if (p == NULL) {
            return NGX_ERROR;
        }

        value.data = p;
        value.len = ngx_sprintf(p, "%ui", ctx->route.port) - p;
        break;

    case NGX_HTTP_OSB_VAR_PREFIX:
        if (!ctx->keep) {
            value = ctx->prefix;
        }

        break;

    case NGX_HTTP_OSB_VAR_ENDPOINT:
        value = ctx->peer.name;
        break;

    case NGX_HTTP_OSB_VAR_MODE:
        value = ctx->mode->name;
        break;

    default: /* NGX_HTTP_OSB_VAR_STATUS */
        value = *ngx_http_osb_outcome_name(ngx_http_osb_outcome(ctx));
        break;
    }

    ngx_http_osb_set(v, &value);

    return NGX_OK;
}


static ngx_int_t
ngx_http_osb_host_variable(ngx_http_request_t *r, ngx_http_variable_value_t *v,
                           uintptr_t data)
{
    ngx_str_t value;

    ngx_http_osb_phases_read();

    if (ngx_http_osb_variables_host(r, ngx_http_osb_ctx_get(r), &value) !=
        NGX_OK) {
        return NGX_ERROR;
    }

    ngx_http_osb_set(v, &value);

    return NGX_OK;
}


ngx_int_t
ngx_http_osb_variables_host(ngx_http_request_t *r, ngx_http_osb_ctx_t *ctx,
                            ngx_str_t *host)
{
    ngx_http_osb_loc_conf_t *olcf;

    olcf = ngx_http_get_module_loc_conf(r, ngx_http_opensandbox_module);

    if (ctx && ctx->record && ctx->record->host.len) {
        *host = ngx_http_osb_text(ctx->record, &ctx->record->host);
        return NGX_OK;
    }

    if (ctx && ctx->endpoint && olcf->host_endpoint) {
        return ngx_http_osb_endpoint_host(r, ctx, host);
    }

    if (olcf->host) {
        return ngx_http_complex_value(r, olcf->host, host);
    }

    *host = ngx_http_osb_forwarded_host(r);

    /* HTTP/1.0: the request to the sandbox, in 1.1, must have one */

    if (host->len == 0 && ctx && ctx->endpoint) {
        return ngx_http_osb_endpoint_host(r, ctx, host);
    }

    return NGX_OK;
}


/* The name that was looked up rather than what it led to. */

static ngx_int_t
ngx_http_osb_endpoint_host(ngx_http_request_t *r, ngx_http_osb_ctx_t *ctx,
                           ngx_str_t *host)
{
    ngx_str_t                name;
    ngx_http_osb_endpoint_t *place;

    place = ctx->endpoint;

    if (place->kind == NGX_HTTP_OSB_ENDPOINT_UNIX) {
        ngx_str_set(host, "localhost");
        return NGX_OK;
    }

    if (ctx->resolved == NULL) {
        *host = ctx->peer.name;
        return NGX_OK;
    }

    name = ngx_http_osb_text(ctx->record, &place->text);

    host->data = ngx_pnalloc(r->pool, name.len + 1 + NGX_INT_T_LEN);
    if (host->data == NULL) {
        return NGX_ERROR;
    }

    host->len =
        ngx_sprintf(host->data, "%V:%ui", &name,
                    place->port ? (ngx_uint_t) place->port : ctx->route.port) -
        host->data;

    return NGX_OK;
}


static ngx_int_t
ngx_http_osb_client_variable(ngx_http_request_t        *r,
                             ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_str_t value;

    static ngx_str_t schemes[] = {ngx_string("http"), ngx_string("https")};

    switch (data) {

    case NGX_HTTP_OSB_CLIENT_SCHEME:
        value = schemes[ngx_http_osb_forwarded_https(r) ? 1 : 0];
        break;

    case NGX_HTTP_OSB_CLIENT_PORT:
        value = ngx_http_osb_forwarded_port(r);
        break;

    default: /* NGX_HTTP_OSB_CLIENT_HOST */
        value = ngx_http_osb_forwarded_host(r);
    }

    ngx_http_osb_set(v, &value);

    return NGX_OK;
}


/*
 * The protocols that the client wants to change to, and may; or, with data, the
 * Connection header that goes with them.
 */

static ngx_int_t
ngx_http_osb_upgrade_variable(ngx_http_request_t        *r,
                              ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_str_t value;

    ngx_str_null(&value);

    if (ngx_http_osb_upgrade_wanted(r)) {
        if (data) {
            ngx_str_set(&value, "upgrade");

        } else if (ngx_http_osb_upgrade_list(r, &value) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    ngx_http_osb_set(v, &value);

    return NGX_OK;
}


static ngx_int_t
ngx_http_osb_trace_variable(ngx_http_request_t *r, ngx_http_variable_value_t *v,
                            uintptr_t data)
{
    ngx_str_t value;

    if (ngx_http_osb_trace(r, (ngx_http_osb_trace_part_e) data, &value) !=
        NGX_OK) {
        return NGX_ERROR;
    }

    ngx_http_osb_set(v, &value);

    return NGX_OK;
}


static void
ngx_http_osb_set(ngx_http_variable_value_t *v, ngx_str_t *value)
{
    v->valid = 1;
    v->no_cacheable = 0;
    v->not_found = 0;
    v->data = value->data;
    v->len = value->len;
}
