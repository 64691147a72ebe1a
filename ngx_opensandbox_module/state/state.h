/* SPDX-License-Identifier: Apache-2.0 */

#ifndef _NGX_HTTP_OSB_STATE_STATE_H_INCLUDED_
#define _NGX_HTTP_OSB_STATE_STATE_H_INCLUDED_


#include "registry/registry.h"


/*
 * Takes the records from the state file into the zone.  Lines that are bad are
 * logged, and the file is then kept under another name.  NGX_ERROR if there is
 * a file that cannot be read.
 */
ngx_int_t
ngx_http_osb_state_load(ngx_http_osb_zone_t *zone, ngx_log_t *log);

/* Lets a worker keep the file at most a second behind. */
void
ngx_http_osb_keeper_start(ngx_log_t *log);

/* Writes the last changes, before the worker ends. */
void
ngx_http_osb_keeper_stop(void);


#endif /* _NGX_HTTP_OSB_STATE_STATE_H_INCLUDED_ */
