/* SPDX-License-Identifier: MIT */
/* The inside of streams and listeners, for the files of this folder. */
#ifndef NET_NET_INTERNAL_H
#define NET_NET_INTERNAL_H

#include "loop/io.h"
#include "net/calls.h"

#include <sonde/listener.h>
#include <sonde/stream.h>
#include <sonde/timer.h>
#include <sys/queue.h>

/* Bytes that wait: to be sent, or to be delivered after a pause. */
struct chunk {
    struct chunk *next;
    uint32_t offset, n_bytes, room; /* the bytes from offset to n_bytes are still to go; room is allocated */
    unsigned char data[];
};

/* Bits of stream->state. */
enum {
    STREAM_CONNECTING = 1 << 0,
    STREAM_PAUSED = 1 << 1,
    STREAM_END_WAITS = 1 << 2,  /* end of data came while paused */
    STREAM_LOSS_WAITS = 1 << 3, /* receiving failed while paused; stream->error says how */
    STREAM_ENDED = 1 << 4,      /* end was delivered */
    STREAM_SHUT_WANTED = 1 << 5,
    STREAM_SHUT = 1 << 6,
    STREAM_SEND_DEAD = 1 << 7, /* nothing can be sent any more; stream->send_error says why */
    STREAM_FAILED = 1 << 8,    /* failed was delivered */
    STREAM_CLOSING = 1 << 9,
    STREAM_FINISHING = 1 << 10,
    STREAM_WAITED = 1 << 11,      /* something had to wait: drained is owed when the queue is empty */
    STREAM_DRAINED_DUE = 1 << 12, /* to be said at the end of this turn */
    STREAM_FAILURE_DUE = 1 << 13, /* the same; stream->send_error */
    STREAM_READ_AGAIN = 1 << 14,  /* deliver what was kept, then go on reading */
    STREAM_LINGERS = 1 << 15,     /* SO_LINGER with a time is set */
};

/* Calls that fail a stream without being made on its socket. */
enum own_call {
    OWN_SEND = 1, /* what its owner gave as the reason */
    OWN_READ,     /* from the descriptor that is sent */
    OWN_WRITE,    /* to the descriptor that what comes is written to */
};

struct connecting;
struct finishing;
struct layers;
struct packets;
struct pace;
struct prologue;

/* What only some streams need, and only for a while. See stream_extra. */
union stream_extra {
    struct connecting *connecting; /* STREAM_CONNECTING, and after it failed */
    struct finishing *finishing;   /* STREAM_FINISHING */
    struct prologue *prologue;     /* STREAM_CONNECTING, of an accepted stream */
    struct pace *pace;             /* paced; it holds what else there is */
};

/*
 * One of these for each connection, and little else: an idle connection is to cost no more than 256 bytes in all.
 * What only some streams need, and only for a while, is behind `extra`. What every message needs stands first,
 * together: with a thousand connections each message finds it in no cache.
 */
struct sonde_stream {
    struct io io;
    struct sonde_loop *loop;
    const struct sonde_stream_handler *handler;
    struct layers *layers;   /* what is spoken on top (layer.h); NULL: nothing */
    struct packets *packets; /* its socket has messages (packet.h); NULL: bytes */
    void *owner;
    uint64_t n_received, n_sent;
    struct chunk *kept;  /* received, not delivered: it came while the stream was paused */
    struct chunk *queue; /* to be sent; while IO_SEND is under way, its first chunk is in the kernel's hands, unless a
                            lent buffer is */
    uint32_t queued_bytes;
    uint32_t lent_offset, lent_bytes; /* what is under way out of a receive buffer */
    int16_t lent_id;                  /* that buffer; -1: none */
    uint16_t state;
    int send_error;
    uint16_t user_bytes;
    uint8_t once;      /* so many receives one by one, see stream.c */
    uint8_t leg;       /* which of the listener's sockets accepted it */
    uint8_t fresh;     /* see missed.c */
    uint8_t peer_said; /* peer is what a PROXY protocol header or a proxy says: then this is the socket's own family */
    uint8_t paced : 1; /* has a rate: see pace.c */
    uint8_t own_call : 2; /* enum own_call: it failed for a reason of ours */
    uint8_t corked;       /* what is sent is only queued for now */

    int error;
    uint32_t unsent_bytes, send_limit;
    struct sonde_address peer; /* port 0 of an accepted TCP stream: not asked for yet, see stream_info.c */
    struct chunk *queue_last;
    struct sonde_listener *listener;
    TAILQ_ENTRY(sonde_stream) link;
    union stream_extra extra; /* not to be used but through stream_extra */
    uint64_t id;
    int64_t since_ns;
};

/* With what the C library and an owner put beside it, that is 256 bytes. */
_Static_assert(sizeof(void *) != 8 || sizeof(struct sonde_stream) <= 216, "an idle connection costs too much");

#define STREAM_OF(io_pointer) ((struct sonde_stream *)((char *)(io_pointer)-offsetof(struct sonde_stream, io)))

/* pace.c */
union stream_extra *pace_extra(struct pace *pace);

/* Where `connecting` or `finishing` stands. */
static inline union stream_extra *stream_extra(const struct sonde_stream *stream)
{
    return stream->paced ? pace_extra(stream->extra.pace) : (union stream_extra *)&stream->extra;
}

/* An open socket made into a stream that is not yet reading; the descriptor stays the caller's on failure. */
int stream_create(struct sonde_loop *loop, int fd, size_t user_bytes, uint64_t send_limit_bytes,
                  struct sonde_stream **ret_stream);

/* Undo stream_create for a stream that nobody has been told of. Its descriptor is left alone. */
void stream_discard(struct sonde_stream *stream);

