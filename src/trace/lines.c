/* SPDX-License-Identifier: MIT */
#include "trace/lines.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void lines_init(struct lines *lines, int fd, const void *begun, size_t n_begun)
{
    *lines = (struct lines){.fd = fd, .buffer = malloc(LINES_MAX)};
    if (!lines->buffer)
        return;
    memcpy(lines->buffer, begun, n_begun);
    lines->end = n_begun;
}

static int fill(struct lines *lines)
{
    if (lines->begin > 0) {
        memmove(lines->buffer, lines->buffer + lines->begin, lines->end - lines->begin);
        lines->end -= lines->begin;
        lines->begin = 0;
    }
    if (lines->end == LINES_MAX)
        return -E2BIG;
    ssize_t n;
    do
        n = read(lines->fd, lines->buffer + lines->end, LINES_MAX - lines->end);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return -errno;
    lines->ended = n == 0;
    lines->end += (size_t)n;
    return 0;
}

int lines_next(struct lines *lines, const char **ret_line, size_t *ret_n_bytes)
{
    if (!lines->buffer)
        return -ENOMEM;
    size_t searched = 0;
    for (;;) {
        char *begin = lines->buffer + lines->begin;
        size_t n = lines->end - lines->begin;
        const char *newline = memchr(begin + searched, '\n', n - searched);
        if (newline || (lines->ended && n > 0)) {
            *ret_line = begin;
            *ret_n_bytes = newline ? (size_t)(newline - begin) : n;
            lines->begin += *ret_n_bytes + (newline ? 1 : 0);
            return 1;
        }
        if (lines->ended)
            return 0;
        searched = n;
        int error = fill(lines);
        if (error < 0)
            return error;
    }
}

void lines_free(struct lines *lines)
{
    free(lines->buffer);
}
