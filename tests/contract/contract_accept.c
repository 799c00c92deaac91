/* SPDX-License-Identifier: MIT */
/* Accepting: whom a listener takes and when, how it closes, and what happens when there is no room. */
#include "ends.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sonde/poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

/* --- whom ------------------------------------------------------------------------------------------------------- */

enum { CLIENTS = 20 };

static void connect_all(int raw[], unsigned n, uint16_t port)
{
    for (unsigned i = 0; i < n; i++)
        raw[i] = raw_connect(port);
}

static void close_all(const int raw[], unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        close(raw[i]);
}

static unsigned queue_length(const struct server *server)
{
    unsigned length = 0, limit = 0;

    assert_int_equal(sonde_listener_queue(server->listener, 0, &length, &limit), 0);
    return length;
}

static void pause_the_listener(struct end *end)
{
    DO(sonde_listener_pause(sonde_stream_listener(end->stream)));
}

static void one_by_one(struct contract *c)
{
    const struct sonde_listen_options options = {.size = sizeof options, .flags = SONDE_LISTEN_ONE_BY_ONE};
    struct server server = {.on_accepted = pause_the_listener};
    unsigned length, limit;
    int raw[5];

    server_open_at(&server, c, 5, &options, "tcp://127.0.0.1:0?backlog=9");
    connect_all(raw, 5, server_port(&server));
    for (unsigned i = 1; i <= 5; i++) {
        until(c, server.n_ends == i);
        some_turns(c);
        assert_int_equal(server.n_ends, i);
        assert_int_equal(sonde_listener_queue(server.listener, 0, &length, &limit), 0);
        assert_int_equal(length, 5 - i);
        assert_int_equal(limit, 9);
        DO(sonde_listener_resume(server.listener));
    }
    assert_int_equal(sonde_listener_queue(server.listener, 1, &length, &limit), -EINVAL);
    close_all(raw, 5);
    server_wind_up(&server);
}

/* Without a pause they all come, one by one. */
static void one_by_one_unpaused(struct contract *c)
{
    const struct sonde_listen_options options = {.size = sizeof options, .flags = SONDE_LISTEN_ONE_BY_ONE};
    struct server server = {0};
    int raw[CLIENTS];

    server_open_at(&server, c, CLIENTS, &options, "tcp://127.0.0.1:0");
    connect_all(raw, CLIENTS, server_port(&server));
    until(c, server.n_ends == CLIENTS);
    close_all(raw, CLIENTS);
    server_wind_up(&server);
}

static void paused_from_the_start(struct contract *c)
{
    const struct sonde_listen_options options = {.size = sizeof options, .flags = SONDE_LISTEN_PAUSED};
    struct server server = {0};
    int raw[CLIENTS];

    server_open_at(&server, c, CLIENTS, &options, "tcp://127.0.0.1:0");
    connect_all(raw, CLIENTS, server_port(&server));
    some_turns(c);
    assert_int_equal(server.n_ends, 0);
    assert_int_equal(queue_length(&server), CLIENTS);
    DO(sonde_listener_resume(server.listener));
    until(c, server.n_ends == CLIENTS);
    assert_int_equal(queue_length(&server), 0);
    close_all(raw, CLIENTS);
    server_wind_up(&server);
}

/* Connections that the engine had taken when the pause came wait too, and come first. */
static void pause_and_resume(struct contract *c)
{
    struct server server = {.on_accepted = pause_the_listener};
    struct sockaddr_in local;
    int raw[CLIENTS];

    server_open(&server, c, CLIENTS);
    connect_all(raw, CLIENTS, server_port(&server));
    for (unsigned i = 1; i <= CLIENTS; i++) {
        until(c, server.n_ends == i);
        if (i % 4 == 0)
            some_turns(c);
        assert_int_equal(server.n_ends, i);
        DO(sonde_listener_pause(server.listener));
        DO(sonde_listener_resume(server.listener));
        DO(sonde_listener_resume(server.listener));
        if (i % 5 == 0) {
            DO(sonde_listener_pause(server.listener));
            some_turns(c);
            assert_int_equal(server.n_ends, i);
            DO(sonde_listener_resume(server.listener));
        }
    }
    for (unsigned i = 0; i < CLIENTS; i++) { /* in the order in which they came */
        socklen_t n = sizeof local;
        struct sonde_address peer;
        assert_int_equal(getsockname(raw[i], (struct sockaddr *)&local, &n), 0);
        sonde_stream_peer(server.ends[i].stream, &peer);
        assert_int_equal(peer.port, ntohs(local.sin_port));
    }
    close_all(raw, CLIENTS);
    server_wind_up(&server);
}

