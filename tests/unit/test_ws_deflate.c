/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ws_heard.h"

#include <errno.h>
#include <sonde/error.h>

#define BYTES(...) (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__})

static const struct ws_deflate_terms usual = {.server_max_window_bits = 15, .client_max_window_bits = 15};

static void expect(const uint8_t *bytes, size_t n, const char *text)
{
    for (size_t piece = 0; piece <= n; piece++) {
        struct ws_heard *heard = ws_hear(&(struct ws_hear){.deflate = &usual}, bytes, n, piece, piece);
        assert_string_equal(heard->text, text);
        ws_heard_free(heard);
    }
}

#define HELLO "message 1z 0 5 |Hello\n"

/* --- RFC 7692, 7.2.3 -------------------------------------------------------------------------------------------- */

static void examples_of_the_rfc(void **state)
{
    (void)state;
    expect(BYTES(0xc1, 0x07, 0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00), HELLO);
    expect(BYTES(0x41, 0x03, 0xf2, 0x48, 0xcd, 0x80, 0x04, 0xc9, 0xc9, 0x07, 0x00), HELLO);
    expect(BYTES(0xc1, 0x07, 0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0xc1, 0x05, 0xf2, 0x00, 0x11, 0x00, 0x00),
           HELLO HELLO);
    expect(BYTES(0xc1, 0x0b, 0x00, 0x05, 0x00, 0xfa, 0xff, 0x48, 0x65, 0x6c, 0x6c, 0x6f, 0x00), HELLO);
    expect(BYTES(0xc1, 0x08, 0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00), HELLO);
    expect(BYTES(0xc1, 0x0d, 0xf2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xff, 0xff, 0xca, 0xc9, 0xc9, 0x07, 0x00), HELLO);
    expect(BYTES(0xc1, 0x01, 0x00), "message 1z 0 0 |\n");
}

/* A last block, and a message after it that refers to it; and what some peers send that the RFC does not. */
static void other_forms(void **state)
{
    (void)state;
    expect(BYTES(0xc1, 0x08, 0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00, 0xc1, 0x05, 0xf2, 0x00, 0x11, 0x00, 0x00),
           HELLO HELLO);
    expect(BYTES(0xc1, 0x07, 0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0xc1, 0x05, 0xf2, 0x00, 0x11, 0x00, 0x00),
           HELLO HELLO);
    expect(BYTES(0xc1, 0x00, 0xc1, 0x07, 0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00), "message 1z 0 0 |\n" HELLO);
    /* Uncompressed ones may stand between; control frames are never compressed. */
    expect(BYTES(0x81, 0x01, 'a', 0x41, 0x03, 0xf2, 0x48, 0xcd, 0x89, 0x00, 0x80, 0x04, 0xc9, 0xc9, 0x07, 0x00),
           "message 1 0 1 |a\nping 9 0 0 |\n" HELLO);
}

struct wrong {
    unsigned code;
    const char *words;
    const uint8_t *bytes;
    size_t n;
};

static const struct wrong wrongs[] = {
    {1002, "decompressed", BYTES(0xc1, 0x03, 0xff, 0xff, 0xff)},
    {1002, "decompressed", BYTES(0xc2, 0x04, 0xf2, 0x48, 0xcd, 0xc9)}, /* it stops inside a block */
    {1002, "RSV1", BYTES(0x41, 0x01, 0xf2, 0xc0, 0x01, 0x48)},
    {1002, "RSV1", BYTES(0xc9, 0x00)},
    {1002, "RSV1", BYTES(0x01, 0x01, 'a', 0xc0, 0x00)},
    {1007, "UTF-8", BYTES(0xc1, 0x07, 0x00, 0x01, 0x00, 0xfe, 0xff, 0xff, 0x00)}, /* a stored byte 0xff */
    {1007, "inside a", BYTES(0xc1, 0x07, 0x00, 0x01, 0x00, 0xfe, 0xff, 0xc3, 0x00)},
    {1007, "UTF-8", BYTES(0x41, 0x06, 0x00, 0x01, 0x00, 0xfe, 0xff, 0x80)},  /* it is known before the message ends */
    {1002, "decompressed", BYTES(0xc1, 0x05, 0xf2, 0x00, 0x11, 0x00, 0x00)}, /* refers to what never was */
};

static void wrong_ones(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof wrongs / sizeof *wrongs; i++)
        for (size_t piece = 0; piece <= wrongs[i].n; piece++) {
            struct ws_heard *heard =
                ws_hear(&(struct ws_hear){.deflate = &usual}, wrongs[i].bytes, wrongs[i].n, piece, piece);
            if (heard->code != wrongs[i].code || strstr(heard->words, wrongs[i].words) == NULL)
                fail_msg("row %zu, piece %zu: %u %s", i, piece, heard->code, heard->words);
            assert_int_equal(heard->n_messages, 0);
            ws_heard_free(heard);
        }
}

