/* SPDX-License-Identifier: MIT */
/* The page's store: rows, listeners and points, told by sockets that were made up. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "page_store_scene.h"

static void a_socket_is_a_row(void **state)
{
    (void)state;
    begin(PAGE_ROWS_SOCKETS);
    struct socket_info socket = tcp(7, 7007, 4711);
    socket.send_queue = 3656;
    socket.timer = TIMER_PROBE;
    socket.timer_ns = 60 * NS_PER_S;
    socket.n_retransmits = 5;
    struct judgement judgement = {.weight = VERDICT_TROUBLE, .brief = "peer not reading", .text = "It does not read."};
    see_all(&socket, 5, 4344, &judgement);
    json_t *json = overview(), *row = json_array_get(json_object_get(json, "rows"), 0);
    assert_int_equal(number(json, "connections"), 1);
    assert_int_equal(number(json, "shown"), 1);
    assert_string_equal(string(row, "local"), "127.0.0.1:7007");
    assert_string_equal(string(row, "peer"), "127.0.0.1:4711");
    assert_string_equal(string(row, "protocol"), "tcp");
    assert_string_equal(string(row, "state"), "ESTABLISHED");
    assert_string_equal(string(row, "class"), "open");
    assert_string_equal(string(row, "owner"), "nc[4121]");
    assert_string_equal(string(row, "brief"), "peer not reading");
    assert_true(is_null(row, "verdict") && is_null(row, "layers") && is_null(row, "trace") && is_null(row, "rtt_us"));
    assert_int_equal(number(row, "in"), 5);
    assert_int_equal(number(row, "out"), 4344);
    assert_int_equal(number(row, "send_q"), 3656);
    assert_int_equal(number(json_object_get(row, "timer"), "n"), 5);
    assert_string_equal(string(json_object_get(row, "timer"), "name"), "probe");
    assert_int_equal(json_array_size(json_object_get(row, "can")), 0); /* it is no stream of ours */
    json_t *attention = json_array_get(json_object_get(json, "attention"), 0);
    assert_int_equal(number(attention, "row"), number(row, "id"));
    assert_true(is_null(attention, "listener"));
    json_t *whole = row_json((uint64_t)number(row, "id"));
    assert_string_equal(string(whole, "verdict"), "It does not read.");
    json_decref(whole);
    json_decref(json);
    assert_null(row_json(12345));
}

/* Only streams are rows: a socket that is none of ours is not shown, nor does a wrong one join. */
static void streams_alone(void **state)
{
    (void)state;
    begin(PAGE_ROWS_STREAMS);
    struct socket_info socket = tcp(7, 7007, 4711);
    see(&socket);
    json_t *json = overview();
    assert_int_equal(n_rows(json), 0);
    json_decref(json);
}

static void states_and_the_end(void **state)
{
    (void)state;
    begin(PAGE_ROWS_SOCKETS);
    struct socket_info socket = tcp(7, 7007, 4711);
    see(&socket);
    socket.state = TCP_STATE_TIME_WAIT;
    see(&socket);
    json_t *json = overview(), *row = find_row(json, "127.0.0.1:4711");
    assert_string_equal(string(row, "class"), "wait");
    assert_false(json_is_true(json_object_get(row, "ended")));
    json_decref(json);
    gone(7);
    json = overview();
    row = find_row(json, "127.0.0.1:4711");
    assert_true(json_is_true(json_object_get(row, "ended")));
    assert_string_equal(string(row, "state"), "CLOSED");
    assert_int_equal(number(json, "connections"), 0);
    assert_int_equal(number(json, "shown"), 1);
    json_decref(json);
}

static void listeners(void **state)
{
    (void)state;
    begin(PAGE_ROWS_SOCKETS);
    struct socket_info socket = tcp(9, 7009, 0);
    struct judgement judgement = {.weight = VERDICT_TROUBLE, .brief = "queue full", .text = "It is full."};
    socket.state = TCP_STATE_LISTEN;
    socket.peer = (struct sonde_address){.family = AF_INET};
    socket.receive_queue = 2;
    socket.send_queue = 1;
    socket.has_memory = true;
    socket.memory.drops = 14;
    store_listening(fixture.store, "tcp://127.0.0.1:7009", "echo");
    store_listening(fixture.store, "udp://127.0.0.1:7009", "sink");
    store_look_begins(fixture.store);
    see_all(&socket, 0, 0, &judgement);
    store_look_ends(fixture.store);
    json_t *json = overview(), *all = json_object_get(json, "listeners"), *one = json_array_get(all, 0);
    assert_int_equal(json_array_size(all), 2);
    assert_string_equal(string(one, "address"), "127.0.0.1:7009");
    assert_string_equal(string(one, "note"), "echo");
    assert_int_equal(number(one, "queue"), 2);
    assert_int_equal(number(one, "limit"), 1);
    assert_int_equal(number(one, "dropped"), 14);
    assert_true(json_is_true(json_object_get(one, "full")));
    assert_string_equal(string(one, "verdict"), "It is full.");
    assert_true(is_null(json_array_get(all, 1), "queue"));
    assert_int_equal(number(json_array_get(json_object_get(json, "attention"), 0), "listener"), number(one, "id"));
    json_decref(json);

    /* One that is not announced is there as long as the kernel tells of it, and once more. */
    struct socket_info other = socket;
    other.cookie = 10;
    other.local.port = 8080;
    store_look_begins(fixture.store);
    see_all(&other, 0, 0, NULL);
    store_look_ends(fixture.store);
    json = overview();
    assert_int_equal(json_array_size(json_object_get(json, "listeners")), 3);
    json_decref(json);
    for (int i = 0; i < 2; i++) {
        store_look_begins(fixture.store);
        store_look_ends(fixture.store);
    }
    json = overview();
    all = json_object_get(json, "listeners");
    assert_int_equal(json_array_size(all), 2);
    assert_true(is_null(json_array_get(all, 0), "queue") && is_null(json_array_get(all, 0), "brief"));
    json_decref(json);
}

