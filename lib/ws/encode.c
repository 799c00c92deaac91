/* SPDX-License-Identifier: MIT */
/* Frames' heads, and the payload of Close. */
#include "ws/ws.h"

#include <string.h>

size_t ws_head(uint8_t ret_head[WS_HEAD_MAX], unsigned first, uint64_t n_bytes, const uint32_t *mask)
{
    uint8_t masked = mask != NULL ? 0x80 : 0;
    size_t n = 2;

    ret_head[0] = (uint8_t)first;
    if (n_bytes < 126) {
        ret_head[1] = masked | (uint8_t)n_bytes;
    } else if (n_bytes <= UINT16_MAX) {
        ret_head[1] = masked | 126;
        ret_head[2] = (uint8_t)(n_bytes >> 8);
        ret_head[3] = (uint8_t)n_bytes;
        n = 4;
    } else {
        ret_head[1] = masked | 127;
        for (unsigned i = 0; i < 8; i++)
            ret_head[2 + i] = (uint8_t)(n_bytes >> (56 - 8 * i));
        n = 10;
    }
    if (mask != NULL) {
        memcpy(ret_head + n, mask, sizeof *mask);
        n += sizeof *mask;
    }
    return n;
}

bool ws_close_code_valid(unsigned code)
{
    return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) || (code >= 3000 && code <= 4999);
}

/* The reason is cut between two characters. */
size_t ws_close_payload(uint8_t ret_payload[WS_CONTROL_MAX], unsigned code, const void *reason, size_t n_bytes)
{
    const uint8_t *bytes = reason;

    if (code == 0 || code == 1005)
        return 0;
    if (n_bytes > WS_REASON_MAX) {
        n_bytes = WS_REASON_MAX;
        while (n_bytes > 0 && (bytes[n_bytes] & 0xc0) == 0x80)
            n_bytes--;
    }
    ret_payload[0] = (uint8_t)(code >> 8);
    ret_payload[1] = (uint8_t)code;
    if (n_bytes > 0)
        memcpy(ret_payload + 2, bytes, n_bytes);
    return 2 + n_bytes;
}
