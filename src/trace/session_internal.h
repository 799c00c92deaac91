/* SPDX-License-Identifier: MIT */
/* What the files of the session share: session.c runs, session_join.c says which connection a call belongs to. */
#ifndef TRACE_SESSION_INTERNAL_H
#define TRACE_SESSION_INTERNAL_H

#include "observe/event/timeline.h"
#include "trace/clock.h"
#include "trace/framing.h"
#include "trace/holders.h"
#include "trace/kernel.h"
#include "trace/packets.h"
#include "trace/sampling.h"
#include "trace/session.h"

/* On the time line a call's connection is not decided yet: conn is this bit and the index of the socket. */
#define CONN_IS_SOCKET (UINT64_C(1) << 63)

/* One connection; its number is its index in the table and one. */
struct row {
    uint8_t protocol;
    bool has_segments, introduced, ours, in_calls;
    bool opened; /* the server's end has stood: only such a connection is accepted */
    struct sonde_address address[N_ENDS];
    int64_t first_ns;
    uint32_t key; /* for the sampling */
    struct holder holder[N_ENDS];
    struct event_values told[N_ENDS]; /* what the ladder shows */
    uint8_t state[N_ENDS];            /* without segments: what was told last */
};

#define PINGS_KEPT 8

/* A WebSocket ping of ours that has not been answered yet. */
struct ping {
    int64_t t_ns; /* 0: none */
    uint64_t n_bytes;
    uint32_t n_data;
    uint8_t data[SEGMENT_PREVIEW_MAX];
};

/* A socket of ours. One of datagrams that is not connected has one of these for each peer, too, and what it does with
 * that peer belongs there. */
struct own {
    uint64_t cookie, stream, netns_cookie;
    uint64_t peer_key; /* not 0: of one peer of it */
    int32_t fd;
    uint8_t protocol; /* as in struct event_connection */
    bool is_unix, is_datagram, has_addresses, has_target, closed;
    uint8_t role; /* enum event_role */
    struct sonde_address local, peer, target;
    int64_t first_ns;
    int64_t accepted_ns; /* when accept had returned: its handshake may have been while it ran */
    uint64_t conn;       /* 0: not decided */
    uint8_t end;         /* enum event_end, once it is */
    uint64_t n_sent, n_received;
    uint64_t n_messages[2]; /* out, in */
    struct ping *pings;     /* PINGS_KEPT of them; NULL: none yet */
    unsigned next_ping;
};

struct session {
    struct session_settings settings;
    struct timeline *line;
    struct packets *packets;
    struct framing *framing; /* NULL: no messages are looked for */
    struct kernel_source *kernel;
    struct holders *holders;
    struct capture_clock clock;
    struct row *rows;
    size_t n_rows, rows_room;
    struct own *owns;
    size_t n_owns, owns_room;
    uint32_t *own_of_fd; /* the youngest socket of each descriptor, and one; 0: none */
    size_t n_fds;
    uint32_t *own_of_peer; /* a hash table of those with a peer_key, and one; 0: empty */
    size_t n_peer_places, n_peers;
    uint64_t n_calls; /* numbers of calls given out */
    uint64_t n_packets, n_left_out, n_dropped_told, n_received, n_dropped;
    int64_t start_ns, now_ns, next_sample_ns, next_look_ns, last_event_ns;
    struct session_counts counts;
    bool no_packets_told;
    bool is_busy; /* the last turn took something */
    unsigned wanted_generation;
    uint64_t n_packets_last; /* taken by the last turn */
};

int64_t session_now_ns(void);

/* A row, or NULL: there are too many. */
struct row *session_add_row(struct session *session, uint8_t protocol, const struct sonde_address address[N_ENDS],
                            int64_t t_ns, bool has_segments, uint64_t *ret_conn);
static inline struct row *session_row(struct session *session, uint64_t conn)
{
    return conn > 0 && conn <= session->n_rows ? &session->rows[conn - 1] : NULL;
}

/* session_wanted.c: only what is wanted. Of this row a segment, or datagram, is not to be told. */
bool wanted_leaves(uint64_t conn, const struct event_segment *segment, void *user);
/* Which rows somebody looks at has changed, perhaps: of those the kernel is asked. */
void wanted_follow(struct session *session);
/* A new row. */
void wanted_row(struct session *session, struct row *row, uint64_t conn);

/* One call of our own: onto the time line. */
void join_call(struct session *session, const struct program_call *call);
/* session_peers.c: the socket with this peer, made when there is none; NULL: no memory. base: the socket itself. */
struct own *peer_own(struct session *session, struct own *base, const struct program_call *call);
/* A new one at the end of the table; NULL: too many, or no memory. Pointers to others are void then. */
struct own *own_add(struct session *session, const struct program_call *call);

/* session_messages.c: a handshake or message of ours, with the index of its socket. */
void join_message(struct session *session, const struct program_call *call, struct own *own);
/* ... whose end is known now. */
void join_message_end(struct event *event, enum event_end end);

/* An event that leaves the time line: its connection decided. False: it is not to be shown. */
bool join_decide(struct session *session, struct event *event);
/* Which sockets of ours its ends are. */
void join_fill_in(const struct session *session, const struct row *row, struct event_connection *connection);
void join_free(struct session *session);

/* Hand an event to the views. */
void session_show(struct session *session, const struct event *event);

#endif
