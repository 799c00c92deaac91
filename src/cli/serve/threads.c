/* SPDX-License-Identifier: MIT */
/*
 * Workers: their loops are made and all addresses listened on before any of them runs, so that what cannot be listened
 * on is known while nobody has been served yet. The first worker takes each TCP address alone, then opens it to the
 * others (SO_REUSEPORT), among whom the kernel spreads the clients. A UNIX socket cannot be shared: it is the first
 * worker's.
 */
#include "cli/attach.h"
#include "cli/calls_print.h"
#include "cli/serve/serve_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

enum {
    N_MAILBOX = 16,           /* a worker has at most one message under way, and the main thread one more */
    STACK_BYTES = 512 * 1024, /* of a thread; no line that is rendered on it is longer than some KiB */
};

void serve_url_text(const struct sonde_listener *listener, unsigned index, char ret_text[SONDE_URL_MAX])
{
    struct sonde_url url;

    sonde_listener_address(listener, index, &url);
    sonde_url_format(&url, ret_text, SONDE_URL_MAX);
}

/* --- listening ---------------------------------------------------------------------------------------------------- */

static unsigned listen_flags(const struct worker *worker, const struct sonde_url *url)
{
    const struct serve *serve = worker->serve;
    const struct serve_settings *settings = serve->settings;
    unsigned flags = 0;

    if (serve->service->flags & SERVICE_LISTENS_ONLY)
        flags |= SONDE_LISTEN_PAUSED;
    /* Who may wait is to wait in the kernel's queue, not here. */
    if (settings->once || settings->sequential || serve->service->flags & SERVICE_TAKES_PROGRAM ||
        (settings->max_clients > 0 && settings->when_full == WHEN_FULL_WAIT))
        flags |= SONDE_LISTEN_ONE_BY_ONE;
    if (serve->n_workers > 1 && serve->n_direct == 0 && serve_url_is_shared(url))
        flags |= worker->index == 0 ? SONDE_LISTEN_SHARED : SONDE_LISTEN_JOIN;
    return flags;
}

/* A server that was killed leaves its port taken for some milliseconds: what it had asked of an io_uring is given up in
 * the background. So a port that is taken is asked for again for a moment, before that is an error. */
static int listen_patiently(struct place *place, const struct sonde_url *url,
                            const struct sonde_listen_options *options, struct sonde_why *ret_why)
{
    enum { PAUSE_MS = 5, N_PAUSES = 40 };

    for (int i = 0;; i++) {
        int error =
            sonde_listen(place->worker->loop, url, options, &serve_listener_handler, place, &place->listener, ret_why);
        if (error != -EADDRINUSE || url->path_bytes > 0 || i == N_PAUSES)
            return error;
        nanosleep(&(struct timespec){.tv_nsec = PAUSE_MS * 1000 * 1000}, NULL);
    }
}

/* A socket that was passed turns out to be a UNIX one. */
static void find_unix_name(struct place *place)
{
    struct sonde_url bound;

    sonde_listener_address(place->listener, 0, &bound);
    if (bound.scheme == SONDE_SCHEME_UNIX)
        sonde_url_format(&bound, place->unix_name, sizeof(place->unix_name));
}

static unsigned most_peers(const struct serve_settings *settings)
{
    if (settings->once)
        return 1;
    return settings->max_clients < UINT_MAX ? (unsigned)settings->max_clients : UINT_MAX;
}

void serve_listen_options(const struct worker *worker, const struct sonde_url *url,
                          struct sonde_listen_options *ret_options)
{
    const struct serve_settings *settings = worker->serve->settings;

    *ret_options = (struct sonde_listen_options){
        .size = sizeof(*ret_options),
        .flags = listen_flags(worker, url),
        .family = settings->ipv4   ? AF_INET
                  : settings->ipv6 ? AF_INET6
                                   : AF_UNSPEC,
        .user_bytes = serve_room_bytes(worker, url),
        .send_limit_bytes = serve_send_limit(worker->serve, url),
        .peer_idle_ns = serve_peer_idle_ns(worker->serve),
        .n_peers_max = most_peers(settings),
    };
    serve_guard_listen(worker->serve, ret_options);
    serve_tls_listen(worker->serve, url, ret_options);
    serve_web_listen(worker->serve, url, ret_options);
}

