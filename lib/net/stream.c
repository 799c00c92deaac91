/* SPDX-License-Identifier: MIT */
/*
 * Theory of operation
 *
 * A stream receives as soon as it is open, and tells its owner what comes; sending is in send.c, the polite way to
 * close in finish.c, the way to a connection in connect.c.
 *
 * Three ends are told apart. End of data is a receive of 0. A reset shows up in whichever operation asks the kernel
 * next, and asking consumes it: a send that fails with ECONNRESET leaves the receiving side with a plain end of data.
 * So a failed send is remembered (send_error), its queue is dropped, and receiving goes on until everything that had
 * arrived is delivered; only then failed is called, with what the send found. A peer that resets after its end of data
 * is not heard of by receiving at all: while the stream still may send, the descriptor is watched for it.
 *
 * While a stream is paused, the engine may still hand out what it had taken from the kernel already: it is kept, and
 * delivered after resume, before anything new. So is what came beyond the stream's rate (pace.c).
 */
#include "net/layer.h"
#include "net/pace.h"
#include "net/packet.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

static const int64_t deliver_turn_ns = INT64_C(5) * 1000 * 1000;

enum { ONCE_AFTER_PAUSE = 32, ONCE_IN_BULK = 16 };

/*
 * When does a stream receive one by one rather than multishot? After a pause, and when it has a rate, since multishot
 * would bring more than is wanted before the next pause takes hold; when much comes at once, and on UNIX sockets,
 * because multishot may then miss how it ends (missed.c tells why); and when sending has found the connection gone.
 */
static bool receives_often(const struct sonde_stream *stream)
{
    return stream->once == 0 && stream->send_error == 0 && stream_family(stream) != AF_UNIX && !stream->paced;
}

void stream_ask_again(struct sonde_stream *stream)
{
    stream->once = ONCE_IN_BULK;
    if (stream->io.active & IO_RECV) {
        io_recv_stop(stream->loop, &stream->io);
        stream_read_on(stream);
    }
}

/* The kernel says EPIPE where the peer's reset met a side that had already seen its end of data. It is a reset. */
static int as_event(int error)
{
    return error == -EPIPE ? -ECONNRESET : error;
}

static void deliver(struct sonde_stream *stream, const unsigned char *data, size_t n_bytes, struct io_buffer *buffer)
{
    struct loop_net *net = loop_net(stream->loop);
    struct sonde_lent lent = {.data = data, .n_bytes = n_bytes, .n_whole_bytes = n_bytes};

    if (stream->layers != NULL) {
        layers_take(stream, (uint8_t *)(uintptr_t)data, n_bytes); /* the buffer is ours, and lent to nobody else */
        return;
    }
    stream->n_received += n_bytes;
    net->lent = &lent;
    net->lent_buffer = buffer;
    if (__builtin_expect(net->tap != NULL, 0))
        net->tap(stream, SONDE_IN, &lent, net->tap_user);
    if (stream->handler->data != NULL)
        stream->handler->data(stream, &lent);
    net->lent = NULL;
}

void stream_lend(struct sonde_stream *stream, const unsigned char *data, size_t n_bytes, unsigned flags)
{
    struct loop_net *net = loop_net(stream->loop);
    struct sonde_lent lent = {.data = data, .n_bytes = n_bytes, .flags = flags, .n_whole_bytes = n_bytes};
    struct io_buffer buffer = {.data = data, .n_bytes = n_bytes, .id = -1};

    stream->n_received += n_bytes;
    net->lent = &lent;
    net->lent_buffer = &buffer;
    if (__builtin_expect(net->tap != NULL, 0))
        net->tap(stream, SONDE_IN, &lent, net->tap_user);
    if (stream->handler->data != NULL)
        stream->handler->data(stream, &lent);
    net->lent = NULL;
}

/* May nothing be delivered now? */
static bool is_held(const struct sonde_stream *stream)
{
    if (__builtin_expect(stream->layers != NULL, 0))
        return layers_hold(stream);
    return stream->state & STREAM_PAUSED;
}

void stream_discard_kept(struct sonde_stream *stream)
{
    chunk_free_all(stream->loop, stream->kept);
    stream->kept = NULL;
}

/* A paused stream's bytes are copied out, so that the engine's buffers go back to the others. */
static void keep(struct sonde_stream *stream, const struct io_buffer *buffer)
{
    struct chunk *chunk = chunk_create(stream->loop, buffer->data, buffer->n_bytes, buffer->n_bytes);

    if (chunk == NULL) {
        stream->error = -ENOMEM;
        stream->state |= STREAM_LOSS_WAITS;
        io_recv_stop(stream->loop, &stream->io);
        return;
    }
    struct chunk **last = &stream->kept;
    while (*last != NULL)
        last = &(*last)->next;
    *last = chunk;
}

