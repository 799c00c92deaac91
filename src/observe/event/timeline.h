/* SPDX-License-Identifier: MIT */
/*
 * The time line: events of several sources put into one order. Pure: time is a parameter.
 *
 * Sources deliver late, each by its own delay, so events are held back for hold_ns before they are handed on, in the
 * order of their time. Equal times are ordered by cause: a connection is introduced, a call begins, a segment leaves,
 * the kernel's states and values follow, a call ends, a conclusion is drawn; then as they came. What comes later still
 * is handed on at once, marked late, and counted. Full, the line hands on its oldest events early.
 */
#ifndef OBSERVE_EVENT_TIMELINE_H
#define OBSERVE_EVENT_TIMELINE_H

#include "observe/event/event.h"

#define TIMELINE_HOLD_NS (50 * NS_PER_MS)
#define TIMELINE_EVENTS_MAX 65536

struct timeline;

/* Whoever takes the events; they are lent for the call. */
struct timeline_sink {
    void (*event)(const struct event *event, void *user);
    void *user;
};

/* NULL: no memory. */
struct timeline *timeline_new(int64_t hold_ns, size_t n_events_max, struct timeline_sink sink);
void timeline_free(struct timeline *line); /* what it still holds is dropped: flush first */

/* Copied. -ENOMEM: it was not taken, and counts as lost. */
int timeline_push(struct timeline *line, const struct event *event);

/* It is now_ns: hand on what is older than the hold. */
void timeline_advance(struct timeline *line, int64_t now_ns);

/* Hand on everything. */
void timeline_flush(struct timeline *line);

/* When timeline_advance has something to do next; INT64_MAX: nothing waits. */
int64_t timeline_next_ns(const struct timeline *line);

uint64_t timeline_n_late(const struct timeline *line);
uint64_t timeline_n_lost(const struct timeline *line);

#endif
