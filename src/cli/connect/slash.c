/* SPDX-License-Identifier: MIT */
#include "cli/connect/slash.h"

#include "cli/unescape.h"
#include "term/escape.h"
#include "term/translate.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>

/* The next word of what is left, up to a space; what is left begins behind that space. */
static size_t take_word(const char **text, size_t *n_text, const char **ret_word)
{
    const char *space = memchr(*text, ' ', *n_text);
    size_t n_word = space != NULL ? (size_t)(space - *text) : *n_text;

    *ret_word = *text;
    *text += n_word;
    *n_text -= n_word;
    if (space != NULL) {
        *text += 1;
        *n_text -= 1;
    }
    return n_word;
}

static bool is_word(const char *word, size_t n_word, const char *name)
{
    return n_word == strlen(name) && memcmp(word, name, n_word) == 0;
}

static void refuse(struct slash *slash, const char *wrong)
{
    slash->kind = SLASH_WRONG;
    slash->wrong = wrong;
}

/* Those that an endpoint may send (RFC 6455, 7.4; the registry of close codes). */
static bool may_be_sent(unsigned code)
{
    return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) || (code >= 3000 && code <= 4999);
}

static void parse_close(const char *text, size_t n_text, struct slash *slash)
{
    const char *word;
    size_t n_word = take_word(&text, &n_text, &word);

    slash->kind = SLASH_CLOSE;
    slash->code = 1000;
    if (n_word > 0) {
        slash->code = 0;
        for (size_t i = 0; i < n_word && slash->code < 10000; i++)
            slash->code = isdigit((unsigned char)word[i]) ? slash->code * 10 + (unsigned)(word[i] - '0') : 10000;
    }
    slash->text = text;
    slash->n_text = n_text;
    if (!may_be_sent(slash->code))
        refuse(slash, N_("/close takes a code that may be sent, 1000-1003, 1007-1014 or 3000-4999, and then a reason: "
                         "/close 1000 bye"));
    else if (n_text > SLASH_REASON_MAX)
        refuse(slash, N_("the reason of a Close frame has at most 123 bytes: nothing is closed."));
    else if (!utf8_is_valid(text, n_text))
        refuse(slash, N_("the reason of a Close frame is UTF-8, and this is not: nothing is closed."));
}

void slash_parse(const char *line, size_t n_bytes, struct slash *ret_slash)
{
    const char *text = line + 1, *word;
    size_t n_text = n_bytes - 1, n_word;

    *ret_slash = (struct slash){.kind = SLASH_MESSAGE, .text = line, .n_text = n_bytes};
    if (n_bytes == 0 || line[0] != '/')
        return;
    if (n_text > 0 && text[0] == '/') {
        ret_slash->text = text;
        ret_slash->n_text = n_text;
        return;
    }
    n_word = take_word(&text, &n_text, &word);
    ret_slash->text = text;
    ret_slash->n_text = n_text;
    if (is_word(word, n_word, "ping") && n_text <= SLASH_PING_MAX)
        ret_slash->kind = SLASH_PING;
    else if (is_word(word, n_word, "ping"))
        refuse(ret_slash, N_("a ping carries at most 125 bytes: none is sent."));
    else if (is_word(word, n_word, "close"))
        parse_close(text, n_text, ret_slash);
    else if (is_word(word, n_word, "binary"))
        ret_slash->kind = SLASH_BINARY;
    else if (is_word(word, n_word, "help") || is_word(word, n_word, "?"))
        ret_slash->kind = SLASH_HELP;
    else
        refuse(ret_slash,
               N_("that is no command, and is not sent. There are /ping, /close, /binary and /help; a message "
                  "that begins with a slash is written with two."));
}

bool slash_unhex(const char *text, size_t n_text, void *ret_bytes, size_t *ret_n_bytes)
{
    unsigned char *to = ret_bytes;
    size_t i = 0;

    while (i < n_text) {
        if (text[i] == ' ') {
            i++;
            continue;
        }
        if (i + 1 == n_text || unescape_digit(text[i]) < 0 || unescape_digit(text[i + 1]) < 0)
            return false;
        *to++ = (unsigned char)(unescape_digit(text[i]) << 4 | unescape_digit(text[i + 1]));
        i += 2;
    }
    *ret_n_bytes = (size_t)(to - (unsigned char *)ret_bytes);
    return true;
}
