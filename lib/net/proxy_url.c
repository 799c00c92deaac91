/* SPDX-License-Identifier: MIT */
/* A proxy's URL. What stands before the last @ may be a password, and is never shown. */
#include "base/parse.h"
#include "net/address.h"

#include <errno.h>
#include <sonde/proxy.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

enum { TEXT_MAX = 1024 };

#define HOW "a proxy is written socks5://HOST:PORT, socks5h://HOST:PORT or http://HOST:PORT"

static const struct {
    const char *name;
    enum sonde_proxy_kind kind; /* 0: not built */
    uint16_t port;
    bool far_names;
    const char *hint;
} schemes[] = {
    {"socks5", SONDE_PROXY_SOCKS5, 1080, false, NULL},
    {"socks5h", SONDE_PROXY_SOCKS5, 1080, true, NULL},
    {"http", SONDE_PROXY_HTTP, 8080, true, NULL},
    {"https", 0, 0, false, "proxies are not spoken to through TLS; " HOW},
    {"socks", 0, 0, false, "which version is it? " HOW},
    {"socks4", 0, 0, false, "of SOCKS, version 5 is spoken; " HOW},
    {"socks4a", 0, 0, false, "of SOCKS, version 5 is spoken; " HOW},
};
#define N_SCHEMES (sizeof schemes / sizeof *schemes)

struct parser {
    const char *text;
    size_t n_text, n_scheme; /* the scheme's with its colon and slashes */
    struct sonde_why *why;
};

/* The subject is the text without user and password. Where a port can't be one, it may be a password whose @ is
 * missing: then the text ends before it. */
static int refuse(const struct parser *parser, int code, const char *hint)
{
    const char *text = parser->text + parser->n_scheme, *at = memrchr(text, '@', parser->n_text - parser->n_scheme);
    char shown[TEXT_MAX + 1];

    if (at != NULL)
        text = at + 1;
    size_t n = (size_t)(parser->text + parser->n_text - text), i = n;
    while (i > 0 && text[i - 1] >= '0' && text[i - 1] <= '9')
        i--;
    const char *colon = text[0] == '[' ? memchr(text, ']', n) : memchr(text, ':', n);
    if (colon != NULL && (i == 0 || text[i - 1] != ':'))
        n = (size_t)(colon - text) + (*colon == ']');
    n = (size_t)snprintf(shown, sizeof shown, "%.*s%.*s", (int)parser->n_scheme, parser->text, (int)n, text);
    return parse_refuse(parser->why, -code, shown, n < sizeof shown ? n : sizeof shown - 1, hint);
}

/* Percent-decoded, and a text: without control characters. */
static int take_secret(const struct parser *parser, const char *text, size_t n_bytes, char ret_text[256])
{
    size_t n;

    int error = parse_percent(text, n_bytes, ret_text, 255, &n);
    if (error == -ERANGE)
        return refuse(parser, SONDE_EURL, "user and password have at most 255 bytes each");
    if (error < 0)
        return refuse(parser, SONDE_EURL,
                      "in user and password, behind a percent sign stand two hexadecimal digits; "
                      "the sign itself is %25");
    ret_text[n] = '\0';
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)ret_text[i] < 0x20 || ret_text[i] == 0x7f)
            return refuse(parser, SONDE_EURL, "user and password have no control characters");
    return 0;
}

static int take_user(const struct parser *parser, const char *text, size_t n_bytes, struct sonde_proxy *proxy)
{
    const char *colon = memchr(text, ':', n_bytes);
    size_t n_user = colon != NULL ? (size_t)(colon - text) : n_bytes;

    if (n_user == 0)
        return refuse(parser, SONDE_EURL, "before the @ stand a user and a password, as in USER:PASSWORD@HOST");
    int error = take_secret(parser, text, n_user, proxy->user);
    if (error == 0 && colon != NULL)
        error = take_secret(parser, colon + 1, n_bytes - n_user - 1, proxy->password);
    if (error == 0 && proxy->kind == SONDE_PROXY_HTTP && strchr(proxy->user, ':') != NULL)
        error = refuse(parser, SONDE_EURL, "a user's name with a colon can't be told to an HTTP proxy");
    return error;
}

static int take_host(const struct parser *parser, const char *text, size_t n_bytes, struct sonde_proxy *proxy)
{
    struct address_parts parts;
    const char *hint = HOW;

    if (n_bytes > 0 && text[n_bytes - 1] == '/')
        n_bytes--;
    if (address_split(text, n_bytes, &parts, &hint) < 0)
        return refuse(parser, SONDE_EURL, hint);
    if (parts.kind == ADDRESS_NONE || parts.kind == ADDRESS_ANY)
        return refuse(parser, SONDE_EURL, "there is no host; " HOW);
    if (parts.has_port && parts.port == 0)
        return refuse(parser, SONDE_EURL, "port 0 can't be connected to");
    memcpy(proxy->host, parts.host, sizeof proxy->host);
    if (parts.has_port)
        proxy->port = parts.port;
    return 0;
}

int sonde_proxy_parse(const char *text, struct sonde_proxy *ret_proxy, struct sonde_why *ret_why)
{
    struct parser parser = {.text = text, .n_text = strnlen(text, TEXT_MAX + 1), .why = ret_why};
    struct sonde_proxy proxy = {0};
    size_t i = 0;

    if (parser.n_text > TEXT_MAX)
        return parse_refuse(ret_why, -SONDE_EURL, "", 0, "a proxy's address has at most 1024 bytes");
    const char *slashes = memmem(text, parser.n_text, "://", 3);
    size_t n_name = slashes != NULL ? (size_t)(slashes - text) : 0;
    while (i < N_SCHEMES && (strlen(schemes[i].name) != n_name || strncasecmp(schemes[i].name, text, n_name) != 0))
        i++;
    if (i == N_SCHEMES)
        return refuse(&parser, SONDE_EURL, HOW);
    parser.n_scheme = n_name + 3;
    if (schemes[i].kind == 0)
        return refuse(&parser, SONDE_ESCHEME, schemes[i].hint);
    proxy.kind = schemes[i].kind;
    proxy.port = schemes[i].port;
    proxy.far_names = schemes[i].far_names;

    const char *rest = text + parser.n_scheme;
    size_t n_rest = parser.n_text - parser.n_scheme;
    const char *at = memrchr(rest, '@', n_rest);
    int error = at != NULL ? take_user(&parser, rest, (size_t)(at - rest), &proxy) : 0;
    if (error == 0 && at != NULL) {
        n_rest -= (size_t)(at + 1 - rest);
        rest = at + 1;
    }
    if (error == 0)
        error = take_host(&parser, rest, n_rest, &proxy);
    if (error == 0)
        *ret_proxy = proxy;
    return error;
}
