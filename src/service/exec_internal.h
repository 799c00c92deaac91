/* SPDX-License-Identifier: MIT */
/* What the files of the service exec share; how it works is told in exec.c. */
#ifndef SERVICE_EXEC_INTERNAL_H
#define SERVICE_EXEC_INTERNAL_H

#include "service/service_internal.h"

#include <sonde/poll.h>
#include <sonde/timer.h>
#include <sys/queue.h>
#include <sys/types.h>

/* --- exec_environment.c: the variables of a child --------------------------------------------------------------- */

/* Those of `base` with what the child is to know of its connection, in one piece of memory to be freed; NULL: there is
 * no memory. */
char **exec_environment(char *const *base, const struct sonde_address *peer, const struct sonde_address *local);

/* --- exec_start.c: the process alone --------------------------------------------------------------------------- */

/* A process that runs, and our ends. With a terminal `out` is its master, for both directions; else there is one for
 * each of the three. What there is not is -1. */
struct started {
    pid_t pid;
    int pidfd;
    int in, out, err;
};

/* Start it in a session of its own, with descriptors 0, 1 and 2 alone, no signal ignored and none blocked. Returns 0
 * or a negative error, and then ret_call names what failed. */
int exec_start(const struct service_program *program, char *const *environment, struct started *ret_started,
               const char **ret_call);

/* exec_pty.c: a new terminal of 80 columns and 24 rows; the master does not block. `ret_name`: of the slave. */
int exec_pty_open(int *ret_master, char *ret_name, size_t size_bytes);

/* --- exec_channel.c: a descriptor of ours, watched -------------------------------------------------------------- */

struct child;

/* The descriptor is closed some time after exec_channel_close, and `closed` called then. */
struct channel {
    int fd; /* -1: not open, or closed */
    unsigned wanted, armed;
    bool in_ready;
    struct sonde_poll *poll;
    struct child *child;
    void (*ready)(struct child *child, unsigned events);
    void (*closed)(struct child *child);
};

/* Takes the descriptor over, also when it fails. */
int exec_channel_open(struct channel *channel, struct sonde_loop *loop, int fd);
/* Ask for SONDE_READABLE or SONDE_WRITABLE, or not any more. When that cannot be had, the child's connection breaks. */
void exec_channel_want(struct channel *channel, unsigned event, bool wanted);
void exec_channel_close(struct channel *channel);

static inline bool exec_channel_is_open(const struct channel *channel)
{
    return channel->poll != NULL;
}

/* --- the children ------------------------------------------------------------------------------------------------- */

#define CHILD_LINE_BYTES 4096 /* longest line of standard error that is shown in one piece */

struct child {
    LIST_ENTRY(child) link;
    struct exec *exec;
    struct sonde_stream *stream; /* NULL: closed */
    uint64_t id;                 /* the stream's */
    pid_t pid;
    unsigned n_channels; /* whose closed callback is due */

    struct channel exit; /* the pidfd; stays open as long as the child is known: its group is signalled through it */
    struct channel in, out, err;
    struct channel *sink; /* where input goes: in, or the terminal */

    unsigned char *kept; /* input that the program has not taken yet */
    size_t n_kept, kept_offset;

    /* A kill that is due once the client has gone; before, a look at what the client has not taken. */
    struct sonde_timer timer;
    int64_t pause_ns, kill_ns;

    struct service_outcome outcome;
    bool over;         /* all is done: it goes with its last channel */
    bool counted;      /* takes a place */
    bool gone;         /* the client has */
    bool input_ends;   /* no more will come from the client */
    bool input_over;   /* the program takes no more */
    bool end_typed;    /* terminal: the end of input is in what is kept, or has gone */
    bool line_started; /* terminal: the last byte of input was not the end of a line */
    bool output_over;  /* the program says no more */
    bool shut;         /* and the client was told */
    bool finishing;
    bool hanging_up; /* signalled, and to be killed */
    bool killed;
    bool errors_over;  /* standard error is at its end, or at least at that of a program that has ended */
    bool errors_wait;  /* the host has no room */
    bool line_was_cut; /* what is in line goes on a line that was shown in part */

    char line[CHILD_LINE_BYTES];
    size_t n_line;

    unsigned char *said; /* WebSocket: a line of its output that has not ended; NULL: there was none yet */
    size_t n_said;
};

/* Of one run. */
struct exec {
    struct service_run *run;
    LIST_HEAD(, child) children;
    unsigned n_children;      /* that run */
    unsigned n_known;         /* that have not been freed */
    bool held, ending, cut;   /* cut: patience is over */
    int64_t deadline_ns;      /* ending */
    struct sonde_timer watch; /* for clients that go while they are not read from */
    unsigned char buffer[64 * 1024];
};

/* exec_input.c: from the client to the program. */
void exec_input_take(struct child *child, const void *data, size_t n_bytes);
void exec_input_end(struct child *child);
void exec_input_give_up(struct child *child);
void exec_input_ready(struct child *child);
/* Look at the clients that are not read from, from time to time. */
void exec_input_watch(struct sonde_timer *timer);

/* exec_output.c: from the program to the client. */
void exec_output_ready(struct child *child);
void exec_output_go_on(struct child *child);
void exec_output_close(struct child *child);
/* Sending has failed: the connection is gone. The stream says so when it is read on (sonde/stream.h, pause). */
void exec_output_lost(struct child *child);
/* All is over on the program's side: close, once the client's kernel has everything. */
void exec_output_finish(struct child *child);

/* exec_messages.c: the same for streams with messages. `send` says of how many bytes it failed to be sent. */
void exec_messages_take(struct child *child, const struct sonde_lent *bytes);
int exec_messages_send(struct child *child, const unsigned char *bytes, size_t n_bytes, size_t *ret_n_unsent);
void exec_messages_end(struct child *child);

/* exec_error.c: what the program says on standard error. */
void exec_error_ready(struct child *child);
void exec_error_go_on(struct child *child);

/* exec.c: something about this child has changed: is it over? And: it cannot go on. */
void exec_step(struct child *child);
void exec_break(struct child *child, int error);

#endif
