/* SPDX-License-Identifier: MIT */
/*
 * What programs write to their standard error, on ours: line by line, made fit for a terminal, with the number of the
 * connection in front.
 *
 * Somebody may not read our standard error (a full pipe, a terminal that was stopped), and nobody else is to wait for
 * that: what is not taken at once is kept, at most ERRORS_BYTES, and offered again. When there is no room for another
 * line the service is told so, and its programs have to wait. At the end of the program it is given up when nothing was
 * taken for a second.
 */
#include "cli/serve/serve_internal.h"
#include "term/escape.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { ERRORS_BYTES = 64 * 1024, LABEL_BYTES = 32 };

#define AGAIN_NS (INT64_C(20) * 1000 * 1000)
#define PATIENCE_NS (INT64_C(1000) * 1000 * 1000)

struct error_lines {
    struct worker *worker;
    struct sonde_timer again;
    bool refused; /* the service waits for room */
    int64_t taken_ns;
    size_t n, offset;
    char text[ERRORS_BYTES];
};

/* As much as is taken without waiting: a pipe that is ready takes PIPE_BUF bytes. */
static void write_some(struct error_lines *lines)
{
    struct pollfd wait = {.fd = STDERR_FILENO, .events = POLLOUT};

    while (lines->offset < lines->n) {
        size_t n = lines->n - lines->offset;
        if (poll(&wait, 1, 0) != 1)
            return;
        ssize_t written = write(STDERR_FILENO, lines->text + lines->offset, n < PIPE_BUF ? n : PIPE_BUF);
        if (written < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        lines->taken_ns = sonde_loop_now_ns(lines->worker->loop);
        /* A reader that has gone has no use for the rest. */
        lines->offset = written > 0 ? lines->offset + (size_t)written : lines->n;
    }
    lines->n = lines->offset = 0;
}

static void try_again(struct sonde_timer *timer)
{
    struct error_lines *lines = timer->user;
    struct worker *worker = lines->worker;

    bool ending =
        atomic_load(&worker->serve->ending) || (worker->n_listeners == 0 && worker->n_streams == 0 && !worker->busy);

    write_some(lines);
    if (lines->n > 0 && ending && sonde_loop_now_ns(worker->loop) - lines->taken_ns > PATIENCE_NS)
        lines->n = lines->offset = 0;
    if (lines->n > 0)
        sonde_timer_start_in(timer, AGAIN_NS);
    if (lines->refused && lines->n <= ERRORS_BYTES / 2) {
        lines->refused = false;
        worker->service->error_room(&worker->run);
    }
}

static void add_line(struct error_lines *lines, uint64_t number, const unsigned char *line, size_t n_bytes, bool cut)
{
    struct escape escape;

    lines->n += (size_t)sprintf(lines->text + lines->n, "[%" PRIu64 "] ", number);
    escape_init(&escape, ESCAPE_LINE);
    while (n_bytes > 0) {
        size_t taken;
        lines->n += escape_bytes(&escape, line, n_bytes, lines->text + lines->n, sizeof lines->text - lines->n, &taken);
        line += taken;
        n_bytes -= taken;
    }
    lines->n += escape_finish(&escape, lines->text + lines->n, sizeof lines->text - lines->n);
    lines->n += (size_t)sprintf(lines->text + lines->n, "%s\n", cut ? "…" : "");
}

static struct error_lines *lines_of(struct worker *worker)
{
    if (worker->errors == NULL) {
        worker->errors = malloc(sizeof *worker->errors);
        if (worker->errors == NULL)
            return NULL;
        worker->errors->worker = worker;
        worker->errors->refused = false;
        worker->errors->n = worker->errors->offset = 0;
        sonde_timer_init(&worker->errors->again, worker->loop, try_again, worker->errors);
    }
    return worker->errors;
}

bool serve_error_line(struct service_run *run, uint64_t id, const void *line, size_t n_bytes, bool cut)
{
    struct worker *worker = run->host_data;
    struct error_lines *lines = lines_of(worker);
    size_t room = LABEL_BYTES + n_bytes * ESCAPE_MAX_PER_BYTE + 64;

    if (lines == NULL)
        return true; /* without memory there are no words */
    if (lines->n == 0)
        lines->taken_ns = sonde_loop_now_ns(worker->loop);
    if (room > sizeof lines->text - lines->n && lines->offset > 0) {
        memmove(lines->text, lines->text + lines->offset, lines->n - lines->offset);
        lines->n -= lines->offset;
        lines->offset = 0;
    }
    if (room > sizeof lines->text - lines->n) {
        lines->refused = true;
        return false;
    }
    add_line(lines, serve_number_of(worker, id), line, n_bytes, cut);
    if (!sonde_timer_is_running(&lines->again)) {
        write_some(lines);
        if (lines->n > 0)
            sonde_timer_start_in(&lines->again, AGAIN_NS);
    }
    return true;
}
