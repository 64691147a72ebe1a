/* SPDX-License-Identifier: Apache-2.0 */

#ifndef _NGX_HTTP_OSB_TRACE_TRACE_H_INCLUDED_
#define _NGX_HTTP_OSB_TRACE_TRACE_H_INCLUDED_


#include "conf.h"


/* the parts of a request's traceparent */
typedef enum {
    NGX_HTTP_OSB_TRACE_PARENT = 0, /* all of it */
    NGX_HTTP_OSB_TRACE_ID,
    NGX_HTTP_OSB_TRACE_PARENT_ID
} ngx_http_osb_trace_part_e;


/*
 * trace/trace.c: a part of the request's traceparent, empty where its location
 * has no "opensandbox_trace on".  Else the request has one valid traceparent
 * from then on, the client's or one that is made.  NGX_OK or NGX_ERROR.
 */
ngx_int_t
ngx_http_osb_trace(ngx_http_request_t *r, ngx_http_osb_trace_part_e part,
                   ngx_str_t *value);


#endif /* _NGX_HTTP_OSB_TRACE_TRACE_H_INCLUDED_ */
