/* SPDX-License-Identifier: MIT */
/* What watch writes: numbers, cells, columns, lines and JSON, from hand-made sockets. */
#include "watch/detail.h"
#include "watch/line.h"
#include "watch/plain.h"
#include "watch/socket_json.h"
#include "watch/sort.h"
#include "watch/tcp_members.h"
#include "watch/transition.h"
#include "watch/view.h"
#include "watch/words.h"
#include "watch/wrap.h"

#include <arpa/inet.h>
#include <locale.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include <cmocka.h>

static struct sonde_address at(const char *ip, uint16_t port)
{
    bool six = strchr(ip, ':') != NULL;
    struct sonde_address address = {.family = six ? AF_INET6 : AF_INET, .port = port};
    assert_int_equal(inet_pton(address.family, ip, address.u.ip), 1);
    return address;
}

static struct row tcp_row(enum tcp_state tcp_state)
{
    return (struct row){.key = 1,
                        .inode = 100,
                        .family = AF_INET,
                        .type = SOCK_STREAM,
                        .protocol = IPPROTO_TCP,
                        .state = (uint8_t)tcp_state,
                        .local = at("10.0.0.2", 7007),
                        .peer = at("10.0.0.1", 40490)};
}

/* ---- numbers */

static void check_words(size_t (*words)(uint64_t, char *), uint64_t number, const char *expected)
{
    char text[WORDS_MAX];
    assert_int_equal(words(number, text), strlen(expected));
    assert_string_equal(text, expected);
}

static void counts(void **state)
{
    (void)state;
    check_words(words_count, 0, "0");
    check_words(words_count, 999, "999");
    check_words(words_count, 3656, "3,656");
    check_words(words_count, UINT64_MAX, "18,446,744,073,709,551,615");
    check_words(words_narrow, 9999, "9,999");
    check_words(words_narrow, 10000, "10k");
    check_words(words_narrow, 999499, "999k");
    check_words(words_narrow, 999500, "1.0M");
    check_words(words_narrow, 2803712, "2.8M");
    check_words(words_narrow, UINT64_MAX, "18E");
}

static void check_span(size_t (*words)(int64_t, char *), int64_t ns, const char *expected)
{
    char text[WORDS_MAX];
    assert_int_equal(words(ns, text), strlen(expected));
    assert_string_equal(text, expected);
}

static void spans(void **state)
{
    (void)state;
    check_span(words_span, 0, "0 us");
    check_span(words_span, 25 * NS_PER_US, "25 us");
    check_span(words_span, 5100 * NS_PER_US, "5.1 ms");
    check_span(words_span, 212 * NS_PER_MS, "212 ms");
    check_span(words_span, 9300 * NS_PER_MS, "9.3 s");
    check_span(words_span, 41 * NS_PER_S, "41 s");
    check_span(words_span, 720 * NS_PER_S, "12 min");
    check_span(words_span, 11520 * NS_PER_S, "3.2 h");
    check_span(words_left, 500 * NS_PER_MS, "0.5s");
    check_span(words_left, 41 * NS_PER_S, "41s");
    check_span(words_left, 71 * 60 * NS_PER_S, "71m");
    check_span(words_left, 7200 * NS_PER_S, "2h");
    check_span(words_left, -1, "0.0s");
}

static void check_address(const char *ip, uint16_t port, const char *expected)
{
    char text[SONDE_ADDRESS_TEXT];
    struct sonde_address address = at(ip, port);
    size_t n = put_address(text, &address);
    assert_int_equal(n, strlen(expected));
    assert_memory_equal(text, expected, n);
}

static void addresses(void **state)
{
    (void)state;
    check_address("127.0.0.1", 7007, "127.0.0.1:7007");
    check_address("255.255.255.255", 65535, "255.255.255.255:65535");
    check_address("0.0.0.0", 22, "*:22");
    check_address("10.0.0.1", 0, "10.0.0.1:*");
    check_address("::", 22, "[::]:22");
    check_address("::1", 80, "[::1]:80");
    check_address("fe80::1", 0, "[fe80::1]:*");
}

/* ---- lines */

