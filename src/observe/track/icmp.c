/* SPDX-License-Identifier: MIT */
/*
 * Errors that routers and hosts report: they quote the packet that they are about, so its sender is who is told. Of TCP
 * they quote the sequence number, which names the segment while it is remembered; of UDP the length, checksum and IP
 * id, which several may share: then it is the first of them that no error has spoken of.
 */
#include "observe/track/track_internal.h"

#include <netinet/in.h>

static uint32_t number_of(const struct tracked *conv, enum event_end from, uint32_t seq_raw)
{
    const struct flow *flow = &conv->flow[from];
    if (!flow->based)
        return 0;
    int64_t seq = sequence_unwrap(&conv->shown.side[from], flow, seq_raw);
    const struct range *range = ranges_find(&flow->sent, seq);
    return range && range->seq <= seq ? range->number : 0;
}

struct tracked *icmp_packet(struct tracker *tracker, uint64_t number, const struct decoded *packet)
{
    struct sonde_address source, destination;
    enum event_end from = END_A;
    char words[32];

    if (packet->quoted_protocol != IPPROTO_TCP && packet->quoted_protocol != IPPROTO_UDP)
        return NULL;
    address_of(packet, &packet->quoted_source, packet->quoted_source_port, &source);
    address_of(packet, &packet->quoted_destination, packet->quoted_destination_port, &destination);
    struct tracked *conv = table_find(tracker, packet->quoted_protocol, &source, &destination, &from);
    if (!conv)
        return NULL;

    struct event_icmp event = {
        .version = packet->network == DECODE_IPV6 ? 6 : 4,
        .type = packet->icmp_type,
        .code = packet->icmp_code,
        .to = (uint8_t)from,
        .mtu = packet->icmp_mtu,
        .packet = number,
    };
    address_of(packet, &packet->source, 0, &event.sender);
    if (packet->quoted_protocol == IPPROTO_TCP && packet->quoted_has_seq) {
        event.about_seq_raw = packet->quoted_seq;
        event.about_number = number_of(conv, from, packet->quoted_seq);
    }
    if (packet->quoted_protocol == IPPROTO_UDP && packet->quoted_has_datagram)
        event.about_number = datagram_quoted(conv, from, packet);
    event.words = decode_icmp_words(event.version, event.type, event.code, words);
    conv->shown.icmp_type = event.type;
    conv->shown.icmp_code = event.code;
    conv->shown.icmp_version = event.version;
    table_touch(tracker, conv);
    if (tracker->handler.icmp)
        tracker->handler.icmp(&conv->shown, tracker->now_ns, &event, tracker->user);
    return conv;
}
