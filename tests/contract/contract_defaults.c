/* SPDX-License-Identifier: MIT */
/* What is done for those who have no handler; giving a stream up. */
#include "ends.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { SMALL = 4096, MEGABYTE = 1 << 20 };

/* The recording handler without some of its members. */
enum { NO_DATA = 1, NO_END = 2, NO_FAILED = 4 };

static const struct sonde_stream_handler *handler_without(unsigned members)
{
    static struct sonde_stream_handler handler;

    handler = end_handler;
    if (members & NO_DATA)
        handler.data = NULL;
    if (members & NO_END)
        handler.end = NULL;
    if (members & NO_FAILED)
        handler.failed = NULL;
    return &handler;
}

static void open_without(struct pair *pair, struct contract *c, enum role role, unsigned members)
{
    pair_open(pair, c, role);
    DO(sonde_stream_set_handler(pair->end->stream, handler_without(members), pair->end));
}

/* --- defaults --------------------------------------------------------------------------------------------------- */

static void no_end_finishes(struct contract *c)
{
    for (enum role role = 0; role < N_ROLES; role++) {
        struct pair pair = {0};
        uint64_t n_read = 0;
        open_without(&pair, c, role, NO_END);
        raw_write(pair.raw, "all I have");
        raw_shutdown(pair.raw);
        until(c, raw_read_pattern(pair.raw, 0, &n_read) == 1);
        until(c, pair.end->closed);
        assert_string_equal(pair_story(&pair), "dc");
        assert_string_equal(pair.end->text, "all I have");
        pair_close(&pair);
    }
}

/* The peer ends before it has read anything: it gets all, however slowly it reads. */
static void no_end_sends_the_rest(struct contract *c)
{
    struct pair pair = {.buffer_bytes = SMALL, .model = {.seed = 7}};
    uint64_t n_read = 0;
    int result;

    open_without(&pair, c, ACCEPTED, NO_END);
    assert_int_equal(end_write(pair.end, MEGABYTE), 0);
    raw_shutdown(pair.raw);
    some_turns(c);
    assert_false(pair.end->closed);
    until(c, (result = raw_read_pattern(pair.raw, 7, &n_read)) != 0);
    assert_int_equal(result, 1);
    assert_int_equal(n_read, MEGABYTE);
    until(c, pair.end->closed);
    assert_string_equal(pair_story(&pair), "c");
    assert_int_equal(pair.end->unsent, 0);
    pair_close(&pair);
}

static void no_data_drops(struct contract *c)
{
    struct pair pair = {0};
    char bytes[10000] = "";
    uint64_t n_read = 0;
    size_t n_sent = 0;

    open_without(&pair, c, CONNECTED, NO_DATA | NO_END);
    while (n_sent < 50 * sizeof bytes) {
        ssize_t n = send(pair.raw, bytes, sizeof bytes, MSG_NOSIGNAL);
        n_sent += n > 0 ? (size_t)n : 0;
        contract_turn(c);
    }
    until(c, sonde_stream_received_bytes(pair.end->stream) == n_sent);
    raw_shutdown(pair.raw);
    until(c, raw_read_pattern(pair.raw, 0, &n_read) == 1);
    until(c, pair.end->closed);
    assert_string_equal(pair_story(&pair), "c");
    pair_close(&pair);
}

static void no_failed_closes(struct contract *c)
{
    for (enum role role = 0; role < N_ROLES; role++) {
        struct pair pair = {0};
        open_without(&pair, c, role, NO_FAILED);
        raw_reset(pair.raw);
        pair.raw = -1;
        until(c, pair.end->closed);
        assert_string_equal(pair_story(&pair), "c");
        pair_close(&pair);
    }
}

static void no_failed_when_refused(struct contract *c)
{
    struct end end = {.c = c};
    uint16_t port;
    int refusing = raw_refusing(&port, NULL);
    struct sonde_url url = contract_url("tcp://127.0.0.1:%u", port);

    end_connect(&end, c, &url);
    DO(sonde_stream_set_handler(end.stream, handler_without(NO_FAILED), &end));
    until(c, end.closed);
    assert_string_equal(end.story, "c");
    contract_run(c);
    close(refusing);
}

static void no_handler_at_all(struct contract *c)
{
    static const struct sonde_stream_handler nothing;
    struct pair pair = {0};
    uint64_t n_read = 0;

    pair_open(&pair, c, ACCEPTED);
    DO(sonde_stream_set_handler(pair.end->stream, &nothing, NULL));
    raw_write(pair.raw, "anybody?");
    raw_shutdown(pair.raw);
    until(c, raw_read_pattern(pair.raw, 0, &n_read) == 1);
    until(c, sonde_stream_next(c->loop, NULL) == NULL);
    pair.end->stream = NULL;
    pair.end->closed = true;
    pair_close(&pair);
}

