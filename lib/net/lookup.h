/* SPDX-License-Identifier: MIT */
/* Names to addresses without blocking: the system's files and name servers, asked on the loop. */
#ifndef NET_LOOKUP_H
#define NET_LOOKUP_H

#include "net/resolve.h"

struct lookup;

struct lookup_handler {
    /* The addresses of one family, in the order in which they are to be tried; at least one. Comes once for each family
     * that has any. The list is lent for the time of the call. */
    void (*found)(void *user, const struct addresses *addresses);
    /* The last call: there are no more addresses. 0 when some were found; otherwise -SONDE_ENAME, -SONDE_ENAMELATER or
     * an errno, and detail says more ("" when there is none). The look-up is freed before this is called. */
    void (*over)(void *user, int error, const char *detail);
};

/* Look it up: family is AF_UNSPEC (A and AAAA, side by side), AF_INET or AF_INET6. Errors: -ENOMEM. */
int lookup_start(struct sonde_loop *loop, const char *host, int family, const struct lookup_handler *handler,
                 void *user, struct lookup **ret_lookup);

/* Forget it, at once: nothing is called any more. Not after over; inside found it may be. */
void lookup_cancel(struct lookup *lookup);

/* The name servers that are being asked, for people: "192.0.2.53, 192.0.2.54". "" when none are. */
void lookup_servers(const struct lookup *lookup, char *ret_text, size_t size_bytes);

#endif
