/* SPDX-License-Identifier: MIT */
/*
 * The wire as a source of events: packets are decoded, put together when they are fragments, tracked, and become
 * events. A connection's number on the time line is its conversation's, unless the owner gives it another.
 */
#ifndef TRACE_WIRE_H
#define TRACE_WIRE_H

#include "observe/capture/capture.h"
#include "observe/decode/decode.h"
#include "observe/event/event.h"
#include "observe/track/track.h"

struct wire;

struct wire_owner {
    /* One event; lent. NULL: nobody wants events, and none are made. A FIN, and what follows it within 20 ms, may come
     * late: they are to go through a time line. */
    void (*event)(const struct event *event, void *user);
    /* The number of this new conversation on the time line; 0: it is not to be told of. NULL: its id. */
    uint64_t (*number)(const struct conversation *conversation, int64_t t_ns, void *user);
    /* Payload in order. NULL: not wanted, and not kept. */
    void (*data)(const struct conversation *conversation, int64_t t_ns, enum event_end from, const void *data,
                 size_t n_bytes, uint64_t n_missing, bool push, void *user);
    /* It is over, or we are. */
    void (*conversation)(const struct conversation *conversation, void *user);
    void *user;
    const char *where;         /* of EVENT_CONNECTION; may be NULL */
    bool checksums;            /* check them */
    bool has_realtime;         /* realtime_minus_ns is known */
    bool conclusions;          /* ... and are in the result of its last packet, too */
    bool sentences;            /* conclusions follow a conversation */
    int64_t settle_ns;         /* live: a conversation that is over is concluded after so long; 0: at once */
    int64_t realtime_minus_ns; /* wall clock less time line, for EVENT_CONNECTION */
};

/* What became of a packet. */
struct wire_result {
    const struct decoded *decoded;
    struct conversation *conversation;   /* NULL: none */
    const struct event_segment *segment; /* NULL: none; lent until the next packet */
    const char *conclusion;              /* with this packet it is over: what is to be said of it; NULL: it is not */
};

/* NULL: no memory. The owner is copied. */
struct wire *wire_new(const struct wire_owner *owner);
void wire_set_offset(struct wire *wire, int64_t realtime_minus_ns);
void wire_packet(struct wire *wire, int64_t t_ns, const struct packet *packet, struct wire_result *ret_result);
/* A segment that was recorded as an event: tracked again. */
void wire_segment(struct wire *wire, int64_t t_ns, const struct event_segment *segment);
/* Live: conversations in trouble that are quiet now are judged, and what was not told yet is told. */
void wire_idle(struct wire *wire, int64_t now_ns);
/* When wire_idle has something to do; INT64_MAX: nothing. */
int64_t wire_next_ns(const struct wire *wire);
/* The time of the first event that is held; INT64_MAX: none is. */
int64_t wire_held_ns(const struct wire *wire);
/* Tell at once what was held to see what follows it. */
void wire_release(struct wire *wire);
/* The end: conversations that are still there are concluded, in order. */
void wire_finish(struct wire *wire);
void wire_free(struct wire *wire);
void wire_counts(const struct wire *wire, struct tracker_counts *ret_counts, uint64_t *ret_n_reassembly_lost);
/* The number of a conversation on the time line; 0: it has none. */
uint64_t wire_number(const struct conversation *conversation);

#endif
