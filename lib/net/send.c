/* SPDX-License-Identifier: MIT */
/*
 * Sending.
 *
 * Theory of operation
 *
 * One send is under way at a time. What comes while it is goes into a queue of chunks, which is bounded; small writes
 * share a chunk. On an engine that takes bytes at once nothing is copied that the kernel has room for.
 *
 * Forwarded bytes are sent out of the very buffer that they were received into, but only as far as the kernel takes
 * them without waiting: a peer that does not read must not hold on to a buffer that all streams share, so what is left
 * is copied into the queue and the buffer goes back. Whoever never falls behind is never copied.
 */
#include "net/layer.h"
#include "net/pace.h"
#include "net/packet.h"

#include <errno.h>
#include <string.h>

/* The second while corked: then much is gathered before any of it goes. So many of these are kept by the loop when they
 * are free: with io_uring one lives from a receive to the end of a send, and many at a time, which the C library would
 * give to the kernel and take from it again each time. */
enum { CHUNK_ROOM = 4096, CORKED_ROOM = 32 * 1024, SPARE_MOST = 64 };

struct chunk *chunk_create(struct sonde_loop *loop, const void *data, size_t n_bytes, size_t room)
{
    struct loop_net *net = loop_net(loop);
    struct chunk *chunk = room == CORKED_ROOM ? net->spare : NULL;

    if (chunk != NULL) {
        net->spare = chunk->next;
        net->n_spare--;
    } else {
        chunk = loop_alloc(loop, sizeof *chunk + room);
    }
    if (chunk == NULL)
        return NULL;
    *chunk = (struct chunk){.n_bytes = (uint32_t)n_bytes, .room = (uint32_t)room};
    memcpy(chunk->data, data, n_bytes);
    return chunk;
}

void chunk_free_all(struct sonde_loop *loop, struct chunk *chunk)
{
    struct loop_net *net = loop_net(loop);

    while (chunk != NULL) {
        struct chunk *next = chunk->next;
        if (chunk->room == CORKED_ROOM && net->n_spare < SPARE_MOST && !TAILQ_EMPTY(&net->streams)) {
            chunk->next = net->spare;
            net->spare = chunk;
            net->n_spare++;
        } else {
            loop_free(loop, chunk, sizeof *chunk + chunk->room);
        }
        chunk = next;
    }
}

void chunk_free_spare(struct sonde_loop *loop)
{
    struct loop_net *net = loop_net(loop);
    struct chunk *chunk;

    while ((chunk = net->spare) != NULL) {
        net->spare = chunk->next;
        loop_free(loop, chunk, sizeof *chunk + chunk->room);
    }
    net->n_spare = 0;
}

/* The chunks themselves go when the stream is closed: the kernel may still be reading one. */
void stream_drop_queue(struct sonde_stream *stream)
{
    stream->unsent_bytes += stream->queued_bytes + stream->lent_bytes;
    stream->queued_bytes = 0;
    stream->lent_bytes = 0;
    stream->state |= STREAM_SEND_DEAD;
}

/* Is this what a lost connection says? Then receiving will come to its end as well. What else a send may fail with,
 * want of memory above all, leaves the connection standing, and receiving waiting. */
static bool is_loss(int error)
{
    switch (-error) {
    case ECONNRESET:
    case EPIPE:
    case ETIMEDOUT:
    case ECONNABORTED:
    case ECONNREFUSED:
    case ENOTCONN:
    case EHOSTUNREACH:
    case ENETUNREACH:
        return true;
    default:
        return false;
    }
}

void stream_sending_failed(struct sonde_stream *stream, int error)
{
    if (stream->state & STREAM_SEND_DEAD)
        return;
    bool owed = stream->state & STREAM_WAITED || stream->queue != NULL;
    stream->send_error = error;
    stream_drop_queue(stream);
    if (owed) /* so that an owner who paused receiving until then goes on, and learns the rest from there */
        stream->state |= STREAM_DRAINED_DUE;
    if (stream->state & STREAM_ENDED || !is_loss(error)) /* receiving is over, or will not be, and can't tell */
        stream->state |= STREAM_FAILURE_DUE;
    if (is_loss(error))
        stream_ask_again(stream); /* the error is eaten: nothing wakes a receive that waits any more */
    loop_defer(stream->loop, &stream->io);
}

