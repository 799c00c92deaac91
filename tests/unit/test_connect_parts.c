/* SPDX-License-Identifier: MIT */
#include "cli/connect/parts.h"

#include <errno.h>
#include <setjmp.h>
#include <sonde/error.h>
#include <sonde/url.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* ---- CRLF */

static size_t convert(struct crlf *crlf, const char *text, size_t n_bytes, char *ret_text)
{
    return crlf_convert(crlf, text, n_bytes, ret_text);
}

static void check_crlf(const char *from, const char *to)
{
    size_t n_from = strlen(from), n_to = strlen(to);
    char text[128];

    /* Whole, and cut in two at every place. */
    for (size_t cut = 0; cut <= n_from; cut++) {
        struct crlf crlf = {false};
        size_t n = convert(&crlf, from, cut, text);
        n += convert(&crlf, from + cut, n_from - cut, text + n);
        assert_int_equal(n, n_to);
        assert_memory_equal(text, to, n_to);
    }
}

static void test_crlf(void **state)
{
    (void)state;
    check_crlf("", "");
    check_crlf("no line end", "no line end");
    check_crlf("a\nb\n", "a\r\nb\r\n");
    check_crlf("a\r\nb\r\n", "a\r\nb\r\n");
    check_crlf("\n\n\n", "\r\n\r\n\r\n");
    check_crlf("\r\n\n", "\r\n\r\n");
    check_crlf("\r\r\n", "\r\r\n");
    check_crlf("a\rb\n", "a\rb\r\n");
}

static void test_crlf_byte_by_byte(void **state)
{
    static const char from[] = "a\nb\r\n\n\r\rc\n", to[] = "a\r\nb\r\n\r\n\r\rc\r\n";
    struct crlf crlf = {false};
    char text[64];
    size_t n = 0;

    (void)state;
    for (size_t i = 0; i < strlen(from); i++)
        n += crlf_convert(&crlf, from + i, 1, text + n);
    assert_int_equal(n, strlen(to));
    assert_memory_equal(text, to, n);
}

static void test_crlf_zero_bytes(void **state)
{
    struct crlf crlf = {false};
    char text[8];

    (void)state;
    assert_int_equal(crlf_convert(&crlf, "\0\n\0", 3, text), 4);
    assert_memory_equal(text, "\0\r\n\0", 4);
}

/* ---- lines */

static void test_line_length(void **state)
{
    bool whole;

    (void)state;
    assert_int_equal(line_length("a\nb\n", 4, &whole), 2);
    assert_true(whole);
    assert_int_equal(line_length("\n\n", 2, &whole), 1);
    assert_true(whole);
    assert_int_equal(line_length("abc", 3, &whole), 3);
    assert_false(whole);
    assert_int_equal(line_length("ab\0c\nd", 6, &whole), 5);
    assert_true(whole);
    /* The newline is behind what may be looked at. */
    assert_int_equal(line_length("abc\n", 3, &whole), 3);
    assert_false(whole);
}

/* ---- ports */

static void check_range(const char *text, unsigned first, unsigned last)
{
    struct port_range range = {0, 0};

    assert_true(port_range_parse(text, &range));
    assert_int_equal(range.first, first);
    assert_int_equal(range.last, last);
}

static void test_port_range(void **state)
{
    static const char *const wrong[] = {"",
                                        "-",
                                        "0",
                                        "65536",
                                        "20-",
                                        "-30",
                                        "20-30-40",
                                        "0-5",
                                        "a",
                                        "20-b",
                                        "20 30",
                                        "20,30",
                                        "+20",
                                        "20-65536",
                                        " 20",
                                        "20 ",
                                        "0x50",
                                        "20--30",
                                        "99999999999999999999"};
    struct port_range range = {1, 2};

    (void)state;
    check_range("80", 80, 80);
    check_range("20-30", 20, 30);
    check_range("30-20", 20, 30);
    check_range("1-65535", 1, 65535);
    check_range("7007-7007", 7007, 7007);
    check_range("0080", 80, 80);
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_false(port_range_parse(wrong[i], &range));
    assert_int_equal(range.first, 1);
    assert_int_equal(range.last, 2);
}

/* ---- the end of input */

static void check_eof(const char *text, enum eof_action action, int64_t patience_ns)
{
    struct eof_rule rule = {EOF_WAIT, -1};

    assert_true(eof_rule_parse(text, &rule));
    assert_int_equal(rule.action, action);
    assert_int_equal(rule.patience_ns, patience_ns);
}

static void test_eof_rule(void **state)
{
    static const char *const wrong[] = {"", "waiting", "after", "after:", "after:-1", "after:x", "5x", "close:1", "-"};
    struct eof_rule rule;

    (void)state;
    check_eof(NULL, EOF_WAIT, 0);
    check_eof("wait", EOF_WAIT, 0);
    check_eof("-1", EOF_WAIT, 0);
    check_eof("close", EOF_CLOSE, 0);
    check_eof("ignore", EOF_IGNORE, 0);
    check_eof("after:2", EOF_AFTER, 2 * NS_PER_SECOND);
    check_eof("after:0.5", EOF_AFTER, NS_PER_SECOND / 2);
    check_eof("after:250ms", EOF_AFTER, 250 * NS_PER_MS);
    check_eof("3", EOF_AFTER, 3 * NS_PER_SECOND);
    check_eof("0", EOF_CLOSE, 0);
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_false(eof_rule_parse(wrong[i], &rule));
}

