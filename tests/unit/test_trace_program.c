/* SPDX-License-Identifier: MIT */
/* The probe's calls on their way to whoever draws them: what is known of each, their order, and from several threads.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "trace/program.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sonde/probe.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define EACH 20000 /* calls of each thread */

static int make(void **state)
{
    *state = program_calls_new();
    return *state ? 0 : -1;
}

static int unmake(void **state)
{
    program_calls_free(*state);
    return 0;
}

static bool is_readable(const struct program_calls *calls)
{
    struct pollfd pollfd = {.fd = program_calls_fd(calls), .events = POLLIN};
    assert_true(poll(&pollfd, 1, 0) >= 0);
    return pollfd.revents & POLLIN;
}

static struct sonde_probe_event event_of(enum sonde_operation operation, int fd, int64_t result)
{
    return (struct sonde_probe_event){.size = sizeof(struct sonde_probe_event),
                                      .operation = (uint8_t)operation,
                                      .fd = fd,
                                      .result = result,
                                      .end_ns = 1000,
                                      .socket_cookie = 77,
                                      .netns_cookie = 3,
                                      .stream = 9};
}

/* The one call that waits. */
static struct program_call *take_one(struct program_calls *calls)
{
    uint64_t n_dropped = 1;
    struct program_call *call = program_calls_take(calls, &n_dropped);
    assert_non_null(call);
    assert_null(call->next);
    assert_int_equal(n_dropped, 0);
    return call;
}

static struct program_call *probe(struct program_calls *calls, const struct sonde_probe_event *event)
{
    program_calls_probe(event, calls);
    return take_one(calls);
}

static void a_call_owns_all_of_it(void **state)
{
    struct program_calls *calls = *state;
    char data[] = "hello";
    struct sonde_probe_event event = event_of(SONDE_OP_SEND, -1, 5);
    event.start_ns = 400;
    event.data = data;
    event.n_bytes = 5;
    assert_false(is_readable(calls));
    program_calls_probe(&event, calls);
    assert_true(is_readable(calls));
    memset(data, 'x', sizeof data); /* it was lent */
    struct program_call *call = take_one(calls);
    assert_false(is_readable(calls));
    assert_int_equal(call->event->kind, EVENT_KIND_CALL);
    assert_int_equal(call->event->t_ns, 1000);
    assert_int_equal(call->event->call.start_ns, 400);
    assert_int_equal(call->event->call.n_data, 5);
    assert_memory_equal(call->event->call.data, "hello", 5);
    assert_non_null(strstr(call->event->call.arguments, "\"hello\""));
    assert_int_equal(call->socket_cookie, 77);
    assert_int_equal(call->netns_cookie, 3);
    assert_int_equal(call->stream, 9);
    assert_int_equal(call->fd, -1);
    assert_false(call->has_addresses || call->has_target || call->is_unix);
    assert_int_equal(call->values.present, 0);
    program_call_free(call);
}

static void nothing_waits(void **state)
{
    uint64_t n_dropped = 7;
    assert_null(program_calls_take(*state, &n_dropped));
    assert_int_equal(n_dropped, 0);
}

static void in_the_order_in_which_they_came(void **state)
{
    struct program_calls *calls = *state;
    uint64_t n_dropped;
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 100; i++) {
            struct sonde_probe_event event = event_of(SONDE_OP_SETSOCKOPT, -1, i);
            program_calls_probe(&event, calls);
        }
        int n = 0;
        struct program_call *next, *call = program_calls_take(calls, &n_dropped);
        for (; call; call = next, n++) {
            next = call->next;
            assert_int_equal(call->event->call.result, n);
            program_call_free(call);
        }
        assert_int_equal(n, 100);
        assert_false(is_readable(calls));
    }
}

/* What does not fit is counted, once; and there is room again when they were taken. */
static void no_more_than_there_is_room_for(void **state)
{
    struct program_calls *calls = *state;
    struct sonde_probe_event event = event_of(SONDE_OP_SETSOCKOPT, -1, 0);
    uint64_t n_dropped;
    unsigned n = 0;
    for (unsigned i = 0; i < PROGRAM_CALLS_MAX + 10; i++)
        program_calls_probe(&event, calls);
    struct program_call *next, *call = program_calls_take(calls, &n_dropped);
    for (; call; call = next, n++) {
        next = call->next;
        program_call_free(call);
    }
    assert_int_equal(n, PROGRAM_CALLS_MAX);
    assert_int_equal(n_dropped, 10);
    program_call_free(probe(calls, &event));
}

