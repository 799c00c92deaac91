/* SPDX-License-Identifier: MIT */
/*
 * How long the kernel goes on. Each repeat doubles the wait for the next one, up to 120 s.
 *
 * An open connection: tcp_retries2 is no count but a time, the sum of so many waits that begin at 200 ms and double. It
 * is held against the time since the first repeat whenever the timer fires, so that the end falls on one of the
 * connection's own, longer waits. The timer fires up to 2 % late.
 *
 * A SYN: the first waits are all 1 s (tcp_syn_linear_timeouts, 4 since Linux 6.5, none before), and these repeats do
 * not count; tcp_syn_retries more follow, and connect() fails one wait after the last. How many do not double shows in
 * the current wait, once it has doubled.
 *
 * A SYN-ACK: 1 s, doubling, tcp_synack_retries times, and one wait more.
 */
#include "observe/verdict/verdict_internal.h"

#define RTO_MIN_NS (200 * NS_PER_MS)
#define RTO_MAX_NS (120 * NS_PER_S)
#define LINEAR_RETRIES 4
#define RETRIES_MAX 255 /* what the kernel's own counter holds */
#define DOUBLINGS_MAX 30

static int64_t doubled(int64_t rto_ns)
{
    return rto_ns < RTO_MAX_NS / 2 ? rto_ns * 2 : RTO_MAX_NS;
}

static int64_t model_timeout_ns(uint32_t retries2)
{
    int64_t rto_ns = RTO_MIN_NS, sum_ns = 0;

    for (uint32_t i = 0; i <= retries2 && i <= RETRIES_MAX; i++, rto_ns = doubled(rto_ns))
        sum_ns += rto_ns;
    return sum_ns;
}

int64_t give_up_ns(uint32_t retries2, int64_t rto_ns, unsigned backoff, unsigned n_again, int64_t timer_ns)
{
    int64_t timeout_ns = model_timeout_ns(retries2), since_first_ns = 0;

    rto_ns = rto_ns > RTO_MAX_NS ? RTO_MAX_NS : rto_ns;
    int64_t wait_ns = rto_ns >> (backoff < DOUBLINGS_MAX ? backoff : DOUBLINGS_MAX);
    if (wait_ns < RTO_MIN_NS)
        wait_ns = RTO_MIN_NS;
    for (unsigned i = 1; i < n_again; i++) {
        wait_ns = doubled(wait_ns);
        since_first_ns += wait_ns;
    }
    if (rto_ns < RTO_MIN_NS)
        rto_ns = RTO_MIN_NS;
    for (since_first_ns += rto_ns; since_first_ns + since_first_ns / 50 < timeout_ns; since_first_ns += rto_ns) {
        rto_ns = doubled(rto_ns);
        timer_ns += rto_ns;
    }
    return timer_ns;
}

int64_t connect_fails_ns(uint32_t syn_retries, int64_t rto_ns, unsigned n_again, int64_t timer_ns)
{
    unsigned n_linear = LINEAR_RETRIES;

    if (rto_ns <= 0)
        rto_ns = n_again > n_linear ? NS_PER_S << (n_again - n_linear < 7 ? n_again - n_linear : 7) : NS_PER_S;
    if (rto_ns >= 2 * NS_PER_S) {
        unsigned n_doubled = 0;
        for (int64_t wait_ns = rto_ns; wait_ns >= 2 * NS_PER_S; wait_ns /= 2)
            n_doubled++;
        n_linear = n_again > n_doubled ? n_again - n_doubled : 0;
    }
    if (syn_retries > RETRIES_MAX)
        syn_retries = RETRIES_MAX;
    for (unsigned n = n_again; n < n_linear + syn_retries; n++) {
        if (n >= n_linear)
            rto_ns = doubled(rto_ns);
        timer_ns += rto_ns;
    }
    return timer_ns;
}

int64_t synack_gives_up_ns(uint32_t synack_retries, unsigned n_again, int64_t timer_ns)
{
    int64_t wait_ns = NS_PER_S;

    if (synack_retries > RETRIES_MAX)
        synack_retries = RETRIES_MAX;
    for (unsigned n = 1; n <= synack_retries; n++) {
        wait_ns = doubled(wait_ns);
        if (n > n_again)
            timer_ns += wait_ns;
    }
    return timer_ns;
}
