/* SPDX-License-Identifier: MIT */
#include "http/field.h"

#include <string.h>
#include <strings.h>

bool http_is_token_byte(uint8_t byte)
{
    if ((byte >= '0' && byte <= '9') || (byte >= 'A' && byte <= 'Z') || (byte >= 'a' && byte <= 'z'))
        return true;
    return byte != '\0' && strchr("!#$%&'*+-.^_`|~", byte) != NULL;
}

bool http_is_token(const char *text, size_t n_bytes)
{
    for (size_t i = 0; i < n_bytes; i++)
        if (!http_is_token_byte((uint8_t)text[i]))
            return false;
    return n_bytes > 0;
}

SONDE_API const char *sonde_http_header(const struct sonde_http_request *request, const char *name)
{
    for (unsigned i = 0; i < request->n_headers; i++)
        if (strcasecmp(request->headers[i].name, name) == 0)
            return request->headers[i].value;
    return NULL;
}

unsigned http_header_count(const struct sonde_http_request *request, const char *name)
{
    unsigned n = 0;

    for (unsigned i = 0; i < request->n_headers; i++)
        n += strcasecmp(request->headers[i].name, name) == 0;
    return n;
}

static bool is_space(char byte)
{
    return byte == ' ' || byte == '\t';
}

bool http_list_next(const char **text, const char **ret_element, size_t *ret_n_bytes)
{
    const char *at = *text;
    size_t n;

    while (is_space(*at) || *at == ',')
        at++;
    n = strcspn(at, ",");
    *text = at + n;
    if (n == 0)
        return false;
    while (is_space(at[n - 1]))
        n--;
    *ret_element = at;
    *ret_n_bytes = n;
    return true;
}

bool http_header_has(const struct sonde_http_request *request, const char *name, const char *token)
{
    for (unsigned i = 0; i < request->n_headers; i++) {
        const char *list = request->headers[i].value, *element;
        size_t n;
        if (strcasecmp(request->headers[i].name, name) != 0)
            continue;
        while (http_list_next(&list, &element, &n))
            if (n == strlen(token) && strncasecmp(element, token, n) == 0)
                return true;
    }
    return false;
}

const char *http_status_words(unsigned status)
{
    static const struct {
        unsigned status;
        const char *words;
    } table[] = {
        {100, "Continue"},
        {101, "Switching Protocols"},
        {200, "OK"},
        {201, "Created"},
        {202, "Accepted"},
        {204, "No Content"},
        {301, "Moved Permanently"},
        {302, "Found"},
        {303, "See Other"},
        {304, "Not Modified"},
        {307, "Temporary Redirect"},
        {308, "Permanent Redirect"},
        {400, "Bad Request"},
        {401, "Unauthorized"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {406, "Not Acceptable"},
        {408, "Request Timeout"},
        {411, "Length Required"},
        {413, "Content Too Large"},
        {414, "URI Too Long"},
        {415, "Unsupported Media Type"},
        {417, "Expectation Failed"},
        {421, "Misdirected Request"},
        {426, "Upgrade Required"},
        {429, "Too Many Requests"},
        {431, "Request Header Fields Too Large"},
        {500, "Internal Server Error"},
        {501, "Not Implemented"},
        {502, "Bad Gateway"},
        {503, "Service Unavailable"},
        {504, "Gateway Timeout"},
        {505, "HTTP Version Not Supported"},
    };

    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (table[i].status == status)
            return table[i].words;
    return "";
}
