/* SPDX-License-Identifier: MIT */
/* The tracker's outside: its life, and which part a packet goes to. */
#include "observe/track/track_internal.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#define BUCKETS_FIRST 64

void *track_allocate(struct tracker *tracker, void *old, size_t n_bytes)
{
    void *memory = ++tracker->n_allocations == tracker->fail_at ? NULL : realloc(old, n_bytes);
    if (!memory)
        tracker->counts.n_no_memory++;
    return memory;
}

struct tracker *tracker_new(size_t n_max, const struct track_handler *handler, void *user)
{
    struct tracker *tracker = calloc(1, sizeof *tracker);
    if (!tracker)
        return NULL;
    tracker->n_buckets = BUCKETS_FIRST;
    tracker->buckets = calloc(tracker->n_buckets, sizeof *tracker->buckets);
    if (!tracker->buckets) {
        free(tracker);
        return NULL;
    }
    if (handler)
        tracker->handler = *handler;
    tracker->user = user;
    tracker->n_max = n_max > 0 ? n_max : 1;
    tracker->now_ns = INT64_MIN;
    tracker->seed = table_mix((uintptr_t)tracker, (uintptr_t)tracker->buckets);
    return tracker;
}

void tracker_free(struct tracker *tracker)
{
    if (!tracker)
        return;
    while (tracker->born.first)
        table_forget(tracker, tracker->born.first);
    free(tracker->buckets);
    free(tracker->more_twins);
    free(tracker);
}

uint32_t track_number(struct tracker *tracker, struct conversation *conversation)
{
    uint32_t number = tracker->given_number != 0 ? tracker->given_number : conversation->n_segments + 1;
    if (number > conversation->n_segments)
        conversation->n_segments = number;
    return number;
}

void address_of(const struct decoded *packet, const struct decode_address *address, uint16_t port,
                struct sonde_address *ret_address)
{
    *ret_address = (struct sonde_address){.family = packet->network == DECODE_IPV6 ? AF_INET6 : AF_INET, .port = port};
    memcpy(ret_address->u.ip, address->bytes, packet->network == DECODE_IPV6 ? 16 : 4);
}

struct conversation *tracker_packet(struct tracker *tracker, int64_t t_ns, uint64_t packet_number, uint32_t interface,
                                    const struct decoded *packet)
{
    struct tracked *conv = NULL;
    bool ours = packet->depth == DECODE_TRANSPORT && (packet->network == DECODE_IPV4 || packet->network == DECODE_IPV6);

    if (t_ns > tracker->now_ns)
        tracker->now_ns = t_ns;
    tracker->counts.n_packets++;
    if (packet->trouble & DECODE_FRAGMENT)
        tracker->counts.n_fragments++;
    if (packet->trouble & (DECODE_SHORT | DECODE_OPTIONS_BAD))
        tracker->counts.n_damaged++;
    table_sweep(tracker);

    if (ours && packet->protocol == IPPROTO_TCP) {
        conv = segment_packet(tracker, packet_number, interface, packet);
    } else if (ours && packet->protocol == IPPROTO_UDP) {
        conv = datagram_packet(tracker, packet_number, interface, packet);
    } else {
        if (ours && (packet->protocol == IPPROTO_ICMP || packet->protocol == IPPROTO_ICMPV6) && packet->icmp_quotes)
            conv = icmp_packet(tracker, packet_number, packet);
        if (!conv)
            tracker->counts.n_other++;
    }
    return conv ? &conv->shown : NULL;
}

void conversation_set_user(struct conversation *conversation, void *user)
{
    ((struct tracked *)conversation)->user = user;
}

void *conversation_user(const struct conversation *conversation)
{
    return ((const struct tracked *)conversation)->user;
}

void tracker_counts(const struct tracker *tracker, struct tracker_counts *ret_counts)
{
    *ret_counts = tracker->counts;
}

/* As address_of makes them: no scope, and nothing behind four bytes of IPv4. */
static struct sonde_address plain(const struct sonde_address *address)
{
    struct sonde_address made = {.family = address->family, .port = address->port};
    memcpy(made.u.ip, address->u.ip, address->family == AF_INET6 ? 16 : 4);
    return made;
}

struct conversation *tracker_find(const struct tracker *tracker, uint8_t protocol, const struct sonde_address *one,
                                  const struct sonde_address *other)
{
    struct sonde_address a = plain(one), b = plain(other);
    enum event_end from;
    struct tracked *conv = table_find(tracker, protocol, &a, &b, &from);
    return conv ? &conv->shown : NULL;
}
