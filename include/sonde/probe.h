/* SPDX-License-Identifier: MIT */
/*
 * The probe: an event for every operation on a socket of a loop, with its arguments, result, bytes and times. Costs one
 * predictable branch per operation while nobody asks.
 */
#ifndef SONDE_PROBE_H
#define SONDE_PROBE_H

#include <sonde/address.h>
#include <sonde/loop.h>
#include <sonde/url.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* name of the enumerator, the call as people know it */
#define SONDE_OPERATIONS(X)                                                                                            \
    X(SOCKET, "socket")                                                                                                \
    X(SETSOCKOPT, "setsockopt")                                                                                        \
    X(BIND, "bind")                                                                                                    \
    X(LISTEN, "listen")                                                                                                \
    X(ACCEPT, "accept")                                                                                                \
    X(CONNECT, "connect")                                                                                              \
    X(SEND, "send")                                                                                                    \
    X(RECEIVE, "recv")                                                                                                 \
    X(SHUTDOWN, "shutdown")                                                                                            \
    X(CLOSE, "close")                                                                                                  \
    X(HANDSHAKE, "handshake")     /* of TLS or WebSocket, done or failed; no system call */                            \
    X(MESSAGE_OUT, "message out") /* a WebSocket message or control frame, given to the layer below */                 \
    X(MESSAGE_IN, "message in")

enum sonde_operation {
#define SONDE_OPERATION_ENUM(name, call) SONDE_OP_##name,
    SONDE_OPERATIONS(SONDE_OPERATION_ENUM)
#undef SONDE_OPERATION_ENUM
        SONDE_N_OPERATIONS,
};

/* The call's name: "recv". Static. */
SONDE_API const char *sonde_operation_name(enum sonde_operation operation);

#define SONDE_PROBE_RING 1u      /* done by io_uring as a ring operation, not as a system call */
#define SONDE_PROBE_MULTISHOT 2u /* one of many results of one request: it has no start of its own (start_ns is 0) */
#define SONDE_PROBE_DIRECT 4u    /* on a socket without a descriptor (n_direct): fd is -1; of accept, the result is 0 */

/* One operation. Lent for the time of the callback. Grows at the end only: look at size before using members that
 * are newer than the header you compile with. */
struct sonde_probe_event {
    uint32_t size;     /* of this struct, as the library knows it */
    uint8_t operation; /* enum sonde_operation */
    uint8_t flags;     /* SONDE_PROBE_... */
    uint16_t reserved;
    int32_t fd; /* the descriptor it was done on; -1 for socket() */
    int32_t reserved2;
    int64_t result;   /* as the call returned it: >= 0, or a negative errno */
    int64_t start_ns; /* CLOCK_MONOTONIC; 0 when it has none */
    int64_t end_ns;
    uint64_t stream; /* sonde_stream_id; 0 for listeners and before there is a stream */
    uint64_t
        socket_cookie; /* SO_COOKIE of the socket (of the new one for accept): unique until the next boot; 0 unknown */
    uint64_t netns_cookie;        /* SO_NETNS_COOKIE of the same; 0 unknown */
    const void *data;             /* send: the bytes given; recv: those received; setsockopt: the value; or NULL */
    uint64_t n_bytes;             /* send: bytes asked for; recv: room offered; setsockopt: size of the value */
    struct sonde_address address; /* bind, connect: the argument; accept: the peer */
    const char *path;             /* bind, connect on UNIX sockets: the name, path_bytes long; else NULL */
    uint64_t path_bytes;
    int32_t args[4]; /* socket: family, type, protocol; setsockopt: level, name, value (when it is an int);
                        listen: backlog; send, recv, accept: flags; shutdown: how; handshake: SONDE_LAYER_..., and data
                        is text that says what was agreed on ("TLSv1.3, TLS_AES_256_GCM_SHA384, ALPN h2, ..."), start_ns
                        when it began; message: the frame's opcode (RFC 6455, 5.2), 1 if it was compressed, n_bytes its
                        length, data its first bytes */
};

typedef void (*sonde_probe_function)(const struct sonde_probe_event *event, void *user);

/* Call function for every operation from now on; NULL ends it. On the loop's thread, or before the loop first runs. The
 * function must not call back into the loop. */
SONDE_API void sonde_loop_set_probe(struct sonde_loop *loop, sonde_probe_function function, void *user);

#ifdef __cplusplus
}
#endif
#endif
