/* SPDX-License-Identifier: MIT */
/* Which columns there is room for, and the rows laid out in them. */
#include "term/translate.h"
#include "watch/view.h"
#include "watch/words.h"

#include <stdio.h>
#include <string.h>

#define ADDRESS_MOST 47 /* [xxxx:...]:65535 */
#define PEER_LEAST 8
#define OWNER_LEAST 6
#define MARKS 2

static const char *const titles[COLUMN_N] = {
    [COLUMN_STATE] = "STATE", [COLUMN_RECV] = "RECV-Q", [COLUMN_SEND] = "SEND-Q",     [COLUMN_LOCAL] = "LOCAL",
    [COLUMN_PEER] = "PEER",   [COLUMN_TIMER] = "TIMER", [COLUMN_IN] = "IN/s",         [COLUMN_OUT] = "OUT/s",
    [COLUMN_RTT] = "RTT",     [COLUMN_OWNER] = "OWNER", [COLUMN_VERDICT] = "VERDICT",
};

/* Cells between a column and the one before it, and whether it is aligned to the right. */
static const struct {
    uint8_t gap;
    bool right;
} shapes[COLUMN_N] = {
    [COLUMN_STATE] = {0, false}, [COLUMN_RECV] = {1, true},     [COLUMN_SEND] = {1, true},
    [COLUMN_LOCAL] = {2, false}, [COLUMN_PEER] = {1, false},    [COLUMN_TIMER] = {2, false},
    [COLUMN_IN] = {1, true},     [COLUMN_OUT] = {1, true},      [COLUMN_RTT] = {1, true},
    [COLUMN_OWNER] = {2, false}, [COLUMN_VERDICT] = {2, false},
};

void layout_init(struct layout *layout)
{
    *layout = (struct layout){.listener_width = 16, .short_owner_width = 6};
    layout->width[COLUMN_STATE] = 11;
    layout->width[COLUMN_RECV] = layout->width[COLUMN_SEND] = 6;
    layout->width[COLUMN_LOCAL] = 14;
    layout->width[COLUMN_PEER] = 15;
    layout->width[COLUMN_TIMER] = 13;
    layout->width[COLUMN_IN] = layout->width[COLUMN_OUT] = 5;
    layout->width[COLUMN_RTT] = 7;
    layout->width[COLUMN_OWNER] = 8;
    layout->width[COLUMN_VERDICT] = 28;
}

static void widen(unsigned *width, unsigned wanted, unsigned most)
{
    if (wanted > most)
        wanted = most;
    if (wanted > *width)
        *width = wanted;
}

void layout_note(struct layout *layout, const struct view *view, const struct row *row)
{
    char cell[CELL_MAX];
    size_t n = cell_local(row, true, cell);
    if (row_is_listener(row)) {
        widen(&layout->listener_width, columns_of(cell, n), ADDRESS_MOST);
        return;
    }
    widen(&layout->width[COLUMN_LOCAL], columns_of(cell, n), ADDRESS_MOST);
    n = cell_peer(row, cell);
    widen(&layout->width[COLUMN_PEER], columns_of(cell, n), ADDRESS_MOST);
    if (view->owners) {
        n = cell_owner(view, row, true, cell);
        widen(&layout->width[COLUMN_OWNER], columns_of(cell, n), 24);
        n = cell_owner(view, row, false, cell);
        widen(&layout->short_owner_width, columns_of(cell, n), 16);
    }
}

void layout_shrink(struct layout *layout, struct layout *since)
{
    memcpy(layout->width, since->width, sizeof layout->width);
    layout->short_owner_width = since->short_owner_width;
    layout->listener_width = since->listener_width;
    layout_init(since);
}

bool view_same_ip(const struct sonde_address *a, const struct sonde_address *b)
{
    return a->family == b->family && memcmp(a->u.ip, b->u.ip, sizeof a->u.ip) == 0;
}

static unsigned width_of(const struct layout *layout, enum column column)
{
    if (column == COLUMN_LOCAL && !layout->local_ip)
        return 6;
    if (column == COLUMN_TIMER && !layout->timer_word)
        return 5;
    if (column == COLUMN_OWNER && !layout->owner_pid)
        return layout->short_owner_width - layout->owner_cut;
    return layout->width[column];
}

static unsigned total(const struct layout *layout)
{
    unsigned sum = MARKS;
    for (int column = 0; column < COLUMN_N; column++) {
        if (layout->shown[column])
            sum += shapes[column].gap + width_of(layout, (enum column)column);
    }
    return sum;
}

