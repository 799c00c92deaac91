/* SPDX-License-Identifier: MIT */
/*
 * Bytes are taken one at a time through a small automaton, which holds the beginning of a character (at most three
 * bytes) until the rest comes or turns out not to fit. Where a chunk ends therefore makes no difference to what is
 * written. Runs of plain ASCII, nearly everything, take a short cut.
 *
 * Shown as escapes are all characters that a terminal obeys, that reorder the text around them, or that cannot be
 * seen: whoever looks at a peer's bytes wants to know of those most of all. The text is meant for a terminal that reads
 * UTF-8.
 */
#include "term/escape.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

/* Three held bytes that a fourth turns into nonsense are "\xff" four times over; a character is at most \u{10ffff}. */
#define ESCAPE_ROOM 16

static const char hex_digits[] = "0123456789abcdef";

/* Unicode 15, DerivedCoreProperties: Default_Ignorable_Code_Point, and beside it line and paragraph separator, bidi
 * controls, annotation characters and the format controls of hieroglyphs. Ascending. */
static const struct {
    uint32_t first, last;
} unseen[] = {
    {0x0080, 0x009f},   /* C1 controls */
    {0x00ad, 0x00ad},   /* soft hyphen */
    {0x034f, 0x034f},   /* combining grapheme joiner */
    {0x061c, 0x061c},   /* Arabic letter mark */
    {0x115f, 0x1160},   /* Hangul fillers */
    {0x17b4, 0x17b5},   /* Khmer inherent vowels */
    {0x180b, 0x180f},   /* Mongolian variation selectors */
    {0x200b, 0x200f},   /* zero width, left-to-right and right-to-left mark */
    {0x2028, 0x202e},   /* line and paragraph separator, bidi embeddings and overrides */
    {0x2060, 0x206f},   /* word joiner, invisible operators, bidi isolates */
    {0x3164, 0x3164},   /* Hangul filler */
    {0xfdd0, 0xfdef},   /* not characters */
    {0xfe00, 0xfe0f},   /* variation selectors */
    {0xfeff, 0xfeff},   /* byte order mark */
    {0xffa0, 0xffa0},   /* halfwidth Hangul filler */
    {0xfff0, 0xfffb},   /* annotation */
    {0x13430, 0x13455}, /* hieroglyph format controls */
    {0x1bca0, 0x1bca3}, /* shorthand format controls */
    {0x1d173, 0x1d17a}, /* musical format controls */
    {0xe0000, 0xe0fff}, /* tags, further variation selectors */
};

static bool is_seen(uint32_t character)
{
    if ((character & 0xfffe) == 0xfffe)
        return false; /* the last two of each plane are not characters */
    for (size_t i = 0; i < sizeof unseen / sizeof unseen[0] && unseen[i].first <= character; i++) {
        if (character <= unseen[i].last)
            return false;
    }
    return true;
}

static bool is_plain(unsigned char byte)
{
    return byte >= 0x20 && byte < 0x7f && byte != '\\';
}

/* Length of the character that this byte begins, 0 when none can begin so (RFC 3629, 4). */
static unsigned character_length(unsigned char lead)
{
    if (lead < 0x80)
        return 1;
    if (lead < 0xc2 || lead > 0xf4)
        return 0;
    return lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
}

/* May `byte` follow the n bytes before it? The second byte is where overlong forms, surrogates and what is past
 * U+10FFFF show. */
static bool may_follow(const unsigned char *before, unsigned n, unsigned char byte)
{
    unsigned char low = 0x80, high = 0xbf;
    if (n == 1) {
        switch (before[0]) {
        case 0xe0:
            low = 0xa0;
            break;
        case 0xed:
            high = 0x9f;
            break;
        case 0xf0:
            low = 0x90;
            break;
        case 0xf4:
            high = 0x8f;
            break;
        }
    }
    return byte >= low && byte <= high;
}

static size_t put_byte(char *text, unsigned char byte)
{
    text[0] = '\\';
    text[1] = 'x';
    text[2] = hex_digits[byte >> 4];
    text[3] = hex_digits[byte & 15];
    return 4;
}

static size_t put_bytes(char *text, const unsigned char *bytes, unsigned n)
{
    size_t length = 0;
    for (unsigned i = 0; i < n; i++)
        length += put_byte(text + length, bytes[i]);
    return length;
}

static size_t put_ascii(enum escape_style style, char *text, unsigned char byte)
{
    const char *name = NULL;
    if (byte == '\n')
        name = style == ESCAPE_TEXT ? "\n" : "\\n";
    else if (byte == '\t')
        name = style == ESCAPE_TEXT ? "\t" : "\\t";
    else if (byte == '\\')
        name = style == ESCAPE_TEXT ? "\\" : "\\\\";
    else if (byte == '\r')
        name = "\\r";
    if (name) {
        size_t length = strlen(name);
        memcpy(text, name, length);
        return length;
    }
    if (!is_plain(byte))
        return put_byte(text, byte);
    text[0] = (char)byte;
    return 1;
}

