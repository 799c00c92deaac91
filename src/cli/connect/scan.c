/* SPDX-License-Identifier: MIT */
/*
 * -z: does it answer? Connects, sends nothing, closes. Several ports are tried at a time; what is told comes in the
 * order of the ports.
 *
 * A port that does not answer is a result here, not a failure of ours: without -v nothing is said about it. What keeps
 * us from asking at all, a name that does not resolve, is said once and ends the scan.
 *
 * On UDP nothing accepts. An empty datagram asks, twice, as one may get lost: an answer of any kind means open, ICMP's
 * "port unreachable" closed; silence means nothing at all, and is told as that.
 */
#include "cli/connect/connect_internal.h"
#include "cli/say.h"
#include "json/json.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define AT_A_TIME 64u
#define FILES_KEPT 16u /* descriptors that are not for connections */
#define FILES_EACH 4u  /* for a connection: addresses side by side, or a name server */

#define DATAGRAM_WAIT_NS (2 * NS_PER_SECOND) /* for an answer, without -w */
#define GOODBYE_NS NS_PER_SECOND             /* to close what is spoken on top in order */
#define NO_ANSWER (-ENODATA)                 /* to a datagram: the port's error that says so */

static const struct attempts nothing_tried = {.n = 0};

struct port {
    struct scan *scan;
    struct sonde_stream *stream; /* NULL: not asked, or closed */
    struct sonde_timer answer;   /* datagrams: the second question, and the end of the wait */
    unsigned n_asked;
    int error; /* 0: it accepted */
    bool known;
    char *tried; /* the addresses, each with its failure, when there were several; else NULL */
    int64_t took_ns;
};

struct scan {
    struct sonde_loop *loop;
    const struct connect_settings *settings;
    const struct connect_target *target;
    struct sonde_connect_options options;
    struct interrupt interrupt;
    struct port *ports;
    unsigned n_ports, n_asked, n_told, n_running, at_a_time;
    bool stopping;
    int status;
};

static void url_of(const struct scan *scan, unsigned index, struct sonde_url *ret_url)
{
    *ret_url = scan->target->url;
    if (scan->target->ports.first != 0)
        ret_url->port = (uint16_t)(scan->target->ports.first + index);
}

/* Refused is an answer too; silence is not. */
static const char *word_for(int error)
{
    switch (-error) {
    case 0:
        return "open";
    case ECONNREFUSED:
        return "closed";
    case ETIMEDOUT:
        return "silent";
    case -NO_ANSWER:
        return "unknown";
    default:
        return "failed";
    }
}

static void tell_json(const char *name, const struct port *port)
{
    char line[JSON_ROOM(SONDE_URL_MAX)];
    struct timespec real, mono;
    struct json json;

    clock_gettime(CLOCK_REALTIME, &real);
    clock_gettime(CLOCK_MONOTONIC, &mono);
    json_begin(&json, line, sizeof line);
    json_string(&json, "event", "port");
    json_time(&json, "time", real.tv_sec * NS_PER_SECOND + real.tv_nsec);
    json_number(&json, "mono_ns", mono.tv_sec * NS_PER_SECOND + mono.tv_nsec);
    json_string(&json, "url", name);
    json_boolean(&json, "open", port->error == 0);
    json_string(&json, "state", port->error == NO_ANSWER ? "no_answer" : word_for(port->error));
    json_string(&json, "error", port->error == 0 || port->error == NO_ANSWER ? NULL : sonde_error_name(port->error));
    json_number(&json, "duration_ns", port->took_ns);
    size_t n_bytes = json_end(&json);
    if (write(STDOUT_FILENO, line, n_bytes) < 0)
        return; /* nobody reads it; the exit status still tells */
}

static void tell(const struct scan *scan, unsigned index)
{
    const struct port *port = &scan->ports[index];
    char name[SONDE_URL_MAX];
    struct sonde_url url;

    url_of(scan, index, &url);
    sonde_url_format(&url, name, sizeof name);
    if (scan->settings->json)
        tell_json(name, port);
    if (!scan->settings->verbose)
        return;
    const char *how = port->tried != NULL        ? port->tried
                      : port->error == NO_ANSWER ? "no answer: open, filtered or lost"
                      : port->error != 0         ? sonde_strerror(port->error)
                      : port->n_asked > 0        ? "answered"
                                                 : "accepted";
    dprintf(STDERR_FILENO, "%s %s %s, %.6f s\n", word_for(port->error), name, how,
            (double)port->took_ns / NS_PER_SECOND);
}

