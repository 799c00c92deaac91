/* SPDX-License-Identifier: MIT */
/*
 * From the client to the program. What a pipe (or terminal) does not take at once is kept, and the client is not read
 * from until all of that has gone: so at most what the engine delivers at a time, 64 KiB or one message, is kept. The
 * pipe holds the rest, then the kernel's receive buffer, and then the client has to wait.
 *
 * The client's end closes the pipe. On a terminal it is what a person types: the character for the end of file, twice
 * when the line has begun (the first then only hands over what there is of it; termios(3), VEOF).
 *
 * When the program takes no more (it has closed its input, or ended) the client is read on, so that its bytes don't
 * turn our close into a reset, and they are counted.
 */
#include "service/exec_internal.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

enum { CONTROL_D = 4 };

#define WATCH_NS (INT64_C(1000) * 1000 * 1000)

static void forget_kept(struct child *child)
{
    free(child->kept);
    child->kept = NULL;
    child->n_kept = 0;
    child->kept_offset = 0;
}

void exec_input_give_up(struct child *child)
{
    if (child->input_over)
        return;
    child->input_over = true;
    child->outcome.n_unread_bytes += child->n_kept - child->kept_offset;
    forget_kept(child);
    exec_channel_want(child->sink, SONDE_WRITABLE, false);
    if (child->sink == &child->in)
        exec_channel_close(&child->in);
    if (child->stream != NULL)
        sonde_stream_resume(child->stream);
}

/* As much as is taken without waiting. `refused`: no more ever will be. */
static size_t write_some(struct child *child, const unsigned char *data, size_t n_bytes, bool *ret_refused)
{
    size_t n = 0;

    *ret_refused = false;
    while (n < n_bytes) {
        ssize_t written = write(child->sink->fd, data + n, n_bytes - n);
        if (written > 0) {
            n += (size_t)written;
            child->line_started = data[n - 1] != '\n' && data[n - 1] != '\r';
        } else if (written < 0 && errno != EINTR) {
            *ret_refused = errno != EAGAIN; /* EPIPE; EIO: nobody has the terminal any more */
            break;
        } else if (written == 0) {
            break;
        }
    }
    return n;
}

static bool keep(struct child *child, const unsigned char *data, size_t n_bytes)
{
    unsigned char *kept = malloc(child->n_kept - child->kept_offset + n_bytes);

    if (kept == NULL)
        return false;
    size_t n_before = child->n_kept - child->kept_offset;
    if (n_before > 0)
        memcpy(kept, child->kept + child->kept_offset, n_before);
    memcpy(kept + n_before, data, n_bytes);
    forget_kept(child);
    child->kept = kept;
    child->n_kept = n_before + n_bytes;
    return true;
}

void exec_input_take(struct child *child, const void *data, size_t n_bytes)
{
    bool refused = false;
    size_t n = 0;

    if (!child->input_over && child->n_kept == 0)
        n = write_some(child, data, n_bytes, &refused);
    if (n == n_bytes)
        return;
    if (refused)
        exec_input_give_up(child);
    if (child->input_over) {
        child->outcome.n_unread_bytes += n_bytes - n;
        return;
    }
    if (!keep(child, (const unsigned char *)data + n, n_bytes - n)) {
        child->outcome.n_unread_bytes += n_bytes - n;
        exec_break(child, -ENOMEM);
        return;
    }
    if (child->stream != NULL && !child->input_ends) {
        sonde_stream_pause(child->stream);
        if (!sonde_timer_is_running(&child->exec->watch))
            sonde_timer_start_in(&child->exec->watch, WATCH_NS);
    }
    exec_channel_want(child->sink, SONDE_WRITABLE, true);
}

/* All that the client has sent was taken. */
static void finish(struct child *child)
{
    struct termios settings;

    if (child->sink == &child->in) {
        child->input_over = true;
        exec_channel_close(&child->in);
        return;
    }
    unsigned char end = CONTROL_D;
    if (tcgetattr(child->sink->fd, &settings) == 0 && settings.c_cc[VEOF] != _POSIX_VDISABLE)
        end = settings.c_cc[VEOF];
    const unsigned char ends[] = {end, end};
    size_t n = child->line_started ? 2 : 1;
    bool refused;
    size_t n_written = write_some(child, ends, n, &refused);
    if (refused)
        exec_input_give_up(child);
    else if (n_written < n && keep(child, ends + n_written, n - n_written))
        exec_channel_want(child->sink, SONDE_WRITABLE, true);
    child->end_typed = true;
}

void exec_input_end(struct child *child)
{
    child->input_ends = true;
    if (!child->input_over && child->n_kept == 0)
        finish(child);
}

void exec_input_ready(struct child *child)
{
    bool refused;

    if (child->input_over || child->n_kept == 0)
        return;
    child->kept_offset +=
        write_some(child, child->kept + child->kept_offset, child->n_kept - child->kept_offset, &refused);
    if (refused)
        exec_input_give_up(child);
    if (child->input_over || child->kept_offset < child->n_kept)
        return;
    forget_kept(child);
    exec_channel_want(child->sink, SONDE_WRITABLE, false);
    if (child->input_ends && !child->end_typed)
        finish(child);
    else if (child->stream != NULL)
        sonde_stream_resume(child->stream);
}

/* A client that is not read from is not heard of either: has it reset the connection? Then it is read on, for the
 * stream to tell. */
static bool look(struct child *child)
{
    struct pollfd wait = {.fd = -1};

    if (child->stream == NULL || child->input_over || !sonde_stream_is_paused(child->stream))
        return false;
    wait.fd = sonde_stream_fd(child->stream);
    if (poll(&wait, 1, 0) <= 0 || !(wait.revents & POLLERR))
        return true;
    exec_input_give_up(child);
    return false;
}

void exec_input_watch(struct sonde_timer *timer)
{
    struct exec *exec = timer->user;
    struct child *child;
    bool more = false;

    LIST_FOREACH(child, &exec->children, link)
    more = look(child) || more;
    if (more)
        sonde_timer_start_in(timer, WATCH_NS);
}
