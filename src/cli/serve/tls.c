/* SPDX-License-Identifier: MIT */
/* TLS: what the options say, for the addresses that speak it. One struct sonde_tls serves all threads. */
#include "cli/serve/serve_internal.h"

#include <string.h>

static bool speaks_tls(const struct sonde_url *url)
{
    return (url->layers & (SONDE_LAYER_TLS | SONDE_LAYER_ANY)) != 0;
}

enum exit_status serve_tls_init(struct serve *serve)
{
    const struct tls_settings *settings = &serve->settings->tls;
    const char *given = tls_first_given(settings);
    bool wanted = false;

    for (unsigned i = 0; i < serve->n_urls; i++)
        wanted = wanted || speaks_tls(&serve->urls[i]);
    if (!wanted && given != NULL) {
        say(_("%s is about TLS, and no address here speaks it: tls://HOST:PORT does, and wss:// and any://."), given);
        return EXIT_MISUSE;
    }
    if (!wanted)
        return EXIT_DONE;
    enum exit_status status = tls_check(settings, true);
    return status == EXIT_DONE ? tls_make(settings, true, &serve->tls) : status;
}

void serve_tls_free(struct serve *serve)
{
    sonde_tls_free(serve->tls);
    serve->tls = NULL;
}

void serve_tls_listen(const struct serve *serve, const struct sonde_url *url, struct sonde_listen_options *options)
{
    if (speaks_tls(url))
        options->tls = serve->tls;
}

/* How to trust a certificate that was made here: with the first address that it is for. */
void serve_tls_tell(const struct serve *serve)
{
    const struct worker *worker = &serve->workers[0];
    char url[SONDE_URL_MAX];

    for (unsigned i = 0; i < worker->n_places; i++) {
        if (worker->places[i].listener == NULL || !speaks_tls(&serve->urls[worker->places[i].url]))
            continue;
        serve_url_text(worker->places[i].listener, 0, url);
        /* Whoever connects to any:// says what it speaks. */
        if (strncmp(url, "any", 3) == 0)
            memcpy(url, "tls", 3);
        tls_say_fingerprint(serve->tls, url);
        return;
    }
}
