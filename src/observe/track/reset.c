/* SPDX-License-Identifier: MIT */
/*
 * Resets: whose, why, and does the other end take it? The rules are in track.h.
 *
 * What separates the causes is how a reset is made. One that a program causes carries an ACK, since its end knows where
 * it is. One that answers a segment which its end cannot place has no ACK, and its number is what that segment
 * acknowledged (RFC 9293, 3.5.2); or, when that segment had no ACK, number 0 and an ACK of it.
 */
#include "observe/track/track_internal.h"

#define UNANSWERED_LEAST 2

static bool is_accepted(const struct segment *segment)
{
    const struct flow *flow = segment->flow;

    if (segment->peer->state == TCP_STATE_SYN_SENT)
        return (segment->flags & SEGMENT_ACK) && segment->ack >= 1 && segment->ack <= segment->back->nxt;
    if (segment->event.notes & NOTE_BIT(NOTE_CHECKSUM_BAD))
        return false;
    if (!flow->based || !flow->has_ack)
        return true;
    return segment->seq >= flow->acked && segment->seq - flow->nxt <= sequence_reach(segment->conv, segment->from);
}

/* No ACK in it, and its number is what the last segment from the other end acknowledged: an answer to that. */
static enum reset_cause cause_of_answer(const struct segment *segment)
{
    bool closed = segment->side->state == TCP_STATE_CLOSED || segment->side->state == TCP_STATE_TIME_WAIT;

    if (!segment->side->fin_seen || !segment->back->last_data)
        return RESET_NO_SUCH;
    return closed ? RESET_AFTER_CLOSE : RESET_UNREAD;
}

static enum reset_cause cause_of(const struct segment *segment)
{
    bool answers = segment->back->last_acks && segment->packet->seq == segment->back->last_ack_raw;

    if (segment->peer->state == TCP_STATE_SYN_SENT && !segment->side->syn_seen)
        return RESET_REFUSED;
    if (!(segment->flags & SEGMENT_ACK) && answers)
        return cause_of_answer(segment);
    return segment->flow->n_unanswered >= UNANSWERED_LEAST ? RESET_TIMEOUT : RESET_ABORT;
}

static void end_by_reset(struct segment *segment, enum reset_cause cause)
{
    struct conversation *conv = &segment->conv->shown;

    /* One that is in SYN_SENT only refuses a segment of an earlier connection, and goes on waiting. */
    if (segment->side->state != TCP_STATE_SYN_SENT)
        segment->side->state = TCP_STATE_CLOSED;
    segment->peer->state = TCP_STATE_CLOSED;
    conv->ending = cause == RESET_REFUSED ? ENDED_REFUSED : ENDED_RESET;
    if (cause == RESET_REFUSED)
        conv->opening = OPENED_REFUSED;
    conv->reset_by = (uint8_t)segment->from;
    conv->reset_cause = (uint8_t)cause;
}

void reset_of_segment(struct segment *segment)
{
    bool over = state_is_over(&segment->conv->shown), accepted = is_accepted(segment);
    enum reset_cause cause = accepted ? cause_of(segment) : RESET_UNKNOWN;

    note(segment, NOTE_RESET);
    if (cause == RESET_REFUSED)
        note(segment, NOTE_REFUSED);
    segment->event.reset_cause = (uint8_t)cause;
    segment->side->rst_seen = true;
    if (accepted && over) {
        segment->side->state = segment->peer->state = TCP_STATE_CLOSED; /* a TIME_WAIT ends by it */
    } else if (accepted) {
        end_by_reset(segment, cause);
    }
}
