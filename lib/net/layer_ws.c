/* SPDX-License-Identifier: MIT */
/*
 * An open WebSocket on a stream: messages, pings, the closing handshake. What the bytes mean is lib/ws's concern.
 *
 * Theory of operation
 *
 * One receive may bring many frames. They are handed up one by one; when the owner pauses in between, or closes, the
 * rest is kept, and goes on in go_on. What is answered meanwhile waits for the end of the receive and goes out
 * together.
 *
 * Pings are answered at once while little is queued. A peer that pings and does not read gets, once much is queued, an
 * answer to its latest ping only (RFC 6455, 5.5.3), when the queue has become shorter.
 *
 * Closing. Each side sends a Close once: when the owner shuts, or has said sonde_ws_close; a client also as the answer
 * to the server's. Nothing is sent after it, and nothing delivered after the peer's. The server ends the connection
 * below first (7.1.1): as soon as both have been exchanged. The client waits for that, for some seconds; only then it
 * tells its owner of the end, and ends its own side.
 *
 *                          the peer's Close               we have sent Close, too          the end below
 *     server    notice, end                    layer_down_shut                  -
 *     client    notice; Close is sent          wait                             end, layer_down_shut
 */
#include "net/layer_ws_internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const int64_t end_wait_ns = INT64_C(3) * 1000 * 1000 * 1000;

/* --- in --------------------------------------------------------------------------------------------------------- */

/* Nothing is given to, or taken from, the peer any more. */
static void give_up(struct layer_ws *ws, int error, const char *call, const char *detail)
{
    ws->is_over = true;
    sonde_timer_stop(&ws->ping_timer);
    sonde_timer_stop(&ws->pong_timer);
    layer_down_shut(&ws->layer);
    layer_doom(&ws->layer, error, call, "%s", detail);
}

static void refuse(struct layer_ws *ws, int error, unsigned code, const char *words)
{
    if (ws->code_sent == 0)
        layer_ws_send_close(ws, code, words, strlen(words));
    give_up(ws, error, "recv", words);
}

static void take_pong(struct layer_ws *ws, const struct ws_event *event)
{
    struct sonde_notice notice = {
        .kind = SONDE_NOTICE_PONG, .rtt_ns = -1, .data = event->data, .n_bytes = event->n_bytes};

    notice.rtt_ns = ws_pings_answered(&ws->pings, event->data, event->n_bytes, clock_monotonic_ns());
    if (notice.rtt_ns >= 0)
        ws->rtt_ns = notice.rtt_ns;
    layer_up_notice(&ws->layer, &notice);
}

/* Both have been exchanged, or one is not waited for any longer. */
static void end_here(struct layer_ws *ws)
{
    sonde_timer_stop(&ws->ping_timer);
    layer_up_end(&ws->layer);
    if (ws->code_sent != 0)
        layer_down_shut(&ws->layer);
}

static void take_close(struct layer_ws *ws, const struct ws_event *event)
{
    struct layer *layer = &ws->layer;
    const struct sonde_notice notice = {
        .kind = SONDE_NOTICE_CLOSE, .code = event->code, .rtt_ns = -1, .data = event->data, .n_bytes = event->n_bytes};

    ws->code_received = event->code;
    layer->has_all = true;
    memcpy(ws->reason, event->data, event->n_bytes);
    layer_up_notice(layer, &notice);
    if (layer_ws_is_over(ws))
        return;
    if (ws->is_server) {
        end_here(ws);
        return;
    }
    int error = ws->code_sent == 0 ? layer_ws_send_close(ws, event->code, NULL, 0) : 0;
    if (error < 0)
        sonde_stream_fail(layer->stream, error);
    else
        sonde_timer_start_in(&ws->ping_timer, end_wait_ns);
}

