/* SPDX-License-Identifier: MIT */
/*
 * Options of a verb: one table, over getopt_long, from which parsing, -h, --help, completion and the check of the man
 * pages come.
 *
 * A verb has a struct for its settings; each row of its table names the member that it sets.
 */
#ifndef CLI_OPTION_H
#define CLI_OPTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

enum option_kind {
    OPTION_FLAG,     /* bool: set to true */
    OPTION_COUNT,    /* long long, within minimum..maximum; k, M, G are 1000-based */
    OPTION_SIZE,     /* long long bytes; k, M, G are 1024-based */
    OPTION_DURATION, /* long long ns: "5", "0.5" seconds; "500ms", "2s", "1m" */
    OPTION_TEXT,     /* const char * */
    OPTION_LIST,     /* struct option_list: may be given several times */
    OPTION_CHOICE,   /* int: index into choices */
    OPTION_REFUSED,  /* known from other tools, not built here: help is the sentence that says so; exit 2 */
};

#define OPTION_ROWS_MAX 96 /* of one verb; rows past it are not seen */

/* -h and --help need no row. Texts are marked with N_() and translated where they are shown. */
struct option_row {
    char letter;       /* 0: none */
    const char *name;  /* long name without dashes; NULL: letter only */
    const char *value; /* name of the value for help ("SECS"); NULL for flags, and for choices, which are listed;
                          "[N]": optional, given with = (--retry=3) or attached (-r3); see takes_word */
    enum option_kind kind;
    size_t member; /* offsetof in the verb's settings */
    const char *help;
    const char *const *choices; /* OPTION_CHOICE: NULL-terminated */
    long long minimum, maximum; /* OPTION_COUNT, SIZE, DURATION (ns): a maximum of 0 means none */
    long long without;          /* optional value left out: this is set */
    bool brief;                 /* shown by -h too, not only by --help */
    /* An optional value may also be the next word, when this says that it can be nothing else. NULL: only with =. */
    bool (*takes_word)(const char *word);
    const char *group; /* the heading in --help that begins with this row; NULL: it goes on */
};

/* Is this a row, or the end of the table? */
static inline bool option_is_row(const struct option_row *row)
{
    return row->letter != 0 || row->name;
}

/* The values of a repeated option, in order; they point into argv. */
#define OPTION_LIST_MAX 64
struct option_list {
    unsigned n;
    const char *values[OPTION_LIST_MAX];
};

struct example {
    const char *command, *what;
};

/* A verb: one file, one const description, one row in verbs.c. */
struct verb {
    const char *name;
    const char *summary;                                        /* one line */
    const char *usage;                                          /* operands: "SERVICE [OPTION...] [URL...]" */
    const struct option_row *options;                           /* ends with a row whose letter and name are 0 */
    const struct example *examples;                             /* ends with {NULL, NULL} */
    const char *more;                                           /* paragraphs for --help; may be NULL */
    int (*run)(const struct verb *verb, int argc, char **argv); /* argv[0] is the verb; returns the exit status */
};

/* Parse argv into settings. Options and operands may be mixed, "--" ends options. Returns 0 and the operands (in place,
 * at the front of argv+1, *ret_n_operands of them), or the exit status + 1 to return at once: -h and --help print to
 * stdout and give 1 (exit 0); misuse prints one sentence to stderr and gives 3 (exit 2). */
int option_parse(const struct verb *verb, void *settings, int argc, char **argv, int *ret_n_operands);

/* The same, for a verb to which "--" is more than the end of options: *ret_n_behind of the operands stood behind it,
 * and NULL follows the last one. */
int option_parse_behind(const struct verb *verb, void *settings, int argc, char **argv, int *ret_n_operands,
                        int *ret_n_behind);

/* Its examples and its options: the brief ones (-h), or all there is (--help). */
void option_help(const struct verb *verb, bool whole, FILE *out);

/* Numbers as options take them, for values that a verb takes apart itself ("after:5"). The whole text must be one
 * value; false otherwise, and *ret_... is untouched. A leading minus is understood. */
bool option_parse_count(const char *text, long long *ret_count);
bool option_parse_size(const char *text, long long *ret_bytes);
bool option_parse_duration(const char *text, long long *ret_ns);

/* Write nanoseconds as option_parse_duration reads them, in the largest unit that leaves no fraction: "500ms". Returns
 * the length; 32 bytes are enough. */
size_t option_format_duration(long long ns, char *ret_text, size_t size_bytes);

#endif
