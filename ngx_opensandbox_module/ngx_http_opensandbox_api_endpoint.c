/* SPDX-License-Identifier: Apache-2.0 */

#include "ngx_http_opensandbox_api.h"


ngx_int_t
ngx_http_opensandbox_api_endpoint(ngx_http_opensandbox_call_t *call,
                                  ngx_str_t                   *port)
{
    return ngx_http_opensandbox_api_unknown(call);
}
