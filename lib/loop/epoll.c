/* SPDX-License-Identifier: MIT */
/*
 * The epoll engine: completions made out of readiness.
 *
 * Theory of operation
 *
 * Level-triggered. A descriptor is registered with what its operations under way wait for; the registration is only
 * changed when that is needed: one that waits for too much is corrected when the superfluous event comes, since a
 * paused stream is usually resumed before. One exception follows from the rule that hang-up and error are always
 * reported: a descriptor on which nothing is under way, and which reports them, is taken out of the set, or the loop
 * would spin on it.
 *
 * A receive does one recv per event into a buffer that all share, so that no stream can starve the others; sends are
 * tried at once and wait for room only when there is none. Regular files cannot be registered; they are always ready,
 * and say so at the end of the turn.
 */
#include "loop/loop_internal.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

enum {
    N_EVENTS = 256,
    BUFFER_BYTES = 64 * 1024,
    ACCEPT_BURST = 64, /* connections taken per event, so that a flood of them does not hold up the rest */
};

/* io->engine */
enum {
    REGISTERED = 1 << 0,
    WANTS_IN = 1 << 1, /* as registered */
    WANTS_OUT = 1 << 2,
    RECV_ONCE = 1 << 3,
    ACCEPT_ONCE = 1 << 4,
    POLL_FOR_IN = 1 << 5,
    POLL_FOR_OUT = 1 << 6,
    ALWAYS_READY = 1 << 7, /* a regular file */
    CLOSING = 1 << 8,
};

struct epoll {
    int fd;
    unsigned char buffer[BUFFER_BYTES];
};

static struct epoll *epoll_of(const struct sonde_loop *loop)
{
    return loop->engine;
}

static int epoll_engine_create(struct sonde_loop *loop, void **ret_engine, struct sonde_why *ret_why)
{
    const char *call = "malloc";
    int error = -ENOMEM;
    struct epoll *epoll = loop_alloc(loop, sizeof *epoll);

    if (epoll != NULL) {
        call = "epoll_create1";
        epoll->fd = epoll_create1(EPOLL_CLOEXEC);
        if (epoll->fd >= 0) {
            *ret_engine = epoll;
            return 0;
        }
        error = -errno;
        loop_free(loop, epoll, sizeof *epoll);
    }
    if (ret_why != NULL)
        *ret_why = (struct sonde_why){.code = error, .call = call};
    return error;
}

static void epoll_engine_destroy(struct sonde_loop *loop)
{
    struct epoll *epoll = epoll_of(loop);

    close(epoll->fd);
    loop_free(loop, epoll, sizeof *epoll);
}

/* --- registration ----------------------------------------------------------------------------------------------- */

static unsigned wanted(const struct io *io)
{
    unsigned wants = 0;

    if (io->active & (IO_RECV | IO_ACCEPT) || (io->active & IO_POLL && io->engine & POLL_FOR_IN))
        wants |= WANTS_IN;
    if (io->active & (IO_SEND | IO_CONNECT) || (io->active & IO_POLL && io->engine & POLL_FOR_OUT))
        wants |= WANTS_OUT;
    return wants;
}

static int set_registration(struct sonde_loop *loop, struct io *io, unsigned wants)
{
    struct epoll_event event = {
        .events = (wants & WANTS_IN ? EPOLLIN : 0u) | (wants & WANTS_OUT ? EPOLLOUT : 0u),
        .data.ptr = io,
    };
    int operation = io->engine & REGISTERED ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;

    if (epoll_ctl(epoll_of(loop)->fd, operation, io->fd, &event) < 0)
        return -errno;
    io->engine = (uint16_t)((io->engine & ~(WANTS_IN | WANTS_OUT)) | REGISTERED | wants);
    return 0;
}

/* Make sure that what is under way is waited for. More than that is left alone here. */
static int register_wanted(struct sonde_loop *loop, struct io *io)
{
    unsigned wants = wanted(io), has = io->engine & (WANTS_IN | WANTS_OUT);

    if (io->engine & ALWAYS_READY)
        return 0;
    if (io->engine & REGISTERED && (has & wants) == wants)
        return 0;
    return set_registration(loop, io, wants);
}

