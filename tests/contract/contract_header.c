/* SPDX-License-Identifier: MIT */
/* The PROXY protocol: listeners that wait for its header (?proxy=in). */
#include "ends.h"
#include "proxy_line.h"

#include "net/proxy_header.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>

static const char *peer_of(const struct end *end)
{
    static char text[SONDE_ADDRESS_TEXT];
    struct sonde_address peer;

    sonde_stream_peer(end->stream, &peer);
    sonde_address_format(&peer, text, sizeof text);
    return text;
}

/* Is it over, from the other end? 1: reset; 0: not yet. */
static int was_reset(int fd)
{
    char byte;
    int n = raw_read(fd, &byte, 1);

    return n == -ECONNRESET ? 1 : n == -EAGAIN ? 0 : -1;
}

static void send_bytes(int fd, const void *bytes, size_t n)
{
    assert_int_equal(send(fd, bytes, n, MSG_NOSIGNAL), n);
}

/* The streams that a program finds on its loop. */
static unsigned n_streams(const struct contract *c)
{
    unsigned n = 0;

    for (struct sonde_stream *s = sonde_stream_next(c->loop, NULL); s != NULL; s = sonde_stream_next(c->loop, s))
        n++;
    return n;
}

/* --- what comes in ---------------------------------------------------------------------------------------------- */

static void whole_header(struct contract *c)
{
    struct server server = {.model = {.on_data = end_echo, .on_end = end_finish}};
    char text[16];

    server_open_at(&server, c, 1, NULL, AT);
    int raw = raw_connect(server_port(&server));
    some_turns(c);
    assert_int_equal(server.n_ends, 0);
    raw_write(raw, LINE);
    until(c, server.n_ends == 1);
    struct end *end = &server.ends[0];
    assert_string_equal(peer_of(end), FROM);
    some_turns(c);
    assert_string_equal(end->story, "");
    raw_write(raw, "hello");
    until(c, end->n_received == 5);
    assert_string_equal(end->text, "hello");
    until(c, raw_read(raw, text, sizeof text) == 5);
    raw_shutdown(raw);
    until(c, end->closed);
    assert_string_equal(end->story, "dec");
    raw_close(raw);
    server_wind_up(&server);
}

/* Header, data and end, cut in two anywhere: what is behind the header is the data, all of it, once. */
static void any_split(struct contract *c)
{
    static const char all[] = LINE "data behind it";
    size_t n_all = strlen(all);

    for (size_t cut = 0; cut <= n_all; cut += cut < 3 || cut > strlen(LINE) - 3 ? 1 : 7) {
        struct server server = {.model = {.on_end = end_close}};
        snprintf(c->note, sizeof c->note, "cut at %zu", cut);
        server_open_at(&server, c, 1, NULL, AT);
        int raw = raw_connect(server_port(&server));
        send_bytes(raw, all, cut);
        if (cut < n_all) {
            some_turns(c);
            if (cut < strlen(LINE))
                assert_int_equal(server.n_ends, 0);
            else
                until(c, server.n_ends == 1); /* the data need not have come */
        }
        send_bytes(raw, all + cut, n_all - cut);
        raw_shutdown(raw);
        until(c, server.n_ends == 1 && server.ends[0].closed);
        assert_string_equal(server.ends[0].story, "dec");
        assert_string_equal(server.ends[0].text, "data behind it");
        raw_close(raw);
        server_wind_up(&server);
    }
}

static void byte_by_byte(struct contract *c)
{
    struct proxy_header header = {.version = 2, .is_known = true, .source = {.family = AF_INET6, .port = 1}};
    struct server server = {.model = {.on_end = end_close}};
    uint8_t bytes[PROXY_HEADER_WRITE_MAX];

    header.destination = header.source;
    header.source.u.ip[15] = 9;
    size_t n = proxy_header_write(&header, bytes);
    server_open_at(&server, c, 1, NULL, AT);
    int raw = raw_connect(server_port(&server));
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(server.n_ends, 0);
        send_bytes(raw, bytes + i, 1);
        contract_turn(c);
    }
    until(c, server.n_ends == 1);
    assert_string_equal(peer_of(&server.ends[0]), "[::9]:1");
    raw_write(raw, "x");
    raw_shutdown(raw);
    until(c, server.ends[0].closed);
    assert_string_equal(server.ends[0].story, "dec");
    raw_close(raw);
    server_wind_up(&server);
}

