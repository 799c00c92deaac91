/* SPDX-License-Identifier: MIT */
#include "net/calls.h"

#include "loop/io.h"
#include "net/address.h"

#include <errno.h>
#include <sonde/probe.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

struct timed {
    struct sonde_loop *loop;
    struct sonde_probe_event event;
};

/* The clock is only read for somebody who asked. */
static void begin(struct timed *timed, struct sonde_loop *loop, enum sonde_operation operation, uint64_t stream, int fd)
{
    timed->loop = loop;
    if (!loop_probing(loop))
        return;
    timed->event = (struct sonde_probe_event){.operation = (uint8_t)operation, .fd = fd, .stream = stream};
    timed->event.start_ns = clock_monotonic_ns();
}

static int end(struct timed *timed, int result, int cookie_fd)
{
    if (loop_probing(timed->loop)) {
        timed->event.result = result;
        loop_probe_emit(timed->loop, &timed->event, cookie_fd);
    }
    return result;
}

void probe_set_address(struct sonde_probe_event *event, const struct sockaddr *address, socklen_t n)
{
    address_from_sockaddr(address, n, &event->address);
    if (address->sa_family == AF_UNIX && n > offsetof(struct sockaddr_un, sun_path)) {
        const struct sockaddr_un *un = (const struct sockaddr_un *)address;
        event->path = un->sun_path;
        event->path_bytes = n - offsetof(struct sockaddr_un, sun_path);
        if (un->sun_path[0] != '\0')
            event->path_bytes = strnlen(un->sun_path, event->path_bytes);
    }
}

int call_socket(struct sonde_loop *loop, int family, int type, int protocol)
{
    struct timed timed;

    begin(&timed, loop, SONDE_OP_SOCKET, 0, -1);
    int result = loop_fault(loop, SONDE_OP_SOCKET);
    if (result == 0) {
        result = socket(family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, protocol);
        if (result < 0)
            result = -errno;
    }
    if (loop_probing(loop)) {
        timed.event.args[0] = family;
        timed.event.args[1] = type | SOCK_CLOEXEC | SOCK_NONBLOCK;
        timed.event.args[2] = protocol;
    }
    return end(&timed, result, result);
}

static int set(struct sonde_loop *loop, int fd, int level, int name, const void *value, socklen_t n)
{
    int borrowed = io_borrow_fd(loop, fd);
    int result = borrowed;

    if (borrowed >= 0)
        result = setsockopt(borrowed, level, name, value, n) < 0 ? -errno : 0;
    io_return_fd(loop, fd, borrowed);
    return result;
}

int call_setsockopt(struct sonde_loop *loop, uint64_t stream, int fd, int level, int name, const void *value,
                    socklen_t n)
{
    struct timed timed;

    begin(&timed, loop, SONDE_OP_SETSOCKOPT, stream, fd);
    int result = loop_fault(loop, SONDE_OP_SETSOCKOPT);
    if (result == 0)
        result = set(loop, fd, level, name, value, n);
    if (loop_probing(loop)) {
        timed.event.args[0] = level;
        timed.event.args[1] = name;
        timed.event.data = value;
        timed.event.n_bytes = n;
        if (n == sizeof(int))
            memcpy(&timed.event.args[2], value, sizeof(int));
    }
    return end(&timed, result, fd);
}

int call_bind(struct sonde_loop *loop, uint64_t stream, int fd, const struct sockaddr *address, socklen_t n)
{
    struct timed timed;

    begin(&timed, loop, SONDE_OP_BIND, stream, fd);
    int result = loop_fault(loop, SONDE_OP_BIND);
    if (result == 0)
        result = bind(fd, address, n) < 0 ? -errno : 0;
    if (loop_probing(loop))
        probe_set_address(&timed.event, address, n);
    return end(&timed, result, fd);
}

int call_connect(struct sonde_loop *loop, uint64_t stream, int fd, const struct sockaddr *address, socklen_t n)
{
    struct timed timed;

    begin(&timed, loop, SONDE_OP_CONNECT, stream, fd);
    int result = connect(fd, address, n) < 0 ? -errno : 0;
    if (loop_probing(loop))
        probe_set_address(&timed.event, address, n);
    return end(&timed, result, fd);
}

int call_listen(struct sonde_loop *loop, int fd, int backlog)
{
    struct timed timed;

    begin(&timed, loop, SONDE_OP_LISTEN, 0, fd);
    int result = loop_fault(loop, SONDE_OP_LISTEN);
    if (result == 0)
        result = listen(fd, backlog) < 0 ? -errno : 0;
    if (loop_probing(loop))
        timed.event.args[0] = backlog;
    return end(&timed, result, fd);
}

int call_shutdown(struct sonde_loop *loop, uint64_t stream, int fd, int how)
{
    struct timed timed;

    begin(&timed, loop, SONDE_OP_SHUTDOWN, stream, fd);
    int result = loop_fault(loop, SONDE_OP_SHUTDOWN);
    if (result == 0) {
        int borrowed = io_borrow_fd(loop, fd);
        result = borrowed;
        if (borrowed >= 0)
            result = shutdown(borrowed, how) < 0 ? -errno : 0;
        io_return_fd(loop, fd, borrowed);
    }
    if (loop_probing(loop))
        timed.event.args[0] = how;
    return end(&timed, result, fd);
}

void call_close(struct sonde_loop *loop, uint64_t stream, int fd)
{
    struct timed timed;

    begin(&timed, loop, SONDE_OP_CLOSE, stream, fd);
    end(&timed, close(fd) < 0 ? -errno : 0, -1);
}

int call_recvmmsg(struct sonde_loop *loop, int fd, struct mmsghdr *messages, unsigned n, int flags)
{
    int result = loop_fault(loop, SONDE_OP_RECEIVE);

    if (result < 0)
        return result;
    result = recvmmsg(fd, messages, n, flags, NULL);
    return result < 0 ? -errno : result;
}

int call_sendmmsg(struct sonde_loop *loop, int fd, struct mmsghdr *messages, unsigned n, int flags)
{
    int result = loop_fault(loop, SONDE_OP_SEND);

    if (result < 0)
        return result;
    result = sendmmsg(fd, messages, n, (unsigned)flags);
    return result < 0 ? -errno : result;
}

int call_getsockopt(struct sonde_loop *loop, int fd, int level, int name, void *ret_value, socklen_t *n)
{
    int borrowed = io_borrow_fd(loop, fd);
    int result = borrowed;

    if (borrowed >= 0)
        result = getsockopt(borrowed, level, name, ret_value, n) < 0 ? -errno : 0;
    io_return_fd(loop, fd, borrowed);
    return result;
}

int call_getsockname(struct sonde_loop *loop, int fd, struct sockaddr *ret_address, socklen_t *n)
{
    int borrowed = io_borrow_fd(loop, fd);
    int result = borrowed;

    if (borrowed >= 0)
        result = getsockname(borrowed, ret_address, n) < 0 ? -errno : 0;
    io_return_fd(loop, fd, borrowed);
    return result;
}
