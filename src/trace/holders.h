/* SPDX-License-Identifier: MIT */
/*
 * Which programs hold the ends of a connection, as far as they are on this machine and we may know. Searching /proc
 * takes milliseconds, so it is done at most HOLDERS_PER_SECOND times a second; connections beyond have no names.
 */
#ifndef TRACE_HOLDERS_H
#define TRACE_HOLDERS_H

#include "observe/event/event.h"

#define HOLDERS_PER_SECOND 10
#define HOLDER_NAME_MAX 16

struct holders;

struct holder {
    int32_t pid; /* 0: not known */
    char program[HOLDER_NAME_MAX];
};

struct holders *holders_new(void); /* NULL: no memory, or nobody answers */
/* Search no more than a hundredth of the time. */
void holders_be_thrifty(struct holders *holders);
void holders_free(struct holders *holders);
/* protocol: IPPROTO_TCP or IPPROTO_UDP. Both are always filled in. */
void holders_find(struct holders *holders, uint8_t protocol, const struct sonde_address address[N_ENDS], int64_t now_ns,
                  struct holder ret_holders[N_ENDS]);

#endif
