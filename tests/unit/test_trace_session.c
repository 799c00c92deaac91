/* SPDX-License-Identifier: MIT */
/* What a session shows without packets; its bounds; and how it runs. */
#include "trace_scene.h"

#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

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
