/* SPDX-License-Identifier: MIT */
#include "observe/verdict/verdict_internal.h"

#define LONG_NS NS_PER_S

static enum verdict_weight judge(const struct socket_case *about, char ret_short[VERDICT_SHORT_MAX],
                                 char ret_text[VERDICT_TEXT_MAX])
{
    const struct socket_info *socket = about->socket;
    int64_t idle_ns = since(about->now_ns, about->past->no_accept_since_ns);

    if (socket->state != TCP_STATE_LISTEN || socket->receive_queue == 0 || about->past->no_accept_since_ns == 0 ||
        idle_ns <= LONG_NS)
        return VERDICT_NONE;
    struct sentences text = sentences_begin(ret_text, VERDICT_TEXT_MAX);
    say_short(ret_short, _("no accept() for %s"), DURATION(idle_ns));
    sentence(&text,
             ngettext("Nobody seems to accept: %s connection waits in the accept queue (limit %s), which has not been "
                      "seen to shrink for %s.",
                      "Nobody seems to accept: %s connections wait in the accept queue (limit %s), which has not been "
                      "seen to shrink for %s.",
                      socket->receive_queue),
             COUNT(socket->receive_queue), COUNT(socket->send_queue), DURATION(idle_ns));
    sentence(&text, _("Not the network: for those who wait, connect() has succeeded. See what %s is doing."),
             PROGRAM(about));
    return VERDICT_TROUBLE;
}

const struct socket_verdict socket_nobody_accepts = {
    .name = "nobody-accepts",
    .what = N_("connections wait in an accept queue that does not shrink"),
    .judge = judge,
};
