// SPDX-License-Identifier: MIT
/* Marks as SVG: bands and life lines, pauses, arrows, calls, values. */
#include "observe/ladder/svg_internal.h"

#include "term/translate.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BAND_HALF 40
#define BAND_GAP 50    /* arrows begin and end beside the band */
#define SIDE_GAP 180   /* texts stand so far from the life line */
#define BRACKET_GAP 90 /* a call's bracket */
#define LABEL_ABOVE 50
#define LABEL_INSIDE 120
#define CROSS 50
#define CROSS_AT 72 /* per cent of the way */
#define STEP_WIDTH 200
#define STEP_X 820
#define CWND_X 1720
#define TIME_APART 130
#define CHARACTER_WIDTH 67 /* of the 11 px font, to see whether a label fits */

void svg_flush(struct svg *svg)
{
    if (svg->n_buffer > 0)
        svg->write(svg->buffer, svg->n_buffer, svg->user);
    svg->n_buffer = 0;
}

static void put_bytes(struct svg *svg, const char *text, size_t n_bytes)
{
    if (svg->n_buffer + n_bytes > sizeof svg->buffer)
        svg_flush(svg);
    if (n_bytes > sizeof svg->buffer)
        return;
    memcpy(svg->buffer + svg->n_buffer, text, n_bytes);
    svg->n_buffer += n_bytes;
}

void svg_put(struct svg *svg, const char *format, ...)
{
    char text[2048];
    va_list arguments;
    va_start(arguments, format);
    int n = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (n > 0)
        put_bytes(svg, text, (size_t)n < sizeof text ? (size_t)n : sizeof text - 1);
}

void svg_put_text(struct svg *svg, const char *text)
{
    while (*text) {
        const char *begin = text;
        uint32_t character = next_character(&text);
        if (character == '&')
            put_bytes(svg, "&amp;", 5);
        else if (character == '<')
            put_bytes(svg, "&lt;", 4);
        else if (character == '>')
            put_bytes(svg, "&gt;", 4);
        else if (character == '"')
            put_bytes(svg, "&quot;", 6);
        else if (character < 0x20 || (character >= 0x7f && character < 0xa0))
            put_bytes(svg, " ", 1);
        else if ((character & 0xfffe) == 0xfffe || character == 0xfffd)
            put_bytes(svg, "?", 1); /* XML forbids the last two of a plane, or reads them so */
        else
            put_bytes(svg, begin, (size_t)(text - begin));
    }
}

const char *svg_length(int tenths, char ret_text[16])
{
    snprintf(ret_text, 16, "%s%d.%d", tenths < 0 ? "-" : "", (tenths < 0 ? -tenths : tenths) / 10,
             (tenths < 0 ? -tenths : tenths) % 10);
    return ret_text;
}

#define L(n, tenths) svg_length(tenths, length[n])

static void put_line(struct svg *svg, const char *classes, int x1, int y1, int x2, int y2, const char *more)
{
    char length[4][16];
    svg_put(svg, "<path class=\"%s\" d=\"M%s,%s L%s,%s\"%s/>\n", classes, L(0, x1), L(1, y1), L(2, x2), L(3, y2), more);
}

static void put_label(struct svg *svg, const char *classes, int x, int y, const char *text)
{
    char length[2][16];
    svg_put(svg, "<text class=\"%s\" x=\"%s\" y=\"%s\">", classes, L(0, x), L(1, y));
    svg_put_text(svg, text);
    svg_put(svg, "</text>\n");
}

static int life_x(const struct svg *svg, enum event_end end)
{
    return end == END_A ? svg->x_a : svg->x_b;
}

/* ---- bands and life lines */

static const char *band_class(enum tcp_state state)
{
    switch (tcp_state_class(state)) {
    case TCP_CLASS_HALF:
        return "bh";
    case TCP_CLASS_OPEN:
        return "bo";
    case TCP_CLASS_ENDING:
        return "be";
    case TCP_CLASS_LINGER:
        return "bl";
    default:
        return NULL;
    }
}

