/* SPDX-License-Identifier: MIT */
/* The life of a stream: how it opens, how each of its ways to end is told, and that it is closed once and last. */
#include "ends.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void echo_at(struct contract *c, const char *address)
{
    struct server server = {.model = {.on_data = end_echo, .on_drained = end_go_on, .on_end = end_finish}};
    struct end client = {.checked = true, .seed = 7};

    server_open_at(&server, c, 1, NULL, address);
    struct sonde_url url = server_url(&server);
    end_connect(&client, c, &url);
    until(c, client.opened);
    assert_int_equal(end_write(&client, 100), 0);
    until(c, client.n_received == 100);
    assert_int_equal(end_write(&client, 20000), 0);
    until(c, client.n_received == 20100);
    assert_int_equal(sonde_stream_sent_bytes(client.stream), 20100);
    end_finish(&client);
    until(c, client.closed && server.ends[0].closed);
    assert_string_equal(client.story, "odec");
    assert_string_equal(server.ends[0].story, "dec");
    server_wind_up(&server);
}

static void echo_tcp4(struct contract *c)
{
    echo_at(c, "tcp://127.0.0.1:0");
}

static void echo_tcp6(struct contract *c)
{
    echo_at(c, "tcp://[::1]:0");
}

static void echo_unix(struct contract *c)
{
    char address[120] = "unix:";

    strcat(address, contract_path());
    echo_at(c, address);
    assert_int_equal(access(address + strlen("unix:"), F_OK), -1); /* the listener took it with it */
}

static void echo_abstract(struct contract *c)
{
    char address[120] = "unix:@";

    strcat(address, contract_path());
    echo_at(c, address);
}

/* --- ends ------------------------------------------------------------------------------------------------------- */

static void half_close(struct contract *c, enum role role)
{
    struct pair pair = {.raw = -1};
    char text[16] = "";

    /* The peer first: it still gets an answer. */
    pair_open(&pair, c, role);
    raw_write(pair.raw, "question");
    raw_shutdown(pair.raw);
    until(c, pair.end->ended);
    assert_string_equal(pair.end->text, "question");
    assert_int_equal(CALL(sonde_stream_write(pair.end->stream, "answer", 6)), 0);
    DO(sonde_stream_shutdown(pair.end->stream));
    DO(sonde_stream_shutdown(pair.end->stream));
    assert_int_equal(CALL(sonde_stream_write(pair.end->stream, "more", 4)), -EPIPE);
    until(c, raw_read(pair.raw, text, sizeof text) == 6);
    assert_string_equal(text, "answer");
    until(c, raw_read(pair.raw, text, sizeof text) == 0);
    assert_false(pair.end->failed || pair.end->closed);
    pair_close(&pair);
    assert_string_equal(pair.role == CONNECTED ? pair.client.story : "odec", "odec");

    /* This side first: it still receives. */
    pair = (struct pair){.raw = -1};
    pair_open(&pair, c, role);
    assert_int_equal(CALL(sonde_stream_write(pair.end->stream, "answer", 6)), 0);
    DO(sonde_stream_shutdown(pair.end->stream));
    until(c, raw_read(pair.raw, text, sizeof text) == 6);
    until(c, raw_read(pair.raw, text, sizeof text) == 0);
    raw_write(pair.raw, "late");
    until(c, pair.end->n_received == 4);
    assert_false(pair.end->ended || pair.end->failed);
    raw_shutdown(pair.raw);
    until(c, pair.end->ended);
    assert_false(pair.end->failed);
    pair_close(&pair);
}

static void half_close_accepted(struct contract *c)
{
    half_close(c, ACCEPTED);
}

static void half_close_connected(struct contract *c)
{
    half_close(c, CONNECTED);
}

/* What is queued goes before the half-close. */
static void shutdown_waits_for_queue(struct contract *c)
{
    for (enum role role = 0; role < N_ROLES; role++) {
        struct pair pair = {.raw = -1, .buffer_bytes = 8192, .model = {.seed = 3}};
        uint64_t n_read = 0;
        pair_open(&pair, c, role);
        assert_int_equal(end_write(pair.end, 500 * 1000), 0);
        assert_int_equal(end_write(pair.end, 1), 0);
        DO(sonde_stream_shutdown(pair.end->stream));
        assert_true(sonde_stream_queued_bytes(pair.end->stream) > 0);
        until(c, raw_read_pattern(pair.raw, 3, &n_read) == 1);
        assert_int_equal(n_read, 500 * 1000 + 1);
        assert_int_equal(sonde_stream_queued_bytes(pair.end->stream), 0);
        assert_int_equal(sonde_stream_sent_bytes(pair.end->stream), n_read);
        pair_close(&pair);
        if (role == CONNECTED)
            assert_int_equal(pair.client.unsent, 0);
    }
}

