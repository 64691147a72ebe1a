/* SPDX-License-Identifier: Apache-2.0 */

#include "inner.h"


static ngx_inline u_char *
ngx_http_osb_endpoint_number(u_char *p, uint32_t n);
static const char *
ngx_http_osb_endpoint_host(ngx_http_osb_endpoint_t *endpoint, ngx_str_t *value,
                           u_char *addr, ngx_str_t *text);
static const char *
ngx_http_osb_endpoint_name(ngx_str_t *name);
static const char *
ngx_http_osb_endpoint_usable(ngx_str_t *addr);


const char *
ngx_http_osb_endpoint_parse(ngx_http_osb_endpoint_t *endpoint, ngx_str_t value,
                            ngx_uint_t with_port, u_char *addr, ngx_str_t *text)
{
    u_char   *colon;
    ngx_str_t port;

    ngx_str_null(text);
    ngx_memzero(endpoint, sizeof(ngx_http_osb_endpoint_t));

    if (value.len > 5 && ngx_strncmp(value.data, "unix:", 5) == 0) {
        endpoint->kind = NGX_HTTP_OSB_ENDPOINT_UNIX;

        text->data = value.data + 5;
        text->len = value.len - 5;

        if (text->data[0] != '/' || text->len > NGX_HTTP_OSB_UNIX_LEN ||
            memchr(text->data, '\0', text->len))
        {
            return "a unix socket needs an absolute path of at most 96 bytes";
        }

        return NULL;
    }

    if (with_port) {
        colon = value.len ? memrchr(value.data, ':', value.len) : NULL;

        if (colon == NULL) {
            return "\"address:port\" or \"unix:/path\" is expected";
        }

        port.data = colon + 1;
        port.len = (size_t) (value.data + value.len - port.data);
        value.len = (size_t) (colon - value.data);

        endpoint->port = (uint16_t) ngx_http_osb_parse_port(&port);

        if (endpoint->port == 0) {
            return "the address ends in a bad port";
        }
    }

    return ngx_http_osb_endpoint_host(endpoint, &value, addr, text);
}


/* An address, or else a host name. */

static const char *
ngx_http_osb_endpoint_host(ngx_http_osb_endpoint_t *endpoint, ngx_str_t *value,
                           u_char *addr, ngx_str_t *text)
{
    char buf[INET6_ADDRSTRLEN];

    if (value->len > 2 && value->data[0] == '[' &&
        value->data[value->len - 1] == ']' && value->len - 2 < sizeof(buf))
    {
        ngx_memcpy(buf, value->data + 1, value->len - 2);
        buf[value->len - 2] = '\0';

        if (strlen(buf) != value->len - 2 ||
            inet_pton(AF_INET6, buf, addr) != 1) {
            return "this is not an IPv6 address";
        }

        endpoint->kind = NGX_HTTP_OSB_ENDPOINT_INET6;
        text->data = addr;
        text->len = sizeof(struct in6_addr);

        return ngx_http_osb_endpoint_usable(text);
    }

    if (value->len && value->len < INET_ADDRSTRLEN) {
        ngx_memcpy(buf, value->data, value->len);
        buf[value->len] = '\0';

        if (strlen(buf) == value->len && inet_pton(AF_INET, buf, addr) == 1) {
            endpoint->kind = NGX_HTTP_OSB_ENDPOINT_INET;
            text->data = addr;
            text->len = sizeof(struct in_addr);

            return ngx_http_osb_endpoint_usable(text);
        }
    }

    endpoint->kind = NGX_HTTP_OSB_ENDPOINT_NAME;
    *text = *value;

    return ngx_http_osb_endpoint_name(text);
}


