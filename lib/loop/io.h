/* SPDX-License-Identifier: MIT */
/*
 * What the loop offers to the layers above: operations on a descriptor that complete later.
 *
 * A struct io stands for one descriptor; its owner embeds it. An operation is started by one of the io_... functions
 * and completes through the owner's struct io_handler, on the loop's thread and never before the starting call has
 * returned. At most one operation of each kind is under way on one io. A start that fails (a negative return) never
 * completes.
 *
 * Completion is the native form of io_uring; the epoll engine imitates it. The two may differ in how much one
 * operation moves and in what they do at once, never in what is promised here.
 */
#ifndef LOOP_IO_H
#define LOOP_IO_H

#include <limits.h>
#include <sonde/loop.h>
#include <sonde/probe.h>
#include <sonde/stream.h>
#include <sonde/timer.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/socket.h>

struct io;

/*
 * Direct descriptors (sonde_loop_options, n_direct). A socket that only the ring knows has a place in the ring's table
 * of files and no descriptor. Where others have their descriptor it has that place, as a number so far below zero that
 * it is neither a descriptor nor an error, and that every system call refuses: a place can't be taken for a descriptor
 * by mistake. Whoever needs a system call on such a socket borrows a descriptor for it (io_borrow_fd).
 */
#define IO_PLACES_MAX (1 << 24)

static inline bool io_is_place(int fd)
{
    return fd < INT_MIN + IO_PLACES_MAX;
}

static inline int io_of_place(unsigned place)
{
    return INT_MIN + (int)place;
}

static inline unsigned io_place(int fd)
{
    return (unsigned)(fd - INT_MIN);
}

/* A descriptor, or a place; not an error, and not -1. */
static inline bool io_is_file(int fd)
{
    return fd >= 0 || io_is_place(fd);
}

/* Received bytes. They belong to the engine and are lent for the time of the callback, unless the owner holds the
 * buffer: then they stay until io_buffer_release(id). Only buffers with id >= 0 can be held. */
struct io_buffer {
    const unsigned char *data;
    size_t n_bytes;
    int id;
    bool held; /* set by the owner inside the callback */
};

/* Where an engine puts the address of whoever connects. */
struct io_peer {
    struct sockaddr_storage address;
    socklen_t n_bytes;
};

struct io_handler {
    /* result > 0: so many bytes in buffer, and receiving goes on (IO_RECV is still set in io->active) unless it was
     * single-shot. 0: end of data. < 0: error. Neither is followed by anything. */
    void (*recv)(struct io *io, int result, struct io_buffer *buffer);
    /* result >= 0: so many bytes were taken, perhaps fewer than given, perhaps none: try the rest again. */
    void (*send)(struct io *io, int result);
    /* result: a new descriptor, CLOEXEC and non-blocking, or a place (io_is_file tells it from an error), and its
     * peer's address when the engine has it for nothing (else NULL). Accepting goes on while IO_ACCEPT is set in
     * io->active. */
    void (*accept)(struct io *io, int result, const struct sockaddr *peer, socklen_t peer_bytes);
    void (*connect)(struct io *io, int result);
    /* result: POLL... bits, or a negative error. */
    void (*poll)(struct io *io, int result);
    /* What loop_defer promised. */
    void (*work)(struct io *io);
    /* The descriptor is closed and nothing refers to the io any more. */
    void (*closed)(struct io *io);
    /* For the probe: which stream is this? */
    uint64_t (*stream_id)(const struct io *io);
    /* For the probe: where is it connecting to? Fills in address and path. */
    void (*connect_target)(const struct io *io, struct sonde_probe_event *event);
    /* For accepting into places: room that stays as long as the io. */
    struct io_peer *(*peer_room)(struct io *io);
};

/* Bits of io->active: operations under way. */
enum {
    IO_RECV = 1 << 0,
    IO_SEND = 1 << 1,
    IO_ACCEPT = 1 << 2,
    IO_CONNECT = 1 << 3,
    IO_POLL = 1 << 4,
};

struct io {
    const struct io_handler *handler;
    struct io *next_deferred;
    int fd;           /* or a place, or -1 */
    uint8_t active;   /* read by the owner, written by the engine */
    uint8_t deferred; /* DEFER_... bits: is on the loop's list of things to do at the end of this turn */
    uint16_t engine;  /* the engine's own notes */
};

void io_init(struct io *io, const struct io_handler *handler, int fd);

/* Receive until told to stop. `often`: as many results as come from one request, where the engine can (multishot);
 * otherwise one result, then IO_RECV is clear and it must be started again. Starting while a stop is still under way
 * undoes the stop. */
int io_recv_start(struct sonde_loop *loop, struct io *io, bool often);

/* Receive no more. What the engine has already taken from the kernel still comes. */
void io_recv_stop(struct sonde_loop *loop, struct io *io);

enum io_send_mode {
    IO_SEND_NOW,  /* take what fits into the kernel's buffer and say so at once: a short count or -EAGAIN */
    IO_SEND_WAIT, /* wait for room */
};

