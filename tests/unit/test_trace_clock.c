/* SPDX-License-Identifier: MIT */
/*
 * A wall clock that somebody sets, beside one that nobody can: packets are stamped with the first, delivered later, and
 * have to be where they were on the second.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "trace/clock.h"

#include "observe/event/event.h"

#define EPOCH_NS (INT64_C(1795000000) * NS_PER_S)
#define BOOT_NS (40000 * NS_PER_S) /* the machine has run for so long */

static struct capture_clock clock_;
static int64_t wall_minus_ns; /* what the wall clock shows, less the time line */
static int64_t latest_ns;

static void live(void)
{
    wall_minus_ns = EPOCH_NS;
    latest_ns = 0;
    capture_clock_init(&clock_, true);
    assert_false(capture_clock_sample(&clock_, BOOT_NS + wall_minus_ns, BOOT_NS));
}

static bool sample(int64_t at_ns)
{
    return capture_clock_sample(&clock_, at_ns + wall_minus_ns, at_ns);
}

/* Stamped at_ns, when the wall clock was so far ahead; taken out of the ring a while later. Whatever the clock does, it
 * is not before the last one, and not in the future. */
static int64_t take(int64_t at_ns, int64_t ahead_ns, int64_t delay_ns)
{
    int64_t t_ns = capture_clock_convert(&clock_, at_ns + ahead_ns, at_ns + delay_ns);
    assert_true(t_ns >= latest_ns);
    assert_true(t_ns <= at_ns + delay_ns);
    latest_ns = t_ns;
    return t_ns;
}

static void stamps_are_put_where_they_were(void **state)
{
    live();
    for (int64_t at_ns = BOOT_NS; at_ns < BOOT_NS + 5 * NS_PER_S; at_ns += 7 * NS_PER_MS) {
        if (at_ns % NS_PER_S < 7 * NS_PER_MS)
            assert_false(sample(at_ns));
        assert_int_equal(take(at_ns, wall_minus_ns, 3 * NS_PER_MS), at_ns);
    }
    assert_int_equal(clock_.n_steps, 0);
    assert_int_equal(clock_.n_backwards, 0);
}

/* adjtime(3) makes the wall clock up to 500 ppm faster or slower: no step, and nothing is wrong by more than that. */
static void drift_is_no_step(void **state)
{
    live();
    for (int64_t i = 1; i <= 100; i++) {
        int64_t at_ns = BOOT_NS + i * NS_PER_S;
        wall_minus_ns += 500 * NS_PER_US;
        int64_t off_ns = take(at_ns, wall_minus_ns, 2 * NS_PER_MS) - at_ns;
        assert_true(off_ns >= -NS_PER_MS && off_ns <= NS_PER_MS);
        assert_false(sample(at_ns + 2 * NS_PER_MS));
    }
    assert_int_equal(clock_.n_steps, 0);
}

/* The clock is set; what was stamped before and after it, and comes out of the ring together, is all in its place. */
static void set_by(int64_t step_ns)
{
    live();
    int64_t at_ns = BOOT_NS + 100 * NS_PER_MS, before_ns = wall_minus_ns;
    assert_int_equal(take(at_ns - 2 * NS_PER_MS, before_ns, 8 * NS_PER_MS), at_ns - 2 * NS_PER_MS);
    wall_minus_ns += step_ns;
    assert_true(sample(at_ns + 6 * NS_PER_MS));
    assert_int_equal(clock_.n_steps, 1);
    assert_int_equal(clock_.step_ns, step_ns);
    assert_int_equal(take(at_ns - NS_PER_MS, before_ns, 7 * NS_PER_MS), at_ns - NS_PER_MS);
    assert_int_equal(take(at_ns, before_ns, 6 * NS_PER_MS), at_ns);
    assert_int_equal(take(at_ns + NS_PER_MS, wall_minus_ns, 5 * NS_PER_MS), at_ns + NS_PER_MS);
    assert_int_equal(take(at_ns + 2 * NS_PER_MS, wall_minus_ns, 4 * NS_PER_MS), at_ns + 2 * NS_PER_MS);
    assert_false(sample(at_ns + NS_PER_S));
    assert_int_equal(take(at_ns + NS_PER_S, wall_minus_ns, NS_PER_MS), at_ns + NS_PER_S);
    assert_int_equal(clock_.n_steps, 1);
}

static void the_clock_is_set(void **state)
{
    set_by(3600 * NS_PER_S);
    set_by(-3600 * NS_PER_S);
    set_by(100 * NS_PER_MS);
    set_by(-100 * NS_PER_MS);
    set_by(EPOCH_NS);
    set_by(-EPOCH_NS);
}

/* The clock is looked at again and again, so a look may follow before all that was stamped earlier has come. */
static void a_look_after_the_step_forgets_nothing(void **state)
{
    live();
    int64_t at_ns = BOOT_NS + 100 * NS_PER_MS, before_ns = wall_minus_ns;
    wall_minus_ns -= 60 * NS_PER_S;
    assert_true(sample(at_ns + NS_PER_MS));
    assert_false(sample(at_ns + 2 * NS_PER_MS));
    assert_int_equal(take(at_ns, before_ns, 10 * NS_PER_MS), at_ns);
    assert_int_equal(take(at_ns + 2 * NS_PER_MS, wall_minus_ns, 8 * NS_PER_MS), at_ns + 2 * NS_PER_MS);
}

