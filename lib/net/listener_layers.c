/* SPDX-License-Identifier: MIT */
/*
 * Listeners whose clients shake hands first: TLS, WebSocket, and whoever any:// tells apart.
 *
 * Theory of operation
 *
 * As with headers (listener_headers.c), each connection is a stream of its own at once, and its owner does not know of
 * it before all handshakes are done: a slow one holds up nobody. Those that wait are counted and bounded; of too many,
 * the one that has waited longest goes. One that is done while the listener is paused is ready, and waits until it is
 * resumed.
 */
#include "net/layer.h"
#include "net/listener_internal.h"
#include "net/texts.h"

#include <errno.h>
#include <sonde/tls.h>
#include <sonde/ws.h>
#include <string.h>

enum { WAITING_MAX = 1024 };

static const int64_t patience_ns = INT64_C(10) * 1000 * 1000 * 1000;

TAILQ_HEAD(layered_list, layered_wait);

struct layered {
    struct layered_list waiting;
    struct layered_list ready;
    unsigned n; /* in both */
    struct layer_web *web;
};

/* --- what the layers are made from ------------------------------------------------------------------------------ */

struct web {
    struct layer_web web; /* first */
    struct sonde_web_server server;
    struct sonde_tls *own_tls; /* made here */
    void *texts;
    size_t n_texts_bytes;
};

static int copy_server(struct web *web, const struct sonde_web_server *from)
{
    struct sonde_web_server *server = &web->server;
    struct texts texts = {0};

    if (from != NULL)
        memcpy(server, from, from->size < sizeof *server ? from->size : sizeof *server);
    server->size = sizeof *server;
    for (int pass = 0; pass < 2; pass++) {
        texts_list(&texts, &server->origins);
        texts_list(&texts, &server->hosts);
        texts_one(&texts, &server->subprotocols);
        if (pass == 1 || texts.n_bytes == 0)
            break;
        web->n_texts_bytes = texts.n_bytes;
        web->texts = loop_alloc(web->web.loop, texts.n_bytes);
        if (web->texts == NULL)
            return -ENOMEM;
        texts_begin_copy(&texts, web->texts);
    }
    return 0;
}

/* A listener without a certificate shows one that is made here. */
static int find_tls(struct web *web, const struct sonde_tls *tls, struct sonde_why *why)
{
    const struct sonde_tls_options options = {.size = sizeof options, .server = 1};
    bool wanted = web->web.url.layers & SONDE_LAYER_TLS ||
                  (web->web.url.layers & SONDE_LAYER_ANY && web->web.any_kinds & 1u << SONDE_ANY_TLS);

    web->web.tls = tls;
    if (!wanted || tls != NULL)
        return 0;
    int error = sonde_tls_create(&options, &web->own_tls, why);
    web->web.tls = web->own_tls;
    return error;
}

static int web_create(struct sonde_listener *listener, const struct sonde_listen_options *options,
                      struct layer_web **ret_web, struct sonde_why *why)
{
    struct web *web = loop_alloc(listener->loop, sizeof *web);

    if (web == NULL)
        return -ENOMEM;
    memset(web, 0, sizeof *web);
    web->web = (struct layer_web){
        .loop = listener->loop,
        .n_users = 1,
        .server = &web->server,
        .listener = listener,
        .url = listener->url,
        .any_kinds = options->any_kinds != 0 ? options->any_kinds : (1u << SONDE_N_ANY_KINDS) - 1,
        .any_wait_ns = options->any_wait_ns > 0 ? options->any_wait_ns : SONDE_ANY_WAIT_NS,
    };
    int error = copy_server(web, options->web);
    if (error == 0)
        error = find_tls(web, options->tls, why);
    if (error < 0) {
        layer_web_release(&web->web);
        return error;
    }
    *ret_web = &web->web;
    return 0;
}

void layer_web_release(struct layer_web *layer_web)
{
    struct web *web = (struct web *)layer_web;

    if (--layer_web->n_users > 0)
        return;
    if (web->own_tls != NULL)
        sonde_tls_free(web->own_tls);
    loop_free(layer_web->loop, web->texts, web->n_texts_bytes);
    loop_free(layer_web->loop, web, sizeof *web);
}

int layered_create(struct sonde_listener *listener, const struct sonde_listen_options *options, struct sonde_why *why)
{
    struct layered *layered = loop_alloc(listener->loop, sizeof *layered);

    int error = layered == NULL ? -ENOMEM : web_create(listener, options, &layered->web, why);
    if (error < 0) {
        loop_free(listener->loop, layered, sizeof *layered);
        why->code = error;
        if (error == -ENOMEM)
            why->call = "malloc";
        return error;
    }
    TAILQ_INIT(&layered->waiting);
    TAILQ_INIT(&layered->ready);
    layered->n = 0;
    listener->layered = layered;
    return 0;
}

void layered_free(struct sonde_listener *listener)
{
    struct layered *layered = listener->layered;

    if (layered == NULL)
        return;
    layered->web->listener = NULL;
    layer_web_release(layered->web);
    loop_free(listener->loop, layered, sizeof *layered);
    listener->layered = NULL;
}

/* --- waiting ---------------------------------------------------------------------------------------------------- */

bool layered_any_ready(const struct sonde_listener *listener)
{
    return listener->layered != NULL && !TAILQ_EMPTY(&listener->layered->ready);
}

/* Whoever is still shaking hands may never be done: the others are not kept waiting for that. */
bool layered_hold_up(const struct sonde_listener *listener)
{
    return layered_any_ready(listener) && listener->flags & SONDE_LISTEN_ONE_BY_ONE;
}

