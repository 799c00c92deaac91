/* SPDX-License-Identifier: MIT */
/*
 * What was seen, joined by connection, bounded, for the page. One lock; every function takes it, any thread may call.
 *
 * A row is one end of a connection (a socket of this machine), or, for what only a trace saw, a connection. It has a
 * number that is never used twice. What is joined to it: the kernel's socket, by its cookie; a stream of ours, by its
 * loop and number, and the same cookie; the trace's connection, by a cookie of one of its ends, else by addresses and
 * ports, if that row is alive and has none. Of a connection within this machine both ends are rows, with one trace.
 *
 * Bounds: PAGE_ROWS_MAX rows (the longest-ended go first, then, for others than themselves, those in TIME_WAIT, of
 * which a busy server has tens of thousands), PAGE_EVENTS_MAX events of all, PAGE_ROW_EVENTS_MAX of one (the oldest go
 * first), PAGE_BYTES_MAX bytes of messages of all, PAGE_ROW_BYTES_MAX of one, PAGE_MESSAGE_MAX of one message,
 * PAGE_PACKETS_BYTES_MAX of packets. What went is counted, by row and in all, and told to viewers.
 */
#ifndef PAGE_STORE_H
#define PAGE_STORE_H

#include "page/page.h"
#include "watch/text.h"

#define PAGE_ROWS_MAX 4096
#define PAGE_EVENTS_MAX 100000
#define PAGE_ROW_EVENTS_MAX 2000
#define PAGE_BYTES_MAX (64u * 1024 * 1024)
#define PAGE_ROW_BYTES_MAX (1024u * 1024)
#define PAGE_ROW_MESSAGES_MAX 500
#define PAGE_MESSAGE_MAX 4096 /* kept of one; its length is told all the same */
#define PAGE_PACKETS_BYTES_MAX (64u * 1024 * 1024)
#define PAGE_POINTS_MAX 240 /* of a row's plots; older ones go */

struct store;

struct store *store_new(const struct page_settings *settings); /* NULL: no memory */
void store_free(struct store *store);

/* ---- reading, for viewers: members of sonde-page(7)'s messages, appended to a growing text */

/* Where a viewer stands in the events and messages of one row. Zeroed: at the beginning. */
struct store_cursor {
    uint64_t row;
    uint64_t next_event, next_message, next_point; /* numbers within the row */
    uint64_t next_byte;                            /* of messages */
    uint64_t trace;                                /* the connection whose events these are; 0: none yet */
};

struct store_overview {
    unsigned n_rows_max;                 /* rows to write: those in trouble first, then those where something moves */
    const struct sockets_filter *filter; /* the viewer's; NULL: none */
    uint64_t with;                       /* this row is among them in any case; 0: none */
};

/* "connections":..,"shown":..,"events_per_s":..,"attention":[..],"listeners":[..],"rows":[..]. True: there are more
 * rows than that many, and not all are written. */
bool store_put_overview(struct store *store, const struct store_overview *overview, struct text *text);
/* One row, whole: {...}. False: there is no such row (any more). */
bool store_put_row(struct store *store, uint64_t row, struct text *text);
/* "events":[..],"lost":N,"left_out":N: from the cursor on, at most n_max of them, the newest when there are more: then
 * left_out says how many were passed over; lost: are no longer kept. Returns how many were written. */
size_t store_put_events(struct store *store, struct store_cursor *cursor, size_t n_max, struct text *text);
/* "messages":[..],"lost":N,"lost_bytes":N; "points":[..]: the same. */
size_t store_put_messages(struct store *store, struct store_cursor *cursor, size_t n_max, struct text *text);
size_t store_put_points(struct store *store, struct store_cursor *cursor, struct text *text);
/* The packet of this segment of the row's connection, layer by layer, as `sonde trace --layers --json` has it: {...}.
 * False: it is not kept; *ret_why is a sentence. */
bool store_put_layers(struct store *store, uint64_t row, uint32_t segment, struct text *text, const char **ret_why);

/* Which stream a row is: false: none (any more). */
struct store_stream {
    struct page_loop *loop;
    uint64_t id;
};
bool store_find_stream(struct store *store, uint64_t row, struct store_stream *ret_stream);

/* Somebody looks at this row (+1, -1): more of it is kept, and points are taken more often. */
void store_watch_row(struct store *store, uint64_t row, int change);

/* Rises whenever there may be news for viewers. */
uint64_t store_version(struct store *store);

/* ---- writing: by look.c, view.c, order.c; see there. store_internal.h has the rest. */

#endif
