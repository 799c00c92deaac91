/* SPDX-License-Identifier: MIT */
#include "cli/serve/greeting.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int digit(char c)
{
    if (!isxdigit((unsigned char)c))
        return -1;
    return c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10;
}

/* What stands behind a backslash; returns how long it is, 0 when it means nothing. */
static size_t unescape_one(const char *text, char *ret_byte)
{
    static const char letters[] = "nrt\\", bytes[] = "\n\r\t\\";
    const char *letter = *text != '\0' ? strchr(letters, *text) : NULL;

    if (letter != NULL) {
        *ret_byte = bytes[letter - letters];
        return 1;
    }
    if (*text != 'x' || digit(text[1]) < 0 || digit(text[2]) < 0)
        return 0;
    *ret_byte = (char)(digit(text[1]) << 4 | digit(text[2]));
    return 3;
}

bool greeting_unescape(const char *text, char *ret_bytes, size_t *ret_n_bytes, const char **ret_wrong)
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

/* Not by its size: a pipe has none. */
static int read_all(FILE *file, char **ret_bytes, size_t *ret_n_bytes)
{
    size_t room = 0, n = 0;
    char *bytes = NULL;

    do {
        if (n == room) {
            room = room == 0 ? 4096 : 2 * room;
            char *more = realloc(bytes, room);
            if (more == NULL) {
                free(bytes);
                return -ENOMEM;
            }
            bytes = more;
        }
        n += fread(bytes + n, 1, room - n, file);
    } while (n <= GREETING_MAX && !feof(file) && !ferror(file));
    int error = ferror(file) ? -errno : n > GREETING_MAX ? -EFBIG : 0;
    if (error != 0) {
        free(bytes);
        return error;
    }
    *ret_bytes = bytes;
    *ret_n_bytes = n;
    return 0;
}

int greeting_read(const char *path, char **ret_bytes, size_t *ret_n_bytes)
{
    FILE *file = strcmp(path, "-") == 0 ? stdin : fopen(path, "re");

    if (file == NULL)
        return -errno;
    int error = read_all(file, ret_bytes, ret_n_bytes);
    if (file != stdin)
        fclose(file);
    return error;
}
