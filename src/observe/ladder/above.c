// SPDX-License-Identifier: MIT
/*
 * What is spoken above the segments: handshakes of TLS and WebSocket, and messages. A program's own stand in the wire
 * beside its end; a message that was read off the wire stands under the segment with which it was complete, and those
 * that one segment completes stand together.
 */
#include "observe/ladder/ladder_internal.h"

#include "term/escape.h"
#include "term/translate.h"

#include <inttypes.h>
#include <sonde/error.h>
#include <sonde/url.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WHY_BYTES 512
#define CODE_NONE 1005 /* RFC 6455, 7.1.5: no code was there */

static void add(char *text, size_t size_bytes, const char *format, ...) __attribute__((format(printf, 3, 4)));

static void add(char *text, size_t size_bytes, const char *format, ...)
{
    size_t n = strlen(text);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text + n, size_bytes - n, format, arguments);
    va_end(arguments);
}

static const char *layer_name(unsigned layer)
{
    return layer & SONDE_LAYER_TLS ? "TLS" : layer & SONDE_LAYER_WS ? "WebSocket" : "HTTP";
}

void handshake_text(const struct event_handshake *handshake, int64_t t_ns, char ret_text[ABOVE_BYTES])
{
    const char *layer = layer_name(handshake->layer);
    bool took = handshake->start_ns != 0 && handshake->start_ns <= t_ns;
    char span[16];
    if (took)
        ladder_delta_text(t_ns - handshake->start_ns, false, span);
    if (handshake->result >= 0 && took)
        snprintf(ret_text, ABOVE_BYTES, _("%s handshake, %s"), layer, span);
    else if (handshake->result >= 0)
        snprintf(ret_text, ABOVE_BYTES, _("%s handshake"), layer);
    else if (took)
        snprintf(ret_text, ABOVE_BYTES, _("%s handshake: %s after %s"), layer, sonde_error_name((int)handshake->result),
                 span);
    else
        snprintf(ret_text, ABOVE_BYTES, _("%s handshake: %s"), layer, sonde_error_name((int)handshake->result));
}

/* `text 5 "hello"`, `pong 4 "abcd", rtt 1.2 ms`, `close 1000 "bye"` */
static void one_text(const struct event_message *message, unsigned n_preview, const struct glyphs *glyphs,
                     char ret_text[ABOVE_BYTES])
{
    char preview[256], span[16];
    uint64_t n_shown = message->n_bytes;
    snprintf(ret_text, ABOVE_BYTES, "%s", message_kind_name(message->kind));
    if (message->kind == MESSAGE_CLOSE && message->code != 0 && message->code != CODE_NONE) {
        add(ret_text, ABOVE_BYTES, " %u", message->code);
        n_shown = message->n_data < n_shown ? n_shown - 2 : message->n_data;
    } else if (message->kind != MESSAGE_CLOSE) {
        add(ret_text, ABOVE_BYTES, " %" PRIu64, message->n_bytes);
    }
    preview_text(message->data, message->n_data, n_shown, n_preview, glyphs, preview, sizeof preview);
    if (preview[0])
        add(ret_text, ABOVE_BYTES, " %s", preview);
    if (message->compressed)
        add(ret_text, ABOVE_BYTES, ", %s", _("compressed"));
    if (message->rtt_ns > 0) {
        ladder_delta_text(message->rtt_ns, false, span);
        add(ret_text, ABOVE_BYTES, _(", rtt %s"), span);
    }
}

/* With as much of its data as there is room for. */
static void own_text(const struct event_message *message, unsigned n_cells, const struct glyphs *glyphs,
                     char ret_text[ABOVE_BYTES])
{
    static const unsigned previews[] = {34, 24, 16, 12, 0}; /* cells, with the quotes */
    for (size_t i = 0; i < sizeof previews / sizeof previews[0]; i++) {
        one_text(message, previews[i], glyphs, ret_text);
        if (text_cells(ret_text) <= n_cells)
            break;
    }
}

static void framed_text(const struct messages *messages, char ret_text[ABOVE_BYTES])
{
    const struct event_message *first = &messages->first;
    char count[32];
    ladder_count_text(messages->n_bytes, count);
    if (messages->n == 1)
        snprintf(ret_text, ABOVE_BYTES, _("message %" PRIu64 " ends here, %s bytes"), first->number, count);
    else
        snprintf(ret_text, ABOVE_BYTES, _("messages %" PRIu64 "-%" PRIu64 " end here, %s bytes"), first->number,
                 messages->last_number, count);
    if (first->joined)
        add(ret_text, ABOVE_BYTES, ", %s",
            messages->n == 1 ? _("perhaps the rest of a longer one") : _("the first perhaps the rest of a longer one"));
}

