/* SPDX-License-Identifier: MIT */
/* Both ends' states, where it is known what arrived and when; and what is to be said of each segment then. */
#include "course_scene.h"

static void opens_and_closes(void **state)
{
    scene_begin(false);
    shake_hands();
    arrives(40, 0, END_A, F | K, 1, 1, NULL);
    arrives(45.01, 0, END_B, K, 1, 2, NULL);
    arrives(80, 0, END_B, F | K, 1, 2, NULL);
    arrives(85.01, 0, END_A, K, 2, 2, NULL);
    scene_finish();
    EXPECT_STATES(1, SYN_SENT, SYN_RECV);
    EXPECT_STATES(2, ESTABLISHED, SYN_RECV);
    EXPECT_STATES(3, ESTABLISHED, ESTABLISHED);
    EXPECT_STATES(4, FIN_WAIT_1, CLOSE_WAIT);
    EXPECT_STATES(5, FIN_WAIT_2, CLOSE_WAIT);
    EXPECT_STATES(6, TIME_WAIT, LAST_ACK);
    EXPECT_STATES(7, TIME_WAIT, CLOSED);
    for (uint32_t i = 1; i <= 7; i++) {
        EXPECT_NOTES(i, 0);
        assert_int_equal(told(i)->segment.fate, FATE_ARRIVED);
        assert_int_equal(told(i)->segment.arrived_ns, told(i)->t_ns + FLIGHT_NS);
    }
    assert_int_equal(scene.n_over, 1);
    assert_int_equal(scene.over.ending, ENDED_IN_4);
    assert_int_equal(scene.over.closed_first, END_A);
    assert_int_equal(scene.over.opening, OPENED_HANDSHAKE);
    assert_true(scene.over.both_watched);
    /* Whole round trips, as each end measures them. */
    assert_true(scene.over.side[END_A].rtt_min_ns >= 10 * NS_PER_MS);
    assert_true(scene.over.side[END_B].rtt_min_ns >= 10 * NS_PER_MS);
    assert_true(scene.over.side[END_A].rtt_min_ns < 11 * NS_PER_MS);
}

static void closes_in_three(void **state)
{
    scene_begin(false);
    shake_hands();
    arrives(40, 0, END_B, F | K, 1, 1, NULL);
    arrives(45.01, 0, END_A, F | K, 1, 2, NULL);
    arrives(50.02, 0, END_B, K, 2, 2, NULL);
    scene_finish();
    EXPECT_STATES(4, CLOSE_WAIT, FIN_WAIT_1);
    EXPECT_STATES(5, LAST_ACK, TIME_WAIT);
    EXPECT_STATES(6, CLOSED, TIME_WAIT);
    assert_int_equal(scene.over.ending, ENDED_IN_3);
    assert_int_equal(scene.over.closed_first, END_B);
}

static void both_close_at_once(void **state)
{
    scene_begin(false);
    shake_hands();
    arrives(40, 0, END_A, F | K, 1, 1, NULL);
    arrives(42, 0, END_B, F | K, 1, 1, NULL);
    arrives(45.01, 0, END_B, K, 2, 2, NULL);
    arrives(47.01, 0, END_A, K, 2, 2, NULL);
    scene_finish();
    EXPECT_STATES(4, FIN_WAIT_1, CLOSING);
    EXPECT_STATES(5, CLOSING, FIN_WAIT_1);
    EXPECT_STATES(6, TIME_WAIT, CLOSING);
    EXPECT_STATES(7, CLOSING, TIME_WAIT);
    assert_int_equal(scene.over.ending, ENDED_SIMULTANEOUSLY);
}

