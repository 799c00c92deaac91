/* SPDX-License-Identifier: MIT */
/*
 * A line that is being typed on a terminal, while other things are printed there.
 *
 * The prompt is edited as people are used to (arrow keys, history, Ctrl-A/E/K/W/R: libedit), never waits for anybody,
 * and can at any time be taken off the terminal, so that something is printed where it stood, and put back as it was,
 * cursor too. It runs inside the owner's event loop, and knows nothing of it: the owner says when there is something to
 * read, and when the terminal has changed.
 *
 * Signals are the owner's. The terminal goes on sending them (Ctrl-C, Ctrl-Z); whoever stops or ends the process calls
 * term_prompt_leave or term_prompt_close before.
 */
#ifndef TERM_PROMPT_H
#define TERM_PROMPT_H

#include <stdbool.h>
#include <stddef.h>

#define PROMPT_LINE_MAX 16384u /* characters of one line; more are dropped, and counted */
#define PROMPT_TEXT_MAX 1024u  /* bytes of what stands before it; longer texts lose their beginning */

struct term_prompt;

struct term_prompt_handler {
    /* Enter: what was typed, as UTF-8 and without the line end. A paste may have brought line ends inside. */
    void (*line)(const char *text, size_t n_bytes, void *user);
    /* Ctrl-D on an empty line, or the terminal is gone: no line will follow. The terminal is as it was before. */
    void (*end)(void *user);
    /* The line is full: so many characters were not taken. */
    void (*dropped)(size_t n_characters, void *user);
};

/* Take the terminal: in is read, out is drawn on. Nothing is shown yet. Errors: -ENOTTY (not both are terminals, or
 * TERM is not set, or names one that cannot move its cursor up), -ENOMEM, -EAGAIN, those of posix_openpt(3). handler
 * must outlive the prompt; inside its functions everything below may be called. */
int term_prompt_open(int in, int out, const struct term_prompt_handler *handler, void *user,
                     struct term_prompt **ret_prompt);

/* Give the terminal back as it was, with the cursor at the beginning of a row below what stands there. */
void term_prompt_close(struct term_prompt *prompt);

/* There is something to read (poll(2) says so). */
void term_prompt_readable(struct term_prompt *prompt);

/* What stands before the line: one row's text, fit for a terminal. */
void term_prompt_set_text(struct term_prompt *prompt, const char *text);

/* Take it off the terminal, with the cursor where it began; put it back. Nothing happens when it is so already. */
void term_prompt_hide(struct term_prompt *prompt);
void term_prompt_show(struct term_prompt *prompt);

/* The terminal has another size (SIGWINCH). */
void term_prompt_resized(struct term_prompt *prompt);

/* The process is about to be stopped: give the terminal back. It goes on: take it again. Shown or not is kept. Enter
 * returns false while another process has the terminal (a background job); ask again later. */
void term_prompt_leave(struct term_prompt *prompt);
bool term_prompt_enter(struct term_prompt *prompt);

/* The process was stopped without warning (SIGSTOP), and goes on: what was drawn is no more where it was. Then enter.
 */
void term_prompt_lost(struct term_prompt *prompt);

/* Some of what was to be drawn has not been taken by the terminal yet (Ctrl-S): term_prompt_writable is to be called
 * when term_prompt_fd takes more. Meanwhile nothing new is shown. */
bool term_prompt_is_stuck(const struct term_prompt *prompt);
int term_prompt_fd(const struct term_prompt *prompt);
void term_prompt_writable(struct term_prompt *prompt);

#endif
