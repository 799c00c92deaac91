/* SPDX-License-Identifier: MIT */
/*
 * Addresses as URLs (RFC 3986, RFC 6874 for zones).
 *
 *   tcp://127.0.0.1:7007          tcp://[fe80::1%eth0]:7007     tcp://[fe80::1%25eth0]:7007
 *   tcp://:7007                   loopback, IPv4 and IPv6 on the same port
 *   tcp://localhost:7007          the same
 *   tcp://[*]:7007                any address, both families; the asterisk needs no brackets
 *   host:7007   :7007   7007      plain TCP
 *   unix:///run/x.sock   unix:/run/x.sock   unix:rel.sock   unix:@abstract-name
 *   fd://3   fd:3                 a descriptor that this process was started with, or has opened itself
 *   udp://HOST:PORT               datagrams; each keeps its boundaries
 *   unixgram:PATH   seqpacket:PATH   UNIX datagrams, and packets on a connection (unix(7)); names as with unix:
 *   vsock://CID:PORT              a virtual machine's socket (vsock(7)); vsock://:PORT listens on any CID
 *   sctp://HOST:PORT              one-to-one style (sctp(7)), where the kernel has it
 *
 * What is spoken on top of a stream stands before it:
 *
 *   tls://HOST:PORT               TLS on TCP; tls+unix:PATH, tls+vsock://CID:PORT, tls+fd://3
 *   ws://HOST:PORT/TARGET         WebSocket (RFC 6455) on TCP; wss:// on TLS; ws+unix:PATH, wss+unix:PATH
 *   any://HOST:PORT               to listen: raw, TLS, HTTP and WebSocket clients on one port; any+unix:PATH
 *
 * Socket options ride behind a question mark: tcp://:7007?backlog=128&nodelay=0. In ws:// and wss:// addresses the
 * query belongs to the request, and options stand behind a hash, which RFC 6455 keeps free:
 * ws://:7007/chat?room=1#nodelay=0. Without a port it is 7007, and 80 and 443 for ws:// and wss:// that are connected
 * to. The whole list is in sonde_url_options. Percent-encoding (%2F) is undone in UNIX paths and option values. The
 * parser is pure: it opens nothing, resolves nothing and reads no clock. Any thread.
 */
#ifndef SONDE_URL_H
#define SONDE_URL_H

#include <sonde/address.h>
#include <sonde/error.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define SONDE_DEFAULT_PORT 7007
#define SONDE_URL_MAX 1024   /* the longest text that is looked at, in bytes; longer is refused */
#define SONDE_TARGET_MAX 680 /* the longest target of a WebSocket address */

enum sonde_scheme {
    SONDE_SCHEME_TCP = 1,
    SONDE_SCHEME_UNIX = 2,
    SONDE_SCHEME_FD = 3, /* host is the descriptor's number */
    SONDE_SCHEME_UDP = 4,
    SONDE_SCHEME_UNIXGRAM = 5,
    SONDE_SCHEME_SEQPACKET = 6,
    SONDE_SCHEME_VSOCK = 7, /* host is the CID's number, "" any; vsock_port the port */
    SONDE_SCHEME_SCTP = 8,
};

/* What is spoken on top. Bits of sonde_url.layers and of sonde_stream_layers. */
#define SONDE_LAYER_TLS 1u
#define SONDE_LAYER_WS 2u
#define SONDE_LAYER_ANY 4u  /* of an address: whatever the client speaks; of a stream: it came to such a listener */
#define SONDE_LAYER_HTTP 8u /* of a stream: an HTTP request, which is answered by what is written */

