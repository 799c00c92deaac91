/* SPDX-License-Identifier: MIT */
/* A stream that is joined to two descriptors; servers and clients in one call. */
#include "ends.h"

#include <fcntl.h>
#include <pthread.h>
#include <sonde/simple.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <termios.h>
#include <unistd.h>

enum { SMALL = 4096, MEGABYTE = 1 << 20 };

/* --- joining ---------------------------------------------------------------------------------------------------- */

/* A stream, a plain socket, and two pipes: what is written into `in` is sent, what is received comes out of `out`. */
struct joint {
    struct pair pair;
    int in, in_end, out, out_end; /* in_end and out_end are the stream's */
};

static void joint_open(struct joint *joint, struct contract *c, enum role role)
{
    int in[2], out[2];

    assert_int_equal(pipe2(in, O_CLOEXEC), 0);
    assert_int_equal(pipe2(out, O_CLOEXEC), 0);
    assert_int_equal(fcntl(in[1], F_SETFL, O_NONBLOCK), 0);
    assert_int_equal(fcntl(out[0], F_SETFL, O_NONBLOCK), 0);
    assert_true(fcntl(out[1], F_SETPIPE_SZ, SMALL) > 0);
    joint->in_end = in[0];
    joint->in = in[1];
    joint->out = out[0];
    joint->out_end = out[1];
    pair_open(&joint->pair, c, role);
    assert_int_equal(CALL(sonde_stream_join(joint->pair.end->stream, joint->in_end, joint->out_end)), 0);
}

static void joint_close(struct joint *joint)
{
    pair_close(&joint->pair);
    close(joint->in_end);
    close(joint->out_end);
    if (joint->in >= 0)
        close(joint->in);
    if (joint->out >= 0)
        close(joint->out);
}

static void type(struct joint *joint, const char *text)
{
    assert_int_equal(write(joint->in, text, strlen(text)), strlen(text));
}

static void type_end(struct joint *joint)
{
    close(joint->in);
    joint->in = -1;
}

static bool has_come(int fd, char *buffer, size_t *n, size_t n_bytes)
{
    int more = raw_read(fd, buffer + *n, n_bytes - *n);

    *n += more > 0 ? (size_t)more : 0;
    return *n == n_bytes;
}

static void expect(struct contract *c, int fd, const char *text)
{
    char buffer[64] = "";
    size_t n = 0;

    until(c, has_come(fd, buffer, &n, strlen(text)));
    assert_string_equal(buffer, text);
}

static void expect_end(struct contract *c, int fd)
{
    char byte;
    int result;

    until(c, (result = raw_read(fd, &byte, 1)) != -EAGAIN);
    assert_int_equal(result, 0);
}

static void joined_both_ways(struct contract *c)
{
    for (enum role role = 0; role < N_ROLES; role++) {
        for (int order = 0; order < 2; order++) {
            struct joint joint = {0};
            joint_open(&joint, c, role);
            type(&joint, "ping");
            expect(c, joint.pair.raw, "ping");
            raw_write(joint.pair.raw, "pong");
            expect(c, joint.out, "pong");
            /* Each end leaves the other direction as it is. */
            if (order == 0) {
                type_end(&joint);
                expect_end(c, joint.pair.raw);
                raw_write(joint.pair.raw, "still there");
                expect(c, joint.out, "still there");
                raw_shutdown(joint.pair.raw);
            } else {
                raw_shutdown(joint.pair.raw);
                some_turns(c);
                type(&joint, "still there");
                expect(c, joint.pair.raw, "still there");
                type_end(&joint);
                expect_end(c, joint.pair.raw);
            }
            until(c, joint.pair.end->closed);
            assert_string_equal(pair_story(&joint.pair), "c");
            joint_close(&joint);
        }
    }
}