static void columns(void **state)
{
    (void)state;
    assert_int_equal(columns_of("abc", 3), 3);
    assert_int_equal(columns_of("a\xe2\x94\x80z", 5), 3);
    assert_int_equal(columns_of("\xe4\xbd\xa0\xe5\xa5\xbd", 6), 4); /* wide */
    assert_int_equal(columns_fit("\xe4\xbd\xa0\xe5\xa5\xbd", 6, 3), 3);
    assert_int_equal(columns_fit("abc", 3, 9), 3);
    assert_int_equal(columns_of("\xff\xe4", 2), 2); /* whatever it is, no byte is read that is not there */
}

static void lines(void **state)
{
    (void)state;
    struct line line = {.n_bytes = 0};
    struct text text = {.bytes = NULL};
    line_put(&line, STYLE_TROUBLE, "!");
    line_to(&line, 4);
    line_put(&line, STYLE_OPEN, "ESTABLISHED");
    line_to(&line, 30);
    line_render(&line, false, &text);
    assert_int_equal(text.n_bytes, 15); /* no spaces at the end */
    assert_memory_equal(text.bytes, "!   ESTABLISHED", 15);
    text_clear(&text);
    line_render(&line, true, &text);
    text_append(&text, "", 1);
    assert_string_equal(text.bytes, "\x1b[1;31m!\x1b[0m   \x1b[36mESTABLISHED\x1b[0m");
    line_cut(&line, 7, "~");
    text_clear(&text);
    line_render(&line, false, &text);
    assert_int_equal(text.n_bytes, 7);
    assert_memory_equal(text.bytes, "!   ES~", 7);
    text_free(&text);
    /* However much there is to say. */
    line_clear(&line);
    for (int i = 0; i < 5000; i++)
        line_put(&line, (enum style)(i % STYLE_N), "\xe4\xbd\xa0");
    assert_true(line.n_bytes <= LINE_TEXT_MAX && line.n_bytes % 3 == 0);
}

static void wrapping(void **state)
{
    (void)state;
    const char *rest = "one two  threefourfive six";
    static const char *const expected[] = {"one two", "threefo", "urfive", "six"};
    for (size_t i = 0; i < 4; i++) {
        const char *line = rest;
        size_t n = wrap_line(rest, 7, &rest);
        assert_int_equal(n, strlen(expected[i]));
        assert_memory_equal(line, expected[i], n);
    }
    assert_int_equal(*rest, '\0');
    assert_int_equal(wrap_line(rest, 7, &rest), 0);
    rest = "abc";
    assert_int_equal(wrap_line(rest, 0, &rest), 1); /* it ends in any case */
}

/* ---- cells */

static void check_timer(struct row *row, bool with_word, bool plain, const char *expected)
{
    struct view view = {.now_ns = 1000, .seen_ns = 1000};
    char text[CELL_MAX];
    size_t n = cell_timer(&view, row, with_word, plain, text);
    text[n] = '\0';
    assert_string_equal(text, expected);
}

static void timers(void **state)
{
    (void)state;
    struct row row = tcp_row(TCP_STATE_ESTABLISHED);
    check_timer(&row, true, false, "");
    row.timer = TIMER_PROBE;
    row.n_retransmits = 5;
    row.timer_ns = 4 * NS_PER_S;
    check_timer(&row, true, false, "probe 5  4.0s");
    check_timer(&row, true, true, "probe 5 4.0s");
    check_timer(&row, false, false, "4.0s");
    row.timer = TIMER_RETRANSMIT;
    check_timer(&row, true, true, "again 5 4.0s");
    row.n_retransmits = 0;
    check_timer(&row, true, true, "rto 4.0s");
    row.state = TCP_STATE_SYN_SENT;
    check_timer(&row, true, true, "syn 4.0s");
    row.state = TCP_STATE_SYN_RECV;
    row.n_retransmits = 1;
    check_timer(&row, true, true, "synack 1 4.0s");
    row = tcp_row(TCP_STATE_FIN_WAIT_2);
    check_timer(&row, true, false, "none (open)");
    row = tcp_row(TCP_STATE_TIME_WAIT);
    row.timer = TIMER_TIME_WAIT;
    row.timer_ns = 41 * NS_PER_S;
    check_timer(&row, true, false, "█████▍··  41s");
    check_timer(&row, true, true, "ends 41s");
}

