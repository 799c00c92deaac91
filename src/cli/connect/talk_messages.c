/* SPDX-License-Identifier: MIT */
/*
 * What is different where the transport has messages: how they are shown and judged, what a WebSocket or the kernel has
 * to tell besides, and how a talk ends that has no half-close.
 *
 * A WebSocket has one end for both sides. So our Close must not go before the peer has answered what was sent: behind
 * the last message goes a ping. Its pong says that the peer has got them all; when nothing has come for a moment after
 * it, Close is sent, and the peer's own is waited for. Datagrams have no end at all: when nothing has come for a while,
 * that is taken for it.
 */
#include "cli/connect/talk_internal.h"
#include "cli/say.h"
#include "term/escape.h"

#include <errno.h>
#include <sonde/ws.h>
#include <string.h>
#include <sys/socket.h>

#define QUIET_AFTER_PONG_NS (500 * NS_PER_MS)
#define QUIET_DATAGRAMS_NS NS_PER_SECOND
#define PATIENCE_NS (5 * NS_PER_SECOND)       /* for a pong, for an echo, for the peer's Close */
#define SHORT_PATIENCE_NS (2 * NS_PER_SECOND) /* for the peer's Close, when its data is not waited for any more */
#define GOODBYE_NS NS_PER_SECOND
#define GOODBYE_STOPPED_NS (150 * NS_PER_MS) /* after SIGINT */
#define ECHO_PATIENCE_NS NS_PER_SECOND       /* when nothing of all that is on its way comes back */

#define LAST_PING "sonde: all sent"

static bool is_live(const struct talk *talk)
{
    return talk->state == TALK_OPEN || talk->state == TALK_ENDING;
}

/* ---- messages */

static void name_peer(const struct talk *talk, char *ret_name, size_t size_bytes)
{
    end_format_peer(&talk->end, ret_name, size_bytes);
}

static void note_cut(struct talk *talk, const struct sonde_lent *message)
{
    char name[END_ADDRESS_TEXT];

    if (!(message->flags & SONDE_CUT))
        return;
    talk->rules->messages->n_cut++;
    name_peer(talk, name, sizeof name);
    say(_("%s sent a datagram of %zu bytes, of which %zu are here: the rest is lost."), name, message->n_whole_bytes,
        message->n_bytes);
}

static void judge_echo(struct talk *talk, const struct sonde_lent *message)
{
    struct echo_window *echo = talk->rules->echo;
    enum echo_verdict verdict = echo_received(echo, message->data, message->n_bytes, message->flags & SONDE_TEXT);

    talk->echo_ns = sonde_loop_now_ns(talk->loop);
    if (verdict != ECHO_SAME && echo->in_order)
        talk_leave(talk, END_DIFFERS, 0);
}

void talk_message_came(struct talk *talk, const struct sonde_lent *message)
{
    struct messages *messages = talk->rules->messages;
    struct shown_message shown = {
        .kind = messages_kind(messages, message->flags),
        .data = message->data,
        .n_bytes = message->n_bytes,
        .n_whole_bytes = message->flags & SONDE_CUT ? message->n_whole_bytes : message->n_bytes,
    };

    note_cut(talk, message);
    if (view_takes_written(talk->view) &&
        !messages_write(messages, message, &shown.written, &shown.n_written, &shown.newline))
        shown.written = NULL;
    shown.is_plain = messages->settings.base64 && !(message->flags & SONDE_TEXT) && shown.written != NULL;
    view_shown_message(talk->view, &shown);
    if (talk->rules->echo != NULL)
        judge_echo(talk, message);
    /* As it would be printed. */
    if (talk->state < TALK_CLOSING)
        talk_judge(talk, message->data, message->n_bytes);
    if (talk->state < TALK_CLOSING)
        talk_judge(talk, "\n", 1);
    if (talk->rules->once)
        talk_leave(talk, END_HERE, 0);
    talk_regulate(talk);
}

void talk_message_went(struct talk *talk, const void *data, size_t n_bytes, unsigned flags)
{
    const struct shown_message shown = {
        .sent = true,
        .kind = messages_kind(talk->rules->messages, flags),
        .data = data,
        .n_bytes = n_bytes,
        .n_whole_bytes = n_bytes,
    };

    view_shown_message(talk->view, &shown);
    if (talk->rules->echo == NULL)
        return;
    if (talk->rules->echo->n_waiting == 0)
        talk->echo_ns = sonde_loop_now_ns(talk->loop);
    if (!echo_sent(talk->rules->echo, data, n_bytes, flags & SONDE_TEXT))
        talk_leave(talk, END_OTHER, -ENOMEM);
}

