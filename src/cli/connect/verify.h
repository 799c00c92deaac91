/* SPDX-License-Identifier: MIT */
/*
 * --verify-echo: is what comes back what was sent, in order? What was sent and has not come back is kept, at most
 * VERIFY_MAX bytes of it. Pure.
 */
#ifndef CLI_CONNECT_VERIFY_H
#define CLI_CONNECT_VERIFY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VERIFY_MAX (1024u * 1024u)
#define VERIFY_SHOWN 8u /* most bytes that are shown of a difference */

enum verify_verdict {
    VERIFY_SAME,    /* so far */
    VERIFY_DIFFERS, /* a byte is not the one that was sent */
    VERIFY_MORE,    /* a byte came back that was never sent */
};

struct verify {
    unsigned char *ring; /* VERIFY_MAX bytes: those that have not come back */
    size_t begin, n_bytes;
    uint64_t n_sent;
    uint64_t n_returned; /* came back as they were sent: the offset of the first difference */
    enum verify_verdict verdict;
    /* From the first difference on: what should have come, and what did. */
    unsigned char expected[VERIFY_SHOWN], came[VERIFY_SHOWN];
    size_t n_expected, n_came;
};

/* False: memory is short. */
bool verify_open(struct verify *verify);

/* A connection begins. */
void verify_restart(struct verify *verify);

/* How much more may be sent now. */
size_t verify_room(const struct verify *verify);

/* These are being sent; n_bytes is at most verify_room. */
void verify_sent(struct verify *verify, const void *data, size_t n_bytes);

/* These came back. After the first difference nothing is compared any more. */
enum verify_verdict verify_received(struct verify *verify, const void *data, size_t n_bytes);

void verify_free(struct verify *verify);

#endif
