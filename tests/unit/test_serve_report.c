/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cli/serve/report.h"

#include <errno.h>
#include <sonde/error.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define URL "tcp://127.0.0.1:43121"
#define WHEN "\"time\":\"2026-11-21T10:04:11.302118Z\",\"mono_ns\":81234567890"

static struct serve_event event_of(enum serve_happening happening)
{
    return (struct serve_event){
        .happening = happening,
        .realtime_ns = INT64_C(1795255451302118999),
        .mono_ns = INT64_C(81234567890),
        .url = URL,
        .view =
            {
                .number = 1,
                .local = "127.0.0.1:43121",
                .peer = "127.0.0.1:40488",
                .reason = SERVE_END,
                .in_bytes = 5,
                .out_bytes = 5,
                .age_ns = 12345678,
            },
    };
}

typedef size_t render_function(const struct serve_event *event, char *ret_text, size_t size_bytes);

/* In a room that is just large enough by contract: a sanitizer sees a step past it. */
static void check(render_function *render, const struct serve_event *event, const char *expected)
{
    size_t room = SERVE_ROOM(event->n_bytes);
    char *text = malloc(room);

    assert_non_null(text);
    size_t n = render(event, text, room);
    assert_true(n < room);
    text[n] = '\0';
    assert_string_equal(text, expected);
    assert_int_equal(n, strlen(expected));
    free(text);
}

static void check_text(const struct serve_event *event, const char *expected)
{
    check(serve_render_text, event, expected);
}

static void check_json(const struct serve_event *event, const char *expected)
{
    check(serve_render_json, event, expected);
}

static void listening(void **state)
{
    struct serve_event event = event_of(SERVE_LISTENING);

    (void)state;
    check_text(&event, "listening " URL "\n");
    check_json(&event, "{\"event\":\"listening\"," WHEN ",\"url\":\"" URL "\"}\n");
}

/* Text has it on standard error, where people look. */
static void page(void **state)
{
    struct serve_event event = event_of(SERVE_PAGE);

    (void)state;
    event.url = "http://127.0.0.1:7070/#token";
    check_text(&event, "");
    check_json(&event, "{\"event\":\"page\"," WHEN ",\"url\":\"http://127.0.0.1:7070/#token\"}\n");
}

static void opened(void **state)
{
    struct serve_event event = event_of(SERVE_OPENED);

    (void)state;
    check_text(&event, "opened 1 127.0.0.1:43121 <- 127.0.0.1:40488\n");
    check_json(&event, "{\"event\":\"opened\"," WHEN
                       ",\"connection\":1,\"local\":\"127.0.0.1:43121\",\"peer\":\"127.0.0.1:40488\"}\n");
    event.view.number = 17;
    event.view.local = "unix:/run/x.sock";
    event.view.peer = "pid 4121 (uid 1000)";
    check_text(&event, "opened 17 unix:/run/x.sock <- pid 4121 (uid 1000)\n");
}

static void closed_in_order(void **state)
{
    struct serve_event event = event_of(SERVE_CLOSED);

    (void)state;
    check_text(&event, "closed 1 127.0.0.1:43121 <- 127.0.0.1:40488 end of data, 5 bytes in, 5 out, 0.012346 s\n");
    check_json(&event, "{\"event\":\"closed\"," WHEN
                       ",\"connection\":1,\"local\":\"127.0.0.1:43121\",\"peer\":\"127.0.0.1:40488\",\"reason\":"
                       "\"end\",\"bytes_in\":5,\"bytes_out\":5,\"unsent\":0,\"duration_ns\":12345678}\n");
}

/* The part of a closed line that a reason makes. */
static void check_reason(enum serve_reason reason, int error, const char *words, const char *members)
{
    struct serve_event event = event_of(SERVE_CLOSED);
    char text[SERVE_ROOM(0)];

    event.view.reason = reason;
    event.view.error = error;
    event.view.limit = 2;
    text[serve_render_text(&event, text, sizeof text)] = '\0';
    assert_non_null(strstr(text, words));
    text[serve_render_json(&event, text, sizeof text)] = '\0';
    assert_non_null(strstr(text, members));
}

static void reasons(void **state)
{
    (void)state;
    check_reason(SERVE_END, 0, " end of data, 5 bytes", ",\"reason\":\"end\",\"bytes_in\"");
    check_reason(SERVE_RESET, -ECONNRESET, " reset by peer, 5 bytes",
                 ",\"reason\":\"reset\",\"error\":\"ECONNRESET\",\"bytes_in\"");
    check_reason(SERVE_IDLE, 0, " idle, 5 bytes", ",\"reason\":\"idle\",\"bytes_in\"");
    check_reason(SERVE_TIMEOUT, -ETIMEDOUT, " timed out, 5 bytes",
                 ",\"reason\":\"timeout\",\"error\":\"ETIMEDOUT\",\"bytes_in\"");
    check_reason(SERVE_SERVED, 0, " served, 5 bytes", ",\"reason\":\"served\",\"bytes_in\"");
    check_reason(SERVE_STOPPED, -ETIMEDOUT, " stopped, 5 bytes", ",\"reason\":\"stopped\",\"bytes_in\"");
    check_reason(SERVE_LIMIT, 0, " refused: 2 clients are connected already, 5 bytes",
                 ",\"reason\":\"limit\",\"limit\":2,\"bytes_in\"");
    check_reason(SERVE_NOT_ALLOWED, 0, " refused: not allowed, 5 bytes", ",\"reason\":\"not_allowed\",\"bytes_in\"");
    check_reason(SERVE_PEER_LIMIT, 0, " refused: too many from this address: 2 are connected already, 5 bytes",
                 ",\"reason\":\"peer_limit\",\"limit\":2,\"bytes_in\"");
    check_reason(SERVE_ERROR, -ENOMEM, " out of memory, 5 bytes",
                 ",\"reason\":\"error\",\"error\":\"ENOMEM\",\"bytes_in\"");
}

