/* SPDX-License-Identifier: MIT */
/*
 * The PROXY protocol's header, versions 1 and 2 (haproxy's proxy-protocol.txt): what a proxy says first about the
 * connection that it passes on. Pure: bytes to a struct, and back.
 */
#ifndef NET_PROXY_HEADER_H
#define NET_PROXY_HEADER_H

#include <sonde/address.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    PROXY_HEADER_MAX = 4096,      /* longer ones, which the protocol allows, are refused */
    PROXY_HEADER_WRITE_MAX = 232, /* the longest that is written here: version 2 with two UNIX paths */
};

struct proxy_header {
    uint8_t version; /* 1 or 2 */
    bool is_known;   /* false: version 1 UNKNOWN, version 2 LOCAL or UNSPEC: the connection speaks for itself */
    struct sonde_address source, destination;     /* of one family; AF_UNIX: nothing but that is in them */
    char source_path[108], destination_path[108]; /* AF_UNIX; not always NUL-terminated (unix(7)) */
};

/* Is there a whole header at the beginning of these bytes? > 0: yes, so many bytes of them; 0: not yet, but it may
 * become one; -SONDE_EPROXYHEAD: no, and it never will. Whatever is refused is refused as soon as it can be known. */
int proxy_header_parse(const uint8_t *bytes, size_t n_bytes, struct proxy_header *ret_header);

/* Write the header; returns its length. What version 1 has no word for becomes UNKNOWN there, in version 2 UNSPEC. */
size_t proxy_header_write(const struct proxy_header *header, uint8_t ret_bytes[PROXY_HEADER_WRITE_MAX]);

#endif
