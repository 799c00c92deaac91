/* SPDX-License-Identifier: MIT */
/*
 * Does the server listen? Its end is new, so that whatever listens there, or has a port of UDP, is the server's. What
 * listens on the loopback address alone cannot be reached from the other end.
 */
#include "cli/wire/wire_internal.h"
#include "observe/sockets/sockets.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

struct ready {
    struct sockets *sockets;
    struct wire *wire;
    enum ready_state state;
    struct sonde_address address;
};

static int open_there(int family, int type, int protocol, void *user)
{
    struct ready *ready = user;
    return wire_socket(ready->wire, END_B, family, type, protocol);
}

struct ready *ready_new(struct wire *wire)
{
    struct sonde_why why;
    struct ready *ready = calloc(1, sizeof *ready);
    if (!ready)
        return NULL;
    ready->wire = wire;
    if (sockets_open_at(open_there, ready, &ready->sockets, &why) < 0) {
        free(ready);
        return NULL;
    }
    return ready;
}

void ready_free(struct ready *ready)
{
    if (!ready)
        return;
    sockets_close(ready->sockets);
    free(ready);
}

static bool is_loopback(const struct sonde_address *address)
{
    static const uint8_t one[16] = {[15] = 1};
    return address->family == AF_INET ? address->u.ip[0] == 127 : memcmp(address->u.ip, one, sizeof one) == 0;
}

static bool each(const struct socket_info *socket, void *user)
{
    struct ready *ready = user;
    bool listens = socket->protocol == IPPROTO_TCP ? socket->state == TCP_STATE_LISTEN
                                                   : socket->peer.port == 0 && socket->local.port != 0;
    if (!listens)
        return true;
    enum ready_state state = is_loopback(&socket->local) ? READY_LOOPBACK_ONLY : READY_LISTENS;
    if (state > ready->state) {
        ready->state = state;
        ready->address = socket->local;
    }
    return true; /* to the end: a dump that is stopped costs a new socket */
}

enum ready_state ready_look(struct ready *ready, struct sonde_address *ret_address)
{
    ready->state = READY_NOTHING;
    if (sockets_dump(ready->sockets, SOCKETS_INET, 0, NULL, each, ready) < 0)
        return READY_NOTHING;
    *ret_address = ready->address;
    return ready->state;
}
