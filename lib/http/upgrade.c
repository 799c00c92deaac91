/* SPDX-License-Identifier: MIT */
#include "http/upgrade.h"

#include "http/field.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

/* --- server ----------------------------------------------------------------------------------------------------- */

static const struct http_refusal not_get = {400, "WebSocket begins with GET."};
static const struct http_refusal too_old = {400, "WebSocket begins with HTTP/1.1."};
static const struct http_refusal no_key = {400, "WebSocket begins with exactly one Sec-WebSocket-Key."};
static const struct http_refusal has_body = {400, "A request for WebSocket has no body."};
static const struct http_refusal no_version = {426, "Only version 13 of WebSocket is spoken here."};

bool http_wants_upgrade(const struct sonde_http_request *request)
{
    return http_header_has(request, "Upgrade", "websocket") && http_header_has(request, "Connection", "upgrade");
}

const struct http_refusal *http_upgrade_check(const struct sonde_http_request *request)
{
    const char *version = sonde_http_header(request, "Sec-WebSocket-Version");
    const char *length = sonde_http_header(request, "Content-Length");

    if (strcmp(request->method, "GET") != 0)
        return &not_get;
    if (request->version < 11)
        return &too_old;
    if (version == NULL || strcmp(version, "13") != 0 || http_header_count(request, "Sec-WebSocket-Version") > 1)
        return &no_version;
    if (http_header_count(request, "Sec-WebSocket-Key") != 1)
        return &no_key;
    if (sonde_http_header(request, "Transfer-Encoding") != NULL ||
        (length != NULL && strspn(length, "0") != strlen(length)))
        return &has_body;
    return NULL;
}

/* Is it among them? The elements are compared as they are (RFC 6455, 11.3.4). */
static bool list_has(const char *list, const char *element, size_t n_bytes)
{
    const char *other;
    size_t n;

    while (list != NULL && http_list_next(&list, &other, &n))
        if (n == n_bytes && memcmp(other, element, n) == 0)
            return true;
    return false;
}

static bool offers(const struct sonde_http_request *request, const char *element, size_t n_bytes)
{
    for (unsigned i = 0; i < request->n_headers; i++)
        if (strcasecmp(request->headers[i].name, "Sec-WebSocket-Protocol") == 0 &&
            list_has(request->headers[i].value, element, n_bytes))
            return true;
    return false;
}

void http_choose_subprotocol(const char *ours, const struct sonde_http_request *request,
                             char ret_text[HTTP_SUBPROTOCOL_TEXT])
{
    const char *element;
    size_t n;

    ret_text[0] = '\0';
    while (ours != NULL && http_list_next(&ours, &element, &n)) {
        if (n >= HTTP_SUBPROTOCOL_TEXT || !http_is_token(element, n) || !offers(request, element, n))
            continue;
        memcpy(ret_text, element, n);
        ret_text[n] = '\0';
        return;
    }
}

/* --- text ------------------------------------------------------------------------------------------------------- */

struct text {
    char *at;
    size_t size, n; /* n may pass size: then it was cut */
};

__attribute__((format(printf, 2, 3))) static void put(struct text *text, const char *format, ...)
{
    va_list arguments;
    bool fits = text->n < text->size;
    int n;

    va_start(arguments, format);
    n = vsnprintf(fits ? text->at + text->n : NULL, fits ? text->size - text->n : 0, format, arguments);
    va_end(arguments);
    text->n += n > 0 ? (size_t)n : 0;
}

size_t http_header_join(const struct sonde_http_request *request, const char *name, char *ret_text, size_t size_bytes)
{
    struct text text = {ret_text, size_bytes, 0};

    if (size_bytes > 0)
        ret_text[0] = '\0';
    for (unsigned i = 0; i < request->n_headers; i++)
        if (strcasecmp(request->headers[i].name, name) == 0)
            put(&text, "%s%s", text.n > 0 ? ", " : "", request->headers[i].value);
    return text.n;
}

void http_shown(const char *from, char *ret_text, size_t size_bytes)
{
    size_t n = 0;

    for (; from[n] != '\0' && n + 1 < size_bytes; n++)
        ret_text[n] = (char)(from[n] >= 0x20 && from[n] < 0x7f ? from[n] : '?');
    ret_text[n] = '\0';
    if (from[n] != '\0' && size_bytes > 4)
        memcpy(ret_text + n - 3, "...", 3);
}

/* --- client ----------------------------------------------------------------------------------------------------- */

static bool is_visible(const char *text)
{
    for (; *text != '\0'; text++)
        if (*text <= ' ' || *text >= 0x7f)
            return false;
    return true;
}

static bool is_value(const char *text)
{
    for (; *text != '\0'; text++)
        if (((uint8_t)*text < ' ' && *text != '\t') || *text == 0x7f)
            return false;
    return true;
}

/* Names that the handshake says itself. */
static bool is_taken(const char *header, size_t n_name, const struct sonde_ws_client *client)
{
    static const char *const names[] = {"Host", "Upgrade", "Connection", "Content-Length", "Transfer-Encoding"};
    static const char prefix[] = "Sec-WebSocket-";

    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (n_name == strlen(names[i]) && strncasecmp(header, names[i], n_name) == 0)
            return true;
    if (client->origin != NULL && n_name == 6 && strncasecmp(header, "Origin", 6) == 0)
        return true;
    return n_name >= sizeof prefix - 1 && strncasecmp(header, prefix, sizeof prefix - 1) == 0;
}

