/* SPDX-License-Identifier: MIT */
/*
 * Both ends' states after a segment (RFC 9293, 3.3.2), from segments alone: first what its sender must have been in to
 * send it, then what it does to the other end, as if it arrived at once.
 *
 * What was assumed gives way to what is seen: a FIN or SYN-ACK that is sent again shows that its acknowledgement was
 * not received, so its sender is set back; so is the sender of a FIN that does not acknowledge the other end's.
 */
#include "observe/track/track_internal.h"

bool state_is_over(const struct conversation *conv)
{
    for (unsigned end = 0; end < N_ENDS; end++) {
        uint8_t state = conv->side[end].state;
        if (state != TCP_STATE_CLOSED && state != TCP_STATE_TIME_WAIT)
            return false;
    }
    return true;
}

/* ---- opening */

static void take_syn(struct segment *segment)
{
    struct conversation_side *side = segment->side, *peer = segment->peer;
    struct conversation *conv = &segment->conv->shown;

    if (segment->syn_is_new && segment->back->syn_ack)
        return; /* late: its answer was captured before it */
    if (segment->flow->nxt > segment->end)
        return; /* late: its sender is further by now */
    if (segment->syn_is_new && peer->syn_seen) {
        note(segment, NOTE_SIMULTANEOUS_OPEN);
        segment->conv->simultaneous = true;
        side->state = peer->state = TCP_STATE_SYN_RECV;
        return;
    }
    if (side->state == TCP_STATE_SYN_RECV)
        return; /* of a simultaneous open, again */
    side->state = TCP_STATE_SYN_SENT;
    peer->state = TCP_STATE_SYN_RECV;
    conv->opening = OPENED_NOT_YET;
    conv->ending = ENDED_NOT;
    conv->reset_by = N_ENDS;
    conv->reset_cause = RESET_UNKNOWN;
}

static void take_syn_ack(struct segment *segment)
{
    struct conversation_side *side = segment->side, *peer = segment->peer;
    bool nothing_since = segment->flow->nxt <= 1 && !segment->syn_is_new;

    if (side->state == TCP_STATE_LISTEN || side->state == TCP_STATE_UNKNOWN || side->state == TCP_STATE_SYN_SENT ||
        (side->state == TCP_STATE_ESTABLISHED && nothing_since))
        side->state = TCP_STATE_SYN_RECV;
    if (peer->state == TCP_STATE_SYN_SENT || peer->state == TCP_STATE_SYN_RECV || peer->state == TCP_STATE_UNKNOWN)
        peer->state = TCP_STATE_ESTABLISHED;
}

/* Sending this takes more than the handshake as far as it was seen. */
static void sender_is_open(struct segment *segment)
{
    struct conversation_side *side = segment->side, *peer = segment->peer;
    bool more = segment->packet->n_payload > 0 || (segment->flags & SEGMENT_FIN);

    if (side->state == TCP_STATE_UNKNOWN)
        side->state = TCP_STATE_ESTABLISHED;
    if (peer->state == TCP_STATE_UNKNOWN)
        peer->state = TCP_STATE_ESTABLISHED;
    if (side->state == TCP_STATE_SYN_SENT && segment->has_ack)
        side->state = TCP_STATE_ESTABLISHED; /* the SYN-ACK was not captured */
    if (side->state == TCP_STATE_SYN_RECV && more && !segment->back->fast_open)
        side->state = TCP_STATE_ESTABLISHED; /* the ACK was not captured */
}

static void check_opened(struct segment *segment)
{
    struct conversation *conv = &segment->conv->shown;
    const uint8_t a = conv->side[END_A].state, b = conv->side[END_B].state;

    if (conv->opening != OPENED_NOT_YET || a < TCP_STATE_ESTABLISHED || b < TCP_STATE_ESTABLISHED)
        return;
    conv->opening = segment->conv->simultaneous ? OPENED_SIMULTANEOUSLY : OPENED_HANDSHAKE;
    conv->established_ns = segment->t_ns != 0 ? segment->t_ns : 1;
}

/* ---- closing */

/* The peer's FIN has come to this end. */
static void fin_comes(struct conversation_side *side, struct flow *flow, struct flow *peers)
{
    peers->fin_arrived = true;
    peers->fin_late = false;
    if (side->state == TCP_STATE_ESTABLISHED || side->state == TCP_STATE_SYN_RECV)
        side->state = TCP_STATE_CLOSE_WAIT;
    else if (side->state == TCP_STATE_FIN_WAIT_1)
        side->state = flow->fin_acked ? TCP_STATE_TIME_WAIT : TCP_STATE_CLOSING;
    else if (side->state == TCP_STATE_FIN_WAIT_2 || (side->state == TCP_STATE_CLOSING && flow->fin_acked))
        side->state = TCP_STATE_TIME_WAIT;
}

static void plan_ending(struct segment *segment)
{
    struct tracked *conv = segment->conv;

    if (!segment->peer->fin_seen) {
        conv->shown.closed_first = (uint8_t)segment->from;
        conv->shown.ending = ENDED_HALF;
        return;
    }
    conv->shown.ending = ENDED_WITHOUT_ACK;
    if (!segment->has_ack || segment->ack <= segment->back->fin_seq)
        conv->ending_planned = ENDED_SIMULTANEOUSLY;
    else
        conv->ending_planned = segment->back->fin_acked ? ENDED_IN_4 : ENDED_IN_3;
}