/* This worker's listener for one of the URLs. Returns an exit status, having said what went wrong. */
static enum exit_status listen_on(struct worker *worker, unsigned i)
{
    const struct serve *serve = worker->serve;
    struct place *place = &worker->places[i];
    struct sonde_url url = serve->urls[i];
    struct sonde_listen_options options;
    struct sonde_why why;

    place->worker = worker;
    place->url = i;
    if (!serve_url_is_shared(&url) && worker->index > 0)
        return EXIT_DONE;
    if (url.path_bytes > 0) {
        sonde_url_format(&url, place->unix_name, sizeof(place->unix_name));
    } else if (worker->index > 0) {
        struct sonde_url first;
        sonde_listener_address(serve->workers[0].places[i].listener, 0, &first);
        url.port = first.port;
    }
    serve_listen_options(worker, &url, &options);
    if (listen_patiently(place, &url, &options, &why) != 0)
        return say_why(serve->url_texts[i], &why);
    if (url.scheme == SONDE_SCHEME_FD)
        find_unix_name(place);
    worker->n_listeners++;
    return EXIT_DONE;
}

static enum exit_status listen_on_all(struct serve *serve)
{
    enum exit_status status = EXIT_DONE;

    for (unsigned w = 0; w < serve->n_workers && status == EXIT_DONE; w++)
        if (serve->n_direct > 0 && w > 0)
            status = serve_direct_join(&serve->workers[w]);
        else
            for (unsigned i = 0; i < serve->n_urls && status == EXIT_DONE; i++)
                status = listen_on(&serve->workers[w], i);
    for (unsigned w = 0; w < serve->n_workers; w++)
        serve->n_listeners += serve->workers[w].n_listeners;
    return status;
}

/* --- workers ------------------------------------------------------------------------------------------------------ */

static enum exit_status fail(int error, const char *call)
{
    const struct sonde_why why = {.code = error, .call = call};

    return say_why("", &why);
}

static enum exit_status worker_init(struct serve *serve, unsigned index)
{
    struct worker *worker = &serve->workers[index];
    const struct sonde_loop_options options = {
        .size = sizeof(options),
        .engine = (enum sonde_engine)serve->settings->engine,
        .n_mailbox = N_MAILBOX,
        .n_direct = serve_direct_places(serve, index),
    };
    struct sonde_why why;

    worker->serve = serve;
    worker->service = serve->service;
    worker->index = index;
    serve_stream_handlers(serve, worker->handlers);
    if (serve->n_direct == 0 || index == 0) {
        worker->places = calloc(serve->n_urls, sizeof(*worker->places));
        if (worker->places == NULL)
            return fail(-ENOMEM, "malloc");
        worker->n_places = serve->n_urls;
    }
    if (sonde_loop_create(&options, &worker->loop, &why) != 0)
        return say_why("", &why);
    if (serve_output_init(worker) != 0)
        return fail(-ENOMEM, "malloc");
    if (serve->settings->calls)
        calls_print_start(&worker->taps, worker->loop, &serve->start_ns);
    if (serve->attach != NULL)
        attach_tap(serve->attach, &worker->taps, worker->loop);
    if (serve_page_worker(worker) != EXIT_DONE)
        return EXIT_NETWORK;
    serve_idle_init(worker);
    serve_messages_init(worker);
    serve_drain_init(worker);
    worker->run = (struct service_run){
        .service = serve->service,
        .host = &serve_service_host,
        .host_data = worker,
        .loop = worker->loop,
        .text = serve->text,
        .n_text_bytes = serve->n_text_bytes,
        .program = &serve->program.about,
        .frame = serve->has_frame ? &serve->frame : NULL,
    };
    if (serve->service->start != NULL) {
        int error = serve->service->start(&worker->run);
        if (error != 0)
            return fail(error, "malloc");
    }
    worker->started = true;
    return EXIT_DONE;
}

static void loop_free(struct worker *worker)
{
    /* A listener that is still open, because something failed, needs the loop to be closed. */
    serve_stop_listening(worker);
    if (worker->index == 0)
        serve_lines_close(worker->serve);
    sonde_loop_run(worker->loop);
    serve_output_flush(worker);
    if (worker->started && worker->service->release != NULL)
        worker->service->release(&worker->run);
    serve_page_worker_end(worker);
    sonde_loop_destroy(worker->loop);
    worker->loop = NULL;
}