/* TLS and WebSocket say good-bye, or the other side would call it a truncation. */
static void leave(struct port *port)
{
    const struct scan *scan = port->scan;

    if (sonde_stream_layers(port->stream) == 0 || !port->known || scan->status == EXIT_INTERRUPTED)
        sonde_stream_close(port->stream);
    else
        sonde_stream_finish(port->stream, sonde_loop_now_ns(scan->loop) + GOODBYE_NS);
}

static void stop(struct scan *scan)
{
    scan->stopping = true;
    for (unsigned i = 0; i < scan->n_asked; i++) {
        sonde_timer_stop(&scan->ports[i].answer);
        if (scan->ports[i].stream != NULL)
            leave(&scan->ports[i]);
    }
    sonde_loop_stop(scan->loop);
}

/* Does the failure say something about us, and not about the port? */
static bool is_ours(const struct sonde_why *why)
{
    if (strcmp(why->call, "connect") != 0)
        return true;
    switch (-why->code) {
    case EMFILE:
    case ENFILE:
    case ENOMEM:
    case EADDRNOTAVAIL:
    case EACCES:
    case EPERM:
    case EINVAL:
        return true;
    default:
        return false;
    }
}

static void found(struct port *port, int error, const struct sonde_why *why, const struct attempts *attempts)
{
    struct scan *scan = port->scan;

    if (port->known || scan->stopping)
        return;
    port->known = true;
    port->error = error;
    port->took_ns = port->stream != NULL ? sonde_loop_now_ns(scan->loop) - sonde_stream_since_ns(port->stream) : 0;
    if (error < 0)
        scan->status = EXIT_NETWORK;
    if (why != NULL && is_ours(why) && !attempts_differ(attempts)) {
        if (!attempts_say(attempts, scan->target->given, why))
            scan->status = (int)say_why(scan->target->given, why);
        stop(scan);
        return;
    }
    while (scan->n_told < scan->n_ports && scan->ports[scan->n_told].known) {
        tell(scan, scan->n_told);
        free(scan->ports[scan->n_told].tried);
        scan->ports[scan->n_told++].tried = NULL;
    }
    if (scan->n_told == scan->n_ports)
        stop(scan);
}

static void ask_more(struct scan *scan);

/* ---- datagrams */

static int64_t answer_wait_ns(const struct scan *scan)
{
    return scan->settings->wait_ns > 0 ? scan->settings->wait_ns : DATAGRAM_WAIT_NS;
}

static bool is_datagrams(const struct port *port)
{
    return port->scan->target->transport == TRANSPORT_DATAGRAMS;
}

static void ask_datagram(struct port *port)
{
    int error = sonde_stream_write(port->stream, "", 0);

    if (error < 0) {
        found(port, error, NULL, &nothing_tried);
        sonde_stream_close(port->stream);
        return;
    }
    port->n_asked++;
    sonde_timer_start_in(&port->answer, answer_wait_ns(port->scan) / 2);
}

static void on_no_answer(struct sonde_timer *timer)
{
    struct port *port = timer->user;

    if (port->stream == NULL || port->known)
        return;
    if (port->n_asked < 2) {
        ask_datagram(port);
        return;
    }
    found(port, NO_ANSWER, NULL, &nothing_tried);
    sonde_stream_close(port->stream);
}

/* ICMP. What is said of the way, and not of the port, may be said of one datagram alone. */
static void on_notice(struct sonde_stream *stream, const struct sonde_notice *notice)
{
    struct port *port = sonde_stream_owner(stream);
    int error = notice->code < 0 ? notice->code : -notice->code;

    if (notice->kind != SONDE_NOTICE_ICMP || port->known)
        return;
    found(port, error, NULL, &nothing_tried);
    sonde_stream_close(stream);
}

/* ---- */

