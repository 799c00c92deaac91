/* SPDX-License-Identifier: MIT */
/*
 * The first byte chooses the style, the second where the input is cut and how much room there is. Whatever the rest is:
 * what comes out is UTF-8 without a control byte, and the cut makes no difference.
 */
#include "term/escape.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes);

#define LEAST_ROOM 32

static void require(bool condition)
{
    if (!condition)
        abort();
}

static size_t feed(struct escape *escape, const uint8_t *data, size_t n_bytes, size_t room, char *text)
{
    size_t length = 0;
    for (size_t at = 0; at < n_bytes;) {
        size_t taken = 0;
        size_t n = escape_bytes(escape, data + at, n_bytes - at, text + length, room, &taken);
        require(taken > 0 && taken <= n_bytes - at && n <= room);
        length += n;
        at += taken;
    }
    return length;
}

static void check_harmless(enum escape_style style, const char *text, size_t n_bytes)
{
    require(utf8_is_valid(text, n_bytes));
    for (size_t i = 0; i < n_bytes; i++) {
        unsigned char byte = (unsigned char)text[i];
        bool allowed = style == ESCAPE_TEXT && (byte == '\n' || byte == '\t');
        require(byte >= 0x20 || allowed);
        require(byte != 0x7f);
        /* C1 controls in their two-byte form. */
        require(byte != 0xc2 || (unsigned char)text[i + 1] >= 0xa0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes)
{
    if (n_bytes < 2)
        return 0;
    enum escape_style style = data[0] & 1 ? ESCAPE_TEXT : ESCAPE_LINE;
    size_t room = LEAST_ROOM + data[1] % 64;
    size_t n = n_bytes - 2, cut = n > 0 ? data[1] % (n + 1) : 0;
    size_t size_bytes = n * ESCAPE_MAX_PER_BYTE + LEAST_ROOM + 64;
    char *whole = malloc(size_bytes), *split = malloc(size_bytes), *briefly = malloc(room);
    require(whole && split && briefly);

    struct escape escape;
    escape_init(&escape, style);
    size_t n_whole = feed(&escape, data + 2, n, LEAST_ROOM, whole);
    n_whole += escape_finish(&escape, whole + n_whole, LEAST_ROOM);
    require(n_whole <= n * ESCAPE_MAX_PER_BYTE);
    check_harmless(style, whole, n_whole);

    escape_init(&escape, style);
    size_t n_split = feed(&escape, data + 2, cut, room, split);
    n_split += feed(&escape, data + 2 + cut, n - cut, room, split + n_split);
    n_split += escape_finish(&escape, split + n_split, LEAST_ROOM);
    require(n_split == n_whole && memcmp(whole, split, n_whole) == 0);

    size_t n_briefly = escape_short(data + 2, n, briefly, room);
    require(n_briefly < room && briefly[n_briefly] == '\0');
    check_harmless(ESCAPE_LINE, briefly, n_briefly);

    free(whole);
    free(split);
    free(briefly);
    return 0;
}
