// SPDX-License-Identifier: MIT
/* From events to marks: what happens at which time, with the texts that stand beside it. */
#include "observe/ladder/svg_internal.h"

#include "term/escape.h"
#include "term/translate.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SENTENCES_MAX 64
#define CALL_CELLS_A 22 /* there is less room at the left */
#define CALL_CELLS_B 31
#define JOIN_NS NS_PER_MS /* as in text */

static const char *class_of_state(enum tcp_state state)
{
    switch (tcp_state_class(state)) {
    case TCP_CLASS_HALF:
        return "th";
    case TCP_CLASS_OPEN:
        return "to";
    case TCP_CLASS_ENDING:
        return "te";
    case TCP_CLASS_LINGER:
        return "tl";
    default:
        return "m s";
    }
}

static void add_text(struct mark *mark, enum event_end end, const char *classes, const char *text)
{
    if (text[0] == '\0' || mark->n_text[end] == MARK_TEXTS_MAX)
        return;
    struct mark_text *place = &mark->text[end][mark->n_text[end]++];
    fit_characters(&glyphs_unicode, text, place->text, sizeof place->text);
    place->classes = classes;
}

static void take_state(struct svg *svg, struct mark *mark, enum event_end end, enum tcp_state state, bool guess)
{
    struct connection_end *about = &svg->connection.end[end];
    if (state == TCP_STATE_UNKNOWN || state >= TCP_N_STATES || state == about->state)
        return;
    about->state = (uint8_t)state;
    char text[16];
    state_text(state, guess, text);
    add_text(mark, end, class_of_state(state), text);
}

static void held_of_call(const struct event_call *call, struct held_call *ret_held)
{
    *ret_held = (struct held_call){.phase = call->phase,
                                   .operation = call->operation,
                                   .end = call->end,
                                   .fd = call->fd,
                                   .n_bytes = call->n_bytes,
                                   .datagram = call->datagram,
                                   .result = call->result};
    if (call->operation != SONDE_OP_RECEIVE || call->result <= 0 || !call->data ||
        tls_record_text(call->data, call->n_data))
        return;
    char quoted[PREVIEW_CALL_BYTES + 2];
    preview_text(call->data, call->n_data, (uint64_t)call->result, PREVIEW_CALL_CELLS, &glyphs_unicode, quoted,
                 sizeof quoted);
    size_t length = strlen(quoted);
    if (length > 2)
        snprintf(ret_held->preview, sizeof ret_held->preview, "%.*s", (int)length - 2, quoted + 1);
}

static unsigned side_cells(enum event_end end)
{
    return end == END_A ? CALL_CELLS_A : CALL_CELLS_B;
}

static void call_texts(struct svg *svg, struct mark *mark)
{
    struct held_call held;
    char text[MARK_TEXT_BYTES], span[16], both[MARK_TEXT_BYTES + 40];
    unsigned n_cells = side_cells(mark->event->call.end);
    held_of_call(&mark->event->call, &held);
    if (mark->kind == MARK_CALL_BEGIN) {
        call_text_begin(&held, n_cells, &glyphs_unicode, text, sizeof text);
        add_text(mark, held.end, "tc", text);
    } else if (mark->kind == MARK_CALL_WHOLE || mark->mate == SIZE_MAX) {
        if (mark->mate != SIZE_MAX)
            held_of_call(&svg->marks[mark->mate].event->call, &held);
        call_text_whole(&held, n_cells, &glyphs_unicode, text, sizeof text);
        add_text(mark, held.end, "tc", text);
    } else {
        call_text_end(&held, n_cells, &glyphs_unicode, text, sizeof text);
        ladder_delta_text(mark->t_ns - svg->marks[mark->mate].t_ns, false, span);
        snprintf(both, sizeof both, _("%s after %s"), text, span);
        add_text(mark, held.end, "tc", text_cells(both) <= n_cells ? both : text);
    }
}

static void say_note(const char *text, void *user)
{
    struct svg *svg = user;
    if (svg->n_notes == SVG_NOTES_MAX) {
        svg->n_notes_left_out++;
        return;
    }
    snprintf(svg->notes[svg->n_notes++], sizeof svg->notes[0], "%s", text);
}

