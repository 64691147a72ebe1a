/* SPDX-License-Identifier: Apache-2.0 */

#include "inner.h"


/*
 * Pages of other origins (Fetch, 3.2).  A browser asks before it sends a token
 * or a routing header, and sends neither with the question: where the gateway
 * would refuse it, it answers itself.  What a sandbox answers is the sandbox's.
 */


/* where a star stands for the first labels, what is around it */
typedef struct {
    ngx_str_t  start; /* or all of it */
    ngx_str_t  end;
    ngx_uint_t wild;
} ngx_http_osb_origin_t;


static ngx_int_t
ngx_http_osb_cors_grant(ngx_http_request_t *r, ngx_table_elt_t *method,
                        ngx_table_elt_t *headers, ngx_table_elt_t *network);
static char *
ngx_http_osb_cors_origin(ngx_conf_t *cf, ngx_str_t *value,
                         ngx_http_osb_origin_t *origin);
static ngx_int_t
ngx_http_osb_cors_allow(ngx_http_request_t *r, ngx_array_t *origins);
static ngx_uint_t
ngx_http_osb_cors_match(ngx_array_t *origins, ngx_str_t *origin);
static ngx_uint_t
ngx_http_osb_cors_any(ngx_array_t *origins);
static ngx_table_elt_t *
ngx_http_osb_cors_given(ngx_http_request_t *r, const char *name);
static ngx_uint_t
ngx_http_osb_cors_list(ngx_str_t *text, ngx_uint_t list);


char *
ngx_http_osb_cors(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_osb_loc_conf_t *olcf = conf;

    char                  *error;
    ngx_str_t             *value;
    ngx_uint_t             i;
    ngx_http_osb_origin_t *origin;

    if (olcf->cors != NGX_CONF_UNSET_PTR) {
        return "is duplicate";
    }

    value = cf->args->elts;
    olcf->cors = NULL;

    if (cf->args->nelts == 2 && ngx_strcmp(value[1].data, "off") == 0) {
        return NGX_CONF_OK;
    }

    olcf->cors = ngx_array_create(cf->pool, cf->args->nelts - 1,
                                  sizeof(ngx_http_osb_origin_t));
    if (olcf->cors == NULL) {
        return NGX_CONF_ERROR;
    }

    for (i = 1; i < cf->args->nelts; i++) {
        origin = ngx_array_push(olcf->cors);
        if (origin == NULL) {
            return NGX_CONF_ERROR;
        }

        error = ngx_http_osb_cors_origin(cf, &value[i], origin);

        if (error == NULL && cf->args->nelts > 2 &&
            ngx_strcmp(value[i].data, "*") == 0) {
            error = "\"*\" goes with no other";
        }

        if (error) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid origin \"%V\": %s", &value[i], error);
            return NGX_CONF_ERROR;
        }
    }

    return NGX_CONF_OK;
}


/* As a browser writes it: lower case, without the scheme's own port. */

static char *
ngx_http_osb_cors_origin(ngx_conf_t *cf, ngx_str_t *value,
                         ngx_http_osb_origin_t *origin)
{
    u_char   *p, *host, *last, *port;
    ngx_str_t own;

    ngx_memzero(origin, sizeof(ngx_http_osb_origin_t));
    origin->start = *value;

    if (ngx_strcmp(value->data, "*") == 0 ||
        ngx_strcmp(value->data, "null") == 0) {
        return NULL;
    }

    ngx_strlow(value->data, value->data, value->len);

    last = value->data + value->len;
    host = ngx_strnstr(value->data, "://", value->len);

    if (host == NULL || host == value->data || host + 3 == last) {
        return "\"SCHEME://HOST[:PORT]\", \"*\", \"null\" or \"off\" is "
               "expected";
    }

    ngx_str_null(&own);

    if (ngx_strncmp(value->data, "http://", 7) == 0) {
        ngx_str_set(&own, ":80");

    } else if (ngx_strncmp(value->data, "https://", 8) == 0) {
        ngx_str_set(&own, ":443");
    }

    host += 3;
    port = NULL;

    for (p = host; p < last; p++) {
        if (ngx_strchr("/?#@\\ \"", *p)) {
            return "an origin has no path, query or user";
        }

        if (*p == '*' && (p != host || last - p < 3 || p[1] != '.')) {
            return "a \"*\" stands for the first labels of a host";
        }

        port = (*p == ':') ? p : (*p == ']') ? NULL : port;
    }

    if (port && own.len && (size_t) (last - port) == own.len &&
        ngx_memcmp(port, own.data, own.len) == 0)
    {
        last = port;
    }

    origin->start.len = (size_t) (last - value->data);

    if (*host == '*') {
        origin->wild = 1;
        origin->start.len = (size_t) (host - value->data);
        origin->end.data = host + 1;
        origin->end.len = (size_t) (last - origin->end.data);
    }

    return NULL;
}


