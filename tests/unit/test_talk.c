/* SPDX-License-Identifier: MIT */
/* talk on sockets, with a host of our own: no terminal, no standard input. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "service/service.h"
#include "service/talk_parts.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <poll.h>
#include <sonde/sonde.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define MILLISECOND INT64_C(1000000)
#define DEADLINE_NS (20000 * MILLISECOND)

/* --- the host ----------------------------------------------------------------------------------------------------- */

struct host {
    enum sonde_engine engine;
    struct sonde_loop *loop;
    struct service_run run;
    struct sonde_listener *listener;
    uint16_t port;
    struct sonde_timer turn;
    char log[64 * 1024]; /* what the service told, a line each */
    size_t n_log;
    uint64_t n_lost;
    unsigned n_streams, n_quits, n_closed;
    bool wanted;
};

/* What the host keeps for a connection, and the service's room. */
struct room {
    uint64_t unanswered_bytes;
    int done; /* -1: nothing was said */
};

static struct host *host_of(const struct service_run *run)
{
    return run->host_data;
}

static void note(struct host *host, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void note(struct host *host, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    int n = vsnprintf(host->log + host->n_log, sizeof(host->log) - host->n_log, format, arguments);
    va_end(arguments);
    assert_true(n >= 0 && host->n_log + (size_t)n < sizeof(host->log));
    host->n_log += (size_t)n;
}

static struct room *room_of(const struct sonde_stream *stream)
{
    return sonde_stream_user(stream);
}

static void *own_of(const struct sonde_stream *stream)
{
    return room_of(stream) + 1;
}

static unsigned long number(const struct sonde_stream *stream)
{
    return stream != NULL ? (unsigned long)sonde_stream_id(stream) : 0;
}

static void unanswered(struct service_run *run, struct sonde_stream *stream, uint64_t n_bytes)
{
    (void)run;
    room_of(stream)->unanswered_bytes += n_bytes;
}

static void done(struct service_run *run, struct sonde_stream *stream, enum service_done how)
{
    static const char *const words[] = {"answered", "said all", "kicked", "not reading"};

    note(host_of(run), "done %lu %s\n", number(stream), words[how]);
}

static void broken(struct service_run *run, struct sonde_stream *stream, int error)
{
    note(host_of(run), "broken %lu %d\n", number(stream), error);
}

static void wants_lines(struct service_run *run, bool wanted)
{
    assert_int_not_equal(wanted, host_of(run)->wanted);
    host_of(run)->wanted = wanted;
}

static void said(struct service_run *run, struct sonde_stream *stream, const void *data, size_t n_bytes)
{
    const char *text = data;
    bool ended = text[n_bytes - 1] == '\n';

    assert_true(n_bytes > 0);
    note(host_of(run), "said %lu %zu %.*s%s\n", number(stream), n_bytes, (int)(n_bytes > 40 ? 40 : n_bytes - ended),
         text, ended ? "" : "...");
}

static void spoken(struct service_run *run, struct sonde_stream *stream, unsigned n, const void *data, size_t n_bytes)
{
    (void)data;
    note(host_of(run), "spoken %lu %u %zu\n", number(stream), n, n_bytes);
}

static void answer(struct service_run *run, const char *text)
{
    note(host_of(run), "%s", text);
}

static void tell(struct service_run *run, struct sonde_stream *stream, const char *sentence)
{
    note(host_of(run), "tell %lu %s\n", number(stream), sentence);
}

static void name_of(struct service_run *run, struct sonde_stream *stream, char *ret_text, size_t size_bytes)
{
    (void)run;
    snprintf(ret_text, size_bytes, "name%lu", number(stream));
}

static void quit(struct service_run *run)
{
    host_of(run)->n_quits++;
}

static const struct service_host service_host = {
    .unanswered = unanswered,
    .done = done,
    .broken = broken,
    .wants_lines = wants_lines,
    .said = said,
    .spoken = spoken,
    .answer = answer,
    .tell = tell,
    .name_of = name_of,
    .quit = quit,
};

/* --- streams ------------------------------------------------------------------------------------------------------ */

static void on_data(struct sonde_stream *stream, const struct sonde_lent *bytes)
{
    struct host *host = sonde_stream_owner(stream);

    host->run.service->data(&host->run, stream, own_of(stream), bytes);
}

static void on_end(struct sonde_stream *stream)
{
    struct host *host = sonde_stream_owner(stream);

    host->run.service->end(&host->run, stream, own_of(stream));
}

static void on_drained(struct sonde_stream *stream)
{
    struct host *host = sonde_stream_owner(stream);

    host->run.service->drained(&host->run, stream, own_of(stream));
}

static void on_failed(struct sonde_stream *stream, int error)
{
    struct host *host = sonde_stream_owner(stream);

    host->run.service->failed(&host->run, stream, own_of(stream), error);
    sonde_stream_close(stream);
}

static void on_closed(struct sonde_stream *stream)
{
    struct host *host = sonde_stream_owner(stream);

    host->n_lost += room_of(stream)->unanswered_bytes + sonde_stream_unsent_bytes(stream);
    host->run.service->closed(&host->run, stream, own_of(stream));
    host->n_streams--;
    host->n_closed++;
}

static const struct sonde_stream_handler stream_handler = {
    .data = on_data,
    .end = on_end,
    .drained = on_drained,
    .failed = on_failed,
    .closed = on_closed,
};

static void accepted(struct sonde_listener *listener, struct sonde_stream *stream, void *owner)
{
    struct host *host = owner;

    (void)listener;
    host->n_streams++;
    sonde_stream_set_handler(stream, &stream_handler, host);
    host->run.service->opened(&host->run, stream, own_of(stream));
}

static const struct sonde_listener_handler listener_handler = {.accepted = accepted};

/* --- running ------------------------------------------------------------------------------------------------------ */

static void turn_over(struct sonde_timer *timer)
{
    sonde_loop_stop(timer->loop);
}

static void turn(struct host *host)
{
    sonde_timer_start_in(&host->turn, 2 * MILLISECOND);
    assert_int_equal(sonde_loop_run(host->loop), 0);
}

static int64_t now_ns(void)
{
    struct timespec now;

    syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000 * MILLISECOND + now.tv_nsec;
}

static int64_t ahead_ns;

/* The loop's clock, which may be set forward: what happens after seconds need not be waited for. */
int clock_gettime(clockid_t clock, struct timespec *ret_now)
{
    int result = (int)syscall(SYS_clock_gettime, clock, ret_now);

    if (result == 0 && clock == CLOCK_MONOTONIC) {
        int64_t ns = ret_now->tv_nsec + ahead_ns;
        ret_now->tv_sec += ns / (1000 * MILLISECOND);
        ret_now->tv_nsec = ns % (1000 * MILLISECOND);
    }
    return result;
}

static bool jump(int64_t ns)
{
    ahead_ns += ns;
    return true;
}

#define until(host, condition)                                                                                         \
    do {                                                                                                               \
        for (int64_t end_ns = now_ns() + DEADLINE_NS; !(condition);) {                                                 \
            if (now_ns() > end_ns)                                                                                     \
                fail_msg("waited in vain for %s; the host was told:\n%s", #condition, (host)->log);                    \
            turn(host);                                                                                                \
        }                                                                                                              \
    } while (0)

static bool has(const struct host *host, const char *text)
{
    return strstr(host->log, text) != NULL;
}

static void line(struct host *host, const char *text)
{
    host->run.service->line(&host->run, text, strlen(text));
}

static const enum sonde_engine engines[] = {SONDE_ENGINE_EPOLL, SONDE_ENGINE_URING};

static struct host *host_new(enum sonde_engine engine)
{
    const struct sonde_loop_options loop_options = {.size = sizeof(loop_options), .engine = engine};
    const struct service *service = service_find("talk");
    struct sonde_listen_options options = {.size = sizeof(options)};
    struct host *host = calloc(1, sizeof(*host));
    struct sonde_url url;

    assert_non_null(host);
    assert_non_null(service);
    assert_true(service->connection_bytes <= SERVICE_CONNECTION_BYTES_MAX);
    options.user_bytes = sizeof(struct room) + service->connection_bytes;
    assert_int_equal(sonde_loop_create(&loop_options, &host->loop, NULL), 0);
    sonde_timer_init(&host->turn, host->loop, turn_over, host);
    host->run = (struct service_run){.service = service, .host = &service_host, .host_data = host, .loop = host->loop};
    assert_int_equal(service->start(&host->run), 0);
    assert_int_equal(sonde_url_parse("tcp://127.0.0.1:0?sndbuf=4096", &url, NULL), 0);
    assert_int_equal(sonde_listen(host->loop, &url, &options, &listener_handler, host, &host->listener, NULL), 0);
    sonde_listener_address(host->listener, 0, &url);
    host->port = url.port;
    return host;
}

static void host_free(struct host *host)
{
    for (struct sonde_stream *stream = sonde_stream_next(host->loop, NULL); stream != NULL;
         stream = sonde_stream_next(host->loop, stream))
        sonde_stream_close(stream);
    sonde_listener_close(host->listener);
    assert_int_equal(sonde_loop_run(host->loop), 0);
    assert_int_equal(host->n_streams, 0);
    assert_false(host->wanted);
    host->run.service->release(&host->run);
    assert_int_equal(sonde_loop_destroy(host->loop), 0);
    free(host);
}

/* A client's socket, once the service has it. rcvbuf 0: as usual. */
static int client(struct host *host, int rcvbuf)
{
    const struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(host->port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    unsigned n = host->n_streams;

    assert_true(fd >= 0);
    if (rcvbuf > 0)
        assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &rcvbuf, sizeof(rcvbuf)), 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    until(host, host->n_streams == n + 1);
    return fd;
}

static void client_says(int fd, const void *text, size_t n_bytes)
{
    assert_int_equal(send(fd, text, n_bytes, MSG_NOSIGNAL), (ssize_t)n_bytes);
}

/* Until the client has read exactly this. */
static void client_hears(struct host *host, int fd, const char *expected)
{
    char text[4096];
    size_t n = 0, n_expected = strlen(expected);

    while (n < n_expected) {
        ssize_t got = -1;
        until(host, (got = recv(fd, text + n, n_expected - n, 0)) >= 0 || errno != EAGAIN);
        assert_true(got > 0);
        n += (size_t)got;
    }
    assert_memory_equal(text, expected, n_expected);
}

static bool at_end(int fd)
{
    char byte;

    return recv(fd, &byte, 1, 0) == 0;
}

static bool is_reset(int fd)
{
    char bytes[65536];

    while (recv(fd, bytes, sizeof(bytes), 0) > 0)
        continue;
    return errno == ECONNRESET;
}

/* Each test on each engine that works here. */
static void on_each(void (*test)(struct host *host))
{
    for (size_t i = 0; i < sizeof(engines) / sizeof(engines[0]); i++) {
        if (sonde_engine_probe(engines[i], NULL) != 0)
            continue;
        struct host *host = host_new(engines[i]);
        host->engine = engines[i];
        test(host);
        host_free(host);
    }
}

/* --- tests -------------------------------------------------------------------------------------------------------- */

static void all_and_one(struct host *host)
{
    assert_false(host->wanted);
    line(host, "nobody");
    line(host, "@1 nobody");
    assert_true(has(host, "tell 0 nobody is connected: not sent."));
    assert_true(has(host, "tell 0 there is no client 1"));
    int one = client(host, 0), two = client(host, 0);
    assert_true(host->wanted);
    line(host, "hello");
    line(host, "@2 you");
    line(host, "//slash");
    line(host, "@1");
    client_hears(host, one, "hello\n/slash\n\n");
    client_hears(host, two, "hello\nyou\n/slash\n");
    assert_true(has(host, "spoken 0 2 6\nspoken 2 1 4\nspoken 0 2 7\nspoken 1 1 1\n"));
    close(one);
    until(host, host->n_streams == 1);
    line(host, "@1 gone");
    assert_true(has(host, "tell 0 there is no client 1"));
    line(host, "still there?");
    client_hears(host, two, "still there?\n");
    close(two);
}

static void lines_of_clients(struct host *host)
{
    static char long_line[3 * 4096];
    int one = client(host, 0), two = client(host, 0);

    client_says(one, "a\nb\r\n\nc", 7);
    until(host, has(host, "said 1 2 a\nsaid 1 2 b\nsaid 1 1 \n"));
    client_says(two, "other\n", 6);
    until(host, has(host, "said 2 6 other\n"));
    assert_false(has(host, "said 1 1 c"));
    client_says(one, "d\n", 2);
    until(host, has(host, "said 1 3 cd\n"));
    /* Without its end: after a while. */
    client_says(one, "login: ", 7);
    until(host, jump(100 * MILLISECOND) && has(host, "said 1 7 login: ...\n"));
    /* Then its end alone is not worth a line, but what follows is. */
    client_says(one, "\r\nx\n", 4);
    until(host, has(host, "said 1 2 x\n"));
    assert_true(has(host, "said 1 7 login: ...\nsaid 1 2 x\n"));
    /* Long without an end, and no character is cut in two. */
    memset(long_line, 'y', sizeof(long_line));
    memcpy(long_line + 4095, "\xe4\xb8\xad", 3);
    client_says(one, long_line, sizeof(long_line));
    until(host, has(host, "said 1 4095 yyyy"));
    until(host, has(host, "said 1 4096 \xe4\xb8\xadyyy"));
    until(host, has(host, "said 1 4096 yyy"));
    close(one);
    until(host, has(host, "said 1 1 y...\n"));
    close(two);
}

static void hostile_lines(struct host *host)
{
    int one = client(host, 0);

    client_says(one, "\0\0\n\x80\x80\x80\x80\n", 8);
    until(host, has(host, "said 1 5 "));
    close(one);
}

static void commands(struct host *host)
{
    int one = client(host, 0), two = client(host, 0);

    client_says(one, "12345\n", 6);
    until(host, has(host, "said 1 6"));
    line(host, "/who");
    assert_true(has(host, "[1] name1 since "));
    assert_true(has(host, ", 6 bytes received, 0 sent, 0 waiting\n"));
    assert_true(has(host, "[2] name2 since "));
    line(host, "/help");
    assert_true(has(host, "256 KiB"));
    line(host, "/nonsense \033[2J");
    assert_true(has(host, "tell 0 /nonsense is not a command"));
    line(host, "/no\033[2J");
    assert_true(has(host, "tell 0 /no\\x1b[2J is not a command"));
    line(host, "/kick");
    assert_true(has(host, "tell 0 /kick whom?"));
    line(host, "/who now");
    assert_true(has(host, "tell 0 /who takes nothing"));
    line(host, "/kick 3");
    assert_true(has(host, "tell 0 there is no client 3"));
    line(host, "@2 bye");
    line(host, "/kick 2");
    assert_true(has(host, "done 2 kicked"));
    line(host, "/kick 2");
    assert_true(has(host, "tell 0 there is no client 2"));
    line(host, "to one");
    assert_true(has(host, "spoken 0 1 7"));
    client_hears(host, two, "bye\n");
    until(host, at_end(two));
    client_says(two, "not heard\n", 10);
    close(two);
    until(host, host->n_streams == 1);
    assert_false(has(host, "not heard"));
    assert_int_equal(host->n_quits, 0);
    line(host, "/quit");
    assert_int_equal(host->n_quits, 1);
    close(one);
}

static void the_operator_ends(struct host *host)
{
    int one = client(host, 0), two = client(host, 0);

    line(host, "last words");
    host->run.service->lines_end(&host->run);
    assert_false(host->wanted);
    client_hears(host, one, "last words\n");
    until(host, at_end(one));
    client_hears(host, two, "last words\n");
    until(host, at_end(two));
    client_says(one, "but I\n", 6);
    until(host, has(host, "said 1 6 but I"));
    shutdown(one, SHUT_WR);
    until(host, has(host, "done 1 answered"));
    until(host, host->n_streams == 1);
    assert_int_equal(host->n_quits, 0);
    /* Who comes now is given the end at once. */
    int three = client(host, 0);
    until(host, at_end(three));
    client_says(three, "me too\n", 7);
    until(host, has(host, "me too"));
    close(three);
    shutdown(two, SHUT_WR);
    until(host, host->n_streams == 0);
    assert_int_equal(host->n_quits, 1);
    assert_int_equal(host->n_lost, 0);
    close(one);
    close(two);
}

static void it_ends_before_anybody_comes(struct host *host)
{
    host->run.service->lines_end(&host->run);
    assert_int_equal(host->n_quits, 0);
    int one = client(host, 0);
    assert_false(host->wanted);
    until(host, at_end(one));
    client_says(one, "hello", 5);
    shutdown(one, SHUT_WR);
    until(host, has(host, "said 1 5 hello..."));
    until(host, host->n_quits == 1);
    close(one);
}

/* A client's end is its leaving; what was said to it before reaches it all the same. */
static void a_client_ends(struct host *host)
{
    static char text[1001];
    int one = client(host, 4096), two = client(host, 0);
    size_t n_heard = 0;
    unsigned n_lines = 0;

    memset(text, 'x', sizeof(text) - 1);
    /* So much that some of it waits. */
    for (struct sonde_stream *first = sonde_stream_next(host->loop, NULL);
         sonde_stream_queued_bytes(first) < TALK_QUEUE_BYTES / 2; n_lines++) {
        line(host, "@1 ");
        host->run.service->line(&host->run, text, sizeof(text) - 1);
        turn(host);
    }
    client_says(one, "bye", 3);
    shutdown(one, SHUT_WR);
    until(host, has(host, "said 1 3 bye...\n"));
    line(host, "@1 x");
    assert_true(has(host, "tell 1 has left: not sent."));
    line(host, "/who");
    assert_true(has(host, " waiting, has left\n"));
    line(host, "last");
    assert_true(has(host, "spoken 0 1 5\n"));
    for (ssize_t got = -1; got != 0; turn(host)) {
        char bytes[65536];
        got = recv(one, bytes, sizeof(bytes), 0);
        n_heard += got > 0 ? (size_t)got : 0;
        assert_true(got >= 0 || errno == EAGAIN);
    }
    assert_int_equal(n_heard, n_lines * (1 + sizeof(text)));
    until(host, host->n_streams == 1);
    assert_true(has(host, "done 1 answered"));
    assert_int_equal(host->n_lost, 0);
    close(one);
    close(two);
}

/* A client that does not read: nobody waits for it, its queue is bounded, it is dropped, and what it did not get is
 * counted to the byte. */
static void a_client_that_does_not_read(struct host *host)
{
    static char text[2001];
    uint64_t n_said = 0, n_heard = 0;
    int slow = client(host, 4096), good = client(host, 0);
    unsigned n_turns = 0;

    memset(text, 'x', sizeof(text) - 1);
    while (!has(host, "tell 1 does not read, and is dropped: ")) {
        char bytes[65536];
        line(host, text);
        n_said += sizeof(text);
        /* The other one has everything before the next line is said. */
        for (; n_heard < n_said; n_turns++) {
            ssize_t got = recv(good, bytes, sizeof(bytes), 0);
            n_heard += got > 0 ? (size_t)got : 0;
            turn(host);
            assert_true(n_turns < 100000);
        }
        struct sonde_stream *first = sonde_stream_next(host->loop, NULL);
        assert_true(number(first) != 1 || sonde_stream_queued_bytes(first) <= TALK_QUEUE_BYTES);
        assert_true(n_said < 16 * TALK_QUEUE_BYTES);
    }
    assert_true(n_said > TALK_QUEUE_BYTES);
    assert_true(has(host, "done 1 not reading"));
    until(host, host->n_streams == 1);
    until(host, is_reset(slow));
    assert_true(host->n_lost > TALK_QUEUE_BYTES / 2 && host->n_lost <= n_said);
    char lost[TALK_NUMBER], sentence[128];
    talk_number(host->n_lost, lost);
    snprintf(sentence, sizeof(sentence), "is dropped: %s bytes did not reach it.", lost);
    assert_true(has(host, sentence));
    line(host, "and on");
    client_hears(host, good, "and on\n");
    close(slow);
    close(good);
}

/* Lines from a pipe: asked for as long as somebody takes them. */
static void lines_are_asked_for(struct host *host)
{
    static char text[1001];
    int one = client(host, 4096);

    memset(text, 'x', sizeof(text) - 1);
    for (unsigned n = 0; host->wanted; n++) {
        line(host, text);
        assert_true(n < 100000);
        if (n % 16 == 0)
            turn(host);
    }
    struct sonde_stream *stream = sonde_stream_next(host->loop, NULL);
    assert_true(sonde_stream_queued_bytes(stream) <= TALK_QUEUE_BYTES);
    /* Another one comes, who takes them: this one is waited for no more. */
    int two = client(host, 0);
    assert_true(host->wanted);
    line(host, "@2 x");
    client_hears(host, two, "x\n");
    close(two);
    until(host, host->n_streams == 1);
    assert_false(host->wanted);
    /* It reads: lines are asked for again. */
    char bytes[65536];
    until(host, (recv(one, bytes, sizeof(bytes), 0), host->wanted));
    close(one);
    until(host, host->n_streams == 0);
}

/* Five seconds at least. */
static void a_client_that_stalls_for_a_while(struct host *host)
{
    static char text[1001];
    char bytes[65536];

    if (host->engine != SONDE_ENGINE_EPOLL)
        return; /* once is enough */
    int one = client(host, 4096);
    memset(text, 'x', sizeof(text) - 1);
    while (host->wanted) {
        line(host, text);
        turn(host);
    }
    until(host, jump(100 * MILLISECOND) && has(host, "tell 1 is not reading: "));
    assert_true(has(host, " bytes wait."));
    until(host, (recv(one, bytes, sizeof(bytes), 0), jump(20 * MILLISECOND) && has(host, "tell 1 is reading again.")));
    until(host, (recv(one, bytes, sizeof(bytes), 0), host->wanted));
    assert_int_equal(host->n_streams, 1);
    close(one);
}

static void many_come_and_go(struct host *host)
{
    enum { MANY = 60 };
    int fds[MANY];

    for (int i = 0; i < MANY; i++)
        fds[i] = client(host, 0);
    line(host, "hello");
    for (int i = 0; i < MANY; i += 2) {
        client_hears(host, fds[i], "hello\n");
        close(fds[i]);
    }
    until(host, host->n_streams == MANY / 2);
    line(host, "is anybody there?");
    for (int i = 1; i < MANY; i += 2) {
        client_hears(host, fds[i], "hello\nis anybody there?\n");
        close(fds[i]);
    }
}

#define EACH(test)                                                                                                     \
    static void test##_on_each(void **state)                                                                           \
    {                                                                                                                  \
        (void)state;                                                                                                   \
        on_each(test);                                                                                                 \
    }

EACH(all_and_one)
EACH(lines_of_clients)
EACH(hostile_lines)
EACH(commands)
EACH(the_operator_ends)
EACH(it_ends_before_anybody_comes)
EACH(a_client_ends)
EACH(a_client_that_does_not_read)
EACH(lines_are_asked_for)
EACH(a_client_that_stalls_for_a_while)
EACH(many_come_and_go)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_and_one_on_each),         cmocka_unit_test(lines_of_clients_on_each),
        cmocka_unit_test(hostile_lines_on_each),       cmocka_unit_test(commands_on_each),
        cmocka_unit_test(the_operator_ends_on_each),   cmocka_unit_test(it_ends_before_anybody_comes_on_each),
        cmocka_unit_test(a_client_ends_on_each),       cmocka_unit_test(a_client_that_does_not_read_on_each),
        cmocka_unit_test(lines_are_asked_for_on_each), cmocka_unit_test(a_client_that_stalls_for_a_while_on_each),
        cmocka_unit_test(many_come_and_go_on_each),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
