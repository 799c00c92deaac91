/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "observe/calls/calls.h"

#include "term/escape.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sonde/url.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define ORIGIN_NS INT64_C(5000000000)
#define US INT64_C(1000)
#define SECOND INT64_C(1000000000)

/* With one blank between time, call and "how long", for short expectations; the columns are tested apart. */
static void check(const struct sonde_probe_event *event, const char *expected)
{
    char line[CALLS_LINE_SIZE], narrow[CALLS_LINE_SIZE];
    size_t n = calls_render(event, ORIGIN_NS, line, sizeof line), n_narrow = 0;
    assert_int_equal(n, strlen(line));
    assert_true(n > 0 && line[n - 1] == '\n');
    assert_int_equal(strcspn(line, "\n"), n - 1);
    for (size_t i = 0; i < n - 1; i++) {
        if (line[i] != ' ' || (n_narrow > 0 && narrow[n_narrow - 1] != ' '))
            narrow[n_narrow++] = line[i];
    }
    narrow[n_narrow] = '\0';
    assert_string_equal(narrow, expected);
}

static struct sonde_probe_event event_of(enum sonde_operation operation, int fd, int64_t result)
{
    return (struct sonde_probe_event){
        .size = sizeof(struct sonde_probe_event),
        .operation = (uint8_t)operation,
        .fd = fd,
        .result = result,
        .start_ns = ORIGIN_NS,
        .end_ns = ORIGIN_NS + 4 * US,
    };
}

static struct sonde_address loopback(uint16_t port)
{
    return (struct sonde_address){.family = AF_INET, .port = port, .u.ip = {127, 0, 0, 1}};
}

static void columns(void **state)
{
    (void)state;
    char line[CALLS_LINE_SIZE];
    struct sonde_probe_event event = event_of(SONDE_OP_SOCKET, -1, 3);
    event.start_ns += 112 * US;
    event.end_ns += 112 * US;
    event.args[0] = AF_INET;
    event.args[1] = SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK;
    event.args[2] = IPPROTO_TCP;
    calls_render(&event, ORIGIN_NS, line, sizeof line);
    assert_string_equal(
        line, " 0.000 112  socket(AF_INET, SOCK_STREAM|SOCK_CLOEXEC|SOCK_NONBLOCK, IPPROTO_TCP) = 3         4 us\n");
    event = event_of(SONDE_OP_CLOSE, 5, 0);
    event.flags = SONDE_PROBE_RING;
    calls_render(&event, ORIGIN_NS, line, sizeof line);
    assert_string_equal(
        line, " 0.000 000  close(5) = 0                                                               4 us ring\n");
}

static void sockets(void **state)
{
    (void)state;
    struct sonde_probe_event event = event_of(SONDE_OP_SOCKET, -1, 4);
    event.args[0] = AF_UNIX;
    event.args[1] = SOCK_SEQPACKET;
    check(&event, "0.000 000 socket(AF_UNIX, SOCK_SEQPACKET, 0) = 4 4 us");
    event.args[0] = AF_INET6;
    event.args[1] = SOCK_STREAM | SOCK_CLOEXEC;
    event.args[2] = IPPROTO_MPTCP;
    event.result = -EPROTONOSUPPORT;
    check(&event, "0.000 000 socket(AF_INET6, SOCK_STREAM|SOCK_CLOEXEC, IPPROTO_MPTCP) = -1 EPROTONOSUPPORT "
                  "(protocol not supported) 4 us");
    event.args[0] = 99;
    event.args[1] = 77 | SOCK_NONBLOCK;
    event.args[2] = 200;
    event.result = 4;
    check(&event, "0.000 000 socket(99, 77|SOCK_NONBLOCK, 200) = 4 4 us");
}

static void check_option(int level, int name, int value, const char *expected)
{
    struct sonde_probe_event event = event_of(SONDE_OP_SETSOCKOPT, 3, 0);
    char line[256];
    event.args[0] = level;
    event.args[1] = name;
    event.args[2] = value;
    snprintf(line, sizeof line, "0.000 000 setsockopt(3, %s) = 0 4 us", expected);
    check(&event, line);
}

