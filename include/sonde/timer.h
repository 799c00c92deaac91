/* SPDX-License-Identifier: MIT */
/*
 * Timers. The memory is the caller's (embed it); starting one cannot fail, because the loop keeps its timers in a heap
 * linked through the timers themselves. A timer that is started keeps sonde_loop_run from returning.
 */
#ifndef SONDE_TIMER_H
#define SONDE_TIMER_H

#include <sonde/loop.h>

#ifdef __cplusplus
extern "C" {
#endif

struct sonde_timer {
    struct sonde_loop *loop;
    void (*fire)(struct sonde_timer *timer);
    void *user;
    int64_t deadline_ns; /* absolute, on the clock of sonde_loop_now_ns */
    /* Private: links of the heap. */
    struct sonde_timer *child, *next, **previous;
};

/* Set up a timer that is not running. fire is called on the loop's thread, once per start; it may start the timer
 * again, or free it. */
SONDE_API void sonde_timer_init(struct sonde_timer *timer, struct sonde_loop *loop,
                                void (*fire)(struct sonde_timer *timer), void *user);

/* Fire at the deadline, or as soon as possible if that is past. Starting a running timer moves it. */
SONDE_API void sonde_timer_start(struct sonde_timer *timer, int64_t deadline_ns);

/* The same, so many nanoseconds from now. */
SONDE_API void sonde_timer_start_in(struct sonde_timer *timer, int64_t delay_ns);

/* Stop; nothing happens if it does not run. After this the memory may be freed. */
SONDE_API void sonde_timer_stop(struct sonde_timer *timer);

SONDE_API int sonde_timer_is_running(const struct sonde_timer *timer);

#ifdef __cplusplus
}
#endif
#endif
