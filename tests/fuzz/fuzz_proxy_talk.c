/* SPDX-License-Identifier: MIT */
/* Proxies that answer anything: what they say is taken at once, byte by byte, and in pieces as the first bytes of the
 * input say; it comes to the same. */
#include "net/http_connect.h"
#include "net/socks.h"

#include <sonde/error.h>
#include <sonde/proxy.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define must(condition)                                                                                                \
    do {                                                                                                               \
        if (!(condition))                                                                                              \
            abort();                                                                                                   \
    } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes);

struct outcome {
    enum proxy_step step;
    size_t n_taken;
    struct proxy_refusal refusal;
};

static void check_refusal(const struct proxy_refusal *refusal)
{
    must(refusal->error < 0);
    must(memchr(refusal->detail, '\0', sizeof refusal->detail) != NULL && refusal->detail[0] != '\0');
    for (const char *c = refusal->detail; *c != '\0'; c++)
        must(*c >= 0x20 && *c < 0x7f);
}

static const struct proxy_far by_name = {.name = "far.test", .port = 80};
static const struct proxy_far by_address = {.address = {.family = AF_INET6}, .port = 443};

/* A proxy that is not asked before it answers is another matter: a piece ends with an answer. */
static struct outcome talk_socks(const uint8_t *data, size_t n_bytes, size_t piece, bool with_user)
{
    const char *user = with_user ? "me" : "";
    struct outcome outcome = {.step = PROXY_GOES_ON};
    struct socks socks;
    size_t at = 0;

    socks_begin(&socks, user, "secret", with_user ? &by_address : &by_name);
    must(socks.n_out > 0 && socks.n_out <= sizeof socks.out);
    while (at < n_bytes && outcome.step == PROXY_GOES_ON) {
        size_t n = n_bytes - at < piece ? n_bytes - at : piece, n_taken = n + 1;
        outcome.step = socks_take(&socks, data + at, n, &n_taken);
        must(n_taken <= n && socks.n_out <= sizeof socks.out);
        must(outcome.step == PROXY_STANDS || n_taken == n);
        at += n_taken;
    }
    outcome.n_taken = at;
    outcome.refusal = socks.refusal;
    return outcome;
}

static struct outcome talk_http(const uint8_t *data, size_t n_bytes, size_t piece)
{
    struct outcome outcome = {.step = PROXY_GOES_ON};
    struct http_connect http;
    size_t at = 0;

    http_connect_begin(&http, "", "", &by_name);
    while (at < n_bytes && outcome.step == PROXY_GOES_ON) {
        size_t n = n_bytes - at < piece ? n_bytes - at : piece, n_taken = n + 1;
        outcome.step = http_connect_take(&http, data + at, n, &n_taken);
        must(n_taken <= n && (outcome.step == PROXY_STANDS || n_taken == n));
        at += n_taken;
    }
    must(at <= HTTP_CONNECT_HEAD_MAX + piece);
    outcome.n_taken = at;
    outcome.refusal = http.refusal;
    return outcome;
}

static void check_same(const struct outcome *one, const struct outcome *other)
{
    must(one->step == other->step);
    if (one->step == PROXY_STANDS)
        must(one->n_taken == other->n_taken);
    if (one->step != PROXY_REFUSED)
        return;
    check_refusal(&one->refusal);
    must(one->refusal.error == other->refusal.error && one->refusal.is_far == other->refusal.is_far);
    must(strcmp(one->refusal.detail, other->refusal.detail) == 0);
}

static void check_parse(const uint8_t *data, size_t n_bytes)
{
    char *text = malloc(n_bytes + 1);
    struct sonde_proxy proxy;
    struct sonde_why why;

    must(text != NULL);
    if (n_bytes > 0)
        memcpy(text, data, n_bytes);
    text[n_bytes] = '\0';
    int error = sonde_proxy_parse(text, &proxy, &why);
    must(error == 0 || (error == why.code && why.detail[0] != '\0'));
    if (error == 0)
        must(proxy.port != 0 && proxy.host[0] != '\0' && memchr(proxy.user, '\0', 256) != NULL &&
             memchr(proxy.password, '\0', 256) != NULL);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes)
{
    if (n_bytes == 0)
        return 0;
    size_t piece = 1 + data[0] % 64;
    bool with_user = data[0] & 0x80;
    const uint8_t *says = data + 1;
    n_bytes--;

    check_parse(says, n_bytes);
    struct outcome slow = talk_http(says, n_bytes, 1), fast = talk_http(says, n_bytes, n_bytes + 1);
    struct outcome pieces = talk_http(says, n_bytes, piece);
    check_same(&slow, &fast);
    check_same(&slow, &pieces);

    slow = talk_socks(says, n_bytes, 1, with_user);
    pieces = talk_socks(says, n_bytes, piece, with_user);
    if (slow.step == PROXY_REFUSED)
        check_refusal(&slow.refusal);
    /* In larger pieces it may have answered before it was asked, which is refused. */
    if (pieces.step != PROXY_REFUSED || strstr(pieces.refusal.detail, "before it is asked") == NULL)
        check_same(&slow, &pieces);
    return 0;
}
