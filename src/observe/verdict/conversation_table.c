/* SPDX-License-Identifier: MIT */
#include "observe/verdict/verdict_internal.h"

const struct conversation_verdict *const conversation_verdicts[] = {
    &conversation_refused,
    &conversation_icmp,
    &conversation_no_answer,
    &conversation_half_handshake,
    &conversation_slow_handshake,
    &conversation_reset,
    &conversation_zero_window,
    &conversation_stall,
    &conversation_unacknowledged,
    &conversation_checksum_bad,
    &conversation_half_closed,
    &conversation_last_ack_missing,
    &conversation_spurious,
    &conversation_out_of_order,
    &conversation_keep_alives_only,
    &conversation_tuple_reused,
    &conversation_mss_missing,
    &conversation_no_window_scale,
    &conversation_offload,
    &conversation_begins_midway,
    &conversation_holes,
    &conversation_cut,
    &conversation_seen_twice,
    NULL,
};
