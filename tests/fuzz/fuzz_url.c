/* SPDX-License-Identifier: MIT */
/*
 * Any bytes as a URL, or, cut at the first NUL, as host and port. What must hold whatever they are:
 *
 * - nothing is read or written outside of its memory, and nothing overflows (the sanitizers see to that);
 * - a refusal has a known code and words that a terminal may be shown, and leaves the result alone;
 * - what is understood has a canonical form, in plain ASCII, which is understood as the same address;
 * - its options have values that a socket can be given.
 */
#include "net/sockopt.h"

#include <errno.h>
#include <sonde/url.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes);

static void must(bool holds)
{
    if (!holds)
        abort();
}

static void must_be_printable(const char *text, size_t size_bytes)
{
    const char *end = memchr(text, '\0', size_bytes);

    must(end != NULL);
    for (; text < end; text++)
        must(*text >= 0x20 && *text < 0x7f);
}

static void check_refusal(int error, const struct sonde_why *why, const struct sonde_url *url)
{
    must(error == -SONDE_EURL || error == -SONDE_ESCHEME || error == -SONDE_EOPTION);
    must(why->code == error && strcmp(why->call, "parse") == 0);
    must_be_printable(why->subject, sizeof why->subject);
    must_be_printable(why->detail, sizeof why->detail);
    must(why->detail[0] != '\0');
    for (size_t i = 0; i < sizeof *url; i++)
        must(((const unsigned char *)url)[i] == 'u');
}

static int check_set(void *user, int fd, int level, int name, const void *value, socklen_t n_bytes)
{
    unsigned char *sum = user;

    (void)fd, (void)level, (void)name;
    must(n_bytes > 0 && n_bytes < 56);
    /* Every byte is there to be read. */
    for (socklen_t i = 0; i < n_bytes; i++)
        *sum ^= ((const unsigned char *)value)[i];
    return *sum == 0x55 ? -EPERM : 0;
}

static void check_options(const struct sonde_url *url)
{
    struct sonde_why why;
    unsigned char sum = 0;

    must(url->n_set < 1u << SONDE_N_OPTIONS);
    for (unsigned i = 0; i < SONDE_N_OPTIONS; i++) {
        must(memchr(url->option[i].text, '\0', sizeof url->option[i].text) != NULL);
        must(url->option[i].number >= 0);
        must((url->n_set & (1u << i)) != 0 || (url->option[i].number == 0 && url->option[i].text[0] == '\0'));
    }
    for (unsigned where = SONDE_FOR_LISTEN; where <= SONDE_FOR_CONNECT; where <<= 1)
        if (sockopt_check(url, where, &why) < 0)
            must_be_printable(why.detail, sizeof why.detail);
    /* Zones are looked up for these two; a system call each time would make fuzzing slow. */
    bool asks = sockopt_is_set(url, SONDE_OPT_TTL) || sockopt_is_set(url, SONDE_OPT_DSCP);
    for (enum sockopt_moment moment = SOCKOPT_LISTEN; moment <= SOCKOPT_ESTABLISHED; moment++)
        if (sockopt_apply(url, moment, -1, asks ? AF_INET : AF_INET6, check_set, &sum, &why) < 0)
            must_be_printable(why.subject, sizeof why.subject);
}

static void check_understood(const struct sonde_url *url)
{
    char text[SONDE_URL_MAX], again[SONDE_URL_MAX], little[12];
    struct sonde_url back;
    struct sonde_why why;

    must(url->scheme >= SONDE_SCHEME_TCP && url->scheme <= SONDE_SCHEME_SCTP);
    must(url->path_bytes <= sizeof url->path);
    must_be_printable(url->host, sizeof url->host);
    size_t n = sonde_url_format(url, text, sizeof text);
    must(n > 0 && n < sizeof text && text[n] == '\0' && strlen(text) == n);
    must_be_printable(text, sizeof text);
    size_t n_little = sonde_url_format(url, little, sizeof little);
    must(n_little < sizeof little && little[n_little] == '\0' && memcmp(little, text, n_little) == 0);

    int error = sonde_url_parse(text, &back, &why);
    /* The canonical form is without options, and these two stand for the zone of a link-local address. */
    if (error < 0 && (sockopt_is_set(url, SONDE_OPT_DEVICE) || sockopt_is_set(url, SONDE_OPT_BIND)))
        must(strstr(why.detail, "link-local") != NULL);
    else
        must(error == 0);
    if (error == 0) {
        must(back.scheme == url->scheme && back.port == url->port && back.n_set == 0);
        must(back.layers == url->layers && back.vsock_port == url->vsock_port && strcmp(back.target, url->target) == 0);
        must(strcmp(back.host, url->host) == 0);
        must(back.path_bytes == url->path_bytes && memcmp(back.path, url->path, sizeof url->path) == 0);
        must(sonde_url_format(&back, again, sizeof again) == n && memcmp(text, again, n) == 0);
    }
    check_options(url);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes)
{
    struct sonde_url url;
    struct sonde_why why;
    /* In memory that ends with the text, so that a byte read too far is seen. */
    char *text = malloc(n_bytes + 1);

    must(text != NULL);
    if (n_bytes > 0)
        memcpy(text, data, n_bytes);
    text[n_bytes] = '\0';
    memset(&url, 'u', sizeof url);
    memset(&why, 'u', sizeof why);
    size_t n_first = strlen(text);
    int error = n_first < n_bytes ? sonde_url_from_host_port(text, text + n_first + 1, &url, &why)
                                  : sonde_url_parse(text, &url, &why);
    if (error < 0)
        check_refusal(error, &why, &url);
    else
        check_understood(&url);
    free(text);
    return 0;
}
