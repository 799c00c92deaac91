/* SPDX-License-Identifier: MIT */
/*
 * One connection's events from all that was recorded: segments from the tap, calls and values whose descriptor had this
 * connection's addresses, sorted by time.
 */
#include "lab/lab_internal.h"
#include "observe/capture/capture.h"
#include "term/translate.h"
#include "trace/packets.h"
#include "trace/tap.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define CONN 1
#define EVENTS_MAX 8000
#define WHERE_BYTES (2 * WIRE_LABEL_MAX + 32)

struct drawing {
    struct lab *lab;
    uint16_t client_port; /* wanted; 0: the first */
    bool found;
    uint64_t conversation; /* id of the one that is drawn */
    struct sonde_address address[N_ENDS];
    uint8_t protocol;
    struct event **events;
    size_t n_events, room, n_lost;
    uint8_t state[N_ENDS]; /* after what is forgotten */
    bool has_state;
    uint32_t n_hidden; /* segments that are forgotten */
    bool calls_seen[N_ENDS];
    char program[N_ENDS][32];
};

static void push(struct drawing *drawing, const struct event *event)
{
    if (drawing->n_events >= EVENTS_MAX && event->kind != EVENT_KIND_CONNECTION) {
        drawing->n_lost++;
        return;
    }
    if (drawing->n_events == drawing->room) {
        size_t room = drawing->room ? 2 * drawing->room : 256;
        struct event **events = reallocarray(drawing->events, room, sizeof *events);
        if (!events)
            return;
        drawing->events = events;
        drawing->room = room;
    }
    struct event *copy = event_clone(event);
    if (!copy)
        return;
    copy->conn = CONN;
    drawing->events[drawing->n_events++] = copy;
}

/* ---- segments */

static uint64_t number(const struct conversation *conversation, int64_t t_ns, void *user)
{
    struct drawing *drawing = user;
    uint16_t ports[N_ENDS] = {conversation->side[END_A].address.port, conversation->side[END_B].address.port};
    (void)t_ns;
    if (drawing->found)
        return conversation->id == drawing->conversation ? CONN : 0;
    if (drawing->client_port != 0 && ports[END_A] != drawing->client_port && ports[END_B] != drawing->client_port)
        return 0;
    drawing->found = true;
    drawing->conversation = conversation->id;
    drawing->protocol = conversation->protocol;
    for (enum event_end end = END_A; end < N_ENDS; end++)
        drawing->address[end] = conversation->side[end].address;
    return CONN;
}

static void on_event(const struct event *event, void *user)
{
    struct drawing *drawing = user;
    uint64_t forgotten = drawing->lab->kept.forgotten;
    if (event->conn != CONN || event->kind == EVENT_KIND_CONNECTION)
        return;
    if (event->kind == EVENT_KIND_SEGMENT && event->segment.packet <= forgotten) {
        for (enum event_end end = END_A; end < N_ENDS; end++)
            drawing->state[end] = event->segment.state[end];
        drawing->has_state = true;
        drawing->n_hidden = event->segment.number;
        return;
    }
    if ((event->kind == EVENT_KIND_DATAGRAM && event->datagram.packet <= forgotten) ||
        (event->kind == EVENT_KIND_ICMP && event->icmp.packet <= forgotten) ||
        (event->kind == EVENT_KIND_SENTENCE && event->sentence.about <= drawing->n_hidden))
        return;
    push(drawing, event);
}

static void add_segments(struct drawing *drawing)
{
    struct lab *lab = drawing->lab;
    struct packets_owner owner = {.event = on_event, .number = number, .user = drawing};
    kept_take(lab);
    struct packets *packets = packets_new(&owner);
    if (!packets)
        return;
    for (size_t i = 0; i < lab->kept.n; i++) {
        const struct wire_packet *from = &lab->kept.packets[i].packet;
        struct packet packet = {
            .number = from->number,
            .data = from->data,
            .n_captured = from->n_captured,
            .n_wire = from->n_wire,
            .link_type = LINK_ETHERNET,
        };
        struct packet_course course;
        if (from->own)
            continue;
        course = tap_course(from);
        packets_course(packets, from->left_ns, &packet, &course, NULL);
    }
    packets_finish(packets);
    packets_free(packets);
}

/* ---- calls and values */

static bool same_port(const struct sonde_address *one, const struct sonde_address *other)
{
    return one->port != 0 && one->port == other->port;
}

