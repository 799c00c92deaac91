/* SPDX-License-Identifier: MIT */
/*
 * Input that nobody means well with, and memory that is not there. Whatever comes: counts stay finite and consistent,
 * memory is bounded, and what follows is understood again.
 */
#include "observe/track/track_internal.h"
#include "track_talk.h"

static uint64_t random_state;

static uint32_t any(uint32_t n)
{
    random_state = random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(random_state >> 33) % n;
}

static void check_side(const struct conversation_side *side)
{
    assert_true(side->n_unique_bytes <= side->n_bytes + side->n_probes);
    assert_true(side->n_again_bytes <= side->n_bytes);
    assert_true(side->n_again <= side->n_packets);
    assert_true(side->n_again_rto + side->n_again_fast + side->n_again_tlp <= side->n_again);
    assert_true(side->n_missing_bytes < UINT64_C(1) << 60);
    assert_true(side->in_flight < UINT64_C(1) << 60);
    assert_true(side->state < TCP_N_STATES);
    assert_true(side->zero_total_ns >= 0 && side->zero_longest_ns >= 0 && side->stall_ns >= 0);
    assert_true(side->rtt_min_ns <= side->rtt_max_ns);
}

static void check_flow(const struct flow *flow)
{
    assert_true(flow->sent.n <= flow->sent.room && flow->sent.room <= TRACK_RANGES_MAX);
    assert_true(flow->sent.n_acked <= flow->sent.n);
    assert_true(flow->holes.n <= flow->holes.room && flow->holes.room <= TRACK_RANGES_MAX);
    for (size_t i = 1; i < flow->sent.n; i++)
        assert_true(flow->sent.range[i - 1].seq + flow->sent.range[i - 1].n_bytes <= flow->sent.range[i].seq);
    for (size_t i = 0; i < flow->holes.n; i++) {
        assert_true(flow->holes.hole[i].from < flow->holes.hole[i].to);
        assert_true(flow->holes.hole[i].to <= flow->nxt);
        assert_true(i == 0 || flow->holes.hole[i - 1].to <= flow->holes.hole[i].from);
    }
    assert_true(flow->waiting_bytes <= TRACK_WAITING_BYTES_MAX && flow->n_waiting <= TRACK_RANGES_MAX);
}

static void check_all(void)
{
    const struct tracked *conv = (const struct tracked *)talk.conv;
    for (unsigned end = 0; end < N_ENDS; end++) {
        check_side(&talk.conv->side[end]);
        check_flow(&conv->flow[end]);
    }
}

static void say_anything(uint32_t spread)
{
    enum event_end from = any(2);
    static const unsigned flags[] = {K, K, K, K, P | K, P | K, F | K, S, S | K, R, R | K, 0, F, S | F | R, K | U};

    if (any(3) == 0)
        sack(from, any(spread), any(spread));
    if (any(3) == 0)
        sack(from, any(spread), any(spread));
    if (any(20) == 0)
        pass((int64_t)any(2000) * NS_PER_MS);
    talk.window[from] = any(4) == 0 ? 0 : (uint16_t)any(65536);
    talk.interface = any(2);
    say(from, flags[any(15)], any(spread), any(spread), any(3) == 0 ? any(spread < 60000 ? spread : 60000) : any(3));
    check_all();
}

static void anything_at_all(void **state)
{
    for (unsigned seed = 0; seed < 60; seed++) {
        random_state = seed;
        talk_begin_with(2);
        if (seed % 3 > 0)
            handshake();
        for (unsigned i = 0; i < 1000; i++)
            say_anything(seed % 4 == 0 ? UINT32_MAX : seed % 4 == 1 ? 30 : 3000);
        talk_end();
        assert_int_equal(talk.n_opened, talk.n_forgotten);
    }
}

