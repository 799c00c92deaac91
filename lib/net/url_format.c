/* SPDX-License-Identifier: MIT */
/* URLs back to text. */
#include <sonde/url.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* Where the text goes; once a piece does not fit, nothing more does, so that no escape is cut in two. */
struct writer {
    char *text;
    size_t size, n;
    bool full;
};

static void put(struct writer *writer, const char *piece, size_t n)
{
    if (writer->full || n >= writer->size - writer->n) {
        writer->full = true;
        return;
    }
    memcpy(writer->text + writer->n, piece, n);
    writer->n += n;
}

/* What a URL or a terminal would take for something else is percent-encoded; so is everything outside of ASCII. */
static void put_encoded(struct writer *writer, const char *bytes, size_t n, const char *special)
{
    static const char hex[] = "0123456789ABCDEF";

    for (size_t i = 0; i < n; i++) {
        unsigned char byte = (unsigned char)bytes[i];
        if (byte > 0x20 && byte < 0x7f && strchr(special, byte) == NULL)
            put(writer, &bytes[i], 1);
        else
            put(writer, (char[]){'%', hex[byte >> 4], hex[byte & 15]}, 3);
    }
}

static void put_host(struct writer *writer, const char *host, size_t n)
{
    const char *percent = memchr(host, '%', n);
    size_t n_literal = percent != NULL ? (size_t)(percent - host) : n;

    if (memchr(host, ':', n) == NULL) {
        put_encoded(writer, host, n, "%/?#@[]");
        return;
    }
    put(writer, "[", 1);
    put_encoded(writer, host, n_literal, "/?#@[]");
    if (percent != NULL) {
        /* %25 can be read in two ways (see address.c): a zone that begins so says it again. */
        bool again = n - n_literal > 3 && memcmp(percent, "%25", 3) == 0;
        put(writer, again ? "%25" : "%", again ? 3 : 1);
        put_encoded(writer, percent + 1, n - n_literal - 1, "%/?#@[]");
    }
    put(writer, "]", 1);
}

static void put_port(struct writer *writer, unsigned port)
{
    char digits[5];
    size_t n = sizeof digits;

    do
        digits[--n] = (char)('0' + port % 10);
    while ((port /= 10) > 0);
    put(writer, ":", 1);
    put(writer, digits + n, sizeof digits - n);
}

static void put_unix(struct writer *writer, const struct sonde_url *url)
{
    size_t n = url->path_bytes < sizeof url->path ? url->path_bytes : sizeof url->path;
    const char *special = url->layers & SONDE_LAYER_WS ? "%?#:" : "%?#";

    if (n > 0 && url->path[0] == '\0') {
        put(writer, "@", 1);
        put_encoded(writer, url->path + 1, n - 1, special);
        return;
    }
    if (n > 1 && memcmp(url->path, "//", 2) == 0)
        put(writer, "//", 2);
    if (n > 0)
        put_encoded(writer, url->path, 1, "%?#@");
    if (n > 1)
        put_encoded(writer, url->path + 1, n - 1, special);
}

static const char *const scheme_names[] = {
    [SONDE_SCHEME_TCP] = "tcp",     [SONDE_SCHEME_UNIX] = "unix",         [SONDE_SCHEME_FD] = "fd",
    [SONDE_SCHEME_UDP] = "udp",     [SONDE_SCHEME_UNIXGRAM] = "unixgram", [SONDE_SCHEME_SEQPACKET] = "seqpacket",
    [SONDE_SCHEME_VSOCK] = "vsock", [SONDE_SCHEME_SCTP] = "sctp",
};

/* "tcp", "wss", "tls+unix" */
static void put_scheme(struct writer *writer, const struct sonde_url *url)
{
    const char *name = scheme_names[url->scheme];
    const char *top = url->layers & SONDE_LAYER_ANY  ? "any"
                      : url->layers & SONDE_LAYER_WS ? (url->layers & SONDE_LAYER_TLS ? "wss" : "ws")
                                                     : "tls";

    if (url->layers != 0)
        put(writer, top, strlen(top));
    if (url->layers != 0 && url->scheme != SONDE_SCHEME_TCP)
        put(writer, "+", 1);
    if (url->layers == 0 || url->scheme != SONDE_SCHEME_TCP)
        put(writer, name, strlen(name));
    put(writer, ":", 1);
}

static void put_vsock(struct writer *writer, const struct sonde_url *url)
{
    char port[16];

    put_encoded(writer, url->host, strnlen(url->host, sizeof url->host), "%/?#@[]:");
    snprintf(port, sizeof port, ":%u", url->vsock_port == UINT32_MAX ? 0 : (unsigned)url->vsock_port);
    put(writer, port, strlen(port));
}

static void put_place(struct writer *writer, const struct sonde_url *url)
{
    size_t n_host = strnlen(url->host, sizeof url->host);

    switch (url->scheme) {
    case SONDE_SCHEME_UNIX:
    case SONDE_SCHEME_UNIXGRAM:
    case SONDE_SCHEME_SEQPACKET:
        put_unix(writer, url);
        return;
    case SONDE_SCHEME_FD:
        put(writer, "//", 2);
        put_encoded(writer, url->host, n_host, "%/?#@[]");
        return;
    case SONDE_SCHEME_VSOCK:
        put(writer, "//", 2);
        put_vsock(writer, url);
        return;
    case SONDE_SCHEME_TCP:
    case SONDE_SCHEME_UDP:
    case SONDE_SCHEME_SCTP:
        put(writer, "//", 2);
        put_host(writer, url->host, n_host);
        put_port(writer, url->port);
        return;
    }
}

size_t sonde_url_format(const struct sonde_url *url, char *ret_text, size_t size_bytes)
{
    struct writer writer = {.text = ret_text, .size = size_bytes};

    if (size_bytes == 0)
        return 0;
    if (url->scheme < SONDE_SCHEME_TCP || url->scheme > SONDE_SCHEME_SCTP) {
        put(&writer, "?", 1);
    } else {
        bool is_unix = url->path_bytes > 0 && url->scheme != SONDE_SCHEME_TCP;
        put_scheme(&writer, url);
        put_place(&writer, url);
        if (url->target[0] != '\0' && is_unix)
            put(&writer, ":", 1);
        put_encoded(&writer, url->target, strnlen(url->target, sizeof url->target), "#");
    }
    ret_text[writer.n] = '\0';
    return writer.n;
}
