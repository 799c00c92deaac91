/* SPDX-License-Identifier: MIT */
/*
 * Theory of operation: a text is cut from left to right, scheme, then what the scheme puts behind it, then options
 * behind the question mark. Each cutter works on a span of the text and fills in a URL that the caller sees only when
 * everything was right; the first that cannot go on refuses, with one sentence about what would be right. No span is
 * longer than the text and every loop runs over a span, so that any text ends within a time proportional to it.
 */
#include "base/parse.h"
#include "net/address.h"
#include "net/sockopt.h"

#include <errno.h>
#include <limits.h>
#include <sonde/url.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

struct span {
    const char *at;
    size_t n;
};

struct parser {
    struct span text; /* the whole, for messages */
    struct sonde_url url;
    struct sonde_why *why;
};

/* Every scheme that has a place here, built or not: so that a typing error is told from a thing to come. */
static const struct {
    const char *name;
    enum sonde_scheme scheme; /* 0: not built yet */
    const char *hint;
} schemes[] = {
    {"tcp", SONDE_SCHEME_TCP, NULL},
    {"unix", SONDE_SCHEME_UNIX, NULL},
    {"udp", 0, "udp:// is coming; tcp:// and unix: are there"},
    {"tls", 0, "tls:// is coming; tcp:// and unix: are there"},
    {"ws", 0, "ws:// is coming; tcp:// and unix: are there"},
    {"wss", 0, "wss:// is coming; tcp:// and unix: are there"},
    {"http", 0, "http:// is coming; tcp://HOST:80 lets you speak it by hand"},
    {"https", 0, "https:// is coming; tcp:// and unix: are there"},
    {"seqpacket", 0, "seqpacket: is coming; unix: and tcp:// are there"},
    {"unixgram", 0, "unixgram: is coming; unix: and tcp:// are there"},
    {"vsock", 0, "vsock:// is coming; tcp:// and unix: are there"},
    {"fd", SONDE_SCHEME_FD, NULL},
    {"any", 0, "any: is coming; tcp:// and unix: are there"},
};
#define N_SCHEMES (sizeof schemes / sizeof *schemes)

static int refuse_span(struct parser *parser, int code, struct span subject, const char *hint)
{
    return parse_refuse(parser->why, -code, subject.at, subject.n, hint);
}

static int refuse(struct parser *parser, const char *hint)
{
    return refuse_span(parser, SONDE_EURL, parser->text, hint);
}

static struct span skip(struct span span, size_t n)
{
    return (struct span){span.at + n, span.n - n};
}

/* Cut the span before the first such byte; what stands behind it goes into ret_rest. Returns whether there is one. */
static bool cut(struct span *span, char byte, struct span *ret_rest)
{
    const char *at = memchr(span->at, byte, span->n);

    if (at == NULL)
        return false;
    *ret_rest = skip(*span, (size_t)(at - span->at) + 1);
    span->n = (size_t)(at - span->at);
    return true;
}

/* Take a text in, no further than it may reach. */
static int begin(struct parser *parser, const char *text)
{
    parser->text = (struct span){text, strnlen(text, SONDE_URL_MAX + 1)};
    if (parser->text.n > SONDE_URL_MAX)
        return refuse(parser, "an address has at most 1024 bytes");
    for (size_t i = 0; i < parser->text.n; i++)
        if ((unsigned char)text[i] <= 0x20 || text[i] == 0x7f)
            return refuse(parser, "an address has no spaces or control characters; in a UNIX path a space is %20");
    return 0;
}

static int parse_options(struct parser *parser, struct span options)
{
    struct span rest = options;

    for (bool more = options.n > 0; more;) {
        struct span option = rest;
        more = cut(&option, '&', &rest);
        int error = sockopt_parse(&parser->url, option.at, option.n, parser->why);
        if (error < 0)
            return error;
    }
    return 0;
}

/* --- TCP -------------------------------------------------------------------------------------------------------- */

static int check_link_local(struct parser *parser, const struct address_parts *parts, struct span subject)
{
    /* The kernel wants to know the interface, and says no more than EINVAL when it does not. */
    if (parts->needs_zone && !sockopt_is_set(&parser->url, SONDE_OPT_DEVICE) &&
        !sockopt_is_set(&parser->url, SONDE_OPT_BIND))
        return refuse_span(parser, SONDE_EURL, subject,
                           "a link-local address needs its interface, as in [fe80::1%eth0]:7007");
    return 0;
}

