/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A byte of flags, one that says where to spoil a signature, and a signed
 * route's text. What we sign is let in; the same with one character changed,
 * or what somebody else made up, is not, and neither is a wrong token.
 *
 * Counted: ngx_opensandbox_module/access/access.c
 * Counted: ngx_opensandbox_module/access/signature.c
 */
#include "ngx_host.h"

enum {
	FLAG_LONG = 1,
	FLAG_TOKEN = 2,
	FLAG_OPEN = 4, /* the sandbox has no token */
};

#define TOKEN "hush"

static ngx_http_osb_record_t *record_of(ngx_pool_t *pool, int open)
{
	ngx_http_osb_fault_t fault;
	ngx_http_osb_record_t *record;
	json_t *object =
		json_pack("{s:s, s:s}", "id", "sb", "endpoint", "10.0.0.5");

	if (!open)
		json_object_set_new(object, "accessToken", json_string(TOKEN));
	record = ngx_http_osb_record_parse(pool, object, NULL, 0, &fault);
	assert(record);
	json_decref(object);
	return record;
}

static ngx_http_osb_status_e enter(ngx_pool_t *pool,
				   ngx_http_osb_route_t *route, int open,
				   ngx_str_t *token)
{
	static u_char header[] = "opensandbox-secure-access";
	static ngx_str_t by_header = ngx_string("header");
	static ngx_http_osb_loc_conf_t location = {
		.cookie = NGX_HTTP_OSB_COOKIE_LAX};
	ngx_http_osb_ctx_t ctx;
	ngx_http_osb_status_e status;
	ngx_http_request_t r;
	ngx_table_elt_t *h;
	void **conf = ngx_pcalloc(pool, ngx_http_max_module * sizeof(void *));
	void **loc = ngx_pcalloc(pool, ngx_http_max_module * sizeof(void *));

	memset(&r, 0, sizeof(r));
	memset(&ctx, 0, sizeof(ctx));
	assert(conf && loc);
	loc[ngx_http_opensandbox_module.ctx_index] = &location;
	r.loc_conf = loc;
	conf[ngx_http_opensandbox_module.ctx_index] = host_conf();
	r.main_conf = conf;
	r.pool = pool;
	assert(ngx_list_init(&r.headers_in.headers, pool, 1,
			     sizeof(ngx_table_elt_t)) == NGX_OK);
	if (token) {
		h = ngx_list_push(&r.headers_in.headers);
		assert(h);
		memset(h, 0, sizeof(*h));
		h->key.len = sizeof(header) - 1;
		h->key.data = header;
		h->lowcase_key = header;
		h->value = *token;
	}
	ctx.mode = ngx_http_osb_mode(ngx_http_osb_mode_bits(&by_header));
	ctx.route = *route;
	ctx.id.len = route->id.len;
	ctx.id.data = ngx_pnalloc(pool, route->id.len + 1);
	assert(ctx.id.data);
	ngx_strlow(ctx.id.data, route->id.data, route->id.len);
	ctx.record = record_of(pool, open);
	status = ngx_http_osb_access(&r, &ctx);
	assert((status == NGX_HTTP_OSB_OK) == (ctx.endpoint != NULL));
	assert(status == NGX_HTTP_OSB_OK || ctx.reason);
	return status;
}

/* Signed by us, then spoiled. */
static void check_ours(ngx_pool_t *pool, const ngx_http_osb_route_t *of,
		       int long_form, uint8_t spoil)
{
	ngx_http_osb_route_t route = *of;
	ngx_http_osb_secret_t *key = host_conf()->keys.elts;
	u_char buf[NGX_HTTP_OSB_LONG_SIG_LEN], *last;
	ngx_str_t id;
	int valid = ngx_http_osb_parse_expires(&route.expires) >=
		    (int64_t)ngx_time();

	id.len = of->id.len;
	id.data = ngx_pnalloc(pool, id.len);
	ngx_strlow(id.data, of->id.data, id.len);
	last = ngx_http_osb_signature_make(buf, key, NGX_HTTP_OSB_COOKIE, &id,
					   route.port, &route.expires);
	route.signature.data = buf;
	route.signature.len = (size_t)(last - buf);
	assert(enter(pool, &route, 0, NULL) != NGX_HTTP_OSB_OK);
	last = ngx_http_osb_signature_make(
		buf, key, long_form ? NGX_HTTP_OSB_LONG : NGX_HTTP_OSB_SHORT,
		&id, route.port, &route.expires);
	assert(last);
	route.signature.data = buf;
	route.signature.len = (size_t)(last - buf);
	assert(route.signature.len ==
	       (size_t)(long_form ? NGX_HTTP_OSB_LONG_SIG_LEN
				  : NGX_HTTP_OSB_SHORT_SIG_LEN));
	assert((enter(pool, &route, 0, NULL) == NGX_HTTP_OSB_OK) == valid);
	buf[spoil % route.signature.len] ^= 1 + (spoil >> 5);
	assert(enter(pool, &route, 0, NULL) != NGX_HTTP_OSB_OK);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	ngx_http_osb_route_t route;
	ngx_pool_t *pool;
	ngx_str_t text, token;
	unsigned flags;
	uint8_t spoil;
	int right;

	if (size < 2)
		return 0;
	flags = data[0];
	spoil = data[1];
	data += 2;
	size -= 2;
	pool = host_pool();
	token = host_take(pool, &data, &size,
			  flags & FLAG_TOKEN ? flags >> 4 : 0);
	text = host_take(pool, &data, &size, size);
	if (ngx_http_osb_route_name(&route, &text) == NGX_OK) {
		right = token.len == strlen(TOKEN) &&
			memcmp(token.data, TOKEN, token.len) == 0;
		if (flags & FLAG_OPEN)
			assert(enter(pool, &route, 1, NULL) == NGX_HTTP_OSB_OK);
		else if (flags & FLAG_TOKEN)
			assert((enter(pool, &route, 0, &token) ==
				NGX_HTTP_OSB_OK) == right);
		else
			/* who found a signature out in a fuzzer broke SHA-256
			 */
			assert(enter(pool, &route, 0, NULL) ==
			       NGX_HTTP_OSB_UNAUTHORIZED);
		if (route.expires.len)
			check_ours(pool, &route, flags & FLAG_LONG, spoil);
	}
	ngx_destroy_pool(pool);
	return 0;
}
