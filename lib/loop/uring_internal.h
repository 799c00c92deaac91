/* SPDX-License-Identifier: MIT */
/* What the two files of the io_uring engine share: uring_setup.c makes and ends it, uring.c runs it. */
#ifndef LOOP_URING_INTERNAL_H
#define LOOP_URING_INTERNAL_H

#include "loop/loop_internal.h"

#include <liburing.h>

enum {
    /* They are used in turn, so all of them go through the caches: no more than a busy turn needs. A power of two. */
    URING_N_BUFFERS = 128,
    URING_BUFFER_BYTES = 32 * 1024,
    /* Buffers a power of two apart would fall into the same few sets of the processor's caches, and small messages
     * would evict each other: so each begins a cache line further on. */
    URING_BUFFER_STRIDE = URING_BUFFER_BYTES + 64,
    URING_BUFFER_GROUP = 0,
};

struct uring {
    struct io_uring ring;
    struct io_uring_buf_ring *buffer_ring;
    unsigned char *buffers;
    unsigned n_returned; /* buffers put into the ring but not yet shown to the kernel */
};

static inline struct uring *uring_of(const struct sonde_loop *loop)
{
    return loop->engine;
}

static inline unsigned char *buffer_at(const struct uring *uring, int id)
{
    return uring->buffers + (size_t)id * URING_BUFFER_STRIDE;
}

int uring_create(struct sonde_loop *loop, void **ret_engine, struct sonde_why *ret_why);
void uring_destroy(struct sonde_loop *loop);
int uring_enter_thread(struct sonde_loop *loop);

#endif