void messages_text(const struct messages *messages, const char *words, unsigned n_cells, const struct glyphs *glyphs,
                   char ret_text[ABOVE_BYTES])
{
    const struct event_message *first = &messages->first;
    if (first->kind == MESSAGE_FRAMED)
        framed_text(messages, ret_text);
    else if (first->kind != MESSAGE_MALFORMED)
        own_text(first, n_cells, glyphs, ret_text);
    else if (words && words[0])
        snprintf(ret_text, ABOVE_BYTES, _("no message from byte %" PRIu64 " on: %s"), first->n_bytes, words);
    else
        snprintf(ret_text, ABOVE_BYTES, _("no message from byte %" PRIu64 " on"), first->n_bytes);
}

void messages_begin(struct messages *messages, const struct event_message *message)
{
    *messages =
        (struct messages){.first = *message, .n = 1, .n_bytes = message->n_bytes, .last_number = message->number};
}

bool messages_join(struct messages *messages, const struct event_message *news)
{
    const struct event_message *first = &messages->first;
    if (first->kind != MESSAGE_FRAMED || news->kind != MESSAGE_FRAMED || first->end < N_ENDS || news->end < N_ENDS ||
        first->from != news->from || first->about == 0 || first->about != news->about || news->joined ||
        news->number != messages->last_number + 1)
        return false;
    messages->n++;
    messages->last_number = news->number;
    messages->n_bytes += news->n_bytes;
    return true;
}

/* ---- rows */

/* In the wire, beside the end whose program says it; what has no room goes below. */
static void draw_beside(struct ladder *ladder, struct held *held, enum event_end end, const char *text,
                        enum style style)
{
    struct row row;
    char fitted[ABOVE_BYTES * 2];
    fit_characters(ladder->output.glyphs, text, fitted, sizeof fitted);
    row_begin(&row, ladder, held->connection);
    row_time(&row, held->t_ns);
    row_lives(&row);
    row_brackets(&row);
    unsigned begin = row.grid.wire, stop = begin + row.grid.n_wire;
    bool fits = text_cells(fitted) + 2 <= row.grid.n_wire;
    char rest[ABOVE_BYTES * 2] = "", line[ABOVE_BYTES * 2];
    if (!fits) {
        const char *at = fitted;
        wrap_next(&at, row.grid.n_wire - 2, line, sizeof line);
        snprintf(rest, sizeof rest, "%s", at);
        snprintf(fitted, sizeof fitted, "%s", line);
    }
    if (end == END_A)
        cells_put(&row.cells, begin + 1, stop, fitted, style);
    else
        cells_put_right(&row.cells, begin, stop - 1, fitted, style);
    row_end(&row);
    if (rest[0])
        draw_note(ladder, held->connection, rest);
}

void draw_handshake(struct ladder *ladder, struct held *held)
{
    char text[ABOVE_BYTES];
    handshake_text(&held->handshake, held->t_ns, text);
    draw_beside(ladder, held, held->handshake.end, text, held->handshake.result < 0 ? STYLE_TROUBLE : STYLE_OPEN);
    if (held->text && held->text[0])
        draw_note(ladder, held->connection, held->text);
}

/* The mark points to where it goes: "text 5 »" from the left to the right, "« text 5" back. */
void draw_message(struct ladder *ladder, struct held *held)
{
    const struct glyphs *glyphs = ladder->output.glyphs;
    const struct event_message *message = &held->messages.first;
    char text[ABOVE_BYTES], marked[ABOVE_BYTES + 16];
    struct grid grid;
    grid_init(&grid, ladder->options.width, ladder->n_tag, true);
    unsigned n_mark = text_cells(glyphs->message_right) + 1;
    messages_text(&held->messages, held->text, grid.n_wire > n_mark + 2 ? grid.n_wire - n_mark - 2 : 0, glyphs, text);
    if (message->from == END_A)
        snprintf(marked, sizeof marked, "%s %s", text, glyphs->message_right);
    else
        snprintf(marked, sizeof marked, "%s %s", glyphs->message_left, text);
    draw_beside(ladder, held, message->end, marked, message->kind == MESSAGE_MALFORMED ? STYLE_TROUBLE : STYLE_OPEN);
}

char *above_words(const char *text, const struct glyphs *glyphs)
{
    char escaped[WHY_BYTES], fitted[2 * WHY_BYTES];
    if (!text)
        return NULL;
    escape_short(text, strlen(text), escaped, sizeof escaped);
    fit_characters(glyphs, escaped, fitted, sizeof fitted);
    return strdup(fitted);
}
