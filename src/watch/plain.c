/* SPDX-License-Identifier: MIT */
/*
 * Cells are written where they stand, by hand: the whole of a row costs less than one printf.
 *
 * A cell that is empty holds "-", so that every row has as many columns as the head, but for the last.
 */
#include "watch/plain.h"

#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#define STATE_WIDTH 11
#define QUEUE_WIDTH 7
#define TIMER_WIDTH 14
#define IPV4_WIDTH 21
#define ROW_ROOM (5 * CELL_MAX)

void plain_note(struct plain *plain, const struct row *row)
{
    char cell[CELL_MAX];
    if (row->family == AF_INET && row->state != TCP_STATE_LISTEN)
        return; /* IPv4 fits anyway */
    unsigned local = (unsigned)cell_local(row, true, cell), peer = (unsigned)cell_peer(row, cell);
    if (row->state == TCP_STATE_LISTEN) {
        plain->listener_width = local > plain->listener_width ? local : plain->listener_width;
        return;
    }
    plain->local_width = local > plain->local_width ? local : plain->local_width;
    plain->peer_width = peer > plain->peer_width ? peer : plain->peer_width;
}

static unsigned address_width(unsigned width)
{
    return width > IPV4_WIDTH ? width : IPV4_WIDTH;
}

/* Spaces from `from` until `width` columns are full, and two more. */
static char *pad(char *at, const char *from, size_t width)
{
    size_t n = (size_t)(at - from), more = (n < width ? width - n : 0) + 2;
    memset(at, ' ', more);
    return at + more;
}

static char *put_queue(char *at, uint32_t queue)
{
    char digits[TEXT_NUMBER_MAX];
    size_t n = put_number(digits, queue);
    if (n < QUEUE_WIDTH) {
        memset(at, ' ', QUEUE_WIDTH - n);
        at += QUEUE_WIDTH - n;
    }
    memcpy(at, digits, n);
    at += n;
    *at++ = ' ';
    *at++ = ' ';
    return at;
}

void plain_head(const struct plain *plain, struct text *text)
{
    text_format(text, "%-*s  %*s  %*s  %-*s  %-*s  %-*s  ", STATE_WIDTH, "STATE", QUEUE_WIDTH, "RECV-Q", QUEUE_WIDTH,
                "SEND-Q", (int)address_width(plain->local_width), "LOCAL", (int)address_width(plain->peer_width),
                "PEER", TIMER_WIDTH, "TIMER");
    text_string(text, plain->owners ? "OWNER                 VERDICT\n" : "VERDICT\n");
}

void plain_row(const struct plain *plain, const struct view *view, const struct row *row, struct text *text)
{
    size_t address = address_width(plain->local_width) + address_width(plain->peer_width);
    char *at = text_room(text, ROW_ROOM + address);
    if (!at)
        return;
    char *from = at;
    enum style style;
    at += cell_state(row, at, &style);
    at = pad(at, from, STATE_WIDTH);
    at = put_queue(at, row->receive_queue);
    at = put_queue(at, row->send_queue);
    from = at;
    at += cell_local(row, true, at);
    at = pad(at, from, address_width(plain->local_width));
    from = at;
    at += cell_peer(row, at);
    at = pad(at, from, address_width(plain->peer_width));
    from = at;
    size_t n = row->timer == TIMER_NONE && row->state != TCP_STATE_FIN_WAIT_2 && row->protocol != IPPROTO_UDP
                   ? 0
                   : cell_timer(view, row, true, true, at);
    if (n == 0)
        at[n++] = '-';
    at += n;
    if (plain->owners || row->verdict_short)
        at = pad(at, from, TIMER_WIDTH);
    if (plain->owners) {
        from = at;
        n = cell_owner(view, row, true, at);
        if (n == 0)
            at[n++] = '-';
        at += n;
        if (row->verdict_short)
            at = pad(at, from, 20);
    }
    text->n_bytes = (size_t)(at - text->bytes);
    if (row->verdict_short)
        text_string(text, row->verdict_short);
    text_append(text, "\n", 1);
}

static int listener_width(const struct plain *plain)
{
    return plain->listener_width > IPV4_WIDTH ? (int)plain->listener_width : IPV4_WIDTH;
}

void plain_listener_head(const struct plain *plain, struct text *text)
{
    text_format(text, "%-*s  %-18s  %9s  %7s", listener_width(plain), "LISTENER", "ACCEPT QUEUE", "HALF-OPEN",
                "DROPPED");
    text_string(text, plain->owners ? "  OWNER\n" : "\n");
}

void plain_listener(const struct plain *plain, const struct view *view, const struct row *row, struct text *text)
{
    char name[CELL_MAX], owner[CELL_MAX], queue[64], drops[TEXT_NUMBER_MAX + 1] = "?";
    size_t n_name = cell_local(row, true, name), n_owner = plain->owners ? cell_owner(view, row, true, owner) : 0;
    size_t n = put_number(queue, row->receive_queue);
    memcpy(queue + n, " of ", 4);
    n += 4;
    n += put_number(queue + n, row->send_queue);
    if (row_is_full(row)) {
        memcpy(queue + n, " full", 5);
        n += 5;
    }
    if (row->has_drops)
        drops[put_number(drops, row->drops)] = '\0';
    text_append(text, name, n_name);
    text_spaces(text, (size_t)listener_width(plain) + 2 -
                          (n_name < (size_t)listener_width(plain) ? n_name : (size_t)listener_width(plain)));
    text_format(text, "%-18.*s  %9u  %7s", (int)n, queue, row->n_half_open, drops);
    if (plain->owners) {
        text_string(text, "  ");
        text_append(text, owner, n_owner);
    }
    text_append(text, "\n", 1);
}
