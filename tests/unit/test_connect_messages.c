/* SPDX-License-Identifier: MIT */
#include "cli/connect/base64.h"
#include "cli/connect/echo_window.h"
#include "cli/connect/headers.h"
#include "cli/connect/slash.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* ---- base64: the vectors of RFC 4648, 10, and everything that is none */

static void test_base64_vectors(void **state)
{
    static const char *const rows[][2] = {
        {"", ""},
        {"f", "Zg=="},
        {"fo", "Zm8="},
        {"foo", "Zm9v"},
        {"foob", "Zm9vYg=="},
        {"fooba", "Zm9vYmE="},
        {"foobar", "Zm9vYmFy"},
        {"\xff\xfe\xfd", "//79"},
    };
    char text[16], bytes[16];
    size_t n, at;

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        size_t n_text = strlen(rows[i][1]);
        assert_int_equal(base64_encode(rows[i][0], strlen(rows[i][0]), text), n_text);
        assert_int_equal(n_text, BASE64_TEXT(strlen(rows[i][0])));
        assert_memory_equal(text, rows[i][1], n_text);
        assert_true(base64_decode(rows[i][1], n_text, bytes, &n, &at));
        assert_int_equal(n, strlen(rows[i][0]));
        assert_memory_equal(bytes, rows[i][0], n);
        /* Without its padding. */
        n_text = strcspn(rows[i][1], "=");
        assert_true(base64_decode(rows[i][1], n_text, bytes, &n, &at));
        assert_int_equal(n, strlen(rows[i][0]));
    }
}

static void test_base64_is_refused(void **state)
{
    static const struct {
        const char *text;
        size_t at;
    } rows[] = {
        {"Z", 0},    {"Zm9vY", 4}, {"Zm9v Yg==", 4}, {"Zg=", 2},  {"=", 0},        {"====", 0},
        {"Zh==", 1}, {"Zm9=", 2},  {"Zm9v\n", 4},    {"Z*9v", 1}, {"Zg==Zg==", 2}, {"Zm-_", 2},
    };
    char bytes[16];
    size_t n, at;

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        at = 99;
        assert_false(base64_decode(rows[i].text, strlen(rows[i].text), bytes, &n, &at));
        assert_int_equal(at, rows[i].at);
    }
}

static void test_base64_all_lengths(void **state)
{
    unsigned char bytes[256], back[512];
    char text[512];
    size_t n, at;

    (void)state;
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (unsigned char)(i * 167 + 13);
    for (size_t n_bytes = 0; n_bytes <= sizeof bytes; n_bytes++) {
        size_t n_text = base64_encode(bytes, n_bytes, text);
        assert_true(base64_decode(text, n_text, back, &n, &at));
        assert_int_equal(n, n_bytes);
        assert_memory_equal(back, bytes, n);
    }
}

/* ---- commands */

static void check(const char *line, enum slash_kind kind, unsigned code, const char *text)
{
    struct slash slash;

    slash_parse(line, strlen(line), &slash);
    assert_int_equal(slash.kind, kind);
    if (kind == SLASH_WRONG) {
        assert_non_null(slash.wrong);
        return;
    }
    assert_int_equal(slash.code, code);
    assert_int_equal(slash.n_text, strlen(text));
    assert_memory_equal(slash.text, text, strlen(text));
}

