/* SPDX-License-Identifier: MIT */
/*
 * A conversation's user pointer is a struct told: its number on the time line, and which conclusions were told already.
 * Conclusions come when a conversation is over (both ends closed, or reset, or refused), when a live one has been in
 * trouble and is quiet, and at the end for those that are still open. What was told once is told again only when its
 * sentence has become another by the end. A FIN waits to be acknowledged or crossed: trace/held.h.
 */
#include "trace/packets.h"

#include "observe/verdict/verdict.h"
#include "trace/held.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define QUIET_NS (1 * NS_PER_S) /* a conversation in trouble is judged when it has been quiet for so long */
#define CONCLUSION_BYTES (2 * VERDICT_TEXT_MAX)
#define TOLD_MAX 64 /* conversation verdicts there can be */

struct told {
    uint64_t number;
    struct told *next, **where; /* those that wait for quiet: in trouble, or about to be concluded */
    struct conversation *conversation;
    int64_t last_ns;
    bool waits, concludes, over;
    uint8_t state[N_ENDS];   /* after its last segment */
    struct held *held;       /* NULL: nothing */
    uint32_t hash[TOLD_MAX]; /* of each verdict's sentence; 0: not told */
};

struct packets {
    struct packets_owner owner;
    struct tracker *tracker;
    struct courses *courses; /* instead, of packets that were watched at both ends; NULL: none were */
    struct reassembly *reassembly;
    struct decoded decoded;
    struct event_segment segment;
    struct event_segment left; /* with courses: as it left */
    bool has_segment, has_conclusion, is_left;
    char conclusion[CONCLUSION_BYTES];
    struct told *waiting;
    int64_t first_due_ns; /* none of them is due before */
    int64_t idle_ns;      /* live: how far the time line is */
    int64_t ended_ns;     /* what is concluded at the end is not earlier */
    bool at_end;          /* nothing more leaves */
    struct held_list held;
};

static void emit(struct packets *packets, const struct conversation *conversation, struct event *event)
{
    const struct told *told = conversation_user(conversation);
    if (!packets->owner.event || !told || told->number == 0)
        return;
    event->conn = told->number;
    packets->owner.event(event, packets->owner.user);
}

/* ---- segments */

static bool leaves(struct packets *packets, const struct told *told, const struct event_segment *segment)
{
    packets->is_left = packets->owner.leaves && packets->owner.leaves(told->number, segment, packets->owner.user);
    return packets->is_left;
}

static void emit_segment(struct packets *packets, struct told *told, struct event *event)
{
    if (told->number == 0)
        return;
    event->conn = told->number;
    if (!told->held && leaves(packets, told, &event->segment)) {
        memcpy(told->state, event->segment.state, sizeof told->state);
        return;
    }
    if (told->conversation->both_watched) { /* nothing about it can change any more */
        packets->owner.event(event, packets->owner.user);
        return;
    }
    enum tcp_state before = told->state[other_end(event->segment.from)];
    if (!held_take(&packets->held, &told->held, before, event))
        packets->owner.event(event, packets->owner.user);
    memcpy(told->state, event->segment.state, sizeof told->state);
}

/* ---- conclusions */

static void say(struct packets *packets, const struct conversation *conversation, int64_t t_ns, char mark,
                const char *name, const char *text)
{
    struct event event = {
        .source = EVENT_VERDICT,
        .kind = EVENT_KIND_SENTENCE,
        .t_ns = t_ns,
        .sentence = {.mark = mark, .name = name, .text = text},
    };
    emit(packets, conversation, &event);
}

/* FNV-1a; never 0. */
static uint32_t hash_of(const char *text)
{
    uint32_t hash = UINT32_C(2166136261);
    for (; *text; text++)
        hash = (hash ^ (unsigned char)*text) * UINT32_C(16777619);
    return hash ? hash : 1;
}

static void judge(struct packets *packets, struct conversation *conversation, int64_t t_ns, bool last)
{
    struct told *told = conversation_user(conversation);
    char text[VERDICT_TEXT_MAX];
    for (unsigned i = 0; conversation_verdicts[i] && i < TOLD_MAX; i++) {
        const struct conversation_verdict *verdict = conversation_verdicts[i];
        enum verdict_weight weight = verdict->judge(conversation, text);
        if (weight == VERDICT_NONE)
            continue;
        uint32_t hash = hash_of(text);
        if (told->hash[i] == hash || (told->hash[i] != 0 && !last))
            continue;
        told->hash[i] = hash;
        say(packets, conversation, t_ns, weight == VERDICT_TROUBLE ? '!' : 'i', verdict->name, text);
    }
    if (last) {
        conversation_summary(conversation, text);
        say(packets, conversation, t_ns, '=', "summary", text);
        told->over = true;
    }
}

