/* SPDX-License-Identifier: MIT */
/*
 * pcapng: blocks, each with its length in front and behind. A section header begins a section, which has a byte order
 * and interfaces of its own, numbered from 0; here they are numbered through over all sections. What an interface says
 * about its clock (resolution, offset) holds for its packets. Blocks of unknown kinds are passed over, however long.
 *
 * Lengths that contradict each other end the reading, since nothing behind them can be trusted. Options are extras:
 * when one reaches beyond its block, the rest of them is ignored and the packet is given.
 */
#include "observe/capture/file_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define BLOCK_INTERFACE 1u
#define BLOCK_OLD_PACKET 2u
#define BLOCK_SIMPLE_PACKET 3u
#define BLOCK_STATISTICS 5u
#define BLOCK_PACKET 6u

#define BLOCK_BYTES_MIN 12 /* kind, length, length */
#define SECTION_BYTES_MIN 28

#define OPTION_COMMENT 1
#define OPTION_FLAGS 2
#define OPTION_DROPPED 4
#define OPTION_NAME 2
#define OPTION_DESCRIPTION 3
#define OPTION_RESOLUTION 9
#define OPTION_OFFSET 14
#define OPTION_IF_DROPPED 5
#define OPTION_OS_DROPPED 7

#define FLAGS_DIRECTION 3u
#define FLAGS_CHECKSUM_LEFT (1u << 9)

__extension__ typedef unsigned __int128 wide;

/* A block in memory, without its kind and lengths. */
struct block {
    uint32_t kind;
    uint64_t offset; /* of its first byte in the file */
    const uint8_t *body;
    uint32_t n_body;
};

struct options {
    const uint8_t *at;
    uint32_t n_left;
};

struct option {
    uint16_t code, n_bytes;
    const uint8_t *value;
};

static bool next_option(const struct capture_file *file, struct options *options, struct option *ret_option)
{
    if (options->n_left < 4)
        return false;
    uint16_t code = get_16(file, options->at), n_bytes = get_16(file, options->at + 2);
    uint32_t n_padded = (n_bytes + 3u) & ~3u;
    if (code == 0 || n_bytes > options->n_left - 4)
        return false;
    *ret_option = (struct option){.code = code, .n_bytes = n_bytes, .value = options->at + 4};
    uint32_t n_taken = n_padded > options->n_left - 4 ? options->n_left : 4 + n_padded;
    options->at += n_taken;
    options->n_left -= n_taken;
    return true;
}

static struct options options_from(const struct block *block, uint32_t offset)
{
    return (struct options){.at = block->body + offset, .n_left = block->n_body - offset};
}

/* ---- time */

static int64_t add_saturating(int64_t one, int64_t other)
{
    int64_t sum;
    if (__builtin_add_overflow(one, other, &sum))
        return other > 0 ? INT64_MAX : INT64_MIN;
    return sum;
}

static int64_t ticks_to_ns(const struct file_interface *interface, uint64_t ticks)
{
    wide ns = 0;
    switch ((enum tick)interface->tick) {
    case TICK_TIMES:
        ns = (wide)ticks * interface->tick_factor;
        break;
    case TICK_DIVIDED:
        ns = interface->tick_factor ? ticks / interface->tick_factor : 0;
        break;
    case TICK_SHIFTED:
        ns = (wide)ticks * NS_PER_SECOND >> interface->tick_shift;
        break;
    }
    int64_t since_offset = ns > INT64_MAX ? INT64_MAX : (int64_t)ns;
    return interface->offset_ns ? add_saturating(since_offset, interface->offset_ns) : since_offset;
}

static uint64_t power_of_ten(unsigned exponent)
{
    uint64_t power = 1;
    while (exponent-- > 0)
        power *= 10;
    return power;
}

/* The highest bit says whether it is a power of 2 or of 10. */
static void set_resolution(struct file_interface *interface, uint8_t resolution)
{
    unsigned exponent = resolution & 0x7f;
    if (resolution & 0x80) {
        interface->tick = TICK_SHIFTED;
        interface->tick_shift = (uint8_t)exponent;
    } else if (exponent <= 9) {
        interface->tick = TICK_TIMES;
        interface->tick_factor = power_of_ten(9 - exponent);
    } else {
        interface->tick = TICK_DIVIDED;
        interface->tick_factor = exponent - 9 <= 19 ? power_of_ten(exponent - 9) : 0;
    }
}

