/* SPDX-License-Identifier: MIT */
/*
 * Lines that are typed on a terminal, edited: a source of input, and what the peer sends goes above the line. Where the
 * peer's last line has not ended ("password: "), it stands before the line that is typed, as it would without editing.
 */
#ifndef CLI_CONNECT_EDIT_H
#define CLI_CONNECT_EDIT_H

#include "cli/connect/input.h"
#include "cli/connect/output.h"
#include "cli/typing.h"

#define EDIT_TAIL_BYTES 4096u            /* of a line that has not ended; a longer one is broken */
#define EDIT_QUEUE_BYTES (1024u * 1024u) /* lines that nobody has taken; more are dropped, and that is said */

struct edit {
    struct typing *typing; /* NULL: nothing is edited, or no more */
    struct input *input;
    struct output *out;
    bool ended;
    char *text; /* typed: from begin to end it waits to be taken */
    size_t begin, end, room;
    char tail[EDIT_TAIL_BYTES]; /* what the peer's last line is so far, fit for a terminal */
    size_t n_tail;
};

/* Of the struct edit. */
extern const struct input_source edit_source;

/* Begin, if that can be: standard input and output are terminals on which it is possible. The input is woken when there
 * is something for it; out is where the peer's bytes go. False: it cannot be, and nothing has happened. The memory must
 * stay as long as the input's. */
bool edit_open(struct edit *edit, struct sonde_loop *loop, struct input *input, struct output *out);

/* What the peer has sent, fit for a terminal. */
void edit_put(struct edit *edit, const char *text, size_t n_bytes);

/* No more will come of the line that has not ended: it is one. */
void edit_end_line(struct edit *edit);

/* Give the terminal back. */
void edit_close(struct edit *edit);

#endif
