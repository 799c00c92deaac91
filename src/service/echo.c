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
 *
 * Messages: each goes back as one, of its kind (RFC 862). A datagram that came cut is not answered, since what would go
 * back is not what was sent; the host has seen that it is cut. Datagrams are never waited with: what finds no room in
 * the queue is dropped, and told.
 */
#include "service/service_internal.h"

#include <errno.h>

enum { ENOUGH_QUEUED = 64 * 1024 };

struct echo {
    bool ended; /* the peer has ended, and the queue has still to go */
};

static void pause_if_enough(struct sonde_stream *stream)
{
    if (sonde_stream_queued_bytes(stream) > ENOUGH_QUEUED && sonde_stream_has_end(stream))
        sonde_stream_pause(stream);
}

static void data(struct service_run *run, struct sonde_stream *stream, void *own, const struct sonde_lent *bytes)
{
    (void)own;
    if (__builtin_expect(bytes->flags & SONDE_CUT, 0))
        return;
    int error = sonde_stream_forward(stream, bytes);
    if (__builtin_expect(error == -EMSGSIZE, 0)) {
        run->host->withheld(run, stream, SERVICE_TOO_LONG, bytes->n_bytes);
        return;
    }
    if (__builtin_expect(error != 0, 0)) {
        run->host->unanswered(run, stream, bytes->n_bytes);
        service_cannot_send(run, stream, error);
        return;
    }
    pause_if_enough(stream);
}

static void message(struct service_run *run, struct sonde_stream *stream, void *own, const void *data, size_t n_bytes)
{
    (void)own;
    echo_messages_add(run, stream, data, n_bytes);
}

static void messages_end(struct service_run *run, struct sonde_stream *stream, void *own)
{
    (void)own;
    if (echo_messages_send(run, stream))
        pause_if_enough(stream);
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
    .flags = SERVICE_MANY_THREADS | SERVICE_TAKES_MESSAGES | SERVICE_ANSWERS,
    .connection_bytes = sizeof(struct echo),
    .start = echo_messages_start,
    .release = echo_messages_release,
    .data = data,
    .message = message,
    .messages_end = messages_end,
    .end = end,
    .drained = drained,
};
