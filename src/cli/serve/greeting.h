/* SPDX-License-Identifier: MIT */
/* The text that greet says: from the command line, with escapes, or from a file, as it is. */
#ifndef CLI_SERVE_GREETING_H
#define CLI_SERVE_GREETING_H

#include <stdbool.h>
#include <stddef.h>

#define GREETING_MAX (64 * 1024 * 1024) /* bytes of a file; it is held in memory once */

/* Read a whole file (or standard input: "-"). *ret_bytes is to be freed. A negative errno; -EFBIG when it is longer
 * than GREETING_MAX. */
int greeting_read(const char *path, char **ret_bytes, size_t *ret_n_bytes);

#endif
