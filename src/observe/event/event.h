/* SPDX-License-Identifier: MIT */
/*
 * The event: one thing that was seen, whoever saw it. The program's own calls, what the kernel knows, segments on the
 * wire and what is concluded from them all become events on one time line; ladder, tables, JSON and SVG are renderings
 * of it. sonde-events(7) describes each kind as JSON.
 *
 * A connection has a number of its own on the time line (conn) that is never used twice. Its four-tuple is an attribute
 * of it, said once by its EVENT_CONNECTION: the same tuple later is another connection. A connection has two ends, A
 * and B: A is the client (who sent the SYN), or whoever was seen first when that is not known. Everything about one end
 * is indexed by END_A or END_B.
 *
 * An event owns nothing: its texts and bytes are lent, by whoever hands it out, for the time of the call. event_clone
 * makes a copy that owns all of it. Peers' bytes and names are raw in here; whoever shows them escapes them.
 */
#ifndef OBSERVE_EVENT_EVENT_H
#define OBSERVE_EVENT_EVENT_H

#include "observe/event/tcp_state.h"

#include <sonde/address.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NS_PER_US INT64_C(1000)
#define NS_PER_MS INT64_C(1000000)
#define NS_PER_S INT64_C(1000000000)

enum event_end { END_A, END_B, N_ENDS };

static inline enum event_end other_end(enum event_end end)
{
    return end == END_A ? END_B : END_A;
}

#define EVENT_SOURCES(X)                                                                                               \
    X(APP, "app")                                                                                                      \
    X(KERNEL, "kernel")                                                                                                \
    X(WIRE, "wire")                                                                                                    \
    X(VERDICT, "verdict")

enum event_source {
#define EVENT_SOURCE_ENUM(name, text) EVENT_##name,
    EVENT_SOURCES(EVENT_SOURCE_ENUM)
#undef EVENT_SOURCE_ENUM
        EVENT_N_SOURCES,
};

/* kind, its name in JSON, the member of the union */
#define EVENT_KINDS(X)                                                                                                 \
    X(CONNECTION, "connection", connection) /* a connection is there, or more is known of its ends */                  \
    X(CALL, "call", call)                   /* the program called something */                                         \
    X(SEGMENT, "segment", segment)          /* a TCP segment */                                                        \
    X(DATAGRAM, "datagram", datagram)       /* a UDP datagram */                                                       \
    X(ICMP, "icmp", icmp)                   /* an ICMP message about a connection */                                   \
    X(HANDSHAKE, "handshake", handshake)    /* TLS, HTTP or WebSocket: agreed on, or failed */                         \
    X(MESSAGE, "message", message)          /* a message: of WebSocket, or cut out of a stream by a codec */           \
    X(STATE, "state", state)                /* an end's state has changed, and no segment says so */                   \
    X(VALUES, "values", values)             /* what the kernel knows of one end has changed */                         \
    X(SENTENCE, "sentence", sentence)       /* a conclusion, for people */                                             \
    X(LOSS, "loss", loss)                   /* events that are missing here */

enum event_kind {
#define EVENT_KIND_ENUM(name, text, member) EVENT_KIND_##name,
    EVENT_KINDS(EVENT_KIND_ENUM)
#undef EVENT_KIND_ENUM
        EVENT_N_KINDS,
};

/* ---- connection */

enum event_role { ROLE_UNKNOWN, ROLE_CLIENT, ROLE_SERVER };

#define EVENT_PROTOCOL_VSOCK 254 /* no protocol of IP: between a machine and its host */

struct event_connection {
    uint8_t protocol;      /* IPPROTO_TCP, IPPROTO_UDP, IPPROTO_ICMP...; 0: UNIX sockets; EVENT_PROTOCOL_VSOCK */
    bool begins_midway;    /* its opening was not seen */
    bool has_segments;     /* segments of it can be seen here */
    int64_t realtime_ns;   /* wall clock at this event's t_ns; 0: not known */
    const char *where;     /* interface or file: "lo", "capture lunch.pcapng"; NULL: not known */
    uint64_t netns_cookie; /* 0: not known */
    struct event_connection_end {
        struct sonde_address address;
        uint8_t role;           /* enum event_role */
        uint8_t state;          /* enum tcp_state, before anything was seen */
        bool calls_seen;        /* this end's calls are events too */
        bool captured_here;     /* packets were captured at this end, so its sending times are its own */
        int32_t pid;            /* 0: not known */
        const char *program;    /* its name (comm); NULL: not known */
        uint64_t socket_cookie; /* 0: not known */
    } end[N_ENDS];
};

