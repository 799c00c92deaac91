/* SPDX-License-Identifier: MIT */
/*
 * Streams: one end of one connection, or of what stands for one. TCP over IPv4 and IPv6, UNIX and virtual machines'
 * stream sockets, with TLS and WebSocket on top where the address says so; and everything that has messages: UNIX
 * packets, and datagrams, of which all that is exchanged with one peer makes a stream.
 *
 * On a stream with messages (sonde_stream_has_messages) data is called once for each message, whole, and each write is
 * one message; nothing is merged or cut. UDP and UNIX datagrams have no end: `end` never comes, and a shutdown is told
 * nobody. A TLS stream's end is the peer's close_notify, a WebSocket's its Close frame; without one the stream fails
 * with -SONDE_ETRUNCATED, -SONDE_EWSEND.
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
struct sonde_tls;
struct sonde_ws_client;

/* Received bytes, lent for the time of the callback. Whoever wants them longer copies them, or hands them to
 * sonde_stream_forward, which shares them where that is cheaper. */
struct sonde_lent {
    const unsigned char *data;
    size_t n_bytes;                   /* 0 only of a message: an empty one */
    unsigned flags;                   /* SONDE_MESSAGE, SONDE_TEXT, SONDE_CUT */
    size_t n_whole_bytes;             /* SONDE_CUT: how long it was; otherwise n_bytes */
    const struct sonde_address *from; /* datagrams: who has sent it; NULL: the stream's peer */
};

#define SONDE_MESSAGE 1u /* a whole message, and no piece of a stream of bytes */
#define SONDE_TEXT 2u    /* a WebSocket message of text: valid UTF-8 */
#define SONDE_CUT 4u     /* a datagram that was longer than the room for it; the rest is lost */

/* What a stream has to tell that is neither data nor an end. Lent for the time of the call. */
enum sonde_notice_kind {
    SONDE_NOTICE_PING,  /* WebSocket: the peer has pinged, with data; it has been answered */
    SONDE_NOTICE_PONG,  /* WebSocket: the answer to a ping of ours; rtt_ns, or -1 for one that nobody asked for */
    SONDE_NOTICE_CLOSE, /* WebSocket: the peer's Close frame, with code (1005: none) and its reason in data */
    SONDE_NOTICE_LOST,  /* datagrams: n more than before were dropped by the kernel for want of room (SO_RXQ_OVFL) */
    SONDE_NOTICE_ICMP,  /* datagrams: one of ours did not arrive, code is the error; what it says about later ones is
                           for the owner to judge */
};

struct sonde_notice {
    enum sonde_notice_kind kind;
    int code;
    int64_t rtt_ns;
    uint64_t n;
    const void *data;
    size_t n_bytes;
    struct sonde_address from; /* SONDE_NOTICE_ICMP: the machine that says so; family 0: not known */
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
    /* Something to know. */
    void (*notice)(struct sonde_stream *stream, const struct sonde_notice *notice);
};

