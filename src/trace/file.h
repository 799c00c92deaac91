/* SPDX-License-Identifier: MIT */
/*
 * A recorded trace into views: packets of a pcap or pcapng file, or events as JSON Lines, told apart by their first
 * bytes. Bounded memory: what is kept is what a view keeps.
 */
#ifndef TRACE_FILE_H
#define TRACE_FILE_H

#include "trace/view.h"

struct trace_file_settings {
    const char *path;   /* "-": standard input */
    const char *filter; /* pcap-filter(7); NULL: everything */
    struct view_run *views;
    size_t n_views;
    uint64_t n_packets_max;            /* 0: any number */
    const struct framing_codec *frame; /* messages of streams become events; NULL: none */
    bool checksums;
    bool sentences; /* false where no view shows any: it saves the thinking */
};

struct trace_file_counts {
    bool events;                       /* it held events, not packets */
    uint64_t n_packets, n_passed_over; /* by the filter */
    uint64_t n_unknown_links;          /* of link types that are not read, the last of which is */
    uint16_t unknown_link;
    uint64_t n_conversations;
    uint64_t n_other, n_dropped; /* neither TCP nor UDP; dropped while it was captured, as it says itself */
    uint64_t n_no_memory;        /* packets that could not be followed */
    uint64_t n_fragments_lost, n_made_room, n_clock_steps, n_backwards;
    int64_t clock_step_ns;
};

/* Errors: those of capture_file_open and capture_filter_compile; -EPIPE: the file ends within a packet; -EINVAL: a line
 * is no event (why->detail says which, and why); -ENOTSUP: it holds events, and a view needs packets. What came before
 * has been shown all the same, and the views are finished; *ret_counts is filled in whatever happens. */
int trace_file(const struct trace_file_settings *settings, struct trace_file_counts *ret_counts,
               struct sonde_why *ret_why);

#endif
