/* SPDX-License-Identifier: MIT */
/* varint: the length in 7 bits a byte, the lowest first, the highest bit set in all bytes but the last. */
#include "frame/frame_internal.h"

#include <errno.h>

enum { VARINT_MAX = 10 }; /* 64 bits */

static int head(const struct sonde_frame *frame, const unsigned char *data, size_t n_bytes, size_t max_bytes,
                struct frame_head *ret_head)
{
    uint64_t number = 0;

    (void)frame, (void)max_bytes;
    for (size_t i = 0; i < n_bytes; i++) {
        /* The tenth byte has room for one bit. */
        if (i == VARINT_MAX - 1 && data[i] > 1) {
            ret_head->at = i;
            ret_head->what = "a varint has more than 64 bits";
            return -EBADMSG;
        }
        number |= (uint64_t)(data[i] & 0x7f) << 7 * i;
        if ((data[i] & 0x80) == 0) {
            ret_head->n_head = i + 1;
            ret_head->n_body = number;
            return 1;
        }
    }
    return 0;
}

static int wrap(const struct sonde_frame *frame, const unsigned char *data, size_t n_bytes,
                struct sonde_frame_envelope *ret_wrap)
{
    uint64_t number = n_bytes;

    (void)frame, (void)data;
    ret_wrap->n_head = 0;
    for (; number > 0x7f; number >>= 7)
        ret_wrap->head[ret_wrap->n_head++] = (uint8_t)(number | 0x80);
    ret_wrap->head[ret_wrap->n_head++] = (uint8_t)number;
    return 0;
}

const struct frame_codec frame_varint = {.name = "varint", .take = frame_take_length, .head = head, .wrap = wrap};
