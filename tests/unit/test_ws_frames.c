/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ws_heard.h"

#include <errno.h>
#include <sonde/error.h>

static const uint32_t mask = 0x3d21fa37; /* 37 fa 21 3d on a little-endian machine, as in RFC 6455, 5.7 */

#define BYTES(...) (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__})

static void expect(const struct ws_hear *how, const uint8_t *bytes, size_t n, const char *text)
{
    for (size_t piece = 0; piece <= n; piece++) {
        struct ws_heard *heard = ws_hear(how, bytes, n, piece, piece);
        assert_string_equal(heard->text, text);
        ws_heard_free(heard);
    }
}

/* --- RFC 6455, 5.7 ---------------------------------------------------------------------------------------------- */

static void examples_of_the_rfc(void **state)
{
    const struct ws_hear client = {0}, server = {.is_server = true};

    (void)state;
    expect(&client, BYTES(0x81, 0x05, 0x48, 0x65, 0x6c, 0x6c, 0x6f), "message 1 0 5 |Hello\n");
    expect(&server, BYTES(0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58), "message 1 0 5 |Hello\n");
    expect(&client, BYTES(0x01, 0x03, 0x48, 0x65, 0x6c, 0x80, 0x02, 0x6c, 0x6f), "message 1 0 5 |Hello\n");
    expect(&client, BYTES(0x89, 0x05, 0x48, 0x65, 0x6c, 0x6c, 0x6f), "ping 9 0 5 |Hello\n");
    expect(&server, BYTES(0x8a, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58), "pong 10 0 5 |Hello\n");
}

static void examples_are_written_so(void **state)
{
    static struct ws_said said;

    (void)state;
    if (__BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__)
        skip();
    said.n = 0;
    ws_say(&said, WS_FIN | WS_TEXT, "Hello", 5, &mask);
    assert_int_equal(said.n, 11);
    assert_memory_equal(said.bytes, "\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58", 11);
    said.n = 0;
    ws_say(&said, WS_FIN | WS_BINARY, said.bytes + 1000, 256, NULL);
    assert_memory_equal(said.bytes, "\x82\x7e\x01\x00", 4);
    said.n = 0;
    ws_say(&said, WS_FIN | WS_BINARY, said.bytes + 100000, 65536, NULL);
    assert_memory_equal(said.bytes, "\x82\x7f\0\0\0\0\0\1\0\0", 10);
}

/* --- every way to cut a stream ---------------------------------------------------------------------------------- */

static void say_everything(struct ws_said *said, const uint32_t *key)
{
    char long_one[70000], payload[WS_CONTROL_MAX];
    static const size_t lengths[] = {0, 1, 3, 4, 125, 126, 127, 200};

    memset(long_one, 'x', sizeof long_one);
    memset(payload, 'p', sizeof payload);
    said->n = 0;
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++)
        ws_say(said, WS_FIN | (i & 1 ? WS_TEXT : WS_BINARY), long_one, lengths[i], key);
    /* Fragments that cut a character, with control frames between. */
    ws_say(said, WS_TEXT, "caf\xc3", 4, key);
    ws_say(said, WS_FIN | WS_PING, payload, sizeof payload, key);
    ws_say(said, WS_CONTINUATION, "", 0, key);
    ws_say(said, WS_FIN | WS_PONG, "", 0, key);
    ws_say(said, WS_CONTINUATION, "\xa9 \xf0\x9f", 4, key);
    ws_say(said, WS_FIN | WS_CONTINUATION, "\x8e\x89", 2, key);
    ws_say(said, WS_BINARY, "", 0, key);
    ws_say(said, WS_FIN | WS_CONTINUATION, "all in the last", 15, key);
    ws_say(said, WS_BINARY, "all in the first", 16, key);
    ws_say(said, WS_FIN | WS_CONTINUATION, "", 0, key);
    ws_say(said, WS_TEXT, "", 0, key);
    ws_say(said, WS_FIN | WS_CONTINUATION, "", 0, key);
    ws_say(said, WS_FIN | WS_PING, "?", 1, key);
    ws_say(said, WS_FIN | WS_CLOSE,
           "\x03\xe8"
           "bye \xe2\x82\xac",
           9, key);
    ws_say(said, WS_FIN | WS_TEXT, "never heard", 11, key);
}

