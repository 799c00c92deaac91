/* SPDX-License-Identifier: MIT */
/*
 * Connections that a trace tells of, their events and packets, and whose rows they are.
 *
 * A packet comes before the events that are made of it, and either may come before the kernel or a loop has told of the
 * row: so a connection is kept by its number first, and joined when both are there. It belongs to a row with the cookie
 * of one of its ends; else to the one with its addresses that lives and has none. Ports are used again: the row of the
 * connection before has ended, or has a trace already, and is passed over.
 */
#include "page/store_parts_internal.h"

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void store_free_event(struct item *item)
{
    struct kept_event *kept = (struct kept_event *)item;
    free(kept->event);
    free(kept);
}

/* ---- connections */

static struct trace_row *trace_of(const struct store *store, uint64_t conn)
{
    struct hash_link *link = store_hash_find(&store->traces, conn);
    return link ? HASH_OF(link, struct trace_row, by_conn) : NULL;
}

static bool is_waiting(const struct trace_row *trace)
{
    return !trace->row[END_A] && !trace->row[END_B];
}

static struct trace_list *list_of(struct store *store, const struct trace_row *trace)
{
    return is_waiting(trace) ? &store->waiting : &store->joined;
}

void store_trace_forget(struct store *store, struct trace_row *trace)
{
    if (store->hand == trace)
        store->hand = NULL;
    TAILQ_REMOVE(list_of(store, trace), trace, link);
    store->n_waiting -= is_waiting(trace);
    for (int end = 0; end < N_ENDS; end++) {
        if (trace->row[end])
            trace->row[end]->trace = NULL;
    }
    pile_clear(&trace->events);
    pile_clear(&trace->packets);
    pile_clear(&trace->said);
    store_hash_remove(&store->traces, &trace->by_conn);
    store_hash_remove(&store->trace_ends, &trace->by_ends);
    store->n_traces--;
    free(trace->connection);
    free(trace->trouble);
    free(trace);
}

void store_traces_free(struct store *store)
{
    struct trace_row *trace;
    while ((trace = TAILQ_FIRST(&store->waiting)) || (trace = TAILQ_FIRST(&store->joined)))
        store_trace_forget(store, trace);
}

static struct trace_row *trace_new(struct store *store, uint64_t conn, int64_t t_ns)
{
    /* There is a bound for those that have a row already: that of the rows. */
    if (store->n_waiting >= WAITING_MAX) {
        store->n_events_dropped += TAILQ_FIRST(&store->waiting)->events.n_items;
        store_trace_forget(store, TAILQ_FIRST(&store->waiting));
    }
    struct trace_row *trace = calloc(1, sizeof *trace);
    if (!trace)
        return NULL;
    trace->conn = conn;
    trace->events.shelf = &store->events;
    trace->packets.shelf = &store->packets;
    trace->said.shelf = &store->messages;
    trace->our_end = N_ENDS;
    trace->first_ns = trace->last_ns = t_ns;
    for (int end = 0; end < N_ENDS; end++)
        store_figures_clear(&trace->figures[end]);
    store_hash_put(&store->traces, &trace->by_conn, conn);
    TAILQ_INSERT_TAIL(&store->waiting, trace, link);
    store->n_traces++;
    store->n_waiting++;
    return trace;
}

static struct trace_row *trace_get(struct store *store, uint64_t conn, int64_t t_ns)
{
    struct trace_row *trace = trace_of(store, conn);
    if (!trace)
        return trace_new(store, conn, t_ns);
    TAILQ_REMOVE(list_of(store, trace), trace, link);
    TAILQ_INSERT_TAIL(list_of(store, trace), trace, link);
    return trace;
}

void store_trace_begins(struct store *store)
{
    store_lock(store);
    store->has_trace = true;
    /* What is shown of the one before stays, under numbers that are of no connection any more. */
    struct trace_row *trace;
    while ((trace = TAILQ_FIRST(&store->waiting)))
        store_trace_forget(store, trace);
    TAILQ_FOREACH(trace, &store->joined, link)
    {
        store_hash_remove(&store->traces, &trace->by_conn);
        trace->is_over = true;
        if (store->mode == PAGE_ROWS_TRACE)
            store_row_end(store, trace->row[END_A]);
    }
    store_unlock(store);
}

