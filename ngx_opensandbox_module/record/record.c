/* SPDX-License-Identifier: Apache-2.0 */

#include "record.h"
#include "headers.h"
#include "place.h"
#include "time.h"
#include "policy/rules.h"


static ngx_uint_t
ngx_http_osb_record_exposes(ngx_http_osb_record_t *old,
                            ngx_http_osb_record_t *record);
static ngx_uint_t
ngx_http_osb_record_leads(ngx_http_osb_record_t *old,
                          ngx_http_osb_record_t *record);
static ngx_uint_t
ngx_http_osb_place_same(ngx_http_osb_record_t *one, ngx_http_osb_place_t *p,
                        ngx_http_osb_record_t *two, ngx_http_osb_place_t *q);


ngx_http_osb_record_t *
ngx_http_osb_record_policy(ngx_pool_t *pool, ngx_http_osb_record_t *record,
                           ngx_str_t *policy)
{
    ngx_http_osb_record_t *whole;

    whole = ngx_palloc(pool, record->lean + policy->len);
    if (whole == NULL) {
        return NULL;
    }

    ngx_memcpy(whole, record, record->lean);

    whole->size = record->lean + policy->len;

    if (policy->len) {
        ngx_memcpy((u_char *) whole + whole->lean, policy->data, policy->len);
    }

    return whole;
}


ngx_str_t
ngx_http_osb_policy_of(ngx_http_osb_record_t *record)
{
    ngx_str_t value;

    value.data = (u_char *) record + record->lean;
    value.len = record->size - record->lean;

    return value;
}


ngx_int_t
ngx_http_osb_policy_text(ngx_pool_t *pool, const struct rules *rules,
                         ngx_str_t *text)
{
    json_t   *document;
    ngx_int_t rc;

    document = rules_to_json(rules);
    if (document == NULL) {
        return NGX_ERROR;
    }

    text->len = json_dumpb(document, NULL, 0, JSON_COMPACT);
    rc = NGX_ERROR;

    if (text->len > NGX_HTTP_OSB_POLICY_SIZE) {
        rc = NGX_DECLINED;

    } else if (text->len) {
        text->data = ngx_pnalloc(pool, text->len);

        if (text->data) {
            (void) json_dumpb(document, (char *) text->data, text->len,
                              JSON_COMPACT);
            rc = NGX_OK;
        }
    }

    json_decref(document);

    return rc;
}


