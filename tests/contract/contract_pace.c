/* SPDX-License-Identifier: MIT */
/*
 * Streams with a rate. What is asserted of time is what no load of the machine can make false: no more has come than
 * rate times the time that has passed, and the bucket. A rate of one byte a second stands for "the bucket and no more".
 */
#include "ends.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { LEAST_BUCKET = 1024, RATE = 100 * 1000, BUCKET = RATE / 10, MUCH = 40 * 1000 };

static int64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * SECOND + now.tv_nsec;
}

static void set_rate(struct end *end, uint64_t rate)
{
    assert_int_equal(CALL(sonde_stream_set_rate(end->stream, rate)), 0);
}

/* The most that may have gone through since then; the clock is read after the bytes were counted. */
static uint64_t most(uint64_t rate, uint64_t bucket, int64_t since_ns)
{
    return bucket + rate * (uint64_t)(now_ns() - since_ns) / SECOND;
}

static void feed(int fd, uint32_t seed, uint64_t n_bytes, uint64_t *n_fed)
{
    unsigned char bytes[8192];

    while (*n_fed < n_bytes) {
        size_t n = n_bytes - *n_fed < sizeof bytes ? (size_t)(n_bytes - *n_fed) : sizeof bytes;
        fill_pattern(bytes, n, seed, *n_fed);
        ssize_t sent = send(fd, bytes, n, MSG_NOSIGNAL);
        if (sent < 0 && errno == EAGAIN)
            return;
        assert_true(sent > 0);
        *n_fed += (uint64_t)sent;
    }
}

static void pieces_are_small(struct end *end, const struct sonde_lent *bytes)
{
    const size_t *largest = end->user;

    assert_true(bytes->n_bytes <= *largest);
}

/* --- receiving ---------------------------------------------------------------------------------------------------- */

static void receives_at_its_rate(struct contract *c)
{
    size_t bucket = BUCKET;

    for (enum role role = 0; role < N_ROLES; role++) {
        struct pair pair = {.raw = -1,
                            .model = {.checked = true, .seed = 5, .on_data = pieces_are_small, .user = &bucket}};
        uint64_t n_fed = 0;
        pair_open(&pair, c, role);
        int64_t begin_ns = now_ns();
        set_rate(pair.end, RATE);
        while (pair.end->n_received < MUCH) {
            feed(pair.raw, 5, 4 * MUCH, &n_fed);
            contract_turn(c);
            uint64_t n = pair.end->n_received;
            assert_true(n <= most(RATE, BUCKET, begin_ns));
        }
        assert_true(now_ns() - begin_ns >= (MUCH - BUCKET) * (SECOND / RATE));
        /* Without the rate the rest comes as it can; and the end is behind it. */
        pair.end->on_data = NULL;
        set_rate(pair.end, 0);
        until(c, (feed(pair.raw, 5, 4 * MUCH, &n_fed), pair.end->n_received == 4 * MUCH));
        raw_shutdown(pair.raw);
        until(c, pair.end->ended);
        assert_string_equal(pair_story(&pair), "de");
        pair_close(&pair);
    }
}

/* What one receive brings is more than the bucket: it is kept, and comes in pieces. */
static void keeps_what_came_at_once(struct contract *c)
{
    size_t bucket = LEAST_BUCKET;
    struct pair pair = {.raw = -1, .model = {.checked = true, .seed = 1, .on_data = pieces_are_small, .user = &bucket}};
    uint64_t n_fed = 0;

    pair_open(&pair, c, ACCEPTED);
    int64_t begin_ns = now_ns();
    feed(pair.raw, 1, 3000, &n_fed);
    set_rate(pair.end, 1);
    until(c, pair.end->n_received >= LEAST_BUCKET);
    some_turns(c);
    uint64_t n = pair.end->n_received;
    assert_true(n <= most(1, LEAST_BUCKET, begin_ns));
    assert_int_equal(n, sonde_stream_received_bytes(pair.end->stream));
    set_rate(pair.end, 10 * 1000);
    until(c, pair.end->n_received == 3000);
    assert_true(now_ns() - begin_ns >= (3000 - 2 * LEAST_BUCKET) * (SECOND / 10000));
    raw_write(pair.raw, "!");
    raw_shutdown(pair.raw);
    pair.end->checked = false;
    until(c, pair.end->ended);
    assert_int_equal(pair.end->n_received, 3001);
    pair_close(&pair);
}

