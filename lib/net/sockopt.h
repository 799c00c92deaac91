/* SPDX-License-Identifier: MIT */
/*
 * The options of a URL: what each is called, which values it takes, and how it is set on a socket.
 *
 * One option is one row of the table in sockopt.c. Options that are not set by setsockopt (backlog, bind, mptcp) are
 * checked and kept here, and used by those who listen and connect.
 */
#ifndef NET_SOCKOPT_H
#define NET_SOCKOPT_H

#include <sonde/url.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

/* --- from the URL's text ---------------------------------------------------------------------------------------- */

/* Take one "name=value" into url, whose scheme is known already. Pure. Returns 0, or -SONDE_EOPTION with ret_why filled
 * (may be NULL) and url as it was. */
int sockopt_parse(struct sonde_url *url, const char *text, size_t n_bytes, struct sonde_why *ret_why);

/* Do the options fit what the URL is used for? where is SONDE_FOR_LISTEN or SONDE_FOR_CONNECT. Pure. Returns 0 or
 * -SONDE_EOPTION. */
int sockopt_check(const struct sonde_url *url, unsigned where, struct sonde_why *ret_why);

/* --- to the socket ---------------------------------------------------------------------------------------------- */

/* Do the options fit a socket that was made by somebody else, now that its family is known? 0 or -SONDE_EOPTION. */
int sockopt_check_family(const struct sonde_url *url, int family, struct sonde_why *ret_why);

enum sockopt_moment {
    SOCKOPT_LISTEN,      /* after socket, before bind; accepted sockets inherit what is set now */
    SOCKOPT_CONNECT,     /* after socket, before bind and connect */
    SOCKOPT_ESTABLISHED, /* accepted or connected: what neither is inherited nor outlives the handshake */
};

/* setsockopt(2), or one that reports it too: 0 or a negative errno. */
typedef int (*sockopt_set)(void *user, int fd, int level, int name, const void *value, socklen_t n_bytes);

/* Set what was asked for, and TCP_NODELAY on TCP unless nodelay=0. family is the socket's. The first refusal ends it:
 * the error is the kernel's, and why names the option. Defaults that a socket does not know are passed over. */
int sockopt_apply(const struct sonde_url *url, enum sockopt_moment moment, int fd, int family, sockopt_set set,
                  void *user, struct sonde_why *ret_why);

/* Was the option given? */
static inline bool sockopt_is_set(const struct sonde_url *url, enum sonde_option option)
{
    return (url->n_set & (1u << option)) != 0;
}

#endif
