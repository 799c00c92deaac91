/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "net/address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sonde/url.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

/* --- texts that are understood ---------------------------------------------------------------------------------- */

struct tcp_row {
    const char *text;
    const char *host;
    int port;
    const char *canonical; /* NULL: the text is */
};

static const struct tcp_row tcp_rows[] = {
    {"tcp://127.0.0.1:7007", "127.0.0.1", 7007, NULL},
    {"tcp://:7007", "", 7007, NULL},
    {"tcp://", "", 7007, "tcp://:7007"},
    {"tcp://localhost", "localhost", 7007, "tcp://localhost:7007"},
    {"TCP://LocalHost:80", "LocalHost", 80, "tcp://LocalHost:80"},
    {"tcp://:0", "", 0, NULL},
    {"tcp://:65535", "", 65535, NULL},
    {"tcp://:00080", "", 80, "tcp://:80"},
    {"tcp://*:7007", "*", 7007, NULL},
    {"tcp://*", "*", 7007, "tcp://*:7007"},
    {"tcp://[*]:7007", "*", 7007, "tcp://*:7007"},
    {"tcp://[::1]:7007", "::1", 7007, NULL},
    {"tcp://[::1]", "::1", 7007, "tcp://[::1]:7007"},
    {"tcp://[::]:1", "::", 1, NULL},
    {"tcp://[::ffff:192.0.2.1]:1", "::ffff:192.0.2.1", 1, NULL},
    {"tcp://[2001:db8::A]:1", "2001:db8::A", 1, NULL},
    {"tcp://0.0.0.0:1", "0.0.0.0", 1, NULL},
    {"tcp://example.com.:1", "example.com.", 1, NULL},
    {"tcp://a-b_c.example:1", "a-b_c.example", 1, NULL},
    {"tcp://1and1.example:1", "1and1.example", 1, NULL},
    {"tcp://xn--fsq.example:1", "xn--fsq.example", 1, NULL},
    {"tcp://0xcafe.example:1", "0xcafe.example", 1, NULL},
    {"tcp://example.0xg:1", "example.0xg", 1, NULL},
    {"localhost", "localhost", 7007, "tcp://localhost:7007"},
    {"localhost:80", "localhost", 80, "tcp://localhost:80"},
    {"udp-server:80", "udp-server", 80, "tcp://udp-server:80"},
    {":80", "", 80, "tcp://:80"},
    {"80", "", 80, "tcp://:80"},
    {"0", "", 0, "tcp://:0"},
    {"*", "*", 7007, "tcp://*:7007"},
    {"*:80", "*", 80, "tcp://*:80"},
    {"[*]:80", "*", 80, "tcp://*:80"},
    {"[::1]:80", "::1", 80, "tcp://[::1]:80"},
    {"[::1]", "::1", 7007, "tcp://[::1]:7007"},
    {"192.0.2.1", "192.0.2.1", 7007, "tcp://192.0.2.1:7007"},
    {"tcp://:7007?", "", 7007, "tcp://:7007"},
    {"tcp://:7007?nodelay=0", "", 7007, "tcp://:7007"},
    {":7007?nodelay=0&backlog=5", "", 7007, "tcp://:7007"},
    {"7007?nodelay", "", 7007, "tcp://:7007"},
    {"localhost?nodelay", "localhost", 7007, "tcp://localhost:7007"},

    /* Zones, both spellings, with the numbers that make the two hard to tell apart. */
    {"tcp://[fe80::1%eth0]:7007", "fe80::1%eth0", 7007, NULL},
    {"tcp://[fe80::1%25eth0]:7007", "fe80::1%eth0", 7007, "tcp://[fe80::1%eth0]:7007"},
    {"tcp://[fe80::1%2]:7007", "fe80::1%2", 7007, NULL},
    {"tcp://[fe80::1%12]:7007", "fe80::1%12", 7007, NULL},
    {"tcp://[fe80::1%25]:7007", "fe80::1%25", 7007, NULL},
    {"tcp://[fe80::1%2525]:7007", "fe80::1%25", 7007, "tcp://[fe80::1%25]:7007"},
    {"tcp://[fe80::1%251]:7007", "fe80::1%1", 7007, "tcp://[fe80::1%1]:7007"},
    {"tcp://[fe80::1%25251]:7007", "fe80::1%251", 7007, NULL},
    {"tcp://[fe80::1%2525eth]:7007", "fe80::1%25eth", 7007, NULL},
    {"tcp://[fe80::1%eth0.100]:7007", "fe80::1%eth0.100", 7007, NULL},
    {"tcp://[fe80::1%abcdefghijklmno]:7007", "fe80::1%abcdefghijklmno", 7007, NULL},
    {"[fe80::1%br-0]", "fe80::1%br-0", 7007, "tcp://[fe80::1%br-0]:7007"},
    {"tcp://[::1%lo]:7007", "::1%lo", 7007, NULL},
    /* Where the interface is named otherwise, the kernel does without a zone. */
    {"tcp://[fe80::1]:7007?device=eth0", "fe80::1", 7007, "tcp://[fe80::1]:7007"},
    {"tcp://[fe80::1]:7007?bind=[fe80::2%25eth0]", "fe80::1", 7007, "tcp://[fe80::1]:7007"},
};

static void check_same(const struct sonde_url *one, const struct sonde_url *other)
{
    assert_int_equal(one->scheme, other->scheme);
    assert_string_equal(one->host, other->host);
    assert_int_equal(one->port, other->port);
    assert_int_equal(one->path_bytes, other->path_bytes);
    assert_int_equal(one->layers, other->layers);
    assert_int_equal(one->vsock_port, other->vsock_port);
    assert_string_equal(one->target, other->target);
    assert_memory_equal(one->path, other->path, sizeof one->path);
}