static void any_cut_is_the_same(void **state)
{
    static struct ws_said said;

    (void)state;
    for (int is_server = 0; is_server < 2; is_server++) {
        const struct ws_hear how = {.is_server = is_server};
        say_everything(&said, is_server ? &mask : NULL);
        struct ws_heard *whole = ws_hear(&how, said.bytes, said.n, 0, 0);
        assert_int_equal(whole->n_messages, 12);
        assert_int_equal(whole->n_events, 12 + 4);
        assert_int_equal(whole->code, 1000);
        assert_non_null(strstr(whole->text, "message 1 0 10 |caf\xc3\xa9 \xf0\x9f\x8e\x89\n"));
        assert_non_null(strstr(whole->text, "close 8 1000 7 |bye \xe2\x82\xac\n"));
        for (size_t first = 1; first < said.n; first++) {
            struct ws_heard *cut = ws_hear(&how, said.bytes, said.n, first, 0);
            assert_string_equal(cut->text, whole->text);
            ws_heard_free(cut);
        }
        for (size_t piece = 1; piece < 20; piece++) {
            struct ws_heard *cut = ws_hear(&how, said.bytes, said.n, piece, piece);
            assert_string_equal(cut->text, whole->text);
            ws_heard_free(cut);
        }
        ws_heard_free(whole);
    }
}

static void long_messages(void **state)
{
    static struct ws_said said;
    static char bytes[65537];
    static const size_t lengths[] = {65535, 65536, 65537}, pieces[] = {0, 1, 1000, 4096, 16384, 65536};

    (void)state;
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (char)(i * 7 % 95 + 32);
    for (unsigned i = 0; i < 3; i++) {
        said.n = 0;
        ws_say(&said, WS_FIN | WS_TEXT, bytes, lengths[i], &mask);
        for (unsigned p = 0; p < 6; p++) {
            struct ws_heard *heard =
                ws_hear(&(struct ws_hear){.is_server = true}, said.bytes, said.n, pieces[p], pieces[p]);
            assert_int_equal(heard->n_messages, 1);
            assert_memory_equal(strchr(heard->text, '|') + 1, bytes, lengths[i]);
            ws_heard_free(heard);
        }
    }
}

/* --- what is wrong ---------------------------------------------------------------------------------------------- */

struct wrong {
    bool is_server;
    unsigned code;
    const char *words;
    const uint8_t *bytes;
    size_t n;
};

