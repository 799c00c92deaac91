/* SPDX-License-Identifier: MIT */
/*
 * One run of connect that carries data: attempts until a connection stands, the talk, and with --each-line the next one
 * for the next line; or, with -l, the wait for who comes.
 *
 * With --page it rests when all of that is over: what was seen can be looked at, and the connection made again from
 * there, until a signal comes. The exit status is that of the last talk.
 */
#include "cli/connect/connect_internal.h"
#include "cli/connect/report.h"
#include "cli/connect/report_messages.h"
#include "cli/connect/tls.h"
#include "cli/say.h"
#include "cli/taps.h"
#include "term/escape.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* After SIGINT nothing is waited for any longer than this. */
#define GRACE_NS (200 * NS_PER_MS)

struct run {
    const struct connect_job *job;
    const struct connect_settings *settings;
    const struct connect_target *target;
    struct sonde_loop *loop;
    struct sonde_connect_options options;
    struct talk_rules rules;
    struct talk talk;
    struct input input;
    struct edit edit;
    struct view view;
    struct interrupt interrupt;
    struct sonde_timer again; /* the next attempt, or the end of the grace */
    unsigned long long n_failed;
    int64_t began_ns; /* the first of the attempts */
    bool interrupted, over;
    bool resting;      /* --page: everything is over, and a signal is waited for, or that the page connects again */
    bool told_resting; /* how it is ended then was said */
    int input_status;  /* EXIT_NETWORK once standard input could not be read */
    int status;
};

/* Why there is no connection (any more), for the page. */
static void format_why(const struct run *run, char *ret_text, size_t size_bytes)
{
    const struct connection_end *end = &run->talk.end;
    char name[128];

    escape_short(run->target->name, strlen(run->target->name), name, sizeof name);
    if (end->opened)
        snprintf(ret_text, size_bytes, _("The connection to %s has ended: %s, after %llu bytes received, %llu sent."),
                 name, end_reason_text(end), (unsigned long long)end->n_received, (unsigned long long)end->n_sent);
    else
        snprintf(ret_text, size_bytes, _("%s cannot be connected to: %s."), name, sonde_strerror(end->error));
}

/* There is a page, and it is not over for it: not when the trouble is ours, which would be the same again. */
static bool may_rest(const struct run *run, int status)
{
    const struct connection_end *end = &run->talk.end;
    bool is_ours = end->reason == END_OUTPUT || end->error == -ENOMEM || end->error == -ENOBUFS;

    return run->job->page->stays && !run->interrupted && !is_ours && status != EXIT_MISUSE;
}

static void rest(struct run *run)
{
    char why[256];

    run->resting = true;
    format_why(run, why, sizeof why);
    connect_page_over(run->job->page, why);
    if (run->told_resting || !(run->settings->verbose || (isatty(STDIN_FILENO) && isatty(STDERR_FILENO))))
        return;
    run->told_resting = true;
    if (run->job->page->connects)
        say(_("the page stays, and can connect again; Ctrl-C ends sonde."));
    else
        say(_("the page stays; Ctrl-C ends sonde."));
}

static void stop(struct run *run, int status)
{
    if ((run->rules.framing != NULL && run->rules.framing->n_refused > 0) ||
        (run->rules.messages != NULL && run->rules.messages->n_refused > 0))
        run->input_status = EXIT_NETWORK;
    run->status = run->interrupted ? 128 + run->interrupt.number : status != EXIT_DONE ? status : run->input_status;
    if (may_rest(run, status)) {
        rest(run);
        return;
    }
    run->over = true;
    sonde_loop_stop(run->loop);
}

static void next(struct run *run)
{
    if (input_wish(&run->input, INPUT_LOOK) < 0) {
        say(_("memory is short."));
        stop(run, EXIT_NETWORK);
    }
}

/* The client has gone: is the next one waited for? Not when it brought what was waited for, and not when the trouble
 * is ours. */
static bool takes_another(const struct run *run)
{
    const struct connection_end *end = &run->talk.end;
    bool matched = run->rules.expect != NULL && run->rules.expect->matched;
    bool is_ours = end->reason == END_OUTPUT || end->error == -ENOMEM || end->error == -ENOBUFS;

    bool was_once = run->settings->once && end->n_received > 0;

    return run->settings->keep_open && !was_once && !run->interrupted && !matched && !is_ours;
}

/* Who it is in sentences: the address that was given, or who has come. */
static void name_peer(const struct run *run, char *ret_name, size_t size_bytes)
{
    if (run->settings->listen)
        end_format_peer(&run->talk.end, ret_name, size_bytes);
    else
        snprintf(ret_name, size_bytes, "%s", run->target->name);
}

