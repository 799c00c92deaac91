/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "net/http_connect.h"

#include <sonde/error.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

static const struct proxy_far by_name = {.name = "example.test", .port = 80};

static void asks(const struct proxy_far *far, const char *user, const char *password, const char *text)
{
    struct http_connect http;

    http_connect_begin(&http, user, password, far);
    assert_int_equal(http.n_out, strlen(text));
    assert_memory_equal(http.out, text, strlen(text));
}

static void requests(void **state)
{
    const struct proxy_far ipv4 = {.address = {.family = AF_INET, .u.ip = {192, 0, 2, 1}}, .port = 65535};
    const struct proxy_far ipv6 = {.address = {.family = AF_INET6, .scope = 3, .u.ip = {0x20, 1, 0xd, 0xb8, [15] = 1}},
                                   .port = 1};

    (void)state;
    asks(&by_name, "", "", "CONNECT example.test:80 HTTP/1.1\r\nHost: example.test:80\r\n\r\n");
    asks(&ipv4, "", "", "CONNECT 192.0.2.1:65535 HTTP/1.1\r\nHost: 192.0.2.1:65535\r\n\r\n");
    asks(&ipv6, "", "", "CONNECT [2001:db8::1]:1 HTTP/1.1\r\nHost: [2001:db8::1]:1\r\n\r\n");
    /* The example of RFC 7617, 2, then every length of padding. */
    asks(&by_name, "Aladdin", "open sesame",
         "CONNECT example.test:80 HTTP/1.1\r\nHost: example.test:80\r\n"
         "Proxy-Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n\r\n");
    asks(&by_name, "test", "123\xc2\xa3",
         "CONNECT example.test:80 HTTP/1.1\r\nHost: example.test:80\r\n"
         "Proxy-Authorization: Basic dGVzdDoxMjPCow==\r\n\r\n");
    asks(&by_name, "a", "b", /* a:b */
         "CONNECT example.test:80 HTTP/1.1\r\nHost: example.test:80\r\nProxy-Authorization: Basic YTpi\r\n\r\n");
    asks(&by_name, "a", "", /* a: */
         "CONNECT example.test:80 HTTP/1.1\r\nHost: example.test:80\r\nProxy-Authorization: Basic YTo=\r\n\r\n");
}

static void longest_request(void **state)
{
    struct proxy_far far = {.port = 65535};
    struct http_connect http;
    char text[256];

    (void)state;
    memset(text, 'x', 255);
    text[255] = '\0';
    memcpy(far.name, text, sizeof text);
    http_connect_begin(&http, text, text, &far);
    assert_true(http.n_out > 2 * 255 + 680 && http.n_out < sizeof http.out);
    assert_memory_equal(http.out + http.n_out - 4, "\r\n\r\n", 4);
}

struct answer {
    const char *text;
    enum proxy_step step;
    bool is_far;
    const char *detail;
};

#define NO_HTTP "it does not speak HTTP"

static const struct answer answers[] = {
    {"HTTP/1.1 200 Connection established\r\n\r\n", PROXY_STANDS, false, ""},
    {"HTTP/1.0 200 OK\r\nProxy-agent: tinyproxy/1.11\r\n\r\n", PROXY_STANDS, false, ""},
    {"HTTP/1.1 200\r\n\r\n", PROXY_STANDS, false, ""},
    {"HTTP/1.1 200 \r\n\r\n", PROXY_STANDS, false, ""},
    {"HTTP/1.1 299 whatever\r\nContent-Length: 100\r\nTransfer-Encoding: chunked\r\n\r\n", PROXY_STANDS, false, ""},
    {"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", PROXY_STANDS,
     false, ""},
    {"HTTP/1.1 200 caf\xe9\r\nX: \t\xff\r\n\r\n", PROXY_STANDS, false, ""},
    {"HTTP/1.1 407 Proxy Authentication Required\r\n", PROXY_REFUSED, false,
     "it wants a user and a password: HTTP/1.1 407 Proxy Authentication Required"},
    {"HTTP/1.0 401 Unauthorized\r\n", PROXY_REFUSED, false,
     "it wants a user and a password: HTTP/1.0 401 Unauthorized"},
    {"HTTP/1.1 403 Forbidden\r\n", PROXY_REFUSED, false, "it answered HTTP/1.1 403 Forbidden"},
    {"HTTP/1.1 405 Method Not Allowed\r\n", PROXY_REFUSED, false, "it answered HTTP/1.1 405 Method Not Allowed"},
    {"HTTP/1.1 501 Not Implemented\r\n", PROXY_REFUSED, false, "it answered HTTP/1.1 501 Not Implemented"},
    {"HTTP/1.1 302 Found\r\n", PROXY_REFUSED, false, "it answered HTTP/1.1 302 Found"},
    {"HTTP/1.0 500 Unable to connect\r\n", PROXY_REFUSED, true, "it answered HTTP/1.0 500 Unable to connect"},
    {"HTTP/1.1 502 Bad Gateway\r\n", PROXY_REFUSED, true, "it answered HTTP/1.1 502 Bad Gateway"},
    {"HTTP/1.1 503 Service Unavailable\r\n", PROXY_REFUSED, true, "it answered HTTP/1.1 503 Service Unavailable"},
    {"HTTP/1.1 504 Gateway Timeout\r\n", PROXY_REFUSED, true, "it answered HTTP/1.1 504 Gateway Timeout"},
    {"HTTP/1.1 502 \xffoh\r\n", PROXY_REFUSED, true, "it answered HTTP/1.1 502 ?oh"},
    {"HTTP/1.1 502\r\n", PROXY_REFUSED, true, "it answered HTTP/1.1 502"},
    {"HTTP/1.1 101 Switching Protocols\r\n", PROXY_REFUSED, false, NO_HTTP},
    {"HTTP/1.1 099 x\r\n", PROXY_REFUSED, false, NO_HTTP},
    {"HTTP/1.1 20 OK\r\n", PROXY_REFUSED, false, NO_HTTP},
    {"HTTP/1.1 2000\r\n", PROXY_REFUSED, false, NO_HTTP},
    {"HTTP/1.1\r\n", PROXY_REFUSED, false, NO_HTTP},
    {"HTTP/2 200\r\n", PROXY_REFUSED, false, NO_HTTP},
    {"http/1.1 200 OK\r\n", PROXY_REFUSED, false, NO_HTTP},
    {" HTTP/1.1 200 OK\r\n", PROXY_REFUSED, false, NO_HTTP},
    {"\r\nHTTP/1.1 200 OK\r\n", PROXY_REFUSED, false, NO_HTTP},
    {"HTTP/1.1 200 OK\n\n", PROXY_REFUSED, false, NO_HTTP},
    {"HTTP/1.1 200 OK\r\r\n", PROXY_REFUSED, false, NO_HTTP},
    {"HTTP/1.1 200 OK\r\nX: \x1b[2J\r\n", PROXY_REFUSED, false, NO_HTTP},
    {"\5\0", PROXY_REFUSED, false, NO_HTTP},
    {"SSH-2.0", PROXY_REFUSED, false, NO_HTTP},
};

