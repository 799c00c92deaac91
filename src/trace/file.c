/* SPDX-License-Identifier: MIT */
#include "trace/file.h"

#include "observe/event/event_json.h"
#include "observe/event/timeline.h"
#include "term/escape.h"
#include "trace/clock.h"
#include "trace/ends.h"
#include "trace/framing.h"
#include "trace/lines.h"
#include "trace/packets.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SNIFF_BYTES 4
#define SETTLE_NS (20 * NS_PER_MS) /* seen at both ends: what is over may have packets under way */
#define OUTPUT_LOOK 1024           /* packets between two looks whether anybody still reads */

struct reading {
    const struct trace_file_settings *settings;
    struct trace_file_counts *counts;
    struct packets *packets;
    struct framing *framing; /* NULL: no messages are looked for */
    struct timeline *line;   /* of what the wire tells; NULL: nobody wants events */
    struct capture_clock clock;
    const struct capture_file *file; /* of packets */
    struct ends *ends;               /* it has both ends of a wire; NULL: it has not */
    bool packet_views;
};

/* ---- what the wire tells, to all views */

static void on_event(const struct event *event, void *user)
{
    const struct reading *reading = user;
    for (size_t i = 0; i < reading->settings->n_views; i++) {
        struct view_run *run = &reading->settings->views[i];
        if (run->view->event)
            run->view->event(run, event);
    }
}

static bool in_turn(const struct reading *reading)
{
    return packets_held_ns(reading->packets) == INT64_MAX && timeline_next_ns(reading->line) == INT64_MAX;
}

/* The wire tells in the order of time, but for what it holds back: only then does anything have to wait. */
static void on_wire_event(const struct event *event, void *user)
{
    struct reading *reading = user;
    if (in_turn(reading))
        on_event(event, reading);
    else
        timeline_push(reading->line, event);
}

static void hand_on(struct reading *reading)
{
    if (reading->line && !in_turn(reading))
        timeline_advance(reading->line, packets_held_ns(reading->packets) - 1);
}

static void on_message(const struct framing_message *message, void *user)
{
    struct event event;
    framing_event(message, &event);
    event.conn = packets_number(message->conversation);
    on_wire_event(&event, user);
}

static void on_data(const struct conversation *conversation, int64_t t_ns, enum event_end from, const void *data,
                    size_t n_bytes, uint64_t n_missing, bool push, void *user)
{
    const struct reading *reading = user;
    if (reading->framing)
        framing_data(reading->framing, conversation, t_ns, from, data, n_bytes, n_missing);
    for (size_t i = 0; i < reading->settings->n_views; i++) {
        struct view_run *run = &reading->settings->views[i];
        if (run->view->data)
            run->view->data(run, conversation, t_ns, from, data, n_bytes, n_missing, push);
    }
}

static void on_conversation(const struct conversation *conversation, void *user)
{
    const struct reading *reading = user;
    if (reading->framing)
        framing_over(reading->framing, conversation);
    for (size_t i = 0; i < reading->settings->n_views; i++) {
        struct view_run *run = &reading->settings->views[i];
        if (run->view->conversation)
            run->view->conversation(run, conversation);
    }
}

static struct packets *make_packets(struct reading *reading, bool events)
{
    bool wants_events = false, wants_data = false, wants_conversations = false;
    for (size_t i = 0; i < reading->settings->n_views; i++) {
        const struct view *view = reading->settings->views[i].view;
        wants_events |= view->event != NULL;
        wants_data |= view->data != NULL;
        wants_conversations |= view->conversation != NULL;
        reading->packet_views |= view->packet != NULL;
    }
    bool frames = reading->settings->frame && wants_events && events;
    if (frames)
        reading->framing = framing_new(reading->settings->frame, on_message, reading);
    if (frames && !reading->framing)
        return NULL;
    struct packets_owner owner = {
        .event = wants_events && events ? on_wire_event : NULL,
        .data = (wants_data || frames) && events ? on_data : NULL,
        .conversation = wants_conversations || frames ? on_conversation : NULL,
        .user = reading,
        .where = reading->settings->n_views > 0 ? reading->settings->views[0].settings->title : NULL,
        .checksums = reading->settings->checksums,
        .sentences = reading->settings->sentences,
        .conclusions = reading->packet_views,
        .has_realtime = true,
    };
    struct timeline_sink sink = {on_event, reading};
    reading->line = owner.event ? timeline_new(0, TIMELINE_EVENTS_MAX, sink) : NULL;
    return !owner.event || reading->line ? packets_new(&owner) : NULL;
}

