/* SPDX-License-Identifier: Apache-2.0 */

#include "inner.h"


/* "endpoint", "expose", "portMap": which ports are open, where they lead. */


static ngx_int_t
ngx_http_osb_range_parse(json_t *value, ngx_http_osb_range_t *range);
static ngx_uint_t
ngx_http_osb_place_same(ngx_http_osb_record_t *one, ngx_http_osb_place_t *p,
                        ngx_http_osb_record_t *two, ngx_http_osb_place_t *q);


ngx_http_osb_place_t *
ngx_http_osb_record_place(ngx_http_osb_record_t *record, ngx_uint_t port)
{
    ngx_uint_t            i;
    ngx_http_osb_place_t *place;
    ngx_http_osb_range_t *range;

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

    place = (void *) ((u_char *) record + record->places);

    for (i = 0; i < record->nplaces; i++) {
        if (place[i].from == port) {
            return &place[i];
        }
    }

    if (record->endpoint.kind == NGX_HTTP_OSB_PLACE_NONE) {
        return NULL;
    }

    return &record->endpoint;
}


ngx_int_t
ngx_http_osb_endpoint_parse(ngx_http_osb_draft_t *draft,
                            ngx_http_osb_field_t *field, json_t *value)
{
    u_char                addr[NGX_HTTP_OSB_ADDR_LEN];
    ngx_str_t             text, part;
    const char           *error;
    ngx_http_osb_place_t *place;

    if (ngx_http_osb_json_text(value, &text) != NGX_OK) {
        ngx_http_osb_fault(draft->fault, field->key, "an endpoint is a string");
        return NGX_ERROR;
    }

    place = &draft->record->endpoint;

    error = ngx_http_osb_place_parse(place, text, 0, addr, &part);

    if (error) {
        ngx_http_osb_fault(draft->fault, field->key, "%s", error);
        return NGX_ERROR;
    }

    return ngx_http_osb_draft_text(draft, &place->text, &part, field->key);
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
    u_char                addr[NGX_HTTP_OSB_ADDR_LEN];
    json_t               *target;
    ngx_str_t             text, part;
    const char           *from, *error;
    ngx_http_osb_place_t *place;

    if (!json_is_object(value)) {
        ngx_http_osb_fault(
            draft->fault, field->key,
            "\"portMap\" is an object of \"port\": \"address:port\"");
        return NGX_ERROR;
    }

    place = ngx_http_osb_draft_alloc(
        draft, json_object_size(value) * sizeof(ngx_http_osb_place_t),
        sizeof(uint16_t), field->key);

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
            ngx_http_osb_fault(draft->fault, field->key, "\"%.32s\": %s", from,
                               error);
            return NGX_ERROR;
        }

        if (ngx_http_osb_draft_text(draft, &place->text, &part, field->key) !=
            NGX_OK) {
            return NGX_ERROR;
        }

        place++;
    }

    return NGX_OK;
}


int
ngx_http_osb_endpoint_print(ngx_http_osb_field_t *field, json_t *object,
                            ngx_http_osb_record_t *record)
{
    u_char   *p, buf[NGX_HTTP_OSB_TEXT_LEN + 64];
    ngx_str_t text;

    if (record->endpoint.kind == NGX_HTTP_OSB_PLACE_NONE) {
        return 0;
    }

    text = ngx_http_osb_text(record, &record->endpoint.text);
    p = ngx_http_osb_place_print(buf, &record->endpoint, &text, 0);

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
    int                   failed;
    char                  name[sizeof("65535")];
    u_char               *p, buf[NGX_HTTP_OSB_TEXT_LEN + 64];
    json_t               *map;
    ngx_str_t             text;
    ngx_uint_t            i;
    ngx_http_osb_place_t *place;

    if (record->nplaces == 0) {
        return 0;
    }

    map = json_object();
    place = (void *) ((u_char *) record + record->places);
    failed = 0;

    for (i = 0; i < record->nplaces; i++) {
        text = ngx_http_osb_text(record, &place[i].text);
        p = ngx_http_osb_place_print(buf, &place[i], &text, place[i].port);
        (void) snprintf(name, sizeof(name), "%u", place[i].from);

        failed |=
            json_object_set_new(map, name, json_stringn((char *) buf, p - buf));
    }

    return failed | json_object_set_new(object, field->key, map);
}


ngx_uint_t
ngx_http_osb_endpoint_same(ngx_http_osb_field_t  *field,
                           ngx_http_osb_record_t *one,
                           ngx_http_osb_record_t *two)
{
    return ngx_http_osb_place_same(one, &one->endpoint, two, &two->endpoint);
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
    ngx_uint_t            i;
    ngx_http_osb_place_t *p, *q;

    if (one->nplaces != two->nplaces) {
        return 0;
    }

    p = (void *) ((u_char *) one + one->places);
    q = (void *) ((u_char *) two + two->places);

    for (i = 0; i < one->nplaces; i++) {
        if (!ngx_http_osb_place_same(one, &p[i], two, &q[i])) {
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
ngx_http_osb_endpoint_revokes(ngx_http_osb_record_t *old,
                              ngx_http_osb_record_t *record)
{
    return old->endpoint.kind &&
                   !ngx_http_osb_place_same(old, &old->endpoint, record,
                                            &record->endpoint)
               ? NGX_HTTP_OSB_REVOKES_ENTRY
               : 0;
}


ngx_uint_t
ngx_http_osb_port_map_revokes(ngx_http_osb_record_t *old,
                              ngx_http_osb_record_t *record)
{
    ngx_uint_t            i;
    ngx_http_osb_place_t *place, *now;

    place = (void *) ((u_char *) old + old->places);

    for (i = 0; i < old->nplaces; i++) {
        now = ngx_http_osb_record_place(record, place[i].from);

        /* one that is not exposed is not reached anyway */

        if (now && !ngx_http_osb_place_same(old, &place[i], record, now)) {
            return NGX_HTTP_OSB_REVOKES_ENTRY;
        }
    }

    /* what is mapped now may have led to the endpoint */

    place = (void *) ((u_char *) record + record->places);

    for (i = 0; i < record->nplaces; i++) {
        now = ngx_http_osb_record_place(old, place[i].from);

        if (now && !ngx_http_osb_place_same(record, &place[i], old, now)) {
            return NGX_HTTP_OSB_REVOKES_ENTRY;
        }
    }

    return 0;
}


static ngx_uint_t
ngx_http_osb_place_same(ngx_http_osb_record_t *one, ngx_http_osb_place_t *p,
                        ngx_http_osb_record_t *two, ngx_http_osb_place_t *q)
{
    ngx_str_t a, b;

    a = ngx_http_osb_text(one, &p->text);
    b = ngx_http_osb_text(two, &q->text);

    return p->from == q->from && p->port == q->port && p->kind == q->kind &&
           ngx_memn2cmp(a.data, b.data, a.len, b.len) == 0;
}
