/* SPDX-License-Identifier: MIT */
/*
 * The wire's 32 bits as 64 bits relative to the ISN: the number nearest to the highest one seen.
 *
 * A number that is further from it than any window reaches is not believed at first, since it may be forged or damaged:
 * nothing is concluded from its segment. When the next number agrees with it, it is the capture that has a gap, and the
 * direction goes on from there. So neither one bad packet nor a gap of any length stops the rest from being understood.
 */
#include "observe/track/track_internal.h"

#include <stdlib.h>

#define REACH_LEAST (INT64_C(4) << 20)
#define REACH_UNSCALED (INT64_C(256) << 20)
#define WINDOWS_AHEAD 4
#define BACK_MOST (INT64_C(1) << 29)
#define SCALE_MAX 14 /* RFC 7323 */

/* ---- window scale: in use when both SYNs offer it, so a SYN without it settles it for both. */

bool scale_known(const struct tracked *conv, enum event_end end)
{
    const struct conversation_side *side = &conv->shown.side[end], *peer = &conv->shown.side[other_end(end)];
    if ((side->syn_seen && side->window_scale < 0) || (peer->syn_seen && peer->window_scale < 0))
        return true;
    if (!side->syn_seen)
        return false;
    /* A SYN-ACK offers it only when the SYN did. */
    return peer->syn_seen || conv->flow[end].syn_ack;
}

unsigned scale_of(const struct tracked *conv, enum event_end end)
{
    const struct conversation_side *side = &conv->shown.side[end], *peer = &conv->shown.side[other_end(end)];
    if (!scale_known(conv, end) || side->window_scale < 0 || (peer->syn_seen && peer->window_scale < 0))
        return 0;
    return side->window_scale < SCALE_MAX ? (unsigned)side->window_scale : SCALE_MAX;
}

/* ---- numbers */

int64_t sequence_unwrap(const struct conversation_side *side, const struct flow *flow, uint32_t raw)
{
    uint32_t highest_raw = side->isn + (uint32_t)flow->nxt;
    return flow->nxt + (int32_t)(raw - highest_raw);
}

int64_t sequence_reach(const struct tracked *conv, enum event_end end)
{
    enum event_end peer = other_end(end);
    if (!scale_known(conv, peer))
        return REACH_UNSCALED;
    int64_t reach = (int64_t)conv->flow[peer].window_max * WINDOWS_AHEAD;
    return reach > REACH_LEAST ? reach : REACH_LEAST;
}

void sequence_restart(struct tracker *tracker, struct flow *flow)
{
    follow_drop(tracker, flow);
    flow->sent.n = flow->sent.n_acked = 0;
    flow->holes.n = 0;
    flow->nxt = flow->acked = flow->sacked_top = flow->recover = flow->handed = 0;
    flow->n_missing = 0;
    flow->has_ack = flow->has_suspect = flow->handing = flow->probe_byte = false;
}

/* Midway: what comes first is called 1. */
static void base(struct conversation_side *side, struct flow *flow, uint32_t first_raw)
{
    side->isn = first_raw - 1;
    flow->nxt = 1;
    flow->based = true;
}

/* Two numbers in a row say so: the direction goes on there, forward by up to 4 GiB, or back when it was only there by
 * mistake. */
static int64_t resume(struct tracker *tracker, struct conversation_side *side, struct flow *flow, uint32_t raw)
{
    int64_t number = sequence_unwrap(side, flow, raw), away = number - flow->nxt;
    bool handing = flow->handing;

    if (away >= 0)
        return number;
    if (away < -BACK_MOST)
        return number + (INT64_C(1) << 32);
    sequence_restart(tracker, flow);
    flow->nxt = number;
    flow->handing = handing;
    flow->handed = number;
    return number;
}

/* Unwrap; false: it is not to be believed yet. */
static bool believe(struct segment *segment, enum event_end whose, uint32_t raw, bool ahead_only, int64_t *ret_number)
{
    struct conversation_side *side = &segment->conv->shown.side[whose];
    struct flow *flow = &segment->conv->flow[whose];
    int64_t reach = sequence_reach(segment->conv, whose);

    *ret_number = sequence_unwrap(side, flow, raw);
    int64_t away = *ret_number - flow->nxt;
    if (away <= reach && away >= -reach) {
        flow->has_suspect = false;
        return true;
    }
    if (ahead_only && away < 0)
        return false;
    if (flow->has_suspect && raw - flow->suspect <= (uint32_t)reach) {
        flow->has_suspect = false;
        *ret_number = resume(segment->tracker, side, flow, raw);
        return true;
    }
    flow->has_suspect = true;
    flow->suspect = raw;
    return false;
}

void sequence_take(struct segment *segment)
{
    const struct decoded *packet = segment->packet;
    bool reset = segment->flags & SEGMENT_RST, syn = segment->flags & SEGMENT_SYN;

    if (!segment->flow->based && !reset)
        base(segment->side, segment->flow, packet->seq);
    if (reset || segment->seq_stray) /* syn.c has refused it, or it proves nothing */
        segment->seq = segment->flow->based ? sequence_unwrap(segment->side, segment->flow, packet->seq) : 0;
    else if (syn)
        segment->seq = 0;
    else
        segment->seq_stray = !believe(segment, segment->from, packet->seq, false, &segment->seq);
    segment->end = segment->seq + packet->n_payload + (syn ? 1 : 0) + (segment->flags & SEGMENT_FIN ? 1 : 0);

    if (!(segment->flags & SEGMENT_ACK))
        return;
    if (!segment->back->based && !reset)
        base(segment->peer, segment->back, packet->ack);
    segment->ack = segment->back->based ? sequence_unwrap(segment->peer, segment->back, packet->ack) : 0;
    if (reset || segment->seq_stray || !segment->back->based)
        return;
    segment->has_ack = believe(segment, segment->to, packet->ack, true, &segment->ack);
}
