/* SPDX-License-Identifier: MIT */
/* ICMP and ICMPv6, with the packet that an error quotes: at least its header and eight bytes behind it. */
#include "observe/decode/decode_internal.h"

#include <netinet/in.h>
#include <stdio.h>

struct words {
    uint8_t version, type;
    int16_t code; /* -1: any */
    const char *text;
};

static const struct words words[] = {
    {4, 0, 0, "echo reply"},
    {4, 3, 0, "network unreachable"},
    {4, 3, 1, "host unreachable"},
    {4, 3, 2, "protocol unreachable"},
    {4, 3, 3, "port unreachable"},
    {4, 3, 4, "fragmentation needed"},
    {4, 3, 5, "source route failed"},
    {4, 3, 6, "network unknown"},
    {4, 3, 7, "host unknown"},
    {4, 3, 8, "source host isolated"},
    {4, 3, 9, "network prohibited"},
    {4, 3, 10, "host prohibited"},
    {4, 3, 11, "network unreachable for this service"},
    {4, 3, 12, "host unreachable for this service"},
    {4, 3, 13, "prohibited by a filter"},
    {4, 3, 14, "host precedence violation"},
    {4, 3, 15, "precedence cut off"},
    {4, 3, -1, "destination unreachable"},
    {4, 4, 0, "source quench"},
    {4, 5, 0, "redirect for the network"},
    {4, 5, 1, "redirect for the host"},
    {4, 5, -1, "redirect"},
    {4, 8, 0, "echo request"},
    {4, 9, -1, "router advertisement"},
    {4, 10, -1, "router solicitation"},
    {4, 11, 0, "time exceeded in transit"},
    {4, 11, 1, "time exceeded in reassembly"},
    {4, 12, -1, "parameter problem"},
    {4, 13, 0, "timestamp request"},
    {4, 14, 0, "timestamp reply"},
    {6, 1, 0, "no route to destination"},
    {6, 1, 1, "prohibited by a filter"},
    {6, 1, 2, "beyond scope of source address"},
    {6, 1, 3, "address unreachable"},
    {6, 1, 4, "port unreachable"},
    {6, 1, 5, "source address failed policy"},
    {6, 1, 6, "route to destination rejected"},
    {6, 1, -1, "destination unreachable"},
    {6, 2, -1, "packet too big"},
    {6, 3, 0, "time exceeded in transit"},
    {6, 3, 1, "time exceeded in reassembly"},
    {6, 4, -1, "parameter problem"},
    {6, 128, 0, "echo request"},
    {6, 129, 0, "echo reply"},
    {6, 130, -1, "multicast listener query"},
    {6, 131, -1, "multicast listener report"},
    {6, 132, -1, "multicast listener done"},
    {6, 133, -1, "router solicitation"},
    {6, 134, -1, "router advertisement"},
    {6, 135, -1, "neighbor solicitation"},
    {6, 136, -1, "neighbor advertisement"},
    {6, 137, -1, "redirect"},
    {6, 143, -1, "multicast listener report"},
};

const char *decode_icmp_words(unsigned version, unsigned type, unsigned code, char buffer[32])
{
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        bool is_it = words[i].version == version && words[i].type == type;
        if (is_it && (words[i].code < 0 || (unsigned)words[i].code == code))
            return words[i].text;
    }
    snprintf(buffer, 32, "type %u code %u", type, code);
    return buffer;
}

bool icmp_type_quotes(unsigned version, unsigned type)
{
    if (version == 6)
        return type >= 1 && type <= 4;
    return type == 3 || type == 4 || type == 5 || type == 11 || type == 12;
}

bool icmp_type_is_echo(unsigned version, unsigned type)
{
    return version == 6 ? type == 128 || type == 129 : type == 0 || type == 8;
}

bool icmp_tells_mtu(unsigned version, unsigned type, unsigned code)
{
    return version == 6 ? type == 2 : type == 3 && code == 4;
}

/* The quote ends where it likes, without that being wrong. */
static void take_quote(const struct bytes *bytes, const struct ip_header *ip, struct decoded *decoded)
{
    struct bytes within = {bytes->data, smaller(bytes->n_captured, ip->end), smaller(bytes->n_wire, ip->end)};
    struct ip_header quoted;

    if (!ip_parse(&within, ip->transport + ICMP_BYTES, ip->end, ip->version, &quoted))
        return;
    size_t n_address = ip->version == 4 ? 4 : 16;
    decoded->icmp_quotes = true;
    decoded->quoted_protocol = quoted.protocol;
    memcpy(decoded->quoted_source.bytes, quoted.source, n_address);
    memcpy(decoded->quoted_destination.bytes, quoted.destination, n_address);
    bool has_ports = quoted.protocol == IPPROTO_TCP || quoted.protocol == IPPROTO_UDP;
    uint32_t n_left = quoted.whole ? smaller(within.n_captured, quoted.end) - quoted.transport : 0;
    if (!has_ports || quoted.fragment_offset > 0 || n_left < 4)
        return;
    const uint8_t *header = bytes->data + quoted.transport;
    decoded->quoted_source_port = be16(header);
    decoded->quoted_destination_port = be16(header + 2);
    if (quoted.protocol == IPPROTO_TCP && n_left >= 8) {
        decoded->quoted_has_seq = true;
        decoded->quoted_seq = be32(header + 4);
    }
    uint16_t n_udp = quoted.protocol == IPPROTO_UDP && n_left >= UDP_BYTES ? be16(header + 4) : 0;
    if (n_udp >= UDP_BYTES) {
        decoded->quoted_has_datagram = true;
        decoded->quoted_n_payload = (uint16_t)(n_udp - UDP_BYTES);
        decoded->quoted_checksum = be16(header + 6);
        decoded->quoted_ip_id = quoted.id;
    }
}

void icmp_decode(const struct bytes *bytes, const struct ip_header *ip, struct decoded *decoded)
{
    if (!ip_has(bytes, ip, ip->transport + ICMP_BYTES, &decoded->trouble))
        return;
    const uint8_t *header = bytes->data + ip->transport;
    decoded->depth = DECODE_TRANSPORT;
    decoded->payload_offset = ip->transport + ICMP_BYTES;
    decoded->icmp_type = header[0];
    decoded->icmp_code = header[1];
    decoded->checksum = be16(header + 2);
    if (icmp_tells_mtu(ip->version, header[0], header[1]))
        decoded->icmp_mtu = ip->version == 6 ? be32(header + 4) : be16(header + 6);
    if (icmp_type_is_echo(ip->version, header[0])) {
        decoded->echo_id = be16(header + 4);
        decoded->echo_sequence = be16(header + 6);
    }
    if (icmp_type_quotes(ip->version, header[0]))
        take_quote(bytes, ip, decoded);
}
