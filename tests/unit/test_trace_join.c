/* SPDX-License-Identifier: MIT */
/*
 * Which connection a call belongs to: a session as session.c makes it, with packets and calls made by hand, and what a
 * view is shown of them. Time is the test's own.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "trace/session_internal.h"
#include "trace_packets.h"

#include <errno.h>
#include <sonde/probe.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define SHOWN_MAX 512
#define US NS_PER_US

static struct {
    struct session *session;
    struct view_settings view_settings;
    struct view_run run;
    int64_t t_ns;
    struct made_packet made;
    struct event *shown[SHOWN_MAX];
    unsigned n_shown;
    uint64_t n_calls, n_lost_calls;
    unsigned n_finished;
} scene;

static void on_event(struct view_run *run, const struct event *event)
{
    if (event->kind == EVENT_KIND_CALL)
        scene.n_calls++;
    if (event->kind == EVENT_KIND_LOSS)
        scene.n_lost_calls += event->loss.n;
    if (scene.n_shown == SHOWN_MAX)
        return;
    scene.shown[scene.n_shown] = event_clone(event);
    assert_non_null(scene.shown[scene.n_shown++]);
}

static int on_finish(struct view_run *run)
{
    scene.n_finished++;
    return 0;
}

static const struct view recorder = {.name = "recorder", .event = on_event, .finish = on_finish};

static void begin_with(struct session_settings settings)
{
    memset(&scene, 0, sizeof scene);
    scene.view_settings.out = stdout;
    scene.run = (struct view_run){.view = &recorder, .settings = &scene.view_settings};
    scene.t_ns = 1000 * NS_PER_S;
    settings.views = &scene.run;
    settings.n_views = 1;
    scene.session = session_new(&settings);
    assert_non_null(scene.session);
    holders_free(scene.session->holders); /* these addresses are nobody's */
    scene.session->holders = NULL;
    scene.session->now_ns = scene.t_ns;
}

static void begin_without_packets(uint8_t our_role)
{
    begin_with((struct session_settings){.our_role = our_role, .stop_fd = -1, .no_packets = "No segments."});
}

static void begin(uint8_t our_role)
{
    begin_with((struct session_settings){.our_role = our_role, .stop_fd = -1, .where = "lo"});
    /* There is a capture, says this, and its packets come from here; nobody asks it for any. */
    scene.session->settings.live = (void *)&scene.made;
}

static int end(void **state)
{
    session_free(scene.session);
    scene.session = NULL;
    for (unsigned i = 0; i < scene.n_shown; i++)
        free(scene.shown[i]);
    scene.n_shown = 0;
    return 0;
}

/* All that has happened so far is shown. */
static void show(void)
{
    wire_release(scene.session->wire);
    timeline_flush(scene.session->line);
}

/* ---- what happens */

static void pass(int64_t ns)
{
    scene.t_ns += ns;
    scene.session->now_ns = scene.t_ns;
}

static void segment(const struct tuple *tuple, enum event_end from, unsigned flags, uint32_t seq, uint32_t ack,
                    const char *payload)
{
    pass(10 * US);
    make_packet(&scene.made, tuple, from, flags, seq, ack, payload, payload ? (uint32_t)strlen(payload) : 0);
    wire_packet(scene.session->wire, scene.t_ns, &scene.made.packet, NULL);
}

static void handshake(const struct tuple *tuple)
{
    segment(tuple, END_A, S, 0, 0, NULL);
    segment(tuple, END_B, S | K, 0, 1, NULL);
    segment(tuple, END_A, K, 1, 1, NULL);
}

