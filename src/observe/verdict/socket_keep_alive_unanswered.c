/* SPDX-License-Identifier: MIT */
#include "observe/verdict/verdict_internal.h"

#define SERIOUS 2 /* one may be on its way */

static enum verdict_weight judge(const struct socket_case *about, char ret_short[VERDICT_SHORT_MAX],
                                 char ret_text[VERDICT_TEXT_MAX])
{
    const struct socket_info *socket = about->socket;
    unsigned n = socket->n_retransmits;

    if (!is_connected_tcp(socket) || socket->timer != TIMER_KEEPALIVE || n < SERIOUS)
        return VERDICT_NONE;
    struct sentences text = sentences_begin(ret_text, VERDICT_TEXT_MAX);
    say_short(ret_short, _("%u keep-alives unanswered"), n);
    sentence(&text, _("%s is silent: %u keep-alive probes in a row have had no answer, the next is due in %s."),
             ADDRESS(&socket->peer), n, DURATION(socket->timer_ns));
    if (HAS_INFO(socket, last_ack_recv_ms))
        sentence(&text, _("The last ACK came %s ago."), DURATION(socket->info.last_ack_recv_ms * NS_PER_MS));
    sentence(&text, _("The peer or the way to it may be gone. The kernel gives up after as many as TCP_KEEPCNT says."));
    return VERDICT_TROUBLE;
}

const struct socket_verdict socket_keep_alive_unanswered = {
    .name = "keep-alive-unanswered",
    .what = N_("the peer does not answer keep-alive probes"),
    .judge = judge,
};