static const struct wrong wrongs[] = {
    {false, 1002, "reserved bit", BYTES(0xa1, 0x00)},
    {false, 1002, "reserved bit", BYTES(0x91, 0x00)},
    {false, 1002, "RSV1", BYTES(0xc1, 0x00)},
    {false, 1002, "reserved bit", BYTES(0xf1, 0x00)},
    {false, 1002, "reserved opcode", BYTES(0x83, 0x00)},
    {false, 1002, "reserved opcode", BYTES(0x87, 0x00)},
    {false, 1002, "reserved opcode", BYTES(0x8b, 0x00)},
    {false, 1002, "reserved opcode", BYTES(0x8f, 0x00)},
    {false, 1002, "masked", BYTES(0x81, 0x80, 1, 2, 3, 4)},
    {true, 1002, "not masked", BYTES(0x81, 0x00)},
    {true, 1002, "not masked", BYTES(0x88, 0x00)},
    {false, 1002, "in fragments", BYTES(0x09, 0x00)},
    {false, 1002, "in fragments", BYTES(0x08, 0x00)},
    {false, 1002, "125", BYTES(0x89, 0x7e, 0x00, 0x7e)},
    {false, 1002, "125", BYTES(0x88, 0x7f)},
    {false, 1002, "no message", BYTES(0x80, 0x00)},
    {false, 1002, "no message", BYTES(0x00, 0x00)},
    {false, 1002, "no message", BYTES(0x01, 0x00, 0x80, 0x00, 0x80, 0x00)},
    {false, 1002, "inside another", BYTES(0x01, 0x01, 'a', 0x81, 0x01, 'b')},
    {false, 1002, "inside another", BYTES(0x01, 0x01, 'a', 0x89, 0x00, 0x02, 0x01, 'b')},
    {false, 1002, "than it needs", BYTES(0x82, 0x7e, 0x00, 0x7d)},
    {false, 1002, "than it needs", BYTES(0x82, 0x7f, 0, 0, 0, 0, 0, 0, 0xff, 0xff)},
    {false, 1002, "63 bits", BYTES(0x82, 0x7f, 0x80, 0, 0, 0, 0, 0, 0, 0)},
    {false, 1002, "63 bits", BYTES(0x82, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff)},
    {false, 1009, "longer", BYTES(0x82, 0x7f, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff)},
    {true, 1009, "longer", BYTES(0x82, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 2, 3, 4)},
    {false, 1002, "one byte", BYTES(0x88, 0x01, 0x03)},
    {false, 1002, "code", BYTES(0x88, 0x02, 0x00, 0x00)},
    {false, 1002, "code", BYTES(0x88, 0x02, 0x03, 0xed)}, /* 1005 */
    {false, 1002, "code", BYTES(0x88, 0x02, 0x03, 0xee)}, /* 1006 */
    {false, 1002, "code", BYTES(0x88, 0x02, 0x03, 0xec)}, /* 1004 */
    {false, 1002, "code", BYTES(0x88, 0x02, 0x03, 0xf7)}, /* 1015 */
    {false, 1002, "code", BYTES(0x88, 0x02, 0x0b, 0xb7)}, /* 2999 */
    {false, 1002, "code", BYTES(0x88, 0x02, 0x13, 0x88)}, /* 5000 */
    {false, 1007, "reason", BYTES(0x88, 0x03, 0x03, 0xe8, 0xff)},
    {false, 1007, "reason", BYTES(0x88, 0x04, 0x03, 0xe8, 0xe2, 0x82)},
    {false, 1007, "not UTF-8", BYTES(0x81, 0x01, 0xff)},
    {false, 1007, "not UTF-8", BYTES(0x01, 0x02, 0xed, 0xa0)},            /* a surrogate: known with its second byte */
    {false, 1007, "not UTF-8", BYTES(0x81, 0x09, 'a', 'b', 0xc0)},        /* before the frame has ended */
    {false, 1007, "not UTF-8", BYTES(0x01, 0x01, 0xc3, 0x80, 0x01, 'a')}, /* the second fragment */
    {false, 1007, "inside a character", BYTES(0x81, 0x01, 0xc3)},
    {false, 1007, "inside a character", BYTES(0x01, 0x01, 0xc3, 0x80, 0x00)},
};

static void wrong_is_wrong_however_it_is_cut(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof wrongs / sizeof *wrongs; i++) {
        const struct wrong *wrong = &wrongs[i];
        for (size_t piece = 0; piece <= wrong->n; piece++) {
            struct ws_heard *heard =
                ws_hear(&(struct ws_hear){.is_server = wrong->is_server}, wrong->bytes, wrong->n, piece, piece);
            assert_int_equal(heard->code, wrong->code);
            assert_int_equal(heard->error, wrong->code == 1009 ? -SONDE_ETOOBIG : -SONDE_EWS);
            if (strstr(heard->words, wrong->words) == NULL)
                fail_msg("row %zu: \"%s\"", i, heard->words);
            assert_true(heard->n_messages <= 1);
            assert_non_null(strstr(heard->text, "violation"));
            ws_heard_free(heard);
        }
    }
}

static void close_codes(void **state)
{
    (void)state;
    for (unsigned code = 0; code <= UINT16_MAX; code++) {
        const uint8_t bytes[] = {0x88, 0x02, (uint8_t)(code >> 8), (uint8_t)code};
        bool right = (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) || (code >= 3000 && code <= 4999);
        struct ws_heard *heard = ws_hear(&(struct ws_hear){0}, bytes, sizeof bytes, 0, 0);
        assert_int_equal(heard->error, right ? 0 : -SONDE_EWS);
        assert_int_equal(heard->code, right ? code : 1002);
        assert_int_equal(ws_close_code_valid(code), right);
        ws_heard_free(heard);
    }
    struct ws_heard *heard = ws_hear(&(struct ws_hear){0}, "\x88\x00", 2, 0, 0);
    assert_int_equal(heard->code, 1005);
    assert_int_equal(heard->error, 0);
    ws_heard_free(heard);
}

