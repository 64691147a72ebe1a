/* SPDX-License-Identifier: Apache-2.0 */

#include "request.h"


/*
 * The scheme, host and port that the client uses.  Behind another proxy they
 * are those of its X-Forwarded-Proto, -Host and -Port, where
 * opensandbox_trust_forwarded says so; the first of several values counts,
 * which is the client's.
 */


static ngx_int_t
ngx_http_osb_forwarded_value(ngx_http_request_t *r, ngx_str_t *name,
                             ngx_str_t *value);
static u_char *
ngx_http_osb_port_of(ngx_str_t *host);
static ngx_str_t
ngx_http_osb_requested_host(ngx_http_request_t *r);


static ngx_str_t ngx_http_osb_forwarded_proto_name =
    ngx_string("x-forwarded-proto");
static ngx_str_t ngx_http_osb_forwarded_host_name =
    ngx_string("x-forwarded-host");
static ngx_str_t ngx_http_osb_forwarded_port_name =
    ngx_string("x-forwarded-port");


char *
ngx_http_osb_forwarded_trust(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_osb_loc_conf_t *olcf = conf;

    ngx_int_t   rc;
    ngx_str_t  *value;
    ngx_uint_t  i;
    ngx_cidr_t *cidr;

    if (olcf->trusted != NGX_CONF_UNSET_PTR) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (cf->args->nelts == 2 && ngx_strcmp(value[1].data, "off") == 0) {
        olcf->trusted = NULL;
        return NGX_CONF_OK;
    }

    olcf->trusted =
        ngx_array_create(cf->pool, cf->args->nelts - 1, sizeof(ngx_cidr_t));
    if (olcf->trusted == NULL) {
        return NGX_CONF_ERROR;
    }

    for (i = 1; i < cf->args->nelts; i++) {

        cidr = ngx_array_push(olcf->trusted);
        if (cidr == NULL) {
            return NGX_CONF_ERROR;
        }

        if (ngx_strcmp(value[i].data, "unix:") == 0) {
            cidr->family = AF_UNIX;
            continue;
        }

        rc = ngx_ptocidr(&value[i], cidr);

        if (rc == NGX_ERROR) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid peer \"%V\", it must be an address, a "
                               "range, \"unix:\", or \"off\" alone",
                               &value[i]);
            return NGX_CONF_ERROR;
        }

        if (rc == NGX_DONE) {
            ngx_conf_log_error(NGX_LOG_WARN, cf, 0,
                               "low address bits of %V are meaningless",
                               &value[i]);
        }
    }

    return NGX_CONF_OK;
}


ngx_uint_t
ngx_http_osb_forwarded_trusted(ngx_http_request_t *r)
{
    ngx_str_t                  text;
    ngx_addr_t                 peer;
    ngx_uint_t                 key;
    ngx_http_variable_value_t *v;
    ngx_http_osb_loc_conf_t   *olcf;

    static ngx_str_t name = ngx_string("realip_remote_addr");

    olcf = ngx_http_get_module_loc_conf(r, ngx_http_opensandbox_module);

    if (olcf->trusted == NULL) {
        return 0;
    }

    peer.sockaddr = r->connection->sockaddr;

    /* real_ip_header has put the client's address in the peer's place */

    key = ngx_hash_key(name.data, name.len);
    v = ngx_http_get_variable(r, &name, key);

    if (v && !v->not_found &&
        ngx_memn2cmp(v->data, r->connection->addr_text.data, v->len,
                     r->connection->addr_text.len) != 0)
    {
        text.data = v->data;
        text.len = v->len;

        if (ngx_parse_addr(r->pool, &peer, text.data, text.len) != NGX_OK) {
            return 0;
        }
    }

    return ngx_cidr_match(peer.sockaddr, olcf->trusted) == NGX_OK;
}


ngx_uint_t
ngx_http_osb_forwarded_https(ngx_http_request_t *r)
{
    ngx_str_t value;

    if (ngx_http_osb_forwarded_trusted(r) &&
        ngx_http_osb_forwarded_value(r, &ngx_http_osb_forwarded_proto_name,
                                     &value) == NGX_OK)
    {
        if (value.len == 5 &&
            ngx_strncasecmp(value.data, (u_char *) "https", 5) == 0) {
            return 1;
        }

        if (value.len == 4 &&
            ngx_strncasecmp(value.data, (u_char *) "http", 4) == 0) {
            return 0;
        }
    }

#if (NGX_HTTP_SSL)
    return r->connection->ssl != NULL;
#else
    return 0;
#endif
}


