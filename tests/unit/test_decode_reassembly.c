/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "decode_packets.h"

#define MESSAGE_MAX 66000

static struct made whole, made;
static struct decoded found;
static char message[MESSAGE_MAX + 1];

static const char *message_of(size_t n_bytes)
{
    for (size_t i = 0; i < n_bytes; i++)
        message[i] = (char)('a' + (i * 7 + i / 26) % 26);
    message[n_bytes] = '\0';
    return message;
}

/* One datagram as it was before it was cut up: UDP of version 4 or 6, with a right checksum. */
static void make_whole(unsigned version, size_t n_message)
{
    whole.n_bytes = 0;
    if (version == 4)
        add_ipv4(&whole, IPPROTO_UDP, 0, "", 0);
    else
        add_ipv6(&whole, IPPROTO_UDP);
    whole.transport_at = whole.n_bytes;
    ADD(&whole, 0x13, 0x88, 0, 53, (uint8_t)((8 + n_message) >> 8), (uint8_t)(8 + n_message), 0, 0);
    add(&whole, message_of(n_message), n_message);
    if (8 + n_message <= 65535)
        finish_checksum(&whole, version, IPPROTO_UDP, 6);
}

/* Bytes from..to of what the whole packet carries, as a fragment behind Ethernet. */
static void make_fragment(unsigned version, uint32_t id, uint32_t from, uint32_t to, bool more)
{
    const uint8_t *part = whole.data + (version == 4 ? 20 : 40);
    made.n_bytes = 0;
    add_ethernet(&made, version == 4 ? ETHER_IPV4 : ETHER_IPV6);
    if (version == 4) {
        add_ipv4(&made, IPPROTO_UDP, from / 8 | (more ? 0x2000 : 0), "", 0);
        set16(&made, made.ip_at + 4, id);
    } else {
        add_ipv6(&made, IPPROTO_DSTOPTS);
        ADD(&made, IPPROTO_FRAGMENT, 0, 1, 4, 0, 0, 0, 0);
        ADD(&made, IPPROTO_UDP, 0, (uint8_t)(from >> 8), (uint8_t)(from | more), 0, 0, (uint8_t)(id >> 8), (uint8_t)id);
    }
    add(&made, part + from, to - from);
    if (version == 4)
        finish_ipv4(&made);
    else
        finish_ipv6(&made);
}

static bool give_cut(struct reassembly *reassembly, int64_t t_ns, uint32_t n_captured)
{
    struct decoded fragment = decode_exactly(TYPE_ETHERNET, made.data, n_captured, made.n_bytes);
    uint8_t *exact = malloc(n_captured);

    assert_true(fragment.trouble & DECODE_FRAGMENT);
    memcpy(exact, made.data, n_captured);
    memset(&found, 0xa5, sizeof found);
    bool is_whole = reassembly_add(reassembly, t_ns, &fragment, exact, n_captured, &found);
    free(exact);
    return is_whole;
}

static bool give(struct reassembly *reassembly, int64_t t_ns)
{
    return give_cut(reassembly, t_ns, made.n_bytes);
}

static bool give_part(struct reassembly *reassembly, unsigned version, uint32_t id, uint32_t from, uint32_t to,
                      bool more)
{
    make_fragment(version, id, from, to, more);
    return give(reassembly, 0);
}

static void assert_found(unsigned version, size_t n_message)
{
    assert_int_equal(found.depth, DECODE_TRANSPORT);
    assert_int_equal(found.trouble, 0);
    assert_int_equal(found.network, version == 4 ? DECODE_IPV4 : DECODE_IPV6);
    assert_int_equal(found.protocol, IPPROTO_UDP);
    assert_int_equal(found.source_port, 5000);
    assert_int_equal(found.destination_port, 53);
    assert_int_equal(found.n_payload, n_message);
    assert_int_equal(found.n_payload_captured, n_message);
    assert_int_equal(found.network_offset, 0);
    assert_memory_equal(found.payload, message_of(n_message), n_message);
}