static void check_answer(const struct answer *answer, size_t piece)
{
    struct http_connect http;
    enum proxy_step step = PROXY_GOES_ON;
    size_t n_all = strlen(answer->text), n_taken = 0;

    http_connect_begin(&http, "", "", &by_name);
    for (size_t at = 0; at < n_all; at += piece) {
        size_t n = n_all - at < piece ? n_all - at : piece;
        if (step != PROXY_GOES_ON) {
            if (answer->step == PROXY_STANDS) /* a refusal may come before the end */
                fail_msg("%s: it is over too early", answer->text);
            break;
        }
        step = http_connect_take(&http, (const uint8_t *)answer->text + at, n, &n_taken);
        assert_int_equal(http.n_out, 0);
    }
    if (step != answer->step)
        fail_msg("%s in pieces of %zu: %d", answer->text, piece, step);
    if (step == PROXY_STANDS)
        return;
    assert_int_equal(http.refusal.error, -SONDE_EPROXY);
    assert_int_equal(http.refusal.is_far, answer->is_far);
    assert_string_equal(http.refusal.detail, answer->detail);
}

static void all_answers(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof answers / sizeof *answers; i++)
        for (size_t piece = 1; piece <= 100; piece++)
            check_answer(&answers[i], piece);
}

static void wrong_password(void **state)
{
    static const char text[] = "HTTP/1.1 407 No\r\n";
    struct http_connect http;
    size_t n_taken;

    (void)state;
    http_connect_begin(&http, "me", "secret", &by_name);
    assert_int_equal(http_connect_take(&http, (const uint8_t *)text, strlen(text), &n_taken), PROXY_REFUSED);
    assert_string_equal(http.refusal.detail, "it refused the user and the password: HTTP/1.1 407 No");
}

static void what_follows(void **state)
{
    static const char text[] = "HTTP/1.1 200 OK\r\n\r\n\r\n220 hello\r\n";
    struct http_connect http;
    size_t n_taken;

    (void)state;
    http_connect_begin(&http, "", "", &by_name);
    assert_int_equal(http_connect_take(&http, (const uint8_t *)text, strlen(text), &n_taken), PROXY_STANDS);
    assert_int_equal(n_taken, strlen("HTTP/1.1 200 OK\r\n\r\n"));
}

/* 16 KiB of head are taken, and not a byte more, be it one line or many answers. */
static void limit(void **state)
{
    static const char *const again[] = {"X: 23456789\r\n", "x", "HTTP/1.1 100 Continue\r\n\r\n"};

    (void)state;
    for (int i = 0; i < 3; i++) {
        struct http_connect http;
        size_t n_taken, n = 0;
        enum proxy_step step = PROXY_GOES_ON;
        http_connect_begin(&http, "", "", &by_name);
        if (i < 2) {
            n = strlen("HTTP/1.1 200 OK\r\n");
            step = http_connect_take(&http, (const uint8_t *)"HTTP/1.1 200 OK\r\n", n, &n_taken);
        }
        while (step == PROXY_GOES_ON) {
            assert_true(n <= HTTP_CONNECT_HEAD_MAX);
            step = http_connect_take(&http, (const uint8_t *)again[i], strlen(again[i]), &n_taken);
            n += strlen(again[i]);
        }
        assert_int_equal(step, PROXY_REFUSED);
        assert_string_equal(http.refusal.detail, "its answer's head is longer than 16 KiB");
        assert_true(n > HTTP_CONNECT_HEAD_MAX);
    }
}

static void long_status_line(void **state)
{
    char text[2000] = "HTTP/1.1 502 ";
    struct http_connect http;
    size_t n_taken;

    (void)state;
    memset(text + strlen(text), 'x', sizeof text - strlen(text) - 3);
    memcpy(text + sizeof text - 3, "\r\n", 3);
    http_connect_begin(&http, "", "", &by_name);
    assert_int_equal(http_connect_take(&http, (const uint8_t *)text, strlen(text), &n_taken), PROXY_REFUSED);
    assert_true(http.refusal.is_far);
    assert_true(strlen(http.refusal.detail) > HTTP_CONNECT_LINE_KEPT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests),         cmocka_unit_test(longest_request), cmocka_unit_test(all_answers),
        cmocka_unit_test(wrong_password),   cmocka_unit_test(what_follows),    cmocka_unit_test(limit),
        cmocka_unit_test(long_status_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
