/* SPDX-License-Identifier: MIT */
/* What is said of repeats, of what comes in another order, and of what is missing; and that numbers never run out. */
#include "track_talk.h"

#define RTT_NS (10 * NS_PER_MS)

/* Captured at the server: its answers come at once, and the client's take a round trip. */
static void handshake_at_server(void)
{
    say(END_A, S, 0, 0, 0);
    say(END_B, S | K, 0, 1, 0);
    pass(RTT_NS);
    say(END_A, K, 1, 1, 0);
    expect_open(0);
}

/* ---- repeats and their causes */

static void tail_probe_then_timeouts(void **state)
{
    talk_begin();
    handshake_over(RTT_NS);
    pass(RTT_NS);
    say(END_A, P | K, 1, 1, 5);
    pass(212 * NS_PER_MS);
    say(END_A, P | K, 1, 1, 5);
    expect_open(N(AGAIN) | N(AGAIN_TLP));
    assert_int_equal(talk.last.again_of, 4);
    assert_int_equal(talk.last.n_repeat, 1);
    pass(212 * NS_PER_MS);
    say(END_A, P | K, 1, 1, 5);
    expect_open(N(AGAIN) | N(AGAIN_RTO));
    pass(424 * NS_PER_MS);
    say(END_A, P | K, 1, 1, 5);
    expect_open(N(AGAIN) | N(AGAIN_RTO));
    assert_int_equal(talk.last.again_of, 4);
    assert_int_equal(talk.last.n_repeat, 3);
    uint64_t n_rtt = talk.conv->side[END_A].n_rtt;
    pass(RTT_NS);
    say(END_B, K, 1, 6, 0);
    expect_open(0);
    assert_int_equal(talk.last.rtt_ns, 0); /* Karn */
    const struct conversation_side *a = &talk.conv->side[END_A];
    assert_int_equal(a->n_rtt, n_rtt);
    assert_int_equal(a->n_again, 3);
    assert_int_equal(a->n_again_tlp, 1);
    assert_int_equal(a->n_again_rto, 2);
    assert_int_equal(a->n_again_bytes, 15);
    assert_int_equal(a->n_unique_bytes, 5);
    assert_int_equal(a->n_bytes, 20);
    assert_int_equal(a->stall_first_number, 4);
    assert_int_equal(a->stall_n_again, 3);
    assert_int_equal(a->stall_n_rto, 2);
    assert_int_equal(a->stall_n_tlp, 1);
    assert_int_equal(a->stall_ns, 858 * NS_PER_MS + 4 * STEP_NS);
    talk_end();
}

static void no_probe_without_sack(void **state)
{
    talk_begin();
    talk.syn_options.sack_permitted = false;
    handshake_over(RTT_NS);
    say(END_A, P | K, 1, 1, 5);
    pass(212 * NS_PER_MS);
    say(END_A, P | K, 1, 1, 5);
    expect_open(N(AGAIN) | N(AGAIN_RTO));
    talk_end();
}

static void soon_and_for_no_known_reason(void **state)
{
    talk_begin();
    handshake_over(RTT_NS);
    say(END_A, P | K, 1, 1, 5);
    say(END_A, P | K, 1, 1, 5); /* on one interface, the same again is a repeat */
    expect_open(N(AGAIN));
    talk_end();
}

static void fast_by_duplicate_acks(void **state)
{
    talk_begin();
    talk.syn_options.sack_permitted = false;
    handshake_over(RTT_NS);
    for (unsigned i = 0; i < 5; i++)
        say(END_A, K, 1 + i * 1000, 1, 1000);
    say(END_B, K, 1, 1001, 0);
    expect_open(0);
    for (unsigned i = 1; i <= 3; i++) {
        say(END_B, K, 1, 1001, 0);
        expect_open(N(DUPLICATE_ACK));
        assert_int_equal(talk.last.n_repeat, i);
    }
    say(END_A, K, 1001, 1, 1000);
    expect_open(N(AGAIN) | N(AGAIN_FAST));
    assert_int_equal(talk.last.again_of, 5);
    assert_int_equal(talk.conv->side[END_A].n_again_fast, 1);
    say(END_B, K, 1, 3001, 0); /* a partial ACK asks for the next one that is missing */
    expect_open(0);
    say(END_A, K, 3001, 1, 1000);
    expect_open(N(AGAIN) | N(AGAIN_FAST));
    say(END_B, K, 1, 5001, 0);
    expect_open(0);
    assert_int_equal(talk.last.in_flight, 0);
    assert_int_equal(talk.conv->side[END_B].n_duplicate_acks, 3);
    talk_end();
}

