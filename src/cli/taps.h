/* SPDX-License-Identifier: MIT */
/* A loop has one probe; these are the several who want to hear it. */
#ifndef CLI_TAPS_H
#define CLI_TAPS_H

#include <sonde/probe.h>
#include <stdbool.h>

#define TAPS_MAX 4

struct taps {
    struct {
        sonde_probe_function function;
        void *user;
    } tap[TAPS_MAX];
    unsigned n;
    bool hides_sent; /* bytes that are sent are nobody's business now: a password is among them */
};

/* From now on this function hears the probe of the loop, too; at most TAPS_MAX of them. The taps (zeroed before the
 * first) are of this one loop, and must stay until it has been destroyed. */
void taps_add(struct taps *taps, struct sonde_loop *loop, sonde_probe_function function, void *user);

#endif
