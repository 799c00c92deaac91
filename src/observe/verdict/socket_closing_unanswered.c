/* SPDX-License-Identifier: MIT */
/* Our FIN is not acknowledged. The program has let go of it mostly, so that the kernel alone goes on. */
#include "observe/verdict/verdict_internal.h"

#define SERIOUS 2

static bool applies(const struct socket_info *socket)
{
    if (socket->protocol != IPPROTO_TCP || socket->timer != TIMER_RETRANSMIT || socket->n_retransmits == 0)
        return false;
    if (socket->state == TCP_STATE_FIN_WAIT_1)
        return socket->inode == 0 || socket->send_queue == 0;
    return socket->state == TCP_STATE_LAST_ACK || socket->state == TCP_STATE_CLOSING;
}

static enum verdict_weight judge(const struct socket_case *about, char ret_short[VERDICT_SHORT_MAX],
                                 char ret_text[VERDICT_TEXT_MAX])
{
    const struct socket_info *socket = about->socket;
    unsigned n = socket->n_retransmits;

    if (!applies(socket))
        return VERDICT_NONE;
    struct sentences text = sentences_begin(ret_text, VERDICT_TEXT_MAX);
    say_short(ret_short, _("close unanswered, again %u"), n);
    sentence(&text,
             ngettext("We have closed, and %s does not acknowledge that: sent again %u time, next in %s.",
                      "We have closed, and %s does not acknowledge that: sent again %u times in a row, next in %s.", n),
             ADDRESS(&socket->peer), n, DURATION(socket->timer_ns));
    if (socket->send_queue > 0)
        sentence(&text, _("Before it, %s may not have arrived either."), BYTES(socket->send_queue));
    if (socket->state != TCP_STATE_FIN_WAIT_1)
        sentence(&text, _("The peer had closed its side as well, so it may just be gone."));
    if (socket->inode == 0)
        sentence(&text, _("No program holds it any more; the kernel repeats it as tcp_orphan_retries says, and then "
                          "forgets it without telling anyone."));
    return socket->send_queue > 0 && n >= SERIOUS ? VERDICT_TROUBLE : VERDICT_NOTE;
}

const struct socket_verdict socket_closing_unanswered = {
    .name = "closing-unanswered",
    .what = N_("the peer does not acknowledge that we have closed"),
    .judge = judge,
};