static void check_round_trip(const struct sonde_url *url, const char *canonical)
{
    char text[SONDE_URL_MAX], again[SONDE_URL_MAX];
    struct sonde_url back;
    struct sonde_why why;

    size_t n = sonde_url_format(url, text, sizeof text);
    assert_int_equal(n, strlen(text));
    assert_string_equal(text, canonical);
    /* A link-local address without a zone is understood only beside an option, and options are not written. */
    if (sonde_url_parse(text, &back, &why) < 0) {
        assert_non_null(strstr(why.detail, "link-local"));
        return;
    }
    check_same(url, &back);
    assert_int_equal(sonde_url_format(&back, again, sizeof again), n);
    assert_string_equal(again, text);
}

static void tcp_addresses(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof tcp_rows / sizeof *tcp_rows; i++) {
        const struct tcp_row *row = &tcp_rows[i];
        struct sonde_why why = {.call = "none"};
        struct sonde_url url;
        int error = sonde_url_parse(row->text, &url, &why);
        if (error < 0)
            fail_msg("%s: %s", row->text, why.detail);
        assert_string_equal(why.call, "none");
        assert_int_equal(url.scheme, SONDE_SCHEME_TCP);
        assert_string_equal(url.host, row->host);
        assert_int_equal(url.port, row->port);
        assert_int_equal(url.path_bytes, 0);
        check_round_trip(&url, row->canonical != NULL ? row->canonical : row->text);
    }
}

#define LONG_50 "01234567890123456789012345678901234567890123456789"
#define TEN "0123456789"
#define HUNDRED TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN
#define LONG_681 HUNDRED HUNDRED HUNDRED HUNDRED HUNDRED HUNDRED TEN TEN TEN TEN TEN TEN TEN TEN "0"
#define LONG_107 LONG_50 LONG_50 "0123456"

struct unix_row {
    const char *text;
    const char *path;
    size_t path_bytes;
    const char *canonical;
};

static const struct unix_row unix_rows[] = {
    {"unix:/run/x.sock", "/run/x.sock", 11, NULL},
    {"unix:///run/x.sock", "/run/x.sock", 11, "unix:/run/x.sock"},
    {"UNIX:/x", "/x", 2, "unix:/x"},
    {"unix:rel.sock", "rel.sock", 8, NULL},
    {"unix:./rel.sock", "./rel.sock", 10, NULL},
    {"unix:../a/b", "../a/b", 6, NULL},
    {"unix:/", "/", 1, NULL},
    {"unix:////x", "//x", 3, NULL},
    {"unix:@name", "\0name", 5, NULL},
    {"unix:@/like/a/path", "\0/like/a/path", 13, NULL},
    {"unix:@@", "\0@", 2, NULL},
    {"unix:@%00", "\0\0", 2, NULL},
    {"unix:@a%00b%00", "\0a\0b\0", 5, NULL},
    {"unix:%40name", "@name", 5, NULL},
    {"unix:/a%20b", "/a b", 4, NULL},
    {"unix:/a%2fb", "/a/b", 4, "unix:/a/b"},
    {"unix:%2f%2fb", "//b", 3, "unix:////b"},
    {"unix:/a%3fb%23c%25d", "/a?b#c%d", 8, "unix:/a%3Fb%23c%25d"},
    {"unix:/a%0a%1b%7f%9b", "/a\n\x1b\x7f\x9b", 6, "unix:/a%0A%1B%7F%9B"},
    {"unix:/\xe5\xa5\x97", "/\xe5\xa5\x97", 4, "unix:/%E5%A5%97"},
    {"unix:/a:b@c[d]&e=f", "/a:b@c[d]&e=f", 13, NULL},
    {"unix:7007", "7007", 4, NULL},
    {"unix:" LONG_107, LONG_107, 107, NULL},
    {"unix:@" LONG_107, "\0" LONG_107, 108, NULL},
    {"unix:/x?backlog=5&sndbuf=64k", "/x", 2, "unix:/x"},
    {"unix:@x?backlog=0", "\0x", 2, "unix:@x"},
};

static void unix_addresses(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof unix_rows / sizeof *unix_rows; i++) {
        const struct unix_row *row = &unix_rows[i];
        struct sonde_why why;
        struct sonde_url url;
        int error = sonde_url_parse(row->text, &url, &why);
        if (error < 0)
            fail_msg("%s: %s", row->text, why.detail);
        assert_int_equal(url.scheme, SONDE_SCHEME_UNIX);
        assert_int_equal(url.path_bytes, row->path_bytes);
        assert_memory_equal(url.path, row->path, row->path_bytes);
        assert_string_equal(url.host, "");
        check_round_trip(&url, row->canonical != NULL ? row->canonical : row->text);
    }
}

