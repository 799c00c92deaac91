/* SPDX-License-Identifier: MIT */
/*
 * Theory of operation: each answer is gathered in `in` until it is whole. How long it is shows on the way: two bytes
 * for the first ones; for the last, its address's kind says it. A refusal is one as soon as the byte that says so is
 * there: some proxies send no more than that.
 */
#include "net/socks.h"

#include <errno.h>
#include <netinet/in.h>
#include <sonde/error.h>
#include <stdio.h>
#include <string.h>

enum {
    VERSION = 5,
    USER_PASSWORD_VERSION = 1, /* of the exchange in RFC 1929 */
    METHOD_NONE = 0,
    METHOD_USER_PASSWORD = 2,
    METHOD_NO_OTHER = 0xff,
    COMMAND_CONNECT = 1,
    KIND_IPV4 = 1,
    KIND_NAME = 3,
    KIND_IPV6 = 4,
};

/* Which answer is waited for. */
enum {
    FOR_METHOD,
    FOR_LOGIN,
    FOR_REPLY,
    OVER,
};

/* RFC 1928, 6. */
static const struct {
    const char *words;
    int error;
    bool is_far;
} replies[] = {
    {"succeeded", 0, true},
    {"general failure", -SONDE_EPROXY, true},
    {"connection not allowed by its rules", -SONDE_EPROXY, false},
    {"network unreachable", -ENETUNREACH, true},
    {"host unreachable", -EHOSTUNREACH, true},
    {"connection refused", -ECONNREFUSED, true},
    {"time to live expired", -EHOSTUNREACH, true},
    {"it does not know CONNECT", -SONDE_EPROXY, false},
    {"it does not know this kind of address", -SONDE_EPROXY, false},
};
#define N_REPLIES (sizeof replies / sizeof *replies)

static enum proxy_step refuse(struct socks *socks, int error, bool is_far, const char *detail)
{
    socks->refusal = (struct proxy_refusal){.error = error, .is_far = is_far};
    snprintf(socks->refusal.detail, sizeof socks->refusal.detail, "%s", detail);
    socks->state = OVER;
    socks->n_out = 0;
    return PROXY_REFUSED;
}

static void put(struct socks *socks, const void *bytes, size_t n)
{
    memcpy(socks->out + socks->n_out, bytes, n);
    socks->n_out += (uint16_t)n;
}

static void put_byte(struct socks *socks, unsigned byte)
{
    socks->out[socks->n_out++] = (uint8_t)byte;
}

/* A length in one byte, and so much text. */
static void put_text(struct socks *socks, const char *text)
{
    size_t n = strnlen(text, 255);

    put_byte(socks, (unsigned)n);
    put(socks, text, n);
}

void socks_begin(struct socks *socks, const char *user, const char *password, const struct proxy_far *far)
{
    bool has_user = user[0] != '\0';

    *socks = (struct socks){.user = user, .password = password, .far = far, .state = FOR_METHOD};
    put_byte(socks, VERSION);
    put_byte(socks, has_user ? 2 : 1);
    put_byte(socks, METHOD_NONE);
    if (has_user)
        put_byte(socks, METHOD_USER_PASSWORD);
}

static void request(struct socks *socks)
{
    const struct proxy_far *far = socks->far;

    put_byte(socks, VERSION);
    put_byte(socks, COMMAND_CONNECT);
    put_byte(socks, 0);
    if (far->address.family == AF_INET) {
        put_byte(socks, KIND_IPV4);
        put(socks, far->address.u.ip, 4);
    } else if (far->address.family == AF_INET6) {
        put_byte(socks, KIND_IPV6);
        put(socks, far->address.u.ip, 16);
    } else {
        put_byte(socks, KIND_NAME);
        put_text(socks, far->name);
    }
    put_byte(socks, far->port >> 8);
    put_byte(socks, far->port & 0xff);
    socks->state = FOR_REPLY;
}

static enum proxy_step on_method(struct socks *socks)
{
    bool has_user = socks->user[0] != '\0';

