/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "net/proxy_header.h"

#include <sonde/error.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"

/* What the whole of these bytes is taken for, whatever their beginnings are taken for: "more", until it is clear. The
 * bytes stand where they end, so that a sanitizer sees a read past them. */
static int parse(const void *bytes, size_t n_bytes, struct proxy_header *ret_header)
{
    int result = 0;

    for (size_t n = 0; n <= n_bytes && result == 0; n++) {
        uint8_t *copy = malloc(n + (n == 0));
        assert_non_null(copy);
        memcpy(copy, bytes, n);
        result = proxy_header_parse(copy, n, ret_header);
        free(copy);
        if (result > 0)
            assert_int_equal(result, n);
    }
    /* At once it is the same. */
    assert_int_equal(proxy_header_parse(bytes, n_bytes, ret_header), result);
    return result;
}

static void text_of(const struct proxy_header *header, char *ret_text, size_t size_bytes)
{
    char source[SONDE_ADDRESS_TEXT], destination[SONDE_ADDRESS_TEXT];

    sonde_address_format(&header->source, source, sizeof source);
    sonde_address_format(&header->destination, destination, sizeof destination);
    snprintf(ret_text, size_bytes, "%s > %s", header->is_known ? source : "unknown",
             header->is_known ? destination : "unknown");
}

#define UNKNOWN "unknown > unknown"

/* text NULL: refused. */
static const struct {
    const char *line, *text;
} lines[] = {
    {"PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n", "192.168.0.1:56324 > 192.168.0.11:443"},
    {"PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n", "255.255.255.255:65535 > 255.255.255.255:65535"},
    {"PROXY TCP4 0.0.0.0 0.0.0.0 0 0\r\n", "0.0.0.0:0 > 0.0.0.0:0"},
    {"PROXY TCP6 2001:db8::1 ::1 1000 80\r\n", "[2001:db8::1]:1000 > [::1]:80"},
    {"PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:FFFF 65535 65535\r\n",
     "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535 > [ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535"},
    {"PROXY UNKNOWN\r\n", UNKNOWN},
    {"PROXY UNKNOWN whatever  stands here\r\n", UNKNOWN},
    {"PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n",
     UNKNOWN},
    {"PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535 \r\n",
     NULL}, /* 108 bytes */
    {"PROXY\r\n", NULL},
    {"PROXY \r\n", NULL},
    {"proxy TCP4 1.2.3.4 1.2.3.4 1 2\r\n", NULL},
    {"PROXY TCP4\r\n", NULL},
    {"PROXY TCP5 1.2.3.4 1.2.3.4 1 2\r\n", NULL},
    {"PROXY UDP4 1.2.3.4 1.2.3.4 1 2\r\n", NULL},
    {"PROXY UNKNOWNS\r\n", NULL},
    {"PROXY  TCP4 1.2.3.4 1.2.3.4 1 2\r\n", NULL},
    {"PROXY TCP4  1.2.3.4 1.2.3.4 1 2\r\n", NULL},
    {"PROXY TCP4 1.2.3.4 1.2.3.4 1 2 \r\n", NULL},
    {"PROXY TCP4 1.2.3.4 1.2.3.4 1 2 3\r\n", NULL},
    {"PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n", NULL},
    {"PROXY TCP4 1.2.3.4 1.2.3.4 1 65536\r\n", NULL},
    {"PROXY TCP4 1.2.3.4 1.2.3.4 -1 2\r\n", NULL},
    {"PROXY TCP4 1.2.3.4 1.2.3.4 01 2\r\n", NULL},
    {"PROXY TCP4 1.2.3.4 1.2.3.4 00 2\r\n", NULL},
    {"PROXY TCP4 1.2.3.4 1.2.3.4 0x1 2\r\n", NULL},
    {"PROXY TCP4 1.2.3.04 1.2.3.4 1 2\r\n", NULL},
    {"PROXY TCP4 1.2.3 1.2.3.4 1 2\r\n", NULL},
    {"PROXY TCP4 256.2.3.4 1.2.3.4 1 2\r\n", NULL},
    {"PROXY TCP4 ::1 ::1 1 2\r\n", NULL},
    {"PROXY TCP6 1.2.3.4 1.2.3.4 1 2\r\n", NULL},
    {"PROXY TCP6 ::1 1.2.3.4 1 2\r\n", NULL},
    {"PROXY TCP6 fe80::1%lo fe80::1 1 2\r\n", NULL},
    {"PROXY TCP4 1.2.3.4 1.2.3.4 1 2\n", NULL},
    {"PROXY TCP4 1.2.3.4 1.2.3.4 1 2\rx", NULL},
    {"PROXY TCP4 1.2.3.4\t1.2.3.4 1 2\r\n", NULL},
    {"\nPROXY TCP4 1.2.3.4 1.2.3.4 1 2\r\n", NULL},
    {"GET / HTTP/1.1\r\n", NULL},
    {"PRI * HTTP/2.0\r\n", NULL},
    {"SSH-2.0-x\r\n", NULL},
};

