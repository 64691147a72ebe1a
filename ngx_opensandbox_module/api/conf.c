/* SPDX-License-Identifier: Apache-2.0 */

#include "inner.h"


/*
 * What the directives of the management API make of their arguments.
 */


char *
ngx_http_osb_api_conf_token(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_str_t *value;

    value = cf->args->elts;

    if (value[1].len == 0) {
        return "is empty";
    }

    return ngx_conf_set_str_array_slot(cf, cmd, conf);
}


char *
ngx_http_osb_api_conf(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_osb_loc_conf_t *olcf = conf;

    ngx_str_t                *value;
    ngx_http_osb_loc_conf_t  *server;
    ngx_http_core_loc_conf_t *clcf;
    ngx_http_core_srv_conf_t *cscf;

    static u_char path[] = "/v1/sandboxes";

    if (olcf->api_endpoints != NGX_CONF_UNSET_UINT) {
        return "is duplicate";
    }

    value = cf->args->elts;
    olcf->api_endpoints = (cf->args->nelts == 2);

    if (olcf->api_endpoints && ngx_strcmp(value[1].data, "endpoints") != 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid parameter \"%V\", it may be "
                           "\"endpoints\"",
                           &value[1]);
        return NGX_CONF_ERROR;
    }

    /* the operator's page, on the same server, asks the API there */

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);
    cscf = ngx_http_conf_get_module_srv_conf(cf, ngx_http_core_module);
    server = cscf->ctx->loc_conf[ngx_http_opensandbox_module.ctx_index];

    if (!olcf->api_endpoints && clcf->name.len < sizeof(path) &&
        ngx_strncmp(path, clcf->name.data, clcf->name.len) == 0)
    {
        server->api = olcf;
    }

    return ngx_http_osb_conf_content(cf, cmd, conf);
}


char *
ngx_http_osb_api_conf_sources(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_osb_loc_conf_t *olcf = conf;

    ngx_str_t *value, *name;
    ngx_uint_t i;

    if (olcf->sources != NGX_CONF_UNSET_PTR) {
        return "is duplicate";
    }

    value = cf->args->elts;

    olcf->sources =
        ngx_array_create(cf->pool, cf->args->nelts - 1, sizeof(ngx_str_t));
    if (olcf->sources == NULL) {
        return NGX_CONF_ERROR;
    }

    for (i = 1; i < cf->args->nelts; i++) {

        if (!ngx_http_osb_source_valid(&value[i])) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid source \"%V\": %s", &value[i],
                               NGX_HTTP_OSB_SOURCE_EXPECTED);
            return NGX_CONF_ERROR;
        }

        name = ngx_array_push(olcf->sources);
        *name = value[i];
    }

    return NGX_CONF_OK;
}
