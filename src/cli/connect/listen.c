/* SPDX-License-Identifier: MIT */
#include "cli/connect/listen.h"

#include "cli/say.h"
#include "term/escape.h"

#include <string.h>

static void on_accepted(struct sonde_listener *listener, struct sonde_stream *stream, void *owner)
{
    struct listening *listening = owner;

    sonde_listener_pause(listener);
    listening->came(stream, listening->user);
}

static void on_trouble(struct sonde_listener *listener, int error, void *owner)
{
    (void)listener, (void)owner;
    if (error != 0)
        say(_("no connection can be accepted: %s. It is tried again."), sonde_strerror(error));
}

static void on_refused(struct sonde_listener *listener, const struct sonde_address *peer, const struct sonde_why *why,
                       void *owner)
{
    char shown[SONDE_ADDRESS_TEXT], detail[256];

    (void)listener, (void)owner;
    sonde_address_format(peer, shown, sizeof shown);
    escape_short(why->detail, strlen(why->detail), detail, sizeof detail);
    if (detail[0] != '\0')
        say(_("%s was refused: %s (%s)."), shown, sonde_strerror(why->code), detail);
    else
        say(_("%s was refused: %s."), shown, sonde_strerror(why->code));
}

static void on_lost(struct sonde_listener *listener, uint64_t n_dropped, uint64_t n_peerless, void *owner)
{
    unsigned long long n = n_dropped;

    (void)listener, (void)owner, (void)n_peerless; /* others that have no place here are no news */
    if (n > 0)
        say(ngettext("%llu datagram was dropped by this machine's kernel, for want of room.",
                     "%llu datagrams were dropped by this machine's kernel, for want of room.", n),
            n);
}

static const struct sonde_listener_handler handler = {
    .accepted = on_accepted,
    .trouble = on_trouble,
    .refused = on_refused,
    .lost = on_lost,
};

int listening_open(struct listening *listening, struct sonde_loop *loop, const struct sonde_url *url,
                   const struct sonde_listen_options *options, struct sonde_why *ret_why)
{
    struct sonde_listen_options all = *options;

    all.flags = SONDE_LISTEN_PAUSED | SONDE_LISTEN_ONE_BY_ONE;
    int error = sonde_listen(loop, url, &all, &handler, listening, &listening->listener, ret_why);
    if (error < 0)
        return error;
    listening->n_urls = sonde_listener_count(listening->listener);
    for (unsigned i = 0; i < listening->n_urls; i++)
        sonde_listener_address(listening->listener, i, &listening->urls[i]);
    return 0;
}

void listening_next(struct listening *listening)
{
    if (listening->listener != NULL)
        sonde_listener_resume(listening->listener);
}

void listening_close(struct listening *listening)
{
    if (listening->listener != NULL)
        sonde_listener_close(listening->listener);
    listening->listener = NULL;
}
