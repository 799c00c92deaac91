/* SPDX-License-Identifier: MIT */
/* Plain UDP sockets, for what is at the other end of a datagram. */
#ifndef CONTRACT_UDP_SOCKETS_H
#define CONTRACT_UDP_SOCKETS_H

#include "contract.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

static inline int raw_udp(const char *address)
{
    struct sockaddr_in at = {.sin_family = AF_INET};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    assert_true(fd >= 0);
    assert_int_equal(inet_pton(AF_INET, address, &at.sin_addr), 1);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
    return fd;
}

static inline struct sockaddr_in at_port(const char *address, uint16_t port)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(port)};

    assert_int_equal(inet_pton(AF_INET, address, &at.sin_addr), 1);
    return at;
}

static inline void raw_send(int fd, uint16_t port, const void *data, size_t n_bytes)
{
    struct sockaddr_in to = at_port("127.0.0.1", port);

    assert_int_equal(sendto(fd, data, n_bytes, 0, (struct sockaddr *)&to, sizeof to), n_bytes);
}

static inline uint16_t raw_port(int fd)
{
    struct sockaddr_in at;
    socklen_t n = sizeof at;

    assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &n), 0);
    return ntohs(at.sin_port);
}

/* Keeps its port, and hears nobody any more: what is sent there is refused. */
static inline void raw_deafen(int fd)
{
    struct sockaddr_in to = at_port("127.0.0.1", raw_port(fd));

    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
}

/* A datagram that has come: its length; -1: none has. */
static inline int raw_take(int fd, void *buffer, size_t n_bytes)
{
    return (int)recv(fd, buffer, n_bytes, MSG_DONTWAIT);
}

#endif