struct note_user {
    struct svg *svg;
    uint32_t number;
};

static void say_segment_note(const char *text, void *user)
{
    struct note_user *of = user;
    char line[256];
    char number[16];
    snprintf(number, sizeof number, "#%u", of->number);
    if (strncmp(text, number, strlen(number)) == 0)
        snprintf(line, sizeof line, "%s", text);
    else
        snprintf(line, sizeof line, _("#%u: %s"), of->number, text);
    say_note(line, of->svg);
}

static void segment_texts(struct svg *svg, struct mark *mark)
{
    const struct event_segment *segment = &mark->event->segment;
    enum event_end from = segment->from, to = other_end(from);
    take_state(svg, mark, from, segment->state[from], segment->state_guess[from]);
    if (mark->mate == SIZE_MAX && segment->fate != FATE_LOST && segment->fate != FATE_THROWN)
        take_state(svg, mark, to, segment->state[to], segment->state_guess[to]);
    char timer[40], text[MARK_TEXT_BYTES];
    segment_timer_text(&svg->connection, segment, timer, sizeof timer);
    if (has_note(segment->notes, NOTE_AGAIN_TLP))
        snprintf(timer, sizeof timer, "%s", _("tail probe"));
    if (has_note(segment->notes, NOTE_WINDOW_PROBE))
        timer[0] = '\0'; /* the label has it */
    if (timer[0] && segment->again_of > 0)
        snprintf(text, sizeof text, _("%s, %u again"), timer, segment->again_of);
    else
        snprintf(text, sizeof text, "%s", timer);
    add_text(mark, from, "tr s", text);
    struct note_user user = {svg, segment->number};
    segment_notes(&svg->connection, segment, false, say_segment_note, &user);
    connection_took_segment(&svg->connection, segment);
    svg->n_segments++;
    svg->n_from[segment->from]++;
    svg->n_lost += segment->fate == FATE_LOST || segment->fate == FATE_THROWN;
    svg->n_again += has_note(segment->notes, NOTE_AGAIN) || has_note(segment->notes, NOTE_SYN_RETRY);
}

static void values_texts(struct svg *svg, struct mark *mark)
{
    const struct event_values *values = &mark->event->values;
    uint32_t column = 1u << VALUE_RTO | 1u << VALUE_CWND;
    struct event_values others = *values;
    if (svg->has_kernel && values->end == svg->kernel_end) {
        mark->has_rto = values->present & values->changed & (1u << VALUE_RTO) && values->value[VALUE_RTO] > 0;
        mark->has_cwnd = values->present & values->changed & (1u << VALUE_CWND);
        mark->rto_us = values->value[VALUE_RTO];
        mark->cwnd = values->value[VALUE_CWND];
        others.changed &= ~column;
    }
    bool all;
    char text[VALUES_BYTES];
    values_text(&others, side_cells(values->end), &all, text);
    add_text(mark, values->end, "k s", text);
}

/* What was agreed on is too long for its place: it stands below. */
static void handshake_note(struct svg *svg, const struct mark *mark)
{
    char text[ABOVE_BYTES], line[SVG_NOTE_BYTES];
    char *agreed = above_words(mark->event->handshake.agreed, &glyphs_unicode);
    handshake_text(&mark->event->handshake, mark->t_ns, text);
    snprintf(line, sizeof line, "%s: %.96s: %s", connection_end_short(&svg->connection, mark->event->handshake.end),
             text, agreed ? agreed : "");
    if (agreed && agreed[0])
        say_note(line, svg);
    free(agreed);
}

static void mark_texts(struct svg *svg, struct mark *mark)
{
    const struct event *event = mark->event;
    switch ((enum mark_kind)mark->kind) {
    case MARK_SEGMENT:
        segment_texts(svg, mark);
        break;
    case MARK_ARRIVAL: {
        enum event_end to = other_end(event->segment.from);
        if (event->segment.fate != FATE_THROWN)
            take_state(svg, mark, to, event->segment.state[to], event->segment.state_guess[to]);
        break;
    }
    case MARK_CALL_BEGIN:
    case MARK_CALL_END:
    case MARK_CALL_WHOLE:
        call_texts(svg, mark);
        break;
    case MARK_STATE:
        take_state(svg, mark, event->state.end, event->state.after, false);
        break;
    case MARK_VALUES:
        values_texts(svg, mark);
        break;
    case MARK_HANDSHAKE:
        handshake_note(svg, mark);
        break;
    default:
        break;
    }
    for (enum event_end end = END_A; end < N_ENDS; end++)
        mark->state[end] = svg->connection.end[end].state;
}

