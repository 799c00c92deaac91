/*
 * Mode connect: connect, send one message, receive its echo, close; so many at a time, each followed by the next.
 *
 * Connecting over loopback is done by plain blocking calls: the whole handshake happens inside connect(), and sending
 * doesn't wait either. Only the echo takes time, and for that the ring waits. The client closes first, as clients do,
 * so the ports of closed connections stay taken for a minute on this side; connections are therefore spread over
 * several source addresses, and a run ends early rather than run out of ports.
 */
#include "load.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    /* Per source address, of the 28,000 that there are: the search for a free one gets slow before they are gone. */
    PORTS_IN_USE_MAX = 20000,
};

struct slot {
    int fd; /* -1: not in use */
    unsigned place, received;
    uint64_t started;
    unsigned char *bytes;
};

struct connecting {
    const struct load_options *options;
    struct io_uring ring;
    struct load_pattern pattern;
    struct load_window window;
    struct slot *slots;
    unsigned char *bytes; /* what the slots' `bytes` point into */
    unsigned made, made_max, open;
};

static void receive(struct connecting *c, unsigned i)
{
    struct slot *slot = &c->slots[i];
    struct io_uring_sqe *sqe = load_sqe(&c->ring);
    io_uring_prep_recv(sqe, slot->fd, slot->bytes, c->options->size - slot->received, 0);
    /* There is nothing yet; asking first would cost a call into TCP for each connection. */
    sqe->ioprio |= IORING_RECVSEND_POLL_FIRST;
    io_uring_sqe_set_data64(sqe, i);
}

static void fail(struct connecting *c, unsigned i, const char *what, int error)
{
    if (c->window.errors++ == 0)
        fprintf(stderr, "load: connection %u: %s: %s\n", i, what, error ? strerror(error) : "not what was sent");
}

static void start(struct connecting *c, unsigned i)
{
    struct slot *slot = &c->slots[i];
    slot->fd = -1;
    if (c->made == c->made_max)
        return;
    slot->started = load_now();
    slot->received = 0;
    slot->place = c->made % LOAD_PERIOD;
    int fd = load_connect_blocking(c->options, c->made++);
    if (fd < 0) {
        fail(c, i, "connect", -fd);
        return;
    }
    ssize_t sent = send(fd, c->pattern.bytes + slot->place, c->options->size, MSG_NOSIGNAL);
    if (sent != (ssize_t)c->options->size) {
        fail(c, i, "send", sent < 0 ? errno : EMSGSIZE);
        close(fd);
        return;
    }
    slot->fd = fd;
    c->open++;
    receive(c, i);
}

static void finish(struct connecting *c, unsigned i)
{
    close(c->slots[i].fd);
    c->open--;
    c->window.n++;
    load_histogram_add(c->window.latency, load_now() - c->slots[i].started);
    start(c, i);
}

static void abandon(struct connecting *c, unsigned i, const char *what, int error)
{
    fail(c, i, what, error);
    close(c->slots[i].fd);
    c->open--;
    start(c, i);
}

static void handle(struct connecting *c, unsigned i, int result)
{
    struct slot *slot = &c->slots[i];
    if (result <= 0) {
        abandon(c, i, "receive", result ? -result : EPIPE);
        return;
    }
    unsigned place = (slot->place + slot->received) % LOAD_PERIOD;
    if (!load_pattern_check(&c->pattern, place, slot->bytes, (size_t)result)) {
        abandon(c, i, "echo", 0);
        return;
    }
    slot->received += (unsigned)result;
    if (slot->received < c->options->size)
        receive(c, i);
    else
        finish(c, i);
}

static void loop(struct connecting *c)
{
    load_window_init(&c->window, c->options);
    for (unsigned i = 0; i < c->options->connections; i++)
        start(c, i);
    while (c->open) {
        load_wait(&c->ring);
        if (!load_window_step(&c->window, c->options, load_now()))
            break;
        struct io_uring_cqe *cqe;
        unsigned head, seen = 0;
        io_uring_for_each_cqe(&c->ring, head, cqe)
        {
            handle(c, (unsigned)cqe->user_data, cqe->res);
            seen++;
        }
        io_uring_cq_advance(&c->ring, seen);
    }
}

static int run(const struct load_options *options)
{
    struct connecting c = {.options = options, .made_max = options->sources * PORTS_IN_USE_MAX};
    int status = 1;
    if (load_ring_init(&c.ring))
        return 1;
    c.slots = calloc(options->connections, sizeof *c.slots);
    c.bytes = calloc(options->connections, options->size);
    if (c.slots && c.bytes && load_pattern_init(&c.pattern, options->size)) {
        for (unsigned i = 0; i < options->connections; i++)
            c.slots[i].bytes = c.bytes + (size_t)i * options->size;
        loop(&c);
        status = load_window_report(&c.window, options, "connect");
    }
    io_uring_queue_exit(&c.ring);
    load_pattern_free(&c.pattern);
    free(c.bytes);
    free(c.slots);
    return status;
}

const struct load_mode load_connect = {
    .name = "connect",
    .what = "connect, echo one message, close, again",
    .run = run,
};
