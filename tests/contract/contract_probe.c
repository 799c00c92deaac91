/* SPDX-License-Identifier: MIT */
/* The probe: each operation is told once, with what it was about, when, and on which socket. */
#include "ends.h"

#include <sonde/probe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MOST = 4000, KEPT = 64 };

struct seen {
    struct sonde_probe_event event;
    char bytes[KEPT]; /* the beginning of data or path, which are only lent */
};

struct record {
    struct contract *c;
    struct seen seen[MOST];
    unsigned n;
};

static void on_event(const struct sonde_probe_event *event, void *user)
{
    struct record *record = user;
    bool ring = event->flags & SONDE_PROBE_RING, direct = event->flags & SONDE_PROBE_DIRECT;

    assert_true(record->n < MOST);
    struct seen *seen = &record->seen[record->n];
    seen->event = *event;
    memset(seen->bytes, 0, sizeof seen->bytes);

    assert_int_equal(event->size, sizeof *event);
    assert_true(event->operation < SONDE_N_OPERATIONS);
    assert_true(event->end_ns <= clock_monotonic_ns());
    assert_true(event->start_ns <= event->end_ns);
    assert_true(record->n == 0 || event->end_ns >= record->seen[record->n - 1].event.end_ns);
    if (event->start_ns == 0)
        assert_true(ring);
    if (event->flags & SONDE_PROBE_MULTISHOT)
        assert_true(event->start_ns == 0);
    assert_true(!direct || record->c->n_direct > 0);
    switch ((enum sonde_operation)event->operation) {
    case SONDE_OP_SOCKET:
        assert_int_equal(event->fd, -1);
        assert_false(ring);
        break;
    case SONDE_OP_ACCEPT:
        assert_true(event->fd >= 0);
        assert_int_equal(ring, record->c->kind == SONDE_ENGINE_URING);
        break;
    case SONDE_OP_CONNECT:
    case SONDE_OP_SEND:
    case SONDE_OP_RECEIVE:
        assert_true(direct ? event->fd == -1 : event->fd >= 0);
        assert_int_equal(ring, record->c->kind == SONDE_ENGINE_URING);
        break;
    case SONDE_OP_CLOSE:
        assert_true(direct ? event->fd == -1 : event->fd >= 0);
        break;
    default:
        assert_true(direct ? event->fd == -1 : event->fd >= 0);
        assert_false(ring);
        break;
    }
    if (event->operation == SONDE_OP_SEND || event->operation == SONDE_OP_RECEIVE)
        assert_true(event->result <= (int64_t)event->n_bytes);
    if (event->data != NULL && event->operation != SONDE_OP_SETSOCKOPT) {
        size_t n = event->operation == SONDE_OP_SEND ? event->n_bytes : (size_t)event->result;
        memcpy(seen->bytes, event->data, n < KEPT ? n : KEPT);
    }
    if (event->data != NULL && event->operation == SONDE_OP_SETSOCKOPT)
        memcpy(seen->bytes, event->data, event->n_bytes < KEPT ? event->n_bytes : KEPT);
    if (event->path != NULL)
        memcpy(seen->bytes, event->path, event->path_bytes < KEPT ? event->path_bytes : KEPT);
    record->n++;
}

static struct record *probe(struct contract *c)
{
    struct record *record = calloc(1, sizeof *record);

    assert_non_null(record);
    record->c = c;
    sonde_loop_set_probe(c->loop, on_event, record);
    return record;
}

/* The next event of this kind on this socket (0: any), from *index on; NULL when there is none. */
static const struct seen *next(const struct record *record, unsigned *index, enum sonde_operation operation,
                               uint64_t cookie)
{
    while (*index < record->n) {
        const struct seen *seen = &record->seen[(*index)++];
        if (seen->event.operation == operation && (cookie == 0 || seen->event.socket_cookie == cookie))
            return seen;
    }
    return NULL;
}

static const struct seen *expect(const struct record *record, unsigned *index, enum sonde_operation operation,
                                 uint64_t cookie)
{
    const struct seen *seen = next(record, index, operation, cookie);

    if (seen == NULL)
        fail_msg("there is no %s (any more)", sonde_operation_name(operation));
    return seen;
}

