/* SPDX-License-Identifier: Apache-2.0 */

#include "record.h"
#include "headers.h"
#include "place.h"
#include "route/route.h"
#include "time.h"
#include "policy/rules.h"


/* a record being built; its strings grow behind it */
typedef struct {
    ngx_http_osb_record_t *record;
    ngx_http_osb_fault_t  *fault;
    ngx_pool_t            *pool;
    ngx_str_t              policy;
    u_char space[NGX_HTTP_OSB_RECORD_SIZE] __attribute__((aligned(8)));
} ngx_http_osb_draft_t;


typedef struct {
    const char *name;
    ngx_int_t (*parse)(ngx_http_osb_draft_t *draft, const char *name,
                       json_t *value);
} ngx_http_osb_key_t;


static ngx_int_t
ngx_http_osb_key_id(ngx_http_osb_draft_t *draft, const char *name,
                    json_t *value);
static ngx_int_t
ngx_http_osb_key_endpoint(ngx_http_osb_draft_t *draft, const char *name,
                          json_t *value);
static ngx_int_t
ngx_http_osb_key_expose(ngx_http_osb_draft_t *draft, const char *name,
                        json_t *value);
static ngx_int_t
ngx_http_osb_key_port_map(ngx_http_osb_draft_t *draft, const char *name,
                          json_t *value);
static ngx_int_t
ngx_http_osb_key_ready(ngx_http_osb_draft_t *draft, const char *name,
                       json_t *value);
static ngx_int_t
ngx_http_osb_key_token(ngx_http_osb_draft_t *draft, const char *name,
                       json_t *value);
static ngx_int_t
ngx_http_osb_key_expires(ngx_http_osb_draft_t *draft, const char *name,
                         json_t *value);
static ngx_int_t
ngx_http_osb_key_host(ngx_http_osb_draft_t *draft, const char *name,
                      json_t *value);
static ngx_int_t
ngx_http_osb_key_keep(ngx_http_osb_draft_t *draft, const char *name,
                      json_t *value);
static ngx_int_t
ngx_http_osb_key_headers(ngx_http_osb_draft_t *draft, const char *name,
                         json_t *value);
static ngx_int_t
ngx_http_osb_key_policy(ngx_http_osb_draft_t *draft, const char *name,
                        json_t *value);
static ngx_int_t
ngx_http_osb_policy_warnings(ngx_http_osb_draft_t *draft, json_t *warnings);

static ngx_int_t
ngx_http_osb_parse_range(json_t *value, ngx_http_osb_range_t *range);
static void *
ngx_http_osb_draft_alloc(ngx_http_osb_draft_t *draft, size_t size, size_t align,
                         const char *field);
static ngx_int_t
ngx_http_osb_draft_text(ngx_http_osb_draft_t *draft, ngx_http_osb_text_t *text,
                        ngx_str_t *value, const char *field);
static ngx_int_t
ngx_http_osb_json_text(json_t *value, ngx_str_t *text);


static ngx_http_osb_key_t ngx_http_osb_keys[] = {
    {"id", ngx_http_osb_key_id},
    {"endpoint", ngx_http_osb_key_endpoint},
    {"expose", ngx_http_osb_key_expose},
    {"portMap", ngx_http_osb_key_port_map},
    {"ready", ngx_http_osb_key_ready},
    {"accessToken", ngx_http_osb_key_token},
    {"expiresAt", ngx_http_osb_key_expires},
    {"hostHeader", ngx_http_osb_key_host},
    {"keepPrefix", ngx_http_osb_key_keep},
    {"endpointHeaders", ngx_http_osb_key_headers},
    {"policy", ngx_http_osb_key_policy},
    {NULL, NULL}};


