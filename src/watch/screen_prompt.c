/* SPDX-License-Identifier: MIT */
/* The line on which a filter is typed. It works with each key; one that is not understood yet changes nothing. */
#include "term/translate.h"
#include "watch/screen_internal.h"

#include <limits.h>
#include <ncurses.h>
#include <stdio.h>
#include <string.h>
#include <wchar.h>
#include <wctype.h>

#define CTRL(letter) ((letter)&0x1f)
#define ESCAPE 27

static bool use(struct screen *screen, const char *text)
{
    struct sockets_filter *filter = NULL;
    screen->prompt.why[0] = '\0';
    if (text[strspn(text, " ")] != '\0' && filter_parse(text, &filter, screen->prompt.why) != 0) {
        if (screen->prompt.why[0] == '\0')
            snprintf(screen->prompt.why, sizeof screen->prompt.why, "%s", _("it is too long"));
        return false;
    }
    filter_free(screen->filter);
    screen->filter = filter;
    snprintf(screen->filter_text, sizeof screen->filter_text, "%s", filter ? text : "");
    if (filter && filter_needs_owner(filter))
        source_refresh_owners_now_and_then(&screen->source);
    screen_forget_widths(screen);
    screen->needs_order = true;
    screen_order(screen);
    return true;
}

void prompt_open(struct screen *screen)
{
    struct prompt *prompt = &screen->prompt;
    prompt->is_open = true;
    prompt->why[0] = '\0';
    memcpy(prompt->text, screen->filter_text, sizeof prompt->text);
    memcpy(prompt->before, screen->filter_text, sizeof prompt->before);
    prompt->n_bytes = prompt->at = strlen(prompt->text);
    screen->page = PAGE_NONE;
}

static bool is_middle(const struct prompt *prompt, size_t at)
{
    return ((unsigned char)prompt->text[at] & 0xc0) == 0x80;
}

static size_t left_of(const struct prompt *prompt, size_t at)
{
    if (at > 0)
        at--;
    while (at > 0 && is_middle(prompt, at))
        at--;
    return at;
}

static size_t right_of(const struct prompt *prompt, size_t at)
{
    if (at < prompt->n_bytes)
        at++;
    while (at < prompt->n_bytes && is_middle(prompt, at))
        at++;
    return at;
}

static void cut_out(struct prompt *prompt, size_t from, size_t to)
{
    memmove(prompt->text + from, prompt->text + to, prompt->n_bytes - to + 1);
    prompt->n_bytes -= to - from;
    prompt->at = from;
}

static void insert(struct prompt *prompt, wchar_t character)
{
    char bytes[MB_LEN_MAX];
    mbstate_t state = {0};
    size_t n = wcrtomb(bytes, character, &state);
    if (n == (size_t)-1 || prompt->n_bytes + n >= sizeof prompt->text)
        return;
    memmove(prompt->text + prompt->at + n, prompt->text + prompt->at, prompt->n_bytes - prompt->at + 1);
    memcpy(prompt->text + prompt->at, bytes, n);
    prompt->n_bytes += n;
    prompt->at += n;
}

static void erase_word(struct prompt *prompt)
{
    size_t from = prompt->at;
    while (from > 0 && prompt->text[from - 1] == ' ')
        from--;
    while (from > 0 && prompt->text[from - 1] != ' ')
        from--;
    cut_out(prompt, from, prompt->at);
}

/* True: the text has changed. */
static bool edit(struct prompt *prompt, bool is_code, unsigned key)
{
    size_t n_before = prompt->n_bytes;
    if (is_code) {
        if (key == KEY_LEFT)
            prompt->at = left_of(prompt, prompt->at);
        else if (key == KEY_RIGHT)
            prompt->at = right_of(prompt, prompt->at);
        else if (key == KEY_HOME)
            prompt->at = 0;
        else if (key == KEY_END)
            prompt->at = prompt->n_bytes;
        else if (key == KEY_BACKSPACE)
            cut_out(prompt, left_of(prompt, prompt->at), prompt->at);
        else if (key == KEY_DC)
            cut_out(prompt, prompt->at, right_of(prompt, prompt->at));
    } else if (key == CTRL('h') || key == 0x7f) {
        cut_out(prompt, left_of(prompt, prompt->at), prompt->at);
    } else if (key == CTRL('u')) {
        cut_out(prompt, 0, prompt->at);
    } else if (key == CTRL('w')) {
        erase_word(prompt);
    } else if (key == CTRL('a')) {
        prompt->at = 0;
    } else if (key == CTRL('e')) {
        prompt->at = prompt->n_bytes;
    } else if (iswprint((wint_t)key)) {
        insert(prompt, (wchar_t)key);
    }
    return prompt->n_bytes != n_before;
}

void prompt_key(struct screen *screen, bool is_code, unsigned key)
{
    struct prompt *prompt = &screen->prompt;
    bool enter = is_code ? key == KEY_ENTER : key == '\n' || key == '\r';
    if (enter) {
        prompt->is_open = prompt->why[0] != '\0'; /* an error keeps its text */
        return;
    }
    if (!is_code && (key == ESCAPE || key == CTRL('c') || key == CTRL('g'))) {
        prompt->is_open = false;
        use(screen, prompt->before);
        return;
    }
    if (edit(prompt, is_code, key))
        use(screen, prompt->text);
}

void draw_prompt(struct screen *screen)
{
    const struct prompt *prompt = &screen->prompt;
    struct line line = {.n_bytes = 0};
    int y = screen->n_lines - 1;
    unsigned width = (unsigned)screen->n_columns, at = columns_of(prompt->text, prompt->at);
    size_t from = 0;
    while (columns_of(prompt->text + from, prompt->at - from) + 12 > width && from < prompt->at)
        from = right_of(prompt, from); /* what is left of the cursor moves out */
    at = columns_of(prompt->text + from, prompt->at - from);
    if (prompt->why[0] != '\0' && y > 0) {
        line_put(&line, STYLE_TROUBLE, " ! ");
        line_put(&line, STYLE_PLAIN, prompt->why);
        line_cut(&line, width, screen->view.ascii ? "~" : "…");
        draw_line(y - 1, &line, false, screen->view.ascii);
        line_clear(&line);
    }
    line_put(&line, STYLE_BOLD, " / ");
    line_put(&line, STYLE_PLAIN, prompt->text + from);
    line_cut(&line, width - 1, NULL);
    draw_line(y, &line, false, false);
    move(y, 3 + (int)at);
}
