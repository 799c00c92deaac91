/* SPDX-License-Identifier: MIT */
#include "watch/detail.h"

#include "term/translate.h"
#include "watch/tcp_members.h"
#include "watch/words.h"
#include "watch/wrap.h"

#include <inttypes.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define LABEL_WIDTH 11
#define RIGHT_COLUMN 49
#define RIGHT_COLUMN_NARROW 38
#define WIDE 96
#define PART_MAX 256

/* ---- the digest */

static int64_t ns_of_us(uint64_t us)
{
    return us < (uint64_t)(INT64_MAX / NS_PER_US) ? (int64_t)us * NS_PER_US : INT64_MAX;
}

static void put_part(struct line *line, bool wide, const char *label, const char *left, const char *right)
{
    line_clear(line);
    line_put(line, STYLE_DIM, "  ");
    line_put(line, STYLE_DIM, label);
    line_to(line, LABEL_WIDTH);
    line_put(line, STYLE_PLAIN, left);
    if (right[0] == '\0')
        return;
    line_to(line, (wide ? RIGHT_COLUMN : RIGHT_COLUMN_NARROW) - 2);
    line_put(line, STYLE_PLAIN, "  ");
    line_put(line, STYLE_PLAIN, right);
}

static void digest_bytes(const struct socket_info *socket, bool wide, struct line *line)
{
    const struct tcp_info_whole *info = &socket->info;
    uint64_t in, out;
    char a[WORDS_MAX], b[WORDS_MAX], c[WORDS_MAX], left[PART_MAX], right[PART_MAX];
    socket_payload(socket, DIRECTION_UNKNOWN, &in, &out);
    words_count(in, a);
    words_count(out, b);
    if (socket->receive_queue > 0) {
        words_count(socket->receive_queue, c);
        snprintf(left, sizeof left, _("in %s, out %s, unread %s"), a, b, c);
    } else {
        words_count(info->notsent_bytes, c);
        snprintf(left, sizeof left, _("in %s, out %s, unsent %s"), a, b, c);
    }
    words_count(info->segs_in, a);
    words_count(info->segs_out, b);
    words_count(info->total_retrans, c);
    snprintf(right, sizeof right, wide ? _("segments in %s, out %s, sent again %s") : _("segs %s, %s, again %s"), a, b,
             c);
    put_part(line, wide, _("bytes"), left, right);
}

static void digest_time(const struct socket_info *socket, bool wide, struct line *line)
{
    const struct tcp_info_whole *info = &socket->info;
    char rto[WORDS_MAX], due[WORDS_MAX], left[PART_MAX], right[PART_MAX];
    snprintf(left, sizeof left, _("rtt %.1f ms, min %.1f, var %.1f"), info->rtt_us / 1e3,
             info->min_rtt_us == UINT32_MAX ? 0.0 : info->min_rtt_us / 1e3, info->rttvar_us / 1e3);
    if (!wide)
        snprintf(left, sizeof left, _("rtt %.1f ms, var %.1f"), info->rtt_us / 1e3, info->rttvar_us / 1e3);
    if (info->rtt_us == 0)
        snprintf(left, sizeof left, "%s", _("rtt not measured yet"));
    words_span(info->rto_us * NS_PER_US, rto);
    words_span(socket->timer_ns, due);
    if (socket->timer == TIMER_NONE)
        snprintf(right, sizeof right, _("rto %s   no timer runs"), rto);
    else
        snprintf(right, sizeof right, _("rto %s   %s in %s, backoff %u"), rto, socket_timer_name(socket->timer), due,
                 info->backoff);
    put_part(line, wide, _("time"), left, right);
}

static void digest_window(const struct socket_info *socket, bool wide, struct line *line)
{
    const struct tcp_info_whole *info = &socket->info;
    char a[WORDS_MAX], b[WORDS_MAX], left[PART_MAX], right[PART_MAX] = "";
    words_count(info->snd_cwnd, a);
    words_count(info->snd_mss, b);
    snprintf(left, sizeof left, wide ? _("cwnd %s segments of %s bytes") : _("cwnd %s of %s"), a, b);
    words_count(info->snd_wnd, a);
    words_count(info->rcv_wnd, b);
    if (info->n_bytes >= offsetof(struct tcp_info_whole, rehash))
        snprintf(right, sizeof right, _("peer advertises %s, we advertise %s"), a, b);
    else if (info->n_bytes >= offsetof(struct tcp_info_whole, rcv_wnd))
        snprintf(right, sizeof right, _("peer advertises %s"), a);
    put_part(line, wide, _("window"), left, right);
}

