/* SPDX-License-Identifier: MIT */
#include "cli/connect/output.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

_Static_assert(OUTPUT_PIECE <= PIPE_BUF, "a pipe that is ready takes this much");

static void on_ready(struct sonde_poll *poll, unsigned events, void *user);
static void on_closed(void *user);

static const struct sonde_poll_handler poll_handler = {.ready = on_ready, .closed = on_closed};

static int reopen(int fd)
{
    char path[32];

    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    return open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
}

static enum output_kind kind_of(int fd)
{
    struct stat st;

    if (fstat(fd, &st) < 0 || S_ISREG(st.st_mode))
        return OUTPUT_BLOCKING;
    if (S_ISSOCK(st.st_mode))
        return OUTPUT_SOCKET;
    if (S_ISFIFO(st.st_mode) || isatty(fd))
        return OUTPUT_PIECES;
    return OUTPUT_BLOCKING;
}

int output_open(struct output *output, struct sonde_loop *loop, int fd, bool owns_fd, void (*unstuck)(void *user),
                void *user)
{
    *output = (struct output){.fd = fd, .owns_fd = owns_fd, .unstuck = unstuck, .user = user};
    output->kind = kind_of(fd);
    if (output->kind == OUTPUT_PIECES) {
        int own_fd = reopen(fd);
        if (own_fd >= 0) {
            output_close(output);
            output->fd = own_fd;
            output->owns_fd = true;
            output->kind = OUTPUT_NONBLOCK;
        }
    }
    return output->kind == OUTPUT_BLOCKING ? 0
                                           : sonde_poll_create(loop, output->fd, &poll_handler, output, &output->poll);
}

static void on_closed(void *user)
{
    struct output *output = user;

    if (output->owns_fd)
        close(output->fd);
    output->owns_fd = false;
    output->fd = -1;
}

void output_close(struct output *output)
{
    free(output->pending);
    output->pending = NULL;
    output->begin = output->end = output->room = 0;
    /* The descriptor has to outlive the poll. */
    if (output->poll != NULL)
        sonde_poll_close(output->poll);
    else
        on_closed(output);
    output->poll = NULL;
}

bool output_is_stuck(const struct output *output)
{
    return output->begin < output->end;
}

static ssize_t write_piece(const struct output *output, const void *data, size_t n_bytes)
{
    struct pollfd pollfd = {.fd = output->fd, .events = POLLOUT};

    switch (output->kind) {
    case OUTPUT_SOCKET:
        return send(output->fd, data, n_bytes, MSG_DONTWAIT | MSG_NOSIGNAL);
    case OUTPUT_PIECES:
        if (poll(&pollfd, 1, 0) == 0) {
            errno = EAGAIN;
            return -1;
        }
        return write(output->fd, data, n_bytes < OUTPUT_PIECE ? n_bytes : OUTPUT_PIECE);
    case OUTPUT_BLOCKING:
    case OUTPUT_NONBLOCK:
        break;
    }
    return write(output->fd, data, n_bytes);
}

static void give_up(struct output *output, int error)
{
    output->error = error;
    output->begin = output->end = 0;
}

/* Write what goes now; returns how much that was. */
static size_t write_now(struct output *output, const char *data, size_t n_bytes)
{
    size_t n_written = 0;

    while (n_written < n_bytes) {
        ssize_t n = write_piece(output, data + n_written, n_bytes - n_written);
        if (n >= 0) {
            n_written += (size_t)n;
        } else if (errno == EAGAIN && output->poll != NULL) {
            break;
        } else if (errno != EINTR) {
            give_up(output, -errno);
            break;
        }
    }
    return n_written;
}

static void keep(struct output *output, const char *data, size_t n_bytes)
{
    if (output->begin > 0) {
        memmove(output->pending, output->pending + output->begin, output->end - output->begin);
        output->end -= output->begin;
        output->begin = 0;
    }
    if (output->room - output->end < n_bytes) {
        char *larger = realloc(output->pending, output->end + n_bytes);
        if (larger == NULL) {
            give_up(output, -ENOMEM);
            return;
        }
        output->pending = larger;
        output->room = output->end + n_bytes;
    }
    memcpy(output->pending + output->end, data, n_bytes);
    output->end += n_bytes;
}

static void await(struct output *output)
{
    int error = sonde_poll_start(output->poll, SONDE_WRITABLE);
    if (error < 0)
        give_up(output, error);
}

void output_write(struct output *output, const void *data, size_t n_bytes)
{
    if (output->error < 0 || n_bytes == 0)
        return;
    bool was_stuck = output_is_stuck(output);
    size_t n_written = was_stuck ? 0 : write_now(output, data, n_bytes);

    if (n_written == n_bytes || output->error < 0)
        return;
    keep(output, (const char *)data + n_written, n_bytes - n_written);
    if (!was_stuck && output->error == 0)
        await(output);
}

static void on_ready(struct sonde_poll *poll, unsigned events, void *user)
{
    struct output *output = user;

    (void)poll, (void)events;
    output->begin += write_now(output, output->pending + output->begin, output->end - output->begin);
    if (output->error < 0)
        output->begin = output->end = 0;
    if (output_is_stuck(output))
        await(output);
    if (!output_is_stuck(output)) {
        output->begin = output->end = 0;
        output->unstuck(output->user);
    }
}
