/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/parse.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define UNTOUCHED 4711

/* The text in memory that ends where it ends: a sanitizer sees a read past it. */
static char *exact(const char *text, size_t n_bytes)
{
    char *copy = malloc(n_bytes + (n_bytes == 0));

    assert_non_null(copy);
    memcpy(copy, text, n_bytes);
    return copy;
}

struct row {
    const char *text;
    int error;
    int64_t value;
};

typedef int (*parse_function)(const char *text, size_t n_bytes, int64_t *ret_value);

static void check_rows(const struct row *rows, size_t n_rows, parse_function parse)
{
    for (size_t i = 0; i < n_rows; i++) {
        size_t n = strlen(rows[i].text);
        char *text = exact(rows[i].text, n);
        int64_t value = UNTOUCHED;
        int error = parse(text, n, &value);
        free(text);
        if (error != rows[i].error)
            fail_msg("\"%s\": %d instead of %d", rows[i].text, error, rows[i].error);
        if (value != (rows[i].error < 0 ? UNTOUCHED : rows[i].value))
            fail_msg("\"%s\": %lld", rows[i].text, (long long)value);
    }
}

#define CHECK_ROWS(rows, parse) check_rows(rows, sizeof(rows) / sizeof *(rows), parse)

/* What none of them takes. */
static const struct row nonsense[] = {
    {"", -EINVAL, 0},         {" ", -EINVAL, 0},     {"+1", -EINVAL, 0},  {"-1", -EINVAL, 0},   {"-0", -EINVAL, 0},
    {"1 ", -EINVAL, 0},       {" 1", -EINVAL, 0},    {"1\n", -EINVAL, 0}, {"0x10", -EINVAL, 0}, {"1e3", -EINVAL, 0},
    {"1,5", -EINVAL, 0},      {"1_000", -EINVAL, 0}, {"nan", -EINVAL, 0}, {"inf", -EINVAL, 0},  {"k", -EINVAL, 0},
    {"s", -EINVAL, 0},        {"1kk", -EINVAL, 0},   {"1x", -EINVAL, 0},  {"--1", -EINVAL, 0},  {"1-", -EINVAL, 0},
    {"\xd9\xa1", -EINVAL, 0}, {"1\x80", -EINVAL, 0}, {"1@", -EINVAL, 0},  {"1/", -EINVAL, 0},   {"1:", -EINVAL, 0},
};

static int parse_limited(const char *text, size_t n_bytes, int64_t *ret_value)
{
    uint64_t number = 0;
    int error = parse_number(text, n_bytes, false, 65535, &number);

    if (error == 0)
        *ret_value = (int64_t)number;
    return error;
}

static int parse_with_hex(const char *text, size_t n_bytes, int64_t *ret_value)
{
    uint64_t number = 0;
    int error = parse_number(text, n_bytes, true, UINT64_MAX, &number);

    if (error == 0)
        *ret_value = (int64_t)number;
    return error;
}

static void numbers(void **state)
{
    static const struct row limited[] = {
        {"0", 0, 0},
        {"7", 0, 7},
        {"65535", 0, 65535},
        {"000065535", 0, 65535},
        {"65536", -ERANGE, 0},
        {"18446744073709551615", -ERANGE, 0},
        {"18446744073709551616", -ERANGE, 0},
        {"99999999999999999999999999999999999999", -ERANGE, 0},
        {"99999999999999999999999999999999999999x", -EINVAL, 0},
        {"1k", -EINVAL, 0},
        {"ff", -EINVAL, 0},
    };
    static const struct row hexadecimal[] = {
        {"0x0", 0, 0},
        {"0xff", 0, 255},
        {"0XfF", 0, 255},
        {"010", 0, 10},
        {"10", 0, 10},
        {"0x", -EINVAL, 0},
        {"x1", -EINVAL, 0},
        {"0xg", -EINVAL, 0},
        {"0x 1", -EINVAL, 0},
        {"0x-1", -EINVAL, 0},
        {"0x0x1", -EINVAL, 0},
        {"ff", -EINVAL, 0},
        {"0xffffffffffffffff", 0, -1},
        {"0x10000000000000000", -ERANGE, 0},
        {"18446744073709551615", 0, -1},
        {"18446744073709551616", -ERANGE, 0},
    };

    (void)state;
    CHECK_ROWS(nonsense, parse_limited);
    CHECK_ROWS(limited, parse_limited);
    CHECK_ROWS(hexadecimal, parse_with_hex);
}

