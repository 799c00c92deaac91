// SPDX-License-Identifier: MIT
/*
 * A line is a row of cells, each with its character and style, so that texts can be put at their places in any order
 * and nothing can be wider than the line. How wide a character is, is decided here and not by the locale: the same
 * events give the same text everywhere.
 */
#include "observe/ladder/ladder_internal.h"

#include <stdio.h>
#include <string.h>

#define REPLACEMENT 0xfffd

const struct glyphs glyphs_unicode = {
    .unicode = true,
    .dash = "─",
    .head_right = "►",
    .head_left = "◄",
    .cross = "×",
    .cut = "…",
    .stub_right = "╴",
    .stub_left = "╶",
    .note = "└",
    .dot = "·",
    .arrow_right = "→",
    .message_right = "»",
    .message_left = "«",
    .bracket_begin = {"┌", "┐"},
    .bracket_inside = "│",
    .bracket_end = {"└", "┘"},
    .life = {" ", "┆", "┃", "╏", "┆"},
    .unknown = "·",
    .no_states = "│",
};

const struct glyphs glyphs_ascii = {
    .dash = "-",
    .head_right = ">",
    .head_left = "<",
    .cross = "X",
    .cut = "~",
    .stub_right = "-",
    .stub_left = "-",
    .note = "\\",
    .dot = ".",
    .arrow_right = "->",
    .message_right = ">>",
    .message_left = "<<",
    .bracket_begin = {"/", "\\"},
    .bracket_inside = "|",
    .bracket_end = {"\\", "/"},
    .life = {" ", ":", "#", "%", ":"},
    .unknown = ".",
    .no_states = "|",
};

static const char *const style_codes[N_STYLES] = {
    [STYLE_DIM] = "\033[2m",     [STYLE_HALF] = "\033[33m",      [STYLE_OPEN] = "\033[36m",
    [STYLE_ENDING] = "\033[35m", [STYLE_TROUBLE] = "\033[1;31m", [STYLE_KERNEL] = "\033[32m",
};

uint32_t next_character(const char **text)
{
    const unsigned char *at = (const unsigned char *)*text;
    if (at[0] == 0)
        return 0;
    if (at[0] < 0x80) {
        ++*text;
        return at[0];
    }
    unsigned length = at[0] >= 0xf0 && at[0] < 0xf5 ? 4 : at[0] >= 0xe0 && at[0] < 0xf0 ? 3 : at[0] >= 0xc2 ? 2 : 1;
    if (at[0] >= 0xf5 || length == 1) {
        ++*text;
        return REPLACEMENT;
    }
    uint32_t character = at[0] & (0xffu >> (length + 1));
    for (unsigned i = 1; i < length; i++) {
        if ((at[i] & 0xc0) != 0x80) {
            ++*text;
            return REPLACEMENT;
        }
        character = character << 6 | (at[i] & 0x3f);
    }
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    if (character < least[length] || character > 0x10ffff || (character >= 0xd800 && character <= 0xdfff)) {
        ++*text;
        return REPLACEMENT;
    }
    *text += length;
    return character;
}

/* East Asian Width W and F of Unicode 15, by blocks: ascending. */
static const struct {
    uint32_t first, last;
} wide[] = {
    {0x1100, 0x115f},   {0x231a, 0x231b},   {0x2329, 0x232a},   {0x23e9, 0x23ec},   {0x23f0, 0x23f0},
    {0x23f3, 0x23f3},   {0x25fd, 0x25fe},   {0x2614, 0x2615},   {0x2648, 0x2653},   {0x267f, 0x267f},
    {0x2693, 0x2693},   {0x26a1, 0x26a1},   {0x26aa, 0x26ab},   {0x26bd, 0x26be},   {0x26c4, 0x26c5},
    {0x26ce, 0x26ce},   {0x26d4, 0x26d4},   {0x26ea, 0x26ea},   {0x26f2, 0x26f3},   {0x26f5, 0x26f5},
    {0x26fa, 0x26fa},   {0x26fd, 0x26fd},   {0x2705, 0x2705},   {0x270a, 0x270b},   {0x2728, 0x2728},
    {0x274c, 0x274c},   {0x274e, 0x274e},   {0x2753, 0x2755},   {0x2757, 0x2757},   {0x2795, 0x2797},
    {0x27b0, 0x27b0},   {0x27bf, 0x27bf},   {0x2b1b, 0x2b1c},   {0x2b50, 0x2b50},   {0x2b55, 0x2b55},
    {0x2e80, 0x303e},   {0x3041, 0x4dbf},   {0x4e00, 0xa4cf},   {0xa960, 0xa97f},   {0xac00, 0xd7a3},
    {0xf900, 0xfaff},   {0xfe10, 0xfe19},   {0xfe30, 0xfe6f},   {0xff00, 0xff60},   {0xffe0, 0xffe6},
    {0x16fe0, 0x18cff}, {0x1aff0, 0x1b2ff}, {0x1f004, 0x1f004}, {0x1f0cf, 0x1f0cf}, {0x1f18e, 0x1f19a},
    {0x1f200, 0x1f320}, {0x1f32d, 0x1f64f}, {0x1f680, 0x1f6ff}, {0x1f7e0, 0x1f7f0}, {0x1f90c, 0x1faff},
    {0x20000, 0x3fffd},
};

