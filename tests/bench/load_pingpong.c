/*
 * Mode pingpong: each connection keeps a fixed number of messages on the way and sends a new one for each that is back.
 *
 * Receives are multishot, one for each connection. Sends go straight from the pattern and complete without an event
 * unless they fail. That is safe for two reasons: what they send from never changes, and the bytes outstanding on a
 * connection are few enough (LOAD_WINDOW_MAX) that the socket's send buffer always takes them, so a later send can't
 * overtake an earlier one that had to wait. With a single message outstanding there is no later send at all.
 *
 * Latency is counted per message, from the moment its send was queued to the moment its last byte was found received.
 */
#include "load.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* In user_data, beside the connection's number. */
#define SEND_FAILED (UINT64_C(1) << 32)

struct connection {
    bool closed;
    unsigned tx_place, rx_place; /* in the pattern: of the next byte to send, of the next to receive */
    unsigned received;           /* bytes of a message not yet complete */
    unsigned oldest;             /* index into `sent` of the message that is due next */
    uint64_t *sent;              /* when each outstanding message was sent */
};

struct pingpong {
    const struct load_options *options;
    struct io_uring ring;
    struct load_buffers buffers;
    struct load_pattern pattern;
    struct load_window window;
    struct connection *connections;
    uint64_t *times; /* what the connections' `sent` point into */
    int *fds;
    unsigned open;
};

static void receive(struct pingpong *p, unsigned i)
{
    struct io_uring_sqe *sqe = load_sqe(&p->ring);
    io_uring_prep_recv_multishot(sqe, (int)i, NULL, 0, 0);
    sqe->flags |= IOSQE_BUFFER_SELECT | IOSQE_FIXED_FILE;
    io_uring_sqe_set_data64(sqe, i);
}

static void send_messages(struct pingpong *p, unsigned i, unsigned count)
{
    struct connection *c = &p->connections[i];
    unsigned bytes = count * p->options->size;
    struct io_uring_sqe *sqe = load_sqe(&p->ring);
    io_uring_prep_send(sqe, (int)i, p->pattern.bytes + c->tx_place, bytes, MSG_WAITALL | MSG_NOSIGNAL);
    sqe->flags |= IOSQE_CQE_SKIP_SUCCESS | IOSQE_FIXED_FILE;
    io_uring_sqe_set_data64(sqe, i | SEND_FAILED);
    c->tx_place = (c->tx_place + bytes) % LOAD_PERIOD;
}

static void fail(struct pingpong *p, unsigned i, const char *what, int error)
{
    if (p->window.errors++ == 0)
        fprintf(stderr, "load: connection %u: %s%s%s\n", i, what, error ? ": " : "", error ? strerror(error) : "");
    if (!p->connections[i].closed) {
        p->connections[i].closed = true;
        p->open--;
    }
}

/* Counts the messages that `n` more bytes complete, and sends as many again. */
static void complete_messages(struct pingpong *p, unsigned i, unsigned n)
{
    struct connection *c = &p->connections[i];
    const unsigned size = p->options->size;
    c->received += n;
    if (c->received < size)
        return;
    const uint64_t now = load_now();
    unsigned done = 0;
    for (; c->received >= size; c->received -= size, done++) {
        load_histogram_add(p->window.latency, now - c->sent[c->oldest]);
        c->sent[c->oldest] = now;
        c->oldest = c->oldest + 1 == p->options->depth ? 0 : c->oldest + 1;
    }
    p->window.n += done;
    send_messages(p, i, done);
}

static void handle(struct pingpong *p, const struct io_uring_cqe *cqe)
{
    unsigned i = (unsigned)cqe->user_data;
    struct connection *c = &p->connections[i];
    if (cqe->user_data & SEND_FAILED) {
        fail(p, i, "send", cqe->res < 0 ? -cqe->res : 0);
        return;
    }
    if (cqe->res == -ENOBUFS) {
        receive(p, i);
        return;
    }
    if (cqe->res <= 0) {
        fail(p, i, cqe->res ? "receive" : "closed by the server", -cqe->res);
        return;
    }
    unsigned id = cqe->flags >> IORING_CQE_BUFFER_SHIFT, n = (unsigned)cqe->res;
    if (!load_pattern_check(&p->pattern, c->rx_place, load_buffer(&p->buffers, id), n))
        fail(p, i, "wrong bytes echoed", 0);
    load_buffer_return(&p->buffers, id);
    if (!(cqe->flags & IORING_CQE_F_MORE) && !c->closed)
        receive(p, i);
    c->rx_place = (c->rx_place + n) % LOAD_PERIOD;
    if (!c->closed)
        complete_messages(p, i, n);
}

static int open_connections(struct pingpong *p)
{
    const struct load_options *o = p->options;
    for (unsigned i = 0; i < o->connections; i++) {
        p->connections[i].sent = p->times + (size_t)i * o->depth;
        p->connections[i].tx_place = p->connections[i].rx_place = i * 17 % LOAD_PERIOD;
        p->fds[i] = load_connect_blocking(o, i);
        if (p->fds[i] < 0) {
            fprintf(stderr, "load: connection %u: %s\n", i, strerror(-p->fds[i]));
            return p->fds[i];
        }
        p->open++;
    }
    int error = io_uring_register_files(&p->ring, p->fds, o->connections);
    if (error)
        fprintf(stderr, "load: register files: %s\n", strerror(-error));
    return error;
}

static void loop(struct pingpong *p)
{
    const struct load_options *o = p->options;
    load_window_init(&p->window, o);
    for (unsigned i = 0; i < o->connections; i++) {
        receive(p, i);
        for (unsigned k = 0; k < o->depth; k++)
            p->connections[i].sent[k] = load_now();
        send_messages(p, i, o->depth);
    }
    do {
        load_wait(&p->ring);
        if (!load_window_step(&p->window, o, load_now()))
            break;
        struct io_uring_cqe *cqe;
        unsigned head, seen = 0;
        io_uring_for_each_cqe(&p->ring, head, cqe)
        {
            handle(p, cqe);
            seen++;
        }
        io_uring_cq_advance(&p->ring, seen);
        load_buffers_publish(&p->buffers);
    } while (p->open);
}

static int run(const struct load_options *options)
{
    struct pingpong p = {.options = options};
    const size_t longest = (size_t)options->depth * options->size;
    int status = 1;
    if (load_ring_init(&p.ring))
        return 1;
    if (load_buffers_init(&p.buffers, &p.ring, (unsigned)longest))
        goto exit_ring;
    p.connections = calloc(options->connections, sizeof *p.connections);
    p.times = calloc((size_t)options->connections * options->depth, sizeof *p.times);
    p.fds = calloc(options->connections, sizeof *p.fds);
    if (p.connections && p.times && p.fds && load_pattern_init(&p.pattern, longest) && !open_connections(&p)) {
        loop(&p);
        status = load_window_report(&p.window, options, "pingpong");
    }
    load_pattern_free(&p.pattern);
    free(p.fds);
    free(p.times);
    free(p.connections);
    io_uring_unregister_buf_ring(&p.ring, 0);
    load_buffers_free(&p.buffers);
exit_ring:
    io_uring_queue_exit(&p.ring);
    return status;
}

const struct load_mode load_pingpong = {
    .name = "pingpong",
    .what = "keep messages going round on open connections",
    .run = run,
};