static void forget(struct layered *layered, struct layered_wait *wait)
{
    if (!wait->is_waiting)
        return;
    TAILQ_REMOVE(wait->is_ready ? &layered->ready : &layered->waiting, wait, link);
    wait->is_waiting = wait->is_ready = false;
    layered->n--;
}

static void refuse(struct sonde_listener *listener, struct sonde_stream *stream, const struct sonde_why *why)
{
    struct sonde_address peer;

    sonde_stream_peer(stream, &peer);
    /* What it was told may not have been acknowledged yet; who was told nothing is told by a reset. */
    if (why->code == -ETIMEDOUT || why->code == -ENOBUFS)
        sonde_stream_abort(stream);
    else
        sonde_stream_close(stream);
    listener_tell_refused(listener, &peer, why);
}

static void hand_over(struct sonde_listener *listener, struct layered_wait *wait)
{
    forget(listener->layered, wait);
    listener_tell_accepted(listener, wait->stream);
}

void layered_hand_over_ready(struct sonde_listener *listener)
{
    struct layered_wait *wait;

    while (listener->layered != NULL && !listener->paused && !listener->closing && !loop_is_stopping(listener->loop) &&
           (wait = TAILQ_FIRST(&listener->layered->ready)) != NULL)
        hand_over(listener, wait);
}

void layered_opened(struct sonde_stream *stream)
{
    struct sonde_listener *listener = stream->listener;
    struct layered_wait *wait = layers_wait(stream);

    if (listener == NULL || listener->layered == NULL || !wait->is_waiting)
        return;
    if (listener->paused || layered_any_ready(listener)) {
        TAILQ_REMOVE(&listener->layered->waiting, wait, link);
        TAILQ_INSERT_TAIL(&listener->layered->ready, wait, link);
        wait->is_ready = true;
    } else {
        hand_over(listener, wait);
    }
    listener_go_on(listener);
}

void layered_failed(struct sonde_stream *stream, const struct sonde_why *why)
{
    struct sonde_listener *listener = stream->listener;

    if (listener == NULL || listener->layered == NULL) {
        sonde_stream_abort(stream);
        return;
    }
    forget(listener->layered, layers_wait(stream));
    refuse(listener, stream, why);
    listener_go_on(listener);
}

static int add_layers(struct sonde_stream *stream, struct layer_web *web)
{
    struct layer *layer = NULL;
    int error = 0;

    if (web->url.layers & SONDE_LAYER_ANY) {
        error = layer_any_create(stream, web, &layer);
        if (error == 0)
            layers_add(stream, layer);
        return error;
    }
    if (web->url.layers & SONDE_LAYER_TLS) {
        error = layer_tls_create(stream, web->tls, NULL, &layer);
        if (error == 0)
            layers_add(stream, layer);
    }
    if (error == 0 && web->url.layers & SONDE_LAYER_WS) {
        error = layer_http_create(stream, web, true, &layer);
        if (error == 0)
            layers_add(stream, layer);
    }
    return error;
}

/* Somebody who has not finished in time is the least likely to: one that waits makes room for the new one. */
static bool make_room(struct sonde_listener *listener)
{
    struct layered *layered = listener->layered;
    struct layered_wait *oldest = TAILQ_FIRST(&layered->waiting);
    struct sonde_why why = {.code = -ENOBUFS, .call = "handshake", .detail = "1,024 others have not finished theirs"};
    struct sonde_address peer;

    if (layered->n < WAITING_MAX)
        return true;
    if (oldest == NULL)
        return false;
    struct sonde_stream *stream = oldest->stream;
    sonde_stream_peer(stream, &peer);
    sonde_address_format(&peer, why.subject, sizeof why.subject);
    forget(layered, oldest);
    refuse(listener, stream, &why);
    return !listener->closing;
}

/* Has the owner something against it from the beginning? */
static bool may_try(struct sonde_listener *listener, struct sonde_stream *stream)
{
    struct sonde_why why = {.call = "peer"};
    struct sonde_address peer;

    if (listener->handler->came == NULL)
        return true;
    sonde_stream_peer(stream, &peer);
    why.code = listener->handler->came(listener, &peer, listener->owner);
    if (why.code == 0)
        return true;
    sonde_address_format(&peer, why.subject, sizeof why.subject);
    sonde_stream_abort(stream);
    listener_tell_refused(listener, &peer, &why);
    return false;
}

void layered_await(struct sonde_listener *listener, struct sonde_stream *stream)
{
    struct layered *layered = listener->layered;

    if (!may_try(listener, stream))
        return;
    if (listener->closing || !make_room(listener)) {
        sonde_stream_abort(stream);
        return;
    }
    int error = layers_create(stream, &listener->url, true, layered->web);
    if (error == 0)
        error = add_layers(stream, layered->web);
    if (error < 0) {
        sonde_stream_abort(stream);
        listener_in_trouble(listener, error);
        return;
    }
    struct layered_wait *wait = layers_wait(stream);
    wait->is_waiting = true;
    TAILQ_INSERT_TAIL(&layered->waiting, wait, link);
    layered->n++;
    layers_begin(stream, NULL, sonde_loop_now_ns(listener->loop) + patience_ns);
    if (!(stream->state & (STREAM_CLOSING | STREAM_FAILED)))
        stream_go_on(stream);
}

void layered_close(struct sonde_listener *listener)
{
    struct layered *layered = listener->layered;
    struct layered_wait *wait;

    while (layered != NULL &&
           ((wait = TAILQ_FIRST(&layered->waiting)) != NULL || (wait = TAILQ_FIRST(&layered->ready)) != NULL)) {
        forget(layered, wait);
        sonde_stream_abort(wait->stream);
    }
}
