/* SPDX-License-Identifier: MIT */
#include "frame/frame_internal.h"

#include <errno.h>
#include <string.h>

int sonde_frame_wrap(const struct sonde_frame *frame, const void *data, size_t n_bytes,
                     struct sonde_frame_envelope *ret_wrap)
{
    const struct frame_codec *codec = frame_codec_of(frame);
    struct sonde_frame_envelope wrap = {.n_head = 0};

    if (codec == NULL)
        return -EINVAL;
    if (codec->wrap == NULL)
        return -ENOTSUP;
    int error = codec->wrap(frame, data, n_bytes, &wrap);
    if (error == 0)
        *ret_wrap = wrap;
    return error;
}

size_t sonde_frame_bound(const struct sonde_frame *frame, size_t n_bytes)
{
    const struct frame_codec *codec = frame_codec_of(frame);
    const struct sonde_frame_envelope *wrap = NULL;
    size_t n_most = sizeof wrap->head + sizeof wrap->tail;

    if (codec != NULL && codec->bound != NULL)
        return codec->bound(n_bytes);
    return n_bytes > SIZE_MAX - n_most ? SIZE_MAX : n_bytes + n_most;
}

int sonde_frame_encode(const struct sonde_frame *frame, const void *data, size_t n_bytes, void *ret_bytes,
                       size_t size_bytes, size_t *ret_n_bytes)
{
    const struct frame_codec *codec = frame_codec_of(frame);
    struct sonde_frame_envelope wrap;
    unsigned char *to = ret_bytes;

    if (codec == NULL)
        return -EINVAL;
    if (size_bytes < sonde_frame_bound(frame, n_bytes))
        return -ENOBUFS;
    if (codec->escape != NULL)
        return codec->escape(data, n_bytes, to, ret_n_bytes);
    int error = sonde_frame_wrap(frame, data, n_bytes, &wrap);
    if (error < 0)
        return error;
    memcpy(to, wrap.head, wrap.n_head);
    if (n_bytes > 0)
        memcpy(to + wrap.n_head, data, n_bytes);
    memcpy(to + wrap.n_head + n_bytes, wrap.tail, wrap.n_tail);
    *ret_n_bytes = wrap.n_head + n_bytes + wrap.n_tail;
    return 0;
}
