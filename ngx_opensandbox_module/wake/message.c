/* SPDX-License-Identifier: Apache-2.0 */

#include "wake.h"
#include "status/status.h"


/*
 * A message to the hook that wakes sandboxes: a request of its own connection,
 * of whose answer the status counts.  Nobody waits for it but its own time-out;
 * that the sandbox is awake is for its record to say.
 */


/* under way at a time, by one worker */
#define NGX_HTTP_OSB_WAKE_MESSAGES 256

#define NGX_HTTP_OSB_WAKE_CONNECT 5000 /* milliseconds */

/* "HTTP/1.1 200", and what of an answer is read at all */
#define NGX_HTTP_OSB_WAKE_LINE   12
#define NGX_HTTP_OSB_WAKE_ANSWER 65536


typedef struct {
    ngx_queue_t               queue;
    ngx_http_osb_wake_conf_t *conf;
    ngx_peer_connection_t     peer;
    u_char                   *pos; /* what is to be sent, in text */
    u_char                   *last;
    size_t                    len; /* of the answer, as far as it is read */
    u_char                    line[NGX_HTTP_OSB_WAKE_LINE];
    u_char                    text[1];
} ngx_http_osb_wake_message_t;


static ngx_http_osb_wake_message_t *
ngx_http_osb_wake_message(ngx_http_osb_wake_conf_t *conf, ngx_str_t *id,
                          ngx_uint_t port);
static void
ngx_http_osb_wake_connect(ngx_http_osb_wake_message_t *message);
static void
ngx_http_osb_wake_write_handler(ngx_event_t *wev);
static ngx_int_t
ngx_http_osb_wake_connected(ngx_connection_t *c);
static void
ngx_http_osb_wake_read_handler(ngx_event_t *rev);
static void
ngx_http_osb_wake_answered(ngx_http_osb_wake_message_t *message, ngx_err_t err);
static void
ngx_http_osb_wake_fail(ngx_http_osb_wake_message_t *message, const char *what,
                       ngx_err_t err);
static void
ngx_http_osb_wake_close(ngx_http_osb_wake_message_t *message);


static ngx_queue_t ngx_http_osb_wake_messages = {&ngx_http_osb_wake_messages,
                                                 &ngx_http_osb_wake_messages};
static ngx_uint_t  ngx_http_osb_wake_nmessages;


ngx_uint_t
ngx_http_osb_wake_room(void)
{
    return ngx_http_osb_wake_nmessages < NGX_HTTP_OSB_WAKE_MESSAGES;
}


void
ngx_http_osb_wake_send(ngx_http_osb_wake_conf_t *conf, ngx_str_t *id,
                       ngx_uint_t port)
{
    ngx_http_osb_wake_message_t *message;

    message = ngx_http_osb_wake_message(conf, id, port);

    if (message == NULL) {
        ngx_http_osb_meters()->wakes[NGX_HTTP_OSB_WAKE_FAILED]++;
        return;
    }

    ngx_queue_insert_tail(&ngx_http_osb_wake_messages, &message->queue);
    ngx_http_osb_wake_nmessages++;

    ngx_http_osb_wake_connect(message);
}


void
ngx_http_osb_wake_exit(void)
{
    ngx_queue_t *q;

    while (!ngx_queue_empty(&ngx_http_osb_wake_messages)) {
        q = ngx_queue_head(&ngx_http_osb_wake_messages);
        ngx_http_osb_wake_close(
            ngx_queue_data(q, ngx_http_osb_wake_message_t, queue));
    }
}


/* The whole request; an id needs no escapes in JSON. */