    if (socks->n_in < 2)
        return PROXY_GOES_ON;
    unsigned method = socks->in[1];
    if (method == METHOD_NO_OTHER)
        return refuse(socks, -SONDE_EPROXY, false,
                      has_user ? "it takes no user and password, and does not let anybody in without either"
                               : "it wants a user and a password, and none are given");
    if (method == METHOD_NONE) {
        request(socks);
    } else if (method == METHOD_USER_PASSWORD && has_user) {
        put_byte(socks, USER_PASSWORD_VERSION);
        put_text(socks, socks->user);
        put_text(socks, socks->password);
        socks->state = FOR_LOGIN;
    } else {
        return refuse(socks, -SONDE_EPROXY, false, "it chose a way to log in that was not offered");
    }
    return PROXY_GOES_ON;
}

static enum proxy_step on_login(struct socks *socks)
{
    if (socks->n_in < 2)
        return PROXY_GOES_ON;
    if (socks->in[1] != 0)
        return refuse(socks, -SONDE_EPROXY, false, "it refused the user and the password");
    request(socks);
    return PROXY_GOES_ON;
}

static enum proxy_step on_reply(struct socks *socks)
{
    char detail[80];

    if (socks->n_in < 2)
        return PROXY_GOES_ON;
    unsigned reply = socks->in[1];
    if (reply >= N_REPLIES) {
        snprintf(detail, sizeof detail, "it says no, with a number that has no meaning (SOCKS reply %u)", reply);
        return refuse(socks, -SONDE_EPROXY, true, detail);
    }
    if (reply != 0) {
        snprintf(detail, sizeof detail, "%s (SOCKS reply %u)", replies[reply].words, reply);
        return refuse(socks, replies[reply].error, replies[reply].is_far, detail);
    }
    return PROXY_STANDS;
}

/* How long the answer is that is being gathered, as far as it is known. */
static size_t wanted(const struct socks *socks)
{
    if (socks->state != FOR_REPLY || socks->n_in < 2)
        return 2;
    if (socks->n_in < 5)
        return 5; /* every kind of address has one byte or more */
    switch (socks->in[3]) {
    case KIND_IPV4:
        return 4 + 4 + 2;
    case KIND_IPV6:
        return 4 + 16 + 2;
    default:
        return 4 + 1 + socks->in[4] + 2u;
    }
}

static bool kind_is_known(const struct socks *socks)
{
    unsigned kind = socks->in[3];

    return socks->n_in < 4 || kind == KIND_IPV4 || kind == KIND_IPV6 || kind == KIND_NAME;
}

static enum proxy_step on_byte(struct socks *socks)
{
    unsigned version = socks->state == FOR_LOGIN ? USER_PASSWORD_VERSION : VERSION;

    if (socks->in[0] != version)
        return refuse(socks, -SONDE_EPROXY, false, "it does not speak SOCKS5");
    if (socks->state == FOR_REPLY && socks->n_in == 2 && socks->in[1] != 0)
        return on_reply(socks);
    if (socks->state == FOR_REPLY && !kind_is_known(socks))
        return refuse(socks, -SONDE_EPROXY, false, "it does not speak SOCKS5: its answer has no kind of address");
    if (socks->n_in < wanted(socks))
        return PROXY_GOES_ON;
    uint8_t state = socks->state;
    enum proxy_step step = state == FOR_METHOD  ? on_method(socks)
                           : state == FOR_LOGIN ? on_login(socks)
                                                : on_reply(socks);
    socks->n_in = 0;
    return step;
}

enum proxy_step socks_take(struct socks *socks, const uint8_t *bytes, size_t n_bytes, size_t *ret_n_taken)
{
    size_t n = 0;

    socks->n_out = 0;
    *ret_n_taken = n_bytes;
    while (n < n_bytes && socks->state != OVER) {
        if (socks->n_out > 0) /* it answers what it has not been asked yet */
            return refuse(socks, -SONDE_EPROXY, false, "it does not speak SOCKS5: it answers before it is asked");
        socks->in[socks->n_in++] = bytes[n++];
        enum proxy_step step = on_byte(socks);
        if (step == PROXY_STANDS) {
            socks->state = OVER;
            *ret_n_taken = n;
        }
        if (step != PROXY_GOES_ON)
            return step;
    }
    return PROXY_GOES_ON;
}
