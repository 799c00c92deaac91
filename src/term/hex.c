/* SPDX-License-Identifier: MIT */
#include "term/hex.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* Two groups of eight "xx ", a space between them and one behind. */
#define HEX_COLUMNS (HEX_PER_LINE * 3 + 2)

static char as_text(unsigned char byte)
{
    return byte >= 0x20 && byte < 0x7f ? (char)byte : '.';
}

size_t hex_line(const char *prefix, uint64_t offset, const void *data, size_t n_bytes, char *ret_line,
                size_t size_bytes)
{
    static const char digits[] = "0123456789abcdef";
    const unsigned char *bytes = data;
    if (n_bytes > HEX_PER_LINE)
        n_bytes = HEX_PER_LINE;
    char columns[HEX_COLUMNS + 1], text[HEX_PER_LINE + 1];
    memset(columns, ' ', HEX_COLUMNS);
    columns[HEX_COLUMNS] = '\0';
    for (size_t i = 0; i < n_bytes; i++) {
        char *column = columns + 3 * i + (i >= HEX_PER_LINE / 2);
        column[0] = digits[bytes[i] >> 4];
        column[1] = digits[bytes[i] & 15];
        text[i] = as_text(bytes[i]);
    }
    text[n_bytes] = '\0';
    char line[HEX_LINE_SIZE];
    int length = snprintf(line, sizeof line, "%.4s%08" PRIx64 "  %s|%s|\n", prefix, offset, columns, text);
    size_t n = (size_t)length;
    if (size_bytes == 0)
        return 0;
    if (n >= size_bytes)
        n = size_bytes - 1;
    memcpy(ret_line, line, n);
    ret_line[n] = '\0';
    return n;
}
