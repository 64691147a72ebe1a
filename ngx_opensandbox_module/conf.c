/* SPDX-License-Identifier: Apache-2.0 */

#include "conf.h"
#include "access/access.h"
#include "proxy/proxy.h"
#include "request/request.h"
#include "status/status.h"


/*
 * What the directives of routing and of the zone make of their arguments.
 */


static ngx_int_t
ngx_http_osb_conf_mode_parameters(ngx_conf_t *cf, ngx_http_osb_loc_conf_t *olcf,
                                  ngx_uint_t n);
static ngx_int_t
ngx_http_osb_conf_prefix(ngx_conf_t *cf, ngx_http_osb_loc_conf_t *olcf,
                         ngx_str_t *value);
static ngx_int_t
ngx_http_osb_conf_domain(ngx_conf_t *cf, ngx_http_osb_loc_conf_t *olcf,
                         ngx_str_t *value);
static ssize_t
ngx_http_osb_conf_zone_size(ngx_conf_t *cf, ngx_str_t *value, ngx_str_t *name);
static char *
ngx_http_osb_conf_zone_state(ngx_conf_t *cf, ngx_str_t *value,
                             ngx_http_osb_zone_t *zone);
static void
ngx_http_osb_conf_zone_cleanup(void *data);


void *
ngx_http_osb_conf_create_main(ngx_conf_t *cf)
{
    ngx_http_osb_main_conf_t *omcf;

    omcf = ngx_pcalloc(cf->pool, sizeof(ngx_http_osb_main_conf_t));
    if (omcf == NULL) {
        return NULL;
    }

    if (ngx_array_init(&omcf->gateways, cf->pool, 4,
                       sizeof(ngx_http_osb_gateway_t)) != NGX_OK)
    {
        return NULL;
    }

    if (ngx_array_init(&omcf->keys, cf->pool, 4,
                       sizeof(ngx_http_osb_secret_t)) != NGX_OK)
    {
        return NULL;
    }

    if (ngx_array_init(&omcf->declared, cf->pool, 16,
                       sizeof(ngx_http_osb_record_t *)) != NGX_OK)
    {
        return NULL;
    }

    if (ngx_array_init(&omcf->policy_uses, cf->pool, 4,
                       sizeof(ngx_http_osb_policy_use_t)) != NGX_OK)
    {
        return NULL;
    }

    if (ngx_array_init(&omcf->upstreams, cf->pool, 1,
                       sizeof(ngx_http_osb_upstream_t)) != NGX_OK)
    {
        return NULL;
    }

    ngx_rbtree_init(&omcf->ids.tree, &omcf->ids.sentinel,
                    ngx_str_rbtree_insert_value);
    ngx_rbtree_init(&omcf->policies.tree, &omcf->policies.sentinel,
                    ngx_str_rbtree_insert_value);

    return omcf;
}


ngx_str_node_t *
ngx_http_osb_names_find(ngx_http_osb_names_t *names, ngx_str_t *name)
{
    return ngx_str_rbtree_lookup(&names->tree, name,
                                 ngx_crc32_long(name->data, name->len));
}


void
ngx_http_osb_names_add(ngx_http_osb_names_t *names, ngx_str_node_t *node,
                       ngx_str_t *name)
{
    node->str = *name;
    node->node.key = ngx_crc32_long(name->data, name->len);

    ngx_rbtree_insert(&names->tree, &node->node);
}


void *
ngx_http_osb_conf_create_loc(ngx_conf_t *cf)
{
    ngx_http_osb_loc_conf_t *olcf;

    /*
     * set by ngx_pcalloc():
     *
     *     olcf->mode = 0;
     *     olcf->content = 0;
     *     olcf->prefix = { 0, NULL };
     *     olcf->domain = { 0, NULL };
     *     olcf->host = NULL;
     */

    olcf = ngx_pcalloc(cf->pool, sizeof(ngx_http_osb_loc_conf_t));
    if (olcf == NULL) {
        return NULL;
    }

    olcf->host_endpoint = NGX_CONF_UNSET_UINT;
    olcf->wait = NGX_CONF_UNSET_MSEC;
    olcf->tunnel_timeout = NGX_CONF_UNSET_MSEC;
    olcf->api_tokens = NGX_CONF_UNSET_PTR;
    olcf->cors = NGX_CONF_UNSET_PTR;
    olcf->keep_prefix = NGX_CONF_UNSET;
    olcf->follow_referer = NGX_CONF_UNSET;
    olcf->trace = NGX_CONF_UNSET;
    olcf->api_endpoints = NGX_CONF_UNSET_UINT;
    olcf->trusted = NGX_CONF_UNSET_PTR;
    olcf->sources = NGX_CONF_UNSET_PTR;
    olcf->publics = NGX_CONF_UNSET_PTR;
    olcf->wake = NGX_CONF_UNSET_PTR;
    olcf->cookie = NGX_CONF_UNSET_UINT;

    return olcf;
}


