/* SPDX-License-Identifier: MIT */
/*
 * One direction of a WebSocket connection as it stands in a capture (RFC 6455): the HTTP head, and behind it messages,
 * put together from their frames and unmasked. What permessage-deflate (RFC 7692) has compressed stays so, and is
 * called compressed. Pure.
 */
#ifndef OBSERVE_DECODE_WEBSOCKET_H
#define OBSERVE_DECODE_WEBSOCKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WEBSOCKET_KEPT_MAX (64u * 1024) /* of a message, or the head: its first bytes; what is more is only counted */

#define WEBSOCKET_HEAD 0x10 /* beside the opcodes */

struct websocket_message {
    uint8_t opcode; /* RFC 6455, 5.2, of its first frame; WEBSOCKET_HEAD */
    bool compressed;
    uint64_t n_bytes;
    const uint8_t *data; /* its first n_data bytes */
    size_t n_data;
};

typedef void (*websocket_function)(const struct websocket_message *message, void *user);

struct websocket;

/* NULL: no memory. */
struct websocket *websocket_new(void);
void websocket_free(struct websocket *socket);

/* The next bytes. 0, or -EBADMSG, -ENOMEM: from here on nothing is understood; *ret_taken (always set) says how many of
 * them were. */
int websocket_feed(struct websocket *socket, const void *data, size_t n_bytes, websocket_function function, void *user,
                   size_t *ret_taken);

/* Why not, in words; static. */
const char *websocket_fault(const struct websocket *socket);

/* Bytes of a frame, head or message that has not ended. */
uint64_t websocket_rest(const struct websocket *socket);

#endif