ngx_http_osb_record_t *
ngx_http_osb_record_parse(ngx_pool_t *pool, json_t *object, ngx_str_t *id,
                          ngx_uint_t partial, ngx_http_osb_fault_t *fault)
{
    json_t                *value;
    ngx_str_t              text;
    const char            *name;
    ngx_http_osb_key_t    *key;
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
    record->expires = NGX_HTTP_OSB_NEVER;
    record->ready = 1;

    /* the id stands first, where the registry looks for it */

    value = json_object_get(object, "id");

    if (id ? ngx_http_osb_draft_text(&draft, &record->id, id, "id") != NGX_OK
           : value && ngx_http_osb_key_id(&draft, "id", value) != NGX_OK)
    {
        return NULL;
    }

    json_object_foreach(object, name, value)
    {

        for (key = ngx_http_osb_keys; key->name; key++) {
            if (strcmp(key->name, name) == 0) {
                break;
            }
        }

        if (key->name == NULL) {
            ngx_http_osb_fault(fault, name, "unknown key");
            return NULL;
        }

        if (key->parse(&draft, name, value) != NGX_OK) {
            return NULL;
        }
    }

    text = ngx_http_osb_text(record, &record->id);

    if (text.len == 0 && !partial) {
        ngx_http_osb_fault(fault, "id", "the id is missing");
        return NULL;
    }

    if (record->endpoint.kind == NGX_HTTP_OSB_PLACE_NONE &&
        record->nplaces == 0 && !partial)
    {
        ngx_http_osb_fault(fault, "endpoint", "the endpoint is missing");
        return NULL;
    }

    record->lean = record->size;

    return ngx_http_osb_record_policy(pool, record, &draft.policy);
}


void
ngx_http_osb_fault(ngx_http_osb_fault_t *fault, const char *field,
                   const char *format, ...)
{
    va_list args;

    (void) snprintf(fault->field, sizeof(fault->field), "%s", field);

    va_start(args, format);
    (void) vsnprintf(fault->message, sizeof(fault->message), format, args);
    va_end(args);
}