void stream_fail(struct sonde_stream *stream, int error)
{
    if (stream->state & (STREAM_FAILED | STREAM_CLOSING))
        return;
    if (stream->layers != NULL)
        error = layers_error(stream, error);
    if (stream->packets != NULL)
        packet_forget_peer(stream);
    stream->state |= STREAM_FAILED;
    stream->error = stream->own_call != 0 ? error : as_event(error);
    stream_drop_queue(stream);
    io_recv_stop(stream->loop, &stream->io);
    io_poll_stop(stream->loop, &stream->io);
    pace_stop(stream);
    stream_tell_failed(stream);
    if (stream->state & STREAM_FINISHING)
        sonde_stream_close(stream);
}

void stream_receiving_over(struct sonde_stream *stream, int result)
{
    if (result < 0 || stream->send_error < 0) {
        stream_fail(stream, result < 0 ? result : stream->send_error);
        return;
    }
    if (stream->layers != NULL) {
        layers_take_end(stream);
        if (stream->state & STREAM_FINISHING)
            stream_check_finished(stream);
        return;
    }
    stream_end(stream);
}

void stream_end(struct sonde_stream *stream)
{
    stream->state |= STREAM_ENDED;
    stream_tell_end(stream);
    if (stream->state & (STREAM_CLOSING | STREAM_FAILED))
        return;
    if (stream->state & STREAM_FINISHING)
        stream_check_finished(stream);
    else if (!(stream->state & STREAM_SHUT) && stream->packets == NULL)
        io_poll_start(stream->loop, &stream->io, 0); /* without it a later reset is only noticed by sending */
}

static void on_recv(struct io *io, int result, struct io_buffer *buffer)
{
    struct sonde_stream *stream = STREAM_OF(io);

    if (stream->state & (STREAM_FAILED | STREAM_LOSS_WAITS))
        return;
    if (stream->once > 0 && result > 0)
        stream->once--;
    if (result > 0 && (size_t)result == io_buffer_bytes(stream->loop))
        stream_ask_again(stream); /* more may be coming than multishot should take on */
    else if (result > 0)
        missed_note(stream);
    if (is_held(stream) || stream->kept != NULL) {
        if (result > 0) {
            keep(stream, buffer);
            if (stream->layers != NULL) /* nobody has paused it: it is not open yet, or was paused before */
                io_recv_stop(stream->loop, &stream->io);
        } else {
            stream->error = result;
            stream->state |= result == 0 ? STREAM_END_WAITS : STREAM_LOSS_WAITS;
        }
        return;
    }
    if (result == 0 && stream->lent_id >= 0) {
        /* The answer to the last bytes is still on its way into the kernel: whoever is told of the end now must be able
         * to see whether it has gone. stream_on_sent goes on. */
        stream->state |= STREAM_END_WAITS;
        return;
    }
    if (result <= 0) {
        stream_receiving_over(stream, result);
        return;
    }
    if (__builtin_expect(pace_allows(stream, PACE_RECEIVE, buffer->n_bytes) < buffer->n_bytes, 0)) {
        keep(stream, buffer);
        stream_deliver(stream);
        return;
    }
    pace_took(stream, PACE_RECEIVE, buffer->n_bytes);
    deliver(stream, buffer->data, buffer->n_bytes, buffer);
    if (__builtin_expect(!(io->active & IO_RECV), 0))
        stream_read_on(stream);
}

/* Hung up or in error, after the end of data. */
static void on_poll(struct io *io, int result)
{
    struct sonde_stream *stream = STREAM_OF(io);

    if (!(stream->state & STREAM_FAILED) && result >= 0)
        stream_look_for_reset(stream);
}

void stream_look_for_reset(struct sonde_stream *stream)
{
    int error = 0;
    socklen_t n = sizeof error;

    if (call_getsockopt(stream->loop, stream->io.fd, SOL_SOCKET, SO_ERROR, &error, &n) == 0 && error != 0)
        stream_fail(stream, -error);
    else if (stream->send_error < 0)
        stream_fail(stream, stream->send_error);
    else if (stream->state & STREAM_FINISHING)
        stream_check_finished(stream);
}

/* To the end of the next turn. */
static void put_off(struct sonde_stream *stream, unsigned due)
{
    stream->state |= (uint16_t)due;
    loop_defer(stream->loop, &stream->io);
}

/* What layers make of a few bytes may be a lot (compressed messages): timers and the other streams have their turns in
 * between. */