/* --- there and back --------------------------------------------------------------------------------------------- */

static uint64_t seed;

static unsigned chance(unsigned n)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (unsigned)(seed >> 33) % n;
}

static size_t make_message(char *bytes, size_t most)
{
    size_t n = chance(4) == 0 ? chance(20) : chance((unsigned)most);
    unsigned kind = chance(3);

    for (size_t i = 0; i < n; i++) {
        bytes[i] = (char)chance(128);
        if (kind == 0)
            bytes[i] = 'a';
        else if (kind == 1 && chance(20) > 0)
            bytes[i] = "{\"id\": 17, \"of\"}"[i % 16];
    }
    return n;
}

/* A message as the layer sends it. */
static void say_compressed(struct ws_said *said, struct ws_compressor *compressor, const char *bytes, size_t n)
{
    uint8_t *to = malloc(n + 4);
    size_t n_less = 0;

    assert_non_null(to);
    if (ws_compress(compressor, bytes, n, to, n + 4, &n_less) == 0) {
        assert_true(n_less < n);
        size_t half = n_less / 2;
        ws_say(said, WS_RSV1 | WS_TEXT, to, half, NULL);
        ws_say(said, WS_FIN, to + half, n_less - half, NULL);
    } else {
        ws_say(said, WS_FIN | WS_TEXT, bytes, n, NULL);
    }
    free(to);
}

static void there_and_back(void **state)
{
    enum { MOST = 6000, MESSAGES = 20 };
    static struct ws_said said;
    static char bytes[MOST], wanted[MESSAGES * (MOST + 64)];

    (void)state;
    for (unsigned round = 0; round < 7 * 2 * 3; round++) {
        unsigned bits = 9 + round % 7;
        bool takeover = round / 7 % 2;
        struct ws_memory memory = {0};
        const struct sonde_allocator allocator = {ws_memory_alloc, ws_memory_free, &memory};
        const struct ws_deflate_terms terms = {.server_no_context_takeover = !takeover,
                                               .server_max_window_bits = (uint8_t)bits,
                                               .client_max_window_bits = 15};
        struct ws_compressor *compressor;
        size_t n_wanted = 0, n_plain = 0;

        seed = 0x9e3779b97f4a7c15u + round;
        assert_int_equal(ws_compressor_create(&allocator, bits, takeover, &compressor), 0);
        said.n = 0;
        for (int i = 0; i < MESSAGES; i++) {
            size_t n = make_message(bytes, MOST);
            n_plain += n;
            memcpy(wanted + n_wanted, bytes, n);
            n_wanted += n;
            say_compressed(&said, compressor, bytes, n);
        }
        assert_true(memory.most_bytes <= 39 * 1024);
        assert_true(said.n < n_plain);
        ws_compressor_free(compressor);
        assert_int_equal(memory.n_live_bytes, 0);
        for (size_t piece = 0; piece < 3; piece++) {
            struct ws_heard *heard =
                ws_hear(&(struct ws_hear){.deflate = &terms}, said.bytes, said.n, piece * 700, piece * 700);
            assert_int_equal(heard->n_messages, MESSAGES);
            assert_int_equal(heard->error, 0);
            const char *at = heard->text;
            size_t n_seen = 0;
            for (int i = 0; i < MESSAGES; i++) {
                const char *bar = strchr(at, '|') + 1;
                size_t n = strtoul(strstr(at, " 0 ") + 3, NULL, 10);
                assert_memory_equal(bar, wanted + n_seen, n);
                n_seen += n;
                at = bar + n + 1;
            }
            assert_int_equal(n_seen, n_wanted);
            ws_heard_free(heard);
        }
    }
}

/* What does not get smaller is not sent, and nothing later refers to it. */
static void what_is_not_sent_is_forgotten(void **state)
{
    static struct ws_said said;
    struct ws_memory memory = {0};
    const struct sonde_allocator allocator = {ws_memory_alloc, ws_memory_free, &memory};
    struct ws_compressor *compressor;
    char noise[400], text[900], room[1000];
    size_t n;

    (void)state;
    seed = 99;
    for (size_t i = 0; i < sizeof noise; i++)
        noise[i] = (char)chance(256);
    assert_int_equal(ws_compressor_create(&allocator, 15, true, &compressor), 0);
    assert_int_equal(ws_compress(compressor, noise, sizeof noise, room, sizeof noise + 4, &n), -ENOBUFS);
    memset(text, 'x', sizeof text);
    memcpy(text + 100, noise, sizeof noise);
    said.n = 0;
    assert_int_equal(ws_compress(compressor, text, sizeof text, room, sizeof room, &n), 0);
    ws_say(&said, WS_FIN | WS_RSV1 | WS_BINARY, room, n, NULL);
    struct ws_heard *heard = ws_hear(&(struct ws_hear){.deflate = &usual}, said.bytes, said.n, 0, 0);
    assert_int_equal(heard->n_messages, 1);
    assert_memory_equal(strchr(heard->text, '|') + 1, text, sizeof text);
    ws_heard_free(heard);
    ws_compressor_free(compressor);
}