json_t *
ngx_http_osb_record_json(ngx_http_osb_record_t *record, ngx_uint_t flags)
{
    u_char               *p, buf[NGX_HTTP_OSB_TEXT_LEN + 64];
    char                  name[sizeof("65535")];
    json_t               *object, *list, *item;
    ngx_str_t             text;
    ngx_uint_t            i, failed;
    ngx_http_osb_place_t *place;
    ngx_http_osb_range_t *range;

    object = json_object();
    failed = 0;

    text = ngx_http_osb_text(record, &record->id);
    failed |= json_object_set_new(object, "id",
                                  json_stringn((char *) text.data, text.len));

    if (record->endpoint.kind) {
        text = ngx_http_osb_text(record, &record->endpoint.text);
        p = ngx_http_osb_place_print(buf, &record->endpoint, &text, 0);
        failed |= json_object_set_new(object, "endpoint",
                                      json_stringn((char *) buf, p - buf));
    }

    if (record->limited) {
        list = json_array();
        range = (void *) ((u_char *) record + record->ranges);

        for (i = 0; i < record->nranges; i++) {
            item = range[i].first == range[i].last
                       ? json_integer(range[i].first)
                       : json_sprintf("%d-%d", range[i].first, range[i].last);

            failed |= json_array_append_new(list, item);
        }

        failed |= json_object_set_new(object, "expose", list);
    }

    if (record->nplaces) {
        list = json_object();
        place = (void *) ((u_char *) record + record->places);

        for (i = 0; i < record->nplaces; i++) {
            text = ngx_http_osb_text(record, &place[i].text);
            p = ngx_http_osb_place_print(buf, &place[i], &text, place[i].port);
            (void) snprintf(name, sizeof(name), "%u", place[i].from);
            failed |= json_object_set_new(list, name,
                                          json_stringn((char *) buf, p - buf));
        }

        failed |= json_object_set_new(object, "portMap", list);
    }

    failed |= json_object_set_new(object, "ready", json_boolean(record->ready));

    if (record->secure) {

        if (flags & NGX_HTTP_OSB_SHOW_SECRETS) {
            text = ngx_http_osb_text(record, &record->token);
            failed |=
                json_object_set_new(object, "accessToken",
                                    json_stringn((char *) text.data, text.len));

        } else {
            failed |= json_object_set_new(object, "secure", json_true());
        }
    }

    if (record->expires != NGX_HTTP_OSB_NEVER) {
        p = ngx_http_osb_time_print(buf, record->expires);
        failed |= json_object_set_new(object, "expiresAt",
                                      json_stringn((char *) buf, p - buf));
    }

    if (record->host.len) {
        text = ngx_http_osb_text(record, &record->host);
        failed |= json_object_set_new(
            object, "hostHeader", json_stringn((char *) text.data, text.len));
    }

    if (record->keeps) {
        failed |= json_object_set_new(object, "keepPrefix",
                                      json_boolean(record->keep));
    }

    if (record->headers.len) {
        failed |= json_object_set_new(object, "endpointHeaders",
                                      ngx_http_osb_headers_json(record, flags));
    }

    text = ngx_http_osb_policy_of(record);

    if (text.len && !(flags & NGX_HTTP_OSB_NO_POLICY)) {
        failed |= json_object_set_new(
            object, "policy",
            json_loadb((char *) text.data, text.len, 0, NULL));
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
    size_t    room;
    json_t   *object;
    ngx_str_t policy;

    static const char key[] = ",\"policy\":";

    /* the policy's own text is JSON as it stands, and may be long */

    object = ngx_http_osb_record_json(record, flags | NGX_HTTP_OSB_NO_POLICY);
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


ngx_str_t
ngx_http_osb_text(ngx_http_osb_record_t *record, ngx_http_osb_text_t *text)
{
    ngx_str_t value;

    value.data = (u_char *) record + text->offset;
    value.len = text->len;

    return value;
}


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


ngx_uint_t
ngx_http_osb_record_same(ngx_http_osb_record_t *one, ngx_http_osb_record_t *two)
{
    ngx_str_t             a, b;
    ngx_uint_t            i, n;
    ngx_http_osb_place_t *p, *q;

    if (one->nranges != two->nranges || one->limited != two->limited ||
        one->nplaces != two->nplaces || one->secure != two->secure ||
        ngx_memcmp((u_char *) one + one->ranges, (u_char *) two + two->ranges,
                   one->nranges * sizeof(ngx_http_osb_range_t)) != 0)
    {
        return 0;
    }

    a = ngx_http_osb_text(one, &one->token);
    b = ngx_http_osb_text(two, &two->token);

    if (ngx_memn2cmp(a.data, b.data, a.len, b.len) != 0) {
        return 0;
    }

    p = &one->endpoint;
    q = &two->endpoint;
    n = one->nplaces;

    for (i = 0; /* void */; i++) {
        if (!ngx_http_osb_place_same(one, p, two, q)) {
            return 0;
        }

        if (i == n) {
            return 1;
        }

        p = (ngx_http_osb_place_t *) ((u_char *) one + one->places) + i;
        q = (ngx_http_osb_place_t *) ((u_char *) two + two->places) + i;
    }
}


ngx_uint_t
ngx_http_osb_record_revokes(ngx_http_osb_record_t *old,
                            ngx_http_osb_record_t *record)
{
    ngx_str_t  a, b;
    ngx_uint_t revokes;

    revokes = 0;

    a = ngx_http_osb_text(old, &old->token);
    b = ngx_http_osb_text(record, &record->token);

    if ((old->ready && !record->ready) || record->expires < old->expires ||
        (record->secure &&
         (!old->secure || ngx_memn2cmp(a.data, b.data, a.len, b.len) != 0)) ||
        !ngx_http_osb_record_exposes(old, record) ||
        !ngx_http_osb_record_leads(old, record))
    {
        revokes |= NGX_HTTP_OSB_REVOKES_ENTRY;
    }

    /* without a policy everything is denied already */

    a = ngx_http_osb_policy_of(old);
    b = ngx_http_osb_policy_of(record);

    if (a.len && ngx_memn2cmp(a.data, b.data, a.len, b.len) != 0) {
        revokes |= NGX_HTTP_OSB_REVOKES_POLICY;
    }

    return revokes;
}


/* Whether each port that the old one exposes is so by the new one. */

static ngx_uint_t
ngx_http_osb_record_exposes(ngx_http_osb_record_t *old,
                            ngx_http_osb_record_t *record)
{
    ngx_uint_t            i, n;
    ngx_http_osb_range_t *a, *b;

    if (!record->limited) {
        return 1;
    }

    if (!old->limited) {
        return 0;
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
            return 0;
        }
    }

    return 1;
}


/* Whether each port leads where it led. */

static ngx_uint_t
ngx_http_osb_record_leads(ngx_http_osb_record_t *old,
                          ngx_http_osb_record_t *record)
{
    ngx_uint_t            i;
    ngx_http_osb_place_t *place, *now;

    if (old->endpoint.kind &&
        !ngx_http_osb_place_same(old, &old->endpoint, record,
                                 &record->endpoint))
    {
        return 0;
    }

    place = (void *) ((u_char *) old + old->places);

    for (i = 0; i < old->nplaces; i++) {
        now = ngx_http_osb_record_place(record, place[i].from);

        /* one that is not exposed is not reached anyway */

        if (now && !ngx_http_osb_place_same(old, &place[i], record, now)) {
            return 0;
        }
    }

    /* what is mapped now may have led to the endpoint */

    place = (void *) ((u_char *) record + record->places);

    for (i = 0; i < record->nplaces; i++) {
        now = ngx_http_osb_record_place(old, place[i].from);

        if (now && !ngx_http_osb_place_same(record, &place[i], old, now)) {
            return 0;
        }
    }

    return 1;
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
