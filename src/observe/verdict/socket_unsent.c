/* SPDX-License-Identifier: MIT */
/* Bytes that were not sent even once, though the peer's window is open and nothing is being repeated. */
#include "observe/verdict/verdict_internal.h"

#define LONG_NS NS_PER_S

static bool applies(const struct socket_case *about)
{
    const struct socket_info *socket = about->socket;
    return is_connected_tcp(socket) && HAS_INFO(socket, snd_wnd) && socket->info.notsent_bytes > 0 &&
           socket->info.snd_wnd > 0 && socket->n_retransmits == 0 && about->past->unsent_since_ns != 0 &&
           since(about->now_ns, about->past->unsent_since_ns) > LONG_NS;
}

static enum verdict_weight judge(const struct socket_case *about, char ret_short[VERDICT_SHORT_MAX],
                                 char ret_text[VERDICT_TEXT_MAX])
{
    if (!applies(about))
        return VERDICT_NONE;
    const struct tcp_info_whole *info = &about->socket->info;
    struct sentences text = sentences_begin(ret_text, VERDICT_TEXT_MAX);
    say_short(ret_short, _("unsent: %s bytes"), BRIEF(info->notsent_bytes));
    sentence(&text, _("Not yet sent: %s of what the program has written. Send-Q has not been seen empty for %s."),
             BYTES(info->notsent_bytes), DURATION(since(about->now_ns, about->past->unsent_since_ns)));
    if (info->unacked > 0 && info->unacked >= info->snd_cwnd)
        sentence(
            &text,
            _("The congestion window allows %s segments in flight, and so many are: the program writes faster than "
              "the path takes it (round trip %s)."),
            COUNT(info->snd_cwnd), DURATION(info->rtt_us * NS_PER_US));
    else
        sentence(&text,
                 _("In flight: %s segments, where the congestion window allows %s; the peer's window is %s. What waits "
                   "may be paced or corked, or may be leaving just now."),
                 COUNT(info->unacked), COUNT(info->snd_cwnd), BYTES(info->snd_wnd));
    return VERDICT_NOTE;
}

const struct socket_verdict socket_unsent = {
    .name = "unsent",
    .what = N_("the program writes faster than the path takes it"),
    .judge = judge,
};
