/* SPDX-License-Identifier: MIT */
/*
 * Theory of operation
 *
 * Everything is passed on to the real engine. Starts are functions of struct engine_ops, and are counted there.
 * Completions go from the real engine straight to the owner's handler, so each io that starts something is given a
 * shell in place of its handler: a copy of it, whose completions come here first.
 *
 * What an engine receives cannot be made shorter after the fact, so that recv(2) itself is replaced in the programs
 * that are linked with this file: it obeys the script while a scripted engine is at work. The tests' own sockets are
 * read with read(2).
 */
#include "scripted.h"

#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

static _Thread_local const struct script *at_work;

ssize_t recv(int fd, void *buffer, size_t n_bytes, int flags)
{
    if (at_work != NULL && at_work->receive_bytes > 0 && n_bytes > at_work->receive_bytes)
        n_bytes = at_work->receive_bytes;
    return syscall(SYS_recvfrom, fd, buffer, n_bytes, flags, NULL, NULL);
}

/* Less room: the rest of a message is cut off. */
int recvmmsg(int fd, struct mmsghdr *messages, unsigned n, int flags, struct timespec *timeout)
{
    for (unsigned i = 0; at_work != NULL && at_work->receive_bytes > 0 && i < n; i++)
        if (messages[i].msg_hdr.msg_iov->iov_len > at_work->receive_bytes)
            messages[i].msg_hdr.msg_iov->iov_len = at_work->receive_bytes;
    return (int)syscall(SYS_recvmmsg, fd, messages, n, flags, timeout);
}

static struct script *script_of(const struct sonde_loop *loop)
{
    return loop->script;
}

/* Count one operation; 0, or the error that it is to fail with. */
static int count(struct script *script, const char *what)
{
    if (++script->n_operations != script->fail_at)
        return 0;
    script->failed_what = what;
    return script->fail_error;
}

/* --- completions ------------------------------------------------------------------------------------------------ */

static struct script_shell *shell_of(const struct io *io)
{
    return (struct script_shell *)(uintptr_t)io->handler;
}

static void on_recv(struct io *io, int result, struct io_buffer *buffer)
{
    struct script_shell *shell = shell_of(io);
    int error = count(shell->script, "recv completes");

    if (error < 0) {
        io->active &= (uint8_t)~IO_RECV;
        result = error;
    }
    shell->original->recv(io, result, buffer);
}

static void on_send(struct io *io, int result)
{
    struct script_shell *shell = shell_of(io);
    int error = count(shell->script, "send completes");

    shell->original->send(io, error < 0 ? error : result);
}

static void on_accept(struct io *io, int result, const struct sockaddr *peer, socklen_t peer_bytes)
{
    struct script_shell *shell = shell_of(io);
    int error = count(shell->script, "accept completes");

    if (error < 0) {
        io->active &= (uint8_t)~IO_ACCEPT;
        if (result >= 0)
            close(result);
        result = error;
    }
    shell->original->accept(io, result, peer, peer_bytes);
}

static void on_connect(struct io *io, int result)
{
    struct script_shell *shell = shell_of(io);
    int error = count(shell->script, "connect completes");

    shell->original->connect(io, error < 0 ? error : result);
}

static void on_poll(struct io *io, int result)
{
    struct script_shell *shell = shell_of(io);
    int error = count(shell->script, "poll completes");

    shell->original->poll(io, error < 0 ? error : result);
}

static void put_shell(struct sonde_loop *loop, struct io *io)
{
    struct script *script = script_of(loop);

    for (unsigned i = 0; i < SCRIPT_SHELLS; i++) {
        struct script_shell *shell = &script->shells[i];
        if (io->handler == &shell->handler)
            return;
        if (shell->original == NULL) {
            shell->original = io->handler;
            shell->script = script;
            shell->handler = *io->handler;
            shell->handler.recv = on_recv;
            shell->handler.send = on_send;
            shell->handler.accept = on_accept;
            shell->handler.connect = on_connect;
            shell->handler.poll = on_poll;
        }
        if (shell->original == io->handler) {
            io->handler = &shell->handler;
            return;
        }
    }
}

