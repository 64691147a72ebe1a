/* SPDX-License-Identifier: Apache-2.0 */

#ifndef _NGX_HTTP_OSB_RECORD_TIME_H_INCLUDED_
#define _NGX_HTTP_OSB_RECORD_TIME_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


#define NGX_HTTP_OSB_TIME_NONE INT64_MIN


/*
 * Reads a time of RFC 3339, in any zone; a fraction of a second is dropped.
 * Returns unix seconds, negative before 1970; NGX_HTTP_OSB_TIME_NONE if
 * the text is no time, or not in the years 0001 to 9999 of UTC.
 */
int64_t
ngx_http_osb_time_parse(ngx_str_t *text);

/*
 * Writes unix seconds as a time of RFC 3339 in UTC.  Returns the end; the
 * buffer has room for 20 bytes, for years up to 9999.
 */
u_char *
ngx_http_osb_time_print(u_char *buf, int64_t seconds);


#endif /* _NGX_HTTP_OSB_RECORD_TIME_H_INCLUDED_ */
