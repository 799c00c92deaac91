/* SPDX-License-Identifier: MIT */
/*
 * Which address is tried next, and when (RFC 8305, Happy Eyeballs).
 *
 * Pure: it owns no descriptor and reads no clock. The caller tells what has become known (addresses, the end of the
 * look-up, attempts that failed) and asks race_next what is to be done until it says to wait. The first attempt that
 * stands ends the race: then nobody asks any more.
 */
#ifndef NET_RACE_H
#define NET_RACE_H

#include <sonde/address.h>
#include <sonde/stream.h>
#include <stdbool.h>

/* The addresses of one family that were not begun with. */
struct race_family {
    struct sonde_address list[SONDE_ATTEMPTS_MAX]; /* in the order in which they are to be tried */
    unsigned n, next;
};

struct race {
    struct race_family families[2]; /* IPv6, IPv4 */
    unsigned n_begun;
    unsigned n_running;
    unsigned n_left_out; /* addresses for which there was no place */
    int last_family;     /* of the attempt that was begun last: index of families; -1: none was */
    bool last_runs;      /* that attempt has not failed yet */
    bool complete;       /* no more addresses will come */
    int64_t delay_ns;    /* from one attempt to the next beside it */
    int64_t next_ns;     /* when that time is over */
    int64_t wait_ns;     /* IPv4 addresses alone wait for IPv6 ones until then; INT64_MIN: there are none yet */
};

enum race_step {
    RACE_BEGIN, /* with this address, now */
    RACE_WAIT,  /* for something to happen, or until then; INT64_MAX: only for something to happen */
    RACE_LOST,  /* every address was tried, and every attempt has failed */
};

void race_init(struct race *race, int64_t delay_ns);

/* Further addresses: of either family, each family's in order. More than SONDE_ATTEMPTS_MAX of one are left out. */
void race_add(struct race *race, const struct sonde_address *addresses, unsigned n, int64_t now_ns);

/* No more addresses will come. */
void race_complete(struct race *race);

/* What is to be done now. With RACE_BEGIN the attempt counts as begun, and is number n_begun - 1. */
enum race_step race_next(struct race *race, int64_t now_ns, struct sonde_address *ret_address, int64_t *ret_until_ns);

/* An attempt has failed, perhaps before it had begun in earnest. */
void race_failed(struct race *race, unsigned number);

#endif