/* ---- call */

enum event_call_phase {
    CALL_WHOLE, /* began and ended at once, or has no start of its own (start_ns 0) */
    CALL_BEGIN, /* result is not known yet */
    CALL_END,   /* start_ns is when its CALL_BEGIN was */
};

struct event_call {
    uint8_t phase;         /* enum event_call_phase */
    uint8_t operation;     /* enum sonde_operation (sonde/probe.h) */
    uint8_t end;           /* enum event_end: whose program */
    bool ring;             /* done by io_uring */
    bool datagram;         /* recv, send: of a whole message, so that 0 bytes are an empty one and no end */
    int32_t fd;            /* -1: none */
    uint64_t number;       /* joins begin and end; never used twice on a time line */
    int64_t result;        /* >= 0, or a negative errno */
    int64_t start_ns;      /* 0: it has none */
    uint64_t n_bytes;      /* send: asked for; recv: room */
    const char *arguments; /* all of them as text, escaped: "5, \"hello\", 5, MSG_NOSIGNAL" */
    const void *data;      /* the first bytes sent or received, n_data of them, for a preview */
    uint32_t n_data;
};

/* ---- segment */

/* RFC 9293's flags, as bits of the header's byte; and what tcpdump and the ladder call them. */
#define SEGMENT_FIN 0x01
#define SEGMENT_SYN 0x02
#define SEGMENT_RST 0x04
#define SEGMENT_PSH 0x08
#define SEGMENT_ACK 0x10
#define SEGMENT_URG 0x20
#define SEGMENT_ECE 0x40
#define SEGMENT_CWR 0x80
#define SEGMENT_AE 0x100

/* What is to be said of a segment, beyond its own numbers: name in JSON, words on the ladder (NULL: said otherwise).
 * The tracker says when each is set (track.h). */
#define SEGMENT_NOTES(X)                                                                                               \
    X(AGAIN, "retransmission", NULL)  /* again_of says of which; the timer, when known, is one of these: */            \
    X(AGAIN_RTO, "rto", "RTO")        /* repeated by the retransmission timer */                                       \
    X(AGAIN_FAST, "fast", "fast")     /* ... because of duplicate ACKs, SACK or RACK */                                \
    X(AGAIN_TLP, "tail-probe", "TLP") /* ... by a tail loss probe (RFC 8985) */                                        \
    X(AGAIN_SPURIOUS, "spurious", "was not lost") /* what it repeats had arrived (DSACK, RFC 2883) */                  \
    X(SYN_RETRY, "syn-retry", NULL)               /* a SYN or SYN-ACK again; n_repeat counts */                        \
    X(OUT_OF_ORDER, "out-of-order", NULL)         /* begins before what was seen already, and is new */                \
    X(HOLE, "hole", NULL)                         /* begins behind what was expected: bytes before it are missing */   \
    X(FILLS_HOLE, "fills-hole", "fills hole")                                                                          \
    X(DUPLICATE_ACK, "duplicate-ack", "dup ack") /* n_repeat counts */                                                 \
    X(DSACK, "dsack", "dsack")                   /* reports bytes that were received twice */                          \
    X(NOT_CAPTURED, "not-captured", NULL)        /* acknowledges bytes that this capture does not have */              \
    X(ZERO_WINDOW, "zero-window", NULL)          /* the label's win 0 says it */                                       \
    X(WINDOW_PROBE, "window-probe", NULL)        /* asks a closed window; n_repeat counts */                           \
    X(PROBE_ANSWER, "probe-answer", NULL)                                                                              \
    X(WINDOW_UPDATE, "window-update", "window update")                                                                 \
    X(WINDOW_FULL, "window-full", "fills window") /* its last byte is the last that the peer's window takes */         \
    X(KEEP_ALIVE, "keep-alive", "keep-alive")                                                                          \
    X(KEEP_ALIVE_ANSWER, "keep-alive-answer", "keep-alive answer")                                                     \
    X(REFUSED, "refused", NULL)                /* a reset in answer to a SYN */                                        \
    X(RESET, "reset", NULL)                    /* why: enum reset_cause */                                             \
    X(AFTER_END, "after-end", "after the end") /* of a connection that was closed or reset already */                  \
    X(SIMULTANEOUS_OPEN, "simultaneous-open", NULL)                                                                    \
    X(SIMULTANEOUS_CLOSE, "simultaneous-close", NULL)                                                                  \
    X(MIDWAY, "begins-midway", NULL)        /* the first seen of a connection that was open already */                 \
    X(TUPLE_REUSED, "tuple-reused", NULL)   /* a new connection on the addresses and ports of an earlier one */        \
    X(SCALE_UNKNOWN, "scale-unknown", NULL) /* window is not scaled, the handshake was not seen */                     \
    X(OFFLOAD, "offload", NULL)             /* longer than MSS: captured before the card or kernel cut it */           \
    X(CHECKSUM_BAD, "checksum-bad", "bad checksum") /* and not left to the card */                                     \
    X(CUT, "cut", NULL)                             /* the capture holds only its beginning */                         \
    X(SEEN_TWICE, "seen-twice", NULL)               /* the same packet again at another point of the capture */        \
    X(MSS_MISSING, "mss-missing", "no mss")         /* a SYN without an MSS option: 536 is to be assumed */            \
    X(URGENT, "urgent", "urgent")                                                                                      \
    X(FAST_OPEN, "fast-open", "data in SYN")