static void refused(void **state)
{
    static const struct {
        int error;
        const char *name, *reason, *words;
    } rows[] = {
        {-EPERM, "EPERM", "not_trusted", "not trusted to send a PROXY header"},
        {-SONDE_EPROXYHEAD, "SONDE_EPROXYHEAD", "no_header", "no PROXY header came first"},
        {-ETIMEDOUT, "ETIMEDOUT", "timeout", "no PROXY header came in time"},
        {-ENOBUFS, "ENOBUFS", "too_many", "too many have not sent their PROXY header yet"},
        {-ECONNRESET, "ECONNRESET", "gone", "gone before its PROXY header"},
        {-EPIPE, "EPIPE", "gone", "gone before its PROXY header"},
    };
    char expected[256];

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct serve_event event = event_of(SERVE_REFUSED);
        event.error = rows[i].error;
        snprintf(expected, sizeof(expected), "refused " URL " <- 127.0.0.1:40488 %s\n", rows[i].words);
        check_text(&event, expected);
        snprintf(expected, sizeof(expected),
                 "{\"event\":\"refused\"," WHEN ",\"url\":\"" URL
                 "\",\"peer\":\"127.0.0.1:40488\",\"reason\":\"%s\",\"error\":\"%s\"}\n",
                 rows[i].reason, rows[i].name);
        check_json(&event, expected);
    }
}

static void unsent(void **state)
{
    struct serve_event event = event_of(SERVE_CLOSED);

    (void)state;
    event.view.unsent_bytes = 7;
    event.view.reason = SERVE_RESET;
    event.view.error = -ECONNRESET;
    event.view.in_bytes = UINT64_C(5000000012);
    event.view.out_bytes = UINT64_C(5000000005);
    event.view.age_ns = INT64_C(61000000000);
    check_text(&event, "closed 1 127.0.0.1:43121 <- 127.0.0.1:40488 reset by peer, 5000000012 bytes in, "
                       "5000000005 out, 7 unsent, 61.000000 s\n");
}

static void queues(void **state)
{
    struct serve_event event = event_of(SERVE_QUEUE);

    (void)state;
    event.limit = 128;
    check_text(&event, "queue 0 of 128 " URL "\n");
    event.length = 128;
    check_text(&event, "queue 128 of 128 " URL "\n"); /* one more fits: listen(2) */
    event.length = 129;
    check_text(&event, "queue 129 of 128 " URL " full\n");
    check_json(&event, "{\"event\":\"queue\"," WHEN ",\"url\":\"" URL "\",\"length\":129,\"limit\":128}\n");
}

static void troubles(void **state)
{
    struct serve_event event = event_of(SERVE_TROUBLE);

    (void)state;
    event.error = -EMFILE;
    check_text(&event, "");
    check_json(&event, "{\"event\":\"trouble\"," WHEN ",\"error\":\"EMFILE\"}\n");
    event.error = 0;
    check_json(&event, "{\"event\":\"trouble\"," WHEN ",\"error\":null}\n");
}

static void tables(void **state)
{
    struct serve_event head = event_of(SERVE_TABLE_HEAD), row = event_of(SERVE_TABLE_ROW),
                       foot = event_of(SERVE_TABLE_FOOT);

    (void)state;
    row.view.queued_bytes = 42;
    row.view.paused = true;
    foot.n_connections = 1;
    check_text(&head, "CONNECTION      SECONDS             IN            OUT     QUEUED PAUSED  LOCAL                 "
                      "PEER\n");
    check_text(&row, "1                 0.012              5              5         42    yes  127.0.0.1:43121       "
                     "127.0.0.1:40488\n");
    check_text(&foot, "1 connections\n");
    check_json(&head, "");
    check_json(&row, "{\"event\":\"connection\"," WHEN
                     ",\"connection\":1,\"local\":\"127.0.0.1:43121\",\"peer\":\"127.0.0.1:40488\",\"age_ns\":12345678,"
                     "\"bytes_in\":5,\"bytes_out\":5,\"queued\":42,\"paused\":true}\n");
    check_json(&foot, "");
}

static struct serve_event data_of(enum serve_print print, const void *data, size_t n_bytes)
{
    struct serve_event event = event_of(SERVE_DATA);