/* A call of the socket with this cookie that took so long and has just returned. */
static struct program_call *new_call(enum sonde_operation operation, uint64_t cookie, int64_t took_ns, int64_t result)
{
    pass(took_ns + US);
    struct event event = {.source = EVENT_APP, .kind = EVENT_KIND_CALL, .t_ns = scene.t_ns};
    event.call = (struct event_call){
        .operation = (uint8_t)operation,
        .result = result,
        .start_ns = took_ns > 0 ? scene.t_ns - took_ns : 0,
        .fd = 5,
        .arguments = "...",
    };
    struct program_call *call = calloc(1, sizeof *call);
    assert_non_null(call);
    call->event = event_clone(&event);
    assert_non_null(call->event);
    call->socket_cookie = cookie;
    call->stream = cookie;
    call->fd = 100 + (int32_t)cookie;
    return call;
}

static void give(struct program_call *call)
{
    join_call(scene.session, call);
    program_call_free(call);
}

static void called(enum sonde_operation operation, uint64_t cookie, int64_t took_ns, int64_t result)
{
    give(new_call(operation, cookie, took_ns, result));
}

static void accepted(const struct tuple *tuple, uint64_t cookie)
{
    struct program_call *call = new_call(SONDE_OP_ACCEPT, cookie, 0, 100 + (int64_t)cookie);
    call->has_addresses = true;
    call->local = address_of(tuple, END_B);
    call->peer = address_of(tuple, END_A);
    give(call);
}

static struct program_call *new_connect(const struct tuple *tuple, uint64_t cookie, int64_t took_ns, int64_t result)
{
    struct program_call *call = new_call(SONDE_OP_CONNECT, cookie, took_ns, result);
    call->has_target = true;
    call->target = address_of(tuple, END_B);
    return call;
}

/* ---- what was shown */

static const struct event *find_call(enum sonde_operation operation, unsigned phase, unsigned which)
{
    for (unsigned i = 0; i < scene.n_shown; i++) {
        const struct event *event = scene.shown[i];
        if (event->kind == EVENT_KIND_CALL && event->call.operation == operation && event->call.phase == phase &&
            which-- == 0)
            return event;
    }
    fail_msg("no such %s", sonde_operation_name(operation));
    return NULL;
}

static unsigned n_of(enum event_kind kind, uint64_t conn)
{
    unsigned n = 0;
    for (unsigned i = 0; i < scene.n_shown; i++)
        n += scene.shown[i]->kind == kind && scene.shown[i]->conn == conn;
    return n;
}

static unsigned n_sentences(uint64_t conn, char mark)
{
    unsigned n = 0;
    for (unsigned i = 0; i < scene.n_shown; i++) {
        const struct event *event = scene.shown[i];
        n += event->kind == EVENT_KIND_SENTENCE && event->conn == conn && event->sentence.mark == mark;
    }
    return n;
}

/* Whatever is shown of a connection, its introduction is first; and time does not run backwards. */
static void introduced_first(void)
{
    int64_t last_ns = 0;
    for (unsigned i = 0; i < scene.n_shown; i++) {
        const struct event *event = scene.shown[i];
        bool first = event->conn != 0;
        for (unsigned j = 0; j < i && first; j++)
            first = scene.shown[j]->conn != event->conn;
        if (first)
            assert_int_equal(event->kind, EVENT_KIND_CONNECTION);
        assert_int_equal(event->conn & CONN_IS_SOCKET, 0);
        if (event->late)
            continue;
        assert_true(event->t_ns >= last_ns);
        last_ns = event->t_ns;
    }
}

static const struct event_connection *introduction(uint64_t conn)
{
    for (unsigned i = 0; i < scene.n_shown; i++) {
        if (scene.shown[i]->conn == conn && scene.shown[i]->kind == EVENT_KIND_CONNECTION)
            return &scene.shown[i]->connection;
    }
    fail_msg("connection %u was not introduced", (unsigned)conn);
    return NULL;
}

static const struct tuple tuple = {.port = {40000, 7007}, .isn = {1000, 5000}};

/* ---- servers */