static void set_rate_of_one(struct end *end)
{
    set_rate(end, 1);
}

/* The rate holds from the first byte when it is given before there was one. */
static void from_the_first_byte(struct contract *c)
{
    struct server server = {.on_accepted = set_rate_of_one};
    uint64_t n_fed = 0;

    server_open(&server, c, 1);
    int64_t begin_ns = now_ns();
    int raw = raw_connect(server_port(&server));
    feed(raw, 0, 100000, &n_fed);
    until(c, server.n_ends == 1 && server.ends[0].n_received >= LEAST_BUCKET);
    some_turns(c);
    uint64_t n = server.ends[0].n_received;
    assert_true(n <= most(1, LEAST_BUCKET, begin_ns));
    server_wind_up(&server);
    close(raw);
}

/* The owner's pause and the rate's: what one lets through the other still holds. */
static void both_pauses_hold(struct contract *c)
{
    struct pair pair = {.raw = -1, .model = {.checked = true, .seed = 9}};
    uint64_t n_fed = 0;

    pair_open(&pair, c, ACCEPTED);
    int64_t begin_ns = now_ns();
    set_rate(pair.end, 1);
    feed(pair.raw, 9, 5000, &n_fed);
    until(c, pair.end->n_received >= LEAST_BUCKET);
    /* ends.c fails the test when anything is delivered while the stream is paused. */
    DO(sonde_stream_pause(pair.end->stream));
    set_rate(pair.end, 0);
    set_rate(pair.end, 1000 * 1000);
    some_turns(c);
    set_rate(pair.end, 1);
    uint64_t n = pair.end->n_received;
    DO(sonde_stream_resume(pair.end->stream));
    /* The bucket is full again, and once only. */
    until(c, pair.end->n_received > n);
    some_turns(c);
    n = pair.end->n_received;
    assert_true(n <= most(1, 2 * LEAST_BUCKET, begin_ns));
    assert_true(n < 5000);
    DO(sonde_stream_pause(pair.end->stream));
    DO(sonde_stream_resume(pair.end->stream));
    some_turns(c);
    n = pair.end->n_received;
    assert_true(n <= most(1, 2 * LEAST_BUCKET, begin_ns));
    set_rate(pair.end, 0);
    until(c, pair.end->n_received == 5000);
    pair_close(&pair);
}

/* The end of data waits behind what was kept, and costs nothing where nothing was. */
static void the_end_comes_last(struct contract *c)
{
    for (enum role role = 0; role < N_ROLES; role++) {
        struct pair pair = {.raw = -1, .model = {.checked = true, .seed = 3}};
        uint64_t n_fed = 0;
        pair_open(&pair, c, role);
        set_rate(pair.end, 1);
        feed(pair.raw, 3, 3000, &n_fed);
        raw_shutdown(pair.raw);
        until(c, pair.end->n_received >= LEAST_BUCKET);
        some_turns(c);
        assert_false(pair.end->ended);
        set_rate(pair.end, 0);
        until(c, pair.end->ended);
        assert_int_equal(pair.end->n_received, 3000);
        pair_close(&pair);

        pair = (struct pair){.raw = -1};
        pair_open(&pair, c, role);
        set_rate(pair.end, 1);
        raw_shutdown(pair.raw);
        until(c, pair.end->ended);
        pair_close(&pair);
    }
}

static void a_reset_comes_last(struct contract *c)
{
    struct pair pair = {.raw = -1, .model = {.checked = true, .seed = 3}};
    uint64_t n_fed = 0;

    pair_open(&pair, c, ACCEPTED);
    set_rate(pair.end, 1);
    feed(pair.raw, 3, 3000, &n_fed);
    until(c, pair.end->n_received >= LEAST_BUCKET);
    raw_reset(pair.raw);
    pair.raw = -1;
    some_turns(c);
    assert_false(pair.end->failed);
    set_rate(pair.end, 0);
    until(c, pair.end->failed);
    assert_int_equal(pair.end->error, -ECONNRESET);
    assert_string_equal(pair.end->story, "df");
    assert_int_equal(pair.end->n_received, 3000);
    pair_close(&pair);
}

