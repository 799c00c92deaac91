/* SPDX-License-Identifier: MIT */
/*
 * Theory of operation
 *
 * Two trackers, one for each end. Each is given what its end sent, when it left, and what came there, when it arrived,
 * in the order of time: so each sees just what that end's kernel saw, and what it concludes of that end is so. Whose
 * tracker it is, is told by the addresses: the lower one's is the first.
 *
 * What a packet is, is told by its sender's tracker when it leaves: its number, what it repeats, why. If it will not
 * arrive, that is all. Otherwise it is under way (flights.c) until its time has come; then its receiver's tracker takes
 * it, adds what its arrival shows, and the event is told, with both ends' states.
 *
 * A SYN is kept one step longer. The tracker takes a listener that was sent a SYN to be in SYN_RECV; but one whose
 * queue is full drops it without a word. Kernels answer at once, so the SYN waits for the first thing that its receiver
 * sends, and if there is none, it was thrown away.
 *
 * The stamps of both directions are not made by one hand, so that an answer may seem to have left a little before what
 * it answers arrived. What a segment acknowledges has arrived before it: that is looked at first (SHOWN_NS).
 */
#include "observe/track/course_internal.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#define SHOWN_NS NS_PER_MS

/* ---- events */

static uint8_t state_in(unsigned view, const struct conversation *conversation)
{
    return conversation->side[own_end(view, conversation)].state;
}

static void emit(struct courses *courses, struct joined *joined, int64_t left_ns, const struct event_segment *event)
{
    joined_compose(joined);
    int64_t last_ns = event->arrived_ns > left_ns ? event->arrived_ns : left_ns;
    if (last_ns > joined->shown.last_ns)
        joined->shown.last_ns = last_ns;
    joined_tell_opened(courses, joined);
    if (courses->handler.segment)
        courses->handler.segment(&joined->shown, left_ns, event, courses->user);
}

/* Of a segment that leaves: what its sender's tracker says, with the ends and states of the whole. */
static void make_event(const struct courses *courses, struct joined *joined, unsigned view, struct event_segment *event)
{
    enum event_end mine = own_end(view, &joined->shown);
    uint64_t receivers = NOTE_BIT(NOTE_HOLE) | NOTE_BIT(NOTE_FILLS_HOLE) | NOTE_BIT(NOTE_OUT_OF_ORDER);

    event->from = (uint8_t)mine;
    event->notes &= ~receivers;
    event->fate = courses->fate;
    event->arrived_ns = courses->fate == FATE_LOST ? 0 : courses->arrived_ns;
    memcpy(event->state, joined->state, sizeof event->state);
    memset(event->state_guess, 0, sizeof event->state_guess);
    if (joined->shown.begins_midway) {
        const struct event_segment *seen = &courses->segment;
        event->state_guess[mine] = seen->state_guess[seen->from];
        event->state_guess[other_end(mine)] = seen->state_guess[other_end(seen->from)];
    }
}

static void flight_ends(struct courses *courses, struct flight *flight)
{
    struct joined *joined = flight->joined;
    if (joined) {
        joined->n_under_way--;
        joined_forget_if_over(courses, joined);
    }
    free(flight);
}

/* ---- a SYN, until it is answered */

static void syn_tell(struct courses *courses, struct joined *joined)
{
    struct flight *flight = joined->syn;
    enum event_end to = other_end(flight->event.from);

    joined->syn = NULL;
    flight->event.state[to] = joined->state[to];
    emit(courses, joined, flight->left_ns, &flight->event);
}

static void syn_is_answered(struct courses *courses, struct joined *joined, unsigned view)
{
    if (joined->syn && joined->syn->to == view)
        syn_tell(courses, joined);
}

static void syn_is_thrown(struct courses *courses, struct flight *flight)
{
    struct joined *joined = flight->joined;
    enum event_end to = other_end(flight->event.from);
    struct tracked *conv = joined->view[flight->to];

    if (conv && state_in(flight->to, &conv->shown) == TCP_STATE_SYN_RECV)
        conv->shown.side[own_end(flight->to, &conv->shown)].state = flight->state_before;
    if (joined->state[to] == TCP_STATE_SYN_RECV)
        joined->state[to] = flight->state_before;
    flight->event.fate = FATE_THROWN;
    joined->n_thrown[flight->event.from]++;
    joined->n_syns_thrown[flight->event.from]++;
    syn_tell(courses, joined);
}

