/* SPDX-License-Identifier: MIT */
/*
 * One end of a connection, small enough to keep for each of a hundred thousand of them: an IPv4 or IPv6 address with
 * its port, or, for a UNIX socket, who is on the other side (SO_PEERCRED, unix(7)), since such peers have no address.
 * Plain data: copy it freely.
 */
#ifndef SONDE_ADDRESS_H
#define SONDE_ADDRESS_H

#include <sonde/version.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct sonde_address {
    uint16_t family; /* AF_INET, AF_INET6, AF_UNIX, AF_VSOCK; 0: not known */
    uint16_t port;   /* in host order; 0 for AF_UNIX */
    uint32_t scope;  /* AF_INET6: the zone's interface index, 0 when it has none */
    union {
        uint8_t ip[16]; /* in network order; AF_INET uses the first four */
        struct {
            int32_t pid; /* 0: not known */
            uint32_t uid;
        } peer; /* AF_UNIX */
        struct {
            uint32_t cid, port;
        } vsock; /* AF_VSOCK */
    } u;
};

/* Room for any address that sonde_address_format writes, and its NUL. */
#define SONDE_ADDRESS_TEXT 96

/* Write the address as people write it: "127.0.0.1:7007", "[fe80::1%eth0]:7007", "pid 4121 (uid 1000)", "?".
 * Returns the length written, always less than size_bytes (the text is cut to fit). Any thread. */
SONDE_API size_t sonde_address_format(const struct sonde_address *address, char *ret_text, size_t size_bytes);

#ifdef __cplusplus
}
#endif
#endif
