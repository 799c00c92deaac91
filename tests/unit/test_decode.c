/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "decode_packets.h"

static struct made made;

static void assert_ends4(const struct decoded *decoded)
{
    assert_memory_equal(decoded->source.bytes, ((uint8_t[16]){10, 0, 0, 1}), 16);
    assert_memory_equal(decoded->destination.bytes, ((uint8_t[16]){10, 0, 0, 2}), 16);
}

static void assert_segment(const struct decoded *decoded, const char *payload)
{
    assert_int_equal(decoded->depth, DECODE_TRANSPORT);
    assert_int_equal(decoded->protocol, IPPROTO_TCP);
    assert_int_equal(decoded->source_port, 40488);
    assert_int_equal(decoded->destination_port, 7007);
    assert_int_equal(decoded->seq, 1000000000);
    assert_int_equal(decoded->ack, 2000000000);
    assert_int_equal(decoded->window, 512);
    assert_int_equal(decoded->urgent, 7);
    assert_int_equal(decoded->n_payload, strlen(payload));
    assert_int_equal(decoded->n_payload_captured, strlen(payload));
    if (*payload != '\0')
        assert_memory_equal(decoded->payload, payload, strlen(payload));
    else
        assert_null(decoded->payload);
}

static void tcp_over_ethernet(void **state)
{
    (void)state;
    make_tcp4(&made, SEGMENT_PSH | SEGMENT_ACK | SEGMENT_AE, "", 0, "hello");
    struct decoded decoded = decode_made(&made);
    assert_segment(&decoded, "hello");
    assert_ends4(&decoded);
    assert_int_equal(decoded.trouble, 0);
    assert_int_equal(decoded.network, DECODE_IPV4);
    assert_int_equal(decoded.flags, 0x118);
    assert_int_equal(decoded.ttl, 61);
    assert_int_equal(decoded.traffic_class, 0xb9);
    assert_int_equal(decoded.ip_id, 0x1234);
    assert_int_equal(decoded.ether_type, 0x0800);
    assert_int_equal(decoded.ip_bytes, 45);
    assert_int_equal(decoded.network_offset, 14);
    assert_int_equal(decoded.transport_offset, 34);
    assert_int_equal(decoded.payload_offset, 54);
    assert_int_equal(decoded.tcp_header_bytes, 20);
    assert_int_equal(decoded.options.window_scale, -1);
    assert_int_equal(decoded.options.mss, 0);
    assert_int_equal(decoded.n_vlans, 0);

    make_tcp6(&made, SEGMENT_SYN, SYN_OPTIONS, N_SYN_OPTIONS, "");
    decoded = decode_made(&made);
    assert_segment(&decoded, "");
    assert_int_equal(decoded.trouble, 0);
    assert_int_equal(decoded.network, DECODE_IPV6);
    assert_int_equal(decoded.ttl, 62);
    assert_int_equal(decoded.traffic_class, 0xb9);
    assert_int_equal(decoded.flags, SEGMENT_SYN);
    assert_int_equal(decoded.source.bytes[15], 1);
    assert_int_equal(decoded.destination.bytes[0], 0x20);
    assert_int_equal(decoded.destination.bytes[15], 2);
    assert_int_equal(decoded.ip_bytes, 80);
}

static void vlans(void **state)
{
    (void)state;
    made.n_bytes = 0;
    add_ethernet(&made, ETHER_VLAN_SERVICE);
    ADD(&made, 0xa0, 0x64, 0x81, 0x00, 0x00, 0x07, 0x91, 0x00, 0x0f, 0xff, 0x08, 0x00);
    add_ipv4(&made, IPPROTO_TCP, 0, "", 0);
    add_tcp(&made, SEGMENT_ACK, "", 0, "x");
    finish_checksum(&made, 4, IPPROTO_TCP, 16);
    finish_ipv4(&made);
    struct decoded decoded = decode_made(&made);
    assert_segment(&decoded, "x");
    assert_int_equal(decoded.trouble, 0);
    assert_int_equal(decoded.n_vlans, 3);
    assert_int_equal(decoded.vlan[0], 100);
    assert_int_equal(decoded.vlan[1], 7);
    assert_int_equal(decoded.network_offset, 26);
    for (size_t n = 14; n < 26; n++) {
        decoded = decode_exactly(TYPE_ETHERNET, made.data, n, made.n_bytes);
        assert_int_equal(decoded.depth, DECODE_LINK);
        assert_int_equal(decoded.trouble, DECODE_CUT);
    }
}

