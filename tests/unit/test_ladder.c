// SPDX-License-Identifier: MIT
/* Whole ladders against expected text, and the formats. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ladder_scenes.h"

#include <stdio.h>
#include <time.h>

static char *read_expected(const char *name)
{
    char path[512];
    snprintf(path, sizeof path, "%s/ladder/%s", TEST_FOLDER, name);
    FILE *file = fopen(path, "rb");
    if (!file)
        fail_msg("%s: cannot be read", path);
    static char text[65536];
    size_t n = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    text[n] = '\0';
    return text;
}

static void check_scene(void (*make)(struct scene *), const struct ladder_options *options, const char *suffix)
{
    struct scene *scene = calloc(1, sizeof *scene);
    assert_non_null(scene);
    make(scene);
    struct ladder_options all = *options;
    all.compact = scene->compact;
    struct written written = scene_render(scene, &all);
    char name[64];
    snprintf(name, sizeof name, "%s%s.txt", scene->name, suffix);
    assert_string_equal(written.text, read_expected(name));
    free(written.text);
    free(scene);
}

static void scenes(void **state)
{
    (void)state;
    static const struct {
        unsigned width;
        bool unicode;
        const char *suffix;
    } renderings[] = {{80, true, "-80"}, {120, true, "-120"}, {80, false, "-80-ascii"}, {120, false, "-120-ascii"}};
    for (size_t i = 0; i < N_SCENES; i++) {
        for (size_t j = 0; j < sizeof renderings / sizeof renderings[0]; j++) {
            struct ladder_options options = {.width = renderings[j].width, .unicode = renderings[j].unicode};
            check_scene(scene_makers[i], &options, renderings[j].suffix);
        }
    }
}

static void other_renderings(void **state)
{
    (void)state;
    check_scene(scene_b, &(struct ladder_options){.width = 50, .unicode = true}, "-50");
    check_scene(scene_e, &(struct ladder_options){.width = 100, .unicode = true, .list = true}, "-100-list");
    check_scene(scene_b, &(struct ladder_options){.width = 80, .unicode = true, .color = true}, "-80-color");
    check_scene(scene_e, &(struct ladder_options){.width = 80, .unicode = true, .raw = true}, "-80-raw");
    check_scene(scene_c, &(struct ladder_options){.width = 80, .unicode = true, .live = true}, "-80");
    check_scene(scene_a, &(struct ladder_options){.unicode = true}, "-80"); /* the width when none is given */
}

static void times(void **state)
{
    (void)state;
    static const struct {
        int64_t ns;
        const char *time, *plus, *span;
    } rows[] = {
        {0, "0.000 000", "+0us", "0 us"},
        {800, "0.000 000", "+800ns", "800 ns"},
        {7000, "0.000 007", "+7us", "7 us"},
        {11000, "0.000 011", "+11us", "11 us"},
        {999999, "0.000 999", "+1ms", "1 ms"},
        {5082000, "0.005 082", "+5.08ms", "5.08 ms"},
        {5101000, "0.005 101", "+5.1ms", "5.1 ms"},
        {212077000, "0.212 077", "+212ms", "212 ms"},
        {999499999, "0.999 499", "+999ms", "999 ms"},
        {999500000, "0.999 500", "+1s", "1 s"},
        {INT64_C(12345678000), "12.345 678", "+12.35s", "12.3 s"},
        {INT64_C(60089000000), "60.089 000", "+60.09s", "60.1 s"},
        {INT64_C(100345678000), "100.345 67", "+100.35s", "100 s"},
        {INT64_C(1234567890123), "1234.567 8", "+1235s", "1235 s"},
        {INT64_C(123456789012345), "123456.789", "+123457s", "123457 s"},
        {-INT64_C(12400000000), "-12.4 s", "-12.4s", "-12.4s"},
        {INT64_MAX, "9223372036", "+9223372037s", "9223372037 s"},
    };
    char text[16];
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        ladder_time_text(rows[i].ns, text);
        assert_string_equal(text, rows[i].time);
        assert_true(strlen(text) <= 10);
        ladder_delta_text(rows[i].ns, true, text);
        assert_string_equal(text, rows[i].plus);
        if (rows[i].ns >= 0) {
            ladder_delta_text(rows[i].ns, false, text);
            assert_string_equal(text, rows[i].span);
        }
    }
    ladder_time_text(INT64_MIN, text);
    ladder_delta_text(INT64_MIN, true, text);
}

