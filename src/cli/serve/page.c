/* SPDX-License-Identifier: MIT */
/*
 * --page: serve's part of it. The page hears of every listener and every connection that a service has; what the kernel
 * keeps of our addresses is shown too (accept queues, TIME-WAIT), and of those alone. A browser that has the page may
 * be a client of the WebSocket listeners.
 */
#include "page/page.h"
#include "cli/serve/serve_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum exit_status serve_page_open(struct serve *serve)
{
    const struct serve_settings *settings = serve->settings;
    struct page_settings page = {
        .verb = "serve",
        .title = serve->page_title,
        .rights = PAGE_SEE | PAGE_SEND | PAGE_KICK | PAGE_RUN,
        .rows = PAGE_ROWS_SOCKETS,
    };
    unsigned n = 0;
    int status = EXIT_DONE;

    if (settings->page.url == NULL)
        return EXIT_DONE;
    if (!page_options_open(&settings->page, &page, &serve->page, &status))
        return (enum exit_status)status;
    while (serve->web_origins[n] != NULL)
        n++;
    serve->web_origins[n] = page_origin(serve->page);
    if (settings->direct)
        page_set_no_packets(serve->page,
                            _("No segments: connections of --direct have no descriptors by which the kernel "
                              "could be asked about them. Without --direct they are seen."));
    return EXIT_DONE;
}

/* --- which of the kernel's sockets are ours ---------------------------------------------------------------------- */

struct wanted {
    char filter[FILTER_TEXT_MAX];
    size_t n;
    unsigned kinds;
    bool too_many;
};

static void add(struct wanted *wanted, unsigned kind, const char *condition)
{
    int n = snprintf(wanted->filter + wanted->n, sizeof(wanted->filter) - wanted->n, "%s%s",
                     wanted->n > 0 ? " or " : "", condition);

    wanted->kinds |= kind;
    if (n < 0 || (size_t)n >= sizeof(wanted->filter) - wanted->n)
        wanted->too_many = true;
    else
        wanted->n += (size_t)n;
}

/* Of any address the port is all that there is to tell by, and so for an address with a zone. */
static void add_port(struct wanted *wanted, unsigned kind, const struct sonde_url *url)
{
    static const char *const any[] = {"", "*", "0.0.0.0", "::"};
    char condition[320];
    bool is_any = strchr(url->host, '%') != NULL;

    for (size_t i = 0; i < sizeof(any) / sizeof(*any); i++)
        is_any = is_any || strcmp(url->host, any[i]) == 0;
    if (is_any)
        snprintf(condition, sizeof(condition), "sport = :%u", (unsigned)url->port);
    else if (strchr(url->host, ':') != NULL)
        snprintf(condition, sizeof(condition), "src [%s]:%u", url->host, (unsigned)url->port);
    else
        snprintf(condition, sizeof(condition), "src %s:%u", url->host, (unsigned)url->port);
    add(wanted, kind, condition);
}

/* By the text of its name, in quotes. One that has such in it is not looked for. */
static void add_path(struct wanted *wanted, const struct sonde_url *url)
{
    char name[sizeof(url->path) + 1], condition[sizeof(name) + 8];
    bool is_abstract = url->path_bytes > 0 && url->path[0] == '\0';

    snprintf(name, sizeof(name), "%s%.*s", is_abstract ? "@" : "", (int)url->path_bytes - is_abstract,
             url->path + is_abstract);
    if (name[0] == '\0' || strpbrk(name, "\"'\\") != NULL)
        return;
    snprintf(condition, sizeof(condition), "\"%s\"", name);
    add(wanted, SOCKETS_UNIX, condition);
}

static void add_listener(struct wanted *wanted, const struct sonde_url *url)
{
    switch (url->scheme) {
    case SONDE_SCHEME_TCP:
        add_port(wanted, SOCKETS_TCP, url);
        break;
    case SONDE_SCHEME_UDP:
        add_port(wanted, SOCKETS_UDP, url);
        break;
    case SONDE_SCHEME_UNIX:
    case SONDE_SCHEME_UNIXGRAM:
    case SONDE_SCHEME_SEQPACKET:
        add_path(wanted, url);
        break;
    case SONDE_SCHEME_FD:
    case SONDE_SCHEME_VSOCK:
    case SONDE_SCHEME_SCTP:
        break;
    }
}

