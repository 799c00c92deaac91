/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "verdict_bench.h"

/* ---- any values at all */

static uint64_t next_random(uint64_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}

static void fill(void *data, size_t n_bytes, uint64_t *seed)
{
    uint8_t *bytes = data;
    for (size_t i = 0; i < n_bytes; i++) {
        uint64_t dice = next_random(seed);
        bytes[i] = dice % 4 == 0 ? 0 : dice % 4 == 1 ? 0xff : (uint8_t)(dice >> 8);
    }
}

static void sound(struct bench *bench, const char *name, enum verdict_weight weight)
{
    assert_memory_equal(bench->guard, "xxxxxxxx", sizeof bench->guard);
    if (weight == VERDICT_NONE) {
        assert_int_equal(bench->brief[0], 'x');
        assert_int_equal(bench->text[0], 'x');
        return;
    }
    assert_non_null(memchr(bench->brief, '\0', sizeof bench->brief));
    assert_non_null(memchr(bench->text, '\0', sizeof bench->text));
    if (strlen(bench->brief) > 28 || strlen(bench->brief) == 0 || strlen(bench->text) == 0)
        fail_msg("%s: short form \"%s\", text \"%s\"", name, bench->brief, bench->text);
    assert_null(strchr(bench->text, '\n'));
    assert_int_not_equal(bench->text[strlen(bench->text) - 1], ' ');
}

static void make_any(struct bench *bench, uint64_t *seed)
{
    static const char long_name[] = "\\x1b[31mlong\\x1b[31mlong\\x1b[31mlong\\x1b[31mlong\\x1b[31mlong\\x1b[31mlong"
                                    "\\x1b[31mlong\\x1b[31mlong\\x1b[31mlong\\x1b[31mlong\\x1b[31mlong\\x1b[31mlong";
    begin(bench, next_random(seed) % TCP_N_STATES);
    struct socket_info kept = bench->socket;
    fill(&bench->socket, sizeof bench->socket, seed);
    bench->socket.has_info = next_random(seed) & 1;
    bench->socket.has_memory = next_random(seed) & 1;
    bench->socket.v6_only = false;
    bench->socket.state = kept.state;
    bench->socket.protocol = next_random(seed) % 4 ? IPPROTO_TCP : next_random(seed) % 2 ? IPPROTO_UDP : 0;
    bench->socket.timer = next_random(seed) % 6;
    if (next_random(seed) % 2)
        bench->socket.inode = 0;
    bench->socket.peer.family = next_random(seed) % 2 ? AF_INET6 : AF_INET;
    fill(&bench->past, sizeof bench->past, seed);
    bench->past.state_since_known = false;
    fill(&bench->counters, sizeof bench->counters, seed);
    fill(&bench->first, sizeof bench->first, seed);
    bench->about.now_ns = (int64_t)(next_random(seed) >> (1 + next_random(seed) % 62));
    bench->past.first_seen_ns &= INT64_MAX; /* clocks begin at 0 */
    bench->past.state_since_ns &= INT64_MAX;
    bench->past.unread_since_ns &= INT64_MAX;
    bench->past.unsent_since_ns &= INT64_MAX;
    bench->past.window_zero_since_ns &= INT64_MAX;
    bench->past.queue_full_since_ns &= INT64_MAX;
    bench->past.no_accept_since_ns &= INT64_MAX;
    bench->socket.timer_ns &= INT64_MAX >> 8;
    bench->about.counters_first_ns = 0;
    bench->about.n_half_open = next_random(seed);
    bench->about.program = long_name;
    bench->about.pid = INT32_MAX;
    bench->about.peer_is_local = next_random(seed) & 1;
}

static void any_values(void **state)
{
    (void)state;
    uint64_t seed = 88172645463325252u;
    unsigned n_applied[64] = {0};
    for (unsigned round = 0; round < 20000; round++) {
        struct bench bench;
        make_any(&bench, &seed);
        unsigned i = 0;
        for (const struct socket_verdict *const *row = socket_verdicts; *row; row++, i++) {
            memset(bench.brief, 'x', sizeof bench.brief);
            memset(bench.guard, 'x', sizeof bench.guard);
            memset(bench.text, 'x', sizeof bench.text);
            enum verdict_weight weight = (*row)->judge(&bench.about, bench.brief, bench.text);
            sound(&bench, (*row)->name, weight);
            n_applied[i] += weight != VERDICT_NONE;
        }
    }
    for (unsigned i = 0; socket_verdicts[i]; i++)
        if (n_applied[i] == 0)
            fail_msg("%s never applied", socket_verdicts[i]->name);
}