static void first_fin(struct segment *segment)
{
    struct conversation_side *side = segment->side;
    struct flow *back = segment->back;
    bool crossed = segment->peer->fin_seen && !back->fin_acked && (!segment->has_ack || segment->ack <= back->fin_seq);

    segment->flow->fin_seq = segment->end - 1;
    side->fin_seen = true;
    if (side->state == TCP_STATE_CLOSED || side->state == TCP_STATE_TIME_WAIT)
        return; /* after a reset */
    if (crossed)
        note(segment, NOTE_SIMULTANEOUS_CLOSE);
    plan_ending(segment);
    if (side->state == TCP_STATE_CLOSE_WAIT && !crossed) {
        side->state = TCP_STATE_LAST_ACK;
        return;
    }
    if (side->state == TCP_STATE_CLOSE_WAIT) { /* the peer's FIN had not come after all */
        back->fin_arrived = false;
        back->fin_late = true;
    }
    side->state = TCP_STATE_FIN_WAIT_1;
}

/* It was not acknowledged after all, as far as its sender knows. */
static void fin_again(struct segment *segment)
{
    struct conversation *conv = &segment->conv->shown;
    uint8_t *state = &segment->side->state;

    if (!segment->flow->fin_acked || conv->ending == ENDED_RESET)
        return;
    segment->flow->fin_acked = false;
    if (segment->peer->fin_seen)
        conv->ending = ENDED_WITHOUT_ACK;
    if (*state == TCP_STATE_TIME_WAIT && segment->has_ack && segment->ack <= segment->back->fin_seq) {
        segment->back->fin_arrived = false; /* nor has the peer's FIN come */
        *state = TCP_STATE_FIN_WAIT_1;
    } else if (*state == TCP_STATE_FIN_WAIT_2 || *state == TCP_STATE_CLOSING) {
        *state = TCP_STATE_FIN_WAIT_1;
    } else if (*state == TCP_STATE_TIME_WAIT) {
        *state = TCP_STATE_CLOSING;
    } else if (*state == TCP_STATE_CLOSED) {
        *state = TCP_STATE_LAST_ACK;
    }
}

/* Where the FINs cross, this ACK comes behind the FIN that was still on its way, and is told as that FIN's coming:
 * CLOSING. What it does itself, TIME_WAIT, is told when that end shows that it has the FIN. */
static void fin_acknowledged(struct segment *segment)
{
    struct conversation *conv = &segment->conv->shown;
    uint8_t *state = &segment->peer->state;
    bool late = segment->flow->fin_late && !(segment->flags & SEGMENT_FIN);

    segment->back->fin_acked = true;
    if (*state == TCP_STATE_FIN_WAIT_1 && late)
        *state = TCP_STATE_CLOSING;
    else if (*state == TCP_STATE_FIN_WAIT_1)
        *state = TCP_STATE_FIN_WAIT_2;
    else if (*state == TCP_STATE_CLOSING)
        *state = TCP_STATE_TIME_WAIT;
    else if (*state == TCP_STATE_LAST_ACK)
        *state = TCP_STATE_CLOSED;
    if (conv->ending == ENDED_WITHOUT_ACK && segment->flow->fin_acked)
        conv->ending = segment->conv->ending_planned;
}

/* ---- */

static void take_plain(struct segment *segment)
{
    struct flow *flow = segment->flow, *back = segment->back;
    bool acks_fin = segment->has_ack && segment->peer->fin_seen && segment->ack > back->fin_seq;

    sender_is_open(segment);
    if (acks_fin && !back->fin_arrived)
        fin_comes(segment->side, flow, back);
    if (segment->fin_is_new)
        first_fin(segment);
    else if (segment->flags & SEGMENT_FIN)
        fin_again(segment);

    if (segment->has_ack && segment->ack >= 1 && segment->peer->state == TCP_STATE_SYN_RECV)
        segment->peer->state = TCP_STATE_ESTABLISHED;
    if (acks_fin && !back->fin_acked)
        fin_acknowledged(segment);
    bool may_complete = (segment->flags & SEGMENT_FIN) || noted(segment, NOTE_FILLS_HOLE);
    if (segment->side->fin_seen && may_complete && !flow->fin_arrived && !holes_open(flow))
        fin_comes(segment->peer, back, flow);
}

void state_of_segment(struct segment *segment)
{
    if (segment->flags & SEGMENT_RST) {
        reset_of_segment(segment);
        return;
    }
    if (segment->seq_stray)
        return;
    if (!(segment->flags & SEGMENT_SYN))
        take_plain(segment);
    else if (segment->flags & SEGMENT_ACK)
        take_syn_ack(segment);
    else
        take_syn(segment);
    check_opened(segment);
}

/* Midway, either end may have closed before the capture began, until it is seen to send something new. */
void state_guesses(struct segment *segment)
{
    bool new_data = segment->packet->n_payload > 0 && !noted(segment, NOTE_AGAIN) && !noted(segment, NOTE_KEEP_ALIVE) &&
                    !noted(segment, NOTE_WINDOW_PROBE);
    const struct tracked *conv = segment->conv;

    if (!segment->seq_stray && (new_data || (segment->flags & (SEGMENT_SYN | SEGMENT_FIN))))
        segment->flow->alive = true;
    bool guess = conv->shown.begins_midway && !(conv->flow[END_A].alive && conv->flow[END_B].alive);
    for (unsigned end = 0; end < N_ENDS; end++) {
        uint8_t state = conv->shown.side[end].state;
        segment->event.state[end] = state;
        segment->event.state_guess[end] = guess && state != TCP_STATE_CLOSED && state != TCP_STATE_UNKNOWN;
    }
}