static int finish(struct reading *reading, int error)
{
    struct tracker_counts counts;
    packets_counts(reading->packets, &counts, &reading->counts->n_fragments_lost);
    reading->counts->n_other = counts.n_other;
    reading->counts->n_conversations = counts.n_conversations;
    reading->counts->n_made_room = counts.n_made_room;
    reading->counts->n_no_memory += counts.n_no_memory;
    reading->counts->n_clock_steps = reading->clock.n_steps;
    reading->counts->n_backwards = reading->clock.n_backwards;
    reading->counts->clock_step_ns = reading->clock.step_ns;
    packets_finish(reading->packets);
    if (reading->line)
        timeline_flush(reading->line);
    for (size_t i = 0; i < reading->settings->n_views; i++) {
        int one = trace_view_finish(&reading->settings->views[i]);
        error = error < 0 ? error : one;
    }
    packets_free(reading->packets);
    framing_free(reading->framing);
    timeline_free(reading->line);
    return error;
}

/* ---- packets */

static void show_packet(const struct reading *reading, const struct packet *packet, int64_t t_ns,
                        const struct packets_result *result, const struct ends_packet *of)
{
    struct view_packet shown = {
        .packet = packet,
        .decoded = result->decoded,
        .t_ns = t_ns,
        .conversation = result->conversation,
        .segment = result->segment,
        .conclusion = result->conclusion,
        .interface = capture_file_interface_name(reading->file, packet->interface),
        .description = capture_file_interface_description(reading->file, packet->interface),
        .why = of ? of->why : NULL,
        .arrival = of && of->kind == ENDS_ARRIVED,
    };
    for (size_t i = 0; i < reading->settings->n_views; i++) {
        struct view_run *run = &reading->settings->views[i];
        if (run->view->packet)
            run->view->packet(run, &shown);
    }
}

/* of: NULL where there is one place only. */
static void follow_packet(struct reading *reading, const struct packet *packet, int64_t t_ns,
                          const struct ends_packet *of)
{
    struct packets_result result;
    struct trace_file_counts *counts = reading->counts;
    packets_set_offset(reading->packets, reading->clock.offset_ns);
    if (!of || of->kind == ENDS_ALONE)
        packets_packet(reading->packets, t_ns, packet, &result);
    else if (of->kind == ENDS_ARRIVED)
        packets_arrival(reading->packets, packet, &result);
    else
        packets_course(reading->packets, t_ns, packet, &of->course, &result);
    hand_on(reading);
    if (of && of->kind == ENDS_COPY)
        return;
    if (result.decoded->depth == DECODE_NOTHING && !decode_knows_link(packet->link_type)) {
        counts->n_unknown_links++;
        counts->unknown_link = packet->link_type;
    }
    if (reading->packet_views)
        show_packet(reading, packet, t_ns, &result, of);
}

static void on_ends(const struct ends_packet *of, void *user)
{
    struct reading *reading = user;
    if (of->kind == ENDS_LEFT)
        packets_set_settle(reading->packets, SETTLE_NS);
    follow_packet(reading, of->packet, of->t_ns, of);
}

static void take_packet(struct reading *reading, const struct packet *packet)
{
    int64_t t_ns = capture_clock_convert(&reading->clock, packet->realtime_ns, 0);
    const char *description = capture_file_interface_description(reading->file, packet->interface);
    if (!reading->ends && reading->counts->n_packets == 1 && strcmp(description, ENDS_DESCRIPTION) == 0)
        reading->ends = ends_new(on_ends, reading);
    if (!reading->ends)
        follow_packet(reading, packet, t_ns, NULL);
    else if (ends_put(reading->ends, t_ns, packet) < 0)
        reading->counts->n_no_memory++;
}

