/* SPDX-License-Identifier: MIT */
/* Resets, and the polite way to close: what had arrived is told first, and a reset is never taken for an end of data.
 */
#include "ends.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MUCH = 1000 * 1000 };

static void reset(struct pair *pair)
{
    raw_reset(pair->raw);
    pair->raw = -1;
}

static void data_then_reset(struct contract *c)
{
    for (enum role role = 0; role < N_ROLES; role++) {
        struct pair pair = {.raw = -1};
        pair_open(&pair, c, role);
        some_turns(c);
        raw_write(pair.raw, "last words");
        reset(&pair);
        until(c, pair.end->failed);
        assert_string_equal(pair.end->text, "last words");
        assert_string_equal(pair_story(&pair), "df");
        assert_int_equal(pair.end->error, -ECONNRESET);
        assert_string_equal(pair.end->why.call, "recv");
        pair_close(&pair);
    }
}

static void answer(struct end *end, const struct sonde_lent *bytes)
{
    (void)bytes;
    int error = CALL(sonde_stream_write(end->stream, "answer", 6));
    assert_true(error == 0 || error == -ECONNRESET);
}

static void forward(struct end *end, const struct sonde_lent *bytes)
{
    int error = CALL(sonde_stream_forward(end->stream, bytes));
    assert_true(error == 0 || error == -ECONNRESET);
}

/* Sending asks the kernel for the error first, and so takes it from the one who receives. */
static void send_finds_the_reset(struct contract *c)
{
    for (unsigned i = 0; i < 3; i++) {
        for (enum role role = 0; role < N_ROLES; role++) {
            struct pair pair = {.raw = -1, .model.on_data = i == 0 ? answer : i == 1 ? forward : NULL};
            snprintf(c->note, sizeof c->note, "way %u, role %d", i, role);
            pair_open(&pair, c, role);
            some_turns(c);
            raw_write(pair.raw, "last words");
            reset(&pair);
            if (i == 2) {
                int error = CALL(sonde_stream_write(pair.end->stream, "before", 6));
                assert_true(error == 0 || error == -ECONNRESET);
            }
            until(c, pair.end->failed);
            assert_string_equal(pair.end->text, "last words");
            assert_string_equal(pair_story(&pair), "df");
            assert_int_equal(pair.end->error, -ECONNRESET);
            pair_close(&pair);
        }
    }
}

/* The peer reads nothing and resets while this side's send waits for room. */
static void reset_while_sending(struct contract *c)
{
    for (unsigned i = 0; i < 20; i++) {
        struct pair pair = {.raw = -1, .buffer_bytes = i % 3 == 0 ? 8192 : 0};
        pair_open(&pair, c, i % 2 == 0 ? ACCEPTED : CONNECTED);
        for (unsigned k = 0; k < 4; k++)
            assert_int_equal(end_write(pair.end, MUCH / 4), 0);
        if (i % 4 < 2)
            some_turns(c);
        raw_write(pair.raw, "last words");
        reset(&pair);
        until(c, pair.end->failed);
        assert_string_equal(pair.end->text, "last words");
        assert_string_equal(pair_story(&pair), "df");
        assert_int_equal(pair.end->error, -ECONNRESET);
        pair_close(&pair);
    }
}

/* Much data, and the reset right behind it: some of the data may be gone, the reset must not be. */
static void reset_behind_much(struct contract *c)
{
    static unsigned char bytes[100 * 1000];

    for (unsigned i = 0; i < 40; i++) {
        struct pair pair = {.raw = -1, .model = {.checked = true, .seed = 6}};
        uint64_t n_written = 0;
        snprintf(c->note, sizeof c->note, "time %u", i);
        if (i % 3 == 0)
            pair.model.on_data = forward;
        pair_open(&pair, c, i % 2 == 0 ? ACCEPTED : CONNECTED);
        for (unsigned k = 0; k < 15 || (k < 30 && i % 5 == 0); k++) {
            fill_pattern(bytes, sizeof bytes, 6, n_written);
            ssize_t n = send(pair.raw, bytes, sizeof bytes, MSG_NOSIGNAL);
            assert_true(n > 0 || errno == EAGAIN);
            n_written += n > 0 ? (size_t)n : 0;
            if (i % 4 == 3)
                contract_turn(c);
        }
        reset(&pair);
        until(c, pair.end->failed);
        assert_true(strcmp(pair_story(&pair), "df") == 0 || strcmp(pair_story(&pair), "f") == 0);
        assert_int_equal(pair.end->error, -ECONNRESET);
        pair_close(&pair);
    }
}

