/* SPDX-License-Identifier: Apache-2.0 */

#ifndef _NGX_HTTP_OSB_ANSWER_ANSWER_H_INCLUDED_
#define _NGX_HTTP_OSB_ANSWER_ANSWER_H_INCLUDED_


#include "conf.h"


/* what became of a request, in the order of the table in answer/outcome.c */
typedef enum {
    NGX_HTTP_OSB_OK = 0,
    NGX_HTTP_OSB_BAD_ROUTE,
    NGX_HTTP_OSB_UNAUTHORIZED,
    NGX_HTTP_OSB_NOT_EXPOSED,
    NGX_HTTP_OSB_NOT_FOUND,
    NGX_HTTP_OSB_EXPIRED,
    NGX_HTTP_OSB_AMBIGUOUS,
    NGX_HTTP_OSB_PAUSED,
    NGX_HTTP_OSB_NOT_READY,
    NGX_HTTP_OSB_NO_KEYS,
    NGX_HTTP_OSB_UNRESOLVED,
    NGX_HTTP_OSB_REFUSED,
    NGX_HTTP_OSB_UNREACHABLE,
    NGX_HTTP_OSB_DROPPED,
    NGX_HTTP_OSB_BAD_ANSWER,
    NGX_HTTP_OSB_SLOW,
    NGX_HTTP_OSB_STATUSES
} ngx_http_osb_status_e;


/* answer/outcome.c: the HTTP status of an outcome, and its name */
ngx_uint_t
ngx_http_osb_outcome_status(ngx_http_osb_status_e status);

ngx_str_t *
ngx_http_osb_outcome_name(ngx_http_osb_status_e status);

/* What became of a request, also where error_page has taken it away. */
ngx_http_osb_status_e
ngx_http_osb_outcome(ngx_http_osb_ctx_t *ctx);


/* answer/filter.c: what passes to clients; a part of postconfiguration */
ngx_int_t
ngx_http_osb_filter_init(ngx_conf_t *cf);


/* answer/variables.c: a part of preconfiguration */
ngx_int_t
ngx_http_osb_variables_add(ngx_conf_t *cf);


/*
 * answer/phases.c: variables that hold in every phase, and in subrequests.  To
 * be called when all variables are known; NGX_OK or NGX_ERROR.
 */
ngx_int_t
ngx_http_osb_phases_init(ngx_conf_t *cf);


/* answer/accept.c: whether the client prefers a page to JSON */
ngx_uint_t
ngx_http_osb_accept_html(ngx_http_request_t *r);


#endif /* _NGX_HTTP_OSB_ANSWER_ANSWER_H_INCLUDED_ */
