/* SPDX-License-Identifier: MIT */
/*
 * Inside the reader of capture files: bytes in order from a descriptor (file.c), and the two formats that take them
 * (pcap.c, pcapng.c).
 */
#ifndef OBSERVE_CAPTURE_FILE_INTERNAL_H
#define OBSERVE_CAPTURE_FILE_INTERNAL_H

#include "observe/capture/capture.h"

#include <string.h>

#define PACKET_BYTES_MAX (UINT32_C(256) << 20)
#define BLOCK_BYTES_MAX (PACKET_BYTES_MAX + (UINT32_C(1) << 20)) /* with its options */
#define INTERFACES_MAX 65536
#define INTERFACE_NAME_SIZE 64
#define COMMENT_BYTES_MAX 65536 /* all comments of a packet together */

#define NS_PER_SECOND UINT64_C(1000000000)

#define PCAP_MICROSECONDS UINT32_C(0xa1b2c3d4)
#define PCAP_NANOSECONDS UINT32_C(0xa1b23c4d)
#define PCAP_MODIFIED UINT32_C(0xa1b2cd34)
#define PCAPNG_SECTION UINT32_C(0x0a0d0d0a)
#define PCAPNG_ORDER UINT32_C(0x1a2b3c4d)

/* The bytes from at to end are in memory; base is the file's offset of the buffer's first byte. */
struct source {
    int fd; /* -1: there is nothing but the buffer */
    uint8_t *buffer;
    size_t size, at, end;
    uint64_t base;
};

/* How an interface's ticks become nanoseconds. */
enum tick { TICK_TIMES, TICK_DIVIDED, TICK_SHIFTED };

struct file_interface {
    char name[INTERFACE_NAME_SIZE];
    char description[INTERFACE_NAME_SIZE];
    uint16_t link_type;
    uint32_t snap_bytes;
    uint8_t tick; /* enum tick */
    uint8_t tick_shift;
    uint64_t tick_factor; /* or divisor; 0: every stamp is 0 */
    int64_t offset_ns;
    uint64_t n_dropped_said, n_dropped_summed; /* by the statistics; by the packets themselves */
};

struct capture_file {
    struct source source;
    /* What next does, by format. */
    int (*next)(struct capture_file *file, struct packet *ret_packet, struct sonde_why *ret_why);
    bool swapped;                             /* of the other byte order than this machine's */
    bool nanoseconds, modified, lengths_swap; /* pcap */
    bool lengths_may_swap;
    uint32_t section_base; /* pcapng: this section's first interface */
    struct file_interface *interfaces;
    uint32_t n_interfaces, n_interfaces_room;
    uint64_t n_packets;
    char *comment; /* of the packet that is lent */
    size_t comment_size;
    int error; /* it goes no further */
    struct sonde_why why;
    char name[160];
};

/* 1: n bytes are there from at on; 0: the file ends before; negative. Moves what is in memory. */
int source_fill(struct source *source, size_t n_bytes);

static inline int source_need(struct source *source, size_t n_bytes)
{
    return source->end - source->at >= n_bytes ? 1 : source_fill(source, n_bytes);
}

/* Passes over n bytes, which need not fit into memory. 1, 0 or negative as above. */
int source_skip(struct source *source, uint64_t n_bytes);

static inline uint64_t source_offset(const struct source *source)
{
    return source->base + source->at;
}

static inline uint16_t get_16(const struct capture_file *file, const uint8_t *bytes)
{
    uint16_t value;
    memcpy(&value, bytes, sizeof value);
    return file->swapped ? __builtin_bswap16(value) : value;
}

static inline uint32_t get_32(const struct capture_file *file, const uint8_t *bytes)
{
    uint32_t value;
    memcpy(&value, bytes, sizeof value);
    return file->swapped ? __builtin_bswap32(value) : value;
}

static inline uint64_t get_64(const struct capture_file *file, const uint8_t *bytes)
{
    uint64_t value;
    memcpy(&value, bytes, sizeof value);
    return file->swapped ? __builtin_bswap64(value) : value;
}

/* Says why, with the offset in front of the words, and returns the error. */
int file_fails(const struct capture_file *file, int error, uint64_t offset, const char *words,
               struct sonde_why *ret_why);
/* The same for a result of source_need or source_skip that is not 1. */
int file_ends(const struct capture_file *file, int result, struct sonde_why *ret_why);

/* Another interface, zeroed; -EOVERFLOW, -ENOMEM. */
int file_add_interface(struct capture_file *file, struct file_interface **ret_interface);

/* The file's first bytes; at stands before them. */
int pcap_begin(struct capture_file *file, struct sonde_why *ret_why);
int pcapng_begin(struct capture_file *file, struct sonde_why *ret_why);

#endif
