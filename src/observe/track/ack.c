/* SPDX-License-Identifier: MIT */
/* What a segment acknowledges: with its number, with SACK, and by saying the same again. The rules are in track.h. */
#include "observe/track/track_internal.h"

/* ---- SACK */

static void count_spurious(struct segment *segment, int64_t from, int64_t to)
{
    struct range *range = ranges_find(&segment->back->sent, from), *end = ranges_end(&segment->back->sent);

    if (segment->tracker->fate != FATE_UNKNOWN)
        return; /* it was seen what arrived */
    for (; range && range < end && range->seq < to; range++) {
        if (range->n_sent < 2 || (range->marks & RANGE_SPURIOUS))
            continue;
        range->marks |= RANGE_SPURIOUS;
        segment->peer->n_again_spurious++;
    }
}

/* Newly SACKed ranges; the one that was sent last shows a round trip. */
static void mark_sacked(struct segment *segment, int64_t from, int64_t to)
{
    ranges_split(segment->tracker, segment->back, from);
    ranges_split(segment->tracker, segment->back, to);
    struct range *range = ranges_find(&segment->back->sent, from), *end = ranges_end(&segment->back->sent);
    const struct range *latest = NULL;
    bool news = false;

    for (; range && range < end && range->seq < to; range++) {
        if ((range->marks & RANGE_SACKED) || range->seq < from || range->seq + range->n_bytes > to)
            continue;
        range->marks |= RANGE_SACKED;
        news = true;
        if (range->n_sent == 1 && !(range->marks & RANGE_LATE))
            latest = range;
    }
    if (latest)
        rtt_sample(segment, segment->t_ns - latest->first_ns);
    if (to > segment->back->sacked_top) {
        segment->back->sacked_top = to;
        news = true;
    }
    if (news)
        segment->back->evidence_ns = segment->t_ns;
}

/* Returns how many blocks report something above the ACK. RFC 2883: the first block reports a duplicate when it lies
 * below the ACK, or within the second block. */
static unsigned take_sacks(struct segment *segment, bool *ret_duplicate)
{
    const struct decoded *packet = segment->packet;
    int64_t reach = sequence_reach(segment->conv, segment->to);
    int64_t second_from = 0, second_to = 0;
    unsigned n_above = 0, n = packet->options.n_sacks;

    n = n < SEGMENT_SACKS_MAX ? n : SEGMENT_SACKS_MAX;
    for (unsigned i = n; i-- > 0;) {
        int64_t from = sequence_unwrap(segment->peer, segment->back, (uint32_t)packet->options.sack[i].from);
        int64_t to = sequence_unwrap(segment->peer, segment->back, (uint32_t)packet->options.sack[i].to);
        segment->event.options.sack[i].from = from > 0 ? (uint64_t)from : 0;
        segment->event.options.sack[i].to = to > 0 ? (uint64_t)to : 0;
        if (to <= from || to - segment->back->nxt > reach || segment->back->nxt - from > reach || !segment->has_ack)
            continue;
        segment->flow->sack_seen = true;
        bool within_second = i == 0 && from >= second_from && to <= second_to;
        if (i == 0 && (to <= segment->ack || within_second)) {
            *ret_duplicate = true;
            note(segment, NOTE_DSACK);
            count_spurious(segment, from, to);
        } else if (to > segment->ack) {
            n_above++;
            mark_sacked(segment, from, to);
        }
        if (i == 1) {
            second_from = from;
            second_to = to;
        }
    }
    return n_above;
}

/* ---- acknowledged */

static void end_stall(struct segment *segment, const struct range *range)
{
    struct conversation_side *peer = segment->peer;
    int64_t stall_ns = segment->t_ns - range->first_ns;

    if (range->n_sent < 2 || stall_ns <= peer->stall_ns || (range->seq == 0 && peer->syn_seen))
        return;
    peer->stall_ns = stall_ns;
    peer->first_again_ns = range->first_ns;
    peer->stall_first_number = range->number;
    peer->stall_n_again = range->n_sent - 1u;
    peer->stall_n_rto = range->n_rto;
    peer->stall_n_tlp = range->n_tlp;
    peer->stall_n_lost = range->n_lost;
}

static void acknowledge_ranges(struct segment *segment)
{
    struct ranges *sent = &segment->back->sent;
    const struct range *latest = NULL;
    bool ambiguous = false;

    while (sent->n_acked < sent->n) {
        const struct range *range = &sent->range[sent->n_acked];
        if (range->seq + range->n_bytes > segment->ack)
            break;
        sent->n_acked++;
        end_stall(segment, range);
        if (range->marks & RANGE_SACKED)
            continue;
        ambiguous |= range->n_sent > 1 || (range->marks & RANGE_LATE);
        latest = range;
    }
    if (latest && !ambiguous && segment->event.rtt_ns == 0)
        rtt_sample(segment, segment->t_ns - latest->first_ns);
}

/* Bytes that are acknowledged and were never seen. */
static void find_missing(struct segment *segment)
{
    struct flow *back = segment->back;

    if (back->probe_byte && segment->ack == back->nxt + 1) { /* the window probe's byte was taken */
        segment->peer->n_unique_bytes++;
        back->nxt++;
        back->probe_byte = false;
    }
    if (holes_acknowledge(segment->peer, back, segment->ack, segment->t_ns) > 0)
        note(segment, NOTE_NOT_CAPTURED);
    if (segment->ack <= back->nxt)
        return;
    struct hole hole = {.from = back->nxt, .to = segment->ack, .since_ns = segment->t_ns, .acked = true};
    holes_add(segment->tracker, segment->peer, back, &hole);
    back->nxt = segment->ack;
    note(segment, NOTE_NOT_CAPTURED);
}

/* ---- the same again */

/* RFC 5681: no data, the same ACK and window while there is data outstanding; RFC 6675: or it SACKs something, whatever
 * its window. Only reporting a duplicate, or answering a question, does not count; nor does a segment with data. */
static bool is_duplicate(const struct segment *segment, unsigned n_above, bool duplicate)
{
    if (!segment->pure || !segment->ack_same)
        return false;
    if (noted(segment, NOTE_KEEP_ALIVE) || noted(segment, NOTE_WINDOW_PROBE))
        return false;
    if (n_above > 0)
        return true;
    bool outstanding = segment->back->nxt > segment->ack;
    return outstanding && !duplicate && segment->back->asks == ASKS_NOTHING && segment->old_window_known &&
           segment->side->window == segment->old_window && segment->seq == segment->flow->nxt;
}

void ack_of_segment(struct segment *segment)
{
    struct flow *flow = segment->flow, *back = segment->back;
    bool duplicate = false;

    if (!segment->has_ack) {
        take_sacks(segment, &duplicate); /* only to show their numbers */
        return;
    }
    find_missing(segment);
    unsigned n_above = take_sacks(segment, &duplicate);
    if (segment->ack_moved) {
        acknowledge_ranges(segment);
        back->acked = segment->ack;
        back->has_ack = true;
        back->ack_ns = segment->t_ns;
        flow->n_dup_acks = 0;
    } else if (is_duplicate(segment, n_above, duplicate)) {
        note(segment, NOTE_DUPLICATE_ACK);
        if (flow->n_dup_acks < UINT16_MAX)
            flow->n_dup_acks++;
        segment->event.n_repeat = flow->n_dup_acks;
        segment->side->n_duplicate_acks++;
        back->evidence_ns = segment->t_ns;
    }
}
