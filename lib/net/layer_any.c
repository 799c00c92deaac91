/* SPDX-License-Identifier: MIT */
/*
 * One port for every client: finds out what a client speaks by its first bytes (http/detect.h), and puts the layer for
 * it in its own place. Within TLS it asks once more.
 *
 * Theory of operation
 *
 * What has come is kept until it is known, which is 32 KiB and what one receive brings at most, and goes on to the
 * layer that takes over, or to the owner: nothing is lost. A client that has said nothing in any_wait_ns, or nothing
 * that can be told, is a raw one; so is one that ends before. What TLS has agreed on with ALPN needs no guessing. The
 * time may run out while the loop is busy elsewhere: what has come meanwhile is heard first.
 *
 * Kinds that are switched off are refused in their own words: an alert of TLS, a 403 of HTTP. Within TLS, raw is what a
 * client may speak unless raw clients are off and something else is on that it could speak instead.
 */
#include "http/answer.h"
#include "http/detect.h"
#include "net/layer.h"

#include <errno.h>
#include <sonde/tls.h>
#include <string.h>

struct layer_any {
    struct layer layer;
    const struct layer_web *web;
    struct detector detector;
    struct sonde_timer timer;
    bool in_tls;
    unsigned n_turns; /* since the wait was over */
    uint8_t *bytes;   /* so far */
    size_t n_bytes, room;
};

static const struct layer_kind any_kind;

static struct layer_any *of(struct layer *layer)
{
    return (struct layer_any *)layer;
}

static int create(struct sonde_stream *stream, const struct layer_web *web, bool in_tls, struct layer **ret_layer);

/* --- what becomes of it ----------------------------------------------------------------------------------------- */

static bool is_let_in(const struct layer_any *any, enum sonde_any_kind kind)
{
    return any->web->any_kinds & 1u << kind;
}

static bool raw_is_let_in(const struct layer_any *any)
{
    bool others = is_let_in(any, SONDE_ANY_HTTP) || is_let_in(any, SONDE_ANY_WS);

    return is_let_in(any, SONDE_ANY_RAW) || (any->in_tls && !others);
}

static void become_raw(struct layer_any *any, uint8_t *bytes, size_t n_bytes)
{
    struct layer *layer = &any->layer;

    if (raw_is_let_in(any))
        layer_vanish(layer, bytes, n_bytes);
    else
        layer_doom(layer, -SONDE_EKIND, "detect",
                   n_bytes > 0 ? "it speaks neither %s" : "it said nothing; wanted is %s",
                   any->in_tls || !is_let_in(any, SONDE_ANY_TLS) ? "HTTP nor WebSocket" : "TLS, HTTP nor WebSocket");
}

static void refuse_tls(struct layer_any *any)
{
    /* RFC 8446, 5.1 and 6: fatal, access_denied. */
    static const uint8_t alert[] = {0x15, 0x03, 0x01, 0x00, 0x02, 0x02, 0x31};

    if (layer_down(&any->layer, alert, sizeof alert) == 0)
        layer_down_shut(&any->layer);
    layer_doom(&any->layer, -SONDE_EKIND, "detect", "TLS is switched off");
}

static void become_tls(struct layer_any *any, uint8_t *bytes, size_t n_bytes)
{
    struct layer *layer = &any->layer, *tls, *inner = NULL;
    int error = layer_tls_create(layer->stream, any->web->tls, NULL, &tls);

    if (error == 0) {
        error = create(layer->stream, any->web, true, &inner);
        if (error < 0)
            tls->kind->free(tls);
    }
    if (error < 0) {
        layer_doom(layer, error, "malloc", "%s", "");
        return;
    }
    layer_add_above(layer, inner);
    layer_become(layer, tls, bytes, n_bytes);
}

static void refuse_http(struct layer_any *any)
{
    static const struct http_refusal refusal = {403, "HTTP is switched off here."};
    char text[HTTP_ANSWER_MAX];

    if (layer_down(&any->layer, text, http_answer_refusal(&refusal, false, text)) == 0)
        layer_down_shut(&any->layer);
    layer_doom(&any->layer, -SONDE_EKIND, "detect", "HTTP and WebSocket are switched off");
}

/* HTTP/2 without asking for it first (RFC 9113, 3.3). It has a way to say that HTTP/1.1 is wanted: empty settings, then
 * GOAWAY with HTTP_1_1_REQUIRED. */
static bool refuse_http2(struct layer_any *any, const uint8_t *bytes, size_t n_bytes)
{
    static const char preface[] = "PRI * HTTP/2.0\r\n";
    static const uint8_t answer[] = {0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 13};

    if (n_bytes < sizeof preface - 1 || memcmp(bytes, preface, sizeof preface - 1) != 0)
        return false;
    if (layer_down(&any->layer, answer, sizeof answer) == 0)
        layer_down_shut(&any->layer);
    layer_doom(&any->layer, -SONDE_EHTTP, "detect", "it speaks HTTP/2; answered HTTP_1_1_REQUIRED");
    return true;
}

