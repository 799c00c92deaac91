/* SPDX-License-Identifier: MIT */
/*
 * Theory of operation
 *
 *   all        = [or]
 *   or         = and { ("or" | "|" | "||") and }
 *   and        = not { ["and" | "&" | "&&"] not }
 *   not        = ("not" | "!") not | "(" or ")" | condition
 *
 * A recursive descent with one token of foresight builds the tree in an array. The first thing that is not understood
 * ends it; its sentence says at which character.
 */
#include "observe/sockets/filter_internal.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define WHY_SIZE 192
#define SHOWN_MAX 24 /* of a word, in a sentence */

struct parser {
    const char *text;
    size_t at; /* behind the token */
    struct token token;
    struct sockets_filter *filter;
    unsigned depth;
    int error;
    char *why;
};

static int parse_or(struct parser *parser);

/* ---- words for what is wrong */

static int fail_with(struct parser *parser, int error, const char *sentence)
{
    if (parser->error == 0) {
        parser->error = error;
        snprintf(parser->why, WHY_SIZE, "%s", sentence);
    }
    parser->token.kind = TOKEN_END;
    return -1;
}

/* At this token, which is shown. */
static int fail_at(struct parser *parser, const char *expected)
{
    const struct token *token = &parser->token;
    char shown[SHOWN_MAX + 1], sentence[WHY_SIZE];
    size_t n = token->n_raw < SHOWN_MAX ? token->n_raw : SHOWN_MAX;

    for (size_t i = 0; i < n; i++)
        shown[i] = (char)(token->raw[i] >= ' ' && token->raw[i] < 0x7f ? token->raw[i] : '?');
    shown[n] = '\0';
    if (token->kind == TOKEN_END)
        snprintf(sentence, sizeof sentence, "at the end: %s", expected);
    else
        snprintf(sentence, sizeof sentence, "character %zu, \"%s%s\": %s", token->at + 1, shown,
                 n < token->n_raw ? "..." : "", expected);
    return fail_with(parser, -EINVAL, sentence);
}

/* ---- tokens and nodes */

static void advance(struct parser *parser)
{
    if (parser->error == 0 && filter_next_token(parser->text, &parser->at, &parser->token) < 0) {
        char sentence[WHY_SIZE];
        snprintf(sentence, sizeof sentence, "character %zu: this quote has no end", parser->token.at + 1);
        fail_with(parser, -EINVAL, sentence);
    }
    if (parser->error != 0)
        parser->token.kind = TOKEN_END;
}

static bool is_word(const struct parser *parser, const char *word)
{
    return parser->token.kind == TOKEN_WORD && !parser->token.is_quoted && strcasecmp(parser->token.word, word) == 0;
}

static int add(struct parser *parser, const struct filter_node *node)
{
    if (parser->error != 0)
        return -1;
    if (parser->filter->n_nodes == FILTER_NODES_MAX)
        return fail_with(parser, -E2BIG, "a filter has at most 256 conditions and operators");
    parser->filter->node[parser->filter->n_nodes] = *node;
    return (int)parser->filter->n_nodes++;
}

static int join(struct parser *parser, enum filter_kind kind, int left, int right)
{
    if (left < 0 || right < 0)
        return -1;
    return add(parser, &(struct filter_node){.kind = (uint8_t)kind, .left = (uint16_t)left, .right = (uint16_t)right});
}

/* A node with a piece of text. There is room: all words together are not longer than the filter's text. */
static int add_text(struct parser *parser, enum filter_kind kind, const char *text, size_t n_text)
{
    struct sockets_filter *filter = parser->filter;
    struct filter_node node = {.kind = (uint8_t)kind, .text = (uint16_t)filter->n_words, .n_text = (uint16_t)n_text};

    memcpy(filter->words + filter->n_words, text, n_text);
    filter->n_words += n_text;
    return add(parser, &node);
}

/* ---- conditions */

/* A comparison, which may be left out. */
static enum filter_compare take_compare(struct parser *parser)
{
    enum filter_compare compare = COMPARE_EQ;

    if (parser->token.kind == TOKEN_COMPARE) {
        compare = parser->token.compare;
        advance(parser);
    }
    return compare;
}

/* "state a state b exclude c" is one condition. */
static int parse_states(struct parser *parser)
{
    struct filter_node node = {.kind = FILTER_STATE, .states = is_word(parser, "exclude") ? FILTER_ALL_STATES : 0};

    for (;;) {
        bool excludes = is_word(parser, "exclude");
        uint32_t states = UINT32_C(1) << TCP_STATE_LISTEN;
        if (!excludes && !is_word(parser, "state") && !is_word(parser, "listening"))
            break;
        if (!is_word(parser, "listening")) {
            advance(parser);
            const char *why = filter_read_states(parser->token.word, &states);
            if (why != NULL || parser->token.kind != TOKEN_WORD)
                return fail_at(parser, why != NULL ? why : "expected a state");
        }
        node.states = excludes ? node.states & ~states : node.states | states;
        advance(parser);
    }
    return add(parser, &node);
}

