/* SPDX-License-Identifier: MIT */
/*
 * The peer's window is 0 and bytes wait. The kernel counts probes twice: those since the last ACK of any kind (the
 * timer's count), and those since the window closed (the backoff, which stops growing at tcp_retries2). An answer to a
 * probe may be missing for a good reason: they are limited to one in 500 ms.
 */
#include "observe/verdict/verdict_internal.h"

#define A_MOMENT_NS (200 * NS_PER_MS)
#define SILENT_PROBES 3

static bool is_closed(const struct socket_info *socket)
{
    if (!is_connected_tcp(socket) || socket->send_queue == 0)
        return false;
    if (HAS_INFO(socket, snd_wnd))
        return socket->info.snd_wnd == 0;
    return socket->timer == TIMER_PROBE;
}

static void say_probes(const struct socket_case *about, unsigned n_probes, struct sentences *text)
{
    const struct socket_info *socket = about->socket;

    if (socket->timer != TIMER_PROBE)
        return;
    if (socket->n_retransmits >= SILENT_PROBES) {
        sentence(text,
                 _("The last %u window probes were not answered, so the peer or the way to it may be gone as well. The "
                   "kernel gives up after %u unanswered probes (tcp_retries2), unless told otherwise."),
                 (unsigned)socket->n_retransmits, (unsigned)about->counters->retries2);
        return;
    }
    if (n_probes > 0 && socket->n_retransmits == 0)
        sentence(text, _("Not the network: our last window probe was answered."));
    else if (HAS_INFO(socket, last_ack_recv_ms))
        sentence(text, _("Its last ACK came %s ago."), DURATION(socket->info.last_ack_recv_ms * NS_PER_MS));
    if (n_probes > 0)
        sentence(text, _("Window probes so far: %u; the next in %s."), n_probes, DURATION(socket->timer_ns));
    else
        sentence(text, _("The first window probe follows in %s."), DURATION(socket->timer_ns));
}

static void say_closed(const struct socket_case *about, int64_t closed_ns, struct sentences *text)
{
    const struct socket_past *past = about->past;
    const char *bytes = BYTES(about->socket->send_queue), *peer = ADDRESS(&about->socket->peer);

    if (closed_ns < NS_PER_MS)
        sentence(text, _("%s takes no more: it advertises window 0, with %s waiting here in Send-Q."), peer, bytes);
    else if (past->window_zero_since_ns <= past->first_seen_ns)
        sentence(text, _("%s takes no more: window 0 for at least %s, with %s waiting here in Send-Q."), peer,
                 DURATION(closed_ns), bytes);
    else
        sentence(text, _("%s takes no more: window 0 for %s, with %s waiting here in Send-Q."), peer,
                 DURATION(closed_ns), bytes);
}

static enum verdict_weight judge(const struct socket_case *about, char ret_short[VERDICT_SHORT_MAX],
                                 char ret_text[VERDICT_TEXT_MAX])
{
    const struct socket_info *socket = about->socket;

    if (!is_closed(socket))
        return VERDICT_NONE;
    int64_t closed_ns = about->past->window_zero_since_ns ? since(about->now_ns, about->past->window_zero_since_ns) : 0;
    unsigned n_probes = HAS_INFO(socket, backoff) ? socket->info.backoff : 0;
    if (n_probes < socket->n_retransmits && socket->timer == TIMER_PROBE)
        n_probes = socket->n_retransmits;
    struct sentences text = sentences_begin(ret_text, VERDICT_TEXT_MAX);
    if (closed_ns < NS_PER_MS)
        say_short(ret_short, "%s", _("peer window 0"));
    else
        say_short(ret_short, _("peer window 0 for %s"), DURATION(closed_ns));
    say_closed(about, closed_ns, &text);
    say_probes(about, n_probes, &text);
    if (about->peer_is_local)
        sentence(&text, _("Most likely its program does not read. It is on this machine: look for the owner of %s."),
                 ADDRESS(&socket->peer));
    else
        sentence(&text, _("Most likely its program does not read: look at %s."), ADDRESS(&socket->peer));
    return n_probes > 0 || closed_ns >= A_MOMENT_NS ? VERDICT_TROUBLE : VERDICT_NOTE;
}

const struct socket_verdict socket_window_closed = {
    .name = "window-closed",
    .what = N_("the peer advertises window 0 while bytes wait to be sent"),
    .judge = judge,
};