/* Nobody has looked at the clocks yet: then a stamp's place is not known, but order and present still hold (take). */
static void a_step_that_nobody_has_seen_yet(void **state)
{
    for (int direction = -1; direction <= 1; direction += 2) {
        live();
        int64_t at_ns = BOOT_NS + NS_PER_S;
        take(at_ns, wall_minus_ns, NS_PER_MS);
        wall_minus_ns += direction * 3600 * NS_PER_S;
        for (int i = 1; i <= 10; i++)
            take(at_ns + i * NS_PER_MS, wall_minus_ns, NS_PER_MS);
        assert_true(sample(at_ns + 20 * NS_PER_MS));
        assert_int_equal(take(at_ns + 20 * NS_PER_MS, wall_minus_ns, NS_PER_MS), at_ns + 20 * NS_PER_MS);
    }
}

static void back_and_forth(void **state)
{
    live();
    take(BOOT_NS, wall_minus_ns, 0);
    for (int i = 2; i <= 1001; i++) {
        int64_t at_ns = BOOT_NS + i * 50 * NS_PER_MS, before_ns = wall_minus_ns;
        wall_minus_ns = EPOCH_NS + (i % 3 - 1) * (i + 10) * NS_PER_S;
        assert_true(sample(at_ns));
        assert_int_equal(take(at_ns - NS_PER_US, before_ns, NS_PER_MS), at_ns - NS_PER_US);
        assert_int_equal(take(at_ns + NS_PER_US, wall_minus_ns, NS_PER_MS), at_ns + NS_PER_US);
    }
    assert_int_equal(clock_.n_steps, 1000);
}

/* ---- files */

static int64_t read_stamp(int64_t realtime_ns)
{
    return capture_clock_convert(&clock_, realtime_ns, 0);
}

static void stamps_of_a_file_are_its_time(void **state)
{
    capture_clock_init(&clock_, false);
    for (int64_t i = 0; i < 100; i++)
        assert_int_equal(read_stamp(EPOCH_NS + i * i), EPOCH_NS + i * i);
    assert_int_equal(read_stamp(EPOCH_NS + 3600 * NS_PER_S), EPOCH_NS + 3600 * NS_PER_S);
    assert_int_equal(clock_.n_backwards, 0);
    assert_int_equal(clock_.n_steps, 0);
    assert_int_equal(clock_.offset_ns, 0);
}

/* Two cards' packets are not always in order: a little is clamped, and the time is right again afterwards. */
static void a_little_backwards_is_clamped(void **state)
{
    capture_clock_init(&clock_, false);
    assert_int_equal(read_stamp(EPOCH_NS), EPOCH_NS);
    assert_int_equal(read_stamp(EPOCH_NS - 1), EPOCH_NS);
    assert_int_equal(read_stamp(EPOCH_NS - NS_PER_S + 1), EPOCH_NS);
    assert_int_equal(read_stamp(EPOCH_NS + 5), EPOCH_NS + 5);
    assert_int_equal(clock_.n_backwards, 2);
    assert_int_equal(clock_.n_steps, 0);
}

static void a_step_backwards_goes_on_from_there(void **state)
{
    capture_clock_init(&clock_, false);
    assert_int_equal(read_stamp(EPOCH_NS), EPOCH_NS);
    assert_int_equal(read_stamp(EPOCH_NS - 60 * NS_PER_S), EPOCH_NS);
    assert_int_equal(clock_.n_steps, 1);
    assert_int_equal(clock_.step_ns, -60 * NS_PER_S);
    assert_int_equal(read_stamp(EPOCH_NS - 59 * NS_PER_S), EPOCH_NS + NS_PER_S);
    /* What the wall clock showed can still be told. */
    assert_int_equal(EPOCH_NS + NS_PER_S + clock_.offset_ns, EPOCH_NS - 59 * NS_PER_S);
    assert_int_equal(read_stamp(EPOCH_NS - 119 * NS_PER_S), EPOCH_NS + NS_PER_S);
    assert_int_equal(clock_.n_steps, 2);
    assert_int_equal(clock_.n_backwards, 2);
}

/* Stamps as far apart as a file can have them. */
static void nothing_overflows(void **state)
{
    static const int64_t stamps[] = {INT64_MAX, 0, INT64_MAX, INT64_MIN, INT64_MAX, -1, INT64_MIN, 5, INT64_MAX};
    for (size_t first = 0; first < sizeof stamps / sizeof *stamps; first++) {
        int64_t last_ns = INT64_MIN;
        capture_clock_init(&clock_, false);
        for (size_t i = first; i < sizeof stamps / sizeof *stamps; i++) {
            int64_t t_ns = read_stamp(stamps[i]);
            assert_true(t_ns >= last_ns);
            last_ns = t_ns;
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stamps_are_put_where_they_were),
        cmocka_unit_test(drift_is_no_step),
        cmocka_unit_test(the_clock_is_set),
        cmocka_unit_test(a_look_after_the_step_forgets_nothing),
        cmocka_unit_test(a_step_that_nobody_has_seen_yet),
        cmocka_unit_test(back_and_forth),
        cmocka_unit_test(stamps_of_a_file_are_its_time),
        cmocka_unit_test(a_little_backwards_is_clamped),
        cmocka_unit_test(a_step_backwards_goes_on_from_there),
        cmocka_unit_test(nothing_overflows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