/* True: it was put back, to wait. */
static bool syn_waits(struct courses *courses, struct flight *flight, uint8_t state_before)
{
    struct joined *joined = flight->joined;
    bool syn = (flight->event.flags & (SEGMENT_SYN | SEGMENT_ACK | SEGMENT_RST)) == SEGMENT_SYN;
    uint8_t now = joined->state[other_end(flight->event.from)];

    if (!syn || joined->syn || now != TCP_STATE_SYN_RECV ||
        (state_before != TCP_STATE_LISTEN && state_before != TCP_STATE_CLOSED && state_before != TCP_STATE_UNKNOWN))
        return false;
    flight->awaits = true;
    flight->state_before = state_before;
    flight->at_ns = flight->arrived_ns + COURSE_ANSWER_NS;
    if (!flights_push(&courses->flights, flight))
        return false;
    joined->syn = flight;
    return true;
}

/* ---- arrivals */

static struct conversation *look(struct courses *courses, unsigned view, int64_t t_ns, uint64_t packet,
                                 const struct decoded *decoded)
{
    courses->has_segment = false;
    courses->view[view].tracker->fate = courses->fate;
    return tracker_packet(courses->view[view].tracker, t_ns, packet, 0, decoded);
}

static void take_receivers_notes(struct joined *joined, struct event_segment *event, uint64_t seen)
{
    event->notes |= seen & (NOTE_BIT(NOTE_HOLE) | NOTE_BIT(NOTE_FILLS_HOLE));
    if (has_note(seen, NOTE_HOLE))
        joined->n_holes[event->from]++;
    if (!has_note(seen, NOTE_FILLS_HOLE) || has_note(event->notes, NOTE_AGAIN))
        return;
    event->notes |= NOTE_BIT(NOTE_OUT_OF_ORDER);
    joined->n_out_of_order[event->from]++;
}

static void segment_arrives(struct courses *courses, struct flight *flight)
{
    struct joined *joined = flight->joined;
    enum event_end to = other_end(flight->event.from);
    uint8_t before = joined->state[to];

    courses->fate = FATE_ARRIVED;
    courses->is_arrival = true;
    courses->arriving = joined;
    courses->view[flight->to].tracker->given_number = flight->event.number;
    struct conversation *seen = look(courses, flight->to, flight->arrived_ns, flight->packet, &flight->decoded);
    courses->is_arrival = false;
    if (seen && conversation_user(seen) == joined)
        joined->state[to] = state_in(flight->to, seen);
    if (courses->has_segment && !has_note(flight->event.notes, NOTE_SEEN_TWICE))
        take_receivers_notes(joined, &flight->event, courses->segment.notes);
    if (syn_waits(courses, flight, before))
        return;
    flight->event.state[to] = joined->state[to];
    emit(courses, joined, flight->left_ns, &flight->event);
    flight_ends(courses, flight);
}

static void arrive(struct courses *courses, struct flight *flight, int64_t now_ns)
{
    uint8_t fate = courses->fate; /* of what leaves now */

    if (now_ns > courses->now_ns)
        courses->now_ns = now_ns;
    if (flight->awaits) {
        if (flight->joined->syn == flight)
            syn_is_thrown(courses, flight);
        flight_ends(courses, flight);
    } else if (flight->joined) {
        segment_arrives(courses, flight);
    } else {
        courses->fate = FATE_ARRIVED;
        look(courses, flight->to, flight->arrived_ns, flight->packet, &flight->decoded);
        free(flight);
    }
    courses->fate = fate;
}

static void arrive_until(struct courses *courses, int64_t until_ns)
{
    struct flight *flight;
    while ((flight = flights_pop(&courses->flights, until_ns)))
        arrive(courses, flight, flight->at_ns);
}

/* ---- departures */

