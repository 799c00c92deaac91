/* SPDX-License-Identifier: MIT */
/* What the files of the session share: session.c runs, session_join.c says which connection a call belongs to. */
#ifndef TRACE_SESSION_INTERNAL_H
#define TRACE_SESSION_INTERNAL_H

#include "observe/event/timeline.h"
#include "trace/clock.h"
#include "trace/holders.h"
#include "trace/kernel.h"
#include "trace/packets.h"
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
    struct holder holder[N_ENDS];
    struct event_values told[N_ENDS]; /* what the ladder shows */
    uint8_t state[N_ENDS];            /* without segments: what was told last */
};

/* A socket of ours. */
struct own {
    uint64_t cookie, stream, netns_cookie;
    int32_t fd;
    bool is_unix, has_addresses, has_target, closed;
    uint8_t role; /* enum event_role */
    struct sonde_address local, peer, target;
    int64_t first_ns;
    int64_t accepted_ns; /* when accept had returned: its handshake may have been while it ran */
    uint64_t conn;       /* 0: not decided */
    uint8_t end;         /* enum event_end, once it is */
    uint64_t n_sent, n_received;
};

struct session {
    struct session_settings settings;
    struct timeline *line;
    struct packets *packets;
    struct kernel_source *kernel;
    struct holders *holders;
    struct capture_clock clock;
    struct row *rows;
    size_t n_rows, rows_room;
    struct own *owns;
    size_t n_owns, owns_room;
    uint32_t *own_of_fd; /* the youngest socket of each descriptor, and one; 0: none */
    size_t n_fds;
    uint64_t n_calls; /* numbers of calls given out */
    uint64_t n_packets, n_left_out, n_dropped_told, n_received, n_dropped;
    int64_t start_ns, now_ns, next_sample_ns, next_look_ns, last_event_ns;
    struct session_counts counts;
    bool no_packets_told;
};

int64_t session_now_ns(void);

/* A row, or NULL: there are too many. */
struct row *session_add_row(struct session *session, uint8_t protocol, const struct sonde_address address[N_ENDS],
                            int64_t t_ns, bool has_segments, uint64_t *ret_conn);
static inline struct row *session_row(struct session *session, uint64_t conn)
{
    return conn > 0 && conn <= session->n_rows ? &session->rows[conn - 1] : NULL;
}

/* One call of our own: onto the time line. */
void join_call(struct session *session, const struct program_call *call);
/* An event that leaves the time line: its connection decided. False: it is not to be shown. */
bool join_decide(struct session *session, struct event *event);
/* Which sockets of ours its ends are. */
void join_fill_in(const struct session *session, const struct row *row, struct event_connection *connection);
void join_free(struct session *session);

/* Hand an event to the views. */
void session_show(struct session *session, const struct event *event);

#endif
