/* SPDX-License-Identifier: MIT */
/*
 * The probe's side of the engines. An operation of io_uring begins when it is submitted and ends in another turn; what
 * is to be told of its beginning waits in a table that exists only while somebody probes. Without memory for the table
 * the event is told all the same, without its start.
 *
 * A socket's cookies never change, but to ask for them takes two system calls: those of streams that send and receive
 * are remembered, by the stream's number and the descriptor, until something else is done with either.
 */
#include "loop/loop_internal.h"

#include <errno.h>
#include <string.h>

void sonde_loop_set_probe(struct sonde_loop *loop, sonde_probe_function function, void *user)
{
    loop->probe = function;
    loop->probe_user = user;
    loop->n_pending = 0;
    loop_free(loop, loop->probe_sockets, PROBE_SOCKETS * sizeof *loop->probe_sockets);
    loop->probe_sockets = function != NULL ? loop_alloc(loop, PROBE_SOCKETS * sizeof *loop->probe_sockets) : NULL;
    if (loop->probe_sockets != NULL)
        memset(loop->probe_sockets, 0, PROBE_SOCKETS * sizeof *loop->probe_sockets);
}

const char *sonde_operation_name(enum sonde_operation operation)
{
    static const char *const names[] = {
#define OPERATION_NAME(name, call) [SONDE_OP_##name] = call,
        SONDE_OPERATIONS(OPERATION_NAME)
#undef OPERATION_NAME
    };
    return (unsigned)operation < SONDE_N_OPERATIONS ? names[operation] : "?";
}

bool loop_probing(const struct sonde_loop *loop)
{
    return probing(loop);
}

unsigned loop_accept_flags(const struct sonde_loop *loop, int64_t *ret_start_ns)
{
    *ret_start_ns = loop->accept_start_ns;
    if (loop->ops->kind != SONDE_ENGINE_URING)
        return 0;
    return loop->n_direct > 0 ? SONDE_PROBE_RING : SONDE_PROBE_RING | SONDE_PROBE_MULTISHOT;
}

static void ask_for_cookies(struct sonde_loop *loop, struct sonde_probe_event *event, int cookie_fd)
{
    socklen_t n = sizeof event->socket_cookie;
    int fd = cookie_fd == -1 ? -1 : io_borrow_fd(loop, cookie_fd);

    if (fd < 0)
        return;
    if (getsockopt(fd, SOL_SOCKET, SO_COOKIE, &event->socket_cookie, &n) < 0)
        event->socket_cookie = 0;
    n = sizeof event->netns_cookie;
    if (getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, &event->netns_cookie, &n) < 0)
        event->netns_cookie = 0;
    io_return_fd(loop, cookie_fd, fd);
}

static void find_cookies(struct sonde_loop *loop, struct sonde_probe_event *event, int cookie_fd)
{
    bool moved = event->operation == SONDE_OP_SEND || event->operation == SONDE_OP_RECEIVE ||
                 event->operation == SONDE_OP_MESSAGE_OUT || event->operation == SONDE_OP_MESSAGE_IN;
    struct probe_socket *known = NULL;

    if (loop->probe_sockets != NULL && event->stream != 0)
        known = &loop->probe_sockets[event->stream & (PROBE_SOCKETS - 1)];
    if (known != NULL && moved && known->stream == event->stream && known->fd == cookie_fd) {
        event->socket_cookie = known->cookie;
        event->netns_cookie = known->netns_cookie;
        return;
    }
    ask_for_cookies(loop, event, cookie_fd);
    if (known != NULL && moved && cookie_fd != -1 && event->socket_cookie != 0)
        *known = (struct probe_socket){event->stream, event->socket_cookie, event->netns_cookie, cookie_fd};
    else if (known != NULL && known->stream == event->stream)
        known->stream = 0;
}

void loop_probe_emit(struct sonde_loop *loop, struct sonde_probe_event *event, int cookie_fd)
{
    if (loop->probe == NULL)
        return;
    event->size = sizeof *event;
    event->end_ns = clock_monotonic_ns();
    /* A socket that is being closed has lost its place already. */
    if (io_is_place(event->fd) || io_is_place(cookie_fd) || (event->operation == SONDE_OP_CLOSE && event->fd == -1)) {
        event->flags |= SONDE_PROBE_DIRECT;
        event->fd = event->fd >= 0 ? event->fd : -1;
        if (event->operation == SONDE_OP_ACCEPT)
            event->result = 0;
    }
    find_cookies(loop, event, cookie_fd);
    loop->probe(event, loop->probe_user);
}

void probe_report(struct sonde_loop *loop, const struct io *io, const struct probe_report *report)
{
    struct sonde_probe_event event = {
        .operation = (uint8_t)report->operation,
        .flags = (uint8_t)report->flags,
        .fd = io->fd,
        .result = report->result,
        .start_ns = report->start_ns,
        .n_bytes = report->n_bytes,
        .stream = io->handler->stream_id != NULL ? io->handler->stream_id(io) : 0,
    };

    switch (report->operation) {
    case SONDE_OP_CONNECT:
        io->handler->connect_target(io, &event);
        event.n_bytes = 0;
        break;
    case SONDE_OP_SEND:
        event.data = report->data;
        event.args[0] = MSG_NOSIGNAL;
        break;
    case SONDE_OP_RECEIVE:
        event.data = report->result > 0 ? report->data : NULL;
        break;
    default:
        break;
    }
    loop_probe_emit(loop, &event, report->operation == SONDE_OP_CLOSE ? -1 : io->fd);
}

void probe_begin(struct sonde_loop *loop, const struct io *io, enum sonde_operation operation, const void *data,
                 size_t n_bytes)
{
    if (loop->n_pending == loop->pending_room) {
        unsigned room = loop->pending_room > 0 ? loop->pending_room * 2 : 32;
        struct probe_pending *pending = loop_alloc(loop, room * sizeof *pending);
        if (pending == NULL)
            return;
        if (loop->n_pending > 0)
            memcpy(pending, loop->pending, loop->n_pending * sizeof *pending);
        loop_free(loop, loop->pending, loop->pending_room * sizeof *pending);
        loop->pending = pending;
        loop->pending_room = room;
    }
    loop->pending[loop->n_pending++] = (struct probe_pending){
        .io = io,
        .data = data,
        .n_bytes = n_bytes,
        .start_ns = clock_monotonic_ns(),
        .operation = (uint8_t)operation,
    };
}

bool probe_has_begun(const struct sonde_loop *loop, const struct io *io, enum sonde_operation operation)
{
    for (unsigned i = 0; i < loop->n_pending; i++)
        if (loop->pending[i].io == io && loop->pending[i].operation == operation)
            return true;
    return false;
}

void probe_finish(struct sonde_loop *loop, const struct io *io, enum sonde_operation operation, int64_t result,
                  unsigned flags)
{
    struct probe_report report = {.operation = operation, .flags = flags, .result = result};

    for (unsigned i = 0; i < loop->n_pending; i++) {
        const struct probe_pending *pending = &loop->pending[i];
        if (pending->io != io || pending->operation != operation)
            continue;
        report.start_ns = pending->start_ns;
        report.data = pending->data;
        report.n_bytes = pending->n_bytes;
        loop->pending[i] = loop->pending[--loop->n_pending];
        break;
    }
    probe_report(loop, io, &report);
}