/* All of it at once, for whoever writes it beside the packet. */
static void conclude(struct packets *packets, const struct conversation *conversation)
{
    char text[VERDICT_TEXT_MAX];
    size_t n = 0;
    for (unsigned i = 0; conversation_verdicts[i]; i++) {
        if (conversation_verdicts[i]->judge(conversation, text) != VERDICT_TROUBLE)
            continue;
        int length = snprintf(packets->conclusion + n, CONCLUSION_BYTES - n, "! %s ", text);
        n += length > 0 && (size_t)length < CONCLUSION_BYTES - n ? (size_t)length : 0;
    }
    conversation_summary(conversation, text);
    snprintf(packets->conclusion + n, CONCLUSION_BYTES - n, "= %s", text);
    packets->has_conclusion = true;
}

static bool is_over(const struct conversation *conversation)
{
    if (conversation->ending == ENDED_RESET || conversation->ending == ENDED_REFUSED)
        return true;
    for (int end = 0; end < N_ENDS; end++) {
        enum tcp_state state = conversation->side[end].state;
        if (state != TCP_STATE_CLOSED && state != TCP_STATE_TIME_WAIT)
            return false;
    }
    return conversation->ending != ENDED_NOT;
}

static void wait_ends(struct told *told)
{
    if (!told->waits)
        return;
    told->waits = false;
    *told->where = told->next;
    if (told->next)
        told->next->where = told->where;
}

static int64_t due_ns(const struct packets *packets, const struct told *told)
{
    return told->last_ns + (told->concludes ? packets->owner.settle_ns : QUIET_NS);
}

static void wait_begins(struct packets *packets, struct told *told)
{
    if (due_ns(packets, told) < packets->first_due_ns)
        packets->first_due_ns = due_ns(packets, told);
    if (told->waits)
        return;
    told->waits = true;
    told->next = packets->waiting;
    told->where = &packets->waiting;
    if (told->next)
        told->next->where = &told->next;
    packets->waiting = told;
}

int64_t packets_next_ns(const struct packets *packets)
{
    int64_t next_ns = held_next_ns(&packets->held);
    if (packets->courses && courses_next_ns(packets->courses) < next_ns)
        next_ns = courses_next_ns(packets->courses);
    for (const struct told *told = packets->waiting; told; told = told->next) {
        if (due_ns(packets, told) < next_ns)
            next_ns = due_ns(packets, told);
    }
    return next_ns;
}

#define TROUBLE                                                                                                        \
    (NOTE_BIT(NOTE_AGAIN) | NOTE_BIT(NOTE_SYN_RETRY) | NOTE_BIT(NOTE_ZERO_WINDOW) | NOTE_BIT(NOTE_WINDOW_PROBE) |      \
     NOTE_BIT(NOTE_HOLE))

static void judge_due(struct packets *packets, int64_t now_ns)
{
    struct told *next;
    packets->first_due_ns = INT64_MAX;
    for (struct told *told = packets->waiting; told; told = next) {
        next = told->next;
        int64_t at_ns = due_ns(packets, told);
        if (packets->at_end && !told->concludes)
            continue;
        if (now_ns < at_ns) {
            if (at_ns < packets->first_due_ns)
                packets->first_due_ns = at_ns;
            continue;
        }
        wait_ends(told);
        judge(packets, told->conversation, now_ns, told->concludes);
    }
}

/* Watched at both ends, each conversation is judged at its time, and by what has arrived until then: so the same is
 * said of it whoever calls, and when. */
static void judge_until(struct packets *packets, int64_t until_ns)
{
    for (;;) {
        int64_t next_ns = courses_next_ns(packets->courses);
        if (packets->first_due_ns < next_ns)
            next_ns = packets->first_due_ns;
        if (next_ns > until_ns || next_ns == INT64_MAX)
            return;
        courses_until(packets->courses, next_ns);
        if (packets->first_due_ns <= next_ns)
            judge_due(packets, next_ns);
    }
}

void packets_idle(struct packets *packets, int64_t now_ns)
{
    packets->idle_ns = now_ns;
    held_tell_until(&packets->held, now_ns);
    if (packets->courses)
        judge_until(packets, now_ns);
    judge_due(packets, now_ns);
}