static void on_opened(struct sonde_stream *stream)
{
    if (is_datagrams(sonde_stream_owner(stream))) {
        ask_datagram(sonde_stream_owner(stream));
        return;
    }
    found(sonde_stream_owner(stream), 0, NULL, &nothing_tried);
    leave(sonde_stream_owner(stream));
}

static void on_data(struct sonde_stream *stream, const struct sonde_lent *bytes)
{
    struct port *port = sonde_stream_owner(stream);

    (void)bytes; /* a greeting that nobody asked for */
    if (!is_datagrams(port) || port->known)
        return;
    found(port, 0, NULL, &nothing_tried);
    sonde_stream_close(stream);
}

static void on_end(struct sonde_stream *stream)
{
    (void)stream;
}

static void on_failed(struct sonde_stream *stream, int error)
{
    struct port *port = sonde_stream_owner(stream);
    char tried[ATTEMPTS_TEXT];
    struct attempts attempts;
    struct sonde_why why;

    sonde_stream_why(stream, &why);
    attempts_take(&attempts, stream);
    if (!port->known && attempts_format(&attempts, tried, sizeof tried))
        port->tried = strdup(tried); /* without it the last failure is told */
    found(port, error, &why, &attempts);
    sonde_stream_close(stream);
}

static void on_closed(struct sonde_stream *stream)
{
    struct port *port = sonde_stream_owner(stream);

    port->stream = NULL;
    sonde_timer_stop(&port->answer);
    port->scan->n_running--;
    ask_more(port->scan);
}

static const struct sonde_stream_handler handler = {
    .opened = on_opened,
    .data = on_data,
    .end = on_end,
    .failed = on_failed,
    .closed = on_closed,
    .notice = on_notice,
};

static void ask_more(struct scan *scan)
{
    while (!scan->stopping && scan->n_asked < scan->n_ports && scan->n_running < scan->at_a_time) {
        struct port *port = &scan->ports[scan->n_asked];
        struct sonde_url url;
        struct sonde_why why;

        url_of(scan, scan->n_asked++, &url);
        port->scan = scan;
        sonde_timer_init(&port->answer, scan->loop, on_no_answer, port);
        int error = sonde_connect(scan->loop, &url, &scan->options, &handler, port, &port->stream, &why);
        if (error == 0)
            scan->n_running++;
        else
            found(port, error, &why, &nothing_tried);
    }
}

static void on_interrupt(void *user)
{
    struct scan *scan = user;

    scan->status = EXIT_INTERRUPTED;
    stop(scan);
}

static unsigned at_a_time(const struct scan *scan)
{
    struct rlimit limit;

    /* One local port cannot be bound twice at the same time. */
    if (scan->target->url.n_set & 1u << SONDE_OPT_BIND)
        return 1;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur > AT_A_TIME * FILES_EACH + FILES_KEPT)
        return AT_A_TIME;
    return limit.rlim_cur > FILES_KEPT + FILES_EACH ? ((unsigned)limit.rlim_cur - FILES_KEPT) / FILES_EACH : 1;
}

static void free_ports(struct scan *scan)
{
    for (unsigned i = 0; scan->ports != NULL && i < scan->n_ports; i++)
        free(scan->ports[i].tried);
    free(scan->ports);
}

int connect_scan(struct sonde_loop *loop, const struct connect_settings *settings, const struct connect_target *target)
{
    struct scan scan = {.loop = loop, .settings = settings, .target = target, .status = EXIT_DONE};

    scan.options = connect_options_of(settings, target);
    scan.n_ports = (unsigned)(target->ports.last - target->ports.first) + 1;
    scan.at_a_time = at_a_time(&scan);
    scan.ports = calloc(scan.n_ports, sizeof *scan.ports);
    int error = scan.ports == NULL ? -ENOMEM : interrupt_open(&scan.interrupt, loop, false, on_interrupt, &scan);
    if (error == 0) {
        ask_more(&scan);
        if (!scan.stopping)
            error = sonde_loop_run(loop);
    }
    if (error < 0) {
        say(_("the ports cannot be asked: %s."), sonde_strerror(error));
        scan.status = EXIT_NETWORK;
    }
    interrupt_close(&scan.interrupt);
    if (scan.status != EXIT_INTERRUPTED)
        sonde_loop_run(loop);
    if (scan.n_running == 0)
        free_ports(&scan);
    return scan.status;
}
