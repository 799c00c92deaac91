/* SPDX-License-Identifier: MIT */
/* A FIN and what follows it, held until it shows whether the other end closed at the same time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "packet_make.h"
#include "trace/packets.h"

#define EVENTS_MAX 64
#define HOLD_NS (20 * NS_PER_MS)

static const struct tuple one = {{1, 2}, {40488, 7007}, {1000, 9000}}, other = {{1, 2}, {40490, 7007}, {5000, 6000}};

static struct {
    struct packets *packets;
    struct made_packet made;
    int64_t t_ns;
    struct event_segment told[EVENTS_MAX]; /* in the order in which they came */
    unsigned n_told;
} scene;

static void on_event(const struct event *event, void *user)
{
    (void)user;
    if (event->kind != EVENT_KIND_SEGMENT)
        return;
    assert_true(scene.n_told < EVENTS_MAX);
    scene.told[scene.n_told++] = event->segment;
}

static int begin(void **state)
{
    (void)state;
    memset(&scene, 0, sizeof scene);
    scene.t_ns = 1000 * NS_PER_S;
    scene.packets = packets_new(&(struct packets_owner){.event = on_event, .sentences = true});
    return scene.packets ? 0 : -1;
}

static int end(void **state)
{
    (void)state;
    packets_free(scene.packets);
    return 0;
}

static void say_of(const struct tuple *tuple, enum event_end from, unsigned flags, uint32_t seq, uint32_t ack,
                   uint32_t n_payload)
{
    scene.t_ns += 10 * NS_PER_US;
    packets_packet(scene.packets, scene.t_ns, make_packet(&scene.made, tuple, from, flags, seq, ack, NULL, n_payload),
                   NULL);
}

static void say(enum event_end from, unsigned flags, uint32_t seq, uint32_t ack, uint32_t n_payload)
{
    say_of(&one, from, flags, seq, ack, n_payload);
}

static void handshake(const struct tuple *tuple)
{
    say_of(tuple, END_A, S, 0, 0, 0);
    say_of(tuple, END_B, S | K, 0, 1, 0);
    say_of(tuple, END_A, K, 1, 1, 0);
}

