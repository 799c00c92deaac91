/* SPDX-License-Identifier: MIT */
/*
 * The verb's rows are turned into the two tables of getopt_long. It is asked to hand out operands in their order (the
 * leading '-'), so that nothing is permuted and POSIXLY_CORRECT changes nothing, and to keep quiet (the ':'): what went
 * wrong is said here.
 */
#include "cli/option.h"

#include "cli/help.h"
#include "cli/near.h"
#include "cli/say.h"
#include "term/escape.h"

#include <getopt.h>
#include <limits.h>
#include <string.h>

#define OPERAND 1       /* what getopt_long returns for one */
#define LONG_NAME 256   /* row i is LONG_NAME + i when it was given by its long name */
#define HELP_LETTER 'h' /* -h */
#define HELP_NAME (LONG_NAME + OPTION_ROWS_MAX)

#define SHOWN_MAX 64 /* of a word of the user's in a sentence */
#define LIST_MAX 256

struct tables {
    char letters[2 + 3 * (OPTION_ROWS_MAX + 1) + 1];
    struct option names[OPTION_ROWS_MAX + 2];
};

/* How the user named the option: "-w" or "--connect-timeout". */
struct given {
    const struct option_row *row;
    char name[SHOWN_MAX];
};

static int takes(const struct option_row *row)
{
    if (row->kind == OPTION_FLAG || row->kind == OPTION_REFUSED)
        return no_argument;
    return row->value && row->value[0] == '[' ? optional_argument : required_argument;
}

static void add_letter(char **end, char letter, int argument)
{
    *(*end)++ = letter;
    for (int i = 0; i < argument; i++)
        *(*end)++ = ':';
}

static void build_tables(struct tables *tables, const struct option_row *rows)
{
    char *letter = tables->letters;
    struct option *name = tables->names;
    *letter++ = '-';
    *letter++ = ':';
    for (int i = 0; i < OPTION_ROWS_MAX && option_is_row(&rows[i]); i++) {
        int argument = takes(&rows[i]);
        if (rows[i].letter != 0)
            add_letter(&letter, rows[i].letter, argument);
        /* A refused option is refused with a value too. */
        if (rows[i].kind == OPTION_REFUSED)
            argument = optional_argument;
        if (rows[i].name)
            *name++ = (struct option){rows[i].name, argument, NULL, LONG_NAME + i};
    }
    add_letter(&letter, HELP_LETTER, no_argument);
    *letter = '\0';
    *name++ = (struct option){"help", no_argument, NULL, HELP_NAME};
    *name = (struct option){NULL, 0, NULL, 0};
}

static void find_given(const struct verb *verb, int code, struct given *ret_given)
{
    *ret_given = (struct given){.row = NULL};
    if (code == HELP_NAME) {
        snprintf(ret_given->name, sizeof ret_given->name, "--help");
        return;
    }
    if (code >= LONG_NAME) {
        ret_given->row = &verb->options[code - LONG_NAME];
        snprintf(ret_given->name, sizeof ret_given->name, "--%s", ret_given->row->name);
        return;
    }
    for (const struct option_row *row = verb->options; option_is_row(row) && !ret_given->row; row++) {
        if (row->letter == code)
            ret_given->row = row;
    }
    snprintf(ret_given->name, sizeof ret_given->name, "-%c", code);
}

static int misuse(void)
{
    return EXIT_MISUSE + 1;
}

static int say_unknown_letter(const struct verb *verb, int letter)
{
    const char byte = (char)letter;
    char text[SHOWN_MAX];
    escape_short(&byte, 1, text, sizeof text);
    say(_("%s has no option -%s. \"sonde %s --help\" lists those it has."), verb->name, text, verb->name);
    return misuse();
}

static int say_unknown_name(const struct verb *verb, const char *argument)
{
    const char *word = argument + strspn(argument, "-");
    size_t length = strcspn(word, "=");
    char name[SHOWN_MAX], text[SHOWN_MAX];
    snprintf(name, sizeof name, "%.*s", length < SHOWN_MAX ? (int)length : SHOWN_MAX - 1, word);
    escape_short(word, length, text, sizeof text);
    struct near near;
    near_begin(&near, name);
    for (const struct option_row *row = verb->options; option_is_row(row); row++)
        near_try(&near, row->kind == OPTION_REFUSED ? NULL : row->name);
    near_try(&near, "help");
    if (near.best)
        say(_("%s has no option --%s. Did you mean --%s?"), verb->name, text, near.best);
    else
        say(_("%s has no option --%s. \"sonde %s --help\" lists those it has."), verb->name, text, verb->name);
    return misuse();
}

static int say_missing_value(const struct given *given)
{
    char list[LIST_MAX] = "";
    const char *value = given->row->value;
    if (!value) {
        help_choices(given->row, "|", list, sizeof list);
        value = list;
    }
    say(_("%s needs a value: %s %s"), given->name, given->name, value);
    return misuse();
}

static int say_bad_value(const struct given *given, const char *text)
{
    char shown[SHOWN_MAX], list[LIST_MAX];
    escape_short(text, strlen(text), shown, sizeof shown);
    switch (given->row->kind) {
    case OPTION_COUNT:
        say(_("%s takes a number, such as 20 or 10k, and not \"%s\"."), given->name, shown);
        break;
    case OPTION_SIZE:
        say(_("%s takes a number of bytes, such as 4096 or 64k, and not \"%s\"."), given->name, shown);
        break;
    case OPTION_DURATION:
        say(_("%s takes seconds, or a time with its unit, such as 0.5, 500ms or 2m, and not \"%s\"."), given->name,
            shown);
        break;
    case OPTION_CHOICE:
        help_choices(given->row, ", ", list, sizeof list);
        say(_("%s takes one of these: %s; and not \"%s\"."), given->name, list, shown);
        break;
    case OPTION_FLAG:
    case OPTION_TEXT:
    case OPTION_LIST:
    case OPTION_REFUSED:
        break;
    }
    return misuse();
}

