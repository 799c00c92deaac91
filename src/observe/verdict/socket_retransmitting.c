/* SPDX-License-Identifier: MIT */
/* Nothing of what is in flight is acknowledged, and the timer has repeated it. */
#include "observe/verdict/verdict_internal.h"

#define SERIOUS 2 /* one repeat is common */

/* What its program has closed already is told by another verdict. */
static bool applies(const struct socket_info *socket)
{
    bool ours = socket->state == TCP_STATE_ESTABLISHED || socket->state == TCP_STATE_CLOSE_WAIT ||
                (socket->state == TCP_STATE_FIN_WAIT_1 && socket->inode != 0);
    return socket->protocol == IPPROTO_TCP && ours && socket->timer == TIMER_RETRANSMIT && socket->n_retransmits > 0 &&
           socket->send_queue > 0;
}

static void say_end(const struct socket_case *about, struct sentences *text)
{
    const struct socket_info *socket = about->socket;
    uint32_t retries2 = about->counters->retries2;

    if (retries2 == 0 || !HAS_INFO(socket, rto_us))
        return;
    int64_t left_ns = give_up_ns(retries2, socket->info.rto_us * NS_PER_US, socket->info.backoff, socket->n_retransmits,
                                 socket->timer_ns);
    sentence(text,
             _("If nothing is acknowledged, the kernel gives up in about %s (tcp_retries2 %u; TCP_USER_TIMEOUT may end "
               "it before), and the program gets an error, mostly ETIMEDOUT."),
             DURATION(left_ns), (unsigned)retries2);
}

static enum verdict_weight judge(const struct socket_case *about, char ret_short[VERDICT_SHORT_MAX],
                                 char ret_text[VERDICT_TEXT_MAX])
{
    const struct socket_info *socket = about->socket;

    if (!applies(socket))
        return VERDICT_NONE;
    struct sentences text = sentences_begin(ret_text, VERDICT_TEXT_MAX);
    unsigned n = socket->n_retransmits;
    say_short(ret_short, _("no ACK, sent again %u x"), n);
    sentence(
        &text,
        ngettext("%s does not acknowledge: %s in Send-Q, sent again %u time by the timer; the next repeat is due in "
                 "%s.",
                 "%s does not acknowledge: %s in Send-Q, sent again %u times in a row by the timer; the next repeat "
                 "is due in %s.",
                 n),
        ADDRESS(&socket->peer), BYTES(socket->send_queue), n, DURATION(socket->timer_ns));
    if (HAS_INFO(socket, last_ack_recv_ms))
        sentence(&text, _("The retransmission timeout is %s now; the last ACK came %s ago."),
                 DURATION(socket->info.rto_us * NS_PER_US), DURATION(socket->info.last_ack_recv_ms * NS_PER_MS));
    sentence(&text, _("Either what we send is lost on its way, or the ACKs are, or the peer is gone: from here these "
                      "look the same."));
    say_end(about, &text);
    return n >= SERIOUS ? VERDICT_TROUBLE : VERDICT_NOTE;
}

const struct socket_verdict socket_retransmitting = {
    .name = "retransmitting",
    .what = N_("the peer does not acknowledge, and the timer repeats what was sent"),
    .judge = judge,
};
