/* SPDX-License-Identifier: MIT */
/* Both ends' states after each segment, and the lives of conversations. */
#include "track_talk.h"

#include <stdlib.h>

/* ---- opening */

static void opens_and_closes_in_four(void **state)
{
    talk_begin();
    handshake();
    assert_int_equal(talk.opened_state[END_A], TCP_STATE_CLOSED);
    assert_int_equal(talk.opened_state[END_B], TCP_STATE_LISTEN);
    say(END_A, P | K, 1, 1, 5);
    expect_open(0);
    assert_int_equal(talk.last.in_flight, 5);
    assert_int_equal(talk.last.number, 4);
    assert_int_equal(talk.last.seq, 1);
    say(END_B, K, 1, 6, 0);
    expect_open(0);
    assert_int_equal(talk.last.rtt_ns, STEP_NS);
    say(END_A, F | K, 6, 1, 0);
    expect(FIN_WAIT_1, CLOSE_WAIT, 0);
    assert_int_equal(talk.conv->ending, ENDED_HALF);
    assert_int_equal(talk.last.in_flight, 0);
    say(END_B, K, 1, 7, 0);
    expect(FIN_WAIT_2, CLOSE_WAIT, 0);
    say(END_B, P | K, 1, 7, 3); /* half-closed: the other way still works */
    expect(FIN_WAIT_2, CLOSE_WAIT, 0);
    say(END_A, K, 7, 4, 0);
    expect(FIN_WAIT_2, CLOSE_WAIT, 0);
    say(END_B, F | K, 4, 7, 0);
    expect(TIME_WAIT, LAST_ACK, 0);
    assert_int_equal(talk.conv->ending, ENDED_WITHOUT_ACK);
    say(END_A, K, 7, 5, 0);
    expect(TIME_WAIT, CLOSED, 0);
    const struct conversation *conv = talk.conv;
    assert_int_equal(conv->ending, ENDED_IN_4);
    assert_int_equal(conv->opening, OPENED_HANDSHAKE);
    assert_int_equal(conv->closed_first, END_A);
    assert_true(conv->a_is_client);
    assert_false(conv->begins_midway);
    assert_int_equal(conv->side[END_A].n_unique_bytes, 5);
    assert_int_equal(conv->side[END_B].n_unique_bytes, 3);
    assert_int_equal(conv->side[END_A].mss, MSS);
    assert_int_equal(conv->side[END_A].window, WINDOW << SCALE);
    assert_int_equal(conv->established_ns - conv->syn_ns, 2 * STEP_NS);
    assert_int_equal(conv->n_segments, 11);
    assert_int_equal(conv->side[END_A].n_again + conv->side[END_B].n_again, 0);
    say(END_B, P | K, 5, 7, 1);
    expect(TIME_WAIT, CLOSED, N(AFTER_END));
    talk_end();
    assert_int_equal(talk.n_forgotten, 1);
}

static void closes_in_three(void **state)
{
    talk_begin();
    handshake();
    say(END_B, F | K, 1, 1, 0);
    expect(CLOSE_WAIT, FIN_WAIT_1, 0);
    say(END_A, F | K, 1, 2, 0);
    expect(LAST_ACK, TIME_WAIT, 0);
    say(END_B, K, 2, 2, 0);
    expect(CLOSED, TIME_WAIT, 0);
    assert_int_equal(talk.conv->ending, ENDED_IN_3);
    assert_int_equal(talk.conv->closed_first, END_B);
    talk_end();
}

static void closes_simultaneously(void **state)
{
    talk_begin();
    handshake();
    say(END_A, F | K, 1, 1, 0);
    expect(FIN_WAIT_1, CLOSE_WAIT, 0);
    say(END_B, F | K, 1, 1, 0); /* so it had not left ESTABLISHED */
    expect(CLOSING, FIN_WAIT_1, N(SIMULTANEOUS_CLOSE));
    say(END_A, K, 2, 2, 0); /* behind A's FIN */
    expect(CLOSING, CLOSING, 0);
    assert_int_equal(talk.conv->ending, ENDED_WITHOUT_ACK);
    say(END_B, K, 2, 2, 0);
    expect(TIME_WAIT, TIME_WAIT, 0);
    assert_int_equal(talk.conv->ending, ENDED_SIMULTANEOUSLY);
    talk_end();
}

/* The same, seen at the other end. */
static void closes_simultaneously_answered_first(void **state)
{
    talk_begin();
    handshake();
    say(END_A, F | K, 1, 1, 0);
    say(END_B, F | K, 1, 1, 0);
    say(END_B, K, 2, 2, 0);
    expect(TIME_WAIT, CLOSING, 0);
    say(END_A, K, 2, 2, 0);
    expect(TIME_WAIT, TIME_WAIT, 0);
    assert_int_equal(talk.conv->ending, ENDED_SIMULTANEOUSLY);
    talk_end();
}

