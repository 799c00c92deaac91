/* SPDX-License-Identifier: MIT */
/*
 * The store for those who write into it and those who keep it running: look.c, view.c, packets.c, store_streams.c, and
 * page.c and order.c, which call them.
 *
 *   page.c:   store_new -> [look_new] -> look_run, again and again, on the page's thread -> look_free -> store_free
 *   order.c:  tap_init -> sonde_loop_set_tap(loop, tap_heard, tap) -> tap_opened, tap_closed ... -> tap_end
 *   view.c:   store_event, store_packet, on the trace's thread
 *
 * How it is kept
 *
 * What is kept of one owner (a trace's events, its packets, a row's messages) is a pile: a list, oldest first. All
 * piles of one sort stand on a shelf, in one list of all their items, oldest first too, with one bound. Putting
 * something on a pile, and throwing away what is too much, on the pile or on the shelf, looks at the ends of these
 * lists only. Items of a pile have numbers without a gap, so what a viewer has missed is a subtraction.
 *
 * A trace's connection (struct trace_row) stands for itself, since both ends of it may be rows, or neither: it waits
 * then for the row that it belongs to, for as long as there is room.
 */
#ifndef PAGE_STORE_INTERNAL_H
#define PAGE_STORE_INTERNAL_H

#include "page/store.h"
#include "page/store_hash.h"
#include "watch/judge.h"

#include <pthread.h>
#include <stdatomic.h>

/* Of a page (page.c). */
struct store *page_store(const struct page *page);

/* ---- the kernel's sockets (look.c): on the page's thread alone */

struct look;

/* Errors: -ENOMEM; those of sockets_open, where sockets are to be the rows: elsewhere the kernel is not asked then, as
 * where no kinds are asked for, but plots get their points all the same. */
int look_new(struct store *store, const struct page_settings *settings, struct look **ret_look);
void look_free(struct look *look); /* NULL is fine */
/* Other kinds and another filter from now on. */
void look_set_filter(struct look *look, unsigned kinds, const struct sockets_filter *filter);
/* Look, if it is time to. Returns when to call again (CLOCK_MONOTONIC): every 100 ms while somebody looks at a row,
 * every 500 ms while there are viewers, else every 2 s; later where looking takes long, so that it is never more than a
 * hundredth of the time. Call it at once when a viewer has come, or has opened a row. */
int64_t look_run(struct look *look, unsigned n_viewers);
/* Why looks are rarer than they should be, in a sentence; NULL: they are not. */
const char *look_why_rarely(const struct look *look);

/* A viewer's filter that asks for owners (filter_needs_owner) finds them through this; it is asked inside of
 * store_put_overview. */

/* ---- streams (store_streams.c): on their loop's thread */

/* What a loop's tap knows; part of order.c's struct page_loop, and its members are for store_streams.c alone, but for
 * from_page: set it around a write that a viewer has asked for. */
struct tap {
    struct store *store;
    struct page_loop *loop;
    bool from_page;
    struct hash streams; /* by number */
};

/* What can be done with a row. */
#define ROW_CAN_SEND 1u
#define ROW_CAN_HALF_CLOSE 2u
#define ROW_CAN_KICK 4u

bool tap_init(struct tap *tap, struct store *store, struct page_loop *loop); /* false: no memory */
void tap_end(struct tap *tap); /* its streams are closed rows from now on */
/* As page_stream_opened. can: ROW_CAN_..., of it what the page's rights allow. Idempotent. */
void tap_opened(struct tap *tap, struct sonde_stream *stream, const char *local, const char *note, unsigned can);
void tap_closed(struct tap *tap, struct sonde_stream *stream);
/* It was half-closed, so that nothing can be sent any more, or the like. */
void tap_can(struct tap *tap, const struct sonde_stream *stream, unsigned can);
/* A sonde_tap_function; user is the tap. Of streams that were not opened here it takes no notice. */
void tap_heard(struct sonde_stream *stream, enum sonde_direction direction, const struct sonde_lent *bytes, void *user);
/* The row of a stream; 0: none. */
uint64_t tap_row(const struct tap *tap, const struct sonde_stream *stream);

/* page_listening: it is shown although the kernel is not asked. */
void store_listening(struct store *store, const char *url, const char *note);

/* ---- a trace (view.c, packets.c): on its thread */

struct sampling;

/* What of it is taken in (trace/sampling.h): rows that are watched whole. */
struct sampling *store_sampling(const struct store *store);

void store_event(struct store *store, const struct event *event);
void store_packet(struct store *store, uint64_t conn, uint32_t segment, int64_t t_ns, const struct packet *packet);
/* Payload in order: what is said, where no stream of ours tells of it. n_missing bytes before it were not captured. */
void store_data(struct store *store, uint64_t conn, int64_t t_ns, enum event_end from, const void *data, size_t n_bytes,
                uint64_t n_missing);
void store_datagram(struct store *store, uint64_t conn, int64_t t_ns, enum event_end from, const void *data,
                    size_t n_bytes, size_t n_whole_bytes);
void store_trace_over(struct store *store, uint64_t conn);
void store_packets_dropped(struct store *store, uint64_t n); /* by the capture, in all */
/* A trace begins, or begins again: its connections' numbers begin at 1. */
void store_trace_begins(struct store *store);

/* ---- several traces at a time, each of one connection (store_demand.c) */

/* What they count from 1 is told apart by the session's number, which is not 0, and never used twice. 0: the one trace
 * of its page. */
#define STORE_SESSION_BITS 20 /* of the connection */
static inline uint64_t store_conn_of(uint64_t session, uint64_t conn)
{
    return session << STORE_SESSION_BITS | conn;
}

static inline uint64_t store_session_of(uint64_t conn)
{
    return conn >> STORE_SESSION_BITS;
}

/* A TCP or UDP row with both ends that somebody looks at. */
struct demand {
    uint64_t row;
    struct sonde_address local, peer;
    uint8_t protocol;
    bool is_ended;
};
size_t store_demands(struct store *store, struct demand *ret_demands, size_t n_max); /* how many; each row once */
void store_session_begins(struct store *store);
void store_session_over(struct store *store, uint64_t session);

#endif
