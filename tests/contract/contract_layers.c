/* SPDX-License-Identifier: MIT */
/* What holds for every stream with layers: who waits for whom, and how much is kept meanwhile. */
#include "ends.h"
#include "net/layers_internal.h"

#include <sonde/tls.h>
#include <sonde/ws.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct scene {
    struct contract *c;
    struct server server;
    struct end clients[3];
    struct sonde_tls *server_tls, *client_tls;
};

static void scene_listen(struct scene *scene, struct contract *c, const char *address, unsigned flags)
{
    struct sonde_tls_options options = {.size = sizeof options, .server = 1};

    scene->c = c;
    assert_int_equal(sonde_tls_create(&options, &scene->server_tls, NULL), 0);
    options = (struct sonde_tls_options){.size = sizeof options, .pin = sonde_tls_fingerprint(scene->server_tls)};
    assert_int_equal(sonde_tls_create(&options, &scene->client_tls, NULL), 0);
    const struct sonde_listen_options listening = {.size = sizeof listening, .flags = flags, .tls = scene->server_tls};
    server_open_at(&scene->server, c, 8, &listening, address);
}

static struct end *scene_connect(struct scene *scene, unsigned i)
{
    const struct sonde_connect_options options = {.size = sizeof options, .tls = scene->client_tls};
    struct sonde_url url = server_url(&scene->server);
    struct end *client = &scene->clients[i];

    client->c = scene->c;
    assert_int_equal(CALL(sonde_connect(scene->c->loop, &url, &options, &end_handler, client, &client->stream, NULL)),
                     0);
    return client;
}

static void scene_close(struct scene *scene)
{
    for (unsigned i = 0; i < sizeof scene->clients / sizeof *scene->clients; i++)
        if (scene->clients[i].stream != NULL)
            DO(sonde_stream_close(scene->clients[i].stream));
    server_wind_up(&scene->server);
    sonde_tls_free(scene->server_tls);
    sonde_tls_free(scene->client_tls);
}

static void pause_the_listener(struct end *end)
{
    DO(sonde_listener_pause(sonde_stream_listener(end->stream)));
}

/* Writes as long as something is taken; how much that was. */
static size_t write_until_full(struct end *end, size_t most_bytes)
{
    static const unsigned char bytes[16 * 1024];
    size_t n = 0;

    while (n < most_bytes && CALL(sonde_stream_write(end->stream, bytes, sizeof bytes)) == 0)
        n += sizeof bytes;
    return n;
}

/* Turns until nothing is written any more, or more than so much was. */
static size_t push(struct scene *scene, struct end *end, size_t most_bytes)
{
    size_t n_before = 1, n = 0;

    while (n != n_before && n < most_bytes) {
        n_before = n;
        for (unsigned i = 0; i < 20; i++) {
            n += write_until_full(end, most_bytes - n);
            some_turns(scene->c);
        }
    }
    return n;
}

#define MUCH (24u * 1024 * 1024)
#define BUFFERS "?sndbuf=65536&rcvbuf=65536"

/* A client that was not taken yet, because the listener has paused, can't make us keep all that it sends. */
static void ready_and_flooding(struct contract *c)
{
    struct scene scene = {.server.on_accepted = pause_the_listener};

    scene_listen(&scene, c, "tls://127.0.0.1:0" BUFFERS, 0);
    scene_connect(&scene, 0);
    until(c, scene.clients[0].opened && scene.server.n_ends == 1);
    DO(sonde_listener_resume(scene.server.listener));
    struct end *early = scene_connect(&scene, 1), *client = scene_connect(&scene, 2);
    until(c, early->opened && client->opened && scene.server.n_ends == 2);
    assert_true(push(&scene, early, MUCH) < MUCH || push(&scene, client, MUCH) < MUCH);
    size_t n_bytes = c->memory.n_bytes;
    assert_true(n_bytes < MUCH / 2);
    assert_int_equal(scene.server.n_refused, 0);

    scene.server.on_accepted = NULL;
    DO(sonde_listener_resume(scene.server.listener));
    until(c, scene.server.n_ends == 3);
    until(c, sonde_stream_queued_bytes(early->stream) == 0 && sonde_stream_queued_bytes(client->stream) == 0);
    scene_close(&scene);
}

/* The same of a client's stream that was paused before it opened. */
static void paused_before_open(struct contract *c)
{
    struct scene scene = {0};

    scene_listen(&scene, c, "tls://127.0.0.1:0" BUFFERS, 0);
    struct end *client = scene_connect(&scene, 0);
    DO(sonde_stream_pause(client->stream));
    until(c, client->opened && scene.server.n_ends == 1);
    assert_true(push(&scene, &scene.server.ends[0], MUCH) < MUCH);
    assert_true(c->memory.n_bytes < MUCH / 2);
    DO(sonde_stream_resume(client->stream));
    until(c, sonde_stream_queued_bytes(scene.server.ends[0].stream) == 0);
    scene_close(&scene);
}

/* Let the handshakes' time be over. How many had one. */
static unsigned hasten(const struct contract *c)
{
    struct sonde_stream *stream;
    unsigned n = 0;

    TAILQ_FOREACH(stream, &loop_net(c->loop)->streams, link)
    {
        if (stream->layers == NULL || !sonde_timer_is_running(&stream->layers->timer))
            continue;
        sonde_timer_start_in(&stream->layers->timer, 0);
        n++;
    }
    return n;
}

