/* SPDX-License-Identifier: MIT */
/*
 * What the tap tells, to the views: packets in the order of time, then as courses (both ends were watched) onto a time
 * line, where the kernels' values of both ends join them, and from there to the ladder, the picture, the file.
 *
 * A packet is in the tap when its fate is known, so what leaves early may come late, by as much as the rules hold it
 * back. That long we wait before we say that all is known up to a time; and the time line as much again, since what a
 * segment did is known when it has arrived.
 *
 * How late the wire itself is, on a busy machine, nobody can tell: so it is asked to be done with what has left and was
 * due, now and then, and only that time counts (known_ns).
 */
#include "cli/wire/wire_internal.h"
#include "observe/event/timeline.h"
#include "term/escape.h"
#include "term/style.h"
#include "trace/ends.h"
#include "trace/kernel.h"
#include "trace/packets.h"
#include "trace/tap.h"
#include "trace/view.h"

#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define TAP_SLACK_NS (50 * NS_PER_MS)   /* stamps of two ends, and of the clock, are not made by one hand */
#define ASK_LEAST_NS (10 * NS_PER_MS)   /* between two questions to the wire */
#define LONGEST_MOST_NS (60 * NS_PER_S) /* rules that hold back for longer are not waited for */
#define LONGEST_UNKNOWN_NS (5 * NS_PER_S)
#define SETTLE_NS (20 * NS_PER_MS)
#define IDLE_NS (50 * NS_PER_MS)
#define LOOK_LEAST_NS NS_PER_MS
#define EVENTS_MAX 262144
#define ROWS_MAX 100000
#define VIEWS_MAX 4
#define PACKETS_AT_ONCE 4096
#define WHY_BYTES 128

/* A connection: what the ladder was told of its ends' values. */
struct row {
    struct event_values told[N_ENDS];
};

struct place {
    struct wire *wire;
    enum event_end end;
};

struct observer {
    struct wire *wire;
    const struct program *program; /* [N_ENDS] */
    struct place place[N_ENDS];
    struct packet_order order;
    struct packets *packets;
    struct timeline *line;
    struct kernel_source *kernel;
    struct view_settings settings[VIEWS_MAX];
    struct view_run views[VIEWS_MAX];
    size_t n_views;
    bool writes; /* packets are written, as both ends saw them */
    FILE *json;
    struct row *rows;
    size_t n_rows;
    int64_t behind_ns; /* all packets that left before so long ago are known */
    int64_t hold_ns;
    int64_t realtime_minus_ns;
    int64_t now_ns, next_look_ns, last_look_ns, last_event_ns;
    int64_t known_ns; /* what left before, and was due, is in the tap, or was taken from it */
    char where[WORD_MAX];
};

/* ---- events */

static struct row *row_of(struct observer *observer, uint64_t conn)
{
    if (conn == 0 || conn > ROWS_MAX)
        return NULL;
    if (conn > observer->n_rows) {
        size_t n_rows = conn * 2 < 64 ? 64 : conn * 2;
        struct row *rows = reallocarray(observer->rows, n_rows, sizeof *rows);
        if (!rows)
            return NULL;
        memset(rows + observer->n_rows, 0, (n_rows - observer->n_rows) * sizeof *rows);
        observer->rows = rows;
        observer->n_rows = n_rows;
    }
    return &observer->rows[conn - 1];
}

static void push(const struct event *event, void *user)
{
    struct observer *observer = user;
    timeline_push(observer->line, event);
}

/* Which of the wire's ends has this address? */
static enum event_end place_of(const struct sonde_address *address)
{
    static const uint8_t a_ipv4[4] = {10, 0, 0, 1}, a_ipv6[16] = {0xfd, [15] = 1};
    bool is_a = address->family == AF_INET ? memcmp(address->u.ip, a_ipv4, sizeof a_ipv4) == 0
                                           : memcmp(address->u.ip, a_ipv6, sizeof a_ipv6) == 0;
    return is_a ? END_A : END_B;
}

