/* SPDX-License-Identifier: MIT */
/* The kernel completes a handshake without the program: the connection has no descriptor, thus no inode, until
 * accept(). A closed descriptor is another matter, as that changes the state too. */
#include "observe/verdict/verdict_internal.h"

#define LONG_NS NS_PER_S

static enum verdict_weight judge(const struct socket_case *about, char ret_short[VERDICT_SHORT_MAX],
                                 char ret_text[VERDICT_TEXT_MAX])
{
    const struct socket_info *socket = about->socket;
    int64_t age_ns = state_least_ns(about);

    if (socket->protocol != IPPROTO_TCP || socket->inode != 0 || age_ns < LONG_NS)
        return VERDICT_NONE;
    if (socket->state != TCP_STATE_ESTABLISHED && socket->state != TCP_STATE_CLOSE_WAIT)
        return VERDICT_NONE;
    struct sentences text = sentences_begin(ret_text, VERDICT_TEXT_MAX);
    say_short(ret_short, _("not accepted for %s"), DURATION(age_ns));
    sentence(&text,
             _("The handshake is complete, but no program has held this connection for at least %s: most likely it "
               "waits in its listener's accept queue, for accept()."),
             DURATION(age_ns));
    if (socket->state == TCP_STATE_CLOSE_WAIT)
        sentence(&text, _("The peer has already ended its side."));
    if (socket->receive_queue > 0)
        sentence(&text,
                 ngettext("The peer has sent %s byte, which waits here unread.",
                          "The peer has sent %s bytes, which wait here unread.", socket->receive_queue),
                 COUNT(socket->receive_queue));
    sentence(&text, _("Look at the program that listens on port %u."), (unsigned)socket->local.port);
    return VERDICT_TROUBLE;
}

const struct socket_verdict socket_not_accepted = {
    .name = "not-accepted",
    .what = N_("a connection is open, but no program has accepted it"),
    .judge = judge,
};