static void unregister(struct sonde_loop *loop, struct io *io)
{
    if (io->engine & REGISTERED)
        epoll_ctl(epoll_of(loop)->fd, EPOLL_CTL_DEL, io->fd, NULL);
    io->engine &= (uint16_t) ~(REGISTERED | WANTS_IN | WANTS_OUT);
}

static int start(struct sonde_loop *loop, struct io *io, unsigned operation)
{
    io->active |= (uint8_t)operation;
    int error = register_wanted(loop, io);
    if (error < 0)
        io->active &= (uint8_t)~operation;
    return error;
}

/* --- operations ------------------------------------------------------------------------------------------------- */

static int epoll_recv_start(struct sonde_loop *loop, struct io *io, bool often)
{
    io->engine = (uint16_t)((io->engine & ~RECV_ONCE) | (often ? 0 : RECV_ONCE));
    return io->active & IO_RECV ? 0 : start(loop, io, IO_RECV);
}

static void epoll_recv_stop(struct sonde_loop *loop, struct io *io)
{
    (void)loop;
    io->active &= (uint8_t)~IO_RECV;
}

static int epoll_send(struct sonde_loop *loop, struct io *io, const void *data, size_t n_bytes, enum io_send_mode mode)
{
    if (probing(loop))
        probe_begin(loop, io, SONDE_OP_SEND, data, n_bytes);
    ssize_t sent = send(io->fd, data, n_bytes, MSG_NOSIGNAL | MSG_DONTWAIT);
    int error = -errno;
    if (probing(loop))
        probe_finish(loop, io, SONDE_OP_SEND, sent < 0 ? error : sent, 0);
    if (sent > 0)
        return (int)sent;
    if (sent < 0 && error != -EAGAIN && error != -EINTR)
        return error;
    if (mode == IO_SEND_NOW)
        return -EAGAIN;
    return start(loop, io, IO_SEND);
}

static int epoll_accept_start(struct sonde_loop *loop, struct io *io, bool often)
{
    io->engine = (uint16_t)((io->engine & ~ACCEPT_ONCE) | (often ? 0 : ACCEPT_ONCE));
    return io->active & IO_ACCEPT ? 0 : start(loop, io, IO_ACCEPT);
}

static void epoll_accept_stop(struct sonde_loop *loop, struct io *io)
{
    (void)loop;
    io->active &= (uint8_t)~IO_ACCEPT;
}

static int epoll_connect(struct sonde_loop *loop, struct io *io, const struct sockaddr *address, socklen_t n_bytes)
{
    if (probing(loop))
        probe_begin(loop, io, SONDE_OP_CONNECT, address, n_bytes);
    int error = connect(io->fd, address, n_bytes) < 0 ? -errno : 0;
    if (probing(loop)) {
        probe_finish(loop, io, SONDE_OP_CONNECT, error, 0);
        if (error == -EINPROGRESS) /* how that ends is told too */
            probe_begin(loop, io, SONDE_OP_CONNECT, address, n_bytes);
    }
    /* EAGAIN is a UNIX socket whose listener's queue is full; there is no event for room in it. */
    if (error < 0 && error != -EINPROGRESS)
        return error;
    return start(loop, io, IO_CONNECT); /* connected at once: writable at once */
}

static int epoll_poll_start(struct sonde_loop *loop, struct io *io, unsigned events)
{
    io->engine = (uint16_t)((io->engine & ~(POLL_FOR_IN | POLL_FOR_OUT)) | (events & POLLIN ? POLL_FOR_IN : 0) |
                            (events & POLLOUT ? POLL_FOR_OUT : 0));
    int error = start(loop, io, IO_POLL);
    if (error == -EPERM) { /* epoll_ctl(2): the file does not support it, being always ready */
        io->engine |= ALWAYS_READY;
        io->active |= IO_POLL;
        error = 0;
    }
    if (io->engine & ALWAYS_READY)
        defer_io(loop, io, DEFER_ENGINE);
    return error;
}

