/* SPDX-License-Identifier: MIT */
/* WebSocket between two streams: messages of all sizes, both ends' closing, backpressure, every failing allocation. */
#include "ws_sides.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void open_both(struct contract *c, struct ws_listen *listen, struct side *client,
                      const struct sonde_ws_settings *settings)
{
    ws_open(listen, c, settings);
    assert_int_equal(side_connect(client, c, listen->port, settings), 0);
    until(c, client->opened && listen->server.stream != NULL);
    assert_true(sonde_stream_has_messages(client->stream) && sonde_stream_has_messages(listen->server.stream));
    assert_true(sonde_stream_layers(client->stream) & SONDE_LAYER_WS);
    assert_true(sonde_stream_layers(listen->server.stream) & SONDE_LAYER_WS);
}

/* --- messages --------------------------------------------------------------------------------------------------- */

static const size_t sizes[] = {0,    1,    2,    63,   64,   65,    124,   125,   126,   127,   128,   1000,
                               2047, 2048, 2049, 4095, 4096, 16384, 32768, 65534, 65535, 65536, 70000, 200000};

/* Text for even ones, compressible; binary for odd ones, not. */
static size_t make_message(unsigned i, char *bytes, unsigned *ret_flags)
{
    size_t n = sizes[i];

    *ret_flags = i & 1 ? 0 : SONDE_TEXT;
    if (i & 1)
        fill_pattern((unsigned char *)bytes, n, i, 0);
    else
        memset(bytes, 'a' + (int)(i % 26), n);
    return n;
}

static void all_sizes(struct contract *c, const struct sonde_ws_settings *settings)
{
    enum { SIZES = sizeof sizes / sizeof *sizes };
    static char bytes[200000];
    struct ws_listen listen = {.server.echoes = true};
    struct side client = {0};
    struct sonde_ws_info info;
    uint64_t hash = 0, n_bytes = 0;

    open_both(c, &listen, &client, settings);
    assert_int_equal(sonde_stream_ws_info(client.stream, &info), 0);
    assert_int_equal(info.deflate, !settings->no_deflate);
    for (unsigned i = 0; i < SIZES; i++) {
        unsigned flags;
        size_t n = make_message(i, bytes, &flags);
        hash = ws_hash(hash, bytes, n, flags);
        n_bytes += n;
        assert_int_equal(side_send(&client, bytes, n, flags), 0);
        if (i % 3 == 0)
            until(c, client.n_messages == i + 1);
    }
    until(c, client.n_messages == SIZES);
    assert_true(client.hash == hash && listen.server.hash == hash);
    assert_int_equal(sonde_stream_sent_messages(client.stream), SIZES);
    assert_int_equal(sonde_stream_sent_bytes(client.stream), n_bytes);
    assert_true(settings->no_deflate ? sonde_stream_wire_sent_bytes(client.stream) > n_bytes
                                     : sonde_stream_wire_sent_bytes(client.stream) < n_bytes);
    DO(sonde_stream_finish(client.stream, SONDE_WHILE_MOVING));
    until(c, client.closed && listen.server.closed);
    assert_int_equal(client.error, 0);
    assert_int_equal(listen.server.error, 0);
    assert_int_equal(listen.server.info.code_received, 1000);
    assert_int_equal(client.info.code_sent, 1000);
    assert_int_equal(client.info.code_received, 1000);
    ws_wind_up(&listen, &client);
}

static void messages_of_all_sizes(struct contract *c)
{
    all_sizes(c, &(struct sonde_ws_settings){.no_deflate = 1});
}

static void compressed_ones(struct contract *c)
{
    all_sizes(c, &(struct sonde_ws_settings){0});
}

/* --- closing ---------------------------------------------------------------------------------------------------- */