static void version_1(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        struct proxy_header header = {.version = 77};
        char text[256];
        size_t n = strlen(lines[i].line);
        int result = parse(lines[i].line, n, &header);
        if (result != (lines[i].text != NULL ? (int)n : -SONDE_EPROXYHEAD))
            fail_msg("%s: %d", lines[i].line, result);
        if (lines[i].text == NULL) {
            assert_int_equal(header.version, 77);
            continue;
        }
        assert_int_equal(header.version, 1);
        text_of(&header, text, sizeof text);
        assert_string_equal(text, lines[i].text);
    }
}

/* What is wrong is refused as soon as that can be known. */
static void soon(void **state)
{
    struct proxy_header header;

    (void)state;
    assert_int_equal(proxy_header_parse((const uint8_t *)"G", 1, &header), -SONDE_EPROXYHEAD);
    assert_int_equal(proxy_header_parse((const uint8_t *)"PROXX", 5, &header), -SONDE_EPROXYHEAD);
    assert_int_equal(proxy_header_parse((const uint8_t *)"\r\n\r\n\r", 5, &header), -SONDE_EPROXYHEAD);
    assert_int_equal(proxy_header_parse((const uint8_t *)SIGNATURE "\x11", 13, &header), -SONDE_EPROXYHEAD);
    assert_int_equal(proxy_header_parse((const uint8_t *)SIGNATURE "\x22", 13, &header), -SONDE_EPROXYHEAD);
    assert_int_equal(proxy_header_parse((const uint8_t *)SIGNATURE "\x21\x41", 14, &header), -SONDE_EPROXYHEAD);
    assert_int_equal(proxy_header_parse((const uint8_t *)SIGNATURE "\x21\x11\0\x0b", 16, &header), -SONDE_EPROXYHEAD);
    assert_int_equal(proxy_header_parse((const uint8_t *)SIGNATURE "\x21\x11\xff\xff", 16, &header), -SONDE_EPROXYHEAD);
    uint8_t endless[107];
    memset(endless, 'x', sizeof endless);
    memcpy(endless, "PROXY ", 6);
    assert_int_equal(proxy_header_parse(endless, 106, &header), 0);
    assert_int_equal(proxy_header_parse(endless, 107, &header), -SONDE_EPROXYHEAD);
}

struct vector {
    const char *name, *bytes;
    size_t n;
    const char *text; /* NULL: refused */
};

#define BYTES(text) text, sizeof(text) - 1
#define INET "\xc0\xa8\0\x01\xc0\xa8\0\x0b\xdc\x04\x01\xbb"
#define INET6 "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\x03\xe8\0\x50"

