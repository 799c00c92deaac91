/* SPDX-License-Identifier: MIT */
#include "trace/session_internal.h"

#include "term/translate.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SAMPLE_NS NS_PER_S
#define APART_NS NS_PER_US /* reading both clocks takes a tenth of that */
#define LOOKS 8
#define SETTLE_NS (20 * NS_PER_MS) /* calls that a last segment made return come before what is concluded */
#define IDLE_NS (50 * NS_PER_MS)
#define PACKETS_AT_ONCE 4096
#define PACKETS_FEW 500 /* of a turn: the ring has room for the next one's, too */
#define REST_MS 15      /* where much comes; the time line holds it for longer */

int64_t session_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * NS_PER_S + now.tv_nsec;
}

static int64_t realtime_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return now.tv_sec * NS_PER_S + now.tv_nsec;
}

/* Both clocks at the same moment, as near as can be had: whoever is interrupted between two looks, looks again. Before
 * each batch of packets, since their stamps are of a clock that somebody may just have set. */
static bool compare_clocks(struct session *session)
{
    int64_t realtime_ns = 0, monotonic_ns = 0, least_ns = INT64_MAX;
    for (int i = 0; i < LOOKS && least_ns > APART_NS; i++) {
        int64_t before_ns = session_now_ns(), between_ns = realtime_now_ns(), took_ns = session_now_ns() - before_ns;
        if (took_ns >= least_ns)
            continue;
        least_ns = took_ns;
        realtime_ns = between_ns;
        monotonic_ns = before_ns + took_ns / 2;
    }
    return capture_clock_sample(&session->clock, realtime_ns, monotonic_ns);
}

/* ---- towards the views */

void session_show(struct session *session, const struct event *event)
{
    for (size_t i = 0; i < session->settings.n_views; i++) {
        struct view_run *run = &session->settings.views[i];
        if (run->view->event)
            run->view->event(run, event);
    }
    session->last_event_ns = session->now_ns;
}

static void fill_in(const struct session *session, const struct row *row, struct event_connection *connection)
{
    for (int end = 0; end < N_ENDS; end++) {
        struct event_connection_end *one = &connection->end[end];
        const struct holder *holder = &row->holder[end];
        one->calls_seen = session->settings.our_role == (end == END_A ? ROLE_CLIENT : ROLE_SERVER);
        one->pid = holder->pid;
        one->program = holder->program[0] ? holder->program : NULL;
        /* Whoever speaks first to a server of ours is its client. */
        if (row->protocol == IPPROTO_UDP && session->settings.our_role != ROLE_UNKNOWN)
            one->role = end == END_A ? ROLE_CLIENT : ROLE_SERVER;
    }
    join_fill_in(session, row, connection);
}

static void tell_no_packets(struct session *session, const struct event *about)
{
    if (session->no_packets_told || !session->settings.no_packets)
        return;
    session->no_packets_told = true;
    struct event event = {
        .source = EVENT_VERDICT, .kind = EVENT_KIND_SENTENCE, .conn = about->conn, .t_ns = about->t_ns};
    event.sentence = (struct event_sentence){.mark = 'i', .name = "no-packets", .text = session->settings.no_packets};
    session_show(session, &event);
}

/* A connection's first event is always its introduction, even when a call of ours began before its first segment. */
static void introduce(struct session *session, const struct event *first)
{
    struct row *row = session_row(session, first->conn);
    if (!row || row->introduced)
        return;
    row->introduced = true;
    struct event event = {.source = EVENT_APP, .kind = EVENT_KIND_CONNECTION, .conn = first->conn, .t_ns = first->t_ns};
    event.connection = (struct event_connection){
        .protocol = row->protocol,
        .has_segments = row->has_segments,
        .realtime_ns = first->t_ns + session->clock.offset_ns,
        .where = row->has_segments ? session->settings.where : NULL,
    };
    for (int end = 0; end < N_ENDS; end++) {
        struct event_connection_end *one = &event.connection.end[end];
        one->address = row->address[end];
        one->role = end == END_A ? ROLE_CLIENT : ROLE_SERVER;
        one->state = row->protocol != IPPROTO_TCP ? TCP_STATE_UNKNOWN
                     : end == END_A               ? TCP_STATE_CLOSED
                                                  : TCP_STATE_LISTEN;
    }
    fill_in(session, row, &event.connection);
    if (!row->has_segments && row->protocol == IPPROTO_TCP) {
        for (int end = 0; end < N_ENDS; end++) {
            if (!event.connection.end[end].calls_seen)
                event.connection.end[end].state = TCP_STATE_UNKNOWN;
        }
    }
    session_show(session, &event);
    tell_no_packets(session, &event);
}