static void padding_is_no_payload(void **state)
{
    (void)state;
    make_tcp4(&made, SEGMENT_ACK, "", 0, "");
    ADD(&made, 0, 0, 0, 0, 0, 0);
    struct decoded decoded = decode_made(&made);
    assert_segment(&decoded, "");
    assert_int_equal(decoded.trouble, 0);
    /* A capture that lacks only padding lacks nothing. */
    decoded = decode_exactly(TYPE_ETHERNET, made.data, made.n_bytes - 3, made.n_bytes);
    assert_int_equal(decoded.trouble, 0);
}

/* A link layer by hand before a segment that is the same everywhere. */
static void through(uint16_t link_type, const void *header, size_t n_header, unsigned version)
{
    made.n_bytes = 0;
    add(&made, header, n_header);
    if (version == 4)
        add_ipv4(&made, IPPROTO_TCP, 0, "", 0);
    else
        add_ipv6(&made, IPPROTO_TCP);
    add_tcp(&made, SEGMENT_ACK, "", 0, "abc");
    finish_checksum(&made, version, IPPROTO_TCP, 16);
    if (version == 4)
        finish_ipv4(&made);
    else
        finish_ipv6(&made);
    struct decoded decoded = decode_exactly(link_type, made.data, made.n_bytes, made.n_bytes);
    assert_segment(&decoded, "abc");
    assert_int_equal(decoded.trouble, 0);
    assert_int_equal(decoded.network_offset, n_header);
    for (size_t n = 0; n < n_header; n++) {
        decoded = decode_exactly(link_type, made.data, n, made.n_bytes);
        assert_int_equal(decoded.depth, DECODE_NOTHING);
        assert_int_equal(decoded.trouble, DECODE_CUT);
        decoded = decode_exactly(link_type, made.data, n, n);
        assert_int_equal(decoded.trouble, DECODE_SHORT);
    }
}

static void link_types(void **state)
{
    (void)state;
    through(TYPE_LINUX_SLL, "\0\0\0\1\0\6\0\0\0\0\0\0\0\0\x08\x00", 16, 4);
    through(TYPE_LINUX_SLL, "\0\4\3\4\0\6\0\0\0\0\0\0\0\0\x86\xdd", 16, 6);
    through(TYPE_LINUX_SLL2, "\x08\0\0\0\0\0\0\2\0\1\4\6\0\0\0\0\0\0\0\0", 20, 4);
    through(TYPE_LINUX_SLL2, "\x86\xdd\0\0\0\0\0\2\0\1\4\6\0\0\0\0\0\0\0\0", 20, 6);
    static const uint16_t raw[] = {TYPE_RAW_OPENBSD, TYPE_RAW_BSDOS, TYPE_RAW};
    for (size_t i = 0; i < 3; i++) {
        through(raw[i], "", 0, 4);
        through(raw[i], "", 0, 6);
    }
    through(TYPE_IPV4, "", 0, 4);
    through(TYPE_IPV6, "", 0, 6);
    static const uint8_t of_inet6[] = {10, 24, 28, 30};
    for (unsigned big = 0; big < 2; big++) {
        through(TYPE_NULL, big ? "\0\0\0\2" : "\2\0\0\0", 4, 4);
        through(TYPE_LOOP, big ? "\0\0\0\2" : "\2\0\0\0", 4, 4);
        for (size_t i = 0; i < sizeof of_inet6; i++) {
            uint8_t word[4] = {0};
            word[big ? 3 : 0] = of_inet6[i];
            through(TYPE_NULL, word, 4, 6);
            through(TYPE_LOOP, word, 4, 6);
        }
    }
}

