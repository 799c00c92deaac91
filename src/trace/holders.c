/* SPDX-License-Identifier: MIT */
/* A connection that was not accepted yet has no descriptor: then the listener's holder is whom it waits for. */
#include "trace/holders.h"

#include "observe/sockets/filter.h"
#include "observe/sockets/owners.h"
#include "observe/sockets/sockets.h"

#include <stdlib.h>
#include <string.h>

struct holders {
    struct sockets *sockets;
    struct owners *owners;
    int64_t second_ns;
    unsigned n_searches; /* in this second */
};

struct holders *holders_new(void)
{
    struct sonde_why why;
    struct holders *holders = calloc(1, sizeof *holders);
    if (!holders)
        return NULL;
    holders->owners = owners_new();
    if (!holders->owners || sockets_open(&holders->sockets, &why) < 0) {
        owners_free(holders->owners);
        free(holders);
        return NULL;
    }
    return holders;
}

void holders_free(struct holders *holders)
{
    if (!holders)
        return;
    sockets_close(holders->sockets);
    owners_free(holders->owners);
    free(holders);
}

struct listener_search {
    const struct sonde_address *local;
    uint64_t inode;
};

static bool is_listener(const struct socket_info *socket, void *user)
{
    struct listener_search *search = user;
    if (socket->state != TCP_STATE_LISTEN || socket->local.port != search->local->port)
        return true;
    search->inode = socket->inode;
    return false;
}

static uint64_t inode_of(struct holders *holders, const struct sonde_address *local, const struct sonde_address *peer)
{
    struct socket_info socket;
    if (sockets_find(holders->sockets, local, peer, 0, 0, &socket) == 0 && socket.inode != 0)
        return socket.inode;
    struct listener_search search = {.local = local};
    struct sockets_filter *filter = NULL;
    char why[192];
    if (filter_parse("state listening", &filter, why) == 0)
        sockets_dump(holders->sockets, SOCKETS_TCP, 0, filter, is_listener, &search);
    filter_free(filter);
    return search.inode;
}

static bool may_search(struct holders *holders, int64_t now_ns)
{
    if (now_ns - holders->second_ns >= NS_PER_S) {
        holders->second_ns = now_ns;
        holders->n_searches = 0;
    }
    return holders->n_searches++ < HOLDERS_PER_SECOND;
}

void holders_find(struct holders *holders, const struct sonde_address address[N_ENDS], int64_t now_ns,
                  struct holder ret_holders[N_ENDS])
{
    memset(ret_holders, 0, N_ENDS * sizeof *ret_holders);
    if (!may_search(holders, now_ns))
        return;
    uint64_t inode[N_ENDS];
    for (int end = 0; end < N_ENDS; end++)
        inode[end] = inode_of(holders, &address[end], &address[other_end(end)]);
    if ((inode[END_A] == 0 && inode[END_B] == 0) || owners_refresh(holders->owners) < 0)
        return;
    for (int end = 0; end < N_ENDS; end++) {
        const struct owner *owner = inode[end] != 0 ? owners_find(holders->owners, inode[end]) : NULL;
        if (!owner)
            continue;
        ret_holders[end].pid = owner->pid;
        memcpy(ret_holders[end].program, owner->program, HOLDER_NAME_MAX);
        ret_holders[end].program[HOLDER_NAME_MAX - 1] = '\0';
    }
}