/* What is written, and the half-close, before the connection stands. */
static void write_before_opened(struct contract *c)
{
    struct server server = {.model = {.on_data = end_echo, .on_drained = end_go_on, .on_end = end_finish}};
    struct end client = {.checked = true, .seed = 9};

    server_open(&server, c, 1);
    struct sonde_url url = server_url(&server);
    end_connect(&client, c, &url);
    assert_int_equal(end_write(&client, 10), 0);
    assert_int_equal(end_write(&client, 100000), 0);
    assert_int_equal(sonde_stream_queued_bytes(client.stream), 100010);
    DO(sonde_stream_shutdown(client.stream));
    until(c, client.ended && server.ends[0].closed);
    assert_int_equal(client.n_received, 100010);
    end_close(&client);
    server_wind_up(&server);
    assert_string_equal(client.story, "odec");
}

static void reset_is_told(struct contract *c)
{
    for (enum role role = 0; role < N_ROLES; role++) {
        struct pair pair = {.raw = -1};
        pair_open(&pair, c, role);
        raw_reset(pair.raw);
        pair.raw = -1;
        until(c, pair.end->failed);
        assert_int_equal(pair.end->error, -ECONNRESET);
        assert_false(pair.end->ended);
        assert_int_equal(CALL(sonde_stream_write(pair.end->stream, "x", 1)), -ECONNRESET);
        pair_close(&pair);
    }
}

/* A peer that answers nothing any more: here, one whose window stays shut. */
static void timeout_is_told(struct contract *c)
{
    struct end client = {.seed = 1};
    uint16_t port;
    int listener = raw_listen(1, 4096, &port);
    struct sonde_url url = contract_url("tcp://127.0.0.1:%u?user_timeout=50ms&sndbuf=4096", port);

    end_connect(&client, c, &url);
    int raw = raw_accept(c, listener);
    until(c, client.opened);
    assert_int_equal(end_write(&client, 1024 * 1024), 0);
    until(c, client.failed);
    assert_string_equal(client.story, "of");
    assert_int_equal(client.error, -ETIMEDOUT);
    assert_int_equal(client.why.code, -ETIMEDOUT);
    end_close(&client);
    contract_run(c);
    assert_string_equal(client.story, "ofc");
    assert_true(client.unsent > 0);
    close(raw);
    close(listener);
}

/* --- closing ---------------------------------------------------------------------------------------------------- */

typedef void (*reaction)(struct end *end);

static const reaction reactions[] = {end_close, end_abort, end_finish};

enum { N_REACTIONS = sizeof reactions / sizeof *reactions };

static void on_data_react(struct end *end, const struct sonde_lent *bytes)
{
    (void)bytes;
    if (end->user != NULL)
        reactions[*(unsigned *)end->user](end);
    end->user = NULL;
}

/* React to one callback in each way; then closed follows, whatever the peer does. */
static void close_in_callbacks(struct contract *c)
{
    for (unsigned i = 0; i < N_REACTIONS; i++) {
        struct end models[] = {
            {.on_opened = reactions[i]}, {.on_data = on_data_react, .user = &i},
            {.on_end = reactions[i]},    {.on_drained = reactions[i]},
            {.on_failed = reactions[i]},
        };
        for (unsigned m = 0; m < sizeof models / sizeof *models; m++) {
            for (enum role role = 0; role < N_ROLES; role++) {
                struct pair pair = {.raw = -1, .model = models[m], .buffer_bytes = 8192};
                uint64_t n_read = 0;
                snprintf(c->note, sizeof c->note, "reaction %u, callback %u, role %d", i, m, role);
                pair_open(&pair, c, role);
                if (m == 1 || m == 2)
                    raw_write(pair.raw, "hello");
                if (m == 2)
                    raw_shutdown(pair.raw);
                if (m == 3) {
                    assert_int_equal(end_write(pair.end, 300 * 1000), 0);
                    until(c, raw_read_pattern(pair.raw, 0, &n_read) != 0 || n_read == 300 * 1000);
                }
                if (m == 4) {
                    raw_reset(pair.raw);
                    pair.raw = -1;
                }
                if (m != 0 || role == CONNECTED) {
                    if (reactions[i] == end_finish && m != 2 && m != 4)
                        raw_shutdown(pair.raw);
                    until(c, pair.end->closed);
                }
                pair_close(&pair);
            }
        }
    }
}

