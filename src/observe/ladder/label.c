// SPDX-License-Identifier: MIT
/*
 * What stands on an arrow, in order: flags, numbers, ack, sack, window, mss, options, payload, what it repeats, notes.
 * What does not fit goes in a fixed order, the least telling first; flags, numbers and lengths are never lost: when
 * even they have no room, they stand under the arrow.
 */
#include "observe/ladder/ladder_internal.h"

#include "term/escape.h"
#include "term/translate.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define PREVIEW_CELLS 34 /* with its quotes */
#define PREVIEW_CELLS_LEAST 9
#define TLS_RECORD_MAX (16384 + 256) /* RFC 8446, 5.2 */

static void add(char *text, size_t size_bytes, const char *format, ...) __attribute__((format(printf, 3, 4)));

static void add(char *text, size_t size_bytes, const char *format, ...)
{
    size_t n = strlen(text);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text + n, size_bytes - n, format, arguments);
    va_end(arguments);
}

/* Bytes of the character or escape ("\\n", "\\x1b", "\\u{202e}") at text: nothing is cut inside of one. */
static size_t unit_bytes(const char *text)
{
    const char *after = text;
    next_character(&after);
    if (*text != '\\' || text[1] == '\0')
        return (size_t)(after - text);
    if (text[1] == 'x' && text[2] && text[3])
        return 4;
    if (text[1] == 'u' && text[2] == '{' && strchr(text, '}'))
        return (size_t)(strchr(text, '}') - text) + 1;
    return 2;
}

void preview_cut(char *text, unsigned n_cells)
{
    unsigned n = 0;
    char *at = text;
    while (*at) {
        size_t length = unit_bytes(at);
        const char *character = at;
        unsigned n_unit = *at == '\\' ? (unsigned)length : character_cells(next_character(&character));
        if (n + n_unit + 1 > n_cells)
            break;
        n += n_unit;
        at += length;
    }
    *at = '\0';
}

/* Records of TLS (RFC 8446, 5.1) are told by their header; what is in them is nobody's to read here. */
const char *tls_record_text(const void *data, size_t n_data)
{
    static const char *const names[] = {"TLS change cipher", "TLS alert", "TLS handshake", "TLS data"};
    const unsigned char *bytes = data;
    if (!data || n_data < 5 || bytes[0] < 20 || bytes[0] > 23 || bytes[1] != 3 || bytes[2] > 4)
        return NULL;
    unsigned n_record = (unsigned)bytes[3] << 8 | bytes[4];
    return n_record > 0 && n_record <= TLS_RECORD_MAX ? names[bytes[0] - 20] : NULL;
}

void preview_text(const void *data, size_t n_data, uint64_t n_bytes, unsigned n_cells, const struct glyphs *glyphs,
                  char *ret_text, size_t size_bytes)
{
    char escaped[4 * SEGMENT_PREVIEW_MAX + 4], text[8 * SEGMENT_PREVIEW_MAX + 8];
    ret_text[0] = '\0';
    if (!data || n_data == 0 || n_cells < 3)
        return;
    const char *record = tls_record_text(data, n_data);
    if (record) {
        if (strlen(record) <= n_cells)
            snprintf(ret_text, size_bytes, "%s", record);
        return;
    }
    if (n_data > SEGMENT_PREVIEW_MAX)
        n_data = SEGMENT_PREVIEW_MAX;
    escape_short(data, n_data, escaped, sizeof escaped);
    fit_characters(glyphs, escaped, text, sizeof text - 8);
    unsigned n_room = n_cells - 2;
    bool cut = n_data < n_bytes || text_cells(text) > n_room;
    if (text_cells(text) + cut > n_room) {
        if (n_cells < PREVIEW_CELLS_LEAST)
            return;
        preview_cut(text, n_room);
    }
    if (strlen(text) + strlen(glyphs->cut) + 3 <= size_bytes)
        snprintf(ret_text, size_bytes, "\"%s%s\"", text, cut ? glyphs->cut : "");
}

static bool is_pure_ack(const struct event_segment *segment)
{
    return !(segment->flags & (SEGMENT_SYN | SEGMENT_FIN | SEGMENT_RST)) && segment->n_bytes == 0 &&
           !has_note(segment->notes, NOTE_WINDOW_PROBE) && !has_note(segment->notes, NOTE_KEEP_ALIVE);
}

static bool says_again(const struct event_segment *segment)
{
    return has_note(segment->notes, NOTE_AGAIN) || has_note(segment->notes, NOTE_SYN_RETRY);
}

static void numbers(const struct event_segment *segment, bool raw, char *ret_text, size_t size_bytes)
{
    uint64_t first = raw ? segment->seq_raw : segment->seq;
    bool is_syn = segment->flags & SEGMENT_SYN;
    if (segment->n_bytes == 0 || is_syn)
        add(ret_text, size_bytes, "seq %" PRIu64, first);
    if (segment->n_bytes == 0)
        return;
    first += is_syn; /* the SYN takes a number before its data */
    uint64_t behind = first + segment->n_bytes;
    if (raw) {
        first &= UINT32_MAX;
        behind &= UINT32_MAX;
    }
    add(ret_text, size_bytes, "%s%" PRIu64 ":%" PRIu64 "(%u)", is_syn ? " " : "", first, behind, segment->n_bytes);
}

