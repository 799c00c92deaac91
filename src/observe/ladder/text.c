// SPDX-License-Identifier: MIT
/*
 * The machine behind the text: which rows, in which order.
 *
 * An event is not drawn at once, but when what follows it can no longer change how it is drawn. A call waits for its
 * result, which becomes part of its row when nothing comes between. A segment whose arrival is known waits until then:
 * when its receiver does something of its own in the meantime, the segment takes two rows, and the second waits in the
 * list of arrivals for its time. Any row waits for the kernel's values that belong to it. What waits stands in a queue,
 * which is short: in a live ladder nobody wants to wait, so that of its rows at most two are held back.
 */
#include "observe/ladder/ladder_internal.h"

#include "term/escape.h"
#include "term/translate.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HELD_LIVE 2
#define HELD_MOST 64
#define DUE_MOST 64
#define VALUES_WITHIN_NS NS_PER_MS
#define JOIN_NS NS_PER_MS /* a call that lasts longer has kept its program waiting: that shows as two rows */

struct ladder *ladder_new(const struct ladder_options *options, ladder_write_function write, void *user)
{
    struct ladder *ladder = calloc(1, sizeof *ladder);
    if (!ladder)
        return NULL;
    ladder->queue = calloc(HELD_MOST + DUE_MOST + 4, sizeof(struct held *));
    ladder->due = calloc(DUE_MOST, sizeof(struct held *));
    if (!ladder->queue || !ladder->due) {
        ladder_free(ladder);
        return NULL;
    }
    ladder->options = *options;
    unsigned width = options->width > 0 ? options->width : 80;
    ladder->options.width = width > LADDER_WIDTH_MAX ? LADDER_WIDTH_MAX : width < WIDTH_LEAST ? WIDTH_LEAST : width;
    ladder->as_list = options->list || ladder->options.width < LADDER_LIST_BELOW;
    ladder->output = (struct output){.write = write,
                                     .user = user,
                                     .color = options->color,
                                     .glyphs = options->unicode ? &glyphs_unicode : &glyphs_ascii};
    ladder->n_queue_most = options->live ? HELD_LIVE : HELD_MOST;
    return ladder;
}

static void held_free(struct held *held)
{
    if (held)
        free(held->text);
    free(held);
}

void ladder_free(struct ladder *ladder)
{
    if (!ladder)
        return;
    for (unsigned i = 0; i < ladder->n_queue; i++)
        held_free(ladder->queue[i]);
    for (unsigned i = 0; i < ladder->n_due; i++)
        held_free(ladder->due[i]);
    while (ladder->oldest)
        ladder_forget(ladder, ladder->oldest);
    free(ladder->buckets);
    free(ladder->queue);
    free(ladder->due);
    free(ladder);
}

/* ---- drawing what is no longer held */

static void say_note_of(struct ladder *ladder, struct held *held, uint32_t about, const char *words)
{
    struct connection *connection = held->connection;
    char text[ABOVE_BYTES + 16];
    bool is_below = connection->last_number == about && ladder->last_drawn == connection;
    if (about == 0 || is_below)
        snprintf(text, sizeof text, "%s", words);
    else
        snprintf(text, sizeof text, _("#%u: %s"), about, words);
    if (ladder->as_list)
        list_note(ladder, held, text);
    else
        draw_note(ladder, connection, text);
}

static void draw_text(struct ladder *ladder, struct held *held)
{
    if (!held->text)
        return;
    if (held->kind == HELD_SENTENCE && held->sentence.mark == '-' && held->connection) {
        say_note_of(ladder, held, held->sentence.about, held->text);
        return;
    }
    draw_sentence(ladder, held->connection, held->kind == HELD_LOSS ? 'i' : held->sentence.mark, held->text);
}

/* Whoever looks again and again, and segments, may say the same. */
static bool is_news(const struct held *held)
{
    const struct event_state *state = &held->state;
    return held->connection->end[state->end].state != state->after || held->has_values[END_A] ||
           held->has_values[END_B];
}