/* [HOST][:PORT][?OPTIONS] */
static int parse_tcp(struct parser *parser, struct span span)
{
    struct span options = {span.at, 0};
    struct address_parts parts;
    const char *hint = NULL;

    parser->url.scheme = SONDE_SCHEME_TCP;
    cut(&span, '?', &options);
    if (memchr(span.at, '/', span.n) != NULL)
        return refuse(parser,
                      "a TCP address ends with the port and its options; a UNIX path is written unix:/run/x.sock");
    if (memchr(parser->text.at, '#', parser->text.n) != NULL)
        return refuse(parser, "a socket has no #fragment");
    if (memchr(span.at, '@', span.n) != NULL)
        return refuse(parser, "a socket has no user name; an abstract UNIX name is written unix:@name");
    if (address_split(span.at, span.n, &parts, &hint) < 0)
        return refuse(parser, hint);
    memcpy(parser->url.host, parts.host, sizeof parser->url.host);
    parser->url.port = parts.has_port ? parts.port : SONDE_DEFAULT_PORT;
    int error = parse_options(parser, options);
    return error < 0 ? error : check_link_local(parser, &parts, parser->text);
}

/* Without a scheme: a number alone is a port. */
static int parse_plain(struct parser *parser, struct span span)
{
    struct span number = span, options = {span.at, 0};
    uint64_t ignored;

    cut(&number, '?', &options);
    if (number.n == 0)
        return refuse(parser, "there is no address; the shortest is a port, as in :7007");
    if (parse_number(number.at, number.n, false, UINT64_MAX, &ignored) == -EINVAL)
        return parse_tcp(parser, span);

    const char *hint = NULL;
    parser->url.scheme = SONDE_SCHEME_TCP;
    if (address_split_port(number.at, number.n, &parser->url.port, &hint) < 0)
        return refuse(parser, hint);
    return parse_options(parser, options);
}

/* --- UNIX ------------------------------------------------------------------------------------------------------- */

/* ///run/x.sock, /run/x.sock, rel.sock, @name; then [?OPTIONS] */
static int parse_unix(struct parser *parser, struct span span)
{
    struct span options = {span.at, 0};
    struct sonde_url *url = &parser->url;
    size_t n = 0;

    url->scheme = SONDE_SCHEME_UNIX;
    cut(&span, '?', &options);
    if (memchr(parser->text.at, '#', parser->text.n) != NULL)
        return refuse(parser, "a socket has no #fragment; in a path the sign is %23");
    if (span.n >= 2 && memcmp(span.at, "//", 2) == 0) {
        span = skip(span, 2);
        if (span.n == 0 || span.at[0] != '/')
            return refuse(parser, "behind unix:// stands a whole path, as in unix:///run/x.sock; "
                                  "others are unix:x.sock and unix:@name");
    }
    /* Only the sign itself makes a name abstract: the path of a file that begins with one is written %40. */
    bool abstract = span.n > 0 && span.at[0] == '@';
    if (abstract)
        span = skip(span, 1);
    /* 107 bytes and a NUL, which stands before an abstract name and behind a path (unix(7)). */
    int error = parse_percent(span.at, span.n, url->path + (abstract ? 1 : 0), sizeof url->path - 1, &n);
    if (error == -ERANGE)
        return refuse(parser, "the path or name of a UNIX socket has at most 107 bytes");
    if (error < 0)
        return refuse(parser, "behind a percent sign stand two hexadecimal digits; the sign itself is %25");
    if (n == 0)
        return refuse(parser, "behind unix: stands a path or @name");
    if (!abstract && memchr(url->path, '\0', n) != NULL)
        return refuse(parser, "a path has no NUL byte in it; an abstract name is written unix:@name");
    url->path_bytes = (uint16_t)(n + (abstract ? 1 : 0));
    return parse_options(parser, options);
}

/* --- a descriptor ----------------------------------------------------------------------------------------------- */

/* //3 or 3; then [?OPTIONS] */
static int parse_fd(struct parser *parser, struct span span)
{
    static const char hint[] = "behind fd:// stands the number of a descriptor, as in fd://3";
    struct span options = {span.at, 0};
    uint64_t fd;

    parser->url.scheme = SONDE_SCHEME_FD;
    cut(&span, '?', &options);
    if (span.n >= 2 && memcmp(span.at, "//", 2) == 0)
        span = skip(span, 2);
    if (parse_number(span.at, span.n, false, INT_MAX, &fd) < 0)
        return refuse(parser, hint);
    snprintf(parser->url.host, sizeof parser->url.host, "%u", (unsigned)fd);
    return parse_options(parser, options);
}

/* --- the whole -------------------------------------------------------------------------------------------------- */

/* The letters before the first colon, if they can be a scheme (RFC 3986, 3.1). */
static size_t scheme_length(struct span span)
{
    size_t n = 0;

    while (n < span.n) {
        char byte = span.at[n], letter = (char)(byte | 0x20);
        bool further = (byte >= '0' && byte <= '9') || byte == '+' || byte == '-' || byte == '.';
        if ((letter < 'a' || letter > 'z') && (n == 0 || !further))
            break;
        n++;
    }
    return n < span.n && span.at[n] == ':' ? n : 0;
}