/* What was told as number i. */
#define expect(i, number_, a, b)                                                                                       \
    do {                                                                                                               \
        assert_int_equal(scene.told[i].number, number_);                                                               \
        assert_string_equal(tcp_state_name(scene.told[i].state[END_A]), #a);                                           \
        assert_string_equal(tcp_state_name(scene.told[i].state[END_B]), #b);                                           \
    } while (0)

static void crossed(void **state)
{
    (void)state;
    handshake(&one);
    say(END_A, F | K, 1, 1, 0);
    assert_int_equal(scene.n_told, 3);
    assert_int_equal(packets_held_ns(scene.packets), scene.t_ns);
    assert_int_equal(packets_next_ns(scene.packets), scene.t_ns + HOLD_NS);
    say(END_B, F | K, 1, 1, 0);
    assert_int_equal(scene.n_told, 5);
    assert_int_equal(packets_held_ns(scene.packets), INT64_MAX);
    say(END_A, K, 2, 2, 0);
    say(END_B, K, 2, 2, 0);
    assert_int_equal(scene.n_told, 7);
    expect(3, 4, FIN_WAIT_1, ESTABLISHED);
    expect(4, 5, CLOSING, FIN_WAIT_1);
    expect(5, 6, CLOSING, CLOSING);
    expect(6, 7, TIME_WAIT, TIME_WAIT);
    assert_int_equal(scene.told[3].arrived_ns, 0); /* when it came there, nobody saw */
}

/* Data that was sent before the FIN came, and the ACK of it. */
static void crossed_by_data_first(void **state)
{
    (void)state;
    handshake(&one);
    say(END_A, F | K, 1, 1, 0);
    say(END_B, P | K, 1, 1, 100);
    say(END_A, K, 2, 101, 0);
    assert_int_equal(scene.n_told, 3);
    say(END_B, F | K, 101, 1, 0);
    assert_int_equal(scene.n_told, 7);
    expect(3, 4, FIN_WAIT_1, ESTABLISHED);
    expect(4, 5, FIN_WAIT_1, ESTABLISHED);
    expect(5, 6, FIN_WAIT_1, ESTABLISHED);
    expect(6, 7, CLOSING, FIN_WAIT_1);
}

static void acknowledged(void **state)
{
    (void)state;
    handshake(&one);
    say(END_A, F | K, 1, 1, 0);
    say(END_B, K, 1, 2, 0);
    assert_int_equal(scene.n_told, 5);
    expect(3, 4, FIN_WAIT_1, CLOSE_WAIT);
    expect(4, 5, FIN_WAIT_2, CLOSE_WAIT);
    say(END_B, F | K, 1, 2, 0); /* the second moves nobody there, and is told at once */
    assert_int_equal(scene.n_told, 6);
}

static void answered_by_a_fin(void **state)
{
    (void)state;
    handshake(&one);
    say(END_B, F | K, 1, 1, 0);
    say(END_A, F | K, 1, 2, 0);
    assert_int_equal(scene.n_told, 5);
    expect(3, 4, CLOSE_WAIT, FIN_WAIT_1);
    expect(4, 5, LAST_ACK, TIME_WAIT);
}

static void nothing_follows(void **state)
{
    (void)state;
    handshake(&one);
    say(END_A, F | K, 1, 1, 0);
    packets_idle(scene.packets, scene.t_ns + HOLD_NS - 1);
    assert_int_equal(scene.n_told, 3);
    packets_idle(scene.packets, scene.t_ns + HOLD_NS);
    assert_int_equal(scene.n_told, 4);
    expect(3, 4, FIN_WAIT_1, CLOSE_WAIT);
    assert_int_equal(packets_next_ns(scene.packets), INT64_MAX);
    say(END_B, F | K, 1, 1, 0); /* too late for the one before */
    expect(4, 5, CLOSING, FIN_WAIT_1);
}

/* In a file nothing else says what time it is. */
static void packets_of_others_pass_the_time(void **state)
{
    (void)state;
    handshake(&one);
    say(END_A, F | K, 1, 1, 0);
    say_of(&other, END_A, S, 0, 0, 0);
    assert_int_equal(scene.n_told, 4); /* only what follows it waits */
    scene.t_ns += HOLD_NS;
    say_of(&other, END_B, S | K, 0, 1, 0);
    assert_int_equal(scene.n_told, 6);
    expect(4, 4, FIN_WAIT_1, CLOSE_WAIT);
    expect(5, 2, ESTABLISHED, SYN_RECV);
}

static void several_at_once(void **state)
{
    (void)state;
    handshake(&one);
    handshake(&other);
    say(END_A, F | K, 1, 1, 0);
    int64_t first_ns = scene.t_ns;
    say_of(&other, END_B, F | K, 1, 1, 0);
    assert_int_equal(packets_held_ns(scene.packets), first_ns);
    say(END_B, K, 1, 2, 0);
    assert_int_equal(scene.n_told, 8);
    assert_int_equal(packets_held_ns(scene.packets), scene.t_ns - 10 * NS_PER_US);
    say_of(&other, END_A, F | K, 1, 1, 0);
    assert_int_equal(scene.n_told, 10);
    expect(8, 4, ESTABLISHED, FIN_WAIT_1);
    expect(9, 5, FIN_WAIT_1, CLOSING);
}

/* However much follows, no more than this is kept. */
static void much_follows(void **state)
{
    (void)state;
    handshake(&one);
    say(END_A, F | K, 1, 1, 0);
    for (unsigned i = 0; i < 40; i++)
        say(END_B, K, 1 + i * 100, 1, 100);
    assert_int_equal(scene.n_told, 44);
    for (unsigned i = 0; i < 44; i++)
        assert_int_equal(scene.told[i].number, i + 1);
    expect(43, 44, FIN_WAIT_1, CLOSE_WAIT);
}

static void a_reset_follows(void **state)
{
    (void)state;
    handshake(&one);
    say(END_A, F | K, 1, 1, 0);
    say(END_B, R | K, 1, 1, 0);
    assert_int_equal(scene.n_told, 5);
    expect(3, 4, FIN_WAIT_1, CLOSE_WAIT);
    expect(4, 5, CLOSED, CLOSED);
}

static void the_end_comes(void **state)
{
    (void)state;
    handshake(&one);
    handshake(&other);
    say(END_A, F | K, 1, 1, 0);
    say_of(&other, END_A, F | K, 1, 1, 0);
    assert_int_equal(scene.n_told, 6);
    packets_finish(scene.packets);
    assert_int_equal(scene.n_told, 8);
    expect(6, 4, FIN_WAIT_1, CLOSE_WAIT);
}

/* A new connection on the same tuple, while the old one's FIN is held. */
static void forgotten(void **state)
{
    (void)state;
    struct tuple again = one;
    again.isn[END_A] += 77777;
    handshake(&one);
    say(END_A, F | K, 1, 1, 0);
    say_of(&again, END_A, S, 0, 0, 0);
    assert_int_equal(scene.n_told, 5);
    expect(3, 4, FIN_WAIT_1, CLOSE_WAIT);
    expect(4, 1, SYN_SENT, SYN_RECV);
    assert_int_equal(packets_held_ns(scene.packets), INT64_MAX);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(crossed),         TEST(crossed_by_data_first),
        TEST(acknowledged),    TEST(answered_by_a_fin),
        TEST(nothing_follows), TEST(packets_of_others_pass_the_time),
        TEST(several_at_once), TEST(much_follows),
        TEST(a_reset_follows), TEST(the_end_comes),
        TEST(forgotten),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