static void digest_held(const struct socket_info *socket, bool wide, struct line *line)
{
    const struct tcp_info_whole *info = &socket->info;
    uint64_t limited = info->rwnd_limited_us + info->sndbuf_limited_us;
    uint64_t own = info->busy_time_us > limited ? info->busy_time_us - limited : 0;
    char peer[WORDS_MAX], buffer[WORDS_MAX], network[WORDS_MAX], left[PART_MAX], right[PART_MAX];
    words_span(ns_of_us(info->rwnd_limited_us), peer);
    words_span(ns_of_us(info->sndbuf_limited_us), buffer);
    words_span(ns_of_us(own), network);
    unsigned percent =
        info->busy_time_us ? (unsigned)((double)info->rwnd_limited_us * 100 / (double)info->busy_time_us) : 0;
    snprintf(left, sizeof left, _("peer %s (%u %%), our buffer %s"), peer, percent, buffer);
    snprintf(right, sizeof right, _("cwnd and network %s"), network);
    put_part(line, wide, _("held by"), left, right);
}

static void digest_last(const struct socket_info *socket, bool wide, struct line *line)
{
    const struct tcp_info_whole *info = &socket->info;
    char a[WORDS_MAX], b[WORDS_MAX], left[PART_MAX], right[PART_MAX] = "";
    words_span(info->last_data_recv_ms * NS_PER_MS, a);
    words_span(info->last_ack_recv_ms * NS_PER_MS, b);
    if (info->data_segs_in > 0)
        snprintf(left, sizeof left, _("received data %s, ack %s ago"), a, b);
    else
        snprintf(left, sizeof left, _("received no data yet, ack %s ago"), b);
    words_count(socket->memory.receive_limit, a);
    words_count(socket->memory.send_limit, b);
    if (socket->has_memory && wide)
        snprintf(right, sizeof right, _("buffers receive %s, send %s; %s"), a, b, socket->congestion);
    put_part(line, wide, _("last"), left, right);
}

static unsigned digest_listener(const struct socket_info *socket, const struct socket_past *past,
                                const struct socket_counters *counters, int64_t now_ns, bool wide, struct line *lines)
{
    char a[WORDS_MAX], left[PART_MAX], right[PART_MAX] = "";
    snprintf(left, sizeof left, _("%u wait, full when more than %u do"), socket->receive_queue, socket->send_queue);
    snprintf(right, sizeof right, _("net.core.somaxconn %u"), counters->somaxconn);
    put_part(&lines[0], wide, _("queue"), left, right);
    right[0] = '\0';
    if (past && past->no_accept_since_ns) {
        words_span(now_ns - past->no_accept_since_ns, a);
        snprintf(left, sizeof left, _("nothing accepted for %s, while some wait"), a);
    } else {
        snprintf(left, sizeof left, "%s", _("nobody waits"));
    }
    put_part(&lines[1], wide, _("accept"), left, right);
    snprintf(left, sizeof left, _("%u by this listener"), socket->memory.drops);
    snprintf(right, sizeof right, _("of all listeners %" PRIu64 " since the machine was started"),
             counters->listen_drops);
    put_part(&lines[2], wide, _("dropped"), socket->has_memory ? left : "?", right);
    return 3;
}

static unsigned digest_without_info(const struct socket_info *socket, bool wide, struct line *lines)
{
    char a[WORDS_MAX], b[WORDS_MAX], left[PART_MAX];
    if (socket->state == TCP_STATE_TIME_WAIT) {
        words_span(socket->timer_ns, a);
        snprintf(left, sizeof left, _("for %s more: late segments must not meet a new connection"), a);
        put_part(&lines[0], wide, _("kept"), left, "");
        return 1;
    }
    if (socket->state == TCP_STATE_SYN_RECV) {
        words_span(socket->timer_ns, a);
        snprintf(left, sizeof left, _("SYN-ACK sent again %u times, next in %s"), socket->n_retransmits, a);
        put_part(&lines[0], wide, _("half-open"), left, "");
        return 1;
    }
    words_count(socket->receive_queue, a);
    words_count(socket->send_queue, b);
    snprintf(left, sizeof left, _("unread %s, unsent %s"), a, b);
    put_part(&lines[0], wide, _("bytes"), left, "");
    return 1;
}