static void not_ip(void **state)
{
    (void)state;
    make_tcp4(&made, SEGMENT_ACK, "", 0, "");
    /* Types that nobody here knows: PPP, 802.11. */
    assert_int_equal(decode_exactly(9, made.data, made.n_bytes, made.n_bytes).depth, DECODE_NOTHING);
    assert_int_equal(decode_exactly(105, made.data, made.n_bytes, made.n_bytes).depth, DECODE_NOTHING);
    /* LLC, and an unknown type; no version 5 either; what is said to be IPv6 and is not. */
    set16(&made, 12, 46);
    assert_int_equal(decode_made(&made).depth, DECODE_LINK);
    set16(&made, 12, 0x88cc);
    assert_int_equal(decode_made(&made).depth, DECODE_LINK);
    assert_int_equal(decode_exactly(TYPE_RAW, (const uint8_t *)"\x50\0\0\0", 4, 4).depth, DECODE_LINK);
    assert_int_equal(decode_exactly(TYPE_NULL, (const uint8_t *)"\7\0\0\0\x45", 5, 5).depth, DECODE_LINK);
    struct decoded decoded = decode_exactly(TYPE_IPV6, made.data + 14, made.n_bytes - 14, made.n_bytes - 14);
    assert_int_equal(decoded.depth, DECODE_LINK);
    assert_int_equal(decoded.trouble, DECODE_SHORT);
    set16(&made, 12, ETHER_IPV6);
    decoded = decode_made(&made);
    assert_int_equal(decoded.depth, DECODE_LINK);
    assert_int_equal(decoded.trouble, DECODE_SHORT);
}

static void arp(void **state)
{
    (void)state;
    made.n_bytes = 0;
    add_ethernet(&made, ETHER_ARP);
    ADD(&made, 0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 1, 10, 0, 0, 1, 0, 0, 0, 0, 0, 0, 10, 0, 0, 2);
    struct decoded decoded = decode_made(&made);
    assert_int_equal(decoded.depth, DECODE_LINK);
    assert_int_equal(decoded.network, DECODE_ARP);
    assert_int_equal(decoded.trouble, 0);
    assert_ends4(&decoded);
    decoded = decode_exactly(TYPE_ETHERNET, made.data, 20, 20);
    assert_int_equal(decoded.network, DECODE_ARP);
    assert_int_equal(decoded.trouble, DECODE_SHORT);
}

static void ipv4_options(void **state)
{
    (void)state;
    made.n_bytes = 0;
    add_ethernet(&made, ETHER_IPV4);
    add_ipv4(&made, IPPROTO_TCP, 0, "\x94\x04\0\0\1\1\1\0", 8);
    add_tcp(&made, SEGMENT_ACK, "", 0, "opt");
    finish_checksum(&made, 4, IPPROTO_TCP, 16);
    finish_ipv4(&made);
    struct decoded decoded = decode_made(&made);
    assert_segment(&decoded, "opt");
    assert_int_equal(decoded.trouble, 0);
    assert_int_equal(decoded.transport_offset, 14 + 28);
    /* The capture ends within them. */
    decoded = decode_exactly(TYPE_ETHERNET, made.data, 14 + 22, made.n_bytes);
    assert_int_equal(decoded.depth, DECODE_NETWORK);
    assert_int_equal(decoded.trouble, DECODE_CUT);
    /* A header that is shorter than any, and one that is longer than the packet. */
    made.data[14] = 0x44;
    assert_int_equal(decode_made(&made).depth, DECODE_LINK);
    made.data[14] = 0x4f;
    set16(&made, 16, 40);
    assert_int_equal(decode_made(&made).trouble, DECODE_SHORT);
}

