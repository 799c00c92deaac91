/* SPDX-License-Identifier: MIT */
/*
 * The operator's lines, for services that take them, and what such a service shows the operator.
 *
 * At a terminal the line is edited (typing.h), and what others say goes above it. A terminal on which that cannot be
 * (TERM=dumb) gives whole lines by itself. A pipe or a file is read only while the service wants lines: whoever writes
 * into the pipe waits as long. The descriptor is the user's: it is read when it has something, and its flags are never
 * changed.
 */
#include "cli/serve/serve_internal.h"
#include "cli/typing.h"
#include "term/style.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <sonde/poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LINE_BYTES = 128 * 1024 };

struct lines {
    struct serve *serve;
    struct worker *worker;
    struct typing *typing;   /* NULL: not edited */
    struct sonde_poll *poll; /* NULL: edited, or closed */
    struct sonde_timer give; /* something that was read can be given */
    bool at_terminal;        /* heard always */
    bool wanted, ended, told, closed, cut_said;
    size_t begin, end; /* of what was read and not given yet */
    char text[LINE_BYTES];
};

static void give(struct lines *lines, const char *line, size_t n_bytes)
{
    lines->worker->service->line(&lines->worker->run, line, n_bytes);
}

static void tell_end(struct lines *lines)
{
    if (lines->told)
        return;
    lines->told = true;
    lines->worker->service->lines_end(&lines->worker->run);
}

/* --- from a pipe, a file, or a terminal that gives whole lines ------------------------------------------------------
 */

static bool may_give(const struct lines *lines)
{
    return !lines->closed && !lines->told && (lines->wanted || lines->at_terminal);
}

static void read_some(struct lines *lines)
{
    if (lines->begin > 0) {
        memmove(lines->text, lines->text + lines->begin, lines->end - lines->begin);
        lines->end -= lines->begin;
        lines->begin = 0;
    }
    /* Another process may have been faster. */
    if (poll(&(struct pollfd){.fd = STDIN_FILENO, .events = POLLIN}, 1, 0) <= 0)
        return;
    ssize_t n = read(STDIN_FILENO, lines->text + lines->end, LINE_BYTES - lines->end);
    if (n > 0) {
        lines->end += (size_t)n;
    } else if (n == 0) {
        lines->ended = true;
    } else if (errno != EINTR && errno != EAGAIN) {
        lines->ended = true;
        /* EIO: a terminal that was hung up. */
        if (errno != EIO || !isatty(STDIN_FILENO))
            say(_("standard input cannot be read: %s."), sonde_strerror(-errno));
    }
}

/* One line of what was read, as far as there is one. */
static bool give_one(struct lines *lines)
{
    const char *line = lines->text + lines->begin;
    size_t n_bytes = lines->end - lines->begin;
    const char *newline = memchr(line, '\n', n_bytes);

    if (newline != NULL) {
        n_bytes = (size_t)(newline - line);
        lines->begin += n_bytes + 1;
    } else if (n_bytes == LINE_BYTES || (lines->ended && n_bytes > 0)) {
        if (n_bytes == LINE_BYTES && !lines->cut_said)
            say(_("a line of standard input is longer than %d bytes: it is said as several."), LINE_BYTES);
        lines->cut_said = lines->cut_said || n_bytes == LINE_BYTES;
        lines->begin = lines->end;
    } else {
        return false;
    }
    give(lines, line, n_bytes);
    return true;
}

static void go_on(struct lines *lines)
{
    while (may_give(lines) && give_one(lines))
        continue;
    if (!may_give(lines))
        return;
    if (lines->ended)
        tell_end(lines);
    else if (lines->poll != NULL && sonde_poll_start(lines->poll, SONDE_READABLE) != 0)
        sonde_timer_start_in(&lines->give, 0);
}

static void give_now(struct sonde_timer *timer)
{
    go_on(timer->user);
}

static bool is_pipe(void)
{
    struct stat status;

    return fstat(STDIN_FILENO, &status) == 0 && S_ISFIFO(status.st_mode);
}

/* While no lines are wanted, a pipe is waited for to become writable, which its reading end never does, so that it is
 * heard of when the writer has gone. If there is nothing left in it, that was the end. */
static void look_for_end(struct lines *lines)
{
    struct pollfd pollfd = {.fd = STDIN_FILENO, .events = POLLIN};

    if (lines->closed || lines->told || lines->begin < lines->end)
        return;
    if (poll(&pollfd, 1, 0) == 1 && pollfd.revents == POLLHUP)
        tell_end(lines);
}

