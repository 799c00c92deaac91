/* SPDX-License-Identifier: MIT */
/*
 * Direct descriptors: connections that live in the ring's table of files only.
 *
 * Theory of operation
 *
 * The table is registered empty, with n_places places; an accept takes a free one, and a close gives it back. An accept
 * that finds no place free takes the connection off the queue all the same, and drops it. So a place is kept for every
 * accept that is under way (n_taken), and none is begun without: with a full table connections stay in the accept
 * queue, for other rings that accept from the same socket.
 *
 * The ring can send to such a socket, receive from it, wait for it and close it. Whatever else needs a system call
 * needs a descriptor, which IORING_OP_FIXED_FD_INSTALL (Linux 6.8) makes and which is closed again at once. It is rare:
 * half-closing, resetting, options, TCP_INFO, a local address that nobody knows. Should there be no descriptor to be
 * had
 * (-EMFILE), one that is held for this is given up meanwhile.
 *
 * Such a question is asked through the ring, and its answer is waited for. These operations are done while they are
 * submitted, so that the answer is in the completion ring at once, behind others that nobody has looked at yet: it is
 * taken out of their middle. Should the ring have overflowed, what stands in it is put aside until the next turn, in
 * order, so that the rest comes in.
 */
#include "loop/uring_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

/* Not in liburing 2.3. */
enum { OP_FIXED_FD_INSTALL = 54 };

/* user_data: TAG_ANSWER, this bit when the answer is a descriptor, and the question's number above. */
enum { ANSWER_IS_FD = 8, ANSWER_NUMBER = 16 };

static bool has_install(struct uring *uring)
{
    struct io_uring_probe *probe = io_uring_get_probe_ring(&uring->ring);
    bool has = probe != NULL && io_uring_opcode_supported(probe, OP_FIXED_FD_INSTALL);

    io_uring_free_probe(probe);
    return has;
}

int uring_direct_create(struct uring *uring, unsigned n_places, const char **ret_call)
{
    *ret_call = "IORING_OP_FIXED_FD_INSTALL";
    if (!has_install(uring))
        return -EOPNOTSUPP;
    *ret_call = "io_uring_register";
    int error = io_uring_register_files_sparse(&uring->ring, n_places);
    if (error < 0)
        return error;
    uring->spare_fd = fcntl(uring->ring.ring_fd, F_DUPFD_CLOEXEC, 0);
    uring->n_places = n_places;
    return 0;
}

void uring_direct_destroy(struct sonde_loop *loop)
{
    struct uring *uring = uring_of(loop);

    if (uring->spare_fd >= 0)
        close(uring->spare_fd);
    loop_free(loop, uring->aside, uring->aside_room * sizeof *uring->aside);
}

/* --- questions -------------------------------------------------------------------------------------------------- */

/* Is this answer in the ring? It is the last that was asked, so that it stands near the end. */
static bool find_answer(struct uring *uring, uint64_t question, int *ret_result)
{
    const struct io_uring_cq *cq = &uring->ring.cq;
    unsigned first = *cq->khead + uring->n_done, i = io_uring_smp_load_acquire(cq->ktail);

    while (i != first) {
        struct io_uring_cqe *cqe = &cq->cqes[--i & cq->ring_mask];
        if (cqe->user_data == question) {
            *ret_result = cqe->res;
            cqe->user_data = TAG_IGNORE;
            return true;
        }
    }
    return false;
}

static int make_room_aside(struct sonde_loop *loop, unsigned n_more)
{
    struct uring *uring = uring_of(loop);
    unsigned room = uring->n_aside + n_more;

    if (uring->aside_first + room <= uring->aside_room)
        return 0;
    struct io_uring_cqe *aside = loop_alloc(loop, room * sizeof *aside);
    if (aside == NULL)
        return -ENOMEM;
    if (uring->n_aside > 0)
        memcpy(aside, uring->aside + uring->aside_first, uring->n_aside * sizeof *aside);
    loop_free(loop, uring->aside, uring->aside_room * sizeof *aside);
    uring->aside = aside;
    uring->aside_room = room;
    uring->aside_first = 0;
    return 0;
}

