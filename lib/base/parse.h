/* SPDX-License-Identifier: MIT */
/*
 * Numbers, sizes, durations and percent-encoding, from text to values. Pure and strict: the whole of the text must be
 * the value. There are no signs, no spaces, no hexadecimal or octal unless it is said, and an overflow is an error.
 *
 * A text is a pointer and a length, so that a piece of a longer one can be given; it need not end in NUL. All return
 * 0, -EINVAL (it is not such a value) or -ERANGE (it is one, but too large), and leave ret_... untouched on failure.
 */
#ifndef BASE_PARSE_H
#define BASE_PARSE_H

#include <sonde/error.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Decimal digits, or with `hex` also 0x and hexadecimal digits. Leading zeros mean nothing. */
int parse_number(const char *text, size_t n_bytes, bool hex, uint64_t maximum, uint64_t *ret_number);

/* A whole number, perhaps with k, M, G or T behind it (either case): of 1000 for counts, of 1024 for sizes. */
int parse_count(const char *text, size_t n_bytes, int64_t *ret_count);
int parse_size(const char *text, size_t n_bytes, int64_t *ret_bytes);

/* "5", "0.5", ".5" are seconds; units are ns, us, ms, s, m, h and d. Finer than a nanosecond is -EINVAL. */
int parse_duration(const char *text, size_t n_bytes, int64_t *ret_ns);

/* Undo percent-encoding. What comes out may hold any byte, NUL included, and is not NUL-terminated. -EINVAL: a percent
 * sign without two hexadecimal digits; -ERANGE: longer than size_bytes. */
int parse_percent(const char *text, size_t n_bytes, char *ret_bytes, size_t size_bytes, size_t *ret_n_bytes);

/* Fill in ret_why (may be NULL) for a text that was refused: call "parse", the text as subject with every byte outside
 * of printable ASCII percent-encoded, cut to fit. Returns code. */
int parse_refuse(struct sonde_why *ret_why, int code, const char *text, size_t n_bytes, const char *detail);

#endif
