/* SPDX-License-Identifier: Apache-2.0 */

#include "headers.h"
#include "route/route.h"


#define NGX_HTTP_OSB_HEADER_NAME_LEN  127
#define NGX_HTTP_OSB_HEADER_VALUE_LEN 2048


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


json_t *
ngx_http_osb_headers_json(ngx_http_osb_record_t *record, ngx_uint_t flags)
{
    json_t     *object, *headers, *names, *value;
    const char *port, *name;

    object = ngx_http_osb_headers_load(record);

    if (object == NULL || (flags & NGX_HTTP_OSB_SHOW_SECRETS)) {
        return object;
    }

    json_object_foreach(object, port, headers)
    {
        names = json_array();

        json_object_foreach(headers, name, value)
        {
            (void) json_array_append_new(names, json_string(name));
        }

        (void) json_object_set_new(object, port, names);
    }

    return object;
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
