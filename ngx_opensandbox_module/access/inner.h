/* SPDX-License-Identifier: Apache-2.0 */

#ifndef _NGX_HTTP_OSB_ACCESS_INNER_H_INCLUDED_
#define _NGX_HTTP_OSB_ACCESS_INNER_H_INCLUDED_


#include "access.h"
#include "proxy/proxy.h"


/* for whoever had a link, which is of no use any more */
#define NGX_HTTP_OSB_LINK_ADVICE "Ask whoever gave you this link for a new one."


/* access/signature.c: what is wrong with a signature for the route's sandbox;
 * NULL if nothing. */
const char *
ngx_http_osb_signature_verify(ngx_http_osb_main_conf_t *omcf,
                              ngx_http_osb_ctx_t *ctx, ngx_uint_t form,
                              ngx_str_t *expires, ngx_str_t *signature);

/* The key that a signature names, or NULL. */
ngx_http_osb_secret_t *
ngx_http_osb_signature_key(ngx_http_osb_main_conf_t *omcf,
                           ngx_str_t                *signature);


/* access/cookie_field.c: the header's name, and the cookie's two */
extern ngx_str_t ngx_http_osb_cookie_header;
extern ngx_str_t ngx_http_osb_cookie_names[2];

/* Cuts a pair off a Cookie header's text, with the blanks around it. */
ngx_uint_t
ngx_http_osb_cookie_field_next(ngx_str_t *text, ngx_str_t *pair);

/* Whether the pair is the cookie that admits; and its value. */
ngx_uint_t
ngx_http_osb_cookie_field_own(ngx_str_t *pair, ngx_str_t *value);


/*
 * access/cookie.c: whether a cookie admits to the route's sandbox: NULL, or
 * what is wrong, and ctx->advice with it.
 */
const char *
ngx_http_osb_cookie_admit(ngx_http_request_t *r, ngx_http_osb_ctx_t *ctx);

/* Makes ctx->cookie, where a browser has opened a signed route. */
ngx_int_t
ngx_http_osb_cookie_offer(ngx_http_request_t *r, ngx_http_osb_ctx_t *ctx);


/*
 * access/link.c: takes a link's signature into the route, and sets ctx->link.
 * NGX_OK; NGX_DECLINED if the URI is none; NGX_ERROR with ctx->reason set.
 */
ngx_int_t
ngx_http_osb_link_read(ngx_http_request_t *r, ngx_http_osb_ctx_t *ctx);


/* access/origin.c: whether a client may be a browser, or keeps cookies */
ngx_uint_t
ngx_http_osb_origin_opens(ngx_http_request_t *r);

/* Sets why a request without any credential has none, and what to do. */
void
ngx_http_osb_origin_no_credential(ngx_http_request_t *r,
                                  ngx_http_osb_ctx_t *ctx);

/* Why a page that asks may not use the cookie; NULL if it may. */
const char *
ngx_http_osb_origin_foreign(ngx_http_request_t *r, ngx_http_osb_ctx_t *ctx);


#endif /* _NGX_HTTP_OSB_ACCESS_INNER_H_INCLUDED_ */
