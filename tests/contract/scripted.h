/* SPDX-License-Identifier: MIT */
/*
 * Engines for tests: a real engine, and what a script adds to it. script_engine makes the struct engine_ops that
 * loop_create_on takes, together with the script, which must outlive the loop.
 *
 * Every such engine counts its turns. One that is made with `scripted` also does what the script says, and counts
 * operations, from 1, in the order in which they happen: sockets, options, binds and listens; calls that send and
 * receive messages; the start of each
 * receive, send, accept, connect and poll; and each completion of one of those. The one whose number is fail_at fails
 * with fail_error instead of happening. A script of zeros changes nothing.
 */
#ifndef CONTRACT_SCRIPTED_H
#define CONTRACT_SCRIPTED_H

#include "loop/loop_internal.h"

enum { SCRIPT_SHELLS = 12 };

/* Stands in for an owner's handler, to see completions before the owner does. */
struct script_shell {
    struct io_handler handler; /* first: an io's handler is this shell */
    const struct io_handler *original;
    struct script *script;
};

struct script {
    /* What is wished. */
    unsigned fail_at;     /* which operation; 0: none */
    int fail_error;       /* a negative errno */
    size_t receive_bytes; /* most that one receive brings; 0: no limit */
    size_t send_bytes;    /* most that one send takes; 0: no limit */
    bool stutter;         /* every other send finds no room at first; for the epoll engine */

    /* What has happened. */
    unsigned n_operations;
    const char *failed_what; /* the operation that was made to fail; NULL: none was */
    unsigned long n_turns;

    /* Private. */
    const struct engine_ops *real;
    struct engine_ops ops;
    unsigned n_sends;
    struct script_shell shells[SCRIPT_SHELLS];
};

const struct engine_ops *script_engine(struct script *script, const struct engine_ops *real, bool scripted);

#endif