/* A program's name may be cut before its column goes. */
static void cut_owner(struct layout *layout)
{
    unsigned over = total(layout) - layout->n_columns;
    if (layout->shown[COLUMN_OWNER] && layout->short_owner_width >= over + OWNER_LEAST)
        layout->owner_cut = over;
    else
        layout->shown[COLUMN_OWNER] = false;
}

static void fit_listeners(struct layout *layout)
{
    unsigned rest = 2 + 2 + 11 + 5 + 18, owner = layout->n_columns >= 72 ? 14 : 0;
    layout->bar_width = layout->n_columns >= 100 ? 16 : layout->n_columns >= 80 ? 8 : 0;
    while (layout->bar_width > 0 && layout->listener_width + layout->bar_width + 1 + rest + owner > layout->n_columns)
        layout->bar_width -= layout->bar_width > 4 ? 4 : layout->bar_width;
    unsigned most = layout->n_columns > rest + 10 ? layout->n_columns - rest : 10;
    if (layout->n_columns < 60)
        most = layout->n_columns > 38 ? layout->n_columns - 22 : 16; /* half-open and drops are cut off */
    layout->listener_shown = layout->listener_width < most ? layout->listener_width : most;
}

void layout_fit(struct layout *layout, unsigned n_columns, bool wants_rates, bool wants_owner, bool wants_verdict,
                bool all_local_agree, bool queues_empty)
{
    layout->n_columns = n_columns;
    layout->owner_cut = 0;
    for (int column = 0; column < COLUMN_N; column++)
        layout->shown[column] = true;
    layout->shown[COLUMN_IN] = layout->shown[COLUMN_OUT] = layout->shown[COLUMN_RTT] = wants_rates;
    layout->shown[COLUMN_OWNER] = wants_owner;
    layout->shown[COLUMN_VERDICT] = wants_verdict;
    layout->owner_pid = layout->local_ip = layout->timer_word = true;
    for (int step = 0; total(layout) > n_columns && step < 10; step++) {
        switch (step) {
        case 0:
            layout->shown[COLUMN_VERDICT] = false;
            break;
        case 1:
            layout->shown[COLUMN_RTT] = false;
            break;
        case 2:
            layout->shown[COLUMN_IN] = layout->shown[COLUMN_OUT] = false;
            break;
        case 3:
            layout->owner_pid = false;
            break;
        case 4:
            layout->local_ip = !all_local_agree;
            break;
        case 5:
            layout->timer_word = false;
            break;
        case 6:
            layout->shown[COLUMN_RECV] = layout->shown[COLUMN_SEND] = !queues_empty;
            break;
        case 7:
            cut_owner(layout);
            break;
        case 8:
            layout->shown[COLUMN_LOCAL] = false;
            break;
        default:
            layout->shown[COLUMN_TIMER] = false;
            break;
        }
    }
    unsigned over = total(layout) > n_columns ? total(layout) - n_columns : 0;
    unsigned peer = layout->width[COLUMN_PEER];
    layout->peer_width = peer > over + PEER_LEAST ? peer - over : peer < PEER_LEAST ? peer : PEER_LEAST;
    fit_listeners(layout);
}

static unsigned shown_width(const struct layout *layout, enum column column)
{
    return column == COLUMN_PEER ? layout->peer_width : width_of(layout, column);
}

void view_head(const struct layout *layout, enum column sorted, struct line *line)
{
    unsigned at = MARKS;
    for (int column = 0; column < COLUMN_N; column++) {
        if (!layout->shown[column])
            continue;
        const char *title = titles[column];
        unsigned width = shown_width(layout, (enum column)column), n = (unsigned)strlen(title);
        at += shapes[column].gap;
        line_to(line, shapes[column].right && width > n ? at + width - n : at);
        line_put(line, column == (int)sorted ? STYLE_BOLD : STYLE_DIM, title);
        at += width;
    }
    line_cut(line, layout->n_columns, NULL);
}

static size_t queue_cell(const struct row *row, uint32_t queue, char *ret_text)
{
    if (row->state == TCP_STATE_TIME_WAIT) {
        ret_text[0] = '0';
        return 1;
    }
    return queue < 100000 ? words_count(queue, ret_text) : words_narrow(queue, ret_text);
}

