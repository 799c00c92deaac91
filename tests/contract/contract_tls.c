/* SPDX-License-Identifier: MIT */
/* TLS between two streams, and between a stream and what speaks something else. */
#include "ends.h"

#include <sonde/tls.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BIG (3u * 1000 * 1000)

/* A server whose certificate is made up, and a client that knows it; or does not. */
struct scene {
    struct contract *c;
    struct server server;
    struct end client;
    struct sonde_tls *server_tls, *client_tls;
    struct sonde_timer timer;
};

static void trust(struct scene *scene, bool pinned)
{
    struct sonde_tls_options options = {.size = sizeof options, .server = 1};

    assert_int_equal(sonde_tls_create(&options, &scene->server_tls, NULL), 0);
    options = (struct sonde_tls_options){.size = sizeof options,
                                         .pin = pinned ? sonde_tls_fingerprint(scene->server_tls) : NULL};
    assert_int_equal(sonde_tls_create(&options, &scene->client_tls, NULL), 0);
}

static void scene_listen(struct scene *scene, struct contract *c, const char *address)
{
    scene->c = c;
    if (scene->server_tls == NULL)
        trust(scene, true);
    const struct sonde_listen_options options = {.size = sizeof options, .tls = scene->server_tls};
    server_open_at(&scene->server, c, 8, &options, address);
}

static void scene_connect_to(struct scene *scene, const struct sonde_url *url)
{
    const struct sonde_connect_options options = {.size = sizeof options, .tls = scene->client_tls};
    struct sonde_why why;

    scene->client.c = scene->c;
    int error =
        CALL(sonde_connect(scene->c->loop, url, &options, &end_handler, &scene->client, &scene->client.stream, &why));
    if (error < 0)
        fail_msg("connect: %s: %s %s", sonde_strerror(error), why.subject, why.detail);
}

static void scene_connect(struct scene *scene)
{
    struct sonde_url url = server_url(&scene->server);

    scene_connect_to(scene, &url);
}

static void scene_open(struct scene *scene, struct contract *c, const char *address)
{
    scene_listen(scene, c, address);
    scene_connect(scene);
    until(c, scene->client.opened && scene->server.n_ends == 1);
}

static void scene_close(struct scene *scene)
{
    if (scene->client.stream != NULL)
        DO(sonde_stream_close(scene->client.stream));
    if (scene->server.ends != NULL)
        server_wind_up(&scene->server);
    contract_run(scene->c);
    sonde_tls_free(scene->server_tls);
    sonde_tls_free(scene->client_tls);
}

/* --- the good way ----------------------------------------------------------------------------------------------- */

static void talk(struct contract *c)
{
    const char *const addresses[] = {"tls://127.0.0.1:0", "tls://[::1]:0", NULL};

    for (int i = 0; i < 3; i++) {
        struct scene scene = {.server.model = {.on_data = end_echo, .on_end = end_finish}, .client.on_end = end_close};
        char path[160];
        snprintf(path, sizeof path, "tls+unix:%s", contract_path());
        scene_open(&scene, c, addresses[i] != NULL ? addresses[i] : path);
        struct end *server = &scene.server.ends[0];
        struct sonde_tls_info info;
        assert_int_equal(sonde_stream_tls_info(scene.client.stream, &info), 0);
        assert_string_equal(info.version, "TLSv1.3");
        assert_string_equal(info.fingerprint, sonde_tls_fingerprint(scene.server_tls));
        assert_int_equal(info.verified, 1);
        assert_true(info.handshake_ns > 0);
        assert_int_equal(sonde_stream_tls_info(server->stream, &info), 0);
        assert_string_equal(info.subject, "");
        assert_int_equal(sonde_stream_layers(scene.client.stream), SONDE_LAYER_TLS);
        assert_int_equal(sonde_stream_layers(server->stream), SONDE_LAYER_TLS);
        assert_int_equal(CALL(sonde_stream_write(scene.client.stream, "hello", 5)), 0);
        until(c, scene.client.n_received == 5);
        assert_string_equal(scene.client.text, "hello");
        assert_int_equal(sonde_stream_sent_bytes(scene.client.stream), 5);
        assert_true(sonde_stream_wire_sent_bytes(scene.client.stream) > 200);
        DO(sonde_stream_shutdown(scene.client.stream));
        until(c, scene.client.closed && server->closed);
        assert_string_equal(scene.client.story, "odec");
        assert_string_equal(server->story, "dec");
        scene_close(&scene);
    }
}

