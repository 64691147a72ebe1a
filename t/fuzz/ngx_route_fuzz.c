/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A byte for the mode, and the text of a route. What is read lies inside the
 * text, is of the form that was promised, and reads the same when it is put
 * together again; what is not read says why.
 *
 * Counted: ngx_opensandbox_module/ngx_http_osb_route.c
 */
#include "ngx_host.h"

#include <stdio.h>

enum mode {
	MODE_PREFIX,
	MODE_ROOT,
	MODE_NAME,
	MODE_HOST,
	MODE_ANY_HOST,
	MODES
};

static ngx_int_t read_as(enum mode mode, ngx_http_osb_route_t *route,
			 ngx_str_t *text)
{
	static ngx_str_t prefix = ngx_string("/sandboxes");
	static ngx_str_t domain = ngx_string("gw.test");
	static ngx_str_t none = ngx_string("");

	switch (mode) {
	case MODE_PREFIX:
		return ngx_http_osb_route_uri(route, text, &prefix);
	case MODE_ROOT:
		return ngx_http_osb_route_uri(route, text, &none);
	case MODE_NAME:
		return ngx_http_osb_route_name(route, text);
	case MODE_HOST:
		return ngx_http_osb_route_host(route, text, &domain, 0);
	default:
		return ngx_http_osb_route_host(route, text, &none, 1);
	}
}

static void check_inside(const ngx_str_t *part, const ngx_str_t *text)
{
	if (part->len == 0)
		return;
	assert(part->data >= text->data &&
	       part->data + part->len <= text->data + text->len);
}

static int same(const ngx_str_t *one, const ngx_str_t *two)
{
	return ngx_memn2cmp(one->data, two->data, one->len, two->len) == 0;
}

/* The parts of a URI are the whole of it. */
static void check_whole(const ngx_str_t *uri, const ngx_str_t *prefix,
			const ngx_str_t *rest)
{
	assert(prefix->data == uri->data);
	assert(prefix->len + rest->len == uri->len);
	assert(rest->data == prefix->data + prefix->len);
	assert(rest->len == 0 || strchr("/?#", rest->data[0]));
}

static void check_again(const ngx_http_osb_route_t *route, int uri)
{
	char text[256];
	ngx_http_osb_route_t again;
	ngx_str_t name = {0, (u_char *)text};
	int n;

	if (uri)
		n = snprintf(text, sizeof(text), "/%.*s/%u", (int)route->id.len,
			     (char *)route->id.data, (unsigned)route->port);
	else
		n = snprintf(text, sizeof(text), "%.*s-%u", (int)route->id.len,
			     (char *)route->id.data, (unsigned)route->port);
	if (route->signature.len)
		n += snprintf(text + n, sizeof(text) - (size_t)n,
			      uri ? "/%.*s/%.*s" : "-%.*s-%.*s",
			      (int)route->expires.len,
			      (char *)route->expires.data,
			      (int)route->signature.len,
			      (char *)route->signature.data);
	name.len = (size_t)n;
	assert(read_as(uri ? MODE_ROOT : MODE_NAME, &again, &name) == NGX_OK);
	assert(again.port == route->port && same(&again.id, &route->id));
	assert(same(&again.expires, &route->expires));
	assert(same(&again.signature, &route->signature));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	ngx_http_osb_route_t route;
	ngx_pool_t *pool;
	ngx_str_t text;
	enum mode mode;
	ngx_int_t rc;

	if (size == 0)
		return 0;
	mode = (enum mode)(*data++ % MODES);
	size--;
	pool = host_pool();
	text = host_take(pool, &data, &size, size);
	rc = read_as(mode, &route, &text);
	if (rc == NGX_OK) {
		assert(!route.error);
		assert(ngx_http_osb_valid_id(&route.id));
		assert(route.port >= 1 && route.port <= 65535);
		assert(!route.signature.len == !route.expires.len);
		assert(!route.signature.len ||
		       ngx_http_osb_parse_expires(&route.expires) >= 0);
		check_inside(&route.id, &text);
		check_inside(&route.expires, &text);
		check_inside(&route.signature, &text);
		if (mode <= MODE_ROOT) {
			check_whole(&text, &route.prefix, &route.rest);
			if (route.signature.len)
				check_whole(&text, &route.signed_prefix,
					    &route.signed_rest);
		}
		check_again(&route, mode <= MODE_ROOT);
	} else {
		assert(rc == NGX_ERROR || rc == NGX_DECLINED);
		assert(route.error && route.error[0]);
	}
	ngx_destroy_pool(pool);
	return 0;
}
