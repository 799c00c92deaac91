/* SPDX-License-Identifier: MIT */
/*
 * line, crlf, nul, delim: messages end with a delimiter, the first that there is, from left to right.
 *
 * A message is too long once its maximum and a delimiter's worth of bytes have come and none of them begins a
 * delimiter: so much is kept, and no more. A delimiter that was cut is looked for in a small window over both pieces.
 */
#include "frame/frame_internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const unsigned char *find(const struct sonde_frame *frame, const unsigned char *data, size_t n_bytes)
{
    if (n_bytes < frame->n_delimiter)
        return NULL;
    return frame->n_delimiter == 1 ? memchr(data, frame->delimiter[0], n_bytes)
                                   : memmem(data, n_bytes, frame->delimiter, frame->n_delimiter);
}

static int too_long(struct sonde_frame_decoder *decoder)
{
    return frame_fail(decoder, -EMSGSIZE, decoder->begin + decoder->max_bytes, decoder->max_bytes + 1,
                      "no delimiter has come, and the message is longer than the maximum");
}

/* The message ends in `data`, or in the kept bytes: n_more of data belong to it, which need not be kept when nothing
 * else was. */
static int finish(struct sonde_frame_decoder *decoder, const unsigned char *data, size_t n_more, size_t n_taken,
                  struct frame_step *ret_step)
{
    *ret_step = (struct frame_step){.n_taken = n_taken, .message = data, .n_message = n_more};
    if (decoder->n_kept == 0)
        return FRAME_MESSAGE;
    int error = frame_keep(decoder, data, n_more, decoder->n_kept + n_more);
    ret_step->message = decoder->kept;
    ret_step->n_message = decoder->n_kept;
    return error < 0 ? error : FRAME_MESSAGE;
}

/* Does a delimiter begin in the kept bytes and end in the new ones? Then *ret_n_taken are its own of those. */
static bool ends_across(struct sonde_frame_decoder *decoder, const unsigned char *data, size_t n_bytes,
                        size_t *ret_n_taken)
{
    unsigned char window[2 * SONDE_FRAME_DELIMITER_MAX];
    size_t n_delimiter = decoder->frame.n_delimiter;
    size_t n_old = decoder->n_kept < n_delimiter - 1 ? decoder->n_kept : n_delimiter - 1;
    size_t n_new = n_bytes < n_delimiter - 1 ? n_bytes : n_delimiter - 1;

    if (n_old == 0)
        return false;
    memcpy(window, decoder->kept + decoder->n_kept - n_old, n_old);
    memcpy(window + n_old, data, n_new);
    const unsigned char *found = find(&decoder->frame, window, n_old + n_new);
    if (found == NULL)
        return false;
    size_t at = (size_t)(found - window); /* before n_old, since fewer than n_delimiter new ones are in the window */
    *ret_n_taken = at + n_delimiter - n_old;
    decoder->n_kept -= n_old - at;
    return true;
}

static int take(struct sonde_frame_decoder *decoder, const unsigned char *data, size_t n_bytes,
                struct frame_step *ret_step)
{
    const size_t n_delimiter = decoder->frame.n_delimiter;
    const size_t n_most = decoder->max_bytes + n_delimiter - 1; /* without one that is whole */
    size_t n_end = 0;

    if (decoder->n_kept > 0 && ends_across(decoder, data, n_bytes, &n_end)) {
        if (decoder->n_kept > decoder->max_bytes)
            return too_long(decoder);
        *ret_step = (struct frame_step){n_end, decoder->kept, decoder->n_kept};
        return FRAME_MESSAGE;
    }
    /* A delimiter further on would come too late. */
    size_t n_looked = n_most + 1 - decoder->n_kept;
    const unsigned char *found = find(&decoder->frame, data, n_bytes < n_looked ? n_bytes : n_looked);
    if (found != NULL) {
        size_t n_more = (size_t)(found - data);
        return finish(decoder, data, n_more, n_more + n_delimiter, ret_step);
    }
    ret_step->n_taken = n_bytes;
    if (n_bytes >= n_looked)
        return too_long(decoder);
    int error = frame_keep(decoder, data, n_bytes, n_most);
    return error < 0 ? error : FRAME_MORE;
}