static void socket_options(void **state)
{
    (void)state;
    check_option(SOL_SOCKET, SO_REUSEADDR, 1, "SOL_SOCKET, SO_REUSEADDR, 1");
    check_option(SOL_SOCKET, SO_REUSEPORT, 1, "SOL_SOCKET, SO_REUSEPORT, 1");
    check_option(SOL_SOCKET, SO_KEEPALIVE, 1, "SOL_SOCKET, SO_KEEPALIVE, 1");
    check_option(SOL_SOCKET, SO_SNDBUF, 4096, "SOL_SOCKET, SO_SNDBUF, 4096");
    check_option(SOL_SOCKET, SO_RCVBUF, 4096, "SOL_SOCKET, SO_RCVBUF, 4096");
    check_option(SOL_SOCKET, SO_MARK, 7, "SOL_SOCKET, SO_MARK, 7");
    check_option(IPPROTO_TCP, TCP_NODELAY, 1, "IPPROTO_TCP, TCP_NODELAY, 1");
    check_option(IPPROTO_TCP, TCP_KEEPIDLE, 60, "IPPROTO_TCP, TCP_KEEPIDLE, 60");
    check_option(IPPROTO_TCP, TCP_USER_TIMEOUT, 500, "IPPROTO_TCP, TCP_USER_TIMEOUT, 500");
    check_option(IPPROTO_TCP, TCP_QUICKACK, 0, "IPPROTO_TCP, TCP_QUICKACK, 0");
    check_option(IPPROTO_TCP, TCP_DEFER_ACCEPT, 5, "IPPROTO_TCP, TCP_DEFER_ACCEPT, 5");
    check_option(IPPROTO_TCP, TCP_FASTOPEN, 16, "IPPROTO_TCP, TCP_FASTOPEN, 16");
    check_option(IPPROTO_TCP, TCP_FASTOPEN_CONNECT, 1, "IPPROTO_TCP, TCP_FASTOPEN_CONNECT, 1");
    check_option(IPPROTO_IP, IP_TTL, 64, "IPPROTO_IP, IP_TTL, 64");
    check_option(IPPROTO_IP, IP_TOS, 32, "IPPROTO_IP, IP_TOS, 32");
    check_option(IPPROTO_IPV6, IPV6_UNICAST_HOPS, 64, "IPPROTO_IPV6, IPV6_UNICAST_HOPS, 64");
    check_option(IPPROTO_IPV6, IPV6_TCLASS, 32, "IPPROTO_IPV6, IPV6_TCLASS, 32");
    check_option(IPPROTO_IPV6, IPV6_V6ONLY, 1, "IPPROTO_IPV6, IPV6_V6ONLY, 1");
    check_option(IPPROTO_TCP, 999, 5, "IPPROTO_TCP, 999, 5");
    check_option(999, 998, 5, "999, 998, 5");
}

static void socket_options_that_are_no_number(void **state)
{
    (void)state;
    const struct linger linger = {1, 5};
    struct sonde_probe_event event = event_of(SONDE_OP_SETSOCKOPT, 3, 0);
    event.args[0] = SOL_SOCKET;
    event.args[1] = SO_LINGER;
    event.data = &linger;
    event.n_bytes = sizeof linger;
    check(&event, "0.000 000 setsockopt(3, SOL_SOCKET, SO_LINGER, {l_onoff=1, l_linger=5}) = 0 4 us");
    event.args[0] = IPPROTO_TCP;
    event.args[1] = TCP_CONGESTION;
    event.data = "reno";
    event.n_bytes = 5;
    check(&event, "0.000 000 setsockopt(3, IPPROTO_TCP, TCP_CONGESTION, \"reno\") = 0 4 us");
    event.args[0] = SOL_SOCKET;
    event.args[1] = SO_BINDTODEVICE;
    event.n_bytes = 4;
    event.data = "eth0";
    event.result = -EPERM;
    check(&event, "0.000 000 setsockopt(3, SOL_SOCKET, SO_BINDTODEVICE, \"eth0\") = -1 EPERM "
                  "(operation not permitted) 4 us");
    event.data = NULL;
    event.result = 0;
    check(&event, "0.000 000 setsockopt(3, SOL_SOCKET, SO_BINDTODEVICE) = 0 4 us");
}