ngx_str_t
ngx_http_osb_forwarded_host(ngx_http_request_t *r)
{
    u_char    *p;
    ngx_str_t  host, value;
    ngx_uint_t port;

    host = ngx_http_osb_requested_host(r);

    if (!ngx_http_osb_forwarded_trusted(r)) {
        return host;
    }

    if (ngx_http_osb_forwarded_value(r, &ngx_http_osb_forwarded_host_name,
                                     &value) == NGX_OK &&
        ngx_http_osb_forwarded_valid(&value))
    {
        host = value;
    }

    if (ngx_http_osb_port_of(&host) ||
        ngx_http_osb_forwarded_value(r, &ngx_http_osb_forwarded_port_name,
                                     &value) != NGX_OK)
    {
        return host;
    }

    port = ngx_http_osb_parse_port(&value);

    if (port == 0 || port == (ngx_http_osb_forwarded_https(r) ? 443 : 80)) {
        return host;
    }

    p = ngx_pnalloc(r->pool, host.len + sizeof(":65535"));
    if (p == NULL) {
        return host;
    }

    value.data = p;
    value.len = (size_t) (ngx_sprintf(p, "%V:%ui", &host, port) - p);

    return value;
}


ngx_str_t
ngx_http_osb_forwarded_port(ngx_http_request_t *r)
{
    u_char   *p;
    ngx_str_t host, port;

    static ngx_str_t standard[] = {ngx_string("80"), ngx_string("443")};

    host = ngx_http_osb_forwarded_host(r);
    p = ngx_http_osb_port_of(&host);

    if (p == NULL) {
        return standard[ngx_http_osb_forwarded_https(r) ? 1 : 0];
    }

    port.data = p;
    port.len = (size_t) (host.data + host.len - p);

    return port;
}


/* The first of a header's values; NGX_DECLINED without one. */

static ngx_int_t
ngx_http_osb_forwarded_value(ngx_http_request_t *r, ngx_str_t *name,
                             ngx_str_t *value)
{
    u_char          *p, *last;
    ngx_uint_t       n;
    ngx_table_elt_t *h;

    h = ngx_http_osb_header_find(r, name, &n);

    if (h == NULL) {
        return NGX_DECLINED;
    }

    p = h->value.data;
    last = ngx_strlchr(p, p + h->value.len, ',');

    if (last == NULL) {
        last = p + h->value.len;
    }

    while (p < last && (*p == ' ' || *p == '\t')) {
        p++;
    }

    while (last > p && (last[-1] == ' ' || last[-1] == '\t')) {
        last--;
    }

    value->data = p;
    value->len = (size_t) (last - p);

    return value->len ? NGX_OK : NGX_DECLINED;
}


ngx_uint_t
ngx_http_osb_forwarded_valid(ngx_str_t *host)
{
    size_t i;
    u_char ch;

    if (host->len > NGX_HTTP_OSB_TEXT_LEN) {
        return 0;
    }

    for (i = 0; i < host->len; i++) {
        ch = (u_char) (host->data[i] | 0x20);

        if ((ch < 'a' || ch > 'z') &&
            memchr("0123456789.-_:[]", host->data[i], 16) == NULL)
        {
            return 0;
        }
    }

    return 1;
}


/* Where the port begins in an authority, NULL without one. */

static u_char *
ngx_http_osb_port_of(ngx_str_t *host)
{
    u_char *p, *last;

    last = host->data + host->len;

    for (p = last; p > host->data && p[-1] >= '0' && p[-1] <= '9'; p--) {
        /* void */
    }

    return p > host->data && p < last && p[-1] == ':' ? p : NULL;
}


/* The authority of the request itself. */

static ngx_str_t
ngx_http_osb_requested_host(ngx_http_request_t *r)
{
    u_char   *p, *last;
    ngx_str_t host;

    /* an authority in the request line counts more than the header */

    if (r->schema.len && r->http_version < NGX_HTTP_VERSION_20) {
        p = ngx_strlchr(r->request_line.data,
                        r->request_line.data + r->request_line.len, ' ');
        last = r->request_line.data + r->request_line.len;

        if (p && (size_t) (last - p) > r->schema.len + 4) {
            host.data = p + 1 + r->schema.len + 3;

            for (p = host.data; p < last; p++) {
                if (*p == '/' || *p == '?' || *p == ' ' || *p == '#') {
                    break;
                }
            }

            host.len = p - host.data;

            return host;
        }
    }

    return r->headers_in.host ? r->headers_in.host->value
                              : r->headers_in.server;
}