static void an_accepted_connection(void **state)
{
    begin(ROLE_SERVER);
    called(SONDE_OP_SOCKET, 1, US, 101);
    called(SONDE_OP_BIND, 1, US, 0);
    called(SONDE_OP_LISTEN, 1, US, 0);
    called(SONDE_OP_ACCEPT, 1, US, -EAGAIN);
    handshake(&tuple);
    accepted(&tuple, 2);
    segment(&tuple, END_A, P | K, 1, 1, "hello");
    called(SONDE_OP_RECEIVE, 2, 100 * US, 5);
    called(SONDE_OP_SEND, 2, 5 * US, 5);
    called(SONDE_OP_CLOSE, 2, US, 0);
    called(SONDE_OP_CLOSE, 1, US, 0);
    show();
    introduced_first();
    const struct event_connection *connection = introduction(1);
    assert_true(connection->has_segments);
    assert_true(connection->end[END_B].calls_seen);
    assert_false(connection->end[END_A].calls_seen);
    assert_int_equal(connection->end[END_B].socket_cookie, 2);
    assert_int_equal(n_of(EVENT_KIND_CONNECTION, 1), 1);
    assert_int_equal(n_of(EVENT_KIND_SEGMENT, 1), 4);
    const struct event *accept = find_call(SONDE_OP_ACCEPT, CALL_WHOLE, 1);
    assert_int_equal(accept->conn, 1);
    assert_int_equal(accept->call.end, END_B);
    /* The receive began before what it received. */
    const struct event *receive = find_call(SONDE_OP_RECEIVE, CALL_BEGIN, 0);
    assert_int_equal(receive->conn, 1);
    assert_null(receive->call.arguments);
    const struct event *received = find_call(SONDE_OP_RECEIVE, CALL_END, 0);
    assert_int_equal(received->call.number, receive->call.number);
    assert_int_equal(received->call.start_ns, receive->t_ns);
    assert_int_equal(find_call(SONDE_OP_SEND, CALL_END, 0)->conn, 1);
    assert_int_equal(find_call(SONDE_OP_CLOSE, CALL_END, 0)->conn, 1);
    /* What makes a listener, and fails to accept, is of no connection; and so is its end. */
    assert_int_equal(n_of(EVENT_KIND_CALL, 0), 5 + 1);
    assert_int_equal(n_of(EVENT_KIND_CONNECTION, 2), 0);
}

/* The same four addresses and ports three times within a few milliseconds. */
static void the_right_incarnation(void **state)
{
    begin(ROLE_SERVER);
    for (uint64_t conn = 1; conn <= 3; conn++) {
        struct tuple again = tuple;
        again.isn[END_A] += (uint32_t)conn * 100000;
        again.isn[END_B] += (uint32_t)conn * 100000;
        handshake(&again);
        accepted(&again, 10 + conn);
        segment(&again, END_A, P | K, 1, 1, "hello");
        called(SONDE_OP_RECEIVE, 10 + conn, 0, 5);
        segment(&again, END_A, R | K, 6, 1, NULL);
        called(SONDE_OP_RECEIVE, 10 + conn, 0, -ECONNRESET);
        called(SONDE_OP_CLOSE, 10 + conn, 0, 0);
        pass(3 * NS_PER_MS);
    }
    show();
    introduced_first();
    for (unsigned conn = 1; conn <= 3; conn++) {
        assert_int_equal(introduction(conn)->end[END_B].socket_cookie, 10 + conn);
        assert_int_equal(find_call(SONDE_OP_ACCEPT, CALL_WHOLE, conn - 1)->conn, conn);
        assert_int_equal(n_of(EVENT_KIND_CALL, conn), 4);
        assert_int_equal(n_of(EVENT_KIND_SEGMENT, conn), 5);
    }
    assert_int_equal(n_of(EVENT_KIND_CONNECTION, 4), 0);
}