/* Marks that stand on the character before them: the commonest blocks. */
static bool is_combining(uint32_t character)
{
    return (character >= 0x300 && character <= 0x36f) || (character >= 0x483 && character <= 0x489) ||
           (character >= 0x591 && character <= 0x5bd) || (character >= 0x610 && character <= 0x61a) ||
           (character >= 0x64b && character <= 0x65f) || (character >= 0x1ab0 && character <= 0x1aff) ||
           (character >= 0x1dc0 && character <= 0x1dff) || (character >= 0x200b && character <= 0x200f) ||
           (character >= 0x20d0 && character <= 0x20ff) || (character >= 0xfe00 && character <= 0xfe0f) ||
           (character >= 0xfe20 && character <= 0xfe2f) || character == 0xfeff;
}

unsigned character_cells(uint32_t character)
{
    if (character < 0x300)
        return 1;
    if (is_combining(character))
        return 0;
    for (size_t i = 0; i < sizeof wide / sizeof wide[0] && wide[i].first <= character; i++) {
        if (character <= wide[i].last)
            return 2;
    }
    return 1;
}

unsigned text_cells(const char *text)
{
    unsigned n = 0;
    for (;;) {
        /* Nearly all of it is ASCII. */
        while ((unsigned char)*text >= 0x01 && (unsigned char)*text < 0x80) {
            text++;
            n++;
        }
        if (*text == '\0')
            return n;
        n += character_cells(next_character(&text));
    }
}

static const struct {
    uint32_t character;
    const char *ascii;
} plain[] = {
    {0xa0, " "},    {0xb5, "u"},    {0xb7, "."},    {0xd7, "X"},        {0x2010, "-"},   {0x2011, "-"},
    {0x2012, "-"},  {0x2013, "-"},  {0x2014, "-"},  {0x2018, "'"},      {0x2019, "'"},   {0x201c, "\""},
    {0x201d, "\""}, {0x2026, "~"},  {0x2190, "<-"}, {0x2192, "->"},     {0x2194, "<->"}, {0x2212, "-"},
    {0x2264, "<="}, {0x2265, ">="}, {0x2500, "-"},  {REPLACEMENT, "?"},
};

void fit_characters(const struct glyphs *glyphs, const char *text, char *ret_text, size_t size_bytes)
{
    size_t n = 0;
    for (const char *begin = text; *text; begin = text) {
        if (*text >= 0x20 && *text < 0x7f) {
            if (n + 1 >= size_bytes)
                break;
            ret_text[n++] = *text++;
            continue;
        }
        uint32_t character = next_character(&text);
        char as[16];
        if (character < 0x20 || (character >= 0x7f && character < 0xa0)) {
            snprintf(as, sizeof as, " ");
        } else if (character == REPLACEMENT) {
            snprintf(as, sizeof as, "?");
        } else if (glyphs->unicode) {
            snprintf(as, sizeof as, "%.*s", (int)(text - begin), begin);
        } else {
            snprintf(as, sizeof as, "\\u{%x}", (unsigned)character);
            for (size_t i = 0; i < sizeof plain / sizeof plain[0]; i++) {
                if (plain[i].character == character)
                    snprintf(as, sizeof as, "%s", plain[i].ascii);
            }
        }
        size_t length = strlen(as);
        if (n + length >= size_bytes)
            break;
        memcpy(ret_text + n, as, length);
        n += length;
    }
    ret_text[n] = '\0';
}

void cut_to_cells(char *text, unsigned n_cells, const struct glyphs *glyphs)
{
    if (text_cells(text) <= n_cells)
        return;
    unsigned n = 0;
    const char *at = text;
    while (*at) {
        const char *after = at;
        unsigned wide_by = character_cells(next_character(&after));
        if (n + wide_by + 1 > n_cells)
            break;
        n += wide_by;
        at = after;
    }
    /* The glyph may be longer in bytes than what is cut away: then one more character goes. */
    size_t length = strlen(glyphs->cut), room = strlen(at);
    while (room < length && at > text) {
        at--;
        while (at > text && ((unsigned char)*at & 0xc0) == 0x80)
            at--;
        room = strlen(at);
    }
    if (n_cells > 0 && room >= length)
        memcpy(text + (at - text), glyphs->cut, length + 1);
    else
        text[at - text] = '\0';
}

static void put_blank(struct cell *cell)
{
    cell->text[0] = ' ';
    cell->n_bytes = 1;
    cell->style = STYLE_PLAIN;
}

static void fill_to(struct cells *cells, unsigned at)
{
    while (cells->n < at)
        put_blank(&cells->cell[cells->n++]);
}

