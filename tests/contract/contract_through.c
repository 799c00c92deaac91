/* SPDX-License-Identifier: MIT */
/* Connecting through proxies. The proxy is a plain socket of the test, which says what a row says. */
#include "ends.h"
#include "names.h"

#include "net/proxy_header.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define HELLO "\5\1\0"
#define NONE "\5\0"
#define YES "\5\0\0\1\0\0\0\0\0\0"

struct bytes {
    const char *bytes;
    size_t n;
};

#define BYTES(text)                                                                                                    \
    {                                                                                                                  \
        text, sizeof(text) - 1                                                                                         \
    }

struct proxy {
    struct contract *c;
    int listener, raw;
    uint16_t port;
    struct sonde_proxy proxy;
};

static void open_proxy(struct proxy *proxy, struct contract *c, const char *scheme)
{
    char text[128];
    struct sonde_why why;

    *proxy = (struct proxy){.c = c, .raw = -1};
    proxy->listener = raw_listen(5, 0, &proxy->port);
    snprintf(text, sizeof text, "%s127.0.0.1:%u", scheme, proxy->port);
    if (sonde_proxy_parse(text, &proxy->proxy, &why) < 0)
        fail_msg("%s: %s", text, why.detail);
}

static void close_proxy(struct proxy *proxy)
{
    if (proxy->raw >= 0)
        raw_close(proxy->raw);
    raw_close(proxy->listener);
    if (proxy->c->loop != NULL)
        contract_run(proxy->c); /* nothing is left open */
}

static int try_through(struct end *end, struct proxy *proxy, const char *url_text,
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

static void through(struct end *end, struct proxy *proxy, const char *url_text)
{
    struct sonde_why why;

    int error = try_through(end, proxy, url_text, NULL, &why);
    if (error < 0)
        fail_msg("%s: %s %s", sonde_strerror(error), why.subject, why.detail);
    proxy->raw = raw_accept(proxy->c, proxy->listener);
}

/* What comes must be this. */
static void expect(struct proxy *proxy, const char *bytes, size_t n)
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

static void say(struct proxy *proxy, const char *bytes, size_t n)
{
    assert_int_equal(send(proxy->raw, bytes, n, MSG_NOSIGNAL), n);
}

#define EXPECT(proxy, text) expect(proxy, text, sizeof(text) - 1)
#define SAY(proxy, text) say(proxy, text, sizeof(text) - 1)

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

/* --- what does not ---------------------------------------------------------------------------------------------- */

struct refusal {
    const char *scheme, *url;
    struct bytes says[4]; /* once something has come, each time */
    bool ends, resets;    /* behind that */
    int error;
    bool is_far; /* the subject is the far end, otherwise the proxy */
    const char *detail;
};

static const struct refusal refusals[] = {
    {"socks5h://",
     "tcp://far:80",
     {BYTES("\5\xff")},
     false,
     false,
     -SONDE_EPROXY,
     false,
     "the proxy does not connect us: it wants a user and a password, and none are given"},
    {"socks5h://",
     "tcp://far:80",
     {BYTES(NONE), BYTES("\5\5")},
     false,
     false,
     -ECONNREFUSED,
     true,
     "the proxy can't reach it: connection refused (SOCKS reply 5)"},
    {"socks5h://",
     "tcp://far:80",
     {BYTES(NONE), BYTES("\5\4\0\1\0\0\0\0\0\0")},
     true,
     false,
     -EHOSTUNREACH,
     true,
     "the proxy can't reach it: host unreachable (SOCKS reply 4)"},
    {"socks5h://me:secret@",
     "tcp://far:80",
     {BYTES("\5\2"), BYTES("\1\1")},
     false,
     false,
     -SONDE_EPROXY,
     false,
     "the proxy does not connect us: it refused the user and the password"},
    {"socks5h://",
     "tcp://far:80",
     {BYTES("SSH-2.0-x\r\n")},
     false,
     false,
     -SONDE_EPROXY,
     false,
     "the proxy does not connect us: it does not speak SOCKS5"},
    {"http://",
     "tcp://far:80",
     {BYTES("HTTP/1.1 407 Proxy Authentication Required\r\n")},
     false,
     false,
     -SONDE_EPROXY,
     false,
     "the proxy does not connect us: it wants a user and a password: HTTP/1.1 407 Proxy Authentication Required"},
    {"http://",
     "tcp://far:80",
     {BYTES("HTTP/1.1 502 Bad \x1b[2J\r\n")},
     false,
     false,
     -SONDE_EPROXY,
     false,
     "the proxy does not connect us: it does not speak HTTP"},
    {"http://",
     "tcp://far:80",
     {BYTES("HTTP/1.1 502 Bad Gateway\r\n\r\n<html>")},
     false,
     false,
     -SONDE_EPROXY,
     true,
     "the proxy can't reach it: it answered HTTP/1.1 502 Bad Gateway"},
    {"http://",
     "tcp://far:80",
     {BYTES("HTTP/1.1 20")},
     true,
     false,
     -SONDE_EPROXY,
     false,
     "the proxy ended the connection before it had answered"},
    {"socks5h://",
     "tcp://far:80",
     {BYTES(NONE), BYTES("\5")},
     false,
     true,
     -ECONNRESET,
     false,
     "the connection to the proxy was lost"},
};

static void check_refusal(struct contract *c, const struct refusal *refusal)
{
    struct end end = {.on_failed = end_close};
    struct proxy proxy;
    char byte[512], address[64];

    snprintf(c->note, sizeof c->note, "%s", refusal->detail);
    open_proxy(&proxy, c, refusal->scheme);
    through(&end, &proxy, refusal->url);
    for (unsigned i = 0; refusal->says[i].n > 0; i++) {
        until(c, raw_read(proxy.raw, byte, sizeof byte) > 0);
        say(&proxy, refusal->says[i].bytes, refusal->says[i].n);
    }
    if (refusal->ends)
        raw_shutdown(proxy.raw);
    if (refusal->resets) {
        raw_reset(proxy.raw);
        proxy.raw = -1;
    }
    until(c, end.closed);
    assert_string_equal(end.story, "fc");
    assert_int_equal(end.error, refusal->error);
    assert_string_equal(end.why.call, "proxy");
    assert_string_equal(end.why.detail, refusal->detail);
    snprintf(address, sizeof address, "127.0.0.1:%u", proxy.port);
    assert_string_equal(end.why.subject, refusal->is_far ? "far:80" : address);
    assert_null(strstr(end.why.detail, "secret"));
    close_proxy(&proxy);
}

static void all_refusals(struct contract *c)
{
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++)
        check_refusal(c, &refusals[i]);
}

