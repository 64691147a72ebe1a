/* SPDX-License-Identifier: Apache-2.0 */

#include "wake.h"


/*
 * opensandbox_wake URL [timeout=TIME] [interval=TIME] | off;
 *
 *     http://host[:port][/path], unix:/socket[:/path]
 */


static ngx_int_t
ngx_http_osb_wake_option(ngx_str_t *value, ngx_http_osb_wake_conf_t *wake);
static char *
ngx_http_osb_wake_url(ngx_conf_t *cf, ngx_http_osb_wake_conf_t *wake);
static char *
ngx_http_osb_wake_head(ngx_conf_t *cf, ngx_http_osb_wake_conf_t *wake,
                       ngx_url_t *url);


char *
ngx_http_osb_wake_conf(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_osb_loc_conf_t *olcf = conf;

    ngx_str_t                *value;
    ngx_uint_t                i;
    ngx_http_osb_wake_conf_t *wake;

    if (olcf->wake != NGX_CONF_UNSET_PTR) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (cf->args->nelts == 2 && ngx_strcmp(value[1].data, "off") == 0) {
        olcf->wake = NULL;
        return NGX_CONF_OK;
    }

    wake = ngx_pcalloc(cf->pool, sizeof(ngx_http_osb_wake_conf_t));
    if (wake == NULL) {
        return NGX_CONF_ERROR;
    }

    olcf->wake = wake;

    wake->url = value[1];
    wake->timeout = 30000;
    wake->interval = 5;

    for (i = 2; i < cf->args->nelts; i++) {
        if (ngx_http_osb_wake_option(&value[i], wake) != NGX_OK) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "invalid parameter \"%V\"",
                               &value[i]);
            return NGX_CONF_ERROR;
        }
    }

    return ngx_http_osb_wake_url(cf, wake);
}


static ngx_int_t
ngx_http_osb_wake_option(ngx_str_t *value, ngx_http_osb_wake_conf_t *wake)
{
    ngx_int_t  n;
    ngx_str_t  text;
    ngx_uint_t seconds;

    seconds = (ngx_strncmp(value->data, "interval=", 9) == 0);

    if (!seconds && ngx_strncmp(value->data, "timeout=", 8) != 0) {
        return NGX_ERROR;
    }

    text.data = value->data + (seconds ? 9 : 8);
    text.len = value->len - (seconds ? 9 : 8);

    n = ngx_parse_time(&text, seconds);

    if (n == NGX_ERROR || n == 0) {
        return NGX_ERROR;
    }

    if (seconds) {
        wake->interval = n;

    } else {
        wake->timeout = n;
    }

    return NGX_OK;
}


static char *
ngx_http_osb_wake_url(ngx_conf_t *cf, ngx_http_osb_wake_conf_t *wake)
{
    size_t    i;
    ngx_url_t url;

    static ngx_str_t scheme = ngx_string("http://");

    ngx_memzero(&url, sizeof(ngx_url_t));

    url.url = wake->url;
    url.default_port = 80;
    url.uri_part = 1;

    if (url.url.len > scheme.len &&
        ngx_strncasecmp(url.url.data, scheme.data, scheme.len) == 0)
    {
        url.url.data += scheme.len;
        url.url.len -= scheme.len;

    } else if (ngx_strncmp(url.url.data, "unix:", 5) != 0) {
        return "needs a URL \"http://host[:port][/path]\" or "
               "\"unix:/socket[:/path]\"";
    }

    /* it becomes a line of the message */

    for (i = 0; i < url.url.len; i++) {
        if (url.url.data[i] <= ' ' || url.url.data[i] == 0x7f) {
            return "has a URL with a space or a control character";
        }
    }

    if (ngx_parse_url(cf->pool, &url) != NGX_OK) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "%s in \"%V\"",
                           url.err ? url.err : "error", &wake->url);
        return NGX_CONF_ERROR;
    }

    wake->addrs = url.addrs;
    wake->naddrs = url.naddrs;

    return ngx_http_osb_wake_head(cf, wake, &url);
}


static char *
ngx_http_osb_wake_head(ngx_conf_t *cf, ngx_http_osb_wake_conf_t *wake,
                       ngx_url_t *url)
{
    u_char   *p;
    ngx_str_t host;

    static const char format[] = "POST %s%V HTTP/1.1\r\n"
                                 "Host: %V\r\n"
                                 "User-Agent: opensandbox-gateway\r\n"
                                 "Content-Type: application/json\r\n"
                                 "Connection: close\r\n"
                                 "Content-Length: ";

    host.data = url->url.data;
    host.len = (size_t) (url->uri.len ? url->uri.data - url->url.data
                                      : (ssize_t) url->url.len);

    if (url->family == AF_UNIX) {
        ngx_str_set(&host, "localhost");
    }

    p = ngx_pnalloc(cf->pool, sizeof(format) + 1 + url->uri.len + host.len);
    if (p == NULL) {
        return NGX_CONF_ERROR;
    }

    wake->head.data = p;
    wake->head.len =
        (size_t) (ngx_sprintf(p, format,
                              url->uri.len && url->uri.data[0] == '/' ? ""
                                                                      : "/",
                              &url->uri, &host) -
                  p);

    return NGX_CONF_OK;
}