static void fast_by_sack(void **state)
{
    talk_begin();
    handshake_over(RTT_NS);
    for (unsigned i = 0; i < 4; i++)
        say(END_A, K, 1 + i * 1000, 1, 1000);
    pass(RTT_NS);
    talk.window[END_B]++; /* it may change, when something is SACKed */
    sack(END_B, 1001, 4001);
    say(END_B, K, 1, 1, 0);
    expect_open(N(DUPLICATE_ACK));
    assert_true(talk.last.rtt_ns >= RTT_NS);
    say(END_A, K, 1, 1, 1000);
    expect_open(N(AGAIN) | N(AGAIN_FAST));
    pass(RTT_NS);
    say(END_B, K, 1, 4001, 0);
    assert_int_equal(talk.last.rtt_ns, 0);
    talk_end();
}

static void lost_again_after_fast(void **state)
{
    talk_begin();
    handshake_over(RTT_NS);
    for (unsigned i = 0; i < 4; i++)
        say(END_A, K, 1 + i * 1000, 1, 1000);
    sack(END_B, 1001, 4001);
    say(END_B, K, 1, 1, 0);
    say(END_A, K, 1, 1, 1000);
    expect_open(N(AGAIN) | N(AGAIN_FAST));
    pass(250 * NS_PER_MS);
    say(END_A, K, 1, 1, 1000);
    expect_open(N(AGAIN) | N(AGAIN_RTO));
    assert_int_equal(talk.last.n_repeat, 2);
    talk_end();
}

static void nobody_asked_twice(void **state)
{
    talk_begin();
    handshake_over(RTT_NS);
    for (unsigned i = 0; i < 4; i++)
        say(END_A, K, 1 + i * 1000, 1, 1000);
    sack(END_B, 1001, 4001);
    say(END_B, K, 1, 1, 0);
    say(END_A, K, 1, 1, 1000);
    expect_open(N(AGAIN) | N(AGAIN_FAST));
    say(END_A, K, 1, 1, 1000); /* what asked for it was answered already */
    expect_open(N(AGAIN));
    talk_end();
}

static void timeout_then_the_rest(void **state)
{
    talk_begin();
    talk.syn_options.sack_permitted = false;
    handshake_over(RTT_NS);
    for (unsigned i = 0; i < 3; i++)
        say(END_A, K, 1 + i * 1000, 1, 1000);
    pass(250 * NS_PER_MS);
    say(END_A, K, 1, 1, 1000);
    expect_open(N(AGAIN) | N(AGAIN_RTO));
    pass(RTT_NS);
    say(END_B, K, 1, 1001, 0);
    say(END_A, K, 1001, 1, 1000);
    expect_open(N(AGAIN) | N(AGAIN_RTO));
    say(END_A, K, 2001, 1, 1000);
    expect_open(N(AGAIN) | N(AGAIN_RTO));
    talk_end();
}

static void needless(void **state)
{
    talk_begin();
    handshake_over(RTT_NS);
    say(END_A, K, 1, 1, 1000);
    say(END_B, K, 1, 1001, 0);
    say(END_A, K, 1, 1, 1000);
    expect_open(N(AGAIN) | N(AGAIN_SPURIOUS));
    assert_int_equal(talk.last.again_of, 4);
    sack(END_B, 1, 1001);
    say(END_B, K, 1, 1001, 0);
    expect_open(N(DSACK));
    assert_int_equal(talk.conv->side[END_A].n_again_spurious, 1);
    talk_end();

    talk_begin(); /* found out later */
    handshake_over(RTT_NS);
    say(END_A, K, 1, 1, 1000);
    pass(230 * NS_PER_MS);
    say(END_A, K, 1, 1, 1000);
    say(END_B, K, 1, 1001, 0);
    assert_int_equal(talk.conv->side[END_A].n_again_spurious, 0);
    sack(END_B, 1, 1001);
    say(END_B, K, 1, 1001, 0);
    expect_open(N(DSACK));
    assert_int_equal(talk.conv->side[END_A].n_again_spurious, 1);
    talk_end();

    talk_begin(); /* within the second block */
    handshake_over(RTT_NS);
    for (unsigned i = 0; i < 4; i++)
        say(END_A, K, 1 + i * 1000, 1, 1000);
    sack(END_B, 2001, 3001);
    sack(END_B, 1001, 4001);
    say(END_B, K, 1, 1, 0);
    expect_open(N(DSACK) | N(DUPLICATE_ACK));
    talk_end();
}