/* They all wait in the accept queue, over before anybody came to accept them: first in, first out. */
static void accepted_when_all_is_over(void **state)
{
    begin(ROLE_SERVER);
    for (uint64_t conn = 1; conn <= 3; conn++) {
        struct tuple again = tuple;
        again.isn[END_A] += (uint32_t)conn * 100000;
        again.isn[END_B] += (uint32_t)conn * 100000;
        handshake(&again);
        segment(&again, END_A, R | K, 1, 1, NULL);
    }
    for (uint64_t conn = 1; conn <= 3; conn++) {
        accepted(&tuple, 10 + conn);
        called(SONDE_OP_RECEIVE, 10 + conn, 0, -ECONNRESET);
    }
    show();
    introduced_first();
    for (unsigned conn = 1; conn <= 3; conn++) {
        assert_int_equal(find_call(SONDE_OP_ACCEPT, CALL_WHOLE, conn - 1)->conn, conn);
        assert_int_equal(find_call(SONDE_OP_RECEIVE, CALL_WHOLE, conn - 1)->conn, conn);
    }
    assert_int_equal(n_of(EVENT_KIND_CONNECTION, 4), 0);
}

/* A connection that never opened is never accepted: the call is the next one's. */
static void what_never_opened_is_not_accepted(void **state)
{
    begin(ROLE_SERVER);
    struct tuple second = tuple;
    second.isn[END_A] += 100000;
    second.isn[END_B] += 100000;
    segment(&tuple, END_A, S, 0, 0, NULL);
    segment(&tuple, END_B, S | K, 0, 1, NULL);
    segment(&tuple, END_A, R, 1, 0, NULL);
    handshake(&second);
    accepted(&second, 12);
    show();
    assert_int_equal(find_call(SONDE_OP_ACCEPT, CALL_WHOLE, 0)->conn, 2);
    assert_int_equal(n_of(EVENT_KIND_CALL, 1), 0);
}

/* The next one on the same ports has begun when the call comes to be shown, but not when it was made. */
static void not_the_one_that_came_later(void **state)
{
    begin(ROLE_SERVER);
    struct tuple second = tuple;
    second.isn[END_A] += 100000;
    second.isn[END_B] += 100000;
    handshake(&tuple);
    accepted(&tuple, 11);
    segment(&tuple, END_A, R | K, 1, 1, NULL);
    handshake(&second);
    called(SONDE_OP_SEND, 11, 0, -EPIPE);
    show();
    assert_int_equal(find_call(SONDE_OP_ACCEPT, CALL_WHOLE, 0)->conn, 1);
    assert_int_equal(find_call(SONDE_OP_SEND, CALL_WHOLE, 0)->conn, 1);
    assert_int_equal(n_of(EVENT_KIND_CALL, 2), 0);
}

/* ---- clients */

static void connected(uint64_t cookie, const struct tuple *to, bool has_addresses, int64_t result)
{
    pass(10 * US);
    int64_t began_ns = scene.t_ns;
    segment(to, END_A, S, 0, 0, NULL);
    if (result == -ECONNREFUSED) {
        segment(to, END_B, R | K, 0, 1, NULL);
    } else {
        segment(to, END_B, S | K, 0, 1, NULL);
        segment(to, END_A, K, 1, 1, NULL);
    }
    struct program_call *call = new_connect(to, cookie, 0, result);
    call->event->call.start_ns = began_ns;
    call->has_addresses = has_addresses;
    call->local = address_of(to, END_A);
    call->peer = address_of(to, END_B);
    give(call);
}

static void a_connection_that_we_asked_for(void **state)
{
    begin(ROLE_CLIENT);
    called(SONDE_OP_SOCKET, 7, US, 107);
    connected(7, &tuple, true, 0);
    called(SONDE_OP_SEND, 7, 0, 5);
    show();
    introduced_first();
    assert_int_equal(find_call(SONDE_OP_CONNECT, CALL_BEGIN, 0)->conn, 1);
    assert_int_equal(find_call(SONDE_OP_CONNECT, CALL_END, 0)->conn, 1);
    assert_int_equal(find_call(SONDE_OP_SEND, CALL_WHOLE, 0)->call.end, END_A);
    assert_int_equal(n_of(EVENT_KIND_SEGMENT, 1), 3);
    assert_true(introduction(1)->end[END_A].calls_seen);
    assert_int_equal(introduction(1)->end[END_A].socket_cookie, 7);
    /* The asking begins before its SYN, and ends after the last of the handshake. */
    unsigned at[3] = {0};
    for (unsigned i = 0; i < scene.n_shown; i++) {
        const struct event *event = scene.shown[i];
        if (event->kind == EVENT_KIND_CALL && event->call.operation == SONDE_OP_CONNECT)
            at[event->call.phase == CALL_BEGIN ? 0 : 2] = i;
        else if (event->kind == EVENT_KIND_SEGMENT && at[1] == 0)
            at[1] = i;
    }
    assert_true(at[0] < at[1] && at[1] < at[2]);
}

