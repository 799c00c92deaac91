/* SPDX-License-Identifier: MIT */
/*
 * Connections without descriptors. That they are streams like all others is what the other programs of the suite show,
 * which run on a direct loop too; here is what only they have: a table with an end, and questions that need a
 * descriptor for a moment.
 */
#include "ends.h"

#include "loop/uring_internal.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

/* A loop with so many places. */
static void new_loop(struct contract *c, unsigned n_direct)
{
    c->n_direct = n_direct;
    contract_new_loop(c);
}

static bool is_served(int raw)
{
    char byte;

    return raw_read(raw, &byte, 1) == 1;
}

/* --- the table -------------------------------------------------------------------------------------------------- */

/* Whoever finds no place waits, and nobody is lost; a place is used again. */
static void a_full_table(struct contract *c)
{
    enum { PLACES = 4, ROUNDS = 5, CROWD = PLACES * ROUNDS };
    struct server server = {.model = {.on_data = end_echo, .on_end = end_close}};
    int raw[CROWD];

    new_loop(c, PLACES);
    server_open(&server, c, CROWD);
    unsigned n_fds = contract_n_fds();
    for (unsigned i = 0; i < CROWD; i++) {
        raw[i] = raw_connect(server_port(&server));
        raw_write(raw[i], "x");
    }
    for (unsigned round = 1; round <= ROUNDS; round++) {
        until(c, server.n_ends == round * PLACES);
        some_turns(c);
        assert_int_equal(server.n_ends, round * PLACES);
        assert_int_equal(contract_n_fds(), n_fds + CROWD);
        assert_int_equal(server.n_troubles, 1);
        assert_int_equal(server.trouble, -ENFILE);
        for (unsigned i = (round - 1) * PLACES; i < round * PLACES; i++) {
            until(c, is_served(raw[i]));
            raw_shutdown(raw[i]);
        }
    }
    until(c, server.ends[CROWD - 1].closed);
    until(c, (contract_jump(10 * MILLISECOND), server.n_troubles == 2));
    assert_int_equal(server.trouble, 0);
    for (unsigned i = 0; i < CROWD; i++)
        raw_close(raw[i]);
    server_wind_up(&server);
}

static int connect_to(const struct server *server, unsigned index)
{
    struct sockaddr_in ipv4 = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sockaddr_in6 ipv6 = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    struct sonde_url url;

    sonde_listener_address(server->listener, index, &url);
    bool is_ipv6 = url.host[0] == ':';
    ipv4.sin_port = ipv6.sin6_port = htons(url.port);
    int fd = socket(is_ipv6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(
        connect(fd, is_ipv6 ? (struct sockaddr *)&ipv6 : (struct sockaddr *)&ipv4, is_ipv6 ? sizeof ipv6 : sizeof ipv4),
        0);
    assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    return fd;
}

/* Several sockets accept into one table: what one of them takes is never the place that another counts on. */
static void two_sockets_one_table(struct contract *c)
{
    enum { CLIENTS = 6 };
    struct server server = {.model = {.on_data = end_echo, .on_end = end_close}};
    int raw[CLIENTS];

    new_loop(c, 2);
    server_open_at(&server, c, CLIENTS, NULL, "tcp://localhost:0");
    unsigned n_sockets = sonde_listener_count(server.listener);
    for (unsigned i = 0; i < CLIENTS; i++) {
        raw[i] = connect_to(&server, i % n_sockets);
        raw_write(raw[i], "x");
    }
    for (unsigned n = 0; n < CLIENTS; n++) {
        unsigned who = CLIENTS;
        struct sonde_address peer;
        until(c, server.n_ends > n && server.ends[n].n_received == 1);
        sonde_stream_peer(server.ends[n].stream, &peer);
        assert_true(sonde_listener_count(server.listener) == n_sockets && server.n_ends <= n + 2);
        for (unsigned i = 0; i < CLIENTS && who == CLIENTS; i++) {
            struct sockaddr_storage local;
            socklen_t length = sizeof local;
            assert_int_equal(getsockname(raw[i], (struct sockaddr *)&local, &length), 0);
            in_port_t port = local.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&local)->sin6_port
                                                         : ((struct sockaddr_in *)&local)->sin_port;
            if (ntohs(port) == peer.port && local.ss_family == peer.family)
                who = i;
        }
        assert_true(who < CLIENTS);
        until(c, is_served(raw[who]));
        raw_shutdown(raw[who]);
        until(c, server.ends[n].closed);
    }
    for (unsigned i = 0; i < CLIENTS; i++)
        raw_close(raw[i]);
    server_wind_up(&server);
}

