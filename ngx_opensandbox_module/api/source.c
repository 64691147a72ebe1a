/* SPDX-License-Identifier: Apache-2.0 */

#include "inner.h"


/* For which source a call acts, and what the gateway knows of sources. */


static ngx_str_t ngx_http_osb_source_default = ngx_string("api");


static ngx_uint_t
ngx_http_osb_api_has_source(ngx_http_osb_call_t *call, json_t *object,
                            ngx_str_t *id, ngx_str_t *name);
static json_t *
ngx_http_osb_source_json(ngx_http_osb_source_t *source);


ngx_int_t
ngx_http_osb_api_source(ngx_http_osb_call_t *call)
{
    ngx_int_t           rc;
    ngx_http_request_t *r;

    r = call->request;

    rc = ngx_http_osb_api_arg(r, "source", &call->source);

    if (rc == NGX_DECLINED) {
        call->source = ngx_http_osb_source_default;
        return NGX_OK;
    }

    /* what is declared may be read, and changed by configuration alone */

    if (rc == NGX_OK && (ngx_http_osb_source_valid(&call->source) ||
                         ((r->method & (NGX_HTTP_GET | NGX_HTTP_HEAD)) &&
                          call->source.len == 7 &&
                          ngx_strncmp(call->source.data, "include", 7) == 0)))
    {
        return NGX_OK;
    }

    ngx_http_osb_fault(&call->fault, "source", NGX_HTTP_OSB_SOURCE_EXPECTED);

    return NGX_ERROR;
}


ngx_int_t
ngx_http_osb_api_own(ngx_http_osb_call_t *call, json_t *object, ngx_str_t *id)
{
    json_t   *value;
    ngx_str_t name;

    value = json_object_get(object, "source");

    if (value) {
        name.data = (u_char *) json_string_value(value);
        name.len = json_string_length(value);

        if (name.len == 0 ||
            (ngx_memn2cmp(name.data, call->source.data, name.len,
                          call->source.len) != 0 &&
             !ngx_http_osb_api_has_source(call, object, id, &name)))
        {
            ngx_http_osb_fault(&call->fault, "source",
                               "the source is \"%.*s\", by ?source=, and "
                               "that of a record does not change",
                               (int) call->source.len, call->source.data);
            return NGX_ERROR;
        }
    }

    if (json_is_object(object)) {
        (void) json_object_set_new(
            object, "source",
            json_stringn((char *) call->source.data, call->source.len));
    }

    return NGX_OK;
}


/* Whether the object's record, of the id or of that in the object, is its. */

static ngx_uint_t
ngx_http_osb_api_has_source(ngx_http_osb_call_t *call, json_t *object,
                            ngx_str_t *id, ngx_str_t *name)
{
    u_char              lower[NGX_HTTP_OSB_ID_LEN];
    json_t             *value;
    ngx_str_t           text, own;
    ngx_http_osb_copy_t copy;

    if (id == NULL) {
        value = json_object_get(object, "id");

        text.data = (u_char *) json_string_value(value);
        text.len = json_string_length(value);

        if (text.len > sizeof(lower)) {
            return 0;
        }

        ngx_strlow(lower, text.data, text.len);
        text.data = lower;
        id = &text;
    }

    if (ngx_http_osb_registry_route(call->zone, id, &copy.record,
                                    sizeof(copy)) != NGX_OK)
    {
        return 0;
    }

    own = ngx_http_osb_record_source(&copy.record);

    return ngx_memn2cmp(own.data, name->data, own.len, name->len) == 0;
}


ngx_int_t
ngx_http_osb_api_source_reserve(ngx_http_osb_call_t *call)
{
    return ngx_http_osb_registry_source(call->zone, &call->source);
}


ngx_int_t
ngx_http_osb_api_sources_full(ngx_http_osb_call_t *call)
{
    ngx_http_osb_fault(&call->fault, "source",
                       "there are %d sources already, and each has records",
                       NGX_HTTP_OSB_SOURCES);

    return ngx_http_osb_api_fault(call, NGX_HTTP_INSUFFICIENT_STORAGE, "full");
}


ngx_int_t
ngx_http_osb_api_held(ngx_http_osb_call_t *call, ngx_http_osb_record_t *record)
{
    ngx_str_t id, source;

    id = ngx_http_osb_text(record, &record->id);
    source = ngx_http_osb_record_source(record);

    if (record->declared) {
        ngx_http_osb_fault(&call->fault, "source",
                           "the configuration declares sandbox %.*s, its "
                           "source is \"include\"",
                           (int) id.len, id.data);

    } else {
        ngx_http_osb_fault(&call->fault, "source",
                           "source \"%.*s\" holds sandbox %.*s, act for it by "
                           "?source=%.*s",
                           (int) source.len, source.data, (int) id.len, id.data,
                           (int) source.len, source.data);
    }

    return ngx_http_osb_api_fault(call, NGX_HTTP_CONFLICT, "conflict");
}


ngx_int_t
ngx_http_osb_api_sources(ngx_http_osb_call_t *call, ngx_str_t *rest)
{
    json_t               *array, *object;
    ngx_uint_t            i, n;
    ngx_http_osb_source_t list[NGX_HTTP_OSB_SOURCES];

    if (!(call->request->method & (NGX_HTTP_GET | NGX_HTTP_HEAD))) {
        return ngx_http_osb_api_not_allowed(call);
    }

    n = ngx_http_osb_registry_sources(call->zone, rest->len ? rest : NULL,
                                      list);

    if (rest->len) {
        if (n && list[0].fed) {
            return ngx_http_osb_api_send(call->request, NGX_HTTP_OK,
                                         ngx_http_osb_source_json(&list[0]));
        }

        ngx_http_osb_fault(&call->fault, "source",
                           "no source \"%.*s\" has been fed in whole",
                           (int) ngx_min(rest->len, 64), rest->data);

        return ngx_http_osb_api_fault(call, NGX_HTTP_NOT_FOUND, "not_found");
    }

    array = json_array();

    for (i = 0; i < n; i++) {
        if (list[i].fed) {
            (void) json_array_append_new(array,
                                         ngx_http_osb_source_json(&list[i]));
        }
    }

    object = json_pack("{s:o}", "sources", array);

    return ngx_http_osb_api_send(call->request, NGX_HTTP_OK, object);
}


static json_t *
ngx_http_osb_source_json(ngx_http_osb_source_t *source)
{
    u_char *last, fed[NGX_HTTP_OSB_TIME_LEN];

    last = ngx_http_osb_time_print(fed, source->fed);

    return json_pack("{s:s%,s:I,s:s%}", "source", source->name,
                     (size_t) source->len, "records",
                     (json_int_t) source->records, "fedAt", fed,
                     (size_t) (last - fed));
}
