/* SPDX-License-Identifier: MIT */
/*
 * WebSocket: frames and messages (RFC 6455), permessage-deflate (RFC 7692), and the parts of the opening handshake that
 * are not HTTP. Pure: no sockets, no clock, no random numbers of its own. Memory comes from the allocator that is
 * handed in, and is bounded by the message limit.
 */
#ifndef WS_WS_H
#define WS_WS_H

#include <sonde/loop.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* --- the opening handshake: key.c, terms.c ---------------------------------------------------------------------- */

enum {
    WS_KEY_TEXT = 25,    /* room for a Sec-WebSocket-Key and its NUL */
    WS_ACCEPT_TEXT = 29, /* for a Sec-WebSocket-Accept */
    WS_TERMS_TEXT = 160, /* for a Sec-WebSocket-Extensions of ours */
};

/* The client's key from 16 random bytes. */
void ws_key(const uint8_t random[16], char ret_key[WS_KEY_TEXT]);

/* Is it the base64 of 16 bytes (RFC 6455, 4.2.1)? */
bool ws_key_valid(const char *key);

/* What the server answers to it. 0, or -ENOMEM. */
int ws_accept(const char *key, char ret_accept[WS_ACCEPT_TEXT]);

/* What both sides have agreed on (RFC 7692, 7.1). A window of 8 bits is agreed to, but zlib can't compress for it: what
 * we send then goes uncompressed. */
struct ws_deflate_terms {
    bool server_no_context_takeover, client_no_context_takeover;
    uint8_t server_max_window_bits, client_max_window_bits; /* 8 to 15 */
    /* Spoken of in the offer: the answer has to give the server's, and may give the client's. */
    bool server_max_window_bits_offered, client_max_window_bits_offered;
};

/* Server: the first offer among the values of Sec-WebSocket-Extensions that can be agreed to. Several headers of that
 * name are given in one text, separated by commas (RFC 9110, 5.3). 0; -ENOENT: there is none, go on without; -EBADMSG:
 * it does not follow the grammar (RFC 6455, 9.1), and the handshake is to be refused. */
int ws_deflate_choose(const char *offers, struct ws_deflate_terms *ret_terms);

/* Server: the header's value for what was chosen. Returns its length. */
size_t ws_deflate_answer(const struct ws_deflate_terms *terms, char ret_text[WS_TERMS_TEXT]);

/* Client: the value to offer. Static. */
const char *ws_deflate_offer(void);

/* Client: what the server has answered to it; NULL or "" is no extension. 0: *ret_terms holds; -ENOENT: no compression;
 * -EBADMSG: something that was not offered, or not understood: the connection is to be given up (RFC 7692, 5.1). */
int ws_deflate_agree(const char *answer, struct ws_deflate_terms *ret_terms);

/* --- UTF-8: utf8.c ---------------------------------------------------------------------------------------------- */

/* Where a check stands that goes on with the next bytes. Zeroes: at the beginning. */
struct ws_utf8 {
    uint8_t n_wanted;  /* bytes that the character under way still needs */
    uint8_t low, high; /* what the next of them may be */
};

/* Is it still UTF-8 (RFC 3629)? False at the first byte that can't be, and of no use after it. */
bool ws_utf8_feed(struct ws_utf8 *utf8, const void *data, size_t n_bytes);

static inline bool ws_utf8_complete(const struct ws_utf8 *utf8)
{
    return utf8->n_wanted == 0;
}

bool ws_utf8_valid(const void *data, size_t n_bytes);

/* --- frames: mask.c, encode.c ----------------------------------------------------------------------------------- */

enum ws_opcode {
    WS_CONTINUATION = 0,
    WS_TEXT = 1,
    WS_BINARY = 2,
    WS_CLOSE = 8,
    WS_PING = 9,
    WS_PONG = 10,
};

enum {
    WS_FIN = 0x80, /* bits beside the opcode */
    WS_RSV1 = 0x40,
    WS_RSV = 0x70,

    WS_HEAD_MAX = 14,
    WS_CONTROL_MAX = 125,
    WS_REASON_MAX = 123,
};

/* The mask as the four bytes on the wire have it, for the bytes from `offset` on in the payload. */
static inline uint32_t ws_mask_at(uint32_t mask, size_t offset)
{
    uint8_t turned[4];
    const uint8_t *bytes = (const uint8_t *)&mask;
    uint32_t at;

    for (unsigned i = 0; i < 4; i++)
        turned[i] = bytes[(i + offset) & 3];
    __builtin_memcpy(&at, turned, 4);
    return at;
}

/* Mask, or unmask, in place, or from one place to another that does not overlap. Returns not 0 when one of the result's
 * bytes (of ws_mask), or of the source's (ws_mask_copy), is no ASCII. */
unsigned ws_mask(uint8_t *bytes, size_t n_bytes, uint32_t mask);
unsigned ws_mask_copy(uint8_t *to, const uint8_t *from, size_t n_bytes, uint32_t mask);

/* A frame's head; first is the opcode with WS_FIN, WS_RSV1. mask: NULL from a server. Returns its length. */
size_t ws_head(uint8_t ret_head[WS_HEAD_MAX], unsigned first, uint64_t n_bytes, const uint32_t *mask);

/* May this code stand in a Close frame (RFC 6455, 7.4)? */
bool ws_close_code_valid(unsigned code);