static void repeats_what_was_sacked(void **state)
{
    talk_begin();
    handshake_over(RTT_NS);
    say(END_A, K, 1, 1, 1000);
    say(END_A, K, 1001, 1, 1000);
    sack(END_B, 1001, 2001);
    say(END_B, K, 1, 1, 0);
    say(END_A, K, 1001, 1, 1000);
    expect_open(N(AGAIN) | N(AGAIN_SPURIOUS));
    talk_end();
}

static void repeats_with_more(void **state)
{
    talk_begin();
    handshake_over(RTT_NS);
    say(END_A, K, 1, 1, 500);
    pass(250 * NS_PER_MS);
    say(END_A, K, 1, 1, 1000); /* the tail again, and new bytes with it */
    expect_open(N(AGAIN) | N(AGAIN_RTO));
    assert_int_equal(talk.conv->side[END_A].n_unique_bytes, 1000);
    assert_int_equal(talk.conv->side[END_A].n_again_bytes, 500);
    say(END_A, K, 1001, 1, 10);
    expect_open(0);
    say(END_A, F | K, 1011, 1, 0);
    expect(FIN_WAIT_1, CLOSE_WAIT, 0);
    pass(230 * NS_PER_MS);
    say(END_A, F | P | K, 1, 1, 1010); /* all of it once more */
    expect(FIN_WAIT_1, CLOSE_WAIT, N(AGAIN) | N(AGAIN_RTO));
    assert_int_equal(talk.n_followed[END_A], 1010);
    talk_end();
}

static void parts_of_a_long_segment(void **state)
{
    talk_begin();
    handshake_over(RTT_NS);
    say(END_A, K, 1, 1, 10000);
    assert_int_equal(talk.last.notes, N(OFFLOAD));
    pass(RTT_NS);
    sack(END_B, 4001, 7001); /* it went as ten segments, and some were lost */
    say(END_B, K, 1, 1001, 0);
    for (unsigned i = 1; i <= 3; i++) {
        say(END_A, K, 1 + i * 1000, 1, 1000);
        expect_open(N(AGAIN) | N(AGAIN_FAST));
        assert_int_equal(talk.last.again_of, 4);
        assert_int_equal(talk.last.n_repeat, 1);
    }
    say(END_A, K, 4001, 1, 1000);
    expect_open(N(AGAIN) | N(AGAIN_SPURIOUS));
    talk_end();

    talk_begin(); /* a part that was acknowledged stays so */
    handshake_over(RTT_NS);
    for (unsigned i = 0; i < 4; i++)
        say(END_A, K, 1 + i * 1000, 1, 1000);
    say(END_B, K, 1, 4001, 0);
    say(END_A, K, 4001, 1, 10000);
    say(END_B, K, 1, 14001, 0);
    say(END_A, K, 13001, 1, 1000);
    expect_open(N(AGAIN) | N(AGAIN_SPURIOUS));
    say(END_A, K, 14001, 1, 1000);
    say(END_B, K, 1, 15001, 0);
    assert_int_equal(talk.last.rtt_ns, STEP_NS);
    talk_end();
}

/* ---- order, holes */

static void overtaken(void **state)
{
    talk_begin();
    handshake_at_server();
    say(END_A, K, 1, 1, 1000);
    say(END_B, K, 1, 1001, 0);
    say(END_A, K, 2001, 1, 1000);
    expect_open(N(HOLE));
    sack(END_B, 2001, 3001);
    say(END_B, K, 1, 1001, 0);
    expect_open(N(DUPLICATE_ACK));
    say(END_A, K, 1001, 1, 1000);
    expect_open(N(FILLS_HOLE) | N(OUT_OF_ORDER));
    assert_int_equal(talk.conv->side[END_A].n_out_of_order, 1);
    assert_int_equal(talk.conv->side[END_A].n_holes, 1);
    assert_int_equal(talk.conv->side[END_A].n_again, 0);
    assert_int_equal(talk.conv->side[END_A].n_missing_bytes, 0);
    say(END_B, K, 1, 3001, 0);
    expect_open(0);
    talk_end();
}

