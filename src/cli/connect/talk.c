/* SPDX-License-Identifier: MIT */
#include "cli/connect/talk_internal.h"

#include <errno.h>
#include <linux/sockios.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#define ACKS_FIRST_NS NS_PER_MS
#define ACKS_LONGEST_NS (50 * NS_PER_MS)

static void conclude(struct talk *talk)
{
    bool is_file;
    int error = view_error(talk->view, &is_file);

    if (error < 0 && (talk->end.reason == END_OF_DATA || talk->end.reason == END_HERE)) {
        talk->end.reason = END_OUTPUT;
        talk->end.error = error;
    }
    talk->state = TALK_NONE;
    talk->done(talk);
}

/* The stream is to close now, for this reason. */
void talk_leave(struct talk *talk, enum end_reason reason, int error)
{
    if (talk->state >= TALK_CLOSING)
        return;
    talk->state = TALK_CLOSING;
    talk->end.reason = reason;
    talk->end.error = error;
    input_wish(talk->input, INPUT_NOTHING);
    if (!talk_says_goodbye(talk))
        sonde_stream_close(talk->stream);
}

void talk_finish(struct talk *talk, int64_t deadline_ns)
{
    talk->state = TALK_ENDING;
    sonde_stream_finish(talk->stream, deadline_ns);
}

/* The patience begins once everything is on its way: a slow peer's reading is not counted. */
static void finish_by_clock(struct talk *talk)
{
    talk->deadline_ns = sonde_loop_now_ns(talk->loop) + talk->rules->eof.patience_ns;
    talk_finish(talk, talk->deadline_ns);
}

/* Bytes that the peer's kernel has not acknowledged. */
static int unacknowledged(const struct talk *talk)
{
    int n_bytes = 0;

    /* What a UNIX socket has sent is in the peer's queue already; there the call counts what the peer has not read. */
    if (talk->end.peer.family == AF_UNIX)
        return 0;
    if (ioctl(sonde_stream_fd(talk->stream), SIOCOUTQ, &n_bytes) < 0)
        return 0;
    return n_bytes;
}

/* Both sides have ended, so neither receiving nor sending tells that the peer has reset the connection; and what it has
 * not acknowledged then stays so for ever. */
static bool is_lost(const struct talk *talk)
{
    struct pollfd wait = {.fd = sonde_stream_fd(talk->stream)};

    return talk->peer_ended && poll(&wait, 1, 0) > 0 && wait.revents & POLLERR;
}

static void check_acks(struct talk *talk)
{
    if (talk->state != TALK_ENDING || sonde_stream_queued_bytes(talk->stream) > 0)
        return; /* drained comes back here */
    if (unacknowledged(talk) == 0) {
        talk_leave(talk, END_HERE, 0);
        return;
    }
    if (is_lost(talk)) {
        talk_finish(talk, INT64_MAX); /* which finds out why, and fails */
        return;
    }
    /* The kernel has no event for it. */
    sonde_timer_start_in(&talk->acks, talk->acks_delay_ns);
    if (talk->acks_delay_ns < ACKS_LONGEST_NS)
        talk->acks_delay_ns *= 2;
}

static void on_acks(struct sonde_timer *timer)
{
    check_acks(timer->user);
}

