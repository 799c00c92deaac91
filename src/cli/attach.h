/* SPDX-License-Identifier: MIT */
/*
 * --trace on serve and connect: a trace of this program's own connections beside what it does, on a thread of its own.
 * The calls come from the loops' probes, the segments from a capture when that is permitted.
 */
#ifndef CLI_ATTACH_H
#define CLI_ATTACH_H

#include "cli/taps.h"

#include <sonde/loop.h>
#include <sonde/url.h>
#include <stdbool.h>
#include <stdint.h>

struct attach;

/* ladder: drawn on standard error; json: events into this file, NULL: none; is_client: which end this program is.
 * False: the user has been told why, and *ret_status is the exit status. */
bool attach_new(bool ladder, const char *json, bool is_client, struct attach **ret_attach, int *ret_status);

/* Hear this loop's calls. */
void attach_tap(struct attach *attach, struct taps *taps, struct sonde_loop *loop);

/* These are the addresses: capture them, and begin. Returns when nothing that happens from now on is missed. When
 * capturing is not permitted, that is said on the ladder, and the calls are shown alone. */
void attach_begin(struct attach *attach, const struct sonde_url *urls, const uint16_t *ports, unsigned n);

/* The program is over: show the rest, and say what was lost. NULL is fine. */
void attach_end(struct attach *attach);

#endif