static unsigned count(const struct record *record, enum sonde_operation operation)
{
    unsigned n = 0;

    for (unsigned index = 0; next(record, &index, operation, 0) != NULL;)
        n++;
    return n;
}

static uint64_t cookie_of(int fd, int name)
{
    uint64_t cookie = 0;
    socklen_t n = sizeof cookie;

    assert_int_equal(getsockopt(fd, SOL_SOCKET, name, &cookie, &n), 0);
    return cookie;
}

static uint64_t cookie_of_end(const struct end *end)
{
    int fd = end_borrow_fd(end);
    uint64_t cookie = cookie_of(fd, SO_COOKIE);

    end_return_fd(end, fd);
    return cookie;
}

/* The calls of a server and of a client, in order, with their arguments and results. */
static void a_conversation(struct contract *c)
{
    struct record *record = probe(c);
    struct server server = {.model = {.on_data = end_echo, .on_end = end_finish}};
    struct end client = {.on_end = NULL};
    unsigned index = 0;

    server_open_at(&server, c, 1, NULL, "tcp://127.0.0.1:0?backlog=5");
    struct sonde_url url = server_url(&server);
    uint64_t listening = cookie_of(sonde_listener_fd(server.listener, 0), SO_COOKIE);

    const struct seen *seen = expect(record, &index, SONDE_OP_SOCKET, 0);
    assert_int_equal(seen->event.args[0], AF_INET);
    assert_int_equal(seen->event.args[1] & 0xf, SOCK_STREAM);
    assert_int_equal(seen->event.result, sonde_listener_fd(server.listener, 0));
    assert_int_equal(seen->event.socket_cookie, listening);
    assert_int_equal(seen->event.stream, 0);
    for (;;) {
        seen = expect(record, &index, SONDE_OP_SETSOCKOPT, listening);
        if (seen->event.args[0] == SOL_SOCKET && seen->event.args[1] == SO_REUSEADDR)
            break;
    }
    assert_int_equal(seen->event.args[2], 1);
    assert_int_equal(seen->event.n_bytes, sizeof(int));
    assert_int_equal(*(const int *)(const void *)seen->bytes, 1);
    seen = expect(record, &index, SONDE_OP_BIND, listening);
    assert_int_equal(seen->event.address.family, AF_INET);
    assert_int_equal(seen->event.address.port, 0);
    assert_int_equal(seen->event.address.u.ip[0], 127);
    seen = expect(record, &index, SONDE_OP_LISTEN, listening);
    assert_int_equal(seen->event.args[0], 5);
    assert_int_equal(seen->event.result, 0);
    assert_int_equal(index, record->n);

    end_connect(&client, c, &url);
    until(c, client.opened && server.n_ends == 1);
    int fds[2] = {sonde_stream_fd(client.stream), sonde_stream_fd(server.ends[0].stream)};
    uint64_t calling = cookie_of(fds[0], SO_COOKIE), called = cookie_of_end(&server.ends[0]);
    uint64_t ids[2] = {sonde_stream_id(client.stream), sonde_stream_id(server.ends[0].stream)};
    struct sonde_address local;
    sonde_stream_local(client.stream, &local);
    assert_int_equal(CALL(sonde_stream_write(client.stream, "question", 8)), 0);
    until(c, client.n_received == 8);
    end_finish(&client);
    until(c, client.closed && server.ends[0].closed);
    DO(sonde_listener_close(server.listener));
    until(c, server.closed);

    unsigned from = index;
    seen = expect(record, &index, SONDE_OP_SOCKET, calling);
    assert_int_equal(seen->event.result, fds[0]);
    seen = expect(record, &index, SONDE_OP_CONNECT, calling);
    assert_int_equal(seen->event.stream, ids[0]);
    assert_int_equal(seen->event.fd, fds[0]);
    assert_int_equal(seen->event.address.port, url.port);
    assert_int_equal(seen->event.address.family, AF_INET);
    if (c->kind == SONDE_ENGINE_EPOLL) { /* the call, and then how it ended */
        assert_int_equal(seen->event.result, -EINPROGRESS);
        seen = expect(record, &index, SONDE_OP_CONNECT, calling);
    }
    assert_int_equal(seen->event.result, 0);
    seen = expect(record, &index, SONDE_OP_SEND, calling);
    assert_int_equal(seen->event.n_bytes, 8);
    assert_int_equal(seen->event.result, 8);
    assert_memory_equal(seen->bytes, "question", 8);
    assert_int_equal(seen->event.stream, ids[0]);
    seen = expect(record, &index, SONDE_OP_RECEIVE, calling);
    assert_int_equal(seen->event.result, 8);
    assert_memory_equal(seen->bytes, "question", 8);
    seen = expect(record, &index, SONDE_OP_SHUTDOWN, calling);
    assert_int_equal(seen->event.args[0], SHUT_WR);
    seen = expect(record, &index, SONDE_OP_RECEIVE, calling);
    assert_int_equal(seen->event.result, 0);
    while ((seen = expect(record, &index, SONDE_OP_CLOSE, 0))->event.stream != ids[0])
        ;
    assert_int_equal(seen->event.result, 0);
    assert_int_equal(seen->event.fd, fds[0]);

    index = from;
    seen = expect(record, &index, SONDE_OP_ACCEPT, called);
    assert_int_equal(seen->event.result, c->n_direct > 0 ? 0 : fds[1]);
    assert_int_equal(seen->event.flags & SONDE_PROBE_DIRECT ? 1 : 0, c->n_direct > 0);
    assert_int_equal(seen->event.fd, record->seen[0].event.result);
    assert_int_equal(seen->event.address.family, AF_INET);
    assert_int_equal(seen->event.address.port, local.port);
    assert_int_equal(seen->event.stream, ids[1]);
    assert_int_equal(seen->event.flags & SONDE_PROBE_MULTISHOT ? 1 : 0,
                     c->kind == SONDE_ENGINE_URING && c->n_direct == 0);
    seen = expect(record, &index, SONDE_OP_RECEIVE, called);
    assert_int_equal(seen->event.result, 8);
    assert_int_equal(seen->event.stream, ids[1]);
    seen = expect(record, &index, SONDE_OP_SEND, called);
    assert_int_equal(seen->event.result, 8);
    assert_memory_equal(seen->bytes, "question", 8);
    seen = expect(record, &index, SONDE_OP_RECEIVE, called);
    assert_int_equal(seen->event.result, 0);
    expect(record, &index, SONDE_OP_SHUTDOWN, called);
    while ((seen = expect(record, &index, SONDE_OP_CLOSE, 0))->event.stream != ids[1])
        ;
    assert_int_equal(seen->event.flags & SONDE_PROBE_DIRECT ? 1 : 0, c->n_direct > 0);
    assert_int_equal(seen->event.result, 0);
    assert_int_equal(count(record, SONDE_OP_SOCKET), 2);
    assert_int_equal(count(record, SONDE_OP_ACCEPT), 1);
    assert_int_equal(count(record, SONDE_OP_CONNECT), c->kind == SONDE_ENGINE_EPOLL ? 2 : 1);
    assert_int_equal(count(record, SONDE_OP_CLOSE), 3);
    assert_int_equal(count(record, SONDE_OP_SHUTDOWN), 2);
    server_wind_up(&server);
    free(record);
}

