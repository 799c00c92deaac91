/* SPDX-License-Identifier: MIT */
/*
 * The tap's packets, kept: as they came, and as segments of connections. Bounded; what finds no room is counted, and
 * said in the report when packets were looked at. What is forgotten stays as long as there is room: without a
 * connection's handshake its numbers could not be understood.
 */
#include "lab/lab_internal.h"
#include "observe/capture/capture.h"
#include "observe/decode/decode.h"
#include "term/translate.h"
#include "trace/tap.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CONVERSATIONS_MAX 20000
#define FORGOTTEN_BYTES_MAX (16u * 1024 * 1024) /* with more than this, what is forgotten is given up */

static bool make_room(struct packets_kept *kept, size_t n_data)
{
    if (kept->n == PACKETS_MAX || kept->n_bytes + n_data > PACKETS_BYTES_MAX)
        return false;
    if (kept->n == kept->room) {
        size_t room = kept->room ? 2 * kept->room : 256;
        struct packet_kept *packets = reallocarray(kept->packets, room, sizeof *packets);
        if (!packets)
            return false;
        kept->packets = packets;
        kept->room = room;
    }
    if (kept->n_bytes + n_data > kept->bytes_room) {
        size_t room = kept->bytes_room ? 2 * kept->bytes_room : 65536;
        while (room < kept->n_bytes + n_data)
            room *= 2;
        uint8_t *bytes = realloc(kept->bytes, room);
        if (!bytes)
            return false;
        kept->bytes = bytes;
        kept->bytes_room = room;
    }
    return true;
}

static void keep(struct packets_kept *kept, const struct wire_packet *packet)
{
    if (!make_room(kept, packet->n_captured)) {
        kept->n_lost++;
        return;
    }
    struct packet_kept *one = &kept->packets[kept->n++];
    one->packet = *packet;
    one->packet.data = NULL;
    one->offset = kept->n_bytes;
    if (packet->n_captured > 0)
        memcpy(kept->bytes + kept->n_bytes, packet->data, packet->n_captured);
    kept->n_bytes += packet->n_captured;
}

static int by_leaving(const void *one, const void *other)
{
    const struct wire_packet *a = &((const struct packet_kept *)one)->packet;
    const struct wire_packet *b = &((const struct packet_kept *)other)->packet;
    if (a->left_ns != b->left_ns)
        return a->left_ns < b->left_ns ? -1 : 1;
    if (a->number != b->number)
        return a->number < b->number ? -1 : 1;
    return (int)a->copy - (int)b->copy;
}

static void say_loss(struct lab *lab)
{
    struct wire_counts counts[N_ENDS];
    char text[256];
    uint64_t n_lost = lab->kept.n_lost, n_overrun = 0;
    if (wire_get_counts(lab->wire, counts) == 0) {
        n_lost += counts[END_A].n_tap_lost + counts[END_B].n_tap_lost;
        n_overrun = counts[END_A].n_overrun + counts[END_B].n_overrun;
    }
    if (lab->tap_loss_said || (n_lost == 0 && n_overrun == 0))
        return;
    lab->tap_loss_said = true;
    pthread_mutex_lock(&lab->lock);
    if (n_lost > 0) {
        snprintf(text, sizeof text, _("%s packets were not kept, for want of room: they are missing in what was seen."),
                 lab_count_text(n_lost));
        report_remark(lab->report, text);
    }
    if (n_overrun > 0) {
        snprintf(text, sizeof text, _("The wire itself did not keep up, and lost %s packets: by load, not by rule."),
                 lab_count_text(n_overrun));
        report_remark(lab->report, text);
    }
    pthread_mutex_unlock(&lab->lock);
}

static void list_shown(struct packets_kept *kept)
{
    size_t *shown = reallocarray(kept->shown, kept->n + 1, sizeof *shown);
    kept->n_shown = 0;
    if (!shown)
        return;
    kept->shown = shown;
    for (size_t i = 0; i < kept->n; i++) {
        kept->packets[i].packet.data = kept->bytes + kept->packets[i].offset;
        if (kept->packets[i].packet.number > kept->forgotten)
            kept->shown[kept->n_shown++] = i;
    }
}

void kept_take(struct lab *lab)
{
    struct wire_packet packet;
    struct packets_kept *kept = &lab->kept;
    if (!lab->wire)
        lab_give_up(lab, _("There is no wire here on which packets could be seen."));
    pthread_mutex_lock(&lab->wire_lock);
    wire_tap_flush(lab->wire);
    while (wire_tap_next(lab->wire, &packet) > 0)
        keep(kept, &packet);
    if (kept->n > kept->n_sorted)
        qsort(kept->packets, kept->n, sizeof *kept->packets, by_leaving);
    kept->n_sorted = kept->n;
    say_loss(lab);
    pthread_mutex_unlock(&lab->wire_lock);
    list_shown(kept);
}

void kept_free(struct packets_kept *kept)
{
    free(kept->packets);
    free(kept->bytes);
    free(kept->shown);
    free(kept->followed);
    free(kept->segments);
    *kept = (struct packets_kept){.forgotten = kept->forgotten};
}

static void forget(struct lab *lab)
{
    struct packets_kept *kept = &lab->kept;
    kept_take(lab);
    for (size_t i = 0; i < kept->n; i++) {
        if (kept->packets[i].packet.number > kept->forgotten)
            kept->forgotten = kept->packets[i].packet.number;
    }
    if (kept->n_bytes > FORGOTTEN_BYTES_MAX || kept->n > PACKETS_MAX / 2)
        kept_free(kept);
}

void lab_settle(struct lab *lab)
{
    kept_take(lab);
}

size_t lab_n_packets(struct lab *lab)
{
    kept_take(lab);
    return lab->kept.n_shown;
}