static void closes_simultaneously_and_a_fin_is_lost(void **state)
{
    talk_begin();
    handshake();
    say(END_A, F | K, 1, 1, 0);
    say(END_B, F | K, 1, 1, 0);
    say(END_A, K, 2, 2, 0);
    expect(CLOSING, CLOSING, 0);
    pass(400 * NS_PER_MS);
    say(END_A, F | K, 1, 2, 0);
    expect(CLOSING, TIME_WAIT, N(AGAIN) | N(AGAIN_RTO));
    say(END_B, K, 2, 2, 0);
    expect(TIME_WAIT, TIME_WAIT, 0);
    talk_end();

    talk_begin(); /* the ACK of B's is lost as well */
    handshake();
    say(END_A, F | K, 1, 1, 0);
    say(END_B, F | K, 1, 1, 0);
    say(END_A, K, 2, 2, 0);
    pass(210 * NS_PER_MS);
    say(END_B, F | K, 1, 1, 0);
    expect(CLOSING, FIN_WAIT_1, N(AGAIN) | N(AGAIN_SPURIOUS));
    say(END_A, F | K, 1, 2, 0);
    assert_int_equal(talk.last.state[END_B], TCP_STATE_TIME_WAIT);
    say(END_B, K, 2, 2, 0);
    assert_int_equal(talk.last.state[END_A], TCP_STATE_TIME_WAIT);
    assert_int_equal(talk.last.state[END_B], TCP_STATE_TIME_WAIT);
    talk_end();
}

static void last_fin_again(void **state)
{
    talk_begin();
    handshake();
    say(END_A, F | K, 1, 1, 0);
    say(END_B, F | K, 1, 2, 0);
    say(END_A, K, 2, 2, 0);
    expect(TIME_WAIT, CLOSED, 0);
    pass(300 * NS_PER_MS);
    say(END_B, F | K, 1, 2, 0); /* so the ACK was lost */
    expect(TIME_WAIT, LAST_ACK, N(AGAIN) | N(AGAIN_SPURIOUS));
    assert_int_equal(talk.last.again_of, 5);
    assert_int_equal(talk.conv->ending, ENDED_WITHOUT_ACK);
    say(END_A, K, 2, 2, 0);
    expect(TIME_WAIT, CLOSED, 0);
    assert_int_equal(talk.conv->ending, ENDED_IN_3);
    talk_end();
}

static void fin_again_since_the_others_was_lost(void **state)
{
    talk_begin();
    handshake();
    say(END_A, F | K, 1, 1, 0);
    say(END_B, F | K, 1, 2, 0);
    expect(TIME_WAIT, LAST_ACK, 0);
    pass(210 * NS_PER_MS);
    say(END_A, F | K, 1, 1, 0); /* it does not acknowledge B's FIN */
    expect(FIN_WAIT_1, LAST_ACK, N(AGAIN) | N(AGAIN_SPURIOUS));
    say(END_B, K, 2, 2, 0);
    expect(FIN_WAIT_2, LAST_ACK, 0);
    say(END_B, F | K, 1, 2, 0);
    assert_true(has_note(talk.last.notes, NOTE_AGAIN));
    assert_int_equal(talk.last.state[END_A], TCP_STATE_TIME_WAIT);
    say(END_A, K, 2, 2, 0);
    expect(TIME_WAIT, CLOSED, 0);
    talk_end();
}

static void opens_simultaneously(void **state)
{
    talk_begin();
    say(END_A, S, 0, 0, 0);
    expect(SYN_SENT, SYN_RECV, 0);
    say(END_B, S, 0, 0, 0);
    expect(SYN_RECV, SYN_RECV, N(SIMULTANEOUS_OPEN));
    say(END_A, S | K, 0, 1, 0);
    expect(SYN_RECV, ESTABLISHED, 0);
    assert_int_equal(talk.conv->opening, OPENED_NOT_YET);
    say(END_B, S | K, 0, 1, 0);
    expect_open(0);
    assert_int_equal(talk.conv->opening, OPENED_SIMULTANEOUSLY);
    assert_int_equal(talk.conv->side[END_A].n_syns_again + talk.conv->side[END_B].n_syns_again, 0);
    say(END_A, P | K, 1, 1, 10);
    expect_open(0);
    assert_int_equal(talk.n_opened, 1);
    talk_end();
}

