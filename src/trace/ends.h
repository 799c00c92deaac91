/* SPDX-License-Identifier: MIT */
/*
 * A capture of both ends of a wire, as sonde wire --write makes it: each packet once where it left, and once more where
 * it arrived; or never, and its comment says why. Packets are put in as they come in the file, and given back in the
 * same order, each that left with its course, and then the copy that was made of it, as its comment says; so they wait
 * until these are known.
 *
 * Where no packet arrives (somebody has kept one end's packets only), it is a capture like any other.
 */
#ifndef TRACE_ENDS_H
#define TRACE_ENDS_H

#include "observe/capture/capture.h"
#include "observe/track/course.h"

/* What such an interface's description says. */
#define ENDS_DESCRIPTION "one end of a sonde wire"

/* That wait at once. Past them the first goes on, to arrive when the last was seen. */
#define ENDS_PACKETS_MAX 65536
#define ENDS_BYTES_MAX ((size_t)64 << 20)
#define ENDS_WAIT_NS (60 * NS_PER_S) /* what has not arrived by then, never does */

enum ends_kind {
    ENDS_ALONE,   /* seen at one place: packets_packet */
    ENDS_LEFT,    /* packets_course */
    ENDS_ARRIVED, /* of another that was given: packets_arrival */
    ENDS_COPY,    /* packets_course; its packet follows as ENDS_ARRIVED */
};

struct ends_packet {
    enum ends_kind kind;
    const struct packet *packet; /* ENDS_COPY: its number is the original's */
    int64_t t_ns;                /* when it was seen; ENDS_COPY: when the original left */
    struct packet_course course; /* ENDS_LEFT, ENDS_COPY */
    const char *why;             /* what its comment says of its way; NULL: nothing */
};

struct ends;

/* NULL: no memory. What is given is lent for the call. */
struct ends *ends_new(void (*give)(const struct ends_packet *packet, void *user), void *user);
void ends_free(struct ends *ends);
/* The next one; t_ns never runs backwards. The packet is copied. -ENOMEM: it is not taken. */
int ends_put(struct ends *ends, int64_t t_ns, const struct packet *packet);
/* This one is not to be given: it may be what another one waits for. */
void ends_look(struct ends *ends, int64_t t_ns, const struct packet *packet);
/* Is there one whose course is not known? */
bool ends_wait(const struct ends *ends);
/* There are no more. */
void ends_finish(struct ends *ends);

#endif
