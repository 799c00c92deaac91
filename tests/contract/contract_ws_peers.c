/* SPDX-License-Identifier: MIT */
/* WebSocket with a plain socket at the other end, which does what no stream of ours would. */
#include "ws_sides.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static struct raw_ws raw;

static bool raw_has_ended(void)
{
    raw_ws_read(&raw);
    return raw.ended;
}

static bool raw_log_is(const char *log)
{
    raw_ws_read(&raw);
    return strcmp(raw.log, log) == 0;
}

static int open_server(struct contract *c, struct ws_listen *listen, const struct sonde_ws_settings *settings)
{
    ws_open(listen, c, settings);
    int fd = raw_ws_connect(listen);
    raw_ws_begin(&raw, fd, true);
    return fd;
}

static void wind_up(struct ws_listen *listen, struct side *client)
{
    raw_ws_end(&raw);
    ws_wind_up(listen, client);
}

/* --- messages --------------------------------------------------------------------------------------------------- */

static void fragments(struct contract *c)
{
    struct ws_listen listen = {.server.echoes = true};
    int fd = open_server(c, &listen, NULL);

    raw_frame(fd, true, WS_TEXT, "caf\xc3", 4);
    raw_frame(fd, true, WS_FIN | WS_PING, "in between", 10);
    some_turns(c);
    assert_int_equal(listen.server.n_messages, 0);
    raw_frame(fd, true, WS_CONTINUATION, "", 0);
    raw_frame(fd, true, WS_FIN | WS_CONTINUATION, "\xa9!", 2);
    raw_frame(fd, true, WS_FIN | WS_BINARY, "", 0);
    until(c, raw_log_is("pong in between|t6 caf\xc3\xa9!|b0 |"));
    assert_string_equal(listen.server.log, "ping in between|t6 caf\xc3\xa9!|b0 |");
    wind_up(&listen, NULL);
}

/* Byte by byte, each in a segment of its own. */
static void one_byte_at_a_time(struct contract *c)
{
    struct ws_listen listen = {.server.echoes = true};
    int fd = open_server(c, &listen, NULL);
    const uint32_t mask = 0x55aa33cc;
    uint8_t bytes[WS_HEAD_MAX + 200];

    size_t n = ws_head(bytes, WS_FIN | WS_BINARY, 200, &mask);
    fill_pattern(bytes + n, 200, 3, 0);
    uint64_t hash = ws_hash(0, bytes + n, 200, 0);
    ws_mask(bytes + n, 200, mask);
    for (size_t i = 0; i < n + 200; i++) {
        assert_int_equal(write(fd, bytes + i, 1), 1);
        contract_turn(c);
    }
    until(c, listen.server.n_messages == 1);
    assert_true(listen.server.hash == hash);
    wind_up(&listen, NULL);
}

/* Many messages in one receive; the owner pauses after each, and gets one for each resume. */
static void pauses_in_a_batch(struct contract *c)
{
    enum { MESSAGES = 20 };
    struct ws_listen listen = {.server.pause_every = 1};
    int fd = open_server(c, &listen, NULL);
    uint8_t batch[MESSAGES * 32];
    size_t n = 0;
    const uint32_t mask = 77;

    for (unsigned i = 0; i < MESSAGES; i++) {
        n += ws_head(batch + n, WS_FIN | (i % 5 == 4 ? WS_PING : WS_TEXT), 10, &mask);
        memset(batch + n, 'a' + (int)i, 10);
        ws_mask(batch + n, 10, mask);
        n += 10;
    }
    assert_int_equal(write(fd, batch, n), n);
    for (unsigned i = 1; i <= MESSAGES * 4 / 5; i++) {
        until(c, listen.server.n_messages == i);
        some_turns(c);
        assert_int_equal(listen.server.n_messages, i);
        assert_int_equal(listen.server.n_pings, (i - 1) / 4); /* they wait in line */
        DO(sonde_stream_resume(listen.server.stream));
    }
    until(c, listen.server.n_pings == MESSAGES / 5);
    raw_frame(fd, true, WS_FIN | WS_TEXT, "more", 4);
    until(c, listen.server.n_messages == MESSAGES * 4 / 5 + 1);
    wind_up(&listen, NULL);
}

