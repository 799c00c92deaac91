/* SPDX-License-Identifier: MIT */
/* The flow of data: queues and their limits, forwarding, pausing; and that a stream that stops harms no other. */
#include "ends.h"

#include <fcntl.h>
#include <pthread.h>
#include <sonde/poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { SMALL = 8192, LIMIT = 64 * 1024, MANY = 1000 };

static void some_turns(struct contract *c)
{
    for (int i = 0; i < 5; i++)
        contract_turn(c);
}

static int limited_pair(struct contract *c, struct end *end, const struct end *model)
{
    const struct sonde_connect_options options = {.size = sizeof options, .send_limit_bytes = LIMIT};
    uint16_t port;
    int listener = raw_listen(1, SMALL, &port);
    struct sonde_url url = contract_url("tcp://127.0.0.1:%u?sndbuf=%d&rcvbuf=%d", port, SMALL, SMALL);

    *end = *model;
    end->c = c;
    assert_int_equal(CALL(sonde_connect(c->loop, &url, &options, &end_handler, end, &end->stream, NULL)), 0);
    int raw = raw_accept(c, listener);
    until(c, end->opened);
    close(listener);
    return raw;
}

/* Read what there is, up to room; the total. */
static size_t collect(int fd, void *bytes, size_t room, size_t *n)
{
    int got = raw_read(fd, (char *)bytes + *n, room - *n);

    *n += got > 0 ? (unsigned)got : 0;
    return *n;
}

/* Read and forget, until the end of data. */
static bool read_to_end(int fd, uint64_t *n_read)
{
    char bytes[4096];
    int n;

    while ((n = raw_read(fd, bytes, sizeof bytes)) > 0)
        *n_read += (unsigned)n;
    return n == 0;
}

/* --- the queue -------------------------------------------------------------------------------------------------- */

static void all_or_nothing(struct contract *c)
{
    struct end end;
    uint64_t n_read = 0;
    int raw = limited_pair(c, &end, &(struct end){.seed = 2});

    assert_int_equal(CALL(sonde_stream_write(end.stream, "", 0)), 0);
    assert_int_equal(end_write(&end, LIMIT + 1), -ENOBUFS);
    unsigned n_refused = 0;
    for (unsigned i = 0; n_refused < 20; i++) {
        size_t queued = sonde_stream_queued_bytes(end.stream);
        uint64_t sent = sonde_stream_sent_bytes(end.stream);
        assert_true(queued <= LIMIT);
        assert_true(queued + sent == end.n_written);
        int error = end_write(&end, 3000 + i % 7 * 1000);
        assert_true(error == 0 || error == -ENOBUFS);
        if (error == -ENOBUFS) {
            assert_int_equal(sonde_stream_queued_bytes(end.stream), queued);
            n_refused++;
            contract_turn(c);
        }
    }
    DO(sonde_stream_shutdown(end.stream));
    until(c, raw_read_pattern(raw, 2, &n_read) == 1);
    assert_int_equal(n_read, end.n_written);
    assert_true(end.n_drained > 0);
    end_close(&end);
    contract_run(c);
    close(raw);
}

static void forward_fills_the_queue(struct end *end, const struct sonde_lent *bytes)
{
    uint64_t *n_accepted = end->user;

    for (int i = 0; i < 30; i++) {
        int error = CALL(sonde_stream_forward(end->stream, bytes));
        assert_true(error == 0 || error == -ENOBUFS);
        *n_accepted += error == 0 ? bytes->n_bytes : 0;
        error = CALL(sonde_stream_write(end->stream, bytes->data, bytes->n_bytes));
        assert_true(error == 0 || error == -ENOBUFS);
        *n_accepted += error == 0 ? bytes->n_bytes : 0;
    }
    assert_true(sonde_stream_queued_bytes(end->stream) <= LIMIT);
    assert_int_equal(sonde_stream_queued_bytes(end->stream) + sonde_stream_sent_bytes(end->stream), *n_accepted);
}