static void asked_for_within_a_round_trip(void **state)
{
    talk_begin();
    handshake_at_server();
    say(END_A, K, 1, 1, 1000);
    say(END_A, K, 2001, 1, 1000);
    expect_open(N(HOLE));
    for (unsigned i = 0; i < 3; i++) {
        sack(END_B, 2001, 3001);
        say(END_B, K, 1, 1001, 0);
    }
    say(END_A, K, 1001, 1, 1000);
    expect_open(N(FILLS_HOLE) | N(AGAIN) | N(AGAIN_FAST));
    talk_end();
}

static void lost_before_the_capture(void **state)
{
    talk_begin();
    handshake_over(RTT_NS);
    say(END_A, K, 1, 1, 1000);
    for (unsigned i = 2; i < 5; i++) {
        say(END_A, K, 1 + i * 1000, 1, 1000);
        expect_open(i == 2 ? N(HOLE) : 0); /* one hole, and not one for each that follows */
        sack(END_B, 2001, 1001 + i * 1000);
        say(END_B, K, 1, 1001, 0);
    }
    pass(RTT_NS);
    say(END_A, K, 1001, 1, 1000);
    expect_open(N(FILLS_HOLE) | N(AGAIN) | N(AGAIN_FAST));
    assert_int_equal(talk.last.again_of, 0);
    say(END_B, K, 1, 5001, 0);
    assert_int_equal(talk.conv->side[END_A].n_unique_bytes, 5000);
    assert_int_equal(talk.conv->side[END_A].n_again_bytes, 0);
    say(END_A, K, 1001, 1, 1000); /* and now it is known */
    expect_open(N(AGAIN) | N(AGAIN_SPURIOUS));
    assert_int_equal(talk.last.again_of, 11);
    talk_end();
}

static void never_captured(void **state)
{
    talk_begin();
    handshake_over(RTT_NS);
    say(END_A, K, 1, 1, 1000);
    say(END_B, K, 1, 5001, 0);
    expect_open(N(NOT_CAPTURED));
    assert_int_equal(talk.conv->side[END_A].n_missing_bytes, 4000);
    say(END_A, K, 5001, 1, 1000); /* goes on as if nothing had been */
    expect_open(0);
    say(END_A, K, 7001, 1, 1000);
    expect_open(N(HOLE));
    say(END_B, K, 1, 8001, 0);
    expect_open(N(NOT_CAPTURED));
    assert_int_equal(talk.conv->side[END_A].n_missing_bytes, 5000);
    say(END_A, K, 6001, 1, 1000); /* a little late in the capture, that is all */
    expect_open(N(FILLS_HOLE) | N(OUT_OF_ORDER));
    assert_int_equal(talk.conv->side[END_A].n_missing_bytes, 4000);
    assert_int_equal(talk.conv->side[END_A].n_unique_bytes, 4000);
    talk_end();
}

/* A gap must not stop anything from being found behind it, and segments with data are no duplicate ACKs. */
static void a_gap_freezes_nothing(void **state)
{
    talk_begin();
    handshake_over(RTT_NS);
    say(END_A, K, 1, 1, 1000);
    say(END_A, K, 50001, 1, 1000);
    expect_open(N(HOLE));
    for (unsigned i = 0; i < 5; i++) {
        say(END_A, K, 51001 + i * 1000, 1, 1000);
        expect_open(0);
    }
    pass(230 * NS_PER_MS);
    say(END_A, K, 51001, 1, 1000);
    assert_true(has_note(talk.last.notes, NOTE_AGAIN));
    assert_int_equal(talk.last.again_of, 6);
    for (unsigned i = 0; i < 5; i++) {
        say(END_B, K, 1 + i * 10, 1, 10);
        expect_open(0);
    }
    assert_int_equal(talk.conv->side[END_B].n_duplicate_acks, 0);
    talk_end();
}

static void fin_waits_for_the_hole(void **state)
{
    talk_begin();
    handshake_over(RTT_NS);
    say(END_A, K, 1, 1, 1000);
    say(END_A, F | K, 2001, 1, 0);
    expect(FIN_WAIT_1, ESTABLISHED, N(HOLE));
    say(END_A, K, 1001, 1, 1000);
    expect(FIN_WAIT_1, CLOSE_WAIT, N(FILLS_HOLE) | N(OUT_OF_ORDER));
    talk_end();

    talk_begin(); /* or until the other end has it */
    handshake_over(RTT_NS);
    say(END_A, K, 1, 1, 1000);
    say(END_A, F | K, 2001, 1, 0);
    say(END_B, K, 1, 2002, 0);
    expect(FIN_WAIT_2, CLOSE_WAIT, N(NOT_CAPTURED));
    talk_end();
}

