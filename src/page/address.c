/* SPDX-License-Identifier: MIT */
/*
 * The page's URL: http://HOST:PORT on this machine, or https://HOST:PORT anywhere. The token would be read on its way
 * over a network without TLS, so that http:// is refused beyond loopback, before anything is listened on.
 */
#include "page/page_internal.h"
#include "term/translate.h"

#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#define DEFAULT_PORT 7070

static int wrong(const char *text, const char *sentence, struct sonde_why *ret_why)
{
    if (ret_why != NULL) {
        *ret_why = (struct sonde_why){.code = -EINVAL, .call = "page"};
        snprintf(ret_why->subject, sizeof ret_why->subject, "%s", text);
        snprintf(ret_why->detail, sizeof ret_why->detail, "%s", sentence);
    }
    return -EINVAL;
}

static bool has_port(const char *authority)
{
    const char *bracket = strchr(authority, ']');

    return strchr(bracket != NULL ? bracket : authority, ':') != NULL;
}

static bool is_loopback(const char *host)
{
    struct in_addr in;
    struct in6_addr in6;

    if (host[0] == '\0' || strcasecmp(host, "localhost") == 0)
        return true;
    if (inet_pton(AF_INET, host, &in) == 1)
        return ntohl(in.s_addr) >> 24 == 127;
    return inet_pton(AF_INET6, host, &in6) == 1 && IN6_IS_ADDR_LOOPBACK(&in6);
}

/* "any://" before what stands behind "http://"; a slash at the end is no more than that. */
static int parse_authority(const char *authority, struct sonde_url *ret_url)
{
    char text[PAGE_URL_MAX + 16];
    size_t n = strlen(authority);

    if (n > 0 && authority[n - 1] == '/')
        n--;
    if (n == 0 || n >= PAGE_URL_MAX - 16 || memchr(authority, '/', n) != NULL || strcspn(authority, "?#@%\\") < n)
        return -EINVAL;
    snprintf(text, sizeof text, "any://%.*s", (int)n, authority);
    if (sonde_url_parse(text, ret_url, NULL) < 0 || ret_url->scheme != SONDE_SCHEME_TCP)
        return -EINVAL;
    if (!has_port(authority))
        ret_url->port = DEFAULT_PORT;
    return 0;
}

int address_parse(const char *text, struct page_address *ret_address, struct sonde_why *ret_why)
{
    bool is_https = strncasecmp(text, "https://", 8) == 0;

    if (!is_https && strncasecmp(text, "http://", 7) != 0)
        return wrong(text, _("the page's URL is http://HOST:PORT or https://HOST:PORT"), ret_why);
    if (parse_authority(text + (is_https ? 8 : 7), &ret_address->url) < 0)
        return wrong(text, _("the page's URL is http://HOST:PORT or https://HOST:PORT, with nothing behind it"),
                     ret_why);
    if (!is_https && !is_loopback(ret_address->url.host))
        return wrong(text,
                     _("without TLS the page stays on this machine, since its token would be read on the way; use "
                       "https://"),
                     ret_why);
    ret_address->is_https = is_https;
    for (char *c = ret_address->url.host; *c != '\0'; c++) /* as browsers write it */
        *c = *c >= 'A' && *c <= 'Z' ? (char)(*c - 'A' + 'a') : *c;
    /* By which name others reach it, where it listens on all addresses; browsers are given one, too. */
    snprintf(ret_address->name, sizeof ret_address->name, "%s", ret_address->url.host);
    if (strcmp(ret_address->name, "*") == 0 || strcmp(ret_address->name, "0.0.0.0") == 0 ||
        strcmp(ret_address->name, "::") == 0) {
        if (ret_address->url.port == 0 || gethostname(ret_address->name, sizeof ret_address->name) < 0)
            snprintf(ret_address->name, sizeof ret_address->name, "localhost");
        ret_address->name[sizeof ret_address->name - 1] = '\0';
    }
    return 0;
}

void address_origin(const struct page_address *address, const struct sonde_listener *listener,
                    char ret_origin[PAGE_URL_MAX])
{
    const char *scheme = address->is_https ? "https" : "http", *name = address->name;
    struct sonde_url bound;

    sonde_listener_address(listener, 0, &bound);
    if (name[0] == '\0')
        name = bound.host; /* loopback: the first of both */
    snprintf(ret_origin, PAGE_URL_MAX, strchr(name, ':') != NULL ? "%s://[%s]:%u" : "%s://%s:%u", scheme, name,
             bound.port);
}