/* The end of all, and a Close, come while it is paused. */
static void the_end_comes_in_a_pause(struct contract *c)
{
    struct ws_listen listen = {.server.pause_every = 1};
    int fd = open_server(c, &listen, NULL);

    raw_frame(fd, true, WS_FIN | WS_TEXT, "one", 3);
    raw_frame(fd, true, WS_FIN | WS_TEXT, "two", 3);
    raw_frame(fd, true, WS_FIN | WS_CLOSE, "\x03\xe8", 2);
    raw_shutdown(fd);
    until(c, listen.server.n_messages == 1);
    some_turns(c);
    assert_false(listen.server.ended || listen.server.failed || listen.server.n_closes > 0);
    DO(sonde_stream_resume(listen.server.stream));
    until(c, listen.server.n_messages == 2);
    some_turns(c);
    assert_false(listen.server.ended || listen.server.failed);
    DO(sonde_stream_resume(listen.server.stream));
    until(c, listen.server.closed);
    assert_string_equal(listen.server.log, "t3 one|t3 two|close 1000 |");
    assert_true(listen.server.ended);
    assert_int_equal(listen.server.error, 0);
    wind_up(&listen, NULL);
}

static void close_in_the_callback(struct side *side)
{
    DO(sonde_stream_close(side->stream));
}

static void closed_data(struct sonde_stream *stream, const struct sonde_lent *bytes)
{
    struct side *side = sonde_stream_owner(stream);

    (void)bytes;
    assert_int_equal(side->n_messages, 0);
    side->n_messages++;
    close_in_the_callback(side);
}

/* An owner who closes at the first of many messages hears of no other. */
static void closes_in_a_batch(struct contract *c)
{
    struct ws_listen listen = {0};
    struct sonde_stream_handler handler = side_handler;
    int fd = open_server(c, &listen, NULL);

    handler.data = closed_data;
    DO(sonde_stream_set_handler(listen.server.stream, &handler, &listen.server));
    for (int i = 0; i < 10; i++)
        raw_frame(fd, true, WS_FIN | WS_TEXT, "x", 1);
    until(c, listen.server.closed);
    assert_int_equal(listen.server.n_messages, 1);
    wind_up(&listen, NULL);
}

/* --- closing ---------------------------------------------------------------------------------------------------- */

static void the_peer_closes(struct contract *c)
{
    static const struct {
        const char *payload;
        size_t n;
        const char *log, *answer;
    } rows[] = {
        {"", 0, "close 1005 |", "close 1005 |"},
        {"\x03\xe8", 2, "close 1000 |", "close 1000 |"},
        {"\x0f\xa0why", 5, "close 4000 why|", "close 4000 |"},
        {"\x03\xf6", 2, "close 1014 |", "close 1014 |"},
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct ws_listen listen = {0};
        int fd = open_server(c, &listen, NULL);
        raw_frame(fd, true, WS_FIN | WS_CLOSE, rows[i].payload, rows[i].n);
        raw_frame(fd, true, WS_FIN | WS_TEXT, "too late", 8);
        until(c, raw_log_is(rows[i].answer) && raw_has_ended());
        raw_close(fd);
        raw.fd = -1;
        until(c, listen.server.closed);
        assert_string_equal(listen.server.log, rows[i].log);
        assert_true(listen.server.ended);
        wind_up(&listen, NULL);
    }
}

/* The server waits for the peer's Close before it ends the connection, and ends it then. */
static void the_server_closes(struct contract *c)
{
    struct ws_listen listen = {0};
    int fd = open_server(c, &listen, NULL);

    DO(sonde_stream_finish(listen.server.stream, sonde_loop_now_ns(c->loop) + 20 * SECOND));
    until(c, raw_log_is("close 1000 |"));
    some_turns(c);
    assert_false(raw_has_ended());
    raw_frame(fd, true, WS_FIN | WS_TEXT, "said before", 11);
    raw_frame(fd, true, WS_FIN | WS_CLOSE, "\x03\xe8", 2);
    until(c, raw_has_ended());
    raw_close(fd);
    raw.fd = -1;
    until(c, listen.server.closed);
    assert_string_equal(listen.server.log, "t11 said before|close 1000 |");
    assert_int_equal(listen.server.error, 0);
    wind_up(&listen, NULL);
}

/* The client answers at once, and lets the server end the connection first. */
static void the_client_lets_the_server_go_first(struct contract *c)
{
    struct ws_listen listen = {.c = c};
    struct side client = {0};
    int fd = raw_ws_accept(c, &client);

    raw_ws_begin(&raw, fd, false);
    raw_frame(fd, false, WS_FIN | WS_CLOSE, "\x03\xe9gone", 6);
    until(c, raw_log_is("close 1001 |"));
    assert_string_equal(client.log, "close 1001 gone|");
    some_turns(c);
    assert_false(client.ended || raw_has_ended());
    assert_int_equal(side_send(&client, "x", 1, 0), -EPIPE);
    raw_shutdown(fd);
    until(c, client.closed && raw_has_ended());
    assert_true(client.ended);
    assert_int_equal(client.error, 0);
    wind_up(&listen, &client);
}

