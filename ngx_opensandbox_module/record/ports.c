/* SPDX-License-Identifier: Apache-2.0 */

#include "inner.h"


/* "endpoint", "expose", "portMap": which ports are open, where they lead. */


static ngx_int_t
ngx_http_osb_range_parse(json_t *value, ngx_http_osb_range_t *range);
static ngx_uint_t
ngx_http_osb_endpoints_equal(ngx_http_osb_record_t   *one,
                             ngx_http_osb_endpoint_t *p,
                             ngx_http_osb_record_t   *two,
                             ngx_http_osb_endpoint_t *q);


ngx_http_osb_endpoint_t *
ngx_http_osb_record_endpoint(ngx_http_osb_record_t *record, ngx_uint_t port)
{
    ngx_uint_t               i;
    ngx_http_osb_endpoint_t *endpoint;
    ngx_http_osb_range_t    *range;

    if (record->limited) {
        range = (void *) ((u_char *) record + record->ranges);

        for (i = 0; i < record->nranges; i++) {
            if (port >= range[i].first && port <= range[i].last) {
                break;
            }
        }

        if (i == record->nranges) {
            return NULL;
        }
    }

    endpoint = (void *) ((u_char *) record + record->mapped);

    for (i = 0; i < record->nmapped; i++) {
        if (endpoint[i].from == port) {
            return &endpoint[i];
        }
    }

    if (record->endpoint.kind == NGX_HTTP_OSB_ENDPOINT_NONE) {
        return NULL;
    }

    return &record->endpoint;
}


ngx_uint_t
ngx_http_osb_record_nowhere(ngx_http_osb_record_t *record)
{
    return !record->ready && record->nmapped == 0 &&
           record->endpoint.kind == NGX_HTTP_OSB_ENDPOINT_NONE;
}


ngx_int_t
ngx_http_osb_endpoint_field_parse(ngx_http_osb_draft_t *draft,
                                  ngx_http_osb_field_t *field, json_t *value)
{
    u_char                   addr[NGX_HTTP_OSB_ADDR_LEN];
    ngx_str_t                text, part;
    const char              *error;
    ngx_http_osb_endpoint_t *endpoint;

    if (ngx_http_osb_json_text(value, &text) != NGX_OK) {
        ngx_http_osb_fault(draft->fault, field->key, "an endpoint is a string");
        return NGX_ERROR;
    }

    endpoint = &draft->record->endpoint;

    error = ngx_http_osb_endpoint_parse(endpoint, text, 0, addr, &part);

    if (error) {
        ngx_http_osb_fault(draft->fault, field->key, "%s", error);
        return NGX_ERROR;
    }

    return ngx_http_osb_draft_text(draft, &endpoint->text, &part, field->key);
}