static void set_offset(struct file_interface *interface, int64_t seconds)
{
    if (__builtin_mul_overflow(seconds, (int64_t)NS_PER_SECOND, &interface->offset_ns))
        interface->offset_ns = seconds > 0 ? INT64_MAX : INT64_MIN;
}

static uint64_t get_ticks(const struct capture_file *file, const uint8_t *high_then_low)
{
    return (uint64_t)get_32(file, high_then_low) << 32 | get_32(file, high_then_low + 4);
}

/* ---- interfaces */

static int block_fails(const struct capture_file *file, const struct block *block, const char *words,
                       struct sonde_why *ret_why)
{
    return file_fails(file, -EINVAL, block->offset, words, ret_why);
}

static int take_interface(struct capture_file *file, const struct block *block, struct sonde_why *ret_why)
{
    if (block->n_body < 8)
        return block_fails(file, block, "an interface block that is too short", ret_why);
    struct file_interface *interface;
    int error = file_add_interface(file, &interface);
    if (error < 0)
        return file_fails(file, error, block->offset,
                          error == -EOVERFLOW ? "more interfaces than can be" : sonde_strerror(error), ret_why);
    interface->link_type = get_16(file, block->body);
    interface->snap_bytes = get_32(file, block->body + 4);
    set_resolution(interface, 6);

    struct options options = options_from(block, 8);
    bool named = false;
    for (struct option option; next_option(file, &options, &option);) {
        bool is_name = option.code == OPTION_NAME;
        if (option.code == OPTION_DESCRIPTION)
            snprintf(interface->description, sizeof interface->description, "%.*s", (int)option.n_bytes,
                     (const char *)option.value);
        if (is_name || (option.code == OPTION_DESCRIPTION && !named)) {
            named |= is_name;
            snprintf(interface->name, sizeof interface->name, "%.*s", (int)option.n_bytes, (const char *)option.value);
        } else if (option.code == OPTION_RESOLUTION && option.n_bytes >= 1) {
            set_resolution(interface, option.value[0]);
        } else if (option.code == OPTION_OFFSET && option.n_bytes >= 8) {
            set_offset(interface, (int64_t)get_64(file, option.value));
        }
    }
    return 0;
}

/* NULL: this section has no such interface. */
static struct file_interface *interface_of(struct capture_file *file, uint32_t number)
{
    if (number >= file->n_interfaces - file->section_base)
        return NULL;
    return &file->interfaces[file->section_base + number];
}

static int take_statistics(struct capture_file *file, const struct block *block, struct sonde_why *ret_why)
{
    if (block->n_body < 12)
        return block_fails(file, block, "a statistics block that is too short", ret_why);
    struct file_interface *interface = interface_of(file, get_32(file, block->body));
    if (!interface)
        return 0;
    uint64_t n_dropped = 0;
    struct options options = options_from(block, 12);
    for (struct option option; next_option(file, &options, &option);) {
        if ((option.code == OPTION_IF_DROPPED || option.code == OPTION_OS_DROPPED) && option.n_bytes >= 8)
            n_dropped += get_64(file, option.value);
    }
    /* They count from the beginning; a later block replaces an earlier one. */
    interface->n_dropped_said = n_dropped;
    return 0;
}

/* ---- packets */

/* Several comments become lines of one. */
static int add_comment(struct capture_file *file, size_t *n_comment, const struct option *option)
{
    size_t n_before = *n_comment, n_bytes = option->n_bytes;
    if (n_before + 1 + n_bytes > COMMENT_BYTES_MAX)
        n_bytes = n_before + 1 < COMMENT_BYTES_MAX ? COMMENT_BYTES_MAX - n_before - 1 : 0;
    if (n_before + n_bytes + 2 > file->comment_size) {
        size_t size = n_before + n_bytes + 2 + 256;
        char *comment = realloc(file->comment, size);
        if (!comment)
            return -ENOMEM;
        file->comment = comment;
        file->comment_size = size;
    }
    if (n_before > 0 && n_bytes > 0)
        file->comment[n_before++] = '\n';
    memcpy(file->comment + n_before, option->value, n_bytes);
    *n_comment = n_before + n_bytes;
    file->comment[*n_comment] = '\0';
    return 0;
}

