// SPDX-License-Identifier: MIT
/* One event as a row of the grid, or two. */
#include "observe/ladder/ladder_internal.h"

#include "term/translate.h"

#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#define NOTE_INDENT 4 /* "  └ " */
#define PAUSE_NS (200 * NS_PER_MS)
#define PAUSE_ROWS_MAX 4
#define FLIGHT_FROM 110 /* lines so wide say how long an arrow took */

int64_t since_origin(const struct ladder *ladder, const struct connection *connection, int64_t t_ns)
{
    return t_ns - (ladder->options.live ? ladder->origin_ns : connection->origin_ns);
}

int64_t drawn_last(const struct ladder *ladder, const struct connection *connection, bool *ret_known)
{
    *ret_known = ladder->options.live ? ladder->has_last : connection->has_rows;
    return ladder->options.live ? ladder->last_ns : connection->last_ns;
}

void drawn_at(struct ladder *ladder, struct connection *connection, int64_t t_ns)
{
    if (!connection->has_rows || t_ns > connection->last_ns)
        connection->last_ns = t_ns;
    connection->has_rows = true;
    if (!ladder->has_last || t_ns > ladder->last_ns)
        ladder->last_ns = t_ns;
    ladder->has_last = true;
    ladder->last_drawn = connection;
}

void row_begin(struct row *row, struct ladder *ladder, struct connection *connection)
{
    row->ladder = ladder;
    row->connection = connection;
    row->cells.n = 0;
    bool has_calls = connection->end[END_A].calls_seen || connection->end[END_B].calls_seen;
    grid_init(&row->grid, ladder->options.width, ladder->n_tag, has_calls);
    put_tag(ladder, connection, &row->cells);
}

void row_time(struct row *row, int64_t t_ns)
{
    char text[16];
    int64_t since_ns = since_origin(row->ladder, row->connection, t_ns);
    ladder_time_text(since_ns, text);
    cells_put_right(&row->cells, row->grid.time, row->grid.delta - 1, text, STYLE_DIM);
    bool known;
    int64_t last_ns = drawn_last(row->ladder, row->connection, &known);
    if (row->grid.n_delta == 0 || !known || since_ns <= 0 || t_ns <= last_ns)
        return;
    int64_t origin_ns = t_ns - since_ns;
    ladder_delta_text(t_ns - (last_ns > origin_ns ? last_ns : origin_ns), true, text);
    cells_put_right(&row->cells, row->grid.delta, row->grid.delta + row->grid.n_delta, text, STYLE_DIM);
}

void row_lives(struct row *row)
{
    for (enum event_end end = END_A; end < N_ENDS; end++) {
        enum style style;
        const char *life = connection_life(row->connection, end, row->ladder->output.glyphs, &style);
        unsigned at = end == END_A ? row->grid.life_a : row->grid.life_b;
        cells_put(&row->cells, at, at + 1, life, style);
    }
}

static void put_bracket(struct row *row, enum event_end end, const char *glyph)
{
    unsigned at = end == END_A ? row->grid.bracket_a : row->grid.bracket_b;
    cells_put(&row->cells, at, at + 1, glyph, STYLE_PLAIN);
}

void row_brackets(struct row *row)
{
    for (enum event_end end = END_A; end < N_ENDS; end++) {
        if (row->connection->end[end].n_open > 0)
            put_bracket(row, end, row->ladder->output.glyphs->bracket_inside);
    }
}

void row_end(struct row *row)
{
    output_cells(&row->ladder->output, &row->cells);
    row->ladder->has_lines = true;
    row->ladder->last_was_sentence = false;
}

/* ---- the side cells */

struct side {
    char call[96];
    char state[16];
    enum style state_style;
    char timer[40];
    const struct event_values *values; /* NULL: none */
};

struct side_piece {
    const char *text;
    enum style style;
};

