/* SPDX-License-Identifier: MIT */
/* What viewers are sent: overviews, and the events, messages and points of the row that they look at. */
#include "observe/event/event_json.h"
#include "page/store_parts_internal.h"
#include "term/translate.h"
#include "json/json.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#define ATTENTION_MAX 50
#define LISTENER_JSON_ROOM (4096 + 6 * (VERDICT_TEXT_MAX + NAME_MAX_BYTES))
#define MOVES_NS (10 * NS_PER_S) /* a row that has moved within these is among those where something moves */
#define EVENTS_RATE_NS (NS_PER_S / 2)

/* An object into a text. The room is more than it can take. */
static struct json *begin(struct json *json, struct text *text, size_t room)
{
    char *to = text_room(text, room);
    if (!to)
        return NULL;
    json_begin(json, to, room);
    return json;
}

/* False: it did not fit after all, and is left out. */
static bool end(struct json *json, struct text *text)
{
    size_t n = json_end(json);
    text->n_bytes += n > 0 ? n - 1 : 0; /* without its newline */
    return n > 0;
}

static void comma(struct text *text, size_t n_before)
{
    if (n_before > 0)
        text_append(text, ",", 1);
}

/* ---- which rows */

/* Trouble, then what moves, then what is open, then what has ended; within each the youngest first. */
struct candidate {
    struct store_row *row;
    unsigned rank;
};

static unsigned rank_of(const struct store_row *row, int64_t now_ns)
{
    if (row->is_ended)
        return 4;
    if (row->weight == VERDICT_TROUBLE)
        return 0;
    if (row->moved_ns != 0 && now_ns - row->moved_ns < MOVES_NS)
        return 1;
    return row->state == TCP_STATE_TIME_WAIT ? 3 : 2;
}

static int compare(const void *one, const void *other)
{
    const struct candidate *a = one, *b = other;
    if (a->rank != b->rank)
        return a->rank < b->rank ? -1 : 1;
    return a->row->id > b->row->id ? -1 : a->row->id < b->row->id;
}

static bool find_owner(uint64_t inode, int32_t *ret_pid, const char **ret_program, void *user)
{
    const struct store_row *row = user;
    (void)inode;
    if (row->owner[0] == '\0')
        return false;
    *ret_pid = row->pid;
    *ret_program = row->program;
    return true;
}

static bool matches(struct store_row *row, const struct sockets_filter *filter)
{
    struct socket_info socket;
    struct filter_owner owner = {.find = find_owner, .user = row};
    if (!filter)
        return true;
    store_row_to_info(row, &socket);
    return filter_matches(filter, &socket, &owner);
}

static size_t choose(struct store *store, const struct store_overview *overview, int64_t now_ns,
                     struct candidate *candidates, size_t *ret_n_live)
{
    struct row_list *const lists[] = {&store->living, &store->ended};
    struct store_row *row;
    size_t n = 0;
    *ret_n_live = 0;
    for (int i = 0; i < 2; i++) {
        TAILQ_FOREACH(row, lists[i], link)
        {
            store_row_refresh(row, now_ns);
            if (!matches(row, overview->filter) && row->id != overview->with)
                continue;
            /* What a trace has seen counts, over or not: of a file all may be. */
            *ret_n_live += !row->is_ended || store->mode == PAGE_ROWS_TRACE;
            candidates[n++] = (struct candidate){row, row->id == overview->with ? 0 : rank_of(row, now_ns)};
        }
    }
    qsort(candidates, n, sizeof *candidates, compare);
    return n;
}

/* ---- overview */

/* Neither row nor listener: the machine's, whose sentences have no other place; else verdict is NULL. */
static void put_attention(struct text *text, uint64_t row, uint64_t listener, const char *who, size_t n_who,
                          const char *brief, const char *verdict)
{
    struct json json;
    if (!begin(&json, text, JSON_ROOM(NAME_MAX_BYTES + (verdict ? VERDICT_TEXT_MAX : 0))))
        return;
    if (row != 0)
        json_unsigned(&json, "row", row);
    else
        json_null(&json, "row");
    if (listener != 0)
        json_unsigned(&json, "listener", listener);
    else
        json_null(&json, "listener");
    json_text(&json, "who", who, n_who);
    json_string(&json, "brief", brief ? brief : "");
    if (verdict)
        json_string(&json, "verdict", verdict);
    end(&json, text);
}

