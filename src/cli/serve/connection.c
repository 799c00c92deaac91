/* SPDX-License-Identifier: MIT */
/*
 * What happens to connections: each callback of a stream is looked at here, then handed on to the service. Whoever
 * closes a connection first writes down why; what the network says afterwards (a reset while we wait for the peer's
 * end) corrects it, since that is what really ended it.
 */
#include "cli/serve/serve_internal.h"

#include <errno.h>
#include <inttypes.h>

static void *own_of(const struct sonde_stream *stream)
{
    return connection_of(stream) + 1;
}

/* --- accepting -------------------------------------------------------------------------------------------------- */

/* Those that come with datagrams are no connections that could wait: what brings one peer brings them all. */
static bool can_wait(const struct place *place)
{
    return place->listener != NULL && !serve_url_is_datagrams(&place->worker->serve->urls[place->url]);
}

void serve_pause_listeners(struct worker *worker)
{
    worker->paused = true;
    for (unsigned i = 0; i < worker->n_places; i++)
        if (can_wait(&worker->places[i]))
            sonde_listener_pause(worker->places[i].listener);
}

static void resume_listeners(struct worker *worker)
{
    worker->paused = false;
    for (unsigned i = 0; i < worker->n_places; i++)
        if (can_wait(&worker->places[i]))
            sonde_listener_resume(worker->places[i].listener);
}

/* One more client than --max-clients, one that may not be one, or one that comes after the end has begun. */
static void refuse(struct worker *worker, struct sonde_stream *stream, enum serve_reason reason)
{
    struct sonde_address peer;

    connection_of(stream)->reason = (uint8_t)reason;
    /* Who it was is asked for now: the closed line is the first to tell, and then nobody knows any more. */
    if (!worker->serve->settings->quiet)
        sonde_stream_peer(stream, &peer);
    sonde_stream_abort(stream);
}

void serve_say_limit(const struct serve *serve)
{
    for (unsigned i = 0; i < serve->n_urls; i++) {
        if (serve_url_is_datagrams(&serve->urls[i]))
            continue;
        say(_("%lld clients are connected, no more are let in: the others wait in the accept queue."),
            serve->settings->max_clients);
        return;
    }
    say(_("%lld peers are served, no more are: what others send is dropped, and counted."),
        serve->settings->max_clients);
}

/* As many as may be are here: the others wait in the accept queue. */
static void full(struct worker *worker)
{
    struct serve *serve = worker->serve;

    serve_pause_listeners(worker);
    if (!serve->settings->sequential && !atomic_exchange(&serve->limit_said, true))
        serve_say_limit(serve);
}

static enum serve_handling handling_of(const struct worker *worker, const struct sonde_stream *stream)
{
    if (!sonde_stream_has_messages(stream))
        return SERVE_HANDLES_BYTES;
    return serve_is_muted(worker, stream) ? SERVE_HANDLES_MUTED : SERVE_HANDLES_MESSAGES;
}

/* One more than may be is refused when nobody can wait: --when-full refuse, and datagrams. */
static bool is_too_many(const struct serve_settings *settings, const struct sonde_stream *stream, long long n)
{
    bool datagrams = !sonde_stream_has_end(stream);

    if (settings->once && datagrams && n > 1)
        return true;
    return (settings->when_full == WHEN_FULL_REFUSE || datagrams) && settings->max_clients > 0 &&
           n > settings->max_clients;
}

/* --once: this was the one. Where it has come with datagrams the socket stays, for it is what brings them. */
static void accept_no_more(struct worker *worker, struct place *place, const struct sonde_stream *stream)
{
    if (sonde_stream_has_end(stream)) {
        serve_stop_listening(worker);
        return;
    }
    for (unsigned i = 0; i < worker->n_places; i++)
        if (&worker->places[i] != place && worker->places[i].listener != NULL)
            sonde_listener_close(worker->places[i].listener);
}

static const struct sonde_stream_handler facts_handler;