/* A header as long as they may be, in pieces, with data right behind it. */
static void long_header(struct contract *c)
{
    struct server server = {.model = {.on_end = end_close}};
    static uint8_t bytes[PROXY_HEADER_MAX + 5] =
        "\r\n\r\n\0\r\nQUIT\n\x21\x11\x0f\xf0\1\2\3\4\5\6\7\x08\0\x50\0\x51\x04\x0f\xe1";

    memcpy(bytes + PROXY_HEADER_MAX, "hello", 5);
    server_open_at(&server, c, 1, NULL, AT);
    int raw = raw_connect(server_port(&server));
    for (size_t at = 0; at < sizeof bytes; at += 700) {
        assert_int_equal(server.n_ends, 0);
        send_bytes(raw, bytes + at, sizeof bytes - at < 700 ? sizeof bytes - at : 700);
        some_turns(c);
    }
    raw_shutdown(raw);
    until(c, server.n_ends == 1 && server.ends[0].closed);
    assert_string_equal(server.ends[0].text, "hello");
    raw_close(raw);
    server_wind_up(&server);
}

static void reset_behind_it(struct contract *c)
{
    for (int with_data = 0; with_data < 2; with_data++) {
        struct server server = {.model = {.on_failed = end_close, .on_end = end_close}};
        server_open_at(&server, c, 1, NULL, AT);
        int raw = raw_connect(server_port(&server));
        raw_write(raw, with_data ? LINE "data" : LINE);
        raw_reset(raw);
        /* Whether the header is still to be had then is the kernel's choice; if it is, so is what follows it. */
        until(c, server.n_refused == 1 || (server.n_ends == 1 && server.ends[0].closed));
        if (server.n_ends == 1) {
            assert_string_equal(server.ends[0].story, with_data ? "dfc" : "fc");
            assert_int_equal(server.ends[0].error, -ECONNRESET);
        } else {
            assert_int_equal(server.refusal, -ECONNRESET);
        }
        server_wind_up(&server);
    }
}

static void unknown_keeps_the_peer(struct contract *c)
{
    static const char local[] = "\r\n\r\n\0\r\nQUIT\n\x20\0\0\0";
    struct server server = {.model = {.on_end = end_close}};

    server_open_at(&server, c, 2, NULL, AT);
    for (unsigned i = 0; i < 2; i++) {
        int raw = raw_connect(server_port(&server));
        struct sockaddr_in own;
        socklen_t n = sizeof own;
        char text[64];
        getsockname(raw, (struct sockaddr *)&own, &n);
        snprintf(text, sizeof text, "127.0.0.1:%u", ntohs(own.sin_port));
        if (i == 0)
            raw_write(raw, "PROXY UNKNOWN x y z\r\n");
        else
            send_bytes(raw, local, sizeof local - 1);
        until(c, server.n_ends == i + 1);
        assert_string_equal(peer_of(&server.ends[i]), text);
        raw_close(raw);
    }
    server_wind_up(&server);
}

/* Port 0, which a kernel would not have given, is what was said all the same. */
static void port_zero(struct contract *c)
{
    struct server server = {.model = {.on_end = end_close}};

    server_open_at(&server, c, 1, NULL, AT);
    int raw = raw_connect(server_port(&server));
    raw_write(raw, "PROXY TCP4 192.0.2.7 192.0.2.8 0 0\r\n");
    until(c, server.n_ends == 1);
    assert_string_equal(peer_of(&server.ends[0]), "192.0.2.7:0");
    raw_close(raw);
    server_wind_up(&server);
}

/* On a UNIX socket, from a TCP client: and everything works as on a UNIX socket. */
static void over_unix(struct contract *c)
{
    struct server server = {.model = {.on_data = end_echo, .on_end = end_finish}};
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    char address[128], text[16];

    snprintf(address, sizeof address, "unix:%s?proxy=in", contract_path());
    server_open_at(&server, c, 1, NULL, address);
    struct sonde_url url = server_url(&server);
    memcpy(to.sun_path, url.path, url.path_bytes);
    int raw = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(raw, (struct sockaddr *)&to, sizeof to), 0);
    raw_write(raw, LINE "hello");
    until(c, server.n_ends == 1 && server.ends[0].n_received == 5);
    assert_string_equal(peer_of(&server.ends[0]), FROM);
    until(c, recv(raw, text, sizeof text, MSG_DONTWAIT) == 5);
    raw_shutdown(raw);
    until(c, server.ends[0].closed);
    assert_string_equal(server.ends[0].story, "dec");
    raw_close(raw);
    server_wind_up(&server);
}

