/* SPDX-License-Identifier: MIT */
/* The flow of data: queues and their limits, forwarding, pausing. */
#include "ends.h"

#include <sys/socket.h>
#include <unistd.h>

enum { SMALL = 8192, LIMIT = 64 * 1024 };

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

/* The last bytes, out of a buffer that is only lent, and then the end. */
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

static struct end *paused_one;

static void resume_the_other(struct end *end, const struct sonde_lent *bytes)
{
    (void)end;
    (void)bytes;
    DO(sonde_stream_resume(paused_one->stream));
}

static void pause_every_time(struct end *end, const struct sonde_lent *bytes)
{
    (void)bytes;
    DO(sonde_stream_pause(end->stream));
}

/* By a callback of another stream, while more is still on its way out of the engine. */
static void resumed_by_another(struct contract *c)
{
    struct server server = {0};
    static unsigned char bytes[1000 * 1000];
    uint64_t n_written = 0;

    server_open(&server, c, 6);
    int raw[6];
    for (unsigned i = 0; i < 6; i++) {
        raw[i] = raw_connect(server_port(&server));
        until(c, server.n_ends == i + 1);
        server.ends[i].on_data = i == 2 ? pause_every_time : resume_the_other;
    }
    paused_one = &server.ends[2];
    paused_one->checked = true;
    paused_one->seed = 12;
    for (unsigned i = 0; i < 60; i++) {
        fill_pattern(bytes, sizeof bytes, 12, n_written);
        ssize_t n = send(raw[2], bytes, sizeof bytes, MSG_NOSIGNAL);
        assert_true(n > 0 || errno == EAGAIN);
        n_written += n > 0 ? (size_t)n : 0;
        for (unsigned k = 0; k < 6; k++)
            if (k != 2)
                raw_write(raw[k], "x");
        contract_turn(c);
    }
    raw_shutdown(raw[2]);
    while (!paused_one->ended) {
        DO(sonde_stream_resume(paused_one->stream));
        contract_turn(c);
    }
    assert_int_equal(paused_one->n_received, n_written);
    for (unsigned i = 0; i < 6; i++)
        close(raw[i]);
    server_wind_up(&server);
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

int main(int argc, char **argv)
{
    static const struct contract_test tests[] = {
        CONTRACT_TEST(all_or_nothing),          CONTRACT_TEST(forward_counts_too),
        CONTRACT_TEST(drained_drives_a_sender), CONTRACT_TEST(drained_after_a_reset),
        CONTRACT_TEST(forward_to_another),      CONTRACT_TEST(forward_anything),
        CONTRACT_TEST(forward_and_finish),      CONTRACT_TEST(forward_and_close_many),
        CONTRACT_TEST(pausing_loses_nothing),   CONTRACT_TEST(resumed_by_another),
        CONTRACT_TEST(end_while_paused),        CONTRACT_TEST(paused_when_accepted),
        CONTRACT_TEST(pause_costs_little),
    };
    return contract_main(argc, argv, tests, sizeof tests / sizeof *tests);
}
