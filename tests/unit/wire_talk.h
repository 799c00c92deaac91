/* SPDX-License-Identifier: MIT */
/* Wires for tests: begun or skipped, with sockets at both ends that talk. */
#ifndef TESTS_UNIT_WIRE_TALK_H
#define TESTS_UNIT_WIRE_TALK_H

#include "wire/wire.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define TALK_MS 20000

static inline int64_t talk_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * NS_PER_S + now.tv_nsec;
}

/* Of the rules in this language, the same both ways; NULL: none. Skips the test where there are no wires. */
static inline struct wire *wire_begun(struct wire_settings settings, const char *a_to_b, const char *b_to_a)
{
    struct sonde_why why = {0};
    struct wire *wire = NULL;
    if (a_to_b)
        assert_int_equal(wire_rules_parse(a_to_b, &settings.rules[END_A], &why), 0);
    if (b_to_a)
        assert_int_equal(wire_rules_parse(b_to_a, &settings.rules[END_B], &why), 0);
    int error = wire_start(&settings, &wire, &why);
    if (error == -EPERM || error == -EACCES || error == -ENOSPC || error == -EOPNOTSUPP) {
        print_message("skipped: %s: %s\n", why.call, why.detail);
        skip();
    }
    if (error < 0)
        fail_msg("wire_start: %s: %s %s", why.call, sonde_strerror(error), why.detail);
    return wire;
}

static inline socklen_t wire_address(const char *text, uint16_t port, struct sockaddr_storage *ret_address)
{
    struct sockaddr_in ipv4 = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct sockaddr_in6 ipv6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    memset(ret_address, 0, sizeof *ret_address);
    if (inet_pton(AF_INET, text, &ipv4.sin_addr) == 1) {
        memcpy(ret_address, &ipv4, sizeof ipv4);
        return sizeof ipv4;
    }
    assert_int_equal(inet_pton(AF_INET6, text, &ipv6.sin6_addr), 1);
    memcpy(ret_address, &ipv6, sizeof ipv6);
    return sizeof ipv6;
}

static inline int bound(struct wire *wire, enum event_end end, int type, const char *address, uint16_t port)
{
    struct sockaddr_storage name;
    socklen_t n_bytes = wire_address(address, port, &name);
    int fd = wire_socket(wire, end, name.ss_family, type, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&name, n_bytes), 0);
    if (type == SOCK_STREAM)
        assert_int_equal(listen(fd, 16), 0);
    return fd;
}

static inline int connect_to(int fd, const char *address, uint16_t port)
{
    struct sockaddr_storage name;
    socklen_t n_bytes = wire_address(address, port, &name);
    return connect(fd, (struct sockaddr *)&name, n_bytes) < 0 ? -errno : 0;
}

static inline bool readable(int fd, int within_ms)
{
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    return poll(&wait, 1, within_ms) == 1;
}

/* A connection from that end to the other. */
struct talk {
    int listener, client, server;
};

static inline void talk_open(struct talk *talk, struct wire *wire, enum event_end client, const char *address)
{
    const int on = 1;
    int family = strchr(address, ':') ? AF_INET6 : AF_INET;
    talk->listener = bound(wire, other_end(client), SOCK_STREAM, address, 7007);
    talk->client = wire_socket(wire, client, family, SOCK_STREAM, 0);
    assert_true(talk->client >= 0);
    assert_int_equal(connect_to(talk->client, address, 7007), 0);
    assert_true(readable(talk->listener, TALK_MS));
    talk->server = accept4(talk->listener, NULL, NULL, SOCK_CLOEXEC);
    assert_true(talk->server >= 0);
    setsockopt(talk->client, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(talk->server, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

static inline void talk_close(struct talk *talk)
{
    close(talk->client);
    close(talk->server);
    close(talk->listener);
}

/* Ends it so that nothing more of it is under way: the one end resets, the other has heard so. */
static inline void talk_reset(struct talk *talk)
{
    const struct linger reset = {.l_onoff = 1};
    char byte;
    assert_int_equal(setsockopt(talk->client, SOL_SOCKET, SO_LINGER, &reset, sizeof reset), 0);
    close(talk->client);
    assert_true(readable(talk->server, TALK_MS));
    assert_int_equal(recv(talk->server, &byte, 1, 0), -1);
    assert_int_equal(errno, ECONNRESET);
    close(talk->server);
    close(talk->listener);
}

static inline void say_to(int from, int to, const char *text)
{
    char heard[64] = "";
    assert_int_equal(send(from, text, strlen(text), MSG_NOSIGNAL), strlen(text));
    assert_true(readable(to, TALK_MS));
    assert_int_equal(recv(to, heard, sizeof heard - 1, 0), strlen(text));
    assert_string_equal(heard, text);
}

static inline void ping_pong(struct talk *talk, unsigned n)
{
    while (n-- > 0) {
        say_to(talk->client, talk->server, "ping");
        say_to(talk->server, talk->client, "pong");
    }
}

#endif
