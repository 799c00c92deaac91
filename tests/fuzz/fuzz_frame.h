/* SPDX-License-Identifier: MIT */
/*
 * Any bytes to the decoder of one codec: as one piece, byte by byte, and cut as the first bytes of the input say. It
 * comes to the same. Then the bytes as a message: what can be encoded is decoded to the same.
 *
 * Input: a byte that chooses among the codec's parameters, a byte for the maximum, one for the cuts, the stream.
 */
#ifndef FUZZ_FRAME_H
#define FUZZ_FRAME_H

#include "../unit/frame_stream.h"

#define must(condition)                                                                                                \
    do {                                                                                                               \
        if (!(condition))                                                                                              \
            abort();                                                                                                   \
    } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes);

static inline void fuzz_stream(const struct sonde_frame *frame, size_t max_bytes, size_t cut, const uint8_t *data,
                               size_t n_bytes)
{
    struct heard *whole = hear_stream(frame, max_bytes, data, n_bytes, 0, 0);
    struct heard *bytes = hear_stream(frame, max_bytes, data, n_bytes, 1, 0);
    struct heard *pieces = hear_stream(frame, max_bytes, data, n_bytes, cut, cut);

    must(heard_same(frame, whole, bytes) && heard_same(frame, whole, pieces));
    must(whole->fault.at_byte <= n_bytes && whole->fault.what != NULL);
    for (size_t i = 0; i < whole->n_messages; i++)
        must(whole->lengths[i] <= max_bytes);
    heard_free(whole);
    heard_free(bytes);
    heard_free(pieces);
}

static inline void fuzz_message(const struct sonde_frame *frame, size_t cut, const uint8_t *data, size_t n_bytes)
{
    size_t n_most = sonde_frame_bound(frame, n_bytes), n_wire = 0;
    unsigned char *wire = malloc(n_most);

    must(wire != NULL);
    if (sonde_frame_encode(frame, data, n_bytes, wire, n_most, &n_wire) == 0) {
        must(n_wire <= n_most);
        struct heard *heard = hear_stream(frame, 0, wire, n_wire, cut, cut);
        must(heard->ended == 0 && heard->n_bytes == n_bytes);
        must(heard->n_messages == 1 || (frame->codec == SONDE_FRAME_NONE && cut > 0));
        must(n_bytes == 0 || memcmp(heard->bytes, data, n_bytes) == 0);
        heard_free(heard);
    }
    free(wire);
}

static inline int fuzz_frame(const char *const *codecs, size_t n_codecs, const uint8_t *data, size_t n_bytes)
{
    struct sonde_frame frame;

    /* What is longer says no more than what is so long. */
    if (n_bytes < 3 || n_bytes > STREAM_MESSAGES)
        return 0;
    must(sonde_frame_parse(codecs[data[0] % n_codecs], &frame, NULL) == 0);
    size_t max_bytes = 32 + data[1], cut = 2 + data[2] % 64;
    fuzz_stream(&frame, max_bytes, cut, data + 3, n_bytes - 3);
    fuzz_message(&frame, data[2] % 64, data + 3, n_bytes - 3);
    return 0;
}

#define FUZZ_FRAME(...)                                                                                                \
    int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes)                                                    \
    {                                                                                                                  \
        static const char *const codecs[] = {__VA_ARGS__};                                                             \
        return fuzz_frame(codecs, sizeof codecs / sizeof codecs[0], data, n_bytes);                                    \
    }                                                                                                                  \
    struct heard

#endif
