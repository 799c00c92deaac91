/* SPDX-License-Identifier: MIT */
/* Connecting through proxies. What they refuse and what fails is in contract_through_fails.c. */
#include "names.h"
#include "proxy_side.h"

#include "net/proxy_header.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* --- what works ------------------------------------------------------------------------------------------------- */

static void socks5(struct contract *c)
{
    struct end end = {.on_end = end_close};
    struct sonde_address peer;
    struct proxy proxy;
    char text[SONDE_ADDRESS_TEXT];

    open_proxy(&proxy, c, "socks5://");
    through(&end, &proxy, "tcp://192.0.2.1:80");
    assert_int_equal(CALL(sonde_stream_write(end.stream, "early", 5)), 0);
    EXPECT(&proxy, HELLO);
    SAY(&proxy, NONE);
    EXPECT(&proxy, "\5\1\0\1\xc0\0\2\1\0\x50");
    some_turns(c);
    assert_false(end.opened);
    SAY(&proxy, YES "behind it");
    until(c, end.opened && end.n_received == 9);
    assert_string_equal(end.story, "od");
    assert_string_equal(end.text, "behind it");
    EXPECT(&proxy, "early");
    sonde_stream_peer(end.stream, &peer);
    sonde_address_format(&peer, text, sizeof text);
    assert_string_equal(text, "192.0.2.1:80");
    assert_int_equal(sonde_stream_sent_bytes(end.stream), 5);
    SAY(&proxy, "more");
    until(c, end.n_received == 13);
    raw_shutdown(proxy.raw);
    until(c, end.closed);
    assert_string_equal(end.story, "odec");
    close_proxy(&proxy);
}

/* The whole answer, data and end at once, cut anywhere. */
static void any_split(struct contract *c)
{
    static const char answer[] = "HTTP/1.1 200 Connection established\r\nX: y\r\n\r\ndata";
    size_t n_all = sizeof answer - 1;

    for (size_t cut = 0; cut <= n_all; cut += 3) {
        struct end end = {.on_end = end_close};
        struct proxy proxy;
        snprintf(c->note, sizeof c->note, "cut at %zu", cut);
        open_proxy(&proxy, c, "http://me:secret@");
        through(&end, &proxy, "tcp://far.test:443");
        EXPECT(&proxy, "CONNECT far.test:443 HTTP/1.1\r\nHost: far.test:443\r\n"
                       "Proxy-Authorization: Basic bWU6c2VjcmV0\r\n\r\n");
        say(&proxy, answer, cut);
        if (cut < n_all)
            some_turns(c);
        say(&proxy, answer + cut, n_all - cut);
        raw_shutdown(proxy.raw);
        until(c, end.closed);
        assert_string_equal(end.story, "odec");
        assert_string_equal(end.text, "data");
        close_proxy(&proxy);
    }
}

/* What is not known is not made up. */
static void names_go_to_the_proxy(struct contract *c)
{
    struct end end = {.on_end = end_close};
    struct sonde_address peer;
    struct proxy proxy;

    open_proxy(&proxy, c, "socks5h://");
    through(&end, &proxy, "tcp://no.such.name.invalid:7");
    EXPECT(&proxy, HELLO);
    SAY(&proxy, NONE);
    EXPECT(&proxy, "\5\1\0\3\x14no.such.name.invalid\0\7");
    SAY(&proxy, YES);
    until(c, end.opened);
    sonde_stream_peer(end.stream, &peer);
    assert_int_equal(peer.family, 0);
    raw_close(proxy.raw);
    proxy.raw = -1;
    until(c, end.closed);
    close_proxy(&proxy);
}

static void names_known_here(struct contract *c)
{
    struct end end = {.on_end = end_close};
    struct proxy proxy;

    open_proxy(&proxy, c, "socks5://");
    through(&end, &proxy, "tcp://localhost:7");
    EXPECT(&proxy, HELLO);
    SAY(&proxy, NONE);
    EXPECT(&proxy, "\5\1\0\1\x7f\0\0\1\0\7");
    SAY(&proxy, YES);
    until(c, end.opened);
    raw_close(proxy.raw);
    proxy.raw = -1;
    until(c, end.closed);
    close_proxy(&proxy);
}

/* The far end's name is looked up while the proxy is connected to; whichever is first waits for the other. */
static void names_looked_up_here(struct contract *c)
{
    for (int late = 0; late < 2; late++) {
        struct end end = {.on_end = end_close};
        struct proxy proxy;
        char byte;
        open_proxy(&proxy, c, "socks5://");
        if (late)
            names_hold();
        through(&end, &proxy, late ? "tcp://slow.test:7" : "tcp://two.test:7");
        if (late) {
            until(c, names_waiting() > 0);
            some_turns(c);
            assert_int_equal(raw_read(proxy.raw, &byte, 1), -EAGAIN);
            names_release();
        }
        EXPECT(&proxy, HELLO);
        SAY(&proxy, NONE);
        EXPECT(&proxy, "\5\1\0\1\x7f\0\0\1\0\7");
        SAY(&proxy, YES);
        until(c, end.opened);
        raw_close(proxy.raw);
        proxy.raw = -1;
        until(c, end.closed);
        close_proxy(&proxy);
    }
}

