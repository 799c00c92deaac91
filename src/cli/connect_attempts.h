/* SPDX-License-Identifier: MIT */
/*
 * The addresses of a name that were tried in vain, for -v. Seen through the library's probe; each is told once it is
 * known that another address was tried too: if there was but one, the final sentence says it all.
 */
#ifndef CLI_CONNECT_ATTEMPTS_H
#define CLI_CONNECT_ATTEMPTS_H

#include "cli/taps.h"

#include <sonde/probe.h>

struct attempts {
    struct sonde_address address; /* of a failure that was not told yet */
    int error;                    /* its negative errno; 0: there is none */
    unsigned n_told;              /* failures of this connection that were told */
};

void attempts_watch(struct attempts *attempts, struct taps *taps, struct sonde_loop *loop);

/* The connection stands, or has failed for good. */
void attempts_end(struct attempts *attempts);

#endif
