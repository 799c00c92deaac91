/* SPDX-License-Identifier: MIT */
/* Capture files byte by byte, of either byte order, for tests. */
#ifndef TESTS_UNIT_CAPTURE_BUILD_H
#define TESTS_UNIT_CAPTURE_BUILD_H

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define BUILD_BYTES_MAX 65536

struct build {
    bool swapped;
    size_t n;
    size_t block; /* where the block in hand begins */
    uint8_t bytes[BUILD_BYTES_MAX];
};

static inline void build_raw(struct build *build, const void *data, size_t n_bytes)
{
    if (build->n + n_bytes > sizeof build->bytes)
        abort();
    if (n_bytes > 0)
        memcpy(build->bytes + build->n, data, n_bytes);
    build->n += n_bytes;
}

static inline void build_16(struct build *build, uint16_t value)
{
    value = build->swapped ? __builtin_bswap16(value) : value;
    build_raw(build, &value, sizeof value);
}

static inline void build_32(struct build *build, uint32_t value)
{
    value = build->swapped ? __builtin_bswap32(value) : value;
    build_raw(build, &value, sizeof value);
}

static inline void build_64(struct build *build, uint64_t value)
{
    value = build->swapped ? __builtin_bswap64(value) : value;
    build_raw(build, &value, sizeof value);
}

static inline void build_padded(struct build *build, const void *data, size_t n_bytes)
{
    build_raw(build, data, n_bytes);
    build_raw(build, "\0\0\0", (4 - n_bytes % 4) % 4);
}

static inline void build_begin(struct build *build, uint32_t kind)
{
    build->block = build->n;
    build_32(build, kind);
    build_32(build, 0);
}

static inline void build_end(struct build *build)
{
    size_t n = build->n;
    build_32(build, (uint32_t)(n + 4 - build->block));
    memcpy(build->bytes + build->block + 4, build->bytes + n, 4);
}

static inline void build_option(struct build *build, uint16_t code, const void *value, size_t n_bytes)
{
    build_16(build, code);
    build_16(build, (uint16_t)n_bytes);
    build_padded(build, value, n_bytes);
}

static inline void build_option_64(struct build *build, uint16_t code, uint64_t value)
{
    build_16(build, code);
    build_16(build, 8);
    build_64(build, value);
}

static inline void build_section(struct build *build, bool swapped)
{
    build->swapped = swapped;
    build_begin(build, 0x0a0d0d0a);
    build_32(build, 0x1a2b3c4d);
    build_16(build, 1);
    build_16(build, 0);
    build_64(build, UINT64_MAX);
    build_option(build, 1, "a section", 9);
    build_option(build, 0, NULL, 0);
    build_end(build);
}

/* resolution < 0: not said. */
static inline void build_interface(struct build *build, uint16_t link_type, const char *name, int resolution,
                                   int64_t offset)
{
    build_begin(build, 1);
    build_16(build, link_type);
    build_16(build, 0);
    build_32(build, 65535);
    if (name)
        build_option(build, 2, name, strlen(name));
    uint8_t byte = (uint8_t)resolution;
    if (resolution >= 0)
        build_option(build, 9, &byte, 1);
    if (offset)
        build_option_64(build, 14, (uint64_t)offset);
    build_option(build, 0, NULL, 0);
    build_end(build);
}

static inline void build_packet_begin(struct build *build, uint32_t interface, uint64_t ticks, const char *data,
                                      uint32_t n_wire)
{
    build_begin(build, 6);
    build_32(build, interface);
    build_32(build, (uint32_t)(ticks >> 32));
    build_32(build, (uint32_t)ticks);
    build_32(build, (uint32_t)strlen(data));
    build_32(build, n_wire);
    build_padded(build, data, strlen(data));
}

static inline void build_packet(struct build *build, uint32_t interface, uint64_t ticks, const char *data)
{
    build_packet_begin(build, interface, ticks, data, (uint32_t)strlen(data));
    build_end(build);
}

static inline void build_pcap(struct build *build, bool swapped, uint32_t magic, uint32_t link_type)
{
    build->swapped = swapped;
    build_32(build, magic);
    build_16(build, 2);
    build_16(build, 4);
    build_32(build, 0);
    build_32(build, 0);
    build_32(build, 65535);
    build_32(build, link_type);
}

static inline void build_record(struct build *build, uint32_t seconds, uint32_t fraction, const char *data,
                                uint32_t n_wire)
{
    build_32(build, seconds);
    build_32(build, fraction);
    build_32(build, (uint32_t)strlen(data));
    build_32(build, n_wire);
    build_raw(build, data, strlen(data));
}

/* A capture with every kind of block, in both byte orders: five packets in each of its two sections. */
static inline void build_everything(struct build *build)
{
    static const uint32_t flags_out = 2;
    for (int i = 0; i < 2; i++) {
        build_section(build, i == 1);
        build_interface(build, 1, "eth0", -1, 0);
        build_interface(build, 101, "tun0", 9, 0);
        build_packet_begin(build, 0, 1000001, "one", 100);
        build_option(build, 1, "the first", 9);
        uint32_t flags = build->swapped ? __builtin_bswap32(flags_out) : flags_out;
        build_option(build, 2, &flags, 4);
        build_option(build, 1, "and more", 8);
        build_option(build, 0, NULL, 0);
        build_end(build);
        build_packet(build, 1, 1000000002, "four");
        build_begin(build, 3); /* simple */
        build_32(build, 5);
        build_padded(build, "simpl", 5);
        build_end(build);
        build_begin(build, 0x0bad); /* custom */
        build_32(build, 4711);
        build_padded(build, "custom", 6);
        build_end(build);
        build_begin(build, 4); /* names */
        build_32(build, 0);
        build_end(build);
        build_begin(build, 2); /* obsolete */
        build_16(build, 0);
        build_16(build, 3);
        build_32(build, 0);
        build_32(build, 2000000);
        build_32(build, 3);
        build_32(build, 3);
        build_padded(build, "old", 3);
        build_end(build);
        build_begin(build, 5); /* statistics */
        build_32(build, 1);
        build_32(build, 0);
        build_32(build, 0);
        build_option_64(build, 4, 1000);
        build_option_64(build, 5, 40);
        build_option_64(build, 7, 2);
        build_option(build, 0, NULL, 0);
        build_end(build);
        build_packet(build, 1, 3000000000, "");
    }
}

#endif
