/* SPDX-License-Identifier: Apache-2.0 */

#ifndef _NGX_HTTP_OSB_PROXY_INNER_H_INCLUDED_
#define _NGX_HTTP_OSB_PROXY_INNER_H_INCLUDED_


#include "proxy.h"


/* proxy/ctx.c: the context of the request itself, in the location that it has
 * come to. */
ngx_http_osb_ctx_t *
ngx_http_osb_ctx_routed(ngx_http_request_t *r);

/* An empty context of the request, which is freed with the pool, or NULL. */
ngx_http_osb_ctx_t *
ngx_http_osb_ctx_attach(ngx_http_request_t *r);

/* Has the handler called once, before the context is freed. */
void
ngx_http_osb_ctx_cleanup(ngx_http_osb_ctx_t         *ctx,
                         ngx_http_osb_ctx_cleanup_pt handler);


/* proxy/peer.c: the peer address of ctx->endpoint in ctx->peer; NGX_OK or
 * NGX_ERROR. */
ngx_int_t
ngx_http_osb_peer_set(ngx_http_request_t *r, ngx_http_osb_ctx_t *ctx);

/* Makes ctx->peer the host name's next address, if it has another. */
ngx_int_t
ngx_http_osb_peer_next(ngx_http_request_t *r, ngx_http_osb_ctx_t *ctx);


/*
 * proxy/kind.c: a number for all that a connection of the request's upstream
 * means beside its peer; NGX_OK or NGX_ERROR.
 */
ngx_int_t
ngx_http_osb_kind(ngx_http_request_t *r, uint64_t *kind);


/*
 * proxy/pool.c: idle connections that an upstream keeps.  The first makes a
 * pool of the directive's parameters.
 */
#define NGX_HTTP_OSB_POOL_MAX 1000000

char *
ngx_http_osb_pool_conf(ngx_conf_t *cf, ngx_http_osb_pool_t **result);

/* NGX_DONE with an idle connection to the peer's address; NGX_OK without. */
ngx_int_t
ngx_http_osb_pool_take(ngx_http_osb_pool_t *pool, ngx_peer_connection_t *pc);

/* Takes pc->connection over, if it is fit for another request. */
void
ngx_http_osb_pool_keep(ngx_http_osb_pool_t *pool, ngx_peer_connection_t *pc,
                       ngx_http_upstream_t *u);


/*
 * proxy/session.c: TLS sessions with peers.  For the balancer: the first two
 * are what an upstream's peer calls before a handshake and after; the third
 * drops what may have made one fail.
 */
#if (NGX_HTTP_SSL)
ngx_int_t
ngx_http_osb_session_set(ngx_peer_connection_t *pc, void *data);
void
ngx_http_osb_session_save(ngx_peer_connection_t *pc, void *data);
void
ngx_http_osb_session_forget(ngx_peer_connection_t *pc);
#endif


/* proxy/interim.c: keeps 1xx answers from being taken for the answer */
void
ngx_http_osb_interim(ngx_http_request_t *r, ngx_http_osb_ctx_t *ctx);


/* proxy/relay.c: frees it, with what has not been sent */
void
ngx_http_osb_relay_stop(ngx_http_osb_relay_t *relay);


/*
 * proxy/hold.c: makes ctx->peer from ctx->endpoint, which may take time.
 * Returns NGX_OK; NGX_AGAIN, then the phases go on by themselves later;
 * NGX_DECLINED with ctx->status set; or NGX_ERROR.
 */
ngx_int_t
ngx_http_osb_hold(ngx_http_request_t *r, ngx_http_osb_ctx_t *ctx);


/*
 * proxy/sleeper.c: whether a request to this record, which is not awake, may be
 * held for that.
 */
ngx_uint_t
ngx_http_osb_sleeps(ngx_http_request_t *r, ngx_http_osb_record_t *record);

/*
 * Holds a request whose sandbox is paused, ctx->status says so, and has the
 * sandbox woken.  NGX_AGAIN, then the phases go on by themselves later, and the
 * record is to be looked at anew; or NGX_DECLINED.
 */
ngx_int_t
ngx_http_osb_sleeper_hold(ngx_http_request_t *r, ngx_http_osb_ctx_t *ctx);


/*
 * proxy/wait.c: connects pc in nginx's place, where the location waits for
 * ports to open.  To be returned by a balancer: NGX_OK if nginx is to connect,
 * NGX_AGAIN if that goes on, or NGX_ERROR.
 */
ngx_int_t
ngx_http_osb_wait(ngx_peer_connection_t *pc, ngx_http_osb_ctx_t *ctx);

/* Ends it, wherever it is. */
void
ngx_http_osb_wait_end(ngx_http_osb_ctx_t *ctx);


#endif /* _NGX_HTTP_OSB_PROXY_INNER_H_INCLUDED_ */