char *
ngx_http_osb_conf_merge_loc(ngx_conf_t *cf, void *parent, void *child)
{
    ngx_http_osb_loc_conf_t *prev = parent;
    ngx_http_osb_loc_conf_t *conf = child;

    ngx_http_core_loc_conf_t *clcf;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    /*
     * The mode is not inherited, as proxy_pass is not, but by the blocks "if"
     * and "limit_except", which are no locations of their own.
     */

    if (clcf->noname) {
        conf->mode = prev->mode;
        conf->prefix = prev->prefix;
        conf->domain = prev->domain;
        conf->handler = prev->handler;
    }

    /* the proxy has been merged before: its handler is there */

    if (conf->mode && clcf->handler) {
        conf->handler = clcf->handler;
        clcf->handler = ngx_http_osb_handler_proxy;
    }

    if (conf->host_endpoint == NGX_CONF_UNSET_UINT) {
        conf->host = prev->host;
        ngx_conf_merge_uint_value(conf->host_endpoint, prev->host_endpoint, 0);
    }

    if (conf->cookie == NGX_CONF_UNSET_UINT) {
        conf->cookie_secure = prev->cookie_secure;
        ngx_conf_merge_uint_value(conf->cookie, prev->cookie,
                                  NGX_HTTP_OSB_COOKIE_LAX);
    }

    ngx_conf_merge_msec_value(conf->wait, prev->wait, 0);
    ngx_conf_merge_msec_value(conf->tunnel_timeout, prev->tunnel_timeout,
                              3600000);
    ngx_conf_merge_ptr_value(conf->api_tokens, prev->api_tokens, NULL);
    ngx_conf_merge_ptr_value(conf->cors, prev->cors, NULL);
    ngx_conf_merge_value(conf->keep_prefix, prev->keep_prefix, 0);
    ngx_conf_merge_value(conf->follow_referer, prev->follow_referer, 0);
    ngx_conf_merge_value(conf->trace, prev->trace, 0);
    ngx_conf_merge_uint_value(conf->api_endpoints, prev->api_endpoints, 0);
    ngx_conf_merge_ptr_value(conf->trusted, prev->trusted, NULL);
    ngx_conf_merge_ptr_value(conf->sources, prev->sources, NULL);
    ngx_conf_merge_ptr_value(conf->publics, prev->publics, NULL);
    ngx_conf_merge_ptr_value(conf->wake, prev->wake, NULL);

    return NGX_CONF_OK;
}