static void addresses(void **state)
{
    (void)state;
    struct sonde_probe_event event = event_of(SONDE_OP_BIND, 3, -EADDRINUSE);
    event.address = loopback(7007);
    check(&event, "0.000 000 bind(3, 127.0.0.1:7007) = -1 EADDRINUSE (address already in use) 4 us");
    event = event_of(SONDE_OP_CONNECT, 5, -ECONNREFUSED);
    event.address = (struct sonde_address){.family = AF_INET6, .port = 80, .u.ip = {[15] = 1}};
    check(&event, "0.000 000 connect(5, [::1]:80) = -1 ECONNREFUSED (connection refused) 4 us");
    event = event_of(SONDE_OP_ACCEPT, 3, 5);
    event.address = loopback(40488);
    check(&event, "0.000 000 accept(3, 127.0.0.1:40488) = 5 4 us");
    event.args[0] = SOCK_CLOEXEC | SOCK_NONBLOCK;
    check(&event, "0.000 000 accept(3, 127.0.0.1:40488, SOCK_CLOEXEC|SOCK_NONBLOCK) = 5 4 us");
    event = event_of(SONDE_OP_ACCEPT, 3, -EMFILE);
    check(&event, "0.000 000 accept(3) = -1 EMFILE (too many open files) 4 us");
    event = event_of(SONDE_OP_ACCEPT, 3, 5);
    event.address = (struct sonde_address){.family = AF_UNIX, .u.peer = {4121, 1000}};
    check(&event, "0.000 000 accept(3, pid 4121 (uid 1000)) = 5 4 us");
}

static void check_path(const char *path, size_t n_bytes, const char *expected)
{
    struct sonde_probe_event event = event_of(SONDE_OP_CONNECT, 5, 0);
    char line[256];
    event.path = path;
    event.path_bytes = n_bytes;
    snprintf(line, sizeof line, "0.000 000 connect(5, %s) = 0 4 us", expected);
    check(&event, line);
}

static void paths(void **state)
{
    (void)state;
    check_path("/run/x.sock", 11, "unix:/run/x.sock");
    check_path("/run/x.sock", 12, "unix:/run/x.sock");
    check_path("\0name", 5, "unix:@name");
    check_path("\0a\0b", 4, "unix:@a\\x00b");
    check_path("/a\n\x1b[2J", 7, "unix:/a\\n\\x1b[2J");
    check_path("", 0, "unix:");
}

static void data(void **state)
{
    (void)state;
    struct sonde_probe_event event = event_of(SONDE_OP_RECEIVE, 5, 6);
    event.data = "hello\n";
    event.n_bytes = 32768;
    check(&event, "0.000 000 recv(5, \"hello\\n\", 32768) = 6 4 us");
    event.data = NULL;
    event.result = 0;
    check(&event, "0.000 000 recv(5, \"\", 32768) = 0 (end of data) 4 us");
    event.result = -ECONNRESET;
    check(&event, "0.000 000 recv(5, 32768) = -1 ECONNRESET (connection reset by peer) 4 us");
    event = event_of(SONDE_OP_SEND, 5, 3);
    event.data = "say \"\\\x1b\"";
    event.n_bytes = 8;
    check(&event, "0.000 000 send(5, \"say \\\"\\\\\\x1b\\\"\", 8) = 3 4 us");
    event.args[0] = MSG_NOSIGNAL | MSG_DONTWAIT | 1 << 24;
    check(&event, "0.000 000 send(5, \"say \\\"\\\\\\x1b\\\"\", 8, MSG_DONTWAIT|MSG_NOSIGNAL|0x1000000) = 3 4 us");
}

static void previews(void **state)
{
    (void)state;
    char text[64];
    memset(text, 'x', sizeof text);
    struct sonde_probe_event event = event_of(SONDE_OP_SEND, 5, 64);
    event.data = text;
    event.n_bytes = 32;
    check(&event, "0.000 000 send(5, \"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\", 32) = 64 4 us");
    event.n_bytes = 33;
    check(&event, "0.000 000 send(5, \"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\"..., 33) = 64 4 us");
    /* Not through the middle of a character. */
    memcpy(text + 30, "\xe4\xbd\xa0", 3);
    check(&event, "0.000 000 send(5, \"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\"..., 33) = 64 4 us");
    memset(text, '\x01', sizeof text);
    event.n_bytes = 1 << 30;
    event.data = text;
    char line[CALLS_LINE_SIZE];
    assert_true(calls_render(&event, ORIGIN_NS, line, sizeof line) < CALLS_LINE_SIZE);
    assert_non_null(strstr(line, "\\x01\\x01\"..., 1073741824) = 64"));
}

