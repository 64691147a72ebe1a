/* SPDX-License-Identifier: Apache-2.0 */

#include "inner.h"


/*
 * Idle connections to sandboxes, each worker's own.  A gateway has many
 * sandboxes and few idle connections to each: they are found by a hash of the
 * peer's address, its generation included (see proxy/balancer.c), where the
 * stock pool looks at one after another.  They yield to other connections: a
 * worker that runs short of them closes the oldest, and keeps no more.
 */


typedef struct ngx_http_osb_idle_s ngx_http_osb_idle_t;

struct ngx_http_osb_idle_s {
    ngx_queue_t           queue; /* of pool->idle or pool->free */
    ngx_http_osb_idle_t  *next;  /* of the same bucket */
    ngx_http_osb_idle_t **link;  /* what points to this one there */

    ngx_http_osb_pool_t *pool;
    ngx_connection_t    *connection;

    ngx_msec_t     until;
    uint64_t       hash;
    socklen_t      socklen;
    ngx_sockaddr_t sockaddr;
};


struct ngx_http_osb_pool_s {
    ngx_uint_t size;
    ngx_uint_t requests; /* at most, over one connection */
    ngx_msec_t time;     /* of a connection's life */
    ngx_msec_t timeout;  /* of its idleness */

    ngx_queue_t          idle; /* the latest first */
    ngx_queue_t          free;
    ngx_http_osb_idle_t *slots;
    ngx_uint_t           touched; /* slots that were ever used */

    uint64_t              mask;
    ngx_http_osb_idle_t **buckets;

    /* for the oldest; each connection its own would cost more than the rest */
    ngx_event_t timer;
};


static ngx_int_t
ngx_http_osb_pool_option(ngx_http_osb_pool_t *pool, ngx_str_t *value);
static uint64_t
ngx_http_osb_pool_hash(struct sockaddr *sockaddr, socklen_t socklen);
static ngx_uint_t
ngx_http_osb_pool_fit(ngx_http_osb_pool_t *pool, ngx_http_upstream_t *u,
                      ngx_connection_t *c);
static ngx_http_osb_idle_t *
ngx_http_osb_pool_insert(ngx_http_osb_pool_t *pool, ngx_peer_connection_t *pc);
static ngx_http_osb_idle_t *
ngx_http_osb_pool_slot(ngx_http_osb_pool_t *pool);
static void
ngx_http_osb_pool_evict(ngx_http_osb_pool_t *pool);
static void
ngx_http_osb_pool_release(ngx_http_osb_idle_t *idle);
static void
ngx_http_osb_pool_timer_handler(ngx_event_t *ev);
static void
ngx_http_osb_pool_write_handler(ngx_event_t *ev);
static void
ngx_http_osb_pool_read_handler(ngx_event_t *ev);
static void
ngx_http_osb_pool_close(ngx_connection_t *c);


char *
ngx_http_osb_pool_conf(ngx_conf_t *cf, ngx_http_osb_pool_t **result)
{
    uint64_t             buckets;
    ngx_str_t           *value;
    ngx_uint_t           i;
    ngx_http_osb_pool_t *pool;

    pool = ngx_pcalloc(cf->pool, sizeof(ngx_http_osb_pool_t));
    if (pool == NULL) {
        return NGX_CONF_ERROR;
    }

    pool->requests = 1000;
    pool->time = 3600000;
    pool->timeout = 60000;

    value = cf->args->elts;

    for (i = 1; i < cf->args->nelts; i++) {

        if (ngx_http_osb_pool_option(pool, &value[i]) != NGX_OK) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "invalid parameter \"%V\"",
                               &value[i]);
            return NGX_CONF_ERROR;
        }
    }

    if (pool->size == 0) {
        return "needs \"keepalive=\" for the other parameters";
    }

    for (buckets = 1; buckets < pool->size; buckets *= 2) { /* void */
    }

    pool->mask = buckets - 1;

    pool->buckets =
        ngx_pcalloc(cf->pool, buckets * sizeof(ngx_http_osb_idle_t *));
    pool->slots =
        ngx_palloc(cf->pool, pool->size * sizeof(ngx_http_osb_idle_t));

    if (pool->buckets == NULL || pool->slots == NULL) {
        return NGX_CONF_ERROR;
    }

    ngx_queue_init(&pool->idle);
    ngx_queue_init(&pool->free);

    pool->timer.handler = ngx_http_osb_pool_timer_handler;
    pool->timer.data = pool;
    pool->timer.log = &cf->cycle->new_log;

    /* a worker that ends does not wait for it */
    pool->timer.cancelable = 1;

    *result = pool;

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_http_osb_pool_option(ngx_http_osb_pool_t *pool, ngx_str_t *value)
{
    ngx_int_t   n;
    ngx_str_t   text;
    ngx_msec_t *msec;
    ngx_uint_t *number;

    text.data = (u_char *) strchr((char *) value->data, '=');
    if (text.data++ == NULL) {
        return NGX_ERROR;
    }

    text.len = value->data + value->len - text.data;

    msec = NULL;
    number = NULL;

    if (ngx_strncmp(value->data, "keepalive=", 10) == 0) {
        number = &pool->size;

    } else if (ngx_strncmp(value->data, "keepalive_requests=", 19) == 0) {
        number = &pool->requests;

    } else if (ngx_strncmp(value->data, "keepalive_timeout=", 18) == 0) {
        msec = &pool->timeout;

    } else if (ngx_strncmp(value->data, "keepalive_time=", 15) == 0) {
        msec = &pool->time;

    } else {
        return NGX_ERROR;
    }

    if (msec) {
        *msec = (ngx_msec_t) ngx_parse_time(&text, 0);
        return *msec == (ngx_msec_t) NGX_ERROR ? NGX_ERROR : NGX_OK;
    }

    n = ngx_atoi(text.data, text.len);

    if (n < 1 || n > NGX_HTTP_OSB_POOL_MAX) {
        return NGX_ERROR;
    }

    *number = n;

    return NGX_OK;
}