/* What is written, and the end, before it has opened. */
static void early(struct contract *c)
{
    struct scene scene = {.server.model = {.on_data = end_echo, .on_end = end_finish}, .client.on_end = end_close};

    scene_listen(&scene, c, "tls://127.0.0.1:0");
    scene_connect(&scene);
    scene.client.checked = true;
    assert_int_equal(end_write(&scene.client, 100 * 1000), 0);
    assert_int_equal(end_write(&scene.client, 7), 0);
    DO(sonde_stream_shutdown(scene.client.stream));
    until(c, scene.client.closed && scene.server.n_ends == 1 && scene.server.ends[0].closed);
    assert_string_equal(scene.client.story, "odec");
    assert_int_equal(scene.client.n_received, 100 * 1000 + 7);
    scene_close(&scene);
}

/* What uses a context keeps it. */
static void context_goes_first(struct contract *c)
{
    struct scene scene = {.server.model = {.on_data = end_echo, .on_end = end_finish}, .client.on_end = end_close};

    scene_open(&scene, c, "tls://127.0.0.1:0");
    sonde_tls_free(scene.client_tls);
    scene.client_tls = NULL;
    assert_int_equal(end_write(&scene.client, 1000), 0);
    DO(sonde_stream_shutdown(scene.client.stream));
    until(c, scene.client.closed);
    assert_int_equal(scene.client.n_received, 1000);
    scene_close(&scene);
}

/* No context at all: a client trusts whom the system trusts, a listener makes its own certificate. */
static void no_context(struct contract *c)
{
    struct server server = {.model.on_end = end_close};
    struct end client = {.on_failed = end_close};

    server_open_at(&server, c, 1, NULL, "tls://127.0.0.1:0");
    struct sonde_url url = server_url(&server);
    end_connect(&client, c, &url);
    until(c, client.closed);
    assert_string_equal(client.story, "fc");
    assert_int_equal(client.error, -SONDE_ECERT);
    server_wind_up(&server);
}

/* --- much, and pauses ------------------------------------------------------------------------------------------- */

static void write_more(struct end *end)
{
    while (end->n_written < BIG) {
        size_t n = BIG - end->n_written < 70001 ? BIG - end->n_written : 70001;
        int error = end_write(end, n);
        if (error == -ENOBUFS)
            return;
        assert_int_equal(error, 0);
    }
    if (end->ended)
        end_finish(end);
    else
        DO(sonde_stream_shutdown(end->stream));
}

static void finish_if_done(struct end *end)
{
    if (end->n_written == BIG)
        end_finish(end);
}

static void resume_later(struct sonde_timer *timer)
{
    struct end *end = timer->user;

    if (end->stream != NULL)
        DO(sonde_stream_resume(end->stream));
}

/* At every piece of data. */
static void pause_for_a_while(struct end *end, const struct sonde_lent *bytes)
{
    struct scene *scene = end->user;

    (void)bytes;
    scene->timer.user = end;
    DO(sonde_stream_pause(end->stream));
    sonde_timer_start_in(&scene->timer, end->n_received % 5 == 0 ? 0 : MILLISECOND / 10);
}

