/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "observe/verdict/verdict_internal.h"

#include <string.h>

static void counts(void **state)
{
    (void)state;
    assert_string_equal(COUNT(0), "0");
    assert_string_equal(COUNT(999), "999");
    assert_string_equal(COUNT(1000), "1,000");
    assert_string_equal(COUNT(1234567), "1,234,567");
    assert_string_equal(COUNT(UINT64_MAX), "18,446,744,073,709,551,615");
    assert_string_equal(BYTES(1), "1 byte");
    assert_string_equal(BYTES(3656), "3,656 bytes");
    assert_string_equal(BRIEF(99999), "99,999");
    assert_string_equal(BRIEF(100000), "100 k");
    assert_string_equal(BRIEF(999999), "999 k");
    assert_string_equal(BRIEF(1000000), "1 M");
    assert_string_equal(BRIEF(UINT64_MAX), "18 E");
}

static void durations(void **state)
{
    (void)state;
    static const struct {
        int64_t time_ns;
        const char *text;
    } rows[] = {
        {INT64_MIN, "0 s"},
        {0, "0 s"},
        {999, "<1 us"},
        {1000, "1 us"},
        {25 * NS_PER_US + 499, "25 us"},
        {999 * NS_PER_US + 499, "999 us"},
        {999 * NS_PER_US + 500, "1.00 ms"},
        {5084 * NS_PER_US, "5.08 ms"},
        {9994 * NS_PER_US, "9.99 ms"},
        {9995 * NS_PER_US, "10.0 ms"},
        {212 * NS_PER_MS, "212 ms"},
        {999 * NS_PER_MS + 499 * NS_PER_US, "999 ms"},
        {999 * NS_PER_MS + 500 * NS_PER_US, "1.00 s"},
        {2064 * NS_PER_MS, "2.06 s"},
        {60090 * NS_PER_MS, "60.1 s"},
        {119 * NS_PER_S, "119 s"},
        {120 * NS_PER_S, "2.00 min"},
        {924600 * NS_PER_MS, "15.4 min"},
        {3 * 3600 * NS_PER_S, "3.00 h"},
        {12 * 86400 * NS_PER_S, "12.0 days"},
        {400 * 86400 * NS_PER_S, "1.10 years"},
        {INT64_MAX, "292 years"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_string_equal(DURATION(rows[i].time_ns), rows[i].text);
}

static void rates(void **state)
{
    (void)state;
    assert_string_equal(RATE(0), "0 B/s");
    assert_string_equal(RATE(999), "999 B/s");
    assert_string_equal(RATE(1000), "1.00 kB/s");
    assert_string_equal(RATE(6425000), "6.43 MB/s");
    assert_string_equal(RATE(UINT64_MAX), "18.4 EB/s");
    assert_int_equal(percent_of(0, 0), 0);
    assert_int_equal(percent_of(5, 0), 0);
    assert_int_equal(percent_of(1, 3), 33);
    assert_int_equal(percent_of(9, 3), 100);
    assert_int_equal(percent_of(UINT64_MAX / 2, UINT64_MAX), 50);
    assert_int_equal(since(5, 7), 0);
    assert_int_equal(since(7, 5), 2);
}

static void sentences_fit_or_are_left_out(void **state)
{
    (void)state;
    char text[16];
    memset(text, 'x', sizeof text);
    struct sentences sentences = sentences_begin(text, 12);
    assert_string_equal(text, "");
    sentence(&sentences, "%s.", "one");
    assert_string_equal(text, "one.");
    sentence(&sentences, "%s.", "too long");
    assert_string_equal(text, "one.");
    sentence(&sentences, "%s.", "eleven");
    assert_string_equal(text, "one.");
    sentence(&sentences, "%s.", "fives");
    assert_string_equal(text, "one. fives.");
    sentence(&sentences, "%s", "");
    assert_string_equal(text, "one. fives.");
    assert_int_equal(text[12], 'x');
    sentences = sentences_begin(text, 12);
    clause(&sentences, "%s", "a");
    clause(&sentences, "%s", "b");
    assert_string_equal(text, "a; b");
}

/* From Linux 6.18: repeats of a SYN after 1, 2, 3, 4, 5, 7, 11, 19, 35 and 67 s, the end 64 s later. */
static void connects_end(void **state)
{
    (void)state;
    static const unsigned waits_s[] = {1, 1, 1, 1, 1, 2, 4, 8, 16, 32, 64};
    int64_t left_ns = 131 * NS_PER_S;
    for (unsigned n = 0; n < 11; n++) {
        int64_t rto_ns = waits_s[n] * NS_PER_S;
        assert_int_equal(connect_fails_ns(6, rto_ns, n, rto_ns), left_ns);
        assert_int_equal(connect_fails_ns(6, 0, n, rto_ns), left_ns);
        left_ns -= rto_ns;
    }
    /* Without linear retries, as it was before 6.5: 1, 3, 7 s... Seen as soon as the wait has doubled. */
    assert_int_equal(connect_fails_ns(6, 2 * NS_PER_S, 1, 2 * NS_PER_S), 126 * NS_PER_S);
    assert_int_equal(connect_fails_ns(6, 64 * NS_PER_S, 6, 64 * NS_PER_S), 64 * NS_PER_S);
    assert_true(connect_fails_ns(UINT32_MAX, INT64_MAX / 4, 255, 0) >= 0);
}

static void answers_end(void **state)
{
    (void)state;
    assert_int_equal(synack_gives_up_ns(5, 0, NS_PER_S), 63 * NS_PER_S);
    assert_int_equal(synack_gives_up_ns(5, 1, 2 * NS_PER_S), 62 * NS_PER_S);
    assert_int_equal(synack_gives_up_ns(5, 5, 32 * NS_PER_S), 32 * NS_PER_S);
    assert_int_equal(synack_gives_up_ns(1, 1, 2 * NS_PER_S), 2 * NS_PER_S);
    assert_true(synack_gives_up_ns(UINT32_MAX, 255, NS_PER_S) > 0);
}

/* The sum of the waits of so many repeats from 200 ms on is 924.6 s for 15. */
static void repeats_end(void **state)
{
    (void)state;
    int64_t left_ns = give_up_ns(15, 400 * NS_PER_MS, 1, 1, 400 * NS_PER_MS);
    assert_int_equal(left_ns, 924400 * NS_PER_MS);
    /* the same connection one repeat later has that much less to wait */
    assert_int_equal(give_up_ns(15, 800 * NS_PER_MS, 2, 2, 800 * NS_PER_MS), left_ns - 400 * NS_PER_MS);
    /* a slower one ends at one of its own waits: not before the sum, and at most one wait of 120 s behind it */
    left_ns = give_up_ns(15, 6 * NS_PER_S, 1, 1, 6 * NS_PER_S);
    assert_true(left_ns > 900 * NS_PER_S && left_ns < 1050 * NS_PER_S);
    /* measured with tcp_retries2 3: repeats at 0.42, 0.85 and 1.70 s, the end at 3.46 s */
    assert_int_equal(give_up_ns(3, 424 * NS_PER_MS, 1, 1, 424 * NS_PER_MS), (424 + 848 + 1696) * NS_PER_MS);
    assert_int_equal(give_up_ns(0, 400 * NS_PER_MS, 1, 1, 0), 0);
    assert_true(give_up_ns(UINT32_MAX, INT64_MAX, 255, 255, INT64_MAX / 4) > 0);
    assert_true(give_up_ns(15, 0, 0, 1, 0) > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts),       cmocka_unit_test(durations),
        cmocka_unit_test(rates),        cmocka_unit_test(sentences_fit_or_are_left_out),
        cmocka_unit_test(connects_end), cmocka_unit_test(answers_end),
        cmocka_unit_test(repeats_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
