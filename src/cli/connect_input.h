/* SPDX-License-Identifier: MIT */
/*
 * Standard input, read through the loop. The descriptor is the user's, shared perhaps with a shell: it is read only
 * when it has something, and its flags are never changed.
 *
 * The owner says what it wishes for. While it wishes for nothing, nothing is read, so that a writer into our standard
 * input feels the backpressure.
 */
#ifndef CLI_CONNECT_INPUT_H
#define CLI_CONNECT_INPUT_H

#include "cli/connect_parts.h"

#include <sonde/poll.h>
#include <sonde/timer.h>

#define INPUT_CHUNK (128u * 1024u)

enum input_wish {
    INPUT_NOTHING,
    INPUT_LOOK, /* find out whether there is a byte or the end; looked is called, once */
    INPUT_GIVE, /* hand out what there is */
};

struct input;

struct input_handler {
    void (*looked)(bool has_bytes, void *user);
    /* Bytes for the peer, already converted. The wish may be changed here; at most INPUT_CHUNK bytes of input follow
     * a call at a time, twice as many with CRLF. */
    void (*bytes)(const void *data, size_t n_bytes, void *user);
    /* each_line only: a line is complete; nothing more is given until the next wish. */
    void (*line_end)(void *user);
    /* Nothing will follow. error is 0, or the negative errno of read(2). After input_drain it also means that there is
     * nothing more at the moment. */
    void (*end)(int error, void *user);
};

struct input_options {
    bool crlf;
    bool each_line;
    int64_t line_delay_ns; /* between lines; 0: none */
};

struct input {
    struct sonde_loop *loop;
    struct sonde_poll *poll; /* NULL: never opened, or closed */
    const struct input_handler *handler;
    void *user;
    struct input_options options;
    int fd;
    enum input_wish wish;
    bool reading;   /* the poll waits */
    bool giving;    /* inside a callback of handler */
    bool delayed;   /* a line was given, the next one has to wait */
    bool draining;  /* only what comes without waiting */
    bool ended;     /* read(2) said so */
    bool in_line;   /* each_line: a piece of the line was given */
    bool told;      /* end was called */
    int error;      /* why it ended */
    int64_t due_ns; /* delayed: until when */
    struct sonde_timer timer;
    struct crlf crlf;
    char *text; /* INPUT_CHUNK bytes that were read, of which begin to end wait, and room to convert them */
    char *converted;
    size_t begin, end;
};

/* Errors: -ENOMEM, -EBADF. handler must outlive the input. The memory must stay until the loop has run out, or has been
 * left for good, after input_close. */
int input_open(struct input *input, struct sonde_loop *loop, int fd, const struct input_options *options,
               const struct input_handler *handler, void *user);

/* Callbacks follow from the loop, never from inside this call. -ENOMEM: the wish is not heard. */
int input_wish(struct input *input, enum input_wish wish);

/* From now on give only what is there without waiting, lines without delay, and then call end. */
int input_drain(struct input *input);

/* Bytes wait for their delay: silence that is our own making. */
bool input_is_delayed(const struct input *input);

void input_close(struct input *input);

#endif