static void proxy_not_there(struct contract *c)
{
    struct end end = {.on_failed = end_close};
    struct proxy proxy;
    struct sonde_why why;
    char address[64];

    open_proxy(&proxy, c, "socks5h://");
    raw_close(proxy.listener);
    proxy.listener = raw_refusing(&proxy.port, NULL);
    proxy.proxy.port = proxy.port;
    assert_int_equal(try_through(&end, &proxy, "tcp://far:80", NULL, &why), 0);
    until(c, end.closed);
    assert_int_equal(end.error, -ECONNREFUSED);
    assert_string_equal(end.why.call, "connect");
    assert_string_equal(end.why.detail, "the proxy can't be reached");
    snprintf(address, sizeof address, "127.0.0.1:%u", proxy.port);
    assert_string_equal(end.why.subject, address);
    close_proxy(&proxy);
}

static void proxy_is_silent(struct contract *c)
{
    struct sonde_connect_options options = {.size = sizeof options, .timeout_ns = 3600 * SECOND};
    struct end end = {.on_failed = end_close};
    struct proxy proxy;
    struct sonde_why why;
    char byte;

    open_proxy(&proxy, c, "http://");
    assert_int_equal(try_through(&end, &proxy, "tcp://far:80", &options, &why), 0);
    proxy.raw = raw_accept(c, proxy.listener);
    until(c, raw_read(proxy.raw, &byte, 1) == 1); /* it has been asked */
    contract_jump(3600 * SECOND);
    until(c, end.closed);
    assert_int_equal(end.error, -ETIMEDOUT);
    assert_string_equal(end.why.call, "proxy");
    assert_string_equal(end.why.detail, "the proxy has not answered in time");
    close_proxy(&proxy);
}