static void counts_and_tags(void **state)
{
    (void)state;
    char count[32], tag[8];
    ladder_count_text(0, count);
    assert_string_equal(count, "0");
    ladder_count_text(999, count);
    assert_string_equal(count, "999");
    ladder_count_text(1234567, count);
    assert_string_equal(count, "1,234,567");
    ladder_count_text(UINT64_MAX, count);
    assert_string_equal(count, "18,446,744,073,709,551,615");
    static const struct {
        unsigned n;
        const char *tag;
    } tags[] = {{0, "a"}, {25, "z"}, {26, "aa"}, {27, "ab"}, {701, "zz"}, {702, "aaa"}};
    for (size_t i = 0; i < sizeof tags / sizeof tags[0]; i++) {
        ladder_tag(tags[i].n, tag);
        assert_string_equal(tag, tags[i].tag);
    }
    ladder_tag(UINT32_MAX, tag);
    assert_int_equal(strlen(tag), 7);
}

static struct scene *new_scene(void)
{
    struct scene *scene = calloc(1, sizeof *scene);
    assert_non_null(scene);
    return scene;
}

static void check_text(const struct scene *scene, const struct ladder_options *options, const char *expected)
{
    struct written written = scene_render(scene, options);
    assert_string_equal(written.text, expected);
    free(written.text);
}

static void datagrams(void **state)
{
    (void)state;
    struct scene *scene = new_scene();
    struct event_connection *connection =
        scene_begin(scene, "udp", scene_ip(10, 0, 0, 1, 4000), scene_ip(10, 0, 0, 2, 53), "eth0");
    connection->protocol = IPPROTO_UDP;
    struct event_datagram *datagram = &scene_add(scene, 10, EVENT_KIND_DATAGRAM)->datagram;
    *datagram = (struct event_datagram){.number = 1, .from = END_A, .n_bytes = 5, .data = "he\033lo", .n_data = 5};
    struct event_icmp *icmp = &scene_add(scene, 20, EVENT_KIND_ICMP)->icmp;
    *icmp = (struct event_icmp){.version = 4,
                                .type = 3,
                                .code = 3,
                                .to = END_A,
                                .sender = scene_ip(10, 0, 0, 254, 0),
                                .words = "port unreachable"};
    icmp->about_number = 1;
    struct event_loss *loss = &scene_add(scene, 30, EVENT_KIND_LOSS)->loss;
    *loss = (struct event_loss){.what = "packets", .n = 1200, .why = "the capture's buffer was full"};
    check_text(scene, &(struct ladder_options){.width = 80},
               "udp 10.0.0.1:4000 -> 10.0.0.2:53   eth0\n"
               "           client                                                         server\n"
               " 0.000 010               |-1- udp 5 \"he\\x1blo\" ----------------->|\n"
               " 0.000 020               |- icmp port unreachable --             |\n"
               "                         |  \\ from 10.0.0.254, about #1          |\n"
               "\n"
               "i 1,200 packets are missing here: the capture's buffer was full\n");
    check_text(scene, &(struct ladder_options){.width = 120, .unicode = true},
               "udp 10.0.0.1:4000 → 10.0.0.2:53   eth0\n"
               "                    client                                                                          "
               "              server\n"
               " 0.000 010                        │─1─ udp 5 \"he\\x1blo\" ──────────────────────────────────────────"
               "──────►│\n"
               " 0.000 020    +10us               │─ icmp port unreachable from 10.0.0.254, about #1 ─╴              "
               "    │\n"
               "\n"
               "i 1,200 packets are missing here: the capture's buffer was full\n");
    free(scene);
}