static void put_one(struct cells *cells, unsigned at, const char *bytes, size_t n_bytes, enum style style)
{
    fill_to(cells, at + 1);
    struct cell *cell = &cells->cell[at];
    cell->n_bytes = (uint8_t)(n_bytes < CELL_BYTES ? n_bytes : CELL_BYTES);
    memcpy(cell->text, bytes, cell->n_bytes);
    cell->style = (uint8_t)style;
}

/* The cells before it are there. */
static void put_ascii(struct cells *cells, unsigned at, char byte, enum style style)
{
    struct cell *cell = &cells->cell[at];
    cell->text[0] = byte;
    cell->n_bytes = 1;
    cell->style = (uint8_t)style;
    if (at >= cells->n)
        cells->n = at + 1;
}

unsigned cells_put(struct cells *cells, unsigned at, unsigned end, const char *text, enum style style)
{
    if (end > LADDER_WIDTH_MAX)
        end = LADDER_WIDTH_MAX;
    unsigned begin = at;
    fill_to(cells, at < end ? at : end);
    while (*text) {
        const char *from = text;
        if ((unsigned char)*text < 0x80) {
            if (at >= end)
                break;
            put_ascii(cells, at++, *text++, style);
            continue;
        }
        unsigned wide_by = character_cells(next_character(&text));
        size_t n_bytes = (size_t)(text - from);
        if (wide_by == 0) {
            struct cell *before = at > begin ? &cells->cell[at - 1] : NULL;
            if (before && before->n_bytes > 0 && before->n_bytes + n_bytes <= CELL_BYTES) {
                memcpy(before->text + before->n_bytes, from, n_bytes);
                before->n_bytes = (uint8_t)(before->n_bytes + n_bytes);
            }
            continue;
        }
        if (at + wide_by > end)
            break;
        put_one(cells, at, from, n_bytes, style);
        if (wide_by == 2)
            put_one(cells, at + 1, "", 0, style);
        at += wide_by;
    }
    return at;
}

void cells_repeat(struct cells *cells, unsigned at, unsigned end, const char *glyph, enum style style)
{
    size_t n_bytes = strlen(glyph);
    for (; at < end && at < LADDER_WIDTH_MAX; at++)
        put_one(cells, at, glyph, n_bytes, style);
}

void cells_put_right(struct cells *cells, unsigned begin, unsigned end, const char *text, enum style style)
{
    unsigned n = text_cells(text);
    cells_put(cells, n < end - begin ? end - n : begin, end, text, style);
}

#define LINE_BYTES (LADDER_WIDTH_MAX * (CELL_BYTES + 16) + 8)

static size_t append(char *line, size_t n, const char *text, size_t n_bytes)
{
    memcpy(line + n, text, n_bytes);
    return n + n_bytes;
}

void output_cells(const struct output *output, const struct cells *cells)
{
    char line[LINE_BYTES];
    size_t n = 0;
    unsigned n_cells = cells->n;
    while (n_cells > 0 && cells->cell[n_cells - 1].n_bytes == 1 && cells->cell[n_cells - 1].text[0] == ' ')
        n_cells--;
    uint8_t style = STYLE_PLAIN;
    for (unsigned i = 0; i < n_cells; i++) {
        const struct cell *cell = &cells->cell[i];
        bool blank = cell->n_bytes == 1 && cell->text[0] == ' ';
        if (output->color && cell->style != style && !blank) {
            if (style != STYLE_PLAIN)
                n = append(line, n, "\033[0m", 4);
            if (cell->style != STYLE_PLAIN)
                n = append(line, n, style_codes[cell->style], strlen(style_codes[cell->style]));
            style = cell->style;
        }
        n = append(line, n, cell->text, cell->n_bytes);
    }
    if (output->color && style != STYLE_PLAIN)
        n = append(line, n, "\033[0m", 4);
    line[n++] = '\n';
    output->write(line, n, output->user);
}

void output_newline(const struct output *output)
{
    output->write("\n", 1, output->user);
}

bool wrap_next(const char **text, unsigned n_cells, char *ret_line, size_t size_bytes)
{
    const char *begin = *text;
    while (*begin == ' ')
        begin++;
    if (*begin == '\0')
        return false;
    const char *at = begin, *fits = NULL; /* fits: the last place where the line may end */
    unsigned n = 0;
    while (*at) {
        if (*at == ' ' && (at == begin || at[-1] != ' '))
            fits = at;
        const char *after = at;
        unsigned wide_by = character_cells(next_character(&after));
        if ((n + wide_by > n_cells && at != begin && *at != ' ') || (size_t)(after - begin) >= size_bytes)
            break;
        n += wide_by;
        at = after;
    }
    const char *end = *at == '\0' ? at : fits && fits > begin ? fits : at;
    const char *rest = end;
    while (end > begin && end[-1] == ' ')
        end--;
    snprintf(ret_line, size_bytes, "%.*s", (int)(end - begin), begin);
    *text = rest;
    return true;
}
