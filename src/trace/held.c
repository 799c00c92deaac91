/* SPDX-License-Identifier: MIT */
#include "trace/held.h"

#include <stdlib.h>

#define HOLD_NS (20 * NS_PER_MS)
#define HELD_MAX 16 /* segments of one conversation */

/* A FIN and what came behind it. */
struct held {
    struct held **place;
    struct held *previous, *next;
    int64_t until_ns;
    uint64_t fin_end; /* what acknowledges it */
    uint8_t from;
    unsigned n;
    struct event *event[HELD_MAX];
};

void held_tell(struct held_list *list, struct held *held)
{
    for (unsigned i = 0; i < held->n; i++) {
        list->tell(held->event[i], list->user);
        free(held->event[i]);
    }
    *(held->previous ? &held->previous->next : &list->first) = held->next;
    *(held->next ? &held->next->previous : &list->last) = held->previous;
    *held->place = NULL;
    free(held);
}

void held_tell_until(struct held_list *list, int64_t now_ns)
{
    while (list->first && list->first->until_ns <= now_ns)
        held_tell(list, list->first);
}

int64_t held_next_ns(const struct held_list *list)
{
    return list->first ? list->first->until_ns : INT64_MAX;
}

int64_t held_first_ns(const struct held_list *list)
{
    return list->first ? list->first->until_ns - HOLD_NS : INT64_MAX;
}

/* The last that is held shows that the FIN had not arrived when those behind it were sent. */
static void set_back(struct held *held)
{
    enum event_end to = other_end(held->from);
    for (unsigned i = 0; i + 1 < held->n; i++) {
        if (held->event[i]->segment.state[to] == TCP_STATE_CLOSE_WAIT)
            held->event[i]->segment.state[to] = TCP_STATE_ESTABLISHED;
    }
}

/* The event is of this conversation, and kept. */
static bool add(struct held *held, const struct event *event)
{
    struct event *clone = held->n < HELD_MAX ? event_clone(event) : NULL;
    if (clone)
        held->event[held->n++] = clone;
    return clone;
}

static bool is_decided(const struct held *held, const struct event_segment *segment)
{
    if (held->n == HELD_MAX || segment->flags & (SEGMENT_SYN | SEGMENT_RST))
        return true;
    return segment->from != held->from &&
           (segment->flags & SEGMENT_FIN || (segment->flags & SEGMENT_ACK && segment->ack >= held->fin_end));
}

static bool go_on(struct held_list *list, struct held *held, const struct event *event)
{
    bool taken = add(held, event), crossed = has_note(event->segment.notes, NOTE_SIMULTANEOUS_CLOSE);
    if (taken && crossed && event->segment.from != held->from)
        set_back(held);
    if (!taken || is_decided(held, &event->segment))
        held_tell(list, held);
    return taken;
}

bool held_take(struct held_list *list, struct held **place, enum tcp_state receiver_before, const struct event *event)
{
    const struct event_segment *segment = &event->segment;
    if (*place)
        return go_on(list, *place, event);
    if (!(segment->flags & SEGMENT_FIN) || segment->state[other_end(segment->from)] != TCP_STATE_CLOSE_WAIT ||
        receiver_before == TCP_STATE_CLOSE_WAIT)
        return false;
    struct held *held = calloc(1, sizeof *held);
    if (!held || !add(held, event)) {
        free(held);
        return false;
    }
    held->from = segment->from;
    held->fin_end = segment->seq + segment->n_bytes + 1;
    held->until_ns = event->t_ns + HOLD_NS;
    held->previous = list->last;
    *(held->previous ? &held->previous->next : &list->first) = held;
    held->place = place;
    list->last = *place = held;
    return true;
}