/* What is told beside the call, in this order, as far as there is room. Returns the cells it takes. */
static unsigned side_pieces(const struct side *side, unsigned n_cells, char values[VALUES_BYTES],
                            struct side_piece ret_piece[3], bool *ret_values_done)
{
    unsigned used = text_cells(side->call);
    if (side->state[0])
        used += text_cells(side->state) + (used > 0 ? 2 : 0);
    unsigned room = n_cells > used + (used > 0 ? 2 : 0) ? n_cells - used - (used > 0 ? 2 : 0) : 0;
    unsigned n_timer = side->timer[0] ? text_cells(side->timer) : 0;
    bool all = true, with_timer = n_timer > 0 && n_timer <= room;
    values[0] = '\0';
    if (side->values) {
        unsigned beside = with_timer && room > n_timer + 2 ? room - n_timer - 2 : with_timer ? 0 : room;
        values_text(side->values, beside, &all, values);
        if (with_timer && !all) {
            with_timer = false;
            values_text(side->values, room, &all, values);
        }
        /* In a cell of its own a value more or less does not matter; beside something else it is all or none. */
        if (!all && used > 0)
            values[0] = '\0';
        if (values[0] == '\0')
            with_timer = n_timer > 0 && n_timer <= room;
    }
    *ret_values_done = !side->values || values[0] != '\0';
    ret_piece[0] = (struct side_piece){side->state, side->state_style};
    ret_piece[1] = (struct side_piece){with_timer ? side->timer : "", STYLE_PLAIN};
    ret_piece[2] = (struct side_piece){values, STYLE_KERNEL};
    unsigned n = 0;
    for (unsigned i = 0; i < 3; i++) {
        if (ret_piece[i].text[0])
            n += text_cells(ret_piece[i].text) + (n > 0 ? 2 : 0);
    }
    return n;
}

/* false: the values had no room. */
static bool put_side(struct row *row, enum event_end end, const struct side *side)
{
    const struct grid *grid = &row->grid;
    unsigned begin = end == END_A ? grid->left : grid->right, stop = begin + grid->n_side, at;
    char values[VALUES_BYTES];
    struct side_piece piece[3];
    bool done;
    unsigned n = side_pieces(side, grid->n_side, values, piece, &done);
    at = cells_put(&row->cells, begin, stop, side->call, STYLE_PLAIN);
    if (end == END_A && grid->wide)
        at = n < grid->n_side ? stop - n : begin;
    else if (at > begin)
        at += 2;
    bool first = true;
    for (unsigned i = 0; i < 3; i++) {
        if (piece[i].text[0] == '\0')
            continue;
        at = cells_put(&row->cells, first ? at : at + 2, stop, piece[i].text, piece[i].style);
        first = false;
    }
    return done;
}

/* ---- rows */

static void draw_values(struct ladder *ladder, struct connection *connection, const struct event_values *values,
                        int64_t t_ns, bool with_time)
{
    if (!values_are_shown(values))
        return;
    struct row row;
    char text[VALUES_BYTES], line[VALUES_BYTES + 40];
    row_begin(&row, ladder, connection);
    if (with_time)
        row_time(&row, t_ns);
    row_lives(&row);
    row_brackets(&row);
    if (connection->has_segments) {
        struct side side = {.values = values};
        if (!put_side(&row, values->end, &side))
            return; /* not even one has room */
    } else {
        /* Nothing else stands in the wire: it takes the values, at their end's side. */
        unsigned begin = row.grid.wire, end = begin + row.grid.n_wire;
        values_text_long(values, row.grid.n_wire - 3 - text_cells(_("kernel:")), text);
        snprintf(line, sizeof line, "%s %s", _("kernel:"), text);
        if (values->end == END_A)
            cells_put(&row.cells, begin + 1, end, line, STYLE_KERNEL);
        else
            cells_put_right(&row.cells, begin, end - 1, line, STYLE_KERNEL);
    }
    row_end(&row);
    if (with_time)
        drawn_at(ladder, connection, t_ns);
}

static void left_over_values(struct ladder *ladder, const struct held *held, const bool left_over[N_ENDS])
{
    for (enum event_end end = END_A; end < N_ENDS; end++) {
        if (left_over[end])
            draw_values(ladder, held->connection, &held->row_values[end], held->t_ns, false);
    }
}

static void put_sides(struct row *row, const struct held *held, struct side side[N_ENDS], bool ret_left_over[N_ENDS])
{
    for (enum event_end end = END_A; end < N_ENDS; end++) {
        if (held->has_values[end] && values_are_shown(&held->row_values[end]))
            side[end].values = &held->row_values[end];
        ret_left_over[end] = !put_side(row, end, &side[end]);
    }
}