/* --- sending ------------------------------------------------------------------------------------------------------ */

static void sends_at_its_rate(struct contract *c)
{
    for (enum role role = 0; role < N_ROLES; role++) {
        struct pair pair = {.raw = -1, .model = {.seed = 7}};
        uint64_t n_read = 0;
        pair_open(&pair, c, role);
        int64_t begin_ns = now_ns();
        set_rate(pair.end, RATE);
        assert_int_equal(end_write(pair.end, MUCH), 0);
        assert_int_equal(end_write(pair.end, 1), 0);
        while (n_read < MUCH + 1) {
            contract_turn(c);
            assert_int_equal(raw_read_pattern(pair.raw, 7, &n_read), 0);
            assert_true(n_read <= most(RATE, BUCKET, begin_ns));
            assert_int_equal(sonde_stream_sent_bytes(pair.end->stream) + sonde_stream_queued_bytes(pair.end->stream),
                             MUCH + 1);
        }
        assert_true(now_ns() - begin_ns >= (MUCH - BUCKET) * (SECOND / RATE));
        until(c, pair.end->n_drained == 1);
        pair_close(&pair);
    }
}

static void waits_and_goes_on_without(struct contract *c)
{
    struct pair pair = {.raw = -1, .model = {.seed = 7}};
    uint64_t n_read = 0;

    pair_open(&pair, c, CONNECTED);
    int64_t begin_ns = now_ns();
    set_rate(pair.end, 1);
    assert_int_equal(end_write(pair.end, 5000), 0);
    DO(sonde_stream_shutdown(pair.end->stream));
    until(c, raw_read_pattern(pair.raw, 7, &n_read) == 0 && n_read >= LEAST_BUCKET);
    some_turns(c);
    assert_int_equal(raw_read_pattern(pair.raw, 7, &n_read), 0);
    assert_true(n_read <= most(1, LEAST_BUCKET, begin_ns));
    assert_int_equal(pair.end->n_drained, 0);
    set_rate(pair.end, 0);
    until(c, raw_read_pattern(pair.raw, 7, &n_read) == 1);
    assert_int_equal(n_read, 5000);
    pair_close(&pair);
}

/* An echo whose stream has a rate: it is received as slowly as it is sent, and nothing is lost. */
static void echoes_at_its_rate(struct contract *c)
{
    for (enum role role = 0; role < N_ROLES; role++) {
        struct pair pair = {.raw = -1, .model = {.on_data = end_echo, .on_drained = end_go_on}};
        uint64_t n_fed = 0, n_read = 0;
        pair_open(&pair, c, role);
        int64_t begin_ns = now_ns();
        set_rate(pair.end, RATE);
        while (n_read < MUCH) {
            feed(pair.raw, 4, MUCH, &n_fed);
            contract_turn(c);
            assert_int_equal(raw_read_pattern(pair.raw, 4, &n_read), 0);
            assert_true(n_read <= most(RATE, BUCKET, begin_ns));
        }
        pair_close(&pair);
    }
}

/* --- ends ----------------------------------------------------------------------------------------------------------
 */

static void finishes_at_its_rate(struct contract *c)
{
    struct pair pair = {.raw = -1, .model = {.seed = 2}};
    uint64_t n_read = 0;

    pair_open(&pair, c, ACCEPTED);
    int64_t begin_ns = now_ns();
    set_rate(pair.end, RATE);
    assert_int_equal(end_write(pair.end, 2 * BUCKET), 0);
    end_finish(pair.end);
    /* Both hang behind the stream's one pointer: change one under the other. */
    set_rate(pair.end, 0);
    set_rate(pair.end, RATE);
    until(c, raw_read_pattern(pair.raw, 2, &n_read) == 1);
    assert_int_equal(n_read, 2 * BUCKET);
    assert_true(n_read <= most(RATE, 2 * BUCKET, begin_ns));
    raw_close(pair.raw);
    pair.raw = -1;
    until(c, pair.end->closed);
    assert_string_equal(pair.end->story, "ec");
    assert_int_equal(pair.end->unsent, 0);
    pair_close(&pair);
}

