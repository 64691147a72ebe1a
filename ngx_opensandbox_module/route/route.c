/* SPDX-License-Identifier: Apache-2.0 */

#include "route.h"


static char *
ngx_http_osb_route_id(ngx_http_osb_route_t *route, ngx_str_t *text);
static char *
ngx_http_osb_route_port(ngx_http_osb_route_t *route, ngx_str_t *text);
static ngx_uint_t
ngx_http_osb_is_signature(ngx_str_t *text);
static void
ngx_http_osb_route_signed(ngx_http_osb_route_t *route);
static ngx_int_t
ngx_http_osb_cut_signature(ngx_http_osb_route_t *route, ngx_str_t *rest);
static void
ngx_http_osb_cut(ngx_str_t *rest, ngx_str_t *segment);
static ngx_int_t
ngx_http_osb_cut_last(ngx_str_t *name, ngx_str_t *token);


/* what an id may hold, in lower case; 0 is for all else */

/* clang-format off */
static const u_char ngx_http_osb_folded[256] = {
    ['-'] = '-', ['.'] = '.', ['0'] = '0', ['1'] = '1', ['2'] = '2',
    ['3'] = '3', ['4'] = '4', ['5'] = '5', ['6'] = '6', ['7'] = '7',
    ['8'] = '8', ['9'] = '9', ['A'] = 'a', ['B'] = 'b', ['C'] = 'c',
    ['D'] = 'd', ['E'] = 'e', ['F'] = 'f', ['G'] = 'g', ['H'] = 'h',
    ['I'] = 'i', ['J'] = 'j', ['K'] = 'k', ['L'] = 'l', ['M'] = 'm',
    ['N'] = 'n', ['O'] = 'o', ['P'] = 'p', ['Q'] = 'q', ['R'] = 'r',
    ['S'] = 's', ['T'] = 't', ['U'] = 'u', ['V'] = 'v', ['W'] = 'w',
    ['X'] = 'x', ['Y'] = 'y', ['Z'] = 'z', ['a'] = 'a', ['b'] = 'b',
    ['c'] = 'c', ['d'] = 'd', ['e'] = 'e', ['f'] = 'f', ['g'] = 'g',
    ['h'] = 'h', ['i'] = 'i', ['j'] = 'j', ['k'] = 'k', ['l'] = 'l',
    ['m'] = 'm', ['n'] = 'n', ['o'] = 'o', ['p'] = 'p', ['q'] = 'q',
    ['r'] = 'r', ['s'] = 's', ['t'] = 't', ['u'] = 'u', ['v'] = 'v',
    ['w'] = 'w', ['x'] = 'x', ['y'] = 'y', ['z'] = 'z',
};
/* clang-format on */


ngx_int_t
ngx_http_osb_route_uri(ngx_http_osb_route_t *route, ngx_str_t *uri,
                       ngx_str_t *prefix)
{
    ngx_str_t rest, segment;

    ngx_memzero(route, sizeof(ngx_http_osb_route_t));

    rest = *uri;

    if (rest.len <= prefix->len ||
        ngx_memcmp(rest.data, prefix->data, prefix->len) != 0 ||
        rest.data[prefix->len] != '/')
    {
        route->error = "the path does not start with the sandbox prefix";
        return NGX_DECLINED;
    }

    rest.data += prefix->len;
    rest.len -= prefix->len;

    ngx_http_osb_cut(&rest, &segment);

    route->error = ngx_http_osb_route_id(route, &segment);
    if (route->error) {
        return NGX_ERROR;
    }

    ngx_http_osb_cut(&rest, &segment);

    if (prefix->len) {
        if (segment.len != 4 || ngx_strncmp(segment.data, "port", 4) != 0) {
            route->error = "\"/port/\" must follow the sandbox id";
            return NGX_ERROR;
        }

        ngx_http_osb_cut(&rest, &segment);
    }

    route->error = ngx_http_osb_route_port(route, &segment);
    if (route->error) {
        return NGX_ERROR;
    }

    route->prefix.data = uri->data;
    route->prefix.len = (size_t) (rest.data - uri->data);
    route->rest = rest;

    ngx_http_osb_route_signed(route);

    return NGX_OK;
}


ngx_int_t
ngx_http_osb_route_name(ngx_http_osb_route_t *route, ngx_str_t *name)
{
    ngx_str_t id, token;

    ngx_memzero(route, sizeof(ngx_http_osb_route_t));

    id = *name;

    if (ngx_http_osb_cut_last(&id, &token) != NGX_OK) {
        route->error = "\"{id}-{port}\" is expected";
        return NGX_ERROR;
    }

    if (ngx_http_osb_is_signature(&token)) {
        route->signature = token;

        if (ngx_http_osb_cut_last(&id, &route->expires) != NGX_OK ||
            ngx_http_osb_parse_expires(&route->expires) < 0)
        {
            route->error = "no valid expiry precedes the signature";
            return NGX_ERROR;
        }

        if (ngx_http_osb_cut_last(&id, &token) != NGX_OK) {
            route->error = "no port precedes the expiry";
            return NGX_ERROR;
        }
    }

    route->error = ngx_http_osb_route_port(route, &token);
    if (route->error) {
        return NGX_ERROR;
    }

    route->error = ngx_http_osb_route_id(route, &id);

    return route->error ? NGX_ERROR : NGX_OK;
}


