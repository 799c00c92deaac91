/* SPDX-License-Identifier: MIT */
/*
 * Bytes wait here for our own program. When nothing has come for a while, all of them have waited for that long, and
 * that is certain. While data keeps coming, a queue that was never seen empty may belong to a busy reader; one that has
 * not become smaller does not keep up.
 */
#include "observe/verdict/verdict_internal.h"

#define LONG_NS NS_PER_S

static enum verdict_weight judge(const struct socket_case *about, char ret_short[VERDICT_SHORT_MAX],
                                 char ret_text[VERDICT_TEXT_MAX])
{
    const struct socket_info *socket = about->socket;
    const struct socket_past *past = about->past;
    int64_t quiet_ns = 0, unread_ns = past->unread_since_ns ? since(about->now_ns, past->unread_since_ns) : 0;

    if (socket->state == TCP_STATE_LISTEN || socket->receive_queue == 0 || socket->inode == 0)
        return VERDICT_NONE;
    if (is_connected_tcp(socket) && HAS_INFO(socket, last_data_recv_ms))
        quiet_ns = socket->info.last_data_recv_ms * NS_PER_MS;
    if (quiet_ns <= LONG_NS && unread_ns <= LONG_NS)
        return VERDICT_NONE;
    struct sentences text = sentences_begin(ret_text, VERDICT_TEXT_MAX);
    say_short(ret_short, _("%s unread for %s"), BRIEF(socket->receive_queue),
              DURATION(quiet_ns > unread_ns ? quiet_ns : unread_ns));
    if (quiet_ns > LONG_NS) {
        sentence(&text, _("Unread in Recv-Q: %s, the last of which came %s ago."), BYTES(socket->receive_queue),
                 DURATION(quiet_ns));
        sentence(&text, _("Not the network: %s has not read so far."), PROGRAM(about));
        return VERDICT_TROUBLE;
    }
    if (socket->receive_queue >= past->unread_at_first) {
        sentence(&text, _("Recv-Q has not been seen empty for %s: %s at first, %s now."), DURATION(unread_ns),
                 BYTES(past->unread_at_first), COUNT(socket->receive_queue));
        sentence(&text, _("Not the network: %s reads too slowly, or not at all."), PROGRAM(about));
        return VERDICT_TROUBLE;
    }
    sentence(&text, _("Recv-Q has not been seen empty for %s; %s now. It may be that %s reads too slowly."),
             DURATION(unread_ns), BYTES(socket->receive_queue), PROGRAM(about));
    return VERDICT_NOTE;
}

const struct socket_verdict socket_not_reading = {
    .name = "not-reading",
    .what = N_("our own program does not read what has come"),
    .judge = judge,
};
