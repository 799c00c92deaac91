/* SPDX-License-Identifier: MIT */
#include "cli/page_options.h"

#include "cli/typing.h"
#include "page/assets.h"
#include "page/page.h"
#include "watch/signals.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

bool page_takes_word(const char *word)
{
    return strncmp(word, "http://", strlen("http://")) == 0 || strncmp(word, "https://", strlen("https://")) == 0;
}

bool page_options_check(const struct page_options *options)
{
    if (options->url || !options->read_only)
        return true;
    say(_("--page-read-only is about the page: give --page too."));
    return false;
}

void page_title(const char *verb, int n_operands, char *const *operands, char ret_title[PAGE_TITLE_MAX])
{
    static const char more[] = " …";
    size_t n = (size_t)snprintf(ret_title, PAGE_TITLE_MAX, "%s", verb);
    for (int i = 0; i < n_operands && n < PAGE_TITLE_MAX; i++) {
        size_t length = strlen(operands[i]);
        if (n + 1 + length >= PAGE_TITLE_MAX - sizeof more) {
            memcpy(ret_title + n, more, sizeof more);
            return;
        }
        n += (size_t)snprintf(ret_title + n, PAGE_TITLE_MAX - n, " %s", operands[i]);
    }
}

bool page_is_built(void)
{
    return page_assets[0].path != NULL;
}

static bool say_why_not(const char *url, const struct sonde_why *why, int *ret_status)
{
    *ret_status = EXIT_NETWORK;
    if (why->code == -ENOSYS) {
        say(_("this sonde was built without the page: everything else works, without --page."));
        return false;
    }
    *ret_status = (int)say_why(url, why);
    if (why->code == -EINVAL)
        *ret_status = EXIT_MISUSE;
    return false;
}

bool page_options_open(const struct page_options *options, struct page_settings *settings, struct page **ret_page,
                       int *ret_status)
{
    struct sonde_why why = {.call = "page"};

    settings->url = options->url && options->url[0] != '\0' ? options->url : NULL;
    settings->read_only = options->read_only;
    int error = page_new(settings, ret_page, &why);
    if (error == 0)
        return true;
    why.code = error;
    return say_why_not(settings->url ? settings->url : PAGE_URL_DEFAULT, &why, ret_status);
}

/* Like the lines about what is listened on: for programs too, and so not translated. */
static void print_line(const char *url)
{
    char line[PAGE_URL_MAX + 128];
    int n = snprintf(line, sizeof line, "page %s\n", url);

    typing_make_room(STDERR_FILENO);
    if (n > 0 && (size_t)n < sizeof line)
        while (write(STDERR_FILENO, line, (size_t)n) < 0 && errno == EINTR)
            ;
}

/* What a browser shows of a certificate that it does not know, to be held against it. */
static void say_fingerprint(const struct page *page)
{
    if (page_fingerprint(page)[0] != '\0')
        say(_("the page's certificate was made for this run. Its SHA-256 fingerprint, to compare with the browser's: "
              "%s"),
            page_fingerprint(page));
}

bool page_options_begin(struct page *page, int *ret_status)
{
    sigset_t all, before;

    /* Signals are for the threads that expect them. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = page_begin(page);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error < 0) {
        say(_("the page cannot be shown: %s."), sonde_strerror(error));
        *ret_status = EXIT_NETWORK;
        return false;
    }
    print_line(page_url(page));
    say_fingerprint(page);
    return true;
}

static const int ending_signals[] = {SIGINT, SIGTERM, SIGHUP, 0};

static enum exit_status say_no_signals(int error)
{
    say(_("the page cannot be shown: %s."), sonde_strerror(error));
    return EXIT_NETWORK;
}

static void wait_for(const struct signals *signals)
{
    struct pollfd polled = {.fd = signals->fd, .events = POLLIN};
    while (poll(&polled, 1, -1) < 0 && errno == EINTR)
        ;
}

enum exit_status page_options_wait(const struct signals *signals)
{
    struct signals own;
    int error = signals ? 0 : signals_open(&own, ending_signals);
    if (error < 0)
        return say_no_signals(error);
    wait_for(signals ? signals : &own);
    if (!signals)
        signals_close(&own);
    return EXIT_DONE;
}

enum exit_status page_options_serve(const struct page_options *options, struct page_settings *settings,
                                    const char *no_packets)
{
    struct page *page;
    struct signals signals;
    int status = EXIT_DONE;

    if (!page_options_open(options, settings, &page, &status))
        return (enum exit_status)status;
    if (no_packets)
        page_set_no_packets(page, no_packets);
    int error = signals_open(&signals, ending_signals);
    if (error < 0) {
        page_end(page);
        return say_no_signals(error);
    }
    if (page_options_begin(page, &status))
        wait_for(&signals);
    page_end(page);
    signals_close(&signals);
    return (enum exit_status)status;
}
