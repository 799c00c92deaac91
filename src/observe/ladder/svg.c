// SPDX-License-Identifier: MIT
/* The document around the marks: heads, style, sentences. It needs nothing but itself: no font, no script. */
#include "observe/ladder/svg_internal.h"

#include "term/escape.h"
#include "term/translate.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_BYTES 1024
#define SENTENCE_LINE 180
#define WHY_CELLS 6
#define SENTENCE_CELLS_PER_1000 158 /* characters of the 12 px font in 1000 px */

/* Two sets of colours, light and dark; plain ones, since not every viewer knows custom properties. */
#define COLORS(bg, ink, mute, hair, half, open, end, linger, trouble, kern, b_half, b_open, b_end, b_linger)           \
    ".bg{fill:" bg "} text,.ai{fill:" ink "} .m{fill:" mute "} .tr,.ar{fill:" trouble "} .k{fill:" kern "}\n"          \
    ".th{fill:" half "} .to{fill:" open "} .te{fill:" end "} .tl{fill:" linger "}\n"                                   \
    ".bh{fill:" b_half "} .bo{fill:" b_open "} .be{fill:" b_end "} .bl{fill:" b_linger "}\n"                           \
    ".seg,.call{stroke:" ink "} .again,.lost,.link{stroke:" trouble "} .kl{stroke:" kern "}\n"                         \
    ".hair{stroke:" hair "} .life,.dots{stroke:" mute "} .halo{stroke:" bg "}\n"

static const char style[] =
    ".n,.tc{font-family:ui-monospace,'SF Mono',Menlo,Consolas,'DejaVu Sans Mono',monospace;font-size:11px}\n"
    ".h{font-size:14px;font-weight:600} .e{text-anchor:end} .c{text-anchor:middle} .b{font-weight:600} "
    ".s{font-size:11px} .th,.to,.te,.tl{font-weight:600;font-size:11px}\n"
    ".seg,.again{stroke-width:1.3;fill:none} .lost{stroke-width:1.8;fill:none} .call{stroke-width:1.5;fill:none} "
    ".kl{stroke-width:1.4;fill:none} .hair,.life{stroke-width:1}\n"
    ".link{stroke-width:1;fill:none;stroke-dasharray:1.5 3} .dots{stroke-width:1;stroke-dasharray:1 4}\n"
    ".halo{paint-order:stroke;stroke-width:4px;stroke-linejoin:round}\n" COLORS(
        "#fff", "#1b1f24", "#57606a", "#d0d7de", "#7a5000", "#0b4f96", "#6b2f83", "#4b545e", "#a8211a", "#1f6165",
        "#f5dca6", "#bcd8f5", "#e3c6f0",
        "#d3d9e0") "@media (prefers-color-scheme:dark){\n" COLORS("#0f1318", "#e6e9ed", "#9aa4b0", "#333b45", "#f0c060",
                                                                  "#8cc3fa", "#d9aef0", "#b4bdc7", "#ff9384", "#78cacc",
                                                                  "#5a420f", "#1c4470", "#4f2e60", "#333c48") "}\n";

static const char fonts[] = "ui-sans-serif,system-ui,-apple-system,'Segoe UI',Roboto,'DejaVu Sans',sans-serif";

static const char markers[] =
    "<defs><marker id=\"a\" viewBox=\"0 0 8 8\" refX=\"7.5\" refY=\"4\" markerWidth=\"7\" markerHeight=\"7\" "
    "orient=\"auto\"><path class=\"ai\" d=\"M0,.8 8,4 0,7.2z\"/></marker>\n"
    "<marker id=\"ar\" viewBox=\"0 0 8 8\" refX=\"7.5\" refY=\"4\" markerWidth=\"7\" markerHeight=\"7\" "
    "orient=\"auto\"><path class=\"ar\" d=\"M0,.8 8,4 0,7.2z\"/></marker></defs>\n";

