/* SPDX-License-Identifier: MIT */
/* Packets made by hand, for the tests of decoding: written from the outside in, finished from the inside out. */
#ifndef UNIT_DECODE_PACKETS_H
#define UNIT_DECODE_PACKETS_H

#include "observe/decode/decode_internal.h"

#include <assert.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

struct made {
    uint8_t data[70000];
    uint32_t n_bytes;
    uint32_t ip_at, ip6_at, transport_at;
};

static inline void add(struct made *made, const void *data, size_t n_bytes)
{
    assert(made->n_bytes + n_bytes <= sizeof made->data);
    memcpy(made->data + made->n_bytes, data, n_bytes);
    made->n_bytes += (uint32_t)n_bytes;
}

#define ADD(made, ...) add((made), (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))

static inline void set16(struct made *made, uint32_t at, uint32_t value)
{
    made->data[at] = (uint8_t)(value >> 8);
    made->data[at + 1] = (uint8_t)value;
}

static inline void add_ethernet(struct made *made, unsigned type)
{
    ADD(made, 2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, (uint8_t)(type >> 8), (uint8_t)type);
}

/* 10.0.0.1 to 10.0.0.2, fragment is the word with flags and offset. n_options has to be a multiple of 4. */
static inline void add_ipv4(struct made *made, unsigned protocol, unsigned fragment, const void *options,
                            size_t n_options)
{
    made->ip_at = made->n_bytes;
    ADD(made, (uint8_t)(0x45 + n_options / 4), 0xb9, 0, 0, 0x12, 0x34, (uint8_t)(fragment >> 8), (uint8_t)fragment, 61,
        (uint8_t)protocol, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2);
    add(made, options, n_options);
    made->transport_at = made->n_bytes;
}

/* 2001:db8::1 to 2001:db8::2. */
static inline void add_ipv6(struct made *made, unsigned next)
{
    made->ip6_at = made->n_bytes;
    ADD(made, 0x6b, 0x91, 0x23, 0x45, 0, 0, (uint8_t)next, 62);
    ADD(made, 0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1);
    ADD(made, 0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2);
    made->transport_at = made->n_bytes;
}

/* 40488 to 7007, seq 1000000000, ack 2000000000. */
static inline void add_tcp(struct made *made, unsigned flags, const void *options, size_t n_options,
                           const char *payload)
{
    made->transport_at = made->n_bytes;
    ADD(made, 0x9e, 0x28, 0x1b, 0x5f, 0x3b, 0x9a, 0xca, 0x00, 0x77, 0x35, 0x94, 0x00,
        (uint8_t)((5 + n_options / 4) << 4 | flags >> 8), (uint8_t)flags, 0x02, 0x00, 0, 0, 0, 7);
    add(made, options, n_options);
    add(made, payload, strlen(payload));
}

static inline void add_udp(struct made *made, const char *payload)
{
    made->transport_at = made->n_bytes;
    ADD(made, 0x13, 0x88, 0, 53, 0, (uint8_t)(8 + strlen(payload)), 0, 0);
    add(made, payload, strlen(payload));
}

static inline void finish_ipv4(struct made *made)
{
    uint8_t *header = made->data + made->ip_at;
    size_t n_header = (header[0] & 15u) * 4;

    set16(made, made->ip_at + 2, made->n_bytes - made->ip_at);
    set16(made, made->ip_at + 10, 0);
    set16(made, made->ip_at + 10, (uint16_t)~checksum_sum(header, n_header));
}

static inline void finish_ipv6(struct made *made)
{
    set16(made, made->ip6_at + 4, made->n_bytes - made->ip6_at - IPV6_BYTES);
}

/* The slow way, byte by byte, so that it is not the same code that is tested. */
static inline uint32_t slow_sum(const uint8_t *data, size_t n_bytes)
{
    uint32_t sum = 0;
    for (size_t i = 0; i < n_bytes; i++) {
        sum += i % 2 ? data[i] : (uint32_t)data[i] << 8;
        sum = (sum & 0xffff) + (sum >> 16);
    }
    return sum;
}

static inline uint32_t slow_pseudo(const struct made *made, unsigned version, unsigned protocol)
{
    uint32_t n_bytes = made->n_bytes - made->transport_at;
    uint32_t sum =
        version == 4 ? slow_sum(made->data + made->ip_at + 12, 8) : slow_sum(made->data + made->ip6_at + 8, 32);
    sum += n_bytes + protocol;
    return (sum & 0xffff) + (sum >> 16);
}

/* at: of the field, from the transport header. */
static inline void finish_checksum(struct made *made, unsigned version, unsigned protocol, uint32_t at)
{
    set16(made, made->transport_at + at, 0);
    uint32_t sum = slow_sum(made->data + made->transport_at, made->n_bytes - made->transport_at);
    if (protocol != IPPROTO_ICMP)
        sum += slow_pseudo(made, version, protocol);
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    set16(made, made->transport_at + at, (uint16_t)~sum);
}

/* What nearly every SYN of Linux has. */
#define SYN_OPTIONS                                                                                                    \
    "\x02\x04\x05\xb4"                                                                                                 \
    "\x04\x02"                                                                                                         \
    "\x08\x0a\x01\x02\x03\x04\x05\x06\x07\x08"                                                                         \
    "\x01"                                                                                                             \
    "\x03\x03\x0a"
#define N_SYN_OPTIONS (sizeof SYN_OPTIONS - 1)

static inline void make_tcp4(struct made *made, unsigned flags, const void *options, size_t n_options,
                             const char *payload)
{
    made->n_bytes = 0;
    add_ethernet(made, ETHER_IPV4);
    add_ipv4(made, IPPROTO_TCP, 0x4000, "", 0);
    add_tcp(made, flags, options, n_options, payload);
    finish_checksum(made, 4, IPPROTO_TCP, 16);
    finish_ipv4(made);
}

static inline void make_tcp6(struct made *made, unsigned flags, const void *options, size_t n_options,
                             const char *payload)
{
    made->n_bytes = 0;
    add_ethernet(made, ETHER_IPV6);
    add_ipv6(made, IPPROTO_TCP);
    add_tcp(made, flags, options, n_options, payload);
    finish_checksum(made, 6, IPPROTO_TCP, 16);
    finish_ipv6(made);
}

/* From memory that ends where the capture does, so that a read past it is found. */
static inline struct decoded decode_exactly(uint16_t link_type, const uint8_t *data, size_t n_captured, size_t n_wire)
{
    struct decoded decoded;
    uint8_t *copy = malloc(n_captured > 0 ? n_captured : 1);
    uint8_t *exact = n_captured > 0 ? copy : copy + 1;

    memset(&decoded, 0xa5, sizeof decoded); /* all of it is to be written */
    memcpy(exact, data, n_captured);
    decode_packet(link_type, exact, n_captured, n_wire, DECODE_CHECK_CHECKSUMS, &decoded);
    if (decoded.payload != NULL) { /* where it was, which outlives this call */
        assert(decoded.payload >= exact && decoded.payload + decoded.n_payload_captured <= exact + n_captured);
        decoded.payload = data + (decoded.payload - exact);
    }
    free(copy);
    return decoded;
}

static inline struct decoded decode_made(const struct made *made)
{
    return decode_exactly(TYPE_ETHERNET, made->data, made->n_bytes, made->n_bytes);
}

#endif
