/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "term/hex.h"

#include <string.h>

static void check(const char *prefix, uint64_t offset, const void *data, size_t n_bytes, const char *expected)
{
    char line[HEX_LINE_SIZE];
    assert_int_equal(hex_line(prefix, offset, data, n_bytes, line, sizeof line), strlen(expected));
    assert_string_equal(line, expected);
}

static void lines(void **state)
{
    (void)state;
    check("< ", 16, "hello\n", 6, "< 00000010  68 65 6c 6c 6f 0a                                 |hello.|\n");
    check("", 0, "0123456789abcdef", 16,
          "00000000  30 31 32 33 34 35 36 37  38 39 61 62 63 64 65 66  |0123456789abcdef|\n");
    check("> ", 0, "12345678", 8, "> 00000000  31 32 33 34 35 36 37 38                           |12345678|\n");
    check("> ", 0, "123456789", 9, "> 00000000  31 32 33 34 35 36 37 38  39                       |123456789|\n");
    check("", 0, NULL, 0, "00000000                                                    ||\n");
}

static void what_a_terminal_obeys_is_a_dot(void **state)
{
    (void)state;
    check("", 0, "\x00\x1b\x7f\x80\x9b\xff ~", 8,
          "00000000  00 1b 7f 80 9b ff 20 7e                           |...... ~|\n");
}

static void offsets_grow(void **state)
{
    (void)state;
    check("", 0xffffffff, "a", 1, "ffffffff  61                                                |a|\n");
    check("", UINT64_MAX, "a", 1, "ffffffffffffffff  61                                                |a|\n");
}

static void too_much_is_cut(void **state)
{
    (void)state;
    check("12345", 0, "0123456789abcdefg", 17,
          "123400000000  30 31 32 33 34 35 36 37  38 39 61 62 63 64 65 66  |0123456789abcdef|\n");
    char line[8];
    assert_int_equal(hex_line("", 0, "a", 1, line, sizeof line), 7);
    assert_string_equal(line, "0000000");
    assert_int_equal(hex_line("", 0, "a", 1, line, 0), 0);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines),
        cmocka_unit_test(what_a_terminal_obeys_is_a_dot),
        cmocka_unit_test(offsets_grow),
        cmocka_unit_test(too_much_is_cut),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
