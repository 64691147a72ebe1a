/* SPDX-License-Identifier: Apache-2.0 */

#include "ngx_http_opensandbox_renew.h"
#include "ngx_http_opensandbox_state.h"


static ngx_int_t
ngx_http_opensandbox_handler(ngx_http_request_t *r);
static ngx_int_t
ngx_http_opensandbox_pass(ngx_http_request_t         *r,
                          ngx_http_opensandbox_ctx_t *ctx);
static ngx_uint_t
ngx_http_opensandbox_alive(ngx_http_request_t *r);
static ngx_http_opensandbox_status_e
ngx_http_opensandbox_resolve(ngx_http_request_t         *r,
                             ngx_http_opensandbox_ctx_t *ctx);
static ngx_http_opensandbox_ctx_t *
ngx_http_opensandbox_former_ctx(ngx_http_request_t *r);
static void
ngx_http_opensandbox_cleanup(void *data);

static ngx_int_t
ngx_http_opensandbox_init(ngx_conf_t *cf);
static void *
ngx_http_opensandbox_create_main_conf(ngx_conf_t *cf);
static void *
ngx_http_opensandbox_create_loc_conf(ngx_conf_t *cf);
static char *
ngx_http_opensandbox_merge_loc_conf(ngx_conf_t *cf, void *parent, void *child);
static ngx_uint_t
ngx_http_opensandbox_mode_value(ngx_conf_t *cf, ngx_str_t *name);
static char *
ngx_http_opensandbox_mode(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
static char *
ngx_http_opensandbox_zone(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
static void
ngx_http_opensandbox_zone_cleanup(void *data);
static char *
ngx_http_opensandbox_host(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
static char *
ngx_http_opensandbox_public(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
static char *
ngx_http_opensandbox_content(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
static ngx_int_t
ngx_http_opensandbox_init_module(ngx_cycle_t *cycle);
static ngx_int_t
ngx_http_opensandbox_init_process(ngx_cycle_t *cycle);
static void
ngx_http_opensandbox_exit_process(ngx_cycle_t *cycle);


static ngx_command_t ngx_http_opensandbox_commands[] = {

    {ngx_string("opensandbox_zone"), NGX_HTTP_MAIN_CONF | NGX_CONF_TAKE12,
     ngx_http_opensandbox_zone, NGX_HTTP_MAIN_CONF_OFFSET, 0, NULL},

    {ngx_string("opensandbox_sandbox"),
     NGX_HTTP_MAIN_CONF | NGX_CONF_BLOCK | NGX_CONF_TAKE1,
     ngx_http_opensandbox_sandbox_block, NGX_HTTP_MAIN_CONF_OFFSET, 0, NULL},

    {ngx_string("opensandbox_policy"),
     NGX_HTTP_MAIN_CONF | NGX_CONF_BLOCK | NGX_CONF_TAKE1,
     ngx_http_opensandbox_policy_block, NGX_HTTP_MAIN_CONF_OFFSET, 0, NULL},

    {ngx_string("opensandbox"), NGX_HTTP_UPS_CONF | NGX_CONF_NOARGS,
     ngx_http_opensandbox_upstream, 0, 0, NULL},

    {ngx_string("opensandbox"), NGX_HTTP_LOC_CONF | NGX_CONF_TAKE123,
     ngx_http_opensandbox_mode, NGX_HTTP_LOC_CONF_OFFSET, 0, NULL},

    {ngx_string("opensandbox_access_keys"), NGX_HTTP_MAIN_CONF | NGX_CONF_1MORE,
     ngx_http_opensandbox_access_keys, NGX_HTTP_MAIN_CONF_OFFSET, 0, NULL},

    {ngx_string("opensandbox_access_cookie"),
     NGX_HTTP_MAIN_CONF | NGX_HTTP_SRV_CONF | NGX_HTTP_LOC_CONF |
         NGX_CONF_TAKE12,
     ngx_http_opensandbox_access_cookie, NGX_HTTP_LOC_CONF_OFFSET, 0, NULL},

    {ngx_string("opensandbox_host"),
     NGX_HTTP_MAIN_CONF | NGX_HTTP_SRV_CONF | NGX_HTTP_LOC_CONF |
         NGX_CONF_TAKE1,
     ngx_http_opensandbox_host, NGX_HTTP_LOC_CONF_OFFSET, 0, NULL},

    {ngx_string("opensandbox_wait"),
     NGX_HTTP_MAIN_CONF | NGX_HTTP_SRV_CONF | NGX_HTTP_LOC_CONF |
         NGX_CONF_TAKE1,
     ngx_conf_set_msec_slot, NGX_HTTP_LOC_CONF_OFFSET,
     offsetof(ngx_http_opensandbox_loc_conf_t, wait), NULL},

    {ngx_string("opensandbox_tunnel_timeout"),
     NGX_HTTP_MAIN_CONF | NGX_HTTP_SRV_CONF | NGX_HTTP_LOC_CONF |
         NGX_CONF_TAKE1,
     ngx_conf_set_msec_slot, NGX_HTTP_LOC_CONF_OFFSET,
     offsetof(ngx_http_opensandbox_loc_conf_t, tunnel_timeout), NULL},

    {ngx_string("opensandbox_public"),
     NGX_HTTP_MAIN_CONF | NGX_HTTP_SRV_CONF | NGX_HTTP_LOC_CONF |
         NGX_CONF_TAKE2,
     ngx_http_opensandbox_public, NGX_HTTP_LOC_CONF_OFFSET, 0, NULL},

    {ngx_string("opensandbox_status"), NGX_HTTP_LOC_CONF | NGX_CONF_NOARGS,
     ngx_http_opensandbox_content, NGX_HTTP_LOC_CONF_OFFSET, 0,
     ngx_http_opensandbox_status_handler},

    {ngx_string("opensandbox_api"), NGX_HTTP_LOC_CONF | NGX_CONF_NOARGS,
     ngx_http_opensandbox_content, NGX_HTTP_LOC_CONF_OFFSET, 0,
     ngx_http_opensandbox_api_handler},

    {ngx_string("opensandbox_api_token"),
     NGX_HTTP_MAIN_CONF | NGX_HTTP_SRV_CONF | NGX_HTTP_LOC_CONF |
         NGX_CONF_TAKE1,
     ngx_conf_set_str_array_slot, NGX_HTTP_LOC_CONF_OFFSET,
     offsetof(ngx_http_opensandbox_loc_conf_t, api_tokens), NULL},

    {ngx_string("opensandbox_renew_intent"),
     NGX_HTTP_MAIN_CONF | NGX_CONF_TAKE1234, ngx_http_opensandbox_renew_intent,
     NGX_HTTP_MAIN_CONF_OFFSET, 0, NULL},

    ngx_null_command};


static ngx_http_module_t ngx_http_opensandbox_module_ctx = {
    ngx_http_opensandbox_add_variables, /* preconfiguration */
    ngx_http_opensandbox_init,          /* postconfiguration */

    ngx_http_opensandbox_create_main_conf, /* create main configuration */
    NULL,                                  /* init main configuration */

    NULL, /* create server configuration */
    NULL, /* merge server configuration */

    ngx_http_opensandbox_create_loc_conf, /* create location configuration */
    ngx_http_opensandbox_merge_loc_conf   /* merge location configuration */
};


ngx_module_t ngx_http_opensandbox_module = {
    NGX_MODULE_V1,
    &ngx_http_opensandbox_module_ctx,  /* module context */
    ngx_http_opensandbox_commands,     /* module directives */
    NGX_HTTP_MODULE,                   /* module type */
    NULL,                              /* init master */
    ngx_http_opensandbox_init_module,  /* init module */
    ngx_http_opensandbox_init_process, /* init process */
    NULL,                              /* init thread */
    NULL,                              /* exit thread */
    ngx_http_opensandbox_exit_process, /* exit process */
    NULL,                              /* exit master */
    NGX_MODULE_V1_PADDING};


static ngx_conf_enum_t ngx_http_opensandbox_modes[] = {
    {ngx_string("uri"), NGX_HTTP_OPENSANDBOX_MODE_URI},
    {ngx_string("header"), NGX_HTTP_OPENSANDBOX_MODE_HEADER},
    {ngx_string("host"), NGX_HTTP_OPENSANDBOX_MODE_HOST},
    {ngx_string("any"), NGX_HTTP_OPENSANDBOX_MODE_ANY},
    {ngx_null_string, 0}};


static ngx_http_complex_value_t ngx_http_opensandbox_alive_body = {
    ngx_string("OK"), NULL, NULL, NULL, {0}};


static ngx_int_t
ngx_http_opensandbox_handler(ngx_http_request_t *r)
{
    ngx_http_opensandbox_ctx_t      *ctx;
    ngx_http_opensandbox_loc_conf_t *olcf;

    olcf = ngx_http_get_module_loc_conf(r, ngx_http_opensandbox_module);

    if (olcf->mode == 0) {
        return NGX_DECLINED;
    }

    if (ngx_http_opensandbox_alive(r)) {
        ngx_http_finalize_request(
            r, ngx_http_send_response(r, NGX_HTTP_OK, NULL,
                                      &ngx_http_opensandbox_alive_body));
        return NGX_DONE;
    }

    ctx = ngx_http_opensandbox_ctx(r);
    if (ctx == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (ctx->strays) {

        /* once more, by the location of the sandbox itself */

        ctx->strays = 0;
        ctx->strayed = 1;

        (void) ngx_http_internal_redirect(r, &ctx->route.prefix, NULL);
        ngx_http_finalize_request(r, NGX_DONE);

        return NGX_DONE;
    }

    return ngx_http_opensandbox_pass(r, ctx);
}


/* To the sandbox, or to what is said instead. */

static ngx_int_t
ngx_http_opensandbox_pass(ngx_http_request_t         *r,
                          ngx_http_opensandbox_ctx_t *ctx)
{
    ngx_int_t rc;

    if (ctx->status == NGX_HTTP_OPENSANDBOX_OK && ctx->record == NULL) {
        ctx->status = ngx_http_opensandbox_resolve(r, ctx);
    }

    /* whatever becomes of the request, nobody else is to see its cookie */

    if (ngx_http_opensandbox_cookie_cut(r) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (ctx->status == NGX_HTTP_OPENSANDBOX_OK && ctx->link) {
        ngx_http_finalize_request(r, ngx_http_opensandbox_link_follow(r, ctx));
        return NGX_DONE;
    }

    if (ctx->status == NGX_HTTP_OPENSANDBOX_OK) {
        rc = ngx_http_opensandbox_hold(r, ctx);

        if (rc == NGX_AGAIN) {
            return NGX_AGAIN;
        }

        if (rc == NGX_ERROR) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }
    }

    if (ctx->status != NGX_HTTP_OPENSANDBOX_OK) {
        ngx_log_error(NGX_LOG_INFO, r->connection->log, 0,
                      "opensandbox: %V, sandbox \"%V\", port %ui%s%s",
                      ngx_http_opensandbox_status_name(ctx->status), &ctx->id,
                      ctx->route.port, ctx->reason ? ": " : "",
                      ctx->reason ? ctx->reason : "");

        return (ngx_int_t) ngx_http_opensandbox_http_status(ctx->status);
    }

    ngx_http_opensandbox_renew(r, ctx);

    if (ctx->mode == NGX_HTTP_OPENSANDBOX_MODE_URI) {

        /* until the proxy has made its request, see restore_uri() */

        ctx->uri = r->unparsed_uri;
        ctx->swapped = 1;

        r->unparsed_uri = ctx->rest;
        r->valid_unparsed_uri = 1;
    }

    return NGX_DECLINED;
}


/* A load balancer's question; it names no sandbox and needs no route. */

static ngx_uint_t
ngx_http_opensandbox_alive(ngx_http_request_t *r)
{
    static ngx_str_t path = ngx_string("/status.ok");

    return (r->method & (NGX_HTTP_GET | NGX_HTTP_HEAD)) &&
           r->uri.len == path.len &&
           ngx_strncmp(r->uri.data, path.data, path.len) == 0;
}


/* Route to record to verdict to place. */

static ngx_http_opensandbox_status_e
ngx_http_opensandbox_resolve(ngx_http_request_t         *r,
                             ngx_http_opensandbox_ctx_t *ctx)
{
    ngx_http_opensandbox_record_t    *record;
    ngx_http_opensandbox_main_conf_t *omcf;

    u_char buf[NGX_HTTP_OPENSANDBOX_RECORD_SIZE] __attribute__((aligned(8)));

    omcf = ngx_http_get_module_main_conf(r, ngx_http_opensandbox_module);
    record = (ngx_http_opensandbox_record_t *) buf;

    if (ngx_http_opensandbox_registry_route(omcf->zone, &ctx->id, record) !=
        NGX_OK) {
        return NGX_HTTP_OPENSANDBOX_NOT_FOUND;
    }

    if (record->size <= sizeof(ctx->space)) {
        ctx->record = (ngx_http_opensandbox_record_t *) ctx->space;

    } else {
        ctx->record = ngx_palloc(r->pool, record->size);
    }

    if (ctx->record == NULL) {
        ctx->reason = "no memory";
        return NGX_HTTP_OPENSANDBOX_NOT_READY;
    }

    ngx_memcpy(ctx->record, record, record->size);

    return ngx_http_opensandbox_access(r, ctx);
}


ngx_http_opensandbox_ctx_t *
ngx_http_opensandbox_ctx(ngx_http_request_t *r)
{
    ngx_pool_cleanup_t              *cln;
    ngx_http_opensandbox_ctx_t      *ctx, *former;
    ngx_http_opensandbox_loc_conf_t *olcf;

    ctx = ngx_http_opensandbox_known_ctx(r);
    if (ctx) {
        return ctx;
    }

    olcf = ngx_http_get_module_loc_conf(r, ngx_http_opensandbox_module);

    if (olcf->mode == 0) {
        return NULL;
    }

    former = r->internal ? ngx_http_opensandbox_former_ctx(r) : NULL;

    cln = ngx_pool_cleanup_add(r->pool, 0);
    if (cln == NULL) {
        return NULL;
    }

    /* in the pool it would make most requests need a third block of it */

    ctx = ngx_alloc(sizeof(ngx_http_opensandbox_ctx_t), r->connection->log);
    if (ctx == NULL) {
        return NULL;
    }

    ngx_memzero(ctx, offsetof(ngx_http_opensandbox_ctx_t, probe));

    ctx->former = former;
    ctx->http_version = r->http_version;

    cln->handler = ngx_http_opensandbox_cleanup;
    cln->data = ctx;

    ngx_http_set_ctx(r, ctx, ngx_http_opensandbox_module);

    ngx_http_opensandbox_read_route(r, olcf, ctx);

    return ctx;
}


ngx_http_opensandbox_ctx_t *
ngx_http_opensandbox_known_ctx(ngx_http_request_t *r)
{
    ngx_http_opensandbox_ctx_t      *ctx;
    ngx_http_opensandbox_loc_conf_t *olcf;

    ctx = ngx_http_get_module_ctx(r, ngx_http_opensandbox_module);

    if (ctx || (!r->internal && !r->filter_finalize)) {
        return ctx;
    }

    /* an internal redirect has cleared the contexts */

    ctx = ngx_http_opensandbox_former_ctx(r);
    olcf = ngx_http_get_module_loc_conf(r, ngx_http_opensandbox_module);

    if (ctx && ctx->strayed && olcf->mode) {
        ctx->strayed = 0;
        ngx_http_set_ctx(r, ctx, ngx_http_opensandbox_module);
        return ctx;
    }

    return olcf->mode ? NULL : ctx;
}


static ngx_http_opensandbox_ctx_t *
ngx_http_opensandbox_former_ctx(ngx_http_request_t *r)
{
    ngx_pool_cleanup_t *cln;

    for (cln = r->pool->cleanup; cln; cln = cln->next) {
        if (cln->handler == ngx_http_opensandbox_cleanup) {
            return cln->data;
        }
    }

    return NULL;
}


/* Also marks the context among the pool's cleanups. */

static void
ngx_http_opensandbox_cleanup(void *data)
{
    ngx_http_opensandbox_ctx_t *ctx = data;

    if (ctx->watched) {
        ngx_http_opensandbox_stream_close(ctx);
    }

    ngx_http_opensandbox_release(ctx);

    ngx_free(ctx);
}


void
ngx_http_opensandbox_restore_uri(ngx_http_request_t         *r,
                                 ngx_http_opensandbox_ctx_t *ctx)
{
    if (ctx->swapped) {
        r->unparsed_uri = ctx->uri;
        ctx->swapped = 0;
    }
}


static void *
ngx_http_opensandbox_create_main_conf(ngx_conf_t *cf)
{
    ngx_http_opensandbox_main_conf_t *omcf;

    omcf = ngx_pcalloc(cf->pool, sizeof(ngx_http_opensandbox_main_conf_t));
    if (omcf == NULL) {
        return NULL;
    }

    if (ngx_array_init(&omcf->keys, cf->pool, 4,
                       sizeof(ngx_http_opensandbox_secret_t)) != NGX_OK)
    {
        return NULL;
    }

    if (ngx_array_init(&omcf->declared, cf->pool, 16,
                       sizeof(ngx_http_opensandbox_record_t *)) != NGX_OK)
    {
        return NULL;
    }

    if (ngx_array_init(&omcf->policies, cf->pool, 4,
                       sizeof(ngx_http_opensandbox_policy_t)) != NGX_OK)
    {
        return NULL;
    }

    if (ngx_array_init(&omcf->policy_uses, cf->pool, 4,
                       sizeof(ngx_http_opensandbox_policy_use_t)) != NGX_OK)
    {
        return NULL;
    }

    return omcf;
}


static void *
ngx_http_opensandbox_create_loc_conf(ngx_conf_t *cf)
{
    ngx_http_opensandbox_loc_conf_t *olcf;

    /*
     * set by ngx_pcalloc():
     *
     *     olcf->mode = 0;
     *     olcf->prefix = { 0, NULL };
     *     olcf->domain = { 0, NULL };
     *     olcf->host = NULL;
     */

    olcf = ngx_pcalloc(cf->pool, sizeof(ngx_http_opensandbox_loc_conf_t));
    if (olcf == NULL) {
        return NULL;
    }

    olcf->host_endpoint = NGX_CONF_UNSET_UINT;
    olcf->wait = NGX_CONF_UNSET_MSEC;
    olcf->tunnel_timeout = NGX_CONF_UNSET_MSEC;
    olcf->api_tokens = NGX_CONF_UNSET_PTR;
    olcf->cookie = NGX_CONF_UNSET_UINT;

    return olcf;
}


static char *
ngx_http_opensandbox_merge_loc_conf(ngx_conf_t *cf, void *parent, void *child)
{
    ngx_http_opensandbox_loc_conf_t *prev = parent;
    ngx_http_opensandbox_loc_conf_t *conf = child;

    /* the mode is not inherited, as proxy_pass is not */

    if (conf->host_endpoint == NGX_CONF_UNSET_UINT) {
        conf->host = prev->host;
        ngx_conf_merge_uint_value(conf->host_endpoint, prev->host_endpoint, 0);
    }

    if (conf->cookie == NGX_CONF_UNSET_UINT) {
        conf->cookie_secure = prev->cookie_secure;
        ngx_conf_merge_uint_value(conf->cookie, prev->cookie,
                                  NGX_HTTP_OPENSANDBOX_COOKIE_LAX);
    }

    if (conf->public_mode == 0) {
        conf->public_mode = prev->public_mode;
        conf->public_base = prev->public_base;
    }

    ngx_conf_merge_msec_value(conf->wait, prev->wait, 0);
    ngx_conf_merge_msec_value(conf->tunnel_timeout, prev->tunnel_timeout,
                              3600000);
    ngx_conf_merge_ptr_value(conf->api_tokens, prev->api_tokens, NULL);

    return NGX_CONF_OK;
}


static char *
ngx_http_opensandbox_mode(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_opensandbox_loc_conf_t *olcf = conf;

    ngx_str_t                        *value, prefix;
    ngx_uint_t                        i;
    ngx_http_opensandbox_main_conf_t *omcf;

    if (olcf->mode) {
        return "is duplicate";
    }

    omcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_opensandbox_module);
    omcf->used = 1;

    olcf->number = ++omcf->locations;

    value = cf->args->elts;

    olcf->mode = ngx_http_opensandbox_mode_value(cf, &value[1]);

    if (olcf->mode == 0) {
        return NGX_CONF_ERROR;
    }

    ngx_str_set(&olcf->prefix, "/sandboxes");

    for (i = 2; i < cf->args->nelts; i++) {

        if (ngx_strncmp(value[i].data, "prefix=", 7) == 0 &&
            (olcf->mode & NGX_HTTP_OPENSANDBOX_MODE_URI))
        {
            prefix.data = value[i].data + 7;
            prefix.len = value[i].len - 7;

            while (prefix.len > 1 && prefix.data[prefix.len - 1] == '/') {
                prefix.len--;
            }

            if (prefix.len == 0 || prefix.data[0] != '/' ||
                strpbrk((char *) prefix.data, "%?#; "))
            {
                ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                                   "invalid prefix \"%V\", it must be a path",
                                   &value[i]);
                return NGX_CONF_ERROR;
            }

            if (prefix.len == 1) {
                prefix.len = 0;
            }

            olcf->prefix = prefix;
            continue;
        }

        if (ngx_strncmp(value[i].data, "domain=", 7) == 0 &&
            (olcf->mode & NGX_HTTP_OPENSANDBOX_MODE_HOST) && value[i].len > 7)
        {
            olcf->domain.data = value[i].data + 7;
            olcf->domain.len = value[i].len - 7;

            ngx_strlow(olcf->domain.data, olcf->domain.data, olcf->domain.len);
            continue;
        }

        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "invalid parameter \"%V\"",
                           &value[i]);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static ngx_uint_t
ngx_http_opensandbox_mode_value(ngx_conf_t *cf, ngx_str_t *name)
{
    ngx_uint_t i;

    for (i = 0; ngx_http_opensandbox_modes[i].name.len; i++) {
        if (ngx_http_opensandbox_modes[i].name.len == name->len &&
            ngx_strcmp(ngx_http_opensandbox_modes[i].name.data, name->data) ==
                0)
        {
            return ngx_http_opensandbox_modes[i].value;
        }
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "invalid mode \"%V\", it must be \"uri\", "
                       "\"header\", \"host\" or \"any\"",
                       name);
    return 0;
}


static char *
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


static char *
ngx_http_opensandbox_zone(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_opensandbox_main_conf_t *omcf = conf;

    u_char                      *colon;
    ssize_t                      size;
    ngx_str_t                   *value, name, text;
    ngx_pool_cleanup_t          *cln;
    ngx_http_opensandbox_zone_t *zone;

    if (omcf->zone) {
        return "is duplicate";
    }

    value = cf->args->elts;

    name = value[1];
    size = NGX_ERROR;
    colon = (u_char *) ngx_strchr(value[1].data, ':');

    if (colon) {
        name.len = colon - name.data;

        text.data = colon + 1;
        text.len = value[1].data + value[1].len - text.data;

        size = ngx_parse_size(&text);
    }

    if (size == NGX_ERROR || name.len == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid zone \"%V\", it must be \"name:size\"",
                           &value[1]);
        return NGX_CONF_ERROR;
    }

    if (size < (ssize_t) (16 * ngx_pagesize)) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "zone \"%V\" is too small",
                           &value[1]);
        return NGX_CONF_ERROR;
    }

    zone = ngx_pcalloc(cf->pool, sizeof(ngx_http_opensandbox_zone_t));
    if (zone == NULL) {
        return NGX_CONF_ERROR;
    }

    if (cf->args->nelts == 3) {

        if (ngx_strncmp(value[2].data, "state=", 6) != 0 || value[2].len == 6) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "invalid parameter \"%V\"",
                               &value[2]);
            return NGX_CONF_ERROR;
        }

        zone->state.data = value[2].data + 6;
        zone->state.len = value[2].len - 6;

        if (ngx_conf_full_name(cf->cycle, &zone->state, 0) != NGX_OK) {
            return NGX_CONF_ERROR;
        }

        /* there is to be room for the name of the file beside it */

        if (zone->state.len + sizeof(".new") > PATH_MAX) {
            return "has a state file with too long a name";
        }
    }

    cln = ngx_pool_cleanup_add(cf->pool, 0);
    if (cln == NULL) {
        return NGX_CONF_ERROR;
    }

    cln->handler = ngx_http_opensandbox_zone_cleanup;
    cln->data = zone;

    zone->shm_zone =
        ngx_shared_memory_add(cf, &name, size, &ngx_http_opensandbox_module);
    if (zone->shm_zone == NULL) {
        return NGX_CONF_ERROR;
    }

    zone->shm_zone->init = ngx_http_opensandbox_registry_init;
    zone->shm_zone->data = zone;

    omcf->zone = zone;

    return NGX_CONF_OK;
}


