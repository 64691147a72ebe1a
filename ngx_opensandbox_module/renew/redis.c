/* SPDX-License-Identifier: Apache-2.0 */

#include "inner.h"
#include "status/status.h"


/*
 * One worker's way to Redis.  Intents wait in a queue, as the
 * commands that they become, until Redis has answered them; after a lost
 * connection those without an answer are sent again.  The few commands that
 * are sent have answers of one line, so that no library is needed to read
 * them, and none stands between the ring and the socket.
 */


#define NGX_HTTP_OSB_REDIS_TIMEOUT  2000
#define NGX_HTTP_OSB_REDIS_BACKOFF  100
#define NGX_HTTP_OSB_REDIS_PATIENCE 10000
#define NGX_HTTP_OSB_REDIS_LINE     128


typedef struct {
    ngx_http_osb_renew_conf_t *conf;
    ngx_peer_connection_t      peer;
    ngx_http_osb_lookup_t      lookup;
    ngx_event_t                retry;
    ngx_msec_t                 backoff;

    ngx_http_osb_queue_t queue;

    /* of the hello, and the answers of the hello and the first intent */
    size_t     greeted;
    ngx_uint_t greetings;
    ngx_uint_t answers;

    /* the line that is being read, its beginning */
    u_char     line[NGX_HTTP_OSB_REDIS_LINE];
    ngx_uint_t len;

    unsigned failing : 1; /* it has been logged */
    unsigned refused : 1; /* the first intent */
} ngx_http_osb_redis_t;


static void
ngx_http_osb_redis_connect(ngx_http_osb_redis_t *redis);
static void
ngx_http_osb_redis_found(void *data, ngx_int_t found);
static void
ngx_http_osb_redis_retry_handler(ngx_event_t *ev);
static void
ngx_http_osb_redis_write_handler(ngx_event_t *wev);
static void
ngx_http_osb_redis_read_handler(ngx_event_t *rev);
static ngx_int_t
ngx_http_osb_redis_connected(ngx_connection_t *c);
static void
ngx_http_osb_redis_send(ngx_http_osb_redis_t *redis);
static ngx_int_t
ngx_http_osb_redis_flush(ngx_http_osb_redis_t *redis);
static void
ngx_http_osb_redis_expect(ngx_http_osb_redis_t *redis);
static ngx_int_t
ngx_http_osb_redis_parse(ngx_http_osb_redis_t *redis, u_char *p, u_char *last);
static ngx_int_t
ngx_http_osb_redis_answer(ngx_http_osb_redis_t *redis);
static void
ngx_http_osb_redis_shift(ngx_http_osb_redis_t *redis);
static void
ngx_http_osb_redis_fail(ngx_http_osb_redis_t *redis, const char *what,
                        ngx_err_t err);
static void
ngx_http_osb_redis_close(ngx_http_osb_redis_t *redis);


static ngx_http_osb_redis_t *ngx_http_osb_redis;


ngx_int_t
ngx_http_osb_redis_init(ngx_http_osb_renew_conf_t *conf, ngx_cycle_t *cycle)
{
    ngx_http_osb_redis_t *redis;

    redis = ngx_pcalloc(cycle->pool, sizeof(ngx_http_osb_redis_t));
    if (redis == NULL) {
        return NGX_ERROR;
    }

    redis->conf = conf;
    redis->lookup.conf = conf;
    redis->lookup.turn = ngx_random() % 256;
    redis->lookup.handler = ngx_http_osb_redis_found;
    redis->lookup.data = redis;
    redis->backoff = NGX_HTTP_OSB_REDIS_BACKOFF;

    if (ngx_http_osb_queue_init(&redis->queue, cycle->pool) != NGX_OK) {
        return NGX_ERROR;
    }

    redis->retry.handler = ngx_http_osb_redis_retry_handler;
    redis->retry.data = redis;
    redis->retry.log = cycle->log;
    redis->retry.cancelable = 1;

    ngx_http_osb_redis = redis;

    return NGX_OK;
}


