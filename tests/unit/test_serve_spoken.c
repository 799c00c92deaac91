/* SPDX-License-Identifier: MIT */
/* What serve tells of connections on which more than bytes is spoken. */
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

static char text[SERVE_ROOM(16)];

static struct serve_event event_of(enum serve_happening happening)
{
    return (struct serve_event){
        .happening = happening,
        .url = "any://127.0.0.1:7007",
        .view = {.number = 1, .local = "127.0.0.1:7007", .peer = "127.0.0.1:40488", .in_bytes = 5, .out_bytes = 7},
    };
}

static void check_text(const struct serve_event *event, const char *expected)
{
    text[serve_render_text(event, text, sizeof(text))] = '\0';
    assert_string_equal(text, expected);
}

/* Is this part of the JSON? */
static void check_json(const struct serve_event *event, const char *part)
{
    text[serve_render_json(event, text, sizeof(text))] = '\0';
    if (strstr(text, part) == NULL)
        fail_msg("%s is not in %s", part, text);
}

static const struct sonde_http_header headers[] = {{"host", "127.0.0.1:7007"}, {"ORIGIN", "http://127.0.0.1:7007"}};
static const struct sonde_http_request request = {
    .method = "GET", .target = "/chat?\x1b[31m", .version = 11, .n_headers = 2, .headers = headers};

static void opened_with_everything(void **state)
{
    static const struct sonde_tls_info tls = {.version = "TLSv1.3",
                                              .cipher = "TLS_AES_256_GCM_SHA384",
                                              .alpn = "http/1.1",
                                              .subject = "CN=\x1b[0m",
                                              .issuer = "CN=a",
                                              .fingerprint = "AB:CD",
                                              .verified = 1};
    static const struct sonde_ws_info ws = {.subprotocol = "chat", .deflate = 1};
    static const struct serve_spoken spoken = {
        .layers = SONDE_LAYER_TLS | SONDE_LAYER_WS | SONDE_LAYER_ANY, .tls = &tls, .ws = &ws, .request = &request};
    struct serve_event event = event_of(SERVE_OPENED);

    (void)state;
    event.view.spoken = &spoken;
    check_text(&event, "opened 1 127.0.0.1:7007 <- 127.0.0.1:40488, TLSv1.3, ALPN http/1.1, verified CN=\\x1b[0m, "
                       "WebSocket /chat?\\x1b[31m, permessage-deflate, subprotocol chat\n");
    check_json(&event, ",\"layers\":[\"tls\",\"ws\"],\"tls\":{\"version\":\"TLSv1.3\",");
    check_json(&event,
               ",\"subject\":\"CN=\\u001b[0m\",\"issuer\":\"CN=a\",\"fingerprint\":\"AB:CD\",\"verified\":true,");
    check_json(&event, ",\"http\":{\"method\":\"GET\",\"target\":\"/chat?\\u001b[31m\",\"version\":11,\"host\":"
                       "\"127.0.0.1:7007\",\"origin\":\"http://127.0.0.1:7007\"},\"ws\":{\"subprotocol\":\"chat\","
                       "\"deflate\":true}");
}

static void opened_by_datagrams(void **state)
{
    static const struct serve_spoken spoken = {.transport = "udp"};
    struct serve_event event = event_of(SERVE_OPENED);

    (void)state;
    event.view.spoken = &spoken;
    check_text(&event, "opened 1 127.0.0.1:7007 <- 127.0.0.1:40488, udp\n");
    check_json(&event, ",\"transport\":\"udp\"}");
    event.view.muted = true;
    check_text(&event, "opened 1 127.0.0.1:7007 <- 127.0.0.1:40488, udp, not answered: a service of the kind may be "
                       "there, and answer back\n");
    check_json(&event, ",\"answered\":false}");
}

static void closed_after_messages(void **state)
{
    struct serve_messages messages = {.n_in = 3, .n_out = 2};
    struct serve_event event = event_of(SERVE_CLOSED);

    (void)state;
    event.view.reason = SERVE_SILENT;
    event.view.error = -ETIMEDOUT;
    event.view.silent_ns = INT64_C(1500000000);
    event.view.messages = &messages;
    check_text(&event, "closed 1 127.0.0.1:7007 <- 127.0.0.1:40488 silent for 1.5 s, 5 bytes in, 7 out, 3 messages in, "
                       "2 out, 0.000000 s\n");
    check_json(&event, ",\"reason\":\"silent\",\"error\":\"ETIMEDOUT\",");
    check_json(&event, ",\"messages_in\":3,\"messages_out\":2,\"duration_ns\"");
    messages = (struct serve_messages){.n_in = 3, .n_cut = 1, .n_bad = 2, .n_muted = 3, .n_withheld = 4};
    event.view.unsent_bytes = 9;
    check_text(&event, "closed 1 127.0.0.1:7007 <- 127.0.0.1:40488 silent for 1.5 s, 5 bytes in, 7 out, 9 unsent, 3 "
                       "messages in, 0 out, 1 cut, 2 bad, 3 not answered, 4 answers withheld, 0.000000 s\n");
    check_json(&event, ",\"cut\":1,\"bad\":2,\"not_answered\":3,\"withheld\":4,");
}

