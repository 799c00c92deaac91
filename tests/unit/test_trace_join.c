/* SPDX-License-Identifier: MIT */
/* Which connection a call belongs to. */
#include "trace_scene.h"

#include <errno.h>

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
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
