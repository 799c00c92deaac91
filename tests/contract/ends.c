/* SPDX-License-Identifier: MIT */
#include "ends.h"

#include "net/net_internal.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum { ECHO_FULL = 256 * 1024 };

unsigned char pattern(uint32_t seed, uint64_t offset)
{
    return (unsigned char)(((offset + seed) * UINT64_C(0x9e3779b97f4a7c15)) >> 56);
}

void fill_pattern(unsigned char *bytes, size_t n_bytes, uint32_t seed, uint64_t offset)
{
    for (size_t i = 0; i < n_bytes; i++)
        bytes[i] = pattern(seed, offset + i);
}

/* --- recording -------------------------------------------------------------------------------------------------- */

static struct end *told(struct sonde_stream *stream, char letter)
{
    struct end *end = sonde_stream_owner(stream);
    size_t n = strlen(end->story);

    assert_int_equal(contract_calling, 0);
    assert_ptr_equal(end->stream, stream);
    assert_false(end->closed);
    if (letter != 'c')
        assert_false(end->failed || end->closing);
    if (letter == 'd' || letter == 'e') {
        assert_false(end->ended);
        assert_false(sonde_stream_is_paused(stream));
    }
    if (letter != '\0' && !(letter == 'd' && n > 0 && end->story[n - 1] == 'd')) {
        assert_true(n + 1 < sizeof end->story);
        end->story[n] = letter;
    }
    return end;
}

static void on_opened(struct sonde_stream *stream)
{
    struct end *end = told(stream, 'o');

    assert_string_equal(end->story, "o");
    end->opened = true;
    if (end->on_opened != NULL)
        end->on_opened(end);
}

static void on_data(struct sonde_stream *stream, const struct sonde_lent *bytes)
{
    struct end *end = told(stream, 'd');

    assert_true(bytes->n_bytes > 0);
    for (size_t i = 0; i < bytes->n_bytes; i++) {
        if (end->checked && bytes->data[i] != pattern(end->seed, end->n_received + i))
            fail_msg("byte %llu is wrong", (unsigned long long)(end->n_received + i));
        if (end->n_received + i < sizeof end->text - 1)
            end->text[end->n_received + i] = (char)bytes->data[i];
    }
    end->n_received += bytes->n_bytes;
    assert_int_equal(sonde_stream_received_bytes(stream), end->n_received);
    if (end->on_data != NULL)
        end->on_data(end, bytes);
}

static void on_end(struct sonde_stream *stream)
{
    struct end *end = told(stream, 'e');

    end->ended = true;
    if (end->on_end != NULL)
        end->on_end(end);
}

static void on_drained(struct sonde_stream *stream)
{
    struct end *end = told(stream, '\0');

    end->n_drained++;
    if (end->on_drained != NULL)
        end->on_drained(end);
}

static void on_failed(struct sonde_stream *stream, int error)
{
    struct end *end = told(stream, 'f');

    assert_true(error < 0);
    end->failed = true;
    end->error = error;
    sonde_stream_why(stream, &end->why);
    assert_int_equal(end->why.code, error);
    assert_non_null(end->why.call);
    if (end->on_failed != NULL)
        end->on_failed(end);
}

static void on_closed(struct sonde_stream *stream)
{
    struct end *end = told(stream, 'c');

    assert_int_equal(sonde_stream_fd(stream), -1);
    end->closed = true;
    end->unsent = sonde_stream_unsent_bytes(stream);
    sonde_stream_peer(stream, &end->peer);
    if (end->on_closed != NULL)
        end->on_closed(end);
    end->stream = NULL;
}

const struct sonde_stream_handler end_handler = {
    .opened = on_opened,
    .data = on_data,
    .end = on_end,
    .drained = on_drained,
    .failed = on_failed,
    .closed = on_closed,
};

/* --- reacting --------------------------------------------------------------------------------------------------- */

void end_echo(struct end *end, const struct sonde_lent *bytes)
{
    int error = CALL(sonde_stream_forward(end->stream, bytes));

    if (error == -ENOBUFS)
        fail_msg("the queue is full, though reading was paused");
    if (error == 0 && sonde_stream_queued_bytes(end->stream) >= ECHO_FULL)
        DO(sonde_stream_pause(end->stream));
}

void end_go_on(struct end *end)
{
    DO(sonde_stream_resume(end->stream));
}

void end_close(struct end *end)
{
    end->closing = true;
    DO(sonde_stream_close(end->stream));
}

void end_abort(struct end *end)
{
    end->closing = true;
    DO(sonde_stream_abort(end->stream));
}

void end_finish(struct end *end)
{
    DO(sonde_stream_finish(end->stream, sonde_loop_now_ns(sonde_stream_loop(end->stream)) + 30 * SECOND));
}

void end_shutdown(struct end *end)
{
    DO(sonde_stream_shutdown(end->stream));
}

