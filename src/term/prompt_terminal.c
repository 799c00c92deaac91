/* SPDX-License-Identifier: MIT */
/*
 * The terminal of a prompt: its modes, what moves its cursor, and what is written to it.
 *
 * Modes: keys come one by one and are not echoed. Everything else stays as the user has it: Ctrl-C and Ctrl-Z are still
 * signals, Ctrl-S still stops the output, and a newline that others write still begins a row.
 *
 * Nothing here waits: the terminal is opened anew, which gives file descriptions of our own that may be non-blocking.
 * Where that is not allowed (the terminal is another user's), poll(2) says when something can be read or written.
 */
#include "term/prompt_internal.h"

#include <curses.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <term.h>
#include <unistd.h>

/* <term.h> has its own meaning for these. */
#undef columns
#undef lines

enum { COLUMNS_LEAST = 4, COLUMNS_MOST = 1000, ROWS_LEAST = 2 };

/* A capability as it is written: without the delays that terminals of long ago asked for ("$<50>"). */
static bool copy_capability(const char *name, char ret_text[TERMINAL_STRING])
{
    const char *text = tigetstr(name);
    size_t n = 0;

    if (text == NULL || text == (const char *)-1)
        return false;
    while (*text != '\0' && n < TERMINAL_STRING - 1) {
        const char *end = text[0] == '$' && text[1] == '<' ? strchr(text, '>') : NULL;
        if (end != NULL)
            text = end + 1;
        else
            ret_text[n++] = *text++;
    }
    ret_text[n] = '\0';
    return n > 0 && *text == '\0';
}

static bool find_capabilities(struct terminal *terminal, const char *name)
{
    int error;

    if (setupterm(name, terminal->out, &error) != OK)
        return false;
    bool usable = copy_capability("cuu1", terminal->up) && copy_capability("el", terminal->clear_line) &&
                  copy_capability("ed", terminal->clear_below) && copy_capability("clear", terminal->clear_all);
    terminal->last_column_wraps = tigetflag("am") == 1 && tigetflag("xenl") != 1;
    del_curterm(cur_term);
    return usable;
}

/* Does it break rows anew when it is made narrower? Most do; those that do not can be told. */
static bool breaks_rows_anew(const char *name)
{
    if (getenv("TMUX") != NULL)
        return true;
    return getenv("XTERM_VERSION") == NULL && strncmp(name, "screen", strlen("screen")) != 0 &&
           strncmp(name, "linux", strlen("linux")) != 0;
}

/* The descriptor, or one of our own that does not wait. */
static bool open_anew(int *fd, int how)
{
    char path[32];

    snprintf(path, sizeof(path), "/proc/self/fd/%d", *fd);
    int anew = open(path, how | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (anew < 0)
        return false;
    *fd = anew;
    return true;
}

static bool is_ready(int fd, short events)
{
    struct pollfd pollfd = {.fd = fd, .events = events};

    return poll(&pollfd, 1, 0) > 0;
}

int terminal_open(struct terminal *terminal, int in, int out)
{
    const char *name = getenv("TERM");

    *terminal = (struct terminal){.in = in, .out = out};
    if (name == NULL || name[0] == '\0' || !isatty(out) || tcgetattr(in, &terminal->before) != 0)
        return -ENOTTY;
    if (!find_capabilities(terminal, name))
        return -ENOTTY;
    terminal->ours = terminal->before;
    terminal->ours.c_lflag &= ~(tcflag_t)(ICANON | ECHO | IEXTEN);
    terminal->ours.c_iflag &= ~(tcflag_t)(ICRNL | INLCR | IGNCR | ISTRIP);
    terminal->ours.c_cc[VMIN] = 1;
    terminal->ours.c_cc[VTIME] = 0;
    terminal->reflows = breaks_rows_anew(name);
    terminal->owns_in = open_anew(&terminal->in, O_RDONLY);
    terminal->owns_out = open_anew(&terminal->out, O_WRONLY);
    terminal_measure(terminal);
    return 0;
}

void terminal_close(struct terminal *terminal)
{
    terminal_give_back(terminal);
    if (terminal->owns_in)
        close(terminal->in);
    if (terminal->owns_out)
        close(terminal->out);
    free(terminal->text);
    terminal->text = NULL;
}

bool terminal_take(struct terminal *terminal)
{
    pid_t group = tcgetpgrp(terminal->in);

    if (group >= 0 && group != getpgrp())
        return false;
    if (!terminal->taken && tcsetattr(terminal->in, TCSANOW, &terminal->ours) == 0) {
        terminal->taken = true;
        terminal_puts(terminal, "\033[?2004h");
    }
    return true;
}

void terminal_give_back(struct terminal *terminal)
{
    if (!terminal->taken)
        return;
    terminal->taken = false;
    terminal_puts(terminal, "\033[?2004l");
    terminal_flush(terminal);
    terminal->begin = terminal->end = 0;
    pid_t group = tcgetpgrp(terminal->in);
    /* Else it belongs to somebody else by now, who has set it as he likes. */
    if (group < 0 || group == getpgrp())
        tcsetattr(terminal->in, TCSANOW, &terminal->before);
}

void terminal_measure(struct terminal *terminal)
{
    struct winsize size;
    unsigned width = 80, height = 24;

    if (ioctl(terminal->out, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) {
        width = size.ws_col;
        height = size.ws_row > 0 ? size.ws_row : height;
    }
    if (width > COLUMNS_MOST)
        width = COLUMNS_MOST;
    width -= terminal->last_column_wraps;
    terminal->columns = width < COLUMNS_LEAST ? COLUMNS_LEAST : width;
    terminal->rows = height < ROWS_LEAST ? ROWS_LEAST : height > LAYOUT_ROWS_MAX ? LAYOUT_ROWS_MAX : height;
}

void terminal_put(struct terminal *terminal, const char *text, size_t n_bytes)
{
    if (terminal->begin > 0) {
        memmove(terminal->text, terminal->text + terminal->begin, terminal->end - terminal->begin);
        terminal->end -= terminal->begin;
        terminal->begin = 0;
    }
    if (terminal->room - terminal->end < n_bytes) {
        size_t room = 2 * (terminal->end + n_bytes);
        char *larger = realloc(terminal->text, room);
        if (larger == NULL) {
            terminal->failed = true;
            return;
        }
        terminal->text = larger;
        terminal->room = room;
    }
    memcpy(terminal->text + terminal->end, text, n_bytes);
    terminal->end += n_bytes;
}

void terminal_puts(struct terminal *terminal, const char *text)
{
    terminal_put(terminal, text, strlen(text));
}

ssize_t terminal_read(const struct terminal *terminal, void *ret_bytes, size_t size_bytes)
{
    /* What made it readable may have been read by a shell since, while we were stopped. */
    if (!terminal->owns_in && !is_ready(terminal->in, POLLIN))
        return -EAGAIN;
    ssize_t n_bytes = read(terminal->in, ret_bytes, size_bytes);
    if (n_bytes < 0)
        return errno == EINTR ? -EAGAIN : -errno;
    return n_bytes;
}

void terminal_flush(struct terminal *terminal)
{
    while (terminal->begin < terminal->end) {
        size_t n = terminal->end - terminal->begin;
        if (!terminal->owns_out && !is_ready(terminal->out, POLLOUT))
            return;
        ssize_t written = write(terminal->out, terminal->text + terminal->begin, n);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0 && errno == EAGAIN)
            return;
        /* A terminal that is gone takes everything. */
        terminal->begin += written < 0 ? n : (size_t)written;
    }
    terminal->begin = terminal->end = 0;
}