static void one_direction_only(void **state)
{
    talk_begin();
    say(END_A, S, 0, 0, 0);
    say(END_A, K, 1, 1, 0);
    say(END_A, P | K, 1, 1, 100);
    say(END_A, K, 101, 1461, 0);
    expect_open(N(SCALE_UNKNOWN) | N(NOT_CAPTURED));
    say(END_A, K, 101, 1461, 0);
    expect_open(N(SCALE_UNKNOWN));
    sack(END_A, 2921, 4381);
    say(END_A, K, 101, 1461, 0);
    expect_open(N(SCALE_UNKNOWN) | N(DUPLICATE_ACK));
    pass(NS_PER_S);
    say(END_A, P | K, 1, 1461, 100);
    assert_true(has_note(talk.last.notes, NOTE_AGAIN));
    talk_end();
}

/* ---- numbers */

static void numbers_wrap(void **state)
{
    talk_begin();
    talk.isn[END_A] = 0xffffffff;
    talk.isn[END_B] = 0xfffffff0;
    handshake();
    say(END_A, P | K, 1, 1, 100);
    assert_int_equal(talk.last.seq_raw, 0);
    assert_int_equal(talk.last.seq, 1);
    say(END_B, P | K, 1, 101, 100);
    assert_int_equal(talk.last.ack, 101);
    say(END_A, K, 101, 101, 0);
    expect_open(0);
    assert_int_equal(talk.last.ack, 101);
    assert_int_equal(talk.last.ack_raw, 0x55);
    say(END_A, P | K, 1, 101, 100);
    expect_open(N(AGAIN) | N(AGAIN_SPURIOUS));
    talk_end();
}

static void more_than_four_gigabytes(void **state)
{
    const uint64_t n_bytes = UINT64_C(9) << 30;
    const uint32_t n_step = 60000;
    uint64_t seq = 1;

    talk_begin();
    handshake();
    while (seq < n_bytes) {
        say(END_A, K, seq, 1, n_step);
        assert_int_equal(talk.last.seq, seq);
        assert_int_equal(talk.last.notes, N(OFFLOAD));
        seq += n_step;
        say(END_B, K, 1, seq, 0);
        assert_int_equal(talk.last.ack, seq);
        assert_int_equal(talk.last.notes, 0);
    }
    assert_int_equal(talk.conv->side[END_A].n_unique_bytes, seq - 1);
    assert_int_equal(talk.conv->n_offload, (seq - 1) / n_step);
    talk_end();
}

static void gap_of_gigabytes(void **state)
{
    talk_begin();
    handshake();
    say(END_A, K, 1, 1, 1000);
    uint64_t seq = UINT64_C(3) << 30;
    say(END_A, K, seq, 1, 1000); /* it may be forged: wait for another */
    expect_open(0);
    say(END_A, K, seq + 1000, 1, 1000);
    expect_open(N(HOLE));
    assert_int_equal(talk.last.seq, seq + 1000);
    say(END_A, K, seq + 2000, 1, 1000);
    expect_open(0);
    assert_int_equal(talk.last.seq, seq + 2000);
    say(END_B, K, 1, seq + 3000, 0);
    expect_open(N(NOT_CAPTURED));
    talk_end();
}

static void one_forged_number(void **state)
{
    talk_begin();
    handshake();
    say(END_A, K, 1, 1, 1000);
    say(END_A, K, 0x40000000, 1, 1000);
    expect_open(0);
    say(END_B, K, 1, 0x30000000, 0);
    expect_open(0);
    say(END_A, K, 1001, 1, 1000);
    expect_open(0);
    say(END_B, K, 1, 2001, 0);
    expect_open(0);
    assert_int_equal(talk.last.in_flight, 0);
    assert_int_equal(talk.conv->side[END_A].n_missing_bytes, 0);
    assert_int_equal(talk.conv->side[END_A].n_unique_bytes, 2000);
    talk_end();
}

