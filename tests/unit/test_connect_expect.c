/* SPDX-License-Identifier: MIT */
#include "cli/connect/expect.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void open_it(struct expect *expect, const char *pattern)
{
    char why[160] = "";

    if (!expect_open(expect, pattern, why, sizeof why))
        fail_msg("%s: %s", pattern, why);
}

/* All at once, and cut at every place: does it match, and where? n_bytes long when it does. */
static void check(const char *pattern, const char *data, size_t n_data, bool at_end, bool matches, size_t offset,
                  size_t n_bytes)
{
    struct expect expect;

    open_it(&expect, pattern);
    for (size_t cut = 0; cut <= n_data; cut++) {
        uint64_t found, n_found;
        expect_restart(&expect);
        bool matched = expect_received(&expect, data, cut) || expect_received(&expect, data + cut, n_data - cut);
        if (!matched && at_end)
            matched = expect_look(&expect, true);
        assert_int_equal(matched, matches);
        assert_int_equal(expect.matched, matches);
        if (!matches)
            continue;
        expect_where(&expect, &found, &n_found);
        assert_int_equal(found, offset);
        if (cut == 0)
            assert_int_equal(n_found, n_bytes);
    }
    expect_free(&expect);
}

#define MATCHES(pattern, data, offset, n_bytes) check(pattern, data, sizeof(data) - 1, false, true, offset, n_bytes)
#define MISSES(pattern, data) check(pattern, data, sizeof(data) - 1, false, false, 0, 0)
#define MATCHES_AT_END(pattern, data, offset, n_bytes)                                                                 \
    check(pattern, data, sizeof(data) - 1, true, true, offset, n_bytes)
#define MISSES_AT_END(pattern, data) check(pattern, data, sizeof(data) - 1, true, false, 0, 0)

static void test_bytes(void **state)
{
    (void)state;
    MATCHES("hello", "hello", 0, 5);
    MATCHES("l{2}o", "hello", 2, 3);
    MATCHES("(x|ll)", "hello", 2, 2);
    MISSES("Hello", "hello");
    MATCHES("b", "\0\0b", 2, 1);
    MATCHES("a[^x]b", "a\0b", 0, 3);
    MATCHES("\xff\xfe", "\x80\xff\xfe", 1, 2); /* no UTF-8 */
    MATCHES("^.\xc3$", "a\xc3\n", 0, 2);
    MISSES("a.b", "a\nb");
    MATCHES("a\nb", "a\nb", 0, 3);
    MATCHES("[)(]x", "(x", 0, 2);
    MATCHES("[])]x", "]x", 0, 2);
    MATCHES("[[:digit:])]+z", "1)z", 0, 3);
    MATCHES("\\)", ")", 0, 1);
    MATCHES("a\\\\1", "a\\1", 0, 3);
}

static void test_lines(void **state)
{
    (void)state;
    MATCHES("^b", "a\nb", 2, 1);
    MISSES("^b", "ab");
    MATCHES("a$", "a\n", 0, 1);
    MISSES("a$", "a");
    MISSES("a$", "ab\n");
    MATCHES_AT_END("a$", "xa", 1, 1);
    MATCHES_AT_END("^xa$", "xa", 0, 2);
    MISSES_AT_END("a$", "ab");
    MATCHES("^$", "a\n\nb", 2, 0);
    MISSES_AT_END("^$", "a\n"); /* behind a newline no line has begun */
    MISSES_AT_END("^$", "");
    MATCHES_AT_END("b$|^c", "a\nb", 2, 1);
}

static void fill(char *data, size_t n_bytes)
{
    unsigned seed = 7;

    for (size_t i = 0; i < n_bytes; i++) {
        seed = seed * 1103515245 + 12345;
        data[i] = (char)('a' + (seed >> 16) % 20);
    }
}

enum { ALL = 300000 };

/* A needle at this place, in such pieces; what is far before it in one, for little pieces take long. */
static void check_needle(struct expect *expect, char *data, size_t piece, size_t at)
{
    uint64_t found, n_found;
    bool matched = false;
    size_t n = piece < 1000 && at > 2 * EXPECT_TAIL ? at - 2 * EXPECT_TAIL : 0;

    fill(data, ALL);
    memcpy(data + at, "XYZabcZ", 7);
    expect_restart(expect);
    assert_false(expect_received(expect, data, n));
    for (; n < ALL && !matched; n += piece)
        matched = expect_received(expect, data + n, piece < ALL - n ? piece : ALL - n);
    assert_true(matched);
    assert_true(n >= at + 7 && n < at + 7 + piece); /* by the piece that brings its end */
    expect_where(expect, &found, &n_found);
    assert_int_equal(found, at);
    assert_int_equal(n_found, 7);
}