unsigned detail_digest(const struct socket_info *socket, const struct socket_past *past,
                       const struct socket_counters *counters, int64_t now_ns, unsigned n_columns,
                       struct line ret_lines[DIGEST_LINES])
{
    unsigned n = DIGEST_LINES;
    bool wide = n_columns >= WIDE; /* else the right half says the half of it */
    if (socket->state == TCP_STATE_LISTEN) {
        n = digest_listener(socket, past, counters, now_ns, wide, ret_lines);
    } else if (!socket->has_info) {
        n = digest_without_info(socket, wide, ret_lines);
    } else {
        digest_bytes(socket, wide, &ret_lines[0]);
        digest_time(socket, wide, &ret_lines[1]);
        digest_window(socket, wide, &ret_lines[2]);
        digest_held(socket, wide, &ret_lines[3]);
        digest_last(socket, wide, &ret_lines[4]);
    }
    for (unsigned i = 0; i < n; i++)
        line_cut(&ret_lines[i], n_columns, NULL);
    return n;
}

/* ---- the page */

void page_line(struct text *page, enum style style, const char *format, ...)
{
    char text[LINE_TEXT_MAX];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    const char sign = (char)('0' + style);
    text_append(page, &sign, 1);
    text_string(page, text);
    text_append(page, "\n", 1);
}

void page_paragraph(struct text *page, enum style style, const char *text, unsigned n_columns)
{
    while (*text) {
        const char *next;
        size_t n = wrap_line(text, n_columns, &next);
        page_line(page, style, "%.*s", (int)n, text);
        text = next;
    }
}

static void put_value(const struct tcp_member *member, uint64_t value, char ret_text[WORDS_MAX * 2])
{
    char number[WORDS_MAX];
    if (member->size_bytes == 8 && value == UINT64_MAX) {
        snprintf(ret_text, WORDS_MAX * 2, "%s", _("no limit"));
        return;
    }
    if (member->size_bytes == 4 && value >= INT32_MAX) {
        snprintf(ret_text, WORDS_MAX * 2, "%s", _("not set"));
        return;
    }
    switch ((enum member_unit)member->unit) {
    case UNIT_US:
        words_span(ns_of_us(value), ret_text);
        return;
    case UNIT_MS:
        words_span((int64_t)value * NS_PER_MS, ret_text);
        return;
    default:
        words_count(value, number);
        break;
    }
    const char *unit = member->unit == UNIT_BYTES      ? _("bytes")
                       : member->unit == UNIT_SEGMENTS ? _("segments")
                       : member->unit == UNIT_RATE     ? _("bytes/s")
                                                       : "";
    snprintf(ret_text, WORDS_MAX * 2, "%s%s%s", number, unit[0] ? " " : "", unit);
}

static void page_memory(const struct socket_info *socket, struct text *page)
{
    const struct socket_memory *memory = &socket->memory;
    char a[WORDS_MAX], b[WORDS_MAX], c[WORDS_MAX], d[WORDS_MAX];
    if (!socket->has_memory)
        return;
    words_count(memory->receive_used, a);
    words_count(memory->receive_limit, b);
    words_count(memory->send_used, c);
    words_count(memory->send_limit, d);
    page_line(page, STYLE_PLAIN, _("  memory             received %s of %s bytes, to be sent %s of %s; dropped %u"), a,
              b, c, d, memory->drops);
}

void detail_page(const struct socket_info *socket, unsigned n_columns, struct text *page)
{
    page_line(page, STYLE_PLAIN, _("  uid %u, inode %" PRIu64 ", cookie %" PRIu64 "%s%s"), socket->uid, socket->inode,
              socket->cookie, socket->congestion[0] ? _(", congestion control ") : "", socket->congestion);
    page_memory(socket, page);
    if (!socket->has_info) {
        page_line(page, STYLE_DIM, "%s", _("  The kernel keeps no TCP_INFO for this one."));
        return;
    }
    for (size_t i = 0; i < n_tcp_members; i++) {
        const struct tcp_member *member = &tcp_members[i];
        char value[WORDS_MAX * 2];
        if (!tcp_member_is_known(member, &socket->info))
            continue;
        put_value(member, tcp_member_value(member, &socket->info), value);
        if (n_columns >= 60)
            page_line(page, STYLE_PLAIN, "  %-18s %18s   %s", member->name, value, _(member->words));
        else
            page_line(page, STYLE_PLAIN, " %-18s %s", member->name, value);
    }
}
