/* SPDX-License-Identifier: MIT */
/*
 * --expect: has what was received matched a POSIX extended regular expression? Bytes in, an answer out.
 *
 * The last EXPECT_WINDOW bytes are looked at, so that a match may lie across receives. ^ and $ mean lines: $ matches in
 * front of a newline that has come, or at the end of all data. Bytes are bytes, whatever the locale; NUL is one that
 * "." does not match.
 *
 * Looking at the whole window for each receive would cost a slow sender's byte 65,536 looks, and a search that begins
 * anew at every byte of the window the square of that. So the expression is compiled a second time, with "anything"
 * before it and anchored to the beginning: one pass, in which each byte moves an automaton by one state. That pass goes
 * over the newest bytes and EXPECT_TAIL before them at each receive, and over the whole window whenever EXPECT_WINDOW
 * bytes have come since the last time, when nothing more comes for a moment (expect_look) and at the end. A byte is so
 * looked at by a bounded number of passes, whatever the peer sends, and a match of up to EXPECT_TAIL bytes is seen at
 * once.
 *
 * How long a pass takes for each byte is another matter: the automaton of "a.{20}c" has a million states, and the peer
 * chooses which of them are made. So passes that may take long are left to a searcher (search.h), which is given up at
 * the deadline, or when patience_fd has something to say. Nothing matches any more then.
 */
#ifndef CLI_CONNECT_EXPECT_H
#define CLI_CONNECT_EXPECT_H

#include "cli/connect/search.h"

#include <regex.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define EXPECT_WINDOW (64u * 1024u)
#define EXPECT_TAIL 2048u

struct expect {
    const char *pattern; /* as the user gave it */
    regex_t search;      /* the same, compiled: finds where it matches */
    regex_t pass;        /* with anything before it: finds whether it does */
    char *window;        /* 2 * EXPECT_WINDOW bytes of room, and a NUL: who watches regexec looks for one */
    size_t n_bytes;
    uint64_t n_gone_bytes; /* that have left the window */
    size_t n_looked_bytes; /* of the window were looked at as a whole */
    bool at_beginning;     /* of a line: the byte before the window */
    bool matched;
    struct searcher *searcher;
    /* Set by the owner when they are known; 0 and -1 before. */
    int64_t deadline_ns;
    int patience_fd;
    bool given_up;
};

/* pattern is kept. False: it is not understood, and *ret_why says why ("Unmatched [, [^, [:, [., or [="; static or in
 * the room given). */
bool expect_open(struct expect *expect, const char *pattern, char *ret_why, size_t why_bytes);

/* A connection begins. */
void expect_restart(struct expect *expect);

/* Bytes were received. True: now it has matched. */
bool expect_received(struct expect *expect, const void *data, size_t n_bytes);

/* Is there something that expect_received has not looked at together with all that came before? Then expect_look is
 * worth calling when the peer falls silent; at_end: no more will come. True: it has matched. */
bool expect_is_behind(const struct expect *expect);
bool expect_look(struct expect *expect, bool at_end);

/* Where it matched, once it has: the first and longest match in the window. offset counts from the first byte received.
 * This may take time: it is a search. */
void expect_where(struct expect *expect, uint64_t *ret_offset, uint64_t *ret_n_bytes);

void expect_free(struct expect *expect);

#endif
