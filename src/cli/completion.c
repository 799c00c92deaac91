/* SPDX-License-Identifier: MIT */
/* sonde completion: the verb, and what the scripts of all shells have in common. */
#include "cli/completion_internal.h"
#include "cli/say.h"
#include "cli/verbs.h"
#include "term/escape.h"

#include <sonde/url.h>
#include <stdio.h>
#include <string.h>

#define WORD_MAX 64

struct settings {
    char none;
};

static const struct option_row options[] = {
    {.kind = OPTION_FLAG},
};

static const struct example examples[] = {
    {"source <(sonde completion bash)", N_("for this shell only; in ~/.bashrc, for those to come")},
    {"sonde completion zsh >~/.zfunc/_sonde", N_("a folder that fpath names, before compinit runs")},
    {NULL, NULL},
};

static const char completion_usage[] = "bash|zsh";

const char *const completion_captures[] = {"pcap", "pcapng", "jsonl", NULL};
const char *const completion_shells[] = {"bash", "zsh", NULL};

/* Values whose names say too little. */
static const struct special {
    const char *verb, *option;
    enum completion_value value;
} specials[] = {
    {"trace", "read", VALUE_CAPTURE},
    {"trace", "interface", VALUE_INTERFACE},
    {"connect", "proxy", VALUE_PROXY},
};

bool completion_is_optional(const struct option_row *row)
{
    return row->value && row->value[0] == '[';
}

void completion_value_name(const struct option_row *row, char *ret_text, size_t size_bytes)
{
    const char *value = row->value ? row->value : "";
    size_t length = strlen(value);
    bool optional = completion_is_optional(row) && value[length - 1] == ']';
    snprintf(ret_text, size_bytes, "%.*s", (int)(optional ? length - 2 : length), value + optional);
}

/* The beginning of a piece that is meant as it stands: "after:" of "after:SECS", nothing of "SECS". */
static size_t literal_length(const char *piece, size_t length)
{
    size_t n = 0;
    while (n < length && ((piece[n] >= 'a' && piece[n] <= 'z') || (n > 0 && strchr("0123456789-_:/=@", piece[n]))))
        n++;
    /* "no more" is no word to be typed; a piece that goes on must show where. */
    return n == length || (n > 0 && strchr(":/=", piece[n - 1])) ? n : 0;
}

bool completion_word(const struct option_row *row, unsigned i, char ret_word[COMPLETION_WORD_MAX])
{
    if (row->kind == OPTION_CHOICE) {
        for (unsigned at = 0; row->choices[at]; at++) {
            if (at == i) {
                snprintf(ret_word, COMPLETION_WORD_MAX, "%s", row->choices[at]);
                return true;
            }
        }
        return false;
    }
    char value[256];
    completion_value_name(row, value, sizeof value);
    for (const char *piece = value; *piece;) {
        size_t length = strcspn(piece, "|"), n = literal_length(piece, length);
        if (n > 0 && n < COMPLETION_WORD_MAX && i-- == 0) {
            snprintf(ret_word, COMPLETION_WORD_MAX, "%.*s", (int)n, piece);
            return true;
        }
        piece += length + (piece[length] == '|');
    }
    return false;
}

enum completion_value completion_value(const struct verb *verb, const struct option_row *row)
{
    char word[COMPLETION_WORD_MAX], name[WORD_MAX];
    if (row->kind == OPTION_FLAG || row->kind == OPTION_REFUSED)
        return VALUE_NONE;
    for (size_t i = 0; i < sizeof specials / sizeof specials[0]; i++) {
        if (row->name && strcmp(specials[i].verb, verb->name) == 0 && strcmp(specials[i].option, row->name) == 0)
            return specials[i].value;
    }
    if (completion_word(row, 0, word))
        return VALUE_WORDS;
    completion_value_name(row, name, sizeof name);
    return strcmp(name, "FILE") == 0 ? VALUE_FILE : VALUE_ANY;
}

/* The usage line says what the operands are. */
bool completion_takes_service(const struct verb *verb)
{
    return strncmp(verb->usage, "SERVICE", strlen("SERVICE")) == 0;
}

bool completion_takes_url(const struct verb *verb)
{
    return strstr(verb->usage, "URL") != NULL;
}

bool completion_takes_shell(const struct verb *verb)
{
    return strcmp(verb->usage, completion_usage) == 0;
}

bool completion_url_option_fits(const struct verb *verb, unsigned where)
{
    return where & (completion_takes_service(verb) ? SONDE_FOR_LISTEN : SONDE_FOR_CONNECT);
}

bool completion_scheme(const struct verb *verb, unsigned i, const char **ret_text)
{
    static const char *const schemes[] = {
        "tcp://",    "udp://",     "tls://",   "ws://",   "wss://", "unix:",
        "unixgram:", "seqpacket:", "vsock://", "sctp://", "fd://",  "any://", /* the last one: only to listen on */
    };
    const size_t n = sizeof schemes / sizeof schemes[0] - (completion_takes_service(verb) ? 0 : 1);

    if (i >= n)
        return false;
    *ret_text = schemes[i];
    return true;
}

void completion_quote(const char *text, FILE *out)
{
    fputc('\'', out);
    for (; *text; text++) {
        if (*text == '\'')
            fputs("'\\''", out);
        else
            fputc(*text, out);
    }
    fputc('\'', out);
}

static int run(const struct verb *verb, int argc, char **argv)
{
    struct settings settings = {0};
    int n_operands;
    int status = option_parse(verb, &settings, argc, argv, &n_operands);
    if (status != 0)
        return status - 1;
    if (n_operands != 1) {
        say(_("completion for which shell? sonde completion bash, or sonde completion zsh."));
        return EXIT_MISUSE;
    }
    if (strcmp(argv[1], "bash") == 0) {
        completion_bash(verbs, stdout);
    } else if (strcmp(argv[1], "zsh") == 0) {
        completion_zsh(verbs, stdout);
    } else {
        char shown[WORD_MAX];
        escape_short(argv[1], strlen(argv[1]), shown, sizeof shown);
        say(_("there is no completion for %s: the shells are bash and zsh."), shown);
        return EXIT_MISUSE;
    }
    return EXIT_DONE;
}

const struct verb completion_verb = {
    .name = "completion",
    .summary = N_("Print a script that lets bash or zsh complete what is typed for sonde."),
    .usage = completion_usage,
    .options = options,
    .examples = examples,
    .run = run,
};