static void close_in_accepted(struct contract *c)
{
    for (unsigned i = 0; i < N_REACTIONS; i++) {
        struct server server = {.on_accepted = reactions[i]};
        char byte;
        int n = 0;
        server_open(&server, c, 1);
        int raw = raw_connect(server_port(&server));
        until(c, server.n_ends == 1);
        if (reactions[i] == end_finish)
            raw_shutdown(raw);
        until(c, server.ends[0].closed);
        until(c, (n = raw_read(raw, &byte, 1)) != -EAGAIN);
        assert_int_equal(n, reactions[i] == end_abort ? -ECONNRESET : 0);
        close(raw);
        server_wind_up(&server);
    }
}

static void close_while_receiving(struct contract *c)
{
    struct pair pair = {.raw = -1};
    char byte;

    pair_open(&pair, c, CONNECTED);
    for (int i = 0; i < 3; i++)
        contract_turn(c);
    end_close(pair.end);
    end_close(pair.end);
    end_abort(pair.end);
    assert_false(pair.end->closed);
    until(c, pair.end->closed);
    until(c, raw_read(pair.raw, &byte, 1) == 0);
    assert_string_equal(pair.end->story, "oc");
    pair_close(&pair);
}

static void close_while_sending(struct contract *c)
{
    for (unsigned i = 0; i < 2; i++) {
        struct pair pair = {.raw = -1, .buffer_bytes = 8192};
        uint64_t n_read = 0;
        int n = 0;
        pair_open(&pair, c, i == 0 ? ACCEPTED : CONNECTED);
        assert_int_equal(end_write(pair.end, 1000 * 1000), 0);
        for (int t = 0; t < 20; t++)
            contract_turn(c);
        uint64_t sent = sonde_stream_sent_bytes(pair.end->stream);
        size_t queued = sonde_stream_queued_bytes(pair.end->stream);
        assert_true(queued > 0);
        assert_true(sent + queued == 1000 * 1000);
        end_close(pair.end);
        until(c, pair.end->closed);
        assert_true(pair.end->unsent > 0 && pair.end->unsent <= queued);
        /* What the kernel had is delivered all the same. */
        until(c, (n = raw_read_pattern(pair.raw, 0, &n_read)) != 0);
        assert_int_equal(n, 1);
        assert_true(n_read >= 1000 * 1000 - pair.end->unsent);
        pair_close(&pair);
    }
}

static void close_while_connecting(struct contract *c)
{
    struct end clients[3] = {{0}};
    uint16_t port;
    int listener = raw_listen(0, 0, &port);
    int full = raw_connect(port);
    struct sonde_url url = contract_url("tcp://127.0.0.1:%u", port);

    for (unsigned i = 0; i < 3; i++)
        end_connect(&clients[i], c, &url);
    end_close(&clients[0]); /* before the loop has seen it */
    for (int t = 0; t < 10; t++)
        contract_turn(c);
    end_close(&clients[1]);
    end_abort(&clients[2]);
    contract_run(c);
    for (unsigned i = 0; i < 3; i++)
        assert_string_equal(clients[i].story + (clients[i].story[0] == 'o'), "c");
    assert_string_equal(clients[0].story, "c");
    close(full);
    close(listener);
}

/* One callback closes the other stream, which has something waiting in the same turn. */
static struct end *the_other;

static void close_the_other(struct end *end, const struct sonde_lent *bytes)
{
    (void)bytes;
    struct end *other = end == &the_other[0] ? &the_other[1] : &the_other[0];
    if (other->stream != NULL && !other->closing)
        end_close(other);
}

