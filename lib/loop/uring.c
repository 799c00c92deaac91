/* SPDX-License-Identifier: MIT */
/*
 * The io_uring engine.
 *
 * Theory of operation
 *
 * One ring per loop, SINGLE_ISSUER with DEFER_TASKRUN: completions are only made while this thread is inside
 * io_uring_enter, so a whole batch of them comes from one system call, and every submission of the batch's callbacks
 * goes out with the next one. A completion carries the io's address and, in its low three bits, which operation it was.
 *
 * Receiving is multishot: one request, many results, each in a buffer that the kernel took from a ring of N_BUFFERS
 * and that is given back after the callback, or when its holder releases it. A request that finds no buffer ends with
 * ENOBUFS; it is started again at the end of the turn, when buffers have come back.
 *
 * Stopping is a cancellation, and takes effect later: until the request's last completion comes, IO_RECV stays set,
 * and results that were on their way are still handed out. A start in the meantime is noted (..._AGAIN) and done then.
 *
 * What has a place in the ring's table instead of a descriptor is aimed at by uring_aim; see uring_direct.c.
 *
 * Closing cancels everything on the descriptor, waits for each operation's last completion, and then closes it, as a
 * ring operation too. From the moment of io_close nothing is handed to the owner but `closed`.
 */
#include "loop/uring_internal.h"

#include <errno.h>
#include <poll.h>
#include <unistd.h>

/* io->engine */
enum {
    RECV_STOPPING = 1 << 0,
    RECV_AGAIN = 1 << 1,
    RECV_ONCE = 1 << 2,
    ACCEPT_STOPPING = 1 << 3,
    ACCEPT_AGAIN = 1 << 4,
    ACCEPT_ONCE = 1 << 5,
    POLL_STOPPING = 1 << 6,
    POLL_AGAIN = 1 << 7,
    WANT_IN = 1 << 8,
    WANT_OUT = 1 << 9,
    CLOSING = 1 << 10,
    KEEP_FD = 1 << 11,
    UNSUBMITTED = 1 << 12, /* closing, but there was no room to say so: retry */
    LAST_STEP = 1 << 13,   /* closing, and nothing is left to do but to be told that it is done */
};

/* --- submission ------------------------------------------------------------------------------------------------- */

struct io_uring_sqe *uring_get_sqe(struct uring *uring)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&uring->ring);

    if (__builtin_expect(sqe == NULL, 0)) {
        io_uring_submit(&uring->ring);
        sqe = io_uring_get_sqe(&uring->ring);
    }
    return sqe;
}

static void set_tag(struct io_uring_sqe *sqe, const struct io *io, unsigned tag)
{
    sqe->user_data = (uintptr_t)io | tag;
}

/* Cancel one operation. Should there be no room to say so, nothing is lost but time: results go on coming. */
static bool cancel(struct uring *uring, const struct io *io, unsigned tag)
{
    struct io_uring_sqe *sqe = uring_get_sqe(uring);

    if (sqe == NULL)
        return false;
    io_uring_prep_cancel64(sqe, (uintptr_t)io | tag, 0);
    sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
    sqe->user_data = TAG_IGNORE;
    return true;
}

static int arm_recv(struct uring *uring, struct io *io)
{
    struct io_uring_sqe *sqe = uring_get_sqe(uring);

    if (sqe == NULL)
        return -EAGAIN;
    if (io->engine & RECV_ONCE)
        io_uring_prep_recv(sqe, io->fd, NULL, 0, 0);
    else
        io_uring_prep_recv_multishot(sqe, io->fd, NULL, 0, 0);
    uring_aim(sqe, io->fd);
    sqe->flags |= IOSQE_BUFFER_SELECT;
    sqe->buf_group = URING_BUFFER_GROUP;
    set_tag(sqe, io, TAG_RECV);
    return 0;
}

