/* SPDX-License-Identifier: MIT */
/*
 * The script for zsh: one function for each verb, whose options are specifications of _arguments, with the texts of
 * help as descriptions. In a specification the description ends at a bracket, and so brackets and backslashes in it
 * get a backslash; then the whole is put in single quotes.
 */
#include "cli/completion_internal.h"
#include "cli/say.h"
#include "service/service.h"

#include <sonde/url.h>
#include <string.h>

#define SPECIFICATION_MAX 4096

/* A text that grows; what does not fit is left out. */
struct text {
    char bytes[SPECIFICATION_MAX];
    size_t n;
};

static void add(struct text *text, const char *more)
{
    size_t room = sizeof text->bytes - 1 - text->n, n = strlen(more);
    memcpy(text->bytes + text->n, more, n < room ? n : room);
    text->n += n < room ? n : room;
    text->bytes[text->n] = '\0';
}

/* With a backslash before each of these. */
static void add_escaped(struct text *text, const char *more, const char *special)
{
    for (; *more; more++) {
        char two[3] = {'\\', *more, '\0'};
        add(text, strchr(special, *more) ? two : two + 1);
    }
}

/* A word of an action, which zsh reads as a command line: in quotes of its own. */
static void add_word(struct text *text, const char *word)
{
    add(text, " '");
    for (; *word; word++) {
        char one[2] = {*word, '\0'};
        if (*word == '\'')
            add(text, "'\\''");
        else
            add_escaped(text, one, ":");
    }
    add(text, "'");
}

/* ":NAME:ACTION". */
static void add_argument(struct text *text, const struct verb *verb, const struct option_row *row)
{
    char name[128], word[COMPLETION_WORD_MAX];
    completion_value_name(row, name, sizeof name);
    add(text, completion_is_optional(row) ? "::" : ":");
    add_escaped(text, name[0] ? name : "value", ":\\");
    add(text, ":");
    switch (completion_value(verb, row)) {
    case VALUE_FILE:
        add(text, "_files");
        break;
    case VALUE_CAPTURE:
        add(text, "_files -g \"*.(");
        for (unsigned i = 0; completion_captures[i]; i++) {
            add(text, i == 0 ? "" : "|");
            add(text, completion_captures[i]);
        }
        add(text, ")(-.)\"");
        break;
    case VALUE_INTERFACE:
        add(text, "_sonde_interfaces");
        break;
    case VALUE_PROXY:
        add(text, " _sonde_words");
        add_word(text, "socks5://");
        add_word(text, "socks5h://");
        add_word(text, "http://");
        break;
    case VALUE_WORDS:
        add(text, " _sonde_words");
        for (unsigned i = 0; completion_word(row, i, word); i++)
            add_word(text, word);
        break;
    case VALUE_NONE:
    case VALUE_ANY:
        break;
    }
}

/* "--name=[help]:VALUE:action", in quotes. */
static void write_specification(const struct verb *verb, const struct option_row *row, const char *name, FILE *out)
{
    struct text text = {.n = 0};
    bool is_long = name[1] == '-', valued = completion_value(verb, row) != VALUE_NONE;
    add(&text, name);
    if (valued)
        add(&text, !is_long ? completion_is_optional(row) ? "-" : "+" : completion_is_optional(row) ? "=-" : "=");
    add(&text, "[");
    add_escaped(&text, _(row->help), "[]\\");
    add(&text, "]");
    if (valued)
        add_argument(&text, verb, row);
    completion_quote(text.bytes, out);
}

static void write_option(const struct verb *verb, const struct option_row *row, FILE *out)
{
    char letter[3] = {'-', row->letter, '\0'}, name[128] = "";
    if (row->name)
        snprintf(name, sizeof name, "--%s", row->name);
    char both[160];
    snprintf(both, sizeof both, "(%s%s%s)", row->letter ? letter : "", row->letter && row->name ? " " : "", name);
    for (int i = 0; i < 2; i++) {
        if (i == 0 ? row->letter == 0 : !row->name)
            continue;
        fputs("        ", out);
        completion_quote(row->kind == OPTION_LIST ? "*" : both, out);
        write_specification(verb, row, i == 0 ? letter : name, out);
        fputs(" \\\n", out);
    }
}

static void write_verb(const struct verb *verb, FILE *out)
{
    fprintf(out,
            "_sonde_%s()\n"
            "{\n"
            "    _arguments -s -S \\\n"
            "        '(- *)'{-h,--help}",
            verb->name);
    struct text text = {.n = 0};
    add(&text, "[");
    add_escaped(&text, _("a short help (-h), or all of it (--help)"), "[]\\");
    add(&text, "]");
    completion_quote(text.bytes, out);
    fputs(" \\\n", out);
    for (const struct option_row *row = verb->options; option_is_row(row); row++) {
        if (row->kind != OPTION_REFUSED)
            write_option(verb, row, out);
    }
    if (completion_takes_service(verb)) {
        fputs("        '1:service:_sonde_services' \\\n"
              "        '*:: : _sonde_served'\n",
              out);
    } else if (completion_takes_shell(verb)) {
        fputs("        '1:shell:(", out);
        for (unsigned i = 0; completion_shells[i]; i++)
            fprintf(out, "%s%s", i == 0 ? "" : " ", completion_shells[i]);
        fputs(")'\n", out);
    } else if (completion_takes_url(verb)) {
        fputs("        '1:address: _sonde_urls connect' \\\n"
              "        '*: : '\n",
              out);
    } else {
        fputs("        '*: : '\n", out);
    }
    fputs("}\n\n", out);
}

