/* SPDX-License-Identifier: MIT */
/*
 * Which addresses are listened on: those given; else the sockets that were passed (activation.h); else the usual one.
 * The name of a passed socket stands for all that have it, and is replaced by their descriptors' numbers.
 */
#include "cli/serve/serve_internal.h"
#include "term/escape.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FD_NAME_MAX = 256, LIST_MAX = 400 };

static bool are_too_many(const struct serve *serve)
{
    if (serve->n_urls < SERVE_URLS_MAX)
        return false;
    say(_("these are too many addresses: serve listens on %d at most."), SERVE_URLS_MAX);
    return true;
}

/* A descriptor is taken over, and so cannot be given twice. */
static bool is_given_already(const struct serve *serve, const struct sonde_url *url)
{
    for (unsigned i = 0; i < serve->n_urls && url->scheme == SONDE_SCHEME_FD; i++) {
        if (serve->urls[i].scheme != SONDE_SCHEME_FD || atoi(serve->urls[i].host) != atoi(url->host))
            continue;
        say(_("fd://%s is given twice: one descriptor is one listener."), url->host);
        return true;
    }
    return false;
}

static enum exit_status add_url(struct serve *serve, const char *text)
{
    long long backlog = serve->settings->backlog;
    struct sonde_url *url = &serve->urls[serve->n_urls];
    struct sonde_why why;

    if (are_too_many(serve))
        return EXIT_MISUSE;
    if (sonde_url_parse(text, url, &why) != 0)
        return say_why(text, &why);
    if (is_given_already(serve, url))
        return EXIT_MISUSE;
    if (backlog > 0 && !serve_url_is_datagrams(url) && !(url->n_set & 1u << SONDE_OPT_BACKLOG)) {
        url->n_set |= 1u << SONDE_OPT_BACKLOG;
        url->option[SONDE_OPT_BACKLOG].number = backlog;
    }
    serve->url_texts[serve->n_urls++] = text;
    return EXIT_DONE;
}

static enum exit_status add_fd(struct serve *serve, int fd, const char *options)
{
    char *text;

    if (are_too_many(serve))
        return EXIT_MISUSE;
    if (asprintf(&text, "fd://%d%s", fd, options) < 0) {
        say(_("there is not enough memory."));
        return EXIT_NETWORK;
    }
    serve->fd_texts[serve->n_urls] = text;
    return add_url(serve, text);
}

static enum exit_status say_no_such_name(const struct serve *serve, const char *name)
{
    const struct activation *activation = &serve->activation;
    char shown[FD_NAME_MAX], list[LIST_MAX];

    escape_short(name, strlen(name), shown, sizeof(shown));
    if (activation->n == 0) {
        say(_("fd://%s: no sockets were passed to this process (LISTEN_FDS). systemd passes them, or "
              "systemd-socket-activate."),
            shown);
    } else if (activation->names == NULL) {
        say(_("fd://%s: the sockets that were passed have no names (LISTEN_FDNAMES). Give a number, as in fd://%d"),
            shown, ACTIVATION_FIRST_FD);
    } else {
        escape_short(activation->names, strlen(activation->names), list, sizeof(list));
        say(_("fd://%s: none of the sockets that were passed has that name. Theirs are %s"), shown, list);
    }
    return EXIT_MISUSE;
}

static enum exit_status add_named(struct serve *serve, const char *name, const char *options)
{
    enum exit_status status = EXIT_DONE;
    unsigned number = 0, n_found = 0;
    int fd;

    while (status == EXIT_DONE &&
           (fd = activation_find(&serve->activation, name, strlen(name), number, &number)) >= 0) {
        status = add_fd(serve, fd, options);
        n_found++;
        number++;
    }
    return n_found > 0 ? status : say_no_such_name(serve, name);
}

static enum exit_status add_passed(struct serve *serve)
{
    enum exit_status status = EXIT_DONE;

    for (unsigned i = 0; i < serve->activation.n && status == EXIT_DONE; i++)
        status = add_fd(serve, (int)(ACTIVATION_FIRST_FD + i), "");
    return status;
}

static bool is_any_passed(const struct serve *serve)
{
    for (unsigned i = 0; i < serve->n_urls; i++)
        if (serve->urls[i].scheme == SONDE_SCHEME_FD)
            return true;
    return false;
}

enum exit_status serve_find_urls(struct serve *serve, int n_operands, char **operands)
{
    enum exit_status status = EXIT_DONE;
    char name[FD_NAME_MAX];
    const char *options;

    if (n_operands == 0 && serve->activation.n > 0)
        return add_passed(serve);
    if (n_operands == 0)
        return add_url(serve, serve->settings->ipv6 ? "tcp://[::1]:7007" : "tcp://127.0.0.1:7007");
    for (int i = 0; i < n_operands && status == EXIT_DONE; i++) {
        if (activation_is_name(operands[i], name, sizeof(name), &options))
            status = add_named(serve, name, options);
        else
            status = add_url(serve, operands[i]);
    }
    if (status == EXIT_DONE && serve->activation.n > 0 && !is_any_passed(serve))
        say(_("%u sockets were passed to this process (LISTEN_FDS), and are not used: other addresses were given."),
            serve->activation.n);
    return status;
}

enum exit_status serve_environment_take(struct serve *serve)
{
    notify_open(&serve->notify);
    if (activation_take(&serve->activation) == 0)
        return EXIT_DONE;
    say(_("LISTEN_PID says that sockets were passed to this process, but LISTEN_FDS does not say how many."));
    return EXIT_MISUSE;
}

void serve_environment_free(struct serve *serve)
{
    for (unsigned i = 0; i < SERVE_URLS_MAX; i++)
        free(serve->fd_texts[i]);
    activation_free(&serve->activation);
    notify_close(&serve->notify);
}