/* After its loop has returned, or was never run; on the thread that ran it. Does nothing the second time. */
static void worker_free(struct worker *worker)
{
    if (worker->loop != NULL)
        loop_free(worker);
    serve_output_free(worker);
    free(worker->places);
    free(worker->locals);
    free(worker->errors);
    worker->places = NULL;
    worker->n_places = 0;
    worker->locals = NULL;
    worker->errors = NULL;
}

void serve_worker_check(struct worker *worker)
{
    /* What would wake the loop, or keep it running, for nothing. */
    if (worker->n_streams == 0 && !worker->busy) {
        sonde_timer_stop(&worker->sweep);
        sonde_timer_stop(&worker->drain);
    }
    if (worker->n_streams == 0 && worker->n_listeners == 0)
        serve_tell_now(worker);
    if (worker->n_listeners > 0 || worker->n_streams > 0 || worker->busy)
        return;
    if (worker->index == 0)
        serve_check(worker->serve);
}

static void *run_thread(void *user)
{
    struct worker *worker = user;
    struct serve *serve = worker->serve;

    int error = sonde_loop_run(worker->loop);
    if (error != 0)
        fail(error, "wait");
    serve_output_flush(worker);
    atomic_fetch_sub(&serve->n_running, 1);
    serve_wish(serve, error == 0 ? WISH_FINISHED : WISH_END);
    while (sem_wait(&serve->may_free) != 0)
        continue;
    worker_free(worker);
    return NULL;
}

/* Those that could be started are counted. */
static int start_threads(struct serve *serve, unsigned *ret_n_started)
{
    pthread_attr_t attributes;
    int error = 0;

    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, STACK_BYTES);
    for (unsigned i = 1; i < serve->n_workers && error == 0; i++) {
        atomic_fetch_add(&serve->n_running, 1);
        error = pthread_create(&serve->workers[i].thread, &attributes, run_thread, &serve->workers[i]);
        if (error != 0)
            atomic_fetch_sub(&serve->n_running, 1);
        else
            ++*ret_n_started;
    }
    pthread_attr_destroy(&attributes);
    return -error;
}

/* --- all together ------------------------------------------------------------------------------------------------- */

/* What the service does with its listeners beyond accepting. */
static int tell_service(struct serve *serve)
{
    int error = 0;

    if (serve->service->listening == NULL)
        return 0;
    for (unsigned w = 0; w < serve->n_workers; w++)
        for (unsigned i = 0; i < serve->workers[w].n_places && error == 0; i++)
            if (serve->workers[w].places[i].listener != NULL)
                error = serve->service->listening(&serve->workers[w].run, serve->workers[w].places[i].listener);
    return error;
}

/* Before anybody is told the address: nothing is to be missed. */
static void begin_trace(struct serve *serve)
{
    struct sonde_url urls[SERVE_URLS_MAX];
    uint16_t ports[SERVE_URLS_MAX];

    for (unsigned i = 0; i < serve->n_urls; i++) {
        struct sonde_url bound;
        struct sonde_why why;
        char text[SONDE_URL_MAX];
        urls[i] = serve->urls[i];
        ports[i] = serve->urls[i].port;
        if (serve->workers[0].places[i].listener == NULL)
            continue;
        serve_url_text(serve->workers[0].places[i].listener, 0, text);
        if (sonde_url_parse(text, &bound, &why) != 0)
            continue;
        ports[i] = bound.port;
        if (urls[i].scheme == SONDE_SCHEME_FD)
            urls[i] = bound;
    }
    attach_begin(serve->attach, urls, ports, serve->n_urls);
}

