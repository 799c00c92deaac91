/* SPDX-License-Identifier: MIT */
/* The language of a wire's rules: what each clause means, what is refused with which words, and back to text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "wire/rules.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define MS NS_PER_MS
#define ALL .n_copies = WIRE_COPIES_ALL
#define FOR_GOOD .to_ns = INT64_MAX

static struct wire_rules parsed(const char *text)
{
    struct wire_rules rules;
    struct sonde_why why = {0};

    memset(&rules, 0, sizeof rules);
    if (wire_rules_parse(text, &rules, &why) != 0)
        fail_msg("%s: %s: %s", text, why.subject, why.detail);
    return rules;
}

static void assert_same_rule(const char *text, const struct wire_rule *rule, const struct wire_rule *wanted)
{
    bool same = rule->action == wanted->action && rule->kind == wanted->kind && rule->by_share == wanted->by_share &&
                rule->share_ppm == wanted->share_ppm && rule->first == wanted->first && rule->last == wanted->last &&
                rule->every == wanted->every && rule->n_copies == wanted->n_copies &&
                rule->from_ns == wanted->from_ns && rule->to_ns == wanted->to_ns && rule->port == wanted->port &&
                rule->delay_ns == wanted->delay_ns && rule->jitter_ns == wanted->jitter_ns &&
                rule->bits_per_s == wanted->bits_per_s && rule->queue_bytes == wanted->queue_bytes &&
                rule->queue_ns == wanted->queue_ns && rule->queue_packets == wanted->queue_packets &&
                rule->mtu_bytes == wanted->mtu_bytes;
    if (!same)
        fail_msg("%s is another rule", text);
}

/* Each text, the rule it means, and how that is written. */
static void clauses_mean(void **state)
{
    static const struct {
        const char *text;
        struct wire_rule rule;
        const char *written;
    } rows[] = {
        {"delay 20ms", {.action = WIRE_DELAY, .delay_ns = 20 * MS, FOR_GOOD}, "delay 20ms"},
        {"delay 20ms ±5ms",
         {.action = WIRE_DELAY, .delay_ns = 20 * MS, .jitter_ns = 5 * MS, FOR_GOOD},
         "delay 20ms +-5ms"},
        {"delay 20ms±5ms",
         {.action = WIRE_DELAY, .delay_ns = 20 * MS, .jitter_ns = 5 * MS, FOR_GOOD},
         "delay 20ms +-5ms"},
        {"Delay 0.02s +- 5 ms",
         {.action = WIRE_DELAY, .delay_ns = 20 * MS, .jitter_ns = 5 * MS, FOR_GOOD},
         "delay 20ms +-5ms"},
        {"delay 20 MS +/-5000us",
         {.action = WIRE_DELAY, .delay_ns = 20 * MS, .jitter_ns = 5 * MS, FOR_GOOD},
         "delay 20ms +-5ms"},
        {"delay 1.5s jitter .25s",
         {.action = WIRE_DELAY, .delay_ns = 1500 * MS, .jitter_ns = 250 * MS, FOR_GOOD},
         "delay 1500ms +-250ms"},
        {"delay 10µs", {.action = WIRE_DELAY, .delay_ns = 10 * NS_PER_US, FOR_GOOD}, "delay 10us"},
        {"delay 1234567ns", {.action = WIRE_DELAY, .delay_ns = 1234567, FOR_GOOD}, "delay 1234567ns"},
        {"delay 0", {.action = WIRE_DELAY, FOR_GOOD}, "delay 0s"},
        {"delay 1h", {.action = WIRE_DELAY, .delay_ns = 3600 * NS_PER_S, FOR_GOOD}, "delay 3600s"},
        {"loss 1%", {.action = WIRE_DROP, .by_share = true, .share_ppm = 10000, ALL, FOR_GOOD}, "loss 1%"},
        {"loss 1 %", {.action = WIRE_DROP, .by_share = true, .share_ppm = 10000, ALL, FOR_GOOD}, "loss 1%"},
        {"drop 1% of data",
         {.action = WIRE_DROP, .kind = WIRE_DATA, .by_share = true, .share_ppm = 10000, ALL, FOR_GOOD},
         "loss 1% of data"},
        {"loss of ack 0.0125%",
         {.action = WIRE_DROP, .kind = WIRE_ACK, .by_share = true, .share_ppm = 125, ALL, FOR_GOOD},
         "loss 0.0125% of ack"},
        {"loss 100.0% data once",
         {.action = WIRE_DROP, .kind = WIRE_DATA, .by_share = true, .share_ppm = 1000000, .n_copies = 1, FOR_GOOD},
         "loss 100% of data x1"},
        {"loss 0.0001%", {.action = WIRE_DROP, .by_share = true, .share_ppm = 1, ALL, FOR_GOOD}, "loss 0.0001%"},
        {"drop data #3",
         {.action = WIRE_DROP, .kind = WIRE_DATA, .first = 3, .last = 3, .n_copies = 1, FOR_GOOD},
         "drop data #3"},
        {"drop #3-#5 data",
         {.action = WIRE_DROP, .kind = WIRE_DATA, .first = 3, .last = 5, .n_copies = 1, FOR_GOOD},
         "drop data #3-#5"},
        {"drop data#3-5",
         {.action = WIRE_DROP, .kind = WIRE_DATA, .first = 3, .last = 5, .n_copies = 1, FOR_GOOD},
         "drop data #3-#5"},
        {"drop data # 3 - # 5",
         {.action = WIRE_DROP, .kind = WIRE_DATA, .first = 3, .last = 5, .n_copies = 1, FOR_GOOD},
         "drop data #3-#5"},
        {"drop data #3- x2",
         {.action = WIRE_DROP, .kind = WIRE_DATA, .first = 3, .last = UINT64_MAX, .n_copies = 2, FOR_GOOD},
         "drop data #3- x2"},
        {"drop data #3- port 80",
         {.action = WIRE_DROP, .kind = WIRE_DATA, .first = 3, .last = UINT64_MAX, .n_copies = 1, .port = 80, FOR_GOOD},
         "drop data #3- port 80"},
        {"drop data #3 always",
         {.action = WIRE_DROP, .kind = WIRE_DATA, .first = 3, .last = 3, ALL, FOR_GOOD},
         "drop data #3 always"},
        {"drop data always", {.action = WIRE_DROP, .kind = WIRE_DATA, ALL, FOR_GOOD}, "drop data"},
        {"drop data X2", {.action = WIRE_DROP, .kind = WIRE_DATA, .n_copies = 2, FOR_GOOD}, "drop data x2"},
        {"drop #7", {.action = WIRE_DROP, .first = 7, .last = 7, .n_copies = 1, FOR_GOOD}, "drop #7"},
        {"drop every 10", {.action = WIRE_DROP, .every = 10, .n_copies = 1, FOR_GOOD}, "drop every 10"},
        {"drop every 10 data #5-",
         {.action = WIRE_DROP, .kind = WIRE_DATA, .first = 5, .last = UINT64_MAX, .every = 10, .n_copies = 1, FOR_GOOD},
         "drop data #5- every 10"},
        {"drop any", {.action = WIRE_DROP, ALL, FOR_GOOD}, "drop any"},
        {"drop all", {.action = WIRE_DROP, ALL, FOR_GOOD}, "drop any"},
        {"DROP SYN-ACK", {.action = WIRE_DROP, .kind = WIRE_SYN_ACK, ALL, FOR_GOOD}, "drop syn-ack"},
        {"drop synack", {.action = WIRE_DROP, .kind = WIRE_SYN_ACK, ALL, FOR_GOOD}, "drop syn-ack"},
        {"drop syn+ack", {.action = WIRE_DROP, .kind = WIRE_SYN_ACK, ALL, FOR_GOOD}, "drop syn-ack"},
        {"drop of syn", {.action = WIRE_DROP, .kind = WIRE_SYN, ALL, FOR_GOOD}, "drop syn"},
        {"drop fin", {.action = WIRE_DROP, .kind = WIRE_FIN, ALL, FOR_GOOD}, "drop fin"},
        {"drop rst", {.action = WIRE_DROP, .kind = WIRE_RST, ALL, FOR_GOOD}, "drop rst"},
        {"drop udp", {.action = WIRE_DROP, .kind = WIRE_UDP, ALL, FOR_GOOD}, "drop udp"},
        {"drop icmp", {.action = WIRE_DROP, .kind = WIRE_ICMP, ALL, FOR_GOOD}, "drop icmp"},
        {"duplicate 2%",
         {.action = WIRE_DUPLICATE, .by_share = true, .share_ppm = 20000, ALL, FOR_GOOD},
         "duplicate 2%"},
        {"duplicate data #1",
         {.action = WIRE_DUPLICATE, .kind = WIRE_DATA, .first = 1, .last = 1, .n_copies = 1, FOR_GOOD},
         "duplicate data #1"},
        {"reorder 5% by 10ms",
         {.action = WIRE_REORDER, .by_share = true, .share_ppm = 50000, .delay_ns = 10 * MS, ALL, FOR_GOOD},
         "reorder 5% by 10ms"},
        {"reorder by 10 ms data #2",
         {.action = WIRE_REORDER,
          .kind = WIRE_DATA,
          .first = 2,
          .last = 2,
          .n_copies = 1,
          .delay_ns = 10 * MS,
          FOR_GOOD},
         "reorder data #2 by 10ms"},
        {"corrupt 0.1%", {.action = WIRE_CORRUPT, .by_share = true, .share_ppm = 1000, ALL, FOR_GOOD}, "corrupt 0.1%"},
        {"corrupt data #4",
         {.action = WIRE_CORRUPT, .kind = WIRE_DATA, .first = 4, .last = 4, .n_copies = 1, FOR_GOOD},
         "corrupt data #4"},
        {"rate 10Mbit",
         {.action = WIRE_RATE, .bits_per_s = 10000000, .queue_packets = 1000, FOR_GOOD},
         "rate 10Mbit queue 1000 packets"},
        {"rate 10mbit/s queue 64KiB",
         {.action = WIRE_RATE, .bits_per_s = 10000000, .queue_bytes = 65536, FOR_GOOD},
         "rate 10Mbit queue 64KiB"},
        {"rate 1.5 Mbps queue 100ms",
         {.action = WIRE_RATE, .bits_per_s = 1500000, .queue_ns = 100 * MS, FOR_GOOD},
         "rate 1500kbit queue 100ms"},
        {"rate 512kbit queue 50 packets",
         {.action = WIRE_RATE, .bits_per_s = 512000, .queue_packets = 50, FOR_GOOD},
         "rate 512kbit queue 50 packets"},
        {"rate 2Gbit queue 1 packet",
         {.action = WIRE_RATE, .bits_per_s = 2000000000, .queue_packets = 1, FOR_GOOD},
         "rate 2Gbit queue 1 packet"},
        {"rate 1MB/s queue 10kB queue 20ms queue 5p",
         {.action = WIRE_RATE,
          .bits_per_s = 8000000,
          .queue_bytes = 10000,
          .queue_ns = 20 * MS,
          .queue_packets = 5,
          FOR_GOOD},
         "rate 8Mbit queue 10000B queue 20ms queue 5 packets"},
        {"rate 1KiB/s queue 64k",
         {.action = WIRE_RATE, .bits_per_s = 8192, .queue_bytes = 65536, FOR_GOOD},
         "rate 8192bit queue 64KiB"},
        {"mtu 1400", {.action = WIRE_MTU, .mtu_bytes = 1400, FOR_GOOD}, "mtu 1400"},
        {"mtu 1400 bytes port 80", {.action = WIRE_MTU, .mtu_bytes = 1400, .port = 80, FOR_GOOD}, "mtu 1400 port 80"},
        {"stop", {.action = WIRE_STOP, FOR_GOOD}, "stop"},
        {"stop from 2s to 4s",
         {.action = WIRE_STOP, .from_ns = 2 * NS_PER_S, .to_ns = 4 * NS_PER_S},
         "stop from 2s to 4s"},
        {"stop to 4s from 2s",
         {.action = WIRE_STOP, .from_ns = 2 * NS_PER_S, .to_ns = 4 * NS_PER_S},
         "stop from 2s to 4s"},
        {"stop to 1m", {.action = WIRE_STOP, .to_ns = 60 * NS_PER_S}, "stop to 60s"},
        {"drop data port 7007 #3 from 500ms",
         {.action = WIRE_DROP,
          .kind = WIRE_DATA,
          .first = 3,
          .last = 3,
          .n_copies = 1,
          .port = 7007,
          .from_ns = 500 * MS,
          FOR_GOOD},
         "drop data #3 from 500ms port 7007"},
        {"  delay\t5ms \n port 53 ",
         {.action = WIRE_DELAY, .delay_ns = 5 * MS, .port = 53, FOR_GOOD},
         "delay 5ms port 53"},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char text[256];
        struct wire_rules rules = parsed(rows[i].text);
        assert_int_equal(rules.n, 1);
        assert_same_rule(rows[i].text, &rules.rule[0], &rows[i].rule);
        assert_int_equal(wire_rules_format(&rules, text, sizeof text), strlen(rows[i].written));
        assert_string_equal(text, rows[i].written);
        struct wire_rules again = parsed(text);
        assert_same_rule(text, &again.rule[0], &rules.rule[0]);
    }
}

