/* SPDX-License-Identifier: Apache-2.0 */

#include "inner.h"


/*
 * Policies that the configuration names.  Targets are judged by the code that
 * the sidecar itself reads them with.
 */


/* the block that is being read */
typedef struct {
    ngx_str_t     name;
    struct rules *rules;
    ngx_uint_t    chosen; /* the default has been given */
} ngx_http_osb_policy_block_t;


static char *
ngx_http_osb_policy_lines(ngx_conf_t *cf, ngx_http_osb_policy_block_t *block,
                          ngx_str_t *text);
static char *
ngx_http_osb_policy_line(ngx_conf_t *cf, ngx_command_t *dummy, void *conf);
static char *
ngx_http_osb_policy_default(ngx_conf_t *cf, ngx_http_osb_policy_block_t *block);
static char *
ngx_http_osb_policy_targets(ngx_conf_t *cf, ngx_http_osb_policy_block_t *block,
                            enum policy_action action);


char *
ngx_http_osb_policy_block(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_osb_main_conf_t *omcf = conf;

    char                       *rv;
    ngx_str_t                  *value;
    ngx_http_osb_policy_t      *policy;
    ngx_http_osb_policy_block_t block;

    value = cf->args->elts;

    block.name = value[1];
    block.chosen = 0;

    if (block.name.len == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "a policy needs a name");
        return NGX_CONF_ERROR;
    }

    if (ngx_http_osb_names_find(&omcf->policies, &block.name)) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "duplicate policy \"%V\"",
                           &block.name);
        return NGX_CONF_ERROR;
    }

    policy = ngx_palloc(cf->pool, sizeof(ngx_http_osb_policy_t));

    if (policy == NULL || rules_new(&block.rules, POLICY_DENY) != 0) {
        return NGX_CONF_ERROR;
    }

    rv = ngx_http_osb_policy_lines(cf, &block, &policy->text);

    rules_free(block.rules);

    if (rv == NGX_CONF_OK) {
        ngx_http_osb_names_add(&omcf->policies, &policy->node, &block.name);
    }

    return rv;
}


/* Reads the block, and makes the text of its policy. */

static char *
ngx_http_osb_policy_lines(ngx_conf_t *cf, ngx_http_osb_policy_block_t *block,
                          ngx_str_t *text)
{
    char      *rv;
    ngx_int_t  rc;
    ngx_conf_t save;

    save = *cf;
    cf->handler = ngx_http_osb_policy_line;
    cf->handler_conf = (void *) block;

    rv = ngx_conf_parse(cf, NULL);

    *cf = save;

    if (rv != NGX_CONF_OK) {
        return rv;
    }

    rc = ngx_http_osb_policy_text(cf->pool, block->rules, text);

    if (rc == NGX_DECLINED) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "policy \"%V\" is larger than %d bytes",
                           &block->name, NGX_HTTP_OSB_POLICY_SIZE);
    }

    return rc == NGX_OK ? NGX_CONF_OK : NGX_CONF_ERROR;
}


static char *
ngx_http_osb_policy_line(ngx_conf_t *cf, ngx_command_t *dummy, void *conf)
{
    ngx_http_osb_policy_block_t *block = conf;

    ngx_str_t *value;

    value = cf->args->elts;

    if (ngx_strcmp(value[0].data, "allow") == 0) {
        return ngx_http_osb_policy_targets(cf, block, POLICY_ALLOW);
    }

    if (ngx_strcmp(value[0].data, "deny") == 0) {
        return ngx_http_osb_policy_targets(cf, block, POLICY_DENY);
    }

    if (ngx_strcmp(value[0].data, "default") == 0) {
        return ngx_http_osb_policy_default(cf, block);
    }

    if (ngx_strcmp(value[0].data, "include") == 0) {

        if (cf->args->nelts != 2) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid number of arguments in \"%V\" "
                               "directive",
                               &value[0]);
            return NGX_CONF_ERROR;
        }

        return ngx_conf_include(cf, dummy, conf);
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "unknown directive \"%V\" in \"opensandbox_policy\"",
                       &value[0]);

    return NGX_CONF_ERROR;
}