/* What is wrong with the machine as a whole has no row, and so is told with its sentences. */
static void the_machine(void **state)
{
    (void)state;
    begin(PAGE_ROWS_SOCKETS);
    uint64_t before = store_version(fixture.store);
    store_see_machine(fixture.store, "ports: 28k of 28k", "Local ports run out.");
    assert_true(store_version(fixture.store) > before);
    json_t *json = overview(), *all = json_object_get(json, "attention"), *one = json_array_get(all, 0);
    assert_int_equal(json_array_size(all), 1);
    assert_true(is_null(one, "row") && is_null(one, "listener"));
    assert_string_equal(string(one, "who"), "this machine");
    assert_string_equal(string(one, "brief"), "ports: 28k of 28k");
    assert_string_equal(string(one, "verdict"), "Local ports run out.");
    json_decref(json);
    before = store_version(fixture.store);
    store_see_machine(fixture.store, "", "");
    assert_true(store_version(fixture.store) > before);
    json = overview();
    assert_int_equal(json_array_size(json_object_get(json, "attention")), 0);
    json_decref(json);
}

static void filters(void **state)
{
    struct sockets_filter *filter;
    char why[192];
    (void)state;
    begin(PAGE_ROWS_SOCKETS);
    for (uint16_t i = 1; i <= 20; i++) {
        struct socket_info socket = tcp(i, 7007, (uint16_t)(4000 + i));
        see(&socket);
    }
    assert_int_equal(filter_parse("dport = :4007", &filter, why), 0);
    json_t *json = overview_of(&(struct store_overview){.n_rows_max = 100, .filter = filter});
    assert_int_equal(n_rows(json), 1);
    assert_non_null(find_row(json, "127.0.0.1:4007"));
    json_decref(json);
    /* One row is there in any case. */
    json = overview_of(&(struct store_overview){.n_rows_max = 100, .filter = filter, .with = 3});
    assert_int_equal(n_rows(json), 2);
    json_decref(json);
    filter_free(filter);
    assert_int_equal(filter_parse("process:nc and pid:4121", &filter, why), 0);
    json = overview_of(&(struct store_overview){.n_rows_max = 5, .filter = filter});
    assert_int_equal(number(json, "connections"), 20);
    assert_int_equal(number(json, "shown"), 5);
    json_decref(json);
    assert_true(store_put_overview(fixture.store, &(struct store_overview){.n_rows_max = 5}, &fixture.text));
    text_clear(&fixture.text);
    filter_free(filter);
}

static void too_many_rows(void **state)
{
    (void)state;
    begin(PAGE_ROWS_SOCKETS);
    for (uint64_t i = 1; i <= PAGE_ROWS_MAX; i++) {
        struct socket_info socket = tcp(i, (uint16_t)(1 + i / 1000), (uint16_t)(1 + i % 1000));
        see(&socket);
    }
    struct socket_info more = tcp(99999, 9, 9);
    store_look_begins(fixture.store);
    see(&more);
    store_look_ends(fixture.store);
    json_t *json = overview_of(&(struct store_overview){.n_rows_max = 10});
    assert_int_equal(number(json, "connections"), PAGE_ROWS_MAX + 1);
    json_decref(json);
    assert_int_equal(fixture.store->n_rows, PAGE_ROWS_MAX);
    assert_int_equal(fixture.store->n_rows_dropped, 1);
    gone(5);
    gone(4);
    see(&more); /* the one that has ended first makes room */
    assert_null(row_json(5));
    json_t *row = row_json(4);
    assert_non_null(row);
    json_decref(row);
    assert_int_equal(fixture.store->n_rows, PAGE_ROWS_MAX);
}

