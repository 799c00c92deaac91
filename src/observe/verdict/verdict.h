/* SPDX-License-Identifier: MIT */
/*
 * Verdicts: what is wrong, in sentences with the evidence in them. Pure. One verdict is one file with one const
 * description and one row in the table of its kind.
 *
 * A verdict is sentences: what, since when, the evidence in numbers, what it is not, what to do.
 */
#ifndef OBSERVE_VERDICT_VERDICT_H
#define OBSERVE_VERDICT_VERDICT_H

#include "observe/sockets/sockets.h"
#include "observe/track/track.h"

#define VERDICT_TEXT_MAX 1024
#define VERDICT_SHORT_MAX 48 /* for rows of tables; the page wants 28 characters: keep to that */

enum verdict_weight {
    VERDICT_NONE,
    VERDICT_NOTE,    /* worth knowing, nothing is broken */
    VERDICT_TROUBLE, /* somebody waits, or soon will */
};

/* ---- of sockets, for watch */

/* A socket as it was seen over time: what watch keeps of each. */
struct socket_past {
    int64_t first_seen_ns;        /* when we saw it first, */
    int64_t state_since_ns;       /* ... in this state (not earlier than first_seen_ns: it may be older), */
    bool state_since_known;       /* we saw it change into it */
    int64_t unread_since_ns;      /* receive_queue was 0 last; 0: it is 0 now */
    uint32_t unread_at_first;     /* ... and what it was when it first was not */
    int64_t unsent_since_ns;      /* the same for send_queue */
    int64_t window_zero_since_ns; /* the peer's window has been 0 since (as far as seen); 0: it is open */
    int64_t queue_full_since_ns;  /* listener; 0: it is not full */
    int64_t no_accept_since_ns;   /* listener: the queue is not empty and has not shrunk since; 0: it is empty */
    uint64_t info_rwnd_limited_us, info_sndbuf_limited_us, info_busy_us; /* TCP_INFO's, when first seen */
};

/* All that a verdict may know. Times are of one clock. No pointer is NULL but program; counters may be all 0. */
struct socket_case {
    const struct socket_info *socket; /* with info and memory */
    const struct socket_past *past;
    int64_t now_ns;
    const struct socket_counters *counters;       /* now */
    const struct socket_counters *counters_first; /* when we began to look */
    int64_t counters_first_ns;
    uint64_t n_half_open; /* listener: its SYN_RECV entries */
    uint64_t n_same_peer; /* TIME_WAIT and others: local ports in use towards the same peer address and port */
    const char *program;  /* the owner's name, escaped; NULL: not known */
    int32_t pid;          /* 0: not known */
    bool peer_is_local;   /* the other end is on this machine */
};

struct socket_verdict {
    const char *name; /* "accept-queue-full" */
    const char *what; /* one line for lists: "the accept queue is full" */
    /* Fills in the short form and the sentences, without a newline. VERDICT_NONE: it does not apply, and nothing was
     * written. */
    enum verdict_weight (*judge)(const struct socket_case *about, char ret_short[VERDICT_SHORT_MAX],
                                 char ret_text[VERDICT_TEXT_MAX]);
};

extern const struct socket_verdict *const socket_verdicts[]; /* heaviest cause first; ends with NULL */

/* The first of the heaviest that applies; NULL: it is well, and nothing was written. The sentences name the peer where
 * it matters; which socket they are about is for the caller to say. */
const struct socket_verdict *socket_judge(const struct socket_case *about, enum verdict_weight *ret_weight,
                                          char ret_short[VERDICT_SHORT_MAX], char ret_text[VERDICT_TEXT_MAX]);

/* ---- of the whole machine (namespace): TIME_WAIT or ephemeral ports running out */

struct machine_case { /* no pointer is NULL */
    const struct socket_counters *counters, *counters_first;
    uint64_t n_time_wait, n_sockets;
    uint64_t n_ports_most; /* local ephemeral ports used towards the one peer address and port that uses most */
    struct sonde_address most_peer;
};

struct machine_verdict {
    const char *name, *what;
    enum verdict_weight (*judge)(const struct machine_case *about, char ret_short[VERDICT_SHORT_MAX],
                                 char ret_text[VERDICT_TEXT_MAX]);
};

extern const struct machine_verdict *const machine_verdicts[]; /* ends with NULL */

/* ---- of conversations on the wire, for trace; told under the ladder */

struct conversation_verdict {
    const char *name, *what;
    enum verdict_weight (*judge)(const struct conversation *about, char ret_text[VERDICT_TEXT_MAX]);
};

extern const struct conversation_verdict *const conversation_verdicts[]; /* in the order in which they are told; NULL */

/* The "=" line without its mark: bytes each way, segments, how it opened and ended, as clauses. Always says something.
 * Arrows are written → (from A) and ←. */
void conversation_summary(const struct conversation *about, char ret_text[VERDICT_TEXT_MAX]);

#endif