static void close_another_stream(struct contract *c)
{
    struct server server = {.model = {.on_data = close_the_other}};

    server_open(&server, c, 2);
    the_other = server.ends;
    int raw[2] = {raw_connect(server_port(&server)), raw_connect(server_port(&server))};
    until(c, server.n_ends == 2);
    raw_write(raw[0], "one");
    raw_write(raw[1], "two");
    until(c, server.ends[0].closed || server.ends[1].closed);
    unsigned open = server.ends[0].closed;
    assert_string_equal(server.ends[open].story, "d");
    assert_string_equal(server.ends[!open].story, "c");
    server_wind_up(&server);
    close(raw[0]);
    close(raw[1]);
}

static void abort_resets_the_peer(struct contract *c)
{
    for (enum role role = 0; role < N_ROLES; role++) {
        struct pair pair = {.raw = -1};
        char byte;
        int n;
        pair_open(&pair, c, role);
        end_abort(pair.end);
        until(c, (n = raw_read(pair.raw, &byte, 1)) != -EAGAIN);
        assert_int_equal(n, -ECONNRESET);
        pair_close(&pair);
    }
}

/* Nobody set a handler on it. */
static void ignore_accepted(struct sonde_listener *listener, struct sonde_stream *stream, void *owner)
{
    (void)listener;
    (void)stream;
    ++*(unsigned *)owner;
}

static void no_handler_is_a_reset(struct contract *c)
{
    static const struct sonde_listener_handler handler = {.accepted = ignore_accepted};
    struct sonde_url url = contract_url("tcp://127.0.0.1:0");
    struct sonde_listener *listener;
    unsigned n = 0;
    char byte;

    assert_int_equal(CALL(sonde_listen(c->loop, &url, NULL, &handler, &n, &listener, NULL)), 0);
    sonde_listener_address(listener, 0, &url);
    int raw = raw_connect(url.port);
    until(c, raw_read(raw, &byte, 1) == -ECONNRESET);
    assert_int_equal(n, 1);
    DO(sonde_listener_close(listener));
    contract_run(c);
    close(raw);
}

/* --- what can be asked ------------------------------------------------------------------------------------------- */

static void who_and_where(struct contract *c)
{
    const struct sonde_listen_options listen_options = {.size = sizeof listen_options, .user_bytes = 5};
    const struct sonde_connect_options connect_options = {.size = sizeof connect_options, .user_bytes = 24};
    struct server server = {.c = c};
    struct end client = {.c = c};
    struct sonde_address local, peer;

    server_open_at(&server, c, 1, &listen_options, "tcp://127.0.0.1:0");
    struct sonde_url url = server_url(&server);
    int64_t before_ns = clock_monotonic_ns();
    assert_int_equal(CALL(sonde_connect(c->loop, &url, &connect_options, &end_handler, &client, &client.stream, NULL)),
                     0);
    assert_int_equal(sonde_stream_fd(client.stream), -1);
    until(c, client.opened && server.n_ends == 1);
    struct sonde_stream *accepted = server.ends[0].stream;

    sonde_stream_local(client.stream, &local);
    sonde_stream_peer(accepted, &peer);
    assert_int_equal(local.family, AF_INET);
    assert_int_equal(peer.family, AF_INET);
    assert_int_equal(local.port, peer.port);
    assert_true(local.port != 0);
    sonde_stream_local(accepted, &local);
    sonde_stream_peer(client.stream, &peer);
    assert_int_equal(local.port, url.port);
    assert_int_equal(peer.port, url.port);

    assert_true(sonde_stream_id(client.stream) != sonde_stream_id(accepted));
    assert_true(sonde_stream_id(client.stream) < sonde_stream_id(accepted));
    assert_ptr_equal(sonde_stream_next(c->loop, NULL), client.stream);
    assert_ptr_equal(sonde_stream_next(c->loop, client.stream), accepted);
    assert_null(sonde_stream_next(c->loop, accepted));
    assert_ptr_equal(sonde_stream_loop(accepted), c->loop);
    assert_null(sonde_stream_listener(client.stream));
    assert_int_equal(sonde_stream_fd(accepted) >= 0, c->n_direct == 0);
    assert_true(sonde_stream_since_ns(client.stream) >= before_ns - SECOND);
    assert_true(sonde_stream_since_ns(client.stream) <= clock_monotonic_ns());

    static const unsigned char zeros[24];
    assert_memory_equal(sonde_stream_user(client.stream), zeros, 24);
    assert_memory_equal(sonde_stream_user(accepted), zeros, 5);
    assert_int_equal((uintptr_t)sonde_stream_user(accepted) % 8, 0);

    /* Streams outlive their listener, and no longer name it. */
    DO(sonde_listener_close(server.listener));
    until(c, server.closed);
    assert_null(sonde_stream_listener(accepted));
    assert_int_equal(CALL(sonde_stream_write(client.stream, "hello", 5)), 0);
    until(c, server.ends[0].n_received == 5);
    end_close(&client);
    server_wind_up(&server);
}