/* The time line's sink. */
static void on_event(const struct event *held, void *user)
{
    struct session *session = user;
    struct event event = *held;
    if (!join_decide(session, &event))
        return;
    struct row *row = session_row(session, event.conn);
    if (row && event.kind == EVENT_KIND_SEGMENT)
        row->opened |= event.segment.state[END_B] == TCP_STATE_ESTABLISHED;
    if (row && event.kind == EVENT_KIND_CONNECTION) {
        fill_in(session, row, &event.connection);
        row->introduced = true;
    } else {
        introduce(session, &event);
    }
    /* A beginning that comes too late for its place stays out; its end tells of the whole. */
    if (event.late && event.kind == EVENT_KIND_CALL && event.call.phase == CALL_BEGIN)
        return;
    session_show(session, &event);
}

static void push(const struct event *event, void *user)
{
    struct session *session = user;
    timeline_push(session->line, event);
}

/* ---- the wire */

static uint64_t on_number(const struct conversation *conversation, int64_t t_ns, void *user)
{
    struct session *session = user;
    const struct sonde_address address[N_ENDS] = {conversation->side[END_A].address, conversation->side[END_B].address};
    uint64_t conn = 0;
    session_add_row(session, conversation->protocol, address, t_ns, true, &conn);
    return conn;
}

static void on_message(const struct framing_message *message, void *user)
{
    struct session *session = user;
    struct event event;
    framing_event(message, &event);
    event.conn = packets_number(message->conversation);
    if (event.conn != 0)
        push(&event, session);
}

static void on_data(const struct conversation *conversation, int64_t t_ns, enum event_end from, const void *data,
                    size_t n_bytes, uint64_t n_missing, bool is_push, void *user)
{
    struct session *session = user;
    if (session->framing)
        framing_data(session->framing, conversation, t_ns, from, data, n_bytes, n_missing);
    for (size_t i = 0; i < session->settings.n_views; i++) {
        struct view_run *run = &session->settings.views[i];
        if (run->view->data)
            run->view->data(run, conversation, t_ns, from, data, n_bytes, n_missing, is_push);
    }
}

static void on_conversation(const struct conversation *conversation, void *user)
{
    struct session *session = user;
    if (session->framing)
        framing_over(session->framing, conversation);
    for (size_t i = 0; i < session->settings.n_views; i++) {
        struct view_run *run = &session->settings.views[i];
        if (run->view->conversation)
            run->view->conversation(run, conversation);
    }
}

static const struct holder *holders_of(struct session *session, const struct conversation *conversation)
{
    const struct row *row = conversation ? session_row(session, packets_number(conversation)) : NULL;
    return row ? row->holder : NULL;
}

static void show_packet(struct session *session, const struct packet *packet, int64_t t_ns,
                        const struct packets_result *result)
{
    struct view_packet shown = {
        .packet = packet,
        .decoded = result->decoded,
        .t_ns = t_ns,
        .conversation = result->conversation,
        .segment = result->segment,
        .conclusion = result->conclusion,
        .holder = holders_of(session, result->conversation),
        .interface = capture_live_interface_name(session->settings.live, packet->interface),
    };
    for (size_t i = 0; i < session->settings.n_views; i++) {
        struct view_run *run = &session->settings.views[i];
        if (run->view->packet)
            run->view->packet(run, &shown);
    }
}

static bool enough(const struct session *session)
{
    return session->settings.n_packets_max != 0 && session->n_packets >= session->settings.n_packets_max;
}

/* 0, or why there will be no more. *drained_ns: all that was captured before has been taken; earlier than before when
 * more is waiting. */
static int take_packets(struct session *session, int64_t *drained_ns)
{
    struct packet packet;
    int64_t t_ns = *drained_ns;
    struct packets_result result;
    for (unsigned i = 0; i < PACKETS_AT_ONCE && !enough(session); i++) {
        int n = capture_live_next(session->settings.live, &packet);
        if (n <= 0)
            return n;
        session->n_packets++;
        packet.number = session->n_packets;
        session->now_ns = session_now_ns();
        t_ns = capture_clock_convert(&session->clock, packet.realtime_ns, session->now_ns);
        packets_packet(session->packets, t_ns, &packet, &result);
        if (!result.is_left)
            show_packet(session, &packet, t_ns, &result);
    }
    if (t_ns < *drained_ns)
        *drained_ns = t_ns;
    return 0;
}

/* What the kernel had no room for, as an event: it is said where it happened. */
static void tell_drops(struct session *session)
{
    if (!session->settings.live)
        return;
    capture_live_counts(session->settings.live, &session->n_received, &session->n_dropped);
    if (session->n_dropped == session->n_dropped_told)
        return;
    struct event event = {.source = EVENT_WIRE, .kind = EVENT_KIND_LOSS, .t_ns = session->now_ns};
    event.loss = (struct event_loss){"packets", session->n_dropped - session->n_dropped_told,
                                     _("the capture's buffer was full")};
    session->n_dropped_told = session->n_dropped;
    timeline_push(session->line, &event);
}