static void timers_count_down(void **state)
{
    (void)state;
    struct row row = tcp_row(TCP_STATE_TIME_WAIT);
    struct view view = {.now_ns = 3 * NS_PER_S, .seen_ns = NS_PER_S, .ascii = true};
    char text[CELL_MAX];
    row.timer = TIMER_TIME_WAIT;
    row.timer_ns = 32 * NS_PER_S;
    size_t n = cell_timer(&view, &row, true, false, text);
    text[n] = '\0';
    assert_string_equal(text, "####....  30s");
    view.now_ns += 60 * NS_PER_S;
    n = cell_timer(&view, &row, false, false, text);
    text[n] = '\0';
    assert_string_equal(text, "0.0s");
}

static void unix_sockets(void **state)
{
    (void)state;
    char name[] = "\0\x1b[2J\xe4\xbd\xa0", text[CELL_MAX];
    enum style style;
    struct row row = {.family = AF_UNIX,
                      .type = SOCK_STREAM,
                      .state = TCP_STATE_ESTABLISHED,
                      .inode = 12,
                      .peer_inode = 34,
                      .unix_name = name,
                      .n_unix_name = sizeof name - 1};
    size_t n = cell_local(&row, true, text);
    text[n] = '\0';
    assert_string_equal(text, "unix:@\\x1b[2J\xe4\xbd\xa0");
    n = cell_peer(&row, text);
    text[n] = '\0';
    assert_string_equal(text, "unix:[34]");
    n = cell_state(&row, text, &style);
    text[n] = '\0';
    assert_string_equal(text, "unix stream");
    row.n_unix_name = 0;
    n = cell_local(&row, true, text);
    text[n] = '\0';
    assert_string_equal(text, "unix:[12]");
    char path[] = "/run/x\0\0"; /* a path may come with zeros behind it */
    row.unix_name = path;
    row.n_unix_name = 8;
    n = cell_local(&row, true, text);
    text[n] = '\0';
    assert_string_equal(text, "unix:/run/x");
}