/* The family of its socket, which is not its peer's when that was said by somebody in between. */
static inline unsigned stream_family(const struct sonde_stream *stream)
{
    return stream->peer_said != 0 ? stream->peer_said : stream->peer.family;
}

/* Out of its prologue: what completes is the stream's own again. */
void stream_take_io(struct sonde_stream *stream);

void stream_on_work(struct io *io);
void stream_on_closed(struct io *io);
uint64_t stream_id_of(const struct io *io);

/* Begin to receive, unless it is paused, closed, or over. */
void stream_read_on(struct sonde_stream *stream);

/* Deliver what was kept, as far as it may be, and go on receiving. Calls back. */
void stream_deliver(struct sonde_stream *stream);

/* The same, begun in a way that does not call back. */
void stream_go_on(struct sonde_stream *stream);

/* Lend the owner these bytes, or this message. */
void stream_lend(struct sonde_stream *stream, const unsigned char *data, size_t n_bytes, unsigned flags);

/* Nothing more will be received: result is 0 for the end of data, or an error. Calls back. */
void stream_receiving_over(struct sonde_stream *stream, int result);

/* After the end of data something is wrong with the socket. */
void stream_look_for_reset(struct sonde_stream *stream);

/* The end of data, as the owner understands it. */
void stream_end(struct sonde_stream *stream);

/* Throw away what was kept. */
void stream_discard_kept(struct sonde_stream *stream);

/* Give up a multishot receive and ask the socket itself, one by one for a while. */
void stream_ask_again(struct sonde_stream *stream);

/* Tell the owner that the connection is gone; at most once. */
void stream_fail(struct sonde_stream *stream, int error);

/* --- tell.c ----------------------------------------------------------------------------------------------------- */

/* Call the owner, or do what is done for one who has no handler for it. */
void stream_tell_end(struct sonde_stream *stream);
void stream_tell_failed(struct sonde_stream *stream);
void stream_tell_closed(struct sonde_stream *stream);

/* sonde_stream_fail, for that call. */
void stream_fail_here(struct sonde_stream *stream, int error, enum own_call call);

/* Somebody who watches over all streams of a loop: is told before their owners are. */
struct net_watch {
    void (*failed)(struct sonde_stream *stream, void *watcher);
    void (*closed)(struct sonde_stream *stream, void *watcher);
};

/* --- send.c ----------------------------------------------------------------------------------------------------- */

void stream_on_sent(struct io *io, int result);

/* Send what is queued, as long as nothing is under way, and what was to follow it. */
void stream_pump(struct sonde_stream *stream);
/* The same from outside: unless something is under way, or nothing can be sent yet, or any more. */
void stream_pump_again(struct sonde_stream *stream);
void stream_drop_queue(struct sonde_stream *stream);
/* Nothing waits any more: owes `drained`, and the half-close that waited for it. */
void stream_queue_gone(struct sonde_stream *stream);
/* Sending has found that nothing more can be sent. */
void stream_sending_failed(struct sonde_stream *stream, int error);
/* May the owner send so much now? 0 or an error. */
int stream_may_send(const struct sonde_stream *stream, size_t n_bytes);
/* Bytes for the socket, whatever the queue's limit; queued while the stream is corked. */
int stream_write_bytes(struct sonde_stream *stream, const void *data, size_t n_bytes);
void stream_shut_bytes(struct sonde_stream *stream);
void stream_uncork(struct sonde_stream *stream);
/* Has the kernel got everything? */
bool stream_is_flushed(const struct sonde_stream *stream);
struct chunk *chunk_create(struct sonde_loop *loop, const void *data, size_t n_bytes, size_t room);
void chunk_free_all(struct sonde_loop *loop, struct chunk *chunk);
/* Those that the loop has kept, when its last stream has gone. */
void chunk_free_spare(struct sonde_loop *loop);

/* --- tap.c ------------------------------------------------------------------------------------------------------ */

/* Somebody listens: tell what the stream has taken to be sent. */
void tap_out(struct sonde_stream *stream, const void *data, size_t n_bytes, unsigned flags);

/* --- missed.c --------------------------------------------------------------------------------------------------- */

/* Something was received. */
void missed_note(struct sonde_stream *stream);

/* A stream has gone. */
void missed_forget(struct sonde_loop *loop);

/* --- linger.c --------------------------------------------------------------------------------------------------- */

/* To be called right before a socket with SO_LINGER and a time is closed. */
void linger_not(struct sonde_loop *loop, int fd);

static inline bool url_lingers(const struct sonde_url *url)
{
    return url->n_set & 1u << SONDE_OPT_LINGER && url->option[SONDE_OPT_LINGER].number > 0;
}

/* --- finish.c --------------------------------------------------------------------------------------------------- */

/* Something has changed that a finishing stream waits for. */
void stream_check_finished(struct sonde_stream *stream);
void finishing_free(struct sonde_stream *stream);

/* --- connect.c -------------------------------------------------------------------------------------------------- */

void connecting_why(const struct sonde_stream *stream, struct sonde_why *ret_why);
void connecting_cancel(struct sonde_stream *stream);
void connecting_free(struct sonde_stream *stream);
struct prologue *connecting_prologue(const struct sonde_stream *stream);
/* Free one that no stream is under way with any more. */
void connecting_dispose(struct connecting *connecting);

/* --- listener.c ------------------------------------------------------------------------------------------------- */

/* The address that a leg is bound to; NULL when connections to it may have any (0.0.0.0, [::]). */
const struct sonde_address *listener_local(const struct sonde_listener *listener, unsigned leg);

/* A descriptor has become free: listeners that wait for one may go on. */
void listeners_fd_freed(struct sonde_loop *loop);

#endif
