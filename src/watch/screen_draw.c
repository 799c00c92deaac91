/* SPDX-License-Identifier: MIT */
#include "term/translate.h"
#include "watch/screen_internal.h"
#include "watch/words.h"

#include <ncurses.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define PANE_FROM_LINES 20
#define ROOMY_FROM_LINES 28

enum { PAIR_NONE, PAIR_TROUBLE, PAIR_HALF, PAIR_OPEN, PAIR_ENDING, PAIR_KERNEL };

/* ---- lines */

void screen_begin_colors(bool color)
{
    if (!color || !has_colors())
        return;
    start_color();
    use_default_colors();
    init_pair(PAIR_TROUBLE, COLOR_RED, -1);
    init_pair(PAIR_HALF, COLOR_YELLOW, -1);
    init_pair(PAIR_OPEN, COLOR_CYAN, -1);
    init_pair(PAIR_ENDING, COLOR_MAGENTA, -1);
    init_pair(PAIR_KERNEL, COLOR_GREEN, -1);
}

static chtype attributes_of(enum style style)
{
    switch (style) {
    case STYLE_DIM:
    case STYLE_LINGER:
        return A_DIM;
    case STYLE_BOLD:
        return A_BOLD;
    case STYLE_TROUBLE:
        return A_BOLD | COLOR_PAIR(PAIR_TROUBLE);
    case STYLE_HALF:
        return COLOR_PAIR(PAIR_HALF);
    case STYLE_OPEN:
        return COLOR_PAIR(PAIR_OPEN);
    case STYLE_ENDING:
        return COLOR_PAIR(PAIR_ENDING);
    case STYLE_KERNEL:
        return COLOR_PAIR(PAIR_KERNEL);
    case STYLE_REVERSE:
        return A_REVERSE;
    default:
        return A_NORMAL;
    }
}

/* Where only ASCII is shown, each other character becomes a question mark. */
static size_t to_ascii(const char *text, size_t n, char *to)
{
    size_t length = 0;
    for (size_t i = 0; i < n; i++) {
        if ((unsigned char)text[i] < 0x80)
            to[length++] = text[i];
        else if ((unsigned char)text[i] >= 0xc0)
            to[length++] = '?';
    }
    return length;
}

void draw_line(int y, const struct line *line, bool reverse, bool ascii)
{
    char plain[LINE_TEXT_MAX];
    chtype base = reverse ? A_REVERSE : A_NORMAL;
    move(y, 0);
    attrset(base);
    for (size_t i = 0; i < line->n_spans; i++) {
        size_t begin = line->spans[i].begin, end = i + 1 < line->n_spans ? line->spans[i + 1].begin : line->n_bytes;
        chtype attributes = attributes_of((enum style)line->spans[i].style);
        attrset(reverse ? base | (attributes & A_BOLD) : attributes);
        if (ascii)
            addnstr(plain, (int)to_ascii(line->text + begin, end - begin, plain));
        else
            addnstr(line->text + begin, (int)(end - begin));
    }
    attrset(base);
    for (int x = line->n_columns; reverse && x < COLS; x++)
        addch(' ');
    attrset(A_NORMAL);
    if (!reverse)
        clrtoeol();
}

/* ---- the title */

static void title_right(const struct screen *screen, bool with_interval, char *ret_text, size_t size_bytes)
{
    char every[WORDS_MAX], missed[WORDS_MAX], clock[16] = "";
    time_t now = time(NULL);
    struct tm tm;
    if (localtime_r(&now, &tm))
        strftime(clock, sizeof clock, "%H:%M:%S", &tm);
    words_span(screen_interval(screen), every);
    words_count(screen->model.n_missed, missed);
    if (!with_interval)
        snprintf(ret_text, size_bytes, "%s%s ", screen->is_paused ? _("paused  ") : "", clock);
    else if (screen->is_paused)
        snprintf(ret_text, size_bytes, _("paused, p goes on    %s "), clock);
    else
        snprintf(ret_text, size_bytes, _("every %s, %s missed    %s "), every, missed, clock);
}

static void draw_title(const struct screen *screen)
{
    struct line line = {.n_bytes = 0};
    char sockets[WORDS_MAX], trouble[WORDS_MAX], middle[128], right[128];
    unsigned width = (unsigned)screen->n_columns;
    words_count(screen->n_places, sockets);
    words_count(screen->n_trouble, trouble);
    bool wide = width >= 72;
    title_right(screen, wide, right, sizeof right);
    if (screen->n_trouble == 0)
        snprintf(middle, sizeof middle, wide ? _("%s sockets, none needs attention") : _("%s sockets"), sockets);
    else if (wide)
        snprintf(middle, sizeof middle, _("%s sockets, %s need attention"), sockets, trouble);
    else
        snprintf(middle, sizeof middle, _("%s of %s need attention"), trouble, sockets);
    if (width >= 56)
        line_put(&line, STYLE_REVERSE, " sonde watch");
    unsigned n_right = columns_of(right, strlen(right)), n_middle = columns_of(middle, strlen(middle));
    unsigned at = line.n_columns + (wide ? 3 : 1);
    if (at < 30 && 30 + n_middle + 2 + n_right <= width)
        at = 30;
    line_to(&line, at);
    line_put(&line, STYLE_REVERSE, middle);
    if (at + n_middle + 1 + n_right <= width) {
        line_to(&line, width - n_right);
        line_put(&line, STYLE_REVERSE, right);
    }
    line_cut(&line, width, NULL);
    draw_line(0, &line, true, screen->view.ascii);
}

