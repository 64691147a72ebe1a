/* SPDX-License-Identifier: Apache-2.0 */

#include "inner.h"


/* the block that is being read: a JSON record, judged as any other */
typedef struct {
    ngx_str_t id;
    json_t   *object;
    ngx_str_t policy;

    ngx_http_osb_main_conf_t *conf;
} ngx_http_osb_block_t;


static char *
ngx_http_osb_block_read(ngx_conf_t *cf, ngx_http_osb_block_t *block);
static char *
ngx_http_osb_block_line(ngx_conf_t *cf, ngx_command_t *dummy, void *conf);
static char *
ngx_http_osb_block_policy(ngx_conf_t *cf, ngx_http_osb_block_t *block);
static char *
ngx_http_osb_block_field(ngx_conf_t *cf, ngx_http_osb_block_t *block,
                         ngx_http_osb_field_t *field);
static void
ngx_http_osb_block_free(void *data);


char *
ngx_http_osb_sandbox_block(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_osb_main_conf_t *omcf = conf;

    ngx_str_t             *value;
    ngx_str_node_t        *node;
    ngx_http_osb_block_t   block;
    ngx_http_osb_fault_t   fault;
    ngx_http_osb_record_t *record, **declared;

    omcf->used = 1;

    value = cf->args->elts;

    if (!ngx_http_osb_valid_id(&value[1])) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid sandbox id \"%V\", it must have 1 to 63 "
                           "letters, digits, dots and hyphens",
                           &value[1]);
        return NGX_CONF_ERROR;
    }

    block.conf = omcf;
    ngx_str_null(&block.policy);

    block.id = value[1];
    ngx_strlow(block.id.data, block.id.data, block.id.len);

    if (ngx_http_osb_names_find(&omcf->ids, &block.id)) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "duplicate sandbox \"%V\"",
                           &block.id);
        return NGX_CONF_ERROR;
    }

    if (ngx_http_osb_block_read(cf, &block) != NGX_CONF_OK) {
        return NGX_CONF_ERROR;
    }

    record =
        ngx_http_osb_record_parse(cf->pool, block.object, &block.id, 0, &fault);
    if (record == NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "sandbox \"%V\": %s",
                           &block.id, fault.message);
        return NGX_CONF_ERROR;
    }

    node = ngx_palloc(cf->pool, sizeof(ngx_str_node_t));
    declared = ngx_array_push(&omcf->declared);

    if (node == NULL || declared == NULL) {
        return NGX_CONF_ERROR;
    }

    *declared = record;
    ngx_http_osb_names_add(&omcf->ids, node, &block.id);

    return NGX_CONF_OK;
}


/* Makes the lines JSON, which lives as long as the pool. */

static char *
ngx_http_osb_block_read(ngx_conf_t *cf, ngx_http_osb_block_t *block)
{
    char               *rv;
    ngx_conf_t          save;
    ngx_pool_cleanup_t *cln;

    cln = ngx_pool_cleanup_add(cf->pool, 0);
    if (cln == NULL) {
        return NGX_CONF_ERROR;
    }

    block->object = json_object();
    if (block->object == NULL) {
        return NGX_CONF_ERROR;
    }

    cln->handler = ngx_http_osb_block_free;
    cln->data = block->object;

    save = *cf;
    cf->handler = ngx_http_osb_block_line;
    cf->handler_conf = block;

    rv = ngx_conf_parse(cf, NULL);

    *cf = save;

    return rv;
}


static char *
ngx_http_osb_block_line(ngx_conf_t *cf, ngx_command_t *dummy, void *conf)
{
    ngx_http_osb_block_t *block = conf;

    ngx_str_t            *value;
    ngx_uint_t            n;
    ngx_http_osb_field_t *field;

    value = cf->args->elts;
    n = cf->args->nelts - 1;

    if (ngx_strcmp(value[0].data, "include") == 0 && n == 1) {
        return ngx_conf_include(cf, dummy, conf);
    }

    if (ngx_strcmp(value[0].data, "policy") == 0 && n == 1) {
        return ngx_http_osb_block_policy(cf, block);
    }

    for (field = ngx_http_osb_fields; field->key; field++) {
        if (field->directive &&
            ngx_strcmp(value[0].data, field->directive) == 0) {
            break;
        }
    }

    if (field->key == NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "unknown directive \"%V\" in "
                           "\"opensandbox_sandbox\"",
                           &value[0]);
        return NGX_CONF_ERROR;
    }

    return ngx_http_osb_block_field(cf, block, field);
}


/* A policy's name, which need not be known yet. */

static char *
ngx_http_osb_block_policy(ngx_conf_t *cf, ngx_http_osb_block_t *block)
{
    ngx_str_t *value;

    value = cf->args->elts;

    if (block->policy.len) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" directive is duplicate", &value[0]);
        return NGX_CONF_ERROR;
    }

    block->policy = value[1];

    if (ngx_http_osb_policy_use(cf, block->conf, &value[1]) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


/* Adds the line to the JSON, and judges it while its number is at hand. */

static char *
ngx_http_osb_block_field(ngx_conf_t *cf, ngx_http_osb_block_t *block,
                         ngx_http_osb_field_t *field)
{
    json_t                *part, *old;
    ngx_str_t             *value;
    ngx_uint_t             n;
    ngx_http_osb_fault_t   fault;
    ngx_http_osb_record_t *record;

    value = cf->args->elts;
    n = cf->args->nelts - 1;

    if (n < field->min || n > field->max) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid number of arguments in \"%V\" directive",
                           &value[0]);
        return NGX_CONF_ERROR;
    }

    old = json_object_get(block->object, field->key);

    if (old && !json_is_object(old) && !json_is_array(old)) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" directive is duplicate", &value[0]);
        return NGX_CONF_ERROR;
    }

    if (json_object_set_new(block->object, field->key,
                            field->line(old, &value[1], n)) != 0)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "invalid value \"%V\"",
                           &value[1]);
        return NGX_CONF_ERROR;
    }

    part = json_pack("{s:O}", field->key,
                     json_object_get(block->object, field->key));

    record =
        ngx_http_osb_record_parse(cf->temp_pool, part, &block->id, 1, &fault);
    json_decref(part);

    if (record == NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "sandbox \"%V\": \"%V\": %s",
                           &block->id, &value[0], fault.message);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static void
ngx_http_osb_block_free(void *data)
{
    json_decref(data);
}