/* The same with an end instead, and nothing may be gone. */
static void end_behind_much(struct contract *c)
{
    static unsigned char bytes[100 * 1000];

    for (unsigned i = 0; i < 16; i++) {
        struct pair pair = {.raw = -1, .model = {.checked = true, .seed = 6}};
        uint64_t n_written = 0;
        snprintf(c->note, sizeof c->note, "time %u", i);
        pair_open(&pair, c, i % 2 == 0 ? ACCEPTED : CONNECTED);
        for (unsigned k = 0; k < 30; k++) {
            fill_pattern(bytes, sizeof bytes, 6, n_written);
            ssize_t n = send(pair.raw, bytes, sizeof bytes, MSG_NOSIGNAL);
            assert_true(n > 0 || errno == EAGAIN);
            n_written += n > 0 ? (size_t)n : 0;
            if (i % 4 == 3)
                contract_turn(c);
        }
        raw_close(pair.raw);
        pair.raw = -1;
        until(c, pair.end->ended);
        assert_int_equal(pair.end->n_received, n_written);
        assert_string_equal(pair_story(&pair), "de");
        pair_close(&pair);
    }
}

/* The peer has ended its side, and is gone when we go on writing. */
static void end_then_reset(struct contract *c)
{
    for (enum role role = 0; role < N_ROLES; role++) {
        struct pair pair = {.raw = -1};
        pair_open(&pair, c, role);
        raw_write(pair.raw, "hello");
        raw_shutdown(pair.raw);
        until(c, pair.end->ended);
        some_turns(c);
        assert_false(pair.end->failed);
        reset(&pair);
        until(c, pair.end->failed); /* though nothing is sent or received */
        assert_string_equal(pair_story(&pair), "def");
        assert_int_equal(pair.end->error, -ECONNRESET);
        assert_int_equal(CALL(sonde_stream_write(pair.end->stream, "x", 1)), -ECONNRESET);
        pair_close(&pair);
    }
}

/* The same, found by writing. */
static void end_then_write_to_nobody(struct contract *c)
{
    for (enum role role = 0; role < N_ROLES; role++) {
        struct pair pair = {.raw = -1};
        pair_open(&pair, c, role);
        raw_close(pair.raw); /* not a reset: it has nothing unread; but nobody will take what comes */
        pair.raw = -1;
        until(c, pair.end->ended);
        until(c, CALL(sonde_stream_write(pair.end->stream, "x", 1)) != 0 || pair.end->failed);
        until(c, pair.end->failed);
        assert_string_equal(pair_story(&pair), "ef");
        assert_int_equal(pair.end->error, -ECONNRESET);
        pair_close(&pair);
    }
}

/* The end and the reset have both come before the loop looks. */
static void end_and_reset_at_once(struct contract *c)
{
    for (enum role role = 0; role < N_ROLES; role++) {
        struct pair pair = {.raw = -1};
        pair_open(&pair, c, role);
        some_turns(c);
        raw_write(pair.raw, "hello");
        raw_shutdown(pair.raw);
        reset(&pair);
        until(c, pair.end->failed);
        assert_string_equal(pair.end->text, "hello");
        assert_true(strcmp(pair_story(&pair), "df") == 0 || strcmp(pair_story(&pair), "def") == 0);
        assert_int_equal(pair.end->error, -ECONNRESET);
        pair_close(&pair);
    }
}

static void reset_while_paused(struct contract *c)
{
    for (unsigned i = 0; i < 3; i++) {
        for (enum role role = 0; role < N_ROLES; role++) {
            struct pair pair = {.raw = -1};
            pair_open(&pair, c, role);
            some_turns(c);
            DO(sonde_stream_pause(pair.end->stream));
            raw_write(pair.raw, "last words");
            if (i == 1)
                some_turns(c);
            reset(&pair);
            if (i == 2)
                assert_true(CALL(sonde_stream_write(pair.end->stream, "x", 1)) <= 0);
            some_turns(c);
            assert_string_equal(pair_story(&pair), "");
            DO(sonde_stream_resume(pair.end->stream));
            until(c, pair.end->failed);
            assert_string_equal(pair.end->text, "last words");
            assert_string_equal(pair_story(&pair), "df");
            assert_int_equal(pair.end->error, -ECONNRESET);
            pair_close(&pair);
        }
    }
}

static void end_then_reset_while_paused(struct contract *c)
{
    for (enum role role = 0; role < N_ROLES; role++) {
        struct pair pair = {.raw = -1};
        pair_open(&pair, c, role);
        some_turns(c);
        DO(sonde_stream_pause(pair.end->stream));
        raw_write(pair.raw, "last words");
        raw_shutdown(pair.raw);
        some_turns(c);
        reset(&pair);
        some_turns(c);
        assert_string_equal(pair_story(&pair), "");
        DO(sonde_stream_resume(pair.end->stream));
        until(c, pair.end->failed);
        assert_string_equal(pair.end->text, "last words");
        assert_true(strcmp(pair_story(&pair), "df") == 0 || strcmp(pair_story(&pair), "def") == 0);
        assert_int_equal(pair.end->error, -ECONNRESET);
        pair_close(&pair);
    }
}