/* Put aside what stands in the ring and has not been handed out, and let in what had no room there. */
static int set_aside(struct sonde_loop *loop)
{
    struct uring *uring = uring_of(loop);
    const struct io_uring_cq *cq = &uring->ring.cq;
    unsigned first = *cq->khead + uring->n_done, n = io_uring_cq_ready(&uring->ring) - uring->n_done;

    if (n == 0)
        return -EIO;
    int error = make_room_aside(loop, n);
    if (error < 0)
        return error;
    for (unsigned i = 0; i < n; i++)
        uring->aside[uring->aside_first + uring->n_aside++] = cq->cqes[(first + i) & cq->ring_mask];
    io_uring_cq_advance(&uring->ring, uring->n_done + n);
    uring->n_batch = uring->n_done = 0; /* uring_turn holds pointers to what has just gone */
    error = io_uring_get_events(&uring->ring);
    return error < 0 && error != -EINTR ? error : 0;
}

bool uring_take_aside(struct sonde_loop *loop, struct io_uring_cqe *ret_cqe)
{
    struct uring *uring = uring_of(loop);

    if (uring->n_aside == 0)
        return false;
    *ret_cqe = uring->aside[uring->aside_first++];
    if (--uring->n_aside == 0) {
        loop_free(loop, uring->aside, uring->aside_room * sizeof *uring->aside);
        uring->aside = NULL;
        uring->aside_first = uring->aside_room = 0;
    }
    return true;
}

/* Submit this, behind all that was prepared before it, and return its result. */
static int ask(struct sonde_loop *loop, struct io_uring_sqe *sqe, unsigned flags)
{
    struct uring *uring = uring_of(loop);
    uint64_t question = ++uring->n_asked * ANSWER_NUMBER | flags | TAG_ANSWER;
    int result, error;

    sqe->user_data = question;
    error = io_uring_submit(&uring->ring);
    if (io_uring_sq_ready(&uring->ring) > 0) {
        /* The kernel did not take them all, and so not this one, which is the last: take it back. */
        io_uring_prep_nop(sqe);
        sqe->user_data = TAG_IGNORE;
        return error < 0 ? error : -EAGAIN;
    }
    while (!find_answer(uring, question, &result)) {
        error = set_aside(loop);
        if (error < 0)
            return error;
    }
    return result;
}

void uring_late_answer(const struct io_uring_cqe *cqe)
{
    if (cqe->user_data & ANSWER_IS_FD && cqe->res >= 0)
        close(cqe->res);
}

static int install(struct sonde_loop *loop, int place)
{
    struct io_uring_sqe *sqe = uring_get_sqe(uring_of(loop));

    if (sqe == NULL)
        return -EAGAIN;
    io_uring_prep_rw(OP_FIXED_FD_INSTALL, sqe, -1, NULL, 0, 0); /* CLOEXEC unless told otherwise */
    uring_aim(sqe, place);
    return ask(loop, sqe, ANSWER_IS_FD);
}

int uring_borrow_fd(struct sonde_loop *loop, int place)
{
    struct uring *uring = uring_of(loop);
    int fd = install(loop, place);

    if (fd == -EMFILE && uring->spare_fd >= 0) {
        close(uring->spare_fd);
        uring->spare_fd = -1;
        fd = install(loop, place);
        if (fd < 0)
            uring->spare_fd = fcntl(uring->ring.ring_fd, F_DUPFD_CLOEXEC, 0);
    }
    return fd;
}

void uring_return_fd(struct sonde_loop *loop, int borrowed)
{
    struct uring *uring = uring_of(loop);

    close(borrowed);
    if (uring->spare_fd < 0)
        uring->spare_fd = fcntl(uring->ring.ring_fd, F_DUPFD_CLOEXEC, 0);
}

void uring_close_place(struct sonde_loop *loop, int place)
{
    struct uring *uring = uring_of(loop);
    struct io_uring_sqe *sqe = uring_get_sqe(uring);

    if (sqe == NULL) /* the place is lost, and stays counted */
        return;
    io_uring_prep_close_direct(sqe, io_place(place));
    if (ask(loop, sqe, 0) == 0)
        uring->n_taken--;
}
