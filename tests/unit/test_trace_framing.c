/* SPDX-License-Identifier: MIT */
/* Messages cut out of the streams of a capture. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "trace/framing.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FOUND_MAX 4096

/* Each message as a line: "a 1: hello". */
static char found[FOUND_MAX];
static struct conversation conversation = {.id = 7, .n_segments = 4, .last_ns = 99};

static void on_message(const struct framing_message *message, void *user)
{
    (void)user;
    size_t n = strlen(found);
    char *at = found + n;
    size_t room = sizeof found - n;
    char from = message->from == END_A ? 'a' : 'b';
    assert_ptr_equal(message->conversation, &conversation);
    if (message->kind == MESSAGE_MALFORMED) {
        assert_non_null(message->words);
        snprintf(at, room, "%c from %llu: %s\n", from, (unsigned long long)message->at_byte, message->words);
        return;
    }
    snprintf(at, room, "%c %s %llu%s: %.*s\n", from, message_kind_name(message->kind),
             (unsigned long long)message->number, message->joined ? "?" : "", (int)message->n_data,
             (const char *)message->data);
}

static struct framing *new_framing(const char *codec)
{
    struct framing_codec parsed;
    struct sonde_why why;
    assert_int_equal(framing_parse(codec, &parsed, &why), 0);
    struct framing *framing = framing_new(&parsed, on_message, NULL);
    assert_non_null(framing);
    found[0] = '\0';
    return framing;
}

static size_t say(struct framing *framing, enum event_end from, const char *text, uint64_t n_missing)
{
    return framing_data(framing, &conversation, 5, from, text, strlen(text), n_missing);
}

static void both_directions(void **state)
{
    (void)state;
    struct framing *framing = new_framing("line");
    assert_int_equal(say(framing, END_A, "one\ntw", 0), 6);
    assert_int_equal(say(framing, END_B, "un\n", 0), 3);
    assert_int_equal(say(framing, END_A, "o\nthree", 0), 7);
    assert_string_equal(found, "a message 1: one\nb message 1: un\na message 2: two\n");
    found[0] = '\0';
    framing_over(framing, &conversation);
    assert_string_equal(found, "a from 13: the stream has ended in the middle of a message\n");
    found[0] = '\0';
    framing_over(framing, &conversation); /* it is forgotten */
    say(framing, END_A, "new\n", 0);
    assert_string_equal(found, "a message 1: new\n");
    framing_free(framing);
}

static void malformed(void **state)
{
    (void)state;
    struct framing *framing = new_framing("netstring");
    assert_int_equal(say(framing, END_A, "2:ab,", 0), 5);
    assert_int_equal(say(framing, END_A, "1:c,xyz", 0), 4);
    assert_int_equal(strncmp(found, "a message 1: ab\na message 2: c\na from 9: ", 41), 0);
    found[0] = '\0';
    assert_int_equal(say(framing, END_A, "1:c,", 0), 0); /* nothing more is cut there, */
    assert_int_equal(say(framing, END_B, "1:d,", 0), 4); /* but the other direction is */
    assert_string_equal(found, "b message 1: d\n");
    found[0] = '\0';
    framing_over(framing, &conversation);
    assert_string_equal(found, "");
    framing_free(framing);
}

static void holes(void **state)
{
    (void)state;
    struct framing *framing = new_framing("line");
    say(framing, END_A, "one\ntw", 0);
    assert_int_equal(say(framing, END_A, "ail\nfour\n", 100), 9);
    assert_string_equal(found, "a message 1: one\na message 2?: ail\na message 3: four\n");
    say(framing, END_A, "x", 0);
    found[0] = '\0';
    framing_over(framing, &conversation);
    assert_string_equal(found, "a from 116: the stream has ended in the middle of a message\n");
    framing_free(framing);
    framing = new_framing("u8");
    say(framing, END_A, "\003abc", 0);
    assert_int_equal(say(framing, END_A, "\003abc", 5), 0);
    assert_string_equal(found, "a message 1: abc\na from 4: bytes are missing in the capture\n");
    framing_free(framing);
}

static void websocket(void **state)
{
    (void)state;
    struct framing *framing = new_framing("ws");
    static const char request[] = "GET / HTTP/1.1\r\n\r\n";
    assert_int_equal(say(framing, END_A, request, 0), sizeof request - 1);
    assert_int_equal(say(framing, END_A, "\x89\x01p\x81\x02hi\x82\x01z", 0), 10);
    assert_string_equal(found, "a head 0: GET / HTTP/1.1\r\n\r\n\na ping 0: p\na text 1: hi\na binary 2: z\n");
    found[0] = '\0';
    say(framing, END_A, "\x81\x02h", 0);
    framing_over(framing, &conversation);
    assert_string_equal(found, "a from 31: the stream ends in the middle of a message\n");
    framing_free(framing);
}

static void events(void **state)
{
    (void)state;
    struct event event;
    struct framing_message message = {.conversation = &conversation,
                                      .t_ns = 5,
                                      .from = END_B,
                                      .kind = MESSAGE_CLOSE,
                                      .n_bytes = 5,
                                      .data = "\x03\xe8"
                                              "bye",
                                      .n_data = 5};
    framing_event(&message, &event);
    assert_int_equal(event.kind, EVENT_KIND_MESSAGE);
    assert_int_equal(event.source, EVENT_WIRE);
    assert_int_equal(event.message.code, 1000);
    assert_int_equal(event.message.about, 4);
    assert_int_equal(event.message.end, N_ENDS);
    assert_int_equal(event.message.n_data, 3);
    assert_memory_equal(event.message.data, "bye", 3);
    message.n_bytes = message.n_data = 0;
    framing_event(&message, &event);
    assert_int_equal(event.message.code, 1005);
    message.kind = MESSAGE_MALFORMED;
    message.at_byte = 17;
    message.words = "wrong";
    framing_event(&message, &event);
    assert_int_equal(event.message.n_bytes, 17);
    assert_string_equal(event.message.words, "wrong");
}

/* Many at once, and what is not a codec. */
static void many(void **state)
{
    (void)state;
    struct framing_codec codec;
    struct sonde_why why;
    assert_int_equal(framing_parse("telegram", &codec, &why), -SONDE_EOPTION);
    struct framing *framing = new_framing("line");
    for (uint64_t id = 1; id <= 1000; id++) {
        conversation.id = id;
        say(framing, END_A, "x", 0);
    }
    for (uint64_t id = 1; id <= 1000; id++) {
        conversation.id = id;
        found[0] = '\0';
        say(framing, END_A, "y\n", 0);
        assert_string_equal(found, "a message 1: xy\n");
        framing_over(framing, &conversation);
    }
    framing_free(framing);
    framing_free(NULL);
    conversation.id = 7;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_directions), cmocka_unit_test(malformed), cmocka_unit_test(holes),
        cmocka_unit_test(websocket),       cmocka_unit_test(events),    cmocka_unit_test(many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
