/* SPDX-License-Identifier: Apache-2.0 */

#include "inner.h"


/*
 * A sandbox's policy, for its sidecar.  Who has the present one may wait for
 * the next.  Those who wait are in a list, which a timer goes through when any
 * policy has changed; each knows the edition that it has, so that its policy is
 * read only if it is another.
 */


#define NGX_HTTP_OSB_POLICY_TICK     100 /* milliseconds */
#define NGX_HTTP_OSB_POLICY_WAIT_MAX 60  /* seconds */


/* a request that waits for another policy */
typedef struct {
    ngx_queue_t         queue;
    ngx_http_osb_call_t call;
    ngx_event_t         end;
    uint32_t            edition;
} ngx_http_osb_watch_t;


/* a policy as it is now, in memory of its own */
typedef struct {
    ngx_http_osb_whole_t copy;
    ngx_str_t            text;
    ngx_http_osb_etag_t  etag;
} ngx_http_osb_now_t;


static ngx_int_t
ngx_http_osb_policy_read(ngx_http_osb_call_t *call, ngx_http_osb_now_t *now);
static ngx_uint_t
ngx_http_osb_policy_preference(ngx_str_t *text, ngx_str_t *name,
                               ngx_str_t *value);
static ngx_uint_t
ngx_http_osb_policy_wait(ngx_http_request_t *r);
static ngx_int_t
ngx_http_osb_policy_watch(ngx_http_osb_call_t *call, ngx_uint_t seconds,
                          uint32_t edition);
static void
ngx_http_osb_policy_tick(ngx_event_t *ev);
static ngx_uint_t
ngx_http_osb_policy_due(ngx_http_osb_watch_t *watch);
static void
ngx_http_osb_policy_end(ngx_event_t *ev);
static void
ngx_http_osb_policy_look(ngx_http_osb_watch_t *watch, ngx_uint_t over);
static void
ngx_http_osb_policy_cleanup(void *data);
static ngx_int_t
ngx_http_osb_policy_answer(ngx_http_request_t *r, ngx_str_t *text,
                           ngx_str_t *etag);


static ngx_str_t ngx_http_osb_policy_none =
    ngx_string("{\"defaultAction\":\"deny\",\"egress\":[]}");

/* those who wait, and the changes of policies that they have seen */
static ngx_queue_t      ngx_http_osb_policy_watches;
static ngx_event_t      ngx_http_osb_policy_timer;
static ngx_connection_t ngx_http_osb_policy_dummy;
static uint32_t         ngx_http_osb_policy_editions;


ngx_int_t
ngx_http_osb_api_policy(ngx_http_osb_call_t *call)
{
    ngx_int_t           rc;
    ngx_uint_t          seconds;
    ngx_http_request_t *r;
    ngx_http_osb_now_t  now;

    r = call->request;

    if (ngx_http_osb_policy_read(call, &now) != NGX_OK) {
        return ngx_http_osb_api_missing(call);
    }

    rc = ngx_http_osb_api_judge(r, &now.etag.value);

    if (rc == NGX_HTTP_PRECONDITION_FAILED) {
        return ngx_http_osb_api_refuted(call, rc, &now.etag.value);
    }

    if (rc == NGX_OK) {
        return ngx_http_osb_policy_answer(r, &now.text, &now.etag.value);
    }

    seconds = ngx_http_osb_policy_wait(r);

    if (seconds && !ngx_exiting) {
        return ngx_http_osb_policy_watch(call, seconds,
                                         now.copy.record.edition);
    }

    return ngx_http_osb_policy_answer(r, NULL, &now.etag.value);
}


/* Text and tag of the present policy; NGX_DECLINED without a sandbox. */

static ngx_int_t
ngx_http_osb_policy_read(ngx_http_osb_call_t *call, ngx_http_osb_now_t *now)
{
    if (ngx_http_osb_registry_get(call->zone, &call->id, &now->copy.record) !=
        NGX_OK)
    {
        return NGX_DECLINED;
    }

    now->text = ngx_http_osb_policy_of(&now->copy.record);

    if (now->text.len == 0) {
        now->text = ngx_http_osb_policy_none;
    }

    ngx_http_osb_api_tag(&now->etag, now->text.data, now->text.len);

    return NGX_OK;
}


/* The seconds of "Prefer: wait=N", 0 without; the first of several counts. */

