/* SPDX-License-Identifier: MIT */
/*
 * Telling a stream's owner how it comes to its end, and doing what is done for one who has no handler for it: at the
 * peer's end the stream is finished, after a failure it is closed with a reset, so that a peer who is still there does
 * not take what it has got for the whole.
 */
#include "net/layer.h"

void stream_tell_end(struct sonde_stream *stream)
{
    if (stream->handler->end != NULL)
        stream->handler->end(stream);
    else
        sonde_stream_finish(stream, SONDE_WHILE_MOVING);
}

void stream_tell_failed(struct sonde_stream *stream)
{
    const struct loop_net *net = loop_net(stream->loop);

    if (layers_refused(stream))
        return;
    if (net->watch != NULL)
        net->watch->failed(stream, net->watcher);
    if (stream->handler->failed != NULL)
        stream->handler->failed(stream, stream->error);
    else if (!(stream->state &
               STREAM_FINISHING)) /* that is closed anyway, and what the kernel holds may still arrive */
        sonde_stream_abort(stream);
}

void stream_tell_closed(struct sonde_stream *stream)
{
    const struct loop_net *net = loop_net(stream->loop);

    if (stream->handler == NULL)
        return;
    if (net->watch != NULL)
        net->watch->closed(stream, net->watcher);
    if (stream->handler->closed != NULL)
        stream->handler->closed(stream);
}

void stream_fail_here(struct sonde_stream *stream, int error, enum own_call call)
{
    if (stream->state & (STREAM_CLOSING | STREAM_FAILED))
        return;
    if (call == OWN_SEND && stream->state & STREAM_SEND_DEAD)
        return; /* that is told once all that had arrived is delivered */
    if (stream->state & STREAM_CONNECTING || layers_opening(stream)) {
        sonde_stream_close(stream);
        return;
    }
    stream->own_call = (uint8_t)call;
    stream->send_error = error;
    stream_drop_queue(stream);
    sonde_stream_pause(stream); /* nothing more is delivered */
    stream->state |= STREAM_FAILURE_DUE;
    loop_defer(stream->loop, &stream->io);
}

void sonde_stream_fail(struct sonde_stream *stream, int error)
{
    stream_fail_here(stream, error, OWN_SEND);
}
