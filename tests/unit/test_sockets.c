/* SPDX-License-Identifier: MIT */
/* Recorded dumps (dumps/README.md), and damaged ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "observe/sockets/sockets_internal.h"

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define DUMP_BYTES 8192
#define SOCKETS_MAX 16

struct dump {
    _Alignas(4) unsigned char bytes[DUMP_BYTES];
    size_t n_bytes, n_sockets;
    struct socket_info socket[SOCKETS_MAX];
};

static struct dump dump;

static void load(const char *name)
{
    char path[512];

    snprintf(path, sizeof path, TEST_FOLDER "/dumps/%s.bin", name);
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    dump.n_bytes = fread(dump.bytes, 1, sizeof dump.bytes, file);
    fclose(file);
    assert_in_range(dump.n_bytes, 1, sizeof dump.bytes - 1);
    dump.n_sockets = 0;
    memset(dump.socket, 0xee, sizeof dump.socket);
    for (size_t at = 0; at < dump.n_bytes;) {
        uint32_t n_message;
        memcpy(&n_message, dump.bytes + at, sizeof n_message);
        assert_true(sockets_parse(dump.bytes + at, n_message, &dump.socket[dump.n_sockets++]));
        at += (n_message + 3u) & ~3u;
        assert_true(dump.n_sockets < SOCKETS_MAX);
    }
}

/* The only one in this state whose local port, or else the peer's, is this; 0: any. */
static const struct socket_info *one(enum tcp_state state, uint16_t local, uint16_t peer)
{
    const struct socket_info *found = NULL;

    for (size_t i = 0; i < dump.n_sockets; i++) {
        const struct socket_info *socket = &dump.socket[i];
        if (socket->state != state || (local != 0 && socket->local.port != local) ||
            (peer != 0 && socket->peer.port != peer))
            continue;
        assert_null(found);
        found = socket;
    }
    assert_non_null(found);
    return found;
}

static void check_queues(const struct socket_info *socket, uint32_t receive_queue, uint32_t send_queue)
{
    assert_int_equal(socket->receive_queue, receive_queue);
    assert_int_equal(socket->send_queue, send_queue);
}

static void full_backlog(void **state)
{
    (void)state;
    load("full-backlog");
    const struct socket_info *listener = one(TCP_STATE_LISTEN, 2001, 0);
    check_queues(listener, 2, 1); /* one more than its limit */
    assert_int_equal(listener->peer.port, 0);
    assert_true(listener->inode != 0 && listener->has_info);
    assert_int_equal(listener->info.unacked, 2);
    assert_int_equal(listener->info.sacked, 1);
    const struct socket_info *late = one(TCP_STATE_SYN_SENT, 0, 2001);
    check_queues(late, 0, 0); /* the SYN is no byte */
    assert_int_equal(late->timer, TIMER_RETRANSMIT);
    assert_in_range(late->timer_ns, 1, NS_PER_S);
    unsigned n_waiting = 0;
    for (size_t i = 0; i < dump.n_sockets; i++)
        n_waiting += dump.socket[i].state == TCP_STATE_ESTABLISHED && dump.socket[i].local.port == 2001 &&
                     dump.socket[i].inode == 0;
    assert_int_equal(n_waiting, 2); /* nobody holds what is not accepted */
}

static void half_open(void **state)
{
    (void)state;
    load("half-open");
    const struct socket_info *half = one(TCP_STATE_SYN_RECV, 2002, 0);
    assert_int_equal(half->timer, TIMER_RETRANSMIT);
    assert_int_equal(half->inode, 0);
    assert_false(half->has_info || half->has_memory);
    assert_string_equal(half->congestion, "");
    assert_true(half->cookie != 0);
    check_queues(half, 0, 0);
    one(TCP_STATE_ESTABLISHED, 0, 2002);
    check_queues(one(TCP_STATE_LISTEN, 2002, 0), 0, 16);
}

static void established(void **state)
{
    (void)state;
    char text[SONDE_ADDRESS_TEXT];
    load("established");
    const struct socket_info *server = one(TCP_STATE_ESTABLISHED, 2003, 0);
    check_queues(server, 12, 0);
    assert_int_equal(server->family, AF_INET);
    assert_int_equal(server->type, SOCK_STREAM);
    assert_int_equal(server->protocol, IPPROTO_TCP);
    sonde_address_format(&server->local, text, sizeof text);
    assert_string_equal(text, "127.0.0.1:2003");
    assert_true(server->has_info && server->has_memory);
    assert_int_equal(server->info.n_bytes, 280);
    assert_int_equal(server->info.bytes_received, 12);
    assert_int_equal(server->info.accecn_opt_seen, 0); /* more than that kernel gave: zeroed */
    assert_in_range(server->memory.receive_used, 12, server->memory.receive_limit);
    assert_string_equal(server->congestion, "bbr");
    const struct socket_info *client = one(TCP_STATE_ESTABLISHED, 0, 2003);
    check_queues(client, 0, 0);
    assert_int_equal(client->timer, TIMER_KEEPALIVE);
    assert_int_equal(client->timer_ns / NS_PER_S, 7200);
    assert_true(client->cookie != server->cookie);
    assert_int_equal(client->info.bytes_acked, 13); /* the SYN too: the kernel's number */
}

