/* SPDX-License-Identifier: MIT */
/* Real sockets on loopback, made and looked for among all that the kernel lists. */
#ifndef TESTS_UNIT_SOCKETS_SCENE_H
#define TESTS_UNIT_SOCKETS_SCENE_H

#include "observe/sockets/sockets_internal.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define DEADLINE_MS 20000

static struct sockets *sockets;

static inline int open_sockets(void **state)
{
    (void)state;
    struct sonde_why why;
    return sockets_open(&sockets, &why);
}

static inline int close_sockets(void **state)
{
    (void)state;
    sockets_close(sockets);
    sockets_close(NULL);
    return 0;
}

static inline int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * INT64_C(1000) + now.tv_nsec / 1000000;
}

/* ---- sockets */

static inline uint64_t cookie_of(int fd)
{
    uint64_t cookie = 0;
    socklen_t n_bytes = sizeof cookie;
    assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &n_bytes), 0);
    return cookie;
}

static inline struct sonde_address address_of(const struct sockaddr_storage *storage)
{
    struct sonde_address address = {.family = storage->ss_family};
    if (storage->ss_family == AF_INET) {
        const struct sockaddr_in *in = (const void *)storage;
        address.port = ntohs(in->sin_port);
        memcpy(address.u.ip, &in->sin_addr, 4);
    } else {
        const struct sockaddr_in6 *in6 = (const void *)storage;
        address.port = ntohs(in6->sin6_port);
        memcpy(address.u.ip, &in6->sin6_addr, 16);
    }
    return address;
}

static inline struct sonde_address local_of(int fd)
{
    struct sockaddr_storage storage = {0};
    socklen_t n_bytes = sizeof storage;
    assert_int_equal(getsockname(fd, (void *)&storage, &n_bytes), 0);
    return address_of(&storage);
}

/* Bound to a free port; -1: this family is not there. */
static inline int bound(int family, int type)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    int fd = socket(family, type | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    int result = family == AF_INET ? bind(fd, (void *)&in, sizeof in) : bind(fd, (void *)&in6, sizeof in6);
    if (result == 0)
        return fd;
    close(fd);
    return -1;
}

static inline int listener_of(int family, int backlog)
{
    int fd = bound(family, SOCK_STREAM);
    if (fd >= 0)
        assert_int_equal(listen(fd, backlog), 0);
    return fd;
}

static inline int connected_to(int listener)
{
    struct sockaddr_storage storage = {0};
    socklen_t n_bytes = sizeof storage;
    assert_int_equal(getsockname(listener, (void *)&storage, &n_bytes), 0);
    int fd = socket(storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (void *)&storage, n_bytes), 0);
    return fd;
}

static inline int accepted_from(int listener)
{
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    assert_true(fd >= 0);
    return fd;
}

/* ---- looking */

struct search {
    uint64_t cookie;
    struct socket_info socket;
    unsigned n_found, n_seen;
};

static inline bool search_one(const struct socket_info *socket, void *user)
{
    struct search *search = user;
    search->n_seen++;
    if (socket->cookie == search->cookie) {
        search->socket = *socket;
        search->n_found++;
    }
    return true;
}

static inline struct socket_info dumped(int fd, unsigned kinds, unsigned with, const struct sockets_filter *filter)
{
    struct search search = {.cookie = cookie_of(fd)};
    assert_true(sockets_dump(sockets, kinds, with, filter, search_one, &search) >= 0);
    assert_int_equal(search.n_found, 1);
    return search.socket;
}

/* Look again until it is in this state with these queues. */
static inline struct socket_info until(int fd, enum tcp_state state, uint32_t receive_queue, uint32_t send_queue)
{
    int64_t deadline_ms = now_ms() + DEADLINE_MS;
    struct socket_info socket;
    do
        socket = dumped(fd, SOCKETS_TCP, 0, NULL);
    while ((socket.state != state || socket.receive_queue != receive_queue || socket.send_queue != send_queue) &&
           now_ms() < deadline_ms);
    assert_string_equal(tcp_state_name(socket.state), tcp_state_name(state));
    assert_int_equal(socket.receive_queue, receive_queue);
    assert_int_equal(socket.send_queue, send_queue);
    return socket;
}

#endif
