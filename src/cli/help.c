/* SPDX-License-Identifier: MIT */
#include "cli/help.h"

#include "cli/say.h"
#include "term/style.h"

#include <string.h>
#include <unistd.h>

#define LABEL_MAX 256
#define OPTION_COLUMN 30 /* where the text of options begins; longer labels push it to the next line */
#define EXAMPLE_MOST 44  /* cells of a command that still has its text beside it */
#define WIDTH_MOST 100   /* wider lines are hard to read */
#define NARROW_COLUMN 8  /* where texts begin, below their labels, where there is no room for two columns */
#define NARROW_TEXT 20   /* cells for a text that are too few */

static unsigned help_width(FILE *out)
{
    int fd = fileno(out);
    unsigned width = fd >= 0 ? term_width(fd) : TERM_WIDTH_DEFAULT;
    return width < WIDTH_MOST ? width : WIDTH_MOST;
}

/* Cells that the text takes, near enough: characters of UTF-8. */
static unsigned cells(const char *text, size_t n)
{
    unsigned count = 0;
    for (size_t i = 0; i < n; i++)
        count += ((unsigned char)text[i] & 0xc0) != 0x80;
    return count;
}

/* Write n bytes of text, breaking at spaces; the cursor stands at `column`, and so do further lines. */
static void wrap(FILE *out, const char *text, size_t n, unsigned column)
{
    unsigned width = help_width(out), at = column;
    size_t i = 0;
    while (i < n) {
        size_t length = strcspn(text + i, " \n");
        if (length > n - i)
            length = n - i;
        unsigned need = cells(text + i, length);
        if (at > column && at + 1 + need > width) {
            fprintf(out, "\n%*s", (int)column, "");
            at = column;
        } else if (at > column) {
            fputc(' ', out);
            at++;
        }
        fwrite(text + i, 1, length, out);
        at += need;
        i += length;
        while (i < n && text[i] == ' ')
            i++;
    }
    fputc('\n', out);
}

void help_columns(FILE *out, const char *label, const char *text, unsigned column)
{
    unsigned used = 2 + cells(label, strlen(label));
    bool narrow = column == 0 || column + NARROW_TEXT > help_width(out);
    if (narrow)
        column = NARROW_COLUMN;
    fprintf(out, "  %s", label);
    if (narrow || used + 2 > column) {
        fputc('\n', out);
        used = 0;
    }
    fprintf(out, "%*s", (int)(column - used), "");
    wrap(out, text, strlen(text), column);
}

void help_paragraphs(FILE *out, const char *text)
{
    while (*text) {
        size_t length = strcspn(text, "\n");
        if (*text == ' ')
            fprintf(out, "%.*s\n", (int)length, text);
        else
            wrap(out, text, length, 0);
        text += length + (text[length] == '\n');
    }
}

void help_choices(const struct option_row *row, const char *between, char *ret_text, size_t size_bytes)
{
    size_t n = 0;
    ret_text[0] = '\0';
    for (int i = 0; row->choices && row->choices[i] && n < size_bytes; i++)
        n += (size_t)snprintf(ret_text + n, size_bytes - n, "%s%s", i ? between : "", row->choices[i]);
}

/* "-w, --connect-timeout SECS". */
static void format_label(const struct option_row *row, char *ret_label, size_t size_bytes)
{
    char letter[4] = "", value[LABEL_MAX / 2] = "";
    if (row->letter != 0)
        snprintf(letter, sizeof letter, "-%c", row->letter);
    if (row->value)
        snprintf(value, sizeof value, "%s", row->value);
    else if (row->kind == OPTION_CHOICE)
        help_choices(row, "|", value, sizeof value);
    /* An optional value is tied to its name. */
    const char *before = value[0] == '\0' || value[0] == '[' ? "" : " ";
    char tied[LABEL_MAX / 2 + 2];
    if (value[0] == '[')
        snprintf(tied, sizeof tied, row->name ? "[=%s" : "[%s", value + 1);
    else
        snprintf(tied, sizeof tied, "%s", value);
    if (row->name)
        snprintf(ret_label, size_bytes, "%s%s--%s%s%s", row->letter ? letter : "  ", row->letter ? ", " : "  ",
                 row->name, before, tied);
    else
        snprintf(ret_label, size_bytes, "%s%s%s", letter, before, tied);
}

/* All rows, or the brief ones; of those that are refused here, or of the others. */
static void show_options(FILE *out, const struct option_row *rows, bool whole, bool refused)
{
    char label[LABEL_MAX];
    for (const struct option_row *row = rows; option_is_row(row); row++) {
        if ((row->kind == OPTION_REFUSED) != refused || !(whole || row->brief))
            continue;
        if (whole && row->group != NULL)
            fprintf(out, "%s%s\n", row == rows ? "" : "\n", _(row->group));
        format_label(row, label, sizeof label);
        help_columns(out, label, _(row->help), OPTION_COLUMN);
    }
}

static bool has_refused(const struct option_row *rows)
{
    for (const struct option_row *row = rows; option_is_row(row); row++) {
        if (row->kind == OPTION_REFUSED)
            return true;
    }
    return false;
}

/* In two columns when every command leaves room for the second, else each with its text below it. */
static void show_examples(FILE *out, const struct example *examples)
{
    unsigned longest = 0;
    for (const struct example *example = examples; example->command; example++) {
        unsigned n = cells(example->command, strlen(example->command));
        longest = n > longest ? n : longest;
    }
    fprintf(out, "\n%s\n", _("Examples:"));
    for (const struct example *example = examples; example->command; example++)
        help_columns(out, example->command, _(example->what), longest > EXAMPLE_MOST ? 0 : longest + 4);
}

void option_help(const struct verb *verb, bool whole, FILE *out)
{
    fprintf(out, _("Usage: sonde %s %s\n"), verb->name, verb->usage);
    help_paragraphs(out, _(verb->summary));
    if (verb->examples && verb->examples[0].command)
        show_examples(out, verb->examples);
    fprintf(out, "\n%s\n", _("Options:"));
    show_options(out, verb->options, whole, false);
    help_columns(out, "-h, --help", _("a short help (-h), or all of it (--help)"), OPTION_COLUMN);
    if (!whole) {
        fprintf(out, "\n");
        fprintf(out, _("All options: sonde %s --help\n"), verb->name);
        return;
    }
    if (has_refused(verb->options)) {
        fprintf(out, "\n%s\n", _("Known from other tools, but not here:"));
        show_options(out, verb->options, true, true);
    }
    if (verb->more) {
        fprintf(out, "\n");
        help_paragraphs(out, _(verb->more));
    }
}
