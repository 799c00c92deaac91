/* SPDX-License-Identifier: MIT */
/* What the files of courses share: course.c (time, and what is told when), hear.c (what the trackers of both ends
 * say), flights.c (packets that are under way) and joined.c (one conversation, looked at from both of its ends). */
#ifndef OBSERVE_TRACK_COURSE_INTERNAL_H
#define OBSERVE_TRACK_COURSE_INTERNAL_H

#include "observe/track/course.h"
#include "observe/track/track_internal.h"

#define N_VIEWS 2

/* ---- a conversation */

#define RECENT_MAX 8

struct joined {
    struct conversation shown; /* first, and then user, as in struct tracked: conversation_user is asked of both */
    void *user;
    struct joined *previous, *next;
    struct tracked *view[N_VIEWS]; /* as that end sees it; NULL: it does not know it, or not any more */
    bool known[N_VIEWS];           /* it did once */
    bool told;                     /* the handler knows of it */
    uint8_t state[N_ENDS];
    uint32_t n_segments, n_under_way;
    uint64_t n_copies;
    uint64_t n_out_of_order[N_ENDS], n_holes[N_ENDS];
    uint32_t n_lost[N_ENDS], n_thrown[N_ENDS], n_syns_lost[N_ENDS], n_syns_thrown[N_ENDS];
    struct flight *syn; /* it has arrived, and its answer is waited for; NULL: none */
    struct {
        uint64_t packet;
        uint32_t number;
    } recent[RECENT_MAX]; /* the last segments, to name what a copy is of */
    unsigned n_recent;
};

/* Both ends are compared: the same address may be at both. */
unsigned view_of(const struct sonde_address *end, const struct sonde_address *other);
/* The end that looks through that view. */
enum event_end own_end(unsigned view, const struct conversation *conversation);
/* Takes over what that view knows; both must be asked before shown is right. */
void joined_compose(struct joined *joined);
void joined_remember(struct joined *joined, uint64_t packet, uint32_t number);
uint32_t joined_number_of(const struct joined *joined, uint64_t packet); /* 0: not remembered */

/* ---- packets under way, earliest arrival first */

struct flight {
    int64_t at_ns; /* when it is looked at next: it arrives, or its answer is overdue */
    uint64_t order;
    int64_t left_ns, arrived_ns;
    struct joined *joined; /* NULL: ICMP */
    unsigned to;           /* the receiver's view */
    bool awaits;           /* a SYN that waits for its answer; joined->syn is another, or none, when it has come */
    uint8_t state_before;  /* of its receiver */
    struct event_segment event;
    struct decoded decoded;
    uint64_t packet;
    uint32_t n_bytes; /* of payload here */
    uint8_t payload[];
};

struct flights {
    struct flight **heap;
    size_t n, room;
    uint64_t n_pushed, n_bytes;
};

/* Copies decoded and its payload. NULL: no memory. */
struct flight *flight_new(const struct decoded *decoded);
/* false: no memory; it is still the caller's. */
bool flights_push(struct flights *flights, struct flight *flight);
/* NULL: none is due by then. */
struct flight *flights_pop(struct flights *flights, int64_t until_ns);
/* What a segment that leaves a view shows to have arrived there. */
struct shown_by {
    unsigned view;
    int64_t until_ns; /* what is due by then */
    const struct decoded *segment;
    bool has_known;
    uint32_t known; /* bytes below were there already: it does not show when they came again */
};

/* One that it shows to have arrived. NULL: none. */
struct flight *flights_pop_shown(struct flights *flights, const struct shown_by *by);
bool flights_full(const struct flights *flights);

/* ---- */

struct view {
    struct courses *courses;
    unsigned index;
    struct tracker *tracker;
};

struct courses {
    struct track_handler handler;
    void *user;
    struct view view[N_VIEWS];
    struct flights flights;
    struct joined *first, *last;
    struct tracker_counts counts;
    int64_t now_ns;
    bool ending;

    /* Of the packet that a view is looking at. */
    struct joined *arriving; /* whose; NULL: it leaves */
    bool is_arrival, has_segment;
    struct event_segment segment;
    uint8_t fate;
    int64_t arrived_ns;
    struct event_segment left; /* of the segment that is leaving; number 0: none is */
};

/* ---- hear.c */

struct track_handler course_handler(bool data);
/* Once, before its first event. */
void joined_tell_opened(struct courses *courses, struct joined *joined);
void joined_forget(struct courses *courses, struct joined *joined);
/* Neither end knows it any more, and nothing of it is under way. */
void joined_forget_if_over(struct courses *courses, struct joined *joined);

#endif