static void syn_again_until_answered(void **state)
{
    talk_begin();
    say(END_A, S, 0, 0, 0);
    expect(SYN_SENT, SYN_RECV, 0);
    for (unsigned i = 1; i <= 4; i++) {
        pass(NS_PER_S);
        say(END_A, S, 0, 0, 0);
        expect(SYN_SENT, SYN_RECV, N(SYN_RETRY));
        assert_int_equal(talk.last.again_of, 1);
        assert_int_equal(talk.last.n_repeat, i);
    }
    say(END_B, S | K, 0, 1, 0);
    expect(ESTABLISHED, SYN_RECV, 0);
    assert_int_equal(talk.last.rtt_ns, 0); /* Karn: which of them does it answer? */
    say(END_A, K, 1, 1, 0);
    expect_open(0);
    assert_int_equal(talk.conv->n_syn_retries, 4);
    assert_int_equal(talk.conv->side[END_A].n_syns, 5);
    assert_int_equal(talk.conv->side[END_A].n_syns_again, 4);
    assert_int_equal(talk.conv->side[END_A].n_again, 0);
    talk_end();
}

static void syn_ack_again(void **state)
{
    talk_begin();
    handshake();
    pass(NS_PER_S);
    say(END_B, S | K, 0, 1, 0); /* the ACK was lost, or its accept queue is full */
    expect(ESTABLISHED, SYN_RECV, N(SYN_RETRY));
    assert_int_equal(talk.last.again_of, 2);
    say(END_A, K, 1, 1, 0);
    expect_open(0);
    assert_int_equal(talk.conv->n_syn_retries, 0);
    assert_int_equal(talk.conv->side[END_B].n_syns, 2);
    talk_end();
}

static void syn_that_comes_late(void **state)
{
    talk_begin();
    handshake();
    say(END_A, P | K, 1, 1, 10);
    pass(2 * NS_PER_MS);
    say(END_A, S, 0, 0, 0); /* a copy that took its time */
    expect_open(N(SYN_RETRY));
    say(END_B, P | K, 1, 11, 10);
    say(END_B, S | K, 0, 1, 0);
    expect_open(N(SYN_RETRY));
    talk_end();
}

static void syn_cookie_changes(void **state)
{
    talk_begin();
    say(END_A, S, 0, 0, 0);
    say(END_B, S | K, 0, 1, 0);
    talk.isn[END_B] += 777777;
    say(END_B, S | K, 0, 1, 0);
    expect(ESTABLISHED, SYN_RECV, N(SYN_RETRY));
    say(END_A, K, 1, 1, 0);
    expect_open(0);
    say(END_B, P | K, 1, 1, 4);
    expect_open(0);
    assert_int_equal(talk.last.seq, 1);
    assert_int_equal(talk.n_opened, 1);
    talk_end();
}

static void refused(void **state)
{
    talk_begin();
    say(END_A, S, 0, 0, 0);
    talk.isn[END_B] = 0;
    say(END_B, R | K, 0, 1, 0);
    expect(CLOSED, CLOSED, N(REFUSED) | N(RESET));
    assert_int_equal(talk.last.reset_cause, RESET_REFUSED);
    assert_int_equal(talk.last.seq, 0);
    assert_int_equal(talk.last.ack, 1);
    assert_int_equal(talk.conv->opening, OPENED_REFUSED);
    assert_int_equal(talk.conv->ending, ENDED_REFUSED);
    assert_int_equal(talk.conv->reset_by, END_B);
    pass(500 * NS_PER_MS);
    say(END_A, S, 0, 0, 0); /* some systems try again with the same number */
    expect(SYN_SENT, SYN_RECV, N(SYN_RETRY));
    say(END_B, R | K, 0, 1, 0);
    expect(CLOSED, CLOSED, N(REFUSED) | N(RESET));
    talk.isn[END_A] += 5000;
    say(END_A, S, 0, 0, 0);
    expect(SYN_SENT, SYN_RECV, N(TUPLE_REUSED));
    assert_int_equal(talk.n_opened, 2);
    talk_end();
}

static void syn_is_answered_by_an_old_connection(void **state)
{
    talk_begin();
    say(END_A, S, 0, 0, 0);
    talk.isn[END_B] = 90000;
    uint32_t isn = talk.isn[END_A];
    talk.isn[END_A] = 0x80000000;
    say(END_B, K, 55, 77, 0); /* a challenge ACK: its numbers are another connection's */
    expect(SYN_SENT, SYN_RECV, N(SCALE_UNKNOWN));
    say(END_A, R, 77, 0, 0);
    expect(SYN_SENT, CLOSED, N(RESET));
    assert_int_equal(talk.last.reset_cause, RESET_NO_SUCH);
    talk.isn[END_A] = isn;
    pass(NS_PER_S);
    say(END_A, S, 0, 0, 0);
    expect(SYN_SENT, SYN_RECV, N(SYN_RETRY));
    talk.isn[END_B] = 5;
    say(END_B, S | K, 0, 1, 0);
    expect(ESTABLISHED, SYN_RECV, 0);
    say(END_A, K, 1, 1, 0);
    expect_open(0);
    assert_int_equal(talk.conv->opening, OPENED_HANDSHAKE);
    assert_int_equal(talk.conv->ending, ENDED_NOT);
    assert_int_equal(talk.n_opened, 1);
    talk_end();
}

