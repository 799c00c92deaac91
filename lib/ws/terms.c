/* SPDX-License-Identifier: MIT */
/*
 * Agreeing on permessage-deflate (RFC 7692, 5 and 7.1). A value of Sec-WebSocket-Extensions is a list of extensions,
 * each with parameters; a server takes the first offer that it can keep to, all of it or nothing of it.
 */
#include "ws/ws.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

static const char extension_name[] = "permessage-deflate";

enum { BITS_LEAST = 8, BITS_MOST = 15, VALUE_TEXT = 4 };

/* --- the grammar (RFC 6455, 9.1; RFC 9110, 5.6) ------------------------------------------------------------------ */

struct text {
    const char *at;
    size_t n;
};

struct parameter {
    struct text name;
    bool has_value;
    char value[VALUE_TEXT]; /* cut: none of ours is as long */
};

static bool is_token(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           (c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

static void skip_space(const char **at)
{
    *at += strspn(*at, " \t");
}

static bool read_token(const char **at, struct text *ret_token)
{
    const char *begin = *at;

    while (is_token(**at))
        (*at)++;
    *ret_token = (struct text){begin, (size_t)(*at - begin)};
    return *at > begin;
}

static void add(struct parameter *parameter, size_t *n, char c)
{
    if (*n < VALUE_TEXT - 1)
        parameter->value[*n] = c;
    (*n)++;
}

/* What is quoted has to be a token without its quotes. */
static bool read_quoted(const char **at, struct parameter *parameter)
{
    size_t n = 0;

    (*at)++;
    while (**at != '"') {
        if (**at == '\\')
            (*at)++;
        if (!is_token(**at))
            return false;
        add(parameter, &n, *(*at)++);
    }
    (*at)++;
    return n > 0;
}

static bool read_value(const char **at, struct parameter *parameter)
{
    struct text token;
    size_t n = 0;

    if (**at == '"')
        return read_quoted(at, parameter);
    if (!read_token(at, &token))
        return false;
    for (size_t i = 0; i < token.n; i++)
        add(parameter, &n, token.at[i]);
    return true;
}

/* 1: one has been read, 0: the extension has no more of them, -EBADMSG. */
static int read_parameter(const char **at, struct parameter *ret_parameter)
{
    *ret_parameter = (struct parameter){0};
    skip_space(at);
    if (**at != ';')
        return **at == ',' || **at == '\0' ? 0 : -EBADMSG;
    (*at)++;
    skip_space(at);
    if (!read_token(at, &ret_parameter->name))
        return -EBADMSG;
    skip_space(at);
    if (**at != '=')
        return 1;
    (*at)++;
    skip_space(at);
    ret_parameter->has_value = true;
    return read_value(at, ret_parameter) ? 1 : -EBADMSG;
}

/* 1: the name of the next extension, 0: there is none, -EBADMSG. Elements of a list may be empty. */
static int read_extension(const char **at, struct text *ret_name)
{
    *at += strspn(*at, " \t,");
    if (**at == '\0')
        return 0;
    return read_token(at, ret_name) ? 1 : -EBADMSG;
}

static bool is(const struct text *text, const char *name)
{
    return strlen(name) == text->n && strncasecmp(text->at, name, text->n) == 0;
}

/* --- the parameters --------------------------------------------------------------------------------------------- */

enum {
    SERVER_NO_TAKEOVER = 1 << 0,
    CLIENT_NO_TAKEOVER = 1 << 1,
    SERVER_BITS = 1 << 2,
    CLIENT_BITS = 1 << 3,
};

/* 8 to 15, without leading zeros; 0: it is not. */
static unsigned bits_of(const char *value)
{
    if (value[0] >= '8' && value[0] <= '9' && value[1] == '\0')
        return (unsigned)(value[0] - '0');
    if (value[0] == '1' && value[1] >= '0' && value[1] <= '5' && value[2] == '\0')
        return 10 + (unsigned)(value[1] - '0');
    return 0;
}

/* Take one in; false: unknown, doubled, or its value is not as it should be. */
static bool agree_to(struct ws_deflate_terms *terms, unsigned *seen, const struct parameter *parameter, bool is_offer)
{
    unsigned bits = bits_of(parameter->value), bit;

    if (is(&parameter->name, "server_no_context_takeover") && !parameter->has_value) {
        bit = SERVER_NO_TAKEOVER;
        terms->server_no_context_takeover = true;
    } else if (is(&parameter->name, "client_no_context_takeover") && !parameter->has_value) {
        bit = CLIENT_NO_TAKEOVER;
        terms->client_no_context_takeover = true;
    } else if (is(&parameter->name, "server_max_window_bits") && bits > 0) {
        bit = SERVER_BITS;
        terms->server_max_window_bits = (uint8_t)bits;
        terms->server_max_window_bits_offered = true;
    } else if (is(&parameter->name, "client_max_window_bits") && (bits > 0 || (is_offer && !parameter->has_value))) {
        bit = CLIENT_BITS;
        terms->client_max_window_bits = (uint8_t)(bits > 0 ? bits : BITS_MOST);
        terms->client_max_window_bits_offered = true;
    } else {
        return false;
    }
    bool doubled = *seen & bit;
    *seen |= bit;
    return !doubled;
}

/* The parameters of one extension. 0: agreed, -ENOENT: they can't be agreed to, -EBADMSG. */
static int read_terms(const char **at, bool is_offer, struct ws_deflate_terms *ret_terms)
{
    struct parameter parameter;
    unsigned seen = 0;
    bool agreed = true;
    int result;

    *ret_terms = (struct ws_deflate_terms){.server_max_window_bits = BITS_MOST, .client_max_window_bits = BITS_MOST};
    while ((result = read_parameter(at, &parameter)) == 1)
        agreed = agree_to(ret_terms, &seen, &parameter, is_offer) && agreed;
    return result < 0 ? result : agreed ? 0 : -ENOENT;
}

int ws_deflate_choose(const char *offers, struct ws_deflate_terms *ret_terms)
{
    struct ws_deflate_terms chosen = {0};
    bool found = false;
    struct text name;
    int result;

    while ((result = read_extension(&offers, &name)) == 1) {
        struct ws_deflate_terms terms;
        int error = read_terms(&offers, true, &terms);
        if (error == -EBADMSG)
            return error;
        if (error == 0 && !found && is(&name, extension_name)) {
            chosen = terms;
            found = true;
        }
    }
    if (result < 0)
        return result;
    if (!found)
        return -ENOENT;
    *ret_terms = chosen;
    return 0;
}

size_t ws_deflate_answer(const struct ws_deflate_terms *terms, char ret_text[WS_TERMS_TEXT])
{
    int n = snprintf(ret_text, WS_TERMS_TEXT, "%s%s%s", extension_name,
                     terms->server_no_context_takeover ? "; server_no_context_takeover" : "",
                     terms->client_no_context_takeover ? "; client_no_context_takeover" : "");

    if (terms->server_max_window_bits < BITS_MOST || terms->server_max_window_bits_offered)
        n += snprintf(ret_text + n, WS_TERMS_TEXT - (size_t)n, "; server_max_window_bits=%u",
                      terms->server_max_window_bits);
    if (terms->client_max_window_bits < BITS_MOST && terms->client_max_window_bits_offered)
        n += snprintf(ret_text + n, WS_TERMS_TEXT - (size_t)n, "; client_max_window_bits=%u",
                      terms->client_max_window_bits);
    return (size_t)n;
}

const char *ws_deflate_offer(void)
{
    return "permessage-deflate; client_max_window_bits";
}

int ws_deflate_agree(const char *answer, struct ws_deflate_terms *ret_terms)
{
    struct ws_deflate_terms terms;
    struct text name;
    int result = answer != NULL ? read_extension(&answer, &name) : 0;

    if (result == 0)
        return -ENOENT;
    if (result < 0 || !is(&name, extension_name) || read_terms(&answer, false, &terms) < 0 ||
        read_extension(&answer, &name) != 0)
        return -EBADMSG;
    *ret_terms = terms;
    return 0;
}
