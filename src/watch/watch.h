/* SPDX-License-Identifier: MIT */
/*
 * sonde watch: the sockets of this machine (of this network namespace), and why they wait. The verb reads options and
 * calls one of these.
 */
#ifndef WATCH_WATCH_H
#define WATCH_WATCH_H

#include "observe/sockets/filter.h"

#include <stdbool.h>
#include <stdint.h>

/* Columns to sort by, beneath the trouble, which comes first in any case. */
enum watch_sort {
    SORT_STATE,
    SORT_RECV,
    SORT_SEND,
    SORT_LOCAL,
    SORT_PEER,
    SORT_TIMER,
    SORT_IN,
    SORT_OUT,
    SORT_RTT,
    SORT_OWNER,
    SORT_N,
};

extern const char *const watch_sort_names[SORT_N + 1]; /* ends with NULL */

struct watch_settings {
    unsigned kinds; /* SOCKETS_... */
    bool owners, all, ascii, color, json;
    int sort;                            /* enum watch_sort; -1: not said */
    unsigned n_columns;                  /* 0: of the terminal */
    bool is_terminal;                    /* standard output is */
    int64_t interval_ns;                 /* 0: the default of each view */
    int64_t duration_ns, count;          /* of --follow; 0: no end */
    const struct sockets_filter *filter; /* NULL: none */
    const char *filter_text;             /* as it was given */
    void (*say)(const char *format, ...) __attribute__((format(printf, 1, 2)));
};

/* Each returns 0 or a negative error; what there is to say of it was said. */
int watch_once(const struct watch_settings *settings);   /* one table */
int watch_json(const struct watch_settings *settings);   /* one look as JSON Lines */
int watch_follow(const struct watch_settings *settings); /* a line for each change */
int watch_screen(const struct watch_settings *settings); /* the whole terminal */

#endif