static void accepted(struct sonde_listener *listener, struct sonde_stream *stream, void *owner)
{
    struct place *place = owner;
    struct worker *worker = place->worker;
    const struct serve_settings *settings = worker->serve->settings;
    struct connection *connection = connection_of(stream);

    (void)listener;
    worker->n_streams++;
    connection->local = serve_local_take(worker, stream, place);
    sonde_stream_set_handler(stream, worker->handlers[handling_of(worker, stream)], worker);
    if (worker->listeners_closed) {
        refuse(worker, stream, SERVE_STOPPED);
        return;
    }
    enum serve_reason why_not = serve_guard_admit(worker, stream);
    if (why_not != SERVE_OPEN) {
        refuse(worker, stream, why_not);
        return;
    }
    long long n = atomic_fetch_add(&worker->serve->n_clients, 1) + 1;
    if (is_too_many(settings, stream, n)) {
        atomic_fetch_sub(&worker->serve->n_clients, 1);
        refuse(worker, stream, SERVE_LIMIT);
        return;
    }
    connection->flags |= CONNECTION_COUNTED;
    if (settings->once)
        accept_no_more(worker, place, stream);
    else if (settings->when_full == WHEN_FULL_WAIT &&
             (settings->sequential || (settings->max_clients > 0 && n >= settings->max_clients)))
        full(worker);
    if (settings->idle_ns > 0)
        serve_idle_opened(worker, connection);
    serve_show_connection(worker, stream, SERVE_OPENED);
    serve_page_opened(worker, stream);
    if (serve_facts_wanted(worker, stream)) {
        connection->flags |= CONNECTION_FACTS;
        sonde_stream_set_handler(stream, &facts_handler, worker);
        serve_facts_answer(worker, stream);
    } else if (worker->service->opened != NULL) {
        worker->service->opened(&worker->run, stream, own_of(stream));
    }
}

static void say_trouble(const struct serve *serve, int error)
{
    if (serve->n_direct > 0 && error == -ENFILE) {
        say(_(
            "accepting has stopped: the rings are full. Clients wait in the accept queue until others have gone. With "
            "--max-clients N there are as many rings as N connections need."));
        return;
    }
    switch (error) {
    case -EMFILE:
        say(_(
            "accepting has stopped: too many open files in this process (ulimit -n). Clients wait in the accept queue "
            "until others have gone."));
        break;
    case -ENFILE:
        say(_("accepting has stopped: too many open files on this system (fs.file-max). Clients wait in the accept "
              "queue."));
        break;
    default:
        say(_("accepting has stopped: %s. Clients wait in the accept queue."), sonde_strerror(error));
        break;
    }
}

/* Several listeners run into the same limit: it is one episode, from the first that stops to the last that goes on.
 * With
 * --direct each has a limit of its own, and it is one when all have stopped. */
static void trouble(struct sonde_listener *listener, int error, void *owner)
{
    struct place *place = owner;
    struct serve *serve = place->worker->serve;
    unsigned n_before = serve->n_direct > 0 ? serve->n_listeners - 1 : 0;
    bool passing = error == -EMFILE || error == -ENFILE || error == -ENOMEM || error == -ENOBUFS;

    (void)listener;
    if (error != 0 && !passing) {
        say(_("accepting on %s has failed for good: %s."), serve->url_texts[place->url], sonde_strerror(error));
        serve_show_trouble(place->worker, error);
        serve_wish(serve, WISH_END);
        return;
    }
    if (place->troubled == passing)
        return;
    place->troubled = passing;
    bool whole = passing ? atomic_fetch_add(&serve->n_troubled, 1) == n_before
                         : atomic_fetch_sub(&serve->n_troubled, 1) == n_before + 1;
    if (!whole || serve_direct_trouble(serve, error))
        return;
    if (passing)
        say_trouble(serve, error);
    else
        say(_("accepting goes on."));
    serve_show_trouble(place->worker, error);
}

static void listener_closed(struct sonde_listener *listener, void *owner)
{
    struct place *place = owner;

    (void)listener;
    place->listener = NULL;
    place->worker->n_listeners--;
    serve_worker_check(place->worker);
}

const struct sonde_listener_handler serve_listener_handler = {
    .accepted = accepted,
    .trouble = trouble,
    .refused = serve_guard_refused,
    .closed = listener_closed,
    .lost = serve_lost,
    .came = serve_guard_came,
};

/* --- a connection ----------------------------------------------------------------------------------------------- */