static ngx_http_osb_wake_message_t *
ngx_http_osb_wake_message(ngx_http_osb_wake_conf_t *conf, ngx_str_t *id,
                          ngx_uint_t port)
{
    size_t                       size;
    u_char                      *p, *end, time[NGX_HTTP_OSB_TIME_LEN];
    ngx_http_osb_wake_message_t *message;

    static const char format[] = "{\"sandbox_id\":\"%V\",\"port\":%ui,"
                                 "\"observed_at\":\"%*s\"}";

    size = sizeof(format) + id->len + NGX_INT_T_LEN + NGX_HTTP_OSB_TIME_LEN;

    message = ngx_alloc(sizeof(ngx_http_osb_wake_message_t) + conf->head.len +
                            NGX_SIZE_T_LEN + sizeof("\r\n\r\n") + size,
                        ngx_cycle->log);
    if (message == NULL) {
        return NULL;
    }

    message->conf = conf;
    message->len = 0;
    message->pos = message->text;

    end = ngx_http_osb_time_print(time, ngx_time());

    /* first behind its place, for its length */

    p = ngx_cpymem(message->text, conf->head.data, conf->head.len);
    message->last = p + NGX_SIZE_T_LEN + sizeof("\r\n\r\n");

    size = (size_t) (ngx_sprintf(message->last, format, id, port,
                                 (size_t) (end - time), time) -
                     message->last);

    p = ngx_sprintf(p, "%uz\r\n\r\n", size);
    message->last = ngx_movemem(p, message->last, size);

    return message;
}


static void
ngx_http_osb_wake_connect(ngx_http_osb_wake_message_t *message)
{
    ngx_int_t                 rc;
    ngx_log_t                 quiet;
    ngx_addr_t               *addr;
    ngx_connection_t         *c;
    ngx_peer_connection_t    *pc;
    ngx_http_osb_wake_conf_t *conf;

    conf = message->conf;
    addr = &conf->addrs[conf->turn++ % conf->naddrs];

    /* it is for fail() to say, and once */

    quiet = *ngx_cycle->log;
    quiet.log_level = NGX_LOG_EMERG;

    pc = &message->peer;
    ngx_memzero(pc, sizeof(ngx_peer_connection_t));

    pc->sockaddr = addr->sockaddr;
    pc->socklen = addr->socklen;
    pc->name = &addr->name;
    pc->get = ngx_event_get_peer;
    pc->log = &quiet;
    pc->log_error = NGX_ERROR_INFO;

    ngx_set_errno(0);

    rc = ngx_event_connect_peer(pc);

    pc->log = ngx_cycle->log;

    if (rc != NGX_OK && rc != NGX_AGAIN) {
        pc->connection = NULL;
        ngx_http_osb_wake_fail(message, "cannot be connected to", ngx_errno);
        return;
    }

    c = pc->connection;

    c->data = message;
    c->log = ngx_cycle->log;
    c->read->log = c->log;
    c->write->log = c->log;
    c->read->handler = ngx_http_osb_wake_read_handler;
    c->write->handler = ngx_http_osb_wake_write_handler;

    /* a worker that is to end need not wait for an answer */

    c->read->cancelable = 1;

    ngx_add_timer(c->write, NGX_HTTP_OSB_WAKE_CONNECT);

    if (rc == NGX_OK) {
        ngx_post_event(c->write, &ngx_posted_events);
    }
}


static void
ngx_http_osb_wake_write_handler(ngx_event_t *wev)
{
    ssize_t                      n;
    ngx_connection_t            *c;
    ngx_http_osb_wake_message_t *message;

    c = wev->data;
    message = c->data;

    if (wev->timedout) {
        ngx_http_osb_wake_fail(message, "cannot be connected to",
                               NGX_ETIMEDOUT);
        return;
    }

    if (message->pos == message->last) {
        return;
    }

    if (message->pos == message->text &&
        ngx_http_osb_wake_connected(c) != NGX_OK) {
        ngx_http_osb_wake_fail(message, "cannot be connected to",
                               ngx_socket_errno);
        return;
    }

    n = c->send(c, message->pos, (size_t) (message->last - message->pos));

    if (n == NGX_ERROR) {
        ngx_http_osb_wake_fail(message, "cannot be written to",
                               ngx_socket_errno);
        return;
    }

    if (n > 0) {
        message->pos += n;
    }

    if (message->pos == message->last) {
        ngx_del_timer(wev);
        ngx_add_timer(c->read, message->conf->timeout);
    }

    if (ngx_handle_write_event(wev, 0) != NGX_OK ||
        ngx_handle_read_event(c->read, 0) != NGX_OK)
    {
        ngx_http_osb_wake_fail(message, "cannot be written to", 0);
    }
}


