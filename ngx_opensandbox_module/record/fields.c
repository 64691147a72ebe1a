/* SPDX-License-Identifier: Apache-2.0 */

#include "inner.h"


/* The fields that are one value each. */


/* in the order of ngx_http_osb_state_e */
static ngx_str_t ngx_http_osb_states[] = {
    ngx_string("running"), ngx_string("paused"), ngx_string("ambiguous"),
    ngx_null_string};


ngx_int_t
ngx_http_osb_id_parse(ngx_http_osb_draft_t *draft, ngx_http_osb_field_t *field,
                      json_t *value)
{
    u_char    buf[NGX_HTTP_OSB_ID_LEN];
    ngx_str_t text, id;

    if (ngx_http_osb_json_text(value, &text) != NGX_OK ||
        !ngx_http_osb_valid_id(&text))
    {
        ngx_http_osb_fault(
            draft->fault, field->key,
            "an id is a string of 1 to 63 letters, digits, dots and hyphens");
        return NGX_ERROR;
    }

    ngx_strlow(buf, text.data, text.len);
    text.data = buf;

    if (draft->record->id.len == 0) {
        return ngx_http_osb_draft_text(draft, &draft->record->id, &text,
                                       field->key);
    }

    id = ngx_http_osb_text(draft->record, &draft->record->id);

    if (ngx_memn2cmp(id.data, text.data, id.len, text.len) != 0) {
        ngx_http_osb_fault(draft->fault, field->key,
                           "the id differs from the one in the URL");
        return NGX_ERROR;
    }

    return NGX_OK;
}


int
ngx_http_osb_id_print(ngx_http_osb_field_t *field, json_t *object,
                      ngx_http_osb_record_t *record)
{
    ngx_str_t text;

    text = ngx_http_osb_text(record, &record->id);

    return json_object_set_new(object, field->key,
                               json_stringn((char *) text.data, text.len));
}


ngx_int_t
ngx_http_osb_text_parse(ngx_http_osb_draft_t *draft,
                        ngx_http_osb_field_t *field, json_t *value)
{
    size_t                i;
    ngx_str_t             text;
    ngx_http_osb_chars_t *chars;

    chars = field->chars;

    if (ngx_http_osb_json_text(value, &text) != NGX_OK || text.len == 0 ||
        text.len > NGX_HTTP_OSB_TEXT_LEN)
    {
        ngx_http_osb_fault(draft->fault, field->key,
                           "%s is a string of 1 to 255 characters",
                           field->noun);
        return NGX_ERROR;
    }

    for (i = 0; i < text.len; i++) {
        if (!chars->has(text.data[i])) {
            ngx_http_osb_fault(draft->fault, field->key, "%s has %s",
                               field->noun, chars->names);
            return NGX_ERROR;
        }
    }

    return ngx_http_osb_draft_text(
        draft, ngx_http_osb_field_text(draft->record, field), &text,
        field->key);
}


int
ngx_http_osb_text_print(ngx_http_osb_field_t *field, json_t *object,
                        ngx_http_osb_record_t *record)
{
    ngx_str_t text;

    text = ngx_http_osb_text(record, ngx_http_osb_field_text(record, field));

    return text.len
               ? json_object_set_new(object, field->key,
                                     json_stringn((char *) text.data, text.len))
               : 0;
}


ngx_uint_t
ngx_http_osb_text_same(ngx_http_osb_field_t *field, ngx_http_osb_record_t *one,
                       ngx_http_osb_record_t *two)
{
    ngx_str_t a, b;

    a = ngx_http_osb_text(one, ngx_http_osb_field_text(one, field));
    b = ngx_http_osb_text(two, ngx_http_osb_field_text(two, field));

    return ngx_memn2cmp(a.data, b.data, a.len, b.len) == 0;
}


/* What can arrive as a header's value. */

ngx_uint_t
ngx_http_osb_printable(u_char ch)
{
    return ch > ' ' && ch < 0x7f;
}


ngx_uint_t
ngx_http_osb_host_char(u_char ch)
{
    u_char lower;

    lower = (u_char) (ch | 0x20);

    return (lower >= 'a' && lower <= 'z') ||
           (ch && strchr("0123456789.-_:[]", ch) != NULL);
}


ngx_int_t
ngx_http_osb_token_parse(ngx_http_osb_draft_t *draft,
                         ngx_http_osb_field_t *field, json_t *value)
{
    draft->record->secure = 1;

    return ngx_http_osb_text_parse(draft, field, value);
}


/* That there is one. */

int
ngx_http_osb_token_redact(ngx_http_osb_field_t *field, json_t *object,
                          ngx_http_osb_record_t *record)
{
    return record->secure ? json_object_set_new(object, "secure", json_true())
                          : 0;
}


ngx_uint_t
ngx_http_osb_token_revokes(ngx_http_osb_record_t *old,
                           ngx_http_osb_record_t *record)
{
    ngx_str_t a, b;

    a = ngx_http_osb_text(old, &old->token);
    b = ngx_http_osb_text(record, &record->token);

    /* without one its text is empty */

    return record->secure && ngx_memn2cmp(a.data, b.data, a.len, b.len) != 0
               ? NGX_HTTP_OSB_REVOKES_ENTRY
               : 0;
}


