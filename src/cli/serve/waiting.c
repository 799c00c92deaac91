/* SPDX-License-Identifier: MIT */
/*
 * hold: who waits in the accept queue. The kernel is asked for the sockets of that port that no descriptor holds and
 * that still stand: those are connections that nobody has accepted.
 */
#include "cli/serve/serve_internal.h"
#include "observe/sockets/filter.h"
#include "observe/sockets/sockets.h"

#include <stdio.h>
#include <string.h>

#define WAITING_SHOWN_MAX 32

struct search {
    struct worker *worker;
    const char *where; /* "127.0.0.1:7007"; NULL: any address of the port */
    unsigned n_found;
};

static bool on_socket(const struct socket_info *socket, void *user)
{
    struct search *search = user;
    char local[SONDE_ADDRESS_TEXT], peer[SONDE_ADDRESS_TEXT];
    bool stands = socket->state == TCP_STATE_ESTABLISHED || socket->state == TCP_STATE_CLOSE_WAIT;

    sonde_address_format(&socket->local, local, sizeof(local));
    if (!stands || socket->inode != 0 || (search->where && strcmp(local, search->where) != 0))
        return true;
    if (++search->n_found > WAITING_SHOWN_MAX)
        return true;
    sonde_address_format(&socket->peer, peer, sizeof(peer));
    serve_show_waiting(search->worker, local, peer, tcp_state_name(socket->state), socket->receive_queue);
    return true;
}

void serve_list_waiting(struct worker *worker, const char *url)
{
    static const char plain[] = "tcp://";
    struct search search = {.worker = worker};
    struct sonde_url parsed;
    struct sonde_why why;
    struct sockets *sockets;
    struct sockets_filter *filter = NULL;
    char text[64], reason[192], where[SONDE_URL_MAX];

    if (sonde_url_parse(url, &parsed, &why) != 0 || parsed.scheme != SONDE_SCHEME_TCP)
        return;
    parsed.layers = 0;
    sonde_url_format(&parsed, where, sizeof(where));
    bool any = strcmp(parsed.host, "*") == 0 || strcmp(parsed.host, "0.0.0.0") == 0 || strcmp(parsed.host, "::") == 0;
    if (!any)
        search.where = where + strlen(plain);
    snprintf(text, sizeof(text), "sport = :%u", (unsigned)parsed.port);
    if (filter_parse(text, &filter, reason) != 0)
        return;
    if (sockets_open(&sockets, &why) == 0) {
        sockets_dump(sockets, SOCKETS_TCP, 0, filter, on_socket, &search);
        sockets_close(sockets);
    }
    filter_free(filter);
    if (search.n_found > WAITING_SHOWN_MAX)
        serve_show_more_waiting(worker, search.n_found - WAITING_SHOWN_MAX);
}
