/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Header fields, each a byte that chooses its name and a text that ends with
 * NUL. The gateway's own cookies reach no sandbox and no sandbox sets them,
 * other pairs pass as they are; a traceparent that is read has ids of its own
 * text; whichever form of an error is preferred, none reads beyond its field.
 *
 * Counted: ngx_opensandbox_module/answer/accept.c
 * Counted: ngx_opensandbox_module/access/cookie_field.c
 * Counted: ngx_opensandbox_module/trace/parent.c
 */
#include "ngx_host.h"

#include "access/inner.h"
#include "trace/parent.h"

enum {
	COOKIE,
	SET_COOKIE,
	ACCEPT,
	TRACEPARENT,
	NAMES
};

static ngx_str_t names[NAMES] = {
	ngx_string("cookie"),
	ngx_string("set-cookie"),
	ngx_string("accept"),
	ngx_string("traceparent"),
};

static void push(ngx_list_t *list, ngx_str_t *name, ngx_str_t *value)
{
	ngx_table_elt_t *h = ngx_list_push(list);

	assert(h);
	memset(h, 0, sizeof(*h));
	h->hash = 1;
	h->key = *name;
	h->lowcase_key = name->data;
	h->value = *value;
}

/* Bytes of a Cookie's pairs that are not the gateway's, blanks left out; with
 * own, how many are. */
static size_t others(ngx_http_request_t *r, size_t *own)
{
	ngx_list_part_t *part = &r->headers_in.headers.part;
	ngx_table_elt_t *h;
	ngx_str_t text, pair, value;
	ngx_uint_t i = 0;
	size_t bytes = 0;

	*own = ngx_http_osb_cookie_field_page(r, &value);
	while ((h = ngx_http_osb_header_named(&part, &i, &names[COOKIE]))) {
		text = h->value;
		while (ngx_http_osb_cookie_field_next(&text, &pair)) {
			ngx_http_request_t one = {0};
			ngx_list_part_t *only = &one.headers_in.headers.part;
			ngx_table_elt_t field = {.key = names[COOKIE],
						 .lowcase_key =
							 names[COOKIE].data,
						 .value = pair};

			only->elts = &field;
			only->nelts = 1;
			if (ngx_http_osb_cookie_field_own(&pair, &value)) {
				++*own;
			} else if (!ngx_http_osb_cookie_field_page(&one,
								   &value)) {
				for (size_t n = 0; n < pair.len; n++)
					bytes += pair.data[n] != ' ' &&
						 pair.data[n] != '\t';
			}
		}
	}
	return bytes;
}

static void check_cookies(ngx_http_request_t *r)
{
	size_t own, before = others(r, &own);

	assert(ngx_http_osb_cookie_field_cut(r) == NGX_OK);
	assert(others(r, &own) == before);
	assert(own == 0);
}

/* Whatever a browser would take for one of ours is gone. */
static void check_set_cookie(ngx_http_request_t *r)
{
	ngx_table_elt_t *h;
	ngx_list_part_t *part = &r->headers_out.headers.part;
	ngx_uint_t i = 0;

	ngx_http_osb_cookie_field_guard(r);
	while ((h = ngx_http_osb_header_next(&part, &i))) {
		ngx_str_t pair = h->value, value;
		u_char *end = memchr(pair.data, ';', pair.len);

		if (end)
			pair.len = (size_t)(end - pair.data);
		while (pair.len && strchr(" \t", *pair.data)) {
			pair.data++;
			pair.len--;
		}
		assert(!h->hash ||
		       !ngx_http_osb_cookie_field_own(&pair, &value));
	}
}

static void check_traceparent(ngx_str_t *text)
{
	ngx_str_t id, parent;

	if (ngx_http_osb_trace_parent_read(text, &id, &parent) != NGX_OK)
		return;
	assert(text->len >= NGX_HTTP_OSB_TRACE_LEN);
	assert(id.data == text->data + 3 && id.len == 32);
	assert(parent.data == id.data + 33 && parent.len == 16);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	ngx_http_request_t r = {.pool = host_pool()};
	const uint8_t *end;

	r.main = &r;
	assert(ngx_list_init(&r.headers_in.headers, r.pool, 2,
			     sizeof(ngx_table_elt_t)) == NGX_OK);
	assert(ngx_list_init(&r.headers_out.headers, r.pool, 2,
			     sizeof(ngx_table_elt_t)) == NGX_OK);
#if (nginx_version < 1023000)
	assert(ngx_array_init(&r.headers_in.cookies, r.pool, 1,
			      sizeof(ngx_table_elt_t *)) == NGX_OK);
	r.headers_in.cookies.nelts = 1;
#else
	static ngx_table_elt_t some;

	r.headers_in.cookie = &some;
#endif
	while (size > 1) {
		int name = *data % NAMES;
		ngx_str_t text;

		data++;
		size--;
		end = memchr(data, '\0', size);
		text = host_take(r.pool, &data, &size,
				 end ? (size_t)(end - data) : size);
		if (size) {
			data++;
			size--;
		}
		if (name == TRACEPARENT)
			check_traceparent(&text);
		push(name == SET_COOKIE ? &r.headers_out.headers
					: &r.headers_in.headers,
		     &names[name], &text);
	}
	assert(ngx_http_osb_accept_html(&r) == ngx_http_osb_accept_html(&r));
	check_cookies(&r);
	check_set_cookie(&r);
	ngx_destroy_pool(r.pool);
	return 0;
}