/* Tens of thousands may be in TIME_WAIT: they do not keep out what is open, and do not push each other out. */
static void too_many_in_time_wait(void **state)
{
    (void)state;
    begin(PAGE_ROWS_SOCKETS);
    store_look_begins(fixture.store);
    for (uint64_t i = 1; i <= PAGE_ROWS_MAX + 100; i++) {
        struct socket_info socket = tcp(i, (uint16_t)(1 + i / 1000), (uint16_t)(1 + i % 1000));
        socket.state = TCP_STATE_TIME_WAIT;
        see(&socket);
    }
    assert_int_equal(fixture.store->n_rows_dropped, 100);
    struct store_row *watched = TAILQ_FIRST(&fixture.store->living);
    uint64_t id = watched->id;
    watched->n_watching = 1;
    for (uint64_t i = 1; i <= 3; i++) {
        struct socket_info open = tcp(90000 + i, 9, (uint16_t)i);
        see(&open);
    }
    store_look_ends(fixture.store);
    assert_int_equal(fixture.store->n_rows, PAGE_ROWS_MAX);
    assert_int_equal(fixture.store->n_rows_dropped, 100);
    watched->n_watching = 0;
    json_t *json = overview_of(&(struct store_overview){.n_rows_max = 4});
    const char *const states[] = {"ESTABLISHED", "ESTABLISHED", "ESTABLISHED", "TIME_WAIT"};
    for (size_t i = 0; i < 4; i++)
        assert_string_equal(string(json_array_get(json_object_get(json, "rows"), i), "state"), states[i]);
    json_decref(json);
    json_t *row = row_json(id);
    assert_non_null(row);
    json_decref(row);
}

/* ---- points */

static void points(void **state)
{
    (void)state;
    begin(PAGE_ROWS_SOCKETS);
    struct socket_info socket = tcp(7, 7007, 4711);
    see(&socket);
    store_watch_row(fixture.store, 1, 1);
    socket.has_info = true;
    socket.info.rtt_us = 100;
    for (unsigned i = 0; i < PAGE_POINTS_MAX + 20; i++) {
        const struct seen seen = {.key = 7,
                                  .socket = &socket,
                                  .now_ns = fixture.now_ns += 100 * NS_PER_MS,
                                  .bytes_known = true,
                                  .in = i,
                                  .is_point = true};
        store_see(fixture.store, &seen, true);
    }
    struct store_cursor cursor = {.row = 1};
    assert_int_equal(store_put_points(fixture.store, &cursor, &fixture.text), PAGE_POINTS_MAX);
    json_t *json = parse("{", "}"), *list = json_object_get(json, "points");
    for (size_t i = 0; i < PAGE_POINTS_MAX; i++)
        assert_int_equal(json_integer_value(json_array_get(json_array_get(list, i), 1)), 20 + i);
    assert_int_equal(json_integer_value(json_array_get(json_array_get(list, 0), 3)), 100);
    json_decref(json);
    assert_int_equal(store_put_points(fixture.store, &cursor, &fixture.text), 0);
    json_decref(parse("{", "}"));
    store_watch_row(fixture.store, 1, -1);
}

/* ---- hostile texts */

static void hostile_texts(void **state)
{
    static const char evil[] = "</script>\x1b[2J\xe2\x80\xae\xff\xc3\"\\\n";
    (void)state;
    begin(PAGE_ROWS_SOCKETS);
    struct socket_info socket = {.cookie = 7, .family = AF_UNIX, .type = SOCK_STREAM, .state = TCP_STATE_ESTABLISHED};
    socket.peer.family = socket.local.family = AF_UNIX;
    memcpy(socket.unix_name, evil, sizeof evil - 1);
    socket.n_unix_name = sizeof evil - 1;
    see(&socket);
    struct socket_info peer = tcp(8, 7007, 4711);
    see(&peer);
    introduce(1, 4711, 7007, 0, 0);
    struct event event = segment(1, END_A, 3);
    event.segment.data = "\0\xff\x9b";
    event.segment.n_data = 3;
    store_event(fixture.store, &event);
    event = (struct event){.kind = EVENT_KIND_SENTENCE, .conn = 1, .t_ns = 1};
    event.sentence = (struct event_sentence){.mark = '!', .name = evil, .text = evil};
    store_event(fixture.store, &event);
    store_listening(fixture.store, "tcp://127.0.0.1:7007", evil);
    json_t *json = overview();
    assert_int_equal(n_rows(json), 2);
    json_decref(json);
    struct store_cursor cursor = {.row = 2};
    json = events(&cursor, 10);
    assert_int_equal(json_array_size(json_object_get(json, "events")), 3);
    json_decref(json);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(a_socket_is_a_row, end),     cmocka_unit_test_teardown(streams_alone, end),
        cmocka_unit_test_teardown(states_and_the_end, end),    cmocka_unit_test_teardown(listeners, end),
        cmocka_unit_test_teardown(the_machine, end),           cmocka_unit_test_teardown(filters, end),
        cmocka_unit_test_teardown(too_many_rows, end),         cmocka_unit_test_teardown(points, end),
        cmocka_unit_test_teardown(too_many_in_time_wait, end), cmocka_unit_test_teardown(hostile_texts, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
