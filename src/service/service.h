/* SPDX-License-Identifier: MIT */
/*
 * Services: what the listening end says to those who connect.
 *
 * A service is one file with one const description and one row in table.c. It talks to its peers through libsonde, and
 * knows nothing of options, threads and output: whoever runs it (the host) owns the listeners, is the handler of the
 * streams, hands on what happens to them, and keeps a few bytes per connection for the service beside its own.
 *
 * One struct service_run stands for a service that runs on one loop; everything here happens on that loop's thread:
 *
 *   start -> listening* -> { opened -> data* -> [end] -> ... -> [failed] -> closed }* -> stop -> release
 *
 * The order of one connection is the order of its stream (sonde/stream.h). Connections may outlive stop, not release.
 *
 * A connection may have messages (sonde_stream_has_messages): WebSocket, UNIX packets, and datagrams, whose connection
 * is all that comes from one address until it has been silent for long. Datagrams have no end (sonde_stream_has_end):
 * a service that says something and closes says it there for each datagram that comes.
 */
#ifndef SERVICE_SERVICE_H
#define SERVICE_SERVICE_H

#include <sonde/frame.h>
#include <sonde/listener.h>
#include <sonde/stream.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct service_run;

/* Why a message was not sent. */
enum service_withheld {
    SERVICE_WOULD_AMPLIFY, /* it would answer a datagram from another machine, whose sender may be forged, and be much
                              longer than what was asked */
    SERVICE_TOO_LONG,      /* it is longer than one message can be */
    SERVICE_N_WITHHELD,
};

/* Why a service closes a connection. */
enum service_done {
    SERVICE_ANSWERED,    /* the peer ended, and has been given all there was for it */
    SERVICE_SAID_ALL,    /* the service had nothing more to say */
    SERVICE_KICKED,      /* the operator has sent it away */
    SERVICE_NOT_READING, /* it did not take what it was sent, and is reset */
};

/* What became of the program of a connection. */
enum service_fate {
    SERVICE_NOT_STARTED, /* it could not be, or there is none */
    SERVICE_RUNNING,
    SERVICE_EXITED,   /* value: its exit status */
    SERVICE_SIGNALED, /* value: the signal that killed it */
};

struct service_outcome {
    enum service_fate fate;
    int value;
    uint64_t n_unread_bytes; /* of the client's, which the program had no more input for */
};

/* What only the service knows, told to its host. The host may print, count and remember; it must not close the stream
 * from in here. */
struct service_host {
    /* So many bytes, which the peer should have been sent, were never even written: it takes nothing any more, or the
     * program is ending. */
    void (*unanswered)(struct service_run *run, struct sonde_stream *stream, uint64_t n_bytes);
    /* A message of so many bytes was not sent. */
    void (*withheld)(struct service_run *run, struct sonde_stream *stream, enum service_withheld why, uint64_t n_bytes);
    /* The service closes this connection (the call follows). */
    void (*done)(struct service_run *run, struct sonde_stream *stream, enum service_done how);
    /* The service cannot keep its word (-ENOMEM, -ENOBUFS) and resets this connection (the call follows): better than
     * a stream with a hole in it. */
    void (*broken)(struct service_run *run, struct sonde_stream *stream, int error);
    /* The receive buffer of a listener's socket for datagrams, when it was first seen and whenever it has changed: so
     * many bytes of the limit are taken, as the kernel counts them, and so many datagrams found no room. */
    void (*buffer)(struct service_run *run, struct sonde_listener *listener, unsigned index, unsigned n_bytes,
                   unsigned limit, unsigned n_dropped);
    /* The accept queue of a listener's socket, when it was first seen and whenever it has changed. */
    void (*queue)(struct service_run *run, struct sonde_listener *listener, unsigned index, unsigned length,
                  unsigned limit);
    /* SERVICE_TAKES_LINES: read the operator's lines, or leave them where they are (false at first). An operator at a
     * terminal is heard in any case. `line` and `lines_end` never come from inside this call. */
    void (*wants_lines)(struct service_run *run, bool wanted);
    /* A line of a peer's for the operator to read, to be shown with the peer's label; one without its newline is a
     * piece of a line that has not ended. As it came: not fit for a terminal. */
    void (*said)(struct service_run *run, struct sonde_stream *stream, const void *data, size_t n_bytes);
    /* What the operator says, with its newline, to this peer, or (NULL) to all n of them: before it is sent. */
    void (*spoken)(struct service_run *run, struct sonde_stream *stream, unsigned n, const void *data, size_t n_bytes);
    /* Whole lines that the operator has asked for, fit for a terminal. */
    void (*answer)(struct service_run *run, const char *text);
    /* A sentence for the operator, fit for a terminal; stream: the peer that it is about, or NULL. */
    void (*tell)(struct service_run *run, struct sonde_stream *stream, const char *sentence);
    /* The name under which a peer is shown, fit for a terminal. (Its number is sonde_stream_id.) */
    void (*name_of)(struct service_run *run, struct sonde_stream *stream, char *ret_text, size_t size_bytes);
    /* Accept nobody for now (true), or go on (false). Asked for once each, in turn. */
    void (*hold)(struct service_run *run, bool wanted);
    /* While true, the service has more to wait for than its connections: the host's loop must not return yet. Asked for
     * once each, in turn. */
    void (*busy)(struct service_run *run, bool wanted);
    /* A line that the program of a connection (its sonde_stream_id) has written to its standard error, without its end;
     * `cut`: a piece of a longer one. As it came: not fit for a terminal. False: not taken, since there is no room;
     * the service's error_room is called when there is. */
    bool (*error_line)(struct service_run *run, uint64_t id, const void *line, size_t n_bytes, bool cut);
    /* The program of a connection (its sonde_stream_id) that was closed before has ended. */
    void (*ended)(struct service_run *run, uint64_t id, const struct service_outcome *outcome);
    /* The operator has had enough: end the program as an interrupt would, but with exit status 0. */
    void (*quit)(struct service_run *run);
    /* It cannot be known: a negative error. */
    void (*queue_unknown)(struct service_run *run, struct sonde_listener *listener, unsigned index, int error);
};

