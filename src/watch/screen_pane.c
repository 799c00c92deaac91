/* SPDX-License-Identifier: MIT */
/* The pane beneath the table, and the pages that take the table's place. */
#include "term/translate.h"
#include "watch/screen_internal.h"
#include "watch/words.h"
#include "watch/wrap.h"

#include <ncurses.h>
#include <stdio.h>
#include <string.h>

/* ---- the pane */

static void draw_separator(const struct screen *screen, int y)
{
    struct line line = {.n_bytes = 0};
    for (int x = 0; x < screen->n_columns; x++)
        line_put(&line, STYLE_DIM, screen->view.ascii ? "-" : "─");
    draw_line(y, &line, false, false);
}

static void put_well(const struct screen *screen, char *text, size_t size_bytes)
{
    const struct row *row = screen_row(screen, screen->cursor);
    if (!screen->has_chosen)
        snprintf(text, size_bytes, "%s", _("No socket is chosen."));
    else if (model_track(&screen->model, row)->gone_ns != 0)
        snprintf(text, size_bytes, "%s", _("It is closed."));
    else
        snprintf(text, size_bytes, "%s", _("Nothing is wrong with it, as far as can be seen."));
}

/* The verdict in at most n lines; the last one ends with a mark when there is more ("w" shows it all). */
static int draw_verdict(const struct screen *screen, int y, unsigned n)
{
    char well[VERDICT_TEXT_MAX];
    const char *rest = screen->judgement.text;
    enum verdict_weight weight = screen->has_chosen ? screen->judgement.weight : VERDICT_NONE;
    unsigned width = (unsigned)screen->n_columns;
    if (weight == VERDICT_NONE || rest[0] == '\0') {
        put_well(screen, well, sizeof well);
        rest = well;
    }
    for (unsigned i = 0; i < n; i++) {
        struct line line = {.n_bytes = 0};
        const char *text = rest;
        size_t length = *rest ? wrap_line(rest, width - 3, &rest) : 0;
        if (i == 0)
            line_put(&line, weight == VERDICT_TROUBLE ? STYLE_TROUBLE : STYLE_DIM,
                     weight == VERDICT_TROUBLE ? "! "
                     : weight == VERDICT_NOTE  ? "i "
                                               : "= ");
        else
            line_put(&line, STYLE_PLAIN, "  ");
        line_add(&line, weight == VERDICT_NONE ? STYLE_DIM : STYLE_PLAIN, text, length);
        if (i + 1 == n && *rest)
            line_put(&line, STYLE_DIM, screen->view.ascii ? "~" : "…");
        draw_line(y++, &line, false, screen->view.ascii);
    }
    return y;
}

void draw_pane(struct screen *screen, int y, unsigned n_lines)
{
    struct line digest[DIGEST_LINES];
    static const struct line empty;
    int end = y + (int)n_lines;
    const struct row *row = screen_row(screen, screen->cursor);
    if (n_lines <= 2) {
        draw_verdict(screen, y, n_lines);
        return;
    }
    draw_separator(screen, y++);
    unsigned n =
        row ? detail_digest(&screen->chosen, &model_track(&screen->model, row)->past, &screen->source.judge.counters,
                            screen->view.now_ns, (unsigned)screen->n_columns, digest)
            : 0;
    unsigned gap = n_lines > 1 + 2 + DIGEST_LINES;
    y = draw_verdict(screen, y, n_lines - 1 - gap - n);
    if (gap)
        draw_line(y++, &empty, false, false);
    for (unsigned i = 0; i < n && y < end; i++)
        draw_line(y++, &digest[i], false, screen->view.ascii);
    while (y < end)
        draw_line(y++, &empty, false, false);
}

/* ---- pages */

void name_chosen(const struct screen *screen, struct line *line)
{
    const struct row *row = screen_row(screen, screen->cursor);
    char cell[CELL_MAX];
    enum style style;
    if (!row)
        return;
    size_t n = cell_state(row, cell, &style);
    line_add(line, style, cell, n);
    line_put(line, STYLE_PLAIN, "  ");
    line_add(line, STYLE_BOLD, cell, cell_local(row, true, cell));
    if (!row_is_listener(row)) {
        line_put(line, STYLE_PLAIN,
                 row->direction == DIRECTION_IN    ? " <- "
                 : row->direction == DIRECTION_OUT ? " -> "
                                                   : " -- ");
        line_add(line, STYLE_BOLD, cell, cell_peer(row, cell));
    }
    n = screen->source.owners ? cell_owner(&screen->view, row, true, cell) : 0;
    line_put(line, STYLE_PLAIN, n ? "  " : "");
    line_add(line, STYLE_PLAIN, cell, n);
}