/* What is over, or will be when all has arrived, is concluded; of what is only quiet nothing is said before its time.
 */
static void judge_over(struct packets *packets)
{
    packets->at_end = true;
    judge_until(packets, INT64_MAX);
}

/* ---- what the tracker says */

static void on_opened(struct conversation *conversation, int64_t t_ns, void *user)
{
    struct packets *packets = user;
    if (!packets->owner.event)
        return;
    struct told *told = calloc(1, sizeof *told);
    if (!told)
        return;
    told->conversation = conversation;
    told->number =
        packets->owner.number ? packets->owner.number(conversation, t_ns, packets->owner.user) : conversation->id;
    conversation_set_user(conversation, told);

    bool tcp = conversation->protocol == IPPROTO_TCP;
    struct event event = {.source = EVENT_WIRE, .kind = EVENT_KIND_CONNECTION, .t_ns = t_ns};
    event.connection = (struct event_connection){
        .protocol = conversation->protocol,
        .begins_midway = conversation->begins_midway,
        .has_segments = true,
        .realtime_ns = packets->owner.has_realtime ? t_ns + packets->owner.realtime_minus_ns : 0,
        .where = packets->owner.where,
    };
    for (int end = 0; end < N_ENDS; end++) {
        event.connection.end[end].address = conversation->side[end].address;
        bool no_socket = conversation->both_watched && conversation->side[end].state == TCP_STATE_CLOSED;
        event.connection.end[end].state = !tcp || conversation->begins_midway ? TCP_STATE_UNKNOWN
                                          : end == END_A || no_socket         ? TCP_STATE_CLOSED
                                                                              : TCP_STATE_LISTEN;
        event.connection.end[end].captured_here = conversation->both_watched;
        if (conversation->a_is_client)
            event.connection.end[end].role = end == END_A ? ROLE_CLIENT : ROLE_SERVER;
    }
    emit(packets, conversation, &event);
}

static void on_segment(struct conversation *conversation, int64_t t_ns, const struct event_segment *segment, void *user)
{
    struct packets *packets = user;
    struct told *told = conversation_user(conversation);
    packets->segment = *segment;
    packets->segment.source = conversation->side[segment->from].address;
    packets->segment.destination = conversation->side[other_end(segment->from)].address;
    packets->has_segment = true;
    if (!told)
        return;
    struct event event = {.source = EVENT_WIRE, .kind = EVENT_KIND_SEGMENT, .t_ns = t_ns, .segment = packets->segment};
    emit_segment(packets, told, &event);
    if (segment->arrived_ns > t_ns)
        t_ns = segment->arrived_ns; /* what is said of it comes behind its arrival */
    told->last_ns = t_ns;
    if (!packets->owner.sentences)
        return;
    if (segment->notes & TROUBLE && !told->over)
        wait_begins(packets, told);
    if (told->over || told->concludes || !is_over(conversation))
        return;
    if (packets->owner.conclusions)
        conclude(packets, conversation);
    if (packets->owner.settle_ns == 0) {
        judge(packets, conversation, t_ns, true);
        return;
    }
    told->concludes = true;
    wait_begins(packets, told);
}

static void on_datagram(struct conversation *conversation, int64_t t_ns, const struct event_datagram *datagram,
                        void *user)
{
    struct packets *packets = user;
    const struct told *told = conversation_user(conversation);
    if (!told || leaves(packets, told, NULL))
        return;
    struct event event = {.source = EVENT_WIRE, .kind = EVENT_KIND_DATAGRAM, .t_ns = t_ns, .datagram = *datagram};
    event.datagram.source = conversation->side[datagram->from].address;
    event.datagram.destination = conversation->side[other_end(datagram->from)].address;
    emit(user, conversation, &event);
}

static void on_icmp(struct conversation *conversation, int64_t t_ns, const struct event_icmp *icmp, void *user)
{
    struct event event = {.source = EVENT_WIRE, .kind = EVENT_KIND_ICMP, .t_ns = t_ns, .icmp = *icmp};
    emit(user, conversation, &event);
}

static void on_data(struct conversation *conversation, int64_t t_ns, enum event_end from, const void *data,
                    size_t n_bytes, uint64_t n_missing, bool push, void *user)
{
    const struct packets *packets = user;
    packets->owner.data(conversation, t_ns, from, data, n_bytes, n_missing, push, packets->owner.user);
}