static void lengths_that_lie(void **state)
{
    (void)state;
    make_tcp4(&made, SEGMENT_ACK, "", 0, "hello");
    /* Longer than the frame: the header's word counts, for sequence numbers. */
    set16(&made, 16, 100);
    struct decoded decoded = decode_made(&made);
    assert_int_equal(decoded.depth, DECODE_TRANSPORT);
    assert_true(decoded.trouble & DECODE_SHORT);
    assert_int_equal(decoded.n_payload, 60);
    assert_int_equal(decoded.n_payload_captured, 5);
    /* Ends within the TCP header. */
    set16(&made, 16, 39);
    decoded = decode_made(&made);
    assert_int_equal(decoded.depth, DECODE_NETWORK);
    assert_true(decoded.trouble & DECODE_SHORT);
    /* 0: captured on its way to the card. */
    set16(&made, 16, 0);
    decoded = decode_made(&made);
    assert_segment(&decoded, "hello");
    assert_int_equal(decoded.trouble, 0);
    assert_int_equal(decoded.ip_bytes, 45);
    make_tcp6(&made, SEGMENT_ACK, "", 0, "hello");
    set16(&made, 18, 0);
    decoded = decode_made(&made);
    assert_segment(&decoded, "hello");
    assert_int_equal(decoded.trouble, 0);
    /* TCP's own: shorter than itself, longer than the packet. */
    made.data[54 + 12] = 0x40;
    decoded = decode_made(&made);
    assert_int_equal(decoded.depth, DECODE_NETWORK);
    assert_true(decoded.trouble & DECODE_SHORT);
    made.data[54 + 12] = 0xf0;
    assert_int_equal(decode_made(&made).depth, DECODE_NETWORK);
}

static void jumbo(void **state)
{
    (void)state;
    static char big[66001];
    memset(big, 'j', sizeof big - 1);
    made.n_bytes = 0;
    add_ethernet(&made, ETHER_IPV6);
    add_ipv6(&made, IPPROTO_HOPOPTS);
    ADD(&made, IPPROTO_TCP, 0, 0xc2, 4, 0, 1, 1, 0xec); /* 8 + 20 + 66000 */
    add_tcp(&made, SEGMENT_ACK, "", 0, big);
    ADD(&made, 'x', 'x', 'x', 'x'); /* behind it */
    assert_int_equal(made.n_bytes, 14 + 40 + 8 + 20 + 66000 + 4);
    struct decoded decoded = decode_exactly(TYPE_ETHERNET, made.data, made.n_bytes, made.n_bytes);
    assert_int_equal(decoded.depth, DECODE_TRANSPORT);
    assert_int_equal(decoded.n_payload, 66000);
    assert_int_equal(decoded.ip_bytes, 40 + 8 + 20 + 66000);
    /* An option that says more than there is. */
    made.data[14 + 40 + 4] = 0xff;
    decoded = decode_made(&made);
    assert_true(decoded.trouble & DECODE_SHORT);
    assert_int_equal(decoded.n_payload, 66004);
}