static void send_off(struct courses *courses, struct flight *flight)
{
    flight->at_ns = flight->arrived_ns;
    while (flights_full(&courses->flights)) {
        struct flight *first = flights_pop(&courses->flights, INT64_MAX);
        arrive(courses, first, courses->now_ns);
    }
    if (!flights_push(&courses->flights, flight)) {
        courses->counts.n_no_memory++;
        arrive(courses, flight, courses->now_ns);
    }
}

/* What is told of it now is all there is to tell; or it is told when it arrives. */
static void segment_leaves(struct courses *courses, struct joined *joined, unsigned view, int64_t left_ns,
                           uint64_t packet, const struct decoded *decoded, struct event_segment *event)
{
    enum event_end mine = own_end(view, &joined->shown);

    joined->n_segments = event->number;
    joined_compose(joined); /* who closed first is told by the order */
    make_event(courses, joined, view, event);
    courses->left = *event;
    if (courses->fate == FATE_ARRIVED) {
        struct flight *flight = flight_new(decoded);
        if (flight) {
            flight->joined = joined;
            flight->to = !view;
            flight->left_ns = left_ns;
            flight->arrived_ns = courses->arrived_ns > left_ns ? courses->arrived_ns : left_ns;
            flight->packet = packet;
            flight->event = *event;
            flight->event.data = flight->n_bytes > 0 ? flight->payload : NULL;
            flight->event.n_data = flight->n_bytes > 0 ? event->n_data : 0;
            joined->n_under_way++;
            send_off(courses, flight);
            return;
        }
        courses->counts.n_no_memory++;
    }
    bool syn = event->flags & SEGMENT_SYN;
    joined->n_lost[mine] += courses->fate == FATE_LOST;
    joined->n_thrown[mine] += courses->fate == FATE_THROWN;
    joined->n_syns_lost[mine] += syn && courses->fate == FATE_LOST;
    joined->n_syns_thrown[mine] += syn && courses->fate == FATE_THROWN;
    emit(courses, joined, left_ns, event);
}

/* A copy made on the way: its sender knows nothing of it. */
static struct joined *copy_leaves(struct courses *courses, unsigned view, int64_t left_ns, uint64_t packet,
                                  const struct decoded *decoded, const struct sonde_address end[2])
{
    struct conversation *conv = tracker_find(courses->view[view].tracker, IPPROTO_TCP, &end[0], &end[1]);
    struct joined *joined = conv ? conversation_user(conv) : NULL;
    if (!joined)
        return NULL;
    struct tracked *tracked = (struct tracked *)conv;
    enum event_end mine = own_end(view, conv);
    struct event_segment event = {
        .number = joined->n_segments + 1,
        .flags = decoded->flags,
        .source = end[0],
        .destination = end[1],
        .seq_raw = decoded->seq,
        .ack_raw = decoded->ack,
        .n_bytes = decoded->n_payload,
        .window_raw = decoded->window,
        .options = decoded->options,
        .packet = packet,
        .notes = NOTE_BIT(NOTE_SEEN_TWICE),
        .again_of = joined_number_of(joined, packet),
        .data = decoded->payload,
        .n_data = decoded->n_payload_captured < SEGMENT_PREVIEW_MAX ? decoded->n_payload_captured : SEGMENT_PREVIEW_MAX,
    };
    int64_t seq = sequence_unwrap(&conv->side[mine], &tracked->flow[mine], decoded->seq);
    int64_t ack = sequence_unwrap(&conv->side[other_end(mine)], &tracked->flow[other_end(mine)], decoded->ack);
    event.seq = seq > 0 ? (uint64_t)seq : 0;
    event.ack = decoded->flags & SEGMENT_ACK && ack > 0 ? (uint64_t)ack : 0;
    event.window = (uint64_t)decoded->window << (decoded->flags & SEGMENT_SYN ? 0 : scale_of(tracked, mine));
    event.options.n_sacks = 0; /* the original has them */
    joined->n_copies++;
    segment_leaves(courses, joined, view, left_ns, packet, decoded, &event);
    return joined;
}

