/* SPDX-License-Identifier: MIT */
#include "observe/verdict/verdict_internal.h"

static enum verdict_weight judge(const struct socket_case *about, char ret_short[VERDICT_SHORT_MAX],
                                 char ret_text[VERDICT_TEXT_MAX])
{
    const struct socket_info *socket = about->socket;
    unsigned n = socket->n_retransmits;
    uint32_t retries = about->counters->synack_retries;

    if (socket->protocol != IPPROTO_TCP || socket->state != TCP_STATE_SYN_RECV || n == 0)
        return VERDICT_NONE;
    struct sentences text = sentences_begin(ret_text, VERDICT_TEXT_MAX);
    say_short(ret_short, _("SYN-ACK sent %u times"), n + 1);
    sentence(&text,
             _("Half-open: we have answered the SYN of %s %u times, and the handshake is not complete. The answers or "
               "the last ACK get lost, or the peer does not exist, or the accept queue of port %u is full, so that the "
               "last ACK is ignored."),
             ADDRESS(&socket->peer), n + 1, (unsigned)socket->local.port);
    if (retries > 0)
        sentence(&text, _("The kernel forgets it in %s at the latest (tcp_synack_retries %u)."),
                 DURATION(synack_gives_up_ns(retries, n, socket->timer_ns)), (unsigned)retries);
    return VERDICT_NOTE;
}

const struct socket_verdict socket_syn_recv = {
    .name = "syn-recv",
    .what = N_("a handshake is not completed by its last ACK"),
    .judge = judge,
};