static void reset_before_accept(struct contract *c)
{
    struct server server = {0};
    struct sockaddr_in local = {0};
    socklen_t n = sizeof local;

    server_open(&server, c, 2);
    for (unsigned i = 0; i < 2; i++) {
        int raw = raw_connect(server_port(&server));
        assert_int_equal(getsockname(raw, (struct sockaddr *)&local, &n), 0);
        if (i == 1)
            raw_write(raw, "last words");
        raw_reset(raw);
        until(c, server.n_ends == i + 1 && server.ends[i].failed);
        struct end *end = &server.ends[i];
        sonde_stream_peer(end->stream, &end->peer);
        assert_int_equal(end->error, -ECONNRESET);
        assert_string_equal(end->story, i == 0 ? "f" : "df");
        assert_int_equal(end->peer.family, AF_INET);
        assert_int_equal(end->peer.port, ntohs(local.sin_port));
        end_close(end);
        until(c, end->closed);
        assert_int_equal(end->peer.port, ntohs(local.sin_port)); /* in the closed callback */
    }
    server_wind_up(&server);
}

/* A UNIX peer that closes with something unread: the kernel calls that a reset as well. */
static void unix_reset(struct contract *c)
{
    struct server server = {.model = {.seed = 5}};
    struct end client = {0};
    char address[120] = "unix:@";

    strcat(address, contract_path());
    server_open_at(&server, c, 1, NULL, address);
    struct sonde_url url = server_url(&server);
    end_connect(&client, c, &url);
    until(c, client.opened && server.n_ends == 1);
    struct end *end = &server.ends[0];
    DO(sonde_stream_pause(client.stream));
    some_turns(c);
    assert_int_equal(end_write(end, 10), 0);
    some_turns(c);
    assert_int_equal(CALL(sonde_stream_write(client.stream, "last words", 10)), 0);
    some_turns(c);
    end_close(&client);
    until(c, end->failed);
    assert_string_equal(end->text, "last words");
    assert_int_equal(end->error, -ECONNRESET);
    server_wind_up(&server);
}

/* --- finish ----------------------------------------------------------------------------------------------------- */

static void finish_in(struct end *end, int64_t ns)
{
    DO(sonde_stream_finish(end->stream, sonde_loop_now_ns(end->c->loop) + ns));
}

/* Whoever ends first: everything is delivered, and nobody needs to call close. */
static void finish_takes_what_comes(struct contract *c)
{
    for (enum role role = 0; role < N_ROLES; role++) {
        struct pair pair = {.raw = -1, .model.seed = 4, .buffer_bytes = 8192};
        uint64_t n_read = 0;
        pair_open(&pair, c, role);
        assert_int_equal(end_write(pair.end, MUCH / 4), 0);
        finish_in(pair.end, 30 * SECOND);
        finish_in(pair.end, 0); /* idempotent */
        assert_int_equal(CALL(sonde_stream_write(pair.end->stream, "x", 1)), -EPIPE);
        until(c, raw_read_pattern(pair.raw, 4, &n_read) == 1);
        assert_int_equal(n_read, MUCH / 4);
        raw_write(pair.raw, "late");
        until(c, pair.end->n_received == 4);
        some_turns(c);
        assert_false(pair.end->closed);
        raw_close(pair.raw);
        pair.raw = -1;
        until(c, pair.end->closed);
        assert_string_equal(pair_story(&pair), "dec");
        assert_int_equal(pair.end->unsent, 0);
        pair_close(&pair);
    }
}

/* The peer has ended already; its kernel has yet to take our bytes. */
static void finish_waits_for_acknowledgement(struct contract *c)
{
    for (enum role role = 0; role < N_ROLES; role++) {
        struct pair pair = {.raw = -1, .model.seed = 4, .buffer_bytes = 4096};
        uint64_t n_read = 0;
        pair_open(&pair, c, role);
        raw_shutdown(pair.raw);
        until(c, pair.end->ended);
        assert_int_equal(end_write(pair.end, 5000), 0);
        assert_int_equal(end_write(pair.end, 5000), 0);
        until(c, sonde_stream_queued_bytes(pair.end->stream) == 0); /* the kernel has it all */
        finish_in(pair.end, 30 * SECOND);
        for (int i = 0; i < 20; i++)
            contract_turn(c);
        assert_false(pair.end->closed);
        until(c, raw_read_pattern(pair.raw, 4, &n_read) == 1);
        assert_int_equal(n_read, 10000);
        until(c, pair.end->closed);
        assert_string_equal(pair_story(&pair), "ec");
        pair_close(&pair);
    }
}

