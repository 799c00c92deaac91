/* SPDX-License-Identifier: MIT */
/*
 * What a packet is, as rules see it: its kinds, which one of them in its connection and direction, and the how-manieth
 * copy. Of TCP that follows from sequence numbers: a segment is new when it goes beyond the highest byte sent so far,
 * else it repeats one, and has that one's number. Pure ACKs, datagrams and resets have no copies: each is a new one.
 *
 * Later fragments have no ports, and are packets of kind any of a connection that all of them between two addresses
 * make up. Neighbour discovery and multicast listeners (ICMPv6) are to IPv6 what ARP is to IPv4: the link's own talk,
 * which rules do not touch.
 */
#include "wire/judge_internal.h"

#include <netinet/in.h>
#include <string.h>

#define LINK_TYPE_ETHERNET 1
#define ETHERNET_HEADER 14
#define KIND(kind) (1u << (kind))
/* Further from the highest than any window reaches: forged, or damaged. */
#define REACH INT64_C(0x40000000)

/* What chance is made from, beside the connection. */
enum chance_class { CHANCE_SYN, CHANCE_DATA, CHANCE_FIN, CHANCE_RST, CHANCE_ACK, CHANCE_DATAGRAM };

/* One TCP segment on its way through here. */
struct counted {
    struct flows *flows;
    struct side *side, *peer;
    const struct decoded *decoded;
    struct seen *seen;
    bool is_new;     /* not a repeat */
    uint32_t number; /* among all: a repeat's, if it is known */
    uint32_t copy;
};

static uint64_t what(uint64_t chance, enum chance_class class, int64_t from, int64_t to, uint32_t copy)
{
    chance = chance_add(chance, (uint64_t) class << 32 | copy);
    chance = chance_add(chance, (uint64_t)from);
    return to == 0 ? chance : chance_add(chance, (uint64_t)to);
}

static uint32_t one_more(uint32_t *count)
{
    return *count < UINT32_MAX ? ++*count : *count;
}

/* Numbers begin anew with other rules; those of before have none. */
static uint32_t since_rules(const struct side *side, enum wire_kind kind, uint32_t number)
{
    return number > side->base[kind] ? number - side->base[kind] : 0;
}

static void set_kind(struct seen *seen, const struct side *side, enum wire_kind kind, uint32_t number, uint32_t copy)
{
    seen->kinds |= KIND(kind);
    seen->number[kind] = since_rules(side, kind, number);
    seen->copy[kind] = copy;
}

static void enter_epoch(struct side *side, uint32_t epoch)
{
    if (side->epoch == epoch)
        return;
    side->epoch = epoch;
    memcpy(side->base, side->count, sizeof side->base);
}

/* 32 bits to an offset: the one nearest to the highest. */
static int64_t unwrap(const struct side *side, uint32_t raw)
{
    uint32_t highest = side->isn + 1 + (uint32_t)side->nxt;
    return side->nxt + (int32_t)(raw - highest);
}

static void start_at(struct side *side, uint32_t first_byte)
{
    if (side->started)
        return;
    side->started = true;
    side->isn = first_byte - 1;
}

/* ---- TCP */

static void count_once(struct counted *counted, struct once *once, enum wire_kind kind)
{
    struct side *side = counted->side;

    if (once->n_sent == 0) {
        side->count[kind]++;
        once->any_number = side->count[WIRE_ANY] + 1;
        counted->is_new = true;
    }
    one_more(&once->n_sent);
    set_kind(counted->seen, side, kind, 1, once->n_sent);
}

static void count_syn(struct counted *counted, bool is_answer)
{
    struct side *side = counted->side;
    struct once *once = is_answer ? &side->syn_ack : &side->syn;

    count_once(counted, once, is_answer ? WIRE_SYN_ACK : WIRE_SYN);
    side->syn_seen = true;
    /* A SYN-ACK with another number: the SYN cookie of another minute. */
    if (side->nxt == 0)
        side->isn = counted->decoded->seq;
    counted->number = once->any_number;
    counted->copy = once->n_sent;
    counted->seen->chance = what(counted->seen->chance, CHANCE_SYN, is_answer, 0, once->n_sent);
}