static void in_every_order(void **state)
{
    (void)state;
    static const unsigned orders[6][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
    static const uint32_t bounds[4] = {0, 1480, 2960, 4009};
    struct reassembly *reassembly = reassembly_new();
    for (unsigned version = 4; version <= 6; version += 2) {
        make_whole(version, 4001);
        for (unsigned order = 0; order < 6; order++) {
            for (unsigned i = 0; i < 3; i++) {
                unsigned part = orders[order][i];
                bool is_whole = give_part(reassembly, version, 100 + order, bounds[part], bounds[part + 1], part < 2);
                assert_int_equal(is_whole, i == 2);
            }
            assert_found(version, 4001);
        }
    }
    assert_int_equal(reassembly_n_lost(reassembly), 0);
    reassembly_free(reassembly);
}

/* The checksum is judged over the whole. */
static void damaged(void **state)
{
    (void)state;
    struct reassembly *reassembly = reassembly_new();
    make_whole(4, 100);
    whole.data[60] ^= 1;
    assert_false(give_part(reassembly, 4, 1, 0, 56, true));
    assert_true(give_part(reassembly, 4, 1, 56, 108, false));
    assert_int_equal(found.trouble, DECODE_CHECKSUM_BAD);
    reassembly_free(reassembly);
}

/* The same fragment again changes nothing, before or after the packet is whole. */
static void copies(void **state)
{
    (void)state;
    struct reassembly *reassembly = reassembly_new();
    for (unsigned version = 4; version <= 6; version += 2) {
        make_whole(version, 100);
        for (unsigned i = 0; i < 3; i++)
            assert_false(give_part(reassembly, version, 9, 0, 56, true));
        assert_true(give_part(reassembly, version, 9, 56, 108, false));
        assert_found(version, 100);
        assert_false(give_part(reassembly, version, 9, 56, 108, false));
        assert_false(give_part(reassembly, version, 9, 0, 56, true));
        assert_int_equal(reassembly_n_lost(reassembly), 0);
        /* Another packet with the same id is another packet. */
        make_whole(version, 50);
        whole.data[version == 4 ? 28 : 48] ^= 1;
        assert_false(give_part(reassembly, version, 9, 0, 56, true));
        assert_true(give_part(reassembly, version, 9, 56, 58, false));
    }
    assert_int_equal(reassembly_n_lost(reassembly), 0);
    reassembly_free(reassembly);
}

/* All of it is thrown away then, and counted once (RFC 5722). */
static void overlaps(void **state)
{
    (void)state;
    static const struct {
        uint32_t from, to;
        bool more;
    } parts[] = {
        {48, 64, true},   /* over the end of what is there */
        {40, 56, true},   /* over its beginning */
        {48, 56, true},   /* within */
        {32, 72, true},   /* around */
        {40, 108, false}, /* around, to the end */
        {48, 64, false},
    };
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        struct reassembly *reassembly = reassembly_new();
        make_whole(4, 100);
        assert_false(give_part(reassembly, 4, 1, 40, 64, true));
        assert_false(give_part(reassembly, 4, 1, parts[i].from, parts[i].to, parts[i].more));
        assert_int_equal(reassembly_n_lost(reassembly), 1);
        /* What would have made it whole comes too late. */
        assert_false(give_part(reassembly, 4, 1, 0, 40, true));
        assert_false(give_part(reassembly, 4, 1, 64, 108, false));
        assert_int_equal(reassembly_n_lost(reassembly), 1);
        reassembly_free(reassembly);
    }
    /* The same place, other bytes. */
    struct reassembly *reassembly = reassembly_new();
    make_whole(4, 100);
    assert_false(give_part(reassembly, 4, 1, 0, 56, true));
    whole.data[30] ^= 1;
    assert_false(give_part(reassembly, 4, 1, 0, 56, true));
    assert_int_equal(reassembly_n_lost(reassembly), 1);
    reassembly_free(reassembly);
}

