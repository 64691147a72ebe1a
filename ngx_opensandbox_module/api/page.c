/* SPDX-License-Identifier: Apache-2.0 */

#include "inner.h"


/* What "/" of the API's server says to whoever looks there, with a token or
 * not: to a browser, the operator's page. */


ngx_int_t
ngx_http_osb_api_page(ngx_http_request_t *r)
{
    ngx_int_t rc;

    if (r->uri.len != 1 || !(r->method & (NGX_HTTP_GET | NGX_HTTP_HEAD))) {
        return NGX_DECLINED;
    }

    rc = ngx_http_discard_request_body(r);

    if (rc != NGX_OK) {
        return rc;
    }

    rc = ngx_http_osb_page_answer(r);

    if (rc != NGX_DECLINED) {
        return rc;
    }

    return ngx_http_osb_api_send(r, NGX_HTTP_OK,
                                 json_pack("{s:s,s:s}", "service",
                                           "OpenSandbox gateway", "api",
                                           "/v1/sandboxes"));
}
