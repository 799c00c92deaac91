/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "decode_packets.h"

static struct made made;

/* n_options bytes of options, filled up to a word with ends of the list. */
static struct decoded decode_options(const void *options, size_t n_options)
{
    uint8_t padded[40] = {0};

    assert_true(n_options <= sizeof padded);
    memcpy(padded, options, n_options);
    make_tcp4(&made, SEGMENT_ACK, padded, (n_options + 3) / 4 * 4, "p");
    struct decoded decoded = decode_made(&made);
    assert_int_equal(decoded.depth, DECODE_TRANSPORT);
    assert_int_equal(decoded.n_payload, 1);
    assert_int_equal(decoded.options.malformed, (decoded.trouble & DECODE_OPTIONS_BAD) != 0);
    assert_int_equal(decoded.trouble & ~DECODE_OPTIONS_BAD, 0);
    return decoded;
}

#define DECODE_OPTIONS_OF(text) decode_options((text), sizeof(text) - 1)

static void of_a_syn(void **state)
{
    (void)state;
    struct decoded decoded = decode_options(SYN_OPTIONS, N_SYN_OPTIONS);
    assert_int_equal(decoded.options.mss, 1460);
    assert_int_equal(decoded.options.window_scale, 10);
    assert_true(decoded.options.sack_permitted);
    assert_true(decoded.options.has_timestamps);
    assert_int_equal(decoded.options.ts_value, 0x01020304);
    assert_int_equal(decoded.options.ts_echo, 0x05060708);
    assert_int_equal(decoded.options.n_unknown, 0);
    assert_false(decoded.options.malformed);
}

static void timestamps_alone(void **state)
{
    (void)state;
    struct decoded decoded = DECODE_OPTIONS_OF("\1\1\x08\x0a\1\2\3\4\5\6\7\x08");
    assert_true(decoded.options.has_timestamps);
    assert_int_equal(decoded.options.ts_value, 0x01020304);
    assert_int_equal(decoded.options.ts_echo, 0x05060708);
    assert_int_equal(decoded.options.window_scale, -1);
}

static void sacks(void **state)
{
    (void)state;
    struct decoded decoded =
        DECODE_OPTIONS_OF("\5\x22\0\0\0\1\0\0\0\2\0\0\0\3\0\0\0\4\0\0\0\5\0\0\0\6\xff\xff\xff\xfe\0\0\0\x08");
    assert_int_equal(decoded.options.n_sacks, 4);
    assert_int_equal(decoded.options.sack[0].from, 1);
    assert_int_equal(decoded.options.sack[0].to, 2);
    assert_int_equal(decoded.options.sack[3].from, 0xfffffffe);
    assert_int_equal(decoded.options.sack[3].to, 8);
    /* Twice: no more than there is room for. */
    decoded = DECODE_OPTIONS_OF("\5\x1a\0\0\0\1\0\0\0\2\0\0\0\3\0\0\0\4\0\0\0\5\0\0\0\6\5\x0a\0\0\0\7\0\0\0\x08");
    assert_int_equal(decoded.options.n_sacks, 4);
    assert_int_equal(decoded.options.sack[3].from, 7);
}

static void the_others(void **state)
{
    (void)state;
    assert_true(DECODE_OPTIONS_OF("\x13\x12"
                                  "0123456789abcdef")
                    .options.has_md5);
    assert_true(DECODE_OPTIONS_OF("\x1c\4\x80\5").options.has_user_timeout);
    assert_true(DECODE_OPTIONS_OF("\x1e\x0c\0\x81"
                                  "01234567")
                    .options.has_mptcp);
    assert_true(DECODE_OPTIONS_OF("\x22\2").options.has_fast_open);
    assert_true(DECODE_OPTIONS_OF("\x22\x0a"
                                  "cookie!!")
                    .options.has_fast_open);
    assert_true(DECODE_OPTIONS_OF("\xfe\4\xf9\x89").options.has_fast_open);
    assert_true(DECODE_OPTIONS_OF("\xfd\x0c\xf9\x89"
                                  "cookie!!")
                    .options.has_fast_open);
    assert_true(DECODE_OPTIONS_OF("\xac\x0b"
                                  "abcdefghi")
                    .options.has_accecn);
    assert_true(DECODE_OPTIONS_OF("\xae\5"
                                  "abc")
                    .options.has_accecn);
    assert_true(DECODE_OPTIONS_OF("\xfd\5\xac\xce"
                                  "x")
                    .options.has_accecn);
    /* A signature that is not MD5, an experiment and an option that nobody here knows. */
    struct decoded decoded = DECODE_OPTIONS_OF("\x1d\4\1\2\xfe\6\1\2\3\4\xc8\3\1");
    assert_int_equal(decoded.options.n_unknown, 3);
    assert_false(decoded.options.has_md5 || decoded.options.has_fast_open || decoded.options.malformed);
}