/* A server that never ends it: the client does, in the end. */
static void the_client_does_not_wait_for_ever(struct contract *c)
{
    struct ws_listen listen = {.c = c};
    struct side client = {0};
    int fd = raw_ws_accept(c, &client);

    raw_ws_begin(&raw, fd, false);
    assert_int_equal(side_send(&client, "hello", 5, SONDE_TEXT), 0);
    DO(sonde_stream_shutdown(client.stream));
    until(c, raw_log_is("t5 hello|close 1000 |"));
    raw_frame(fd, false, WS_FIN | WS_CLOSE, "\x03\xe8", 2);
    until(c, client.n_closes == 1);
    some_turns(c);
    assert_false(client.ended || raw_has_ended());
    contract_jump(3 * SECOND);
    until(c, client.ended && raw_has_ended());
    raw_close(fd);
    raw.fd = -1;
    until(c, client.closed);
    assert_int_equal(client.error, 0);
    wind_up(&listen, &client);
}

static void it_ends_without_close(struct contract *c)
{
    for (int in_message = 0; in_message < 2; in_message++) {
        struct ws_listen listen = {0};
        int fd = open_server(c, &listen, NULL);
        raw_frame(fd, true, in_message ? WS_TEXT : WS_FIN | WS_TEXT, "whole?", 6);
        raw_shutdown(fd);
        until(c, listen.server.closed);
        assert_true(listen.server.failed && !listen.server.ended);
        assert_int_equal(listen.server.error, -SONDE_EWSEND);
        assert_int_equal(listen.server.n_messages, !in_message);
        assert_true((strstr(listen.server.why.detail, "middle") != NULL) == in_message);
        wind_up(&listen, NULL);
    }
}

/* --- faults of the peer ----------------------------------------------------------------------------------------- */

static void what_is_wrong_is_said(struct contract *c)
{
    static const struct {
        unsigned first;
        const char *data;
        size_t n;
        int error;
        const char *log, *detail;
    } rows[] = {
        {WS_FIN | 0x20 | WS_TEXT, "x", 1, -SONDE_EWS, "close 1002 a reserved bit is set (RS|", "reserved bit"},
        {WS_FIN | WS_RSV1 | WS_TEXT, "x", 1, -SONDE_EWS, "close 1002 compressed (RSV1), whic|", "not agreed"},
        {WS_FIN | 0x3, "x", 1, -SONDE_EWS, "close 1002 a reserved opcode|", "opcode"},
        {WS_PING, "x", 1, -SONDE_EWS, "close 1002 a control frame in fragm|", "fragments"},
        {WS_FIN | WS_CONTINUATION, "x", 1, -SONDE_EWS, "close 1002 a continuation of no mes|", "no message"},
        {WS_FIN | WS_TEXT, "\xc0\x80", 2, -SONDE_EWS, "close 1007 a text that is not UTF-8|", "UTF-8"},
        {WS_FIN | WS_CLOSE, "\x03\xed", 2, -SONDE_EWS, "close 1002 a Close frame with a cod|", "code"},
        {WS_FIN | WS_BINARY, "0123456789012345678901234567890123", 33, -SONDE_ETOOBIG,
         "close 1009 a message is longer than|", "longer"},
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct ws_listen listen = {0};
        int fd = open_server(c, &listen, &(struct sonde_ws_settings){.message_limit_bytes = 32});
        raw_frame(fd, true, WS_FIN | WS_BINARY, "before", 6);
        raw_frame(fd, true, rows[i].first, rows[i].data, rows[i].n);
        raw_frame(fd, true, WS_FIN | WS_BINARY, "after", 5);
        until(c, raw_has_ended());
        char log[64];
        snprintf(log, sizeof log, "%.35s", raw.log);
        if (strncmp(rows[i].log, log, strlen(log) - 1) != 0)
            fail_msg("row %zu: %s", i, raw.log);
        raw_close(fd);
        raw.fd = -1;
        until(c, listen.server.closed);
        assert_true(listen.server.failed);
        assert_int_equal(listen.server.error, rows[i].error);
        assert_non_null(strstr(listen.server.why.detail, rows[i].detail));
        assert_string_equal(listen.server.log, "b6 before|");
        wind_up(&listen, NULL);
    }
}

/* A server that masks. */
static void the_server_is_wrong(struct contract *c)
{
    struct ws_listen listen = {.c = c};
    struct side client = {0};
    int fd = raw_ws_accept(c, &client);

    raw_ws_begin(&raw, fd, false);
    raw_frame(fd, true, WS_FIN | WS_TEXT, "x", 1);
    until(c, raw_has_ended());
    assert_memory_equal(raw.log, "close 1002 ", 11);
    raw_close(fd);
    raw.fd = -1;
    until(c, client.closed);
    assert_int_equal(client.error, -SONDE_EWS);
    wind_up(&listen, &client);
}