static void fast_open(void **state)
{
    talk_begin();
    talk.syn_options.has_fast_open = true;
    say(END_A, S, 0, 0, 100);
    expect(SYN_SENT, SYN_RECV, N(FAST_OPEN));
    say(END_B, S | K, 0, 101, 0);
    expect(ESTABLISHED, SYN_RECV, 0);
    say(END_B, P | K, 1, 101, 50); /* may be before the last ACK */
    expect(ESTABLISHED, SYN_RECV, 0);
    say(END_A, K, 101, 51, 0);
    expect_open(0);
    assert_int_equal(talk.conv->side[END_A].n_unique_bytes, 100);
    assert_int_equal(talk.n_followed[END_A], 100);
    talk_end();
}

static void handshake_with_gaps(void **state)
{
    talk_begin(); /* the SYN was not captured */
    say(END_B, S | K, 0, 1, 0);
    expect(ESTABLISHED, SYN_RECV, 0);
    assert_int_equal(talk.last.from, END_B);
    assert_true(talk.conv->a_is_client);
    say(END_A, K, 1, 1, 0);
    expect_open(N(SCALE_UNKNOWN));
    assert_false(talk.last.state_guess[END_A]);
    assert_int_equal(talk.conv->opening, OPENED_HANDSHAKE);
    talk_end();

    talk_begin(); /* the SYN-ACK was not captured */
    say(END_A, S, 0, 0, 0);
    say(END_A, K, 1, 1, 0);
    expect_open(N(SCALE_UNKNOWN));
    talk_end();

    talk_begin(); /* the last ACK was not captured */
    say(END_A, S, 0, 0, 0);
    say(END_B, S | K, 0, 1, 0);
    say(END_B, P | K, 1, 1, 20);
    expect_open(0);
    talk_end();

    talk_begin(); /* the SYN was captured behind its answer */
    say(END_B, S | K, 0, 1, 0);
    say(END_A, S, 0, 0, 0);
    expect(ESTABLISHED, SYN_RECV, N(OUT_OF_ORDER));
    say(END_A, K, 1, 1, 0);
    expect_open(0);
    assert_int_equal(talk.n_opened, 1);
    talk_end();
}

/* ---- midway */

static void begins_midway(void **state)
{
    talk_begin();
    talk.port[END_A] = 52114;
    talk.port[END_B] = 80;
    say(END_A, P | K, 5000, 9000, 78);
    expect_open(N(MIDWAY) | N(SCALE_UNKNOWN));
    assert_true(talk.last.state_guess[END_A] && talk.last.state_guess[END_B]);
    assert_int_equal(talk.opened_state[END_A], TCP_STATE_UNKNOWN);
    assert_int_equal(talk.last.seq, 1); /* the first number seen is 1 */
    assert_int_equal(talk.last.ack, 1);
    say(END_B, K, 9000, 5078, 0);
    expect_open(N(SCALE_UNKNOWN));
    assert_int_equal(talk.last.ack, 79);
    assert_true(talk.last.state_guess[END_A]);
    say(END_B, P | K, 9000 + 1448, 5078, 652);
    expect_open(N(HOLE) | N(SCALE_UNKNOWN));
    assert_false(talk.last.state_guess[END_A]); /* both send, so neither had closed */
    sack(END_A, 9000 + 1448, 9000 + 2100);
    say(END_A, K, 5078, 9000, 0);
    expect_open(N(DUPLICATE_ACK) | N(SCALE_UNKNOWN));
    assert_int_equal(talk.last.options.sack[0].from, 1449);
    assert_int_equal(talk.last.options.sack[0].to, 2101);
    pass(110 * NS_PER_MS);
    say(END_B, K, 9000, 5078, 1448);
    expect_open(N(FILLS_HOLE) | N(AGAIN) | N(SCALE_UNKNOWN));
    assert_int_equal(talk.last.again_of, 0);
    say(END_A, K, 5078, 9000 + 2100, 0);
    say(END_B, F | K, 9000 + 2100, 5078, 0);
    expect(CLOSE_WAIT, FIN_WAIT_1, N(SCALE_UNKNOWN));
    say(END_A, F | K, 5078, 9000 + 2101, 0);
    expect(LAST_ACK, TIME_WAIT, N(SCALE_UNKNOWN));
    say(END_B, K, 9000 + 2101, 5079, 0);
    expect(CLOSED, TIME_WAIT, N(SCALE_UNKNOWN));
    assert_int_equal(talk.conv->ending, ENDED_IN_3);
    assert_int_equal(talk.conv->opening, OPENED_UNKNOWN);
    assert_true(talk.conv->begins_midway);
    assert_false(talk.conv->a_is_client);
    talk_end();
}