static struct joined *original_leaves(struct courses *courses, unsigned view, int64_t left_ns, uint64_t packet,
                                      const struct decoded *decoded, const struct sonde_address end[2])
{
    struct tracker *tracker = courses->view[view].tracker;
    struct conversation *conv = tracker_find(tracker, decoded->protocol, &end[0], &end[1]);
    struct joined *joined = conv ? conversation_user(conv) : NULL;

    tracker->given_number = joined ? joined->n_segments + 1 : 1;
    conv = look(courses, view, left_ns, packet, decoded);
    joined = conv ? conversation_user(conv) : NULL;
    if (!joined || decoded->protocol != IPPROTO_TCP || !courses->has_segment)
        return joined;
    joined->state[own_end(view, &joined->shown)] = state_in(view, conv);
    joined_remember(joined, packet, courses->segment.number);
    syn_is_answered(courses, joined, view);
    struct event_segment event = courses->segment;
    segment_leaves(courses, joined, view, left_ns, packet, decoded, &event);
    return joined;
}

/* What it says was there before it left: those have arrived, whatever their stamps say. */
static void arrive_shown(struct courses *courses, unsigned view, int64_t left_ns, const struct decoded *decoded,
                         const struct sonde_address end[2])
{
    struct shown_by by = {.view = view, .until_ns = left_ns + SHOWN_NS, .segment = decoded};
    struct conversation *conv = tracker_find(courses->view[view].tracker, IPPROTO_TCP, &end[0], &end[1]);
    if (conv) {
        enum event_end peer = other_end(own_end(view, conv));
        const struct flow *flow = &((struct tracked *)conv)->flow[peer];
        by.has_known = flow->based;
        by.known = conv->side[peer].isn + (uint32_t)flow->nxt;
    }
    struct flight *flight;
    while ((flight = flights_pop_shown(&courses->flights, &by))) {
        flight->arrived_ns = left_ns;
        flight->event.arrived_ns = left_ns > flight->left_ns ? left_ns : flight->left_ns;
        arrive(courses, flight, left_ns);
    }
}

static struct joined *transport_leaves(struct courses *courses, int64_t left_ns, uint64_t packet,
                                       const struct decoded *decoded, bool copy)
{
    struct sonde_address end[2];
    address_of(decoded, &decoded->source, decoded->source_port, &end[0]);
    address_of(decoded, &decoded->destination, decoded->destination_port, &end[1]);
    unsigned view = view_of(&end[0], &end[1]);
    if (copy)
        return decoded->protocol == IPPROTO_TCP ? copy_leaves(courses, view, left_ns, packet, decoded, end) : NULL;
    if (decoded->protocol == IPPROTO_TCP)
        arrive_shown(courses, view, left_ns, decoded, end);
    return original_leaves(courses, view, left_ns, packet, decoded, end);
}

/* Whoever is told of a packet of his, is told when it comes there. */
static void icmp_leaves(struct courses *courses, int64_t left_ns, uint64_t packet, const struct decoded *decoded)
{
    struct sonde_address end[2];
    struct flight *flight = courses->fate == FATE_ARRIVED ? flight_new(decoded) : NULL;
    if (!flight)
        return;
    address_of(decoded, &decoded->quoted_source, decoded->quoted_source_port, &end[0]);
    address_of(decoded, &decoded->quoted_destination, decoded->quoted_destination_port, &end[1]);
    flight->to = view_of(&end[0], &end[1]);
    flight->left_ns = left_ns;
    flight->arrived_ns = courses->arrived_ns > left_ns ? courses->arrived_ns : left_ns;
    flight->packet = packet;
    send_off(courses, flight);
}

static bool is_transport(const struct decoded *packet)
{
    return packet->depth == DECODE_TRANSPORT && (packet->network == DECODE_IPV4 || packet->network == DECODE_IPV6);
}

struct conversation *courses_packet(struct courses *courses, int64_t left_ns, uint64_t packet_number,
                                    const struct decoded *packet, const struct packet_course *course,
                                    struct event_segment *ret_left)
{
    struct joined *joined = NULL;
    bool ours = is_transport(packet);

