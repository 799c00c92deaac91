/* SPDX-License-Identifier: MIT */
/* What stands in each cell of a row. */
#include "term/escape.h"
#include "term/translate.h"
#include "watch/view.h"
#include "watch/words.h"

#include <inttypes.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#define TIME_WAIT_NS (60 * NS_PER_S)
#define TIME_WAIT_BAR 8
#define TIMER_WORD 9
#define TIMER_LEFT 4

static const enum style state_styles[] = {
    [TCP_CLASS_NONE] = STYLE_PLAIN,    [TCP_CLASS_HALF] = STYLE_HALF,     [TCP_CLASS_OPEN] = STYLE_OPEN,
    [TCP_CLASS_ENDING] = STYLE_ENDING, [TCP_CLASS_LINGER] = STYLE_LINGER,
};

static size_t put_string(char *to, const char *string)
{
    size_t n = strlen(string);
    memcpy(to, string, n);
    return n;
}

/* UDP and UNIX sockets have no states of their own; what they are is worth more in this column. */
size_t cell_state(const struct row *row, char ret_text[CELL_MAX], enum style *ret_style)
{
    *ret_style = state_styles[tcp_state_class(row->state)];
    if (row->protocol == IPPROTO_UDP)
        return put_string(ret_text, row->peer.port ? "UDP peer" : "UDP");
    if (row->family == AF_UNIX && row->state != TCP_STATE_LISTEN)
        return put_string(ret_text, row->type == SOCK_DGRAM       ? "unix dgram"
                                    : row->type == SOCK_SEQPACKET ? "unix seqpkt"
                                                                  : "unix stream");
    return put_string(ret_text, tcp_state_name(row->state));
}

static size_t unix_local(const struct row *row, char *ret_text)
{
    size_t n = put_string(ret_text, "unix:");
    if (row->n_unix_name == 0)
        return n + (size_t)snprintf(ret_text + n, CELL_MAX - n, "[%" PRIu64 "]", row->inode);
    size_t skip = row->unix_name[0] == '\0' ? 1 : 0;
    if (skip)
        ret_text[n++] = '@';
    size_t n_name = row->n_unix_name - skip;
    while (!skip && n_name > 0 && row->unix_name[n_name - 1] == '\0')
        n_name--; /* a path may come with its NUL */
    return n + escape_short(row->unix_name + skip, n_name, ret_text + n, CELL_MAX - n);
}

size_t cell_local(const struct row *row, bool with_ip, char ret_text[CELL_MAX])
{
    if (row->family == AF_UNIX)
        return unix_local(row, ret_text);
    if (with_ip)
        return put_address(ret_text, &row->local);
    ret_text[0] = ':';
    return 1 + put_number(ret_text + 1, row->local.port);
}

size_t cell_peer(const struct row *row, char ret_text[CELL_MAX])
{
    if (row->family != AF_UNIX)
        return row->peer.port ? put_address(ret_text, &row->peer) : put_string(ret_text, "*");
    if (row->peer_inode == 0)
        return put_string(ret_text, "*");
    return (size_t)snprintf(ret_text, CELL_MAX, "unix:[%" PRIu64 "]", row->peer_inode);
}

/* What the timer is waiting for, as one would say it; the number is how often it has expired in vain. */
static size_t timer_word(const struct row *row, char *to)
{
    const char *word = "";
    switch ((enum socket_timer)row->timer) {
    case TIMER_RETRANSMIT:
        word = row->state == TCP_STATE_SYN_SENT   ? "syn"
               : row->state == TCP_STATE_SYN_RECV ? "synack"
               : row->n_retransmits > 0           ? "again"
                                                  : "rto";
        break;
    case TIMER_KEEPALIVE:
        word = "alive";
        break;
    case TIMER_PROBE:
        word = "probe";
        break;
    case TIMER_TIME_WAIT:
        word = "ends";
        break;
    case TIMER_NONE:
        return put_string(to, row->state == TCP_STATE_FIN_WAIT_2 ? "none (open)" : "");
    }
    size_t n = put_string(to, word);
    if (row->n_retransmits > 0) {
        to[n++] = ' ';
        n += put_number(to + n, row->n_retransmits);
    }
    return n;
}