static const char *name_of(const struct program *program)
{
    const char *base = strrchr(program->argv[0], '/');
    return base ? base + 1 : program->argv[0];
}

static void name_ends(const struct observer *observer, struct event_connection *connection)
{
    for (enum event_end end = END_A; end < N_ENDS; end++) {
        const struct program *program = &observer->program[place_of(&connection->end[end].address)];
        connection->end[end].pid = program->pid;
        connection->end[end].program = name_of(program);
    }
}

/* Of what the kernel says: what is news, and no segment says. */
static bool is_shown(struct observer *observer, struct event *event)
{
    struct row *row = row_of(observer, event->conn);
    if (event->kind == EVENT_KIND_STATE)
        return event->state.before == TCP_STATE_TIME_WAIT;
    if (event->kind != EVENT_KIND_VALUES)
        return true;
    if (!row)
        return false;
    kernel_changes(&event->values, &row->told[event->values.end]);
    return event->values.changed != 0;
}

static void on_event(const struct event *held, void *user)
{
    struct observer *observer = user;
    struct event event = *held;
    if (!is_shown(observer, &event))
        return;
    if (event.kind == EVENT_KIND_CONNECTION)
        name_ends(observer, &event.connection);
    for (size_t i = 0; i < observer->n_views; i++) {
        struct view_run *run = &observer->views[i];
        if (run->view->event)
            run->view->event(run, &event);
    }
    observer->last_event_ns = observer->now_ns;
}

static uint64_t on_number(const struct conversation *conversation, int64_t t_ns, void *user)
{
    struct observer *observer = user;
    (void)t_ns;
    const struct sonde_address address[N_ENDS] = {conversation->side[END_A].address, conversation->side[END_B].address};
    if (observer->kernel && conversation->protocol == IPPROTO_TCP)
        kernel_watch(observer->kernel, conversation->id, address, true);
    return conversation->id;
}

static void on_conversation(const struct conversation *conversation, void *user)
{
    struct observer *observer = user;
    for (size_t i = 0; i < observer->n_views; i++) {
        struct view_run *run = &observer->views[i];
        if (run->view->conversation)
            run->view->conversation(run, conversation);
    }
}

/* ---- packets */

/* For the comment in a file: what became of it. NULL: nothing is to be said. */
static const char *why_of(const struct taken *taken, char ret_text[WHY_BYTES])
{
    const struct wire_packet *packet = &taken->packet;
    const char *words = packet->copy        ? "a copy, made on the wire"
                        : packet->corrupted ? "a bit was changed on the wire (these bytes are as they left)"
                        : packet->own       ? "sent by the wire itself"
                        : packet->reordered ? "held back on the wire"
                                            : "";
    const char *also = packet->twice ? "made twice on the wire" : "";
    if (packet->reason != WIRE_PASSED)
        snprintf(ret_text, WHY_BYTES, "never arrived: %s", wire_reason_name(packet->reason));
    else if (*words || *also)
        snprintf(ret_text, WHY_BYTES, "%s%s%s", also, *words && *also ? ", " : "", words);
    else
        return NULL;
    return ret_text;
}

/* The pcapng file has the packet as its sender saw it, and, if it came there, as its receiver did. */
static void write_packet(struct observer *observer, const struct taken *taken, enum event_end seen_at,
                         struct packet *packet, const struct packets_result *result)
{
    static const char *const names[N_ENDS] = {"A", "B"};
    char why[WHY_BYTES];
    packet->interface = seen_at;
    packet->realtime_ns = taken->t_ns + observer->realtime_minus_ns;
    packet->direction = seen_at == taken->packet.from ? PACKET_OUT : PACKET_IN;
    struct view_packet shown = {
        .packet = packet,
        .decoded = result->decoded,
        .t_ns = taken->t_ns,
        .conversation = result->conversation,
        .segment = result->segment,
        .interface = names[seen_at],
        .description = ENDS_DESCRIPTION,
        .arrival = taken->arrival && !taken->packet.own && !taken->packet.copy,
        .why = why_of(taken, why),
    };
    for (size_t i = 0; i < observer->n_views; i++) {
        struct view_run *run = &observer->views[i];
        if (run->view->packet)
            run->view->packet(run, &shown);
    }
}

