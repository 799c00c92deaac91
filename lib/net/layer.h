/* SPDX-License-Identifier: MIT */
/*
 * Layers: what is spoken on top of a stream's bytes. TLS, HTTP and WebSocket are layers; so is the one that finds out
 * which of them a client speaks. A stream without any pays for them with one branch.
 *
 *                  the owner: opened, data, end, notice              sonde_stream_send, shutdown
 *                        ^                                                 |
 *                        | layer_up...                                     v send, shut
 *                  [ WebSocket | HTTP ]                             [ WebSocket | HTTP ]
 *                        ^                                                 | layer_down...
 *                        | take, end                                       v send, shut
 *                  [ TLS ]                                          [ TLS ]
 *                        ^                                                 |
 *                        | take, end                                       v
 *                  the socket                                       the stream's queue, the socket
 *
 * Opening. The layers begin from the bottom: each one's begin is called when the one below is open, and it says
 * layer_opened when its own handshake is done; then the next begins, or the stream opens (connect: opened; listener:
 * accepted). Until then the owner's writes are kept here, and go through the layers when it has opened. All of it has a
 * deadline, which is not the layers' concern.
 *
 * Pausing. A layer hands up one piece at a time, and only while layer_may_rise; what it can't hand up it keeps, says so
 * in `holds`, and hands up in go_on. `take` takes all it is given; it is not called while the layer holds anything, so
 * that what it keeps is bounded by what one receive brings.
 *
 * Errors. A layer that finds the peer at fault says layer_doom, after sending what the peer is to know (an alert, a
 * Close frame, a 400): nothing more is delivered, the queue goes out, what the peer still sends is thrown away until
 * its end (a second at most), so that what was sent arrives; then the stream fails. After layer_doom, and after
 * layer_up..., look at layer_is_over before touching the stream again: the owner may have closed it. The layer itself
 * stays until its `free`, which is called from nowhere inside of it.
 */
#ifndef NET_LAYER_H
#define NET_LAYER_H

#include "net/net_internal.h"

/* Timers come before what was received: when the loop was busy elsewhere, or the program was stopped, a time is over
 * though the peer has spoken in it. Who is to be punished for silence is heard in so many turns of the loop first; an
 * engine may need a turn or two until it receives again. */
#define LAYER_TURNS 4

struct layer;

struct layer_kind {
    const char *name; /* in sentences: "TLS", "HTTP", "WebSocket", "any" */
    unsigned bit;     /* SONDE_LAYER_...; 0: none of its own */
    bool has_messages;
    /* The one below is open: begin the handshake. May call layer_opened. */
    void (*begin)(struct layer *layer);
    /* Bytes from below, n_bytes > 0. Valid for the time of the call; may be changed in place. */
    void (*take)(struct layer *layer, uint8_t *bytes, size_t n_bytes);
    /* Hand up what is held; `holds` says whether anything is left. NULL: it never holds anything. */
    void (*go_on)(struct layer *layer);
    /* No more bytes from below, in good order. Called once, with nothing held. Says layer_up_end, or layer_doom. */
    void (*end)(struct layer *layer);
    /* From above. 0, or a negative error, and then nothing of it is sent. Only when open, and never after shut. */
    int (*send)(struct layer *layer, const void *data, size_t n_bytes, unsigned flags);
    /* The owner sends no more: say so to the peer, and layer_down_shut now, or when the peer's end has come too. */
    void (*shut)(struct layer *layer);
    /* Free it, and what it has. */
    void (*free)(struct layer *layer);
};

/* Embedded, first, in what a kind needs. Memory comes from loop_alloc. */
struct layer {
    const struct layer_kind *kind;
    struct sonde_stream *stream;
    struct layer *below, *above; /* NULL: the socket; the owner */
    bool is_open;
    bool holds;    /* has something to hand up that may not rise yet */
    bool is_ended; /* layer_up_end was said: nothing rises any more */
    bool is_shut;  /* its shut was called; nothing is sent through it any more */
    bool has_all;  /* the peer has said its last word to it: how the layers below end does not matter any more */
};

