/* SPDX-License-Identifier: Apache-2.0 */

#ifndef _NGX_HTTP_OSB_RECORD_DECLARE_H_INCLUDED_
#define _NGX_HTTP_OSB_RECORD_DECLARE_H_INCLUDED_


#include "conf.h"


/* Records and policies that the configuration declares. */


/* record/sandbox_block.c: opensandbox_sandbox ID { ... } */
char *
ngx_http_osb_sandbox_block(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);

/* record/policy_block.c: opensandbox_policy NAME { ... } */
char *
ngx_http_osb_policy_block(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);

/* Notes that the next record to be declared names a policy. */
ngx_int_t
ngx_http_osb_policy_use(ngx_conf_t *cf, ngx_http_osb_main_conf_t *omcf,
                        ngx_str_t *name);

/* Gives declared records the policies that they name. */
ngx_int_t
ngx_http_osb_policy_resolve(ngx_conf_t *cf, ngx_http_osb_main_conf_t *omcf);


#endif /* _NGX_HTTP_OSB_RECORD_DECLARE_H_INCLUDED_ */