static void take(struct observer *observer, struct taken *taken)
{
    const struct wire_packet *of = &taken->packet;
    struct packets_result result = {0};
    struct packet packet = {
        .number = of->number,
        .data = taken->data,
        .n_captured = of->n_captured,
        .n_wire = of->n_wire,
        .link_type = LINK_ETHERNET,
    };
    struct packet_course course = tap_course(of);
    /* What the wire sends itself left nobody: it is not on the ladder, but for what it does. */
    if (!taken->arrival)
        packets_course(observer->packets, taken->t_ns, &packet, &course, &result);
    if (observer->writes && !(of->own && !taken->arrival) && !(of->copy && !taken->arrival))
        write_packet(observer, taken, taken->arrival ? other_end(of->from) : of->from, &packet, &result);
    free(taken);
}

static void take_until(struct observer *observer, int64_t until_ns)
{
    struct taken *taken;
    while ((taken = order_take(&observer->order, until_ns)))
        take(observer, taken);
    while (order_is_full(&observer->order) && (taken = order_take(&observer->order, INT64_MAX)))
        take(observer, taken);
}

/* True: there were some. */
static bool read_tap(struct observer *observer, size_t n_max)
{
    struct wire_packet packet;
    bool any = false;
    for (size_t i = 0; i < n_max && wire_tap_next(observer->wire, &packet) == 1; i++) {
        any = true;
        order_put(&observer->order, &packet, false);
        if (observer->writes && packet.arrived_ns != 0)
            order_put(&observer->order, &packet, true);
        if (order_is_full(&observer->order))
            take_until(observer, packet.left_ns);
    }
    return any;
}

/* ---- kernels */

static int open_socket(int family, int type, int protocol, void *user)
{
    struct place *place = user;
    return wire_socket(place->wire, place->end, family, type, protocol);
}

static void look_at_kernels(struct observer *observer, bool news)
{
    if (!observer->kernel || kernel_n_watched(observer->kernel) == 0)
        return;
    bool due = observer->now_ns >= observer->next_look_ns;
    if (!due && !(news && observer->now_ns - observer->last_look_ns >= LOOK_LEAST_NS))
        return;
    observer->last_look_ns = observer->now_ns;
    observer->next_look_ns = observer->now_ns + KERNEL_LOOK_NS;
    kernel_look(observer->kernel, observer->now_ns);
}

/* ---- turns */

static int64_t earlier(int64_t one, int64_t other)
{
    return one < other ? one : other;
}

static void tell_idle(struct observer *observer)
{
    for (size_t i = 0; i < observer->n_views; i++) {
        struct view_run *run = &observer->views[i];
        if (run->view->idle && observer->now_ns - observer->last_event_ns >= IDLE_NS)
            run->view->idle(run, observer->known_ns - observer->hold_ns);
        fflush(run->settings->out);
    }
}

/* True: more is known than before. */
static bool ask_wire(struct observer *observer)
{
    if (observer->now_ns - observer->known_ns < ASK_LEAST_NS)
        return false;
    wire_tap_flush(observer->wire); /* one that does not answer has nothing more to tell */
    while (read_tap(observer, PACKETS_AT_ONCE))
        ;
    observer->known_ns = observer->now_ns;
    return true;
}

/* What is under way longer than the rules say holds the line up. */
static int64_t line_ns(const struct observer *observer)
{
    int64_t held_ns = packets_held_ns(observer->packets);
    return held_ns == INT64_MAX ? observer->known_ns : earlier(observer->known_ns, held_ns - 1 + observer->hold_ns);
}

