/* SPDX-License-Identifier: MIT */
/* Windows, questions and answers, and what a header alone says. */
#include "track_talk.h"

static void closed_window_is_probed(void **state)
{
    talk_begin();
    handshake();
    say(END_A, K, 1, 1, 1000);
    talk.window[END_B] = 0;
    say(END_B, K, 1, 1001, 0);
    expect_open(N(ZERO_WINDOW));
    int64_t closed_ns = talk.t_ns;
    assert_int_equal(talk.conv->side[END_B].zero_since_ns, closed_ns);
    for (unsigned i = 1; i <= 3; i++) {
        pass(200 * NS_PER_MS << i);
        say(END_A, K, 1000, 1, 0); /* Linux asks with the number below */
        expect_open(N(WINDOW_PROBE));
        assert_int_equal(talk.last.n_repeat, i);
        if (i == 2)
            continue; /* answers are limited in their rate */
        say(END_B, K, 1, 1001, 0);
        expect_open(N(ZERO_WINDOW) | N(PROBE_ANSWER));
    }
    pass(NS_PER_S);
    talk.window[END_B] = 100;
    say(END_B, K, 1, 1001, 0);
    expect_open(N(WINDOW_UPDATE));
    const struct conversation_side *b = &talk.conv->side[END_B];
    assert_int_equal(b->zero_since_ns, 0);
    assert_int_equal(b->zero_total_ns, talk.t_ns - closed_ns);
    assert_int_equal(b->zero_longest_ns, talk.t_ns - closed_ns);
    assert_int_equal(b->zero_first_ns, closed_ns);
    assert_int_equal(b->n_zero_windows, 1);
    assert_int_equal(b->n_duplicate_acks, 0);
    assert_int_equal(talk.conv->side[END_A].n_probes, 3);
    say(END_A, K, 1001, 1, 1000);
    expect_open(0);
    talk.window[END_B] = 0;
    say(END_B, K, 1, 2001, 0);
    pass(NS_PER_S);
    say(END_A, K, 2000, 1, 0);
    assert_int_equal(talk.last.n_repeat, 1); /* counted anew */
    assert_int_equal(talk.conv->side[END_B].n_zero_windows, 2);
    talk_end();
}

static void probe_with_a_byte(void **state)
{
    talk_begin();
    handshake();
    say(END_A, K, 1, 1, 1000);
    talk.window[END_B] = 0;
    say(END_B, K, 1, 1001, 0);
    for (unsigned i = 1; i <= 2; i++) {
        pass(NS_PER_S);
        say(END_A, K, 1001, 1, 1);
        expect_open(N(WINDOW_PROBE));
        assert_int_equal(talk.last.n_repeat, i);
        say(END_B, K, 1, 1001, 0); /* not taken */
        expect_open(N(ZERO_WINDOW) | N(PROBE_ANSWER));
    }
    pass(NS_PER_S);
    say(END_A, K, 1001, 1, 1);
    say(END_B, K, 1, 1002, 0); /* taken */
    expect_open(N(ZERO_WINDOW));
    assert_int_equal(talk.conv->side[END_A].n_unique_bytes, 1001);
    assert_int_equal(talk.conv->side[END_A].n_missing_bytes, 0);
    talk.window[END_B] = WINDOW;
    say(END_B, K, 1, 1002, 0);
    expect_open(N(WINDOW_UPDATE));
    say(END_A, K, 1002, 1, 1000);
    expect_open(0);
    assert_int_equal(talk.n_followed[END_A], 2001);
    assert_int_equal(talk.conv->side[END_A].n_again, 0);
    talk_end();

    talk_begin(); /* not taken, and sent with the rest when the window opens */
    handshake();
    say(END_A, K, 1, 1, 1000);
    talk.window[END_B] = 0;
    say(END_B, K, 1, 1001, 0);
    say(END_A, K, 1001, 1, 1);
    talk.window[END_B] = WINDOW;
    say(END_B, K, 1, 1001, 0);
    expect_open(N(WINDOW_UPDATE));
    say(END_A, K, 1001, 1, 1000);
    expect_open(0);
    assert_int_equal(talk.conv->side[END_A].n_unique_bytes, 2000);
    assert_int_equal(talk.n_followed[END_A], 2000);
    talk_end();
}

static void stays_closed(void **state)
{
    talk_begin();
    handshake();
    talk.window[END_B] = 0;
    say(END_B, K, 1, 1, 0);
    pass(7 * NS_PER_S);
    say(END_A, K, 0, 1, 0);
    expect_open(N(WINDOW_PROBE));
    int64_t closed_ns = 7 * NS_PER_S + STEP_NS;
    assert_int_equal(talk.conv->side[END_B].zero_longest_ns, closed_ns);
    assert_int_equal(talk.conv->side[END_B].zero_total_ns, 0);
    talk_end();
}

