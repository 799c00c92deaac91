/* SPDX-License-Identifier: MIT */
/*
 * Theory of operation
 *
 * The stream below works as it always does; what it receives comes here instead of to its owner, and what the owner
 * sends goes through here first. Everything that may call a layer is between enter and leave: while anything is inside,
 * what is sent below is queued and not sent yet, so that many small answers go out together, and a layer that was
 * replaced is not freed. What the owner is to be told (that it has opened, the end) is told from leave, when no layer
 * is inside: no layer is ever entered twice.
 *
 * Held are: a layer's own rest; an end that came while the owner had paused; and everything, between the last
 * handshake's end and the moment when the owner has been told of it.
 */
#include "net/layers_internal.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const int64_t doom_ns = INT64_C(1000) * 1000 * 1000;

static void enter(struct layers *layers)
{
    layers->n_inside++;
    layers->stream->corked++;
}

static bool is_over(const struct layers *layers)
{
    return layers->stream->state & (STREAM_CLOSING | STREAM_FAILED) || layers->is_doomed;
}

bool layers_hold(const struct sonde_stream *stream)
{
    const struct layers *layers = stream->layers;

    if (layers->is_doomed)
        return false;
    for (const struct layer *layer = layers->bottom; layer != NULL; layer = layer->above)
        if (layer->holds)
            return true;
    if (layers->is_opening)
        return layers->has_opened;
    return layers->first != NULL || layers->end_waits || stream->state & STREAM_PAUSED;
}

/* --- up --------------------------------------------------------------------------------------------------------- */

static bool owner_may_get(const struct layers *layers)
{
    return layers->first == NULL && !layers->is_opening && !(layers->stream->state & STREAM_PAUSED) && !is_over(layers);
}

bool layer_may_rise(const struct layer *layer)
{
    const struct layers *layers = layer->stream->layers;

    if (is_over(layers) || layer->is_ended)
        return false;
    return layer->above != NULL ? !layer->above->holds : owner_may_get(layers);
}

void layer_up(struct layer *layer, uint8_t *data, size_t n_bytes, unsigned flags)
{
    struct sonde_stream *stream = layer->stream;

    if (layer->above != NULL) {
        layer->above->kind->take(layer->above, data, n_bytes);
    } else {
        stream->layers->n_messages_received++;
        stream_lend(stream, data, n_bytes, flags);
    }
}

static void tell_end(struct layers *layers)
{
    struct sonde_stream *stream = layers->stream;

    layers->end_waits = false;
    if (stream->send_error < 0) /* as without layers: sending has found it gone, and receiving has come to its end */
        stream_fail(stream, stream->send_error);
    else
        stream_end(stream);
}

void layer_up_end(struct layer *layer)
{
    struct layers *layers = layer->stream->layers;

    if (layer->is_ended || is_over(layers))
        return;
    layer->is_ended = true;
    if (layer->above != NULL)
        layer->above->kind->end(layer->above);
    else
        layers->end_waits = true; /* told by leave, or after a pause */
}

void layer_up_notice(struct layer *layer, const struct sonde_notice *notice)
{
    struct sonde_stream *stream = layer->stream;

    if (!layers_opening(stream) && !is_over(stream->layers) && stream->handler->notice != NULL)
        stream->handler->notice(stream, notice);
}

/* --- down ------------------------------------------------------------------------------------------------------- */

int layer_down(struct layer *layer, const void *data, size_t n_bytes)
{
    struct layer *below = layer->below;

    if (below == NULL)
        return stream_write_bytes(layer->stream, data, n_bytes);
    return below->is_shut ? -EPIPE : below->kind->send(below, data, n_bytes, 0);
}

void layer_down_shut(struct layer *layer)
{
    struct layer *below = layer->below;

    if (below == NULL) {
        stream_shut_bytes(layer->stream);
    } else if (!below->is_shut) {
        below->is_shut = true;
        below->kind->shut(below);
    }
}

/* --- opening ---------------------------------------------------------------------------------------------------- */

static void probe_handshake(const struct layer *layer, const char *text, int64_t result)
{
    struct sonde_stream *stream = layer->stream;
    struct sonde_probe_event event = {
        .operation = SONDE_OP_HANDSHAKE,
        .fd = stream->io.fd,
        .result = result,
        .stream = stream->id,
        .start_ns = stream->layers->layer_since_ns,
        .data = text,
        .n_bytes = text != NULL ? strlen(text) : 0,
        .args = {(int32_t)layer->kind->bit},
    };

    loop_probe_emit(stream->loop, &event, stream->io.fd);
}