void observer_turn(struct observer *observer, int64_t now_ns)
{
    observer->now_ns = now_ns;
    bool news = read_tap(observer, PACKETS_AT_ONCE);
    look_at_kernels(observer, news);
    if (ask_wire(observer)) {
        int64_t until_ns = observer->known_ns - observer->behind_ns;
        take_until(observer, until_ns);
        packets_idle(observer->packets, until_ns);
        timeline_advance(observer->line, line_ns(observer));
    }
    tell_idle(observer);
}

/* When the wire is asked next, there may be something to take, or to tell. */
static int64_t tell_ns(const struct observer *observer)
{
    int64_t next_ns = timeline_next_ns(observer->line), ask_ns = observer->known_ns + ASK_LEAST_NS;
    if (observer->order.n > 0)
        next_ns = earlier(next_ns, observer->order.heap[0]->t_ns + observer->behind_ns);
    int64_t packets_ns = packets_next_ns(observer->packets);
    if (packets_ns != INT64_MAX)
        next_ns = earlier(next_ns, packets_ns + observer->behind_ns);
    return next_ns > ask_ns ? next_ns : ask_ns;
}

int64_t observer_next_ns(const struct observer *observer)
{
    int64_t next_ns = earlier(observer->now_ns + IDLE_NS, tell_ns(observer));
    if (observer->kernel && kernel_n_watched(observer->kernel) > 0)
        next_ns = earlier(next_ns, observer->next_look_ns);
    return next_ns;
}

/* ---- views */

static bool say_cannot_write(const char *path, int error)
{
    char word[WORD_MAX];
    escape_short(path, strlen(path), word, sizeof word);
    say(_("%s cannot be written: %s."), word, sonde_strerror(error));
    return false;
}

/* What was opened and cannot be finished because there is nothing: no picture without a connection. */
static bool say_stays_empty(const char *path)
{
    char word[WORD_MAX];
    escape_short(path, strlen(path), word, sizeof word);
    say(_("%s stays empty: there was no connection to draw."), word);
    return false;
}

static bool add_view(struct observer *observer, const struct view *view, const struct view_settings *settings,
                     const char *path)
{
    struct sonde_why why = {.code = 0};
    observer->settings[observer->n_views] = *settings;
    int error =
        trace_view_open(view, &observer->settings[observer->n_views], &observer->views[observer->n_views], &why);
    if (error < 0)
        return say_cannot_write(path, error);
    observer->n_views++;
    return true;
}

static bool open_views(struct observer *observer, const struct wire_options *options)
{
    bool terminal = term_is_terminal(STDERR_FILENO);
    struct view_settings settings = {
        .out = stderr,
        .title = observer->where,
        .live = terminal,
        .unicode = !options->ascii && term_is_unicode(),
        .color = term_wants_color(STDERR_FILENO),
        .raw = options->raw,
        .compact = options->compact,
        .list = options->list,
        .width = options->width > 0 ? (unsigned)options->width : term_width(STDERR_FILENO),
        .svg = options->svg,
        .write = options->write,
    };
    if (options->trace && !add_view(observer, &view_ladder, &settings, "--trace"))
        return false;
    if (options->svg && !add_view(observer, &view_svg, &settings, options->svg))
        return false;
    if (options->write && !add_view(observer, &view_write, &settings, options->write))
        return false;
    if (!options->trace_json)
        return true;
    observer->json = fopen(options->trace_json, "we");
    if (!observer->json)
        return say_cannot_write(options->trace_json, -errno);
    settings.out = observer->json;
    settings.title = options->trace_json; /* its name, if it cannot be written */
    return add_view(observer, &view_json, &settings, options->trace_json);
}

bool observer_is_wanted(const struct wire_options *options)
{
    return options->trace || options->trace_json || options->svg || options->write;
}

