/* SPDX-License-Identifier: Apache-2.0 */

#include "ngx_http_opensandbox_module.h"


/*
 * How clients reach the gateway: as opensandbox_public says, or as its
 * locations and their servers tell.
 */


static void
ngx_http_opensandbox_public_listen(ngx_http_core_main_conf_t      *cmcf,
                                   ngx_http_opensandbox_gateway_t *gateway);
static void
ngx_http_opensandbox_public_name(ngx_http_opensandbox_gateway_t *gateway);
static ngx_int_t
ngx_http_opensandbox_public_host(ngx_http_request_t             *r,
                                 ngx_http_opensandbox_gateway_t *gateway,
                                 ngx_http_opensandbox_public_t *public);


char *
ngx_http_opensandbox_public(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_opensandbox_loc_conf_t *olcf = conf;

    ngx_str_t *value;

    if (olcf->public_mode) {
        return "is duplicate";
    }

    value = cf->args->elts;

    olcf->public_mode = ngx_http_opensandbox_mode_value(cf, &value[1]);

    if (olcf->public_mode == 0) {
        return NGX_CONF_ERROR;
    }

    if (olcf->public_mode == NGX_HTTP_OPENSANDBOX_MODE_ANY) {
        return "needs one mode";
    }

    olcf->public_base = value[2];

    while (olcf->public_base.len &&
           olcf->public_base.data[olcf->public_base.len - 1] == '/')
    {
        olcf->public_base.data[--olcf->public_base.len] = '\0';
    }

    return NGX_CONF_OK;
}


ngx_int_t
ngx_http_opensandbox_public_init(ngx_conf_t *cf)
{
    ngx_uint_t i;

    ngx_http_core_main_conf_t        *cmcf;
    ngx_http_opensandbox_gateway_t   *gateway;
    ngx_http_opensandbox_main_conf_t *omcf;

    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);
    omcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_opensandbox_module);

    gateway = omcf->gateways.elts;

    for (i = 0; i < omcf->gateways.nelts; i++) {
        ngx_http_opensandbox_public_listen(cmcf, &gateway[i]);
        ngx_http_opensandbox_public_name(&gateway[i]);
    }

    return NGX_OK;
}


/* The first port that the gateway's server listens on. */

static void
ngx_http_opensandbox_public_listen(ngx_http_core_main_conf_t      *cmcf,
                                   ngx_http_opensandbox_gateway_t *gateway)
{
    ngx_uint_t                 i, j, k;
    ngx_http_conf_port_t      *port;
    ngx_http_conf_addr_t      *addr;
    ngx_http_core_srv_conf_t **server;

    port = cmcf->ports ? cmcf->ports->elts : NULL;

    for (i = 0; port && i < cmcf->ports->nelts; i++) {
        addr = port[i].addrs.elts;

        for (j = 0; j < port[i].addrs.nelts; j++) {
            server = addr[j].servers.elts;

            for (k = 0; k < addr[j].servers.nelts; k++) {

                if (server[k] == gateway->server && port[i].port) {
                    gateway->port = port[i].port;
#if (NGX_HTTP_SSL)
                    gateway->ssl = addr[j].opt.ssl;
#endif
                    return;
                }
            }
        }
    }
}


/* One mode of the location, and the name that it has, if any. */

static void
ngx_http_opensandbox_public_name(ngx_http_opensandbox_gateway_t *gateway)
{
    ngx_str_t                        name;
    ngx_http_opensandbox_loc_conf_t *olcf;

    olcf = gateway->location;
    name = gateway->server->server_name;

    if (olcf->mode & NGX_HTTP_OPENSANDBOX_MODE_URI) {
        gateway->mode = NGX_HTTP_OPENSANDBOX_MODE_URI;

    } else {
        gateway->mode = olcf->mode;
    }

    if (gateway->mode == NGX_HTTP_OPENSANDBOX_MODE_HOST) {

        /* *.sandbox.example.com */

        if (olcf->domain.len) {
            gateway->name = olcf->domain;

        } else if (name.len > 2 && ngx_strncmp(name.data, "*.", 2) == 0) {
            gateway->name.data = name.data + 2;
            gateway->name.len = name.len - 2;
        }

        return;
    }

    /* "_", "localhost" and patterns are nobody's public name */

    if (name.len && name.data[0] != '~' &&
        memchr(name.data, '.', name.len) != NULL &&
        memchr(name.data, '*', name.len) == NULL)
    {
        gateway->name = name;
    }
}


