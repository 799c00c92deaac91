/* SPDX-License-Identifier: MIT */
/*
 * The parts of a prompt: keys (bytes become characters), editor (libedit), layout (where everything stands), terminal
 * (modes, and what is written). prompt.c joins them.
 */
#ifndef TERM_PROMPT_INTERNAL_H
#define TERM_PROMPT_INTERNAL_H

#include <locale.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include <termios.h>
#include <wchar.h>

/* --- keys: pure --------------------------------------------------------------------------------------------------- */

/* A byte that is not part of a character, or that came by a paste and must not be obeyed, goes through the editor as a
 * character of this block: half a surrogate pair, which UTF-8 never brings. */
#define KEYS_BYTE 0xdc00

struct keys {
    unsigned char held[4]; /* the beginning of a character, or of the end of a paste */
    unsigned n_held;
    unsigned n_mark;    /* bytes of the sign at hand that have come */
    bool pasting;       /* between ESC[200~ and ESC[201~ */
    bool after_cr;      /* pasted: LF behind CR is the same line end */
    bool newline_waits; /* pasted: the last line end, which Enter is to give, is left out */
};

/* What one read brings, at most, and the characters that may become of it: held ones come too. */
#define KEYS_BYTES 4096
#define KEYS_ROOM (2 * KEYS_BYTES + 16)

/* Returns the number of characters, at most 2 * n_bytes + 16. */
size_t keys_take(struct keys *keys, const void *bytes, size_t n_bytes, wchar_t *ret_characters);

/* Characters back to bytes, at most 4 for each. Returns their number. */
size_t keys_encode(const wchar_t *characters, size_t n, char *ret_bytes);

/* --- layout: pure but for the locale, which wcwidth(3) asks --------------------------------------------------------
 */

#define LAYOUT_PER_CHARACTER 12 /* "\xed\xa0\x80", what is no character at all; "\u{10ffff}" is 10 */
#define LAYOUT_ROWS_MAX 256

/* The line as it is shown: control characters as ^X, what a terminal would obey or nobody could see as \u{202e}, bytes
 * that are no characters as \xff. A newline stays: it begins a row. ret_shown has room for LAYOUT_PER_CHARACTER * n.
 * Returns the length; *ret_cursor is where the character `cursor` begins. */
size_t layout_expand(const wchar_t *line, size_t n, size_t cursor, wchar_t *ret_shown, size_t *ret_cursor);

/* Where things stand, in rows and cells from the beginning. There is always a cell for the cursor. */
struct layout {
    unsigned n_rows;
    unsigned cursor_row, cursor_column;
};
void layout_find(const wchar_t *shown, size_t n, size_t cursor, unsigned columns, struct layout *ret_layout);

/* The part of a row that fits: from character `begin` of what is shown to *ret_end; *ret_next is where the next row
 * begins (behind a newline), or n with *ret_last true. Returns the cells taken. */
unsigned layout_row(const wchar_t *shown, size_t n, size_t begin, unsigned columns, size_t *ret_end, size_t *ret_next,
                    bool *ret_last);

/* A terminal that has become narrower, and breaks rows that no longer fit: how many rows above the cursor now begin
 * what was drawn? widths: of the rows drawn; the cursor stands in row cursor_row, before cell cursor_column. */
unsigned layout_rows_above(const unsigned short *widths, unsigned cursor_row, unsigned cursor_column, unsigned columns);

/* --- editor: libedit ---------------------------------------------------------------------------------------------- */

struct editor;

enum editor_event {
    EDITOR_HUNGRY, /* all characters are used up */
    EDITOR_LINE,   /* a line is complete; it stays readable until the next run */
    EDITOR_END,    /* Ctrl-D on an empty line */
};

/* The state of the line: valid until the next run. */
struct editor_line {
    const wchar_t *text;
    size_t n, cursor;
};

/* modes: of the terminal, whose characters for erase, kill and the like are used. locale: of the characters, which must
 * be valid until the end, and is in use on the calling thread; 0: the process's. */
int editor_open(const struct termios *modes, locale_t locale, struct editor **ret_editor);
void editor_close(struct editor *editor);

/* Give it characters; all that were given before must have been used up. They are not copied. */
void editor_feed(struct editor *editor, const wchar_t *characters, size_t n);
/* Run until something has happened. */
enum editor_event editor_run(struct editor *editor);
void editor_line(const struct editor *editor, struct editor_line *ret_line);
void editor_remember(struct editor *editor, const struct editor_line *line);
/* Since asked last: how many characters found no room; whether Ctrl-L was typed. */
size_t editor_dropped(struct editor *editor);
bool editor_wants_clear(struct editor *editor);

/* --- terminal ----------------------------------------------------------------------------------------------------- */

#define TERMINAL_STRING 32

struct terminal {
    int in, out;
    bool owns_in, owns_out; /* opened anew, non-blocking */
    bool taken;             /* our modes are set */
    bool reflows;           /* breaks rows anew when it becomes narrower */
    struct termios before, ours;
    char up[TERMINAL_STRING], clear_line[TERMINAL_STRING], clear_below[TERMINAL_STRING], clear_all[TERMINAL_STRING];
    unsigned columns, rows;
    bool last_column_wraps; /* at once, and not with the next character */

    char *text; /* to be written */
    size_t begin, end, room;
    bool failed; /* there was no memory for it */
};

int terminal_open(struct terminal *terminal, int in, int out);
void terminal_close(struct terminal *terminal);
/* False: another process has it. */
bool terminal_take(struct terminal *terminal);
void terminal_give_back(struct terminal *terminal);
void terminal_measure(struct terminal *terminal);
/* What was typed, without waiting: 0 at the end, -EAGAIN when there is nothing, another negative errno. */
ssize_t terminal_read(const struct terminal *terminal, void *ret_bytes, size_t size_bytes);

void terminal_put(struct terminal *terminal, const char *text, size_t n_bytes);
void terminal_puts(struct terminal *terminal, const char *text);
/* Write what the terminal takes. */
void terminal_flush(struct terminal *terminal);
static inline bool terminal_is_stuck(const struct terminal *terminal)
{
    return terminal->begin < terminal->end;
}

#endif
