/* SPDX-License-Identifier: MIT */
/* none: no boundaries. What comes in one piece is a message, cut at the maximum. */
#include "frame/frame_internal.h"

#include <errno.h>

static int take(struct sonde_frame_decoder *decoder, const unsigned char *data, size_t n_bytes,
                struct frame_step *ret_step)
{
    size_t n = n_bytes < decoder->max_bytes ? n_bytes : decoder->max_bytes;

    *ret_step = (struct frame_step){.n_taken = n, .message = data, .n_message = n};
    return FRAME_MESSAGE;
}

static int wrap(const struct sonde_frame *frame, const unsigned char *data, size_t n_bytes,
                struct sonde_frame_envelope *ret_wrap)
{
    (void)frame, (void)data, (void)ret_wrap;
    return n_bytes > 0 ? 0 : -EBADMSG;
}

const struct frame_codec frame_none = {.name = "none", .take = take, .wrap = wrap};
