/* SPDX-License-Identifier: MIT */
/* What a loop is to call: these count how often it did, or stop it. */
#ifndef CONTRACT_LOOP_CALLS_H
#define CONTRACT_LOOP_CALLS_H

#include "contract.h"

/* Messages. */
static inline void count(void *user)
{
    assert_int_equal(contract_calling, 0);
    ++*(unsigned *)user;
}

static inline void stop_loop(void *user)
{
    sonde_loop_stop(user);
}

/* A timer. */
static inline void count_and_stop(struct sonde_timer *timer)
{
    ++*(unsigned *)timer->user;
    DO(sonde_loop_stop(timer->loop));
}

#endif