static void selective(const struct event_segment *segment, bool raw, unsigned n_most, char *ret_text, size_t size_bytes)
{
    ret_text[0] = '\0';
    unsigned n = segment->options.n_sacks < SEGMENT_SACKS_MAX ? segment->options.n_sacks : SEGMENT_SACKS_MAX;
    for (unsigned i = 0; i < n && i < n_most; i++) {
        uint64_t from = segment->options.sack[i].from, to = segment->options.sack[i].to;
        if (raw) {
            from = (uint32_t)(segment->ack_raw + (uint32_t)(from - segment->ack));
            to = (uint32_t)(segment->ack_raw + (uint32_t)(to - segment->ack));
        }
        add(ret_text, size_bytes, "%s%" PRIu64 ":%" PRIu64, i == 0 ? "sack " : " ", from, to);
    }
    if (n > n_most)
        add(ret_text, size_bytes, " +%u", n - n_most);
}

static void options_list(const struct segment_options *options, char *ret_text, size_t size_bytes)
{
    const struct {
        bool has;
        const char *name;
    } simple[] = {
        {options->sack_permitted, "sackOK"}, {options->has_timestamps, "ts"}, {options->has_fast_open, "tfo"},
        {options->has_mptcp, "mptcp"},       {options->has_md5, "md5"},       {options->has_user_timeout, "uto"},
        {options->has_accecn, "accecn"},
    };
    if (options->window_scale >= 0)
        add(ret_text, size_bytes, "wscale %d", options->window_scale);
    for (size_t i = 0; i < sizeof simple / sizeof simple[0]; i++) {
        if (simple[i].has)
            add(ret_text, size_bytes, "%s%s", ret_text[0] ? " " : "", simple[i].name);
    }
    if (options->n_unknown > 0)
        add(ret_text, size_bytes, "%s+%u", ret_text[0] ? " " : "", options->n_unknown);
}

/* Words that the label has, not the side cells. */
static void note_words(const struct event_segment *segment, char *ret_text, size_t size_bytes)
{
    for (enum segment_note note = 0; note < N_NOTES; note++) {
        const char *words = segment_note_words(note);
        if (!has_note(segment->notes, note) || !words)
            continue;
        if (note == NOTE_AGAIN_RTO || note == NOTE_AGAIN_FAST || note == NOTE_AGAIN_TLP)
            continue;
        if (note == NOTE_FILLS_HOLE && segment->fate != FATE_UNKNOWN && has_note(segment->notes, NOTE_OUT_OF_ORDER))
            continue; /* it was overtaken: that is said */
        add(ret_text, size_bytes, "%s%s", ret_text[0] ? ", " : "", words);
        if (note == NOTE_DUPLICATE_ACK && segment->n_repeat > 0)
            add(ret_text, size_bytes, " %u", segment->n_repeat);
    }
    if (has_note(segment->notes, NOTE_REFUSED))
        add(ret_text, size_bytes, "%s%s", ret_text[0] ? ", " : "", _("refused"));
    if (segment->options.malformed)
        add(ret_text, size_bytes, "%s%s", ret_text[0] ? ", " : "", _("bad options"));
}

static void repeated(const struct event_segment *segment, struct label *label)
{
    char *text = label->part[LABEL_AGAIN];
    if (says_again(segment)) {
        add(text, LABEL_PART_BYTES, segment->again_of > 0 ? "again #%u" : "again", segment->again_of);
        label->trouble[LABEL_AGAIN] = true;
    } else if (has_note(segment->notes, NOTE_WINDOW_PROBE)) {
        add(text, LABEL_PART_BYTES, segment->n_repeat > 0 ? "probe %u" : "probe", segment->n_repeat);
    }
}

static void label_clear(struct label *label)
{
    for (unsigned part = 0; part < N_LABEL_PARTS; part++) {
        label->part[part][0] = '\0';
        label->trouble[part] = false;
    }
    label->below[0] = '\0';
}

