/* SPDX-License-Identifier: MIT */
/* Codecs as people write them. */
#include "base/parse.h"
#include "frame/frame_internal.h"

#include <stdio.h>
#include <string.h>

#define HINT                                                                                                           \
    "the codecs are none, line, crlf, nul, fixed:N, u8, u16be, u16le, u32be, u32le, varint, netstring, slip, cobs, "   \
    "delim:HEX, len:OFFSET,WIDTH,ORDER,ADJUST"

enum { SHOWN_MAX = 64 };

_Static_assert(sizeof HINT <= sizeof((struct sonde_why *)0)->detail, "the hint is whole");

int sonde_frame_parse(const char *text, struct sonde_frame *ret_frame, struct sonde_why *ret_why)
{
    size_t n_name = strcspn(text, ":");
    const char *hint = HINT;

    for (unsigned i = 0; i < FRAME_CODECS; i++) {
        const struct frame_codec *codec = frame_codecs[i];
        struct sonde_frame frame = {.codec = (enum sonde_frame_codec)i};
        if (strlen(codec->name) != n_name || memcmp(codec->name, text, n_name) != 0)
            continue;
        if (codec->parse == NULL && text[n_name] == ':')
            hint = "this codec takes nothing behind its name";
        else if (codec->parse != NULL && codec->parse(text + n_name + (text[n_name] == ':'), &frame, &hint) < 0)
            break;
        else {
            if (codec->init != NULL)
                codec->init(&frame);
            *ret_frame = frame;
            return 0;
        }
        break;
    }
    return parse_refuse(ret_why, -SONDE_EOPTION, text, strnlen(text, SHOWN_MAX), hint);
}

size_t sonde_frame_format(const struct sonde_frame *frame, char *ret_text, size_t size_bytes)
{
    const struct frame_codec *codec = frame_codec_of(frame);
    char text[SONDE_FRAME_TEXT] = "?";

    if (codec != NULL)
        snprintf(text, sizeof text, "%s%s", codec->name, codec->format != NULL ? ":" : "");
    size_t n = strlen(text);
    if (codec != NULL && codec->format != NULL)
        codec->format(frame, text + n, sizeof text - n);
    int length = snprintf(ret_text, size_bytes, "%s", text);
    return length < 0 || size_bytes == 0 ? 0 : (size_t)length < size_bytes ? (size_t)length : size_bytes - 1;
}
