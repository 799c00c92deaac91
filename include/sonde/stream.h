/* SPDX-License-Identifier: MIT */
/*
 * Streams: TCP over IPv4 and IPv6, and UNIX stream sockets. One end of one connection.
 *
 * The order of a stream's life:
 *
 *   sonde_connect or the listener's accepted -> [opened] -> data* -> [end] -> ... -> [failed] -> closed
 *
 * End of data, reset and timeout are three different things and are never merged: `end` says that the peer has sent all
 * it had and shut down its side (half-close: this side can still send); `failed` says that the connection is gone, and
 * why: -ECONNRESET, -ETIMEDOUT, -ECONNREFUSED, ... It comes once, after everything that had arrived was delivered.
 * A stream never closes by itself: whoever is told of `end` or `failed` calls close (or finish).
 *
 * All functions here are called on the loop's thread, except where they say otherwise.
 */
#ifndef SONDE_STREAM_H
#define SONDE_STREAM_H

#include <sonde/address.h>
#include <sonde/loop.h>
#include <sonde/proxy.h>
#include <sonde/url.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct sonde_stream;
struct sonde_listener;

/* Received bytes, lent for the time of the callback. Whoever wants them longer copies them, or hands them to
 * sonde_stream_forward, which shares them where that is cheaper. */
struct sonde_lent {
    const unsigned char *data;
    size_t n_bytes; /* never 0 */
};

/* Any of them may be NULL: what is then done instead is said with it, and nothing is where nothing is said. */
struct sonde_stream_handler {
    /* connect only: the connection stands. */
    void (*opened)(struct sonde_stream *stream);
    /* Bytes from the peer, in order. NULL: they are taken, counted, and dropped. */
    void (*data)(struct sonde_stream *stream, const struct sonde_lent *bytes);
    /* The peer has shut down its sending side; no data will follow. The stream still sends. NULL: it is finished
     * (sonde_stream_finish) for as long as something moves, SONDE_WHILE_MOVING. */
    void (*end)(struct sonde_stream *stream);
    /* All that was queued has been given to the kernel, after some of it had to wait. Also called when the queue was
     * dropped because nothing can be sent any more. */
    void (*drained)(struct sonde_stream *stream);
    /* The connection is gone; error is a negative errno. After it only closed follows. sonde_stream_why tells more.
     * NULL: the stream is closed, with a reset unless it was finishing. */
    void (*failed)(struct sonde_stream *stream, int error);
    /* The last call: the descriptor is closed and the stream is freed when this returns. */
    void (*closed)(struct sonde_stream *stream);
};

struct sonde_connect_options {
    size_t size;                     /* sizeof(struct sonde_connect_options) */
    int64_t timeout_ns;              /* for the whole of name look-up and connect; 0: the kernel's own patience */
    int family;                      /* AF_UNSPEC, AF_INET or AF_INET6 */
    int numeric;                     /* not 0: host must be numeric, nothing is looked up */
    size_t user_bytes;               /* room for the caller in the stream: sonde_stream_user, zeroed, 8-byte aligned */
    uint64_t send_limit_bytes;       /* most that the send queue may hold; 0: SONDE_SEND_LIMIT */
    const struct sonde_proxy *proxy; /* connect through it; copied; NULL: straight. Not for unix: and fd: */
    int64_t attempt_delay_ns;        /* how long one address is waited for before the next is tried beside it; 0:
                                        SONDE_ATTEMPT_DELAY_NS */
};

/* RFC 8305, 8: the Connection Attempt Delay and the Resolution Delay (how long the IPv4 addresses of a name wait for
 * its IPv6 ones). */
#define SONDE_ATTEMPT_DELAY_NS (INT64_C(250) * 1000 * 1000)
#define SONDE_RESOLUTION_DELAY_NS (INT64_C(50) * 1000 * 1000)

#define SONDE_SEND_LIMIT (1024u * 1024u)