/* -w is for all attempts together. */
static bool is_time_left(const struct run *run)
{
    int64_t next_ns = sonde_loop_now_ns(run->loop) + retry_delay_ns(run->n_failed + 1);

    return run->settings->wait_ns <= 0 || next_ns < run->began_ns + run->settings->wait_ns;
}

/* The talk is over, or could not even start. */
static void after_talk(struct run *run)
{
    const struct connection_end *end = &run->talk.end;
    bool each_line = run->settings->each_line >= 0;
    char name[SONDE_URL_MAX];

    if (!end->opened && run->settings->verbose && !run->settings->calls)
        attempts_tell(&run->talk.attempts);
    if (!end->opened && !run->interrupted && retry_may_help(end->error) &&
        run->n_failed < (unsigned long long)run->settings->n_retries && is_time_left(run)) {
        int64_t delay_ns = retry_delay_ns(++run->n_failed);
        if (run->settings->verbose)
            say(_("%s: %s; the next attempt is in %.1f s."), run->target->name, sonde_strerror(end->error),
                (double)delay_ns / NS_PER_SECOND);
        sonde_timer_start_in(&run->again, delay_ns);
        return;
    }
    if (end->opened && run->settings->verbose)
        report_closed(end, run->settings->listen);
    name_peer(run, name, sizeof name);
    int status = connect_proxy_say(run->target, &run->talk)
                     ? EXIT_NETWORK
                     : report_end(run->target->given, name, run->settings->output, &run->talk, run->settings->verbose);
    if (each_line && status == EXIT_DONE && !run->settings->once && !run->interrupted)
        next(run);
    else if (takes_another(run))
        listening_next(run->job->listening);
    else
        stop(run, status);
}

static void on_came(struct sonde_stream *stream, void *user)
{
    struct run *run = user;

    if (!run->settings->keep_open)
        listening_close(run->job->listening);
    if (run->talk.number > 0)
        input_restart(&run->input);
    talk_adopt(&run->talk, stream);
}

static void attempt(struct run *run)
{
    if (run->n_failed == 0)
        run->began_ns = sonde_loop_now_ns(run->loop);
    connect_page_connecting(run->job->page);
    /* A password may be among the headers, too. */
    run->job->taps->hides_sent =
        (run->target->has_proxy && run->target->proxy.user[0] != '\0') || run->target->headers.n > 0;
    if (talk_start(&run->talk, &run->target->url, &run->options) < 0)
        after_talk(run);
}

static void on_again(struct sonde_timer *timer)
{
    struct run *run = timer->user;

    if (run->interrupted)
        stop(run, EXIT_INTERRUPTED);
    else
        attempt(run);
}

static void on_interrupt(void *user)
{
    struct run *run = user;

    if (run->resting) { /* with the status that it has */
        run->over = true;
        sonde_loop_stop(run->loop);
        return;
    }
    run->interrupted = true;
    sonde_timer_start_in(&run->again, GRACE_NS);
    if (run->talk.state != TALK_NONE)
        talk_stop(&run->talk);
    else
        stop(run, EXIT_INTERRUPTED);
}

/* ---- what the parts tell */

static void on_opened(struct talk *talk)
{
    struct run *run = talk->user;

    if (run->settings->verbose && !run->settings->calls)
        attempts_tell(&talk->attempts);
    run->job->taps->hides_sent = false;
    run->n_failed = 0;
    connect_page_opened(run->job->page, talk->stream, run->settings->listen ? talk->local_name : NULL);
    if (talk->number == 1)
        view_empty_file(&run->view);
    if (run->settings->verbose || (isatty(STDIN_FILENO) && isatty(STDERR_FILENO)))
        report_connected(&talk->end, run->settings->listen);
    if (run->settings->verbose) {
        connect_tls_report(talk->stream);
        report_agreed(talk);
    }
}

static void on_closed(struct talk *talk)
{
    struct run *run = talk->user;

    connect_page_closed(run->job->page, talk->stream);
}

static void on_done(struct talk *talk)
{
    after_talk(talk->user);
}

static void note_input_error(struct run *run, int error)
{
    char shown[256];

    if (error == 0)
        return;
    run->input_status = EXIT_NETWORK;
    if (run->job->send->n_pieces == 0) {
        say(_("standard input cannot be read: %s."), sonde_strerror(error));
        return;
    }
    const char *name = send_file_name(run->job->send);
    escape_short(name, strlen(name), shown, sizeof shown);
    say(_("%s cannot be read for --send: %s."), shown, sonde_strerror(error));
}

