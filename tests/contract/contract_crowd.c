/* SPDX-License-Identifier: MIT */
/* Much data, and many streams beside each other: none starves, and one that stops harms only itself. */
#include "ends.h"

#include <fcntl.h>
#include <pthread.h>
#include <sonde/poll.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { SMALL = 8192, MANY = 1000 };

/* Read what there is, up to room; the total. */
static size_t collect(int fd, void *bytes, size_t room, size_t *n)
{
    int got = raw_read(fd, (char *)bytes + *n, room - *n);

    *n += got > 0 ? (unsigned)got : 0;
    return *n;
}

/* --- much ------------------------------------------------------------------------------------------------------- */

enum { BIG = 8 * 1024 * 1024 };

static void send_some(struct end *end)
{
    uint32_t *random = end->user;

    while (end->n_written < BIG && end->stream != NULL) {
        *random = *random * 1664525 + 1013904223;
        size_t n = *random >> 8 & 3 ? (*random >> 16) % 3000 + 1 : (*random >> 12) % 100000 + 1;
        if (n > BIG - end->n_written)
            n = BIG - end->n_written;
        int error = end_write(end, n);
        if (error == -ENOBUFS)
            return;
        assert_int_equal(error, 0);
        if (sonde_stream_queued_bytes(end->stream) > 300 * 1000)
            return;
    }
    if (end->n_written == BIG)
        end_shutdown(end);
}

static void big_echo(struct contract *c)
{
    struct server server = {.model = {.on_data = end_echo, .on_drained = end_go_on, .on_end = end_finish}};
    uint32_t random = 42;
    struct end client = {.checked = true,
                         .seed = 5,
                         .on_opened = send_some,
                         .on_drained = send_some,
                         .on_end = end_close,
                         .user = &random};

    server_open(&server, c, 1);
    struct sonde_url url = server_url(&server);
    end_connect(&client, c, &url);
    int64_t deadline_ns = contract_deadline_ns();
    while (!client.closed) {
        contract_check_deadline(c, deadline_ns, "8 MiB", __FILE__, __LINE__);
        if (client.opened && client.stream != NULL && sonde_stream_queued_bytes(client.stream) == 0)
            send_some(&client); /* on an engine that takes all at once nothing has to drain */
        contract_turn(c);
    }
    assert_int_equal(client.n_received, BIG);
    assert_string_equal(client.story, "odec");
    server_wind_up(&server);
}

static unsigned how_many(void)
{
    struct rlimit limit;

    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    return limit.rlim_cur > 2 * MANY + 100 ? MANY : (unsigned)(limit.rlim_cur - 100) / 2;
}

/* More messages at once than there are buffers to receive them. */
static void more_than_the_buffers(struct contract *c)
{
    struct server server = {.model = {.checked = true, .seed = 3}};
    unsigned n = how_many();
    int *raw = calloc(n, sizeof *raw);
    unsigned char bytes[3000];

    assert_non_null(raw);
    fill_pattern(bytes, sizeof bytes, 3, 0);
    server_open(&server, c, n);
    for (unsigned i = 0; i < n; i++) {
        raw[i] = raw_connect(server_port(&server));
        if (i % 100 == 99)
            until(c, server.n_ends == i + 1);
    }
    until(c, server.n_ends == n);
    some_turns(c);
    for (unsigned i = 0; i < n; i++)
        assert_int_equal(send(raw[i], bytes, sizeof bytes, MSG_NOSIGNAL), sizeof bytes);
    for (unsigned i = 0; i < n; i++)
        until(c, server.ends[i].n_received == sizeof bytes);
    /* And again: every stream still receives. */
    fill_pattern(bytes, sizeof bytes, 3, sizeof bytes);
    for (unsigned i = 0; i < n; i++)
        assert_int_equal(send(raw[i], bytes, sizeof bytes, MSG_NOSIGNAL), sizeof bytes);
    for (unsigned i = 0; i < n; i++)
        until(c, server.ends[i].n_received == 2 * sizeof bytes);
    for (unsigned i = 0; i < n; i++)
        close(raw[i]);
    server_wind_up(&server);
    free(raw);
}

/* Streams that wait for buffers are closed, or paused, by a callback of the same turn. */
struct starved {
    struct server *server;
    struct sonde_poll *poll;
    bool closes, done;
};

static void on_ready(struct sonde_poll *poll, unsigned events, void *user)
{
    struct starved *starved = user;

    (void)events;
    for (unsigned i = 0; i < starved->server->n_ends; i++) {
        struct end *end = &starved->server->ends[i];
        if (end->stream == NULL)
            continue;
        if (starved->closes)
            end_close(end);
        else
            DO(sonde_stream_pause(end->stream));
        if (!starved->closes && i % 3 == 0)
            DO(sonde_stream_resume(end->stream));
    }
    starved->done = true;
    DO(sonde_poll_close(poll));
}