static void close_payloads(void **state)
{
    uint8_t payload[WS_CONTROL_MAX];
    char reason[200];

    (void)state;
    assert_int_equal(ws_close_payload(payload, 1005, "x", 1), 0);
    assert_int_equal(ws_close_payload(payload, 1000, NULL, 0), 2);
    assert_memory_equal(payload, "\x03\xe8", 2);
    for (size_t n = 0; n < sizeof reason; n += 2) {
        for (size_t i = 0; i < n; i += 2)
            memcpy(reason + i, "\xc3\xa9", 2);
        size_t got = ws_close_payload(payload, 4000, reason, n);
        assert_int_equal(got, 2 + (n <= 123 ? n : 122));
        assert_true(ws_utf8_valid(payload + 2, got - 2));
    }
}

/* --- limits and memory ------------------------------------------------------------------------------------------ */

static void limits(void **state)
{
    static struct ws_said said;
    char bytes[200] = "";

    (void)state;
    for (size_t n = 99; n <= 101; n++) {
        const struct ws_hear how = {.limit_bytes = 100};
        said.n = 0;
        ws_say(&said, WS_FIN | WS_BINARY, bytes, n, NULL);
        struct ws_heard *heard = ws_hear(&how, said.bytes, said.n, 0, 0);
        assert_int_equal(heard->code, n <= 100 ? 0 : 1009);
        ws_heard_free(heard);
        for (size_t first = 0; first <= n; first++) { /* the fragments count together */
            said.n = 0;
            ws_say(&said, WS_BINARY, bytes, first, NULL);
            ws_say(&said, WS_FIN | WS_PING, bytes, 125, NULL); /* control frames don't count */
            ws_say(&said, WS_FIN, bytes, n - first, NULL);
            heard = ws_hear(&how, said.bytes, said.n, 0, 0);
            assert_int_equal(heard->code, n <= 100 ? 0 : 1009);
            assert_int_equal(heard->n_messages, n <= 100);
            assert_true(heard->memory.most_bytes <= 100);
            ws_heard_free(heard);
        }
    }
}

/* What lies whole in the bytes is not copied, and costs no memory. */
static void whole_messages_stay_where_they_are(void **state)
{
    static struct ws_said said;
    struct ws_memory memory = {0};
    const struct sonde_allocator allocator = {ws_memory_alloc, ws_memory_free, &memory};
    struct ws_decoder decoder;
    struct ws_event event;
    size_t at = 0, n_taken;

    (void)state;
    said.n = 0;
    for (int i = 0; i < 5; i++)
        ws_say(&said, WS_FIN | WS_BINARY, "some bytes", 10, &mask);
    ws_decoder_init(&decoder,
                    &(struct ws_decoder_options){.allocator = &allocator, .is_server = true, .limit_bytes = 10});
    for (int i = 0; i < 5; i++) {
        assert_int_equal(ws_decode(&decoder, said.bytes + at, said.n - at, &n_taken, &event), WS_FOUND_MESSAGE);
        assert_int_equal(n_taken, 16);
        assert_ptr_equal(event.data, said.bytes + at + 6);
        assert_memory_equal(event.data, "some bytes", 10);
        at += n_taken;
    }
    assert_int_equal(memory.n_calls, 0);
    ws_decoder_free(&decoder);
}

/* Memory is for what has come, not for what a head promises. */
static void memory_grows_with_what_comes(void **state)
{
    static uint8_t head[WS_HEAD_MAX], bytes[4096];
    struct ws_heard heard = {0};
    const struct sonde_allocator allocator = {ws_memory_alloc, ws_memory_free, &heard.memory};
    struct ws_decoder decoder;

    (void)state;
    ws_decoder_init(&decoder, &(struct ws_decoder_options){.allocator = &allocator, .limit_bytes = UINT64_C(1) << 40});
    ws_heard_feed(&heard, &decoder, head, ws_head(head, WS_FIN | WS_BINARY, UINT64_C(1) << 40, NULL));
    assert_int_equal(heard.memory.most_bytes, 0);
    for (size_t n = sizeof bytes; n < 1024 * 1024; n += sizeof bytes) {
        ws_heard_feed(&heard, &decoder, bytes, sizeof bytes);
        assert_true(heard.memory.n_live_bytes <= 2 * n);
    }
    assert_int_equal(heard.n_events, 0);
    ws_decoder_free(&decoder);
    assert_int_equal(heard.memory.n_live, 0);
    free(heard.text);
}