static void freed_with_what_waits(void **state)
{
    struct sonde_probe_event event = event_of(SONDE_OP_SETSOCKOPT, -1, 0);
    for (int i = 0; i < 5; i++)
        program_calls_probe(&event, *state);
}

/* ---- what is looked up while the descriptor is open */

struct pair {
    int listener, client, server; /* -1: there is none */
    struct sonde_address address[2];
};

static struct sockaddr_in loopback(uint16_t port)
{
    return (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
}

static struct sonde_address name_of(int fd)
{
    struct sockaddr_in in;
    socklen_t n = sizeof in;
    assert_int_equal(getsockname(fd, (struct sockaddr *)&in, &n), 0);
    struct sonde_address address = {.family = AF_INET, .port = ntohs(in.sin_port)};
    memcpy(address.u.ip, &in.sin_addr, 4);
    return address;
}

static int listen_on_loopback(int backlog)
{
    struct sockaddr_in in = loopback(0);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&in, sizeof in), 0);
    assert_int_equal(listen(fd, backlog), 0);
    return fd;
}

static int connect_to(const struct sonde_address *address, bool wait)
{
    struct sockaddr_in in = loopback(address->port);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | (wait ? 0 : SOCK_NONBLOCK), 0);
    assert_true(fd >= 0);
    int result = connect(fd, (struct sockaddr *)&in, sizeof in);
    assert_true(result == 0 || (!wait && errno == EINPROGRESS));
    return fd;
}

static struct pair make_pair(void)
{
    struct pair pair = {.listener = listen_on_loopback(8)};
    pair.address[1] = name_of(pair.listener);
    pair.client = connect_to(&pair.address[1], true);
    pair.address[0] = name_of(pair.client);
    pair.server = accept4(pair.listener, NULL, NULL, SOCK_CLOEXEC);
    assert_true(pair.server >= 0);
    return pair;
}

static void close_pair(const struct pair *pair)
{
    close(pair->listener);
    if (pair->client >= 0)
        close(pair->client);
    close(pair->server);
}

static void same_address(const struct sonde_address *one, const struct sonde_address *other)
{
    assert_int_equal(one->family, other->family);
    assert_int_equal(one->port, other->port);
    assert_memory_equal(one->u.ip, other->u.ip, 4);
}

static void both_addresses_are_looked_up(void **state)
{
    struct pair pair = make_pair();
    struct sonde_probe_event event = event_of(SONDE_OP_ACCEPT, pair.listener, pair.server);
    struct program_call *call = probe(*state, &event);
    assert_int_equal(call->fd, pair.server);
    assert_true(call->has_addresses && !call->has_target && !call->is_unix);
    same_address(&call->local, &pair.address[1]);
    same_address(&call->peer, &pair.address[0]);
    assert_true(call->values.present & 1u << VALUE_CWND);
    assert_int_equal(call->state, TCP_STATE_ESTABLISHED);
    program_call_free(call);

    event = event_of(SONDE_OP_CONNECT, pair.client, 0);
    event.address = pair.address[1];
    call = probe(*state, &event);
    assert_true(call->has_addresses && call->has_target);
    same_address(&call->local, &pair.address[0]);
    same_address(&call->peer, &pair.address[1]);
    same_address(&call->target, &pair.address[1]);
    program_call_free(call);

    /* What waits unread is a value of the kernel's. */
    assert_int_equal(send(pair.client, "hello", 5, 0), 5);
    struct pollfd pollfd = {.fd = pair.server, .events = POLLIN};
    assert_int_equal(poll(&pollfd, 1, 10000), 1);
    event = event_of(SONDE_OP_SEND, pair.server, 0);
    call = probe(*state, &event);
    assert_int_equal(call->values.value[VALUE_RECEIVE_QUEUE], 5);
    assert_false(call->has_addresses); /* they were told with the accept */
    program_call_free(call);
    close_pair(&pair);
}

