/*
 * Modes ws and datagram: each connection sends a WebSocket message, or a datagram, and a new one when the echo is back.
 *
 * What is sent is the same every time, and so is what has to come back: a frame with a mask on the way there, one
 * without on the way back. Both are made once; sending costs as little as in mode pingpong, and every byte is compared.
 * A WebSocket server that cuts its answer into several frames, or compresses it although nobody offered to, counts as
 * wrong.
 */
#include "load.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

enum { HEAD_MAX = 4096, FRAME_HEAD_MAX = 14 };

/* In user_data, beside the connection's number. */
#define SEND_FAILED (UINT64_C(1) << 32)

struct talker {
    bool closed;
    unsigned received; /* of the echo that is due */
    uint64_t sent;
};

struct messages {
    const struct load_options *options;
    struct io_uring ring;
    struct load_buffers buffers;
    struct load_window window;
    struct talker *talkers;
    int *fds;
    unsigned open;
    unsigned char *there, *back; /* what is sent, what has to come */
    size_t n_there, n_back;
};

/* --- what goes over the wire ------------------------------------------------------------------------------------ */

static size_t frame_head(unsigned char *head, size_t n_bytes, bool masked)
{
    size_t n = 2;
    head[0] = 0x82; /* whole, binary */
    if (n_bytes < 126) {
        head[1] = (unsigned char)n_bytes;
    } else if (n_bytes < 65536) {
        head[1] = 126;
        head[2] = (unsigned char)(n_bytes >> 8);
        head[3] = (unsigned char)n_bytes;
        n = 4;
    } else {
        head[1] = 127;
        for (unsigned i = 0; i < 8; i++)
            head[2 + i] = (unsigned char)((uint64_t)n_bytes >> (56 - 8 * i));
        n = 10;
    }
    if (masked)
        head[1] |= 0x80;
    return n;
}

static bool make_messages(struct messages *m, bool ws)
{
    static const unsigned char mask[4] = {0x37, 0xfa, 0x21, 0x3d};
    const size_t size = m->options->size;
    m->there = malloc(size + FRAME_HEAD_MAX);
    m->back = malloc(size + FRAME_HEAD_MAX);
    if (!m->there || !m->back)
        return false;
    if (ws) {
        m->n_there = frame_head(m->there, size, true);
        memcpy(m->there + m->n_there, mask, sizeof mask);
        m->n_there += sizeof mask;
        m->n_back = frame_head(m->back, size, false);
    }
    uint32_t random = 2463534242u;
    for (size_t i = 0; i < size; i++) {
        random = random * 1664525u + 1013904223u;
        unsigned char byte = (unsigned char)(random >> 24);
        m->back[m->n_back++] = byte;
        m->there[m->n_there++] = ws ? byte ^ mask[i & 3] : byte;
    }
    return true;
}

static int upgrade(int fd)
{
    static const char request[] = "GET /echo HTTP/1.1\r\nHost: 127.0.0.1:%u\r\nUpgrade: websocket\r\n"
                                  "Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                                  "Sec-WebSocket-Version: 13\r\n\r\n";
    struct sockaddr_in peer;
    socklen_t n_peer = sizeof peer;
    char text[HEAD_MAX];
    size_t n = 0;
    if (getpeername(fd, (struct sockaddr *)&peer, &n_peer))
        return -errno;
    int length = snprintf(text, sizeof text, request, (unsigned)ntohs(peer.sin_port));
    if (send(fd, text, (size_t)length, MSG_NOSIGNAL) != length)
        return -EIO;
    while (n < 4 || memcmp(text + n - 4, "\r\n\r\n", 4) != 0)
        if (n == sizeof text || recv(fd, text + n++, 1, 0) != 1)
            return -EPROTO;
    return memcmp(text, "HTTP/1.1 101", 12) == 0 ? 0 : -EPROTO;
}

static int open_one(const struct load_options *options, unsigned i, bool ws)
{
    const struct timeval patience = {.tv_sec = 5};
    int fd = ws ? load_connect_blocking(options, i) : socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return ws ? fd : -errno;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    int error = ws ? upgrade(fd) : connect(fd, (const struct sockaddr *)&options->to, sizeof options->to) ? -errno : 0;
    if (error)
        close(fd);
    return error ? error : fd;
}

/* --- going round ------------------------------------------------------------------------------------------------ */

static void receive(struct messages *m, unsigned i)
{
    struct io_uring_sqe *sqe = load_sqe(&m->ring);
    io_uring_prep_recv_multishot(sqe, (int)i, NULL, 0, 0);
    sqe->flags |= IOSQE_BUFFER_SELECT | IOSQE_FIXED_FILE;
    io_uring_sqe_set_data64(sqe, i);
}