static void closed_by_the_peers_close(void **state)
{
    struct sonde_ws_info ws = {.code_sent = 1001, .code_received = 1001, .reason_received = "bye\n"};
    const struct serve_spoken spoken = {.layers = SONDE_LAYER_WS, .ws = &ws};
    struct serve_event event = event_of(SERVE_CLOSED);

    (void)state;
    event.view.reason = SERVE_END;
    event.view.spoken = &spoken;
    check_text(&event, "closed 1 127.0.0.1:7007 <- 127.0.0.1:40488 end of data (Close 1001 bye\\n), 5 bytes in, 7 out, "
                       "0.000000 s\n");
    check_json(&event, "\"ws\":{\"deflate\":false,\"code_sent\":1001,\"code_received\":1001,\"reason_received\":"
                       "\"bye\\n\"}");
    ws = (struct sonde_ws_info){.code_received = 1005};
    check_text(&event,
               "closed 1 127.0.0.1:7007 <- 127.0.0.1:40488 end of data (Close), 5 bytes in, 7 out, 0.000000 s\n");
}

static void reason(enum serve_reason reason, int error, const char *words, const char *member)
{
    struct serve_event event = event_of(SERVE_CLOSED);
    char expected[256];

    event.view.reason = reason;
    event.view.error = error;
    event.view.detail = "why\x1b";
    snprintf(expected, sizeof(expected),
             "closed 1 127.0.0.1:7007 <- 127.0.0.1:40488 %s: why\\x1b, 5 bytes in, 7 out, 0.000000 s\n", words);
    check_text(&event, expected);
    snprintf(expected, sizeof(expected), ",\"reason\":\"%s\",\"error\":\"%s\",\"detail\":\"why\\u001b\",", member,
             sonde_error_name(error));
    check_json(&event, expected);
}

static void reasons(void **state)
{
    (void)state;
    reason(SERVE_TRUNCATED, -SONDE_ETRUNCATED, "TLS ended without close_notify", "truncated");
    reason(SERVE_RULES, -SONDE_EWS, "broke the rules of WebSocket", "rules");
    reason(SERVE_TOO_BIG, -SONDE_ETOOBIG, "message too large", "too_big");
    reason(SERVE_NO_CLOSE, -SONDE_EWSEND, "WebSocket ended without a Close frame", "no_close");
    reason(SERVE_UNREACHABLE, -ECONNREFUSED, "nobody receives there", "unreachable");
}

static void messages(void **state)
{
    const struct serve_spoken ws = {.layers = SONDE_LAYER_WS}, none = {.layers = 0};
    struct serve_event event = event_of(SERVE_MESSAGE);

    (void)state;
    event.print = SERVE_PRINT_TEXT;
    event.data = "a\n";
    event.n_bytes = event.n_whole_bytes = 2;
    event.n_messages = 4;
    event.flags = SONDE_MESSAGE | SONDE_TEXT;
    event.view.spoken = &ws;
    check_text(&event, "1 127.0.0.1:40488 > text, 2 bytes: a\\n\n");
    check_json(&event, ",\"message\":4,\"bytes\":2,\"kind\":\"text\",\"text\":\"a\\n\"}");
    event.flags = SONDE_MESSAGE;
    check_text(&event, "1 127.0.0.1:40488 > binary, 2 bytes: a\\n\n");
    check_json(&event, ",\"kind\":\"binary\",");
    event.view.spoken = &none;
    event.flags = SONDE_MESSAGE | SONDE_CUT;
    event.n_whole_bytes = 70000;
    check_text(&event, "1 127.0.0.1:40488 > cut, 2 of 70000 bytes: a\\n\n");
    check_json(&event, ",\"message\":4,\"bytes\":2,\"whole_bytes\":70000,\"text\"");
    event.print = SERVE_PRINT_HEX;
    event.n_bytes = event.n_whole_bytes = 0;
    event.flags = SONDE_MESSAGE;
    check_text(&event, "1 127.0.0.1:40488 > 0 bytes\n");
}

static void refused(int error, const char *name, const char *words)
{
    struct serve_event event = event_of(SERVE_REFUSED);
    char expected[256];

    event.error = error;
    event.call = "handshake";
    event.view.detail = "\x1b";
    snprintf(expected, sizeof(expected), "refused any://127.0.0.1:7007 <- 127.0.0.1:40488 %s: \\x1b\n", words);
    check_text(&event, expected);
    snprintf(expected, sizeof(expected), ",\"reason\":\"%s\",\"error\":\"%s\",\"detail\":\"\\u001b\"}", name,
             sonde_error_name(error));
    check_json(&event, expected);
}