struct sonde_connect_options {
    size_t size;                      /* sizeof(struct sonde_connect_options) */
    int64_t timeout_ns;               /* for the whole of name look-up and connect; 0: the kernel's own patience */
    int family;                       /* AF_UNSPEC, AF_INET or AF_INET6 */
    int numeric;                      /* not 0: host must be numeric, nothing is looked up */
    size_t user_bytes;                /* room for the caller in the stream: sonde_stream_user, zeroed, 8-byte aligned */
    uint64_t send_limit_bytes;        /* most that the send queue may hold; 0: SONDE_SEND_LIMIT */
    const struct sonde_proxy *proxy;  /* connect through it; copied; NULL: straight. Not for unix: and fd: */
    int64_t attempt_delay_ns;         /* how long one address is waited for before the next is tried beside it; 0:
                                         SONDE_ATTEMPT_DELAY_NS */
    const struct sonde_tls *tls;      /* tls://, wss://; NULL: what sonde_tls_options says of zeroes. Referred to */
    const struct sonde_ws_client *ws; /* ws://, wss://; copied; NULL: zeroes */
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

/* The same with SONDE_TEXT: on a WebSocket, a message of text, and -EILSEQ when it is not valid UTF-8; without it, and
 * by write, a binary one. Elsewhere the flag means nothing. n_bytes 0 is an empty message where there are messages. A
 * datagram that is too long is refused with -EMSGSIZE; to a UNIX peer without a name nothing can be sent,
 * -EDESTADDRREQ. */
SONDE_API int sonde_stream_send(struct sonde_stream *stream, const void *data, size_t n_bytes, unsigned flags);

/* Queue bytes that data() was just lent, by this stream or another one of the same loop, without copying them where
 * possible; a message stays one, of its kind. Only inside that callback. The same errors. */
SONDE_API int sonde_stream_forward(struct sonde_stream *stream, const struct sonde_lent *bytes);

/* Bytes given to write or forward that the kernel has not taken yet; with TLS or WebSocket, as they go on the wire. */
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

/* Bytes delivered to data, and bytes the kernel took from us; with TLS or WebSocket, of what was written, at least as
 * much as this: it is exact whenever nothing is queued. */
SONDE_API uint64_t sonde_stream_received_bytes(const struct sonde_stream *stream);
SONDE_API uint64_t sonde_stream_sent_bytes(const struct sonde_stream *stream);

/* The same as it went on the wire, with what TLS, WebSocket and HTTP have added: handshakes, heads, padding. */
SONDE_API uint64_t sonde_stream_wire_received_bytes(const struct sonde_stream *stream);
SONDE_API uint64_t sonde_stream_wire_sent_bytes(const struct sonde_stream *stream);

/* What is spoken on top of it: SONDE_LAYER_... bits. Known from opened, accepted on. */
SONDE_API unsigned sonde_stream_layers(const struct sonde_stream *stream);

/* Not 0: it has messages; it will tell the peer's end (not so UDP and UNIX datagrams). */
SONDE_API int sonde_stream_has_messages(const struct sonde_stream *stream);
SONDE_API int sonde_stream_has_end(const struct sonde_stream *stream);

/* Messages received (delivered to data), and sent (given to the kernel, or to TLS). 0 on streams of bytes. */
SONDE_API uint64_t sonde_stream_received_messages(const struct sonde_stream *stream);
SONDE_API uint64_t sonde_stream_sent_messages(const struct sonde_stream *stream);

/* Of those, the bytes that the peer's kernel has not acknowledged yet (SIOCOUTQ, tcp(7)); on a UNIX socket, that the
 * peer has not read. -ENOTCONN when there is no socket to ask, -EOPNOTSUPP on datagrams, which nobody acknowledges. */
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
 * at least 1 KiB); 0 takes the limit off. At any time, even before it has opened. 0 or -ENOMEM; -EOPNOTSUPP where the
 * socket itself has messages. What waits for its turn to be sent is still queued, and counts. */
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

/* The tap: what is said on the streams of a loop, as their owners say and hear it, above TLS and WebSocket. Called
 * right before data gets something (also where there is no data), and after write, send or forward has taken something;
 * of what was refused or dropped nothing is told. Lent for the call. One predictable branch each while nobody listens.
 * NULL ends it. On the loop's thread, or before the loop first runs. The function must not call back into the loop. */
enum sonde_direction { SONDE_IN, SONDE_OUT };

typedef void (*sonde_tap_function)(struct sonde_stream *stream, enum sonde_direction direction,
                                   const struct sonde_lent *bytes, void *user);

SONDE_API void sonde_loop_set_tap(struct sonde_loop *loop, sonde_tap_function function, void *user);

/* All streams of a loop, oldest first: the first (after NULL), or the one after this; NULL after the last. */
SONDE_API struct sonde_stream *sonde_stream_next(struct sonde_loop *loop, const struct sonde_stream *stream);

#ifdef __cplusplus
}
#endif
#endif