static const char help[] = N_(
    "Each line is a socket of this machine. What is in trouble stands first, with a ! in front of it; why is said "
    "beneath the table for the socket under the cursor.\n\n"
    "  /             filter: 7007, state established, dst 10.0.0.0/8, unread>0, process:nginx, and or not ( )\n"
    "  s  S          sort by the next column, the one before\n"
    "  Enter         everything the kernel says of the socket, with units\n"
    "  w             why: the whole of the verdict\n"
    "  t             the command that shows its segments\n"
    "  p  Space      pause, and go on\n"
    "  o             show the owners or not; finding them takes a search through /proc\n"
    "  arrows j k    move the cursor; PgUp PgDn Home End too\n"
    "  q  Esc        back, or quit\n\n"
    "RECV-Q: bytes received that the program has not read. SEND-Q: bytes that the peer has not acknowledged. "
    "ACCEPT QUEUE: connections that are open but not accepted; it is full with one more than its limit. HALF-OPEN: "
    "connections whose handshake is not finished. DROPPED: connection attempts thrown away, +n since this began to "
    "look.\n\n"
    "TIMER: rto waits for an acknowledgement, again n for that of the n-th repeat; probe n asks a closed window; "
    "syn and synack open; alive is a keepalive; a bar is TIME_WAIT running out.\n\n"
    "The sockets are looked at again and again. \"missed\" counts those that came and went between two looks. A ? is "
    "what the system does not let this user see.");

static void build_page(struct screen *screen, struct text *page)
{
    unsigned width = (unsigned)screen->n_columns;
    char well[VERDICT_TEXT_MAX];
    if (screen->page == PAGE_HELP) {
        for (const char *text = _(help); *text;) {
            char paragraph[2048];
            size_t n = strcspn(text, "\n");
            snprintf(paragraph, sizeof paragraph, "%.*s", (int)n, text);
            if (n == 0)
                page_line(page, STYLE_PLAIN, "%s", "");
            else if (paragraph[0] == ' ')
                page_line(page, STYLE_PLAIN, "%s", paragraph);
            else
                page_paragraph(page, STYLE_PLAIN, paragraph, width - 2);
            text += n + (text[n] == '\n');
        }
        return;
    }
    if (screen->judgement.verdict && screen->has_chosen) {
        page_paragraph(page, screen->judgement.weight == VERDICT_TROUBLE ? STYLE_BOLD : STYLE_PLAIN,
                       screen->judgement.text, width - 2);
    } else {
        put_well(screen, well, sizeof well);
        page_paragraph(page, STYLE_PLAIN, well, width - 2);
    }
    page_line(page, STYLE_PLAIN, "%s", "");
    if (screen->machine_weight != VERDICT_NONE) {
        page_paragraph(page, STYLE_PLAIN, screen->machine, width - 2);
        page_line(page, STYLE_PLAIN, "%s", "");
    }
    if (screen->page == PAGE_DETAIL && screen->has_chosen)
        detail_page(&screen->chosen, width, page);
}

void draw_page(struct screen *screen, int y, unsigned n_lines)
{
    struct text page = {.bytes = NULL};
    struct line line = {.n_bytes = 0};
    size_t n = 0, total = 0;
    if (n_lines == 0)
        return;
    build_page(screen, &page);
    for (size_t i = 0; i < page.n_bytes; i++)
        total += page.bytes[i] == '\n';
    if (screen->page_top + (n_lines - 1) > total)
        screen->page_top = total > n_lines - 1 ? total - (n_lines - 1) : 0;
    line_put(&line, STYLE_PLAIN, " ");
    if (screen->page == PAGE_HELP)
        line_put(&line, STYLE_BOLD, _("sonde watch: keys and columns"));
    else
        name_chosen(screen, &line);
    if (total > n_lines - 1)
        line_format(&line, STYLE_DIM, _("   %zu-%zu of %zu, arrows move"), screen->page_top + 1,
                    screen->page_top + n_lines - 1, total);
    line_cut(&line, (unsigned)screen->n_columns, NULL);
    draw_line(y, &line, false, screen->view.ascii);
    const char *text = page.bytes, *end = page.bytes + page.n_bytes;
    for (int row = 1; row < (int)n_lines; n++) {
        const char *stop = text && text < end ? memchr(text, '\n', (size_t)(end - text)) : NULL;
        line_clear(&line);
        if (stop && n < screen->page_top) {
            text = stop + 1;
            continue;
        }
        if (stop) {
            line_put(&line, STYLE_PLAIN, " ");
            line_add(&line, (enum style)(text[0] - '0'), text + 1, (size_t)(stop - text) - 1);
            line_cut(&line, (unsigned)screen->n_columns, screen->view.ascii ? "~" : "…");
            text = stop + 1;
        }
        draw_line(y + row++, &line, false, screen->view.ascii);
    }
    text_free(&page);
}