static void filled_window(void **state)
{
    talk_begin();
    handshake();
    talk.window[END_B] = 10; /* 1280 */
    say(END_B, K, 1, 1, 0);
    say(END_A, K, 1, 1, 1000);
    expect_open(0);
    say(END_A, K, 1001, 1, 280);
    expect_open(N(WINDOW_FULL));
    assert_int_equal(talk.last.in_flight, 1280);
    say(END_A, P | K, 1281, 1, 1);
    expect_open(0); /* past it: that is something else */
    talk_end();
}

static void updates(void **state)
{
    talk_begin();
    handshake();
    say(END_B, K, 1, 1, 0);
    expect_open(0);
    talk.window[END_B] = 600;
    say(END_B, K, 1, 1, 0);
    expect_open(N(WINDOW_UPDATE));
    assert_int_equal(talk.last.window, 600 << SCALE);
    talk.window[END_B] = 500; /* smaller */
    say(END_B, K, 1, 1, 0);
    expect_open(0);
    say(END_A, K, 1, 1, 1000);
    talk.window[END_B] = 700;
    say(END_B, K, 1, 1, 0); /* not a duplicate ACK, though data is outstanding */
    expect_open(N(WINDOW_UPDATE));
    say(END_B, K, 1, 1, 0);
    expect_open(N(DUPLICATE_ACK));
    talk.window[END_B] = 900;
    say(END_B, K, 1, 1001, 0); /* it acknowledges something, which is more */
    expect_open(0);
    talk.window[END_B] = 0;
    say(END_B, K, 1, 1, 0); /* an old ACK that was overtaken: its window is old too */
    assert_int_equal(talk.conv->side[END_B].zero_since_ns, 0);
    expect_open(N(ZERO_WINDOW));
    assert_int_equal(talk.conv->side[END_B].window, 900 << SCALE);
    talk_end();
}

static void scales(void **state)
{
    talk_begin();
    say(END_A, S, 0, 0, 0);
    assert_int_equal(talk.last.window, 64240); /* a SYN's is never scaled */
    talk.syn_options.window_scale = -1;
    say(END_B, S | K, 0, 1, 0);
    say(END_A, K, 1, 1, 0);
    expect_open(0);
    assert_int_equal(talk.last.window, WINDOW); /* one of them does not want it */
    talk_end();

    talk_begin();
    talk.syn_options.window_scale = 15; /* RFC 7323: taken as 14 */
    handshake();
    assert_int_equal(talk.last.window, WINDOW << 14);
    talk_end();

    talk_begin(); /* midway, nobody knows */
    say(END_A, K, 1, 1, 10);
    assert_int_equal(talk.last.window, WINDOW);
    assert_true(has_note(talk.last.notes, NOTE_SCALE_UNKNOWN));
    talk_end();
}

static void keep_alives(void **state)
{
    talk_begin();
    handshake();
    say(END_A, P | K, 1, 1, 10);
    say(END_B, K, 1, 11, 0);
    pass(7200 * NS_PER_S);
    say(END_A, K, 10, 1, 0);
    expect_open(N(KEEP_ALIVE));
    say(END_B, K, 1, 11, 0);
    expect_open(N(KEEP_ALIVE_ANSWER));
    say(END_B, K, 1, 11, 0); /* to nothing */
    expect_open(0);
    pass(NS_PER_S);
    say(END_A, K, 10, 1, 1); /* some send a byte of what was sent before */
    expect_open(N(KEEP_ALIVE));
    sack(END_B, 10, 11);
    say(END_B, K, 1, 11, 0);
    expect_open(N(KEEP_ALIVE_ANSWER) | N(DSACK));
    assert_int_equal(talk.conv->side[END_A].n_keep_alives, 2);
    assert_int_equal(talk.conv->side[END_A].n_again, 0);
    talk_end();
}

static void no_keep_alives(void **state)
{
    talk_begin();
    handshake();
    say(END_A, P | K, 1, 1, 1); /* a key */
    pass(250 * NS_PER_MS);
    say(END_A, P | K, 1, 1, 1); /* not acknowledged: a repeat */
    assert_true(has_note(talk.last.notes, NOTE_AGAIN));
    assert_false(has_note(talk.last.notes, NOTE_KEEP_ALIVE));
    say(END_B, K, 1, 2, 0);
    say(END_A, K, 1, 1, 0); /* an ACK from before it, overtaken */
    expect_open(0);
    say(END_A, F | K, 2, 1, 0);
    say(END_B, K, 1, 3, 0);
    say(END_A, K, 2, 1, 0); /* the same with a FIN */
    expect(FIN_WAIT_2, CLOSE_WAIT, 0);
    talk_end();
}