static void count_data(struct counted *counted, int64_t begin)
{
    struct side *side = counted->side;
    int64_t end = begin + counted->decoded->n_payload;
    bool believed = begin >= -REACH && begin <= side->nxt + REACH;
    struct range range = {.begin = begin, .n_sent = 1};
    bool is_new = believed && end > side->nxt;

    if (is_new)
        one_more(&side->count[WIRE_DATA]);
    if (believed) {
        bool forgot = side->ranges.forgot;
        ranges_sent(&side->ranges, &counted->flows->n_ranges, begin, end, side->count[WIRE_DATA],
                    side->count[WIRE_ANY] + 1, &range);
        counted->flows->n_forgotten += side->ranges.forgot && !forgot;
    } else {
        range.n_sent = ++side->ranges.n_older;
    }
    if (is_new) {
        side->nxt = end;
        counted->is_new = true;
    }
    counted->number = range.any_number;
    counted->copy = range.n_sent;
    set_kind(counted->seen, side, WIRE_DATA, is_new ? side->count[WIRE_DATA] : range.data_number,
             is_new ? 1 : range.n_sent);
    counted->seen->chance = what(counted->seen->chance, CHANCE_DATA, begin, end, range.n_sent);
}

static void count_fin(struct counted *counted, int64_t at)
{
    struct once *once = &counted->side->fin;

    count_once(counted, once, WIRE_FIN);
    if (counted->decoded->n_payload > 0)
        return; /* known by its data */
    counted->number = once->any_number;
    counted->copy = once->n_sent;
    counted->seen->chance = what(counted->seen->chance, CHANCE_FIN, at, 0, once->n_sent);
}

/* An ACK and nothing else: known by what it acknowledges, and how often that was acknowledged. */
static void count_ack(struct counted *counted)
{
    struct side *side = counted->side;
    int64_t ack = unwrap(counted->peer, counted->decoded->ack);

    if (side->n_same_acks == 0 || ack != side->ack) {
        side->ack = ack;
        side->n_same_acks = 0;
    }
    one_more(&side->n_same_acks);
    counted->is_new = true;
    set_kind(counted->seen, side, WIRE_ACK, one_more(&side->count[WIRE_ACK]), 1);
    counted->seen->chance = what(counted->seen->chance, CHANCE_ACK, ack, 0, side->n_same_acks);
}

static void count_reset(struct counted *counted, int64_t at)
{
    struct side *side = counted->side;
    uint32_t number = one_more(&side->count[WIRE_RST]);

    counted->is_new = true;
    set_kind(counted->seen, side, WIRE_RST, number, 1);
    counted->seen->chance = what(counted->seen->chance, CHANCE_RST, at, 0, number);
}

static void count_any(struct counted *counted)
{
    struct side *side = counted->side;

    if (counted->is_new) {
        counted->number = one_more(&side->count[WIRE_ANY]);
        counted->copy = 1;
    }
    set_kind(counted->seen, side, WIRE_ANY, counted->number, counted->copy);
}

static void count_segment(struct counted *counted)
{
    const struct decoded *decoded = counted->decoded;
    unsigned flags = decoded->flags;
    bool syn = flags & SEGMENT_SYN;
    uint32_t first_byte = decoded->seq + syn;

    start_at(counted->side, first_byte);
    if (flags & SEGMENT_ACK) {
        start_at(counted->peer, decoded->ack);
        counted->seen->acknowledges = &counted->peer->ranges;
        counted->seen->acked = unwrap(counted->peer, decoded->ack);
    }
    if (syn && !(flags & SEGMENT_RST))
        count_syn(counted, flags & SEGMENT_ACK);
    int64_t begin = unwrap(counted->side, first_byte);
    if (flags & SEGMENT_RST) {
        count_reset(counted, begin);
    } else {
        if (decoded->n_payload > 0)
            count_data(counted, begin);
        if (flags & SEGMENT_FIN)
            count_fin(counted, begin + decoded->n_payload);
        if (counted->seen->kinds == 0 && flags & SEGMENT_ACK)
            count_ack(counted);
        else if (counted->seen->kinds == 0)
            counted->is_new = true;
    }
    count_any(counted);
}

/* A SYN that is not a repeat, where there was a connection: another one, with the same ports. */
static bool begins_anew(const struct flow *flow, enum event_end from, const struct decoded *decoded)
{
    const struct side *side = &flow->side[from];
    bool opens = (decoded->flags & (SEGMENT_SYN | SEGMENT_ACK | SEGMENT_RST)) == SEGMENT_SYN;
    return opens && side->started && (!side->syn_seen || side->isn != decoded->seq);
}

/* The port that a connection is known by: where the SYN goes; when it was not seen, the lower one. */
static uint16_t tcp_server_port(const struct decoded *decoded)
{
    uint16_t low = decoded->source_port < decoded->destination_port ? decoded->source_port : decoded->destination_port;
    return decoded->flags & SEGMENT_SYN && !(decoded->flags & SEGMENT_ACK) ? decoded->destination_port : low;
}

/* ---- the others */