static void put_attentions(const struct store *store, const struct candidate *candidates, size_t n, struct text *text)
{
    char who[NAME_MAX_BYTES + 1];
    size_t n_put = 0;
    text_string(text, ",\"attention\":[");
    if (store->machine_verdict) {
        comma(text, n_put++);
        put_attention(text, 0, 0, _("this machine"), strlen(_("this machine")), store->machine_brief,
                      store->machine_verdict);
    }
    for (size_t i = 0; i < store->n_listeners && n_put < ATTENTION_MAX; i++) {
        const struct store_listener *listener = &store->listeners[i];
        if (listener->weight != VERDICT_TROUBLE)
            continue;
        comma(text, n_put++);
        put_attention(text, 0, listener->id, listener->address, strlen(listener->address), listener->brief, NULL);
    }
    for (size_t i = 0; i < n && n_put < ATTENTION_MAX && candidates[i].rank == 0; i++) {
        const struct store_row *row = candidates[i].row;
        if (row->weight != VERDICT_TROUBLE)
            continue;
        comma(text, n_put++);
        put_attention(text, row->id, 0, who, store_row_peer_text(row, who, sizeof who), row->brief, NULL);
    }
    text_string(text, "]");
}

static void put_listeners(const struct store *store, struct text *text)
{
    struct json json;
    size_t n = 0;
    text_string(text, ",\"listeners\":[");
    for (size_t i = 0; i < store->n_listeners; i++) {
        comma(text, n++);
        if (begin(&json, text, LISTENER_JSON_ROOM)) {
            store_listener_json(&json, &store->listeners[i]);
            end(&json, text);
        }
    }
    text_string(text, "]");
}

static bool put_row(struct store_row *row, int64_t now_ns, bool whole, struct text *text)
{
    struct json json;
    if (!begin(&json, text, ROW_JSON_ROOM))
        return false;
    store_row_json(&json, row, now_ns, whole);
    return end(&json, text);
}

/* What there is to be seen of the trace, taken in or not; where there is none, what is said on streams. */
static uint64_t events_per_s(struct store *store, int64_t now_ns)
{
    struct sampling_state sampling;
    sampling_state(store->sampling, &sampling);
    if (sampling.one_in > 1)
        return sampling.events_per_s;
    uint64_t n = store->has_trace ? store->n_events : store->n_messages;
    int64_t past_ns = now_ns - store->rate_ns;
    if (past_ns < EVENTS_RATE_NS)
        return store->events_per_s;
    store->events_per_s = n > store->rate_events ? (n - store->rate_events) * NS_PER_S / (uint64_t)past_ns : 0;
    store->rate_events = n;
    store->rate_ns = now_ns;
    return store->events_per_s;
}

/* True: rows that live were left out. Those that have ended are written as far as there is room. */
static bool put_overview(struct store *store, const struct store_overview *overview, int64_t now_ns,
                         struct candidate *candidates, struct text *text)
{
    size_t n_live, n_rows = choose(store, overview, now_ns, candidates, &n_live);
    size_t n_shown = n_rows < overview->n_rows_max ? n_rows : overview->n_rows_max;
    if (!overview->filter)
        n_live += store->n_beyond;
    text_format(text, "\"connections\":%zu,\"shown\":%zu,\"events_per_s\":%llu", n_live, n_shown,
                (unsigned long long)events_per_s(store, now_ns));
    put_attentions(store, candidates, n_rows, text);
    put_listeners(store, text);
    text_string(text, ",\"rows\":[");
    for (size_t i = 0; i < n_shown; i++) {
        comma(text, i);
        put_row(candidates[i].row, now_ns, false, text);
    }
    text_string(text, "]");
    return n_live > n_shown;
}

bool store_put_overview(struct store *store, const struct store_overview *overview, struct text *text)
{
    struct candidate *candidates = malloc(PAGE_ROWS_MAX * sizeof *candidates);
    if (!candidates) {
        text->failed = true;
        return false;
    }
    store_lock(store);
    bool left_out = put_overview(store, overview, store_now_ns(), candidates, text);
    store_unlock(store);
    free(candidates);
    return left_out;
}

bool store_put_row(struct store *store, uint64_t id, struct text *text)
{
    store_lock(store);
    struct store_row *row = store_row_of(store, id);
    bool found = row && put_row(row, store_now_ns(), true, text);
    store_unlock(store);
    return found;
}

/* ---- events */

static void put_event(const struct event *event, struct text *text)
{
    char *to = text_room(text, EVENT_JSON_MAX);
    size_t n = to ? event_json_write(event, to, EVENT_JSON_MAX) : 0;
    if (to && n == 0) {
        struct event loss = {
            .source = event->source, .kind = EVENT_KIND_LOSS, .conn = event->conn, .t_ns = event->t_ns};
        loss.loss = (struct event_loss){"events", 1, "longer than a line may be"};
        n = event_json_write(&loss, to, EVENT_JSON_MAX);
    }
    text->n_bytes += n > 0 ? n - 1 : 0;
}

/* A reader who begins is told first who the ends are, also when that is no longer among what is kept. */
static size_t put_events(const struct trace_row *trace, struct store_cursor *cursor, size_t n_max, struct text *text,
                         uint64_t *lost, uint64_t *left_out)
{
    const struct pile *pile = &trace->events;
    struct item *item = pile_from(pile, cursor->next_event);
    bool begins = cursor->trace != trace->conn;
    size_t n = 0;
    cursor->trace = trace->conn;
    if (item)
        *lost = item->number - cursor->next_event;
    uint64_t n_there = item ? pile->next_number - item->number : 0;
    for (; item && n_there > n_max; n_there--, ++*left_out)
        item = item->after;
    if (begins && trace->connection && item && ((struct kept_event *)item)->event->kind != EVENT_KIND_CONNECTION) {
        comma(text, n++);
        put_event(trace->connection, text);
    }
    for (; item; item = item->after) {
        comma(text, n++);
        put_event(((struct kept_event *)item)->event, text);
    }
    cursor->next_event = pile->next_number;
    return n;
}

