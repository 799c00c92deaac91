/* SPDX-License-Identifier: MIT */
/*
 * Listeners. One URL may stand for several sockets (tcp://:7007 is 127.0.0.1 and [::1] on the same port); they make one
 * listener.
 */
#ifndef SONDE_LISTENER_H
#define SONDE_LISTENER_H

#include <sonde/prefix.h>
#include <sonde/stream.h>

struct sonde_web_server;

#ifdef __cplusplus
extern "C" {
#endif

struct sonde_listener_handler {
    /* A connection was accepted. Call sonde_stream_set_handler on it before returning; a stream left without a handler
     * is closed with a reset. Datagrams: an address that has not sent before; a stream that is closed inside of this
     * call is a peer that is not wanted: what it sends in the next 5 seconds is dropped, and told by lost. */
    void (*accepted)(struct sonde_listener *listener, struct sonde_stream *stream, void *owner);
    /* Accepting has stopped, for want of something: -EMFILE, -ENFILE, -ENOMEM, -ENOBUFS. Said once; the listener tries
     * again by itself, without spinning, and says 0 when it has gone on for a second. May be NULL. */
    void (*trouble)(struct sonde_listener *listener, int error, void *owner);
    /* A connection was ended before anybody was told of it; why->code says for what.
     * With ?proxy=in it was reset. -EPERM: the peer is not among those that are trusted; -SONDE_EPROXYHEAD: what it
     * said first was no PROXY protocol header; -ETIMEDOUT: it said too little (in 5 seconds); -ENODATA: it ended its
     * side before it had said all; -ECONNRESET and the like: it went away before; -ENOBUFS: it had waited longest of
     * 1,024 when one more came. With TLS, WebSocket and any://: -SONDE_ETLS, -SONDE_ECERT (of a client), -SONDE_EHTTP,
     * -SONDE_EORIGIN, -SONDE_EHOST, -SONDE_EKIND, -ETIMEDOUT (not done in 10 seconds), and the last four above. The
     * detail says more. May be NULL. */
    void (*refused)(struct sonde_listener *listener, const struct sonde_address *peer, const struct sonde_why *why,
                    void *owner);
    /* The last call. Streams that it accepted live on. May be NULL. */
    void (*closed)(struct sonde_listener *listener, void *owner);
    /* Datagrams: so many more were dropped by the kernel because the receive buffer was full (SO_RXQ_OVFL, socket(7)),
     * so many because there were too many peers already. May be NULL. */
    void (*lost)(struct sonde_listener *listener, uint64_t n_dropped, uint64_t n_peerless, void *owner);
    /* TLS, WebSocket and any://: this peer has connected, and nothing has been spent on it yet. 0, or a negative error:
     * then it is reset, and refused is told with it and the call "peer". May be NULL: all may try. */
    int (*came)(struct sonde_listener *listener, const struct sonde_address *peer, void *owner);
};

#define SONDE_LISTEN_PAUSED 1u     /* do not accept until sonde_listener_resume */
#define SONDE_LISTEN_ONE_BY_ONE 2u /* take one connection at a time: the rest stay in the kernel's accept queue */
#define SONDE_LISTEN_SHARED                                                                                            \
    4u                       /* let other loops listen there too: the first takes the port alone, so that a taken      \
                                port is an error, and then opens it (SO_REUSEPORT) for those with JOIN */
#define SONDE_LISTEN_JOIN 8u /* join a port that was opened with SHARED by this process; not for port 0 */

struct sonde_listen_options {
    size_t size; /* sizeof(struct sonde_listen_options) */
    unsigned flags;
    int family;                /* AF_UNSPEC, AF_INET or AF_INET6 */
    size_t user_bytes;         /* room for the caller in each accepted stream, as in sonde_connect_options */
    uint64_t send_limit_bytes; /* of each accepted stream; 0: SONDE_SEND_LIMIT */
    /* With ?proxy=in: whose PROXY protocol headers are believed; others are refused. Copied. 0 of them: loopback and
     * UNIX peers. */
    const struct sonde_prefix *trusted;
    unsigned n_trusted;                 /* at most SONDE_TRUSTED_MAX */
    const struct sonde_tls *tls;        /* tls://, wss://, any://; NULL: a certificate made in memory. Referred to */
    const struct sonde_web_server *web; /* ws://, wss://, any://; copied; NULL: zeroes */
    unsigned any_kinds;                 /* any://: bits 1 << enum sonde_any_kind that are let in; 0: all */
    int64_t any_wait_ns;                /* any://: a client that says nothing for so long is a raw one; 0: 500 ms */
    int64_t peer_idle_ns;               /* datagrams: a peer that has been silent for so long is closed with -ETIMEDOUT;
                                           0: 60 s */
    unsigned n_peers_max;               /* datagrams: most peers at a time; what others send is dropped, and told; 0:
                                           10,000 */
};

/* Who may speak to an any:// listener. */
enum sonde_any_kind {
    SONDE_ANY_RAW,
    SONDE_ANY_TLS,
    SONDE_ANY_HTTP,
    SONDE_ANY_WS,
    SONDE_N_ANY_KINDS,
};

#define SONDE_ANY_WAIT_NS (INT64_C(500) * 1000 * 1000)
#define SONDE_PEER_IDLE_NS (INT64_C(60) * 1000 * 1000 * 1000)
#define SONDE_PEERS_MAX 10000
#define SONDE_LISTENER_MAX 8 /* most sockets of one listener */
#define SONDE_TRUSTED_MAX 64

/* Bind and listen; SO_REUSEADDR is set, so that an immediate restart works. A host name is looked up here, which
 * blocks. fd://N takes over a listening stream socket that somebody else has made (sd_listen_fds(3)): it belongs to the
 * listener from then on, as does its place in the file system to whoever made it. A UNIX path that is left over from a
 * dead server is removed, if it is a socket of ours and nobody answers on it. Of fd://N: -EBADF (not open), -ENOTSOCK,
 * -EPROTOTYPE (not a stream socket, or neither TCP nor UNIX), -EINVAL (it does not listen); the descriptor is the
 * caller's then. options may be NULL. */
SONDE_API int sonde_listen(struct sonde_loop *loop, const struct sonde_url *url,
                           const struct sonde_listen_options *options, const struct sonde_listener_handler *handler,
                           void *owner, struct sonde_listener **ret_listener, struct sonde_why *ret_why);

/* Stop accepting (the kernel goes on: up to backlog + 1 connections wait in its queue), and go on. Of datagrams the
 * kernel keeps what its receive buffer holds; but while there are peers, who go on, what others send is dropped, and
 * told. */
SONDE_API void sonde_listener_pause(struct sonde_listener *listener);
SONDE_API void sonde_listener_resume(struct sonde_listener *listener);

/* Close its sockets; connections that were never accepted are reset by the kernel. A socket of datagrams stays until
 * the last of its streams is closed, and hears no one else. closed follows. Idempotent. */
SONDE_API void sonde_listener_close(struct sonde_listener *listener);

/* Its sockets: how many, and for each the address it got (with the port the kernel chose), as a URL that connect
 * takes. Of a UNIX listener there is one. */
SONDE_API unsigned sonde_listener_count(const struct sonde_listener *listener);
SONDE_API void sonde_listener_address(const struct sonde_listener *listener, unsigned index, struct sonde_url *ret_url);

/* The accept queue: connections that wait, and the limit (TCP_INFO on the listener; the queue is full when the length
 * is above the limit). -EOPNOTSUPP for UNIX sockets. */
SONDE_API int sonde_listener_queue(const struct sonde_listener *listener, unsigned index, unsigned *ret_length,
                                   unsigned *ret_limit);

/* The descriptor of a socket of it, to ask; not to be accepted from or closed. Whoever wants a sonde_poll on it
 * duplicates it first (dup(2)): one descriptor has one watcher. */
SONDE_API int sonde_listener_fd(const struct sonde_listener *listener, unsigned index);

SONDE_API struct sonde_loop *sonde_listener_loop(const struct sonde_listener *listener);
SONDE_API void *sonde_listener_owner(const struct sonde_listener *listener);

#ifdef __cplusplus
}
#endif
#endif