static void handle(struct layer_ws *ws, enum ws_found found, const struct ws_event *event)
{
    struct layer *layer = &ws->layer;
    struct sonde_notice notice = {
        .kind = SONDE_NOTICE_PING, .rtt_ns = -1, .data = event->data, .n_bytes = event->n_bytes};

    if (found != WS_FOUND_VIOLATION && loop_probing(layer->stream->loop)) {
        unsigned n_code = found == WS_FOUND_CLOSE && event->code != 1005 ? 2 : 0; /* as it came, with its code */
        layer_ws_probe(ws, SONDE_OP_MESSAGE_IN, event->opcode, event->compressed, event->data - n_code,
                       event->n_bytes + n_code);
    }
    switch (found) {
    case WS_FOUND_NOTHING:
        break;
    case WS_FOUND_MESSAGE:
        layer_up(layer, event->data, event->n_bytes, SONDE_MESSAGE | (event->opcode == WS_TEXT ? SONDE_TEXT : 0));
        break;
    case WS_FOUND_PING:
        layer_ws_answer_ping(ws, event);
        layer_up_notice(layer, &notice);
        break;
    case WS_FOUND_PONG:
        take_pong(ws, event);
        break;
    case WS_FOUND_CLOSE:
        take_close(ws, event);
        break;
    case WS_FOUND_VIOLATION:
        refuse(ws, event->error, event->code, event->words);
        break;
    }
}

/* As far as it may be; returns how many bytes are done with. */
static size_t walk(struct layer_ws *ws, uint8_t *bytes, size_t n_bytes)
{
    size_t at = 0;

    while (at < n_bytes && !layer_ws_is_over(ws) && ws->code_received == 0 && layer_may_rise(&ws->layer)) {
        struct ws_event event;
        size_t n_taken;
        enum ws_found found = ws_decode(&ws->decoder, bytes + at, n_bytes - at, &n_taken, &event);
        at += n_taken;
        if (found != WS_FOUND_NOTHING)
            handle(ws, found, &event);
    }
    return layer_ws_is_over(ws) || ws->code_received != 0 ? n_bytes : at;
}

static void ws_take(struct layer *layer, uint8_t *bytes, size_t n_bytes)
{
    struct layer_ws *ws = layer_ws_of(layer);
    size_t n = walk(ws, bytes, n_bytes);

    ws->has_moved = true;
    if (n == n_bytes)
        return;
    ws->rest = loop_alloc(layer->stream->loop, n_bytes - n);
    if (ws->rest == NULL) {
        refuse(ws, -ENOMEM, 1011, "no memory for what was received");
        return;
    }
    memcpy(ws->rest, bytes + n, n_bytes - n);
    ws->n_rest = n_bytes - n;
    ws->rest_at = 0;
    layer->holds = true;
}

static void ws_go_on(struct layer *layer)
{
    struct layer_ws *ws = layer_ws_of(layer);

    ws->rest_at += walk(ws, ws->rest + ws->rest_at, ws->n_rest - ws->rest_at);
    if (ws->rest_at < ws->n_rest)
        return;
    loop_free(layer->stream->loop, ws->rest, ws->n_rest);
    ws->rest = NULL;
    layer->holds = false;
}

static void ws_end(struct layer *layer)
{
    struct layer_ws *ws = layer_ws_of(layer);

    if (layer_ws_is_over(ws))
        return;
    if (ws->code_received != 0)
        end_here(ws);
    else
        give_up(ws, -SONDE_EWSEND, "recv",
                ws->decoder.in_message || ws_decoder_in_frame(&ws->decoder) ? "it ended in the middle of a message"
                                                                            : "");
}

/* --- from the owner, and by time -------------------------------------------------------------------------------- */

static void ws_shut(struct layer *layer)
{
    struct layer_ws *ws = layer_ws_of(layer);
    int error = 0;

    if (layer_ws_is_over(ws))
        return;
    if (ws->code_sent == 0)
        error = layer_ws_send_close(ws, ws->code_received != 0 ? ws->code_received : 1000, NULL, 0);
    if (error < 0)
        sonde_stream_fail(layer->stream, error);
    else if (ws->code_received != 0 && (ws->is_server || layer->is_ended))
        layer_down_shut(layer);
}