void
ngx_http_osb_redis_exit(void)
{
    if (ngx_http_osb_redis) {
        ngx_http_osb_lookup_cancel(&ngx_http_osb_redis->lookup);
        ngx_http_osb_redis_close(ngx_http_osb_redis);
    }
}


ngx_uint_t
ngx_http_osb_redis_room(size_t len)
{
    ngx_http_osb_redis_t *redis;

    redis = ngx_http_osb_redis;

    len += redis->conf->push.len + redis->conf->trim.len +
           sizeof("$65535\r\n\r\n");

    return ngx_http_osb_queue_room(&redis->queue, len);
}


void
ngx_http_osb_redis_push(ngx_str_t *intent)
{
    u_char                text[sizeof("$65535\r\n")];
    ngx_str_t             parts[5];
    ngx_http_osb_redis_t *redis;

    redis = ngx_http_osb_redis;

    parts[0] = redis->conf->push;
    parts[1].data = text;
    parts[1].len = ngx_sprintf(text, "$%uz\r\n", intent->len) - text;
    parts[2] = *intent;
    ngx_str_set(&parts[3], "\r\n");
    parts[4] = redis->conf->trim;

    ngx_http_osb_queue_push(&redis->queue, parts, 5);

    if (redis->peer.connection) {
        ngx_http_osb_redis_send(redis);

    } else if (!redis->retry.timer_set && redis->lookup.resolver == NULL) {
        ngx_http_osb_redis_connect(redis);
    }
}


static void
ngx_http_osb_redis_connect(ngx_http_osb_redis_t *redis)
{
    ngx_int_t rc;

    rc = ngx_http_osb_lookup_start(&redis->lookup);

    if (rc != NGX_AGAIN) {
        ngx_http_osb_redis_found(redis, rc);
    }
}


static void
ngx_http_osb_redis_found(void *data, ngx_int_t found)
{
    ngx_http_osb_redis_t *redis = data;

    ngx_int_t              rc;
    ngx_addr_t            *addr;
    ngx_connection_t      *c;
    ngx_peer_connection_t *pc;

    addr = &redis->lookup.addr;
    pc = &redis->peer;

    ngx_memzero(pc, sizeof(ngx_peer_connection_t));

    if (found != NGX_OK) {
        pc->name = &redis->conf->host;
        ngx_http_osb_redis_fail(redis, "cannot be resolved", 0);
        return;
    }

    pc->sockaddr = addr->sockaddr;
    pc->socklen = addr->socklen;
    pc->name = &addr->name;
    pc->get = ngx_event_get_peer;
    pc->log = ngx_cycle->log;
    pc->log_error = NGX_ERROR_ERR;

    redis->greeted = 0;
    redis->greetings = redis->conf->greetings;
    ngx_http_osb_queue_rewind(&redis->queue);
    redis->answers = 0;
    redis->refused = 0;
    redis->len = 0;

    rc = ngx_event_connect_peer(pc);

    if (rc != NGX_OK && rc != NGX_AGAIN) {
        ngx_http_osb_redis_fail(redis, "cannot be connected to", 0);
        return;
    }

    c = pc->connection;

    c->data = redis;
    c->idle = 1;
    c->log = ngx_cycle->log;
    c->read->log = c->log;
    c->write->log = c->log;
    c->read->handler = ngx_http_osb_redis_read_handler;
    c->write->handler = ngx_http_osb_redis_write_handler;

    ngx_add_timer(c->read, NGX_HTTP_OSB_REDIS_TIMEOUT);

    if (rc == NGX_OK) {
        ngx_http_osb_redis_send(redis);
    }
}


static void
ngx_http_osb_redis_retry_handler(ngx_event_t *ev)
{
    ngx_http_osb_redis_t *redis = ev->data;

    if (redis->queue.n && redis->peer.connection == NULL) {
        ngx_http_osb_redis_connect(redis);
    }
}