static void count_ready(struct sonde_poll *poll, unsigned events, void *user)
{
    (void)poll;
    assert_int_equal(events, SONDE_READABLE);
    ++*(unsigned *)user;
}

/* Its descriptor may be watched, by whoever accepts later. */
static void watched_while_paused(struct contract *c)
{
    static const struct sonde_poll_handler handler = {.ready = count_ready};
    struct server server = {0};
    struct sonde_poll *poll;
    unsigned n_ready = 0;

    for (unsigned i = 0; i < 2; i++) {
        const struct sonde_listen_options options = {.size = sizeof options, .flags = i == 0 ? SONDE_LISTEN_PAUSED : 0};
        server = (struct server){0};
        n_ready = 0;
        server_open_at(&server, c, 1, &options, "tcp://127.0.0.1:0");
        some_turns(c);
        DO(sonde_listener_pause(server.listener));
        some_turns(c);
        /* A copy of it: the listener may be waiting on its own. */
        int copy = fcntl(sonde_listener_fd(server.listener, 0), F_DUPFD_CLOEXEC, 0);
        assert_true(copy >= 0);
        assert_int_equal(CALL(sonde_poll_create(c->loop, copy, &handler, &n_ready, &poll)), 0);
        assert_int_equal(CALL(sonde_poll_start(poll, SONDE_READABLE)), 0);
        some_turns(c);
        assert_int_equal(n_ready, 0);
        int raw = raw_connect(server_port(&server));
        until(c, n_ready == 1);
        DO(sonde_poll_close(poll));
        some_turns(c);
        DO(sonde_listener_resume(server.listener));
        until(c, server.n_ends == 1);
        close(copy);
        close(raw);
        server_wind_up(&server);
    }
}

/* --- closing ---------------------------------------------------------------------------------------------------- */

static void close_the_listener(struct end *end)
{
    struct server *server = end->user;

    DO(sonde_listener_close(server->listener));
    DO(sonde_listener_close(server->listener));
    assert_false(server->closed);
}

/* Whoever was not accepted is reset; whoever was lives on. */
static void close_with_a_full_queue(struct contract *c)
{
    for (unsigned i = 0; i < 4; i++) {
        struct server server = {.model.on_data = end_echo};
        int raw[CLIENTS];
        char byte;
        server.model.user = &server;
        server.on_accepted = i == 1 ? close_the_listener : i >= 2 ? pause_the_listener : NULL;
        server_open(&server, c, CLIENTS);
        if (i == 0)
            DO(sonde_listener_pause(server.listener));
        connect_all(raw, CLIENTS, server_port(&server));
        if (i >= 1)
            until(c, server.n_ends == 1);
        if (i == 3)
            some_turns(c);
        if (i != 1)
            DO(sonde_listener_close(server.listener));
        until(c, server.closed);
        assert_int_equal(server.n_ends, i >= 1);
        for (unsigned k = i >= 1; k < CLIENTS; k++) {
            int n = -EAGAIN;
            until(c, (n = raw_read(raw[k], &byte, 1)) != -EAGAIN);
            assert_int_equal(n, -ECONNRESET);
        }
        if (i >= 1) {
            raw_write(raw[0], "x");
            until(c, raw_read(raw[0], &byte, 1) == 1);
        }
        close_all(raw, CLIENTS);
        server_wind_up(&server);
    }
}

struct load {
    uint16_t port;
    atomic_bool over;
    atomic_uint n_served, n_cut, n_refused, n_other;
};