static void a_deadline_is_kept(struct contract *c)
{
    struct pair pair = {.raw = -1, .model = {.seed = 2}};
    uint64_t n_read = 0;

    pair_open(&pair, c, ACCEPTED);
    set_rate(pair.end, 1);
    assert_int_equal(end_write(pair.end, 5000), 0);
    until(c, raw_read_pattern(pair.raw, 2, &n_read) == 0 && n_read >= LEAST_BUCKET);
    DO(sonde_stream_finish(pair.end->stream, sonde_loop_now_ns(c->loop) + 50 * MILLISECOND));
    until(c, pair.end->failed && pair.end->closed);
    assert_int_equal(pair.end->error, -ETIMEDOUT);
    assert_true(pair.end->unsent > 0 && pair.end->unsent <= 5000 - LEAST_BUCKET);
    pair_close(&pair);
}

/* Closing while both ways wait for their turn; the loop ends, though timers ran. */
static void closes_while_it_waits(struct contract *c)
{
    static void (*const how[])(struct end *) = {end_close, end_abort};

    for (unsigned i = 0; i < 2; i++)
        for (enum role role = 0; role < N_ROLES; role++) {
            struct pair pair = {.raw = -1};
            uint64_t n_fed = 0;
            pair_open(&pair, c, role);
            set_rate(pair.end, 1);
            feed(pair.raw, 0, 5000, &n_fed);
            assert_int_equal(end_write(pair.end, 5000), 0);
            until(c, pair.end->n_received >= LEAST_BUCKET);
            how[i](pair.end);
            assert_int_equal(CALL(sonde_stream_set_rate(pair.end->stream, 0)), 0);
            assert_int_equal(CALL(sonde_stream_set_rate(pair.end->stream, 5)), 0);
            until(c, pair.end->closed);
            assert_true(pair.end->unsent <= 5000);
            pair_close(&pair);
        }
}

static void close_it(struct end *end, const struct sonde_lent *bytes)
{
    (void)bytes;
    end_close(end);
}

static void stop_pacing(struct end *end, const struct sonde_lent *bytes)
{
    (void)bytes;
    set_rate(end, 0);
}

static void pace_anew(struct end *end, const struct sonde_lent *bytes)
{
    (void)bytes;
    set_rate(end, 0);
    set_rate(end, 1);
    set_rate(end, 30 * 1000 * 1000);
}

/* From inside the callback, over bytes that were kept. */
static void changes_inside_a_callback(struct contract *c)
{
    static void (*const what[])(struct end *, const struct sonde_lent *) = {close_it, stop_pacing, pace_anew};

    for (unsigned i = 0; i < 3; i++) {
        struct pair pair = {.raw = -1, .model = {.checked = true, .seed = 6}};
        uint64_t n_fed = 0;
        pair_open(&pair, c, ACCEPTED);
        set_rate(pair.end, 1);
        feed(pair.raw, 6, 3000, &n_fed);
        pair.end->on_data = what[i];
        until(c, i == 0 ? pair.end->closed : pair.end->n_received == 3000);
        pair_close(&pair);
    }
}

static void pace_once(struct end *end, const struct sonde_lent *bytes)
{
    (void)bytes;
    end->on_data = NULL;
    set_rate(end, 1);
    sonde_timer_start_in(end->user, 0);
}

static void go_without(struct sonde_timer *timer)
{
    const struct end *end = timer->user;

    if (end->stream != NULL)
        assert_int_equal(sonde_stream_set_rate(end->stream, 0), 0);
}

/* The rate is taken off again before receiving in the old way has come to its end. */
static void paced_for_a_moment(struct contract *c)
{
    struct pair pair = {.raw = -1, .model = {.checked = true, .seed = 6}};
    struct sonde_timer timer;
    uint64_t n_fed = 0;

    pair_open(&pair, c, ACCEPTED);
    pair.end->on_data = pace_once;
    pair.end->user = &timer;
    sonde_timer_init(&timer, c->loop, go_without, pair.end);
    feed(pair.raw, 6, 300 * 1000, &n_fed);
    until(c, pair.end->n_received == n_fed);
    pair_close(&pair);
}