static int take_packet_options(struct capture_file *file, const struct block *block, uint32_t offset,
                               struct file_interface *interface, struct packet *packet, struct sonde_why *ret_why)
{
    struct options options = options_from(block, offset);
    size_t n_comment = 0;
    for (struct option option; next_option(file, &options, &option);) {
        if (option.code == OPTION_COMMENT) {
            int error = add_comment(file, &n_comment, &option);
            if (error < 0)
                return file_fails(file, error, block->offset, sonde_strerror(error), ret_why);
            packet->comment = file->comment;
        } else if (option.code == OPTION_FLAGS && option.n_bytes >= 4) {
            uint32_t flags = get_32(file, option.value);
            unsigned direction = flags & FLAGS_DIRECTION;
            packet->direction = direction <= PACKET_OUT ? (uint8_t)direction : PACKET_UNKNOWN;
            packet->checksum_left = flags & FLAGS_CHECKSUM_LEFT;
        } else if (option.code == OPTION_DROPPED && option.n_bytes >= 8 && block->kind == BLOCK_PACKET) {
            interface->n_dropped_summed += get_64(file, option.value);
        }
    }
    return 0;
}

static int packet_is(const struct capture_file *file, const struct block *block, uint32_t n_header, uint32_t n_captured,
                     struct sonde_why *ret_why)
{
    if (n_captured > PACKET_BYTES_MAX)
        return block_fails(file, block, "a packet of more than 256 MiB; the file is damaged", ret_why);
    if (n_captured > block->n_body - n_header)
        return block_fails(file, block, "a packet that is longer than its block; the file is damaged", ret_why);
    return 0;
}

static int take_packet(struct capture_file *file, const struct block *block, struct packet *ret_packet,
                       struct sonde_why *ret_why)
{
    const uint8_t *body = block->body;
    if (block->n_body < 20)
        return block_fails(file, block, "a packet block that is too short", ret_why);
    bool old = block->kind == BLOCK_OLD_PACKET;
    uint32_t number = old ? get_16(file, body) : get_32(file, body);
    struct file_interface *interface = interface_of(file, number);
    if (!interface)
        return block_fails(file, block, "a packet of an interface that its section has not", ret_why);
    uint32_t n_captured = get_32(file, body + 12), n_wire = get_32(file, body + 16);
    int error = packet_is(file, block, 20, n_captured, ret_why);
    if (error < 0)
        return error;
    if (old && get_16(file, body + 2) != UINT16_MAX)
        interface->n_dropped_summed += get_16(file, body + 2);

    struct packet packet = {
        .number = file->n_packets + 1,
        .realtime_ns = ticks_to_ns(interface, get_ticks(file, body + 4)),
        .data = body + 20,
        .n_captured = n_captured,
        .n_wire = n_wire > n_captured ? n_wire : n_captured,
        .link_type = interface->link_type,
        .interface = file->section_base + number,
    };
    uint32_t n_padded = 20 + ((n_captured + 3) & ~UINT32_C(3));
    if (n_padded < block->n_body) {
        error = take_packet_options(file, block, n_padded, interface, &packet, ret_why);
        if (error < 0)
            return error;
    }
    file->n_packets++;
    *ret_packet = packet;
    return 1;
}

/* Of the section's first interface, without a stamp, and with its captured length left to be worked out. */
static int take_simple_packet(struct capture_file *file, const struct block *block, struct packet *ret_packet,
                              struct sonde_why *ret_why)
{
    if (block->n_body < 4)
        return block_fails(file, block, "a packet block that is too short", ret_why);
    struct file_interface *interface = interface_of(file, 0);
    if (!interface)
        return block_fails(file, block, "a packet of an interface that its section has not", ret_why);
    uint32_t n_wire = get_32(file, block->body), n_captured = n_wire;
    if (interface->snap_bytes > 0 && n_captured > interface->snap_bytes)
        n_captured = interface->snap_bytes;
    int error = packet_is(file, block, 4, n_captured, ret_why);
    if (error < 0)
        return error;
    *ret_packet = (struct packet){
        .number = ++file->n_packets,
        .data = block->body + 4,
        .n_captured = n_captured,
        .n_wire = n_wire,
        .link_type = interface->link_type,
        .interface = file->section_base,
    };
    return 1;
}

/* ---- blocks */

