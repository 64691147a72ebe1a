/* SPDX-License-Identifier: Apache-2.0 */

#include "inner.h"


/* "policy": judged by the code that the sidecar itself reads it with. */


static ngx_int_t
ngx_http_osb_policy_warnings(ngx_http_osb_draft_t *draft, json_t *warnings);


ngx_int_t
ngx_http_osb_policy_parse(ngx_http_osb_draft_t *draft,
                          ngx_http_osb_field_t *field, json_t *value)
{
    int                 error;
    ngx_int_t           rc;
    struct rules       *rules;
    struct policy_error why;

    if (!json_is_object(value)) {
        ngx_http_osb_fault(draft->fault, field->key, "a policy is an object");
        return NGX_ERROR;
    }

    why.message[0] = '\0';

    error = rules_from_json(&rules, value, NGX_HTTP_OSB_POLICY_RULES, &why);
    if (error) {
        if (why.message[0]) {
            ngx_http_osb_fault(draft->fault, field->key, "%s", why.message);
        }

        return NGX_ERROR;
    }

    rc = ngx_http_osb_policy_text(draft->pool, rules, &draft->policy);

    if (rules->warnings && rc == NGX_OK) {
        rc = ngx_http_osb_policy_warnings(draft, rules->warnings);
    }

    rules_free(rules);

    if (rc == NGX_DECLINED) {
        ngx_http_osb_fault(draft->fault, field->key,
                           "the policy is larger than %d bytes",
                           NGX_HTTP_OSB_POLICY_SIZE);
    }

    return rc == NGX_OK ? NGX_OK : NGX_ERROR;
}


/* For the answer, in the pool; and for the log. */

static ngx_int_t
ngx_http_osb_policy_warnings(ngx_http_osb_draft_t *draft, json_t *warnings)
{
    size_t     size;
    ngx_str_t *text;

    text = &draft->fault->warnings;

    size = json_dumpb(warnings, NULL, 0, JSON_COMPACT);
    text->data = ngx_pnalloc(draft->pool, size);

    if (size == 0 || text->data == NULL) {
        return NGX_ERROR;
    }

    text->len = json_dumpb(warnings, (char *) text->data, size, JSON_COMPACT);

    ngx_log_error(NGX_LOG_WARN, draft->pool->log, 0,
                  "a sandbox's policy was not taken as it is written: %V",
                  text);

    return NGX_OK;
}


int
ngx_http_osb_policy_print(ngx_http_osb_field_t *field, json_t *object,
                          ngx_http_osb_record_t *record)
{
    ngx_str_t text;

    text = ngx_http_osb_policy_of(record);

    return text.len ? json_object_set_new(
                          object, field->key,
                          json_loadb((char *) text.data, text.len, 0, NULL))
                    : 0;
}


/* Without a policy everything is denied already. */

ngx_uint_t
ngx_http_osb_policy_revokes(ngx_http_osb_record_t *old,
                            ngx_http_osb_record_t *record)
{
    ngx_str_t a, b;

    a = ngx_http_osb_policy_of(old);
    b = ngx_http_osb_policy_of(record);

    return a.len && ngx_memn2cmp(a.data, b.data, a.len, b.len) != 0
               ? NGX_HTTP_OSB_REVOKES_POLICY
               : 0;
}


ngx_int_t
ngx_http_osb_policy_text(ngx_pool_t *pool, const struct rules *rules,
                         ngx_str_t *text)
{
    json_t   *document;
    ngx_int_t rc;

    document = rules_to_json(rules);
    if (document == NULL) {
        return NGX_ERROR;
    }

    text->len = json_dumpb(document, NULL, 0, JSON_COMPACT);
    rc = NGX_ERROR;

    if (text->len > NGX_HTTP_OSB_POLICY_SIZE) {
        rc = NGX_DECLINED;

    } else if (text->len) {
        text->data = ngx_pnalloc(pool, text->len);

        if (text->data) {
            (void) json_dumpb(document, (char *) text->data, text->len,
                              JSON_COMPACT);
            rc = NGX_OK;
        }
    }

    json_decref(document);

    return rc;
}


ngx_str_t
ngx_http_osb_policy_of(ngx_http_osb_record_t *record)
{
    ngx_str_t value;

    value.data = (u_char *) record + record->lean;
    value.len = record->size - record->lean;

    return value;
}


ngx_http_osb_record_t *
ngx_http_osb_record_policy(ngx_pool_t *pool, ngx_http_osb_record_t *record,
                           ngx_str_t *policy)
{
    ngx_http_osb_record_t *whole;

    whole = ngx_palloc(pool, record->lean + policy->len);
    if (whole == NULL) {
        return NULL;
    }

    ngx_memcpy(whole, record, record->lean);

    whole->size = record->lean + policy->len;

    if (policy->len) {
        ngx_memcpy((u_char *) whole + whole->lean, policy->data, policy->len);
    }

    return whole;
}
