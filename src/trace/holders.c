/* SPDX-License-Identifier: MIT */
/* A connection that was not accepted yet has no descriptor: then the listener's holder is whom it waits for. */
#include "trace/holders.h"

#include "observe/sockets/filter.h"
#include "observe/sockets/owners.h"
#include "observe/sockets/sockets.h"

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

struct holders {
    struct sockets *sockets;
    struct owners *owners;
    int64_t second_ns;
    unsigned n_searches; /* in this second */
    bool is_thrifty;
    int64_t next_ns; /* thrifty: not before that */
};

#define THRIFTY_SHARE 100 /* a search, and so often as long nothing */

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

void holders_be_thrifty(struct holders *holders)
{
    holders->is_thrifty = true;
}

static int64_t monotonic_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * NS_PER_S + now.tv_nsec;
}

/* Whether this machine has the address: nobody else's can be bound. A link-local one is of an interface that is not
 * known here. */
static bool is_here(const struct sonde_address *address)
{
    struct sockaddr_storage storage = {.ss_family = address->family};
    struct sockaddr_in *in = (void *)&storage;
    struct sockaddr_in6 *in6 = (void *)&storage;
    if (address->family == AF_INET)
        memcpy(&in->sin_addr, address->u.ip, 4);
    else
        memcpy(&in6->sin6_addr, address->u.ip, 16);
    if (address->family == AF_INET6 && IN6_IS_ADDR_LINKLOCAL(&in6->sin6_addr))
        return true;
    int fd = socket(address->family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    bool here =
        fd >= 0 && bind(fd, (struct sockaddr *)&storage, address->family == AF_INET ? sizeof *in : sizeof *in6) == 0;
    if (fd >= 0)
        close(fd);
    return here;
}

struct listener_search {
    const struct sonde_address *local;
    uint64_t inode;
};

static bool listens_there(const struct sonde_address *listener, const struct sonde_address *local)
{
    static const uint8_t any[16];
    size_t n = listener->family == AF_INET ? 4 : 16;
    return listener->port == local->port &&
           (memcmp(listener->u.ip, any, n) == 0 ||
            (listener->family == local->family && memcmp(listener->u.ip, local->u.ip, n) == 0));
}

static bool is_listener(const struct socket_info *socket, void *user)
{
    struct listener_search *search = user;
    if (socket->state != TCP_STATE_LISTEN || !listens_there(&socket->local, search->local))
        return true;
    search->inode = socket->inode;
    return false;
}

struct datagram_search {
    const struct sonde_address *local, *peer;
    uint64_t inode;
};

/* One that is connected to the peer, or else one that takes from everybody. */
static bool is_datagram_socket(const struct socket_info *socket, void *user)
{
    struct datagram_search *search = user;
    if (socket->inode == 0 || !listens_there(&socket->local, search->local))
        return true;
    bool is_connected = socket->peer.port != 0;
    if (is_connected && !listens_there(&socket->peer, search->peer))
        return true;
    search->inode = socket->inode;
    return !is_connected;
}

static uint64_t datagram_inode(struct holders *holders, const struct sonde_address *local,
                               const struct sonde_address *peer)
{
    struct datagram_search search = {.local = local, .peer = peer};
    struct sockets_filter *filter = NULL;
    char text[32], why[192];
    if (!is_here(local))
        return 0;
    snprintf(text, sizeof text, "sport = :%u", local->port);
    if (filter_parse(text, &filter, why) == 0)
        sockets_dump(holders->sockets, SOCKETS_UDP, 0, filter, is_datagram_socket, &search);
    filter_free(filter);
    return search.inode;
}

static uint64_t inode_of(struct holders *holders, const struct sonde_address *local, const struct sonde_address *peer)
{
    struct socket_info socket;
    /* A port that listens answers for connections that it does not have. */
    if (sockets_find(holders->sockets, local, peer, 0, 0, &socket) == 0 && socket.inode != 0 &&
        socket.state != TCP_STATE_LISTEN && socket.peer.port == peer->port)
        return socket.inode;
    if (!is_here(local))
        return 0;
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
    if (holders->is_thrifty && now_ns < holders->next_ns)
        return false;
    return holders->n_searches++ < HOLDERS_PER_SECOND;
}

static void find(struct holders *holders, uint8_t protocol, const struct sonde_address address[N_ENDS],
                 struct holder ret_holders[N_ENDS])
{
    uint64_t inode[N_ENDS];
    for (int end = 0; end < N_ENDS; end++)
        inode[end] = protocol == IPPROTO_UDP ? datagram_inode(holders, &address[end], &address[other_end(end)])
                                             : inode_of(holders, &address[end], &address[other_end(end)]);
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

void holders_find(struct holders *holders, uint8_t protocol, const struct sonde_address address[N_ENDS], int64_t now_ns,
                  struct holder ret_holders[N_ENDS])
{
    memset(ret_holders, 0, N_ENDS * sizeof *ret_holders);
    if (!may_search(holders, now_ns))
        return;
    int64_t begun_ns = monotonic_now_ns();
    find(holders, protocol, address, ret_holders);
    int64_t ended_ns = monotonic_now_ns();
    holders->next_ns = ended_ns + THRIFTY_SHARE * (ended_ns - begun_ns);
}