/* Not answered yet. What is being received in one frame can't be overtaken by a pong, and what the owner does not want
 * to have now may hold one. */
static bool is_excused(struct layer_ws *ws)
{
    bool excused = ws->was_held || (ws->has_moved && ws_decoder_in_frame(&ws->decoder));

    ws->was_held = ws->layer.holds || !layer_may_rise(&ws->layer);
    ws->has_moved = false;
    return excused || ws->was_held;
}

/* Time for the next ping; or, when the peer's Close has come, the end of waiting for the end below. */
static void on_ping_timer(struct sonde_timer *timer)
{
    struct layer_ws *ws = timer->user;
    uint8_t number[8];
    int error = 0;

    if (layer_ws_is_over(ws))
        return;
    if (ws->code_received != 0) {
        end_here(ws);
        stream_go_on(ws->layer.stream);
        return;
    }
    bool excused = is_excused(ws);
    if (ws->interval_pings_waiting && ws_pings_is_waiting(&ws->pings, ws->interval_ping)) {
        if (!excused && ws->n_overdue_turns == LAYER_TURNS) {
            give_up(ws, -ETIMEDOUT, "ping", "a ping was not answered");
            return;
        }
        if (!excused) {
            ws->n_overdue_turns++;
            sonde_timer_start_in(timer, 0);
            return;
        }
    } else {
        ws->n_interval_pings++;
        for (unsigned i = 0; i < sizeof number; i++)
            number[i] = (uint8_t)(ws->n_interval_pings >> (56 - 8 * i));
        error = layer_ws_send_ping(ws, number, sizeof number);
        ws->interval_ping = ws->pings.n_sent;
        ws->interval_pings_waiting = true;
    }
    ws->n_overdue_turns = 0;
    if (error < 0)
        sonde_stream_fail(ws->layer.stream, error);
    else
        sonde_timer_start_in(timer, ws->settings.ping_interval_ns);
}

/* --- the making ------------------------------------------------------------------------------------------------- */

static void ws_begin(struct layer *layer)
{
    struct layer_ws *ws = layer_ws_of(layer);
    char text[64 + sizeof ws->subprotocol];

    if (ws->settings.ping_interval_ns > 0)
        sonde_timer_start_in(&ws->ping_timer, ws->settings.ping_interval_ns);
    snprintf(text, sizeof text, "WebSocket%s%s%s", ws->deflates ? ", permessage-deflate" : "",
             ws->subprotocol[0] != '\0' ? ", subprotocol " : "", ws->subprotocol);
    layer_opened(layer, text);
}

static void ws_free(struct layer *layer)
{
    struct layer_ws *ws = layer_ws_of(layer);
    struct sonde_loop *loop = layer->stream->loop;

    sonde_timer_stop(&ws->ping_timer);
    sonde_timer_stop(&ws->pong_timer);
    ws_decoder_free(&ws->decoder);
    ws_compressor_free(ws->compressor);
    if (ws->rest != NULL)
        loop_free(loop, ws->rest, ws->n_rest);
    loop_free(loop, ws, sizeof *ws);
}

static const struct layer_kind layer_ws_kind = {
    .name = "WebSocket",
    .bit = SONDE_LAYER_WS,
    .has_messages = true,
    .begin = ws_begin,
    .take = ws_take,
    .go_on = ws_go_on,
    .end = ws_end,
    .send = layer_ws_send,
    .shut = ws_shut,
    .free = ws_free,
};

static void *take_memory(size_t size_bytes, void *user)
{
    return loop_alloc(user, size_bytes);
}

static void give_memory(void *memory, size_t size_bytes, void *user)
{
    loop_free(user, memory, size_bytes);
}

static void set_deflate(struct layer_ws *ws, const struct ws_deflate_terms *terms)
{
    ws->deflates = terms != NULL;
    if (terms == NULL)
        return;
    ws->compress_bits = ws->is_server ? terms->server_max_window_bits : terms->client_max_window_bits;
    ws->compress_takeover = ws->is_server ? !terms->server_no_context_takeover : !terms->client_no_context_takeover;
    ws->compresses = ws->compress_bits > 8;
}

