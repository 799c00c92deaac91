/* SPDX-License-Identifier: MIT */
#include "http/answer.h"

#include "http/field.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

size_t http_answer_refusal(const struct http_refusal *refusal, bool is_head, char ret_text[HTTP_ANSWER_MAX])
{
    static const char upgrade[] = "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n";
    static const char allow[] = "Allow: GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS\r\n";
    const char *more = refusal->status == 426 ? upgrade : refusal->status == 405 ? allow : "";

    return (size_t)snprintf(
        ret_text, HTTP_ANSWER_MAX,
        "HTTP/1.1 %u %s\r\nConnection: close%s\r\n%sContent-Type: text/plain; charset=utf-8\r\n"
        "X-Content-Type-Options: nosniff\r\nContent-Security-Policy: default-src 'none'; frame-ancestors 'none'\r\n"
        "Referrer-Policy: no-referrer\r\nCache-Control: no-store\r\nContent-Length: %zu\r\n\r\n%s%s",
        refusal->status, http_status_words(refusal->status), refusal->status == 426 ? ", Upgrade" : "", more,
        strlen(refusal->sentence) + 1, is_head ? "" : refusal->sentence, is_head ? "" : "\n");
}

size_t http_answer_head(unsigned status, const char *content_type, bool is_chunked, char ret_text[HTTP_ANSWER_MAX])
{
    bool has_body = http_status_has_body(status);

    return (size_t)snprintf(ret_text, HTTP_ANSWER_MAX,
                            "HTTP/1.1 %u %s\r\nConnection: close\r\n%s%s%s%sX-Content-Type-Options: nosniff\r\n"
                            "Cache-Control: no-store\r\n\r\n",
                            status, http_status_words(status), has_body ? "Content-Type: " : "",
                            has_body ? content_type : "", has_body ? "\r\n" : "",
                            has_body && is_chunked ? "Transfer-Encoding: chunked\r\n" : "");
}

bool http_content_type_valid(const char *type)
{
    size_t n = 0;

    for (; type[n] != '\0'; n++)
        if (type[n] < ' ' || type[n] >= 0x7f)
            return false;
    return n > 2 && n < HTTP_CONTENT_TYPE_MAX && type[0] != ' ' && strchr(type + 1, '/') != NULL;
}

bool http_answer_header_valid(const char *header)
{
    static const char *const ours[] = {
        "Connection", "Content-Length", "Transfer-Encoding",      "Trailer",      "Keep-Alive",    "Proxy-Connection",
        "TE",         "Upgrade",        "X-Content-Type-Options", "Content-Type", "Cache-Control", "Content-Range"};
    size_t n_name = strcspn(header, ":");

    if (header[n_name] == '\0' || !http_is_token(header, n_name))
        return false;
    for (const char *c = header + n_name; *c != '\0'; c++)
        if ((unsigned char)*c < ' ' || *c == 0x7f)
            return false;
    for (size_t i = 0; i < sizeof ours / sizeof ours[0]; i++)
        if (strlen(ours[i]) == n_name && strncasecmp(header, ours[i], n_name) == 0)
            return false;
    return true;
}

bool http_status_has_body(unsigned status)
{
    return status >= 200 && status != 204 && status != 205 && status != 304;
}

size_t http_answer_upgrade(const char *accept, const char *subprotocol, const char *extensions,
                           char ret_text[HTTP_ANSWER_MAX])
{
    return (size_t)snprintf(ret_text, HTTP_ANSWER_MAX,
                            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                            "Sec-WebSocket-Accept: %s\r\n%s%s%s%s%s%s\r\n",
                            accept, subprotocol[0] != '\0' ? "Sec-WebSocket-Protocol: " : "", subprotocol,
                            subprotocol[0] != '\0' ? "\r\n" : "",
                            extensions[0] != '\0' ? "Sec-WebSocket-Extensions: " : "", extensions,
                            extensions[0] != '\0' ? "\r\n" : "");
}