/* ---- whose it is */

/* What was said before it was known whose it is. */
static void hand_over(struct store *store, const struct trace_row *trace, struct store_row *row)
{
    if (row->stream != 0)
        return;
    for (const struct item *item = trace->said.first; item; item = item->after) {
        const struct kept_message *said = (const struct kept_message *)item;
        struct kept_message *own = malloc(sizeof *own + said->n_bytes);
        if (!own)
            return;
        memcpy(own, said, sizeof *own + said->n_bytes);
        own->direction = (said->direction == SONDE_OUT) == (row->trace_end == END_A) ? SONDE_OUT : SONDE_IN;
        if (item == trace->said.first)
            pile_pass(&row->messages, item->number, item->bytes_before);
        store_said(store, &row->messages, own);
    }
}

static void join(struct store *store, struct trace_row *trace, struct store_row *row, enum event_end end)
{
    store_trace_part(store, row);
    store->n_waiting -= is_waiting(trace);
    TAILQ_REMOVE(list_of(store, trace), trace, link);
    trace->row[end] = row;
    TAILQ_INSERT_TAIL(&store->joined, trace, link);
    row->trace = trace;
    row->trace_end = end;
    hand_over(store, trace, row);
    store->version++;
}

static enum event_end end_of(const struct trace_row *trace, const struct store_row *row)
{
    for (int end = 0; end < N_ENDS; end++) {
        if (row->cookie != 0 && trace->cookie[end] == row->cookie)
            return end;
    }
    for (int end = 0; end < N_ENDS; end++) {
        /* A cookie that says otherwise is believed. */
        if (trace->cookie[end] != 0 && row->cookie != 0)
            continue;
        if (trace->protocol == row->protocol && store_same_end(&trace->address[end], &row->local) &&
            store_same_end(&trace->address[other_end(end)], &row->peer))
            return end;
    }
    return N_ENDS;
}

/* It was traced, and is traced again: what is over makes room. */
static bool is_followed_by(const struct trace_row *before, const struct trace_row *trace)
{
    return before->is_over && store_session_of(before->conn) != store_session_of(trace->conn);
}

static bool may_join(const struct trace_row *trace, const struct store_row *row)
{
    if (!trace->is_known || trace->is_over || (row->trace && !is_followed_by(row->trace, trace)))
        return false;
    enum event_end end = end_of(trace, row);
    return end != N_ENDS && !trace->row[end];
}

void store_trace_find_for(struct store *store, struct store_row *row)
{
    if (row->trace || store->mode == PAGE_ROWS_TRACE)
        return;
    struct hash_link *link = NULL;
    if (row->local.port != 0 && row->peer.port != 0)
        link = store_hash_find(&store->trace_ends, store_hash_of_ends(row->protocol, &row->local, &row->peer));
    for (; link; link = store_hash_next(link)) {
        struct trace_row *trace = HASH_OF(link, struct trace_row, by_ends);
        if (may_join(trace, row)) {
            join(store, trace, row, end_of(trace, row));
            return;
        }
    }
}

/* A row of its own, where the trace makes them. */
static void make_row(struct store *store, struct trace_row *trace)
{
    struct store_row *row = store_row_new(store, false);
    if (!row)
        return;
    enum event_end local = trace->our_end != N_ENDS ? trace->our_end : END_A;
    row->protocol = trace->protocol;
    store_row_set_ends(store, row, &trace->address[local], &trace->address[other_end(local)]);
    store_row_set_cookie(store, row, trace->cookie[local]);
    join(store, trace, row, local);
    trace->row[END_A] = trace->row[END_B] = row;
    row->since_ns = trace->begins_midway ? 0 : trace->first_ns;
}

void store_trace_join(struct store *store, struct trace_row *trace)
{
    if (store->mode == PAGE_ROWS_TRACE) {
        if (is_waiting(trace))
            make_row(store, trace);
        return;
    }
    for (int end = 0; end < N_ENDS; end++) {
        struct store_row *row = trace->row[end] ? NULL : store_row_of_cookie(store, trace->cookie[end]);
        if (row && !row->trace)
            join(store, trace, row, end);
    }
    if (trace->address[END_A].port == 0 || trace->address[END_B].port == 0)
        return;
    struct hash_link *link = store_hash_find(
        &store->ends, store_hash_of_ends(trace->protocol, &trace->address[END_A], &trace->address[END_B]));
    for (; link; link = store_hash_next(link)) {
        struct store_row *row = HASH_OF(link, struct store_row, by_ends);
        if (!row->is_ended && may_join(trace, row))
            join(store, trace, row, end_of(trace, row));
    }
}