/* Nobody knows the socket's own port any more, but whom it asked. */
static void refused(void **state)
{
    begin(ROLE_CLIENT);
    called(SONDE_OP_SOCKET, 7, US, 107);
    connected(7, &tuple, false, -ECONNREFUSED);
    called(SONDE_OP_CLOSE, 7, 0, 0);
    show();
    introduced_first();
    assert_int_equal(find_call(SONDE_OP_CONNECT, CALL_END, 0)->conn, 1);
    assert_int_equal(find_call(SONDE_OP_CLOSE, CALL_WHOLE, 0)->conn, 1);
    assert_int_equal(n_of(EVENT_KIND_SEGMENT, 1), 2);
    assert_int_equal(n_of(EVENT_KIND_CONNECTION, 2), 0);
}

/* One address after the other is tried, each on a socket of its own. */
static void one_after_the_other(void **state)
{
    begin(ROLE_CLIENT);
    struct tuple second = tuple;
    second.host[END_B] = 2;
    second.port[END_A]++;
    called(SONDE_OP_SOCKET, 7, US, 107);
    connected(7, &tuple, false, -ECONNREFUSED);
    called(SONDE_OP_CLOSE, 7, 0, 0);
    called(SONDE_OP_SOCKET, 8, US, 108);
    connected(8, &second, true, 0);
    show();
    introduced_first();
    assert_int_equal(find_call(SONDE_OP_CONNECT, CALL_END, 0)->conn, 1);
    assert_int_equal(find_call(SONDE_OP_CONNECT, CALL_END, 1)->conn, 2);
}

/* On one port within a millisecond: what was there before belongs to the socket that asked for it. */
static void again_from_the_same_port(void **state)
{
    begin(ROLE_CLIENT);
    for (uint64_t conn = 1; conn <= 3; conn++) {
        struct tuple again = tuple;
        again.isn[END_A] += (uint32_t)conn * 100000;
        again.isn[END_B] += (uint32_t)conn * 100000;
        called(SONDE_OP_SOCKET, conn, US, 100 + (int64_t)conn);
        connected(conn, &again, true, 0);
        segment(&again, END_A, R | K, 1, 1, NULL);
        called(SONDE_OP_CLOSE, conn, 0, 0);
    }
    show();
    introduced_first();
    for (unsigned conn = 1; conn <= 3; conn++) {
        assert_int_equal(find_call(SONDE_OP_CONNECT, CALL_END, conn - 1)->conn, conn);
        assert_int_equal(find_call(SONDE_OP_CLOSE, CALL_WHOLE, conn - 1)->conn, conn);
    }
}

/* The beginning is so long ago that what came after it has been shown: the call is told as one. */
static void a_beginning_that_is_too_long_ago(void **state)
{
    begin(ROLE_CLIENT);
    called(SONDE_OP_SOCKET, 7, US, 107);
    int64_t began_ns = scene.t_ns;
    segment(&tuple, END_A, S, 0, 0, NULL);
    pass(NS_PER_S);
    segment(&tuple, END_A, S, 0, 0, NULL);
    segment(&tuple, END_B, S | K, 0, 1, NULL);
    struct program_call *call = new_connect(&tuple, 7, 0, 0);
    call->event->call.start_ns = began_ns;
    call->has_addresses = true;
    call->local = address_of(&tuple, END_A);
    call->peer = address_of(&tuple, END_B);
    give(call);
    show();
    const struct event *connect = find_call(SONDE_OP_CONNECT, CALL_WHOLE, 0);
    assert_int_equal(connect->conn, 1);
    assert_int_equal(connect->call.start_ns, began_ns);
    assert_int_equal(connect->t_ns, scene.t_ns);
    introduced_first();
}

