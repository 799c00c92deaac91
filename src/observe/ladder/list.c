// SPDX-License-Identifier: MIT
/*
 * The list: one event a line, for terminals too narrow for two life lines, and for those who want it. `4 > P. 1:6(5)`
 * is segment 4 from A to B; what belongs to one end alone begins with that end's name. Nothing is dropped: lines wrap.
 */
#include "observe/ladder/ladder_internal.h"

#include "term/translate.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define LINE_BYTES 4096
#define TIME_CELLS 10
#define NUMBER_CELLS 4

struct line {
    char text[LINE_BYTES];
};

static void add(struct line *line, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void add(struct line *line, const char *format, ...)
{
    size_t n = strlen(line->text);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line->text + n, sizeof line->text - n, format, arguments);
    va_end(arguments);
}

static void put_line(struct ladder *ladder, const struct held *held, const struct line *line, bool with_time,
                     enum style style)
{
    char piece[LINE_BYTES];
    const char *rest = line->text;
    unsigned width = ladder->options.width;
    for (bool first = true;; first = false) {
        struct cells cells = {.n = 0};
        unsigned at = put_tag(ladder, held->connection, &cells), begin = at + TIME_CELLS + 1;
        /* Where the window is very narrow, what follows goes below the time, not behind it. */
        if (!first && width < 2 * begin + NUMBER_CELLS)
            begin = at + 2;
        if (first && with_time) {
            char time[16];
            ladder_time_text(since_origin(ladder, held->connection, held->t_ns), time);
            cells_put_right(&cells, at, at + TIME_CELLS, time, STYLE_DIM);
        }
        if (!first)
            begin += 2;
        if (!wrap_next(&rest, width > begin ? width - begin : 1, piece, sizeof piece))
            break;
        cells_put(&cells, begin, width, piece, style);
        output_cells(&ladder->output, &cells);
    }
    ladder->has_lines = true;
    ladder->last_was_sentence = false;
}

void list_note(struct ladder *ladder, const struct held *held, const char *text)
{
    struct line line = {""};
    char fitted[LABEL_BELOW_BYTES];
    fit_characters(ladder->output.glyphs, text, fitted, sizeof fitted);
    add(&line, "  %s %s", ladder->output.glyphs->note, fitted);
    put_line(ladder, held, &line, false, STYLE_PLAIN);
}

static void say_note(const char *text, void *user)
{
    list_note(((void **)user)[0], ((void **)user)[1], text);
}

static void add_state(struct line *line, struct connection *connection, enum event_end end, enum tcp_state state,
                      bool guess)
{
    struct connection_end *about = &connection->end[end];
    if (state == TCP_STATE_UNKNOWN || state >= TCP_N_STATES || state == about->state)
        return;
    about->state = (uint8_t)state;
    about->guess = guess;
    char text[16];
    state_text(state, guess, text);
    add(line, "%s%s %s", line->text[0] ? "  " : "", connection_end_short(connection, end), text);
}

static void add_values(struct line *line, const struct held *held)
{
    for (enum event_end end = END_A; end < N_ENDS; end++) {
        char text[VALUES_BYTES];
        if (!held->has_values[end] || !values_are_shown(&held->row_values[end]))
            continue;
        values_text_long(&held->row_values[end], VALUES_BYTES - 1, text);
        add(line, "  %s %s", connection_end_short(held->connection, end), text);
    }
}

static void add_label(struct line *line, const struct label *label)
{
    for (unsigned part = 0; part < N_LABEL_PARTS; part++) {
        if (label->part[part][0])
            add(line, " %s", label->part[part]);
    }
}

static void list_segment(struct ladder *ladder, struct held *held)
{
    struct connection *connection = held->connection;
    const struct event_segment *segment = &held->segment;
    const struct glyphs *glyphs = ladder->output.glyphs;
    struct line line = {""};
    struct label label;
    struct label_context context = {.glyphs = glyphs, .raw = ladder->options.raw};
    label_of_segment(segment, &context, &label);
    add(&line, "%u %s", segment->number, segment->from == END_A ? ">" : "<");
    add_label(&line, &label);
    if (segment->fate == FATE_LOST)
        add(&line, " %s %s", glyphs->cross, _("lost"));
    else if (segment->fate == FATE_THROWN)
        add(&line, " %s %s", glyphs->cross, _("thrown away"));
    char timer[40];
    segment_timer_text(connection, segment, timer, sizeof timer);
    if (timer[0] && !has_note(segment->notes, NOTE_WINDOW_PROBE))
        add(&line, "  %s", timer);
    bool came = segment->fate != FATE_LOST && segment->fate != FATE_THROWN && !held->two_rows;
    for (enum event_end end = END_A; end < N_ENDS; end++) {
        if (end == segment->from || came)
            add_state(&line, connection, end, segment->state[end], segment->state_guess[end]);
    }
    add_values(&line, held);
    put_line(ladder, held, &line, true,
             segment->fate == FATE_LOST || segment->fate == FATE_THROWN ? STYLE_TROUBLE : STYLE_PLAIN);
    void *user[2] = {ladder, held};
    segment_notes(connection, segment, ladder->options.raw, say_note, user);
    connection_took_segment(connection, segment);
}