/* Each event that has a cookie has the one of its socket, and all are of this network namespace. */
static void cookies(struct contract *c)
{
    struct record *record = probe(c);
    struct server server = {.model = {.on_data = end_echo, .on_end = end_finish}};
    struct end clients[4] = {{0}};
    uint64_t of_client[4], of_server[4];

    server_open(&server, c, 4);
    struct sonde_url url = server_url(&server);
    uint64_t netns = cookie_of(sonde_listener_fd(server.listener, 0), SO_NETNS_COOKIE);
    for (unsigned i = 0; i < 4; i++) {
        end_connect(&clients[i], c, &url);
        until(c, clients[i].opened && server.n_ends == i + 1);
        of_client[i] = cookie_of(sonde_stream_fd(clients[i].stream), SO_COOKIE);
        of_server[i] = cookie_of_end(&server.ends[i]);
        assert_int_equal(end_write(&clients[i], 100), 0);
    }
    for (unsigned i = 0; i < 4; i++)
        until(c, clients[i].n_received == 100);
    uint64_t ids[4], server_ids[4];
    for (unsigned i = 0; i < 4; i++) {
        ids[i] = sonde_stream_id(clients[i].stream);
        server_ids[i] = sonde_stream_id(server.ends[i].stream);
        end_finish(&clients[i]);
    }
    for (unsigned i = 0; i < 4; i++)
        until(c, clients[i].closed && server.ends[i].closed);
    server_wind_up(&server);
    for (unsigned i = 0; i < record->n; i++) {
        const struct sonde_probe_event *event = &record->seen[i].event;
        if (event->operation != SONDE_OP_CLOSE) {
            assert_true(event->socket_cookie != 0);
            assert_int_equal(event->netns_cookie, netns);
        }
        for (unsigned k = 0; k < 4 && event->operation != SONDE_OP_CLOSE; k++) {
            if (event->stream == ids[k])
                assert_int_equal(event->socket_cookie, of_client[k]);
            if (event->stream == server_ids[k])
                assert_int_equal(event->socket_cookie, of_server[k]);
        }
    }
    free(record);
}

