/* SPDX-License-Identifier: MIT */
/* One socket in words: the digest beneath the table, and the page with everything. Pure. */
#ifndef WATCH_DETAIL_H
#define WATCH_DETAIL_H

#include "watch/line.h"
#include "watch/model.h"

#define DIGEST_LINES 5

/* At most DIGEST_LINES lines; returns how many. past may be NULL. */
unsigned detail_digest(const struct socket_info *socket, const struct socket_past *past,
                       const struct socket_counters *counters, int64_t now_ns, unsigned n_columns,
                       struct line ret_lines[DIGEST_LINES]);

/* A page: lines that may be scrolled. Each ends with a newline and begins with a style, '0' + enum style. */
void page_line(struct text *page, enum style style, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* Paragraphs, wrapped. */
void page_paragraph(struct text *page, enum style style, const char *text, unsigned n_columns);

/* All that the kernel says. */
void detail_page(const struct socket_info *socket, unsigned n_columns, struct text *page);

#endif
