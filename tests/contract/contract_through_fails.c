/* SPDX-License-Identifier: MIT */
/* Proxies through which there is no connection: what they refuse, and what fails on this side. */
#include "proxy_side.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

struct bytes {
    const char *bytes;
    size_t n;
};

#define BYTES(text)                                                                                                    \
    {                                                                                                                  \
        text, sizeof(text) - 1                                                                                         \
    }

/* --- who does not get through ------------------------------------------------------------------------------------ */

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
        CONTRACT_TEST(all_refusals),  CONTRACT_TEST(proxy_not_there), CONTRACT_TEST(proxy_is_silent),
        CONTRACT_TEST(known_at_once), CONTRACT_TEST(faults),
    };
    return contract_main(argc, argv, tests, sizeof tests / sizeof *tests);
}