static void *keep_connecting(void *user)
{
    struct load *load = user;
    struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons(load->port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

    while (!load->over) {
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        char byte = 'x';
        if (connect(fd, (struct sockaddr *)&to, sizeof to) < 0)
            load->n_refused++;
        else if (send(fd, &byte, 1, MSG_NOSIGNAL) == 1 && read(fd, &byte, 1) == 1)
            load->n_served++;
        else
            load->n_cut++;
        close(fd);
    }
    return NULL;
}

static void close_under_load(struct contract *c)
{
    for (int i = 0; i < 10; i++) {
        struct server server = {.model = {.on_data = end_echo, .on_end = end_close, .on_failed = end_close}};
        struct load load = {0};
        pthread_t threads[2];
        server_open(&server, c, 100000);
        load.port = server_port(&server);
        for (int k = 0; k < 2; k++)
            assert_int_equal(pthread_create(&threads[k], NULL, keep_connecting, &load), 0);
        until(c, server.n_ends > 20 + (unsigned)i * 3);
        DO(sonde_listener_close(server.listener));
        until(c, server.closed);
        load.over = true;
        for (unsigned k = 0; k < server.n_ends; k++)
            until(c, server.ends[k].closed);
        for (int k = 0; k < 2; k++)
            pthread_join(threads[k], NULL);
        assert_true(load.n_served > 0);
        server_wind_up(&server);
    }
}

static void restart_at_once(struct contract *c)
{
    struct server first = {.model.on_data = end_echo}, second = {.model.on_data = end_echo};
    char text[64], byte;

    server_open(&first, c, 3);
    snprintf(text, sizeof text, "tcp://127.0.0.1:%u", server_port(&first));
    uint16_t port = server_port(&first);
    int raw[3];
    connect_all(raw, 3, port);
    until(c, first.n_ends == 3);
    /* One is in TIME_WAIT on this side, one half-closed, one stands. */
    end_close(&first.ends[0]);
    until(c, raw_read(raw[0], &byte, 1) == 0);
    close(raw[0]);
    end_close(&first.ends[1]);
    until(c, first.ends[1].closed && first.ends[0].closed);
    DO(sonde_listener_close(first.listener));
    until(c, first.closed);
    server_open_at(&second, c, 1, NULL, text);
    assert_int_equal(server_port(&second), port);
    int again = raw_connect(port);
    raw_write(again, "x");
    until(c, raw_read(again, &byte, 1) == 1);
    raw_write(raw[2], "y");
    until(c, raw_read(raw[2], &byte, 1) == 1);
    close(again);
    close(raw[1]);
    close(raw[2]);
    until(c, first.ends[2].n_received == 1);
    end_close(&first.ends[2]);
    until(c, first.ends[2].closed);
    server_wind_up(&second);
    server_wind_up(&first);
}

/* --- want ------------------------------------------------------------------------------------------------------- */

/* The limit must stand before the first accept: io_uring looks it up when it is asked to accept, not when it does. */
static const struct sonde_listen_options paused = {.size = sizeof paused, .flags = SONDE_LISTEN_PAUSED};

/* Leave room for so many descriptors and no more. */
static struct rlimit leave_descriptors(unsigned n)
{
    struct rlimit limit, low;
    int fds[32];

    assert_true(n <= 32);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    for (unsigned i = 0; i < n; i++)
        fds[i] = dup(0);
    low = (struct rlimit){(rlim_t)fds[n - 1] + 1, limit.rlim_max};
    for (unsigned i = 0; i < n; i++)
        close(fds[i]);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
    return limit;
}

/* Leave room for so many connections, before a listener is opened: of descriptors, or of places. */
static void leave_places(struct contract *c, unsigned n)
{
    if (c->n_direct == 0)
        return;
    c->n_direct = n;
    contract_new_loop(c);
}

static struct rlimit leave_room(struct contract *c, unsigned n)
{
    struct rlimit limit;

    if (c->n_direct == 0)
        return leave_descriptors(n);
    getrlimit(RLIMIT_NOFILE, &limit);
    return limit;
}

static void stop(struct sonde_timer *timer)
{
    sonde_loop_stop(timer->loop);
}

static void out_of_descriptors(struct contract *c)
{
    enum { CROWD = 60, ROOM = 8 };
    struct server server = {.model = {.on_data = end_echo, .on_end = end_close}};
    struct sonde_timer timer;
    int raw[CROWD];

    leave_places(c, ROOM);
    server_open_at(&server, c, CROWD, &paused, "tcp://127.0.0.1:0");
    connect_all(raw, CROWD, server_port(&server));
    for (unsigned i = 0; i < CROWD; i++)
        raw_write(raw[i], "x");
    struct rlimit limit = leave_room(c, ROOM);
    DO(sonde_listener_resume(server.listener));
    until(c, server.n_ends == ROOM && server.n_troubles == 1);
    assert_int_equal(server.trouble, c->n_direct > 0 ? -ENFILE : -EMFILE);

    /* It does not spin. */
    unsigned long n_turns = c->script.n_turns;
    sonde_timer_init(&timer, c->loop, stop, NULL);
    DO(sonde_timer_start_in(&timer, 250 * MILLISECOND));
    contract_run(c);
    assert_true(c->script.n_turns - n_turns < 40);
    assert_int_equal(server.n_troubles, 1);

    /* All are served in the end, as others leave. */
    for (unsigned i = 0; i < CROWD; i++) {
        char byte;
        until(c, raw_read(raw[i], &byte, 1) == 1);
        assert_int_equal(shutdown(raw[i], SHUT_WR), 0);
    }
    until(c, server.n_ends == CROWD && server.ends[CROWD - 1].closed);
    assert_int_equal(server.n_troubles, 1);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    close_all(raw, CROWD);
    until(c, (contract_jump(10 * MILLISECOND), server.n_troubles == 2)); /* over, and said so */
    assert_int_equal(server.trouble, 0);
    server_wind_up(&server);
}

/* Descriptors that others give back are found too. */
static void descriptors_come_back(struct contract *c)
{
    struct server server = {0};
    int raw[3];

    if (c->n_direct > 0)
        return; /* a table is what it is */
    server_open_at(&server, c, 3, &paused, "tcp://127.0.0.1:0");
    connect_all(raw, 3, server_port(&server));
    struct rlimit limit = leave_descriptors(1);
    DO(sonde_listener_resume(server.listener));
    until(c, server.n_troubles == 1);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    until(c, server.n_ends == 3);
    assert_int_equal(server.n_troubles, 1);
    close_all(raw, 3);
    server_wind_up(&server);
}

/* In trouble, and closed, paused or resumed then. */
static void close_in_trouble(struct contract *c)
{
    for (unsigned i = 0; i < 3; i++) {
        struct server server = {0};
        int raw[4];
        leave_places(c, 1);
        server_open_at(&server, c, 4, &paused, "tcp://127.0.0.1:0");
        connect_all(raw, 4, server_port(&server));
        struct rlimit limit = leave_room(c, 1);
        DO(sonde_listener_resume(server.listener));
        until(c, server.n_troubles == 1);
        if (i == 1)
            DO(sonde_listener_pause(server.listener));
        if (i == 2) {
            DO(sonde_listener_pause(server.listener));
            DO(sonde_listener_resume(server.listener));
            some_turns(c);
        }
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
        close_all(raw, 4);
        server_wind_up(&server);
    }
}

static void out_of_memory(struct contract *c)
{
    struct server server = {.model.on_data = end_echo};
    int raw[3];
    char byte;

    server_open(&server, c, 3);
    contract_turn(c);
    c->memory.fail_at = c->memory.n_calls + 1;
    connect_all(raw, 3, server_port(&server));
    until(c, server.n_troubles == 1);
    assert_int_equal(server.trouble, -ENOMEM);
    /* The one that there was no memory for is cut off; the others are served. */
    until(c, server.n_ends == 2);
    assert_int_equal(server.n_troubles, 1);
    int n = -EAGAIN;
    until(c, (n = raw_read(raw[0], &byte, 1)) != -EAGAIN);
    assert_int_equal(n, -ECONNRESET);
    raw_write(raw[1], "x");
    until(c, raw_read(raw[1], &byte, 1) == 1);
    close_all(raw, 3);
    server_wind_up(&server);
}

int main(int argc, char **argv)
{
    static const struct contract_test tests[] = {
        CONTRACT_TEST(one_by_one),
        CONTRACT_TEST(one_by_one_unpaused),
        CONTRACT_TEST(paused_from_the_start),
        CONTRACT_TEST(pause_and_resume),
        CONTRACT_TEST(watched_while_paused),
        CONTRACT_TEST(close_with_a_full_queue),
        CONTRACT_TEST(close_under_load),
        CONTRACT_TEST(restart_at_once),
        CONTRACT_TEST(out_of_descriptors),
        CONTRACT_TEST(descriptors_come_back),
        CONTRACT_TEST(close_in_trouble),
        CONTRACT_TEST(out_of_memory),
    };
    return contract_main(argc, argv, tests, sizeof tests / sizeof *tests);
}
