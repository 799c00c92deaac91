/* SPDX-License-Identifier: MIT */
/* Peers' bytes made fit for a terminal: nothing that a terminal would obey gets through. Pure. */
#ifndef TERM_ESCAPE_H
#define TERM_ESCAPE_H

#include <stdbool.h>
#include <stddef.h>

/* Longest text that one input byte can become, on average ("\xff" is 4; "\u{202e}" for a 3-byte character is 8). */
#define ESCAPE_MAX_PER_BYTE 4

enum escape_style {
    ESCAPE_LINE, /* everything but printable characters: newline is \n, tab \t, backslash doubled; for one-line use */
    ESCAPE_TEXT, /* newline and tab stay as they are; a backslash stays as it is; for a running text on a terminal */
};

/* A character of UTF-8 may be cut in two by the end of a chunk: the state carries the cut piece to the next call. */
struct escape {
    enum escape_style style;
    unsigned char cut[4];
    unsigned char n_cut;
};

void escape_init(struct escape *escape, enum escape_style style);

/* Bytes in, escaped text out. Valid printable UTF-8 passes; C0 and C1 controls, DEL, invalid bytes, bidi controls and
 * invisible format characters, line and paragraph separators become escapes: \n, \r, \t, \x1b, \u{202e}. Takes up to
 * n_bytes of data and writes up to size_bytes of text (no NUL), size_bytes >= 32; returns the bytes written and sets
 * *ret_taken to the bytes of data used up, at least one. Call until all is taken. */
size_t escape_bytes(struct escape *escape, const void *data, size_t n_bytes, char *ret_text, size_t size_bytes,
                    size_t *ret_taken);

/* What is still cut at the end of the stream, written out as invalid bytes. size_bytes >= 32. */
size_t escape_finish(struct escape *escape, char *ret_text, size_t size_bytes);

/* The whole of a short thing (a name, an argument) in one call, ESCAPE_LINE, cut with "..." to fit; NUL-terminated. */
size_t escape_short(const void *data, size_t n_bytes, char *ret_text, size_t size_bytes);

/* Is this valid UTF-8 as a whole (RFC 3629)? */
bool utf8_is_valid(const void *data, size_t n_bytes);

#endif