static void midway_from_the_server(void **state)
{
    talk_begin();
    say(END_B, P | K, 700, 20, 10); /* its port is the lower one */
    assert_int_equal(talk.last.from, END_B);
    say(END_A, F | K, 20, 710, 0);
    expect(FIN_WAIT_1, CLOSE_WAIT, N(SCALE_UNKNOWN));
    assert_false(talk.last.state_guess[END_A]);
    talk_end();

    talk_begin();
    say(END_A, F | K, 20, 710, 0); /* the other end may have closed before */
    expect(FIN_WAIT_1, CLOSE_WAIT, N(MIDWAY) | N(SCALE_UNKNOWN));
    assert_true(talk.last.state_guess[END_A] && talk.last.state_guess[END_B]);
    talk_end();

    talk_begin();
    say(END_A, R, 20, 0, 0);
    expect(CLOSED, CLOSED, N(MIDWAY) | N(RESET));
    assert_false(talk.last.state_guess[END_A]);
    talk_end();
}

/* ---- resets */

static void reset_causes(void **state)
{
    talk_begin(); /* out of the blue */
    handshake();
    say(END_A, P | K, 1, 1, 100);
    say(END_B, R | K, 1, 101, 0);
    expect(CLOSED, CLOSED, N(RESET));
    assert_int_equal(talk.last.reset_cause, RESET_ABORT);
    assert_int_equal(talk.conv->ending, ENDED_RESET);
    assert_int_equal(talk.conv->reset_by, END_B);
    say(END_A, P | K, 101, 1, 100); /* was on its way */
    expect(CLOSED, CLOSED, N(AFTER_END));
    say(END_B, R, 1, 0, 0);
    expect(CLOSED, CLOSED, N(RESET) | N(AFTER_END));
    assert_int_equal(talk.last.reset_cause, RESET_NO_SUCH);
    assert_int_equal(talk.conv->reset_cause, RESET_ABORT);
    talk_end();

    talk_begin(); /* data for a socket that was closed */
    handshake();
    say(END_B, F | K, 1, 1, 0);
    say(END_A, K, 1, 2, 0);
    say(END_A, P | K, 1, 2, 100);
    say(END_B, R, 2, 0, 0);
    expect(CLOSED, CLOSED, N(RESET));
    assert_int_equal(talk.last.reset_cause, RESET_UNREAD);
    talk_end();

    talk_begin(); /* data after the end */
    handshake();
    say(END_B, F | K, 1, 1, 0);
    say(END_A, F | K, 1, 2, 0);
    say(END_B, K, 2, 2, 0);
    expect(CLOSED, TIME_WAIT, 0);
    say(END_A, P | K, 2, 2, 100);
    expect(CLOSED, TIME_WAIT, N(AFTER_END));
    say(END_B, R, 2, 0, 0);
    expect(CLOSED, CLOSED, N(RESET) | N(AFTER_END));
    assert_int_equal(talk.last.reset_cause, RESET_AFTER_CLOSE);
    assert_int_equal(talk.conv->ending, ENDED_IN_3);
    talk_end();

    talk_begin(); /* it does not know of it any more */
    handshake();
    say(END_A, P | K, 1, 1, 100);
    say(END_B, R, 1, 0, 0);
    expect(CLOSED, CLOSED, N(RESET));
    assert_int_equal(talk.last.reset_cause, RESET_NO_SUCH);
    talk_end();

    talk_begin(); /* nobody answers */
    handshake();
    for (unsigned i = 0; i < 3; i++) {
        pass(NS_PER_S);
        say(END_A, K, 0, 1, 0);
        expect_open(N(KEEP_ALIVE));
    }
    pass(NS_PER_S);
    say(END_A, R | K, 1, 1, 0);
    expect(CLOSED, CLOSED, N(RESET));
    assert_int_equal(talk.last.reset_cause, RESET_TIMEOUT);
    talk_end();
}

static void reset_that_is_not_taken(void **state)
{
    talk_begin();
    handshake();
    say(END_A, P | K, 1, 1, 1000);
    say(END_B, K, 1, 1001, 0);
    say(END_A, R, 5, 0, 0); /* below what was acknowledged */
    expect_open(N(RESET));
    assert_int_equal(talk.last.reset_cause, RESET_UNKNOWN);
    say(END_A, R, 0x70000000, 0, 0); /* far above */
    expect_open(N(RESET));
    say(END_A, P | K, 1001, 1, 10);
    expect_open(0);
    assert_int_equal(talk.conv->ending, ENDED_NOT);
    talk_end();

    talk_begin(); /* one that does not acknowledge the SYN */
    say(END_A, S, 0, 0, 0);
    say(END_B, R | K, 0, 12345, 0);
    expect(SYN_SENT, SYN_RECV, N(RESET));
    talk_end();
}

