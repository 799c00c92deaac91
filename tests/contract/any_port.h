/* SPDX-License-Identifier: MIT */
/* A port for every client (any://) with a web server of its own, requests for it, and plain sockets that ask. */
#ifndef CONTRACT_ANY_PORT_H
#define CONTRACT_ANY_PORT_H

#include "ends.h"

#include <sonde/ws.h>
#include <sys/socket.h>

#define AT "any://127.0.0.1:0"

/* A certificate is made for each listener, which takes a while: most of these tests do without. */
#define NO_TLS (1u << SONDE_ANY_RAW | 1u << SONDE_ANY_HTTP | 1u << SONDE_ANY_WS)

static inline void send_bytes(int fd, const void *bytes, size_t n)
{
    assert_int_equal(send(fd, bytes, n, MSG_NOSIGNAL), n);
}

/* What a plain socket has been answered, until its end. */
struct answer {
    char text[8192];
    size_t n;
    bool is_over;
};

static inline bool read_more(int fd, struct answer *answer)
{
    int n = raw_read(fd, answer->text + answer->n, sizeof answer->text - 1 - answer->n);

    answer->is_over = n == 0 || (n < 0 && n != -EAGAIN);
    answer->n += n > 0 ? (size_t)n : 0;
    answer->text[answer->n] = '\0';
    return answer->is_over;
}

#define POST(body) "POST /x?y HTTP/1.1\r\nHost: localhost\r\n" body
#define CHUNKED POST("Transfer-Encoding: chunked\r\n\r\n4\r\nhell\r\n1;x\r\no\r\n0\r\nT: x\r\n\r\n")
#define LENGTH POST("Content-Length: 5\r\n\r\nhello")

/* Hosts have the port in them unless the listener is told of a further name; this is shorter. */
static const char *const hosts[] = {"localhost", NULL};

static inline void open_web(struct server *server, struct contract *c, unsigned most_ends, unsigned kinds)
{
    const struct sonde_web_server web = {.size = sizeof web, .hosts = hosts, .subprotocols = "chat"};
    const struct sonde_listen_options options = {
        .size = sizeof options,
        .any_kinds = kinds,
        .any_wait_ns = 60 * SECOND,
        .web = &web,
    };

    server_open_at(server, c, most_ends, &options, AT);
}

#endif