static void much(struct contract *c)
{
    for (int pauses = 0; pauses < 2; pauses++) {
        struct scene scene = {.client = {.on_end = finish_if_done, .on_drained = write_more, .checked = true}};
        scene.server.model = scene.client;
        sonde_timer_init(&scene.timer, c->loop, resume_later, NULL);
        scene.server.model.user = &scene;
        scene.server.model.on_data = pauses ? pause_for_a_while : NULL;
        scene_open(&scene, c, "tls://127.0.0.1:0?sndbuf=16384&rcvbuf=16384");
        struct end *server = &scene.server.ends[0];
        write_more(&scene.client);
        write_more(server);
        until(c, scene.client.closed && server->closed);
        assert_int_equal(scene.client.n_received, BIG);
        assert_int_equal(server->n_received, BIG);
        assert_string_equal(scene.client.story, "odec");
        assert_string_equal(server->story, "dec");
        sonde_timer_stop(&scene.timer);
        scene_close(&scene);
    }
}

static void pause_once(struct end *end, const struct sonde_lent *bytes)
{
    (void)bytes;
    if (end->user == NULL)
        DO(sonde_stream_pause(end->stream));
    end->user = end;
}

/* Decrypted already, or at least received, and the socket is quiet: it comes when the stream is resumed, without a
 * further byte from the peer. */
static void quiet_socket(struct contract *c)
{
    for (size_t n = 10; n <= 100 * 1000; n *= 10) {
        struct scene scene = {.client = {.on_data = pause_once, .checked = true}};
        scene_open(&scene, c, "tls://127.0.0.1:0");
        struct end *server = &scene.server.ends[0];
        for (int i = 0; i < 3; i++)
            assert_int_equal(end_write(server, n), 0);
        until(c, sonde_stream_is_paused(scene.client.stream));
        until(c, sonde_stream_queued_bytes(server->stream) == 0);
        some_turns(c);
        uint64_t n_before = scene.client.n_received;
        some_turns(c);
        assert_int_equal(scene.client.n_received, n_before);

        DO(sonde_stream_resume(scene.client.stream));
        until(c, scene.client.n_received == 3 * n);
        scene_close(&scene);
    }
}

static void pause_at_once(struct end *end)
{
    DO(sonde_stream_pause(end->stream));
}

/* What comes with the handshake's last bytes is the owner's, and waits for it; so does the end behind it. */
static void paused_from_the_start(struct contract *c)
{
    struct scene scene = {.server = {.on_accepted = pause_at_once, .model = {.on_end = end_close}}};

    scene_listen(&scene, c, "tls://127.0.0.1:0");
    scene_connect(&scene);
    assert_int_equal(CALL(sonde_stream_write(scene.client.stream, "early", 5)), 0);
    DO(sonde_stream_shutdown(scene.client.stream));
    until(c, scene.server.n_ends == 1);
    struct end *server = &scene.server.ends[0];
    some_turns(c);
    assert_string_equal(server->story, "");
    DO(sonde_stream_resume(server->stream));
    until(c, server->closed);
    assert_string_equal(server->story, "dec");
    assert_string_equal(server->text, "early");
    scene_close(&scene);
}

static void queue_limit(struct contract *c)
{
    struct scene scene = {.server = {.on_accepted = pause_at_once}};
    unsigned char *bytes = calloc(1, SONDE_SEND_LIMIT + 1);

    scene_open(&scene, c, "tls://127.0.0.1:0");
    assert_int_equal(CALL(sonde_stream_write(scene.client.stream, bytes, SONDE_SEND_LIMIT + 1)), -ENOBUFS);
    assert_int_equal(CALL(sonde_stream_write(scene.client.stream, bytes, 10)), 0);
    until(c, sonde_stream_queued_bytes(scene.client.stream) == 0);
    free(bytes);
    scene_close(&scene);
}

/* --- ends ------------------------------------------------------------------------------------------------------- */

/* Closed without a word: what had come may not be all. */
static void truncated(struct contract *c)
{
    for (int by_client = 0; by_client < 2; by_client++) {
        struct scene scene = {.client.on_failed = end_close, .server.model.on_failed = end_close};
        scene_open(&scene, c, "tls://127.0.0.1:0");
        struct end *from = by_client ? &scene.client : &scene.server.ends[0];
        struct end *to = by_client ? &scene.server.ends[0] : &scene.client;
        assert_int_equal(end_write(from, 5), 0);
        until(c, to->n_received == 5);
        end_close(from);
        until(c, to->closed);
        assert_string_equal(to->story, by_client ? "dfc" : "odfc");
        assert_int_equal(to->error, -SONDE_ETRUNCATED);
        scene_close(&scene);
    }
}