/* Bytes that are lent count like those that are copied. */
static void forward_counts_too(struct contract *c)
{
    struct end end;
    uint64_t n_accepted = 0, n_read = 0;
    char bytes[3000] = "";
    int raw = limited_pair(c, &end, &(struct end){.on_data = forward_fills_the_queue, .user = &n_accepted});

    for (int i = 0; i < 60; i++) {
        ssize_t n = send(raw, bytes, sizeof bytes, MSG_NOSIGNAL);
        assert_true(n > 0 || errno == EAGAIN);
        contract_turn(c);
        assert_true(sonde_stream_queued_bytes(end.stream) <= LIMIT);
        assert_int_equal(sonde_stream_queued_bytes(end.stream) + sonde_stream_sent_bytes(end.stream), n_accepted);
    }
    DO(sonde_stream_pause(end.stream)); /* so that no more is echoed */
    DO(sonde_stream_shutdown(end.stream));
    until(c, read_to_end(raw, &n_read));
    assert_int_equal(n_read, n_accepted);
    end_close(&end);
    contract_run(c);
    close(raw);
}

static void write_more(struct end *end)
{
    assert_int_equal(sonde_stream_queued_bytes(end->stream), 0);
    if (end->n_written < 500 * 1000)
        assert_int_equal(end_write(end, 50 * 1000), 0);
    else
        DO(sonde_stream_shutdown(end->stream));
}

/* A sender that writes as it is told to. */
static void drained_drives_a_sender(struct contract *c)
{
    struct end end;
    uint64_t n_read = 0;
    int raw = limited_pair(c, &end, &(struct end){.seed = 8, .on_drained = write_more});

    assert_int_equal(end_write(&end, 50 * 1000), 0);
    until(c, raw_read_pattern(raw, 8, &n_read) == 1);
    assert_int_equal(n_read, end.n_written);
    assert_true(n_read >= 500 * 1000);
    end_close(&end);
    contract_run(c);
    close(raw);
}

/* Whoever reads no more until the queue is empty still learns that it never will be. */
static void drained_after_a_reset(struct contract *c)
{
    struct end end;
    int raw = limited_pair(c, &end, &(struct end){.on_drained = end_go_on});

    assert_int_equal(end_write(&end, LIMIT), 0);
    DO(sonde_stream_pause(end.stream));
    some_turns(c);
    assert_true(sonde_stream_queued_bytes(end.stream) > 0);
    raw_write(raw, "last words");
    raw_reset(raw);
    until(c, end.failed);
    assert_string_equal(end.story, "odf");
    assert_int_equal(end.n_drained, 1);
    assert_int_equal(end.error, -ECONNRESET);
    end_close(&end);
    contract_run(c);
    assert_true(end.unsent > 0);
}

/* --- forwarding ------------------------------------------------------------------------------------------------- */

static struct end *relay_to;

static void to_the_other(struct end *end, const struct sonde_lent *bytes)
{
    (void)end;
    assert_int_equal(CALL(sonde_stream_forward(relay_to->stream, bytes)), 0);
}

