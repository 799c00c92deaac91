/* SPDX-License-Identifier: MIT */
/* Sockets for watch, described by hand. */
#ifndef TESTS_UNIT_WATCH_SCENE_H
#define TESTS_UNIT_WATCH_SCENE_H

#include "observe/sockets/sockets.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

static inline struct sonde_address at(const char *ip, uint16_t port)
{
    struct sonde_address address = {.family = AF_INET, .port = port};
    assert_int_equal(inet_pton(AF_INET, ip, address.u.ip), 1);
    return address;
}

static inline struct socket_info tcp(uint64_t cookie, enum tcp_state tcp_state, uint16_t local, uint16_t peer)
{
    struct socket_info info = {.cookie = cookie,
                               .family = AF_INET,
                               .type = SOCK_STREAM,
                               .protocol = IPPROTO_TCP,
                               .state = (uint8_t)tcp_state,
                               .local = at("127.0.0.1", local)};
    if (peer)
        info.peer = at("127.0.0.1", peer);
    return info;
}

#endif
