/* SPDX-License-Identifier: MIT */
/*
 * Setting the io_uring engine up. What a kernel lacks or an administrator forbids is found by trying; whatever refuses,
 * why says which call it was and, where it can be told, the setting behind it.
 */
#include "loop/uring_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
    SQ_ENTRIES = 1024,
    SQ_ENTRIES_SMALL = 128, /* when locked memory is short */
};

static void explain(struct sonde_why *ret_why, const char *call, int error)
{
    if (ret_why == NULL)
        return;
    *ret_why = (struct sonde_why){.code = error, .call = call};
    char setting = '0';
    int fd = open("/proc/sys/kernel/io_uring_disabled", O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        if (read(fd, &setting, 1) != 1)
            setting = '0';
        close(fd);
    }
    struct rlimit memlock;
    if (error == -EPERM && setting != '0')
        snprintf(ret_why->detail, sizeof ret_why->detail, "kernel.io_uring_disabled is %c", setting);
    else if (error == -EPERM || error == -ENOSYS)
        snprintf(ret_why->detail, sizeof ret_why->detail, "refused by a seccomp filter or not in this kernel");
    else if (error == -EOPNOTSUPP)
        snprintf(ret_why->detail, sizeof ret_why->detail, "connections without descriptors need Linux 6.8");
    else if (error == -EINVAL)
        snprintf(ret_why->detail, sizeof ret_why->detail, "this kernel lacks IORING_SETUP_DEFER_TASKRUN");
    else if (error == -ENOMEM && getrlimit(RLIMIT_MEMLOCK, &memlock) == 0 && memlock.rlim_cur != RLIM_INFINITY)
        snprintf(ret_why->detail, sizeof ret_why->detail, "the limit of locked memory (ulimit -l) is %llu KiB",
                 (unsigned long long)memlock.rlim_cur / 1024);
}

static int set_up_ring(struct io_uring *ring)
{
    unsigned entries = SQ_ENTRIES;

    for (;;) {
        struct io_uring_params params = {
            .flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_R_DISABLED |
                     IORING_SETUP_SUBMIT_ALL | IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP,
            .cq_entries = entries * 4,
        };
        int error = io_uring_queue_init_params(entries, ring, &params);
        if (error == -ENOMEM && entries > SQ_ENTRIES_SMALL) {
            entries = SQ_ENTRIES_SMALL;
            continue;
        }
        if (error < 0)
            return error;
        if (!(params.features & IORING_FEAT_NODROP) || !(params.features & IORING_FEAT_EXT_ARG)) {
            io_uring_queue_exit(ring);
            return -EINVAL;
        }
        fcntl(ring->ring_fd, F_SETFD, FD_CLOEXEC);
        return 0;
    }
}

static int set_up_buffers(struct uring *uring)
{
    size_t ring_bytes = URING_N_BUFFERS * sizeof(struct io_uring_buf);
    void *ring = mmap(NULL, ring_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (ring == MAP_FAILED)
        return -errno;
    void *buffers = mmap(NULL, (size_t)URING_N_BUFFERS * URING_BUFFER_STRIDE, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (buffers == MAP_FAILED) {
        int error = -errno;
        munmap(ring, ring_bytes);
        return error;
    }
    struct io_uring_buf_reg reg = {
        .ring_addr = (uintptr_t)ring, .ring_entries = URING_N_BUFFERS, .bgid = URING_BUFFER_GROUP};
    int error = io_uring_register_buf_ring(&uring->ring, &reg, 0);
    if (error < 0) {
        munmap(ring, ring_bytes);
        munmap(buffers, (size_t)URING_N_BUFFERS * URING_BUFFER_STRIDE);
        return error;
    }
    uring->buffer_ring = ring;
    uring->buffers = buffers;
    io_uring_buf_ring_init(uring->buffer_ring);
    for (int id = 0; id < URING_N_BUFFERS; id++) {
        /* The first page of each is going to be used soon, whatever comes: have it now, and not while serving. */
        *buffer_at(uring, id) = 0;
        io_uring_buf_ring_add(uring->buffer_ring, buffer_at(uring, id), URING_BUFFER_BYTES, (unsigned short)id,
                              URING_N_BUFFERS - 1, id);
    }
    io_uring_buf_ring_advance(uring->buffer_ring, URING_N_BUFFERS);
    return 0;
}

int uring_create(struct sonde_loop *loop, void **ret_engine, struct sonde_why *ret_why)
{
    struct uring *uring = loop_alloc(loop, sizeof *uring);

    if (uring == NULL) {
        if (ret_why != NULL)
            *ret_why = (struct sonde_why){.code = -ENOMEM, .call = "malloc"};
        return -ENOMEM;
    }
    memset(uring, 0, sizeof *uring);
    uring->spare_fd = -1;
    const char *call = "io_uring_setup";
    int error = set_up_ring(&uring->ring);
    if (error < 0)
        goto free_uring;
    call = "io_uring_register";
    if (loop->n_direct > 0)
        error = uring_direct_create(uring, loop->n_direct, &call);
    if (error == 0)
        error = set_up_buffers(uring);
    if (error < 0)
        goto exit_ring;
    *ret_engine = uring;
    return 0;

exit_ring:
    if (uring->spare_fd >= 0)
        close(uring->spare_fd);
    io_uring_queue_exit(&uring->ring);
free_uring:
    loop_free(loop, uring, sizeof *uring);
    explain(ret_why, call, error);
    return error;
}

void uring_destroy(struct sonde_loop *loop)
{
    struct uring *uring = uring_of(loop);

    uring_direct_destroy(loop);
    io_uring_queue_exit(&uring->ring);
    munmap(uring->buffer_ring, URING_N_BUFFERS * sizeof(struct io_uring_buf));
    munmap(uring->buffers, (size_t)URING_N_BUFFERS * URING_BUFFER_STRIDE);
    loop_free(loop, uring, sizeof *uring);
}

int uring_enter_thread(struct sonde_loop *loop)
{
    struct uring *uring = uring_of(loop);

    /* By hand: liburing 2.3 declares io_uring_enable_rings, but its library lacks it. */
    if (syscall(__NR_io_uring_register, uring->ring.ring_fd, IORING_REGISTER_ENABLE_RINGS, NULL, 0) < 0)
        return -errno;
    io_uring_register_ring_fd(&uring->ring); /* a little faster where it works, and nothing lost where it does not */
    return 0;
}
