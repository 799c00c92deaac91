/* SPDX-License-Identifier: MIT */
/*
 * From the n-th on no allocation works, for every n: the judge's memory is built in here with an allocator that counts.
 * Without memory it forgets, and refuses what would have to wait; it goes on deciding, and says so.
 */
#include "wire_scene.h"

#include <stdlib.h>

static long n_left = -1; /* allocations that work; negative: all */

static bool refused(void)
{
    if (n_left == 0)
        return true;
    n_left -= n_left > 0;
    return false;
}

static void *count_malloc(size_t n_bytes)
{
    return refused() ? NULL : malloc(n_bytes);
}

static void *count_calloc(size_t n, size_t n_bytes)
{
    return refused() ? NULL : calloc(n, n_bytes);
}

static void *count_realloc(void *memory, size_t n_bytes)
{
    return refused() ? NULL : realloc(memory, n_bytes);
}

/* What the files have in common is called by another name in each. */
#define malloc count_malloc
#define calloc count_calloc
#define realloc count_realloc
#include "wire/judge.c"
#define grow grow_flows
#include "wire/judge_flow.c"
#undef grow
#undef ROOM_LEAST
#define make_room make_room_for_range
#include "wire/judge_ranges.c"
#undef make_room
#undef ROOM_LEAST
#include "wire/judge_rate.c"
#undef malloc
#undef calloc
#undef realloc

#define N_CONNECTIONS 200
#define N_SEGMENTS 400

struct outcome {
    unsigned n_dropped, n_refused, n_passed, n_again;
    uint64_t n_forgotten;
};

static struct outcome play(struct scene *scene)
{
    struct outcome outcome = {0};

    rules_for(scene, END_A, "drop data #1 x2, rate 1Mbit queue 300 packets");
    for (unsigned i = 0; i < N_CONNECTIONS; i++) {
        scene->client_port = (uint16_t)(20000 + i);
        outcome.n_dropped += tcp(scene, END_A, K, 1, 1, 100)->reason == WIRE_DROPPED;
        scene->t_ns += NS_PER_MS;
    }
    scene->client_port = 20000;
    for (unsigned i = 0; i < N_SEGMENTS; i++) {
        const struct wire_fate *fate = tcp(scene, END_A, K, 101 + 100 * i, 1, 100);
        assert_true(fate->reason == WIRE_PASSED || fate->reason == WIRE_QUEUE_FULL || fate->reason == WIRE_NO_ROOM ||
                    fate->reason == WIRE_DROPPED);
        outcome.n_refused += fate->reason == WIRE_NO_ROOM;
        outcome.n_passed += fate->reason == WIRE_PASSED;
    }
    outcome.n_again = tcp(scene, END_A, K, 1, 1, 100)->reason == WIRE_DROPPED;
    outcome.n_forgotten = wire_judge_n_forgotten(scene->judge);
    return outcome;
}

static void every_allocation_fails(void **state)
{
    bool all_worked = false;
    unsigned n_refusing = 0, n_forgetting = 0;
    long n;

    for (n = 0; !all_worked; n++) {
        assert_in_range(n, 0, 1000);
        n_left = n;
        struct wire_judge *judge = wire_judge_new(1, 0);
        if (judge == NULL) {
            n_left = -1;
            continue;
        }
        struct scene scene = {.judge = judge, .client_port = 20000, .server_port = 7007};
        struct outcome outcome = play(&scene);
        all_worked = n_left > 0;
        n_left = -1;
        assert_int_equal(outcome.n_dropped, N_CONNECTIONS); /* what is new is known as such */
        assert_true(outcome.n_passed > 0);
        n_refusing += outcome.n_refused > 0;
        n_forgetting += outcome.n_forgotten > 0;
        if (all_worked) {
            assert_int_equal(outcome.n_refused, 0);
            assert_int_equal(outcome.n_passed, 301);
            assert_int_equal(outcome.n_again, 1);
            assert_int_equal(outcome.n_forgotten, 0);
        }
        wire_judge_free(judge);
    }
    assert_true(n > N_CONNECTIONS);
    assert_true(n_refusing > 1 && n_forgetting > 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_allocation_fails)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