static void ends_text(const struct svg *svg, char ret_text[TEXT_BYTES])
{
    char ends[N_ENDS][SONDE_ADDRESS_TEXT];
    for (enum event_end end = END_A; end < N_ENDS; end++)
        sonde_address_format(&svg->connection.end[end].address, ends[end], sizeof ends[end]);
    const char *where = svg->connection.where;
    snprintf(ret_text, TEXT_BYTES, "%s %s → %s%s%s", protocol_word(svg->connection.protocol), ends[END_A], ends[END_B],
             where[0] ? ", " : "", where);
}

/* The story in words, for those who cannot see the picture. */
static void put_description(struct svg *svg)
{
    char name[N_ENDS][160], ends[TEXT_BYTES];
    ends_text(svg, ends);
    for (enum event_end end = END_A; end < N_ENDS; end++)
        connection_end_name(&svg->connection, end, name[end], sizeof name[end]);
    char text[TEXT_BYTES * 2];
    snprintf(text, sizeof text, _("%s. Segments from %s: %u, from %s: %u. Lost: %u, sent again: %u."), ends,
             name[END_A], svg->n_from[END_A], name[END_B], svg->n_from[END_B], svg->n_lost, svg->n_again);
    svg_put(svg, "<desc id=\"d\">");
    svg_put_text(svg, text);
    for (size_t i = 0; i < svg->n_sentences; i++) {
        svg_put(svg, " ");
        svg_put_text(svg, svg->sentences[i]->sentence.text);
    }
    svg_put(svg, "</desc>\n");
}

static void put_at(struct svg *svg, const char *classes, int x, int y, const char *text)
{
    char one[16], other[16];
    svg_put(svg, "<text class=\"%s\" x=\"%s\" y=\"%s\">", classes, svg_length(x, one), svg_length(y, other));
    svg_put_text(svg, text);
    svg_put(svg, "</text>\n");
}

static void put_hair(struct svg *svg, int x1, int y1, int x2, int y2)
{
    char length[4][16];
    svg_put(svg, "<path class=\"hair\" d=\"M%s,%s L%s,%s\"/>\n", svg_length(x1, length[0]), svg_length(y1, length[1]),
            svg_length(x2, length[2]), svg_length(y2, length[3]));
}

static void put_heads(struct svg *svg, const char *title)
{
    char ends[TEXT_BYTES], name[160], state[16];
    ends_text(svg, ends);
    put_at(svg, "h", 200, 260, title ? title : ends);
    if (title)
        put_at(svg, "m", 200, 440, ends);
    put_at(svg, "m", 200, 820, "ms");
    if (svg->has_kernel) {
        put_at(svg, "m", 760, 820, _("RTO, ms"));
        put_at(svg, "m e", 1720, 820, _("cwnd"));
    }
    for (enum event_end end = END_A; end < N_ENDS; end++) {
        connection_end_name(&svg->connection, end, name, sizeof name);
        int x = end == END_A ? svg->x_a - 180 : svg->x_b + 180;
        put_at(svg, end == END_A ? "b e" : "b", x, 820, name);
        if (svg->connection.protocol != IPPROTO_TCP)
            continue;
        state_text(svg->first_state[end], false, state);
        bool no_socket = svg->connection.end[end].role == ROLE_SERVER && svg->first_state[end] == TCP_STATE_CLOSED;
        put_at(svg, end == END_A ? "m e" : "m", x, 970, no_socket ? _("no socket") : state);
    }
    put_hair(svg, 200, 1040, svg->width - 200, 1040);
    if (svg->has_kernel) {
        put_hair(svg, 705, SVG_TOP, 705, svg->y_end);
        put_hair(svg, 1840, SVG_TOP, 1840, svg->y_end);
    }
}