void draw_pause(struct ladder *ladder, struct connection *connection, int64_t t_ns)
{
    bool known;
    int64_t last_ns = drawn_last(ladder, connection, &known);
    int64_t origin_ns = ladder->options.live ? ladder->origin_ns : connection->origin_ns;
    if (last_ns < origin_ns)
        last_ns = origin_ns;
    if (!known || t_ns - last_ns < PAUSE_NS)
        return;
    unsigned n_rows = 1;
    for (int64_t length = (t_ns - last_ns) / PAUSE_NS; length >= 2 && n_rows < PAUSE_ROWS_MAX; length /= 2)
        n_rows++;
    if (ladder->options.compact)
        n_rows = 1;
    char span[16], text[32];
    const char *dot = ladder->output.glyphs->dot;
    ladder_delta_text(t_ns - last_ns, false, span);
    snprintf(text, sizeof text, "%s %s %s", dot, span, dot);
    for (unsigned i = 0; i < n_rows; i++) {
        struct row row;
        row_begin(&row, ladder, connection);
        cells_put(&row.cells, row.grid.time + 2, row.grid.delta, ":", STYLE_DIM);
        if (!ladder->options.live || !ladder->last_drawn || ladder->last_drawn == connection) {
            row_lives(&row);
            row_brackets(&row);
        }
        unsigned n = text_cells(text), room = row.grid.n_wire;
        if (i == (n_rows - 1) / 2)
            cells_put(&row.cells, row.grid.wire + (n < room ? (room - n + 1) / 2 : 0), row.grid.life_b, text,
                      STYLE_DIM);
        row_end(&row);
    }
}

void draw_note(struct ladder *ladder, struct connection *connection, const char *text)
{
    char fitted[LABEL_BELOW_BYTES * 2], line[LABEL_BELOW_BYTES * 2];
    fit_characters(ladder->output.glyphs, text, fitted, sizeof fitted);
    const char *rest = fitted;
    for (bool first = true;; first = false) {
        struct row row;
        row_begin(&row, ladder, connection);
        unsigned begin = row.grid.wire, end = begin + row.grid.n_wire;
        /* One cell stays between the text and the life line. */
        if (!wrap_next(&rest, row.grid.n_wire - NOTE_INDENT - 1, line, sizeof line))
            break;
        if (first)
            cells_put(&row.cells, begin + 2, end, ladder->output.glyphs->note, STYLE_PLAIN);
        cells_put(&row.cells, begin + NOTE_INDENT, end, line, STYLE_PLAIN);
        row_lives(&row);
        row_brackets(&row);
        row_end(&row);
    }
}

/* Takes over a state; says so in the side cell when it is news. */
static void take_state(struct connection *connection, enum event_end end, enum tcp_state state, bool guess,
                       struct side *side)
{
    struct connection_end *about = &connection->end[end];
    if (state == TCP_STATE_UNKNOWN || state >= TCP_N_STATES || state == about->state) {
        about->guess &= guess;
        return;
    }
    about->state = (uint8_t)state;
    about->guess = guess;
    state_text(state, guess, side->state);
    side->state_style = state_style(state);
}

static void say_note(const char *text, void *user)
{
    const struct held *held = ((void **)user)[1];
    draw_note(((void **)user)[0], held->connection, text);
}

/* How long it took, in the middle of the dashes. */
static void put_flight(struct row *row, int64_t left_ns, int64_t arrived_ns)
{
    if (row->grid.width < FLIGHT_FROM || arrived_ns <= left_ns)
        return;
    char span[16], text[24];
    ladder_delta_text(arrived_ns - left_ns, false, span);
    snprintf(text, sizeof text, " %s ", span);
    unsigned n = (unsigned)strlen(text), best = 0, best_at = 0, run = 0;
    const char *dash = row->ladder->output.glyphs->dash;
    for (unsigned i = row->grid.wire; i < row->grid.life_b && i < row->cells.n; i++) {
        const struct cell *cell = &row->cells.cell[i];
        run = cell->n_bytes == strlen(dash) && memcmp(cell->text, dash, cell->n_bytes) == 0 ? run + 1 : 0;
        if (run > best) {
            best = run;
            best_at = i + 1 - run;
        }
    }
    if (best >= n + 4)
        cells_put(&row->cells, best_at + (best - n) / 2, row->grid.life_b, text, STYLE_DIM);
}

static enum arrow_kind arrow_of(enum segment_fate fate)
{
    return fate == FATE_LOST ? ARROW_LOST : fate == FATE_THROWN ? ARROW_THROWN : ARROW_WHOLE;
}

