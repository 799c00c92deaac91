/* SPDX-License-Identifier: MIT */
/* How rows are emitted, and the small texts that all layers need. */
#include "observe/decode/layers_internal.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>

static void hand_out(struct layers *layers, uint32_t n_bytes, const char *name, const char *value, const char *remark)
{
    struct decode_field field = {layers->at, n_bytes, layers->layer, name, value, remark};
    layers->field(&field, layers->user);
}

void layer_begin(struct layers *layers, const char *name, uint32_t n_bytes, const char *remark, const char *format, ...)
{
    char value[LAYER_VALUE_SIZE];
    va_list arguments;

    layers->layer = name;
    if (left(layers) == 0)
        return;
    va_start(arguments, format);
    vsnprintf(value, sizeof value, format, arguments);
    va_end(arguments);
    hand_out(layers, smaller(n_bytes, left(layers)), NULL, value, remark);
}

static void hex_of(const uint8_t *data, uint32_t n_bytes, char ret_text[LAYER_VALUE_SIZE])
{
    int length = 0;

    ret_text[0] = '\0';
    for (uint32_t i = 0; i < n_bytes && i < DUMP_ROW_BYTES; i++)
        length += snprintf(ret_text + length, (size_t)(LAYER_VALUE_SIZE - length), "%s%02x", i > 0 ? " " : "", data[i]);
    if (n_bytes > DUMP_ROW_BYTES)
        snprintf(ret_text + length, (size_t)(LAYER_VALUE_SIZE - length), " ...");
}

/* A field of which only the beginning is there. */
static void field_in_part(struct layers *layers, const char *name)
{
    char value[LAYER_VALUE_SIZE];

    hex_of(layers->data + layers->at, left(layers), value);
    hand_out(layers, left(layers), name, value, "the rest of it is missing");
    layers->at = layers->end;
}

void layer_field(struct layers *layers, uint32_t n_bytes, const char *name, const char *remark, const char *format, ...)
{
    char value[LAYER_VALUE_SIZE];
    va_list arguments;

    if (left(layers) == 0 || n_bytes == 0)
        return;
    if (left(layers) < n_bytes) {
        field_in_part(layers, name);
        return;
    }
    va_start(arguments, format);
    vsnprintf(value, sizeof value, format, arguments);
    va_end(arguments);
    hand_out(layers, n_bytes, name, value, remark);
    layers->at += n_bytes;
}

void layer_bits(struct layers *layers, uint32_t n_bytes, const char *name, const char *remark, const char *format, ...)
{
    char value[LAYER_VALUE_SIZE];
    va_list arguments;

    if (left(layers) < n_bytes)
        return;
    va_start(arguments, format);
    vsnprintf(value, sizeof value, format, arguments);
    va_end(arguments);
    hand_out(layers, n_bytes, name, value, remark);
}

static void dump_row(const uint8_t *data, uint32_t n_bytes, bool padded, char ret_text[LAYER_VALUE_SIZE])
{
    uint32_t n_cells = padded ? DUMP_ROW_BYTES : n_bytes;
    char *to = ret_text;

    for (uint32_t i = 0; i < n_cells; i++)
        to += i < n_bytes ? sprintf(to, "%02x ", data[i]) : sprintf(to, "   ");
    *to++ = ' ';
    *to++ = '|';
    for (uint32_t i = 0; i < n_bytes; i++)
        *to++ = data[i] >= 0x20 && data[i] < 0x7f ? (char)data[i] : '.';
    *to++ = '|';
    *to = '\0';
}

void layer_dump(struct layers *layers, uint32_t n_bytes, const char *name, const char *remark)
{
    char value[LAYER_VALUE_SIZE];
    uint32_t end = layers->at + smaller(n_bytes, left(layers));
    bool padded = end - layers->at > DUMP_ROW_BYTES;

    while (layers->at < end) {
        uint32_t n_row = smaller(end - layers->at, DUMP_ROW_BYTES);
        dump_row(layers->data + layers->at, n_row, padded, value);
        hand_out(layers, n_row, name, value, remark);
        layers->at += n_row;
        remark = NULL;
    }
}

