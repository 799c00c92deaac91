/* SPDX-License-Identifier: MIT */
/* UNIX sockets and their names in the file system (unix(7)). */
#ifndef NET_UNIXPATH_H
#define NET_UNIXPATH_H

#include <sonde/address.h>
#include <sonde/loop.h>
#include <sonde/url.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <sys/stat.h>

/* The URL's name as bind and connect take it; returns its length, which counts for abstract names. */
socklen_t unix_to_sockaddr(const struct sonde_url *url, struct sockaddr_storage *ret_address);

/* Who is at the other end (SO_PEERCRED). */
void unix_peer(int fd, struct sonde_address *ret_address);

/* A name that a listener made. */
struct unix_name {
    char path[108];
    dev_t device;
    ino_t inode;
    bool made; /* there is a file to remove in the end */
};

/* Bind. A file that is in the way is removed if it is a socket, ours, and nobody answers on it; otherwise
 * -EADDRINUSE. */
int unix_bind(struct sonde_loop *loop, int fd, const struct sonde_url *url, struct unix_name *ret_name);

/* Remove what unix_bind made, if it still is what is there. */
void unix_unbind(struct unix_name *name);

#endif