static int enqueue(struct sonde_stream *stream, const unsigned char *data, size_t n_bytes)
{
    struct chunk *last = stream->queue_last;

    if (stream->queue != NULL && last->room - last->n_bytes >= n_bytes) {
        memcpy(last->data + last->n_bytes, data, n_bytes);
        last->n_bytes += (uint32_t)n_bytes;
    } else {
        size_t room = stream->corked != 0 ? CORKED_ROOM : CHUNK_ROOM;
        struct chunk *chunk = chunk_create(stream->loop, data, n_bytes, n_bytes < room ? room : n_bytes);
        if (chunk == NULL)
            return -ENOMEM;
        if (stream->queue == NULL)
            stream->queue = chunk;
        else
            last->next = chunk;
        stream->queue_last = chunk;
    }
    stream->queued_bytes += (uint32_t)n_bytes;
    return 0;
}

static void shut(struct sonde_stream *stream)
{
    stream->state |= STREAM_SHUT;
    /* ENOTCONN: reset already. That is told by receiving, or by the watch after the end of data. */
    bool has_end = stream->packets == NULL || packet_has_end(stream);
    int error = has_end ? call_shutdown(stream->loop, stream->id, stream->io.fd, SHUT_WR) : 0;
    if (error < 0 && io_is_place(stream->io.fd) && error != -ENOTCONN)
        stream_sending_failed(stream, error); /* no descriptor to do it with: the peer would wait for an end for ever */
    if (stream->state & STREAM_FINISHING)
        stream_check_finished(stream);
}

/* n bytes of the first chunk have gone. */
static void advance(struct sonde_stream *stream, size_t n)
{
    struct chunk *first = stream->queue;

    pace_took(stream, PACE_SEND, n);
    stream->n_sent += n;
    stream->queued_bytes -= (uint32_t)n;
    first->offset += (uint32_t)n;
    if (first->offset < first->n_bytes)
        return;
    stream->queue = first->next;
    first->next = NULL;
    chunk_free_all(stream->loop, first);
}

/* Send what is queued, until something is under way or nothing is left. */
void stream_pump(struct sonde_stream *stream)
{
    if (stream->packets != NULL) {
        packet_pump(stream);
        return;
    }
    while (stream->queue != NULL) {
        struct chunk *first = stream->queue;
        size_t n = pace_allows(stream, PACE_SEND, first->n_bytes - first->offset);
        if (n == 0) {
            stream->state |= STREAM_WAITED;
            return;
        }
        int sent = io_send(stream->loop, &stream->io, first->data + first->offset, n, IO_SEND_WAIT);
        if (sent < 0) {
            stream_sending_failed(stream, sent);
            return;
        }
        if (sent == 0) {
            stream->state |= STREAM_WAITED;
            return;
        }
        advance(stream, (size_t)sent);
    }
    stream_queue_gone(stream);
}

void stream_queue_gone(struct sonde_stream *stream)
{
    if (stream->state & STREAM_WAITED) {
        stream->state = (uint16_t)((stream->state & ~STREAM_WAITED) | STREAM_DRAINED_DUE);
        loop_defer(stream->loop, &stream->io);
    }
    if (stream->state & STREAM_SHUT_WANTED && !(stream->state & STREAM_SHUT))
        shut(stream);
    if (__builtin_expect(stream->layers != NULL, 0))
        layers_flushed(stream);
}

void stream_pump_again(struct sonde_stream *stream)
{
    if (stream->queue != NULL && !(stream->io.active & IO_SEND) && stream->corked == 0 &&
        !(stream->state & (STREAM_CONNECTING | STREAM_SEND_DEAD | STREAM_CLOSING | STREAM_FAILED)))
        stream_pump(stream);
}

