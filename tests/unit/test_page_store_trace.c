/* SPDX-License-Identifier: MIT */
/* The page's store: what is joined to rows by a trace, told by events that were made up. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "page_store_scene.h"

/* ---- joins */

static void joined_by_cookie(void **state)
{
    (void)state;
    begin(PAGE_ROWS_SOCKETS);
    struct socket_info one = tcp(7, 7007, 4711), other = tcp(8, 7007, 4711);
    see(&one);
    gone(7);
    see(&other); /* the same addresses and ports again */
    introduce(1, 4711, 7007, 0, 7);
    introduce(2, 4711, 7007, 0, 8);
    json_t *first = row_json(1), *second = row_json(2);
    assert_int_equal(number(first, "trace"), 1);
    assert_int_equal(number(second, "trace"), 2);
    json_decref(first);
    json_decref(second);
}

static void joined_by_addresses(void **state)
{
    (void)state;
    begin(PAGE_ROWS_SOCKETS);
    struct socket_info one = tcp(7, 7007, 4711);
    introduce(1, 4711, 7007, 0, 0);
    send_segments(1, 3);
    see(&one); /* the row comes later */
    gone(7);
    introduce(2, 4711, 7007, 0, 0); /* the port again: nobody's yet, the first is another one's */
    send_segments(2, 2);
    json_t *first = row_json(1);
    assert_int_equal(number(first, "trace"), 1);
    json_decref(first);
    one.cookie = 8;
    see(&one);
    json_t *second = row_json(2);
    assert_int_equal(number(second, "trace"), 2);
    json_decref(second);
    struct store_cursor cursor = {.row = 1};
    json_t *json = events(&cursor, 100);
    assert_int_equal(json_array_size(json_object_get(json, "events")), 4);
    json_decref(json);
}

/* Both ends are here: two rows, and one trace. */
static void both_ends(void **state)
{
    (void)state;
    begin(PAGE_ROWS_SOCKETS);
    struct socket_info server = tcp(7, 7007, 4711), client = tcp(8, 4711, 7007);
    see(&server);
    introduce(1, 4711, 7007, 0, 0);
    see(&client);
    send_segments(1, 5);
    for (uint64_t id = 1; id <= 2; id++) {
        json_t *row = row_json(id);
        assert_int_equal(number(row, "trace"), 1);
        json_decref(row);
        struct store_cursor cursor = {.row = id};
        json_t *json = events(&cursor, 100);
        assert_int_equal(json_array_size(json_object_get(json, "events")), 6);
        json_decref(json);
    }
}

static void the_traces_own_rows(void **state)
{
    (void)state;
    begin(PAGE_ROWS_TRACE);
    introduce(3, 4711, 7007, 0, 0);
    struct event event = segment(3, END_A, 10), again = segment(3, END_A, 10), answer = segment(3, END_B, 7);
    again.segment.notes = NOTE_BIT(NOTE_AGAIN);
    store_event(fixture.store, &event);
    store_event(fixture.store, &again);
    store_event(fixture.store, &answer);
    struct event values = {.kind = EVENT_KIND_VALUES, .conn = 3, .t_ns = fixture.now_ns};
    values.values = (struct event_values){.end = END_A, .present = 1u << VALUE_RTT | 1u << VALUE_CWND};
    values.values.value[VALUE_RTT] = 250;
    values.values.value[VALUE_CWND] = 10;
    store_event(fixture.store, &values);
    json_t *json = overview(), *row = find_row(json, "127.0.0.1:7007");
    assert_int_equal(n_rows(json), 1);
    assert_int_equal(number(row, "trace"), 3);
    assert_int_equal(number(row, "out"), 10);
    assert_int_equal(number(row, "in"), 7);
    assert_int_equal(number(row, "rtt_us"), 250);
    assert_string_equal(string(row, "state"), "ESTABLISHED");
    json_decref(json);
    event = segment(3, END_A, 0);
    event.segment.state[END_A] = event.segment.state[END_B] = TCP_STATE_CLOSED;
    store_event(fixture.store, &event);
    json = overview();
    assert_true(json_is_true(json_object_get(find_row(json, "127.0.0.1:7007"), "ended")));
    json_decref(json);
}

/* Numbers begin again: the old rows keep their events, and get none of the new. */
static void another_trace(void **state)
{
    (void)state;
    begin(PAGE_ROWS_TRACE);
    store_trace_begins(fixture.store);
    introduce(1, 4711, 7007, 0, 0);
    store_trace_begins(fixture.store);
    introduce(1, 4712, 7007, 0, 0);
    send_segments(1, 4);
    struct store_cursor first = {.row = 1}, second = {.row = 2};
    json_t *json = events(&first, 100);
    assert_int_equal(json_array_size(json_object_get(json, "events")), 1);
    json_decref(json);
    json = events(&second, 100);
    assert_int_equal(json_array_size(json_object_get(json, "events")), 5);
    json_decref(json);
}

