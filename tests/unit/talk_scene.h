/* SPDX-License-Identifier: MIT */
/* A host of our own for talk, on sockets: it writes down what the service tells it, and its clock may be set forward.
 */
#ifndef TESTS_UNIT_TALK_SCENE_H
#define TESTS_UNIT_TALK_SCENE_H

#include "service/service.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
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

static inline struct host *host_of(const struct service_run *run)
{
    return run->host_data;
}

static inline void note(struct host *host, const char *format, ...) __attribute__((format(printf, 2, 3)));

static inline void note(struct host *host, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    int n = vsnprintf(host->log + host->n_log, sizeof(host->log) - host->n_log, format, arguments);
    va_end(arguments);
    assert_true(n >= 0 && host->n_log + (size_t)n < sizeof(host->log));
    host->n_log += (size_t)n;
}

static inline struct room *room_of(const struct sonde_stream *stream)
{
    return sonde_stream_user(stream);
}

static inline void *own_of(const struct sonde_stream *stream)
{
    return room_of(stream) + 1;
}

static inline unsigned long number(const struct sonde_stream *stream)
{
    return stream != NULL ? (unsigned long)sonde_stream_id(stream) : 0;
}

static inline void unanswered(struct service_run *run, struct sonde_stream *stream, uint64_t n_bytes)
{
    (void)run;
    room_of(stream)->unanswered_bytes += n_bytes;
}

static inline void done(struct service_run *run, struct sonde_stream *stream, enum service_done how)
{
    static const char *const words[] = {"answered", "said all", "kicked", "not reading"};

    note(host_of(run), "done %lu %s\n", number(stream), words[how]);
}

static inline void broken(struct service_run *run, struct sonde_stream *stream, int error)
{
    note(host_of(run), "broken %lu %d\n", number(stream), error);
}

static inline void wants_lines(struct service_run *run, bool wanted)
{
    assert_int_not_equal(wanted, host_of(run)->wanted);
    host_of(run)->wanted = wanted;
}

static inline void said(struct service_run *run, struct sonde_stream *stream, const void *data, size_t n_bytes)
{
    const char *text = data;
    bool ended = text[n_bytes - 1] == '\n';

    assert_true(n_bytes > 0);
    note(host_of(run), "said %lu %zu %.*s%s\n", number(stream), n_bytes, (int)(n_bytes > 40 ? 40 : n_bytes - ended),
         text, ended ? "" : "...");
}

static inline void spoken(struct service_run *run, struct sonde_stream *stream, unsigned n, const void *data,
                          size_t n_bytes)
{
    (void)data;
    note(host_of(run), "spoken %lu %u %zu\n", number(stream), n, n_bytes);
}

static inline void answer(struct service_run *run, const char *text)
{
    note(host_of(run), "%s", text);
}

static inline void tell(struct service_run *run, struct sonde_stream *stream, const char *sentence)
{
    note(host_of(run), "tell %lu %s\n", number(stream), sentence);
}

static inline void name_of(struct service_run *run, struct sonde_stream *stream, char *ret_text, size_t size_bytes)
{
    (void)run;
    snprintf(ret_text, size_bytes, "name%lu", number(stream));
}

static inline void quit(struct service_run *run)
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

static inline void on_data(struct sonde_stream *stream, const struct sonde_lent *bytes)
{
    struct host *host = sonde_stream_owner(stream);

    host->run.service->data(&host->run, stream, own_of(stream), bytes);
}

static inline void on_end(struct sonde_stream *stream)
{
    struct host *host = sonde_stream_owner(stream);

    host->run.service->end(&host->run, stream, own_of(stream));
}

static inline void on_drained(struct sonde_stream *stream)
{
    struct host *host = sonde_stream_owner(stream);

    host->run.service->drained(&host->run, stream, own_of(stream));
}

static inline void on_failed(struct sonde_stream *stream, int error)
{
    struct host *host = sonde_stream_owner(stream);

    host->run.service->failed(&host->run, stream, own_of(stream), error);
    sonde_stream_close(stream);
}

static inline void on_closed(struct sonde_stream *stream)
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

static inline void accepted(struct sonde_listener *listener, struct sonde_stream *stream, void *owner)
{
    struct host *host = owner;

    (void)listener;
    host->n_streams++;
    sonde_stream_set_handler(stream, &stream_handler, host);
    host->run.service->opened(&host->run, stream, own_of(stream));
}

static const struct sonde_listener_handler listener_handler = {.accepted = accepted};

/* --- running ------------------------------------------------------------------------------------------------------ */

static inline void turn_over(struct sonde_timer *timer)
{
    sonde_loop_stop(timer->loop);
}

static inline void turn(struct host *host)
{
    sonde_timer_start_in(&host->turn, 2 * MILLISECOND);
    assert_int_equal(sonde_loop_run(host->loop), 0);
}

static inline int64_t now_ns(void)
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

static inline bool jump(int64_t ns)
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

static inline bool has(const struct host *host, const char *text)
{
    return strstr(host->log, text) != NULL;
}

static inline void line(struct host *host, const char *text)
{
    host->run.service->line(&host->run, text, strlen(text));
}

static const enum sonde_engine engines[] = {SONDE_ENGINE_EPOLL, SONDE_ENGINE_URING};

static inline struct host *host_new(enum sonde_engine engine)
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

static inline void host_free(struct host *host)
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
static inline int client(struct host *host, int rcvbuf)
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

static inline void client_says(int fd, const void *text, size_t n_bytes)
{
    assert_int_equal(send(fd, text, n_bytes, MSG_NOSIGNAL), (ssize_t)n_bytes);
}

/* Until the client has read exactly this. */
static inline void client_hears(struct host *host, int fd, const char *expected)
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

static inline bool at_end(int fd)
{
    char byte;

    return recv(fd, &byte, 1, 0) == 0;
}

static inline bool is_reset(int fd)
{
    char bytes[65536];

    while (recv(fd, bytes, sizeof(bytes), 0) > 0)
        continue;
    return errno == ECONNRESET;
}

/* Each test on each engine that works here. */
static inline void on_each(void (*test)(struct host *host))
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

#define EACH(test)                                                                                                     \
    static void test##_on_each(void **state)                                                                           \
    {                                                                                                                  \
        (void)state;                                                                                                   \
        on_each(test);                                                                                                 \
    }

#endif