/* What is spoken above the segments, in the wire beside its end; and what a codec has cut out, under its segment. */
static void above(void **state)
{
    (void)state;
    struct scene *scene = new_scene();
    scene_program(scene_begin(scene, "above", scene_ip(10, 0, 0, 1, 4000), scene_ip(10, 0, 0, 2, 443), "eth0"), END_A,
                  "sonde", 7);
    scene_add(scene, 3200, EVENT_KIND_HANDSHAKE)->handshake =
        (struct event_handshake){.end = END_A,
                                 .layer = SONDE_LAYER_TLS,
                                 .start_ns = SCENE_ORIGIN_NS + 100 * NS_PER_US,
                                 .agreed = "TLSv1.3, TLS_AES_128_GCM_SHA256, ALPN h2, CN=\033[31mx"};
    scene_add(scene, 3300, EVENT_KIND_MESSAGE)->message = (struct event_message){
        .kind = MESSAGE_TEXT, .from = END_A, .end = END_A, .number = 1, .n_bytes = 5, .data = "he\"lo", .n_data = 5};
    scene_add(scene, 3400, EVENT_KIND_MESSAGE)->message =
        (struct event_message){.kind = MESSAGE_PONG, .from = END_B, .end = END_A, .n_bytes = 0, .rtt_ns = 1200000};
    scene_add(scene, 3500, EVENT_KIND_MESSAGE)->message = (struct event_message){
        .kind = MESSAGE_CLOSE, .from = END_B, .end = END_B, .code = 1000, .n_bytes = 5, .data = "bye", .n_data = 3};
    scene_add(scene, 3600, EVENT_KIND_HANDSHAKE)->handshake =
        (struct event_handshake){.end = END_B, .layer = SONDE_LAYER_WS, .result = -ECONNRESET};
    scene_segment(scene, 4000, END_A, SEGMENT_PSH | SEGMENT_ACK, 1, 12, 1, 100, 0, 0);
    for (uint64_t number = 1; number <= 3; number++)
        scene_add(scene, 4000, EVENT_KIND_MESSAGE)->message = (struct event_message){
            .kind = MESSAGE_FRAMED, .from = END_A, .end = N_ENDS, .number = number, .n_bytes = 4, .about = 1};
    scene_add(scene, 4000, EVENT_KIND_MESSAGE)->message = (struct event_message){
        .kind = MESSAGE_MALFORMED, .from = END_A, .end = N_ENDS, .n_bytes = 12, .about = 1, .words = "no \033comma"};
    check_text(scene, &(struct ladder_options){.width = 80, .unicode = true},
               "tcp 10.0.0.1:4000 → 10.0.0.2:443   eth0\n"
               "           client sonde[7]                       server (its calls are not seen)\n"
               "           CLOSED                                                 LISTEN\n"
               " 0.003 200                   TLS handshake, 3.1 ms\n"
               "                              └ TLSv1.3,\n"
               "                                TLS_AES_128_GCM_SHA256, ALPN\n"
               "                                h2, CN=\\x1b[31mx\n"
               " 0.003 300                   text 5 \"he\"lo\" »\n"
               " 0.003 400                   « pong 0, rtt 1.2 ms\n"
               " 0.003 500                                  « close 1000 \"bye\"\n"
               " 0.003 600                     WebSocket handshake: ECONNRESET\n"
               " 0.004 000                  ─1─ P. 1:13(12) ack 1 win 100 ────►\n"
               "                              └ messages 1-3 end here, 12\n"
               "                                bytes\n"
               "                              └ no message from byte 12 on: no\n"
               "                                \\x1bcomma\n");
    check_text(scene, &(struct ladder_options){.width = 80, .list = true},
               "tcp 10.0.0.1:4000 -> 10.0.0.2:443   eth0\n"
               "client sonde[7] CLOSED, server (its calls are not seen) LISTEN\n"
               " 0.003 200 client TLS handshake, 3.1 ms: TLSv1.3, TLS_AES_128_GCM_SHA256, ALPN\n"
               "             h2, CN=\\x1b[31mx\n"
               " 0.003 300 client > text 5 \"he\"lo\"\n"
               " 0.003 400 client < pong 0, rtt 1.2 ms\n"
               " 0.003 500 server < close 1000 \"bye\"\n"
               " 0.003 600 server WebSocket handshake: ECONNRESET\n"
               " 0.004 000 1 > P. 1:13(12) ack 1 win 100\n"
               "           \\ messages 1-3 end here, 12 bytes\n"
               "           \\ no message from byte 12 on: no \\x1bcomma\n");
    free(scene);
}