/* The peer has reset it while it waited to be accepted: the kernel names no peer any more, the call has. */
static void a_connection_that_was_reset_already(void **state)
{
    struct pair pair = make_pair();
    const struct linger reset = {.l_onoff = 1};
    assert_int_equal(setsockopt(pair.client, SOL_SOCKET, SO_LINGER, &reset, sizeof reset), 0);
    close(pair.client);
    pair.client = -1;
    struct pollfd pollfd = {.fd = pair.server, .events = POLLIN};
    assert_int_equal(poll(&pollfd, 1, 10000), 1);
    struct sonde_probe_event event = event_of(SONDE_OP_ACCEPT, pair.listener, pair.server);
    event.address = pair.address[0];
    struct program_call *call = probe(*state, &event);
    assert_true(call->has_addresses);
    same_address(&call->local, &pair.address[1]);
    same_address(&call->peer, &pair.address[0]);
    program_call_free(call);

    event.address = (struct sonde_address){0}; /* and when it has not */
    call = probe(*state, &event);
    assert_false(call->has_addresses);
    program_call_free(call);
    close_pair(&pair);
}

/* A connect that is under way: its own port is known, and whom it asks. */
static void a_connection_that_does_not_stand_yet(void **state)
{
    int listener = listen_on_loopback(0);
    struct sonde_address target = name_of(listener);
    int fds[8];
    /* A queue of none takes one or two; those behind them are not answered. */
    for (size_t i = 0; i < 8; i++)
        fds[i] = connect_to(&target, false);
    int last = fds[7];
    struct sonde_address own = name_of(last);
    assert_int_not_equal(own.port, 0);
    struct sonde_probe_event event = event_of(SONDE_OP_CONNECT, last, -EINPROGRESS);
    event.address = target;
    struct program_call *call = probe(*state, &event);
    assert_true(call->has_addresses && call->has_target);
    same_address(&call->local, &own);
    same_address(&call->peer, &target);
    assert_int_equal(call->state, TCP_STATE_SYN_SENT);
    program_call_free(call);
    for (size_t i = 0; i < 8; i++)
        close(fds[i]);
    close(listener);
}

/* Of a socket that never had a port there is only the target. */
static void a_connection_that_never_was(void **state)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    struct sonde_probe_event event = event_of(SONDE_OP_CONNECT, fd, -ENETUNREACH);
    event.address = (struct sonde_address){.family = AF_INET, .port = 7, .u.ip = {10, 0, 0, 1}};
    struct program_call *call = probe(*state, &event);
    assert_true(call->has_target && !call->has_addresses);
    same_address(&call->target, &event.address);
    assert_int_equal(call->values.present, 0);
    program_call_free(call);
    close(fd);
}

/* IPv4 through an IPv6 socket is IPv4 on the wire, and so it is here. */
static void ipv4_through_an_ipv6_socket(void **state)
{
    int listener = listen_on_loopback(8);
    struct sonde_address target = name_of(listener);
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(target.port)};
    const uint8_t mapped[16] = {[10] = 0xff, [11] = 0xff, [12] = 127, [15] = 1};
    memcpy(&in6.sin6_addr, mapped, 16);
    int client = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (client < 0 || connect(client, (struct sockaddr *)&in6, sizeof in6) < 0) {
        if (client >= 0)
            close(client);
        close(listener);
        skip(); /* no IPv6 here */
    }
    struct sonde_probe_event event = event_of(SONDE_OP_CONNECT, client, 0);
    event.address = (struct sonde_address){.family = AF_INET6, .port = target.port};
    memcpy(event.address.u.ip, mapped, 16);
    struct program_call *call = probe(*state, &event);
    assert_true(call->has_addresses);
    same_address(&call->peer, &target);
    same_address(&call->target, &target);
    assert_int_equal(call->local.family, AF_INET);
    program_call_free(call);
    close(client);
    close(listener);
}

static void unix_streams_have_no_addresses(void **state)
{
    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    struct sonde_probe_event event = event_of(SONDE_OP_ACCEPT, -1, fds[0]);
    struct program_call *call = probe(*state, &event);
    assert_true(call->is_unix && !call->has_addresses);
    assert_int_equal(call->values.present, 0);
    program_call_free(call);
    close(fds[0]);
    close(fds[1]);
}