/* The words of a command line as the kernel gives them: eof points into one of them. */
static bool is_last(int argc, char **argv, int eof_index, size_t eof_offset)
{
    return half_close_is_last(argc, argv, argv[eof_index] + eof_offset);
}

static void test_half_close_is_last(void **state)
{
    char connect[] = "connect", half_close[] = "-N", cluster[] = "-vN", other[] = "-v", quit[] = "-q", five[] = "5",
         attached[] = "-q5", long_form[] = "--eof=close", dashes[] = "--";

    (void)state;
    assert_true(is_last(4, (char *[]){connect, quit, five, half_close}, 2, 0));
    assert_false(is_last(4, (char *[]){connect, half_close, quit, five}, 3, 0));
    assert_true(is_last(3, (char *[]){connect, attached, cluster}, 1, 2));
    assert_false(is_last(3, (char *[]){connect, cluster, attached}, 2, 2));
    assert_true(is_last(4, (char *[]){connect, long_form, other, half_close}, 1, 6));
    assert_false(is_last(4, (char *[]){connect, half_close, other, long_form}, 3, 6));
    assert_false(is_last(4, (char *[]){connect, long_form, dashes, half_close}, 1, 6));
    assert_true(half_close_is_last(2, (char *[]){connect, half_close}, NULL));
    char listen_cluster[] = "-lkN";
    assert_true(is_last(4, (char *[]){connect, quit, five, listen_cluster}, 2, 0));
}

/* ---- retry */

static void test_retry_delay(void **state)
{
    static const int64_t ms[] = {100, 200, 400, 800, 1600, 2000, 2000};

    (void)state;
    for (size_t i = 0; i < sizeof ms / sizeof ms[0]; i++)
        assert_int_equal(retry_delay_ns(i + 1), ms[i] * NS_PER_MS);
    assert_int_equal(retry_delay_ns(UINT64_MAX), 2000 * NS_PER_MS);
}

static void test_retry_may_help(void **state)
{
    (void)state;
    assert_true(retry_may_help(-ECONNREFUSED));
    assert_true(retry_may_help(-ETIMEDOUT));
    assert_true(retry_may_help(-ENETUNREACH));
    assert_true(retry_may_help(-EHOSTUNREACH));
    assert_true(retry_may_help(-SONDE_ENAMELATER));
    assert_false(retry_may_help(0));
    assert_false(retry_may_help(-EACCES));
    assert_false(retry_may_help(-SONDE_ENAME));
    assert_false(retry_may_help(-EINVAL));
}

/* ---- the local address */

static void check_bind(const char *address, const char *port, const char *expected)
{
    char text[64];

    assert_true(bind_text(address, port, text, sizeof text));
    assert_string_equal(text, expected);
}

static void test_bind(void **state)
{
    char text[16];

    (void)state;
    check_bind("127.0.0.2", NULL, "127.0.0.2");
    check_bind("127.0.0.2", "5000", "127.0.0.2:5000");
    check_bind(NULL, "5000", ":5000");
    check_bind("::1", NULL, "[::1]");
    check_bind("127.0.0.2:5000", NULL, "127.0.0.2:5000");
    check_bind("[::1]:5000", NULL, "[::1]:5000");
    check_bind(":5000", NULL, ":5000");
    check_bind("::1", "5000", "[::1]:5000");
    check_bind("[::1]", "5000", "[::1]:5000");
    check_bind("fe80::1%eth0", "5000", "[fe80::1%eth0]:5000");
    assert_false(bind_text("255.255.255.255", "65535", text, sizeof text));
}

static void test_bind_url(void **state)
{
    char text[64], small[32];
    struct sonde_url url;

    (void)state;
    assert_true(bind_url("[fe80::1%eth0]:5000", text, sizeof text));
    assert_string_equal(text, "tcp://127.0.0.1:1?bind=%5Bfe80::1%25eth0%5D:5000");
    assert_int_equal(sonde_url_parse(text, &url, NULL), 0);
    assert_string_equal(url.option[SONDE_OPT_BIND].text, "[fe80::1%eth0]:5000");
    /* What would begin another option stays a part of this one. */
    assert_true(bind_url("a&ttl=1#?", text, sizeof text));
    assert_string_equal(text, "tcp://127.0.0.1:1?bind=a%26ttl%3D1%23%3F");
    assert_false(bind_url("127.0.0.1:5000", small, sizeof small));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_crlf),
        cmocka_unit_test(test_crlf_byte_by_byte),
        cmocka_unit_test(test_crlf_zero_bytes),
        cmocka_unit_test(test_line_length),
        cmocka_unit_test(test_port_range),
        cmocka_unit_test(test_eof_rule),
        cmocka_unit_test(test_half_close_is_last),
        cmocka_unit_test(test_retry_delay),
        cmocka_unit_test(test_retry_may_help),
        cmocka_unit_test(test_bind),
        cmocka_unit_test(test_bind_url),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
