/* SPDX-License-Identifier: MIT */
/* A socket that is well, with all that a verdict is told of it, for the tests of verdicts; include it behind cmocka.h.
 */
#ifndef TESTS_UNIT_VERDICT_BENCH_H
#define TESTS_UNIT_VERDICT_BENCH_H

#include "observe/verdict/verdict_internal.h"

#include <string.h>

#define NOW_NS (1000 * NS_PER_S)

/* A case that is well, with all it points to. */
struct bench {
    struct socket_info socket;
    struct socket_past past;
    struct socket_counters counters, first;
    struct socket_case about;
    char brief[VERDICT_SHORT_MAX], guard[8], text[VERDICT_TEXT_MAX];
};

static inline struct sonde_address address(uint8_t last, uint16_t port)
{
    return (struct sonde_address){.family = AF_INET, .port = port, .u.ip = {10, 0, 0, last}};
}

static inline void begin(struct bench *bench, enum tcp_state state)
{
    *bench = (struct bench){
        .socket = {.family = AF_INET,
                   .type = SOCK_STREAM,
                   .protocol = IPPROTO_TCP,
                   .state = (uint8_t)state,
                   .inode = 4711,
                   .has_info = state != TCP_STATE_SYN_RECV && state != TCP_STATE_TIME_WAIT,
                   .local = address(2, 7007)},
        .past = {.first_seen_ns = NOW_NS - 100 * NS_PER_S,
                 .state_since_ns = NOW_NS - 100 * NS_PER_S,
                 .state_since_known = true},
        .counters = {.retries2 = 15,
                     .syn_retries = 6,
                     .synack_retries = 5,
                     .somaxconn = 4096,
                     .time_wait_limit = 131072,
                     .port_low = 32768,
                     .port_high = 60999},
        .about = {.now_ns = NOW_NS, .counters_first_ns = NOW_NS - 100 * NS_PER_S, .program = "slow", .pid = 4130},
    };
    if (state == TCP_STATE_LISTEN)
        bench->socket.send_queue = 128;
    else
        bench->socket.peer = address(1, 40490);
    bench->socket.info.n_bytes = TCP_INFO_KERNEL_BYTES;
    bench->socket.info.snd_wnd = bench->socket.info.rcv_wnd = 65536;
    bench->socket.info.rto_us = 204000;
    bench->socket.info.snd_cwnd = 10;
    bench->first = bench->counters;
    bench->about.socket = &bench->socket;
    bench->about.past = &bench->past;
    bench->about.counters = &bench->counters;
    bench->about.counters_first = &bench->first;
}

static inline const struct socket_verdict *judge(struct bench *bench, enum verdict_weight *ret_weight)
{
    memset(bench->brief, 'x', sizeof bench->brief);
    memset(bench->text, 'x', sizeof bench->text);
    return socket_judge(&bench->about, ret_weight, bench->brief, bench->text);
}

static inline void is_well(struct bench *bench)
{
    enum verdict_weight weight = VERDICT_NONE;
    const struct socket_verdict *verdict = judge(bench, &weight);
    if (verdict)
        fail_msg("%s: %.*s", verdict->name, VERDICT_TEXT_MAX, bench->text);
    assert_int_equal(weight, VERDICT_NONE);
    assert_int_equal(bench->brief[0], 'x');
    assert_int_equal(bench->text[0], 'x');
}

static inline void says(struct bench *bench, const struct socket_verdict *expected, enum verdict_weight weight,
                        const char *brief, const char *text)
{
    enum verdict_weight its = VERDICT_NONE;
    const struct socket_verdict *verdict = judge(bench, &its);
    assert_non_null(verdict);
    assert_string_equal(verdict->name, expected->name);
    assert_int_equal(its, weight);
    if (brief)
        assert_string_equal(bench->brief, brief);
    if (text)
        assert_string_equal(bench->text, text);
}

static inline void contains(const struct bench *bench, const char *part)
{
    if (!strstr(bench->text, part))
        fail_msg("\"%s\" is not in: %s", part, bench->text);
}

static inline void lacks(const struct bench *bench, const char *part)
{
    if (strstr(bench->text, part))
        fail_msg("\"%s\" is in: %s", part, bench->text);
}

#endif