static void half_closed(void **state)
{
    (void)state;
    load("half-closed");
    check_queues(one(TCP_STATE_CLOSE_WAIT, 2004, 0), 12, 0); /* the FIN behind them is no byte */
    assert_int_equal(one(TCP_STATE_CLOSE_WAIT, 2004, 0)->shutdown, 1);
    const struct socket_info *closer = one(TCP_STATE_FIN_WAIT_2, 0, 2004);
    check_queues(closer, 0, 0);
    assert_int_equal(closer->shutdown, 2);
    assert_int_equal(closer->timer, TIMER_NONE);
    /* Whether the program has read the end of data or not. */
    load("half-closed-empty");
    check_queues(one(TCP_STATE_CLOSE_WAIT, 2005, 0), 0, 0);
    load("half-closed-told");
    check_queues(one(TCP_STATE_CLOSE_WAIT, 2005, 0), 0, 0);
}

static void time_wait(void **state)
{
    (void)state;
    load("time-wait");
    assert_int_equal(dump.n_sockets, 1);
    const struct socket_info *socket = one(TCP_STATE_TIME_WAIT, 0, 2006);
    assert_int_equal(socket->timer, TIMER_TIME_WAIT);
    assert_in_range(socket->timer_ns, 50 * NS_PER_S, 60 * NS_PER_S);
    assert_int_equal(socket->inode, 0);
    assert_false(socket->has_info);
}

static void unanswered(void **state)
{
    (void)state;
    load("retransmitting");
    const struct socket_info *sender = one(TCP_STATE_ESTABLISHED, 0, 2007);
    check_queues(sender, 0, 5);
    assert_int_equal(sender->timer, TIMER_RETRANSMIT);
    assert_true(sender->n_retransmits >= 2);
    assert_int_equal(sender->info.retransmits, sender->n_retransmits);
    load("fin-wait-1");
    check_queues(one(TCP_STATE_FIN_WAIT_1, 0, 2007), 0, 5);
    load("last-ack");
    const struct socket_info *orphan = one(TCP_STATE_LAST_ACK, 2008, 0);
    check_queues(orphan, 0, 3);
    assert_int_equal(orphan->inode, 0);
    load("closing");
    check_queues(one(TCP_STATE_CLOSING, 0, 2009), 0, 3);
}

static void closed_window(void **state)
{
    (void)state;
    load("closed-window");
    const struct socket_info *sender = one(TCP_STATE_ESTABLISHED, 0, 2010);
    assert_int_equal(sender->timer, TIMER_PROBE);
    assert_int_equal(sender->info.snd_wnd, 0);
    assert_true(sender->send_queue > 0);
    assert_int_equal(sender->info.notsent_bytes, sender->send_queue);
    assert_true(one(TCP_STATE_ESTABLISHED, 2010, 0)->receive_queue > 0);
}

static void families(void **state)
{
    (void)state;
    load("families");
    assert_true(one(TCP_STATE_LISTEN, 2011, 0)->v6_only);
    const struct socket_info *dual = one(TCP_STATE_LISTEN, 2012, 0), *accepted = one(TCP_STATE_ESTABLISHED, 2012, 0);
    assert_int_equal(dual->family, AF_INET6);
    assert_false(dual->v6_only);
    assert_int_equal(accepted->local.family, AF_INET6); /* ::ffff:127.0.0.1 */
    assert_int_equal(accepted->local.u.ip[11], 0xff);
    assert_int_equal(accepted->local.u.ip[12], 127);
    const struct socket_info *bound = one(TCP_STATE_CLOSED, 2013, 0);
    assert_true(bound->inode != 0);
    load("udp");
    check_queues(one(TCP_STATE_ESTABLISHED, 0, 2014), 0, 0);
    assert_true(one(TCP_STATE_CLOSED, 2014, 0)->receive_queue >= 8);
}