/* The payload of a Close frame: the code (0 or 1005: none, and no reason) and the reason, cut to what fits. Returns its
 * length. */
size_t ws_close_payload(uint8_t ret_payload[WS_CONTROL_MAX], unsigned code, const void *reason, size_t n_bytes);

/* --- compression: deflate.c ------------------------------------------------------------------------------------- */

/*
 * Both are made when the first message needs them. What they take from the allocator, in KiB: a compressor 39 at most
 * (its window is at most 4 KiB), a decompressor 8 and the peer's window, 32 at most.
 */
struct ws_compressor;
struct ws_decompressor;

/* Messages shorter than this are sent as they are. */
enum { WS_COMPRESS_LEAST = 64 };

/* bits: the window agreed on for this side, 9 to 15; with anything else it is -EINVAL. takeover: a message may refer to
 * those before it. */
int ws_compressor_create(const struct sonde_allocator *allocator, unsigned bits, bool takeover,
                         struct ws_compressor **ret_compressor);
void ws_compressor_free(struct ws_compressor *compressor);

/* Compress a message, into at most room bytes. 0: *ret_n_bytes have been written; -ENOBUFS: it does not fit, and is to
 * be sent as it is. */
int ws_compress(struct ws_compressor *compressor, const void *data, size_t n_bytes, void *ret_bytes, size_t room,
                size_t *ret_n_bytes);

int ws_decompressor_create(const struct sonde_allocator *allocator, unsigned bits, bool takeover,
                           struct ws_decompressor **ret_decompressor);
void ws_decompressor_free(struct ws_decompressor *decompressor);

/* Decompress some of a message into room. *ret_n_taken of the input were used, *ret_n_bytes written. 0: all of the
 * input was used and nothing more comes of it; -ENOBUFS: there is more, for more room; -EBADMSG: no DEFLATE; -ENOMEM.
 */
int ws_decompress(struct ws_decompressor *decompressor, const void *data, size_t n_bytes, void *ret_bytes, size_t room,
                  size_t *ret_n_taken, size_t *ret_n_bytes);

/* The message's end has come; the same for what is left of it. After 0 the next message begins. */
int ws_decompress_end(struct ws_decompressor *decompressor, void *ret_bytes, size_t room, size_t *ret_n_bytes);

/* --- decoding: decode.c ----------------------------------------------------------------------------------------- */

enum ws_found {
    WS_FOUND_NOTHING, /* all bytes are taken, and more is needed */
    WS_FOUND_MESSAGE,
    WS_FOUND_PING,
    WS_FOUND_PONG,
    WS_FOUND_CLOSE,     /* nothing is found any more: what follows is taken and thrown away */
    WS_FOUND_VIOLATION, /* the same */
};

/* What was found. data is never NULL; it lies in the bytes handed in or in the decoder, until the next call. */
struct ws_event {
    uint8_t opcode; /* of the frame; of a message WS_TEXT or WS_BINARY */
    bool compressed;
    uint16_t code; /* of Close: 1005 when there was none; of a violation: what the peer is to be told */
    uint8_t *data; /* the message, the payload of a ping or pong, the reason of Close */
    size_t n_bytes;
    int error;         /* of a violation: -SONDE_EWS, -SONDE_ETOOBIG or -ENOMEM */
    const char *words; /* of a violation: what is wrong, in words; static */
};

struct ws_decoder_options {
    const struct sonde_allocator *allocator; /* copied */
    bool is_server;                          /* frames that come must be masked, otherwise they must not be */
    uint64_t limit_bytes;                    /* longest message, decompressed */
    const struct ws_deflate_terms *deflate;  /* copied; NULL: none was agreed on */
};

/* All members are private. */
struct ws_decoder {
    struct sonde_allocator allocator;
    uint64_t limit_bytes;
    uint64_t n_left; /* of the payload of the frame under way */
    uint32_t mask;   /* for the next byte of it */
    uint8_t first;   /* its first byte */
    bool is_server, deflates, takeover;
    uint8_t window_bits;
    bool in_frame; /* its head is complete */
    bool is_over;

    /* the message under way */
    bool in_message;
    uint8_t message_first; /* the first byte of its first frame */
    bool handed;           /* it was handed out of `kept`, which the next call may use again */
    struct ws_utf8 utf8;
    uint8_t *kept;
    size_t n_kept, room;
    struct ws_decompressor *decompressor;

    /* a head, a control frame under way */
    uint8_t n_head, n_control;
    uint8_t head[WS_HEAD_MAX];
    uint8_t control[WS_CONTROL_MAX];
};

void ws_decoder_init(struct ws_decoder *decoder, const struct ws_decoder_options *options);

/* Give back what it has. */
void ws_decoder_free(struct ws_decoder *decoder);

/* Look at the next bytes, which are changed in place, up to the first thing found: *ret_n_taken of them are done with
 * then, and the rest is to be given to the next call. A message that lies whole in them, in one frame and not
 * compressed, is handed out from there; other ones are put together in memory that grows with what has come. How the
 * bytes are cut makes no difference. */
enum ws_found ws_decode(struct ws_decoder *decoder, uint8_t *bytes, size_t n_bytes, size_t *ret_n_taken,
                        struct ws_event *ret_event);

/* In the middle of a frame, or of a message? */
static inline bool ws_decoder_in_frame(const struct ws_decoder *decoder)
{
    return decoder->in_frame || decoder->n_head > 0;
}

#endif
