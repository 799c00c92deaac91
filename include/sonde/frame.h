/* SPDX-License-Identifier: MIT */
/*
 * Framing: messages in a stream of bytes. TCP carries bytes and keeps no boundaries; a codec says where one message
 * ends and the next begins. Pure: no sockets, no loop, no clock. Any thread, one at a time for each decoder.
 *
 *   none                 no boundaries: each piece that comes is a message of its own (several, when it is longer than
 *                        the maximum)
 *   line, crlf, nul      ends with LF, CR LF, NUL, which is no part of the message
 *   delim:HEX            ends with these 1 to 16 bytes, as in delim:0d0a0d0a
 *   fixed:N              every message has N bytes
 *   u8 u16be u16le       a length of 1, 2 or 4 bytes comes first, big- or little-endian; it counts the bytes of the
 *   u32be u32le          message, not its own
 *   varint               the same, in 7 bits a byte, the lowest first (LEB128, as Protocol Buffers have it); at most 10
 *                        bytes, and more of them than are needed are understood
 *   netstring            the length in decimal digits, a colon, the message, a comma (D. J. Bernstein: Netstrings)
 *   slip                 ends with 0xC0; inside, 0xC0 is sent as DB DC and 0xDB as DB DD (RFC 1055). Empty messages
 *                        cannot be carried: 0xC0 between messages is skipped
 *   cobs                 ends with a zero; zeros inside are stuffed (Cheshire and Baker, IEEE/ACM Transactions on
 *                        Networking 7 (2), 1999). A zero where a message would begin is skipped
 *   len:OFFSET,WIDTH,ORDER,ADJUST
 *                        a device's protocol: OFFSET bytes into the message stands a field of WIDTH bytes (1, 2, 3, 4
 *                        or 8), ORDER be or le; behind the field follow as many bytes as it says plus ADJUST (which may
 *                        be negative). The message is all of it: OFFSET + WIDTH + field + ADJUST bytes. Modbus/TCP is
 *                        len:4,2,be,0; where the field counts the whole message, ADJUST is -(OFFSET + WIDTH)
 */
#ifndef SONDE_FRAME_H
#define SONDE_FRAME_H

#include <sonde/error.h>
#include <sonde/loop.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum sonde_frame_codec {
    SONDE_FRAME_NONE,
    SONDE_FRAME_LINE,
    SONDE_FRAME_CRLF,
    SONDE_FRAME_NUL,
    SONDE_FRAME_FIXED,
    SONDE_FRAME_U8,
    SONDE_FRAME_U16BE,
    SONDE_FRAME_U16LE,
    SONDE_FRAME_U32BE,
    SONDE_FRAME_U32LE,
    SONDE_FRAME_VARINT,
    SONDE_FRAME_NETSTRING,
    SONDE_FRAME_SLIP,
    SONDE_FRAME_COBS,
    SONDE_FRAME_DELIM,
    SONDE_FRAME_LEN
};

#define SONDE_FRAME_DELIMITER_MAX 16
#define SONDE_FRAME_FIXED_MAX (1u << 30)
#define SONDE_FRAME_OFFSET_MAX 4096u
#define SONDE_FRAME_ADJUST_MAX (1 << 20) /* to either side */

/* A codec with what it needs to know. Plain data, made by sonde_frame_parse: copy it freely. */
struct sonde_frame {
    enum sonde_frame_codec codec;
    uint32_t fixed_bytes;                         /* FIXED */
    uint8_t delimiter[SONDE_FRAME_DELIMITER_MAX]; /* LINE, CRLF, NUL, DELIM */
    uint8_t n_delimiter, width, big_endian;       /* LEN: the field's bytes; not 0: the highest first */
    uint32_t offset;                              /* LEN: where the field stands in the message */
    int32_t adjust;                               /* LEN: what is added to its value */
};

/* Room for any text that sonde_frame_format writes, and its NUL. */
#define SONDE_FRAME_TEXT 64

/* Read a codec as written above; numbers are decimal, HEX may hold spaces or colons between bytes. 0 or -SONDE_EOPTION;
 * ret_why (may be NULL) then says what would be right. */
SONDE_API int sonde_frame_parse(const char *text, struct sonde_frame *ret_frame, struct sonde_why *ret_why);

/* Write it as sonde_frame_parse reads it. Returns the length written, always less than size_bytes (the text is cut to
 * fit). */
SONDE_API size_t sonde_frame_format(const struct sonde_frame *frame, char *ret_text, size_t size_bytes);

/*
 * Decoding. The stream is fed in whatever pieces it comes, and each message is handed out as soon as its last byte is
 * there: how the stream was cut never makes a difference (but with none, which knows nothing else).
 *
 * A message that lies whole in one piece is lent from there, with slip and cobs when nothing in it was escaped. One
 * that does not is put together in a buffer of the decoder's own, which grows with what has come, never beyond the
 * maximum, and is given back after the message if it is large. A stream whose messages are never cut costs no memory
 * beyond the decoder. A length beyond the maximum is refused as soon as it has been read.
 */