static void unix_sockets(void **state)
{
    (void)state;
    load("unix");
    const struct socket_info *listener = one(TCP_STATE_LISTEN, 0, 0), *abstract = one(TCP_STATE_CLOSED, 0, 0);
    check_queues(listener, 1, 3);
    assert_string_equal(listener->unix_name, "./s");
    assert_int_equal(listener->n_unix_name, 3); /* without the NUL that the kernel sends */
    assert_int_equal(listener->local.family, AF_UNIX);
    assert_int_equal(listener->protocol, 0);
    assert_int_equal(abstract->type, SOCK_DGRAM);
    assert_int_equal(abstract->n_unix_name, 4);
    assert_memory_equal(abstract->unix_name, "\0a\0b", 5);
    const struct socket_info *server = NULL;
    for (size_t i = 0; i < dump.n_sockets; i++)
        if (dump.socket[i].receive_queue == 6)
            server = &dump.socket[i];
    assert_non_null(server);
    assert_int_equal(server->state, TCP_STATE_ESTABLISHED);
    assert_true(server->peer_inode != 0 && server->peer_inode != server->inode);
}

/* ---- made by hand */

/* The kernel's layout (linux/inet_diag.h): what stands where, from the start of the message. */
enum { AT_TYPE = 4, AT_FAMILY = 16, AT_STATE, AT_PORTS = 20, AT_SOURCE = 24, AT_DESTINATION = 40, AT_INTERFACE = 56 };
enum { AT_RQUEUE = 72, AT_WQUEUE = 76, MESSAGE_BYTES = 88 };
enum { SOCK_DIAG_BY_FAMILY = 20 };
enum { ATTRIBUTE_INFO = 2, ATTRIBUTE_CONG = 4, ATTRIBUTE_SKMEMINFO = 7, ATTRIBUTE_PROTOCOL = 10 };

static _Alignas(4) unsigned char message[512];

static void put32(size_t at, uint32_t number)
{
    memcpy(message + at, &number, sizeof number);
}

static size_t make(uint8_t kernel_state, uint32_t rqueue, uint32_t wqueue)
{
    memset(message, 0, sizeof message);
    put32(0, MESSAGE_BYTES);
    message[AT_TYPE] = SOCK_DIAG_BY_FAMILY;
    message[AT_FAMILY] = AF_INET6;
    message[AT_STATE] = kernel_state;
    message[AT_PORTS + 1] = 80;
    memcpy(message + AT_SOURCE, "\xfe\xbf", 2); /* the last of fe80::/10 */
    memcpy(message + AT_DESTINATION, "\xfe\xc0", 2);
    put32(AT_INTERFACE, 3);
    put32(AT_RQUEUE, rqueue);
    put32(AT_WQUEUE, wqueue);
    return MESSAGE_BYTES;
}

/* An attribute behind a message of n_bytes. Returns the length with it. */
static size_t append(size_t n_bytes, uint32_t type, const void *value, uint32_t n_value)
{
    put32(n_bytes, (n_value + 4) | type << 16); /* two 16-bit numbers */
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    put32(n_bytes, (n_value + 4) << 16 | type);
#endif
    memcpy(message + n_bytes + 4, value, n_value);
    size_t n_whole = n_bytes + ((n_value + 4 + 3u) & ~3u);
    put32(0, (uint32_t)n_whole);
    return n_whole;
}

static void queues_of_each_state(void **state)
{
    (void)state;
    static const struct {
        uint8_t kernel;
        enum tcp_state state;
        uint32_t receive[2], send[2]; /* what the kernel says, what is shown */
    } rows[] = {
        {1, TCP_STATE_ESTABLISHED, {1, 1}, {1, 1}}, {2, TCP_STATE_SYN_SENT, {0, 0}, {1, 0}},
        {2, TCP_STATE_SYN_SENT, {0, 0}, {6, 5}},    {3, TCP_STATE_SYN_RECV, {0, 0}, {1, 0}},
        {3, TCP_STATE_SYN_RECV, {5, 5}, {9, 9}},    {4, TCP_STATE_FIN_WAIT_1, {7, 7}, {1, 0}},
        {5, TCP_STATE_FIN_WAIT_2, {7, 7}, {0, 0}},  {8, TCP_STATE_CLOSE_WAIT, {1, 0}, {4, 4}},
        {8, TCP_STATE_CLOSE_WAIT, {0, 0}, {4, 4}},  {9, TCP_STATE_LAST_ACK, {3, 2}, {1, 0}},
        {10, TCP_STATE_LISTEN, {1, 1}, {1, 1}},     {11, TCP_STATE_CLOSING, {1, 0}, {2, 1}},
        {12, TCP_STATE_SYN_RECV, {0, 0}, {0, 0}},   {13, TCP_STATE_CLOSED, {0, 0}, {0, 0}},
        {7, TCP_STATE_CLOSED, {3, 3}, {1, 1}},      {200, TCP_STATE_UNKNOWN, {1, 1}, {1, 1}},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct socket_info socket;
        size_t n = make(rows[i].kernel, rows[i].receive[0], rows[i].send[0]);
        assert_true(sockets_parse(message, n, &socket));
        assert_int_equal(socket.state, rows[i].state);
        check_queues(&socket, rows[i].receive[1], rows[i].send[1]);
    }
}