/* --- what is refused -------------------------------------------------------------------------------------------- */

static void refused(struct contract *c, const char *says, bool ends, int error)
{
    struct server server = {0};

    snprintf(c->note, sizeof c->note, "%.60s", says);
    server_open_at(&server, c, 1, NULL, AT);
    int raw = raw_connect(server_port(&server));
    raw_write(raw, says);
    if (ends)
        raw_shutdown(raw);
    until(c, server.n_refused == 1);
    assert_int_equal(server.refusal, error);
    assert_int_equal(server.refused_peer.family, AF_INET);
    assert_true(server.refused_peer.port != 0);
    assert_int_equal(n_streams(c), 0);
    if (!ends)
        until(c, was_reset(raw) == 1);
    raw_close(raw);
    assert_int_equal(server.n_ends, 0);
    server_wind_up(&server);
}

static void garbage(struct contract *c)
{
    refused(c, "GET / HTTP/1.1\r\n", false, -SONDE_EPROXYHEAD);
    refused(c, "PROXY TCP4 nonsense\r\n", false, -SONDE_EPROXYHEAD);
    refused(c, "PROXY TCP4 1.2.3.4 1.2.3.4 1 2 3\r\nhello", false, -SONDE_EPROXYHEAD);
    refused(c, "P", true, -ENODATA);
    refused(c, "PROXY TCP4 1.2.3.4", true, -ENODATA);
}

static void untrusted(struct contract *c)
{
    struct sonde_prefix prefix;
    struct sonde_listen_options options = {.size = sizeof options, .trusted = &prefix, .n_trusted = 1};
    struct server server = {.model = {.on_end = end_close}};

    assert_int_equal(sonde_prefix_parse("192.0.2.0/24", &prefix, NULL), 0);
    server_open_at(&server, c, 1, &options, AT);
    int raw = raw_connect(server_port(&server));
    until(c, server.n_refused == 1);
    assert_int_equal(server.refusal, -EPERM);
    until(c, was_reset(raw) == 1);
    raw_close(raw);
    server_wind_up(&server);

    server = (struct server){.model = {.on_end = end_close}};
    assert_int_equal(sonde_prefix_parse("127.0.0.0/8", &prefix, NULL), 0);
    server_open_at(&server, c, 1, &options, AT);
    memset(&prefix, 0xff, sizeof prefix); /* it was copied */
    raw = raw_connect(server_port(&server));
    raw_write(raw, LINE);
    until(c, server.n_ends == 1);
    raw_close(raw);
    server_wind_up(&server);
}

static void too_many_trusted(struct contract *c)
{
    struct sonde_prefix prefixes[SONDE_TRUSTED_MAX + 1] = {0};
    struct sonde_listen_options options = {
        .size = sizeof options, .trusted = prefixes, .n_trusted = SONDE_TRUSTED_MAX + 1};
    struct sonde_url url = contract_url("%s", AT);
    struct sonde_listener *listener;
    struct server server = {.c = c};

    assert_int_equal(CALL(sonde_listen(c->loop, &url, &options, &server_handler, &server, &listener, NULL)), -EINVAL);
    options.n_trusted--;
    assert_int_equal(CALL(sonde_listen(c->loop, &url, &options, &server_handler, &server, &server.listener, NULL)), 0);
    DO(sonde_listener_close(server.listener));
    contract_run(c);
}

