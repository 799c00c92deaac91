/* SPDX-License-Identifier: MIT */
/*
 * Does the client's kernel still send for it? A program that has ended leaves its connections to the kernel, which
 * sends what was written, again if need be, and then the FIN. Until that is acknowledged the server has not heard all.
 */
#include "cli/wire/wire_internal.h"
#include "observe/sockets/sockets.h"

#include <netinet/in.h>
#include <stdlib.h>

struct unsent {
    struct sockets *sockets;
    struct wire *wire;
    bool some;
};

static int open_there(int family, int type, int protocol, void *user)
{
    struct unsent *unsent = user;
    return wire_socket(unsent->wire, END_A, family, type, protocol);
}

struct unsent *unsent_new(struct wire *wire)
{
    struct sonde_why why;
    struct unsent *unsent = calloc(1, sizeof *unsent);
    if (!unsent)
        return NULL;
    unsent->wire = wire;
    if (sockets_open_at(open_there, unsent, &unsent->sockets, &why) < 0) {
        free(unsent);
        return NULL;
    }
    return unsent;
}

void unsent_free(struct unsent *unsent)
{
    if (!unsent)
        return;
    sockets_close(unsent->sockets);
    free(unsent);
}

static bool each(const struct socket_info *socket, void *user)
{
    struct unsent *unsent = user;
    bool fin_is_out = socket->state == TCP_STATE_FIN_WAIT_1 || socket->state == TCP_STATE_CLOSING ||
                      socket->state == TCP_STATE_LAST_ACK;
    unsent->some |= socket->inode == 0 && fin_is_out;
    return true; /* to the end: a dump that is stopped costs a new socket */
}

bool unsent_look(struct unsent *unsent)
{
    if (!unsent)
        return false;
    unsent->some = false;
    return sockets_dump(unsent->sockets, SOCKETS_TCP, 0, NULL, each, unsent) >= 0 && unsent->some;
}