static void loop_is_busy_until_closed(struct contract *c)
{
    struct pair pair = {.raw = -1};

    pair_open(&pair, c, CONNECTED);
    assert_int_equal(sonde_loop_destroy(c->loop), -EBUSY);
    end_close(pair.end);
    assert_int_equal(sonde_loop_destroy(c->loop), -EBUSY);
    pair_close(&pair);
}

/* --- stopping --------------------------------------------------------------------------------------------------- */

static unsigned n_callbacks;

static void stop_in_data(struct end *end, const struct sonde_lent *bytes)
{
    (void)bytes;
    n_callbacks++;
    DO(sonde_loop_stop(end->c->loop));
}

static void stop_in(struct end *end)
{
    n_callbacks++;
    DO(sonde_loop_stop(end->c->loop));
}

/* The callback at hand is the last of a run, and the next run goes on with what is left. */
static void stop_in_every_callback(struct contract *c)
{
    enum { CLIENTS = 12 };
    struct server server = {.model = {.on_data = stop_in_data,
                                      .on_end = stop_in,
                                      .on_failed = stop_in,
                                      .on_closed = stop_in,
                                      .on_drained = stop_in},
                            .on_accepted = stop_in};
    int raw[CLIENTS];
    unsigned n_runs = 0, n_closed = 0;

    n_callbacks = 0;
    server_open(&server, c, CLIENTS);
    for (unsigned i = 0; i < CLIENTS; i++) {
        raw[i] = raw_connect(server_port(&server));
        raw_write(raw[i], "hello");
        if (i % 3 == 0)
            raw_shutdown(raw[i]);
        else if (i % 3 == 1)
            raw_reset(raw[i]);
    }
    while (n_closed < CLIENTS) {
        n_runs++;
        contract_run(c);
        assert_int_equal(n_callbacks, n_runs);
        n_closed = 0;
        for (unsigned i = 0; i < server.n_ends; i++) {
            struct end *end = &server.ends[i];
            n_closed += end->closed;
            /* A third only says hello: it is paused and resumed before it is closed, with what it may hold back. */
            if (end->stream != NULL && !end->closing && (end->ended || end->failed || end->n_received == 5)) {
                if (!end->ended && !end->failed && n_runs % 2 == 0) {
                    DO(sonde_stream_pause(end->stream));
                    DO(sonde_stream_resume(end->stream));
                } else {
                    end_close(end);
                }
            }
        }
    }
    for (unsigned i = 0; i < CLIENTS; i++)
        if (i % 3 != 1)
            close(raw[i]);
    server_wind_up(&server);
}

int main(int argc, char **argv)
{
    static const struct contract_test tests[] = {
        CONTRACT_TEST(echo_tcp4),
        CONTRACT_TEST(echo_tcp6),
        CONTRACT_TEST(echo_unix),
        CONTRACT_TEST(echo_abstract),
        CONTRACT_TEST(half_close_accepted),
        CONTRACT_TEST(half_close_connected),
        CONTRACT_TEST(shutdown_waits_for_queue),
        CONTRACT_TEST(write_before_opened),
        CONTRACT_TEST(reset_is_told),
        CONTRACT_TEST(timeout_is_told),
        CONTRACT_TEST(close_in_callbacks),
        CONTRACT_TEST(close_in_accepted),
        CONTRACT_TEST(close_while_receiving),
        CONTRACT_TEST(close_while_sending),
        CONTRACT_TEST(close_while_connecting),
        CONTRACT_TEST(close_another_stream),
        CONTRACT_TEST(abort_resets_the_peer),
        CONTRACT_TEST(no_handler_is_a_reset),
        CONTRACT_TEST(who_and_where),
        CONTRACT_TEST(loop_is_busy_until_closed),
        CONTRACT_TEST(stop_in_every_callback),
    };
    return contract_main(argc, argv, tests, sizeof tests / sizeof *tests);
}
