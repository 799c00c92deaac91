/* SPDX-License-Identifier: MIT */
/*
 * Sockets as rows of a table: what stands in each cell, and which columns there is room for. Pure.
 *
 * Columns that do not fit are dropped in this order: the verdict's short form, the round trip, the rates, the owner's
 * pid, the local address when all agree on it (the port stays), the timer's word (the time stays), the queues when all
 * are empty; then the owner, the local end, and the timer. The peer is cut last.
 */
#ifndef WATCH_VIEW_H
#define WATCH_VIEW_H

#include "observe/sockets/owners.h"
#include "watch/line.h"
#include "watch/model.h"

enum column {
    COLUMN_STATE,
    COLUMN_RECV,
    COLUMN_SEND,
    COLUMN_LOCAL,
    COLUMN_PEER,
    COLUMN_TIMER,
    COLUMN_IN,
    COLUMN_OUT,
    COLUMN_RTT,
    COLUMN_OWNER,
    COLUMN_VERDICT,
    COLUMN_N,
};

struct view {
    const struct owners *owners; /* NULL: not searched, the column is not there */
    bool ascii;
    int64_t now_ns;  /* timers count down to here, */
    int64_t seen_ns; /* ... from here */
};

struct layout {
    bool shown[COLUMN_N];
    unsigned width[COLUMN_N];              /* what they would like */
    unsigned short_owner_width, owner_cut; /* without pids */
    bool owner_pid, local_ip, timer_word;
    unsigned n_columns;  /* of the screen */
    unsigned peer_width; /* what is left for the peer */
    unsigned listener_width, listener_shown, bar_width;
};

#define CELL_MAX 512

/* Text of a cell, escaped, without padding; the number of bytes. */
size_t cell_state(const struct row *row, char ret_text[CELL_MAX], enum style *ret_style);
size_t cell_local(const struct row *row, bool with_ip, char ret_text[CELL_MAX]);
size_t cell_peer(const struct row *row, char ret_text[CELL_MAX]);
size_t cell_timer(const struct view *view, const struct row *row, bool with_word, bool plain, char ret_text[CELL_MAX]);
size_t cell_owner(const struct view *view, const struct row *row, bool with_pid, char ret_text[CELL_MAX]);

/* Widths: begin, note each row, then fit. */
void layout_init(struct layout *layout);
/* What is not needed any more is given up only now and then, so that columns stay where they are: `since` has collected
 * the needs of a while, and begins again. */
void layout_shrink(struct layout *layout, struct layout *since);
void layout_note(struct layout *layout, const struct view *view, const struct row *row);
/* all_local_agree, queues_empty: of all rows. */
void layout_fit(struct layout *layout, unsigned n_columns, bool wants_rates, bool wants_owner, bool wants_verdict,
                bool all_local_agree, bool queues_empty);

/* mark: "!" or "", cursor: this row is under it. */
void view_head(const struct layout *layout, enum column sorted, struct line *line);
void view_row(const struct view *view, const struct layout *layout, const struct row *row, const struct track *track,
              bool cursor, struct line *line);
void view_listener_head(const struct layout *layout, bool wants_owner, struct line *line);
void view_listener(const struct view *view, const struct layout *layout, const struct row *row,
                   const struct track *track, bool cursor, struct line *line);

bool view_same_ip(const struct sonde_address *a, const struct sonde_address *b);

/* Does it belong to the listeners' table? */
static inline bool row_is_listener(const struct row *row)
{
    return row->state == TCP_STATE_LISTEN;
}

#endif