static void begin(struct layer *layer)
{
    layer->stream->layers->layer_since_ns = clock_monotonic_ns();
    layer->kind->begin(layer);
}

void layer_opened(struct layer *layer, const char *text)
{
    struct layers *layers = layer->stream->layers;

    layer->is_open = true;
    if (loop_probing(layer->stream->loop) && text != NULL)
        probe_handshake(layer, text, 0);
    if (layer->above != NULL)
        begin(layer->above);
    else
        layers->has_opened = true;
}

/* Nothing can be told to anybody but the owner, and only from the outside: 0 when all that was written early has gone.
 */
static void send_early(struct layers *layers)
{
    struct early *early;
    int error = 0;

    while ((early = layers->early) != NULL && error == 0) {
        error = layers->top != NULL ? layers->top->kind->send(layers->top, early->data, early->n_bytes, early->flags)
                                    : stream_write_bytes(layers->stream, early->data, early->n_bytes);
        layers->early = early->next;
        layers->n_early_bytes -= early->n_bytes;
        loop_free(layers->stream->loop, early, sizeof *early + early->n_bytes);
    }
    if (error < 0)
        sonde_stream_fail(layers->stream, error);
    if (layers->is_shut_early && !is_over(layers)) {
        layers->is_shut = false;
        layers_shut(layers->stream);
    }
}

void layers_tell_open(struct sonde_stream *stream)
{
    struct layers *layers = stream->layers;
    struct loop_net *net = loop_net(stream->loop);

    sonde_timer_stop(&layers->timer);
    layers->is_opening = false;
    send_early(layers);
    if (layers->is_server)
        return;
    net->opening = layers->connecting;
    if (stream->handler->opened != NULL && !(stream->state & STREAM_CLOSING))
        stream->handler->opened(stream);
    net->opening = NULL;
    layers_free_connecting(layers);
}

/* What is due, when nothing is inside any more. */
static void settle(struct layers *layers)
{
    struct sonde_stream *stream = layers->stream;

    layers_free_dead(layers);
    if (layers->has_opened && layers->is_opening && !is_over(layers)) {
        if (layers->is_server) {
            if (!layers->wait.is_ready) {
                sonde_timer_stop(&layers->timer); /* in time, however long it then waits to be taken */
                layered_opened(stream);
            }
        } else {
            layers_tell_open(stream);
            stream_go_on(stream);
        }
        return; /* what is held comes by itself: nobody expects it inside of this */
    }
    if (layers->end_waits && owner_may_get(layers))
        tell_end(layers);
}

static void leave(struct layers *layers)
{
    struct sonde_stream *stream = layers->stream;

    layers->n_inside--;
    if (--stream->corked == 0 && !(stream->state & (STREAM_CLOSING | STREAM_FAILED)))
        stream_uncork(stream);
    if (layers->n_inside == 0)
        settle(layers);
}

void layer_enter(struct layer *layer)
{
    enter(layer->stream->layers);
}

void layer_leave(struct layer *layer)
{
    leave(layer->stream->layers);
}

void layers_begin(struct sonde_stream *stream, struct connecting *connecting, int64_t deadline_ns)
{
    struct layers *layers = stream->layers;

    layers->connecting = connecting;
    sonde_timer_start(&layers->timer, deadline_ns);
    enter(layers);
    if (layers->bottom != NULL)
        begin(layers->bottom);
    else
        layers->has_opened = true;
    leave(layers);
}

/* --- replacing -------------------------------------------------------------------------------------------------- */

static void bury(struct layers *layers, struct layer *layer)
{
    layer->above = layers->dead;
    layers->dead = layer;
}

void layer_become(struct layer *layer, struct layer *next, uint8_t *bytes, size_t n_bytes)
{
    struct layers *layers = layer->stream->layers;

    next->below = layer->below;
    next->above = layer->above;
    *(layer->below != NULL ? &layer->below->above : &layers->bottom) = next;
    *(layer->above != NULL ? &layer->above->below : &layers->top) = next;
    layer->is_ended = true;
    bury(layers, layer);
    layers->layer_since_ns = layers->layer_since_ns != 0 ? layers->layer_since_ns : clock_monotonic_ns();
    next->kind->begin(next);
    if (n_bytes > 0 && !is_over(layers))
        next->kind->take(next, bytes, n_bytes);
}

