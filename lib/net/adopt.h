/* SPDX-License-Identifier: MIT */
/* Sockets that somebody else has made: fd://N. */
#ifndef NET_ADOPT_H
#define NET_ADOPT_H

#include <sonde/address.h>
#include <sonde/url.h>
#include <stdbool.h>

struct adopted {
    int fd, family;
    struct sonde_address local; /* AF_UNIX: see path */
    struct sonde_address peer;  /* of a connection */
    uint16_t path_bytes;        /* of its own name, as in struct sonde_url; 0: it has none */
    char path[108];
};

/* Look at the descriptor that the URL names: is it a stream socket that listens (to_listen), or one that is connected?
 * Nothing about it is changed. -EBADF: not open; -ENOTSOCK; -EPROTOTYPE: not a stream socket; -EAFNOSUPPORT: neither
 * TCP nor UNIX; -EINVAL: it listens or is connected, and should not; -ENOTCONN: neither. why is filled. */
int adopt_look(const struct sonde_url *url, bool to_listen, struct adopted *ret_adopted, struct sonde_why *why);

/* Make it ours: from here on it closes when the program is replaced (FD_CLOEXEC), and, if it listens, does not block.
 * 0 or a negative errno, and then it is as it was. */
int adopt_take(int fd, bool to_listen);

#endif