static void
ngx_http_opensandbox_zone_cleanup(void *data)
{
    ngx_http_opensandbox_zone_t *zone = data;

    ngx_http_opensandbox_memory_release(zone->memory);
}


static char *
ngx_http_opensandbox_host(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_opensandbox_loc_conf_t *olcf = conf;

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


static char *
ngx_http_opensandbox_content(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_core_loc_conf_t         *clcf;
    ngx_http_opensandbox_main_conf_t *omcf;

    omcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_opensandbox_module);
    omcf->used = 1;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    clcf->handler = (ngx_http_handler_pt) cmd->post;

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_http_opensandbox_init(ngx_conf_t *cf)
{
    ngx_http_handler_pt              *h;
    ngx_http_core_main_conf_t        *cmcf;
    ngx_http_opensandbox_main_conf_t *omcf;

    omcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_opensandbox_module);

    if (omcf->zone == NULL) {

        /* nothing but the module's name is in this configuration, or it is
         * wrong: a request would have nowhere to look */

        if (omcf->used) {
            ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                          "\"opensandbox_zone\" is missing in \"http\"");
            return NGX_ERROR;
        }

        return NGX_OK;
    }

    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);

    h = ngx_array_push(&cmcf->phases[NGX_HTTP_PRECONTENT_PHASE].handlers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    *h = ngx_http_opensandbox_handler;

    if (ngx_http_opensandbox_policy_resolve(cf, omcf) != NGX_OK) {
        return NGX_ERROR;
    }

    if (ngx_http_opensandbox_meters_init(cf) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_http_opensandbox_reply_init(cf);
}


/* The configuration is good and in force: what it declares takes effect. */

static ngx_int_t
ngx_http_opensandbox_init_module(ngx_cycle_t *cycle)
{
    ngx_uint_t                        first;
    ngx_http_opensandbox_main_conf_t *omcf;

    omcf =
        ngx_http_cycle_get_module_main_conf(cycle, ngx_http_opensandbox_module);

    first = ngx_is_init_cycle(cycle->old_cycle);

    if (omcf == NULL || omcf->zone == NULL) {
        ngx_http_opensandbox_memory_confirm(NULL, first);
        return NGX_OK;
    }

    ngx_http_opensandbox_memory_confirm(omcf->zone->memory, first);

    if (omcf->zone->fresh && omcf->zone->state.len && !ngx_test_config &&
        ngx_http_opensandbox_state_load(omcf->zone, cycle->log) != NGX_OK &&
        first)
    {
        return NGX_ERROR;
    }

    if (ngx_http_opensandbox_registry_declare(omcf->zone, omcf->declared.elts,
                                              omcf->declared.nelts,
                                              cycle->log) != NGX_OK &&
        (ngx_test_config || first))
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_opensandbox_init_process(ngx_cycle_t *cycle)
{
    ngx_http_opensandbox_main_conf_t *omcf;

    omcf =
        ngx_http_cycle_get_module_main_conf(cycle, ngx_http_opensandbox_module);

    if (omcf == NULL || omcf->zone == NULL) {
        return NGX_OK;
    }

    if (ngx_process != NGX_PROCESS_SINGLE) {
        ngx_http_opensandbox_memory_init_process(omcf->zone->memory);
    }

    if (ngx_process != NGX_PROCESS_WORKER && ngx_process != NGX_PROCESS_SINGLE)
    {
        return NGX_OK;
    }

    ngx_http_opensandbox_zone_init_process(omcf->zone, cycle->log);
    ngx_http_opensandbox_keeper_start(cycle->log);

    ngx_http_opensandbox_meters_init_process(omcf->zone, cycle->log);

    return ngx_http_opensandbox_renew_init_process(omcf->renew, cycle);
}


static void
ngx_http_opensandbox_exit_process(ngx_cycle_t *cycle)
{
    ngx_http_opensandbox_keeper_stop();
    ngx_http_opensandbox_redis_exit();
}
