/* SPDX-License-Identifier: MIT */
/* All of a stream's layers, for layers.c, layers_make.c, layers_for.c and stream_info.c. */
#ifndef NET_LAYERS_INTERNAL_H
#define NET_LAYERS_INTERNAL_H

#include "net/layer.h"

/* What the owner sent before the handshakes were done. */
struct early {
    struct early *next;
    size_t n_bytes;
    unsigned flags;
    unsigned char data[];
};

struct layers {
    struct sonde_stream *stream;
    struct layer *bottom, *top; /* NULL: the bytes are the owner's as they are (a raw client of any://) */
    struct layer *dead;         /* replaced: freed when nothing is inside any more */
    unsigned n_inside;
    bool is_server, is_opening;
    bool has_opened;     /* every handshake is done; the owner may not have been told yet */
    bool peer_has_ended; /* as far as its socket goes */
    bool is_doomed;      /* why says for what; it fails when its last words have gone */
    bool end_waits;      /* the end has come and is not told yet */
    bool is_shut;        /* by the owner */
    bool is_shut_early;  /* that was before it opened */
    struct sonde_url url;
    struct sonde_why why;     /* code 0: nothing went wrong */
    struct sonde_timer timer; /* the handshakes' deadline, then that of the last words */
    struct connecting *connecting;
    struct layered_wait wait;
    struct layer_web *web;
    struct sonde_ws_client *client; /* a deep copy */
    size_t n_client_bytes;
    struct chunk *first; /* what a client of any:// had said before it was known for a raw one */
    struct early *early;
    size_t n_early_bytes;
    int64_t layer_since_ns; /* when the handshake at hand began */
    uint64_t n_wire_received;
    uint64_t n_sent, n_sent_flushed; /* of the owner's; and how many when nothing was queued last */
    uint64_t n_messages_sent, n_messages_received;
    void *request;
    void (*request_free)(struct sonde_loop *loop, void *request);
};

void layers_on_timer(struct sonde_timer *timer);
void layers_free_early(struct layers *layers);
void layers_free_dead(struct layers *layers);
void layers_free_connecting(struct layers *layers);
bool layers_have_messages(const struct sonde_stream *stream);
uint64_t layers_sent_bytes(const struct sonde_stream *stream);

#endif
