/* SPDX-License-Identifier: MIT */
/* Texts that a user types with escapes: \n, \r, \t, \0, \\ and \xHH. */
#ifndef CLI_UNESCAPE_H
#define CLI_UNESCAPE_H

#include <stdbool.h>
#include <stddef.h>

/* ret_bytes has room for strlen(text) bytes. False: *ret_wrong is the backslash that means nothing. */
bool unescape(const char *text, char *ret_bytes, size_t *ret_n_bytes, const char **ret_wrong);

/* 0 to 15; -1: it is no hexadecimal digit. */
int unescape_digit(char c);

#endif
