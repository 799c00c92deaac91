/* SPDX-License-Identifier: MIT */
/* A page on its own thread; and on the test's thread a loop with streams that it shows, and browsers that look on. */
#ifndef TESTS_PAGE_SCENE_H
#define TESTS_PAGE_SCENE_H

#include "page/assets.h"
#include "page/page_internal.h"

#include <errno.h>
#include <jansson.h>
#include <netinet/in.h>
#include <sonde/sonde.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define PATIENCE_NS (20 * INT64_C(1000000000))
#define CLIENTS_MAX 24

static const struct page_asset scene_assets[] = {
    {"/", "text/html; charset=utf-8", (const unsigned char *)"<!doctype html>", 15},
    {"/page.js", "text/javascript; charset=utf-8", (const unsigned char *)"'use strict';", 13},
    {NULL, NULL, NULL, 0},
};

struct client {
    struct scene *scene;
    struct sonde_stream *stream; /* NULL: it is over */
    json_t *heard;               /* all messages */
    size_t n_answered;           /* of them, those that `answer` has passed over */
    unsigned close_code;
    bool is_open;
};

/* A stream that the page shows: this end of a socket pair. */
struct shown {
    struct scene *scene;
    struct sonde_stream *stream; /* NULL: closed */
    int peer;                    /* the other end */
    uint64_t row;
    unsigned n_kicked, n_half_closed;
    bool refuses;
};

struct scene {
    struct page *page;
    struct sonde_loop *loop;
    struct sonde_timer timer;
    struct page_loop *page_loop;
    struct client clients[CLIENTS_MAX];
    unsigned n_clients;
};

