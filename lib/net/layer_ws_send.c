/* SPDX-License-Identifier: MIT */
/* WebSocket: what goes out. Frames, compressed or not, masked by clients; pongs; Close. */
#include "net/layer_ws_internal.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

enum {
    PONG_QUEUE_BYTES = 64 * 1024, /* with more than that queued only the latest ping is answered */
    TOGETHER_BYTES = 2048,        /* a frame of so much is put together before it goes below */
};

static const int64_t pong_wait_ns = INT64_C(20) * 1000 * 1000;

void layer_ws_probe(const struct layer_ws *ws, enum sonde_operation operation, unsigned opcode, bool compressed,
                    const void *data, size_t n_bytes)
{
    struct sonde_stream *stream = ws->layer.stream;
    struct sonde_probe_event event = {
        .operation = (uint8_t)operation,
        .fd = stream->io.fd,
        .result = (int64_t)n_bytes,
        .start_ns = clock_monotonic_ns(),
        .stream = stream->id,
        .data = data,
        .n_bytes = n_bytes,
        .args = {(int32_t)opcode, compressed},
    };

    loop_probe_emit(stream->loop, &event, stream->io.fd);
}

/* The next mask: they must not be foreseen (10.3). */
static int next_mask(struct layer_ws *ws, uint32_t *ret_mask)
{
    if (ws->n_masks == 0) {
        ssize_t n = getrandom(ws->masks, sizeof ws->masks, 0);
        if (n != (ssize_t)sizeof ws->masks)
            return n < 0 ? -errno : -EIO;
        ws->n_masks = sizeof ws->masks / sizeof *ws->masks;
    }
    *ret_mask = ws->masks[--ws->n_masks];
    return 0;
}

/* The first part of a frame and what follows it go below as two: the frame must not be left half sent. */
static int send_rest(struct layer_ws *ws, const uint8_t *bytes, size_t n_bytes, size_t n_before, const uint32_t *mask)
{
    uint8_t masked[TOGETHER_BYTES];
    int error = 0;

    while (n_bytes > 0 && error == 0) {
        size_t n = n_bytes;
        const uint8_t *from = bytes;
        if (mask != NULL) {
            if (n > sizeof masked)
                n = sizeof masked;
            ws_mask_copy(masked, bytes, n, ws_mask_at(*mask, n_before));
            from = masked;
        }
        error = layer_down(&ws->layer, from, n);
        bytes += n;
        n_bytes -= n;
        n_before += n;
    }
    if (error < 0)
        sonde_stream_fail(ws->layer.stream, error);
    return error;
}

static int send_frame(struct layer_ws *ws, unsigned first, const void *data, size_t n_bytes)
{
    uint8_t together[WS_HEAD_MAX + TOGETHER_BYTES];
    uint32_t mask;
    int error = ws->is_server ? 0 : next_mask(ws, &mask);

    if (error < 0)
        return error;
    size_t n_head = ws_head(together, first, n_bytes, ws->is_server ? NULL : &mask);
    size_t n = n_bytes <= TOGETHER_BYTES ? n_bytes : 0;
    if (n > 0 && ws->is_server)
        memcpy(together + n_head, data, n);
    else if (n > 0)
        ws_mask_copy(together + n_head, data, n, mask);
    error = layer_down(&ws->layer, together, n_head + n);
    if (error < 0 || n == n_bytes)
        return error;
    return send_rest(ws, data, n_bytes, 0, ws->is_server ? NULL : &mask);
}

static int send_control(struct layer_ws *ws, unsigned opcode, const void *data, size_t n_bytes)
{
    int error = send_frame(ws, WS_FIN | opcode, data, n_bytes);

    if (error == 0 && loop_probing(ws->layer.stream->loop))
        layer_ws_probe(ws, SONDE_OP_MESSAGE_OUT, opcode, false, data, n_bytes);
    return error;
}

