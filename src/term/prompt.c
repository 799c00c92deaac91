/* SPDX-License-Identifier: MIT */
/*
 * Theory of operation
 *
 * What is read becomes characters (prompt_keys.c), libedit makes a line of them (prompt_editor.c), and whenever it has
 * used up what there was, the line is drawn: prompt and text are laid out in rows (prompt_layout.c), and written from
 * the place where the prompt begins. What stands below that place is the prompt's, and is cleared first. To know the
 * place again it is enough to remember in which of its rows the cursor was left.
 *
 *   hidden: the cursor stands where the prompt will begin, in column 0; others may write whole lines there
 *   drawn:  nobody else may write
 *
 * When the terminal becomes narrower, most terminals break the rows that no longer fit, and the cursor comes to stand
 * further down: from the widths of the rows it can be told how far.
 *
 * A line that is longer than the screen is drawn in part: the rows around the cursor.
 */
#include "term/prompt.h"

#include "term/prompt_internal.h"

#include <errno.h>
#include <langinfo.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct term_prompt {
    const struct term_prompt_handler *handler;
    void *user;
    struct terminal terminal;
    struct editor *editor;
    struct keys keys;
    locale_t locale; /* 0: the process's is good */

    wchar_t text[PROMPT_TEXT_MAX];
    size_t n_text;

    bool shown;   /* as the owner wishes */
    bool drawn;   /* as it is */
    bool dirty;   /* to be drawn once the terminal takes something again */
    bool ended;   /* no line will follow */
    bool left;    /* the terminal is not ours now */
    bool busy;    /* inside term_prompt_readable */
    bool closing; /* closed by a handler: to be freed when it has returned */
    unsigned cursor_row, cursor_column;
    unsigned short widths[LAYOUT_ROWS_MAX]; /* of the rows drawn */
};

/* --- drawing ------------------------------------------------------------------------------------------------------ */

static void go_up(struct term_prompt *prompt, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        terminal_puts(&prompt->terminal, prompt->terminal.up);
}

/* Word of a new size may still be on its way when something is drawn, and the terminal has moved what it shows. */
static void take_size(struct term_prompt *prompt)
{
    unsigned columns = prompt->terminal.columns;

    terminal_measure(&prompt->terminal);
    if (prompt->drawn && prompt->terminal.columns < columns && prompt->terminal.reflows)
        prompt->cursor_row =
            layout_rows_above(prompt->widths, prompt->cursor_row, prompt->cursor_column, prompt->terminal.columns);
}

/* To where the prompt begins, with nothing below. */
static void erase(struct term_prompt *prompt)
{
    take_size(prompt);
    if (!prompt->drawn)
        return;
    terminal_puts(&prompt->terminal, "\r");
    go_up(prompt, prompt->cursor_row);
    terminal_puts(&prompt->terminal, prompt->terminal.clear_below);
    prompt->drawn = false;
}

static void put_characters(struct term_prompt *prompt, const wchar_t *characters, size_t n)
{
    char bytes[4 * 64];

    while (n > 0) {
        size_t part = n < 64 ? n : 64;
        terminal_put(&prompt->terminal, bytes, keys_encode(characters, part, bytes));
        characters += part;
        n -= part;
    }
}

/* The cursor is moved by writing what stands before it once more: where that ends is then the terminal's own idea. */
static void place_cursor(struct term_prompt *prompt, const wchar_t *shown, size_t n, size_t begin, size_t cursor,
                         unsigned rows_up)
{
    size_t to = cursor;

    while (to < n && shown[to] != L'\n' && wcwidth(shown[to]) == 0)
        to++;
    terminal_puts(&prompt->terminal, "\r");
    go_up(prompt, rows_up);
    put_characters(prompt, shown + begin, to - begin);
}

static void write_rows(struct term_prompt *prompt, const wchar_t *shown, size_t n, size_t cursor)
{
    unsigned columns = prompt->terminal.columns, most = prompt->terminal.rows;
    size_t begin = 0, end, next, cursor_begin = 0;
    struct layout layout;
    bool last;

    layout_find(shown, n, cursor, columns, &layout);
    unsigned first = layout.cursor_row >= most ? layout.cursor_row - most + 1 : 0;
    unsigned n_rows = layout.n_rows - first < most ? layout.n_rows - first : most;
    prompt->cursor_row = layout.cursor_row - first;
    prompt->cursor_column = layout.cursor_column;
    for (unsigned row = 0; row < first + n_rows; row++, begin = next) {
        unsigned width = layout_row(shown, n, begin, columns, &end, &next, &last);
        if (row == layout.cursor_row)
            cursor_begin = begin;
        if (row < first)
            continue;
        if (row > first)
            terminal_puts(&prompt->terminal, "\r\n");
        put_characters(prompt, shown + begin, end - begin);
        prompt->widths[row - first] = (unsigned short)width;
    }
    if (cursor < n || layout.cursor_row + 1 < first + n_rows)
        place_cursor(prompt, shown, n, cursor_begin, cursor, n_rows - 1 - prompt->cursor_row);
}