void end_connect(struct end *end, struct contract *c, const struct sonde_url *url)
{
    struct sonde_why why;

    end->c = c;
    int error = CALL(sonde_connect(c->loop, url, NULL, &end_handler, end, &end->stream, &why));
    if (error < 0)
        fail_msg("connect: %s: %s %s", sonde_strerror(error), why.subject, why.detail);
}

int end_borrow_fd(const struct end *end)
{
    int fd = io_borrow_fd(end->c->loop, end->stream->io.fd);

    assert_true(fd >= 0);
    return fd;
}

void end_return_fd(const struct end *end, int fd)
{
    io_return_fd(end->c->loop, end->stream->io.fd, fd);
}

int end_write(struct end *end, size_t n_bytes)
{
    unsigned char *bytes = malloc(n_bytes);

    assert_non_null(bytes);
    fill_pattern(bytes, n_bytes, end->seed, end->n_written);
    int error = CALL(sonde_stream_write(end->stream, bytes, n_bytes));
    if (error == 0)
        end->n_written += n_bytes;
    free(bytes);
    return error;
}

/* --- servers ---------------------------------------------------------------------------------------------------- */

static void on_accepted(struct sonde_listener *listener, struct sonde_stream *stream, void *owner)
{
    struct server *server = owner;

    assert_int_equal(contract_calling, 0);
    assert_false(server->closed);
    assert_ptr_equal(sonde_stream_listener(stream), listener);
    assert_true(server->n_ends < server->most_ends);
    struct end *end = &server->ends[server->n_ends++];
    *end = server->model;
    end->c = server->c;
    end->stream = stream;
    DO(sonde_stream_set_handler(stream, &end_handler, end));
    if (server->on_accepted != NULL)
        server->on_accepted(end);
}

static void on_trouble(struct sonde_listener *listener, int error, void *owner)
{
    struct server *server = owner;

    assert_int_equal(contract_calling, 0);
    assert_ptr_equal(server->listener, listener);
    server->n_troubles++;
    server->trouble = error;
}

static void on_refused(struct sonde_listener *listener, const struct sonde_address *peer, const struct sonde_why *why,
                       void *owner)
{
    struct server *server = owner;

    assert_int_equal(contract_calling, 0);
    assert_ptr_equal(server->listener, listener);
    assert_false(server->closed);
    assert_true(why->code < 0);
    server->n_refused++;
    server->refusal = why->code;
    server->refused_peer = *peer;
}

static void on_listener_closed(struct sonde_listener *listener, void *owner)
{
    struct server *server = owner;

    assert_int_equal(contract_calling, 0);
    assert_ptr_equal(server->listener, listener);
    assert_false(server->closed);
    server->closed = true;
    server->listener = NULL;
}

const struct sonde_listener_handler server_handler = {
    .accepted = on_accepted,
    .trouble = on_trouble,
    .refused = on_refused,
    .closed = on_listener_closed,
};

void server_open_at(struct server *server, struct contract *c, unsigned most_ends,
                    const struct sonde_listen_options *options, const char *text)
{
    struct sonde_url url = contract_url("%s", text);
    struct sonde_why why;

    server->c = c;
    server->most_ends = most_ends;
    server->ends = calloc(most_ends, sizeof *server->ends);
    assert_non_null(server->ends);
    int error = CALL(sonde_listen(c->loop, &url, options, &server_handler, server, &server->listener, &why));
    if (error < 0)
        fail_msg("%s: %s: %s %s", text, sonde_strerror(error), why.subject, why.detail);
}

void server_open(struct server *server, struct contract *c, unsigned most_ends)
{
    server_open_at(server, c, most_ends, NULL, "tcp://127.0.0.1:0");
}

struct sonde_url server_url(const struct server *server)
{
    struct sonde_url url;

    sonde_listener_address(server->listener, 0, &url);
    return url;
}

uint16_t server_port(const struct server *server)
{
    return server_url(server).port;
}

void server_wind_up(struct server *server)
{
    if (server->listener != NULL)
        DO(sonde_listener_close(server->listener));
    for (unsigned i = 0; i < server->n_ends; i++)
        if (server->ends[i].stream != NULL)
            DO(sonde_stream_close(server->ends[i].stream));
    contract_run(server->c);
    assert_true(server->closed);
    for (unsigned i = 0; i < server->n_ends; i++)
        assert_true(server->ends[i].closed);
    free(server->ends);
}

/* --- plain sockets ---------------------------------------------------------------------------------------------- */

static void set_nonblocking(int fd)
{
    assert_int_equal(fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK), 0);
}

static void set_buffers(int fd, int n_bytes)
{
    if (n_bytes == 0)
        return;
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &n_bytes, sizeof n_bytes), 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &n_bytes, sizeof n_bytes), 0);
}

int raw_connect_small(uint16_t port, int buffer_bytes)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const int one = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    set_buffers(fd, buffer_bytes);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    set_nonblocking(fd);
    return fd;
}

