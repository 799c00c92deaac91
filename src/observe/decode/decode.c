/* SPDX-License-Identifier: MIT */
/*
 * From a packet's bytes to one struct: link.c finds IP, ip.c its header and what is between it and its payload, tcp.c
 * and icmp.c the rest. One IP packet inside another is followed, once; what is described then is the inner one.
 */
#include "observe/decode/decode_internal.h"

#include <netinet/in.h>

static void take_header(const struct ip_header *ip, struct decoded *decoded)
{
    size_t n_address = ip->version == 4 ? 4 : 16;

    decoded->depth = DECODE_NETWORK;
    decoded->network = ip->version == 4 ? DECODE_IPV4 : DECODE_IPV6;
    decoded->protocol = ip->protocol;
    decoded->ttl = ip->ttl;
    decoded->traffic_class = ip->traffic_class;
    decoded->ip_id = ip->id;
    decoded->fragment_offset = ip->fragment_offset;
    decoded->more_fragments = ip->more_fragments;
    decoded->network_offset = ip->offset;
    decoded->transport_offset = ip->transport;
    decoded->payload_offset = ip->transport;
    decoded->ip_bytes = ip->end - ip->offset;
    decoded->source = decoded->destination = (struct decode_address){{0}};
    memcpy(decoded->source.bytes, ip->source, n_address);
    memcpy(decoded->destination.bytes, ip->destination, n_address);
    if (ip->is_fragment)
        decoded->trouble |= DECODE_FRAGMENT;
}

static void check_header(const struct bytes *bytes, const struct ip_header *ip, struct decoded *decoded)
{
    uint16_t right;
    bool can_be_judged = ip->version == 4 && ip->offset + ip->header_bytes <= bytes->n_captured && !ip->frame_length;

    if (can_be_judged && checksum_judge_ipv4(bytes->data + ip->offset, ip->header_bytes, &right) == CHECKSUM_BAD)
        decoded->trouble |= DECODE_CHECKSUM_BAD;
}

static void check_transport(const struct bytes *bytes, const struct ip_header *ip, struct decoded *decoded)
{
    uint16_t right;
    enum checksum_verdict verdict = checksum_judge(bytes, ip, &right);

    if (verdict == CHECKSUM_BAD)
        decoded->trouble |= DECODE_CHECKSUM_BAD;
    else if (verdict == CHECKSUM_PARTIAL)
        decoded->trouble |= DECODE_CHECKSUM_PARTIAL;
}

/* Is there an IP packet in this one? Its version and, in ret_at, where; 0: no. */
static unsigned inner_version(const struct bytes *bytes, const struct ip_header *ip, uint32_t *ret_at,
                              struct decoded *decoded)
{
    struct gre gre;

    *ret_at = ip->transport;
    switch (ip->protocol) {
    case IPPROTO_IPIP:
        return 4;
    case IPPROTO_IPV6:
        return 6;
    case IPPROTO_GRE:
        if (!gre_parse(bytes, ip, &gre, &decoded->trouble))
            return 0;
        *ret_at = ip->transport + gre.n_bytes;
        return gre.ether_type == ETHER_IPV4 ? 4 : gre.ether_type == ETHER_IPV6 ? 6 : 0;
    default:
        return 0;
    }
}

static void carried(const struct bytes *bytes, const struct ip_header *ip, unsigned flags, struct decoded *decoded)
{
    if (!ip->whole || ip->fragment_offset > 0)
        return;
    if (ip->protocol == IPPROTO_TCP)
        tcp_decode(bytes, ip, decoded);
    else if (ip->protocol == IPPROTO_UDP)
        udp_decode(bytes, ip, decoded);
    else if (ip->protocol == (ip->version == 4 ? IPPROTO_ICMP : IPPROTO_ICMPV6))
        icmp_decode(bytes, ip, decoded);
    if (decoded->depth == DECODE_TRANSPORT && flags & DECODE_CHECK_CHECKSUMS)
        check_transport(bytes, ip, decoded);
}

static bool network(const struct bytes *bytes, uint32_t at, uint32_t wire_end, unsigned version, unsigned flags,
                    struct decoded *decoded, struct ip_header *ret_ip)
{
    bool is_ip = ip_parse(bytes, at, wire_end, version, ret_ip);

    decoded->trouble |= ret_ip->trouble;
    if (!is_ip)
        return false;
    take_header(ret_ip, decoded);
    if (flags & DECODE_CHECK_CHECKSUMS)
        check_header(bytes, ret_ip, decoded);
    carried(bytes, ret_ip, flags, decoded);
    return true;
}

static void inside(const struct bytes *bytes, const struct ip_header *outer, unsigned flags, struct decoded *decoded)
{
    struct ip_header inner;
    uint32_t at;

    if (!outer->whole || outer->is_fragment)
        return;
    unsigned version = inner_version(bytes, outer, &at, decoded);
    uint32_t end = smaller(outer->end, bytes->n_wire);
    if (version != 0 && network(bytes, at, end, version, flags, decoded, &inner))
        decoded->trouble |= DECODE_TUNNEL;
}

enum decode_depth decode_packet(uint16_t link_type, const void *data, size_t n_captured, size_t n_wire, unsigned flags,
                                struct decoded *ret_decoded)
{
    struct bytes bytes = {data, (uint32_t)(n_captured < BYTES_MAX ? n_captured : BYTES_MAX),
                          (uint32_t)(n_wire < BYTES_MAX ? n_wire : BYTES_MAX)};
    struct link_end end;
    struct ip_header ip;

    memset(ret_decoded, 0, sizeof *ret_decoded);
    ret_decoded->options.window_scale = -1;
    if (bytes.n_wire < bytes.n_captured)
        bytes.n_wire = bytes.n_captured;
    if (!link_decode(link_type, &bytes, ret_decoded, &end))
        return DECODE_NOTHING;
    ret_decoded->depth = DECODE_LINK;
    ret_decoded->network_offset = end.offset;
    if (end.version == 0) {
        if (bytes.n_captured < bytes.n_wire)
            ret_decoded->trouble |= DECODE_CUT;
        return DECODE_LINK;
    }
    if (network(&bytes, end.offset, bytes.n_wire, end.version, flags, ret_decoded, &ip) &&
        ret_decoded->depth == DECODE_NETWORK)
        inside(&bytes, &ip, flags, ret_decoded);
    return ret_decoded->depth;
}