/* Compressed, if that makes it smaller. -ENOBUFS: it is to be sent as it is, which is never wrong. */
static int send_compressed(struct layer_ws *ws, unsigned opcode, const void *data, size_t n_bytes)
{
    struct sonde_loop *loop = ws->layer.stream->loop;
    size_t room = n_bytes + 4, n = 0;

    if (ws->compressor == NULL &&
        ws_compressor_create(&ws->allocator, ws->compress_bits, ws->compress_takeover, &ws->compressor) < 0)
        return -ENOBUFS;
    uint8_t *bytes = loop_alloc(loop, room);
    if (bytes == NULL)
        return -ENOBUFS;
    int error = ws_compress(ws->compressor, data, n_bytes, bytes, room, &n);
    if (error == 0) {
        error = send_frame(ws, WS_FIN | WS_RSV1 | opcode, bytes, n);
        if (error < 0) { /* the peer will not get it: nothing may refer to it */
            ws_compressor_free(ws->compressor);
            ws->compressor = NULL;
        }
    }
    loop_free(loop, bytes, room);
    return error;
}

int layer_ws_send(struct layer *layer, const void *data, size_t n_bytes, unsigned flags)
{
    struct layer_ws *ws = layer_ws_of(layer);
    unsigned opcode = flags & SONDE_TEXT ? WS_TEXT : WS_BINARY;
    int error = -ENOBUFS;

    if (ws->code_sent != 0)
        return -EPIPE;
    if (opcode == WS_TEXT && !ws_utf8_valid(data, n_bytes))
        return -EILSEQ;
    if (ws->compresses && n_bytes >= WS_COMPRESS_LEAST)
        error = send_compressed(ws, opcode, data, n_bytes);
    bool compressed = error != -ENOBUFS;
    if (!compressed)
        error = send_frame(ws, WS_FIN | opcode, data, n_bytes);
    if (error == 0 && loop_probing(layer->stream->loop))
        layer_ws_probe(ws, SONDE_OP_MESSAGE_OUT, opcode, compressed, data, n_bytes);
    return error;
}

int layer_ws_send_close(struct layer_ws *ws, unsigned code, const void *reason, size_t n_bytes)
{
    uint8_t payload[WS_CONTROL_MAX];
    size_t n = ws_close_payload(payload, code, reason, n_bytes);
    int error = send_control(ws, WS_CLOSE, payload, n);

    if (error < 0)
        return error;
    ws->code_sent = (uint16_t)(n == 0 ? 1005 : code);
    sonde_timer_stop(&ws->ping_timer);
    sonde_timer_stop(&ws->pong_timer);
    return 0;
}

static void send_pong(struct layer_ws *ws, const void *data, size_t n_bytes)
{
    int error = send_control(ws, WS_PONG, data, n_bytes);

    if (error < 0 && !layer_ws_is_over(ws))
        sonde_stream_fail(ws->layer.stream, error);
}

static bool much_is_queued(const struct layer_ws *ws)
{
    return ws->layer.stream->queued_bytes > PONG_QUEUE_BYTES;
}

void layer_ws_on_pong_timer(struct sonde_timer *timer)
{
    struct layer_ws *ws = timer->user;

    if (layer_ws_is_over(ws) || ws->code_sent != 0)
        return;
    if (much_is_queued(ws))
        sonde_timer_start_in(timer, pong_wait_ns);
    else
        send_pong(ws, ws->pong, ws->n_pong);
}

void layer_ws_answer_ping(struct layer_ws *ws, const struct ws_event *event)
{
    if (ws->code_sent != 0)
        return;
    if (!much_is_queued(ws)) {
        sonde_timer_stop(&ws->pong_timer);
        send_pong(ws, event->data, event->n_bytes);
        return;
    }
    memcpy(ws->pong, event->data, event->n_bytes);
    ws->n_pong = (uint8_t)event->n_bytes;
    sonde_timer_start_in(&ws->pong_timer, pong_wait_ns);
}

int layer_ws_send_ping(struct layer_ws *ws, const void *data, size_t n_bytes)
{
    int error = send_control(ws, WS_PING, data, n_bytes);

    if (error == 0)
        ws_pings_sent(&ws->pings, data, n_bytes, clock_monotonic_ns());
    return error;
}
