/* SPDX-License-Identifier: MIT */
/*
 * Theory of operation: a descriptor can be anything, so that each thing it should be is asked for, and what it is
 * instead is said. O_NONBLOCK belongs to the open socket, which whoever passed it may share: a listener needs it, since
 * somebody else may take the connection that it was woken for; a connection does not, since every call on it says
 * itself that it will not wait.
 */
#include "net/adopt.h"

#include "base/parse.h"
#include "net/address.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif

static int refuse(struct sonde_why *why, int error, const char *detail)
{
    why->code = error;
    snprintf(why->detail, sizeof why->detail, "%s", detail);
    return error;
}

static int ask(int fd, int name, int *ret_value)
{
    socklen_t n = sizeof *ret_value;

    return getsockopt(fd, SOL_SOCKET, name, ret_value, &n) < 0 ? -errno : 0;
}

static int check_kind(int fd, int *ret_family, struct sonde_why *why)
{
    int type = 0, family = 0, protocol = 0;

    if (fcntl(fd, F_GETFD) < 0)
        return refuse(why, -EBADF, "no such descriptor is open");
    int error = ask(fd, SO_TYPE, &type);
    if (error == 0)
        error = ask(fd, SO_DOMAIN, &family);
    if (error == 0)
        error = ask(fd, SO_PROTOCOL, &protocol);
    if (error < 0)
        return refuse(why, error, error == -ENOTSOCK ? "the descriptor is open, but is not a socket" : "");
    if (type == SOCK_DGRAM)
        return refuse(why, -EPROTOTYPE, "a datagram socket; a stream socket is needed");
    if (type != SOCK_STREAM)
        return refuse(why, -EPROTOTYPE, "not a stream socket");
    bool is_ip = (family == AF_INET || family == AF_INET6) && (protocol == IPPROTO_TCP || protocol == IPPROTO_MPTCP);
    if (!is_ip && family != AF_UNIX)
        return refuse(why, -EPROTOTYPE, "neither a TCP nor a UNIX socket");
    *ret_family = family;
    return 0;
}

static int check_state(int fd, bool to_listen, struct sonde_address *ret_peer, struct sonde_why *why)
{
    struct sockaddr_storage peer;
    socklen_t n = sizeof peer;
    int listens = 0;

    int error = ask(fd, SO_ACCEPTCONN, &listens);
    if (error < 0)
        return refuse(why, error, "");
    if (to_listen && listens)
        return 0;
    if (listens)
        return refuse(why, -EINVAL, "a listener, not a connection");
    bool is_connected = getpeername(fd, (struct sockaddr *)&peer, &n) == 0;
    if (to_listen)
        return refuse(why, -EINVAL,
                      is_connected ? "a connection, not a listener: with systemd, say Accept=no"
                                   : "a socket that does not listen (listen(2))");
    if (!is_connected)
        return refuse(why, -ENOTCONN, "a socket that is not connected");
    address_from_sockaddr((struct sockaddr *)&peer, n, ret_peer);
    return 0;
}

static void find_name(int fd, struct adopted *adopted)
{
    struct sockaddr_storage local = {.ss_family = AF_UNSPEC};
    socklen_t n = sizeof local;

    if (getsockname(fd, (struct sockaddr *)&local, &n) < 0)
        return;
    address_from_sockaddr((struct sockaddr *)&local, n, &adopted->local);
    if (adopted->family != AF_UNIX || n <= offsetof(struct sockaddr_un, sun_path))
        return;
    const struct sockaddr_un *un = (const struct sockaddr_un *)&local;
    size_t n_path = n - offsetof(struct sockaddr_un, sun_path);
    if (n_path > sizeof adopted->path) /* the kernel's NUL behind a path that fills all of it */
        n_path = sizeof adopted->path;
    if (un->sun_path[0] != '\0')
        n_path = strnlen(un->sun_path, n_path);
    memcpy(adopted->path, un->sun_path, n_path);
    adopted->path_bytes = (uint16_t)n_path;
}

int adopt_look(const struct sonde_url *url, bool to_listen, struct adopted *ret_adopted, struct sonde_why *why)
{
    struct adopted adopted = {.fd = -1};
    uint64_t number;

    why->call = to_listen ? "listen" : "connect";
    sonde_url_format(url, why->subject, sizeof why->subject);
    if (parse_number(url->host, strnlen(url->host, sizeof url->host), false, INT32_MAX, &number) < 0)
        return refuse(why, -EBADF, "a descriptor is a number");
    adopted.fd = (int)number;
    int error = check_kind(adopted.fd, &adopted.family, why);
    if (error == 0)
        error = check_state(adopted.fd, to_listen, &adopted.peer, why);
    if (error < 0)
        return error;
    find_name(adopted.fd, &adopted);
    *ret_adopted = adopted;
    return 0;
}

int adopt_take(int fd, bool to_listen)
{
    int flags = fcntl(fd, F_GETFL);

    if (flags < 0 || (to_listen && fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0))
        return -errno;
    int descriptor_flags = fcntl(fd, F_GETFD);
    if (descriptor_flags >= 0 && fcntl(fd, F_SETFD, descriptor_flags | FD_CLOEXEC) >= 0)
        return 0;
    int error = -errno;
    fcntl(fd, F_SETFL, flags);
    return error;
}
