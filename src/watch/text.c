/* SPDX-License-Identifier: MIT */
#include "watch/text.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define FIRST_SIZE 4096

void text_free(struct text *text)
{
    free(text->bytes);
    *text = (struct text){.bytes = NULL};
}

void text_clear(struct text *text)
{
    text->n_bytes = 0;
    text->failed = false;
}

char *text_room(struct text *text, size_t n)
{
    if (text->failed)
        return NULL;
    if (n <= text->size_bytes - text->n_bytes)
        return text->bytes + text->n_bytes;
    size_t size = text->size_bytes ? text->size_bytes : FIRST_SIZE;
    while (size - text->n_bytes < n)
        size *= 2;
    char *bytes = realloc(text->bytes, size);
    if (!bytes) {
        text->failed = true;
        return NULL;
    }
    text->bytes = bytes;
    text->size_bytes = size;
    return bytes + text->n_bytes;
}

void text_append(struct text *text, const void *bytes, size_t n)
{
    char *to = text_room(text, n);
    if (!to || n == 0)
        return;
    memcpy(to, bytes, n);
    text->n_bytes += n;
}

void text_string(struct text *text, const char *string)
{
    text_append(text, string, strlen(string));
}

void text_spaces(struct text *text, size_t n)
{
    char *to = text_room(text, n);
    if (!to)
        return;
    memset(to, ' ', n);
    text->n_bytes += n;
}

void text_format(struct text *text, const char *format, ...)
{
    va_list arguments, again;
    va_start(arguments, format);
    va_copy(again, arguments);
    int n = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    char *to = n < 0 ? NULL : text_room(text, (size_t)n + 1);
    if (to) {
        vsnprintf(to, (size_t)n + 1, format, again);
        text->n_bytes += (size_t)n;
    }
    va_end(again);
}

int text_write(const struct text *text, int fd)
{
    size_t done = 0;
    while (done < text->n_bytes) {
        ssize_t n = write(fd, text->bytes + done, text->n_bytes - done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        done += (size_t)n;
    }
    return text->failed ? -ENOMEM : 0;
}

size_t put_number(char *to, uint64_t number)
{
    char digits[TEXT_NUMBER_MAX];
    size_t n = 0;
    do
        digits[n++] = (char)('0' + number % 10);
    while ((number /= 10) > 0);
    for (size_t i = 0; i < n; i++)
        to[i] = digits[n - 1 - i];
    return n;
}

static size_t put_ip4(char *to, const uint8_t *ip)
{
    if (ip[0] == 0 && ip[1] == 0 && ip[2] == 0 && ip[3] == 0) {
        *to = '*';
        return 1;
    }
    size_t n = 0;
    for (int i = 0; i < 4; i++) {
        if (i > 0)
            to[n++] = '.';
        n += put_number(to + n, ip[i]);
    }
    return n;
}

size_t put_ip(char *to, const struct sonde_address *address)
{
    if (address->family == AF_INET)
        return put_ip4(to, address->u.ip);
    /* The library's own way of writing it, without what follows the last bracket. */
    size_t n = sonde_address_format(address, to, SONDE_ADDRESS_TEXT);
    if (address->family != AF_INET6)
        return n;
    while (n > 0 && to[n - 1] != ']')
        n--;
    return n;
}

size_t put_address(char *to, const struct sonde_address *address)
{
    size_t n = put_ip(to, address);
    if (address->family != AF_INET && address->family != AF_INET6)
        return n;
    to[n++] = ':';
    if (address->port == 0)
        to[n++] = '*';
    else
        n += put_number(to + n, address->port);
    return n;
}