static void put_stretch(struct svg *svg, enum event_end end, enum tcp_state state, int from, int to)
{
    char length[4][16];
    int x = life_x(svg, end);
    const char *band = band_class(state);
    if (to <= from)
        return;
    if (band)
        svg_put(svg, "<rect class=\"%s\" x=\"%s\" y=\"%s\" width=\"8\" height=\"%s\"/>\n", band, L(0, x - BAND_HALF),
                L(1, from), L(2, to - from));
    put_line(svg, "life", x, from, x, to, "");
}

static void draw_life(struct svg *svg, enum event_end end)
{
    int x = life_x(svg, end), y = SVG_TOP;
    enum tcp_state state = svg->first_state[end];
    for (size_t i = 0; i < svg->n_marks; i++) {
        const struct mark *mark = &svg->marks[i];
        if (mark->pause_before) {
            put_stretch(svg, end, state, y, mark->pause_from);
            put_line(svg, "dots", x, mark->pause_from + 20, x, mark->pause_to - 10, "");
            y = mark->pause_to;
        }
        if (mark->state[end] != state) {
            put_stretch(svg, end, state, y, mark->y);
            y = mark->y;
            state = mark->state[end];
        }
    }
    put_stretch(svg, end, state, y, svg->y_end);
}

static void draw_pauses(struct svg *svg)
{
    char span[16], text[64];
    for (size_t i = 0; i < svg->n_marks; i++) {
        const struct mark *mark = &svg->marks[i];
        if (!mark->pause_before)
            continue;
        ladder_delta_text(mark->pause_ns, false, span);
        snprintf(text, sizeof text, _("%s of silence"), span);
        /* Right of the middle: links from a cross to its copy pass at the left. */
        put_label(svg, "c m halo", svg->x_a + 2480, (mark->pause_from + mark->pause_to) / 2 + 40, text);
    }
}

/* ---- arrows */

/* tan in 1/1000 to degrees in tenths, for the slopes that occur (up to 45 degrees): good to a tenth of a degree. */
static int degrees_tenths(int dy, int dx)
{
    int t = dx > 0 ? dy * 1000 / dx : 0;
    /* atan(t) = t * (45 + 15.64 (1 - |t|)) degrees */
    int magnitude = t < 0 ? -t : t;
    if (magnitude > 1000)
        magnitude = 1000;
    int degrees = magnitude * (450000 + 156 * (1000 - magnitude)) / 1000000;
    return t < 0 ? -degrees : degrees;
}

static void put_arrow_label(struct svg *svg, const int x[2], const int y[2], bool near_sender, uint32_t number,
                            const struct label *label)
{
    char length[5][16];
    int middle_x = (x[0] + x[1]) / 2, middle_y = (y[0] + y[1]) / 2, left = x[0] < x[1] ? x[0] : x[1];
    int angle = x[1] > x[0] ? degrees_tenths(y[1] - y[0], x[1] - x[0]) : -degrees_tenths(y[1] - y[0], x[0] - x[1]);
    int at = middle_x;
    const char *anchor = "c";
    if (near_sender) {
        anchor = x[0] == left ? "" : "e";
        at = x[0] + (x[0] == left ? LABEL_INSIDE : -LABEL_INSIDE);
    }
    svg_put(svg, "<text class=\"n %s halo\" transform=\"rotate(%s %s %s)\" x=\"%s\" y=\"%s\">", anchor, L(0, angle),
            L(1, middle_x), L(2, middle_y), L(3, at), L(4, middle_y - LABEL_ABOVE));
    svg_put(svg, "<tspan class=\"m s\">%u</tspan>", number);
    for (unsigned part = 0; part < N_LABEL_PARTS; part++) {
        if (label->part[part][0] == '\0')
            continue;
        svg_put(svg, "<tspan dx=\"6\"%s>", label->trouble[part] ? " class=\"tr\"" : "");
        svg_put_text(svg, label->part[part]);
        svg_put(svg, "</tspan>");
    }
    svg_put(svg, "</text>\n");
}

/* Is another on its way towards this one? Then their labels keep to their senders, off the crossing. */
static bool is_crossed(const struct svg *svg, const struct mark *mark)
{
    if (mark->mate == SIZE_MAX)
        return false;
    size_t at = (size_t)(mark - svg->marks);
    for (size_t i = at > 256 ? at - 256 : 0; i < mark->mate; i++) {
        const struct mark *each = &svg->marks[i];
        if (each->kind == MARK_SEGMENT && each->mate != SIZE_MAX && each->mate > at &&
            each->event->segment.from != mark->event->segment.from)
            return true;
    }
    return false;
}