void store_trace_part(struct store *store, struct store_row *row)
{
    struct trace_row *trace = row->trace;
    if (!trace)
        return;
    if (store->hand == trace)
        store->hand = NULL; /* it may leave the list that the search goes through */
    TAILQ_REMOVE(&store->joined, trace, link);
    for (int end = 0; end < N_ENDS; end++) {
        if (trace->row[end] == row)
            trace->row[end] = NULL;
    }
    row->trace = NULL;
    store->n_waiting += is_waiting(trace);
    TAILQ_INSERT_TAIL(list_of(store, trace), trace, link);
    if (is_waiting(trace))
        store_trace_forget(store, trace); /* nobody can look at it any more */
}

/* ---- what the events say of a connection */

static void learn_connection(struct store *store, struct trace_row *trace, const struct event *event)
{
    const struct event_connection *said = &event->connection;
    struct event *copy = event_clone(event);
    if (copy) {
        free(trace->connection);
        trace->connection = copy;
    }
    bool was_known = trace->is_known;
    trace->is_known = true;
    trace->protocol = said->protocol;
    trace->begins_midway = said->begins_midway;
    for (int end = 0; end < N_ENDS; end++) {
        trace->address[end] = said->end[end].address;
        if (said->end[end].socket_cookie != 0)
            trace->cookie[end] = said->end[end].socket_cookie;
        if (said->end[end].calls_seen)
            trace->our_end = (uint8_t)end;
        if (!was_known)
            trace->state[end] = said->end[end].state;
    }
    store_hash_remove(&store->trace_ends, &trace->by_ends);
    if (trace->address[END_A].port != 0 && trace->address[END_B].port != 0)
        store_hash_put(&store->trace_ends, &trace->by_ends,
                       store_hash_of_ends(trace->protocol, &trace->address[END_A], &trace->address[END_B]));
    store_trace_join(store, trace);
}

static void learn_values(struct trace_row *trace, const struct event_values *values)
{
    struct figures *figures = &trace->figures[values->end < N_ENDS ? values->end : END_A];
    uint64_t *const known[N_VALUES] = {
        [VALUE_RTT] = &figures->rtt_us,
        [VALUE_CWND] = &figures->cwnd,
        [VALUE_SEND_QUEUE] = &figures->send_queue,
        [VALUE_RECEIVE_QUEUE] = &figures->receive_queue,
        [VALUE_UNSENT] = &figures->unsent,
        [VALUE_RETRANSMITS_TOTAL] = &figures->retransmits,
    };
    for (int value = 0; value < N_VALUES; value++) {
        if (known[value] && values->present & 1u << value && values->value[value] >= 0)
            *known[value] = (uint64_t)values->value[value];
    }
}

static void learn_sentence(struct trace_row *trace, const struct event_sentence *sentence)
{
    if (sentence->mark != '!')
        return;
    snprintf(trace->brief, sizeof trace->brief, "%s", sentence->name ? sentence->name : "");
    for (char *at = trace->brief; *at; at++)
        *at = *at == '-' ? ' ' : *at;
    store_keep_text(&trace->trouble, sentence->text, sentence->text ? strlen(sentence->text) : 0);
}

static void learn(struct store *store, struct trace_row *trace, const struct event *event)
{
    trace->last_ns = event->t_ns;
    switch ((enum event_kind)event->kind) {
    case EVENT_KIND_CONNECTION:
        learn_connection(store, trace, event);
        break;
    case EVENT_KIND_SEGMENT:
        memcpy(trace->state, event->segment.state, sizeof trace->state);
        if (event->segment.from < N_ENDS && !has_note(event->segment.notes, NOTE_AGAIN) &&
            !has_note(event->segment.notes, NOTE_SEEN_TWICE))
            trace->n_bytes[event->segment.from] += event->segment.n_bytes;
        break;
    case EVENT_KIND_DATAGRAM:
        if (event->datagram.from < N_ENDS)
            trace->n_bytes[event->datagram.from] += event->datagram.n_bytes;
        break;
    case EVENT_KIND_STATE:
        if (event->state.end < N_ENDS)
            trace->state[event->state.end] = event->state.after;
        break;
    case EVENT_KIND_VALUES:
        learn_values(trace, &event->values);
        break;
    case EVENT_KIND_SENTENCE:
        learn_sentence(trace, &event->sentence);
        break;
    default:
        break;
    }
}

