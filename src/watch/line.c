/* SPDX-License-Identifier: MIT */
#include "watch/line.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <wchar.h>

/* Length of the character that begins here; a byte that begins none counts alone. */
static size_t character_at(const char *text, size_t n, wchar_t *ret_character)
{
    unsigned char lead = (unsigned char)text[0];
    size_t length = lead < 0x80 ? 1 : lead < 0xc2 ? 0 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : lead < 0xf5 ? 4 : 0;
    if (length == 0 || length > n) {
        *ret_character = 0xfffd;
        return 1;
    }
    uint32_t character = length == 1 ? lead : lead & (0x7fu >> length);
    for (size_t i = 1; i < length; i++)
        character = character << 6 | ((unsigned char)text[i] & 0x3fu);
    *ret_character = (wchar_t)character;
    return length;
}

static unsigned width_of(wchar_t character)
{
    if (character < 0x7f)
        return 1;
    int width = wcwidth(character);
    return width < 0 ? 1 : (unsigned)width;
}

unsigned columns_of(const char *text, size_t n)
{
    unsigned columns = 0;
    for (size_t i = 0; i < n;) {
        wchar_t character;
        i += character_at(text + i, n - i, &character);
        columns += width_of(character);
    }
    return columns;
}

size_t columns_fit(const char *text, size_t n, unsigned n_columns)
{
    unsigned columns = 0;
    size_t i = 0;
    while (i < n) {
        wchar_t character;
        size_t length = character_at(text + i, n - i, &character);
        columns += width_of(character);
        if (columns > n_columns)
            break;
        i += length;
    }
    return i;
}

void line_clear(struct line *line)
{
    line->n_bytes = line->n_columns = line->n_spans = 0;
}

void line_add(struct line *line, enum style style, const char *text, size_t n)
{
    size_t room = LINE_TEXT_MAX - line->n_bytes;
    bool same = line->n_spans > 0 && line->spans[line->n_spans - 1].style == style;
    if (n == 0 || (!same && line->n_spans == LINE_SPANS_MAX))
        return;
    if (n > room)
        n = columns_fit(text, room, (unsigned)room);
    memcpy(line->text + line->n_bytes, text, n);
    if (!same)
        line->spans[line->n_spans++] = (struct line_span){line->n_bytes, (uint8_t)style};
    line->n_bytes = (uint16_t)(line->n_bytes + n);
    line->n_columns = (uint16_t)(line->n_columns + columns_of(text, n));
}

void line_put(struct line *line, enum style style, const char *text)
{
    line_add(line, style, text, strlen(text));
}

void line_format(struct line *line, enum style style, const char *format, ...)
{
    char text[LINE_TEXT_MAX];
    va_list arguments;
    va_start(arguments, format);
    int n = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (n > 0)
        line_add(line, style, text, (size_t)n < sizeof text ? (size_t)n : sizeof text - 1);
}

void line_to(struct line *line, unsigned column)
{
    static const char spaces[] = "                                                                ";
    while (line->n_columns < column) {
        size_t n = column - line->n_columns;
        uint16_t before = line->n_columns;
        line_add(line, STYLE_PLAIN, spaces, n < sizeof spaces - 1 ? n : sizeof spaces - 1);
        if (line->n_columns == before)
            break;
    }
}

void line_cut(struct line *line, unsigned n_columns, const char *mark)
{
    if (line->n_columns <= n_columns)
        return;
    unsigned keep = mark && n_columns > 0 ? n_columns - 1 : n_columns;
    size_t n = columns_fit(line->text, line->n_bytes, keep);
    line->n_bytes = (uint16_t)n;
    line->n_columns = (uint16_t)columns_of(line->text, n);
    while (line->n_spans > 0 && line->spans[line->n_spans - 1].begin >= n)
        line->n_spans--;
    if (mark && n_columns > 0)
        line_put(line, STYLE_DIM, mark);
}

/* The 16 colours, so that the terminal's own palette decides how they look. No blue: it cannot be read on black. */
static const char *const sequences[STYLE_N] = {
    [STYLE_PLAIN] = "",          [STYLE_DIM] = "\x1b[2m",
    [STYLE_BOLD] = "\x1b[1m",    [STYLE_TROUBLE] = "\x1b[1;31m",
    [STYLE_HALF] = "\x1b[33m",   [STYLE_OPEN] = "\x1b[36m",
    [STYLE_ENDING] = "\x1b[35m", [STYLE_LINGER] = "\x1b[2m",
    [STYLE_KERNEL] = "\x1b[32m", [STYLE_REVERSE] = "\x1b[7m",
};

void line_render(const struct line *line, bool color, struct text *text)
{
    size_t end = line->n_bytes;
    while (end > 0 && line->text[end - 1] == ' ')
        end--;
    for (size_t i = 0; i < line->n_spans; i++) {
        size_t begin = line->spans[i].begin, next = i + 1 < line->n_spans ? line->spans[i + 1].begin : line->n_bytes;
        const char *sequence = color ? sequences[line->spans[i].style] : "";
        if (next > end)
            next = end;
        if (begin >= next)
            continue;
        text_string(text, sequence);
        text_append(text, line->text + begin, next - begin);
        if (sequence[0] != '\0')
            text_string(text, "\x1b[0m");
    }
}
