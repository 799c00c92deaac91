/* SPDX-License-Identifier: MIT */
/* A stream's layers: making them, freeing them, and what is known of them. layers.c has what they do. */
#include "net/layers_internal.h"

#include <errno.h>
#include <string.h>

/* --- the making ------------------------------------------------------------------------------------------------- */

void *layer_alloc(struct sonde_stream *stream, const struct layer_kind *kind, size_t size_bytes)
{
    struct layer *layer = loop_alloc(stream->loop, size_bytes);

    if (layer == NULL)
        return NULL;
    memset(layer, 0, size_bytes);
    layer->kind = kind;
    layer->stream = stream;
    return layer;
}

int layers_create(struct sonde_stream *stream, const struct sonde_url *url, bool is_server, struct layer_web *web)
{
    struct layers *layers = loop_alloc(stream->loop, sizeof *layers);

    if (layers == NULL)
        return -ENOMEM;
    memset(layers, 0, sizeof *layers);
    layers->stream = stream;
    layers->url = *url;
    layers->is_server = is_server;
    layers->is_opening = true;
    layers->wait.stream = stream;
    layers->web = web;
    if (web != NULL)
        web->n_users++;
    sonde_timer_init(&layers->timer, stream->loop, layers_on_timer, layers);
    stream->layers = layers;
    return 0;
}

void layers_add(struct sonde_stream *stream, struct layer *layer)
{
    struct layers *layers = stream->layers;

    layer->below = layers->top;
    if (layers->top != NULL)
        layers->top->above = layer;
    else
        layers->bottom = layer;
    layers->top = layer;
}

void layers_free_early(struct layers *layers)
{
    struct early *early;

    while ((early = layers->early) != NULL) {
        layers->early = early->next;
        loop_free(layers->stream->loop, early, sizeof *early + early->n_bytes);
    }
    layers->n_early_bytes = 0;
}

void layers_free_dead(struct layers *layers)
{
    struct layer *dead;

    while ((dead = layers->dead) != NULL) {
        layers->dead = dead->above;
        dead->kind->free(dead);
    }
}

void layers_free_connecting(struct layers *layers)
{
    if (layers->connecting != NULL)
        connecting_dispose(layers->connecting);
    layers->connecting = NULL;
}

void layers_free(struct sonde_stream *stream)
{
    struct layers *layers = stream->layers;
    struct layer *layer;

    if (layers == NULL)
        return;
    sonde_timer_stop(&layers->timer);
    while ((layer = layers->top) != NULL) {
        layers->top = layer->below;
        layer->kind->free(layer);
    }
    layers_free_dead(layers);
    layers_free_early(layers);
    layers_free_connecting(layers);
    chunk_free_all(stream->loop, layers->first);
    if (layers->request != NULL)
        layers->request_free(stream->loop, layers->request);
    if (layers->web != NULL)
        layer_web_release(layers->web);
    loop_free(stream->loop, layers->client, layers->n_client_bytes);
    stream->layers = NULL;
    loop_free(stream->loop, layers, sizeof *layers);
}

/* --- what is known ---------------------------------------------------------------------------------------------- */

const struct sonde_url *layer_url(const struct layer *layer)
{
    return &layer->stream->layers->url;
}

bool layer_is_server(const struct layer *layer)
{
    return layer->stream->layers->is_server;
}

struct layer *layer_find(const struct sonde_stream *stream, const struct layer_kind *kind)
{
    struct layer *layer = stream->layers != NULL ? stream->layers->bottom : NULL;

    while (layer != NULL && (layer->kind != kind || !layer->is_open))
        layer = layer->above;
    return layer;
}

void layer_keep_request(struct layer *layer, void *request, void (*free)(struct sonde_loop *loop, void *request))
{
    layer->stream->layers->request = request;
    layer->stream->layers->request_free = free;
}

void *layer_request(const struct sonde_stream *stream)
{
    return stream->layers != NULL ? stream->layers->request : NULL;
}

unsigned sonde_stream_layers(const struct sonde_stream *stream)
{
    unsigned bits = 0;

    if (stream->layers == NULL)
        return 0;
    for (const struct layer *layer = stream->layers->bottom; layer != NULL; layer = layer->above)
        if (layer->is_open)
            bits |= layer->kind->bit;
    return bits | (stream->layers->url.layers & SONDE_LAYER_ANY);
}

bool layers_have_messages(const struct sonde_stream *stream)
{
    return stream->layers->top != NULL && stream->layers->top->kind->has_messages;
}

bool layers_opening(const struct sonde_stream *stream)
{
    return stream->layers != NULL && stream->layers->is_opening;
}

struct connecting *layers_connecting(const struct sonde_stream *stream)
{
    return stream->layers != NULL ? stream->layers->connecting : NULL;
}

struct layered_wait *layers_wait(const struct sonde_stream *stream)
{
    return &stream->layers->wait;
}

int layers_error(const struct sonde_stream *stream, int error)
{
    return stream->layers->why.code < 0 ? stream->layers->why.code : error;
}

bool layers_why(const struct sonde_stream *stream, struct sonde_why *ret_why)
{
    if (stream->layers == NULL || stream->layers->why.code == 0)
        return false;
    *ret_why = stream->layers->why;
    return true;
}