enum segment_note {
#define SEGMENT_NOTE_ENUM(name, json, words) NOTE_##name,
    SEGMENT_NOTES(SEGMENT_NOTE_ENUM)
#undef SEGMENT_NOTE_ENUM
        N_NOTES,
};

#define NOTE_BIT(note) (UINT64_C(1) << (note))

static inline bool has_note(uint64_t notes, enum segment_note note)
{
    return notes & NOTE_BIT(note);
}

enum reset_cause {
    RESET_UNKNOWN,
    RESET_REFUSED,     /* nobody listens there */
    RESET_UNREAD,      /* closed with received data unread, or data came for a socket that was closed */
    RESET_AFTER_CLOSE, /* data came for an end that had closed completely */
    RESET_ABORT,       /* out of the blue: unread data, SO_LINGER 0, a crash, or a middlebox */
    RESET_TIMEOUT,     /* behind repeats that nobody answered */
    RESET_NO_SUCH,     /* of a connection that this end does not know (any more) */
    N_RESET_CAUSES,
};

enum segment_fate {
    FATE_UNKNOWN, /* seen at one place; whether it arrived is not known: drawn as arrived */
    FATE_ARRIVED, /* seen at both ends, or acknowledged */
    FATE_LOST,    /* with evidence: left, and was seen not to arrive */
    FATE_THROWN,  /* arrived, and was thrown away (full accept queue, bad checksum) */
};

#define SEGMENT_SACKS_MAX 4
#define SEGMENT_PREVIEW_MAX 64

struct segment_options {
    uint16_t mss;        /* 0: no such option */
    int8_t window_scale; /* -1: none */
    bool sack_permitted, has_timestamps, has_fast_open, has_mptcp, has_md5, has_user_timeout, has_accecn;
    uint8_t n_unknown; /* options that are none of these */
    uint8_t n_sacks;
    bool malformed;
    uint32_t ts_value, ts_echo;
    struct {
        uint64_t from, to; /* relative, as ack is */
    } sack[SEGMENT_SACKS_MAX];
};

struct event_segment {
    struct sonde_address source, destination; /* said again here, so that a line of JSON can be read alone */
    uint32_t number;                          /* within its connection, from 1 */
    uint8_t from;                             /* enum event_end: who sent it */
    uint8_t fate;                             /* enum segment_fate */
    uint8_t reset_cause;
    uint8_t state[N_ENDS];     /* enum tcp_state of both ends after it has arrived */
    bool state_guess[N_ENDS];  /* the handshake was not seen: shown with "?" */
    uint16_t flags;            /* SEGMENT_... */
    uint32_t seq_raw, ack_raw; /* as on the wire */
    uint64_t seq, ack;         /* relative: own ISN is 0, first data byte 1; unwrapped past 4 GiB */
    uint32_t n_bytes;          /* of payload, as sent; SYN and FIN not counted */
    uint16_t window_raw;       /* as on the wire */
    uint64_t window;           /* scaled, unless NOTE_SCALE_UNKNOWN */
    struct segment_options options;
    uint64_t notes;     /* NOTE_BIT(...) */
    uint32_t again_of;  /* NOTE_AGAIN, SYN_RETRY: number of the first copy; 0: that was not seen */
    uint32_t n_repeat;  /* how many times again; for DUPLICATE_ACK, WINDOW_PROBE: the how-manieth */
    uint64_t in_flight; /* bytes sent by this end and not acknowledged, with this one */
    int64_t rtt_ns;     /* this segment acknowledges: the round trip that this showed; 0: no sample */
    int64_t arrived_ns; /* when it was seen at the other end; 0: seen at one place only */
    uint64_t packet;    /* number of the packet in its capture, from 1; 0: none */
    const void *data;   /* the payload's first bytes, for a preview; */
    uint32_t n_data;    /* so many, at most SEGMENT_PREVIEW_MAX */
};