/* From listening sockets to the end of the main thread's loop. */
static enum exit_status run_all(struct serve *serve, unsigned *ret_n_started)
{
    int error = serve_signals_start(serve);
    if (error != 0)
        return fail(error, "signalfd");
    serve_page_listening(serve);
    if (serve->attach != NULL)
        begin_trace(serve);
    if (serve->n_direct > 0)
        serve_direct_tell(serve);
    serve_show_listening(&serve->workers[0]);
    if (serve_page_begin(serve) != EXIT_DONE)
        return EXIT_NETWORK;
    serve_tls_tell(serve);
    serve_program_warn(serve);
    error = tell_service(serve);
    if (error != 0)
        return fail(error, "poll");
    error = serve_lines_open(serve);
    if (error != 0)
        return fail(error, "malloc");
    error = start_threads(serve, ret_n_started);
    if (error != 0) {
        /* Those that run are to end again. */
        fail(error, "pthread_create");
        serve_wish(serve, WISH_END);
    } else {
        serve_notify_ready(serve);
    }
    error = sonde_loop_run(serve->workers[0].loop);
    if (error != 0)
        return fail(error, "wait");
    return serve->status;
}

/* Let the threads end, and free what is left. From here on nobody posts to a loop. */
static void wind_up(struct serve *serve, unsigned n_started)
{
    /* They have ended already unless the main thread's loop has failed. */
    for (unsigned i = 1; i <= n_started; i++)
        serve_order(&serve->workers[i], ORDER_STOP | ORDER_CUT);
    for (unsigned i = 1; i <= n_started; i++)
        sem_post(&serve->may_free);
    for (unsigned i = 1; i <= n_started; i++)
        pthread_join(serve->workers[i].thread, NULL);
    serve_signals_stop(serve);
    for (unsigned i = 0; i < serve->n_workers; i++)
        worker_free(&serve->workers[i]);
}

static void say_end(const struct serve *serve)
{
    int64_t patience_ns = serve->cut_ns == 0 ? serve->settings->drain_ns : serve->cut_ns - serve->stop_ns;
    uint64_t n_cut = 0;

    if (atomic_load(&serve->output_error) == ETIMEDOUT)
        say(_("nobody reads standard output: %" PRIu64 " bytes of it are lost."), serve->n_output_lost_bytes);
    for (unsigned i = 0; i < serve->n_workers; i++)
        n_cut += serve->workers[i].n_cut;
    /* After an error that was said, more words would only hide it. */
    if (n_cut == 1 && serve->status != EXIT_NETWORK)
        say(_("stopped; one connection was cut after %.10g s."), (double)(patience_ns / 1000000) / 1000);
    else if (n_cut > 0 && serve->status != EXIT_NETWORK)
        say(_("stopped; %" PRIu64 " connections were cut after %.10g s."), n_cut,
            (double)(patience_ns / 1000000) / 1000);
}

/* Of the connections themselves: --direct has no descriptors to ask the kernel about. */
static enum exit_status attach(struct serve *serve)
{
    const struct serve_settings *settings = serve->settings;
    const struct attach_settings wanted = {
        .ladder = settings->trace, .json = settings->trace_json, .page = settings->direct ? NULL : serve->page};
    int status = EXIT_DONE;

    if (wanted.ladder || wanted.json != NULL || wanted.page != NULL)
        attach_new(&wanted, &serve->attach, &status);
    return serve->attach != NULL ? EXIT_DONE : (enum exit_status)status;
}

enum exit_status serve_run(struct serve *serve)
{
    enum exit_status status = EXIT_DONE;
    unsigned n_started = 0;

    serve->signal_fd = -1;
    pthread_mutex_init(&serve->output_lock, NULL);
    sem_init(&serve->may_free, 0, 0);
    serve->workers = calloc(serve->n_workers, sizeof(*serve->workers));
    if (serve->workers == NULL)
        return fail(-ENOMEM, "malloc");
    status = serve_page_open(serve);
    if (status == EXIT_DONE)
        status = attach(serve);
    if (status != EXIT_DONE) {
        serve_page_end(serve);
        free(serve->workers);
        return status;
    }
    for (unsigned i = 0; i < serve->n_workers && status == EXIT_DONE; i++)
        status = worker_init(serve, i);
    if (status == EXIT_DONE)
        status = listen_on_all(serve);
    if (status == EXIT_DONE)
        status = run_all(serve, &n_started);
    wind_up(serve, n_started);
    attach_end(serve->attach);
    serve_page_end(serve);
    say_end(serve);
    serve_messages_say(serve);
    free(serve->workers);
    return atomic_load(&serve->output_error) != 0 ? EXIT_NETWORK : status;
}