static void client_closes(struct contract *c)
{
    struct ws_listen listen = {0};
    struct side client = {0};

    open_both(c, &listen, &client, NULL);
    assert_int_equal(side_send(&client, "last", 4, SONDE_TEXT), 0);
    assert_int_equal(CALL(sonde_ws_close(client.stream, 4321, "that is all", 11)), 0);
    assert_int_equal(CALL(sonde_ws_close(client.stream, 4321, "", 0)), -EPIPE);
    assert_int_equal(side_send(&client, "x", 1, SONDE_TEXT), -EPIPE);
    assert_int_equal(CALL(sonde_ws_ping(client.stream, "", 0)), -EPIPE);
    until(c, client.closed && listen.server.closed);
    assert_string_equal(listen.server.log, "t4 last|close 4321 that is all|");
    assert_string_equal(client.log, "close 4321 |");
    assert_string_equal(listen.server.info.reason_received, "that is all");
    assert_true(client.ended && listen.server.ended);
    assert_int_equal(client.error | listen.server.error, 0);
    ws_wind_up(&listen, &client);
}

static void server_closes(struct contract *c)
{
    struct ws_listen listen = {0};
    struct side client = {0};

    open_both(c, &listen, &client, NULL);
    assert_int_equal(CALL(sonde_ws_close(listen.server.stream, 1001, "away", 4)), 0);
    until(c, client.closed && listen.server.closed);
    assert_string_equal(client.log, "close 1001 away|");
    assert_string_equal(listen.server.log, "close 1001 |");
    assert_int_equal(client.error | listen.server.error, 0);
    ws_wind_up(&listen, &client);
}

static void both_close_at_once(struct contract *c)
{
    struct ws_listen listen = {0};
    struct side client = {0};

    open_both(c, &listen, &client, NULL);
    DO(sonde_stream_finish(client.stream, SONDE_WHILE_MOVING));
    DO(sonde_stream_finish(listen.server.stream, SONDE_WHILE_MOVING));
    until(c, client.closed && listen.server.closed);
    assert_int_equal(client.n_closes + listen.server.n_closes, 2);
    assert_int_equal(client.error | listen.server.error, 0);
    ws_wind_up(&listen, &client);
}

/* What the peer had sent before its Close is delivered, though we have sent ours. */
static void what_comes_after_our_close(struct contract *c)
{
    struct ws_listen listen = {0};
    struct side client = {0};

    open_both(c, &listen, &client, NULL);
    assert_int_equal(side_send(&client, "on its way", 10, 0), 0);
    DO(sonde_stream_shutdown(listen.server.stream));
    until(c, client.closed && listen.server.closed);
    assert_string_equal(listen.server.log, "b10 on its way|close 1000 |");
    ws_wind_up(&listen, &client);
}

static void what_may_not_be_said(struct contract *c)
{
    struct ws_listen listen = {0};
    struct side client = {0};
    char bytes[126] = "";
    struct sonde_ws_info info;
    static const unsigned codes[] = {0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 70000};

    ws_open(&listen, c, NULL);
    assert_int_equal(side_connect(&client, c, listen.port, NULL), 0);
    assert_int_equal(sonde_stream_ws_info(client.stream, &info), -ENOTCONN);
    assert_int_equal(CALL(sonde_ws_ping(client.stream, "", 0)), -EOPNOTSUPP);
    assert_int_equal(CALL(sonde_ws_close(client.stream, 1000, "", 0)), -EOPNOTSUPP);
    until(c, client.opened && listen.server.stream != NULL);
    assert_int_equal(side_send(&client, "\xff", 1, SONDE_TEXT), -EILSEQ);
    assert_int_equal(side_send(&client, "\xff", 1, 0), 0);
    assert_int_equal(CALL(sonde_ws_ping(client.stream, bytes, 126)), -EMSGSIZE);
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
        assert_int_equal(CALL(sonde_ws_close(client.stream, codes[i], "", 0)), -EINVAL);
    assert_int_equal(CALL(sonde_ws_close(client.stream, 1000, bytes, 124)), -EMSGSIZE);
    assert_int_equal(CALL(sonde_ws_close(client.stream, 1000, "\xc3", 1)), -EILSEQ);
    assert_int_equal(CALL(sonde_ws_close(client.stream, 1000, bytes, 123)), 0);
    until(c, client.closed && listen.server.closed);
    assert_int_equal(listen.server.n_messages, 1);
    ws_wind_up(&listen, &client);
}

