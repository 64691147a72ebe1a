/* SPDX-License-Identifier: Apache-2.0 */

#ifndef _NGX_HTTP_OSB_RENEW_RENEW_H_INCLUDED_
#define _NGX_HTTP_OSB_RENEW_RENEW_H_INCLUDED_


#include "conf.h"


/* renew/renew.c: opensandbox_renew_intent */
char *
ngx_http_osb_renew_intent(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);

/* Tells that a sandbox is in use, once in a while. */
void
ngx_http_osb_renew(ngx_http_request_t *r, ngx_http_osb_ctx_t *ctx);

/* To be called when all of "http" is known. */
ngx_int_t
ngx_http_osb_renew_init(ngx_conf_t *cf, ngx_http_osb_renew_conf_t *conf);

/* Makes a worker ready to tell; conf may be NULL. */
ngx_int_t
ngx_http_osb_renew_init_process(ngx_http_osb_renew_conf_t *conf,
                                ngx_cycle_t               *cycle);

/* renew/redis.c: closes the connection; a part of exit process. */
void
ngx_http_osb_redis_exit(void);


#endif /* _NGX_HTTP_OSB_RENEW_RENEW_H_INCLUDED_ */
