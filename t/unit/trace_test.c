/* SPDX-License-Identifier: Apache-2.0 */
/* What is a valid traceparent (W3C Trace Context), and what is written. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "trace/parent.h"

#define ID     "0af7651916cd43dd8448eb211c80319c"
#define PARENT "b7ad6b7169203331"

static ngx_int_t
reads(const char *value, ngx_str_t *id, ngx_str_t *parent)
{
    ngx_str_t text = {strlen(value), (u_char *) (uintptr_t) value};

    return ngx_http_osb_trace_parent_read(&text, id, parent);
}

static void
takes_what_is_valid(void **state)
{
    ngx_str_t   id, parent;
    size_t      i;
    const char *good[] = {
        "00-" ID "-" PARENT "-01",  "00-" ID "-" PARENT "-00",
        "00-" ID "-" PARENT "-ff",  "01-" ID "-" PARENT "-01",
        "01-" ID "-" PARENT "-01-", "fe-" ID "-" PARENT "-01-what comes later",
    };

    (void) state;

    for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        assert_int_equal(reads(good[i], &id, &parent), NGX_OK);
        assert_int_equal(id.len, 32);
        assert_memory_equal(id.data, ID, 32);
        assert_int_equal(parent.len, 16);
        assert_memory_equal(parent.data, PARENT, 16);
    }
}

static void
refuses_what_is_not(void **state)
{
    ngx_str_t   id, parent;
    size_t      i;
    const char *bad[] = {
        "",
        "00",
        "00-" ID "-" PARENT,
        "00-" ID "-" PARENT "-",
        "00-" ID "-" PARENT "-1",
        "00-" ID "-" PARENT "-0g",
        "00-" ID "-" PARENT "-011",
        "00-" ID "-" PARENT "-01-",
        "00-" ID "-" PARENT "-01-later",
        "01-" ID "-" PARENT "-011",
        "01-" ID "-" PARENT "-01.later",
        "ff-" ID "-" PARENT "-01",
        "0g-" ID "-" PARENT "-01",
        "0F-" ID "-" PARENT "-01",
        "00_" ID "-" PARENT "-01",
        "00-" ID "_" PARENT "-01",
        "00-" ID "-" PARENT "_01",
        "00-0AF7651916CD43DD8448EB211C80319C-" PARENT "-01",
        "00-0af7651916cd43dd8448eb211c80319x-" PARENT "-01",
        "00-" ID "-B7AD6B7169203331-01",
        "00-00000000000000000000000000000000-" PARENT "-01",
        "00-" ID "-0000000000000000-01",
        " 00-" ID "-" PARENT "-01",
        "00-" ID "0-" PARENT "-1",
    };

    (void) state;

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(reads(bad[i], &id, &parent), NGX_DECLINED);
    }
}

static void
writes_what_it_reads(void **state)
{
    u_char    text[NGX_HTTP_OSB_TRACE_LEN + 1];
    u_char    random[NGX_HTTP_OSB_TRACE_RANDOM];
    size_t    i;
    ngx_str_t id, parent;

    (void) state;

    for (i = 0; i < sizeof(random); i++) {
        random[i] = (u_char) (0xf0 + i);
    }

    text[NGX_HTTP_OSB_TRACE_LEN] = '\0';
    ngx_http_osb_trace_parent_write(text, random);

    assert_string_equal((char *) text, "00-f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff-"
                                       "0001020304050607-01");
    assert_int_equal(reads((char *) text, &id, &parent), NGX_OK);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_what_is_valid),
        cmocka_unit_test(refuses_what_is_not),
        cmocka_unit_test(writes_what_it_reads),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
