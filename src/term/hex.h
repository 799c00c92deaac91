/* SPDX-License-Identifier: MIT */
/* Bytes as people read them: offset, hex, text. Pure. */
#ifndef TERM_HEX_H
#define TERM_HEX_H

#include <stddef.h>
#include <stdint.h>

#define HEX_PER_LINE 16
#define HEX_LINE_SIZE 96 /* room for one line with its prefix, newline and NUL */

/* One line for up to HEX_PER_LINE bytes: "< 00000010  68 65 6c 6c 6f 0a                                 |hello.|\n",
 * the prefix being at most 4 characters, put before it as it is. Returns the length. */
size_t hex_line(const char *prefix, uint64_t offset, const void *data, size_t n_bytes, char *ret_line,
                size_t size_bytes);

#endif
