/* SPDX-License-Identifier: MIT */
/* Sentences broken between words. Pure. */
#ifndef WATCH_WRAP_H
#define WATCH_WRAP_H

#include <stddef.h>

/* How many bytes of text stand on the first of lines of so many columns; *ret_next is where the next one begins. A word
 * longer than a line is broken. 0 at the end. */
size_t wrap_line(const char *text, unsigned n_columns, const char **ret_next);

#endif