void layer_checksum(struct layers *layers, enum checksum_verdict verdict, uint16_t right, const char *unjudged)
{
    unsigned field = peek16(layers, 0);

    switch (verdict) {
    case CHECKSUM_GOOD:
        layer_field(layers, 2, "checksum", NULL, "0x%04x (good)", field);
        break;
    case CHECKSUM_BAD:
        layer_field(layers, 2, "checksum", "damaged on its way, or changed by somebody",
                    "0x%04x (bad, should be 0x%04x)", field, right);
        break;
    case CHECKSUM_PARTIAL:
        layer_field(layers, 2, "checksum", "the rest was left to the card: captured before it left", "0x%04x (partial)",
                    field);
        break;
    case CHECKSUM_NONE:
        layer_field(layers, 2, "checksum", "0: the sender computed none", "0x%04x", field);
        break;
    default:
        layer_field(layers, 2, "checksum", unjudged, "0x%04x", field);
    }
}

void layer_address(const struct layers *layers, uint32_t ahead, uint32_t n_address, char ret_text[ADDRESS_TEXT_SIZE])
{
    uint8_t bytes[16] = {0};

    for (uint32_t i = 0; i < n_address && i < sizeof bytes; i++)
        bytes[i] = (uint8_t)peek8(layers, ahead + i);
    if (n_address == 6)
        snprintf(ret_text, ADDRESS_TEXT_SIZE, "%02x:%02x:%02x:%02x:%02x:%02x", bytes[0], bytes[1], bytes[2], bytes[3],
                 bytes[4], bytes[5]);
    else
        inet_ntop(n_address == 4 ? AF_INET : AF_INET6, bytes, ret_text, ADDRESS_TEXT_SIZE);
}

const char *count_bytes(uint32_t n_bytes, char ret_text[COUNT_TEXT_SIZE])
{
    if (n_bytes == 1)
        memcpy(ret_text, "1 byte", sizeof "1 byte");
    else
        snprintf(ret_text, COUNT_TEXT_SIZE, "%u bytes", n_bytes);
    return ret_text;
}

struct name {
    unsigned number;
    const char *text;
};

static const char *find_name(const struct name *names, size_t n_names, unsigned number)
{
    for (size_t i = 0; i < n_names; i++) {
        if (names[i].number == number)
            return names[i].text;
    }
    return NULL;
}

const char *protocol_name(unsigned version, unsigned protocol)
{
    static const struct name names[] = {
        {IPPROTO_ICMP, "ICMP"}, {IPPROTO_IGMP, "IGMP"},     {IPPROTO_IPIP, "IPv4"},
        {IPPROTO_TCP, "TCP"},   {IPPROTO_UDP, "UDP"},       {IPPROTO_DCCP, "DCCP"},
        {IPPROTO_IPV6, "IPv6"}, {IPPROTO_GRE, "GRE"},       {IPPROTO_ESP, "ESP (encrypted)"},
        {IPPROTO_AH, "AH"},     {IPPROTO_ICMPV6, "ICMPv6"}, {89, "OSPF"},
        {112, "VRRP"},          {IPPROTO_SCTP, "SCTP"},     {IPPROTO_UDPLITE, "UDP-Lite"},
    };
    static const struct name names_6[] = {
        {IPPROTO_HOPOPTS, "hop-by-hop options"},  {IPPROTO_ROUTING, "routing"},
        {IPPROTO_FRAGMENT, "fragment"},           {IPPROTO_NONE, "nothing follows"},
        {IPPROTO_DSTOPTS, "destination options"}, {IPPROTO_MH, "mobility"},
    };
    const char *text = version == 6 ? find_name(names_6, sizeof names_6 / sizeof names_6[0], protocol) : NULL;

    if (text == NULL)
        text = find_name(names, sizeof names / sizeof names[0], protocol);
    return text != NULL ? text : "unknown";
}

const char *ether_type_name(unsigned type)
{
    static const struct name names[] = {
        {ETHER_IPV4, "IPv4"},
        {ETHER_ARP, "ARP"},
        {ETHER_VLAN, "VLAN"},
        {ETHER_VLAN_SERVICE, "service VLAN"},
        {ETHER_VLAN_OLD, "VLAN (old)"},
        {ETHER_IPV6, "IPv6"},
        {0x6558, "Ethernet"},
        {0x8847, "MPLS"},
        {0x8863, "PPPoE discovery"},
        {0x8864, "PPPoE session"},
        {0x888e, "802.1X"},
        {0x88cc, "LLDP"},
    };
    const char *text = find_name(names, sizeof names / sizeof names[0], type);

    return text != NULL ? text : "unknown";
}