/* ---- the keys */

static void draw_keys(const struct screen *screen)
{
    static const struct {
        const char *key, *ascii_key, *what;
        uint8_t importance; /* small ones stay longest */
    } keys[] = {
        {"/", "/", N_("filter"), 1}, {"s", "s", N_("sort"), 4}, {"↵", "enter", N_("detail"), 2},
        {"t", "t", N_("trace"), 7},  {"w", "w", N_("why"), 3},  {"p", "p", N_("pause"), 6},
        {"o", "o", N_("owners"), 8}, {"?", "?", N_("help"), 5}, {"q", "q", N_("quit"), 0},
    };
    struct line line = {.n_bytes = 0};
    int y = screen->n_lines - 1;
    unsigned gap = screen->n_columns >= 92 ? 3 : 2;
    if (screen->message[0] != '\0') {
        line_put(&line, STYLE_BOLD, " ");
        line_put(&line, STYLE_BOLD, screen->message);
        line_cut(&line, (unsigned)screen->n_columns, screen->view.ascii ? "~" : "…");
        draw_line(y, &line, false, screen->view.ascii);
        return;
    }
    for (int least = 8; least >= 0; least--) {
        line_clear(&line);
        for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
            if (keys[i].importance > least)
                continue;
            line_to(&line, line.n_columns + (line.n_columns ? gap : 1));
            line_put(&line, STYLE_BOLD, screen->view.ascii ? keys[i].ascii_key : keys[i].key);
            line_put(&line, STYLE_PLAIN, " ");
            line_put(&line, STYLE_PLAIN, _(keys[i].what));
        }
        if (line.n_columns < (unsigned)screen->n_columns)
            break;
    }
    draw_line(y, &line, false, screen->view.ascii);
}

/* ---- where everything stands */

void screen_room(const struct screen *screen, unsigned *ret_listeners, unsigned *ret_others, unsigned *ret_pane)
{
    int lines = screen->n_lines - 2, roomy = screen->n_lines >= ROOMY_FROM_LINES;
    /* Its separator, the verdict, and the digest; on small screens the verdict alone. */
    int pane = roomy ? 1 + 3 + 1 + DIGEST_LINES : screen->n_lines >= PANE_FROM_LINES ? 1 + 2 + DIGEST_LINES : 2;
    if (screen->n_lines < 9)
        pane = 1;
    if (screen->machine_weight == VERDICT_TROUBLE)
        lines--;
    if (screen->filter_text[0] != '\0' || screen->prompt.is_open)
        lines--;
    lines -= pane;
    int most = lines / 4 > 2 ? lines / 4 : lines >= 6 ? 2 : lines >= 4 ? 1 : 0, listeners = (int)screen->n_listeners;
    if (listeners > most)
        listeners = most;
    if (listeners > 0)
        lines -= 1 + listeners + (screen->n_lines >= 24); /* its head, and an empty line */
    lines--;                                              /* the table's head */
    *ret_listeners = (unsigned)listeners;
    *ret_others = lines > 0 ? (unsigned)lines : 0;
    *ret_pane = (unsigned)pane;
}

static void scroll_to_cursor(struct screen *screen, unsigned n_listeners, unsigned n_others)
{
    size_t n_back = screen->n_places - screen->n_listeners;
    if (screen->cursor < screen->n_listeners) {
        if (screen->cursor < screen->listener_top)
            screen->listener_top = screen->cursor;
        if (n_listeners > 0 && screen->cursor >= screen->listener_top + n_listeners)
            screen->listener_top = screen->cursor - n_listeners + 1;
    } else {
        size_t at = screen->cursor - screen->n_listeners;
        if (at < screen->top)
            screen->top = at;
        if (n_others > 0 && at >= screen->top + n_others)
            screen->top = at - n_others + 1;
    }
    if (screen->top + n_others > n_back)
        screen->top = n_back > n_others ? n_back - n_others : 0;
    if (screen->listener_top + n_listeners > screen->n_listeners)
        screen->listener_top = screen->n_listeners > n_listeners ? screen->n_listeners - n_listeners : 0;
}

/* ---- the tables */