/* ---- our own program */

static void take_calls(struct session *session)
{
    uint64_t n_dropped;
    struct program_call *next;
    for (struct program_call *call = program_calls_take(session->settings.calls, &n_dropped); call; call = next) {
        next = call->next;
        join_call(session, call);
        program_call_free(call);
    }
    if (n_dropped == 0)
        return;
    struct event event = {.source = EVENT_APP, .kind = EVENT_KIND_LOSS, .t_ns = session->now_ns};
    event.loss = (struct event_loss){"calls", n_dropped, _("they came faster than they are drawn")};
    timeline_push(session->line, &event);
}

/* ---- running */

struct session *session_new(const struct session_settings *settings)
{
    struct session *session = calloc(1, sizeof *session);
    if (!session)
        return NULL;
    session->settings = *settings;
    session->now_ns = session->start_ns = session_now_ns();
    capture_clock_init(&session->clock, true);
    compare_clocks(session);
    session->line = timeline_new(TIMELINE_HOLD_NS, TIMELINE_EVENTS_MAX, (struct timeline_sink){on_event, session});
    bool wants_data = settings->frame != NULL;
    /* What is said on streams of ours their owner hears better, and all of it. */
    bool is_told = settings->sampling && settings->calls;
    for (size_t i = 0; i < settings->n_views && !is_told; i++)
        wants_data |= settings->views[i].view->data != NULL;
    if (settings->frame)
        session->framing = framing_new(settings->frame, on_message, session);
    session->packets = packets_new(&(struct packets_owner){
        .event = push,
        .number = on_number,
        .data = wants_data ? on_data : NULL,
        .conversation = on_conversation,
        .leaves = settings->sampling ? wanted_leaves : NULL,
        .user = session,
        .where = settings->where,
        .checksums = settings->checksums,
        .sentences = true,
        .conclusions = true,
        .settle_ns = SETTLE_NS,
        .has_realtime = true,
        .realtime_minus_ns = session->clock.offset_ns,
    });
    if (!session->line || !session->packets || (settings->frame && !session->framing)) {
        session_free(session);
        return NULL;
    }
    /* Without either there is less to tell, and no more. */
    session->holders = holders_new();
    if (session->holders && settings->sampling)
        holders_be_thrifty(session->holders);
    if (settings->kernel)
        session->kernel = kernel_source_new(push, session);
    uint64_t conn;
    if (settings->ends && !settings->live)
        session_add_row(session, IPPROTO_TCP, settings->ends, session->now_ns, false, &conn);
    return session;
}

static void sample(struct session *session)
{
    if (session->now_ns < session->next_sample_ns)
        return;
    session->next_sample_ns = session->now_ns + SAMPLE_NS;
    tell_drops(session);
}

static void look_at_kernel(struct session *session)
{
    if (!session->kernel || session->now_ns < session->next_look_ns)
        return;
    session->next_look_ns = session->now_ns + KERNEL_LOOK_NS;
    if (session->settings.sampling)
        wanted_follow(session);
    kernel_look(session->kernel, session->now_ns);
}

static int wait_ms(const struct session *session)
{
    int64_t next_ns = session->next_sample_ns, line_ns = timeline_next_ns(session->line);
    if (line_ns < next_ns)
        next_ns = line_ns;
    if (packets_next_ns(session->packets) < next_ns)
        next_ns = packets_next_ns(session->packets);
    if (session->kernel && kernel_n_watched(session->kernel) > 0 && session->next_look_ns < next_ns)
        next_ns = session->next_look_ns;
    if (session->settings.duration_ns != 0 && session->start_ns + session->settings.duration_ns < next_ns)
        next_ns = session->start_ns + session->settings.duration_ns;
    int64_t left_ns = next_ns - session_now_ns();
    return left_ns <= 0 ? 0 : (int)((left_ns + NS_PER_MS - 1) / NS_PER_MS);
}

/* Nothing new for a moment: views may show what they held back to see what follows. */
static void tell_idle(struct session *session)
{
    if (session->now_ns - session->last_event_ns < IDLE_NS)
        return;
    for (size_t i = 0; i < session->settings.n_views; i++) {
        struct view_run *run = &session->settings.views[i];
        if (run->view->idle)
            run->view->idle(run, session->now_ns);
    }
}

/* Whoever reads along sees what has happened, not what a buffer has let through. */
static void flush_outputs(const struct session *session)
{
    for (size_t i = 0; i < session->settings.n_views; i++)
        view_flush(&session->settings.views[i]);
}

