/* SPDX-License-Identifier: MIT */
/* The heap of timers against a plain list. No loop runs: the heap is only started, stopped and fired. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "loop/loop_internal.h"

#include <stdlib.h>

enum { N = 200 };

static struct sonde_timer timers[N];
static int64_t last_fired_ns;
static unsigned n_fired;

static struct sonde_loop *make(void)
{
    const struct sonde_loop_options options = {.size = sizeof options, .engine = SONDE_ENGINE_EPOLL};
    struct sonde_loop *loop;

    assert_int_equal(sonde_loop_create(&options, &loop, NULL), 0);
    return loop;
}

static void in_order(struct sonde_timer *timer)
{
    assert_true(timer->deadline_ns >= last_fired_ns);
    assert_false(sonde_timer_is_running(timer));
    last_fired_ns = timer->deadline_ns;
    n_fired++;
}

/* Each node's links lead where they should, and no child is due before its parent. Returns the nodes below. */
static unsigned check_heap(struct sonde_timer **link, int64_t not_before_ns)
{
    unsigned n = 0;

    for (; *link != NULL; link = &(*link)->next) {
        struct sonde_timer *timer = *link;
        assert_ptr_equal(timer->previous, link);
        assert_true(timer->deadline_ns >= not_before_ns);
        n += 1 + check_heap(&timer->child, timer->deadline_ns);
    }
    return n;
}

static unsigned n_running(void)
{
    unsigned n = 0;

    for (unsigned i = 0; i < N; i++)
        n += (unsigned)sonde_timer_is_running(&timers[i]);
    return n;
}

static int64_t earliest(void)
{
    int64_t least = INT64_MAX;

    for (unsigned i = 0; i < N; i++)
        if (sonde_timer_is_running(&timers[i]) && timers[i].deadline_ns < least)
            least = timers[i].deadline_ns;
    return least;
}

static void at_random(void **state)
{
    struct sonde_loop *loop = make();

    (void)state;
    srand(1);
    n_fired = 0;
    for (unsigned i = 0; i < N; i++)
        sonde_timer_init(&timers[i], loop, in_order, NULL);
    for (unsigned step = 0; step < 20000; step++) {
        struct sonde_timer *timer = &timers[(unsigned)rand() % N];
        if (rand() % 3 == 0)
            sonde_timer_stop(timer);
        else
            sonde_timer_start(timer, rand() % 1000); /* few values, so that many are equal */
        if (step % 100 == 0) {
            assert_int_equal(check_heap(&loop->timers, INT64_MIN), n_running());
            assert_int_equal(loop->n_open, n_running());
        }
        if (loop->timers != NULL)
            assert_true(loop->timers->deadline_ns == earliest());
        assert_null(loop->timers != NULL ? loop->timers->next : NULL);
    }
    /* All of those times are past. */
    unsigned n = n_running();
    last_fired_ns = INT64_MIN;
    assert_int_equal(timers_run(loop), -1);
    assert_int_equal(n_fired, n);
    assert_int_equal(n_running(), 0);
    assert_int_equal(loop->n_open, 0);
    assert_int_equal(sonde_loop_destroy(loop), 0);
}

static void only_what_is_due(void **state)
{
    struct sonde_loop *loop = make();
    int64_t now_ns = clock_monotonic_ns(), hour_ns = INT64_C(3600) * 1000 * 1000 * 1000;

    (void)state;
    n_fired = 0;
    last_fired_ns = INT64_MIN;
    for (unsigned i = 0; i < N; i++) {
        sonde_timer_init(&timers[i], loop, in_order, NULL);
        sonde_timer_start(&timers[i], now_ns + (i % 2 == 0 ? -(int64_t)i : hour_ns + i));
    }
    int64_t left_ns = timers_run(loop);
    assert_int_equal(n_fired, N / 2);
    assert_true(left_ns > hour_ns / 2 && left_ns <= hour_ns + 1);
    for (unsigned i = 0; i < N; i++) {
        assert_int_equal(sonde_timer_is_running(&timers[i]), i % 2);
        sonde_timer_stop(&timers[i]);
    }
    assert_null(loop->timers);
    assert_int_equal(sonde_loop_destroy(loop), 0);
}

static void far_future(void **state)
{
    struct sonde_loop *loop = make();

    (void)state;
    n_fired = 0;
    sonde_timer_init(&timers[0], loop, in_order, NULL);
    sonde_timer_start_in(&timers[0], INT64_MAX);
    assert_true(timers[0].deadline_ns == INT64_MAX);
    assert_true(timers_run(loop) > 0);
    sonde_timer_start(&timers[0], INT64_MIN); /* as soon as possible */
    last_fired_ns = INT64_MIN;
    assert_int_equal(timers_run(loop), -1);
    assert_int_equal(n_fired, 1);
    assert_int_equal(sonde_loop_destroy(loop), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(at_random),
        cmocka_unit_test(only_what_is_due),
        cmocka_unit_test(far_future),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
