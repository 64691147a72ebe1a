/* SPDX-License-Identifier: Apache-2.0 */

#include "inner.h"


/*
 * A record is what this table says.  A field is one row here, and the member of
 * the record that holds it; its functions are in fields.c, or, where they are
 * many, in a file of their own.  A column is empty where a field has no
 * directive, is no secret, is no part of the generation, or gives no rights.
 */


static ngx_int_t
ngx_http_osb_record_keys(ngx_http_osb_draft_t *draft, json_t *object,
                         ngx_str_t *id);
static ngx_http_osb_field_t *
ngx_http_osb_record_field(const char *key);


static ngx_http_osb_chars_t ngx_http_osb_token_chars = {
    ngx_http_osb_printable, "printable ASCII characters only"};

static ngx_http_osb_chars_t ngx_http_osb_host_chars = {
    ngx_http_osb_host_char, "letters, digits, and any of \".-_:[]\""};


/* clang-format off */

ngx_http_osb_field_t ngx_http_osb_fields[] = {

    /*
     * JSON key, directive, its arguments, their reader,
     * of a text: its member, its name in a sentence, its characters,
     * parser, printer, the same for those who may not see a secret,
     * whether two are the same (generation), what a change takes away
     */

    {"id", NULL, 0, 0, NULL,
     0, NULL, NULL,
     ngx_http_osb_id_parse, ngx_http_osb_id_print, NULL,
     NULL, NULL},

    {"source", NULL, 0, 0, NULL,
     0, NULL, NULL,
     ngx_http_osb_source_parse, ngx_http_osb_source_print, NULL,
     NULL, NULL},

    {"endpoint", "endpoint", 1, 1, ngx_http_osb_line_text,
     0, NULL, NULL,
     ngx_http_osb_endpoint_field_parse, ngx_http_osb_endpoint_field_print, NULL,
     ngx_http_osb_endpoint_field_same, ngx_http_osb_endpoint_field_revokes},

    {"expose", "expose", 1, 256, ngx_http_osb_line_list,
     0, NULL, NULL,
     ngx_http_osb_expose_parse, ngx_http_osb_expose_print, NULL,
     ngx_http_osb_expose_same, ngx_http_osb_expose_revokes},

    {"portMap", "port_map", 2, 2, ngx_http_osb_line_map,
     0, NULL, NULL,
     ngx_http_osb_port_map_parse, ngx_http_osb_port_map_print, NULL,
     ngx_http_osb_port_map_same, ngx_http_osb_port_map_revokes},

    {"ready", "ready", 1, 1, ngx_http_osb_line_flag,
     0, NULL, NULL,
     ngx_http_osb_ready_parse, ngx_http_osb_ready_print, NULL,
     NULL, ngx_http_osb_ready_revokes},

    {"state", "state", 1, 1, ngx_http_osb_line_text,
     0, NULL, NULL,
     ngx_http_osb_state_parse, ngx_http_osb_state_print, NULL,
     ngx_http_osb_state_same, ngx_http_osb_state_revokes},

    {"accessToken", "access_token", 1, 1, ngx_http_osb_line_text,
     offsetof(ngx_http_osb_record_t, token),
     "an access token", &ngx_http_osb_token_chars,
     ngx_http_osb_token_parse, ngx_http_osb_text_print,
     ngx_http_osb_token_redact,
     ngx_http_osb_text_same, ngx_http_osb_token_revokes},

    {"expiresAt", "expires_at", 1, 1, ngx_http_osb_line_text,
     0, NULL, NULL,
     ngx_http_osb_expires_parse, ngx_http_osb_expires_print, NULL,
     NULL, ngx_http_osb_expires_revokes},

    {"hostHeader", "host_header", 1, 1, ngx_http_osb_line_text,
     offsetof(ngx_http_osb_record_t, host),
     "a host", &ngx_http_osb_host_chars,
     ngx_http_osb_text_parse, ngx_http_osb_text_print, NULL,
     NULL, NULL},

    {"keepPrefix", "keep_prefix", 1, 1, ngx_http_osb_line_flag,
     0, NULL, NULL,
     ngx_http_osb_keep_parse, ngx_http_osb_keep_print, NULL,
     NULL, NULL},

    {"endpointHeaders", "endpoint_header", 3, 3, ngx_http_osb_line_header,
     0, NULL, NULL,
     ngx_http_osb_headers_parse, ngx_http_osb_headers_print,
     ngx_http_osb_headers_redact,
     NULL, NULL},

    /* the last one, see record_text(); in a block, see sandbox_block.c */

    {"policy", "policy", 1, 1, ngx_http_osb_line_text,
     0, NULL, NULL,
     ngx_http_osb_policy_parse, ngx_http_osb_policy_print, NULL,
     NULL, ngx_http_osb_policy_revokes},

    {NULL, NULL, 0, 0, NULL, 0, NULL, NULL, NULL, NULL, NULL, NULL, NULL}
};

/* clang-format on */