static void counts(void **state)
{
    static const struct row rows[] = {
        {"0", 0, 0},
        {"1", 0, 1},
        {"007", 0, 7},
        {"64k", 0, 64000},
        {"64K", 0, 64000},
        {"2M", 0, 2000000},
        {"2m", 0, 2000000},
        {"3G", 0, 3000000000},
        {"1T", 0, 1000000000000},
        {"0T", 0, 0},
        {"9223372036854775807", 0, INT64_MAX},
        {"9223372036854775808", -ERANGE, 0},
        {"9223372036854775k", 0, 9223372036854775000},
        {"9223372036854776k", -ERANGE, 0},
        {"9223372T", 0, 9223372000000000000},
        {"9223373T", -ERANGE, 0},
        {"99999999999999999999k", -ERANGE, 0},
        {"1.5", -EINVAL, 0},
        {"1.5k", -EINVAL, 0},
        {"1P", -EINVAL, 0},
        {"1kB", -EINVAL, 0},
        {"1\xeb", -EINVAL, 0},
    };
    int64_t value = UNTOUCHED;

    (void)state;
    CHECK_ROWS(nonsense, parse_count);
    CHECK_ROWS(rows, parse_count);
    /* A NUL is a byte like any other, not the end and not a letter that strchr finds. */
    assert_int_equal(parse_count("1\0", 2, &value), -EINVAL);
    assert_int_equal(parse_count("1\0k", 3, &value), -EINVAL);
    assert_int_equal(parse_count("12345", 2, &value), 0);
    assert_int_equal(value, 12);
}

static void sizes(void **state)
{
    static const struct row rows[] = {
        {"0", 0, 0},
        {"1", 0, 1},
        {"64k", 0, 65536},
        {"1M", 0, 1048576},
        {"1g", 0, 1073741824},
        {"8388607T", 0, 9223370937343148032},
        {"8388608T", -ERANGE, 0},
        {"1.5k", -EINVAL, 0},
        {"1KiB", -EINVAL, 0},
    };

    (void)state;
    CHECK_ROWS(nonsense, parse_size);
    CHECK_ROWS(rows, parse_size);
}

static void durations(void **state)
{
    static const struct row rows[] = {
        {"0", 0, 0},
        {"5", 0, 5000000000},
        {"5s", 0, 5000000000},
        {"0.5", 0, 500000000},
        {".5", 0, 500000000},
        {"0.3", 0, 300000000},
        {"0.1s", 0, 100000000},
        {"500ms", 0, 500000000},
        {"2s", 0, 2000000000},
        {"1m", 0, 60000000000},
        {"1.5m", 0, 90000000000},
        {"2h", 0, 7200000000000},
        {"1d", 0, 86400000000000},
        {"100us", 0, 100000},
        {"1.5us", 0, 1500},
        {"7ns", 0, 7},
        {"0.000000001", 0, 1},
        {"0.0000000010000000000000000", 0, 1},
        {"1.000000000000000000000000", 0, 1000000000},
        {"0.0000000001", -EINVAL, 0},
        {"0.5ns", -EINVAL, 0},
        {"1.0ns", 0, 1},
        {"0.00000000001d", 0, 864},
        {"0.000000000001d", -EINVAL, 0},
        {"0.0001us", -EINVAL, 0},
        {"9223372036", 0, 9223372036000000000},
        {"9223372036.854775807", 0, INT64_MAX},
        {"9223372036.854775808", -ERANGE, 0},
        {"9223372037", -ERANGE, 0},
        {"9223372036854775807ns", 0, INT64_MAX},
        {"9223372036854775808ns", -ERANGE, 0},
        {"106751d", 0, 9223286400000000000},
        {"106752d", -ERANGE, 0},
        {"99999999999999999999", -ERANGE, 0},
        {"99999999999999999999x", -EINVAL, 0},
        {".", -EINVAL, 0},
        {"5.", -EINVAL, 0},
        {"5.s", -EINVAL, 0},
        {".s", -EINVAL, 0},
        {"ms", -EINVAL, 0},
        {"1.2.3", -EINVAL, 0},
        {"-1s", -EINVAL, 0},
        {"1 s", -EINVAL, 0},
        {"1S", -EINVAL, 0},
        {"1M", -EINVAL, 0},
        {"1sec", -EINVAL, 0},
        {"1m30s", -EINVAL, 0},
        {"1\xc2\xb5s", -EINVAL, 0},
    };
    int64_t value = UNTOUCHED;

    (void)state;
    CHECK_ROWS(nonsense, parse_duration);
    CHECK_ROWS(rows, parse_duration);
    assert_int_equal(parse_duration("1\0", 2, &value), -EINVAL);
    assert_int_equal(parse_duration("1s\0", 3, &value), -EINVAL);
}

