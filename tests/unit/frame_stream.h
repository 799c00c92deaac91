/* SPDX-License-Identifier: MIT */
/* A stream that is fed to a decoder in pieces, and all that the decoder says about it. */
#ifndef FRAME_STREAM_H
#define FRAME_STREAM_H

#include <sonde/frame.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define STREAM_MESSAGES 4096

struct heard {
    unsigned char *bytes; /* of all messages, one behind the other; to be freed */
    size_t n_bytes, n_messages, lengths[STREAM_MESSAGES];
    int fed, ended; /* what feed and end returned last */
    struct sonde_frame_fault fault;
    unsigned char *rest;
    size_t n_rest;
};

static inline int hear(const void *data, size_t n_bytes, void *user)
{
    struct heard *heard = user;
    unsigned char *more = realloc(heard->bytes, heard->n_bytes + n_bytes + 1);

    if (more == NULL || data == NULL || heard->n_messages == STREAM_MESSAGES)
        abort();
    heard->bytes = more;
    memcpy(heard->bytes + heard->n_bytes, data, n_bytes);
    heard->n_bytes += n_bytes;
    heard->lengths[heard->n_messages++] = n_bytes;
    return 0;
}

/* A cheap generator, so that a failure comes again. */
static inline uint32_t chance(uint64_t *seed)
{
    *seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(*seed >> 33);
}

/* How the stream is cut: 0, as one; 1, byte by byte; others: at random, with pieces of up to so much. */
static inline size_t next_piece(size_t cut, size_t n_left, uint64_t *seed)
{
    size_t n = cut == 0 ? n_left : cut == 1 ? 1 : 1 + chance(seed) % cut;

    return n < n_left ? n : n_left;
}

/* Each piece is memory of its own, of its own size, so that a sanitizer sees a look past it. */
static inline struct heard *hear_stream(const struct sonde_frame *frame, uint64_t max_bytes, const void *data,
                                        size_t n_bytes, size_t cut, uint64_t seed)
{
    const struct sonde_frame_decoder_options options = {.size = sizeof options, .max_bytes = max_bytes};
    struct heard *heard = calloc(1, sizeof *heard);
    struct sonde_frame_decoder *decoder;
    const void *rest;

    if (heard == NULL || sonde_frame_decoder_create(frame, &options, hear, heard, &decoder) < 0)
        abort();
    for (size_t i = 0, n; i < n_bytes && heard->fed == 0; i += n) {
        n = next_piece(cut, n_bytes - i, &seed);
        unsigned char *piece = malloc(n);
        size_t n_taken = n + 1;
        if (piece == NULL)
            abort();
        memcpy(piece, (const unsigned char *)data + i, n);
        heard->fed = sonde_frame_decoder_feed(decoder, piece, n, &n_taken);
        if (heard->fed == 0 ? n_taken != n : n_taken > n)
            abort();
        free(piece);
    }
    heard->n_rest = sonde_frame_decoder_rest(decoder, &rest);
    heard->rest = malloc(heard->n_rest + 1);
    if (heard->rest == NULL)
        abort();
    memcpy(heard->rest, rest, heard->n_rest);
    heard->ended = sonde_frame_decoder_end(decoder);
    sonde_frame_decoder_fault(decoder, &heard->fault);
    if (heard->fault.error != heard->ended || heard->n_messages != sonde_frame_decoder_messages(decoder))
        abort();
    if (heard->fed != 0 && sonde_frame_decoder_feed(decoder, "x", 1, NULL) != heard->fed)
        abort();
    sonde_frame_decoder_free(decoder);
    return heard;
}

static inline void heard_free(struct heard *heard)
{
    free(heard->bytes);
    free(heard->rest);
    free(heard);
}

/* The same messages, and the same fault at the same byte. With none, the same bytes. */
static inline bool heard_same(const struct sonde_frame *frame, const struct heard *one, const struct heard *other)
{
    bool bytes =
        one->n_bytes == other->n_bytes && (one->n_bytes == 0 || memcmp(one->bytes, other->bytes, one->n_bytes) == 0);

    if (frame->codec == SONDE_FRAME_NONE)
        return bytes && one->fault.error == 0 && other->fault.error == 0;
    return bytes && one->n_messages == other->n_messages &&
           memcmp(one->lengths, other->lengths, one->n_messages * sizeof one->lengths[0]) == 0 &&
           one->fed == other->fed && one->ended == other->ended && one->fault.at_byte == other->fault.at_byte &&
           one->fault.n_bytes == other->fault.n_bytes && strcmp(one->fault.what, other->fault.what) == 0 &&
           (one->fed != 0 || (one->n_rest == other->n_rest && memcmp(one->rest, other->rest, one->n_rest) == 0));
}

#endif
