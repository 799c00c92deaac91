/* SPDX-License-Identifier: MIT */
/*
 * Was it seen before, does it come in its turn, or is something missing? The rules are in track.h.
 *
 * What is below the highest number seen and in no hole was seen before; so a gap in the capture costs one hole, and
 * what follows is judged as if nothing had happened.
 */
#include "observe/track/track_internal.h"

#define RTO_LEAST_NS (180 * NS_PER_MS) /* Linux takes 200 ms at least; clocks are coarse */
#define PROBE_ALONE_NS                                                                                                 \
    (200 * NS_PER_MS) /* a tail probe of a single segment waits for a delayed ACK (RFC 8985, 7.2)                      \
                       */
#define PROBE_SLACK_NS (30 * NS_PER_MS)
#define EVIDENCE_NS (20 * NS_PER_MS)
#define DUPLICATES_LEAST 2 /* of the three, one may have been lost */

static int64_t longest(int64_t one, int64_t other)
{
    return one > other ? one : other;
}

/* ---- why was it sent again */

/* Did the receiver just say that it misses this? since_ns is when it was sent last. */
static bool is_asked_for(const struct segment *segment, int64_t since_ns)
{
    const struct flow *flow = segment->flow;
    int64_t recent_ns = longest(EVIDENCE_NS, 2 * rtt_smooth(segment->conv));
    bool first_missing = segment->seq <= flow->acked;

    if (flow->evidence_ns >= since_ns && segment->t_ns - flow->evidence_ns <= recent_ns) {
        if (first_missing && segment->back->n_dup_acks >= DUPLICATES_LEAST)
            return true;
        if (flow->sacked_top >= segment->end && flow->sacked_top > flow->acked)
            return true;
    }
    /* Within a recovery, an ACK that goes up to here and no further asks for it too (RFC 6582). */
    return flow->recover > segment->seq && !flow->recover_rto && first_missing && flow->ack_ns >= since_ns &&
           segment->t_ns - flow->ack_ns <= recent_ns;
}

/* Its sender probes the tail when both can SACK; a repeat of a single segment is then taken for a probe at first. */
static bool is_tail_probe(const struct segment *segment, const struct range *range, int64_t waited_ns)
{
    const struct flow *flow = segment->flow;
    bool can_sack = (segment->side->sack_permitted && segment->peer->sack_permitted) || segment->back->sack_seen;
    int64_t srtt_ns = rtt_smooth(segment->conv);

    if (!can_sack || !range || range->n_sent != 1 || srtt_ns == 0 || segment->end != flow->nxt)
        return false;
    if (segment->back->n_dup_acks > 0 || flow->sacked_top > flow->acked)
        return false;
    bool alone = flow->acked >= range->seq;
    int64_t least_ns = alone ? RTO_LEAST_NS : srtt_ns + srtt_ns / 2;
    int64_t most_ns = 2 * srtt_ns + srtt_ns / 2 + PROBE_SLACK_NS + (alone ? PROBE_ALONE_NS : 0);
    return waited_ns >= least_ns && waited_ns <= most_ns;
}

static void count_cause(struct segment *segment, struct range *range, enum segment_note which)
{
    struct conversation_side *side = segment->side;

    note(segment, which);
    if (which == NOTE_AGAIN_FAST)
        side->n_again_fast++;
    else if (which == NOTE_AGAIN_TLP)
        side->n_again_tlp++;
    else
        side->n_again_rto++;
    if (range && which == NOTE_AGAIN_TLP && range->n_tlp < UINT8_MAX)
        range->n_tlp++;
    if (range && which == NOTE_AGAIN_RTO && range->n_rto < UINT8_MAX)
        range->n_rto++;
}

/* range is what it repeats, before this copy is counted; NULL: not known. since_ns: when it, or what stood for it, was
 * sent last. */
