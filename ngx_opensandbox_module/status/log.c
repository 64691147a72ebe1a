/* SPDX-License-Identifier: Apache-2.0 */

#include "inner.h"
#include "api/api.h"
#include "proxy/proxy.h"


/* Counts each request, when nginx logs it. */


static ngx_int_t
ngx_http_osb_log_handler(ngx_http_request_t *r);
static void
ngx_http_osb_log_api(ngx_http_request_t *r);


ngx_int_t
ngx_http_osb_log_init(ngx_conf_t *cf)
{
    ngx_http_handler_pt       *h;
    ngx_http_core_main_conf_t *cmcf;

    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);

    h = ngx_array_push(&cmcf->phases[NGX_HTTP_LOG_PHASE].handlers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    *h = ngx_http_osb_log_handler;

    return NGX_OK;
}


static ngx_int_t
ngx_http_osb_log_handler(ngx_http_request_t *r)
{
    ngx_uint_t             mode;
    ngx_http_osb_ctx_t    *ctx;
    ngx_http_osb_meters_t *meters;

    if (r->content_handler == ngx_http_osb_api_handler) {
        ngx_http_osb_log_api(r);
        return NGX_OK;
    }

    ctx = ngx_http_osb_ctx_own(r);
    if (ctx == NULL) {
        return NGX_OK;
    }

    meters = ngx_http_osb_meters();

    /* nginx may have answered before the route was followed */

    if (ctx->record == NULL && ctx->status == NGX_HTTP_OSB_OK) {
        return NGX_OK;
    }

    if (ctx->record) {
        ngx_http_osb_activity_request(&ctx->id);
    }

    for (mode = 0; mode < NGX_HTTP_OSB_MODES_MAX; mode++) {
        if (ctx->mode->bit == (ngx_uint_t) 1 << mode) {
            meters->requests[mode][ngx_http_osb_outcome(ctx)]++;
            break;
        }
    }

    return NGX_OK;
}


static void
ngx_http_osb_log_api(ngx_http_request_t *r)
{
    ngx_uint_t i, class;

    for (i = 0; i < NGX_HTTP_OSB_METER_METHODS - 1; i++) {
        if (ngx_http_osb_meter_methods[i].len == r->method_name.len &&
            ngx_strncmp(ngx_http_osb_meter_methods[i].data, r->method_name.data,
                        r->method_name.len) == 0)
        {
            break;
        }
    }

    /* what was never answered was the client's doing */

    class = r->headers_out.status / 100;

    if (class < 2 || class > 5) {
        class = 4;
    }

    ngx_http_osb_meters()->api[i][class - 2]++;
}