/* A list for _describe: 'name:description'. */
static void write_described(const char *name, const char *description, FILE *out)
{
    struct text text = {.n = 0};
    add_escaped(&text, name, ":\\");
    add(&text, ":");
    add(&text, description);
    fputs("        ", out);
    completion_quote(text.bytes, out);
    fputc('\n', out);
}

static void write_services(FILE *out)
{
    fputs("_sonde_services()\n"
          "{\n"
          "    local -a services=(\n",
          out);
    for (const struct service *const *row = services; *row; row++)
        write_described((*row)->name, _((*row)->help), out);
    fputs("    )\n"
          "    _describe -t services service services\n"
          "}\n\n"
          "# What follows the service: a text, a program behind two dashes, and addresses.\n"
          "_sonde_served()\n"
          "{\n"
          "    local service=${line[1]}\n"
          "    case $service in\n",
          out);
    for (const struct service *const *row = services; *row; row++) {
        if ((*row)->flags & SERVICE_TAKES_TEXT)
            fprintf(out, "    %s) ((CURRENT == 1 && ! ${+opt_args[--file]})) && _message text && return ;;\n",
                    (*row)->name);
        if ((*row)->flags & SERVICE_TAKES_PROGRAM)
            fprintf(out,
                    "    %s)\n"
                    "        local at=${words[(i)--]}\n"
                    "        if ((at < CURRENT)); then\n"
                    "            shift $at words\n"
                    "            ((CURRENT -= at))\n"
                    "            _normal\n"
                    "            return\n"
                    "        fi\n"
                    "        ;;\n",
                    (*row)->name);
    }
    fputs("    esac\n"
          "    _sonde_urls serve\n"
          "}\n\n",
          out);
}

static void write_url_options(const struct verb *const *list, FILE *out)
{
    const struct sonde_option_description *url_options = sonde_url_options();
    fputs("    case $1 in\n", out);
    for (const struct verb *const *verb = list; *verb; verb++) {
        if (!completion_takes_url(*verb))
            continue;
        const char *scheme;
        fprintf(out, "    %s) schemes=(", (*verb)->name);
        for (unsigned i = 0; completion_scheme(*verb, i, &scheme); i++)
            fprintf(out, "%s'%s'", i == 0 ? "" : " ", scheme);
        fputs(") options=(", out);
        for (int i = 0, n = 0; i < SONDE_N_OPTIONS; i++) {
            if (completion_url_option_fits(*verb, url_options[i].where))
                fprintf(out, "%s%s=", n++ == 0 ? "" : " ", url_options[i].name);
        }
        fputs(") ;;\n", out);
    }
    fputs("    esac\n", out);
}

static void write_urls(const struct verb *const *list, FILE *out)
{
    fputs("_sonde_urls() # VERB\n"
          "{\n"
          "    local -a schemes options\n",
          out);
    write_url_options(list, out);
    fputs("    if compset -P '*[?&]'; then\n"
          "        compadd -S '' -a options\n"
          "    elif compset -P '(|*+)unix:' || compset -P '(unixgram|seqpacket):'; then\n"
          "        _files\n"
          "    else\n"
          "        compadd -S '' -a schemes\n"
          "    fi\n"
          "}\n\n",
          out);
}

static const char helpers[] =
    "_sonde_interfaces()\n"
    "{\n"
    "    local -a names=(any /sys/class/net/*(N:t))\n"
    "    compadd -a names\n"
    "}\n\n"
    "# Those that end in a colon, a slash or an equals sign are to be gone on with: no blank behind them.\n"
    "_sonde_words() # WORD...\n"
    "{\n"
    "    compadd -- ${argv:#*[:/=]}\n"
    "    compadd -S '' -- ${(M)argv:#*[:/=]}\n"
    "}\n\n";

static void write_main(const struct verb *const *list, FILE *out)
{
    fputs("_sonde()\n"
          "{\n"
          "    local curcontext=$curcontext state line\n"
          "    typeset -A opt_args\n"
          "    local -a verbs=(\n",
          out);
    for (const struct verb *const *verb = list; *verb; verb++)
        write_described((*verb)->name, _((*verb)->summary), out);
    fputs("    )\n"
          "    _arguments -C \\\n"
          "        '(- *)'{-h,--help}'[show what sonde takes]' \\\n"
          "        '(- *)--version[print the version]' \\\n"
          "        '1: :->verb' \\\n"
          "        '*:: :->arguments'\n"
          "    case $state in\n"
          "    verb) _describe -t commands verb verbs ;;\n"
          "    arguments) ((${+functions[_sonde_${line[1]}]})) && _sonde_${line[1]} ;;\n"
          "    esac\n"
          "}\n\n"
          "# In a folder of fpath this is the function itself; elsewhere the file is sourced.\n"
          "if [[ ${funcstack[1]} == _sonde ]]; then\n"
          "    _sonde \"$@\"\n"
          "else\n"
          "    compdef _sonde sonde\n"
          "fi\n",
          out);
}

void completion_zsh(const struct verb *const *list, FILE *out)
{
    fputs("#compdef sonde\n"
          "# Completion of sonde for zsh, as `sonde completion zsh` prints it.\n\n",
          out);
    fputs(helpers, out);
    write_urls(list, out);
    write_services(out);
    for (const struct verb *const *verb = list; *verb; verb++)
        write_verb(*verb, out);
    write_main(list, out);
}
