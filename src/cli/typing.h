/* SPDX-License-Identifier: MIT */
/*
 * A line that is typed on the terminal while the program goes on: a prompt (term/prompt.h) on a loop, with what it
 * needs of signals and timers. Whatever is printed meanwhile goes above that line.
 */
#ifndef CLI_TYPING_H
#define CLI_TYPING_H

#include <sonde/loop.h>
#include <stdbool.h>
#include <stddef.h>

struct typing;

struct typing_handler {
    void (*line)(const char *text, size_t n_bytes, void *user); /* without its end */
    void (*end)(void *user);                                    /* no line will follow */
    bool (*may_show)(void *user); /* false: what was printed has not come out yet. NULL: it may always be */
};

/* Take standard input's terminal, and draw on standard output, or where that is none on standard error. Errors: -ENOTTY
 * (they are no terminals, or one that cannot be edited on), -ENOMEM, -EMFILE. ends_by_signal: SIGTERM is left to this
 * part, which gives the terminal back and lets the signal do what it does; SIGINT is always the owner's. handler must
 * outlive it. The loop does not return before typing_close. */
int typing_open(struct sonde_loop *loop, bool ends_by_signal, const struct typing_handler *handler, void *user,
                struct typing **ret_typing);

/* What stands before the line, fit for a terminal. */
void typing_set_text(struct typing *typing, const char *text);

/* Give the terminal back, at once; may be called by a handler. The memory goes when the loop has run a little more. */
void typing_close(struct typing *typing);

/* To be called before something is written to this descriptor: if a line is being typed on that terminal, it is taken
 * away until the end of the turn. What is written must end with a newline. */
void typing_make_room(int fd);

#endif
