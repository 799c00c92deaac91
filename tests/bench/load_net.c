/*
 * Connections, rings, and the bytes that are sent.
 */
#include "load.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#ifndef IP_BIND_ADDRESS_NO_PORT
#define IP_BIND_ADDRESS_NO_PORT 24
#endif

enum {
    SQ_ENTRIES = 2048,
    CQ_ENTRIES = 16384,
    BUFFERS = 512,
    BUFFER_SIZE_MIN = 256,
    BUFFER_SIZE_MAX = 1 << 15,
    CACHE_LINE = 64,
    CHECK_FULL = 256,  /* pieces up to this size are compared in full */
    CHECK_WINDOW = 64, /* of longer ones, as much at both ends and in between */
    CHECK_FULL_EVERY = 64,
    CONNECT_SECONDS = 5,
};

bool load_pattern_init(struct load_pattern *pattern, size_t longest)
{
    size_t length = LOAD_PERIOD + longest;
    *pattern = (struct load_pattern){.bytes = malloc(length), .longest = longest};
    if (!pattern->bytes)
        return false;
    uint32_t random = 2463534242u;
    for (size_t i = 0; i < LOAD_PERIOD && i < length; i++) {
        random = random * 1664525u + 1013904223u;
        pattern->bytes[i] = (unsigned char)(random >> 24);
    }
    for (size_t i = LOAD_PERIOD; i < length; i++)
        pattern->bytes[i] = pattern->bytes[i - LOAD_PERIOD];
    return true;
}

void load_pattern_free(struct load_pattern *pattern)
{
    free(pattern->bytes);
}

bool load_pattern_check(struct load_pattern *pattern, unsigned place, const unsigned char *bytes, size_t n)
{
    const unsigned char *expected = pattern->bytes + place;
    if (n > pattern->longest)
        return false;
    unsigned turn = pattern->looked++;
    if (n <= CHECK_FULL || turn % CHECK_FULL_EVERY == 0)
        return memcmp(bytes, expected, n) == 0;
    size_t last = n - CHECK_WINDOW, middle = (size_t)turn * CHECK_WINDOW % last;
    return memcmp(bytes, expected, CHECK_WINDOW) == 0 && memcmp(bytes + middle, expected + middle, CHECK_WINDOW) == 0 &&
           memcmp(bytes + last, expected + last, CHECK_WINDOW) == 0;
}

int load_connect_blocking(const struct load_options *options, unsigned i)
{
    const int on = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    /* The cheapest there is, so that this side has less to do for a message than the server. No matter if it fails. */
    setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "reno", 4);
    const struct timeval limit = {.tv_sec = CONNECT_SECONDS};
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    if (options->sources > 1) {
        /* The port is chosen by connect, when the whole of the pair is known; otherwise 28,000 ports are all. */
        setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
        struct sockaddr_in from = {.sin_family = AF_INET};
        from.sin_addr.s_addr = htonl(INADDR_LOOPBACK + i % options->sources);
        if (bind(fd, (const struct sockaddr *)&from, sizeof from))
            goto fail;
    }
    if (connect(fd, (const struct sockaddr *)&options->to, sizeof options->to))
        goto fail;
    return fd;
fail:;
    int error = errno;
    close(fd);
    return -error;
}

int load_ring_init(struct io_uring *ring)
{
    struct io_uring_params params = {
        .flags =
            IORING_SETUP_CQSIZE | IORING_SETUP_SUBMIT_ALL | IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN,
        .cq_entries = CQ_ENTRIES,
    };
    int error = io_uring_queue_init_params(SQ_ENTRIES, ring, &params);
    if (error) {
        fprintf(stderr, "load: io_uring: %s\n", strerror(-error));
        return error;
    }
    io_uring_register_ring_fd(ring);
    return 0;
}

struct io_uring_sqe *load_sqe(struct io_uring *ring)
{
    struct io_uring_sqe *sqe;
    while ((sqe = io_uring_get_sqe(ring)) == NULL)
        io_uring_submit(ring);
    return sqe;
}

void load_wait(struct io_uring *ring)
{
    struct io_uring_cqe *cqe;
    struct __kernel_timespec limit = {.tv_nsec = 100 * 1000000};
    io_uring_submit_and_wait_timeout(ring, &cqe, 1, &limit, NULL);
}

int load_buffers_init(struct load_buffers *buffers, struct io_uring *ring, unsigned message)
{
    unsigned size = message < BUFFER_SIZE_MIN ? BUFFER_SIZE_MIN : message > BUFFER_SIZE_MAX ? BUFFER_SIZE_MAX : message;
    size = (size + CACHE_LINE - 1) / CACHE_LINE * CACHE_LINE;
    /* One more line, so that the beginnings of the buffers don't all fall into the same few sets of the cache. */
    *buffers = (struct load_buffers){.count = BUFFERS, .size = size, .stride = size + CACHE_LINE};
    size_t ring_bytes = BUFFERS * sizeof(struct io_uring_buf), bytes = (size_t)BUFFERS * buffers->stride;
    void *memory =
        mmap(NULL, ring_bytes + bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (memory == MAP_FAILED)
        return -errno;
    buffers->ring = memory;
    buffers->bytes = (unsigned char *)memory + ring_bytes;
    struct io_uring_buf_reg reg = {.ring_addr = (uintptr_t)memory, .ring_entries = BUFFERS};
    int error = io_uring_register_buf_ring(ring, &reg, 0);
    if (error) {
        fprintf(stderr, "load: buffer ring: %s\n", strerror(-error));
        load_buffers_free(buffers);
        return error;
    }
    io_uring_buf_ring_init(buffers->ring);
    for (unsigned id = 0; id < BUFFERS; id++)
        load_buffer_return(buffers, id);
    load_buffers_publish(buffers);
    return 0;
}

void load_buffers_free(struct load_buffers *buffers)
{
    munmap(buffers->ring, BUFFERS * sizeof(struct io_uring_buf) + (size_t)buffers->count * buffers->stride);
}

unsigned char *load_buffer(const struct load_buffers *buffers, unsigned id)
{
    return buffers->bytes + (size_t)id * buffers->stride;
}

void load_buffer_return(struct load_buffers *buffers, unsigned id)
{
    io_uring_buf_ring_add(buffers->ring, load_buffer(buffers, id), buffers->size, (unsigned short)id,
                          io_uring_buf_ring_mask(BUFFERS), (int)buffers->returned++);
}

void load_buffers_publish(struct load_buffers *buffers)
{
    if (buffers->returned)
        io_uring_buf_ring_advance(buffers->ring, (int)buffers->returned);
    buffers->returned = 0;
}