static void aborted(struct contract *c)
{
    for (int by_client = 0; by_client < 2; by_client++) {
        struct scene scene = {.client.on_failed = end_close, .server.model.on_failed = end_close};
        scene_open(&scene, c, "tls://127.0.0.1:0");
        struct end *from = by_client ? &scene.client : &scene.server.ends[0];
        struct end *to = by_client ? &scene.server.ends[0] : &scene.client;
        end_abort(from);
        until(c, to->closed);
        assert_string_equal(to->story, by_client ? "fc" : "ofc");
        assert_int_equal(to->error, -ECONNRESET);
        scene_close(&scene);
    }
}

/* One direction ends, the other goes on for long. */
static void half_closed(struct contract *c)
{
    struct scene scene = {.client.on_end = end_close, .client.checked = true};

    scene_open(&scene, c, "tls://127.0.0.1:0");
    struct end *server = &scene.server.ends[0];
    DO(sonde_stream_shutdown(scene.client.stream));
    until(c, server->ended);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(end_write(server, 20000), 0);
        until(c, scene.client.n_received == server->n_written);
    }
    assert_int_equal(CALL(sonde_stream_write(scene.client.stream, "x", 1)), -EPIPE);
    end_finish(server);
    until(c, scene.client.closed && server->closed);
    assert_string_equal(server->story, "ec");
    assert_string_equal(scene.client.story, "odec");
    scene_close(&scene);
}

static void close_on_data(struct end *end, const struct sonde_lent *bytes)
{
    (void)bytes;
    end_close(end);
}

/* From inside of each call. */
static void closed_from_inside(struct contract *c)
{
    for (int where = 0; where < 4; where++) {
        struct scene scene = {.client.on_failed = end_close, .server.model.on_failed = end_close};
        scene.client.on_opened = where == 0 ? end_close : NULL;
        scene.server.on_accepted = where == 1 ? end_close : NULL;
        scene.client.on_data = where == 2 ? close_on_data : NULL;
        scene.server.model.on_data = where == 3 ? close_on_data : NULL;
        scene_listen(&scene, c, "tls://127.0.0.1:0");
        scene_connect(&scene);
        until(c, scene.server.n_ends == 1 && (scene.client.opened || scene.client.closed));
        for (int i = 0; i < 3; i++) {
            if (scene.client.stream != NULL && !scene.client.closing)
                (void)end_write(&scene.client, 30000);
            if (scene.server.ends[0].stream != NULL && !scene.server.ends[0].closing)
                (void)end_write(&scene.server.ends[0], 30000);
        }
        until(c, scene.client.closed && scene.server.ends[0].closed);
        scene_close(&scene);
    }
}

/* --- handshakes that fail --------------------------------------------------------------------------------------- */

static void untrusted(struct contract *c)
{
    struct scene scene = {.client.on_failed = end_close};
    struct sonde_tls_info info = {0};

    trust(&scene, false);
    scene_listen(&scene, c, "tls://127.0.0.1:0");
    scene.client.on_failed = NULL;
    scene_connect(&scene);
    until(c, scene.client.failed && scene.server.n_refused == 1);
    assert_string_equal(scene.client.story, "f");
    assert_int_equal(scene.client.error, -SONDE_ECERT);
    assert_non_null(strstr(scene.client.why.detail, "self-signed"));
    assert_int_equal(sonde_stream_tls_info(scene.client.stream, &info), 0);
    assert_string_equal(info.fingerprint, sonde_tls_fingerprint(scene.server_tls));
    assert_int_equal(scene.server.refusal, -SONDE_ETLS);
    end_close(&scene.client);
    scene_close(&scene);
}

