/* SPDX-License-Identifier: MIT */
/* Names to addresses. getaddrinfo(3) blocks, so it is called on a thread of its own. */
#ifndef NET_RESOLVE_H
#define NET_RESOLVE_H

#include <sonde/address.h>
#include <sonde/loop.h>
#include <stdbool.h>

enum { RESOLVE_MAX = 16 };

struct addresses {
    unsigned n;
    bool
        implied; /* several families stand for one wish ("", "*", localhost): one that this machine lacks is left out */
    struct sonde_address list[RESOLVE_MAX]; /* without ports */
};

/* What needs no name server: numbers, "" and localhost (loopback of both families, RFC 6761), "*" (any address). family
 * AF_UNSPEC, AF_INET or AF_INET6 limits it. 0: done; -SONDE_ENAME: it is a name; -EAFNOSUPPORT: a number of the other
 * family; -ENODEV: no such zone. */
int resolve_at_once(const char *host, int family, bool to_listen, struct addresses *ret_addresses);

/* Block until the name is resolved: 0, -SONDE_ENAME, -SONDE_ENAMELATER, or an errno. */
int resolve_blocking(const char *host, int family, struct addresses *ret_addresses);

struct resolve;

/* Resolve on another thread, and call done on the loop's; addresses is lent for the time of the call. */
int resolve_start(struct sonde_loop *loop, const char *host, int family,
                  void (*done)(void *user, int error, const struct addresses *addresses), void *user,
                  struct resolve **ret_resolve);

/* Forget it: done is not called any more. Not after done. */
void resolve_cancel(struct resolve *resolve);

#endif
