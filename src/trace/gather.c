/* SPDX-License-Identifier: MIT */
#include "trace/gather.h"

#include <stdlib.h>

void gather_init(struct gather *gather, size_t n_conns_max, uint64_t only)
{
    *gather = (struct gather){.n_conns_max = n_conns_max, .only = only};
}

static size_t bucket_of(const struct gather *gather, uint64_t conn)
{
    size_t at = (size_t)(conn * UINT64_C(0x9e3779b97f4a7c15) >> 32) & (gather->n_buckets - 1);
    while (gather->buckets[at] != 0 && gather->conns[gather->buckets[at] - 1].conn != conn)
        at = (at + 1) & (gather->n_buckets - 1);
    return at;
}

static struct gathered *find(const struct gather *gather, uint64_t conn)
{
    if (gather->n_conns == 0)
        return NULL;
    uint32_t found = gather->buckets[bucket_of(gather, conn)];
    return found ? &gather->conns[found - 1] : NULL;
}

/* Room for one more connection. */
static bool grow(struct gather *gather)
{
    if (gather->n_conns < gather->n_room)
        return true;
    size_t n_room = gather->n_room ? 2 * gather->n_room : 8, n_buckets = 2 * n_room;
    struct gathered *conns = reallocarray(gather->conns, n_room, sizeof *conns);
    if (!conns)
        return false;
    gather->conns = conns;
    uint32_t *buckets = calloc(n_buckets, sizeof *buckets);
    if (!buckets)
        return false;
    free(gather->buckets);
    gather->buckets = buckets;
    gather->n_buckets = n_buckets;
    gather->n_room = n_room;
    for (size_t i = 0; i < gather->n_conns; i++)
        buckets[bucket_of(gather, conns[i].conn)] = (uint32_t)i + 1;
    return true;
}

static struct gathered *find_or_make(struct gather *gather, uint64_t conn, bool introduces)
{
    struct gathered *gathered = find(gather, conn);
    if (gathered)
        return gathered;
    bool full = (gather->n_conns_max > 0 && gather->n_conns == gather->n_conns_max) ||
                gather->n_conns == GATHER_CONNS_MAX || !grow(gather);
    if (full) {
        /* Each is introduced once; where introductions are missing, numbers that grow are counted. */
        gather->n_introduced += introduces;
        gather->n_grown += conn > gather->last_left_out;
        if (conn > gather->last_left_out)
            gather->last_left_out = conn;
        gather->n_conns_left_out = gather->n_introduced > gather->n_grown ? gather->n_introduced : gather->n_grown;
        return NULL;
    }
    gather->conns[gather->n_conns] = (struct gathered){.conn = conn};
    gather->buckets[bucket_of(gather, conn)] = (uint32_t)gather->n_conns + 1;
    return &gather->conns[gather->n_conns++];
}

static bool keep(struct gathered *gathered, const struct event *event)
{
    if (gathered->n_events == gathered->n_room) {
        size_t n_room = gathered->n_room ? 2 * gathered->n_room : 16;
        struct event **events = reallocarray(gathered->events, n_room, sizeof *events);
        if (!events)
            return false;
        gathered->events = events;
        gathered->n_room = n_room;
    }
    struct event *clone = event_clone(event);
    if (!clone)
        return false;
    gathered->events[gathered->n_events++] = clone;
    return true;
}

void gather_event(struct gather *gather, const struct event *event)
{
    if (event->conn == 0 || (gather->only != 0 && event->conn != gather->only))
        return;
    struct gathered *gathered = find_or_make(gather, event->conn, event->kind == EVENT_KIND_CONNECTION);
    if (!gathered)
        return;
    /* Conclusions are few, and they are what is wanted of a connection that is too long to be drawn whole. */
    size_t most = GATHER_EVENTS_MAX + (event->kind == EVENT_KIND_SENTENCE ? GATHER_SENTENCES_MAX : 0);
    bool room = gather->n_events < most;
    if (room && keep(gathered, event))
        gather->n_events++;
    else
        gathered->n_left_out++;
}

void gather_free(struct gather *gather)
{
    for (size_t i = 0; i < gather->n_conns; i++) {
        for (size_t j = 0; j < gather->conns[i].n_events; j++)
            free(gather->conns[i].events[j]);
        free(gather->conns[i].events);
    }
    free(gather->conns);
    free(gather->buckets);
}
