/* SPDX-License-Identifier: Apache-2.0 */

#include "inner.h"
#include <openssl/evp.h>
#include <openssl/rand.h>


/*
 * The kind of a connection: all that it means beside where it leads to.  Two
 * requests may use one connection only if they agree in it:
 *
 *     protocol    proxy_pass of HTTP/1 and of HTTP/2, grpc_pass, fastcgi_pass
 *     proxy_bind  the local address, transparent or not
 *     proxy_socket_keepalive
 *     TLS         the location's settings, the name, the certificate
 *
 * A kind is a number that is mixed into the generation of the peer's address
 * (see proxy/balancer.c), so that every pool of connections and TLS sessions
 * tells kinds apart.  It is exact where nothing but the protocol counts:
 *
 *     0 nnnnnn k 0...0    protocol and proxy_socket_keepalive
 *
 * and else a digest under a secret of the process, so that no client or sandbox
 * can find two that are alike:
 *
 *     1 63 bits of SHA-256
 */


#define NGX_HTTP_OSB_KIND_DIGEST    ((uint64_t) 1 << 63)
#define NGX_HTTP_OSB_KIND_PROTOCOL  57
#define NGX_HTTP_OSB_KIND_KEEPALIVE ((uint64_t) 1 << 56)

#define NGX_HTTP_OSB_PROTOCOLS 63


typedef ngx_int_t (*ngx_http_osb_protocol_t)(ngx_http_request_t *r);


static ngx_uint_t
ngx_http_osb_protocol(ngx_http_upstream_t *u);
static ngx_int_t
ngx_http_osb_kind_digest(ngx_http_request_t *r, ngx_http_upstream_t *u,
                         uint64_t *kind);
static ngx_int_t
ngx_http_osb_kind_add(EVP_MD_CTX *md, const void *data, size_t len);
#if (NGX_HTTP_SSL)
static ngx_int_t
ngx_http_osb_kind_tls(ngx_http_request_t *r, ngx_http_upstream_t *u,
                      EVP_MD_CTX *md);
#endif


/* a protocol is known by the function that makes its requests */
static ngx_http_osb_protocol_t ngx_http_osb_protocols[NGX_HTTP_OSB_PROTOCOLS];
static ngx_uint_t              ngx_http_osb_nprotocols;


ngx_int_t
ngx_http_osb_kind(ngx_http_request_t *r, uint64_t *kind)
{
    ngx_uint_t           protocol;
    ngx_http_upstream_t *u;

    u = r->upstream;

    protocol = ngx_http_osb_protocol(u);

    if (u->peer.local || u->ssl || protocol == NGX_HTTP_OSB_PROTOCOLS) {
        return ngx_http_osb_kind_digest(r, u, kind);
    }

    *kind = (uint64_t) protocol << NGX_HTTP_OSB_KIND_PROTOCOL;

    if (u->peer.so_keepalive) {
        *kind |= NGX_HTTP_OSB_KIND_KEEPALIVE;
    }

    return NGX_OK;
}


/* A protocol's number in this process; all that are too many have the last. */

static ngx_uint_t
ngx_http_osb_protocol(ngx_http_upstream_t *u)
{
    ngx_uint_t i;

    for (i = 0; i < ngx_http_osb_nprotocols; i++) {
        if (ngx_http_osb_protocols[i] == u->create_request) {
            return i;
        }
    }

    if (i < NGX_HTTP_OSB_PROTOCOLS) {
        ngx_http_osb_protocols[i] = u->create_request;
        ngx_http_osb_nprotocols++;
    }

    return i;
}


static ngx_int_t
ngx_http_osb_kind_digest(ngx_http_request_t *r, ngx_http_upstream_t *u,
                         uint64_t *kind)
{
    u_char      hash[EVP_MAX_MD_SIZE], flags[3];
    ngx_int_t   rc;
    EVP_MD_CTX *md;

    static u_char     secret[32];
    static ngx_uint_t secret_made;

    if (!secret_made && RAND_bytes(secret, sizeof(secret)) != 1) {
        return NGX_ERROR;
    }

    secret_made = 1;

    md = EVP_MD_CTX_new();
    if (md == NULL) {
        return NGX_ERROR;
    }

    flags[0] = u->ssl;
    flags[1] = u->peer.so_keepalive;
    flags[2] = u->peer.transparent;

    rc = NGX_ERROR;

    if (EVP_DigestInit_ex(md, EVP_sha256(), NULL) == 1 &&
        EVP_DigestUpdate(md, secret, sizeof(secret)) == 1 &&
        ngx_http_osb_kind_add(md, &u->create_request,
                              sizeof(u->create_request)) == NGX_OK &&
        ngx_http_osb_kind_add(md, flags, sizeof(flags)) == NGX_OK &&
        ngx_http_osb_kind_add(
            md, u->peer.local ? (void *) u->peer.local->sockaddr : NULL,
            u->peer.local ? u->peer.local->socklen : 0) == NGX_OK &&
#if (NGX_HTTP_SSL)
        (!u->ssl || ngx_http_osb_kind_tls(r, u, md) == NGX_OK) &&
#endif
        EVP_DigestFinal_ex(md, hash, NULL) == 1)
    {
        ngx_memcpy(kind, hash, sizeof(uint64_t));
        *kind |= NGX_HTTP_OSB_KIND_DIGEST;
        rc = NGX_OK;
    }

    EVP_MD_CTX_free(md);

    return rc;
}


/* One part, its length before it, so that parts cannot run into each other. */

static ngx_int_t
ngx_http_osb_kind_add(EVP_MD_CTX *md, const void *data, size_t len)
{
    if (EVP_DigestUpdate(md, &len, sizeof(len)) != 1 ||
        (len && EVP_DigestUpdate(md, data, len) != 1))
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}


#if (NGX_HTTP_SSL)

/*
 * What the location says once, by its configuration's address, and what may
 * hold variables.
 */

static ngx_int_t
ngx_http_osb_kind_tls(ngx_http_request_t *r, ngx_http_upstream_t *u,
                      EVP_MD_CTX *md)
{
    ngx_str_t                 text;
    ngx_uint_t                i;
    ngx_http_complex_value_t *values[3];

    if (ngx_http_osb_kind_add(md, &u->conf, sizeof(u->conf)) != NGX_OK ||
        ngx_http_osb_kind_add(md, u->ssl_name.data, u->ssl_name.len) != NGX_OK)
    {
        return NGX_ERROR;
    }

    values[0] = u->conf->ssl_name;
    values[1] = u->conf->ssl_certificate;
    values[2] = u->conf->ssl_certificate_key;

    for (i = 0; i < 3; i++) {

        ngx_str_null(&text);

        if (values[i] && ngx_http_complex_value(r, values[i], &text) != NGX_OK)
        {
            return NGX_ERROR;
        }

        if (ngx_http_osb_kind_add(md, text.data, text.len) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}

#endif