static void descriptors(void **state)
{
    static const struct {
        const char *text, *host, *canonical;
    } rows[] = {
        {"fd://3", "3", "fd://3"},
        {"fd:3", "3", "fd://3"},
        {"FD:0", "0", "fd://0"},
        {"fd://007", "7", "fd://7"},
        {"fd://2147483647", "2147483647", "fd://2147483647"},
        {"fd://3?", "3", "fd://3"},
        {"fd://3?proxy=in&backlog=5", "3", "fd://3"},
        {"fd:3?nodelay=0", "3", "fd://3"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct sonde_url url;
        struct sonde_why why;
        if (sonde_url_parse(rows[i].text, &url, &why) < 0)
            fail_msg("%s: %s", rows[i].text, why.detail);
        assert_int_equal(url.scheme, SONDE_SCHEME_FD);
        assert_string_equal(url.host, rows[i].host);
        assert_int_equal(url.port, 0);
        assert_int_equal(url.path_bytes, 0);
        check_round_trip(&url, rows[i].canonical);
    }
}

/* --- what is spoken on top, and the other kinds of socket --------------------------------------------------------- */

struct kind_row {
    const char *text;
    enum sonde_scheme scheme;
    uint32_t layers;
    const char *host;
    uint32_t port;
    const char *target;
    const char *canonical; /* NULL: the text itself */
};

static const struct kind_row kind_rows[] = {
    {"tls://localhost:443", SONDE_SCHEME_TCP, SONDE_LAYER_TLS, "localhost", 443, "", NULL},
    {"TLS+TCP://localhost", SONDE_SCHEME_TCP, SONDE_LAYER_TLS, "localhost", 7007, "", "tls://localhost:7007"},
    {"tls://[::1]:1?nodelay=0", SONDE_SCHEME_TCP, SONDE_LAYER_TLS, "::1", 1, "", "tls://[::1]:1"},
    {"tls+unix:/x", SONDE_SCHEME_UNIX, SONDE_LAYER_TLS, "", 0, "", NULL},
    {"tls+fd://3", SONDE_SCHEME_FD, SONDE_LAYER_TLS, "3", 0, "", NULL},
    {"ws://h/", SONDE_SCHEME_TCP, SONDE_LAYER_WS, "h", 80, "/", "ws://h:80/"},
    {"ws://h", SONDE_SCHEME_TCP, SONDE_LAYER_WS, "h", 80, "", "ws://h:80"},
    {"wss://h/a?b=c&d#nodelay=0", SONDE_SCHEME_TCP, SONDE_LAYER_TLS | SONDE_LAYER_WS, "h", 443, "/a?b=c&d",
     "wss://h:443/a?b=c&d"},
    {"ws://:7007?x=/y", SONDE_SCHEME_TCP, SONDE_LAYER_WS, "", 7007, "/?x=/y", "ws://:7007/?x=/y"},
    {"ws://", SONDE_SCHEME_TCP, SONDE_LAYER_WS, "", 7007, "", "ws://:7007"},
    {"ws://*/a", SONDE_SCHEME_TCP, SONDE_LAYER_WS, "*", 7007, "/a", "ws://*:7007/a"},
    {"ws://[::1]:8080/%20", SONDE_SCHEME_TCP, SONDE_LAYER_WS, "::1", 8080, "/%20", NULL},
    {"ws+unix:/run/x.sock:/chat?a", SONDE_SCHEME_UNIX, SONDE_LAYER_WS, "", 0, "/chat?a", NULL},
    {"ws+unix:/run/a%3Ab", SONDE_SCHEME_UNIX, SONDE_LAYER_WS, "", 0, "", NULL},
    {"wss+unix:@n", SONDE_SCHEME_UNIX, SONDE_LAYER_TLS | SONDE_LAYER_WS, "", 0, "", NULL},
    {"any://", SONDE_SCHEME_TCP, SONDE_LAYER_ANY, "", 7007, "", "any://:7007"},
    {"any+unix:/x?backlog=1", SONDE_SCHEME_UNIX, SONDE_LAYER_ANY, "", 0, "", "any+unix:/x"},
    {"udp://127.0.0.1:53", SONDE_SCHEME_UDP, 0, "127.0.0.1", 53, "", NULL},
    {"UDP://[::1]", SONDE_SCHEME_UDP, 0, "::1", 7007, "", "udp://[::1]:7007"},
    {"sctp://localhost:5", SONDE_SCHEME_SCTP, 0, "localhost", 5, "", NULL},
    {"unixgram:@n", SONDE_SCHEME_UNIXGRAM, 0, "", 0, "", NULL},
    {"seqpacket:/run/x", SONDE_SCHEME_SEQPACKET, 0, "", 0, "", NULL},
    {"vsock://2:1024", SONDE_SCHEME_VSOCK, 0, "2", 1024, "", NULL},
    {"vsock://host:4294967294", SONDE_SCHEME_VSOCK, 0, "2", 4294967294, "", "vsock://2:4294967294"},
    {"vsock://local", SONDE_SCHEME_VSOCK, 0, "1", 7007, "", "vsock://1:7007"},
    {"vsock://:0", SONDE_SCHEME_VSOCK, 0, "", UINT32_MAX, "", NULL},
    {"vsock://*:9", SONDE_SCHEME_VSOCK, 0, "", 9, "", "vsock://:9"},
    {"wss+vsock://3:9/x", SONDE_SCHEME_VSOCK, SONDE_LAYER_TLS | SONDE_LAYER_WS, "3", 9, "/x", NULL},
};

static void kinds(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof kind_rows / sizeof *kind_rows; i++) {
        const struct kind_row *row = &kind_rows[i];
        struct sonde_why why;
        struct sonde_url url;
        if (sonde_url_parse(row->text, &url, &why) < 0)
            fail_msg("%s: %s", row->text, why.detail);
        assert_int_equal(url.scheme, row->scheme);
        assert_int_equal(url.layers, row->layers);
        assert_string_equal(url.host, row->host);
        assert_int_equal(row->scheme == SONDE_SCHEME_VSOCK ? url.vsock_port : url.port, row->port);
        assert_string_equal(url.target, row->target);
        check_round_trip(&url, row->canonical != NULL ? row->canonical : row->text);
    }
}

/* --- texts that are not ----------------------------------------------------------------------------------------- */

