/* SPDX-License-Identifier: MIT */
#include "observe/verdict/verdict_internal.h"

#define HIGH_PERCENT 25

static enum verdict_weight judge(const struct socket_case *about, char ret_short[VERDICT_SHORT_MAX],
                                 char ret_text[VERDICT_TEXT_MAX])
{
    const struct socket_info *socket = about->socket;
    uint64_t busy_us, part_us;

    if (!held_back(about, socket->info.rwnd_limited_us, about->past->info_rwnd_limited_us, &busy_us, &part_us))
        return VERDICT_NONE;
    unsigned percent = percent_of(part_us, busy_us);
    if (percent < HIGH_PERCENT)
        return VERDICT_NONE;
    struct sentences text = sentences_begin(ret_text, VERDICT_TEXT_MAX);
    say_short(ret_short, _("peer's window limits: %u %%"), percent);
    sentence(&text,
             _("The peer's window limits the throughput: of %s with something to send, %s (%u %%) were spent waiting "
               "for it."),
             DURATION((int64_t)busy_us * NS_PER_US), DURATION((int64_t)part_us * NS_PER_US), percent);
    if (HAS_INFO(socket, snd_wnd))
        sentence(&text, _("It advertises %s now, and the round trip is %s."), BYTES(socket->info.snd_wnd),
                 DURATION(socket->info.rtt_us * NS_PER_US));
    sentence(&text, _("Either the program at %s reads too slowly, or its receive buffer is small for this path."),
             ADDRESS(&socket->peer));
    return VERDICT_NOTE;
}

const struct socket_verdict socket_peer_window_limits = {
    .name = "peer-window-limits",
    .what = N_("the peer's window limits the throughput"),
    .judge = judge,
};