/* --- pings ------------------------------------------------------------------------------------------------------ */

static void pings_by_hand(struct contract *c)
{
    struct ws_listen listen = {0};
    struct side client = {0};
    struct sonde_ws_info info;

    open_both(c, &listen, &client, NULL);
    assert_int_equal(CALL(sonde_ws_ping(client.stream, "one", 3)), 0);
    assert_int_equal(CALL(sonde_ws_ping(client.stream, "", 0)), 0);
    assert_int_equal(CALL(sonde_ws_ping(listen.server.stream, "two", 3)), 0);
    until(c, client.n_pongs == 2 && listen.server.n_pongs == 1);
    assert_string_equal(listen.server.log, "ping one|ping |");
    assert_string_equal(client.log, "ping two|");
    assert_true(client.rtt_ns > 0 && listen.server.rtt_ns > 0);
    assert_int_equal(sonde_stream_ws_info(client.stream, &info), 0);
    assert_int_equal(info.rtt_ns, client.rtt_ns);
    ws_wind_up(&listen, &client);
}

/* A time that does not pass by itself. */
#define INTERVAL_NS (3600 * SECOND)

static void pings_by_interval(struct contract *c)
{
    const struct sonde_ws_settings settings = {.ping_interval_ns = INTERVAL_NS};
    struct ws_listen listen = {0};
    struct side client = {0};

    open_both(c, &listen, &client, &settings);
    for (unsigned i = 1; i <= 2; i++) {
        contract_jump(INTERVAL_NS);
        until(c, client.n_pongs == i && listen.server.n_pongs == i);
    }
    assert_true(client.n_pings >= 1 && listen.server.n_pings >= 1);
    assert_true(client.rtt_ns > 0);
    /* Whoever has paused is not at fault. */
    DO(sonde_stream_pause(client.stream));
    contract_jump(INTERVAL_NS);
    until(c, listen.server.n_pings == 3);
    some_turns(c);
    assert_int_equal(client.n_pongs, 2);
    DO(sonde_stream_resume(client.stream));
    until(c, client.n_pongs == 3 && listen.server.n_pongs == 3);
    contract_jump(INTERVAL_NS);
    until(c, client.n_pongs == 4);
    assert_int_equal(client.error, 0);
    ws_wind_up(&listen, &client);
}

/* --- backpressure ----------------------------------------------------------------------------------------------- */

static bool go_on(struct ws_listen *listen)
{
    if (!listen->server.draining)
        DO(sonde_stream_resume(listen->server.stream));
    return true;
}

static void a_peer_that_reads_slowly(struct contract *c)
{
    static char bytes[5000];
    struct ws_listen listen = {.server.echoes = true, .server.pause_every = 7};
    struct side client = {0};
    unsigned n_sent = 0;
    uint64_t hash = 0;

    open_both(c, &listen, &client, &(struct sonde_ws_settings){.no_deflate = 1});
    for (unsigned n_refused = 0; n_sent < 1000 && n_refused < 1000;) {
        fill_pattern((unsigned char *)bytes, sizeof bytes, n_sent, 0);
        int error = side_send(&client, bytes, sizeof bytes - n_sent % 100, 0);
        if (error == 0) {
            hash = ws_hash(hash, bytes, sizeof bytes - n_sent % 100, 0);
            n_sent++;
        } else {
            assert_int_equal(error, -ENOBUFS);
            assert_true(sonde_stream_queued_bytes(client.stream) <= SONDE_SEND_LIMIT + sizeof bytes);
            n_refused++;
            contract_turn(c);
        }
        go_on(&listen);
    }
    until(c, go_on(&listen) && client.n_messages == n_sent);
    assert_true(client.hash == hash && listen.server.hash == hash);
    ws_wind_up(&listen, &client);
}

/* --- faults ----------------------------------------------------------------------------------------------------- */

