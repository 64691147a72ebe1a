/* SPDX-License-Identifier: Apache-2.0 */

#ifndef _NGX_HTTP_OSB_API_API_H_INCLUDED_
#define _NGX_HTTP_OSB_API_API_H_INCLUDED_


#include "conf.h"


/* api/api.c: the content handler of opensandbox_api */
ngx_int_t
ngx_http_osb_api_handler(ngx_http_request_t *r);

/* api/conf.c: its directives */
char *
ngx_http_osb_api_conf(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *
ngx_http_osb_api_conf_token(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *
ngx_http_osb_api_conf_sources(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);

/* api/public.c: how clients reach the gateway */
char *
ngx_http_osb_public(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);

/* To be called when all servers are known. */
ngx_int_t
ngx_http_osb_public_init(ngx_conf_t *cf);

/* api/browser.c: the same */
ngx_int_t
ngx_http_osb_browser_init(ngx_conf_t *cf);

/*
 * An argument of the query, percent-decoded, in the request's pool;
 * NGX_DECLINED without one.
 */
ngx_int_t
ngx_http_osb_api_arg(ngx_http_request_t *r, const char *name, ngx_str_t *value);


#endif /* _NGX_HTTP_OSB_API_API_H_INCLUDED_ */
