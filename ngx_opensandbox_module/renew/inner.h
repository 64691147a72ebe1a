/* SPDX-License-Identifier: Apache-2.0 */

#ifndef _NGX_HTTP_OSB_RENEW_INNER_H_INCLUDED_
#define _NGX_HTTP_OSB_RENEW_INNER_H_INCLUDED_


#include "renew.h"


/* opensandbox_renew_intent */
struct ngx_http_osb_renew_conf_s {
    ngx_str_t       host; /* empty if it is an address */
    in_port_t       port;
    ngx_str_t       file; /* where it stands */
    ngx_uint_t      line;
    ngx_resolver_t *resolver; /* of "http"; NULL without */

    /* of the host when the configuration was read; maybe none */
    ngx_addr_t *addrs;
    ngx_uint_t  naddrs;

    time_t min_interval; /* seconds */

    /* in Redis' protocol: what opens a connection, and its answers */
    ngx_str_t  hello;
    ngx_uint_t greetings;

    /* what stands before and after each intent, and its answers */
    ngx_str_t  push;
    ngx_str_t  trim;
    ngx_uint_t answers;
};


/* renew/queue.c: the intents that Redis has not answered yet */
typedef struct {
    /*
     * Bytes of the ring from the first intent without an answer to the last
     * one; all three only grow, a place is its remainder.
     */
    u_char *ring;
    size_t  first;
    size_t  sent;
    size_t  last;

    /* the intents of the ring, by their lengths */
    uint32_t  *lens;
    ngx_uint_t head;
    ngx_uint_t n;
} ngx_http_osb_queue_t;

/* The queue is zeroed; NGX_OK, or NGX_ERROR without memory. */
ngx_int_t
ngx_http_osb_queue_init(ngx_http_osb_queue_t *queue, ngx_pool_t *pool);

/* Whether an intent of that many bytes finds room. */
ngx_uint_t
ngx_http_osb_queue_room(ngx_http_osb_queue_t *queue, size_t len);

/* Adds an intent, for which there is room, in n parts. */
void
ngx_http_osb_queue_push(ngx_http_osb_queue_t *queue, ngx_str_t *parts,
                        ngx_uint_t n);

/* The bytes to be sent next, as many as lie together; 0 without any. */
size_t
ngx_http_osb_queue_unsent(ngx_http_osb_queue_t *queue, u_char **p);

/* Has all of it sent again. */
void
ngx_http_osb_queue_rewind(ngx_http_osb_queue_t *queue);

/* Drops the first intent; there is one. */
void
ngx_http_osb_queue_shift(ngx_http_osb_queue_t *queue);


/* renew/lookup.c: the address for a connection */

#define NGX_HTTP_OSB_LOOKUP_TIMEOUT 2000 /* milliseconds */

typedef struct {
    ngx_http_osb_renew_conf_t *conf;

    /* for a result that comes later: NGX_OK or NGX_ERROR */
    void (*handler)(void *data, ngx_int_t rc);
    void *data;

    ngx_addr_t addr; /* the result, until the next look-up */

    ngx_resolver_ctx_t *resolver; /* while it is asked */
    ngx_int_t           rc;
    ngx_uint_t          turn; /* of several addresses */
    ngx_sockaddr_t      sockaddr;
    u_char              name[NGX_SOCKADDR_STRLEN];
} ngx_http_osb_lookup_t;

/*
 * NGX_OK with the address in lookup->addr; NGX_ERROR if none is known;
 * NGX_AGAIN, then the handler will be called.
 */
ngx_int_t
ngx_http_osb_lookup_start(ngx_http_osb_lookup_t *lookup);

/* Ends a look-up, if there is one; the handler will not be called. */
void
ngx_http_osb_lookup_cancel(ngx_http_osb_lookup_t *lookup);


/* renew/redis.c: one worker's queue of intents, and its connection to Redis */

/* Makes the queue; a part of init process. */
ngx_int_t
ngx_http_osb_redis_init(ngx_http_osb_renew_conf_t *conf, ngx_cycle_t *cycle);

/* Whether an intent of that many bytes finds room in the queue. */
ngx_uint_t
ngx_http_osb_redis_room(size_t len);

/* Queues an intent, for which there is room, and sends it in due time. */
void
ngx_http_osb_redis_push(ngx_str_t *intent);


#endif /* _NGX_HTTP_OSB_RENEW_INNER_H_INCLUDED_ */
