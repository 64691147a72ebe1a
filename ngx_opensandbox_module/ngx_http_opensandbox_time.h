/* SPDX-License-Identifier: Apache-2.0 */

#ifndef _NGX_HTTP_OPENSANDBOX_TIME_H_INCLUDED_
#define _NGX_HTTP_OPENSANDBOX_TIME_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/*
 * Reads a time of RFC 3339, in any zone; a fraction of a second is dropped.
 * Returns unix seconds, -1 if the text is none or lies before 1970.
 */
int64_t
ngx_http_opensandbox_time_parse(ngx_str_t *text);

/*
 * Writes unix seconds as a time of RFC 3339 in UTC.  Returns the end; the
 * buffer has room for 20 bytes, for years up to 9999.
 */
u_char *
ngx_http_opensandbox_time_print(u_char *buf, int64_t seconds);


#endif /* _NGX_HTTP_OPENSANDBOX_TIME_H_INCLUDED_ */
