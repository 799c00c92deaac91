/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "term/escape.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OUT_MAX 4096
#define LEAST_ROOM 32

struct out {
    char text[OUT_MAX];
    size_t n_bytes;
};

/* Hand over a chunk in memory that ends where it ends, with no more room than the contract asks for. */
static void feed(struct escape *escape, const char *data, size_t n_bytes, struct out *out)
{
    char *chunk = malloc(n_bytes + (n_bytes == 0));
    assert_non_null(chunk);
    memcpy(chunk, data, n_bytes);
    for (size_t at = 0; at < n_bytes;) {
        char text[LEAST_ROOM];
        size_t taken = 0;
        size_t n = escape_bytes(escape, chunk + at, n_bytes - at, text, sizeof text, &taken);
        assert_true(taken > 0);
        assert_true(taken <= n_bytes - at);
        assert_true(n <= sizeof text);
        assert_true(out->n_bytes + n < OUT_MAX);
        memcpy(out->text + out->n_bytes, text, n);
        out->n_bytes += n;
        at += taken;
    }
    free(chunk);
}

static void finish(struct escape *escape, struct out *out)
{
    char text[LEAST_ROOM];
    size_t n = escape_finish(escape, text, sizeof text);
    assert_true(n <= sizeof text);
    memcpy(out->text + out->n_bytes, text, n);
    out->n_bytes += n;
    out->text[out->n_bytes] = '\0';
}

/* What no terminal may get: controls, and anything that is not UTF-8. */
static void check_harmless(enum escape_style style, const struct out *out)
{
    assert_true(utf8_is_valid(out->text, out->n_bytes));
    for (size_t i = 0; i < out->n_bytes; i++) {
        unsigned char byte = (unsigned char)out->text[i];
        bool allowed = style == ESCAPE_TEXT && (byte == '\n' || byte == '\t');
        if ((byte < 0x20 && !allowed) || byte == 0x7f)
            fail_msg("byte %02x at %zu", byte, i);
    }
}

/* Escape in one piece, and see that cutting anywhere makes no difference. */
static void run(enum escape_style style, const char *data, size_t n_bytes, struct out *ret_out)
{
    struct escape escape;
    ret_out->n_bytes = 0;
    escape_init(&escape, style);
    feed(&escape, data, n_bytes, ret_out);
    finish(&escape, ret_out);
    check_harmless(style, ret_out);
    assert_true(ret_out->n_bytes <= n_bytes * ESCAPE_MAX_PER_BYTE);

    struct out split;
    for (size_t cut = 0; cut <= n_bytes; cut++) {
        split.n_bytes = 0;
        escape_init(&escape, style);
        feed(&escape, data, cut, &split);
        feed(&escape, data + cut, n_bytes - cut, &split);
        finish(&escape, &split);
        assert_int_equal(split.n_bytes, ret_out->n_bytes);
        assert_memory_equal(split.text, ret_out->text, split.n_bytes);
    }
    split.n_bytes = 0;
    escape_init(&escape, style);
    for (size_t i = 0; i < n_bytes; i++)
        feed(&escape, data + i, 1, &split);
    finish(&escape, &split);
    assert_string_equal(split.text, ret_out->text);
}

static void check(enum escape_style style, const char *data, size_t n_bytes, const char *expected)
{
    struct out out;
    run(style, data, n_bytes, &out);
    assert_string_equal(out.text, expected);
}

static void check_line(const char *data, const char *expected)
{
    check(ESCAPE_LINE, data, strlen(data), expected);
}

static size_t encode(uint32_t character, char *ret_text)
{
    if (character < 0x80) {
        ret_text[0] = (char)character;
        return 1;
    }
    size_t length = character < 0x800 ? 2 : character < 0x10000 ? 3 : 4;
    static const unsigned char leads[] = {0, 0, 0xc0, 0xe0, 0xf0};
    for (size_t i = length - 1; i > 0; i--) {
        ret_text[i] = (char)(0x80 | (character & 0x3f));
        character >>= 6;
    }
    ret_text[0] = (char)(leads[length] | character);
    return length;
}

static void c0_and_delete(void **state)
{
    (void)state;
    for (int byte = 0; byte < 0x20; byte++) {
        const char data[] = {'a', (char)byte, 'b'};
        char line[16], text[16];
        snprintf(line, sizeof line, "a\\x%02xb", byte);
        if (byte == '\n')
            snprintf(line, sizeof line, "a\\nb");
        if (byte == '\r')
            snprintf(line, sizeof line, "a\\rb");
        if (byte == '\t')
            snprintf(line, sizeof line, "a\\tb");
        snprintf(text, sizeof text, "%s", line);
        if (byte == '\n' || byte == '\t')
            snprintf(text, sizeof text, "a%cb", byte);
        check(ESCAPE_LINE, data, sizeof data, line);
        check(ESCAPE_TEXT, data, sizeof data, text);
    }
    check(ESCAPE_LINE, "\x7f", 1, "\\x7f");
    check(ESCAPE_TEXT, "\x7f", 1, "\\x7f");
    static const char sequences[] = "\x1b[31mred\x1b]0;title\x07";
    check(ESCAPE_TEXT, sequences, strlen(sequences), "\\x1b[31mred\\x1b]0;title\\x07");
}

