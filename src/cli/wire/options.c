/* SPDX-License-Identifier: MIT */
/* The options of `sonde wire`. The short ones are clauses of the rules' language, for both directions. */
#include "cli/wire/wire_internal.h"
#include "term/escape.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define CLAUSE_BYTES 256
#define MEMBER(name) .member = offsetof(struct wire_options, name)

const struct option_row wire_option_rows[] = {
    {.name = "delay",
     .value = "TIME",
     .kind = OPTION_TEXT,
     MEMBER(delay),
     .help = N_("each packet is under way for so long: 20ms"),
     .brief = true},
    {.name = "jitter",
     .value = "TIME",
     .kind = OPTION_TEXT,
     MEMBER(jitter),
     .help = N_("... give or take so much; packets keep their order"),
     .brief = true},
    {.name = "loss",
     .value = "SHARE",
     .kind = OPTION_TEXT,
     MEMBER(loss),
     .help = N_("this share of the packets is lost: 1%"),
     .brief = true},
    {.name = "duplicate", .value = "SHARE", .kind = OPTION_TEXT, MEMBER(duplicate), .help = N_("... arrives twice")},
    {.name = "reorder",
     .value = "SHARE",
     .kind = OPTION_TEXT,
     MEMBER(reorder),
     .help = N_("... is held back for 10 ms, so that later ones overtake it; \"5% by 30ms\": for so long")},
    {.name = "corrupt",
     .value = "SHARE",
     .kind = OPTION_TEXT,
     MEMBER(corrupt),
     .help = N_("... arrives with one bit changed")},
    {.name = "rate",
     .value = "RATE",
     .kind = OPTION_TEXT,
     MEMBER(rate),
     .help = N_("packets follow one another at this rate: 10Mbit, or \"10Mbit queue 64KiB\""),
     .brief = true},
    {.name = "mtu",
     .value = "BYTES",
     .kind = OPTION_TEXT,
     MEMBER(mtu),
     .help = N_("IP packets larger than this do not pass, and their sender is told")},
    {.name = "a-to-b",
     .value = "RULES",
     .kind = OPTION_LIST,
     MEMBER(a_to_b),
     .help = N_("what happens to packets of the client: 'drop data #3', 'delay 20ms ±5ms, loss 1%'; see "
                "sonde-wire(1)"),
     .brief = true},
    {.name = "b-to-a",
     .value = "RULES",
     .kind = OPTION_LIST,
     MEMBER(b_to_a),
     .help = N_("... to packets of the server"),
     .brief = true},
    {.name = "seed",
     .value = "N",
     .kind = OPTION_COUNT,
     MEMBER(seed),
     .help = N_("repeat the choices of an earlier run (it told its seed at the end)"),
     .brief = true},
    {.name = "a-sysctl",
     .value = "NAME=VALUE",
     .kind = OPTION_LIST,
     MEMBER(a_sysctl),
     .help = N_("a setting of the client's kernel: net.ipv4.tcp_retries2=3")},
    {.name = "b-sysctl", .value = "NAME=VALUE", .kind = OPTION_LIST, MEMBER(b_sysctl), .help = N_("... the server's")},
    {.name = "offloads",
     .kind = OPTION_FLAG,
     MEMBER(offloads),
     .help = N_("leave segmentation and checksums to the interfaces, as most machines do: one frame may then be many "
                "segments")},
    {.name = "ready-timeout",
     .value = "TIME",
     .kind = OPTION_DURATION,
     MEMBER(ready_timeout_ns),
     .help = N_("start the client after so long (10 s) even when nothing listens yet")},
    {.name = "trace",
     .kind = OPTION_FLAG,
     MEMBER(trace),
     .help = N_("draw every connection on standard error, with both ends' states and values"),
     .brief = true},
    {.name = "trace-json", .value = "FILE", .kind = OPTION_TEXT, MEMBER(trace_json), .help = N_("record the events")},
    {.name = "svg", .value = "FILE", .kind = OPTION_TEXT, MEMBER(svg), .help = N_("draw the first connection")},
    {.name = "write",
     .value = "FILE",
     .kind = OPTION_TEXT,
     MEMBER(write),
     .help = N_("write the packets as pcapng: as they left on one interface, as they arrived on the other")},
    {.name = "raw", .kind = OPTION_FLAG, MEMBER(raw), .help = N_("sequence numbers as on the wire")},
    {.name = "compact", .kind = OPTION_FLAG, MEMBER(compact), .help = N_("a pause takes one row, however long")},
    {.name = "list", .kind = OPTION_FLAG, MEMBER(list), .help = N_("one event a line, without the drawing")},
    {.name = "ascii", .kind = OPTION_FLAG, MEMBER(ascii), .help = N_("draw with ASCII characters")},
    {.name = "width",
     .value = "N",
     .kind = OPTION_COUNT,
     MEMBER(width),
     .help = N_("draw as if the terminal had N columns"),
     .minimum = 20,
     .maximum = 1000},
    {.name = "json", .kind = OPTION_FLAG, MEMBER(json), .help = N_("the report at the end as one line of JSON")},
    {.name = "quiet", .kind = OPTION_FLAG, MEMBER(quiet), .help = N_("no report at the end")},
    {.kind = OPTION_FLAG},
};

