/* SPDX-License-Identifier: MIT */
/* Codecs: their texts, what they make of known bytes, what they refuse, and what a decoder costs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "frame_stream.h"

#include <errno.h>
#include <sonde/frame.h>
#include <string.h>

#define BYTES(text) (text), sizeof(text) - 1

static struct sonde_frame frame_of(const char *text)
{
    struct sonde_frame frame;
    struct sonde_why why;

    if (sonde_frame_parse(text, &frame, &why) < 0)
        fail_msg("%s: %s", text, why.detail);
    return frame;
}

static void test_texts(void **state)
{
    static const char *const same[] = {
        "none",
        "line",
        "crlf",
        "nul",
        "fixed:1",
        "fixed:1073741824",
        "u8",
        "u16be",
        "u16le",
        "u32be",
        "u32le",
        "varint",
        "netstring",
        "slip",
        "cobs",
        "delim:0a",
        "delim:0d0a",
        "len:0,1,be,0",
        "len:4096,8,le,-1048576",
        "len:4,3,be,1048576",
        "delim:000102030405060708090a0b0c0d0e0f",
    };
    static const char *const other[][2] = {
        {"delim:0D 0A", "delim:0d0a"},
        {"delim:aB:Cd", "delim:abcd"},
        {"fixed:016", "fixed:16"},
        {"len:2,2,le,+4", "len:2,2,le,4"},
    };
    char text[SONDE_FRAME_TEXT];

    (void)state;
    for (size_t i = 0; i < sizeof same / sizeof same[0]; i++) {
        struct sonde_frame frame = frame_of(same[i]);
        assert_int_equal(sonde_frame_format(&frame, text, sizeof text), strlen(same[i]));
        assert_string_equal(text, same[i]);
    }
    for (size_t i = 0; i < sizeof other / sizeof other[0]; i++) {
        struct sonde_frame frame = frame_of(other[i][0]);
        sonde_frame_format(&frame, text, sizeof text);
        assert_string_equal(text, other[i][1]);
    }
    struct sonde_frame frame = frame_of("netstring");
    assert_int_equal(sonde_frame_format(&frame, text, 4), 3);
    assert_string_equal(text, "net");
}

static void test_texts_refused(void **state)
{
    static const char *const rows[] = {
        "",
        "lines",
        "LINE",
        "line:",
        "line:0a",
        "u16",
        "u24be",
        "fixed",
        "fixed:",
        "fixed:0",
        "fixed:-1",
        "fixed:1k",
        "fixed:1073741825",
        "delim",
        "delim:",
        "delim:0",
        "delim:0g",
        "delim:0a:",
        "delim: 0a",
        "delim:0a  0d",
        "delim:000102030405060708090a0b0c0d0e0f10",
        "len",
        "len:",
        "len:0,2,be",
        "len:0,2,be,0,",
        "len:0,2,be,0,0",
        "len:4097,2,be,0",
        "len:0,5,be,0",
        "len:0,0,be,0",
        "len:0,9,be,0",
        "len:0,2,xe,0",
        "len:0,2,bee,0",
        "len:0,2,,0",
        "len:,2,be,0",
        "len:0,2,be,",
        "len:0,2,be,--1",
        "len:0,2,be,1048577",
        "len:0,2,be,-1048577",
        "len:0,2,be, 1",
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct sonde_frame frame = {.fixed_bytes = 4711};
        struct sonde_why why = {.code = 0};
        if (sonde_frame_parse(rows[i], &frame, &why) != -SONDE_EOPTION)
            fail_msg("\"%s\" was understood", rows[i]);
        assert_int_equal(why.code, -SONDE_EOPTION);
        assert_true(strlen(why.detail) > 20 && strlen(why.detail) < sizeof why.detail - 1);
        assert_int_equal(frame.fixed_bytes, 4711);
        assert_int_equal(sonde_frame_parse(rows[i], &frame, NULL), -SONDE_EOPTION);
    }
}

/* One message, and what it is on the wire. */
static const struct {
    const char *codec, *message;
    size_t n_message;
    const char *wire;
    size_t n_wire;
} known[] = {
    {"none", BYTES("abc"), BYTES("abc")},
    {"line", BYTES("abc"), BYTES("abc\n")},
    {"line", BYTES(""), BYTES("\n")},
    {"line", BYTES("a\r"), BYTES("a\r\n")},
    {"crlf", BYTES("a\nb\rc\r"), BYTES("a\nb\rc\r\r\n")},
    {"nul", BYTES("a\n"), BYTES("a\n\0")},
    {"fixed:3", BYTES("a\0b"), BYTES("a\0b")},
    {"u8", BYTES(""), BYTES("\0")},
    {"u8", BYTES("abc"), BYTES("\3abc")},
    {"u16be", BYTES("abc"), BYTES("\0\3abc")},
    {"u16le", BYTES("abc"), BYTES("\3\0abc")},
    {"u32be", BYTES("abc"), BYTES("\0\0\0\3abc")},
    {"u32le", BYTES("abc"), BYTES("\3\0\0\0abc")},
    {"varint", BYTES("abc"), BYTES("\3abc")},
    {"netstring", BYTES("hello world!"), BYTES("12:hello world!,")},
    {"netstring", BYTES(""), BYTES("0:,")},
    {"slip",
     BYTES("a\xc0"
           "b\xdb"
           "c"),
     BYTES("a\xdb\xdc"
           "b\xdb\xdd"
           "c\xc0")},
    {"cobs", BYTES(""), BYTES("\1\0")},
    {"cobs", BYTES("\0"), BYTES("\1\1\0")},
    {"cobs", BYTES("\0\0"), BYTES("\1\1\1\0")},
    {"cobs", BYTES("\0\x11\0"), BYTES("\1\2\x11\1\0")},
    {"cobs", BYTES("\x11\x22\0\x33"), BYTES("\3\x11\x22\2\x33\0")},
    {"cobs", BYTES("\x11\0\0\0"), BYTES("\2\x11\1\1\1\0")},
    {"delim:6162", BYTES("bab\0a"), BYTES("")}, /* "bab..." holds it */
    {"delim:6162", BYTES("ba"), BYTES("baab")},
    {"len:0,1,be,0", BYTES("\2ab"), BYTES("\2ab")},
    {"len:0,1,be,-1", BYTES("\3ab"), BYTES("\3ab")},
    {"len:2,2,le,1", BYTES("xy\1\0ab"), BYTES("xy\1\0ab")},
    {"len:4,2,be,0", BYTES("\0\1\0\0\0\2ab"), BYTES("\0\1\0\0\0\2ab")},
    {"len:1,3,be,-4", BYTES("x\0\0\4"), BYTES("x\0\0\4")},
    {"len:0,8,le,0", BYTES("\1\0\0\0\0\0\0\0z"), BYTES("\1\0\0\0\0\0\0\0z")},
};