static void epoll_poll_stop(struct sonde_loop *loop, struct io *io)
{
    (void)loop;
    io->active &= (uint8_t)~IO_POLL;
}

static void epoll_retry(struct sonde_loop *loop, struct io *io)
{
    (void)loop;
    if (io->engine & ALWAYS_READY && io->active & IO_POLL) {
        io->active &= (uint8_t)~IO_POLL;
        io->handler->poll(io, (io->engine & POLL_FOR_IN ? POLLIN : 0) | (io->engine & POLL_FOR_OUT ? POLLOUT : 0));
    }
}

static void epoll_close(struct sonde_loop *loop, struct io *io, bool keep_fd)
{
    if (io->active & IO_CONNECT && probing(loop) && probe_has_begun(loop, io, SONDE_OP_CONNECT))
        probe_finish(loop, io, SONDE_OP_CONNECT, -ECANCELED, 0);
    io->active = 0;
    io->engine |= CLOSING;
    /* Closing takes a descriptor out of the set only when it is the file's last: it may have been duplicated. */
    unregister(loop, io);
    if (!keep_fd && io->fd >= 0) {
        if (probing(loop))
            probe_begin(loop, io, SONDE_OP_CLOSE, NULL, 0);
        int error = close(io->fd) < 0 ? -errno : 0;
        if (probing(loop))
            probe_finish(loop, io, SONDE_OP_CLOSE, error, 0);
    }
    defer_io(loop, io, DEFER_CLOSED);
}

static void epoll_forget_fd(struct sonde_loop *loop, struct io *io)
{
    unregister(loop, io);
    io->engine = 0;
}

static void epoll_buffer_release(struct sonde_loop *loop, int id)
{
    (void)loop;
    (void)id; /* never lent for longer than the callback */
}

static const unsigned char *epoll_buffer_data(struct sonde_loop *loop, int id)
{
    (void)id;
    return epoll_of(loop)->buffer;
}

/* --- events ----------------------------------------------------------------------------------------------------- */

static void receive(struct sonde_loop *loop, struct io *io)
{
    struct epoll *epoll = epoll_of(loop);
    int64_t start_ns = probing(loop) ? clock_monotonic_ns() : 0;
    ssize_t got = recv(io->fd, epoll->buffer, BUFFER_BYTES, MSG_DONTWAIT);
    int result = got < 0 ? -errno : (int)got;

    if (result == -EAGAIN || result == -EINTR)
        return;
    if (probing(loop))
        probe_report(loop, io,
                     &(struct probe_report){
                         .operation = SONDE_OP_RECEIVE,
                         .result = result,
                         .start_ns = start_ns,
                         .data = epoll->buffer,
                         .n_bytes = BUFFER_BYTES,
                     });
    if (result <= 0 || io->engine & RECV_ONCE)
        io->active &= (uint8_t)~IO_RECV;
    struct io_buffer buffer = {.data = epoll->buffer, .n_bytes = result > 0 ? (size_t)result : 0, .id = -1};
    io->handler->recv(io, result, &buffer);
}

static void accept_some(struct sonde_loop *loop, struct io *io)
{
    for (int i = 0; i < ACCEPT_BURST && io->active & IO_ACCEPT && !loop->stop; i++) {
        struct sockaddr_storage peer;
        socklen_t peer_bytes = sizeof peer;
        if (probing(loop))
            loop->accept_start_ns = clock_monotonic_ns();
        int fd = accept4(io->fd, (struct sockaddr *)&peer, &peer_bytes, SOCK_CLOEXEC | SOCK_NONBLOCK);
        int result = fd < 0 ? -errno : fd;
        if (result == -EAGAIN || result == -EINTR)
            return;
        if (result < 0 || io->engine & ACCEPT_ONCE)
            io->active &= (uint8_t)~IO_ACCEPT;
        io->handler->accept(io, result, (struct sockaddr *)&peer, peer_bytes);
    }
}

