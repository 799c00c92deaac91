/* SPDX-License-Identifier: MIT */
/* A packet as JSON, opened layer by layer: what --layers --json prints, and the page shows. */
#ifndef TRACE_LAYERS_JSON_H
#define TRACE_LAYERS_JSON_H

#include "observe/capture/capture.h"

#define LAYERS_JSON_MAX (4 * 1024 * 1024) /* a packet of 64 KiB takes half a megabyte */

/* One line with its newline; its length. conn 0: of none. A packet with more fields than fit is said to be "too_long",
 * rather than nothing; 0: not even that fits. */
size_t layers_json(const struct packet *packet, int64_t t_ns, uint64_t conn, char *ret_line, size_t size_bytes);

#endif
