/* SPDX-License-Identifier: MIT */
/*
 * What does a client speak, by its first bytes? Pure, and the same however the bytes are cut.
 *
 * TLS: the head of a handshake record (RFC 8446, 5.1; versions 3.0 to 3.4) that begins with a ClientHello: six bytes.
 *
 * HTTP: a first line `TOKEN SP TARGET SP HTTP/D.D`, whole, with its end; the target begins with "/" or "*", or is a URL
 * (http:, https:, ws:, wss:), or anything behind CONNECT. Any token will do for a method: a web page may choose it, and
 * what it sends must not be taken for anything else. For the same reason a line that has come as far as its target and
 * has not ended after DETECT_LINE_MAX bytes is HTTP, of the kind that is refused. The version is not looked at: HTTP/2
 * begins with such a line too (RFC 9113, 3.4).
 *
 * Everything else is raw, and is known to be so at the first byte that fits neither.
 */
#ifndef HTTP_DETECT_H
#define HTTP_DETECT_H

#include <stddef.h>
#include <stdint.h>

enum {
    DETECT_LINE_MAX = 32768, /* so many bytes are enough to decide in any case: a first word that long is raw */
};

enum detected {
    DETECT_MORE, /* it is not known yet */
    DETECT_RAW,
    DETECT_TLS,
    DETECT_HTTP,
};

/* Zeroes: at the beginning. All members are private. */
struct detector {
    uint8_t state;
    uint8_t n_matched, candidates; /* of what stands in this state */
    uint8_t decided;
    uint16_t record_bytes;
    uint32_t n_bytes;
};

/* The next bytes. Once it is decided nothing changes that. */
enum detected detect(struct detector *detector, const uint8_t *bytes, size_t n_bytes);

#endif
