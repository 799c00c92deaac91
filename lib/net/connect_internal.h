/* SPDX-License-Identifier: MIT */
/* The way to a connection, between connect.c, which decides, and attempt.c, which has the sockets. */
#ifndef NET_CONNECT_INTERNAL_H
#define NET_CONNECT_INTERNAL_H

#include "net/net_internal.h"
#include "net/race.h"

/* One address on its way: a socket of its own. It outlives the stream until its descriptor is closed. */
struct attempt {
    struct io io;
    struct sonde_loop *loop;
    struct connecting *connecting;
    LIST_ENTRY(attempt) link;
    unsigned number; /* in connecting->tried */
    uint64_t stream_id;
    struct sockaddr_storage target; /* the kernel reads it until the connect completes */
    socklen_t target_bytes;
};

/* Everything that a stream needs only until it stands. */
struct connecting {
    struct sonde_stream *stream;
    struct sonde_url url;
    struct race race;
    struct lookup *lookup; /* NULL: it is over, or there was none */
    LIST_HEAD(, attempt) under_way;
    struct sonde_timer deadline;
    struct sonde_timer again; /* the time of the next attempt */
    struct through *through;  /* what is said before it opens, through.c; NULL: nothing */
    bool over;                /* told already */
    unsigned n_tried;
    struct sonde_attempt tried[SONDE_ATTEMPTS_MAX];
    struct sonde_why why;
};

/* Begin to connect to tried[number].address (or to the URL's path): 0, and attempt_done follows unless it is dropped;
 * or an error, which is in connecting->why. */
int attempt_begin(struct connecting *connecting, unsigned number);

/* In connect.c: how it went. The attempt is still under way there, and has to be kept, or dropped. */
void attempt_done(struct attempt *attempt, int result);

/* Give it up: its descriptor is closed. */
void attempt_drop(struct attempt *attempt);

/* The stream takes over its descriptor. */
void attempt_keep(struct attempt *attempt);

/* Why it came to nothing, with the address that was tried for its subject. */
void connecting_set_why(struct connecting *connecting, int error, const char *call);

/* A socket option, for sockopt_apply; user is the struct connecting. */
int connecting_set_option(void *user, int fd, int level, int name, const void *value, socklen_t n);

#endif