static void
ngx_http_osb_redis_write_handler(ngx_event_t *wev)
{
    ngx_connection_t     *c;
    ngx_http_osb_redis_t *redis;

    c = wev->data;
    redis = c->data;

    if (redis->greeted == 0 && ngx_http_osb_redis_connected(c) != NGX_OK) {
        ngx_http_osb_redis_fail(redis, "cannot be connected to",
                                ngx_socket_errno);
        return;
    }

    ngx_http_osb_redis_send(redis);
}


static ngx_int_t
ngx_http_osb_redis_connected(ngx_connection_t *c)
{
    int       err;
    socklen_t len;

    err = 0;
    len = sizeof(int);

    if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, (void *) &err, &len) == -1) {
        return NGX_ERROR;
    }

    if (err) {
        ngx_set_socket_errno(err);
        return NGX_ERROR;
    }

    return NGX_OK;
}


static void
ngx_http_osb_redis_send(ngx_http_osb_redis_t *redis)
{
    ngx_connection_t *c;

    c = redis->peer.connection;

    if (ngx_http_osb_redis_flush(redis) != NGX_OK ||
        ngx_handle_write_event(c->write, 0) != NGX_OK ||
        ngx_handle_read_event(c->read, 0) != NGX_OK)
    {
        ngx_http_osb_redis_fail(redis, "cannot be written to", 0);
        return;
    }

    ngx_http_osb_redis_expect(redis);
}


/* Writes what can be written; the intents wait for the greetings. */

static ngx_int_t
ngx_http_osb_redis_flush(ngx_http_osb_redis_t *redis)
{
    size_t            size;
    u_char           *p;
    ssize_t           n;
    ngx_connection_t *c;

    c = redis->peer.connection;

    for (;;) {
        if (!c->write->ready) {
            return NGX_OK;
        }

        if (redis->greeted < redis->conf->hello.len) {
            p = redis->conf->hello.data + redis->greeted;
            size = redis->conf->hello.len - redis->greeted;

        } else {
            size = redis->greetings
                       ? 0
                       : ngx_http_osb_queue_unsent(&redis->queue, &p);

            if (size == 0) {
                return NGX_OK;
            }
        }

        n = c->send(c, p, size);

        if (n == NGX_ERROR) {
            return NGX_ERROR;
        }

        if (n == NGX_AGAIN) {
            return NGX_OK;
        }

        if (redis->greeted < redis->conf->hello.len) {
            redis->greeted += n;

        } else {
            redis->queue.sent += n;
        }
    }
}


/* An answer may take its time, from the last one on; silence may not. */

static void
ngx_http_osb_redis_expect(ngx_http_osb_redis_t *redis)
{
    ngx_event_t *rev;

    rev = redis->peer.connection->read;

    if (redis->queue.n == 0 && redis->greetings == 0) {
        if (rev->timer_set) {
            ngx_del_timer(rev);
        }

    } else if (!rev->timer_set) {
        ngx_add_timer(rev, NGX_HTTP_OSB_REDIS_TIMEOUT);
    }
}


static void
ngx_http_osb_redis_read_handler(ngx_event_t *rev)
{
    u_char                buf[1024];
    ssize_t               n;
    ngx_connection_t     *c;
    ngx_http_osb_redis_t *redis;

    c = rev->data;
    redis = c->data;

    if (rev->timedout) {
        ngx_http_osb_redis_fail(redis, "does not answer", 0);
        return;
    }

    for (;;) {
        n = c->recv(c, buf, sizeof(buf));

        if (n == NGX_AGAIN) {
            break;
        }

        if (n == NGX_ERROR || n == 0) {

            /* Redis may close what is idle, without a word from us */

            if (redis->queue.n == 0) {
                ngx_http_osb_redis_close(redis);

            } else {
                ngx_http_osb_redis_fail(redis, "closed the connection",
                                        n ? ngx_socket_errno : 0);
            }

            return;
        }

        if (rev->timer_set) {
            ngx_del_timer(rev);
        }

        if (ngx_http_osb_redis_parse(redis, buf, buf + n) != NGX_OK) {
            ngx_http_osb_redis_fail(redis, (char *) redis->line, 0);
            return;
        }
    }

    if (redis->queue.n == 0 && (c->close || ngx_exiting)) {

        /* the worker is about to end */

        ngx_http_osb_redis_close(redis);
        return;
    }

    ngx_http_osb_redis_send(redis);
}


