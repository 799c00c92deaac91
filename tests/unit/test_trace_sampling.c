/* SPDX-License-Identifier: MIT */
/* Which connections a trace takes in: the budget, what is wanted, and that both ends have one key. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "trace/sampling.h"

#include "observe/event/event.h"

#include <sys/socket.h>

static struct sonde_address address(unsigned last, uint16_t port)
{
    struct sonde_address made = {.family = AF_INET, .port = port};
    made.u.ip[0] = 10;
    made.u.ip[3] = (uint8_t)last;
    return made;
}

static struct sonde_address mapped(unsigned last, uint16_t port)
{
    struct sonde_address made = {.family = AF_INET6, .port = port};
    made.u.ip[10] = made.u.ip[11] = 0xff;
    made.u.ip[12] = 10;
    made.u.ip[15] = (uint8_t)last;
    return made;
}

static uint32_t key_of_client(unsigned port)
{
    const struct sonde_address server = address(1, 7007), client = address(2, (uint16_t)port);
    return sampling_key(&server, &client);
}

static uint32_t one_in(const struct sampling *sampling)
{
    struct sampling_state state;
    sampling_state(sampling, &state);
    return state.one_in;
}

/* So many events a second on a thousand connections, for half a second. Returns how many were taken. */
static unsigned half_a_second(struct sampling *sampling, int64_t *now_ns, unsigned per_s, enum sampling_sort sort)
{
    unsigned n_taken = 0;
    for (unsigned i = 0; i < per_s / 2; i++)
        n_taken += sampling_offer(sampling, key_of_client(20000 + i % 1000), sort) != SAMPLING_LEAVE;
    *now_ns += NS_PER_S / 2;
    sampling_adapt(sampling, *now_ns);
    return n_taken;
}

static struct sampling *begin(int64_t *ret_now_ns)
{
    struct sampling *sampling = sampling_new();
    assert_non_null(sampling);
    *ret_now_ns = 5 * NS_PER_S;
    sampling_adapt(sampling, *ret_now_ns);
    return sampling;
}

static void one_key_for_both_ends(void **state)
{
    (void)state;
    const struct sonde_address one = address(1, 7007), other = address(2, 4000), same = mapped(1, 7007);
    assert_int_equal(sampling_key(&one, &other), sampling_key(&other, &one));
    assert_int_equal(sampling_key(&one, &other), sampling_key(&same, &other));
    assert_int_not_equal(key_of_client(4000), key_of_client(4001));
}

static void all_are_taken_while_they_are_few(void **state)
{
    (void)state;
    int64_t now_ns;
    struct sampling *sampling = begin(&now_ns);
    for (int i = 0; i < 10; i++)
        assert_int_equal(half_a_second(sampling, &now_ns, SAMPLING_EVENTS_PER_S, SAMPLING_COMMON),
                         SAMPLING_EVENTS_PER_S / 2);
    assert_int_equal(one_in(sampling), 1);
    sampling_free(sampling);
}

static void more_than_the_budget_is_not_taken_for_long(void **state)
{
    (void)state;
    int64_t now_ns;
    struct sampling *sampling = begin(&now_ns);
    half_a_second(sampling, &now_ns, 8 * SAMPLING_EVENTS_PER_S, SAMPLING_COMMON);
    assert_int_equal(one_in(sampling), 8);
    unsigned n_taken = half_a_second(sampling, &now_ns, 8 * SAMPLING_EVENTS_PER_S, SAMPLING_COMMON);
    assert_in_range(n_taken, SAMPLING_EVENTS_PER_S / 4, SAMPLING_EVENTS_PER_S);
    struct sampling_state told;
    sampling_state(sampling, &told);
    assert_int_equal(told.events_per_s, 8 * SAMPLING_EVENTS_PER_S);
    sampling_free(sampling);
}

static void it_falls_in_steps_when_it_is_calm(void **state)
{
    (void)state;
    int64_t now_ns;
    struct sampling *sampling = begin(&now_ns);
    half_a_second(sampling, &now_ns, 8 * SAMPLING_EVENTS_PER_S, SAMPLING_COMMON);
    half_a_second(sampling, &now_ns, 100, SAMPLING_COMMON);
    assert_int_equal(one_in(sampling), 8);
    int steps = 0;
    for (; one_in(sampling) > 1 && steps < 100; steps++) {
        uint32_t before = one_in(sampling);
        half_a_second(sampling, &now_ns, 100, SAMPLING_COMMON);
        assert_true(one_in(sampling) == before || one_in(sampling) == before / 2);
    }
    assert_in_range(steps, 6, 40);
    sampling_free(sampling);
}

static void it_does_not_waver(void **state)
{
    (void)state;
    int64_t now_ns;
    struct sampling *sampling = begin(&now_ns);
    half_a_second(sampling, &now_ns, SAMPLING_EVENTS_PER_S * 21 / 20, SAMPLING_COMMON);
    for (int i = 0; i < 40; i++) {
        half_a_second(sampling, &now_ns, SAMPLING_EVENTS_PER_S * (i % 2 ? 21 : 19) / 20, SAMPLING_COMMON);
        assert_int_equal(one_in(sampling), 2);
    }
    sampling_free(sampling);
}

