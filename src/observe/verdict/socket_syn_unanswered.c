/* SPDX-License-Identifier: MIT */
#include "observe/verdict/verdict_internal.h"

static enum verdict_weight judge(const struct socket_case *about, char ret_short[VERDICT_SHORT_MAX],
                                 char ret_text[VERDICT_TEXT_MAX])
{
    const struct socket_info *socket = about->socket;
    unsigned n = socket->n_retransmits;
    uint32_t retries = about->counters->syn_retries;

    if (socket->protocol != IPPROTO_TCP || socket->state != TCP_STATE_SYN_SENT || socket->timer != TIMER_RETRANSMIT ||
        n == 0)
        return VERDICT_NONE;
    struct sentences text = sentences_begin(ret_text, VERDICT_TEXT_MAX);
    say_short(ret_short, _("SYN unanswered, %u sent"), n + 1);
    sentence(&text, _("connect() waits: %s has not answered %u SYNs. The next is due in %s."), ADDRESS(&socket->peer),
             n + 1, DURATION(socket->timer_ns));
    if (retries > 0)
        sentence(&text,
                 _("If none is answered, connect() fails in about %s with ETIMEDOUT (tcp_syn_retries %u), if the "
                   "program waits so long."),
                 DURATION(connect_fails_ns(retries, HAS_INFO(socket, rto_us) ? socket->info.rto_us * NS_PER_US : 0, n,
                                           socket->timer_ns)),
                 (unsigned)retries);
    if (about->peer_is_local)
        sentence(&text, _("That address is on this machine: see whether its listener's accept queue is full, or a "
                          "firewall rule drops (sonde watch listening)."));
    else
        sentence(&text,
                 _("A full accept queue, a firewall that drops, a host that is not there and loss on the way look "
                   "the same from here."));
    return VERDICT_TROUBLE;
}

const struct socket_verdict socket_syn_unanswered = {
    .name = "syn-unanswered",
    .what = N_("connect() waits, since nobody answers the SYN"),
    .judge = judge,
};
