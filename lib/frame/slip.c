/* SPDX-License-Identifier: MIT */
/*
 * slip (RFC 1055): END ends a message; END and ESC inside are sent as two bytes. An ESC before anything else is an
 * error here, where the RFC leaves it open.
 */
#include "frame/frame_internal.h"

#include <errno.h>
#include <string.h>

enum { END = 0xc0, ESC = 0xdb, ESC_END = 0xdc, ESC_ESC = 0xdd };

static int add(struct sonde_frame_decoder *decoder, const unsigned char *data, size_t n_bytes, uint64_t at_byte)
{
    size_t n_room = decoder->max_bytes - decoder->n_kept;

    if (n_bytes > n_room)
        return frame_fail(decoder, -EMSGSIZE, at_byte + n_room, decoder->max_bytes + 1, FRAME_TOO_LONG);
    return frame_keep(decoder, data, n_bytes, decoder->max_bytes);
}

static int add_escaped(struct sonde_frame_decoder *decoder, unsigned char c, uint64_t at_byte)
{
    const unsigned char plain = c == ESC_END ? END : ESC;

    if (c != ESC_END && c != ESC_ESC)
        return frame_fail(decoder, -EBADMSG, at_byte, 0, "neither DC nor DD stands behind a DB");
    decoder->state.escaped = false;
    return add(decoder, &plain, 1, at_byte);
}

static size_t plain_length(const unsigned char *data, size_t n_bytes)
{
    size_t n = 0;

    while (n < n_bytes && data[n] != END && data[n] != ESC)
        n++;
    return n;
}

/* The message lies here as it was, or begins with an END that belongs to none. */
static int take_whole(const struct sonde_frame_decoder *decoder, const unsigned char *data, size_t n_bytes,
                      struct frame_step *ret_step)
{
    size_t n = plain_length(data, n_bytes);

    if (n == n_bytes || data[n] == ESC || n > decoder->max_bytes)
        return FRAME_MORE;
    *ret_step = (struct frame_step){.n_taken = n + 1, .message = data, .n_message = n};
    return n > 0 ? FRAME_MESSAGE : FRAME_SKIP;
}

static int take(struct sonde_frame_decoder *decoder, const unsigned char *data, size_t n_bytes,
                struct frame_step *ret_step)
{
    int found = FRAME_MORE;

    if (decoder->n_kept == 0 && !decoder->state.escaped)
        found = take_whole(decoder, data, n_bytes, ret_step);
    for (size_t i = 0, n; i < n_bytes && found == FRAME_MORE; i += n) {
        n = 1;
        ret_step->n_taken = i + 1;
        if (decoder->state.escaped) {
            found = add_escaped(decoder, data[i], decoder->n_taken + i);
        } else if (data[i] == ESC) {
            decoder->state.escaped = true;
        } else if (data[i] == END) {
            ret_step->message = decoder->kept;
            ret_step->n_message = decoder->n_kept;
            found = FRAME_MESSAGE;
        } else {
            n = plain_length(data + i, n_bytes - i);
            ret_step->n_taken = i + n;
            found = add(decoder, data + i, n, decoder->n_taken + i);
        }
    }
    return found;
}

static size_t bound(size_t n_bytes)
{
    return n_bytes > (SIZE_MAX - 1) / 2 ? SIZE_MAX : 2 * n_bytes + 1;
}

static int escape(const unsigned char *data, size_t n_bytes, unsigned char *ret_bytes, size_t *ret_n_bytes)
{
    unsigned char *to = ret_bytes;

    if (n_bytes == 0)
        return -EBADMSG;
    for (size_t i = 0; i < n_bytes; i++) {
        if (data[i] == END || data[i] == ESC) {
            *to++ = ESC;
            *to++ = data[i] == END ? ESC_END : ESC_ESC;
        } else {
            *to++ = data[i];
        }
    }
    *to++ = END;
    *ret_n_bytes = (size_t)(to - ret_bytes);
    return 0;
}

const struct frame_codec frame_slip = {.name = "slip", .take = take, .bound = bound, .escape = escape};