static void test_known(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        struct sonde_frame frame = frame_of(known[i].codec);
        unsigned char wire[256];
        size_t n_wire = 0;
        int error = sonde_frame_encode(&frame, known[i].message, known[i].n_message, wire, sizeof wire, &n_wire);
        if (known[i].n_wire == 0) {
            assert_int_equal(error, -EBADMSG);
            continue;
        }
        assert_int_equal(error, 0);
        assert_int_equal(n_wire, known[i].n_wire);
        assert_memory_equal(wire, known[i].wire, n_wire);
        struct heard *heard = hear_stream(&frame, 64, wire, n_wire, 0, 0);
        assert_int_equal(heard->ended, 0);
        assert_int_equal(heard->n_messages, 1);
        assert_int_equal(heard->n_bytes, known[i].n_message);
        assert_memory_equal(heard->bytes, known[i].message, heard->n_bytes);
        heard_free(heard);
    }
}

/* Lengths around every border of the codecs' own. */
static void test_lengths(void **state)
{
    static const char *const codecs[] = {"u8", "u16le", "u32be", "varint", "netstring", "slip", "cobs", "line"};
    static const size_t lengths[] = {1, 126, 127, 128, 253, 254, 255, 256, 507, 508, 509, 16383, 16384, 65535, 65536};
    unsigned char message[65536], wire[3 * 65536];
    size_t n_wire;

    (void)state;
    for (size_t c = 0; c < sizeof codecs / sizeof codecs[0]; c++) {
        struct sonde_frame frame = frame_of(codecs[c]);
        for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
            size_t n = lengths[i];
            memset(message, 0xc1, n);
            int error = sonde_frame_encode(&frame, message, n, wire, sizeof wire, &n_wire);
            bool fits = (c != 0 || n < 256) && (c != 1 || n < 65536);
            assert_int_equal(error, fits ? 0 : -EMSGSIZE);
            if (!fits)
                continue;
            assert_true(n_wire <= sonde_frame_bound(&frame, n));
            for (size_t cut = 0; cut < 3; cut++) {
                struct heard *heard = hear_stream(&frame, n, wire, n_wire, cut < 2 ? cut : 1000, n);
                assert_int_equal(heard->ended, 0);
                assert_int_equal(heard->n_messages, 1);
                assert_int_equal(heard->n_bytes, n);
                assert_memory_equal(heard->bytes, message, n);
                heard_free(heard);
                if (n == 1)
                    continue;
                /* One less than it needs. */
                heard = hear_stream(&frame, n - 1, wire, n_wire, cut < 2 ? cut : 1000, n);
                assert_int_equal(heard->fault.error, -EMSGSIZE);
                assert_int_equal(heard->n_messages, 0);
                heard_free(heard);
            }
        }
    }
}

