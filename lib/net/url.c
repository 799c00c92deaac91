/* SPDX-License-Identifier: MIT */
/*
 * Theory of operation: a text is cut from left to right, scheme, then what the scheme puts behind it, then options
 * behind the question mark; or, where the query belongs to the request (ws://), behind the hash. Each cutter works on a
 * span of the text and fills in a URL that the caller sees only when everything was right; the first that cannot go on
 * refuses, with one sentence about what would be right. No span is longer than the text and every loop runs over a
 * span, so that any text ends within a time proportional to it.
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

/* What stands before the colon. Whatever is spoken on top may stand on any stream: tls+unix:, wss+vsock://. */
static const struct {
    const char *name;
    enum sonde_scheme scheme;
    const char *hint; /* of those that are refused; else NULL */
} schemes[] = {
    {"tcp", SONDE_SCHEME_TCP, NULL},
    {"unix", SONDE_SCHEME_UNIX, NULL},
    {"udp", SONDE_SCHEME_UDP, NULL},
    {"unixgram", SONDE_SCHEME_UNIXGRAM, NULL},
    {"seqpacket", SONDE_SCHEME_SEQPACKET, NULL},
    {"vsock", SONDE_SCHEME_VSOCK, NULL},
    {"sctp", SONDE_SCHEME_SCTP, NULL},
    {"fd", SONDE_SCHEME_FD, NULL},
    {"http", 0, "http:// is coming; tcp://HOST:80 lets you speak it by hand, and any:// listens for it"},
    {"https", 0, "https:// is coming; tls://HOST:443 lets you speak it by hand, and any:// listens for it"},
};
#define N_SCHEMES (sizeof schemes / sizeof *schemes)

static const struct {
    const char *name;
    uint32_t layers;
} tops[] = {
    {"tls", SONDE_LAYER_TLS},
    {"ws", SONDE_LAYER_WS},
    {"wss", SONDE_LAYER_TLS | SONDE_LAYER_WS},
    {"any", SONDE_LAYER_ANY},
};
#define N_TOPS (sizeof tops / sizeof *tops)

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

/* Cut the options off; and, of a WebSocket, first the target of its request. */
static int cut_options(struct parser *parser, struct span *span, struct span *ret_options)
{
    bool is_ws = parser->url.layers & SONDE_LAYER_WS;

    *ret_options = (struct span){span->at, 0};
    if (is_ws)
        cut(span, '#', ret_options);
    else
        cut(span, '?', ret_options);
    if (!is_ws && memchr(parser->text.at, '#', parser->text.n) != NULL)
        return refuse(parser, "a socket has no #fragment; in a path the sign is %23");
    return 0;
}

static int set_target(struct parser *parser, struct span target)
{
    if (target.n > SONDE_TARGET_MAX)
        return refuse(parser, "the path and query of a WebSocket address have at most 680 bytes");
    for (size_t i = 0; i < target.n; i++)
        if ((unsigned char)target.at[i] >= 0x7f)
            return refuse(parser, "the path of a request is ASCII; other bytes are written %C3%A9");
    memcpy(parser->url.target, target.at, target.n);
    return 0;
}

