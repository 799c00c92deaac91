/* SPDX-License-Identifier: MIT */
#include "observe/verdict/verdict_internal.h"

#define A_WHILE_NS (200 * NS_PER_MS)

static enum verdict_weight judge(const struct socket_case *about, char ret_short[VERDICT_SHORT_MAX],
                                 char ret_text[VERDICT_TEXT_MAX])
{
    const struct socket_info *socket = about->socket;
    uint64_t n = socket->receive_queue, holds = (uint64_t)socket->send_queue + 1;
    int64_t idle_ns = since(about->now_ns, about->past->no_accept_since_ns);

    if (socket->state != TCP_STATE_LISTEN || 2 * n <= holds || n > socket->send_queue ||
        about->past->no_accept_since_ns == 0 || idle_ns < A_WHILE_NS)
        return VERDICT_NONE;
    struct sentences text = sentences_begin(ret_text, VERDICT_TEXT_MAX);
    say_short(ret_short, _("filling: %s of %s"), BRIEF(n), BRIEF(socket->send_queue));
    sentence(
        &text,
        _("The accept queue is filling: %s connections wait, and the limit of %s holds %s. It has not been seen to "
          "shrink for %s."),
        COUNT(n), COUNT(socket->send_queue), COUNT(holds), DURATION(idle_ns));
    sentence(&text, _("Once it is full, new connections are not let in. See whether %s keeps up."), PROGRAM(about));
    return VERDICT_NOTE;
}

const struct socket_verdict socket_accept_queue_filling = {
    .name = "accept-queue-filling",
    .what = N_("an accept queue is more than half full, and does not shrink"),
    .judge = judge,
};