/* Whoever has shaken hands in time is taken, however long that takes; whoever has not is not. */
static void ready_in_time(struct contract *c)
{
    struct scene scene = {.server.on_accepted = pause_the_listener};

    scene_listen(&scene, c, "tls://127.0.0.1:0", 0);
    struct end *first = scene_connect(&scene, 0), *second = scene_connect(&scene, 1);
    int silent = raw_connect(server_port(&scene.server));
    until(c, first->opened && second->opened && scene.server.n_ends == 1);
    some_turns(c);
    assert_int_equal(hasten(c), 1);
    until(c, scene.server.n_refused == 1);
    assert_int_equal(scene.server.refusal, -ETIMEDOUT);
    assert_string_equal(second->story, "o");
    DO(sonde_listener_resume(scene.server.listener));
    until(c, scene.server.n_ends == 2);
    assert_int_equal(scene.server.n_refused, 1);
    raw_close(silent);
    scene_close(&scene);
}

/* One by one are those who are done; who says nothing, or not all, keeps nobody waiting. */
static void one_by_one(struct contract *c)
{
    struct scene scene = {.server.on_accepted = pause_the_listener};
    struct scene *s = &scene;

    scene_listen(s, c, "tls://127.0.0.1:0", SONDE_LISTEN_ONE_BY_ONE);
    int silent = raw_connect(server_port(&s->server)), slow = raw_connect(server_port(&s->server));
    raw_write(slow, "\x16\x03\x01");
    some_turns(c);
    for (unsigned i = 0; i < 3; i++)
        scene_connect(s, i);
    for (unsigned i = 1; i <= 3; i++) {
        until(c, s->server.n_ends == i);
        some_turns(c);
        assert_int_equal(s->server.n_ends, i);
        DO(sonde_listener_resume(s->server.listener));
    }
    assert_int_equal(s->server.n_refused, 0);
    raw_close(silent);
    raw_close(slow);
    scene_close(s);
}

/* --- the end ---------------------------------------------------------------------------------------------------- */

static void shut_the_socket(struct end *end)
{
    int fd = end_borrow_fd(end);

    assert_int_equal(shutdown(fd, SHUT_WR), 0);
    end_return_fd(end, fd);
}

/* The peer's Close frame is the end: that TLS did not end as well cuts nothing off. Without it, it does. */
static void end_within_tls(struct contract *c)
{
    for (int says_close = 0; says_close < 2; says_close++) {
        struct scene scene = {0};
        scene_listen(&scene, c, "wss://127.0.0.1:0", 0);
        struct end *client = scene_connect(&scene, 0);
        client->on_end = end_close;
        client->on_failed = end_close;
        until(c, client->opened && scene.server.n_ends == 1);
        struct end *server = &scene.server.ends[0];
        DO(sonde_stream_pause(server->stream)); /* what the client answers is not for it */
        if (says_close)
            assert_int_equal(CALL(sonde_ws_close(server->stream, 1000, "bye", 3)), 0);
        until(c, sonde_stream_queued_bytes(server->stream) == 0);
        shut_the_socket(server);
        until(c, client->closed);
        assert_string_equal(client->story, says_close ? "oec" : "ofc");
        assert_int_equal(client->error, says_close ? 0 : -SONDE_ETRUNCATED);
        scene_close(&scene);
    }
}

/* The end has come and waits; then sending finds that nobody is there any more. It is told as without layers, and a
 * stream that is finished does not wait for what can't come. */
static void gone_behind_its_end(struct contract *c)
{
    struct scene scene = {.server.model.on_end = end_close};

    scene_listen(&scene, c, "tls://127.0.0.1:0", 0);
    struct end *client = scene_connect(&scene, 0);
    client->on_end = end_finish;
    client->on_failed = end_close;
    until(c, client->opened && scene.server.n_ends == 1);
    struct end *server = &scene.server.ends[0];
    DO(sonde_stream_pause(client->stream));
    DO(sonde_stream_shutdown(server->stream));
    until(c, sonde_stream_queued_bytes(server->stream) == 0);
    some_turns(c);
    DO(sonde_stream_close(server->stream));
    until(c, server->closed);
    some_turns(c);
    for (unsigned i = 0; i < 100 && CALL(sonde_stream_write(client->stream, "?", 1)) == 0; i++)
        some_turns(c);
    DO(sonde_stream_resume(client->stream));
    until(c, client->closed);
    assert_string_equal(client->story, "ofc");
    assert_int_equal(client->error, -ECONNRESET);
    scene_close(&scene);
}

int main(int argc, char **argv)
{
    static const struct contract_test tests[] = {
        CONTRACT_TEST(ready_and_flooding), CONTRACT_TEST(paused_before_open), CONTRACT_TEST(ready_in_time),
        CONTRACT_TEST(one_by_one),         CONTRACT_TEST(end_within_tls),     CONTRACT_TEST(gone_behind_its_end),
    };

    return contract_main(argc, argv, tests, sizeof tests / sizeof *tests);
}
