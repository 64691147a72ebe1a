/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The nginx module's fuzzers run inside nginx: each is a dynamic module with
 * the sources under test, and fuzzes while nginx tests its configuration.
 */
#ifndef FUZZ_NGX_HOST_H
#define FUZZ_NGX_HOST_H

#include "access/access.h"
#include "proxy/proxy.h"
#include "request/request.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A pool of nginx's own, in which each allocation is one of malloc's, so that
 * AddressSanitizer sees where it ends. The caller destroys it. */
ngx_pool_t *host_pool(void);

/* The module's configuration in this nginx, with a zone and one key. */
ngx_http_osb_main_conf_t *host_conf(void);

/* n bytes of the data, or what is left, which goes forward; a copy in the
 * pool, so that reading beyond it shows. */
ngx_str_t host_take(ngx_pool_t *pool, const uint8_t **data, size_t *size,
		    size_t n);

#endif