/* Two parts where there was one, and one where there were two. */
static void split_otherwise(void **state)
{
    (void)state;
    struct reassembly *reassembly = reassembly_new();
    make_whole(4, 100);
    assert_false(give_part(reassembly, 4, 1, 0, 16, true));
    assert_false(give_part(reassembly, 4, 1, 0, 8, true));
    assert_int_equal(reassembly_n_lost(reassembly), 1);
    assert_false(give_part(reassembly, 4, 2, 0, 8, true));
    assert_false(give_part(reassembly, 4, 2, 8, 16, true));
    assert_false(give_part(reassembly, 4, 2, 0, 16, true));
    assert_int_equal(reassembly_n_lost(reassembly), 2);
    reassembly_free(reassembly);
}

static void unsound(void **state)
{
    (void)state;
    struct reassembly *reassembly = reassembly_new();
    make_whole(4, 100);
    /* Not the last, and not a multiple of eight; nothing at all; two ends; past the end. */
    assert_false(give_part(reassembly, 4, 1, 0, 50, true));
    assert_int_equal(reassembly_n_lost(reassembly), 1);
    assert_false(give_part(reassembly, 4, 2, 8, 8, true));
    assert_int_equal(reassembly_n_lost(reassembly), 2);
    assert_false(give_part(reassembly, 4, 3, 56, 108, false));
    assert_false(give_part(reassembly, 4, 3, 56, 100, false));
    assert_int_equal(reassembly_n_lost(reassembly), 3);
    assert_false(give_part(reassembly, 4, 4, 56, 80, false));
    assert_false(give_part(reassembly, 4, 4, 80, 96, true));
    assert_int_equal(reassembly_n_lost(reassembly), 4);
    assert_false(give_part(reassembly, 4, 5, 80, 96, true));
    assert_false(give_part(reassembly, 4, 5, 56, 80, false));
    assert_int_equal(reassembly_n_lost(reassembly), 5);
    reassembly_free(reassembly);
}

static void too_large(void **state)
{
    (void)state;
    struct reassembly *reassembly = reassembly_new();
    make_whole(4, 65507); /* the largest there is */
    assert_false(give_part(reassembly, 4, 1, 0, 32768, true));
    assert_true(give_part(reassembly, 4, 1, 32768, 65515, false));
    assert_found(4, 65507);
    /* A byte more than IPv4 can have, and an end past all. */
    make_whole(4, 65508);
    assert_false(give_part(reassembly, 4, 2, 0, 32768, true));
    assert_false(give_part(reassembly, 4, 2, 32768, 65516, false));
    assert_int_equal(reassembly_n_lost(reassembly), 1);
    make_whole(4, 65900);
    assert_false(give_part(reassembly, 4, 3, 65528, 65540, false));
    assert_int_equal(reassembly_n_lost(reassembly), 2);
    reassembly_free(reassembly);
}

static void cut_fragments_make_nothing_whole(void **state)
{
    (void)state;
    struct reassembly *reassembly = reassembly_new();
    make_whole(4, 100);
    assert_false(give_part(reassembly, 4, 1, 0, 56, true));
    make_fragment(4, 1, 56, 108, false);
    for (uint32_t n = made.n_bytes - 1; n >= 34; n--)
        assert_false(give_cut(reassembly, 0, n));
    assert_int_equal(reassembly_n_lost(reassembly), 1);
    reassembly_free(reassembly);
}

