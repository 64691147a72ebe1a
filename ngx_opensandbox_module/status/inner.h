/* SPDX-License-Identifier: Apache-2.0 */

#ifndef _NGX_HTTP_OSB_STATUS_INNER_H_INCLUDED_
#define _NGX_HTTP_OSB_STATUS_INNER_H_INCLUDED_


#include "status.h"


/* what one answer tells */
typedef struct {
    ngx_str_t             version;
    ngx_http_osb_meters_t meters;
    uint64_t              records;
    uint64_t              ready;
    uint64_t              not_ready;
    uint64_t              waiting;
    uint64_t              changes;
    ngx_uint_t            nsources;
    ngx_http_osb_source_t sources[NGX_HTTP_OSB_SOURCES];
    ngx_str_t             zone;
    uint64_t              size; /* bytes of the zone */
    uint64_t              used;
} ngx_http_osb_status_t;


/* status/meters.c: the API's methods, the last is any other */
extern ngx_str_t ngx_http_osb_meter_methods[NGX_HTTP_OSB_METER_METHODS];

/* Adds up what all workers counted, those that have ended too. */
void
ngx_http_osb_meters_sum(ngx_http_osb_zone_t *zone, ngx_http_osb_meters_t *sum);


/*
 * status/metrics.c: writes all of them, in at most NGX_HTTP_OSB_METRICS_SIZE
 * bytes and six for each byte of the zone's name; returns the end.
 */
#define NGX_HTTP_OSB_METRICS_SIZE 20480

u_char *
ngx_http_osb_metrics_json(u_char *p, u_char *last,
                          ngx_http_osb_status_t *status);

/* The same in Prometheus' text format. */
u_char *
ngx_http_osb_metrics_prometheus(u_char *p, u_char *last,
                                ngx_http_osb_status_t *status);


/* status/activity.c: counts a request to a sandbox. */
void
ngx_http_osb_activity_request(ngx_str_t *id);


#endif /* _NGX_HTTP_OSB_STATUS_INNER_H_INCLUDED_ */
