/* SPDX-License-Identifier: MIT */
#include "cli/connect/listen.h"

#include "cli/say.h"

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

static void on_refused(struct sonde_listener *listener, const struct sonde_address *peer, int error, void *owner)
{
    char shown[SONDE_ADDRESS_TEXT];

    (void)listener, (void)owner;
    sonde_address_format(peer, shown, sizeof shown);
    say(_("%s was refused: %s."), shown, sonde_strerror(error));
}

static const struct sonde_listener_handler handler = {
    .accepted = on_accepted,
    .trouble = on_trouble,
    .refused = on_refused,
};

int listening_open(struct listening *listening, struct sonde_loop *loop, const struct sonde_url *url, int family,
                   uint64_t send_limit_bytes, struct sonde_why *ret_why)
{
    const struct sonde_listen_options options = {
        .size = sizeof options,
        .flags = SONDE_LISTEN_PAUSED | SONDE_LISTEN_ONE_BY_ONE,
        .family = family,
        .send_limit_bytes = send_limit_bytes,
    };

    int error = sonde_listen(loop, url, &options, &handler, listening, &listening->listener, ret_why);
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
