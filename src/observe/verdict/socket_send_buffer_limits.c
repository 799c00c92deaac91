/* SPDX-License-Identifier: MIT */
#include "observe/verdict/verdict_internal.h"

#define HIGH_PERCENT 25

static enum verdict_weight judge(const struct socket_case *about, char ret_short[VERDICT_SHORT_MAX],
                                 char ret_text[VERDICT_TEXT_MAX])
{
    const struct socket_info *socket = about->socket;
    uint64_t busy_us, part_us;

    if (!held_back(about, socket->info.sndbuf_limited_us, about->past->info_sndbuf_limited_us, &busy_us, &part_us))
        return VERDICT_NONE;
    unsigned percent = percent_of(part_us, busy_us);
    if (percent < HIGH_PERCENT)
        return VERDICT_NONE;
    struct sentences text = sentences_begin(ret_text, VERDICT_TEXT_MAX);
    say_short(ret_short, _("send buffer limits: %u %%"), percent);
    sentence(&text,
             _("The send buffer limits the throughput: of %s with something to send, %s (%u %%) were spent with the "
               "buffer full and all of it in flight."),
             DURATION((int64_t)busy_us * NS_PER_US), DURATION((int64_t)part_us * NS_PER_US), percent);
    if (socket->has_memory)
        sentence(&text, _("The buffer is %s now, with the kernel's overhead."), BYTES(socket->memory.send_limit));
    sentence(&text, _("Remedy: a larger SO_SNDBUF; or none, as setting it ends the kernel's own growth (up to "
                      "tcp_wmem)."));
    return VERDICT_NOTE;
}

const struct socket_verdict socket_send_buffer_limits = {
    .name = "send-buffer-limits",
    .what = N_("our send buffer limits the throughput"),
    .judge = judge,
};
