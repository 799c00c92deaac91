/* SPDX-License-Identifier: MIT */
/* The codec and wslay, another one's: each understands what the other writes, in both roles, however messages are cut
 * into fragments and bytes into pieces. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ws_heard.h"

#include <wslay/wslay.h>

enum { MESSAGES = 40, LONGEST = 5000, ROUNDS = 60 };

static uint64_t seed;

static unsigned chance(unsigned n)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (unsigned)(seed >> 33) % n;
}

static size_t make_message(char *bytes, bool is_text)
{
    static const unsigned edges[] = {0, 1, 125, 126, 127, 128};
    size_t n = chance(3) == 0 ? edges[chance(6)] : chance(LONGEST);

    for (size_t i = 0; i < n; i++)
        bytes[i] = (char)chance(is_text ? 128 : 256);
    if (is_text && n >= 4)
        memcpy(bytes + chance((unsigned)n - 3), "\xf0\x9f\x8e\x89", 4);
    return n;
}

/* A text as ws_heard writes it. */
static void note(struct ws_heard *heard, unsigned opcode, unsigned code, const void *data, size_t n)
{
    const struct ws_event event = {.opcode = (uint8_t)opcode,
                                   .code = (uint16_t)code,
                                   .data = (uint8_t *)(uintptr_t)data,
                                   .n_bytes = n,
                                   .words = ""};

    ws_heard_event(heard,
                   opcode == WS_PING    ? WS_FOUND_PING
                   : opcode == WS_PONG  ? WS_FOUND_PONG
                   : opcode == WS_CLOSE ? WS_FOUND_CLOSE
                                        : WS_FOUND_MESSAGE,
                   &event);
}

/* wslay's side of the wire. */
struct other {
    const uint8_t *in;
    size_t n_in;
    struct ws_said *out;
    struct ws_heard heard;
    const char *fragmented;
    size_t n_fragmented;
};

static ssize_t on_recv(wslay_event_context_ptr ctx, uint8_t *bytes, size_t room, int flags, void *user)
{
    struct other *other = user;
    size_t n = 1 + chance(300);

    (void)flags;
    n = n < room ? n : room;
    n = n < other->n_in ? n : other->n_in;
    if (n == 0) {
        wslay_event_set_error(ctx, WSLAY_ERR_WOULDBLOCK);
        return -1;
    }
    memcpy(bytes, other->in, n);
    other->in += n;
    other->n_in -= n;
    return (ssize_t)n;
}

static ssize_t on_send(wslay_event_context_ptr ctx, const uint8_t *bytes, size_t n, int flags, void *user)
{
    struct other *other = user;

    (void)ctx, (void)flags;
    if (other->out->n + n > sizeof other->out->bytes)
        abort();
    memcpy(other->out->bytes + other->out->n, bytes, n);
    other->out->n += n;
    return (ssize_t)n;
}

static int on_mask(wslay_event_context_ptr ctx, uint8_t *bytes, size_t n, void *user)
{
    (void)ctx, (void)user;
    for (size_t i = 0; i < n; i++)
        bytes[i] = (uint8_t)chance(256);
    return 0;
}

static void on_message(wslay_event_context_ptr ctx, const struct wslay_event_on_msg_recv_arg *arg, void *user)
{
    struct other *other = user;
    size_t n_code = arg->opcode == WSLAY_CONNECTION_CLOSE && arg->status_code != 0 ? 2 : 0;

    (void)ctx;
    note(&other->heard, arg->opcode,
         n_code > 0                              ? arg->status_code
         : arg->opcode == WSLAY_CONNECTION_CLOSE ? 1005
                                                 : 0,
         arg->msg + n_code, arg->msg_length - n_code);
}

static ssize_t give_fragment(wslay_event_context_ptr ctx, uint8_t *bytes, size_t room,
                             const union wslay_event_msg_source *source, int *eof, void *user)
{
    struct other *other = user;
    size_t n = 1 + chance(700);

    (void)ctx, (void)source;
    n = n < room ? n : room;
    n = n < other->n_fragmented ? n : other->n_fragmented;
    memcpy(bytes, other->fragmented, n);
    other->fragmented += n;
    other->n_fragmented -= n;
    *eof = other->n_fragmented == 0;
    return (ssize_t)n;
}

static wslay_event_context_ptr other_begin(struct other *other, bool is_server, struct ws_said *out)
{
    const struct wslay_event_callbacks callbacks = {on_recv, on_send, on_mask, NULL, NULL, NULL, on_message};
    wslay_event_context_ptr ctx;

    *other = (struct other){.out = out};
    ws_heard_add(&other->heard, "", 0);
    assert_int_equal(
        (is_server ? wslay_event_context_server_init : wslay_event_context_client_init)(&ctx, &callbacks, other), 0);
    return ctx;
}

static uint32_t some_mask(void)
{
    return chance(1u << 31);
}