/* A needle at every place in much data, in pieces of every kind. */
static void test_across_receives(void **state)
{
    static const size_t pieces[] = {1, 7, 1448, 4096, 65535, 65536, 65537, 131072, ALL};
    /* Around the window's end, and where what has gone out of it is dropped. */
    static const size_t edges[] = {EXPECT_WINDOW - 3, EXPECT_WINDOW + 1500, 2 * EXPECT_WINDOW - 3,
                                   2 * EXPECT_WINDOW + 1500, ALL - 7};
    char *data = malloc(ALL);
    struct expect expect;

    (void)state;
    open_it(&expect, "XYZ[a-z]{3}Z");
    for (size_t i = 0; i < sizeof pieces / sizeof pieces[0]; i++) {
        for (size_t at = 0; at + 7 <= ALL; at += 29989)
            check_needle(&expect, data, pieces[i], at);
        for (size_t k = 0; k < sizeof edges / sizeof edges[0]; k++)
            check_needle(&expect, data, pieces[i], edges[k]);
    }
    expect_free(&expect);
    free(data);
}

/* As long as the window, and byte by byte: when the peer falls silent, it is seen. */
static void test_a_match_of_the_whole_window(void **state)
{
    enum { BEFORE = 100000, LONG = EXPECT_WINDOW - 2 };
    char *data = malloc(LONG);
    struct expect expect;
    uint64_t found, n_found;

    (void)state;
    open_it(&expect, "X[a-z]*Y");
    fill(data, LONG);
    for (size_t n_piece = 1; n_piece <= 4096; n_piece *= 64) {
        bool matched = false;
        expect_restart(&expect);
        for (size_t n = 0; n < BEFORE; n += 100)
            assert_false(expect_received(&expect, data, 100));
        assert_false(expect_received(&expect, "X", 1));
        for (size_t n = 0; n < LONG; n += n_piece)
            assert_false(expect_received(&expect, data + n, n_piece < LONG - n ? n_piece : LONG - n));
        matched = expect_received(&expect, "Y", 1);
        if (!matched) {
            assert_true(expect_is_behind(&expect));
            matched = expect_look(&expect, false);
        }
        assert_true(matched);
        assert_false(expect_is_behind(&expect));
        expect_where(&expect, &found, &n_found);
        assert_int_equal(found, BEFORE);
        assert_int_equal(n_found, EXPECT_WINDOW);
    }
    expect_free(&expect);
    free(data);
}

/* ^ and \b where the tail is cut out of the middle of a line or word. */
static void test_what_stands_before_the_tail_counts(void **state)
{
    struct expect expect;
    char *data = malloc(EXPECT_WINDOW);

    (void)state;
    memset(data, 'x', EXPECT_WINDOW);
    for (int i = 0; i < 2; i++) {
        open_it(&expect, i == 0 ? "^x{20}" : "\\bx{20}[xy]*y");
        assert_int_equal(expect_received(&expect, "-", 1), false);
        for (size_t n = 0; n < 3 * EXPECT_WINDOW; n += 500)
            assert_false(expect_received(&expect, data, 500));
        assert_false(expect_look(&expect, false));
        assert_true(
            expect_received(&expect, i == 0 ? "\nxxxxxxxxxxxxxxxxxxxx" : "\nxxxxxxxxxxxxxxxxxxxxy", i == 0 ? 21 : 22));
        expect_free(&expect);
    }
    free(data);
}

static void test_the_next_connection_begins_anew(void **state)
{
    struct expect expect;
    uint64_t offset, n_bytes;

    (void)state;
    open_it(&expect, "^ab");
    assert_false(expect_received(&expect, "xa", 2));
    expect_restart(&expect);
    assert_false(expect_received(&expect, "b", 1));
    expect_restart(&expect);
    assert_true(expect_received(&expect, "ab", 2));
    expect_where(&expect, &offset, &n_bytes);
    assert_int_equal(offset, 0);
    assert_false(expect_look(&expect, true)); /* once is enough */
    expect_free(&expect);
}

static void test_not_understood(void **state)
{
    static const char *const patterns[] = {"",   "x*",     "(a",   "a)",       "[a",   "[[:nosuch:]]", "a{2,1}",
                                           "*(", "(a)\\1", "a|b*", "(x)?(y)?", "[)])", "(a))(b"};
    struct expect expect;

    (void)state;
    for (size_t i = 0; i < sizeof patterns / sizeof patterns[0]; i++) {
        char why[160] = "";
        if (expect_open(&expect, patterns[i], why, sizeof why))
            fail_msg("\"%s\" is understood", patterns[i]);
        assert_true(strlen(why) > 0);
        expect_free(&expect); /* does no harm */
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bytes),
        cmocka_unit_test(test_lines),
        cmocka_unit_test(test_across_receives),
        cmocka_unit_test(test_a_match_of_the_whole_window),
        cmocka_unit_test(test_what_stands_before_the_tail_counts),
        cmocka_unit_test(test_the_next_connection_begins_anew),
        cmocka_unit_test(test_not_understood),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
