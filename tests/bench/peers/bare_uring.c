/*
 * bare_uring: the smallest echo server on io_uring that is still right, and the limit to measure others against.
 *
 * One multishot accept, and one multishot receive for each connection, stay armed for ever; the kernel puts what
 * arrives into buffers that it takes from a shared ring, and each send goes straight out of the buffer that was
 * received into. One system call submits all sends of a round and waits for the next round. Connections are direct
 * descriptors, files of the ring instead of the process, which saves reference counting for each operation and doesn't
 * use up RLIMIT_NOFILE.
 *
 * What makes it fast, in the order of what it brings:
 *   - IORING_SETUP_DEFER_TASKRUN: completions are worked off inside the wait, many at a time, instead of interrupting
 *     whatever runs. Without it io_uring is slower than epoll.
 *   - Buffers that hold a whole message, and few of them. A ring is used in turn, so all of its buffers go through the
 *     cache: 16 MiB of them cost several percent more per 16 KiB message than 4 MiB. Too few, however, and the kernel
 *     runs out, which ends a multishot receive and costs another system call's worth of work to arm it again. There is
 *     use for those being sent in this round and for those being received into meanwhile.
 *   - Huge pages below the buffers. Besides, each begins one cache line further into its page than the one before:
 *     beginnings that are multiples of 32 KiB all compete for the same eight places in the cache.
 * All of what happens in user space, this file, is less than one percent of the server's time. The rest is TCP.
 *
 * A connection holds a queue of received buffers and sends one at a time, so a short send delays what follows and
 * never overtakes it. When the peer closes its side, what it sent before is still echoed. When buffers run out, the
 * receives that ended for it are armed again as buffers come back. (Clients that never read can in the end hold all
 * buffers and stop everybody: a real server has to bound what one connection may hold.)
 */
#include "peer.h"

#include <liburing.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/signalfd.h>

enum {
    SQ_ENTRIES = 1024,
    CQ_ENTRIES = 8192,
    BUFFER_RING_ENTRIES = 128, /* a power of two */
    BUFFER_SIZE = 32 * 1024,
    BUFFER_STRIDE = BUFFER_SIZE + 64,
    HUGE_PAGE = 2 * 1024 * 1024,
    BUFFERS_BYTES = 2 * HUGE_PAGE,
    BUFFERS = BUFFERS_BYTES / BUFFER_STRIDE, /* 127: as many as fit two huge pages */
};

/* In the upper half of user_data; the lower is the connection's number. */
enum operation { ACCEPT, RECEIVE, SEND, CLOSE, SHUTDOWN, STOP };

static const uint16_t none = UINT16_MAX;

/* A buffer that was received into and not yet sent completely. */
struct piece {
    uint32_t sent, length;
    uint16_t next; /* of the same connection */
};

struct connection {
    uint16_t first, last; /* pieces to send, `none` if there are none; the first one is being sent */
    bool receiving;       /* a receive is armed or about to be */
    bool broken;          /* sending failed: drop what comes, wait for the receive to end */
};

static struct io_uring ring;
static struct io_uring_buf_ring *buffer_ring;
static char *buffers;
static struct piece pieces[BUFFERS]; /* by buffer */
static unsigned returned;            /* buffers given back in this round */
static struct connection *connections;
static unsigned *starved, starved_count; /* connections whose receive ended for want of a buffer */
static unsigned open_count;
static int listener;
static bool accepting;

static struct io_uring_sqe *new_sqe(enum operation operation, unsigned connection)
{
    struct io_uring_sqe *sqe;
    while ((sqe = io_uring_get_sqe(&ring)) == NULL)
        io_uring_submit(&ring);
    io_uring_sqe_set_data64(sqe, (uint64_t)operation << 32 | connection);
    return sqe;
}

static void accept_more(void)
{
    io_uring_prep_multishot_accept_direct(new_sqe(ACCEPT, 0), listener, NULL, NULL, 0);
    accepting = true;
}

static void receive(unsigned i)
{
    struct io_uring_sqe *sqe = new_sqe(RECEIVE, i);
    io_uring_prep_recv_multishot(sqe, (int)i, NULL, 0, 0);
    sqe->flags |= IOSQE_FIXED_FILE | IOSQE_BUFFER_SELECT;
    connections[i].receiving = true;
}