/* Let each side go on or wait, as things stand. */
void talk_regulate(struct talk *talk)
{
    bool is_file;
    int error = view_error(talk->view, &is_file);

    if (talk->state != TALK_OPEN && talk->state != TALK_ENDING)
        return;
    if (error < 0) {
        talk_leave(talk, END_OUTPUT, error);
        return;
    }
    bool stuck = view_is_stuck(talk->view);
    if (stuck != (bool)sonde_stream_is_paused(talk->stream)) {
        if (stuck)
            sonde_stream_pause(talk->stream);
        else
            sonde_stream_resume(talk->stream);
    }

    if (talk->rules->echo != NULL && talk->state == TALK_OPEN && talk_echo_has_room(talk))
        messages_go_on(talk->rules->messages);
    if (talk->state != TALK_OPEN && talk->state != TALK_ENDING)
        return;

    size_t n_queued = sonde_stream_queued_bytes(talk->stream);
    if (n_queued > TALK_QUEUE_HIGH)
        talk->queue_is_full = true;
    else if (n_queued == 0)
        talk->queue_is_full = false;
    if (talk->state != TALK_OPEN || talk->input_ended)
        return;
    bool waits = talk->queue_is_full || (stuck && view_shows_sent(talk->view)) ||
                 (talk->rules->verify != NULL && verify_room(talk->rules->verify) < 2 * INPUT_CHUNK) ||
                 (talk->rules->echo != NULL && (messages_wait(talk->rules->messages) || !talk_echo_has_room(talk)));
    error = input_wish(talk->input, waits ? INPUT_NOTHING : INPUT_GIVE);
    if (error < 0)
        talk_leave(talk, END_OTHER, error);
}

/* ---- the stream */

void talk_moved(struct talk *talk)
{
    talk->active_ns = sonde_loop_now_ns(talk->loop);
    talk->n_sent_seen = sonde_stream_sent_bytes(talk->stream);
}

static void on_idle(struct sonde_timer *timer)
{
    struct talk *talk = timer->user;
    int64_t now_ns = sonde_loop_now_ns(talk->loop);

    if (talk->state != TALK_OPEN && talk->state != TALK_ENDING)
        return;
    /* Silence that we make ourselves is not the peer's. */
    if (sonde_stream_sent_bytes(talk->stream) != talk->n_sent_seen || view_is_stuck(talk->view) ||
        input_is_delayed(talk->input))
        talk_moved(talk);
    if (now_ns - talk->active_ns >= talk->rules->idle_ns)
        talk_leave(talk, END_IDLE, 0);
    else
        sonde_timer_start(timer, talk->active_ns + talk->rules->idle_ns);
}

static void on_opened(struct sonde_stream *stream)
{
    struct talk *talk = sonde_stream_owner(stream);

    if (talk->state != TALK_CONNECTING)
        return;
    talk->state = TALK_OPEN;
    talk->number++;
    talk->end.opened = true;
    attempts_take(&talk->attempts, stream);
    sonde_stream_local(stream, &talk->end.local);
    sonde_stream_peer(stream, &talk->end.peer);
    view_opened(talk->view, talk->number, &talk->end);
    talk_start_judging(talk);
    talk->opened(talk);
    int error = talk->rules->framing != NULL ? framing_begin(talk->rules->framing, talk) : 0;
    if (error < 0) {
        talk_leave(talk, END_OTHER, error);
        return;
    }
    if (talk->rules->messages != NULL && !talk_messages_begin(talk))
        return;

    talk_moved(talk);
    if (talk->rules->idle_ns > 0)
        sonde_timer_start_in(&talk->idle, talk->rules->idle_ns);
    talk_regulate(talk);
}

/* Nothing behind the last one that is wanted is shown. */
bool talk_message(struct talk *talk, const void *data, size_t n_bytes)
{
    view_message(talk->view, false, data, n_bytes);
    /* As it would be printed. */
    talk_judge(talk, data, n_bytes);
    if (talk->state < TALK_CLOSING)
        talk_judge(talk, "\n", 1);
    if (talk->rules->once)
        talk_leave(talk, END_HERE, 0);
    return talk->state < TALK_CLOSING;
}

static void receive_messages(struct talk *talk, const struct sonde_lent *bytes)
{
    int error = framing_received(talk->rules->framing, bytes->data, bytes->n_bytes, &talk->end.at_byte);

    if (error < 0)
        talk_leave(talk, error == -ENOMEM ? END_OTHER : END_BAD_MESSAGE, error);
    talk_regulate(talk);
}