static void too_old(void **state)
{
    (void)state;
    struct reassembly *reassembly = reassembly_new();
    make_whole(4, 100);
    make_fragment(4, 1, 0, 56, true);
    assert_false(give(reassembly, 1000));
    make_fragment(4, 1, 56, 108, false);
    assert_false(give(reassembly, 1000 + DECODE_REASSEMBLY_NS));
    assert_int_equal(reassembly_n_lost(reassembly), 1);
    make_fragment(4, 1, 0, 56, true);
    assert_true(give(reassembly, 1000 + 2 * DECODE_REASSEMBLY_NS - 1));
    assert_found(4, 100);
    /* What was whole, and what was given up, is forgotten without being counted again. */
    make_fragment(4, 2, 0, 50, true);
    assert_false(give(reassembly, 1000 + 2 * DECODE_REASSEMBLY_NS));
    assert_int_equal(reassembly_n_lost(reassembly), 2);
    make_fragment(4, 3, 0, 56, true);
    assert_false(give(reassembly, 1000 + 9 * DECODE_REASSEMBLY_NS));
    assert_int_equal(reassembly_n_lost(reassembly), 2);
    reassembly_free(reassembly);
}

/* The oldest makes room; one that is whole, or given up already, before one that waits. */
static void too_many(void **state)
{
    (void)state;
    struct reassembly *reassembly = reassembly_new();
    make_whole(6, 100);
    make_fragment(6, 500, 0, 56, true);
    assert_false(give(reassembly, 900));
    make_fragment(6, 500, 56, 108, false);
    assert_true(give(reassembly, 901));
    for (uint32_t i = 0; i < DECODE_REASSEMBLIES_MAX; i++) {
        make_fragment(6, i, 0, 56, true);
        assert_false(give(reassembly, 1000 + i));
    }
    assert_int_equal(reassembly_n_lost(reassembly), 0);
    make_fragment(6, 600, 0, 56, true);
    assert_false(give(reassembly, 5000));
    assert_int_equal(reassembly_n_lost(reassembly), 1);
    make_fragment(6, 0, 56, 108, false);
    assert_false(give(reassembly, 5001)); /* it was the one that went; 1 goes now */
    assert_int_equal(reassembly_n_lost(reassembly), 2);
    make_fragment(6, 2, 56, 108, false);
    assert_true(give(reassembly, 5002));
    assert_found(6, 100);
    reassembly_free(reassembly);
}

/* Packets of other ends, protocols and versions with the same id have nothing to do with each other. */
static void keys(void **state)
{
    (void)state;
    struct reassembly *reassembly = reassembly_new();
    make_whole(4, 100);
    static const uint32_t others[] = {14 + 9, 14 + 15, 14 + 19}; /* protocol, source, destination */
    assert_false(give_part(reassembly, 4, 7, 0, 56, true));
    for (size_t i = 0; i < 3; i++) {
        make_fragment(4, 7, 56, 108, false);
        made.data[others[i]] ^= 0x20;
        assert_false(give(reassembly, 0));
    }
    make_whole(6, 100);
    assert_false(give_part(reassembly, 6, 7, 56, 108, false));
    make_whole(4, 100);
    assert_true(give_part(reassembly, 4, 7, 56, 108, false));
    assert_found(4, 100);
    assert_int_equal(reassembly_n_lost(reassembly), 0);
    reassembly_free(reassembly);
}

static void no_fragments(void **state)
{
    (void)state;
    struct reassembly *reassembly = reassembly_new();
    make_tcp4(&made, SEGMENT_ACK, "", 0, "whole");
    struct decoded decoded = decode_made(&made);
    assert_false(reassembly_add(reassembly, 0, &decoded, made.data, made.n_bytes, &found));
    decoded = (struct decoded){.network = DECODE_ARP};
    assert_false(reassembly_add(reassembly, 0, &decoded, made.data, made.n_bytes, &found));
    assert_int_equal(reassembly_n_lost(reassembly), 0);
    reassembly_free(reassembly);
    reassembly_free(NULL);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(in_every_order),
        cmocka_unit_test(damaged),
        cmocka_unit_test(copies),
        cmocka_unit_test(overlaps),
        cmocka_unit_test(split_otherwise),
        cmocka_unit_test(unsound),
        cmocka_unit_test(too_large),
        cmocka_unit_test(cut_fragments_make_nothing_whole),
        cmocka_unit_test(too_old),
        cmocka_unit_test(too_many),
        cmocka_unit_test(keys),
        cmocka_unit_test(no_fragments),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
