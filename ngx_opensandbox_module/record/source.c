/* SPDX-License-Identifier: Apache-2.0 */

#include "inner.h"


/*
 * Whose record it is: the configuration's, "include"; the API's, "api"; or that
 * of a feeder, by its name, which stands behind the id.
 */


static ngx_str_t ngx_http_osb_source_include = ngx_string("include");
static ngx_str_t ngx_http_osb_source_api = ngx_string("api");


static ngx_uint_t
ngx_http_osb_source_equal(ngx_str_t *one, ngx_str_t *two);


ngx_str_t
ngx_http_osb_record_source(ngx_http_osb_record_t *record)
{
    ngx_str_t name;

    if (record->source) {
        name.data = (u_char *) record + record->id.offset + record->id.len;
        name.len = record->source;
        return name;
    }

    return record->declared ? ngx_http_osb_source_include
                            : ngx_http_osb_source_api;
}


ngx_uint_t
ngx_http_osb_source_valid(ngx_str_t *name)
{
    u_char     ch;
    ngx_uint_t i;

    if (name->len == 0 || name->len > NGX_HTTP_OSB_SOURCE_LEN ||
        ngx_http_osb_source_equal(name, &ngx_http_osb_source_include))
    {
        return 0;
    }

    for (i = 0; i < name->len; i++) {
        ch = name->data[i];

        if (!(ch >= 'a' && ch <= 'z') && !(ch >= '0' && ch <= '9') &&
            (i == 0 || (ch != '.' && ch != '_' && ch != '-')))
        {
            return 0;
        }
    }

    return 1;
}


ngx_uint_t
ngx_http_osb_record_obeys(ngx_http_osb_record_t *record, ngx_str_t *source)
{
    ngx_str_t own;

    own = ngx_http_osb_record_source(record);

    /* the operator may change by hand what the configuration says */

    return ngx_http_osb_source_equal(&own, source) ||
           (record->declared &&
            ngx_http_osb_source_equal(source, &ngx_http_osb_source_api));
}


ngx_uint_t
ngx_http_osb_record_yields(ngx_http_osb_record_t *old,
                           ngx_http_osb_record_t *record)
{
    ngx_str_t source;

    source = ngx_http_osb_record_source(record);

    return record->declared || ngx_http_osb_record_obeys(old, &source);
}


static ngx_uint_t
ngx_http_osb_source_equal(ngx_str_t *one, ngx_str_t *two)
{
    return ngx_memn2cmp(one->data, two->data, one->len, two->len) == 0;
}


ngx_int_t
ngx_http_osb_source_parse(ngx_http_osb_draft_t *draft,
                          ngx_http_osb_field_t *field, json_t *value)
{
    ngx_str_t           name;
    ngx_http_osb_text_t text;

    if (ngx_http_osb_json_text(value, &name) != NGX_OK ||
        !ngx_http_osb_source_valid(&name))
    {
        ngx_http_osb_fault(draft->fault, field->key,
                           NGX_HTTP_OSB_SOURCE_EXPECTED);
        return NGX_ERROR;
    }

    if (ngx_http_osb_source_equal(&name, &ngx_http_osb_source_api)) {
        return NGX_OK;
    }

    draft->record->source = name.len;

    return ngx_http_osb_draft_text(draft, &text, &name, field->key);
}


int
ngx_http_osb_source_print(ngx_http_osb_field_t *field, json_t *object,
                          ngx_http_osb_record_t *record)
{
    ngx_str_t name;

    name = ngx_http_osb_record_source(record);

    return json_object_set_new(object, field->key,
                               json_stringn((char *) name.data, name.len));
}
