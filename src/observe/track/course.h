/* SPDX-License-Identifier: MIT */
/*
 * Packets that were watched at both ends: when each left, and when it arrived, or that it never did. So nothing is
 * assumed: what an end knew when it sent something is just what had arrived there by then.
 *
 * Fed in the order in which packets left (t_ns of left_ns must not run backwards). What a segment did to its receiver
 * is known when it has arrived there, in the order of time: when a packet that left later is given, or courses_until
 * says that the time line is there. Then its event is told, with t_ns when it left; so events come out of order, and go
 * through a time line that holds them for as long as packets are under way.
 *
 * Conversations, events and notes are as track.h has them; what is different:
 *
 *   fate, arrived_ns   as given; FATE_THROWN, too, for a SYN that arrived and got no answer within ANSWER_NS: its
 *                      receiver had no room for it. (Kernels answer at once.)
 *   state[]            the sender's when it had left; the receiver's when it had arrived, or, if it never did or was
 *                      thrown away, what it was when it left. Both exactly as far as segments tell.
 *   spurious           what it repeats had arrived, or was still under way and did arrive, beside what made its sender
 *                      repeat it (rto, fast, tail-probe).
 *   hole, fills-hole   as its receiver saw it: something before it had not arrived; now it has.
 *   out-of-order       it was not sent again, and a later one overtook it.
 *   seen-twice         a copy that was made on the way; again_of says of which. It has a number of its own.
 *   all others         as its sender saw it. Round trips are whole ones, as an end measures them.
 *
 * A conversation's figures of one end are that end's own: what it sent, and learned of it.
 */
#ifndef OBSERVE_TRACK_COURSE_H
#define OBSERVE_TRACK_COURSE_H

#include "observe/track/track.h"

/* What became of a packet. */
struct packet_course {
    uint8_t fate;       /* enum segment_fate: ARRIVED, LOST, THROWN (arrived, but its receiver did not take it) */
    bool copy;          /* made on the way: its sender sent it once. Given behind the original, with its left_ns and
                         * its packet number */
    int64_t arrived_ns; /* when it was handed to the other end; LOST: not looked at */
    const char *why;    /* LOST, THROWN: a note under the segment on the ladder, "the queue was full"; lent for the
                         * call; NULL: none */
};

/* Kernels answer a SYN at once; one that was not answered for so long was thrown away. */
#define COURSE_ANSWER_NS (40 * NS_PER_MS)
/* Packets that are under way at once. Past them the earliest is taken to have arrived. */
#define COURSE_UNDER_WAY_MAX 65536
#define COURSE_UNDER_WAY_BYTES_MAX (64 * 1024 * 1024)

struct courses;

/* As tracker_new. The handler's segment and datagram get the t_ns when it left; icmp and data, when it arrived. */
struct courses *courses_new(size_t n_max, const struct track_handler *handler, void *user);
/* What is under way arrives, at its time; then all conversations are forgotten. */
void courses_free(struct courses *courses);
/* Returns the conversation, NULL when it belongs to none. ret_left (may be NULL): a TCP segment as it left, its
 * receiver's state the one before; number 0: it is none. */
struct conversation *courses_packet(struct courses *courses, int64_t left_ns, uint64_t packet_number,
                                    const struct decoded *packet, const struct packet_course *course,
                                    struct event_segment *ret_left);
/* The conversation that this TCP segment or datagram is of; NULL: none that is known. */
struct conversation *courses_find(const struct courses *courses, const struct decoded *packet);
/* Every packet that left before now_ns has been given: what arrived until then has arrived. */
void courses_until(struct courses *courses, int64_t now_ns);
/* The time of the first packet whose event was not told yet, and when courses_until will do something; INT64_MAX: there
 * is none. */
int64_t courses_waiting_ns(const struct courses *courses);
int64_t courses_next_ns(const struct courses *courses);
void courses_counts(const struct courses *courses, struct tracker_counts *ret_counts);

#endif