static ngx_uint_t
ngx_http_osb_policy_wait(ngx_http_request_t *r)
{
    static ngx_str_t prefer = ngx_string("prefer");

    size_t           i;
    ngx_str_t        text, name, value;
    ngx_uint_t       n, seconds;
    ngx_list_part_t *part;
    ngx_table_elt_t *h;

    n = 0;
    part = &r->headers_in.headers.part;

    while ((h = ngx_http_osb_header_named(&part, &n, &prefer))) {
        text = h->value;

        while (ngx_http_osb_policy_preference(&text, &name, &value)) {

            if (name.len != 4 ||
                ngx_strncasecmp(name.data, (u_char *) "wait", 4) != 0) {
                continue;
            }

            for (i = 0, seconds = 0; i < value.len; i++) {

                if (value.data[i] < '0' || value.data[i] > '9') {
                    return 0;
                }

                seconds =
                    ngx_min(seconds * 10 + (ngx_uint_t) (value.data[i] - '0'),
                            NGX_HTTP_OSB_POLICY_WAIT_MAX);
            }

            return seconds;
        }
    }

    return 0;
}


/* Cuts "name", "name = value" or "name = \"value\"" off; RFC 7240, 2. */

static ngx_uint_t
ngx_http_osb_policy_preference(ngx_str_t *text, ngx_str_t *name,
                               ngx_str_t *value)
{
    u_char    *p, *last;
    ngx_uint_t quoted;

    p = text->data;
    last = p + text->len;

    while (p < last && strchr(" \t,", *p)) {
        p++;
    }

    if (p == last) {
        return 0;
    }

    for (name->data = p; p < last && !strchr(" \t=;,", *p); p++) {
        /* void */
    }

    name->len = (size_t) (p - name->data);

    while (p < last && (*p == ' ' || *p == '\t')) {
        p++;
    }

    ngx_str_null(value);

    if (p < last && *p == '=') {

        do {
            p++;
        } while (p < last && (*p == ' ' || *p == '\t'));

        quoted = (p < last && *p == '"');
        p += quoted;

        for (value->data = p; p < last && !strchr(quoted ? "\"" : " \t;,", *p);
             p++) {
            /* void */
        }

        value->len = (size_t) (p - value->data);
        p += (quoted && p < last);
    }

    /* its parameters, in which a quoted comma ends nothing */

    for (quoted = 0; p < last && (quoted || *p != ','); p++) {

        if (*p == '"') {
            quoted = !quoted;
        }
    }

    text->len = (size_t) (last - p);
    text->data = p;

    return 1;
}


