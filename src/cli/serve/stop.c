/* SPDX-License-Identifier: MIT */
/*
 * The end. SIGTERM and SIGINT: no more connections, those there are send what is queued, half-close, and have --drain
 * to end; a second signal closes them at once. SIGUSR1 asks for the table of connections.
 *
 * Signals are read from a descriptor on the main thread's loop, so nothing is ever done inside a handler.
 */
#include "cli/serve/serve_internal.h"

#include <errno.h>
#include <signal.h>
#include <sonde/ws.h>
#include <sys/signalfd.h>
#include <unistd.h>

/* --- a worker's part: on its thread ------------------------------------------------------------------------------ */

void serve_stop_listening(struct worker *worker)
{
    if (worker->listeners_closed)
        return;
    worker->listeners_closed = true;
    if (worker->started && worker->service->stop != NULL)
        worker->service->stop(&worker->run);
    for (unsigned i = 0; i < worker->n_places; i++)
        if (worker->places[i].listener != NULL)
            sonde_listener_close(worker->places[i].listener);
}

static void cut(struct worker *worker)
{
    if (worker->service->ending != NULL)
        worker->service->ending(&worker->run, sonde_loop_now_ns(worker->loop));
    for (struct sonde_stream *stream = sonde_stream_next(worker->loop, NULL); stream != NULL;
         stream = sonde_stream_next(worker->loop, stream)) {
        struct connection *connection = connection_of(stream);
        enum serve_reason reason = connection->reason;
        bool closing =
            reason != SERVE_OPEN && reason != SERVE_SERVED && reason != SERVE_STOPPED && reason != SERVE_KICKED;
        /* What is spoken on top is still saying good-bye. */
        if (reason == SERVE_END || reason == SERVE_IDLE)
            sonde_stream_close(stream);
        if (closing || (connection->flags & CONNECTION_CUT))
            continue;
        connection->reason = SERVE_STOPPED;
        connection->flags |= CONNECTION_CUT;
        worker->n_cut++;
        sonde_stream_close(stream);
    }
}

static void patience_ends(struct sonde_timer *timer)
{
    cut(timer->user);
}

void serve_drain_init(struct worker *worker)
{
    sonde_timer_init(&worker->drain, worker->loop, patience_ends, worker);
}

/* A WebSocket is told that it is not its fault: 1001, going away (RFC 6455, 7.4.1). */
static void finish(struct sonde_stream *stream, int64_t deadline_ns)
{
    if (sonde_stream_layers(stream) & SONDE_LAYER_WS)
        sonde_ws_close(stream, 1001, "", 0);
    sonde_stream_finish(stream, deadline_ns);
}

static void stop(struct worker *worker)
{
    int64_t deadline_ns = sonde_loop_now_ns(worker->loop) + worker->serve->settings->drain_ns;

    serve_stop_listening(worker);
    if (worker->index == 0)
        serve_lines_close(worker->serve);
    for (struct sonde_stream *stream = sonde_stream_next(worker->loop, NULL); stream != NULL;
         stream = sonde_stream_next(worker->loop, stream)) {
        if (connection_of(stream)->reason != SERVE_OPEN)
            continue;
        connection_of(stream)->reason = SERVE_STOPPED;
        if (worker->service->ending == NULL)
            finish(stream, deadline_ns);
    }
    if (worker->service->ending != NULL)
        worker->service->ending(&worker->run, deadline_ns);
    /* Those that were finishing already have deadlines of their own, which may be later. */
    if (worker->n_streams > 0 || worker->busy)
        sonde_timer_start(&worker->drain, deadline_ns);
}

/* What the mailbox brings. */
static void obey(void *user)
{
    struct worker *worker = user;
    struct serve *serve = worker->serve;
    unsigned orders = atomic_exchange(&worker->orders, 0);

    if (orders & ORDER_TABLE) {
        serve_show_table(worker);
        if (worker->index + 1 < serve->n_workers)
            serve_order(worker + 1, ORDER_TABLE);
        else
            serve_wish(serve, WISH_FOOT);
    }
    if (orders & ORDER_STOP)
        stop(worker);
    if (orders & ORDER_CUT)
        cut(worker);
    serve_worker_check(worker);
}

void serve_order(struct worker *worker, unsigned orders)
{
    if (atomic_fetch_or(&worker->orders, orders) == 0)
        sonde_loop_post(worker->loop, obey, worker);
}

