/* SPDX-License-Identifier: Apache-2.0 */

#include "inner.h"


/*
 * What sidecars report: POST takes the body of their webhook for denied names,
 * {"hostname":"evil.test","sandboxId":"sb-1",...}, or an array of such; GET
 * lists the names, the latest first.
 */


#define NGX_HTTP_OSB_EVENTS_PAGE 100

static ngx_int_t
ngx_http_osb_events_post(ngx_http_osb_call_t *call);
static ngx_int_t
ngx_http_osb_events_take(ngx_http_osb_call_t *call, json_t *list);
static ngx_int_t
ngx_http_osb_events_read(ngx_http_osb_call_t *call, json_t *object,
                         const char *where, ngx_http_osb_event_t *event);
static ngx_int_t
ngx_http_osb_events_fault(ngx_http_osb_call_t *call, const char *where,
                          const char *field, const char *message);
static ngx_uint_t
ngx_http_osb_events_host(const char *p, size_t len);
static ngx_int_t
ngx_http_osb_events_get(ngx_http_osb_call_t *call);
static json_t *
ngx_http_osb_events_json(ngx_http_osb_event_t *event);


ngx_int_t
ngx_http_osb_api_events(ngx_http_osb_call_t *call)
{
    switch (call->request->method) {

    case NGX_HTTP_GET:
    case NGX_HTTP_HEAD:
        return ngx_http_osb_events_get(call);

    case NGX_HTTP_POST:
        return ngx_http_osb_events_post(call);

    default:
        call->allow = "GET, HEAD, POST";
        return ngx_http_osb_api_not_allowed(call);
    }
}


/* All of them, or none. */