int layer_ws_create(struct sonde_stream *stream, const struct sonde_ws_settings *settings, const char *subprotocol,
                    const struct ws_deflate_terms *deflate, struct layer **ret_layer)
{
    struct layer_ws *ws = layer_alloc(stream, &layer_ws_kind, sizeof *ws);

    if (ws == NULL)
        return -ENOMEM;
    ws->settings = *settings;
    ws->is_server = layer_is_server(&ws->layer);
    ws->allocator = (struct sonde_allocator){.alloc = take_memory, .free = give_memory, .user = stream->loop};
    snprintf(ws->subprotocol, sizeof ws->subprotocol, "%s", subprotocol != NULL ? subprotocol : "");
    sonde_timer_init(&ws->ping_timer, stream->loop, on_ping_timer, ws);
    sonde_timer_init(&ws->pong_timer, stream->loop, layer_ws_on_pong_timer, ws);
    set_deflate(ws, deflate);
    ws_decoder_init(&ws->decoder, &(struct ws_decoder_options){
                                      .allocator = &ws->allocator,
                                      .is_server = ws->is_server,
                                      .limit_bytes = settings->message_limit_bytes != 0 ? settings->message_limit_bytes
                                                                                        : SONDE_WS_MESSAGE_LIMIT,
                                      .deflate = deflate,
                                  });
    *ret_layer = &ws->layer;
    return 0;
}

/* --- for the owner ---------------------------------------------------------------------------------------------- */

static struct layer_ws *find(const struct sonde_stream *stream)
{
    return (struct layer_ws *)layer_find(stream, &layer_ws_kind);
}

/* May a control frame be sent? */
static int may_send(const struct layer_ws *ws)
{
    int error = stream_may_send(ws->layer.stream, WS_HEAD_MAX + WS_CONTROL_MAX);

    return error < 0 ? error : ws->is_over || ws->code_sent != 0 || ws->layer.is_shut ? -EPIPE : 0;
}

int sonde_ws_ping(struct sonde_stream *stream, const void *data, size_t n_bytes)
{
    struct layer_ws *ws = find(stream);

    if (ws == NULL)
        return -EOPNOTSUPP;
    if (n_bytes > WS_CONTROL_MAX)
        return -EMSGSIZE;
    int error = may_send(ws);
    return error < 0 ? error : layer_ws_send_ping(ws, data, n_bytes);
}

int sonde_ws_close(struct sonde_stream *stream, unsigned code, const void *reason, size_t n_bytes)
{
    struct layer_ws *ws = find(stream);

    if (ws == NULL)
        return -EOPNOTSUPP;
    if (!ws_close_code_valid(code))
        return -EINVAL;
    if (n_bytes > WS_REASON_MAX)
        return -EMSGSIZE;
    if (!ws_utf8_valid(reason, n_bytes))
        return -EILSEQ;
    int error = may_send(ws);
    if (error == -ENOBUFS) /* a full queue is no reason to stay */
        error = 0;
    if (error == 0)
        error = layer_ws_send_close(ws, code, reason, n_bytes);
    if (error == 0)
        sonde_stream_shutdown(stream);
    return error;
}

int sonde_stream_ws_info(const struct sonde_stream *stream, struct sonde_ws_info *ret_info)
{
    const struct layer_ws *ws = find(stream);

    if (ws == NULL)
        return -ENOTCONN;
    *ret_info = (struct sonde_ws_info){
        .deflate = ws->deflates,
        .code_sent = ws->code_sent,
        .code_received = ws->code_received,
        .rtt_ns = ws->rtt_ns,
    };
    memcpy(ret_info->subprotocol, ws->subprotocol, sizeof ret_info->subprotocol);
    memcpy(ret_info->reason_received, ws->reason, sizeof ret_info->reason_received);
    return 0;
}