ngx_int_t
ngx_http_osb_expose_parse(ngx_http_osb_draft_t *draft,
                          ngx_http_osb_field_t *field, json_t *value)
{
    size_t                i;
    json_t               *item;
    ngx_http_osb_range_t *range;

    if (!json_is_array(value)) {
        ngx_http_osb_fault(
            draft->fault, field->key,
            "\"expose\" is an array of ports and \"first-last\" ranges");
        return NGX_ERROR;
    }

    range = ngx_http_osb_draft_alloc(
        draft, json_array_size(value) * sizeof(ngx_http_osb_range_t),
        sizeof(uint16_t), field->key);

    if (range == NULL) {
        return NGX_ERROR;
    }

    draft->record->limited = 1;
    draft->record->ranges = (u_char *) range - draft->space;
    draft->record->nranges = json_array_size(value);

    json_array_foreach(value, i, item)
    {

        if (ngx_http_osb_range_parse(item, &range[i]) != NGX_OK) {
            ngx_http_osb_fault(
                draft->fault, field->key,
                "item %zu is neither a port nor a \"first-last\" range", i);
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_osb_range_parse(json_t *value, ngx_http_osb_range_t *range)
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


ngx_int_t
ngx_http_osb_port_map_parse(ngx_http_osb_draft_t *draft,
                            ngx_http_osb_field_t *field, json_t *value)
{
    u_char                   addr[NGX_HTTP_OSB_ADDR_LEN];
    json_t                  *target;
    ngx_str_t                text, part;
    const char              *from, *error;
    ngx_http_osb_endpoint_t *endpoint;

    if (!json_is_object(value)) {
        ngx_http_osb_fault(
            draft->fault, field->key,
            "\"portMap\" is an object of \"port\": \"address:port\"");
        return NGX_ERROR;
    }

    endpoint = ngx_http_osb_draft_alloc(
        draft, json_object_size(value) * sizeof(ngx_http_osb_endpoint_t),
        sizeof(uint16_t), field->key);

    if (endpoint == NULL) {
        return NGX_ERROR;
    }

    draft->record->mapped = (u_char *) endpoint - draft->space;
    draft->record->nmapped = json_object_size(value);

    json_object_foreach(value, from, target)
    {

        error = "the target is not a string";

        if (ngx_http_osb_json_text(target, &text) == NGX_OK) {
            error = ngx_http_osb_endpoint_parse(endpoint, text, 1, addr, &part);
        }

        text.data = (u_char *) from;
        text.len = strlen(from);

        endpoint->from = ngx_http_osb_parse_port(&text);

        if (endpoint->from == 0) {
            error = "the key is not a port";
        }

        if (error) {
            ngx_http_osb_fault(draft->fault, field->key, "\"%.32s\": %s", from,
                               error);
            return NGX_ERROR;
        }

        if (ngx_http_osb_draft_text(draft, &endpoint->text, &part,
                                    field->key) != NGX_OK)
        {
            return NGX_ERROR;
        }

        endpoint++;
    }

    return NGX_OK;
}


int
ngx_http_osb_endpoint_field_print(ngx_http_osb_field_t *field, json_t *object,
                                  ngx_http_osb_record_t *record)
{
    u_char   *p, buf[NGX_HTTP_OSB_TEXT_LEN + 64];
    ngx_str_t text;

    if (record->endpoint.kind == NGX_HTTP_OSB_ENDPOINT_NONE) {
        return 0;
    }

    text = ngx_http_osb_text(record, &record->endpoint.text);
    p = ngx_http_osb_endpoint_print(buf, &record->endpoint, &text, 0);

    return json_object_set_new(object, field->key,
                               json_stringn((char *) buf, p - buf));
}


int
ngx_http_osb_expose_print(ngx_http_osb_field_t *field, json_t *object,
                          ngx_http_osb_record_t *record)
{
    int                   failed;
    json_t               *list, *item;
    ngx_uint_t            i;
    ngx_http_osb_range_t *range;

    if (!record->limited) {
        return 0;
    }

    list = json_array();
    range = (void *) ((u_char *) record + record->ranges);
    failed = 0;

    for (i = 0; i < record->nranges; i++) {
        item = range[i].first == range[i].last
                   ? json_integer(range[i].first)
                   : json_sprintf("%d-%d", range[i].first, range[i].last);

        failed |= json_array_append_new(list, item);
    }

    return failed | json_object_set_new(object, field->key, list);
}


int
ngx_http_osb_port_map_print(ngx_http_osb_field_t *field, json_t *object,
                            ngx_http_osb_record_t *record)
{
    int                      failed;
    char                     name[sizeof("65535")];
    u_char                  *p, buf[NGX_HTTP_OSB_TEXT_LEN + 64];
    json_t                  *map;
    ngx_str_t                text;
    ngx_uint_t               i;
    ngx_http_osb_endpoint_t *endpoint;

    if (record->nmapped == 0) {
        return 0;
    }

    map = json_object();
    endpoint = (void *) ((u_char *) record + record->mapped);
    failed = 0;

    for (i = 0; i < record->nmapped; i++) {
        text = ngx_http_osb_text(record, &endpoint[i].text);
        p = ngx_http_osb_endpoint_print(buf, &endpoint[i], &text,
                                        endpoint[i].port);
        (void) snprintf(name, sizeof(name), "%u", endpoint[i].from);

        failed |=
            json_object_set_new(map, name, json_stringn((char *) buf, p - buf));
    }

    return failed | json_object_set_new(object, field->key, map);
}


ngx_uint_t
ngx_http_osb_endpoint_field_same(ngx_http_osb_field_t  *field,
                                 ngx_http_osb_record_t *one,
                                 ngx_http_osb_record_t *two)
{
    return ngx_http_osb_endpoints_equal(one, &one->endpoint, two,
                                        &two->endpoint);
}


ngx_uint_t
ngx_http_osb_expose_same(ngx_http_osb_field_t  *field,
                         ngx_http_osb_record_t *one, ngx_http_osb_record_t *two)
{
    return one->limited == two->limited && one->nranges == two->nranges &&
           ngx_memcmp((u_char *) one + one->ranges,
                      (u_char *) two + two->ranges,
                      one->nranges * sizeof(ngx_http_osb_range_t)) == 0;
}


ngx_uint_t
ngx_http_osb_port_map_same(ngx_http_osb_field_t  *field,
                           ngx_http_osb_record_t *one,
                           ngx_http_osb_record_t *two)
{
    ngx_uint_t               i;
    ngx_http_osb_endpoint_t *p, *q;

    if (one->nmapped != two->nmapped) {
        return 0;
    }

    p = (void *) ((u_char *) one + one->mapped);
    q = (void *) ((u_char *) two + two->mapped);

    for (i = 0; i < one->nmapped; i++) {
        if (!ngx_http_osb_endpoints_equal(one, &p[i], two, &q[i])) {
            return 0;
        }
    }

    return 1;
}


/* Unless each port that the old one exposes is so by the new one. */

ngx_uint_t
ngx_http_osb_expose_revokes(ngx_http_osb_record_t *old,
                            ngx_http_osb_record_t *record)
{
    ngx_uint_t            i, n;
    ngx_http_osb_range_t *a, *b;

    if (!record->limited) {
        return 0;
    }

    if (!old->limited) {
        return NGX_HTTP_OSB_REVOKES_ENTRY;
    }

    a = (void *) ((u_char *) old + old->ranges);
    b = (void *) ((u_char *) record + record->ranges);

    for (i = 0; i < old->nranges; i++) {
        for (n = 0; n < record->nranges; n++) {
            if (a[i].first >= b[n].first && a[i].last <= b[n].last) {
                break;
            }
        }

        if (n == record->nranges) {
            return NGX_HTTP_OSB_REVOKES_ENTRY;
        }
    }

    return 0;
}


/* Unless each port leads where it led. */

ngx_uint_t
ngx_http_osb_endpoint_field_revokes(ngx_http_osb_record_t *old,
                                    ngx_http_osb_record_t *record)
{
    return old->endpoint.kind &&
                   !ngx_http_osb_endpoints_equal(old, &old->endpoint, record,
                                                 &record->endpoint)
               ? NGX_HTTP_OSB_REVOKES_ENTRY
               : 0;
}


ngx_uint_t
ngx_http_osb_port_map_revokes(ngx_http_osb_record_t *old,
                              ngx_http_osb_record_t *record)
{
    ngx_uint_t               i;
    ngx_http_osb_endpoint_t *endpoint, *now;

    endpoint = (void *) ((u_char *) old + old->mapped);

    for (i = 0; i < old->nmapped; i++) {
        now = ngx_http_osb_record_endpoint(record, endpoint[i].from);

        /* one that is not exposed is not reached anyway */

        if (now &&
            !ngx_http_osb_endpoints_equal(old, &endpoint[i], record, now)) {
            return NGX_HTTP_OSB_REVOKES_ENTRY;
        }
    }

    /* what is mapped now may have led to the endpoint */

    endpoint = (void *) ((u_char *) record + record->mapped);

    for (i = 0; i < record->nmapped; i++) {
        now = ngx_http_osb_record_endpoint(old, endpoint[i].from);

        if (now &&
            !ngx_http_osb_endpoints_equal(record, &endpoint[i], old, now)) {
            return NGX_HTTP_OSB_REVOKES_ENTRY;
        }
    }

    return 0;
}


static ngx_uint_t
ngx_http_osb_endpoints_equal(ngx_http_osb_record_t   *one,
                             ngx_http_osb_endpoint_t *p,
                             ngx_http_osb_record_t   *two,
                             ngx_http_osb_endpoint_t *q)
{
    ngx_str_t a, b;

    a = ngx_http_osb_text(one, &p->text);
    b = ngx_http_osb_text(two, &q->text);

    return p->from == q->from && p->port == q->port && p->kind == q->kind &&
           ngx_memn2cmp(a.data, b.data, a.len, b.len) == 0;
}