static void test_commands(void **state)
{
    char long_ping[160] = "/ping ", long_reason[160] = "/close 1000 ";

    (void)state;
    check("hello", SLASH_MESSAGE, 0, "hello");
    check("", SLASH_MESSAGE, 0, "");
    check(" /ping", SLASH_MESSAGE, 0, " /ping");
    check("//ping", SLASH_MESSAGE, 0, "/ping");
    check("//", SLASH_MESSAGE, 0, "/");
    check("///", SLASH_MESSAGE, 0, "//");
    check("/ping", SLASH_PING, 0, "");
    check("/ping a b", SLASH_PING, 0, "a b");
    check("/close", SLASH_CLOSE, 1000, "");
    check("/close 1000 bye", SLASH_CLOSE, 1000, "bye");
    check("/close 4999 a  b ", SLASH_CLOSE, 4999, "a  b ");
    check("/binary 00 ff", SLASH_BINARY, 0, "00 ff");
    check("/help", SLASH_HELP, 0, "");
    check("/", SLASH_WRONG, 0, NULL);
    check("/pingx", SLASH_WRONG, 0, NULL);
    check("/close bye", SLASH_WRONG, 0, NULL);
    check("/close 999", SLASH_WRONG, 0, NULL);
    check("/close 1005", SLASH_WRONG, 0, NULL);
    check("/close 1006", SLASH_WRONG, 0, NULL);
    check("/close 1015", SLASH_WRONG, 0, NULL);
    check("/close 5000", SLASH_WRONG, 0, NULL);
    check("/close 18446744073709552616", SLASH_WRONG, 0, NULL);
    check("/close 1000 \xff", SLASH_WRONG, 0, NULL);
    memset(long_ping + 6, 'x', 125);
    check(long_ping, SLASH_PING, 0, long_ping + 6);
    memset(long_ping + 6, 'x', 126);
    check(long_ping, SLASH_WRONG, 0, NULL);
    memset(long_reason + 12, 'x', 123);
    check(long_reason, SLASH_CLOSE, 1000, long_reason + 12);
    memset(long_reason + 12, 'x', 124);
    check(long_reason, SLASH_WRONG, 0, NULL);
}

static void test_hex(void **state)
{
    unsigned char bytes[8];
    size_t n = 99;

    (void)state;
    assert_true(slash_unhex("48 65 6C6c", 10, bytes, &n));
    assert_int_equal(n, 4);
    assert_memory_equal(bytes, "Hell", 4);
    assert_true(slash_unhex("", 0, bytes, &n));
    assert_int_equal(n, 0);
    assert_false(slash_unhex("4", 1, bytes, &n));
    assert_false(slash_unhex("4 8", 3, bytes, &n));
    assert_false(slash_unhex("4g", 2, bytes, &n));
    assert_false(slash_unhex("48\0", 3, bytes, &n));
}

/* ---- headers */

static void test_headers(void **state)
{
    static const char *const right[] = {"Cookie: a=b", "X:", "X-Y: \t caf\xc3\xa9", "a!#$%&'*+-.^_`|~9: :"};
    static const char *const wrong[] = {"",         ":",      "Cookie",   "Coo kie: x", ": x", "X: a\r\nY: b",
                                        "X: a\x01", "X\n: b", "X: a\x7f", "\xc3\xa9: x"};

    (void)state;
    for (size_t i = 0; i < sizeof right / sizeof right[0]; i++)
        assert_true(header_is_right(right[i], strlen(right[i])));
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_false(header_is_right(wrong[i], strlen(wrong[i])));
    assert_false(header_is_right("X: a\0b", 6));
    assert_false(header_is_right("X\0: a", 5));
}

/* A secret does not stay where ps finds it. */
static void test_header_is_written_over(void **state)
{
    char text[] = "Authorization: Bearer secret";
    struct headers headers = {.n = 0};

    (void)state;
    assert_true(header_list_add(&headers, text));
    assert_string_equal(headers.lines[0], "Authorization: Bearer secret");
    assert_null(headers.lines[1]);
    assert_string_equal(text, "Authorization:xxxxxxxxxxxxxx");
    header_list_free(&headers);
    assert_int_equal(headers.n, 0);
}

/* ---- the echo of messages */

static void send_number(struct echo_window *window, unsigned number)
{
    assert_true(echo_sent(window, &number, sizeof number, 0));
}

static enum echo_verdict receive_number(struct echo_window *window, unsigned number)
{
    return echo_received(window, &number, sizeof number, 0);
}

static void test_echo_in_order(void **state)
{
    struct echo_window window = {.n = 0};

    (void)state;
    echo_restart(&window, true);
    for (unsigned i = 0; i < 3 * ECHO_MESSAGES; i++) {
        send_number(&window, i);
        assert_int_equal(receive_number(&window, i), ECHO_SAME);
    }
    assert_int_equal(echo_missing(&window), 0);
    assert_int_equal(window.n_returned, 3 * ECHO_MESSAGES);
    send_number(&window, 1);
    send_number(&window, 2);
    assert_int_equal(receive_number(&window, 2), ECHO_WRONG);
    assert_int_equal(window.wrong_number, 3 * ECHO_MESSAGES + 1);
    assert_int_equal(window.n_expected_bytes, sizeof(unsigned));
    assert_false(window.none_expected);
    assert_int_equal(window.expected[0], 1);
    assert_int_equal(window.came[0], 2);
    echo_restart(&window, true);
    assert_int_equal(receive_number(&window, 7), ECHO_WRONG);
    assert_true(window.none_expected);
    echo_restart(&window, true);
}