/* Two rings accept from one socket: when one is full the other goes on, and nobody is forgotten between them. */
static void two_rings_one_socket(struct contract *c)
{
    enum { PLACES = 3, CLIENTS = 9 };
    struct server first = {.model = {.on_data = end_echo, .on_end = end_close}}, second = first;
    struct script script = {.real = NULL};
    struct sonde_loop *loop = NULL;
    int raw[CLIENTS];
    bool served[CLIENTS] = {false};
    unsigned n_served = 0;

    new_loop(c, PLACES);
    server_open(&first, c, CLIENTS);
    int copy = fcntl(sonde_listener_fd(first.listener, 0), F_DUPFD_CLOEXEC, 0);
    assert_int_equal(contract_create_loop(c, &script, 0, &loop), 0);
    struct contract other = *c;
    other.loop = loop;
    char text[32];
    snprintf(text, sizeof text, "fd://%d", copy);
    server_open_at(&second, &other, CLIENTS, NULL, text);
    for (unsigned i = 0; i < CLIENTS; i++) {
        raw[i] = raw_connect(server_port(&first));
        raw_write(raw[i], "x");
    }
    int64_t deadline_ns = contract_deadline_ns();
    while (n_served < CLIENTS) {
        contract_check_deadline(c, deadline_ns, "all are served", __FILE__, __LINE__);
        contract_turn(c);
        contract_turn(&other);
        assert_true(first.n_ends <= PLACES || first.ends[0].closed);
        for (unsigned i = 0; i < CLIENTS; i++)
            if (!served[i] && is_served(raw[i])) {
                served[i] = true;
                /* Only when no place is left on either side those who have one make room. */
                if (++n_served % (2 * PLACES) == 0)
                    for (unsigned k = 0; k < CLIENTS; k++)
                        if (served[k])
                            shutdown(raw[k], SHUT_WR);
            }
    }
    assert_true(first.n_ends >= PLACES && second.n_ends >= PLACES);
    assert_int_equal(first.n_ends + second.n_ends, CLIENTS);
    for (unsigned i = 0; i < CLIENTS; i++)
        raw_close(raw[i]);
    server_wind_up(&second);
    assert_int_equal(sonde_loop_destroy(loop), 0);
    server_wind_up(&first);
}

static int create(enum sonde_engine engine, unsigned n_direct, size_t size, struct sonde_why *ret_why)
{
    const struct sonde_loop_options options = {.size = size, .engine = engine, .n_direct = n_direct};
    struct sonde_loop *loop = NULL;

    int error = sonde_loop_create(&options, &loop, ret_why);
    if (error == 0)
        assert_int_equal(sonde_loop_destroy(loop), 0);
    return error;
}

static void what_is_refused(struct contract *c)
{
    struct sonde_why why = {.call = ""};
    struct rlimit limit;

    (void)c;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    unsigned most = (unsigned)limit.rlim_cur;
    assert_int_equal(create(SONDE_ENGINE_AUTO, most + 1, sizeof(struct sonde_loop_options), &why), -EMFILE);
    assert_int_equal(why.code, -EMFILE);
    assert_true(why.detail[0] != '\0');
    assert_int_equal(create(SONDE_ENGINE_EPOLL, 8, sizeof(struct sonde_loop_options), &why), -SONDE_EENGINE);
    assert_string_equal(why.subject, "epoll");
    assert_true(why.detail[0] != '\0');
    assert_int_equal(create(SONDE_ENGINE_AUTO, 8, sizeof(struct sonde_loop_options), &why), 0);
    /* A caller that does not know of it has something else behind its options. */
    assert_int_equal(create(SONDE_ENGINE_EPOLL, 8, offsetof(struct sonde_loop_options, n_direct), &why), 0);
}

/* --- questions -------------------------------------------------------------------------------------------------- */