/* A whole character of two to four bytes. */
static size_t put_character(char *text, const unsigned char *bytes, unsigned n)
{
    uint32_t character = bytes[0] & (0x7fu >> n);
    for (unsigned i = 1; i < n; i++)
        character = character << 6 | (bytes[i] & 0x3fu);
    if (is_seen(character)) {
        memcpy(text, bytes, n);
        return n;
    }
    size_t length = 0;
    memcpy(text, "\\u{", 3);
    length += 3;
    int shift = 20;
    while (shift > 4 && character >> shift == 0)
        shift -= 4;
    for (; shift >= 0; shift -= 4)
        text[length++] = hex_digits[character >> shift & 15];
    text[length++] = '}';
    return length;
}

/* One byte through the automaton; writes at most ESCAPE_ROOM. */
static size_t step(struct escape *escape, unsigned char byte, char *text)
{
    size_t length = 0;
    if (escape->n_cut > 0) {
        unsigned wanted = character_length(escape->cut[0]);
        if (may_follow(escape->cut, escape->n_cut, byte)) {
            escape->cut[escape->n_cut++] = byte;
            if (escape->n_cut < wanted)
                return 0;
            escape->n_cut = 0;
            return put_character(text, escape->cut, wanted);
        }
        length = put_bytes(text, escape->cut, escape->n_cut);
        escape->n_cut = 0;
    }
    switch (character_length(byte)) {
    case 0:
        return length + put_byte(text + length, byte);
    case 1:
        return length + put_ascii(escape->style, text + length, byte);
    default:
        escape->cut[0] = byte;
        escape->n_cut = 1;
        return length;
    }
}

void escape_init(struct escape *escape, enum escape_style style)
{
    *escape = (struct escape){.style = style};
}

size_t escape_bytes(struct escape *escape, const void *data, size_t n_bytes, char *ret_text, size_t size_bytes,
                    size_t *ret_taken)
{
    const unsigned char *bytes = data;
    size_t taken = 0, length = 0;
    while (taken < n_bytes && size_bytes - length >= ESCAPE_ROOM) {
        if (escape->n_cut > 0 || !is_plain(bytes[taken])) {
            length += step(escape, bytes[taken++], ret_text + length);
            continue;
        }
        size_t run = 0, most = n_bytes - taken;
        if (most > size_bytes - length)
            most = size_bytes - length;
        while (run < most && is_plain(bytes[taken + run]))
            run++;
        memcpy(ret_text + length, bytes + taken, run);
        length += run;
        taken += run;
    }
    *ret_taken = taken;
    return length;
}

size_t escape_finish(struct escape *escape, char *ret_text, size_t size_bytes)
{
    if (size_bytes < ESCAPE_ROOM)
        return 0;
    size_t length = put_bytes(ret_text, escape->cut, escape->n_cut);
    escape->n_cut = 0;
    return length;
}

size_t escape_short(const void *data, size_t n_bytes, char *ret_text, size_t size_bytes)
{
    static const char dots[] = "...";
    if (size_bytes == 0)
        return 0;
    const unsigned char *bytes = data;
    struct escape escape;
    escape_init(&escape, ESCAPE_LINE);
    size_t length = 0, with_dots = 0; /* with_dots: the longest beginning after which the dots still fit */
    bool fits = true;
    for (size_t i = 0; fits && i <= n_bytes; i++) {
        char piece[ESCAPE_ROOM];
        size_t n = i < n_bytes ? step(&escape, bytes[i], piece) : escape_finish(&escape, piece, sizeof piece);
        fits = length + n < size_bytes;
        if (!fits)
            break;
        memcpy(ret_text + length, piece, n);
        length += n;
        if (length + strlen(dots) < size_bytes)
            with_dots = length;
    }
    if (!fits)
        length = with_dots + (size_t)snprintf(ret_text + with_dots, size_bytes - with_dots, "%.*s",
                                              (int)(size_bytes - with_dots - 1), dots);
    ret_text[length] = '\0';
    return length;
}

bool utf8_is_valid(const void *data, size_t n_bytes)
{
    const unsigned char *bytes = data;
    for (size_t i = 0; i < n_bytes;) {
        unsigned length = character_length(bytes[i]);
        if (length == 0 || length > n_bytes - i)
            return false;
        for (unsigned j = 1; j < length; j++) {
            if (!may_follow(bytes + i, j, bytes[i + j]))
                return false;
        }
        i += length;
    }
    return true;
}
