/* SPDX-License-Identifier: MIT */
/*
 * A table: as wide as its cells ask for, if there is room. If not, the widest columns are made narrower, down to their
 * longest words, and their cells take several lines. Numbers are never torn apart.
 */
#include "lab/render.h"
#include "term/translate.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#define COLUMN_GAP 2
#define MARGIN 2
#define CELL_BYTES 512

struct column {
    unsigned width, least;
    bool right;
};

static bool is_number(const char *text)
{
    bool digit = false;
    if (*text == '-' || *text == '+' || *text == '<' || *text == '>')
        text++;
    for (; *text && *text != ' '; text++) {
        if (isdigit((unsigned char)*text))
            digit = true;
        else if (!strchr(".,%x", *text))
            return false;
    }
    /* "5.08 ms" is one, too; a sentence that begins with a number is none. */
    return digit && (*text == '\0' || (strlen(text) <= 6 && !strchr(text + 1, ' ')));
}

const char *table_cell(const struct report_table *table, size_t row, unsigned column)
{
    size_t at = row * table->n_columns + column;
    return at < table->n_cells ? table->cells[at] : "";
}

/* Empty cells and dashes say nothing about their column. */
bool table_is_numeric(const struct report_table *table, unsigned column)
{
    size_t n_rows = (table->n_cells + table->n_columns - 1) / table->n_columns, n_numbers = 0;
    for (size_t row = 0; row < n_rows; row++) {
        const char *cell = table_cell(table, row, column);
        if (cell[0] == '\0' || strcmp(cell, "-") == 0)
            continue;
        if (!is_number(cell))
            return false;
        n_numbers++;
    }
    return n_numbers > 0;
}

/* ---- widths */

static unsigned longest_word(const char *text)
{
    unsigned most = 0;
    while (*text) {
        char word[CELL_BYTES];
        size_t n = strcspn(text, " ");
        snprintf(word, sizeof word, "%.*s", (int)n, text);
        unsigned cells = lab_cells(word);
        most = cells > most ? cells : most;
        text += n + strspn(text + n, " ");
    }
    return most;
}

static void measure_text(struct column *column, const char *text, bool whole, bool unicode)
{
    char plain[CELL_BYTES];
    plain_text(text, unicode, plain, sizeof plain);
    unsigned cells = lab_cells(plain), least = whole ? cells : longest_word(plain);
    column->width = cells > column->width ? cells : column->width;
    column->least = least > column->least ? least : column->least;
}

static void measure(const struct report_table *table, bool unicode, struct column *columns)
{
    size_t n_rows = (table->n_cells + table->n_columns - 1) / table->n_columns;
    for (unsigned i = 0; i < table->n_columns; i++) {
        columns[i] = (struct column){.right = table_is_numeric(table, i)};
        measure_text(&columns[i], table->heads[i], false, unicode);
        for (size_t row = 0; row < n_rows; row++)
            measure_text(&columns[i], table_cell(table, row, i), columns[i].right, unicode);
    }
}

static void make_fit(unsigned n_columns, struct column *columns, unsigned room)
{
    unsigned total = COLUMN_GAP * (n_columns - 1);
    for (unsigned i = 0; i < n_columns; i++)
        total += columns[i].width;
    while (total > room) {
        struct column *widest = NULL;
        for (unsigned i = 0; i < n_columns; i++) {
            if (columns[i].width > columns[i].least && (!widest || columns[i].width > widest->width))
                widest = &columns[i];
        }
        if (!widest)
            return; /* wider than the terminal: nothing is left out for that */
        widest->width--;
        total--;
    }
}

/* ---- out */

/* The part of a cell that goes into its next line. Returns where it goes on. */
static const char *next_line(const char *text, unsigned width, char ret_line[CELL_BYTES])
{
    size_t n = 0;
    while (*text) {
        size_t n_blanks = strspn(text, " "), n_word = strcspn(text + n_blanks, " ");
        if (n > 0 && n_word > 0) {
            char longer[CELL_BYTES];
            snprintf(longer, sizeof longer, "%.*s%.*s", (int)n, ret_line, (int)(n_blanks + n_word), text);
            if (lab_cells(longer) > width)
                return text + n_blanks;
        }
        memcpy(ret_line + n, text, n_blanks + n_word);
        n += n_blanks + n_word;
        ret_line[n] = '\0';
        text += n_blanks + n_word;
    }
    ret_line[n] = '\0';
    return text;
}

static void put_row(const struct report_table *table, const struct column *columns, char (*rest)[CELL_BYTES],
                    unsigned indent, bool first, FILE *out)
{
    const char *at[REPORT_COLUMNS_MAX];
    for (unsigned i = 0; i < table->n_columns; i++)
        at[i] = rest[i];
    for (bool more = true; more; first = false) {
        unsigned blanks = first ? 0 : indent; /* none is written behind a row's last text */
        more = false;
        for (unsigned i = 0; i < table->n_columns; i++) {
            char line[CELL_BYTES];
            at[i] = next_line(at[i], columns[i].width, line);
            more |= *at[i] != '\0';
            unsigned cells = lab_cells(line), fill = cells < columns[i].width ? columns[i].width - cells : 0;
            if (line[0])
                fprintf(out, "%*s%s", (int)(blanks + (columns[i].right ? fill : 0)), "", line);
            blanks = line[0] ? COLUMN_GAP + (columns[i].right ? 0 : fill) : blanks + fill + COLUMN_GAP;
        }
        fputc('\n', out);
    }
}

void render_table(const struct report_table *table, unsigned indent, const struct render_options *options, FILE *out)
{
    struct column columns[REPORT_COLUMNS_MAX];
    char rest[REPORT_COLUMNS_MAX][CELL_BYTES];
    if (table->n_columns == 0)
        return;
    size_t n_rows = (table->n_cells + table->n_columns - 1) / table->n_columns;
    measure(table, options->unicode, columns);
    make_fit(table->n_columns, columns, options->width > indent + MARGIN ? options->width - indent - MARGIN : 1);
    for (size_t row = 0; row <= n_rows; row++) {
        for (unsigned i = 0; i < table->n_columns; i++)
            plain_text(row == 0 ? table->heads[i] : table_cell(table, row - 1, i), options->unicode, rest[i],
                       sizeof rest[i]);
        put_row(table, columns, rest, indent, row == 0, out);
    }
    if (table->n_lost > 0)
        fprintf(out, _("%*s(%zu more cells found no room)\n"), (int)indent, "", table->n_lost);
}