/* Connect. The name's A and AAAA records are asked for on the loop, side by side (c-ares), and the addresses are tried
 * as Happy Eyeballs does (RFC 8305): families in turn, IPv6 first, the next one beside the last when that has failed or
 * has not answered within the attempt delay; the first that stands is kept, the others are closed. fd://N takes over a
 * connected stream socket. handler must
 * outlive the stream; owner is what sonde_stream_owner returns. options may be NULL. When this returns 0, opened or
 * failed follows, unless the stream is closed first; when it fails nothing is ever called. Errors that can be known at
 * once are returned: -SONDE_ENAME for a name where a number was asked for, -EINVAL for port 0, -ENOMEM. */
SONDE_API int sonde_connect(struct sonde_loop *loop, const struct sonde_url *url,
                            const struct sonde_connect_options *options, const struct sonde_stream_handler *handler,
                            void *owner, struct sonde_stream **ret_stream, struct sonde_why *ret_why);

/* Queue a copy of these bytes. All or nothing: -ENOBUFS when the queue would pass its limit, -EPIPE after shutdown,
 * the connection's error once it is gone, -ENOMEM. */
SONDE_API int sonde_stream_write(struct sonde_stream *stream, const void *data, size_t n_bytes);

/* Queue bytes that data() was just lent, by this stream or another one of the same loop, without copying them where
 * possible. Only inside that callback. The same errors. */
SONDE_API int sonde_stream_forward(struct sonde_stream *stream, const struct sonde_lent *bytes);

/* Bytes given to write or forward that the kernel has not taken yet. */
SONDE_API size_t sonde_stream_queued_bytes(const struct sonde_stream *stream);

/* The bytes that were still queued when the connection failed or was closed, and so were never sent. */
SONDE_API uint64_t sonde_stream_unsent_bytes(const struct sonde_stream *stream);

/* Stop and go on reading. While paused, neither data nor end nor a failure of the receiving side is delivered; the
 * kernel's receive buffer fills and the peer's window closes. What the engine had already taken from the kernel is
 * kept (at most an eighth of its buffers) and delivered after resume. */
SONDE_API void sonde_stream_pause(struct sonde_stream *stream);
SONDE_API void sonde_stream_resume(struct sonde_stream *stream);
SONDE_API int sonde_stream_is_paused(const struct sonde_stream *stream);

/* Half-close (shutdown(2), SHUT_WR) once everything queued has gone. Receiving goes on. Idempotent. */
SONDE_API void sonde_stream_shutdown(struct sonde_stream *stream);

/* A deadline for sonde_stream_finish that comes only when nothing has moved for so long: nothing was received, and
 * nothing of ours was acknowledged. A slow peer is waited for, a dead one is not. */
#define SONDE_WHILE_MOVING INT64_MIN
#define SONDE_MOVING_NS (INT64_C(30) * 1000 * 1000 * 1000)

/* Close politely: send what is queued, half-close, take what the peer still sends (given to data as before), wait for
 * its end, and until its kernel has acknowledged every byte of ours; then close. Ends early, with failed, on a reset or
 * at the deadline (absolute, or SONDE_WHILE_MOVING; -ETIMEDOUT). closed follows in any case: nobody needs to call
 * close. A paused stream stays paused, and can't learn of the peer's end until it is resumed. */
SONDE_API void sonde_stream_finish(struct sonde_stream *stream, int64_t deadline_ns);

/* Close now. What is queued here is dropped (and counted); what the kernel holds is still delivered, unless received
 * data was left unread, which resets the connection (RFC 2525, 2.17). closed follows. Idempotent. */
SONDE_API void sonde_stream_close(struct sonde_stream *stream);

/* Close with a reset (SO_LINGER 0, tcp(7)). closed follows. */
SONDE_API void sonde_stream_abort(struct sonde_stream *stream);

