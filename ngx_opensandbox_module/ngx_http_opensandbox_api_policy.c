/* SPDX-License-Identifier: Apache-2.0 */

#include "ngx_http_opensandbox_api.h"


/*
 * A sandbox's policy, for its sidecar.  Who has the present one may wait for
 * the next: a timer looks whether any record has changed, and only then at
 * the sandbox's own.
 */


#define NGX_HTTP_OPENSANDBOX_POLICY_TICK     100 /* milliseconds */
#define NGX_HTTP_OPENSANDBOX_POLICY_WAIT_MAX 60  /* seconds */


/* a request that waits for another policy */
typedef struct {
    ngx_http_opensandbox_call_t call;
    ngx_event_t                 tick;
    ngx_msec_t                  deadline;
    ngx_atomic_uint_t           changes;
} ngx_http_opensandbox_watch_t;


static ngx_int_t
ngx_http_opensandbox_policy_read(ngx_http_opensandbox_call_t *call,
                                 ngx_str_t *text, ngx_str_t *etag);
static ngx_uint_t
ngx_http_opensandbox_policy_preference(ngx_str_t *text, ngx_str_t *name,
                                       ngx_str_t *value);
static ngx_uint_t
ngx_http_opensandbox_policy_wait(ngx_http_request_t *r);
static ngx_int_t
ngx_http_opensandbox_policy_watch(ngx_http_opensandbox_call_t *call,
                                  ngx_uint_t seconds, ngx_uint_t changes);
static void
ngx_http_opensandbox_policy_tick(ngx_event_t *ev);
static void
ngx_http_opensandbox_policy_cleanup(void *data);
static ngx_int_t
ngx_http_opensandbox_policy_answer(ngx_http_request_t *r, ngx_str_t *text,
                                   ngx_str_t *etag);


static ngx_str_t ngx_http_opensandbox_policy_none =
    ngx_string("{\"defaultAction\":\"deny\",\"egress\":[]}");


