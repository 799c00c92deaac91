/* SPDX-License-Identifier: MIT */
/* IPv4 and IPv6 with their options and extension headers, and GRE, field by field. */
#include "observe/decode/layers_internal.h"

#include <netinet/in.h>
#include <stdio.h>

#define NESTED_MAX 8 /* IP headers that are taken apart; what is inside the last is shown as bytes */

static const char *ecn_text(unsigned traffic_class)
{
    static const char *const texts[] = {"not ECN", "ECT(1)", "ECT(0)", "CE: congestion was experienced"};
    return texts[traffic_class & 3];
}

static const char *ipv4_option_name(unsigned kind)
{
    switch (kind) {
    case 0:
        return "option end";
    case 1:
        return "option no-op";
    case 7:
        return "option record route";
    case 68:
        return "option timestamp";
    case 130:
        return "option security";
    case 131:
        return "option loose route";
    case 137:
        return "option strict route";
    case 148:
        return "option router alert";
    default:
        return "option unknown";
    }
}

static void ipv4_options(struct layers *layers, uint32_t n_options)
{
    uint32_t end = layers->at + smaller(n_options, left(layers));

    while (layers->at < end) {
        unsigned kind = peek8(layers, 0), n_bytes = kind > 1 ? peek8(layers, 1) : 1;
        if (kind == 0) {
            layer_field(layers, 1, ipv4_option_name(kind), NULL, "%u", kind);
            layer_dump(layers, end - layers->at, "padding", NULL);
        } else if (n_bytes < (kind > 1 ? 2u : 1u) || n_bytes > end - layers->at) {
            layer_dump(layers, end - layers->at, "options", "their lengths make no sense");
        } else {
            layer_field(layers, n_bytes, ipv4_option_name(kind), NULL, "%u, %u bytes", kind, n_bytes);
        }
    }
}

static void ipv4_fragment(struct layers *layers)
{
    unsigned word = peek16(layers, 0), offset = (word & 0x1fff) * 8;
    bool more = word & 0x2000;
    const char *remark = NULL;

    if (offset > 0)
        remark = more ? "a fragment from the middle" : "the last fragment";
    else if (more)
        remark = "the first fragment";
    layer_bits(layers, 2, "flags", word & 0x4000 ? "routers may not cut it up" : NULL, "%s%s%s",
               word & 0x8000 ? "reserved " : "", word & 0x4000 ? "DF" : "-", more ? " MF" : "");
    layer_field(layers, 2, "fragment offset", remark, "%u", offset);
}

static void ipv4_header_checksum(struct layers *layers, uint32_t header_at, uint32_t n_header, bool left_out)
{
    uint16_t right = 0;
    enum checksum_verdict verdict = CHECKSUM_UNJUDGED;

    if (n_header >= IPV4_BYTES && header_at + n_header <= layers->end && !left_out)
        verdict = checksum_judge_ipv4(layers->data + header_at, n_header, &right);
    layer_checksum(layers, verdict, right, left_out ? "not checked: the length is still to come" : "not checked");
}

static void ipv4(struct layers *layers, uint32_t n_header)
{
    unsigned total = peek16(layers, 2);
    uint32_t at = layers->at;
    char text[ADDRESS_TEXT_SIZE];

    layer_begin(layers, LAYER_NAME(layers, "IPv4"), n_header, "from host to host", "%s", "");
    layer_bits(layers, 1, "version", NULL, "%u", peek8(layers, 0) >> 4);
    layer_field(layers, 1, "header length", "counted in words of four bytes", "%u", (peek8(layers, 0) & 15) * 4);
    layer_bits(layers, 1, "DSCP", NULL, "%u", peek8(layers, 0) >> 2);
    layer_field(layers, 1, "ECN", NULL, "%s", ecn_text(peek8(layers, 0)));
    layer_field(layers, 2, "total length", total == 0 ? "0: more than the field holds, or left to the card" : NULL,
                "%u", total);
    layer_field(layers, 2, "id", "its fragments have the same", "0x%04x", peek16(layers, 0));
    ipv4_fragment(layers);
    layer_field(layers, 1, "TTL", "hops that it may still go", "%u", peek8(layers, 0));
    layer_field(layers, 1, "protocol", NULL, "%u %s", peek8(layers, 0), protocol_name(4, peek8(layers, 0)));
    ipv4_header_checksum(layers, at, n_header, total == 0);
    layer_address(layers, 0, 4, text);
    layer_field(layers, 4, "source", NULL, "%s", text);
    layer_address(layers, 0, 4, text);
    layer_field(layers, 4, "destination", NULL, "%s", text);
    if (n_header > IPV4_BYTES)
        ipv4_options(layers, at + n_header - layers->at);
}

static void next_header(struct layers *layers)
{
    layer_field(layers, 1, "next header", NULL, "%u %s", peek8(layers, 0), protocol_name(6, peek8(layers, 0)));
}

