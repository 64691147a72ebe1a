/* SPDX-License-Identifier: Apache-2.0 */

#include "inner.h"


/*
 * A page of records.  It may be some 50 megabytes, so it goes out in pieces: as
 * many records as one buffer has, and no more are read while the client has not
 * taken them.  A page of one piece has a Content-Length.
 */


#define NGX_HTTP_OSB_PAGE     100
#define NGX_HTTP_OSB_PAGE_MAX 1000

#define NGX_HTTP_OSB_LIST_SLICE 2 /* milliseconds */


typedef struct {
    ngx_http_osb_call_t call;
    ngx_uint_t          left;   /* records of the page */
    ngx_str_t           source; /* whose records; empty: all */
    ngx_str_t           part;   /* of their ids, lower case; empty: any */
    ngx_uint_t          live;   /* they tell what they do */
    ngx_uint_t          flags;
    ngx_http_osb_walk_t walk;
    u_char             *text; /* a piece, in memory of its own */
    size_t              len;
    size_t              size;
    ngx_buf_t           buf; /* of the piece on its way */
    unsigned            opened : 1;
    unsigned            begun : 1;
    unsigned            ended : 1;
} ngx_http_osb_list_t;


static ngx_int_t
ngx_http_osb_list_arguments(ngx_http_osb_list_t *list);
static ngx_int_t
ngx_http_osb_list_begin(ngx_http_osb_list_t *list);
static ngx_http_osb_list_t *
ngx_http_osb_list_of(ngx_http_request_t *r);
static void
ngx_http_osb_list_event(ngx_http_request_t *r);
static ngx_int_t
ngx_http_osb_list_slice(ngx_http_osb_list_t *list);
static ngx_int_t
ngx_http_osb_list_send(ngx_http_osb_list_t *list);
static ngx_int_t
ngx_http_osb_list_piece(ngx_http_osb_list_t *list);
static ngx_uint_t
ngx_http_osb_list_has(ngx_http_osb_list_t *list, ngx_http_osb_record_t *record);
static ngx_int_t
ngx_http_osb_list_record(ngx_http_osb_list_t   *list,
                         ngx_http_osb_record_t *record);
static ngx_int_t
ngx_http_osb_list_live(ngx_http_osb_list_t *list, ngx_http_osb_record_t *record,
                       const char *text, size_t len);
static ngx_int_t
ngx_http_osb_list_append(ngx_http_osb_list_t *list, const char *text,
                         size_t len);
static void
ngx_http_osb_list_cleanup(void *data);