static void draw_segment(struct ladder *ladder, struct held *held)
{
    struct connection *connection = held->connection;
    struct event_segment *segment = &held->segment;
    enum event_end from = segment->from, to = other_end(from);
    struct side side[N_ENDS] = {0};
    bool left_over[N_ENDS];
    take_state(connection, from, segment->state[from], segment->state_guess[from], &side[from]);
    /* What did not come to the receiver says nothing of it. */
    if (!held->two_rows && segment->fate != FATE_LOST && segment->fate != FATE_THROWN)
        take_state(connection, to, segment->state[to], segment->state_guess[to], &side[to]);
    segment_timer_text(connection, segment, side[from].timer, sizeof side[from].timer);
    struct row row;
    row_begin(&row, ladder, connection);
    row_time(&row, held->t_ns);
    row_lives(&row);
    row_brackets(&row);
    put_sides(&row, held, side, left_over);
    struct label_context context = {.glyphs = ladder->output.glyphs,
                                    .raw = ladder->options.raw,
                                    .first_ack = !connection->first_ack_seen,
                                    .after_zero_window = connection->end[from].zero_window};
    struct label label;
    label_of_segment(segment, &context, &label);
    label_fit(&label, segment, &context, arrow_room(&row.grid, segment->number));
    arrow_draw(&row, from, held->two_rows ? ARROW_LEAVES : arrow_of((enum segment_fate)segment->fate), segment->number,
               &label);
    if (!held->two_rows && segment->fate != FATE_LOST)
        put_flight(&row, held->t_ns, segment->arrived_ns);
    row_end(&row);
    if (label.below[0])
        draw_note(ladder, connection, label.below);
    void *user[2] = {ladder, held};
    segment_notes(connection, segment, ladder->options.raw, say_note, user);
    left_over_values(ladder, held, left_over);
    connection_took_segment(connection, segment);
}

static void draw_arrival(struct ladder *ladder, struct held *held)
{
    struct event_segment *segment = &held->segment;
    enum event_end to = other_end(segment->from);
    struct side side[N_ENDS] = {0};
    bool left_over[N_ENDS];
    if (segment->fate != FATE_THROWN)
        take_state(held->connection, to, segment->state[to], segment->state_guess[to], &side[to]);
    struct row row;
    row_begin(&row, ladder, held->connection);
    row_time(&row, held->t_ns);
    row_lives(&row);
    row_brackets(&row);
    put_sides(&row, held, side, left_over);
    arrow_draw_arrival(&row, segment->from, segment->fate == FATE_THROWN, segment->number);
    row_end(&row);
    left_over_values(ladder, held, left_over);
}

static void draw_datagram(struct ladder *ladder, struct held *held)
{
    const struct event_datagram *datagram = &held->datagram;
    struct side side[N_ENDS] = {0};
    bool left_over[N_ENDS];
    struct row row;
    row_begin(&row, ladder, held->connection);
    row_time(&row, held->t_ns);
    row_lives(&row);
    row_brackets(&row);
    put_sides(&row, held, side, left_over);
    /* For what is dropped: no flag of TCP. */
    struct event_segment as_segment = {
        .n_bytes = datagram->n_bytes, .data = datagram->data, .n_data = datagram->n_data};
    struct label_context context = {.glyphs = ladder->output.glyphs};
    struct label label;
    label_of_datagram(datagram, &context, &label);
    label_fit(&label, &as_segment, &context, arrow_room(&row.grid, datagram->number));
    arrow_draw(&row, datagram->from, arrow_of((enum segment_fate)datagram->fate), datagram->number, &label);
    if (datagram->fate != FATE_LOST)
        put_flight(&row, held->t_ns, datagram->arrived_ns);
    row_end(&row);
    if (label.below[0])
        draw_note(ladder, held->connection, label.below);
    left_over_values(ladder, held, left_over);
}

static void draw_icmp(struct ladder *ladder, struct held *held)
{
    struct row row;
    char what[96], rest[SONDE_ADDRESS_TEXT + 64], both[sizeof what + sizeof rest];
    icmp_texts(&held->icmp, what, sizeof what, rest, sizeof rest);
    snprintf(both, sizeof both, "%s %s", what, rest);
    row_begin(&row, ladder, held->connection);
    row_time(&row, held->t_ns);
    row_lives(&row);
    row_brackets(&row);
    bool one_row = text_cells(both) + 5 <= row.grid.n_wire;
    cut_to_cells(what, row.grid.n_wire - 5, ladder->output.glyphs);
    arrow_draw_icmp(&row, held->icmp.to, one_row ? both : what);
    row_end(&row);
    if (!one_row)
        draw_note(ladder, held->connection, rest);
}

