/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ws/ws.h"

#include <string.h>

/*
 * What UTF-8 is, in other words than the code's: the table of well-formed byte sequences of the Unicode standard (3-7).
 * Says after how many bytes it can't be any more, or n + 1 when it could go on; *ret_whole: it ends between characters.
 */
static size_t table(const uint8_t *bytes, size_t n, bool *ret_whole)
{
    static const uint8_t rows[][8] = {
        {0x00, 0x7f},
        {0xc2, 0xdf, 0x80, 0xbf},
        {0xe0, 0xe0, 0xa0, 0xbf, 0x80, 0xbf},
        {0xe1, 0xec, 0x80, 0xbf, 0x80, 0xbf},
        {0xed, 0xed, 0x80, 0x9f, 0x80, 0xbf},
        {0xee, 0xef, 0x80, 0xbf, 0x80, 0xbf},
        {0xf0, 0xf0, 0x90, 0xbf, 0x80, 0xbf, 0x80, 0xbf},
        {0xf1, 0xf3, 0x80, 0xbf, 0x80, 0xbf, 0x80, 0xbf},
        {0xf4, 0xf4, 0x80, 0x8f, 0x80, 0xbf, 0x80, 0xbf},
    };
    static const unsigned lengths[] = {1, 2, 3, 3, 3, 3, 4, 4, 4};

    *ret_whole = true;
    for (size_t i = 0; i < n;) {
        unsigned row = 0;
        while (row < 9 && (bytes[i] < rows[row][0] || bytes[i] > rows[row][1]))
            row++;
        if (row == 9)
            return i + 1;
        for (unsigned k = 1; k < lengths[row]; k++) {
            if (i + k == n) {
                *ret_whole = false;
                return n + 1;
            }
            if (bytes[i + k] < rows[row][2 * k] || bytes[i + k] > rows[row][2 * k + 1])
                return i + k + 1;
        }
        i += lengths[row];
    }
    return n + 1;
}

/* As one piece, byte by byte, and in every two pieces. */
static void check(const uint8_t *bytes, size_t n)
{
    bool whole;
    size_t stops = table(bytes, n, &whole);
    struct ws_utf8 utf8 = {0};
    size_t i = 0;

    assert_int_equal(ws_utf8_valid(bytes, n), stops > n && whole);
    while (i < n && ws_utf8_feed(&utf8, bytes + i, 1))
        i++;
    assert_int_equal(i + 1, stops);
    for (size_t cut = 0; cut <= n; cut++) {
        utf8 = (struct ws_utf8){0};
        bool first = ws_utf8_feed(&utf8, bytes, cut);
        assert_int_equal(first, cut < stops);
        if (!first)
            continue;
        assert_int_equal(ws_utf8_feed(&utf8, bytes + cut, n - cut), stops > n);
        if (stops > n)
            assert_int_equal(ws_utf8_complete(&utf8), whole);
    }
}

static void two_bytes(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 0x10000; i++)
        check((const uint8_t[]){(uint8_t)(i >> 8), (uint8_t)i}, 2);
}

/* All of three bytes that begin with one of two or more, and what matters of four. */
static void more_bytes(void **state)
{
    static const uint8_t edges[] = {0x00, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xc2, 0xed, 0xf4, 0xff};
    bool whole;

    (void)state;
    for (unsigned i = 0xc00000; i <= 0xffffff; i++) {
        const uint8_t bytes[] = {(uint8_t)(i >> 16), (uint8_t)(i >> 8), (uint8_t)i};
        bool valid = table(bytes, 3, &whole) > 3 && whole;
        if (ws_utf8_valid(bytes, 3) != valid)
            fail_msg("%06x", i);
    }
    for (unsigned first = 0xe0; first <= 0xff; first++)
        for (unsigned second = 0; second <= 0xff; second++)
            for (size_t k = 0; k < sizeof edges; k++)
                for (size_t l = 0; l < sizeof edges; l++)
                    check((const uint8_t[]){(uint8_t)first, (uint8_t)second, edges[k], edges[l]}, 4);
}