static void plain_numbers(void **state)
{
    (void)state;
    struct sonde_probe_event event = event_of(SONDE_OP_LISTEN, 3, 0);
    event.args[0] = 4096;
    check(&event, "0.000 000 listen(3, 4096) = 0 4 us");
    event = event_of(SONDE_OP_SHUTDOWN, 5, 0);
    event.args[0] = SHUT_WR;
    check(&event, "0.000 000 shutdown(5, SHUT_WR) = 0 4 us");
    event.args[0] = 9;
    event.result = -EINVAL;
    check(&event, "0.000 000 shutdown(5, 9) = -1 EINVAL (invalid argument) 4 us");
    event = event_of(SONDE_OP_CLOSE, 5, 0);
    check(&event, "0.000 000 close(5) = 0 4 us");
}

static void times(void **state)
{
    (void)state;
    struct sonde_probe_event event = event_of(SONDE_OP_CLOSE, 5, 0);
    event.end_ns = event.start_ns + 999;
    check(&event, "0.000 000 close(5) = 0 <1 us");
    event.end_ns = event.start_ns + 12345 * US;
    check(&event, "0.000 000 close(5) = 0 12.3 ms");
    event.end_ns = event.start_ns + 61 * SECOND;
    check(&event, "0.000 000 close(5) = 0 61.0 s");
    /* One of many results of one request: it has no start. */
    event.start_ns = 0;
    event.flags = SONDE_PROBE_RING | SONDE_PROBE_MULTISHOT;
    check(&event, "61.000 000 close(5) = 0 ring");
    event.flags = 0;
    check(&event, "61.000 000 close(5) = 0");
    event.end_ns = ORIGIN_NS - 1500 * US;
    check(&event, "-0.001 500 close(5) = 0");
    event.end_ns = ORIGIN_NS + 123456 * SECOND;
    check(&event, "123456.000 000 close(5) = 0");
}

/* However little room there is, or however much there is to say: a line, its newline, its NUL. */
static void any_room(void **state)
{
    (void)state;
    char path[108], text[64];
    memset(path, '\x01', sizeof path);
    memset(text, '\x01', sizeof text);
    struct sonde_probe_event event = event_of(SONDE_OP_CONNECT, INT32_MIN, -EPROTONOSUPPORT);
    event.path = path;
    event.path_bytes = sizeof path;
    event.flags = SONDE_PROBE_RING;
    for (size_t size = 2; size <= CALLS_LINE_SIZE; size++) {
        char *line = malloc(size);
        assert_non_null(line);
        size_t n = calls_render(&event, INT64_MIN / 2, line, size);
        assert_true(n >= 1 && n < size);
        assert_int_equal(line[n - 1], '\n');
        assert_int_equal(line[n], '\0');
        if (size == CALLS_LINE_SIZE)
            assert_non_null(strstr(line, "(protocol not supported)"));
        free(line);
    }
}

/* Every byte a peer may send, and every operation: nothing but printable characters and the newline comes out. */
static void nothing_that_a_terminal_obeys(void **state)
{
    (void)state;
    char bytes[256];
    for (int i = 0; i < 256; i++)
        bytes[i] = (char)i;
    for (int operation = 0; operation < SONDE_N_OPERATIONS; operation++) {
        for (size_t at = 0; at + 108 <= sizeof bytes; at++) {
            struct sonde_probe_event event = event_of((enum sonde_operation)operation, 5, 64);
            event.data = bytes + at;
            event.n_bytes = 64;
            event.path = bytes + at;
            event.path_bytes = 108;
            char line[CALLS_LINE_SIZE];
            size_t n = calls_render(&event, ORIGIN_NS, line, sizeof line);
            assert_true(utf8_is_valid(line, n));
            for (size_t i = 0; i + 1 < n; i++)
                assert_true((unsigned char)line[i] >= 0x20 && line[i] != 0x7f);
        }
    }
}