static void fitted_label(const struct mark *mark, unsigned n_cells, struct label *ret_label)
{
    const struct event *event = mark->event;
    struct label_context context = {.glyphs = &glyphs_unicode};
    if (mark->kind == MARK_DATAGRAM) {
        struct event_segment as_segment = {
            .n_bytes = event->datagram.n_bytes, .data = event->datagram.data, .n_data = event->datagram.n_data};
        label_of_datagram(&event->datagram, &context, ret_label);
        label_fit(ret_label, &as_segment, &context, n_cells);
    } else {
        label_of_segment(&event->segment, &context, ret_label);
        label_fit(ret_label, &event->segment, &context, n_cells);
    }
    /* What has no room stands on the line all the same: here nothing is cut off. */
    if (ret_label->below[0])
        snprintf(ret_label->part[LABEL_NOTES], LABEL_PART_BYTES, "%.*s", LABEL_PART_BYTES - 1, ret_label->below);
}

static bool is_copy(const struct event_segment *segment)
{
    return has_note(segment->notes, NOTE_AGAIN) || has_note(segment->notes, NOTE_SYN_RETRY);
}

/* The next copy of the same bytes: where the link from the cross leads. */
static const struct mark *next_copy(const struct svg *svg, const struct mark *mark)
{
    const struct event_segment *lost = &mark->event->segment;
    uint32_t first = is_copy(lost) && lost->again_of > 0 ? lost->again_of : lost->number;
    for (size_t i = (size_t)(mark - svg->marks) + 1; i < svg->n_marks && i < (size_t)(mark - svg->marks) + 1024; i++) {
        const struct mark *each = &svg->marks[i];
        if (each->kind == MARK_SEGMENT && is_copy(&each->event->segment) && each->event->segment.again_of == first)
            return each;
    }
    return NULL;
}

static void draw_cross(struct svg *svg, const struct mark *mark, int x, int y)
{
    char length[2][16];
    svg_put(svg, "<path class=\"lost\" d=\"M%s,%s l10,10 m0,-10 l-10,10\"/>\n", L(0, x - CROSS), L(1, y - CROSS));
    if (mark->kind != MARK_SEGMENT)
        return;
    enum event_end from = mark->event->segment.from;
    const struct mark *copy = next_copy(svg, mark);
    int aside = from == END_A ? -80 : 80;
    if (copy)
        put_line(svg, "link", x + aside, y + 40, life_x(svg, from) - aside - aside / 8, copy->y - 30, "");
}

static void draw_arrow(struct svg *svg, const struct mark *mark, enum event_end from)
{
    bool is_segment = mark->kind == MARK_SEGMENT;
    const struct event_segment *segment = is_segment ? &mark->event->segment : NULL;
    int toward = from == END_A ? 1 : -1;
    int x1 = life_x(svg, from) + toward * BAND_GAP, x2 = life_x(svg, other_end(from)) - toward * BAND_GAP;
    int y1 = mark->y, y2 = mark->mate != SIZE_MAX ? svg->marks[mark->mate].y : mark->y;
    enum segment_fate fate = is_segment ? segment->fate : mark->event->datagram.fate;
    bool lost = fate == FATE_LOST, thrown = fate == FATE_THROWN;
    if (lost) {
        x2 = x1 + (x2 - x1) * CROSS_AT / 100;
        y2 = y1 + svg_flight_height(svg) * CROSS_AT / 100;
    } else if (is_segment && mark->mate == SIZE_MAX && segment->arrived_ns > mark->t_ns) {
        y2 = y1 + svg_flight_height(svg);
    }
    bool red = is_segment && is_copy(segment);
    const char *marker = lost || thrown ? "" : red ? " marker-end=\"url(#ar)\"" : " marker-end=\"url(#a)\"";
    put_line(svg, red ? "again" : "seg", x1, y1, x2, y2, marker);
    if (lost || thrown)
        draw_cross(svg, mark, x2, y2);
    struct label label;
    int across = x2 > x1 ? x2 - x1 : x1 - x2;
    bool crossed = is_segment && is_crossed(svg, mark);
    fitted_label(mark, (unsigned)across / CHARACTER_WIDTH / (crossed ? 2 : 1) - 3, &label);
    put_arrow_label(svg, (int[2]){x1, x2}, (int[2]){y1, y2}, crossed,
                    is_segment ? segment->number : mark->event->datagram.number, &label);
}

