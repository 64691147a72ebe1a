/* SPDX-License-Identifier: Apache-2.0 */

#include "inner.h"


/*
 * How clients reach the gateway: as opensandbox_public says, or as its
 * locations and their servers tell.
 */


/* more than any bit of a mode */
#define NGX_HTTP_OSB_RANKS ((ngx_uint_t) 1 << NGX_HTTP_OSB_MODES_MAX)


static char *
ngx_http_osb_public_base(ngx_conf_t *cf, ngx_str_t *value,
                         ngx_http_osb_public_t *public);
static void
ngx_http_osb_public_listen(ngx_http_core_main_conf_t *cmcf,
                           ngx_http_osb_gateway_t    *gateway);
static void
ngx_http_osb_public_name(ngx_http_osb_gateway_t *gateway);
static ngx_int_t
ngx_http_osb_public_host(ngx_http_request_t *r, ngx_http_osb_gateway_t *gateway,
                         ngx_http_osb_public_t *public);


char *
ngx_http_osb_public(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_osb_loc_conf_t *olcf = conf;

    ngx_str_t           *value;
    u_char               list[NGX_HTTP_OSB_MODE_LIST];
    ngx_uint_t           i;
    ngx_http_osb_mode_t *mode;
    ngx_http_osb_public_t *public;

    value = cf->args->elts;

    mode = ngx_http_osb_mode(ngx_http_osb_mode_bits(&value[1]));

    if (mode == NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid mode \"%V\", it must be %s", &value[1],
                           ngx_http_osb_mode_list(list, 0));
        return NGX_CONF_ERROR;
    }

    if (olcf->publics == NGX_CONF_UNSET_PTR) {
        olcf->publics = ngx_array_create(cf->pool, 3, sizeof(*public));
        if (olcf->publics == NULL) {
            return NGX_CONF_ERROR;
        }
    }

    public = olcf->publics->elts;

    for (i = 0; i < olcf->publics->nelts; i++) {
        if (public[i].mode == mode) {
            return "is duplicate";
        }
    }

    public = ngx_array_push(olcf->publics);
    if (public == NULL) {
        return NGX_CONF_ERROR;
    }

    public->mode = mode;

    return ngx_http_osb_public_base(cf, &value[2], public);
}


/* The address, maybe with its scheme. */

static char *
ngx_http_osb_public_base(ngx_conf_t *cf, ngx_str_t *value,
                         ngx_http_osb_public_t *public)
{
    ngx_str_t  base;
    ngx_uint_t scheme;

    static ngx_str_t schemes[] = {ngx_string("http://"),
                                  ngx_string("https://")};

    base = *value;

    for (scheme = 0; scheme < 2; scheme++) {
        if (base.len >= schemes[scheme].len &&
            ngx_strncasecmp(base.data, schemes[scheme].data,
                            schemes[scheme].len) == 0)
        {
            base.data += schemes[scheme].len;
            base.len -= schemes[scheme].len;
            break;
        }
    }

    while (base.len && base.data[base.len - 1] == '/') {
        base.len--;
    }

    if (base.len == 0 || base.data[0] == '/' ||
        ngx_strnstr(base.data, "://", base.len))
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid address \"%V\", it must be a host, with "
                           "\"http://\" or \"https://\" before it if any",
                           value);
        return NGX_CONF_ERROR;
    }

    public->base = base;
    public->scheme = (scheme < 2);
    public->https = (scheme == 1);

    return NGX_CONF_OK;
}


ngx_int_t
ngx_http_osb_public_init(ngx_conf_t *cf)
{
    ngx_uint_t i;

    ngx_http_core_main_conf_t *cmcf;
    ngx_http_osb_gateway_t    *gateway;
    ngx_http_osb_main_conf_t  *omcf;

    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);
    omcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_opensandbox_module);

    gateway = omcf->gateways.elts;

    for (i = 0; i < omcf->gateways.nelts; i++) {
        ngx_http_osb_public_listen(cmcf, &gateway[i]);
        ngx_http_osb_public_name(&gateway[i]);
    }

    return NGX_OK;
}


/* The first port that the gateway's server listens on. */

static void
ngx_http_osb_public_listen(ngx_http_core_main_conf_t *cmcf,
                           ngx_http_osb_gateway_t    *gateway)
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


/* The names that the location has, if any. */

