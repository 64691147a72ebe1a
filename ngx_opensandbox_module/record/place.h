/* SPDX-License-Identifier: Apache-2.0 */

#ifndef _NGX_HTTP_OSB_RECORD_PLACE_H_INCLUDED_
#define _NGX_HTTP_OSB_RECORD_PLACE_H_INCLUDED_


#include "record.h"


/* the largest address, IPv6 */
#define NGX_HTTP_OSB_ADDR_LEN 16


/*
 * Reads "10.0.0.5", "[fd00::5]", "name.example" or "unix:/path"; with_port,
 * all but the last end in ":port".  Sets kind and port; *text is what the place
 * is to have as its text: an address, in addr, or the part of the value that is
 * a host name or a path.  Returns NULL, or a sentence saying what is wrong.
 */
const char *
ngx_http_osb_place_parse(ngx_http_osb_place_t *place, ngx_str_t value,
                         ngx_uint_t with_port, u_char *addr, ngx_str_t *text);

/*
 * Writes the form that place_parse() reads, with the port if it is not 0.
 * Returns the end; the buffer has room for the text and 64 bytes more, an IPv4
 * address and its port take 21 at most.
 */
u_char *
ngx_http_osb_place_print(u_char *buf, ngx_http_osb_place_t *place,
                         ngx_str_t *text, ngx_uint_t port);


#endif /* _NGX_HTTP_OSB_RECORD_PLACE_H_INCLUDED_ */
