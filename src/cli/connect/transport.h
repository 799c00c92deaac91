/* SPDX-License-Identifier: MIT */
/* What an address carries, as far as connect has to know before there is a stream. */
#ifndef CLI_CONNECT_TRANSPORT_H
#define CLI_CONNECT_TRANSPORT_H

#include <sonde/url.h>

enum transport {
    TRANSPORT_BYTES,     /* a stream of bytes; each side ends by itself */
    TRANSPORT_PACKETS,   /* messages on a connection, whose sides end by themselves: seqpacket: */
    TRANSPORT_DATAGRAMS, /* messages without a connection, and so without an end: udp://, unixgram: */
    TRANSPORT_WEBSOCKET, /* messages of text and bytes; Close ends both sides */
};

/* fd:// is asked what it is. */
enum transport transport_of(const struct sonde_url *url);

/* "WebSocket", "datagrams". Static. */
const char *transport_name(enum transport transport);

/* The longest message that can be sent there, and that one read of standard input is to bring. */
#define TRANSPORT_UDP_MAX 65507u
#define TRANSPORT_UNIX_MAX (128u * 1024u)
size_t transport_message_max(const struct sonde_url *url);

#endif
