/* SPDX-License-Identifier: Apache-2.0 */

#include "inner.h"


/*
 * "endpointHeaders": what a client of a port has to send to whatever listens
 * there, {"18080": {"OPENSANDBOX-EGRESS-AUTH": "secret"}}.  The gateway tells
 * it to the API's caller with the endpoint and sends none of it itself.
 */


#define NGX_HTTP_OSB_HEADER_NAME_LEN  127
#define NGX_HTTP_OSB_HEADER_VALUE_LEN 2048


static ngx_int_t
ngx_http_osb_headers_check(json_t *object, const char *field,
                           ngx_http_osb_fault_t *fault);
static const char *
ngx_http_osb_header_fault(json_t *headers, const char *name, json_t *value);
static ngx_uint_t
ngx_http_osb_header_token(const char *name);
static ngx_uint_t
ngx_http_osb_header_content(json_t *value);
static json_t *
ngx_http_osb_headers_load(ngx_http_osb_record_t *record);


/* what the gateway itself says of an endpoint, in lower case */
static const char *ngx_http_osb_header_own[] = {
    "opensandbox-ingress-to", "open-sandbox-ingress",
    "opensandbox-secure-access", "open-sandbox-api-key", NULL};


ngx_int_t
ngx_http_osb_headers_parse(ngx_http_osb_draft_t *draft,
                           ngx_http_osb_field_t *field, json_t *value)
{
    char     *text;
    ngx_int_t rc;
    ngx_str_t compact;

    if (ngx_http_osb_headers_check(value, field->key, draft->fault) != NGX_OK) {
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

    rc = ngx_http_osb_draft_text(draft, &draft->record->headers, &compact,
                                 field->key);
    free(text);

    return rc;
}


static ngx_int_t
ngx_http_osb_headers_check(json_t *object, const char *field,
                           ngx_http_osb_fault_t *fault)
{
    json_t     *headers, *value;
    ngx_str_t   text;
    const char *port, *name, *error;

    if (!json_is_object(object)) {
        ngx_http_osb_fault(
            fault, field,
            "\"%s\" is an object of \"port\": {\"name\": \"value\"}", field);
        return NGX_ERROR;
    }

    json_object_foreach(object, port, headers)
    {
        text.data = (u_char *) port;
        text.len = strlen(port);

        if (ngx_http_osb_parse_port(&text) == 0) {
            ngx_http_osb_fault(fault, field, "\"%.32s\": the key is not a port",
                               port);
            return NGX_ERROR;
        }

        if (!json_is_object(headers)) {
            ngx_http_osb_fault(
                fault, field,
                "\"%s\": the headers are not an object of \"name\": \"value\"",
                port);
            return NGX_ERROR;
        }

        json_object_foreach(headers, name, value)
        {
            error = ngx_http_osb_header_fault(headers, name, value);

            if (error) {
                ngx_http_osb_fault(fault, field, "\"%s\": \"%.64s\": %s", port,
                                   name, error);
                return NGX_ERROR;
            }
        }
    }

    return NGX_OK;
}


/* What is wrong with a header, the value of which is not told; or NULL. */

static const char *
ngx_http_osb_header_fault(json_t *headers, const char *name, json_t *value)
{
    json_t     *dummy;
    ngx_uint_t  n;
    const char *other, **own;

    if (!ngx_http_osb_header_token(name)) {
        return "the name is not one of a header";
    }

    if (!ngx_http_osb_header_content(value)) {
        return "the value is not a string of 1 to 2048 printable ASCII "
               "characters without a space at either end";
    }

    for (own = ngx_http_osb_header_own; *own; own++) {
        if (strcasecmp(name, *own) == 0) {
            return "this header is the gateway's own";
        }
    }

    n = 0;

    json_object_foreach(headers, other, dummy)
    {
        n += (strcasecmp(name, other) == 0);
    }

    return n == 1 ? NULL : "the name stands there twice";
}


/* RFC 9110, 5.6.2 */

static ngx_uint_t
ngx_http_osb_header_token(const char *name)
{
    size_t n;

    n = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                     "0123456789!#$%&'*+-.^_`|~");

    return n > 0 && n <= NGX_HTTP_OSB_HEADER_NAME_LEN && name[n] == '\0';
}


static ngx_uint_t
ngx_http_osb_header_content(json_t *value)
{
    size_t      i, len;
    const char *text;

    if (!json_is_string(value)) {
        return 0;
    }

    text = json_string_value(value);
    len = json_string_length(value);

    if (len == 0 || len > NGX_HTTP_OSB_HEADER_VALUE_LEN || text[0] == ' ' ||
        text[len - 1] == ' ')
    {
        return 0;
    }

    for (i = 0; i < len; i++) {
        if (text[i] < ' ' || text[i] >= 0x7f) {
            return 0;
        }
    }

    return 1;
}


int
ngx_http_osb_headers_print(ngx_http_osb_field_t *field, json_t *object,
                           ngx_http_osb_record_t *record)
{
    return record->headers.len
               ? json_object_set_new(object, field->key,
                                     ngx_http_osb_headers_load(record))
               : 0;
}


/* Names in the place of the values: {"18080": ["OPENSANDBOX-EGRESS-AUTH"]}. */

int
ngx_http_osb_headers_redact(ngx_http_osb_field_t *field, json_t *object,
                            ngx_http_osb_record_t *record)
{
    json_t     *all, *headers, *names, *value;
    const char *port, *name;

    if (record->headers.len == 0) {
        return 0;
    }

    all = ngx_http_osb_headers_load(record);

    json_object_foreach(all, port, headers)
    {
        names = json_array();

        json_object_foreach(headers, name, value)
        {
            (void) json_array_append_new(names, json_string(name));
        }

        (void) json_object_set_new(all, port, names);
    }

    return json_object_set_new(object, field->key, all);
}


ngx_int_t
ngx_http_osb_headers_add(ngx_http_osb_record_t *record, ngx_uint_t port,
                         json_t *headers)
{
    int     rc;
    char    name[sizeof("65535")];
    json_t *object, *own;

    if (record->headers.len == 0) {
        return NGX_OK;
    }

    object = ngx_http_osb_headers_load(record);
    if (object == NULL) {
        return NGX_ERROR;
    }

    (void) snprintf(name, sizeof(name), "%u", (unsigned) port);

    own = json_object_get(object, name);
    rc = own ? json_object_update(headers, own) : 0;

    json_decref(object);

    return rc == 0 ? NGX_OK : NGX_ERROR;
}


static json_t *
ngx_http_osb_headers_load(ngx_http_osb_record_t *record)
{
    ngx_str_t text;

    text = ngx_http_osb_text(record, &record->headers);

    return json_loadb((char *) text.data, text.len, 0, NULL);
}