ngx_int_t
ngx_http_osb_pool_take(ngx_http_osb_pool_t *pool, ngx_peer_connection_t *pc)
{
    uint64_t             hash;
    ngx_connection_t    *c;
    ngx_http_osb_idle_t *idle;

    hash = ngx_http_osb_pool_hash(pc->sockaddr, pc->socklen);

    for (idle = pool->buckets[hash & pool->mask]; idle; idle = idle->next) {

        if (idle->hash == hash && idle->socklen == pc->socklen &&
            ngx_memcmp(&idle->sockaddr, pc->sockaddr, pc->socklen) == 0)
        {
            break;
        }
    }

    if (idle == NULL) {
        return NGX_OK;
    }

    c = idle->connection;

    ngx_http_osb_pool_release(idle);

    c->idle = 0;
    c->sent = 0;
    c->data = NULL;

    c->log = pc->log;
    c->read->log = pc->log;
    c->write->log = pc->log;
    c->pool->log = pc->log;

    pc->connection = c;
    pc->cached = 1;

    return NGX_DONE;
}


void
ngx_http_osb_pool_keep(ngx_http_osb_pool_t *pool, ngx_peer_connection_t *pc,
                       ngx_http_upstream_t *u)
{
    ngx_connection_t    *c;
    ngx_http_osb_idle_t *idle;

    c = pc->connection;

    if (!ngx_http_osb_pool_fit(pool, u, c)) {
        return;
    }

    if (ngx_cycle->free_connection_n < ngx_cycle->connection_n / 4) {
        ngx_http_osb_pool_evict(pool);
        return;
    }

    idle = ngx_http_osb_pool_insert(pool, pc);

    /* it is the pool's now */
    pc->connection = NULL;

    if (!pool->timer.timer_set) {
        ngx_add_timer(&pool->timer, pool->timeout);
    }

    c->read->delayed = 0;

    if (c->read->timer_set) {
        ngx_del_timer(c->read);
    }

    if (c->write->timer_set) {
        ngx_del_timer(c->write);
    }

    c->read->handler = ngx_http_osb_pool_read_handler;
    c->write->handler = ngx_http_osb_pool_write_handler;

    c->idle = 1;
    c->data = idle;

    c->log = ngx_cycle->log;
    c->read->log = ngx_cycle->log;
    c->write->log = ngx_cycle->log;
    c->pool->log = ngx_cycle->log;

    if (c->read->ready) {
        ngx_http_osb_pool_read_handler(c->read);
    }
}


/* Of the generation, which every address ends in, and the port. */

static uint64_t
ngx_http_osb_pool_hash(struct sockaddr *sockaddr, socklen_t socklen)
{
    uint64_t generation;
    uint16_t port;

    ngx_memcpy(&generation, (u_char *) sockaddr + socklen - sizeof(generation),
               sizeof(generation));
    ngx_memcpy(&port, sockaddr->sa_data, sizeof(port));

    generation = (generation + port) * 0x9e3779b97f4a7c15;

    return generation ^ generation >> 32;
}


/* Whether another request may go over a connection. */

static ngx_uint_t
ngx_http_osb_pool_fit(ngx_http_osb_pool_t *pool, ngx_http_upstream_t *u,
                      ngx_connection_t *c)
{
    if (!u->keepalive || !u->request_body_sent) {
        return 0;
    }

    if (c->read->eof || c->read->error || c->read->timedout ||
        c->write->error || c->write->timedout)
    {
        return 0;
    }

    if (c->requests >= pool->requests ||
        ngx_current_msec - c->start_time > pool->time)
    {
        return 0;
    }

    if (ngx_terminate || ngx_exiting) {
        return 0;
    }

    return ngx_handle_read_event(c->read, 0) == NGX_OK;
}