static void joined_holds_little(struct contract *c)
{
    struct joint joint = {.pair = {.buffer_bytes = SMALL}};
    static unsigned char bytes[MEGABYTE];
    uint64_t n_read = 0;
    size_t n_sent = 0;

    joint_open(&joint, c, ACCEPTED);
    size_t before = c->memory.n_bytes;
    fill_pattern(bytes, sizeof bytes, 3, 0);
    /* Nobody reads the output. */
    for (int quiet = 0; quiet < 50; quiet++) {
        ssize_t n = send(joint.pair.raw, bytes + n_sent, sizeof bytes - n_sent, MSG_NOSIGNAL);
        n_sent += n > 0 ? (size_t)n : 0;
        quiet = n > 0 ? 0 : quiet;
        contract_turn(c);
    }
    assert_true(n_sent < sizeof bytes);
    assert_true(c->memory.n_bytes - before < 256 * 1024);
    while (n_sent < sizeof bytes) {
        ssize_t n = send(joint.pair.raw, bytes + n_sent, sizeof bytes - n_sent, MSG_NOSIGNAL);
        n_sent += n > 0 ? (size_t)n : 0;
        assert_int_equal(raw_read_pattern(joint.out, 3, &n_read), 0);
        contract_turn(c);
    }
    raw_shutdown(joint.pair.raw);
    until(c, raw_read_pattern(joint.out, 3, &n_read) == 0 && n_read == sizeof bytes);
    type_end(&joint);
    until(c, joint.pair.end->closed);
    joint_close(&joint);
}

static void joined_reads_no_faster(struct contract *c)
{
    struct joint joint = {.pair = {.buffer_bytes = SMALL}};
    static unsigned char bytes[MEGABYTE];
    uint64_t n_read = 0;
    size_t n_typed = 0;
    int result;

    joint_open(&joint, c, CONNECTED);
    fill_pattern(bytes, sizeof bytes, 5, 0);
    /* The peer does not read. */
    for (int quiet = 0; quiet < 50; quiet++) {
        ssize_t n = write(joint.in, bytes + n_typed, sizeof bytes - n_typed);
        n_typed += n > 0 ? (size_t)n : 0;
        quiet = n > 0 ? 0 : quiet;
        contract_turn(c);
    }
    assert_true(n_typed < sizeof bytes);
    assert_true(sonde_stream_queued_bytes(joint.pair.end->stream) < 100 * 1024);
    while (n_typed < sizeof bytes) {
        ssize_t n = write(joint.in, bytes + n_typed, sizeof bytes - n_typed);
        n_typed += n > 0 ? (size_t)n : 0;
        assert_int_equal(raw_read_pattern(joint.pair.raw, 5, &n_read), 0);
        contract_turn(c);
    }
    type_end(&joint);
    until(c, (result = raw_read_pattern(joint.pair.raw, 5, &n_read)) != 0);
    assert_int_equal(result, 1);
    assert_int_equal(n_read, sizeof bytes);
    raw_shutdown(joint.pair.raw);
    until(c, joint.pair.end->closed);
    joint_close(&joint);
}

/* The stream's own limit is less than what is read at once. */
static void joined_within_the_limit(struct contract *c)
{
    const struct sonde_listen_options options = {.size = sizeof options, .send_limit_bytes = 1000};
    struct server server = {.model = {.on_failed = end_abort}};
    static unsigned char bytes[200 * 1000];
    uint64_t n_read = 0;
    int in[2], result;
    size_t n_typed = 0;

    assert_int_equal(pipe2(in, O_CLOEXEC | O_NONBLOCK), 0);
    fill_pattern(bytes, sizeof bytes, 7, 0);
    server_open_at(&server, c, 1, &options, "tcp://127.0.0.1:0?sndbuf=4096");
    int raw = raw_connect_small(server_port(&server), SMALL);
    until(c, server.n_ends == 1);
    assert_int_equal(CALL(sonde_stream_join(server.ends[0].stream, in[0], -1)), 0);
    while (n_typed < sizeof bytes) {
        ssize_t n = write(in[1], bytes + n_typed, sizeof bytes - n_typed);
        n_typed += n > 0 ? (size_t)n : 0;
        if (n < 0)
            assert_int_equal(raw_read_pattern(raw, 7, &n_read), 0);
        contract_turn(c);
    }
    close(in[1]);
    until(c, (result = raw_read_pattern(raw, 7, &n_read)) != 0);
    assert_int_equal(result, 1);
    assert_int_equal(n_read, sizeof bytes);
    close(raw);
    server_wind_up(&server);
    close(in[0]);
}

