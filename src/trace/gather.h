/* SPDX-License-Identifier: MIT */
/*
 * Events that are kept until all have come, by connection: for renderings that need the whole of one. Bounded in
 * connections and events; what finds no room is counted.
 */
#ifndef TRACE_GATHER_H
#define TRACE_GATHER_H

#include "observe/event/event.h"

#define GATHER_EVENTS_MAX 200000
#define GATHER_SENTENCES_MAX 200000 /* on top of them */
#define GATHER_CONNS_MAX 100000

struct gathered {
    uint64_t conn;
    struct event **events;
    size_t n_events, n_room;
    uint64_t n_left_out; /* its events that found no room */
};

struct gather {
    struct gathered *conns; /* in the order of their first events */
    size_t n_conns, n_room, n_conns_max;
    uint32_t *buckets; /* of a hash of their numbers: index and one, 0: none */
    size_t n_buckets;
    size_t n_events;
    uint64_t n_conns_left_out;                     /* connections that found no room */
    uint64_t last_left_out, n_introduced, n_grown; /* of those */
    uint64_t only;                                 /* keep this connection alone; 0: all */
};

/* n_conns_max: 0 for as many as can be kept. */
void gather_init(struct gather *gather, size_t n_conns_max, uint64_t only);
void gather_event(struct gather *gather, const struct event *event);
void gather_free(struct gather *gather);

#endif
