/* SPDX-License-Identifier: MIT */
/* u8, u16be, u16le, u32be, u32le: the length as a number of 1, 2 or 4 bytes, then the message. */
#include "frame/frame_internal.h"

#include <errno.h>

static int head(unsigned width, bool big_endian, const unsigned char *data, size_t n_bytes, struct frame_head *ret_head)
{
    if (n_bytes < width)
        return 0;
    ret_head->n_head = width;
    ret_head->n_body = frame_read_number(data, width, big_endian);
    return 1;
}

static int wrap(unsigned width, bool big_endian, size_t n_bytes, struct sonde_frame_envelope *ret_wrap)
{
    if (n_bytes >> 4 * width >> 4 * width != 0)
        return -EMSGSIZE;
    frame_write_number(n_bytes, width, big_endian, ret_wrap->head);
    ret_wrap->n_head = (uint8_t)width;
    return 0;
}

#define WORD(codec, width, big_endian)                                                                                 \
    static int head_##codec(const struct sonde_frame *frame, const unsigned char *data, size_t n_bytes,                \
                            size_t max_bytes, struct frame_head *ret_head)                                             \
    {                                                                                                                  \
        (void)frame, (void)max_bytes;                                                                                  \
        return head(width, big_endian, data, n_bytes, ret_head);                                                       \
    }                                                                                                                  \
    static int wrap_##codec(const struct sonde_frame *frame, const unsigned char *data, size_t n_bytes,                \
                            struct sonde_frame_envelope *ret_wrap)                                                     \
    {                                                                                                                  \
        (void)frame, (void)data;                                                                                       \
        return wrap(width, big_endian, n_bytes, ret_wrap);                                                             \
    }                                                                                                                  \
    const struct frame_codec frame_##codec = {                                                                         \
        .name = #codec, .take = frame_take_length, .head = head_##codec, .wrap = wrap_##codec}

WORD(u8, 1, true);
WORD(u16be, 2, true);
WORD(u16le, 2, false);
WORD(u32be, 4, true);
WORD(u32le, 4, false);