static void refusals(void **state)
{
    struct serve_event event = event_of(SERVE_MORE_REFUSED);

    (void)state;
    refused(-SONDE_ETLS, "tls", "the TLS handshake failed");
    refused(-SONDE_ECERT, "certificate", "its certificate is not trusted");
    refused(-SONDE_EORIGIN, "origin", "its Origin is not allowed (--allow-origin)");
    refused(-SONDE_EHOST, "host", "its Host is not allowed (--allow-host)");
    refused(-SONDE_EKIND, "kind", "this kind of client is not let in (--any-order)");
    refused(-ECONNRESET, "gone", "gone before the handshake was done");
    refused(-EPERM, "not_allowed", "not allowed");
    refused(-ENOMEM, "error", sonde_strerror(-ENOMEM));
    event.length = 17;
    check_text(&event, "refused: 17 more\n");
    check_json(&event, "\"event\":\"more_refused\"");
}

static void what_is_lost(void **state)
{
    struct serve_event event = event_of(SERVE_LOST);

    (void)state;
    event.n_dropped = 3;
    event.n_peerless = 4;
    check_text(&event, "");
    check_json(&event, ",\"dropped\":3,\"peerless\":4}");
    event.happening = SERVE_TABLE_FOOT;
    event.n_connections = 2;
    check_text(&event, "2 connections, 3 datagrams dropped, 4 from too many peers\n");
    event.happening = SERVE_BUFFER;
    event.length = 832;
    event.limit = 212992;
    event.n_peerless = 0;
    check_text(&event, "buffer 832 of 212992 bytes any://127.0.0.1:7007, 3 datagrams dropped\n");
    check_json(&event, ",\"bytes\":832,\"limit\":212992,\"dropped\":3}");
    event.happening = SERVE_ICMP;
    event.error = -ECONNREFUSED;
    event.from = "192.0.2.1";
    check_text(&event, "icmp 1 127.0.0.1:7007 <- 127.0.0.1:40488 connection refused, says 192.0.2.1\n");
    check_json(&event, ",\"error\":\"ECONNREFUSED\",\"from\":\"192.0.2.1\"}");
}

static void tables(void **state)
{
    struct serve_messages counts = {.n_in = 3, .n_out = 4};
    struct serve_event event = event_of(SERVE_TABLE_HEAD);

    (void)state;
    event.with_messages = true;
    text[serve_render_text(&event, text, sizeof(text))] = '\0';
    assert_non_null(strstr(text, " OUT  MESSAGES-IN MESSAGES-OUT     QUEUED"));
    event.happening = SERVE_TABLE_ROW;
    text[serve_render_text(&event, text, sizeof(text))] = '\0';
    assert_non_null(strstr(text, " 7            -            -          0"));
    event.view.messages = &counts;
    text[serve_render_text(&event, text, sizeof(text))] = '\0';
    assert_non_null(strstr(text, " 7            3            4          0"));
    check_json(&event, ",\"messages_in\":3,\"messages_out\":4,\"queued\":0,");
}

/* Whatever the peer has put into its words. */
static void room_is_enough_for_any_words(void **state)
{
    static struct sonde_tls_info tls;
    static struct sonde_ws_info ws;
    static char target[20000];
    const struct sonde_http_header long_headers[] = {{"Host", target}, {"Origin", target}, {"User-Agent", target}};
    const struct sonde_http_request long_request = {
        .method = target, .target = target, .version = 11, .n_headers = 3, .headers = long_headers};
    const struct serve_spoken spoken = {
        .transport = "udp", .layers = 15, .tls = &tls, .ws = &ws, .request = &long_request};
    struct serve_messages counts = {UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX};
    struct serve_event event = event_of(SERVE_CLOSED);
    char *room = malloc(SERVE_ROOM(0));

    (void)state;
    assert_non_null(room);
    memset(&tls, 1, sizeof(tls));
    memset(&ws, 1, sizeof(ws));
    memset(target, 1, sizeof(target) - 1);
    tls.version[15] = tls.cipher[63] = tls.group[31] = tls.alpn[63] = '\0';
    tls.server_name[255] = tls.subject[255] = tls.issuer[255] = tls.names[511] = tls.fingerprint[95] = '\0';
    ws.subprotocol[127] = ws.reason_received[123] = '\0';
    event.view.spoken = &spoken;
    event.view.messages = &counts;
    event.view.detail = "detail";
    for (int happening = SERVE_OPENED; happening <= SERVE_TABLE_ROW; happening++) {
        if (happening == SERVE_DATA || happening == SERVE_MESSAGE || happening == SERVE_SAID)
            continue;
        event.happening = (enum serve_happening)happening;
        size_t n = serve_render_text(&event, room, SERVE_ROOM(0));
        assert_true(n == 0 || room[n - 1] == '\n');
        n = serve_render_json(&event, room, SERVE_ROOM(0));
        if (happening == SERVE_OPENED || happening == SERVE_CLOSED || happening == SERVE_TABLE_ROW)
            assert_true(n > 0 && room[n - 1] == '\n');
    }
    free(room);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(opened_with_everything),
        cmocka_unit_test(opened_by_datagrams),
        cmocka_unit_test(closed_after_messages),
        cmocka_unit_test(closed_by_the_peers_close),
        cmocka_unit_test(reasons),
        cmocka_unit_test(messages),
        cmocka_unit_test(refusals),
        cmocka_unit_test(what_is_lost),
        cmocka_unit_test(tables),
        cmocka_unit_test(room_is_enough_for_any_words),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
