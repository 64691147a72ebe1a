/* SPDX-License-Identifier: Apache-2.0 */

#include "inner.h"


/* What "/" of the API's server says to whoever looks there, with a token or
 * not. */


static ngx_str_t ngx_http_osb_page = ngx_string(
    "<!DOCTYPE html>\n<html lang=\"en\"><head>"
    "<title>OpenSandbox gateway: management API</title>\n"
    "<style>body{font:16px/1.5 sans-serif;max-width:40em;margin:4em auto;"
    "padding:0 1em}</style></head>\n<body>"
    "<h1>OpenSandbox gateway</h1>\n"
    "<p>This is the management API of a gateway into sandboxes. It is for "
    "programs; the sandboxes themselves are behind another address.</p>\n"
    "<ul>\n"
    "<li><code>GET /v1/sandboxes</code>: the records</li>\n"
    "<li><code>GET|PUT|PATCH|DELETE /v1/sandboxes/{id}</code>: one of "
    "them</li>\n"
    "<li><code>GET /v1/sandboxes/{id}/endpoints/{port}</code>: the address of "
    "a port, as clients reach it</li>\n"
    "<li><code>GET /v1/sandboxes/{id}/policy</code>: what the sandbox may "
    "reach</li>\n"
    "</ul>\n"
    "<p>Where the gateway has a token, send it as <code>Authorization: Bearer "
    "TOKEN</code>.</p>\n</body></html>\n");


ngx_int_t
ngx_http_osb_api_page(ngx_http_request_t *r)
{
    ngx_int_t                rc;
    ngx_http_complex_value_t body;

    static ngx_str_t html = ngx_string("text/html");
    static ngx_str_t no_store = ngx_string("no-store");

    if (r->uri.len != 1 || !(r->method & (NGX_HTTP_GET | NGX_HTTP_HEAD))) {
        return NGX_DECLINED;
    }

    rc = ngx_http_discard_request_body(r);

    if (rc != NGX_OK) {
        return rc;
    }

    if (!ngx_http_osb_accept_html(r)) {
        return ngx_http_osb_api_send(r, NGX_HTTP_OK,
                                     json_pack("{s:s,s:s}", "service",
                                               "OpenSandbox gateway", "api",
                                               "/v1/sandboxes"));
    }

    if (ngx_http_osb_header_add(r, "Cache-Control", &no_store) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_memzero(&body, sizeof(ngx_http_complex_value_t));

    body.value = ngx_http_osb_page;

    return ngx_http_send_response(r, NGX_HTTP_OK, &html, &body);
}