static void draw_state(struct ladder *ladder, struct held *held)
{
    struct connection *connection = held->connection;
    const struct event_state *state = &held->state;
    struct side side[N_ENDS] = {0};
    bool left_over[N_ENDS];
    struct row row;
    take_state(connection, state->end, state->after, false, &side[state->end]);
    row_begin(&row, ladder, connection);
    row_time(&row, held->t_ns);
    row_lives(&row);
    row_brackets(&row);
    put_sides(&row, held, side, left_over);
    row_end(&row);
    left_over_values(ladder, held, left_over);
}

enum call_part { CALL_ROW_BEGIN, CALL_ROW_END, CALL_ROW_ALONE };

static void draw_call_row(struct ladder *ladder, const struct held *held, enum call_part part, const char *text,
                          bool with_time)
{
    struct connection *connection = held->connection;
    const struct glyphs *glyphs = ladder->output.glyphs;
    enum event_end end = held->call.end;
    struct side side[N_ENDS] = {0};
    bool left_over[N_ENDS];
    struct row row;
    row_begin(&row, ladder, connection);
    if (with_time)
        row_time(&row, held->t_ns);
    row_lives(&row);
    row_brackets(&row);
    if (part != CALL_ROW_ALONE)
        put_bracket(&row, end, part == CALL_ROW_BEGIN ? glyphs->bracket_begin[end] : glyphs->bracket_end[end]);
    snprintf(side[end].call, sizeof side[end].call, "%s", text);
    put_sides(&row, held, side, left_over);
    row_end(&row);
    left_over_values(ladder, held, left_over);
}

static void draw_call(struct ladder *ladder, struct held *held)
{
    struct connection_end *end = &held->connection->end[held->call.end];
    const struct glyphs *glyphs = ladder->output.glyphs;
    struct grid grid;
    grid_init(&grid, ladder->options.width, ladder->n_tag, true);
    char text[96];
    if (held->call.phase == CALL_BEGIN && !held->call.whole) {
        call_text_begin(&held->call, grid.n_side, glyphs, text, sizeof text);
        draw_call_row(ladder, held, CALL_ROW_BEGIN, text, true);
        call_opened(end, &held->call);
        return;
    }
    bool alone = end->n_open == 1;
    if (held->call.phase == CALL_END && call_closed(end, held->call.number)) {
        /* With several open at once it must be said which of them ended. */
        if (alone)
            call_text_end(&held->call, grid.n_side, glyphs, text, sizeof text);
        else
            call_text_whole(&held->call, grid.n_side, glyphs, text, sizeof text);
        draw_call_row(ladder, held, CALL_ROW_END, text, true);
        return;
    }
    if (call_text_whole(&held->call, grid.n_side, glyphs, text, sizeof text)) {
        draw_call_row(ladder, held, CALL_ROW_ALONE, text, true);
        return;
    }
    struct held first = *held;
    memset(first.has_values, 0, sizeof first.has_values);
    call_text_begin(&held->call, grid.n_side, glyphs, text, sizeof text);
    draw_call_row(ladder, &first, CALL_ROW_BEGIN, text, true);
    call_text_end(&held->call, grid.n_side, glyphs, text, sizeof text);
    draw_call_row(ladder, held, CALL_ROW_END, text, false);
}

void draw_held(struct ladder *ladder, struct held *held)
{
    switch ((enum held_kind)held->kind) {
    case HELD_CALL:
        draw_call(ladder, held);
        break;
    case HELD_SEGMENT:
        draw_segment(ladder, held);
        break;
    case HELD_ARRIVAL:
        draw_arrival(ladder, held);
        break;
    case HELD_DATAGRAM:
        draw_datagram(ladder, held);
        break;
    case HELD_ICMP:
        draw_icmp(ladder, held);
        break;
    case HELD_HANDSHAKE:
        draw_handshake(ladder, held);
        break;
    case HELD_MESSAGE:
        draw_message(ladder, held);
        break;
    case HELD_STATE:
        draw_state(ladder, held);
        break;
    case HELD_VALUES:
        draw_values(ladder, held->connection, &held->values, held->t_ns, true);
        break;
    case HELD_TITLE:
    case HELD_SENTENCE:
    case HELD_LOSS:
        break;
    }
}
