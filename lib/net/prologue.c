/* SPDX-License-Identifier: MIT */
/*
 * Theory of operation
 *
 * The stream's own struct io does the receiving and sending, with another handler in the meantime: so closing and
 * resetting are as always, the descriptor has one watcher, and whoever watches the operations sees to which stream they
 * belong. First what is to be sent goes, then something is received, one by one; the rules look at it, and it goes on
 * until they say that it was the last. What came behind it in the same receive is kept until then, and becomes the
 * stream's first data; everything else is still in the kernel, an end or a reset above all, and is found there.
 *
 * Whether the owner has paused the stream does not matter here.
 */
#include "net/prologue.h"

#include <errno.h>

static void go_on(struct prologue *prologue);

static struct prologue *prologue_of(const struct sonde_stream *stream)
{
    return stream->listener != NULL ? stream_extra(stream)->prologue : connecting_prologue(stream);
}

void prologue_stop(struct prologue *prologue)
{
    struct sonde_loop *loop = prologue->timer.loop;

    prologue->is_over = true;
    sonde_timer_stop(&prologue->timer);
    chunk_free_all(loop, prologue->rest);
    prologue->rest = NULL;
}

static void end(struct prologue *prologue, int error)
{
    struct sonde_stream *stream = prologue->stream;

    if (error == 0) {
        stream_take_io(stream);
        stream->kept = prologue->rest;
        prologue->rest = NULL;
    } else {
        io_recv_stop(stream->loop, &stream->io);
    }
    prologue_stop(prologue);
    prologue->rules->over(prologue, error);
}

static void on_timer(struct sonde_timer *timer)
{
    struct prologue *prologue = timer->user;

    if (prologue->error == 0 && prologue->is_whole && prologue->n_out == 0)
        end(prologue, 0); /* all had gone at once */
    else
        end(prologue, prologue->error < 0 ? prologue->error : -ETIMEDOUT);
}

static void on_recv(struct io *io, int result, struct io_buffer *buffer)
{
    struct prologue *prologue = prologue_of(STREAM_OF(io));
    size_t n_taken = 0;

    if (prologue == NULL || prologue->is_over)
        return;
    if (result <= 0) {
        end(prologue, result == 0 ? -ENODATA : result);
        return;
    }
    int step = prologue->rules->take(prologue, buffer->data, buffer->n_bytes, &n_taken);
    if (step < 0) {
        end(prologue, step);
        return;
    }
    if (step > 0) {
        size_t n_rest = buffer->n_bytes - n_taken;
        prologue->is_whole = true;
        if (n_rest > 0)
            prologue->rest = chunk_create(prologue->stream->loop, buffer->data + n_taken, n_rest, n_rest);
        if (n_rest > 0 && prologue->rest == NULL) {
            end(prologue, -ENOMEM);
            return;
        }
    }
    go_on(prologue);
}

static void advance(struct prologue *prologue, size_t n)
{
    prologue->out += n;
    prologue->n_out -= n;
}

static void on_sent(struct io *io, int result)
{
    struct prologue *prologue = prologue_of(STREAM_OF(io));

    if (prologue == NULL || prologue->is_over)
        return;
    if (result < 0 && result != -EAGAIN && result != -EINTR) {
        end(prologue, result);
        return;
    }
    if (result > 0)
        advance(prologue, (size_t)result);
    go_on(prologue);
}

static const struct io_handler prologue_io_handler = {
    .recv = on_recv,
    .send = on_sent,
    .work = stream_on_work,
    .closed = stream_on_closed,
    .stream_id = stream_id_of,
};

/* Begin the next operation; 1 when there is none left, 0 when one is under way, or an error. */
static int next(struct prologue *prologue)
{
    struct sonde_stream *stream = prologue->stream;

    while (prologue->n_out > 0) {
        int sent = io_send(stream->loop, &stream->io, prologue->out, prologue->n_out, IO_SEND_WAIT);
        if (sent <= 0)
            return sent;
        advance(prologue, (size_t)sent);
    }
    if (prologue->is_whole)
        return 1;
    return io_recv_start(stream->loop, &stream->io, false);
}

static void go_on(struct prologue *prologue)
{
    int step = next(prologue);

    if (step != 0)
        end(prologue, step < 0 ? step : 0);
}

void prologue_begin(struct prologue *prologue, struct sonde_stream *stream, const struct prologue_rules *rules,
                    const uint8_t *out, size_t n_out, int64_t deadline_ns)
{
    *prologue = (struct prologue){.rules = rules, .stream = stream, .out = out, .n_out = n_out};
    prologue->is_whole = rules->take == NULL;
    sonde_timer_init(&prologue->timer, stream->loop, on_timer, prologue);
    stream->state |= STREAM_CONNECTING;
    stream->io.handler = &prologue_io_handler;
    sonde_timer_start(&prologue->timer, deadline_ns);
    int step = next(prologue);
    if (step == 0)
        return;
    prologue->error = step < 0 ? step : 0; /* told by the timer: nobody expects to be told from inside this call */
    sonde_timer_start_in(&prologue->timer, 0);
}
