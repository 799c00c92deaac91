/* SPDX-License-Identifier: MIT */
/*
 * The sockets, and what became of them. Pure: it is told what was seen and when.
 *
 *   model_begin(model, now_ns);
 *   for each death: model_died(model, &info);      those reported since the last look
 *   for each socket: model_see(model, &info);
 *   model_end(model);
 *
 * With a past (model_init), sockets are followed by their cookie from look to look, which survives every change of
 * state, TIME_WAIT included; changes are told to whoever asked. Without one each socket is a row and no more: that is
 * for the one look of a table.
 *
 * Deaths are told before the look that follows them, so that a socket that died and is still seen has left its
 * TIME_WAIT entry behind. One that is only missing may have been overlooked by a dump during which the kernel's hash
 * changed: it is gone when it is missing twice. The kernel does not list a connection that was reset; its program may
 * hold it for long, and its death is told only then: so such a one is remembered for a while, lest it be taken for one
 * that was never seen.
 */
#ifndef WATCH_MODEL_H
#define WATCH_MODEL_H

#include "observe/verdict/verdict.h"
#include "watch/census.h"

#define MODEL_ROWS_MAX (1u << 20)

/* What is kept of a socket; the rest is asked for again when somebody looks closer. */
struct row {
    uint64_t key; /* its cookie */
    uint64_t inode, peer_inode, bytes_in, bytes_out;
    struct sonde_address local, peer;
    int64_t timer_ns; /* left when it was seen */
    uint32_t uid, interface, receive_queue, send_queue, rtt_us, drops, n_half_open;
    uint8_t family, type, protocol, state, timer, n_retransmits, shutdown;
    uint8_t direction, weight; /* enum direction, enum verdict_weight */
    bool has_info, has_drops, v6_only;
    uint8_t n_unix_name;
    char *unix_name; /* raw bytes */
    const struct socket_verdict *verdict;
    char *verdict_short; /* NULL: none */
};

struct track {
    struct socket_past past;
    int64_t seen_ns, gone_ns; /* gone_ns 0: it is there */
    int64_t rate_since_ns;
    uint64_t rate_in_before, rate_out_before, in_per_s, out_per_s;
    uint32_t drops_first;
    uint32_t look; /* when it was seen last */
    uint8_t from_state;
    bool rates_known, died, missed, is_missing, untold;
    uint8_t fins_acked; /* missed: what bytes_acked has beyond the payload, 0 to 2: its SYN, its FIN */
    bool wanted;        /* for the owner of the model: matches its filter */
    /* Where it stands in a sorted list, and since when it should stand elsewhere; 0: it should not. */
    uint64_t place_key;
    int64_t place_differs_ns;
    uint8_t place_weight;
};

enum change_kind {
    CHANGE_APPEARED,
    CHANGE_STATE,
    CHANGE_GONE,
    CHANGE_MISSED, /* it came and died between two looks */
};

struct change {
    enum change_kind kind;
    enum tcp_state from, to;
    int64_t in_state_ns;   /* how long it was in `from`, */
    bool in_state_known;   /* ... or at least so long */
    bool bytes_known;      /* the row's bytes are its last */
    bool first_look;       /* it was there when we came */
    const struct row *row; /* as it is now; of one that is gone: as it was last */
    const struct track *track;
};

/* A socket that was never seen alive, and the TIME_WAIT entry that it left, have different cookies: they are brought
 * together by their addresses, as long as both are news. */
#define MODEL_NEWS_MAX 1024

struct news {
    uint64_t key;
    uint32_t look;
};

#define MODEL_PASS_FROM 4096

struct model {
    struct row *rows;
    struct track *tracks; /* NULL: no past */
    uint32_t *table;      /* row + 1 by key; 0: free */
    size_t n_rows, n_room, n_places;
    bool has_past;
    uint32_t look;
    int64_t now_ns;
    int64_t linger_ns;                /* rows that are gone stay so long */
    uint64_t n_beyond;                /* sockets of this look that found no room */
    uint64_t n_missed;                /* that came and died unseen, so far */
    uint64_t n_nameless;              /* that died without addresses: never used, or reset by their own program */
    struct news news[MODEL_NEWS_MAX]; /* the latest missed ones, and TIME_WAIT entries that appeared; a ring */
    size_t n_news;
    struct census census;      /* of the last whole look */
    struct census next_census; /* of this one */
    /* Without a past: past MODEL_PASS_FROM rows, whoever can do without a row is asked to take it; true: it has. NULL:
     * all are kept. Not asked for UNIX sockets. */
    bool (*pass)(const struct row *row, void *user);
    void (*on_change)(const struct change *change, void *user); /* may be NULL */
    void *user;
};

void model_init(struct model *model, bool has_past);
void model_free(struct model *model);

void model_begin(struct model *model, int64_t now_ns);
void model_died(struct model *model, const struct socket_info *socket);
/* Its row, or NULL when there is no room. Lent until the next call. */
struct row *model_see(struct model *model, const struct socket_info *socket);
void model_end(struct model *model);

/* The past of a socket that was seen once, just now. */
void past_begin(const struct socket_info *socket, int64_t now_ns, struct socket_past *ret_past);

struct row *model_find(const struct model *model, uint64_t key);
static inline struct track *model_track(const struct model *model, const struct row *row)
{
    return model->tracks ? &model->tracks[row - model->rows] : NULL;
}

/* A listener's queue, full or not: it is full when it is longer than its limit. */
static inline bool row_is_full(const struct row *row)
{
    return row->state == TCP_STATE_LISTEN && row->receive_queue > row->send_queue;
}

/* Is it still to be shown? */
static inline bool track_is_shown(const struct model *model, const struct track *track)
{
    return !track->missed && (track->gone_ns == 0 || model->now_ns - track->gone_ns < model->linger_ns);
}

/* Payload, without what the kernel counts for SYN and FIN. */
void socket_payload(const struct socket_info *socket, enum direction direction, uint64_t *ret_in, uint64_t *ret_out);

#endif
