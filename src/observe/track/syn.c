/* SPDX-License-Identifier: MIT */
/*
 * Which conversation does a TCP packet belong to, and where do its numbers begin? A SYN with the ISN that is known is a
 * repeat, or late; with another ISN it is a new connection on the same addresses and ports, even while the old one
 * looks open: its end may have gone unseen. A SYN-ACK begins another only where the old one is over or was never
 * understood: it may be forged. Without its handshake, another connection on the ports of one that is over is known by
 * its numbers: both are far from the old ones.
 */
#include "observe/track/track_internal.h"

#include <netinet/in.h>

static bool is_syn(const struct decoded *packet)
{
    return (packet->flags & SEGMENT_SYN) && !(packet->flags & SEGMENT_RST);
}

/* Does this SYN-ACK answer the SYN that was seen? With fast open it may acknowledge data too. */
static bool answers(const struct tracked *conv, enum event_end from, const struct decoded *packet)
{
    enum event_end to = other_end(from);
    uint32_t n_acked = packet->ack - conv->shown.side[to].isn;
    return n_acked >= 1 && n_acked <= conv->flow[to].nxt;
}

static bool another_by_syn(const struct tracked *conv, enum event_end from, const struct decoded *packet)
{
    enum event_end to = other_end(from);
    const struct conversation_side *side = &conv->shown.side[from];

    if (side->syn_seen || (conv->flow[from].based && conv->flow[to].syn_ack))
        return packet->seq != side->isn;
    bool peer_waits = conv->shown.opening == OPENED_NOT_YET && conv->flow[to].based && !conv->flow[to].syn_ack;
    return !peer_waits; /* both send a SYN: a simultaneous open */
}

static bool another_by_syn_ack(const struct tracked *conv, enum event_end from, const struct decoded *packet)
{
    const struct conversation_side *side = &conv->shown.side[from], *peer = &conv->shown.side[other_end(from)];

    if (conv->flow[from].based && packet->seq == side->isn)
        return false;
    if (peer->syn_seen && answers(conv, from, packet))
        return false;
    return state_is_over(&conv->shown) || (!peer->syn_seen && !side->syn_seen);
}

static bool is_far(const struct tracked *conv, enum event_end end, uint32_t raw)
{
    const struct flow *flow = &conv->flow[end];
    int64_t away = sequence_unwrap(&conv->shown.side[end], flow, raw) - flow->nxt;
    int64_t reach = sequence_reach(conv, end);
    return flow->based && (away > reach || away < -reach);
}

static bool is_another(const struct tracked *conv, enum event_end from, const struct decoded *packet)
{
    if ((packet->flags & (SEGMENT_SYN | SEGMENT_RST | SEGMENT_ACK)) == SEGMENT_ACK)
        return state_is_over(&conv->shown) && is_far(conv, from, packet->seq) &&
               is_far(conv, other_end(from), packet->ack);
    if (!is_syn(packet))
        return false;
    return packet->flags & SEGMENT_ACK ? another_by_syn_ack(conv, from, packet) : another_by_syn(conv, from, packet);
}

/* A is the client; where nobody says who that is, the end with the higher port, as servers have low ones. */
static struct tracked *begin(struct tracker *tracker, const struct decoded *packet, const struct sonde_address *source,
                             const struct sonde_address *destination, enum event_end *ret_from)
{
    bool syn = is_syn(packet), answer = packet->flags & SEGMENT_ACK;
    bool source_is_a = syn ? !answer : source->port >= destination->port;
    struct tracked *conv = source_is_a ? table_add(tracker, IPPROTO_TCP, source, destination)
                                       : table_add(tracker, IPPROTO_TCP, destination, source);
    if (!conv)
        return NULL;
    struct conversation *shown = &conv->shown;
    shown->a_is_client = syn;
    shown->begins_midway = !syn;
    if (syn) {
        shown->opening = OPENED_NOT_YET;
        shown->side[END_A].state = answer ? TCP_STATE_SYN_SENT : TCP_STATE_CLOSED;
        shown->side[END_B].state = TCP_STATE_LISTEN;
    }
    *ret_from = source_is_a ? END_A : END_B;
    return conv;
}

struct tracked *syn_find(struct tracker *tracker, const struct decoded *packet, const struct sonde_address *source,
                         const struct sonde_address *destination, enum event_end *ret_from, bool *ret_new)
{
    struct tracked *conv = table_find(tracker, IPPROTO_TCP, source, destination, ret_from);
    bool reused = conv && is_another(conv, *ret_from, packet);

    *ret_new = !conv || reused;
    if (!*ret_new)
        return conv;
    if (reused)
        table_forget(tracker, conv);
    conv = begin(tracker, packet, source, destination, ret_from);
    if (conv)
        conv->shown.tuple_reused = reused;
    return conv;
}

/* ---- the numbers and options that it brings */

static void take_options(struct segment *segment)
{
    const struct segment_options *options = &segment->packet->options;
    segment->side->mss = options->mss;
    segment->side->window_scale = options->window_scale;
    segment->side->sack_permitted = options->sack_permitted;
    if (options->has_fast_open || segment->packet->n_payload > 0)
        segment->flow->fast_open = true;
}

void syn_take(struct segment *segment)
{
    struct conversation_side *side = segment->side;
    struct flow *flow = segment->flow;
    const struct decoded *packet = segment->packet;
    bool answer = segment->flags & SEGMENT_ACK;

    if (answer && segment->peer->syn_seen && !answers(segment->conv, segment->from, packet)) {
        segment->seq_stray = true;
        return;
    }
    bool other_isn = flow->based && packet->seq != side->isn;
    if (other_isn && side->syn_seen && flow->nxt > 1) {
        segment->seq_stray = true; /* it has sent data already: this is not its SYN */
        return;
    }
    segment->syn_is_new = !side->syn_seen || (answer && !flow->syn_ack);
    if (other_isn) /* what was taken for its numbers was another connection's; or a SYN cookie has changed */
        sequence_restart(segment->tracker, flow);
    flow->based = true;
    side->isn = packet->seq;
    side->syn_seen = side->isn_known = true;
    if (answer)
        flow->syn_ack = true;
    take_options(segment);
}
