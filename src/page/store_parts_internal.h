/* SPDX-License-Identifier: MIT */
/* The inside of the store, for store.c, store_*.c and packets.c. Everything here is under its lock. */
#ifndef PAGE_STORE_PARTS_INTERNAL_H
#define PAGE_STORE_PARTS_INTERNAL_H

#include "page/store_hash.h"
#include "page/store_internal.h"
#include "page/store_pile.h"
#include "trace/sampling.h"

#include <sys/queue.h>

#define WAITING_MAX PAGE_ROWS_MAX /* connections of a trace without a row */
#define LISTENERS_MAX 256
#define NAME_MAX_BYTES 256
#define EVENTS_LEAST 50 /* of a row that nobody looks at, when there are many */
#define PACKET_SNAP 2048
#define POINTS_COARSE_MAX 60 /* of a row that nobody looks at, */
#define POINT_COARSE_NS (2 * NS_PER_S)
#define RATE_NS NS_PER_S

#define NOT_KNOWN UINT64_MAX

/* Kept events, messages, packets: an item of a pile and what it is. */
struct kept_event {
    struct item item;
    struct event *event;
};

struct kept_message {
    struct item item;
    int64_t t_ns;
    uint64_t n_whole_bytes;
    uint8_t direction; /* enum sonde_direction */
    bool is_text, is_message, is_cut, from_page;
    uint32_t n_bytes;
    unsigned char data[];
};

struct kept_packet {
    struct item item;
    int64_t t_ns;
    uint64_t number;
    uint32_t segment, n_captured, n_wire;
    uint16_t link_type;
    uint8_t data[];
};

struct point {
    int64_t t_ns;
    uint64_t value[8]; /* in the order of sonde-page(7); NOT_KNOWN: null */
};

/* What of a connection is known in numbers. NOT_KNOWN, each of them, where it is not. */
struct figures {
    uint64_t in, out, rtt_us, cwnd, receive_queue, send_queue, unsent, retransmits;
};

/* A connection as the trace tells of it. */
struct trace_row {
    struct hash_link by_conn, by_ends;
    TAILQ_ENTRY(trace_row) link; /* the quietest first */
    uint64_t conn;
    struct store_row *row[N_ENDS]; /* whose end it is; in PAGE_ROWS_TRACE the same for both */
    struct event *connection;      /* its latest introduction; NULL: none yet */
    struct pile events, packets;
    struct pile said; /* before it had a row; directions are SONDE_OUT from END_A, SONDE_IN from END_B */
    struct sonde_address address[N_ENDS];
    uint64_t cookie[N_ENDS], n_bytes[N_ENDS]; /* bytes: of payload that it has sent, each once */
    uint8_t state[N_ENDS], protocol;
    struct figures figures[N_ENDS];
    int64_t first_ns, last_ns;
    bool is_known, is_over, begins_midway; /* is_known: introduced */
    uint8_t our_end;                       /* enum event_end; N_ENDS: none is */
    char brief[48];                        /* of its last conclusion; "": none */
    char *trouble;                         /* sentences; NULL: none */
};

struct store_row {
    struct hash_link by_id, by_cookie, by_ends;
    TAILQ_ENTRY(store_row) link; /* of those that have ended, or of those that live: the quietest first */
    uint64_t id, cookie, inode, peer_inode;
    struct trace_row *trace;
    enum event_end trace_end;
    struct page_loop *loop;   /* with tap: its stream */
    uint64_t stream;          /* 0: it has none, and never had one */
    struct tap_stream *tap;   /* NULL: it is closed, or never was */
    bool has_socket;          /* the kernel knows it */
    bool is_ended, is_shared; /* is_shared: the socket is that of many peers */
    bool has_messages;
    uint8_t family, type, protocol, state, timer, n_retransmits, weight;
    uint8_t layers; /* SONDE_LAYER_... */
    unsigned can;   /* ROW_CAN_... */
    unsigned n_watching;
    struct sonde_address local, peer;
    char *local_name, *note;     /* raw; NULL: none */
    char *brief, *verdict;       /* NULL: it is well */
    char owner[80], program[64]; /* "nc[4121]", "nc"; escaped */
    int32_t pid;
    uint32_t uid;
    int64_t timer_ns; /* left at seen_ns */
    int64_t since_ns; /* 0: not known */
    int64_t seen_ns;
    struct figures figures;
    uint64_t tap_in, tap_out; /* as they were when somebody asked (store_row_heard) */
    struct pile messages;
    int64_t rate_ns, moved_ns;
    uint64_t rate_in, rate_out, in_per_s, out_per_s;
    struct point *points; /* a ring */
    unsigned points_room, n_points, next_point;
    uint64_t n_points_ever;
    int64_t point_ns; /* of the last */
};