static void ipv6_extension_headers(void **state)
{
    (void)state;
    made.n_bytes = 0;
    add_ethernet(&made, ETHER_IPV6);
    add_ipv6(&made, IPPROTO_HOPOPTS);
    ADD(&made, IPPROTO_ROUTING, 0, 5, 2, 0, 0, 1, 0);
    ADD(&made, IPPROTO_DSTOPTS, 2, 2, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16);
    ADD(&made, IPPROTO_AH, 1, 1, 4, 0, 0, 0, 0, 1, 6, 0, 0, 0, 0, 0, 0);
    ADD(&made, IPPROTO_FRAGMENT, 4, 0, 0, 1, 2, 3, 4, 0, 0, 0, 1, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9);
    ADD(&made, IPPROTO_TCP, 0, 0, 0, 0xde, 0xad, 0xbe, 0xef); /* of a packet in one fragment */
    uint32_t end = made.n_bytes;
    add_tcp(&made, SEGMENT_ACK, "", 0, "ext");
    finish_checksum(&made, 6, IPPROTO_TCP, 16);
    finish_ipv6(&made);
    struct decoded decoded = decode_made(&made);
    assert_segment(&decoded, "ext");
    assert_int_equal(decoded.trouble, 0);
    assert_int_equal(decoded.ip_id, 0xdeadbeef);
    assert_int_equal(decoded.transport_offset, end);
    for (uint32_t n = 54; n < end; n++) {
        decoded = decode_exactly(TYPE_ETHERNET, made.data, n, made.n_bytes);
        assert_int_equal(decoded.depth, DECODE_NETWORK);
        assert_int_equal(decoded.trouble, DECODE_CUT);
    }
    /* Stops left: the checksum is that of another destination, and not judged. */
    made.data[14 + 40 + 8 + 3] = 1;
    made.data[made.n_bytes - 1] ^= 1;
    assert_int_equal(decode_made(&made).trouble, 0);
    made.data[14 + 40 + 8 + 3] = 0;
    assert_int_equal(decode_made(&made).trouble, DECODE_CHECKSUM_BAD);
    /* Nothing, and what is not understood. */
    made.data[end - 8] = IPPROTO_NONE;
    decoded = decode_made(&made);
    assert_int_equal(decoded.depth, DECODE_NETWORK);
    assert_int_equal(decoded.protocol, IPPROTO_NONE);
    made.data[end - 8] = IPPROTO_ESP;
    assert_int_equal(decode_made(&made).protocol, IPPROTO_ESP);
}

static void fragments(void **state)
{
    (void)state;
    made.n_bytes = 0;
    add_ethernet(&made, ETHER_IPV4);
    add_ipv4(&made, IPPROTO_UDP, 0x2000, "", 0);
    add_udp(&made, "12345678");
    set16(&made, made.transport_at + 4, 1000); /* the whole datagram's */
    finish_ipv4(&made);
    struct decoded decoded = decode_made(&made);
    assert_int_equal(decoded.depth, DECODE_TRANSPORT);
    assert_int_equal(decoded.trouble, DECODE_FRAGMENT);
    assert_true(decoded.more_fragments);
    assert_int_equal(decoded.n_payload, 8);
    set16(&made, made.ip_at + 6, 2);
    finish_ipv4(&made);
    decoded = decode_made(&made);
    assert_int_equal(decoded.depth, DECODE_NETWORK);
    assert_int_equal(decoded.trouble, DECODE_FRAGMENT);
    assert_int_equal(decoded.fragment_offset, 16);
    assert_false(decoded.more_fragments);
    assert_int_equal(decoded.source_port, 0);

    made.n_bytes = 0;
    add_ethernet(&made, ETHER_IPV6);
    add_ipv6(&made, IPPROTO_FRAGMENT);
    ADD(&made, IPPROTO_TCP, 0, 0, 9, 0, 0, 0, 7);
    add_tcp(&made, SEGMENT_ACK, "", 0, "x");
    finish_ipv6(&made);
    decoded = decode_made(&made);
    assert_int_equal(decoded.depth, DECODE_NETWORK);
    assert_int_equal(decoded.fragment_offset, 8);
    assert_true(decoded.more_fragments);
    assert_int_equal(decoded.ip_id, 7);
    /* A fragment of a fragment. */
    made.data[14 + 40] = IPPROTO_FRAGMENT;
    made.data[14 + 40 + 3] = 1;
    decoded = decode_made(&made);
    assert_int_equal(decoded.depth, DECODE_NETWORK);
    assert_true(decoded.trouble & DECODE_SHORT);
}

