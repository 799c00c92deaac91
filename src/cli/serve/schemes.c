/* SPDX-License-Identifier: MIT */
/* What does not go together with an address: options and services that mean nothing to what is spoken there. */
#include "cli/serve/serve_internal.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Of IPv4, which has the shorter header: 65,535 less 20 less 8. */
enum { UDP_BYTES_MAX = 65507 };

#define ONCE_IDLE_NS INT64_C(1000000000)

static enum exit_status misuse(const char *sentence)
{
    say("%s", sentence);
    return EXIT_MISUSE;
}

/* How many addresses are of this kind. */
static unsigned count(const struct serve *serve, bool (*is)(const struct sonde_url *url))
{
    unsigned n = 0;

    for (unsigned i = 0; i < serve->n_urls; i++)
        n += is(&serve->urls[i]);
    return n;
}

/* No connections, and so no accept queue. */
static bool is_udp(const struct sonde_url *url)
{
    return url->scheme == SONDE_SCHEME_UDP;
}

/* A stream of bytes that the kernel makes, which a ring can keep alone. */
static bool is_not_direct(const struct sonde_url *url)
{
    return url->scheme != SONDE_SCHEME_TCP && url->scheme != SONDE_SCHEME_UNIX && url->scheme != SONDE_SCHEME_FD;
}

static bool is_multicast(const struct sonde_url *url)
{
    if (strchr(url->host, ':') != NULL)
        return strncasecmp(url->host, "ff", 2) == 0;
    long first = strtol(url->host, NULL, 10);
    return first >= 224 && first <= 239;
}

/* A multicast datagram goes to every socket that listens, and would be served by each worker. */
bool serve_url_is_shared(const struct sonde_url *url)
{
    return url->scheme == SONDE_SCHEME_TCP || (url->scheme == SONDE_SCHEME_UDP && !is_multicast(url));
}

/* With --once the silence of the first peer is the end of everything, and so is not waited for as long. */
int64_t serve_peer_idle_ns(const struct serve *serve)
{
    if (serve->settings->idle_ns > 0)
        return serve->settings->idle_ns;
    return serve->settings->once ? ONCE_IDLE_NS : SONDE_PEER_IDLE_NS;
}

static enum exit_status check_datagrams(const struct serve *serve)
{
    const struct serve_settings *settings = serve->settings;

    if (serve->service->flags & SERVICE_NEEDS_END) {
        say(_("%s cannot be served on datagrams: they have no end, and so a program's input would have none. "
              "seqpacket: has one; socat UDP-RECVFROM:PORT,fork EXEC:PROGRAM runs a program for each datagram."),
            serve->service->name);
        return EXIT_MISUSE;
    }
    if (settings->rate > 0)
        return misuse(_("--rate holds back whoever sends too fast: with datagrams nobody can be, the kernel would drop "
                        "them."));
    if (settings->sequential)
        return misuse(_("--sequential is one connection after another: datagrams have no connections that end."));
    if (serve->service->flags & SERVICE_TAKES_TEXT && count(serve, is_udp) > 0 && serve->n_text_bytes > UDP_BYTES_MAX) {
        say(_("the text has %zu bytes, and a UDP datagram holds %d at most."), serve->n_text_bytes, UDP_BYTES_MAX);
        return EXIT_MISUSE;
    }
    return EXIT_DONE;
}

enum exit_status serve_schemes_check(const struct serve *serve)
{
    const struct serve_settings *settings = serve->settings;
    unsigned n_datagrams = count(serve, serve_url_is_datagrams);

    if (settings->backlog > 0 && n_datagrams == serve->n_urls)
        return misuse(_("--backlog is the length of the accept queue: datagrams have none."));
    if (settings->direct && count(serve, is_not_direct) > 0)
        return misuse(_("--direct is for connections on TCP and UNIX sockets: leave out other addresses."));
    return n_datagrams > 0 ? check_datagrams(serve) : EXIT_DONE;
}