ngx_int_t
ngx_http_opensandbox_api_policy(ngx_http_opensandbox_call_t *call)
{
    ngx_int_t           rc;
    ngx_str_t           text, etag;
    ngx_uint_t          seconds;
    ngx_atomic_uint_t   changes;
    ngx_http_request_t *r;

    r = call->request;

    /* before the record is read, so that no change is missed */
    changes = call->zone->shared->changes;

    rc = ngx_http_opensandbox_policy_read(call, &text, &etag);

    if (rc == NGX_DECLINED) {
        return ngx_http_opensandbox_api_missing(call);
    }

    if (rc != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    rc = ngx_http_opensandbox_api_judge(r, &etag);

    if (rc == NGX_HTTP_PRECONDITION_FAILED) {
        return ngx_http_opensandbox_api_refuted(call, rc, &etag);
    }

    if (rc == NGX_OK) {
        return ngx_http_opensandbox_policy_answer(r, &text, &etag);
    }

    seconds = ngx_http_opensandbox_policy_wait(r);

    if (seconds && !ngx_exiting) {
        return ngx_http_opensandbox_policy_watch(call, seconds, changes);
    }

    return ngx_http_opensandbox_policy_answer(r, NULL, &etag);
}


/* Text and tag of the present policy; NGX_DECLINED without a sandbox. */

static ngx_int_t
ngx_http_opensandbox_policy_read(ngx_http_opensandbox_call_t *call,
                                 ngx_str_t *text, ngx_str_t *etag)
{
    ngx_str_t                    policy;
    ngx_pool_t                  *pool;
    ngx_http_opensandbox_etag_t  tag;
    ngx_http_opensandbox_whole_t copy;

    if (ngx_http_opensandbox_registry_get(call->zone, &call->id,
                                          &copy.record) != NGX_OK)
    {
        return NGX_DECLINED;
    }

    policy = ngx_http_opensandbox_policy_of(&copy.record);

    if (policy.len == 0) {
        policy = ngx_http_opensandbox_policy_none;
    }

    pool = call->request->pool;

    text->len = policy.len;
    text->data = ngx_pstrdup(pool, &policy);

    ngx_http_opensandbox_api_tag(&tag, policy.data, policy.len);

    etag->len = tag.value.len;
    etag->data = ngx_pstrdup(pool, &tag.value);

    if (text->data == NULL || etag->data == NULL) {
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* The seconds of "Prefer: wait=N", 0 without; the first of several counts. */

static ngx_uint_t
ngx_http_opensandbox_policy_wait(ngx_http_request_t *r)
{
    static ngx_str_t prefer = ngx_string("prefer");

    size_t           i;
    ngx_str_t        text, name, value;
    ngx_uint_t       n, seconds;
    ngx_list_part_t *part;
    ngx_table_elt_t *h;

    n = 0;
    part = &r->headers_in.headers.part;

    while ((h = ngx_http_opensandbox_next_named(&part, &n, &prefer))) {
        text = h->value;

        while (ngx_http_opensandbox_policy_preference(&text, &name, &value)) {

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
                            NGX_HTTP_OPENSANDBOX_POLICY_WAIT_MAX);
            }

            return seconds;
        }
    }

    return 0;
}


/* Cuts "name", "name = value" or "name = \"value\"" off; RFC 7240, 2. */

static ngx_uint_t
ngx_http_opensandbox_policy_preference(ngx_str_t *text, ngx_str_t *name,
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
ngx_http_opensandbox_policy_watch(ngx_http_opensandbox_call_t *call,
                                  ngx_uint_t seconds, ngx_uint_t changes)
{
    static ngx_str_t applied = ngx_string("wait");

    ngx_http_request_t           *r;
    ngx_http_cleanup_t           *cln;
    ngx_http_opensandbox_watch_t *watch;

    r = call->request;

    if (ngx_http_opensandbox_add_header(r, "Preference-Applied", &applied) !=
        NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    watch = ngx_pcalloc(r->pool, sizeof(ngx_http_opensandbox_watch_t));
    cln = ngx_http_cleanup_add(r, 0);

    if (watch == NULL || cln == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    cln->handler = ngx_http_opensandbox_policy_cleanup;
    cln->data = watch;

    call->held = 1;

    watch->call = *call;
    watch->call.body = NULL;
    watch->changes = changes;
    watch->deadline = ngx_current_msec + seconds * 1000;

    watch->tick.handler = ngx_http_opensandbox_policy_tick;
    watch->tick.data = watch;
    watch->tick.log = r->connection->log;

    ngx_add_timer(&watch->tick, NGX_HTTP_OPENSANDBOX_POLICY_TICK);

    r->read_event_handler = ngx_http_test_reading;
    r->write_event_handler = ngx_http_request_empty_handler;

    return NGX_DONE;
}


static void
ngx_http_opensandbox_policy_tick(ngx_event_t *ev)
{
    ngx_http_opensandbox_watch_t *watch = ev->data;

    ngx_int_t           rc;
    ngx_str_t           text, etag;
    ngx_uint_t          over;
    ngx_connection_t   *c;
    ngx_atomic_uint_t   changes;
    ngx_http_request_t *r;

    r = watch->call.request;
    c = r->connection;

    changes = watch->call.zone->shared->changes;
    over = ngx_exiting ||
           (ngx_msec_int_t) (watch->deadline - ngx_current_msec) <= 0;

    if (changes == watch->changes && !over) {
        ngx_add_timer(ev, NGX_HTTP_OPENSANDBOX_POLICY_TICK);
        return;
    }

    watch->changes = changes;

    rc = ngx_http_opensandbox_policy_read(&watch->call, &text, &etag);

    if (rc == NGX_OK) {

        if (ngx_http_opensandbox_api_judge(r, &etag) == NGX_OK) {
            rc = ngx_http_opensandbox_policy_answer(r, &text, &etag);

        } else if (over) {
            rc = ngx_http_opensandbox_policy_answer(r, NULL, &etag);

        } else {
            ngx_add_timer(ev, NGX_HTTP_OPENSANDBOX_POLICY_TICK);
            return;
        }

    } else if (rc == NGX_DECLINED) {
        rc = ngx_http_opensandbox_api_missing(&watch->call);

    } else {
        rc = NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_http_finalize_request(r, rc);
    ngx_http_run_posted_requests(c);
}


static void
ngx_http_opensandbox_policy_cleanup(void *data)
{
    ngx_http_opensandbox_watch_t *watch = data;

    if (watch->tick.timer_set) {
        ngx_del_timer(&watch->tick);
    }
}


/* Without a text, that there is no other than the client's. */

static ngx_int_t
ngx_http_opensandbox_policy_answer(ngx_http_request_t *r, ngx_str_t *text,
                                   ngx_str_t *etag)
{
    json_t          *object;
    ngx_table_elt_t *h;

    h = ngx_list_push(&r->headers_out.headers);
    if (h == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_memzero(h, sizeof(ngx_table_elt_t));

    h->hash = 1;
    ngx_str_set(&h->key, "ETag");
    h->value = *etag;

    r->headers_out.etag = h;

    /* that of nginx looks at dates as well */
    r->disable_not_modified = 1;

    if (ngx_exiting) {
        r->keepalive = 0;
    }

    if (text == NULL) {
        r->headers_out.status = NGX_HTTP_NOT_MODIFIED;
        r->header_only = 1;

        return ngx_http_send_header(r);
    }

    object = json_loadb((char *) text->data, text->len, 0, NULL);

    return ngx_http_opensandbox_api_send(r, NGX_HTTP_OK, object);
}
