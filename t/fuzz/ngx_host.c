/* SPDX-License-Identifier: Apache-2.0 */
#include "ngx_host.h"

#include <stdlib.h>
#include <string.h>

#define ARGS_MAX 32

/* libFuzzer's own, see its documentation on main(). */
int LLVMFuzzerRunDriver(int *argc, char ***argv,
			int (*callback)(const uint8_t *data, size_t size));

static ngx_cycle_t *host_cycle;

ngx_pool_t *host_pool(void)
{
	ngx_pool_t *pool = ngx_create_pool(1024, host_cycle->log);

	assert(pool);
	pool->max = 0;
	return pool;
}

ngx_http_osb_main_conf_t *host_conf(void)
{
	return ngx_http_cycle_get_module_main_conf(host_cycle,
						   ngx_http_opensandbox_module);
}

ngx_str_t host_take(ngx_pool_t *pool, const uint8_t **data, size_t *size,
		    size_t n)
{
	ngx_str_t text;

	text.len = n < *size ? n : *size;
	text.data = ngx_pnalloc(pool, text.len ? text.len : 1);
	assert(text.data);
	memcpy(text.data, *data, text.len);
	*data += text.len;
	*size -= text.len;
	return text;
}

/* FUZZ_ARGS: libFuzzer's arguments, a line each. */
static ngx_int_t host_fuzz(ngx_cycle_t *cycle)
{
	static char name[] = "fuzz";
	static char *list[ARGS_MAX] = {name};
	char **argv = list, *rest = getenv("FUZZ_ARGS"), *arg;
	int argc = 1;

	host_cycle = cycle;
	while (rest && argc < ARGS_MAX - 1 && (arg = strsep(&rest, "\n")))
		list[argc++] = arg;
	exit(LLVMFuzzerRunDriver(&argc, &argv, LLVMFuzzerTestOneInput));
}

static ngx_core_module_t host_ctx = {ngx_string("fuzz_host"), NULL, NULL};

static ngx_module_t host_module = {
	NGX_MODULE_V1, &host_ctx, NULL, NGX_CORE_MODULE,
	NULL,          host_fuzz, NULL, NULL,
	NULL,          NULL,      NULL, NGX_MODULE_V1_PADDING};

/* What nginx looks for in a dynamic module. */
extern ngx_module_t *ngx_modules[];
extern char *ngx_module_names[];

static char name_module[] = "ngx_http_opensandbox_module";
static char name_host[] = "fuzz_host_module";

ngx_module_t *ngx_modules[] = {&ngx_http_opensandbox_module, &host_module,
			       NULL};
char *ngx_module_names[] = {name_module, name_host, NULL};
