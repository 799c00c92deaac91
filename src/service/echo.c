/* SPDX-License-Identifier: MIT */
/*
 * Echo: every byte goes back, in order; or, when the stream has a frame, every message.
 *
 * Backpressure: when the kernel's send buffer (megabytes already) takes no more and ENOUGH_QUEUED bytes wait here, the
 * stream is read no more until they have gone. A peer that does not read thus costs so much memory and no more, and is
 * not read from: its own sends block. Less than that is not waited for, since on io_uring every answer is on its way
 * for a moment, and stopping costs more than queueing.
 *
 * Half-close: after the peer's end everything is answered, then this side closes.
 */
#include "service/service_internal.h"

enum { ENOUGH_QUEUED = 64 * 1024 };

struct echo {
    bool ended; /* the peer has ended, and the queue has still to go */
};

static void data(struct service_run *run, struct sonde_stream *stream, void *own, const struct sonde_lent *bytes)
{
    (void)own;
    int error = sonde_stream_forward(stream, bytes);
    if (__builtin_expect(error != 0, 0)) {
        run->host->unanswered(run, stream, bytes->n_bytes);
        service_cannot_send(run, stream, error);
        return;
    }
    if (sonde_stream_queued_bytes(stream) > ENOUGH_QUEUED)
        sonde_stream_pause(stream);
}

static void message(struct service_run *run, struct sonde_stream *stream, void *own, const void *data, size_t n_bytes)
{
    (void)own;
    echo_messages_add(run, stream, data, n_bytes);
}

static void messages_end(struct service_run *run, struct sonde_stream *stream, void *own)
{
    (void)own;
    if (echo_messages_send(run, stream) && sonde_stream_queued_bytes(stream) > ENOUGH_QUEUED)
        sonde_stream_pause(stream);
}

static void end(struct service_run *run, struct sonde_stream *stream, void *own)
{
    struct echo *echo = own;

    if (sonde_stream_queued_bytes(stream) > 0)
        echo->ended = true;
    else
        service_close_at_end(run, stream, own);
}

static void drained(struct service_run *run, struct sonde_stream *stream, void *own)
{
    const struct echo *echo = own;

    if (!echo->ended)
        sonde_stream_resume(stream);
    else if (sonde_stream_unsent_bytes(stream) == 0)
        service_close_at_end(run, stream, own);
    /* Else the queue was dropped because the connection is gone: failed says why. */
}

const struct service service_echo = {
    .name = "echo",
    .help = "send back every byte",
    .rfc = "RFC 862",
    .flags = SERVICE_MANY_THREADS | SERVICE_TAKES_MESSAGES,
    .connection_bytes = sizeof(struct echo),
    .start = echo_messages_start,
    .release = echo_messages_release,
    .data = data,
    .message = message,
    .messages_end = messages_end,
    .end = end,
    .drained = drained,
};
