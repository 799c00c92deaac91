/* SPDX-License-Identifier: MIT */
/* Verdicts on what the kernel really said (dumps/README.md): each socket of each scenario, and what is told of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "verdict_bench.h"

#include <stdio.h>

#define DUMP_BYTES 8192

/* Of a scenario: the sockets in this state with this local port (0: any), and the verdict on every one of them; NULL:
 * it is well. */
struct expected {
    const char *dump;
    enum tcp_state state;
    uint16_t port;
    const char *verdict;
};

static const struct expected expected[] = {
    {"full-backlog", TCP_STATE_LISTEN, 2001, "accept-queue-full"},
    {"full-backlog", TCP_STATE_ESTABLISHED, 2001, "not-accepted"},
    {"full-backlog", TCP_STATE_SYN_SENT, 0, NULL}, /* its first SYN is on its way */
    {"half-open", TCP_STATE_LISTEN, 2002, NULL},
    {"established", TCP_STATE_ESTABLISHED, 2003, "not-reading"},
    {"established", TCP_STATE_ESTABLISHED, 59996, NULL},
    {"half-closed", TCP_STATE_CLOSE_WAIT, 2004, "not-reading"},
    {"half-closed-empty", TCP_STATE_CLOSE_WAIT, 2005, "close-wait"},
    {"half-closed-empty", TCP_STATE_FIN_WAIT_2, 0, "fin-wait-2"},
    {"closed-window", TCP_STATE_ESTABLISHED, 41436, "window-closed"},
    {"closed-window", TCP_STATE_ESTABLISHED, 2010, "receive-buffer-full"},
    {"retransmitting", TCP_STATE_ESTABLISHED, 57742, "retransmitting"},
    {"retransmitting", TCP_STATE_ESTABLISHED, 2007, NULL},
    {"fin-wait-1", TCP_STATE_FIN_WAIT_1, 57742, "retransmitting"},
    {"closing", TCP_STATE_CLOSING, 0, NULL}, /* just begun: nothing was sent again yet */
    {"last-ack", TCP_STATE_LAST_ACK, 0, NULL},
    {"time-wait", TCP_STATE_TIME_WAIT, 0, NULL},
    {"udp", TCP_STATE_CLOSED, 2014, "not-reading"},
    {"families", TCP_STATE_LISTEN, 0, NULL},
};

static size_t load(const char *name, unsigned char bytes[DUMP_BYTES])
{
    char path[512];
    snprintf(path, sizeof path, TEST_FOLDER "/dumps/%s.bin", name);
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    size_t n = fread(bytes, 1, DUMP_BYTES, file);
    fclose(file);
    assert_true(n > 0);
    return n;
}

/* After 100 s in its state, with whatever was waiting waiting for as long. */
static const struct socket_verdict *verdict_on(const struct socket_info *socket)
{
    struct bench bench;
    enum verdict_weight weight;
    begin(&bench, socket->state);
    bench.socket = *socket;
    bench.socket.info.last_data_sent_ms += 100000;
    bench.socket.info.last_data_recv_ms += 100000;
    bench.socket.info.last_ack_recv_ms += 100000;
    int64_t since_ns = NOW_NS - 100 * NS_PER_S;
    if (socket->state == TCP_STATE_LISTEN && socket->receive_queue > 0)
        bench.past.no_accept_since_ns = since_ns;
    if (socket->state == TCP_STATE_LISTEN && socket->receive_queue > socket->send_queue)
        bench.past.queue_full_since_ns = since_ns;
    if (socket->state != TCP_STATE_LISTEN && socket->receive_queue > 0)
        bench.past.unread_since_ns = since_ns;
    if (socket->state != TCP_STATE_LISTEN && socket->send_queue > 0)
        bench.past.unsent_since_ns = since_ns;
    if (socket->has_info && socket->info.snd_wnd == 0 && socket->send_queue > 0)
        bench.past.window_zero_since_ns = since_ns;
    return socket_judge(&bench.about, &weight, bench.brief, bench.text);
}

static void recorded_sockets_get_their_verdicts(void **state)
{
    static _Alignas(4) unsigned char bytes[DUMP_BYTES];
    unsigned n_seen[sizeof expected / sizeof expected[0]] = {0};
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++) {
        size_t n = load(expected[i].dump, bytes);
        for (size_t at = 0; at < n;) {
            struct socket_info socket;
            uint32_t n_message;
            memset(&socket, 0, sizeof socket);
            memcpy(&n_message, bytes + at, sizeof n_message);
            assert_true(sockets_parse(bytes + at, n_message, &socket));
            at += (n_message + 3u) & ~3u;
            if (socket.state != expected[i].state || (expected[i].port != 0 && socket.local.port != expected[i].port))
                continue;
            n_seen[i]++;
            const struct socket_verdict *verdict = verdict_on(&socket);
            if (!expected[i].verdict && verdict)
                fail_msg("%s: %s is told of a socket that is well", expected[i].dump, verdict->name);
            else if (!expected[i].verdict)
                continue;
            else if (!verdict)
                fail_msg("%s: %s is not told", expected[i].dump, expected[i].verdict);
            else
                assert_string_equal(verdict->name, expected[i].verdict);
        }
        if (n_seen[i] == 0)
            fail_msg("%s has no socket in this state", expected[i].dump);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(recorded_sockets_get_their_verdicts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
