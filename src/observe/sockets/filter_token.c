/* SPDX-License-Identifier: MIT */
/* Words, operators and parentheses of a filter. Quotes make a word of whatever is in them. */
#include "observe/sockets/filter_internal.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

struct sign {
    char text[3];
    enum token_kind kind;
    enum filter_compare compare;
};

/* Longer ones first. */
static const struct sign signs[] = {
    {"&&", TOKEN_AND, 0},
    {"||", TOKEN_OR, 0},
    {"==", TOKEN_COMPARE, COMPARE_EQ},
    {"!=", TOKEN_COMPARE, COMPARE_NE},
    {"<=", TOKEN_COMPARE, COMPARE_LE},
    {">=", TOKEN_COMPARE, COMPARE_GE},
    {"&", TOKEN_AND, 0},
    {"|", TOKEN_OR, 0},
    {"=", TOKEN_COMPARE, COMPARE_EQ},
    {"<", TOKEN_COMPARE, COMPARE_LT},
    {">", TOKEN_COMPARE, COMPARE_GT},
    {"!", TOKEN_NOT, 0},
    {"(", TOKEN_OPEN, 0},
    {")", TOKEN_CLOSE, 0},
};

static const struct {
    char text[4];
    enum token_kind kind;
    enum filter_compare compare;
} words[] = {
    {"and", TOKEN_AND, 0},
    {"or", TOKEN_OR, 0},
    {"not", TOKEN_NOT, 0},
    {"eq", TOKEN_COMPARE, COMPARE_EQ},
    {"ne", TOKEN_COMPARE, COMPARE_NE},
    {"neq", TOKEN_COMPARE, COMPARE_NE},
    {"lt", TOKEN_COMPARE, COMPARE_LT},
    {"gt", TOKEN_COMPARE, COMPARE_GT},
    {"le", TOKEN_COMPARE, COMPARE_LE},
    {"leq", TOKEN_COMPARE, COMPARE_LE},
    {"ge", TOKEN_COMPARE, COMPARE_GE},
    {"geq", TOKEN_COMPARE, COMPARE_GE},
};

#define N_ROWS(table) (sizeof(table) / sizeof((table)[0]))

static bool is_blank(char byte)
{
    return byte == ' ' || byte == '\t' || byte == '\n' || byte == '\r';
}

static bool ends_word(char byte)
{
    return byte == '\0' || is_blank(byte) || strchr("()=!<>&|", byte) != NULL;
}

/* Behind an opening quote. 0: it never ends. */
static size_t read_quoted(const char *text, struct token *token)
{
    const char quote = text[0];
    size_t i = 1;

    for (; text[i] != quote; i++) {
        if (text[i] == '\\' && text[i + 1] != '\0')
            i++;
        if (text[i] == '\0')
            return 0;
        token->word[token->n_word++] = text[i];
    }
    return i + 1;
}

static int read_word(const char *text, struct token *token, size_t *ret_n)
{
    size_t i = 0;

    token->is_quoted = text[0] == '"' || text[0] == '\'';
    while (!ends_word(text[i])) {
        if (text[i] != '"' && text[i] != '\'') {
            token->word[token->n_word++] = text[i++];
            continue;
        }
        size_t n = read_quoted(text + i, token);
        if (n == 0) {
            token->at += i;
            return -EINVAL;
        }
        i += n;
    }
    token->word[token->n_word] = '\0';
    *ret_n = i;
    return 0;
}

static void find_word(struct token *token)
{
    for (size_t i = 0; !token->is_quoted && i < N_ROWS(words); i++) {
        if (strcasecmp(words[i].text, token->word) == 0) {
            token->kind = words[i].kind;
            token->compare = words[i].compare;
        }
    }
}

int filter_next_token(const char *text, size_t *at, struct token *ret_token)
{
    size_t n = 0;

    while (is_blank(text[*at]))
        ++*at;
    ret_token->at = *at;
    ret_token->raw = text + *at;
    ret_token->n_raw = ret_token->n_word = 0;
    ret_token->word[0] = '\0';
    ret_token->is_quoted = false;
    ret_token->kind = text[*at] == '\0' ? TOKEN_END : TOKEN_WORD;
    for (size_t i = 0; n == 0 && ret_token->kind == TOKEN_WORD && i < N_ROWS(signs); i++) {
        if (strncmp(text + *at, signs[i].text, strlen(signs[i].text)) == 0) {
            n = strlen(signs[i].text);
            ret_token->kind = signs[i].kind;
            ret_token->compare = signs[i].compare;
        }
    }
    if (ret_token->kind == TOKEN_WORD) {
        if (read_word(text + *at, ret_token, &n) < 0)
            return -EINVAL;
        find_word(ret_token);
    }
    ret_token->n_raw = n;
    *at += n;
    return 0;
}