struct bad_row {
    const char *text;
    int error;
    const char *detail; /* a piece of it */
};

static const struct bad_row bad_rows[] = {
    {"", SONDE_EURL, "there is no address"},
    {"?nodelay=0", SONDE_EURL, "there is no address"},
    {":", SONDE_EURL, "no port after the colon"},
    {"localhost:", SONDE_EURL, "no port after the colon"},
    {"tcp://:", SONDE_EURL, "no port after the colon"},
    {"tcp://[::1]:", SONDE_EURL, "no port after the colon"},
    {"65536", SONDE_EURL, "0 to 65535"},
    {"tcp://:65536", SONDE_EURL, "0 to 65535"},
    {"tcp://:99999999999999999999", SONDE_EURL, "0 to 65535"},
    {"tcp://:-1", SONDE_EURL, "0 to 65535"},
    {"tcp://:+1", SONDE_EURL, "0 to 65535"},
    {"tcp://:0x50", SONDE_EURL, "0 to 65535"},
    {"tcp://:7k", SONDE_EURL, "0 to 65535"},
    {"tcp://localhost:http", SONDE_EURL, "0 to 65535"},
    {"://x", SONDE_EURL, "ends with the port"},
    {"tcp:", SONDE_EURL, "two slashes"},
    {"tcp:7007", SONDE_EURL, "two slashes"},
    {"tcp:/localhost", SONDE_EURL, "two slashes"},
    {"tpc://localhost", SONDE_EURL, "the kinds of address are"},
    {"ftp://localhost", SONDE_EURL, "the kinds of address are"},
    {"tcp6://localhost", SONDE_EURL, "the kinds of address are"},

    {"::1:7007", SONDE_EURL, "[::1]:7007"},
    {"::1", SONDE_EURL, "[::1]:7007"},
    {"fe80::1%eth0", SONDE_EURL, "[::1]:7007"},
    {"tcp://::1:7007", SONDE_EURL, "[::1]:7007"},
    {"a:1:2", SONDE_EURL, "[::1]:7007"},
    {"tcp://[::1", SONDE_EURL, "bracket"},
    {"tcp://[", SONDE_EURL, "bracket"},
    {"tcp://]", SONDE_EURL, "neither a name"},
    {"tcp://[]", SONDE_EURL, "asterisk"},
    {"tcp://[]:1", SONDE_EURL, "asterisk"},
    {"tcp://[localhost]:1", SONDE_EURL, "asterisk"},
    {"tcp://[127.0.0.1]:1", SONDE_EURL, "asterisk"},
    {"tcp://[**]:1", SONDE_EURL, "asterisk"},
    {"tcp://[::1]7007", SONDE_EURL, "behind the bracket"},
    {"tcp://[[::1]]:1", SONDE_EURL, "behind the bracket"},
    {"tcp://[v1.x:y]:1", SONDE_EURL, "not an IPv6"},
    {"tcp://[::g]:1", SONDE_EURL, "not an IPv6"},
    {"tcp://[:::1]:1", SONDE_EURL, "not an IPv6"},
    {"tcp://[1:2:3:4:5:6:7:8:9]:1", SONDE_EURL, "not an IPv6"},
    {"tcp://[%eth0:]:1", SONDE_EURL, "not an IPv6"},
    {"tcp://[::11111111111111111111111111111111111111111111111111]:1", SONDE_EURL, "not an IPv6"},
    {"tcp://[fe80::1%]:1", SONDE_EURL, "interface"},
    {"tcp://[fe80::1%abcdefghijklmnop]:1", SONDE_EURL, "interface"},
    {"tcp://[fe80::1%eth0%1]:1", SONDE_EURL, "interface"},
    {"tcp://[fe80::1%25%41]:1", SONDE_EURL, "interface"},
    {"tcp://[fe80::1%a:b]:1", SONDE_EURL, "interface"},
    {"tcp://[fe80::1]:7007", SONDE_EURL, "link-local"},
    {"[febf::1]", SONDE_EURL, "link-local"},

    {"tcp://7007", SONDE_EURL, "only a number"},
    {"tcp://7007:80", SONDE_EURL, "only a number"},
    {"tcp://99999999999999999999999999", SONDE_EURL, "only a number"},
    {"127.1:80", SONDE_EURL, "four decimal parts"},
    {"1.2.3", SONDE_EURL, "four decimal parts"},
    {"1.2.3.4.5", SONDE_EURL, "four decimal parts"},
    {"1.2.3.256", SONDE_EURL, "four decimal parts"},
    {"1.2.3.4.", SONDE_EURL, "four decimal parts"},
    {"010.0.0.1", SONDE_EURL, "four decimal parts"},
    {"0x7f000001", SONDE_EURL, "four decimal parts"},
    {"0x", SONDE_EURL, "four decimal parts"},
    {"127.0.0.0x1", SONDE_EURL, "four decimal parts"},
    {"example.1", SONDE_EURL, "four decimal parts"},
    {"127.0.0.1%lo", SONDE_EURL, "neither a name"},
    {"a..b", SONDE_EURL, "between dots"},
    {".a", SONDE_EURL, "between dots"},
    {".", SONDE_EURL, "between dots"},
    {LONG_50 "01234567890123.example", SONDE_EURL, "between dots"},
    {"-host", SONDE_EURL, "neither a name"},
    {"--help", SONDE_EURL, "neither a name"},
    {"a,b", SONDE_EURL, "neither a name"},
    {"tcp://a%20b", SONDE_EURL, "neither a name"},
    {"tcp://**:1", SONDE_EURL, "neither a name"},
    {"tcp://\xe5\xa5\x97:1", SONDE_EURL, "xn--"},

    {"tcp://localhost:80/", SONDE_EURL, "ends with the port"},
    {"tcp:///run/x.sock", SONDE_EURL, "unix:/run/x.sock"},
    {"/run/x.sock", SONDE_EURL, "unix:/run/x.sock"},
    {"./x.sock", SONDE_EURL, "unix:/run/x.sock"},
    {"tcp://localhost:80#top", SONDE_EURL, "fragment"},
    {"tcp://localhost:80?nodelay=1#top", SONDE_EURL, "fragment"},
    {"tcp://me@localhost:80", SONDE_EURL, "user name"},
    {"tcp://me:secret@localhost:80", SONDE_EURL, "user name"},
    {"@name", SONDE_EURL, "unix:@name"},

    {" tcp://:1", SONDE_EURL, "no spaces"},
    {"tcp://:1 ", SONDE_EURL, "no spaces"},
    {"tcp://:1\n", SONDE_EURL, "no spaces"},
    {"local host", SONDE_EURL, "no spaces"},
    {"unix:/a b", SONDE_EURL, "%20"},
    {"unix:/a\tb", SONDE_EURL, "no spaces"},
    {"unix:/a\x7f", SONDE_EURL, "no spaces"},
    {"\x1b]0;title\x07", SONDE_EURL, "no spaces"},

    {"unix:", SONDE_EURL, "a path or @name"},
    {"unix:?backlog=1", SONDE_EURL, "a path or @name"},
    {"unix:@", SONDE_EURL, "a path or @name"},
    {"unix://", SONDE_EURL, "unix:///run/x.sock"},
    {"unix://run/x.sock", SONDE_EURL, "unix:///run/x.sock"},
    {"unix://@name", SONDE_EURL, "unix:@name"},
    {"unix:/a%", SONDE_EURL, "hexadecimal"},
    {"unix:/a%2", SONDE_EURL, "hexadecimal"},
    {"unix:/a%zz", SONDE_EURL, "hexadecimal"},
    {"unix:@%", SONDE_EURL, "hexadecimal"},
    {"unix:/a%00b", SONDE_EURL, "NUL"},
    {"unix:%00name", SONDE_EURL, "unix:@name"},
    {"unix:/a#b", SONDE_EURL, "%23"},
    {"unix:x" LONG_107, SONDE_EURL, "107"},
    {"unix:@x" LONG_107, SONDE_EURL, "107"},

    {"-", SONDE_ESCHEME, "is coming"},
    {"http://localhost/", SONDE_ESCHEME, "http://"},
    {"https://localhost/", SONDE_ESCHEME, "https://"},
    {"tls+http://localhost/", SONDE_ESCHEME, "http://"},
    {"tls+udp://localhost", SONDE_EURL, "on a stream"},
    {"ws+seqpacket:/x", SONDE_EURL, "on a stream"},
    {"any+unixgram:/x", SONDE_EURL, "on a stream"},
    {"tls+tls://localhost", SONDE_EURL, "the kinds of address are"},
    {"tls+://localhost", SONDE_EURL, "the kinds of address are"},
    {"+tcp://localhost", SONDE_EURL, "ends with the port"},
    {"tcp+tls://localhost", SONDE_EURL, "the kinds of address are"},
    {"udp:localhost", SONDE_EURL, "two slashes"},
    {"ws:localhost", SONDE_EURL, "two slashes"},
    {"tls://localhost/x", SONDE_EURL, "ends with the port"},
    {"ws://user@localhost/", SONDE_EURL, "user name"},
    {"ws://localhost/\xc3\xa9", SONDE_EURL, "is ASCII"},
    {"ws://localhost/" LONG_681, SONDE_EURL, "680"},
    {"ws://localhost?" LONG_681, SONDE_EURL, "680"},
    {"wss://localhost/#nodelay=2", SONDE_EOPTION, "0 or 1"},
    {"vsock://2:x", SONDE_EURL, "vsock://2:1024"},
    {"vsock://name:1", SONDE_EURL, "vsock://2:1024"},
    {"vsock://2:4294967295", SONDE_EURL, "vsock://2:1024"},
    {"vsock:2:1", SONDE_EURL, "two slashes"},
    {"fd:", SONDE_EURL, "fd://3"},
    {"fd://", SONDE_EURL, "fd://3"},
    {"fd:///3", SONDE_EURL, "fd://3"},
    {"fd:/3", SONDE_EURL, "fd://3"},
    {"fd:-1", SONDE_EURL, "fd://3"},
    {"fd://name", SONDE_EURL, "fd://3"},
    {"fd://3/", SONDE_EURL, "fd://3"},
    {"fd://3#x", SONDE_EURL, "no #fragment"},
    {"fd://0x3", SONDE_EURL, "fd://3"},
    {"fd://2147483648", SONDE_EURL, "fd://3"},
    {"fd://3?bind=:5", SONDE_EOPTION, "when the socket was made"},
    {"fd://3?mptcp=1", SONDE_EOPTION, "when the socket was made"},
    {"fd://3?proxy=yes", SONDE_EOPTION, "in, to listen"},
    {"any:", SONDE_EURL, "two slashes"},

    {"tcp://:1?nodelay=2", SONDE_EOPTION, "0 or 1"},
    {"tcp://:1?&nodelay=1", SONDE_EOPTION, "name=value"},
    {"tcp://:1?nodelay=1&", SONDE_EOPTION, "name=value"},
    {"tcp://:1?nodelay=1&&ttl=1", SONDE_EOPTION, "name=value"},
    {"tcp://:1?=1", SONDE_EOPTION, "name=value"},
    {"tcp://:1?a?b", SONDE_EOPTION, "the options are"},
    {"7007?x", SONDE_EOPTION, "the options are"},
};

