/* SPDX-License-Identifier: MIT */
/* Packets that were watched at both ends, as they are drawn: what crosses, what is overtaken, what never arrives. */
#include "course_scene.h"

#include <stdio.h>

static void expect_text(const char *text, const char *expected)
{
    /* Only the rows: the title has the time of day where it is known. */
    const char *rows = strchr(text, '\n');
    assert_non_null(rows);
    if (strncmp(rows + 1, expected, strlen(expected)) != 0)
        fail_msg("drawn:\n%s\nand should begin with:\n%s", rows + 1, expected);
}

static void both_close_at_once(void **state)
{
    scene_begin(false);
    shake_hands();
    arrives(20, 0, END_A, P | K, 1, 1, "hello");
    arrives(25.1, 0, END_B, K, 1, 6, NULL);
    arrives(40, 0, END_A, F | K, 6, 1, NULL);
    arrives(42, 0, END_B, F | K, 1, 6, NULL);
    arrives(45.01, 0, END_B, K, 2, 7, NULL);
    arrives(47.01, 0, END_A, K, 7, 2, NULL);
    scene_finish();
    static const char expected[] = "           client                                                         server\n"
                                   "           CLOSED                                                   LISTEN\n"
                                   " 0.000 000 SYN_SENT      ┆─1─ S seq 0 win 65495 mss 65495 ──────►┆  SYN_RECV\n"
                                   " 0.005 020 ESTABLISHED   ┃◄─ S. seq 0 ack 1 win 65495 ─────────2─┆\n"
                                   " 0.010 040               ┃─3─ . seq 1 ack 1 win 65536 ──────────►┃  ESTABLISHED\n"
                                   " 0.020 000               ┃─4─ P. 1:6(5) ack 1 \"hello\" ──────────►┃\n"
                                   " 0.025 100               ┃◄─ . seq 1 ack 6 win 65536 ──────────5─┃\n"
                                   " 0.040 000 FIN_WAIT_1    ╏─6─ F. seq 6 ack 1 win 65536 ──╴       ┃\n"
                                   " 0.042 000               ╏       ╶─ F. seq 1 ack 6 win 65536 ──7─╏  FIN_WAIT_1\n"
                                   " 0.045 000               ╏                    ╶────── #6 ───────►╏  CLOSING\n"
                                   " 0.045 010               ╏        ╶─ . seq 2 ack 7 win 65536 ──8─╏\n"
                                   " 0.047 000 CLOSING       ╏◄────── #7 ───────╴                    ╏\n"
                                   " 0.047 010               ╏─9─ . seq 7 ack 2 win 65536 ──╴        ╏\n"
                                   " 0.050 010 TIME_WAIT     ┆◄────── #8 ───────╴                    ╏\n"
                                   " 0.052 010               ┆                    ╶────── #9 ───────►┆  TIME_WAIT\n";
    expect_text(draw(80, false), expected);
    expect_text(draw(80, true), expected);
    /* As a picture: #6 goes down on its way, and so does #7, and they are not level. */
    const char *svg = draw_svg();
    assert_non_null(strstr(svg, "CLOSING"));
    unsigned n_slopes = 0;
    for (const char *at = svg; (at = strstr(at, "<path class=\"seg\" d=\"M")); at++) {
        double x1, y1, x2, y2;
        assert_int_equal(sscanf(at, "<path class=\"seg\" d=\"M%lf,%lf L%lf,%lf\"", &x1, &y1, &x2, &y2), 4);
        assert_true(y2 > y1);
        n_slopes++;
    }
    assert_int_equal(n_slopes, 9);
}

static void timers_repair(void **state)
{
    scene_begin(true);
    shake_hands();
    is_lost(20, END_A, P | K, 1, 1, "hello");
    is_lost(240, END_A, P | K, 1, 1, "hello");
    is_lost(460, END_A, P | K, 1, 1, "hello");
    arrives(900, 0, END_A, P | K, 1, 1, "hello");
    arrives(905.1, 0, END_B, K, 1, 6, NULL);
    scene_finish();
    const char *text = draw(100, false);
    assert_non_null(strstr(text, "─4─ P. 1:6(5) ack 1 win 65536 \"hello\" ─────×               ┃\n"));
    assert_non_null(strstr(text, " 0.240 000          TLP  ┃─5─ P. 1:6(5) ack 1 again #4 ──────────────×"));
    assert_non_null(strstr(text, " 0.460 000        RTO 1  ┃─6─ P. 1:6(5) ack 1 again #4 ──────────────×"));
    assert_non_null(
        strstr(text, " 0.900 000        RTO 2  ┃─7─ P. 1:6(5) ack 1 again #4 ─────────────────────────────►┃"));
    assert_non_null(strstr(text, "It was lost on the way, and so were its\n  first 2 repeats."));
    assert_non_null(strstr(text, "8 segments; 3 lost; 3 retransmissions (tail probe 1, RTO 2, fast 0)"));
    assert_string_equal(scene.followed[END_A], "hello");
    const char *svg = draw_svg();
    unsigned n_crosses = 0;
    for (const char *at = svg; (at = strstr(at, "class=\"lost\" d=\"M")); at++)
        n_crosses++;
    assert_int_equal(n_crosses, 3);
}