/* Traces of single connections: one that is over makes room on its rows for the next, and no other one does. */
static void sessions(void **state)
{
    (void)state;
    begin(PAGE_ROWS_SOCKETS);
    struct socket_info one = tcp(7, 7007, 4711), other = tcp(8, 7007, 4712);
    see(&one);
    see(&other);
    introduce(store_conn_of(1, 1), 4711, 7007, 0, 0);
    introduce(store_conn_of(2, 1), 4712, 7007, 0, 0); /* the same number, of another session */
    send_segments(store_conn_of(1, 1), 3);
    introduce(store_conn_of(3, 1), 4711, 7007, 0, 0); /* the first still runs */
    struct store_cursor cursor = {.row = 1};
    json_t *json = events(&cursor, 100);
    assert_int_equal(json_array_size(json_object_get(json, "events")), 4);
    json_decref(json);
    store_session_over(fixture.store, 1);
    introduce(store_conn_of(4, 1), 4711, 7007, 0, 0);
    send_segments(store_conn_of(4, 1), 2);
    json = events(&cursor, 100);
    assert_int_equal(json_array_size(json_object_get(json, "events")), 3);
    assert_int_equal(cursor.trace, store_conn_of(4, 1));
    json_decref(json);
    json = row_json(2);
    assert_int_equal(number(json, "trace"), store_conn_of(2, 1));
    json_decref(json);
}

/* ---- events and their bounds */

static void cursors(void **state)
{
    (void)state;
    begin(PAGE_ROWS_TRACE);
    introduce(1, 4711, 7007, 0, 0);
    send_segments(1, 9);
    struct store_cursor cursor = {.row = 1};
    json_t *json = events(&cursor, 4);
    /* Who it is about comes first, although it is among those that were left out. */
    json_t *list = json_object_get(json, "events");
    assert_int_equal(json_array_size(list), 5);
    assert_string_equal(string(json_array_get(list, 0), "event"), "connection");
    assert_int_equal(number(json_array_get(list, 4), "number"), 9);
    assert_int_equal(number(json, "left_out"), 6);
    assert_int_equal(number(json, "lost"), 0);
    json_decref(json);
    json = events(&cursor, 4);
    assert_int_equal(json_array_size(json_object_get(json, "events")), 0);
    json_decref(json);
    send_segments(1, PAGE_ROW_EVENTS_MAX + 5);
    json = events(&cursor, 1000000);
    assert_int_equal(json_array_size(json_object_get(json, "events")), PAGE_ROW_EVENTS_MAX);
    assert_int_equal(number(json, "lost"), 5);
    json_decref(json);
}

/* A loud connection leaves a quiet one its events; what is dropped is counted. */
static void a_share_for_each(void **state)
{
    (void)state;
    begin(PAGE_ROWS_TRACE);
    for (uint16_t i = 1; i <= 200; i++)
        introduce(i, (uint16_t)(10000 + i), 7007, 0, 0);
    for (uint16_t i = 1; i <= 200; i++)
        send_segments(i, i <= 10 ? 20 : 1000);
    struct store_cursor quiet = {.row = 1}, loud = {.row = 200};
    json_t *json = events(&quiet, 10000);
    assert_int_equal(json_array_size(json_object_get(json, "events")), 21);
    assert_int_equal(number(json, "lost"), 0);
    json_decref(json);
    json = events(&loud, 10000);
    size_t n = json_array_size(json_object_get(json, "events"));
    assert_true(n >= EVENTS_LEAST && n < 1000);
    assert_int_equal((size_t)number(json, "lost"), 1001 - (n - 1)); /* its introduction is said again */
    json_decref(json);
    assert_true(fixture.store->events.n_items <= PAGE_EVENTS_MAX);
}

/* Connections that nobody's row is of: as many are kept as there may be rows, and none for ever. */
static void nobodys(void **state)
{
    (void)state;
    begin(PAGE_ROWS_SOCKETS);
    for (unsigned i = 0; i < WAITING_MAX + 100; i++)
        introduce(i + 1, (uint16_t)(1000 + i), 7007, 0, 0);
    assert_int_equal(fixture.store->n_traces, WAITING_MAX);
    assert_int_equal(fixture.store->n_waiting, WAITING_MAX);
    assert_int_equal(fixture.store->n_events_dropped, 100);
    struct socket_info socket = tcp(7, (uint16_t)(1000 + WAITING_MAX), 7007);
    see(&socket);
    assert_int_equal(fixture.store->n_waiting, WAITING_MAX - 1);
}

