/* SPDX-License-Identifier: Apache-2.0 */

#include "conf.h"
#include "access/access.h"
#include "answer/answer.h"
#include "api/api.h"
#include "proxy/proxy.h"
#include "renew/renew.h"
#include "request/request.h"
#include "status/status.h"
#include "state/state.h"
#include "version.h"
#include "wake/wake.h"


static ngx_int_t
ngx_http_osb_init(ngx_conf_t *cf);
static ngx_int_t
ngx_http_osb_init_module(ngx_cycle_t *cycle);
static ngx_int_t
ngx_http_osb_init_process(ngx_cycle_t *cycle);
static void
ngx_http_osb_exit_process(ngx_cycle_t *cycle);


static ngx_command_t ngx_http_osb_commands[] = {

    {ngx_string("opensandbox_zone"), NGX_HTTP_MAIN_CONF | NGX_CONF_TAKE12,
     ngx_http_osb_conf_zone, NGX_HTTP_MAIN_CONF_OFFSET, 0, NULL},

    {ngx_string("opensandbox_sandbox"),
     NGX_HTTP_MAIN_CONF | NGX_CONF_BLOCK | NGX_CONF_TAKE1,
     ngx_http_osb_sandbox_block, NGX_HTTP_MAIN_CONF_OFFSET, 0, NULL},

    {ngx_string("opensandbox_policy"),
     NGX_HTTP_MAIN_CONF | NGX_CONF_BLOCK | NGX_CONF_TAKE1,
     ngx_http_osb_policy_block, NGX_HTTP_MAIN_CONF_OFFSET, 0, NULL},

    {ngx_string("opensandbox"), NGX_HTTP_UPS_CONF | NGX_CONF_ANY,
     ngx_http_osb_balancer_conf, 0, 0, NULL},

    {ngx_string("opensandbox"), NGX_HTTP_LOC_CONF | NGX_CONF_1MORE,
     ngx_http_osb_conf_mode, NGX_HTTP_LOC_CONF_OFFSET, 0, NULL},

    {ngx_string("opensandbox_access_keys"), NGX_HTTP_MAIN_CONF | NGX_CONF_1MORE,
     ngx_http_osb_signature_keys, NGX_HTTP_MAIN_CONF_OFFSET, 0, NULL},

    {ngx_string("opensandbox_access_cookie"),
     NGX_HTTP_MAIN_CONF | NGX_HTTP_SRV_CONF | NGX_HTTP_LOC_CONF |
         NGX_CONF_TAKE12,
     ngx_http_osb_cookie_conf, NGX_HTTP_LOC_CONF_OFFSET, 0, NULL},

    {ngx_string("opensandbox_cors"),
     NGX_HTTP_MAIN_CONF | NGX_HTTP_SRV_CONF | NGX_HTTP_LOC_CONF |
         NGX_CONF_1MORE,
     ngx_http_osb_cors, NGX_HTTP_LOC_CONF_OFFSET, 0, NULL},

    {ngx_string("opensandbox_keep_prefix"),
     NGX_HTTP_MAIN_CONF | NGX_HTTP_SRV_CONF | NGX_HTTP_LOC_CONF | NGX_CONF_FLAG,
     ngx_conf_set_flag_slot, NGX_HTTP_LOC_CONF_OFFSET,
     offsetof(ngx_http_osb_loc_conf_t, keep_prefix), NULL},

    {ngx_string("opensandbox_follow_referer"),
     NGX_HTTP_MAIN_CONF | NGX_HTTP_SRV_CONF | NGX_HTTP_LOC_CONF | NGX_CONF_FLAG,
     ngx_conf_set_flag_slot, NGX_HTTP_LOC_CONF_OFFSET,
     offsetof(ngx_http_osb_loc_conf_t, follow_referer), NULL},

    {ngx_string("opensandbox_trace"),
     NGX_HTTP_MAIN_CONF | NGX_HTTP_SRV_CONF | NGX_HTTP_LOC_CONF | NGX_CONF_FLAG,
     ngx_conf_set_flag_slot, NGX_HTTP_LOC_CONF_OFFSET,
     offsetof(ngx_http_osb_loc_conf_t, trace), NULL},

    {ngx_string("opensandbox_host"),
     NGX_HTTP_MAIN_CONF | NGX_HTTP_SRV_CONF | NGX_HTTP_LOC_CONF |
         NGX_CONF_TAKE1,
     ngx_http_osb_conf_host, NGX_HTTP_LOC_CONF_OFFSET, 0, NULL},

    {ngx_string("opensandbox_trust_forwarded"),
     NGX_HTTP_MAIN_CONF | NGX_HTTP_SRV_CONF | NGX_HTTP_LOC_CONF |
         NGX_CONF_1MORE,
     ngx_http_osb_forwarded_trust, NGX_HTTP_LOC_CONF_OFFSET, 0, NULL},

    {ngx_string("opensandbox_wait"),
     NGX_HTTP_MAIN_CONF | NGX_HTTP_SRV_CONF | NGX_HTTP_LOC_CONF |
         NGX_CONF_TAKE1,
     ngx_conf_set_msec_slot, NGX_HTTP_LOC_CONF_OFFSET,
     offsetof(ngx_http_osb_loc_conf_t, wait), NULL},

    {ngx_string("opensandbox_wake"),
     NGX_HTTP_MAIN_CONF | NGX_HTTP_SRV_CONF | NGX_HTTP_LOC_CONF |
         NGX_CONF_TAKE123,
     ngx_http_osb_wake_conf, NGX_HTTP_LOC_CONF_OFFSET, 0, NULL},

    {ngx_string("opensandbox_tunnel_timeout"),
     NGX_HTTP_MAIN_CONF | NGX_HTTP_SRV_CONF | NGX_HTTP_LOC_CONF |
         NGX_CONF_TAKE1,
     ngx_conf_set_msec_slot, NGX_HTTP_LOC_CONF_OFFSET,
     offsetof(ngx_http_osb_loc_conf_t, tunnel_timeout), NULL},

    {ngx_string("opensandbox_public"),
     NGX_HTTP_MAIN_CONF | NGX_HTTP_SRV_CONF | NGX_HTTP_LOC_CONF |
         NGX_CONF_TAKE2,
     ngx_http_osb_public, NGX_HTTP_LOC_CONF_OFFSET, 0, NULL},

    {ngx_string("opensandbox_sources"),
     NGX_HTTP_MAIN_CONF | NGX_HTTP_SRV_CONF | NGX_HTTP_LOC_CONF |
         NGX_CONF_1MORE,
     ngx_http_osb_api_conf_sources, NGX_HTTP_LOC_CONF_OFFSET, 0, NULL},

    {ngx_string("opensandbox_status"), NGX_HTTP_LOC_CONF | NGX_CONF_NOARGS,
     ngx_http_osb_conf_content, NGX_HTTP_LOC_CONF_OFFSET, 0,
     ngx_http_osb_status_handler},

    {ngx_string("opensandbox_api"),
     NGX_HTTP_LOC_CONF | NGX_CONF_NOARGS | NGX_CONF_TAKE1,
     ngx_http_osb_api_conf, NGX_HTTP_LOC_CONF_OFFSET, 0,
     ngx_http_osb_api_handler},

    {ngx_string("opensandbox_api_token"),
     NGX_HTTP_MAIN_CONF | NGX_HTTP_SRV_CONF | NGX_HTTP_LOC_CONF |
         NGX_CONF_TAKE1,
     ngx_http_osb_api_conf_token, NGX_HTTP_LOC_CONF_OFFSET,
     offsetof(ngx_http_osb_loc_conf_t, api_tokens), NULL},

    {ngx_string("opensandbox_renew_intent"),
     NGX_HTTP_MAIN_CONF | NGX_CONF_TAKE1234, ngx_http_osb_renew_intent,
     NGX_HTTP_MAIN_CONF_OFFSET, 0, NULL},

    ngx_null_command};


