/* SPDX-License-Identifier: MIT */
/*
 * The addresses of a name that were tried: for -v, and for the one sentence of a failure. Where there was but one
 * address, the usual sentences say it all, and nothing is said here.
 */
#ifndef CLI_CONNECT_ATTEMPTS_H
#define CLI_CONNECT_ATTEMPTS_H

#include <sonde/stream.h>
#include <stdbool.h>
#include <stddef.h>

struct attempts {
    unsigned n;      /* 0: none is known */
    int64_t over_ns; /* when it was decided: CLOCK_MONOTONIC */
    struct sonde_attempt list[SONDE_ATTEMPTS_MAX];
};

/* Inside opened and failed: what this stream has tried. */
void attempts_take(struct attempts *attempts, struct sonde_stream *stream);

/* -v: a line for each address that was tried in vain. */
void attempts_tell(const struct attempts *attempts);

/* "[2001:db8::1]:80 timed out after 2.0 s, 192.0.2.1:80 connection refused"; of many the first 8, and how many more.
 * Room for all of it: ATTEMPTS_TEXT. False when there is nothing to say. */
#define ATTEMPTS_SHOWN 8
#define ATTEMPTS_TEXT 1536
bool attempts_format(const struct attempts *attempts, char *ret_text, size_t size_bytes);

/* Did they fail in different ways? */
bool attempts_differ(const struct attempts *attempts);

/* The sentence for a connection to given (as the user gave it) that failed with this error. False: nothing was said,
 * and say_why is to say it. */
bool attempts_say(const struct attempts *attempts, const char *given, const struct sonde_why *why);

#endif
