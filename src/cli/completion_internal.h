/* SPDX-License-Identifier: MIT */
/*
 * Completion scripts: what both shells are told, taken from the tables that parsing and help come from.
 *
 * A script is static: it holds every verb, option, choice and service, and never runs sonde. What it cannot know
 * beforehand are names of files, interfaces and commands, which the shell finds by itself.
 */
#ifndef CLI_COMPLETION_INTERNAL_H
#define CLI_COMPLETION_INTERNAL_H

#include "cli/option.h"

/* What a value may be. */
enum completion_value {
    VALUE_NONE,      /* the option takes none */
    VALUE_ANY,       /* one that nobody can guess */
    VALUE_WORDS,     /* one of completion_words */
    VALUE_FILE,      /* a file */
    VALUE_CAPTURE,   /* a file that sonde trace reads */
    VALUE_INTERFACE, /* a network interface */
    VALUE_PROXY,     /* a proxy's address */
};

enum completion_value completion_value(const struct verb *verb, const struct option_row *row);

/* May the value be left out? Then it is tied to the name with "=". */
bool completion_is_optional(const struct option_row *row);

/* The name of the value as help has it, without the brackets of an optional one; "" for flags and choices. */
void completion_value_name(const struct option_row *row, char *ret_text, size_t size_bytes);

/* A word of VALUE_WORDS. It is to be gone on with when it ends in a colon, a slash or an equals sign. */
#define COMPLETION_WORD_MAX 64

/* The i-th word, or false after the last. */
bool completion_word(const struct option_row *row, unsigned i, char ret_word[COMPLETION_WORD_MAX]);

/* What the operands of a verb are. */
bool completion_takes_service(const struct verb *verb);
bool completion_takes_url(const struct verb *verb);
bool completion_takes_shell(const struct verb *verb);

/* May this option of a URL stand where the verb's URLs stand? */
bool completion_url_option_fits(const struct verb *verb, unsigned where);

/* How an address may begin; false after the last. */
bool completion_scheme(const struct verb *verb, unsigned i, const char **ret_text);

/* Endings of the files that sonde trace reads, and the shells; both end with NULL. */
extern const char *const completion_captures[];
extern const char *const completion_shells[];

/* In single quotes, whatever it holds. */
void completion_quote(const char *text, FILE *out);

/* The scripts for these verbs (and all services); the list ends with NULL. */
void completion_bash(const struct verb *const *list, FILE *out);
void completion_zsh(const struct verb *const *list, FILE *out);

#endif
