/* SPDX-License-Identifier: MIT */
/* One TCP segment: from its header to its event. The order of the parts is told in track_internal.h. */
#include "observe/track/track_internal.h"

#include <netinet/in.h>
#include <string.h>

static int64_t never_zero(int64_t t_ns)
{
    return t_ns != 0 ? t_ns : 1;
}

/* ---- the same packet again: at another interface, or at another point of one */

static uint64_t hash_segment(const struct segment *segment)
{
    const struct decoded *packet = segment->packet;
    uint64_t hash = table_mix(segment->conv->shown.id * 2 + segment->from, packet->ip_id);
    hash =
        table_mix(hash ^ packet->seq, packet->ack + ((uint64_t)packet->flags << 48) + ((uint64_t)packet->window << 32));
    hash = table_mix(hash ^ packet->n_payload, packet->options.ts_value + ((uint64_t)packet->options.ts_echo << 32));
    for (unsigned i = 0; i < packet->options.n_sacks && i < SEGMENT_SACKS_MAX; i++)
        hash = table_mix(hash ^ packet->options.sack[i].from, packet->options.sack[i].to);
    return hash;
}

/* On one interface a repeat looks the same but for its IP id, where there is one; and nobody repeats a SYN so soon. */
static bool tells_repeats(const struct decoded *packet)
{
    return packet->ip_id != 0 || (packet->flags & SEGMENT_SYN);
}

/* Whoever sends it again gives it another id, or another time: so it is the same, however late it comes there. */
static bool tells_itself(const struct decoded *packet)
{
    return packet->ip_id != 0 || packet->options.has_timestamps;
}

static void make_more(struct tracker *tracker)
{
    tracker->tried_more = true;
    tracker->more_twins = track_allocate(tracker, NULL, TWINS_MORE * sizeof(struct twin));
    if (!tracker->more_twins)
        return;
    memset(tracker->more_twins, 0, TWINS_MORE * sizeof(struct twin));
    for (unsigned i = 0; i < TWINS_MAX; i++)
        tracker->more_twins[tracker->twins[i].hash % TWINS_MORE] = tracker->twins[i];
}

static struct twin *twin_of(struct tracker *tracker, uint32_t interface, uint64_t hash)
{
    if (!tracker->has_interface) {
        tracker->has_interface = true;
        tracker->interface = interface;
    }
    if (interface != tracker->interface && !tracker->tried_more)
        make_more(tracker);
    if (!tracker->more_twins)
        return &tracker->twins[hash % TWINS_MAX];
    struct twin *place = &tracker->more_twins[hash % TWINS_MORE & ~(uint64_t)(TWINS_WAYS - 1)], *oldest = place;
    for (unsigned i = 0; i < TWINS_WAYS; i++) {
        if (place[i].hash == hash)
            return &place[i];
        if (place[i].number == 0 || (oldest->number != 0 && place[i].t_ns < oldest->t_ns))
            oldest = &place[i];
    }
    return oldest;
}

static bool is_twin(struct segment *segment, uint32_t interface)
{
    uint64_t hash = hash_segment(segment);
    struct twin *twin = twin_of(segment->tracker, interface, hash);
    bool elsewhere = twin->interface != interface;
    int64_t most_ns = elsewhere && tells_itself(segment->packet) ? TWINS_FAR_NS : TWINS_NS;
    bool same = twin->hash == hash && twin->number != 0 && segment->t_ns - twin->t_ns <= most_ns &&
                (elsewhere || tells_repeats(segment->packet));

    if (same) {
        segment->event.again_of = twin->number;
        note(segment, NOTE_SEEN_TWICE);
        segment->conv->shown.n_seen_twice++;
        return true;
    }
    *twin = (struct twin){.hash = hash, .t_ns = segment->t_ns, .interface = interface, .number = segment->event.number};
    return false;
}

static void twin_numbers(struct segment *segment)
{
    if (segment->flow->based)
        segment->seq = sequence_unwrap(segment->side, segment->flow, segment->packet->seq);
    if (segment->back->based && (segment->flags & SEGMENT_ACK))
        segment->ack = sequence_unwrap(segment->peer, segment->back, segment->packet->ack);
    segment->event.window = (uint64_t)segment->packet->window
                            << (segment->flags & SEGMENT_SYN ? 0 : scale_of(segment->conv, segment->from));
}

/* ---- what the header alone says */

static void note_header(struct segment *segment)
{
    const struct decoded *packet = segment->packet;
    struct conversation *conv = &segment->conv->shown;
    bool syn = (segment->flags & SEGMENT_SYN) && !(segment->flags & SEGMENT_RST);

    if (packet->trouble & DECODE_CUT) {
        note(segment, NOTE_CUT);
        conv->n_cut++;
    }
    if ((packet->trouble & DECODE_CHECKSUM_BAD) && !(packet->trouble & DECODE_CHECKSUM_PARTIAL)) {
        note(segment, NOTE_CHECKSUM_BAD);
        conv->n_checksum_bad++;
    }
    if (segment->flags & SEGMENT_URG)
        note(segment, NOTE_URGENT);
    if (syn && packet->options.mss == 0)
        note(segment, NOTE_MSS_MISSING);
    if (syn && packet->n_payload > 0)
        note(segment, NOTE_FAST_OPEN);
    if (!syn && segment->peer->mss > 0 && packet->n_payload > segment->peer->mss) {
        note(segment, NOTE_OFFLOAD);
        conv->n_offload++;
    }
}

static void note_beginning(struct segment *segment)
{
    if (segment->conv->shown.begins_midway)
        note(segment, NOTE_MIDWAY);
    if (segment->conv->shown.tuple_reused)
        note(segment, NOTE_TUPLE_REUSED);
}