/* outer: the packet so far, up to where the inner begins. */
static void assert_inner(unsigned version, unsigned outer_version)
{
    uint32_t inner = made.n_bytes, outer4 = made.ip_at, outer6 = made.ip6_at;

    if (version == 4)
        add_ipv4(&made, IPPROTO_TCP, 0, "", 0);
    else
        add_ipv6(&made, IPPROTO_TCP);
    add_tcp(&made, SEGMENT_ACK, "", 0, "in");
    finish_checksum(&made, version, IPPROTO_TCP, 16);
    if (version == 4)
        finish_ipv4(&made);
    else
        finish_ipv6(&made);
    if (outer_version == 4) {
        made.ip_at = outer4;
        finish_ipv4(&made);
    } else {
        made.ip6_at = outer6;
        finish_ipv6(&made);
    }
    struct decoded decoded = decode_made(&made);
    assert_segment(&decoded, "in");
    assert_int_equal(decoded.trouble, DECODE_TUNNEL);
    assert_int_equal(decoded.network, version == 4 ? DECODE_IPV4 : DECODE_IPV6);
    assert_int_equal(decoded.network_offset, inner);
    /* Cut before there is an inner header: the outer one is described. */
    decoded = decode_exactly(TYPE_ETHERNET, made.data, inner + 10, made.n_bytes);
    assert_int_equal(decoded.depth, DECODE_NETWORK);
    assert_int_equal(decoded.trouble, DECODE_CUT);
    assert_int_equal(decoded.network, outer_version == 4 ? DECODE_IPV4 : DECODE_IPV6);
    assert_int_equal(decoded.network_offset, 14);
}

static void tunnels(void **state)
{
    (void)state;
    for (unsigned outer = 4; outer <= 6; outer += 2) {
        for (unsigned inner = 4; inner <= 6; inner += 2) {
            made.n_bytes = 0;
            add_ethernet(&made, outer == 4 ? ETHER_IPV4 : ETHER_IPV6);
            unsigned protocol = inner == 4 ? IPPROTO_IPIP : IPPROTO_IPV6;
            if (outer == 4)
                add_ipv4(&made, protocol, 0, "", 0);
            else
                add_ipv6(&made, protocol);
            assert_inner(inner, outer);
        }
    }
    made.n_bytes = 0;
    add_ethernet(&made, ETHER_IPV4);
    add_ipv4(&made, IPPROTO_GRE, 0, "", 0);
    ADD(&made, 0, 0, 0x08, 0x00);
    assert_inner(4, 4);
    made.n_bytes = 0;
    add_ethernet(&made, ETHER_IPV6);
    add_ipv6(&made, IPPROTO_GRE);
    ADD(&made, 0xb0, 0, 0x86, 0xdd, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12);
    assert_inner(6, 6);
    /* GRE version 1 is another protocol. */
    made.data[14 + 40 + 1] = 1;
    assert_int_equal(decode_made(&made).depth, DECODE_NETWORK);
    assert_int_equal(decode_made(&made).protocol, IPPROTO_GRE);
}

/* Before it is put together again, what is in a fragment is not taken for a packet. */
static void a_fragment_is_no_tunnel(void **state)
{
    (void)state;
    made.n_bytes = 0;
    add_ethernet(&made, ETHER_IPV4);
    add_ipv4(&made, IPPROTO_IPIP, 0x2000, "", 0);
    add_ipv4(&made, IPPROTO_TCP, 0, "", 0);
    add_tcp(&made, SEGMENT_ACK, "", 0, "in");
    finish_ipv4(&made);
    made.ip_at = 14;
    finish_ipv4(&made);
    struct decoded decoded = decode_made(&made);
    assert_int_equal(decoded.depth, DECODE_NETWORK);
    assert_int_equal(decoded.trouble, DECODE_FRAGMENT);
    assert_int_equal(decoded.protocol, IPPROTO_IPIP);
}

/* One level is followed. */
static void tunnel_in_a_tunnel(void **state)
{
    (void)state;
    made.n_bytes = 0;
    add_ethernet(&made, ETHER_IPV4);
    for (unsigned i = 0; i < 3; i++)
        add_ipv4(&made, i < 2 ? IPPROTO_IPIP : IPPROTO_TCP, 0, "", 0);
    add_tcp(&made, SEGMENT_ACK, "", 0, "deep");
    for (unsigned i = 0; i < 3; i++) {
        made.ip_at = 14 + 20 * i;
        finish_ipv4(&made);
    }
    struct decoded decoded = decode_made(&made);
    assert_int_equal(decoded.depth, DECODE_NETWORK);
    assert_int_equal(decoded.trouble, DECODE_TUNNEL);
    assert_int_equal(decoded.protocol, IPPROTO_IPIP);
    assert_int_equal(decoded.network_offset, 34);
}