/* A stream as its loop's thread knows it. Freed by that thread, under the lock. */
struct tap_stream {
    struct hash_link link; /* unlocked: of its tap */
    struct store_row *row; /* NULL: it had to go */
    /* Unlocked: written by the loop's thread. passed: not kept, and not told to the pile yet. */
    atomic_uint_fast64_t n_in, n_out, n_passed, n_bytes_passed;
    atomic_bool watched;
};

struct store_listener {
    uint64_t id, cookie;
    char *address, *note; /* raw */
    char *url;            /* of those that were announced; NULL: the kernel told */
    struct sonde_address local;
    char *brief, *verdict;
    char owner[80];
    int32_t pid;
    uint8_t protocol, family, type, weight;
    bool is_seen, is_full; /* is_seen: by the kernel, at the last look; queue and limit are known */
    bool has_dropped;
    uint32_t queue, limit, half_open, dropped;
    uint64_t look;
    uint64_t inode;
};

TAILQ_HEAD(row_list, store_row);
TAILQ_HEAD(trace_list, trace_row);

struct store {
    pthread_mutex_t lock;
    enum page_rows mode;
    unsigned can; /* what the page's rights allow */
    uint64_t version, last_id, last_listener;
    struct hash rows, cookies, ends, traces, trace_ends;
    struct row_list living, ended;
    struct trace_list waiting, joined; /* the quietest first */
    struct trace_row *hand;            /* among those that are joined: the next to give events away; NULL: the first */
    size_t n_rows, n_ended, n_traces, n_waiting;
    struct shelf events, messages, packets;
    struct store_listener *listeners;
    size_t n_listeners;
    char *machine_brief, *machine_verdict; /* what is wrong with the machine as a whole; NULL: nothing is */
    uint64_t look;                         /* number of the last look */
    uint64_t n_beyond, n_beyond_next;      /* sockets of the last look, and of this one, for which there was no room */
    unsigned n_watching;                   /* rows, each as often as it is watched */
    uint64_t watching[64];                 /* their numbers; 0: free */
    struct sampling *sampling;
    bool has_trace;
    /* Dropped: connections of the trace, and their events, for want of a row; rows, for want of room. */
    uint64_t n_events_dropped, n_rows_dropped, n_packets_lost;
    uint64_t n_events, n_messages; /* ever */
    int64_t rate_ns;
    uint64_t rate_events, events_per_s;
    /* What the taps may still keep in this stretch of time; written by any thread. */
    atomic_int_fast64_t stretch;
    atomic_uint_fast64_t stretch_bytes, stretch_watched_bytes, stretch_messages;
};

static inline void store_lock(struct store *store)
{
    pthread_mutex_lock(&store->lock);
}

static inline void store_unlock(struct store *store)
{
    pthread_mutex_unlock(&store->lock);
}

int64_t store_now_ns(void);

/* ---- store.c: rows */

/* NULL: no memory, or no room. One that lingers, in TIME_WAIT, takes the place of those only that have ended. */
struct store_row *store_row_new(struct store *store, bool lingers);
/* Of a row with a socket. */
void store_row_set_state(struct store *store, struct store_row *row, enum tcp_state state);
void store_row_end(struct store *store, struct store_row *row);
/* It has come back: the kernel overlooked it. */
void store_row_revive(struct store *store, struct store_row *row);
void store_row_forget(struct store *store, struct store_row *row);
struct store_row *store_row_of(const struct store *store, uint64_t id); /* NULL: none */
void store_row_set_cookie(struct store *store, struct store_row *row, uint64_t cookie);
void store_row_set_ends(struct store *store, struct store_row *row, const struct sonde_address *local,
                        const struct sonde_address *peer);