static int draw_listeners(struct screen *screen, int y, unsigned n)
{
    struct line line = {.n_bytes = 0};
    view_listener_head(&screen->layout, screen->view.owners != NULL, &line);
    if (n < screen->n_listeners) {
        char head[64];
        struct line with = {.n_bytes = 0};
        snprintf(head, sizeof head, _("  LISTENER %zu-%zu/%zu"), screen->listener_top + 1, screen->listener_top + n,
                 screen->n_listeners);
        line_put(&with, STYLE_DIM, head);
        if (line.n_bytes > with.n_bytes)
            line_add(&with, STYLE_DIM, line.text + with.n_bytes, line.n_bytes - with.n_bytes);
        line = with;
    }
    draw_line(y++, &line, false, screen->view.ascii);
    for (unsigned i = 0; i < n; i++) {
        size_t index = screen->listener_top + i;
        const struct row *row = screen_row(screen, index);
        bool cursor = index == screen->cursor;
        line_clear(&line);
        layout_note(&screen->layout, &screen->view, row);
        layout_note(&screen->layout_since, &screen->view, row);
        view_listener(&screen->view, &screen->layout, row, model_track(&screen->model, row), cursor, &line);
        draw_line(y++, &line, cursor, screen->view.ascii);
    }
    return y;
}

static enum column sorted_column(int sort)
{
    static const enum column columns[SORT_N] = {
        [SORT_STATE] = COLUMN_STATE, [SORT_RECV] = COLUMN_RECV, [SORT_SEND] = COLUMN_SEND,
        [SORT_LOCAL] = COLUMN_LOCAL, [SORT_PEER] = COLUMN_PEER, [SORT_TIMER] = COLUMN_TIMER,
        [SORT_IN] = COLUMN_IN,       [SORT_OUT] = COLUMN_OUT,   [SORT_RTT] = COLUMN_RTT,
        [SORT_OWNER] = COLUMN_OWNER,
    };
    return sort < 0 ? COLUMN_N : columns[sort];
}

static void draw_others(struct screen *screen, int y, unsigned n)
{
    struct line line = {.n_bytes = 0};
    size_t n_back = screen->n_places - screen->n_listeners;
    view_head(&screen->layout, sorted_column(screen->sort), &line);
    draw_line(y++, &line, false, screen->view.ascii);
    for (unsigned i = 0; i < n; i++) {
        size_t index = screen->n_listeners + screen->top + i;
        bool cursor = index == screen->cursor;
        line_clear(&line);
        if (screen->top + i < n_back) {
            const struct row *row = screen_row(screen, index);
            layout_note(&screen->layout, &screen->view, row); /* for the next time */
            layout_note(&screen->layout_since, &screen->view, row);
            view_row(&screen->view, &screen->layout, row, model_track(&screen->model, row), cursor, &line);
        } else if (n_back == 0 && i == 0) {
            line_put(&line, STYLE_DIM, screen->filter ? _("  no socket matches the filter") : _("  no connections"));
        }
        draw_line(y++, &line, cursor && screen->top + i < n_back, screen->view.ascii);
    }
}

static int draw_head(struct screen *screen)
{
    struct line line = {.n_bytes = 0};
    int y = 1;
    draw_title(screen);
    if (screen->filter_text[0] != '\0' || screen->prompt.is_open) {
        line_put(&line, STYLE_DIM, _("  filter "));
        line_put(&line, STYLE_PLAIN, screen->filter_text);
        if (screen->filter_text[0] == '\0')
            line_put(&line, STYLE_DIM, _("none: all sockets are shown"));
        line_cut(&line, (unsigned)screen->n_columns, screen->view.ascii ? "~" : "…");
        draw_line(y++, &line, false, screen->view.ascii);
        line_clear(&line);
    }
    if (screen->machine_weight == VERDICT_TROUBLE) {
        line_put(&line, STYLE_TROUBLE, "! ");
        line_put(&line, STYLE_PLAIN, screen->machine);
        line_cut(&line, (unsigned)screen->n_columns, screen->view.ascii ? "~" : "…");
        draw_line(y++, &line, false, screen->view.ascii);
    }
    return y;
}

void screen_draw(struct screen *screen)
{
    unsigned n_listeners, n_others, n_pane;
    static const struct line empty;
    screen_room(screen, &n_listeners, &n_others, &n_pane);
    scroll_to_cursor(screen, n_listeners, n_others);
    layout_fit(&screen->layout, (unsigned)screen->n_columns, true, screen->view.owners != NULL,
               screen->n_columns >= 130, screen->all_agree, screen->queues_empty);
    curs_set(screen->prompt.is_open);
    int y = draw_head(screen);
    if (screen->page != PAGE_NONE) {
        draw_page(screen, y, (unsigned)(screen->n_lines - 1 - y));
    } else {
        if (n_listeners > 0) {
            y = draw_listeners(screen, y, n_listeners);
            if (screen->n_lines >= 24)
                draw_line(y++, &empty, false, false);
        }
        draw_others(screen, y, n_others);
        draw_pane(screen, screen->n_lines - 1 - (int)n_pane, n_pane);
    }
    if (screen->prompt.is_open)
        draw_prompt(screen);
    else
        draw_keys(screen);
    refresh();
}