static ngx_http_module_t ngx_http_osb_module_ctx = {
    ngx_http_osb_variables_add, /* preconfiguration */
    ngx_http_osb_init,          /* postconfiguration */

    ngx_http_osb_conf_create_main, /* create main configuration */
    NULL,                          /* init main configuration */

    NULL, /* create server configuration */
    NULL, /* merge server configuration */

    ngx_http_osb_conf_create_loc, /* create location configuration */
    ngx_http_osb_conf_merge_loc   /* merge location configuration */
};


ngx_module_t ngx_http_opensandbox_module = {
    NGX_MODULE_V1,
    &ngx_http_osb_module_ctx,  /* module context */
    ngx_http_osb_commands,     /* module directives */
    NGX_HTTP_MODULE,           /* module type */
    NULL,                      /* init master */
    ngx_http_osb_init_module,  /* init module */
    ngx_http_osb_init_process, /* init process */
    NULL,                      /* init thread */
    NULL,                      /* exit thread */
    ngx_http_osb_exit_process, /* exit process */
    NULL,                      /* exit master */
    NGX_MODULE_V1_PADDING};


static ngx_int_t
ngx_http_osb_init(ngx_conf_t *cf)
{
    ngx_http_handler_pt       *h;
    ngx_http_core_main_conf_t *cmcf;
    ngx_http_osb_main_conf_t  *omcf;

    static ngx_str_t request_uri = ngx_string("request_uri");

    omcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_opensandbox_module);

    if (omcf->zone == NULL) {

        /* nothing but the module's name is in this configuration, or it is
         * wrong: a request would have nowhere to look */

        if (omcf->used) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "\"opensandbox_zone\" is missing in \"http\", "
                               "which ends");
            return NGX_ERROR;
        }

        return NGX_OK;
    }

    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);

    h = ngx_array_push(&cmcf->phases[NGX_HTTP_PRECONTENT_PHASE].handlers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    *h = ngx_http_osb_handler;

    if (ngx_http_osb_phases_init(cf) != NGX_OK) {
        return NGX_ERROR;
    }

    if (ngx_http_osb_balancer_init(cf, omcf) != NGX_OK) {
        return NGX_ERROR;
    }

    omcf->request_uri = ngx_http_get_variable_index(cf, &request_uri);
    if (omcf->request_uri == NGX_ERROR) {
        return NGX_ERROR;
    }

    if (ngx_http_osb_policy_resolve(cf) != NGX_OK) {
        return NGX_ERROR;
    }

    if (ngx_http_osb_public_init(cf) != NGX_OK) {
        return NGX_ERROR;
    }

    if (ngx_http_osb_browser_init(cf) != NGX_OK) {
        return NGX_ERROR;
    }

    if (omcf->renew && ngx_http_osb_renew_init(cf, omcf->renew) != NGX_OK) {
        return NGX_ERROR;
    }

    if (ngx_http_osb_log_init(cf) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_http_osb_filter_init(cf);
}


/* The configuration is good and in force: what it declares takes effect. */

static ngx_int_t
ngx_http_osb_init_module(ngx_cycle_t *cycle)
{
    ngx_uint_t                first;
    ngx_http_osb_main_conf_t *omcf;

    omcf =
        ngx_http_cycle_get_module_main_conf(cycle, ngx_http_opensandbox_module);

    first = ngx_is_init_cycle(cycle->old_cycle);

    if (first && !ngx_test_config) {
        ngx_log_error(NGX_LOG_NOTICE, cycle->log, 0,
                      "opensandbox " OPENSANDBOX_VERSION);
    }

    if (omcf == NULL || omcf->zone == NULL) {
        ngx_http_osb_memory_confirm(NULL, first);
        return NGX_OK;
    }

    ngx_http_osb_memory_confirm(omcf->zone->memory, first);

    if (omcf->zone->fresh && omcf->zone->state.len && !ngx_test_config &&
        ngx_http_osb_state_load(omcf->zone, cycle->log) != NGX_OK && first)
    {
        return NGX_ERROR;
    }

    if (ngx_http_osb_registry_declare(omcf->zone, omcf->declared.elts,
                                      omcf->declared.nelts,
                                      cycle->log) != NGX_OK &&
        (ngx_test_config || first))
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_osb_init_process(ngx_cycle_t *cycle)
{
    ngx_http_osb_main_conf_t *omcf;

    omcf =
        ngx_http_cycle_get_module_main_conf(cycle, ngx_http_opensandbox_module);

    if (omcf == NULL || omcf->zone == NULL) {
        return NGX_OK;
    }

    if (ngx_process != NGX_PROCESS_SINGLE) {
        ngx_http_osb_memory_init_process(omcf->zone->memory);
    }

    if (ngx_process != NGX_PROCESS_WORKER && ngx_process != NGX_PROCESS_SINGLE)
    {
        return NGX_OK;
    }

    ngx_http_osb_zone_init_process(omcf->zone, cycle->log);
    ngx_http_osb_keeper_start(cycle->log);

    ngx_http_osb_meters_init_process(omcf->zone, cycle->log);

    return ngx_http_osb_renew_init_process(omcf->renew, cycle);
}


static void
ngx_http_osb_exit_process(ngx_cycle_t *cycle)
{
    ngx_http_osb_keeper_stop();
    ngx_http_osb_redis_exit();
    ngx_http_osb_wake_exit();
}
