/* SPDX-License-Identifier: MIT */
/* One address on its way to be a connection: the socket, with its options, and the connect. */
#include "net/address.h"
#include "net/connect_internal.h"
#include "net/packet.h"
#include "net/scheme.h"
#include "net/sockopt.h"
#include "net/unixpath.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

static struct attempt *attempt_of(const struct io *io)
{
    return (struct attempt *)((uintptr_t)io - offsetof(struct attempt, io));
}

static void on_connected(struct io *io, int result)
{
    attempt_done(attempt_of(io), result);
}

static void on_closed(struct io *io)
{
    struct attempt *attempt = attempt_of(io);
    struct sonde_loop *loop = attempt->loop;

    loop_free(loop, attempt, sizeof *attempt);
    loop_add_open(loop, -1);
    loop_add_object(loop, -1);
    listeners_fd_freed(loop);
}

static uint64_t stream_id(const struct io *io)
{
    return attempt_of(io)->stream_id;
}

static void connect_target(const struct io *io, struct sonde_probe_event *event)
{
    const struct attempt *attempt = attempt_of(io);

    probe_set_address(event, (const struct sockaddr *)&attempt->target, attempt->target_bytes);
}

/* There is nothing to be connected to: it stands. */
static void on_work(struct io *io)
{
    if (attempt_of(io)->connecting != NULL)
        attempt_done(attempt_of(io), 0);
}

static bool has_peer(int fd)
{
    struct sockaddr_storage peer;
    socklen_t n = sizeof peer;

    return getpeername(fd, (struct sockaddr *)&peer, &n) == 0;
}

/* A virtual machine has answered, or not. */
static void on_polled(struct io *io, int result)
{
    struct attempt *attempt = attempt_of(io);
    int error = 0;
    socklen_t n = sizeof error;

    if (result >= 0)
        result = call_getsockopt(attempt->loop, io->fd, SOL_SOCKET, SO_ERROR, &error, &n);
    if (result == 0 && error == 0 && !has_peer(io->fd)) { /* io_uring's first poll is told of the connect itself */
        result = io_poll_start(attempt->loop, io, POLLOUT);
        if (result == 0)
            return;
    }
    attempt_done(attempt, result < 0 ? result : -error);
}

/* io_uring asks twice, and takes the second answer, EALREADY, for the last (Linux 6.18). */
static int connect_and_poll(struct attempt *attempt)
{
    int error = call_connect(attempt->loop, attempt->stream_id, attempt->io.fd,
                             (const struct sockaddr *)&attempt->target, attempt->target_bytes);

    return error < 0 && error != -EINPROGRESS ? error : io_poll_start(attempt->loop, &attempt->io, POLLOUT);
}

static const struct io_handler attempt_io_handler = {
    .connect = on_connected,
    .poll = on_polled,
    .work = on_work,
    .closed = on_closed,
    .stream_id = stream_id,
    .connect_target = connect_target,
};