/* The same when only the time line finds it out: the end alone is shown. */
static void a_beginning_that_comes_too_late(void **state)
{
    begin(ROLE_SERVER);
    handshake(&tuple);
    accepted(&tuple, 2);
    show();
    int64_t shown_ns = scene.t_ns;
    pass(10 * US);
    struct program_call *call = new_call(SONDE_OP_RECEIVE, 2, 0, 5);
    call->event->call.start_ns = shown_ns - 5 * US;
    give(call);
    show();
    introduced_first();
    assert_int_equal(find_call(SONDE_OP_RECEIVE, CALL_END, 0)->conn, 1);
    for (unsigned i = 0; i < scene.n_shown; i++)
        assert_true(scene.shown[i]->kind != EVENT_KIND_CALL || scene.shown[i]->call.phase != CALL_BEGIN);
}

/* Others talk to the same port of the same server, before, while and after we do: a client's trace is of its own. */
static void others_on_the_same_port(void **state)
{
    begin(ROLE_CLIENT);
    struct tuple before = tuple, beside = tuple, after = tuple;
    before.port[END_A] = 50001;
    beside.port[END_A] = 50002;
    after.port[END_A] = 50003;
    handshake(&before);
    pass(2 * NS_PER_MS);
    called(SONDE_OP_SOCKET, 7, US, 107);
    segment(&beside, END_A, S, 0, 0, NULL);
    connected(7, &tuple, true, 0);
    segment(&beside, END_B, S | K, 0, 1, NULL);
    segment(&before, END_A, P | K, 1, 1, "not ours");
    called(SONDE_OP_SEND, 7, 0, 5);
    segment(&tuple, END_A, P | K, 1, 1, "hello");
    handshake(&after);
    show();
    introduced_first();
    uint64_t ours = find_call(SONDE_OP_CONNECT, CALL_END, 0)->conn;
    assert_int_equal(introduction(ours)->end[END_A].address.port, 40000);
    for (unsigned i = 0; i < scene.n_shown; i++)
        assert_true(scene.shown[i]->conn == ours || scene.shown[i]->conn == 0);
    assert_int_equal(n_of(EVENT_KIND_SEGMENT, ours), 4);
}

/* A server's trace is of its port, whoever accepts there. */
static void a_server_hides_nothing(void **state)
{
    begin(ROLE_SERVER);
    struct tuple other = tuple;
    other.port[END_A]++;
    handshake(&tuple);
    handshake(&other);
    accepted(&tuple, 2);
    show();
    assert_int_equal(n_of(EVENT_KIND_SEGMENT, 1), 3);
    assert_int_equal(n_of(EVENT_KIND_SEGMENT, 2), 3);
}

/* ---- without packets */

static void calls_alone(void **state)
{
    begin_without_packets(ROLE_SERVER);
    struct tuple other = tuple;
    other.port[END_A]++;
    accepted(&tuple, 2);
    accepted(&other, 3);
    called(SONDE_OP_RECEIVE, 2, 0, 5);
    called(SONDE_OP_SEND, 2, 0, 7);
    called(SONDE_OP_CLOSE, 2, 0, 0);
    show();
    introduced_first();
    assert_false(introduction(1)->has_segments);
    assert_int_equal(introduction(1)->end[END_A].address.port, 40000);
    assert_int_equal(introduction(2)->end[END_A].address.port, 40001);
    assert_int_equal(find_call(SONDE_OP_CLOSE, CALL_WHOLE, 0)->conn, 1);
    /* Why there are no segments is said once in all, and what can be said of a connection when it closes. */
    assert_int_equal(n_sentences(1, 'i') + n_sentences(2, 'i'), 1);
    assert_int_equal(n_sentences(1, '='), 1);
    assert_int_equal(n_sentences(2, '='), 0);
    for (unsigned i = 0; i < scene.n_shown; i++) {
        const struct event *event = scene.shown[i];
        if (event->kind == EVENT_KIND_SENTENCE && event->sentence.mark == '=')
            assert_memory_equal(event->sentence.text, "5 bytes received, 7 sent; ", 26);
    }
}

