/* SPDX-License-Identifier: MIT */
/*
 * A FIN is taken to arrive at once; that both ends have closed at once shows only when the other's FIN comes and does
 * not acknowledge it. So what follows a FIN, and it, is held for a moment, until it is acknowledged or crossed: then
 * the other end had not left ESTABLISHED. What is held comes late, and out of order where there are other
 * conversations: the owner has a time line for that.
 */
#ifndef TRACE_HELD_H
#define TRACE_HELD_H

#include "observe/event/event.h"

struct held;

struct held_list {
    struct held *first, *last; /* by until_ns */
    void (*tell)(const struct event *event, void *user);
    void *user;
};

/* True: the event is kept, and told later. *place is the conversation's own, NULL while nothing of it is held, and has
 * to stay where it is; receiver_before is the state of who receives the segment, before it. */
bool held_take(struct held_list *list, struct held **place, enum tcp_state receiver_before, const struct event *event);

/* What is held of one conversation, in order. */
void held_tell(struct held_list *list, struct held *held);

/* What would have been held until then at most; INT64_MAX: all. */
void held_tell_until(struct held_list *list, int64_t now_ns);

/* When the first of it is told at the latest, and when it happened. INT64_MAX: nothing is held. */
int64_t held_next_ns(const struct held_list *list);
int64_t held_first_ns(const struct held_list *list);

#endif
