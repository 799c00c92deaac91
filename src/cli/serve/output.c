/* SPDX-License-Identifier: MIT */
/*
 * Standard output. Each worker gathers whole lines, and writes them together at the end of a turn of its loop: a line
 * is never late, thousands of lines a second cost few calls, and lines of several threads don't mix.
 *
 * A reader that does not read (a full pipe, a terminal that was stopped) blocks the worker: nothing is lost and nothing
 * grows, clients wait meanwhile. Only the program's end must not wait for that reader: once a signal has come, standard
 * output is given up when nothing of it was taken for a second, and what is lost is said.
 */
#include "cli/serve/serve_internal.h"
#include "cli/typing.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { OUTPUT_BYTES = SERVE_ROOM(SERVE_SLICE_BYTES), PATIENCE_MS = 1000, LOOK_UP_MS = 200 };

static void flush_now(struct sonde_timer *timer)
{
    serve_output_flush(timer->user);
}

int serve_output_init(struct worker *worker)
{
    struct stat status;

    worker->serve->output_is_file = fstat(STDOUT_FILENO, &status) == 0 && S_ISREG(status.st_mode);
    worker->output = malloc(OUTPUT_BYTES);
    if (worker->output == NULL)
        return -ENOMEM;
    sonde_timer_init(&worker->flush, worker->loop, flush_now, worker);
    return 0;
}

void serve_output_free(struct worker *worker)
{
    free(worker->output);
    worker->output = NULL;
}

/* Standard output is no more. A reader that has gone is no news to anybody (head has seen enough); one that was not
 * waited for is told of when the program ends anyway, which it is about to do. */
static void lose(struct serve *serve, int error)
{
    if (atomic_exchange(&serve->output_error, error) != 0 || error == ETIMEDOUT)
        return;
    if (error != EPIPE)
        say(_("writing to standard output failed: %s."), sonde_strerror(-error));
    serve_wish(serve, WISH_END);
}

/* Wait until a pipe or terminal takes PIPE_BUF bytes without blocking. Returns 0 or an errno value. */
static int wait_for_reader(struct serve *serve)
{
    struct pollfd waits[] = {{.fd = STDOUT_FILENO, .events = POLLOUT}, {.fd = serve->signal_fd, .events = POLLIN}};

    for (;;) {
        /* On the main thread the signal waits to be read; on another one it may have been read already. */
        bool ending = waits[1].revents != 0 || atomic_load(&serve->ending);
        int n = poll(waits, ending ? 1 : 2, ending ? PATIENCE_MS : LOOK_UP_MS);
        if (n < 0 && errno != EINTR)
            return errno;
        if (n == 0 && ending)
            return ETIMEDOUT;
        if (n > 0 && waits[0].revents != 0)
            return 0;
    }
}

static int write_all(struct serve *serve, const char *text, size_t *n_bytes)
{
    while (*n_bytes > 0) {
        size_t n = *n_bytes;
        if (!serve->output_is_file) {
            int error = wait_for_reader(serve);
            if (error != 0)
                return error;
            n = n < PIPE_BUF ? n : PIPE_BUF;
        }
        typing_make_room(STDOUT_FILENO);
        ssize_t n_written = write(STDOUT_FILENO, text, n);
        if (n_written < 0 && errno != EINTR && errno != EAGAIN)
            return errno;
        if (n_written > 0) {
            text += n_written;
            *n_bytes -= (size_t)n_written;
        }
    }
    return 0;
}

static void write_lines(struct serve *serve, const char *text, size_t n_left)
{
    int error = 0;

    if (n_left == 0)
        return;
    pthread_mutex_lock(&serve->output_lock);
    if (atomic_load(&serve->output_error) == 0)
        error = write_all(serve, text, &n_left);
    if (error != 0)
        lose(serve, error);
    serve->n_output_lost_bytes += n_left;
    pthread_mutex_unlock(&serve->output_lock);
}

void serve_output_flush(struct worker *worker)
{
    write_lines(worker->serve, worker->output, worker->n_output_bytes);
    worker->n_output_bytes = 0;
}

void serve_output_write(struct worker *worker, const char *text, size_t n_bytes)
{
    serve_output_flush(worker);
    write_lines(worker->serve, text, n_bytes);
}

char *serve_output_reserve(struct worker *worker, size_t n_bytes)
{
    if (n_bytes > OUTPUT_BYTES - worker->n_output_bytes)
        serve_output_flush(worker);
    return worker->output + worker->n_output_bytes;
}

void serve_output_commit(struct worker *worker, size_t n_bytes)
{
    worker->n_output_bytes += n_bytes;
    if (!sonde_timer_is_running(&worker->flush))
        sonde_timer_start_in(&worker->flush, 0);
}
