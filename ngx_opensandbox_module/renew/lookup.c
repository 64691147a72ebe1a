/* SPDX-License-Identifier: Apache-2.0 */

#include "inner.h"


/*
 * Where Redis is, asked for each connection: after a failover its name leads
 * elsewhere.  nginx's resolver knows no hosts file and may be away itself; then
 * the addresses count that the name had when the configuration was read.
 */


static void
ngx_http_osb_lookup_handler(ngx_resolver_ctx_t *rctx);
static ngx_int_t
ngx_http_osb_lookup_known(ngx_http_osb_lookup_t *lookup);
static void
ngx_http_osb_lookup_take(ngx_http_osb_lookup_t *lookup,
                         struct sockaddr *sockaddr, socklen_t socklen);


ngx_int_t
ngx_http_osb_lookup_start(ngx_http_osb_lookup_t *lookup)
{
    ngx_resolver_ctx_t        *rctx;
    ngx_http_osb_renew_conf_t *conf;

    conf = lookup->conf;
    lookup->turn++;

    if (conf->host.len == 0 || conf->resolver == NULL) {
        return ngx_http_osb_lookup_known(lookup);
    }

    rctx = ngx_resolve_start(conf->resolver, NULL);

    if (rctx == NULL || rctx == NGX_NO_RESOLVER) {
        return ngx_http_osb_lookup_known(lookup);
    }

    rctx->name = conf->host;
    rctx->handler = ngx_http_osb_lookup_handler;
    rctx->data = lookup;
    rctx->timeout = NGX_HTTP_OSB_LOOKUP_TIMEOUT;
    rctx->cancelable = 1;

    lookup->resolver = rctx;
    lookup->rc = NGX_AGAIN;

    if (ngx_resolve_name(rctx) != NGX_OK) {
        lookup->resolver = NULL;
        return ngx_http_osb_lookup_known(lookup);
    }

    return lookup->rc;
}


void
ngx_http_osb_lookup_cancel(ngx_http_osb_lookup_t *lookup)
{
    if (lookup->resolver) {
        ngx_resolve_name_done(lookup->resolver);
        lookup->resolver = NULL;
    }
}


static void
ngx_http_osb_lookup_handler(ngx_resolver_ctx_t *rctx)
{
    ngx_uint_t             async;
    ngx_resolver_addr_t   *addr;
    ngx_http_osb_lookup_t *lookup;

    lookup = rctx->data;
    lookup->rc = NGX_OK;

    if (rctx->state) {
        ngx_log_error(NGX_LOG_INFO, ngx_cycle->log, 0,
                      "opensandbox: the name of Redis, \"%V\", is not "
                      "resolved: %s",
                      &rctx->name, ngx_resolver_strerror(rctx->state));

        lookup->rc = ngx_http_osb_lookup_known(lookup);

    } else {
        addr = &rctx->addrs[lookup->turn % rctx->naddrs];

        ngx_http_osb_lookup_take(lookup, addr->sockaddr, addr->socklen);
        ngx_inet_set_port(lookup->addr.sockaddr, lookup->conf->port);

        lookup->addr.name.len =
            ngx_sock_ntop(lookup->addr.sockaddr, lookup->addr.socklen,
                          lookup->name, NGX_SOCKADDR_STRLEN, 1);
    }

    async = rctx->async;

    ngx_resolve_name_done(rctx);
    lookup->resolver = NULL;

    if (async) {
        lookup->handler(lookup->data, lookup->rc);
    }
}


static ngx_int_t
ngx_http_osb_lookup_known(ngx_http_osb_lookup_t *lookup)
{
    ngx_addr_t *addr;

    if (lookup->conf->naddrs == 0) {
        return NGX_ERROR;
    }

    addr = &lookup->conf->addrs[lookup->turn % lookup->conf->naddrs];

    ngx_http_osb_lookup_take(lookup, addr->sockaddr, addr->socklen);

    lookup->addr.name = addr->name;

    return NGX_OK;
}


static void
ngx_http_osb_lookup_take(ngx_http_osb_lookup_t *lookup,
                         struct sockaddr *sockaddr, socklen_t socklen)
{
    ngx_memcpy(&lookup->sockaddr, sockaddr, socklen);

    lookup->addr.sockaddr = &lookup->sockaddr.sockaddr;
    lookup->addr.socklen = socklen;
    lookup->addr.name.data = lookup->name;
}
