/* SPDX-License-Identifier: MIT */
/*
 * IPv4 and IPv6 headers, from the version to what they carry.
 *
 * Two ends matter: where the packet ends as its header says (end), and where the capture ends. The first tells padding
 * from payload, and is what sequence numbers count; the second is what may be read. A length of 0 is no lie: captured
 * on its way to a card that cuts it up, a packet may not have its length yet.
 */
#include "observe/decode/decode_internal.h"

#include <netinet/in.h>

enum { OPTION_JUMBO = 0xc2, OPTION_PAD_1 = 0, JUMBO_BYTES = 6 };

bool ip_has(const struct bytes *bytes, const struct ip_header *ip, uint32_t end, uint16_t *trouble)
{
    if (end > ip->end)
        *trouble |= DECODE_SHORT;
    else if (end > bytes->n_captured)
        *trouble |= trouble_of_end(bytes);
    else
        return true;
    return false;
}

/* The end is set: hold it against what there is. */
static void check_end(const struct bytes *bytes, uint32_t wire_end, struct ip_header *ip)
{
    if (ip->end > wire_end)
        ip->trouble |= DECODE_SHORT;
    if (ip->end > bytes->n_captured && bytes->n_captured < bytes->n_wire)
        ip->trouble |= DECODE_CUT;
}

/* A hop-by-hop header's jumbo payload option (RFC 2675); 0: none. The header is there whole. */
static uint32_t jumbo_bytes(const uint8_t *header, uint32_t n_bytes)
{
    for (uint32_t at = 2; at + 2 <= n_bytes;) {
        if (header[at] == OPTION_PAD_1) {
            at++;
            continue;
        }
        uint32_t n_option = 2u + header[at + 1];
        if (header[at] == OPTION_JUMBO && n_option == JUMBO_BYTES && at + JUMBO_BYTES <= n_bytes)
            return be32(header + at + 2);
        at += n_option;
    }
    return 0;
}

static void take_jumbo(const struct bytes *bytes, uint32_t wire_end, const uint8_t *header, uint32_t n_bytes,
                       struct ip_header *ip)
{
    uint32_t n_jumbo = jumbo_bytes(header, n_bytes), base = ip->offset + ip->header_bytes;

    if (n_jumbo == 0)
        return;
    ip->frame_length = false;
    if (n_jumbo > wire_end - base || n_jumbo < n_bytes)
        ip->trouble |= DECODE_SHORT;
    else
        ip->end = base + n_jumbo;
    check_end(bytes, wire_end, ip);
}

/* True: go on behind it. */
static bool take_fragment(const struct bytes *bytes, uint32_t at, uint32_t next_at, struct ip_header *ip)
{
    const uint8_t *header = bytes->data + at;
    unsigned word = be16(header + 2);

    if (ip->is_fragment) { /* of a fragment: nobody does that */
        ip->trouble |= DECODE_SHORT;
        return false;
    }
    ip->protocol = header[0];
    ip->id = be32(header + 4);
    ip->fragment_offset = word & 0xfff8;
    ip->more_fragments = word & 1;
    ip->is_fragment = ip->fragment_offset > 0 || ip->more_fragments;
    ip->fragment_data = at + IPV6_FRAGMENT_BYTES;
    ip->fragment_next = next_at;
    ip->fragment_at = at;
    return ip->fragment_offset == 0;
}

/* Length of the extension header at an offset whose first eight bytes are there; 0: it is none. */
static uint32_t extension_bytes(const struct ip_header *ip, const uint8_t *header)
{
    if (ip->protocol == IPPROTO_AH)
        return (header[1] + 2u) * 4;
    if (ip->version != 6)
        return 0;
    switch (ip->protocol) {
    case IPPROTO_HOPOPTS:
    case IPPROTO_ROUTING:
    case IPPROTO_DSTOPTS:
        return (header[1] + 1u) * 8;
    case IPPROTO_FRAGMENT:
        return IPV6_FRAGMENT_BYTES;
    default:
        return 0;
    }
}

static bool is_extension(const struct ip_header *ip)
{
    if (ip->version != 6)
        return ip->protocol == IPPROTO_AH;
    return ip->protocol == IPPROTO_HOPOPTS || ip->protocol == IPPROTO_ROUTING || ip->protocol == IPPROTO_DSTOPTS ||
           ip->protocol == IPPROTO_FRAGMENT || ip->protocol == IPPROTO_AH;
}