static bool is_final(uint8_t state)
{
    return state == TCP_STATE_CLOSED || state == TCP_STATE_TIME_WAIT;
}

/* What a row that only the trace tells of is seen to do. */
static void follow(struct store *store, struct trace_row *trace)
{
    struct store_row *row = trace->row[END_A];
    if (store->mode != PAGE_ROWS_TRACE || !row)
        return;
    bool is_over = trace->protocol == IPPROTO_TCP && is_final(trace->state[END_A]) && is_final(trace->state[END_B]) &&
                   trace->events.next_number > 1; /* nothing has begun before the second */
    if (is_over || trace->is_over)
        store_row_end(store, row);
    else if (row->is_ended)
        store_row_revive(store, row);
    store_row_moved(store, row);
}

/* ---- events */

static bool is_watched(const struct trace_row *trace)
{
    const struct store_row *a = trace->row[END_A], *b = trace->row[END_B];
    return (a && a->n_watching > 0) || (b && b->n_watching > 0);
}

static size_t share_of(const struct store *store)
{
    size_t share = PAGE_EVENTS_MAX / (store->n_traces + 1);
    return share < EVENTS_LEAST ? EVENTS_LEAST : share > PAGE_ROW_EVENTS_MAX ? PAGE_ROW_EVENTS_MAX : share;
}

/* Room for one more: of one that has more than its share, so that loud connections do not push out the beginnings of
 * the quiet ones. The search goes on where it stopped, and gives up soon; then the oldest of all goes. */
static void make_room(struct store *store)
{
    size_t share = share_of(store);
    for (int i = 0; i < 64; i++) {
        struct trace_row *trace = store->hand ? store->hand : TAILQ_FIRST(&store->joined);
        if (!trace)
            return;
        if (trace->events.n_items > share && !is_watched(trace)) {
            store->hand = trace;
            pile_shrink(&trace->events, trace->events.n_items - 1);
            return;
        }
        store->hand = TAILQ_NEXT(trace, link);
    }
}

static void keep(struct store *store, struct trace_row *trace, struct kept_event *kept)
{
    struct pile_bounds bounds = {PAGE_ROW_EVENTS_MAX, UINT64_MAX};
    if (store->events.n_items >= PAGE_EVENTS_MAX / 2 && !is_watched(trace))
        bounds.n_items = share_of(store);
    if (store->events.n_items >= PAGE_EVENTS_MAX)
        make_room(store);
    pile_put(&trace->events, &kept->item, sizeof *kept, 1, &bounds);
}

/* What concerns none is told to those who look. */
static bool put_watched(struct store *store, const struct event *event)
{
    for (size_t i = 0; i < sizeof store->watching / sizeof *store->watching; i++) {
        struct store_row *row = store->watching[i] ? store_row_of(store, store->watching[i]) : NULL;
        struct kept_event *kept = row && row->trace ? malloc(sizeof *kept) : NULL;
        if (!kept)
            continue;
        kept->event = event_clone(event);
        if (kept->event)
            keep(store, row->trace, kept);
        else
            free(kept);
    }
    return false;
}

static bool put_event(struct store *store, struct kept_event *kept)
{
    const struct event *event = kept->event;
    store->n_events++;
    store->version++;
    if (event->kind == EVENT_KIND_LOSS && event->conn == 0)
        store->n_packets_lost += event->loss.n;
    if (event->conn == 0)
        return put_watched(store, event);
    struct trace_row *trace = trace_get(store, event->conn, event->t_ns);
    if (!trace) {
        store->n_events_dropped++;
        return false;
    }
    learn(store, trace, event);
    keep(store, trace, kept);
    follow(store, trace);
    return true;
}

