/* SPDX-License-Identifier: MIT */
/* The table of conversations, as --summary prints it, and the ladder when there are many. */
#ifndef TRACE_SUMMARY_H
#define TRACE_SUMMARY_H

#include "observe/track/track.h"

#include <stdio.h>

struct summary_row;

struct summary {
    struct summary_row *rows;
    size_t n_rows, n_room;
    uint64_t n_left_out; /* for want of memory */
};

void summary_add(struct summary *summary, const struct conversation *conversation);
/* In the order in which they began; times are seconds since the first of them. */
void summary_print(struct summary *summary, FILE *out);
void summary_print_json(struct summary *summary, FILE *out);
/* Rows that found no room are said on standard error. */
void summary_say_left_out(const struct summary *summary);
void summary_free(struct summary *summary);

/* "handshake", "refused", ...; "4 segments, client first", "reset by server (unread-data)". */
const char *conversation_opening_words(enum conversation_opening opening);
size_t conversation_ending_words(const struct conversation *conversation, char *ret_text, size_t size_bytes);

#endif