static void windows(void **state)
{
    struct ws_memory memory = {0};
    const struct sonde_allocator allocator = {ws_memory_alloc, ws_memory_free, &memory};
    struct ws_compressor *compressor;
    struct ws_decompressor *decompressor;

    (void)state;
    for (unsigned bits = 0; bits < 20; bits++) {
        int error = ws_compressor_create(&allocator, bits, true, &compressor);
        assert_int_equal(error, bits >= 9 && bits <= 15 ? 0 : -EINVAL);
        if (error == 0)
            ws_compressor_free(compressor);
        error = ws_decompressor_create(&allocator, bits, true, &decompressor);
        assert_int_equal(error, bits >= 8 && bits <= 15 ? 0 : -EINVAL);
        if (error == 0)
            ws_decompressor_free(decompressor);
    }
    assert_int_equal(memory.n_live, 0);
}

/* --- limits and memory ------------------------------------------------------------------------------------------ */

/* Zeroes: a thousand of them become a byte. */
static void say_bomb(struct ws_said *said, size_t n_bytes)
{
    struct ws_memory memory = {0};
    const struct sonde_allocator allocator = {ws_memory_alloc, ws_memory_free, &memory};
    struct ws_compressor *compressor;
    char *bytes = calloc(1, n_bytes);
    uint8_t *to = malloc(n_bytes);
    size_t n;

    assert_true(bytes != NULL && to != NULL);
    assert_int_equal(ws_compressor_create(&allocator, 15, true, &compressor), 0);
    assert_int_equal(ws_compress(compressor, bytes, n_bytes, to, n_bytes, &n), 0);
    said->n = 0;
    ws_say(said, WS_FIN | WS_RSV1 | WS_BINARY, to, n, NULL);
    ws_compressor_free(compressor);
    free(bytes);
    free(to);
}

static void bombs(void **state)
{
    enum { LIMIT = 100 * 1000, AROUND = 48 * 1024 };
    static struct ws_said said;

    (void)state;
    say_bomb(&said, 20 * 1000 * 1000);
    for (size_t piece = 0; piece < 2000; piece += 997) {
        struct ws_heard *heard =
            ws_hear(&(struct ws_hear){.deflate = &usual, .limit_bytes = LIMIT}, said.bytes, said.n, piece, piece);
        assert_int_equal(heard->code, 1009);
        assert_int_equal(heard->error, -SONDE_ETOOBIG);
        assert_int_equal(heard->n_messages, 0);
        assert_true(heard->memory.most_bytes <= 2 * LIMIT + AROUND);
        ws_heard_free(heard);
    }
    for (size_t n = LIMIT - 1; n <= LIMIT + 1; n++) {
        say_bomb(&said, n);
        struct ws_heard *heard =
            ws_hear(&(struct ws_hear){.deflate = &usual, .limit_bytes = LIMIT}, said.bytes, said.n, 0, 0);
        assert_int_equal(heard->code, n <= LIMIT ? 0 : 1009);
        assert_int_equal(heard->n_messages, n <= LIMIT);
        ws_heard_free(heard);
    }
}

static void no_memory(void **state)
{
    static struct ws_said said;

    (void)state;
    say_bomb(&said, 5000);
    for (unsigned i = 1;; i++) {
        struct ws_heard *heard = ws_hear(&(struct ws_hear){.deflate = &usual, .fail_at = i}, said.bytes, said.n, 0, 0);
        bool failed = heard->memory.n_calls >= i;
        assert_int_equal(heard->error, failed ? -ENOMEM : 0);
        assert_int_equal(heard->n_messages, !failed);
        ws_heard_free(heard);
        if (!failed) {
            assert_true(i > 4);
            break;
        }
    }
    for (unsigned i = 1;; i++) {
        struct ws_memory memory = {.fail_at = i};
        const struct sonde_allocator allocator = {ws_memory_alloc, ws_memory_free, &memory};
        struct ws_compressor *compressor;
        int error = ws_compressor_create(&allocator, 15, true, &compressor);
        if (error == 0) {
            ws_compressor_free(compressor);
            assert_true(i > 4);
            break;
        }
        assert_int_equal(error, -ENOMEM);
        assert_int_equal(memory.n_live, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(examples_of_the_rfc),
        cmocka_unit_test(other_forms),
        cmocka_unit_test(wrong_ones),
        cmocka_unit_test(there_and_back),
        cmocka_unit_test(what_is_not_sent_is_forgotten),
        cmocka_unit_test(windows),
        cmocka_unit_test(bombs),
        cmocka_unit_test(no_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
