/* SPDX-License-Identifier: Apache-2.0 */

#ifndef _NGX_HTTP_OSB_REQUEST_INNER_H_INCLUDED_
#define _NGX_HTTP_OSB_REQUEST_INNER_H_INCLUDED_


#include "request.h"
#include "proxy/proxy.h"


/* request/mode.c: reads the route by the location's modes, one by one */
ngx_int_t
ngx_http_osb_mode_read(ngx_http_request_t *r, ngx_http_osb_loc_conf_t *olcf,
                       ngx_http_osb_ctx_t *ctx);


/*
 * request/follow.c: makes the route that the asking page tells.  NGX_OK;
 * NGX_DECLINED, maybe with ctx->reason set; or NGX_ERROR.
 */
ngx_int_t
ngx_http_osb_follow(ngx_http_request_t *r, ngx_http_osb_loc_conf_t *olcf,
                    ngx_http_osb_ctx_t *ctx);


/* request/uri.c: sets ctx->rest, from the root at least; NGX_OK or NGX_ERROR */
ngx_int_t
ngx_http_osb_uri_rest(ngx_http_request_t *r, ngx_http_osb_ctx_t *ctx,
                      ngx_str_t *rest);


#endif /* _NGX_HTTP_OSB_REQUEST_INNER_H_INCLUDED_ */