/* ---- datagram, icmp */

struct event_datagram {
    struct sonde_address source, destination;
    uint32_t number; /* within its connection (the pair of addresses and ports) */
    uint8_t from;
    uint8_t fate; /* enum segment_fate */
    uint32_t n_bytes;
    uint64_t notes;     /* NOTE_CUT, NOTE_CHECKSUM_BAD, NOTE_SEEN_TWICE */
    int64_t arrived_ns; /* when it was seen at the other end; 0: seen at one place only, or lost */
    uint64_t packet;
    const void *data;
    uint32_t n_data;
};

struct event_icmp {
    uint8_t version;             /* 4 or 6 */
    uint8_t type, code;          /* as on the wire */
    uint8_t to;                  /* enum event_end: who is told */
    struct sonde_address sender; /* the router or host that says so; port 0 */
    uint32_t about_seq_raw;      /* TCP: of the segment that it quotes; 0 with about_number 0: not known */
    uint32_t about_number;       /* that segment's number; 0: not known */
    uint32_t mtu;                /* "fragmentation needed", "packet too big": the next hop's; else 0 */
    uint64_t packet;
    const char *words; /* "port unreachable"; static */
};

/* ---- handshake, message: what is spoken on top */

struct event_handshake {
    uint8_t end;        /* enum event_end: whose program says so */
    uint8_t layer;      /* SONDE_LAYER_... (sonde/url.h), one of them */
    int64_t result;     /* 0: done; or a negative error */
    int64_t start_ns;   /* when it began; 0: not known */
    const char *agreed; /* "TLSv1.3, TLS_AES_256_GCM_SHA384, ALPN h2", or why it failed; the peer's words in part, raw;
                           NULL: nothing to say */
};

/* name in JSON and on the ladder */
#define MESSAGE_KINDS(X)                                                                                               \
    X(FRAMED, "message") /* as a codec has cut it out of a stream */                                                   \
    X(TEXT, "text")      /* of WebSocket, and the following (RFC 6455, 5.2) */                                         \
    X(BINARY, "binary")                                                                                                \
    X(CONTINUATION, "continuation")                                                                                    \
    X(CLOSE, "close")                                                                                                  \
    X(PING, "ping")                                                                                                    \
    X(PONG, "pong")                                                                                                    \
    X(HEAD, "head")           /* the HTTP before it */                                                                 \
    X(OTHER, "other")         /* an opcode that RFC 6455 does not know */                                              \
    X(MALFORMED, "malformed") /* none: from here on the bytes are not what they should be; words says why */

enum message_kind {
#define MESSAGE_KIND_ENUM(name, text) MESSAGE_##name,
    MESSAGE_KINDS(MESSAGE_KIND_ENUM)
#undef MESSAGE_KIND_ENUM
        N_MESSAGE_KINDS,
};

struct event_message {
    uint8_t kind;      /* enum message_kind */
    uint8_t from;      /* enum event_end: who sent it */
    uint8_t end;       /* whose program says so; N_ENDS: it was read off the wire */
    bool compressed;   /* permessage-deflate (RFC 7692) */
    bool joined;       /* bytes before it are missing: it may be the rest of another one */
    uint16_t code;     /* CLOSE: its code; 1005: it has none */
    uint32_t about;    /* off the wire: the segment with which it is complete; 0: not known */
    uint64_t number;   /* of its direction, from 1, control frames not counted; 0: it has none */
    uint64_t n_bytes;  /* of the message alone. MALFORMED: the byte of the stream, from 0, that is wrong */
    int64_t rtt_ns;    /* PONG: since the ping that it answers; 0: not known */
    const char *words; /* MALFORMED: in words; NULL: none */
    const void *data;  /* its first bytes, n_data of them, for a preview. CLOSE: of the reason alone */
    uint32_t n_data;
};