/* What a service runs for each connection. */
struct service_program {
    const char *path;  /* the file; PATH has been searched already */
    char *const *argv; /* NULL-terminated */
    bool pty;          /* on a terminal of its own */
    unsigned n_max;    /* most children at a time, those that outlive their connection included */
};

/* Made by the host, which sets all but state. The text is the host's and outlives the run. */
struct service_run {
    const struct service *service;
    const struct service_host *host;
    void *host_data;
    struct sonde_loop *loop;
    const char *text; /* SERVICE_TAKES_TEXT: what to say; not NUL-terminated */
    size_t n_text_bytes;
    const struct service_program *program; /* SERVICE_TAKES_PROGRAM; the host's, outlives the run */
    const struct sonde_frame *frame;       /* SERVICE_TAKES_MESSAGES: how they are framed; NULL: bytes come */
    unsigned message_flags; /* for message and messages_end: of the stream's own message that they came in (struct
                               sonde_lent); 0: it has none */
    void *state;            /* the service's own, for all its connections on this loop */
};

#define SERVICE_TAKES_TEXT 1u   /* says a text that the user gives */
#define SERVICE_LISTENS_ONLY 2u /* accepts nobody: its listeners stay paused, and only start to stop are called */
#define SERVICE_MANY_THREADS 4u /* may run on several loops at once */
#define SERVICE_TAKES_LINES 8u  /* has an operator, whose lines it gets */
/* Runs a program for each connection. SIGCHLD must not be ignored (waitid(2)). */
#define SERVICE_TAKES_PROGRAM 16u
#define SERVICE_TAKES_MESSAGES 32u /* has a meaning for messages, too */
#define SERVICE_NEEDS_END 64u      /* means nothing to datagrams, which have no end */
/* Answers whatever comes: two of the kind must not be led to answer each other's datagrams for ever. */
#define SERVICE_ANSWERS 128u
#define SERVICE_SPEAKS_FIRST 256u /* says something to whoever connects, whatever that says */

/* A connection of ours has 40 bytes of room beside the library's stream: 24 for the host, these for the service. */
#define SERVICE_CONNECTION_BYTES_MAX 16

struct service {
    const char *name;
    const char *help; /* one line */
    const char *rfc;  /* "RFC 862"; NULL: none */
    unsigned flags;   /* SERVICE_... */
    /* `own` below: so many bytes of this connection, zeroed before opened, 8-byte aligned. */
    size_t connection_bytes;

    /* Any of these may be NULL. A start or listening that fails (a negative error) has undone what it did; after a
     * listening that failed, stop and release are still called. */
    int (*start)(struct service_run *run);
    int (*listening)(struct service_run *run, struct sonde_listener *listener);
    /* Nobody will connect any more: let go of whatever would keep the loop from returning. Comes before the listeners
     * are closed. */
    void (*stop)(struct service_run *run);
    /* The program is to end, and connections have until the deadline (sonde_loop_now_ns), when the host closes them. A
     * service that has this finishes its streams itself; the host finishes those of the others. Called again, with a
     * deadline that has come, right before they are closed for want of patience. Comes after stop. */
    void (*ending)(struct service_run *run, int64_t deadline_ns);
    /* The loop has returned: free the state. */
    void (*release)(struct service_run *run);

    /* SERVICE_TAKES_LINES: a line of the operator's, without its end; and the end of them all. */
    void (*line)(struct service_run *run, const char *line, size_t n_bytes);
    void (*lines_end)(struct service_run *run);

    /* SERVICE_TAKES_PROGRAM: the host takes error lines again; and what became of this connection's program so far,
     * which is also asked right after closed. */
    void (*error_room)(struct service_run *run);
    void (*outcome)(const void *own, struct service_outcome *ret_outcome);

    void (*opened)(struct service_run *run, struct sonde_stream *stream, void *own);
    void (*data)(struct service_run *run, struct sonde_stream *stream, void *own, const struct sonde_lent *bytes);
    /* With a frame, instead of data: a message, lent for the time of the call; and all those that had come together
     * have been given: on a stream that has messages itself, in one of them. */
    void (*message)(struct service_run *run, struct sonde_stream *stream, void *own, const void *data, size_t n_bytes);
    void (*messages_end)(struct service_run *run, struct sonde_stream *stream, void *own);
    void (*end)(struct service_run *run, struct sonde_stream *stream, void *own);
    void (*drained)(struct service_run *run, struct sonde_stream *stream, void *own);
    /* The host closes the stream after this. */
    void (*failed)(struct service_run *run, struct sonde_stream *stream, void *own, int error);
    void (*closed)(struct service_run *run, struct sonde_stream *stream, void *own);
};

/* All of them, in the order in which help lists them; ends with NULL. */
extern const struct service *const services[];

/* NULL: there is none of this name. */
const struct service *service_find(const char *name);

#endif
