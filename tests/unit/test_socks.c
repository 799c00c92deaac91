/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "net/socks.h"

#include <errno.h>
#include <sonde/error.h>
#include <string.h>
#include <sys/socket.h>

/* A talk: what each side says, in turn, beginning with us. Lengths 0 end it. */
struct says {
    const char *bytes;
    size_t n;
};

#define SAYS(text)                                                                                                     \
    {                                                                                                                  \
        text, sizeof(text) - 1                                                                                         \
    }

struct talk {
    const char *name, *user, *password;
    struct proxy_far far;
    struct says says[7]; /* we, the proxy, we, ... */
    enum proxy_step step;
    int error;
    bool is_far;
    const char *detail;
};

#define NAME                                                                                                           \
    {                                                                                                                  \
        .name = "example.test", .port = 80                                                                             \
    }
#define IPV4                                                                                                           \
    {                                                                                                                  \
        .address = {.family = AF_INET, .u.ip = {192, 0, 2, 1}}, .port = 0x1234                                         \
    }
#define IPV6                                                                                                           \
    {                                                                                                                  \
        .address = {.family = AF_INET6, .u.ip = {0x20, 1, 0xd, 0xb8, [15] = 1}}, .port = 443                           \
    }

#define ASK_NAME                                                                                                       \
    "\5\1\0\3\x0c"                                                                                                     \
    "example.test\0\x50"
#define ASK_IPV4 "\5\1\0\1\xc0\0\2\1\x12\x34"
#define ASK_IPV6 "\5\1\0\4\x20\1\xd\xb8\0\0\0\0\0\0\0\0\0\0\0\1\1\xbb"
#define YES "\5\0\0\1\0\0\0\0\0\0"