static void local_stream(void **state)
{
    (void)state;
    struct scene *scene = new_scene();
    struct event_connection *connection = scene_begin(scene, "unix", (struct sonde_address){.family = AF_UNIX},
                                                      (struct sonde_address){.family = AF_UNIX}, "/run/x\n.sock");
    connection->protocol = 0;
    connection->has_segments = false;
    scene_program(connection, END_B, "sonde", 7);
    scene_received(scene_call(scene, 10, END_B, CALL_WHOLE, SONDE_OP_RECEIVE, 4, 5), "hello");
    scene_call(scene, 20, END_B, CALL_WHOLE, SONDE_OP_CONNECT, 4, -ECONNREFUSED);
    check_text(scene, &(struct ladder_options){.width = 80},
               "unix /run/x\\n.sock   calls only\n"
               "           client (its calls are not seen)                       server sonde[7]\n"
               " 0.000 010                 |                                   |  recv(4) = 5\n"
               " 0.000 020                 |                                   |\\ connect(4)\n"
               "                           |                                   |/ = ECONNREFUSED\n");
    free(scene);
}

/* Rows of two connections, each with its tag; what comes later than the title does not print it again. */
static void tags(void **state)
{
    (void)state;
    struct scene *scene = new_scene();
    scene_begin(scene, "one", scene_ip(10, 0, 0, 1, 1), scene_ip(10, 0, 0, 2, 7), "lo");
    scene_segment(scene, 0, END_A, SEGMENT_SYN, 0, 0, 0, 100, TCP_STATE_SYN_SENT, TCP_STATE_SYN_RECV);
    scene->conn = 2;
    scene_begin(scene, "two", scene_ip(10, 0, 0, 1, 2), scene_ip(10, 0, 0, 2, 7), "lo");
    scene_segment(scene, 10, END_A, SEGMENT_SYN, 0, 0, 0, 100, TCP_STATE_SYN_SENT, TCP_STATE_SYN_RECV);
    scene->conn = 1;
    struct event *more = scene_add(scene, 15, EVENT_KIND_CONNECTION);
    more->connection = scene->events[0].connection;
    more->connection.end[END_A].program = "late";
    scene_sentence(scene, 20, '!', 0, "Trouble.");
    const char *expected = "tcp 10.0.0.1:1 -> 10.0.0.2:7   lo\n"
                           "           client                                                         server\n"
                           "           CLOSED                                                   LISTEN\n"
                           " 0.000 000 SYN_SENT      :-1- S seq 0 win 100 ------------------>:  SYN_RECV\n"
                           "\n"
                           "b tcp 10.0.0.1:2 -> 10.0.0.2:7   lo\n"
                           "b            client                                                       server\n"
                           "b            CLOSED                                                 LISTEN\n"
                           "b  0.000 010 SYN_SENT      :-1- S seq 0 win 100 ---------------->:  SYN_RECV\n"
                           "\n"
                           "a ! Trouble.\n";
    struct written written = {0};
    struct ladder_options options = {.width = 80, .live = true, .tags = true};
    struct ladder *ladder = ladder_new(&options, written_add, &written);
    assert_non_null(ladder);
    for (size_t i = 0; i < scene->n_events; i++) {
        ladder_event(ladder, &scene->events[i]);
        if (i == 1) /* nobody waits for what may never come */
            ladder_idle(ladder, SCENE_ORIGIN_NS);
        if (i == 1)
            assert_non_null(strstr(written.text, "S seq 0"));
    }
    ladder_finish(ladder);
    ladder_free(ladder);
    assert_string_equal(written.text, expected);
    free(written.text);
    struct ladder_options only = {.width = 80, .only = 2};
    written = scene_render(scene, &only);
    assert_null(strstr(written.text, "10.0.0.1:1 "));
    assert_non_null(strstr(written.text, "10.0.0.1:2 "));
    free(written.text);
    free(scene);
}