static void send_message(struct messages *m, unsigned i, uint64_t now)
{
    struct io_uring_sqe *sqe = load_sqe(&m->ring);
    io_uring_prep_send(sqe, (int)i, m->there, m->n_there, MSG_WAITALL | MSG_NOSIGNAL);
    sqe->flags |= IOSQE_CQE_SKIP_SUCCESS | IOSQE_FIXED_FILE;
    io_uring_sqe_set_data64(sqe, i | SEND_FAILED);
    m->talkers[i].sent = now;
}

static void fail(struct messages *m, unsigned i, const char *what, int error)
{
    if (m->window.errors++ == 0)
        fprintf(stderr, "load: connection %u: %s%s%s\n", i, what, error ? ": " : "", error ? strerror(error) : "");
    if (!m->talkers[i].closed) {
        m->talkers[i].closed = true;
        m->open--;
    }
}

static void take(struct messages *m, unsigned i, const unsigned char *bytes, size_t n)
{
    struct talker *talker = &m->talkers[i];
    if (n > m->n_back - talker->received || memcmp(m->back + talker->received, bytes, n) != 0) {
        fail(m, i, "wrong bytes came back", 0);
        return;
    }
    talker->received += (unsigned)n;
    if (talker->received < m->n_back)
        return;
    const uint64_t now = load_now();
    load_histogram_add(m->window.latency, now - talker->sent);
    m->window.n++;
    talker->received = 0;
    send_message(m, i, now);
}

static void handle(struct messages *m, const struct io_uring_cqe *cqe)
{
    unsigned i = (unsigned)cqe->user_data;
    if (cqe->user_data & SEND_FAILED) {
        fail(m, i, "send", cqe->res < 0 ? -cqe->res : 0);
        return;
    }
    if (cqe->res == -ENOBUFS) {
        receive(m, i);
        return;
    }
    if (cqe->res <= 0) {
        fail(m, i, cqe->res ? "receive" : "closed by the server", -cqe->res);
        return;
    }
    unsigned id = cqe->flags >> IORING_CQE_BUFFER_SHIFT;
    if (!m->talkers[i].closed)
        take(m, i, load_buffer(&m->buffers, id), (size_t)cqe->res);
    load_buffer_return(&m->buffers, id);
    if (!(cqe->flags & IORING_CQE_F_MORE) && !m->talkers[i].closed)
        receive(m, i);
}

static int open_all(struct messages *m, bool ws)
{
    const struct load_options *o = m->options;
    for (unsigned i = 0; i < o->connections; i++) {
        m->fds[i] = open_one(o, i, ws);
        if (m->fds[i] < 0) {
            fprintf(stderr, "load: connection %u: %s\n", i, strerror(-m->fds[i]));
            return m->fds[i];
        }
        m->open++;
    }
    return io_uring_register_files(&m->ring, m->fds, o->connections);
}

static void loop(struct messages *m)
{
    const struct load_options *o = m->options;
    load_window_init(&m->window, o);
    for (unsigned i = 0; i < o->connections; i++) {
        receive(m, i);
        send_message(m, i, load_now());
    }
    do {
        load_wait(&m->ring);
        if (!load_window_step(&m->window, o, load_now()))
            break;
        struct io_uring_cqe *cqe;
        unsigned head, seen = 0;
        io_uring_for_each_cqe(&m->ring, head, cqe)
        {
            handle(m, cqe);
            seen++;
        }
        io_uring_cq_advance(&m->ring, seen);
        load_buffers_publish(&m->buffers);
    } while (m->open);
}

static int run(const struct load_options *options, bool ws)
{
    struct messages m = {.options = options};
    int status = 1;
    if (!make_messages(&m, ws) || load_ring_init(&m.ring))
        goto exit_messages;
    if (load_buffers_init(&m.buffers, &m.ring, (unsigned)m.n_back))
        goto exit_ring;
    m.talkers = calloc(options->connections, sizeof *m.talkers);
    m.fds = calloc(options->connections, sizeof *m.fds);
    if (m.talkers && m.fds && !open_all(&m, ws)) {
        loop(&m);
        status = load_window_report(&m.window, options, ws ? "ws" : "datagram");
    }
    free(m.fds);
    free(m.talkers);
    io_uring_unregister_buf_ring(&m.ring, 0);
    load_buffers_free(&m.buffers);
exit_ring:
    io_uring_queue_exit(&m.ring);
exit_messages:
    free(m.there);
    free(m.back);
    return status;
}

static int run_ws(const struct load_options *options)
{
    return run(options, true);
}

static int run_datagram(const struct load_options *options)
{
    return run(options, false);
}

const struct load_mode load_ws = {
    .name = "ws",
    .what = "keep a WebSocket message going round on each connection",
    .run = run_ws,
};

const struct load_mode load_datagram = {
    .name = "datagram",
    .what = "keep a datagram going round between each socket and the server",
    .run = run_datagram,
};