static void on_ready(struct sonde_poll *poll, unsigned events, void *user)
{
    struct lines *lines = user;

    (void)poll, (void)events;
    if (!may_give(lines)) {
        look_for_end(lines);
        return;
    }
    read_some(lines);
    go_on(lines);
}

static void on_closed(void *user)
{
    free(user);
}

static const struct sonde_poll_handler poll_handler = {.ready = on_ready, .closed = on_closed};

/* --- edited ------------------------------------------------------------------------------------------------------- */

static void on_line(const char *text, size_t n_bytes, void *user)
{
    give(user, text, n_bytes);
}

static void on_end(void *user)
{
    tell_end(user);
}

static const struct typing_handler typing_handler = {.line = on_line, .end = on_end};

/* --- its life ----------------------------------------------------------------------------------------------------- */

static int open_input(struct lines *lines)
{
    const struct serve_settings *settings = lines->serve->settings;
    /* The ladder draws on standard error by itself. */
    bool edits = lines->at_terminal && !(settings->trace && isatty(STDERR_FILENO));

    if (edits && typing_open(lines->worker->loop, false, &typing_handler, lines, &lines->typing) == 0) {
        typing_set_text(lines->typing, "> ");
        return 0;
    }
    int error = sonde_poll_create(lines->worker->loop, STDIN_FILENO, &poll_handler, lines, &lines->poll);
    if (error == 0 && lines->at_terminal)
        error = sonde_poll_start(lines->poll, SONDE_READABLE);
    return error;
}

int serve_lines_open(struct serve *serve)
{
    struct lines *lines;

    if (!(serve->service->flags & SERVICE_TAKES_LINES))
        return 0;
    lines = calloc(1, sizeof(*lines));
    if (lines == NULL)
        return -ENOMEM;
    lines->serve = serve;
    lines->worker = &serve->workers[0];
    lines->at_terminal = isatty(STDIN_FILENO) == 1;
    sonde_timer_init(&lines->give, lines->worker->loop, give_now, lines);
    serve->lines = lines;
    int error = open_input(lines);
    if (error != 0)
        serve_lines_close(serve);
    return error;
}

void serve_lines_close(struct serve *serve)
{
    struct lines *lines = serve->lines;

    if (lines == NULL)
        return;
    serve->lines = NULL;
    lines->closed = true;
    sonde_timer_stop(&lines->give);
    /* What waits to be written goes above the line while there still is one. */
    if (lines->typing != NULL) {
        serve_output_flush(lines->worker);
        typing_close(lines->typing);
    }
    if (lines->poll != NULL)
        sonde_poll_close(lines->poll); /* frees it */
    else
        free(lines);
}

/* --- what the service asks and tells ------------------------------------------------------------------------------ */

void serve_lines_wanted(struct service_run *run, bool wanted)
{
    struct worker *worker = run->host_data;
    struct lines *lines = worker->serve->lines;

    if (lines == NULL)
        return;
    lines->wanted = wanted;
    if (lines->poll == NULL || lines->at_terminal || lines->told)
        return;
    if (wanted)
        sonde_timer_start_in(&lines->give, 0);
    else
        sonde_poll_start(lines->poll, is_pipe() ? SONDE_WRITABLE : 0);
}

void serve_lines_said(struct service_run *run, struct sonde_stream *stream, const void *data, size_t n_bytes)
{
    serve_show_said(run->host_data, stream, data, n_bytes);
}

void serve_lines_spoken(struct service_run *run, struct sonde_stream *stream, unsigned n, const void *data,
                        size_t n_bytes)
{
    serve_show_spoken(run->host_data, stream, n, data, n_bytes);
}

/* On standard error, where the operator is, whatever becomes of standard output. */
void serve_lines_answer(struct service_run *run, const char *text)
{
    size_t n = strlen(text);

    /* What has happened before is told before. */
    serve_output_flush(run->host_data);
    typing_make_room(STDERR_FILENO);
    while (n > 0) {
        ssize_t n_written = write(STDERR_FILENO, text, n);
        if (n_written < 0 && errno != EINTR)
            return;
        text += n_written > 0 ? n_written : 0;
        n -= n_written > 0 ? (size_t)n_written : 0;
    }
}

void serve_lines_name(struct service_run *run, struct sonde_stream *stream, char *ret_text, size_t size_bytes)
{
    struct sonde_address address;

    (void)run;
    sonde_stream_peer(stream, &address);
    sonde_address_format(&address, ret_text, size_bytes);
}

void serve_lines_quit(struct service_run *run)
{
    struct worker *worker = run->host_data;

    serve_wish(worker->serve, WISH_QUIT);
}