static void test_echo_knows_kind_and_length(void **state)
{
    struct echo_window window = {.n = 0};

    (void)state;
    echo_restart(&window, true);
    assert_true(echo_sent(&window, "ab", 2, 1));
    assert_int_equal(echo_received(&window, "ab", 2, 0), ECHO_WRONG);
    echo_restart(&window, true);
    assert_true(echo_sent(&window, "ab", 2, 0));
    assert_int_equal(echo_received(&window, "a", 1, 0), ECHO_WRONG);
    echo_restart(&window, true);
    assert_true(echo_sent(&window, "", 0, 1));
    assert_int_equal(echo_received(&window, "", 0, 1), ECHO_SAME);
    echo_restart(&window, false);
}

static void test_echo_of_datagrams(void **state)
{
    struct echo_window window = {.n = 0};

    (void)state;
    echo_restart(&window, false);
    for (unsigned i = 0; i < 10; i++)
        send_number(&window, i);
    assert_int_equal(receive_number(&window, 0), ECHO_SAME);
    assert_int_equal(receive_number(&window, 2), ECHO_SAME); /* 1 is missing */
    assert_int_equal(receive_number(&window, 3), ECHO_SAME); /* which is no fault of 3 */
    assert_int_equal(echo_missing(&window), 7);
    assert_int_equal(receive_number(&window, 1), ECHO_LATE);
    assert_int_equal(receive_number(&window, 1), ECHO_DOUBLE);
    assert_int_equal(receive_number(&window, 99), ECHO_WRONG);
    assert_int_equal(receive_number(&window, 9), ECHO_SAME);
    assert_int_equal(window.n_returned, 5);
    assert_int_equal(window.n_late, 1);
    assert_int_equal(window.n_doubled, 1);
    assert_int_equal(window.n_wrong, 1);
    assert_int_equal(echo_missing(&window), 5);
    echo_restart(&window, false);
}

static void test_echo_is_bounded(void **state)
{
    struct echo_window window = {.n = 0};
    unsigned i;

    (void)state;
    echo_restart(&window, false);
    for (i = 0; echo_has_room(&window); i++)
        send_number(&window, i);
    assert_int_equal(i, ECHO_UNANSWERED);
    echo_give_up(&window);
    assert_true(echo_has_room(&window));
    assert_int_equal(echo_missing(&window), ECHO_UNANSWERED);
    for (i = 0; i < 2 * ECHO_MESSAGES; i++)
        send_number(&window, 1000 + i);
    assert_int_equal(window.n, ECHO_MESSAGES);
    assert_int_equal(echo_missing(&window), ECHO_UNANSWERED + 2 * ECHO_MESSAGES);
    /* Too long ago to be known. */
    assert_int_equal(receive_number(&window, 0), ECHO_WRONG);
    echo_restart(&window, false);
}

/* The same message again and again, as --repeat sends it. */
static void test_echo_of_equal_messages(void **state)
{
    struct echo_window window = {.n = 0};

    (void)state;
    echo_restart(&window, false);
    for (unsigned i = 0; i < 20; i++)
        send_number(&window, 5);
    for (unsigned i = 0; i < 20; i++)
        assert_int_equal(receive_number(&window, 5), ECHO_SAME);
    assert_int_equal(echo_missing(&window), 0);
    assert_int_equal(receive_number(&window, 5), ECHO_DOUBLE);
    echo_restart(&window, false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_base64_vectors),
        cmocka_unit_test(test_base64_is_refused),
        cmocka_unit_test(test_base64_all_lengths),
        cmocka_unit_test(test_commands),
        cmocka_unit_test(test_hex),
        cmocka_unit_test(test_headers),
        cmocka_unit_test(test_header_is_written_over),
        cmocka_unit_test(test_echo_in_order),
        cmocka_unit_test(test_echo_knows_kind_and_length),
        cmocka_unit_test(test_echo_of_datagrams),
        cmocka_unit_test(test_echo_is_bounded),
        cmocka_unit_test(test_echo_of_equal_messages),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