ngx_int_t
ngx_http_osb_api_list(ngx_http_osb_call_t *call)
{
    static ngx_str_t none; /* a collection has no tag */

    u_char              *buf;
    ngx_int_t            rc;
    ngx_http_request_t  *r;
    ngx_pool_cleanup_t  *cln;
    ngx_http_osb_list_t *list;

    r = call->request;

    rc = ngx_http_osb_api_judge(r, &none);
    if (rc != NGX_OK) {
        return ngx_http_osb_api_refuted(call, rc, NULL);
    }

    list = ngx_pcalloc(r->pool, sizeof(ngx_http_osb_list_t));
    cln = ngx_pool_cleanup_add(r->pool, 0);

    buf = ngx_palloc(r->pool, NGX_HTTP_OSB_WALK_SIZE);

    if (list == NULL || cln == NULL || buf == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    list->call = *call;
    list->call.body = NULL;

    ngx_http_osb_walk_start(&list->walk, call->zone, buf);

    cln->handler = ngx_http_osb_list_cleanup;
    cln->data = list;

    if (ngx_http_osb_list_arguments(list) != NGX_OK) {
        return ngx_http_osb_api_fault(&list->call, NGX_HTTP_BAD_REQUEST,
                                      "bad_argument");
    }

    if (ngx_http_osb_list_piece(list) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    rc = ngx_http_osb_list_begin(list);

    if (rc == NGX_AGAIN) {
        r->read_event_handler = ngx_http_test_reading;
        r->write_event_handler = ngx_http_osb_list_event;

        call->held = 1;
        return NGX_DONE;
    }

    return rc;
}


static ngx_int_t
ngx_http_osb_list_arguments(ngx_http_osb_list_t *list)
{
    ngx_int_t           limit;
    ngx_str_t           value;
    ngx_http_request_t *r;

    r = list->call.request;

    list->left = NGX_HTTP_OSB_PAGE;
    list->flags = ngx_http_osb_api_flags(&list->call);

    if (ngx_http_osb_api_arg(r, "limit", &value) == NGX_OK && value.len) {
        limit = ngx_atoi(value.data, value.len);

        if (limit < 1 || limit > NGX_HTTP_OSB_PAGE_MAX) {
            ngx_http_osb_fault(&list->call.fault, "limit",
                               "a page has 1 to %d records",
                               NGX_HTTP_OSB_PAGE_MAX);
            return NGX_ERROR;
        }

        list->left = (ngx_uint_t) limit;
    }

    if (ngx_http_osb_api_arg(r, "source", &value) == NGX_OK) {
        list->source = value;
    }

    if (ngx_http_osb_api_arg(r, "q", &value) == NGX_OK && value.len) {
        list->part.data = ngx_pnalloc(r->pool, value.len);
        if (list->part.data == NULL) {
            return NGX_ERROR;
        }

        ngx_strlow(list->part.data, value.data, value.len);
        list->part.len = value.len;
    }

    list->live = (ngx_http_osb_api_arg(r, "live", &value) == NGX_OK &&
                  value.len == 1 && value.data[0] == '1');

    if (ngx_http_osb_api_arg(r, "after", &value) == NGX_OK && value.len) {
        if (!ngx_http_osb_valid_id(&value)) {
            ngx_http_osb_fault(&list->call.fault, "after",
                               "\"after\" is the id of a sandbox");
            return NGX_ERROR;
        }

        ngx_strlow(list->walk.id, value.data, value.len);
        list->walk.at.len = value.len;
    }

    return NGX_OK;
}


/* The header, and what can be sent at once. */

static ngx_int_t
ngx_http_osb_list_begin(ngx_http_osb_list_t *list)
{
    ngx_int_t           rc;
    ngx_http_request_t *r;

    r = list->call.request;

    r->headers_out.status = NGX_HTTP_OK;
    r->headers_out.content_length_n = list->ended ? (off_t) list->len : -1;

    ngx_str_set(&r->headers_out.content_type, "application/json");
    r->headers_out.content_type_len = r->headers_out.content_type.len;

    rc = ngx_http_send_header(r);

    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        return rc;
    }

    rc = ngx_http_osb_list_send(list);

    return rc == NGX_OK ? ngx_http_osb_list_slice(list) : rc;
}


/* The context of the module is a route's, so it is found by its cleanup. */

static ngx_http_osb_list_t *
ngx_http_osb_list_of(ngx_http_request_t *r)
{
    ngx_pool_cleanup_t *cln;

    for (cln = r->pool->cleanup; cln; cln = cln->next) {
        if (cln->handler == ngx_http_osb_list_cleanup) {
            return cln->data;
        }
    }

    return NULL;
}


static void
ngx_http_osb_list_event(ngx_http_request_t *r)
{
    ngx_int_t            rc;
    ngx_event_t         *wev;
    ngx_http_osb_list_t *list;

    wev = r->connection->write;
    list = ngx_http_osb_list_of(r);

    if (wev->timedout) {
        ngx_log_error(NGX_LOG_INFO, r->connection->log, NGX_ETIMEDOUT,
                      "client timed out");
        r->connection->timedout = 1;
        ngx_http_finalize_request(r, NGX_HTTP_REQUEST_TIME_OUT);
        return;
    }

    rc = ngx_http_output_filter(r, NULL);

    if (rc != NGX_ERROR) {
        rc = ngx_http_osb_list_slice(list);
    }

    if (rc != NGX_AGAIN) {
        ngx_http_finalize_request(r, rc);
    }
}


/*
 * Pieces, until the client has enough for now or others of the worker have
 * waited enough: then NGX_AGAIN.
 */

static ngx_int_t
ngx_http_osb_list_slice(ngx_http_osb_list_t *list)
{
    int64_t                   end, now;
    ngx_event_t              *wev;
    struct timespec           ts;
    ngx_http_request_t       *r;
    ngx_http_core_loc_conf_t *clcf;

    r = list->call.request;
    wev = r->connection->write;
    end = 0;

    for (;;) {
        if (list->buf.pos < list->buf.last) {
            break;
        }

        if (list->ended) {
            if (wev->timer_set) {
                ngx_del_timer(wev);
            }

            return NGX_OK;
        }

        (void) clock_gettime(CLOCK_MONOTONIC, &ts);
        now = (int64_t) ts.tv_sec * 1000 + ts.tv_nsec / 1000000;

        if (end == 0) {
            end = now + NGX_HTTP_OSB_LIST_SLICE;

        } else if (now >= end) {
            ngx_post_event(wev, &ngx_posted_next_events);
            break;
        }

        if (ngx_http_osb_list_piece(list) != NGX_OK ||
            (list->len && ngx_http_osb_list_send(list) != NGX_OK))
        {
            return NGX_ERROR;
        }
    }

    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

    if (!wev->delayed) {
        ngx_add_timer(wev, clcf->send_timeout);
    }

    if (ngx_handle_write_event(wev, clcf->send_lowat) != NGX_OK) {
        return NGX_ERROR;
    }

    return NGX_AGAIN;
}


static ngx_int_t
ngx_http_osb_list_send(ngx_http_osb_list_t *list)
{
    ngx_buf_t          *b;
    ngx_chain_t         out;
    ngx_http_request_t *r;

    r = list->call.request;
    b = &list->buf;

    ngx_memzero(b, sizeof(ngx_buf_t));

    b->start = list->text;
    b->pos = list->text;
    b->last = list->text + list->len;
    b->end = b->last;
    b->temporary = 1;
    b->flush = !list->ended;
    b->last_buf = (list->ended && r == r->main);
    b->last_in_chain = list->ended;

    out.buf = b;
    out.next = NULL;

    return ngx_http_output_filter(r, &out) == NGX_ERROR ? NGX_ERROR : NGX_OK;
}


/* Makes the next piece of text, empty where the records are not asked for. */

static ngx_int_t
ngx_http_osb_list_piece(ngx_http_osb_list_t *list)
{
    u_char                 next[64 + NGX_HTTP_OSB_ID_LEN];
    ngx_int_t              rc;
    ngx_http_osb_record_t *record;

    list->len = 0;
    rc = NGX_OK;

    if (!list->opened) {
        rc = ngx_http_osb_list_append(list, "{\"sandboxes\":[", 14);
        list->opened = 1;
    }

    do {
        record = ngx_http_osb_walk_next(&list->walk);

        if (record && rc == NGX_OK && ngx_http_osb_list_has(list, record)) {
            rc = ngx_http_osb_list_record(list, record);
            list->left--;
        }

        list->ended = (record == NULL || list->left == 0);

    } while (!list->ended && list->walk.ready);

    if (rc != NGX_OK || !list->ended) {
        return rc;
    }

    if (record) {
        return ngx_http_osb_list_append(
            list, (char *) next,
            ngx_sprintf(next, "],\"next\":\"%V\"}\n", &list->walk.at) - next);
    }

    return ngx_http_osb_list_append(list, "]}\n", 3);
}


static ngx_uint_t
ngx_http_osb_list_has(ngx_http_osb_list_t *list, ngx_http_osb_record_t *record)
{
    ngx_str_t id, source;

    source = ngx_http_osb_record_source(record);

    if (list->source.len && ngx_memn2cmp(source.data, list->source.data,
                                         source.len, list->source.len) != 0)
    {
        return 0;
    }

    id = ngx_http_osb_text(record, &record->id);

    return list->part.len == 0 ||
           memmem(id.data, id.len, list->part.data, list->part.len) != NULL;
}


static ngx_int_t
ngx_http_osb_list_record(ngx_http_osb_list_t   *list,
                         ngx_http_osb_record_t *record)
{
    char     *text;
    size_t    len;
    ngx_int_t rc;

    rc = NGX_OK;

    if (list->begun) {
        rc = ngx_http_osb_list_append(list, ",", 1);
    }

    list->begun = 1;
    text = ngx_http_osb_record_text(record, list->flags, &len);

    if (text == NULL || rc != NGX_OK) {
        rc = NGX_ERROR;

    } else if (list->live) {
        rc = ngx_http_osb_list_live(list, record, text, len);

    } else {
        rc = ngx_http_osb_list_append(list, text, len);
    }

    free(text);

    return rc;
}


/* The record's object, with a member more. */

static ngx_int_t
ngx_http_osb_list_live(ngx_http_osb_list_t *list, ngx_http_osb_record_t *record,
                       const char *text, size_t len)
{
    u_char             *p, more[128];
    ngx_str_t           id;
    ngx_http_osb_live_t live;

    id = ngx_http_osb_text(record, &record->id);

    ngx_http_osb_activity_read(&id, &live);

    p = ngx_sprintf(more, ",\"live\":{\"requests\":%uL,\"tunnels\":%ui}}",
                    live.requests, live.tunnels);

    if (ngx_http_osb_list_append(list, text, len - 1) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_http_osb_list_append(list, (char *) more, p - more);
}


static ngx_int_t
ngx_http_osb_list_append(ngx_http_osb_list_t *list, const char *text,
                         size_t len)
{
    u_char *p;

    if (list->len + len > list->size) {
        p = realloc(list->text, 2 * (list->len + len));
        if (p == NULL) {
            return NGX_ERROR;
        }

        list->text = p;
        list->size = 2 * (list->len + len);
    }

    ngx_memcpy(list->text + list->len, text, len);
    list->len += len;

    return NGX_OK;
}


static void
ngx_http_osb_list_cleanup(void *data)
{
    ngx_http_osb_list_t *list = data;

    free(list->text);
}
