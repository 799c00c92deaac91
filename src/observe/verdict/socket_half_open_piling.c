/* SPDX-License-Identifier: MIT */
/* The queue of half-open connections has the same limit as the accept queue, and is full in the same sense. */
#include "observe/verdict/verdict_internal.h"

#define FEW 8 /* half-open connections that any listener may have for a moment */

static void say_counters(const struct socket_case *about, struct sentences *text)
{
    const struct socket_counters *now = about->counters, *first = about->counters_first;

    if (now->syn_queue_full_cookies > first->syn_queue_full_cookies)
        sentence(text, _("Answered with cookies on this machine since we began to look: %s."),
                 COUNT(now->syn_queue_full_cookies - first->syn_queue_full_cookies));
    if (now->syn_queue_full_drops > first->syn_queue_full_drops)
        sentence(text, _("Dropped because of full SYN queues on this machine since we began to look: %s."),
                 COUNT(now->syn_queue_full_drops - first->syn_queue_full_drops));
}

static enum verdict_weight judge(const struct socket_case *about, char ret_short[VERDICT_SHORT_MAX],
                                 char ret_text[VERDICT_TEXT_MAX])
{
    const struct socket_info *socket = about->socket;
    uint64_t limit = socket->send_queue, n = about->n_half_open;
    bool full = n > limit, many = n >= FEW && 2 * n > limit + 1;

    if (!is_tcp_listener(socket) || (!full && !many))
        return VERDICT_NONE;
    struct sentences text = sentences_begin(ret_text, VERDICT_TEXT_MAX);
    say_short(ret_short, full ? _("SYN queue full: %s") : _("half-open: %s"), BRIEF(n));
    if (full)
        sentence(&text,
                 ngettext("The SYN queue is full: %s connection is half-open (limit %s holds %s). Further SYNs are "
                          "answered with cookies or dropped, as net.ipv4.tcp_syncookies says.",
                          "The SYN queue is full: %s connections are half-open (limit %s holds %s). Further SYNs are "
                          "answered with cookies or dropped, as net.ipv4.tcp_syncookies says.",
                          n),
                 COUNT(n), COUNT(limit), COUNT(limit + 1));
    else
        sentence(&text, _("Half-open connections pile up: %s, where the limit of %s holds %s."), COUNT(n), COUNT(limit),
                 COUNT(limit + 1));
    sentence(&text, _("Each was answered, and waits for its last ACK: those ACKs get lost, or are never sent (a SYN "
                      "flood looks like this), or are ignored because the accept queue is full, or the listener waits "
                      "for data first (TCP_DEFER_ACCEPT)."));
    say_counters(about, &text);
    return full ? VERDICT_TROUBLE : VERDICT_NOTE;
}

const struct socket_verdict socket_half_open_piling = {
    .name = "half-open-piling",
    .what = N_("half-open connections pile up at a listener"),
    .judge = judge,
};