static void on_looked(bool has_bytes, void *user)
{
    struct run *run = user;

    if (has_bytes) {
        attempt(run);
        return;
    }
    note_input_error(run, run->input.error);
    stop(run, EXIT_DONE);
}

/* --frame: each line of the input is a message. What --send says is framed already. */
static bool takes_lines(const struct run *run)
{
    return run->rules.framing != NULL && run->job->send->n_pieces == 0;
}

static void end_input(struct run *run)
{
    if (takes_lines(run)) {
        run->talk.input_ended = true; /* the last line wishes for no more of them */
        framing_lines_end(run->rules.framing);
    }
    if (run->rules.messages != NULL)
        messages_input_end(run->rules.messages);
    talk_input_end(&run->talk);
}

static void on_bytes(const void *data, size_t n_bytes, void *user)
{
    struct run *run = user;

    if (run->rules.messages != NULL)
        messages_input(run->rules.messages, data, n_bytes);
    else if (takes_lines(run))
        framing_lines(run->rules.framing, data, n_bytes);
    else
        talk_bytes(&run->talk, data, n_bytes);
}

static void on_line_end(void *user)
{
    end_input(user);
}

static void on_input_end(int error, void *user)
{
    struct run *run = user;

    note_input_error(run, error);
    end_input(run);
}

static void on_unstuck(void *user)
{
    struct run *run = user;
    talk_view_unstuck(&run->talk);
}

static const struct input_handler input_handler = {
    .looked = on_looked,
    .bytes = on_bytes,
    .line_end = on_line_end,
    .end = on_input_end,
};

/* ---- */

static enum view_kind view_kind_of(const struct connect_settings *settings)
{
    if (settings->json)
        return VIEW_JSON;
    if (settings->hex)
        return VIEW_HEX;
    if (settings->verify_echo)
        return VIEW_NOTHING; /* the verdict is what is asked for */
    return isatty(STDOUT_FILENO) ? VIEW_TEXT : VIEW_RAW;
}

/* Lines are edited on a terminal, if the ladder does not draw there. */
static bool edits(struct run *run)
{
    const struct connect_settings *settings = run->settings;

    return !settings->no_edit && isatty(STDIN_FILENO) == 1 && !(settings->trace && isatty(STDERR_FILENO)) &&
           edit_open(&run->edit, run->loop, &run->input, &run->view.out);
}

/* Where a read is a message, it is no longer than one may be. */
static size_t input_max_of(const struct messages *messages)
{
    uint64_t most = messages->settings.max_bytes;

    return messages->is_cut || most >= INPUT_CHUNK ? 0 : (size_t)most;
}

static int open_input(struct run *run)
{
    struct send *send = run->job->send;
    bool sends = send->n_pieces > 0;
    const struct input_options options = {
        .crlf = run->settings->crlf && !sends, /* what is text among them is converted already */
        .each_line = run->settings->each_line >= 0,
        .line_delay_ns = run->settings->delay_ns,
        .most_bytes = run->rules.messages != NULL ? input_max_of(run->rules.messages) : 0,
    };

    send->loop = run->loop;
    if (sends || !edits(run))
        return input_open(&run->input, run->loop, sends ? &send_source : &input_stdin, send, &options, &input_handler,
                          run);
    run->view.edit = &run->edit;
    return input_open(&run->input, run->loop, &edit_source, &run->edit, &options, &input_handler, run);
}

static int open_parts(struct run *run)
{
    const struct connect_settings *settings = run->settings;

    eof_rule_parse(settings->eof, &run->rules.eof);
    run->rules.quit_at_peer_end = settings->peer_eof == PEER_EOF_QUIT && settings->each_line < 0;
    run->rules.once = settings->once;
    run->rules.idle_ns = settings->wait_ns;
    run->rules.expect = run->job->expect;
    run->rules.within_ns = settings->within_ns;
    run->rules.verify = run->job->verify;
    run->rules.framing = run->job->framing;
    run->rules.messages = run->job->messages;
    run->rules.echo = run->job->echo;
    run->rules.half_close = settings->half_close && settings->eof == NULL;
    run->rules.wants_subprotocol = settings->subprotocol != NULL && !settings->listen;
    run->rules.tells_pings = settings->print_ping || settings->verbose;
    run->options = connect_options_of(settings, run->target);
    if (run->rules.framing != NULL)
        run->options.send_limit_bytes = framing_send_limit(run->rules.framing);
    if (run->rules.messages != NULL)
        run->options.send_limit_bytes = messages_send_limit(run->rules.messages);

    sonde_timer_init(&run->again, run->loop, on_again, run);
    int error =
        view_open(&run->view, run->loop, view_kind_of(settings), run->job->file_fd, run->target->name, on_unstuck, run);
    if (error == 0)
        error = interrupt_open(&run->interrupt, run->loop, run->job->page->stays, on_interrupt, run);
    if (error == 0 && run->rules.expect != NULL)
        run->rules.expect->patience_fd = run->interrupt.fd;
    if (error == 0)
        error = open_input(run);
    talk_init(&run->talk, run->loop, &run->input, &run->view, &run->rules);
    run->talk.opened = on_opened;
    run->talk.closed = on_closed;
    run->talk.done = on_done;
    run->talk.user = run;
    /* A UNIX socket's clients have no local address, and what is behind a proxy may be known by its name alone, as is
     * what gets UNIX datagrams. */
    if (settings->listen)
        run->talk.local_name = run->target->name;
    else if (run->target->has_proxy || run->target->transport == TRANSPORT_DATAGRAMS)
        run->talk.peer_name = run->target->name;
    return error;
}