/* --- the main thread's part --------------------------------------------------------------------------------------- */

static void order_all(struct serve *serve, unsigned orders)
{
    for (unsigned i = 0; i < serve->n_workers; i++)
        serve_order(&serve->workers[i], orders);
}

static void end(struct serve *serve, enum exit_status status)
{
    int64_t now_ns = sonde_loop_now_ns(serve->workers[0].loop);

    if (serve->stop_ns == 0) {
        serve->stop_ns = now_ns;
        atomic_store(&serve->ending, true);
        serve->status = status;
        serve_notify_stopping(serve);
        order_all(serve, serve->settings->drain_ns > 0 ? ORDER_STOP : ORDER_STOP | ORDER_CUT);
    } else if (serve->cut_ns == 0) {
        serve->cut_ns = now_ns;
        order_all(serve, ORDER_CUT);
    }
}

static void ask_for_table(struct serve *serve)
{
    if (serve->table_busy) {
        serve->table_asked = true;
        return;
    }
    serve->table_busy = true;
    serve_order(&serve->workers[0], ORDER_TABLE);
}

static void fulfil(void *user)
{
    struct serve *serve = user;
    unsigned wishes = atomic_exchange(&serve->wishes, 0);

    if (wishes & WISH_FOOT) {
        serve_show_foot(serve);
        serve->table_busy = false;
        if (serve->table_asked) {
            serve->table_asked = false;
            ask_for_table(serve);
        }
    }
    if (wishes & WISH_END) {
        /* No patience: whatever clients are told now, what they did cannot be told any more. */
        end(serve, EXIT_NETWORK);
        end(serve, EXIT_NETWORK);
        serve->status = EXIT_NETWORK;
    }
    if (wishes & WISH_QUIT)
        end(serve, EXIT_DONE);
    serve_check(serve);
}

void serve_wish(struct serve *serve, unsigned wish)
{
    if (atomic_fetch_or(&serve->wishes, wish) == 0)
        sonde_loop_post(serve->workers[0].loop, fulfil, serve);
}

void serve_check(struct serve *serve)
{
    const struct worker *first = &serve->workers[0];

    if (first->n_listeners > 0 || first->n_streams > 0 || first->busy || atomic_load(&serve->n_running) > 0)
        return;
    serve_lines_close(serve);
    if (serve->signal_poll != NULL)
        sonde_poll_close(serve->signal_poll);
    serve->signal_poll = NULL;
    serve_notify_stop(serve);
}

static void take_signal(struct serve *serve, unsigned signal)
{
    switch (signal) {
    case SIGUSR1:
        ask_for_table(serve);
        break;
    case SIGINT:
        end(serve, EXIT_INTERRUPTED);
        break;
    default:
        end(serve, EXIT_DONE);
        break;
    }
}

static void signal_ready(struct sonde_poll *poll, unsigned events, void *user)
{
    struct serve *serve = user;
    struct signalfd_siginfo info;

    (void)events;
    while (read(serve->signal_fd, &info, sizeof(info)) == sizeof(info))
        take_signal(serve, info.ssi_signo);
    /* Without it no signal would be heard again. */
    if (sonde_poll_start(poll, SONDE_READABLE) != 0)
        serve_wish(serve, WISH_END);
}

int serve_signals_start(struct serve *serve)
{
    static const struct sonde_poll_handler handler = {.ready = signal_ready};
    struct sigaction hang_up;
    sigset_t signals;

    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGUSR1);
    /* A terminal that is closed: programs that were started are to be told. Not under nohup. */
    if (sigaction(SIGHUP, NULL, &hang_up) == 0 && hang_up.sa_handler == SIG_DFL)
        sigaddset(&signals, SIGHUP);
    int error = pthread_sigmask(SIG_BLOCK, &signals, NULL);
    if (error != 0)
        return -error;
    serve->signal_fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
    if (serve->signal_fd < 0)
        return -errno;
    error = sonde_poll_create(serve->workers[0].loop, serve->signal_fd, &handler, serve, &serve->signal_poll);
    if (error == 0)
        error = sonde_poll_start(serve->signal_poll, SONDE_READABLE);
    return error;
}

void serve_signals_stop(struct serve *serve)
{
    serve_notify_stop(serve);
    if (serve->signal_poll != NULL)
        sonde_poll_close(serve->signal_poll);
    serve->signal_poll = NULL;
}