static void those_of_a_greater_n_are_among_those_of_a_smaller(void **state)
{
    (void)state;
    int64_t now_ns;
    struct sampling *few = begin(&now_ns), *more = begin(&now_ns);
    int64_t few_ns = now_ns, more_ns = now_ns;
    half_a_second(few, &few_ns, 16 * SAMPLING_EVENTS_PER_S, SAMPLING_COMMON);
    half_a_second(more, &more_ns, 4 * SAMPLING_EVENTS_PER_S, SAMPLING_COMMON);
    unsigned n = 0;
    for (unsigned port = 20000; port < 22000; port++) {
        if (sampling_offer(few, key_of_client(port), SAMPLING_COMMON) == SAMPLING_LEAVE)
            continue;
        n++;
        assert_int_equal(sampling_offer(more, key_of_client(port), SAMPLING_COMMON), SAMPLING_TAKE);
    }
    assert_in_range(n, 50, 300); /* a sixteenth is 125 */
    sampling_free(few);
    sampling_free(more);
}

static void what_is_rare_has_a_budget_of_its_own(void **state)
{
    (void)state;
    int64_t now_ns;
    struct sampling *sampling = begin(&now_ns);
    half_a_second(sampling, &now_ns, 64 * SAMPLING_EVENTS_PER_S, SAMPLING_COMMON);
    assert_int_equal(half_a_second(sampling, &now_ns, 1000, SAMPLING_RARE), 500);
    half_a_second(sampling, &now_ns, 64 * SAMPLING_RARE_PER_S, SAMPLING_RARE);
    assert_in_range(half_a_second(sampling, &now_ns, 64 * SAMPLING_RARE_PER_S, SAMPLING_RARE), 1,
                    2 * SAMPLING_RARE_PER_S);
    sampling_free(sampling);
}

/* Of everything, whichever way it is known: by its addresses, its peer, or its socket. */
static void what_is_wanted_is_taken_whole(void **state)
{
    (void)state;
    int64_t now_ns;
    struct sampling *sampling = begin(&now_ns);
    half_a_second(sampling, &now_ns, 4096 * SAMPLING_EVENTS_PER_S, SAMPLING_COMMON);
    const struct sonde_address server = address(1, 7007);
    struct sonde_address client = address(2, 20000);
    while (sampling_offer(sampling, sampling_key(&server, &client), SAMPLING_COMMON) != SAMPLING_LEAVE)
        client.port++;
    const uint32_t key = sampling_key(&server, &client);
    unsigned generation = sampling_generation(sampling);
    sampling_want(sampling, 1, 4711, &server, &client);
    sampling_want(sampling, 2, 4711, &server, &client);
    assert_int_not_equal(sampling_generation(sampling), generation);
    assert_int_equal(sampling_offer(sampling, key, SAMPLING_COMMON), SAMPLING_WHOLE);
    assert_true(sampling_is_wanted(sampling, sampling_key_of_peer(&client)));
    assert_true(sampling_is_wanted(sampling, sampling_key_of_socket(4711)));
    sampling_let_go(sampling, 1);
    assert_int_equal(sampling_offer(sampling, key, SAMPLING_COMMON), SAMPLING_WHOLE);
    sampling_let_go(sampling, 2);
    sampling_let_go(sampling, 2);
    assert_int_equal(sampling_offer(sampling, key, SAMPLING_COMMON), SAMPLING_LEAVE);
    sampling_free(sampling);
}

static void who_wants_too_many_gets_the_first(void **state)
{
    (void)state;
    int64_t now_ns;
    struct sampling *sampling = begin(&now_ns);
    const struct sonde_address server = address(1, 7007);
    for (unsigned i = 0; i < SAMPLING_WANTED_MAX + 10; i++) {
        const struct sonde_address client = address(2, (uint16_t)(30000 + i));
        sampling_want(sampling, i + 1, 0, &server, &client);
    }
    assert_true(sampling_is_wanted(sampling, key_of_client(30000)));
    assert_false(sampling_is_wanted(sampling, key_of_client(30000 + SAMPLING_WANTED_MAX)));
    sampling_let_go(sampling, SAMPLING_WANTED_MAX + 1); /* one that has no place */
    sampling_let_go(sampling, 1);
    assert_false(sampling_is_wanted(sampling, key_of_client(30000)));
    sampling_free(sampling);
}

static void a_socket_has_the_key_that_was_said_last(void **state)
{
    (void)state;
    int64_t now_ns;
    struct sampling *sampling = begin(&now_ns);
    assert_int_equal(sampling_look_up(sampling, 77), sampling_key_of_socket(77));
    sampling_learn(sampling, 77, 1234);
    assert_int_equal(sampling_look_up(sampling, 77), 1234);
    sampling_learn(sampling, 77 + (1 << 20), 5678); /* the same place */
    assert_int_equal(sampling_look_up(sampling, 77), sampling_key_of_socket(77));
    sampling_free(sampling);
}

static void questions_are_bounded(void **state)
{
    (void)state;
    int64_t now_ns;
    struct sampling *sampling = begin(&now_ns);
    unsigned n = 0;
    for (int64_t ms = 0; ms < 1000; ms++) {
        for (int i = 0; i < 10; i++)
            n += sampling_may_ask(sampling, now_ns + ms * NS_PER_MS);
    }
    assert_in_range(n, SAMPLING_QUESTIONS_PER_S / 2, SAMPLING_QUESTIONS_PER_S);
    sampling_free(sampling);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_key_for_both_ends),
        cmocka_unit_test(all_are_taken_while_they_are_few),
        cmocka_unit_test(more_than_the_budget_is_not_taken_for_long),
        cmocka_unit_test(it_falls_in_steps_when_it_is_calm),
        cmocka_unit_test(it_does_not_waver),
        cmocka_unit_test(those_of_a_greater_n_are_among_those_of_a_smaller),
        cmocka_unit_test(what_is_rare_has_a_budget_of_its_own),
        cmocka_unit_test(what_is_wanted_is_taken_whole),
        cmocka_unit_test(who_wants_too_many_gets_the_first),
        cmocka_unit_test(a_socket_has_the_key_that_was_said_last),
        cmocka_unit_test(questions_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