/* One of the crossing FINs is lost: its sender is in CLOSING, and stays there until it was repeated. */
static void a_crossing_fin_is_lost(void **state)
{
    scene_begin(false);
    shake_hands();
    is_lost(40, END_A, F | K, 1, 1, NULL);
    arrives(42, 0, END_B, F | K, 1, 1, NULL);
    arrives(47.01, 0, END_A, K, 2, 2, NULL);
    arrives(260, 0, END_A, F | K, 1, 2, NULL);
    arrives(265.01, 0, END_B, K, 2, 2, NULL);
    scene_finish();
    EXPECT_STATES(4, FIN_WAIT_1, ESTABLISHED);
    assert_int_equal(told(4)->segment.fate, FATE_LOST);
    assert_int_equal(told(4)->segment.arrived_ns, 0);
    EXPECT_STATES(5, CLOSING, FIN_WAIT_1);
    EXPECT_STATES(6, CLOSING, FIN_WAIT_2);
    EXPECT_STATES(7, CLOSING, TIME_WAIT);
    EXPECT_STATES(8, TIME_WAIT, TIME_WAIT);
    assert_true(has_note(told(7)->segment.notes, NOTE_AGAIN));
    assert_false(has_note(told(7)->segment.notes, NOTE_AGAIN_SPURIOUS));
}

static void both_open_at_once(void **state)
{
    scene_begin(false);
    arrives(0, 0, END_A, S, 0, 0, NULL);
    arrives(2, 0, END_B, S, 0, 0, NULL);
    arrives(5.01, 0, END_B, S | K, 0, 1, NULL);
    arrives(7.01, 0, END_A, S | K, 0, 1, NULL);
    arrives(10.02, 0, END_A, K, 1, 1, NULL);
    arrives(12.02, 0, END_B, K, 1, 1, NULL);
    scene_finish();
    EXPECT_STATES(1, SYN_SENT, SYN_RECV);
    EXPECT_STATES(2, SYN_RECV, SYN_SENT);
    EXPECT_STATES(3, ESTABLISHED, SYN_RECV);
    EXPECT_STATES(4, SYN_RECV, ESTABLISHED);
    assert_int_equal(scene.over.opening, OPENED_SIMULTANEOUSLY);
    assert_int_equal(scene.n_over, 1);
}

/* The client is ESTABLISHED, the server is not, until data comes, which has the ACK. */
static void last_ack_of_the_handshake_is_lost(void **state)
{
    scene_begin(false);
    arrives(0, 0, END_A, S, 0, 0, NULL);
    arrives(5.02, 0, END_B, S | K, 0, 1, NULL);
    is_lost(10.04, END_A, K, 1, 1, NULL);
    arrives(20, 0, END_A, P | K, 1, 1, "hello");
    scene_finish();
    EXPECT_STATES(2, ESTABLISHED, SYN_RECV);
    EXPECT_STATES(3, ESTABLISHED, SYN_RECV);
    EXPECT_STATES(4, ESTABLISHED, ESTABLISHED);
    assert_int_equal(scene.over.opening, OPENED_HANDSHAKE);
    assert_int_equal(scene.over.established_ns, at_ms(25));
}

static void handshake_is_not_completed(void **state)
{
    scene_begin(false);
    arrives(0, 0, END_A, S, 0, 0, NULL);
    arrives(5.02, 0, END_B, S | K, 0, 1, NULL);
    is_lost(10.04, END_A, K, 1, 1, NULL);
    scene_finish();
    EXPECT_STATES(3, ESTABLISHED, SYN_RECV);
    assert_int_equal(scene.over.opening, OPENED_NOT_YET);
}

static void last_ack_of_the_close_is_lost(void **state)
{
    scene_begin(false);
    shake_hands();
    arrives(40, 0, END_A, F | K, 1, 1, NULL);
    arrives(45.01, 0, END_B, F | K, 1, 2, NULL);
    is_lost(50.02, END_A, K, 2, 2, NULL);
    arrives(250, 0, END_B, F | K, 1, 2, NULL);
    arrives(255.01, 0, END_A, K, 2, 2, NULL);
    scene_finish();
    EXPECT_STATES(5, TIME_WAIT, LAST_ACK);
    EXPECT_STATES(6, TIME_WAIT, LAST_ACK);
    EXPECT_STATES(7, TIME_WAIT, LAST_ACK);
    EXPECT_STATES(8, TIME_WAIT, CLOSED);
    assert_true(has_note(told(7)->segment.notes, NOTE_AGAIN_SPURIOUS)); /* its ACK was lost, not it */
    assert_int_equal(told(7)->segment.again_of, 5);
    assert_int_equal(scene.over.ending, ENDED_IN_3);
}