static void bad_addresses(void **state)
{
    struct sonde_url url, untouched;

    (void)state;
    memset(&untouched, 'u', sizeof untouched);
    for (size_t i = 0; i < sizeof bad_rows / sizeof *bad_rows; i++) {
        const struct bad_row *row = &bad_rows[i];
        struct sonde_why why;
        memset(&why, 'u', sizeof why);
        memcpy(&url, &untouched, sizeof url);
        int error = sonde_url_parse(row->text, &url, &why);
        if (error != -row->error)
            fail_msg("\"%s\": %d instead of %d", row->text, error, -row->error);
        assert_int_equal(why.code, error);
        assert_string_equal(why.call, "parse");
        assert_non_null(memchr(why.subject, '\0', sizeof why.subject));
        assert_non_null(memchr(why.detail, '\0', sizeof why.detail));
        if (strstr(why.detail, row->detail) == NULL)
            fail_msg("\"%s\": %s", row->text, why.detail);
        /* Whatever was given, a terminal can be shown the subject. */
        for (const char *byte = why.subject; *byte != '\0'; byte++)
            assert_true(*byte >= 0x20 && *byte < 0x7f);
        assert_memory_equal(&url, &untouched, sizeof url);
        assert_int_equal(sonde_url_parse(row->text, &url, NULL), error);
    }
    assert_int_equal(sonde_url_parse(NULL, &url, NULL), -SONDE_EURL);
}