char *
ngx_http_osb_conf_mode(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_osb_loc_conf_t *olcf = conf;

    u_char                    list[NGX_HTTP_OSB_MODE_LIST];
    ngx_str_t                *value;
    ngx_uint_t                n, mode;
    ngx_http_osb_gateway_t   *gateway;
    ngx_http_osb_main_conf_t *omcf;

    if (olcf->mode) {
        return "is duplicate";
    }

    if (olcf->content) {
        return "has no place where the gateway itself answers";
    }

    omcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_opensandbox_module);
    omcf->used = 1;

    value = cf->args->elts;

    olcf->mode = ngx_http_osb_mode_bits(&value[1]);

    if (olcf->mode == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid mode \"%V\", it must be %s", &value[1],
                           ngx_http_osb_mode_list(list, 1));
        return NGX_CONF_ERROR;
    }

    /* "header host": some of them */

    for (n = 2; n < cf->args->nelts; n++) {
        mode = ngx_http_osb_mode_bits(&value[n]);

        if (mode == 0) {
            break;
        }

        olcf->mode |= mode;
    }

    if (ngx_http_osb_conf_mode_parameters(cf, olcf, n) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    gateway = ngx_array_push(&omcf->gateways);
    if (gateway == NULL) {
        return NGX_CONF_ERROR;
    }

    ngx_memzero(gateway, sizeof(ngx_http_osb_gateway_t));

    gateway->server =
        ngx_http_conf_get_module_srv_conf(cf, ngx_http_core_module);
    gateway->location = olcf;

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_http_osb_conf_mode_parameters(ngx_conf_t *cf, ngx_http_osb_loc_conf_t *olcf,
                                  ngx_uint_t n)
{
    ngx_str_t *value;
    ngx_uint_t i, flags;

    value = cf->args->elts;
    flags = ngx_http_osb_mode_flags(olcf->mode);

    ngx_str_set(&olcf->prefix, "/sandboxes");

    for (i = n; i < cf->args->nelts; i++) {

        if (ngx_strncmp(value[i].data, "prefix=", 7) == 0 &&
            (flags & NGX_HTTP_OSB_MODE_PREFIX))
        {
            if (ngx_http_osb_conf_prefix(cf, olcf, &value[i]) != NGX_OK) {
                return NGX_ERROR;
            }

            continue;
        }

        if (ngx_strncmp(value[i].data, "domain=", 7) == 0 &&
            (flags & NGX_HTTP_OSB_MODE_DOMAIN))
        {
            if (ngx_http_osb_conf_domain(cf, olcf, &value[i]) != NGX_OK) {
                return NGX_ERROR;
            }

            continue;
        }

        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "invalid parameter \"%V\"",
                           &value[i]);
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* The parameter "prefix=PATH". */

static ngx_int_t
ngx_http_osb_conf_prefix(ngx_conf_t *cf, ngx_http_osb_loc_conf_t *olcf,
                         ngx_str_t *value)
{
    ngx_str_t prefix;

    prefix.data = value->data + 7;
    prefix.len = value->len - 7;

    while (prefix.len > 1 && prefix.data[prefix.len - 1] == '/') {
        prefix.len--;
    }

    if (prefix.len == 0 || prefix.data[0] != '/' ||
        strpbrk((char *) prefix.data, "%?#; "))
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid prefix \"%V\", it must be a path", value);
        return NGX_ERROR;
    }

    if (prefix.len == 1) {
        prefix.len = 0;
    }

    olcf->prefix = prefix;

    return NGX_OK;
}


/* The parameter "domain=NAME": "*.NAME" would be below no host. */

static ngx_int_t
ngx_http_osb_conf_domain(ngx_conf_t *cf, ngx_http_osb_loc_conf_t *olcf,
                         ngx_str_t *value)
{
    u_char    *p, *last;
    ngx_str_t  domain;
    ngx_uint_t label;

    domain.data = value->data + 7;
    domain.len = value->len - 7;

    last = domain.data + domain.len;
    label = 0;

    for (p = domain.data; p < last; p++) {

        if (isalnum(*p) || (label && (*p == '-' || *p == '_'))) {
            label = 1;
            continue;
        }

        if (!label || *p != '.') {
            label = 0;
            break;
        }

        label = 0;
    }

    if (!label) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid domain \"%V\", it must be a host name",
                           value);
        return NGX_ERROR;
    }

    ngx_strlow(domain.data, domain.data, domain.len);

    olcf->domain = domain;

    return NGX_OK;
}


char *
ngx_http_osb_conf_zone(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_osb_main_conf_t *omcf = conf;

    char                *error;
    ssize_t              size;
    ngx_str_t           *value, name;
    ngx_pool_cleanup_t  *cln;
    ngx_http_osb_zone_t *zone;

    if (omcf->zone) {
        return "is duplicate";
    }

    value = cf->args->elts;

    size = ngx_http_osb_conf_zone_size(cf, &value[1], &name);
    if (size == NGX_ERROR) {
        return NGX_CONF_ERROR;
    }

    zone = ngx_pcalloc(cf->pool, sizeof(ngx_http_osb_zone_t));
    if (zone == NULL) {
        return NGX_CONF_ERROR;
    }

    if (cf->args->nelts == 3) {
        error = ngx_http_osb_conf_zone_state(cf, &value[2], zone);
        if (error) {
            return error;
        }
    }

    cln = ngx_pool_cleanup_add(cf->pool, 0);
    if (cln == NULL) {
        return NGX_CONF_ERROR;
    }

    cln->handler = ngx_http_osb_conf_zone_cleanup;
    cln->data = zone;

    zone->shm_zone =
        ngx_shared_memory_add(cf, &name, size, &ngx_http_opensandbox_module);
    if (zone->shm_zone == NULL) {
        return NGX_CONF_ERROR;
    }

    zone->shm_zone->init = ngx_http_osb_zone_init;
    zone->shm_zone->data = zone;

    omcf->zone = zone;

    return ngx_http_osb_activity_zone(cf, &name);
}


