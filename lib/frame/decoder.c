/* SPDX-License-Identifier: MIT */
/*
 * The decoder: what all codecs have in common. A codec is asked what stands at the beginning of the bytes that are
 * left, and takes some of them; what belongs to a message that goes on is kept here.
 */
#include "frame/frame_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
    ROOM_FIRST = 256,
    ROOM_HELD = 4096, /* more than that is given back after a message */
};

static void *plain_alloc(size_t size_bytes, void *user)
{
    (void)user;
    return malloc(size_bytes);
}

static void plain_free(void *memory, size_t size_bytes, void *user)
{
    (void)size_bytes, (void)user;
    free(memory);
}

static void give_back(struct sonde_frame_decoder *decoder)
{
    if (decoder->kept != NULL)
        decoder->allocator.free(decoder->kept, decoder->room, decoder->allocator.user);
    decoder->kept = NULL;
    decoder->room = 0;
}

int frame_fail(struct sonde_frame_decoder *decoder, int error, uint64_t at_byte, uint64_t n_bytes, const char *what)
{
    decoder->fault = (struct sonde_frame_fault){.error = error, .at_byte = at_byte, .n_bytes = n_bytes, .what = what};
    return error;
}

int frame_keep(struct sonde_frame_decoder *decoder, const void *data, size_t n_bytes, size_t n_most)
{
    size_t n_wanted = decoder->n_kept + n_bytes, room = decoder->room > 0 ? decoder->room : ROOM_FIRST;

    if (n_wanted > decoder->room) {
        while (room < n_wanted)
            room *= 2;
        if (room > n_most && n_most >= n_wanted)
            room = n_most;
        unsigned char *kept = decoder->allocator.alloc(room, decoder->allocator.user);
        if (kept == NULL)
            return frame_fail(decoder, -ENOMEM, decoder->begin, n_wanted,
                              "there is no memory to put a message together");
        if (decoder->n_kept > 0)
            memcpy(kept, decoder->kept, decoder->n_kept);
        give_back(decoder);
        decoder->kept = kept;
        decoder->room = room;
    }
    if (n_bytes > 0)
        memcpy(decoder->kept + decoder->n_kept, data, n_bytes);
    decoder->n_kept = n_wanted;
    return 0;
}

int sonde_frame_decoder_create(const struct sonde_frame *frame, const struct sonde_frame_decoder_options *options,
                               sonde_frame_message message, void *user, struct sonde_frame_decoder **ret_decoder)
{
    static const struct sonde_allocator plain = {.alloc = plain_alloc, .free = plain_free};
    const struct frame_codec *codec = frame_codec_of(frame);
    struct sonde_frame_decoder_options known = {.size = sizeof known};

    if (options != NULL)
        memcpy(&known, options, options->size < sizeof known ? options->size : sizeof known);
    if (known.max_bytes == 0)
        known.max_bytes = SONDE_FRAME_MAX;
    if (codec == NULL || message == NULL || known.max_bytes > SIZE_MAX / 16)
        return -EINVAL;
    if (codec->least != NULL && codec->least(frame) > known.max_bytes)
        return -EMSGSIZE;
    const struct sonde_allocator *allocator = known.allocator != NULL ? known.allocator : &plain;
    struct sonde_frame_decoder *decoder = allocator->alloc(sizeof *decoder, allocator->user);
    if (decoder == NULL)
        return -ENOMEM;
    *decoder = (struct sonde_frame_decoder){
        .frame = *frame,
        .codec = codec,
        .max_bytes = (size_t)known.max_bytes,
        .allocator = *allocator,
        .message = message,
        .user = user,
        .fault = {.what = ""},
    };
    *ret_decoder = decoder;
    return 0;
}

void sonde_frame_decoder_free(struct sonde_frame_decoder *decoder)
{
    if (decoder == NULL)
        return;
    give_back(decoder);
    const struct sonde_allocator allocator = decoder->allocator;
    allocator.free(decoder, sizeof *decoder, allocator.user);
}

/* The next message begins here. */
static void begin_next(struct sonde_frame_decoder *decoder)
{
    decoder->begin = decoder->n_taken;
    decoder->n_kept = 0;
    decoder->in_message = false;
    memset(&decoder->state, 0, sizeof decoder->state);
    if (decoder->room > ROOM_HELD)
        give_back(decoder);
}

int sonde_frame_decoder_feed(struct sonde_frame_decoder *decoder, const void *data, size_t n_bytes, size_t *ret_n_taken)
{
    const unsigned char *bytes = data;
    size_t n = 0;
    int result = decoder->fault.error;

    while (n < n_bytes && result == 0) {
        struct frame_step step = {.n_taken = 0};
        int found = decoder->codec->take(decoder, bytes + n, n_bytes - n, &step);
        if (found < 0) {
            result = found;
            break;
        }
        n += step.n_taken;
        decoder->n_taken += step.n_taken;
        if (found == FRAME_MESSAGE) {
            decoder->n_messages++;
            result = decoder->message(step.message != NULL ? step.message : "", step.n_message, decoder->user);
        }
        if (found != FRAME_MORE)
            begin_next(decoder);
    }
    if (ret_n_taken != NULL)
        *ret_n_taken = n;
    return result;
}

int sonde_frame_decoder_end(struct sonde_frame_decoder *decoder)
{
    if (decoder->fault.error == 0 && decoder->n_taken > decoder->begin)
        frame_fail(decoder, -ENODATA, decoder->n_taken, decoder->n_taken - decoder->begin,
                   "the stream has ended in the middle of a message");
    return decoder->fault.error;
}

void sonde_frame_decoder_fault(const struct sonde_frame_decoder *decoder, struct sonde_frame_fault *ret_fault)
{
    *ret_fault = decoder->fault;
}

size_t sonde_frame_decoder_rest(const struct sonde_frame_decoder *decoder, const void **ret_data)
{
    *ret_data = decoder->kept != NULL ? decoder->kept : (const void *)"";
    return decoder->n_kept;
}

uint64_t sonde_frame_decoder_messages(const struct sonde_frame_decoder *decoder)
{
    return decoder->n_messages;
}

uint64_t sonde_frame_decoder_taken_bytes(const struct sonde_frame_decoder *decoder)
{
    return decoder->n_taken;
}