/* data must stay until the completion. Returns > 0: so many bytes went, nothing will complete; 0: under way. */
int io_send(struct sonde_loop *loop, struct io *io, const void *data, size_t n_bytes, enum io_send_mode mode);

/* Does io_send take bytes at once, so that they need not stay anywhere (epoll), or later (io_uring)? */
bool io_sends_at_once(const struct sonde_loop *loop);

/* May a receive that is asked for often miss how the connection ended? */
bool io_misses_ends(const struct sonde_loop *loop);

/* `often`: any number of connections, otherwise one. -ENFILE when the loop accepts into places and none is free: then
 * no connection has been taken, and the next io that is closed makes room. */
int io_accept_start(struct sonde_loop *loop, struct io *io, bool often);
void io_accept_stop(struct sonde_loop *loop, struct io *io);

/* address must stay until the completion. */
int io_connect(struct sonde_loop *loop, struct io *io, const struct sockaddr *address, socklen_t n_bytes);

/* Wait once for any of these POLL... bits; POLLERR and POLLHUP always count. */
int io_poll_start(struct sonde_loop *loop, struct io *io, unsigned events);
void io_poll_stop(struct sonde_loop *loop, struct io *io);

/* Cancel what is under way, wait for its last completion, close the descriptor, call closed. None of the cancelled
 * operations completes to the owner. */
void io_close(struct sonde_loop *loop, struct io *io);

/* The same, but the descriptor is left open: it is somebody else's. */
void io_detach(struct sonde_loop *loop, struct io *io);

/* A descriptor for a system call on this socket: fd itself, or, for a place, one that is made for the purpose; or a
 * negative error. Given back at once, before anything else happens to the socket. */
int io_borrow_fd(struct sonde_loop *loop, int fd);
void io_return_fd(struct sonde_loop *loop, int fd, int borrowed);

/* Close now, with a reset, a connection that no io has. */
void io_reset(struct sonde_loop *loop, int fd);

/* Close the descriptor now and get another one; only while nothing is under way. */
void io_replace_fd(struct sonde_loop *loop, struct io *io, int fd);

void io_buffer_release(struct sonde_loop *loop, int id);
const unsigned char *io_buffer_data(struct sonde_loop *loop, int id);

/* Most bytes that one receive brings, for the probe and for sizing. */
size_t io_buffer_bytes(const struct sonde_loop *loop);

/* Call io->handler->work at the end of this turn of the loop. */
void loop_defer(struct sonde_loop *loop, struct io *io);

/* Was sonde_loop_stop called? Then the callback that did was the last of this run: what else is due waits for the next.
 */
bool loop_is_stopping(const struct sonde_loop *loop);

/* Objects that can call back, and so keep sonde_loop_run running. */
void loop_add_open(struct sonde_loop *loop, int change);

/* Objects that exist, and so keep sonde_loop_destroy from working. */
void loop_add_object(struct sonde_loop *loop, int change);

/* 0, or the error that a scripted engine wants this call to fail with. */
int loop_fault(struct sonde_loop *loop, enum sonde_operation operation);

void *loop_alloc(struct sonde_loop *loop, size_t size_bytes);
void loop_free(struct sonde_loop *loop, void *memory, size_t size_bytes);

/* What lib/net keeps on each loop. */
struct sonde_stream;
struct sonde_listener;
struct sonde_lent;
struct connecting;
struct chunk;
struct packet_area;

TAILQ_HEAD(stream_list, sonde_stream);

struct net_watch;

struct loop_net {
    struct stream_list streams; /* oldest first */
    uint64_t last_stream_id;
    struct sonde_listener *starved; /* those that ran out of descriptors: told when one is closed */
    const struct sonde_lent *lent;  /* what is being lent to data() at this moment */
    struct io_buffer *lent_buffer;
    struct sonde_timer missed;     /* see net/missed.c */
    struct packet_area *packets;   /* see net/packet.c; NULL: no stream has messages */
    const struct net_watch *watch; /* see net/net_internal.h; NULL: nobody */
    void *watcher;
    const struct connecting *opening; /* of the stream that is being told `opened` at this moment */
    sonde_tap_function tap;           /* see net/tap.c; NULL: nobody listens */
    void *tap_user;
    struct chunk *spare; /* see net/send.c */
    unsigned n_spare;
};

struct loop_net *loop_net(struct sonde_loop *loop);

/* --- the probe -------------------------------------------------------------------------------------------------- */

bool loop_probing(const struct sonde_loop *loop);
int64_t clock_monotonic_ns(void);

/* Hand an event out: stamps its end and its size, asks cookie_fd (or none: -1) for its cookies, and turns places into
 * what others may see. The caller has set what else there is. */
void loop_probe_emit(struct sonde_loop *loop, struct sonde_probe_event *event, int cookie_fd);

/* What the engine knows of the accept that is being handed out: its flags (SONDE_PROBE_...) and start. */
unsigned loop_accept_flags(const struct sonde_loop *loop, int64_t *ret_start_ns);

#endif