/* The target begins with the first slash or question mark behind the address. */
static int cut_target(struct parser *parser, struct span *span)
{
    size_t n = 0;

    if (!(parser->url.layers & SONDE_LAYER_WS))
        return 0;
    while (n < span->n && span->at[n] != '/' && span->at[n] != '?')
        n++;
    struct span target = skip(*span, n);
    span->n = n;
    if (target.n == 0 || target.at[0] == '/')
        return set_target(parser, target);
    int error = set_target(parser, target);
    memmove(parser->url.target + 1, parser->url.target, SONDE_TARGET_MAX);
    parser->url.target[0] = '/';
    return error == 0 && target.n == SONDE_TARGET_MAX ? set_target(parser, parser->text) : error;
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

static uint16_t default_port(const struct parser *parser, const struct address_parts *parts)
{
    uint32_t layers = parser->url.layers;

    if (!(layers & SONDE_LAYER_WS) || parts->kind == ADDRESS_NONE || parts->kind == ADDRESS_ANY)
        return SONDE_DEFAULT_PORT;
    return layers & SONDE_LAYER_TLS ? 443 : 80;
}

/* [HOST][:PORT][TARGET][?OPTIONS] */
static int parse_inet(struct parser *parser, struct span span)
{
    struct address_parts parts;
    const char *hint = NULL;
    struct span options;

    int error = cut_options(parser, &span, &options);
    if (error == 0)
        error = cut_target(parser, &span);
    if (error < 0)
        return error;
    if (memchr(span.at, '/', span.n) != NULL)
        return refuse(parser,
                      "the address ends with the port and its options; a UNIX path is written unix:/run/x.sock");
    if (memchr(span.at, '@', span.n) != NULL)
        return refuse(parser, "a socket has no user name; an abstract UNIX name is written unix:@name");
    if (address_split(span.at, span.n, &parts, &hint) < 0)
        return refuse(parser, hint);
    memcpy(parser->url.host, parts.host, sizeof parser->url.host);
    parser->url.port = parts.has_port ? parts.port : default_port(parser, &parts);
    error = parse_options(parser, options);
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
    if (parse_number(number.at, number.n, false, UINT64_MAX, &ignored) == -EINVAL) {
        parser->url.scheme = SONDE_SCHEME_TCP;
        return parse_inet(parser, span);
    }

    const char *hint = NULL;
    parser->url.scheme = SONDE_SCHEME_TCP;
    if (address_split_port(number.at, number.n, &parser->url.port, &hint) < 0)
        return refuse(parser, hint);
    return parse_options(parser, options);
}

/* --- UNIX ------------------------------------------------------------------------------------------------------- */

/* ws+unix:/run/x.sock:/chat: here the target begins behind a colon; one in the path is written %3A. */
static int cut_unix_target(struct parser *parser, struct span *span)
{
    for (size_t i = 0; parser->url.layers & SONDE_LAYER_WS && i + 1 < span->n; i++) {
        if (span->at[i] == ':' && span->at[i + 1] == '/') {
            struct span target = skip(*span, i + 1);
            span->n = i;
            return set_target(parser, target);
        }
    }
    return 0;
}

/* ///run/x.sock, /run/x.sock, rel.sock, @name; then [?OPTIONS] */
static int parse_unix(struct parser *parser, struct span span)
{
    struct sonde_url *url = &parser->url;
    struct span options;
    size_t n = 0;

    int error = cut_options(parser, &span, &options);
    if (error == 0)
        error = cut_unix_target(parser, &span);
    if (error < 0)
        return error;
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
    error = parse_percent(span.at, span.n, url->path + (abstract ? 1 : 0), sizeof url->path - 1, &n);
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
    struct span options;
    uint64_t fd;

    int error = cut_options(parser, &span, &options);
    if (error < 0)
        return error;
    if (span.n >= 2 && memcmp(span.at, "//", 2) == 0)
        span = skip(span, 2);
    if (parse_number(span.at, span.n, false, INT_MAX, &fd) < 0)
        return refuse(parser, hint);
    snprintf(parser->url.host, sizeof parser->url.host, "%u", (unsigned)fd);
    return parse_options(parser, options);
}

/* --- a virtual machine's ---------------------------------------------------------------------------------------- */

/* [CID][:PORT][TARGET][?OPTIONS]; both are 32-bit numbers (vsock(7)) */
static int parse_vsock(struct parser *parser, struct span span)
{
    static const char hint[] =
        "behind vsock:// stand a CID and a port, as in vsock://2:1024; local is CID 1, host is 2";
    struct span options, port = {span.at, 0};
    struct sonde_url *url = &parser->url;
    uint64_t cid = 0, number = SONDE_DEFAULT_PORT;

    int error = cut_options(parser, &span, &options);
    if (error == 0)
        error = cut_target(parser, &span);
    if (error < 0)
        return error;
    bool has_port = cut(&span, ':', &port);
    if (has_port && parse_number(port.at, port.n, false, UINT32_MAX - 1, &number) < 0)
        return refuse(parser, hint);
    url->vsock_port = has_port && number == 0 ? UINT32_MAX : (uint32_t)number;
    if (span.n == 0 || (span.n == 1 && span.at[0] == '*')) {
        url->host[0] = '\0';
        return parse_options(parser, options);
    }
    if (span.n == 5 && memcmp(span.at, "local", 5) == 0)
        cid = 1;
    else if (span.n == 4 && memcmp(span.at, "host", 4) == 0)
        cid = 2;
    else if (parse_number(span.at, span.n, false, UINT32_MAX - 1, &cid) < 0)
        return refuse(parser, hint);
    snprintf(url->host, sizeof url->host, "%u", (unsigned)cid);
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

static bool is_called(const char *name, struct span span)
{
    return strlen(name) == span.n && strncasecmp(name, span.at, span.n) == 0;
}

/* TOP or TOP+SCHEME or SCHEME: 0 and what it is; 1: it is none that is known; or a refusal. */
static int find_scheme(struct parser *parser, struct span name)
{
    struct sonde_url *url = &parser->url;
    struct span base = name;
    bool two = cut(&name, '+', &base);

    for (size_t i = 0; i < N_TOPS; i++)
        if (is_called(tops[i].name, name))
            url->layers = tops[i].layers;
    if (two && url->layers == 0)
        return 1;
    if (url->layers != 0 && !two) {
        url->scheme = SONDE_SCHEME_TCP;
        return 0;
    }
    for (size_t i = 0; i < N_SCHEMES; i++) {
        if (!is_called(schemes[i].name, base))
            continue;
        if (schemes[i].hint != NULL)
            return refuse_span(parser, SONDE_ESCHEME, parser->text, schemes[i].hint);
        url->scheme = schemes[i].scheme;
        bool datagrams = url->scheme == SONDE_SCHEME_UDP || url->scheme == SONDE_SCHEME_UNIXGRAM ||
                         url->scheme == SONDE_SCHEME_SEQPACKET;
        if (url->layers != 0 && datagrams)
            return refuse(parser,
                          "TLS and WebSocket stand on a stream: tcp, unix, vsock or fd, as in tls+unix:/run/x.sock");
        return 0;
    }
    return 1;
}

static int parse_rest(struct parser *parser, struct span rest)
{
    bool slashes = rest.n >= 2 && memcmp(rest.at, "//", 2) == 0;

    switch (parser->url.scheme) {
    case SONDE_SCHEME_UNIX:
    case SONDE_SCHEME_UNIXGRAM:
    case SONDE_SCHEME_SEQPACKET:
        return parse_unix(parser, rest);
    case SONDE_SCHEME_FD:
        return parse_fd(parser, rest);
    default:
        break;
    }
    if (!slashes)
        return refuse(parser, "two slashes follow the colon, as in tcp://localhost:7007");
    rest = skip(rest, 2);
    return parser->url.scheme == SONDE_SCHEME_VSOCK ? parse_vsock(parser, rest) : parse_inet(parser, rest);
}

static int parse_scheme(struct parser *parser)
{
    struct span text = parser->text;
    size_t n = scheme_length(text);
    struct span rest = n > 0 ? skip(text, n + 1) : text;

    if (text.n == 1 && text.at[0] == '-')
        return refuse_span(parser, SONDE_ESCHEME, text,
                           "- (standard input and output) is coming; fd://NUMBER is an open descriptor");
    int found = n > 0 ? find_scheme(parser, (struct span){text.at, n}) : 1;
    if (found < 0)
        return found;
    if (found == 0)
        return parse_rest(parser, rest);
    parser->url.layers = 0;
    if (n > 0 && rest.n >= 2 && memcmp(rest.at, "//", 2) == 0)
        return refuse(parser,
                      "the kinds of address are tcp:// udp:// unix: unixgram: seqpacket: vsock:// fd:// tls:// ws:// "
                      "wss:// any://; host:port alone is TCP");
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
