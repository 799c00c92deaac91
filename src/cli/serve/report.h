/* SPDX-License-Identifier: MIT */
/*
 * What serve tells on standard output: one struct per happening, and two ways to write it, a line of text and a line of
 * JSON. Pure: no clock, no descriptor. Lines of text are for programs too, so they are never translated.
 */
#ifndef CLI_SERVE_REPORT_H
#define CLI_SERVE_REPORT_H

#include "service/service.h"

#include <sonde/tls.h>
#include <sonde/ws.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Why a connection was closed. Name in JSON, words in text; the words of SERVE_LIMIT and SERVE_ERROR say more. */
#define SERVE_REASONS(X)                                                                                               \
    X(END, "end", "end of data")       /* the peer ended, and was answered */                                          \
    X(RESET, "reset", "reset by peer") /* also when it was found out by sending (EPIPE) */                             \
    X(IDLE, "idle", "idle")            /* --idle-timeout */                                                            \
    X(TIMEOUT, "timeout", "timed out")                                                                                 \
    X(SERVED, "served", "served")                         /* the service had said all */                               \
    X(KICKED, "kicked", "kicked")                         /* talk: the operator has sent it away */                    \
    X(PAGE_KICKED, "page", "kicked from the page")        /* --page: reset by whoever looked on */                     \
    X(NOT_READING, "not_reading", "not reading")          /* talk: it did not take what was said */                    \
    X(STOPPED, "stopped", "stopped")                      /* the program ended */                                      \
    X(LIMIT, "limit", "refused")                          /* --max-clients with --when-full refuse */                  \
    X(NOT_ALLOWED, "not_allowed", "refused: not allowed") /* --allow, --deny */                                        \
    X(BAD_MESSAGE, "bad_message", "bad message")          /* --frame: malformed, too long, or not whole */             \
    X(PEER_LIMIT, "peer_limit", "refused: too many from this address") /* --max-per-peer */                            \
    X(SILENT, "silent", "silent")                                      /* datagrams: nothing came for so long */       \
    X(UNREACHABLE, "unreachable", "nobody receives there")             /* datagrams: ICMP says so */                   \
    X(TRUNCATED, "truncated", "TLS ended without close_notify")        /* what came may not be all */                  \
    X(RULES, "rules", "broke the rules of WebSocket")                                                                  \
    X(TOO_BIG, "too_big", "message too large")                                                                         \
    X(NO_CLOSE, "no_close", "WebSocket ended without a Close frame")                                                   \
    X(ERROR, "error", "error")

enum serve_reason {
    SERVE_OPEN, /* not closed yet */
#define SERVE_REASON_ENUM(name, json, text) SERVE_##name,
    SERVE_REASONS(SERVE_REASON_ENUM)
#undef SERVE_REASON_ENUM
};

enum serve_happening {
    SERVE_LISTENING,
    SERVE_PAGE, /* JSON alone tells it; text has it on standard error */
    SERVE_OPENED,
    SERVE_DATA,
    SERVE_MESSAGE, /* --frame: instead of DATA */
    SERVE_SAID,    /* talk: a line of the client's, or a piece of one; text alone tells it */
    SERVE_SPOKEN,  /* talk: a line of the operator's; JSON alone tells it */
    SERVE_CLOSED,
    SERVE_QUEUE,        /* hold */
    SERVE_WAITING,      /* hold: a connection in the queue */
    SERVE_MORE_WAITING, /* hold: `length` more of them */
    SERVE_ENDED,        /* exec: the program of a connection that was closed before has */
    SERVE_TROUBLE,      /* accepting has stopped, or goes on */
    SERVE_REFUSED,      /* ended before it was a connection of ours */
    SERVE_MORE_REFUSED, /* `length` more, that were not told one by one */
    SERVE_BUFFER,       /* hold: the receive buffer for datagrams */
    SERVE_ICMP,         /* a datagram of ours has not arrived */
    SERVE_LOST,         /* datagrams were dropped; text has it on standard error, for people */
    /* The table of live connections: its first line, one for each, its last line. JSON has those for each alone. */
    SERVE_TABLE_HEAD,
    SERVE_TABLE_ROW,
    SERVE_TABLE_FOOT,
};

/* How received data is shown. */
enum serve_print { SERVE_PRINT_NONE, SERVE_PRINT_TEXT, SERVE_PRINT_HEX };

/* What is spoken on a connection. */
struct serve_spoken {
    const char *transport;                    /* "udp", "unixgram", "seqpacket", "sctp", "vsock"; NULL: tcp, unix */
    unsigned layers;                          /* SONDE_LAYER_... */
    const struct sonde_tls_info *tls;         /* NULL: none */
    const struct sonde_ws_info *ws;           /* NULL: none */
    const struct sonde_http_request *request; /* NULL: none */
};

