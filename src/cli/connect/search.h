/* SPDX-License-Identifier: MIT */
/*
 * regexec(3) that can be given up. How long it takes depends on the expression and on what a peer sends: with counted
 * repetitions, milliseconds a byte. So it runs on a thread of its own, and whoever asked waits no longer than it wants
 * to. A search that was given up goes on until the process ends; nothing is asked of this searcher again.
 */
#ifndef CLI_CONNECT_SEARCH_H
#define CLI_CONNECT_SEARCH_H

#include <regex.h>
#include <stdbool.h>
#include <stdint.h>

struct searcher;

/* Errors: -ENOMEM, -EMFILE, -EAGAIN. */
int searcher_open(struct searcher **ret_searcher);

/* What regexec returns; or -ETIMEDOUT at the deadline (CLOCK_MONOTONIC; 0: none), or -EINTR when patience_fd (-1: none)
 * has become readable. Then regex and text must stay for ever, and each further call is told the same at once. */
int searcher_run(struct searcher *searcher, const regex_t *regex, const char *text, regmatch_t *match, int flags,
                 int64_t deadline_ns, int patience_fd);

/* False: a search that was given up still runs, with the memory that it was lent. */
bool searcher_close(struct searcher *searcher);

#endif
