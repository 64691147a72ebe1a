/* SPDX-License-Identifier: Apache-2.0 */

#include "inner.h"


/*
 * A pool of idle connections, ours or the stock one, finds them by their whole
 * socket address.  Every address here ends in the generation of its record, in
 * bytes that connect(2) does not look at, so that a connection is never handed
 * to a later sandbox at the same address: in sin_zero, behind sockaddr_in6, or
 * behind the NUL of a socket's path.  The connection's kind (see proxy/kind.c)
 * is mixed into it, or a connection would be shared with a location that speaks
 * another protocol, or checks certificates.
 */


static ngx_int_t
ngx_http_osb_peer_address(ngx_http_osb_ctx_t *ctx, ngx_str_t *text,
                          ngx_uint_t port);


ngx_int_t
ngx_http_osb_peer_set(ngx_http_request_t *r, ngx_http_osb_ctx_t *ctx)
{
    u_char                  *p;
    ngx_str_t                text;
    ngx_uint_t               port;
    ngx_http_osb_endpoint_t *endpoint;

    endpoint = ctx->endpoint;
    port = endpoint->port ? endpoint->port : ctx->route.port;

    text = ngx_http_osb_text(ctx->record, &endpoint->text);

    if (ctx->resolved) {
        text.data = ctx->resolved[ctx->current].addr;
        text.len = NGX_HTTP_OSB_ADDR_LEN;
    }

    if (endpoint->kind == NGX_HTTP_OSB_ENDPOINT_INET && ctx->resolved == NULL) {
        p = ctx->name;

    } else {
        p = ngx_pnalloc(r->pool, text.len + 64);
        if (p == NULL) {
            return NGX_ERROR;
        }
    }

    ctx->peer.name.data = p;
    ctx->peer.name.len =
        ngx_http_osb_endpoint_print(p, endpoint, &text, port) - p;

    return ngx_http_osb_peer_address(ctx, &text, port);
}


/* The socket address, with the generation behind it. */

static ngx_int_t
ngx_http_osb_peer_address(ngx_http_osb_ctx_t *ctx, ngx_str_t *text,
                          ngx_uint_t port)
{
    uint64_t                 generation;
    ngx_http_osb_sockaddr_t *address;

    generation = ctx->record->generation ^ ctx->kind;
    address = &ctx->address;

    switch (ctx->endpoint->kind) {

    case NGX_HTTP_OSB_ENDPOINT_INET:
        address->in.sin_family = AF_INET;
        address->in.sin_port = htons((in_port_t) port);
        ngx_memcpy(&address->in.sin_addr, text->data, sizeof(struct in_addr));
        ngx_memcpy(address->in.sin_zero, &generation, sizeof(uint64_t));

        ctx->peer.socklen = sizeof(struct sockaddr_in);
        break;

    case NGX_HTTP_OSB_ENDPOINT_INET6:
        ngx_memzero(&address->in6, sizeof(address->in6));
        address->in6.sockaddr.sin6_family = AF_INET6;
        address->in6.sockaddr.sin6_port = htons((in_port_t) port);
        ngx_memcpy(&address->in6.sockaddr.sin6_addr, text->data,
                   sizeof(struct in6_addr));
        address->in6.generation = generation;

        ctx->peer.socklen = sizeof(address->in6);
        break;

    case NGX_HTTP_OSB_ENDPOINT_UNIX:
        address->un.sun_family = AF_UNIX;
        ngx_memcpy(address->un.sun_path, text->data, text->len);
        address->un.sun_path[text->len] = '\0';
        ngx_memcpy(address->un.sun_path + text->len + 1, &generation,
                   sizeof(uint64_t));

        ctx->peer.socklen = offsetof(struct sockaddr_un, sun_path) + text->len +
                            1 + sizeof(uint64_t);
        break;

    default: /* NGX_HTTP_OSB_ENDPOINT_NAME: resolved before */
        return ctx->peer.sockaddr ? NGX_OK : NGX_ERROR;
    }

    ctx->peer.sockaddr = &address->sockaddr;

    return NGX_OK;
}


ngx_int_t
ngx_http_osb_peer_next(ngx_http_request_t *r, ngx_http_osb_ctx_t *ctx)
{
    if (ctx->nresolved < 2) {
        return NGX_DECLINED;
    }

    ctx->current = (ctx->current + 1) % ctx->nresolved;
    ctx->endpoint = &ctx->resolved[ctx->current].endpoint;

    return ngx_http_osb_peer_set(r, ctx);
}
