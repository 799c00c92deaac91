/* SPDX-License-Identifier: MIT */
/* Several loops on several threads: they share nothing but their mailboxes. For ThreadSanitizer above all. */
#include "ends.h"
#include "names.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { N_LOOPS = 4 };

/* A loop with its thread. */
struct worker {
    struct contract c; /* of its own, so that what is made for tests works on it */
    pthread_t thread;
    int error; /* of sonde_loop_run */
    struct server server;
    struct end ends[8];
    unsigned n_messages;
    struct worker *next; /* in a ring */
    struct contract *test;
};

static void workers_create(struct contract *c, struct worker workers[])
{
    for (unsigned i = 0; i < N_LOOPS; i++) {
        struct worker *worker = &workers[i];
        memset(worker, 0, sizeof *worker);
        worker->test = c;
        worker->c.engine = c->engine;
        worker->c.kind = c->kind;
        worker->c.scripted = c->scripted;
        worker->next = &workers[(i + 1) % N_LOOPS];
        assert_int_equal(contract_create_loop(c, &worker->c.script, 64, &worker->c.loop), 0);
        sonde_loop_hold(worker->c.loop, +1);
    }
}

static void *work(void *user)
{
    struct worker *worker = user;

    worker->error = sonde_loop_run(worker->c.loop);
    return NULL;
}