u_char *
ngx_http_osb_endpoint_print(u_char *buf, ngx_http_osb_endpoint_t *endpoint,
                            ngx_str_t *text, ngx_uint_t port)
{
    char       address[INET6_ADDRSTRLEN];
    ngx_uint_t i;

    switch (endpoint->kind) {

    case NGX_HTTP_OSB_ENDPOINT_INET:

        /* of nearly every request, and many times faster than inet_ntop() */

        for (i = 0; i < 4; i++) {
            buf = ngx_http_osb_endpoint_number(buf, text->data[i]);
            *buf++ = '.';
        }

        buf--;
        break;

    case NGX_HTTP_OSB_ENDPOINT_INET6:
        (void) inet_ntop(AF_INET6, text->data, address, sizeof(address));
        buf = ngx_sprintf(buf, "[%s]", address);
        break;

    case NGX_HTTP_OSB_ENDPOINT_NAME:
        buf = ngx_sprintf(buf, "%V", text);
        break;

    case NGX_HTTP_OSB_ENDPOINT_UNIX:
        return ngx_sprintf(buf, "unix:%V", text);

    default:
        return buf;
    }

    if (port) {
        *buf++ = ':';
        buf = ngx_http_osb_endpoint_number(buf, (uint32_t) port);
    }

    return buf;
}


/* A number of at most five digits. */

static ngx_inline u_char *
ngx_http_osb_endpoint_number(u_char *p, uint32_t n)
{
    static const u_char two[] = "00010203040506070809101112131415161718192021"
                                "22232425262728293031323334353637383940414243"
                                "44454647484950515253545556575859606162636465"
                                "66676869707172737475767778798081828384858687"
                                "888990919293949596979899";

    const u_char *high, *middle, *low;

    low = &two[2 * (n % 100)];

    if (n < 10) {
        *p++ = low[1];
        return p;
    }

    if (n < 100) {
        return ngx_cpymem(p, low, 2);
    }

    middle = &two[2 * (n / 100 % 100)];

    if (n < 1000) {
        *p++ = middle[1];
        return ngx_cpymem(p, low, 2);
    }

    if (n >= 10000) {
        high = &two[2 * (n / 10000)];
        *p++ = high[1];
    }

    p = ngx_cpymem(p, middle, 2);

    return ngx_cpymem(p, low, 2);
}


/*
 * A host name: labels of letters, digits, hyphens and underscores.  The last
 * one is not a number, or mistyped addresses would be looked up (RFC 3696).
 */

static const char *
ngx_http_osb_endpoint_name(ngx_str_t *name)
{
    size_t     i, label;
    u_char     ch, lower;
    ngx_uint_t digits;

    if (name->len == 0) {
        return "the address is empty";
    }

    if (name->len > 253) {
        return "a host name has at most 253 characters";
    }

    label = 0;
    digits = 1;

    for (i = 0; i < name->len; i++) {
        ch = name->data[i];
        lower = (u_char) (ch | 0x20);

        if (ch == '.') {
            if (label == 0) {
                return "the host name has an empty label";
            }

            label = 0;
            digits = 1;
            continue;
        }

        if (ch == '-' &&
            (label == 0 || i + 1 == name->len || name->data[i + 1] == '.')) {
            return "a label of a host name has no hyphen at its ends";
        }

        if ((lower >= 'a' && lower <= 'z') || ch == '-' || ch == '_') {
            digits = 0;

        } else if (ch < '0' || ch > '9') {
            return "this is neither an address nor a host name";
        }

        if (++label > 63) {
            return "a label of a host name has at most 63 characters";
        }
    }

    if (label == 0 || digits) {
        return "this is neither an address nor a host name";
    }

    return NULL;
}


static const char *
ngx_http_osb_endpoint_usable(ngx_str_t *addr)
{
    struct in6_addr in6;

    if (addr->len == sizeof(struct in_addr)) {

        /* "this network", multicast, reserved, broadcast */

        if (addr->data[0] == 0 || addr->data[0] >= 224) {
            return "no sandbox can have this address";
        }

        return NULL;
    }

    ngx_memcpy(&in6, addr->data, sizeof(struct in6_addr));

    if (IN6_IS_ADDR_UNSPECIFIED(&in6) || IN6_IS_ADDR_MULTICAST(&in6)) {
        return "no sandbox can have this address";
    }

    return NULL;
}
