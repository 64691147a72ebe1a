/* SPDX-License-Identifier: Apache-2.0 */

#ifndef _NGX_HTTP_OSB_ACCESS_ACCESS_H_INCLUDED_
#define _NGX_HTTP_OSB_ACCESS_ACCESS_H_INCLUDED_


#include "answer/answer.h"


/* the forms of a signature, no two of which can stand for each other */
#define NGX_HTTP_OSB_SHORT  0
#define NGX_HTTP_OSB_LONG   1
#define NGX_HTTP_OSB_COOKIE 2

/* opensandbox_access_cookie */
#define NGX_HTTP_OSB_COOKIE_OFF    0
#define NGX_HTTP_OSB_COOKIE_LAX    1
#define NGX_HTTP_OSB_COOKIE_STRICT 2
#define NGX_HTTP_OSB_COOKIE_NONE   3


/* what the name of a cookie that tells a page's sandbox begins with */
#define NGX_HTTP_OSB_PAGE_COOKIE "opensandbox-page-"


/* a key of opensandbox_access_keys */
typedef struct {
    u_char    id;
    ngx_str_t secret;
} ngx_http_osb_secret_t;


/* access/access.c: who may enter, given the route and ctx->record */
ngx_http_osb_status_e
ngx_http_osb_access(ngx_http_request_t *r, ngx_http_osb_ctx_t *ctx);


/*
 * access/signature.c: writes a signature, 9 bytes in the short form, or 27.
 * The expiry is in base 36.  Returns the end, NULL without memory.
 */
u_char *
ngx_http_osb_signature_make(u_char *buf, ngx_http_osb_secret_t *key,
                            ngx_uint_t form, ngx_str_t *id, ngx_uint_t port,
                            ngx_str_t *expires);

/* Whether two strings are equal, in a time that does not depend on where. */
ngx_uint_t
ngx_http_osb_signature_equal(ngx_str_t *one, ngx_str_t *two);

char *
ngx_http_osb_signature_keys(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);


/* access/cookie_field.c: takes the cookie out of a request, before the sandbox
 * sees it. */
ngx_int_t
ngx_http_osb_cookie_field_cut(ngx_http_request_t *r);

/* How many cookies tell a page's sandbox, and the "{id}-{port}" of one. */
ngx_uint_t
ngx_http_osb_cookie_field_page(ngx_http_request_t *r, ngx_str_t *name);

/* Drops what a sandbox's answer does to the cookie. */
void
ngx_http_osb_cookie_field_guard(ngx_http_request_t *r);


/* access/cookie.c: what a signed route leaves in a browser */
char *
ngx_http_osb_cookie_conf(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);


/* access/link.c: answers a link that was verified */
ngx_int_t
ngx_http_osb_link_follow(ngx_http_request_t *r, ngx_http_osb_ctx_t *ctx);

/*
 * Sends a browser that opens "{prefix}" to "{prefix}/", where the page's own
 * relative links lead to the sandbox; and where the prefix is kept, from a
 * signed address to the program's own, to which the cookie admits; and from a
 * path outside of the prefix to the one below it.
 * NGX_DECLINED if there is no need.
 */
ngx_int_t
ngx_http_osb_link_open(ngx_http_request_t *r, ngx_http_osb_ctx_t *ctx);


/* access/cors.c: pages of the origins that opensandbox_cors names */
char *
ngx_http_osb_cors(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);

/*
 * Answers a preflight of such a page.  NGX_DECLINED for any other request; else
 * what ngx_http_finalize_request() takes.
 */
ngx_int_t
ngx_http_osb_cors_preflight(ngx_http_request_t *r);

/* Lets such a page read an error of the gateway's; NGX_OK or NGX_ERROR. */
ngx_int_t
ngx_http_osb_cors_error(ngx_http_request_t *r);


/* access/origin.c: whether a browser opens a page, rather than asks for a part
 * of one. */
ngx_uint_t
ngx_http_osb_origin_navigation(ngx_http_request_t *r);

/* Whether a page of another origin asks, as far as its browser tells. */
ngx_uint_t
ngx_http_osb_origin_other(ngx_http_request_t *r);

/*
 * The route of a page in "uri" mode by its URL, whichever location of the
 * request's server serves it; NGX_DECLINED if it is no such page, or is not of
 * the host that the client asked for.
 */
ngx_int_t
ngx_http_osb_origin_page(ngx_http_request_t *r, ngx_str_t *url,
                         ngx_http_osb_route_t *route);


#endif /* _NGX_HTTP_OSB_ACCESS_ACCESS_H_INCLUDED_ */
