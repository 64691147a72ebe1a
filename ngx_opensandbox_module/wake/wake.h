/* SPDX-License-Identifier: Apache-2.0 */

#ifndef _NGX_HTTP_OSB_WAKE_WAKE_H_INCLUDED_
#define _NGX_HTTP_OSB_WAKE_WAKE_H_INCLUDED_


#include "conf.h"


/* opensandbox_wake */
struct ngx_http_osb_wake_conf_s {
    ngx_msec_t timeout;  /* of a request that is held, milliseconds */
    time_t     interval; /* between two messages for a sandbox, seconds */

    /* where messages go, by turns, and what stands before each one's length */
    ngx_str_t   url;
    ngx_addr_t *addrs;
    ngx_uint_t  naddrs;
    ngx_uint_t  turn;
    ngx_str_t   head;

    ngx_uint_t failing; /* it has been logged, by this worker */
};


/* wake/wake.c: the directive */
char *
ngx_http_osb_wake_conf(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);


/* wake/message.c: whether another message may be sent now. */
ngx_uint_t
ngx_http_osb_wake_room(void);

/*
 * Asks for the sandbox to be woken, and goes on by itself: what becomes of the
 * message is logged and counted.
 */
void
ngx_http_osb_wake_send(ngx_http_osb_wake_conf_t *conf, ngx_str_t *id,
                       ngx_uint_t port);

/* Drops the messages that are under way; a part of exit process. */
void
ngx_http_osb_wake_exit(void);


#endif /* _NGX_HTTP_OSB_WAKE_WAKE_H_INCLUDED_ */
