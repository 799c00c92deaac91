/* SPDX-License-Identifier: MIT */
/*
 * From the program to the client. When ENOUGH_QUEUED bytes wait for the client to read, the program's output is not
 * read on until they have gone; then its pipe fills, and the program has to wait.
 *
 * The end of the output is told to the client as our half-close, behind all that is queued. The connection is closed
 * when the program has ended as well, and not before the client's kernel has acknowledged everything: with a client
 * that reads slowly, the last output of a program that is long gone is still under way. That wait has no deadline,
 * since nothing tells a slow client from one that does not read (--idle-timeout is for those); only then the client has
 * SERVICE_FINISH_NS to end its side.
 */
#include "service/exec_internal.h"

#include <errno.h>
#include <linux/sockios.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { ENOUGH_QUEUED = 64 * 1024 };

static const int64_t first_pause_ns = 1000 * 1000, longest_pause_ns = 500 * 1000 * 1000;

static void end(struct child *child)
{
    child->output_over = true;
    exec_messages_end(child);
    if (child->sink == &child->out) {
        /* The terminal is nobody's for now, but closing it would hang up on a program that is about to end. */
        exec_input_give_up(child);
        exec_channel_want(&child->out, SONDE_READABLE, false);
    } else {
        exec_channel_close(&child->out);
    }
    if (child->stream != NULL && !child->shut)
        sonde_stream_shutdown(child->stream);
    child->shut = true;
    exec_step(child);
}

void exec_output_lost(struct child *child)
{
    exec_channel_want(&child->out, SONDE_READABLE, false);
    exec_input_give_up(child);
}

/* What is read now can be given to the client, or will never be. */
static void take(struct child *child)
{
    struct exec *exec = child->exec;
    ssize_t n = read(child->out.fd, exec->buffer, sizeof exec->buffer);

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        end(child); /* EIO is a terminal's end */
        return;
    }
    size_t n_unsent = (size_t)n;
    int error = sonde_stream_has_messages(child->stream) ? exec_messages_send(child, exec->buffer, (size_t)n, &n_unsent)
                                                         : sonde_stream_write(child->stream, exec->buffer, (size_t)n);
    if (error != 0) {
        exec->run->host->unanswered(exec->run, child->stream, n_unsent);
        if (error == -ENOMEM || error == -ENOBUFS)
            exec_break(child, error);
        else
            exec_output_lost(child);
        return;
    }
    if (sonde_stream_queued_bytes(child->stream) > ENOUGH_QUEUED)
        exec_channel_want(&child->out, SONDE_READABLE, false);
}

void exec_output_ready(struct child *child)
{
    if (!child->output_over && child->stream != NULL && !child->gone)
        take(child);
}

void exec_output_go_on(struct child *child)
{
    if (child->stream == NULL || child->gone || child->output_over)
        return;
    if (sonde_stream_queued_bytes(child->stream) <= ENOUGH_QUEUED)
        exec_channel_want(&child->out, SONDE_READABLE, true);
}

void exec_output_close(struct child *child)
{
    child->output_over = true;
    child->shut = true;
    exec_channel_close(&child->out);
}

/* Bytes that the client's kernel has not acknowledged (UNIX: that the client has not read). */
static bool all_taken(const struct sonde_stream *stream)
{
    int n_bytes;

    if (sonde_stream_queued_bytes(stream) > 0)
        return false;
    return ioctl(sonde_stream_fd(stream), SIOCOUTQ, &n_bytes) != 0 || n_bytes == 0;
}

/* Both sides have ended, so neither receiving nor sending tells that the client has reset the connection; and what it
 * has not acknowledged then stays so for ever. */
static bool is_lost(const struct child *child)
{
    struct pollfd wait = {.fd = sonde_stream_fd(child->stream)};

    return child->input_ends && poll(&wait, 1, 0) > 0 && wait.revents & POLLERR;
}

void exec_output_finish(struct child *child)
{
    struct exec *exec = child->exec;
    int64_t deadline_ns = sonde_loop_now_ns(exec->run->loop) + SERVICE_FINISH_NS;

    if (child->finishing || child->gone)
        return;
    if (!all_taken(child->stream)) {
        if (is_lost(child)) {
            sonde_stream_finish(child->stream, deadline_ns); /* which finds out why, and fails */
            return;
        }
        child->pause_ns = child->pause_ns == 0 ? first_pause_ns : child->pause_ns * 2;
        if (child->pause_ns > longest_pause_ns)
            child->pause_ns = longest_pause_ns;
        if (!sonde_timer_is_running(&child->timer))
            sonde_timer_start_in(&child->timer, child->pause_ns);
        return;
    }
    child->finishing = true;
    exec_channel_close(&child->out);
    exec_input_give_up(child);
    sonde_stream_resume(child->stream);
    if (exec->ending && exec->deadline_ns < deadline_ns)
        deadline_ns = exec->deadline_ns;
    exec->run->host->done(exec->run, child->stream, SERVICE_SAID_ALL);
    sonde_stream_finish(child->stream, deadline_ns);
}
