/* SPDX-License-Identifier: MIT */
/*
 * A live trace: sources (the wire, the kernel, our own program) -> one time line -> views.
 *
 * Theory of operation
 *
 * Everything happens on the thread that runs the session. It waits for packets and calls, pushes what becomes of them
 * onto the time line, which holds it back for a moment to put it in order, and takes it from there to the views.
 *
 * A connection is one row of the session's table, with a number that is never used again. The wire makes a row for each
 * conversation it sees. A call belongs to a socket of ours, known by its cookie; which connection that is, is decided
 * when the call leaves the time line, by the socket's addresses: the first connection of that tuple that can be meant
 * and is no other socket's (session_join.c). If the wire has none (no right to capture, a UNIX socket), the call makes
 * the row.
 */
#ifndef TRACE_SESSION_H
#define TRACE_SESSION_H

#include "observe/capture/capture.h"
#include "trace/program.h"
#include "trace/view.h"

#define SESSION_CONNECTIONS_MAX 100000 /* of one session; what comes later is counted, and not shown */

struct sampling;
struct session;

struct session_settings {
    struct capture_live *live;   /* NULL: no packets */
    const char *where;           /* its interface */
    const char *no_packets;      /* a sentence why there are none; NULL: nothing to be said */
    struct program_calls *calls; /* NULL: none */
    /* Which end our calls are of, enum event_role. ROLE_CLIENT: only connections of our own sockets are shown. */
    uint8_t our_role;
    bool kernel; /* ask the kernel about the ends */
    /* N_ENDS of a TCP connection that there is already: where no packets are seen the kernel is asked about it all the
     * same. NULL: none. */
    const struct sonde_address *ends;
    struct view_run *views;
    size_t n_views;
    uint64_t n_packets_max;            /* 0: any number */
    int64_t duration_ns;               /* 0: any time */
    const struct framing_codec *frame; /* messages of streams become events; NULL: none */
    int stop_fd;                       /* readable: end; -1: none */
    bool checksums;
    /* Only what it takes is shown. The same must have been given to `calls`. NULL: all. */
    struct sampling *sampling;
    bool while_any; /* go on as long as one view can be written; otherwise all have to be */
};

struct session_counts {
    uint64_t n_packets, n_dropped, n_other, n_late, n_lost_events, n_connections_left_out, n_clock_steps;
    uint64_t n_no_memory; /* packets that could not be followed, for want of memory */
    int64_t clock_step_ns;
};

/* NULL: no memory. The settings are copied; what they point to must stay. */
struct session *session_new(const struct session_settings *settings);
/* Until stop_fd is readable, enough packets were seen, time is over, or a view's output is gone (while_any: all are).
 * 0, or a negative error: the interface has gone (-ENODEV), a view's file (its error). Everything has been handed to
 * the views then, and they are finished. */
int session_run(struct session *session);
void session_get_counts(const struct session *session, struct session_counts *ret_counts);
void session_free(struct session *session);

#endif