/* After all that, an ordinary connection on the same ports is understood. */
static void understood_afterwards(void **state)
{
    random_state = 4711;
    talk_begin();
    for (unsigned i = 0; i < 1000; i++)
        say_anything(UINT32_MAX);
    talk.isn[END_A] = 123456;
    talk.isn[END_B] = 654321;
    talk.window[END_A] = talk.window[END_B] = WINDOW;
    talk.interface = 0;
    handshake_over(NS_PER_MS);
    say(END_A, P | K, 1, 1, 100);
    expect_open(0);
    say(END_B, K, 1, 101, 0);
    expect_open(0);
    say(END_A, F | K, 101, 1, 0);
    say(END_B, F | K, 1, 102, 0);
    say(END_A, K, 102, 2, 0);
    expect(TIME_WAIT, CLOSED, 0);
    talk_end();
}

/* A conversation with everything in it that asks for memory. */
static void say_much(unsigned n_max)
{
    for (unsigned i = 0; i < n_max; i++) {
        talk.port[END_A] = (uint16_t)(40000 + i);
        for (unsigned k = 0; k < 12; k++) {
            struct decoded packet = talk_packet(k % 4 == 3 ? END_B : END_A, IPPROTO_TCP);
            packet.flags = k == 0 ? S : K;
            packet.seq = k == 0 ? 1000 : k % 4 == 3 ? 700001 : 1001 + k * 20;
            packet.ack = k == 0 ? 0 : k % 4 == 3 ? 1001 : 700001;
            packet.window = WINDOW;
            packet.n_payload = packet.n_payload_captured = k == 0 || k % 4 == 3 ? 0 : 10;
            packet.payload = (const uint8_t *)"0123456789";
            talk.conv = talk_give(&packet);
            if (talk.conv)
                check_all();
        }
    }
}

static void memory_fails(void **state)
{
    struct tracker_counts counts;
    uint64_t n_allocations = 1;

    for (uint64_t fail_at = 0; fail_at <= n_allocations; fail_at++) {
        talk_begin_with(80);
        talk.tracker->fail_at = fail_at;
        say_much(90); /* past the first size of the table, and past n_max */
        n_allocations = talk.tracker->n_allocations;
        tracker_counts(talk.tracker, &counts);
        assert_int_equal(counts.n_no_memory, fail_at > 0 && fail_at <= n_allocations);
        assert_int_equal(counts.n_packets, 90 * 12);
        talk_end();
        assert_int_equal(talk.n_opened, talk.n_forgotten);
    }
    assert_true(n_allocations > 200);
}

static void waiting_of_all_is_bounded(void **state)
{
    talk_begin();
    for (unsigned i = 0; i < 80; i++) {
        talk.port[END_A] = (uint16_t)(40000 + i);
        say(END_A, K, 1, 1, 10);
        for (unsigned k = 0; k < 17; k++)
            say(END_A, K, 1000 + k * 60000, 1, 60000);
        assert_true(talk.tracker->waiting_bytes <= TRACK_WAITING_ALL_MAX);
    }
    assert_true(talk.tracker->waiting_bytes > TRACK_WAITING_ALL_MAX / 2);
    talk_end();
    assert_int_equal(talk.n_followed[END_A], 80 * (10 + 17 * 60000));
}

static void ports_and_addresses_of_all_kinds(void **state)
{
    talk_begin();
    struct decoded packet = talk_packet(END_A, IPPROTO_TCP);
    packet.flags = S;
    packet.destination = packet.source; /* to itself */
    packet.destination_port = packet.source_port;
    for (unsigned i = 0; i < 5; i++) {
        packet.flags = i % 2 == 0 ? S : S | K;
        packet.seq = i;
        assert_non_null(talk_give(&packet));
    }
    packet.network = DECODE_IPV6;
    assert_non_null(talk_give(&packet));
    packet.network = DECODE_ARP;
    assert_null(talk_give(&packet));
    talk_end();
}

static void small_enough(void **state)
{
    assert_true(sizeof(struct tracked) <= 1200);
    assert_true(sizeof(struct conversation) <= 768);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(anything_at_all),
        cmocka_unit_test(understood_afterwards),
        cmocka_unit_test(memory_fails),
        cmocka_unit_test(waiting_of_all_is_bounded),
        cmocka_unit_test(ports_and_addresses_of_all_kinds),
        cmocka_unit_test(small_enough),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
