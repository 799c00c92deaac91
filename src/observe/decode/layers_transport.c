/* SPDX-License-Identifier: MIT */
/* UDP, ICMP and ICMPv6, field by field. */
#include "observe/decode/layers_internal.h"

void layers_checksum_of(struct layers *layers, const struct ip_header *ip, uint32_t n_header)
{
    struct bytes bytes = {layers->data, layers->end, layers->n_wire};
    enum checksum_verdict verdict = CHECKSUM_UNJUDGED;
    const char *unjudged = "not checked: not all that it covers is here";
    uint16_t right = 0;

    if (layers->quoted)
        unjudged = NULL;
    else if (layers->end >= ip->transport + n_header)
        verdict = checksum_judge(&bytes, ip, &right);
    if (ip->is_fragment && !layers->quoted)
        unjudged = "not checked: it covers the whole packet, this is a fragment";
    else if (ip->routed && !layers->quoted)
        unjudged = "not checked: it covers the last destination";
    layer_checksum(layers, verdict, right, unjudged);
}

void layers_udp(struct layers *layers, const struct ip_header *ip)
{
    unsigned n_bytes = peek16(layers, 4);

    layer_begin(layers, LAYER_NAME(layers, "UDP"), UDP_BYTES, "from program to program, one message each", "%u > %u",
                peek16(layers, 0), peek16(layers, 2));
    layer_field(layers, 2, "source port", NULL, "%u", peek16(layers, 0));
    layer_field(layers, 2, "destination port", NULL, "%u", peek16(layers, 0));
    layer_field(layers, 2, "length", "with these eight bytes", "%u", n_bytes);
    layers_checksum_of(layers, ip, UDP_BYTES);
    if (n_bytes >= UDP_BYTES && n_bytes - UDP_BYTES < left(layers))
        layers->end = layers->at + (n_bytes - UDP_BYTES);
    layers_payload(layers,
                   layers->quoted ? "as much as the error quotes" : "the message; it arrives whole or not at all");
}

/* What an error is about. */
static void quote(struct layers *layers, unsigned version)
{
    layers->quoted = true;
    layers_ip(layers, version);
}

/* The four bytes behind type, code and checksum. */
static void icmp_rest(struct layers *layers, unsigned version, unsigned type, unsigned code)
{
    if (icmp_type_is_echo(version, type)) {
        layer_field(layers, 2, "id", "of the program that asks", "%u", peek16(layers, 0));
        layer_field(layers, 2, "sequence", "the how-manieth of its requests", "%u", peek16(layers, 0));
    } else if (icmp_tells_mtu(version, type, code) && version == 6) {
        layer_field(layers, 4, "MTU", "what the next link takes", "%u", peek32(layers, 0));
    } else if (icmp_tells_mtu(version, type, code)) {
        layer_field(layers, 2, "unused", NULL, "0x%04x", peek16(layers, 0));
        layer_field(layers, 2, "MTU", "what the next link takes", "%u", peek16(layers, 0));
    } else {
        layer_field(layers, 4, "rest of header", NULL, "0x%08x", peek32(layers, 0));
    }
}

void layers_icmp(struct layers *layers, const struct ip_header *ip)
{
    unsigned version = ip->version, type = peek8(layers, 0), code = peek8(layers, 1);
    bool quotes = icmp_type_quotes(version, type);
    char buffer[32];

    layer_begin(layers, version == 6 ? LAYER_NAME(layers, "ICMPv6") : LAYER_NAME(layers, "ICMP"), ICMP_BYTES,
                quotes ? "an error, about the packet quoted below" : "of the network itself, no ports", "%s",
                decode_icmp_words(version, type, code, buffer));
    layer_field(layers, 1, "type", NULL, "%u", type);
    layer_field(layers, 1, "code", NULL, "%u", code);
    layers_checksum_of(layers, ip, ICMP_BYTES);
    icmp_rest(layers, version, type, code);
    if (quotes && !layers->quoted)
        quote(layers, version);
    else
        layers_payload(layers, NULL);
}
