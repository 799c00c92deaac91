/* SPDX-License-Identifier: MIT */
/*
 * WebSocket (RFC 6455) with permessage-deflate (RFC 7692), both ends; and the HTTP that comes before it, or instead of
 * it on an any:// listener.
 *
 * A message is delivered whole, however it was fragmented; text has been checked to be UTF-8. Pings are answered by
 * themselves. sonde_stream_shutdown sends Close 1000 and waits for the peer's Close; sonde_stream_finish closes once
 * both have been exchanged, the server first, as RFC 6455, 7.1.1, asks. A peer that breaks the rules is sent Close with
 * 1002, 1007 (text that is not UTF-8) or 1009 (too large), and the stream fails with -SONDE_EWS or -SONDE_ETOOBIG.
 */
#ifndef SONDE_WS_H
#define SONDE_WS_H

#include <sonde/stream.h>

#ifdef __cplusplus
extern "C" {
#endif

#define SONDE_WS_MESSAGE_LIMIT (UINT64_C(16) * 1024 * 1024)
#define SONDE_WS_HEAD_LIMIT (16 * 1024)

/* Both ends' settings, 0 for the defaults. */
struct sonde_ws_settings {
    uint64_t message_limit_bytes; /* longest message taken, after decompression; 0: SONDE_WS_MESSAGE_LIMIT */
    size_t head_limit_bytes;      /* longest HTTP head taken; 0: SONDE_WS_HEAD_LIMIT */
    int no_deflate;               /* not 0: neither offer nor accept permessage-deflate */
    int64_t ping_interval_ns;     /* ping so often, and fail with -ETIMEDOUT when one has not been answered by the next;
                                     0: never */
};

/* To connect. */
struct sonde_ws_client {
    size_t size; /* sizeof(struct sonde_ws_client) */
    struct sonde_ws_settings settings;
    const char *origin;         /* the Origin header; NULL: none */
    const char *subprotocols;   /* offered, separated by commas; NULL: none */
    const char *const *headers; /* further ones, "Name: value", NULL-ended; NULL: none. Control characters, and names
                                   that the handshake needs itself, are refused: -EINVAL */
};

/* To listen on ws://, wss:// and any://. A request is refused unless its Host is one of the listener's own names
 * (its address and port, localhost if that is loopback, and `hosts`), and its Origin, if it has one, is one of those
 * names too, or among `origins`: a page from elsewhere must not be able to use a service on this machine. */
struct sonde_web_server {
    size_t size; /* sizeof(struct sonde_web_server) */
    struct sonde_ws_settings settings;
    const char *const *origins; /* further ones, "https://app.example"; "*" any; NULL-ended; NULL: none */
    const char *const *hosts;   /* further ones, "name" (any port) or "name:port"; "*" any; NULL-ended; NULL: none */
    const char *subprotocols;   /* those that are spoken here, best first, separated by commas; NULL: none */
};

/* A ping with up to 125 bytes; its answer is told as SONDE_NOTICE_PONG. -EOPNOTSUPP where there is no WebSocket,
 * -EMSGSIZE, and the errors of write. */
SONDE_API int sonde_ws_ping(struct sonde_stream *stream, const void *data, size_t n_bytes);

/* Send Close with this code (1000-1003, 1007-1014, 3000-4999) and a reason in UTF-8 of at most 123 bytes, behind what
 * is queued; then as sonde_stream_shutdown. -EINVAL, -EMSGSIZE, -EILSEQ, -EOPNOTSUPP, -EPIPE when one was sent already.
 */
SONDE_API int sonde_ws_close(struct sonde_stream *stream, unsigned code, const void *reason, size_t n_bytes);

struct sonde_ws_info {
    char subprotocol[128];             /* agreed on; "" none */
    int deflate;                       /* permessage-deflate was agreed on */
    unsigned code_sent, code_received; /* of the Close frames; 1005: one without a code; 0: none yet */
    char reason_received[124];         /* NUL-ended; the peer's, not fit for a terminal */
    int64_t rtt_ns;                    /* that the last pong showed; 0: none yet */
};

/* 0, or -ENOTCONN when the stream has no WebSocket, or not yet. */
SONDE_API int sonde_stream_ws_info(const struct sonde_stream *stream, struct sonde_ws_info *ret_info);

/* The request that an accepted stream began with, for WebSocket and HTTP; as it came, not fit for a terminal. Valid as
 * long as the stream. NULL when there was none. */
struct sonde_http_request {
    const char *method, *target; /* NUL-ended: "GET", "/chat?room=1" */
    int version;                 /* 10 or 11 */
    unsigned n_headers;
    const struct sonde_http_header {
        const char *name, *value; /* NUL-ended, without the spaces around */
    } * headers;
};

SONDE_API const struct sonde_http_request *sonde_stream_request(const struct sonde_stream *stream);

/* The first of this name, whatever its case; NULL: there is none. */
SONDE_API const char *sonde_http_header(const struct sonde_http_request *request, const char *name);

/* How an HTTP request (SONDE_LAYER_HTTP) is answered: before the first write; otherwise, and by default, 200 and
 * application/octet-stream. What is written is the body; shutdown ends it. -EOPNOTSUPP, -EALREADY, -EINVAL. */
SONDE_API int sonde_http_answer(struct sonde_stream *stream, unsigned status, const char *content_type);

/* Another header of the answer, "Name: value": before the first write, as often as wanted, up to 4 KiB in all
 * (-ENOBUFS). Control characters are refused, and headers that say how long the body is, that concern the connection,
 * or that are said anyway (Content-Type, Cache-Control, X-Content-Type-Options): -EINVAL. -EOPNOTSUPP, -EALREADY,
 * -ENOMEM. */
SONDE_API int sonde_http_answer_header(struct sonde_stream *stream, const char *header);

#ifdef __cplusplus
}
#endif
#endif