/* --- for layers ------------------------------------------------------------------------------------------------- */

static inline bool layer_is_over(const struct layer *layer)
{
    return layer->stream->state & (STREAM_CLOSING | STREAM_FAILED);
}

/* May a piece be handed up now? */
bool layer_may_rise(const struct layer *layer);

/* Hand up: bytes, or a message with flags (SONDE_MESSAGE, SONDE_TEXT). data is valid for the time of the call, and may
 * be changed by the one above. */
void layer_up(struct layer *layer, uint8_t *data, size_t n_bytes, unsigned flags);
void layer_up_end(struct layer *layer);
void layer_up_notice(struct layer *layer, const struct sonde_notice *notice);

/* Send below. 0 or a negative error (-ENOMEM, or what the connection failed with). The limit of the queue was looked at
 * where the owner wrote; here it is not. */
int layer_down(struct layer *layer, const void *data, size_t n_bytes);

/* Nothing more will be sent below: the layer below says so in its own way, at the bottom SHUT_WR. */
void layer_down_shut(struct layer *layer);

/* This layer's handshake is done. text: what was agreed on, for the probe. It may be called inside begin or take; the
 * owner may have been told, and have closed the stream, when it returns. */
void layer_opened(struct layer *layer, const char *text);

/* The peer is at fault, or the layer can't go on: error is negative; call is static ("handshake"); detail says more.
 * The first one counts. */
__attribute__((format(printf, 4, 5))) void layer_doom(struct layer *layer, int error, const char *call,
                                                      const char *detail, ...);

/* Put `next` in the place of this layer, which is freed once nothing is inside of it any more. The new one's begin is
 * called, and then its take with these bytes, which had come already (none: n_bytes 0). */
void layer_become(struct layer *layer, struct layer *next, uint8_t *bytes, size_t n_bytes);

/* Leave the place to the layers below: the owner gets their bytes. Only above or below another layer, or for a raw
 * client of any://. Then the stream has opened, and these bytes are its first. */
void layer_vanish(struct layer *layer, uint8_t *bytes, size_t n_bytes);

/* Put a layer on top of this one, before this one says layer_opened. */
void layer_add_above(struct layer *layer, struct layer *above);

/* A layer that acts by itself, from a timer of its own, does it between these two. It may be gone afterwards. */
void layer_enter(struct layer *layer);
void layer_leave(struct layer *layer);

/* A member of every kind: zeroed memory with its struct layer filled in; NULL: -ENOMEM. */
void *layer_alloc(struct sonde_stream *stream, const struct layer_kind *kind, size_t size_bytes);

/* What the stream was connected or accepted with; lives as long as the stream's layers do. */
const struct sonde_url *layer_url(const struct layer *layer);
bool layer_is_server(const struct layer *layer);

/* The open layer of this kind, to be asked; NULL: the stream has none. */
struct layer *layer_find(const struct sonde_stream *stream, const struct layer_kind *kind);

/* The request that an accepted stream began with is kept beside its layers until they are freed, for
 * sonde_stream_request: `free` is called with it then. NULL: there is none. */
void layer_keep_request(struct layer *layer, void *request, void (*free)(struct sonde_loop *loop, void *request));
void *layer_request(const struct sonde_stream *stream);

/* --- one file each ---------------------------------------------------------------------------------------------- */

/* A layer for a stream, or NULL and an error. What they take is referred to, and outlives the stream's layers. */
struct sonde_tls;
struct sonde_ws_client;
struct layer_web;

/* layer_tls.c: `host` is the name to verify and to ask for (SNI) unless tls says another; NULL for servers. */
int layer_tls_create(struct sonde_stream *stream, const struct sonde_tls *tls, const char *host,
                     struct layer **ret_layer);
/* layer_ws_client.c: asks for the upgrade, then becomes a WebSocket layer. */
int layer_ws_client_create(struct sonde_stream *stream, const struct sonde_ws_client *client, struct layer **ret_layer);
/* layer_http.c: reads a request, and becomes a WebSocket layer, or answers it as HTTP; ws_only: refuses what is no
 * upgrade with 426. */
