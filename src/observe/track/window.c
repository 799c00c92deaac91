/* SPDX-License-Identifier: MIT */
/* The receive window: what each end advertises, questions to a closed one and to a silent peer, and their answers. */
#include "observe/track/track_internal.h"

#define KEEP_ALIVE_LEAST_NS (900 * NS_PER_MS) /* TCP_KEEPIDLE counts seconds; clocks are coarse */

/* ---- closed stretches */

void window_time(struct conversation *conv, int64_t now_ns)
{
    for (unsigned end = 0; end < N_ENDS; end++) {
        struct conversation_side *side = &conv->side[end];
        int64_t length_ns = now_ns - side->zero_since_ns;
        if (side->zero_since_ns != 0 && length_ns > side->zero_longest_ns) {
            side->zero_first_ns = side->zero_since_ns;
            side->zero_longest_ns = length_ns;
        }
    }
}

static void closes(struct segment *segment)
{
    struct conversation_side *side = segment->side;
    if (side->zero_since_ns != 0)
        return;
    side->zero_since_ns = segment->t_ns != 0 ? segment->t_ns : 1;
    side->n_zero_windows++;
    segment->back->n_probes = 0;
}

static void opens(struct segment *segment)
{
    struct conversation_side *side = segment->side;
    if (side->zero_since_ns == 0)
        return;
    window_time(&segment->conv->shown, segment->t_ns);
    if (segment->t_ns > side->zero_since_ns)
        side->zero_total_ns += segment->t_ns - side->zero_since_ns;
    side->zero_since_ns = 0;
    segment->back->probe_byte = false;
}

/* ---- questions */

static void asks_window(struct segment *segment)
{
    struct flow *flow = segment->flow;

    note(segment, NOTE_WINDOW_PROBE);
    flow->asks = ASKS_WINDOW;
    flow->n_unanswered++;
    if (flow->n_probes < UINT16_MAX)
        flow->n_probes++;
    segment->event.n_repeat = flow->n_probes;
    segment->side->n_probes++;
}

static void asks_alive(struct segment *segment)
{
    note(segment, NOTE_KEEP_ALIVE);
    segment->flow->asks = ASKS_ALIVE;
    segment->flow->n_unanswered++;
    segment->side->n_keep_alives++;
}

bool window_question(struct segment *segment)
{
    struct flow *flow = segment->flow;
    uint32_t n_payload = segment->packet->n_payload;
    bool closed = segment->peer->zero_since_ns != 0;
    bool below = segment->seq == flow->nxt - 1;

    flow->asks = ASKS_NOTHING;
    if ((segment->flags & (SEGMENT_SYN | SEGMENT_FIN | SEGMENT_RST)) || n_payload > 1 || segment->seq_stray)
        return false;
    if (closed && n_payload == 1 && segment->seq == flow->nxt && flow->acked == flow->nxt) {
        flow->probe_byte = true; /* it counts as sent when it is acknowledged */
        asks_window(segment);
        return true;
    }
    if (!below ||
        (flow->has_ack && flow->acked < flow->nxt)) /* with data outstanding, that is a repeat, or came late */
        return false;
    if (closed) {
        asks_window(segment);
        return true;
    }
    if (segment->t_ns - flow->new_ns < KEEP_ALIVE_LEAST_NS || (segment->side->fin_seen && n_payload == 1))
        return false; /* an ACK that was overtaken by the byte behind it */
    asks_alive(segment);
    return true;
}

/* ---- what is advertised */

void window_take(struct segment *segment)
{
    struct conversation_side *side = segment->side;
    struct flow *flow = segment->flow;
    bool syn = segment->flags & SEGMENT_SYN, known = scale_known(segment->conv, segment->from);
    uint64_t window = (uint64_t)segment->packet->window << (syn ? 0 : scale_of(segment->conv, segment->from));

    segment->event.window = window;
    segment->old_window = side->window;
    segment->old_window_known = flow->has_window && !flow->syn_window;
    if (segment->flags & SEGMENT_RST)
        return; /* it advertises nothing */
    if (!syn && !known)
        note(segment, NOTE_SCALE_UNKNOWN);
    bool old = (segment->flags & SEGMENT_ACK) && !segment->ack_moved && !segment->ack_same;
    if (segment->seq_stray || old)
        return;
    side->window = window;
    flow->has_window = true;
    flow->syn_window = syn;
    if (window > flow->window_max)
        flow->window_max = (uint32_t)window;
    if (window == 0)
        closes(segment);
    else
        opens(segment);
    window_time(&segment->conv->shown, segment->t_ns);
}

static bool is_answer(const struct segment *segment)
{
    return segment->pure && segment->ack_same && segment->seq == segment->flow->nxt &&
           segment->back->asks != ASKS_NOTHING;
}

static void find_answer(struct segment *segment)
{
    bool alive = segment->back->asks == ASKS_ALIVE;

    if (alive)
        note(segment, NOTE_KEEP_ALIVE_ANSWER);
    else if (segment->side->window == 0)
        note(segment, NOTE_PROBE_ANSWER);
    segment->back->asks = ASKS_NOTHING;
}

static bool fills_window(const struct segment *segment)
{
    const struct flow *flow = segment->flow;
    return segment->packet->n_payload > 0 && !(segment->flags & (SEGMENT_SYN | SEGMENT_FIN | SEGMENT_RST)) &&
           flow->has_ack && segment->back->has_window && scale_known(segment->conv, segment->to) &&
           segment->peer->window > 0 && segment->end == flow->acked + (int64_t)segment->peer->window;
}

void window_notes(struct segment *segment)
{
    bool plain = !(segment->flags & (SEGMENT_SYN | SEGMENT_FIN | SEGMENT_RST));

    if (plain && segment->packet->window == 0)
        note(segment, NOTE_ZERO_WINDOW);
    if (segment->seq_stray)
        return;
    if (is_answer(segment))
        find_answer(segment);
    if (segment->pure && segment->ack_same && segment->old_window_known &&
        segment->side->window > segment->old_window && segment->seq == segment->flow->nxt &&
        !noted(segment, NOTE_DUPLICATE_ACK))
        note(segment, NOTE_WINDOW_UPDATE);
    if (fills_window(segment))
        note(segment, NOTE_WINDOW_FULL);
}