static void headers(void **state)
{
    talk_begin();
    talk.syn_options.mss = 0;
    say(END_A, S, 0, 0, 0);
    expect(SYN_SENT, SYN_RECV, N(MSS_MISSING));
    talk.syn_options.mss = 1000;
    say(END_B, S | K, 0, 1, 0);
    say(END_A, K, 1, 1, 0);
    say(END_A, K, 1, 1, 1001);
    expect_open(N(OFFLOAD));
    say(END_B, K, 1, 1, 5000); /* what A can take was not said */
    expect_open(0);
    say(END_A, P | K | U, 1002, 1, 1);
    expect_open(N(URGENT));
    talk.trouble = DECODE_CUT;
    say(END_A, K, 1003, 1, 100);
    expect_open(N(CUT));
    talk.trouble = DECODE_CHECKSUM_BAD;
    say(END_A, K, 1103, 1, 100);
    expect_open(N(CHECKSUM_BAD));
    talk.trouble = DECODE_CHECKSUM_BAD;
    say(END_A, R | K, 1203, 1, 0); /* would be thrown away */
    expect_open(N(CHECKSUM_BAD) | N(RESET));
    talk.trouble = DECODE_CHECKSUM_PARTIAL;
    say(END_A, K, 1203, 1, 100);
    expect_open(0);
    assert_int_equal(talk.conv->n_cut, 1);
    assert_int_equal(talk.conv->n_checksum_bad, 2);
    assert_int_equal(talk.conv->n_offload, 1);
    talk_end();
}

static void in_flight(void **state)
{
    talk_begin();
    handshake();
    for (unsigned i = 0; i < 10; i++)
        say(END_A, K, 1 + i * 100, 1, 100);
    assert_int_equal(talk.last.in_flight, 1000);
    say(END_B, K, 1, 601, 0);
    assert_int_equal(talk.last.in_flight, 0);
    assert_int_equal(talk.conv->side[END_A].in_flight, 400);
    say(END_A, F | K, 1001, 1, 0);
    assert_int_equal(talk.last.in_flight, 400); /* FIN is no byte */
    assert_int_equal(talk.conv->side[END_A].in_flight_max, 1000);
    talk_end();
}

static void round_trips(void **state)
{
    talk_begin();
    handshake();
    const struct conversation_side *a = &talk.conv->side[END_A], *b = &talk.conv->side[END_B];
    assert_int_equal(a->n_rtt, 1); /* SYN, SYN-ACK */
    assert_int_equal(b->n_rtt, 1); /* SYN-ACK, ACK */
    say(END_A, K, 1, 1, 100);
    pass(NS_PER_MS);
    say(END_A, K, 101, 1, 100);
    pass(NS_PER_MS);
    say(END_B, K, 1, 201, 0); /* of the last that it acknowledges */
    assert_int_equal(talk.last.rtt_ns, NS_PER_MS + STEP_NS);
    assert_int_equal(a->n_rtt, 2);
    assert_int_equal(a->rtt_max_ns, NS_PER_MS + STEP_NS);
    assert_int_equal(a->rtt_min_ns, STEP_NS);
    assert_int_equal(a->rtt_sum_ns, NS_PER_MS + 2 * STEP_NS);
    say(END_B, K, 1, 201, 0);
    assert_int_equal(talk.last.rtt_ns, 0);
    say(END_A, K, 201, 1, 100);
    pass(NS_PER_MS);
    say(END_A, K, 301, 1, 100);
    sack(END_B, 301, 401);
    say(END_B, K, 1, 201, 0); /* SACK shows one, */
    assert_int_equal(talk.last.rtt_ns, STEP_NS);
    say(END_B, K, 1, 401, 0); /* ... and then only the other is new */
    assert_int_equal(talk.last.rtt_ns, NS_PER_MS + 3 * STEP_NS);
    talk_end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(closed_window_is_probed),
        cmocka_unit_test(probe_with_a_byte),
        cmocka_unit_test(stays_closed),
        cmocka_unit_test(filled_window),
        cmocka_unit_test(updates),
        cmocka_unit_test(scales),
        cmocka_unit_test(keep_alives),
        cmocka_unit_test(no_keep_alives),
        cmocka_unit_test(headers),
        cmocka_unit_test(in_flight),
        cmocka_unit_test(round_trips),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