static void ranges_are_bounded(void **state)
{
    talk_begin();
    handshake_over(RTT_NS);
    for (unsigned i = 0; i < 3 * TRACK_RANGES_MAX; i++) /* every other one is missing */
        say(END_A, K, 1 + i * 20, 1, 10);
    assert_int_equal(talk.conv->side[END_A].n_holes, 3 * TRACK_RANGES_MAX - 1);
    assert_true(talk.conv->side[END_A].n_missing_bytes >= 20 * TRACK_RANGES_MAX - 20);
    say(END_A, K, 11 + 20, 1, 10); /* too long ago: it is not known to be new */
    assert_true(has_note(talk.last.notes, NOTE_AGAIN));
    unsigned last = 3 * TRACK_RANGES_MAX - 1;
    say(END_A, K, 1 + last * 20 - 10, 1, 10);
    assert_true(has_note(talk.last.notes, NOTE_FILLS_HOLE));
    say(END_A, K, 1 + last * 20 - 35, 1, 2); /* the middle of another */
    assert_int_equal(talk.last.notes & N(FILLS_HOLE), 0);
    say(END_A, K, 1 + last * 20 - 28, 1, 2);
    expect_open(N(FILLS_HOLE) | N(OUT_OF_ORDER));
    say(END_A, K, 1 + last * 20 - 30, 1, 10); /* what is left on both its sides */
    expect_open(N(FILLS_HOLE) | N(OUT_OF_ORDER));
    say(END_B, K, 1, 1 + last * 20 + 10, 0);
    expect_open(N(NOT_CAPTURED));
    const struct conversation_side *a = &talk.conv->side[END_A];
    assert_int_equal(a->n_unique_bytes + a->n_missing_bytes, last * 20 + 10);
    talk_end();
}

static void same_packet_at_two_interfaces(void **state)
{
    talk_begin();
    say(END_A, S, 0, 0, 0);
    talk.interface = 1;
    say(END_A, S, 0, 0, 0);
    expect(SYN_SENT, SYN_RECV, N(SEEN_TWICE));
    assert_int_equal(talk.last.again_of, 1);
    say(END_B, S | K, 0, 1, 0);
    talk.interface = 0;
    say(END_B, S | K, 0, 1, 0);
    expect(ESTABLISHED, SYN_RECV, N(SEEN_TWICE));
    say(END_A, K, 1, 1, 0);
    say(END_A, P | K, 1, 1, 10);
    pass(2 * NS_PER_MS); /* too late for that */
    talk.interface = 1;
    say(END_A, P | K, 1, 1, 10);
    expect_open(N(AGAIN));
    assert_int_equal(talk.conv->n_seen_twice, 2);
    assert_int_equal(talk.conv->side[END_A].n_packets, 4);
    talk_end();
}

static void say_with_id(uint32_t ip_id, enum event_end from, unsigned flags, uint64_t seq, uint64_t ack, uint32_t n)
{
    talk.ip_id = ip_id;
    say(from, flags, seq, ack, n);
}

/* The other interface is behind a long line. What tells a packet from its repeat tells it there, too, however late; and
 * on the interface where it was first, a repeat is one. */
static void same_packet_much_later_at_another_interface(void **state)
{
    talk_begin();
    handshake();
    say_with_id(7, END_A, P | K, 1, 1, 10);
    uint32_t first = talk.last.number;
    pass(300 * NS_PER_MS);
    say_with_id(8, END_A, P | K, 1, 1, 10);
    expect_open(N(AGAIN) | N(AGAIN_RTO));
    uint32_t again = talk.last.number;
    talk.interface = 1;
    pass(100 * NS_PER_MS);
    say_with_id(7, END_A, P | K, 1, 1, 10); /* so late it came there */
    expect_open(N(SEEN_TWICE));
    assert_int_equal(talk.last.again_of, first);
    say_with_id(8, END_A, P | K, 1, 1, 10);
    expect_open(N(SEEN_TWICE));
    assert_int_equal(talk.last.again_of, again);
    talk.options.has_timestamps = true; /* they tell it where there is no id */
    talk.options.ts_value = 100;
    struct segment_options stamped = talk.options;
    say(END_A, P | K, 11, 1, 10);
    expect_open(0);
    talk.interface = 0;
    pass(100 * NS_PER_MS);
    talk.options = stamped;
    say(END_A, P | K, 11, 1, 10);
    expect_open(N(SEEN_TWICE));
    stamped.ts_value = 300;
    talk.options = stamped;
    say(END_A, P | K, 11, 1, 10);
    assert_true(has_note(talk.last.notes, NOTE_AGAIN));
    pass(11 * NS_PER_S);
    talk.interface = 1;
    say_with_id(8, END_A, P | K, 1, 1, 10); /* that long nothing is under way */
    assert_true(has_note(talk.last.notes, NOTE_AGAIN));
    assert_int_equal(talk.conv->n_seen_twice, 3);
    assert_int_equal(talk.conv->side[END_A].n_again, 3);
    talk_end();
}

