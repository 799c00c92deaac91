/* SPDX-License-Identifier: MIT */
/* What serve tells of connections on standard output: facts gathered here, words in report.c. */
#include "cli/serve/serve_internal.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

/* An event of a connection, with what its pointers point to. */
struct shown {
    struct serve_event event;
    struct service_outcome outcome;
    struct spoken_room room;
    struct serve_messages messages;
    struct sonde_why why;
    char local[SERVE_UNIX_NAME], peer[SONDE_ADDRESS_TEXT];
};

static int64_t clock_ns(clockid_t clock)
{
    struct timespec now;

    clock_gettime(clock, &now);
    return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

static size_t render(const struct worker *worker, struct serve_event *event, char *text, size_t room)
{
    if (!worker->serve->settings->json)
        return serve_render_text(event, text, room);
    event->realtime_ns = clock_ns(CLOCK_REALTIME);
    event->mono_ns = clock_ns(CLOCK_MONOTONIC);
    return serve_render_json(event, text, room);
}

static void tell(struct worker *worker, struct serve_event *event)
{
    size_t room = SERVE_ROOM(event->n_bytes);
    char *text = serve_output_reserve(worker, room);

    serve_output_commit(worker, render(worker, event, text, room));
}

/* What finds no room in the worker's output. */
static void tell_large(struct worker *worker, struct serve_event *event)
{
    size_t room = SERVE_ROOM(event->n_bytes);
    char *text = malloc(room);

    if (text == NULL) {
        say(_("there is not enough memory to show a message of %zu bytes."), event->n_bytes);
        return;
    }
    serve_output_write(worker, text, render(worker, event, text, room));
    free(text);
}

/* The numbers of n workers interleave, so that they are 1, 2, 3 where there is one. */
uint64_t serve_number_of(const struct worker *worker, uint64_t id)
{
    return (id - 1) * worker->serve->n_workers + worker->index + 1;
}

static void add_peer(struct shown *shown, const struct worker *worker, const struct sonde_stream *stream)
{
    struct sonde_address address;

    sonde_stream_peer(stream, &address);
    sonde_address_format(&address, shown->peer, sizeof(shown->peer));
    shown->event.view.number = serve_number_of(worker, sonde_stream_id(stream));
    shown->event.view.peer = shown->peer;
}

static bool is_detailed(enum serve_reason reason)
{
    return reason == SERVE_RULES || reason == SERVE_TOO_BIG || reason == SERVE_TRUNCATED || reason == SERVE_NO_CLOSE ||
           reason == SERVE_ERROR;
}

/* What the library knows beyond the error. */
static void add_why(struct shown *shown, const struct worker *worker, const struct sonde_stream *stream)
{
    struct serve_view *view = &shown->event.view;

    view->silent_ns = serve_peer_idle_ns(worker->serve);
    if (view->spoken == NULL || !is_detailed(view->reason))
        return;
    shown->why.detail[0] = '\0';
    sonde_stream_why(stream, &shown->why);
    view->detail = shown->why.detail;
}

static long long limit_of(const struct serve_settings *settings, enum serve_reason reason)
{
    if (reason == SERVE_PEER_LIMIT)
        return settings->max_per_peer;
    return settings->once ? 1 : settings->max_clients;
}

static void fill(struct shown *shown, const struct worker *worker, const struct sonde_stream *stream)
{
    const struct connection *connection = connection_of(stream);

    shown->event.view = (struct serve_view){
        .reason = connection->reason,
        .error = connection->error,
        .limit = limit_of(worker->serve->settings, connection->reason),
        .in_bytes = sonde_stream_received_bytes(stream),
        .out_bytes = sonde_stream_sent_bytes(stream),
        .unsent_bytes = connection->unanswered_bytes + sonde_stream_unsent_bytes(stream),
        .queued_bytes = sonde_stream_queued_bytes(stream),
        .paused = sonde_stream_is_paused(stream) != 0,
        .age_ns = sonde_loop_now_ns(worker->loop) - sonde_stream_since_ns(stream),
    };
    shown->event.view.spoken = serve_find_spoken(stream, &shown->room);
    shown->event.view.messages = serve_find_messages(worker, stream, &shown->messages);
    add_why(shown, worker, stream);
    shown->event.view.at_byte = serve_frame_at_byte(worker, stream);
    if (worker->service->outcome != NULL && connection->flags & CONNECTION_COUNTED &&
        !(connection->flags & CONNECTION_FACTS)) {
        worker->service->outcome(connection + 1, &shown->outcome);
        shown->event.view.outcome = &shown->outcome;
    }
    add_peer(shown, worker, stream);
    serve_local_format(worker, stream, shown->local, sizeof(shown->local));
    shown->event.view.local = shown->local;
}

void serve_show_listening(struct worker *worker)
{
    for (unsigned i = 0; i < worker->serve->n_urls; i++) {
        const struct sonde_listener *listener = worker->places[i].listener;
        for (unsigned j = 0; j < sonde_listener_count(listener); j++) {
            char text[SONDE_URL_MAX];
            serve_url_text(listener, j, text);
            struct serve_event event = {.happening = SERVE_LISTENING, .url = text};
            tell(worker, &event);
        }
    }
    serve_output_flush(worker);
}

/* Text has it on standard error. */
void serve_show_page(struct worker *worker, const char *url)
{
    struct serve_event event = {.happening = SERVE_PAGE, .url = url};

    tell(worker, &event);
    serve_output_flush(worker);
}

static bool is_refused(enum serve_reason reason)
{
    return reason == SERVE_LIMIT || reason == SERVE_NOT_ALLOWED || reason == SERVE_PEER_LIMIT;
}

void serve_show_connection(struct worker *worker, const struct sonde_stream *stream, enum serve_happening happening)
{
    struct shown shown;

    if (worker->serve->settings->quiet)
        return;
    shown.event = (struct serve_event){.happening = happening};
    fill(&shown, worker, stream);
    /* A datagram that may not be a connection is one for a moment, and the next one again. */
    if (happening == SERVE_CLOSED && is_refused(shown.event.view.reason) && !sonde_stream_has_end(stream) &&
        !serve_may_tell(worker)) {
        worker->n_refused++;
        serve_tell_later(worker);
        return;
    }
    shown.event.view.muted = happening == SERVE_OPENED && serve_is_muted(worker, stream);
    tell(worker, &shown.event);
}

void serve_show_ended(struct worker *worker, uint64_t id, const struct service_outcome *outcome)
{
    struct serve_event event = {.happening = SERVE_ENDED};

    if (worker->serve->settings->quiet)
        return;
    event.view.number = serve_number_of(worker, id);
    event.view.outcome = outcome;
    tell(worker, &event);
}

void serve_show_data(struct worker *worker, const struct sonde_stream *stream, const struct sonde_lent *bytes)
{
    struct shown shown;

    shown.event = (struct serve_event){
        .happening = SERVE_DATA,
        .print = worker->serve->print,
        /* What is being delivered is counted already. */
        .offset = sonde_stream_received_bytes(stream) - bytes->n_bytes,
    };
    add_peer(&shown, worker, stream);
    for (size_t i = 0; i < bytes->n_bytes; i += shown.event.n_bytes) {
        size_t n_left = bytes->n_bytes - i;
        shown.event.data = bytes->data + i;
        shown.event.n_bytes = n_left < SERVE_SLICE_BYTES ? n_left : SERVE_SLICE_BYTES;
        tell(worker, &shown.event);
        shown.event.offset += shown.event.n_bytes;
    }
}

/* One record, however long it is. */
static void tell_whole(struct worker *worker, struct serve_event *event)
{
    if (event->n_bytes <= SERVE_SLICE_BYTES)
        tell(worker, event);
    else
        tell_large(worker, event);
}

void serve_show_whole(struct worker *worker, const struct sonde_stream *stream, const struct sonde_lent *bytes)
{
    const struct serve_spoken spoken = {.layers = sonde_stream_layers(stream)};
    struct shown shown;

    shown.event = (struct serve_event){
        .happening = SERVE_MESSAGE,
        .print = worker->serve->print,
        .data = bytes->data,
        .n_bytes = bytes->n_bytes,
        .n_messages = sonde_stream_received_messages(stream),
        .flags = bytes->flags,
        .n_whole_bytes = bytes->n_whole_bytes,
    };
    shown.event.view.spoken = &spoken;
    add_peer(&shown, worker, stream);
    tell_whole(worker, &shown.event);
}

void serve_show_message(struct worker *worker, const struct sonde_stream *stream, const void *data, size_t n_bytes,
                        uint64_t n_messages)
{
    struct shown shown;

    shown.event = (struct serve_event){
        .happening = SERVE_MESSAGE,
        .print = worker->serve->print,
        .data = data,
        .n_bytes = n_bytes,
        .n_messages = n_messages,
    };
    add_peer(&shown, worker, stream);
    tell_whole(worker, &shown.event);
}

void serve_show_said(struct worker *worker, const struct sonde_stream *stream, const void *data, size_t n_bytes)
{
    struct shown shown;

    shown.event = (struct serve_event){.happening = SERVE_SAID, .data = data, .n_bytes = n_bytes};
    add_peer(&shown, worker, stream);
    tell(worker, &shown.event);
}

void serve_show_spoken(struct worker *worker, const struct sonde_stream *stream, unsigned n, const void *data,
                       size_t n_bytes)
{
    struct serve_event event = {.happening = SERVE_SPOKEN, .n_clients = n, .data = data};

    if (!worker->serve->settings->json)
        return;
    if (stream != NULL)
        event.view.number = serve_number_of(worker, sonde_stream_id(stream));
    /* A line of a pipe may be longer than one event. */
    for (size_t i = 0; i < n_bytes; i += event.n_bytes) {
        event.data = (const char *)data + i;
        event.n_bytes = n_bytes - i < SERVE_SLICE_BYTES ? n_bytes - i : SERVE_SLICE_BYTES;
        tell(worker, &event);
    }
}

void serve_show_waiting(struct worker *worker, const char *local, const char *peer, const char *state,
                        unsigned n_unread)
{
    struct serve_event event = {.happening = SERVE_WAITING, .state = state, .n_unread = n_unread};

    event.view.local = local;
    event.view.peer = peer;
    tell(worker, &event);
}

void serve_show_more_waiting(struct worker *worker, unsigned n_more)
{
    struct serve_event event = {.happening = SERVE_MORE_WAITING, .length = n_more};

    tell(worker, &event);
}

void serve_show_queue(struct worker *worker, const char *url, unsigned length, unsigned limit)
{
    struct serve_event event = {.happening = SERVE_QUEUE, .url = url, .length = length, .limit = limit};

    if (worker->serve->settings->quiet)
        return;
    tell(worker, &event);
    if (length > 0)
        serve_list_waiting(worker, url);
}

void serve_show_buffer(struct worker *worker, const char *url, unsigned n_bytes, unsigned limit, unsigned n_dropped)
{
    struct serve_event event = {
        .happening = SERVE_BUFFER, .url = url, .length = n_bytes, .limit = limit, .n_dropped = n_dropped};

    if (!worker->serve->settings->quiet)
        tell(worker, &event);
}

void serve_show_icmp(struct worker *worker, const struct sonde_stream *stream, const struct sonde_notice *notice)
{
    struct shown shown;
    char from[SONDE_ADDRESS_TEXT];

    if (worker->serve->settings->quiet || !serve_may_tell(worker))
        return;
    shown.event = (struct serve_event){.happening = SERVE_ICMP};
    fill(&shown, worker, stream);
    shown.event.error = notice->code < 0 ? notice->code : -notice->code;
    if (notice->from.family != 0) {
        sonde_address_format(&notice->from, from, sizeof(from));
        shown.event.from = from;
    }
    tell(worker, &shown.event);
}

void serve_show_lost(struct worker *worker, uint64_t n_dropped, uint64_t n_peerless)
{
    const struct serve *serve = worker->serve;
    struct serve_event event = {.happening = SERVE_LOST,
                                .url = serve->url_texts[worker->lost_url],
                                .n_dropped = n_dropped,
                                .n_peerless = n_peerless};

    if (!serve->settings->quiet)
        tell(worker, &event);
}

void serve_show_trouble(struct worker *worker, int error)
{
    struct serve_event event = {.happening = SERVE_TROUBLE, .error = error};

    if (!worker->serve->settings->quiet)
        tell(worker, &event);
}

/* Which of the listener's sockets such a peer has come to: of each family there is one. */
static unsigned leg_of(const struct sonde_listener *listener, const struct sonde_address *peer)
{
    for (unsigned i = 0; i < sonde_listener_count(listener); i++) {
        struct sonde_url url;
        sonde_listener_address(listener, i, &url);
        if ((strchr(url.host, ':') != NULL) == (peer->family == AF_INET6))
            return i;
    }
    return 0;
}

void serve_show_refused(struct worker *worker, const struct sonde_listener *listener, const struct sonde_address *peer,
                        const struct sonde_why *why)
{
    char url[SONDE_URL_MAX], text[SONDE_ADDRESS_TEXT];
    struct serve_event event = {.happening = SERVE_REFUSED, .url = url, .error = why->code, .call = why->call};

    if (worker->serve->settings->quiet)
        return;
    if (!serve_may_tell(worker)) {
        worker->n_refused++;
        serve_tell_later(worker);
        return;
    }
    serve_url_text(listener, leg_of(listener, peer), url);
    sonde_address_format(peer, text, sizeof(text));
    event.view.peer = text;
    event.view.detail = why->detail;
    tell(worker, &event);
}

void serve_tell_refused(struct worker *worker)
{
    struct serve_event event = {.happening = SERVE_MORE_REFUSED, .length = worker->n_refused};

    if (worker->n_refused == 0)
        return;
    worker->n_refused = 0;
    tell(worker, &event);
}

static bool is_live(enum serve_reason reason)
{
    return reason == SERVE_OPEN || reason == SERVE_SERVED || reason == SERVE_STOPPED;
}

void serve_show_table(struct worker *worker)
{
    struct serve_event head = {.happening = SERVE_TABLE_HEAD, .with_messages = serve_has_messages(worker->serve)};
    struct shown shown = {.event = {.happening = SERVE_TABLE_ROW, .with_messages = head.with_messages}};

    if (worker->index == 0)
        tell(worker, &head);
    for (const struct sonde_stream *stream = sonde_stream_next(worker->loop, NULL); stream != NULL;
         stream = sonde_stream_next(worker->loop, stream)) {
        fill(&shown, worker, stream);
        if (!is_live(shown.event.view.reason))
            continue;
        tell(worker, &shown.event);
        worker->serve->n_table_rows++;
    }
    worker->serve->n_table_dropped += worker->n_dropped;
    worker->serve->n_table_peerless += worker->n_peerless;
    serve_output_flush(worker);
}

void serve_show_foot(struct serve *serve)
{
    struct serve_event foot = {.happening = SERVE_TABLE_FOOT,
                               .n_connections = serve->n_table_rows,
                               .n_dropped = serve->n_table_dropped,
                               .n_peerless = serve->n_table_peerless};

    serve->n_table_rows = 0;
    serve->n_table_dropped = 0;
    serve->n_table_peerless = 0;
    tell(&serve->workers[0], &foot);
    serve_output_flush(&serve->workers[0]);
}
