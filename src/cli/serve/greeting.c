/* SPDX-License-Identifier: MIT */
#include "cli/serve/greeting.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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
