/* SPDX-License-Identifier: MIT */
/*
 * --verify-echo of messages: each that was sent must come back, once, whole, as it was and in order. The last ones that
 * were sent are kept, those that have come back too, so that a second answer is known from a first. Pure: no clock.
 *
 * On datagrams some may get lost, come twice or overtake each other: all of that is counted, and only what was never
 * sent is called wrong. A message that is given up as lost may still come; then it is late, and in disorder.
 */
#ifndef CLI_CONNECT_ECHO_WINDOW_H
#define CLI_CONNECT_ECHO_WINDOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ECHO_MESSAGES 256u               /* most that are kept */
#define ECHO_BYTES (32u * 1024u * 1024u) /* of all that are kept: more than one message in any case */
#define ECHO_UNANSWERED 64u              /* most that are on their way at a time */
#define ECHO_SHOWN 8u                    /* most bytes that are shown of a difference */

enum echo_verdict {
    ECHO_SAME,   /* and if others before it have not come back, they are missing from now on */
    ECHO_LATE,   /* it was missing */
    ECHO_DOUBLE, /* it had come back already */
    ECHO_WRONG,  /* none like it was sent, or not one of the last; or, in order, not this one */
};

struct echo_sent {
    void *bytes;
    size_t n_bytes;
    unsigned kind; /* text and binary are not the same */
    bool returned, given_up;
};

struct echo_window {
    bool in_order; /* nothing can get lost: the next one that comes is the next one that was sent, or it is wrong */
    struct echo_sent ring[ECHO_MESSAGES];
    unsigned begin, n;  /* the oldest, and how many there are */
    unsigned n_waiting; /* have not come back, and are not given up */
    size_t n_kept_bytes;
    uint64_t n_sent, n_returned, n_late, n_doubled, n_wrong, n_given_up;
    /* The first that was wrong: which one it was of those that came, from 1; how it begins, and what was awaited. */
    uint64_t wrong_number;
    unsigned char expected[ECHO_SHOWN], came[ECHO_SHOWN];
    size_t n_expected, n_came, n_expected_bytes, n_came_bytes;
    bool none_expected;
    uint64_t n_came_messages;
};

/* All zero before the first. A connection begins; also frees what is kept. */
void echo_restart(struct echo_window *window, bool in_order);

/* May another one be sent? */
bool echo_has_room(const struct echo_window *window);

/* This is being sent. False: memory is short. */
bool echo_sent(struct echo_window *window, const void *data, size_t n_bytes, unsigned kind);

/* This has come. */
enum echo_verdict echo_received(struct echo_window *window, const void *data, size_t n_bytes, unsigned kind);

/* Those that have not come back will not. */
void echo_give_up(struct echo_window *window);

/* Sent, and not come back by now, whether given up or not. */
uint64_t echo_missing(const struct echo_window *window);

#endif
