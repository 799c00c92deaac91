/* SPDX-License-Identifier: MIT */
/* The peer has closed its side. Ours stays open until the program closes it, which may be right while it still sends.
 */
#include "observe/verdict/verdict_internal.h"

#define LONG_NS (60 * NS_PER_S)

static enum verdict_weight judge(const struct socket_case *about, char ret_short[VERDICT_SHORT_MAX],
                                 char ret_text[VERDICT_TEXT_MAX])
{
    const struct socket_info *socket = about->socket;
    int64_t age_ns = state_least_ns(about);
    bool still_sends = HAS_INFO(socket, last_data_sent_ms) && socket->info.last_data_sent_ms * NS_PER_MS < LONG_NS;

    if (socket->protocol != IPPROTO_TCP || socket->state != TCP_STATE_CLOSE_WAIT || socket->inode == 0 ||
        age_ns < LONG_NS || still_sends)
        return VERDICT_NONE;
    struct sentences text = sentences_begin(ret_text, VERDICT_TEXT_MAX);
    say_short(ret_short, _("not closed for %s"), DURATION(age_ns));
    sentence(&text,
             _("%s closed its side at least %s ago, and %s has not closed ours since. CLOSE_WAIT lasts until it does."),
             ADDRESS(&socket->peer), DURATION(age_ns), PROGRAM(about));
    if (socket->timer == TIMER_NONE)
        sentence(&text, _("No timer is running that could end it."));
    if (socket->receive_queue > 0)
        sentence(&text, _("In Recv-Q, %s unread: the program may not know yet that the end has come."),
                 BYTES(socket->receive_queue));
    sentence(&text, _("Often a forgotten close(): see what the program does when recv() returns 0."));
    return VERDICT_TROUBLE;
}

const struct socket_verdict socket_close_wait = {
    .name = "close-wait",
    .what = N_("the peer closed long ago, and our own program has not"),
    .judge = judge,
};