static void draw_one(struct ladder *ladder, struct held *held)
{
    struct connection *connection = held->connection;
    if (connection && connection->introduced && !connection->titled)
        draw_title(ladder, connection);
    if (held->kind == HELD_SENTENCE || held->kind == HELD_LOSS) {
        draw_text(ladder, held);
        return;
    }
    if (held->kind == HELD_TITLE || (held->kind == HELD_STATE && !is_news(held)))
        return;
    if (held->kind == HELD_MESSAGE && held->messages.first.end >= N_ENDS) {
        char text[ABOVE_BYTES];
        messages_text(&held->messages, held->text, WIDE_ENOUGH, ladder->output.glyphs, text);
        say_note_of(ladder, held, held->messages.first.about, text);
        return;
    }
    if (ladder->as_list) {
        list_draw(ladder, held);
    } else {
        if (held->kind != HELD_VALUES || values_are_shown(&held->values))
            draw_pause(ladder, connection, held->t_ns);
        draw_held(ladder, held);
    }
    if (held->kind == HELD_SEGMENT)
        connection->last_number = held->segment.number;
    if (held->kind != HELD_VALUES)
        drawn_at(ladder, connection, held->t_ns);
}

static void draw_first(struct ladder *ladder)
{
    struct held *held = ladder->queue[0];
    ladder->n_queue--;
    memmove(ladder->queue, ladder->queue + 1, ladder->n_queue * sizeof(struct held *));
    draw_one(ladder, held);
    held_free(held);
}

/* Can what follows still change how the first is drawn? */
static bool is_decided(const struct ladder *ladder)
{
    const struct held *held = ladder->queue[0];
    if (ladder->n_queue < 2)
        return false;
    if (held->kind == HELD_CALL && held->call.phase == CALL_BEGIN && !held->call.whole) {
        for (unsigned i = 1; i < ladder->n_queue; i++) {
            if (ladder->queue[i]->kind != HELD_VALUES || ladder->queue[i]->connection != held->connection)
                return true;
        }
        return false;
    }
    if (held->kind == HELD_SEGMENT)
        return held->two_rows || held->segment.arrived_ns <= ladder->latest_ns;
    return true;
}

/* A segment that is known to be on its way still is worth waiting for, even live. */
static bool is_under_way(const struct held *held, int64_t now_ns)
{
    return held->kind == HELD_SEGMENT && !held->two_rows && held->segment.arrived_ns > now_ns;
}

static void draw_decided(struct ladder *ladder)
{
    while (ladder->n_queue > 0) {
        unsigned n_most = is_under_way(ladder->queue[0], ladder->latest_ns) ? HELD_MOST : ladder->n_queue_most;
        if (ladder->n_queue <= n_most && !is_decided(ladder))
            break;
        draw_first(ladder);
    }
}

/* ---- arrivals */

static void append(struct ladder *ladder, struct held *held)
{
    ladder->queue[ladder->n_queue++] = held;
    while (ladder->n_queue > HELD_MOST + DUE_MOST)
        draw_first(ladder);
}

/* Arrivals up to this time take their place in the queue. */
static void append_due(struct ladder *ladder, int64_t until_ns)
{
    while (ladder->n_due > 0 && ladder->due[0]->t_ns <= until_ns) {
        struct held *held = ladder->due[0];
        ladder->n_due--;
        memmove(ladder->due, ladder->due + 1, ladder->n_due * sizeof(struct held *));
        append(ladder, held);
    }
}

static void make_two_rows(struct ladder *ladder, struct held *held)
{
    struct held *arrival = calloc(1, sizeof *arrival);
    if (!arrival || ladder->n_due == DUE_MOST) {
        free(arrival);
        return; /* it stays one row */
    }
    held->two_rows = true;
    arrival->kind = HELD_ARRIVAL;
    arrival->connection = held->connection;
    arrival->segment = held->segment;
    arrival->segment.data = NULL;
    arrival->t_ns = arrival->last_ns = held->segment.arrived_ns;
    unsigned at = ladder->n_due++;
    for (; at > 0 && ladder->due[at - 1]->t_ns > arrival->t_ns; at--)
        ladder->due[at] = ladder->due[at - 1];
    ladder->due[at] = arrival;
}

/* Is the segment still on its way while its receiver does something of its own, or does a later one overtake it? */
static bool is_crossed(const struct held *held, const struct held *news)
{
    if (held->kind != HELD_SEGMENT || held->two_rows || held->connection != news->connection ||
        held->segment.fate == FATE_LOST || held->segment.arrived_ns <= news->t_ns)
        return false;
    if (held->segment.from != held_end(news))
        return true;
    return news->kind == HELD_SEGMENT && news->segment.fate != FATE_LOST && news->segment.arrived_ns > 0 &&
           news->segment.arrived_ns < held->segment.arrived_ns;
}

