/* SPDX-License-Identifier: Apache-2.0 */

#include "socket.h"


/*
 * Apart from the others, since nginx includes the C library's <netinet/tcp.h>,
 * whose struct tcp_info is shorter than the kernel's.
 */


#include <linux/tcp.h>
#include <netinet/in.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>


int
ngx_http_osb_socket_heard(int fd)
{
    socklen_t       len;
    struct tcp_info info;

    memset(&info, 0, sizeof(struct tcp_info));
    len = sizeof(struct tcp_info);

    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) == -1 ||
        len < offsetof(struct tcp_info, tcpi_segs_in) + sizeof(__u32))
    {
        return 1;
    }

    return info.tcpi_segs_in != 0;
}