static ngx_int_t
ngx_http_osb_policy_watch(ngx_http_osb_call_t *call, ngx_uint_t seconds,
                          uint32_t edition)
{
    static ngx_str_t applied = ngx_string("wait");

    ngx_event_t          *ev;
    ngx_http_request_t   *r;
    ngx_http_cleanup_t   *cln;
    ngx_http_osb_watch_t *watch;

    r = call->request;

    if (ngx_http_osb_header_add(r, "Preference-Applied", &applied) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    watch = ngx_pcalloc(r->pool, sizeof(ngx_http_osb_watch_t));
    cln = ngx_http_cleanup_add(r, 0);

    if (watch == NULL || cln == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    cln->handler = ngx_http_osb_policy_cleanup;
    cln->data = watch;

    call->held = 1;

    watch->call = *call;
    watch->call.body = NULL;
    watch->edition = edition;

    watch->end.handler = ngx_http_osb_policy_end;
    watch->end.data = watch;
    watch->end.log = r->connection->log;

    ngx_add_timer(&watch->end, seconds * 1000);

    ev = &ngx_http_osb_policy_timer;

    if (ev->handler == NULL) {
        ngx_queue_init(&ngx_http_osb_policy_watches);
        ngx_http_osb_policy_dummy.fd = (ngx_socket_t) -1;

        ev->handler = ngx_http_osb_policy_tick;
        ev->data = &ngx_http_osb_policy_dummy;
        ev->log = ngx_cycle->log;
    }

    ngx_queue_insert_tail(&ngx_http_osb_policy_watches, &watch->queue);

    if (!ev->timer_set) {

        /* what changed meanwhile is seen by the first look */

        ngx_http_osb_policy_editions = call->zone->shared->editions - 1;
        ngx_add_timer(ev, NGX_HTTP_OSB_POLICY_TICK);
    }

    r->read_event_handler = ngx_http_test_reading;
    r->write_event_handler = ngx_http_request_empty_handler;

    return NGX_DONE;
}


static void
ngx_http_osb_policy_tick(ngx_event_t *ev)
{
    uint32_t              editions;
    ngx_queue_t          *q, *next, due;
    ngx_http_osb_watch_t *watch;

    if (ngx_queue_empty(&ngx_http_osb_policy_watches)) {
        return;
    }

    ngx_add_timer(ev, NGX_HTTP_OSB_POLICY_TICK);

    q = ngx_queue_head(&ngx_http_osb_policy_watches);
    watch = ngx_queue_data(q, ngx_http_osb_watch_t, queue);

    /* before the records are looked at, so that no change is missed */

    editions = watch->call.zone->shared->editions;

    if (editions == ngx_http_osb_policy_editions && !ngx_exiting) {
        return;
    }

    ngx_http_osb_policy_editions = editions;

    /* an answer may be the end of others, so each is taken out before */

    ngx_queue_init(&due);

    for (/* void */; q != ngx_queue_sentinel(&ngx_http_osb_policy_watches);
         q = next)
    {
        next = ngx_queue_next(q);
        watch = ngx_queue_data(q, ngx_http_osb_watch_t, queue);

        if (ngx_exiting || ngx_http_osb_policy_due(watch)) {
            ngx_queue_remove(q);
            ngx_queue_insert_tail(&due, q);
        }
    }

    while (!ngx_queue_empty(&due)) {
        q = ngx_queue_head(&due);
        ngx_queue_remove(q);
        ngx_queue_insert_tail(&ngx_http_osb_policy_watches, q);

        watch = ngx_queue_data(q, ngx_http_osb_watch_t, queue);
        ngx_http_osb_policy_look(watch, ngx_exiting);
    }
}


/* Whether its policy is another, or its sandbox gone. */

static ngx_uint_t
ngx_http_osb_policy_due(ngx_http_osb_watch_t *watch)
{
    uint32_t edition;

    return ngx_http_osb_registry_edition(watch->call.zone, &watch->call.id,
                                         &edition) != NGX_OK ||
           edition != watch->edition;
}


static void
ngx_http_osb_policy_end(ngx_event_t *ev)
{
    ngx_http_osb_policy_look(ev->data, 1);
}


/* Answers, unless it is the policy that the client has, and time is left. */

static void
ngx_http_osb_policy_look(ngx_http_osb_watch_t *watch, ngx_uint_t over)
{
    ngx_int_t           rc;
    ngx_connection_t   *c;
    ngx_http_request_t *r;
    ngx_http_osb_now_t  now;

    r = watch->call.request;
    c = r->connection;

    if (ngx_http_osb_policy_read(&watch->call, &now) != NGX_OK) {
        rc = ngx_http_osb_api_missing(&watch->call);

    } else if (ngx_http_osb_api_judge(r, &now.etag.value) == NGX_OK) {
        rc = ngx_http_osb_policy_answer(r, &now.text, &now.etag.value);

    } else if (over) {
        rc = ngx_http_osb_policy_answer(r, NULL, &now.etag.value);

    } else {
        watch->edition = now.copy.record.edition;
        return;
    }

    ngx_http_finalize_request(r, rc);
    ngx_http_run_posted_requests(c);
}


static void
ngx_http_osb_policy_cleanup(void *data)
{
    ngx_http_osb_watch_t *watch = data;

    ngx_queue_remove(&watch->queue);

    if (watch->end.timer_set) {
        ngx_del_timer(&watch->end);
    }
}


/* Without a text, that there is no other than the client's. */

static ngx_int_t
ngx_http_osb_policy_answer(ngx_http_request_t *r, ngx_str_t *text,
                           ngx_str_t *etag)
{
    if (ngx_http_osb_api_set_tag(r, etag) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (ngx_exiting) {
        r->keepalive = 0;
    }

    if (text == NULL) {
        r->headers_out.status = NGX_HTTP_NOT_MODIFIED;
        r->header_only = 1;

        return ngx_http_send_header(r);
    }

    return ngx_http_osb_api_send_text(r, NGX_HTTP_OK, (char *) text->data,
                                      text->len);
}