/* Without a filter that says which, the kernel is not asked at all: other programs' sockets are none of ours. Nor with
 * --direct, where nothing would tell which connection a socket is. */
static void set_filter(struct serve *serve, const struct wanted *wanted)
{
    char why[192];

    if (wanted->n > 0 && !serve->settings->direct && !wanted->too_many &&
        filter_parse(wanted->filter, &serve->page_filter, why) == 0)
        page_set_filter(serve->page, wanted->kinds, serve->page_filter);
    else
        page_set_filter(serve->page, 0, NULL);
}

/* --- what listens --------------------------------------------------------------------------------------------------
 */

/* As a browser writes it: any:// is one of the things that it speaks, and a wildcard is this machine. */
static void add_client_url(struct serve *serve, struct sonde_url url)
{
    char text[SONDE_URL_MAX];

    if (url.scheme != SONDE_SCHEME_TCP || !(url.layers & (SONDE_LAYER_WS | SONDE_LAYER_ANY)))
        return;
    if (url.layers & SONDE_LAYER_ANY)
        url.layers = SONDE_LAYER_WS;
    if (strcmp(url.host, "*") == 0 || strcmp(url.host, "0.0.0.0") == 0 || strcmp(url.host, "::") == 0)
        snprintf(url.host, sizeof(url.host), "127.0.0.1");
    if (url.target[0] == '\0')
        snprintf(url.target, sizeof(url.target), "/");
    sonde_url_format(&url, text, sizeof(text));
    page_add_client_url(serve->page, text);
}

void serve_page_listening(struct serve *serve)
{
    const struct worker *first = &serve->workers[0];
    struct wanted wanted = {.n = 0};

    if (serve->page == NULL)
        return;
    for (unsigned i = 0; i < first->n_places; i++) {
        const struct sonde_listener *listener = first->places[i].listener;
        for (unsigned j = 0; listener != NULL && j < sonde_listener_count(listener); j++) {
            struct sonde_url url;
            char text[SONDE_URL_MAX];
            serve_url_text(listener, j, text);
            page_listening(serve->page, text, serve->service->name);
            sonde_listener_address(listener, j, &url);
            add_client_url(serve, url);
            add_listener(&wanted, &url);
        }
    }
    set_filter(serve, &wanted);
}

enum exit_status serve_page_begin(struct serve *serve)
{
    int status = EXIT_DONE;

    if (serve->page == NULL)
        return EXIT_DONE;
    if (page_options_begin(serve->page, &status))
        serve_show_page(&serve->workers[0], page_url(serve->page));
    return (enum exit_status)status;
}

void serve_page_end(struct serve *serve)
{
    page_end(serve->page);
    filter_free(serve->page_filter);
    serve->page = NULL;
    serve->page_filter = NULL;
}

/* --- connections: on their worker's thread --------------------------------------------------------------------------
 */

/* What happens to it now is nobody else's doing. */
static void kicked(struct sonde_stream *stream, void *user)
{
    (void)user;
    connection_of(stream)->reason = SERVE_PAGE_KICKED;
}

static const struct page_loop_handler handler = {.kicked = kicked};

enum exit_status serve_page_worker(struct worker *worker)
{
    const struct sonde_why why = {.code = -ENOMEM, .call = "malloc"};

    if (worker->serve->page == NULL)
        return EXIT_DONE;
    worker->page = page_loop_add(worker->serve->page, worker->loop, &handler, worker);
    return worker->page != NULL ? EXIT_DONE : say_why("", &why);
}

void serve_page_worker_end(struct worker *worker)
{
    page_loop_remove(worker->page);
    worker->page = NULL;
}

void serve_page_opened(struct worker *worker, struct sonde_stream *stream)
{
    struct connection *connection = connection_of(stream);
    const struct place *place = NULL;

    if (worker->page == NULL)
        return;
    connection->flags |= CONNECTION_PAGE;
    if (connection->local < SERVE_LOCALS_MAX)
        place = worker->locals[connection->local].place;
    page_stream_opened(worker->page, stream, place != NULL ? place->unix_name : NULL, worker->service->name);
}

void serve_page_closed(struct worker *worker, struct sonde_stream *stream)
{
    if (connection_of(stream)->flags & CONNECTION_PAGE)
        page_stream_closed(worker->page, stream);
}
