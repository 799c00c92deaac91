/* SPDX-License-Identifier: MIT */
/*
 * Where each character of a prompt stands on a terminal of so many columns.
 *
 * Rows are broken here, and not by the terminal: it is told to begin a row. What it thinks of its last column, and of a
 * character of two cells that finds only one, then does not matter.
 */
#include "term/escape.h"
#include "term/prompt_internal.h"

#include <stdio.h>

static size_t put_ascii(const char *text, wchar_t *ret)
{
    size_t n = 0;

    for (; text[n] != '\0'; n++)
        ret[n] = text[n];
    return n;
}

/* One character as it is shown; at most LAYOUT_PER_CHARACTER. */
static size_t expand(wchar_t character, wchar_t *ret)
{
    unsigned long code = (unsigned long)character;
    char bytes[4], text[64];
    size_t taken;

    if (character == L'\n') {
        ret[0] = character;
        return 1;
    }
    if (code >= KEYS_BYTE + 0x80 && code <= KEYS_BYTE + 0xff) {
        snprintf(text, sizeof(text), "\\x%02lx", code - KEYS_BYTE);
        return put_ascii(text, ret);
    }
    if (code >= KEYS_BYTE && code < KEYS_BYTE + 0x80)
        code -= KEYS_BYTE;
    if (code < 0x20 || code == 0x7f) {
        ret[0] = L'^';
        ret[1] = (wchar_t)(code ^ 0x40);
        return 2;
    }
    struct escape escape;
    escape_init(&escape, ESCAPE_TEXT);
    size_t n_bytes = keys_encode(&character, 1, bytes);
    size_t n = escape_bytes(&escape, bytes, n_bytes, text, sizeof(text) - 1, &taken);
    text[n] = '\0';
    bool as_it_is = n == n_bytes && wcwidth(character) >= 0;
    if (as_it_is) {
        ret[0] = character;
        return 1;
    }
    if (n == n_bytes) /* the locale does not know how wide it is */
        snprintf(text, sizeof(text), "\\u{%lx}", code);
    return put_ascii(text, ret);
}

size_t layout_expand(const wchar_t *line, size_t n, size_t cursor, wchar_t *ret_shown, size_t *ret_cursor)
{
    size_t n_shown = 0, at = 0;

    for (size_t i = 0; i < n; i++) {
        if (i == cursor)
            at = n_shown;
        n_shown += expand(line[i], ret_shown + n_shown);
    }
    *ret_cursor = cursor >= n ? n_shown : at;
    return n_shown;
}

static unsigned width_of(wchar_t character)
{
    int width = wcwidth(character);

    return width > 0 ? (unsigned)width : 0;
}

unsigned layout_row(const wchar_t *shown, size_t n, size_t begin, unsigned columns, size_t *ret_end, size_t *ret_next,
                    bool *ret_last)
{
    unsigned column = 0;
    size_t i = begin;

    for (; i < n && shown[i] != L'\n'; i++) {
        unsigned width = width_of(shown[i]);
        if (column + width > columns && i > begin)
            break;
        column += width;
    }
    /* Behind a full row the cursor needs one more, before a newline and at the end. */
    bool has_cell = column < columns, newline = i < n && shown[i] == L'\n' && has_cell;
    *ret_end = i;
    *ret_next = i + newline;
    *ret_last = i >= n && has_cell;
    return column;
}

void layout_find(const wchar_t *shown, size_t n, size_t cursor, unsigned columns, struct layout *ret_layout)
{
    size_t begin = 0, end, next;
    bool last = false, found = false;

    *ret_layout = (struct layout){.n_rows = 0};
    for (unsigned row = 0; !last; row++) {
        layout_row(shown, n, begin, columns, &end, &next, &last);
        /* At a row's end the cursor stands before what begins the next row, unless that is a newline. */
        if (!found && (cursor < end || (cursor == end && (last || next > end)))) {
            size_t to, after;
            bool all;
            found = true;
            ret_layout->cursor_row = row;
            ret_layout->cursor_column = layout_row(shown, cursor, begin, columns, &to, &after, &all);
            /* Between the last character of a full row and what combines with it. */
            if (ret_layout->cursor_column == columns)
                ret_layout->cursor_column--;
        }
        ret_layout->n_rows = row + 1;
        begin = next;
    }
}

unsigned layout_rows_above(const unsigned short *widths, unsigned cursor_row, unsigned cursor_column, unsigned columns)
{
    unsigned n = 0;

    for (unsigned i = 0; i < cursor_row; i++)
        n += widths[i] > columns ? (widths[i] + columns - 1) / columns : 1;
    return n + cursor_column / columns;
}