/* The first delimiter that the other side finds must be the one behind the message. */
static int wrap(const struct sonde_frame *frame, const unsigned char *data, size_t n_bytes,
                struct sonde_frame_envelope *ret_wrap)
{
    size_t n_delimiter = frame->n_delimiter;
    size_t n_last = n_bytes < n_delimiter - 1 ? n_bytes : n_delimiter - 1;
    unsigned char window[2 * SONDE_FRAME_DELIMITER_MAX];

    if (n_bytes > 0 && find(frame, data, n_bytes) != NULL)
        return -EBADMSG;
    if (n_last > 0)
        memcpy(window, data + n_bytes - n_last, n_last);
    memcpy(window + n_last, frame->delimiter, n_delimiter);
    if (find(frame, window, n_last + n_delimiter) != window + n_last)
        return -EBADMSG;
    memcpy(ret_wrap->tail, frame->delimiter, n_delimiter);
    ret_wrap->n_tail = (uint8_t)n_delimiter;
    return 0;
}

static bool is_valid(const struct sonde_frame *frame)
{
    return frame->n_delimiter >= 1 && frame->n_delimiter <= SONDE_FRAME_DELIMITER_MAX;
}

static void set(struct sonde_frame *frame, const char *delimiter, size_t n_bytes)
{
    memcpy(frame->delimiter, delimiter, n_bytes);
    frame->n_delimiter = (uint8_t)n_bytes;
}

static void init_line(struct sonde_frame *frame)
{
    set(frame, "\n", 1);
}

static void init_crlf(struct sonde_frame *frame)
{
    set(frame, "\r\n", 2);
}

static void init_nul(struct sonde_frame *frame)
{
    set(frame, "\0", 1);
}

static int digit_of(char c)
{
    static const char digits[] = "0123456789abcdef";
    const char *found = c == '\0' ? NULL : strchr(digits, c >= 'A' && c <= 'F' ? c - 'A' + 'a' : c);

    return found == NULL ? -1 : (int)(found - digits);
}

static int parse(const char *text, struct sonde_frame *frame, const char **ret_hint)
{
    size_t n = 0;

    *ret_hint = "a delimiter is 1 to 16 bytes, each of two hexadecimal digits, as in delim:0d0a0d0a";
    for (; *text != '\0'; text += 2) {
        text += n > 0 && (*text == ' ' || *text == ':');
        int high = digit_of(text[0]), low = high < 0 ? -1 : digit_of(text[1]);
        if (low < 0 || n == SONDE_FRAME_DELIMITER_MAX)
            return -EINVAL;
        frame->delimiter[n++] = (uint8_t)(high << 4 | low);
    }
    frame->n_delimiter = (uint8_t)n;
    return n > 0 ? 0 : -EINVAL;
}

static size_t format(const struct sonde_frame *frame, char *ret_text, size_t size_bytes)
{
    size_t n = 0;

    for (size_t i = 0; i < frame->n_delimiter && n + 2 < size_bytes; i++, n += 2)
        snprintf(ret_text + n, size_bytes - n, "%02x", frame->delimiter[i]);
    return n;
}

#define DELIMITED .is_valid = is_valid, .take = take, .wrap = wrap

const struct frame_codec frame_line = {.name = "line", .init = init_line, DELIMITED};
const struct frame_codec frame_crlf = {.name = "crlf", .init = init_crlf, DELIMITED};
const struct frame_codec frame_nul = {.name = "nul", .init = init_nul, DELIMITED};
const struct frame_codec frame_delim = {.name = "delim", .parse = parse, .format = format, DELIMITED};