ngx_int_t
ngx_http_osb_cors_preflight(ngx_http_request_t *r)
{
    ngx_int_t                rc;
    ngx_table_elt_t         *method, *headers, *network;
    ngx_http_osb_loc_conf_t *olcf;

    olcf = ngx_http_get_module_loc_conf(r, ngx_http_opensandbox_module);

    if (olcf->cors == NULL || r->method != NGX_HTTP_OPTIONS) {
        return NGX_DECLINED;
    }

    method = ngx_http_osb_cors_given(r, "access-control-request-method");
    headers = ngx_http_osb_cors_given(r, "access-control-request-headers");
    network =
        ngx_http_osb_cors_given(r, "access-control-request-private-network");

    if (method == NULL || !ngx_http_osb_cors_list(&method->value, 0) ||
        (headers && !ngx_http_osb_cors_list(&headers->value, 1)))
    {
        return NGX_DECLINED;
    }

    rc = ngx_http_osb_cors_allow(r, olcf->cors);

    if (rc != NGX_OK) {
        return rc;
    }

    rc = ngx_http_discard_request_body(r);

    if (rc != NGX_OK) {
        return rc;
    }

    if (ngx_http_osb_cors_grant(r, method, headers, network) != NGX_OK) {
        return NGX_ERROR;
    }

    r->headers_out.status = NGX_HTTP_NO_CONTENT;
    r->header_only = 1;

    return ngx_http_send_header(r);
}


/* What is asked for is allowed: any of it may go to a sandbox. */

