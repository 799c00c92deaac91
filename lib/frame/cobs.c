/* SPDX-License-Identifier: MIT */
/*
 * cobs: a message is cut into blocks at its zeros. A block is a byte that says where it ends, counted from that byte,
 * and the bytes before; each stands for the bytes and a zero, but the last one, and those of 254 bytes (0xff), which
 * stand for the bytes alone. So there is no zero in it, and one ends the message.
 */
#include "frame/frame_internal.h"

#include <errno.h>
#include <string.h>

enum { LONGEST = 0xff };

static int add(struct sonde_frame_decoder *decoder, const unsigned char *data, size_t n_bytes, uint64_t at_byte)
{
    size_t n_room = decoder->max_bytes - decoder->n_kept;

    if (n_bytes > n_room)
        return frame_fail(decoder, -EMSGSIZE, at_byte + n_room, decoder->max_bytes + 1, FRAME_TOO_LONG);
    return frame_keep(decoder, data, n_bytes, decoder->max_bytes);
}

/* A message of one block lies here as it was; or a zero that belongs to none comes first. */
static int take_whole(const struct sonde_frame_decoder *decoder, const unsigned char *data, size_t n_bytes,
                      struct frame_step *ret_step)
{
    size_t end = data[0];

    *ret_step = (struct frame_step){.n_taken = end + 1, .message = data + 1, .n_message = end - (end > 0)};
    if (end == 0)
        return FRAME_SKIP;
    if (end >= n_bytes || end - 1 > decoder->max_bytes || memchr(data, 0, end + 1) != data + end)
        return FRAME_MORE;
    return FRAME_MESSAGE;
}

static int begin_block(struct sonde_frame_decoder *decoder, unsigned char code, uint64_t at_byte)
{
    bool zero_due = decoder->in_message && decoder->state.cobs.zero_due;

    decoder->in_message = true;
    decoder->state.cobs.n_left = code - 1u;
    decoder->state.cobs.zero_due = code != LONGEST;
    return zero_due ? add(decoder, (const unsigned char *)"", 1, at_byte) : 0;
}

/* The bytes of the block that are here. */
static int take_block(struct sonde_frame_decoder *decoder, const unsigned char *data, size_t n_bytes, uint64_t at_byte,
                      size_t *ret_n_taken)
{
    unsigned n_left = decoder->state.cobs.n_left;
    size_t n = n_bytes < n_left ? n_bytes : n_left;
    const unsigned char *zero = memchr(data, 0, n);

    /* What is before the zero may be too much already. */
    size_t n_plain = zero != NULL ? (size_t)(zero - data) : n;
    int error = add(decoder, data, n_plain, at_byte);
    if (error == 0 && zero != NULL)
        error = frame_fail(decoder, -EBADMSG, at_byte + n_plain, 0, "a zero stands within a block");
    decoder->state.cobs.n_left -= (unsigned)n_plain;
    *ret_n_taken = n;
    return error;
}

static int take(struct sonde_frame_decoder *decoder, const unsigned char *data, size_t n_bytes,
                struct frame_step *ret_step)
{
    int found = decoder->in_message ? FRAME_MORE : take_whole(decoder, data, n_bytes, ret_step);

    for (size_t i = 0, n; i < n_bytes && found == FRAME_MORE; i += n) {
        n = 1;
        if (decoder->state.cobs.n_left > 0) {
            found = take_block(decoder, data + i, n_bytes - i, decoder->n_taken + i, &n);
        } else if (data[i] != 0) {
            found = begin_block(decoder, data[i], decoder->n_taken + i);
        } else {
            ret_step->message = decoder->kept;
            ret_step->n_message = decoder->n_kept;
            found = FRAME_MESSAGE;
        }
        ret_step->n_taken = i + n;
    }
    return found;
}

static size_t bound(size_t n_bytes)
{
    size_t n_more = n_bytes / (LONGEST - 1) + 2;

    return n_bytes > SIZE_MAX - n_more ? SIZE_MAX : n_bytes + n_more;
}

static int escape(const unsigned char *data, size_t n_bytes, unsigned char *ret_bytes, size_t *ret_n_bytes)
{
    unsigned char *code = ret_bytes, *to = ret_bytes + 1;

    for (size_t i = 0; i < n_bytes; i++) {
        if (data[i] != 0)
            *to++ = data[i];
        size_t n_block = (size_t)(to - code);
        if (data[i] != 0 && (n_block < LONGEST || i + 1 == n_bytes))
            continue;
        *code = (unsigned char)n_block;
        code = to++;
    }
    *code = (unsigned char)(to - code);
    *to++ = 0;
    *ret_n_bytes = (size_t)(to - ret_bytes);
    return 0;
}

const struct frame_codec frame_cobs = {.name = "cobs", .take = take, .bound = bound, .escape = escape};