/* ---- --verify-echo */

bool talk_echo_has_room(struct talk *talk)
{
    if (echo_has_room(talk->rules->echo))
        return true;
    if (!talk->rules->echo->in_order)
        sonde_timer_start(&talk->echo_timer, talk->echo_ns + ECHO_PATIENCE_NS);
    return false;
}

bool talk_wants_more(struct talk *talk)
{
    return talk->rules->echo == NULL || talk->state != TALK_OPEN || talk_echo_has_room(talk);
}

/* Nothing has come back for a while: what is on its way is lost, and others may go. */
static void on_echo(struct sonde_timer *timer)
{
    struct talk *talk = timer->user;

    if (!is_live(talk) || echo_has_room(talk->rules->echo))
        return;
    if (sonde_loop_now_ns(talk->loop) >= talk->echo_ns + ECHO_PATIENCE_NS && !view_is_stuck(talk->view)) {
        echo_give_up(talk->rules->echo);
        talk->echo_ns = sonde_loop_now_ns(talk->loop);
    }
    talk_regulate(talk);
}

/* ---- what a WebSocket and the kernel have to tell */

static void note_ping(struct talk *talk, const struct sonde_notice *notice)
{
    const struct shown_notice shown = {
        .event = "ping",
        .number_key = "bytes",
        .number = (int64_t)notice->n_bytes,
        .data = notice->data,
        .n_bytes = notice->n_bytes,
    };

    view_notice(talk->view, &shown);
    if (talk->rules->tells_pings)
        say(_("ping from the peer, %zu bytes, answered."), notice->n_bytes);
}

static void note_pong(struct talk *talk, const struct sonde_notice *notice)
{
    bool is_last = notice->n_bytes == strlen(LAST_PING) && memcmp(notice->data, LAST_PING, notice->n_bytes) == 0;
    const struct shown_notice shown = {.event = "pong", .number_key = "rtt_ns", .number = notice->rtt_ns};

    if (talk->ending == ENDING_PONG && is_last && notice->rtt_ns >= 0) {
        talk->ending = ENDING_QUIET;
        sonde_timer_start_in(&talk->ending_timer, QUIET_AFTER_PONG_NS);
        return;
    }
    if (notice->rtt_ns < 0) /* nobody asked for it */
        return;
    view_notice(talk->view, &shown);
    if (talk->rules->tells_pings)
        say(_("pong after %.3f ms."), (double)notice->rtt_ns / NS_PER_MS);
}

static void note_close(struct talk *talk, const struct sonde_notice *notice)
{
    struct websocket_end *ws = &talk->end.ws;
    const struct shown_notice shown = {
        .event = "close",
        .number_key = "code",
        .number = notice->code,
        .data = notice->data != NULL ? notice->data : "",
        .n_bytes = notice->n_bytes,
    };

    ws->code = (unsigned)notice->code;
    ws->closed_here = talk->close_sent;
    ws->n_reason = notice->n_bytes < sizeof ws->reason ? notice->n_bytes : sizeof ws->reason;
    if (ws->n_reason > 0)
        memcpy(ws->reason, notice->data, ws->n_reason);
    view_notice(talk->view, &shown);
}

static void note_lost(struct talk *talk, const struct sonde_notice *notice)
{
    const struct shown_notice shown = {.event = "lost", .number_key = "n", .number = (int64_t)notice->n};

    uint64_t n_before = talk->rules->messages->n_lost;

    talk->rules->messages->n_lost += notice->n;
    view_notice(talk->view, &shown);
    /* How many it were is said at the end. */
    if (n_before == 0)
        say(_("this machine's kernel drops datagrams, for want of room: read faster, or give the address ?rcvbuf="));
}

static void note_icmp(struct talk *talk, const struct sonde_notice *notice)
{
    char name[END_ADDRESS_TEXT], from[SONDE_ADDRESS_TEXT];
    int error = notice->code < 0 ? notice->code : -notice->code;
    const struct shown_notice shown = {
        .event = "icmp",
        .text_key = "error",
        .text = sonde_error_name(error),
    };

    view_notice(talk->view, &shown);
    talk->end.undelivered_by = notice->from;
    /* One is news; that it goes on is counted. What ends the talk is said then. */
    if (talk->rules->messages->n_undelivered++ > 0 || error == -ECONNREFUSED)
        return;
    name_peer(talk, name, sizeof name);
    if (end_format_reporter(&talk->end, from, sizeof from))
        say(_("%s did not get a datagram: %s, says %s (ICMP)."), name, sonde_strerror(error), from);
    else
        say(_("%s did not get a datagram: %s."), name, sonde_strerror(error));
}

