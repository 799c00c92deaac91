/* SPDX-License-Identifier: MIT */
/* len:OFFSET,WIDTH,ORDER,ADJUST: a length field within the message, which is handed out whole. */
#include "base/parse.h"
#include "frame/frame_internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static int head(const struct sonde_frame *frame, const unsigned char *data, size_t n_bytes, size_t max_bytes,
                struct frame_head *ret_head)
{
    size_t n_before = (size_t)frame->offset + frame->width;

    (void)max_bytes;
    if (n_bytes < n_before)
        return 0;
    uint64_t field = frame_read_number(data + frame->offset, frame->width, frame->big_endian != 0);
    ret_head->at = frame->offset;
    if (field > INT64_MAX / 2) {
        ret_head->n_body = field;
        return -EMSGSIZE;
    }
    int64_t n_after = (int64_t)field + frame->adjust;
    if (n_after < 0) {
        ret_head->what = "a length field says less than what has come already";
        return -EBADMSG;
    }
    ret_head->n_body = n_before + (uint64_t)n_after;
    return 1;
}

/* It is there as a whole: but does its field say so? */
static int wrap(const struct sonde_frame *frame, const unsigned char *data, size_t n_bytes,
                struct sonde_frame_envelope *ret_wrap)
{
    struct frame_head found = {.n_body = 0};

    (void)ret_wrap;
    return head(frame, data, n_bytes, 0, &found) == 1 && found.n_body == n_bytes ? 0 : -EBADMSG;
}

static bool is_width(uint64_t width)
{
    return (width >= 1 && width <= 4) || width == 8;
}

static bool is_valid(const struct sonde_frame *frame)
{
    return frame->offset <= SONDE_FRAME_OFFSET_MAX && is_width(frame->width) &&
           frame->adjust >= -SONDE_FRAME_ADJUST_MAX && frame->adjust <= SONDE_FRAME_ADJUST_MAX;
}

static size_t least(const struct sonde_frame *frame)
{
    return (size_t)frame->offset + frame->width + (frame->adjust > 0 ? (size_t)frame->adjust : 0);
}

/* The next word, and what stands behind its comma. */
static const char *next_word(const char **text, size_t *ret_n_bytes)
{
    const char *word = *text;

    *ret_n_bytes = strcspn(word, ",");
    *text = word + *ret_n_bytes + (word[*ret_n_bytes] == ',');
    return word;
}

static int parse(const char *text, struct sonde_frame *frame, const char **ret_hint)
{
    uint64_t offset, width, adjust;
    size_t n, n_order;
    unsigned n_commas = 0;

    *ret_hint = "len:OFFSET,WIDTH,ORDER,ADJUST: offset 0 to 4096, width 1, 2, 3, 4 or 8, order be or le, adjust "
                "-1048576 to 1048576, as in len:4,2,be,0";
    for (const char *c = text; *c != '\0'; c++)
        n_commas += *c == ',';
    if (n_commas != 3)
        return -EINVAL;
    const char *word = next_word(&text, &n);
    if (parse_number(word, n, false, SONDE_FRAME_OFFSET_MAX, &offset) < 0)
        return -EINVAL;
    word = next_word(&text, &n);
    if (parse_number(word, n, false, 8, &width) < 0 || !is_width(width))
        return -EINVAL;
    const char *order = next_word(&text, &n_order);
    if (n_order != 2 || (memcmp(order, "be", 2) != 0 && memcmp(order, "le", 2) != 0))
        return -EINVAL;
    bool negative = *text == '-';
    text += negative || *text == '+';
    if (parse_number(text, strlen(text), false, SONDE_FRAME_ADJUST_MAX, &adjust) < 0)
        return -EINVAL;
    frame->offset = (uint32_t)offset;
    frame->width = (uint8_t)width;
    frame->big_endian = order[0] == 'b';
    frame->adjust = negative ? -(int32_t)adjust : (int32_t)adjust;
    return 0;
}

static size_t format(const struct sonde_frame *frame, char *ret_text, size_t size_bytes)
{
    return (size_t)snprintf(ret_text, size_bytes, "%u,%u,%s,%d", (unsigned)frame->offset, (unsigned)frame->width,
                            frame->big_endian ? "be" : "le", (int)frame->adjust);
}

const struct frame_codec frame_len = {
    .name = "len",
    .parse = parse,
    .format = format,
    .is_valid = is_valid,
    .least = least,
    .take = frame_take_length,
    .head = head,
    .wrap = wrap,
};
