/* SPDX-License-Identifier: MIT */
#include "observe/verdict/verdict_internal.h"

#define SENT_LEAST_BYTES 65536 /* less says nothing of a path */
#define HIGH_PERCENT 2
#define SERIOUS_PERCENT 10

static enum verdict_weight judge(const struct socket_case *about, char ret_short[VERDICT_SHORT_MAX],
                                 char ret_text[VERDICT_TEXT_MAX])
{
    const struct socket_info *socket = about->socket;
    const struct tcp_info_whole *info = &socket->info;

    if (!is_connected_tcp(socket) || !HAS_INFO(socket, dsack_dups) || info->bytes_sent < SENT_LEAST_BYTES)
        return VERDICT_NONE;
    unsigned percent = percent_of(info->bytes_retrans, info->bytes_sent);
    if (percent < HIGH_PERCENT)
        return VERDICT_NONE;
    struct sentences text = sentences_begin(ret_text, VERDICT_TEXT_MAX);
    say_short(ret_short, _("%u %% sent again"), percent);
    sentence(&text, _("Of %s sent so far, %s were repeats (%u %%): packets get lost on the way to %s."),
             BYTES(info->bytes_sent), COUNT(info->bytes_retrans), percent, ADDRESS(&socket->peer));
    if (info->dsack_dups > 0)
        sentence(&text, _("The peer reported %s segments that it got twice (DSACK), so some repeats were not needed."),
                 COUNT(info->dsack_dups));
    if (info->rtt_us > 0)
        sentence(&text, _("The round trip is %s now, at the least %s."), DURATION(info->rtt_us * NS_PER_US),
                 DURATION(info->min_rtt_us * NS_PER_US));
    return percent >= SERIOUS_PERCENT ? VERDICT_TROUBLE : VERDICT_NOTE;
}

const struct socket_verdict socket_retransmission_share = {
    .name = "retransmission-share",
    .what = N_("much of what is sent has to be sent again"),
    .judge = judge,
};