const struct wire_packet *lab_packet(struct lab *lab, size_t index)
{
    const struct packets_kept *kept = &lab->kept;
    if (index >= kept->n_shown)
        lab_give_up(lab, _("There is no packet %zu: %zu were seen."), index, kept->n_shown);
    return &kept->packets[kept->shown[index]].packet;
}

void lab_forget(struct lab *lab)
{
    if (lab->wire)
        forget(lab);
    pthread_mutex_lock(&lab->lock);
    record_forget(lab);
    for (unsigned i = 0; i < WATCHED_MAX; i++)
        lab->sampler.watched[i].told = (struct event_values){0};
    pthread_mutex_unlock(&lab->lock);
}

/* ---- segments */

/* As the tracker told of it: in the order of arriving. */
struct kept_segment {
    size_t index; /* of its packet */
    uint16_t client_port, server_port;
    struct event_segment segment;
};

struct following {
    struct packets_kept *kept;
    uint16_t client_port;
    size_t room;
};

/* A copy that the wire made has its original's number, and stands behind it. */
static size_t packet_of(const struct packets_kept *kept, const struct event_segment *segment)
{
    size_t index = (size_t)segment->packet - 1;
    if (has_note(segment->notes, NOTE_SEEN_TWICE) && index + 1 < kept->n && kept->packets[index + 1].packet.copy)
        index++;
    return index;
}

static void on_segment(struct conversation *conversation, int64_t t_ns, const struct event_segment *segment, void *user)
{
    struct following *following = user;
    struct packets_kept *kept = following->kept;
    uint16_t client_port = conversation->side[END_A].address.port;
    size_t index = packet_of(kept, segment);
    (void)t_ns;
    if ((following->client_port != 0 && client_port != following->client_port) ||
        kept->packets[index].packet.number <= kept->forgotten)
        return;
    if (kept->n_segments == following->room) {
        size_t room = following->room ? 2 * following->room : 256;
        struct kept_segment *followed = reallocarray(kept->followed, room, sizeof *followed);
        if (!followed)
            return;
        kept->followed = followed;
        following->room = room;
    }
    kept->followed[kept->n_segments++] = (struct kept_segment){
        .index = index,
        .client_port = client_port,
        .server_port = conversation->side[END_B].address.port,
        .segment = *segment,
    };
}

static int by_index(const void *one, const void *other)
{
    const struct kept_segment *a = one, *b = other;
    return a->index < b->index ? -1 : a->index > b->index;
}

static void fill_segment(const struct packets_kept *kept, const struct kept_segment *from, struct lab_segment *to)
{
    const struct wire_packet *packet = &kept->packets[from->index].packet;
    *to = (struct lab_segment){
        .segment = from->segment,
        .left_ns = packet->left_ns,
        .arrived_ns = packet->arrived_ns,
        .reason = packet->reason,
        .copy = packet->copy,
        .client_port = from->client_port,
        .server_port = from->server_port,
        .n_wire = packet->n_wire,
    };
    to->segment.data = NULL;
    to->segment.n_data = 0;
    to->segment.packet = packet->number;
    to->n_frame = packet->n_captured < sizeof to->frame ? packet->n_captured : sizeof to->frame;
    memcpy(to->frame, packet->data, to->n_frame);
}

static bool follow(struct packets_kept *kept, uint16_t client_port)
{
    static const struct track_handler handler = {.segment = on_segment};
    struct following following = {.kept = kept, .client_port = client_port};
    struct decoded decoded;
    struct packet_course course;
    size_t original = 0;
    free(kept->followed);
    kept->followed = NULL;
    kept->n_segments = 0;
    struct courses *courses = courses_new(CONVERSATIONS_MAX, &handler, &following);
    if (!courses)
        return false;
    for (size_t i = 0; i < kept->n; i++) {
        const struct wire_packet *packet = &kept->packets[i].packet;
        if (packet->own)
            continue; /* ICMP that the wire itself made */
        if (!packet->copy)
            original = i;
        course = tap_course(packet);
        decode_packet(LINK_ETHERNET, packet->data, packet->n_captured, packet->n_wire, 0, &decoded);
        courses_packet(courses, packet->left_ns, original + 1, &decoded, &course, NULL);
    }
    courses_free(courses);
    if (kept->n_segments > 0)
        qsort(kept->followed, kept->n_segments, sizeof *kept->followed, by_index);
    return true;
}

const struct lab_segment *lab_segments(struct lab *lab, uint16_t client_port, size_t *ret_n)
{
    struct packets_kept *kept = &lab->kept;
    kept_take(lab);
    if (!follow(kept, client_port))
        lab_give_up(lab, _("No memory to follow the connections."));
    free(kept->segments);
    kept->segments = calloc(kept->n_segments + 1, sizeof *kept->segments);
    if (!kept->segments)
        lab_give_up(lab, _("No memory to follow the connections."));
    for (size_t i = 0; i < kept->n_segments; i++)
        fill_segment(kept, &kept->followed[i], &kept->segments[i]);
    *ret_n = kept->n_segments;
    return kept->segments;
}

/* ---- one packet, opened */

static void put_line(const char *text, void *user)
{
    fprintf(user, "%s\n", text);
}

void lab_layers(struct lab *lab, size_t packet_index)
{
    char *text = NULL;
    size_t n_text = 0;
    const struct wire_packet *packet = lab_packet(lab, packet_index);
    FILE *out = open_memstream(&text, &n_text);
    if (!out)
        return;
    decode_layers_text(LINK_ETHERNET, packet->data, packet->n_captured, packet->n_wire, put_line, out);
    fclose(out);
    pthread_mutex_lock(&lab->lock);
    report_add(lab->report, REPORT_LINES, text);
    pthread_mutex_unlock(&lab->lock);
}
