/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A byte that says whether keys may be missing, and a record's JSON. What is
 * read fits where it is copied to, and is shown as JSON that reads as the same
 * record again; what is not read names the fault in one line.
 *
 * Counted: ngx_opensandbox_module/record/record.c
 * Counted: ngx_opensandbox_module/record/fields.c
 * Counted: ngx_opensandbox_module/record/ports.c
 * Counted: ngx_opensandbox_module/record/endpoint.c
 * Counted: ngx_opensandbox_module/record/time.c
 */
#include "ngx_host.h"

static void check_fault(const ngx_http_osb_fault_t *fault)
{
	assert(fault->message[0]);
	assert(memchr(fault->message, '\0', sizeof(fault->message)));
	assert(memchr(fault->field, '\0', sizeof(fault->field)));
}

static void check_text(ngx_http_osb_record_t *record, ngx_http_osb_text_t *text)
{
	assert(text->len == 0 ||
	       (size_t)text->offset + text->len <= record->size);
}

/* Every port leads to an endpoint of the record's own, or nowhere. */
static void check_endpoints(ngx_http_osb_record_t *record)
{
	const u_char *first = (const u_char *)record;

	for (ngx_uint_t port = 1; port <= 65535; port += 1 + port / 3) {
		ngx_http_osb_endpoint_t *endpoint =
			ngx_http_osb_record_endpoint(record, port);
		const u_char *at = (const u_char *)endpoint;

		if (!endpoint)
			continue;
		assert(at >= first &&
		       at + sizeof(*endpoint) <= first + record->lean);
		check_text(record, &endpoint->text);
	}
}

static void check_shown(ngx_pool_t *pool, ngx_http_osb_record_t *record,
			ngx_uint_t partial)
{
	ngx_http_osb_fault_t fault;
	ngx_http_osb_record_t *again;
	json_t *shown, *twice;

	shown = ngx_http_osb_record_json(record, NGX_HTTP_OSB_SHOW_SECRETS);
	assert(shown);
	if (record->id.len == 0)
		json_object_del(shown, "id");
	again = ngx_http_osb_record_parse(pool, shown, NULL, partial, &fault);
	assert(again && again->size <= NGX_HTTP_OSB_RECORD_MAX);
	assert(ngx_http_osb_record_same(record, again));
	twice = ngx_http_osb_record_json(again, NGX_HTTP_OSB_SHOW_SECRETS);
	if (again->id.len == 0)
		json_object_del(twice, "id");
	assert(json_equal(shown, twice));
	json_decref(shown);
	json_decref(twice);
	shown = ngx_http_osb_record_json(record, 0);
	assert(shown && !json_object_get(shown, "accessToken"));
	json_decref(shown);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	ngx_http_osb_fault_t fault;
	ngx_http_osb_record_t *record;
	ngx_pool_t *pool;
	ngx_uint_t partial;
	json_t *object;

	if (size == 0)
		return 0;
	partial = *data & 1;
	object = json_loadb((const char *)data + 1, size - 1,
			    JSON_REJECT_DUPLICATES, NULL);
	pool = host_pool();
	record = ngx_http_osb_record_parse(pool, object, NULL, partial, &fault);
	if (record) {
		assert(record->lean <= NGX_HTTP_OSB_RECORD_SIZE);
		assert(record->size <= NGX_HTTP_OSB_RECORD_MAX);
		check_text(record, &record->id);
		check_text(record, &record->token);
		check_text(record, &record->host);
		check_text(record, &record->headers);
		assert(record->lean <= record->size);
		check_endpoints(record);
		check_shown(pool, record, partial);
	} else {
		check_fault(&fault);
	}
	json_decref(object);
	ngx_destroy_pool(pool);
	return 0;
}
