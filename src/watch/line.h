/* SPDX-License-Identifier: MIT */
/*
 * One line of a screen: text in UTF-8 with a style for each stretch of it, measured in columns. Whoever fills it knows
 * nothing of curses or escape sequences; whoever draws it knows nothing of sockets. Pure.
 */
#ifndef WATCH_LINE_H
#define WATCH_LINE_H

#include "watch/text.h"

/* What a stretch means; colours follow from it. */
enum style {
    STYLE_PLAIN,
    STYLE_DIM,
    STYLE_BOLD,
    STYLE_TROUBLE, /* bold red; never alone, a sign or a word stands with it */
    STYLE_HALF,    /* states, by their class */
    STYLE_OPEN,
    STYLE_ENDING,
    STYLE_LINGER,
    STYLE_KERNEL,  /* the kernel's values */
    STYLE_REVERSE, /* the title bar, the row under the cursor */
    STYLE_N,
};

#define LINE_SPANS_MAX 48
#define LINE_TEXT_MAX 2048

struct line_span {
    uint16_t begin; /* in bytes; it ends where the next one begins */
    uint8_t style;
};

/* Begins zeroed. What does not fit is not taken, and never half a character of it. */
struct line {
    char text[LINE_TEXT_MAX];
    uint16_t n_bytes, n_columns, n_spans;
    struct line_span spans[LINE_SPANS_MAX];
};

void line_clear(struct line *line);
/* n bytes of valid UTF-8 without controls (escape_short makes it so). */
void line_add(struct line *line, enum style style, const char *text, size_t n);
void line_put(struct line *line, enum style style, const char *text);
void line_format(struct line *line, enum style style, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* Spaces up to a column; none when it is past it already. */
void line_to(struct line *line, unsigned column);
/* Cut to so many columns; what was cut is shown by the mark ("…" or "~", one column wide), NULL: not shown. */
void line_cut(struct line *line, unsigned n_columns, const char *mark);

/* How many columns valid UTF-8 takes; characters of unknown width count as one. */
unsigned columns_of(const char *text, size_t n);
/* The longest beginning of text that takes at most so many columns; in bytes. */
size_t columns_fit(const char *text, size_t n, unsigned n_columns);

/* Append it to a text as a terminal reads it, with the 16 colours or without, no newline, no spaces at the end. */
void line_render(const struct line *line, bool color, struct text *text);

#endif
