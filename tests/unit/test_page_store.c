/* SPDX-License-Identifier: MIT */
/* The page's store: rows and what is joined to them, told by sockets and events that were made up. */
#include "page/store_parts_internal.h"

#include <arpa/inet.h>
#include <jansson.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

/* No page is run here: view.c and order.c are tested with one. */
struct fixture {
    struct store *store;
    struct text text;
    int64_t now_ns;
    uint32_t n_segments;
};

static struct fixture fixture;

static void begin(enum page_rows rows)
{
    const struct page_settings settings = {.rows = rows, .rights = PAGE_SEE | PAGE_SEND | PAGE_KICK};
    fixture = (struct fixture){.store = store_new(&settings), .now_ns = store_now_ns()};
    assert_non_null(fixture.store);
}

static int end(void **state)
{
    (void)state;
    store_free(fixture.store);
    text_free(&fixture.text);
    fixture.store = NULL;
    return 0;
}

static struct sonde_address at(const char *ip, uint16_t port)
{
    struct sonde_address address = {.port = port};
    address.family = strchr(ip, ':') ? AF_INET6 : AF_INET;
    assert_int_equal(inet_pton(address.family, ip, address.u.ip), 1);
    return address;
}

/* ---- what is told */

static struct socket_info tcp(uint64_t cookie, uint16_t port, uint16_t peer_port)
{
    return (struct socket_info){
        .cookie = cookie,
        .family = AF_INET,
        .type = SOCK_STREAM,
        .protocol = IPPROTO_TCP,
        .state = TCP_STATE_ESTABLISHED,
        .local = at("127.0.0.1", port),
        .peer = at("127.0.0.1", peer_port),
        .inode = cookie + 1000,
    };
}

static void see_all(const struct socket_info *socket, uint64_t in, uint64_t out, const struct judgement *judgement)
{
    const struct seen seen = {
        .key = socket->cookie,
        .socket = socket,
        .now_ns = fixture.now_ns += NS_PER_MS,
        .bytes_known = true,
        .in = in,
        .out = out,
        .judgement = judgement,
        .owner = "nc",
        .pid = 4121,
    };
    if (socket->state == TCP_STATE_LISTEN)
        store_see_listener(fixture.store, &seen, true);
    else
        store_see(fixture.store, &seen, true);
}

static void see(const struct socket_info *socket)
{
    see_all(socket, 1, 2, NULL);
}

static void gone(uint64_t cookie)
{
    const struct seen seen = {.key = cookie, .now_ns = fixture.now_ns};
    store_gone(fixture.store, &seen);
}

static void introduce(uint64_t conn, uint16_t port_a, uint16_t port_b, uint64_t cookie_a, uint64_t cookie_b)
{
    struct event event = {.kind = EVENT_KIND_CONNECTION, .conn = conn, .t_ns = fixture.now_ns += NS_PER_MS};
    event.connection.protocol = IPPROTO_TCP;
    event.connection.end[END_A].address = at("127.0.0.1", port_a);
    event.connection.end[END_B].address = at("127.0.0.1", port_b);
    event.connection.end[END_A].socket_cookie = cookie_a;
    event.connection.end[END_B].socket_cookie = cookie_b;
    store_event(fixture.store, &event);
}

static struct event segment(uint64_t conn, uint8_t from, uint32_t n_bytes)
{
    struct event event = {.source = EVENT_WIRE, .kind = EVENT_KIND_SEGMENT, .conn = conn, .t_ns = fixture.now_ns++};
    event.segment = (struct event_segment){
        .number = ++fixture.n_segments,
        .from = from,
        .flags = SEGMENT_ACK,
        .n_bytes = n_bytes,
        .state = {TCP_STATE_ESTABLISHED, TCP_STATE_ESTABLISHED},
    };
    return event;
}

static void send_segments(uint64_t conn, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        struct event event = segment(conn, END_A, 10);
        store_event(fixture.store, &event);
    }
}

/* ---- what is read */

static json_t *parse(const char *head, const char *tail)
{
    struct text whole = {.bytes = NULL};
    json_error_t error;
    text_string(&whole, head);
    text_append(&whole, fixture.text.bytes, fixture.text.n_bytes);
    text_string(&whole, tail);
    assert_false(fixture.text.failed || whole.failed);
    json_t *json = json_loadb(whole.bytes, whole.n_bytes, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);
    if (!json)
        fail_msg("%s at %d: %.*s", error.text, error.position, (int)whole.n_bytes, whole.bytes);
    text_free(&whole);
    text_clear(&fixture.text);
    return json;
}

static json_t *overview_of(const struct store_overview *overview)
{
    store_put_overview(fixture.store, overview, &fixture.text);
    return parse("{", "}");
}

static json_t *overview(void)
{
    return overview_of(&(struct store_overview){.n_rows_max = 1000});
}

static json_t *row_json(uint64_t id)
{
    return store_put_row(fixture.store, id, &fixture.text) ? parse("", "") : NULL;
}

static json_t *events(struct store_cursor *cursor, size_t n_max)
{
    size_t n = store_put_events(fixture.store, cursor, n_max, &fixture.text);
    json_t *json = parse("{", "}");
    assert_int_equal(json_array_size(json_object_get(json, "events")), n);
    return json;
}

static json_int_t number(const json_t *object, const char *key)
{
    const json_t *member = json_object_get(object, key);
    assert_true(json_is_integer(member));
    return json_integer_value(member);
}

static bool is_null(const json_t *object, const char *key)
{
    return json_is_null(json_object_get(object, key));
}

static const char *string(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "(none)";
}

/* The row with this peer; borrowed. */
static json_t *find_row(const json_t *json, const char *peer)
{
    json_t *row;
    size_t i;
    json_array_foreach(json_object_get(json, "rows"), i, row)
    {
        if (strcmp(string(row, "peer"), peer) == 0)
            return row;
    }
    return NULL;
}

static size_t n_rows(const json_t *json)
{
    return json_array_size(json_object_get(json, "rows"));
}

/* ---- rows */

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
        cmocka_unit_test_teardown(a_socket_is_a_row, end),
        cmocka_unit_test_teardown(streams_alone, end),
        cmocka_unit_test_teardown(states_and_the_end, end),
        cmocka_unit_test_teardown(listeners, end),
        cmocka_unit_test_teardown(filters, end),
        cmocka_unit_test_teardown(joined_by_cookie, end),
        cmocka_unit_test_teardown(joined_by_addresses, end),
        cmocka_unit_test_teardown(both_ends, end),
        cmocka_unit_test_teardown(the_traces_own_rows, end),
        cmocka_unit_test_teardown(another_trace, end),
        cmocka_unit_test_teardown(cursors, end),
        cmocka_unit_test_teardown(a_share_for_each, end),
        cmocka_unit_test_teardown(nobodys, end),
        cmocka_unit_test_teardown(too_many_rows, end),
        cmocka_unit_test_teardown(too_many_connections, end),
        cmocka_unit_test_teardown(packets, end),
        cmocka_unit_test_teardown(what_a_trace_hears, end),
        cmocka_unit_test_teardown(points, end),
        cmocka_unit_test_teardown(hostile_texts, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
