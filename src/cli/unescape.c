/* SPDX-License-Identifier: MIT */
#include "cli/unescape.h"

#include <ctype.h>
#include <string.h>

int unescape_digit(char c)
{
    if (!isxdigit((unsigned char)c))
        return -1;
    return c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10;
}

/* What stands behind a backslash; returns how long it is, 0 when it means nothing. */
static size_t unescape_one(const char *text, char *ret_byte)
{
    static const char letters[] = "nrt0\\", bytes[] = "\n\r\t\0\\";
    const char *letter = *text != '\0' ? strchr(letters, *text) : NULL;

    if (letter != NULL) {
        *ret_byte = bytes[letter - letters];
        return 1;
    }
    if (*text != 'x' || unescape_digit(text[1]) < 0 || unescape_digit(text[2]) < 0)
        return 0;
    *ret_byte = (char)(unescape_digit(text[1]) << 4 | unescape_digit(text[2]));
    return 3;
}

bool unescape(const char *text, char *ret_bytes, size_t *ret_n_bytes, const char **ret_wrong)
{
    size_t n = 0;

    while (*text != '\0') {
        if (*text != '\\') {
            ret_bytes[n++] = *text++;
            continue;
        }
        size_t length = unescape_one(text + 1, &ret_bytes[n]);
        if (length == 0) {
            *ret_wrong = text;
            return false;
        }
        n++;
        text += 1 + length;
    }
    *ret_n_bytes = n;
    return true;
}
