/* SPDX-License-Identifier: MIT */
/*
 * UTF-8 (RFC 3629), checked as the bytes come. What follows a first byte may be 0x80 to 0xbf, but that after E0, ED, F0
 * and F4 the second byte's range is smaller: so overlong forms, surrogates and what is beyond U+10FFFF are found at the
 * first byte that makes them.
 */
#include "ws/ws.h"

#include <string.h>

typedef uint64_t vector __attribute__((vector_size(16)));

static const uint64_t high_bits = UINT64_C(0x8080808080808080);

/* The next eight bytes. */
static inline bool is_ascii(const uint8_t *bytes)
{
    uint64_t word;

    memcpy(&word, bytes, sizeof word);
    return (word & high_bits) == 0;
}

/* How many bytes of ASCII it begins with, at least: a multiple of eight, where there are so many. */
static size_t skip_ascii(const uint8_t *bytes, size_t n_bytes)
{
    size_t i = 0;

    while (n_bytes - i >= 64) {
        vector v[4];
        memcpy(v, bytes + i, sizeof v);
        vector seen = (v[0] | v[1]) | (v[2] | v[3]);
        if ((seen[0] | seen[1]) & high_bits)
            break;
        i += 64;
    }
    while (n_bytes - i >= 8 && is_ascii(bytes + i))
        i += 8;
    return i;
}

/* A character's first byte. */
static bool begin(struct ws_utf8 *utf8, uint8_t byte)
{
    utf8->low = 0x80;
    utf8->high = 0xbf;
    if (byte >= 0xc2 && byte <= 0xdf) {
        utf8->n_wanted = 1;
    } else if (byte >= 0xe0 && byte <= 0xef) {
        utf8->n_wanted = 2;
        if (byte == 0xe0)
            utf8->low = 0xa0;
        else if (byte == 0xed)
            utf8->high = 0x9f;
    } else if (byte >= 0xf0 && byte <= 0xf4) {
        utf8->n_wanted = 3;
        if (byte == 0xf0)
            utf8->low = 0x90;
        else if (byte == 0xf4)
            utf8->high = 0x8f;
    } else {
        return false;
    }
    return true;
}

static inline bool is_tail(uint8_t byte)
{
    return (byte & 0xc0) == 0x80;
}

/* Characters that lie whole in these bytes, as long as they are right and plain to see: how many bytes of them. What
 * stops it is for `begin` to look at. */
static size_t skip_whole(const uint8_t *bytes, size_t n_bytes)
{
    size_t i = 0;

    while (i < n_bytes) {
        uint8_t first = bytes[i];
        if (first < 0x80) {
            i++;
            if (n_bytes - i >= 8 && is_ascii(bytes + i))
                i += skip_ascii(bytes + i, n_bytes - i);
        } else if (first >= 0xc2 && first <= 0xdf && n_bytes - i >= 2 && is_tail(bytes[i + 1])) {
            i += 2;
        } else if (first >= 0xe1 && first <= 0xef && first != 0xed && n_bytes - i >= 3 && is_tail(bytes[i + 1]) &&
                   is_tail(bytes[i + 2])) {
            i += 3;
        } else if (first >= 0xf1 && first <= 0xf3 && n_bytes - i >= 4 && is_tail(bytes[i + 1]) &&
                   is_tail(bytes[i + 2]) && is_tail(bytes[i + 3])) {
            i += 4;
        } else {
            break;
        }
    }
    return i;
}

bool ws_utf8_feed(struct ws_utf8 *utf8, const void *data, size_t n_bytes)
{
    const uint8_t *bytes = data;
    size_t i = 0;

    while (i < n_bytes) {
        if (utf8->n_wanted == 0) {
            i += skip_whole(bytes + i, n_bytes - i);
            if (i == n_bytes)
                break;
            if (!begin(utf8, bytes[i++]))
                return false;
            continue;
        }
        uint8_t byte = bytes[i++];
        if (byte < utf8->low || byte > utf8->high)
            return false;
        utf8->low = 0x80;
        utf8->high = 0xbf;
        utf8->n_wanted--;
    }
    return true;
}

bool ws_utf8_valid(const void *data, size_t n_bytes)
{
    struct ws_utf8 utf8 = {0};

    return ws_utf8_feed(&utf8, data, n_bytes) && ws_utf8_complete(&utf8);
}
