/* SPDX-License-Identifier: MIT */
/*
 * A stream joined to two descriptors.
 *
 * Theory of operation
 *
 * The join becomes the stream's handler, and remembers the one before for failed and closed. Input is read when its
 * poll says so, and no more is asked for while ENOUGH_QUEUED bytes wait to be sent; drained goes on. Of what is
 * received, as much is written as the output takes without waiting, in pieces that a pipe which is ready takes whole
 * (PIPE_BUF); the rest of that one delivery is held, and the stream paused until it has gone. So both directions hold a
 * bounded number of bytes, and neither waits for the other.
 *
 * The descriptors belong to others too (a terminal's other programs): they are not made non-blocking, but asked before
 * each read and each piece. A terminal that says it is ready may have room for one byte and make whoever writes more
 * wait: so it is opened anew, if it can be, and that is made non-blocking, being nobody else's. The memory goes when
 * the stream and both polls are closed.
 */
#include "net/net_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sonde/poll.h>
#include <sonde/simple.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

enum { INPUT_BYTES = 16 * 1024, ENOUGH_QUEUED = 64 * 1024, OUTPUT_BYTES = PIPE_BUF };

struct join {
    struct sonde_stream *stream; /* NULL: closed */
    struct sonde_loop *loop;
    const struct sonde_stream_handler *handler; /* the one before, and its owner */
    void *owner;
    int in_fd, out_fd;
    int own_fd;                  /* the terminal behind out_fd, opened anew; -1: there is none */
    struct sonde_poll *in, *out; /* NULL: none, or being closed */
    unsigned n_polls;            /* not closed yet */
    bool in_waits;               /* the queue has to go before more is read */
    bool in_over, out_over;
    struct chunk *held; /* received, and not written yet */
};

static void free_when_over(struct join *join)
{
    if (join->stream != NULL || join->n_polls > 0)
        return;
    if (join->own_fd >= 0)
        close(join->own_fd);
    chunk_free_all(join->loop, join->held);
    loop_free(join->loop, join, sizeof *join);
}

static void on_poll_closed(void *user)
{
    struct join *join = user;

    join->n_polls--;
    free_when_over(join);
}

static void close_poll(struct sonde_poll **poll)
{
    if (*poll != NULL)
        sonde_poll_close(*poll);
    *poll = NULL;
}

static void both_over(struct join *join)
{
    if (join->in_over && join->out_over)
        sonde_stream_finish(join->stream, SONDE_WHILE_MOVING);
}

/* --- input ------------------------------------------------------------------------------------------------------ */

static void input_over(struct join *join)
{
    join->in_over = true;
    close_poll(&join->in);
    sonde_stream_shutdown(join->stream);
    both_over(join);
}

/* So many bytes may be read now: no more than the stream takes. */
static size_t input_room(const struct join *join)
{
    size_t n_queued = sonde_stream_queued_bytes(join->stream), limit = join->stream->send_limit;
    size_t n_room = limit > n_queued ? limit - n_queued : 0;

    return n_room < INPUT_BYTES ? n_room : INPUT_BYTES;
}

static void await_input(struct join *join)
{
    bool is_full = input_room(join) == 0 && join->stream->queue != NULL;

    join->in_waits = is_full || sonde_stream_queued_bytes(join->stream) > ENOUGH_QUEUED;
    int error = join->in_waits ? 0 : sonde_poll_start(join->in, SONDE_READABLE);
    if (error < 0)
        stream_fail_here(join->stream, error, OWN_READ);
}

static void on_readable(struct sonde_poll *input, unsigned events, void *user)
{
    struct join *join = user;
    struct pollfd still = {.fd = join->in_fd, .events = POLLIN};
    char bytes[INPUT_BYTES];
    size_t n_room = input_room(join);

    (void)input, (void)events;
    if (n_room == 0 || poll(&still, 1, 0) == 0) { /* somebody else has taken it: a read would wait */
        await_input(join);
        return;
    }
    ssize_t n = read(join->in_fd, bytes, n_room);
    int error = n < 0 ? -errno : 0;
    if (n > 0)
        error = sonde_stream_write(join->stream, bytes, (size_t)n);
    if (n > 0 && error < 0) {
        sonde_stream_fail(join->stream, error);
        close_poll(&join->in);
        return;
    }
    if (n == 0 || (error == -EIO && isatty(join->in_fd))) /* what a terminal that was hung up says */
        input_over(join);
    else if (error < 0 && error != -EAGAIN && error != -EINTR)
        stream_fail_here(join->stream, error, OWN_READ);
    else
        await_input(join);
}

static void on_drained(struct sonde_stream *stream)
{
    struct join *join = sonde_stream_owner(stream);

    if (join->in_waits && join->in != NULL)
        await_input(join);
}

/* --- output ----------------------------------------------------------------------------------------------------- */

/* write(2), whose SIGPIPE is taken back: it is sent to the thread that wrote, and waits there while it is blocked. */
static ssize_t write_quietly(int fd, const void *data, size_t n_bytes)
{
    const struct timespec at_once = {0};
    sigset_t pipe_signal, before, pending;

    sigemptyset(&pipe_signal);
    sigaddset(&pipe_signal, SIGPIPE);
    sigpending(&pending);
    pthread_sigmask(SIG_BLOCK, &pipe_signal, &before);
    ssize_t n = write(fd, data, n_bytes);
    int error = errno;
    if (n < 0 && error == EPIPE && !sigismember(&pending, SIGPIPE))
        sigtimedwait(&pipe_signal, NULL, &at_once);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    errno = error;
    return n;
}