static void draw_icmp(struct svg *svg, const struct mark *mark)
{
    char what[96], rest[SONDE_ADDRESS_TEXT + 64], text[sizeof what + sizeof rest];
    enum event_end to = mark->event->icmp.to;
    int toward = to == END_A ? 1 : -1, x = life_x(svg, to) + toward * BAND_GAP;
    icmp_texts(&mark->event->icmp, what, sizeof what, rest, sizeof rest);
    snprintf(text, sizeof text, "%s %s", what, rest);
    put_line(svg, "lost", x, mark->y, x + toward * 400, mark->y, "");
    put_label(svg, to == END_A ? "n tr halo" : "n tr e halo", x + toward * 450, mark->y + 40, text);
}

static void draw_loss(struct svg *svg, const struct mark *mark)
{
    char text[512];
    loss_text(&mark->event->loss, mark->event->loss.why, text, sizeof text);
    put_label(svg, "c m halo", (svg->x_a + svg->x_b) / 2, mark->y + 40, text);
}

static void draw_handshake_mark(struct svg *svg, const struct mark *mark)
{
    char text[ABOVE_BYTES];
    const struct event_handshake *handshake = &mark->event->handshake;
    int toward = handshake->end == END_A ? 1 : -1;
    handshake_text(handshake, mark->t_ns, text);
    put_label(svg,
              handshake->result < 0     ? handshake->end == END_A ? "n tr halo" : "n tr e halo"
              : handshake->end == END_A ? "n to halo"
                                        : "n to e halo",
              life_x(svg, handshake->end) + toward * 2 * BAND_GAP, mark->y + 40, text);
}

/* Off the wire: in the middle, under the segment that completes it. */
static void draw_message_mark(struct svg *svg, const struct mark *mark)
{
    char text[ABOVE_BYTES], marked[ABOVE_BYTES + 16];
    const struct event_message *message = &mark->messages.first;
    char *words = above_words(message->words, &glyphs_unicode);
    messages_text(&mark->messages, words, WIDE_ENOUGH, &glyphs_unicode, text);
    free(words);
    if (message->end >= N_ENDS) {
        put_label(svg, message->kind == MESSAGE_MALFORMED ? "n c tr halo" : "n c m halo", (svg->x_a + svg->x_b) / 2,
                  mark->y + 40, text);
        return;
    }
    int toward = message->end == END_A ? 1 : -1;
    snprintf(marked, sizeof marked, message->from == END_A ? "%s »" : "« %s", text);
    put_label(svg, message->end == END_A ? "n to halo" : "n to e halo",
              life_x(svg, message->end) + toward * 2 * BAND_GAP, mark->y + 40, marked);
}

/* ---- calls, texts, values */

static void draw_bracket(struct svg *svg, enum event_end end, int from, int to)
{
    char length[4][16];
    int outward = end == END_A ? -1 : 1, x = life_x(svg, end) + outward * BRACKET_GAP;
    svg_put(svg, "<path class=\"call\" d=\"M%s,%s h%s V%s h%s\"/>\n", L(0, x + outward * 40), L(1, from),
            L(2, -outward * 40), L(3, to), end == END_A ? "-4" : "4");
}

static void draw_call(struct svg *svg, const struct mark *mark)
{
    enum event_end end = mark->event->call.end;
    if (mark->kind == MARK_CALL_WHOLE)
        draw_bracket(svg, end, mark->y - 20, mark->y + 20);
    else if (mark->kind == MARK_CALL_END && mark->mate != SIZE_MAX)
        draw_bracket(svg, end, svg->marks[mark->mate].y, mark->y);
    else if (mark->kind == MARK_CALL_BEGIN && mark->mate == SIZE_MAX)
        draw_bracket(svg, end, mark->y, svg->y_end);
}

