/* SPDX-License-Identifier: MIT */
/* Half-closed by shutdown(): while the program holds the descriptor, the state has no timer. */
#include "observe/verdict/verdict_internal.h"

#define LONG_NS NS_PER_S

static enum verdict_weight judge(const struct socket_case *about, char ret_short[VERDICT_SHORT_MAX],
                                 char ret_text[VERDICT_TEXT_MAX])
{
    const struct socket_info *socket = about->socket;
    int64_t age_ns = state_least_ns(about);

    if (socket->protocol != IPPROTO_TCP || socket->state != TCP_STATE_FIN_WAIT_2 || socket->inode == 0 ||
        socket->timer != TIMER_NONE || age_ns < LONG_NS)
        return VERDICT_NONE;
    struct sentences text = sentences_begin(ret_text, VERDICT_TEXT_MAX);
    say_short(ret_short, _("half-closed for %s"), DURATION(age_ns));
    sentence(
        &text,
        _("Half-closed for at least %s: we have ended our side, and %s has acknowledged that, but has not ended its "
          "own and may still send."),
        DURATION(age_ns), ADDRESS(&socket->peer));
    sentence(&text,
             _("As %s still holds the socket, no timer ends this; tcp_fin_timeout counts only once it is closed."),
             PROGRAM(about));
    return VERDICT_NOTE;
}

const struct socket_verdict socket_fin_wait_2 = {
    .name = "fin-wait-2",
    .what = N_("half-closed by us, without a timer that would end it"),
    .judge = judge,
};
