/* SPDX-License-Identifier: MIT */
/*
 * The Internet checksum (RFC 1071). A sum over everything, the field included, that folds to 0xffff is right. What a
 * kernel leaves to the card holds the folded sum of the pseudo header so far, not complemented: the card adds the rest.
 */
#include "observe/decode/decode_internal.h"

#include <netinet/in.h>

static uint32_t fold(uint64_t sum)
{
    sum = (sum & 0xffffffff) + (sum >> 32);
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    return (uint32_t)((sum & 0xffff) + (sum >> 16));
}

/* The sum does not care for byte order, as long as the result is swapped: eight bytes at a time, in two halves, neither
 * of which can overflow in BYTES_MAX. */
uint16_t checksum_sum(const void *data, size_t n_bytes)
{
    const uint8_t *from = data;
    uint64_t low = 0, high = 0, word;

    for (; n_bytes >= sizeof word; n_bytes -= sizeof word, from += sizeof word) {
        memcpy(&word, from, sizeof word);
        low += word & 0xffffffff;
        high += word >> 32;
    }
    word = 0;
    memcpy(&word, from, n_bytes);
    low += word & 0xffffffff;
    high += word >> 32;
    return be16toh((uint16_t)fold(fold(low) + (uint64_t)fold(high)));
}

static uint16_t right_value(uint32_t sum_with_field, uint16_t field)
{
    return (uint16_t)~fold((uint64_t)sum_with_field + (uint16_t)~field);
}

enum checksum_verdict checksum_judge_ipv4(const uint8_t *header, size_t n_bytes, uint16_t *ret_right)
{
    uint16_t field = be16(header + 10), sum = checksum_sum(header, n_bytes);

    *ret_right = right_value(sum, field);
    if (sum == 0xffff)
        return CHECKSUM_GOOD;
    /* Systems that leave this one to the card as well leave it 0. */
    return field == 0 ? CHECKSUM_PARTIAL : CHECKSUM_BAD;
}

static uint32_t pseudo_sum(const struct ip_header *ip)
{
    size_t n_address = ip->version == 4 ? 4 : 16;
    return (uint32_t)checksum_sum(ip->source, n_address) + checksum_sum(ip->destination, n_address) + ip->protocol;
}

/* UDP says itself how much of the packet is its own; 0: the length was left out, or does not fit its field. */
static uint32_t udp_bytes(const uint8_t *header, uint32_t n_bytes)
{
    uint32_t n_said = be16(header + 4);
    return n_said == 0 ? n_bytes : n_said;
}

static uint32_t field_offset(unsigned protocol)
{
    return protocol == IPPROTO_TCP ? 16 : protocol == IPPROTO_UDP ? 6 : 2;
}

enum checksum_verdict checksum_judge(const struct bytes *bytes, const struct ip_header *ip, uint16_t *ret_right)
{
    const uint8_t *header = bytes->data + ip->transport;
    uint32_t n_bytes = ip->end - ip->transport, pseudo = 0;
    bool is_udp = ip->protocol == IPPROTO_UDP, may_be_partial = is_udp || ip->protocol == IPPROTO_TCP;

    if (ip->is_fragment || ip->routed || ip->end > bytes->n_captured)
        return CHECKSUM_UNJUDGED;
    if (is_udp) {
        uint32_t n_udp = udp_bytes(header, n_bytes);
        if (n_udp < UDP_BYTES || n_udp > n_bytes)
            return CHECKSUM_UNJUDGED;
        n_bytes = n_udp;
    }
    uint16_t field = be16(header + field_offset(ip->protocol));
    if (is_udp && field == 0 && ip->version == 4)
        return CHECKSUM_NONE;
    if (ip->protocol != IPPROTO_ICMP)
        pseudo = fold((uint64_t)pseudo_sum(ip) + n_bytes);
    uint32_t sum = fold((uint64_t)pseudo + checksum_sum(header, n_bytes));
    *ret_right = right_value(sum, field);
    if (is_udp && *ret_right == 0)
        *ret_right = 0xffff;
    if (sum == 0xffff && !(is_udp && field == 0))
        return CHECKSUM_GOOD;
    /* Some systems leave the length out of it as well, when the card cuts the packet up. */
    if (may_be_partial && (field == pseudo || field == fold(pseudo_sum(ip))))
        return CHECKSUM_PARTIAL;
    return CHECKSUM_BAD;
}
