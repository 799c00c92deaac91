/* SPDX-License-Identifier: MIT */
/*
 * What a service manager is told of serve (notify.h): that it listens and where, that it ends, and, from the main
 * thread's loop, that this loop still comes round.
 */
#include "cli/serve/serve_internal.h"

#include <stdio.h>
#include <string.h>

/* Words of the status for as many addresses as there is room for. */
static void describe(const struct serve *serve, char *ret_text, size_t size_bytes)
{
    size_t n = (size_t)snprintf(ret_text, size_bytes, "READY=1\nSTATUS=%s on", serve->service->name);
    unsigned n_left_out = 0, n_shown = 0;

    for (unsigned i = 0; i < serve->n_urls; i++) {
        const struct sonde_listener *listener = serve->workers[0].places[i].listener;
        for (unsigned j = 0; listener != NULL && j < sonde_listener_count(listener); j++) {
            char url[SONDE_URL_MAX];
            serve_url_text(listener, j, url);
            if (n + strlen(url) + 64 > size_bytes) {
                n_left_out++;
                continue;
            }
            n += (size_t)snprintf(ret_text + n, size_bytes - n, "%s %s", n_shown++ > 0 ? "," : "", url);
        }
    }
    if (n_left_out > 0)
        n += (size_t)snprintf(ret_text + n, size_bytes - n, " and %u more", n_left_out);
    if (serve->settings->max_clients > 0)
        snprintf(ret_text + n, size_bytes - n, "; at most %lld clients", serve->settings->max_clients);
}

static void sign_of_life(struct sonde_timer *timer)
{
    struct serve *serve = timer->user;

    notify_send(&serve->notify, "WATCHDOG=1", false);
    sonde_timer_start_in(timer, serve->notify.watchdog_ns / 2);
}

void serve_notify_ready(struct serve *serve)
{
    char text[NOTIFY_MESSAGE_MAX];

    if (serve->notify.fd < 0)
        return;
    describe(serve, text, sizeof(text));
    notify_send(&serve->notify, text, true);
    if (serve->notify.watchdog_ns <= 0)
        return;
    sonde_timer_init(&serve->watchdog, serve->workers[0].loop, sign_of_life, serve);
    sign_of_life(&serve->watchdog);
}

void serve_notify_stopping(struct serve *serve)
{
    if (!serve->stopping_said)
        notify_send(&serve->notify, "STOPPING=1", false);
    serve->stopping_said = true;
}

void serve_notify_stop(struct serve *serve)
{
    serve_notify_stopping(serve);
    if (serve->watchdog.fire != NULL)
        sonde_timer_stop(&serve->watchdog);
}
