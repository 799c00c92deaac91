/* SPDX-License-Identifier: MIT */
/*
 * Packets as a source of events: they are decoded, put together when they are fragments, tracked, and become
 * events. A connection's number on the time line is its conversation's, unless the owner gives it another.
 */
#ifndef TRACE_PACKETS_H
#define TRACE_PACKETS_H

#include "observe/capture/capture.h"
#include "observe/decode/decode.h"
#include "observe/event/event.h"
#include "observe/track/course.h"
#include "observe/track/track.h"

struct packets;

struct packets_owner {
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
    /* This segment (NULL: a datagram) of this connection's number is not to be told. NULL: all are. */
    bool (*leaves)(uint64_t number, const struct event_segment *segment, void *user);
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
struct packets_result {
    const struct decoded *decoded;
    struct conversation *conversation;   /* NULL: none */
    const struct event_segment *segment; /* NULL: none; lent until the next packet */
    bool is_left;                        /* it was not told */
    const char *conclusion;              /* with this packet it is over: what is to be said of it; NULL: it is not */
};

/* NULL: no memory. The owner is copied. */
struct packets *packets_new(const struct packets_owner *owner);
void packets_set_offset(struct packets *packets, int64_t realtime_minus_ns);
void packets_set_settle(struct packets *packets, int64_t settle_ns);
void packets_packet(struct packets *packets, int64_t t_ns, const struct packet *packet,
                    struct packets_result *ret_result);
/*
 * A packet that was watched at both ends (observe/track/course.h says what is known then, and what the notes mean). Fed
 * in the order of left_ns, and none of it with packets_packet; packet->number is the same for all copies of one. The
 * event of a segment has the t_ns when it left, and is made when it has arrived: while a later packet is given, or by
 * packets_idle, whose now_ns says that every packet that left before it has been given; or by packets_finish. So the
 * owner's time line holds for the longest flight and COURSE_ANSWER_NS. `why` becomes a sentence with mark '-' about the
 * segment. In the result, `segment` is what was known when it left: the receiver's state is the one before.
 *
 *     struct packet_course course = {.fate = FATE_ARRIVED, .arrived_ns = arrived_ns};
 *     packets_course(packets, left_ns, &packet, &course, NULL);
 *     ...
 *     packets_finish(packets);
 *     timeline_flush(line);
 */
void packets_course(struct packets *packets, int64_t left_ns, const struct packet *packet,
                    const struct packet_course *course, struct packets_result *ret_result);
/* The arrival of such a packet, in a capture that has both: what it is, and nothing is followed. */
void packets_arrival(struct packets *packets, const struct packet *packet, struct packets_result *ret_result);
/* A segment that was recorded as an event: tracked again. */
void packets_segment(struct packets *packets, int64_t t_ns, const struct event_segment *segment);
/* Live: conversations in trouble that are quiet now are judged, and what was not told yet is told. */
void packets_idle(struct packets *packets, int64_t now_ns);
/* When packets_idle has something to do; INT64_MAX: nothing. */
int64_t packets_next_ns(const struct packets *packets);
/* The time of the first event that is held; INT64_MAX: none is. */
int64_t packets_held_ns(const struct packets *packets);
/* Tell at once what was held to see what follows it. */
void packets_release(struct packets *packets);
/* The end: conversations that are still there are concluded, in order. */
void packets_finish(struct packets *packets);
void packets_free(struct packets *packets);
void packets_counts(const struct packets *packets, struct tracker_counts *ret_counts, uint64_t *ret_n_reassembly_lost);
/* The number of a conversation on the time line; 0: it has none. */
uint64_t packets_number(const struct conversation *conversation);

#endif