static int parse_port(struct parser *parser)
{
    struct filter_node node = {.kind = FILTER_PORT, .is_peer = is_word(parser, "dport")};

    advance(parser);
    node.compare = (uint8_t)take_compare(parser);
    const char *why = parser->token.kind == TOKEN_WORD ? filter_read_port(parser->token.word, &node.port)
                                                       : "expected a port, such as :7007 or :http";
    if (why != NULL)
        return fail_at(parser, why);
    advance(parser);
    return add(parser, &node);
}

/* For what is either equal or not. False: another comparison stands there. */
static bool take_equality(struct parser *parser, bool *ret_not)
{
    if (parser->token.kind == TOKEN_COMPARE && parser->token.compare > COMPARE_NE) {
        fail_at(parser, "only = and != can be asked here");
        return false;
    }
    *ret_not = take_compare(parser) == COMPARE_NE;
    return true;
}

static int add_perhaps_not(struct parser *parser, const struct filter_node *node, bool is_not)
{
    int index = add(parser, node);

    return is_not ? join(parser, FILTER_NOT, index, 0) : index;
}

static int parse_host(struct parser *parser)
{
    struct filter_node node = {.kind = FILTER_HOST, .is_peer = is_word(parser, "dst")};
    bool is_not;

    advance(parser);
    if (!take_equality(parser, &is_not))
        return -1;
    const char *why = parser->token.kind == TOKEN_WORD && parser->token.n_word > 0
                          ? filter_read_host(parser->token.word, &node)
                          : "expected an address, such as 127.0.0.1, 10.0.0.0/8 or [::1]:7007";
    if (why != NULL)
        return fail_at(parser, why);
    advance(parser);
    return add_perhaps_not(parser, &node, is_not);
}

static int parse_device(struct parser *parser)
{
    struct filter_node node = {.kind = FILTER_DEVICE};
    bool is_not;

    advance(parser);
    if (!take_equality(parser, &is_not))
        return -1;
    const char *why = parser->token.kind == TOKEN_WORD ? filter_read_device(parser->token.word, &node.number)
                                                       : "expected an interface, such as lo";
    if (why != NULL)
        return fail_at(parser, why);
    advance(parser);
    return add_perhaps_not(parser, &node, is_not);
}

static int parse_number(struct parser *parser, enum filter_kind kind)
{
    struct filter_node node = {.kind = (uint8_t)kind};

    advance(parser);
    if (parser->token.kind != TOKEN_COMPARE)
        return fail_at(parser, "expected a comparison, such as > 0");
    node.compare = (uint8_t)take_compare(parser);
    if (parser->token.kind != TOKEN_WORD || !filter_read_number(parser->token.word, UINT32_MAX, &node.number))
        return fail_at(parser, "expected a number up to 4294967295");
    advance(parser);
    return add(parser, &node);
}

/* pid:4121, process:nginx */
static int parse_owner(struct parser *parser)
{
    const char *word = parser->token.word;
    struct filter_node node = {.kind = FILTER_PID};
    int index;

    if (strncasecmp(word, "pid:", 4) == 0) {
        if (!filter_read_number(word + 4, INT32_MAX, &node.number))
            return fail_at(parser, "expected the number of a process, as in pid:4121");
        index = add(parser, &node);
    } else {
        size_t n_prefix = strlen("process:");
        if (parser->token.n_word == n_prefix)
            return fail_at(parser, "expected the name of a program, as in process:nginx");
        index = add_text(parser, FILTER_PROCESS, word + n_prefix, parser->token.n_word - n_prefix);
    }
    advance(parser);
    return index;
}

/* A number alone, or a colon and a port: at either end. */
static int parse_port_alone(struct parser *parser)
{
    struct filter_node node = {.kind = FILTER_PORT};
    const char *why = filter_read_port(parser->token.word, &node.port);

    if (why != NULL)
        return fail_at(parser, why);
    advance(parser);
    int local = add(parser, &node);
    node.is_peer = true;
    return join(parser, FILTER_OR, local, add(parser, &node));
}

static int parse_text(struct parser *parser)
{
    int index = add_text(parser, FILTER_TEXT, parser->token.word, parser->token.n_word);

    advance(parser);
    return index;
}