static void draw(struct term_prompt *prompt, const struct editor_line *line)
{
    size_t n_text, n_shown, cursor;
    wchar_t *shown = reallocarray(NULL, prompt->n_text + line->n + 1, LAYOUT_PER_CHARACTER * sizeof(*shown));

    if (shown == NULL)
        return;
    locale_t before = prompt->locale != (locale_t)0 ? uselocale(prompt->locale) : (locale_t)0;
    n_text = layout_expand(prompt->text, prompt->n_text, 0, shown, &cursor);
    n_shown = n_text + layout_expand(line->text, line->n, line->cursor, shown + n_text, &cursor);
    erase(prompt);
    write_rows(prompt, shown, n_shown, n_text + cursor);
    prompt->drawn = true;
    if (before != (locale_t)0)
        uselocale(before);
    free(shown);
}

/* Make what is drawn what it should be. */
static void update(struct term_prompt *prompt)
{
    struct editor_line line;

    terminal_flush(&prompt->terminal);
    prompt->dirty = terminal_is_stuck(&prompt->terminal);
    if (!prompt->shown || prompt->ended || prompt->left || prompt->dirty)
        return;
    editor_line(prompt->editor, &line);
    if (editor_wants_clear(prompt->editor)) {
        erase(prompt);
        terminal_puts(&prompt->terminal, prompt->terminal.clear_all);
    }
    draw(prompt, &line);
    terminal_flush(&prompt->terminal);
}

/* What was typed stays on the screen, and is the prompt's no more. */
static void leave_standing(struct term_prompt *prompt, const struct editor_line *line)
{
    if (!prompt->left) {
        draw(prompt, line);
        terminal_puts(&prompt->terminal, "\r\n");
    }
    prompt->drawn = false;
}

/* The last thing that is drawn. */
static void leave_for_good(struct term_prompt *prompt)
{
    struct editor_line line;

    if (prompt->ended)
        return;
    prompt->ended = true;
    editor_line(prompt->editor, &line);
    if (prompt->drawn && line.n > 0) {
        line.cursor = line.n;
        leave_standing(prompt, &line);
    }
    erase(prompt);
    terminal_give_back(&prompt->terminal);
}

/* --- reading ------------------------------------------------------------------------------------------------------ */

static void give_line(struct term_prompt *prompt)
{
    struct editor_line line;

    editor_line(prompt->editor, &line);
    leave_standing(prompt, &line);
    terminal_flush(&prompt->terminal);
    if (line.n > 0)
        editor_remember(prompt->editor, &line);
    char *bytes = malloc(4 * line.n + 1);
    if (bytes == NULL) {
        prompt->handler->dropped(line.n, prompt->user);
        return;
    }
    prompt->handler->line(bytes, keys_encode(line.text, line.n, bytes), prompt->user);
    free(bytes);
}

static void end(struct term_prompt *prompt)
{
    if (prompt->ended)
        return;
    leave_for_good(prompt);
    prompt->handler->end(prompt->user);
}

/* libedit has its turn until it has used up what there is. */
static void edit(struct term_prompt *prompt)
{
    enum editor_event event;

    do {
        event = editor_run(prompt->editor);
        if (event == EDITOR_LINE)
            give_line(prompt);
        else if (event == EDITOR_END)
            end(prompt);
    } while (event != EDITOR_HUNGRY && !prompt->ended);
    size_t n_dropped = editor_dropped(prompt->editor);
    if (n_dropped > 0 && !prompt->ended)
        prompt->handler->dropped(n_dropped, prompt->user);
}

static void free_prompt(struct term_prompt *prompt)
{
    terminal_close(&prompt->terminal);
    editor_close(prompt->editor);
    if (prompt->locale != (locale_t)0)
        freelocale(prompt->locale);
    free(prompt);
}

void term_prompt_readable(struct term_prompt *prompt)
{
    char bytes[KEYS_BYTES];
    wchar_t characters[KEYS_ROOM];

    if (prompt->ended || prompt->left)
        return;
    ssize_t n_bytes = terminal_read(&prompt->terminal, bytes, sizeof(bytes));
    if (n_bytes == -EAGAIN)
        return;
    prompt->busy = true;
    if (n_bytes <= 0) {
        end(prompt);
    } else {
        editor_feed(prompt->editor, characters, keys_take(&prompt->keys, bytes, (size_t)n_bytes, characters));
        edit(prompt);
    }
    prompt->busy = false;
    if (prompt->closing)
        free_prompt(prompt);
    else
        update(prompt);
}