/* Many are under way from one interface to the other. */
static void many_seen_at_another_interface(void **state)
{
    enum { MANY = 4000 };
    talk_begin();
    handshake();
    talk.interface = 1;
    say_with_id(1, END_B, K, 1, 1, 0); /* there is another one */
    for (int interface = 0; interface < 2; interface++) {
        talk.interface = (uint32_t)interface;
        for (uint32_t i = 0; i < MANY; i++)
            say_with_id(i + 1, END_A, P | K, 1 + 10 * i, 1, 10);
    }
    assert_true(talk.conv->n_seen_twice > MANY * 99 / 100); /* places for them are many, but not without end */
    talk_end();
}

/* As a mirror port shows it. */
static void same_packet_on_one_interface(void **state)
{
    talk_begin();
    for (unsigned i = 0; i < 3; i++) { /* a SYN needs no id for that: it is not repeated so soon */
        say(END_A, S, 0, 0, 0);
        expect(SYN_SENT, SYN_RECV, i > 0 ? N(SEEN_TWICE) : 0);
    }
    say(END_B, S | K, 0, 1, 0);
    say(END_B, S | K, 0, 1, 0);
    expect(ESTABLISHED, SYN_RECV, N(SEEN_TWICE));
    say(END_A, K, 1, 1, 0);
    say_with_id(7, END_A, P | K, 1, 1, 10);
    say_with_id(7, END_A, P | K, 1, 1, 10);
    expect_open(N(SEEN_TWICE));
    assert_int_equal(talk.last.again_of, talk.last.number - 1);
    say_with_id(8, END_A, P | K, 1, 1, 10);
    expect_open(N(AGAIN));
    say_with_id(9, END_B, K, 1, 11, 0);
    say_with_id(9, END_B, K, 1, 11, 0);
    expect_open(N(SEEN_TWICE));
    say_with_id(9, END_A, F | K, 11, 1, 0);
    say_with_id(9, END_A, F | K, 11, 1, 0);
    expect(FIN_WAIT_1, CLOSE_WAIT, N(SEEN_TWICE));
    pass(2 * NS_PER_MS);
    say_with_id(9, END_A, F | K, 11, 1, 0);
    assert_true(has_note(talk.last.notes, NOTE_AGAIN));
    assert_int_equal(talk.conv->n_seen_twice, 6);
    assert_int_equal(talk.conv->side[END_A].n_syns, 1);
    assert_int_equal(talk.conv->side[END_A].n_again, 2);
    talk_end();
}

/* Without an id, duplicate ACKs would be the same. */
static void same_packet_without_id(void **state)
{
    talk_begin();
    handshake();
    say(END_A, P | K, 1, 1, 10);
    say(END_A, P | K, 1, 1, 10);
    expect_open(N(AGAIN));
    say(END_B, K, 1, 1, 0);
    say(END_B, K, 1, 1, 0);
    expect_open(N(DUPLICATE_ACK));
    talk_end();
}

/* Two duplicate ACKs are not one just because all but their SACKs is alike. */
static void other_sacks_are_another_packet(void **state)
{
    talk_begin();
    handshake();
    say(END_A, P | K, 1, 1, 10);
    for (unsigned i = 1; i < 3; i++) {
        say(END_A, P | K, 11 + i * 10, 1, 10);
        sack(END_B, 21, 21 + i * 10);
        say_with_id(5, END_B, K, 1, 11, 0);
        assert_false(has_note(talk.last.notes, NOTE_SEEN_TWICE));
    }
    talk_end();
}

/* ---- payload in order */