static void on_data(struct sonde_stream *stream, const struct sonde_lent *bytes)
{
    struct worker *worker = sonde_stream_owner(stream);

    if (worker->service->data != NULL)
        worker->service->data(&worker->run, stream, own_of(stream), bytes);
}

/* The same where somebody looks on. */
static void on_shown_data(struct sonde_stream *stream, const struct sonde_lent *bytes)
{
    serve_show_data(sonde_stream_owner(stream), stream, bytes);
    on_data(stream, bytes);
}

/* A whole message. */
static void on_message(struct sonde_stream *stream, const struct sonde_lent *bytes)
{
    if (__builtin_expect(bytes->flags & SONDE_CUT, 0))
        serve_message_cut(sonde_stream_owner(stream), stream, bytes);
    on_data(stream, bytes);
}

static void on_shown_message(struct sonde_stream *stream, const struct sonde_lent *bytes)
{
    serve_show_whole(sonde_stream_owner(stream), stream, bytes);
    on_message(stream, bytes);
}

static void on_muted(struct sonde_stream *stream, const struct sonde_lent *bytes)
{
    (void)bytes;
    serve_notes_of(sonde_stream_owner(stream), stream)->n_muted++;
}

static void on_shown_muted(struct sonde_stream *stream, const struct sonde_lent *bytes)
{
    serve_show_whole(sonde_stream_owner(stream), stream, bytes);
    on_muted(stream, bytes);
}

/* A datagram of ours that found nobody: the peer has gone, and whatever else comes from there is somebody new. */
static void on_notice(struct sonde_stream *stream, const struct sonde_notice *notice)
{
    struct worker *worker = sonde_stream_owner(stream);
    struct connection *connection = connection_of(stream);

    if (notice->kind != SONDE_NOTICE_ICMP)
        return;
    serve_show_icmp(worker, stream, notice);
    if ((notice->code != -ECONNREFUSED && notice->code != ECONNREFUSED) || connection->reason != SERVE_OPEN)
        return;
    connection->reason = SERVE_UNREACHABLE;
    connection->error = -ECONNREFUSED;
    sonde_stream_close(stream);
}

static void on_end(struct sonde_stream *stream)
{
    struct worker *worker = sonde_stream_owner(stream);

    if (worker->serve->has_frame)
        serve_frame_end(worker, stream);
    if (worker->service->end != NULL)
        worker->service->end(&worker->run, stream, own_of(stream));
}

static void on_drained(struct sonde_stream *stream)
{
    struct worker *worker = sonde_stream_owner(stream);

    if (worker->service->drained != NULL)
        worker->service->drained(&worker->run, stream, own_of(stream));
}

/* Has the peer's kernel acknowledged all that we sent? (For a UNIX socket: has the peer read it?) */
static bool all_arrived(const struct sonde_stream *stream)
{
    uint64_t n_bytes;

    return sonde_stream_unsent_bytes(stream) == 0 && sonde_stream_unacknowledged_bytes(stream, &n_bytes) == 0 &&
           n_bytes == 0;
}

static enum serve_reason reason_of(const struct sonde_stream *stream, enum serve_reason reason, int error)
{
    bool leaving = reason == SERVE_STOPPED || reason == SERVE_KICKED || reason == SERVE_SERVED;

    if (reason == SERVE_BAD_MESSAGE || reason == SERVE_IDLE)
        return reason; /* whatever it does when it is closed for that */
    if (reason == SERVE_END && sonde_stream_unsent_bytes(stream) == 0)
        return reason; /* it had ended, and no more than our good-bye was under way */
    switch (error) {
    case -ETIMEDOUT:
        /* The deadline of a polite close: what was to be done is done, if only the peer's end is missing. */
        if (leaving && (reason != SERVE_SERVED || all_arrived(stream)))
            return reason;
        return sonde_stream_has_end(stream) ? SERVE_TIMEOUT : SERVE_SILENT;
    case -ECONNRESET:
    case -EPIPE:
        return SERVE_RESET;
    case -SONDE_ETRUNCATED: /* when we have left, that it does not say good-bye cuts nothing off */
        return leaving ? reason : SERVE_TRUNCATED;
    case -SONDE_EWSEND:
        return leaving ? reason : SERVE_NO_CLOSE;
    case -SONDE_EWS:
        return SERVE_RULES;
    case -SONDE_ETOOBIG:
        return SERVE_TOO_BIG;
    default:
        return error == -ECONNREFUSED && !sonde_stream_has_end(stream) ? SERVE_UNREACHABLE : SERVE_ERROR;
    }
}

