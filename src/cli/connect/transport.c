/* SPDX-License-Identifier: MIT */
#include "cli/connect/transport.h"

#include <stdlib.h>
#include <sys/socket.h>

static enum transport transport_of_fd(const struct sonde_url *url)
{
    int type = 0;
    socklen_t size = sizeof type;

    if (getsockopt(atoi(url->host), SOL_SOCKET, SO_TYPE, &type, &size) < 0)
        return TRANSPORT_BYTES; /* whoever uses it says what is wrong with it */
    return type == SOCK_DGRAM ? TRANSPORT_DATAGRAMS : type == SOCK_SEQPACKET ? TRANSPORT_PACKETS : TRANSPORT_BYTES;
}

enum transport transport_of(const struct sonde_url *url)
{
    if (url->layers & SONDE_LAYER_WS)
        return TRANSPORT_WEBSOCKET;
    switch (url->scheme) {
    case SONDE_SCHEME_UDP:
    case SONDE_SCHEME_UNIXGRAM:
        return TRANSPORT_DATAGRAMS;
    case SONDE_SCHEME_SEQPACKET:
        return TRANSPORT_PACKETS;
    case SONDE_SCHEME_FD:
        return url->layers == 0 ? transport_of_fd(url) : TRANSPORT_BYTES;
    case SONDE_SCHEME_TCP:
    case SONDE_SCHEME_UNIX:
    case SONDE_SCHEME_VSOCK:
    case SONDE_SCHEME_SCTP:
        break;
    }
    return TRANSPORT_BYTES;
}

const char *transport_name(enum transport transport)
{
    switch (transport) {
    case TRANSPORT_WEBSOCKET:
        return "WebSocket";
    case TRANSPORT_DATAGRAMS:
        return "datagrams";
    case TRANSPORT_PACKETS:
        return "packets";
    case TRANSPORT_BYTES:
        break;
    }
    return "bytes";
}

size_t transport_message_max(const struct sonde_url *url)
{
    return url->scheme == SONDE_SCHEME_UDP || url->scheme == SONDE_SCHEME_FD ? TRANSPORT_UDP_MAX : TRANSPORT_UNIX_MAX;
}