static size_t cell(const struct view *view, const struct layout *layout, const struct row *row,
                   const struct track *track, enum column column, char text[CELL_MAX], enum style *style)
{
    switch (column) {
    case COLUMN_STATE:
        return cell_state(row, text, style);
    case COLUMN_RECV:
        *style = row->receive_queue > 0 && row->weight == VERDICT_TROUBLE ? STYLE_BOLD : STYLE_PLAIN;
        return queue_cell(row, row->receive_queue, text);
    case COLUMN_SEND:
        *style = row->send_queue > 0 && row->weight == VERDICT_TROUBLE ? STYLE_BOLD : STYLE_PLAIN;
        return queue_cell(row, row->send_queue, text);
    case COLUMN_LOCAL:
        return cell_local(row, layout->local_ip, text);
    case COLUMN_PEER:
        return cell_peer(row, text);
    case COLUMN_TIMER:
        *style = row->n_retransmits > 0 && row->timer != TIMER_KEEPALIVE ? STYLE_KERNEL : STYLE_DIM;
        return cell_timer(view, row, layout->timer_word, false, text);
    case COLUMN_IN:
        return track && track->rates_known ? words_narrow(track->in_per_s, text) : 0;
    case COLUMN_OUT:
        return track && track->rates_known ? words_narrow(track->out_per_s, text) : 0;
    case COLUMN_RTT:
        return row->rtt_us > 0 ? words_span(row->rtt_us * NS_PER_US, text) : 0;
    case COLUMN_OWNER:
        return cell_owner(view, row, layout->owner_pid, text);
    case COLUMN_VERDICT:
        *style = row->weight == VERDICT_TROUBLE ? STYLE_TROUBLE : STYLE_PLAIN;
        return row->verdict_short ? (size_t)snprintf(text, CELL_MAX, "%s", row->verdict_short) : 0;
    default:
        return 0;
    }
}

/* Bytes at the end of a cell that a cut must leave: an address's port, an owner's pid. */
static size_t n_kept(enum column column, const char *text, size_t n)
{
    if (column == COLUMN_LOCAL || column == COLUMN_PEER)
        return n;
    const char *bracket = column == COLUMN_OWNER ? memrchr(text, '[', n) : NULL;
    return bracket ? (size_t)(text + n - bracket) : 0;
}

/* Cut to `width` columns by a mark that stands before as much of the last n_end bytes as there is room for. */
static size_t cut_cell(char text[CELL_MAX], size_t n, unsigned width, size_t n_end, const char *mark)
{
    char end[CELL_MAX];
    size_t n_mark = strlen(mark), from = n - n_end;
    if (width == 0)
        return 0;
    while (from < n && columns_of(text + from, n - from) > width - 1)
        from += columns_fit(text + from, n - from, 1) ? columns_fit(text + from, n - from, 1) : 1;
    n_end = n - from;
    memcpy(end, text + from, n_end);
    size_t n_begin = n_end < n ? columns_fit(text, n - n_end, width - 1 - columns_of(end, n_end)) : 0;
    memcpy(text + n_begin, mark, n_mark);
    memcpy(text + n_begin + n_mark, end, n_end);
    return n_begin + n_mark + n_end;
}

void view_row(const struct view *view, const struct layout *layout, const struct row *row, const struct track *track,
              bool cursor, struct line *line)
{
    bool trouble = row->weight == VERDICT_TROUBLE, gone = track && track->gone_ns != 0;
    unsigned at = MARKS;
    line_put(line, trouble ? STYLE_TROUBLE : STYLE_PLAIN, trouble ? "!" : " ");
    line_put(line, STYLE_BOLD, cursor ? (view->ascii ? ">" : "▸") : " ");
    for (int column = 0; column < COLUMN_N; column++) {
        if (!layout->shown[column])
            continue;
        char text[CELL_MAX];
        enum style style = STYLE_PLAIN;
        size_t n = cell(view, layout, row, track, (enum column)column, text, &style);
        unsigned width = shown_width(layout, (enum column)column), columns = columns_of(text, n);
        at += shapes[column].gap;
        if (columns > width) {
            n = cut_cell(text, n, width, n_kept((enum column)column, text, n), view->ascii ? "~" : "…");
            columns = columns_of(text, n);
        }
        line_to(line, shapes[column].right && width > columns ? at + width - columns : at);
        line_add(line, gone ? STYLE_DIM : cursor && style == STYLE_PLAIN ? STYLE_BOLD : style, text, n);
        at += width;
    }
    line_cut(line, layout->n_columns, view->ascii ? "~" : "…");
}
