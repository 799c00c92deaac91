/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "observe/sockets/sockets_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Shortened, of a running machine. */
static const char netstat[] = "TcpExt: SyncookiesSent ListenOverflows ListenDrops TCPTimeWaitOverflow "
                              "TCPReqQFullDoCookies TCPReqQFullDrop TCPRetransFail\n"
                              "TcpExt: 0 14 15 3 16 17 0\n"
                              "IpExt: InNoRoutes ListenDrops\n"
                              "IpExt: 0 99\n";

static const char snmp[] = "Ip: Forwarding DefaultTTL\n"
                           "Ip: 2 64\n"
                           "Tcp: RtoAlgorithm RtoMin RtoMax MaxConn ActiveOpens PassiveOpens AttemptFails "
                           "EstabResets CurrEstab InSegs OutSegs RetransSegs InErrs OutRsts InCsumErrors\n"
                           "Tcp: 1 200 120000 -1 600 500 33 7 42 9000 9100 18446744073709551615 0 21 0\n";

static const char sockstat[] = "sockets: used 300\nTCP: inuse 9 orphan 2 tw 1234 alloc 12 mem 0\nUDP: inuse 1 mem 0\n";

static void pairs(void **state)
{
    (void)state;
    struct socket_counters counters = {0};
    counters_parse_pairs(netstat, strlen(netstat), &counters);
    counters_parse_pairs(snmp, strlen(snmp), &counters);
    assert_int_equal(counters.listen_overflows, 14);
    assert_int_equal(counters.listen_drops, 15);
    assert_int_equal(counters.time_wait_overflows, 3);
    assert_int_equal(counters.syn_queue_full_cookies, 16);
    assert_int_equal(counters.syn_queue_full_drops, 17);
    assert_int_equal(counters.attempt_fails, 33);
    assert_int_equal(counters.established, 42);
    assert_true(counters.retransmitted_segments == UINT64_MAX);
    assert_int_equal(counters.resets_sent, 21);
}

static void time_wait(void **state)
{
    (void)state;
    struct socket_counters counters = {0};
    counters_parse_sockstat(sockstat, strlen(sockstat), &counters);
    assert_int_equal(counters.n_time_wait, 1234);
    const char large[] = "TCP: tw 99999999999\n";
    counters_parse_sockstat(large, strlen(large), &counters);
    assert_true(counters.n_time_wait == UINT32_MAX);
}

static void settings(void **state)
{
    (void)state;
    uint64_t numbers[2] = {7, 7};
    assert_int_equal(counters_parse_setting("32768\t60999\n", 12, numbers), 2);
    assert_int_equal(numbers[0], 32768);
    assert_int_equal(numbers[1], 60999);
    assert_int_equal(counters_parse_setting("15\n", 3, numbers), 1);
    assert_int_equal(counters_parse_setting("", 0, numbers), 0);
    assert_int_equal(counters_parse_setting("x\n", 2, numbers), 0);
}

/* Cut at every byte, and other damage: what is whole counts, nothing is read too far. */
static void damaged(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "TcpExt: ListenDrops\nTcp: 5\n",
        "TcpExt: ListenDrops\n",
        "TcpExt: ListenDrops\nTcpExt: five\n",
        "TcpExt ListenDrops\nTcpExt 5\n",
        "TcpExt: ListenDrops\nTcpExt: 5 6 7x\n\n",
        "\n\n",
        "TcpExt:\nTcpExt: 5\n",
        "TcpExt: ListenDrops\nTcpExt: 99999999999999999999999\n",
    };
    for (size_t n = 0; n < strlen(netstat); n++) {
        struct socket_counters counters = {0};
        char *cut = malloc(n > 0 ? n : 1);
        assert_non_null(cut);
        memcpy(cut, netstat, n);
        counters_parse_pairs(cut, n, &counters);
        counters_parse_sockstat(cut, n, &counters);
        assert_true(counters.listen_drops == 0 || counters.listen_drops == 15 || counters.listen_drops == 1);
        free(cut);
    }
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct socket_counters counters = {0};
        counters_parse_pairs(texts[i], strlen(texts[i]), &counters);
        assert_int_equal(counters.listen_drops, i == 4 ? 5 : 0);
    }
}

/* Of the machine that runs this. */
static void here(void **state)
{
    (void)state;
    struct socket_counters counters;
    sockets_counters(&counters);
    assert_true(counters.port_low > 0 && counters.port_low <= counters.port_high);
    assert_true(counters.retries2 > 0 && counters.fin_timeout_ns >= NS_PER_S);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pairs),   cmocka_unit_test(time_wait), cmocka_unit_test(settings),
        cmocka_unit_test(damaged), cmocka_unit_test(here),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