static void forward_to_another(struct contract *c)
{
    struct server server = {.model = {.on_data = to_the_other}};
    struct end to = {.seed = 6};
    uint64_t n_read = 0;
    uint16_t port;
    int listener = raw_listen(1, 0, &port);
    struct sonde_url url = contract_url("tcp://127.0.0.1:%u", port);

    relay_to = &to;
    end_connect(&to, c, &url);
    int sink = raw_accept(c, listener);
    server_open(&server, c, 1);
    int source = raw_connect(server_port(&server));
    until(c, to.opened && server.n_ends == 1);
    unsigned char bytes[5000];
    for (unsigned i = 0; i < 40; i++) {
        fill_pattern(bytes, sizeof bytes, 6, i * sizeof bytes);
        assert_int_equal(send(source, bytes, sizeof bytes, MSG_NOSIGNAL), sizeof bytes);
        if (i % 3 == 0)
            contract_turn(c);
    }
    until(c, raw_read_pattern(sink, 6, &n_read) == 0 && n_read == 40 * sizeof bytes);
    assert_int_equal(sonde_stream_sent_bytes(to.stream), n_read);
    /* The source goes while the bytes are on their way. */
    fill_pattern(bytes, sizeof bytes, 6, n_read);
    assert_int_equal(send(source, bytes, sizeof bytes, MSG_NOSIGNAL), sizeof bytes);
    until(c, server.ends[0].n_received == 41 * sizeof bytes);
    end_close(&server.ends[0]);
    until(c, raw_read_pattern(sink, 6, &n_read) == 0 && n_read == 41 * sizeof bytes);
    end_close(&to);
    server_wind_up(&server);
    close(source);
    close(sink);
    close(listener);
}

/* Out of what was lent, in whatever way, comes what was lent. */
static void forward_in_many_ways(struct end *end, const struct sonde_lent *bytes)
{
    const struct sonde_lent copy = *bytes, first = {bytes->data, 1}, rest = {bytes->data + 1, bytes->n_bytes - 1};

    assert_int_equal(CALL(sonde_stream_forward(end->stream, bytes)), 0);
    assert_int_equal(CALL(sonde_stream_write(end->stream, "-", 1)), 0);
    assert_int_equal(CALL(sonde_stream_forward(end->stream, bytes)), 0);
    assert_int_equal(CALL(sonde_stream_forward(end->stream, &copy)), 0);
    assert_int_equal(CALL(sonde_stream_forward(end->stream, &first)), 0);
    if (rest.n_bytes > 0)
        assert_int_equal(CALL(sonde_stream_forward(end->stream, &rest)), 0);
}

static void part_and_rest(struct end *end, const struct sonde_lent *bytes)
{
    const struct sonde_lent first = {bytes->data, 1}, rest = {bytes->data + 1, bytes->n_bytes - 1};

    assert_int_equal(CALL(sonde_stream_forward(end->stream, &rest)), 0);
    assert_int_equal(CALL(sonde_stream_forward(end->stream, &first)), 0);
}

static void forward_anything(struct contract *c)
{
    struct pair pair = {.raw = -1, .model.on_data = forward_in_many_ways};
    char text[64] = "";
    size_t n = 0;

    pair_open(&pair, c, ACCEPTED);
    raw_write(pair.raw, "abc");
    until(c, collect(pair.raw, text, sizeof text - 1, &n) >= 13);
    assert_string_equal(text, "abc-abcabcabc");
    pair.end->on_data = part_and_rest;
    raw_write(pair.raw, "xyz");
    until(c, collect(pair.raw, text, sizeof text - 1, &n) >= 16);
    assert_string_equal(text + 13, "yzx");
    pair_close(&pair);
}

/* Two streams in a ring, each of which sends the other what it gets; and back to the one that began. */
static void forward_then_close(struct end *end, const struct sonde_lent *bytes)
{
    assert_int_equal(CALL(sonde_stream_forward(end->stream, bytes)), 0);
    end_finish(end);
}

static void forward_and_finish(struct contract *c)
{
    struct pair pair = {.raw = -1, .model.on_data = forward_then_close};
    char text[16] = "";

    pair_open(&pair, c, ACCEPTED);
    raw_write(pair.raw, "farewell");
    until(c, raw_read(pair.raw, text, sizeof text - 1) == 8);
    assert_string_equal(text, "farewell");
    until(c, raw_read(pair.raw, text, sizeof text - 1) == 0);
    raw_close(pair.raw);
    pair.raw = -1;
    until(c, pair.end->closed);
    assert_string_equal(pair.end->story, "dec");
    pair_close(&pair);
}