static const struct talk talks[] = {
    {"a name", "", "", NAME, {SAYS("\5\1\0"), SAYS("\5\0"), SAYS(ASK_NAME), SAYS(YES)}, PROXY_STANDS, 0, false, ""},
    {"IPv4", "", "", IPV4, {SAYS("\5\1\0"), SAYS("\5\0"), SAYS(ASK_IPV4), SAYS(YES)}, PROXY_STANDS, 0, false, ""},
    {"IPv6", "", "", IPV6, {SAYS("\5\1\0"), SAYS("\5\0"), SAYS(ASK_IPV6), SAYS(YES)}, PROXY_STANDS, 0, false, ""},
    {"an answer with IPv6",
     "",
     "",
     NAME,
     {SAYS("\5\1\0"), SAYS("\5\0"), SAYS(ASK_NAME), SAYS("\5\0\0\4ABCDEFGHIJKLMNOPqq")},
     PROXY_STANDS,
     0,
     false,
     ""},
    {"an answer with a name",
     "",
     "",
     NAME,
     {SAYS("\5\1\0"), SAYS("\5\0"), SAYS(ASK_NAME), SAYS("\5\0\0\3\3abcqq")},
     PROXY_STANDS,
     0,
     false,
     ""},
    {"an answer with an empty name",
     "",
     "",
     NAME,
     {SAYS("\5\1\0"), SAYS("\5\0"), SAYS(ASK_NAME), SAYS("\5\0\0\3\0qq")},
     PROXY_STANDS,
     0,
     false,
     ""},
    {"user and password",
     "me",
     "secret",
     NAME,
     {SAYS("\5\2\0\2"), SAYS("\5\2"), SAYS("\1\2me\6secret"), SAYS("\1\0"), SAYS(ASK_NAME), SAYS(YES)},
     PROXY_STANDS,
     0,
     false,
     ""},
    {"not asked for them",
     "me",
     "secret",
     NAME,
     {SAYS("\5\2\0\2"), SAYS("\5\0"), SAYS(ASK_NAME), SAYS(YES)},
     PROXY_STANDS,
     0,
     false,
     ""},
    {"an empty password",
     "me",
     "",
     NAME,
     {SAYS("\5\2\0\2"), SAYS("\5\2"), SAYS("\1\2me\0"), SAYS("\1\0"), SAYS(ASK_NAME), SAYS(YES)},
     PROXY_STANDS,
     0,
     false,
     ""},
    {"a wrong password",
     "me",
     "secret",
     NAME,
     {SAYS("\5\2\0\2"), SAYS("\5\2"), SAYS("\1\2me\6secret"), SAYS("\1\1")},
     PROXY_REFUSED,
     -SONDE_EPROXY,
     false,
     "it refused the user and the password"},
    {"none given",
     "",
     "",
     NAME,
     {SAYS("\5\1\0"), SAYS("\5\xff")},
     PROXY_REFUSED,
     -SONDE_EPROXY,
     false,
     "it wants a user and a password, and none are given"},
    {"not wanted",
     "me",
     "x",
     NAME,
     {SAYS("\5\2\0\2"), SAYS("\5\xff")},
     PROXY_REFUSED,
     -SONDE_EPROXY,
     false,
     "it takes no user and password, and does not let anybody in without either"},
    {"not offered",
     "",
     "",
     NAME,
     {SAYS("\5\1\0"), SAYS("\5\2")},
     PROXY_REFUSED,
     -SONDE_EPROXY,
     false,
     "it chose a way to log in that was not offered"},
    {"GSSAPI",
     "me",
     "x",
     NAME,
     {SAYS("\5\2\0\2"), SAYS("\5\1")},
     PROXY_REFUSED,
     -SONDE_EPROXY,
     false,
     "it chose a way to log in that was not offered"},
    {"SOCKS4",
     "",
     "",
     NAME,
     {SAYS("\5\1\0"), SAYS("\4")},
     PROXY_REFUSED,
     -SONDE_EPROXY,
     false,
     "it does not speak SOCKS5"},
    {"HTTP",
     "",
     "",
     NAME,
     {SAYS("\5\1\0"), SAYS("HTTP/1.1 400 Bad Request\r\n")},
     PROXY_REFUSED,
     -SONDE_EPROXY,
     false,
     "it does not speak SOCKS5"},
    {"another version of the login",
     "me",
     "x",
     NAME,
     {SAYS("\5\2\0\2"), SAYS("\5\2"), SAYS("\1\2me\1x"), SAYS("\5\0")},
     PROXY_REFUSED,
     -SONDE_EPROXY,
     false,
     "it does not speak SOCKS5"},
    {"reply 1",
     "",
     "",
     NAME,
     {SAYS("\5\1\0"), SAYS("\5\0"), SAYS(ASK_NAME), SAYS("\5\1")},
     PROXY_REFUSED,
     -SONDE_EPROXY,
     true,
     "general failure (SOCKS reply 1)"},
    {"reply 2",
     "",
     "",
     NAME,
     {SAYS("\5\1\0"), SAYS("\5\0"), SAYS(ASK_NAME), SAYS("\5\2")},
     PROXY_REFUSED,
     -SONDE_EPROXY,
     false,
     "connection not allowed by its rules (SOCKS reply 2)"},
    {"reply 3",
     "",
     "",
     NAME,
     {SAYS("\5\1\0"), SAYS("\5\0"), SAYS(ASK_NAME), SAYS("\5\3")},
     PROXY_REFUSED,
     -ENETUNREACH,
     true,
     "network unreachable (SOCKS reply 3)"},
    {"reply 4",
     "",
     "",
     NAME,
     {SAYS("\5\1\0"), SAYS("\5\0"), SAYS(ASK_NAME), SAYS("\5\4")},
     PROXY_REFUSED,
     -EHOSTUNREACH,
     true,
     "host unreachable (SOCKS reply 4)"},
    {"reply 5",
     "",
     "",
     NAME,
     {SAYS("\5\1\0"), SAYS("\5\0"), SAYS(ASK_NAME), SAYS("\5\5\0\1\0\0\0\0\0\0")},
     PROXY_REFUSED,
     -ECONNREFUSED,
     true,
     "connection refused (SOCKS reply 5)"},
    {"reply 6",
     "",
     "",
     NAME,
     {SAYS("\5\1\0"), SAYS("\5\0"), SAYS(ASK_NAME), SAYS("\5\6")},
     PROXY_REFUSED,
     -EHOSTUNREACH,
     true,
     "time to live expired (SOCKS reply 6)"},
    {"reply 7",
     "",
     "",
     NAME,
     {SAYS("\5\1\0"), SAYS("\5\0"), SAYS(ASK_NAME), SAYS("\5\7")},
     PROXY_REFUSED,
     -SONDE_EPROXY,
     false,
     "it does not know CONNECT (SOCKS reply 7)"},
    {"reply 8",
     "",
     "",
     NAME,
     {SAYS("\5\1\0"), SAYS("\5\0"), SAYS(ASK_NAME), SAYS("\5\x08")},
     PROXY_REFUSED,
     -SONDE_EPROXY,
     false,
     "it does not know this kind of address (SOCKS reply 8)"},
    {"reply 9",
     "",
     "",
     NAME,
     {SAYS("\5\1\0"), SAYS("\5\0"), SAYS(ASK_NAME), SAYS("\5\x09")},
     PROXY_REFUSED,
     -SONDE_EPROXY,
     true,
     "it says no, with a number that has no meaning (SOCKS reply 9)"},
    {"no kind of address",
     "",
     "",
     NAME,
     {SAYS("\5\1\0"), SAYS("\5\0"), SAYS(ASK_NAME), SAYS("\5\0\0\2")},
     PROXY_REFUSED,
     -SONDE_EPROXY,
     false,
     "it does not speak SOCKS5: its answer has no kind of address"},
};

