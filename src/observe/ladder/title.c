// SPDX-License-Identifier: MIT
/* What stands over a ladder, and the sentences under it: lines that are not of the grid. */
#include "observe/ladder/ladder_internal.h"

#include "term/translate.h"

#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define TITLE_BYTES 1024
#define LINE_TEXT_BYTES 1024
#define GAP_CELLS 3         /* before the date */
#define SENTENCE_BYTES 8192 /* longer ones are cut */

unsigned put_tag(const struct ladder *ladder, const struct connection *connection, struct cells *cells)
{
    if (ladder->n_tag == 0)
        return 0;
    char tag[8];
    if (connection) {
        ladder_tag(connection->index, tag);
        cells_put(cells, 0, ladder->n_tag, tag, STYLE_PLAIN);
    }
    return ladder->n_tag;
}

/* Wrapped; the first line begins with `first`, the others two cells further in. */
static void put_wrapped(struct ladder *ladder, const struct connection *connection, const char *first,
                        enum style first_style, const char *text, unsigned width)
{
    char line[LINE_TEXT_BYTES];
    bool is_first = true;
    for (;;) {
        struct cells cells = {.n = 0};
        unsigned at = put_tag(ladder, connection, &cells);
        at = cells_put(&cells, at, width, is_first ? first : "  ", first_style);
        if (!wrap_next(&text, width > at ? width - at : 1, line, sizeof line))
            break;
        cells_put(&cells, at, width, line, STYLE_PLAIN);
        output_cells(&ladder->output, &cells);
        is_first = false;
    }
    ladder->has_lines = true;
}

/* Beside it: "kind A → B   where". */
static void title_text(const struct ladder *ladder, const struct connection *connection, char ret_text[TITLE_BYTES])
{
    const struct glyphs *glyphs = ladder->output.glyphs;
    char ends[N_ENDS][SONDE_ADDRESS_TEXT], where[WHERE_BYTES * 2], text[TITLE_BYTES];
    for (enum event_end end = END_A; end < N_ENDS; end++)
        sonde_address_format(&connection->end[end].address, ends[end], sizeof ends[end]);
    snprintf(where, sizeof where, "%s", connection->where);
    bool calls = connection->end[END_A].calls_seen || connection->end[END_B].calls_seen;
    const char *only = !connection->introduced || connection->has_segments || !calls ? ""
                       : connection->protocol == 0                                   ? _("calls only")
                                                                                     : _("calls and kernel only");
    if (connection->protocol == 0 && where[0])
        snprintf(text, sizeof text, "unix %s%s%s", where, only[0] ? "   " : "", only);
    else
        snprintf(text, sizeof text, "%s %s %s %s%s%s%s%s", protocol_word(connection->protocol), ends[END_A],
                 glyphs->arrow_right, ends[END_B], where[0] || only[0] ? "   " : "", where,
                 where[0] && only[0] ? "; " : "", only);
    fit_characters(glyphs, text, ret_text, TITLE_BYTES);
}

/* The wall clock at the ladder's beginning, where this line still has room for it. */
static void title_date(const struct ladder *ladder, const struct connection *connection, unsigned room,
                       char ret_text[64])
{
    ret_text[0] = '\0';
    if (connection->realtime_ns == 0)
        return;
    int64_t origin_ns = ladder->options.live ? ladder->origin_ns : connection->origin_ns;
    int64_t at_ns = connection->realtime_ns + (origin_ns - connection->realtime_at_ns);
    if (ladder->options.live)
        at_ns = connection->realtime_ns;
    time_t seconds = (time_t)(at_ns / NS_PER_S);
    struct tm parts;
    char day[40];
    if (at_ns < 0 || !localtime_r(&seconds, &parts) || strftime(day, sizeof day, "%Y-%m-%d %H:%M:%S", &parts) == 0)
        return;
    int n = snprintf(ret_text, 64, "%s.%06u", day, (unsigned)(at_ns % NS_PER_S / NS_PER_US));
    if ((unsigned)n > room)
        n = snprintf(ret_text, 64, "%s", day);
    if ((unsigned)n > room)
        ret_text[0] = '\0';
}

static void head_text(const struct ladder *ladder, const struct connection *connection, enum event_end end,
                      char *ret_text, size_t size_bytes)
{
    const struct connection_end *about = &connection->end[end], *peer = &connection->end[other_end(end)];
    char name[160], text[320];
    if (about->role == ROLE_SERVER && about->state == TCP_STATE_CLOSED && connection->protocol == IPPROTO_TCP) {
        snprintf(text, sizeof text, _("nobody listens on port %u"), about->address.port);
    } else {
        connection_end_name(connection, end, name, sizeof name);
        const char *more = peer->calls_seen && !about->calls_seen         ? _(" (its calls are not seen)")
                           : about->captured_here && !peer->captured_here ? _(" (captured here)")
                                                                          : "";
        snprintf(text, sizeof text, "%s%s", name, more);
    }
    fit_characters(ladder->output.glyphs, text, ret_text, size_bytes);
}

