/* SPDX-License-Identifier: MIT */
#ifndef WATCH_TERMINAL_H
#define WATCH_TERMINAL_H

#include <stdbool.h>

/* Does terminfo(5) describe the terminal that TERM names? Asked before newterm(3X), which never gives back what it has
 * begun when it finds out that it does not. */
bool terminal_is_known(void);

#endif