static void workers_start(struct worker workers[])
{
    for (unsigned i = 0; i < N_LOOPS; i++)
        assert_int_equal(pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
}

/* From another thread: the mailbox may be full for a moment. */
static void post(struct sonde_loop *loop, void (*function)(void *user), void *user)
{
    int error;

    while ((error = sonde_loop_post(loop, function, user)) == -ENOBUFS)
        nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
    if (error != 0)
        abort();
}

static void release(void *user)
{
    struct worker *worker = user;

    sonde_loop_hold(worker->c.loop, -1);
}

/* Each thread leaves once nothing is open on its loop. */
static void workers_join(struct worker workers[])
{
    for (unsigned i = 0; i < N_LOOPS; i++)
        post(workers[i].c.loop, release, &workers[i]);
    for (unsigned i = 0; i < N_LOOPS; i++) {
        assert_int_equal(pthread_join(workers[i].thread, NULL), 0);
        assert_int_equal(workers[i].error, 0);
    }
}

static void workers_destroy(struct worker workers[])
{
    for (unsigned i = 0; i < N_LOOPS; i++)
        assert_int_equal(sonde_loop_destroy(workers[i].c.loop), 0);
}

/* --- mailboxes -------------------------------------------------------------------------------------------------- */

enum { N_POSTS = 1500 };

struct poster {
    pthread_t thread;
    struct worker *workers;
};

static void count(void *user)
{
    struct worker *worker = user;

    worker->n_messages++; /* on the loop's thread only */
}

static void *post_to_all(void *user)
{
    struct poster *poster = user;

    for (unsigned i = 0; i < N_POSTS; i++)
        for (unsigned k = 0; k < N_LOOPS; k++)
            post(poster->workers[k].c.loop, count, &poster->workers[k]);
    return NULL;
}

static void everybody_posts_to_everybody(struct contract *c)
{
    struct worker workers[N_LOOPS];
    struct poster posters[4];

    workers_create(c, workers);
    workers_start(workers);
    for (unsigned i = 0; i < 4; i++) {
        posters[i].workers = workers;
        assert_int_equal(pthread_create(&posters[i].thread, NULL, post_to_all, &posters[i]), 0);
    }
    for (unsigned i = 0; i < 4; i++)
        pthread_join(posters[i].thread, NULL);
    workers_join(workers);
    for (unsigned i = 0; i < N_LOOPS; i++)
        assert_int_equal(workers[i].n_messages, 4 * N_POSTS);
    workers_destroy(workers);
}

/* A message that goes round: each loop wakes the next. */
struct token {
    struct worker *at;
    unsigned n_left;
    atomic_bool done;
};

static void pass_on(void *user)
{
    struct token *token = user;

    if (--token->n_left == 0) {
        token->done = true;
        return;
    }
    token->at = token->at->next;
    post(token->at->c.loop, pass_on, token);
}

static void token_ring(struct contract *c)
{
    struct worker workers[N_LOOPS];
    struct token tokens[3];

    workers_create(c, workers);
    workers_start(workers);
    for (unsigned i = 0; i < 3; i++) {
        tokens[i].at = &workers[i];
        tokens[i].n_left = 3000;
        tokens[i].done = false;
        post(workers[i].c.loop, pass_on, &tokens[i]);
    }
    for (unsigned i = 0; i < 3; i++)
        until(c, tokens[i].done);
    workers_join(workers);
    workers_destroy(workers);
}

/* --- one port ---------------------------------------------------------------------------------------------------- */

static void close_server(void *user)
{
    struct worker *worker = user;

    sonde_listener_close(worker->server.listener);
    for (unsigned i = 0; i < worker->server.n_ends; i++)
        if (worker->server.ends[i].stream != NULL)
            sonde_stream_close(worker->server.ends[i].stream);
}

static void one_port_many_loops(struct contract *c)
{
    enum { CLIENTS = 128 };
    struct worker workers[N_LOOPS];
    struct sonde_listen_options options = {.size = sizeof options, .flags = SONDE_LISTEN_SHARED};
    char text[64] = "tcp://127.0.0.1:0";
    int raw[CLIENTS];

    workers_create(c, workers);
    for (unsigned i = 0; i < N_LOOPS; i++) {
        workers[i].server.model.on_data = end_echo;
        server_open_at(&workers[i].server, &workers[i].c, CLIENTS, &options, text);
        /* The first has the port, the others join. */
        options.flags = SONDE_LISTEN_JOIN;
        snprintf(text, sizeof text, "tcp://127.0.0.1:%u", server_port(&workers[i].server));
    }
    workers_start(workers);
    for (unsigned i = 0; i < CLIENTS; i++) {
        raw[i] = raw_connect(server_port(&workers[0].server));
        raw_write(raw[i], "x");
    }
    for (unsigned i = 0; i < CLIENTS; i++) {
        char byte = '\0';
        until(c, raw_read(raw[i], &byte, 1) == 1);
        assert_int_equal(byte, 'x');
    }
    for (unsigned i = 0; i < N_LOOPS; i++)
        post(workers[i].c.loop, close_server, &workers[i]);
    workers_join(workers);
    unsigned n_served = 0;
    for (unsigned i = 0; i < N_LOOPS; i++) {
        assert_true(workers[i].server.closed);
        assert_true(workers[i].server.n_ends > 0); /* the kernel spreads them */
        n_served += workers[i].server.n_ends;
        free(workers[i].server.ends);
    }
    assert_int_equal(n_served, CLIENTS);
    workers_destroy(workers);
    for (unsigned i = 0; i < CLIENTS; i++)
        close(raw[i]);
}

/* Alone on the port until it is opened, and again when it is closed. */
static void a_shared_port_is_taken(struct contract *c)
{
    const struct sonde_listen_options shared = {.size = sizeof shared, .flags = SONDE_LISTEN_SHARED};
    const struct sonde_listen_options join = {.size = sizeof join, .flags = SONDE_LISTEN_JOIN};
    struct server server = {0}, second = {0};
    struct sonde_listener *listener;
    char text[64];

    server_open_at(&server, c, 1, &shared, "tcp://:0");
    snprintf(text, sizeof text, "tcp://:%u", server_port(&server));
    struct sonde_url url = contract_url("%s", text);
    assert_int_equal(CALL(sonde_listen(c->loop, &url, &shared, &server_handler, NULL, &listener, NULL)), -EADDRINUSE);
    assert_int_equal(CALL(sonde_listen(c->loop, &url, NULL, &server_handler, NULL, &listener, NULL)), -EADDRINUSE);
    server_open_at(&second, c, 1, &join, text);
    assert_int_equal(sonde_listener_count(second.listener), sonde_listener_count(server.listener));
    DO(sonde_listener_close(second.listener));
    until(c, second.closed);
    server_wind_up(&server);
    server_wind_up(&second);
}

/* --- look-ups ---------------------------------------------------------------------------------------------------- */

static void look_up_all(void *user)
{
    struct worker *worker = user;
    struct sonde_url url = contract_url("tcp://slow.test:7");

    for (unsigned i = 0; i < 8; i++)
        end_connect(&worker->ends[i], &worker->c, &url);
}

static void cancel_some(void *user)
{
    struct worker *worker = user;

    for (unsigned i = 0; i < 8; i++)
        if (i % 2 == 0 && worker->ends[i].stream != NULL)
            end_close(&worker->ends[i]);
}

static void cancel_the_rest(void *user)
{
    struct worker *worker = user;

    for (unsigned i = 0; i < 8; i++)
        if (worker->ends[i].stream != NULL && !worker->ends[i].closing)
            end_close(&worker->ends[i]);
}

static void cancelled_look_ups(struct contract *c)
{
    for (unsigned round = 0; round < 5; round++) {
        struct worker workers[N_LOOPS];
        workers_create(c, workers);
        workers_start(workers);
        if (round % 2 == 0)
            names_hold();
        for (unsigned i = 0; i < N_LOOPS; i++)
            post(workers[i].c.loop, look_up_all, &workers[i]);
        for (unsigned i = 0; i < N_LOOPS; i++)
            post(workers[i].c.loop, cancel_some, &workers[i]);
        names_release(); /* while they are being cancelled */
        for (unsigned i = 0; i < N_LOOPS; i++)
            post(workers[i].c.loop, cancel_the_rest, &workers[i]);
        workers_join(workers);
        for (unsigned i = 0; i < N_LOOPS; i++)
            for (unsigned k = 0; k < 8; k++)
                assert_true(workers[i].ends[k].closed);
        workers_destroy(workers);
    }
}

/* --- threads that come and go ------------------------------------------------------------------------------------ */

/* A loop is destroyed on another thread than it ran on, which has a loop of its own: that one goes on. */
static void destroyed_elsewhere(struct contract *c)
{
    struct worker workers[N_LOOPS];
    struct server server = {.model = {.on_data = end_echo, .on_end = end_finish}};
    struct end client = {.checked = true};

    server_open(&server, c, 1);
    struct sonde_url url = server_url(&server);
    end_connect(&client, c, &url);
    until(c, client.opened);
    workers_create(c, workers);
    workers_start(workers);
    workers_join(workers);
    for (unsigned i = 0; i < N_LOOPS; i++) {
        assert_int_equal(sonde_loop_destroy(workers[i].c.loop), 0);
        assert_int_equal(end_write(&client, 1000), 0);
        until(c, client.n_received == client.n_written);
    }
    end_finish(&client);
    until(c, client.closed);
    server_wind_up(&server);
}

static void *live_and_die(void *user)
{
    struct worker *worker = user;
    struct contract *c = &worker->c;
    struct server server = {.model = {.on_data = end_echo, .on_end = end_finish}};
    struct end client = {.checked = true, .on_end = NULL};

    for (unsigned i = 0; i < 10; i++) {
        server = (struct server){.model = {.on_data = end_echo, .on_end = end_finish}};
        client = (struct end){.checked = true};
        if (contract_create_loop(worker->test, &c->script, 0, &c->loop) != 0)
            abort();
        server_open(&server, c, 1);
        struct sonde_url url = server_url(&server);
        end_connect(&client, c, &url);
        until(c, client.opened);
        if (end_write(&client, 50000) != 0)
            abort();
        until(c, client.n_received == 50000);
        end_finish(&client);
        until(c, client.closed);
        server_wind_up(&server);
        if (sonde_loop_destroy(c->loop) != 0)
            abort();
    }
    return NULL;
}

/* Loops made, used and destroyed on many threads at once. */
static void loops_come_and_go(struct contract *c)
{
    struct worker workers[N_LOOPS];

#ifdef __SANITIZE_THREAD__
    /* liburing maps its rings without the C library: a sanitizer takes a new ring for the old one that stood there. */
    if (c->kind == SONDE_ENGINE_URING)
        return;
#endif
    for (unsigned i = 0; i < N_LOOPS; i++) {
        memset(&workers[i], 0, sizeof workers[i]);
        workers[i].test = c;
        workers[i].c.engine = c->engine;
        workers[i].c.kind = c->kind;
        workers[i].c.scripted = c->scripted;
        assert_int_equal(pthread_create(&workers[i].thread, NULL, live_and_die, &workers[i]), 0);
    }
    for (unsigned i = 0; i < N_LOOPS; i++)
        pthread_join(workers[i].thread, NULL);
}

int main(int argc, char **argv)
{
    static const struct contract_test tests[] = {
        CONTRACT_TEST(everybody_posts_to_everybody),
        CONTRACT_TEST(token_ring),
        CONTRACT_TEST(one_port_many_loops),
        CONTRACT_TEST(a_shared_port_is_taken),
        CONTRACT_TEST(cancelled_look_ups),
        CONTRACT_TEST(destroyed_elsewhere),
        CONTRACT_TEST(loops_come_and_go),
    };
    return contract_main(argc, argv, tests, sizeof tests / sizeof *tests);
}
