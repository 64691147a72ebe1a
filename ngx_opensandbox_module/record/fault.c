/* SPDX-License-Identifier: Apache-2.0 */

#include "record.h"


void
ngx_http_osb_fault(ngx_http_osb_fault_t *fault, const char *field,
                   const char *format, ...)
{
    va_list args;

    (void) snprintf(fault->field, sizeof(fault->field), "%s", field);

    va_start(args, format);
    (void) vsnprintf(fault->message, sizeof(fault->message), format, args);
    va_end(args);
}