/* Each text, the clause that is at fault, and a part of what is said about it. */
static void refusals_say_why(void **state)
{
    static const struct {
        const char *text, *clause, *words;
    } rows[] = {
        {"20ms", "20ms", "a clause begins with what is done"},
        {"frob 1%", "frob 1%", "frob is not something that is done to packets: delay, loss"},
        {"dleay 20ms", "dleay 20ms", "did you mean delay?"},
        {"delay 5ms, lose 1%", "lose 1%", "did you mean loss?"},
        {"delay", "delay", "expected a value, such as 20ms"},
        {"delay 20", "delay 20", "a time needs its unit: 20ms"},
        {"delay 20 parsecs", "delay 20 parsecs", "a time needs its unit"},
        {"delay -5ms", "delay -5ms", "cannot be negative"},
        {"delay 0.1ns", "delay 0.1ns", "finer than a nanosecond"},
        {"delay 2h", "delay 2h", "at most 1 h"},
        {"delay 99999999999999999999s", "delay 99999999999999999999s", "too many digits"},
        {"delay 5ms ±6ms", "delay 5ms ±6ms", "the jitter is larger than the delay"},
        {"delay 5ms ±1ms ±1ms", "delay 5ms ±1ms ±1ms", "jitter is given twice"},
        {"delay 5ms ±", "delay 5ms ±", "expected a value"},
        {"delay 5ms 6ms", "delay 5ms 6ms", "a second value"},
        {"delay 5ms of data", "delay 5ms of data", "delay is for every packet"},
        {"delay 5ms data", "delay 5ms data", "delay is for every packet"},
        {"delay 5ms #3", "delay 5ms #3", "delay is for every packet"},
        {"delay 5ms x2", "delay 5ms x2", "delay is for every packet"},
        {"delay 5ms by 5ms", "delay 5ms by 5ms", "by does not go with delay"},
        {"delay 5ms loss 1%", "delay 5ms loss 1%", "loss begins a clause of its own"},
        {"loss", "loss", "loss is by share"},
        {"loss data #3", "loss data #3", "loss is by share"},
        {"loss 0.01", "loss 0.01", "one in a hundred is 1%"},
        {"loss 5", "loss 5", "percent sign: 5%"},
        {"loss 100.1%", "loss 100.1%", "more than 100%"},
        {"loss 0.00001%", "loss 0.00001%", "finer than 0.0001%"},
        {"loss -1%", "loss -1%", "cannot be negative"},
        {"loss 1% 2%", "loss 1% 2%", "a share is given twice"},
        {"loss 1% ±1ms", "loss 1% ±1ms", "jitter does not go with loss"},
        {"drop", "drop", "drop which?"},
        {"drop x2", "drop x2", "drop which?"},
        {"drop dta", "drop dta", "did you mean data?"},
        {"drop data ack", "drop data ack", "two clauses"},
        {"drop of", "drop of", "expected a kind"},
        {"drop of port", "drop of port", "expected a kind"},
        {"drop data #", "drop data #", "expected the number of a packet"},
        {"drop data #0", "drop data #0", "1 is the least"},
        {"drop data #1.5", "drop data #1.5", "a whole number"},
        {"drop data #5-#3", "drop data #5-#3", "before the first"},
        {"drop data #5-#", "drop data #5-#", "the last packet"},
        {"drop data #3 #4", "drop data #3 #4", "a number is given twice"},
        {"drop data #99999999999", "drop data #99999999999", "from 1 to"},
        {"drop data every", "drop data every", "a number behind every"},
        {"drop data every 0", "drop data every 0", "1 is the least"},
        {"drop data x0", "drop data x0", "1 is the least"},
        {"drop data x2 always", "drop data x2 always", "is given twice"},
        {"drop data ;", "drop data ;", "a word was expected"},
        {"drop data wwwwwwwwwwwwwwwwwwwwwwwwwwwwwwww", "drop data wwwwwwwwwwwwwwwwwwwwwwwwwwwwwwww", "this long"},
        {"drop data from 1s from 2s", "drop data from 1s from 2s", "from is given twice"},
        {"drop data to 1s to 2s", "drop data to 1s to 2s", "to is given twice"},
        {"drop data port 1 port 2", "drop data port 1 port 2", "port is given twice"},
        {"drop data port", "drop data port", "expected a port"},
        {"drop data port 0", "drop data port 0", "1 is the least"},
        {"drop data port 65536", "drop data port 65536", "from 1 to 65535"},
        {"stop from 4s to 2s", "stop from 4s to 2s", "ends before it begins"},
        {"stop from 4s to 4s", "stop from 4s to 4s", "ends before it begins"},
        {"stop data", "stop data", "stop is for every packet"},
        {"stop 5s", "stop 5s", "a second value"},
        {"duplicate", "duplicate", "duplicate which?"},
        {"reorder 5%", "reorder 5%", "by 10ms"},
        {"corrupt", "corrupt", "corrupt which?"},
        {"rate", "rate", "such as 10Mbit"},
        {"rate 10", "rate 10", "a rate needs its unit"},
        {"rate 10MB", "rate 10MB", "a rate needs its unit"},
        {"rate 0Mbit", "rate 0Mbit", "write stop"},
        {"rate 0.5bit", "rate 0.5bit", "whole number of bits"},
        {"rate 1001Gbit", "rate 1001Gbit", "at most 1000Gbit"},
        {"rate 1Mbit queue", "rate 1Mbit queue", "64KiB, 100ms or 50 packets"},
        {"rate 1Mbit queue 50", "rate 1Mbit queue 50", "a queue needs its unit"},
        {"rate 1Mbit queue 5m", "rate 1Mbit queue 5m", "a queue needs its unit"},
        {"rate 1Mbit queue 0 packets", "rate 1Mbit queue 0 packets", "1 packet is the least"},
        {"rate 1Mbit queue 1.5 packets", "rate 1Mbit queue 1.5 packets", "whole"},
        {"rate 1Mbit queue 2h", "rate 1Mbit queue 2h", "at most"},
        {"rate 1Mbit queue 1KiB queue 2KiB", "rate 1Mbit queue 1KiB queue 2KiB", "given twice"},
        {"rate 1Mbit data", "rate 1Mbit data", "rate is for every packet"},
        {"mtu", "mtu", "the largest IP packet"},
        {"mtu 67", "mtu 67", "from 68 to 65535"},
        {"mtu 65536", "mtu 65536", "from 68 to 65535"},
        {"queue 5ms", "queue 5ms", "is not something that is done"},
        {"drop data, delay 1ms, \x01stop\x7f", " stop ", "a clause begins"},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct wire_rules rules, before;
        struct sonde_why why;
        memset(&rules, 0x5a, sizeof rules);
        rules.n = 2;
        before = rules;
        memset(&why, 0, sizeof why);
        if (wire_rules_parse(rows[i].text, &rules, &why) != -SONDE_EOPTION)
            fail_msg("%s is not refused", rows[i].text);
        assert_memory_equal(&rules, &before, sizeof rules);
        assert_int_equal(why.code, -SONDE_EOPTION);
        assert_string_equal(why.call, "parse");
        assert_string_equal(why.subject, rows[i].clause);
        if (strstr(why.detail, rows[i].words) == NULL)
            fail_msg("%s: %s", rows[i].text, why.detail);
        assert_int_equal(wire_rules_parse(rows[i].text, &rules, NULL), -SONDE_EOPTION);
    }
}

