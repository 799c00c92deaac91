/* SPDX-License-Identifier: MIT */
/* The loop's inside, for the files of this folder and for the tests' scripted engine. */
#ifndef LOOP_LOOP_INTERNAL_H
#define LOOP_LOOP_INTERNAL_H

#include "loop/io.h"

#include <pthread.h>
#include <sonde/timer.h>

/* An engine: one file, one const description, one row in engine.c. The functions are those of io.h. */
struct engine_ops {
    const char *name;
    enum sonde_engine kind;
    int (*create)(struct sonde_loop *loop, void **ret_engine, struct sonde_why *ret_why);
    void (*destroy)(struct sonde_loop *loop);
    int (*enter_thread)(struct sonde_loop *loop); /* once, on the thread that runs the loop */
    /* Submit, wait until something completes or so many ns have passed (-1: for ever), and hand completions out. */
    int (*turn)(struct sonde_loop *loop, int64_t timeout_ns);
    int (*recv_start)(struct sonde_loop *loop, struct io *io, bool often);
    void (*recv_stop)(struct sonde_loop *loop, struct io *io);
    int (*send)(struct sonde_loop *loop, struct io *io, const void *data, size_t n_bytes, enum io_send_mode mode);
    int (*accept_start)(struct sonde_loop *loop, struct io *io, bool often);
    void (*accept_stop)(struct sonde_loop *loop, struct io *io);
    int (*connect)(struct sonde_loop *loop, struct io *io, const struct sockaddr *address, socklen_t n_bytes);
    int (*poll_start)(struct sonde_loop *loop, struct io *io, unsigned events);
    void (*poll_stop)(struct sonde_loop *loop, struct io *io);
    void (*close)(struct sonde_loop *loop, struct io *io, bool keep_fd);
    void (*forget_fd)(struct sonde_loop *loop, struct io *io); /* the descriptor is about to be closed by others */
    void (*retry)(struct sonde_loop *loop, struct io *io);     /* what DEFER_ENGINE put off */
    void (*buffer_release)(struct sonde_loop *loop, int id);
    const unsigned char *(*buffer_data)(struct sonde_loop *loop, int id);
    /* For engines with places; the others have NULL here. */
    int (*borrow_fd)(struct sonde_loop *loop, int place);
    void (*return_fd)(struct sonde_loop *loop, int borrowed);
    void (*close_place)(struct sonde_loop *loop, int place);               /* now */
    int (*fault)(struct sonde_loop *loop, enum sonde_operation operation); /* NULL, but for scripted engines */
    size_t buffer_bytes;
    bool sends_at_once;
    bool misses_ends;
};

extern const struct engine_ops engine_uring, engine_epoll;

/* Bits of io->deferred. */
enum {
    DEFER_WORK = 1 << 0,   /* the owner's work */
    DEFER_CLOSED = 1 << 1, /* the owner's closed: the last thing that happens to an io */
    DEFER_ENGINE = 1 << 2, /* the engine's own business: receive again now that buffers are back */
};

/* An operation that the probe has seen begin but not end. */
struct probe_pending {
    const struct io *io;
    const void *data;
    uint64_t n_bytes;
    int64_t start_ns;
    uint8_t operation;
};

/* Cookies of a stream's socket, so that the kernel is not asked for them with each byte. */
struct probe_socket {
    uint64_t stream; /* 0: this place is empty */
    uint64_t cookie, netns_cookie;
    int fd;
};

struct message {
    void (*function)(void *user);
    void *user;
};

struct sonde_loop {
    const struct engine_ops *ops;
    void *engine;
    struct sonde_allocator allocator;
    sonde_probe_function probe;
    void *probe_user;
    struct io *deferred, **deferred_tail;
    struct sonde_timer *timers; /* the heap's root */
    int64_t now_ns;             /* 0: not read in this turn */
    int64_t firing_ns;          /* the time that timers are being fired for; INT64_MIN: none are */
    long n_open, n_objects;
    unsigned n_direct; /* accept into a table of so many places; 0: get descriptors */
    bool stop, running, entered;
    pthread_t thread;
    struct loop_net net;

    struct io wake; /* the mailbox's eventfd */
    pthread_mutex_t mailbox_lock;
    struct message *mailbox;
    unsigned n_mailbox, mailbox_first, mailbox_length;

    int64_t accept_start_ns; /* of the accept that is being handed out, while probing; 0: it has none */
    struct probe_pending *pending;
    unsigned n_pending, pending_room;
    struct probe_socket *probe_sockets; /* PROBE_SOCKETS of them, while probing; NULL: no memory */
    void *script;                       /* for a scripted engine */
};

#define PROBE_SOCKETS 2048u /* a power of two */

/* sonde_loop_create with a given engine; script is for engines that are not in the table. */
int loop_create_on(const struct engine_ops *ops, void *script, const struct sonde_loop_options *options,
                   struct sonde_loop **ret_loop, struct sonde_why *ret_why);

/* How many places the loop is to have. */
unsigned options_n_direct(const struct sonde_loop_options *options);

void defer_io(struct sonde_loop *loop, struct io *io, unsigned what);

int mailbox_create(struct sonde_loop *loop, unsigned n_messages);
int mailbox_listen(struct sonde_loop *loop); /* on the loop's thread */
void mailbox_destroy(struct sonde_loop *loop);

/* Fire what is due; returns ns until the next deadline, -1 when no timer runs. */
int64_t timers_run(struct sonde_loop *loop);

static inline bool probing(const struct sonde_loop *loop)
{
    return __builtin_expect(loop->probe != NULL, 0);
}

/*
 * Engines report the operations they do. One that was begun (probe_begin) and completes later is ended by
 * probe_finish, which finds its beginning again; one that is done at once, or that has no beginning of its own, is
 * reported whole by probe_report. All of them only while probing().
 */
struct probe_report {
    enum sonde_operation operation;
    unsigned flags;
    int64_t result;
    int64_t start_ns;
    const void *data;
    uint64_t n_bytes;
};

void probe_report(struct sonde_loop *loop, const struct io *io, const struct probe_report *report);
void probe_begin(struct sonde_loop *loop, const struct io *io, enum sonde_operation operation, const void *data,
                 size_t n_bytes);
bool probe_has_begun(const struct sonde_loop *loop, const struct io *io, enum sonde_operation operation);
void probe_finish(struct sonde_loop *loop, const struct io *io, enum sonde_operation operation, int64_t result,
                  unsigned flags);

#endif
