/* SPDX-License-Identifier: MIT */
/* The operations of io.h, passed on to the loop's engine. */
#include "loop/io.h"

#include "loop/loop_internal.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

void io_init(struct io *io, const struct io_handler *handler, int fd)
{
    *io = (struct io){.handler = handler, .fd = fd};
}

int io_recv_start(struct sonde_loop *loop, struct io *io, bool often)
{
    return loop->ops->recv_start(loop, io, often);
}

void io_recv_stop(struct sonde_loop *loop, struct io *io)
{
    if (io->active & IO_RECV)
        loop->ops->recv_stop(loop, io);
}

int io_send(struct sonde_loop *loop, struct io *io, const void *data, size_t n_bytes, enum io_send_mode mode)
{
    return loop->ops->send(loop, io, data, n_bytes, mode);
}

int io_accept_start(struct sonde_loop *loop, struct io *io, bool often)
{
    return loop->ops->accept_start(loop, io, often);
}

void io_accept_stop(struct sonde_loop *loop, struct io *io)
{
    if (io->active & IO_ACCEPT)
        loop->ops->accept_stop(loop, io);
}

int io_connect(struct sonde_loop *loop, struct io *io, const struct sockaddr *address, socklen_t n_bytes)
{
    return loop->ops->connect(loop, io, address, n_bytes);
}

int io_poll_start(struct sonde_loop *loop, struct io *io, unsigned events)
{
    return loop->ops->poll_start(loop, io, events);
}

void io_poll_stop(struct sonde_loop *loop, struct io *io)
{
    if (io->active & IO_POLL)
        loop->ops->poll_stop(loop, io);
}

void io_close(struct sonde_loop *loop, struct io *io)
{
    loop->ops->close(loop, io, false);
}

void io_detach(struct sonde_loop *loop, struct io *io)
{
    loop->ops->close(loop, io, true);
}

void io_replace_fd(struct sonde_loop *loop, struct io *io, int fd)
{
    if (io->fd >= 0) {
        int64_t start_ns = probing(loop) ? clock_monotonic_ns() : 0;
        loop->ops->forget_fd(loop, io);
        int result = close(io->fd) < 0 ? -errno : 0;
        if (probing(loop))
            probe_report(loop, io,
                         &(struct probe_report){.operation = SONDE_OP_CLOSE, .result = result, .start_ns = start_ns});
    }
    io->fd = fd;
}

int io_borrow_fd(struct sonde_loop *loop, int fd)
{
    if (fd >= 0)
        return fd;
    return io_is_place(fd) && loop->ops->borrow_fd != NULL ? loop->ops->borrow_fd(loop, fd) : -EBADF;
}

void io_return_fd(struct sonde_loop *loop, int fd, int borrowed)
{
    if (borrowed >= 0 && borrowed != fd)
        loop->ops->return_fd(loop, borrowed);
}

void io_reset(struct sonde_loop *loop, int fd)
{
    const struct linger reset = {.l_onoff = 1, .l_linger = 0};
    int borrowed = io_borrow_fd(loop, fd);

    if (borrowed >= 0)
        setsockopt(borrowed, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    io_return_fd(loop, fd, borrowed);
    if (fd >= 0)
        close(fd);
    else
        loop->ops->close_place(loop, fd);
}

void io_buffer_release(struct sonde_loop *loop, int id)
{
    loop->ops->buffer_release(loop, id);
}

const unsigned char *io_buffer_data(struct sonde_loop *loop, int id)
{
    return loop->ops->buffer_data(loop, id);
}

size_t io_buffer_bytes(const struct sonde_loop *loop)
{
    return loop->ops->buffer_bytes;
}

bool io_sends_at_once(const struct sonde_loop *loop)
{
    return loop->ops->sends_at_once;
}

bool io_misses_ends(const struct sonde_loop *loop)
{
    return loop->ops->misses_ends;
}

int loop_fault(struct sonde_loop *loop, enum sonde_operation operation)
{
    return loop->ops->fault != NULL ? loop->ops->fault(loop, operation) : 0;
}