ngx_int_t
ngx_http_osb_ready_parse(ngx_http_osb_draft_t *draft,
                         ngx_http_osb_field_t *field, json_t *value)
{
    if (!json_is_boolean(value)) {
        ngx_http_osb_fault(draft->fault, field->key,
                           "\"ready\" is true or false");
        return NGX_ERROR;
    }

    draft->record->ready = json_is_true(value);

    return NGX_OK;
}


int
ngx_http_osb_ready_print(ngx_http_osb_field_t *field, json_t *object,
                         ngx_http_osb_record_t *record)
{
    return json_object_set_new(object, field->key, json_boolean(record->ready));
}


ngx_uint_t
ngx_http_osb_ready_revokes(ngx_http_osb_record_t *old,
                           ngx_http_osb_record_t *record)
{
    return old->ready && !record->ready ? NGX_HTTP_OSB_REVOKES_ENTRY : 0;
}


ngx_int_t
ngx_http_osb_state_parse(ngx_http_osb_draft_t *draft,
                         ngx_http_osb_field_t *field, json_t *value)
{
    ngx_str_t  text;
    ngx_uint_t i;

    if (ngx_http_osb_json_text(value, &text) == NGX_OK) {
        for (i = 0; ngx_http_osb_states[i].len; i++) {
            if (ngx_http_osb_states[i].len == text.len &&
                ngx_memcmp(ngx_http_osb_states[i].data, text.data, text.len) ==
                    0)
            {
                draft->record->state = i;
                return NGX_OK;
            }
        }
    }

    ngx_http_osb_fault(draft->fault, field->key,
                       "\"state\" is \"running\", \"paused\" or "
                       "\"ambiguous\"");

    return NGX_ERROR;
}


/* Nothing of a sandbox that runs, as most do. */

int
ngx_http_osb_state_print(ngx_http_osb_field_t *field, json_t *object,
                         ngx_http_osb_record_t *record)
{
    ngx_str_t *text;

    if (record->state == NGX_HTTP_OSB_STATE_RUNNING) {
        return 0;
    }

    text = &ngx_http_osb_states[record->state];

    return json_object_set_new(object, field->key,
                               json_stringn((char *) text->data, text->len));
}


/* Who was admitted to one that is paused is so when it is awake. */

ngx_uint_t
ngx_http_osb_state_same(ngx_http_osb_field_t *field, ngx_http_osb_record_t *one,
                        ngx_http_osb_record_t *two)
{
    return (one->state == NGX_HTTP_OSB_STATE_AMBIGUOUS) ==
           (two->state == NGX_HTTP_OSB_STATE_AMBIGUOUS);
}


ngx_uint_t
ngx_http_osb_state_revokes(ngx_http_osb_record_t *old,
                           ngx_http_osb_record_t *record)
{
    return record->state != NGX_HTTP_OSB_STATE_RUNNING &&
                   record->state != old->state
               ? NGX_HTTP_OSB_REVOKES_ENTRY
               : 0;
}


ngx_int_t
ngx_http_osb_expires_parse(ngx_http_osb_draft_t *draft,
                           ngx_http_osb_field_t *field, json_t *value)
{
    ngx_str_t text;

    if (ngx_http_osb_json_text(value, &text) == NGX_OK) {
        draft->record->expires = ngx_http_osb_time_parse(&text);

        if (draft->record->expires != NGX_HTTP_OSB_TIME_NONE) {
            return NGX_OK;
        }
    }

    ngx_http_osb_fault(
        draft->fault, field->key,
        "\"expiresAt\" is a time like \"2030-01-31T23:59:59Z\", of the years "
        "0001 to 9999");

    return NGX_ERROR;
}


int
ngx_http_osb_expires_print(ngx_http_osb_field_t *field, json_t *object,
                           ngx_http_osb_record_t *record)
{
    u_char *p, buf[NGX_HTTP_OSB_TIME_LEN];

    if (record->expires == NGX_HTTP_OSB_NEVER) {
        return 0;
    }

    p = ngx_http_osb_time_print(buf, record->expires);

    return json_object_set_new(object, field->key,
                               json_stringn((char *) buf, p - buf));
}


ngx_uint_t
ngx_http_osb_expires_revokes(ngx_http_osb_record_t *old,
                             ngx_http_osb_record_t *record)
{
    return record->expires < old->expires ? NGX_HTTP_OSB_REVOKES_ENTRY : 0;
}


ngx_int_t
ngx_http_osb_keep_parse(ngx_http_osb_draft_t *draft,
                        ngx_http_osb_field_t *field, json_t *value)
{
    if (!json_is_boolean(value)) {
        ngx_http_osb_fault(draft->fault, field->key,
                           "\"keepPrefix\" is true or false");
        return NGX_ERROR;
    }

    draft->record->keep_prefix_set = 1;
    draft->record->keep_prefix = json_is_true(value);

    return NGX_OK;
}


int
ngx_http_osb_keep_print(ngx_http_osb_field_t *field, json_t *object,
                        ngx_http_osb_record_t *record)
{
    return record->keep_prefix_set
               ? json_object_set_new(object, field->key,
                                     json_boolean(record->keep_prefix))
               : 0;
}