void layer_vanish(struct layer *layer, uint8_t *bytes, size_t n_bytes)
{
    struct layers *layers = layer->stream->layers;
    struct sonde_stream *stream = layer->stream;

    *(layer->below != NULL ? &layer->below->above : &layers->bottom) = layer->above;
    *(layer->above != NULL ? &layer->above->below : &layers->top) = layer->below;
    layer->is_ended = true;
    if (layer->above == NULL)
        layers->has_opened = true;
    bury(layers, layer);
    if (n_bytes == 0)
        return;
    layers->first = chunk_create(stream->loop, bytes, n_bytes, n_bytes);
    if (layers->first == NULL)
        layer_doom(layer, -ENOMEM, "malloc", "%s", "");
}

void layer_add_above(struct layer *layer, struct layer *above)
{
    struct layers *layers = layer->stream->layers;

    above->below = layer;
    above->above = layer->above;
    *(layer->above != NULL ? &layer->above->below : &layers->top) = above;
    layer->above = above;
}

/* --- bytes from the socket -------------------------------------------------------------------------------------- */

void layers_take(struct sonde_stream *stream, uint8_t *bytes, size_t n_bytes)
{
    struct layers *layers = stream->layers;

    layers->n_wire_received += n_bytes;
    if (layers->is_doomed)
        return;
    if (layers->bottom == NULL) {
        stream_lend(stream, bytes, n_bytes, 0);
        return;
    }
    enter(layers);
    layers->bottom->kind->take(layers->bottom, bytes, n_bytes);
    leave(layers);
}

bool layers_rise(struct sonde_stream *stream)
{
    struct layers *layers = stream->layers;

    if (layers->is_doomed)
        return true;
    if (layers->is_opening && layers->has_opened)
        return false;
    enter(layers);
    if (layers->first != NULL && !(stream->state & STREAM_PAUSED) && !layers->is_opening) {
        struct chunk *first = layers->first;
        layers->first = NULL;
        stream_lend(stream, first->data, first->n_bytes, 0);
        chunk_free_all(stream->loop, first);
    }
    for (struct layer *layer = layers->top; layer != NULL && !is_over(layers); layer = layer->below) {
        if (layer->holds && layer->kind->go_on != NULL)
            layer->kind->go_on(layer);
        if (layer->holds)
            break;
    }
    leave(layers);
    return !is_over(layers) && !layers_hold(stream);
}

void layers_take_end(struct sonde_stream *stream)
{
    struct layers *layers = stream->layers;

    layers->peer_has_ended = true;
    if (layers->is_doomed) {
        layers_flushed(stream);
        return;
    }
    if (stream->state & STREAM_ENDED || layers->end_waits)
        return;
    enter(layers);
    if (layers->bottom != NULL)
        layers->bottom->kind->end(layers->bottom);
    else
        layers->end_waits = true;
    leave(layers);
}

/* --- from the owner --------------------------------------------------------------------------------------------- */

static int keep_early(struct layers *layers, const void *data, size_t n_bytes, unsigned flags)
{
    struct early *early = loop_alloc(layers->stream->loop, sizeof *early + n_bytes), **last = &layers->early;

    if (early == NULL)
        return -ENOMEM;
    *early = (struct early){.n_bytes = n_bytes, .flags = flags};
    if (n_bytes > 0)
        memcpy(early->data, data, n_bytes);
    while (*last != NULL)
        last = &(*last)->next;
    *last = early;
    layers->n_early_bytes += n_bytes;
    return 0;
}

static void count_sent(struct layers *layers, size_t n_bytes)
{
    if (stream_is_flushed(layers->stream))
        layers->n_sent_flushed = layers->n_sent;
    layers->n_sent += n_bytes;
    layers->n_messages_sent++;
}

