/* SPDX-License-Identifier: Apache-2.0 */

#include "inner.h"


/*
 * GET /status.ok: that the gateway is there and, where opensandbox_sources
 * names some, that it knows what they have.
 */


static ngx_http_complex_value_t ngx_http_osb_alive_ok = {
    ngx_string("OK"), NULL, NULL, NULL, {0}};


static ngx_int_t
ngx_http_osb_alive_missing(ngx_http_request_t *r, ngx_str_t *name);


ngx_int_t
ngx_http_osb_alive_answer(ngx_http_request_t *r)
{
    ngx_str_t                *name;
    ngx_uint_t                i, n;
    ngx_http_osb_source_t     list[NGX_HTTP_OSB_SOURCES];
    ngx_http_osb_loc_conf_t  *olcf;
    ngx_http_osb_main_conf_t *omcf;

    olcf = ngx_http_get_module_loc_conf(r, ngx_http_opensandbox_module);
    omcf = ngx_http_get_module_main_conf(r, ngx_http_opensandbox_module);

    name = olcf->sources ? olcf->sources->elts : NULL;

    for (i = 0; name && i < olcf->sources->nelts; i++) {
        n = ngx_http_osb_registry_sources(omcf->zone, &name[i], list);

        if (n == 0 || list[0].fed == 0) {
            return ngx_http_osb_alive_missing(r, &name[i]);
        }
    }

    return ngx_http_send_response(r, NGX_HTTP_OK, NULL, &ngx_http_osb_alive_ok);
}


static ngx_int_t
ngx_http_osb_alive_missing(ngx_http_request_t *r, ngx_str_t *name)
{
    ngx_http_complex_value_t cv;

    static ngx_str_t second = ngx_string("1");
    static ngx_str_t json = ngx_string("application/json");

    ngx_memzero(&cv, sizeof(ngx_http_complex_value_t));

    cv.value.data = ngx_pnalloc(r->pool, 128 + 2 * name->len);

    if (cv.value.data == NULL ||
        ngx_http_osb_header_add(r, "Retry-After", &second) != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    /* a source's name has nothing to escape */

    cv.value.len =
        ngx_sprintf(cv.value.data,
                    "{\"code\":\"not_ready\",\"message\":\"source %V has not "
                    "been fed yet\",\"source\":\"%V\"}\n",
                    name, name) -
        cv.value.data;

    return ngx_http_send_response(r, NGX_HTTP_SERVICE_UNAVAILABLE, &json, &cv);
}
