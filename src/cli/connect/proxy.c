/* SPDX-License-Identifier: MIT */
/*
 * --proxy, and SONDE_PROXY_USER for what is better not seen in a list of processes. What is shown of a proxy is its
 * host and its port, nowhere its user or password.
 */
#include "cli/connect/connect_internal.h"
#include "cli/say.h"
#include "term/escape.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define USER_VARIABLE "SONDE_PROXY_USER"

static bool refuse(int *ret_status)
{
    *ret_status = EXIT_MISUSE;
    return false;
}

/* "user:password", as it is. */
static bool take_user(const char *text, struct sonde_proxy *proxy, int *ret_status)
{
    size_t n_user = strcspn(text, ":"), n_text = strlen(text);
    size_t n_password = text[n_user] == ':' ? n_text - n_user - 1 : 0;

    if (n_user == 0 || n_user >= sizeof proxy->user || n_password >= sizeof proxy->password) {
        say(_("%s is USER:PASSWORD, of which each has at most 255 bytes."), USER_VARIABLE);
        return refuse(ret_status);
    }
    memcpy(proxy->user, text, n_user);
    proxy->user[n_user] = '\0';
    memcpy(proxy->password, text + n_text - n_password, n_password);
    proxy->password[n_password] = '\0';
    return true;
}

/* The argument is what ps shows: what stands before the last @ is written over. */
static void hide_user(const char *text)
{
    const char *end = strrchr(text, '@'), *begin = strstr(text, "://");

    if (end == NULL || begin == NULL || begin + 3 > end)
        return;
    memset((char *)(uintptr_t)begin + 3, 'x', (size_t)(end - begin - 3));
}

bool connect_proxy_make(const struct connect_settings *settings, struct connect_target *target, int *ret_status)
{
    const char *user = getenv(USER_VARIABLE);
    struct sonde_why why;
    char shown[256], detail[256];

    if (settings->proxy.n == 0)
        return true;
    int error = sonde_proxy_parse(settings->proxy.values[0], &target->proxy, &why);
    for (unsigned i = 0; i < settings->proxy.n; i++)
        hide_user(settings->proxy.values[i]);
    if (settings->proxy.n > 1) {
        say(_("one proxy after another is not built: --proxy is given once."));
        return refuse(ret_status);
    }
    if (error < 0) {
        escape_short(why.subject, strlen(why.subject), shown, sizeof shown);
        escape_short(why.detail, strlen(why.detail), detail, sizeof detail);
        say(_("--proxy: \"%s\" is not understood: %s."), shown, detail);
        return refuse(ret_status);
    }
    if (target->url.scheme != SONDE_SCHEME_TCP) {
        say(_("a proxy connects to TCP addresses only: leave out --proxy."));
        return refuse(ret_status);
    }
    target->has_proxy = true;
    return user == NULL || target->proxy.user[0] != '\0' || take_user(user, &target->proxy, ret_status);
}

static void format_proxy(const struct sonde_proxy *proxy, char *ret_text, size_t size_bytes)
{
    bool is_ipv6 = strchr(proxy->host, ':') != NULL;
    char host[512];

    escape_short(proxy->host, strlen(proxy->host), host, sizeof host);
    snprintf(ret_text, size_bytes, is_ipv6 ? "[%s]:%u" : "%s:%u", host, (unsigned)proxy->port);
}

bool connect_proxy_say(const struct connect_target *target, const struct talk *talk)
{
    const struct sonde_why *why = &talk->why;
    char proxy[640], detail[256];

    if (!target->has_proxy || talk->end.opened || talk->end.error == 0)
        return false;
    format_proxy(&target->proxy, proxy, sizeof proxy);
    escape_short(why->detail, strlen(why->detail), detail, sizeof detail);
    if (strcmp(why->call, "proxy") == 0) {
        say(_("%s cannot be connected to through the proxy %s: %s."), target->name, proxy, detail);
        return true;
    }
    /* What is not said of the proxy is said of the far end: its name does not resolve. */
    if (strncmp(why->detail, "the proxy", strlen("the proxy")) != 0)
        return false;
    struct sonde_why leg = *why;
    if (strcmp(leg.call, "getaddrinfo") == 0)
        snprintf(leg.subject, sizeof leg.subject, "%.150s", target->proxy.host);
    if (!attempts_say(&talk->attempts, proxy, &leg))
        say_why(proxy, &leg);
    return true;
}