/* --- pings ------------------------------------------------------------------------------------------------------ */

/* A peer that pings and does not read costs a bounded queue, and gets the answer to its last ping. */
static void a_flood_of_pings(struct contract *c)
{
    enum { PINGS = 6000, PAYLOAD = 125, FRAME = 6 + PAYLOAD, QUEUE = 256 * 1024 };
    struct ws_listen listen = {.buffer_bytes = 8192};
    int fd = open_server(c, &listen, NULL);
    uint8_t ping[FRAME];
    char last[16] = "";
    size_t at = FRAME;
    const uint32_t mask = 0;
    unsigned n_pings = 0;

    while (n_pings < PINGS || at < FRAME) {
        if (at == FRAME) {
            memset(ping, '.', sizeof ping);
            ws_head(ping, WS_FIN | WS_PING, PAYLOAD, &mask);
            snprintf(last, sizeof last, "%08u", ++n_pings);
            memcpy(ping + 6, last, 8);
            at = 0;
        }
        ssize_t sent = send(fd, ping + at, FRAME - at, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent > 0)
            at += (size_t)sent;
        else
            contract_turn(c);
        assert_true(sonde_stream_queued_bytes(listen.server.stream) < QUEUE);
    }
    until(c, listen.server.n_pings == n_pings);
    until(c, (raw_ws_read(&raw), strncmp(raw.last, last, 8) == 0));
    assert_true(raw.n_pongs > 0 && raw.n_pongs < n_pings);
    assert_true(PINGS * FRAME > 2 * QUEUE);
    wind_up(&listen, NULL);
}

static void a_ping_is_not_answered(struct contract *c)
{
    struct ws_listen listen = {0};
    int fd = open_server(c, &listen, &(struct sonde_ws_settings){.ping_interval_ns = 3600 * SECOND});

    raw_frame(fd, true, WS_FIN | WS_PONG, "nobody asked", 12);
    until(c, listen.server.n_pongs == 1);
    assert_int_equal(listen.server.rtt_ns, -1);
    contract_jump(3600 * SECOND);
    until(c, (raw_ws_read(&raw), strstr(raw.log, "ping") != NULL));
    contract_jump(3600 * SECOND);
    until(c, raw_has_ended());
    raw_close(fd);
    raw.fd = -1;
    until(c, listen.server.closed);
    assert_int_equal(listen.server.error, -ETIMEDOUT);
    wind_up(&listen, NULL);
}

/* It was, in time, and the loop has not looked yet. */
static void a_ping_is_answered_to_a_busy_loop(struct contract *c)
{
    static const char number[8] = {0, 0, 0, 0, 0, 0, 0, 1};
    struct ws_listen listen = {0};
    int fd = open_server(c, &listen, &(struct sonde_ws_settings){.ping_interval_ns = 3600 * SECOND});

    raw_frame(fd, true, WS_FIN | WS_PONG, "nobody asked", 12);
    until(c, listen.server.n_pongs == 1);
    contract_jump(3600 * SECOND);
    until(c, (raw_ws_read(&raw), strstr(raw.log, "ping") != NULL));
    raw_frame(fd, true, WS_FIN | WS_PONG, number, sizeof number);
    contract_jump(3600 * SECOND);
    until(c, listen.server.n_pongs == 2);
    some_turns(c);
    assert_false(raw_has_ended());
    raw_close(fd);
    raw.fd = -1;
    until(c, listen.server.closed);
    assert_int_not_equal(listen.server.error, -ETIMEDOUT);
    wind_up(&listen, NULL);
}

int main(int argc, char **argv)
{
    static const struct contract_test tests[] = {
        CONTRACT_TEST(fragments),
        CONTRACT_TEST(one_byte_at_a_time),
        CONTRACT_TEST(pauses_in_a_batch),
        CONTRACT_TEST(the_end_comes_in_a_pause),
        CONTRACT_TEST(closes_in_a_batch),
        CONTRACT_TEST(the_peer_closes),
        CONTRACT_TEST(the_server_closes),
        CONTRACT_TEST(the_client_lets_the_server_go_first),
        CONTRACT_TEST(the_client_does_not_wait_for_ever),
        CONTRACT_TEST(it_ends_without_close),
        CONTRACT_TEST(what_is_wrong_is_said),
        CONTRACT_TEST(the_server_is_wrong),
        CONTRACT_TEST(a_flood_of_pings),
        CONTRACT_TEST(a_ping_is_not_answered),
        CONTRACT_TEST(a_ping_is_answered_to_a_busy_loop),
    };

    return contract_main(argc, argv, tests, sizeof tests / sizeof *tests);
}
