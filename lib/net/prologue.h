/* SPDX-License-Identifier: MIT */
/*
 * Prologues: a short exchange of bytes on a stream before its owner is told of it, whether that is `accepted` or
 * `opened`. What follows the exchange is the stream's first data.
 *
 * A stream in its prologue is STREAM_CONNECTING: nothing of the owner's is sent yet, and nothing is delivered.
 */
#ifndef NET_PROLOGUE_H
#define NET_PROLOGUE_H

#include "net/net_internal.h"

struct prologue;

struct prologue_rules {
    /* Bytes have come. 1: this was the last that was needed, and the first *ret_n_taken bytes belonged to it; 0: more
     * are needed, all of these were taken; < 0: an error, which ends it. May set out and n_out. NULL: nothing is
     * received, all is over when `out` has gone. */
    int (*take)(struct prologue *prologue, const uint8_t *bytes, size_t n_bytes, size_t *ret_n_taken);
    /* It is over: 0, or an error: what take said, what receiving or sending said, -ENODATA when the peer ended its side
     * first, -ETIMEDOUT, -ENOMEM. The prologue may be freed here. After 0 the stream is no longer in it, and goes on
     * (stream_go_on) when the owner has been told. After an error, the stream can only be closed. Called from the loop,
     * never from inside prologue_begin. */
    void (*over)(struct prologue *prologue, int error);
};

/* Embedded in what the rules need to know. */
struct prologue {
    const struct prologue_rules *rules;
    struct sonde_stream *stream;
    struct sonde_timer timer;
    const uint8_t *out; /* still to be sent; stays until it has gone, or until the stream is closed */
    size_t n_out;
    struct chunk *rest; /* came behind the exchange */
    int error;          /* of its very beginning */
    bool is_whole;      /* nothing more is to be received */
    bool is_over;
};

/* Begin, with what is to be sent first in out. For a stream that has a descriptor and does not receive yet. It is over
 * at the deadline at the latest. */
void prologue_begin(struct prologue *prologue, struct sonde_stream *stream, const struct prologue_rules *rules,
                    const uint8_t *out, size_t n_out, int64_t deadline_ns);

/* Forget it: over is not called any more. The stream is to be closed. */
void prologue_stop(struct prologue *prologue);

#endif