static void close_parts(struct run *run)
{
    sonde_timer_stop(&run->again);
    edit_close(&run->edit);
    input_close(&run->input);
    view_close(&run->view);
    interrupt_close(&run->interrupt);
    if (run->job->listening != NULL)
        listening_close(run->job->listening);
}

/* Say where, and wait for who comes. */
static void await_client(struct run *run)
{
    struct listening *listening = run->job->listening;
    char url[SONDE_URL_MAX];

    for (unsigned i = 0; i < listening->n_urls; i++) {
        sonde_url_format(&listening->urls[i], url, sizeof url);
        report_listening(url);
        view_listening(&run->view, url);
    }
    listening->came = on_came;
    listening->user = run;
    listening_next(listening);
}

static void begin(struct run *run)
{
    if (run->job->listening != NULL)
        await_client(run);
    else if (run->settings->each_line >= 0)
        next(run);
    else
        attempt(run);
}

/* Times that could not be kept: it was not sent as often as was asked for. */
static void report_missed(const struct run *run)
{
    uint64_t n_missed = run->job->send->schedule.n_missed;

    if (n_missed > 0 && run->settings->verbose)
        say(ngettext("--every: at %llu time nothing could be sent yet.",
                     "--every: at %llu times nothing could be sent yet.", n_missed),
            (unsigned long long)n_missed);
}

/* ---- the page */

static void on_kicked(struct sonde_stream *stream, void *user)
{
    struct run *run = user;

    if (stream == run->talk.stream)
        talk_kicked(&run->talk);
}

static bool on_half_close(struct sonde_stream *stream, void *user)
{
    struct run *run = user;

    return stream == run->talk.stream && talk_half_close(&run->talk);
}

static int on_connect(void *user)
{
    struct run *run = user;
    bool stands = run->talk.state != TALK_NONE && run->talk.state != TALK_CONNECTING;

    if (run->over || run->interrupted)
        return -ENOENT;
    if (!run->resting)
        return stands ? -EISCONN : -EALREADY;
    run->resting = false;
    run->n_failed = 0;
    if (run->talk.number > 0)
        input_restart_beside(&run->input);
    attempt(run);
    return 0;
}

static bool begin_page(struct run *run)
{
    struct connect_page *page = run->job->page;
    const struct listening *listening = run->job->listening;
    char url[SONDE_URL_MAX];

    page->kicked = on_kicked;
    page->half_close = on_half_close;
    page->connect = on_connect;
    page->user = run;
    for (unsigned i = 0; listening != NULL && i < listening->n_urls; i++) {
        sonde_url_format(&listening->urls[i], url, sizeof url);
        connect_page_listening(page, url);
    }
    if (!connect_page_begin(page, run->loop, &run->status))
        return false;
    if (connect_page_url(page) != NULL)
        view_page(&run->view, connect_page_url(page));
    return true;
}

/* ---- */

int connect_run(const struct connect_job *job)
{
    struct sonde_loop *loop = job->loop;
    struct run run = {
        .job = job,
        .settings = job->settings,
        .target = job->target,
        .loop = loop,
        .status = EXIT_NETWORK,
    };

    int error = open_parts(&run);
    if (error == 0 && begin_page(&run)) {
        begin(&run);
        /* A failure that is known at once comes before the loop runs. */
        if (!run.over)
            error = sonde_loop_run(loop);
    }
    report_missed(&run);
    if (error < 0)
        say(_("the connection cannot be watched: %s."), sonde_strerror(error));
    close_parts(&run);
    /* The closed callbacks reach into run, so they have to come before it goes. */
    if (run.talk.state == TALK_NONE)
        sonde_loop_run(loop);
    connect_page_remove(job->page);
    return run.status;
}
