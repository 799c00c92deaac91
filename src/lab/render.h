/* SPDX-License-Identifier: MIT */
/* A report as text, as JSON (its verdicts, or the whole), as rows of docs/claims.md; and its pictures. Pure. */
#ifndef LAB_RENDER_H
#define LAB_RENDER_H

#include "lab/report.h"

#include <stdio.h>

#define RENDER_HEAD 13 /* cells of a head: "What is done " */

struct render_options {
    unsigned width; /* cells of text */
    unsigned ladder_width;
    bool unicode; /* else ASCII */
    bool color;
};

void render_text(const struct report *report, const struct render_options *options, FILE *out);
/* One line for each claim. */
void render_json(const struct report *report, FILE *out);
/* One row for each claim: "| C41 | ... |". */
void render_markdown(const struct report *report, FILE *out);

/* One object in one line, with all that there is: what is told, tables, ladders and plots as SVG (sonde-page(7)). */
void render_whole(const struct report *report, const struct render_options *options, FILE *out);

/* ---- words */

const char *verdict_word(enum lab_verdict verdict); /* "TRUE", to be translated */
/* What was meant by "b": the choice's words; else itself. */
const char *answer_meaning(const struct experiment *experiment, const char *answer);
/* "You said 5, measured 3." False: there is no answer. */
bool answer_text(const struct report *report, char *ret_text, size_t size_bytes);
const char *setting_short_name(const struct report_setting *setting); /* without "net.ipv4." */
/* Its value in the run. Returns the machine's, if that is another one; else NULL. */
const char *setting_value(const struct report_setting *setting, char *ret_text, size_t size_bytes);

/* ---- parts */

/* Paragraphs, wrapped at width, from the column where the cursor stands on; further lines begin at indent. */
struct wrapped {
    FILE *out;
    unsigned width, indent;
    unsigned column; /* where the cursor stands */
    bool unicode;
};

/* Words behind what stands there, with `before` (spaces) between. A newline in the text ends a line. */
void wrap_words(struct wrapped *wrapped, const char *text);
void wrap_newline(struct wrapped *wrapped);
/* Characters that ASCII lacks become such that it has ("->" for an arrow) unless unicode. Returns the length. */
size_t plain_text(const char *text, bool unicode, char *ret_text, size_t size_bytes);
/* Cells that it takes on a terminal. */
unsigned lab_cells(const char *text);

/* Its cells are numbers, and stand to the right. */
bool table_is_numeric(const struct report_table *table, unsigned column);
/* "": there is no such cell. */
const char *table_cell(const struct report_table *table, size_t row, unsigned column);
/* The cursor stands at indent. */
void render_table(const struct report_table *table, unsigned indent, const struct render_options *options, FILE *out);
void plot_text(const struct report_item *item, const struct render_options *options, FILE *out);
void plot_svg(const struct report_item *item, FILE *out);
void render_ladder(const struct report_item *item, const struct render_options *options, FILE *out);
/* Errors: -ENOMEM; -ENOENT: nothing is to be seen. */
int render_ladder_svg(const struct report_item *item, FILE *out);

#endif