static void forward_and_close(struct end *end, const struct sonde_lent *bytes)
{
    assert_int_equal(CALL(sonde_stream_forward(end->stream, bytes)), 0);
    end_close(end);
}

/* Closing under a buffer that is lent to the kernel: nothing of it is lost to the others. */
static void forward_and_close_many(struct contract *c)
{
    for (int i = 0; i < 30; i++) {
        struct server server = {.model = {.on_data = forward_and_close}};
        int raw[16];
        server_open(&server, c, 16);
        for (unsigned k = 0; k < 16; k++) {
            raw[k] = raw_connect(server_port(&server));
            raw_write(raw[k], "bytes");
        }
        until(c, server.n_ends == 16);
        for (unsigned k = 0; k < 16; k++)
            until(c, server.ends[k].closed);
        for (unsigned k = 0; k < 16; k++)
            close(raw[k]);
        server_wind_up(&server);
    }
}

/* --- pausing ---------------------------------------------------------------------------------------------------- */

struct pauser {
    struct sonde_timer timer;
    struct end *end;
    unsigned n;
};

static void resume_now(struct sonde_timer *timer)
{
    struct pauser *pauser = timer->user;

    if (pauser->end->stream != NULL)
        DO(sonde_stream_resume(pauser->end->stream));
}

static void pause_now_and_then(struct end *end, const struct sonde_lent *bytes)
{
    struct pauser *pauser = end->user;
    unsigned n = pauser->n++;

    (void)bytes;
    if (n % 5 == 4)
        return;
    DO(sonde_stream_pause(end->stream));
    assert_true(sonde_stream_is_paused(end->stream));
    if (n % 5 == 1) {
        DO(sonde_stream_resume(end->stream));
        return;
    }
    if (n % 5 == 2) {
        DO(sonde_stream_resume(end->stream));
        DO(sonde_stream_pause(end->stream));
        DO(sonde_stream_pause(end->stream));
    }
    DO(sonde_timer_start_in(&pauser->timer, n % 5 == 3 ? 0 : MILLISECOND / 5));
}

static void pausing_loses_nothing(struct contract *c)
{
    for (enum role role = 0; role < N_ROLES; role++) {
        struct pauser pauser = {.n = 0};
        struct pair pair = {.raw = -1,
                            .model = {.checked = true, .seed = 11, .on_data = pause_now_and_then, .user = &pauser}};
        unsigned char bytes[7001];
        uint64_t n_written = 0;
        sonde_timer_init(&pauser.timer, c->loop, resume_now, &pauser);
        pair_open(&pair, c, role);
        pauser.end = pair.end;
        while (n_written < 1000 * 1000) {
            fill_pattern(bytes, sizeof bytes, 11, n_written);
            ssize_t n = send(pair.raw, bytes, sizeof bytes, MSG_NOSIGNAL);
            assert_true(n > 0 || errno == EAGAIN);
            n_written += n > 0 ? (size_t)n : 0;
            if (n <= 0 || n_written % 5 == 0)
                contract_turn(c);
        }
        raw_shutdown(pair.raw);
        until(c, pair.end->ended);
        assert_int_equal(pair.end->n_received, n_written);
        sonde_timer_stop(&pauser.timer);
        pair_close(&pair);
    }
}

static void end_while_paused(struct contract *c)
{
    for (unsigned i = 0; i < 2; i++) {
        struct pair pair = {.raw = -1};
        pair_open(&pair, c, ACCEPTED);
        some_turns(c);
        DO(sonde_stream_pause(pair.end->stream));
        if (i == 1)
            raw_write(pair.raw, "hello");
        raw_shutdown(pair.raw);
        some_turns(c);
        assert_string_equal(pair.end->story, "");
        DO(sonde_stream_resume(pair.end->stream));
        DO(sonde_stream_pause(pair.end->stream));
        some_turns(c);
        assert_string_equal(pair.end->story, "");
        DO(sonde_stream_resume(pair.end->stream));
        until(c, pair.end->ended);
        assert_string_equal(pair.end->story, i == 1 ? "de" : "e");
        pair_close(&pair);
    }
}