static bool has_had_its_turn(const struct sonde_stream *stream, int64_t *begin_ns)
{
    if (stream->layers == NULL)
        return false;
    int64_t now_ns = clock_monotonic_ns();
    if (*begin_ns == 0)
        *begin_ns = now_ns;
    return now_ns - *begin_ns >= deliver_turn_ns;
}

void stream_deliver(struct sonde_stream *stream)
{
    int64_t begin_ns = 0;

    if (stream->packets != NULL) {
        packet_deliver(stream);
        return;
    }
    if (stream->layers != NULL && !layers_rise(stream))
        return;
    while (stream->kept != NULL && !is_held(stream) && !(stream->state & (STREAM_CLOSING | STREAM_FAILED)) &&
           !loop_is_stopping(stream->loop)) {
        if (has_had_its_turn(stream, &begin_ns)) {
            put_off(stream, STREAM_READ_AGAIN);
            return;
        }
        struct chunk *chunk = stream->kept;
        struct io_buffer buffer = {.data = chunk->data + chunk->offset, .id = -1};
        buffer.n_bytes = pace_allows(stream, PACE_RECEIVE, chunk->n_bytes - chunk->offset);
        if (buffer.n_bytes == 0)
            return;
        pace_took(stream, PACE_RECEIVE, buffer.n_bytes);
        chunk->offset += (uint32_t)buffer.n_bytes;
        if (chunk->offset < chunk->n_bytes) {
            deliver(stream, buffer.data, buffer.n_bytes, &buffer);
            continue;
        }
        stream->kept = chunk->next;
        chunk->next = NULL;
        deliver(stream, buffer.data, buffer.n_bytes, &buffer);
        chunk_free_all(stream->loop, chunk);
    }
    if (is_held(stream) || stream->state & (STREAM_CLOSING | STREAM_FAILED))
        return;
    if (loop_is_stopping(stream->loop)) {
        put_off(stream, STREAM_READ_AGAIN);
        return;
    }
    if (stream->state & (STREAM_END_WAITS | STREAM_LOSS_WAITS)) {
        int result = stream->state & STREAM_LOSS_WAITS ? stream->error : 0;
        stream->state &= (uint16_t) ~(STREAM_END_WAITS | STREAM_LOSS_WAITS);
        stream_receiving_over(stream, result);
    } else {
        stream_read_on(stream);
    }
}

void stream_on_work(struct io *io)
{
    struct sonde_stream *stream = STREAM_OF(io);
    unsigned due = stream->state & (STREAM_DRAINED_DUE | STREAM_FAILURE_DUE | STREAM_READ_AGAIN);

    stream->state &= (uint16_t)~due;
    if (stream->state & (STREAM_CLOSING | STREAM_FAILED))
        return;
    if (due & STREAM_DRAINED_DUE && !layers_opening(stream) && stream->handler->drained != NULL)
        stream->handler->drained(stream);
    if (due & STREAM_READ_AGAIN)
        stream_deliver(stream); /* or not, if the loop is stopping */
    if (due & STREAM_FAILURE_DUE && (loop_is_stopping(stream->loop) || stream->state & STREAM_READ_AGAIN))
        put_off(stream, STREAM_FAILURE_DUE);
    else if (due & STREAM_FAILURE_DUE)
        stream_fail(stream, stream->send_error);
}

void stream_discard(struct sonde_stream *stream)
{
    struct sonde_loop *loop = stream->loop;

    chunk_free_all(loop, stream->queue);
    chunk_free_all(loop, stream->kept);
    connecting_free(stream);
    finishing_free(stream);
    pace_free(stream);
    layers_free(stream);
    if (stream->packets != NULL)
        packet_free(stream);
    TAILQ_REMOVE(&loop_net(loop)->streams, stream, link);
    if (TAILQ_EMPTY(&loop_net(loop)->streams))
        chunk_free_spare(loop);
    missed_forget(loop);
    loop_free(loop, stream, sizeof *stream + stream->user_bytes);
    loop_add_open(loop, -1);
    loop_add_object(loop, -1);
}

void stream_on_closed(struct io *io)
{
    struct sonde_stream *stream = STREAM_OF(io);
    struct sonde_loop *loop = stream->loop;

    if (stream->lent_id >= 0)
        io_buffer_release(loop, stream->lent_id);
    io->fd = -1;
    stream_tell_closed(stream);
    stream_discard(stream);
    listeners_fd_freed(loop);
}

uint64_t stream_id_of(const struct io *io)
{
    return STREAM_OF(io)->id;
}

static const struct io_handler stream_io_handler = {
    .recv = on_recv,
    .send = stream_on_sent,
    .poll = on_poll,
    .work = stream_on_work,
    .closed = stream_on_closed,
    .stream_id = stream_id_of,
};