static void half_open_scan(void **state)
{
    talk_begin();
    say(END_A, S, 0, 0, 0);
    say(END_B, S | K, 0, 1, 0);
    say(END_A, R, 1, 0, 0);
    expect(CLOSED, CLOSED, N(RESET));
    assert_int_equal(talk.last.reset_cause, RESET_NO_SUCH);
    talk_end();
}

/* ---- lives */

static void ports_used_again(void **state)
{
    talk_begin();
    for (unsigned i = 0; i < 3; i++) {
        say(END_A, S, 0, 0, 0);
        expect(SYN_SENT, SYN_RECV, i > 0 ? N(TUPLE_REUSED) : 0);
        assert_int_equal(talk.conv->id, i + 1);
        assert_int_equal(talk.conv->tuple_reused, i > 0);
        say(END_B, S | K, 0, 1, 0);
        say(END_A, K, 1, 1, 0);
        expect_open(0);
        say(END_A, P | K, 1, 1, 10);
        assert_int_equal(talk.last.seq, 1);
        if (i == 0) { /* closed; later ones still look open */
            say(END_A, R | K, 11, 1, 0);
        }
        talk.isn[END_A] += 64000;
        talk.isn[END_B] += 99000;
    }
    assert_int_equal(talk.n_forgotten, 2);
    assert_int_equal(talk.forgotten[0], 1);
    assert_int_equal(talk.forgotten[1], 2);
    talk_end();
    assert_int_equal(talk.n_forgotten, 3);
}

static void ports_used_again_unseen(void **state)
{
    talk_begin();
    handshake();
    say(END_A, F | K, 1, 1, 0);
    say(END_B, F | K, 1, 2, 0);
    say(END_A, K, 2, 2, 0);
    talk.isn[END_A] += 0x20000000;
    say(END_A, P | K, 1, 2, 10); /* one number may be forged */
    expect(TIME_WAIT, CLOSED, N(AFTER_END));
    talk.isn[END_B] += 0x30000000;
    say(END_A, P | K, 5, 7, 10);
    expect_open(N(TUPLE_REUSED) | N(MIDWAY) | N(SCALE_UNKNOWN));
    assert_int_equal(talk.last.seq, 1);
    talk_end();
    assert_int_equal(talk.n_opened, 2);
}

static void roles_change_on_the_same_ports(void **state)
{
    talk_begin();
    handshake();
    say(END_A, R | K, 1, 1, 0);
    talk.isn[END_B] += 5;
    say(END_B, S, 0, 0, 0); /* our B is the tracker's A now */
    expect(SYN_SENT, SYN_RECV, N(TUPLE_REUSED));
    assert_int_equal(talk.last.from, END_A);
    assert_int_equal(talk.conv->side[END_A].address.port, 7007);
    talk_end();
}

static void ended_ones_are_forgotten(void **state)
{
    talk_begin();
    handshake();
    say(END_A, R | K, 1, 1, 0);
    pass(299 * NS_PER_S);
    say(END_B, P | K, 1, 1, 10);
    expect(CLOSED, CLOSED, N(AFTER_END));
    pass(301 * NS_PER_S);
    say(END_B, P | K, 11, 1, 10);
    expect_open(N(MIDWAY) | N(SCALE_UNKNOWN));
    assert_int_equal(talk.n_forgotten, 1);
    pass(86400 * NS_PER_S); /* open ones stay */
    say(END_B, P | K, 21, 1, 10);
    expect_open(N(SCALE_UNKNOWN));
    talk_end();
}

static void quiet_ones_make_room(void **state)
{
    struct tracker_counts counts;

    talk_begin_with(3);
    for (uint16_t i = 0; i < 5; i++) {
        talk.port[END_A] = (uint16_t)(50000 + i);
        say(END_A, S, 0, 0, 0);
        if (i == 2) { /* the first was heard last */
            talk.port[END_A] = 50000;
            say(END_B, S | K, 0, 1, 0);
        }
    }
    assert_int_equal(talk.n_forgotten, 2);
    assert_int_equal(talk.forgotten[0], 2);
    assert_int_equal(talk.forgotten[1], 3);
    tracker_counts(talk.tracker, &counts);
    assert_int_equal(counts.n_made_room, 2);
    assert_int_equal(counts.n_conversations, 5);
    talk_end();
    assert_int_equal(talk.forgotten[2], 1); /* in the order in which they began */
    assert_int_equal(talk.forgotten[3], 4);
    assert_int_equal(talk.forgotten[4], 5);
}

