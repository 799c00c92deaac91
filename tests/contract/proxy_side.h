/* SPDX-License-Identifier: MIT */
/* A stream that connects through a proxy, which is a plain socket of the test and says what it is told to. */
#ifndef CONTRACT_PROXY_SIDE_H
#define CONTRACT_PROXY_SIDE_H

#include "ends.h"

#include <stdio.h>
#include <sys/socket.h>

#define HELLO "\5\1\0"
#define NONE "\5\0"
#define YES "\5\0\0\1\0\0\0\0\0\0"

struct proxy {
    struct contract *c;
    int listener, raw;
    uint16_t port;
    struct sonde_proxy proxy;
};

static inline void open_proxy(struct proxy *proxy, struct contract *c, const char *scheme)
{
    char text[128];
    struct sonde_why why;

    *proxy = (struct proxy){.c = c, .raw = -1};
    proxy->listener = raw_listen(5, 0, &proxy->port);
    snprintf(text, sizeof text, "%s127.0.0.1:%u", scheme, proxy->port);
    if (sonde_proxy_parse(text, &proxy->proxy, &why) < 0)
        fail_msg("%s: %s", text, why.detail);
}

static inline void close_proxy(struct proxy *proxy)
{
    if (proxy->raw >= 0)
        raw_close(proxy->raw);
    raw_close(proxy->listener);
    if (proxy->c->loop != NULL)
        contract_run(proxy->c); /* nothing is left open */
}

static inline int try_through(struct end *end, struct proxy *proxy, const char *url_text,
                              struct sonde_connect_options *options, struct sonde_why *ret_why)
{
    struct sonde_connect_options none = {.size = sizeof none};
    struct sonde_url url = contract_url("%s", url_text);

    if (options == NULL)
        options = &none;
    options->proxy = &proxy->proxy;
    end->c = proxy->c;
    return CALL(sonde_connect(proxy->c->loop, &url, options, &end_handler, end, &end->stream, ret_why));
}

static inline void through(struct end *end, struct proxy *proxy, const char *url_text)
{
    struct sonde_why why;

    int error = try_through(end, proxy, url_text, NULL, &why);
    if (error < 0)
        fail_msg("%s: %s %s", sonde_strerror(error), why.subject, why.detail);
    proxy->raw = raw_accept(proxy->c, proxy->listener);
}

/* What comes must be this. */
static inline void expect(struct proxy *proxy, const char *bytes, size_t n)
{
    char got[4096];
    size_t n_got = 0;

    assert_true(n <= sizeof got);
    while (n_got < n) {
        int more = 0;
        until(proxy->c, (more = raw_read(proxy->raw, got + n_got, n - n_got)) != -EAGAIN);
        assert_true(more > 0);
        n_got += (size_t)more;
    }
    assert_memory_equal(got, bytes, n);
}

static inline void say(struct proxy *proxy, const char *bytes, size_t n)
{
    assert_int_equal(send(proxy->raw, bytes, n, MSG_NOSIGNAL), n);
}

#define EXPECT(proxy, text) expect(proxy, text, sizeof(text) - 1)
#define SAY(proxy, text) say(proxy, text, sizeof(text) - 1)

#endif
