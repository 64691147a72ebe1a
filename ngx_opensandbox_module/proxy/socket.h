/* SPDX-License-Identifier: Apache-2.0 */

#ifndef _NGX_HTTP_OSB_PROXY_SOCKET_H_INCLUDED_
#define _NGX_HTTP_OSB_PROXY_SOCKET_H_INCLUDED_


/*
 * Whether the other end has sent a TCP socket any segment at all; 1 if the
 * kernel does not tell.
 */
int
ngx_http_osb_socket_heard(int fd);


#endif /* _NGX_HTTP_OSB_PROXY_SOCKET_H_INCLUDED_ */