static bool add(const char *text, const char *option, struct wire_rules *rules)
{
    struct sonde_why why = {.code = 0};
    char subject[WORD_MAX], detail[WORD_MAX];
    int error = wire_rules_parse(text, rules, &why);
    if (error == 0)
        return true;
    escape_short(why.subject, strlen(why.subject), subject, sizeof subject);
    escape_short(why.detail, strlen(why.detail), detail, sizeof detail);
    if (error == -E2BIG)
        say(_("%s: too many rules; %d are the most for one direction."), option, WIRE_RULES_MAX);
    else
        say(_("%s: \"%s\" is not understood: %s."), option, subject[0] ? subject : text,
            detail[0] ? detail : sonde_strerror(error));
    return false;
}

static bool add_clause(const char *option, const char *word, const char *value, const char *behind,
                       struct wire_rules *rules)
{
    char clause[CLAUSE_BYTES];
    if (!value)
        return true;
    int n = snprintf(clause, sizeof clause, "%s %s%s", word, value, behind);
    if (n > 0 && (size_t)n < sizeof clause)
        return add(clause, option, rules);
    say(_("%s: too long."), option);
    return false;
}

static bool add_delay(const struct wire_options *options, struct wire_rules *rules)
{
    char value[CLAUSE_BYTES];
    if (options->jitter && !options->delay) {
        say(_("--jitter belongs to --delay: give both."));
        return false;
    }
    if (!options->delay)
        return true;
    snprintf(value, sizeof value, "%s%s%s", options->delay, options->jitter ? " +-" : "",
             options->jitter ? options->jitter : "");
    return add_clause("--delay", "delay", value, "", rules);
}

/* What both directions have. */
static bool common_rules(const struct wire_options *options, struct wire_rules *rules)
{
    bool says_by = options->reorder && strstr(options->reorder, "by");
    return add_delay(options, rules) && add_clause("--loss", "loss", options->loss, "", rules) &&
           add_clause("--duplicate", "duplicate", options->duplicate, "", rules) &&
           add_clause("--reorder", "reorder", options->reorder, says_by ? "" : " by 10ms", rules) &&
           add_clause("--corrupt", "corrupt", options->corrupt, "", rules) &&
           add_clause("--rate", "rate", options->rate, "", rules) &&
           add_clause("--mtu", "mtu", options->mtu, "", rules);
}

static bool own_rules(const struct option_list *list, const char *option, struct wire_rules *rules)
{
    for (unsigned i = 0; i < list->n; i++) {
        if (!add(list->values[i], option, rules))
            return false;
    }
    return true;
}

static void put_words(char *text, size_t size_bytes, const char *before, const struct wire_rules *rules,
                      const char *behind)
{
    char rules_text[WORD_MAX];
    size_t n = strlen(text);
    if (rules->n == 0)
        return;
    wire_rules_format(rules, rules_text, sizeof rules_text);
    snprintf(text + n, size_bytes - n, "%s%s%s%s", n > 0 ? ", " : "", before, rules_text, behind);
}

bool wire_options_rules(const struct wire_options *options, struct wire_rules ret_rules[N_ENDS], char *ret_words,
                        size_t size_bytes)
{
    struct wire_rules common = {0}, own[N_ENDS] = {{0}, {0}};
    if (!common_rules(options, &common))
        return false;
    ret_rules[END_A] = ret_rules[END_B] = common;
    if (!own_rules(&options->a_to_b, "--a-to-b", &ret_rules[END_A]) ||
        !own_rules(&options->b_to_a, "--b-to-a", &ret_rules[END_B]) ||
        !own_rules(&options->a_to_b, "--a-to-b", &own[END_A]) || !own_rules(&options->b_to_a, "--b-to-a", &own[END_B]))
        return false;
    ret_words[0] = '\0';
    put_words(ret_words, size_bytes, "", &common, _(" each way"));
    put_words(ret_words, size_bytes, "a→b ", &own[END_A], "");
    put_words(ret_words, size_bytes, "b→a ", &own[END_B], "");
    return true;
}