/* A client that speaks something else: it is told (an alert), and does not become a connection. */
static void plain_client(struct contract *c)
{
    struct scene scene = {0};
    uint8_t answer[64];
    char text[512];
    int n = 0;

    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';

    scene_listen(&scene, c, "tls://127.0.0.1:0");
    int raw = raw_connect(server_port(&scene.server));
    raw_write(raw, "\x16\x03\x01\x01\x05no ClientHello");
    raw_write(raw, text);
    until(c, (n = raw_read(raw, answer, sizeof answer)) != -EAGAIN);
    assert_int_equal(n, 7);
    assert_int_equal(answer[0], 21); /* alert */
    raw_close(raw);
    until(c, scene.server.n_refused == 1);
    assert_int_equal(scene.server.refusal, -SONDE_ETLS);
    assert_int_equal(scene.server.n_ends, 0);
    scene_close(&scene);
}

static void plain_server(struct contract *c)
{
    static const char *const greetings[] = {"SSH-2.0-OpenSSH\r\n", "220 mail.example ESMTP\r\n", ""};

    for (int i = 0; i < 3; i++) {
        struct scene scene = {.c = c, .client.on_failed = end_close};
        uint16_t port;
        int listener = raw_listen(5, 0, &port);
        trust(&scene, true);
        struct sonde_url url = contract_url("tls://127.0.0.1:%u", port);
        scene_connect_to(&scene, &url);
        int raw = raw_accept(c, listener);
        raw_write(raw, greetings[i]);
        if (i == 2)
            raw_shutdown(raw);
        until(c, scene.client.failed || scene.client.closed);
        assert_int_equal(scene.client.error, -SONDE_ETLS);
        assert_non_null(strstr(scene.client.why.detail, i == 2 ? "without a word" : "speaks no TLS"));
        raw_close(raw);
        close(listener);
        until(c, scene.client.closed);
        assert_string_equal(scene.client.story, "fc");
        scene_close(&scene);
    }
}

/* Goes away before it has said all. */
static void gone_early(struct contract *c)
{
    for (int how = 0; how < 3; how++) {
        struct scene scene = {0};
        scene_listen(&scene, c, "tls://127.0.0.1:0");
        int raw = raw_connect(server_port(&scene.server));
        if (how > 0)
            raw_write(raw, "\x16\x03\x01\x01\x20");
        some_turns(c);
        if (how == 2)
            raw_reset(raw);
        else
            raw_close(raw);
        until(c, scene.server.n_refused == 1);
        assert_int_equal(scene.server.refusal, how == 2 ? -ECONNRESET : -ENODATA);
        scene_close(&scene);
    }
}

/* A slow one holds up nobody. */
static void slow_client(struct contract *c)
{
    struct scene scene = {.server.model = {.on_data = end_echo, .on_end = end_finish}, .client.on_end = end_close};

    scene_listen(&scene, c, "tls://127.0.0.1:0");
    int slow = raw_connect(server_port(&scene.server));
    raw_write(slow, "\x16\x03\x01");
    some_turns(c);
    scene_connect(&scene);
    until(c, scene.client.opened);
    assert_int_equal(CALL(sonde_stream_write(scene.client.stream, "hello", 5)), 0);
    until(c, scene.client.n_received == 5);
    assert_int_equal(scene.server.n_ends, 1);
    raw_close(slow);
    scene_close(&scene);
}

/* However little comes and goes at a time. */
static void in_drops(struct contract *c)
{
    static const size_t drops[] = {1, 2, 7, 100};

    if (!c->scripted)
        return;
    for (size_t i = 0; i < sizeof drops / sizeof *drops; i++) {
        struct scene scene = {.server.model = {.on_data = end_echo, .on_end = end_finish}, .client.on_end = end_close};
        c->script.receive_bytes = drops[i];
        c->script.send_bytes = 3 * drops[i];
        c->script.stutter = true;
        scene_open(&scene, c, "tls://127.0.0.1:0");
        scene.client.checked = true;
        assert_int_equal(end_write(&scene.client, 5000), 0);
        DO(sonde_stream_shutdown(scene.client.stream));
        until(c, scene.client.closed && scene.server.ends[0].closed);
        assert_int_equal(scene.client.n_received, 5000);
        assert_string_equal(scene.client.story, "odec");
        scene_close(&scene);
        c->script.receive_bytes = c->script.send_bytes = 0;
        c->script.stutter = false;
    }
}