static void percent_encoding(void **state)
{
    static const struct {
        const char *text;
        const char *bytes;
        size_t n_bytes;
    } good[] = {
        {"", "", 0},      {"abc", "abc", 3},  {"%41", "A", 1}, {"%2f%2F", "//", 2}, {"a%20b", "a b", 3},
        {"%00", "\0", 1}, {"%ff", "\xff", 1}, {"%25", "%", 1}, {"%2525", "%25", 3}, {"x%0a", "x\n", 2},
    };
    static const char *const bad[] = {"%", "%2", "a%", "a%4", "%g0", "%0g", "%%", "%%41", "% 1", "%+1", "%-1", "%x1"};
    char bytes[8];
    size_t n;

    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        size_t n_text = strlen(good[i].text);
        char *text = exact(good[i].text, n_text);
        n = UNTOUCHED;
        assert_int_equal(parse_percent(text, n_text, bytes, sizeof bytes, &n), 0);
        assert_int_equal(n, good[i].n_bytes);
        assert_memory_equal(bytes, good[i].bytes, n);
        free(text);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        size_t n_text = strlen(bad[i]);
        char *text = exact(bad[i], n_text);
        memset(bytes, 'u', sizeof bytes);
        n = UNTOUCHED;
        assert_int_equal(parse_percent(text, n_text, bytes, sizeof bytes, &n), -EINVAL);
        assert_int_equal(n, UNTOUCHED);
        assert_memory_equal(bytes, "uuuuuuuu", sizeof bytes);
        free(text);
    }
    /* As long as there is room, and not one byte longer. */
    assert_int_equal(parse_percent("%31%32%33", 9, bytes, 3, &n), 0);
    assert_int_equal(n, 3);
    memset(bytes, 'u', sizeof bytes);
    assert_int_equal(parse_percent("%31%32%33", 9, bytes, 2, &n), -ERANGE);
    assert_memory_equal(bytes, "uuuuuuuu", sizeof bytes);
}

static void refusals(void **state)
{
    struct sonde_why why;
    char longest[400], expected[sizeof why.subject];

    (void)state;
    assert_int_equal(parse_refuse(NULL, -EINVAL, "x", 1, "y"), -EINVAL);

    memset(&why, 'u', sizeof why);
    assert_int_equal(parse_refuse(&why, -SONDE_EURL, "a b\n\x1b\x7f\xc3", 7, "hint"), -SONDE_EURL);
    assert_int_equal(why.code, -SONDE_EURL);
    assert_string_equal(why.call, "parse");
    assert_string_equal(why.subject, "a b%0A%1B%7F%C3");
    assert_string_equal(why.detail, "hint");

    /* Cut to fit, never through the middle of an escape. */
    memset(longest, 'x', sizeof longest);
    longest[sizeof longest - 1] = '\0';
    memset(expected, 'x', sizeof expected);
    expected[sizeof expected - 1] = '\0';
    parse_refuse(&why, -SONDE_EURL, longest, sizeof longest - 1, longest);
    assert_string_equal(why.subject, expected);
    assert_int_equal(strlen(why.detail), sizeof why.detail - 1);
    longest[sizeof why.subject - 3] = '\n';
    parse_refuse(&why, -SONDE_EURL, longest, sizeof longest - 1, "");
    expected[sizeof expected - 3] = '\0';
    assert_string_equal(why.subject, expected);
    assert_string_equal(why.detail, "");
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers),   cmocka_unit_test(counts),           cmocka_unit_test(sizes),
        cmocka_unit_test(durations), cmocka_unit_test(percent_encoding), cmocka_unit_test(refusals),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