static void known_at_once(struct contract *c)
{
    struct sonde_connect_options options = {.size = sizeof options, .numeric = 1};
    struct end end = {0};
    struct proxy proxy;
    struct sonde_why why;

    open_proxy(&proxy, c, "socks5://");
    assert_int_equal(try_through(&end, &proxy, "unix:/x", NULL, &why), -EINVAL);
    assert_non_null(strstr(why.detail, "tcp:// addresses alone"));
    assert_int_equal(try_through(&end, &proxy, "fd:0", NULL, &why), -EINVAL);
    assert_int_equal(try_through(&end, &proxy, "tcp://*:1", NULL, &why), -EINVAL);
    assert_int_equal(try_through(&end, &proxy, "tcp://far:1", &options, &why), -SONDE_ENAME);
    assert_string_equal(why.subject, "far");
    proxy.proxy.far_names = 1;
    strcpy(proxy.proxy.host, "proxy.test");
    assert_int_equal(try_through(&end, &proxy, "tcp://far:1", &options, &why), -SONDE_ENAME);
    assert_string_equal(why.subject, "proxy.test");
    close_proxy(&proxy);
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

/* --- faults ----------------------------------------------------------------------------------------------------- */

struct answering {
    struct proxy *proxy;
    struct sonde_timer timer;
    struct end end;
    bool has_answered;
};

/* The proxy's side, as often as the timer rings: whatever came, all the answers at once would be wrong, so one by one.
 */
static void answer(struct sonde_timer *timer)
{
    struct answering *answering = timer->user;
    struct proxy *proxy = answering->proxy;
    char bytes[512];

    if (proxy->raw < 0)
        proxy->raw = accept4(proxy->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (proxy->raw >= 0 && raw_read(proxy->raw, bytes, sizeof bytes) > 0) {
        if (bytes[0] == 5 && bytes[1] == 1 && bytes[2] == 0 && !answering->has_answered) {
            (void)send(proxy->raw, NONE, 2, MSG_NOSIGNAL);
            answering->has_answered = true;
        } else {
            (void)send(proxy->raw, YES "data", sizeof YES - 1 + 4, MSG_NOSIGNAL);
            (void)shutdown(proxy->raw, SHUT_WR);
        }
    }
    sonde_timer_start_in(timer, MILLISECOND);
}

static void stop_answering(struct end *end)
{
    struct answering *answering = end->user;

    sonde_timer_stop(&answering->timer);
}

static void run_faulty(struct contract *c, unsigned *n_clean, unsigned *n_failed, unsigned *n_hurt)
{
    struct proxy proxy;
    struct answering answering = {.proxy = &proxy,
                                  .end = {.on_end = end_close, .on_failed = end_close, .on_closed = stop_answering}};
    struct end *end = &answering.end;
    struct sonde_why why;
    unsigned n_fds = contract_n_fds();

    end->user = &answering;
    open_proxy(&proxy, c, "socks5h://");
    int error = contract_create_loop(c, &c->script, 0, &c->loop);
    if (error == 0) {
        error = try_through(end, &proxy, "tcp://far:80?proxy=v1", NULL, &why);
        sonde_timer_init(&answering.timer, c->loop, answer, &answering);
        if (error == 0)
            sonde_timer_start_in(&answering.timer, MILLISECOND);
        for (unsigned tries = 0; sonde_loop_destroy(c->loop) == -EBUSY; tries++) {
            assert_true(tries < 4);
            int run_error = sonde_loop_run(c->loop);
            error = run_error < 0 ? run_error : error;
        }
    }
    c->loop = NULL;
    close_proxy(&proxy);
    bool failed = c->memory.failed || c->script.failed_what != NULL;
    bool whole = strcmp(end->story, "odec") == 0 && strcmp(end->text, "data") == 0;
    if (!whole && error == 0 && !end->failed)
        fail_msg("%s: nobody was told (%s)", c->note, end->story);
    if (!failed)
        assert_true(whole);
    assert_true(error < 0 || end->closed);
    assert_int_equal(c->memory.n_live, 0);
    assert_int_equal(contract_n_fds(), n_fds);
    *n_clean = failed ? 0 : *n_clean + 1;
    *n_failed += failed;
    *n_hurt += end->failed;
}

static void faults(struct contract *c)
{
    unsigned n_clean = 0, n_failed = 0, n_hurt = 0;

    assert_int_equal(sonde_loop_destroy(c->loop), 0);
    for (long n = 1; n_clean < 3; n++) {
        snprintf(c->note, sizeof c->note, "allocation %ld", n);
        c->memory.n_calls = 0;
        c->memory.fail_at = n;
        c->memory.failed = false;
        c->script = (struct script){0};
        run_faulty(c, &n_clean, &n_failed, &n_hurt);
    }
    c->memory.fail_at = 0;
    c->memory.failed = false;
    assert_true(n_failed >= 4 && n_hurt >= 1);
    if (!c->scripted)
        return;
    n_clean = n_failed = n_hurt = 0;
    for (unsigned n = 1; n_clean < 3; n++) {
        snprintf(c->note, sizeof c->note, "operation %u", n);
        c->script = (struct script){.fail_at = n, .fail_error = -ENOBUFS, .send_bytes = 2, .receive_bytes = 3};
        run_faulty(c, &n_clean, &n_failed, &n_hurt);
    }
    assert_true(n_failed >= 20 && n_hurt >= 15);
    c->script = (struct script){0};
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
        CONTRACT_TEST(all_refusals),
        CONTRACT_TEST(proxy_not_there),
        CONTRACT_TEST(proxy_is_silent),
        CONTRACT_TEST(known_at_once),
        CONTRACT_TEST(close_in_between),
        CONTRACT_TEST(pause_in_between),
        CONTRACT_TEST(shutdown_in_between),
        CONTRACT_TEST(close_in_opened),
        CONTRACT_TEST(faults),
    };
    return contract_main(argc, argv, tests, sizeof tests / sizeof *tests);
}