/* --- faults ----------------------------------------------------------------------------------------------------- */

struct faulty {
    struct contract *c;
    struct sonde_tls *server_tls, *client_tls;
    struct sonde_listener *listener;
    struct end client, server;
    bool was_accepted;
    int error;
};

static void close_listener(struct faulty *faulty)
{
    if (faulty->listener != NULL)
        DO(sonde_listener_close(faulty->listener));
}

static void close_client(struct faulty *faulty)
{
    if (faulty->client.stream != NULL && !faulty->client.closing)
        end_close(&faulty->client);
}

static void end_faulty(struct end *end)
{
    struct faulty *faulty = end->user;

    if (end->failed)
        faulty->error = end->error;
    end_close(end);
    close_listener(faulty);
}

static void answer(struct end *end, const struct sonde_lent *bytes)
{
    struct faulty *faulty = end->user;

    int error = CALL(sonde_stream_forward(end->stream, bytes));
    if (error < 0 && !end->closing) {
        faulty->error = error;
        end_close(end);
    } else if (end->n_received < 30000) {
        DO(sonde_stream_pause(end->stream));
        DO(sonde_stream_resume(end->stream));
    }
}

static void speak(struct end *end)
{
    struct faulty *faulty = end->user;

    int error = end_write(end, 30000);
    if (error < 0) {
        faulty->error = error;
        end_close(end);
        close_listener(faulty);
    } else {
        DO(sonde_stream_shutdown(end->stream));
    }
}

static void faulty_accepted(struct sonde_listener *listener, struct sonde_stream *stream, void *owner)
{
    struct faulty *faulty = owner;

    (void)listener;
    faulty->was_accepted = true;
    faulty->server = (struct end){.c = faulty->c,
                                  .stream = stream,
                                  .on_data = answer,
                                  .on_end = end_finish,
                                  .on_failed = end_faulty,
                                  .user = faulty};
    DO(sonde_stream_set_handler(stream, &end_handler, &faulty->server));
}

static void faulty_trouble(struct sonde_listener *listener, int error, void *owner)
{
    struct faulty *faulty = owner;

    (void)listener;
    if (error == 0)
        return;
    faulty->error = error;
    if (!faulty->was_accepted) {
        close_listener(faulty);
        close_client(faulty);
    }
}

static void faulty_refused(struct sonde_listener *listener, const struct sonde_address *peer,
                           const struct sonde_why *why, void *owner)
{
    struct faulty *faulty = owner;

    (void)listener;
    (void)peer;
    faulty->error = why->code;
    close_listener(faulty);
}

static void faulty_closed(struct sonde_listener *listener, void *owner)
{
    struct faulty *faulty = owner;

    (void)listener;
    faulty->listener = NULL;
}

static const struct sonde_listener_handler faulty_handler = {
    .accepted = faulty_accepted,
    .trouble = faulty_trouble,
    .refused = faulty_refused,
    .closed = faulty_closed,
};

static int begin_faulty(struct faulty *faulty)
{
    const struct sonde_listen_options listening = {.size = sizeof listening, .tls = faulty->server_tls};
    const struct sonde_connect_options connecting = {.size = sizeof connecting, .tls = faulty->client_tls};
    struct contract *c = faulty->c;
    struct sonde_url url = contract_url("tls://127.0.0.1:0");

    int error = contract_create_loop(c, &c->script, 0, &c->loop);
    if (error < 0) {
        c->loop = NULL;
        return error;
    }
    error = CALL(sonde_listen(c->loop, &url, &listening, &faulty_handler, faulty, &faulty->listener, NULL));
    if (error < 0)
        return error;
    sonde_listener_address(faulty->listener, 0, &url);
    faulty->client = (struct end){
        .c = c, .on_opened = speak, .on_end = end_faulty, .on_failed = end_faulty, .checked = true, .user = faulty};
    error =
        CALL(sonde_connect(c->loop, &url, &connecting, &end_handler, &faulty->client, &faulty->client.stream, NULL));
    if (error < 0) {
        faulty->client.stream = NULL;
        close_listener(faulty);
    }
    return error;
}