static const struct vector vectors[] = {
    {"TCP over IPv4", BYTES(SIGNATURE "\x21\x11\0\x0c" INET), "192.168.0.1:56324 > 192.168.0.11:443"},
    {"UDP over IPv4", BYTES(SIGNATURE "\x21\x12\0\x0c" INET), "192.168.0.1:56324 > 192.168.0.11:443"},
    {"TCP over IPv6", BYTES(SIGNATURE "\x21\x21\0\x24" INET6), "[2001:db8::1]:1000 > [::1]:80"},
    {"UDP over IPv6", BYTES(SIGNATURE "\x21\x22\0\x24" INET6), "[2001:db8::1]:1000 > [::1]:80"},
    {"LOCAL", BYTES(SIGNATURE "\x20\0\0\0"), UNKNOWN},
    {"LOCAL with a family that there is not", BYTES(SIGNATURE "\x20\xff\0\x02xx"), UNKNOWN},
    {"LOCAL with addresses", BYTES(SIGNATURE "\x20\x11\0\x0c" INET), UNKNOWN},
    {"UNSPEC", BYTES(SIGNATURE "\x21\0\0\0"), UNKNOWN},
    {"UNSPEC with something", BYTES(SIGNATURE "\x21\0\0\x03xyz"), UNKNOWN},
    {"IPv4 and no protocol", BYTES(SIGNATURE "\x21\x10\0\x0c" INET), UNKNOWN},
    {"no family", BYTES(SIGNATURE "\x21\x01\0\0"), UNKNOWN},
    {"an unknown TLV", BYTES(SIGNATURE "\x21\x11\0\x11" INET "\xee\0\x02hi"), "192.168.0.1:56324 > 192.168.0.11:443"},
    {"NOOP and an empty one", BYTES(SIGNATURE "\x21\x11\0\x14" INET "\x04\0\x02\0\0\x05\0\0"),
     "192.168.0.1:56324 > 192.168.0.11:443"},
    {"a TLV without its length", BYTES(SIGNATURE "\x21\x11\0\x0e" INET "\x04\0"), NULL},
    {"a TLV that is cut", BYTES(SIGNATURE "\x21\x11\0\x10" INET "\x04\0\x02x"), NULL},
    {"too short for IPv4",
     BYTES(SIGNATURE "\x21\x11\0\x0b"
                     "\xc0\xa8\0\x01\xc0\xa8\0\x0b\xdc\x04\x01"),
     NULL},
    {"too short for IPv6", BYTES(SIGNATURE "\x21\x21\0\x0c" INET), NULL},
    {"too short for UNIX", BYTES(SIGNATURE "\x21\x31\0\x0c" INET), NULL},
    {"version 1 in binary", BYTES(SIGNATURE "\x11\x11\0\x0c" INET), NULL},
    {"version 3", BYTES(SIGNATURE "\x31\x11\0\x0c" INET), NULL},
    {"command 2", BYTES(SIGNATURE "\x22\x11\0\x0c" INET), NULL},
    {"family 4", BYTES(SIGNATURE "\x21\x41\0\x0c" INET), NULL},
    {"protocol 3", BYTES(SIGNATURE "\x21\x13\0\x0c" INET), NULL},
    {"another signature", BYTES("\r\n\r\n\0\r\nQUIT\r\x21\x11\0\x0c" INET), NULL},
};

static void version_2(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++) {
        const struct vector *vector = &vectors[i];
        struct proxy_header header = {.version = 77};
        char text[256];
        int result = parse(vector->bytes, vector->n, &header);
        if (result != (vector->text != NULL ? (int)vector->n : -SONDE_EPROXYHEAD))
            fail_msg("%s: %d", vector->name, result);
        if (vector->text == NULL)
            continue;
        assert_int_equal(header.version, 2);
        text_of(&header, text, sizeof text);
        assert_string_equal(text, vector->text);
    }
}

/* The checksum of RFC 9260's appendix is that of RFC 3720, B.4, whose test vector is 32 zeros: 8a9136aa. Here it is
 * computed the other way round, bit by bit from the polynomial's other end. */
static uint32_t reference_crc32c(const uint8_t *bytes, size_t n)
{
    uint32_t crc = UINT32_MAX, result = 0;

    for (size_t i = 0; i < n; i++)
        for (int bit = 0; bit < 8; bit++) {
            unsigned in = bytes[i] >> bit & 1, top = crc >> 31;
            crc = crc << 1 ^ (in != top ? UINT32_C(0x1edc6f41) : 0);
        }
    for (int bit = 0; bit < 32; bit++)
        result |= (crc >> bit & 1) << (31 - bit);
    return ~result;
}