/* What cannot be carried. */
static const struct {
    const char *codec, *message;
    size_t n_message;
    int error;
} refused[] = {
    {"none", BYTES(""), -EBADMSG},
    {"line", BYTES("a\nb"), -EBADMSG},
    {"line", BYTES("\n"), -EBADMSG},
    {"crlf", BYTES("a\r\nb"), -EBADMSG},
    {"nul", BYTES("a\0b"), -EBADMSG},
    {"slip", BYTES(""), -EBADMSG},
    {"fixed:3", BYTES("ab"), -EMSGSIZE},
    {"fixed:3", BYTES("abcd"), -EMSGSIZE},
    {"delim:6161", BYTES("ba"), -EBADMSG}, /* "baaa": it would end one byte early */
    {"delim:616261", BYTES("xab"), -EBADMSG},
    {"len:0,1,be,0", BYTES("\3ab"), -EBADMSG},
    {"len:0,1,be,0", BYTES("\1ab"), -EBADMSG},
    {"len:0,2,be,0", BYTES("\1"), -EBADMSG},
    {"len:0,1,be,0", BYTES(""), -EBADMSG},
    {"len:0,1,be,-2", BYTES("\1"), -EBADMSG},
};

static void test_refused(void **state)
{
    unsigned char wire[128];
    size_t n_wire = 4711;

    (void)state;
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        struct sonde_frame frame = frame_of(refused[i].codec);
        int error = sonde_frame_encode(&frame, refused[i].message, refused[i].n_message, wire, sizeof wire, &n_wire);
        if (error != refused[i].error)
            fail_msg("%s, row %zu: %d", refused[i].codec, i, error);
        assert_int_equal(n_wire, 4711);
    }
    struct sonde_frame frame = frame_of("cobs"), broken = {.codec = (enum sonde_frame_codec)77};
    struct sonde_frame_envelope wrap;
    assert_int_equal(sonde_frame_wrap(&frame, "a", 1, &wrap), -ENOTSUP);
    assert_int_equal(sonde_frame_encode(&frame, "a", 1, wire, 1, &n_wire), -ENOBUFS);
    assert_int_equal(sonde_frame_wrap(&broken, "a", 1, &wrap), -EINVAL);
    assert_int_equal(sonde_frame_encode(&broken, "a", 1, wire, sizeof wire, &n_wire), -EINVAL);
    assert_true(sonde_frame_bound(&frame, SIZE_MAX - 1) == SIZE_MAX);
    frame = frame_of("slip");
    assert_true(sonde_frame_bound(&frame, SIZE_MAX / 2) == SIZE_MAX);
    frame = frame_of("u8");
    assert_true(sonde_frame_bound(&frame, SIZE_MAX) == SIZE_MAX);
}

