/* SPDX-License-Identifier: MIT */
/* Text for pcapng, which wants UTF-8 (RFC 3629). Pure. */
#include "observe/capture/writer_internal.h"

#include <string.h>

static const char replacement[] = "\xef\xbf\xbd"; /* U+FFFD */

#define REPLACEMENT_BYTES 3

/* Bytes of the character that begins here; 0: none does. The second byte's range keeps out surrogates, what is too
 * large, and what could be shorter. */
static size_t character_bytes(const uint8_t *text, size_t n_text)
{
    uint8_t first = text[0], low = 0x80, high = 0xbf;
    size_t n;
    if (first < 0x80)
        return 1;
    if (first >= 0xc2 && first <= 0xdf)
        n = 2;
    else if ((first & 0xf0) == 0xe0)
        n = 3;
    else if (first >= 0xf0 && first <= 0xf4)
        n = 4;
    else
        return 0;
    if (n > n_text)
        return 0;
    if (first == 0xe0)
        low = 0xa0;
    else if (first == 0xed)
        high = 0x9f;
    else if (first == 0xf0)
        low = 0x90;
    else if (first == 0xf4)
        high = 0x8f;
    if (text[1] < low || text[1] > high)
        return 0;
    for (size_t i = 2; i < n; i++) {
        if ((text[i] & 0xc0) != 0x80)
            return 0;
    }
    return n;
}

size_t utf8_make_valid(const char *text, char *ret_text, size_t size_bytes)
{
    const uint8_t *from = (const uint8_t *)text;
    size_t n_left = strlen(text), n_written = 0;
    while (n_left > 0) {
        size_t n = character_bytes(from, n_left);
        const void *piece = n ? (const void *)from : replacement;
        size_t n_piece = n ? n : REPLACEMENT_BYTES;
        if (n_written + n_piece > size_bytes)
            break;
        memcpy(ret_text + n_written, piece, n_piece);
        n_written += n_piece;
        from += n ? n : 1;
        n_left -= n ? n : 1;
    }
    return n_written;
}
