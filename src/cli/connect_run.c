/* SPDX-License-Identifier: MIT */
/*
 * One run of connect that carries data: attempts until a connection stands, the talk, and with --each-line the next one
 * for the next line.
 */
#include "cli/connect_internal.h"
#include "cli/connect_report.h"
#include "cli/say.h"

#include <errno.h>
#include <unistd.h>

/* After SIGINT a name look-up that hangs is not waited for. */
#define GRACE_NS (200 * NS_PER_MS)

struct run {
    const struct connect_settings *settings;
    const struct connect_target *target;
    struct sonde_loop *loop;
    struct sonde_connect_options options;
    struct talk_rules rules;
    struct talk talk;
    struct input input;
    struct view view;
    struct attempts attempts;
    struct interrupt interrupt;
    struct sonde_timer again; /* the next attempt, or the end of the grace */
    unsigned long long n_failed;
    bool interrupted, over;
    int input_status; /* EXIT_NETWORK once standard input could not be read */
    int status;
};

static void stop(struct run *run, int status)
{
    run->status = run->interrupted ? EXIT_INTERRUPTED : status != EXIT_DONE ? status : run->input_status;
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

/* The talk is over, or could not even start. */
static void after_talk(struct run *run)
{
    const struct connection_end *end = &run->talk.end;
    bool each_line = run->settings->each_line >= 0;

    attempts_end(&run->attempts);
    if (!end->opened && !run->interrupted && retry_may_help(end->error) &&
        run->n_failed < (unsigned long long)run->settings->n_retries) {
        int64_t delay_ns = retry_delay_ns(++run->n_failed);
        if (run->settings->verbose)
            say(_("%s: %s; the next attempt is in %.1f s."), run->target->name, sonde_strerror(end->error),
                (double)delay_ns / NS_PER_SECOND);
        sonde_timer_start_in(&run->again, delay_ns);
        return;
    }
    if (end->opened && run->settings->verbose)
        report_closed(end);
    int status =
        report_end(run->target->given, run->target->name, run->settings->output, &run->talk, run->settings->verbose);
    if (each_line && status == EXIT_DONE && !run->settings->once && !run->interrupted)
        next(run);
    else
        stop(run, status);
}

static void attempt(struct run *run)
{
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

    attempts_end(&run->attempts);
    run->n_failed = 0;
    if (talk->number == 1)
        view_empty_file(&run->view);
    if (run->settings->verbose || (isatty(STDIN_FILENO) && isatty(STDERR_FILENO)))
        report_connected(&talk->end);
}

static void on_done(struct talk *talk)
{
    after_talk(talk->user);
}

static void note_input_error(struct run *run, int error)
{
    if (error == 0)
        return;
    say(_("standard input cannot be read: %s."), sonde_strerror(error));
    run->input_status = EXIT_NETWORK;
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

static void on_bytes(const void *data, size_t n_bytes, void *user)
{
    struct run *run = user;
    talk_bytes(&run->talk, data, n_bytes);
}

static void on_line_end(void *user)
{
    struct run *run = user;
    talk_input_end(&run->talk);
}

static void on_input_end(int error, void *user)
{
    struct run *run = user;

    note_input_error(run, error);
    talk_input_end(&run->talk);
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
    return isatty(STDOUT_FILENO) ? VIEW_TEXT : VIEW_RAW;
}

static int open_parts(struct run *run, int file_fd)
{
    const struct connect_settings *settings = run->settings;
    const struct input_options options = {
        .crlf = settings->crlf,
        .each_line = settings->each_line >= 0,
        .line_delay_ns = settings->delay_ns,
    };

    eof_rule_parse(settings->eof, &run->rules.eof);
    run->rules.quit_at_peer_end = settings->peer_eof == PEER_EOF_QUIT && !options.each_line;
    run->rules.once = settings->once;
    run->rules.idle_ns = settings->wait_ns;
    run->options = connect_options_of(settings);

    sonde_timer_init(&run->again, run->loop, on_again, run);
    int error = view_open(&run->view, run->loop, view_kind_of(settings), file_fd, run->target->name, on_unstuck, run);
    if (error == 0)
        error = interrupt_open(&run->interrupt, run->loop, on_interrupt, run);
    if (error == 0)
        error = input_open(&run->input, run->loop, STDIN_FILENO, &options, &input_handler, run);
    talk_init(&run->talk, run->loop, &run->input, &run->view, &run->rules);
    run->talk.opened = on_opened;
    run->talk.done = on_done;
    run->talk.user = run;
    return error;
}

static void close_parts(struct run *run)
{
    sonde_timer_stop(&run->again);
    input_close(&run->input);
    view_close(&run->view);
    interrupt_close(&run->interrupt);
}

int connect_run(struct sonde_loop *loop, struct taps *taps, const struct connect_settings *settings,
                const struct connect_target *target, int file_fd)
{
    struct run run = {.settings = settings, .target = target, .loop = loop, .status = EXIT_NETWORK};

    int error = open_parts(&run, file_fd);
    if (error == 0) {
        if (settings->verbose && !settings->calls)
            attempts_watch(&run.attempts, taps, loop);
        if (settings->each_line >= 0)
            next(&run);
        else
            attempt(&run);
        /* A failure that is known at once comes before the loop runs. */
        if (!run.over)
            error = sonde_loop_run(loop);
    }
    if (error < 0)
        say(_("the connection cannot be watched: %s."), sonde_strerror(error));
    close_parts(&run);
    /* The closed callbacks reach into run, so they have to come before it goes. */
    if (run.talk.state == TALK_NONE)
        sonde_loop_run(loop);
    return run.status;
}