ngx_int_t
ngx_http_osb_route_field(ngx_http_osb_route_t *route, ngx_str_t *value)
{
    char      *error;
    u_char    *dot;
    size_t     scheme;
    ngx_int_t  rc;
    ngx_str_t  label;
    ngx_uint_t i;

    static ngx_str_t schemes[] = {ngx_string("https://"),
                                  ngx_string("http://")};

    rc = ngx_http_osb_route_name(route, value);

    if (rc == NGX_OK) {
        return NGX_OK;
    }

    error = route->error;
    scheme = 0;

    for (i = 0; i < 2; i++) {
        if (value->len > schemes[i].len &&
            ngx_strncmp(value->data, schemes[i].data, schemes[i].len) == 0)
        {
            scheme = schemes[i].len;
        }
    }

    label.data = value->data + scheme;
    label.len = value->len - scheme;

    dot = memchr(label.data, '.', label.len);

    if (dot) {
        label.len = (size_t) (dot - label.data);
    }

    if (ngx_http_osb_route_name(route, &label) == NGX_OK) {
        return NGX_OK;
    }

    route->error = error;

    return rc;
}


ngx_int_t
ngx_http_osb_route_host(ngx_http_osb_route_t *route, ngx_str_t *host,
                        ngx_str_t *domain, ngx_uint_t dots)
{
    char     *error;
    u_char   *dot, *last;
    ngx_int_t rc;
    ngx_str_t name;

    ngx_memzero(route, sizeof(ngx_http_osb_route_t));

    name.data = host->data;
    last = host->data + host->len;

    if (domain->len) {

        dot = host->len > domain->len + 1 ? last - domain->len - 1 : NULL;

        if (dot == NULL || *dot != '.' ||
            ngx_memcmp(dot + 1, domain->data, domain->len) != 0)
        {
            route->error = "the host is not below the sandbox domain";
            return NGX_DECLINED;
        }

    } else {
        dot = memchr(host->data, '.', host->len);

        if (dot == NULL) {
            route->error = "the host has no sandbox label";
            return NGX_DECLINED;
        }
    }

    name.len = (size_t) (dot - name.data);

    if (memchr(name.data, '-', name.len)) {
        rc = ngx_http_osb_route_name(route, &name);

    } else {
        route->error = "the host has no sandbox label";
        rc = NGX_DECLINED;
    }

    if (domain->len || !dots) {
        return rc;
    }

    error = route->error;

    while (rc != NGX_OK) {
        dot = memchr(dot + 1, '.', (size_t) (last - dot - 1));

        if (dot == NULL) {
            route->error = error;
            return rc;
        }

        name.len = (size_t) (dot - name.data);

        if (ngx_http_osb_route_name(route, &name) == NGX_OK) {
            rc = NGX_OK;
        }
    }

    return rc;
}


ngx_int_t
ngx_http_osb_route_link(ngx_http_osb_route_t *route, ngx_str_t *uri)
{
    ngx_str_t rest, segment;

    rest = *uri;

    ngx_http_osb_cut(&rest, &segment);

    if (segment.len != sizeof(".opensandbox") - 1 ||
        ngx_strncmp(segment.data, ".opensandbox", segment.len) != 0 ||
        ngx_http_osb_cut_signature(route, &rest) != NGX_OK)
    {
        return NGX_DECLINED;
    }

    route->rest = rest;

    return NGX_OK;
}


ngx_uint_t
ngx_http_osb_valid_id(ngx_str_t *text)
{
    size_t i;

    if (text->len == 0 || text->len > NGX_HTTP_OSB_ID_LEN) {
        return 0;
    }

    for (i = 0; i < text->len; i++) {
        if (ngx_http_osb_folded[text->data[i]] == 0) {
            return 0;
        }
    }

    return 1;
}


void
ngx_http_osb_fold_id(u_char *p, ngx_str_t *id)
{
    size_t i;

    for (i = 0; i < id->len; i++) {
        p[i] = ngx_http_osb_folded[id->data[i]];
    }
}


ngx_uint_t
ngx_http_osb_parse_port(ngx_str_t *text)
{
    size_t     i;
    ngx_uint_t port;

    if (text->len == 0 || text->len > 5 || text->data[0] == '0') {
        return 0;
    }

    port = 0;

    for (i = 0; i < text->len; i++) {
        if (text->data[i] < '0' || text->data[i] > '9') {
            return 0;
        }

        port = port * 10 + (ngx_uint_t) (text->data[i] - '0');
    }

    return port <= 65535 ? port : 0;
}