static void and_never_repeated(void **state)
{
    scene_begin(false);
    shake_hands();
    arrives(40, 0, END_A, F | K, 1, 1, NULL);
    arrives(45.01, 0, END_B, F | K, 1, 2, NULL);
    is_lost(50.02, END_A, K, 2, 2, NULL);
    scene_finish();
    EXPECT_STATES(6, TIME_WAIT, LAST_ACK);
    assert_int_equal(scene.over.ending, ENDED_WITHOUT_ACK);
}

static void reset_is_lost(void **state)
{
    scene_begin(false);
    shake_hands();
    is_lost(40, END_A, R | K, 1, 1, NULL);
    arrives(60, 0, END_B, P | K, 1, 1, "abc");
    arrives(65.01, 0, END_A, R, 1, 0, NULL);
    scene_finish();
    EXPECT_STATES(4, CLOSED, ESTABLISHED);
    EXPECT_STATES(5, CLOSED, ESTABLISHED);
    EXPECT_STATES(6, CLOSED, CLOSED);
    assert_int_equal(scene.over.ending, ENDED_RESET);
    assert_int_equal(scene.over.reset_by, END_A);
}

/* Why was it repeated: what its sender had heard by then, and what had arrived. */
static void says_why_again(void **state)
{
    scene_begin(false);
    shake_hands();
    arrives(20, 0, END_A, P | K, 1, 1, "abc");   /* 4 */
    is_lost(25.01, END_B, K, 1, 4, NULL);        /* 5: its ACK */
    arrives(240, 0, END_A, P | K, 1, 1, "abc");  /* 6 */
    arrives(245.01, 0, END_B, K, 1, 4, NULL);    /* 7 */
    is_lost(300, END_A, P | K, 4, 1, "def");     /* 8 */
    arrives(520, 0, END_A, P | K, 4, 1, "def");  /* 9 */
    arrives(525.01, 0, END_B, K, 1, 7, NULL);    /* 10 */
    arrives(600, 300, END_A, P | K, 7, 1, "gh"); /* 11: late, but on its way */
    arrives(820, 0, END_A, P | K, 7, 1, "gh");   /* 12 */
    scene_finish();
    assert_true(has_note(told(6)->segment.notes, NOTE_AGAIN_SPURIOUS));
    assert_int_equal(told(6)->segment.again_of, 4);
    assert_false(has_note(told(9)->segment.notes, NOTE_AGAIN_SPURIOUS));
    assert_int_equal(told(9)->segment.again_of, 8);
    assert_true(has_note(told(12)->segment.notes, NOTE_AGAIN_SPURIOUS));
    assert_true(has_note(told(12)->segment.notes, NOTE_AGAIN_TLP) || has_note(told(12)->segment.notes, NOTE_AGAIN_RTO));
    assert_int_equal(scene.over.side[END_A].n_again, 3);
    assert_int_equal(scene.over.side[END_A].n_again_spurious, 2);
    assert_int_equal(scene.over.side[END_A].n_lost, 1);
    assert_string_equal(scene.followed[END_A], "abcdefgh");
}

/* The stamps of both directions are not made by one hand: what is acknowledged has arrived. */
static void answers_come_behind(void **state)
{
    scene_begin(false);
    arrives(0, 5.3, END_A, S, 0, 0, NULL);
    arrives(5.02, 0, END_B, S | K, 0, 1, NULL); /* "before" the SYN arrived */
    arrives(10.04, 5.3, END_A, K, 1, 1, NULL);
    arrives(11, 5.3, END_A, P | K, 1, 1, "abc");
    arrives(16.2, 0, END_B, K, 1, 4, NULL);
    scene_finish();
    EXPECT_STATES(1, SYN_SENT, SYN_RECV);
    EXPECT_STATES(2, ESTABLISHED, SYN_RECV);
    EXPECT_STATES(3, ESTABLISHED, ESTABLISHED);
    EXPECT_NOTES(5, 0);
    assert_int_equal(told(1)->segment.arrived_ns, at_ms(5.02));
    assert_int_equal(scene.over.side[END_A].n_missing_bytes, 0);
}