void talk_notice_came(struct sonde_stream *stream, const struct sonde_notice *notice)
{
    struct talk *talk = sonde_stream_owner(stream);

    if (talk->rules->messages == NULL)
        return;
    /* What the peer answers to our goodbye is worth a note, no more. */
    if (notice->kind == SONDE_NOTICE_CLOSE)
        note_close(talk, notice);
    if (!is_live(talk))
        return;
    /* Pings are no data: a peer that sends nothing else is silent. */
    if (notice->kind != SONDE_NOTICE_PING && notice->kind != SONDE_NOTICE_PONG)
        talk_moved(talk);
    switch (notice->kind) {
    case SONDE_NOTICE_PING:
        note_ping(talk, notice);
        break;
    case SONDE_NOTICE_PONG:
        note_pong(talk, notice);
        break;
    case SONDE_NOTICE_LOST:
        note_lost(talk, notice);
        break;
    case SONDE_NOTICE_ICMP:
        note_icmp(talk, notice);
        break;
    case SONDE_NOTICE_CLOSE:
        break;
    }
    talk_regulate(talk);
}

/* ---- the end */

static void await_close(struct talk *talk, enum end_reason for_lack, int64_t patience_ns)
{
    talk->ending = ENDING_CLOSE;
    talk->closing_for_lack = for_lack;
    talk->input_ended = true;
    input_wish(talk->input, INPUT_NOTHING);
    talk_moved(talk);
    sonde_timer_start_in(&talk->ending_timer, patience_ns);
    talk_finish(talk, INT64_MAX);
}

/* Close goes, and the peer's is waited for. */
static void close_websocket(struct talk *talk, unsigned code, const void *reason, size_t n_bytes, bool politely)
{
    int error = sonde_ws_close(talk->stream, code, reason, n_bytes);

    if (error < 0 && error != -EPIPE) {
        talk_leave(talk, END_OTHER, error);
        return;
    }
    talk->close_sent = true;
    talk->end.ws.code_sent = code;
    talk->may_break = !politely;
    await_close(talk, politely ? END_NO_CLOSE : END_HERE, politely ? PATIENCE_NS : SHORT_PATIENCE_NS);
}

static bool is_web(const struct talk *talk)
{
    return talk_transport(talk) == TRANSPORT_WEBSOCKET;
}

static int64_t patience_of(const struct talk *talk)
{
    bool lacks_echo = talk->rules->echo != NULL && talk->rules->echo->n_waiting > 0;

    switch (talk->ending) {
    case ENDING_QUIET:
        return !is_web(talk) ? QUIET_DATAGRAMS_NS : lacks_echo ? PATIENCE_NS : QUIET_AFTER_PONG_NS;
    case ENDING_CLOSE:
        return talk->closing_for_lack == END_HERE ? SHORT_PATIENCE_NS : PATIENCE_NS;
    case ENDING_PONG:
    case ENDING_SENT:
    case ENDING_CLOCK:
    case ENDING_NOT:
        break;
    }
    return PATIENCE_NS;
}

/* Everything is sent, and the peer's time is over. */
static void time_is_over(struct talk *talk)
{
    if (talk->ending == ENDING_CLOSE)
        talk_leave(talk, talk->closing_for_lack, 0);
    else if (is_web(talk))
        close_websocket(talk, 1000, NULL, 0, talk->ending != ENDING_CLOCK);
    else
        talk_leave(talk, END_HERE, 0);
}

static void on_ending(struct sonde_timer *timer)
{
    struct talk *talk = timer->user;

    if (!is_live(talk) || talk->ending == ENDING_NOT)
        return;
    if (talk->ending == ENDING_CLOCK) {
        time_is_over(talk);
        return;
    }
    /* Silence that we make ourselves is not the peer's. */
    if (view_is_stuck(talk->view) || sonde_stream_sent_bytes(talk->stream) != talk->n_sent_seen)
        talk_moved(talk);
    int64_t due_ns = talk->active_ns + patience_of(talk);
    if (sonde_loop_now_ns(talk->loop) < due_ns)
        sonde_timer_start(timer, due_ns);
    else
        time_is_over(talk);
}

