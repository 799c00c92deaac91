/* SPDX-License-Identifier: MIT */
/*
 * Properties that every codec has: what was encoded is decoded to the same, and however a stream is cut, the messages
 * are the same, and so is what is wrong with it, at the same byte.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "frame_stream.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { N_ROUNDS = 100, N_MESSAGES = 12, LONGEST = 600, WIRE = N_MESSAGES * 3 * LONGEST };

static const char *const codecs[] = {
    "none",          "line",         "crlf",         "nul",           "fixed:1",        "fixed:7",      "u8",
    "u16be",         "u16le",        "u32be",        "u32le",         "varint",         "netstring",    "slip",
    "cobs",          "delim:61",     "delim:6161",   "delim:616261",  "delim:61616162", "delim:c0dbdc", "len:0,1,be,0",
    "len:3,1,le,-4", "len:0,2,be,2", "len:5,3,le,0", "len:2,4,be,-6", "len:1,8,le,1",
};

enum { N_CODECS = sizeof codecs / sizeof codecs[0] };

static struct sonde_frame frame_of(const char *text)
{
    struct sonde_frame frame;

    assert_int_equal(sonde_frame_parse(text, &frame, NULL), 0);
    return frame;
}

/* Bytes that mean something to some codec, and few others, so that the rare comes often. */
static unsigned char telling_byte(uint64_t *seed, unsigned n_alphabet)
{
    static const unsigned char alphabet[] = {'a',  'b',  0,    1,   '\n', '\r', 2,   0xc0,
                                             0xdb, 0xdc, 0xdd, '1', ':',  ',',  0xff};

    return n_alphabet > sizeof alphabet ? (unsigned char)chance(seed) : alphabet[chance(seed) % n_alphabet];
}

static unsigned some_alphabet(uint64_t *seed)
{
    static const unsigned sizes[] = {2, 4, 8, 15, 256};

    return sizes[chance(seed) % 5];
}

static size_t make_message(const struct sonde_frame *frame, uint64_t *seed, unsigned char *ret_bytes)
{
    static const size_t longest[] = {1, 4, 20, 300, LONGEST};
    size_t n = chance(seed) % longest[chance(seed) % 5];
    unsigned n_alphabet = some_alphabet(seed);

    if (frame->codec == SONDE_FRAME_FIXED)
        n = frame->fixed_bytes;
    if (frame->codec == SONDE_FRAME_LEN && n < frame->offset + frame->width)
        n = frame->offset + frame->width;
    for (size_t i = 0; i < n; i++)
        ret_bytes[i] = telling_byte(seed, n_alphabet);
    if (frame->codec == SONDE_FRAME_LEN) {
        uint64_t field = (uint64_t)((int64_t)(n - frame->offset - frame->width) - frame->adjust);
        for (unsigned i = 0; i < frame->width; i++, field >>= 8)
            ret_bytes[frame->offset + (frame->big_endian ? frame->width - 1u - i : i)] = (unsigned char)field;
    }
    return n;
}

/* A stream of messages that can be carried, and what they were. */
static size_t make_stream(const struct sonde_frame *frame, uint64_t *seed, unsigned char *ret_wire,
                          struct heard *ret_expected)
{
    unsigned char message[LONGEST];
    size_t n_wire = 0;

    for (unsigned i = 0; i < N_MESSAGES; i++) {
        size_t n = make_message(frame, seed, message), n_one;
        int error = sonde_frame_encode(frame, message, n, ret_wire + n_wire, WIRE - n_wire, &n_one);
        assert_true(error == 0 || error == -EBADMSG || error == -EMSGSIZE);
        if (error < 0)
            continue;
        assert_true(n_one <= sonde_frame_bound(frame, n));
        n_wire += n_one;
        hear(message, n, ret_expected);
    }
    return n_wire;
}

static void check_cuts(const struct sonde_frame *frame, uint64_t max_bytes, const void *wire, size_t n_wire,
                       const struct heard *expected, const char *what, uint64_t seed)
{
    static const size_t cuts[] = {1, 2, 3, 7, 50, 700};

    for (size_t i = 0; i < sizeof cuts / sizeof cuts[0]; i++) {
        struct heard *heard = hear_stream(frame, max_bytes, wire, n_wire, cuts[i], seed + i);
        if (!heard_same(frame, expected, heard))
            fail_msg("%s, seed %llu, pieces of up to %zu: not the same", what, (unsigned long long)seed, cuts[i]);
        heard_free(heard);
    }
}