/* A live ladder holds at most two rows back, but for segments that are known to be on their way. */
static void live_holds(int64_t flight_ns)
{
    struct scene *scene = new_scene();
    scene_begin(scene, "one", scene_ip(10, 0, 0, 1, 1), scene_ip(10, 0, 0, 2, 7), "lo");
    struct written written = {0};
    written_add("", 0, &written);
    struct ladder_options options = {.width = 80, .live = true};
    struct ladder *ladder = ladder_new(&options, written_add, &written);
    assert_non_null(ladder);
    ladder_event(ladder, &scene->events[0]);
    for (unsigned i = 0; i < 8; i++) {
        struct event_segment *segment = scene_segment(scene, i * 10, END_A, SEGMENT_ACK, 1, 1448, 1, 100,
                                                      TCP_STATE_ESTABLISHED, TCP_STATE_ESTABLISHED);
        segment->arrived_ns = flight_ns > 0 ? SCENE_ORIGIN_NS + flight_ns : 0;
        ladder_event(ladder, &scene->events[scene->n_events - 1]);
        char number[16];
        snprintf(number, sizeof number, "-%u-", i - 1);
        assert_true(i < 2 || !!strstr(written.text, number) == (flight_ns == 0));
    }
    ladder_idle(ladder, SCENE_ORIGIN_NS + 100 * NS_PER_US);
    assert_true(!!strstr(written.text, "-8-") == (flight_ns == 0));
    ladder_idle(ladder, SCENE_ORIGIN_NS + NS_PER_S);
    assert_non_null(strstr(written.text, "-8-"));
    ladder_finish(ladder);
    ladder_free(ladder);
    free(written.text);
    free(scene);
}

static void live_holds_little(void **state)
{
    (void)state;
    live_holds(0);
    live_holds(NS_PER_S);
}

/* A repeat seen at one end only: no cross, but what may have happened. */
static void one_ended(void **state)
{
    (void)state;
    struct scene *scene = new_scene();
    scene_begin(scene, "one", scene_ip(10, 0, 0, 1, 1), scene_ip(10, 0, 0, 2, 7), "lo")->end[END_A].captured_here =
        true;
    scene_segment(scene, 0, END_A, SEGMENT_ACK, 1, 10, 1, 100, TCP_STATE_ESTABLISHED, TCP_STATE_ESTABLISHED);
    scene_again(scene_segment(scene, 10, END_A, SEGMENT_ACK, 1, 10, 1, 100, TCP_STATE_UNKNOWN, TCP_STATE_UNKNOWN),
                NOTE_BIT(NOTE_AGAIN), 1, 1);
    struct event_segment *reset =
        scene_segment(scene, 20, END_B, SEGMENT_RST, 1, 0, 0, 0, TCP_STATE_CLOSED, TCP_STATE_CLOSED);
    reset->notes = NOTE_BIT(NOTE_RESET);
    reset->reset_cause = RESET_AFTER_CLOSE;
    struct written written = scene_render(scene, &(struct ladder_options){.width = 80});
    assert_non_null(strstr(written.text, "\\ #1 was lost, or its ACK was"));
    assert_non_null(strstr(written.text, "\\ reset: data came for an end that"));
    assert_null(strchr(written.text, 'X'));
    free(written.text);
    /* The same with both ends looked at: nothing is guessed. */
    scene->events[0].connection.end[END_B].captured_here = true;
    written = scene_render(scene, &(struct ladder_options){.width = 80});
    assert_null(strstr(written.text, "was lost"));
    free(written.text);
    free(scene);
}