/* --- giving up -------------------------------------------------------------------------------------------------- */

static void give_up(struct end *end, const struct sonde_lent *bytes)
{
    (void)bytes;
    DO(sonde_stream_fail(end->stream, -ENOMEM));
}

static void fail_tells_and_resets(struct contract *c)
{
    for (enum role role = 0; role < N_ROLES; role++) {
        for (unsigned without = 0; without <= NO_FAILED; without += NO_FAILED) {
            struct pair pair = {.model = {.on_data = give_up, .on_failed = end_abort}};
            char buffer[16];
            int result = 0, told = 0;
            open_without(&pair, c, role, without);
            raw_write(pair.raw, "one");
            until(c, pair.end->n_received > 0);
            /* It must not be delivered: the story says. Where the reset is there already, this is told of it, and once.
             */
            if (pair.end->stream != NULL && send(pair.raw, "two", 3, MSG_NOSIGNAL) < 0)
                told = -errno;
            until(c, pair.end->closed);
            assert_string_equal(pair_story(&pair), without ? "dc" : "dfc");
            assert_string_equal(pair.end->text, "one");
            if (!without) {
                assert_int_equal(pair.end->error, -ENOMEM);
                assert_string_equal(pair.end->why.call, "send");
            }
            until(c, (result = told) < 0 || (result = raw_read(pair.raw, buffer, sizeof buffer)) != -EAGAIN);
            assert_int_equal(result, -ECONNRESET);
            pair_close(&pair);
        }
    }
}

static void fail_keeps_its_reason(struct contract *c)
{
    struct pair pair = {.model = {.on_failed = end_abort}};

    pair_open(&pair, c, ACCEPTED);
    assert_int_equal(end_write(pair.end, 100), 0);
    DO(sonde_stream_fail(pair.end->stream, -EPIPE)); /* which a socket never says: there it is a reset */
    DO(sonde_stream_fail(pair.end->stream, -ENOMEM));
    assert_int_equal(CALL(sonde_stream_write(pair.end->stream, "x", 1)) < 0, 1);
    until(c, pair.end->closed);
    assert_string_equal(pair_story(&pair), "fc");
    assert_int_equal(pair.end->error, -EPIPE);
    pair_close(&pair);
}

/* What had arrived when the connection was lost is delivered, whatever the owner says about its writes. */
static void fail_after_a_loss_waits(struct contract *c)
{
    struct pair pair = {.model = {.on_failed = end_close}};
    int error = 0;

    pair_open(&pair, c, ACCEPTED);
    DO(sonde_stream_pause(pair.end->stream));
    raw_write(pair.raw, "last words");
    raw_reset(pair.raw);
    pair.raw = -1;
    until(c, (error = CALL(sonde_stream_write(pair.end->stream, "x", 1))) < 0);
    DO(sonde_stream_fail(pair.end->stream, error));
    DO(sonde_stream_resume(pair.end->stream));
    until(c, pair.end->closed);
    assert_int_equal(pair.end->error, -ECONNRESET);
    assert_true(strcmp(pair_story(&pair), "fc") == 0 || strcmp(pair_story(&pair), "dfc") == 0);
    pair_close(&pair);
}

static void fail_before_it_opens(struct contract *c)
{
    struct end end = {.c = c};
    uint16_t port;
    int listener = raw_listen(1, 0, &port);
    struct sonde_url url = contract_url("tcp://127.0.0.1:%u", port);

    end_connect(&end, c, &url);
    end.closing = true;
    DO(sonde_stream_fail(end.stream, -ENOMEM));
    until(c, end.closed);
    assert_string_equal(end.story, "c");
    close(listener);
    contract_run(c);
}

int main(int argc, char **argv)
{
    static const struct contract_test tests[] = {
        CONTRACT_TEST(no_end_finishes),         CONTRACT_TEST(no_end_sends_the_rest),
        CONTRACT_TEST(no_data_drops),           CONTRACT_TEST(no_failed_closes),
        CONTRACT_TEST(no_failed_when_refused),  CONTRACT_TEST(no_handler_at_all),
        CONTRACT_TEST(fail_tells_and_resets),   CONTRACT_TEST(fail_keeps_its_reason),
        CONTRACT_TEST(fail_after_a_loss_waits), CONTRACT_TEST(fail_before_it_opens),
    };
    return contract_main(argc, argv, tests, sizeof tests / sizeof *tests);
}