static void split_crossed(struct ladder *ladder, const struct held *news)
{
    if (news->kind != HELD_CALL && news->kind != HELD_SEGMENT)
        return;
    for (unsigned i = 0; i < ladder->n_queue; i++) {
        if (is_crossed(ladder->queue[i], news))
            make_two_rows(ladder, ladder->queue[i]);
    }
}

/* Two that cross are both drawn in two rows: else the second would seem to be answered by the first. And so is what
 * follows one that has two: else it would seem to arrive before that. */
static bool crosses(const struct ladder *ladder, const struct held *held)
{
    for (unsigned i = 0; i < ladder->n_due; i++) {
        if (ladder->due[i]->connection == held->connection)
            return true;
    }
    return false;
}

/* ---- taking events in */

enum event_end held_end(const struct held *held)
{
    switch ((enum held_kind)held->kind) {
    case HELD_CALL:
        return held->call.end;
    case HELD_SEGMENT:
        return held->segment.from;
    case HELD_DATAGRAM:
        return held->datagram.from;
    case HELD_STATE:
        return held->state.end;
    case HELD_VALUES:
        return held->values.end;
    case HELD_HANDSHAKE:
        return held->handshake.end;
    case HELD_MESSAGE:
        return held->messages.first.end;
    default:
        return N_ENDS;
    }
}

/* The result of a call whose begin is still held, with nothing between. */
static bool join_call(struct ladder *ladder, const struct held *news)
{
    if (news->kind != HELD_CALL || news->call.phase != CALL_END)
        return false;
    for (unsigned i = ladder->n_queue; i-- > 0;) {
        struct held *held = ladder->queue[i];
        if (held->kind == HELD_VALUES && held->connection == news->connection)
            continue;
        if (held->kind != HELD_CALL || held->connection != news->connection || held->call.phase != CALL_BEGIN ||
            held->call.number != news->call.number || held->call.whole || news->t_ns - held->t_ns >= JOIN_NS)
            return false;
        held->call.result = news->call.result;
        held->call.whole = true;
        memcpy(held->call.preview, news->call.preview, sizeof held->call.preview);
        held->last_ns = news->t_ns;
        return true;
    }
    return false;
}

/* Does this row belong to the end that the values are of? */
static bool concerns(const struct held *held, enum event_end end)
{
    switch ((enum held_kind)held->kind) {
    case HELD_SEGMENT:
        return held->segment.from == end || !held->two_rows;
    case HELD_ARRIVAL:
        return held->segment.from != end;
    case HELD_CALL:
    case HELD_STATE:
    case HELD_DATAGRAM:
        return held_end(held) == end;
    default:
        return false;
    }
}

/* Values go onto the row of what changed them. Without segments the wire is free for them. */
static bool join_values(struct ladder *ladder, const struct held *news)
{
    if (news->kind != HELD_VALUES || !news->connection->has_segments)
        return false;
    for (unsigned i = ladder->n_queue; i-- > 0;) {
        struct held *held = ladder->queue[i];
        if (held->connection != news->connection || !concerns(held, news->values.end))
            continue;
        int64_t since_ns = held->last_ns;
        if (held->kind == HELD_SEGMENT && held->segment.from != news->values.end && held->segment.arrived_ns > since_ns)
            since_ns = held->segment.arrived_ns;
        if (held->has_values[news->values.end] || news->t_ns - since_ns > VALUES_WITHIN_NS)
            return false;
        held->row_values[news->values.end] = news->values;
        held->has_values[news->values.end] = true;
        return true;
    }
    return false;
}

/* Messages that came with the same segment. */
static bool join_messages(struct ladder *ladder, const struct held *news)
{
    struct held *last = ladder->n_queue > 0 ? ladder->queue[ladder->n_queue - 1] : NULL;
    return news->kind == HELD_MESSAGE && last && last->kind == HELD_MESSAGE && last->connection == news->connection &&
           messages_join(&last->messages, &news->messages.first);
}

static void take_in(struct ladder *ladder, struct held *held)
{
    if (held->t_ns > ladder->latest_ns || !ladder->has_latest)
        ladder->latest_ns = held->t_ns;
    ladder->has_latest = true;
    append_due(ladder, held->t_ns);
    if (join_call(ladder, held) || join_values(ladder, held) || join_messages(ladder, held)) {
        held_free(held);
        return;
    }
    split_crossed(ladder, held);
    if (held->kind == HELD_SEGMENT && held->segment.arrived_ns > held->t_ns && held->segment.fate != FATE_LOST &&
        crosses(ladder, held))
        make_two_rows(ladder, held);
    append(ladder, held);
    draw_decided(ladder);
}

