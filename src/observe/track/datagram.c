/* SPDX-License-Identifier: MIT */
/* UDP: a conversation is its pair of addresses and ports, and A is who spoke first. */
#include "observe/track/track_internal.h"

#include <netinet/in.h>

static struct tracked *begin(struct tracker *tracker, uint32_t interface, const struct sonde_address *source,
                             const struct sonde_address *destination)
{
    struct tracked *conv = table_add(tracker, IPPROTO_UDP, source, destination);
    if (!conv)
        return NULL;
    conv->shown.interface = interface;
    if (tracker->handler.opened)
        tracker->handler.opened(&conv->shown, tracker->now_ns, tracker->user);
    return conv;
}

static void remember(struct sent_datagrams *datagrams, uint32_t number, const struct decoded *packet)
{
    datagrams->sent[datagrams->next++ % DATAGRAMS_KEPT] = (struct sent_datagram){
        .number = number,
        .ip_id = packet->ip_id,
        .n_bytes = (uint16_t)packet->n_payload,
        .checksum = packet->checksum,
    };
}

uint32_t datagram_quoted(struct tracked *conv, enum event_end from, const struct decoded *packet)
{
    struct sent_datagram *found = NULL;
    for (unsigned i = 0; i < DATAGRAMS_KEPT; i++) {
        struct sent_datagram *sent = &conv->datagrams[from].sent[i];
        if (sent->number == 0 || sent->reported || sent->ip_id != packet->quoted_ip_id ||
            sent->n_bytes != packet->quoted_n_payload || sent->checksum != packet->quoted_checksum)
            continue;
        if (!found || sent->number < found->number)
            found = sent;
    }
    if (!found)
        return 0;
    found->reported = true;
    return found->number;
}

struct tracked *datagram_packet(struct tracker *tracker, uint64_t number, uint32_t interface,
                                const struct decoded *packet)
{
    struct event_datagram event = {.n_bytes = packet->n_payload, .packet = number, .data = packet->payload};
    enum event_end from = END_A;

    address_of(packet, &packet->source, packet->source_port, &event.source);
    address_of(packet, &packet->destination, packet->destination_port, &event.destination);
    struct tracked *conv = table_find(tracker, IPPROTO_UDP, &event.source, &event.destination, &from);
    if (!conv)
        conv = begin(tracker, interface, &event.source, &event.destination);
    if (!conv)
        return NULL;

    struct conversation *shown = &conv->shown;
    event.number = track_number(tracker, shown);
    event.from = (uint8_t)from;
    remember(&conv->datagrams[from], event.number, packet);
    event.n_data = packet->n_payload_captured < SEGMENT_PREVIEW_MAX ? packet->n_payload_captured : SEGMENT_PREVIEW_MAX;
    shown->side[from].n_packets++;
    shown->side[from].n_bytes += packet->n_payload;
    shown->side[from].n_unique_bytes += packet->n_payload;
    if (packet->trouble & DECODE_CUT) {
        event.notes |= NOTE_BIT(NOTE_CUT);
        shown->n_cut++;
    }
    if ((packet->trouble & DECODE_CHECKSUM_BAD) && !(packet->trouble & DECODE_CHECKSUM_PARTIAL)) {
        event.notes |= NOTE_BIT(NOTE_CHECKSUM_BAD);
        shown->n_checksum_bad++;
    }
    table_touch(tracker, conv);
    if (tracker->handler.datagram)
        tracker->handler.datagram(shown, tracker->now_ns, &event, tracker->user);
    return conv;
}
