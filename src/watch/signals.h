/* SPDX-License-Identifier: MIT */
/* Signals as a descriptor, so that they are waited for with everything else. */
#ifndef WATCH_SIGNALS_H
#define WATCH_SIGNALS_H

#include <signal.h>
#include <stdbool.h>

struct signals {
    int fd; /* readable when one has come */
    sigset_t before;
};

/* numbers ends with 0. What was ignored stays ignored. 0 or a negative error. */
int signals_open(struct signals *signals, const int *numbers);
/* The next one that has come, 0: none. */
int signals_next(const struct signals *signals);
void signals_close(struct signals *signals);

#endif
