/* SPDX-License-Identifier: MIT */
/* A WebSocket connection read off the wire, one direction at a time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "observe/decode/websocket.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FOUND_MAX 4096

/* Each message as a line: "1 5 hello". */
static char found[FOUND_MAX];

static void on_message(const struct websocket_message *message, void *user)
{
    (void)user;
    size_t n = strlen(found);
    snprintf(found + n, sizeof found - n, "%x%s %llu %.*s\n", message->opcode, message->compressed ? "c" : "",
             (unsigned long long)message->n_bytes, (int)message->n_data, (const char *)message->data);
}

/* In pieces of so many bytes; 0: in one. */
static int feed(struct websocket *socket, const void *data, size_t n_bytes, size_t n_piece, size_t *ret_taken)
{
    const char *bytes = data;
    *ret_taken = 0;
    for (size_t at = 0; at < n_bytes;) {
        size_t n = n_piece > 0 && n_piece < n_bytes - at ? n_piece : n_bytes - at, n_taken;
        int error = websocket_feed(socket, bytes + at, n, on_message, NULL, &n_taken);
        *ret_taken += n_taken;
        if (error < 0)
            return error;
        assert_int_equal(n_taken, n);
        at += n;
    }
    return 0;
}

/* However the stream is cut, the same comes out. */
static void check(const void *data, size_t n_bytes, const char *expected, size_t n_rest)
{
    for (size_t n_piece = 0; n_piece <= 7; n_piece++) {
        size_t n_taken;
        struct websocket *socket = websocket_new();
        assert_non_null(socket);
        found[0] = '\0';
        assert_int_equal(feed(socket, data, n_bytes, n_piece, &n_taken), 0);
        assert_string_equal(found, expected);
        assert_int_equal(websocket_rest(socket), n_rest);
        websocket_free(socket);
    }
}

static void check_wrong(const void *data, size_t n_bytes, const char *expected, size_t n_taken_expected,
                        const char *fault)
{
    for (size_t n_piece = 0; n_piece <= 3; n_piece++) {
        size_t n_taken;
        struct websocket *socket = websocket_new();
        assert_non_null(socket);
        found[0] = '\0';
        assert_int_equal(feed(socket, data, n_bytes, n_piece, &n_taken), -EBADMSG);
        assert_int_equal(n_taken, n_taken_expected);
        assert_string_equal(found, expected);
        assert_string_equal(websocket_fault(socket), fault);
        /* And it stays so. */
        assert_int_equal(websocket_feed(socket, "\x81\x00", 2, on_message, NULL, &n_taken), -EBADMSG);
        assert_int_equal(n_taken, 0);
        websocket_free(socket);
    }
}

#define BYTES(text) text, sizeof(text) - 1

static void frames(void **state)
{
    (void)state;
    check(BYTES("\x81\x05hello\x82\x00\x88\x05\x03\xe8"
                "bye"),
          "1 5 hello\n2 0 \n8 5 \x03\xe8"
          "bye\n",
          0);
    /* RFC 6455, 5.7: a masked "Hello", and one in two parts with a ping between. */
    check(BYTES("\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"), "1 5 Hello\n", 0);
    check(BYTES("\x01\x03Hel\x89\x02!!\x80\x02lo"), "9 2 !!\n1 5 Hello\n", 0);
    check(BYTES("\xc1\x02xy"), "1c 2 xy\n", 0);
    check(BYTES("\x81\x05hel"), "", 2 + 3);
    check(BYTES("\x81"), "", 1);
    check(BYTES("\x01\x02he"), "", 2);
}

static void lengths(void **state)
{
    (void)state;
    static char stream[4 + 300 + 10 + 70000];
    memcpy(stream, "\x82\x7e\x01\x2c", 4);
    memset(stream + 4, 'x', 300);
    memcpy(stream + 304, "\x82\x7f\0\0\0\0\0\x01\x11\x70", 10);
    memset(stream + 314, 'y', 70000);
    size_t n_taken;
    struct websocket *socket = websocket_new();
    assert_non_null(socket);
    found[0] = '\0';
    assert_int_equal(feed(socket, stream, 4 + 300, 0, &n_taken), 0);
    assert_int_equal(strncmp(found, "2 300 xxx", 9), 0);
    found[0] = '\0';
    /* Longer than what is kept: counted whole. */
    assert_int_equal(feed(socket, stream + 304, 10 + 70000, 1000, &n_taken), 0);
    assert_int_equal(strncmp(found, "2 70000 yyy", 11), 0);
    websocket_free(socket);
}

static void heads(void **state)
{
    (void)state;
    check(BYTES("GET / HTTP/1.1\r\nHost: x\r\n\r\n\x81\x02hi"), "10 27 GET / HTTP/1.1\r\nHost: x\r\n\r\n\n1 2 hi\n", 0);
    check(BYTES("HTTP/1.1 101 OK\r\n\r\n\x81\x02hi"), "10 19 HTTP/1.1 101 OK\r\n\r\n\n1 2 hi\n", 0);
    check(BYTES("GET / HT"), "", 8);
    check_wrong(BYTES("HTTP/1.1 403 No\r\n\r\nbody"), "10 19 HTTP/1.1 403 No\r\n\r\n\n", 19,
                "the answer does not change to WebSocket");
    static char endless[WEBSOCKET_KEPT_MAX + 10];
    memset(endless, 'G', sizeof endless);
    struct websocket *socket = websocket_new();
    size_t n_taken;
    assert_non_null(socket);
    assert_int_equal(feed(socket, endless, sizeof endless, 100, &n_taken), -EBADMSG);
    websocket_free(socket);
}

static void what_is_wrong(void **state)
{
    (void)state;
    check_wrong(BYTES("\x81\x01x\x83\x00"), "1 1 x\n", 5, "a frame with a reserved opcode");
    check_wrong(BYTES("\xa1\x00"), "", 2, "a frame with a reserved bit");
    check_wrong(BYTES("\xc9\x00"), "", 2, "a frame with a reserved bit");
    check_wrong(BYTES("\x09\x00"), "", 2, "a control frame that is long, or in parts");
    check_wrong(BYTES("\x89\x7e\x00\x80"), "", 4, "a control frame that is long, or in parts");
    check_wrong(BYTES("\x80\x00"), "", 2, "a continuation of no message");
    check_wrong(BYTES("\x01\x00\x81\x00"), "", 4, "a message within a message");
    check_wrong(BYTES("\x82\x7f\x80\0\0\0\0\0\0\0"), "", 10, "a length with its highest bit");
    websocket_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames),
        cmocka_unit_test(lengths),
        cmocka_unit_test(heads),
        cmocka_unit_test(what_is_wrong),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
