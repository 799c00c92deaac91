/* SPDX-License-Identifier: MIT */
/* The receive buffer has no room. A stream's peer has to wait; datagrams are thrown away, and nobody is told. */
#include "observe/verdict/verdict_internal.h"

#define LEFT_SHARE 16 /* full: less than one part of so many is left */

static bool we_advertise_zero(const struct socket_info *socket)
{
    return is_connected_tcp(socket) && HAS_INFO(socket, rcv_wnd) && socket->info.rcv_wnd == 0;
}

static bool is_full(const struct socket_info *socket)
{
    uint32_t used = socket->memory.receive_used, limit = socket->memory.receive_limit;
    return socket->has_memory && limit > 0 && used >= limit - limit / LEFT_SHARE &&
           (socket->protocol == IPPROTO_UDP || is_connected_tcp(socket));
}

static enum verdict_weight judge(const struct socket_case *about, char ret_short[VERDICT_SHORT_MAX],
                                 char ret_text[VERDICT_TEXT_MAX])
{
    const struct socket_info *socket = about->socket;
    bool zero = we_advertise_zero(socket), full = is_full(socket), datagrams = socket->protocol == IPPROTO_UDP;

    if (socket->receive_queue == 0 || socket->inode == 0 || (!zero && !full))
        return VERDICT_NONE;
    struct sentences text = sentences_begin(ret_text, VERDICT_TEXT_MAX);
    say_short(ret_short, "%s", zero ? _("not reading: our window 0") : _("receive buffer full"));
    if (zero)
        sentence(&text, _("We advertise window 0 to %s, so that it has to wait: %s unread in Recv-Q."),
                 ADDRESS(&socket->peer), BYTES(socket->receive_queue));
    if (full)
        sentence(&text, _("The receive buffer is full, or nearly: %s of %s, with the kernel's overhead."),
                 COUNT(socket->memory.receive_used), BYTES(socket->memory.receive_limit));
    if (datagrams)
        sentence(&text, _("Datagrams that do not fit are thrown away without a word to their senders."));
    if (datagrams && socket->has_memory && socket->memory.drops > 0)
        sentence(&text, _("Thrown away since it was opened: %s."), COUNT(socket->memory.drops));
    int64_t unread_ns = about->past->unread_since_ns ? since(about->now_ns, about->past->unread_since_ns) : 0;
    if (unread_ns >= NS_PER_MS)
        sentence(&text, _("Recv-Q has not been seen empty for %s."), DURATION(unread_ns));
    sentence(&text, _("Not the network: %s does not read fast enough, or not at all."), PROGRAM(about));
    return zero || datagrams ? VERDICT_TROUBLE : VERDICT_NOTE;
}

const struct socket_verdict socket_receive_buffer_full = {
    .name = "receive-buffer-full",
    .what = N_("our own receive buffer is full"),
    .judge = judge,
};