static void refused_without_packets(void **state)
{
    begin_without_packets(ROLE_CLIENT);
    called(SONDE_OP_SOCKET, 7, US, 107);
    give(new_connect(&tuple, 7, 50 * US, -ECONNREFUSED));
    called(SONDE_OP_CLOSE, 7, 0, 0);
    show();
    introduced_first();
    assert_int_equal(introduction(1)->end[END_B].address.port, 7007);
    assert_int_equal(find_call(SONDE_OP_CONNECT, CALL_END, 0)->conn, 1);
    assert_int_equal(find_call(SONDE_OP_CLOSE, CALL_WHOLE, 0)->conn, 1);
}

static void unix_streams(void **state)
{
    begin(ROLE_SERVER); /* segments can be seen, though not of these */
    for (uint64_t cookie = 1; cookie <= 2; cookie++) {
        struct program_call *call = new_call(SONDE_OP_ACCEPT, cookie, 0, 100);
        call->is_unix = true;
        give(call);
        called(SONDE_OP_RECEIVE, cookie, 0, 5);
    }
    called(SONDE_OP_CLOSE, 2, 0, 0);
    called(SONDE_OP_CLOSE, 1, 0, 0);
    show();
    introduced_first();
    for (unsigned conn = 1; conn <= 2; conn++) {
        assert_int_equal(introduction(conn)->protocol, 0);
        assert_false(introduction(conn)->has_segments);
        assert_null(introduction(conn)->where);
        assert_int_equal(find_call(SONDE_OP_ACCEPT, CALL_WHOLE, conn - 1)->conn, conn);
        assert_int_equal(find_call(SONDE_OP_CLOSE, CALL_WHOLE, conn - 1)->conn, 3 - conn);
        assert_int_equal(n_of(EVENT_KIND_CALL, conn), 3);
        assert_int_equal(n_sentences(conn, '='), 1);
    }
}

/* A state that no segment tells comes with the calls; it is told when it changes. */
static void states_of_calls(void **state)
{
    begin_without_packets(ROLE_SERVER);
    for (int i = 0; i < 3; i++) {
        struct program_call *call = new_call(i == 0 ? SONDE_OP_ACCEPT : SONDE_OP_RECEIVE, 2, 0, 102);
        call->has_addresses = i == 0;
        call->local = address_of(&tuple, END_B);
        call->peer = address_of(&tuple, END_A);
        call->state = i < 2 ? TCP_STATE_ESTABLISHED : TCP_STATE_CLOSE_WAIT;
        give(call);
    }
    show();
    assert_int_equal(n_of(EVENT_KIND_STATE, 1), 2);
    for (unsigned i = 0; i < scene.n_shown; i++) {
        if (scene.shown[i]->kind == EVENT_KIND_STATE)
            assert_int_equal(scene.shown[i]->state.end, END_B);
    }
    assert_int_equal(scene.shown[scene.n_shown - 1]->state.before, TCP_STATE_ESTABLISHED);
    assert_int_equal(scene.shown[scene.n_shown - 1]->state.after, TCP_STATE_CLOSE_WAIT);
}

/* ---- bounds */