/* An answer that seems to have left before what it answers arrived, and that is lost itself, or thrown away. */
static void an_early_answer_is_lost(void **state)
{
    scene_begin(false);
    shake_hands();
    arrives(40, 0, END_A, P | K, 1, 1, "abc");
    is_lost(44.9, END_B, K, 1, 4, NULL);
    arrives(60, 0, END_A, P | K, 4, 1, "def");
    struct packet_course thrown = {.fate = FATE_THROWN, .arrived_ns = at_ms(70)};
    give(64.9, END_B, K, 1, 7, NULL, &thrown);
    scene_finish();
    assert_int_equal(told(5)->segment.fate, FATE_LOST);
    assert_int_equal(told(5)->segment.arrived_ns, 0);
    assert_int_equal(told(7)->segment.fate, FATE_THROWN);
    assert_int_equal(scene.over.side[END_B].n_lost, 1);
    assert_int_equal(scene.over.side[END_B].n_thrown, 1);
}

/* A connection of the same addresses and ports: another, at both ends. */
static void tuple_is_used_again(void **state)
{
    scene_begin(false);
    shake_hands();
    arrives(20, 0, END_A, F | K, 1, 1, NULL);
    arrives(25.01, 0, END_B, F | K, 1, 2, NULL);
    arrives(30.02, 0, END_A, K, 2, 2, NULL);
    arrives(70000, 0, END_A, S, 100000, 0, NULL);
    arrives(70005.01, 0, END_B, S | K, 200000, 100001, NULL);
    scene_finish();
    assert_int_equal(scene.n_over, 2);
    assert_int_equal(scene.over.id, 2);
    unsigned n_first = 0;
    for (unsigned i = 0; i < scene.n_events; i++) {
        if (scene.events[i]->kind == EVENT_KIND_SEGMENT && scene.events[i]->segment.number == 1)
            n_first++;
    }
    assert_int_equal(n_first, 2);
    assert_int_equal(scene.over.opening, OPENED_NOT_YET);
}

/* Whatever comes: everything is told, once, in time. */
static void anything(void **state)
{
    unsigned seed = 1;
    for (unsigned round = 0; round < 50; round++) {
        scene_begin(true);
        unsigned n = 0;
        for (unsigned i = 0; i < 100; i++) {
            static const unsigned flags[] = {S, S | K, K, P | K, F | K, R, R | K, 0};
            seed = seed * 1103515245u + 12345u;
            unsigned any = seed >> 8;
            struct packet_course course = {.fate = (uint8_t)(FATE_ARRIVED + any % 3),
                                           .copy = any % 11 == 0,
                                           .arrived_ns = at_ms(i + (any >> 4) % 20)};
            give(i, any & 8 ? END_A : END_B, flags[(any >> 5) % 8], (any >> 9) % 8, (any >> 12) % 8,
                 any & 4096 ? "abc" : NULL, &course);
            n += scene.result.segment != NULL;
        }
        scene_finish();
        unsigned n_told = 0;
        for (unsigned i = 0; i < scene.n_events; i++)
            n_told += scene.events[i]->kind == EVENT_KIND_SEGMENT;
        assert_int_equal(n_told, n);
        assert_true(strlen(draw(80, round & 1)) > 0);
        scene_end(state);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(opens_and_closes, scene_end),
        cmocka_unit_test_teardown(closes_in_three, scene_end),
        cmocka_unit_test_teardown(both_close_at_once, scene_end),
        cmocka_unit_test_teardown(a_crossing_fin_is_lost, scene_end),
        cmocka_unit_test_teardown(both_open_at_once, scene_end),
        cmocka_unit_test_teardown(last_ack_of_the_handshake_is_lost, scene_end),
        cmocka_unit_test_teardown(handshake_is_not_completed, scene_end),
        cmocka_unit_test_teardown(last_ack_of_the_close_is_lost, scene_end),
        cmocka_unit_test_teardown(and_never_repeated, scene_end),
        cmocka_unit_test_teardown(reset_is_lost, scene_end),
        cmocka_unit_test_teardown(says_why_again, scene_end),
        cmocka_unit_test_teardown(answers_come_behind, scene_end),
        cmocka_unit_test_teardown(an_early_answer_is_lost, scene_end),
        cmocka_unit_test_teardown(tuple_is_used_again, scene_end),
        cmocka_unit_test(anything),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