/* At which end of this connection is it? N_ENDS: at none. */
static enum event_end end_of(const struct drawing *drawing, size_t index)
{
    if (index == NO_DESCRIPTOR)
        return N_ENDS;
    const struct descriptor *descriptor = &drawing->lab->record.descriptors[index];
    if (descriptor->listening || (descriptor->protocol != drawing->protocol && drawing->protocol != 0))
        return N_ENDS;
    for (enum event_end end = END_A; end < N_ENDS; end++) {
        if (same_port(&descriptor->local, &drawing->address[end]) &&
            (descriptor->peer.port == 0 || same_port(&descriptor->peer, &drawing->address[other_end(end)])))
            return end;
    }
    return N_ENDS;
}

/* Calls that make a socket ready are no part of a connection's story, but for a client's choice of its address. */
static bool is_drawn(uint8_t operation)
{
    return operation != SONDE_OP_SOCKET && operation != SONDE_OP_SETSOCKOPT && operation != SONDE_OP_LISTEN;
}

static void add_call(struct drawing *drawing, size_t index)
{
    const struct call_record *call = &drawing->lab->record.calls[index];
    bool is_accept = call->operation == SONDE_OP_ACCEPT;
    if (!call->party || !is_drawn(call->operation))
        return;
    enum event_end end = end_of(drawing, is_accept ? call->accepted : call->descriptor);
    /* A server's is the listener's, or that of a socket which only keeps the port. */
    if (end == N_ENDS || (call->operation == SONDE_OP_BIND && end == END_B))
        return;
    drawing->calls_seen[end] = true;
    if (drawing->program[end][0] == '\0')
        snprintf(drawing->program[end], sizeof drawing->program[end], "%s", call->party->name);
    struct event begun = {.source = EVENT_APP, .kind = EVENT_KIND_CALL, .t_ns = call->start_ns};
    begun.call = (struct event_call){
        .phase = CALL_BEGIN,
        .operation = call->operation,
        .end = (uint8_t)end,
        .fd = call->fd,
        .number = index + 1,
        .start_ns = call->start_ns,
    };
    if (call->event) {
        begun.call.arguments = call->event->call.arguments;
        begun.call.n_bytes = call->event->call.n_bytes;
    }
    push(drawing, &begun);
    if (!call->event)
        return;
    struct event ended = *call->event;
    ended.call.end = (uint8_t)end;
    push(drawing, &ended);
}

static void add_values(struct drawing *drawing)
{
    const struct record *record = &drawing->lab->record;
    for (size_t i = 0; i < record->n_values; i++) {
        const struct value_record *value = &record->values[i];
        enum event_end end = end_of(drawing, value->descriptor);
        if (end == N_ENDS)
            continue;
        struct event event = {.source = EVENT_KERNEL, .kind = EVENT_KIND_VALUES, .t_ns = value->t_ns};
        event.values = value->values;
        event.values.end = (uint8_t)end;
        push(drawing, &event);
    }
}

/* Without packets: the client whose port it is, or the first. */
static void find_by_calls(struct drawing *drawing)
{
    const struct record *record = &drawing->lab->record;
    for (size_t i = 0; i < record->n_descriptors && !drawing->found; i++) {
        const struct descriptor *descriptor = &record->descriptors[i];
        if (descriptor->role != ROLE_CLIENT || descriptor->local.port == 0 || descriptor->peer.port == 0 ||
            (drawing->client_port != 0 && descriptor->local.port != drawing->client_port))
            continue;
        drawing->found = true;
        drawing->protocol = (uint8_t)descriptor->protocol;
        drawing->address[END_A] = descriptor->local;
        drawing->address[END_B] = descriptor->peer;
    }
}

/* ---- all of it */

/* A call that begins when a segment leaves has caused it; one that ends when it arrives was waiting for it. */
static int rank(const struct event *event)
{
    if (event->kind == EVENT_KIND_CONNECTION)
        return 0;
    if (event->kind == EVENT_KIND_CALL)
        return event->call.phase == CALL_BEGIN ? 1 : 4;
    return event->kind == EVENT_KIND_VALUES ? 3 : 2;
}

static int by_time(const void *one, const void *other)
{
    const struct event *a = *(struct event *const *)one, *b = *(struct event *const *)other;
    if (a->t_ns != b->t_ns)
        return a->t_ns < b->t_ns ? -1 : 1;
    return rank(a) - rank(b);
}

