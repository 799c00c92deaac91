/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "decode_packets.h"

static struct made made;
static uint32_t quote_at, quoted_transport_at;

/* An error with eight bytes of header, then the quote of a TCP segment with its own extension headers; n_quoted bytes
 * of it. */
static void make_error(unsigned version, unsigned type, unsigned code, unsigned word)
{
    made.n_bytes = 0;
    add_ethernet(&made, version == 4 ? ETHER_IPV4 : ETHER_IPV6);
    if (version == 4)
        add_ipv4(&made, IPPROTO_ICMP, 0, "", 0);
    else
        add_ipv6(&made, IPPROTO_ICMPV6);
    uint32_t outer4 = made.ip_at, outer6 = made.ip6_at, icmp_at = made.n_bytes;
    ADD(&made, (uint8_t)type, (uint8_t)code, 0, 0, (uint8_t)(word >> 24), (uint8_t)(word >> 16), (uint8_t)(word >> 8),
        (uint8_t)word);
    quote_at = made.n_bytes;
    if (version == 4) {
        add_ipv4(&made, IPPROTO_TCP, 0, "\1\1\1\0", 4);
    } else {
        add_ipv6(&made, IPPROTO_DSTOPTS);
        ADD(&made, IPPROTO_TCP, 0, 1, 4, 0, 0, 0, 0);
    }
    add_tcp(&made, SEGMENT_SYN, "", 0, "");
    quoted_transport_at = made.transport_at;
    if (version == 4)
        finish_ipv4(&made);
    else
        finish_ipv6(&made);
    made.ip_at = outer4;
    made.ip6_at = outer6;
    made.transport_at = icmp_at;
    finish_checksum(&made, version, version == 4 ? IPPROTO_ICMP : IPPROTO_ICMPV6, 2);
    if (version == 4)
        finish_ipv4(&made);
    else
        finish_ipv6(&made);
}

static void errors_quote(void **state)
{
    (void)state;
    static const uint8_t types4[] = {3, 4, 5, 11, 12}, types6[] = {1, 2, 3, 4};
    for (unsigned version = 4; version <= 6; version += 2) {
        const uint8_t *types = version == 4 ? types4 : types6;
        size_t n_types = version == 4 ? sizeof types4 : sizeof types6;
        for (size_t i = 0; i < n_types; i++) {
            make_error(version, types[i], 1, 0);
            struct decoded decoded = decode_made(&made);
            assert_int_equal(decoded.depth, DECODE_TRANSPORT);
            assert_int_equal(decoded.trouble, 0);
            assert_int_equal(decoded.icmp_type, types[i]);
            assert_int_equal(decoded.icmp_code, 1);
            assert_true(decoded.icmp_quotes);
            assert_int_equal(decoded.quoted_protocol, IPPROTO_TCP);
            assert_memory_equal(&decoded.quoted_source, &decoded.source, 16);
            assert_memory_equal(&decoded.quoted_destination, &decoded.destination, 16);
            assert_int_equal(decoded.quoted_source_port, 40488);
            assert_int_equal(decoded.quoted_destination_port, 7007);
            assert_true(decoded.quoted_has_seq);
            assert_int_equal(decoded.quoted_seq, 1000000000);
            assert_int_equal(decoded.n_payload, 0);
            assert_null(decoded.payload);
        }
    }
}

/* As short as the error likes: eight bytes of the quoted transport header are the rule. */
static void short_quotes(void **state)
{
    (void)state;
    for (unsigned version = 4; version <= 6; version += 2) {
        make_error(version, version == 4 ? 3 : 1, 0, 0);
        uint32_t n_whole = made.n_bytes;
        for (uint32_t n = quote_at; n <= n_whole; n++) {
            struct decoded decoded;
            made.n_bytes = n;
            if (version == 4)
                finish_ipv4(&made);
            else
                finish_ipv6(&made);
            finish_checksum(&made, version, version == 4 ? IPPROTO_ICMP : IPPROTO_ICMPV6, 2);
            decoded = decode_made(&made);
            assert_int_equal(decoded.depth, DECODE_TRANSPORT);
            assert_int_equal(decoded.trouble, 0);
            assert_int_equal(decoded.icmp_quotes, n >= quote_at + (version == 4 ? 20 : 40));
            assert_int_equal(decoded.quoted_source_port, n >= quoted_transport_at + 4 ? 40488 : 0);
            assert_int_equal(decoded.quoted_has_seq, n >= quoted_transport_at + 8);
            /* ... and as much as that was captured of it. */
            decoded = decode_exactly(TYPE_ETHERNET, made.data, n, n_whole);
            assert_int_equal(decoded.icmp_quotes, n >= quote_at + (version == 4 ? 20 : 40));
        }
    }
}

