/* SPDX-License-Identifier: Apache-2.0 */

#ifndef _NGX_HTTP_OSB_TRACE_PARENT_H_INCLUDED_
#define _NGX_HTTP_OSB_TRACE_PARENT_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/*
 * A traceparent (W3C Trace Context, level 2, 3.2):
 *
 *     00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01
 *     version-trace id-parent id-flags
 */

#define NGX_HTTP_OSB_TRACE_ID_BYTES     16
#define NGX_HTTP_OSB_TRACE_PARENT_BYTES 8

#define NGX_HTTP_OSB_TRACE_RANDOM \
    (NGX_HTTP_OSB_TRACE_ID_BYTES + NGX_HTTP_OSB_TRACE_PARENT_BYTES)

#define NGX_HTTP_OSB_TRACE_LEN \
    (sizeof("00-") - 1 + 2 * NGX_HTTP_OSB_TRACE_RANDOM + sizeof("--01") - 1)


/* trace/parent.c */

/*
 * NGX_OK with the two ids, which are parts of the text; NGX_DECLINED if it is
 * not valid.  Of a later version, what follows the flags is not looked at.
 */
ngx_int_t
ngx_http_osb_trace_parent_read(ngx_str_t *text, ngx_str_t *id,
                               ngx_str_t *parent);

/*
 * Writes one of version 00, which is sampled, with ids of that many random
 * bytes (NGX_HTTP_OSB_TRACE_RANDOM); NGX_HTTP_OSB_TRACE_LEN bytes.
 */
void
ngx_http_osb_trace_parent_write(u_char *p, const u_char *random);


#endif /* _NGX_HTTP_OSB_TRACE_PARENT_H_INCLUDED_ */