/* A number of bytes without an end: what is too long is refused before anything behind the limit is read. */
static void long_addresses(void **state)
{
    char *text = malloc(SONDE_URL_MAX + 1);
    struct sonde_url url;
    struct sonde_why why;

    (void)state;
    assert_non_null(text);
    memset(text, 'a', SONDE_URL_MAX + 1);
    assert_int_equal(sonde_url_parse(text, &url, &why), -SONDE_EURL);
    assert_non_null(strstr(why.detail, "1024"));
    assert_int_equal(sonde_url_from_host_port(text, "1", &url, NULL), -SONDE_EURL);
    assert_int_equal(sonde_url_from_host_port("localhost", text, &url, NULL), -SONDE_EURL);

    text[SONDE_URL_MAX] = '\0';
    assert_int_equal(sonde_url_parse(text, &url, &why), -SONDE_EURL);
    assert_null(strstr(why.detail, "1024"));

    /* Much where an IPv6 address should stand: more than any has, more than a URL keeps. */
    for (size_t n = 40; n < 400; n++) {
        memset(text, ':', n);
        text[0] = '[';
        text[n - 1] = ']';
        text[n] = '\0';
        assert_int_equal(sonde_url_parse(text, &url, &why), -SONDE_EURL);
        assert_non_null(strstr(why.detail, "not an IPv6"));
    }

    /* The longest name, 253 letters, and one more; a dot at the end is not counted. */
    for (size_t i = 0; i < 253; i++)
        text[i] = i % 64 == 63 ? '.' : 'a';
    strcpy(text + 253, ".:1");
    assert_int_equal(sonde_url_parse(text, &url, &why), 0);
    assert_int_equal(strlen(url.host), 254);
    strcpy(text + 253, "a:1");
    assert_int_equal(sonde_url_parse(text, &url, &why), -SONDE_EURL);
    assert_non_null(strstr(why.detail, "253"));
    strcpy(text + 253, "a.:1");
    assert_int_equal(sonde_url_parse(text, &url, NULL), -SONDE_EURL);
    free(text);
}

static void host_and_port_apart(void **state)
{
    static const struct {
        const char *host, *port, *canonical; /* canonical NULL: refused */
    } rows[] = {
        {"localhost", "80", "tcp://localhost:80"},
        {"localhost", NULL, "tcp://localhost:7007"},
        {NULL, "80", "tcp://:80"},
        {"", "80", "tcp://:80"},
        {NULL, NULL, "tcp://:7007"},
        {"*", "0", "tcp://*:0"},
        {"[*]", "1", "tcp://*:1"},
        {"::1", "80", "tcp://[::1]:80"},
        {"[::1]", "80", "tcp://[::1]:80"},
        {"::", "80", "tcp://[::]:80"},
        {"fe80::1%eth0", "80", "tcp://[fe80::1%eth0]:80"},
        {"fe80::1%25eth0", "80", "tcp://[fe80::1%eth0]:80"},
        {"192.0.2.1", "80", "tcp://192.0.2.1:80"},
        {"fe80::1", "80?device=eth0", "tcp://[fe80::1]:80"},
        {"localhost", "80?nodelay=0&dscp=46", "tcp://localhost:80"},
        {"tcp", "80", "tcp://tcp:80"},
        {"fe80::1", "80", NULL},
        {"localhost:80", "80", NULL},
        {"[::1]:80", "80", NULL},
        {"[::1", "80", NULL},
        {"tcp://localhost", "80", NULL},
        {"7007", "80", NULL},
        {"127.1", "80", NULL},
        {"local host", "80", NULL},
        {"localhost", "", NULL},
        {"localhost", "http", NULL},
        {"localhost", ":80", NULL},
        {"localhost", "65536", NULL},
        {"localhost", "80 ", NULL},
        {"localhost", "?nodelay=0", NULL},
        {"localhost?nodelay=0", "80", NULL},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char text[SONDE_URL_MAX];
        struct sonde_url url;
        struct sonde_why why;
        int error = sonde_url_from_host_port(rows[i].host, rows[i].port, &url, &why);
        if ((error < 0) != (rows[i].canonical == NULL))
            fail_msg("%s %s: %d", rows[i].host, rows[i].port, error);
        if (error < 0) {
            assert_int_equal(error, -SONDE_EURL);
            assert_true(why.detail[0] != '\0');
            continue;
        }
        sonde_url_format(&url, text, sizeof text);
        assert_string_equal(text, rows[i].canonical);
    }
}