/* Wrapped; draws when `draw`, and in any case returns the height below. */
static int put_paragraph(struct svg *svg, bool draw, int y, const char *classes, const char *before, const char *text)
{
    char fitted[8192], line[8192], first[16];
    fit_characters(&glyphs_unicode, text, fitted, sizeof fitted);
    const char *rest = fitted;
    unsigned n_cells = (unsigned)(svg->width - 400) * SENTENCE_CELLS_PER_1000 / 10000;
    n_cells -= before[0] ? WHY_CELLS : 0;
    for (bool is_first = true; wrap_next(&rest, n_cells, line, sizeof line); is_first = false) {
        if (draw) {
            svg_put(svg, "<text class=\"%s\" x=\"20\" y=\"%s\">", classes, svg_length(y, first));
            if (is_first && before[0]) {
                svg_put(svg, "<tspan class=\"b tr\">");
                svg_put_text(svg, before);
                svg_put(svg, "</tspan><tspan dx=\"5\">");
            }
            svg_put_text(svg, line);
            svg_put(svg, is_first && before[0] ? "</tspan></text>\n" : "</text>\n");
        }
        y += SENTENCE_LINE;
    }
    return y;
}

static int put_sentences(struct svg *svg, bool draw, int y)
{
    char text[TEXT_BYTES], count[32];
    for (size_t i = 0; i < svg->n_sentences; i++) {
        const struct event_sentence *sentence = &svg->sentences[i]->sentence;
        if (sentence->mark == '-' && sentence->about > 0) {
            snprintf(text, sizeof text, _("#%u: %s"), sentence->about, sentence->text);
            y = put_paragraph(svg, draw, y, "m", "", text);
        } else {
            y = put_paragraph(svg, draw, y, sentence->mark == 'i' ? "m" : "i", sentence->mark == '!' ? _("Why:") : "",
                              sentence->text);
        }
    }
    for (unsigned i = 0; i < svg->n_notes; i++)
        y = put_paragraph(svg, draw, y, "m", "", svg->notes[i]);
    if (svg->n_notes_left_out > 0) {
        snprintf(text, sizeof text, _("and %u more notes like these"), svg->n_notes_left_out);
        y = put_paragraph(svg, draw, y, "m", "", text);
    }
    if (svg->n_left_out > 0) {
        ladder_count_text(svg->n_left_out, count);
        snprintf(text, sizeof text, _("%s later events are not drawn: a picture of all would be too long"), count);
        y = put_paragraph(svg, draw, y, "m", "", text);
    }
    const char *legend = svg->flight_ns > 0 ? _("Slopes are the flight. Dotted: time not to scale.")
                         : svg->n_segments > 0
                             ? _("Flights are not known: arrows are level. Dotted: time not to scale.")
                             : _("Dotted: time not to scale.");
    return put_paragraph(svg, draw, y + 60, "m s", "", legend);
}

static void put_document(struct svg *svg, const char *title)
{
    char width[16], height[16], ends[TEXT_BYTES];
    svg_layout(svg);
    ends_text(svg, ends);
    int y_text = svg->y_end + 400, y_bottom = put_sentences(svg, false, y_text);
    svg_length(svg->width, width);
    svg_length(y_bottom + 40, height);
    svg_put(svg, "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %s %s\" width=\"%s\" height=\"%s\" ", width,
            height, width, height);
    svg_put(svg, "role=\"img\" aria-labelledby=\"t d\" font-family=\"%s\" font-size=\"12\">\n<title id=\"t\">", fonts);
    svg_put_text(svg, title ? title : ends);
    svg_put(svg, "</title>\n");
    put_description(svg);
    svg_put(svg, "<style>\n");
    svg_flush(svg);
    svg->write(style, sizeof style - 1, svg->user);
    svg_put(svg, "</style>\n%s<rect class=\"bg\" width=\"%s\" height=\"%s\"/>\n", markers, width, height);
    put_heads(svg, title);
    svg_draw_marks(svg);
    put_hair(svg, 200, svg->y_end + 200, svg->width - 200, svg->y_end + 200);
    put_sentences(svg, true, y_text);
    svg_put(svg, "</svg>\n");
    svg_flush(svg);
}

int ladder_svg(const struct event *const *events, size_t n_events, uint64_t conn, const char *title,
               ladder_write_function write, void *user)
{
    struct svg *svg = calloc(1, sizeof *svg);
    if (!svg)
        return -ENOMEM;
    svg->write = write;
    svg->user = user;
    int r = svg_collect(svg, events, n_events, conn);
    if (r == 0)
        put_document(svg, title);
    free(svg->marks);
    free(svg->sentences);
    free(svg);
    return r;
}