/* Two read from one pipe: what woke both is taken by the first, and the other must not wait for more in its read. */
static void joined_to_the_same_input(struct contract *c)
{
    struct server server = {.model = {.on_failed = end_abort}};
    int in[2], raw[2], second;
    char buffer[8];

    assert_int_equal(pipe2(in, O_CLOEXEC), 0);
    second = fcntl(in[0], F_DUPFD_CLOEXEC, 0);
    server_open(&server, c, 2);
    for (unsigned i = 0; i < 2; i++) {
        raw[i] = raw_connect(server_port(&server));
        until(c, server.n_ends == i + 1);
        assert_int_equal(CALL(sonde_stream_join(server.ends[i].stream, i == 0 ? in[0] : second, -1)), 0);
    }
    some_turns(c);
    for (int i = 0; i < 20; i++) {
        int n = -EAGAIN;
        assert_int_equal(write(in[1], "x", 1), 1);
        until(c,
              (n = raw_read(raw[0], buffer, sizeof buffer)) > 0 || (n = raw_read(raw[1], buffer, sizeof buffer)) > 0);
        assert_int_equal(n, 1);
    }
    close(in[1]);
    close(raw[0]);
    close(raw[1]);
    server_wind_up(&server);
    close(in[0]);
    close(second);
}

/* A terminal on which nobody reads: it is ready as long as there is room for a byte, and the loop does not wait for
 * more in a write. */
static void joined_to_a_terminal(struct contract *c)
{
    static unsigned char bytes[150 * 1000];
    struct termios raw_mode;

    fill_pattern(bytes, sizeof bytes, 9, 0);
    for (int i = 0; i < 10; i++) {
        struct pair pair = {.role = ACCEPTED};
        uint64_t n_read = 0;
        size_t n_sent = 0;
        int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
        assert_true(master >= 0 && grantpt(master) == 0 && unlockpt(master) == 0);
        int terminal = open(ptsname(master), O_RDWR | O_NOCTTY | O_CLOEXEC);
        assert_int_equal(tcgetattr(terminal, &raw_mode), 0);
        cfmakeraw(&raw_mode);
        assert_int_equal(tcsetattr(terminal, TCSANOW, &raw_mode), 0);
        pair_open(&pair, c, ACCEPTED);
        assert_int_equal(CALL(sonde_stream_join(pair.end->stream, -1, terminal)), 0);
        while (n_sent < sizeof bytes) {
            ssize_t n = send(pair.raw, bytes + n_sent, sizeof bytes - n_sent, MSG_NOSIGNAL);
            n_sent += n > 0 ? (size_t)n : 0;
            if (n < 0)
                assert_true(raw_read_pattern(master, 9, &n_read) <= 0);
            contract_turn(c);
        }
        some_turns(c);
        assert_int_equal(fcntl(terminal, F_GETFL) & O_NONBLOCK, 0);
        until(c, raw_read_pattern(master, 9, &n_read) == 0 && n_read == sizeof bytes);
        pair_close(&pair);
        close(terminal);
        close(master);
    }
}

