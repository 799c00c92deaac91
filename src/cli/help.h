/* SPDX-License-Identifier: MIT */
/* How help is laid out. option_help is built from these. */
#ifndef CLI_HELP_H
#define CLI_HELP_H

#include "cli/option.h"

/* "  label     text", the text wrapped in a column of its own that begins at `column`; below the label when the
 * terminal is too narrow for that, or column is 0. */
void help_columns(FILE *out, const char *label, const char *text, unsigned column);

/* Paragraphs, wrapped; lines that begin with a space stay as they are. */
void help_paragraphs(FILE *out, const char *text);

/* The choices of a row in one text: "auto, uring, epoll", cut to fit. */
void help_choices(const struct option_row *row, const char *between, char *ret_text, size_t size_bytes);

#endif