static void udp(void **state)
{
    (void)state;
    made.n_bytes = 0;
    add_ethernet(&made, ETHER_IPV4);
    add_ipv4(&made, IPPROTO_UDP, 0, "", 0);
    add_udp(&made, "question");
    finish_checksum(&made, 4, IPPROTO_UDP, 6);
    finish_ipv4(&made);
    struct decoded decoded = decode_made(&made);
    assert_int_equal(decoded.depth, DECODE_TRANSPORT);
    assert_int_equal(decoded.trouble, 0);
    assert_int_equal(decoded.source_port, 5000);
    assert_int_equal(decoded.destination_port, 53);
    assert_int_equal(decoded.n_payload, 8);
    assert_memory_equal(decoded.payload, "question", 8);
    /* It says less than the packet holds, nothing, too little, too much. */
    set16(&made, made.transport_at + 4, 10);
    decoded = decode_made(&made);
    assert_int_equal(decoded.n_payload, 2);
    set16(&made, made.transport_at + 4, 0);
    decoded = decode_made(&made);
    assert_int_equal(decoded.depth, DECODE_TRANSPORT);
    assert_int_equal(decoded.n_payload, 8);
    set16(&made, made.transport_at + 4, 7);
    decoded = decode_made(&made);
    assert_int_equal(decoded.depth, DECODE_NETWORK);
    assert_int_equal(decoded.trouble, DECODE_SHORT);
    set16(&made, made.transport_at + 4, 17);
    decoded = decode_made(&made);
    assert_int_equal(decoded.trouble, DECODE_SHORT);
    assert_int_equal(decoded.n_payload, 8);
}

static void every_length(void **state)
{
    (void)state;
    make_tcp4(&made, SEGMENT_SYN, SYN_OPTIONS, N_SYN_OPTIONS, "data in SYN");
    for (uint32_t n = 0; n <= made.n_bytes; n++) {
        struct decoded cut = decode_exactly(TYPE_ETHERNET, made.data, n, made.n_bytes);
        struct decoded ends = decode_exactly(TYPE_ETHERNET, made.data, n, n);
        enum decode_depth depth = n < 14   ? DECODE_NOTHING
                                  : n < 34 ? DECODE_LINK
                                  : n < 54 ? DECODE_NETWORK
                                           : DECODE_TRANSPORT;
        assert_int_equal(cut.depth, depth);
        assert_int_equal(ends.depth, depth);
        assert_int_equal(cut.trouble, n < made.n_bytes ? DECODE_CUT : 0);
        assert_int_equal(ends.trouble, n < made.n_bytes ? DECODE_SHORT : 0);
        if (depth != DECODE_TRANSPORT)
            continue;
        assert_int_equal(cut.n_payload, 11);
        assert_int_equal(cut.n_payload_captured, n > 74 ? n - 74 : 0);
        assert_true(cut.payload_offset <= n);
        assert_int_equal(cut.options.mss, n >= 58 ? 1460 : 0);
        assert_int_equal(cut.options.window_scale, n >= 74 ? 10 : -1);
        assert_false(cut.options.malformed);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(tcp_over_ethernet),
        cmocka_unit_test(vlans),
        cmocka_unit_test(padding_is_no_payload),
        cmocka_unit_test(link_types),
        cmocka_unit_test(not_ip),
        cmocka_unit_test(arp),
        cmocka_unit_test(ipv4_options),
        cmocka_unit_test(lengths_that_lie),
        cmocka_unit_test(jumbo),
        cmocka_unit_test(ipv6_extension_headers),
        cmocka_unit_test(fragments),
        cmocka_unit_test(tunnels),
        cmocka_unit_test(a_fragment_is_no_tunnel),
        cmocka_unit_test(tunnel_in_a_tunnel),
        cmocka_unit_test(udp),
        cmocka_unit_test(every_length),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