static void hold_call(struct ladder *ladder, struct held *held, const struct event_call *call)
{
    held->call = (struct held_call){.phase = call->phase,
                                    .operation = call->operation,
                                    .end = call->end,
                                    .fd = call->fd,
                                    .number = call->number,
                                    .n_bytes = call->n_bytes,
                                    .datagram = call->datagram,
                                    .result = call->result,
                                    .start_ns = call->start_ns};
    if (call->operation == SONDE_OP_RECEIVE && call->result > 0 && call->data &&
        !tls_record_text(call->data, call->n_data)) {
        char quoted[sizeof held->call.preview + 2];
        preview_text(call->data, call->n_data, (uint64_t)call->result, PREVIEW_CALL_CELLS, ladder->output.glyphs,
                     quoted, sizeof quoted);
        size_t length = strlen(quoted);
        if (length > 2)
            snprintf(held->call.preview, sizeof held->call.preview, "%.*s", (int)length - 2, quoted + 1);
    }
    held->connection->end[call->end].calls_seen = true;
}

static void hold_text(struct ladder *ladder, struct held *held, const char *text)
{
    held->text = text ? strdup(text) : NULL;
    if (text && !held->text)
        ladder->n_no_memory++;
}

static void copy_data(struct held *held, const void **data, uint32_t *n_data)
{
    if (!*data)
        *n_data = 0;
    if (*n_data > sizeof held->data)
        *n_data = sizeof held->data;
    if (*n_data > 0)
        memcpy(held->data, *data, *n_data);
    *data = held->data;
}

/* The kernel looked at now and then may still say what segments have told is over. */
static bool is_outdated(const struct connection *connection, const struct event_state *state)
{
    uint8_t known = connection->end[state->end].state;
    return state->polled && connection->has_segments && known != TCP_STATE_UNKNOWN && known != state->before;
}

static void hold_message(struct ladder *ladder, struct held *held, const struct event_message *message)
{
    held->kind = HELD_MESSAGE;
    messages_begin(&held->messages, message);
    copy_data(held, &held->messages.first.data, &held->messages.first.n_data);
    held->text = above_words(message->words, ladder->output.glyphs);
}

static void hold_loss(struct ladder *ladder, struct held *held, const struct event_loss *loss)
{
    char why[256] = "", text[512];

    if (loss->why != NULL)
        escape_short(loss->why, strlen(loss->why), why, sizeof why);
    held->kind = HELD_LOSS;
    loss_text(loss, why, text, sizeof text);
    hold_text(ladder, held, text);
}

/* false: there is nothing to hold. */
static bool hold(struct ladder *ladder, struct held *held, const struct event *event)
{
    switch ((enum event_kind)event->kind) {
    case EVENT_KIND_CALL:
        held->kind = HELD_CALL;
        if (event->call.end >= N_ENDS)
            return false;
        hold_call(ladder, held, &event->call);
        return true;
    case EVENT_KIND_SEGMENT:
        held->kind = HELD_SEGMENT;
        held->segment = event->segment;
        copy_data(held, &held->segment.data, &held->segment.n_data);
        held->connection->has_segments = true;
        return event->segment.from < N_ENDS;
    case EVENT_KIND_DATAGRAM:
        held->kind = HELD_DATAGRAM;
        held->datagram = event->datagram;
        copy_data(held, &held->datagram.data, &held->datagram.n_data);
        held->connection->has_segments = true;
        return event->datagram.from < N_ENDS;
    case EVENT_KIND_ICMP:
        held->kind = HELD_ICMP;
        held->icmp = event->icmp;
        hold_text(ladder, held, event->icmp.words);
        held->icmp.words = held->text;
        return event->icmp.to < N_ENDS;
    case EVENT_KIND_HANDSHAKE:
        held->kind = HELD_HANDSHAKE;
        held->handshake = event->handshake;
        held->text = above_words(event->handshake.agreed, ladder->output.glyphs);
        return event->handshake.end < N_ENDS;
    case EVENT_KIND_MESSAGE:
        hold_message(ladder, held, &event->message);
        return event->message.from < N_ENDS && event->message.end <= N_ENDS;
    case EVENT_KIND_STATE:
        held->kind = HELD_STATE;
        held->state = event->state;
        return event->state.end < N_ENDS && !is_outdated(held->connection, &event->state);
    case EVENT_KIND_VALUES:
        held->kind = HELD_VALUES;
        held->values = event->values;
        return event->values.end < N_ENDS;
    case EVENT_KIND_SENTENCE:
        held->kind = HELD_SENTENCE;
        held->sentence = event->sentence;
        hold_text(ladder, held, event->sentence.text);
        return true;
    case EVENT_KIND_LOSS:
        hold_loss(ladder, held, &event->loss);
        return true;
    case EVENT_KIND_CONNECTION:
        held->kind = HELD_TITLE;
        return true;
    case EVENT_N_KINDS:
        break;
    }
    return false;
}

