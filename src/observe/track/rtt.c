/* SPDX-License-Identifier: MIT */
/*
 * Round trips, as they look where the packets were captured: from a segment to the first ACK or SACK of all of it. By
 * Karn's rule nothing is learned from what was sent twice, nor from an ACK that covers such bytes.
 */
#include "observe/track/track_internal.h"

/* The acknowledging segment showed a round trip of the other end's. */
void rtt_sample(struct segment *segment, int64_t rtt_ns)
{
    struct conversation_side *peer = segment->peer;
    struct flow *flow = segment->back;

    if (rtt_ns <= 0)
        rtt_ns = 1; /* 0 says that there is none */
    if (peer->n_rtt == 0 || rtt_ns < peer->rtt_min_ns)
        peer->rtt_min_ns = rtt_ns;
    if (rtt_ns > peer->rtt_max_ns)
        peer->rtt_max_ns = rtt_ns;
    if (peer->rtt_sum_ns <= INT64_MAX - rtt_ns) {
        peer->rtt_sum_ns += rtt_ns;
        peer->n_rtt++;
    }
    flow->srtt_ns = flow->srtt_ns == 0 ? rtt_ns : flow->srtt_ns + (rtt_ns - flow->srtt_ns) / 8;
    segment->event.rtt_ns = rtt_ns;
}

/* Both parts of the way, on either side of where the capture was made. */
int64_t rtt_least(const struct conversation *conv)
{
    const struct conversation_side *a = &conv->side[END_A], *b = &conv->side[END_B];
    return (a->n_rtt > 0 ? a->rtt_min_ns : 0) + (b->n_rtt > 0 ? b->rtt_min_ns : 0);
}

int64_t rtt_smooth(const struct tracked *conv)
{
    return conv->flow[END_A].srtt_ns + conv->flow[END_B].srtt_ns;
}
