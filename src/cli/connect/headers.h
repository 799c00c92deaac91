/* SPDX-License-Identifier: MIT */
/*
 * --header: further headers of a WebSocket request. What must not be seen in a list of processes stands in a file,
 * --header @FILE, one header a line; of those that stand on the command line the values are written over there.
 */
#ifndef CLI_CONNECT_HEADERS_H
#define CLI_CONNECT_HEADERS_H

#include <stdbool.h>
#include <stddef.h>

#define HEADERS_MAX 128u
#define HEADERS_FILE_MAX (64u * 1024u)

/* Start with all zero. */
struct headers {
    unsigned n;
    char *lines[HEADERS_MAX + 1]; /* "Name: value"; NULL behind the last */
};

/* A header, or @FILE; text is written over. False: the user has been told why. */
bool header_list_add(struct headers *headers, char *text);

/* Is this a header that can be sent: a name of RFC 9110, 5.6.2, a colon, and a value without control characters? Pure.
 */
bool header_is_right(const char *text, size_t n_text);

void header_list_free(struct headers *headers);

#endif