static void checksum(void **state)
{
    static const char whole[] = SIGNATURE "\x21\x11\0\x17" INET "\x04\0\x01x\x03\0\x04\0\0\0\0";
    uint8_t bytes[sizeof whole - 1], zeros[32] = {0};
    struct proxy_header header;
    size_t n = sizeof bytes;

    (void)state;
    assert_int_equal(reference_crc32c(zeros, sizeof zeros), 0x8a9136aa);
    memcpy(bytes, whole, n);
    uint32_t crc = reference_crc32c(bytes, n);
    for (int i = 0; i < 4; i++)
        bytes[n - 4 + (size_t)i] = (uint8_t)(crc >> (24 - 8 * i));
    assert_int_equal(parse(bytes, n, &header), n);
    /* Any bit that is turned is noticed, one way or the other; but for those that make it no checksum any more. */
    for (size_t bit = 0; bit < n * 8; bit++) {
        if (bit / 8 == n - 7)
            continue;
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        if (proxy_header_parse(bytes, n, &header) == (int)n && header.is_known)
            fail_msg("bit %zu", bit);
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    bytes[n - 5] = 3; /* a checksum of three bytes */
    bytes[15]--;
    assert_int_equal(proxy_header_parse(bytes, n - 1, &header), -SONDE_EPROXYHEAD);
}

static void length_limit(void **state)
{
    uint8_t bytes[PROXY_HEADER_MAX] = SIGNATURE "\x21\x11\x0f\xf0" INET;
    struct proxy_header header;
    size_t n_tlv = sizeof bytes - 16 - 12 - 3;

    (void)state;
    bytes[28] = 4;
    bytes[29] = (uint8_t)(n_tlv >> 8);
    bytes[30] = (uint8_t)n_tlv;
    assert_int_equal(proxy_header_parse(bytes, sizeof bytes - 1, &header), 0);
    assert_int_equal(proxy_header_parse(bytes, sizeof bytes, &header), PROXY_HEADER_MAX);
    bytes[15]++;
    assert_int_equal(proxy_header_parse(bytes, 16, &header), -SONDE_EPROXYHEAD);
}

/* What comes behind a header is none of its business. */
static void what_follows(void **state)
{
    static const char line[] = "PROXY TCP4 1.2.3.4 5.6.7.8 9 10\r\n";
    uint8_t bytes[2048];
    struct proxy_header header;

    (void)state;
    for (int filling = 0; filling < 256; filling++) {
        memset(bytes, filling, sizeof bytes);
        memcpy(bytes, line, strlen(line));
        assert_int_equal(proxy_header_parse(bytes, sizeof bytes, &header), strlen(line));
        memcpy(bytes, vectors[0].bytes, vectors[0].n);
        assert_int_equal(proxy_header_parse(bytes, sizeof bytes, &header), vectors[0].n);
    }
}

static void write_and_read(void **state)
{
    static const char *const texts[] = {
        "192.168.0.1:56324 > 192.168.0.11:443",
        "[2001:db8::1]:1000 > [::1]:80",
    };
    static const char *const of_version_1[] = {
        "PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n",
        "PROXY TCP6 2001:db8::1 ::1 1000 80\r\n",
    };

    (void)state;
    for (int i = 0; i < 2; i++)
        for (uint8_t version = 1; version <= 2; version++) {
            struct proxy_header header, again;
            uint8_t bytes[PROXY_HEADER_WRITE_MAX];
            char text[256];
            const struct vector *vector = &vectors[2 * i];
            assert_true(parse(vector->bytes, vector->n, &header) > 0);
            header.version = version;
            size_t n = proxy_header_write(&header, bytes);
            if (version == 1) {
                assert_int_equal(n, strlen(of_version_1[i]));
                assert_memory_equal(bytes, of_version_1[i], n);
            } else {
                assert_int_equal(n, vector->n);
                assert_memory_equal(bytes, vector->bytes, n);
            }
            assert_int_equal(parse(bytes, n, &again), n);
            text_of(&again, text, sizeof text);
            assert_string_equal(text, texts[i]);
        }
}

static void write_unix(void **state)
{
    struct proxy_header header = {.is_known = true, .source.family = AF_UNIX, .destination.family = AF_UNIX}, again;
    uint8_t bytes[PROXY_HEADER_WRITE_MAX];

    (void)state;
    memset(header.destination_path, 'x', sizeof header.destination_path);
    header.version = 1;
    assert_int_equal(proxy_header_write(&header, bytes), 15);
    assert_memory_equal(bytes, "PROXY UNKNOWN\r\n", 15);
    header.version = 2;
    assert_int_equal(proxy_header_write(&header, bytes), 16 + 216);
    assert_int_equal(parse(bytes, 16 + 216, &again), 16 + 216);
    assert_true(again.is_known && again.source.family == AF_UNIX);
    assert_memory_equal(again.destination_path, header.destination_path, 108);
    assert_memory_equal(again.source_path, header.source_path, 108);
}

/* Two families, or none: then nothing is said rather than something wrong. */
static void write_what_does_not_fit(void **state)
{
    struct proxy_header header = {.version = 2, .is_known = true, .source.family = AF_INET}, again;
    uint8_t bytes[PROXY_HEADER_WRITE_MAX];

    (void)state;
    header.destination.family = AF_INET6;
    assert_int_equal(proxy_header_write(&header, bytes), 16);
    assert_int_equal(parse(bytes, 16, &again), 16);
    assert_false(again.is_known);
    header.version = 1;
    assert_int_equal(proxy_header_write(&header, bytes), 15);
    header.destination.family = AF_INET;
    header.is_known = false;
    assert_int_equal(proxy_header_write(&header, bytes), 15);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(version_1),      cmocka_unit_test(soon),         cmocka_unit_test(version_2),
        cmocka_unit_test(checksum),       cmocka_unit_test(length_limit), cmocka_unit_test(what_follows),
        cmocka_unit_test(write_and_read), cmocka_unit_test(write_unix),   cmocka_unit_test(write_what_does_not_fit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