/* Every character there is. */
static void all_characters(void **state)
{
    (void)state;
    for (uint32_t c = 0; c < 0x120000; c++) {
        uint8_t bytes[4];
        size_t n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
        if (n == 1)
            bytes[0] = (uint8_t)c;
        for (size_t i = n - 1, rest = c; n > 1 && i > 0; i--, rest >>= 6)
            bytes[i] = (uint8_t)(0x80 | (rest & 0x3f));
        if (n > 1)
            bytes[0] = (uint8_t)((0xf00u >> n) | c >> (6 * (n - 1)));
        bool valid = c <= 0x10ffff && (c < 0xd800 || c > 0xdfff);
        if (ws_utf8_valid(bytes, n) != valid)
            fail_msg("U+%06x", c);
    }
}

/* The places that decoders have got wrong: boundaries of lengths, overlong forms, surrogates, lonely and missing
 * continuations, beyond the last character, the old forms of five and six bytes. */
static const char *const texts[] = {
    "\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5",
    "\xc2\x80",
    "\xe0\xa0\x80",
    "\xf0\x90\x80\x80",
    "\x7f",
    "\xdf\xbf",
    "\xef\xbf\xbf",
    "\xef\xbf\xbd",
    "\xf4\x8f\xbf\xbf",
    "\xf4\x90\x80\x80",
    "\xed\x9f\xbf",
    "\xee\x80\x80",
    "\xf8\x88\x80\x80\x80",
    "\xfc\x84\x80\x80\x80\x80",
    "\xf7\xbf\xbf\xbf",
    "\xfb\xbf\xbf\xbf\xbf",
    "\x80",
    "\xbf",
    "\x80\xbf\x80\xbf",
    "\xc0 \xc1 \xc2 ",
    "\xe0 \xe1 ",
    "\xf0 \xf1 ",
    "\xc0",
    "\xe0\x80",
    "\xf0\x80\x80",
    "\xf8\x80\x80\x80",
    "\xdf",
    "\xef\xbf",
    "\xf7\xbf\xbf",
    "\xfe",
    "\xff",
    "\xfe\xfe\xff\xff",
    "\xc0\xaf",
    "\xe0\x80\xaf",
    "\xf0\x80\x80\xaf",
    "\xc1\xbf",
    "\xe0\x9f\xbf",
    "\xf0\x8f\xbf\xbf",
    "\xc0\x80",
    "\xed\xa0\x80",
    "\xed\xad\xbf",
    "\xed\xae\x80",
    "\xed\xb0\x80",
    "\xed\xbf\xbf",
    "\xed\xa0\x80\xed\xb0\x80",
    "\xef\xbf\xbe",
    "\xf0\x9f\xbf\xbe",
    "Hello-\xc2\xb5@\xc3\x9f\xc3\xb6\xc3\xa4\xc3\xbc\xc3\xa0\xc3\xa1-UTF-8!!",
};

static void hard_places(void **state)
{
    uint8_t bytes[64 + 32 + 64];

    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        size_t n = strlen(texts[i]);
        check((const uint8_t *)texts[i], n);
        /* With ASCII around, so that it stands at every place of the words that are read at once. */
        for (size_t before = 0; before < 64; before += before < 20 ? 1 : 7) {
            memset(bytes, 'a', sizeof bytes);
            memcpy(bytes + before, texts[i], n);
            check(bytes, before + n + 20);
        }
    }
}

static void one_byte_in_long_texts(void **state)
{
    uint8_t bytes[300];

    (void)state;
    for (size_t n = 1; n < sizeof bytes; n += 13)
        for (size_t at = 0; at < n; at++) {
            memset(bytes, 'z', n);
            assert_true(ws_utf8_valid(bytes, n));
            bytes[at] = 0x80;
            assert_false(ws_utf8_valid(bytes, n));
            if (at + 1 < n) {
                bytes[at] = 0xc3;
                bytes[at + 1] = 0xa9;
                assert_true(ws_utf8_valid(bytes, n));
            }
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_bytes),
        cmocka_unit_test(more_bytes),
        cmocka_unit_test(all_characters),
        cmocka_unit_test(hard_places),
        cmocka_unit_test(one_byte_in_long_texts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
