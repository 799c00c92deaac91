/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "decode_packets.h"

#include <stdio.h>

static struct made made;

/* ---- the fields cover every byte once; those that share bytes have the same extent */

struct cover {
    uint32_t at, last_at, last_bytes, n_captured, n_missing;
    unsigned n_fields;
};

static void assert_printable(const char *text)
{
    for (; *text != '\0'; text++)
        assert_in_range((unsigned char)*text, 0x20, 0x7e);
}

static void cover_field(const struct decode_field *field, void *user)
{
    struct cover *cover = user;

    assert_non_null(field->layer);
    assert_non_null(field->value);
    assert_printable(field->layer);
    assert_printable(field->value);
    if (field->remark != NULL)
        assert_printable(field->remark);
    if (field->name == NULL) {
        if (strcmp(field->layer, "not captured") == 0)
            cover->n_missing = field->n_bytes;
        else
            assert_true(field->offset == cover->at && field->offset + field->n_bytes <= cover->n_captured);
        return;
    }
    assert_printable(field->name);
    assert_true(field->n_bytes > 0);
    cover->n_fields++;
    bool shares = field->offset == cover->last_at && field->n_bytes == cover->last_bytes;
    if (!shares) {
        assert_int_equal(field->offset, cover->at);
        cover->at += field->n_bytes;
    }
    cover->last_at = field->offset;
    cover->last_bytes = field->n_bytes;
}

static void assert_covered(uint16_t link_type, const uint8_t *data, size_t n_captured, size_t n_wire)
{
    struct cover cover = {.last_at = UINT32_MAX, .n_captured = (uint32_t)n_captured};
    uint8_t *copy = malloc(n_captured + 1), *exact = copy + (n_captured == 0);

    memcpy(exact, data, n_captured);
    decode_layers(link_type, exact, n_captured, n_wire, cover_field, &cover);
    free(copy);
    assert_int_equal(cover.at, n_captured);
    assert_int_equal(cover.n_missing, n_wire - n_captured);
}

/* Whole, and cut or ended after each byte. */
static void assert_covered_always(uint16_t link_type)
{
    for (size_t n = 0; n <= made.n_bytes; n++) {
        assert_covered(link_type, made.data, n, made.n_bytes);
        assert_covered(link_type, made.data, n, n);
    }
}

static void make_tunnel(void)
{
    made.n_bytes = 0;
    add_ethernet(&made, ETHER_VLAN);
    ADD(&made, 0x60, 7, 0x08, 0x00);
    add_ipv4(&made, IPPROTO_GRE, 0, "\x94\x04\0\0\x07\x03\4\0", 8);
    uint32_t outer = made.ip_at;
    ADD(&made, 0xb0, 0, 0x86, 0xdd, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12);
    add_ipv6(&made, IPPROTO_HOPOPTS);
    ADD(&made, IPPROTO_ROUTING, 0, 5, 2, 0, 0, 1, 0);
    ADD(&made, IPPROTO_DSTOPTS, 2, 2, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16);
    ADD(&made, IPPROTO_AH, 1, 0xc2, 4, 0, 0, 0, 0, 1, 6, 0, 0, 0, 0, 0, 0);
    ADD(&made, IPPROTO_FRAGMENT, 4, 0, 0, 1, 2, 3, 4, 0, 0, 0, 1, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9);
    ADD(&made, IPPROTO_TCP, 0, 0, 0, 0xde, 0xad, 0xbe, 0xef);
    add_tcp(&made, SEGMENT_SYN, SYN_OPTIONS, N_SYN_OPTIONS, "\x1b[31mred\xff more than sixteen bytes\n");
    finish_checksum(&made, 6, IPPROTO_TCP, 16);
    finish_ipv6(&made);
    made.ip_at = outer;
    finish_ipv4(&made);
    ADD(&made, 1, 2, 3, 4); /* a trailer */
}

