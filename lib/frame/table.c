/* SPDX-License-Identifier: MIT */
#include "frame/frame_internal.h"

const struct frame_codec *const frame_codecs[FRAME_CODECS] = {
    [SONDE_FRAME_NONE] = &frame_none,     [SONDE_FRAME_LINE] = &frame_line,
    [SONDE_FRAME_CRLF] = &frame_crlf,     [SONDE_FRAME_NUL] = &frame_nul,
    [SONDE_FRAME_FIXED] = &frame_fixed,   [SONDE_FRAME_U8] = &frame_u8,
    [SONDE_FRAME_U16BE] = &frame_u16be,   [SONDE_FRAME_U16LE] = &frame_u16le,
    [SONDE_FRAME_U32BE] = &frame_u32be,   [SONDE_FRAME_U32LE] = &frame_u32le,
    [SONDE_FRAME_VARINT] = &frame_varint, [SONDE_FRAME_NETSTRING] = &frame_netstring,
    [SONDE_FRAME_SLIP] = &frame_slip,     [SONDE_FRAME_COBS] = &frame_cobs,
    [SONDE_FRAME_DELIM] = &frame_delim,   [SONDE_FRAME_LEN] = &frame_len,
};

const struct frame_codec *frame_codec_of(const struct sonde_frame *frame)
{
    if ((unsigned)frame->codec >= FRAME_CODECS)
        return NULL;
    const struct frame_codec *codec = frame_codecs[frame->codec];
    return codec->is_valid == NULL || codec->is_valid(frame) ? codec : NULL;
}
