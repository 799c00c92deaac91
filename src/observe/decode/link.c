/* SPDX-License-Identifier: MIT */
/* Link layers: from the packet's first byte to where IP begins. */
#include "observe/decode/decode_internal.h"

/* AF_INET is 2 everywhere; AF_INET6 is what the system that captured calls it. */
enum {
    FAMILY_INET = 2,
    FAMILY_INET6_LINUX = 10,
    FAMILY_INET6_NETBSD = 24, /* and OpenBSD */
    FAMILY_INET6_FREEBSD = 28,
    FAMILY_INET6_DARWIN = 30,
};

static unsigned version_of_family(uint32_t family)
{
    switch (family) {
    case FAMILY_INET:
        return 4;
    case FAMILY_INET6_LINUX:
    case FAMILY_INET6_NETBSD:
    case FAMILY_INET6_FREEBSD:
    case FAMILY_INET6_DARWIN:
        return 6;
    default:
        return 0;
    }
}

unsigned link_family_version(const uint8_t *word)
{
    uint32_t family = be32(word);
    unsigned version = version_of_family(family);
    return version != 0 ? version : version_of_family(__builtin_bswap32(family));
}

static void arp_addresses(const struct bytes *bytes, uint32_t at, struct decoded *decoded)
{
    decoded->network = DECODE_ARP;
    if (bytes->n_captured - at < ARP_IPV4_BYTES) {
        decoded->trouble |= trouble_of_end(bytes);
        return;
    }
    const uint8_t *arp = bytes->data + at;
    bool of_ipv4 = be16(arp + 2) == ETHER_IPV4 && arp[4] == 6 && arp[5] == 4;
    if (of_ipv4) {
        memcpy(decoded->source.bytes, arp + 14, 4);
        memcpy(decoded->destination.bytes, arp + 24, 4);
    }
}

/* From a field that holds an Ethernet type, which ends at the given offset. */
static void follow_type(const struct bytes *bytes, unsigned type, uint32_t at, struct decoded *decoded,
                        struct link_end *ret_end)
{
    unsigned version = 0;

    while (is_vlan(type)) {
        if (bytes->n_captured - at < VLAN_BYTES) {
            decoded->trouble |= trouble_of_end(bytes);
            break;
        }
        if (decoded->n_vlans < sizeof decoded->vlan / sizeof decoded->vlan[0])
            decoded->vlan[decoded->n_vlans] = be16(bytes->data + at) & 0xfff;
        if (decoded->n_vlans < UINT16_MAX)
            decoded->n_vlans++;
        type = be16(bytes->data + at + 2);
        at += VLAN_BYTES;
    }
    decoded->ether_type = (uint16_t)type;
    if (type == ETHER_IPV4)
        version = 4;
    else if (type == ETHER_IPV6)
        version = 6;
    else if (type == ETHER_ARP)
        arp_addresses(bytes, at, decoded);
    *ret_end = (struct link_end){at, version};
}

/* No link layer: the packet's first four bits are the version. */
static void follow_version(const struct bytes *bytes, uint32_t at, unsigned wanted, struct decoded *decoded,
                           struct link_end *ret_end)
{
    unsigned version = 0;

    if (bytes->n_captured > at)
        version = bytes->data[at] >> 4;
    else
        decoded->trouble |= trouble_of_end(bytes);
    bool is_ip = (version == 4 || version == 6) && (wanted == 0 || wanted == version);
    if (!is_ip && wanted != 0)
        decoded->trouble |= DECODE_SHORT;
    *ret_end = (struct link_end){at, is_ip ? version : 0};
    if (is_ip)
        decoded->ether_type = version == 4 ? ETHER_IPV4 : ETHER_IPV6;
}

static uint32_t header_bytes(uint16_t link_type)
{
    switch (link_type) {
    case TYPE_ETHERNET:
        return ETHERNET_BYTES;
    case TYPE_LINUX_SLL:
        return SLL_BYTES;
    case TYPE_LINUX_SLL2:
        return SLL2_BYTES;
    case TYPE_NULL:
    case TYPE_LOOP:
        return FAMILY_BYTES;
    case TYPE_RAW:
    case TYPE_RAW_OPENBSD:
    case TYPE_RAW_BSDOS:
    case TYPE_IPV4:
    case TYPE_IPV6:
        return 1; /* something has to be there */
    default:
        return UINT32_MAX;
    }
}

bool decode_knows_link(uint16_t link_type)
{
    return header_bytes(link_type) != UINT32_MAX;
}

bool link_decode(uint16_t link_type, const struct bytes *bytes, struct decoded *ret_decoded, struct link_end *ret_end)
{
    const uint8_t *data = bytes->data;
    uint32_t n_bytes = header_bytes(link_type);

    if (n_bytes == UINT32_MAX)
        return false;
    if (bytes->n_captured < n_bytes) {
        ret_decoded->trouble |= trouble_of_end(bytes);
        return false;
    }
    switch (link_type) {
    case TYPE_ETHERNET:
        follow_type(bytes, be16(data + 12), n_bytes, ret_decoded, ret_end);
        break;
    case TYPE_LINUX_SLL:
        follow_type(bytes, be16(data + 14), n_bytes, ret_decoded, ret_end);
        break;
    case TYPE_LINUX_SLL2:
        follow_type(bytes, be16(data), n_bytes, ret_decoded, ret_end);
        break;
    case TYPE_NULL:
    case TYPE_LOOP: {
        unsigned version = link_family_version(data);
        *ret_end = (struct link_end){n_bytes, 0};
        if (version != 0)
            follow_version(bytes, n_bytes, version, ret_decoded, ret_end);
        break;
    }
    case TYPE_IPV4:
        follow_version(bytes, 0, 4, ret_decoded, ret_end);
        break;
    case TYPE_IPV6:
        follow_version(bytes, 0, 6, ret_decoded, ret_end);
        break;
    default:
        follow_version(bytes, 0, 0, ret_decoded, ret_end);
    }
    return true;
}