static void far_name_fails(struct contract *c)
{
    struct end end = {.on_failed = end_close};
    struct proxy proxy;

    open_proxy(&proxy, c, "socks5://");
    through(&end, &proxy, "tcp://fails.test:7");
    until(c, end.closed);
    assert_int_equal(end.error, -SONDE_ENAME);
    assert_string_equal(end.why.call, "getaddrinfo");
    assert_string_equal(end.why.subject, "fails.test");
    assert_null(strstr(end.why.detail, "the proxy"));
    close_proxy(&proxy);
}

static void proxy_name_fails(struct contract *c)
{
    struct end end = {.on_failed = end_close};
    struct proxy proxy;
    struct sonde_why why;

    open_proxy(&proxy, c, "socks5h://");
    strcpy(proxy.proxy.host, "fails.test");
    assert_int_equal(try_through(&end, &proxy, "tcp://far:7", NULL, &why), 0);
    until(c, end.closed);
    assert_int_equal(end.error, -SONDE_ENAME);
    assert_string_equal(end.why.call, "getaddrinfo");
    assert_non_null(strstr(end.why.detail, "the proxy can't be reached"));
    close_proxy(&proxy);
}

static void far_name_is_late(struct contract *c)
{
    for (int i = 0; i < 2; i++) {
        struct sonde_connect_options options = {.size = sizeof options, .timeout_ns = 3600 * SECOND};
        struct end end = {.on_failed = end_close};
        struct proxy proxy;
        struct sonde_why why;
        open_proxy(&proxy, c, "socks5://");
        names_hold();
        if (i == 0) {
            assert_int_equal(try_through(&end, &proxy, "tcp://slow.test:7", &options, &why), 0);
            proxy.raw = raw_accept(c, proxy.listener);
            until(c, names_waiting() > 0);
            some_turns(c);
            contract_jump(3600 * SECOND);
            until(c, end.closed);
            assert_int_equal(end.error, -ETIMEDOUT);
            assert_string_equal(end.why.call, "getaddrinfo");
            assert_string_equal(end.why.subject, "slow.test:7");
        } else {
            through(&end, &proxy, "tcp://slow.test:7");
            until(c, names_waiting() > 0);
            end_close(&end);
            until(c, end.closed);
        }
        names_release();
        close_proxy(&proxy);
    }
}

/* Several addresses of the proxy: they are raced as those of anything else. */
static void proxy_with_two_addresses(struct contract *c)
{
    struct sonde_attempt attempts[4];
    struct end end = {.on_end = end_close};
    struct proxy proxy;

    open_proxy(&proxy, c, "socks5h://");
    strcpy(proxy.proxy.host, "two.test");
    through(&end, &proxy, "tcp://far:80");
    EXPECT(&proxy, HELLO);
    SAY(&proxy, NONE);
    EXPECT(&proxy, "\5\1\0\3\3far\0\x50");
    assert_int_equal(sonde_stream_attempts(end.stream, attempts, 4), 2);
    assert_int_equal(attempts[0].error, -ECONNREFUSED);
    assert_int_equal(attempts[1].error, 0);
    SAY(&proxy, YES);
    until(c, end.opened);
    raw_close(proxy.raw);
    proxy.raw = -1;
    until(c, end.closed);
    close_proxy(&proxy);
}

static void login(struct contract *c)
{
    struct end end = {.on_end = end_close};
    struct proxy proxy;

    open_proxy(&proxy, c, "socks5://me:secret@");
    through(&end, &proxy, "tcp://[2001:db8::1]:80");
    EXPECT(&proxy, "\5\2\0\2");
    SAY(&proxy, "\5\2");
    EXPECT(&proxy, "\1\2me\6secret");
    SAY(&proxy, "\1");
    some_turns(c);
    SAY(&proxy, "\0");
    EXPECT(&proxy, "\5\1\0\4\x20\1\xd\xb8\0\0\0\0\0\0\0\0\0\0\0\1\0\x50");
    SAY(&proxy, "\5\0\0\3\5");
    some_turns(c);
    SAY(&proxy, "abcdeqq");
    until(c, end.opened);
    assert_int_equal(end.n_received, 0);
    raw_close(proxy.raw);
    proxy.raw = -1;
    until(c, end.closed);
    close_proxy(&proxy);
}

/* The PROXY protocol's header is for the far end: it follows the talk with the proxy. */
static void header_behind_it(struct contract *c)
{
    for (int known = 0; known < 2; known++) {
        struct end end = {.on_end = end_close};
        struct proxy proxy;
        char text[96];
        open_proxy(&proxy, c, "socks5h://");
        through(&end, &proxy, known ? "tcp://192.0.2.1:80?proxy=v1" : "tcp://far:80?proxy=v1");
        EXPECT(&proxy, HELLO);
        SAY(&proxy, NONE);
        if (known)
            EXPECT(&proxy, "\5\1\0\1\xc0\0\2\1\0\x50");
        else
            EXPECT(&proxy, "\5\1\0\3\3far\0\x50");
        SAY(&proxy, YES "first");
        struct sockaddr_in own;
        socklen_t n_own = sizeof own;
        getpeername(proxy.raw, (struct sockaddr *)&own, &n_own);
        int n = known ? snprintf(text, sizeof text, "PROXY TCP4 127.0.0.1 192.0.2.1 %u 80\r\n", ntohs(own.sin_port))
                      : snprintf(text, sizeof text, "PROXY UNKNOWN\r\n");
        expect(&proxy, text, (size_t)n);
        until(c, end.n_received == 5);
        assert_string_equal(end.story, "od");
        raw_close(proxy.raw);
        proxy.raw = -1;
        until(c, end.closed);
        close_proxy(&proxy);
    }
}

