/* SPDX-License-Identifier: Apache-2.0 */

#ifndef _NGX_HTTP_OSB_RECORD_HEADERS_H_INCLUDED_
#define _NGX_HTTP_OSB_RECORD_HEADERS_H_INCLUDED_


#include "record.h"


/*
 * A record's "endpointHeaders": what a client of a port has to send to whatever
 * listens there, {"18080": {"OPENSANDBOX-EGRESS-AUTH": "secret"}}.  The gateway
 * tells it to the API's caller with the endpoint and sends none of it itself.
 */

/* NGX_OK, or NGX_ERROR with the fault set, which never holds a value. */
ngx_int_t
ngx_http_osb_headers_check(json_t *object, const char *field,
                           ngx_http_osb_fault_t *fault);

/*
 * A record's headers, for the caller to release; NULL if memory is short.
 * Without NGX_HTTP_OSB_SHOW_SECRETS, names stand in the place of the
 * values: {"18080": ["OPENSANDBOX-EGRESS-AUTH"]}.
 */
json_t *
ngx_http_osb_headers_json(ngx_http_osb_record_t *record, ngx_uint_t flags);

/* Adds those of a port to the object; NGX_OK or NGX_ERROR. */
ngx_int_t
ngx_http_osb_headers_add(ngx_http_osb_record_t *record, ngx_uint_t port,
                         json_t *headers);


#endif /* _NGX_HTTP_OSB_RECORD_HEADERS_H_INCLUDED_ */
