/* SPDX-License-Identifier: MIT */
/* Base64 (RFC 4648, 4), whole texts at a time. Pure. */
#ifndef CLI_CONNECT_BASE64_H
#define CLI_CONNECT_BASE64_H

#include <stdbool.h>
#include <stddef.h>

/* How long n bytes become. */
#define BASE64_TEXT(n) (((size_t)(n) + 2) / 3 * 4)

/* ret_text has room for BASE64_TEXT(n_bytes); returns that. No NUL follows. */
size_t base64_encode(const void *data, size_t n_bytes, char *ret_text);

/* ret_bytes has room for n_text bytes. What is missing of the padding is no fault; anything but the alphabet, padding
 * elsewhere, and a last digit with bits that no byte has, are. False: *ret_at is where it is wrong. */
bool base64_decode(const char *text, size_t n_text, void *ret_bytes, size_t *ret_n_bytes, size_t *ret_at);

#endif