static ngx_int_t
ngx_http_osb_events_post(ngx_http_osb_call_t *call)
{
    json_t   *list;
    ngx_int_t rc;

    if (json_is_array(call->body)) {
        list = json_incref(call->body);

    } else {
        list = json_pack("[O?]", call->body);
    }

    if (list == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    rc = ngx_http_osb_events_take(call, list);

    json_decref(list);

    return rc;
}


static ngx_int_t
ngx_http_osb_events_take(ngx_http_osb_call_t *call, json_t *list)
{
    char                  where[16];
    size_t                n;
    ngx_uint_t            i;
    ngx_http_osb_event_t *events;

    n = json_array_size(list);

    if (n > NGX_HTTP_OSB_EVENTS) {
        ngx_http_osb_fault(&call->fault, "", "an array has at most %d events",
                           NGX_HTTP_OSB_EVENTS);
        return ngx_http_osb_api_fault(call, NGX_HTTP_REQUEST_ENTITY_TOO_LARGE,
                                      "too_large");
    }

    events = ngx_pcalloc(call->request->pool,
                         (n + 1) * sizeof(ngx_http_osb_event_t));
    if (events == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    for (i = 0; i < n; i++) {

        where[0] = '\0';
        if (json_is_array(call->body)) {
            (void) snprintf(where, sizeof(where), "[%u]", (unsigned) i);
        }

        if (ngx_http_osb_events_read(call, json_array_get(list, i), where,
                                     &events[i]) != NGX_OK)
        {
            return ngx_http_osb_api_fault(call, NGX_HTTP_BAD_REQUEST,
                                          "bad_event");
        }
    }

    for (i = 0; i < n; i++) {
        ngx_http_osb_activity_note(&events[i]);
    }

    return ngx_http_osb_api_send(call->request, NGX_HTTP_ACCEPTED,
                                 json_pack("{s:i}", "accepted", (int) n));
}


static ngx_int_t
ngx_http_osb_events_read(ngx_http_osb_call_t *call, json_t *object,
                         const char *where, ngx_http_osb_event_t *event)
{
    json_t   *host, *id, *pending;
    ngx_str_t name;

    if (!json_is_object(object)) {
        return ngx_http_osb_events_fault(call, where, "",
                                         "an event is a JSON object");
    }

    host = json_object_get(object, "hostname");

    if (!json_is_string(host) ||
        !ngx_http_osb_events_host(json_string_value(host),
                                  json_string_length(host)))
    {
        return ngx_http_osb_events_fault(
            call, where, "hostname",
            "a name or an address has 1 to 255 printable characters");
    }

    event->host_len = (uint8_t) json_string_length(host);
    ngx_strlow(event->host, (u_char *) json_string_value(host),
               event->host_len);

    id = json_object_get(object, "sandboxId");

    name.data = (u_char *) json_string_value(id);
    name.len = json_string_length(id);

    if (name.len && !ngx_http_osb_valid_id(&name)) {
        name.data = NULL;
    }

    if (id && name.data == NULL) {
        return ngx_http_osb_events_fault(
            call, where, "sandboxId",
            "an id has 1 to 63 letters, digits, dots and hyphens");
    }

    event->id_len = (uint8_t) name.len;
    ngx_strlow(event->id, name.data, name.len);

    pending = json_object_get(object, "pending");

    if (pending && !json_is_boolean(pending)) {
        return ngx_http_osb_events_fault(call, where, "pending",
                                         "it is true or false");
    }

    event->pending = json_is_true(pending);

    return NGX_OK;
}


static ngx_int_t
ngx_http_osb_events_fault(ngx_http_osb_call_t *call, const char *where,
                          const char *field, const char *message)
{
    char name[64];

    (void) snprintf(name, sizeof(name), "%s%s%s", where,
                    *where && *field ? "." : "", field);

    ngx_http_osb_fault(&call->fault, name, "%s", message);

    return NGX_ERROR;
}


static ngx_uint_t
ngx_http_osb_events_host(const char *p, size_t len)
{
    size_t i;

    for (i = 0; i < len; i++) {
        if (p[i] <= ' ' || p[i] > '~') {
            return 0;
        }
    }

    return len && len <= NGX_HTTP_OSB_HOST;
}


static ngx_int_t
ngx_http_osb_events_get(ngx_http_osb_call_t *call)
{
    json_t               *list;
    ngx_int_t             limit;
    ngx_str_t             value, id;
    ngx_uint_t            i, n;
    ngx_http_request_t   *r;
    ngx_http_osb_event_t *events;

    r = call->request;

    limit = NGX_HTTP_OSB_EVENTS_PAGE;
    ngx_str_null(&id);

    if (ngx_http_osb_api_arg(r, "limit", &value) == NGX_OK && value.len) {
        limit = ngx_atoi(value.data, value.len);

        if (limit < 1 || limit > NGX_HTTP_OSB_EVENTS) {
            ngx_http_osb_fault(&call->fault, "limit",
                               "there are 1 to %d events", NGX_HTTP_OSB_EVENTS);
            return ngx_http_osb_api_fault(call, NGX_HTTP_BAD_REQUEST,
                                          "bad_argument");
        }
    }

    if (ngx_http_osb_api_arg(r, "sandbox", &value) == NGX_OK) {
        if (!ngx_http_osb_valid_id(&value)) {
            ngx_http_osb_fault(&call->fault, "sandbox",
                               "\"sandbox\" is the id of a sandbox");
            return ngx_http_osb_api_fault(call, NGX_HTTP_BAD_REQUEST,
                                          "bad_argument");
        }

        id.len = value.len;
        id.data = ngx_pnalloc(r->pool, id.len);
        if (id.data == NULL) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        ngx_strlow(id.data, value.data, value.len);
    }

    events =
        ngx_palloc(r->pool, NGX_HTTP_OSB_EVENTS * sizeof(ngx_http_osb_event_t));
    if (events == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    n = ngx_http_osb_activity_events(&id, events);
    n = ngx_min(n, (ngx_uint_t) limit);
    list = json_array();

    for (i = 0; i < n; i++) {
        (void) json_array_append_new(list,
                                     ngx_http_osb_events_json(&events[i]));
    }

    return ngx_http_osb_api_send(r, NGX_HTTP_OK,
                                 json_pack("{s:o}", "events", list));
}


static json_t *
ngx_http_osb_events_json(ngx_http_osb_event_t *event)
{
    u_char first[NGX_HTTP_OSB_TIME_LEN], last[NGX_HTTP_OSB_TIME_LEN];

    return json_pack(
        "{s:s%,s:s%,s:s%,s:s%,s:I,s:b}", "sandboxId", event->id,
        (size_t) event->id_len, "hostname", event->host,
        (size_t) event->host_len, "first", first,
        (size_t) (ngx_http_osb_time_print(first, event->first) - first), "last",
        last, (size_t) (ngx_http_osb_time_print(last, event->last) - last),
        "count", (json_int_t) event->count, "pending", (int) event->pending);
}
