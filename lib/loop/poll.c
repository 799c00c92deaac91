/* SPDX-License-Identifier: MIT */
#include "loop/loop_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sonde/poll.h>

struct sonde_poll {
    struct io io;
    struct sonde_loop *loop;
    const struct sonde_poll_handler *handler;
    void *user;
    bool waiting, closing;
};

static struct sonde_poll *poll_of(struct io *io)
{
    return (struct sonde_poll *)((char *)io - offsetof(struct sonde_poll, io));
}

static void set_waiting(struct sonde_poll *poll, bool waiting)
{
    if (poll->waiting != waiting)
        loop_add_open(poll->loop, waiting ? +1 : -1);
    poll->waiting = waiting;
}

static void on_poll(struct io *io, int result)
{
    struct sonde_poll *poll = poll_of(io);
    unsigned events = 0;

    set_waiting(poll, false);
    if (result < 0 || result & (POLLERR | POLLHUP | POLLNVAL | POLLRDHUP))
        events |= SONDE_HANGUP;
    if (result > 0 && result & (POLLIN | POLLPRI))
        events |= SONDE_READABLE;
    if (result > 0 && result & POLLOUT)
        events |= SONDE_WRITABLE;
    poll->handler->ready(poll, events, poll->user);
}

static void on_closed(struct io *io)
{
    struct sonde_poll *poll = poll_of(io);
    struct sonde_loop *loop = poll->loop;

    if (poll->handler->closed != NULL)
        poll->handler->closed(poll->user);
    loop_free(loop, poll, sizeof *poll);
    loop_add_open(loop, -1);
    loop_add_object(loop, -1);
}

static const struct io_handler poll_io_handler = {.poll = on_poll, .closed = on_closed};

int sonde_poll_create(struct sonde_loop *loop, int fd, const struct sonde_poll_handler *handler, void *user,
                      struct sonde_poll **ret_poll)
{
    if (fcntl(fd, F_GETFD) < 0)
        return -EBADF;
    struct sonde_poll *poll = loop_alloc(loop, sizeof *poll);
    if (poll == NULL)
        return -ENOMEM;
    *poll = (struct sonde_poll){.loop = loop, .handler = handler, .user = user};
    io_init(&poll->io, &poll_io_handler, fd);
    loop_add_object(loop, +1);
    *ret_poll = poll;
    return 0;
}

int sonde_poll_start(struct sonde_poll *poll, unsigned events)
{
    unsigned wanted = (events & SONDE_READABLE ? POLLIN : 0) | (events & SONDE_WRITABLE ? POLLOUT : 0);

    if (poll->closing)
        return -EBADF;
    if (poll->io.active & IO_POLL)
        io_poll_stop(poll->loop, &poll->io);
    set_waiting(poll, false);
    if (wanted == 0)
        return 0;
    int error = io_poll_start(poll->loop, &poll->io, wanted);
    set_waiting(poll, error == 0);
    return error;
}

void sonde_poll_close(struct sonde_poll *poll)
{
    if (poll->closing)
        return;
    poll->closing = true;
    set_waiting(poll, false);
    loop_add_open(poll->loop, +1); /* until closed was called */
    io_detach(poll->loop, &poll->io);
}