    if (left_ns < courses->now_ns)
        left_ns = courses->now_ns;
    arrive_until(courses, left_ns);
    courses->now_ns = left_ns;
    courses->counts.n_packets++;
    courses->counts.n_fragments += (packet->trouble & DECODE_FRAGMENT) != 0;
    courses->counts.n_damaged += (packet->trouble & (DECODE_SHORT | DECODE_OPTIONS_BAD)) != 0;
    courses->left.number = 0;
    courses->fate = course->fate;
    courses->arrived_ns = course->fate == FATE_LOST ? 0 : course->arrived_ns;
    if (ours && (packet->protocol == IPPROTO_TCP || packet->protocol == IPPROTO_UDP))
        joined = transport_leaves(courses, left_ns, packet_number, packet, course->copy);
    else if (ours && packet->icmp_quotes && !course->copy)
        icmp_leaves(courses, left_ns, packet_number, packet);
    if (!joined)
        courses->counts.n_other++;
    if (ret_left)
        *ret_left = courses->left;
    return joined ? &joined->shown : NULL;
}

struct conversation *courses_find(const struct courses *courses, const struct decoded *packet)
{
    struct sonde_address end[2];
    if (!is_transport(packet) || (packet->protocol != IPPROTO_TCP && packet->protocol != IPPROTO_UDP))
        return NULL;
    address_of(packet, &packet->source, packet->source_port, &end[0]);
    address_of(packet, &packet->destination, packet->destination_port, &end[1]);
    const struct tracker *tracker = courses->view[view_of(&end[0], &end[1])].tracker;
    struct conversation *conv = tracker_find(tracker, packet->protocol, &end[0], &end[1]);
    struct joined *joined = conv ? conversation_user(conv) : NULL;
    return joined ? &joined->shown : NULL;
}

/* ---- */

struct courses *courses_new(size_t n_max, const struct track_handler *handler, void *user)
{
    struct courses *courses = calloc(1, sizeof *courses);
    if (!courses)
        return NULL;
    struct track_handler inner = course_handler(handler && handler->data);
    if (handler)
        courses->handler = *handler;
    courses->user = user;
    courses->now_ns = INT64_MIN;
    for (unsigned view = 0; view < N_VIEWS; view++) {
        courses->view[view] = (struct view){courses, view, NULL};
        courses->view[view].tracker = tracker_new(n_max, &inner, &courses->view[view]);
        if (!courses->view[view].tracker) {
            courses_free(courses);
            return NULL;
        }
    }
    return courses;
}

void courses_free(struct courses *courses)
{
    if (!courses)
        return;
    struct flight *flight;
    int64_t known_ns = courses->now_ns;
    while ((flight = flights_pop(&courses->flights, INT64_MAX))) {
        /* A SYN whose time was not over yet may have been answered. */
        if (flight->awaits && flight->at_ns > known_ns && flight->joined->syn == flight)
            syn_tell(courses, flight->joined);
        arrive(courses, flight, flight->awaits ? courses->now_ns : flight->at_ns);
    }
    courses->ending = true;
    for (unsigned view = 0; view < N_VIEWS; view++)
        tracker_free(courses->view[view].tracker);
    while (courses->first)
        joined_forget(courses, courses->first);
    free(courses->flights.heap);
    free(courses);
}

void courses_until(struct courses *courses, int64_t now_ns)
{
    arrive_until(courses, now_ns);
    if (now_ns > courses->now_ns)
        courses->now_ns = now_ns;
}

int64_t courses_next_ns(const struct courses *courses)
{
    return courses->flights.n > 0 ? courses->flights.heap[0]->at_ns : INT64_MAX;
}

int64_t courses_waiting_ns(const struct courses *courses)
{
    int64_t first_ns = INT64_MAX;
    for (size_t i = 0; i < courses->flights.n; i++) {
        const struct flight *flight = courses->flights.heap[i];
        bool told = flight->awaits && flight->joined->syn != flight;
        if (!told && flight->left_ns < first_ns)
            first_ns = flight->left_ns;
    }
    return first_ns;
}

void courses_counts(const struct courses *courses, struct tracker_counts *ret_counts)
{
    *ret_counts = courses->counts;
    for (unsigned view = 0; view < N_VIEWS; view++) {
        struct tracker_counts counts;
        tracker_counts(courses->view[view].tracker, &counts);
        ret_counts->n_no_memory += counts.n_no_memory;
        if (counts.n_made_room > ret_counts->n_made_room)
            ret_counts->n_made_room = counts.n_made_room;
    }
}