static void on_data(struct sonde_stream *stream, const struct sonde_lent *bytes)
{
    struct talk *talk = sonde_stream_owner(stream);

    if (talk->state >= TALK_CLOSING)
        return;
    talk_moved(talk);
    if (talk->rules->messages != NULL) {
        talk_message_came(talk, bytes);
        return;
    }
    if (talk->rules->framing != NULL) {
        receive_messages(talk, bytes);
        return;
    }
    view_received(talk->view, bytes->data, bytes->n_bytes);
    talk_judge(talk, bytes->data, bytes->n_bytes);
    talk_regulate(talk);
    if (talk->rules->once)
        talk_leave(talk, END_HERE, 0);
}

/* Nothing more will come. */
static void note_partial(struct talk *talk)
{
    if (talk->rules->framing != NULL && talk->state < TALK_CLOSING)
        talk->end.n_partial = framing_end(talk->rules->framing);
}

static void on_end(struct sonde_stream *stream)
{
    struct talk *talk = sonde_stream_owner(stream);

    talk_moved(talk);
    talk->peer_ended = true;
    note_partial(talk);
    if (talk_look_at_end(talk) || talk->state >= TALK_CLOSING)
        return;
    if (talk_transport(talk) == TRANSPORT_WEBSOCKET) {
        talk_websocket_ended(talk);
        return;
    }
    if (talk->state != TALK_OPEN)
        return;
    if (talk_is_cut_short(talk)) {
        talk_leave(talk, END_OF_DATA, 0);
        return;
    }
    if (talk->input_ended)
        talk_finish(talk, INT64_MAX);
    else if (talk->rules->quit_at_peer_end && input_drain(talk->input) < 0)
        talk_leave(talk, END_OTHER, -ENOMEM);
}

static void on_drained(struct sonde_stream *stream)
{
    struct talk *talk = sonde_stream_owner(stream);

    /* Pings, ours and the answers to the peer's, are no data. */
    if (sonde_stream_sent_bytes(stream) != talk->n_sent_seen)
        talk_moved(talk);
    talk_all_sent(talk);
    if (talk->state >= TALK_CLOSING)
        return;
    if (talk->waits_for_acks)
        check_acks(talk);
    else if (talk->ends_by_clock && talk->deadline_ns == 0 && talk->state == TALK_ENDING)
        finish_by_clock(talk);
    talk_regulate(talk);
}

static enum end_reason reason_of(int error)
{
    switch (-error) {
    case ECONNRESET:
    case EPIPE:
        return END_RESET;
    case ETIMEDOUT:
        return END_TIMEOUT;
    default:
        return END_OTHER;
    }
}

static void on_failed(struct sonde_stream *stream, int error)
{
    struct talk *talk = sonde_stream_owner(stream);

    sonde_stream_why(stream, &talk->why);
    connect_tls_keep(stream, talk->fingerprint);
    attempts_take(&talk->attempts, stream);
    if (talk->end.opened)
        note_partial(talk);
    if (talk->end.opened && talk_look_at_end(talk))
        return;
    if (talk->deadline_ns != 0 && error == -ETIMEDOUT && sonde_loop_now_ns(talk->loop) >= talk->deadline_ns)
        talk_leave(talk, END_HERE, 0);
    else if (talk->may_break && (error == -SONDE_EWSEND || error == -ECONNRESET || error == -EPIPE))
        talk_leave(talk, END_HERE, 0);
    else
        talk_leave(talk, reason_of(error), error);
}

static void note_transport(struct talk *talk)
{
    struct connection_end *end = &talk->end;
    const struct messages *messages = talk->rules->messages;

    end->has_layers = sonde_stream_layers(talk->stream) != 0;
    end->n_wire_in = sonde_stream_wire_received_bytes(talk->stream);
    end->n_wire_out = sonde_stream_wire_sent_bytes(talk->stream);
    end->has_messages = messages != NULL;
    if (messages == NULL)
        return;
    end->n_messages_in = sonde_stream_received_messages(talk->stream);
    end->n_messages_out = sonde_stream_sent_messages(talk->stream);
    end->n_cut = messages->n_cut;
    end->n_lost = messages->n_lost;
    end->n_undelivered = messages->n_undelivered;
}