static void count(struct segment *segment)
{
    struct conversation *conv = &segment->conv->shown;
    bool syn = segment->flags & SEGMENT_SYN, answer = segment->flags & SEGMENT_ACK;

    segment->side->n_packets++;
    segment->side->n_bytes += segment->packet->n_payload;
    if (!syn || segment->seq_stray || (segment->flags & SEGMENT_RST))
        return;
    if (answer && conv->syn_ack_ns == 0)
        conv->syn_ack_ns = never_zero(segment->t_ns);
    if (!answer && conv->syn_ns == 0)
        conv->syn_ns = never_zero(segment->t_ns);
}

/* ---- */

static uint64_t in_flight(const struct conversation_side *side, const struct flow *flow)
{
    int64_t end = side->fin_seen && flow->nxt > flow->fin_seq ? flow->fin_seq : flow->nxt;
    int64_t begin = flow->has_ack && flow->acked > 1 ? flow->acked : 1;
    return end > begin ? (uint64_t)(end - begin) : 0;
}

static void update_in_flight(struct segment *segment)
{
    struct conversation_side *side = segment->side;

    side->in_flight = in_flight(side, segment->flow);
    segment->peer->in_flight = in_flight(segment->peer, segment->back);
    if (side->in_flight > side->in_flight_max)
        side->in_flight_max = side->in_flight;
    segment->event.in_flight = side->in_flight;
}

static void look(struct segment *segment)
{
    bool syn = segment->flags & SEGMENT_SYN, reset = segment->flags & SEGMENT_RST;

    if (syn && !reset)
        syn_take(segment);
    sequence_take(segment);
    segment->ack_same = segment->has_ack && segment->back->has_ack && segment->ack == segment->back->acked;
    segment->ack_moved = segment->has_ack && (!segment->back->has_ack || segment->ack > segment->back->acked);
    segment->pure = segment->packet->n_payload == 0 && !(segment->flags & (SEGMENT_SYN | SEGMENT_FIN | SEGMENT_RST));
    segment->fin_is_new = (segment->flags & SEGMENT_FIN) && !syn && !reset && !segment->side->fin_seen;
    note_header(segment);
    count(segment);

    bool over = state_is_over(&segment->conv->shown), question = window_question(segment);
    if (!reset && !segment->seq_stray && !question) {
        if (syn)
            loss_of_syn(segment);
        else
            loss_of_segment(segment);
    }
    if (segment->tracker->fate == FATE_ARRIVED)
        loss_arrives(segment);
    window_take(segment);
    ack_of_segment(segment);
    window_notes(segment);
    state_of_segment(segment);
    if (over && state_is_over(&segment->conv->shown))
        note(segment, NOTE_AFTER_END);
    state_guesses(segment);
    update_in_flight(segment);
    segment->back->n_unanswered = 0;
    segment->flow->last_ack_raw = segment->packet->ack;
    segment->flow->last_acks = segment->flags & SEGMENT_ACK;
    segment->flow->last_data = segment->packet->n_payload > 0;
}

static void tell(struct segment *segment)
{
    struct tracker *tracker = segment->tracker;
    struct event_segment *event = &segment->event;

    event->seq = segment->seq > 0 ? (uint64_t)segment->seq : 0;
    event->ack = segment->ack > 0 ? (uint64_t)segment->ack : 0;
    table_touch(tracker, segment->conv);
    if (tracker->handler.segment)
        tracker->handler.segment(&segment->conv->shown, segment->t_ns, event, tracker->user);
}

static void fill_event(struct segment *segment, uint64_t number)
{
    const struct decoded *packet = segment->packet;
    struct event_segment *event = &segment->event;
    uint32_t n_data = packet->n_payload_captured;

    event->number = track_number(segment->tracker, &segment->conv->shown);
    event->from = (uint8_t)segment->from;
    event->flags = packet->flags;
    event->seq_raw = packet->seq;
    event->ack_raw = packet->ack;
    event->n_bytes = packet->n_payload;
    event->window_raw = packet->window;
    event->options = packet->options;
    if (event->options.n_sacks > SEGMENT_SACKS_MAX)
        event->options.n_sacks = SEGMENT_SACKS_MAX;
    event->packet = number;
    event->data = packet->payload;
    event->n_data = n_data < SEGMENT_PREVIEW_MAX ? n_data : SEGMENT_PREVIEW_MAX;
}

struct tracked *segment_packet(struct tracker *tracker, uint64_t number, uint32_t interface,
                               const struct decoded *packet)
{
    struct segment segment = {.tracker = tracker, .packet = packet, .t_ns = tracker->now_ns, .flags = packet->flags};
    bool new;

    address_of(packet, &packet->source, packet->source_port, &segment.event.source);
    address_of(packet, &packet->destination, packet->destination_port, &segment.event.destination);
    struct tracked *conv =
        syn_find(tracker, packet, &segment.event.source, &segment.event.destination, &segment.from, &new);
    if (!conv)
        return NULL;
    segment.conv = conv;
    segment.to = other_end(segment.from);
    segment.side = &conv->shown.side[segment.from];
    segment.peer = &conv->shown.side[segment.to];
    segment.flow = &conv->flow[segment.from];
    segment.back = &conv->flow[segment.to];
    if (new) {
        conv->shown.interface = interface;
        if (tracker->handler.opened)
            tracker->handler.opened(&conv->shown, segment.t_ns, tracker->user);
        note_beginning(&segment);
    }
    fill_event(&segment, number);
    /* Watched at both ends, a copy is called one; what looks the same is another. */
    if (tracker->fate == FATE_UNKNOWN && is_twin(&segment, interface)) {
        twin_numbers(&segment);
        state_guesses(&segment);
        tell(&segment);
        return conv;
    }
    look(&segment);
    tell(&segment);
    follow_segment(&segment);
    return conv;
}