/* Does something else than silence say that it is over? */
static bool waits_for_more(const struct talk *talk)
{
    const struct talk_rules *rules = talk->rules;

    return rules->once || (rules->expect != NULL && !rules->expect->matched);
}

/* --eof wait. */
static void await_answers(struct talk *talk)
{
    if (waits_for_more(talk))
        return;
    if (!is_web(talk)) {
        talk->ending = ENDING_QUIET;
        sonde_timer_start_in(&talk->ending_timer, QUIET_DATAGRAMS_NS);
        return;
    }
    talk->ending = ENDING_PONG;
    sonde_timer_start_in(&talk->ending_timer, PATIENCE_NS);
    sonde_ws_ping(talk->stream, LAST_PING, strlen(LAST_PING));
}

/* Everything is sent: the clock of --eof after: begins; or it is over, as --eof close has it for datagrams. */
static void on_all_sent(struct talk *talk)
{
    if (talk->rules->eof.action == EOF_AFTER) {
        talk->ending = ENDING_CLOCK;
        sonde_timer_start_in(&talk->ending_timer, talk->rules->eof.patience_ns);
    } else {
        talk_leave(talk, END_HERE, 0);
    }
}

void talk_end_messages(struct talk *talk)
{
    bool closes = talk->rules->eof.action == EOF_CLOSE;

    if (talk->rules->eof.action == EOF_IGNORE)
        return;
    talk->state = TALK_ENDING;
    if (is_web(talk) && (closes || (talk->rules->half_close && talk->rules->eof.action == EOF_WAIT))) {
        close_websocket(talk, 1000, NULL, 0, !closes);
    } else if (talk->rules->eof.action == EOF_WAIT) {
        await_answers(talk);
    } else {
        talk->ending = ENDING_SENT;
        if (sonde_stream_queued_bytes(talk->stream) == 0)
            on_all_sent(talk);
    }
}

void talk_all_sent(struct talk *talk)
{
    if (talk->ending == ENDING_SENT && is_live(talk) && sonde_stream_queued_bytes(talk->stream) == 0)
        on_all_sent(talk);
}

void talk_websocket_ended(struct talk *talk)
{
    if (talk->ending == ENDING_CLOSE) {
        talk->closing_for_lack = END_OF_DATA;
        return;
    }
    await_close(talk, END_OF_DATA, PATIENCE_NS);
}

bool talk_says_goodbye(struct talk *talk)
{
    bool is_stopped = talk->end.reason == END_STOPPED;

    if (!is_web(talk) || !talk->end.opened || talk->peer_ended || talk->close_sent || talk->end.reason == END_RESET ||
        talk->end.reason == END_TIMEOUT || talk->end.reason == END_OTHER)
        return false;
    if (sonde_ws_close(talk->stream, is_stopped ? 1001 : 1000, NULL, 0) < 0)
        return false;
    talk->close_sent = true;
    if (sonde_stream_is_paused(talk->stream))
        sonde_stream_resume(talk->stream);
    sonde_stream_finish(talk->stream, sonde_loop_now_ns(talk->loop) + (is_stopped ? GOODBYE_STOPPED_NS : GOODBYE_NS));
    return true;
}

/* ---- commands */

void talk_ping(struct talk *talk, const void *data, size_t n_bytes)
{
    if (!is_live(talk))
        return;
    int error = sonde_ws_ping(talk->stream, data, n_bytes);
    if (error < 0)
        say(_("the ping is not sent: %s."), sonde_strerror(error));
}

void talk_close(struct talk *talk, unsigned code, const void *reason, size_t n_bytes)
{
    if (is_live(talk) && !talk->close_sent)
        close_websocket(talk, code, reason, n_bytes, true);
}

/* ---- its life */

void talk_messages_init(struct talk *talk)
{
    sonde_timer_init(&talk->ending_timer, talk->loop, on_ending, talk);
    sonde_timer_init(&talk->echo_timer, talk->loop, on_echo, talk);
}

bool talk_messages_begin(struct talk *talk)
{
    struct sonde_ws_info info;

    messages_attach(talk->rules->messages, talk);
    if (!talk->rules->wants_subprotocol || sonde_stream_ws_info(talk->stream, &info) < 0 || info.subprotocol[0] != '\0')
        return true;
    talk_leave(talk, END_NO_SUBPROTOCOL, 0);
    return false;
}