static void find_cause(struct segment *segment, struct range *range, int64_t since_ns)
{
    struct flow *flow = segment->flow;
    int64_t waited_ns = segment->t_ns - longest(since_ns, flow->ack_ns);
    bool recovering = segment->seq < flow->recover;

    if (is_asked_for(segment, since_ns)) {
        count_cause(segment, range, NOTE_AGAIN_FAST);
        if (!recovering)
            flow->recover_rto = false;
    } else if (is_tail_probe(segment, range, waited_ns)) {
        count_cause(segment, range, NOTE_AGAIN_TLP);
        return; /* a probe begins no recovery */
    } else if (segment->seq <= flow->acked && waited_ns >= RTO_LEAST_NS) {
        count_cause(segment, range, NOTE_AGAIN_RTO);
        flow->recover_rto = true;
    } else if (recovering && flow->recover_rto) {
        count_cause(segment, range, NOTE_AGAIN_RTO); /* what the timeout gave up goes again as ACKs make room */
        return;
    } else {
        return;
    }
    if (!recovering)
        flow->recover = flow->nxt;
}

/* ---- again */

/* What it repeats was not lost: as far as its sender has heard, or as it was seen. */
static bool is_spurious(const struct segment *segment)
{
    const struct flow *flow = segment->flow;
    if (flow->has_ack && segment->end <= flow->acked)
        return true;
    if (segment->tracker->fate != FATE_UNKNOWN)
        return ranges_all_marked(flow, segment->seq, segment->end, RANGE_ARRIVED);
    return ranges_all_marked(flow, segment->seq, segment->end, RANGE_SACKED);
}

static void count_stall(struct segment *segment, const struct range *range)
{
    struct conversation_side *side = segment->side;
    int64_t stall_ns = segment->t_ns - range->first_ns;

    if (range->seq == 0 && side->syn_seen) /* SYNs are counted apart */
        return;
    if (stall_ns <= side->stall_ns)
        return;
    side->stall_ns = stall_ns;
    side->first_again_ns = range->first_ns;
    side->stall_first_number = range->number;
    side->stall_n_again = range->n_sent - 1u;
    side->stall_n_rto = range->n_rto;
    side->stall_n_tlp = range->n_tlp;
    side->stall_n_lost = range->n_lost;
}

static void count_lost(const struct segment *segment, struct range *range)
{
    if (segment->tracker->fate == FATE_LOST && range->n_lost < UINT8_MAX)
        range->n_lost++;
}

static void is_again(struct segment *segment, uint64_t n_fresh, int64_t since_ns)
{
    struct conversation_side *side = segment->side;
    struct flow *flow = segment->flow;
    uint64_t n_payload = segment->packet->n_payload;

    ranges_split(segment->tracker, flow, segment->seq);
    ranges_split(segment->tracker, flow, segment->end);
    struct range *range = ranges_find(&flow->sent, segment->seq), *end = ranges_end(&flow->sent);
    if (range && (range->seq > segment->seq || (range->marks & RANGE_LATE && range->number == segment->event.number)))
        range = NULL; /* its beginning is not remembered; or only since this very segment */
    note(segment, NOTE_AGAIN);
    side->n_again++;
    side->n_again_bytes += n_payload > n_fresh ? n_payload - n_fresh : 0;
    bool spurious = n_fresh == 0 && is_spurious(segment);
    if (spurious) {
        note(segment, NOTE_AGAIN_SPURIOUS);
        side->n_again_spurious++;
        if (range)
            range->marks |= RANGE_SPURIOUS;
    }
    /* Where only its sender's knowledge tells that it was not needed, nothing that it knew can have been the cause. */
    if (!spurious || segment->tracker->fate != FATE_UNKNOWN)
        find_cause(segment, range, range ? range->last_ns : since_ns);
    flow->n_unanswered++;
    segment->event.n_repeat = 1;
    if (!range)
        return;
    segment->event.again_of = range->number;
    for (struct range *each = range; each < end && each->seq < segment->end; each++) {
        each->last_ns = segment->t_ns;
        if (each->n_sent < UINT16_MAX)
            each->n_sent++;
        count_lost(segment, each);
    }
    segment->event.n_repeat = range->n_sent - 1u;
    count_stall(segment, range);
}

/* ---- new */

static void append(struct segment *segment, int64_t from)
{
    struct range range = {
        .seq = from,
        .n_bytes = (uint32_t)(segment->end - from),
        .first_ns = segment->t_ns,
        .last_ns = segment->t_ns,
        .number = segment->event.number,
        .n_sent = 1,
    };
    count_lost(segment, &range);
    ranges_append(segment->tracker, segment->flow, &range);
    segment->flow->nxt = segment->end;
    segment->flow->new_ns = segment->t_ns;
    segment->flow->probe_byte = false;
}