static void several_clauses(void **state)
{
    struct wire_rules rules = parsed("delay 20ms ±5ms, loss 1%,drop data #3 ,, stop from 2s to 4s,");
    char text[256];

    assert_int_equal(rules.n, 4);
    assert_int_equal(rules.rule[3].action, WIRE_STOP);
    wire_rules_format(&rules, text, sizeof text);
    assert_string_equal(text, "delay 20ms +-5ms, loss 1%, drop data #3, stop from 2s to 4s");
    /* More are added behind. */
    assert_int_equal(wire_rules_parse("mtu 1400", &rules, NULL), 0);
    assert_int_equal(rules.n, 5);
    assert_int_equal(rules.rule[0].action, WIRE_DELAY);
    assert_int_equal(rules.rule[4].mtu_bytes, 1400);
    assert_int_equal(wire_rules_parse("", &rules, NULL), 0);
    assert_int_equal(wire_rules_parse(" , ", &rules, NULL), 0);
    assert_int_equal(rules.n, 5);
}

static void at_most_so_many(void **state)
{
    struct wire_rules rules = {0};
    struct sonde_why why = {0};

    for (unsigned i = 0; i < WIRE_RULES_MAX; i++)
        assert_int_equal(wire_rules_parse("stop", &rules, &why), 0);
    assert_int_equal(wire_rules_parse("", &rules, &why), 0);
    assert_int_equal(wire_rules_parse("mtu 1400", &rules, &why), -E2BIG);
    assert_int_equal(rules.n, WIRE_RULES_MAX);
    assert_string_equal(why.subject, "mtu 1400");
    assert_int_equal(why.code, -E2BIG);
}

