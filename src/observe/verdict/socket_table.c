/* SPDX-License-Identifier: MIT */
#include "observe/verdict/verdict_internal.h"

#include <string.h>

const struct socket_verdict *const socket_verdicts[] = {
    &socket_accept_queue_full,
    &socket_not_accepted,
    &socket_nobody_accepts,
    &socket_half_open_piling,
    &socket_accept_queue_filling,
    &socket_window_closed,
    &socket_retransmitting,
    &socket_keep_alive_unanswered,
    &socket_syn_unanswered,
    &socket_receive_buffer_full,
    &socket_not_reading,
    &socket_closing_unanswered,
    &socket_close_wait,
    &socket_udp_drops,
    &socket_retransmission_share,
    &socket_syn_recv,
    &socket_fin_wait_2,
    &socket_send_buffer_limits,
    &socket_peer_window_limits,
    &socket_unsent,
    NULL,
};

const struct socket_verdict *socket_judge(const struct socket_case *about, enum verdict_weight *ret_weight,
                                          char ret_short[VERDICT_SHORT_MAX], char ret_text[VERDICT_TEXT_MAX])
{
    const struct socket_verdict *heaviest = NULL;
    enum verdict_weight weight = VERDICT_NONE;

    for (const struct socket_verdict *const *row = socket_verdicts; *row && weight < VERDICT_TROUBLE; row++) {
        char brief[VERDICT_SHORT_MAX], text[VERDICT_TEXT_MAX];
        enum verdict_weight its = (*row)->judge(about, brief, text);
        if (its <= weight)
            continue;
        heaviest = *row;
        weight = its;
        memcpy(ret_short, brief, sizeof brief);
        memcpy(ret_text, text, sizeof text);
    }
    if (heaviest)
        *ret_weight = weight;
    return heaviest;
}