static void pause_at_once(struct end *end)
{
    DO(sonde_stream_pause(end->stream));
}

static void pause_in_data(struct end *end, const struct sonde_lent *bytes)
{
    (void)bytes;
    DO(sonde_stream_pause(end->stream));
}

/* From the start: what comes stays in the kernel. */
static void paused_when_accepted(struct contract *c)
{
    struct server server = {.on_accepted = pause_at_once};

    server_open(&server, c, 1);
    int raw = raw_connect(server_port(&server));
    raw_write(raw, "hello");
    until(c, server.n_ends == 1);
    some_turns(c);
    assert_string_equal(server.ends[0].story, "");
    DO(sonde_stream_resume(server.ends[0].stream));
    until(c, server.ends[0].n_received == 5);
    server_wind_up(&server);
    close(raw);
}

/* A pause costs a bounded amount of memory, whatever the peer sends. */
static void pause_costs_little(struct contract *c)
{
    struct pair pair = {.raw = -1, .model = {.on_data = pause_in_data}};
    static char bytes[100000];

    pair_open(&pair, c, ACCEPTED);
    size_t before = c->memory.n_bytes;
    for (size_t n = 0; n < 100 && send(pair.raw, bytes, sizeof bytes, MSG_NOSIGNAL) > 0;)
        n++;
    for (int i = 0; i < 50; i++) {
        ssize_t n = send(pair.raw, bytes, sizeof bytes, MSG_NOSIGNAL);
        assert_true(n > 0 || errno == EAGAIN);
        contract_turn(c);
    }
    assert_true(sonde_stream_is_paused(pair.end->stream));
    /* An eighth of the ring's buffers, 32 of 32 KiB, and what is needed to keep them. */
    assert_true(c->memory.most_bytes - before <= 34 * 32 * 1024);
    pair_close(&pair);
}

/* --- much ------------------------------------------------------------------------------------------------------- */

enum { BIG = 8 * 1024 * 1024 };

struct sender {
    struct end end;
    uint32_t random;
};

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
    /* Until nothing moves any more. */
    for (unsigned quiet = 0; quiet < 10;) {
        unsigned n_moved = 0;
        for (unsigned i = 0; i < n; i++)
            n_moved += send(raw[i], bytes, sizeof bytes, MSG_NOSIGNAL) > 0;
        quiet = n_moved > 0 ? 0 : quiet + 1;
        contract_turn(c);
    }
    unsigned n_paused = 0;
    for (unsigned i = 0; i < n; i++)
        n_paused += (unsigned)sonde_stream_is_paused(server.ends[i].stream);
    assert_int_equal(n_paused, n);
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
        CONTRACT_TEST(all_or_nothing),
        CONTRACT_TEST(forward_counts_too),
        CONTRACT_TEST(drained_drives_a_sender),
        CONTRACT_TEST(drained_after_a_reset),
        CONTRACT_TEST(forward_to_another),
        CONTRACT_TEST(forward_anything),
        CONTRACT_TEST(forward_and_finish),
        CONTRACT_TEST(forward_and_close_many),
        CONTRACT_TEST(pausing_loses_nothing),
        CONTRACT_TEST(end_while_paused),
        CONTRACT_TEST(paused_when_accepted),
        CONTRACT_TEST(pause_costs_little),
        CONTRACT_TEST(big_echo),
        CONTRACT_TEST(more_than_the_buffers),
        CONTRACT_TEST(starved_and_stopped),
        CONTRACT_TEST(many_that_do_not_read),
        CONTRACT_TEST(flood_beside_one),
    };
    return contract_main(argc, argv, tests, sizeof tests / sizeof *tests);
}