void store_event(struct store *store, const struct event *event)
{
    struct kept_event *kept = malloc(sizeof *kept);
    if (kept)
        kept->event = event_clone(event);
    if (!kept || !kept->event) {
        free(kept);
        store_lock(store);
        store->n_events_dropped++;
        store_unlock(store);
        return;
    }
    store_lock(store);
    bool taken = put_event(store, kept);
    store_unlock(store);
    if (!taken)
        store_free_event(&kept->item);
}

/* ---- packets */

void store_packet(struct store *store, uint64_t conn, uint32_t segment, int64_t t_ns, const struct packet *packet)
{
    static const struct pile_bounds bounds = {PAGE_ROW_EVENTS_MAX, UINT64_MAX};
    uint32_t n = packet->n_captured < PACKET_SNAP ? packet->n_captured : PACKET_SNAP;
    struct kept_packet *kept = conn != 0 ? malloc(sizeof *kept + n) : NULL;
    if (!kept)
        return;
    *kept = (struct kept_packet){
        .t_ns = t_ns,
        .number = packet->number,
        .segment = segment,
        .n_captured = n,
        .n_wire = packet->n_wire,
        .link_type = packet->link_type,
    };
    memcpy(kept->data, packet->data, n);
    store_lock(store);
    struct trace_row *trace = trace_get(store, conn, t_ns);
    if (trace)
        pile_put(&trace->packets, &kept->item, sizeof *kept + n, n, &bounds);
    store_unlock(store);
    if (!trace)
        free(kept);
}

/* Put what was said on a pile; is_out: by whom it is kept for. */
static void say(struct store *store, struct pile *pile, int64_t t_ns, bool is_out, bool watched,
                const struct sonde_lent *bytes)
{
    struct kept_message *kept = NULL;
    if (store_may_keep(store, t_ns, watched, bytes->n_bytes))
        kept = store_copy_message(bytes, is_out ? SONDE_OUT : SONDE_IN, t_ns);
    if (kept)
        store_said(store, pile, kept);
    else
        pile_pass(pile, 1, bytes->n_bytes);
}

static void take_said(struct store *store, uint64_t conn, int64_t t_ns, enum event_end from,
                      const struct sonde_lent *bytes, uint64_t n_missing)
{
    store_lock(store);
    struct trace_row *trace = trace_get(store, conn, t_ns);
    for (int end = 0; trace && end < N_ENDS; end++) {
        struct store_row *row = trace->row[end];
        if (!row || row->stream != 0 || (end == END_B && row == trace->row[END_A]))
            continue; /* a stream's tap tells itself */
        if (n_missing > 0)
            pile_pass(&row->messages, 1, n_missing);
        say(store, &row->messages, t_ns, row->trace_end == from, row->n_watching > 0, bytes);
    }
    if (trace && is_waiting(trace))
        say(store, &trace->said, t_ns, from == END_A, false, bytes);
    store_unlock(store);
}

void store_data(struct store *store, uint64_t conn, int64_t t_ns, enum event_end from, const void *data, size_t n_bytes,
                uint64_t n_missing)
{
    const struct sonde_lent bytes = {.data = data, .n_bytes = n_bytes, .n_whole_bytes = n_bytes};
    if (n_bytes > 0)
        take_said(store, conn, t_ns, from, &bytes, n_missing);
}

void store_datagram(struct store *store, uint64_t conn, int64_t t_ns, enum event_end from, const void *data,
                    size_t n_bytes, size_t n_whole_bytes)
{
    const struct sonde_lent bytes = {
        .data = data,
        .n_bytes = n_bytes,
        .n_whole_bytes = n_whole_bytes,
        .flags = SONDE_MESSAGE | (n_bytes < n_whole_bytes ? SONDE_CUT : 0),
    };
    take_said(store, conn, t_ns, from, &bytes, 0);
}

void store_packets_dropped(struct store *store, uint64_t n)
{
    store_lock(store);
    if (n > store->n_packets_lost) /* else its LOSS events have told of them */
        store->n_packets_lost = n;
    store_unlock(store);
}

void store_trace_over(struct store *store, uint64_t conn)
{
    store_lock(store);
    struct trace_row *trace = trace_of(store, conn);
    if (trace) {
        trace->is_over = true;
        follow(store, trace);
        store->version++;
    }
    store_unlock(store);
}