static int uring_recv_start(struct sonde_loop *loop, struct io *io, bool often)
{
    if (io->active & IO_RECV) {
        if (io->engine & RECV_STOPPING)
            io->engine = (uint16_t)((io->engine & ~RECV_ONCE) | RECV_AGAIN | (often ? 0 : RECV_ONCE));
        return 0;
    }
    io->engine = (uint16_t)((io->engine & ~(RECV_ONCE | RECV_STOPPING | RECV_AGAIN)) | (often ? 0 : RECV_ONCE));
    int error = arm_recv(uring_of(loop), io);
    if (error == 0)
        io->active |= IO_RECV;
    return error;
}

static void uring_recv_stop(struct sonde_loop *loop, struct io *io)
{
    io->engine &= (uint16_t)~RECV_AGAIN;
    if (!(io->engine & RECV_STOPPING) && cancel(uring_of(loop), io, TAG_RECV))
        io->engine |= RECV_STOPPING;
}

static int uring_send(struct sonde_loop *loop, struct io *io, const void *data, size_t n_bytes, enum io_send_mode mode)
{
    struct io_uring_sqe *sqe = uring_get_sqe(uring_of(loop));

    if (sqe == NULL)
        return -EAGAIN;
    /* Not MSG_WAITALL: a send that had got half way when the connection was lost would say how far it got, and the
     * error, which the kernel tells only once, would be gone. */
    int flags = MSG_NOSIGNAL | (mode == IO_SEND_NOW ? MSG_DONTWAIT : 0);
    io_uring_prep_send(sqe, io->fd, data, n_bytes, flags);
    uring_aim(sqe, io->fd);
    set_tag(sqe, io, TAG_SEND);
    io->active |= IO_SEND;
    if (probing(loop))
        probe_begin(loop, io, SONDE_OP_SEND, data, n_bytes);
    return 0;
}

/* Into a place: one by one always, since only so each brings its peer's address. */
static void prepare_accept_direct(struct uring *uring, struct io *io, struct io_uring_sqe *sqe)
{
    struct io_peer *peer = io->handler->peer_room(io);

    peer->n_bytes = sizeof peer->address;
    io_uring_prep_accept(sqe, io->fd, (struct sockaddr *)&peer->address, &peer->n_bytes, SOCK_NONBLOCK);
    sqe->file_index = IORING_FILE_INDEX_ALLOC; /* by hand: liburing 2.3 adds one to it */
    uring->n_taken++;
}