static void format_bound(const struct option_row *row, long long bound, char *ret_text, size_t size_bytes)
{
    if (row->kind == OPTION_DURATION)
        option_format_duration(bound, ret_text, size_bytes);
    else
        snprintf(ret_text, size_bytes, "%lld", bound);
}

static int say_out_of_range(const struct given *given, const char *text)
{
    const struct option_row *row = given->row;
    char shown[SHOWN_MAX], minimum[32], maximum[32];
    escape_short(text, strlen(text), shown, sizeof shown);
    format_bound(row, row->minimum, minimum, sizeof minimum);
    format_bound(row, row->maximum, maximum, sizeof maximum);
    if (row->maximum != 0)
        say(_("%s must be from %s to %s; %s is not."), given->name, minimum, maximum, shown);
    else
        say(_("%s must be at least %s; %s is not."), given->name, minimum, shown);
    return misuse();
}

static int set_number(const struct given *given, const char *text, long long *member)
{
    const struct option_row *row = given->row;
    long long number = row->without;
    bool understood = true;
    if (text && row->kind == OPTION_COUNT)
        understood = option_parse_count(text, &number);
    else if (text && row->kind == OPTION_SIZE)
        understood = option_parse_size(text, &number);
    else if (text)
        understood = option_parse_duration(text, &number);
    if (!understood)
        return say_bad_value(given, text);
    if (text && (number < row->minimum || number > (row->maximum != 0 ? row->maximum : LLONG_MAX)))
        return say_out_of_range(given, text);
    *member = number;
    return 0;
}

static int set_choice(const struct given *given, const char *text, int *member)
{
    if (!text) {
        *member = (int)given->row->without;
        return 0;
    }
    for (int i = 0; given->row->choices[i]; i++) {
        if (strcmp(given->row->choices[i], text) == 0) {
            *member = i;
            return 0;
        }
    }
    return say_bad_value(given, text);
}

static int add_to_list(const struct given *given, const char *text, struct option_list *list)
{
    if (list->n == OPTION_LIST_MAX) {
        say(_("%s may be given %d times at most."), given->name, OPTION_LIST_MAX);
        return misuse();
    }
    list->values[list->n++] = text ? text : "";
    return 0;
}

/* text is NULL for a flag, and when an optional value was left out. */
static int set(const struct given *given, const char *text, void *settings)
{
    void *member = (char *)settings + given->row->member;
    switch (given->row->kind) {
    case OPTION_FLAG:
        *(bool *)member = true;
        return 0;
    case OPTION_COUNT:
    case OPTION_SIZE:
    case OPTION_DURATION:
        return set_number(given, text, member);
    case OPTION_TEXT:
        *(const char **)member = text ? text : "";
        return 0;
    case OPTION_LIST:
        return add_to_list(given, text, member);
    case OPTION_CHOICE:
        return set_choice(given, text, member);
    case OPTION_REFUSED:
        say("%s", _(given->row->help));
        return misuse();
    }
    return 0;
}

/* An optional value that was not tied to its option, and yet can be nothing else. NULL: there is none. */
static const char *take_word(const struct option_row *row, int argc, char **argv)
{
    if (!row->takes_word || optind >= argc || !row->takes_word(argv[optind]))
        return NULL;
    return argv[optind++];
}

/* What getopt_long returned, unless it was an operand. */
static int take(const struct verb *verb, void *settings, int code, int argc, char **argv)
{
    const char *argument = argv[optind - 1];
    struct given given;
    switch (code) {
    case HELP_LETTER:
    case HELP_NAME:
        option_help(verb, code == HELP_NAME, stdout);
        return EXIT_DONE + 1;
    case ':':
        find_given(verb, optopt, &given);
        return say_missing_value(&given);
    case '?':
        if (optopt == 0)
            return say_unknown_name(verb, argument);
        if (optopt < LONG_NAME)
            return say_unknown_letter(verb, optopt);
        find_given(verb, optopt, &given);
        say(_("%s takes no value."), given.name);
        return misuse();
    default:
        find_given(verb, code, &given);
        return set(&given, optarg ? optarg : take_word(given.row, argc, argv), settings);
    }
}

int option_parse_behind(const struct verb *verb, void *settings, int argc, char **argv, int *ret_n_operands,
                        int *ret_n_behind)
{
    struct tables tables = {.letters = ""};
    build_tables(&tables, verb->options);
    int n_operands = 0, code;
    opterr = 0;
    optind = 0; /* start afresh (glibc) */
    while ((code = getopt_long(argc, argv, tables.letters, tables.names, NULL)) != -1) {
        /* An operand moves to the front, over arguments that have been looked at. */
        int status = 0;
        if (code == OPERAND)
            argv[1 + n_operands++] = optarg;
        else
            status = take(verb, settings, code, argc, argv);
        if (status != 0)
            return status;
    }
    /* Without permutation nothing but "--" leaves arguments to be looked at. */
    *ret_n_behind = argc - optind;
    while (optind < argc)
        argv[1 + n_operands++] = argv[optind++];
    argv[1 + n_operands] = NULL;
    *ret_n_operands = n_operands;
    return 0;
}

int option_parse(const struct verb *verb, void *settings, int argc, char **argv, int *ret_n_operands)
{
    int n_behind;

    return option_parse_behind(verb, settings, argc, argv, ret_n_operands, &n_behind);
}
