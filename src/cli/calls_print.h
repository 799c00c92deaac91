/* SPDX-License-Identifier: MIT */
/* --calls: what the library does on its sockets, as lines on standard error. */
#ifndef CLI_CALLS_PRINT_H
#define CLI_CALLS_PRINT_H

#include "cli/taps.h"

#include <sonde/loop.h>
#include <stdint.h>

/* From now on print every call of this loop; before it first runs. *origin_ns (CLOCK_MONOTONIC) is shown as time 0, may
 * be shared by several loops, and must outlive them. Each line is one write, so that lines of several threads don't
 * mix. A failing standard error is ignored. */
void calls_print_start(struct taps *taps, struct sonde_loop *loop, const int64_t *origin_ns);

#endif