static void make_error(unsigned version)
{
    made.n_bytes = 0;
    add_ethernet(&made, version == 4 ? ETHER_IPV4 : ETHER_IPV6);
    if (version == 4)
        add_ipv4(&made, IPPROTO_ICMP, 0, "", 0);
    else
        add_ipv6(&made, IPPROTO_ICMPV6);
    uint32_t outer4 = made.ip_at, outer6 = made.ip6_at, icmp_at = made.n_bytes;
    ADD(&made, version == 4 ? 3 : 1, version == 4 ? 3 : 4, 0, 0, 0, 0, 0, 0);
    if (version == 4)
        add_ipv4(&made, IPPROTO_TCP, 0, "", 0);
    else
        add_ipv6(&made, IPPROTO_TCP);
    add_tcp(&made, SEGMENT_SYN, SYN_OPTIONS, N_SYN_OPTIONS, "quoted");
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

static void every_byte_is_covered(void **state)
{
    (void)state;
    make_tcp4(&made, SEGMENT_ACK, "\5\x0a\0\0\0\1\0\0\0\2\xc8\3\1\1\1\0\0\0\0", 20, "hello");
    assert_covered_always(TYPE_ETHERNET);
    make_tcp4(&made, SEGMENT_ACK, "\2\4\5\xb4\2\0\0\0", 8, "malformed");
    assert_covered_always(TYPE_ETHERNET);
    make_tunnel();
    assert_covered_always(TYPE_ETHERNET);
    make_error(4);
    assert_covered_always(TYPE_ETHERNET);
    make_error(6);
    assert_covered_always(TYPE_ETHERNET);
    made.n_bytes = 0;
    add_ethernet(&made, ETHER_ARP);
    ADD(&made, 0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 1, 10, 0, 0, 1, 0, 0, 0, 0, 0, 0, 10, 0, 0, 2, 0, 0);
    assert_covered_always(TYPE_ETHERNET);
    made.n_bytes = 0;
    add_ethernet(&made, 40);
    ADD(&made, 0xaa, 0xaa, 3, 0, 0, 0, 8, 0, 0x45);
    assert_covered_always(TYPE_ETHERNET);
    assert_covered_always(TYPE_LINUX_SLL);
    assert_covered_always(TYPE_LINUX_SLL2);
    assert_covered_always(TYPE_NULL);
    assert_covered_always(9999);
    made.n_bytes = 0;
    add_ipv4(&made, IPPROTO_UDP, 0, "", 0);
    add_udp(&made, "a message");
    finish_ipv4(&made);
    assert_covered_always(TYPE_RAW);
    set16(&made, made.transport_at + 4, 10); /* UDP says less than IP */
    assert_covered_always(TYPE_RAW);
    set16(&made, made.ip_at + 6, 0x2001);
    assert_covered_always(TYPE_IPV4);
}

/* Each byte of a packet with many layers, made any other byte. */
static void every_byte_is_covered_whatever_it_says(void **state)
{
    (void)state;
    make_tunnel();
    for (size_t at = 0; at < made.n_bytes; at++) {
        uint8_t was = made.data[at];
        static const uint8_t values[] = {0, 1, 2, 4, 0x0f, 0x2f, 0x33, 0x3a, 0x3c, 0x45, 0x60, 0x7f, 0xf0, 0xff};
        for (size_t i = 0; i < sizeof values; i++) {
            made.data[at] = values[i];
            assert_covered(TYPE_ETHERNET, made.data, made.n_bytes, made.n_bytes);
            decode_exactly(TYPE_ETHERNET, made.data, made.n_bytes, made.n_bytes);
        }
        made.data[at] = was;
    }
}

/* ---- texts */

struct page {
    char text[16384];
    size_t n_bytes;
};

static void add_line(const char *text, void *user)
{
    struct page *page = user;
    size_t n_bytes = strlen(text);

    assert_true(page->n_bytes + n_bytes + 2 < sizeof page->text);
    assert_printable(text);
    assert_true(n_bytes == 0 || text[n_bytes - 1] != ' ');
    memcpy(page->text + page->n_bytes, text, n_bytes);
    page->n_bytes += n_bytes;
    page->text[page->n_bytes++] = '\n';
    page->text[page->n_bytes] = '\0';
}

static const char *page_of(uint16_t link_type, size_t n_captured)
{
    static struct page page;
    page = (struct page){.n_bytes = 0};
    decode_layers_text(link_type, made.data, n_captured, made.n_bytes, add_line, &page);
    return page.text;
}

/* Is there a line that begins with one text, holds another and ends with a third? */
static void assert_line(const char *page, const char *begins, const char *value, const char *ends)
{
    for (const char *line = page; *line != '\0'; line = strchr(line, '\n') + 1) {
        size_t n_line = strcspn(line, "\n"), n_ends = strlen(ends);
        char copy[DECODE_LINE_SIZE + 1];
        snprintf(copy, sizeof copy, "%.*s", (int)n_line, line);
        bool at_end = n_line >= n_ends && strcmp(copy + n_line - n_ends, ends) == 0;
        if (strncmp(copy, begins, strlen(begins)) == 0 && strstr(copy, value) != NULL && at_end)
            return;
    }
    fail_msg("no line \"%s ... %s ... %s\" in\n%s", begins, value, ends, page);
}

static void a_syn_as_text(void **state)
{
    (void)state;
    make_tcp4(&made, SEGMENT_SYN, SYN_OPTIONS, N_SYN_OPTIONS, "");
    memset(made.data, 0, 12);
    const char *page = page_of(TYPE_ETHERNET, made.n_bytes);
    assert_line(page, "0000   14  Ethernet", "", "from hop to hop");
    assert_line(page, "0000    6    destination ", "00:00:00:00:00:00", "the loopback interface has none");
    assert_line(page, "0012    2    type ", "0x0800 IPv4", "0x0800 IPv4");
    assert_line(page, "0014   20  IPv4", "", "from host to host");
    assert_line(page, "0026    4    source ", "10.0.0.1", "10.0.0.1");
    assert_line(page, "0030    4    destination ", "10.0.0.2", "10.0.0.2");
    assert_line(page, "0034   40  TCP ", "40488 > 7007", "");
    assert_line(page, "0038    4    sequence number ", "1000000000", "SYN takes one number: ack 1000000001 answers it");
    assert_line(page, "0042    4    acknowledgment ", "2000000000", "means nothing without ACK");
    assert_line(page, "0047    1    flags ", "S  ", "SYN, of eight: CWR ECE URG ACK PSH RST SYN FIN");
    assert_line(page, "0048    2    window ", "512", "never scaled in a SYN");
    assert_line(page, "0050    2    checksum ", "(good)", "(good)");
    assert_line(page, "0054    4    option MSS ", "1460", "");
    assert_line(page, "0071    3    option window scale ", "10", "times 1024, if the peer offers the option too");
}

static void what_the_numbers_mean(void **state)
{
    (void)state;
    make_tcp4(&made, SEGMENT_PSH | SEGMENT_ACK, "", 0, "hello\n");
    const char *page = page_of(TYPE_ETHERNET, made.n_bytes);
    assert_line(page, "0038    4    sequence number ", "", "of its first byte; 6 bytes: ack 1000000006 answers all");
    assert_line(page, "0048    2    window ", "512", "to be multiplied, if both SYNs had the window scale option");
    assert_line(page, "0054    6  payload ", "6 bytes", "TCP keeps no messages");
    assert_line(page, "0054    6    data ", "68 65 6c 6c 6f 0a  |hello.|", "|hello.|");
    make_tcp4(&made, SEGMENT_FIN | SEGMENT_ACK, "", 0, "!");
    assert_line(page_of(TYPE_ETHERNET, made.n_bytes), "0038    4    sequence number ", "",
                "of its first byte; 1 byte, FIN: ack 1000000002 answers all");
    make_tcp4(&made, SEGMENT_FIN | SEGMENT_ACK, "", 0, "");
    assert_line(page_of(TYPE_ETHERNET, made.n_bytes), "0038    4    sequence number ", "",
                "FIN takes one number: ack 1000000001 answers it");
    make_tcp4(&made, SEGMENT_ACK, "", 0, "");
    set16(&made, made.transport_at + 14, 0);
    page = page_of(TYPE_ETHERNET, made.n_bytes);
    assert_line(page, "0038    4    sequence number ", "", "this segment takes none");
    assert_line(page, "0048    2    window ", "0", "closed: the peer may not send");
}

static void next_hops(void **state)
{
    (void)state;
    make_tcp4(&made, SEGMENT_ACK, "", 0, "");
    const char *page = page_of(TYPE_ETHERNET, made.n_bytes);
    assert_line(page, "0000    6    destination ", "02:00:00:00:00:01", "the next hop's, which need not be the peer");
    assert_line(page, "0006    6    source ", "02:00:00:00:00:02", "made up by software, not burned in");
    memset(made.data, 0xff, 6);
    assert_line(page_of(TYPE_ETHERNET, made.n_bytes), "0000    6    destination ", "", "everybody on this link");
    memcpy(made.data, "\x01\x00\x5e\0\0\1", 6);
    assert_line(page_of(TYPE_ETHERNET, made.n_bytes), "0000    6    destination ", "", "a group on this link");
}

static void checksums_are_told(void **state)
{
    (void)state;
    make_tcp4(&made, SEGMENT_ACK, "", 0, "sum");
    char right[64];
    unsigned sum = be16(made.data + made.transport_at + 16);
    snprintf(right, sizeof right, "0x%04x (bad, should be 0x%04x)", sum ^ 1, sum);
    made.data[made.transport_at + 17] ^= 1;
    assert_line(page_of(TYPE_ETHERNET, made.n_bytes), "0050    2    checksum ", right, "changed by somebody");
    set16(&made, made.transport_at + 16, slow_pseudo(&made, 4, IPPROTO_TCP));
    assert_line(page_of(TYPE_ETHERNET, made.n_bytes), "0050    2    checksum ", "(partial)", "captured before it left");
    const char *page = page_of(TYPE_ETHERNET, made.n_bytes - 1);
    assert_line(page, "0050    2    checksum ", "", "not all that it covers is here");
    assert_line(page, "0056    1  not captured ", "1 byte ", "the capture was cut here");
}

static void quotes_and_tunnels(void **state)
{
    (void)state;
    make_error(4);
    const char *page = page_of(TYPE_ETHERNET, made.n_bytes);
    assert_line(page, "0034    8  ICMP ", "port unreachable", "about the packet quoted below");
    assert_line(page, "0042   20  quoted IPv4", "", "");
    assert_line(page, "0062   40  quoted TCP ", "40488 > 7007", "");
    assert_line(page, "0102    6  quoted payload ", "6 bytes", "as much as the error quotes");
    make_tunnel();
    page = page_of(TYPE_ETHERNET, made.n_bytes);
    assert_line(page, "0014    4  VLAN", "", "");
    assert_line(page, "0014    2    id ", "7", "7");
    assert_line(page, "0046   16  GRE", "", "another packet follows");
    assert_line(page, "0062   40  IPv6", "", "");
    assert_line(page, "0182   40  TCP ", "40488 > 7007", "");
    assert_line(page, "0222   16    data ", "1b 5b 33 31 6d 72 65 64 ff 20 6d 6f 72 65 20 74  |.[31mred. more t|", "|");
    assert_line(page, "0254    2    data ", "73 0a     ", "|s.|");
    assert_line(page, "0256    4  trailer ", "4 bytes", "");
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_byte_is_covered),
        cmocka_unit_test(every_byte_is_covered_whatever_it_says),
        cmocka_unit_test(a_syn_as_text),
        cmocka_unit_test(what_the_numbers_mean),
        cmocka_unit_test(next_hops),
        cmocka_unit_test(checksums_are_told),
        cmocka_unit_test(quotes_and_tunnels),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