int raw_connect(uint16_t port)
{
    return raw_connect_small(port, 0);
}

int raw_listen(int backlog, int buffer_bytes, uint16_t *ret_port)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof at;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    assert_true(fd >= 0);
    set_buffers(fd, buffer_bytes);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(listen(fd, backlog), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &n), 0);
    *ret_port = ntohs(at.sin_port);
    return fd;
}

int raw_refusing(uint16_t *ret_port, int *ret_other)
{
    struct sockaddr_in6 other = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    const int one = 1;

    for (;;) {
        struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        socklen_t n = sizeof at;
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_true(fd >= 0);
        /* Whoever binds with the same option may connect from there. */
        assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one), 0);
        assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
        assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &n), 0);
        *ret_port = ntohs(at.sin_port);
        if (ret_other == NULL)
            return fd;
        *ret_other = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
        other.sin6_port = at.sin_port;
        if (*ret_other < 0 || bind(*ret_other, (struct sockaddr *)&other, sizeof other) == 0)
            return fd;
        int error = errno;
        close(*ret_other);
        *ret_other = -1;
        if (error != EADDRINUSE)
            return fd;
        close(fd); /* the port is another's there: another port */
    }
}

void raw_until_queued(int listener)
{
    struct pollfd wait = {.fd = listener, .events = POLLIN};

    assert_int_equal(poll(&wait, 1, -1), 1);
}

int raw_accept(struct contract *c, int listener)
{
    int fd = -1;

    until(c, (fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK)) >= 0);
    return fd;
}

void raw_write(int fd, const char *text)
{
    assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

void raw_shutdown(int fd)
{
    assert_int_equal(shutdown(fd, SHUT_WR), 0);
}

void raw_close(int fd)
{
    assert_int_equal(close(fd), 0);
}

void raw_reset(int fd)
{
    const struct linger reset = {.l_onoff = 1, .l_linger = 0};

    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset), 0);
    assert_int_equal(close(fd), 0);
}

int raw_read(int fd, void *buffer, size_t n_bytes)
{
    ssize_t n = read(fd, buffer, n_bytes);

    return n < 0 ? -errno : (int)n;
}

bool raw_all_acknowledged(int fd)
{
    int n = 0;

    assert_int_equal(ioctl(fd, SIOCOUTQ, &n), 0);
    return n == 0;
}

int raw_read_pattern(int fd, uint32_t seed, uint64_t *n_read)
{
    static unsigned char bytes[65536];

    for (;;) {
        int n = raw_read(fd, bytes, sizeof bytes);
        if (n <= 0)
            return n == 0 ? 1 : n == -EAGAIN ? 0 : n;
        for (int i = 0; i < n; i++)
            if (bytes[i] != pattern(seed, *n_read + (unsigned)i))
                fail_msg("byte %llu is wrong", (unsigned long long)(*n_read + (unsigned)i));
        *n_read += (unsigned)n;
    }
}

/* --- pairs ------------------------------------------------------------------------------------------------------ */

static const char *with_buffers(const char *text, uint16_t port, int buffer_bytes)
{
    static char url[128];

    if (buffer_bytes > 0)
        snprintf(url, sizeof url, "%s:%u?sndbuf=%d&rcvbuf=%d", text, port, buffer_bytes, buffer_bytes);
    else
        snprintf(url, sizeof url, "%s:%u", text, port);
    return url;
}

void pair_open(struct pair *pair, struct contract *c, enum role role)
{
    pair->c = c;
    pair->role = role;
    if (role == ACCEPTED) {
        pair->server.model = pair->model;
        server_open_at(&pair->server, c, 1, NULL, with_buffers("tcp://127.0.0.1", 0, pair->buffer_bytes));
        pair->raw = raw_connect_small(server_port(&pair->server), pair->buffer_bytes);
        until(c, pair->server.n_ends == 1);
        pair->end = &pair->server.ends[0];
    } else {
        uint16_t port;
        int listener = raw_listen(1, pair->buffer_bytes, &port);
        struct sonde_url url = contract_url("%s", with_buffers("tcp://127.0.0.1", port, pair->buffer_bytes));
        pair->client = pair->model;
        pair->end = &pair->client;
        end_connect(pair->end, c, &url);
        pair->raw = raw_accept(c, listener);
        until(c, pair->end->opened);
        close(listener);
    }
}

void pair_close(struct pair *pair)
{
    if (pair->raw >= 0)
        close(pair->raw);
    if (pair->end->stream != NULL && !pair->end->closing)
        end_close(pair->end);
    if (pair->role == ACCEPTED)
        server_wind_up(&pair->server);
    else
        contract_run(pair->c);
    if (pair->role == CONNECTED)
        assert_true(pair->end->closed);
}

const char *pair_story(const struct pair *pair)
{
    return pair->end->story + (pair->role == CONNECTED);
}
