/* SPDX-License-Identifier: MIT */
/*
 * SOCKS5 (RFC 1928) with user and password (RFC 1929), the client's side: bytes that came in, bytes to be sent out.
 * Pure: it knows no socket and no clock.
 */
#ifndef NET_SOCKS_H
#define NET_SOCKS_H

#include "net/proxy_talk.h"

#include <stddef.h>

enum {
    SOCKS_OUT_MAX = 3 + 255 + 255, /* user and password */
    SOCKS_IN_MAX = 4 + 1 + 255 + 2,
};

struct socks {
    const char *user, *password; /* user "": none */
    const struct proxy_far *far;
    uint8_t state; /* enum in socks.c */
    uint16_t n_in, n_out;
    uint8_t in[SOCKS_IN_MAX], out[SOCKS_OUT_MAX];
    struct proxy_refusal refusal;
};

/* Begin: the first message is in out. The texts and far are lent for as long as the talk lasts. */
void socks_begin(struct socks *socks, const char *user, const char *password, const struct proxy_far *far);

/* Bytes have come: *ret_n_taken of them belong to this talk, which is all of them unless it says PROXY_STANDS. What is
 * in out afterwards is to be sent; what was in it before must have gone. */
enum proxy_step socks_take(struct socks *socks, const uint8_t *bytes, size_t n_bytes, size_t *ret_n_taken);

#endif