static ngx_int_t
ngx_http_osb_cors_grant(ngx_http_request_t *r, ngx_table_elt_t *method,
                        ngx_table_elt_t *headers, ngx_table_elt_t *network)
{
    static ngx_str_t age = ngx_string("600");
    static ngx_str_t yes = ngx_string("true");
    static ngx_str_t vary =
        ngx_string("Access-Control-Request-Method, "
                   "Access-Control-Request-Headers, "
                   "Access-Control-Request-Private-Network");

    if (ngx_http_osb_header_add(r, "Vary", &vary) != NGX_OK ||
        ngx_http_osb_header_add(r, "Access-Control-Allow-Methods",
                                &method->value) != NGX_OK ||
        ngx_http_osb_header_add(r, "Access-Control-Max-Age", &age) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (headers && ngx_http_osb_header_add(r, "Access-Control-Allow-Headers",
                                           &headers->value) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (network && network->value.len == yes.len &&
        ngx_memcmp(network->value.data, yes.data, yes.len) == 0 &&
        ngx_http_osb_header_add(r, "Access-Control-Allow-Private-Network",
                                &yes) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_osb_cors_error(ngx_http_request_t *r)
{
    ngx_int_t                rc;
    ngx_http_osb_loc_conf_t *olcf;

    static ngx_str_t names = ngx_string("Retry-After, WWW-Authenticate");

    olcf = ngx_http_get_module_loc_conf(r, ngx_http_opensandbox_module);

    if (olcf->cors == NULL) {
        return NGX_OK;
    }

    rc = ngx_http_osb_cors_allow(r, olcf->cors);

    if (rc == NGX_OK) {
        return ngx_http_osb_header_add(r, "Access-Control-Expose-Headers",
                                       &names);
    }

    return rc == NGX_ERROR ? NGX_ERROR : NGX_OK;
}


/* Adds what lets the page read the answer; NGX_DECLINED if it may not. */

static ngx_int_t
ngx_http_osb_cors_allow(ngx_http_request_t *r, ngx_array_t *origins)
{
    ngx_uint_t       any;
    ngx_table_elt_t *origin;

    static ngx_str_t star = ngx_string("*");
    static ngx_str_t yes = ngx_string("true");
    static ngx_str_t vary = ngx_string("Origin");

    any = ngx_http_osb_cors_any(origins);
    origin = ngx_http_osb_cors_given(r, "origin");

    /* a cache is not to give one page's answer to another one */

    if (!any && ngx_http_osb_header_add(r, "Vary", &vary) != NGX_OK) {
        return NGX_ERROR;
    }

    if (origin == NULL ||
        (!any && !ngx_http_osb_cors_match(origins, &origin->value)))
    {
        return NGX_DECLINED;
    }

    if (ngx_http_osb_header_add(r, "Access-Control-Allow-Origin",
                                any ? &star : &origin->value) != NGX_OK)
    {
        return NGX_ERROR;
    }

    /* "null" is the origin of anybody's frame, as "*" is anybody's */

    if (any || origin->value.len == 4) {
        return NGX_OK;
    }

    return ngx_http_osb_header_add(r, "Access-Control-Allow-Credentials", &yes);
}


static ngx_uint_t
ngx_http_osb_cors_match(ngx_array_t *origins, ngx_str_t *origin)
{
    u_char                *p, *last;
    ngx_uint_t             i;
    ngx_http_osb_origin_t *o;

    o = origins->elts;

    for (i = 0; i < origins->nelts; i++) {

        if (!o[i].wild) {
            if (o[i].start.len == origin->len &&
                ngx_memcmp(o[i].start.data, origin->data, origin->len) == 0)
            {
                return 1;
            }

            continue;
        }

        if (origin->len <= o[i].start.len + o[i].end.len ||
            ngx_memcmp(o[i].start.data, origin->data, o[i].start.len) != 0)
        {
            continue;
        }

        last = origin->data + origin->len - o[i].end.len;

        if (ngx_memcmp(o[i].end.data, last, o[i].end.len) != 0) {
            continue;
        }

        for (p = origin->data + o[i].start.len; p < last; p++) {
            if ((*p < 'a' || *p > 'z') && (*p < '0' || *p > '9') && *p != '-' &&
                *p != '_' && *p != '.')
            {
                break;
            }
        }

        if (p == last) {
            return 1;
        }
    }

    return 0;
}


static ngx_uint_t
ngx_http_osb_cors_any(ngx_array_t *origins)
{
    ngx_http_osb_origin_t *origin;

    origin = origins->elts;

    return origin->start.len == 1; /* "*" */
}


/* A header that is there once. */

static ngx_table_elt_t *
ngx_http_osb_cors_given(ngx_http_request_t *r, const char *name)
{
    ngx_str_t        text;
    ngx_uint_t       n;
    ngx_table_elt_t *h;

    text.data = (u_char *) name;
    text.len = ngx_strlen(name);

    h = ngx_http_osb_header_find(r, &text, &n);

    return n == 1 ? h : NULL;
}


/* Whether it is a token (RFC 9110, 5.6.2), or a list of them. */

static ngx_uint_t
ngx_http_osb_cors_list(ngx_str_t *text, ngx_uint_t list)
{
    size_t i;
    u_char ch;

    for (i = 0; i < text->len; i++) {
        ch = text->data[i];

        if ((ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z') ||
            (ch >= '0' && ch <= '9') ||
            (ch && ngx_strchr("!#$%&'*+-.^_`|~", ch)))
        {
            continue;
        }

        if (!list || (ch != ',' && ch != ' ' && ch != '\t')) {
            return 0;
        }
    }

    return list || text->len;
}