/* Of a segment that another one crossed, or overtook. */
static void list_arrival(struct ladder *ladder, struct held *held)
{
    const struct event_segment *segment = &held->segment;
    enum event_end to = other_end(segment->from);
    struct line line = {""};
    if (segment->fate == FATE_THROWN)
        return;
    add(&line, _("#%u arrives"), segment->number);
    add_state(&line, held->connection, to, segment->state[to], segment->state_guess[to]);
    add_values(&line, held);
    put_line(ladder, held, &line, true, STYLE_PLAIN);
}

static void list_call(struct ladder *ladder, struct held *held)
{
    struct connection_end *end = &held->connection->end[held->call.end];
    struct line line = {""};
    char text[160];
    const struct glyphs *glyphs = ladder->output.glyphs;
    if (held->call.phase == CALL_BEGIN && !held->call.whole) {
        call_text_begin(&held->call, sizeof text - 1, glyphs, text, sizeof text);
        call_opened(end, &held->call);
    } else {
        call_text_whole(&held->call, sizeof text - 1, glyphs, text, sizeof text);
        call_closed(end, held->call.number);
    }
    add(&line, "%s %s", connection_end_short(held->connection, held->call.end), text);
    add_values(&line, held);
    put_line(ladder, held, &line, true, STYLE_PLAIN);
}

static void list_values(struct ladder *ladder, struct held *held)
{
    char text[VALUES_BYTES];
    struct line line = {""};
    if (!values_are_shown(&held->values))
        return;
    values_text_long(&held->values, VALUES_BYTES - 1, text);
    add(&line, "%s %s", connection_end_short(held->connection, held->values.end), text);
    put_line(ladder, held, &line, true, STYLE_KERNEL);
}

static void list_datagram(struct ladder *ladder, struct held *held)
{
    struct line line = {""};
    struct label label;
    struct label_context context = {.glyphs = ladder->output.glyphs};
    label_of_datagram(&held->datagram, &context, &label);
    add(&line, "%u %s", held->datagram.number, held->datagram.from == END_A ? ">" : "<");
    add_label(&line, &label);
    bool lost = held->datagram.fate == FATE_LOST;
    if (lost)
        add(&line, " %s %s", ladder->output.glyphs->cross, _("lost"));
    put_line(ladder, held, &line, true, lost ? STYLE_TROUBLE : STYLE_PLAIN);
}

static void list_icmp(struct ladder *ladder, struct held *held)
{
    struct line line = {""};
    char what[96], rest[SONDE_ADDRESS_TEXT + 64];
    icmp_texts(&held->icmp, what, sizeof what, rest, sizeof rest);
    add(&line, _("%s is told: %s %s"), connection_end_short(held->connection, held->icmp.to), what, rest);
    put_line(ladder, held, &line, true, STYLE_TROUBLE);
}

static void list_handshake(struct ladder *ladder, struct held *held)
{
    struct line line = {""};
    char text[ABOVE_BYTES];
    handshake_text(&held->handshake, held->t_ns, text);
    add(&line, "%s %s", connection_end_short(held->connection, held->handshake.end), text);
    if (held->text && held->text[0])
        add(&line, ": %s", held->text);
    put_line(ladder, held, &line, true, held->handshake.result < 0 ? STYLE_TROUBLE : STYLE_PLAIN);
}

static void list_message(struct ladder *ladder, struct held *held)
{
    const struct event_message *message = &held->messages.first;
    struct line line = {""};
    char text[ABOVE_BYTES];
    messages_text(&held->messages, held->text, WIDE_ENOUGH, ladder->output.glyphs, text);
    add(&line, "%s %s %s", connection_end_short(held->connection, message->end), message->from == END_A ? ">" : "<",
        text);
    put_line(ladder, held, &line, true, message->kind == MESSAGE_MALFORMED ? STYLE_TROUBLE : STYLE_PLAIN);
}

void list_draw(struct ladder *ladder, struct held *held)
{
    struct line line = {""};
    switch ((enum held_kind)held->kind) {
    case HELD_SEGMENT:
        list_segment(ladder, held);
        break;
    case HELD_CALL:
        list_call(ladder, held);
        break;
    case HELD_DATAGRAM:
        list_datagram(ladder, held);
        break;
    case HELD_ICMP:
        list_icmp(ladder, held);
        break;
    case HELD_HANDSHAKE:
        list_handshake(ladder, held);
        break;
    case HELD_MESSAGE:
        list_message(ladder, held);
        break;
    case HELD_STATE:
        add_state(&line, held->connection, held->state.end, held->state.after, false);
        if (line.text[0])
            put_line(ladder, held, &line, true, STYLE_PLAIN);
        break;
    case HELD_VALUES:
        list_values(ladder, held);
        break;
    case HELD_ARRIVAL:
        list_arrival(ladder, held);
        break;
    case HELD_SENTENCE:
    case HELD_TITLE:
    case HELD_LOSS:
        break;
    }
}
