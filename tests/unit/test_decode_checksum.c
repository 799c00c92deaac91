/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "decode_packets.h"

static struct made made;

static void sums(void **state)
{
    (void)state;
    uint8_t data[100];
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)(i * 37 + 200);
    for (size_t from = 0; from < 9; from++) {
        for (size_t n = 0; n <= sizeof data - from; n++)
            assert_int_equal(checksum_sum(data + from, n), slow_sum(data + from, n));
    }
    memset(data, 0xff, sizeof data);
    assert_int_equal(checksum_sum(data, sizeof data), 0xffff);
    assert_int_equal(checksum_sum(data, 0), 0);
    /* RFC 1071's example. */
    assert_int_equal(checksum_sum("\x00\x01\xf2\x03\xf4\xf5\xf6\xf7", 8), 0xddf2);
}

static unsigned trouble_of(unsigned flags)
{
    struct decoded decoded;
    decode_packet(TYPE_ETHERNET, made.data, made.n_bytes, made.n_bytes, flags, &decoded);
    return decoded.trouble;
}

/* Each byte that is covered, changed: that is noticed, when it is asked for. */
static void each_bit_counts(void **state)
{
    (void)state;
    for (unsigned version = 4; version <= 6; version += 2) {
        if (version == 4)
            make_tcp4(&made, SEGMENT_ACK, "", 0, "some bytes, an odd number of them");
        else
            make_tcp6(&made, SEGMENT_ACK, "", 0, "some bytes, an odd number of them");
        assert_int_equal(trouble_of(DECODE_CHECK_CHECKSUMS), 0);
        for (uint32_t at = made.transport_at; at < made.n_bytes; at++) {
            if (at == made.transport_at + 12)
                continue; /* its length */
            made.data[at] ^= 0x10;
            assert_int_equal(trouble_of(DECODE_CHECK_CHECKSUMS), DECODE_CHECKSUM_BAD);
            assert_int_equal(trouble_of(0), 0);
            made.data[at] ^= 0x10;
        }
        made.data[made.transport_at - 1] ^= 1; /* the address */
        assert_true(trouble_of(DECODE_CHECK_CHECKSUMS) & DECODE_CHECKSUM_BAD);
    }
}

static void ipv4_header(void **state)
{
    (void)state;
    make_tcp4(&made, SEGMENT_ACK, "", 0, "");
    made.data[14 + 8]--; /* a hop that did not tell */
    assert_int_equal(trouble_of(DECODE_CHECK_CHECKSUMS), DECODE_CHECKSUM_BAD);
    assert_int_equal(trouble_of(0), 0);
    /* Left to the card, with the length or without. */
    set16(&made, 14 + 10, 0);
    assert_int_equal(trouble_of(DECODE_CHECK_CHECKSUMS), 0);
    set16(&made, 14 + 10, 0x1234);
    set16(&made, 14 + 2, 0);
    assert_int_equal(trouble_of(DECODE_CHECK_CHECKSUMS), 0);
}

static void left_to_the_card(void **state)
{
    (void)state;
    for (unsigned version = 4; version <= 6; version += 2) {
        if (version == 4)
            make_tcp4(&made, SEGMENT_ACK, "", 0, "left to the card");
        else
            make_tcp6(&made, SEGMENT_ACK, "", 0, "left to the card");
        uint32_t partial = slow_pseudo(&made, version, IPPROTO_TCP);
        set16(&made, made.transport_at + 16, partial);
        assert_int_equal(trouble_of(DECODE_CHECK_CHECKSUMS), DECODE_CHECKSUM_PARTIAL);
        /* Without the length. */
        set16(&made, made.transport_at + 16, partial - (made.n_bytes - made.transport_at));
        assert_int_equal(trouble_of(DECODE_CHECK_CHECKSUMS), DECODE_CHECKSUM_PARTIAL);
        set16(&made, made.transport_at + 16, partial + 1);
        assert_int_equal(trouble_of(DECODE_CHECK_CHECKSUMS), DECODE_CHECKSUM_BAD);
    }
}