/* --- starts ----------------------------------------------------------------------------------------------------- */

static int scripted_turn(struct sonde_loop *loop, int64_t timeout_ns)
{
    struct script *script = script_of(loop);
    const struct script *before = at_work;

    script->n_turns++;
    at_work = script;
    int error = script_of(loop)->real->turn(loop, timeout_ns);
    at_work = before;
    return error;
}

static int scripted_recv_start(struct sonde_loop *loop, struct io *io, bool often)
{
    int error = count(script_of(loop), "recv starts");

    put_shell(loop, io);
    return error < 0 ? error : script_of(loop)->real->recv_start(loop, io, often);
}

static int scripted_send(struct sonde_loop *loop, struct io *io, const void *data, size_t n_bytes,
                         enum io_send_mode mode)
{
    struct script *script = script_of(loop);
    int error = count(script, "send starts");

    put_shell(loop, io);
    if (error < 0)
        return error;
    if (script->send_bytes > 0 && n_bytes > script->send_bytes)
        n_bytes = script->send_bytes;
    if (!script->stutter || script->n_sends++ % 2 != 0)
        return script_of(loop)->real->send(loop, io, data, n_bytes, mode);
    if (mode == IO_SEND_NOW)
        return -EAGAIN;
    io->active |= IO_SEND;
    defer_io(loop, io, DEFER_ENGINE);
    return 0;
}

/* There is room after all, or a regular file is ready. */
static void scripted_retry(struct sonde_loop *loop, struct io *io)
{
    if (script_of(loop)->stutter && io->active & IO_SEND) {
        io->active &= (uint8_t)~IO_SEND;
        io->handler->send(io, 0);
    }
    script_of(loop)->real->retry(loop, io);
}

static int scripted_accept_start(struct sonde_loop *loop, struct io *io, bool often)
{
    int error = count(script_of(loop), "accept starts");

    put_shell(loop, io);
    return error < 0 ? error : script_of(loop)->real->accept_start(loop, io, often);
}

static int scripted_connect(struct sonde_loop *loop, struct io *io, const struct sockaddr *address, socklen_t n_bytes)
{
    int error = count(script_of(loop), "connect starts");

    put_shell(loop, io);
    return error < 0 ? error : script_of(loop)->real->connect(loop, io, address, n_bytes);
}

static int scripted_poll_start(struct sonde_loop *loop, struct io *io, unsigned events)
{
    int error = count(script_of(loop), "poll starts");

    put_shell(loop, io);
    return error < 0 ? error : script_of(loop)->real->poll_start(loop, io, events);
}

static int scripted_fault(struct sonde_loop *loop, enum sonde_operation operation)
{
    switch (operation) {
    case SONDE_OP_SOCKET:
    case SONDE_OP_SETSOCKOPT:
    case SONDE_OP_BIND:
    case SONDE_OP_LISTEN:
    case SONDE_OP_SEND: /* those that lib/net makes itself: of messages */
    case SONDE_OP_RECEIVE:
        return count(script_of(loop), sonde_operation_name(operation));
    default:
        return 0;
    }
}

const struct engine_ops *script_engine(struct script *script, const struct engine_ops *real, bool scripted)
{
    script->real = real;
    script->ops = *real;
    script->ops.turn = scripted_turn;
    if (scripted) {
        script->ops.name = "scripted";
        script->ops.recv_start = scripted_recv_start;
        script->ops.send = scripted_send;
        script->ops.accept_start = scripted_accept_start;
        script->ops.connect = scripted_connect;
        script->ops.poll_start = scripted_poll_start;
        script->ops.retry = scripted_retry;
        script->ops.fault = scripted_fault;
    }
    return &script->ops;
}