struct sonde_frame_decoder;

#define SONDE_FRAME_MAX (1024u * 1024u)

struct sonde_frame_decoder_options {
    size_t size;                             /* sizeof(struct sonde_frame_decoder_options) */
    uint64_t max_bytes;                      /* longest message, as it is handed out; 0: SONDE_FRAME_MAX */
    const struct sonde_allocator *allocator; /* NULL: malloc; copied */
};

/* A message, lent for the time of the call; data is never NULL, n_bytes may be 0. 0: go on; anything else stops: feed
 * returns it right after. The decoder must not be fed or freed from in here. */
typedef int (*sonde_frame_message)(const void *data, size_t n_bytes, void *user);

/* options may be NULL. Errors: -EINVAL (not a codec, or a maximum of more than SIZE_MAX / 16), -EMSGSIZE (no message of
 * this codec fits the maximum), -ENOMEM. To be freed with sonde_frame_decoder_free. */
SONDE_API int sonde_frame_decoder_create(const struct sonde_frame *frame,
                                         const struct sonde_frame_decoder_options *options, sonde_frame_message message,
                                         void *user, struct sonde_frame_decoder **ret_decoder);

/* NULL is fine. */
SONDE_API void sonde_frame_decoder_free(struct sonde_frame_decoder *decoder);

/* The next bytes of the stream. 0: all were taken. What message returned when it was not 0: *ret_n_taken (may be NULL)
 * says how many were taken, the rest is to be fed again. A negative error, when the stream is not what it should be:
 *
 *   -EMSGSIZE   a message is longer than the maximum
 *   -EBADMSG    malformed
 *   -ENOMEM     there is no memory to put a message together
 *
 * Then the decoder has failed: all messages before that place were handed out, none follows, and it stays so. (The
 * messages' own returns had better be positive.) */
SONDE_API int sonde_frame_decoder_feed(struct sonde_frame_decoder *decoder, const void *data, size_t n_bytes,
                                       size_t *ret_n_taken);

/* The stream has ended. 0: between two messages; -ENODATA: in the middle of one, and the decoder has failed; the error
 * again if it had failed before. */
SONDE_API int sonde_frame_decoder_end(struct sonde_frame_decoder *decoder);

/* Why it has failed. */
struct sonde_frame_fault {
    int error;        /* negative, as above; 0: it has not */
    uint64_t at_byte; /* EBADMSG: the byte of the stream, from 0, that is wrong; EMSGSIZE: the first of the length, or
                         the first that is too much; ENODATA: where the stream ended */
    uint64_t n_bytes; /* EMSGSIZE: how long the message is, at least; ENODATA: how much of it has come, its length and
                         the like included */
    const char *what; /* in words, lower case, without a full stop; static; never NULL */
};
SONDE_API void sonde_frame_decoder_fault(const struct sonde_frame_decoder *decoder,
                                         struct sonde_frame_fault *ret_fault);

/* What is kept of a message that has not ended: its length, and where it lies until the next call. With line, crlf, nul
 * and delim these are the bytes since the last delimiter, and so a last line without its end; with the others what has
 * been put together so far, a length before it included. Valid after sonde_frame_decoder_end too. */
SONDE_API size_t sonde_frame_decoder_rest(const struct sonde_frame_decoder *decoder, const void **ret_data);

/* Messages handed out, and bytes of the stream taken. */
SONDE_API uint64_t sonde_frame_decoder_messages(const struct sonde_frame_decoder *decoder);
SONDE_API uint64_t sonde_frame_decoder_taken_bytes(const struct sonde_frame_decoder *decoder);

/*
 * Encoding. A message that the codec cannot carry is refused, never changed:
 *
 *   -EBADMSG    it holds the delimiter, or so much of it that it would end early; it is empty (none, slip); its length
 *               field does not say its length (len: the message is all of it, as it was handed out)
 *   -EMSGSIZE   the codec cannot say its length, or demands another one (fixed)
 */

/* What goes before and behind a message, which itself is sent as it is. */
struct sonde_frame_envelope {
    uint8_t head[24], tail[SONDE_FRAME_DELIMITER_MAX];
    uint8_t n_head, n_tail;
};

/* -ENOTSUP: slip and cobs change the bytes themselves; sonde_frame_encode is for them. */
SONDE_API int sonde_frame_wrap(const struct sonde_frame *frame, const void *data, size_t n_bytes,
                               struct sonde_frame_envelope *ret_wrap);

/* The most that a message of so many bytes becomes. SIZE_MAX: more than can be said. */
SONDE_API size_t sonde_frame_bound(const struct sonde_frame *frame, size_t n_bytes);

/* Write the message with all that belongs to it; any codec. size_bytes is at least what sonde_frame_bound says, or it
 * is -ENOBUFS. data and ret_bytes must not overlap. */
SONDE_API int sonde_frame_encode(const struct sonde_frame *frame, const void *data, size_t n_bytes, void *ret_bytes,
                                 size_t size_bytes, size_t *ret_n_bytes);

#ifdef __cplusplus
}
#endif
#endif