static void fails_for_want_of_memory(struct contract *c)
{
    struct pair pair = {.raw = -1};

    pair_open(&pair, c, ACCEPTED);
    c->memory.fail_at = c->memory.n_calls + 1;
    assert_int_equal(CALL(sonde_stream_set_rate(pair.end->stream, 1)), -ENOMEM);
    c->memory.fail_at = 0;
    raw_write(pair.raw, "hello");
    until(c, pair.end->n_received == 5);
    pair_close(&pair);
}

/* What came beyond the tokens cannot be kept: the stream has a hole, and says so. */
static void fails_for_want_of_room(struct contract *c)
{
    struct pair pair = {.raw = -1, .model = {.checked = true}};
    uint64_t n_fed = 0;

    pair_open(&pair, c, ACCEPTED);
    set_rate(pair.end, 1);
    c->memory.fail_at = c->memory.n_calls + 1;
    feed(pair.raw, 0, 3000, &n_fed);
    until(c, pair.end->failed);
    c->memory.fail_at = 0;
    assert_int_equal(pair.end->error, -ENOMEM);
    assert_string_equal(pair.end->story, "f");
    pair_close(&pair);
}

/* --- connecting ----------------------------------------------------------------------------------------------------
 */

static void paced_before_it_opens(struct contract *c)
{
    struct end end = {.c = c, .seed = 8};
    uint64_t n_read = 0;
    uint16_t port;
    int listener = raw_listen(1, 0, &port);
    struct sonde_url url = contract_url("tcp://127.0.0.1:%u", port);
    int64_t begin_ns = now_ns();

    end_connect(&end, c, &url);
    set_rate(&end, 1);
    assert_int_equal(end_write(&end, 5000), 0);
    int raw = raw_accept(c, listener);
    until(c, raw_read_pattern(raw, 8, &n_read) == 0 && n_read >= LEAST_BUCKET);
    some_turns(c);
    assert_int_equal(raw_read_pattern(raw, 8, &n_read), 0);
    assert_true(n_read <= most(1, LEAST_BUCKET, begin_ns));
    set_rate(&end, 0);
    until(c, raw_read_pattern(raw, 8, &n_read) == 0 && n_read == 5000);
    end_close(&end);
    contract_run(c);
    close(raw);
    close(listener);
}

static void paced_and_never_opens(struct contract *c)
{
    uint16_t port;
    int refusing = raw_refusing(&port, NULL);
    struct sonde_url url = contract_url("tcp://127.0.0.1:%u", port);

    struct end closed = {.c = c};
    end_connect(&closed, c, &url);
    set_rate(&closed, 1);
    end_close(&closed);
    contract_run(c);
    assert_string_equal(closed.story, "c");

    struct end refused = {.c = c};
    end_connect(&refused, c, &url);
    set_rate(&refused, 1);
    assert_int_equal(end_write(&refused, 5000), 0);
    until(c, refused.failed);
    assert_int_equal(refused.error, -ECONNREFUSED);
    assert_int_equal(refused.why.code, -ECONNREFUSED);
    end_close(&refused);
    contract_run(c);
    close(refusing);
}

int main(int argc, char **argv)
{
    static const struct contract_test tests[] = {
        CONTRACT_TEST(receives_at_its_rate),      CONTRACT_TEST(keeps_what_came_at_once),
        CONTRACT_TEST(from_the_first_byte),       CONTRACT_TEST(both_pauses_hold),
        CONTRACT_TEST(the_end_comes_last),        CONTRACT_TEST(a_reset_comes_last),
        CONTRACT_TEST(sends_at_its_rate),         CONTRACT_TEST(waits_and_goes_on_without),
        CONTRACT_TEST(echoes_at_its_rate),        CONTRACT_TEST(finishes_at_its_rate),
        CONTRACT_TEST(a_deadline_is_kept),        CONTRACT_TEST(closes_while_it_waits),
        CONTRACT_TEST(changes_inside_a_callback), CONTRACT_TEST(fails_for_want_of_memory),
        CONTRACT_TEST(fails_for_want_of_room),    CONTRACT_TEST(paced_before_it_opens),
        CONTRACT_TEST(paced_and_never_opens),     CONTRACT_TEST(paced_for_a_moment),
    };
    return contract_main(argc, argv, tests, sizeof tests / sizeof *tests);
}