/* The name and the size in "name:size", or NGX_ERROR. */

static ssize_t
ngx_http_osb_conf_zone_size(ngx_conf_t *cf, ngx_str_t *value, ngx_str_t *name)
{
    u_char   *colon;
    ssize_t   size;
    ngx_str_t text;

    *name = *value;
    size = NGX_ERROR;
    colon = (u_char *) ngx_strchr(value->data, ':');

    if (colon) {
        name->len = colon - name->data;

        text.data = colon + 1;
        text.len = value->data + value->len - text.data;

        size = ngx_parse_size(&text);
    }

    if (size == NGX_ERROR || name->len == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid zone \"%V\", it must be \"name:size\"",
                           value);
        return NGX_ERROR;
    }

    if (size < (ssize_t) (16 * ngx_pagesize)) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "zone \"%V\" is too small",
                           value);
        return NGX_ERROR;
    }

    if ((uint64_t) size > NGX_HTTP_OSB_ZONE_MAX) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "zone \"%V\" is too large",
                           value);
        return NGX_ERROR;
    }

    return size;
}


/* The parameter "state=PATH"; returns what is wrong, or NULL. */

static char *
ngx_http_osb_conf_zone_state(ngx_conf_t *cf, ngx_str_t *value,
                             ngx_http_osb_zone_t *zone)
{
    if (ngx_strncmp(value->data, "state=", 6) != 0 || value->len == 6) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "invalid parameter \"%V\"",
                           value);
        return NGX_CONF_ERROR;
    }

    zone->state.data = value->data + 6;
    zone->state.len = value->len - 6;

    if (ngx_conf_full_name(cf->cycle, &zone->state, 0) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    /* there is to be room for the name of the file beside it */

    if (zone->state.len + sizeof(".new") > PATH_MAX) {
        return "has a state file with too long a name";
    }

    return NULL;
}


static void
ngx_http_osb_conf_zone_cleanup(void *data)
{
    ngx_http_osb_zone_t *zone = data;

    ngx_http_osb_memory_release(zone->memory);
}


char *
ngx_http_osb_conf_host(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_osb_loc_conf_t *olcf = conf;

    ngx_str_t                       *value;
    ngx_http_compile_complex_value_t ccv;

    if (olcf->host_endpoint != NGX_CONF_UNSET_UINT) {
        return "is duplicate";
    }

    value = cf->args->elts;

    olcf->host_endpoint = (ngx_strcmp(value[1].data, "endpoint") == 0);

    if (olcf->host_endpoint || ngx_strcmp(value[1].data, "client") == 0) {
        return NGX_CONF_OK;
    }

    if (value[1].len == 0 || (ngx_http_script_variables_count(&value[1]) == 0 &&
                              !ngx_http_osb_forwarded_valid(&value[1])))
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid host \"%V\", it must have letters, digits "
                           "and any of \".-_:[]\", or variables",
                           &value[1]);
        return NGX_CONF_ERROR;
    }

    olcf->host = ngx_palloc(cf->pool, sizeof(ngx_http_complex_value_t));
    if (olcf->host == NULL) {
        return NGX_CONF_ERROR;
    }

    ngx_memzero(&ccv, sizeof(ngx_http_compile_complex_value_t));

    ccv.cf = cf;
    ccv.value = &value[1];
    ccv.complex_value = olcf->host;

    if (ngx_http_compile_complex_value(&ccv) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


char *
ngx_http_osb_conf_content(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_osb_loc_conf_t *olcf = conf;

    ngx_http_core_loc_conf_t *clcf;
    ngx_http_osb_main_conf_t *omcf;

    if (olcf->mode || olcf->content) {
        return "has no place where something else answers";
    }

    olcf->content = 1;

    omcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_opensandbox_module);
    omcf->used = 1;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    clcf->handler = (ngx_http_handler_pt) cmd->post;

    return NGX_CONF_OK;
}
