/* SPDX-License-Identifier: Apache-2.0 */

#ifndef _NGX_HTTP_OSB_STATE_INNER_H_INCLUDED_
#define _NGX_HTTP_OSB_STATE_INNER_H_INCLUDED_


#include "state.h"


/* one writing of the state file, and what became of it */
typedef struct {
    ngx_http_osb_zone_t *zone;
    ngx_log_t           *log;

    /* how often to look, 10 ms apart, for another's end; 0: wait for it */
    ngx_uint_t tries;

    /* the changes that are in the file now */
    ngx_atomic_uint_t changes;

    /* another one is writing, all the time */
    ngx_uint_t busy;

    /* what could not be done, NULL if all was */
    const char *failed;
    ngx_err_t   err;
} ngx_http_osb_save_t;


/*
 * Writes the records of the API into a new file, has it on the disk, and gives
 * it the old one's name.  May run in a thread: it logs nothing, blocks, and
 * holds the zone's lock for moments only.
 */
void
ngx_http_osb_state_save(ngx_http_osb_save_t *save);


#endif /* _NGX_HTTP_OSB_STATE_INNER_H_INCLUDED_ */