/* Whatever room there is: the text is cut to it, ends in NUL, and no escape is cut in two. */
static void formats_in_little_room(void **state)
{
    static const char *const texts[] = {"tcp://[fe80::1%25251]:7007", "unix:////x%1B%1B", "unix:@a%00b", "tcp://*:1"};

    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct sonde_url url;
        assert_int_equal(sonde_url_parse(texts[i], &url, NULL), 0);
        assert_int_equal(sonde_url_format(&url, NULL, 0), 0);
        for (size_t size = 1; size <= strlen(texts[i]) + 1; size++) {
            char *text = malloc(size);
            assert_non_null(text);
            size_t n = sonde_url_format(&url, text, size);
            assert_true(n < size && text[n] == '\0' && strlen(text) == n);
            assert_memory_equal(text, texts[i], n);
            const char *percent = strrchr(text, '%');
            if (percent != NULL && strncmp(texts[i], "unix", 4) == 0)
                assert_true(strlen(percent) >= 3);
            free(text);
        }
    }
}

/* A URL that was filled in by hand may hold anything. */
static void formats_anything(void **state)
{
    struct sonde_url url;
    char text[SONDE_URL_MAX];

    (void)state;
    for (unsigned byte = 0; byte < 256; byte++)
        for (int scheme = 0; scheme < 5; scheme++) {
            memset(&url, (int)byte, sizeof url);
            url.scheme = (enum sonde_scheme)scheme;
            size_t n = sonde_url_format(&url, text, sizeof text);
            assert_true(n == strlen(text) && n < sizeof text && n > 0);
            for (size_t i = 0; i < n; i++)
                assert_true(text[i] > 0x20 && text[i] < 0x7f);
        }
}

/* --- addresses -------------------------------------------------------------------------------------------------- */

