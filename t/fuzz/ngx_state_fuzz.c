/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as a state file. What is taken from it is in the zone as records
 * that can be written as lines, of which the same records come.
 *
 * Counted: ngx_opensandbox_module/state/state.c
 * Counted: ngx_opensandbox_module/registry/registry.c
 */
#include "ngx_host.h"

#include "state/state.h"

#include <sys/mman.h>
#include <unistd.h>

/* The file that the zone reads from: in memory, under a name. */
static int state_file(ngx_http_osb_zone_t *zone)
{
	static char name[32];
	static int fd = -1;

	if (fd < 0) {
		fd = memfd_create("state", MFD_CLOEXEC);
		assert(fd >= 0);
		snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
		zone->state.data = (u_char *)name;
		zone->state.len = strlen(name);
	}
	assert(ftruncate(fd, 0) == 0);
	return fd;
}

/* The records as lines, in the order of their ids; deletes them. */
static json_t *take_out(ngx_http_osb_zone_t *zone)
{
	static u_char buf[NGX_HTTP_OSB_WALK_SIZE];
	json_t *all = json_array(), *one;
	ngx_str_t id;
	ngx_http_osb_walk_t walk;
	ngx_http_osb_record_t *record;

	ngx_http_osb_walk_start(&walk, zone, buf);
	while ((record = ngx_http_osb_walk_next(&walk))) {
		one = ngx_http_osb_record_json(record,
					       NGX_HTTP_OSB_SHOW_SECRETS);
		assert(one);
		json_array_append_new(all, one);
		id = ngx_http_osb_text(record, &record->id);
		assert(ngx_http_osb_registry_swap(zone, &id, record, NULL) ==
		       NGX_OK);
	}
	assert(zone->shared->nrecords == 0);
	for (size_t i = 0; i < NGX_HTTP_OSB_SOURCES; i++)
		assert(zone->shared->sources[i].records == 0);
	return all;
}

static json_t *load(ngx_http_osb_zone_t *zone, const void *text, size_t len)
{
	int fd = state_file(zone);

	assert(pwrite(fd, text, len, 0) == (ssize_t)len);
	ngx_http_osb_state_load(zone, ngx_cycle->log);
	return take_out(zone);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	ngx_http_osb_zone_t *zone = host_conf()->zone;
	json_t *first, *second, *one;
	size_t i, len = 0, n;
	char *text;

	first = load(zone, data, size);
	text = malloc(size * 8 + 65536);
	assert(text);
	json_array_foreach(first, i, one)
	{
		n = json_dumpb(one, text + len, size * 8 + 65536 - len - 1,
			       JSON_COMPACT);
		assert(n > 0 && len + n < size * 8 + 65536);
		len += n;
		text[len++] = '\n';
	}
	second = load(zone, text, len);
	assert(json_equal(first, second));
	free(text);
	json_decref(first);
	json_decref(second);
	return 0;
}