static void zones(void **state)
{
    (void)state;
    struct socket_info socket;
    size_t n = make(1, 0, 0);
    assert_true(sockets_parse(message, n, &socket));
    assert_int_equal(socket.local.scope, 3);
    assert_int_equal(socket.peer.scope, 0); /* fec0:: is not link-local */
    assert_int_equal(socket.interface, 3);
}

static void protocols(void **state)
{
    (void)state;
    struct socket_info socket;
    size_t n = append(make(7, 0, 0), ATTRIBUTE_PROTOCOL, "\x11", 1);
    assert_true(sockets_parse(message, n, &socket));
    assert_int_equal(socket.protocol, IPPROTO_UDP);
    assert_int_equal(socket.type, SOCK_DGRAM);
}

/* Larger than is known here, and smaller. */
static void other_kernels_info(void **state)
{
    (void)state;
    unsigned char info[400];
    struct socket_info socket;
    memset(info, 1, sizeof info);
    size_t n = append(make(1, 0, 0), ATTRIBUTE_INFO, info, sizeof info);
    assert_true(sockets_parse(message, n, &socket));
    assert_int_equal(socket.info.n_bytes, TCP_INFO_KERNEL_BYTES);
    assert_int_equal(socket.info.accecn_opt_seen, 0x0101);
    n = append(make(1, 0, 0), ATTRIBUTE_INFO, info, 104);
    memset(&socket, 0xee, sizeof socket);
    assert_true(sockets_parse(message, n, &socket));
    assert_int_equal(socket.info.n_bytes, 104);
    assert_int_equal(socket.info.total_retrans, 0x01010101);
    assert_int_equal(socket.info.pacing_rate, 0);
    n = append(make(1, 0, 0), ATTRIBUTE_SKMEMINFO, info, 10); /* two numbers and a half */
    assert_true(sockets_parse(message, n, &socket));
    assert_int_equal(socket.memory.receive_limit, 0x01010101);
    assert_int_equal(socket.memory.send_used, 0);
    n = append(make(1, 0, 0), ATTRIBUTE_CONG, info, 40);
    assert_true(sockets_parse(message, n, &socket));
    assert_int_equal(strlen(socket.congestion), sizeof socket.congestion - 1);
}

/* Nothing is read past the end, and the caller's socket is left alone. */
static void damaged(void **state)
{
    (void)state;
    static const char *const names[] = {"established", "unix", "half-open"};
    struct socket_info socket, untouched;
    unsigned n_refused = 0;
    memset(&untouched, 0x55, sizeof untouched);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        load(names[i]);
        uint32_t n_message;
        memcpy(&n_message, dump.bytes, sizeof n_message);
        for (uint32_t n = 0; n < n_message; n++) {
            unsigned char *cut = malloc(n > 0 ? n : 1); /* so that a byte too far is seen */
            assert_non_null(cut);
            memcpy(cut, dump.bytes, n);
            socket = untouched;
            assert_false(sockets_parse(cut, n, &socket)); /* the length inside is longer */
            if (n >= sizeof n)
                memcpy(cut, &n, sizeof n);
            if (!sockets_parse(cut, n, &socket)) {
                n_refused++;
                assert_memory_equal(&socket, &untouched, sizeof socket);
            }
            free(cut);
        }
    }
    assert_true(n_refused > 100);
    load("established");
    dump.bytes[4] = 3; /* NLMSG_DONE */
    assert_false(sockets_parse(dump.bytes, dump.n_bytes, &socket));
    load("established");
    dump.bytes[16] = 77;
    assert_false(sockets_parse(dump.bytes, dump.n_bytes, &socket));
}

static void names(void **state)
{
    (void)state;
    assert_string_equal(socket_timer_name(TIMER_NONE), "");
    assert_string_equal(socket_timer_name(TIMER_RETRANSMIT), "retransmit");
    assert_string_equal(socket_timer_name(TIMER_PROBE), "probe");
    assert_string_equal(socket_timer_name(99), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(full_backlog),         cmocka_unit_test(half_open), cmocka_unit_test(established),
        cmocka_unit_test(half_closed),          cmocka_unit_test(time_wait), cmocka_unit_test(unanswered),
        cmocka_unit_test(closed_window),        cmocka_unit_test(families),  cmocka_unit_test(unix_sockets),
        cmocka_unit_test(queues_of_each_state), cmocka_unit_test(zones),     cmocka_unit_test(protocols),
        cmocka_unit_test(other_kernels_info),   cmocka_unit_test(damaged),   cmocka_unit_test(names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
