/* SPDX-License-Identifier: MIT */
/*
 * What is to be sent, read through the loop: from standard input, or from another source with the same interface. The
 * descriptor of standard input is the user's, shared perhaps with a shell: it is read only when it has something, and
 * its flags are never changed.
 *
 * The owner says what it wishes for. While it wishes for nothing, nothing is read, so that a writer into our standard
 * input feels the backpressure. A source is read once in a turn of the loop at most, so that one that always has more
 * leaves room for the rest.
 */
#ifndef CLI_CONNECT_INPUT_H
#define CLI_CONNECT_INPUT_H

#include "cli/connect/parts.h"

#include <sonde/poll.h>
#include <sonde/timer.h>
#include <sys/types.h>

#define INPUT_CHUNK (128u * 1024u)

enum input_wish {
    INPUT_NOTHING,
    INPUT_LOOK, /* find out whether there is a byte or the end; looked is called, once */
    INPUT_GIVE, /* hand out what there is */
};

struct input;

/* What has to come before a source is worth to be read again. */
struct input_wait {
    int fd;         /* not -1: this descriptor becomes readable; the source keeps it open until the loop has run out */
    int64_t due_ns; /* else this time comes (sonde_loop_now_ns; 0: now); INT64_MAX: only input_wake */
};

/* Where the bytes come from. */
struct input_source {
    /* The next bytes, without waiting: how many; 0 at the end; -EAGAIN when there are none now; else a negative errno,
     * which is the end too. *ret_wait, which is {-1, 0} before, is looked at after bytes and after -EAGAIN. draining:
     * as input_drain says; a source that never ends begins nothing new. */
    ssize_t (*read)(void *user, bool draining, void *ret_bytes, size_t size_bytes, struct input_wait *ret_wait);
    /* Another connection begins: give the same again from the start. NULL: what was given is gone, and so is what was
     * read and could not be given. */
    void (*rewind)(void *user);
};

/* Standard input as it is; without a user. */
extern const struct input_source input_stdin;

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
    size_t most_bytes;     /* of one read; 0, or more than it: INPUT_CHUNK */
};

struct input {
    struct sonde_loop *loop;
    const struct input_source *source;
    void *source_user;
    struct sonde_poll *poll; /* on poll_fd; NULL: there was nothing to wait for yet */
    int poll_fd;
    const struct input_handler *handler;
    void *user;
    struct input_options options;
    struct input_wait wait;
    enum input_wish wish;
    bool open;      /* false once the owner has closed us, in a callback perhaps */
    bool reading;   /* the poll waits */
    bool giving;    /* inside a callback of handler */
    bool delayed;   /* a line was given, the next one has to wait */
    bool draining;  /* only what comes without waiting */
    bool ended;     /* the source said so */
    bool in_line;   /* each_line: a piece of the line was given */
    bool told;      /* end was called */
    bool held;      /* the end is not told again before input_drain */
    int error;      /* why it ended */
    int64_t due_ns; /* delayed: until when */
    struct sonde_timer timer;
    struct crlf crlf;
    char *text; /* INPUT_CHUNK bytes that were read, of which begin to end wait, and room to convert them */
    char *converted;
    size_t begin, end;
};

/* Errors: -ENOMEM, -EBADF (standard input). source and handler must outlive the input. The memory must stay until the
 * loop has run out, or has been left for good, after input_close. */
int input_open(struct input *input, struct sonde_loop *loop, const struct input_source *source, void *source_user,
               const struct input_options *options, const struct input_handler *handler, void *user);

/* Callbacks follow from the loop, never from inside this call. -ENOMEM: the wish is not heard. */
int input_wish(struct input *input, enum input_wish wish);

/* From now on give only what is there without waiting, lines without delay, and then call end. */
int input_drain(struct input *input);

/* The source has something, although it said that it had to be woken. The same errors as input_wish. */
int input_wake(struct input *input);

/* Another connection begins: the end is told again, and input_drain is over. */
void input_restart(struct input *input);

/* The same, but standard input that has ended already does not end the new connection, which has somebody else who
 * sends: that is told again after input_drain alone. */
void input_restart_beside(struct input *input);

/* Bytes wait for their time: silence that is our own making. */
bool input_is_delayed(const struct input *input);

void input_close(struct input *input);

#endif