static void draw_texts(struct svg *svg, const struct mark *mark)
{
    char classes[48];
    for (enum event_end end = END_A; end < N_ENDS; end++) {
        int x = life_x(svg, end) + (end == END_A ? -SIDE_GAP : SIDE_GAP);
        for (unsigned i = 0; i < mark->n_text[end]; i++) {
            snprintf(classes, sizeof classes, "%s%s halo", mark->text[end][i].classes, end == END_A ? " e" : "");
            put_label(svg, classes, x, mark->y + 40 + (int)i * 140, mark->text[end][i].text);
        }
    }
}

static int step_x(const struct svg *svg, int64_t rto_us)
{
    int x = STEP_X;
    for (int64_t n = rto_us; n >= 2 * svg->rto_least_us && x < STEP_X + 3 * STEP_WIDTH; n /= 2)
        x += STEP_WIDTH;
    return x;
}

static void draw_kernel(struct svg *svg)
{
    char length[2][16], text[32];
    int x = -1, y = 0;
    for (size_t i = 0; i < svg->n_marks; i++) {
        const struct mark *mark = &svg->marks[i];
        if (mark->has_cwnd) {
            snprintf(text, sizeof text, "%" PRId64, mark->cwnd);
            put_label(svg, "n k e", CWND_X, mark->y + 40, text);
        }
        if (!mark->has_rto)
            continue;
        if (x >= 0)
            put_line(svg, "kl", x, y, x, mark->y, "");
        int next = step_x(svg, mark->rto_us);
        if (x >= 0 && next != x)
            svg_put(svg, "<path class=\"kl\" d=\"M%s,%s H%s\"/>\n", L(0, x), L(1, mark->y),
                    svg_length(next, (char[16]){0}));
        x = next;
        y = mark->y;
        digits_text((uint64_t)mark->rto_us, 0, text, sizeof text);
        put_label(svg, "n k halo", x + 50, y + 120, text);
    }
    if (x >= 0)
        put_line(svg, "kl", x, y, x, svg->y_end, "");
}

/* The time in ms: with three digits behind the point as long as there is room for them. */
static void draw_times(struct svg *svg)
{
    char text[48];
    int last = 0;
    int64_t origin_ns = svg->connection.origin_ns;
    for (size_t i = 0; i < svg->n_marks; i++) {
        const struct mark *mark = &svg->marks[i];
        int64_t us = (mark->t_ns - origin_ns) / NS_PER_US;
        if (mark->kind == MARK_NOTHING || mark->kind == MARK_VALUES || mark->y - last < TIME_APART)
            continue;
        if (us < 0)
            ladder_time_text(mark->t_ns - origin_ns, text);
        else if (us < 1000000)
            snprintf(text, sizeof text, "%" PRId64 ".%03d", us / 1000, (int)(us % 1000));
        else
            snprintf(text, sizeof text, "%" PRId64 ".%d", us / 1000, (int)(us % 1000 / 100));
        put_label(svg, "n m s", 200, mark->y + 40, text);
        last = mark->y;
    }
}

void svg_draw_marks(struct svg *svg)
{
    draw_life(svg, END_A);
    draw_life(svg, END_B);
    for (size_t i = 0; i < svg->n_marks; i++)
        draw_call(svg, &svg->marks[i]);
    draw_pauses(svg);
    if (svg->has_kernel)
        draw_kernel(svg);
    for (size_t i = 0; i < svg->n_marks; i++) {
        const struct mark *mark = &svg->marks[i];
        if (mark->kind == MARK_SEGMENT)
            draw_arrow(svg, mark, mark->event->segment.from);
        else if (mark->kind == MARK_DATAGRAM)
            draw_arrow(svg, mark, mark->event->datagram.from);
        else if (mark->kind == MARK_ICMP)
            draw_icmp(svg, mark);
        else if (mark->kind == MARK_LOSS)
            draw_loss(svg, mark);
        else if (mark->kind == MARK_HANDSHAKE)
            draw_handshake_mark(svg, mark);
        else if (mark->kind == MARK_MESSAGE)
            draw_message_mark(svg, mark);
        draw_texts(svg, mark);
    }
    draw_times(svg);
}
