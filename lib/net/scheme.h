/* SPDX-License-Identifier: MIT */
/* What the schemes of URLs are as sockets. */
#ifndef NET_SCHEME_H
#define NET_SCHEME_H

#include <netinet/in.h>
#include <sonde/url.h>
#include <stdbool.h>
#include <sys/socket.h>

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif

/* The name is a path or an abstract one (unix(7)). */
static inline bool scheme_is_unix(enum sonde_scheme scheme)
{
    return scheme == SONDE_SCHEME_UNIX || scheme == SONDE_SCHEME_UNIXGRAM || scheme == SONDE_SCHEME_SEQPACKET;
}

/* No connections: whoever sends is a peer. */
static inline bool scheme_is_datagram(enum sonde_scheme scheme)
{
    return scheme == SONDE_SCHEME_UDP || scheme == SONDE_SCHEME_UNIXGRAM;
}

/* Messages with boundaries, which packet.h deals with. */
static inline bool scheme_has_packets(enum sonde_scheme scheme)
{
    return scheme_is_datagram(scheme) || scheme == SONDE_SCHEME_SEQPACKET;
}

/* HOST:PORT. */
static inline bool scheme_has_port(enum sonde_scheme scheme)
{
    return scheme == SONDE_SCHEME_TCP || scheme == SONDE_SCHEME_UDP || scheme == SONDE_SCHEME_SCTP;
}

static inline int scheme_type(enum sonde_scheme scheme)
{
    return scheme_is_datagram(scheme) ? SOCK_DGRAM : scheme == SONDE_SCHEME_SEQPACKET ? SOCK_SEQPACKET : SOCK_STREAM;
}

static inline int url_protocol(const struct sonde_url *url)
{
    bool mptcp = url->n_set & 1u << SONDE_OPT_MPTCP && url->option[SONDE_OPT_MPTCP].number != 0;

    switch (url->scheme) {
    case SONDE_SCHEME_TCP:
        return mptcp ? IPPROTO_MPTCP : IPPROTO_TCP;
    case SONDE_SCHEME_UDP:
        return IPPROTO_UDP;
    case SONDE_SCHEME_SCTP:
        return IPPROTO_SCTP;
    default:
        return 0;
    }
}

#endif