static void holders_without_a_descriptor(void **state)
{
    (void)state;
    struct view view = {.ascii = true};
    static const struct {
        enum tcp_state state;
        enum direction direction;
        const char *expected;
    } cases[] = {
        {TCP_STATE_SYN_RECV, DIRECTION_IN, "none yet"},
        {TCP_STATE_TIME_WAIT, DIRECTION_OUT, "kernel"},
        {TCP_STATE_ESTABLISHED, DIRECTION_IN, "not accepted"},
        {TCP_STATE_LAST_ACK, DIRECTION_IN, "kernel"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[CELL_MAX];
        struct row row = tcp_row(cases[i].state);
        row.inode = 0;
        row.direction = (uint8_t)cases[i].direction;
        text[cell_owner(&view, &row, true, text)] = '\0';
        assert_string_equal(text, cases[i].expected);
    }
}

/* ---- columns */

static void text_of(const struct line *line, char *ret_text)
{
    struct text text = {.bytes = NULL};
    line_render(line, false, &text);
    text_append(&text, "", 1);
    strcpy(ret_text, text.bytes);
    text_free(&text);
}

static void layouts(void **state)
{
    (void)state;
    struct view view = {.now_ns = 0};
    struct layout layout;
    struct row row = tcp_row(TCP_STATE_ESTABLISHED);
    row.send_queue = 3656;
    row.weight = VERDICT_TROUBLE;
    row.timer = TIMER_PROBE;
    row.n_retransmits = 5;
    row.timer_ns = 4 * NS_PER_S;
    for (unsigned width = 20; width <= 300; width++) {
        struct line head = {.n_bytes = 0}, line = {.n_bytes = 0};
        char text[LINE_TEXT_MAX + 1];
        layout_init(&layout);
        layout_note(&layout, &view, &row);
        layout_fit(&layout, width, true, false, true, true, false);
        view_head(&layout, COLUMN_N, &head);
        view_row(&view, &layout, &row, NULL, true, &line);
        assert_true(head.n_columns <= width && line.n_columns <= width);
        text_of(&line, text);
        assert_memory_equal(text, "!▸ESTABLISHED", strlen("!▸ESTABLISHED"));
        if (width >= 40) /* the peer's port is there, however narrow it is */
            assert_non_null(strstr(text, ":40490"));
        if (width >= 80) {
            assert_non_null(strstr(text, "10.0.0.2:7007"));
            assert_non_null(strstr(text, "10.0.0.1:40490"));
            assert_non_null(strstr(text, "probe 5  4.0s"));
            assert_non_null(strstr(text, "3,656"));
        }
    }
}

static void the_order_of_dropping(void **state)
{
    (void)state;
    struct view view = {.now_ns = 0};
    struct row row = tcp_row(TCP_STATE_ESTABLISHED);
    static const enum column order[] = {COLUMN_VERDICT, COLUMN_RTT,   COLUMN_IN,   COLUMN_RECV,
                                        COLUMN_OWNER,   COLUMN_LOCAL, COLUMN_TIMER};
    size_t gone = 0;
    for (unsigned width = 300; width >= 20; width--) {
        struct layout layout;
        layout_init(&layout);
        layout_note(&layout, &view, &row);
        layout_fit(&layout, width, true, true, true, true, true);
        assert_true(layout.shown[COLUMN_STATE] && layout.shown[COLUMN_PEER]);
        while (gone < 7 && !layout.shown[order[gone]])
            gone++;
        for (size_t i = gone; i < 7; i++)
            assert_true(layout.shown[order[i]]);
    }
    assert_int_equal(gone, 7);
}

static void listener_lines(void **state)
{
    (void)state;
    struct view view = {.now_ns = 0};
    struct layout layout;
    struct row row = tcp_row(TCP_STATE_LISTEN);
    struct line line = {.n_bytes = 0};
    char text[LINE_TEXT_MAX + 1];
    row.receive_queue = 2;
    row.send_queue = 1;
    row.weight = VERDICT_TROUBLE;
    row.has_drops = true;
    row.drops = 14;
    layout_init(&layout);
    layout_note(&layout, &view, &row);
    layout_fit(&layout, 100, true, false, false, true, true);
    view_listener(&view, &layout, &row, NULL, false, &line);
    text_of(&line, text);
    assert_string_equal(text, "! 10.0.0.2:7007     ████████████████ 2 of 1     full         0       14");
    struct track track = {.drops_first = 10};
    line_clear(&line);
    row.receive_queue = 0;
    view_listener(&view, &layout, &row, &track, false, &line);
    text_of(&line, text);
    assert_non_null(strstr(text, "0 of 1"));
    assert_non_null(strstr(text, "+4"));
    assert_null(strstr(text, "full"));
}

static void plain_tables(void **state)
{
    (void)state;
    struct plain plain = {.owners = false};
    struct view view = {.now_ns = 0};
    struct text text = {.bytes = NULL};
    struct row row = tcp_row(TCP_STATE_CLOSE_WAIT);
    char brief[] = "12 unread";
    row.receive_queue = 12;
    row.verdict_short = brief;
    plain_head(&plain, &text);
    plain_row(&plain, &view, &row, &text);
    row.verdict_short = NULL;
    plain_row(&plain, &view, &row, &text);
    text_append(&text, "", 1);
    assert_string_equal(
        text.bytes,
        "STATE         RECV-Q   SEND-Q  LOCAL                  PEER                   TIMER           VERDICT\n"
        "CLOSE_WAIT        12        0  10.0.0.2:7007          10.0.0.1:40490         -               12 unread\n"
        "CLOSE_WAIT        12        0  10.0.0.2:7007          10.0.0.1:40490         -\n");
    text_clear(&text);
    row = tcp_row(TCP_STATE_LISTEN);
    row.receive_queue = 2;
    row.send_queue = 1;
    plain_listener_head(&plain, &text);
    plain_listener(&plain, &view, &row, &text);
    text_append(&text, "", 1);
    assert_string_equal(text.bytes, "LISTENER               ACCEPT QUEUE        HALF-OPEN  DROPPED\n"
                                    "10.0.0.2:7007          2 of 1 full                 0        ?\n");
    text_free(&text);
}

/* Nothing is cut, and columns are aligned, when addresses are long. */
static void plain_long_addresses(void **state)
{
    (void)state;
    struct plain plain = {.owners = false};
    struct view view = {.now_ns = 0};
    struct text text = {.bytes = NULL};
    struct row rows[2] = {tcp_row(TCP_STATE_ESTABLISHED), tcp_row(TCP_STATE_ESTABLISHED)};
    rows[0].local = at("2001:db8:1111:2222:3333:4444:5555:6666", 65535);
    rows[0].family = AF_INET6;
    for (int i = 0; i < 2; i++)
        plain_note(&plain, &rows[i]);
    for (int i = 0; i < 2; i++)
        plain_row(&plain, &view, &rows[i], &text);
    text_append(&text, "", 1);
    char *second = strchr(text.bytes, '\n') + 1;
    assert_non_null(strstr(text.bytes, "[2001:db8:1111:2222:3333:4444:5555:6666]:65535  10.0.0.1:40490"));
    assert_int_equal(strstr(text.bytes, "10.0.0.1:40490") - text.bytes, strstr(second, "10.0.0.1:40490") - second);
    text_free(&text);
}

/* ---- the order of rows */

static void places(void **state)
{
    (void)state;
    struct model model;
    struct view view = {.now_ns = NS_PER_S};
    struct socket_info info = {.family = AF_INET, .protocol = IPPROTO_TCP, .state = TCP_STATE_ESTABLISHED};
    struct place all[3];
    model_init(&model, true);
    model_begin(&model, NS_PER_S);
    for (uint64_t i = 0; i < 3; i++) {
        info.cookie = i + 1;
        info.local = at("10.0.0.1", (uint16_t)(30 - i));
        info.receive_queue = (uint32_t)i;
        model_see(&model, &info);
    }
    model_end(&model);
    model.rows[1].weight = VERDICT_TROUBLE;
    for (int i = 0; i < 3; i++)
        all[i] = place_of_row(&model, &view, &model.rows[i], SORT_RECV);
    places_sort(&model, all, 3, SORT_RECV);
    assert_int_equal(all[0].row, 1); /* trouble */
    assert_int_equal(all[1].row, 2); /* the longest queue */
    assert_int_equal(all[2].row, 0);
    for (int i = 0; i < 3; i++)
        all[i] = place_of_row(&model, &view, &model.rows[i], SORT_LOCAL);
    places_sort(&model, all, 3, SORT_LOCAL);
    assert_int_equal(all[1].row, 2);
    assert_int_equal(all[2].row, 0);
    model_free(&model);
}

static void places_are_kept_for_a_while(void **state)
{
    (void)state;
    struct model model;
    struct view view = {.now_ns = NS_PER_S};
    struct socket_info info = {.cookie = 1, .family = AF_INET, .protocol = IPPROTO_TCP, .state = TCP_STATE_ESTABLISHED};
    bool moved = false;
    model_init(&model, true);
    model_begin(&model, NS_PER_S);
    model_see(&model, &info);
    model_end(&model);
    struct row *row = &model.rows[0];
    struct track *track = &model.tracks[0];
    uint64_t first = place_kept(&model, &view, row, track, -1, true, &moved).key;
    assert_true(moved);
    row->state = TCP_STATE_CLOSE_WAIT;
    moved = false;
    assert_int_equal(place_kept(&model, &view, row, track, -1, false, &moved).key, first);
    view.now_ns += PLACE_KEPT_NS - 1;
    assert_int_equal(place_kept(&model, &view, row, track, -1, false, &moved).key, first);
    assert_false(moved);
    view.now_ns += 1;
    assert_int_not_equal(place_kept(&model, &view, row, track, -1, false, &moved).key, first);
    assert_true(moved);
    model_free(&model);
}

/* ---- changes, and JSON */

static void check_line(const struct change *change, const char *owner, const char *expected)
{
    struct text text = {.bytes = NULL};
    transition_line(change, 43201 * NS_PER_S + 123 * NS_PER_MS, owner, &text);
    text_append(&text, "", 1);
    assert_string_equal(text.bytes, expected);
    text_free(&text);
}

static void transitions(void **state)
{
    (void)state;
    struct row row = tcp_row(TCP_STATE_CLOSE_WAIT);
    struct change change = {.kind = CHANGE_STATE,
                            .from = TCP_STATE_ESTABLISHED,
                            .to = TCP_STATE_CLOSE_WAIT,
                            .in_state_ns = 3200 * NS_PER_MS,
                            .in_state_known = true,
                            .row = &row};
    row.direction = DIRECTION_IN;
    row.receive_queue = 12;
    check_line(&change, NULL,
               "12:00:01.123 10.0.0.2:7007<-10.0.0.1:40490 ESTABLISHED -> CLOSE_WAIT after 3.2 s, unread 12\n");
    change.in_state_known = false;
    row.direction = DIRECTION_OUT;
    row.receive_queue = 0;
    check_line(&change, "nc[1]",
               "12:00:01.123 10.0.0.2:7007->10.0.0.1:40490 ESTABLISHED -> CLOSE_WAIT after 3.2 s or more, nc[1]\n");
    change.kind = CHANGE_APPEARED;
    change.to = TCP_STATE_SYN_SENT;
    row.direction = DIRECTION_UNKNOWN;
    check_line(&change, NULL, "12:00:01.123 10.0.0.2:7007--10.0.0.1:40490 new SYN_SENT\n");
    change.kind = CHANGE_GONE;
    change.to = TCP_STATE_CLOSED;
    change.in_state_known = change.bytes_known = true;
    row.bytes_in = 12;
    row.bytes_out = 1200;
    check_line(&change, NULL,
               "12:00:01.123 10.0.0.2:7007--10.0.0.1:40490 ESTABLISHED -> CLOSED after 3.2 s, in 12, out 1,200\n");
    change.kind = CHANGE_MISSED;
    check_line(&change, NULL,
               "12:00:01.123 10.0.0.2:7007--10.0.0.1:40490 missed: opened and CLOSED between two looks, in 12, out "
               "1,200\n");
}

static void json_of_a_change(void **state)
{
    (void)state;
    struct row row = tcp_row(TCP_STATE_CLOSE_WAIT);
    struct change change = {.kind = CHANGE_STATE,
                            .from = TCP_STATE_ESTABLISHED,
                            .to = TCP_STATE_CLOSE_WAIT,
                            .in_state_ns = 3200 * NS_PER_MS,
                            .row = &row};
    struct transition_owner owner = {.asked = true, .program = "a\x1b\"b", .pid = 7, .fd = 3};
    struct text text = {.bytes = NULL};
    row.direction = DIRECTION_IN;
    transition_json(&change, NS_PER_S, 5, &owner, &text);
    text_append(&text, "", 1);
    assert_string_equal(
        text.bytes,
        "{\"event\":\"change\",\"change\":\"state\",\"time\":\"1970-01-01T00:00:01.000000Z\",\"mono_ns\":5,"
        "\"family\":\"inet\",\"type\":\"stream\",\"protocol\":\"tcp\",\"local\":\"10.0.0.2\",\"local_port\":7007,"
        "\"peer\":\"10.0.0.1\",\"peer_port\":40490,\"direction\":\"in\",\"from\":\"ESTABLISHED\",\"to\":\"CLOSE_WAIT\","
        "\"state_ms\":3200,\"state_since_known\":false,\"recv_queue\":0,\"send_queue\":0,\"bytes_in\":null,"
        "\"bytes_out\":null,\"uid\":0,\"inode\":100,\"cookie\":\"1\","
        "\"owner\":[{\"pid\":7,\"program\":\"a\\u001b\\\"b\",\"fd\":3}]}\n");
    text_free(&text);
}

static void json_fits(void **state)
{
    (void)state;
    static struct socket_info info;
    static char line[SOCKET_JSON_ROOM];
    struct judgement judgement = {.weight = VERDICT_TROUBLE};
    static const struct socket_verdict verdict = {.name = "accept-queue-full"};
    struct json json;
    memset(&info, 0xfe, sizeof info); /* all numbers as long as they get */
    info.family = AF_UNIX;
    info.has_info = info.has_memory = true;
    info.n_unix_name = SOCKET_UNIX_NAME_MAX;
    info.state = TCP_STATE_LISTEN;
    info.timer = TIMER_PROBE;
    info.interface = 0;
    info.info.n_bytes = TCP_INFO_KERNEL_BYTES;
    memset(info.congestion, 1, sizeof info.congestion - 1);
    info.congestion[sizeof info.congestion - 1] = '\0';
    memset(judgement.text, '\x01', sizeof judgement.text - 1);
    memset(judgement.brief, '\x01', sizeof judgement.brief - 1);
    judgement.text[sizeof judgement.text - 1] = judgement.brief[sizeof judgement.brief - 1] = '\0';
    judgement.verdict = &verdict;
    json_begin(&json, line, sizeof line);
    socket_json(&json, &info, UINT64_MAX, &judgement, NULL);
    size_t n = json_end(&json);
    assert_true(n > 1000);
    assert_true(n + 64 * SOCKET_JSON_OWNERS_MAX * 2 < sizeof line);
}

static void unknown_members_are_null(void **state)
{
    (void)state;
    static struct socket_info info;
    static char line[SOCKET_JSON_ROOM];
    struct json json;
    memset(&info, 0, sizeof info);
    info.family = AF_INET;
    info.protocol = IPPROTO_TCP;
    info.state = TCP_STATE_ESTABLISHED;
    info.local = at("0.0.0.0", 80);
    info.peer = at("::1", 81);
    info.has_info = true;
    info.info.max_pacing_rate = UINT64_MAX;
    info.info.n_bytes = offsetof(struct tcp_info_whole, snd_wnd);
    json_begin(&json, line, sizeof line);
    socket_json(&json, &info, 0, NULL, NULL);
    assert_true(json_end(&json) > 0);
    assert_non_null(strstr(line, "\"local\":\"0.0.0.0\""));
    assert_non_null(strstr(line, "\"peer\":\"::1\""));
    assert_non_null(strstr(line, "\"rcv_ooopack\":0,\"snd_wnd\":null"));
    assert_non_null(strstr(line, "\"max_pacing_rate\":null"));
    assert_null(strstr(line, "verdict"));
    assert_null(strstr(line, "owner"));
}

/* Every member of the kernel's struct is in the table, in its place, once. */
static void members(void **state)
{
    (void)state;
    size_t at_byte = 1; /* behind the state, which is the socket's */
    for (size_t i = 0; i < n_tcp_members; i++) {
        assert_true(tcp_members[i].offset >= at_byte && tcp_members[i].offset < at_byte + 8);
        at_byte = tcp_members[i].offset + tcp_members[i].size_bytes;
    }
    assert_true(at_byte <= TCP_INFO_KERNEL_BYTES && at_byte + 8 > TCP_INFO_KERNEL_BYTES);
}

/* The digest and the page never fail, whatever the numbers are and however narrow it is. */
static void any_numbers(void **state)
{
    (void)state;
    static struct socket_info info;
    static struct socket_counters counters;
    static struct line digest[DIGEST_LINES];
    for (int fill = 0; fill < 256; fill += 85) {
        for (unsigned width = 20; width < 200; width += 30) {
            for (int tcp_state = 0; tcp_state < TCP_N_STATES; tcp_state++) {
                struct text page = {.bytes = NULL};
                memset(&info, fill, sizeof info);
                info.state = (uint8_t)tcp_state;
                info.timer = TIMER_PROBE;
                info.has_info = info.has_memory = fill != 85;
                info.congestion[15] = '\0';
                unsigned n = detail_digest(&info, NULL, &counters, 0, width, digest);
                assert_in_range(n, 1, DIGEST_LINES);
                for (unsigned i = 0; i < n; i++)
                    assert_true(digest[i].n_columns <= width);
                detail_page(&info, width, &page);
                assert_true(page.n_bytes > 0 && page.bytes[page.n_bytes - 1] == '\n');
                text_free(&page);
            }
        }
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts),
        cmocka_unit_test(spans),
        cmocka_unit_test(addresses),
        cmocka_unit_test(columns),
        cmocka_unit_test(lines),
        cmocka_unit_test(wrapping),
        cmocka_unit_test(timers),
        cmocka_unit_test(timers_count_down),
        cmocka_unit_test(unix_sockets),
        cmocka_unit_test(holders_without_a_descriptor),
        cmocka_unit_test(layouts),
        cmocka_unit_test(the_order_of_dropping),
        cmocka_unit_test(listener_lines),
        cmocka_unit_test(plain_tables),
        cmocka_unit_test(plain_long_addresses),
        cmocka_unit_test(places),
        cmocka_unit_test(places_are_kept_for_a_while),
        cmocka_unit_test(transitions),
        cmocka_unit_test(json_of_a_change),
        cmocka_unit_test(json_fits),
        cmocka_unit_test(unknown_members_are_null),
        cmocka_unit_test(members),
        cmocka_unit_test(any_numbers),
    };

    setlocale(LC_CTYPE, "C.UTF-8");
    setenv("TZ", "UTC", 1);
    tzset();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