static inline int64_t scene_now(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

static inline void scene_stop(struct sonde_timer *timer)
{
    sonde_loop_stop(timer->loop);
}

static inline void scene_turn(struct scene *scene)
{
    sonde_timer_start_in(&scene->timer, 2000000);
    assert_int_equal(sonde_loop_run(scene->loop), 0);
}

#define UNTIL(scene, condition)                                                                                        \
    do {                                                                                                               \
        for (int64_t until_ns_ = scene_now() + PATIENCE_NS; !(condition);) {                                           \
            assert_true(scene_now() < until_ns_);                                                                      \
            scene_turn(scene);                                                                                         \
        }                                                                                                              \
    } while (0)

/* --- browsers ----------------------------------------------------------------------------------------------------- */

static inline void client_opened(struct sonde_stream *stream)
{
    ((struct client *)sonde_stream_owner(stream))->is_open = true;
}

static inline void client_data(struct sonde_stream *stream, const struct sonde_lent *bytes)
{
    struct client *client = sonde_stream_owner(stream);
    json_t *message = json_loadb((const char *)bytes->data, bytes->n_bytes, JSON_REJECT_DUPLICATES, NULL);

    assert_non_null(message); /* whatever comes is JSON */
    assert_true(bytes->flags & SONDE_TEXT);
    assert_non_null(json_string_value(json_object_get(message, "kind")));
    json_array_append_new(client->heard, message);
}

static inline void client_notice(struct sonde_stream *stream, const struct sonde_notice *notice)
{
    if (notice->kind == SONDE_NOTICE_CLOSE)
        ((struct client *)sonde_stream_owner(stream))->close_code = (unsigned)notice->code;
}

static inline void client_failed(struct sonde_stream *stream, int error)
{
    (void)error;
    sonde_stream_close(stream);
}

static inline void client_closed(struct sonde_stream *stream)
{
    ((struct client *)sonde_stream_owner(stream))->stream = NULL;
}

static inline struct client *client_connect(struct scene *scene, const char *path)
{
    static const struct sonde_stream_handler handler = {
        .opened = client_opened,
        .data = client_data,
        .notice = client_notice,
        .failed = client_failed,
        .closed = client_closed,
    };
    struct client *client = &scene->clients[scene->n_clients++];
    struct sonde_url url;
    char text[PAGE_URL_MAX];

    assert_true(scene->n_clients <= CLIENTS_MAX);
    *client = (struct client){.scene = scene, .heard = json_array()};
    snprintf(text, sizeof text, "ws%s%s", page_origin(scene->page) + strlen("http"), path);
    assert_int_equal(sonde_url_parse(text, &url, NULL), 0);
    assert_int_equal(sonde_connect(scene->loop, &url, NULL, &handler, client, &client->stream, NULL), 0);
    UNTIL(scene, client->is_open || client->stream == NULL);
    return client;
}

static inline void client_say(struct client *client, const char *text)
{
    assert_non_null(client->stream);
    assert_int_equal(sonde_stream_send(client->stream, text, strlen(text), SONDE_TEXT), 0);
}

/* The next message of this kind that was not passed over; NULL: it has not come. Borrowed. */
static inline json_t *client_next(struct client *client, const char *kind)
{
    while (client->n_answered < json_array_size(client->heard)) {
        json_t *message = json_array_get(client->heard, client->n_answered++);
        if (strcmp(json_string_value(json_object_get(message, "kind")), kind) == 0)
            return message;
    }
    return NULL;
}

static inline json_t *client_wait(struct client *client, const char *kind)
{
    json_t *message = NULL;

    UNTIL(client->scene, (message = client_next(client, kind)) != NULL);
    return message;
}

static inline struct client *client_known(struct scene *scene)
{
    struct client *client = client_connect(scene, "/feed");
    char text[128];

    snprintf(text, sizeof text, "{\"do\":\"hello\",\"re\":1,\"token\":\"%s\"}",
             strrchr(page_url(scene->page), '#') + 1);
    client_say(client, text);
    client_wait(client, "welcome");
    return client;
}

/* The answer; ok or not. The error's sentence, or NULL when it was done. */
static inline json_t *client_ask(struct client *client, const char *text)
{
    client_say(client, text);
    return client_wait(client, "result");
}

static inline const char *error_of(const json_t *result)
{
    const char *error = json_string_value(json_object_get(result, "error"));

    assert_int_equal(json_is_true(json_object_get(result, "ok")), error == NULL);
    return error;
}

static inline void ask_about(struct client *client, const char *format, uint64_t id, json_t **ret_result)
{
    char text[512];

    snprintf(text, sizeof text, format, (unsigned long long)id);
    *ret_result = client_ask(client, text);
}

static inline size_t read_all(struct scene *scene, int fd, char *bytes, size_t n_wanted)
{
    size_t n = 0;
    ssize_t got;

    for (int64_t until_ns = scene_now() + PATIENCE_NS; n < n_wanted; scene_turn(scene)) {
        assert_true(scene_now() < until_ns);
        while (n < n_wanted && (got = recv(fd, bytes + n, n_wanted - n, MSG_DONTWAIT)) > 0)
            n += (size_t)got;
    }
    return n;
}

/* --- streams ------------------------------------------------------------------------------------------------------ */

static inline void shown_closed(struct sonde_stream *stream)
{
    struct shown *shown = sonde_stream_owner(stream);

    page_stream_closed(shown->scene->page_loop, stream);
    shown->stream = NULL;
}

static inline void shown_kicked(struct sonde_stream *stream, void *user)
{
    (void)user;
    ((struct shown *)sonde_stream_owner(stream))->n_kicked++;
}

static inline bool shown_half_close(struct sonde_stream *stream, void *user)
{
    struct shown *shown = sonde_stream_owner(stream);

    (void)user;
    shown->n_half_closed++;
    return !shown->refuses;
}

/* Takes what comes, and shows it to the page. */
static inline void shown_open_on(struct scene *scene, struct sonde_loop *loop, struct page_loop *page_loop,
                                 struct shown *shown)
{
    static const struct sonde_stream_handler handler = {.closed = shown_closed, .failed = client_failed};
    struct sonde_url url;
    char text[32];
    int ends[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    *shown = (struct shown){.scene = scene, .peer = ends[1]};
    snprintf(text, sizeof text, "fd://%d", ends[0]);
    assert_int_equal(sonde_url_parse(text, &url, NULL), 0);
    assert_int_equal(sonde_connect(loop, &url, NULL, &handler, shown, &shown->stream, NULL), 0);
    page_stream_opened(page_loop, shown->stream, "unix", "echo");
    shown->row = tap_row(&page_loop->tap, shown->stream);
    assert_true(shown->row > 0);
}

static inline void shown_open(struct scene *scene, struct shown *shown)
{
    shown_open_on(scene, scene->loop, scene->page_loop, shown);
}

static inline void shown_end(struct scene *scene, struct shown *shown)
{
    if (shown->stream != NULL)
        sonde_stream_close(shown->stream);
    UNTIL(scene, shown->stream == NULL);
    close(shown->peer);
}

/* --- the whole ---------------------------------------------------------------------------------------------------- */

static inline void scene_begin(struct scene *scene, unsigned rights, bool read_only)
{
    static const struct page_loop_handler handler = {.kicked = shown_kicked, .half_close = shown_half_close};
    const struct page_settings settings = {
        .url = "http://127.0.0.1:0",
        .verb = "serve",
        .title = "serve \"</script>\" \xff",
        .rights = rights,
        .read_only = read_only,
        .rows = PAGE_ROWS_STREAMS,
    };

    *scene = (struct scene){.n_clients = 0};
    assert_int_equal(page_create(&settings, scene_assets, &scene->page, NULL), 0);
    assert_int_equal(sonde_loop_create(NULL, &scene->loop, NULL), 0);
    sonde_timer_init(&scene->timer, scene->loop, scene_stop, scene);
    scene->page_loop = page_loop_add(scene->page, scene->loop, &handler, scene);
    assert_non_null(scene->page_loop);
    assert_int_equal(page_begin(scene->page), 0);
}

static inline void scene_end(struct scene *scene)
{
    for (unsigned i = 0; i < scene->n_clients; i++)
        if (scene->clients[i].stream != NULL)
            sonde_stream_close(scene->clients[i].stream);
    for (unsigned i = 0; i < scene->n_clients; i++) {
        UNTIL(scene, scene->clients[i].stream == NULL);
        json_decref(scene->clients[i].heard);
    }
    page_loop_remove(scene->page_loop);
    page_end(scene->page);
    sonde_timer_stop(&scene->timer);
    assert_int_equal(sonde_loop_destroy(scene->loop), 0);
}

#endif