static void too_many_connections(void **state)
{
    begin(ROLE_SERVER);
    struct session_counts counts;
    struct tuple other = tuple;
    const struct sonde_address address[N_ENDS] = {address_of(&tuple, END_A), address_of(&tuple, END_B)};
    uint64_t conn;
    for (unsigned i = 1; i <= SESSION_CONNECTIONS_MAX; i++) {
        assert_non_null(session_add_row(scene.session, IPPROTO_TCP, address, scene.t_ns, true, &conn));
        assert_int_equal(conn, i);
    }
    session_get_counts(scene.session, &counts);
    assert_int_equal(counts.n_connections_left_out, 0);
    other.host[END_A] = 9; /* a tuple that has no row */
    handshake(&other);
    show();
    assert_int_equal(scene.n_shown, 0);
    session_get_counts(scene.session, &counts);
    assert_int_equal(counts.n_connections_left_out, 1);
    /* Its calls are shown, though not as a connection's. */
    accepted(&other, 2);
    show();
    assert_int_equal(scene.n_shown, 1);
    assert_int_equal(find_call(SONDE_OP_ACCEPT, CALL_WHOLE, 0)->conn, 0);
}

/* ---- the whole session, in real time */

static void probe(struct program_calls *calls, enum sonde_operation operation, uint64_t cookie, int64_t result)
{
    struct sonde_probe_event event = {.size = sizeof event,
                                      .operation = (uint8_t)operation,
                                      .fd = -1,
                                      .result = result,
                                      .end_ns = session_now_ns(),
                                      .socket_cookie = cookie};
    program_calls_probe(&event, calls);
}

static void run_with(unsigned n_calls)
{
    struct program_calls *calls = program_calls_new();
    int stop_fd = eventfd(1, EFD_CLOEXEC);
    assert_non_null(calls);
    assert_true(stop_fd >= 0);
    begin_with((struct session_settings){.our_role = ROLE_SERVER, .calls = calls, .stop_fd = stop_fd});
    for (unsigned i = 0; i < n_calls; i++)
        probe(calls, SONDE_OP_SETSOCKOPT, 1, 0);
    assert_int_equal(session_run(scene.session), 0);
    session_free(scene.session);
    scene.session = NULL;
    program_calls_free(calls);
    close(stop_fd);
    assert_int_equal(scene.n_finished, 1);
}

static void what_waits_at_the_end_is_shown(void **state)
{
    run_with(3);
    assert_int_equal(scene.n_calls, 3);
    assert_int_equal(scene.n_lost_calls, 0);
    introduced_first();
}

/* More than the queue takes: how many is part of what is shown. */
static void calls_that_were_dropped_are_told(void **state)
{
    run_with(PROGRAM_CALLS_MAX + 5);
    assert_int_equal(scene.n_calls, PROGRAM_CALLS_MAX);
    assert_int_equal(scene.n_lost_calls, 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(an_accepted_connection, end),
        cmocka_unit_test_teardown(the_right_incarnation, end),
        cmocka_unit_test_teardown(accepted_when_all_is_over, end),
        cmocka_unit_test_teardown(what_never_opened_is_not_accepted, end),
        cmocka_unit_test_teardown(not_the_one_that_came_later, end),
        cmocka_unit_test_teardown(a_connection_that_we_asked_for, end),
        cmocka_unit_test_teardown(refused, end),
        cmocka_unit_test_teardown(one_after_the_other, end),
        cmocka_unit_test_teardown(again_from_the_same_port, end),
        cmocka_unit_test_teardown(a_beginning_that_is_too_long_ago, end),
        cmocka_unit_test_teardown(a_beginning_that_comes_too_late, end),
        cmocka_unit_test_teardown(others_on_the_same_port, end),
        cmocka_unit_test_teardown(a_server_hides_nothing, end),
        cmocka_unit_test_teardown(calls_alone, end),
        cmocka_unit_test_teardown(refused_without_packets, end),
        cmocka_unit_test_teardown(unix_streams, end),
        cmocka_unit_test_teardown(states_of_calls, end),
        cmocka_unit_test_teardown(too_many_connections, end),
        cmocka_unit_test_teardown(what_waits_at_the_end_is_shown, end),
        cmocka_unit_test_teardown(calls_that_were_dropped_are_told, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
