/* SPDX-License-Identifier: Apache-2.0 */

#include "inner.h"


/*
 * TLS sessions with sandboxes, each worker's own, for proxy_ssl_session_reuse:
 * a further connection then needs no new key exchange and no certificate.
 *
 * A session belongs to a peer's address, the record's generation and the
 * connection's kind included (see proxy/balancer.c, proxy/kind.c): so it is
 * never offered to a successor, nor under another name or in another location.
 * They are kept as DER, which says their size, and the one used longest ago
 * yields: at most 512 of 4 KB, 2 MB a worker.
 */


#if (NGX_HTTP_SSL)

#define NGX_HTTP_OSB_SESSIONS     512 /* a power of two */
#define NGX_HTTP_OSB_SESSION_SIZE 4096


typedef struct ngx_http_osb_session_s ngx_http_osb_session_t;

struct ngx_http_osb_session_s {
    ngx_queue_t              queue; /* the latest first */
    ngx_http_osb_session_t  *next;  /* of the same bucket */
    ngx_http_osb_session_t **link;  /* what points to this one there */

    socklen_t      socklen;
    ngx_sockaddr_t sockaddr;

    size_t len;
    u_char der[1];
};


static ngx_http_osb_session_t **
ngx_http_osb_session_find(ngx_peer_connection_t *pc);
static void
ngx_http_osb_session_free(ngx_http_osb_session_t *s);


static ngx_http_osb_session_t *ngx_http_osb_sessions[NGX_HTTP_OSB_SESSIONS];

static ngx_uint_t  ngx_http_osb_nsessions;
static ngx_queue_t ngx_http_osb_session_queue = {&ngx_http_osb_session_queue,
                                                 &ngx_http_osb_session_queue};


ngx_int_t
ngx_http_osb_session_set(ngx_peer_connection_t *pc, void *data)
{
    ngx_int_t               rc;
    ngx_ssl_session_t      *session;
    const unsigned char    *p;
    ngx_http_osb_session_t *s;

    s = *ngx_http_osb_session_find(pc);

    if (s == NULL) {
        return NGX_OK;
    }

    p = s->der;
    session = d2i_SSL_SESSION(NULL, &p, (long) s->len);

    if (session == NULL) {
        ngx_http_osb_session_free(s);
        return NGX_OK;
    }

    rc = ngx_ssl_set_session(pc->connection, session);

    ngx_ssl_free_session(session);

    ngx_queue_remove(&s->queue);
    ngx_queue_insert_head(&ngx_http_osb_session_queue, &s->queue);

    return rc;
}


void
ngx_http_osb_session_save(ngx_peer_connection_t *pc, void *data)
{
    int                     len;
    u_char                 *p;
    ngx_queue_t            *q;
    ngx_ssl_session_t      *session;
    ngx_http_osb_session_t *s, **link;

    session = ngx_ssl_get0_session(pc->connection);

    if (session == NULL) {
        return;
    }

    len = i2d_SSL_SESSION(session, NULL);

    if (len <= 0 || len > NGX_HTTP_OSB_SESSION_SIZE) {
        return;
    }

    ngx_http_osb_session_forget(pc);

    if (ngx_http_osb_nsessions == NGX_HTTP_OSB_SESSIONS) {
        q = ngx_queue_last(&ngx_http_osb_session_queue);
        ngx_http_osb_session_free(
            ngx_queue_data(q, ngx_http_osb_session_t, queue));
    }

    s = ngx_alloc(offsetof(ngx_http_osb_session_t, der) + (size_t) len,
                  pc->log);
    if (s == NULL) {
        return;
    }

    p = s->der;
    s->len = (size_t) i2d_SSL_SESSION(session, &p);

    s->socklen = pc->socklen;
    ngx_memcpy(&s->sockaddr, pc->sockaddr, pc->socklen);

    link = ngx_http_osb_session_find(pc);

    s->next = NULL;
    s->link = link;
    *link = s;

    ngx_queue_insert_head(&ngx_http_osb_session_queue, &s->queue);
    ngx_http_osb_nsessions++;
}


void
ngx_http_osb_session_forget(ngx_peer_connection_t *pc)
{
    ngx_http_osb_session_t *s;

    s = *ngx_http_osb_session_find(pc);

    if (s) {
        ngx_http_osb_session_free(s);
    }
}


/* What points to a peer's session, or to NULL at the end of its bucket. */

static ngx_http_osb_session_t **
ngx_http_osb_session_find(ngx_peer_connection_t *pc)
{
    uint32_t                 hash;
    ngx_http_osb_session_t **link;

    hash = ngx_murmur_hash2((u_char *) pc->sockaddr, pc->socklen);

    link = &ngx_http_osb_sessions[hash % NGX_HTTP_OSB_SESSIONS];

    while (*link &&
           ngx_memn2cmp((u_char *) &(*link)->sockaddr, (u_char *) pc->sockaddr,
                        (*link)->socklen, pc->socklen) != 0)
    {
        link = &(*link)->next;
    }

    return link;
}


static void
ngx_http_osb_session_free(ngx_http_osb_session_t *s)
{
    *s->link = s->next;

    if (s->next) {
        s->next->link = s->link;
    }

    ngx_queue_remove(&s->queue);
    ngx_http_osb_nsessions--;

    /* they hold keys */

    ngx_explicit_memzero(s->der, s->len);
    ngx_free(s);
}

#endif