static ngx_int_t
ngx_http_osb_redis_parse(ngx_http_osb_redis_t *redis, u_char *p, u_char *last)
{
    for (/* void */; p < last; p++) {

        if (*p != '\n') {
            if (redis->len < NGX_HTTP_OSB_REDIS_LINE - 1) {
                redis->line[redis->len++] = *p;
            }

            continue;
        }

        if (redis->len && redis->line[redis->len - 1] == '\r') {
            redis->len--;
        }

        redis->line[redis->len] = '\0';
        redis->len = 0;

        if (ngx_http_osb_redis_answer(redis) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


/* One line; NGX_ERROR if it leaves no hope for this connection. */

static ngx_int_t
ngx_http_osb_redis_answer(ngx_http_osb_redis_t *redis)
{
    ngx_uint_t error;

    error = (redis->line[0] == '-');

    if (!error && redis->line[0] != '+' && redis->line[0] != ':') {
        ngx_cpystrn(redis->line, (u_char *) "does not speak like Redis",
                    NGX_HTTP_OSB_REDIS_LINE);
        return NGX_ERROR;
    }

    if (redis->greetings) {
        redis->greetings--;

        if (redis->greetings == 0 && !error) {
            redis->backoff = NGX_HTTP_OSB_REDIS_BACKOFF;

            if (redis->failing) {
                redis->failing = 0;
                ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0,
                              "opensandbox: Redis at %V is back",
                              redis->peer.name);
            }
        }

        return error ? NGX_ERROR : NGX_OK;
    }

    if (redis->queue.n == 0) {
        ngx_cpystrn(redis->line, (u_char *) "says more than it was asked",
                    NGX_HTTP_OSB_REDIS_LINE);
        return NGX_ERROR;
    }

    if (error && !redis->refused) {
        redis->refused = 1;

        if (!redis->failing) {
            redis->failing = 1;
            ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                          "opensandbox: Redis at %V refuses a renew intent: %s",
                          redis->peer.name, redis->line);
        }
    }

    if (++redis->answers == redis->conf->answers) {
        ngx_http_osb_redis_shift(redis);
    }

    return NGX_OK;
}


/* The first intent has had its answers. */

static void
ngx_http_osb_redis_shift(ngx_http_osb_redis_t *redis)
{
    if (redis->refused) {
        ngx_http_osb_meters()->renews[NGX_HTTP_OSB_RENEW_FAILED]++;

    } else {
        ngx_http_osb_meters()->renews[NGX_HTTP_OSB_RENEW_SENT]++;
        redis->failing = 0;
    }

    ngx_http_osb_queue_shift(&redis->queue);

    redis->answers = 0;
    redis->refused = 0;
}


/* Gives a connection up, and tries again later, at another address. */

static void
ngx_http_osb_redis_fail(ngx_http_osb_redis_t *redis, const char *what,
                        ngx_err_t err)
{
    ngx_uint_t level;

    level = redis->failing ? NGX_LOG_INFO : NGX_LOG_ERR;

    ngx_log_error(level, ngx_cycle->log, err,
                  "opensandbox: Redis at %V, for renew intents: %s",
                  redis->peer.name, what);

    redis->failing = 1;

    ngx_http_osb_redis_close(redis);

    ngx_add_timer(&redis->retry,
                  redis->backoff / 2 + ngx_random() % (redis->backoff / 2 + 1));

    redis->backoff = ngx_min(2 * redis->backoff, NGX_HTTP_OSB_REDIS_PATIENCE);
}


static void
ngx_http_osb_redis_close(ngx_http_osb_redis_t *redis)
{
    if (redis->peer.connection) {
        ngx_close_connection(redis->peer.connection);
        redis->peer.connection = NULL;
    }

    /* an intent with half of its answers has arrived */

    if (redis->answers) {
        ngx_http_osb_redis_shift(redis);
    }
}