int layer_http_create(struct sonde_stream *stream, const struct layer_web *web, bool ws_only, struct layer **ret_layer);
/* layer_any.c: finds out what the client speaks, within its time. */
int layer_any_create(struct sonde_stream *stream, const struct layer_web *web, struct layer **ret_layer);
/* layer_ws.c: an open WebSocket. `settings` is copied; subprotocol may be NULL. deflate: NULL, or what was agreed on.
 */
struct ws_deflate_terms;
struct sonde_ws_settings;
int layer_ws_create(struct sonde_stream *stream, const struct sonde_ws_settings *settings, const char *subprotocol,
                    const struct ws_deflate_terms *deflate, struct layer **ret_layer);

/* What a listener's web and any:// layers need: made once a listener (listener_layers.c), outlives its streams'
 * opening, and is shared by its streams: counted. */
struct layer_web {
    struct sonde_loop *loop;
    unsigned n_users;
    const struct sonde_web_server *server; /* a deep copy */
    const struct sonde_tls *tls;           /* for TLS clients of any://; NULL: they are not let in */
    const struct sonde_listener *listener; /* NULL: closed. Its own names, for Host: sonde_listener_address */
    struct sonde_url url;                  /* with the target that is served; "": any */
    unsigned any_kinds;                    /* bits 1 << enum sonde_any_kind */
    int64_t any_wait_ns;
};

/* --- for the stream --------------------------------------------------------------------------------------------- */

/* All of a stream's layers, and what belongs to them together (layers.c). */
struct layers;

/* Layers for a stream that is to be connected, as its URL says: 0, or an error with its why. */
int layers_for_connect(struct sonde_stream *stream, const struct sonde_url *url,
                       const struct sonde_connect_options *options, struct sonde_why *ret_why);
/* For one that was accepted; listener_layers.c adds the layers. */
struct layer_web;
int layers_create(struct sonde_stream *stream, const struct sonde_url *url, bool is_server, struct layer_web *web);
void layers_add(struct sonde_stream *stream, struct layer *layer); /* on top */
void layers_free(struct sonde_stream *stream);

/* The socket is connected: shake hands until the deadline (absolute), then opened or failed is told. connecting: what
 * is to be freed then; NULL: accepted, and layered_opened or layered_failed follows. */
void layers_begin(struct sonde_stream *stream, struct connecting *connecting, int64_t deadline_ns);
/* An accepted stream has got its handler. */
void layers_tell_open(struct sonde_stream *stream);

bool layers_opening(const struct sonde_stream *stream);
struct connecting *layers_connecting(const struct sonde_stream *stream);
/* May nothing more be taken from the socket now? */
bool layers_hold(const struct sonde_stream *stream);
/* Hand up what is held, as far as it may be; false: something still is. Calls back. */
bool layers_rise(struct sonde_stream *stream);
void layers_take(struct sonde_stream *stream, uint8_t *bytes, size_t n_bytes);
/* The socket's end of data. */
void layers_take_end(struct sonde_stream *stream);
/* All that was queued has gone. */
void layers_flushed(struct sonde_stream *stream);
/* The error that is to be told for this one: what a layer said first, if one did. */
int layers_error(const struct sonde_stream *stream, int error);
bool layers_why(const struct sonde_stream *stream, struct sonde_why *ret_why);
int layers_send(struct sonde_stream *stream, const void *data, size_t n_bytes, unsigned flags);
void layers_shut(struct sonde_stream *stream);
/* It is being closed. */
void layers_stop(struct sonde_stream *stream);
/* Failed before anybody was told of it? Then the listener is told here. */
bool layers_refused(struct sonde_stream *stream);

/* --- listener_layers.c ------------------------------------------------------------------------------------------ */

struct layered_wait {
    TAILQ_ENTRY(layered_wait) link;
    struct sonde_stream *stream;
    bool is_waiting, is_ready;
};

struct layered_wait *layers_wait(const struct sonde_stream *stream);
void layered_opened(struct sonde_stream *stream);
void layered_failed(struct sonde_stream *stream, const struct sonde_why *why);
void layer_web_release(struct layer_web *web);

#endif
