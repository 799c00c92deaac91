/* SPDX-License-Identifier: MIT */
/* Lines from a descriptor of which the first bytes were read already. A line that is longer than LINES_MAX is an error.
 */
#ifndef TRACE_LINES_H
#define TRACE_LINES_H

#include <stdbool.h>
#include <stddef.h>

#define LINES_MAX (1024 * 1024)

struct lines {
    int fd;
    char *buffer; /* NULL: there was no memory */
    size_t begin, end;
    bool ended;
};

/* n_begun is less than LINES_MAX. The descriptor stays the caller's. */
void lines_init(struct lines *lines, int fd, const void *begun, size_t n_begun);
/* 1: a line without its newline, lent until the next call; 0: the end; -E2BIG: too long; -ENOMEM; or read(2)'s error.
 */
int lines_next(struct lines *lines, const char **ret_line, size_t *ret_n_bytes);
void lines_free(struct lines *lines);

#endif