static bool is_header(const char *header, const struct sonde_ws_client *client)
{
    size_t n_name = strcspn(header, ":");

    return header[n_name] == ':' && http_is_token(header, n_name) && !is_taken(header, n_name, client) &&
           is_value(header + n_name);
}

static bool are_subprotocols(const char *list)
{
    const char *element;
    size_t n;
    unsigned n_elements = 0;

    for (; http_list_next(&list, &element, &n); n_elements++)
        if (!http_is_token(element, n) || n >= HTTP_SUBPROTOCOL_TEXT)
            return false;
    return n_elements > 0;
}

int http_upgrade_valid(const struct http_upgrade *upgrade)
{
    const struct sonde_ws_client *client = upgrade->client;

    if (!is_visible(upgrade->host) || upgrade->host[0] == '\0' || !is_visible(upgrade->target) ||
        (upgrade->target[0] != '/' && upgrade->target[0] != '\0' && upgrade->target[0] != '?'))
        return -EINVAL;
    if (client->origin != NULL && (!is_visible(client->origin) || client->origin[0] == '\0'))
        return -EINVAL;
    if (client->subprotocols != NULL && !are_subprotocols(client->subprotocols))
        return -EINVAL;
    for (const char *const *header = client->headers; header != NULL && *header != NULL; header++)
        if (!is_header(*header, client))
            return -EINVAL;
    return 0;
}

size_t http_upgrade_format(const struct http_upgrade *upgrade, char *ret_text, size_t size_bytes)
{
    const struct sonde_ws_client *client = upgrade->client;
    struct text text = {ret_text, size_bytes, 0};
    bool is_ipv6 = strchr(upgrade->host, ':') != NULL;

    put(&text, "GET %s%s HTTP/1.1\r\nHost: %s%s%s", upgrade->target[0] != '/' ? "/" : "", upgrade->target,
        is_ipv6 ? "[" : "", upgrade->host, is_ipv6 ? "]" : "");
    if (upgrade->port != 0)
        put(&text, ":%u", upgrade->port);
    put(&text,
        "\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: %s\r\nSec-WebSocket-Version: 13\r\n",
        upgrade->key);
    if (client->origin != NULL)
        put(&text, "Origin: %s\r\n", client->origin);
    if (client->subprotocols != NULL)
        put(&text, "Sec-WebSocket-Protocol: %s\r\n", client->subprotocols);
    if (upgrade->extensions != NULL)
        put(&text, "Sec-WebSocket-Extensions: %s\r\n", upgrade->extensions);
    for (const char *const *header = client->headers; header != NULL && *header != NULL; header++)
        put(&text, "%s\r\n", *header);
    put(&text, "\r\n");
    return text.n;
}

/* An answer that is no 101. */
static int other_status(const struct http_head *head, char *ret_why, size_t why_bytes)
{
    const struct sonde_http_request *answer = http_head_request(head);
    const char *where = sonde_http_header(answer, "Location");
    unsigned status = http_head_status(head);
    char words[64], place[96];

    http_shown(answer->target[0] != '\0' ? answer->target : http_status_words(status), words, sizeof words);
    if (where != NULL && status >= 300 && status < 400) {
        http_shown(where, place, sizeof place);
        snprintf(ret_why, why_bytes, "the server answered %u %s, and sends us to %s", status, words, place);
    } else {
        snprintf(ret_why, why_bytes, "the server answered %u%s%s", status, words[0] != '\0' ? " " : "", words);
    }
    return -SONDE_EHTTP;
}

static int wrong(char *ret_why, size_t why_bytes, const char *why)
{
    snprintf(ret_why, why_bytes, "%s", why);
    return -SONDE_EHTTP;
}

int http_upgrade_answered(const struct http_head *head, const struct http_upgrade *upgrade, const char *accept,
                          char ret_subprotocol[HTTP_SUBPROTOCOL_TEXT], char *ret_why, size_t why_bytes)
{
    const struct sonde_http_request *answer = http_head_request(head);
    const char *theirs = sonde_http_header(answer, "Sec-WebSocket-Accept");
    const char *subprotocol = sonde_http_header(answer, "Sec-WebSocket-Protocol");

    if (http_head_status(head) != 101)
        return other_status(head, ret_why, why_bytes);
    if (!http_wants_upgrade(answer))
        return wrong(ret_why, why_bytes, "the server answered 101, but not for WebSocket");
    if (theirs == NULL || strcmp(theirs, accept) != 0 || http_header_count(answer, "Sec-WebSocket-Accept") != 1)
        return wrong(ret_why, why_bytes, "the server's Sec-WebSocket-Accept does not fit our key");
    if (subprotocol != NULL &&
        (http_header_count(answer, "Sec-WebSocket-Protocol") != 1 || strlen(subprotocol) >= HTTP_SUBPROTOCOL_TEXT ||
         !list_has(upgrade->client->subprotocols, subprotocol, strlen(subprotocol))))
        return wrong(ret_why, why_bytes, "the server chose a subprotocol that was not offered");
    snprintf(ret_subprotocol, HTTP_SUBPROTOCOL_TEXT, "%s", subprotocol != NULL ? subprotocol : "");
    return 0;
}