static void ipv6(struct layers *layers)
{
    uint32_t word = peek32(layers, 0);
    unsigned n_payload = peek16(layers, 4);
    char text[ADDRESS_TEXT_SIZE];

    layer_begin(layers, LAYER_NAME(layers, "IPv6"), IPV6_BYTES, "from host to host", "%s", "");
    layer_bits(layers, 4, "version", NULL, "%u", word >> 28);
    layer_bits(layers, 4, "DSCP", NULL, "%u", word >> 22 & 0x3f);
    layer_bits(layers, 4, "ECN", NULL, "%s", ecn_text(word >> 20));
    layer_field(layers, 4, "flow label", "the same for all packets of one conversation", "0x%05x", word & 0xfffff);
    layer_field(layers, 2, "payload length",
                n_payload == 0 && peek8(layers, 2) != IPPROTO_NONE ? "0: more than the field holds, or left to the card"
                                                                   : NULL,
                "%u", n_payload);
    next_header(layers);
    layer_field(layers, 1, "hop limit", "hops that it may still go", "%u", peek8(layers, 0));
    layer_address(layers, 0, 16, text);
    layer_field(layers, 16, "source", NULL, "%s", text);
    layer_address(layers, 0, 16, text);
    layer_field(layers, 16, "destination", NULL, "%s", text);
}

static void ipv6_options(struct layers *layers, uint32_t n_options)
{
    enum { PAD_1 = 0, PAD_N = 1, ROUTER_ALERT = 5, JUMBO = 0xc2 };
    uint32_t end = layers->at + smaller(n_options, left(layers));
    char text[COUNT_TEXT_SIZE];

    while (layers->at < end) {
        unsigned kind = peek8(layers, 0);
        uint32_t n_bytes = kind == PAD_1 ? 1 : 2u + peek8(layers, 1);
        if (n_bytes > end - layers->at)
            layer_dump(layers, end - layers->at, "options", "their lengths make no sense");
        else if (kind == PAD_1 || kind == PAD_N)
            layer_field(layers, n_bytes, "padding", NULL, "%s", count_bytes(n_bytes, text));
        else if (kind == JUMBO && n_bytes == 6)
            layer_field(layers, n_bytes, "option jumbo", "the payload's real length", "%u", peek32(layers, 2));
        else if (kind == ROUTER_ALERT && n_bytes == 4)
            layer_field(layers, n_bytes, "option router alert", NULL, "%u", peek16(layers, 2));
        else
            layer_field(layers, n_bytes, "option unknown", NULL, "%u, %u bytes", kind, n_bytes);
    }
}

static void ipv6_fragment(struct layers *layers)
{
    unsigned word = peek16(layers, 2), offset = word & 0xfff8;

    layer_begin(layers, LAYER_NAME(layers, "IPv6 fragment"), IPV6_FRAGMENT_BYTES, "only the sender cuts up IPv6", "%s",
                "");
    next_header(layers);
    layer_field(layers, 1, "reserved", NULL, "%u", peek8(layers, 0));
    layer_bits(layers, 2, "fragment offset",
               word & 1     ? NULL
               : offset > 0 ? "the last fragment"
                            : "the whole packet in one fragment",
               "%u", offset);
    layer_field(layers, 2, "more fragments", NULL, "%u", word & 1);
    layer_field(layers, 4, "id", "the packet's fragments have the same", "0x%08x", peek32(layers, 0));
}

static void routing(struct layers *layers, uint32_t n_header)
{
    uint32_t end = layers->at + smaller(n_header, left(layers));
    unsigned n_segments_left = peek8(layers, 3);

    layer_begin(layers, LAYER_NAME(layers, "IPv6 routing"), n_header, "hosts to pass on the way", "%s", "");
    next_header(layers);
    layer_field(layers, 1, "header length", NULL, "%u", n_header);
    layer_field(layers, 1, "routing type", NULL, "%u", peek8(layers, 0));
    layer_field(layers, 1, "segments left",
                n_segments_left > 0 ? "the destination above is only the next of them" : NULL, "%u", n_segments_left);
    layer_dump(layers, 4, "data", NULL);
    while (layers->at + 16 <= end) {
        char text[ADDRESS_TEXT_SIZE];
        layer_address(layers, 0, 16, text);
        layer_field(layers, 16, "address", NULL, "%s", text);
    }
    layer_dump(layers, end > layers->at ? end - layers->at : 0, "data", NULL);
}

static void authentication(struct layers *layers, unsigned version, uint32_t n_header)
{
    uint32_t at = layers->at;

    layer_begin(layers, LAYER_NAME(layers, "AH"), n_header, "proves who sent it; hides nothing", "%s", "");
    layer_field(layers, 1, "next header", NULL, "%u %s", peek8(layers, 0), protocol_name(version, peek8(layers, 0)));
    layer_field(layers, 1, "header length", NULL, "%u", n_header);
    layer_dump(layers, 2, "reserved", NULL);
    layer_field(layers, 4, "SPI", NULL, "0x%08x", peek32(layers, 0));
    if (n_header > 8)
        layer_field(layers, 4, "sequence", NULL, "%u", peek32(layers, 0));
    if (at + n_header > layers->at)
        layer_dump(layers, at + n_header - layers->at, "signature", NULL);
}