size_t store_put_events(struct store *store, struct store_cursor *cursor, size_t n_max, struct text *text)
{
    uint64_t lost = 0, left_out = 0;
    size_t n = 0;
    text_string(text, "\"events\":[");
    store_lock(store);
    const struct store_row *row = store_row_of(store, cursor->row);
    const struct trace_row *trace = row ? row->trace : NULL;
    if (trace) {
        if (cursor->trace != trace->conn)
            cursor->next_event = 0;
        n = put_events(trace, cursor, n_max, text, &lost, &left_out);
    }
    store_unlock(store);
    text_format(text, "],\"lost\":%llu,\"left_out\":%llu", (unsigned long long)lost, (unsigned long long)left_out);
    return n;
}

/* ---- messages */

static void put_message(const struct kept_message *kept, struct text *text)
{
    struct json json;
    if (!begin(&json, text, JSON_ROOM(PAGE_MESSAGE_MAX)))
        return;
    json_unsigned(&json, "n", kept->item.number + 1);
    json_string(&json, "way", kept->direction == SONDE_IN ? "in" : "out");
    json_number(&json, "t_ns", kept->t_ns);
    json_unsigned(&json, "bytes", kept->n_whole_bytes);
    json_base64(&json, "data", kept->data, kept->n_bytes);
    json_boolean(&json, "text", kept->is_text);
    json_boolean(&json, "message", kept->is_message);
    json_boolean(&json, "cut", kept->is_cut);
    if (kept->from_page)
        json_string(&json, "by", "page");
    end(&json, text);
}

/* The numbers of a pile may have gaps: what was never kept. */
static size_t put_messages(struct pile *pile, struct store_cursor *cursor, size_t n_max, struct text *text,
                           uint64_t *lost, uint64_t *lost_bytes)
{
    struct item *item = pile_from(pile, cursor->next_message), *at;
    size_t n = 0, n_there = 0;
    for (at = item; at; at = at->after)
        n_there++;
    for (; item && n_there > n_max; n_there--)
        item = item->after;
    for (; item; item = item->after) {
        const struct kept_message *kept = (struct kept_message *)item;
        *lost += item->number - cursor->next_message;
        *lost_bytes += item->bytes_before - cursor->next_byte;
        comma(text, n++);
        put_message(kept, text);
        cursor->next_message = item->number + 1;
        cursor->next_byte = item->bytes_before + kept->n_whole_bytes;
    }
    *lost += pile->next_number - cursor->next_message;
    *lost_bytes += pile->next_byte - cursor->next_byte;
    cursor->next_message = pile->next_number;
    cursor->next_byte = pile->next_byte;
    return n;
}

size_t store_put_messages(struct store *store, struct store_cursor *cursor, size_t n_max, struct text *text)
{
    uint64_t lost = 0, lost_bytes = 0;
    size_t n = 0;
    text_string(text, "\"messages\":[");
    store_lock(store);
    struct store_row *row = store_row_of(store, cursor->row);
    if (row) {
        store_row_heard(row);
        n = put_messages(&row->messages, cursor, n_max, text, &lost, &lost_bytes);
    }
    store_unlock(store);
    text_format(text, "],\"lost\":%llu,\"lost_bytes\":%llu", (unsigned long long)lost, (unsigned long long)lost_bytes);
    return n;
}

/* ---- points */

static void put_point(const struct point *point, struct text *text)
{
    text_format(text, "[%lld", (long long)point->t_ns);
    for (size_t i = 0; i < sizeof point->value / sizeof *point->value; i++) {
        if (point->value[i] == NOT_KNOWN)
            text_string(text, ",null");
        else
            text_format(text, ",%llu", (unsigned long long)point->value[i]);
    }
    text_string(text, "]");
}

size_t store_put_points(struct store *store, struct store_cursor *cursor, struct text *text)
{
    size_t n = 0;
    text_string(text, "\"points\":[");
    store_lock(store);
    const struct store_row *row = store_row_of(store, cursor->row);
    uint64_t next = row ? row->n_points_ever : 0;
    uint64_t from = row ? next - row->n_points : 0;
    if (cursor->next_point > from)
        from = cursor->next_point;
    for (; from < next; from++) {
        size_t back = (size_t)(next - from);
        comma(text, n++);
        put_point(&row->points[(row->next_point + row->points_room - back) % row->points_room], text);
    }
    if (row)
        cursor->next_point = next;
    store_unlock(store);
    text_string(text, "]");
    return n;
}