/* What went through the stream is the sum of what the events say, also when sends go half way and receives pause. */
static void sums(struct contract *c)
{
    enum { MUCH = 600 * 1000 };
    struct record *record = probe(c);
    struct pair pair = {.raw = -1, .buffer_bytes = 8192, .model = {.seed = 3, .on_drained = end_go_on}};
    uint64_t n_read = 0, sent = 0, received = 0;

    pair_open(&pair, c, ACCEPTED);
    uint64_t id = sonde_stream_id(pair.end->stream);
    assert_int_equal(end_write(pair.end, MUCH), 0);
    DO(sonde_stream_pause(pair.end->stream));
    raw_write(pair.raw, "some bytes");
    DO(sonde_stream_shutdown(pair.end->stream));
    until(c, raw_read_pattern(pair.raw, 3, &n_read) == 1);
    raw_shutdown(pair.raw);
    until(c, pair.end->ended);
    for (unsigned i = 0; i < record->n; i++) {
        const struct sonde_probe_event *event = &record->seen[i].event;
        if (event->stream != id || event->result < 0)
            continue;
        if (event->operation == SONDE_OP_SEND) {
            for (unsigned k = 0; k < KEPT && k < event->n_bytes; k++)
                assert_int_equal((unsigned char)record->seen[i].bytes[k], pattern(3, sent + k));
            sent += (uint64_t)event->result;
        }
        if (event->operation == SONDE_OP_RECEIVE)
            received += (uint64_t)event->result;
    }
    assert_int_equal(sent, MUCH);
    assert_int_equal(received, 10);
    pair_close(&pair);
    free(record);
}

static void unix_paths(struct contract *c)
{
    const char *path = contract_path();
    const char *const prefixes[] = {"unix:", "unix:@"};

    for (unsigned i = 0; i < 2; i++) {
        struct record *record = probe(c);
        struct server server = {.model.on_end = end_finish};
        struct end client = {0};
        char text[128];
        unsigned index = 0;
        snprintf(text, sizeof text, "%s%s", prefixes[i], path);
        server_open_at(&server, c, 1, NULL, text);
        struct sonde_url url = server_url(&server);
        end_connect(&client, c, &url);
        until(c, client.opened && server.n_ends == 1);
        const struct seen *seen = expect(record, &index, SONDE_OP_BIND, 0);
        assert_int_equal(seen->event.address.family, AF_UNIX);
        assert_int_equal(seen->event.path_bytes, strlen(path) + i);
        assert_memory_equal(seen->bytes + i, path, strlen(path));
        seen = expect(record, &index, SONDE_OP_CONNECT, 0);
        assert_int_equal(seen->event.path_bytes, strlen(path) + i);
        assert_memory_equal(seen->bytes + i, path, strlen(path));
        assert_int_equal(seen->event.result, 0);
        assert_int_equal(seen->bytes[0], i == 1 ? '\0' : '/');
        end_finish(&client);
        until(c, client.closed);
        server_wind_up(&server);
        free(record);
        sonde_loop_set_probe(c->loop, NULL, NULL);
    }
}

