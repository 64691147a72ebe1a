/* SPDX-License-Identifier: Apache-2.0 */

#include "inner.h"
#include "access/access.h"


/*
 * A browser reaches the API for whatever page it shows.  A page does not know
 * the token; without one the API obeys pages of its own origin alone.  A page
 * whose own name has been made to lead here (DNS rebinding) is of the same
 * origin, and is known by its host: neither an address nor a name without a dot
 * is an outsider's to give.
 */


static ngx_uint_t
ngx_http_osb_browser_asks(ngx_http_request_t *r);
static ngx_uint_t
ngx_http_osb_browser_own_host(ngx_http_request_t *r);
static ngx_uint_t
ngx_http_osb_browser_ends(ngx_str_t *host, const char *tail, size_t len);


ngx_int_t
ngx_http_osb_browser_init(ngx_conf_t *cf)
{
    ngx_str_t  *name;
    ngx_uint_t  i, j;
    ngx_array_t own;

    ngx_http_core_main_conf_t *cmcf;
    ngx_http_core_srv_conf_t **cscf;
    ngx_http_server_name_t    *names;
    ngx_http_osb_loc_conf_t   *server;

    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);
    cscf = cmcf->servers.elts;

    for (i = 0; i < cmcf->servers.nelts; i++) {
        names = cscf[i]->server_names.elts;
        server = cscf[i]->ctx->loc_conf[ngx_http_opensandbox_module.ctx_index];

        if (ngx_array_init(&own, cf->pool, cscf[i]->server_names.nelts + 1,
                           sizeof(ngx_str_t)) != NGX_OK)
        {
            return NGX_ERROR;
        }

        for (j = 0; j < cscf[i]->server_names.nelts; j++) {
#if (NGX_PCRE)
            if (names[j].regex) {
                continue;
            }
#endif
            name = ngx_array_push(&own);
            *name = names[j].name;
        }

        server->names = own;
    }

    return NGX_OK;
}


const char *
ngx_http_osb_browser_foreign(ngx_http_request_t      *r,
                             ngx_http_osb_loc_conf_t *olcf)
{
    if (olcf->api_tokens) {
        return NULL;
    }

    if (!ngx_http_osb_origin_navigation(r) && ngx_http_osb_origin_elsewhere(r))
    {
        return "without a token the API takes nothing from pages of another "
               "origin; set opensandbox_api_token";
    }

    if (ngx_http_osb_browser_asks(r) && !ngx_http_osb_browser_own_host(r)) {
        return "without a token the API takes nothing from pages under this "
               "host's name; set opensandbox_api_token, or the server_name";
    }

    return NULL;
}


/*
 * Over TLS and at localhost browsers tell more, and nobody's DNS leads there:
 * the certificate is of another name.  Node.js's fetch() names a mode without
 * a site, which no page can.
 */

static ngx_uint_t
ngx_http_osb_browser_asks(ngx_http_request_t *r)
{
    ngx_uint_t n;

    static ngx_str_t site = ngx_string("sec-fetch-site");
    static ngx_str_t mode = ngx_string("sec-fetch-mode");
    static ngx_str_t origin = ngx_string("origin");
    static ngx_str_t language = ngx_string("accept-language");

    return ngx_http_osb_header_find(r, &site, &n) == NULL &&
           ngx_http_osb_header_find(r, &mode, &n) == NULL &&
           (ngx_http_osb_header_find(r, &origin, &n) ||
            ngx_http_osb_header_find(r, &language, &n));
}


static ngx_uint_t
ngx_http_osb_browser_own_host(ngx_http_request_t *r)
{
    ngx_str_t                host, *name;
    ngx_uint_t               i, wild;
    ngx_http_osb_loc_conf_t *server;

    ngx_http_core_srv_conf_t *cscf;

    static const char localhost[] = ".localhost";

    host = r->headers_in.server;

    if (memchr(host.data, '.', host.len) == NULL || host.data[0] == '[' ||
        ngx_inet_addr(host.data, host.len) != INADDR_NONE ||
        ngx_http_osb_browser_ends(&host, localhost, sizeof(localhost) - 1))
    {
        return 1;
    }

    cscf = ngx_http_get_module_srv_conf(r, ngx_http_core_module);
    server = cscf->ctx->loc_conf[ngx_http_opensandbox_module.ctx_index];

    name = server->names.elts;

    for (i = 0; i < server->names.nelts; i++) {

        /* "*.example.com", ".example.com" */

        wild = name[i].len > 1 && name[i].data[0] == '*';

        if ((host.len == name[i].len || wild || name[i].data[0] == '.') &&
            ngx_http_osb_browser_ends(&host, (char *) name[i].data + wild,
                                      name[i].len - wild))
        {
            return 1;
        }
    }

    return 0;
}


static ngx_uint_t
ngx_http_osb_browser_ends(ngx_str_t *host, const char *tail, size_t len)
{
    return host->len >= len && ngx_strncasecmp(host->data + host->len - len,
                                               (u_char *) tail, len) == 0;
}