static void datagrams(void **state)
{
    (void)state;
    struct sonde_probe_event event = event_of(SONDE_OP_RECEIVE, 3, 5);
    event.data = "hello";
    event.n_bytes = 2048;
    event.address = loopback(4000);
    check(&event, "0.000 000 recv(3, \"hello\", 2048, 127.0.0.1:4000) = 5 4 us");
    event.result = 0; /* an empty one is no end */
    check(&event, "0.000 000 recv(3, \"\", 2048, 127.0.0.1:4000) = 0 4 us");
    event.operation = SONDE_OP_SEND;
    event.n_bytes = 2;
    event.result = -EMSGSIZE;
    check(&event, "0.000 000 send(3, \"he\", 2, 127.0.0.1:4000) = -1 EMSGSIZE (message too long) 4 us");
    /* Longer than the room for it: what is not there is not shown. */
    event.operation = SONDE_OP_RECEIVE;
    event.result = 9000;
    event.n_bytes = 5;
    check(&event, "0.000 000 recv(3, \"hello\", 5, 127.0.0.1:4000) = 9000 4 us");
    char arguments[CALLS_LINE_SIZE];
    struct event made;
    calls_event(&event, arguments, &made);
    assert_int_equal(made.call.n_data, 5);
    assert_true(made.call.datagram);
}

static void handshakes(void **state)
{
    (void)state;
    static const char agreed[] = "TLSv1.3, CN=\033x";
    struct sonde_probe_event event = event_of(SONDE_OP_HANDSHAKE, 3, 0);
    event.args[0] = SONDE_LAYER_TLS;
    event.data = agreed;
    event.n_bytes = sizeof agreed - 1;
    check(&event, "0.000 000 handshake(3, TLS, \"TLSv1.3, CN=\\x1bx\") = 0 4 us");
    char arguments[CALLS_LINE_SIZE];
    struct event made;
    calls_event(&event, arguments, &made);
    assert_int_equal(made.kind, EVENT_KIND_HANDSHAKE);
    assert_int_equal(made.handshake.layer, SONDE_LAYER_TLS);
    assert_int_equal(made.handshake.start_ns, event.start_ns);
    assert_string_equal(made.handshake.agreed, agreed);
    event.result = -ECONNRESET;
    event.data = NULL;
    event.n_bytes = 0;
    check(&event, "0.000 000 handshake(3, TLS) = -1 ECONNRESET (connection reset by peer) 4 us");
    calls_event(&event, arguments, &made);
    assert_null(made.handshake.agreed);
}

static void messages(void **state)
{
    (void)state;
    char arguments[CALLS_LINE_SIZE];
    struct event made;
    struct sonde_probe_event event = event_of(SONDE_OP_MESSAGE_OUT, 3, 5);
    event.args[0] = 1;
    event.args[1] = 1;
    event.data = "he\"lo";
    event.n_bytes = 5;
    check(&event, "0.000 000 message out(3, text, \"he\\\"lo\", 5, compressed) 4 us");
    calls_event(&event, arguments, &made);
    assert_int_equal(made.kind, EVENT_KIND_MESSAGE);
    assert_int_equal(made.message.kind, MESSAGE_TEXT);
    assert_int_equal(made.message.from, END_A);
    assert_int_equal(made.message.n_data, 5);
    assert_true(made.message.compressed);
    event.operation = SONDE_OP_MESSAGE_IN;
    event.args[0] = 8;
    event.args[1] = 0;
    event.data = "\x03\xe8"
                 "bye";
    check(&event, "0.000 000 message in(3, close, 1000, \"bye\") 4 us");
    calls_event(&event, arguments, &made);
    assert_int_equal(made.message.from, END_B);
    assert_int_equal(made.message.code, 1000);
    assert_memory_equal(made.message.data, "bye", 3);
    event.n_bytes = 0;
    event.data = NULL;
    calls_event(&event, arguments, &made);
    assert_int_equal(made.message.code, 1005);
    event.args[0] = 11;
    calls_event(&event, arguments, &made);
    assert_int_equal(made.message.kind, MESSAGE_OTHER);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(datagrams),
        cmocka_unit_test(handshakes),
        cmocka_unit_test(messages),
        cmocka_unit_test(columns),
        cmocka_unit_test(sockets),
        cmocka_unit_test(socket_options),
        cmocka_unit_test(socket_options_that_are_no_number),
        cmocka_unit_test(addresses),
        cmocka_unit_test(paths),
        cmocka_unit_test(data),
        cmocka_unit_test(previews),
        cmocka_unit_test(plain_numbers),
        cmocka_unit_test(times),
        cmocka_unit_test(any_room),
        cmocka_unit_test(nothing_that_a_terminal_obeys),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