static void draw_heads(struct ladder *ladder, struct connection *connection)
{
    struct row row;
    row_begin(&row, ladder, connection);
    char name[N_ENDS][320];
    unsigned begin = row.grid.left, end = row.grid.width, room = end - begin - 2;
    for (enum event_end each = END_A; each < N_ENDS; each++)
        head_text(ladder, connection, each, name[each], sizeof name[each]);
    unsigned n[N_ENDS] = {text_cells(name[END_A]), text_cells(name[END_B])};
    if (n[END_A] + n[END_B] > room) {
        unsigned half = room / 2;
        unsigned n_b = n[END_A] < half ? room - n[END_A] : n[END_B] < half ? n[END_B] : half;
        cut_to_cells(name[END_B], n_b, ladder->output.glyphs);
        cut_to_cells(name[END_A], room - text_cells(name[END_B]), ladder->output.glyphs);
    }
    cells_put(&row.cells, begin, end, name[END_A], STYLE_PLAIN);
    cells_put_right(&row.cells, begin, end, name[END_B], STYLE_PLAIN);
    row_end(&row);
}

static void draw_states(struct ladder *ladder, struct connection *connection)
{
    struct row row;
    row_begin(&row, ladder, connection);
    for (enum event_end end = END_A; end < N_ENDS; end++) {
        const struct connection_end *about = &connection->end[end];
        char text[40];
        state_text(about->state, about->guess, text);
        if (about->role == ROLE_SERVER && about->state == TCP_STATE_CLOSED)
            snprintf(text, sizeof text, "%s", _("no socket"));
        enum style style = state_style(about->state);
        if (end == END_B)
            cells_put(&row.cells, row.grid.right, row.grid.width, text, style);
        else if (row.grid.wide)
            cells_put_right(&row.cells, row.grid.left, row.grid.left + row.grid.n_side, text, style);
        else
            cells_put(&row.cells, row.grid.left, row.grid.left + row.grid.n_side, text, style);
    }
    row_lives(&row);
    row_end(&row);
}

static void list_heads(struct ladder *ladder, struct connection *connection)
{
    char text[TITLE_BYTES], name[N_ENDS][320];
    for (enum event_end end = END_A; end < N_ENDS; end++)
        head_text(ladder, connection, end, name[end], sizeof name[end]);
    if (connection->protocol == IPPROTO_TCP) {
        char state[N_ENDS][16];
        for (enum event_end end = END_A; end < N_ENDS; end++)
            state_text(connection->end[end].state, connection->end[end].guess, state[end]);
        snprintf(text, sizeof text, _("%s %s, %s %s"), name[END_A], state[END_A], name[END_B], state[END_B]);
    } else {
        snprintf(text, sizeof text, "%s, %s", name[END_A], name[END_B]);
    }
    put_wrapped(ladder, connection, "", STYLE_PLAIN, text, ladder->options.width);
}

void draw_title(struct ladder *ladder, struct connection *connection)
{
    connection->titled = true;
    if (ladder->has_lines)
        output_newline(&ladder->output);
    ladder->last_was_sentence = false;
    char text[TITLE_BYTES], date[64];
    title_text(ladder, connection, text);
    unsigned width = ladder->options.width, n = text_cells(text) + ladder->n_tag;
    title_date(ladder, connection, n + GAP_CELLS < width ? width - n - GAP_CELLS : 0, date);
    if (date[0]) {
        struct cells cells = {.n = 0};
        unsigned at = put_tag(ladder, connection, &cells);
        cells_put(&cells, at, width, text, STYLE_PLAIN);
        cells_put_right(&cells, at, width, date, STYLE_PLAIN);
        output_cells(&ladder->output, &cells);
        ladder->has_lines = true;
    } else {
        put_wrapped(ladder, connection, "", STYLE_PLAIN, text, width);
    }
    if (ladder->as_list) {
        list_heads(ladder, connection);
        return;
    }
    draw_heads(ladder, connection);
    if (connection->protocol == IPPROTO_TCP)
        draw_states(ladder, connection);
}

void draw_sentence(struct ladder *ladder, struct connection *connection, char mark, const char *text)
{
    if (ladder->has_lines && !ladder->last_was_sentence)
        output_newline(&ladder->output);
    char first[4] = {mark >= 0x21 && mark < 0x7f ? mark : '-', ' ', '\0'};
    char fitted[SENTENCE_BYTES];
    fit_characters(ladder->output.glyphs, text, fitted, sizeof fitted);
    unsigned width = ladder->options.width;
    put_wrapped(ladder, connection, first, mark == '!' ? STYLE_TROUBLE : STYLE_PLAIN, fitted,
                width > 24 ? width - 2 : width);
    ladder->last_was_sentence = true;
}
