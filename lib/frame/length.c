/* SPDX-License-Identifier: MIT */
/*
 * Messages that begin with their length. The head is read from the message's first bytes by a pure function of the
 * codec; what is done with it is the same for all. A head that was cut is put together byte by byte, a body in pieces.
 */
#include "frame/frame_internal.h"

#include <errno.h>

enum { HEAD_MAX = 24 }; /* more than any length has that stands before its message */

uint64_t frame_read_number(const unsigned char *data, unsigned width, bool big_endian)
{
    uint64_t number = 0;

    for (unsigned i = 0; i < width; i++)
        number = number << 8 | data[big_endian ? i : width - 1 - i];
    return number;
}

void frame_write_number(uint64_t number, unsigned width, bool big_endian, uint8_t *ret_bytes)
{
    for (unsigned i = 0; i < width; i++)
        ret_bytes[big_endian ? width - 1 - i : i] = (uint8_t)(number >> 8 * i);
}

/* 1: the head is known, and the message not too long. */
static int read_head(struct sonde_frame_decoder *decoder, const unsigned char *data, size_t n_bytes,
                     struct frame_head *ret_head)
{
    struct frame_head head = {.n_body = 0};
    int found = decoder->codec->head(&decoder->frame, data, n_bytes, decoder->max_bytes, &head);

    if (found == 1 && head.n_body > decoder->max_bytes)
        found = -EMSGSIZE;
    if (found == -EMSGSIZE)
        return frame_fail(decoder, found, decoder->begin + head.at, head.n_body, FRAME_TOO_LONG);
    if (found < 0)
        return frame_fail(decoder, found, decoder->begin + head.at, 0, head.what);
    *ret_head = head;
    return found;
}

static size_t whole_of(const struct frame_head *head)
{
    return head->n_head + (size_t)head->n_body + head->n_tail;
}

static int finish(struct sonde_frame_decoder *decoder, const unsigned char *data, const struct frame_head *head,
                  struct frame_step *ret_step)
{
    size_t n_body = (size_t)head->n_body;

    /* Only netstrings have one. */
    if (head->n_tail > 0 && data[head->n_head + n_body] != ',')
        return frame_fail(decoder, -EBADMSG, decoder->begin + head->n_head + n_body, 0,
                          "no comma stands behind a netstring");
    ret_step->message = data + head->n_head;
    ret_step->n_message = n_body;
    return FRAME_MESSAGE;
}

/* Nothing is kept yet. */
static int take_first(struct sonde_frame_decoder *decoder, const unsigned char *data, size_t n_bytes,
                      struct frame_step *ret_step)
{
    struct frame_head head;
    int found = read_head(decoder, data, n_bytes, &head);

    if (found < 0)
        return found;
    size_t n_whole = found == 1 ? whole_of(&head) : SIZE_MAX;
    if (n_whole <= n_bytes) {
        ret_step->n_taken = n_whole;
        return finish(decoder, data, &head, ret_step);
    }
    decoder->in_message = found == 1;
    if (found == 1)
        decoder->state.head = head;
    ret_step->n_taken = n_bytes;
    int error = frame_keep(decoder, data, n_bytes, found == 1 ? n_whole : decoder->max_bytes + HEAD_MAX);
    return error < 0 ? error : FRAME_MORE;
}

/* The head was cut. Returns as read_head does, with what was taken of data for it. */
static int complete_head(struct sonde_frame_decoder *decoder, const unsigned char *data, size_t n_bytes,
                         size_t *ret_n_taken)
{
    for (size_t n = 0; n < n_bytes; n++) {
        int found = frame_keep(decoder, data + n, 1, decoder->max_bytes + HEAD_MAX);
        if (found == 0)
            found = read_head(decoder, decoder->kept, decoder->n_kept, &decoder->state.head);
        *ret_n_taken = n + 1;
        if (found != 0)
            return found;
    }
    return 0;
}

int frame_take_length(struct sonde_frame_decoder *decoder, const unsigned char *data, size_t n_bytes,
                      struct frame_step *ret_step)
{
    size_t n_taken = 0;

    if (decoder->n_kept == 0)
        return take_first(decoder, data, n_bytes, ret_step);
    if (!decoder->in_message) {
        int found = complete_head(decoder, data, n_bytes, &n_taken);
        ret_step->n_taken = n_taken;
        if (found != 1)
            return found < 0 ? found : FRAME_MORE;
        decoder->in_message = true;
    }
    const struct frame_head *head = &decoder->state.head;
    size_t n_more = whole_of(head) - decoder->n_kept, n_left = n_bytes - n_taken;
    if (n_more > n_left)
        n_more = n_left;
    int error = frame_keep(decoder, data + n_taken, n_more, whole_of(head));
    ret_step->n_taken = n_taken + n_more;
    if (error < 0)
        return error;
    return decoder->n_kept < whole_of(head) ? FRAME_MORE : finish(decoder, decoder->kept, head, ret_step);
}