static void overtaken(void **state)
{
    scene_begin(true);
    shake_hands();
    arrives(20, 20, END_A, P | K, 1, 1, "abc");
    arrives(20.1, 0, END_A, P | K, 4, 1, "def");
    arrives(20.2, 0, END_A, F | K, 7, 1, NULL);
    arrives(25.11, 0, END_B, K, 1, 1, NULL);
    arrives(25.21, 0, END_B, K, 1, 1, NULL);
    arrives(40.01, 0, END_B, K, 1, 8, NULL);
    scene_finish();
    EXPECT_NOTES(4, N(OUT_OF_ORDER) | N(FILLS_HOLE));
    EXPECT_NOTES(5, N(HOLE));
    EXPECT_STATES(5, ESTABLISHED, ESTABLISHED);
    EXPECT_STATES(6, FIN_WAIT_1, ESTABLISHED);
    EXPECT_STATES(4, ESTABLISHED, CLOSE_WAIT);
    assert_string_equal(scene.followed[END_A], "abcdef");
    for (unsigned live = 0; live < 2; live++) {
        const char *text = draw(80, live);
        const char *arrival = strstr(text, "╶────── #4 ───────►╏  CLOSE_WAIT\n");
        assert_non_null(arrival);
        assert_non_null(strstr(text, "└ overtaken on its way"));
        assert_null(strstr(text, "lost or reordered"));
        /* It is in CLOSE_WAIT once, and from then on. */
        assert_ptr_equal(strstr(text, "╏  CLOSE_WAIT"), strstr(arrival, "╏  CLOSE_WAIT"));
    }
    assert_non_null(strstr(scene.text, "1 segment was overtaken by later ones on its way."));
    assert_non_null(strstr(scene.text, "none lost"));
}

/* What is sent behind one with two rows arrives behind it, too. */
static void keeps_the_order_of_arrivals(void **state)
{
    scene_begin(false);
    shake_hands();
    arrives(20, 0, END_A, F | K, 1, 1, NULL);
    arrives(25.01, 0, END_B, P | K, 1, 2, "abc");
    arrives(25.02, 0, END_B, F | K, 4, 2, NULL);
    arrives(30.02, 0, END_A, K, 2, 4, NULL);
    arrives(30.03, 0, END_A, K, 2, 5, NULL);
    arrives(32, 0, END_B, K, 5, 2, NULL);
    scene_finish();
    const char *text = draw(80, false);
    const char *first = strstr(text, "#7 ─"), *second = strstr(text, "#8 ─");
    if (!first || !second || first >= second)
        fail_msg("%s", text);
    assert_non_null(strstr(text, "#8 ───────►   CLOSED"));
}

static void nobody_listens(void **state)
{
    scene_begin(true);
    arrives(0, 0, END_A, S, 0, 0, NULL);
    arrives(5.02, 0, END_B, R | K, 0, 1, NULL);
    scene_finish();
    EXPECT_STATES(1, SYN_SENT, CLOSED);
    EXPECT_STATES(2, CLOSED, CLOSED);
    const char *text = draw(80, true);
    assert_non_null(strstr(text, "nobody listens on port 7007"));
    assert_non_null(strstr(text, "no socket"));
    assert_null(strstr(text, "SYN_RECV"));
}

static void full_queue(void **state)
{
    scene_begin(true);
    arrives(0, 0, END_A, S, 0, 0, NULL);
    arrives(1000, 0, END_A, S, 0, 0, NULL);
    arrives(1005.02, 0, END_B, S | K, 0, 1, NULL);
    arrives(1010.1, 0, END_A, K, 1, 1, NULL);
    scene_finish();
    assert_int_equal(told(1)->segment.fate, FATE_THROWN);
    EXPECT_STATES(1, SYN_SENT, LISTEN);
    EXPECT_NOTES(2, N(SYN_RETRY));
    EXPECT_STATES(2, SYN_SENT, SYN_RECV);
    assert_non_null(strstr(draw(80, false), "┆─1─ S seq 0 win 65495 mss 65495 ──────×\n"));
    const char *text = draw(140, false);
    assert_non_null(strstr(text, "SYNs sent: 2, lost on the way: 0, arrived and not answered: 1."));
}