static void starved_and_stopped(struct contract *c)
{
    static const struct sonde_poll_handler handler = {.ready = on_ready};

    for (unsigned round = 0; round < 2; round++) {
        struct server server = {.model = {.checked = true, .seed = 3}};
        struct starved starved = {.server = &server, .closes = round == 1};
        unsigned n = how_many() / 2;
        int *raw = calloc(n, sizeof *raw), ends[2];
        unsigned char bytes[500];
        assert_non_null(raw);
        assert_int_equal(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
        fill_pattern(bytes, sizeof bytes, 3, 0);
        server_open(&server, c, n);
        for (unsigned i = 0; i < n; i++) {
            raw[i] = raw_connect(server_port(&server));
            if (i % 100 == 99)
                until(c, server.n_ends == i + 1);
        }
        until(c, server.n_ends == n);
        assert_int_equal(CALL(sonde_poll_create(c->loop, ends[0], &handler, &starved, &starved.poll)), 0);
        assert_int_equal(CALL(sonde_poll_start(starved.poll, SONDE_READABLE)), 0);
        some_turns(c);
        for (unsigned i = 0; i < n; i++)
            assert_int_equal(send(raw[i], bytes, sizeof bytes, MSG_NOSIGNAL), sizeof bytes);
        assert_int_equal(write(ends[1], "x", 1), 1); /* last */
        until(c, starved.done);
        for (unsigned i = 0; i < n && round == 1; i++)
            until(c, server.ends[i].closed);
        some_turns(c);
        for (unsigned i = 0; i < n && round == 0; i++)
            DO(sonde_stream_resume(server.ends[i].stream));
        for (unsigned i = 0; i < n && round == 0; i++)
            until(c, server.ends[i].n_received == sizeof bytes);
        for (unsigned i = 0; i < n; i++)
            close(raw[i]);
        close(ends[0]);
        close(ends[1]);
        server_wind_up(&server);
        free(raw);
    }
    more_than_the_buffers(c); /* no buffer was lost on the way */
}

static void echo_within_bounds(struct end *end, const struct sonde_lent *bytes)
{
    assert_int_equal(CALL(sonde_stream_forward(end->stream, bytes)), 0);
    if (sonde_stream_queued_bytes(end->stream) >= SMALL)
        DO(sonde_stream_pause(end->stream));
}

/* Their peers send and never read: each costs a bounded amount, and the one that works goes on working. */
static void many_that_do_not_read(struct contract *c)
{
    struct server server = {.model = {.on_data = echo_within_bounds, .on_drained = end_go_on}};
    unsigned n = how_many();
    int *raw = calloc(n, sizeof *raw);
    static char bytes[65536];

    assert_non_null(raw);
    server_open_at(&server, c, n + 1, NULL, "tcp://127.0.0.1:0?sndbuf=4096&rcvbuf=4096");
    for (unsigned i = 0; i < n; i++) {
        raw[i] = raw_connect_small(server_port(&server), 4096);
        if (i % 100 == 99)
            until(c, server.n_ends == i + 1);
    }
    until(c, server.n_ends == n);
    size_t before = c->memory.n_bytes;
    /* Until nothing moves any more, and not only because a kernel waits before it asks for room again. */
    unsigned n_paused = 0;
    int64_t deadline_ns = contract_deadline_ns();
    for (unsigned quiet = 0; quiet < 10 || n_paused < n;) {
        unsigned n_moved = 0;
        n_paused = 0;
        for (unsigned i = 0; i < n; i++) {
            n_moved += send(raw[i], bytes, sizeof bytes, MSG_NOSIGNAL) > 0;
            n_paused += (unsigned)sonde_stream_is_paused(server.ends[i].stream);
        }
        quiet = n_moved > 0 ? 0 : quiet + 1;
        contract_check_deadline(c, deadline_ns, "all are paused", __FILE__, __LINE__);
        contract_turn(c);
    }
    assert_true(c->memory.most_bytes - before < (size_t)n * 6 * SMALL);

    int works = raw_connect(server_port(&server));
    unsigned char question[100], answer[100];
    for (unsigned i = 0; i < 200; i++) {
        size_t got = 0;
        fill_pattern(question, sizeof question, i, 0);
        assert_int_equal(send(works, question, sizeof question, MSG_NOSIGNAL), sizeof question);
        until(c, collect(works, answer, sizeof answer, &got) == sizeof answer);
        assert_memory_equal(question, answer, sizeof answer);
    }
    close(works);
    for (unsigned i = 0; i < n; i++)
        close(raw[i]);
    server_wind_up(&server);
    free(raw);
}

/* --- a flood ---------------------------------------------------------------------------------------------------- */

struct flood {
    int fd;
    atomic_bool over;
};

static void *pour(void *user)
{
    struct flood *flood = user;
    static char bytes[65536];

    while (!flood->over)
        if (send(flood->fd, bytes, sizeof bytes, MSG_NOSIGNAL) < 0)
            usleep(100);
    return NULL;
}

/* One peer sends without end, and is served; another is not forgotten for it. */
static void flood_beside_one(struct contract *c)
{
    struct server server = {.model = {0}};
    struct flood flood = {0};
    pthread_t thread;

    server_open(&server, c, 2);
    flood.fd = raw_connect(server_port(&server));
    until(c, server.n_ends == 1);
    assert_int_equal(pthread_create(&thread, NULL, pour, &flood), 0);
    server.model.on_data = end_echo;
    int works = raw_connect(server_port(&server));
    for (unsigned i = 0; i < 50; i++) {
        char byte = 'x', answer;
        assert_int_equal(send(works, &byte, 1, MSG_NOSIGNAL), 1);
        until(c, raw_read(works, &answer, 1) == 1);
    }
    until(c, server.ends[0].n_received > 1000 * 1000);
    flood.over = true;
    pthread_join(thread, NULL);
    close(works);
    close(flood.fd);
    server_wind_up(&server);
}

int main(int argc, char **argv)
{
    static const struct contract_test tests[] = {
        CONTRACT_TEST(big_echo),
        CONTRACT_TEST(more_than_the_buffers),
        CONTRACT_TEST(starved_and_stopped),
        CONTRACT_TEST(many_that_do_not_read),
        CONTRACT_TEST(flood_beside_one),
    };
    return contract_main(argc, argv, tests, sizeof tests / sizeof *tests);
}
