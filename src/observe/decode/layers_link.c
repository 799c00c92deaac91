/* SPDX-License-Identifier: MIT */
/* Layers below IP: Ethernet, VLAN, Linux cooked, loopback; and ARP. */
#include "observe/decode/layers_internal.h"

#include <stdio.h>

/* Whose address is it? */
static const char *mac_remark(const struct layers *layers, uint32_t ahead, const char *of_one)
{
    static const uint8_t none[6] = {0}, all[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    const uint8_t *mac = layers->data + layers->at + ahead;

    if (left(layers) < ahead + 6)
        return NULL;
    if (memcmp(mac, none, sizeof none) == 0)
        return "the loopback interface has none";
    if (memcmp(mac, all, sizeof all) == 0)
        return "everybody on this link";
    if (mac[0] & 1)
        return "a group on this link";
    return of_one;
}

static void ethernet(struct layers *layers)
{
    char text[ADDRESS_TEXT_SIZE];
    unsigned type;

    layer_begin(layers, "Ethernet", ETHERNET_BYTES, "from hop to hop", "%s", "");
    layer_address(layers, 0, 6, text);
    layer_field(layers, 6, "destination", mac_remark(layers, 0, "the next hop's, which need not be the peer"), "%s",
                text);
    layer_address(layers, 0, 6, text);
    bool made_up = peek8(layers, 0) & 2;
    layer_field(layers, 6, "source",
                mac_remark(layers, 0,
                           made_up ? "the last hop's; made up by software, not burned in"
                                   : "the last hop's, which need not be the peer"),
                "%s", text);
    type = peek16(layers, 0);
    if (type < ETHER_LENGTHS_BELOW) {
        layer_field(layers, 2, "length", "802.3: LLC follows, no IP", "%u", type);
        return;
    }
    layer_field(layers, 2, "type", NULL, "0x%04x %s", type, ether_type_name(type));
    layers_ether_type(layers, type);
}

static unsigned vlan(struct layers *layers)
{
    unsigned word = peek16(layers, 0), type = peek16(layers, 2);

    layer_begin(layers, "VLAN", VLAN_BYTES, "splits one wire into several networks", "%s", "");
    layer_bits(layers, 2, "priority", NULL, "%u", word >> 13);
    layer_bits(layers, 2, "may be dropped", NULL, "%u", word >> 12 & 1);
    layer_field(layers, 2, "id", NULL, "%u", word & 0xfff);
    layer_field(layers, 2, "type", NULL, "0x%04x %s", type, ether_type_name(type));
    return type;
}

static void arp_address(struct layers *layers, uint32_t n_bytes, const char *name)
{
    char text[ADDRESS_TEXT_SIZE];

    if (n_bytes == 4 || n_bytes == 6) {
        layer_address(layers, 0, n_bytes, text);
        layer_field(layers, n_bytes, name, NULL, "%s", text);
    } else {
        layer_dump(layers, n_bytes, name, NULL);
    }
}

static void arp(struct layers *layers)
{
    unsigned n_hardware = peek8(layers, 4), n_protocol = peek8(layers, 5), operation = peek16(layers, 6);

    layer_begin(layers, "ARP", ARP_FIXED_BYTES + 2 * (n_hardware + n_protocol),
                "asks who on this link has an IPv4 address", "%s", "");
    layer_field(layers, 2, "hardware", NULL, "%u%s", peek16(layers, 0), peek16(layers, 0) == 1 ? " Ethernet" : "");
    layer_field(layers, 2, "protocol", NULL, "0x%04x %s", peek16(layers, 0), ether_type_name(peek16(layers, 0)));
    layer_field(layers, 1, "hardware size", NULL, "%u", n_hardware);
    layer_field(layers, 1, "protocol size", NULL, "%u", n_protocol);
    layer_field(layers, 2, "operation", NULL, "%u%s", operation,
                operation == 1   ? " request"
                : operation == 2 ? " reply"
                                 : "");
    arp_address(layers, n_hardware, "sender hardware");
    arp_address(layers, n_protocol, "sender protocol");
    arp_address(layers, n_hardware, "target hardware");
    arp_address(layers, n_protocol, "target protocol");
}

void layers_ether_type(struct layers *layers, unsigned type)
{
    while (is_vlan(type) && left(layers) > 0)
        type = vlan(layers);
    if (type == ETHER_IPV4)
        layers_ip(layers, 4);
    else if (type == ETHER_IPV6)
        layers_ip(layers, 6);
    else if (type == ETHER_ARP)
        arp(layers);
}

static const char *sll_direction(unsigned type)
{
    static const char *const names[] = {" to us", " broadcast", " multicast", " to another", " sent by us"};
    return type < sizeof names / sizeof names[0] ? names[type] : "";
}

static void sll_address(struct layers *layers, unsigned n_address)
{
    char text[ADDRESS_TEXT_SIZE];

    if (n_address == 6) {
        layer_address(layers, 0, 6, text);
        layer_field(layers, 6, "source", mac_remark(layers, 0, "the last hop's, which need not be the peer"), "%s",
                    text);
        layer_dump(layers, 2, "unused", NULL);
    } else {
        layer_dump(layers, 8, "source", NULL);
    }
}

static void linux_sll(struct layers *layers)
{
    unsigned n_address = peek16(layers, 4), type = peek16(layers, 14);

    layer_begin(layers, "Linux cooked", SLL_BYTES, "written by the capture, not on the wire", "%s", "");
    layer_field(layers, 2, "direction", NULL, "%u%s", peek16(layers, 0), sll_direction(peek16(layers, 0)));
    layer_field(layers, 2, "hardware", NULL, "%u", peek16(layers, 0));
    layer_field(layers, 2, "address size", NULL, "%u", n_address);
    sll_address(layers, n_address);
    layer_field(layers, 2, "protocol", NULL, "0x%04x %s", type, ether_type_name(type));
    layers_ether_type(layers, type);
}

static void linux_sll2(struct layers *layers)
{
    unsigned type = peek16(layers, 0), n_address = peek8(layers, 11);

    layer_begin(layers, "Linux cooked 2", SLL2_BYTES, "written by the capture, not on the wire", "%s", "");
    layer_field(layers, 2, "protocol", NULL, "0x%04x %s", type, ether_type_name(type));
    layer_field(layers, 2, "reserved", NULL, "0x%04x", peek16(layers, 0));
    layer_field(layers, 4, "interface", "its index", "%u", peek32(layers, 0));
    layer_field(layers, 2, "hardware", NULL, "%u", peek16(layers, 0));
    layer_field(layers, 1, "direction", NULL, "%u%s", peek8(layers, 0), sll_direction(peek8(layers, 0)));
    layer_field(layers, 1, "address size", NULL, "%u", n_address);
    sll_address(layers, n_address);
    layers_ether_type(layers, type);
}

static void family(struct layers *layers)
{
    unsigned version = 0;

    layer_begin(layers, "loopback", FAMILY_BYTES, "written by the capture, not on the wire", "%s", "");
    if (left(layers) >= FAMILY_BYTES)
        version = link_family_version(layers->data + layers->at);
    layer_field(layers, 4, "family", "in the byte order of the machine that captured", "0x%08x%s", peek32(layers, 0),
                version == 4   ? " IPv4"
                : version == 6 ? " IPv6"
                               : "");
    if (version != 0)
        layers_ip(layers, version);
}

void layers_link(struct layers *layers)
{
    switch (layers->link_type) {
    case TYPE_ETHERNET:
        ethernet(layers);
        break;
    case TYPE_LINUX_SLL:
        linux_sll(layers);
        break;
    case TYPE_LINUX_SLL2:
        linux_sll2(layers);
        break;
    case TYPE_NULL:
    case TYPE_LOOP:
        family(layers);
        break;
    case TYPE_IPV4:
        layers_ip(layers, 4);
        break;
    case TYPE_IPV6:
        layers_ip(layers, 6);
        break;
    case TYPE_RAW:
    case TYPE_RAW_OPENBSD:
    case TYPE_RAW_BSDOS: {
        unsigned version = peek8(layers, 0) >> 4;
        if (version == 4 || version == 6)
            layers_ip(layers, version);
        break;
    }
    default:
        break;
    }
}