static void send_first(unsigned i)
{
    const unsigned id = connections[i].first;
    const struct piece *piece = &pieces[id];
    struct io_uring_sqe *sqe = new_sqe(SEND, i);
    const char *bytes = buffers + (size_t)id * BUFFER_STRIDE + piece->sent;
    /* With MSG_WAITALL the kernel itself goes on after a short send, and completes when all is sent or it fails. */
    io_uring_prep_send(sqe, (int)i, bytes, piece->length - piece->sent, MSG_WAITALL | MSG_NOSIGNAL);
    sqe->flags |= IOSQE_FIXED_FILE;
}

static void close_if_done(unsigned i)
{
    if (connections[i].receiving || connections[i].first != none)
        return;
    struct io_uring_sqe *sqe = new_sqe(CLOSE, i);
    io_uring_prep_close_direct(sqe, i);
    sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
    open_count--;
    if (!accepting)
        accept_more(); /* it had ended because there was no room */
}

static void return_buffer(unsigned id)
{
    io_uring_buf_ring_add(buffer_ring, buffers + (size_t)id * BUFFER_STRIDE, BUFFER_SIZE, (unsigned short)id,
                          io_uring_buf_ring_mask(BUFFER_RING_ENTRIES), (int)returned++);
}

/* Publishes the buffers that came back, and lets as many connections receive again, those that starved longest. */
static void publish_buffers(void)
{
    if (returned == 0)
        return;
    io_uring_buf_ring_advance(buffer_ring, (int)returned);
    const unsigned fed = returned < starved_count ? returned : starved_count;
    returned = 0;
    if (fed == 0)
        return;
    for (unsigned k = 0; k < fed; k++)
        receive(starved[k]);
    starved_count -= fed;
    memmove(starved, starved + fed, starved_count * sizeof *starved);
}

static void on_accept(int result, unsigned flags)
{
    if (result >= 0) {
        connections[result] = (struct connection){.first = none, .last = none};
        open_count++;
        receive((unsigned)result);
    }
    if (flags & IORING_CQE_F_MORE)
        return;
    accepting = false;
    /* With no room for more files, wait until one is closed, if there is any: trying again at once would just spin. */
    const bool no_room = result == -ENFILE || result == -EMFILE || result == -ENOMEM || result == -ENOBUFS;
    if (!no_room || open_count == 0)
        accept_more();
}

static void on_received(unsigned i, unsigned id, unsigned length)
{
    struct connection *c = &connections[i];
    if (c->broken) {
        return_buffer(id);
        return;
    }
    pieces[id] = (struct piece){.length = length, .next = none};
    if (c->first == none) {
        c->first = c->last = (uint16_t)id;
        send_first(i);
    } else {
        pieces[c->last].next = (uint16_t)id;
        c->last = (uint16_t)id;
    }
}

static void on_receive(unsigned i, int result, unsigned flags)
{
    if (result > 0)
        on_received(i, flags >> IORING_CQE_BUFFER_SHIFT, (unsigned)result);
    if (flags & IORING_CQE_F_MORE)
        return;
    if (result > 0) {
        receive(i); /* the kernel ends a multishot request at times, when the completion ring was full for one */
    } else if (result == -ENOBUFS) {
        starved[starved_count++] = i;
    } else {
        connections[i].receiving = false;
        close_if_done(i);
    }
}

/* Drops what is queued. Shutting down ends the receive that is still armed, and that closes the connection. */
static void break_off(unsigned i)
{
    struct connection *c = &connections[i];
    for (; c->first != none; c->first = pieces[c->first].next)
        return_buffer(c->first);
    c->broken = true;
    if (c->receiving) {
        struct io_uring_sqe *sqe = new_sqe(SHUTDOWN, i);
        io_uring_prep_shutdown(sqe, (int)i, SHUT_RDWR);
        sqe->flags |= IOSQE_FIXED_FILE | IOSQE_CQE_SKIP_SUCCESS;
    }
}

