/* SPDX-License-Identifier: MIT */
/*
 * Theory of operation: of the answer's head only two things matter, its first line and where it ends. So nothing but
 * the first line is kept. Lines end with CR and LF, both; control characters are in none. Interim answers (1xx) are
 * passed over. What comes behind the head of a 2xx is the far end speaking, whatever the head says about lengths.
 */
#include "net/http_connect.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sonde/error.h>
#include <stdio.h>
#include <string.h>

enum {
    IN_STATUS_LINE,
    IN_FIELDS,
    OVER,
    AFTER_CR = 1 << 4, /* with one of the first two */
};

/* --- the request ------------------------------------------------------------------------------------------------ */

/* RFC 4648, 4. Returns how many letters. */
static size_t base64(const char *bytes, size_t n_bytes, char *ret_text)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t n = 0;

    for (size_t i = 0; i < n_bytes; i += 3) {
        uint32_t group = 0;
        for (size_t j = 0; j < 3; j++)
            group = group << 8 | (i + j < n_bytes ? (uint8_t)bytes[i + j] : 0);
        for (size_t j = 0; j < 4; j++)
            ret_text[n++] = i + j <= n_bytes ? letters[group >> (18 - 6 * j) & 63] : '=';
    }
    return n;
}

static void put_text(struct http_connect *http, const char *text)
{
    size_t n = strlen(text);

    memcpy(http->out + http->n_out, text, n);
    http->n_out += (uint16_t)n;
}

/* HOST:PORT as a request takes it: no zone, which means nothing on another machine. */
static void format_far(const struct proxy_far *far, char *ret_text, size_t size_bytes)
{
    char host[INET6_ADDRSTRLEN];
    int family = far->address.family;

    if (family == AF_INET || family == AF_INET6) {
        inet_ntop(family, far->address.u.ip, host, sizeof host);
        snprintf(ret_text, size_bytes, family == AF_INET ? "%s:%u" : "[%s]:%u", host, far->port);
    } else {
        snprintf(ret_text, size_bytes, "%s:%u", far->name, far->port);
    }
}

void http_connect_begin(struct http_connect *http, const char *user, const char *password, const struct proxy_far *far)
{
    char host[256 + 8], pair[256 + 256], encoded[(sizeof pair + 2) / 3 * 4 + 1];

    *http = (struct http_connect){.has_user = user[0] != '\0', .state = IN_STATUS_LINE};
    format_far(far, host, sizeof host);
    put_text(http, "CONNECT ");
    put_text(http, host);
    put_text(http, " HTTP/1.1\r\nHost: ");
    put_text(http, host);
    if (http->has_user) {
        int n = snprintf(pair, sizeof pair, "%.255s:%.255s", user, password);
        encoded[base64(pair, (size_t)n, encoded)] = '\0';
        put_text(http, "\r\nProxy-Authorization: Basic ");
        put_text(http, encoded);
    }
    put_text(http, "\r\n\r\n");
}

/* --- the answer ------------------------------------------------------------------------------------------------- */

static enum proxy_step refuse(struct http_connect *http, bool is_far, const char *detail)
{
    http->refusal = (struct proxy_refusal){.error = -SONDE_EPROXY, .is_far = is_far};
    snprintf(http->refusal.detail, sizeof http->refusal.detail, "%s", detail);
    http->state = OVER;
    return PROXY_REFUSED;
}

static enum proxy_step refuse_status(struct http_connect *http)
{
    char shown[HTTP_CONNECT_LINE_KEPT + 1], detail[160];
    size_t n = http->n_line < sizeof http->line ? http->n_line : sizeof http->line;
    unsigned status = http->status;

    for (size_t i = 0; i < n; i++)
        shown[i] = (char)(http->line[i] >= 0x20 && http->line[i] < 0x7f ? http->line[i] : '?');
    shown[n] = '\0';
    if (status == 407 || status == 401) /* tinyproxy says 401 to the wrong ones */
        snprintf(detail, sizeof detail, "%s: %s",
                 http->has_user ? "it refused the user and the password" : "it wants a user and a password", shown);
    else
        snprintf(detail, sizeof detail, "it answered %s", shown);
    /* What can't be reached is a 5xx: which of them, each proxy decides for itself. */
    return refuse(http, status >= 500 && status != 501 && status != 505, detail);
}

static bool is_digit(char byte)
{
    return byte >= '0' && byte <= '9';
}

/* Can this still become "HTTP/1.1 200 OK"? */
static bool fits_status_line(const char *line, size_t n)
{
    static const char pattern[] = "HTTP/1.# ### "; /* #: a digit */

    for (size_t i = 0; i < n && i < sizeof pattern - 1; i++)
        if (pattern[i] == '#' ? !is_digit(line[i]) : line[i] != pattern[i])
            return false;
    return true;
}

static enum proxy_step line_ends(struct http_connect *http)
{
    bool first = http->state == IN_STATUS_LINE, empty = http->n_line == 0;

    if (first) {
        if (http->n_line < 12) /* the words behind the number, and the space before them, may be missing */
            return refuse(http, false, "it does not speak HTTP");
        const char *digits = http->line + 9;
        http->status = (uint16_t)((digits[0] - '0') * 100 + (digits[1] - '0') * 10 + (digits[2] - '0'));
        if (http->status < 100 || http->status == 101)
            return refuse(http, false, "it does not speak HTTP");
        if (http->status >= 300)
            return refuse_status(http);
        http->state = IN_FIELDS;
    } else if (empty && http->status >= 200) {
        return PROXY_STANDS;
    } else if (empty) {
        http->state = IN_STATUS_LINE;
    }
    http->n_line = 0;
    return PROXY_GOES_ON;
}

static enum proxy_step on_byte(struct http_connect *http, uint8_t byte)
{
    if (++http->n_head > HTTP_CONNECT_HEAD_MAX)
        return refuse(http, false, "its answer's head is longer than 16 KiB");
    if (http->state & AFTER_CR) {
        http->state &= (uint8_t)~AFTER_CR;
        return byte == '\n' ? line_ends(http) : refuse(http, false, "it does not speak HTTP");
    }
    if (byte == '\r') {
        http->state |= AFTER_CR;
        return PROXY_GOES_ON;
    }
    if ((byte < 0x20 && byte != '\t') || byte == 0x7f)
        return refuse(http, false, "it does not speak HTTP");
    if (http->n_line < sizeof http->line)
        http->line[http->n_line] = (char)byte;
    if (http->n_line < 1000)
        http->n_line++;
    if (http->state == IN_STATUS_LINE && http->n_line <= 16 && !fits_status_line(http->line, http->n_line))
        return refuse(http, false, "it does not speak HTTP");
    return PROXY_GOES_ON;
}

enum proxy_step http_connect_take(struct http_connect *http, const uint8_t *bytes, size_t n_bytes, size_t *ret_n_taken)
{
    size_t n = 0;

    http->n_out = 0;
    *ret_n_taken = n_bytes;
    while (n < n_bytes && http->state != OVER) {
        enum proxy_step step = on_byte(http, bytes[n++]);
        if (step == PROXY_STANDS) {
            http->state = OVER;
            *ret_n_taken = n;
        }
        if (step != PROXY_GOES_ON)
            return step;
    }
    return PROXY_GOES_ON;
}