static void check_out(const struct talk *talk, const struct socks *socks, const struct says *says)
{
    if (socks->n_out != says->n || memcmp(socks->out, says->bytes, says->n) != 0)
        fail_msg("%s: we do not say what was expected", talk->name);
}

/* The proxy's words come in pieces of so many bytes. */
static void hold(const struct talk *talk, size_t piece)
{
    struct socks socks;
    enum proxy_step step = PROXY_GOES_ON;
    size_t n_taken;

    socks_begin(&socks, talk->user, talk->password, &talk->far);
    for (unsigned turn = 0; talk->says[turn].n > 0 && step == PROXY_GOES_ON; turn++) {
        const struct says *says = &talk->says[turn];
        if (turn % 2 == 0) {
            check_out(talk, &socks, says);
            continue;
        }
        for (size_t at = 0; at < says->n && step == PROXY_GOES_ON; at += piece) {
            size_t n = says->n - at < piece ? says->n - at : piece;
            step = socks_take(&socks, (const uint8_t *)says->bytes + at, n, &n_taken);
            assert_int_equal(n_taken, n);
            if (at + n < says->n && step == PROXY_GOES_ON)
                assert_int_equal(socks.n_out, 0);
        }
    }
    if (step != talk->step)
        fail_msg("%s in pieces of %zu: %d", talk->name, piece, step);
    if (step == PROXY_REFUSED) {
        assert_int_equal(socks.refusal.error, talk->error);
        assert_int_equal(socks.refusal.is_far, talk->is_far);
        assert_string_equal(socks.refusal.detail, talk->detail);
        assert_int_equal(socks.n_out, 0);
    }
}

static void all_talks(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof talks / sizeof *talks; i++)
        for (size_t piece = 1; piece <= 32; piece++)
            hold(&talks[i], piece);
}

/* What comes behind the last answer is the far end's. */
static void what_follows(void **state)
{
    struct proxy_far far = NAME;
    struct socks socks;
    size_t n_taken;

    (void)state;
    socks_begin(&socks, "", "", &far);
    assert_int_equal(socks_take(&socks, (const uint8_t *)"\5\0", 2, &n_taken), PROXY_GOES_ON);
    assert_int_equal(socks_take(&socks, (const uint8_t *)YES "220 hello", 10 + 9, &n_taken), PROXY_STANDS);
    assert_int_equal(n_taken, 10);
}

static void before_it_is_asked(void **state)
{
    struct proxy_far far = NAME;
    struct socks socks;
    size_t n_taken;

    (void)state;
    socks_begin(&socks, "", "", &far);
    assert_int_equal(socks_take(&socks, (const uint8_t *)"\5\0\5", 3, &n_taken), PROXY_REFUSED);
    assert_int_equal(socks.refusal.error, -SONDE_EPROXY);
}

/* The longest of everything fits. */
static void longest(void **state)
{
    struct proxy_far far = {.port = 65535};
    char text[256];
    uint8_t answer[SOCKS_IN_MAX] = {5, 0, 0, 3, 255};
    struct socks socks;
    size_t n_taken;

    (void)state;
    memset(text, 'x', 255);
    text[255] = '\0';
    memcpy(far.name, text, sizeof text);
    socks_begin(&socks, text, text, &far);
    assert_int_equal(socks_take(&socks, (const uint8_t *)"\5\2", 2, &n_taken), PROXY_GOES_ON);
    assert_int_equal(socks.n_out, 1 + 1 + 255 + 1 + 255);
    assert_int_equal(socks_take(&socks, (const uint8_t *)"\1\0", 2, &n_taken), PROXY_GOES_ON);
    assert_int_equal(socks.n_out, 5 + 255 + 2);
    assert_int_equal(socks.out[4], 255);
    assert_int_equal(socks_take(&socks, answer, sizeof answer - 1, &n_taken), PROXY_GOES_ON);
    assert_int_equal(socks_take(&socks, answer, 1, &n_taken), PROXY_STANDS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_talks),
        cmocka_unit_test(what_follows),
        cmocka_unit_test(before_it_is_asked),
        cmocka_unit_test(longest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
