/* SPDX-License-Identifier: MIT */
#include "cli/connect/parts.h"

#include "cli/option.h"

#include <ctype.h>
#include <errno.h>
#include <sonde/error.h>
#include <stdio.h>
#include <string.h>

size_t crlf_convert(struct crlf *crlf, const void *data, size_t n_bytes, void *ret_text)
{
    const char *from = data;
    char *to = ret_text;

    for (size_t i = 0; i < n_bytes; i++) {
        if (from[i] == '\n' && !crlf->after_cr)
            *to++ = '\r';
        *to++ = from[i];
        crlf->after_cr = from[i] == '\r';
    }
    return (size_t)(to - (char *)ret_text);
}

size_t line_length(const void *data, size_t n_bytes, bool *ret_whole)
{
    const char *newline = memchr(data, '\n', n_bytes);

    *ret_whole = newline != NULL;
    return newline == NULL ? n_bytes : (size_t)(newline - (const char *)data) + 1;
}

static const char *port_parse(const char *text, uint16_t *ret_port)
{
    unsigned port = 0;

    if (!isdigit((unsigned char)*text))
        return NULL;
    for (; isdigit((unsigned char)*text); text++) {
        port = port * 10 + (unsigned)(*text - '0');
        if (port > UINT16_MAX)
            return NULL;
    }
    if (port == 0)
        return NULL;
    *ret_port = (uint16_t)port;
    return text;
}

bool port_range_parse(const char *text, struct port_range *ret_range)
{
    struct port_range range;

    if ((text = port_parse(text, &range.first)) == NULL)
        return false;
    range.last = range.first;
    if (*text == '-' && (text = port_parse(text + 1, &range.last)) == NULL)
        return false;
    if (*text != '\0')
        return false;
    if (range.first > range.last) {
        uint16_t swap = range.first;
        range.first = range.last;
        range.last = swap;
    }
    *ret_range = range;
    return true;
}

bool eof_rule_parse(const char *text, struct eof_rule *ret_rule)
{
    struct eof_rule rule = {EOF_WAIT, 0};
    bool is_after = text != NULL && strncmp(text, "after:", 6) == 0;
    long long patience_ns;

    if (text == NULL || strcmp(text, "wait") == 0) {
        rule.action = EOF_WAIT;
    } else if (strcmp(text, "close") == 0) {
        rule.action = EOF_CLOSE;
    } else if (strcmp(text, "ignore") == 0) {
        rule.action = EOF_IGNORE;
    } else if (!option_parse_duration(is_after ? text + 6 : text, &patience_ns) || (is_after && patience_ns < 0)) {
        return false;
    } else if (patience_ns >= 0) {
        /* No patience at all: what was sent still has to arrive. */
        rule.action = patience_ns == 0 ? EOF_CLOSE : EOF_AFTER;
        rule.patience_ns = patience_ns;
    }
    *ret_rule = rule;
    return true;
}

int64_t retry_delay_ns(unsigned long long n_failed)
{
    const int64_t first_ns = 100 * NS_PER_MS, longest_ns = 2 * NS_PER_SECOND;

    if (n_failed > 5)
        return longest_ns;
    int64_t delay_ns = first_ns << (n_failed > 0 ? n_failed - 1 : 0);
    return delay_ns < longest_ns ? delay_ns : longest_ns;
}

bool retry_may_help(int error)
{
    switch (-error) {
    case ECONNREFUSED:
    case ECONNRESET:
    case ECONNABORTED:
    case ETIMEDOUT:
    case ENETUNREACH:
    case EHOSTUNREACH:
    case ENETDOWN:
    case EHOSTDOWN:
    case ENOENT: /* a UNIX socket that is not made yet */
    case EAGAIN: /* a UNIX listener whose accept queue is full */
    case SONDE_ENAMELATER:
        return true;
    default:
        return false;
    }
}

bool half_close_is_last(int argc, char *const *argv, const char *eof)
{
    bool is_last = false;

    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
        const char *end = argv[i] + strlen(argv[i]);
        if ((uintptr_t)eof >= (uintptr_t)argv[i] && (uintptr_t)eof <= (uintptr_t)end)
            is_last = false;
        else if (argv[i][0] == '-' && argv[i][1] != '-' && argv[i][1 + strspn(argv[i] + 1, "46Cklnuvz")] == 'N')
            is_last = true;
    }
    return is_last;
}

bool bind_text(const char *address, const char *port, char *ret_text, size_t size_bytes)
{
    /* An IPv6 address that stands alone needs no brackets from the user, but from the URL's parser. */
    const char *colon = address != NULL ? strchr(address, ':') : NULL;
    bool bare_ipv6 = colon != NULL && address[0] != '[' && strchr(colon + 1, ':') != NULL;
    int length = snprintf(ret_text, size_bytes, "%s%s%s%s%s", bare_ipv6 ? "[" : "", address != NULL ? address : "",
                          bare_ipv6 ? "]" : "", port != NULL ? ":" : "", port != NULL ? port : "");

    return length >= 0 && (size_t)length < size_bytes;
}

bool bind_url(const char *bind, char *ret_text, size_t size_bytes)
{
    int length = snprintf(ret_text, size_bytes, "tcp://127.0.0.1:1?bind=");
    size_t n_bytes = (size_t)length;

    if (length < 0 || n_bytes >= size_bytes)
        return false;
    for (; *bind != '\0'; bind++) {
        bool plain = isalnum((unsigned char)*bind) || strchr(".:-_", *bind) != NULL;
        length = snprintf(ret_text + n_bytes, size_bytes - n_bytes, plain ? "%c" : "%%%02X", (unsigned char)*bind);
        if (length < 0 || (size_t)length >= size_bytes - n_bytes)
            return false;
        n_bytes += (size_t)length;
    }
    return true;
}