static size_t bar(bool ascii, int64_t part, int64_t whole, unsigned n_cells, char *to)
{
    static const char *const eighths[] = {"·", "▏", "▎", "▍", "▌", "▋", "▊", "▉", "█"};
    int64_t filled = whole > 0 ? part * n_cells * 8 / whole : 0;
    size_t n = 0;
    for (unsigned i = 0; i < n_cells; i++) {
        int64_t here = filled - 8 * (int64_t)i;
        if (ascii)
            n += put_string(to + n, here >= 4 ? "#" : ".");
        else
            n += put_string(to + n, eighths[here < 0 ? 0 : here > 8 ? 8 : here]);
    }
    return n;
}

/* UDP has no timers; what was thrown away has its place there. */
static size_t cell_drops(const struct row *row, char ret_text[CELL_MAX])
{
    char count[WORDS_MAX];
    if (!row->has_drops || row->drops == 0)
        return 0;
    size_t n = words_narrow(row->drops, count);
    return (size_t)snprintf(ret_text, CELL_MAX, _("%.*s dropped"), (int)n, count);
}

size_t cell_timer(const struct view *view, const struct row *row, bool with_word, bool plain, char ret_text[CELL_MAX])
{
    if (row->protocol == IPPROTO_UDP)
        return with_word ? cell_drops(row, ret_text) : 0;
    int64_t left_ns = row->timer_ns - (view->now_ns - view->seen_ns);
    char left[WORDS_MAX], word[CELL_MAX];
    if (left_ns < 0)
        left_ns = 0;
    size_t n_left = row->timer == TIMER_NONE ? 0 : words_left(left_ns, left);
    if (!with_word) {
        memcpy(ret_text, left, n_left);
        return n_left;
    }
    size_t n_word = timer_word(row, word), columns = n_word;
    if (row->timer == TIMER_TIME_WAIT && !plain) {
        n_word = bar(view->ascii, left_ns, TIME_WAIT_NS, TIME_WAIT_BAR, word);
        columns = TIME_WAIT_BAR;
    }
    memcpy(ret_text, word, n_word);
    size_t n = n_word;
    for (size_t at = columns; !plain && n_left > 0 && at + n_left < TIMER_WORD + TIMER_LEFT; at++)
        ret_text[n++] = ' ';
    if (plain && n_left > 0)
        ret_text[n++] = ' ';
    memcpy(ret_text + n, left, n_left);
    return n + n_left;
}

/* No descriptor holds it: who has it then? */
static const char *without_descriptor(const struct row *row)
{
    if (row->state == TCP_STATE_SYN_RECV)
        return _("none yet");
    if (row->state == TCP_STATE_TIME_WAIT || row->timer == TIMER_TIME_WAIT)
        return _("kernel");
    if (row->direction == DIRECTION_IN && (row->state == TCP_STATE_ESTABLISHED || row->state == TCP_STATE_CLOSE_WAIT))
        return _("not accepted");
    return _("kernel");
}

size_t cell_owner(const struct view *view, const struct row *row, bool with_pid, char ret_text[CELL_MAX])
{
    if (row->state == TCP_STATE_CLOSED && row->inode == 0)
        return 0;
    if (row->inode == 0)
        return put_string(ret_text, without_descriptor(row));
    const struct owner *owner = view->owners ? owners_find(view->owners, row->inode) : NULL;
    if (!owner) {
        bool refused = view->owners && owners_n_refused(view->owners) > 0;
        return put_string(ret_text, row_is_listener(row) && with_pid && refused ? _("? (owner needs root)") : "?");
    }
    size_t n = escape_short(owner->program, strnlen(owner->program, OWNER_NAME_MAX), ret_text, CELL_MAX - 64);
    if (with_pid)
        n += (size_t)snprintf(ret_text + n, CELL_MAX - n, "[%d]", (int)owner->pid);
    /* Descriptors of one process are one holder. */
    unsigned more = 0;
    for (const struct owner *other = owner->next; other; other = other->next)
        more += other->pid != owner->pid;
    if (more > 0)
        n += (size_t)snprintf(ret_text + n, CELL_MAX - n, "+%u", more);
    return n;
}