/* A header that never comes holds up nobody, and is given up after five seconds. */
static void never_comes(struct contract *c)
{
    struct server server = {.model = {.on_end = end_close}};

    server_open_at(&server, c, 1, NULL, AT);
    int silent = raw_connect(server_port(&server)), slow = raw_connect(server_port(&server));
    raw_write(slow, "PROXY TCP4 ");
    some_turns(c);
    int raw = raw_connect(server_port(&server));
    raw_write(raw, LINE);
    until(c, server.n_ends == 1);
    contract_jump(2 * SECOND);
    some_turns(c);
    assert_int_equal(server.n_refused, 0);
    assert_int_equal(n_streams(c), 1);
    contract_jump(3 * SECOND);
    until(c, server.n_refused == 2);
    assert_int_equal(server.refusal, -ETIMEDOUT);
    until(c, was_reset(silent) == 1);
    until(c, was_reset(slow) == 1);
    raw_close(raw);
    raw_close(silent);
    raw_close(slow);
    server_wind_up(&server);
}

/* --- how many, and when ----------------------------------------------------------------------------------------- */

enum { MANY = 1100, MOST = 1024, GONE = MANY - MOST };

static void many_wait(struct contract *c)
{
    static int raw[MANY];
    struct server server = {.model = {.on_failed = end_close, .on_end = end_close}};
    struct rlimit before, limit;

    getrlimit(RLIMIT_NOFILE, &before);
    limit = before;
    limit.rlim_cur = limit.rlim_max;
    if (limit.rlim_max < 2 * MANY + 100)
        return;
    setrlimit(RLIMIT_NOFILE, &limit);
    server_open_at(&server, c, MANY, NULL, AT);
    for (unsigned i = 0; i < MANY; i++) {
        raw[i] = raw_connect(server_port(&server));
        if (i % 64 == 0)
            contract_turn(c);
    }
    /* Who has waited longest makes room. */
    until(c, server.n_refused == GONE);
    assert_int_equal(server.refusal, -ENOBUFS);
    assert_int_equal(n_streams(c), 0);
    for (unsigned i = 0; i < GONE; i++)
        until(c, was_reset(raw[i]) == 1);
    /* The others are not hurt, and each that is done makes room too. */
    for (unsigned i = GONE; i < GONE + 100; i++)
        raw_write(raw[i], LINE);
    until(c, server.n_ends == 100);
    int further = raw_connect(server_port(&server));
    raw_write(further, LINE);
    until(c, server.n_ends == 101);
    assert_int_equal(server.n_refused, GONE);
    DO(sonde_listener_close(server.listener));
    for (unsigned i = GONE + 100; i < MANY; i++)
        until(c, was_reset(raw[i]) == 1);
    for (unsigned i = 0; i < MANY; i++)
        raw_close(raw[i]);
    raw_close(further);
    server_wind_up(&server);
    assert_int_equal(server.n_ends, 101);
    setrlimit(RLIMIT_NOFILE, &before);
}

/* Headers that come while the listener is paused wait, with what is behind them. */
static void paused_listener(struct contract *c)
{
    struct server server = {.model = {.on_end = end_close}};
    int raw[3];

    server_open_at(&server, c, 3, NULL, AT);
    for (int i = 0; i < 3; i++)
        raw[i] = raw_connect(server_port(&server));
    some_turns(c);
    DO(sonde_listener_pause(server.listener));
    for (int i = 0; i < 3; i++)
        raw_write(raw[i], i == 1 ? "nonsense" : LINE "data");
    until(c, server.n_refused == 1);
    some_turns(c);
    assert_int_equal(server.n_ends, 0);
    DO(sonde_listener_resume(server.listener));
    until(c, server.n_ends == 2 && server.ends[0].n_received == 4 && server.ends[1].n_received == 4);
    for (int i = 0; i < 3; i++)
        raw_close(raw[i]);
    server_wind_up(&server);
}

static void close_while_ready(struct contract *c)
{
    struct server server = {0};

    server_open_at(&server, c, 1, NULL, AT);
    int ready = raw_connect(server_port(&server)), waiting = raw_connect(server_port(&server));
    some_turns(c);
    DO(sonde_listener_pause(server.listener));
    raw_write(ready, LINE "data");
    raw_write(waiting, "PROX");
    some_turns(c);
    DO(sonde_listener_close(server.listener));
    until(c, was_reset(ready) == 1);
    until(c, was_reset(waiting) == 1);
    raw_close(ready);
    raw_close(waiting);
    server_wind_up(&server);
    assert_int_equal(server.n_refused, 0);
}

static void pause_listener(struct end *end)
{
    DO(sonde_listener_pause(sonde_stream_listener(end->stream)));
}