/* SIGPIPE would end this program. */
static void joined_output_is_gone(struct contract *c)
{
    struct joint joint = {.pair = {.model = {.on_failed = end_abort}}};

    joint_open(&joint, c, ACCEPTED);
    close(joint.out);
    joint.out = -1;
    raw_write(joint.pair.raw, "nobody reads this");
    until(c, joint.pair.end->closed);
    assert_string_equal(pair_story(&joint.pair), "fc");
    assert_int_equal(joint.pair.end->error, -EPIPE);
    assert_string_equal(joint.pair.end->why.call, "write");
    joint_close(&joint);
}

static void joined_peer_resets(struct contract *c)
{
    struct joint joint = {.pair = {.model = {.on_failed = end_abort}}};

    joint_open(&joint, c, CONNECTED);
    type(&joint, "x");
    expect(c, joint.pair.raw, "x");
    raw_reset(joint.pair.raw);
    joint.pair.raw = -1;
    until(c, joint.pair.end->closed);
    assert_string_equal(pair_story(&joint.pair), "fc");
    assert_int_equal(joint.pair.end->error, -ECONNRESET);
    joint_close(&joint);
}

static void joined_to_one(struct contract *c)
{
    struct joint joint = {0};
    struct pair pair = {0};

    /* Nothing to send: what was written before goes, then our end. */
    pair_open(&pair, c, ACCEPTED);
    assert_int_equal(CALL(sonde_stream_write(pair.end->stream, "that is all", 11)), 0);
    assert_int_equal(CALL(sonde_stream_join(pair.end->stream, -1, -1)), 0);
    expect(c, pair.raw, "that is all");
    expect_end(c, pair.raw);
    raw_write(pair.raw, "dropped");
    raw_shutdown(pair.raw);
    until(c, pair.end->closed);
    assert_string_equal(pair_story(&pair), "c");
    pair_close(&pair);

    joint_open(&joint, c, ACCEPTED);
    pair = (struct pair){0};
    joint_close(&joint); /* in the midst of it */
}

static void join_that_fails(struct contract *c)
{
    struct pair pair = {0};
    int fds[2];
    unsigned n_failed = 0;

    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    pair_open(&pair, c, ACCEPTED);
    assert_int_equal(CALL(sonde_stream_join(pair.end->stream, 1000000, fds[1])), -EBADF);
    assert_int_equal(CALL(sonde_stream_join(pair.end->stream, fds[0], 1000000)), -EBADF);
    for (int n = 1; n <= 3; n++) {
        c->memory.fail_at = c->memory.n_calls + n;
        int error = CALL(sonde_stream_join(pair.end->stream, fds[0], fds[1]));
        n_failed += error == -ENOMEM;
        some_turns(c); /* so that the one poll is closed before there is another */
    }
    assert_int_equal(n_failed, 3);
    /* It has changed nothing. */
    raw_write(pair.raw, "hello");
    until(c, pair.end->n_received == 5);
    end_finish(pair.end);
    assert_int_equal(CALL(sonde_stream_join(pair.end->stream, fds[0], fds[1])), -EPERM);
    pair_close(&pair);
    close(fds[0]);
    close(fds[1]);
}

/* --- in one call ------------------------------------------------------------------------------------------------ */

struct told {
    pthread_mutex_t lock;
    char lines[8][256];
    unsigned n;
};

static void tell(const char *line, void *owner)
{
    struct told *told = owner;

    pthread_mutex_lock(&told->lock);
    if (told->n < 8)
        snprintf(told->lines[told->n++], sizeof told->lines[0], "%s", line);
    pthread_mutex_unlock(&told->lock);
}

static unsigned n_told(struct told *told)
{
    pthread_mutex_lock(&told->lock);
    unsigned n = told->n;
    pthread_mutex_unlock(&told->lock);
    return n;
}