static void count_datagram(struct side *side, enum wire_kind kind, const struct decoded *decoded, struct seen *seen)
{
    uint32_t number = one_more(&side->count[WIRE_ANY]);

    set_kind(seen, side, WIRE_ANY, number, 1);
    if (kind != WIRE_ANY)
        set_kind(seen, side, kind, one_more(&side->count[kind]), 1);
    if (kind == WIRE_UDP && decoded->n_payload > 0)
        set_kind(seen, side, WIRE_DATA, one_more(&side->count[WIRE_DATA]), 1);
    seen->chance = what(seen->chance, CHANCE_DATAGRAM, number, 0, 1);
}

static bool is_icmp(const struct decoded *decoded)
{
    return decoded->protocol == (decoded->network == DECODE_IPV4 ? IPPROTO_ICMP : IPPROTO_ICMPV6);
}

/* Multicast listeners, routers and neighbours. */
static bool is_link_talk(const struct decoded *decoded)
{
    uint8_t type = decoded->icmp_type;
    return decoded->network == DECODE_IPV6 && decoded->depth == DECODE_TRANSPORT && is_icmp(decoded) &&
           ((type >= 130 && type <= 137) || type == 143);
}

static enum wire_kind datagram_kind(const struct decoded *decoded)
{
    if (decoded->depth < DECODE_TRANSPORT)
        return WIRE_ANY;
    if (decoded->protocol == IPPROTO_UDP)
        return WIRE_UDP;
    return is_icmp(decoded) ? WIRE_ICMP : WIRE_ANY;
}

static struct flow_key key_of(const struct decoded *decoded, enum event_end from)
{
    struct flow_key key;
    enum event_end to = other_end(from);

    memset(&key, 0, sizeof key);
    key.version = decoded->network == DECODE_IPV4 ? 4 : 6;
    key.protocol = decoded->protocol;
    memcpy(key.address[from], decoded->source.bytes, sizeof key.address[from]);
    memcpy(key.address[to], decoded->destination.bytes, sizeof key.address[to]);
    if (decoded->depth == DECODE_TRANSPORT && is_icmp(decoded)) {
        key.port[from] = key.port[to] = decoded->echo_id;
    } else if (decoded->depth == DECODE_TRANSPORT) {
        key.port[from] = decoded->source_port;
        key.port[to] = decoded->destination_port;
    }
    return key;
}

static void take_place(const struct decoded *decoded, size_t n_bytes, struct seen *seen)
{
    bool first_fragment = decoded->fragment_offset == 0;
    size_t ip_end = (size_t)decoded->network_offset + decoded->ip_bytes;

    seen->is_ip = true;
    seen->ip_bytes = decoded->ip_bytes;
    seen->payload_to = (uint32_t)(ip_end < n_bytes ? ip_end : n_bytes);
    seen->payload_from = decoded->transport_offset < seen->payload_to ? decoded->transport_offset : seen->payload_to;
    /* RFC 1122 3.2.2: never about an ICMP error, nor about a later fragment. */
    seen->tells = first_fragment && !decoded->icmp_quotes;
    if (decoded->trouble & DECODE_TUNNEL)
        seen->ip_bytes = (uint32_t)n_bytes - ETHERNET_HEADER; /* of the outer one */
    if (decoded->depth == DECODE_TRANSPORT) {
        seen->port[0] = is_icmp(decoded) ? decoded->quoted_source_port : decoded->source_port;
        seen->port[1] = is_icmp(decoded) ? decoded->quoted_destination_port : decoded->destination_port;
    }
}

void seen_packet(struct flows *flows, enum event_end from, uint32_t epoch, const void *frame, size_t n_bytes,
                 struct seen *ret_seen)
{
    struct seen *seen = ret_seen;
    struct decoded decoded;

    memset(seen, 0, sizeof *seen);
    decode_packet(LINK_TYPE_ETHERNET, frame, n_bytes, n_bytes, 0, &decoded);
    if ((decoded.network != DECODE_IPV4 && decoded.network != DECODE_IPV6) || is_link_talk(&decoded))
        return;
    take_place(&decoded, n_bytes, seen);
    struct flow_key key = key_of(&decoded, from);
    bool is_tcp = decoded.depth == DECODE_TRANSPORT && decoded.protocol == IPPROTO_TCP;
    enum wire_kind kind = datagram_kind(&decoded);
    uint16_t server_port = is_tcp ? tcp_server_port(&decoded) : kind == WIRE_UDP ? decoded.destination_port : 0;
    struct flow *flow = flows_find(flows, &key, from, server_port);
    if (is_tcp && begins_anew(flow, from, &decoded))
        flows_renew(flows, flow, from, server_port);
    struct side *side = &flow->side[from];
    enter_epoch(side, epoch);
    seen->chance = chance_add(flow->chance, from);
    if (is_tcp) {
        struct counted counted = {
            .flows = flows, .side = side, .peer = &flow->side[other_end(from)], .decoded = &decoded, .seen = seen};
        count_segment(&counted);
    } else {
        count_datagram(side, kind, &decoded, seen);
    }
}