/* Those that are not wanted any more tell whether the wanted ones have arrived; what ails them is nobody's business. */
static void look_ahead(struct reading *reading, struct capture_file *file, struct capture_filter *filter)
{
    struct packet packet;
    struct sonde_why why;
    while (ends_wait(reading->ends) && capture_file_next(file, &packet, &why) > 0) {
        if (!filter || capture_filter_matches(filter, &packet))
            ends_look(reading->ends, capture_clock_convert(&reading->clock, packet.realtime_ns, 0), &packet);
    }
}

static bool nobody_reads(const struct trace_file_settings *settings)
{
    for (size_t i = 0; i < settings->n_views; i++) {
        if (view_is_gone(&settings->views[i]))
            return true;
    }
    return false;
}

static int read_packets(struct reading *reading, struct capture_file *file, struct sonde_why *ret_why)
{
    const struct trace_file_settings *settings = reading->settings;
    struct trace_file_counts *counts = reading->counts;
    struct capture_filter *filter = NULL;
    struct packet packet;
    int n;

    reading->file = file;
    if (settings->filter) {
        int error = capture_filter_compile(settings->filter, LINK_ETHERNET, 0, &filter, ret_why);
        if (error < 0)
            return error;
    }
    while ((n = capture_file_next(file, &packet, ret_why)) > 0) {
        if (filter && !capture_filter_matches(filter, &packet)) {
            counts->n_passed_over++;
            continue;
        }
        counts->n_packets++;
        take_packet(reading, &packet);
        if (settings->n_packets_max != 0 && counts->n_packets == settings->n_packets_max)
            break;
        if (counts->n_packets % OUTPUT_LOOK == 0 && nobody_reads(settings))
            break;
    }
    if (n > 0 && reading->ends)
        look_ahead(reading, file, filter);
    if (reading->ends)
        ends_finish(reading->ends);
    ends_free(reading->ends);
    counts->n_dropped = capture_file_n_dropped(file);
    capture_filter_free(filter);
    return n < 0 ? n : 0;
}

/* ---- events */

static int refuse_packet_views(const struct reading *reading, struct sonde_why *ret_why)
{
    const char *what = NULL;
    for (size_t i = 0; i < reading->settings->n_views && !what; i++) {
        const struct view *view = reading->settings->views[i].view;
        what = (view->packet || view->data) && !view->event ? view->name : NULL;
    }
    if (!what && reading->settings->frame)
        what = "frame"; /* an event has only the first bytes of its payload */
    if (!what)
        return 0;
    *ret_why = (struct sonde_why){.code = -ENOTSUP, .call = "read"};
    snprintf(ret_why->subject, sizeof ret_why->subject, "%s", reading->settings->path);
    snprintf(ret_why->detail, sizeof ret_why->detail, "--%s", what);
    return -ENOTSUP;
}

/* Nothing that a terminal would obey, and one line. */
static bool is_plain(const char *text)
{
    struct escape escape;
    char out[256];
    size_t n_bytes = text ? strlen(text) : 0, n_out = 0, taken;
    escape_init(&escape, ESCAPE_TEXT);
    for (size_t at = 0; at < n_bytes; at += taken)
        n_out += escape_bytes(&escape, text + at, n_bytes - at, out, sizeof out, &taken);
    n_out += escape_finish(&escape, out, sizeof out);
    return n_out == n_bytes && (n_bytes == 0 || !strpbrk(text, "\n\t"));
}

/* Texts that are drawn as they are were written plain: others are none of ours. */
static bool is_drawable(const struct event *event)
{
    switch ((enum event_kind)event->kind) {
    case EVENT_KIND_SENTENCE:
        return is_plain(event->sentence.name) && is_plain(event->sentence.text);
    case EVENT_KIND_ICMP:
        return is_plain(event->icmp.words);
    case EVENT_KIND_LOSS:
        return is_plain(event->loss.what) && is_plain(event->loss.why);
    default:
        return true;
    }
}

