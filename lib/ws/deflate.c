/* SPDX-License-Identifier: MIT */
/*
 * permessage-deflate (RFC 7692) by zlib.
 *
 * A message is a run of DEFLATE blocks that ends with an empty stored one, of which the last four bytes, always the
 * same, are not sent (7.2.1). Whether later messages may refer to earlier ones is what was agreed on.
 *
 * We compress with a window of 4 KiB at most and little memory, whatever was agreed on: less is always allowed. A
 * connection that has both costs less than 80 KiB then, instead of 300.
 */
#include "ws/ws.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <zlib.h>

enum {
    BITS_LEAST = 9, /* zlib takes 8 for 9 (deflate), or not at all (raw) */
    BITS_MOST = 15,
    OUR_BITS = 12,
    OUR_MEMORY = 5,
    OUR_LEVEL = 1,
    TAIL = 4,
};

static const uint8_t tail[TAIL] = {0x00, 0x00, 0xff, 0xff};

struct ws_compressor {
    struct sonde_allocator allocator;
    z_stream z;
    bool takeover;
};

struct ws_decompressor {
    struct sonde_allocator allocator;
    z_stream z;
    bool takeover;
    bool is_empty;     /* no byte of this message has come */
    bool is_final;     /* the last block said that it is the last (BFINAL), and nothing has followed */
    uint8_t tail_left; /* so many bytes of the tail have still to be taken; TAIL: the end has not come */
};

/* --- zlib's memory ---------------------------------------------------------------------------------------------- */

/* The allocator wants to know at the end how much it was. */
union block {
    size_t n_bytes;
    max_align_t align;
};

static void *take_memory(void *opaque, unsigned n_items, unsigned item_bytes)
{
    const struct sonde_allocator *allocator = opaque;
    size_t n_bytes = sizeof(union block) + (size_t)n_items * item_bytes;
    union block *block = allocator->alloc(n_bytes, allocator->user);

    if (block == NULL)
        return NULL;
    block->n_bytes = n_bytes;
    memset(block + 1, 0, n_bytes - sizeof *block); /* zlib compares with what it has not written yet */
    return block + 1;
}

static void give_memory(void *opaque, void *memory)
{
    const struct sonde_allocator *allocator = opaque;
    union block *block = (union block *)memory - 1;

    allocator->free(block, block->n_bytes, allocator->user);
}

static int as_errno(int result)
{
    return result == Z_OK ? 0 : result == Z_MEM_ERROR ? -ENOMEM : -EINVAL;
}

/* --- out -------------------------------------------------------------------------------------------------------- */

int ws_compressor_create(const struct sonde_allocator *allocator, unsigned bits, bool takeover,
                         struct ws_compressor **ret_compressor)
{
    if (bits < BITS_LEAST || bits > BITS_MOST)
        return -EINVAL;
    struct ws_compressor *compressor = allocator->alloc(sizeof *compressor, allocator->user);
    if (compressor == NULL)
        return -ENOMEM;
    *compressor = (struct ws_compressor){.allocator = *allocator, .takeover = takeover};
    compressor->z = (z_stream){.zalloc = take_memory, .zfree = give_memory, .opaque = &compressor->allocator};
    int error = as_errno(deflateInit2(&compressor->z, OUR_LEVEL, Z_DEFLATED, -(int)(bits < OUR_BITS ? bits : OUR_BITS),
                                      OUR_MEMORY, Z_DEFAULT_STRATEGY));
    if (error < 0) {
        allocator->free(compressor, sizeof *compressor, allocator->user);
        return error;
    }
    *ret_compressor = compressor;
    return 0;
}

void ws_compressor_free(struct ws_compressor *compressor)
{
    if (compressor == NULL)
        return;
    deflateEnd(&compressor->z);
    const struct sonde_allocator allocator = compressor->allocator;
    allocator.free(compressor, sizeof *compressor, allocator.user);
}

int ws_compress(struct ws_compressor *compressor, const void *data, size_t n_bytes, void *ret_bytes, size_t room,
                size_t *ret_n_bytes)
{
    z_stream *z = &compressor->z;

    if (n_bytes > UINT_MAX)
        return -ENOBUFS;
    z->next_in = (z_const Bytef *)(uintptr_t)data;
    z->avail_in = (unsigned)n_bytes;
    z->next_out = ret_bytes;
    z->avail_out = room < UINT_MAX ? (unsigned)room : UINT_MAX;
    int result = deflate(z, Z_SYNC_FLUSH);
    size_t n = (size_t)(z->next_out - (uint8_t *)ret_bytes);
    if (result != Z_OK || z->avail_in > 0 || z->avail_out == 0 || n < TAIL ||
        memcmp((uint8_t *)ret_bytes + n - TAIL, tail, TAIL) != 0) {
        deflateReset(z); /* the peer will not get this: nothing may refer to it */
        return -ENOBUFS;
    }
    if (!compressor->takeover)
        deflateReset(z);
    *ret_n_bytes = n - TAIL;
    return 0;
}

