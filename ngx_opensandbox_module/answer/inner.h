/* SPDX-License-Identifier: Apache-2.0 */

#ifndef _NGX_HTTP_OSB_ANSWER_INNER_H_INCLUDED_
#define _NGX_HTTP_OSB_ANSWER_INNER_H_INCLUDED_


#include "answer.h"
#include "proxy/proxy.h"


/* a row of the table of outcomes */
typedef struct {
    ngx_str_t  name;
    ngx_uint_t status;

    /* one line of text: %V the sandbox, %ui the port, in that order */
    const char *message;

    /* of the page, and what can be done about it by who has come by a link,
     * and by who runs the sandbox */
    const char *title;
    const char *visitor;
    const char *owner;
    ngx_uint_t  retry;
} ngx_http_osb_answer_t;


/* answer/outcome.c: the row of that status */
ngx_http_osb_answer_t *
ngx_http_osb_outcome_answer(ngx_http_osb_status_e status);

/* answer/reply.c: makes the answer the gateway's own, by ctx->status; NGX_OK or
 * NGX_ERROR. */
ngx_int_t
ngx_http_osb_reply(ngx_http_request_t *r, ngx_http_osb_ctx_t *ctx);


/*
 * answer/page.c: the page that says the message, of text without markup; NULL
 * without memory.
 */
ngx_chain_t *
ngx_http_osb_page(ngx_http_request_t *r, ngx_http_osb_ctx_t *ctx,
                  u_char *message, ngx_str_t *request_id);

/* The headers that go with it; NGX_OK or NGX_ERROR. */
ngx_int_t
ngx_http_osb_page_headers(ngx_http_request_t *r);


/* answer/phases.c: notes that a variable is read that depends on the request's
 * route. */
void
ngx_http_osb_phases_read(void);

/* answer/variables.c: the Host header for the sandbox; NGX_OK or NGX_ERROR. */
ngx_int_t
ngx_http_osb_variables_host(ngx_http_request_t *r, ngx_http_osb_ctx_t *ctx,
                            ngx_str_t *host);

/* answer/rewrite.c: brings what a sandbox answers under the URI's prefix */
ngx_int_t
ngx_http_osb_rewrite(ngx_http_request_t *r, ngx_http_osb_ctx_t *ctx);


#endif /* _NGX_HTTP_OSB_ANSWER_INNER_H_INCLUDED_ */