/* --- the owner's wishes ---------------------------------------------------------------------------------------------
 */

void term_prompt_set_text(struct term_prompt *prompt, const char *text)
{
    struct keys keys = {.pasting = false};
    wchar_t characters[2 * PROMPT_TEXT_MAX + 16];
    size_t n_bytes = strlen(text);

    if (n_bytes > PROMPT_TEXT_MAX) {
        text += n_bytes - PROMPT_TEXT_MAX;
        n_bytes = PROMPT_TEXT_MAX;
        for (; n_bytes > 0 && ((unsigned char)*text & 0xc0) == 0x80; n_bytes--)
            text++;
    }
    size_t n = keys_take(&keys, text, n_bytes, characters);
    if (n > PROMPT_TEXT_MAX)
        n = PROMPT_TEXT_MAX;
    if (n == prompt->n_text && wmemcmp(prompt->text, characters, n) == 0)
        return;
    prompt->n_text = n;
    wmemcpy(prompt->text, characters, n);
    if (!prompt->busy)
        update(prompt);
}

void term_prompt_hide(struct term_prompt *prompt)
{
    prompt->shown = false;
    if (prompt->left)
        return;
    erase(prompt);
    terminal_flush(&prompt->terminal);
}

void term_prompt_show(struct term_prompt *prompt)
{
    prompt->shown = true;
    if (!prompt->drawn && !prompt->busy)
        update(prompt);
}

void term_prompt_resized(struct term_prompt *prompt)
{
    take_size(prompt);
    if (!prompt->left && prompt->drawn && !prompt->busy)
        update(prompt);
}

void term_prompt_leave(struct term_prompt *prompt)
{
    if (prompt->left || prompt->ended)
        return;
    erase(prompt);
    terminal_give_back(&prompt->terminal);
    prompt->left = true;
}

bool term_prompt_enter(struct term_prompt *prompt)
{
    if (prompt->ended)
        return true;
    if (!terminal_take(&prompt->terminal))
        return false;
    terminal_measure(&prompt->terminal);
    prompt->left = false;
    if (!prompt->busy)
        update(prompt);
    return true;
}

void term_prompt_lost(struct term_prompt *prompt)
{
    if (prompt->left || prompt->ended)
        return;
    prompt->drawn = false;
    prompt->terminal.taken = false;
    prompt->left = true;
}

bool term_prompt_is_stuck(const struct term_prompt *prompt)
{
    return terminal_is_stuck(&prompt->terminal);
}

int term_prompt_fd(const struct term_prompt *prompt)
{
    return prompt->terminal.out;
}

void term_prompt_writable(struct term_prompt *prompt)
{
    terminal_flush(&prompt->terminal);
    if (prompt->dirty)
        update(prompt);
}

/* --- its life -------------------------------------------------------------------------------------------------------
 */

/* What is typed and shown is UTF-8, and so the classes and widths of characters have to be known, in whatever locale
 * the user is. */
static locale_t find_locale(void)
{
    if (strcmp(nl_langinfo(CODESET), "UTF-8") == 0)
        return (locale_t)0;
    return newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
}

static int open_editor(struct term_prompt *prompt)
{
    locale_t before = prompt->locale != (locale_t)0 ? uselocale(prompt->locale) : (locale_t)0;
    int error = editor_open(&prompt->terminal.before, prompt->locale, &prompt->editor);

    if (before != (locale_t)0)
        uselocale(before);
    /* So that there is a line to be shown: an empty one. */
    if (error == 0)
        editor_run(prompt->editor);
    return error;
}

int term_prompt_open(int in, int out, const struct term_prompt_handler *handler, void *user,
                     struct term_prompt **ret_prompt)
{
    struct term_prompt *prompt = calloc(1, sizeof(*prompt));

    if (prompt == NULL)
        return -ENOMEM;
    prompt->handler = handler;
    prompt->user = user;
    int error = terminal_open(&prompt->terminal, in, out);
    if (error == 0) {
        prompt->locale = find_locale();
        error = open_editor(prompt);
    }
    if (error != 0) {
        free_prompt(prompt);
        return error;
    }
    prompt->left = !terminal_take(&prompt->terminal);
    *ret_prompt = prompt;
    return 0;
}

void term_prompt_close(struct term_prompt *prompt)
{
    if (prompt == NULL)
        return;
    leave_for_good(prompt);
    if (prompt->busy)
        prompt->closing = true;
    else
        free_prompt(prompt);
}