static int arm_accept(struct uring *uring, struct io *io)
{
    if (uring->n_places > 0 && uring->n_taken == uring->n_places)
        return -ENFILE;
    struct io_uring_sqe *sqe = uring_get_sqe(uring);
    if (sqe == NULL)
        return -EAGAIN;
    if (uring->n_places > 0)
        prepare_accept_direct(uring, io, sqe);
    else if (io->engine & ACCEPT_ONCE)
        io_uring_prep_accept(sqe, io->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    else
        io_uring_prep_multishot_accept(sqe, io->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    set_tag(sqe, io, TAG_ACCEPT);
    return 0;
}

static int uring_accept_start(struct sonde_loop *loop, struct io *io, bool often)
{
    if (io->active & IO_ACCEPT) {
        if (io->engine & ACCEPT_STOPPING)
            io->engine |= ACCEPT_AGAIN;
        return 0;
    }
    io->engine = (uint16_t)((io->engine & ~(ACCEPT_ONCE | ACCEPT_STOPPING | ACCEPT_AGAIN)) | (often ? 0 : ACCEPT_ONCE));
    int error = arm_accept(uring_of(loop), io);
    if (error == 0)
        io->active |= IO_ACCEPT;
    return error;
}

static void uring_accept_stop(struct sonde_loop *loop, struct io *io)
{
    io->engine &= (uint16_t)~ACCEPT_AGAIN;
    if (!(io->engine & ACCEPT_STOPPING) && cancel(uring_of(loop), io, TAG_ACCEPT))
        io->engine |= ACCEPT_STOPPING;
}

static int uring_connect(struct sonde_loop *loop, struct io *io, const struct sockaddr *address, socklen_t n_bytes)
{
    struct io_uring_sqe *sqe = uring_get_sqe(uring_of(loop));

    if (sqe == NULL)
        return -EAGAIN;
    io_uring_prep_connect(sqe, io->fd, address, n_bytes);
    set_tag(sqe, io, TAG_CONNECT);
    io->active |= IO_CONNECT;
    if (probing(loop))
        probe_begin(loop, io, SONDE_OP_CONNECT, address, n_bytes);
    return 0;
}

/* What the owner waits for. io_uring reports POLLRDHUP too, asked for or not: a half-close, which is none of that. */
static unsigned polled_for(const struct io *io)
{
    return (io->engine & WANT_IN ? POLLIN : 0) | (io->engine & WANT_OUT ? POLLOUT : 0) | POLLERR | POLLHUP | POLLNVAL;
}

/* `often`: for a socket that is half-closed already. Asking once would find that again and again; a multishot poll
 * finds it once, and then what comes. */
static int arm_poll(struct uring *uring, struct io *io, bool often)
{
    struct io_uring_sqe *sqe = uring_get_sqe(uring);

    if (sqe == NULL)
        return -EAGAIN;
    io_uring_prep_poll_add(sqe, io->fd, polled_for(io) & ~(unsigned)POLLNVAL);
    uring_aim(sqe, io->fd);
    if (often)
        sqe->len = IORING_POLL_ADD_MULTI;
    set_tag(sqe, io, TAG_POLL);
    return 0;
}

static int uring_poll_start(struct sonde_loop *loop, struct io *io, unsigned events)
{
    io->engine = (uint16_t)((io->engine & ~(WANT_IN | WANT_OUT)) | (events & POLLIN ? WANT_IN : 0) |
                            (events & POLLOUT ? WANT_OUT : 0));
    if (io->active & IO_POLL) {
        io->engine |= POLL_AGAIN; /* with the new events, when the cancelled one is gone */
        return 0;
    }
    io->engine &= (uint16_t) ~(POLL_STOPPING | POLL_AGAIN);
    int error = arm_poll(uring_of(loop), io, false);
    if (error == 0)
        io->active |= IO_POLL;
    return error;
}

static void uring_poll_stop(struct sonde_loop *loop, struct io *io)
{
    io->engine &= (uint16_t)~POLL_AGAIN;
    if (!(io->engine & POLL_STOPPING)) {
        io->engine |= POLL_STOPPING;
        cancel(uring_of(loop), io, TAG_POLL);
    }
}

/* --- closing ---------------------------------------------------------------------------------------------------- */

static void close_later(struct sonde_loop *loop, struct io *io)
{
    io->engine |= UNSUBMITTED;
    defer_io(loop, io, DEFER_ENGINE);
}

/* Each by its name. The kernel could find them by their descriptor, but to do so it looks at all that waits in the
 * ring: with thousands of connections that is a millisecond for each that is closed. */
static void cancel_all(struct sonde_loop *loop, struct io *io)
{
    for (unsigned tag = TAG_RECV; tag <= TAG_POLL; tag++)
        if (io->active & 1u << tag && !cancel(uring_of(loop), io, tag)) {
            close_later(loop, io);
            return;
        }
}

/* The next step of closing; called again when something has completed or there may be room again. */
static void go_on_closing(struct sonde_loop *loop, struct io *io, bool first)
{
    struct uring *uring = uring_of(loop);

    if (io->engine & LAST_STEP)
        return;
    if (io->active != 0) {
        if (first)
            cancel_all(loop, io);
        return; /* more last completions are to come */
    }
    if (io->engine & KEEP_FD || !io_is_file(io->fd)) {
        io->engine |= LAST_STEP;
        defer_io(loop, io, DEFER_CLOSED);
        return;
    }
    struct io_uring_sqe *sqe = uring_get_sqe(uring);
    if (sqe == NULL) {
        close_later(loop, io);
        return;
    }
    if (probing(loop))
        probe_begin(loop, io, SONDE_OP_CLOSE, NULL, 0);
    if (io_is_place(io->fd)) {
        /* From here on the place may be another connection's: whatever is accepted later is submitted later. */
        io_uring_prep_close_direct(sqe, io_place(io->fd));
        io->fd = -1;
        uring->n_taken--;
    } else {
        io_uring_prep_close(sqe, io->fd);
    }
    set_tag(sqe, io, TAG_CLOSE);
    io->engine |= LAST_STEP;
}

static void uring_close(struct sonde_loop *loop, struct io *io, bool keep_fd)
{
    if (io->deferred & DEFER_ENGINE) {
        /* It waited for buffers: nothing of its receiving is in the kernel. */
        io->active &= (uint8_t)~IO_RECV;
    }
    io->engine = (uint16_t)(CLOSING | (keep_fd ? KEEP_FD : 0));
    go_on_closing(loop, io, true);
}

static void uring_retry(struct sonde_loop *loop, struct io *io)
{
    if (io->engine & UNSUBMITTED) {
        io->engine &= (uint16_t)~UNSUBMITTED;
        go_on_closing(loop, io, true);
    } else if (!(io->engine & CLOSING) && io->active & IO_RECV) {
        if (io->engine & RECV_STOPPING) { /* stopped while it waited for buffers */
            bool again = io->engine & RECV_AGAIN;
            io->engine &= (uint16_t) ~(RECV_STOPPING | RECV_AGAIN);
            if (!again) {
                io->active &= (uint8_t)~IO_RECV;
                return;
            }
        }
        int error = arm_recv(uring_of(loop), io);
        if (error < 0) {
            io->active &= (uint8_t)~IO_RECV;
            io->handler->recv(io, error, NULL);
        }
    }
}

static void uring_forget_fd(struct sonde_loop *loop, struct io *io)
{
    (void)loop;
    io->engine = 0;
}

/* --- buffers ---------------------------------------------------------------------------------------------------- */

static void uring_buffer_release(struct sonde_loop *loop, int id)
{
    struct uring *uring = uring_of(loop);

    io_uring_buf_ring_add(uring->buffer_ring, buffer_at(uring, id), URING_BUFFER_BYTES, (unsigned short)id,
                          URING_N_BUFFERS - 1, (int)uring->n_returned++);
}

static const unsigned char *uring_buffer_data(struct sonde_loop *loop, int id)
{
    return buffer_at(uring_of(loop), id);
}

static void show_returned(struct uring *uring)
{
    if (uring->n_returned > 0) {
        io_uring_buf_ring_advance(uring->buffer_ring, (int)uring->n_returned);
        uring->n_returned = 0;
    }
}

/* --- completion ------------------------------------------------------------------------------------------------- */

static void complete_recv(struct sonde_loop *loop, struct io *io, int result, unsigned flags)
{
    struct uring *uring = uring_of(loop);
    struct io_buffer buffer = {.id = -1};

    if (flags & IORING_CQE_F_BUFFER) {
        buffer.id = (int)(flags >> IORING_CQE_BUFFER_SHIFT);
        buffer.data = buffer_at(uring, buffer.id);
        buffer.n_bytes = result > 0 ? (size_t)result : 0;
    }
    bool last = !(flags & IORING_CQE_F_MORE), tell = !(io->engine & CLOSING);
    if (last && tell) {
        bool stopped = io->engine & RECV_STOPPING, again = io->engine & RECV_AGAIN;
        io->engine &= (uint16_t) ~(RECV_STOPPING | RECV_AGAIN);
        if (result == -ENOBUFS || (stopped && result == -ECANCELED))
            tell = false;
        bool rearm = stopped ? again : (result > 0 && !(io->engine & RECV_ONCE));
        if (result == -ENOBUFS && (!stopped || again)) {
            defer_io(loop, io, DEFER_ENGINE); /* IO_RECV stays set: for the owner nothing has happened */
        } else if (!rearm || (result <= 0 && result != -ECANCELED) || arm_recv(uring, io) < 0) {
            /* Should arming fail, which takes a kernel that accepts no submissions, the owner sees IO_RECV clear. */
            io->active &= (uint8_t)~IO_RECV;
        }
    } else if (last) {
        io->active &= (uint8_t)~IO_RECV;
    }
    if (tell) {
        if (probing(loop))
            probe_report(loop, io,
                         &(struct probe_report){
                             .operation = SONDE_OP_RECEIVE,
                             .flags = SONDE_PROBE_RING | (io->engine & RECV_ONCE ? 0 : SONDE_PROBE_MULTISHOT),
                             .result = result,
                             .data = buffer.data,
                             .n_bytes = URING_BUFFER_BYTES,
                         });
        io->handler->recv(io, result, &buffer);
    }
    if (buffer.id >= 0 && !buffer.held)
        uring_buffer_release(loop, buffer.id);
}

static void complete_accept(struct sonde_loop *loop, struct io *io, int result, unsigned flags)
{
    bool last = !(flags & IORING_CQE_F_MORE), taken = result >= 0;
    struct uring *uring = uring_of(loop);
    struct io_peer peer;

    peer.n_bytes = 0;
    if (uring->n_places > 0) {
        if (taken) {
            /* The next one's address may come before this one's was looked at. */
            peer = *io->handler->peer_room(io);
            result = io_of_place((unsigned)result);
        } else {
            uring->n_taken--;
        }
    }
    if (io->engine & CLOSING) {
        if (last)
            io->active &= (uint8_t)~IO_ACCEPT;
        if (taken) /* while the listener was closing: reset, as the kernel does with the rest */
            io_reset(loop, result);
        return;
    }
    if (last) {
        bool stopped = io->engine & ACCEPT_STOPPING, again = io->engine & ACCEPT_AGAIN;
        io->engine &= (uint16_t) ~(ACCEPT_STOPPING | ACCEPT_AGAIN);
        bool rearm = stopped ? again : (taken && !(io->engine & ACCEPT_ONCE));
        if (!rearm || arm_accept(uring, io) < 0)
            io->active &= (uint8_t)~IO_ACCEPT;
        if (stopped && result == -ECANCELED)
            return;
    }
    bool named = peer.n_bytes > 0 && peer.n_bytes <= sizeof peer.address;
    io->handler->accept(io, result, named ? (struct sockaddr *)&peer.address : NULL, named ? peer.n_bytes : 0);
}

static void complete_poll(struct sonde_loop *loop, struct io *io, int result, unsigned flags)
{
    bool stopped = io->engine & POLL_STOPPING, again = io->engine & POLL_AGAIN, more = flags & IORING_CQE_F_MORE;

    if (stopped || result == -ECANCELED) {
        if (more)
            return;
        /* Level-triggered: what was ready is found ready again by the new poll. */
        io->engine &= (uint16_t) ~(POLL_STOPPING | POLL_AGAIN);
        if (!again || arm_poll(uring_of(loop), io, false) < 0)
            io->active &= (uint8_t)~IO_POLL;
        return;
    }
    if (result > 0 && !((unsigned)result & polled_for(io))) {
        if (more || arm_poll(uring_of(loop), io, true) == 0)
            return;
        result = -EAGAIN;
    }
    if (more)
        uring_poll_stop(loop, io); /* once is enough; IO_POLL stays set until it has gone */
    else
        io->active &= (uint8_t)~IO_POLL;
    io->handler->poll(io, result > 0 ? (int)((unsigned)result & polled_for(io)) : result);
}

static void complete(struct sonde_loop *loop, const struct io_uring_cqe *cqe)
{
    unsigned tag = cqe->user_data & TAG_MASK;
    struct io *io = (struct io *)(uintptr_t)(cqe->user_data & ~(__u64)TAG_MASK);
    int result = cqe->res;

    switch (tag) {
    case TAG_RECV:
        complete_recv(loop, io, result, cqe->flags);
        break;
    case TAG_SEND:
        io->active &= (uint8_t)~IO_SEND;
        if (probing(loop))
            probe_finish(loop, io, SONDE_OP_SEND, result, SONDE_PROBE_RING);
        if (!(io->engine & CLOSING))
            io->handler->send(io, result);
        break;
    case TAG_ACCEPT:
        complete_accept(loop, io, result, cqe->flags);
        break;
    case TAG_CONNECT:
        io->active &= (uint8_t)~IO_CONNECT;
        if (probing(loop))
            probe_finish(loop, io, SONDE_OP_CONNECT, result, SONDE_PROBE_RING);
        if (!(io->engine & CLOSING))
            io->handler->connect(io, result);
        break;
    case TAG_POLL:
        if (!(io->engine & CLOSING))
            complete_poll(loop, io, result, cqe->flags);
        else if (!(cqe->flags & IORING_CQE_F_MORE))
            io->active &= (uint8_t)~IO_POLL;
        break;
    case TAG_CLOSE:
        if (probing(loop))
            probe_finish(loop, io, SONDE_OP_CLOSE, result, SONDE_PROBE_RING);
        if (io->deferred != 0)
            defer_io(loop, io, DEFER_CLOSED); /* still on the list: it goes when its turn comes there */
        else
            io->handler->closed(io);
        return;
    case TAG_ANSWER:
        uring_late_answer(cqe);
        return;
    default:
        return;
    }
    /* The io may have been closed by what it was just told, or before: is this the last thing that it waited for? */
    if (io->engine & CLOSING && io->active == 0 && !(io->engine & UNSUBMITTED))
        go_on_closing(loop, io, false);
}

enum { BATCH = 64 };

static int uring_turn(struct sonde_loop *loop, int64_t timeout_ns)
{
    struct uring *uring = uring_of(loop);
    int error;

    show_returned(uring);
    if (__builtin_expect(uring->n_aside > 0, 0))
        timeout_ns = 0;
    if (timeout_ns < 0) {
        error = io_uring_submit_and_wait(&uring->ring, 1);
    } else if (timeout_ns == 0) {
        error = io_uring_submit_and_get_events(&uring->ring);
    } else {
        struct io_uring_cqe *unused;
        struct __kernel_timespec timeout = {timeout_ns / 1000000000, timeout_ns % 1000000000};
        error = io_uring_submit_and_wait_timeout(&uring->ring, &unused, 1, &timeout, NULL);
    }
    if (error < 0 && error != -EINTR && error != -ETIME && error != -EAGAIN && error != -EBUSY)
        return error;

    struct io_uring_cqe *batch[BATCH], first;
    unsigned n;
    do {
        while (__builtin_expect(uring->n_aside > 0, 0) && !loop->stop && uring_take_aside(loop, &first))
            complete(loop, &first);
        n = io_uring_peek_batch_cqe(&uring->ring, batch, BATCH);
        uring->n_batch = n;
        uring->n_done = 0;
        while (uring->n_done < uring->n_batch && !loop->stop) {
            const struct io_uring_cqe *cqe = batch[uring->n_done++];
            /* With many connections the next one's memory is in no cache: have it fetched meanwhile. */
            if (uring->n_done < uring->n_batch) {
                const char *next = (const char *)(uintptr_t)batch[uring->n_done]->user_data;
                __builtin_prefetch(next);
                __builtin_prefetch(next + 64);
            }
            complete(loop, cqe);
        }
        io_uring_cq_advance(&uring->ring, uring->n_done); /* the rest stays in the ring for the next run */
        uring->n_batch = uring->n_done = 0;
    } while ((n == BATCH || uring->n_aside > 0) && !loop->stop);
    return 0;
}

const struct engine_ops engine_uring = {
    .name = "uring",
    .kind = SONDE_ENGINE_URING,
    .create = uring_create,
    .destroy = uring_destroy,
    .enter_thread = uring_enter_thread,
    .turn = uring_turn,
    .recv_start = uring_recv_start,
    .recv_stop = uring_recv_stop,
    .send = uring_send,
    .accept_start = uring_accept_start,
    .accept_stop = uring_accept_stop,
    .connect = uring_connect,
    .poll_start = uring_poll_start,
    .poll_stop = uring_poll_stop,
    .close = uring_close,
    .forget_fd = uring_forget_fd,
    .retry = uring_retry,
    .buffer_release = uring_buffer_release,
    .buffer_data = uring_buffer_data,
    .borrow_fd = uring_borrow_fd,
    .return_fd = uring_return_fd,
    .close_place = uring_close_place,
    .buffer_bytes = URING_BUFFER_BYTES,
    .misses_ends = true,
};