static int64_t clock_of(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return now.tv_sec * NS_PER_S + now.tv_nsec;
}

static bool prepare(struct observer *observer)
{
    observer->realtime_minus_ns = clock_of(CLOCK_REALTIME) - clock_of(CLOCK_MONOTONIC);
    observer->line = timeline_new(observer->hold_ns, EVENTS_MAX, (struct timeline_sink){on_event, observer});
    observer->packets = packets_new(&(struct packets_owner){
        .event = push,
        .number = on_number,
        .conversation = on_conversation,
        .user = observer,
        .where = observer->where,
        .sentences = true,
        .settle_ns = SETTLE_NS,
        .has_realtime = true,
        .realtime_minus_ns = observer->realtime_minus_ns,
    });
    if (!observer->line || !observer->packets) {
        say(_("memory is short."));
        return false;
    }
    for (enum event_end end = END_A; end < N_ENDS; end++)
        observer->place[end] = (struct place){observer->wire, end};
    /* Without it there is less to tell, and no more. */
    observer->kernel =
        kernel_source_new_at(open_socket, (void *[]){&observer->place[END_A], &observer->place[END_B]}, push, observer);
    return true;
}

bool observer_open(const struct wire_options *options, struct wire *wire, const struct program program[N_ENDS],
                   int64_t longest_ns, const char *where, struct observer **ret_observer)
{
    *ret_observer = NULL;
    if (!observer_is_wanted(options))
        return true;
    struct observer *observer = calloc(1, sizeof *observer);
    if (!observer) {
        say(_("memory is short."));
        return false;
    }
    if (longest_ns == INT64_MAX)
        longest_ns = LONGEST_UNKNOWN_NS;
    longest_ns = earlier(longest_ns, LONGEST_MOST_NS);
    observer->wire = wire;
    observer->program = program;
    observer->writes = options->write != NULL;
    observer->behind_ns = longest_ns + TAP_SLACK_NS;
    observer->hold_ns = observer->behind_ns + longest_ns + COURSE_ANSWER_NS + SETTLE_NS;
    observer->now_ns = observer->known_ns = verb_now_ns();
    snprintf(observer->where, sizeof observer->where, "%s", where);
    if (!prepare(observer) || !open_views(observer, options)) {
        observer_free(observer);
        return false;
    }
    *ret_observer = observer;
    return true;
}

bool observer_finish(struct observer *observer)
{
    bool all_written = true;
    while (read_tap(observer, PACKETS_AT_ONCE))
        ;
    observer->now_ns = verb_now_ns();
    take_until(observer, INT64_MAX);
    packets_finish(observer->packets);
    timeline_flush(observer->line);
    if (observer->order.n_no_memory > 0)
        say(ngettext("memory is short: %" PRIu64 " packet is not shown.",
                     "memory is short: %" PRIu64 " packets are not shown.", observer->order.n_no_memory),
            observer->order.n_no_memory);
    for (size_t i = 0; i < observer->n_views; i++) {
        struct view_run *run = &observer->views[i];
        int error = trace_view_finish(run);
        if (fflush(run->settings->out) != 0 && error == 0)
            error = -errno;
        const char *path = run->view == &view_svg     ? run->settings->svg
                           : run->view == &view_write ? run->settings->write
                           : run->view == &view_json  ? run->settings->title
                                                      : "--trace";
        if (error == -ENOENT)
            all_written = say_stays_empty(path);
        else if (error < 0)
            all_written = say_cannot_write(path, error);
    }
    return all_written;
}

void observer_free(struct observer *observer)
{
    if (!observer)
        return;
    for (size_t i = 0; i < observer->n_views; i++)
        trace_view_close(&observer->views[i]);
    if (observer->json)
        fclose(observer->json);
    packets_free(observer->packets);
    timeline_free(observer->line);
    kernel_source_free(observer->kernel);
    order_free(&observer->order);
    free(observer->rows);
    free(observer);
}