/* One at a time: while one waits for its header, the others stay in the kernel's queue. */
static void one_by_one(struct contract *c)
{
    const struct sonde_listen_options options = {.size = sizeof options, .flags = SONDE_LISTEN_ONE_BY_ONE};
    struct server server = {.on_accepted = pause_listener, .model = {.on_end = end_close}};
    unsigned length, limit;
    int raw[3];

    server_open_at(&server, c, 3, &options, AT);
    for (int i = 0; i < 3; i++)
        raw[i] = raw_connect(server_port(&server));
    some_turns(c);
    assert_int_equal(sonde_listener_queue(server.listener, 0, &length, &limit), 0);
    assert_int_equal(length, 2);
    for (int i = 2; i >= 0; i--)
        raw_write(raw[i], LINE);
    until(c, server.n_ends == 1);
    some_turns(c);
    assert_int_equal(server.n_ends, 1);
    assert_int_equal(sonde_listener_queue(server.listener, 0, &length, &limit), 0);
    assert_int_equal(length, 2);
    for (unsigned i = 2; i <= 3; i++) {
        DO(sonde_listener_resume(server.listener));
        until(c, server.n_ends == i);
    }
    for (int i = 0; i < 3; i++)
        raw_close(raw[i]);
    server_wind_up(&server);
}

/* The same for those that are refused: the next one comes. */
static void one_by_one_refused(struct contract *c)
{
    const struct sonde_listen_options options = {.size = sizeof options, .flags = SONDE_LISTEN_ONE_BY_ONE};
    struct server server = {.model = {.on_end = end_close}};

    server_open_at(&server, c, 1, &options, AT);
    int bad = raw_connect(server_port(&server)), good = raw_connect(server_port(&server));
    raw_write(good, LINE);
    raw_write(bad, "nonsense");
    until(c, server.n_refused == 1 && server.n_ends == 1);
    raw_close(bad);
    raw_close(good);
    server_wind_up(&server);
}

static void pause_stream(struct end *end)
{
    DO(sonde_stream_pause(end->stream));
}

/* A stream that is paused as it is accepted keeps what came behind its header. */
static void paused_stream(struct contract *c)
{
    struct server server = {.on_accepted = pause_stream, .model = {.on_end = end_close}};

    server_open_at(&server, c, 1, NULL, AT);
    int raw = raw_connect(server_port(&server));
    raw_write(raw, LINE "data");
    raw_shutdown(raw);
    until(c, server.n_ends == 1);
    some_turns(c);
    assert_string_equal(server.ends[0].story, "");
    DO(sonde_stream_resume(server.ends[0].stream));
    until(c, server.ends[0].closed);
    assert_string_equal(server.ends[0].story, "dec");
    raw_close(raw);
    server_wind_up(&server);
}

static void closed_at_once(struct contract *c)
{
    for (int i = 0; i < 2; i++) {
        struct server server = {.on_accepted = i == 0 ? end_close : end_abort};
        server_open_at(&server, c, 1, NULL, AT);
        int raw = raw_connect(server_port(&server));
        raw_write(raw, LINE "data");
        until(c, server.n_ends == 1 && server.ends[0].closed);
        assert_string_equal(server.ends[0].story, "c");
        raw_close(raw);
        server_wind_up(&server);
    }
}

int main(int argc, char **argv)
{
    static const struct contract_test tests[] = {
        CONTRACT_TEST(whole_header),   CONTRACT_TEST(any_split),          CONTRACT_TEST(byte_by_byte),
        CONTRACT_TEST(long_header),    CONTRACT_TEST(reset_behind_it),    CONTRACT_TEST(unknown_keeps_the_peer),
        CONTRACT_TEST(port_zero),      CONTRACT_TEST(over_unix),          CONTRACT_TEST(garbage),
        CONTRACT_TEST(untrusted),      CONTRACT_TEST(too_many_trusted),   CONTRACT_TEST(never_comes),
        CONTRACT_TEST(many_wait),      CONTRACT_TEST(paused_listener),    CONTRACT_TEST(close_while_ready),
        CONTRACT_TEST(one_by_one),     CONTRACT_TEST(one_by_one_refused), CONTRACT_TEST(paused_stream),
        CONTRACT_TEST(closed_at_once),
    };
    return contract_main(argc, argv, tests, sizeof tests / sizeof *tests);
}