static char *
ngx_http_osb_policy_default(ngx_conf_t *cf, ngx_http_osb_policy_block_t *block)
{
    ngx_str_t *value;

    value = cf->args->elts;

    if (cf->args->nelts != 2) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid number of arguments in \"%V\" directive",
                           &value[0]);
        return NGX_CONF_ERROR;
    }

    if (block->chosen) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" directive is duplicate", &value[0]);
        return NGX_CONF_ERROR;
    }

    block->chosen = 1;

    if (ngx_strcmp(value[1].data, "allow") == 0) {
        block->rules->default_action = POLICY_ALLOW;

    } else if (ngx_strcmp(value[1].data, "deny") == 0) {
        block->rules->default_action = POLICY_DENY;

    } else {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid value \"%V\" in \"%V\" directive, it must "
                           "be \"allow\" or \"deny\"",
                           &value[1], &value[0]);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_osb_policy_targets(ngx_conf_t *cf, ngx_http_osb_policy_block_t *block,
                            enum policy_action action)
{
    ngx_str_t          *value;
    ngx_uint_t          i, warned;
    struct policy_error why;

    value = cf->args->elts;

    if (cf->args->nelts < 2) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid number of arguments in \"%V\" directive",
                           &value[0]);
        return NGX_CONF_ERROR;
    }

    for (i = 1; i < cf->args->nelts; i++) {

        if (block->rules->n_rules == NGX_HTTP_OSB_POLICY_RULES) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "policy \"%V\" has more than %d targets",
                               &block->name, NGX_HTTP_OSB_POLICY_RULES);
            return NGX_CONF_ERROR;
        }

        (void) snprintf(why.message, sizeof(why.message), "no memory");
        warned = json_array_size(block->rules->warnings);

        if (rules_append(block->rules, action, (char *) value[i].data, &why) !=
            0) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "policy \"%V\": \"%V\": %s", &block->name,
                               &value[0], why.message);
            return NGX_CONF_ERROR;
        }

        if (json_array_size(block->rules->warnings) > warned) {
            ngx_conf_log_error(NGX_LOG_WARN, cf, 0, "policy \"%V\": \"%V\": %s",
                               &block->name, &value[0],
                               json_string_value(json_array_get(
                                   block->rules->warnings, warned)));
        }
    }

    return NGX_CONF_OK;
}


ngx_int_t
ngx_http_osb_policy_use(ngx_conf_t *cf, ngx_http_osb_main_conf_t *omcf,
                        ngx_str_t *name)
{
    ngx_http_osb_policy_use_t *use;

    use = ngx_array_push(&omcf->policy_uses);
    if (use == NULL) {
        return NGX_ERROR;
    }

    /* the file's name may be gone by the end of its include */

    use->declared = omcf->declared.nelts;
    use->name = *name;
    use->line = cf->conf_file->line;
    use->file.len = cf->conf_file->file.name.len;
    use->file.data = ngx_pstrdup(cf->pool, &cf->conf_file->file.name);

    return use->file.data ? NGX_OK : NGX_ERROR;
}


ngx_int_t
ngx_http_osb_policy_resolve(ngx_conf_t *cf)
{
    ngx_uint_t                 i;
    ngx_http_osb_policy_t     *policy;
    ngx_http_osb_record_t    **declared, *record;
    ngx_http_osb_main_conf_t  *omcf;
    ngx_http_osb_policy_use_t *use;

    omcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_opensandbox_module);

    declared = omcf->declared.elts;
    use = omcf->policy_uses.elts;

    for (i = 0; i < omcf->policy_uses.nelts; i++) {
        policy = (ngx_http_osb_policy_t *) ngx_http_osb_names_find(
            &omcf->policies, &use[i].name);

        if (policy == NULL) {
            ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                          "unknown policy \"%V\" in %V:%ui", &use[i].name,
                          &use[i].file, use[i].line);
            return NGX_ERROR;
        }

        record = ngx_http_osb_record_policy(cf->pool, declared[use[i].declared],
                                            &policy->text);
        if (record == NULL) {
            return NGX_ERROR;
        }

        declared[use[i].declared] = record;
    }

    return NGX_OK;
}