/* A buffer that was lent has gone as far as it went at once: the rest is copied and waits like everything else. */
static void lent_sent(struct sonde_stream *stream, int result)
{
    size_t n = result > 0 ? (size_t)result : 0;
    const unsigned char *rest = io_buffer_data(stream->loop, stream->lent_id) + stream->lent_offset + n;
    size_t n_rest = stream->lent_bytes - n;
    int error = result < 0 && result != -EAGAIN ? result : 0;

    stream->n_sent += n;
    if (error == 0 && n_rest > 0) {
        /* In front of what was queued meanwhile. */
        struct chunk *chunk = chunk_create(stream->loop, rest, n_rest, n_rest);
        if (chunk != NULL) {
            chunk->next = stream->queue;
            if (stream->queue == NULL)
                stream->queue_last = chunk;
            stream->queue = chunk;
            stream->queued_bytes += (uint32_t)n_rest;
            n_rest = 0;
        } else {
            error = -ENOMEM;
        }
    }
    stream->lent_bytes = (uint32_t)n_rest;
    io_buffer_release(stream->loop, stream->lent_id);
    stream->lent_id = -1;
    if (error < 0)
        stream_sending_failed(stream, error);
    stream->lent_bytes = 0;
}

void stream_on_sent(struct io *io, int result)
{
    struct sonde_stream *stream = STREAM_OF(io);

    if (stream->state & STREAM_SEND_DEAD) {
        if (stream->lent_id >= 0) {
            io_buffer_release(stream->loop, stream->lent_id);
            stream->lent_id = -1;
        }
        return;
    }
    if (stream->lent_id >= 0) {
        if (__builtin_expect((uint32_t)result == stream->lent_bytes && result > 0 && stream->queue == NULL &&
                                 !(stream->state & (STREAM_SHUT_WANTED | STREAM_END_WAITS)),
                             1)) {
            stream->n_sent += (unsigned)result;
            io_buffer_release(stream->loop, stream->lent_id);
            stream->lent_id = -1;
            stream->lent_bytes = 0;
            return;
        }
        lent_sent(stream, result);
        if (stream->state & STREAM_END_WAITS) {
            stream->state |= STREAM_READ_AGAIN;
            loop_defer(stream->loop, &stream->io);
        }
    } else if (result < 0 && result != -EAGAIN && result != -EINTR) {
        stream_sending_failed(stream, result);
    } else if (result > 0) {
        advance(stream, (size_t)result);
    }
    if (!(stream->state & STREAM_SEND_DEAD))
        stream_pump(stream);
}

int stream_may_send(const struct sonde_stream *stream, size_t n_bytes)
{
    if (stream->state & (STREAM_FAILED | STREAM_CLOSING | STREAM_SEND_DEAD))
        return stream->send_error < 0 ? (stream->send_error == -EPIPE ? -ECONNRESET : stream->send_error)
               : stream->error < 0    ? stream->error
                                      : -EPIPE;
    if (stream->state & STREAM_SHUT_WANTED)
        return -EPIPE;
    /* What is lent may have to be queued yet. */
    uint64_t held = (uint64_t)stream->queued_bytes + stream->lent_bytes;
    if (held > stream->send_limit || n_bytes > stream->send_limit - held)
        return -ENOBUFS;
    return 0;
}

static bool is_idle(const struct sonde_stream *stream)
{
    return stream->queue == NULL && !(stream->io.active & IO_SEND) && !(stream->state & STREAM_CONNECTING) &&
           stream->corked == 0;
}

bool stream_is_flushed(const struct sonde_stream *stream)
{
    return stream->queue == NULL && !(stream->io.active & IO_SEND);
}