ngx_http_osb_record_t *
ngx_http_osb_record_parse(ngx_pool_t *pool, json_t *object, ngx_str_t *id,
                          ngx_uint_t partial, ngx_http_osb_fault_t *fault)
{
    ngx_http_osb_draft_t   draft;
    ngx_http_osb_record_t *record;

    fault->field[0] = '\0';
    fault->message[0] = '\0';
    ngx_str_null(&fault->warnings);

    if (!json_is_object(object)) {
        ngx_http_osb_fault(fault, "", "a record is a JSON object");
        return NULL;
    }

    record = (ngx_http_osb_record_t *) draft.space;

    draft.record = record;
    draft.fault = fault;
    draft.pool = pool;
    ngx_str_null(&draft.policy);

    ngx_memzero(record, sizeof(ngx_http_osb_record_t));

    record->size = sizeof(ngx_http_osb_record_t);
    record->id.offset = record->size;
    record->expires = NGX_HTTP_OSB_NEVER;
    record->ready = 1;

    if (ngx_http_osb_record_keys(&draft, object, id) != NGX_OK) {
        return NULL;
    }

    if (record->id.len == 0 && !partial) {
        ngx_http_osb_fault(fault, "id", "the id is missing");
        return NULL;
    }

    if (record->endpoint.kind == NGX_HTTP_OSB_ENDPOINT_NONE &&
        record->nmapped == 0 && record->ready && !partial &&
        record->state != NGX_HTTP_OSB_STATE_AMBIGUOUS)
    {
        ngx_http_osb_fault(fault, "endpoint", "the endpoint is missing");
        return NULL;
    }

    record->lean = record->size;

    return ngx_http_osb_record_policy(pool, record, &draft.policy);
}


static ngx_int_t
ngx_http_osb_record_keys(ngx_http_osb_draft_t *draft, json_t *object,
                         ngx_str_t *id)
{
    json_t               *value;
    ngx_int_t             rc;
    const char           *name;
    ngx_http_osb_field_t *field;

    /* the id stands first, where the registry looks for it */

    value = json_object_get(object, "id");
    rc = NGX_OK;

    if (id) {
        rc = ngx_http_osb_draft_text(draft, &draft->record->id, id, "id");

    } else if (value) {
        rc = ngx_http_osb_id_parse(draft, ngx_http_osb_fields, value);
    }

    if (rc != NGX_OK) {
        return rc;
    }

    /* in the table's order: the same fields make the same bytes */

    for (field = ngx_http_osb_fields; field->key; field++) {
        value = json_object_get(object, field->key);

        if (value && field->parse(draft, field, value) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    json_object_foreach(object, name, value)
    {

        if (ngx_http_osb_record_field(name) == NULL) {
            ngx_http_osb_fault(draft->fault, name, "unknown key");
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_http_osb_field_t *
ngx_http_osb_record_field(const char *key)
{
    ngx_http_osb_field_t *field;

    for (field = ngx_http_osb_fields; field->key; field++) {
        if (strcmp(field->key, key) == 0) {
            return field;
        }
    }

    return NULL;
}


json_t *
ngx_http_osb_record_json(ngx_http_osb_record_t *record, ngx_uint_t flags)
{
    int                   failed;
    json_t               *object;
    ngx_http_osb_field_t *field;

    object = json_object();
    failed = 0;

    for (field = ngx_http_osb_fields; field->key; field++) {
        if (field->redact && !(flags & NGX_HTTP_OSB_SHOW_SECRETS)) {
            failed |= field->redact(field, object, record);

        } else {
            failed |= field->print(field, object, record);
        }
    }

    if (failed) {
        json_decref(object);
        return NULL;
    }

    return object;
}


char *
ngx_http_osb_record_text(ngx_http_osb_record_t *record, ngx_uint_t flags,
                         size_t *len)
{
    char     *text, *p;
    u_char    lean[NGX_HTTP_OSB_RECORD_SIZE] __attribute__((aligned(8)));
    size_t    room;
    json_t   *object;
    ngx_str_t policy;

    static const char key[] = ",\"policy\":";

    /* the policy's own text is JSON as it stands, and may be long */

    ngx_memcpy(lean, record, record->lean);
    ((ngx_http_osb_record_t *) lean)->size = record->lean;

    object = ngx_http_osb_record_json((ngx_http_osb_record_t *) lean, flags);
    if (object == NULL) {
        return NULL;
    }

    policy = ngx_http_osb_policy_of(record);

    *len = json_dumpb(object, NULL, 0, JSON_COMPACT);
    room = *len + sizeof(key) + policy.len;
    text = *len ? malloc(room) : NULL;

    if (text) {
        (void) json_dumpb(object, text, room, JSON_COMPACT);

        if (policy.len) {
            p = text + *len - 1;
            p = (char *) ngx_cpymem(p, key, sizeof(key) - 1);
            p = (char *) ngx_cpymem(p, policy.data, policy.len);
            *p++ = '}';
            *len = (size_t) (p - text);
        }
    }

    json_decref(object);

    return text;
}


ngx_uint_t
ngx_http_osb_record_same(ngx_http_osb_record_t *one, ngx_http_osb_record_t *two)
{
    ngx_http_osb_field_t *field;

    for (field = ngx_http_osb_fields; field->key; field++) {
        if (field->same && !field->same(field, one, two)) {
            return 0;
        }
    }

    return 1;
}


ngx_uint_t
ngx_http_osb_record_revokes(ngx_http_osb_record_t *old,
                            ngx_http_osb_record_t *record)
{
    ngx_uint_t            revokes;
    ngx_http_osb_field_t *field;

    revokes = 0;

    for (field = ngx_http_osb_fields; field->key; field++) {
        if (field->revokes) {
            revokes |= field->revokes(old, record);
        }
    }

    return revokes;
}