static void says_why(void **state)
{
    scene_begin(true);
    shake_hands();
    struct packet_course course = {.fate = FATE_THROWN, .arrived_ns = at_ms(35), .why = "a bit was changed on the way"};
    give(30, END_A, P | K, 1, 1, "def", &course);
    is_lost(32, END_B, R, 1, 0, NULL);
    scene_finish();
    EXPECT_STATES(5, ESTABLISHED, CLOSED);
    const char *text = draw(80, false);
    assert_non_null(strstr(text, "└ a bit was changed on the way"));
    assert_non_null(strstr(text, "╶────── #4 ───────×")); /* crossed by the reset */
    assert_int_equal(scene.over.side[END_A].n_thrown, 1);
    assert_int_equal(scene.over.side[END_B].n_lost, 1);
    assert_int_equal(scene.over.ending, ENDED_NOT);
}

static void copies(void **state)
{
    scene_begin(true);
    shake_hands();
    arrives(20, 0, END_A, P | K, 1, 1, "abc");
    struct packet_course course = {.fate = FATE_ARRIVED, .copy = true, .arrived_ns = at_ms(26)};
    scene.made.packet.number--; /* make_packet counts */
    give(20, END_A, P | K, 1, 1, "abc", &course);
    arrives(25.1, 0, END_B, K, 1, 4, NULL);
    scene_finish();
    EXPECT_NOTES(4, 0);
    EXPECT_NOTES(5, N(SEEN_TWICE));
    assert_int_equal(told(5)->segment.again_of, 4);
    assert_int_equal(told(5)->segment.seq, 1);
    assert_int_equal(told(5)->segment.arrived_ns, at_ms(26));
    assert_string_equal(scene.followed[END_A], "abc");
    assert_non_null(strstr(draw(80, false), "└ a copy of #4, made on the way"));
    assert_int_equal(scene.over.side[END_A].n_packets, 3);
    assert_int_equal(scene.over.side[END_A].n_again, 0);
}

static void as_a_list(void **state)
{
    scene_begin(false);
    shake_hands();
    arrives(40, 0, END_A, F | K, 1, 1, NULL);
    arrives(42, 0, END_B, F | K, 1, 1, NULL);
    scene_finish();
    const char *text = draw(60, false);
    assert_non_null(strstr(text, "4 > F. seq 1 ack 1 win 65536  client FIN_WAIT_1\n"));
    assert_non_null(strstr(text, "#4 arrives  server CLOSING\n"));
    assert_non_null(strstr(text, "#5 arrives  client CLOSING\n"));
}

/* What is over is concluded when it has settled, by what had arrived until then: whether somebody called at that time,
 * or nobody did until the next packet, or the end. */
static void concluded_at_its_time(void **state)
{
    char said[512] = "";
    for (unsigned called = 0; called < 2; called++) {
        int64_t said_ns = 0;
        scene_begin(true);
        packets_set_settle(scene.packets, 20 * NS_PER_MS);
        shake_hands();
        arrives(21, 60, END_A, K, 1, 1, NULL); /* much later than all others */
        arrives(22, 0, END_A, F | K, 1, 1, NULL);
        arrives(27.1, 0, END_B, F | K, 1, 2, NULL);
        arrives(32.2, 0, END_A, K, 2, 2, NULL);
        if (called)
            packets_idle(scene.packets, at_ms(58));
        arrives(60, 0, END_A, K, 2, 2, NULL);
        scene_finish();
        for (unsigned i = 0; i < scene.n_events; i++) {
            const struct event *event = scene.events[i];
            if (event->kind != EVENT_KIND_SENTENCE || strcmp(event->sentence.name, "summary") != 0)
                continue;
            if (called)
                assert_string_equal(event->sentence.text, said);
            snprintf(said, sizeof said, "%s", event->sentence.text);
            said_ns = event->t_ns;
        }
        assert_int_equal(said_ns, at_ms(57.2));
        assert_non_null(strstr(said, "7 segments"));
        scene_end(state);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(both_close_at_once, scene_end),
        cmocka_unit_test_teardown(timers_repair, scene_end),
        cmocka_unit_test_teardown(overtaken, scene_end),
        cmocka_unit_test_teardown(keeps_the_order_of_arrivals, scene_end),
        cmocka_unit_test_teardown(nobody_listens, scene_end),
        cmocka_unit_test_teardown(full_queue, scene_end),
        cmocka_unit_test_teardown(says_why, scene_end),
        cmocka_unit_test_teardown(copies, scene_end),
        cmocka_unit_test_teardown(as_a_list, scene_end),
        cmocka_unit_test(concluded_at_its_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
