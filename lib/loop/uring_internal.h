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

    unsigned n_batch, n_done; /* completions that are being handed out, of which so many have been */

    /* uring_direct.c */
    unsigned n_places; /* of the table; 0: there is none */
    unsigned n_taken;  /* places with a connection, or kept for an accept that is under way */
    int spare_fd;      /* given up for a moment when there is no other descriptor; -1: none */
    uint64_t n_asked;
    struct io_uring_cqe *aside; /* completions that were taken out of the ring before their turn */
    unsigned aside_first, n_aside, aside_room;
};

/* Low three bits of user_data; 0 to 4 are the bit numbers of IO_RECV... */
enum {
    TAG_RECV,
    TAG_SEND,
    TAG_ACCEPT,
    TAG_CONNECT,
    TAG_POLL,
    TAG_CLOSE,
    TAG_IGNORE, /* a cancellation's own completion */
    TAG_ANSWER, /* see uring_direct.c */
    TAG_MASK = 7,
};

static inline struct uring *uring_of(const struct sonde_loop *loop)
{
    return loop->engine;
}

static inline unsigned char *buffer_at(const struct uring *uring, int id)
{
    return uring->buffers + (size_t)id * URING_BUFFER_STRIDE;
}

struct io_uring_sqe *uring_get_sqe(struct uring *uring);

int uring_create(struct sonde_loop *loop, void **ret_engine, struct sonde_why *ret_why);
void uring_destroy(struct sonde_loop *loop);
int uring_enter_thread(struct sonde_loop *loop);

/* --- uring_direct.c: sockets that have a place in the ring's table and no descriptor ------------------------------ */

/* Make the table; *ret_call says what refused. */
int uring_direct_create(struct uring *uring, unsigned n_places, const char **ret_call);
void uring_direct_destroy(struct sonde_loop *loop);

int uring_borrow_fd(struct sonde_loop *loop, int place);
void uring_return_fd(struct sonde_loop *loop, int borrowed);
void uring_close_place(struct sonde_loop *loop, int place);

/* An answer that nobody waits for any more. */
void uring_late_answer(const struct io_uring_cqe *cqe);

/* Hand the first of the completions that were put aside to ret_cqe; false: there is none. */
bool uring_take_aside(struct sonde_loop *loop, struct io_uring_cqe *ret_cqe);

/* Name the socket in a submission that has been prepared. */
static inline void uring_aim(struct io_uring_sqe *sqe, int fd)
{
    if (__builtin_expect(io_is_place(fd), 0)) {
        sqe->fd = (int)io_place(fd);
        sqe->flags |= IOSQE_FIXED_FILE;
    }
}

#endif