static ngx_int_t
ngx_http_osb_wake_connected(ngx_connection_t *c)
{
    int       err;
    socklen_t len;

    err = 0;
    len = sizeof(int);

    if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, (void *) &err, &len) == -1) {
        return NGX_ERROR;
    }

    ngx_set_socket_errno(err);

    return err ? NGX_ERROR : NGX_OK;
}


/* Reads to the end, so that the hook finds its answer taken. */

static void
ngx_http_osb_wake_read_handler(ngx_event_t *rev)
{
    u_char                       buf[1024];
    size_t                       size;
    ssize_t                      n;
    ngx_connection_t            *c;
    ngx_http_osb_wake_message_t *message;

    c = rev->data;
    message = c->data;

    if (rev->timedout) {
        ngx_http_osb_wake_answered(message, NGX_ETIMEDOUT);
        return;
    }

    for (;;) {
        n = c->recv(c, buf, sizeof(buf));

        if (n == NGX_AGAIN) {
            break;
        }

        if (n == NGX_ERROR || n == 0 ||
            message->len + (size_t) n > NGX_HTTP_OSB_WAKE_ANSWER)
        {
            ngx_http_osb_wake_answered(message,
                                       n == NGX_ERROR ? ngx_socket_errno : 0);
            return;
        }

        if (message->len < NGX_HTTP_OSB_WAKE_LINE) {
            size = ngx_min((size_t) n, NGX_HTTP_OSB_WAKE_LINE - message->len);
            ngx_memcpy(message->line + message->len, buf, size);
        }

        message->len += (size_t) n;
    }

    if (ngx_handle_read_event(rev, 0) != NGX_OK) {
        ngx_http_osb_wake_answered(message, 0);
    }
}


/* There is no more of an answer than this. */

static void
ngx_http_osb_wake_answered(ngx_http_osb_wake_message_t *message, ngx_err_t err)
{
    u_char *line;

    line = message->line;

    if (message->len < NGX_HTTP_OSB_WAKE_LINE) {
        ngx_http_osb_wake_fail(message,
                               message->pos == message->text
                                   ? "cannot be connected to"
                                   : "does not answer",
                               err);
        return;
    }

    if (ngx_strncmp(line, "HTTP/1.", 7) != 0 || line[8] != ' ') {
        ngx_http_osb_wake_fail(message, "does not answer in HTTP", 0);
        return;
    }

    if (line[9] != '2') {
        ngx_http_osb_wake_fail(message, "answers with an error", 0);
        return;
    }

    ngx_http_osb_meters()->wakes[NGX_HTTP_OSB_WAKE_SENT]++;

    if (message->conf->failing) {
        message->conf->failing = 0;
        ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0,
                      "opensandbox_wake \"%V\" is back", &message->conf->url);
    }

    ngx_http_osb_wake_close(message);
}


static void
ngx_http_osb_wake_fail(ngx_http_osb_wake_message_t *message, const char *what,
                       ngx_err_t err)
{
    ngx_uint_t                level;
    ngx_http_osb_wake_conf_t *conf;

    conf = message->conf;
    level = conf->failing ? NGX_LOG_INFO : NGX_LOG_ERR;

    if (message->len >= NGX_HTTP_OSB_WAKE_LINE) {
        ngx_log_error(level, ngx_cycle->log, err,
                      "opensandbox_wake \"%V\" %s: %*s", &conf->url, what,
                      (size_t) NGX_HTTP_OSB_WAKE_LINE, message->line);

    } else {
        ngx_log_error(level, ngx_cycle->log, err, "opensandbox_wake \"%V\" %s",
                      &conf->url, what);
    }

    conf->failing = 1;
    ngx_http_osb_meters()->wakes[NGX_HTTP_OSB_WAKE_FAILED]++;

    ngx_http_osb_wake_close(message);
}


static void
ngx_http_osb_wake_close(ngx_http_osb_wake_message_t *message)
{
    if (message->peer.connection) {
        ngx_close_connection(message->peer.connection);
    }

    ngx_queue_remove(&message->queue);
    ngx_http_osb_wake_nmessages--;

    ngx_free(message);
}