ngx_int_t
ngx_http_opensandbox_public_of(ngx_http_request_t *r,
                               ngx_http_opensandbox_public_t *public)
{
    ngx_uint_t                        i, rank, best;
    ngx_http_core_srv_conf_t         *cscf;
    ngx_http_opensandbox_gateway_t   *gateway, *found;
    ngx_http_opensandbox_loc_conf_t  *olcf;
    ngx_http_opensandbox_main_conf_t *omcf;

    olcf = ngx_http_get_module_loc_conf(r, ngx_http_opensandbox_module);

    if (olcf->public_mode) {
        public->mode = olcf->public_mode;
        public->base = olcf->public_base;
        return NGX_OK;
    }

    cscf = ngx_http_get_module_srv_conf(r, ngx_http_core_module);
    omcf = ngx_http_get_module_main_conf(r, ngx_http_opensandbox_module);

    gateway = omcf->gateways.elts;
    found = NULL;
    best = 0;

    for (i = 0; i < omcf->gateways.nelts; i++) {

        switch (gateway[i].mode) {

        case NGX_HTTP_OPENSANDBOX_MODE_URI:
            rank = 3;
            break;

        case NGX_HTTP_OPENSANDBOX_MODE_HEADER:
            rank = 2;
            break;

        default:
            rank = gateway[i].name.len ? 1 : 0;
        }

        /* the caller's own server is the one that it can reach */

        if (rank && gateway[i].server == cscf) {
            rank += 3;
        }

        if (rank > best) {
            best = rank;
            found = &gateway[i];
        }
    }

    return found ? ngx_http_opensandbox_public_host(r, found, public)
                 : NGX_DECLINED;
}


static ngx_int_t
ngx_http_opensandbox_public_host(ngx_http_request_t             *r,
                                 ngx_http_opensandbox_gateway_t *gateway,
                                 ngx_http_opensandbox_public_t *public)
{
    u_char    *p;
    ngx_str_t  host, prefix;
    ngx_uint_t standard;

    ngx_http_core_srv_conf_t *cscf;

    cscf = ngx_http_get_module_srv_conf(r, ngx_http_core_module);

    ngx_str_null(&prefix);

    if (gateway->mode == NGX_HTTP_OPENSANDBOX_MODE_URI) {
        prefix = gateway->location->prefix;
    }

    standard =
        (gateway->port == (gateway->ssl ? 443 : 80) || gateway->port == 0);

    if (gateway->name.len) {
        host = gateway->name;

    } else if (gateway->server == cscf) {

        /* with the port of whatever is before this server */

        host = ngx_http_opensandbox_client_host(r);
        standard = 1;

    } else {
        host = r->headers_in.server;
    }

    if (host.len == 0) {
        return NGX_DECLINED;
    }

    p = ngx_pnalloc(r->pool, host.len + prefix.len + sizeof(":65535"));
    if (p == NULL) {
        return NGX_ERROR;
    }

    public->mode = gateway->mode;
    public->base.data = p;

    p = ngx_sprintf(p, "%V", &host);

    if (!standard) {
        p = ngx_sprintf(p, ":%ui", gateway->port);
    }

    p = ngx_sprintf(p, "%V", &prefix);
    *p = '\0';

    public->base.len = (size_t) (p - public->base.data);

    return NGX_OK;
}
