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
 */
#ifndef SERVICE_SERVICE_H
#define SERVICE_SERVICE_H

#include <sonde/listener.h>
#include <sonde/stream.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct service_run;

/* Why a service closes a connection. */
enum service_done {
    SERVICE_ANSWERED, /* the peer ended, and has been given all there was for it */
    SERVICE_SAID_ALL, /* the service had nothing more to say */
};

/* What only the service knows, told to its host. The host may print, count and remember; it must not close the stream
 * from in here. */
struct service_host {
    /* So many bytes, which the peer should have been sent, were never even written: it takes nothing any more, or the
     * program is ending. */
    void (*unanswered)(struct service_run *run, struct sonde_stream *stream, uint64_t n_bytes);
    /* The service closes this connection (the call follows). */
    void (*done)(struct service_run *run, struct sonde_stream *stream, enum service_done how);
    /* The service cannot keep its word (-ENOMEM, -ENOBUFS) and resets this connection (the call follows): better than
     * a stream with a hole in it. */
    void (*broken)(struct service_run *run, struct sonde_stream *stream, int error);
    /* The accept queue of a listener's socket, when it was first seen and whenever it has changed. */
    void (*queue)(struct service_run *run, struct sonde_listener *listener, unsigned index, unsigned length,
                  unsigned limit);
    /* It cannot be known: a negative error. */
    void (*queue_unknown)(struct service_run *run, struct sonde_listener *listener, unsigned index, int error);
};

/* Made by the host, which sets all but state. The text is the host's and outlives the run. */
struct service_run {
    const struct service *service;
    const struct service_host *host;
    void *host_data;
    struct sonde_loop *loop;
    const char *text; /* SERVICE_TAKES_TEXT: what to say; not NUL-terminated */
    size_t n_text_bytes;
    void *state; /* the service's own, for all its connections on this loop */
};

#define SERVICE_TAKES_TEXT 1u   /* says a text that the user gives */
#define SERVICE_LISTENS_ONLY 2u /* accepts nobody: its listeners stay paused, and only start to stop are called */
#define SERVICE_MANY_THREADS 4u /* may run on several loops at once */

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
    /* The loop has returned: free the state. */
    void (*release)(struct service_run *run);

    void (*opened)(struct service_run *run, struct sonde_stream *stream, void *own);
    void (*data)(struct service_run *run, struct sonde_stream *stream, void *own, const struct sonde_lent *bytes);
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
