/* SPDX-License-Identifier: MIT */
/* Names to addresses, where nothing has to be waited for or may be; without blocking it is done in lookup.h. */
#ifndef NET_RESOLVE_H
#define NET_RESOLVE_H

#include <sonde/address.h>
#include <sonde/stream.h>
#include <stdbool.h>

enum { RESOLVE_MAX = SONDE_ATTEMPTS_MAX };

struct addresses {
    unsigned n;
    unsigned n_left_out; /* further ones for which there was no place */
    bool
        implied; /* several families stand for one wish ("", "*", localhost): one that this machine lacks is left out */
    struct sonde_address list[RESOLVE_MAX]; /* without ports */
};

/* What needs no name server: numbers, "" and localhost (loopback of both families, RFC 6761), "*" (any address). family
 * AF_UNSPEC, AF_INET or AF_INET6 limits it. 0: done; -SONDE_ENAME: it is a name; -EAFNOSUPPORT: a number of the other
 * family; -ENODEV: no such zone. */
int resolve_at_once(const char *host, int family, bool to_listen, struct addresses *ret_addresses);

/* For listening: block until the name is resolved: 0, -SONDE_ENAME, -SONDE_ENAMELATER, or an errno. */
int resolve_blocking(const char *host, int family, struct addresses *ret_addresses);

#endif
