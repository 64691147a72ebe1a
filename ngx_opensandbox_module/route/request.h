/* SPDX-License-Identifier: Apache-2.0 */

#ifndef _NGX_HTTP_OSB_ROUTE_REQUEST_H_INCLUDED_
#define _NGX_HTTP_OSB_ROUTE_REQUEST_H_INCLUDED_


#include "conf.h"
#include "route/route.h"


#define NGX_HTTP_OSB_MODE_URI    0x0001
#define NGX_HTTP_OSB_MODE_HEADER 0x0002
#define NGX_HTTP_OSB_MODE_HOST   0x0004
#define NGX_HTTP_OSB_MODE_ANY    0x0007


/* route/request.c: the route of a request, in ctx->route or ctx->reason */
void
ngx_http_osb_request_route(ngx_http_request_t *r, ngx_http_osb_loc_conf_t *olcf,
                           ngx_http_osb_ctx_t *ctx);

/* Whether a field has that lower case name. */
static ngx_inline ngx_uint_t
ngx_http_osb_header_is(ngx_table_elt_t *h, ngx_str_t *name)
{
    return h->key.len == name->len &&
           ngx_memcmp(h->lowcase_key, name->data, name->len) == 0;
}

/*
 * The next header of a list (of ngx_table_elt_t), NULL behind the last.  Starts
 * at the list's first part with *i = 0; both then belong to the walk.
 */
ngx_table_elt_t *
ngx_http_osb_header_next(ngx_list_part_t **part, ngx_uint_t *i);

/* The next request header of that lower case name, in such a walk. */
ngx_table_elt_t *
ngx_http_osb_header_named(ngx_list_part_t **part, ngx_uint_t *i,
                          ngx_str_t *name);

/*
 * The first request header of that lower case name, or NULL; *n is how many
 * there are.
 */
ngx_table_elt_t *
ngx_http_osb_header_find(ngx_http_request_t *r, ngx_str_t *name, ngx_uint_t *n);

/* The URI as the client sent it, or as a rewrite made it; encoded. */
ngx_int_t
ngx_http_osb_uri_get(ngx_http_request_t *r, ngx_str_t *uri);

/* Sets ctx->rest; a rest without a path has the root's.  NGX_OK or NGX_ERROR.
 */
ngx_int_t
ngx_http_osb_uri_rest(ngx_http_request_t *r, ngx_http_osb_ctx_t *ctx,
                      ngx_str_t *rest);

/*
 * Makes the route's prefix, without a signature, a part of the rest, where
 * location or record say so; NGX_OK or NGX_ERROR.
 */
ngx_int_t
ngx_http_osb_uri_keep_prefix(ngx_http_request_t *r, ngx_http_osb_ctx_t *ctx);

/* Makes what looked like a signature, and is one, part of the prefix. */
ngx_int_t
ngx_http_osb_uri_signed(ngx_http_request_t *r, ngx_http_osb_ctx_t *ctx);


/* route/forwarded.c: how the client reaches the gateway, maybe through a proxy
 */
char *
ngx_http_osb_trust_forwarded(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);

/* Whether the peer is a proxy whose X-Forwarded headers count. */
ngx_uint_t
ngx_http_osb_forwarded(ngx_http_request_t *r);

/* Whether the client uses TLS. */
ngx_uint_t
ngx_http_osb_client_https(ngx_http_request_t *r);

/* The authority that the client asked for, with its port if it named one. */
ngx_str_t
ngx_http_osb_client_host(ngx_http_request_t *r);

/* That port, or the standard one of the client's scheme. */
ngx_str_t
ngx_http_osb_client_port(ngx_http_request_t *r);


/* A mode's value by its name; 0 of another name. */
ngx_uint_t
ngx_http_osb_mode_bits(ngx_str_t *name);

/* "uri", "header", "host", or nothing. */
const char *
ngx_http_osb_mode_text(ngx_uint_t mode);

/* Adds a response header; the value must live as long as the request. */
ngx_int_t
ngx_http_osb_header_add(ngx_http_request_t *r, const char *name,
                        ngx_str_t *value);

/*
 * Makes the route that the asking page tells.  NGX_OK; NGX_DECLINED, maybe with
 * ctx->reason set; or NGX_ERROR.
 */
ngx_int_t
ngx_http_osb_follow(ngx_http_request_t *r, ngx_http_osb_loc_conf_t *olcf,
                    ngx_http_osb_ctx_t *ctx);

/* Makes ctx->page, where a browser opens a page; NGX_OK or NGX_ERROR. */
ngx_int_t
ngx_http_osb_follow_offer(ngx_http_request_t *r, ngx_http_osb_ctx_t *ctx);


#endif /* _NGX_HTTP_OSB_ROUTE_REQUEST_H_INCLUDED_ */