/* Of those that only a trace tells of, the quietest goes. */
static void too_many_connections(void **state)
{
    (void)state;
    begin(PAGE_ROWS_TRACE);
    for (unsigned i = 1; i <= PAGE_ROWS_MAX; i++)
        introduce(i, (uint16_t)i, 7007, 0, 0);
    send_segments(1, 1);
    introduce(PAGE_ROWS_MAX + 1, 60000, 7007, 0, 0);
    json_t *row = row_json(1);
    assert_non_null(row);
    json_decref(row);
    assert_null(row_json(2));
    assert_int_equal(fixture.store->n_rows, PAGE_ROWS_MAX);
    assert_int_equal(fixture.store->n_traces, PAGE_ROWS_MAX);
}

/* ---- packets */

static void packets(void **state)
{
    static uint8_t bytes[4000] = {[12] = 0x08, [14] = 0x45};
    struct packet packet = {
        .number = 6, .data = bytes, .n_captured = 60, .n_wire = 60, .link_type = 1 /* LINKTYPE_ETHERNET */};
    const char *why = NULL;
    (void)state;
    begin(PAGE_ROWS_TRACE);
    store_packet(fixture.store, 1, 1, 5, &packet); /* before its event */
    packet.number = 7;
    packet.n_captured = packet.n_wire = sizeof bytes;
    store_packet(fixture.store, 1, 2, 6, &packet);
    introduce(1, 4711, 7007, 0, 0);
    assert_true(store_put_layers(fixture.store, 1, 1, &fixture.text, &why));
    json_t *json = parse("", "");
    assert_int_equal(number(json, "packet"), 6);
    assert_int_equal(number(json, "conn"), 1);
    assert_true(json_array_size(json_object_get(json, "fields")) > 2);
    assert_int_equal(strlen(json_string_value(json_object_get(json, "data"))), 80); /* 60 bytes in base64 */
    json_decref(json);
    assert_true(store_put_layers(fixture.store, 1, 2, &fixture.text, &why));
    json = parse("", "");
    assert_int_equal(number(json, "bytes"), sizeof bytes);
    assert_int_equal(number(json, "captured"), PACKET_SNAP);
    assert_int_equal(strlen(json_string_value(json_object_get(json, "data"))), (PACKET_SNAP + 2) / 3 * 4);
    json_decref(json);
    assert_false(store_put_layers(fixture.store, 1, 3, &fixture.text, &why));
    assert_non_null(why);
    assert_false(store_put_layers(fixture.store, 77, 1, &fixture.text, &why));
}

/* ---- what is said, where only a trace tells */

static json_t *messages(uint64_t row)
{
    struct store_cursor cursor = {.row = row};
    store_put_messages(fixture.store, &cursor, 100, &fixture.text);
    return parse("{", "}");
}

static void what_a_trace_hears(void **state)
{
    (void)state;
    begin(PAGE_ROWS_SOCKETS);
    struct socket_info server = tcp(7, 7007, 4711), client = tcp(8, 4711, 7007);
    store_data(fixture.store, 1, 1, END_B, "hello", 5, 0); /* before its event, and before its row */
    introduce(1, 4711, 7007, 0, 0);
    see(&server);
    see(&client);
    store_data(fixture.store, 1, 2, END_A, "you", 3, 100);
    for (uint64_t id = 1; id <= 2; id++) {
        json_t *json = messages(id), *list = json_object_get(json, "messages");
        assert_int_equal(json_array_size(list), 2);
        assert_string_equal(string(json_array_get(list, 0), "way"), id == 1 ? "out" : "in");
        assert_string_equal(string(json_array_get(list, 0), "data"), "aGVsbG8=");
        assert_string_equal(string(json_array_get(list, 1), "way"), id == 1 ? "in" : "out");
        assert_int_equal(number(json_array_get(list, 1), "n"), 3); /* what was not captured counts as one */
        assert_int_equal(number(json, "lost"), 1);
        assert_int_equal(number(json, "lost_bytes"), 100);
        json_decref(json);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(joined_by_cookie, end), cmocka_unit_test_teardown(joined_by_addresses, end),
        cmocka_unit_test_teardown(both_ends, end),        cmocka_unit_test_teardown(the_traces_own_rows, end),
        cmocka_unit_test_teardown(another_trace, end),    cmocka_unit_test_teardown(sessions, end),
        cmocka_unit_test_teardown(cursors, end),          cmocka_unit_test_teardown(a_share_for_each, end),
        cmocka_unit_test_teardown(nobodys, end),          cmocka_unit_test_teardown(too_many_connections, end),
        cmocka_unit_test_teardown(packets, end),          cmocka_unit_test_teardown(what_a_trace_hears, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