static void become_http(struct layer_any *any, uint8_t *bytes, size_t n_bytes)
{
    struct layer *layer = &any->layer, *http;

    if (!is_let_in(any, SONDE_ANY_HTTP) && !is_let_in(any, SONDE_ANY_WS)) {
        refuse_http(any);
        return;
    }
    if (refuse_http2(any, bytes, n_bytes))
        return;
    int error = layer_http_create(layer->stream, any->web, false, &http);
    if (error < 0)
        layer_doom(layer, error, "malloc", "%s", "");
    else
        layer_become(layer, http, bytes, n_bytes);
}

static void decide(struct layer_any *any, enum detected detected, uint8_t *bytes, size_t n_bytes)
{
    sonde_timer_stop(&any->timer);
    if (detected == DETECT_HTTP)
        become_http(any, bytes, n_bytes);
    else if (detected == DETECT_RAW || any->in_tls)
        become_raw(any, bytes, n_bytes);
    else if (is_let_in(any, SONDE_ANY_TLS) && any->web->tls != NULL)
        become_tls(any, bytes, n_bytes);
    else
        refuse_tls(any);
}

/* --- the layer -------------------------------------------------------------------------------------------------- */

static void on_wait_over(struct sonde_timer *timer)
{
    struct layer_any *any = timer->user;
    struct layer *layer = &any->layer;

    if (layer_is_over(layer))
        return;
    if (any->n_turns++ < LAYER_TURNS) {
        sonde_timer_start_in(timer, 0);
        return;
    }
    layer_enter(layer);
    decide(any, DETECT_RAW, any->bytes, any->n_bytes);
    layer_leave(layer);
}

static void begin(struct layer *layer)
{
    struct layer_any *any = of(layer);
    struct sonde_tls_info tls;

    if (any->in_tls && sonde_stream_tls_info(layer->stream, &tls) == 0 && strncmp(tls.alpn, "http/1.", 7) == 0)
        become_http(any, NULL, 0);
    else
        sonde_timer_start_in(&any->timer, any->web->any_wait_ns);
}

static int keep(struct layer_any *any, const uint8_t *bytes, size_t n_bytes)
{
    struct sonde_loop *loop = any->layer.stream->loop;

    if (any->room - any->n_bytes < n_bytes) {
        size_t room = any->n_bytes + n_bytes < 512 ? 512 : (any->n_bytes + n_bytes) * 2;
        uint8_t *more = loop_alloc(loop, room);
        if (more == NULL)
            return -ENOMEM;
        if (any->n_bytes > 0)
            memcpy(more, any->bytes, any->n_bytes);
        if (any->bytes != NULL)
            loop_free(loop, any->bytes, any->room);
        any->bytes = more;
        any->room = room;
    }
    memcpy(any->bytes + any->n_bytes, bytes, n_bytes);
    any->n_bytes += n_bytes;
    return 0;
}

static void take(struct layer *layer, uint8_t *bytes, size_t n_bytes)
{
    struct layer_any *any = of(layer);
    enum detected detected = detect(&any->detector, bytes, n_bytes);

    if (detected != DETECT_MORE && any->n_bytes == 0) {
        decide(any, detected, bytes, n_bytes);
        return;
    }
    if (keep(any, bytes, n_bytes) < 0)
        layer_doom(layer, -ENOMEM, "malloc", "%s", "");
    else if (detected != DETECT_MORE)
        decide(any, detected, any->bytes, any->n_bytes);
}

static void on_end(struct layer *layer)
{
    struct layer_any *any = of(layer);

    if (raw_is_let_in(any))
        layer_up_end(layer); /* before it vanishes; it is told after these bytes */
    decide(any, DETECT_RAW, any->bytes, any->n_bytes);
}

/* Nothing is sent before it is known to whom. */
static int on_send(struct layer *layer, const void *data, size_t n_bytes, unsigned flags)
{
    (void)layer, (void)data, (void)n_bytes, (void)flags;
    return -ENOTCONN;
}

static void on_shut(struct layer *layer)
{
    layer_down_shut(layer);
}

static void on_free(struct layer *layer)
{
    struct layer_any *any = of(layer);

    sonde_timer_stop(&any->timer);
    if (any->bytes != NULL)
        loop_free(layer->stream->loop, any->bytes, any->room);
    loop_free(layer->stream->loop, any, sizeof *any);
}

static const struct layer_kind any_kind = {
    .name = "any",
    .begin = begin,
    .take = take,
    .end = on_end,
    .send = on_send,
    .shut = on_shut,
    .free = on_free,
};

static int create(struct sonde_stream *stream, const struct layer_web *web, bool in_tls, struct layer **ret_layer)
{
    struct layer_any *any = layer_alloc(stream, &any_kind, sizeof *any);

    if (any == NULL)
        return -ENOMEM;
    any->web = web;
    any->in_tls = in_tls;
    sonde_timer_init(&any->timer, stream->loop, on_wait_over, any);
    *ret_layer = &any->layer;
    return 0;
}

int layer_any_create(struct sonde_stream *stream, const struct layer_web *web, struct layer **ret_layer)
{
    return create(stream, web, false, ret_layer);
}
