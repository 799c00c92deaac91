/* SPDX-License-Identifier: MIT */
/*
 * What a router on the way says when a packet is too large for the next link: ICMP "fragmentation needed" (RFC 1191),
 * ICMPv6 "packet too big" (RFC 8201). It comes from an address of the wire's own, 10.0.0.254 or fd00::fe.
 */
#include "wire/wire_internal.h"

#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <netinet/icmp6.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/ip_icmp.h>
#include <string.h>

#define ICMP_HEADER_BYTES 8
#define QUOTE_BYTES_IPV4 548 /* the whole message is no longer than 576 */
#define TTL 64

static uint32_t sum_bytes(const uint8_t *bytes, size_t n_bytes, uint32_t sum)
{
    for (size_t i = 0; i + 1 < n_bytes; i += 2)
        sum += (uint32_t)bytes[i] << 8 | bytes[i + 1];
    if (n_bytes % 2)
        sum += (uint32_t)bytes[n_bytes - 1] << 8;
    return sum;
}

static uint16_t finish_sum(uint32_t sum)
{
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return htons((uint16_t)~sum);
}

static void swap_hardware(const uint8_t *frame, uint8_t *ret_frame)
{
    memcpy(ret_frame, frame + ETH_ALEN, ETH_ALEN);
    memcpy(ret_frame + ETH_ALEN, frame, ETH_ALEN);
    memcpy(ret_frame + 2 * (size_t)ETH_ALEN, frame + 2 * (size_t)ETH_ALEN, sizeof(uint16_t));
}

/* Errors are not answered, nor is what has no single sender (RFC 1122, 3.2.2). */
static bool is_answered_ipv4(const uint8_t *packet, size_t n_bytes)
{
    size_t n_header = (size_t)(packet[0] & 15) * 4;
    bool is_later_fragment = (packet[6] & 0x1f) || packet[7];
    bool is_multicast = packet[16] >= 224;
    if (is_later_fragment || is_multicast || n_header < sizeof(struct iphdr) || n_bytes <= n_header)
        return false;
    uint8_t type = packet[n_header];
    return packet[9] != IPPROTO_ICMP || type == ICMP_ECHO || type == ICMP_ECHOREPLY;
}

static size_t tell_ipv4(const uint8_t *packet, size_t n_bytes, uint32_t mtu, unsigned path, uint8_t *ret_packet)
{
    if (n_bytes < sizeof(struct iphdr) || !is_answered_ipv4(packet, n_bytes))
        return 0;
    size_t n_quote = n_bytes < QUOTE_BYTES_IPV4 ? n_bytes : QUOTE_BYTES_IPV4;
    size_t n_packet = sizeof(struct iphdr) + ICMP_HEADER_BYTES + n_quote;
    struct iphdr ip = {
        .version = 4,
        .ihl = sizeof ip / 4,
        .tos = 0xc0, /* network control */
        .tot_len = htons((uint16_t)n_packet),
        .ttl = TTL,
        .protocol = IPPROTO_ICMP,
        .saddr = htonl(0x0a0000fe | path << 8),
    };
    memcpy(&ip.daddr, packet + 12, sizeof ip.daddr);
    ip.check = finish_sum(sum_bytes((const uint8_t *)&ip, sizeof ip, 0));
    struct icmphdr icmp = {.type = ICMP_DEST_UNREACH, .code = ICMP_FRAG_NEEDED};
    icmp.un.frag.mtu = htons((uint16_t)mtu);
    uint8_t *at = ret_packet + sizeof ip;
    memcpy(at + sizeof icmp, packet, n_quote);
    memcpy(at, &icmp, sizeof icmp);
    icmp.checksum = finish_sum(sum_bytes(at, sizeof icmp + n_quote, 0));
    memcpy(at, &icmp, sizeof icmp);
    memcpy(ret_packet, &ip, sizeof ip);
    return n_packet;
}

static size_t tell_ipv6(const uint8_t *packet, size_t n_bytes, uint32_t mtu, uint8_t *ret_packet)
{
    if (n_bytes < sizeof(struct ip6_hdr) + 1)
        return 0;
    /* Of multicast, too: this message is the exception (RFC 4443, 2.4). Errors have types below 128. */
    bool is_error = packet[6] == IPPROTO_ICMPV6 && packet[sizeof(struct ip6_hdr)] < 128;
    if (is_error)
        return 0;
    size_t n_quote_max = ICMP_FRAME_MAX - ETHERNET_HEADER_BYTES - sizeof(struct ip6_hdr) - ICMP_HEADER_BYTES;
    size_t n_quote = n_bytes < n_quote_max ? n_bytes : n_quote_max, n_icmp = ICMP_HEADER_BYTES + n_quote;
    struct ip6_hdr ip = {.ip6_flow = htonl(6u << 28), .ip6_plen = htons((uint16_t)n_icmp)};
    ip.ip6_nxt = IPPROTO_ICMPV6;
    ip.ip6_hlim = TTL;
    inet_pton(AF_INET6, "fd00::fe", &ip.ip6_src);
    memcpy(&ip.ip6_dst, packet + 8, sizeof ip.ip6_dst);
    struct icmp6_hdr icmp = {.icmp6_type = ICMP6_PACKET_TOO_BIG};
    icmp.icmp6_mtu = htonl(mtu);
    uint8_t *at = ret_packet + sizeof ip;
    memcpy(at + sizeof icmp, packet, n_quote);
    memcpy(at, &icmp, sizeof icmp);
    uint32_t sum = sum_bytes((const uint8_t *)&ip.ip6_src, 2 * sizeof ip.ip6_src, (uint32_t)n_icmp + IPPROTO_ICMPV6);
    icmp.icmp6_cksum = finish_sum(sum_bytes(at, n_icmp, sum));
    memcpy(at, &icmp, sizeof icmp);
    memcpy(ret_packet, &ip, sizeof ip);
    return sizeof ip + n_icmp;
}

size_t icmp_tell_mtu(const uint8_t *frame, size_t n_bytes, uint32_t mtu, unsigned path,
                     uint8_t ret_frame[ICMP_FRAME_MAX])
{
    if (n_bytes < ETHERNET_HEADER_BYTES)
        return 0;
    const uint8_t *packet = frame + ETHERNET_HEADER_BYTES;
    uint8_t *told = ret_frame + ETHERNET_HEADER_BYTES;
    size_t n_packet = n_bytes - ETHERNET_HEADER_BYTES, n_told = 0;
    uint16_t type = (uint16_t)(frame[12] << 8 | frame[13]);
    if (type == ETH_P_IP)
        n_told = tell_ipv4(packet, n_packet, mtu, path, told);
    else if (type == ETH_P_IPV6)
        n_told = tell_ipv6(packet, n_packet, mtu, told);
    if (n_told == 0)
        return 0;
    swap_hardware(frame, ret_frame);
    return ETHERNET_HEADER_BYTES + n_told;
}
