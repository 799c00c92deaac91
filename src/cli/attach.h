/* SPDX-License-Identifier: MIT */
/*
 * --trace and --page on serve and connect: a trace of this program's own connections beside what it does, on a thread
 * of its own. The calls come from the loops' probes, the segments from a capture when that is permitted.
 */
#ifndef CLI_ATTACH_H
#define CLI_ATTACH_H

#include "cli/taps.h"

#include <sonde/loop.h>
#include <sonde/url.h>
#include <stdbool.h>
#include <stdint.h>

struct attach;
struct page;

/* Where it is shown: a ladder on standard error; events into a file (NULL: none); a page (NULL: none). */
struct attach_settings {
    bool ladder;
    const char *json;
    struct page *page;
    bool is_client; /* which end this program is */
};

/* False: the user has been told why, and *ret_status is the exit status. */
bool attach_new(const struct attach_settings *settings, struct attach **ret_attach, int *ret_status);

/* Hear this loop's calls. */
void attach_tap(struct attach *attach, struct taps *taps, struct sonde_loop *loop);

/* These are the addresses: capture them, and begin. Returns when nothing that happens from now on is missed. When
 * capturing is not permitted, that is said on the ladder and in the page, and the calls are shown alone. */
void attach_begin(struct attach *attach, const struct sonde_url *urls, const uint16_t *ports, unsigned n);

/* The program is over: show the rest, and say what was lost. NULL is fine. */
void attach_end(struct attach *attach);

#endif