static bool outputs_are_gone(const struct session *session)
{
    size_t n_gone = 0, n_views = session->settings.n_views;
    for (size_t i = 0; i < n_views; i++)
        n_gone += view_is_gone(&session->settings.views[i]);
    return n_gone > 0 && (n_gone == n_views || !session->settings.while_any);
}

static int turn(struct session *session, bool *ret_over)
{
    const struct session_settings *settings = &session->settings;
    uint64_t n_before = session->n_packets + session->n_calls, n_packets_before = session->n_packets;
    struct pollfd fds[3] = {
        {.fd = settings->live ? capture_live_fd(settings->live) : -1, .events = POLLIN},
        {.fd = settings->calls ? program_calls_fd(settings->calls) : -1, .events = POLLIN},
        {.fd = settings->stop_fd, .events = POLLIN},
    };
    *ret_over = true;
    /* Where calls come by the thousand, to wake up for each takes longer than what is done with it. Packets wake us all
     * the same: the ring hands them over by the block, and has only so much room. */
    if (session->is_busy)
        fds[1].fd = -1;
    if (session->is_busy && settings->sampling && session->n_packets_last < PACKETS_FEW)
        fds[0].fd = -1;
    if (poll(fds, 3, session->is_busy ? REST_MS : wait_ms(session)) < 0 && errno != EINTR)
        return -errno;
    session->now_ns = session_now_ns();
    /* What happens while this turn works is taken by the next: until then nothing that young leaves the time line. */
    int64_t drained_ns = session->now_ns;
    if (compare_clocks(session))
        packets_set_offset(session->packets, session->clock.offset_ns);
    int error = settings->live ? take_packets(session, &drained_ns) : 0;
    if (settings->calls)
        take_calls(session);
    session->is_busy = session->n_packets + session->n_calls != n_before;
    session->n_packets_last = session->n_packets - n_packets_before;
    session->now_ns = session_now_ns();
    sample(session);
    if (session->settings.sampling)
        sampling_adapt(session->settings.sampling, session->now_ns);
    look_at_kernel(session);
    packets_idle(session->packets, session->now_ns);
    timeline_advance(session->line, drained_ns);
    tell_idle(session);
    flush_outputs(session);
    bool time_over = settings->duration_ns != 0 && session->now_ns - session->start_ns >= settings->duration_ns;
    *ret_over = error < 0 || fds[2].revents != 0 || enough(session) || time_over || outputs_are_gone(session);
    return error;
}

/* What is still on its way when the end comes: packets in the ring, calls in the queue. */
static int run_out(struct session *session)
{
    int64_t until_ns = session->now_ns + TIMELINE_HOLD_NS;
    bool over;
    session->settings.stop_fd = -1;
    session->settings.duration_ns = until_ns - session->start_ns; /* so that no wait is longer */
    while (!enough(session) && session->now_ns < until_ns) {
        if (turn(session, &over) < 0)
            break;
    }
    tell_drops(session);
    packets_release(session->packets);
    timeline_flush(session->line);
    session->now_ns = session_now_ns();
    struct tracker_counts counts;
    uint64_t n_lost;
    packets_counts(session->packets, &counts, &n_lost);
    session->counts.n_other = counts.n_other;
    session->counts.n_no_memory = counts.n_no_memory;
    packets_finish(session->packets);
    timeline_flush(session->line);
    int error = 0;
    for (size_t i = 0; session->settings.live && i < session->settings.n_views; i++) {
        struct view_run *run = &session->settings.views[i];
        if (run->view->statistics)
            run->view->statistics(run, session->n_received, session->n_dropped);
    }
    for (size_t i = 0; i < session->settings.n_views; i++) {
        int one = trace_view_finish(&session->settings.views[i]);
        error = error < 0 ? error : one;
        view_flush(&session->settings.views[i]);
    }
    return error;
}

int session_run(struct session *session)
{
    bool over = false;
    int error = 0;
    while (!over)
        error = turn(session, &over);
    int view_error = run_out(session);
    return error < 0 ? error : view_error;
}

void session_get_counts(const struct session *session, struct session_counts *ret_counts)
{
    *ret_counts = session->counts;
    ret_counts->n_packets = session->n_packets;
    ret_counts->n_dropped = session->n_dropped;
    ret_counts->n_late = timeline_n_late(session->line);
    ret_counts->n_lost_events = timeline_n_lost(session->line);
    ret_counts->n_connections_left_out = session->n_left_out;
    ret_counts->n_clock_steps = session->clock.n_steps;
    ret_counts->clock_step_ns = session->clock.step_ns;
}

void session_free(struct session *session)
{
    if (!session)
        return;
    packets_free(session->packets);
    framing_free(session->framing);
    timeline_free(session->line);
    kernel_source_free(session->kernel);
    holders_free(session->holders);
    join_free(session);
    free(session);
}
