/* SPDX-License-Identifier: MIT */
/*
 * Standard error, line by line. It is read straight into the child's line, so nothing grows: while the host has no room
 * the pipe is not read, and a program that goes on complaining has to wait, as it would on a terminal that was stopped.
 */
#include "service/exec_internal.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

/* Hand the first n bytes of the line on. */
static bool offer(struct child *child, size_t n_bytes, size_t n_end, bool cut)
{
    const struct service_run *run = child->exec->run;

    if (!run->host->error_line(child->exec->run, child->id, child->line, n_bytes, cut)) {
        child->errors_wait = true;
        return false;
    }
    child->n_line -= n_bytes + n_end;
    memmove(child->line, child->line + n_bytes + n_end, child->n_line);
    child->line_was_cut = cut;
    return true;
}

/* All whole lines; and what is behind them if it fills the room, or if nothing will follow. False: they have to wait.
 */
static bool offer_lines(struct child *child, bool last)
{
    const char *end;

    while ((end = memchr(child->line, '\n', child->n_line)) != NULL) {
        size_t n = (size_t)(end - child->line);
        if (n == 0 && child->line_was_cut) {
            /* The end of a line of which all was shown. */
            memmove(child->line, child->line + 1, --child->n_line);
            child->line_was_cut = false;
        } else if (!offer(child, n, 1, false)) {
            return false;
        }
    }
    if (child->n_line == sizeof child->line)
        return offer(child, child->n_line, 0, true);
    return !last || child->n_line == 0 || offer(child, child->n_line, 0, false);
}

/* Read once. False: there is nothing more for now, or at all. */
static bool take(struct child *child)
{
    ssize_t n = read(child->err.fd, child->line + child->n_line, sizeof child->line - child->n_line);

    if (n > 0) {
        child->n_line += (size_t)n;
        return true;
    }
    if (n < 0 && errno == EINTR)
        return true;
    /* A program that has ended writes no more: what others of its making may still write is taken while the client is
     * there. */
    bool ended = n == 0 || errno != EAGAIN;
    if (ended || child->outcome.fate != SERVICE_RUNNING)
        child->errors_over = true;
    if (ended)
        exec_channel_close(&child->err);
    return false;
}

static void take_all(struct child *child, unsigned n_reads)
{
    bool more = true;

    while (more && n_reads-- > 0) {
        more = take(child);
        bool last = !exec_channel_is_open(&child->err) || (child->errors_over && child->stream == NULL);
        if (!offer_lines(child, last)) {
            child->errors_over = false;
            exec_channel_want(&child->err, SONDE_READABLE, false);
            return;
        }
    }
    exec_channel_want(&child->err, SONDE_READABLE, true);
}

void exec_error_ready(struct child *child)
{
    if (!child->errors_wait && exec_channel_is_open(&child->err))
        take_all(child, 1);
    exec_step(child);
}

void exec_error_go_on(struct child *child)
{
    enum { PIPE_READS = 1024 }; /* more than a pipe holds */

    if (child->errors_wait) {
        child->errors_wait = false;
        if (!offer_lines(child, !exec_channel_is_open(&child->err)))
            return;
    }
    if (!exec_channel_is_open(&child->err))
        child->errors_over = true;
    else
        take_all(child, child->outcome.fate == SERVICE_RUNNING ? 1 : PIPE_READS);
    exec_step(child);
}