static void on_failed(struct sonde_stream *stream, int error)
{
    struct worker *worker = sonde_stream_owner(stream);
    struct connection *connection = connection_of(stream);

    if (connection->reason != SERVE_BAD_MESSAGE)
        connection->error = error;
    connection->reason = (uint8_t)reason_of(stream, connection->reason, error);
    if (connection->reason == SERVE_STOPPED && !(connection->flags & CONNECTION_CUT)) {
        connection->flags |= CONNECTION_CUT;
        worker->n_cut++;
    }
    if (worker->service->failed != NULL && !(connection->flags & CONNECTION_FACTS))
        worker->service->failed(&worker->run, stream, own_of(stream), error);
    sonde_stream_close(stream);
}

static void on_closed(struct sonde_stream *stream)
{
    struct worker *worker = sonde_stream_owner(stream);
    const struct connection *connection = connection_of(stream);
    bool counted = connection->flags & CONNECTION_COUNTED;

    if (counted && !(connection->flags & CONNECTION_FACTS) && worker->service->closed != NULL)
        worker->service->closed(&worker->run, stream, own_of(stream));
    serve_show_connection(worker, stream, SERVE_CLOSED);
    serve_page_closed(worker, stream);
    serve_messages_closed(worker, stream);
    if (worker->serve->has_frame)
        serve_frame_closed(worker, stream);
    serve_local_release(worker, connection->local);
    serve_guard_left(worker, stream);
    worker->n_streams--;
    if (counted)
        atomic_fetch_sub(&worker->serve->n_clients, 1);
    if (counted && worker->serve->settings->once)
        serve_stop_listening(worker);
    /* One that was refused makes no room. */
    if (counted && worker->paused && !worker->held && !worker->listeners_closed)
        resume_listeners(worker);
    serve_worker_check(worker);
}

static const struct sonde_stream_handler facts_handler = {.failed = on_failed, .closed = on_closed};

/* clang-format off */
#define REST .end = on_end, .drained = on_drained, .failed = on_failed, .closed = on_closed
static const struct sonde_stream_handler plain[SERVE_N_HANDLERS] = {
    [SERVE_HANDLES_BYTES] = {.data = on_data, REST},
    [SERVE_HANDLES_MESSAGES] = {.data = on_message, .notice = on_notice, REST},
    [SERVE_HANDLES_MUTED] = {.data = on_muted, .notice = on_notice, REST},
};
static const struct sonde_stream_handler shown[SERVE_N_HANDLERS] = {
    [SERVE_HANDLES_BYTES] = {.data = on_shown_data, REST},
    [SERVE_HANDLES_MESSAGES] = {.data = on_shown_message, .notice = on_notice, REST},
    [SERVE_HANDLES_MUTED] = {.data = on_shown_muted, .notice = on_notice, REST},
};
static const struct sonde_stream_handler framed[SERVE_N_HANDLERS] = {
    [SERVE_HANDLES_BYTES] = {.data = serve_frame_data, REST},
    [SERVE_HANDLES_MESSAGES] = {.data = serve_frame_message, .notice = on_notice, REST},
    [SERVE_HANDLES_MUTED] = {.data = on_muted, .notice = on_notice, REST},
};
static const struct sonde_stream_handler shown_framed[SERVE_N_HANDLERS] = {
    [SERVE_HANDLES_BYTES] = {.data = serve_frame_shown_data, REST},
    [SERVE_HANDLES_MESSAGES] = {.data = serve_frame_shown_message, .notice = on_notice, REST},
    [SERVE_HANDLES_MUTED] = {.data = on_shown_muted, .notice = on_notice, REST},
};
#undef REST
/* clang-format on */