/* What fails is told as well. */
static void failures(struct contract *c)
{
    struct record *record = probe(c);
    struct server server = {0};
    struct end client = {0};
    char text[64];
    unsigned index = 0;

    server_open(&server, c, 1);
    snprintf(text, sizeof text, "tcp://127.0.0.1:%u", server_port(&server));
    struct sonde_url url = contract_url("%s", text);
    struct sonde_listener *listener;
    index = record->n;
    assert_int_equal(CALL(sonde_listen(c->loop, &url, NULL, &server_handler, NULL, &listener, NULL)), -EADDRINUSE);
    const struct seen *seen = expect(record, &index, SONDE_OP_BIND, 0);
    assert_int_equal(seen->event.result, -EADDRINUSE);
    assert_int_equal(seen->event.address.port, url.port);
    expect(record, &index, SONDE_OP_CLOSE, 0);

    end_connect(&client, c, &url);
    until(c, client.opened && server.n_ends == 1);
    end_abort(&server.ends[0]);
    until(c, client.failed);
    seen = NULL;
    for (const struct seen *s; (s = next(record, &index, SONDE_OP_RECEIVE, 0)) != NULL;)
        seen = s;
    assert_non_null(seen);
    assert_int_equal(seen->event.result, -ECONNRESET);
    assert_null(seen->event.data);
    end_close(&client);
    server_wind_up(&server);
    free(record);
}

/* What is cancelled ends too, and leaves nothing behind. */
static void cancelled(struct contract *c)
{
    struct record *record = probe(c);
    struct end clients[5] = {{0}};
    uint16_t port;
    int listener = raw_listen(0, 0, &port);
    int full = raw_connect(port);
    struct sonde_url url = contract_url("tcp://127.0.0.1:%u", port);
    const struct seen *seen = NULL;

    for (unsigned i = 0; i < 5; i++)
        end_connect(&clients[i], c, &url);
    for (unsigned i = 0; i < 5; i++)
        contract_turn(c);
    for (unsigned i = 0; i < 5; i++)
        end_close(&clients[i]);
    contract_run(c);
    assert_int_equal(c->loop->n_pending, 0);
    unsigned index = 0;
    for (const struct seen *s; (s = next(record, &index, SONDE_OP_CONNECT, 0)) != NULL;)
        seen = s;
    assert_non_null(seen);
    assert_int_equal(seen->event.result, -ECANCELED);
    close(full);
    close(listener);
    free(record);
}

static void count_events(const struct sonde_probe_event *event, void *user)
{
    assert_int_equal(event->size, sizeof *event);
    ++*(unsigned *)user;
}

/* Begun and ended at any moment, with operations under way. */
static void now_and_then(struct contract *c)
{
    struct server server = {.model = {.on_data = end_echo, .on_drained = end_go_on, .on_end = end_finish}};
    struct end client = {.checked = true, .seed = 1};
    unsigned n = 0, n_before;

    server_open(&server, c, 1);
    struct sonde_url url = server_url(&server);
    end_connect(&client, c, &url);
    until(c, client.opened);
    for (unsigned i = 0; i < 40; i++) {
        sonde_loop_set_probe(c->loop, i % 2 == 0 ? NULL : count_events, &n);
        n_before = n;
        assert_int_equal(end_write(&client, 20000), 0);
        if (i % 3 != 0)
            contract_turn(c);
        if (i % 2 == 0)
            assert_int_equal(n, n_before);
    }
    until(c, client.n_received == client.n_written);
    assert_true(n > 0);
    end_finish(&client);
    until(c, client.closed);
    server_wind_up(&server);
}

static void names(struct contract *c)
{
    (void)c;
    assert_string_equal(sonde_operation_name(SONDE_OP_RECEIVE), "recv");
    assert_string_equal(sonde_operation_name(SONDE_OP_SETSOCKOPT), "setsockopt");
    assert_string_equal(sonde_operation_name(SONDE_N_OPERATIONS), "?");
}

int main(int argc, char **argv)
{
    static const struct contract_test tests[] = {
        CONTRACT_TEST(a_conversation), CONTRACT_TEST(cookies),   CONTRACT_TEST(sums),         CONTRACT_TEST(unix_paths),
        CONTRACT_TEST(failures),       CONTRACT_TEST(cancelled), CONTRACT_TEST(now_and_then), CONTRACT_TEST(names),
    };
    return contract_main(argc, argv, tests, sizeof tests / sizeof *tests);
}
