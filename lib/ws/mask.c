/* SPDX-License-Identifier: MIT */
/*
 * Masking: every byte of the payload XOR a byte of the mask, in turn (RFC 6455, 5.3). Sixteen bytes at a time in the
 * compiler's vectors, which are SSE2 or NEON where these are; the bytes need not be aligned. Whether all of them are
 * ASCII is found out on the way, since text wants to know and asking again would cost as much as masking.
 */
#include "ws/ws.h"

#include <string.h>

typedef uint64_t vector __attribute__((vector_size(16)));

static inline vector load(const uint8_t *from)
{
    vector v;

    memcpy(&v, from, sizeof v);
    return v;
}

static inline void store(uint8_t *to, vector v)
{
    memcpy(to, &v, sizeof v);
}

static const uint64_t high_bits = UINT64_C(0x8080808080808080);

static inline unsigned has_high(vector v)
{
    return ((v[0] | v[1]) & high_bits) != 0;
}

/* The last bytes, fewer than 16. */
static inline unsigned mask_rest(uint8_t *to, const uint8_t *from, size_t n_bytes, uint64_t mask, bool of_source)
{
    uint64_t word, masked, seen = 0;

    if (n_bytes >= 8) {
        memcpy(&word, from, 8);
        masked = word ^ mask;
        memcpy(to, &masked, 8);
        seen |= of_source ? word : masked;
        to += 8;
        from += 8;
        n_bytes -= 8;
    }
    if (n_bytes > 0) {
        uint8_t turn[8];
        memcpy(turn, &mask, 8);
        for (size_t i = 0; i < n_bytes; i++) {
            uint8_t byte = from[i], other = byte ^ turn[i];
            to[i] = other;
            seen |= of_source ? byte : other;
        }
    }
    return (seen & high_bits) != 0;
}

unsigned ws_mask(uint8_t *bytes, size_t n_bytes, uint32_t mask)
{
    uint64_t wide = (uint64_t)mask << 32 | mask;
    const vector turn = {wide, wide};
    vector seen = {0, 0};

    while (n_bytes >= 64) {
        vector a = load(bytes) ^ turn, b = load(bytes + 16) ^ turn, c = load(bytes + 32) ^ turn,
               d = load(bytes + 48) ^ turn;
        store(bytes, a);
        store(bytes + 16, b);
        store(bytes + 32, c);
        store(bytes + 48, d);
        seen |= (a | b) | (c | d);
        bytes += 64;
        n_bytes -= 64;
    }
    while (n_bytes >= 16) {
        vector a = load(bytes) ^ turn;
        store(bytes, a);
        seen |= a;
        bytes += 16;
        n_bytes -= 16;
    }
    return has_high(seen) | mask_rest(bytes, bytes, n_bytes, wide, false);
}

unsigned ws_mask_copy(uint8_t *to, const uint8_t *from, size_t n_bytes, uint32_t mask)
{
    uint64_t wide = (uint64_t)mask << 32 | mask;
    const vector turn = {wide, wide};
    vector seen = {0, 0};

    while (n_bytes >= 16) {
        vector a = load(from);
        store(to, a ^ turn);
        seen |= a;
        to += 16;
        from += 16;
        n_bytes -= 16;
    }
    return has_high(seen) | mask_rest(to, from, n_bytes, wide, true);
}
