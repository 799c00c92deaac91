/* SPDX-License-Identifier: MIT */
/*
 * From the ring's packet to ours. The ring's memory is ours while we read it, and has room before each packet: what is
 * missing there is written in place. That is the SLL2 header of a cooked socket, and a VLAN tag, which the kernel takes
 * out of the packet and reports beside it.
 */
#include "observe/capture/live_internal.h"

#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <string.h>

#define ADDRESSES_BYTES (2 * ETH_ALEN)
#define SLL2_ADDRESS_BYTES 8

static void put_16(uint8_t *at, unsigned value)
{
    uint16_t big = htons((uint16_t)value);
    memcpy(at, &big, sizeof big);
}

static unsigned vlan_protocol(const struct tpacket3_hdr *header)
{
    return header->tp_status & TP_STATUS_VLAN_TPID_VALID ? header->hv1.tp_vlan_tpid : ETH_P_8021Q;
}

static void grow(struct packet *packet, uint8_t **data, uint32_t n_bytes)
{
    *data -= n_bytes;
    packet->n_captured += n_bytes;
    packet->n_wire += n_bytes;
}

/* Between the Ethernet addresses and the type, where it was. */
static void put_tag_back(const struct tpacket3_hdr *header, struct packet *packet, uint8_t **data)
{
    if (packet->n_captured < ADDRESSES_BYTES)
        return;
    grow(packet, data, VLAN_TAG_BYTES);
    memmove(*data, *data + VLAN_TAG_BYTES, ADDRESSES_BYTES);
    put_16(*data + ADDRESSES_BYTES, vlan_protocol(header));
    put_16(*data + ADDRESSES_BYTES + 2, header->hv1.tp_vlan_tci);
}

static void put_sll2(const struct tpacket3_hdr *header, const struct sockaddr_ll *from, struct packet *packet,
                     uint8_t **data)
{
    unsigned protocol = ntohs(from->sll_protocol);
    if (header->tp_status & TP_STATUS_VLAN_VALID) {
        grow(packet, data, VLAN_TAG_BYTES);
        put_16(*data, header->hv1.tp_vlan_tci);
        put_16(*data + 2, protocol);
        protocol = vlan_protocol(header);
    }
    grow(packet, data, SLL2_HEADER_BYTES);
    uint8_t *at = *data;
    uint32_t index = htonl((uint32_t)from->sll_ifindex);
    memset(at, 0, SLL2_HEADER_BYTES);
    put_16(at, protocol);
    memcpy(at + 4, &index, sizeof index);
    put_16(at + 8, from->sll_hatype);
    at[10] = from->sll_pkttype;
    at[11] = from->sll_halen;
    memcpy(at + 12, from->sll_addr, from->sll_halen < SLL2_ADDRESS_BYTES ? from->sll_halen : SLL2_ADDRESS_BYTES);
}

static uint32_t interface_of(struct capture_live *live, int index)
{
    if (live->ifindex > 0)
        return 0;
    if (live->last_interface < live->n_interfaces && live->interfaces[live->last_interface].index == index)
        return live->last_interface;
    uint32_t i = 0;
    while (i < live->n_interfaces && live->interfaces[i].index != index)
        i++;
    if (i == LIVE_INTERFACES_MAX)
        return i;
    if (i == live->n_interfaces) {
        struct live_interface *interface = &live->interfaces[live->n_interfaces++];
        interface->index = index;
        if (!if_indextoname((unsigned)index, interface->name))
            strcpy(interface->name, "?");
    }
    live->last_interface = i;
    return i;
}

void live_packet(struct capture_live *live, void *ring_header, struct packet *ret_packet)
{
    const struct tpacket3_hdr *header = ring_header;
    struct sockaddr_ll from;
    memcpy(&from, (const uint8_t *)ring_header + TPACKET_ALIGN(sizeof *header), sizeof from);
    uint8_t *data = (uint8_t *)ring_header + header->tp_mac;
    *ret_packet = (struct packet){
        .realtime_ns = (int64_t)header->tp_sec * 1000000000 + header->tp_nsec,
        .n_captured = header->tp_snaplen,
        .n_wire = header->tp_len,
        .link_type = live->link_type,
        .direction = from.sll_pkttype == PACKET_OUTGOING ? PACKET_OUT : PACKET_IN,
        .checksum_left = header->tp_status & TP_STATUS_CSUMNOTREADY,
        .interface = interface_of(live, from.sll_ifindex),
    };
    if (live->link_type == LINK_LINUX_SLL2)
        put_sll2(header, &from, ret_packet, &data);
    else if (live->link_type == LINK_ETHERNET && (header->tp_status & TP_STATUS_VLAN_VALID))
        put_tag_back(header, ret_packet, &data);
    ret_packet->data = data;
}