static void a_quoted_fragment_has_no_ports(void **state)
{
    (void)state;
    make_error(4, 11, 1, 0);
    set16(&made, quote_at + 6, 3);
    struct decoded decoded = decode_made(&made);
    assert_true(decoded.icmp_quotes);
    assert_int_equal(decoded.quoted_source_port, 0);
    assert_false(decoded.quoted_has_seq);
    /* Nor has one that ends before them, whatever stands behind it. */
    make_error(4, 3, 0, 0);
    set16(&made, quote_at + 2, 24);
    decoded = decode_made(&made);
    assert_true(decoded.icmp_quotes);
    assert_int_equal(decoded.quoted_source_port, 0);
    assert_false(decoded.quoted_has_seq);
}

static void mtu(void **state)
{
    (void)state;
    make_error(4, 3, 4, 0xffff0578);
    assert_int_equal(decode_made(&made).icmp_mtu, 1400);
    make_error(4, 3, 3, 0xffff0578);
    assert_int_equal(decode_made(&made).icmp_mtu, 0);
    make_error(6, 2, 0, 0x00010500);
    assert_int_equal(decode_made(&made).icmp_mtu, 0x10500);
    make_error(6, 1, 0, 0x00010500);
    assert_int_equal(decode_made(&made).icmp_mtu, 0);
}

static void echo(void **state)
{
    (void)state;
    make_error(4, 8, 0, 0x12345678);
    struct decoded decoded = decode_made(&made);
    assert_false(decoded.icmp_quotes);
    assert_int_equal(decoded.echo_id, 0x1234);
    assert_int_equal(decoded.echo_sequence, 0x5678);
    make_error(6, 129, 0, 0x12345678);
    decoded = decode_made(&made);
    assert_false(decoded.icmp_quotes);
    assert_int_equal(decoded.echo_id, 0x1234);
    /* ICMP belongs to IPv4, ICMPv6 to IPv6. */
    made.data[14 + 6] = IPPROTO_ICMP;
    assert_int_equal(decode_made(&made).depth, DECODE_NETWORK);
}

static void words(void **state)
{
    (void)state;
    char buffer[32];
    assert_string_equal(decode_icmp_words(4, 3, 3, buffer), "port unreachable");
    assert_string_equal(decode_icmp_words(6, 1, 4, buffer), "port unreachable");
    assert_string_equal(decode_icmp_words(4, 11, 0, buffer), "time exceeded in transit");
    assert_string_equal(decode_icmp_words(6, 2, 0, buffer), "packet too big");
    assert_string_equal(decode_icmp_words(4, 3, 99, buffer), "destination unreachable");
    assert_string_equal(decode_icmp_words(4, 40, 0, buffer), "type 40 code 0");
    assert_string_equal(decode_icmp_words(0, 255, 255, buffer), "type 255 code 255");
    assert_string_equal(decode_icmp_words(4, UINT32_MAX, UINT32_MAX, buffer), "type 4294967295 code 4294967295");
}

static void cut(void **state)
{
    (void)state;
    make_error(4, 3, 3, 0);
    for (uint32_t n = 34; n < 42; n++) {
        struct decoded decoded = decode_exactly(TYPE_ETHERNET, made.data, n, made.n_bytes);
        assert_int_equal(decoded.depth, DECODE_NETWORK);
        assert_int_equal(decoded.trouble, DECODE_CUT);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(errors_quote),
        cmocka_unit_test(short_quotes),
        cmocka_unit_test(a_quoted_fragment_has_no_ports),
        cmocka_unit_test(mtu),
        cmocka_unit_test(echo),
        cmocka_unit_test(words),
        cmocka_unit_test(cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