void serve_stream_handlers(const struct serve *serve, const struct sonde_stream_handler **ret_handlers)
{
    bool talks = serve->service->flags & SERVICE_TAKES_LINES; /* which is not to be had without being told */
    bool show = (!serve->settings->quiet || talks) && (serve->settings->json || serve->print != SERVE_PRINT_NONE);
    const struct sonde_stream_handler *handlers;

    if (serve->has_frame)
        handlers = show ? shown_framed : framed;
    else
        handlers = show ? shown : plain;
    for (unsigned i = 0; i < SERVE_N_HANDLERS; i++)
        ret_handlers[i] = &handlers[i];
}

/* --- what services tell ----------------------------------------------------------------------------------------- */

static void unanswered(struct service_run *run, struct sonde_stream *stream, uint64_t n_bytes)
{
    (void)run;
    connection_of(stream)->unanswered_bytes += n_bytes;
}

static void done(struct service_run *run, struct sonde_stream *stream, enum service_done how)
{
    static const uint8_t reasons[] = {
        [SERVICE_ANSWERED] = SERVE_END,
        [SERVICE_SAID_ALL] = SERVE_SERVED,
        [SERVICE_KICKED] = SERVE_KICKED,
        [SERVICE_NOT_READING] = SERVE_NOT_READING,
    };
    struct connection *connection = connection_of(stream);

    (void)run;
    if (connection->reason == SERVE_OPEN)
        connection->reason = reasons[how];
}

static void broken(struct service_run *run, struct sonde_stream *stream, int error)
{
    struct connection *connection = connection_of(stream);

    (void)run;
    connection->reason = SERVE_ERROR;
    connection->error = error;
}

static void tell(struct service_run *run, struct sonde_stream *stream, const char *sentence)
{
    serve_output_flush(run->host_data); /* what has happened before is told before */
    if (stream != NULL)
        say("[%" PRIu64 "] %s", serve_number_of(run->host_data, sonde_stream_id(stream)), sentence);
    else
        say("%s", sentence);
}

static void hold(struct service_run *run, bool wanted)
{
    struct worker *worker = run->host_data;
    const struct serve_settings *settings = worker->serve->settings;
    long long n = atomic_load(&worker->serve->n_clients), most = settings->sequential ? 1 : settings->max_clients;

    worker->held = wanted;
    if (wanted)
        serve_pause_listeners(worker);
    else if (!worker->listeners_closed && (settings->when_full != WHEN_FULL_WAIT || most == 0 || n < most))
        resume_listeners(worker);
}

static void busy(struct service_run *run, bool wanted)
{
    struct worker *worker = run->host_data;

    worker->busy = wanted;
    if (!wanted)
        serve_worker_check(worker);
}

static void ended(struct service_run *run, uint64_t id, const struct service_outcome *outcome)
{
    serve_show_ended(run->host_data, id, outcome);
}

static void queue(struct service_run *run, struct sonde_listener *listener, unsigned index, unsigned length,
                  unsigned limit)
{
    char url[SONDE_URL_MAX];

    serve_url_text(listener, index, url);
    serve_show_queue(run->host_data, url, length, limit);
}

static void buffer(struct service_run *run, struct sonde_listener *listener, unsigned index, unsigned n_bytes,
                   unsigned limit, unsigned n_dropped)
{
    char url[SONDE_URL_MAX];

    serve_url_text(listener, index, url);
    serve_show_buffer(run->host_data, url, n_bytes, limit, n_dropped);
}

static void queue_unknown(struct service_run *run, struct sonde_listener *listener, unsigned index, int error)
{
    char url[SONDE_URL_MAX];

    (void)run;
    serve_url_text(listener, index, url);
    say(_("%s listens, but how many connections wait there is not known: %s."), url, sonde_strerror(error));
}

const struct service_host serve_service_host = {
    .unanswered = unanswered,
    .withheld = serve_message_withheld,
    .done = done,
    .broken = broken,
    .wants_lines = serve_lines_wanted,
    .said = serve_lines_said,
    .spoken = serve_lines_spoken,
    .answer = serve_lines_answer,
    .tell = tell,
    .name_of = serve_lines_name,
    .hold = hold,
    .busy = busy,
    .error_line = serve_error_line,
    .ended = ended,
    .quit = serve_lines_quit,
    .queue = queue,
    .buffer = buffer,
    .queue_unknown = queue_unknown,
};