static void ended_ones_make_room_in_their_turn(void **state)
{
    talk_begin_with(3);
    for (uint16_t i = 0; i < 4; i++) {
        talk.port[END_A] = (uint16_t)(50000 + i);
        say(END_A, S, 0, 0, 0);
        if (i == 1) { /* it ends, and so is newer than the first, and older than the third */
            say(END_B, R | K, 0, 1, 0);
        }
    }
    assert_int_equal(talk.n_forgotten, 1);
    assert_int_equal(talk.forgotten[0], 1);
    talk.port[END_A]++;
    say(END_A, S, 0, 0, 0);
    assert_int_equal(talk.n_forgotten, 2);
    assert_int_equal(talk.forgotten[1], 2);
    talk_end();
}

static void found_by_addresses(void **state)
{
    struct sonde_address a = {.family = AF_INET, .port = 40488, .u.ip = {10, 0, 0, 1}}, b = a;

    b.port = 7007;
    b.u.ip[3] = 2;
    talk_begin();
    handshake();
    conversation_set_user(talk.conv, &a);
    assert_ptr_equal(tracker_find(talk.tracker, IPPROTO_TCP, &a, &b), talk.conv);
    assert_ptr_equal(tracker_find(talk.tracker, IPPROTO_TCP, &b, &a), talk.conv);
    assert_ptr_equal(conversation_user(talk.conv), &a);
    assert_null(tracker_find(talk.tracker, IPPROTO_UDP, &a, &b));
    b.port++;
    assert_null(tracker_find(talk.tracker, IPPROTO_TCP, &a, &b));
    talk_end();
}

static void many_at_once(void **state)
{
    struct tracker_counts counts;

    talk_begin_with(20000);
    for (unsigned round = 0; round < 2; round++) {
        for (unsigned i = 0; i < 30000; i++) {
            talk.port[END_A] = (uint16_t)(30000 + i % 30000);
            say(END_A, S, 0, 0, 0);
        }
    }
    tracker_counts(talk.tracker, &counts);
    assert_int_equal(counts.n_conversations - talk.n_forgotten, 20000);
    assert_int_equal(counts.n_packets, 60000);
    talk_end();
    assert_int_equal(counts.n_conversations, talk.n_forgotten);
}

/* ---- UDP, ICMP, others */

static void datagrams(void **state)
{
    talk_begin();
    struct decoded packet = talk_packet(END_B, IPPROTO_UDP);
    packet.n_payload = 100;
    packet.n_payload_captured = 80;
    packet.payload =
        (const uint8_t *)"0123456789012345678901234567890123456789012345678901234567890123456789012345678901234";
    packet.trouble = DECODE_CUT;
    struct conversation *conv = talk_give(&packet);
    assert_non_null(conv);
    assert_int_equal(conv->protocol, IPPROTO_UDP);
    assert_int_equal(talk.datagram.from, END_A); /* who speaks first */
    assert_int_equal(talk.datagram.number, 1);
    assert_int_equal(talk.datagram.n_bytes, 100);
    assert_int_equal(talk.datagram.n_data, SEGMENT_PREVIEW_MAX);
    assert_int_equal(talk.datagram.notes, N(CUT));
    packet = talk_packet(END_A, IPPROTO_UDP);
    packet.trouble = DECODE_CHECKSUM_BAD;
    assert_ptr_equal(talk_give(&packet), conv);
    assert_int_equal(talk.datagram.from, END_B);
    assert_int_equal(talk.datagram.notes, N(CHECKSUM_BAD));
    packet.trouble = DECODE_CHECKSUM_BAD | DECODE_CHECKSUM_PARTIAL;
    talk_give(&packet);
    assert_int_equal(talk.datagram.notes, 0);
    assert_int_equal(conv->side[END_A].n_unique_bytes, 100);
    talk_end();
}

static struct decoded icmp_about(enum event_end from, uint8_t protocol, uint64_t seq)
{
    struct decoded packet = talk_packet(other_end(from), IPPROTO_ICMP), quoted = talk_packet(from, protocol);
    packet.source_port = packet.destination_port = 0;
    packet.icmp_type = 3;
    packet.icmp_code = 3;
    packet.icmp_quotes = true;
    packet.quoted_protocol = protocol;
    packet.quoted_source = quoted.source;
    packet.quoted_destination = quoted.destination;
    packet.quoted_source_port = quoted.source_port;
    packet.quoted_destination_port = quoted.destination_port;
    packet.quoted_has_seq = protocol == IPPROTO_TCP;
    packet.quoted_seq = talk.isn[from] + (uint32_t)seq;
    return packet;
}