static void numeric_addresses(void **state)
{
    struct sonde_address address;
    char text[SONDE_ADDRESS_TEXT];
    unsigned lo = if_nametoindex("lo");
    char by_number[64];

    (void)state;
    assert_int_equal(address_parse_numeric("192.0.2.1", AF_UNSPEC, &address), 0);
    assert_int_equal(address.family, AF_INET);
    assert_int_equal(address.port, 0);
    assert_memory_equal(address.u.ip, "\xc0\x00\x02\x01", 4);
    assert_int_equal(address_parse_numeric("192.0.2.1", AF_INET6, &address), -EAFNOSUPPORT);
    assert_int_equal(address_parse_numeric("::1", AF_INET, &address), -EAFNOSUPPORT);
    assert_int_equal(address_parse_numeric("::1", AF_INET6, &address), 0);

    /* An IPv4-mapped address stays one. */
    assert_int_equal(address_parse_numeric("::ffff:192.0.2.1", AF_UNSPEC, &address), 0);
    assert_int_equal(address.family, AF_INET6);
    sonde_address_format(&address, text, sizeof text);
    assert_string_equal(text, "[::ffff:192.0.2.1]:0");

    static const char *const names[] = {
        "",      "*",     "localhost",  "1.2.3", "01.2.3.4",
        "[::1]", "::1:x", "1.2.3.4%lo", ":",     "11111111111111111111111111111111111111111111111::%lo"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        assert_int_equal(address_parse_numeric(names[i], AF_UNSPEC, &address), -EINVAL);

    assert_true(lo != 0);
    assert_int_equal(address_parse_numeric("fe80::1%lo", AF_UNSPEC, &address), 0);
    assert_int_equal(address.scope, lo);
    address.port = 80;
    sonde_address_format(&address, text, sizeof text);
    assert_string_equal(text, "[fe80::1%lo]:80");
    address_format_host(&address, text, sizeof text);
    assert_string_equal(text, "fe80::1%lo");
    snprintf(by_number, sizeof by_number, "fe80::1%%%u", lo);
    assert_int_equal(address_parse_numeric(by_number, AF_UNSPEC, &address), 0);
    assert_int_equal(address.scope, lo);
    assert_int_equal(address_parse_numeric("fe80::1%4294967295", AF_UNSPEC, &address), 0);
    sonde_address_format(&address, text, sizeof text);
    assert_string_equal(text, "[fe80::1%4294967295]:0");
    assert_int_equal(address_parse_numeric("fe80::1%4294967296", AF_UNSPEC, &address), -ENODEV);
    assert_int_equal(address_parse_numeric("fe80::1%0", AF_UNSPEC, &address), -ENODEV);
    assert_int_equal(address_parse_numeric("fe80::1%", AF_UNSPEC, &address), -ENODEV);
    assert_int_equal(address_parse_numeric("fe80::1%nosuchif0", AF_UNSPEC, &address), -ENODEV);
    assert_int_equal(address_parse_numeric("fe80::1%a-name-that-is-too-long", AF_UNSPEC, &address), -ENODEV);
}

static void local_addresses(void **state)
{
    struct sonde_address address;
    char text[SONDE_ADDRESS_TEXT];

    (void)state;
    static const struct {
        const char *text;
        int family, error;
        const char *formatted;
    } rows[] = {
        {"127.0.0.2", AF_INET, 0, "127.0.0.2:0"},
        {"127.0.0.2:5000", AF_INET, 0, "127.0.0.2:5000"},
        {":5000", AF_INET, 0, "0.0.0.0:5000"},
        {":5000", AF_INET6, 0, "[::]:5000"},
        {"*:5000", AF_INET6, 0, "[::]:5000"},
        {"[::1]:5000", AF_INET6, 0, "[::1]:5000"},
        {"[fe80::1%25lo]:5000", AF_INET6, 0, "[fe80::1%lo]:5000"},
        {"[::1]", AF_INET, -EAFNOSUPPORT, NULL},
        {"127.0.0.2", AF_INET6, -EAFNOSUPPORT, NULL},
        {"localhost", AF_INET, -EINVAL, NULL},
        {"::1", AF_INET6, -EINVAL, NULL},
        {"[fe80::1%nosuchif0]", AF_INET6, -ENODEV, NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_int_equal(address_parse_local(rows[i].text, rows[i].family, &address), rows[i].error);
        if (rows[i].error == 0) {
            sonde_address_format(&address, text, sizeof text);
            assert_string_equal(text, rows[i].formatted);
        }
    }
}

static void kernel_addresses(void **state)
{
    struct sonde_address address, back;
    struct sockaddr_storage storage;
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(80), .sin_addr.s_addr = htonl(0x7f000001)};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(443), .sin6_scope_id = 7};
    struct sockaddr_un un = {.sun_family = AF_UNIX, .sun_path = "/x"};

    (void)state;
    in6.sin6_addr = in6addr_loopback;
    address_from_sockaddr((const struct sockaddr *)&in, sizeof in, &address);
    assert_int_equal(address.family, AF_INET);
    assert_int_equal(address.port, 80);
    assert_int_equal(address_to_sockaddr(&address, &storage), sizeof in);
    assert_memory_equal(&storage, &in, sizeof in);

    address_from_sockaddr((const struct sockaddr *)&in6, sizeof in6, &address);
    assert_int_equal(address.family, AF_INET6);
    assert_int_equal(address.port, 443);
    assert_int_equal(address.scope, 7);
    assert_int_equal(address_to_sockaddr(&address, &storage), sizeof in6);
    assert_memory_equal(&storage, &in6, sizeof in6);
    address_from_sockaddr((const struct sockaddr *)&storage, sizeof storage, &back);
    assert_memory_equal(&address, &back, sizeof back);

    address_from_sockaddr((const struct sockaddr *)&un, sizeof(sa_family_t), &address);
    assert_int_equal(address.family, AF_UNIX);
    assert_int_equal(address.u.peer.pid, 0);
    assert_true(address.u.peer.uid == UINT32_MAX); /* nobody: 0 would be root */
    assert_int_equal(address_to_sockaddr(&address, &storage), 0);

    /* Too short for what it says it is, or nothing known. */
    address_from_sockaddr((const struct sockaddr *)&in, sizeof in - 1, &address);
    assert_int_equal(address.family, 0);
    address_from_sockaddr((const struct sockaddr *)&in6, sizeof in6 - 1, &address);
    assert_int_equal(address.family, 0);
    address_from_sockaddr((const struct sockaddr *)&in, 1, &address);
    assert_int_equal(address.family, 0);
    address_from_sockaddr(NULL, 0, &address);
    assert_int_equal(address.family, 0);
    in.sin_family = AF_PACKET;
    address_from_sockaddr((const struct sockaddr *)&in, sizeof in, &address);
    assert_int_equal(address.family, 0);
}

static void addresses_as_text(void **state)
{
    struct sonde_address peer = {.family = AF_UNIX, .u.peer = {.pid = 4121, .uid = 1000}};
    struct sonde_address longest = {.family = AF_INET6, .port = 65535, .scope = UINT32_MAX};
    char text[SONDE_ADDRESS_TEXT];

    (void)state;
    assert_int_equal(sonde_address_format(&peer, text, sizeof text), 19);
    assert_string_equal(text, "pid 4121 (uid 1000)");
    peer.u.peer.pid = 0;
    sonde_address_format(&peer, text, sizeof text);
    assert_string_equal(text, "pid ? (uid 1000)");
    peer.u.peer.uid = UINT32_MAX;
    sonde_address_format(&peer, text, sizeof text);
    assert_string_equal(text, "?");
    assert_int_equal(sonde_address_format(&(struct sonde_address){0}, text, sizeof text), 1);
    assert_string_equal(text, "?");

    memset(longest.u.ip, 0xab, sizeof longest.u.ip);
    sonde_address_format(&longest, text, sizeof text);
    assert_string_equal(text, "[abab:abab:abab:abab:abab:abab:abab:abab%4294967295]:65535");
    for (size_t size = 0; size < sizeof text; size++) {
        char little[SONDE_ADDRESS_TEXT];
        size_t n = sonde_address_format(&longest, little, size);
        assert_int_equal(n, size == 0 ? 0 : strnlen(text, size - 1));
        if (size > 0)
            assert_int_equal(strlen(little), n);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(tcp_addresses),       cmocka_unit_test(unix_addresses),
        cmocka_unit_test(descriptors),         cmocka_unit_test(kinds),
        cmocka_unit_test(bad_addresses),       cmocka_unit_test(long_addresses),
        cmocka_unit_test(host_and_port_apart), cmocka_unit_test(formats_in_little_room),
        cmocka_unit_test(formats_anything),    cmocka_unit_test(numeric_addresses),
        cmocka_unit_test(local_addresses),     cmocka_unit_test(kernel_addresses),
        cmocka_unit_test(addresses_as_text),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
