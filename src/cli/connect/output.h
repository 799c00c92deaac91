/* SPDX-License-Identifier: MIT */
/*
 * Where bytes come out: standard output or a file. The loop never waits for a slow reader: what a pipe, a terminal or a
 * socket does not take now is kept here, and written when it can be. The user's descriptor keeps its flags.
 *
 * Pipes and terminals are therefore opened anew, which gives a file description of our own that may be non-blocking.
 * Where that is not allowed (the pipe is another user's), little is written at a time and only when poll(2) says so:
 * a pipe then takes PIPE_BUF bytes without waiting, and no more is promised (pipe(7)).
 */
#ifndef CLI_CONNECT_OUTPUT_H
#define CLI_CONNECT_OUTPUT_H

#include <sonde/poll.h>
#include <stdbool.h>
#include <stddef.h>

enum output_kind {
    OUTPUT_BLOCKING, /* a regular file, /dev/null: never waits for anybody */
    OUTPUT_PIECES,   /* a pipe or a terminal that cannot be opened anew */
    OUTPUT_NONBLOCK, /* a pipe or a terminal, by a file description of our own */
    OUTPUT_SOCKET,
};

#define OUTPUT_PIECE 4096u

struct output {
    struct sonde_poll *poll; /* NULL: OUTPUT_BLOCKING */
    int fd;
    bool owns_fd;
    enum output_kind kind;
    int error; /* negative errno: broken for good, and everything is dropped */
    char *pending;
    size_t begin, end, room;
    void (*unstuck)(void *user); /* all that was pending is written, or it broke */
    void *user;
};

/* Write to fd, or to something opened anew for it. fd is closed at the end when owns_fd. Errors: those of
 * sonde_poll_create. */
int output_open(struct output *output, struct sonde_loop *loop, int fd, bool owns_fd, void (*unstuck)(void *user),
                void *user);

/* Write, or keep what cannot be written now. The caller stops giving while output_is_stuck: what is kept is bounded by
 * what one event brings. Failure is in error. */
void output_write(struct output *output, const void *data, size_t n_bytes);

bool output_is_stuck(const struct output *output);

/* The memory must stay until the loop has run out, or has been left for good. */
void output_close(struct output *output);

#endif