static void errors_about_them(void **state)
{
    struct tracker_counts counts;

    talk_begin();
    struct decoded packet = icmp_about(END_A, IPPROTO_TCP, 1001);
    assert_null(talk_give(&packet)); /* nobody's */
    handshake();
    say(END_A, P | K, 1, 1, 1000);
    say(END_A, P | K, 1001, 1, 1000);
    packet.icmp_mtu = 1400;
    assert_ptr_equal(talk_give(&packet), talk.conv);
    assert_int_equal(talk.n_icmps, 1);
    assert_int_equal(talk.icmp.to, END_A);
    assert_int_equal(talk.icmp.about_number, 5);
    assert_int_equal(talk.icmp.about_seq_raw, 2001);
    assert_int_equal(talk.icmp.mtu, 1400);
    assert_int_equal(talk.icmp.version, 4);
    assert_int_equal(talk.icmp.sender.u.ip[3], 2);
    assert_string_equal(talk.icmp.words, "port unreachable");
    assert_int_equal(talk.conv->icmp_type, 3);
    assert_int_equal(talk.conv->icmp_version, 4);
    packet = icmp_about(END_B, IPPROTO_TCP, 77777);
    talk_give(&packet);
    assert_int_equal(talk.icmp.to, END_B);
    assert_int_equal(talk.icmp.about_number, 0);
    struct decoded datagram = talk_packet(END_A, IPPROTO_UDP);
    struct conversation *conv = talk_give(&datagram);
    packet = icmp_about(END_A, IPPROTO_UDP, 0);
    assert_ptr_equal(talk_give(&packet), conv);
    packet.icmp_quotes = false; /* an echo */
    assert_null(talk_give(&packet));
    packet = talk_packet(END_A, IPPROTO_SCTP);
    assert_null(talk_give(&packet));
    packet = (struct decoded){.depth = DECODE_LINK, .network = DECODE_ARP};
    assert_null(talk_give(&packet));
    packet =
        (struct decoded){.depth = DECODE_NETWORK, .network = DECODE_IPV4, .trouble = DECODE_FRAGMENT | DECODE_SHORT};
    assert_null(talk_give(&packet));
    tracker_counts(talk.tracker, &counts);
    assert_int_equal(counts.n_other, 5);
    assert_int_equal(counts.n_fragments, 1);
    assert_int_equal(counts.n_damaged, 1);
    talk_end();
}

static void time_never_runs_backwards(void **state)
{
    talk_begin();
    handshake();
    int64_t t_ns = talk.t_ns;
    talk.t_ns -= NS_PER_S;
    struct decoded packet = talk_packet(END_A, IPPROTO_TCP);
    packet.flags = K;
    packet.seq = 1001;
    packet.ack = 700001;
    packet.window = WINDOW;
    assert_non_null(talk_give(&packet));
    assert_int_equal(talk.conv->last_ns, t_ns);
    talk_end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(opens_and_closes_in_four),
        cmocka_unit_test(closes_in_three),
        cmocka_unit_test(closes_simultaneously),
        cmocka_unit_test(closes_simultaneously_answered_first),
        cmocka_unit_test(closes_simultaneously_and_a_fin_is_lost),
        cmocka_unit_test(last_fin_again),
        cmocka_unit_test(fin_again_since_the_others_was_lost),
        cmocka_unit_test(opens_simultaneously),
        cmocka_unit_test(syn_again_until_answered),
        cmocka_unit_test(syn_ack_again),
        cmocka_unit_test(syn_that_comes_late),
        cmocka_unit_test(syn_cookie_changes),
        cmocka_unit_test(refused),
        cmocka_unit_test(syn_is_answered_by_an_old_connection),
        cmocka_unit_test(fast_open),
        cmocka_unit_test(handshake_with_gaps),
        cmocka_unit_test(begins_midway),
        cmocka_unit_test(midway_from_the_server),
        cmocka_unit_test(reset_causes),
        cmocka_unit_test(reset_that_is_not_taken),
        cmocka_unit_test(half_open_scan),
        cmocka_unit_test(ports_used_again),
        cmocka_unit_test(ports_used_again_unseen),
        cmocka_unit_test(roles_change_on_the_same_ports),
        cmocka_unit_test(ended_ones_are_forgotten),
        cmocka_unit_test(quiet_ones_make_room),
        cmocka_unit_test(ended_ones_make_room_in_their_turn),
        cmocka_unit_test(found_by_addresses),
        cmocka_unit_test(many_at_once),
        cmocka_unit_test(datagrams),
        cmocka_unit_test(errors_about_them),
        cmocka_unit_test(time_never_runs_backwards),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
