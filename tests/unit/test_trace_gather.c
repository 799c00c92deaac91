/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "trace/gather.h"

#include <stdio.h>
#include <string.h>

static void give(struct gather *gather, uint64_t conn, int64_t t_ns)
{
    char data[16];
    snprintf(data, sizeof data, "%u", (unsigned)t_ns);
    struct event event = {.source = EVENT_WIRE, .kind = EVENT_KIND_SEGMENT, .conn = conn, .t_ns = t_ns};
    event.segment.data = data;
    event.segment.n_data = (uint32_t)strlen(data);
    gather_event(gather, &event);
    memset(data, 'x', sizeof data); /* it was lent, and is gone */
}

static void conclude(struct gather *gather, uint64_t conn, int64_t t_ns)
{
    struct event event = {.source = EVENT_VERDICT, .kind = EVENT_KIND_SENTENCE, .conn = conn, .t_ns = t_ns};
    event.sentence = (struct event_sentence){.mark = '=', .name = "summary", .text = "over"};
    gather_event(gather, &event);
}

static void by_connection_in_the_order_of_time(void **state)
{
    struct gather gather;
    gather_init(&gather, 0, 0);
    for (int64_t t_ns = 1; t_ns <= 3000; t_ns++)
        give(&gather, 1 + (uint64_t)t_ns % 30, t_ns);
    give(&gather, 0, 5); /* of none */
    assert_int_equal(gather.n_conns, 30);
    assert_int_equal(gather.n_events, 3000);
    assert_int_equal(gather.n_conns_left_out, 0);
    for (size_t i = 0; i < gather.n_conns; i++) {
        const struct gathered *one = &gather.conns[i];
        assert_int_equal(one->conn, i == 29 ? 1 : i + 2);
        assert_int_equal(one->n_events, 100);
        assert_int_equal(one->n_left_out, 0);
        for (size_t j = 0; j < one->n_events; j++) {
            char data[16];
            int n = snprintf(data, sizeof data, "%u", (unsigned)one->events[j]->t_ns);
            assert_true(j == 0 || one->events[j - 1]->t_ns < one->events[j]->t_ns);
            assert_int_equal(one->events[j]->conn, one->conn);
            assert_int_equal(one->events[j]->segment.n_data, n);
            assert_memory_equal(one->events[j]->segment.data, data, n);
        }
    }
    gather_free(&gather);
}

static void one_connection_alone(void **state)
{
    struct gather gather;
    gather_init(&gather, 0, 7);
    for (uint64_t conn = 0; conn < 20; conn++)
        give(&gather, conn, 1);
    assert_int_equal(gather.n_conns, 1);
    assert_int_equal(gather.n_events, 1);
    assert_int_equal(gather.conns[0].conn, 7);
    assert_int_equal(gather.n_conns_left_out, 0);
    gather_free(&gather);
}

/* Each connection that finds no room counts once, however many events it has and in whatever order they come. */
static void too_many_connections(void **state)
{
    struct gather gather;
    gather_init(&gather, 3, 0);
    for (int round = 0; round < 4; round++) {
        for (uint64_t conn = 1; conn <= 10; conn++)
            give(&gather, conn, round);
    }
    assert_int_equal(gather.n_conns, 3);
    assert_int_equal(gather.n_events, 12);
    assert_int_equal(gather.n_conns_left_out, 7);
    gather_free(&gather);
}

/* A connection that is too long keeps its beginning and what was concluded; what is missing is counted with it. */
static void too_many_events(void **state)
{
    struct gather gather;
    gather_init(&gather, 0, 0);
    for (int64_t t_ns = 1; t_ns <= GATHER_EVENTS_MAX; t_ns++)
        give(&gather, 1, t_ns);
    give(&gather, 1, GATHER_EVENTS_MAX + 1);
    give(&gather, 1, GATHER_EVENTS_MAX + 2);
    conclude(&gather, 1, GATHER_EVENTS_MAX + 3);
    give(&gather, 2, GATHER_EVENTS_MAX + 4);
    conclude(&gather, 2, GATHER_EVENTS_MAX + 5);
    assert_int_equal(gather.n_conns, 2);
    const struct gathered *one = &gather.conns[0], *two = &gather.conns[1];
    assert_int_equal(one->n_events, GATHER_EVENTS_MAX + 1);
    assert_int_equal(one->n_left_out, 2);
    assert_int_equal(one->events[GATHER_EVENTS_MAX - 1]->t_ns, GATHER_EVENTS_MAX);
    assert_int_equal(one->events[GATHER_EVENTS_MAX]->kind, EVENT_KIND_SENTENCE);
    assert_int_equal(two->n_events, 1);
    assert_int_equal(two->n_left_out, 1);
    gather_free(&gather);
}

/* Any number of them, up to the most: each is found again, and what finds no room is counted once. */
static void very_many_connections(void **state)
{
    struct gather gather;
    int64_t t_ns = 1;
    gather_init(&gather, 0, 0);
    for (uint64_t conn = 1; conn <= GATHER_CONNS_MAX + 5; conn++)
        give(&gather, conn, t_ns++);
    for (uint64_t conn = 1; conn <= GATHER_CONNS_MAX + 5; conn += 1000)
        give(&gather, conn, t_ns++);
    give(&gather, GATHER_CONNS_MAX + 2, t_ns);
    assert_int_equal(gather.n_conns, GATHER_CONNS_MAX);
    assert_int_equal(gather.n_conns_left_out, 5);
    for (uint64_t conn = 1; conn <= GATHER_CONNS_MAX; conn++) {
        assert_int_equal(gather.conns[conn - 1].conn, conn);
        assert_int_equal(gather.conns[conn - 1].n_events, conn % 1000 == 1 ? 2 : 1);
    }
    gather_free(&gather);
}

static void nothing_at_all(void **state)
{
    struct gather gather;
    gather_init(&gather, 1, 0);
    gather_free(&gather);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(by_connection_in_the_order_of_time),
        cmocka_unit_test(one_connection_alone),
        cmocka_unit_test(too_many_connections),
        cmocka_unit_test(too_many_events),
        cmocka_unit_test(very_many_connections),
        cmocka_unit_test(nothing_at_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
