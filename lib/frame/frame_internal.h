/* SPDX-License-Identifier: MIT */
/* What the codecs share. A codec is one const description and one row in table.c. */
#ifndef FRAME_INTERNAL_H
#define FRAME_INTERNAL_H

#include <sonde/frame.h>
#include <stdbool.h>

/* What stands before a message's bytes and behind them, once it is known. */
struct frame_head {
    size_t n_head, n_tail;
    uint64_t n_body;
    size_t at;        /* of the message's first byte: where the length stands; or, with an error, what is wrong */
    const char *what; /* with an error */
};

struct sonde_frame_decoder {
    struct sonde_frame frame;
    const struct frame_codec *codec;
    size_t max_bytes;
    struct sonde_allocator allocator;
    sonde_frame_message message;
    void *user;

    uint64_t n_taken; /* of the stream, before what is looked at now */
    uint64_t begin;   /* where in the stream the message begins that is being read */
    uint64_t n_messages;
    struct sonde_frame_fault fault;

    unsigned char *kept; /* what has come of a message that was cut; NULL: no room was made yet */
    size_t n_kept, room;

    bool in_message; /* cobs: a block has begun; the length codecs: `head` is known */
    union {
        struct frame_head head; /* the codecs that begin with a length */
        bool escaped;           /* slip: the byte before was ESC */
        struct {
            unsigned n_left; /* of this block */
            bool zero_due;   /* a zero follows the block, unless the message ends */
        } cobs;
    } state;
};

/* What a codec has found at the beginning of the bytes it was given. */
struct frame_step {
    size_t n_taken; /* at least 1 */
    const void *message;
    size_t n_message;
};

enum frame_found {
    FRAME_MORE,    /* the message goes on */
    FRAME_MESSAGE, /* it ends here */
    FRAME_SKIP,    /* these bytes belong to none */
};

struct frame_codec {
    const char *name;
    /* What stands behind the colon; NULL: nothing may. The whole of the text must be right, or it is -EINVAL, with a
     * hint; what the description fills in by itself, such as a line's end, is done by init. */
    int (*parse)(const char *text, struct sonde_frame *frame, const char **ret_hint);
    void (*init)(struct sonde_frame *frame);
    size_t (*format)(const struct sonde_frame *frame, char *ret_text, size_t size_bytes);
    bool (*is_valid)(const struct sonde_frame *frame); /* NULL: always */
    /* The shortest message it has; NULL: nothing. */
    size_t (*least)(const struct sonde_frame *frame);

    /* Returns an enum frame_found, or a negative error with the fault set. n_bytes is at least 1. */
    int (*take)(struct sonde_frame_decoder *decoder, const unsigned char *data, size_t n_bytes,
                struct frame_step *ret_step);
    /* For take_length: 1 when the head is known from the first n_bytes of the message, 0 when more are needed, -EBADMSG
     * or -EMSGSIZE (with n_body) when it is wrong. The answer for more bytes is the same once it is not 0. */
    int (*head)(const struct sonde_frame *frame, const unsigned char *data, size_t n_bytes, size_t max_bytes,
                struct frame_head *ret_head);

    /* One of them: wrap, or escape with its bound. */
    int (*wrap)(const struct sonde_frame *frame, const unsigned char *data, size_t n_bytes,
                struct sonde_frame_envelope *ret_wrap);
    size_t (*bound)(size_t n_bytes);
    int (*escape)(const unsigned char *data, size_t n_bytes, unsigned char *ret_bytes, size_t *ret_n_bytes);
};

extern const struct frame_codec frame_none, frame_line, frame_crlf, frame_nul, frame_fixed, frame_u8, frame_u16be,
    frame_u16le, frame_u32be, frame_u32le, frame_varint, frame_netstring, frame_slip, frame_cobs, frame_delim,
    frame_len;

#define FRAME_CODECS 16

/* By enum sonde_frame_codec. */
extern const struct frame_codec *const frame_codecs[FRAME_CODECS];

/* NULL: it is no codec that could be used. */
const struct frame_codec *frame_codec_of(const struct sonde_frame *frame);

/* take of all codecs that have a head (length.c). */
int frame_take_length(struct sonde_frame_decoder *decoder, const unsigned char *data, size_t n_bytes,
                      struct frame_step *ret_step);

/* A number in the first width bytes, at most 8. */
uint64_t frame_read_number(const unsigned char *data, unsigned width, bool big_endian);
void frame_write_number(uint64_t number, unsigned width, bool big_endian, uint8_t *ret_bytes);

/* Keep these bytes of the message: 0, or -ENOMEM with the fault set. n_most is what the message will need at most. */
int frame_keep(struct sonde_frame_decoder *decoder, const void *data, size_t n_bytes, size_t n_most);

/* The fault, at that byte of the stream; returns the error. */
int frame_fail(struct sonde_frame_decoder *decoder, int error, uint64_t at_byte, uint64_t n_bytes, const char *what);

#define FRAME_TOO_LONG "a message is longer than the maximum"

#endif
