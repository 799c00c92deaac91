/* SPDX-License-Identifier: MIT */
#include "observe/verdict/verdict_internal.h"

static enum verdict_weight judge(const struct socket_case *about, char ret_short[VERDICT_SHORT_MAX],
                                 char ret_text[VERDICT_TEXT_MAX])
{
    const struct socket_info *socket = about->socket;

    if (socket->protocol != IPPROTO_UDP || !socket->has_memory || socket->memory.drops == 0)
        return VERDICT_NONE;
    struct sentences text = sentences_begin(ret_text, VERDICT_TEXT_MAX);
    say_short(ret_short, _("dropped %s datagrams"), BRIEF(socket->memory.drops));
    sentence(&text, _("Datagrams thrown away since this socket was opened: %s. Nobody was told."),
             COUNT(socket->memory.drops));
    sentence(&text,
             _("Mostly because the receive buffer had no room (%s of %s used now, with the kernel's overhead); bad "
               "checksums count too."),
             COUNT(socket->memory.receive_used), BYTES(socket->memory.receive_limit));
    sentence(&text, _("Remedy: %s has to read faster, or needs a larger SO_RCVBUF."), PROGRAM(about));
    return socket->receive_queue > 0 ? VERDICT_TROUBLE : VERDICT_NOTE;
}

const struct socket_verdict socket_udp_drops = {
    .name = "udp-drops",
    .what = N_("datagrams were thrown away for want of room"),
    .judge = judge,
};