static void
ngx_http_osb_public_name(ngx_http_osb_gateway_t *gateway)
{
    ngx_str_t                name;
    ngx_http_osb_loc_conf_t *olcf;

    olcf = gateway->location;
    name = gateway->server->server_name;

    /* *.sandbox.example.com */

    if (olcf->domain.len) {
        gateway->domain = olcf->domain;

    } else if (name.len > 2 && ngx_strncmp(name.data, "*.", 2) == 0) {
        gateway->domain.data = name.data + 2;
        gateway->domain.len = name.len - 2;
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
ngx_http_osb_public_of(ngx_http_request_t *r, ngx_http_osb_mode_t *mode,
                       ngx_http_osb_public_t *public)
{
    ngx_uint_t                i, bit, rank, best;
    ngx_http_osb_mode_t      *row;
    ngx_http_core_srv_conf_t *cscf;
    ngx_http_osb_public_t    *named;
    ngx_http_osb_gateway_t   *gateway, *found;
    ngx_http_osb_loc_conf_t  *olcf;
    ngx_http_osb_main_conf_t *omcf;

    olcf = ngx_http_get_module_loc_conf(r, ngx_http_opensandbox_module);
    named = olcf->publics ? olcf->publics->elts : NULL;

    for (i = 0; named && i < olcf->publics->nelts; i++) {
        if (mode == NULL || mode == named[i].mode) {
            *public = named[i];
            return NGX_OK;
        }
    }

    cscf = ngx_http_get_module_srv_conf(r, ngx_http_core_module);
    omcf = ngx_http_get_module_main_conf(r, ngx_http_opensandbox_module);

    gateway = omcf->gateways.elts;
    found = NULL;
    best = 0;

    for (i = 0; i < omcf->gateways.nelts; i++) {

        for (bit = 1; (row = ngx_http_osb_mode(bit)) != NULL; bit <<= 1) {

            if (!(gateway[i].location->mode & bit) || (mode && mode != row) ||
                ((row->flags & NGX_HTTP_OSB_MODE_DOMAIN) &&
                 gateway[i].domain.len == 0))
            {
                continue;
            }

            /*
             * The caller's own server is the one that it can reach; then the
             * lowest bit counts.
             */

            rank = NGX_HTTP_OSB_RANKS / bit +
                   (gateway[i].server == cscf ? 2 * NGX_HTTP_OSB_RANKS : 0);

            if (rank > best) {
                best = rank;
                found = &gateway[i];
                public->mode = row;
            }
        }
    }

    return found ? ngx_http_osb_public_host(r, found, public) : NGX_DECLINED;
}


static ngx_int_t
ngx_http_osb_public_host(ngx_http_request_t *r, ngx_http_osb_gateway_t *gateway,
                         ngx_http_osb_public_t *public)
{
    u_char    *p;
    ngx_str_t  host, prefix, text;
    ngx_uint_t port, by_host;

    ngx_str_null(&prefix);

    by_host = (public->mode->flags & NGX_HTTP_OSB_MODE_DOMAIN) != 0;

    public->scheme = 1;
    public->https = gateway->ssl;

    host = by_host ? gateway->domain : gateway->name;
    port = gateway->port;

    if (gateway->server ==
            ngx_http_get_module_srv_conf(r, ngx_http_core_module) &&
        (host.len == 0 || ngx_http_osb_forwarded_trusted(r)))
    {
        /* with the port of whatever is before this server */

        public->https = ngx_http_osb_forwarded_https(r);

        if (by_host) {
            text = ngx_http_osb_forwarded_port(r);
            port = ngx_http_osb_parse_port(&text);

        } else {
            host = ngx_http_osb_forwarded_host(r);
            port = 0;
        }

    } else if (host.len == 0) {
        host = r->headers_in.server;
    }

    if (host.len == 0) {
        return NGX_DECLINED;
    }

    if (public->mode->flags & NGX_HTTP_OSB_MODE_PREFIX) {
        prefix = gateway->location->prefix;
    }

    p = ngx_pnalloc(r->pool, host.len + prefix.len + sizeof(":65535"));
    if (p == NULL) {
        return NGX_ERROR;
    }

    public->base.data = p;

    p = ngx_sprintf(p, "%V", &host);

    if (port && port != (public->https ? 443 : 80)) {
        p = ngx_sprintf(p, ":%ui", port);
    }

    p = ngx_sprintf(p, "%V", &prefix);

    public->base.len = (size_t) (p - public->base.data);

    return NGX_OK;
}