/* The local address to connect from: "ADDRESS", "ADDRESS:PORT" or ":PORT", checked when the URL was parsed. */
static int bind_local(struct connecting *connecting, int fd, int family)
{
    struct sonde_address local = {0};
    struct sockaddr_storage address;
    const char *text = connecting->url.option[SONDE_OPT_BIND].text;

    if (!sockopt_is_set(&connecting->url, SONDE_OPT_BIND))
        return 0;
    int error = address_parse_local(text, family, &local);
    if (error == 0) {
        const int one = 1;
        struct sonde_loop *loop = connecting->stream->loop;
        /* The last connection from this port may still be in TIME_WAIT; of datagrams it would be shared. */
        if (local.port != 0 && connecting->url.scheme != SONDE_SCHEME_UDP)
            call_setsockopt(loop, connecting->stream->id, fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
        socklen_t n = address_to_sockaddr(&local, &address);
        error = call_bind(loop, connecting->stream->id, fd, (struct sockaddr *)&address, n);
    }
    if (error < 0) {
        connecting_set_why(connecting, error, "bind");
        snprintf(connecting->why.subject, sizeof connecting->why.subject, "%s", text);
    }
    return error;
}

/* A socket with its options, bound if that was wished; the descriptor, or an error that is in why. */
static int open_socket(struct connecting *connecting, int family)
{
    struct sonde_loop *loop = connecting->stream->loop;
    int fd = call_socket(loop, family, scheme_type(connecting->url.scheme), url_protocol(&connecting->url));
    if (fd < 0) {
        connecting_set_why(connecting, fd, "socket");
        return fd;
    }
    int error = sockopt_apply(&connecting->url, SOCKOPT_CONNECT, fd, family, connecting_set_option, connecting,
                              &connecting->why);
    if (error == 0) {
        error = packet_prepare(loop, connecting->stream->id, fd, &connecting->url, &connecting->stream->peer);
        if (error < 0)
            connecting_set_why(connecting, error, "setsockopt");
    }
    if (error == 0 && connecting->url.scheme == SONDE_SCHEME_UNIXGRAM) {
        error = packet_autobind(loop, connecting->stream->id, fd);
        if (error < 0)
            connecting_set_why(connecting, error, "bind");
    }
    if (error == 0)
        error = bind_local(connecting, fd, family);
    if (error < 0) {
        call_close(loop, connecting->stream->id, fd);
        return error;
    }
    return fd;
}

int attempt_begin(struct connecting *connecting, unsigned number)
{
    const struct sonde_address *address = &connecting->tried[number].address;
    struct sonde_stream *stream = connecting->stream;
    struct sonde_loop *loop = stream->loop;
    struct attempt *attempt = loop_alloc(loop, sizeof *attempt);

    if (attempt == NULL) {
        connecting_set_why(connecting, -ENOMEM, "malloc");
        return -ENOMEM;
    }
    *attempt = (struct attempt){.loop = loop, .connecting = connecting, .number = number, .stream_id = stream->id};
    attempt->target_bytes = address->family == AF_UNIX ? unix_to_sockaddr(&connecting->url, &attempt->target)
                                                       : address_to_sockaddr(address, &attempt->target);
    int error = open_socket(connecting, address->family);
    if (error < 0)
        goto free_attempt;
    int fd = error;
    io_init(&attempt->io, &attempt_io_handler, fd);
    if (packet_is_group(&connecting->url, address))
        loop_defer(loop, &attempt->io);
    else if (address->family == AF_VSOCK)
        error = connect_and_poll(attempt);
    else
        error = io_connect(loop, &attempt->io, (struct sockaddr *)&attempt->target, attempt->target_bytes);
    if (error < 0) {
        connecting_set_why(connecting, error, "connect");
        io_replace_fd(loop, &attempt->io, -1);
        goto free_attempt;
    }
    LIST_INSERT_HEAD(&connecting->under_way, attempt, link);
    loop_add_open(loop, +1);
    loop_add_object(loop, +1);
    return 0;

free_attempt:
    loop_free(loop, attempt, sizeof *attempt);
    return error;
}

void attempt_drop(struct attempt *attempt)
{
    const struct linger none = {0};

    if (url_lingers(&attempt->connecting->url)) /* it may stand by now: closing would wait */
        setsockopt(attempt->io.fd, SOL_SOCKET, SO_LINGER, &none, sizeof none);
    LIST_REMOVE(attempt, link);
    attempt->connecting = NULL;
    if (!(attempt->io.active &
          (IO_CONNECT | IO_POLL))) /* nothing is under way: the descriptor is free for the next one now */
        io_replace_fd(attempt->loop, &attempt->io, -1);
    io_close(attempt->loop, &attempt->io);
}

void attempt_keep(struct attempt *attempt)
{
    struct sonde_stream *stream = attempt->connecting->stream;
    int fd = attempt->io.fd;

    LIST_REMOVE(attempt, link);
    attempt->connecting = NULL;
    io_detach(attempt->loop, &attempt->io);
    io_replace_fd(stream->loop, &stream->io, fd);
}