static int by_time(const void *one, const void *other)
{
    const struct mark *a = one, *b = other;
    if (a->t_ns != b->t_ns)
        return a->t_ns < b->t_ns ? -1 : 1;
    return a->order < b->order ? -1 : a->order > b->order;
}

/* Which mark is the arrival of which segment, the end of which call. */
static void find_mates(struct svg *svg)
{
    for (size_t i = 0; i < svg->n_marks; i++) {
        struct mark *mark = &svg->marks[i];
        if (mark->kind != MARK_ARRIVAL && mark->kind != MARK_CALL_END)
            continue;
        for (size_t j = i; j-- > 0 && i - j < 512;) {
            struct mark *before = &svg->marks[j];
            bool is_mate = mark->kind == MARK_ARRIVAL ? before->kind == MARK_SEGMENT && before->event == mark->event
                                                      : before->kind == MARK_CALL_BEGIN && before->mate == SIZE_MAX &&
                                                            before->event->call.number == mark->event->call.number;
            if (!is_mate)
                continue;
            mark->mate = j;
            before->mate = i;
            break;
        }
    }
    /* A call with nothing between is one. */
    for (size_t i = 0; i + 1 < svg->n_marks; i++) {
        struct mark *mark = &svg->marks[i], *next = &svg->marks[i + 1];
        if (mark->kind == MARK_CALL_BEGIN && next->kind == MARK_CALL_END && mark->mate == i + 1 &&
            next->t_ns - mark->t_ns < JOIN_NS) {
            mark->kind = MARK_CALL_WHOLE;
            next->kind = MARK_NOTHING;
        }
    }
}

static bool add_mark(struct svg *svg, enum mark_kind kind, const struct event *event, int64_t t_ns)
{
    if (svg->n_marks == SVG_MARKS_MAX) {
        svg->n_left_out++;
        return false;
    }
    struct mark *mark = &svg->marks[svg->n_marks];
    *mark = (struct mark){.kind = (uint8_t)kind, .event = event, .t_ns = t_ns, .order = svg->n_marks, .mate = SIZE_MAX};
    svg->n_marks++;
    return true;
}

static bool is_sound(const struct event *event)
{
    switch ((enum event_kind)event->kind) {
    case EVENT_KIND_CALL:
        return event->call.end < N_ENDS;
    case EVENT_KIND_SEGMENT:
        return event->segment.from < N_ENDS;
    case EVENT_KIND_DATAGRAM:
        return event->datagram.from < N_ENDS;
    case EVENT_KIND_ICMP:
        return event->icmp.to < N_ENDS;
    case EVENT_KIND_HANDSHAKE:
        return event->handshake.end < N_ENDS;
    case EVENT_KIND_MESSAGE:
        return event->message.from < N_ENDS && event->message.end <= N_ENDS;
    case EVENT_KIND_STATE:
        return event->state.end < N_ENDS;
    case EVENT_KIND_VALUES:
        return event->values.end < N_ENDS;
    default:
        return true;
    }
}

static void take_values(struct svg *svg, const struct event_values *values)
{
    if (!(values->present & (1u << VALUE_RTO)) || values->value[VALUE_RTO] <= 0)
        return;
    if (!svg->has_kernel) {
        svg->has_kernel = true;
        svg->kernel_end = values->end;
        svg->rto_least_us = values->value[VALUE_RTO];
    }
    if (values->end == svg->kernel_end && values->value[VALUE_RTO] < svg->rto_least_us)
        svg->rto_least_us = values->value[VALUE_RTO];
}