/* A call that is known by its result only, and began before all else. */
static void began_before(void **state)
{
    (void)state;
    struct scene *scene = new_scene();
    struct event_connection *connection =
        scene_begin(scene, "one", scene_ip(10, 0, 0, 1, 1), scene_ip(10, 0, 0, 2, 7), "lo");
    scene_program(connection, END_B, "sonde", 1);
    scene_call(scene, 5, END_B, CALL_END, SONDE_OP_ACCEPT, 3, 4)->start_ns = SCENE_ORIGIN_NS - 12400 * NS_PER_MS;
    struct written written = scene_render(scene, &(struct ladder_options){.width = 80});
    const char *first = strstr(written.text, "   -12.4 s "), *second = strstr(written.text, " 0.000 005 ");
    assert_non_null(first);
    assert_non_null(second);
    assert_non_null(strstr(first, "\\ accept(3)\n"));
    assert_non_null(strstr(second, "/ = 4\n"));
    free(written.text);
    free(scene);
}

/* What was said is not said again, and what is over is not believed. */
static void states_once(void **state)
{
    (void)state;
    struct scene *scene = new_scene();
    scene_begin(scene, "one", scene_ip(10, 0, 0, 1, 1), scene_ip(10, 0, 0, 2, 7), "lo");
    scene_segment(scene, 0, END_A, SEGMENT_SYN, 0, 0, 0, 100, TCP_STATE_SYN_SENT, TCP_STATE_SYN_RECV);
    scene_segment(scene, 10, END_B, SEGMENT_SYN | SEGMENT_ACK, 0, 0, 1, 100, TCP_STATE_ESTABLISHED, TCP_STATE_UNKNOWN);
    struct event_state *late = &scene_add(scene, 20, EVENT_KIND_STATE)->state;
    *late = (struct event_state){.end = END_A, .before = TCP_STATE_CLOSED, .after = TCP_STATE_SYN_SENT, .polled = true};
    struct event_state *same = &scene_add(scene, 30, EVENT_KIND_STATE)->state;
    *same = (struct event_state){
        .end = END_A, .before = TCP_STATE_SYN_SENT, .after = TCP_STATE_ESTABLISHED, .polled = false};
    struct event_state *news = &scene_add(scene, 40, EVENT_KIND_STATE)->state;
    *news =
        (struct event_state){.end = END_A, .before = TCP_STATE_ESTABLISHED, .after = TCP_STATE_CLOSED, .polled = true};
    for (unsigned list = 0; list < 2; list++) {
        struct written written = scene_render(scene, &(struct ladder_options){.width = 80, .list = list});
        const char *first = strstr(written.text, "SYN_SENT");
        assert_non_null(first);
        assert_null(strstr(first + 1, "SYN_SENT"));
        assert_null(strstr(written.text, "0.000 030"));
        assert_non_null(strstr(written.text, list ? "0.000 040 client CLOSED\n" : "0.000 040 CLOSED"));
        free(written.text);
    }
    free(scene);
}

/* An event is lent for the call only; its row may be drawn later. */
static void words_are_lent(void **state)
{
    char words[] = "port unreachable";
    struct written written = {0};
    written_add("", 0, &written);
    struct ladder *ladder = ladder_new(&(struct ladder_options){.width = 80, .live = true}, written_add, &written);
    assert_non_null(ladder);
    struct event event = {.source = EVENT_WIRE, .kind = EVENT_KIND_ICMP, .conn = 1, .t_ns = NS_PER_S};
    event.icmp = (struct event_icmp){.version = 4, .type = 3, .code = 3, .to = END_A, .words = words};
    ladder_event(ladder, &event);
    memset(words, 'x', sizeof words - 1);
    ladder_finish(ladder);
    ladder_free(ladder);
    assert_non_null(strstr(written.text, "icmp port unreachable"));
    free(written.text);
}

int main(void)
{
    setenv("TZ", "UTC", 1);
    tzset();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scenes),
        cmocka_unit_test(other_renderings),
        cmocka_unit_test(times),
        cmocka_unit_test(counts_and_tags),
        cmocka_unit_test(datagrams),
        cmocka_unit_test(above),
        cmocka_unit_test(local_stream),
        cmocka_unit_test(tags),
        cmocka_unit_test(live_holds_little),
        cmocka_unit_test(one_ended),
        cmocka_unit_test(began_before),
        cmocka_unit_test(states_once),
        cmocka_unit_test(words_are_lent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