static ngx_int_t
ngx_http_osb_key_id(ngx_http_osb_draft_t *draft, const char *name,
                    json_t *value)
{
    u_char    buf[NGX_HTTP_OSB_ID_LEN];
    ngx_str_t text, id;

    if (ngx_http_osb_json_text(value, &text) != NGX_OK ||
        !ngx_http_osb_valid_id(&text))
    {
        ngx_http_osb_fault(
            draft->fault, name,
            "an id is a string of 1 to 63 letters, digits, dots and hyphens");
        return NGX_ERROR;
    }

    ngx_strlow(buf, text.data, text.len);
    text.data = buf;

    if (draft->record->id.len == 0) {
        return ngx_http_osb_draft_text(draft, &draft->record->id, &text, name);
    }

    id = ngx_http_osb_text(draft->record, &draft->record->id);

    if (ngx_memn2cmp(id.data, text.data, id.len, text.len) != 0) {
        ngx_http_osb_fault(draft->fault, name,
                           "the id differs from the one in the URL");
        return NGX_ERROR;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_osb_key_endpoint(ngx_http_osb_draft_t *draft, const char *name,
                          json_t *value)
{
    u_char                addr[NGX_HTTP_OSB_ADDR_LEN];
    ngx_str_t             text, part;
    const char           *error;
    ngx_http_osb_place_t *place;

    if (ngx_http_osb_json_text(value, &text) != NGX_OK) {
        ngx_http_osb_fault(draft->fault, name, "an endpoint is a string");
        return NGX_ERROR;
    }

    place = &draft->record->endpoint;

    error = ngx_http_osb_place_parse(place, text, 0, addr, &part);

    if (error) {
        ngx_http_osb_fault(draft->fault, name, "%s", error);
        return NGX_ERROR;
    }

    return ngx_http_osb_draft_text(draft, &place->text, &part, name);
}


static ngx_int_t
ngx_http_osb_key_expose(ngx_http_osb_draft_t *draft, const char *name,
                        json_t *value)
{
    size_t                i;
    json_t               *item;
    ngx_http_osb_range_t *range;

    if (!json_is_array(value)) {
        ngx_http_osb_fault(
            draft->fault, name,
            "\"expose\" is an array of ports and \"first-last\" ranges");
        return NGX_ERROR;
    }

    range = ngx_http_osb_draft_alloc(
        draft, json_array_size(value) * sizeof(ngx_http_osb_range_t),
        sizeof(uint16_t), name);

    if (range == NULL) {
        return NGX_ERROR;
    }

    draft->record->limited = 1;
    draft->record->ranges = (u_char *) range - draft->space;
    draft->record->nranges = json_array_size(value);

    json_array_foreach(value, i, item)
    {

        if (ngx_http_osb_parse_range(item, &range[i]) != NGX_OK) {
            ngx_http_osb_fault(
                draft->fault, name,
                "item %zu is neither a port nor a \"first-last\" range", i);
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_osb_parse_range(json_t *value, ngx_http_osb_range_t *range)
{
    u_char    *dash;
    json_int_t number;
    ngx_str_t  text, first;

    if (json_is_integer(value)) {
        number = json_integer_value(value);

        if (number < 1 || number > 65535) {
            return NGX_ERROR;
        }

        range->first = number;
        range->last = number;

        return NGX_OK;
    }

    if (ngx_http_osb_json_text(value, &text) != NGX_OK) {
        return NGX_ERROR;
    }

    first = text;
    dash = memchr(text.data, '-', text.len);

    if (dash) {
        first.len = dash - text.data;
        text.data += first.len + 1;
        text.len -= first.len + 1;
    }

    range->first = ngx_http_osb_parse_port(&first);
    range->last = ngx_http_osb_parse_port(&text);

    if (range->first == 0 || range->last < range->first) {
        return NGX_ERROR;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_osb_key_port_map(ngx_http_osb_draft_t *draft, const char *name,
                          json_t *value)
{
    u_char                addr[NGX_HTTP_OSB_ADDR_LEN];
    json_t               *target;
    ngx_str_t             text, part;
    const char           *from, *error;
    ngx_http_osb_place_t *place;

    if (!json_is_object(value)) {
        ngx_http_osb_fault(
            draft->fault, name,
            "\"portMap\" is an object of \"port\": \"address:port\"");
        return NGX_ERROR;
    }

    place = ngx_http_osb_draft_alloc(
        draft, json_object_size(value) * sizeof(ngx_http_osb_place_t),
        sizeof(uint16_t), name);

    if (place == NULL) {
        return NGX_ERROR;
    }

    draft->record->places = (u_char *) place - draft->space;
    draft->record->nplaces = json_object_size(value);

    json_object_foreach(value, from, target)
    {

        error = "the target is not a string";

        if (ngx_http_osb_json_text(target, &text) == NGX_OK) {
            error = ngx_http_osb_place_parse(place, text, 1, addr, &part);
        }

        text.data = (u_char *) from;
        text.len = strlen(from);

        place->from = ngx_http_osb_parse_port(&text);

        if (place->from == 0) {
            error = "the key is not a port";
        }

        if (error) {
            ngx_http_osb_fault(draft->fault, name, "\"%.32s\": %s", from,
                               error);
            return NGX_ERROR;
        }

        if (ngx_http_osb_draft_text(draft, &place->text, &part, name) != NGX_OK)
        {
            return NGX_ERROR;
        }

        place++;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_osb_key_ready(ngx_http_osb_draft_t *draft, const char *name,
                       json_t *value)
{
    if (!json_is_boolean(value)) {
        ngx_http_osb_fault(draft->fault, name, "\"ready\" is true or false");
        return NGX_ERROR;
    }

    draft->record->ready = json_is_true(value);

    return NGX_OK;
}


static ngx_int_t
ngx_http_osb_key_token(ngx_http_osb_draft_t *draft, const char *name,
                       json_t *value)
{
    size_t    i;
    ngx_str_t text;

    if (ngx_http_osb_json_text(value, &text) != NGX_OK || text.len == 0 ||
        text.len > NGX_HTTP_OSB_TEXT_LEN)
    {
        ngx_http_osb_fault(
            draft->fault, name,
            "an access token is a string of 1 to 255 characters");
        return NGX_ERROR;
    }

    /* it must be able to arrive as a header's value */

    for (i = 0; i < text.len; i++) {
        if (text.data[i] <= ' ' || text.data[i] >= 0x7f) {
            ngx_http_osb_fault(
                draft->fault, name,
                "an access token has printable ASCII characters only");
            return NGX_ERROR;
        }
    }

    draft->record->secure = 1;

    return ngx_http_osb_draft_text(draft, &draft->record->token, &text, name);
}


static ngx_int_t
ngx_http_osb_key_expires(ngx_http_osb_draft_t *draft, const char *name,
                         json_t *value)
{
    ngx_str_t text;

    if (ngx_http_osb_json_text(value, &text) == NGX_OK) {
        draft->record->expires = ngx_http_osb_time_parse(&text);

        if (draft->record->expires != NGX_HTTP_OSB_TIME_NONE) {
            return NGX_OK;
        }
    }

    ngx_http_osb_fault(
        draft->fault, name,
        "\"expiresAt\" is a time like \"2030-01-31T23:59:59Z\", of the years "
        "0001 to 9999");

    return NGX_ERROR;
}


static ngx_int_t
ngx_http_osb_key_host(ngx_http_osb_draft_t *draft, const char *name,
                      json_t *value)
{
    u_char    ch;
    size_t    i;
    ngx_str_t text;

    if (ngx_http_osb_json_text(value, &text) != NGX_OK || text.len == 0 ||
        text.len > NGX_HTTP_OSB_TEXT_LEN)
    {
        ngx_http_osb_fault(draft->fault, name,
                           "a host is a string of 1 to 255 characters");
        return NGX_ERROR;
    }

    for (i = 0; i < text.len; i++) {
        ch = (u_char) (text.data[i] | 0x20);

        if ((ch < 'a' || ch > 'z') &&
            (text.data[i] == '\0' ||
             strchr("0123456789.-_:[]", text.data[i]) == NULL))
        {
            ngx_http_osb_fault(
                draft->fault, name,
                "a host has letters, digits, and any of \".-_:[]\"");
            return NGX_ERROR;
        }
    }

    return ngx_http_osb_draft_text(draft, &draft->record->host, &text, name);
}


static ngx_int_t
ngx_http_osb_key_keep(ngx_http_osb_draft_t *draft, const char *name,
                      json_t *value)
{
    if (!json_is_boolean(value)) {
        ngx_http_osb_fault(draft->fault, name,
                           "\"keepPrefix\" is true or false");
        return NGX_ERROR;
    }

    draft->record->keeps = 1;
    draft->record->keep = json_is_true(value);

    return NGX_OK;
}


static ngx_int_t
ngx_http_osb_key_headers(ngx_http_osb_draft_t *draft, const char *name,
                         json_t *value)
{
    char     *text;
    ngx_int_t rc;
    ngx_str_t compact;

    if (ngx_http_osb_headers_check(value, name, draft->fault) != NGX_OK) {
        return NGX_ERROR;
    }

    if (json_object_size(value) == 0) {
        return NGX_OK;
    }

    text = json_dumps(value, JSON_COMPACT);
    if (text == NULL) {
        return NGX_ERROR;
    }

    compact.data = (u_char *) text;
    compact.len = strlen(text);

    rc =
        ngx_http_osb_draft_text(draft, &draft->record->headers, &compact, name);
    free(text);

    return rc;
}


static ngx_int_t
ngx_http_osb_key_policy(ngx_http_osb_draft_t *draft, const char *name,
                        json_t *value)
{
    int                 error;
    ngx_int_t           rc;
    struct rules       *rules;
    struct policy_error why;

    if (!json_is_object(value)) {
        ngx_http_osb_fault(draft->fault, name, "a policy is an object");
        return NGX_ERROR;
    }

    why.message[0] = '\0';

    error = rules_from_json(&rules, value, NGX_HTTP_OSB_POLICY_RULES, &why);
    if (error) {
        if (why.message[0]) {
            ngx_http_osb_fault(draft->fault, name, "%s", why.message);
        }

        return NGX_ERROR;
    }

    rc = ngx_http_osb_policy_text(draft->pool, rules, &draft->policy);

    if (rules->warnings && rc == NGX_OK) {
        rc = ngx_http_osb_policy_warnings(draft, rules->warnings);
    }

    rules_free(rules);

    if (rc == NGX_DECLINED) {
        ngx_http_osb_fault(draft->fault, name,
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


static void *
ngx_http_osb_draft_alloc(ngx_http_osb_draft_t *draft, size_t size, size_t align,
                         const char *field)
{
    size_t start;

    start = ngx_align(draft->record->size, align);

    if (size > sizeof(draft->space) || start + size > sizeof(draft->space)) {
        ngx_http_osb_fault(draft->fault, field,
                           "the record is larger than %d bytes",
                           NGX_HTTP_OSB_RECORD_SIZE);
        return NULL;
    }

    ngx_memzero(draft->space + draft->record->size,
                start - draft->record->size);

    draft->record->size = start + size;

    return draft->space + start;
}


static ngx_int_t
ngx_http_osb_draft_text(ngx_http_osb_draft_t *draft, ngx_http_osb_text_t *text,
                        ngx_str_t *value, const char *field)
{
    u_char *p;

    p = ngx_http_osb_draft_alloc(draft, value->len, 1, field);

    if (p == NULL) {
        return NGX_ERROR;
    }

    if (value->len) {
        ngx_memcpy(p, value->data, value->len);
    }

    text->offset = p - draft->space;
    text->len = value->len;

    return NGX_OK;
}


static ngx_int_t
ngx_http_osb_json_text(json_t *value, ngx_str_t *text)
{
    if (!json_is_string(value)) {
        return NGX_ERROR;
    }

    text->data = (u_char *) json_string_value(value);
    text->len = json_string_length(value);

    return NGX_OK;
}