static void take_event(struct svg *svg, const struct event *event)
{
    static const uint8_t kinds[EVENT_N_KINDS] = {
        [EVENT_KIND_SEGMENT] = MARK_SEGMENT,     [EVENT_KIND_DATAGRAM] = MARK_DATAGRAM, [EVENT_KIND_ICMP] = MARK_ICMP,
        [EVENT_KIND_STATE] = MARK_STATE,         [EVENT_KIND_VALUES] = MARK_VALUES,     [EVENT_KIND_LOSS] = MARK_LOSS,
        [EVENT_KIND_HANDSHAKE] = MARK_HANDSHAKE, [EVENT_KIND_MESSAGE] = MARK_MESSAGE,
    };
    if (event->kind >= EVENT_N_KINDS || !is_sound(event))
        return;
    if (event->kind == EVENT_KIND_CONNECTION) {
        connection_update(&svg->connection, event);
        return;
    }
    if (event->kind == EVENT_KIND_SENTENCE) {
        if (svg->n_sentences < SENTENCES_MAX && event->sentence.text)
            svg->sentences[svg->n_sentences++] = event;
        return;
    }
    if (event->kind == EVENT_KIND_VALUES)
        take_values(svg, &event->values);
    enum mark_kind kind = kinds[event->kind];
    if (event->kind == EVENT_KIND_CALL)
        kind = event->call.phase == CALL_BEGIN ? MARK_CALL_BEGIN
               : event->call.phase == CALL_END ? MARK_CALL_END
                                               : MARK_CALL_WHOLE;
    struct mark *last = svg->n_marks > 0 ? &svg->marks[svg->n_marks - 1] : NULL;
    if (kind == MARK_MESSAGE && last && last->kind == MARK_MESSAGE && messages_join(&last->messages, &event->message))
        return;
    if (!add_mark(svg, kind, event, event->t_ns))
        return;
    if (kind == MARK_MESSAGE)
        messages_begin(&svg->marks[svg->n_marks - 1].messages, &event->message);
    if (kind != MARK_SEGMENT)
        return;
    const struct event_segment *segment = &event->segment;
    if (segment->arrived_ns > event->t_ns && segment->fate != FATE_LOST)
        add_mark(svg, MARK_ARRIVAL, event, segment->arrived_ns);
}

static int by_size(const void *one, const void *other)
{
    int64_t a = *(const int64_t *)one, b = *(const int64_t *)other;
    return a < b ? -1 : a > b;
}

/* The median: one slow segment must not make the others look flat. */
static int usual_flight(struct svg *svg)
{
    int64_t *flights = calloc(svg->n_marks + 1, sizeof *flights);
    if (!flights)
        return -ENOMEM;
    size_t n = 0;
    for (size_t i = 0; i < svg->n_marks; i++) {
        if (svg->marks[i].kind == MARK_ARRIVAL)
            flights[n++] = svg->marks[i].t_ns - svg->marks[i].event->t_ns;
    }
    qsort(flights, n, sizeof *flights, by_size);
    svg->flight_ns = n > 0 ? flights[n / 2] : 0;
    free(flights);
    return 0;
}

int svg_collect(struct svg *svg, const struct event *const *events, size_t n_events, uint64_t conn)
{
    svg->marks = calloc(SVG_MARKS_MAX, sizeof *svg->marks);
    svg->sentences = calloc(SENTENCES_MAX, sizeof(const struct event *));
    if (!svg->marks || !svg->sentences)
        return -ENOMEM;
    bool found = false;
    for (size_t i = 0; i < n_events; i++) {
        if (events[i]->conn != conn)
            continue;
        if (!found)
            svg->connection.origin_ns = events[i]->t_ns;
        found = true;
        take_event(svg, events[i]);
    }
    if (!found)
        return -ENOENT;
    qsort(svg->marks, svg->n_marks, sizeof *svg->marks, by_time);
    find_mates(svg);
    int r = usual_flight(svg);
    if (r < 0)
        return r;
    for (enum event_end end = END_A; end < N_ENDS; end++)
        svg->first_state[end] = svg->connection.end[end].state;
    for (size_t i = 0; i < svg->n_marks; i++)
        mark_texts(svg, &svg->marks[i]);
    return 0;
}