static void on_send(unsigned i, int result)
{
    struct connection *c = &connections[i];
    const unsigned id = c->first;
    if (result <= 0) {
        break_off(i);
    } else {
        pieces[id].sent += (unsigned)result;
        if (pieces[id].sent == pieces[id].length) {
            c->first = pieces[id].next;
            return_buffer(id);
        }
        if (c->first != none) {
            send_first(i);
            return;
        }
    }
    close_if_done(i);
}

/* False: it is time to stop. */
static bool handle(const struct io_uring_cqe *cqe)
{
    const unsigned i = (unsigned)cqe->user_data;
    switch ((enum operation)(cqe->user_data >> 32)) {
    case RECEIVE:
        on_receive(i, cqe->res, cqe->flags);
        break;
    case SEND:
        on_send(i, cqe->res);
        break;
    case ACCEPT:
        on_accept(cqe->res, cqe->flags);
        break;
    case CLOSE:
    case SHUTDOWN:
        break; /* only reported when they failed, and then there is nothing to do */
    case STOP:
        return false;
    }
    return true;
}

static void serve(void)
{
    for (bool go_on = true; go_on;) {
        io_uring_submit_and_wait(&ring, 1);
        struct io_uring_cqe *cqe;
        unsigned head, seen = 0;
        io_uring_for_each_cqe(&ring, head, cqe)
        {
            go_on &= handle(cqe);
            seen++;
        }
        io_uring_cq_advance(&ring, seen);
        publish_buffers();
    }
}

/* On huge pages if the kernel has some. */
static void map_buffers(void)
{
    char *memory = mmap(NULL, BUFFERS_BYTES + HUGE_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        peer_die("buffers", errno);
    buffers = memory + (HUGE_PAGE - (uintptr_t)memory % HUGE_PAGE) % HUGE_PAGE;
    madvise(buffers, BUFFERS_BYTES, MADV_HUGEPAGE);
    memset(buffers, 0, BUFFERS_BYTES);
}

static void make_buffer_ring(void)
{
    map_buffers();
    const size_t bytes = BUFFER_RING_ENTRIES * sizeof(struct io_uring_buf);
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        peer_die("buffer ring", errno);
    buffer_ring = memory;
    struct io_uring_buf_reg registration = {.ring_addr = (uintptr_t)memory, .ring_entries = BUFFER_RING_ENTRIES};
    int error = io_uring_register_buf_ring(&ring, &registration, 0);
    if (error)
        peer_die("buffer ring", -error);
    io_uring_buf_ring_init(buffer_ring);
    for (unsigned id = 0; id < BUFFERS; id++)
        return_buffer(id);
    publish_buffers();
}

static void make_ring(unsigned connections_max)
{
    struct io_uring_params parameters = {
        .flags =
            IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_SUBMIT_ALL | IORING_SETUP_CQSIZE,
        .cq_entries = CQ_ENTRIES,
    };
    int error = io_uring_queue_init_params(SQ_ENTRIES, &ring, &parameters);
    if (error)
        peer_die("io_uring", -error);
    io_uring_register_ring_fd(&ring); /* saves looking up the descriptor in each system call; may fail */
    error = io_uring_register_files_sparse(&ring, connections_max);
    if (error)
        peer_die("direct descriptors", -error);
}

/* SIGTERM arrives as a completion, so that there is no moment at which it could be missed. */
static void watch_for_stop(void)
{
    sigset_t stop;
    sigemptyset(&stop);
    sigaddset(&stop, SIGTERM);
    sigprocmask(SIG_BLOCK, &stop, NULL);
    int fd = signalfd(-1, &stop, SFD_CLOEXEC);
    if (fd < 0)
        peer_die("signalfd", errno);
    io_uring_prep_poll_add(new_sqe(STOP, 0), fd, POLLIN);
}

int main(int argc, char **argv)
{
    const unsigned connections_max = peer_raise_file_limit();
    connections = calloc(connections_max, sizeof *connections);
    starved = calloc(connections_max, sizeof *starved);
    if (!connections || !starved)
        peer_die("start", errno);
    listener = peer_listen(argc, argv, 0);
    make_ring(connections_max);
    make_buffer_ring();
    watch_for_stop();
    accept_more();
    peer_announce(listener);
    serve();
    /* The kernel takes a ring down some time after exit, and the accept in it would keep the port until then. */
    shutdown(listener, SHUT_RDWR);
    return 0;
}
