/* SPDX-License-Identifier: MIT */
/*
 * Any text as a wire's rules, and behind its end (NUL) packets for the judge. What must hold whatever they are:
 *
 * - a text is understood, or refused with a clause and a sentence, and then nothing has changed;
 * - what is understood can be written, and what was written is understood as the same;
 * - a packet passes and is due, not before it left and not overtaking another unless it is said; or it has a reason;
 * - the same packets meet the same fates.
 *
 * A packet is four bytes: what it is, where in the stream it begins, how many bytes it carries, and when it leaves.
 */
#include "wire/rules.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes);

#define TEXT_MAX 4096
#define PACKETS_MAX 4096
#define ETHERNET_BYTES 14
#define IPV4_BYTES 20
#define TCP_BYTES 20
#define HEADERS (ETHERNET_BYTES + IPV4_BYTES + TCP_BYTES)

static void must(bool holds)
{
    if (!holds)
        abort();
}

static bool read_rules(const char *text, struct wire_rules *rules)
{
    struct sonde_why why = {0};
    struct wire_rules before;

    memset(rules, 0, sizeof *rules);
    before = *rules;
    int error = wire_rules_parse(text, rules, &why);
    if (error == 0)
        return true;
    must(error == -SONDE_EOPTION || error == -E2BIG);
    must(why.code == error && why.subject[0] != '\0' && why.detail[0] != '\0');
    must(memchr(why.subject, '\0', sizeof why.subject) != NULL && memchr(why.detail, '\0', sizeof why.detail) != NULL);
    must(memcmp(&before, rules, sizeof before) == 0);
    return false;
}

static void write_rules(const struct wire_rules *rules)
{
    char text[8192];
    struct wire_rules again;

    size_t n = wire_rules_format(rules, text, sizeof text);
    must(n < sizeof text && strlen(text) == n);
    for (size_t i = 0; i < n; i++)
        must(text[i] >= ' ' && text[i] <= '~');
    must(read_rules(text, &again));
    must(memcmp(rules, &again, sizeof again) == 0);
    must(wire_rules_longest_ns(rules) >= 0);
}

/* ---- packets */

static size_t make_packet(const uint8_t what[4], uint8_t *frame)
{
    bool from_b = what[0] & 1;
    size_t n_payload = what[0] & 2 ? what[2] * 4u : 0, n_ip = IPV4_BYTES + TCP_BYTES + n_payload;
    uint32_t seq = (what[1] - 16u) * 100;
    uint8_t *ip = frame + ETHERNET_BYTES, *tcp = ip + IPV4_BYTES;

    memset(frame, 0, HEADERS + n_payload);
    frame[12] = 0x08;
    memcpy(ip, (const uint8_t[]){0x45, 0, (uint8_t)(n_ip >> 8), (uint8_t)n_ip, 0, 0, 0x40, 0, 64}, 9);
    ip[9] = what[0] & 4 ? 17 : 6;
    ip[15] = from_b ? 2 : 1;
    ip[19] = from_b ? 1 : 2;
    tcp[from_b ? 3 : 1] = 7;
    memcpy(tcp + 4, (const uint8_t[]){(uint8_t)(seq >> 24), (uint8_t)(seq >> 16), (uint8_t)(seq >> 8), (uint8_t)seq},
           4);
    if (ip[9] == 17)
        memcpy(tcp + 4, (const uint8_t[]){(uint8_t)((n_ip - 20) >> 8), (uint8_t)(n_ip - 20)}, 2);
    tcp[12] = 0x50;
    tcp[13] = what[0] >> 3; /* FIN, SYN, RST, PSH, ACK */
    return HEADERS + n_payload;
}

static void check(const struct wire_fate *fate, int64_t t_ns, size_t n_frame, int64_t *last_ns)
{
    must(fate->reason < N_WIRE_REASONS && fate->n_copies <= WIRE_COPIES_MAX);
    must((fate->reason == WIRE_PASSED) == (fate->n_copies > 0));
    for (unsigned i = 0; i < fate->n_copies; i++)
        must(fate->due_ns[i] >= t_ns);
    if (fate->corrupted)
        must(fate->corrupt_offset < n_frame && fate->corrupt_offset >= ETHERNET_BYTES + IPV4_BYTES &&
             __builtin_popcount(fate->corrupt_mask) == 1);
    must(!fate->tell_mtu || fate->reason == WIRE_TOO_LARGE);
    if (fate->n_copies > 0 && !fate->reordered) {
        must(fate->due_ns[0] >= *last_ns);
        *last_ns = fate->due_ns[0];
    }
}

static void judge_packets(const struct wire_rules *rules, const uint8_t *data, size_t n_bytes)
{
    static uint8_t frame[HEADERS + 4 * 256];
    struct wire_judge *judges[2];
    int64_t t_ns = 5, last_ns[N_ENDS] = {0};
    size_t n_packets = n_bytes / 4 < PACKETS_MAX ? n_bytes / 4 : PACKETS_MAX;

    for (unsigned i = 0; i < 2; i++) {
        judges[i] = wire_judge_new(n_bytes, 0);
        must(judges[i] != NULL);
        wire_judge_set_rules(judges[i], END_A, rules);
        wire_judge_set_rules(judges[i], END_B, rules);
    }
    for (size_t i = 0; i < n_packets; i++, data += 4) {
        struct wire_fate fates[2];
        enum event_end from = data[0] & 1 ? END_B : END_A;
        size_t n_frame = make_packet(data, frame);
        t_ns += (int64_t)data[3] * data[3] * data[3] * 1000;
        for (unsigned j = 0; j < 2; j++) {
            memset(&fates[j], 0, sizeof fates[j]);
            wire_judge_packet(judges[j], from, t_ns, frame, n_frame, &fates[j]);
        }
        must(memcmp(&fates[0], &fates[1], sizeof fates[0]) == 0);
        check(&fates[0], t_ns, n_frame, &last_ns[from]);
    }
    wire_judge_free(judges[0]);
    wire_judge_free(judges[1]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes)
{
    char text[TEXT_MAX + 1];
    struct wire_rules rules;
    const uint8_t *end = memchr(data, '\0', n_bytes);
    size_t n_text = end != NULL ? (size_t)(end - data) : n_bytes;

    if (n_text > TEXT_MAX)
        return 0;
    memcpy(text, data, n_text);
    text[n_text] = '\0';
    if (!read_rules(text, &rules))
        return 0;
    write_rules(&rules);
    if (n_text + 1 < n_bytes)
        judge_packets(&rules, data + n_text + 1, n_bytes - n_text - 1);
    return 0;
}