static void memory_is_given_back_after_a_message(void **state)
{
    static uint8_t bytes[20000];
    static struct ws_said said;
    struct ws_heard heard = {0};
    const struct sonde_allocator allocator = {ws_memory_alloc, ws_memory_free, &heard.memory};
    struct ws_decoder decoder;

    (void)state;
    said.n = 0;
    ws_say(&said, WS_BINARY, bytes, sizeof bytes, NULL);
    ws_say(&said, WS_FIN, bytes, sizeof bytes, NULL);
    ws_decoder_init(&decoder, &(struct ws_decoder_options){.allocator = &allocator, .limit_bytes = 100000});
    ws_heard_feed(&heard, &decoder, said.bytes, said.n);
    assert_int_equal(heard.n_messages, 1);
    assert_int_equal(heard.memory.n_live_bytes, 0); /* the call that found nothing more has given it back */
    ws_decoder_free(&decoder);
    free(heard.text);
}

static void no_memory(void **state)
{
    static struct ws_said said;

    (void)state;
    said.n = 0;
    ws_say(&said, WS_BINARY, "some", 4, NULL);
    ws_say(&said, WS_FIN, (const char[2000]){0}, 2000, NULL);
    for (unsigned i = 1;; i++) {
        struct ws_heard *heard = ws_hear(&(struct ws_hear){.fail_at = i}, said.bytes, said.n, 0, 100);
        bool failed = heard->memory.n_calls >= i;
        assert_int_equal(heard->error, failed ? -ENOMEM : 0);
        assert_int_equal(heard->code, failed ? 1011 : 0);
        assert_int_equal(heard->n_messages, failed ? 0 : 1);
        ws_heard_free(heard);
        if (!failed) {
            assert_true(i > 1);
            break;
        }
    }
}

/* --- masks ------------------------------------------------------------------------------------------------------ */

static void masks(void **state)
{
    enum { MOST = 300 };
    uint8_t plain[MOST + 16], masked[MOST + 16], copy[MOST + 16];
    const uint8_t *key = (const uint8_t *)&mask;

    (void)state;
    for (size_t n = 0; n < MOST; n++) {
        for (size_t shift = 0; shift < 8; shift++) {
            for (size_t i = 0; i < n; i++)
                plain[shift + i] = (uint8_t)(i * 31 % 128);
            size_t at = n > 0 ? (n * 7 + shift) % n : 0;
            for (int high = 0; high < (n > 0 ? 2 : 1); high++) {
                if (high)
                    plain[shift + at] |= 0x80;
                masked[shift + n] = copy[shift + n] = 0x55;
                assert_int_equal(!!ws_mask_copy(masked + shift, plain + shift, n, mask), high);
                for (size_t i = 0; i < n; i++)
                    assert_int_equal(masked[shift + i], plain[shift + i] ^ key[i % 4]);
                memcpy(copy + shift, masked + shift, n);
                assert_int_equal(!!ws_mask(copy + shift, n, mask), high);
                assert_memory_equal(copy + shift, plain + shift, n);
                assert_int_equal(masked[shift + n], 0x55);
                assert_int_equal(copy[shift + n], 0x55);
            }
        }
    }
    for (size_t offset = 0; offset < 9; offset++) {
        uint32_t turned = ws_mask_at(mask, offset);
        for (unsigned i = 0; i < 4; i++)
            assert_int_equal(((const uint8_t *)&turned)[i], key[(i + offset) % 4]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(examples_of_the_rfc),
        cmocka_unit_test(examples_are_written_so),
        cmocka_unit_test(any_cut_is_the_same),
        cmocka_unit_test(long_messages),
        cmocka_unit_test(wrong_is_wrong_however_it_is_cut),
        cmocka_unit_test(close_codes),
        cmocka_unit_test(close_payloads),
        cmocka_unit_test(limits),
        cmocka_unit_test(whole_messages_stay_where_they_are),
        cmocka_unit_test(memory_grows_with_what_comes),
        cmocka_unit_test(memory_is_given_back_after_a_message),
        cmocka_unit_test(no_memory),
        cmocka_unit_test(masks),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
