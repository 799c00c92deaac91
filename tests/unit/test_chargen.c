/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "service/chargen.h"
#include "service/service.h"

#include <string.h>

static char period[CHARGEN_PERIOD_BYTES + 1];

/* The first two lines of RFC 864's example, and the first that goes round. */
static void lines_of_the_rfc(void **state)
{
    static const char first[] = " !\"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`abcdefg\r\n";
    static const char second[] = "!\"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`abcdefgh\r\n";
    static const char round[] = "9:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`abcdefghijklmnopqrstuvwxyz{|}~ !\r\n";

    (void)state;
    chargen_fill(period);
    assert_memory_equal(period, first, CHARGEN_LINE_BYTES);
    assert_memory_equal(period + CHARGEN_LINE_BYTES, second, CHARGEN_LINE_BYTES);
    assert_memory_equal(period + 25 * CHARGEN_LINE_BYTES, round, CHARGEN_LINE_BYTES);
}

static void every_line_is_printable_and_begins_one_further(void **state)
{
    (void)state;
    chargen_fill(period);
    for (int line = 0; line < CHARGEN_N_PRINTABLE; line++) {
        const char *text = period + line * CHARGEN_LINE_BYTES;
        assert_int_equal(text[0], ' ' + line);
        for (int column = 1; column < CHARGEN_COLUMNS; column++)
            assert_int_equal(text[column], text[column - 1] == '~' ? ' ' : text[column - 1] + 1);
        assert_memory_equal(text + CHARGEN_COLUMNS, "\r\n", 2);
    }
}

/* What follows the last line is the first again, so that periods can be sent one after the other. */
static void the_period_closes(void **state)
{
    (void)state;
    chargen_fill(period);
    assert_int_equal(period[(CHARGEN_N_PRINTABLE - 1) * CHARGEN_LINE_BYTES], '~');
    assert_int_equal(period[0], ' ');
}

static void nothing_is_written_past_the_end(void **state)
{
    (void)state;
    memset(period, 'x', sizeof period);
    chargen_fill(period);
    assert_int_equal(period[CHARGEN_PERIOD_BYTES - 1], '\n');
    assert_int_equal(period[CHARGEN_PERIOD_BYTES], 'x');
}

/* What the host relies on, of every service. */
static void the_table_of_services(void **state)
{
    (void)state;
    for (const struct service *const *row = services; *row != NULL; row++) {
        assert_ptr_equal(service_find((*row)->name), *row);
        assert_true((*row)->help[0] != '\0');
        assert_true((*row)->connection_bytes <= SERVICE_CONNECTION_BYTES_MAX);
    }
    assert_null(service_find("nosuch"));
    assert_null(service_find(""));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_of_the_rfc),      cmocka_unit_test(every_line_is_printable_and_begins_one_further),
        cmocka_unit_test(the_period_closes),     cmocka_unit_test(nothing_is_written_past_the_end),
        cmocka_unit_test(the_table_of_services),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
