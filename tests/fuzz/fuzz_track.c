/* SPDX-License-Identifier: MIT */
/*
 * Bytes as packets of a few conversations: each takes 12 bytes that choose its ends, flags, numbers (near those that
 * are plausible, or anywhere), length, window, options and time. Whatever comes:
 *
 * - nothing overflows, nothing leaks, and nothing outside of its memory is touched (the sanitizers see to that);
 * - each segment is told once, with states and notes that exist, and payload is handed on at most once;
 * - counts agree with each other, and all conversations that were opened are forgotten.
 */
#include "observe/track/track.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes);

enum { RECORD = 12, PAYLOAD_MAX = 4096, CONVERSATIONS_MAX = 4 };

struct seen {
    unsigned n_opened, n_forgotten, n_segments;
    uint64_t n_payload, n_followed;
    uint32_t next[2][N_ENDS]; /* a plausible next number of each direction */
};

static void must(bool holds)
{
    if (!holds)
        abort();
}

static void on_opened(struct conversation *conversation, int64_t t_ns, void *user)
{
    struct seen *seen = user;
    seen->n_opened++;
    must(conversation->n_segments == 0 && t_ns == conversation->first_ns);
}

static void on_segment(struct conversation *conversation, int64_t t_ns, const struct event_segment *segment, void *user)
{
    struct seen *seen = user;
    seen->n_segments++;
    must(segment->number == conversation->n_segments && segment->from < N_ENDS);
    must(segment->state[END_A] < TCP_N_STATES && segment->state[END_B] < TCP_N_STATES);
    must(segment->notes >> N_NOTES == 0 && segment->reset_cause < N_RESET_CAUSES);
    must(segment->again_of < segment->number);
    must(segment->rtt_ns >= 0 && segment->in_flight < UINT64_C(1) << 62 && t_ns == conversation->last_ns);
    for (unsigned end = 0; end < N_ENDS; end++) {
        const struct conversation_side *side = &conversation->side[end];
        must(side->n_again <= side->n_packets && side->n_again_bytes <= side->n_bytes);
        must(side->n_unique_bytes <= side->n_bytes + side->n_probes);
        must(side->n_missing_bytes < UINT64_C(1) << 62);
        must(side->zero_total_ns >= 0 && side->zero_longest_ns >= 0 && side->stall_ns >= 0);
    }
}

static void on_data(struct conversation *conversation, int64_t t_ns, enum event_end from, const void *data,
                    size_t n_bytes, uint64_t n_missing, bool push, void *user)
{
    struct seen *seen = user;
    volatile uint8_t sum = 0;
    for (size_t i = 0; i < n_bytes; i++)
        sum = (uint8_t)(sum + ((const uint8_t *)data)[i]);
    must(n_bytes > 0 && from < N_ENDS);
    seen->n_followed += n_bytes;
}

static void on_forgotten(struct conversation *conversation, int64_t t_ns, void *user)
{
    ((struct seen *)user)->n_forgotten++;
}

/* Near is what a window may hold; far is anything. */
static uint32_t number(uint32_t near, uint8_t choice, uint8_t value)
{
    switch (choice & 3) {
    case 0:
        return near;
    case 1:
        return near + value;
    case 2:
        return near - value;
    default:
        return near + ((uint32_t)value << (choice >> 3));
    }
}

static void make(const uint8_t *record, const uint8_t *payload, struct seen *seen, struct decoded *packet)
{
    unsigned tuple = record[0] >> 1 & 1, from = record[0] & 1;
    uint32_t *next = seen->next[tuple];

    memset(packet, 0, sizeof *packet);
    packet->depth = DECODE_TRANSPORT;
    packet->network = record[0] & 4 ? DECODE_IPV6 : DECODE_IPV4;
    packet->protocol = (record[0] & 0x38) == 0x38 ? IPPROTO_UDP : IPPROTO_TCP;
    packet->source.bytes[0] = (uint8_t)from;
    packet->destination.bytes[0] = (uint8_t)!from;
    packet->source_port = (uint16_t)(from ? 80 : 5000 + tuple);
    packet->destination_port = (uint16_t)(from ? 5000 + tuple : 80);
    packet->flags = record[1] & 0x80 ? SEGMENT_ACK : record[1] & 0x3f;
    packet->seq = number(next[from], record[2], record[3]);
    packet->ack = number(next[!from], record[4], record[5]);
    packet->n_payload = record[2] & 4 ? (uint32_t)record[6] * 16 : record[6] & 3;
    packet->n_payload_captured = record[4] & 4 ? packet->n_payload / 2 : packet->n_payload;
    packet->payload = payload;
    packet->window = (uint16_t)(record[7] & 1 ? 0 : record[7] << 8);
    packet->trouble = record[7] & 2 ? record[8] : 0;
    packet->options.window_scale = (int8_t)((record[8] & 31) - 1);
    packet->options.mss = (uint16_t)(record[8] << 3);
    packet->options.sack_permitted = record[8] & 1;
    packet->options.n_sacks = record[9] & 7; /* more than there are, too */
    for (unsigned i = 0; i < SEGMENT_SACKS_MAX; i++) {
        packet->options.sack[i].from = next[!from] + (uint32_t)((record[9] >> 3) - 8 + (int)i * 7);
        packet->options.sack[i].to = next[!from] + (record[10] & 31) + i * 9;
    }
    if (record[1] & 0x40) { /* an error about such a packet */
        packet->protocol = packet->network == DECODE_IPV6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP;
        packet->icmp_quotes = true;
        packet->quoted_protocol = record[6] & 1 ? IPPROTO_UDP : IPPROTO_TCP;
        packet->quoted_source = packet->source;
        packet->quoted_destination = packet->destination;
        packet->quoted_source_port = packet->source_port;
        packet->quoted_destination_port = packet->destination_port;
        packet->quoted_has_seq = true;
        packet->quoted_seq = packet->seq;
    } else if (packet->protocol == IPPROTO_TCP && (record[2] & 3) < 3) {
        next[from] = packet->seq + packet->n_payload + (packet->flags & (SEGMENT_SYN | SEGMENT_FIN) ? 1 : 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes)
{
    static const struct track_handler handler = {
        .opened = on_opened, .segment = on_segment, .data = on_data, .forgotten = on_forgotten};
    static const uint8_t payload[PAYLOAD_MAX];
    struct seen seen = {.next = {{0xfffffff0, 77}, {1000, 0}}};
    struct tracker *tracker = tracker_new(CONVERSATIONS_MAX, &handler, &seen);
    struct tracker_counts counts;
    int64_t t_ns = 0;
    uint64_t n_tcp = 0;

    must(tracker != NULL);
    for (size_t at = 0; at + RECORD <= n_bytes; at += RECORD) {
        struct decoded packet;
        make(data + at, payload, &seen, &packet);
        t_ns += (int64_t)data[at + 11] << (data[at + 10] >> 5) * 5;
        n_tcp += packet.protocol == IPPROTO_TCP;
        if (packet.protocol == IPPROTO_TCP)
            seen.n_payload += packet.n_payload_captured;
        tracker_packet(tracker, t_ns, at / RECORD + 1, data[at] >> 6, &packet);
    }
    must(seen.n_segments == n_tcp);
    tracker_counts(tracker, &counts);
    must(counts.n_conversations - seen.n_forgotten <= CONVERSATIONS_MAX && counts.n_no_memory == 0);
    tracker_free(tracker);
    must(seen.n_opened == seen.n_forgotten && counts.n_conversations == seen.n_opened);
    must(seen.n_followed <= seen.n_payload);
    return 0;
}