void stream_take_io(struct sonde_stream *stream)
{
    stream->io.handler = &stream_io_handler;
    stream->state &= (uint16_t)~STREAM_CONNECTING;
}

int stream_create(struct sonde_loop *loop, int fd, size_t user_bytes, uint64_t send_limit_bytes,
                  struct sonde_stream **ret_stream)
{
    size_t room = (user_bytes + 7) / 8 * 8;

    if (room > UINT16_MAX)
        return -EINVAL;
    struct sonde_stream *stream = loop_alloc(loop, sizeof *stream + room);
    if (stream == NULL)
        return -ENOMEM;
    memset(stream, 0, sizeof *stream + room);
    io_init(&stream->io, &stream_io_handler, fd);
    stream->loop = loop;
    stream->lent_id = -1;
    stream->user_bytes = (uint16_t)room;
    if (send_limit_bytes == 0)
        send_limit_bytes = SONDE_SEND_LIMIT;
    stream->send_limit = send_limit_bytes < UINT32_MAX ? (uint32_t)send_limit_bytes : UINT32_MAX;
    stream->since_ns = sonde_loop_now_ns(loop);
    stream->id = ++loop_net(loop)->last_stream_id;
    TAILQ_INSERT_TAIL(&loop_net(loop)->streams, stream, link);
    loop_add_open(loop, +1);
    loop_add_object(loop, +1);
    *ret_stream = stream;
    return 0;
}

void stream_read_on(struct sonde_stream *stream)
{
    if (stream->packets != NULL) {
        packet_read_on(stream);
        return;
    }
    if (stream->state & (STREAM_CONNECTING | STREAM_ENDED | STREAM_END_WAITS | STREAM_LOSS_WAITS | STREAM_FAILED |
                         STREAM_CLOSING) ||
        is_held(stream) || stream->kept != NULL || pace_allows(stream, PACE_RECEIVE, SIZE_MAX) == 0)
        return;
    int error = io_recv_start(stream->loop, &stream->io, receives_often(stream));
    if (error < 0) {
        stream->error = error;
        stream->state |= STREAM_LOSS_WAITS | STREAM_READ_AGAIN;
        loop_defer(stream->loop, &stream->io);
    }
}

void sonde_stream_pause(struct sonde_stream *stream)
{
    if (stream->state & STREAM_PAUSED)
        return;
    stream->state |= STREAM_PAUSED;
    stream->once = ONCE_AFTER_PAUSE;
    if (!(stream->state & STREAM_CONNECTING) &&
        !layers_opening(stream)) /* what is received before it opens is not for its owner */
        io_recv_stop(stream->loop, &stream->io);
}

void stream_go_on(struct sonde_stream *stream)
{
    if (stream->kept != NULL || stream->state & (STREAM_END_WAITS | STREAM_LOSS_WAITS) ||
        (stream->layers != NULL && layers_hold(stream)) || (stream->packets != NULL && packet_keeps(stream))) {
        stream->state |= STREAM_READ_AGAIN;
        loop_defer(stream->loop, &stream->io);
    } else {
        stream_read_on(stream);
    }
}

void sonde_stream_resume(struct sonde_stream *stream)
{
    if (!(stream->state & STREAM_PAUSED))
        return;
    stream->state &= (uint16_t)~STREAM_PAUSED;
    stream_go_on(stream);
}

int sonde_stream_is_paused(const struct sonde_stream *stream)
{
    return (stream->state & STREAM_PAUSED) != 0;
}

void sonde_stream_close(struct sonde_stream *stream)
{
    if (stream->state & STREAM_CLOSING)
        return;
    if (stream->packets != NULL)
        packet_settle(stream);
    stream_drop_queue(stream);
    stream->state |= STREAM_CLOSING;
    if (stream->state & STREAM_CONNECTING)
        connecting_cancel(stream);
    if (stream->layers != NULL)
        layers_stop(stream);
    if (stream->packets != NULL)
        packet_leave(stream);
    finishing_free(stream);
    pace_stop(stream);
    if (stream->state & STREAM_LINGERS && io_is_file(stream->io.fd))
        linger_not(stream->loop, stream->io.fd);
    io_close(stream->loop, &stream->io);
}

void sonde_stream_abort(struct sonde_stream *stream)
{
    const struct linger reset = {.l_onoff = 1, .l_linger = 0};

    if (!(stream->state & STREAM_CLOSING) && io_is_file(stream->io.fd) && stream->packets == NULL)
        call_setsockopt(stream->loop, stream->id, stream->io.fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    stream->state &= (uint16_t)~STREAM_LINGERS;
    sonde_stream_close(stream);
}
