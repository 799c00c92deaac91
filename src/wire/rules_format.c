/* SPDX-License-Identifier: MIT */
/* From rules to text, in ASCII, with each value in the largest unit that it is whole in. */
#include "wire/rules_internal.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

/* What fits is written; the length goes on. */
struct print {
    char *text;
    size_t size, n;
};

static void print(struct print *out, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void print(struct print *out, const char *format, ...)
{
    va_list arguments;
    bool fits = out->n < out->size;

    va_start(arguments, format);
    int n = vsnprintf(fits ? out->text + out->n : NULL, fits ? out->size - out->n : 0, format, arguments);
    va_end(arguments);
    if (n > 0)
        out->n += (size_t)n;
}

static void print_time(struct print *out, int64_t ns)
{
    if (ns % NS_PER_S == 0)
        print(out, "%" PRId64 "s", ns / NS_PER_S);
    else if (ns % NS_PER_MS == 0)
        print(out, "%" PRId64 "ms", ns / NS_PER_MS);
    else if (ns % NS_PER_US == 0)
        print(out, "%" PRId64 "us", ns / NS_PER_US);
    else
        print(out, "%" PRId64 "ns", ns);
}

static void print_share(struct print *out, uint32_t ppm)
{
    unsigned decimals = ppm % 10000;
    int n_decimals = 4;

    print(out, " %" PRIu32, ppm / 10000);
    if (decimals != 0) {
        for (; decimals % 10 == 0; decimals /= 10)
            n_decimals--;
        print(out, ".%0*u", n_decimals, decimals);
    }
    print(out, "%%");
}

static void print_rate(struct print *out, const struct wire_rule *rule)
{
    static const char *const units[] = {"bit", "kbit", "Mbit", "Gbit"};
    uint64_t bits = rule->bits_per_s;
    unsigned unit = 0;

    for (; unit < 3 && bits != 0 && bits % 1000 == 0; unit++)
        bits /= 1000;
    print(out, "rate %" PRIu64 "%s", bits, units[unit]);
    if (rule->queue_bytes != 0 && rule->queue_bytes % 1024 == 0)
        print(out, " queue %" PRIu64 "KiB", rule->queue_bytes / 1024);
    else if (rule->queue_bytes != 0)
        print(out, " queue %" PRIu64 "B", rule->queue_bytes);
    if (rule->queue_ns != 0) {
        print(out, " queue ");
        print_time(out, rule->queue_ns);
    }
    if (rule->queue_packets != 0)
        print(out, " queue %" PRIu32 " packet%s", rule->queue_packets, rule->queue_packets == 1 ? "" : "s");
}

static void print_numbers(struct print *out, const struct wire_rule *rule)
{
    if (rule->first != 0) {
        print(out, " #%" PRIu64, rule->first);
        if (rule->last == UINT64_MAX)
            print(out, "-");
        else if (rule->last != rule->first)
            print(out, "-#%" PRIu64, rule->last);
    }
    if (rule->every != 0)
        print(out, " every %" PRIu64, rule->every);
}

static void print_choice(struct print *out, const struct wire_rule *rule)
{
    static const char *const words[] = {
        [WIRE_DROP] = "drop", [WIRE_DUPLICATE] = "duplicate", [WIRE_REORDER] = "reorder", [WIRE_CORRUPT] = "corrupt"};
    bool numbered = rule->first != 0 || rule->every != 0;
    uint32_t usual = numbered ? 1 : WIRE_COPIES_ALL;

    print(out, "%s", rule->action == WIRE_DROP && rule->by_share ? "loss" : words[rule->action]);
    if (rule->by_share)
        print_share(out, rule->share_ppm);
    if (rule->kind != WIRE_ANY || !(rule->by_share || numbered))
        print(out, "%s %s", rule->by_share ? " of" : "", kind_word((enum wire_kind)rule->kind));
    print_numbers(out, rule);
    if (rule->n_copies == WIRE_COPIES_ALL && usual != WIRE_COPIES_ALL)
        print(out, " always");
    else if (rule->n_copies != usual)
        print(out, " x%" PRIu32, rule->n_copies);
    if (rule->action == WIRE_REORDER) {
        print(out, " by ");
        print_time(out, rule->delay_ns);
    }
}

static void print_rule(struct print *out, const struct wire_rule *rule)
{
    switch ((enum wire_action)rule->action) {
    case WIRE_DELAY:
        print(out, "delay ");
        print_time(out, rule->delay_ns);
        if (rule->jitter_ns != 0) {
            print(out, " +-");
            print_time(out, rule->jitter_ns);
        }
        break;
    case WIRE_DROP:
    case WIRE_DUPLICATE:
    case WIRE_REORDER:
    case WIRE_CORRUPT:
        print_choice(out, rule);
        break;
    case WIRE_RATE:
        print_rate(out, rule);
        break;
    case WIRE_MTU:
        print(out, "mtu %" PRIu32, rule->mtu_bytes);
        break;
    case WIRE_STOP:
        print(out, "stop");
        break;
    }
    if (rule->from_ns != 0) {
        print(out, " from ");
        print_time(out, rule->from_ns);
    }
    if (rule->to_ns != INT64_MAX) {
        print(out, " to ");
        print_time(out, rule->to_ns);
    }
    if (rule->port != 0)
        print(out, " port %u", rule->port);
}

size_t wire_rules_format(const struct wire_rules *rules, char *ret_text, size_t size_bytes)
{
    struct print out = {ret_text, size_bytes, 0};

    if (size_bytes > 0)
        ret_text[0] = '\0';
    for (uint32_t i = 0; i < rules->n && i < WIRE_RULES_MAX; i++) {
        if (i > 0)
            print(&out, ", ");
        print_rule(&out, &rules->rule[i]);
    }
    return out.n;
}
