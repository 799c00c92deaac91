/* SPDX-License-Identifier: MIT */
/*
 * A binary heap of copies, by time, then cause, then arrival. Its size is bounded; when it is full, the oldest events
 * are handed on before their time, which can only make later ones late, and that is counted.
 */
#include "observe/event/timeline.h"

#include <errno.h>
#include <stdlib.h>

struct waiting {
    int64_t t_ns;
    uint64_t order; /* rank above, arrival below */
    struct event *event;
};

struct timeline {
    struct timeline_sink sink;
    int64_t hold_ns, handed_ns; /* the latest time that was handed on */
    uint64_t n_arrived, n_late, n_lost;
    struct waiting *heap;
    size_t n_waiting, n_room, n_max;
};

#define RANK_SHIFT 56

/* Of events at the same time, what comes first. */
static uint64_t rank_of(const struct event *event)
{
    switch ((enum event_kind)event->kind) {
    case EVENT_KIND_CONNECTION:
        return 0;
    case EVENT_KIND_CALL:
        return event->call.phase == CALL_BEGIN ? 1 : 5;
    case EVENT_KIND_SEGMENT:
    case EVENT_KIND_DATAGRAM:
    case EVENT_KIND_ICMP:
        return 2;
    case EVENT_KIND_STATE:
        return 3;
    case EVENT_KIND_MESSAGE: /* behind what brings it */
        return event->source == EVENT_WIRE ? 3 : 5;
    case EVENT_KIND_VALUES:
        return 4;
    case EVENT_KIND_HANDSHAKE:
        return 5;
    case EVENT_KIND_LOSS:
        return 6;
    case EVENT_KIND_SENTENCE:
    case EVENT_N_KINDS:
        break;
    }
    return 7;
}

struct timeline *timeline_new(int64_t hold_ns, size_t n_events_max, struct timeline_sink sink)
{
    struct timeline *line = calloc(1, sizeof *line);
    if (!line)
        return NULL;
    line->sink = sink;
    line->hold_ns = hold_ns;
    line->handed_ns = INT64_MIN;
    line->n_max = n_events_max > 0 ? n_events_max : 1;
    return line;
}

void timeline_free(struct timeline *line)
{
    if (!line)
        return;
    for (size_t i = 0; i < line->n_waiting; i++)
        free(line->heap[i].event);
    free(line->heap);
    free(line);
}

static bool before(const struct waiting *one, const struct waiting *other)
{
    return one->t_ns != other->t_ns ? one->t_ns < other->t_ns : one->order < other->order;
}

static void sift_up(struct waiting *heap, size_t at)
{
    struct waiting moved = heap[at];
    while (at > 0 && before(&moved, &heap[(at - 1) / 2])) {
        heap[at] = heap[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    heap[at] = moved;
}

static void sift_down(struct waiting *heap, size_t n)
{
    struct waiting moved = heap[0];
    size_t at = 0;
    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= n)
            break;
        if (child + 1 < n && before(&heap[child + 1], &heap[child]))
            child++;
        if (!before(&heap[child], &moved))
            break;
        heap[at] = heap[child];
        at = child;
    }
    heap[at] = moved;
}

static void hand_on_oldest(struct timeline *line)
{
    struct event *event = line->heap[0].event;
    line->heap[0] = line->heap[--line->n_waiting];
    if (line->n_waiting > 0)
        sift_down(line->heap, line->n_waiting);
    if (event->t_ns < line->handed_ns) {
        event->late = true;
        line->n_late++;
    } else {
        line->handed_ns = event->t_ns;
    }
    line->sink.event(event, line->sink.user);
    free(event);
}

static bool make_room(struct timeline *line)
{
    if (line->n_waiting < line->n_room)
        return true;
    size_t n_room = line->n_room ? 2 * line->n_room : 64;
    if (n_room > line->n_max)
        n_room = line->n_max;
    struct waiting *heap = n_room > line->n_room ? reallocarray(line->heap, n_room, sizeof *heap) : NULL;
    if (!heap)
        return false;
    line->heap = heap;
    line->n_room = n_room;
    return true;
}

int timeline_push(struct timeline *line, const struct event *event)
{
    struct event *clone = event_clone(event);
    if (!clone) {
        line->n_lost++;
        return -ENOMEM;
    }
    while (!make_room(line)) {
        if (line->n_waiting == 0) {
            free(clone);
            line->n_lost++;
            return -ENOMEM;
        }
        hand_on_oldest(line);
    }
    line->heap[line->n_waiting] = (struct waiting){
        .t_ns = clone->t_ns,
        .order = rank_of(clone) << RANK_SHIFT | line->n_arrived++,
        .event = clone,
    };
    sift_up(line->heap, line->n_waiting++);
    return 0;
}

void timeline_advance(struct timeline *line, int64_t now_ns)
{
    while (line->n_waiting > 0 && line->heap[0].t_ns <= now_ns - line->hold_ns)
        hand_on_oldest(line);
}

void timeline_flush(struct timeline *line)
{
    while (line->n_waiting > 0)
        hand_on_oldest(line);
}

int64_t timeline_next_ns(const struct timeline *line)
{
    return line->n_waiting > 0 ? line->heap[0].t_ns + line->hold_ns : INT64_MAX;
}

uint64_t timeline_n_late(const struct timeline *line)
{
    return line->n_late;
}

uint64_t timeline_n_lost(const struct timeline *line)
{
    return line->n_lost;
}
