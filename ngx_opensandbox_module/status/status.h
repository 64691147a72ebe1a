/* SPDX-License-Identifier: Apache-2.0 */

#ifndef _NGX_HTTP_OSB_STATUS_STATUS_H_INCLUDED_
#define _NGX_HTTP_OSB_STATUS_STATUS_H_INCLUDED_


#include "answer/answer.h"
#include "request/request.h"


/* the API's methods, and the hundreds of its answers */
#define NGX_HTTP_OSB_METER_METHODS 6
#define NGX_HTTP_OSB_METER_CLASSES 4


typedef enum {
    NGX_HTTP_OSB_RENEW_SENT = 0,
    NGX_HTTP_OSB_RENEW_DROPPED,
    NGX_HTTP_OSB_RENEW_FAILED,
    NGX_HTTP_OSB_RENEWS
} ngx_http_osb_renew_e;


typedef enum {
    NGX_HTTP_OSB_WAKE_SENT = 0,
    NGX_HTTP_OSB_WAKE_FAILED,
    NGX_HTTP_OSB_WAKES
} ngx_http_osb_wake_e;


/* what is counted; all but what is open only grows */
typedef struct {
    /* by the place of the mode's bit */
    uint64_t requests[NGX_HTTP_OSB_MODES_MAX][NGX_HTTP_OSB_STATUSES];
    uint64_t api[NGX_HTTP_OSB_METER_METHODS][NGX_HTTP_OSB_METER_CLASSES];
    uint64_t renews[NGX_HTTP_OSB_RENEWS];
    uint64_t wakes[NGX_HTTP_OSB_WAKES];
    uint64_t upgrades;

    /* the last: what is forgotten when its worker ends */
    struct {
        uint64_t tunnels;
        uint64_t streams; /* event streams */
        uint64_t held;    /* requests to paused sandboxes */
    } open;
} ngx_http_osb_meters_t;


/* status/log.c: counts requests in this configuration; a part of
 * postconfiguration. */
ngx_int_t
ngx_http_osb_log_init(ngx_conf_t *cf);


/* status/meters.c: gives a worker meters of its own in the zone; a part of init
 * process. */
void
ngx_http_osb_meters_init_process(ngx_http_osb_zone_t *zone, ngx_log_t *log);

/* This worker's meters, never NULL. */
ngx_http_osb_meters_t *
ngx_http_osb_meters(void);


/* status/alive.c: answers GET /status.ok. */
ngx_int_t
ngx_http_osb_alive_answer(ngx_http_request_t *r);


/* status/status.c: opensandbox_status */
ngx_int_t
ngx_http_osb_status_handler(ngx_http_request_t *r);

/* Answers with the counts; the request's body has been read. */
ngx_int_t
ngx_http_osb_status_send(ngx_http_request_t *r);

/*
 * status/page.c: answers with the operator's page, or with the file of it that
 * ?file= names; NGX_DECLINED where something else is asked for.
 */
ngx_int_t
ngx_http_osb_page_answer(ngx_http_request_t *r);


/* status/activity.c */

/*
 * What goes on in single sandboxes, and what their sidecars reported, for
 * whoever looks.  It lies in a zone of its own of a fixed size, not among the
 * records: it is kept over a reload, and begins anew with another binary.
 */


#define NGX_HTTP_OSB_EVENTS 1024
#define NGX_HTTP_OSB_HOST   255


/* names that were denied, as POST /v1/events tells of them */
typedef struct {
    u_char     id[NGX_HTTP_OSB_ID_LEN];
    u_char     host[NGX_HTTP_OSB_HOST];
    uint8_t    id_len; /* 0: it was not said */
    uint8_t    host_len;
    ngx_uint_t pending; /* it waits for approval */
    uint64_t   count;
    time_t     first; /* unix seconds, by our clock */
    time_t     last;
} ngx_http_osb_event_t;


/* of a sandbox */
typedef struct {
    uint64_t   requests; /* since some time: only differences mean something */
    ngx_uint_t tunnels;  /* open now */
} ngx_http_osb_live_t;


/* Adds the zone to the configuration; name is that of the records' one. */
char *
ngx_http_osb_activity_zone(ngx_conf_t *cf, ngx_str_t *name);

/*
 * A tunnel that opens; the place is to be given back, and NULL where all are
 * taken: it is then not counted.
 */
ngx_http_osb_open_t *
ngx_http_osb_activity_open(ngx_str_t *id);

void
ngx_http_osb_activity_close(ngx_http_osb_open_t *open);

/* What a sandbox does. */
void
ngx_http_osb_activity_read(ngx_str_t *id, ngx_http_osb_live_t *live);

/*
 * Notes a denied name, of which the id and the host are set; the one that was
 * told of longest ago gives its place.
 */
void
ngx_http_osb_activity_note(ngx_http_osb_event_t *event);

/* Copies them to the list, which has room for NGX_HTTP_OSB_EVENTS, the latest
 * first; of that sandbox alone, unless id is empty. Returns how many. */
ngx_uint_t
ngx_http_osb_activity_events(ngx_str_t *id, ngx_http_osb_event_t *list);


#endif /* _NGX_HTTP_OSB_STATUS_STATUS_H_INCLUDED_ */
