/* SPDX-License-Identifier: MIT */
/* What may be written to a descriptor: is it a terminal, does it want colour, how wide is it. Reads the environment. */
#ifndef TERM_STYLE_H
#define TERM_STYLE_H

#include <stdbool.h>

#define TERM_WIDTH_DEFAULT 80

bool term_is_terminal(int fd);

/* A terminal that obeys escape sequences, and nobody said NO_COLOR (no-color.org: set and not empty). */
bool term_wants_color(int fd);

/* Columns: COLUMNS where it is set to a number, else what the terminal says, else TERM_WIDTH_DEFAULT. At least 20. */
unsigned term_width(int fd);

/* May box-drawing characters be written: is the codeset UTF-8, is the terminal none of those that lack them (linux,
 * dumb), and are they one cell wide? setlocale(3) must have been called. */
bool term_is_unicode(void);

#endif