static void finish_until_the_deadline(struct contract *c)
{
    for (unsigned i = 0; i < 3; i++) {
        struct pair pair = {.raw = -1, .model.seed = 4, .buffer_bytes = 8192};
        pair_open(&pair, c, i == 1 ? ACCEPTED : CONNECTED);
        if (i > 0)
            assert_int_equal(end_write(pair.end, MUCH), 0);
        if (i == 2) {
            raw_shutdown(pair.raw);
            until(c, pair.end->ended);
        }
        finish_in(pair.end, 20 * MILLISECOND);
        until(c, pair.end->closed);
        assert_string_equal(pair_story(&pair), i == 2 ? "efc" : "fc");
        assert_int_equal(pair.end->error, -ETIMEDOUT);
        assert_true(i == 0 || pair.end->unsent > 0);
        pair_close(&pair);
    }
}

static void finish_meets_a_reset(struct contract *c)
{
    for (unsigned i = 0; i < 4; i++) {
        struct pair pair = {.raw = -1, .model.seed = 4, .buffer_bytes = 8192};
        pair_open(&pair, c, i % 2 == 0 ? ACCEPTED : CONNECTED);
        if (i >= 2)
            assert_int_equal(end_write(pair.end, MUCH), 0);
        finish_in(pair.end, 30 * SECOND);
        some_turns(c);
        raw_write(pair.raw, "last words");
        reset(&pair);
        until(c, pair.end->closed);
        assert_string_equal(pair_story(&pair), "dfc");
        assert_string_equal(pair.end->text, "last words");
        assert_int_equal(pair.end->error, -ECONNRESET);
        pair_close(&pair);
    }
}

/* Both have ended, our last bytes are not acknowledged yet: and then the reset. */
static void finish_meets_a_late_reset(struct contract *c)
{
    for (enum role role = 0; role < N_ROLES; role++) {
        struct pair pair = {.raw = -1, .model.seed = 4, .buffer_bytes = 4096};
        pair_open(&pair, c, role);
        raw_shutdown(pair.raw);
        until(c, pair.end->ended);
        assert_int_equal(end_write(pair.end, 10000), 0);
        until(c, sonde_stream_queued_bytes(pair.end->stream) == 0);
        finish_in(pair.end, 30 * SECOND);
        some_turns(c);
        reset(&pair);
        until(c, pair.end->closed);
        assert_string_equal(pair_story(&pair), "efc");
        assert_int_equal(pair.end->error, -ECONNRESET);
        pair_close(&pair);
    }
}

/* After a failure, and while connecting, it is the same as close. */
static void finish_where_nothing_is_left(struct contract *c)
{
    struct pair pair = {.raw = -1};
    struct end client = {0};
    struct sonde_url url = contract_url("tcp://127.0.0.1:1");

    pair_open(&pair, c, ACCEPTED);
    reset(&pair);
    until(c, pair.end->failed);
    finish_in(pair.end, 30 * SECOND);
    until(c, pair.end->closed);
    pair_close(&pair);

    end_connect(&client, c, &url);
    finish_in(&client, 30 * SECOND);
    contract_run(c);
    assert_string_equal(client.story, "c");
}

static void finish_in_failed(struct contract *c)
{
    struct pair pair = {.raw = -1, .model.on_failed = end_finish};

    pair_open(&pair, c, ACCEPTED);
    finish_in(pair.end, 30 * SECOND);
    reset(&pair);
    until(c, pair.end->closed);
    assert_string_equal(pair_story(&pair), "fc");
    pair_close(&pair);
}

int main(int argc, char **argv)
{
    static const struct contract_test tests[] = {
        CONTRACT_TEST(data_then_reset),           CONTRACT_TEST(send_finds_the_reset),
        CONTRACT_TEST(reset_while_sending),       CONTRACT_TEST(reset_behind_much),
        CONTRACT_TEST(end_behind_much),           CONTRACT_TEST(end_then_reset),
        CONTRACT_TEST(end_then_write_to_nobody),  CONTRACT_TEST(end_and_reset_at_once),
        CONTRACT_TEST(reset_while_paused),        CONTRACT_TEST(end_then_reset_while_paused),
        CONTRACT_TEST(reset_before_accept),       CONTRACT_TEST(unix_reset),
        CONTRACT_TEST(finish_takes_what_comes),   CONTRACT_TEST(finish_waits_for_acknowledgement),
        CONTRACT_TEST(finish_until_the_deadline), CONTRACT_TEST(finish_meets_a_reset),
        CONTRACT_TEST(finish_meets_a_late_reset), CONTRACT_TEST(finish_where_nothing_is_left),
        CONTRACT_TEST(finish_in_failed),
    };
    return contract_main(argc, argv, tests, sizeof tests / sizeof *tests);
}