/* ---- the listeners' table, whose columns are few */

#define QUEUE_WIDTH 11
#define FULL_WIDTH 5

void view_listener_head(const struct layout *layout, bool wants_owner, struct line *line)
{
    unsigned at = 2 + layout->listener_shown + 2;
    line_put(line, STYLE_DIM, "  LISTENER");
    line_to(line, at);
    line_put(line, STYLE_DIM, "ACCEPT QUEUE");
    at += layout->bar_width + (layout->bar_width ? 1 : 0) + QUEUE_WIDTH + FULL_WIDTH;
    line_to(line, at);
    line_put(line, STYLE_DIM, "HALF-OPEN  DROPPED");
    if (wants_owner)
        line_put(line, STYLE_DIM, "  OWNER");
    line_cut(line, layout->n_columns, NULL);
}

static void put_queue(const struct layout *layout, const struct view *view, const struct row *row, struct line *line)
{
    enum style style = row_is_full(row) ? STYLE_TROUBLE : STYLE_PLAIN;
    char cells[CELL_MAX];
    if (layout->bar_width > 0 && row->receive_queue > 0) {
        uint64_t whole = (uint64_t)row->send_queue + 1, part = row->receive_queue < whole ? row->receive_queue : whole;
        line_add(line, row_is_full(row) ? STYLE_TROUBLE : STYLE_OPEN, cells,
                 bar(view->ascii, (int64_t)part, (int64_t)whole, layout->bar_width, cells));
    }
    line_to(line, 2 + layout->listener_shown + 2 + layout->bar_width + (layout->bar_width ? 1 : 0));
    line_format(line, style, _("%u of %u"), row->receive_queue, row->send_queue);
}

void view_listener(const struct view *view, const struct layout *layout, const struct row *row,
                   const struct track *track, bool cursor, struct line *line)
{
    char cell[CELL_MAX], more[WORDS_MAX];
    unsigned at = 2 + layout->listener_shown + 2;
    line_put(line, row->weight == VERDICT_TROUBLE ? STYLE_TROUBLE : STYLE_PLAIN,
             row->weight == VERDICT_TROUBLE ? "!" : " ");
    line_put(line, STYLE_BOLD, cursor ? (view->ascii ? ">" : "▸") : " ");
    size_t n = cell_local(row, true, cell);
    n = columns_fit(cell, n, layout->listener_shown);
    line_add(line, cursor ? STYLE_BOLD : STYLE_PLAIN, cell, n);
    line_to(line, at);
    put_queue(layout, view, row, line);
    at += layout->bar_width + (layout->bar_width ? 1 : 0) + QUEUE_WIDTH;
    line_to(line, at);
    if (row_is_full(row)) {
        if (line->n_columns > at)
            line_put(line, STYLE_PLAIN, " ");
        line_put(line, STYLE_TROUBLE, _("full"));
    }
    at += FULL_WIDTH;
    line_to(line, at);
    line_format(line, STYLE_PLAIN, "%9" PRIu32 "  ", row->n_half_open);
    if (!row->has_drops)
        line_format(line, STYLE_PLAIN, "%7s", "?");
    else if (track && row->drops > track->drops_first)
        line_format(line, STYLE_TROUBLE, "%+7lld", (long long)(row->drops - track->drops_first));
    else
        line_format(line, STYLE_PLAIN, "%7" PRIu32, row->drops);
    if (view->owners) {
        line_put(line, STYLE_PLAIN, "  ");
        line_add(line, STYLE_PLAIN, cell, cell_owner(view, row, true, cell));
    }
    int64_t idle_ns = track && track->past.no_accept_since_ns ? view->now_ns - track->past.no_accept_since_ns : 0;
    if (idle_ns >= NS_PER_S) {
        words_span(idle_ns, more);
        line_format(line, STYLE_PLAIN, view->owners ? _(", %s idle") : _("  %s idle"), more);
    }
    line_cut(line, layout->n_columns, view->ascii ? "~" : "…");
}