/* Streams that are wrong: after how many messages, at which byte. The maximum is 8. */
static const struct {
    const char *codec, *wire;
    size_t n_wire;
    int error;
    uint64_t at_byte, n_bytes;
    size_t n_messages;
} wrong[] = {
    {"line", BYTES("ok\n12345678\n123456789"), -EMSGSIZE, 20, 9, 2},
    {"line", BYTES("12345678"), -ENODATA, 8, 8, 0},
    {"line", BYTES("123456789\n"), -EMSGSIZE, 8, 9, 0},
    {"crlf", BYTES("12345678\r\n"), 0, 0, 0, 1},
    {"crlf", BYTES("12345678\r"), -ENODATA, 9, 9, 0},
    {"crlf", BYTES("123456789\r\n"), -EMSGSIZE, 8, 9, 0},
    {"crlf", BYTES("12345678\rx"), -EMSGSIZE, 8, 9, 0},
    {"nul", BYTES("a\0b"), -ENODATA, 3, 1, 1},
    {"delim:61626364", BYTES("12345678abcd"), 0, 0, 0, 1},
    {"delim:61626364", BYTES("123456789abcd"), -EMSGSIZE, 8, 9, 0},
    {"delim:61626364", BYTES("12345678abcx"), -EMSGSIZE, 8, 9, 0},
    {"fixed:4", BYTES("abcdef"), -ENODATA, 6, 2, 1},
    {"u8", BYTES("\1a\11"), -EMSGSIZE, 2, 9, 1},
    {"u8", BYTES("\1a\3ab"), -ENODATA, 5, 3, 1},
    {"u16be", BYTES("\0\1a\1"), -ENODATA, 4, 1, 1},
    {"u16be", BYTES("\1\0"), -EMSGSIZE, 0, 256, 0},
    {"u32be", BYTES("\xff\xff\xff\xff"), -EMSGSIZE, 0, 4294967295u, 0},
    {"u32le", BYTES("\0\0\0\0\0\0\0\x80"), -EMSGSIZE, 4, 2147483648u, 1},
    {"varint",
     BYTES("\x81\x00"
           "a"),
     0, 0, 0, 1},
    {"varint", BYTES("\x80\x80\x80\x80\x80\x80\x80\x80\x80\x00"), 0, 0, 0, 1},
    {"varint", BYTES("\x80\x80\x80\x80\x80\x80\x80\x80\x80\x02"), -EBADMSG, 9, 0, 0},
    {"varint", BYTES("\1a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x80"), -EBADMSG, 11, 0, 1},
    {"varint", BYTES("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), -EMSGSIZE, 0, UINT64_MAX, 0},
    {"netstring", BYTES("2:ab,x"), -EBADMSG, 5, 0, 1},
    {"netstring", BYTES(":"), -EBADMSG, 0, 0, 0},
    {"netstring", BYTES("01:a,"), -EBADMSG, 1, 0, 0},
    {"netstring", BYTES("00:,"), -EBADMSG, 1, 0, 0},
    {"netstring", BYTES("1:a,2:abc"), -EBADMSG, 8, 0, 1},
    {"netstring", BYTES("-1:a,"), -EBADMSG, 0, 0, 0},
    {"netstring", BYTES("99999999999999999999:"), -EMSGSIZE, 0, 9, 0},
    {"netstring", BYTES("3:ab"), -ENODATA, 4, 4, 0},
    {"slip",
     BYTES("a\xc0"
           "b\xdb"
           "c"),
     -EBADMSG, 4, 0, 1},
    {"slip", BYTES("\xdb\xc0"), -EBADMSG, 1, 0, 0},
    {"slip",
     BYTES("\xc0\xc0"
           "123456789\xc0"),
     -EMSGSIZE, 10, 9, 0},
    {"slip", BYTES("12345678\xdb\xdc\xc0"), -EMSGSIZE, 9, 9, 0},
    {"slip",
     BYTES("a\xc0"
           "ab\xdb"),
     -ENODATA, 5, 3, 1},
    {"slip", BYTES("\xc0\xc0"), 0, 0, 0, 0},
    {"cobs", BYTES("\2a\0\3a\0"), -EBADMSG, 5, 0, 1},
    {"cobs",
     BYTES("\0\0\12"
           "123456789\0"),
     -EMSGSIZE, 11, 9, 0},
    {"cobs",
     BYTES("\11"
           "12345678\1\0"),
     -EMSGSIZE, 9, 9, 0},
    {"cobs", BYTES("\2a"), -ENODATA, 2, 2, 0},
    {"cobs", BYTES("\0\0"), 0, 0, 0, 0},
    {"len:1,1,be,-3", BYTES("x\3x\2"), -EBADMSG, 3, 0, 1},
    {"len:0,2,be,0", BYTES("\0\7"), -EMSGSIZE, 0, 9, 0},
    {"len:0,8,be,-8", BYTES("\xff\xff\xff\xff\xff\xff\xff\xff"), -EMSGSIZE, 0, UINT64_MAX, 0},
    {"len:2,1,be,0", BYTES("ab\1cde"), -ENODATA, 6, 2, 1},
};

static void test_wrong(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct sonde_frame frame = frame_of(wrong[i].codec);
        for (size_t cut = 0; cut < 6; cut++) {
            struct heard *heard = hear_stream(&frame, 8, wrong[i].wire, wrong[i].n_wire, cut, i + cut);
            if (heard->fault.error != wrong[i].error || heard->fault.at_byte != wrong[i].at_byte ||
                heard->fault.n_bytes != wrong[i].n_bytes || heard->n_messages != wrong[i].n_messages)
                fail_msg("%s, row %zu, cut %zu: %d at %llu, %llu bytes, %zu messages", wrong[i].codec, i, cut,
                         heard->fault.error, (unsigned long long)heard->fault.at_byte,
                         (unsigned long long)heard->fault.n_bytes, heard->n_messages);
            assert_true((wrong[i].error == 0) == (heard->fault.what[0] == '\0'));
            heard_free(heard);
        }
    }
}

/* --- memory ------------------------------------------------------------------------------------------------------- */

struct ledger {
    size_t n_bytes, most_bytes;
    unsigned n_calls, fails_at; /* the call that fails; 0: none */
};

static void *counted_alloc(size_t size_bytes, void *user)
{
    struct ledger *ledger = user;

    if (++ledger->n_calls == ledger->fails_at)
        return NULL;
    ledger->n_bytes += size_bytes;
    if (ledger->n_bytes > ledger->most_bytes)
        ledger->most_bytes = ledger->n_bytes;
    return malloc(size_bytes);
}

static void counted_free(void *memory, size_t size_bytes, void *user)
{
    struct ledger *ledger = user;

    ledger->n_bytes -= size_bytes;
    free(memory);
}

static int count(const void *data, size_t n_bytes, void *user)
{
    (void)data, (void)n_bytes;
    ++*(unsigned *)user;
    return 0;
}

static struct sonde_frame_decoder *counted(const char *codec, uint64_t max_bytes, struct ledger *ledger,
                                           sonde_frame_message message, void *user)
{
    const struct sonde_allocator allocator = {counted_alloc, counted_free, ledger};
    const struct sonde_frame_decoder_options options = {sizeof options, max_bytes, &allocator};
    struct sonde_frame frame = frame_of(codec);
    struct sonde_frame_decoder *decoder = NULL;

    if (sonde_frame_decoder_create(&frame, &options, message, user, &decoder) < 0)
        return NULL;
    return decoder;
}

static void test_whole_messages_cost_nothing(void **state)
{
    static const char *const codecs[] = {"none", "line", "crlf", "u8", "u16be", "varint", "netstring", "slip", "cobs"};
    unsigned char wire[4096];

    (void)state;
    for (size_t c = 0; c < sizeof codecs / sizeof codecs[0]; c++) {
        struct sonde_frame frame = frame_of(codecs[c]);
        struct ledger ledger = {0};
        unsigned n = 0;
        size_t n_wire = 0, n_one = 0;
        for (unsigned i = 0; i < 32; i++, n_wire += n_one)
            assert_int_equal(sonde_frame_encode(&frame, "a message", 9, wire + n_wire, sizeof wire - n_wire, &n_one),
                             0);
        struct sonde_frame_decoder *decoder = counted(codecs[c], 0, &ledger, count, &n);
        for (unsigned i = 0; i < 3; i++)
            assert_int_equal(sonde_frame_decoder_feed(decoder, wire, n_wire, NULL), 0);
        assert_int_equal(n, c == 0 ? 3 : 96);
        assert_int_equal(ledger.n_calls, 1); /* the decoder itself */
        sonde_frame_decoder_free(decoder);
        assert_int_equal(ledger.n_bytes, 0);
    }
}

/* The message is lent from where it came. */
static int is_within(const void *data, size_t n_bytes, void *user)
{
    const char *const *wire = user;

    assert_ptr_equal(data, *wire);
    assert_int_equal(n_bytes, 5);
    return 1;
}

static void test_lent_in_place(void **state)
{
    static const struct {
        const char *codec, *wire;
        size_t n_before;
    } rows[] = {
        {"none", "hello", 0},          {"line", "hello\n", 0},       {"crlf", "hello\r\n", 0},
        {"u8", "\5hello", 1},          {"netstring", "5:hello,", 2}, {"slip", "hello\xc0", 0},
        {"cobs", "\6hello", 1},        {"varint", "\5hello", 1},     {"fixed:5", "hello", 0},
        {"len:0,1,be,0", "\4help", 0}, {"delim:2e2e", "hello..", 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const char *message = rows[i].wire + rows[i].n_before;
        struct sonde_frame frame = frame_of(rows[i].codec);
        struct sonde_frame_decoder *decoder;
        assert_int_equal(sonde_frame_decoder_create(&frame, NULL, is_within, &message, &decoder), 0);
        /* The zero at the end of the text is the one of cobs. */
        size_t n_wire = strlen(rows[i].wire) + (frame.codec == SONDE_FRAME_COBS);
        assert_int_equal(sonde_frame_decoder_feed(decoder, rows[i].wire, n_wire, NULL), 1);
        sonde_frame_decoder_free(decoder);
    }
}

/* Bytes without end cost the maximum, and a length costs nothing before it was judged. */
static void test_floods(void **state)
{
    static const char *const codecs[] = {"line", "delim:01020304", "slip", "cobs"};
    const size_t max_bytes = 100000;
    unsigned char flood[1000];
    unsigned n = 0;

    (void)state;
    memset(flood, 0xff, sizeof flood);
    for (size_t c = 0; c < sizeof codecs / sizeof codecs[0]; c++) {
        struct ledger ledger = {0};
        struct sonde_frame_decoder *decoder = counted(codecs[c], max_bytes, &ledger, count, &n);
        int error = 0;
        for (unsigned i = 0; i < 200 && error == 0; i++)
            error = sonde_frame_decoder_feed(decoder, flood, sizeof flood, NULL);
        assert_int_equal(error, -EMSGSIZE);
        /* While it grows there are two of them. */
        assert_true(ledger.most_bytes <= 2 * max_bytes + 1024);
        sonde_frame_decoder_free(decoder);
        assert_int_equal(ledger.n_bytes, 0);
    }
    struct ledger ledger = {0};
    struct sonde_frame_decoder *decoder = counted("u32be", 0, &ledger, count, &n);
    assert_int_equal(sonde_frame_decoder_feed(decoder, "\xff\xff\xff\xff", 4, NULL), -EMSGSIZE);
    assert_int_equal(ledger.n_calls, 1);
    sonde_frame_decoder_free(decoder);
    /* A length that is allowed costs what has come of the message. */
    decoder = counted("len:4000,2,be,0", 4100, &ledger, count, &n);
    size_t n_decoder = ledger.n_bytes;
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(sonde_frame_decoder_feed(decoder, flood, sizeof flood, NULL), 0);
    assert_true(ledger.n_bytes - n_decoder <= 4100 + 24);
    sonde_frame_decoder_free(decoder);
    decoder = counted("u32be", 1 << 30, &ledger, count, &n);
    size_t n_before = ledger.n_bytes;
    assert_int_equal(sonde_frame_decoder_feed(decoder, "\x40\0\0\0abc", 7, NULL), 0);
    assert_true(ledger.n_bytes - n_before <= 4096);
    sonde_frame_decoder_free(decoder);
    assert_int_equal(ledger.n_bytes, 0);
    assert_int_equal(n, 0);
}

/* A large message leaves no large buffer behind. */
static void test_buffer_given_back(void **state)
{
    static unsigned char body[200000];
    struct ledger ledger = {0};
    unsigned n = 0;
    struct sonde_frame_decoder *decoder = counted("line", 0, &ledger, count, &n);
    size_t n_idle = ledger.n_bytes;

    (void)state;
    memset(body, 'x', sizeof body);
    assert_int_equal(sonde_frame_decoder_feed(decoder, body, sizeof body, NULL), 0);
    assert_true(ledger.n_bytes >= sizeof body);
    assert_int_equal(sonde_frame_decoder_feed(decoder, "\n", 1, NULL), 0);
    assert_int_equal(n, 1);
    assert_int_equal(ledger.n_bytes, n_idle);
    sonde_frame_decoder_free(decoder);
}

static void test_no_memory(void **state)
{
    static const char *const codecs[] = {"line", "u16be", "netstring", "slip", "cobs", "len:0,2,be,0"};
    unsigned char message[2000], wire[5000];

    (void)state;
    for (size_t c = 0; c < sizeof codecs / sizeof codecs[0]; c++) {
        struct sonde_frame frame = frame_of(codecs[c]);
        size_t n_wire;
        bool failed = true;
        memset(message, 'x', sizeof message);
        memcpy(message, "\7\xce", 2); /* len: 1998 bytes follow */
        assert_int_equal(sonde_frame_encode(&frame, message, sizeof message, wire, sizeof wire, &n_wire), 0);
        for (unsigned nth = 1; failed; nth++) {
            struct ledger ledger = {.fails_at = nth};
            unsigned n = 0;
            struct sonde_frame_decoder *decoder = counted(codecs[c], 0, &ledger, count, &n);
            assert_true((decoder == NULL) == (nth == 1));
            int error = 0;
            for (size_t i = 0; i < n_wire && error == 0 && decoder != NULL; i++)
                error = sonde_frame_decoder_feed(decoder, wire + i, 1, NULL);
            failed = decoder == NULL || error != 0;
            if (decoder != NULL && failed) {
                assert_int_equal(error, -ENOMEM);
                assert_int_equal(sonde_frame_decoder_feed(decoder, wire, 1, NULL), -ENOMEM);
                assert_int_equal(sonde_frame_decoder_end(decoder), -ENOMEM);
            }
            assert_int_equal(n, failed ? 0 : 1);
            sonde_frame_decoder_free(decoder);
            assert_int_equal(ledger.n_bytes, 0);
            assert_true(nth < 20);
        }
    }
}

/* --- a decoder's manners ------------------------------------------------------------------------------------------ */

static int stop_at_b(const void *data, size_t n_bytes, void *user)
{
    ++*(unsigned *)user;
    return n_bytes == 1 && *(const char *)data == 'b' ? 7 : 0;
}

static void test_stops(void **state)
{
    struct sonde_frame frame = frame_of("line");
    struct sonde_frame_decoder *decoder;
    unsigned n = 0;
    size_t n_taken = 0;

    (void)state;
    assert_int_equal(sonde_frame_decoder_create(&frame, NULL, stop_at_b, &n, &decoder), 0);
    assert_int_equal(sonde_frame_decoder_feed(decoder, "a\nb\nc\nd", 7, &n_taken), 7);
    assert_int_equal(n_taken, 4);
    assert_int_equal(n, 2);
    assert_int_equal(sonde_frame_decoder_feed(decoder, "c\nd", 3, &n_taken), 0);
    assert_int_equal(n_taken, 3);
    assert_int_equal(n, 3);
    assert_int_equal(sonde_frame_decoder_messages(decoder), 3);
    assert_int_equal(sonde_frame_decoder_taken_bytes(decoder), 7);
    assert_int_equal(sonde_frame_decoder_end(decoder), -ENODATA);
    const void *rest;
    assert_int_equal(sonde_frame_decoder_rest(decoder, &rest), 1);
    assert_memory_equal(rest, "d", 1);
    sonde_frame_decoder_free(decoder);
    sonde_frame_decoder_free(NULL);
}

static void test_create_refuses(void **state)
{
    struct sonde_frame_decoder_options options = {.size = sizeof options, .max_bytes = 15};
    struct sonde_frame_decoder *decoder = NULL;
    struct sonde_frame frame = frame_of("fixed:16");
    unsigned n;

    (void)state;
    assert_int_equal(sonde_frame_decoder_create(&frame, &options, count, &n, &decoder), -EMSGSIZE);
    frame = frame_of("len:14,2,be,0");
    assert_int_equal(sonde_frame_decoder_create(&frame, &options, count, &n, &decoder), -EMSGSIZE);
    frame = frame_of("len:0,2,be,14"); /* the shortest has 16 */
    assert_int_equal(sonde_frame_decoder_create(&frame, &options, count, &n, &decoder), -EMSGSIZE);
    options.max_bytes = UINT64_MAX;
    frame = frame_of("line");
    assert_int_equal(sonde_frame_decoder_create(&frame, &options, count, &n, &decoder), -EINVAL);
    assert_int_equal(sonde_frame_decoder_create(&frame, NULL, NULL, &n, &decoder), -EINVAL);
    frame.n_delimiter = 0;
    assert_int_equal(sonde_frame_decoder_create(&frame, NULL, count, &n, &decoder), -EINVAL);
    frame = (struct sonde_frame){.codec = SONDE_FRAME_LEN, .width = 5};
    assert_int_equal(sonde_frame_decoder_create(&frame, NULL, count, &n, &decoder), -EINVAL);
    assert_null(decoder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_texts),
        cmocka_unit_test(test_texts_refused),
        cmocka_unit_test(test_known),
        cmocka_unit_test(test_lengths),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_wrong),
        cmocka_unit_test(test_whole_messages_cost_nothing),
        cmocka_unit_test(test_lent_in_place),
        cmocka_unit_test(test_floods),
        cmocka_unit_test(test_buffer_given_back),
        cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_stops),
        cmocka_unit_test(test_create_refuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
