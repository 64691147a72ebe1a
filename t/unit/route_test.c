/* SPDX-License-Identifier: Apache-2.0 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "route/route.h"

static ngx_str_t
text(const char *value)
{
    ngx_str_t str = {strlen(value), (u_char *) (uintptr_t) value};

    return str;
}

static void
is(ngx_str_t value, const char *expected)
{
    assert_int_equal(value.len, strlen(expected));
    assert_memory_equal(value.data, expected, value.len);
}

static ngx_int_t
uri(ngx_http_osb_route_t *route, const char *value, const char *prefix)
{
    ngx_str_t u = text(value), p = text(prefix);

    return ngx_http_osb_route_uri(route, &u, &p);
}

static ngx_int_t
name(ngx_http_osb_route_t *route, const char *value)
{
    ngx_str_t n = text(value);

    return ngx_http_osb_route_name(route, &n);
}

static ngx_int_t
host(ngx_http_osb_route_t *route, const char *value, const char *domain)
{
    ngx_str_t h = text(value), d = text(domain);

    return ngx_http_osb_route_host(route, &h, &d, 0);
}

static ngx_int_t
dotted(ngx_http_osb_route_t *route, const char *value)
{
    ngx_str_t h = text(value), d = text("");

    return ngx_http_osb_route_host(route, &h, &d, 1);
}

static ngx_int_t
header(ngx_http_osb_route_t *route, const char *value)
{
    ngx_str_t v = text(value);

    return ngx_http_osb_route_field(route, &v);
}

static void
a_uri_names_id_port_and_rest(void **state)
{
    ngx_http_osb_route_t r;

    (void) state;

    assert_int_equal(
        uri(&r, "/sandboxes/Sb-1.x/port/8080/a%2Fb//..%2f?q=+", "/sandboxes"),
        NGX_OK);
    is(r.id, "Sb-1.x");
    assert_int_equal(r.port, 8080);
    is(r.prefix, "/sandboxes/Sb-1.x/port/8080");
    is(r.rest, "/a%2Fb//..%2f?q=+");
    assert_int_equal(r.signature.len, 0);

    assert_int_equal(uri(&r, "/sandboxes/a/port/1?", "/sandboxes"), NGX_OK);
    is(r.rest, "?");
    assert_int_equal(uri(&r, "/sandboxes/a/port/65535", "/sandboxes"), NGX_OK);
    is(r.rest, "");

    assert_int_equal(uri(&r, "/a/8080/port/1", ""), NGX_OK);
    is(r.id, "a");
    is(r.rest, "/port/1");
}

static void
a_malformed_uri_is_an_error(void **state)
{
    static const char *bad[] = {
        "/sandboxes/",           "/sandboxes//port/80",
        "/sandboxes/a",          "/sandboxes/a/80",
        "/sandboxes/a/port",     "/sandboxes/a/port/",
        "/sandboxes/a/port/0",   "/sandboxes/a/port/65536",
        "/sandboxes/a/port/+80", "/sandboxes/a/port/08080",
        "/sandboxes/a/port/80x", "/sandboxes/a/port/99999999999999999999",
        "/sandboxes/a b/port/8", "/sandboxes/%61/port/80",
        "/sandboxes/a/Port/80",  "/sandboxes/a\r/port/80",
        "/sandboxes?/a/port/80",
    };

    size_t               i;
    ngx_http_osb_route_t r;

    (void) state;

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_not_equal(uri(&r, bad[i], "/sandboxes"), NGX_OK);
        assert_non_null(r.error);
    }

    assert_int_equal(uri(&r, "/other/a/port/80", "/sandboxes"), NGX_DECLINED);
    assert_int_equal(uri(&r, "/sandboxesx/a/port/80", "/sandboxes"),
                     NGX_DECLINED);
    assert_int_equal(uri(&r, "", ""), NGX_DECLINED);
    assert_int_equal(uri(&r, "/a/port/80", ""), NGX_ERROR);
}

static void
an_id_has_at_most_63_characters(void **state)
{
    char                 path[128];
    ngx_http_osb_route_t r;

    (void) state;

    memset(path, 'a', sizeof(path));
    path[0] = '/';
    memcpy(path + 64, "/80/", 5);
    assert_int_equal(uri(&r, path, ""), NGX_OK);

    path[64] = 'a';
    memcpy(path + 65, "/80/", 5);
    assert_int_equal(uri(&r, path, ""), NGX_ERROR);
}

static void
a_uri_may_look_signed(void **state)
{
    ngx_http_osb_route_t r;

    (void) state;

    assert_int_equal(uri(&r, "/a/80/tdkt2o/0123abcdk/x?y", ""), NGX_OK);
    is(r.rest, "/tdkt2o/0123abcdk/x?y");
    is(r.expires, "tdkt2o");
    is(r.signature, "0123abcdk");
    is(r.signed_prefix, "/a/80/tdkt2o/0123abcdk");
    is(r.signed_rest, "/x?y");

    assert_int_equal(uri(&r, "/a/80/0/abcdefghijklmnopqrstuvwxyzk", ""),
                     NGX_OK);
    is(r.signature, "abcdefghijklmnopqrstuvwxyzk");
    is(r.signed_rest, "");

    assert_int_equal(uri(&r, "/a/80/tdkt2o/0123ABCDk/x", ""), NGX_OK);
    assert_int_equal(r.signature.len, 0);
    assert_int_equal(uri(&r, "/a/80/01/0123abcdk/x", ""), NGX_OK);
    assert_int_equal(r.signature.len, 0);
    assert_int_equal(uri(&r, "/a/80/12345678901234/0123abcdk/x", ""), NGX_OK);
    assert_int_equal(r.signature.len, 0);
}

static void
a_link_is_of_a_host(void **state)
{
    static const char *bad[] = {
        "/",
        "/.opensandbox",
        "/.opensandbox/",
        "/.opensandbox/tdkt2o",
        "/.opensandbox/tdkt2o/0123abcd",
        "/.opensandbox/tdkt2o/0123ABCDk/x",
        "/.opensandbox/01/0123abcdk/x",
        "/.opensandbox//0123abcdk/x",
        "/.opensandbox?/tdkt2o/0123abcdk/x",
        "/.opensandboxes/tdkt2o/0123abcdk/x",
        "/%2eopensandbox/tdkt2o/0123abcdk/x",
        "//.opensandbox/tdkt2o/0123abcdk/x",
        ".opensandbox/tdkt2o/0123abcdk/x",
        "",
    };

    size_t               i;
    ngx_str_t            u;
    ngx_http_osb_route_t r;

    (void) state;

    assert_int_equal(name(&r, "a-80"), NGX_OK);

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        u = text(bad[i]);
        assert_int_equal(ngx_http_osb_route_link(&r, &u), NGX_DECLINED);
        assert_int_equal(r.signature.len, 0);
    }

    u = text("/.opensandbox/tdkt2o/0123abcdk//x%2f?y");
    assert_int_equal(ngx_http_osb_route_link(&r, &u), NGX_OK);
    is(r.id, "a");
    assert_int_equal(r.port, 80);
    is(r.expires, "tdkt2o");
    is(r.signature, "0123abcdk");
    is(r.rest, "//x%2f?y");

    u = text("/.opensandbox/0/abcdefghijklmnopqrstuvwxyzk?y");
    assert_int_equal(ngx_http_osb_route_link(&r, &u), NGX_OK);
    is(r.rest, "?y");
}

static void
a_name_is_split_from_the_right(void **state)
{
    ngx_http_osb_route_t r;

    (void) state;

    assert_int_equal(name(&r, "a-b-c-d-e-8080"), NGX_OK);
    is(r.id, "a-b-c-d-e");
    assert_int_equal(r.port, 8080);

    assert_int_equal(name(&r, "a-b-8080-tdkt2o-0123abcdk"), NGX_OK);
    is(r.id, "a-b");
    assert_int_equal(r.port, 8080);
    is(r.expires, "tdkt2o");
    is(r.signature, "0123abcdk");

    assert_int_equal(name(&r, "a-8080-12345"), NGX_OK);
    is(r.id, "a-8080");
}

static void
a_malformed_name_is_an_error(void **state)
{
    static const char *bad[] = {
        "",
        "a",
        "a-",
        "-80",
        "a-0",
        "a-65536",
        "a-08080",
        "a-+80",
        "a-80-0123abcdk",
        "a-80-x",
        "a b-80",
        "a-80-TD-0123abcdk",
        "a/../-80",
        "a-80-01-0123abcdk",
    };

    size_t               i;
    ngx_http_osb_route_t r;

    (void) state;

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(name(&r, bad[i]), NGX_ERROR);
        assert_non_null(r.error);
    }
}

static void
a_host_is_read_from_its_first_label(void **state)
{
    ngx_http_osb_route_t r;

    (void) state;

    assert_int_equal(host(&r, "a-b-80.box.example", ""), NGX_OK);
    is(r.id, "a-b");
    assert_int_equal(host(&r, "a-b-80.box.example", "box.example"), NGX_OK);
    assert_int_equal(host(&r, "a-b-80.x.box.example", "box.example"),
                     NGX_ERROR);
    assert_int_equal(host(&r, "a-b-80.example", "box.example"), NGX_DECLINED);
    assert_int_equal(host(&r, "a-80", ""), NGX_DECLINED);
    assert_int_equal(host(&r, "127.0.0.1", ""), NGX_DECLINED);
    assert_int_equal(host(&r, "a-x.example", ""), NGX_ERROR);
}

static void
an_id_of_a_host_may_hold_dots(void **state)
{
    ngx_http_osb_route_t r;

    (void) state;

    assert_int_equal(host(&r, "a.b-80.box.test", "box.test"), NGX_OK);
    is(r.id, "a.b");
    assert_int_equal(host(&r, "a-b.c-80-0-0123abcdk.box.test", "box.test"),
                     NGX_OK);
    is(r.id, "a-b.c");
    is(r.signature, "0123abcdk");
    assert_int_equal(host(&r, ".box.test", "box.test"), NGX_DECLINED);
    assert_int_equal(host(&r, "a-80box.test", "box.test"), NGX_DECLINED);
    assert_int_equal(host(&r, "a-80.b.box.test", "box.test"), NGX_ERROR);
    assert_int_equal(host(&r, "a.b-80.box.test", ""), NGX_DECLINED);

    assert_int_equal(dotted(&r, "a.b-80.box.test"), NGX_OK);
    is(r.id, "a.b");
    assert_int_equal(r.port, 80);
    assert_int_equal(dotted(&r, "a-b.c-80.do-main.test"), NGX_OK);
    is(r.id, "a-b.c");
    assert_int_equal(dotted(&r, "a-80.b-90.test"), NGX_OK);
    is(r.id, "a");
    assert_int_equal(dotted(&r, "a.b-80"), NGX_DECLINED);
    assert_int_equal(dotted(&r, "a-x.test"), NGX_ERROR);
    assert_non_null(r.error);
    assert_int_equal(dotted(&r, "127.0.0.1"), NGX_DECLINED);
}

static void
a_header_may_be_a_host(void **state)
{
    ngx_http_osb_route_t r;

    (void) state;

    assert_int_equal(header(&r, "a.b-80"), NGX_OK);
    is(r.id, "a.b");
    assert_int_equal(header(&r, "a-b-80.do-main.test:443"), NGX_OK);
    is(r.id, "a-b");
    assert_int_equal(header(&r, "https://a-b-80.box.test/x"), NGX_OK);
    is(r.id, "a-b");
    assert_int_equal(header(&r, "http://a-80-0-0123abcdk"), NGX_OK);
    is(r.signature, "0123abcdk");
    assert_int_equal(header(&r, "https://"), NGX_ERROR);
    assert_int_equal(header(&r, "-80.box.test"), NGX_ERROR);
    assert_int_equal(header(&r, "a-0.box.test"), NGX_ERROR);
    assert_int_equal(header(&r, ""), NGX_ERROR);
    assert_non_null(r.error);
}

static void
an_expiry_is_base_36(void **state)
{
    ngx_str_t t;

    (void) state;

    t = text("0");
    assert_int_equal(ngx_http_osb_parse_expires(&t), 0);
    t = text("zz");
    assert_int_equal(ngx_http_osb_parse_expires(&t), 35 * 36 + 35);
    t = text("1y2p0ij32e8e7");
    assert_true(ngx_http_osb_parse_expires(&t) == INT64_MAX);
    t = text("1y2p0ij32e8e8");
    assert_true(ngx_http_osb_parse_expires(&t) == INT64_MAX);
    t = text("3w5e11264sgsf");
    assert_true(ngx_http_osb_parse_expires(&t) == INT64_MAX);
    t = text("3w5e11264sgsg");
    assert_int_equal(ngx_http_osb_parse_expires(&t), -1);
    t = text("zzzzzzzzzzzzz");
    assert_int_equal(ngx_http_osb_parse_expires(&t), -1);
    t = text("ZZ");
    assert_int_equal(ngx_http_osb_parse_expires(&t), -1);
    t = text("");
    assert_int_equal(ngx_http_osb_parse_expires(&t), -1);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_uri_names_id_port_and_rest),
        cmocka_unit_test(a_malformed_uri_is_an_error),
        cmocka_unit_test(an_id_has_at_most_63_characters),
        cmocka_unit_test(a_uri_may_look_signed),
        cmocka_unit_test(a_link_is_of_a_host),
        cmocka_unit_test(a_name_is_split_from_the_right),
        cmocka_unit_test(an_id_of_a_host_may_hold_dots),
        cmocka_unit_test(a_header_may_be_a_host),
        cmocka_unit_test(a_malformed_name_is_an_error),
        cmocka_unit_test(a_host_is_read_from_its_first_label),
        cmocka_unit_test(an_expiry_is_base_36),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