/* Ours, in fragments, with pings between. */
static void say_in_fragments(struct ws_said *said, struct ws_heard *wanted, unsigned opcode, const char *bytes,
                             size_t n, bool is_client)
{
    size_t at = 0;

    while (chance(3) > 0) {
        uint32_t key = some_mask();
        size_t part = chance((unsigned)(n - at) + 1);
        ws_say(said, at == 0 && opcode != WS_CONTINUATION ? opcode : WS_CONTINUATION, bytes + at, part,
               is_client ? &key : NULL);
        opcode = WS_CONTINUATION;
        at += part;
        if (chance(3) == 0) {
            ws_say(said, WS_FIN | WS_PONG, "pong", 4, is_client ? &key : NULL);
            note(wanted, WS_PONG, 0, "pong", 4);
        }
    }
    uint32_t key = some_mask();
    ws_say(said, WS_FIN | opcode, bytes + at, n - at, is_client ? &key : NULL);
}

static void ours_to_wslay(void **state)
{
    static struct ws_said said, answers;
    static char bytes[LONGEST];

    (void)state;
    for (unsigned round = 0; round < ROUNDS; round++) {
        struct ws_heard wanted = {0};
        struct other other;
        bool is_client = round & 1;
        seed = 0x2545f4914f6cdd1du + round;
        wslay_event_context_ptr ctx = other_begin(&other, is_client, &answers);
        said.n = answers.n = 0;
        for (unsigned i = 0; i < MESSAGES; i++) {
            unsigned opcode = chance(2) ? WS_TEXT : WS_BINARY;
            size_t n = make_message(bytes, opcode == WS_TEXT);
            say_in_fragments(&said, &wanted, opcode, bytes, n, is_client);
            note(&wanted, opcode, 0, bytes, n);
        }
        uint8_t payload[WS_CONTROL_MAX];
        size_t n = ws_close_payload(payload, 1001, "away", 4);
        uint32_t key = some_mask();
        ws_say(&said, WS_FIN | WS_CLOSE, payload, n, is_client ? &key : NULL);
        note(&wanted, WS_CLOSE, 1001, "away", 4);
        other.in = said.bytes;
        other.n_in = said.n;
        while (other.n_in > 0) /* a head in pieces makes it come back for more */
            assert_int_equal(wslay_event_recv(ctx), 0);
        assert_int_equal(other.heard.n, wanted.n);
        assert_memory_equal(other.heard.text, wanted.text, wanted.n);
        assert_int_equal(wslay_event_get_close_received(ctx), 1);
        wslay_event_context_free(ctx);
        free(other.heard.text);
        free(wanted.text);
    }
}

static void wslay_to_ours(void **state)
{
    static struct ws_said said;
    static char bytes[LONGEST];

    (void)state;
    for (unsigned round = 0; round < ROUNDS; round++) {
        struct ws_heard wanted = {0};
        struct other other;
        bool is_client = round & 1;
        seed = 0xd1342543de82ef95u + round;
        wslay_event_context_ptr ctx = other_begin(&other, !is_client, &said);
        said.n = 0;
        for (unsigned i = 0; i < MESSAGES; i++) {
            unsigned opcode = chance(2) ? WS_TEXT : WS_BINARY;
            size_t n = make_message(bytes, opcode == WS_TEXT);
            other.fragmented = bytes;
            other.n_fragmented = n;
            if (n > 0 && chance(2)) {
                const struct wslay_event_fragmented_msg message = {.opcode = (uint8_t)opcode,
                                                                   .read_callback = give_fragment};
                assert_int_equal(wslay_event_queue_fragmented_msg(ctx, &message), 0);
            } else {
                const struct wslay_event_msg message = {(uint8_t)opcode, (const uint8_t *)bytes, n};
                assert_int_equal(wslay_event_queue_msg(ctx, &message), 0);
            }
            assert_int_equal(wslay_event_send(ctx), 0);
            note(&wanted, opcode, 0, bytes, n);
        }
        assert_int_equal(wslay_event_queue_msg(ctx, &(struct wslay_event_msg){WSLAY_PING, (const uint8_t *)"?", 1}), 0);
        assert_int_equal(wslay_event_send(ctx), 0); /* once a Close waits, nothing else is sent */
        assert_int_equal(wslay_event_queue_close(ctx, 3000, (const uint8_t *)"done", 4), 0);
        assert_int_equal(wslay_event_send(ctx), 0);
        note(&wanted, WS_PING, 0, "?", 1);
        note(&wanted, WS_CLOSE, 3000, "done", 4);
        for (size_t piece = 0; piece < 4; piece++) {
            struct ws_heard *heard =
                ws_hear(&(struct ws_hear){.is_server = is_client}, said.bytes, said.n, 0, piece * 333);
            assert_int_equal(heard->n, wanted.n);
            assert_memory_equal(heard->text, wanted.text, wanted.n);
            ws_heard_free(heard);
        }
        wslay_event_context_free(ctx);
        free(other.heard.text);
        free(wanted.text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ours_to_wslay),
        cmocka_unit_test(wslay_to_ours),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