/* No descriptor is left, and none is needed: to accept, talk, half-close, ask, reset. */
static void without_descriptors(struct contract *c)
{
    struct server server = {.model = {.on_data = end_echo}};
    struct rlimit limit, low;
    int raw[3];
    char byte;

    server_open_at(&server, c, 3, NULL, "tcp://*:0");
    for (unsigned i = 0; i < 3; i++) {
        raw[i] = raw_connect(server_port(&server));
        raw_write(raw[i], "x");
    }
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    int first_free = dup(0);
    close(first_free);
    low = (struct rlimit){(rlim_t)first_free, limit.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
    assert_int_equal(dup(0), -1);

    for (unsigned i = 0; i < 3; i++) {
        struct sonde_address local;
        until(c, is_served(raw[i]));
        sonde_stream_local(server.ends[i].stream, &local);
        assert_int_equal(local.port, server_port(&server));
    }
    end_finish(&server.ends[0]);
    until(c, raw_read(raw[0], &byte, 1) == 0);
    raw_shutdown(raw[0]);
    until(c, server.ends[0].closed);
    assert_int_equal(server.ends[0].error, 0);
    end_abort(&server.ends[1]);
    until(c, raw_read(raw[1], &byte, 1) == -ECONNRESET);
    end_close(&server.ends[2]);
    until(c, raw_read(raw[2], &byte, 1) == 0);
    assert_int_equal(dup(0), -1); /* the spare one is there again */

    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    for (unsigned i = 0; i < 3; i++)
        raw_close(raw[i]);
    server_wind_up(&server);
}

/* More completions at once than the ring has room for, which nobody has looked at yet. */
static void overflow(struct contract *c)
{
    struct uring *uring = c->loop->engine;

    for (unsigned i = 0; i < uring->ring.cq.ring_entries + 100; i++) {
        struct io_uring_sqe *sqe = uring_get_sqe(uring);
        assert_non_null(sqe);
        io_uring_prep_nop(sqe);
        sqe->user_data = TAG_IGNORE;
    }
}

static void overflow_and_ask(struct end *end, const struct sonde_lent *bytes)
{
    struct sonde_address local;

    overflow(end->c);
    sonde_stream_local(end->stream, &local);
    assert_true(((struct uring *)end->c->loop->engine)->n_aside > 0);
    assert_int_equal(local.family, AF_INET);
    assert_true(local.port != 0);
    end_echo(end, bytes);
}

/* The answer is found however full the ring is, and nothing else gets lost or comes out of order. */
static void asked_in_a_crowd(struct contract *c)
{
    enum { CLIENTS = 20, ROUNDS = 3 };
    struct server server = {.model = {.on_data = overflow_and_ask, .on_end = end_close, .seed = 7, .checked = true}};
    uint64_t n_read[CLIENTS] = {0};
    int raw[CLIENTS];

    server_open_at(&server, c, CLIENTS, NULL, "tcp://*:0");
    for (unsigned i = 0; i < CLIENTS; i++)
        raw[i] = raw_connect(server_port(&server));
    until(c, server.n_ends == CLIENTS);
    for (unsigned round = 0; round < ROUNDS; round++) {
        /* Outside of the engine's turn too. */
        struct sonde_address local;
        overflow(c);
        sonde_stream_local(server.ends[round].stream, &local);
        assert_true(local.port != 0);
        for (unsigned i = 0; i < CLIENTS; i++) {
            unsigned char bytes[100];
            fill_pattern(bytes, sizeof bytes, 7, round * sizeof bytes);
            assert_int_equal(write(raw[i], bytes, sizeof bytes), sizeof bytes);
        }
        for (unsigned i = 0; i < CLIENTS; i++) {
            until(c, raw_read_pattern(raw[i], 7, &n_read[i]) == 0 && n_read[i] == (round + 1) * 100u);
            assert_int_equal(server.ends[i].n_received, n_read[i]);
        }
    }
    for (unsigned i = 0; i < CLIENTS; i++)
        raw_shutdown(raw[i]);
    for (unsigned i = 0; i < CLIENTS; i++)
        until(c, server.ends[i].closed);
    for (unsigned i = 0; i < CLIENTS; i++)
        raw_close(raw[i]);
    server_wind_up(&server);
}

/* A place that was given back may be another's at once: nothing that is asked late may reach that one. */
static void asked_too_late(struct contract *c)
{
    struct server server = {.model = {.on_data = end_echo}};
    struct sonde_address local;
    int raw[2];

    new_loop(c, 1);
    server_open_at(&server, c, 2, NULL, "tcp://*:0");
    raw[0] = raw_connect(server_port(&server));
    raw_write(raw[0], "x");
    until(c, is_served(raw[0]));
    raw[1] = raw_connect(server_port(&server));
    raw_write(raw[1], "x");
    struct sonde_stream *first = server.ends[0].stream;
    end_close(&server.ends[0]);
    while (!server.ends[0].closed) {
        sonde_stream_local(first, &local); /* the first's, or not known; and nothing happens to the second */
        assert_true(local.port == 0 || local.port == server_port(&server));
        assert_int_equal(sonde_stream_fd(first), -1);
        sonde_stream_abort(first);
        contract_turn(c);
    }
    until(c, is_served(raw[1]));
    raw_close(raw[0]);
    raw_close(raw[1]);
    server_wind_up(&server);
}

int main(int argc, char **argv)
{
    static const struct contract_test tests[] = {
        CONTRACT_TEST(a_full_table),    CONTRACT_TEST(two_sockets_one_table), CONTRACT_TEST(two_rings_one_socket),
        CONTRACT_TEST(what_is_refused), CONTRACT_TEST(without_descriptors),   CONTRACT_TEST(asked_in_a_crowd),
        CONTRACT_TEST(asked_too_late),
    };
    char *only[] = {argv[0], (char[]){"direct"}, NULL};
    return contract_main(argc > 1 ? argc : 2, argc > 1 ? argv : only, tests, sizeof tests / sizeof *tests);
}