/* A text that is cut is cut at the end, and its whole length is told. */
static void formats_into_any_room(void **state)
{
    struct wire_rules rules = parsed("delay 20ms, drop data #3- x2 from 1s to 2s port 80, rate 1Mbit queue 64KiB");
    char whole[256], text[256];
    size_t n = wire_rules_format(&rules, whole, sizeof whole);

    assert_int_equal(n, strlen(whole));
    for (size_t size = 0; size <= n + 1; size++) {
        memset(text, '#', sizeof text);
        assert_int_equal(wire_rules_format(&rules, text, size), n);
        for (size_t i = size; i < sizeof text; i++)
            assert_int_equal(text[i], '#');
        if (size > 0) {
            assert_int_equal(strlen(text), size - 1);
            assert_memory_equal(text, whole, size - 1);
        }
    }
    rules.n = 0;
    assert_int_equal(wire_rules_format(&rules, text, sizeof text), 0);
    assert_string_equal(text, "");
}

static void longest(void **state)
{
    static const struct {
        const char *text;
        int64_t ns;
    } rows[] = {
        {"", 0},
        {"loss 1%, mtu 1400, stop", 0},
        {"delay 20ms", 20 * MS},
        {"delay 20ms ±5ms, delay 1ms", 26 * MS},
        {"delay 20ms, reorder 1% by 7ms", 27 * MS},
        /* In the queue, then 1514 bytes on the line; what is less than a nanosecond counts as one. */
        {"rate 1514kbit queue 100ms", 108 * MS + 1},
        /* Behind one that is being sent. */
        {"rate 1514kbit queue 1 packet", 24 * MS + 2},
        {"rate 1514kbit queue 1514B", 24 * MS + 2},
        {"rate 1514kbit queue 1514B queue 1ms", 9 * MS + 1},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct wire_rules rules = parsed(rows[i].text);
        assert_int_equal(wire_rules_longest_ns(&rules), rows[i].ns);
    }
    struct wire_rules rules = parsed("rate 1Mbit");
    rules.rule[0].queue_packets = 0;
    assert_true(wire_rules_longest_ns(&rules) == INT64_MAX);
}

