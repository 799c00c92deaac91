/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "json/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char buffer[8192];

static void begin(struct json *json)
{
    json_begin(json, buffer, sizeof buffer);
}

static void check_end(struct json *json, const char *expected)
{
    size_t n = json_end(json);
    assert_string_equal(buffer, expected);
    assert_int_equal(n, strlen(expected));
}

static void check_string(const char *value, const char *expected)
{
    struct json json;
    char line[1024];
    snprintf(line, sizeof line, "{\"v\":%s}\n", expected);
    begin(&json);
    json_string(&json, "v", value);
    check_end(&json, line);
}

static void check_bytes(const void *data, size_t n_bytes, const char *expected)
{
    struct json json;
    /* Memory that ends where it ends: a sanitizer sees a read past it. */
    char *exact = malloc(n_bytes + (n_bytes == 0));
    assert_non_null(exact);
    if (n_bytes > 0)
        memcpy(exact, data, n_bytes);
    begin(&json);
    json_bytes(&json, exact, n_bytes);
    check_end(&json, expected);
    free(exact);
}

static void members(void **state)
{
    (void)state;
    struct json json;
    begin(&json);
    check_end(&json, "{}\n");
    begin(&json);
    json_string(&json, "event", "opened");
    json_number(&json, "bytes_in", 5);
    json_number(&json, "least", INT64_MIN);
    json_number(&json, "most", INT64_MAX);
    json_boolean(&json, "paused", true);
    json_boolean(&json, "ended", false);
    json_string(&json, "error", NULL);
    check_end(&json, "{\"event\":\"opened\",\"bytes_in\":5,\"least\":-9223372036854775808,"
                     "\"most\":9223372036854775807,\"paused\":true,\"ended\":false,\"error\":null}\n");
}

static void escapes(void **state)
{
    (void)state;
    check_string("", "\"\"");
    check_string("a\"b\\c/d", "\"a\\\"b\\\\c/d\"");
    check_string("\b\f\n\r\t\x1b\x7f", "\"\\u0008\\u000c\\n\\r\\t\\u001b\\u007f\"");
    check_string("\xc2\x80\xc2\x9b\xc2\x9f\xc2\xa0", "\"\\u0080\\u009b\\u009f\xc2\xa0\"");
    check_string("\xe2\x80\xae\xe2\x81\xa6\xd8\x9c\xe2\x80\x8b\xef\xbb\xbf", "\"\\u202e\\u2066\\u061c\\u200b\\ufeff\"");
    check_string("\xe2\x80\xa8\xe2\x80\xa9", "\"\\u2028\\u2029\"");
    check_string("\xf3\xa0\x80\x81", "\"\\udb40\\udc01\"");
    check_string("\xe4\xbd\xa0\xf0\x9f\x99\x82", "\"\xe4\xbd\xa0\xf0\x9f\x99\x82\"");
}

static void every_control_is_escaped(void **state)
{
    (void)state;
    for (int c = 1; c < 0x20; c++) {
        const char text[] = {(char)c, '\0'};
        char expected[16];
        snprintf(expected, sizeof expected, "\"\\u%04x\"", c);
        if (strchr("\n\r\t", c))
            snprintf(expected, sizeof expected, "\"\\%c\"", c == '\n' ? 'n' : c == '\r' ? 'r' : 't');
        check_string(text, expected);
    }
}

#define REPLACED "\xef\xbf\xbd"

static void invalid_utf8_is_replaced(void **state)
{
    (void)state;
    check_string("a\xff"
                 "b",
                 "\"a" REPLACED "b\"");
    check_string("\xc0\xaf", "\"" REPLACED REPLACED "\"");
    check_string("\xed\xa0\x80", "\"" REPLACED REPLACED REPLACED "\"");
    check_string("\xf4\x90\x80\x80", "\"" REPLACED REPLACED REPLACED REPLACED "\"");
    check_string("\xe4\xbd", "\"" REPLACED REPLACED "\"");
    check_string("\xe4\xbd\n", "\"" REPLACED REPLACED "\\n\"");
}

static void bytes_as_text(void **state)
{
    (void)state;
    check_bytes("", 0, "{\"text\":\"\"}\n");
    check_bytes("hello\n", 6, "{\"text\":\"hello\\n\"}\n");
    check_bytes("a\0b", 3, "{\"text\":\"a\\u0000b\"}\n");
    check_bytes("\xe4\xbd\xa0", 3, "{\"text\":\"\xe4\xbd\xa0\"}\n");
}

static void bytes_as_base64(void **state)
{
    (void)state;
    check_bytes("\xff", 1, "{\"base64\":\"/w==\"}\n");
    check_bytes("\xff\x00", 2, "{\"base64\":\"/wA=\"}\n");
    check_bytes("\xff\x00\xfb", 3, "{\"base64\":\"/wD7\"}\n");
    check_bytes("hello\xff", 6, "{\"base64\":\"aGVsbG//\"}\n");
    check_bytes("\xe4\xbd", 2, "{\"base64\":\"5L0=\"}\n");
    check_bytes("\xed\xa0\x80", 3, "{\"base64\":\"7aCA\"}\n");
}

static void times(void **state)
{
    (void)state;
    struct json json;
    begin(&json);
    json_time(&json, "time", 1795255451302118000);
    json_time(&json, "epoch", 0);
    json_time(&json, "before", -1);
    json_time(&json, "last", INT64_MAX);
    check_end(&json, "{\"time\":\"2026-11-21T10:04:11.302118Z\",\"epoch\":\"1970-01-01T00:00:00.000000Z\","
                     "\"before\":\"1969-12-31T23:59:59.999999Z\",\"last\":\"2262-04-11T23:47:16.854775Z\"}\n");
}

/* At every size: either the whole line with its NUL fits, or there is none, and nothing is written past the end. */
static void overflow(void **state)
{
    (void)state;
    static const char expected[] = "{\"s\":\"a\\u0007\",\"n\":-1,\"b\":true,\"base64\":\"/w==\"}\n";
    for (size_t size = 0; size < sizeof expected + 8; size++) {
        char *small = malloc(size + 1);
        assert_non_null(small);
        small[size] = '#';
        struct json json;
        json_begin(&json, small, size);
        json_string(&json, "s", "a\a");
        json_number(&json, "n", -1);
        json_boolean(&json, "b", true);
        json_bytes(&json, "\xff", 1);
        size_t n = json_end(&json);
        assert_int_equal(n, size >= sizeof expected ? sizeof expected - 1 : 0);
        if (n > 0)
            assert_string_equal(small, expected);
        assert_int_equal(small[size], '#');
        free(small);
    }
}

static void room_is_enough(void **state)
{
    (void)state;
    enum { N = 1000 };
    static char room[JSON_ROOM(N)], data[N];
    static const char worst[] = {'\0', '"', '\xff'};
    for (size_t i = 0; i < sizeof worst; i++) {
        memset(data, worst[i], sizeof data);
        struct json json;
        json_begin(&json, room, sizeof room);
        json_bytes(&json, data, sizeof data);
        assert_true(json_end(&json) > 0);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(members),
        cmocka_unit_test(escapes),
        cmocka_unit_test(every_control_is_escaped),
        cmocka_unit_test(invalid_utf8_is_replaced),
        cmocka_unit_test(bytes_as_text),
        cmocka_unit_test(bytes_as_base64),
        cmocka_unit_test(times),
        cmocka_unit_test(overflow),
        cmocka_unit_test(room_is_enough),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