static int parse_scheme(struct parser *parser)
{
    struct span text = parser->text;
    size_t n = scheme_length(text), i = 0;

    while (i < N_SCHEMES && (n == 0 || strlen(schemes[i].name) != n || strncasecmp(schemes[i].name, text.at, n) != 0))
        i++;
    struct span rest = n > 0 ? skip(text, n + 1) : text;
    bool slashes = rest.n >= 2 && memcmp(rest.at, "//", 2) == 0;

    if (text.n == 1 && text.at[0] == '-')
        return refuse_span(parser, SONDE_ESCHEME, text,
                           "- (standard input and output) is coming; tcp:// and unix: are there");
    if (i < N_SCHEMES && schemes[i].scheme == 0)
        return refuse_span(parser, SONDE_ESCHEME, text, schemes[i].hint);
    if (i < N_SCHEMES && schemes[i].scheme == SONDE_SCHEME_UNIX)
        return parse_unix(parser, rest);
    if (i < N_SCHEMES && schemes[i].scheme == SONDE_SCHEME_FD)
        return parse_fd(parser, rest);
    if (i < N_SCHEMES && !slashes)
        return refuse(parser, "two slashes follow tcp:, as in tcp://localhost:7007");
    if (i < N_SCHEMES)
        return parse_tcp(parser, skip(rest, 2));
    if (n > 0 && slashes)
        return refuse(parser, "the kinds of address are tcp://, unix: and fd://; host:port alone is TCP");
    return parse_plain(parser, text);
}

int sonde_url_parse(const char *text, struct sonde_url *ret_url, struct sonde_why *ret_why)
{
    struct parser parser = {.why = ret_why};
    int error = begin(&parser, text != NULL ? text : "");

    if (error == 0)
        error = parse_scheme(&parser);
    if (error == 0)
        *ret_url = parser.url;
    return error;
}

int sonde_url_from_host_port(const char *host, const char *port, struct sonde_url *ret_url, struct sonde_why *ret_why)
{
    struct parser parser = {.why = ret_why};
    struct address_parts parts;
    const char *hint = NULL;
    int error = begin(&parser, host != NULL ? host : "");

    if (error < 0)
        return error;
    parser.url.scheme = SONDE_SCHEME_TCP;
    parser.url.port = SONDE_DEFAULT_PORT;
    struct span host_text = parser.text;
    if (address_split_host(host_text.at, host_text.n, &parts, &hint) < 0)
        return refuse(&parser, hint);
    memcpy(parser.url.host, parts.host, sizeof parser.url.host);

    if (port != NULL) {
        error = begin(&parser, port);
        if (error < 0)
            return error;
        struct span number = parser.text, options = {port, 0};
        cut(&number, '?', &options);
        if (address_split_port(number.at, number.n, &parser.url.port, &hint) < 0)
            return refuse(&parser, number.n == 0 ? "there is no port" : hint);
        error = parse_options(&parser, options);
        if (error < 0)
            return error;
    }
    error = check_link_local(&parser, &parts, host_text);
    if (error == 0)
        *ret_url = parser.url;
    return error;
}

/* --- back to text ----------------------------------------------------------------------------------------------- */

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

    put(writer, "unix:", 5);
    if (n > 0 && url->path[0] == '\0') {
        put(writer, "@", 1);
        put_encoded(writer, url->path + 1, n - 1, "%?#");
        return;
    }
    if (n > 1 && memcmp(url->path, "//", 2) == 0)
        put(writer, "//", 2);
    if (n > 0)
        put_encoded(writer, url->path, 1, "%?#@");
    if (n > 1)
        put_encoded(writer, url->path + 1, n - 1, "%?#");
}

size_t sonde_url_format(const struct sonde_url *url, char *ret_text, size_t size_bytes)
{
    struct writer writer = {.text = ret_text, .size = size_bytes};

    if (size_bytes == 0)
        return 0;
    if (url->scheme == SONDE_SCHEME_TCP) {
        put(&writer, "tcp://", 6);
        put_host(&writer, url->host, strnlen(url->host, sizeof url->host));
        put_port(&writer, url->port);
    } else if (url->scheme == SONDE_SCHEME_UNIX) {
        put_unix(&writer, url);
    } else if (url->scheme == SONDE_SCHEME_FD) {
        put(&writer, "fd://", 5);
        put_encoded(&writer, url->host, strnlen(url->host, sizeof url->host), "%/?#@[]");
    } else {
        put(&writer, "?", 1);
    }
    ret_text[writer.n] = '\0';
    return writer.n;
}
