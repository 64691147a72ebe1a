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


#endif /* _NGX_HTTP_OSB_STATUS_STATUS_H_INCLUDED_ */