/* The byte order is this section's from here on. */
static int take_section_order(struct capture_file *file, struct sonde_why *ret_why)
{
    struct source *source = &file->source;
    int result = source_need(source, BLOCK_BYTES_MIN);
    if (result <= 0)
        return file_ends(file, result, ret_why);
    file->swapped = false;
    uint32_t order = get_32(file, source->buffer + source->at + 8);
    file->swapped = order == __builtin_bswap32(PCAPNG_ORDER);
    if (order != PCAPNG_ORDER && !file->swapped)
        return file_fails(file, -EINVAL, source_offset(source) + 8, "a section without a byte order", ret_why);
    return 0;
}

static int take_section(struct capture_file *file, const struct block *block, struct sonde_why *ret_why)
{
    if (block->n_body < SECTION_BYTES_MIN - BLOCK_BYTES_MIN)
        return block_fails(file, block, "a section header that is too short", ret_why);
    if (get_16(file, block->body + 4) != 1)
        return block_fails(file, block, "a version of pcapng that is not known", ret_why);
    file->section_base = file->n_interfaces;
    return 0;
}

static bool is_known(uint32_t kind)
{
    return kind == PCAPNG_SECTION || kind == BLOCK_INTERFACE || kind == BLOCK_OLD_PACKET ||
           kind == BLOCK_SIMPLE_PACKET || kind == BLOCK_STATISTICS || kind == BLOCK_PACKET;
}

static int check_last_length(const struct capture_file *file, const uint8_t *bytes, uint32_t n_block, uint64_t offset,
                             struct sonde_why *ret_why)
{
    if (get_32(file, bytes) == n_block)
        return 1;
    return file_fails(file, -EINVAL, offset, "a block whose two lengths differ; the file is damaged", ret_why);
}

/* The next block of a kind that is known. 1, 0: the end, or negative. */
static int next_block(struct capture_file *file, struct block *ret_block, struct sonde_why *ret_why)
{
    struct source *source = &file->source;
    for (;;) {
        int result = source_need(source, 8);
        if (result == 0 && source->at == source->end)
            return 0;
        if (result <= 0)
            return file_ends(file, result, ret_why);
        uint64_t offset = source_offset(source);
        uint32_t kind = get_32(file, source->buffer + source->at);
        if (kind == PCAPNG_SECTION) {
            int error = take_section_order(file, ret_why);
            if (error < 0)
                return error;
        }
        uint32_t n_block = get_32(file, source->buffer + source->at + 4);
        if (n_block < BLOCK_BYTES_MIN || n_block % 4 != 0)
            return file_fails(file, -EINVAL, offset, "a block of an impossible length; the file is damaged", ret_why);
        bool known = is_known(kind);
        if (known && n_block > BLOCK_BYTES_MAX)
            return file_fails(file, -EINVAL, offset, "a block of more than 257 MiB; the file is damaged", ret_why);

        result = known ? 1 : source_skip(source, n_block - 4);
        if (result == 1)
            result = source_need(source, known ? n_block : 4);
        if (result <= 0)
            return file_ends(file, result, ret_why);
        const uint8_t *bytes = source->buffer + source->at;
        source->at += known ? n_block : 4;
        result = check_last_length(file, source->buffer + source->at - 4, n_block, offset, ret_why);
        if (result < 0)
            return result;
        if (known) {
            *ret_block =
                (struct block){.kind = kind, .offset = offset, .body = bytes + 8, .n_body = n_block - BLOCK_BYTES_MIN};
            return 1;
        }
    }
}

static int pcapng_next(struct capture_file *file, struct packet *ret_packet, struct sonde_why *ret_why)
{
    for (;;) {
        struct block block;
        int result = next_block(file, &block, ret_why);
        if (result <= 0)
            return result;
        switch (block.kind) {
        case BLOCK_PACKET:
        case BLOCK_OLD_PACKET:
            return take_packet(file, &block, ret_packet, ret_why);
        case BLOCK_SIMPLE_PACKET:
            return take_simple_packet(file, &block, ret_packet, ret_why);
        case BLOCK_INTERFACE:
            result = take_interface(file, &block, ret_why);
            break;
        case BLOCK_STATISTICS:
            result = take_statistics(file, &block, ret_why);
            break;
        default:
            result = take_section(file, &block, ret_why);
            break;
        }
        if (result < 0)
            return result;
    }
}

int pcapng_begin(struct capture_file *file, struct sonde_why *ret_why)
{
    struct block block;
    int result = next_block(file, &block, ret_why);
    if (result < 0)
        return result;
    file->next = pcapng_next;
    return take_section(file, &block, ret_why);
}