/* A whole conversation. However it goes, it ends, and if it is not whole, somebody is told. */
static bool run_faulty(struct contract *c, struct faulty *faulty)
{
    unsigned n_fds = contract_n_fds();

    faulty->c = c;
    faulty->was_accepted = false;
    faulty->client = faulty->server = (struct end){.closed = true};
    faulty->error = begin_faulty(faulty);
    for (unsigned tries = 0; c->loop != NULL && sonde_loop_destroy(c->loop) == -EBUSY; tries++) {
        assert_true(tries < 5);
        int error = sonde_loop_run(c->loop);
        if (error < 0) {
            faulty->error = error;
            close_listener(faulty);
            close_client(faulty);
            if (faulty->server.stream != NULL && !faulty->server.closing)
                end_close(&faulty->server);
        }
    }
    c->loop = NULL;
    bool has_failed = c->memory.failed || c->script.failed_what != NULL;
    bool whole = strcmp(faulty->client.story, "odec") == 0 && faulty->client.n_received == 30000;
    if (!whole && faulty->error == 0)
        fail_msg("%s: nobody was told of the failure", c->note);
    if (!has_failed && !whole)
        fail_msg("%s: %s %s, without a fault: %d", c->note, faulty->client.story, faulty->server.story, faulty->error);
    assert_null(faulty->listener);
    assert_int_equal(c->memory.n_live, 0);
    assert_int_equal(contract_n_fds(), n_fds);
    return has_failed;
}

static void run_faults(struct contract *c, bool allocations)
{
    struct faulty faulty = {0};
    struct scene contexts = {0};
    unsigned n_failed = 0, n_clean = 0;

    assert_int_equal(sonde_loop_destroy(c->loop), 0);
    c->loop = NULL;
    trust(&contexts, true);
    faulty.server_tls = contexts.server_tls;
    faulty.client_tls = contexts.client_tls;
    for (unsigned n = 1; n_clean < 3; n++) {
        snprintf(c->note, sizeof c->note, "%s %u", allocations ? "allocation" : "operation", n);
        c->memory.n_calls = 0;
        c->memory.fail_at = allocations ? n : 0;
        c->memory.failed = false;
        c->script = (struct script){.fail_at = allocations ? 0 : n, .fail_error = -ENOMEM};
        bool failed = run_faulty(c, &faulty);
        n_failed += failed;
        n_clean = failed ? 0 : n_clean + 1;
    }
    c->memory.fail_at = 0;
    assert_true(n_failed >= 10);
    sonde_tls_free(contexts.server_tls);
    sonde_tls_free(contexts.client_tls);
}

static void every_allocation(struct contract *c)
{
    run_faults(c, true);
}

static void every_operation(struct contract *c)
{
    if (c->scripted)
        run_faults(c, false);
}

int main(int argc, char **argv)
{
    static const struct contract_test tests[] = {
        CONTRACT_TEST(talk),
        CONTRACT_TEST(early),
        CONTRACT_TEST(context_goes_first),
        CONTRACT_TEST(no_context),
        CONTRACT_TEST(much),
        CONTRACT_TEST(quiet_socket),
        CONTRACT_TEST(paused_from_the_start),
        CONTRACT_TEST(queue_limit),
        CONTRACT_TEST(truncated),
        CONTRACT_TEST(aborted),
        CONTRACT_TEST(half_closed),
        CONTRACT_TEST(closed_from_inside),
        CONTRACT_TEST(untrusted),
        CONTRACT_TEST(plain_client),
        CONTRACT_TEST(plain_server),
        CONTRACT_TEST(gone_early),
        CONTRACT_TEST(slow_client),
        CONTRACT_TEST(in_drops),
        CONTRACT_TEST(every_allocation),
        CONTRACT_TEST(every_operation),
    };
    return contract_main(argc, argv, tests, sizeof tests / sizeof *tests);
}
