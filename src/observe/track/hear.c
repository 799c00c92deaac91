/* SPDX-License-Identifier: MIT */
/* What the trackers of both ends say, and the conversations that are made of it. */
#include "observe/track/course_internal.h"

#include <stdlib.h>

static struct joined *joined_new(struct courses *courses, const struct conversation *first)
{
    struct joined *joined = calloc(1, sizeof *joined);
    if (!joined) {
        courses->counts.n_no_memory++;
        return NULL;
    }
    joined->shown = *first;
    joined->shown.id = ++courses->counts.n_conversations;
    joined->shown.n_segments = 0;
    joined->shown.both_watched = true;
    for (enum event_end end = END_A; end < N_ENDS; end++)
        joined->state[end] = first->side[end].state;
    joined->previous = courses->last;
    *(joined->previous ? &joined->previous->next : &courses->first) = joined;
    courses->last = joined;
    return joined;
}

/* Not before its first event: by then it is known whether anybody listens. */
void joined_tell_opened(struct courses *courses, struct joined *joined)
{
    if (joined->told)
        return;
    joined->told = true;
    if (courses->handler.opened)
        courses->handler.opened(&joined->shown, joined->shown.first_ns, courses->user);
}

void joined_forget(struct courses *courses, struct joined *joined)
{
    joined_tell_opened(courses, joined);
    int64_t now_ns = joined->shown.last_ns > courses->now_ns ? joined->shown.last_ns : courses->now_ns;
    if (courses->handler.forgotten)
        courses->handler.forgotten(&joined->shown, now_ns, courses->user);
    *(joined->previous ? &joined->previous->next : &courses->first) = joined->next;
    *(joined->next ? &joined->next->previous : &courses->last) = joined->previous;
    free(joined);
}

void joined_forget_if_over(struct courses *courses, struct joined *joined)
{
    if (!courses->ending && !joined->view[0] && !joined->view[1] && joined->n_under_way == 0)
        joined_forget(courses, joined);
}

/* The other end may know it already: both opened at once, or this one had forgotten it. */
static struct joined *find_joined(const struct view *view, const struct conversation *conversation)
{
    const struct courses *courses = view->courses;
    if (courses->is_arrival)
        return courses->arriving;
    struct conversation *other = tracker_find(courses->view[!view->index].tracker, conversation->protocol,
                                              &conversation->side[END_A].address, &conversation->side[END_B].address);
    struct joined *joined = other ? conversation_user(other) : NULL;
    return joined && !joined->known[view->index] ? joined : NULL;
}

/* ---- what the trackers say */

static void on_opened(struct conversation *conversation, int64_t t_ns, void *user)
{
    struct view *view = user;
    struct courses *courses = view->courses;
    struct joined *joined = find_joined(view, conversation);

    if (!joined && !courses->is_arrival)
        joined = joined_new(courses, conversation);
    if (!joined)
        return;
    conversation_set_user(conversation, joined);
    joined->view[view->index] = (struct tracked *)conversation;
    joined->known[view->index] = true;
    if (!courses->is_arrival)
        view->tracker->given_number = joined->n_segments + 1;
}

static void on_segment(struct conversation *conversation, int64_t t_ns, const struct event_segment *segment, void *user)
{
    struct courses *courses = ((struct view *)user)->courses;
    courses->segment = *segment;
    courses->has_segment = true;
}

static void on_datagram(struct conversation *conversation, int64_t t_ns, const struct event_datagram *datagram,
                        void *user)
{
    struct view *view = user;
    struct courses *courses = view->courses;
    struct joined *joined = conversation_user(conversation);
    struct event_datagram event = *datagram;

    if (!joined)
        return;
    event.from = (uint8_t)own_end(view->index, &joined->shown);
    event.fate = courses->fate;
    event.arrived_ns = courses->fate == FATE_LOST ? 0 : courses->arrived_ns;
    joined->n_segments = event.number;
    joined->n_lost[event.from] += courses->fate == FATE_LOST;
    joined_compose(joined);
    joined->shown.last_ns = t_ns;
    joined_tell_opened(courses, joined);
    if (courses->handler.datagram)
        courses->handler.datagram(&joined->shown, t_ns, &event, courses->user);
}

static void on_icmp(struct conversation *conversation, int64_t t_ns, const struct event_icmp *icmp, void *user)
{
    struct view *view = user;
    struct joined *joined = conversation_user(conversation);
    struct event_icmp event = *icmp;

    if (!joined)
        return;
    event.to = (uint8_t)own_end(view->index, &joined->shown);
    joined_compose(joined);
    joined_tell_opened(view->courses, joined);
    if (view->courses->handler.icmp)
        view->courses->handler.icmp(&joined->shown, t_ns, &event, view->courses->user);
}

/* Payload in order, as its receiver has it. */
static void on_data(struct conversation *conversation, int64_t t_ns, enum event_end from, const void *data,
                    size_t n_bytes, uint64_t n_missing, bool push, void *user)
{
    struct view *view = user;
    struct joined *joined = conversation_user(conversation);

    if (!joined || from == own_end(view->index, conversation))
        return;
    joined_tell_opened(view->courses, joined);
    view->courses->handler.data(&joined->shown, t_ns, other_end(own_end(view->index, &joined->shown)), data, n_bytes,
                                n_missing, push, view->courses->user);
}

static void on_forgotten(struct conversation *conversation, int64_t t_ns, void *user)
{
    struct view *view = user;
    struct joined *joined = conversation_user(conversation);

    if (!joined)
        return;
    joined_compose(joined);
    joined->view[view->index] = NULL;
    joined_forget_if_over(view->courses, joined);
}

struct track_handler course_handler(bool data)
{
    return (struct track_handler){
        .opened = on_opened,
        .segment = on_segment,
        .datagram = on_datagram,
        .icmp = on_icmp,
        .data = data ? on_data : NULL,
        .forgotten = on_forgotten,
    };
}