/* Each option of a URL, in the order of the table that sonde_url_options returns. */
enum sonde_option {
    SONDE_OPT_BACKLOG,      /* listen: length of the accept queue (listen(2)) */
    SONDE_OPT_NODELAY,      /* TCP_NODELAY; on unless 0 is said */
    SONDE_OPT_KEEPALIVE,    /* 0, 1, or the idle time before the first probe: SO_KEEPALIVE, TCP_KEEPIDLE */
    SONDE_OPT_SNDBUF,       /* SO_SNDBUF in bytes; the kernel doubles it (socket(7)) */
    SONDE_OPT_RCVBUF,       /* SO_RCVBUF in bytes; the kernel doubles it */
    SONDE_OPT_BIND,         /* connect: the local address, ADDRESS, ADDRESS:PORT or :PORT */
    SONDE_OPT_LINGER,       /* SO_LINGER in seconds; 0 turns close into a reset */
    SONDE_OPT_USER_TIMEOUT, /* TCP_USER_TIMEOUT */
    SONDE_OPT_TTL,          /* IP_TTL, IPV6_UNICAST_HOPS: 1-255 */
    SONDE_OPT_DSCP,         /* upper six bits of IP_TOS, IPV6_TCLASS: 0-63 */
    SONDE_OPT_CC,           /* TCP_CONGESTION: a congestion control's name */
    SONDE_OPT_QUICKACK,     /* TCP_QUICKACK, once the connection stands */
    SONDE_OPT_DEFER_ACCEPT, /* listen: TCP_DEFER_ACCEPT */
    SONDE_OPT_FASTOPEN,     /* listen: queue length of TCP_FASTOPEN; connect: 1 for TCP_FASTOPEN_CONNECT */
    SONDE_OPT_MPTCP,        /* IPPROTO_MPTCP (RFC 8684) */
    SONDE_OPT_DEVICE,       /* SO_BINDTODEVICE: an interface's name */
    SONDE_OPT_MARK,         /* SO_MARK: a number, 0x allowed */
    SONDE_OPT_PROXY,        /* the PROXY protocol's header: "in" (0) to listen, "v1" (1) or "v2" (2) to connect */
    SONDE_OPT_JOIN,         /* udp, listen: join a group: GROUP or GROUP%INTERFACE; 1: the address itself */
    SONDE_OPT_LOOP,         /* udp: IP_MULTICAST_LOOP, IPV6_MULTICAST_LOOP */
    SONDE_OPT_BROADCAST,    /* udp: SO_BROADCAST */
    SONDE_N_OPTIONS,
};

/* Where an option may stand. */
#define SONDE_FOR_LISTEN 1u
#define SONDE_FOR_CONNECT 2u
#define SONDE_FOR_UNIX 4u /* also on unix: addresses */
#define SONDE_FOR_UDP 8u  /* also on udp:// addresses */
#define SONDE_NOT_TCP 16u /* not on tcp:// */

struct sonde_option_description {
    const char *name;
    unsigned where;     /* SONDE_FOR_... */
    const char *values; /* for help: "0|1", "bytes", "duration", "name" */
    const char *help;   /* one line */
};

/* The table of options, SONDE_N_OPTIONS rows, indexed by enum sonde_option. Static. */
SONDE_API const struct sonde_option_description *sonde_url_options(void);

struct sonde_option_value {
    int64_t number; /* counts and flags as they are, sizes in bytes, durations in nanoseconds */
    char text[64];  /* for names and addresses (cc, device, bind); the text as given otherwise */
};

/* A parsed URL. Plain data: copy it freely; nothing in it is owned. */
struct sonde_url {
    enum sonde_scheme scheme;
    char host[256];      /* name or numeric address, no brackets, zone kept ("fe80::1%eth0"); "" loopback, "*" any */
    uint16_t port;       /* 0: the kernel chooses (listen); refused by connect */
    uint16_t path_bytes; /* UNIX: length of path; an abstract name counts its leading NUL */
    char path[108];      /* UNIX: not always NUL-terminated; path[0] == 0: abstract (unix(7)) */
    uint32_t layers;     /* SONDE_LAYER_... bits */
    uint32_t vsock_port; /* UINT32_MAX: the kernel chooses */
    char target[SONDE_URL_MAX +
                1]; /* WebSocket: what is asked for, with its query: "/chat?room=1"; "" when none is given */
    uint32_t n_set; /* bit (1u << option) is set when the option was given */
    struct sonde_option_value option[SONDE_N_OPTIONS];
};

/* Parse text. Returns 0, -SONDE_EURL, -SONDE_ESCHEME (a scheme that is known, but not built yet) or -SONDE_EOPTION;
 * ret_why (may be NULL) then says what and where: subject is the text or option, detail says what would be right. */
SONDE_API int sonde_url_parse(const char *text, struct sonde_url *ret_url, struct sonde_why *ret_why);

/* Host and port given apart, as nc takes them; either may be anything sonde_url_parse would take in that place. */
SONDE_API int sonde_url_from_host_port(const char *host, const char *port, struct sonde_url *ret_url,
                                       struct sonde_why *ret_why);

/* Write the URL in its canonical form, without options: "tcp://127.0.0.1:7007", "unix:/run/x.sock",
 * "unix:@name". Bytes that a terminal would obey are percent-encoded. Returns the length written, less than
 * size_bytes; SONDE_URL_MAX is always enough. */
SONDE_API size_t sonde_url_format(const struct sonde_url *url, char *ret_text, size_t size_bytes);

#ifdef __cplusplus
}
#endif
#endif
