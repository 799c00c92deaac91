/* SPDX-License-Identifier: MIT */
/* fixed:N: every message has N bytes. */
#include "base/parse.h"
#include "frame/frame_internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static int head(const struct sonde_frame *frame, const unsigned char *data, size_t n_bytes, size_t max_bytes,
                struct frame_head *ret_head)
{
    (void)data, (void)n_bytes, (void)max_bytes;
    ret_head->n_body = frame->fixed_bytes;
    return 1;
}

static int wrap(const struct sonde_frame *frame, const unsigned char *data, size_t n_bytes,
                struct sonde_frame_envelope *ret_wrap)
{
    (void)data, (void)ret_wrap;
    return n_bytes == frame->fixed_bytes ? 0 : -EMSGSIZE;
}

static bool is_valid(const struct sonde_frame *frame)
{
    return frame->fixed_bytes >= 1 && frame->fixed_bytes <= SONDE_FRAME_FIXED_MAX;
}

static size_t least(const struct sonde_frame *frame)
{
    return frame->fixed_bytes;
}

static int parse(const char *text, struct sonde_frame *frame, const char **ret_hint)
{
    uint64_t n_bytes;

    *ret_hint = "fixed:N takes the number of bytes of each message, 1 to 1073741824, as in fixed:16";
    if (parse_number(text, strlen(text), false, SONDE_FRAME_FIXED_MAX, &n_bytes) < 0 || n_bytes == 0)
        return -EINVAL;
    frame->fixed_bytes = (uint32_t)n_bytes;
    return 0;
}

static size_t format(const struct sonde_frame *frame, char *ret_text, size_t size_bytes)
{
    return (size_t)snprintf(ret_text, size_bytes, "%u", (unsigned)frame->fixed_bytes);
}

const struct frame_codec frame_fixed = {
    .name = "fixed",
    .parse = parse,
    .format = format,
    .is_valid = is_valid,
    .least = least,
    .take = frame_take_length,
    .head = head,
    .wrap = wrap,
};
