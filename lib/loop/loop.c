/* SPDX-License-Identifier: MIT */
/*
 * Theory of operation
 *
 * A turn of the loop: fire the timers that are due; let the engine submit what was asked for, wait, and hand out what
 * completed; then do what was put off to the end of the turn (loop_defer). The loop ends when it is stopped, or when
 * nothing is open any more that could call back.
 *
 * What is put off: an owner's work that must not happen inside the call that found the need for it (a write that
 * finds the connection gone may not call failed() before it has returned), closed callbacks of descriptors that could
 * be closed at once, and engines' own retries. An io is on that list at most once, with bits that say why; it is
 * taken off before its work is done, so that the work may put it on again, for the next turn.
 */
#include "loop/loop_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum { MAILBOX_DEFAULT = 256 };

static void *default_alloc(size_t size_bytes, void *user)
{
    (void)user;
    return malloc(size_bytes);
}

static void default_free(void *memory, size_t size_bytes, void *user)
{
    (void)size_bytes;
    (void)user;
    free(memory);
}

void *loop_alloc(struct sonde_loop *loop, size_t size_bytes)
{
    return loop->allocator.alloc(size_bytes, loop->allocator.user);
}

void loop_free(struct sonde_loop *loop, void *memory, size_t size_bytes)
{
    if (memory != NULL)
        loop->allocator.free(memory, size_bytes, loop->allocator.user);
}

int64_t clock_monotonic_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

int64_t sonde_loop_now_ns(struct sonde_loop *loop)
{
    if (loop->now_ns == 0)
        loop->now_ns = clock_monotonic_ns();
    return loop->now_ns;
}

unsigned options_n_direct(const struct sonde_loop_options *options)
{
    /* The last member: a caller that was compiled earlier may not know of it. */
    bool known = options != NULL && options->size >= offsetof(struct sonde_loop_options, n_direct) + sizeof(unsigned);

    return known ? options->n_direct : 0;
}

int loop_create_on(const struct engine_ops *ops, void *script, const struct sonde_loop_options *options,
                   struct sonde_loop **ret_loop, struct sonde_why *ret_why)
{
    static const struct sonde_allocator default_allocator = {default_alloc, default_free, NULL};
    const struct sonde_allocator *allocator = &default_allocator;
    unsigned n_mailbox = 0;

    if (options != NULL && options->allocator != NULL)
        allocator = options->allocator;
    if (options != NULL)
        n_mailbox = options->n_mailbox;
    if (options_n_direct(options) > 0 && ops->borrow_fd == NULL) {
        if (ret_why != NULL)
            *ret_why = (struct sonde_why){.code = -EOPNOTSUPP,
                                          .call = "io_uring_register",
                                          .detail = "connections without descriptors need io_uring"};
        return -EOPNOTSUPP;
    }
    struct sonde_loop *loop = allocator->alloc(sizeof *loop, allocator->user);
    if (loop == NULL) {
        if (ret_why != NULL)
            *ret_why = (struct sonde_why){.code = -ENOMEM, .call = "malloc"};
        return -ENOMEM;
    }
    *loop = (struct sonde_loop){.ops = ops, .allocator = *allocator, .script = script, .firing_ns = INT64_MIN};
    loop->deferred_tail = &loop->deferred;
    loop->n_direct = options_n_direct(options);
    TAILQ_INIT(&loop->net.streams);

    int error = ops->create(loop, &loop->engine, ret_why);
    if (error < 0)
        goto free_loop;
    error = mailbox_create(loop, n_mailbox > 0 ? n_mailbox : MAILBOX_DEFAULT);
    if (error < 0) {
        if (ret_why != NULL)
            *ret_why = (struct sonde_why){.code = error, .call = "eventfd"};
        goto destroy_engine;
    }
    *ret_loop = loop;
    return 0;

destroy_engine:
    ops->destroy(loop);
free_loop:
    allocator->free(loop, sizeof *loop, allocator->user);
    return error;
}

int sonde_loop_destroy(struct sonde_loop *loop)
{
    if (loop == NULL)
        return 0;
    if (loop->running || loop->n_objects > 0 || loop->timers != NULL)
        return -EBUSY;
    struct sonde_allocator allocator = loop->allocator;
    loop->ops->destroy(loop);
    mailbox_destroy(loop);
    loop_free(loop, loop->pending, loop->pending_room * sizeof *loop->pending);
    loop_free(loop, loop->probe_sockets, PROBE_SOCKETS * sizeof *loop->probe_sockets);
    allocator.free(loop, sizeof *loop, allocator.user);
    return 0;
}

void defer_io(struct sonde_loop *loop, struct io *io, unsigned what)
{
    if (io->deferred == 0) {
        io->next_deferred = NULL;
        *loop->deferred_tail = io;
        loop->deferred_tail = &io->next_deferred;
    }
    io->deferred |= (uint8_t)what;
}

void loop_defer(struct sonde_loop *loop, struct io *io)
{
    defer_io(loop, io, DEFER_WORK);
}

/* What stands on the list now; what is put there meanwhile waits for the next turn. */
static void run_deferred(struct sonde_loop *loop)
{
    struct io **end = loop->deferred_tail;
    bool last = loop->deferred == NULL;

    while (!last && !loop->stop) {
        struct io *io = loop->deferred;
        unsigned what = io->deferred;
        last = &io->next_deferred == end;
        loop->deferred = io->next_deferred;
        if (loop->deferred == NULL)
            loop->deferred_tail = &loop->deferred;
        io->deferred = 0;
        if (what & DEFER_CLOSED) {
            /* Last, and alone: what else was put off has no one to happen to. */
            io->handler->closed(io);
        } else {
            if (what & DEFER_ENGINE)
                loop->ops->retry(loop, io);
            if (what & DEFER_WORK)
                io->handler->work(io);
        }
    }
}

static int enter_thread(struct sonde_loop *loop)
{
    if (loop->entered)
        return pthread_equal(loop->thread, pthread_self()) ? 0 : -EPERM;
    int error = loop->ops->enter_thread != NULL ? loop->ops->enter_thread(loop) : 0;
    if (error < 0)
        return error;
    loop->thread = pthread_self();
    loop->entered = true;
    return 0;
}

int sonde_loop_run(struct sonde_loop *loop)
{
    int error = enter_thread(loop);

    if (error == 0 && !(loop->wake.active & IO_POLL))
        error = mailbox_listen(loop);
    if (error < 0)
        return error;
    loop->running = true;
    loop->stop = false;
    while (!loop->stop) {
        int64_t timeout_ns = timers_run(loop);
        if (loop->stop || (loop->n_open == 0 && loop->deferred == NULL))
            break;
        if (loop->deferred != NULL)
            timeout_ns = 0;
        loop->now_ns = 0;
        error = loop->ops->turn(loop, timeout_ns);
        if (error < 0)
            break;
        run_deferred(loop);
    }
    loop->running = false;
    loop->now_ns = 0;
    return error;
}

void sonde_loop_stop(struct sonde_loop *loop)
{
    loop->stop = true;
}

bool loop_is_stopping(const struct sonde_loop *loop)
{
    return loop->stop;
}

void sonde_loop_hold(struct sonde_loop *loop, int change)
{
    loop_add_open(loop, change);
}

void loop_add_open(struct sonde_loop *loop, int change)
{
    loop->n_open += change;
}

void loop_add_object(struct sonde_loop *loop, int change)
{
    loop->n_objects += change;
}

struct loop_net *loop_net(struct sonde_loop *loop)
{
    return &loop->net;
}

enum sonde_engine sonde_loop_engine(const struct sonde_loop *loop)
{
    return loop->ops->kind;
}