/* It has moved: the last to make room. */
void store_row_moved(struct store *store, struct store_row *row);
struct store_row *store_row_of_cookie(const struct store *store, uint64_t cookie);
void store_row_add_point(struct store_row *row, int64_t t_ns);
/* Replace a text that was malloced; "" becomes NULL. */
void store_keep_text(char **text, const char *bytes, size_t n_bytes);
void store_figures_clear(struct figures *figures);

uint64_t store_hash_of_ends(uint8_t protocol, const struct sonde_address *one, const struct sonde_address *other);
bool store_same_end(const struct sonde_address *one, const struct sonde_address *other);

/* ---- store_trace.c */

void store_trace_join(struct store *store, struct trace_row *trace);
/* A row has got its ends, or its cookie: is there a connection that waits for it? */
void store_trace_find_for(struct store *store, struct store_row *row);
void store_trace_part(struct store *store, struct store_row *row); /* the row goes */
void store_trace_forget(struct store *store, struct trace_row *trace);
void store_traces_free(struct store *store);
void store_free_event(struct item *item);

/* ---- store_streams.c */

/* May so much be kept of what is said in this stretch of time? Unlocked. */
bool store_may_keep(struct store *store, int64_t now_ns, bool watched, uint64_t n_bytes);
/* A copy of it, as far as it is kept; NULL: no memory. */
struct kept_message *store_copy_message(const struct sonde_lent *bytes, enum sonde_direction direction, int64_t t_ns);
/* Onto a row's pile, or a connection's. */
void store_said(struct store *store, struct pile *pile, struct kept_message *kept);

/* In and out as the tap has heard them; what was not kept is told to the pile. */
void store_row_heard(struct store_row *row);

/* ---- store_row_json.c */

#define ROW_JSON_ROOM (8 * 1024 + 6 * VERDICT_TEXT_MAX)

/* As the members of an object that has begun. whole: with its verdict. */
struct json;
void store_row_json(struct json *json, struct store_row *row, int64_t now_ns, bool whole);
void store_listener_json(struct json *json, const struct store_listener *listener);
/* Take in what is new of its bytes. */
void store_row_refresh(struct store_row *row, int64_t now_ns);
size_t store_row_peer_text(const struct store_row *row, char *ret_text, size_t size_bytes);
size_t store_row_local_text(const struct store_row *row, char *ret_text, size_t size_bytes);
/* What a filter is to hold it against. */
void store_row_to_info(const struct store_row *row, struct socket_info *ret_socket);

/* ---- for look.c: the kernel's sockets */

struct seen {
    uint64_t key;                     /* its cookie, or what stands for it (watch/model.h) */
    const struct socket_info *socket; /* store_gone: not asked for */
    int64_t now_ns, since_ns;         /* since_ns 0: not known */
    bool bytes_known;
    uint64_t in, out;
    const struct judgement *judgement; /* NULL: not judged this time */
    const char *owner;                 /* NULL: not known */
    int32_t pid;
    uint64_t half_open;
    bool is_point; /* it is looked at for the plots */
};

/* One socket. matches: it is to be a row where sockets are. */
void store_see(struct store *store, const struct seen *seen, bool matches);
void store_see_listener(struct store *store, const struct seen *seen, bool matches);
/* It is gone; what is known of its bytes at the end. */
void store_gone(struct store *store, const struct seen *seen);
void store_look_begins(struct store *store);
void store_look_ends(struct store *store);
/* What is wrong with the machine as a whole; "": nothing is. */
void store_see_machine(struct store *store, const char *brief, const char *verdict);
void store_listeners_free(struct store *store);
bool store_is_watched(struct store *store);
/* Rows that somebody looks at: how many; those without a socket of the kernel's get their point. */
struct watched {
    uint64_t cookie;
    struct sonde_address local, peer;
    uint8_t protocol, state;
};
size_t store_watched(struct store *store, int64_t now_ns, struct watched *ret_watched, size_t n_max);
/* Local ports of streams and listeners of ours, for the kernel to look among: how many; more than n_max: too many to
 * tell. */
size_t store_stream_ports(struct store *store, uint16_t *ret_ports, size_t n_max);

#endif