static void options_header(struct layers *layers, const char *name, uint32_t n_header)
{
    uint32_t at = layers->at;

    layer_begin(layers, name, n_header, NULL, "%s", "");
    next_header(layers);
    layer_field(layers, 1, "header length", NULL, "%u", n_header);
    if (at + n_header > layers->at)
        ipv6_options(layers, at + n_header - layers->at);
}

/* From the base header to what ip_parse found that the packet carries. */
static void extensions(struct layers *layers, const struct ip_header *ip, unsigned protocol)
{
    while (layers->at < ip->transport && left(layers) > 0) {
        unsigned next = peek8(layers, 0);
        switch (protocol) {
        case IPPROTO_HOPOPTS:
            options_header(layers, LAYER_NAME(layers, "IPv6 hop-by-hop"), (peek8(layers, 1) + 1) * 8);
            break;
        case IPPROTO_DSTOPTS:
            options_header(layers, LAYER_NAME(layers, "IPv6 destination"), (peek8(layers, 1) + 1) * 8);
            break;
        case IPPROTO_ROUTING:
            routing(layers, (peek8(layers, 1) + 1) * 8);
            break;
        case IPPROTO_FRAGMENT:
            ipv6_fragment(layers);
            break;
        case IPPROTO_AH:
            authentication(layers, ip->version, (peek8(layers, 1) + 2) * 4);
            break;
        default:
            return;
        }
        protocol = next;
    }
}

static void gre(struct layers *layers, const struct ip_header *ip)
{
    struct bytes bytes = {layers->data, layers->end, layers->n_wire};
    struct gre header;
    uint16_t trouble = 0;

    if (!gre_parse(&bytes, ip, &header, &trouble)) {
        layer_begin(layers, LAYER_NAME(layers, "GRE"), left(layers), NULL, "%s", "");
        layer_dump(layers, left(layers), "data", "not understood");
        return;
    }
    unsigned flags = peek16(layers, 0);
    layer_begin(layers, LAYER_NAME(layers, "GRE"), header.n_bytes, "a tunnel: another packet follows", "%s", "");
    layer_field(layers, 2, "flags", NULL, "0x%04x", flags);
    layer_field(layers, 2, "type", NULL, "0x%04x %s", header.ether_type, ether_type_name(header.ether_type));
    if (flags & 0x8000)
        layer_dump(layers, 4, "checksum", NULL);
    if (flags & 0x2000)
        layer_field(layers, 4, "key", NULL, "0x%08x", peek32(layers, 0));
    if (flags & 0x1000)
        layer_field(layers, 4, "sequence", NULL, "%u", peek32(layers, 0));
    layers_ether_type(layers, header.ether_type);
}

static void carried(struct layers *layers, const struct ip_header *ip)
{
    switch (ip->protocol) {
    case IPPROTO_TCP:
        layers_tcp(layers, ip);
        break;
    case IPPROTO_UDP:
        layers_udp(layers, ip);
        break;
    case IPPROTO_ICMP:
        if (ip->version == 4)
            layers_icmp(layers, ip);
        break;
    case IPPROTO_ICMPV6:
        if (ip->version == 6)
            layers_icmp(layers, ip);
        break;
    case IPPROTO_IPIP:
        layers_ip(layers, 4);
        break;
    case IPPROTO_IPV6:
        layers_ip(layers, 6);
        break;
    case IPPROTO_GRE:
        gre(layers, ip);
        break;
    default:
        break;
    }
}

void layers_ip(struct layers *layers, unsigned version)
{
    struct bytes bytes = {layers->data, layers->end, layers->n_wire};
    struct ip_header ip;
    unsigned n_header = version == 4 ? (peek8(layers, 0) & 15) * 4 : IPV6_BYTES;

    if (left(layers) == 0 || layers->n_depth >= NESTED_MAX || peek8(layers, 0) >> 4 != version)
        return;
    layers->n_depth++;
    uint32_t wire_end = layers->end < layers->n_captured ? layers->end : layers->n_wire;
    bool is_ip = ip_parse(&bytes, layers->at, wire_end, version, &ip);
    if (is_ip)
        layers->end = smaller(layers->end, ip.end);
    unsigned protocol = peek8(layers, 6);
    if (version == 4)
        ipv4(layers, n_header < IPV4_BYTES ? IPV4_BYTES : n_header);
    else
        ipv6(layers);
    if (!is_ip)
        return;
    extensions(layers, &ip, version == 4 ? IPPROTO_AH : protocol);
    if (!ip.whole || layers->at != ip.transport)
        return;
    if (ip.fragment_offset > 0)
        layers_payload(layers, "the part of another packet that this fragment carries");
    else
        carried(layers, &ip);
}