/* --- whatever its owner does meanwhile -------------------------------------------------------------------------- */

static void close_in_between(struct contract *c)
{
    for (int i = 0; i < 8; i++) {
        struct end end = {.on_end = end_close};
        struct proxy proxy;
        char byte[64];
        snprintf(c->note, sizeof c->note, "way %d", i);
        open_proxy(&proxy, c, "socks5h://");
        through(&end, &proxy, "tcp://far:80");
        if (i >= 2)
            until(c, raw_read(proxy.raw, byte, sizeof byte) > 0);
        if (i >= 4)
            SAY(&proxy, NONE);
        if (i >= 6)
            until(c, raw_read(proxy.raw, byte, sizeof byte) > 0);
        if (i % 2 == 0)
            end_close(&end);
        else
            end_abort(&end);
        until(c, end.closed);
        assert_string_equal(end.story, "c");
        int last = 0;
        until(c, (last = raw_read(proxy.raw, byte, sizeof byte)) != -EAGAIN && last <= 0);
        close_proxy(&proxy);
    }
}

static void pause_in_between(struct contract *c)
{
    struct end end = {.on_end = end_close};
    struct proxy proxy;

    open_proxy(&proxy, c, "socks5h://");
    through(&end, &proxy, "tcp://far:80");
    DO(sonde_stream_pause(end.stream));
    EXPECT(&proxy, HELLO);
    DO(sonde_stream_resume(end.stream));
    DO(sonde_stream_pause(end.stream));
    SAY(&proxy, NONE);
    EXPECT(&proxy, "\5\1\0\3\3far\0\x50");
    SAY(&proxy, YES "data");
    raw_shutdown(proxy.raw);
    until(c, end.opened);
    some_turns(c);
    assert_string_equal(end.story, "o");
    DO(sonde_stream_resume(end.stream));
    until(c, end.closed);
    assert_string_equal(end.story, "odec");
    assert_string_equal(end.text, "data");
    close_proxy(&proxy);
}

static void shutdown_in_between(struct contract *c)
{
    struct end end = {.on_end = end_close};
    struct proxy proxy;
    char byte;
    int n = 0;

    open_proxy(&proxy, c, "socks5h://");
    through(&end, &proxy, "tcp://far:80");
    assert_int_equal(CALL(sonde_stream_write(end.stream, "all", 3)), 0);
    DO(sonde_stream_shutdown(end.stream));
    EXPECT(&proxy, HELLO);
    SAY(&proxy, NONE);
    EXPECT(&proxy, "\5\1\0\3\3far\0\x50");
    SAY(&proxy, YES);
    EXPECT(&proxy, "all");
    until(c, (n = raw_read(proxy.raw, &byte, 1)) != -EAGAIN);
    assert_int_equal(n, 0);
    raw_shutdown(proxy.raw);
    until(c, end.closed);
    assert_string_equal(end.story, "oec");
    close_proxy(&proxy);
}

static void close_in_opened(struct contract *c)
{
    struct end end = {.on_opened = end_close};
    struct proxy proxy;

    open_proxy(&proxy, c, "socks5h://");
    through(&end, &proxy, "tcp://far:80?proxy=v2");
    EXPECT(&proxy, HELLO);
    SAY(&proxy, NONE);
    EXPECT(&proxy, "\5\1\0\3\3far\0\x50");
    SAY(&proxy, YES "data");
    until(c, end.closed);
    assert_string_equal(end.story, "oc");
    close_proxy(&proxy);
}

int main(int argc, char **argv)
{
    static const struct contract_test tests[] = {
        CONTRACT_TEST(socks5),
        CONTRACT_TEST(any_split),
        CONTRACT_TEST(names_go_to_the_proxy),
        CONTRACT_TEST(names_known_here),
        CONTRACT_TEST(names_looked_up_here),
        CONTRACT_TEST(far_name_fails),
        CONTRACT_TEST(proxy_name_fails),
        CONTRACT_TEST(far_name_is_late),
        CONTRACT_TEST(proxy_with_two_addresses),
        CONTRACT_TEST(login),
        CONTRACT_TEST(header_behind_it),
        CONTRACT_TEST(close_in_between),
        CONTRACT_TEST(pause_in_between),
        CONTRACT_TEST(shutdown_in_between),
        CONTRACT_TEST(close_in_opened),
    };
    return contract_main(argc, argv, tests, sizeof tests / sizeof *tests);
}
