/* SPDX-License-Identifier: MIT */
/* The page's store, told by sockets and events that were made up, and read as viewers read it. */
#ifndef TESTS_PAGE_STORE_SCENE_H
#define TESTS_PAGE_STORE_SCENE_H

#include "page/store_parts_internal.h"

#include <arpa/inet.h>
#include <jansson.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

/* No page is run here: view.c and order.c are tested with one. */
struct fixture {
    struct store *store;
    struct text text;
    int64_t now_ns;
    uint32_t n_segments;
};

static struct fixture fixture;

static inline void begin(enum page_rows rows)
{
    const struct page_settings settings = {.rows = rows, .rights = PAGE_SEE | PAGE_SEND | PAGE_KICK};
    fixture = (struct fixture){.store = store_new(&settings), .now_ns = store_now_ns()};
    assert_non_null(fixture.store);
}

static inline int end(void **state)
{
    (void)state;
    store_free(fixture.store);
    text_free(&fixture.text);
    fixture.store = NULL;
    return 0;
}

static inline struct sonde_address at(const char *ip, uint16_t port)
{
    struct sonde_address address = {.port = port};
    address.family = strchr(ip, ':') ? AF_INET6 : AF_INET;
    assert_int_equal(inet_pton(address.family, ip, address.u.ip), 1);
    return address;
}

/* ---- what is told */

static inline struct socket_info tcp(uint64_t cookie, uint16_t port, uint16_t peer_port)
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

static inline void see_all(const struct socket_info *socket, uint64_t in, uint64_t out,
                           const struct judgement *judgement)
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

static inline void see(const struct socket_info *socket)
{
    see_all(socket, 1, 2, NULL);
}

static inline void gone(uint64_t cookie)
{
    const struct seen seen = {.key = cookie, .now_ns = fixture.now_ns};
    store_gone(fixture.store, &seen);
}

static inline void introduce(uint64_t conn, uint16_t port_a, uint16_t port_b, uint64_t cookie_a, uint64_t cookie_b)
{
    struct event event = {.kind = EVENT_KIND_CONNECTION, .conn = conn, .t_ns = fixture.now_ns += NS_PER_MS};
    event.connection.protocol = IPPROTO_TCP;
    event.connection.end[END_A].address = at("127.0.0.1", port_a);
    event.connection.end[END_B].address = at("127.0.0.1", port_b);
    event.connection.end[END_A].socket_cookie = cookie_a;
    event.connection.end[END_B].socket_cookie = cookie_b;
    store_event(fixture.store, &event);
}

static inline struct event segment(uint64_t conn, uint8_t from, uint32_t n_bytes)
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

static inline void send_segments(uint64_t conn, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        struct event event = segment(conn, END_A, 10);
        store_event(fixture.store, &event);
    }
}

/* ---- what is read */

static inline json_t *parse(const char *head, const char *tail)
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

static inline json_t *overview_of(const struct store_overview *overview)
{
    store_put_overview(fixture.store, overview, &fixture.text);
    return parse("{", "}");
}

static inline json_t *overview(void)
{
    return overview_of(&(struct store_overview){.n_rows_max = 1000});
}

static inline json_t *row_json(uint64_t id)
{
    return store_put_row(fixture.store, id, &fixture.text) ? parse("", "") : NULL;
}

static inline json_t *events(struct store_cursor *cursor, size_t n_max)
{
    size_t n = store_put_events(fixture.store, cursor, n_max, &fixture.text);
    json_t *json = parse("{", "}");
    assert_int_equal(json_array_size(json_object_get(json, "events")), n);
    return json;
}

static inline json_int_t number(const json_t *object, const char *key)
{
    const json_t *member = json_object_get(object, key);
    assert_true(json_is_integer(member));
    return json_integer_value(member);
}

static inline bool is_null(const json_t *object, const char *key)
{
    return json_is_null(json_object_get(object, key));
}

static inline const char *string(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "(none)";
}

/* The row with this peer; borrowed. */
static inline json_t *find_row(const json_t *json, const char *peer)
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

static inline size_t n_rows(const json_t *json)
{
    return json_array_size(json_object_get(json, "rows"));
}

#endif