/* The number may be another's already: a descriptor that was closed is not looked at. */
static void a_closed_descriptor_is_left_alone(void **state)
{
    struct pair pair = make_pair();
    struct sonde_probe_event event = event_of(SONDE_OP_CLOSE, pair.client, 0);
    struct program_call *call = probe(*state, &event);
    assert_int_equal(call->fd, pair.client);
    assert_int_equal(call->values.present, 0);
    assert_false(call->has_addresses);
    program_call_free(call);
    event = event_of(SONDE_OP_ACCEPT, pair.listener, -EAGAIN);
    call = probe(*state, &event);
    assert_int_equal(call->fd, -1);
    assert_false(call->has_addresses);
    program_call_free(call);
    close_pair(&pair);
}

/* ---- threads */

struct pusher {
    struct program_calls *calls;
    uint64_t stream;
    pthread_t thread;
};

static void *push(void *user)
{
    const struct pusher *pusher = user;
    char data[32];
    for (int i = 0; i < EACH; i++) {
        memset(data, 'a' + i % 26, sizeof data);
        struct sonde_probe_event event = event_of(SONDE_OP_SEND, -1, sizeof data);
        event.stream = pusher->stream;
        event.end_ns = i;
        event.data = data;
        event.n_bytes = sizeof data;
        program_calls_probe(&event, pusher->calls);
    }
    return NULL;
}

/* Each thread's calls come in its own order, all of them or counted; and nobody who waits for the descriptor sleeps
 * while there are some. */
static void from_two_threads_while_a_third_takes(void **state)
{
    struct pusher pushers[2];
    int64_t next[2] = {0};
    uint64_t n_taken = 0, n_dropped = 0;
    for (unsigned i = 0; i < 2; i++) {
        pushers[i] = (struct pusher){.calls = *state, .stream = i};
        assert_int_equal(pthread_create(&pushers[i].thread, NULL, push, &pushers[i]), 0);
    }
    struct pollfd pollfd = {.fd = program_calls_fd(*state), .events = POLLIN};
    while (n_taken + n_dropped < 2 * EACH) {
        uint64_t n_dropped_now;
        assert_int_equal(poll(&pollfd, 1, 30000), 1);
        struct program_call *following, *call = program_calls_take(*state, &n_dropped_now);
        for (; call; call = following) {
            following = call->next;
            assert_true(call->event->t_ns >= next[call->stream]);
            next[call->stream] = call->event->t_ns + 1;
            const char *data = call->event->call.data;
            assert_int_equal(data[0], 'a' + call->event->t_ns % 26);
            assert_int_equal(data[0], data[call->event->call.n_data - 1]);
            program_call_free(call);
            n_taken++;
        }
        n_dropped += n_dropped_now;
    }
    for (unsigned i = 0; i < 2; i++)
        pthread_join(pushers[i].thread, NULL);
    assert_int_equal(n_taken + n_dropped, 2 * EACH);
    assert_false(is_readable(*state));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_call_owns_all_of_it, make, unmake),
        cmocka_unit_test_setup_teardown(nothing_waits, make, unmake),
        cmocka_unit_test_setup_teardown(in_the_order_in_which_they_came, make, unmake),
        cmocka_unit_test_setup_teardown(no_more_than_there_is_room_for, make, unmake),
        cmocka_unit_test_setup_teardown(freed_with_what_waits, make, unmake),
        cmocka_unit_test_setup_teardown(both_addresses_are_looked_up, make, unmake),
        cmocka_unit_test_setup_teardown(a_connection_that_was_reset_already, make, unmake),
        cmocka_unit_test_setup_teardown(a_connection_that_does_not_stand_yet, make, unmake),
        cmocka_unit_test_setup_teardown(a_connection_that_never_was, make, unmake),
        cmocka_unit_test_setup_teardown(ipv4_through_an_ipv6_socket, make, unmake),
        cmocka_unit_test_setup_teardown(unix_streams_have_no_addresses, make, unmake),
        cmocka_unit_test_setup_teardown(a_closed_descriptor_is_left_alone, make, unmake),
        cmocka_unit_test_setup_teardown(from_two_threads_while_a_third_takes, make, unmake),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
