/* SPDX-License-Identifier: MIT */
/* netstring: "5:hello,". The length has no leading zero, but is 0 for the empty one. */
#include "frame/frame_internal.h"

#include <errno.h>
#include <stdio.h>

static int wrong(struct frame_head *ret_head, size_t at, const char *what)
{
    ret_head->at = at;
    ret_head->what = what;
    return -EBADMSG;
}

static int head(const struct sonde_frame *frame, const unsigned char *data, size_t n_bytes, size_t max_bytes,
                struct frame_head *ret_head)
{
    uint64_t number = 0;

    (void)frame;
    for (size_t i = 0; i < n_bytes; i++) {
        if (data[i] == ':' && i > 0) {
            ret_head->n_head = i + 1;
            ret_head->n_body = number;
            ret_head->n_tail = 1;
            return 1;
        }
        if (data[i] < '0' || data[i] > '9')
            return wrong(ret_head, i, "a netstring's length is not digits and a colon");
        if (i > 0 && number == 0)
            return wrong(ret_head, i, "a netstring's length begins with a zero");
        number = number * 10 + (data[i] - '0');
        /* Whatever comes after this digit. The maximum is far from the end of 64 bits. */
        if (number > max_bytes) {
            ret_head->n_body = number;
            return -EMSGSIZE;
        }
    }
    return 0;
}

static int wrap(const struct sonde_frame *frame, const unsigned char *data, size_t n_bytes,
                struct sonde_frame_envelope *ret_wrap)
{
    (void)frame, (void)data;
    ret_wrap->n_head = (uint8_t)snprintf((char *)ret_wrap->head, sizeof ret_wrap->head, "%zu:", n_bytes);
    ret_wrap->tail[0] = ',';
    ret_wrap->n_tail = 1;
    return 0;
}

const struct frame_codec frame_netstring = {.name = "netstring", .take = frame_take_length, .head = head, .wrap = wrap};