static void call_says_why(struct contract *c)
{
    static const struct sonde_stream_handler nothing;
    struct told told = {.lock = PTHREAD_MUTEX_INITIALIZER};
    char url[64], line[128];
    uint16_t port;
    int refusing = raw_refusing(&port, NULL);

    (void)c;
    snprintf(url, sizeof url, "tcp://127.0.0.1:%u", port);
    assert_int_equal(sonde_call(url, &nothing, &told, tell), -ECONNREFUSED);
    assert_int_equal(listen(refusing, 1), 0);
    assert_int_equal(sonde_serve(url, &nothing, &told, 0, tell), -EADDRINUSE);
    close(refusing);
    assert_int_equal(sonde_call("tcp:/x", &nothing, &told, tell), -SONDE_EURL);
    assert_int_equal(sonde_call("", &nothing, NULL, NULL), -SONDE_EURL);
    assert_int_equal(told.n, 3);
    snprintf(line, sizeof line, "connect 127.0.0.1:%u: connection refused", port);
    assert_string_equal(told.lines[0], line);
    assert_non_null(strstr(told.lines[1], "address already in use"));
    assert_non_null(strstr(told.lines[1], "127.0.0.1"));
    assert_non_null(strstr(told.lines[2], "the address is not understood"));
}

struct server_thread {
    pthread_t thread;
    struct told told;
    struct sonde_stream_handler handler;
    unsigned flags;
    int result;
    uint16_t port;
};

static void *serve(void *user)
{
    struct server_thread *server = user;

    server->result = sonde_serve("tcp://127.0.0.1:0", &server->handler, &server->told, server->flags, tell);
    return NULL;
}

static void serve_begin(struct server_thread *server, struct contract *c)
{
    assert_int_equal(pthread_create(&server->thread, NULL, serve, server), 0);
    until(c, n_told(&server->told) == 1);
    const char *start = "listening tcp://127.0.0.1:";
    assert_int_equal(strncmp(server->told.lines[0], start, strlen(start)), 0);
    server->port = (uint16_t)atoi(server->told.lines[0] + strlen(start));
}

static void echo_back(struct sonde_stream *stream, const struct sonde_lent *bytes)
{
    int error = sonde_stream_forward(stream, bytes);

    if (error < 0)
        sonde_stream_fail(stream, error);
}

static void write_and_close(struct sonde_stream *stream)
{
    static const char bytes[100];

    sonde_stream_write(stream, bytes, sizeof bytes);
    sonde_stream_close(stream);
}

static atomic_bool asked_to_stop;

static void stop_when_asked(struct sonde_stream *stream)
{
    if (asked_to_stop)
        sonde_loop_stop(sonde_stream_loop(stream));
}

static void serve_once(struct contract *c)
{
    struct server_thread server = {
        .told = {.lock = PTHREAD_MUTEX_INITIALIZER}, .handler = {.data = echo_back}, .flags = SONDE_SERVE_ONCE};

    serve_begin(&server, c);
    int raw = raw_connect(server.port);
    raw_write(raw, "hello");
    expect(c, raw, "hello");
    raw_shutdown(raw);
    expect_end(c, raw);
    pthread_join(server.thread, NULL);
    close(raw);
    assert_int_equal(server.result, 0);
    assert_int_equal(server.told.n, 1);
}

static void serve_once_and_fail(struct contract *c)
{
    struct server_thread server = {
        .told = {.lock = PTHREAD_MUTEX_INITIALIZER}, .handler = {.data = echo_back}, .flags = SONDE_SERVE_ONCE};

    serve_begin(&server, c);
    int raw = raw_connect(server.port);
    raw_write(raw, "hello");
    expect(c, raw, "hello");
    raw_reset(raw);
    pthread_join(server.thread, NULL);
    assert_int_equal(server.result, -ECONNRESET);
    assert_int_equal(server.told.n, 2);
    assert_int_equal(strncmp(server.told.lines[1], "recv 127.0.0.1:", 15), 0);
    assert_non_null(strstr(server.told.lines[1], ": connection reset by peer"));
}

