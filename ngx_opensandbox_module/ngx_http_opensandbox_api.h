/* SPDX-License-Identifier: Apache-2.0 */

#ifndef _NGX_HTTP_OPENSANDBOX_API_H_INCLUDED_
#define _NGX_HTTP_OPENSANDBOX_API_H_INCLUDED_


#include "ngx_http_opensandbox_module.h"


/* one call of the management API */
typedef struct {
    ngx_http_request_t               *request;
    ngx_http_opensandbox_zone_t      *zone;
    ngx_http_opensandbox_main_conf_t *conf;
    ngx_str_t                         id;   /* lower case */
    json_t                           *body; /* NULL without one */
    const char                       *allow;
    ngx_http_opensandbox_fault_t      fault;
    ngx_uint_t                        held; /* it finalizes itself */
} ngx_http_opensandbox_call_t;


/*
 * Each carries out a call and answers it; the result is for
 * ngx_http_finalize_request().
 */
ngx_int_t
ngx_http_opensandbox_api_get(ngx_http_opensandbox_call_t *call);
ngx_int_t
ngx_http_opensandbox_api_put(ngx_http_opensandbox_call_t *call);
ngx_int_t
ngx_http_opensandbox_api_patch(ngx_http_opensandbox_call_t *call);
ngx_int_t
ngx_http_opensandbox_api_delete(ngx_http_opensandbox_call_t *call);
ngx_int_t
ngx_http_opensandbox_api_list(ngx_http_opensandbox_call_t *call);
ngx_int_t
ngx_http_opensandbox_api_bulk(ngx_http_opensandbox_call_t *call);
ngx_int_t
ngx_http_opensandbox_api_endpoint(ngx_http_opensandbox_call_t *call,
                                  ngx_str_t                   *port);

/* Sets call->held if the request is to finalize itself later. */
ngx_int_t
ngx_http_opensandbox_api_policy(ngx_http_opensandbox_call_t *call);

/* The answer with a JSON body; takes the object over.  NULL is a 500. */
ngx_int_t
ngx_http_opensandbox_api_send(ngx_http_request_t *r, ngx_uint_t status,
                              json_t *object);

/* The answer {"code","message","field"} from call->fault. */
ngx_int_t
ngx_http_opensandbox_api_fault(ngx_http_opensandbox_call_t *call,
                               ngx_uint_t status, const char *code);

ngx_int_t
ngx_http_opensandbox_api_missing(ngx_http_opensandbox_call_t *call);

/* The answer to a change that the registry has refused with rc. */
ngx_int_t
ngx_http_opensandbox_api_not_taken(ngx_http_opensandbox_call_t *call,
                                   ngx_int_t                    rc);
ngx_int_t
ngx_http_opensandbox_api_unknown(ngx_http_opensandbox_call_t *call);
ngx_int_t
ngx_http_opensandbox_api_not_allowed(ngx_http_opensandbox_call_t *call);
ngx_int_t
ngx_http_opensandbox_api_refuse(ngx_http_request_t *r);


#endif /* _NGX_HTTP_OPENSANDBOX_API_H_INCLUDED_ */