static int write_bytes(struct sonde_stream *stream, const void *data, size_t n_bytes)
{
    const unsigned char *bytes = data;

    bool idle = is_idle(stream);
    if (idle && !stream->paced && io_sends_at_once(stream->loop)) {
        int sent = io_send(stream->loop, &stream->io, bytes, n_bytes, IO_SEND_NOW);
        if (sent < 0 && sent != -EAGAIN) {
            stream_sending_failed(stream, sent);
            return sent == -EPIPE ? -ECONNRESET : sent;
        }
        if (sent > 0) {
            stream->n_sent += (unsigned)sent;
            bytes += sent;
            n_bytes -= (size_t)sent;
        }
        if (n_bytes == 0)
            return 0;
    }
    int error = enqueue(stream, bytes, n_bytes);
    if (error < 0) {
        /* Nothing of it has gone: say so. Part of it has: the stream can't go on whole. */
        if (bytes != data)
            stream_sending_failed(stream, error);
        return error;
    }
    if (stream->corked != 0)
        stream->state |= STREAM_WAITED; /* whoever looks at the queue now may wait for it */
    if (idle)
        stream_pump(stream);
    return 0;
}

int stream_write_bytes(struct sonde_stream *stream, const void *data, size_t n_bytes)
{
    int error = stream_may_send(stream, 0);

    return error < 0 && error != -ENOBUFS ? error : write_bytes(stream, data, n_bytes);
}

void stream_uncork(struct sonde_stream *stream)
{
    stream_pump_again(stream);
    if (stream->state & STREAM_SHUT_WANTED && !(stream->state & (STREAM_SHUT | STREAM_SEND_DEAD)) && is_idle(stream))
        shut(stream);
}

static int send_bytes(struct sonde_stream *stream, const void *data, size_t n_bytes, unsigned flags)
{
    if (stream->layers != NULL)
        return layers_send(stream, data, n_bytes, flags);
    if (stream->packets != NULL)
        return packet_send(stream, data, n_bytes);
    int error = stream_may_send(stream, n_bytes);
    return error < 0 || n_bytes == 0 ? error : write_bytes(stream, data, n_bytes);
}

int sonde_stream_send(struct sonde_stream *stream, const void *data, size_t n_bytes, unsigned flags)
{
    int error = send_bytes(stream, data, n_bytes, flags);
    if (__builtin_expect(loop_net(stream->loop)->tap != NULL, 0) && error == 0)
        tap_out(stream, data, n_bytes, flags);
    return error;
}

int sonde_stream_write(struct sonde_stream *stream, const void *data, size_t n_bytes)
{
    return sonde_stream_send(stream, data, n_bytes, 0);
}

int sonde_stream_forward(struct sonde_stream *stream, const struct sonde_lent *bytes)
{
    struct loop_net *net = loop_net(stream->loop);
    struct io_buffer *buffer = net->lent_buffer;

    if (bytes != net->lent || stream->packets != NULL || buffer->id < 0 || buffer->held || stream->paced ||
        stream->layers != NULL || !is_idle(stream))
        return sonde_stream_send(stream, bytes->data, bytes->n_bytes, bytes->flags & SONDE_TEXT);
    int error = stream_may_send(stream, bytes->n_bytes);
    if (error < 0)
        return error;
    int sent = io_send(stream->loop, &stream->io, bytes->data, bytes->n_bytes, IO_SEND_NOW);
    if (sent < 0) {
        stream_sending_failed(stream, sent);
        return sent;
    }
    buffer->held = true;
    stream->lent_id = (int16_t)buffer->id;
    stream->lent_offset = (uint32_t)(bytes->data - io_buffer_data(stream->loop, buffer->id));
    stream->lent_bytes = (uint32_t)bytes->n_bytes;
    if (__builtin_expect(net->tap != NULL, 0))
        tap_out(stream, bytes->data, bytes->n_bytes, 0);
    return 0;
}

void sonde_stream_shutdown(struct sonde_stream *stream)
{
    if (stream->layers != NULL)
        layers_shut(stream);
    else
        stream_shut_bytes(stream);
}

void stream_shut_bytes(struct sonde_stream *stream)
{
    if (stream->state & (STREAM_SHUT_WANTED | STREAM_CLOSING | STREAM_FAILED))
        return;
    if (stream->packets != NULL)
        packet_settle(stream);
    stream->state |= STREAM_SHUT_WANTED;
    if (is_idle(stream))
        shut(stream);
}
