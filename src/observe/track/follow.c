/* SPDX-License-Identifier: MIT */
/*
 * The payload in order, each byte once. What comes before its turn is copied and waits; the hole before it is given up
 * when the receiver has acknowledged it, when too much waits, and when the conversation is over.
 */
#include "observe/track/track_internal.h"

#include <stdlib.h>
#include <string.h>

#define CHUNKS_MAX TRACK_RANGES_MAX

static void hand_on(struct tracker *tracker, struct tracked *conv, enum event_end from, const uint8_t *data,
                    size_t n_bytes, bool push)
{
    struct flow *flow = &conv->flow[from];
    uint64_t n_missing = flow->n_missing;

    if (n_bytes == 0)
        return;
    flow->n_missing = 0;
    tracker->handler.data(&conv->shown, tracker->now_ns, from, data, n_bytes, n_missing, push, tracker->user);
}

/* A piece whose turn it is, or that begins before. */
static void take(struct tracker *tracker, struct tracked *conv, enum event_end from, int64_t seq, const uint8_t *data,
                 uint32_t n_bytes, uint32_t n_captured, bool push)
{
    struct flow *flow = &conv->flow[from];
    int64_t skip = flow->handed - seq;

    if (skip >= n_bytes)
        return;
    flow->handed = seq + n_bytes;
    if (skip < n_captured)
        hand_on(tracker, conv, from, data + skip, n_captured - (size_t)skip, push);
    else
        n_captured = (uint32_t)skip;
    flow->n_missing += n_bytes - n_captured;
}

static void drop_first(struct tracker *tracker, struct flow *flow)
{
    struct chunk *chunk = flow->waiting;
    uint32_t cost = chunk->n_captured + (uint32_t)sizeof *chunk;

    flow->waiting = chunk->next;
    flow->n_waiting--;
    flow->waiting_bytes -= cost;
    tracker->waiting_bytes -= cost;
    free(chunk);
}

static void take_first(struct tracker *tracker, struct tracked *conv, enum event_end from)
{
    struct chunk *chunk = conv->flow[from].waiting;

    take(tracker, conv, from, chunk->seq, chunk->data, chunk->n_bytes, chunk->n_captured, chunk->push);
    drop_first(tracker, &conv->flow[from]);
}

static void take_ready(struct tracker *tracker, struct tracked *conv, enum event_end from)
{
    struct flow *flow = &conv->flow[from];
    while (flow->waiting && flow->waiting->seq <= flow->handed)
        take_first(tracker, conv, from);
}

static void give_up_hole(struct tracker *tracker, struct tracked *conv, enum event_end from)
{
    struct flow *flow = &conv->flow[from];
    flow->n_missing += (uint64_t)(flow->waiting->seq - flow->handed);
    flow->handed = flow->waiting->seq;
    take_ready(tracker, conv, from);
}

static void wait_for_turn(struct segment *segment, int64_t seq)
{
    const struct decoded *packet = segment->packet;
    struct tracker *tracker = segment->tracker;
    struct flow *flow = segment->flow;
    uint32_t cost = packet->n_payload_captured + (uint32_t)sizeof(struct chunk);
    struct chunk **link = &flow->waiting;

    while (*link && (*link)->seq < seq)
        link = &(*link)->next;
    if (*link && (*link)->seq == seq && (*link)->n_bytes >= packet->n_payload)
        return;
    struct chunk *chunk = track_allocate(tracker, NULL, cost);
    if (!chunk)
        return; /* it will count as missing */
    *chunk = (struct chunk){
        .next = *link,
        .seq = seq,
        .since_ns = segment->t_ns,
        .n_bytes = packet->n_payload,
        .n_captured = packet->n_payload_captured,
        .push = segment->flags & SEGMENT_PSH,
    };
    if (packet->n_payload_captured > 0)
        memcpy(chunk->data, packet->payload, packet->n_payload_captured);
    *link = chunk;
    flow->n_waiting++;
    flow->waiting_bytes += cost;
    tracker->waiting_bytes += cost;
    while (flow->waiting_bytes > TRACK_WAITING_BYTES_MAX || flow->n_waiting > CHUNKS_MAX)
        give_up_hole(tracker, segment->conv, segment->from);
    while (tracker->waiting_bytes > TRACK_WAITING_ALL_MAX && flow->waiting)
        give_up_hole(tracker, segment->conv, segment->from);
}

/* Where the receiver has the bytes, they will not be sent again; but the capture may have them a little late. */
static void check_acknowledged(struct segment *segment, enum event_end from)
{
    struct flow *flow = &segment->conv->flow[from];
    while (flow->waiting && flow->has_ack && flow->acked >= flow->waiting->seq &&
           segment->t_ns - flow->waiting->since_ns > REORDER_NS)
        give_up_hole(segment->tracker, segment->conv, from);
}

void follow_segment(struct segment *segment)
{
    const struct decoded *packet = segment->packet;
    struct flow *flow = segment->flow;
    int64_t seq = segment->seq + (segment->flags & SEGMENT_SYN ? 1 : 0);

    if (!segment->tracker->handler.data)
        return;
    if (packet->n_payload > 0 && !segment->seq_stray && !(segment->flags & SEGMENT_RST)) {
        if (!flow->handing) {
            flow->handing = true;
            flow->handed = segment->side->isn_known ? 1 : seq;
        }
        if (seq > flow->handed) {
            wait_for_turn(segment, seq);
        } else {
            take(segment->tracker, segment->conv, segment->from, seq, packet->payload, packet->n_payload,
                 packet->n_payload_captured, segment->flags & SEGMENT_PSH);
            take_ready(segment->tracker, segment->conv, segment->from);
        }
    }
    check_acknowledged(segment, END_A);
    check_acknowledged(segment, END_B);
    if (state_is_over(&segment->conv->shown))
        follow_flush(segment->tracker, segment->conv);
}

void follow_flush(struct tracker *tracker, struct tracked *conv)
{
    for (unsigned end = 0; end < N_ENDS; end++) {
        while (conv->flow[end].waiting)
            give_up_hole(tracker, conv, end);
    }
}

void follow_drop(struct tracker *tracker, struct flow *flow)
{
    while (flow->waiting)
        drop_first(tracker, flow);
}