struct talk {
    struct ws_listen listen;
    struct side client;
};

/* A conversation that may fail anywhere: it ends, and if it was not whole somebody was told. */
static bool converse(struct contract *c, struct talk *talk)
{
    enum { MESSAGES = 12 };
    static char bytes[200000];
    const struct sonde_ws_settings settings = {.ping_interval_ns = INTERVAL_NS};
    struct side *client = &talk->client, *server = &talk->listen.server;
    uint64_t hash = 0;

    *talk = (struct talk){.listen.server = {.echoes = true, .pause_every = 5}};
    int error = ws_try_open(&talk->listen, c, &settings);
    if (error == 0)
        error = side_connect(client, c, talk->listen.port, &settings);
    if (error == 0) {
        unsigned n_sent = 0;
        bool pinged = false;
        int64_t deadline_ns = contract_deadline_ns();
        while (!client->closed && (client->n_messages < MESSAGES || error < 0)) {
            unsigned flags;
            if (client->opened && n_sent < MESSAGES && error == 0) {
                size_t n = make_message(n_sent + 10, bytes, &flags);
                error = side_send(client, bytes, n, flags);
                if (error == 0)
                    hash = ws_hash(hash, bytes, n, flags);
                else
                    DO(sonde_stream_close(client->stream));
                n_sent++;
            }
            if (server->stream != NULL && !server->draining)
                DO(sonde_stream_resume(server->stream));
            if (!pinged && client->n_messages >= MESSAGES / 2) {
                contract_jump(INTERVAL_NS);
                pinged = true;
            }
            if (talk->listen.refusal < 0 && client->stream != NULL)
                DO(sonde_stream_close(client->stream));
            contract_check_deadline(c, deadline_ns, "the conversation ends", __FILE__, __LINE__);
            contract_turn(c);
        }
        if (client->stream != NULL)
            DO(sonde_stream_finish(client->stream, sonde_loop_now_ns(c->loop) + 2 * SECOND));
        while (client->stream != NULL || server->stream != NULL) {
            if (server->stream != NULL && !server->draining)
                DO(sonde_stream_resume(server->stream));
            contract_check_deadline(c, deadline_ns, "both are closed", __FILE__, __LINE__);
            contract_turn(c);
        }
    }
    ws_wind_up(&talk->listen, client);
    bool whole = client->n_messages == MESSAGES && client->hash == hash && client->ended;
    if (!whole && error == 0 && client->error == 0 && server->error == 0 && talk->listen.refusal == 0)
        fail_msg("%s: nobody was told of the failure", c->note);
    return whole;
}

static void every_allocation(struct contract *c)
{
    unsigned n_failed = 0, n_hurt = 0, n_clean = 0;

    for (long n = 1; n_clean < 2; n++) {
        struct talk talk;
        snprintf(c->note, sizeof c->note, "allocation %ld", n);
        c->memory.n_calls = 0;
        c->memory.fail_at = n;
        c->memory.failed = false;
        bool whole = converse(c, &talk);
        n_clean = c->memory.failed ? 0 : n_clean + 1;
        n_failed += c->memory.failed;
        n_hurt += !whole;
        assert_true(whole || c->memory.failed);
    }
    c->memory.fail_at = 0;
    assert_true(n_failed >= 20 && n_hurt >= 10);
}

int main(int argc, char **argv)
{
    static const struct contract_test tests[] = {
        CONTRACT_TEST(messages_of_all_sizes), CONTRACT_TEST(compressed_ones),
        CONTRACT_TEST(client_closes),         CONTRACT_TEST(server_closes),
        CONTRACT_TEST(both_close_at_once),    CONTRACT_TEST(what_comes_after_our_close),
        CONTRACT_TEST(what_may_not_be_said),  CONTRACT_TEST(pings_by_hand),
        CONTRACT_TEST(pings_by_interval),     CONTRACT_TEST(a_peer_that_reads_slowly),
        CONTRACT_TEST(every_allocation),
    };

    return contract_main(argc, argv, tests, sizeof tests / sizeof *tests);
}
