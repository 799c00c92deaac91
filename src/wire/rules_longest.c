/* SPDX-License-Identifier: MIT */
/* How long a packet is under way at most: every delay at its longest, every queue full of full frames. */
#include "wire/rules_internal.h"

#define FRAME_BYTES 1514

static int64_t sum(int64_t one, int64_t other)
{
    return one > INT64_MAX - other ? INT64_MAX : one + other;
}

/* So many bytes on this line. */
static int64_t line_ns(const struct wire_rule *rule, uint64_t n_bytes)
{
    __extension__ typedef unsigned __int128 wide;
    wide ns = (wide)n_bytes * 8 * (uint64_t)NS_PER_S / rule->bits_per_s + 1;
    return ns > INT64_MAX ? INT64_MAX : (int64_t)ns;
}

static int64_t least(int64_t one, int64_t other)
{
    return one < other ? one : other;
}

/* In the queue by the narrowest of its bounds, behind one that is being sent; then on the line itself. */
static int64_t rate_ns(const struct wire_rule *rule)
{
    int64_t wait_ns = INT64_MAX;

    if (rule->bits_per_s == 0)
        return 0;
    if (rule->queue_ns != 0)
        wait_ns = rule->queue_ns;
    if (rule->queue_bytes != 0)
        wait_ns = least(wait_ns, line_ns(rule, rule->queue_bytes + FRAME_BYTES));
    if (rule->queue_packets != 0)
        wait_ns = least(wait_ns, line_ns(rule, ((uint64_t)rule->queue_packets + 1) * FRAME_BYTES));
    return sum(wait_ns, line_ns(rule, FRAME_BYTES));
}

int64_t wire_rules_longest_ns(const struct wire_rules *rules)
{
    int64_t longest_ns = 0;

    for (uint32_t i = 0; i < rules->n && i < WIRE_RULES_MAX; i++) {
        const struct wire_rule *rule = &rules->rule[i];
        if (rule->action == WIRE_DELAY)
            longest_ns = sum(longest_ns, sum(rule->delay_ns, rule->jitter_ns));
        else if (rule->action == WIRE_REORDER)
            longest_ns = sum(longest_ns, rule->delay_ns);
        else if (rule->action == WIRE_RATE)
            longest_ns = sum(longest_ns, rate_ns(rule));
    }
    return longest_ns;
}