/* A call that began before the ladder did, and is known by its result only: it still has its first row. */
static void begin_before(struct ladder *ladder, const struct event *event, const struct connection *connection)
{
    const struct event_call *call = &event->call;
    if (event->kind != EVENT_KIND_CALL || call->phase != CALL_END || call->start_ns == 0 || call->end >= N_ENDS ||
        connection->has_rows || call_is_open(&connection->end[call->end], call->number))
        return;
    if (since_origin(ladder, connection, call->start_ns) >= 0)
        return;
    for (unsigned i = 0; i < ladder->n_queue; i++) {
        if (ladder->queue[i]->kind != HELD_TITLE && ladder->queue[i]->connection == connection)
            return;
    }
    struct event begin = *event;
    begin.t_ns = call->start_ns;
    begin.call.phase = CALL_BEGIN;
    begin.call.result = 0;
    begin.call.data = NULL;
    begin.call.n_data = 0;
    ladder_event(ladder, &begin);
}

static struct connection *connection_of(struct ladder *ladder, const struct event *event)
{
    struct connection *connection = ladder_find(ladder, event->conn);
    if (!connection && ladder_is_full(ladder)) {
        append_due(ladder, INT64_MAX);
        while (ladder->n_queue > 0)
            draw_first(ladder);
        ladder_forget(ladder, ladder->oldest);
    }
    bool is_new = !connection;
    connection = ladder_connection(ladder, event->conn);
    if (!connection || !is_new)
        return connection;
    connection->origin_ns = event->t_ns;
    if (!ladder->has_origin)
        ladder->origin_ns = event->t_ns;
    ladder->has_origin = true;
    if (ladder->options.tags && ladder->n_connections_seen > 1) {
        char tag[8];
        ladder_tag(connection->index, tag);
        if (strlen(tag) + 1 > ladder->n_tag)
            ladder->n_tag = (unsigned)strlen(tag) + 1;
    }
    return connection;
}

void ladder_event(struct ladder *ladder, const struct event *event)
{
    if (ladder->options.only != 0 && event->conn != ladder->options.only && event->conn != 0)
        return;
    struct connection *connection = NULL;
    bool is_of_one = event->conn != 0;
    if (is_of_one) {
        connection = connection_of(ladder, event);
    } else if (event->kind != EVENT_KIND_SENTENCE && event->kind != EVENT_KIND_LOSS) {
        return;
    }
    struct held *held = calloc(1, sizeof *held);
    if (!held || (is_of_one && !connection)) {
        free(held);
        ladder->n_no_memory++;
        return;
    }
    if (connection && event->kind == EVENT_KIND_CONNECTION)
        connection_update(connection, event);
    if (connection)
        begin_before(ladder, event, connection);
    held->connection = connection;
    held->t_ns = held->last_ns = event->t_ns;
    if (hold(ladder, held, event))
        take_in(ladder, held);
    else
        held_free(held);
}

void ladder_idle(struct ladder *ladder, int64_t now_ns)
{
    append_due(ladder, now_ns);
    while (ladder->n_queue > 0 && !is_under_way(ladder->queue[0], now_ns))
        draw_first(ladder);
}

void ladder_finish(struct ladder *ladder)
{
    append_due(ladder, INT64_MAX);
    while (ladder->n_queue > 0)
        draw_first(ladder);
    if (ladder->n_no_memory == 0)
        return;
    char text[512];
    struct event_loss loss = {.what = _("events"), .n = ladder->n_no_memory};
    loss_text(&loss, _("no memory"), text, sizeof text);
    draw_sentence(ladder, NULL, 'i', text);
    ladder->n_no_memory = 0;
}