static void payload_once_and_in_order(void **state)
{
    talk_begin();
    handshake();
    talk.payload = "one";
    say(END_A, K, 1, 1, 3);
    talk.payload = "three";
    say(END_A, K, 7, 1, 5);
    talk.payload = "four";
    say(END_A, K, 12, 1, 4);
    assert_int_equal(talk.n_followed[END_A], 3);
    talk.payload = "netwo";
    say(END_A, K, 2, 1, 5); /* overlaps */
    assert_string_equal(talk.followed[END_A], "onetwothreefour");
    talk.payload = "netwo";
    say(END_A, K, 2, 1, 5);
    talk.payload = "six";
    say(END_A, K, 20, 1, 3);
    assert_int_equal(talk.n_followed[END_A], 15);
    say(END_B, K, 1, 23, 0); /* it has five; the capture has not */
    pass(5 * NS_PER_MS);
    talk.payload = "end";
    say(END_A, K, 23, 1, 3);
    assert_string_equal(talk.followed[END_A], "onetwothreefoursixend");
    assert_int_equal(talk.n_missing[END_A], 4);
    struct decoded cut = talk_packet(END_B, IPPROTO_TCP); /* the capture holds two bytes of six */
    cut.flags = K;
    cut.seq = talk.isn[END_B] + 1;
    cut.ack = talk.isn[END_A] + 26;
    cut.n_payload = 6;
    cut.n_payload_captured = 2;
    cut.payload = (const uint8_t *)"ab";
    talk_give(&cut);
    assert_int_equal(talk.n_missing[END_B], 0);
    talk.payload = "z";
    say(END_B, K, 7, 26, 1);
    assert_string_equal(talk.followed[END_B], "abz");
    assert_int_equal(talk.n_missing[END_B], 4);
    talk.payload = "lost";
    say(END_A, K, 30, 1, 4);
    say(END_A, R | K, 34, 1, 0); /* nothing more can come */
    assert_string_equal(talk.followed[END_A], "onetwothreefoursixendlost");
    assert_int_equal(talk.n_missing[END_A], 8);
    talk_end();
}

static void payload_that_waits_is_bounded(void **state)
{
    talk_begin();
    handshake();
    for (unsigned i = 0; i < 40; i++)
        say(END_A, K, 1001 + i * 60000, 1, 60000);
    assert_true(talk.n_followed[END_A] > 0);
    assert_int_equal(talk.n_missing[END_A], 1000);
    talk_end();
    assert_int_equal(talk.n_followed[END_A], 40 * 60000);

    talk_begin();
    handshake();
    for (unsigned i = 0; i < 5000; i++)
        say(END_A, K, 2 + i * 2, 1, 1);
    assert_true(talk.n_followed[END_A] >= 5000 - 1024);
    talk_end();
    assert_int_equal(talk.n_followed[END_A], 5000);
    assert_int_equal(talk.n_missing[END_A], 5000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tail_probe_then_timeouts),
        cmocka_unit_test(no_probe_without_sack),
        cmocka_unit_test(soon_and_for_no_known_reason),
        cmocka_unit_test(fast_by_duplicate_acks),
        cmocka_unit_test(fast_by_sack),
        cmocka_unit_test(lost_again_after_fast),
        cmocka_unit_test(nobody_asked_twice),
        cmocka_unit_test(timeout_then_the_rest),
        cmocka_unit_test(needless),
        cmocka_unit_test(repeats_what_was_sacked),
        cmocka_unit_test(repeats_with_more),
        cmocka_unit_test(parts_of_a_long_segment),
        cmocka_unit_test(overtaken),
        cmocka_unit_test(asked_for_within_a_round_trip),
        cmocka_unit_test(lost_before_the_capture),
        cmocka_unit_test(never_captured),
        cmocka_unit_test(a_gap_freezes_nothing),
        cmocka_unit_test(fin_waits_for_the_hole),
        cmocka_unit_test(one_direction_only),
        cmocka_unit_test(numbers_wrap),
        cmocka_unit_test(more_than_four_gigabytes),
        cmocka_unit_test(gap_of_gigabytes),
        cmocka_unit_test(one_forged_number),
        cmocka_unit_test(ranges_are_bounded),
        cmocka_unit_test(same_packet_at_two_interfaces),
        cmocka_unit_test(same_packet_much_later_at_another_interface),
        cmocka_unit_test(many_seen_at_another_interface),
        cmocka_unit_test(same_packet_on_one_interface),
        cmocka_unit_test(same_packet_without_id),
        cmocka_unit_test(other_sacks_are_another_packet),
        cmocka_unit_test(payload_once_and_in_order),
        cmocka_unit_test(payload_that_waits_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
