/* SPDX-License-Identifier: Apache-2.0 */

#ifndef _NGX_HTTP_OPENSANDBOX_RENEW_H_INCLUDED_
#define _NGX_HTTP_OPENSANDBOX_RENEW_H_INCLUDED_


#include "ngx_http_opensandbox_meters.h"


/* opensandbox_renew_intent */
struct ngx_http_opensandbox_renew_conf_s {
    ngx_addr_t *addrs;
    ngx_uint_t  naddrs;
    time_t      min_interval; /* seconds */

    /* in Redis' protocol: what opens a connection, and its answers */
    ngx_str_t  hello;
    ngx_uint_t greetings;

    /* what stands before and after each intent, and its answers */
    ngx_str_t  push;
    ngx_str_t  trim;
    ngx_uint_t answers;
};


/* _redis.c: one worker's queue of intents, and its connection to Redis */

/* Makes the queue; a part of init process. */
ngx_int_t
ngx_http_opensandbox_redis_init(ngx_http_opensandbox_renew_conf_t *conf,
                                ngx_cycle_t                       *cycle);

/* Closes the connection; a part of exit process. */
void
ngx_http_opensandbox_redis_exit(void);

/* Whether an intent of that many bytes finds room in the queue. */
ngx_uint_t
ngx_http_opensandbox_redis_room(size_t len);

/* Queues an intent, for which there is room, and sends it in due time. */
void
ngx_http_opensandbox_redis_push(ngx_str_t *intent);


#endif /* _NGX_HTTP_OPENSANDBOX_RENEW_H_INCLUDED_ */