static int parse_condition(struct parser *parser)
{
    const struct token *token = &parser->token;

    if (token->kind == TOKEN_COMPARE)
        return fail_at(parser, "expected what to compare before it, such as sport, dport or unread");
    if (token->kind != TOKEN_WORD)
        return fail_at(parser, "expected a condition");
    if (token->is_quoted)
        return parse_text(parser);
    if (is_word(parser, "state") || is_word(parser, "exclude") || is_word(parser, "listening"))
        return parse_states(parser);
    if (is_word(parser, "sport") || is_word(parser, "dport"))
        return parse_port(parser);
    if (is_word(parser, "src") || is_word(parser, "dst"))
        return parse_host(parser);
    if (is_word(parser, "dev"))
        return parse_device(parser);
    if (is_word(parser, "unread"))
        return parse_number(parser, FILTER_UNREAD);
    if (is_word(parser, "unsent"))
        return parse_number(parser, FILTER_UNSENT);
    if (is_word(parser, "retransmits"))
        return parse_number(parser, FILTER_RETRANSMITS);
    if (is_word(parser, "fwmark") || is_word(parser, "cgroup") || is_word(parser, "autobound"))
        return fail_at(parser, "ss asks the kernel for this, sonde does not; leave it out, or quote it as plain text");
    if (strncasecmp(token->word, "pid:", 4) == 0 || strncasecmp(token->word, "process:", 8) == 0)
        return parse_owner(parser);
    bool is_number = token->n_word > 0 && token->word[strspn(token->word, "0123456789")] == '\0';
    if (is_number || (token->word[0] == ':' && token->word[1] != ':'))
        return parse_port_alone(parser);
    return parse_text(parser);
}

/* ---- operators */

static int parse_not(struct parser *parser)
{
    int index;

    if (parser->token.kind != TOKEN_NOT && parser->token.kind != TOKEN_OPEN)
        return parse_condition(parser);
    if (++parser->depth > FILTER_DEPTH_MAX)
        return fail_with(parser, -E2BIG, "a filter has at most 64 levels of parentheses and not");
    if (parser->token.kind == TOKEN_NOT) {
        advance(parser);
        index = join(parser, FILTER_NOT, parse_not(parser), 0);
    } else {
        size_t at = parser->token.at;
        advance(parser);
        index = parse_or(parser);
        if (parser->error == 0 && parser->token.kind != TOKEN_CLOSE) {
            char expected[64];
            snprintf(expected, sizeof expected, "expected the ) of character %zu", at + 1);
            return fail_at(parser, expected);
        }
        advance(parser);
    }
    parser->depth--;
    return index;
}

static int parse_and(struct parser *parser)
{
    int index = parse_not(parser);

    for (;;) {
        if (parser->token.kind == TOKEN_AND)
            advance(parser);
        else if (parser->token.kind != TOKEN_WORD && parser->token.kind != TOKEN_NOT &&
                 parser->token.kind != TOKEN_OPEN && parser->token.kind != TOKEN_COMPARE)
            return index;
        index = join(parser, FILTER_AND, index, parse_not(parser));
    }
}

static int parse_or(struct parser *parser)
{
    int index = parse_and(parser);

    while (parser->token.kind == TOKEN_OR) {
        advance(parser);
        index = join(parser, FILTER_OR, index, parse_and(parser));
    }
    return index;
}

/* ---- for others */

static void parse_all(struct parser *parser)
{
    parser->filter->root = -1;
    advance(parser);
    if (parser->token.kind == TOKEN_END)
        return;
    parser->filter->root = parse_or(parser);
    if (parser->error == 0 && parser->token.kind == TOKEN_CLOSE)
        fail_at(parser, "there is no ( for it");
}

int filter_parse(const char *text, struct sockets_filter **ret_filter, char ret_why[WHY_SIZE])
{
    struct parser *parser = NULL;
    struct sockets_filter *filter = NULL;
    int error = -E2BIG;

    snprintf(ret_why, WHY_SIZE, "a filter has at most %d characters", FILTER_TEXT_MAX - 1);
    if (strlen(text) >= FILTER_TEXT_MAX)
        return error;
    parser = calloc(1, sizeof *parser);
    filter = calloc(1, sizeof *filter);
    error = -ENOMEM;
    snprintf(ret_why, WHY_SIZE, "there is no memory for a filter");
    if (parser != NULL && filter != NULL) {
        parser->text = text;
        parser->filter = filter;
        parser->why = ret_why;
        ret_why[0] = '\0';
        parse_all(parser);
        error = parser->error;
    }
    free(parser);
    if (error < 0) {
        free(filter);
        return error;
    }
    *ret_filter = filter;
    return 0;
}

int filter_parse_words(int n_words, char *const *words, struct sockets_filter **ret_filter, char ret_why[WHY_SIZE])
{
    char text[FILTER_TEXT_MAX];
    size_t n = 0;

    text[0] = '\0';
    for (int i = 0; i < n_words; i++) {
        size_t n_word = strlen(words[i]);
        if (n + n_word + 2 > sizeof text) {
            snprintf(ret_why, WHY_SIZE, "a filter has at most %d characters", FILTER_TEXT_MAX - 1);
            return -E2BIG;
        }
        if (n > 0)
            text[n++] = ' ';
        memcpy(text + n, words[i], n_word + 1);
        n += n_word;
    }
    return filter_parse(text, ret_filter, ret_why);
}

void filter_free(struct sockets_filter *filter)
{
    free(filter);
}