/* As much as goes without waiting: how much that was, or a negative error. */
static ssize_t write_some(int fd, const unsigned char *data, size_t n_bytes)
{
    struct pollfd ready = {.fd = fd, .events = POLLOUT};
    size_t n_written = 0;

    while (n_written < n_bytes && poll(&ready, 1, 0) > 0) {
        size_t n_piece = n_bytes - n_written < OUTPUT_BYTES ? n_bytes - n_written : OUTPUT_BYTES;
        ssize_t n = write_quietly(fd, data + n_written, n_piece);
        if (n < 0 && errno == EAGAIN)
            break;
        if (n < 0 && errno != EINTR)
            return -errno;
        n_written += n > 0 ? (size_t)n : 0;
    }
    return (ssize_t)n_written;
}

static void await_output(struct join *join)
{
    int error = sonde_poll_start(join->out, SONDE_WRITABLE);
    if (error < 0)
        stream_fail_here(join->stream, error, OWN_WRITE);
}

static void on_writable(struct sonde_poll *poll, unsigned events, void *user)
{
    struct join *join = user;
    struct chunk *held = join->held;
    ssize_t n = write_some(join->out_fd, held->data + held->offset, held->n_bytes - held->offset);

    (void)poll, (void)events;
    if (n < 0) {
        stream_fail_here(join->stream, (int)n, OWN_WRITE);
        return;
    }
    held->offset += (uint32_t)n;
    if (held->offset < held->n_bytes) {
        await_output(join);
        return;
    }
    chunk_free_all(join->loop, held);
    join->held = NULL;
    sonde_stream_resume(join->stream);
}

static void on_data(struct sonde_stream *stream, const struct sonde_lent *bytes)
{
    struct join *join = sonde_stream_owner(stream);
    ssize_t n = join->out == NULL ? (ssize_t)bytes->n_bytes : write_some(join->out_fd, bytes->data, bytes->n_bytes);

    if (n < 0) {
        stream_fail_here(stream, (int)n, OWN_WRITE);
        return;
    }
    if ((size_t)n == bytes->n_bytes)
        return;
    size_t n_rest = bytes->n_bytes - (size_t)n;
    join->held = chunk_create(join->loop, bytes->data + n, n_rest, n_rest);
    if (join->held == NULL) {
        stream_fail_here(stream, -ENOMEM, OWN_WRITE);
        return;
    }
    sonde_stream_pause(stream);
    await_output(join);
}

static void on_end(struct sonde_stream *stream)
{
    struct join *join = sonde_stream_owner(stream);

    join->out_over = true;
    both_over(join);
}

/* --- the stream's end ------------------------------------------------------------------------------------------- */

static void on_failed(struct sonde_stream *stream, int error)
{
    struct join *join = sonde_stream_owner(stream);

    close_poll(&join->in);
    close_poll(&join->out);
    stream->owner = join->owner;
    if (join->handler->failed != NULL)
        join->handler->failed(stream, error);
    else if (!(stream->state & STREAM_FINISHING))
        sonde_stream_abort(stream);
    stream->owner = join;
}

static void on_closed(struct sonde_stream *stream)
{
    struct join *join = sonde_stream_owner(stream);

    close_poll(&join->in);
    close_poll(&join->out);
    stream->owner = join->owner;
    if (join->handler->closed != NULL)
        join->handler->closed(stream);
    join->stream = NULL;
    free_when_over(join);
}

static const struct sonde_stream_handler join_handler = {
    .data = on_data,
    .end = on_end,
    .drained = on_drained,
    .failed = on_failed,
    .closed = on_closed,
};

/* --- the beginning ---------------------------------------------------------------------------------------------- */

/* A descriptor of one's own for the terminal; -1: it is none, or can't be opened again. A master can't: opening that
 * makes another terminal. */
static int open_terminal(int fd)
{
    unsigned number;
    char path[32];

    if (fd < 0 || !isatty(fd) || ioctl(fd, TIOCGPTN, &number) == 0)
        return -1;
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    return open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
}

static int open_poll(struct join *join, int fd, const struct sonde_poll_handler *handler, struct sonde_poll **ret_poll)
{
    int error = fd < 0 ? 0 : sonde_poll_create(join->loop, fd, handler, join, ret_poll);

    join->n_polls += *ret_poll != NULL;
    return error;
}

int sonde_stream_join(struct sonde_stream *stream, int in_fd, int out_fd)
{
    static const struct sonde_poll_handler reader = {.ready = on_readable, .closed = on_poll_closed};
    static const struct sonde_poll_handler writer = {.ready = on_writable, .closed = on_poll_closed};

    if (stream->state & (STREAM_ENDED | STREAM_FAILED | STREAM_CLOSING | STREAM_FINISHING | STREAM_FAILURE_DUE))
        return -EPERM;
    struct join *join = loop_alloc(stream->loop, sizeof *join);
    if (join == NULL)
        return -ENOMEM;
    *join = (struct join){.loop = stream->loop, .in_fd = in_fd, .out_fd = out_fd, .own_fd = open_terminal(out_fd)};
    if (join->own_fd >= 0)
        join->out_fd = join->own_fd;
    int error = open_poll(join, in_fd, &reader, &join->in);
    if (error == 0)
        error = open_poll(join, join->out_fd, &writer, &join->out);
    if (error == 0 && join->in != NULL)
        error = sonde_poll_start(join->in, SONDE_READABLE);
    if (error < 0) {
        bool polls = join->n_polls > 0;
        close_poll(&join->in);
        close_poll(&join->out);
        if (!polls)
            free_when_over(join);
        return error;
    }
    join->stream = stream;
    join->handler = stream->handler;
    join->owner = stream->owner;
    sonde_stream_set_handler(stream, &join_handler, join);
    if (join->in == NULL) {
        join->in_over = true;
        sonde_stream_shutdown(stream);
    }
    return 0;
}
