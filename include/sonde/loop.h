/* SPDX-License-Identifier: MIT */
/*
 * The loop: one thread waits for many things.
 *
 * A loop may be made on any thread; it belongs to the thread that first runs it, and from then on everything that is
 * done with it or with what lives on it (timers, polls, listeners, streams) is done on that thread, callbacks
 * included. Only sonde_loop_post may be called from elsewhere. Loops share nothing.
 *
 * Callbacks never come before the call that started them has returned, and memory that was handed to an object may be
 * freed after that object's closed callback, not before.
 */
#ifndef SONDE_LOOP_H
#define SONDE_LOOP_H

#include <sonde/error.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct sonde_loop;

enum sonde_engine {
    SONDE_ENGINE_AUTO = 0, /* io_uring where it works, else epoll */
    SONDE_ENGINE_URING = 1,
    SONDE_ENGINE_EPOLL = 2,
};

/* Where a loop and all that lives on it takes memory from. alloc returns NULL when there is none; the loop then fails
 * the call at hand with -ENOMEM, or ends the one connection that needed it. Used on the loop's thread only. */
struct sonde_allocator {
    void *(*alloc)(size_t size_bytes, void *user);
    void (*free)(void *memory, size_t size_bytes, void *user);
    void *user;
};

struct sonde_loop_options {
    size_t size; /* sizeof(struct sonde_loop_options): says which members the caller knows */
    enum sonde_engine engine;
    const struct sonde_allocator *allocator; /* NULL: malloc; copied, need not outlive the call */
    unsigned n_mailbox;                      /* most messages that wait in the mailbox; 0: 256 */
    /* Not 0: connections that are accepted on this loop live in a table of the ring, of so many places, and have no
     * descriptor: the limit of open files (RLIMIT_NOFILE) then bounds each ring rather than the process. They have no
     * owner in /proc either, and no sonde_stream_fd. io_uring only; a table larger than RLIMIT_NOFILE is refused with
     * -EMFILE. Accepting says -ENFILE when the table is full. */
    unsigned n_direct;
};

/* Make a loop. options may be NULL. Errors: -SONDE_EENGINE (the engine that was asked for does not work here; why says
 * which call refused), -ENOMEM, -EMFILE. Never fails for io_uring's sake when engine is AUTO. */
SONDE_API int sonde_loop_create(const struct sonde_loop_options *options, struct sonde_loop **ret_loop,
                                struct sonde_why *ret_why);

/* Run until sonde_loop_stop, or until nothing is left open that could ever call back. Returns 0, or a negative error
 * when the kernel refuses to wait. May be called again after it returned. -EPERM on a thread it does not belong to. */
SONDE_API int sonde_loop_run(struct sonde_loop *loop);

/* Make the running sonde_loop_run return after the callback at hand. */
SONDE_API void sonde_loop_stop(struct sonde_loop *loop);

/* Free the loop. -EBUSY while anything on it is still open (close it, and run the loop until its closed callback). */
SONDE_API int sonde_loop_destroy(struct sonde_loop *loop);

/* Call function(user) on the loop's thread. From any thread, and the only call that is. Returns -ENOBUFS when the
 * mailbox is full. A message that waits does not keep sonde_loop_run from returning; what has not run when the loop is
 * destroyed never runs. */
SONDE_API int sonde_loop_post(struct sonde_loop *loop, void (*function)(void *user), void *user);

/* Keep sonde_loop_run from returning for want of open things, for a thread that waits for posted work: +1, then -1. */
SONDE_API void sonde_loop_hold(struct sonde_loop *loop, int change);

/* The engine that this loop runs on: SONDE_ENGINE_URING or SONDE_ENGINE_EPOLL, and its name: "uring", "epoll". */
SONDE_API enum sonde_engine sonde_loop_engine(const struct sonde_loop *loop);
SONDE_API const char *sonde_engine_name(enum sonde_engine engine);

/* Does this engine work here and now? 0, or the negative error of the call that refused; ret_why (may be NULL) names
 * the call and, where it can be told, the setting behind it. Any thread. */
SONDE_API int sonde_engine_probe(enum sonde_engine engine, struct sonde_why *ret_why);

/* CLOCK_MONOTONIC in nanoseconds, read once per turn of the loop and then remembered. */
SONDE_API int64_t sonde_loop_now_ns(struct sonde_loop *loop);

#ifdef __cplusplus
}
#endif
#endif
