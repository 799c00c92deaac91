/* SPDX-License-Identifier: MIT */
/* What begins like anything: told apart at once, byte by byte and in pieces it is the same, as soon as it is known, for
 * good, and never later than the bound. */
#include "http/detect.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define must(condition)                                                                                                \
    do {                                                                                                               \
        if (!(condition))                                                                                              \
            abort();                                                                                                   \
    } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes);

/* The whole of what a first line has to be, said another way. */
static bool is_first_line(const uint8_t *data, size_t n_bytes)
{
    const uint8_t *end = memchr(data, '\n', n_bytes), *space;
    size_t n;

    if (end == NULL)
        return false;
    n = (size_t)(end - data);
    if (n > 0 && data[n - 1] == '\r')
        n--;
    if (n < 10 || memcmp(data + n - 9, " HTTP/", 6) != 0 || data[n - 2] != '.')
        return false;
    n -= 9;
    space = memchr(data, ' ', n);
    return space != NULL && space != data && (size_t)(space - data) + 1 < n &&
           memchr(space + 1, ' ', n - (size_t)(space - data) - 1) == NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes)
{
    struct detector whole = {0}, bytes = {0}, pieces = {0};
    size_t piece = n_bytes > 0 ? data[0] % 7 + 2 : 1, known_at = 0;
    enum detected detected = detect(&whole, data, n_bytes), by_byte = DETECT_MORE, by_piece = DETECT_MORE;

    for (size_t i = 0; i < n_bytes; i++) {
        enum detected before = by_byte;
        by_byte = detect(&bytes, data + i, 1);
        must(before == DETECT_MORE || before == by_byte);
        if (before == DETECT_MORE && by_byte != DETECT_MORE)
            known_at = i + 1;
    }
    for (size_t at = 0; at < n_bytes; at += piece)
        by_piece = detect(&pieces, data + at, n_bytes - at < piece ? n_bytes - at : piece);
    must(detected == by_byte && detected == by_piece);
    must(known_at <= DETECT_LINE_MAX && (detected != DETECT_MORE || n_bytes < DETECT_LINE_MAX));
    if (detected == DETECT_TLS)
        must(known_at == 6 && data[0] == 0x16 && data[1] == 3 && data[5] == 1);
    if (detected == DETECT_HTTP && known_at < DETECT_LINE_MAX)
        must(is_first_line(data, n_bytes) && data[known_at - 1] == '\n');
    return 0;
}