static void on_closed(struct sonde_stream *stream)
{
    struct talk *talk = sonde_stream_owner(stream);
    bool stopped = talk->end.reason == END_STOPPED;

    talk->end.n_received = sonde_stream_received_bytes(stream);
    talk->end.n_sent = sonde_stream_sent_bytes(stream);
    talk->end.n_unsent = sonde_stream_unsent_bytes(stream) + talk->n_refused;
    talk->end.duration_ns = sonde_loop_now_ns(talk->loop) - sonde_stream_since_ns(stream);
    note_transport(talk);
    if (talk->end.opened && talk->closed != NULL)
        talk->closed(talk);
    talk->stream = NULL;
    talk->state = TALK_CLOSED;
    sonde_timer_stop(&talk->idle);
    sonde_timer_stop(&talk->acks);
    sonde_timer_stop(&talk->within);
    sonde_timer_stop(&talk->quiet);
    sonde_timer_stop(&talk->ending_timer);
    sonde_timer_stop(&talk->echo_timer);
    input_wish(talk->input, INPUT_NOTHING);
    view_closed(talk->view, &talk->end);
    if (stopped || !view_is_stuck(talk->view))
        conclude(talk);
}

static const struct sonde_stream_handler stream_handler = {
    .opened = on_opened,
    .data = on_data,
    .end = on_end,
    .drained = on_drained,
    .failed = on_failed,
    .closed = on_closed,
    .notice = talk_notice_came,
};

void talk_init(struct talk *talk, struct sonde_loop *loop, struct input *input, struct view *view,
               const struct talk_rules *rules)
{
    *talk = (struct talk){.loop = loop, .input = input, .view = view, .rules = rules};
    sonde_timer_init(&talk->idle, loop, on_idle, talk);
    sonde_timer_init(&talk->acks, loop, on_acks, talk);
    talk_judge_init(talk);
    talk_messages_init(talk);
}

static void start_afresh(struct talk *talk)
{
    talk->state = TALK_CONNECTING;
    talk->input_ended = talk->peer_ended = talk->queue_is_full = false;
    talk->ends_by_clock = talk->waits_for_acks = talk->close_sent = talk->may_break = false;
    talk->ending = ENDING_NOT;
    talk->closing_for_lack = END_OF_DATA;
    talk->deadline_ns = 0;
    talk->acks_delay_ns = ACKS_FIRST_NS;
    talk->n_sent_seen = talk->n_refused = 0;
    talk->end = (struct connection_end){
        .reason = END_OF_DATA,
        .local_name = talk->local_name,
        .peer_name = talk->peer_name,
    };
    talk->why = (struct sonde_why){.call = "connect"};
    talk->fingerprint[0] = '\0';
    talk->attempts.n = 0;
}

int talk_start(struct talk *talk, const struct sonde_url *url, const struct sonde_connect_options *options)
{
    start_afresh(talk);
    int error = sonde_connect(talk->loop, url, options, &stream_handler, talk, &talk->stream, &talk->why);
    if (error < 0) {
        talk->state = TALK_NONE;
        talk->end.reason = reason_of(error);
        talk->end.error = error;
        view_closed(talk->view, &talk->end);
    }
    return error;
}

void talk_adopt(struct talk *talk, struct sonde_stream *stream)
{
    start_afresh(talk);
    talk->stream = stream;
    sonde_stream_set_handler(stream, &stream_handler, talk);
    on_opened(stream);
}

void talk_stop(struct talk *talk)
{
    if (talk->state == TALK_CLOSED) {
        talk->end.reason = END_STOPPED;
        conclude(talk);
    } else if (talk->state == TALK_CLOSING) {
        talk->end.reason = END_STOPPED;
    } else if (talk->state != TALK_NONE) {
        talk_leave(talk, END_STOPPED, 0);
    }
}