static void serve_in_turn(struct contract *c)
{
    struct server_thread server = {.told = {.lock = PTHREAD_MUTEX_INITIALIZER},
                                   .handler = {.opened = stop_when_asked, .data = echo_back},
                                   .flags = SONDE_SERVE_IN_TURN};
    char byte;

    asked_to_stop = false;
    serve_begin(&server, c);
    int first = raw_connect(server.port), second = raw_connect(server.port);
    raw_write(second, "second");
    raw_write(first, "first");
    expect(c, first, "first");
    some_turns(c);
    assert_int_equal(raw_read(second, &byte, 1), -EAGAIN);
    raw_shutdown(first);
    expect_end(c, first);
    close(first);
    expect(c, second, "second");
    raw_reset(second); /* is told, and does not end it */
    until(c, n_told(&server.told) == 2);
    asked_to_stop = true;
    int third = raw_connect(server.port);
    pthread_join(server.thread, NULL);
    close(third);
    assert_int_equal(server.result, 0);
}

static void serve_tells_what_was_not_sent(struct contract *c)
{
    struct server_thread server = {
        .told = {.lock = PTHREAD_MUTEX_INITIALIZER}, .handler = {.opened = write_and_close}, .flags = SONDE_SERVE_ONCE};

    serve_begin(&server, c);
    int raw = raw_connect(server.port);
    pthread_join(server.thread, NULL);
    close(raw);
    if (server.result == 0)
        return; /* this engine sends at once */
    assert_int_equal(server.result, -ECANCELED);
    assert_int_equal(server.told.n, 2);
    assert_non_null(strstr(server.told.lines[1], ", 100 bytes not sent"));
}

static void why_in_one_line(struct contract *c)
{
    struct sonde_why why = {.code = -EACCES, .call = "bind", .subject = "127.0.0.1:80"};
    char text[SONDE_WHY_TEXT], little[10];

    (void)c;
    assert_int_equal(sonde_why_text(&why, text, sizeof text), strlen("bind 127.0.0.1:80: permission denied"));
    assert_string_equal(text, "bind 127.0.0.1:80: permission denied");
    snprintf(why.detail, sizeof why.detail, "a\nb\033[31m");
    sonde_why_text(&why, text, sizeof text);
    assert_string_equal(text, "bind 127.0.0.1:80: permission denied (a?b?[31m)");
    why.subject[0] = why.detail[0] = '\0';
    sonde_why_text(&why, text, sizeof text);
    assert_string_equal(text, "bind: permission denied");
    assert_int_equal(sonde_why_text(&why, little, sizeof little), 9);
    assert_string_equal(little, "bind: per");
    assert_int_equal(sonde_why_text(&why, little, 1), 0);
    memset(&why.subject, 'x', sizeof why.subject - 1);
    memset(&why.detail, 'y', sizeof why.detail - 1);
    assert_true(sonde_why_text(&why, text, sizeof text) < sizeof text - 1);
}

int main(int argc, char **argv)
{
    static const struct contract_test tests[] = {
        CONTRACT_TEST(joined_both_ways),
        CONTRACT_TEST(joined_holds_little),
        CONTRACT_TEST(joined_reads_no_faster),
        CONTRACT_TEST(joined_within_the_limit),
        CONTRACT_TEST(joined_to_the_same_input),
        CONTRACT_TEST(joined_to_a_terminal),
        CONTRACT_TEST(joined_output_is_gone),
        CONTRACT_TEST(joined_peer_resets),
        CONTRACT_TEST(joined_to_one),
        CONTRACT_TEST(join_that_fails),
        CONTRACT_TEST(call_says_why),
        CONTRACT_TEST(serve_once),
        CONTRACT_TEST(serve_once_and_fail),
        CONTRACT_TEST(serve_in_turn),
        CONTRACT_TEST(serve_tells_what_was_not_sent),
        CONTRACT_TEST(why_in_one_line),
    };
    return contract_main(argc, argv, tests, sizeof tests / sizeof *tests);
}