static void follow_extensions(const struct bytes *bytes, uint32_t wire_end, struct ip_header *ip)
{
    uint32_t next_at = ip->offset + 6; /* IPv6's own; IPv4 has no fragment headers */

    while (is_extension(ip)) {
        uint32_t at = ip->transport;
        const uint8_t *header = bytes->data + at;
        if (!ip_has(bytes, ip, at + 8, &ip->trouble))
            return;
        uint32_t n_bytes = extension_bytes(ip, header);
        if (!ip_has(bytes, ip, at + n_bytes, &ip->trouble))
            return;
        ip->transport = at + n_bytes;
        if (ip->protocol == IPPROTO_FRAGMENT) {
            if (!take_fragment(bytes, at, next_at, ip))
                break;
        } else {
            if (ip->protocol == IPPROTO_ROUTING && header[3] > 0)
                ip->routed = true;
            if (ip->protocol == IPPROTO_HOPOPTS && ip->frame_length)
                take_jumbo(bytes, wire_end, header, n_bytes, ip);
            ip->protocol = header[0];
        }
        next_at = at;
    }
    ip->whole = true;
}

static bool parse_ipv4(const struct bytes *bytes, uint32_t wire_end, struct ip_header *ip)
{
    const uint8_t *header = bytes->data + ip->offset;
    uint32_t n_bytes = be16(header + 2), word = be16(header + 6);

    ip->header_bytes = (header[0] & 0xfu) * 4;
    if (n_bytes == 0) {
        ip->frame_length = true;
        n_bytes = wire_end - ip->offset;
    }
    if (ip->header_bytes < IPV4_BYTES || n_bytes < ip->header_bytes) {
        ip->trouble |= DECODE_SHORT;
        return false;
    }
    ip->end = ip->offset + n_bytes;
    ip->traffic_class = header[1];
    ip->ttl = header[8];
    ip->protocol = header[9];
    ip->id = be16(header + 4);
    ip->fragment_offset = (word & 0x1fff) * 8;
    ip->more_fragments = word & 0x2000;
    ip->is_fragment = ip->fragment_offset > 0 || ip->more_fragments;
    ip->source = header + 12;
    ip->destination = header + 16;
    check_end(bytes, wire_end, ip);
    ip->transport = smaller(ip->offset + ip->header_bytes, bytes->n_captured);
    ip->fragment_data = ip->transport;
    if (!ip_has(bytes, ip, ip->offset + ip->header_bytes, &ip->trouble))
        return true;
    if (ip->fragment_offset > 0)
        ip->whole = true;
    else
        follow_extensions(bytes, wire_end, ip);
    return true;
}

static bool parse_ipv6(const struct bytes *bytes, uint32_t wire_end, struct ip_header *ip)
{
    const uint8_t *header = bytes->data + ip->offset;
    uint32_t n_payload = be16(header + 4);

    ip->header_bytes = IPV6_BYTES;
    ip->protocol = header[6];
    ip->end = ip->offset + IPV6_BYTES + n_payload;
    if (n_payload == 0 && ip->protocol != IPPROTO_NONE) {
        ip->frame_length = true;
        ip->end = wire_end;
    }
    ip->traffic_class = (uint8_t)(be16(header) >> 4);
    ip->ttl = header[7];
    ip->source = header + 8;
    ip->destination = header + 24;
    ip->transport = ip->offset + IPV6_BYTES;
    check_end(bytes, wire_end, ip);
    follow_extensions(bytes, wire_end, ip);
    return true;
}

bool ip_parse(const struct bytes *bytes, uint32_t at, uint32_t wire_end, unsigned version, struct ip_header *ret_ip)
{
    uint32_t n_least = version == 4 ? IPV4_BYTES : IPV6_BYTES;

    *ret_ip = (struct ip_header){.version = (uint8_t)version, .offset = at};
    if (bytes->n_captured < at + n_least || wire_end < at + n_least) {
        ret_ip->trouble |= wire_end < at + n_least ? (uint16_t)DECODE_SHORT : trouble_of_end(bytes);
        return false;
    }
    if (bytes->data[at] >> 4 != version) {
        ret_ip->trouble |= DECODE_SHORT;
        return false;
    }
    return version == 4 ? parse_ipv4(bytes, wire_end, ret_ip) : parse_ipv6(bytes, wire_end, ret_ip);
}

/* RFC 2784 and 2890: checksum, key and sequence number are there if their flags say so. */
bool gre_parse(const struct bytes *bytes, const struct ip_header *ip, struct gre *ret_gre, uint16_t *trouble)
{
    enum { HAS_CHECKSUM = 0x8000, HAS_ROUTING = 0x4000, HAS_KEY = 0x2000, HAS_SEQUENCE = 0x1000, VERSION = 7 };

    if (!ip_has(bytes, ip, ip->transport + GRE_BYTES, trouble))
        return false;
    const uint8_t *header = bytes->data + ip->transport;
    unsigned flags = be16(header);
    if (flags & (VERSION | HAS_ROUTING))
        return false;
    ret_gre->n_bytes =
        GRE_BYTES + (flags & HAS_CHECKSUM ? 4u : 0) + (flags & HAS_KEY ? 4u : 0) + (flags & HAS_SEQUENCE ? 4u : 0);
    ret_gre->ether_type = be16(header + 2);
    return ip_has(bytes, ip, ip->transport + ret_gre->n_bytes, trouble);
}