static void on_forgotten(struct conversation *conversation, int64_t t_ns, void *user)
{
    struct packets *packets = user;
    struct told *told = conversation_user(conversation);
    if (t_ns < packets->ended_ns)
        t_ns = packets->ended_ns;
    if (told) {
        wait_ends(told);
        if (told->held)
            held_tell(&packets->held, told->held);
        if (!told->over && packets->owner.sentences)
            judge(packets, conversation, t_ns, true);
    }
    if (packets->owner.conversation)
        packets->owner.conversation(conversation, packets->owner.user);
    conversation_set_user(conversation, NULL);
    free(told);
}

/* ---- */

static struct track_handler handler_of(const struct packets_owner *owner)
{
    return (struct track_handler){
        .opened = on_opened,
        .segment = on_segment,
        .datagram = on_datagram,
        .icmp = on_icmp,
        .data = owner->data ? on_data : NULL,
        .forgotten = on_forgotten,
    };
}

struct packets *packets_new(const struct packets_owner *owner)
{
    struct track_handler handler = handler_of(owner);
    struct packets *packets = calloc(1, sizeof *packets);
    if (!packets)
        return NULL;
    packets->owner = *owner;
    packets->held = (struct held_list){.tell = owner->event, .user = owner->user};
    packets->first_due_ns = INT64_MAX;
    packets->tracker = tracker_new(TRACK_CONVERSATIONS_MAX, &handler, packets);
    packets->reassembly = reassembly_new();
    if (!packets->tracker || !packets->reassembly) {
        packets_free(packets);
        return NULL;
    }
    return packets;
}

void packets_set_offset(struct packets *packets, int64_t realtime_minus_ns)
{
    packets->owner.realtime_minus_ns = realtime_minus_ns;
}

void packets_set_settle(struct packets *packets, int64_t settle_ns)
{
    packets->owner.settle_ns = settle_ns;
}

static void decode(struct packets *packets, int64_t t_ns, const struct packet *packet)
{
    struct decoded *decoded = &packets->decoded, whole;
    unsigned flags = packets->owner.checksums && !packet->checksum_left ? DECODE_CHECK_CHECKSUMS : 0;

    decode_packet(packet->link_type, packet->data, packet->n_captured, packet->n_wire, flags, decoded);
    if (decoded->trouble & DECODE_FRAGMENT &&
        reassembly_add(packets->reassembly, t_ns, decoded, packet->data, packet->n_captured, &whole))
        *decoded = whole;
}

void packets_packet(struct packets *packets, int64_t t_ns, const struct packet *packet,
                    struct packets_result *ret_result)
{
    decode(packets, t_ns, packet);
    packets->has_segment = packets->has_conclusion = packets->is_left = false;
    held_tell_until(&packets->held, t_ns);
    struct conversation *conversation =
        tracker_packet(packets->tracker, t_ns, packet->number, packet->interface, &packets->decoded);
    if (ret_result)
        *ret_result = (struct packets_result){
            .decoded = &packets->decoded,
            .conversation = conversation,
            .segment = packets->has_segment ? &packets->segment : NULL,
            .is_left = packets->is_left,
            .conclusion = packets->has_conclusion ? packets->conclusion : NULL,
        };
}

static void say_why(struct packets *packets, const struct conversation *conversation, int64_t t_ns, const char *why)
{
    struct event event = {
        .source = EVENT_WIRE,
        .kind = EVENT_KIND_SENTENCE,
        .t_ns = t_ns,
        .sentence = {.mark = '-', .name = "course", .text = why, .about = packets->left.number},
    };
    emit(packets, conversation, &event);
}

void packets_course(struct packets *packets, int64_t left_ns, const struct packet *packet,
                    const struct packet_course *course, struct packets_result *ret_result)
{
    struct conversation *conversation = NULL;

    decode(packets, left_ns, packet);
    packets->has_segment = packets->has_conclusion = false;
    packets->left.number = 0;
    if (packets->courses && packets->owner.settle_ns > 0)
        judge_until(packets, left_ns - 1);
    if (!packets->courses) {
        struct track_handler handler = handler_of(&packets->owner);
        packets->courses = courses_new(TRACK_CONVERSATIONS_MAX, &handler, packets);
    }
    if (packets->courses)
        conversation =
            courses_packet(packets->courses, left_ns, packet->number, &packets->decoded, course, &packets->left);
    if (conversation && course->why && course->fate != FATE_ARRIVED && packets->left.number != 0)
        say_why(packets, conversation, left_ns, course->why);
    if (ret_result)
        *ret_result = (struct packets_result){
            .decoded = &packets->decoded,
            .conversation = conversation,
            .segment = packets->left.number != 0 ? &packets->left : NULL,
        };
}