/* --- in --------------------------------------------------------------------------------------------------------- */

static void next_message(struct ws_decompressor *decompressor)
{
    decompressor->is_empty = true;
    decompressor->is_final = false;
    decompressor->tail_left = TAIL;
}

int ws_decompressor_create(const struct sonde_allocator *allocator, unsigned bits, bool takeover,
                           struct ws_decompressor **ret_decompressor)
{
    if (bits < 8 || bits > BITS_MOST)
        return -EINVAL;
    struct ws_decompressor *decompressor = allocator->alloc(sizeof *decompressor, allocator->user);
    if (decompressor == NULL)
        return -ENOMEM;
    *decompressor = (struct ws_decompressor){.allocator = *allocator, .takeover = takeover};
    decompressor->z = (z_stream){.zalloc = take_memory, .zfree = give_memory, .opaque = &decompressor->allocator};
    /* Peers whose zlib takes 8 for 9 are understood. */
    int error = as_errno(inflateInit2(&decompressor->z, -(int)(bits > BITS_LEAST ? bits : BITS_LEAST)));
    if (error < 0) {
        allocator->free(decompressor, sizeof *decompressor, allocator->user);
        return error;
    }
    next_message(decompressor);
    *ret_decompressor = decompressor;
    return 0;
}

void ws_decompressor_free(struct ws_decompressor *decompressor)
{
    if (decompressor == NULL)
        return;
    inflateEnd(&decompressor->z);
    const struct sonde_allocator allocator = decompressor->allocator;
    allocator.free(decompressor, sizeof *decompressor, allocator.user);
}

static int take(struct ws_decompressor *decompressor, const void *data, size_t n_bytes, void *ret_bytes, size_t room,
                size_t *ret_n_taken, size_t *ret_n_bytes)
{
    z_stream *z = &decompressor->z;
    int error = 0;

    z->next_in = (z_const Bytef *)(uintptr_t)data;
    z->avail_in = n_bytes < UINT_MAX ? (unsigned)n_bytes : UINT_MAX;
    z->next_out = ret_bytes;
    z->avail_out = room < UINT_MAX ? (unsigned)room : UINT_MAX;
    for (;;) {
        unsigned n_in = z->avail_in;
        int result = inflate(z, Z_SYNC_FLUSH);
        if (n_in != z->avail_in)
            decompressor->is_final = false;
        if (result == Z_STREAM_END) {
            /* A last block (7.2.3.4). What follows it goes on with the same window. */
            inflateResetKeep(z);
            decompressor->is_final = true;
            if (z->avail_in > 0)
                continue;
        } else if (result == Z_MEM_ERROR) {
            error = -ENOMEM;
        } else if (result != Z_OK && result != Z_BUF_ERROR) {
            error = -EBADMSG;
        } else if (z->avail_out == 0) {
            error = -ENOBUFS; /* there may be more, for more room */
        } else if (z->avail_in > 0) {
            error = -EBADMSG; /* it has stopped short, for no reason that could be */
        }
        break;
    }
    *ret_n_taken = (size_t)(z->next_in - (z_const Bytef *)(uintptr_t)data);
    *ret_n_bytes = (size_t)(z->next_out - (uint8_t *)ret_bytes);
    return error;
}

int ws_decompress(struct ws_decompressor *decompressor, const void *data, size_t n_bytes, void *ret_bytes, size_t room,
                  size_t *ret_n_taken, size_t *ret_n_bytes)
{
    if (n_bytes > 0)
        decompressor->is_empty = false;
    return take(decompressor, data, n_bytes, ret_bytes, room, ret_n_taken, ret_n_bytes);
}

int ws_decompress_end(struct ws_decompressor *decompressor, void *ret_bytes, size_t room, size_t *ret_n_bytes)
{
    size_t n_taken = 0, n_written = 0;

    /* Nothing at all, for an empty message, and nothing behind a last block: neither follows the rules, both are clear,
     * and there are such peers. */
    if (!decompressor->is_empty && (!decompressor->is_final || decompressor->tail_left < TAIL)) {
        int error = take(decompressor, tail + TAIL - decompressor->tail_left, decompressor->tail_left, ret_bytes, room,
                         &n_taken, &n_written);
        decompressor->tail_left -= (uint8_t)n_taken;
        *ret_n_bytes = n_written;
        if (error < 0)
            return error;
        if (!(decompressor->z.data_type & 128)) /* not between two blocks */
            return -EBADMSG;
    }
    *ret_n_bytes = n_written;
    if (!decompressor->takeover)
        inflateReset(&decompressor->z);
    next_message(decompressor);
    return 0;
}
