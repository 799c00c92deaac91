/* SPDX-License-Identifier: MIT */
/* The options for WebSocket, HTTP and any://, and what they come to. */
#include "cli/serve/serve_internal.h"

#include <string.h>

static bool is_web(const struct sonde_url *url)
{
    return (url->layers & (SONDE_LAYER_WS | SONDE_LAYER_ANY)) != 0;
}

static bool is_any(const struct sonde_url *url)
{
    return (url->layers & SONDE_LAYER_ANY) != 0;
}

static bool some(const struct serve *serve, bool (*is)(const struct sonde_url *url))
{
    for (unsigned i = 0; i < serve->n_urls; i++)
        if (is(&serve->urls[i]))
            return true;
    return false;
}

/* The first that was given of those for any:// alone, or of the others; NULL: none. */
static const char *first_given(const struct web_settings *web, bool for_any)
{
    const struct {
        const char *name;
        bool given, for_any;
    } options[] = {
        {"--any-order", web->any_order != NULL, true},
        {"--any-wait", web->any_wait_ns > 0, true},
        {"--allow-origin", web->origins.n > 0, false},
        {"--allow-host", web->hosts.n > 0, false},
        {"--subprotocol", web->subprotocols != NULL, false},
        {"--message-max", web->message_max > 0, false},
        {"--ping", web->ping_ns > 0, false},
        {"--no-deflate", web->no_deflate, false},
    };

    for (size_t i = 0; i < sizeof(options) / sizeof(*options); i++)
        if (options[i].given && options[i].for_any == for_any)
            return options[i].name;
    return NULL;
}

/* --- what they come to ------------------------------------------------------------------------------------------ */

static bool is_token(const char *text, size_t n_bytes)
{
    for (size_t i = 0; i < n_bytes; i++)
        if (text[i] <= ' ' || text[i] >= 0x7f || strchr("()<>@,;:\\\"/[]?={}", text[i]) != NULL)
            return false;
    return n_bytes > 0;
}

static bool check_texts(const struct web_settings *web)
{
    for (unsigned i = 0; i < web->origins.n; i++) {
        const char *origin = web->origins.values[i], *host = strstr(origin, "://");
        if (strcmp(origin, "*") != 0 && (host == NULL || host[3] == '\0' || strchr(host + 3, '/') != NULL)) {
            say(_("--allow-origin takes what a browser calls one, as in https://app.example or http://localhost:3000, "
                  "or *."));
            return false;
        }
    }
    for (unsigned i = 0; i < web->hosts.n; i++) {
        const char *host = web->hosts.values[i];
        if (host[0] == '\0' || strpbrk(host, "/@ ,") != NULL) {
            say(_("--allow-host takes a name with or without a port, as in box.example or box.example:7007, or *."));
            return false;
        }
    }
    for (const char *at = web->subprotocols; at != NULL;) {
        size_t n = strcspn(at, ",");
        if (!is_token(at, n)) {
            say(_("--subprotocol takes names separated by commas, without spaces."));
            return false;
        }
        at = at[n] == ',' ? at + n + 1 : NULL;
    }
    return true;
}

static bool parse_kinds(const char *list, unsigned *ret_kinds)
{
    static const char *const names[SONDE_N_ANY_KINDS] = {
        [SONDE_ANY_RAW] = "raw",
        [SONDE_ANY_TLS] = "tls",
        [SONDE_ANY_HTTP] = "http",
        [SONDE_ANY_WS] = "ws",
    };
    unsigned kinds = 0;

    for (const char *at = list; at != NULL;) {
        size_t n = strcspn(at, ",");
        unsigned kind = 0;
        while (kind < SONDE_N_ANY_KINDS && (strlen(names[kind]) != n || memcmp(at, names[kind], n) != 0))
            kind++;
        if (kind == SONDE_N_ANY_KINDS)
            return false;
        kinds |= 1u << kind;
        at = at[n] == ',' ? at + n + 1 : NULL;
    }
    *ret_kinds = kinds;
    return true;
}

enum exit_status serve_web_init(struct serve *serve)
{
    const struct web_settings *web = &serve->settings->web;
    const char *given = first_given(web, true);

    if (given != NULL && !some(serve, is_any)) {
        say(_("%s is about any://, and no address here is one."), given);
        return EXIT_MISUSE;
    }
    given = first_given(web, false);
    if (given != NULL && !some(serve, is_web)) {
        say(_("%s is about WebSocket and HTTP, and no address here speaks them: ws://HOST:PORT does, and wss:// and "
              "any://."),
            given);
        return EXIT_MISUSE;
    }
    if (web->any_order != NULL && !parse_kinds(web->any_order, &serve->any_kinds)) {
        say(_("--any-order takes some of raw, tls, http and ws, separated by commas: who is not named is not let in."));
        return EXIT_MISUSE;
    }
    if (!check_texts(web))
        return EXIT_MISUSE;
    for (unsigned i = 0; i < web->origins.n; i++)
        serve->web_origins[i] = web->origins.values[i];
    for (unsigned i = 0; i < web->hosts.n; i++)
        serve->web_hosts[i] = web->hosts.values[i];
    serve->web = (struct sonde_web_server){
        .size = sizeof(serve->web),
        .settings = {.message_limit_bytes = (uint64_t)web->message_max,
                     .no_deflate = web->no_deflate,
                     .ping_interval_ns = web->ping_ns},
        .origins = serve->web_origins,
        .hosts = serve->web_hosts,
        .subprotocols = web->subprotocols,
    };
    return EXIT_DONE;
}

void serve_web_listen(const struct serve *serve, const struct sonde_url *url, struct sonde_listen_options *options)
{
    if (!is_web(url))
        return;
    options->web = &serve->web;
    options->any_kinds = serve->any_kinds;
    options->any_wait_ns = serve->settings->web.any_wait_ns;
}
