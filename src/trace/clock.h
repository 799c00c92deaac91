/* SPDX-License-Identifier: MIT */
/*
 * Capture stamps are of the wall clock, which may be set back and forth; the time line's clock never is. Pure.
 *
 * Live, the offset between the two is told from time to time, and a stamp is converted with the offset that puts it
 * where it can have happened: not before the stamp before it, and not in the future. In a file there is nothing to
 * compare with: stamps that run backwards are clamped, and from a step of a second or more on the time goes on from
 * where it was; so it does from a year forwards, or where no clock can be. Steps are counted and said.
 */
#ifndef TRACE_CLOCK_H
#define TRACE_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

/* What a file's times are within: stamps before 1970 or after 2116 are moved there. */
#define CAPTURE_TIME_FIRST_NS 1
#define CAPTURE_TIME_MAX_NS (INT64_C(1) << 62)
#define CAPTURE_SPAN_MAX_NS (INT64_C(1) << 60)

struct capture_clock {
    bool live, started;
    int64_t offset_ns, offset_before_ns; /* wall - time line: now, and before a step that was not long ago */
    int64_t stepped_ns;                  /* live: when that was found */
    int64_t last_ns;                     /* the latest time that was given out */
    int64_t most_ns;                     /* in a file: no time is later */
    uint64_t n_steps;
    int64_t step_ns;      /* the last step: negative is backwards */
    uint64_t n_backwards; /* stamps that were clamped */
};

void capture_clock_init(struct capture_clock *clock, bool live);

/* Live: both clocks were read at the same moment. Returns whether the wall clock was set since the last time. */
bool capture_clock_sample(struct capture_clock *clock, int64_t realtime_ns, int64_t monotonic_ns);

/* The time of a stamp on the time line. Live, now_ns is the present; from a file it is not used. */
int64_t capture_clock_convert(struct capture_clock *clock, int64_t realtime_ns, int64_t now_ns);

#endif