/* ---- state, values */

struct event_state {
    uint8_t end;
    uint8_t before, after; /* enum tcp_state */
    bool polled;           /* seen by looking again: it happened between the look before and t_ns */
};

/* What the kernel knows of one end: name in JSON (unit in it), short name on the ladder (NULL: not shown there). */
#define EVENT_VALUES(X)                                                                                                \
    X(RTO, "rto_us", "rto")                                                                                            \
    X(RTT, "rtt_us", "rtt")                                                                                            \
    X(RTT_VAR, "rttvar_us", NULL)                                                                                      \
    X(CWND, "cwnd_segments", "cwnd")                                                                                   \
    X(SSTHRESH, "ssthresh_segments", NULL)                                                                             \
    X(SEND_QUEUE, "send_queue_bytes", "Send-Q")                                                                        \
    X(UNSENT, "unsent_bytes", "unsent")                                                                                \
    X(RECEIVE_QUEUE, "receive_queue_bytes", "Recv-Q")                                                                  \
    X(PEER_WINDOW, "peer_window_bytes", NULL)                                                                          \
    X(UNACKED, "unacked_segments", NULL)                                                                               \
    X(RETRANSMITS, "retransmits", NULL)                                                                                \
    X(RETRANSMITS_TOTAL, "retransmits_total", NULL)                                                                    \
    X(BACKOFF, "backoff", NULL)                                                                                        \
    X(BYTES_ACKED, "bytes_acked", "acked")                                                                             \
    X(BYTES_RECEIVED, "bytes_received", "received")                                                                    \
    X(ACCEPT_QUEUE, "accept_queue", "queue")                                                                           \
    X(ACCEPT_LIMIT, "accept_queue_limit", NULL)

enum event_value {
#define EVENT_VALUE_ENUM(name, json, words) VALUE_##name,
    EVENT_VALUES(EVENT_VALUE_ENUM)
#undef EVENT_VALUE_ENUM
        N_VALUES,
};

struct event_values {
    uint8_t end;
    uint32_t present; /* 1 << enum event_value, those that are known */
    uint32_t changed; /* ... and those of them that differ from the last event's */
    int64_t value[N_VALUES];
};

/* ---- sentence, loss */

struct event_sentence {
    char mark;        /* '!' trouble, 'i' what could not be seen and how to permit it, '=' summary, '-' a note */
    const char *name; /* of the verdict: "zero-window"; static or lent */
    const char *text; /* whole sentences, without a newline; names of programs in it are escaped already */
    uint32_t about;   /* segment number; 0: the connection */
};

struct event_loss {
    const char *what; /* "packets", "events", "transitions" */
    uint64_t n;       /* so many since the last such event */
    const char *why;  /* "the capture's buffer was full" */
};

/* ---- */

struct event {
    uint8_t source; /* enum event_source */
    uint8_t kind;   /* enum event_kind */
    bool late;      /* came after what is later than it had been handed on */
    uint64_t conn;  /* 0: of none */
    int64_t t_ns;   /* CLOCK_MONOTONIC; from a file: its own clock, made to never run backwards */
    union {
#define EVENT_MEMBER(name, text, member) struct event_##member member;
        EVENT_KINDS(EVENT_MEMBER)
#undef EVENT_MEMBER
    };
};

/* A copy in one piece of memory that holds all it points to; free() it. NULL: no memory. */
struct event *event_clone(const struct event *event);

/* Names as JSON has them. Static. */
const char *event_kind_name(enum event_kind kind);
const char *event_source_name(enum event_source source);
const char *message_kind_name(enum message_kind kind);
const char *segment_note_name(enum segment_note note);
const char *segment_note_words(enum segment_note note); /* NULL: none */
const char *event_value_name(enum event_value value);
const char *event_value_words(enum event_value value); /* NULL: not for the ladder */
const char *reset_cause_name(enum reset_cause cause);  /* "refused", "unread-data", ... */

/* tcpdump's letters: "S", "S.", "P.", "F.", "R", "." for an ACK alone, "none"; U, E, W behind. At most 10 bytes. */
void segment_flags_text(unsigned flags, char ret_text[12]);

#endif