int layers_send(struct sonde_stream *stream, const void *data, size_t n_bytes, unsigned flags)
{
    struct layers *layers = stream->layers;
    int error = stream_may_send(stream, n_bytes + layers->n_early_bytes);

    if (error == 0 && (layers->is_doomed || layers->is_shut))
        error = -EPIPE;
    if (error < 0 || (n_bytes == 0 && !layers->is_opening && !layers_have_messages(stream)))
        return error;
    if (layers->is_opening) {
        error = keep_early(layers, data, n_bytes, flags);
    } else {
        count_sent(layers, n_bytes);
        enter(layers);
        error = layers->top != NULL ? layers->top->kind->send(layers->top, data, n_bytes, flags)
                                    : stream_write_bytes(stream, data, n_bytes);
        leave(layers);
        if (error < 0) {
            layers->n_sent -= n_bytes;
            layers->n_messages_sent--;
        }
        return error;
    }
    if (error == 0) {
        layers->n_sent += n_bytes;
        layers->n_messages_sent++;
    }
    return error;
}

void layers_shut(struct sonde_stream *stream)
{
    struct layers *layers = stream->layers;

    if (layers->is_shut || is_over(layers))
        return;
    layers->is_shut = true;
    if (layers->is_opening) {
        layers->is_shut_early = true;
        return;
    }
    layers->is_shut_early = false;
    enter(layers);
    if (layers->top != NULL) {
        layers->top->is_shut = true;
        layers->top->kind->shut(layers->top);
    } else {
        stream_shut_bytes(stream);
    }
    leave(layers);
}

uint64_t layers_sent_bytes(const struct sonde_stream *stream)
{
    return stream_is_flushed(stream) && !stream->layers->is_opening ? stream->layers->n_sent
                                                                    : stream->layers->n_sent_flushed;
}

/* --- the end of it ---------------------------------------------------------------------------------------------- */

void layer_doom(struct layer *layer, int error, const char *call, const char *detail, ...)
{
    struct sonde_stream *stream = layer->stream;
    struct layers *layers = stream->layers;
    struct sonde_address peer;
    va_list arguments;

    if (is_over(layers))
        return;
    layers->why = (struct sonde_why){.code = error, .call = call};
    va_start(arguments, detail);
    vsnprintf(layers->why.detail, sizeof layers->why.detail, detail, arguments);
    va_end(arguments);
    sonde_stream_peer(stream, &peer);
    sonde_address_format(&peer, layers->why.subject, sizeof layers->why.subject);
    if (!layer->is_open && loop_probing(stream->loop))
        probe_handshake(layer, layers->why.detail, error);
    layers->is_doomed = true;
    stream_discard_kept(stream);
    stream_shut_bytes(stream);
    sonde_timer_start_in(&layers->timer, doom_ns);
    layers_flushed(stream);
    stream_go_on(stream);
}

void layers_flushed(struct sonde_stream *stream)
{
    struct layers *layers = stream->layers;
    bool nothing_goes = stream->send_error < 0 || stream_is_flushed(stream);

    /* Nothing more comes, and what there was to say has been said: it is over, but not inside of whatever this is. */
    if (layers->is_doomed && nothing_goes && (layers->peer_has_ended || stream->send_error < 0) &&
        !(stream->state & (STREAM_CLOSING | STREAM_FAILED)))
        sonde_timer_start_in(&layers->timer, 0);
}

void layers_on_timer(struct sonde_timer *timer)
{
    struct layers *layers = timer->user;
    struct sonde_stream *stream = layers->stream;

    if (!layers->is_doomed) {
        const struct layer *layer = layers->bottom;
        while (layer != NULL && layer->is_open && layer->above != NULL)
            layer = layer->above;
        struct sonde_address peer;
        sonde_stream_peer(stream, &peer);
        layers->why = (struct sonde_why){.code = -ETIMEDOUT, .call = "handshake"};
        sonde_address_format(&peer, layers->why.subject, sizeof layers->why.subject);
        snprintf(layers->why.detail, sizeof layers->why.detail, "it is connected, but the %s handshake was not done",
                 layer != NULL ? layer->kind->name : "");
    }
    stream_fail(stream, layers->why.code);
}

void layers_stop(struct sonde_stream *stream)
{
    sonde_timer_stop(&stream->layers->timer);
    layers_free_early(stream->layers);
}

bool layers_refused(struct sonde_stream *stream)
{
    struct layers *layers = stream->layers;
    struct sonde_why why;

    if (layers == NULL || !layers->is_opening || !layers->is_server)
        return false;
    sonde_stream_why(stream, &why);
    layered_failed(stream, &why);
    return true;
}