static void connected(struct sonde_loop *loop, struct io *io)
{
    int error = 0;
    socklen_t n = sizeof error;

    io->active &= (uint8_t)~IO_CONNECT;
    if (getsockopt(io->fd, SOL_SOCKET, SO_ERROR, &error, &n) < 0)
        error = errno;
    if (probing(loop) && probe_has_begun(loop, io, SONDE_OP_CONNECT))
        probe_finish(loop, io, SONDE_OP_CONNECT, -error, 0);
    io->handler->connect(io, -error);
}

static int poll_result(const struct io *io, uint32_t events)
{
    int result = (int)(events & (EPOLLERR | EPOLLHUP)); /* the same values as poll(2)'s */

    if (io->engine & POLL_FOR_IN)
        result |= (int)(events & EPOLLIN);
    if (io->engine & POLL_FOR_OUT)
        result |= (int)(events & EPOLLOUT);
    return result;
}

static void dispatch(struct sonde_loop *loop, struct io *io, uint32_t events)
{
    bool trouble = events & (EPOLLERR | EPOLLHUP);
    bool in = events & EPOLLIN || trouble, out = events & EPOLLOUT || trouble;

    /* Each owner's callback may stop or close what the next one is about: active says so. Receiving comes first: it
     * finds what the peer sent before it reset, which a send would hide. */
    if (in && io->active & IO_RECV)
        receive(loop, io);
    if (in && io->active & IO_ACCEPT)
        accept_some(loop, io);
    if (out && io->active & IO_CONNECT && !loop->stop)
        connected(loop, io);
    if (out && io->active & IO_SEND && !loop->stop) {
        io->active &= (uint8_t)~IO_SEND;
        io->handler->send(io, 0); /* there is room: the owner sends again */
    }
    if (io->active & IO_POLL && poll_result(io, events) != 0 && !loop->stop) {
        int result = poll_result(io, events);
        io->active &= (uint8_t)~IO_POLL;
        io->handler->poll(io, result);
    }
    if (io->engine & CLOSING || !(io->engine & REGISTERED))
        return;
    unsigned wants = wanted(io);
    if (trouble && io->active == 0)
        unregister(loop, io);
    else if ((io->engine & (WANTS_IN | WANTS_OUT)) != wants)
        set_registration(loop, io, wants);
}

static int epoll_turn(struct sonde_loop *loop, int64_t timeout_ns)
{
    struct epoll_event events[N_EVENTS];
    int timeout_ms = -1;

    if (timeout_ns >= 0) {
        /* Rounded up: waking early would mean waking twice. */
        int64_t ms = (timeout_ns + 999999) / 1000000;
        timeout_ms = ms > INT32_MAX ? INT32_MAX : (int)ms;
    }
    int n = epoll_wait(epoll_of(loop)->fd, events, N_EVENTS, timeout_ms);
    /* A process that was stopped and goes on is interrupted, too: what came meanwhile is heard before time is up. */
    if (n < 0 && errno == EINTR)
        n = epoll_wait(epoll_of(loop)->fd, events, N_EVENTS, 0);
    if (n < 0)
        return errno == EINTR ? 0 : -errno;
    for (int i = 0; i < n && !loop->stop; i++) {
        struct io *io = events[i].data.ptr;
        if (!(io->engine & CLOSING))
            dispatch(loop, io, events[i].events);
    }
    return 0;
}

const struct engine_ops engine_epoll = {
    .name = "epoll",
    .kind = SONDE_ENGINE_EPOLL,
    .create = epoll_engine_create,
    .destroy = epoll_engine_destroy,
    .turn = epoll_turn,
    .recv_start = epoll_recv_start,
    .recv_stop = epoll_recv_stop,
    .send = epoll_send,
    .accept_start = epoll_accept_start,
    .accept_stop = epoll_accept_stop,
    .connect = epoll_connect,
    .poll_start = epoll_poll_start,
    .poll_stop = epoll_poll_stop,
    .close = epoll_close,
    .forget_fd = epoll_forget_fd,
    .retry = epoll_retry,
    .buffer_release = epoll_buffer_release,
    .buffer_data = epoll_buffer_data,
    .buffer_bytes = BUFFER_BYTES,
    .sends_at_once = true,
};
