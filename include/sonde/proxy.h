/* SPDX-License-Identifier: MIT */
/*
 * Proxies that connect for us: SOCKS5 (RFC 1928, with user and password: RFC 1929) and HTTP CONNECT (RFC 9110, 9.3.6,
 * with Basic authentication: RFC 7617). Given to sonde_connect in its options; the stream opens when the proxy says
 * that the far end stands, and its peer is then the far end as far as it is known: of a name that the proxy looked up,
 * the family is 0. Where no timeout is given, the proxy is waited for 150 seconds. In why, call is "proxy" when it was
 * the proxy that refused or failed, and subject is the address of the leg in question: the proxy's or the far end's.
 */
#ifndef SONDE_PROXY_H
#define SONDE_PROXY_H

#include <sonde/error.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum sonde_proxy_kind {
    SONDE_PROXY_SOCKS5 = 1,
    SONDE_PROXY_HTTP = 2,
};

/* Plain data: copy it freely. */
struct sonde_proxy {
    enum sonde_proxy_kind kind;
    uint16_t port;     /* 1080 and 8080 when none is given */
    uint8_t far_names; /* not 0: the proxy looks the far end's name up */
    char host[256];
    char user[256], password[256]; /* "" when none are given; at most 255 bytes each */
};

/* "socks5://[USER:PASSWORD@]HOST[:PORT]" (names are looked up here), "socks5h://..." (names are looked up by the
 * proxy), "http://...". User and password are percent-decoded. 0, -SONDE_EURL or -SONDE_ESCHEME, with ret_why (may be
 * NULL), in which the password never appears. */
SONDE_API int sonde_proxy_parse(const char *text, struct sonde_proxy *ret_proxy, struct sonde_why *ret_why);

#ifdef __cplusplus
}
#endif
#endif