/* The place of a connection among the idle ones. */

static ngx_http_osb_idle_t *
ngx_http_osb_pool_insert(ngx_http_osb_pool_t *pool, ngx_peer_connection_t *pc)
{
    ngx_http_osb_idle_t *idle, **bucket;

    idle = ngx_http_osb_pool_slot(pool);

    idle->connection = pc->connection;
    idle->socklen = pc->socklen;
    ngx_memcpy(&idle->sockaddr, pc->sockaddr, pc->socklen);
    idle->hash = ngx_http_osb_pool_hash(pc->sockaddr, pc->socklen);
    idle->until = ngx_current_msec + pool->timeout;

    bucket = &pool->buckets[idle->hash & pool->mask];

    idle->next = *bucket;
    idle->link = bucket;

    if (idle->next) {
        idle->next->link = &idle->next;
    }

    *bucket = idle;

    ngx_queue_insert_head(&pool->idle, &idle->queue);

    return idle;
}


static ngx_http_osb_idle_t *
ngx_http_osb_pool_slot(ngx_http_osb_pool_t *pool)
{
    ngx_queue_t         *q;
    ngx_http_osb_idle_t *idle;

    if (ngx_queue_empty(&pool->free) && pool->touched < pool->size) {
        idle = &pool->slots[pool->touched++];
        idle->pool = pool;

        return idle;
    }

    if (ngx_queue_empty(&pool->free)) {
        ngx_http_osb_pool_evict(pool);
    }

    q = ngx_queue_head(&pool->free);
    ngx_queue_remove(q);

    return ngx_queue_data(q, ngx_http_osb_idle_t, queue);
}


/* Closes the connection that has been idle for longest, if there is one. */

static void
ngx_http_osb_pool_evict(ngx_http_osb_pool_t *pool)
{
    ngx_queue_t         *q;
    ngx_http_osb_idle_t *idle;

    if (ngx_queue_empty(&pool->idle)) {
        return;
    }

    q = ngx_queue_last(&pool->idle);
    idle = ngx_queue_data(q, ngx_http_osb_idle_t, queue);

    ngx_http_osb_pool_release(idle);
    ngx_http_osb_pool_close(idle->connection);
}


static void
ngx_http_osb_pool_release(ngx_http_osb_idle_t *idle)
{
    *idle->link = idle->next;

    if (idle->next) {
        idle->next->link = idle->link;
    }

    ngx_queue_remove(&idle->queue);
    ngx_queue_insert_head(&idle->pool->free, &idle->queue);
}


static void
ngx_http_osb_pool_timer_handler(ngx_event_t *ev)
{
    ngx_msec_int_t       left;
    ngx_queue_t         *q;
    ngx_http_osb_idle_t *idle;
    ngx_http_osb_pool_t *pool;

    pool = ev->data;

    while (!ngx_queue_empty(&pool->idle)) {

        q = ngx_queue_last(&pool->idle);
        idle = ngx_queue_data(q, ngx_http_osb_idle_t, queue);

        left = (ngx_msec_int_t) (idle->until - ngx_current_msec);

        if (left > 0) {
            ngx_add_timer(ev, (ngx_msec_t) left);
            return;
        }

        ngx_http_osb_pool_evict(pool);
    }
}


static void
ngx_http_osb_pool_write_handler(ngx_event_t *ev)
{
}


/* An idle connection has nothing to say: it has ended, or must. */

static void
ngx_http_osb_pool_read_handler(ngx_event_t *ev)
{
    u_char               ch;
    ngx_connection_t    *c;
    ngx_http_osb_idle_t *idle;

    c = ev->data;

    if (!c->close && recv(c->fd, &ch, 1, MSG_PEEK) == -1 &&
        ngx_socket_errno == NGX_EAGAIN)
    {
        ev->ready = 0;

        if (ngx_handle_read_event(ev, 0) == NGX_OK) {
            return;
        }
    }

    idle = c->data;

    ngx_http_osb_pool_release(idle);
    ngx_http_osb_pool_close(c);
}


static void
ngx_http_osb_pool_close(ngx_connection_t *c)
{
#if (NGX_HTTP_SSL)

    if (c->ssl) {
        c->ssl->no_wait_shutdown = 1;
        c->ssl->no_send_shutdown = 1;

        if (ngx_ssl_shutdown(c) == NGX_AGAIN) {
            c->ssl->handler = ngx_http_osb_pool_close;
            return;
        }
    }

#endif

    ngx_destroy_pool(c->pool);
    ngx_close_connection(c);
}