void label_of_segment(const struct event_segment *segment, const struct label_context *context, struct label *ret_label)
{
    struct label *label = ret_label;
    label_clear(label);
    char flags[12];
    segment_flags_text(segment->flags, flags);
    add(label->part[LABEL_FLAGS], LABEL_PART_BYTES, "%s", flags);
    numbers(segment, context->raw, label->part[LABEL_SEQ], LABEL_PART_BYTES);
    if (segment->flags & SEGMENT_ACK)
        add(label->part[LABEL_ACK], LABEL_PART_BYTES, "ack %" PRIu64,
            context->raw ? (uint64_t)segment->ack_raw : segment->ack);
    selective(segment, context->raw, SEGMENT_SACKS_MAX, label->part[LABEL_SACK], LABEL_PART_BYTES);
    repeated(segment, label);
    note_words(segment, label->part[LABEL_NOTES], LABEL_PART_BYTES);
    /* Copies and probes do not say again what was said already; but a closed window is always news. */
    bool said = label->part[LABEL_AGAIN][0] != '\0' || has_note(segment->notes, NOTE_KEEP_ALIVE);
    bool closed = segment->window == 0 && !(segment->flags & SEGMENT_RST);
    if (!said || closed)
        add(label->part[LABEL_WIN], LABEL_PART_BYTES, "win %" PRIu64 "%s", segment->window,
            has_note(segment->notes, NOTE_SCALE_UNKNOWN) ? "?" : "");
    label->trouble[LABEL_WIN] = closed;
    if (said)
        return;
    if (segment->options.mss > 0)
        add(label->part[LABEL_MSS], LABEL_PART_BYTES, "mss %u", segment->options.mss);
    if (segment->flags & SEGMENT_SYN)
        options_list(&segment->options, label->part[LABEL_OPTIONS], LABEL_PART_BYTES);
    preview_text(segment->data, segment->n_data, segment->n_bytes, PREVIEW_CELLS, context->glyphs,
                 label->part[LABEL_PREVIEW], LABEL_PART_BYTES);
}

void label_of_datagram(const struct event_datagram *datagram, const struct label_context *context,
                       struct label *ret_label)
{
    struct label *label = ret_label;
    label_clear(label);
    add(label->part[LABEL_FLAGS], LABEL_PART_BYTES, "udp %u", datagram->n_bytes);
    preview_text(datagram->data, datagram->n_data, datagram->n_bytes, PREVIEW_CELLS, context->glyphs,
                 label->part[LABEL_PREVIEW], LABEL_PART_BYTES);
    struct event_segment as_segment = {.notes = datagram->notes};
    note_words(&as_segment, label->part[LABEL_NOTES], LABEL_PART_BYTES);
}

unsigned label_cells(const struct label *label)
{
    unsigned n = 0;
    for (unsigned part = 0; part < N_LABEL_PARTS; part++) {
        if (label->part[part][0])
            n += text_cells(label->part[part]) + (n > 0);
    }
    return n;
}

static void drop(struct label *label, enum label_part part)
{
    label->part[part][0] = '\0';
}

static void to_below(struct label *label, enum label_part part)
{
    if (label->part[part][0])
        add(label->below, sizeof label->below, "%s%s", label->below[0] ? " " : "", label->part[part]);
    drop(label, part);
}

/* The payload whole without the window tells more than the window without the payload; the window tells more than the
 * payload in part. */
static void fit_preview(struct label *label, const struct event_segment *segment, const struct label_context *context,
                        unsigned n_cells, bool keep_window)
{
    unsigned n = label_cells(label);
    if (label->part[LABEL_PREVIEW][0] == '\0' || n <= n_cells)
        return;
    unsigned n_window = label->part[LABEL_WIN][0] ? text_cells(label->part[LABEL_WIN]) + 1 : 0;
    if (!keep_window && n - n_window <= n_cells) {
        drop(label, LABEL_WIN);
        return;
    }
    unsigned n_preview = text_cells(label->part[LABEL_PREVIEW]);
    unsigned n_others = n - n_preview;
    preview_text(segment->data, segment->n_data, segment->n_bytes, n_others < n_cells ? n_cells - n_others : 0,
                 context->glyphs, label->part[LABEL_PREVIEW], LABEL_PART_BYTES);
}

void label_fit(struct label *label, const struct event_segment *segment, const struct label_context *context,
               unsigned n_cells)
{
    bool keep_window = label->trouble[LABEL_WIN] || (context->after_zero_window && segment->window > 0);
    if (label_cells(label) <= n_cells)
        return;
    drop(label, LABEL_OPTIONS);
    if (label_cells(label) > n_cells && segment->flags & SEGMENT_SYN)
        drop(label, LABEL_MSS);
    fit_preview(label, segment, context, n_cells, keep_window);
    if (label_cells(label) > n_cells && is_pure_ack(segment) && !context->first_ack)
        drop(label, LABEL_SEQ);
    if (label_cells(label) > n_cells && !keep_window)
        drop(label, LABEL_WIN);
    if (label_cells(label) > n_cells)
        drop(label, LABEL_MSS);
    if (label_cells(label) > n_cells)
        selective(segment, context->raw, 1, label->part[LABEL_SACK], LABEL_PART_BYTES);
    if (label_cells(label) > n_cells)
        to_below(label, LABEL_NOTES);
    if (label_cells(label) > n_cells)
        to_below(label, LABEL_AGAIN);
    if (label_cells(label) > n_cells)
        drop(label, LABEL_SACK);
    if (label_cells(label) > n_cells)
        drop(label, LABEL_ACK);
    for (enum label_part part = LABEL_SEQ; part < N_LABEL_PARTS; part++) {
        if (label_cells(label) > n_cells)
            to_below(label, part);
    }
    if (label_cells(label) > n_cells)
        to_below(label, LABEL_FLAGS);
}