static void c1_as_characters_and_as_bytes(void **state)
{
    (void)state;
    for (unsigned c = 0x80; c < 0xa0; c++) {
        char data[4], expected[16];
        size_t n = encode(c, data);
        snprintf(expected, sizeof expected, "\\u{%x}", c);
        check(ESCAPE_TEXT, data, n, expected);
        data[0] = (char)c;
        snprintf(expected, sizeof expected, "\\x%02x", c);
        check(ESCAPE_TEXT, data, 1, expected);
    }
}

static void backslash(void **state)
{
    (void)state;
    check(ESCAPE_LINE, "a\\n", 3, "a\\\\n");
    check(ESCAPE_TEXT, "a\\n", 3, "a\\n");
}

static void unseen_characters(void **state)
{
    (void)state;
    static const struct {
        uint32_t first, last;
    } ranges[] = {
        {0x00ad, 0x00ad},   {0x061c, 0x061c},   {0x200b, 0x200f},   {0x2028, 0x2029},
        {0x202a, 0x202e},   {0x2060, 0x2064},   {0x2066, 0x2069},   {0xfe00, 0xfe0f},
        {0xfeff, 0xfeff},   {0xfff9, 0xfffb},   {0xfffe, 0xffff},   {0x1d173, 0x1d17a},
        {0x1fffe, 0x1ffff}, {0xe0001, 0xe007f}, {0xe0100, 0xe01ef}, {0x10fffe, 0x10ffff},
    };
    for (size_t i = 0; i < sizeof ranges / sizeof ranges[0]; i++) {
        for (uint32_t c = ranges[i].first; c <= ranges[i].last; c++) {
            char data[8] = "<", expected[24];
            size_t n = 1 + encode(c, data + 1);
            data[n++] = '>';
            snprintf(expected, sizeof expected, "<\\u{%x}>", c);
            check(ESCAPE_LINE, data, n, expected);
            check(ESCAPE_TEXT, data, n, expected);
        }
    }
}

static void printable_characters_pass(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        "plain text, 0123 ~!",
        "Gr\xc3\xbc\xc3\x9f"
        "e",
        "\xe4\xbd\xa0\xe5\xa5\xbd",
        "\xf0\x9f\x99\x82",
        "e\xcc\x81",
        "\xc2\xa0|\xc2\xa1",
        "\xef\xbf\xbd",
        "\xed\x9f\xbf\xee\x80\x80",
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        check_line(texts[i], texts[i]);
        check(ESCAPE_TEXT, texts[i], strlen(texts[i]), texts[i]);
    }
}

static void overlong_forms(void **state)
{
    (void)state;
    check_line("\xc0\xaf", "\\xc0\\xaf");
    check_line("\xc1\xbf", "\\xc1\\xbf");
    check_line("\xe0\x80\xaf", "\\xe0\\x80\\xaf");
    check_line("\xe0\x9f\xbf", "\\xe0\\x9f\\xbf");
    check_line("\xf0\x80\x80\xaf", "\\xf0\\x80\\x80\\xaf");
    check_line("\xf0\x8f\xbf\xbf", "\\xf0\\x8f\\xbf\\xbf");
    check_line("\xc0\x9b[2J", "\\xc0\\x9b[2J");
}

static void surrogates_and_past_the_end(void **state)
{
    (void)state;
    check_line("\xed\xa0\x80", "\\xed\\xa0\\x80");
    check_line("\xed\xbf\xbf", "\\xed\\xbf\\xbf");
    check_line("\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80");
    check_line("\xf5\x80\x80\x80", "\\xf5\\x80\\x80\\x80");
    check_line("\xf8\x88\x80\x80\x80", "\\xf8\\x88\\x80\\x80\\x80");
    check_line("\xfe\xff", "\\xfe\\xff");
}

static void truncated_characters(void **state)
{
    (void)state;
    check_line("\xc3", "\\xc3");
    check_line("a\xe4\xbd", "a\\xe4\\xbd");
    check_line("\xf0\x9f\x99", "\\xf0\\x9f\\x99");
    check_line("\xf0\x9f\x99!", "\\xf0\\x9f\\x99!");
    check_line("\xe4\xbd\n", "\\xe4\\xbd\\n");
    /* What breaks a character may begin the next. */
    check_line("\xe4\xbd\xe4\xbd\xa0", "\\xe4\\xbd\xe4\xbd\xa0");
    check_line("\xf0\x9f\x99\xff", "\\xf0\\x9f\\x99\\xff");
    check_line("\x80\xbf", "\\x80\\xbf");
}