static int read_events(struct reading *reading, struct lines *lines, struct sonde_why *ret_why)
{
    const char *line;
    size_t n_bytes;
    uint64_t number = 0;
    int n;

    while ((n = lines_next(lines, &line, &n_bytes)) > 0) {
        struct event *event = NULL;
        char why[128];
        number++;
        if (n_bytes == 0)
            continue;
        int error = event_json_read(line, n_bytes, &event, why);
        if (error == 0 && !is_drawable(event)) {
            free(event);
            error = -EINVAL;
            snprintf(why, sizeof why, "its words hold characters that are no plain text");
        }
        if (error < 0) {
            *ret_why = (struct sonde_why){.code = error, .call = "read"};
            snprintf(ret_why->subject, sizeof ret_why->subject, "%s", reading->settings->path);
            snprintf(ret_why->detail, sizeof ret_why->detail, "line %llu: %s", (unsigned long long)number, why);
            return error;
        }
        reading->counts->n_packets++;
        on_event(event, reading);
        if (event->kind == EVENT_KIND_SEGMENT)
            packets_segment(reading->packets, event->t_ns, &event->segment);
        free(event);
        if (reading->settings->n_packets_max != 0 && reading->counts->n_packets == reading->settings->n_packets_max)
            break;
    }
    if (n >= 0)
        return 0;
    *ret_why = (struct sonde_why){.code = n == -E2BIG ? -EINVAL : n, .call = "read"};
    if (n == -E2BIG)
        snprintf(ret_why->detail, sizeof ret_why->detail, "line %llu is longer than %d bytes",
                 (unsigned long long)number + 1, LINES_MAX);
    return ret_why->code;
}

/* ---- */

static int open_path(const char *path, struct sonde_why *ret_why)
{
    int fd = strcmp(path, "-") == 0 ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3) : open(path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0)
        return fd;
    *ret_why = (struct sonde_why){.code = -errno, .call = "open"};
    snprintf(ret_why->subject, sizeof ret_why->subject, "%s", path);
    return ret_why->code;
}

static size_t sniff(int fd, char ret_begun[SNIFF_BYTES])
{
    size_t n = 0;
    while (n < SNIFF_BYTES) {
        ssize_t one = read(fd, ret_begun + n, SNIFF_BYTES - n);
        if (one < 0 && errno == EINTR)
            continue;
        if (one <= 0)
            break;
        n += (size_t)one;
    }
    return n;
}

static int read_either(struct reading *reading, int fd, struct sonde_why *ret_why)
{
    char begun[SNIFF_BYTES];
    size_t n_begun = sniff(fd, begun);
    reading->counts->events = n_begun > 0 && begun[0] == '{';
    reading->packets = make_packets(reading, !reading->counts->events);
    if (!reading->packets) {
        framing_free(reading->framing);
        timeline_free(reading->line);
        close(fd);
        *ret_why = (struct sonde_why){.code = -ENOMEM, .call = "trace"};
        return -ENOMEM;
    }
    int error;
    if (reading->counts->events) {
        struct lines lines;
        lines_init(&lines, fd, begun, n_begun);
        error = refuse_packet_views(reading, ret_why);
        if (error == 0)
            error = read_events(reading, &lines, ret_why);
        lines_free(&lines);
        close(fd);
    } else {
        struct capture_file *file = NULL;
        error = capture_file_open_begun(fd, reading->settings->path, begun, n_begun, &file, ret_why);
        if (error == 0) {
            error = read_packets(reading, file, ret_why);
            capture_file_close(file);
        }
    }
    return finish(reading, error);
}

int trace_file(const struct trace_file_settings *settings, struct trace_file_counts *ret_counts,
               struct sonde_why *ret_why)
{
    struct reading reading = {.settings = settings, .counts = ret_counts};
    *ret_counts = (struct trace_file_counts){0};
    capture_clock_init(&reading.clock, false);
    int fd = open_path(settings->path, ret_why);
    return fd < 0 ? fd : read_either(&reading, fd, ret_why);
}