/* ---- the machine's */

static void machine(void **state)
{
    (void)state;
    struct socket_counters now = {.time_wait_limit = 1000, .port_low = 32768, .port_high = 33767}, first = now;
    struct machine_case about = {.counters = &now, .counters_first = &first, .most_peer = address(1, 80)};
    char brief[VERDICT_SHORT_MAX], text[VERDICT_TEXT_MAX];

    about.n_time_wait = 894;
    assert_int_equal(machine_time_wait_limit.judge(&about, brief, text), VERDICT_NONE);
    about.n_time_wait = 900;
    assert_int_equal(machine_time_wait_limit.judge(&about, brief, text), VERDICT_NOTE);
    assert_string_equal(brief, "TIME_WAIT: 900 of 1,000");
    assert_string_equal(text,
                        "TIME_WAIT comes near its limit (tcp_max_tw_buckets): 900 now, of 1,000 at most. At the "
                        "limit the kernel ends connections without TIME_WAIT, so that late segments of an old one "
                        "could meet a new one with the same ports. Remedy: keep connections open longer, or let "
                        "the other end close first.");
    now.time_wait_overflows = 12;
    assert_int_equal(machine_time_wait_limit.judge(&about, brief, text), VERDICT_TROUBLE);
    assert_non_null(strstr(text, "has reached its limit"));
    assert_non_null(strstr(text, "since we began to look: 12."));
    first.time_wait_overflows = 12;
    now.time_wait_limit = 0;
    assert_int_equal(machine_time_wait_limit.judge(&about, brief, text), VERDICT_NONE);

    about.n_ports_most = 794;
    assert_int_equal(machine_ports_running_out.judge(&about, brief, text), VERDICT_NONE);
    about.n_ports_most = 800;
    assert_int_equal(machine_ports_running_out.judge(&about, brief, text), VERDICT_NOTE);
    assert_string_equal(brief, "ports: 800 of 1,000");
    assert_string_equal(text, "Local ports towards 10.0.0.1:80 run out: 800 of 1,000 are in use (ip_local_port_range "
                              "32768 to 33767). Without a free one, connect() there fails with EADDRNOTAVAIL. Each end "
                              "of a connection that was closed here first keeps its port for about 60 s more "
                              "(TIME_WAIT). Remedy: keep connections open and use them again, a wider "
                              "ip_local_port_range, or more addresses at either end.");
    about.n_ports_most = 950;
    assert_int_equal(machine_ports_running_out.judge(&about, brief, text), VERDICT_TROUBLE);
    now.port_low = now.port_high = 0;
    assert_int_equal(machine_ports_running_out.judge(&about, brief, text), VERDICT_NONE);
}

static void machine_any_values(void **state)
{
    (void)state;
    uint64_t seed = 1234567;
    struct socket_counters now, first;
    struct bench bench;
    for (unsigned round = 0; round < 5000; round++) {
        struct machine_case about = {.counters = &now, .counters_first = &first, .most_peer = {.family = AF_INET6}};
        fill(&now, sizeof now, &seed);
        fill(&first, sizeof first, &seed);
        fill(&about.most_peer.u, sizeof about.most_peer.u, &seed);
        about.n_time_wait = next_random(&seed);
        about.n_ports_most = next_random(&seed) >> next_random(&seed) % 64;
        for (const struct machine_verdict *const *row = machine_verdicts; *row; row++) {
            memset(bench.brief, 'x', sizeof bench.brief);
            memset(bench.guard, 'x', sizeof bench.guard);
            memset(bench.text, 'x', sizeof bench.text);
            enum verdict_weight weight = (*row)->judge(&about, bench.brief, bench.text);
            sound(&bench, (*row)->name, weight);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_values),
        cmocka_unit_test(machine),
        cmocka_unit_test(machine_any_values),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