static void udp_may_have_none(void **state)
{
    (void)state;
    made.n_bytes = 0;
    add_ethernet(&made, ETHER_IPV4);
    add_ipv4(&made, IPPROTO_UDP, 0, "", 0);
    add_udp(&made, "none");
    finish_ipv4(&made);
    assert_int_equal(trouble_of(DECODE_CHECK_CHECKSUMS), 0);
    set16(&made, made.transport_at + 6, slow_pseudo(&made, 4, IPPROTO_UDP));
    assert_int_equal(trouble_of(DECODE_CHECK_CHECKSUMS), DECODE_CHECKSUM_PARTIAL);
    finish_checksum(&made, 4, IPPROTO_UDP, 6);
    assert_int_equal(trouble_of(DECODE_CHECK_CHECKSUMS), 0);
    made.data[made.n_bytes - 1] ^= 1;
    assert_int_equal(trouble_of(DECODE_CHECK_CHECKSUMS), DECODE_CHECKSUM_BAD);

    made.n_bytes = 0;
    add_ethernet(&made, ETHER_IPV6);
    add_ipv6(&made, IPPROTO_UDP);
    add_udp(&made, "must have one");
    finish_ipv6(&made);
    assert_int_equal(trouble_of(DECODE_CHECK_CHECKSUMS), DECODE_CHECKSUM_BAD);
    finish_checksum(&made, 6, IPPROTO_UDP, 6);
    assert_int_equal(trouble_of(DECODE_CHECK_CHECKSUMS), 0);
}

/* What would be 0 is sent as 0xffff: 0 says that there is none (RFC 768). */
static void udp_never_sends_0(void **state)
{
    (void)state;
    made.n_bytes = 0;
    add_ipv4(&made, IPPROTO_UDP, 0, "", 0);
    add_udp(&made, "\1\1");
    finish_ipv4(&made);
    set16(&made, made.n_bytes - 2, 0);
    finish_checksum(&made, 4, IPPROTO_UDP, 6);
    set16(&made, made.n_bytes - 2, be16(made.data + made.transport_at + 6)); /* now the sum is all ones without it */
    struct bytes bytes = {made.data, made.n_bytes, made.n_bytes};
    struct ip_header ip;
    uint16_t right = 0;
    assert_true(ip_parse(&bytes, 0, made.n_bytes, 4, &ip));
    set16(&made, made.transport_at + 6, 0x5555);
    assert_int_equal(checksum_judge(&bytes, &ip, &right), CHECKSUM_BAD);
    assert_int_equal(right, 0xffff);
    set16(&made, made.transport_at + 6, 0xffff);
    assert_int_equal(checksum_judge(&bytes, &ip, &right), CHECKSUM_GOOD);
    set16(&made, made.transport_at + 6, 0);
    assert_int_equal(checksum_judge(&bytes, &ip, &right), CHECKSUM_NONE);
}

static void icmp(void **state)
{
    (void)state;
    made.n_bytes = 0;
    add_ethernet(&made, ETHER_IPV4);
    add_ipv4(&made, IPPROTO_ICMP, 0, "", 0);
    ADD(&made, 8, 0, 0, 0, 1, 2, 3, 4, 'p', 'i', 'n');
    finish_checksum(&made, 4, IPPROTO_ICMP, 2);
    finish_ipv4(&made);
    assert_int_equal(trouble_of(DECODE_CHECK_CHECKSUMS), 0);
    made.data[made.n_bytes - 1] ^= 1;
    assert_int_equal(trouble_of(DECODE_CHECK_CHECKSUMS), DECODE_CHECKSUM_BAD);

    made.n_bytes = 0;
    add_ethernet(&made, ETHER_IPV6);
    add_ipv6(&made, IPPROTO_ICMPV6);
    ADD(&made, 128, 0, 0, 0, 1, 2, 3, 4, 'p', 'i', 'n');
    finish_checksum(&made, 6, IPPROTO_ICMPV6, 2);
    finish_ipv6(&made);
    assert_int_equal(trouble_of(DECODE_CHECK_CHECKSUMS), 0);
    made.data[made.n_bytes - 1] ^= 1;
    assert_int_equal(trouble_of(DECODE_CHECK_CHECKSUMS), DECODE_CHECKSUM_BAD);
}

static void not_judged(void **state)
{
    (void)state;
    make_tcp4(&made, SEGMENT_ACK, "", 0, "to be cut");
    set16(&made, made.transport_at + 16, 0x1234);
    assert_int_equal(trouble_of(DECODE_CHECK_CHECKSUMS), DECODE_CHECKSUM_BAD);
    struct decoded decoded = decode_exactly(TYPE_ETHERNET, made.data, made.n_bytes - 1, made.n_bytes);
    assert_int_equal(decoded.trouble, DECODE_CUT);
    set16(&made, made.ip_at + 6, 0x2000);
    finish_ipv4(&made);
    assert_int_equal(trouble_of(DECODE_CHECK_CHECKSUMS), DECODE_FRAGMENT);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(sums),
        cmocka_unit_test(each_bit_counts),
        cmocka_unit_test(ipv4_header),
        cmocka_unit_test(left_to_the_card),
        cmocka_unit_test(udp_may_have_none),
        cmocka_unit_test(udp_never_sends_0),
        cmocka_unit_test(icmp),
        cmocka_unit_test(not_judged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