static void reasons_have_names(void **state)
{
    for (int i = 0; i < N_WIRE_REASONS; i++) {
        assert_true(strlen(wire_reason_name((enum wire_reason)i)) > 2);
        for (int j = 0; j < i; j++)
            assert_string_not_equal(wire_reason_name((enum wire_reason)i), wire_reason_name((enum wire_reason)j));
    }
}

/* The subject is cut between characters. */
static void long_clauses(void **state)
{
    char text[400] = "x";
    struct wire_rules rules = {0};
    struct sonde_why why;

    for (size_t i = 1; i + 2 < sizeof text; i += 2)
        memcpy(text + i, "±", 3);
    assert_int_equal(wire_rules_parse(text, &rules, &why), -SONDE_EOPTION);
    size_t n = strlen(why.subject);
    assert_in_range(n, 158, 159);
    assert_memory_equal(why.subject, text, n);
    assert_int_equal((unsigned char)why.subject[n - 1], 0xb1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(clauses_mean),          cmocka_unit_test(refusals_say_why),
        cmocka_unit_test(several_clauses),       cmocka_unit_test(at_most_so_many),
        cmocka_unit_test(formats_into_any_room), cmocka_unit_test(longest),
        cmocka_unit_test(reasons_have_names),    cmocka_unit_test(long_clauses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