void packets_arrival(struct packets *packets, const struct packet *packet, struct packets_result *ret_result)
{
    struct decoded *decoded = &packets->decoded;
    decode_packet(packet->link_type, packet->data, packet->n_captured, packet->n_wire, 0, decoded);
    *ret_result = (struct packets_result){
        .decoded = decoded,
        .conversation = packets->courses ? courses_find(packets->courses, decoded) : NULL,
    };
}

static void put_address(struct decode_address *ret_address, const struct sonde_address *address)
{
    memcpy(ret_address->bytes, address->u.ip, address->family == AF_INET ? 4 : 16);
}

/* SACK ranges of events are relative to the other end's ISN: back to raw by what the acknowledgement itself says. */
static void put_raw_sacks(struct segment_options *options, const struct event_segment *segment)
{
    uint32_t base = segment->ack_raw - (uint32_t)segment->ack;
    for (unsigned i = 0; i < options->n_sacks && i < SEGMENT_SACKS_MAX; i++) {
        options->sack[i].from = (uint32_t)(options->sack[i].from + base);
        options->sack[i].to = (uint32_t)(options->sack[i].to + base);
    }
}

void packets_segment(struct packets *packets, int64_t t_ns, const struct event_segment *segment)
{
    struct decoded decoded = {
        .depth = DECODE_TRANSPORT,
        .network = segment->source.family == AF_INET ? DECODE_IPV4 : DECODE_IPV6,
        .protocol = IPPROTO_TCP,
        .source_port = segment->source.port,
        .destination_port = segment->destination.port,
        .seq = segment->seq_raw,
        .ack = segment->ack_raw,
        .flags = segment->flags,
        .window = segment->window_raw,
        .tcp_header_bytes = 20,
        .options = segment->options,
        .payload = segment->data,
        .n_payload = segment->n_bytes,
        .n_payload_captured = segment->n_data < segment->n_bytes ? segment->n_data : segment->n_bytes,
        .trouble = (uint16_t)((has_note(segment->notes, NOTE_CUT) ? DECODE_CUT : 0) |
                              (has_note(segment->notes, NOTE_CHECKSUM_BAD) ? DECODE_CHECKSUM_BAD : 0)),
    };
    /* Events do not name interfaces: a copy was seen at another one. */
    uint32_t interface = has_note(segment->notes, NOTE_SEEN_TWICE) ? 1 : 0;
    put_address(&decoded.source, &segment->source);
    put_address(&decoded.destination, &segment->destination);
    put_raw_sacks(&decoded.options, segment);
    packets->has_segment = false;
    tracker_packet(packets->tracker, t_ns, segment->packet, interface, &decoded);
}

int64_t packets_held_ns(const struct packets *packets)
{
    int64_t first_ns = held_first_ns(&packets->held);
    int64_t waiting_ns = packets->courses ? courses_waiting_ns(packets->courses) : INT64_MAX;
    return waiting_ns < first_ns ? waiting_ns : first_ns;
}

void packets_release(struct packets *packets)
{
    held_tell_until(&packets->held, INT64_MAX);
}

void packets_finish(struct packets *packets)
{
    packets_release(packets);
    if (packets->courses && packets->owner.settle_ns > 0)
        judge_over(packets);
    packets->ended_ns = packets->idle_ns;
    tracker_free(packets->tracker);
    packets->tracker = NULL;
    courses_free(packets->courses);
    packets->courses = NULL;
}

void packets_free(struct packets *packets)
{
    if (!packets)
        return;
    tracker_free(packets->tracker);
    courses_free(packets->courses);
    reassembly_free(packets->reassembly);
    free(packets);
}

void packets_counts(const struct packets *packets, struct tracker_counts *ret_counts, uint64_t *ret_n_reassembly_lost)
{
    if (packets->courses)
        courses_counts(packets->courses, ret_counts);
    else
        tracker_counts(packets->tracker, ret_counts);
    *ret_n_reassembly_lost = reassembly_n_lost(packets->reassembly);
}

uint64_t packets_number(const struct conversation *conversation)
{
    const struct told *told = conversation_user(conversation);
    return told ? told->number : 0;
}