static void find_hole(struct segment *segment)
{
    struct hole hole = {.from = segment->flow->nxt, .to = segment->seq, .since_ns = segment->t_ns};

    note(segment, NOTE_HOLE);
    segment->side->n_holes++;
    holes_add(segment->tracker, segment->side, segment->flow, &hole);
    segment->flow->nxt = segment->seq;
}

/* New data below the highest: was it overtaken on its way, or lost before it came here and sent again? */
static void fills_hole(struct segment *segment, uint64_t n_fresh, int64_t since_ns)
{
    int64_t rtt_ns = rtt_least(&segment->conv->shown);
    bool asked = segment->back->n_dup_acks >= DUPLICATES_LEAST && segment->seq <= segment->flow->acked;

    note(segment, NOTE_FILLS_HOLE);
    if (segment->t_ns - since_ns < (rtt_ns > 0 ? rtt_ns : REORDER_NS) && !asked) {
        note(segment, NOTE_OUT_OF_ORDER);
        segment->side->n_out_of_order++;
        return;
    }
    is_again(segment, n_fresh, since_ns);
}

static uint64_t payload_of(const struct segment *segment, uint64_t n_fresh)
{
    uint64_t n_payload = segment->packet->n_payload;
    return n_fresh < n_payload ? n_fresh : n_payload;
}

void loss_of_segment(struct segment *segment)
{
    struct flow *flow = segment->flow;
    int64_t since_ns = segment->t_ns;

    if (segment->seq >= flow->nxt) {
        if (segment->seq > flow->nxt)
            find_hole(segment);
        if (segment->end == segment->seq)
            return;
        segment->side->n_unique_bytes += segment->packet->n_payload;
        append(segment, segment->seq);
        return;
    }
    if (segment->end == segment->seq)
        return;
    int64_t known_end = segment->end < flow->nxt ? segment->end : flow->nxt;
    uint64_t n_filled = holes_fill(segment, segment->seq, known_end, &since_ns);
    uint64_t n_fresh = payload_of(segment, n_filled + (uint64_t)(segment->end - known_end));

    segment->side->n_unique_bytes += n_fresh;
    if (n_filled > 0)
        fills_hole(segment, n_fresh, since_ns);
    else
        is_again(segment, n_fresh, segment->t_ns);
    if (segment->end > flow->nxt)
        append(segment, flow->nxt);
}

/* It is seen to arrive: later copies are not needed. */
void loss_arrives(struct segment *segment)
{
    struct flow *flow = segment->flow;

    if (segment->seq_stray || segment->flags & (SEGMENT_RST | SEGMENT_SYN) || segment->end == segment->seq)
        return;
    ranges_split(segment->tracker, flow, segment->seq);
    ranges_split(segment->tracker, flow, segment->end);
    struct range *range = ranges_find(&flow->sent, segment->seq), *end = ranges_end(&flow->sent);
    for (; range && range < end && range->seq < segment->end; range++) {
        if (range->seq >= segment->seq)
            range->marks |= RANGE_ARRIVED;
    }
}

/* ---- SYN */

static void is_syn_again(struct segment *segment)
{
    struct range *range = ranges_find(&segment->flow->sent, 0);

    note(segment, NOTE_SYN_RETRY);
    segment->side->n_syns_again++;
    segment->event.n_repeat = (uint32_t)segment->side->n_syns - 1;
    if (!(segment->flags & SEGMENT_ACK))
        segment->conv->shown.n_syn_retries++;
    segment->flow->n_unanswered++;
    if (!range || range->seq != 0)
        return;
    range->last_ns = segment->t_ns;
    if (range->n_sent < UINT16_MAX)
        range->n_sent++;
    segment->event.again_of = range->number;
    segment->event.n_repeat = range->n_sent - 1u;
}

void loss_of_syn(struct segment *segment)
{
    struct flow *flow = segment->flow;
    bool late = flow->nxt > 0;

    segment->side->n_syns++;
    if (!segment->syn_is_new) {
        is_syn_again(segment);
    } else if (late && !(segment->flags & SEGMENT_ACK)) {
        note(segment, NOTE_OUT_OF_ORDER); /* its answer was captured before it */
        segment->side->n_out_of_order++;
    }
    if (segment->end > flow->nxt) {
        segment->side->n_unique_bytes += payload_of(segment, (uint64_t)(segment->end - flow->nxt));
        append(segment, flow->nxt);
    }
}