static void every_pair_of_bytes(void **state)
{
    (void)state;
    for (unsigned pair = 0; pair < 0x10000; pair++) {
        const char data[] = {(char)(pair >> 8), (char)pair};
        struct out out;
        run(ESCAPE_LINE, data, sizeof data, &out);
        run(ESCAPE_TEXT, data, sizeof data, &out);
    }
}

static void every_character(void **state)
{
    (void)state;
    char data[8], text[LEAST_ROOM];
    for (uint32_t c = 0; c <= 0x10ffff; c++) {
        if (c >= 0xd800 && c <= 0xdfff)
            continue;
        size_t n = encode(c, data), taken;
        assert_true(utf8_is_valid(data, n));
        struct escape escape;
        escape_init(&escape, ESCAPE_LINE);
        size_t length = escape_bytes(&escape, data, n, text, sizeof text, &taken);
        assert_int_equal(taken, n);
        assert_int_equal(escape.n_cut, 0);
        /* Either as it is, or an escape of ASCII. */
        bool same = length == n && memcmp(text, data, n) == 0;
        assert_true(same || text[0] == '\\');
        assert_true(length <= n * ESCAPE_MAX_PER_BYTE);
    }
}

static void output_stops_in_time(void **state)
{
    (void)state;
    char data[200], text[64];
    memset(data, '\x01', sizeof data);
    struct escape escape;
    size_t taken, all = 0;
    escape_init(&escape, ESCAPE_LINE);
    while (all < sizeof data) {
        memset(text, '#', sizeof text);
        size_t n = escape_bytes(&escape, data + all, sizeof data - all, text, sizeof text - 1, &taken);
        assert_int_equal(n, taken * 4);
        assert_true(taken > 0);
        assert_int_equal(text[sizeof text - 1], '#');
        all += taken;
    }
    assert_int_equal(all, sizeof data);
}

static void check_short(const char *data, size_t n_bytes, size_t size_bytes, const char *expected)
{
    char *text = malloc(size_bytes);
    assert_non_null(text);
    assert_int_equal(escape_short(data, n_bytes, text, size_bytes), strlen(expected));
    assert_string_equal(text, expected);
    free(text);
}

static void short_texts(void **state)
{
    (void)state;
    check_short("", 0, 1, "");
    check_short("hello", 5, 6, "hello");
    check_short("hello", 5, 5, "h...");
    check_short("hello", 5, 4, "...");
    check_short("hello", 5, 3, "..");
    check_short("hello", 5, 1, "");
    check_short("a\nb\\", 4, 16, "a\\nb\\\\");
    /* Never through the middle of an escape or a character. */
    check_short("a\x01\x02\x03", 4, 10, "a\\x01...");
    check_short("a\x01\x02\x03", 4, 8, "a...");
    check_short("\xe4\xbd\xa0\xe4\xbd\xa0\xe4\xbd\xa0", 9, 9, "\xe4\xbd\xa0...");
    check_short("\xe4\xbd", 2, 16, "\\xe4\\xbd");
    check_short("ab\xe4\xbd", 4, 8, "ab...");
    check_short("ab\xe4\xbd", 4, 11, "ab\\xe4\\xbd");
    check_short(NULL, 0, 4, "");
    assert_int_equal(escape_short("x", 1, NULL, 0), 0);
}

static void validity(void **state)
{
    (void)state;
    assert_true(utf8_is_valid("", 0));
    assert_true(utf8_is_valid("a\0b", 3));
    assert_true(utf8_is_valid("\xf4\x8f\xbf\xbf", 4));
    assert_false(utf8_is_valid("\xf4\x8f\xbf", 3));
    assert_false(utf8_is_valid("\xf4\x90\x80\x80", 4));
    assert_false(utf8_is_valid("\xed\xa0\x80", 3));
    assert_false(utf8_is_valid("\xc0\x80", 2));
    assert_false(utf8_is_valid("a\x80", 2));
    assert_false(utf8_is_valid("\xff", 1));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(c0_and_delete),
        cmocka_unit_test(c1_as_characters_and_as_bytes),
        cmocka_unit_test(backslash),
        cmocka_unit_test(unseen_characters),
        cmocka_unit_test(printable_characters_pass),
        cmocka_unit_test(overlong_forms),
        cmocka_unit_test(surrogates_and_past_the_end),
        cmocka_unit_test(truncated_characters),
        cmocka_unit_test(every_pair_of_bytes),
        cmocka_unit_test(every_character),
        cmocka_unit_test(output_stops_in_time),
        cmocka_unit_test(short_texts),
        cmocka_unit_test(validity),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