static void window_scale_has_an_end(void **state)
{
    (void)state;
    assert_int_equal(DECODE_OPTIONS_OF("\3\3\0").options.window_scale, 0);
    assert_int_equal(DECODE_OPTIONS_OF("\3\3\x0e").options.window_scale, 14);
    assert_int_equal(DECODE_OPTIONS_OF("\3\3\x0f").options.window_scale, 15); /* as on the wire */
    assert_int_equal(DECODE_OPTIONS_OF("\3\3\xff").options.window_scale, INT8_MAX);
}

static void nothing_behind_the_end(void **state)
{
    (void)state;
    struct decoded decoded = DECODE_OPTIONS_OF("\1\0\2\4\5\xb4\2\0");
    assert_int_equal(decoded.options.mss, 0);
    assert_false(decoded.options.malformed);
}

/* Every kind with a length of 0, of 1 and past the end: nothing is taken from it, nor from behind it. */
static void lengths_without_sense(void **state)
{
    (void)state;
    for (unsigned kind = 2; kind < 256; kind++) {
        static const uint8_t lengths[] = {0, 1, 9, 40, 255};
        for (size_t i = 0; i < sizeof lengths; i++) {
            uint8_t options[8] = {(uint8_t)kind, lengths[i], 1, 1, 2, 4, 5, 0xb4};
            struct decoded decoded = decode_options(options, sizeof options);
            assert_true(decoded.options.malformed);
            assert_int_equal(decoded.options.mss, 0);
            assert_int_equal(decoded.options.n_sacks, 0);
            assert_false(decoded.options.has_timestamps);
        }
        /* A kind alone, where the options end. */
        uint8_t options[4] = {1, 1, 1, (uint8_t)kind};
        assert_true(decode_options(options, sizeof options).options.malformed);
    }
}

/* What is of another size than its kind has is passed over, and what is behind it is found. */
static void wrong_sizes(void **state)
{
    (void)state;
    static const struct {
        uint8_t kind, right[3];
    } kinds[] = {{2, {4}}, {3, {3}}, {4, {2}}, {5, {10, 18}}, {8, {10}}, {19, {18}}, {28, {4}}};
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        for (uint8_t n_bytes = 2; n_bytes <= 20; n_bytes++) {
            uint8_t options[24] = {0};
            options[0] = kinds[i].kind;
            options[1] = n_bytes;
            memcpy(options + n_bytes, "\x22\2", 2);
            struct decoded decoded = decode_options(options, sizeof options);
            bool right = n_bytes == kinds[i].right[0] || n_bytes == kinds[i].right[1];
            assert_int_equal(decoded.options.malformed, !right);
            assert_true(decoded.options.has_fast_open);
        }
    }
    assert_true(DECODE_OPTIONS_OF("\x22\3x").options.malformed);
    assert_true(DECODE_OPTIONS_OF("\xfd\3\xf9").options.malformed);
    assert_true(DECODE_OPTIONS_OF("\xac\3x").options.malformed);
    assert_true(DECODE_OPTIONS_OF("\x1e\2").options.malformed);
}

/* Options that the capture cuts are not malformed, however far it reaches. */
static void cut(void **state)
{
    (void)state;
    make_tcp4(&made, SEGMENT_SYN, SYN_OPTIONS, N_SYN_OPTIONS, "");
    for (uint32_t n = 54; n < 74; n++) {
        struct decoded decoded = decode_exactly(TYPE_ETHERNET, made.data, n, made.n_bytes);
        assert_int_equal(decoded.trouble, DECODE_CUT);
        assert_int_equal(decoded.options.mss, n >= 58 ? 1460 : 0);
        assert_int_equal(decoded.options.sack_permitted, n >= 60);
        assert_int_equal(decoded.options.has_timestamps, n >= 70);
    }
    /* ... but a length of 1 is, cut or not. */
    made.data[54 + 1] = 1;
    struct decoded decoded = decode_exactly(TYPE_ETHERNET, made.data, 60, made.n_bytes);
    assert_int_equal(decoded.trouble, DECODE_CUT | DECODE_OPTIONS_BAD);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(of_a_syn),
        cmocka_unit_test(timestamps_alone),
        cmocka_unit_test(sacks),
        cmocka_unit_test(the_others),
        cmocka_unit_test(window_scale_has_an_end),
        cmocka_unit_test(nothing_behind_the_end),
        cmocka_unit_test(lengths_without_sense),
        cmocka_unit_test(wrong_sizes),
        cmocka_unit_test(cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