static void where_text(const struct lab *lab, char ret_text[WHERE_BYTES])
{
    if (!lab->wire)
        snprintf(ret_text, WHERE_BYTES, "lo");
    else if (lab->rules[END_A][0] == '\0' && lab->rules[END_B][0] == '\0')
        snprintf(ret_text, WHERE_BYTES, "wire");
    else if (strcmp(lab->rules[END_A], lab->rules[END_B]) == 0)
        snprintf(ret_text, WHERE_BYTES, "wire: %s", lab->rules[END_A]);
    else
        snprintf(ret_text, WHERE_BYTES, "wire: %s%s%s%s%s", lab->rules[END_A][0] ? "a→b " : "", lab->rules[END_A],
                 lab->rules[END_A][0] && lab->rules[END_B][0] ? "; " : "", lab->rules[END_B][0] ? "b→a " : "",
                 lab->rules[END_B]);
}

/* Whose address was still open when it was looked at, as that of a client that was refused. */
static void fill_in(const struct drawing *drawing, struct sonde_address *address, enum event_end end)
{
    static const uint8_t any[16];
    if (address->family == AF_INET && memcmp(address->u.ip, any, 4) == 0)
        inet_pton(AF_INET, lab_address(drawing->lab, end), address->u.ip);
}

/* Is, or was there a listener on the server's port? */
static bool has_listener(const struct drawing *drawing)
{
    const struct record *record = &drawing->lab->record;
    for (size_t i = 0; i < record->n_descriptors; i++) {
        if (record->descriptors[i].listening && same_port(&record->descriptors[i].local, &drawing->address[END_B]))
            return true;
    }
    return false;
}

static void add_connection(struct drawing *drawing)
{
    struct timespec now;
    char where[WHERE_BYTES];
    int64_t first_ns = lab_now(), now_ns = first_ns;
    bool has_segments = false, listens = has_listener(drawing);
    for (size_t i = 0; i < drawing->n_events; i++) {
        const struct event *event = drawing->events[i];
        if (event->t_ns < first_ns)
            first_ns = event->t_ns;
        has_segments |= event->kind == EVENT_KIND_SEGMENT || event->kind == EVENT_KIND_DATAGRAM;
    }
    clock_gettime(CLOCK_REALTIME, &now);
    where_text(drawing->lab, where);
    struct event event = {.source = EVENT_WIRE, .kind = EVENT_KIND_CONNECTION, .t_ns = first_ns};
    event.connection = (struct event_connection){
        .protocol = drawing->protocol,
        .has_segments = has_segments,
        .realtime_ns = now.tv_sec * NS_PER_S + now.tv_nsec - (now_ns - first_ns),
        .where = where,
    };
    for (enum event_end end = END_A; end < N_ENDS; end++) {
        const char *role = end == END_A ? "client" : "server";
        const char *program = drawing->program[end];
        fill_in(drawing, &drawing->address[end], end);
        event.connection.end[end] = (struct event_connection_end){
            .address = drawing->address[end],
            .role = end == END_A ? ROLE_CLIENT : ROLE_SERVER,
            .state = drawing->has_state        ? drawing->state[end]
                     : end == END_B && listens ? TCP_STATE_LISTEN
                                               : TCP_STATE_CLOSED,
            .calls_seen = drawing->calls_seen[END_A] || drawing->calls_seen[END_B],
            .captured_here = drawing->lab->wire != NULL,
            .program = program[0] && strcmp(program, role) != 0 ? program : NULL,
        };
    }
    push(drawing, &event);
}

static void draw(struct drawing *drawing)
{
    struct lab *lab = drawing->lab;
    if (lab->wire)
        add_segments(drawing);
    pthread_mutex_lock(&lab->lock);
    if (!drawing->found)
        find_by_calls(drawing);
    for (size_t i = 0; drawing->found && i < lab->record.n_calls; i++)
        add_call(drawing, i);
    if (drawing->found)
        add_values(drawing);
    pthread_mutex_unlock(&lab->lock);
    if (drawing->n_events == 0)
        return;
    add_connection(drawing);
    qsort(drawing->events, drawing->n_events, sizeof *drawing->events, by_time);
}

void lab_ladder(struct lab *lab, uint16_t client_port, const char *caption)
{
    struct drawing drawing = {.lab = lab, .client_port = client_port};
    draw(&drawing);
    if (drawing.n_events == 0) {
        lab_footnote(lab, _("There is no ladder: neither segments nor calls of this connection were seen."));
        return;
    }
    if (drawing.n_lost > 0)
        lab_footnote(lab, _("The ladder ends early: %s later events found no room in it."),
                     lab_count_text(drawing.n_lost));
    pthread_mutex_lock(&lab->lock);
    struct report_item *item = report_add(lab->report, REPORT_LADDER, caption ? strdup(caption) : NULL);
    if (item)
        item->ladder = (struct report_ladder){.events = drawing.events, .n_events = drawing.n_events, .conn = CONN};
    pthread_mutex_unlock(&lab->lock);
}