/* Messages, where there are. */
struct serve_messages {
    uint64_t n_in, n_out;
    uint64_t n_cut;      /* came cut, for want of room */
    uint64_t n_bad;      /* were not whole frames (--frame) */
    uint64_t n_muted;    /* were not given to the service, which would have answered one of its kind */
    uint64_t n_withheld; /* answers that were not sent */
};

/* A connection: OPENED, DATA, MESSAGE, CLOSED, TABLE_ROW. DATA and MESSAGE need number and peer alone. */
struct serve_view {
    uint64_t number;
    const char *local, *peer;
    enum serve_reason reason;
    int error;        /* RESET, TIMEOUT, ERROR, BAD_MESSAGE: a negative errno */
    uint64_t at_byte; /* BAD_MESSAGE: of what was received, from 0 */
    long long limit;  /* LIMIT, PEER_LIMIT: how many may be connected */
    uint64_t in_bytes, out_bytes, unsent_bytes;
    size_t queued_bytes;
    bool paused;
    const struct service_outcome *outcome; /* CLOSED, ENDED: of its program; NULL: it has none */
    int64_t age_ns;                        /* when closed: how long it lasted */
    int64_t silent_ns;                     /* SILENT */
    const char *detail;                    /* why it failed, in more words, perhaps the peer's; NULL or "": none */
    const struct serve_spoken *spoken;     /* NULL: bytes on TCP or a UNIX socket */
    const struct serve_messages *messages; /* NULL: it has none */
    bool muted;                            /* OPENED: what it sends is not answered */
};

struct serve_event {
    enum serve_happening happening;
    int64_t realtime_ns, mono_ns; /* when; shown by JSON alone */
    struct serve_view view;
    const char *url;        /* LISTENING, PAGE, QUEUE, REFUSED (with view.peer) */
    unsigned length, limit; /* QUEUE */
    const char *state;      /* WAITING, with view.local and view.peer */
    unsigned n_unread;      /* WAITING: bytes that nobody has read */
    int error;              /* TROUBLE: a negative errno; 0: accepting goes on. REFUSED: see sonde/listener.h. ICMP */
    const char *call;       /* REFUSED: what failed; "proxy": ?proxy=in */
    const char *from;       /* ICMP: the machine that says so; NULL: not known */
    uint64_t n_dropped;     /* LOST, BUFFER, TABLE_FOOT: by the kernel */
    uint64_t n_peerless;    /* LOST, TABLE_FOOT: from those that were one peer too many */
    bool with_messages;     /* TABLE: has columns for them */
    unsigned n_clients;     /* SPOKEN: for how many; one that has a number of its own is the view's */
    /* DATA, MESSAGE, SAID, SPOKEN */
    enum serve_print print;
    const void *data;
    size_t n_bytes;
    uint64_t offset;        /* of data among all that the connection has received */
    uint64_t n_messages;    /* MESSAGE: with this one */
    unsigned flags;         /* MESSAGE: of a stream that has messages (struct sonde_lent); 0: of --frame */
    size_t n_whole_bytes;   /* SONDE_CUT: how long it was */
    uint64_t n_connections; /* TABLE_FOOT */
};

/* Room for the lines of any happening that brings so many bytes of data, with newlines and a NUL. */
#define SERVE_ROOM(n) (24 * 1024 + 6 * (size_t)(n))

/* Write it: the length of whole lines, 0 when this happening is not told in that form. size_bytes is at least
 * SERVE_ROOM(event->n_bytes). */
size_t serve_render_text(const struct serve_event *event, char *ret_text, size_t size_bytes);
size_t serve_render_json(const struct serve_event *event, char *ret_text, size_t size_bytes);

/* report_spoken.c: its parts about what is spoken on a connection. Peers' words are cut to be short. */
struct json;
size_t serve_spoken_text(const struct serve_spoken *spoken, char *ret_text, size_t size_bytes);
size_t serve_close_text(const struct serve_spoken *spoken, char *ret_text, size_t size_bytes); /* " (Close 1000 bye)" */
size_t serve_messages_text(const struct serve_messages *messages, char *ret_text, size_t size_bytes);
void serve_spoken_json(struct json *json, const struct serve_spoken *spoken);
void serve_messages_json(struct json *json, const struct serve_messages *messages);

/* Why a connection was refused before anybody was told of it: its name in JSON, and in words (NULL: the error's own).
 */
struct serve_refusal {
    int error;
    const char *name, *text;
};

const struct serve_refusal *serve_refusal_of(const struct serve_event *event);

#endif