static void test_round_trip(void **state)
{
    static unsigned char wire[WIRE];

    (void)state;
    for (size_t c = 0; c < N_CODECS; c++) {
        struct sonde_frame frame = frame_of(codecs[c]);
        size_t n_carried = 0;
        for (uint64_t round = 1; round <= N_ROUNDS; round++) {
            uint64_t seed = round;
            struct heard *expected = calloc(1, sizeof *expected);
            assert_non_null(expected);
            size_t n_wire = make_stream(&frame, &seed, wire, expected);
            n_carried += expected->n_messages;
            struct heard *heard = hear_stream(&frame, LONGEST, wire, n_wire, 0, 0);
            assert_int_equal(heard->ended, 0);
            assert_int_equal(heard->n_bytes, expected->n_bytes);
            if (frame.codec != SONDE_FRAME_NONE)
                assert_int_equal(heard->n_messages, expected->n_messages);
            check_cuts(&frame, LONGEST, wire, n_wire, heard, codecs[c], round);
            if (heard->n_bytes > 0)
                assert_memory_equal(heard->bytes, expected->bytes, heard->n_bytes);
            if (frame.codec != SONDE_FRAME_NONE)
                assert_memory_equal(heard->lengths, expected->lengths, heard->n_messages * sizeof heard->lengths[0]);
            heard_free(heard);
            heard_free(expected);
        }
        /* Or nothing was tested. */
        assert_true(n_carried > N_ROUNDS);
    }
}

/* Every place where a stream of three messages can be cut in two. */
static void test_every_cut(void **state)
{
    static unsigned char wire[WIRE];

    (void)state;
    for (size_t c = 0; c < N_CODECS; c++) {
        struct sonde_frame frame = frame_of(codecs[c]);
        struct heard *expected = calloc(1, sizeof *expected);
        uint64_t seed = 5;
        assert_non_null(expected);
        size_t n_wire = make_stream(&frame, &seed, wire, expected);
        if (n_wire > 300)
            n_wire = 300; /* and so it ends in the middle of one, perhaps */
        struct heard *whole = hear_stream(&frame, LONGEST, wire, n_wire, 0, 0);
        for (size_t at = 0; at <= n_wire; at++) {
            const struct sonde_frame_decoder_options options = {.size = sizeof options, .max_bytes = LONGEST};
            struct heard *heard = calloc(1, sizeof *heard);
            struct sonde_frame_decoder *decoder;
            const void *rest;
            assert_non_null(heard);
            assert_int_equal(sonde_frame_decoder_create(&frame, &options, hear, heard, &decoder), 0);
            assert_int_equal(sonde_frame_decoder_feed(decoder, wire, at, NULL), 0);
            assert_int_equal(sonde_frame_decoder_feed(decoder, wire + at, n_wire - at, NULL), 0);
            heard->n_rest = sonde_frame_decoder_rest(decoder, &rest);
            heard->rest = malloc(heard->n_rest + 1);
            assert_non_null(heard->rest);
            memcpy(heard->rest, rest, heard->n_rest);
            heard->ended = sonde_frame_decoder_end(decoder);
            sonde_frame_decoder_fault(decoder, &heard->fault);
            sonde_frame_decoder_free(decoder);
            if (!heard_same(&frame, whole, heard))
                fail_msg("%s cut at %zu: not the same", codecs[c], at);
            heard_free(heard);
        }
        heard_free(whole);
        heard_free(expected);
    }
}

/* Anything at all, and streams that were right before a byte was changed; the maximum is small, so that it is met. */
static void test_anything(void **state)
{
    static unsigned char wire[WIRE];

    (void)state;
    for (size_t c = 0; c < N_CODECS; c++) {
        struct sonde_frame frame = frame_of(codecs[c]);
        size_t n_failed = 0;
        for (uint64_t round = 1; round <= 2 * N_ROUNDS; round++) {
            uint64_t seed = round + 1000;
            size_t n_wire = chance(&seed) % 400;
            uint64_t max_bytes = 16 + chance(&seed) % 40;
            unsigned n_alphabet = some_alphabet(&seed);
            if (round % 2 == 0) {
                struct heard *ignored = calloc(1, sizeof *ignored);
                assert_non_null(ignored);
                max_bytes = LONGEST;
                n_wire = make_stream(&frame, &seed, wire, ignored);
                for (unsigned i = 0; i < 3 && n_wire > 0; i++)
                    wire[chance(&seed) % n_wire] = telling_byte(&seed, 256);
                heard_free(ignored);
            } else {
                for (size_t i = 0; i < n_wire; i++)
                    wire[i] = telling_byte(&seed, n_alphabet);
            }
            struct heard *heard = hear_stream(&frame, max_bytes, wire, n_wire, 0, 0);
            for (size_t i = 0; i < heard->n_messages; i++)
                assert_true(heard->lengths[i] <= max_bytes);
            assert_true(heard->fault.at_byte <= n_wire && heard->n_rest <= max_bytes + 32);
            n_failed += heard->fed != 0;
            check_cuts(&frame, max_bytes, wire, n_wire, heard, codecs[c], round);
            heard_free(heard);
        }
        if (frame.codec != SONDE_FRAME_NONE && frame.codec != SONDE_FRAME_FIXED)
            assert_true(n_failed > 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_every_cut),
        cmocka_unit_test(test_anything),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