/* Give the stream up for a reason of ours: bytes that could not be written, for want of memory or because the queue is
 * full, would leave a hole. failed is called with the error (negative), later and once; data and end are not called any
 * more. One that has not opened yet is only closed; nothing happens to one that is closing, or whose failure is
 * known already: that is told when all that had arrived is delivered. */
SONDE_API void sonde_stream_fail(struct sonde_stream *stream, int error);

/* Who and where. The peer is known after a reset too; in closed only what was asked
 * for before. */
SONDE_API void sonde_stream_peer(const struct sonde_stream *stream, struct sonde_address *ret_address);
SONDE_API void sonde_stream_local(const struct sonde_stream *stream, struct sonde_address *ret_address);

/* 1, 2, 3, ...: in the order in which they were made on this loop. Never used twice. */
SONDE_API uint64_t sonde_stream_id(const struct sonde_stream *stream);

/* Bytes delivered to data, and bytes the kernel took from us. */
SONDE_API uint64_t sonde_stream_received_bytes(const struct sonde_stream *stream);
SONDE_API uint64_t sonde_stream_sent_bytes(const struct sonde_stream *stream);

/* Of those, the bytes that the peer's kernel has not acknowledged yet (SIOCOUTQ, tcp(7)); on a UNIX socket, that the
 * peer has not read. -ENOTCONN when there is no socket to ask. */
SONDE_API int sonde_stream_unacknowledged_bytes(const struct sonde_stream *stream, uint64_t *ret_n_bytes);

/* When it was accepted, or connect began: CLOCK_MONOTONIC ns. */
SONDE_API int64_t sonde_stream_since_ns(const struct sonde_stream *stream);

/* Why it failed: valid from failed on. subject is the peer's address. */
SONDE_API void sonde_stream_why(const struct sonde_stream *stream, struct sonde_why *ret_why);

/* An address that connect has tried, in the order in which they were begun. */
struct sonde_attempt {
    struct sonde_address address;
    int error;        /* negative; 0: this one stands, or has not answered yet */
    int64_t start_ns; /* CLOCK_MONOTONIC */
    int64_t end_ns;   /* 0: it had not answered when the whole was over */
};

#define SONDE_ATTEMPTS_MAX 32

/* What connect has tried: how many addresses, of which the first n_max are written. For `opened` and `failed`; 0
 * afterwards, and for streams that were accepted. */
SONDE_API unsigned sonde_stream_attempts(const struct sonde_stream *stream, struct sonde_attempt *ret_attempts,
                                         unsigned n_max);

/* Receive, and send, no more than so many bytes a second each (a token bucket that holds a tenth of a second's worth,
 * at least 1 KiB); 0 takes the limit off. At any time, even before it has opened. 0 or -ENOMEM. What waits for its turn
 * to be sent is still queued, and counts. */
SONDE_API int sonde_stream_set_rate(struct sonde_stream *stream, uint64_t bytes_per_s);

/* The descriptor, for getsockopt and the like; -1 before connect has one, after close, and when it is known to the ring
 * only (sonde_loop_options, n_direct). Not to be read, written or closed. */
SONDE_API int sonde_stream_fd(const struct sonde_stream *stream);

SONDE_API struct sonde_loop *sonde_stream_loop(const struct sonde_stream *stream);
SONDE_API struct sonde_listener *sonde_stream_listener(const struct sonde_stream *stream); /* NULL: connected */

/* The owner given to connect or set here, and the room asked for with user_bytes (NULL when none was). */
SONDE_API void *sonde_stream_owner(const struct sonde_stream *stream);
SONDE_API void *sonde_stream_user(const struct sonde_stream *stream);
SONDE_API void sonde_stream_set_handler(struct sonde_stream *stream, const struct sonde_stream_handler *handler,
                                        void *owner);

/* All streams of a loop, oldest first: the first (after NULL), or the one after this; NULL after the last. */
SONDE_API struct sonde_stream *sonde_stream_next(struct sonde_loop *loop, const struct sonde_stream *stream);

#ifdef __cplusplus
}
#endif
#endif