    event.print = print;
    event.data = data;
    event.n_bytes = n_bytes;
    return event;
}

static void data_as_text(void **state)
{
    struct serve_event event = data_of(SERVE_PRINT_TEXT, "hello\n", 6);

    (void)state;
    check_text(&event, "1 127.0.0.1:40488 > hello\\n\n");
    check_json(&event, "{\"event\":\"data\"," WHEN ",\"connection\":1,\"bytes\":6,\"text\":\"hello\\n\"}\n");
    /* Nothing a terminal obeys; a character that the chunk cuts shows as what it is. */
    event = data_of(SERVE_PRINT_TEXT, "\x1b[2J\0\\\xc3", 7);
    check_text(&event, "1 127.0.0.1:40488 > \\x1b[2J\\x00\\\\\\xc3\n");
    check_json(&event, "{\"event\":\"data\"," WHEN ",\"connection\":1,\"bytes\":7,\"base64\":\"G1sySgBcww==\"}\n");
}

static void data_as_hex(void **state)
{
    struct serve_event event = data_of(SERVE_PRINT_HEX, "hello\nhello\nhello\n", 18);

    (void)state;
    event.offset = 5;
    check_text(&event, "1 127.0.0.1:40488 >\n"
                       "00000005  68 65 6c 6c 6f 0a 68 65  6c 6c 6f 0a 68 65 6c 6c  |hello.hello.hell|\n"
                       "00000015  6f 0a                                             |o.|\n");
}

static void data_that_is_only_counted(void **state)
{
    struct serve_event event = data_of(SERVE_PRINT_NONE, "hello", 5);

    (void)state;
    check_text(&event, "");
    check_json(&event, "{\"event\":\"data\"," WHEN ",\"connection\":1,\"bytes\":5}\n");
}

static void said(const char *data, size_t n_bytes, const char *expected)
{
    struct serve_event event = event_of(SERVE_SAID);

    event.data = data;
    event.n_bytes = n_bytes;
    check_text(&event, expected);
    check_json(&event, "");
}

static void what_is_said(void **state)
{
    struct serve_event event = event_of(SERVE_SPOKEN);

    (void)state;
    said("hello\n", 6, "[1] 127.0.0.1:40488: hello\n");
    said("\n", 1, "[1] 127.0.0.1:40488: \n");
    said("a\\b\tc \xe4\xb8\xad\n", 10, "[1] 127.0.0.1:40488: a\\b\tc \xe4\xb8\xad\n");
    said("\033[2J\r\xff\xe4\xb8\n", 9, "[1] 127.0.0.1:40488: \\x1b[2J\\r\\xff\\xe4\\xb8\n");
    said("login: ", 7, "[1] 127.0.0.1:40488: login: \u2026\n");
    event.view.number = 0;
    event.n_clients = 3;
    event.data = "hello\n";
    event.n_bytes = 6;
    check_text(&event, "");
    check_json(&event, "{\"event\":\"said\"," WHEN ",\"clients\":3,\"bytes\":6,\"text\":\"hello\\n\"}\n");
    event.view.number = 2;
    event.n_clients = 1;
    check_json(&event,
               "{\"event\":\"said\"," WHEN ",\"connection\":2,\"clients\":1,\"bytes\":6,\"text\":\"hello\\n\"}\n");
}

static void room_is_enough_for_any_data(void **state)
{
    static unsigned char data[3000];
    static const unsigned char worst[] = {0x00, 0x1b, 0x22, 0x5c, 0x7f, 0x80, 0xc3, 0xff, 'a'};

    (void)state;
    for (size_t i = 0; i < sizeof worst; i++) {
        memset(data, worst[i], sizeof data);
        for (size_t n = 1; n <= sizeof data; n = n * 2 + 1) {
            char *room = malloc(SERVE_ROOM(n));
            assert_non_null(room);
            struct serve_event event = data_of(SERVE_PRINT_TEXT, data, n);
            size_t length = serve_render_text(&event, room, SERVE_ROOM(n));
            assert_int_equal(room[length - 1], '\n');
            assert_ptr_equal(memchr(room, '\n', length), room + length - 1);
            length = serve_render_json(&event, room, SERVE_ROOM(n));
            assert_true(length > n);
            event.print = SERVE_PRINT_HEX;
            length = serve_render_text(&event, room, SERVE_ROOM(n));
            assert_memory_equal(room + length - 2, "|\n", 2);
            free(room);
        }
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(listening),
        cmocka_unit_test(page),
        cmocka_unit_test(opened),
        cmocka_unit_test(closed_in_order),
        cmocka_unit_test(reasons),
        cmocka_unit_test(refused),
        cmocka_unit_test(unsent),
        cmocka_unit_test(queues),
        cmocka_unit_test(troubles),
        cmocka_unit_test(tables),
        cmocka_unit_test(data_as_text),
        cmocka_unit_test(data_as_hex),
        cmocka_unit_test(data_that_is_only_counted),
        cmocka_unit_test(what_is_said),
        cmocka_unit_test(room_is_enough_for_any_data),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