int64_t
ngx_http_osb_parse_expires(ngx_str_t *text)
{
    size_t   i;
    u_char   ch;
    uint64_t value, digit;

    if (text->len == 0 || text->len > NGX_HTTP_OSB_EXPIRES_LEN ||
        (text->data[0] == '0' && text->len > 1))
    {
        return -1;
    }

    value = 0;

    for (i = 0; i < text->len; i++) {
        ch = text->data[i];

        if (ch >= '0' && ch <= '9') {
            digit = (uint64_t) (ch - '0');

        } else if (ch >= 'a' && ch <= 'z') {
            digit = (uint64_t) (ch - 'a' + 10);

        } else {
            return -1;
        }

        if (value > (UINT64_MAX - digit) / 36) {
            return -1;
        }

        value = value * 36 + digit;
    }

    return (int64_t) ngx_min(value, INT64_MAX);
}


static char *
ngx_http_osb_route_id(ngx_http_osb_route_t *route, ngx_str_t *text)
{
    if (text->len == 0) {
        return "the sandbox id is missing";
    }

    if (!ngx_http_osb_valid_id(text)) {
        return "a sandbox id has 1 to 63 letters, digits, dots and hyphens";
    }

    route->id = *text;

    return NULL;
}


static char *
ngx_http_osb_route_port(ngx_http_osb_route_t *route, ngx_str_t *text)
{
    route->port = ngx_http_osb_parse_port(text);

    if (route->port == 0) {
        return "a port is a number from 1 to 65535 without leading zeros";
    }

    return NULL;
}


static ngx_uint_t
ngx_http_osb_is_signature(ngx_str_t *text)
{
    size_t i;
    u_char ch;

    if (text->len == NGX_HTTP_OSB_SHORT_SIG_LEN) {

        for (i = 0; i < text->len - 1; i++) {
            ch = text->data[i];

            if ((ch < '0' || ch > '9') && (ch < 'a' || ch > 'f')) {
                return 0;
            }
        }

    } else if (text->len == NGX_HTTP_OSB_LONG_SIG_LEN) {

        for (i = 0; i < text->len - 1; i++) {
            ch = text->data[i];

            if ((ch < '2' || ch > '7') && (ch < 'a' || ch > 'z')) {
                return 0;
            }
        }

    } else {
        return 0;
    }

    ch = text->data[text->len - 1];

    return (ch >= '0' && ch <= '9') || (ch >= 'a' && ch <= 'z');
}


static void
ngx_http_osb_route_signed(ngx_http_osb_route_t *route)
{
    ngx_str_t rest;

    rest = route->rest;

    /* two segments at least; most paths are told apart by this alone */

    if (rest.len < 2 || memchr(rest.data + 1, '/', rest.len - 1) == NULL) {
        return;
    }

    if (ngx_http_osb_cut_signature(route, &rest) == NGX_OK) {
        route->signed_prefix.data = route->prefix.data;
        route->signed_prefix.len = (size_t) (rest.data - route->prefix.data);
        route->signed_rest = rest;
    }
}


/* Cuts "/{expires}/{signature}" off the front into the route. */

static ngx_int_t
ngx_http_osb_cut_signature(ngx_http_osb_route_t *route, ngx_str_t *rest)
{
    ngx_str_t expires, signature;

    ngx_http_osb_cut(rest, &expires);
    ngx_http_osb_cut(rest, &signature);

    if (!ngx_http_osb_is_signature(&signature) ||
        ngx_http_osb_parse_expires(&expires) < 0)
    {
        return NGX_DECLINED;
    }

    route->expires = expires;
    route->signature = signature;

    return NGX_OK;
}


/* Cuts "/segment" off the front; an empty segment where there is none. */

static void
ngx_http_osb_cut(ngx_str_t *rest, ngx_str_t *segment)
{
    u_char *p, *last;

    segment->len = 0;
    segment->data = rest->data;

    if (rest->len == 0 || rest->data[0] != '/') {
        return;
    }

    last = rest->data + rest->len;

    segment->data = rest->data + 1;

    for (p = segment->data; p < last; p++) {

        /* most of it is what an id may hold */

        if (ngx_http_osb_folded[*p] == 0 &&
            (*p == '/' || *p == '?' || *p == '#')) {
            break;
        }
    }

    segment->len = (size_t) (p - segment->data);

    rest->data = p;
    rest->len = (size_t) (last - p);
}


/* Cuts "-token" off the end. */

static ngx_int_t
ngx_http_osb_cut_last(ngx_str_t *name, ngx_str_t *token)
{
    size_t i;

    for (i = name->len; i > 0; i--) {

        if (name->data[i - 1] == '-') {
            token->data = name->data + i;
            token->len = name->len - i;

            name->len = i - 1;

            return NGX_OK;
        }
    }

    ngx_str_null(token);

    return NGX_DECLINED;
}
