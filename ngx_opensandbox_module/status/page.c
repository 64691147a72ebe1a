/* SPDX-License-Identifier: Apache-2.0 */

#include "inner.h"
#include "api/api.h"

/* conf/page, made by this module's config */
#include "opensandbox_page.h"


/*
 * The operator's page.  It has no data: it asks the status, and the management
 * API with a token that the operator gives it.
 */


typedef struct {
    ngx_str_t name; /* empty: the page itself */
    ngx_str_t type;
    ngx_str_t text;
} ngx_http_osb_file_t;


#define ngx_http_osb_file(name, type, text) \
    {                                       \
        ngx_string(name), ngx_string(type), \
        {                                   \
            sizeof(text), text              \
        }                                   \
    }


static ngx_http_osb_file_t *
ngx_http_osb_page_find(ngx_http_request_t *r);
static ngx_int_t
ngx_http_osb_page_access(ngx_http_request_t *r, ngx_str_t *text);


static ngx_http_osb_file_t ngx_http_osb_files[] = {
    ngx_http_osb_file("", "text/html; charset=utf-8",
                      ngx_http_osb_file_page_html),
    ngx_http_osb_file("page.css", "text/css; charset=utf-8",
                      ngx_http_osb_file_page_css),
    ngx_http_osb_file("page.js", "text/javascript; charset=utf-8",
                      ngx_http_osb_file_page_js),
    ngx_http_osb_file("icon.svg", "image/svg+xml", ngx_http_osb_file_icon_svg),

    /* what the page is to ask, made for each request */
    {ngx_string("page.json"), ngx_string("application/json"), ngx_null_string},
};


static struct {
    const char *name;
    ngx_str_t   value;
} ngx_http_osb_page_headers[] = {
    {"Content-Security-Policy",
     ngx_string("default-src 'self'; base-uri 'none'; form-action 'none'; "
                "frame-ancestors 'none'; object-src 'none'")},
    {"X-Content-Type-Options", ngx_string("nosniff")},
    {"Referrer-Policy", ngx_string("no-referrer")},
    {"Cache-Control", ngx_string("no-cache")},
    {"Vary", ngx_string("Accept")},
};


ngx_int_t
ngx_http_osb_page_answer(ngx_http_request_t *r)
{
    ngx_uint_t               i;
    ngx_http_osb_file_t     *file;
    ngx_http_complex_value_t body;

    file = ngx_http_osb_page_find(r);

    if (file == NULL) {
        return NGX_DECLINED;
    }

    for (i = 0; i < sizeof(ngx_http_osb_page_headers) /
                        sizeof(ngx_http_osb_page_headers[0]);
         i++)
    {
        if (ngx_http_osb_header_add(r, ngx_http_osb_page_headers[i].name,
                                    &ngx_http_osb_page_headers[i].value) !=
            NGX_OK)
        {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }
    }

    ngx_memzero(&body, sizeof(ngx_http_complex_value_t));

    body.value = file->text;

    if (file->text.len == 0 &&
        ngx_http_osb_page_access(r, &body.value) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_send_response(r, NGX_HTTP_OK, &file->type, &body);
}


/* A format that is named is never the page. */

static ngx_http_osb_file_t *
ngx_http_osb_page_find(ngx_http_request_t *r)
{
    ngx_str_t            name;
    ngx_uint_t           i;
    ngx_http_osb_file_t *file;

    if (ngx_http_osb_api_arg(r, "file", &name) == NGX_OK) {

        for (i = 1;
             i < sizeof(ngx_http_osb_files) / sizeof(ngx_http_osb_files[0]);
             i++) {
            file = &ngx_http_osb_files[i];

            if (ngx_memn2cmp(file->name.data, name.data, file->name.len,
                             name.len) == 0) {
                return file;
            }
        }

        return NULL;
    }

    if (ngx_http_osb_api_arg(r, "format", &name) == NGX_OK ||
        !ngx_http_osb_accept_html(r))
    {
        return NULL;
    }

    return &ngx_http_osb_files[0];
}


/*
 * Whether the page's server has a management API, that a token, and the server
 * a location in uri mode: then pages of sandboxes are of the page's own origin,
 * and may do whatever it may.
 */

static ngx_int_t
ngx_http_osb_page_access(ngx_http_request_t *r, ngx_str_t *text)
{
    ngx_uint_t                i, shared;
    ngx_http_osb_gateway_t   *gateway;
    ngx_http_osb_loc_conf_t  *server;
    ngx_http_core_srv_conf_t *cscf;
    ngx_http_osb_main_conf_t *omcf;

    enum {
        size = 64
    };

    omcf = ngx_http_get_module_main_conf(r, ngx_http_opensandbox_module);
    cscf = ngx_http_get_module_srv_conf(r, ngx_http_core_module);
    server = cscf->ctx->loc_conf[ngx_http_opensandbox_module.ctx_index];

    gateway = omcf->gateways.elts;
    shared = 0;

    for (i = 0; i < omcf->gateways.nelts; i++) {
        shared |= gateway[i].server == cscf &&
                  (ngx_http_osb_mode_flags(gateway[i].location->mode) &
                   NGX_HTTP_OSB_MODE_PREFIX);
    }

    text->data = ngx_pnalloc(r->pool, size);
    if (text->data == NULL) {
        return NGX_ERROR;
    }

    text->len =
        (size_t) (ngx_snprintf(text->data, size,
                               "{\"api\":%s,\"token\":%s,\"shared\":%s}\n",
                               server->api ? "true" : "false",
                               server->api && server->api->api_tokens ? "true"
                                                                      : "false",
                               shared ? "true" : "false") -
                  text->data);

    return NGX_OK;
}
