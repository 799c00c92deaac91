/* SPDX-License-Identifier: MIT */
#ifndef OBSERVE_CAPTURE_WRITER_INTERNAL_H
#define OBSERVE_CAPTURE_WRITER_INTERNAL_H

#include "observe/capture/capture.h"

/* The text with U+FFFD for each byte that belongs to no character; what does not fit is left out, by whole characters.
 * Returns the bytes written; no NUL. */
size_t utf8_make_valid(const char *text, char *ret_text, size_t size_bytes);

#endif