/* ---- input and view */

/* 0: it is sent, or never can be, which ends the talk; else the message alone cannot be. */
static int give(struct talk *talk, const void *data, size_t n_bytes, unsigned flags)
{
    int error = sonde_stream_send(talk->stream, data, n_bytes, flags);

    if (error == 0)
        return 1;
    if (error == -EILSEQ || error == -EMSGSIZE)
        return error;
    if (error == -ENOMEM || error == -ENOBUFS) {
        talk_leave(talk, END_OTHER, error);
        return 0;
    }
    /* The connection is gone. failed() follows, once everything that had arrived was shown; or a WebSocket's end in
     * order, after which nothing can be sent. */
    talk->n_refused += n_bytes;
    talk->input_ended = true;
    input_wish(talk->input, INPUT_NOTHING);
    return 0;
}

void talk_bytes(struct talk *talk, const void *data, size_t n_bytes)
{
    if (talk->state != TALK_OPEN || give(talk, data, n_bytes, 0) <= 0)
        return;
    talk_moved(talk);
    if (talk->rules->verify != NULL)
        verify_sent(talk->rules->verify, data, n_bytes);
    if (talk->rules->framing != NULL)
        framing_sent(talk->rules->framing, data, n_bytes);
    else
        view_sent(talk->view, data, n_bytes);
    if (talk_is_cut_short(talk))
        talk_leave(talk, END_OF_DATA, 0);
    talk_regulate(talk);
}

int talk_send_message(struct talk *talk, const void *data, size_t n_bytes, unsigned flags)
{
    if (talk->state != TALK_OPEN)
        return 0;
    int sent = give(talk, data, n_bytes, flags);
    if (sent <= 0)
        return sent;
    talk_moved(talk);
    talk_message_went(talk, data, n_bytes, flags);
    if (talk_is_cut_short(talk))
        talk_leave(talk, END_OF_DATA, 0);
    talk_regulate(talk);
    return 0;
}

void talk_input_end(struct talk *talk)
{
    talk->input_ended = true;
    if (talk->state != TALK_OPEN)
        return;
    talk_moved(talk);
    if (talk->peer_ended) {
        talk_finish(talk, INT64_MAX);
        return;
    }
    if (talk_has_no_half_close(talk)) {
        talk_end_messages(talk);
        return;
    }
    switch (talk->rules->eof.action) {
    case EOF_WAIT:
        talk_finish(talk, INT64_MAX);
        break;
    case EOF_CLOSE:
        talk->state = TALK_ENDING;
        talk->waits_for_acks = true;
        sonde_stream_shutdown(talk->stream);
        check_acks(talk);
        break;
    case EOF_AFTER:
        talk->state = TALK_ENDING;
        talk->ends_by_clock = true;
        sonde_stream_shutdown(talk->stream);
        if (sonde_stream_queued_bytes(talk->stream) == 0)
            finish_by_clock(talk);
        break;
    case EOF_IGNORE:
        break;
    }
}

void talk_kicked(struct talk *talk)
{
    if (talk->state >= TALK_CLOSING)
        return;
    talk->state = TALK_CLOSING;
    talk->end.reason = END_KICKED;
    input_wish(talk->input, INPUT_NOTHING);
}

bool talk_half_close(struct talk *talk)
{
    if (talk->state != TALK_OPEN || talk_has_no_half_close(talk))
        return false;
    input_wish(talk->input, INPUT_NOTHING);
    talk_input_end(talk);
    return true;
}

void talk_view_unstuck(struct talk *talk)
{
    if (talk->state == TALK_CLOSED) {
        conclude(talk);
    } else if (talk->state == TALK_OPEN || talk->state == TALK_ENDING) {
        talk_moved(talk);
        talk_regulate(talk);
    }
}
