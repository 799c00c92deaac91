/* SPDX-License-Identifier: MIT */
/* A digest for WebSocket's opening handshake, which wants SHA-1 (RFC 6455, 4.2.2) and not for its strength. */
#ifndef TLS_DIGEST_H
#define TLS_DIGEST_H

#include <stddef.h>
#include <stdint.h>

/* 0, -ELIBACC without OpenSSL, or -ENOMEM. Any thread. */
int tls_sha1(const void *data, size_t n_bytes, uint8_t ret_digest[20]);

#endif
