/* SPDX-License-Identifier: MIT */
/* The page's store, told by the taps of loops with real streams: what is said, what is joined, and several threads. */
#include "page/store_parts_internal.h"

#include <jansson.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <sonde/listener.h>
#include <sonde/timer.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define DEADLINE_NS (30 * NS_PER_S)

/* A server that echoes, and a client of it, on one loop, with a tap. */
struct scene {
    struct store *store;
    struct tap tap;
    struct sonde_loop *loop;
    struct sonde_listener *listener;
    struct sonde_stream *client, *server;
    uint64_t n_back, n_wanted;
    bool opened;
    struct sonde_timer deadline;
};

static struct store *store_with(unsigned rights, bool read_only)
{
    const struct page_settings settings = {.rows = PAGE_ROWS_STREAMS, .rights = rights, .read_only = read_only};
    struct store *store = store_new(&settings);
    assert_non_null(store);
    return store;
}

static void on_server_data(struct sonde_stream *stream, const struct sonde_lent *bytes)
{
    sonde_stream_forward(stream, bytes);
}

static void on_client_data(struct sonde_stream *stream, const struct sonde_lent *bytes)
{
    struct scene *scene = sonde_stream_owner(stream);
    scene->n_back += bytes->n_bytes;
    if (scene->n_back >= scene->n_wanted)
        sonde_loop_stop(scene->loop);
}

static void on_end(struct sonde_stream *stream)
{
    sonde_stream_close(stream);
}

static void on_closed(struct sonde_stream *stream)
{
    struct scene *scene = sonde_stream_owner(stream);
    tap_closed(&scene->tap, stream);
    *(stream == scene->client ? &scene->client : &scene->server) = NULL;
    sonde_loop_stop(scene->loop);
}

static void on_opened(struct sonde_stream *stream)
{
    struct scene *scene = sonde_stream_owner(stream);
    tap_opened(&scene->tap, stream, NULL, NULL, ROW_CAN_SEND | ROW_CAN_HALF_CLOSE | ROW_CAN_KICK);
    scene->opened = true;
    if (scene->server)
        sonde_loop_stop(scene->loop);
}

static const struct sonde_stream_handler server_handler = {.data = on_server_data, .end = on_end, .closed = on_closed};
static const struct sonde_stream_handler client_handler = {
    .opened = on_opened, .data = on_client_data, .end = on_end, .closed = on_closed};

static void on_accepted(struct sonde_listener *listener, struct sonde_stream *stream, void *owner)
{
    struct scene *scene = owner;
    (void)listener;
    scene->server = stream;
    sonde_stream_set_handler(stream, &server_handler, scene);
    tap_opened(&scene->tap, stream, NULL, "echo", ROW_CAN_SEND | ROW_CAN_HALF_CLOSE | ROW_CAN_KICK);
    if (scene->opened)
        sonde_loop_stop(scene->loop);
}

static const struct sonde_listener_handler listener_handler = {.accepted = on_accepted};

static void on_deadline(struct sonde_timer *timer)
{
    (void)timer;
    fail_msg("it takes too long");
}

static void run(struct scene *scene)
{
    sonde_timer_start_in(&scene->deadline, DEADLINE_NS);
    assert_int_equal(sonde_loop_run(scene->loop), 0);
    sonde_timer_stop(&scene->deadline);
}

static void open_scene(struct scene *scene, struct store *store, const char *address)
{
    struct sonde_url url;
    *scene = (struct scene){.store = store};
    assert_int_equal(sonde_loop_create(NULL, &scene->loop, NULL), 0);
    sonde_timer_init(&scene->deadline, scene->loop, on_deadline, scene);
    assert_true(tap_init(&scene->tap, store, (struct page_loop *)scene));
    sonde_loop_set_tap(scene->loop, tap_heard, &scene->tap);
    assert_int_equal(sonde_url_parse(address, &url, NULL), 0);
    assert_int_equal(sonde_listen(scene->loop, &url, NULL, &listener_handler, scene, &scene->listener, NULL), 0);
    sonde_listener_address(scene->listener, 0, &url);
    assert_int_equal(sonde_connect(scene->loop, &url, NULL, &client_handler, scene, &scene->client, NULL), 0);
    if (url.scheme == SONDE_SCHEME_UDP)
        sonde_stream_write(scene->client, "", 0); /* who says nothing is not there */
    run(scene);
}

static void close_scene(struct scene *scene)
{
    if (scene->client)
        sonde_stream_close(scene->client);
    if (scene->server)
        sonde_stream_close(scene->server);
    sonde_listener_close(scene->listener);
    while (scene->client || scene->server)
        run(scene);
    assert_int_equal(sonde_loop_run(scene->loop), 0);
    tap_end(&scene->tap);
    assert_int_equal(sonde_loop_destroy(scene->loop), 0);
}

static void talk(struct scene *scene, const void *data, size_t n_bytes)
{
    scene->n_wanted = scene->n_back + n_bytes;
    assert_int_equal(sonde_stream_write(scene->client, data, n_bytes), 0);
    run(scene);
}

/* ---- reading */

static json_t *parse(struct text *text, const char *head, const char *tail)
{
    struct text whole = {.bytes = NULL};
    json_error_t error;
    text_string(&whole, head);
    text_append(&whole, text->bytes, text->n_bytes);
    text_string(&whole, tail);
    json_t *json = json_loadb(whole.bytes, whole.n_bytes, JSON_REJECT_DUPLICATES, &error);
    if (!json)
        fail_msg("%s at %d", error.text, error.position);
    text_free(&whole);
    text_free(text);
    return json;
}

static json_t *row_json(struct store *store, uint64_t id)
{
    struct text text = {.bytes = NULL};
    assert_true(store_put_row(store, id, &text));
    return parse(&text, "", "");
}

static json_t *messages(struct store *store, struct store_cursor *cursor, size_t n_max)
{
    struct text text = {.bytes = NULL};
    size_t n = store_put_messages(store, cursor, n_max, &text);
    json_t *json = parse(&text, "{", "}");
    assert_int_equal(json_array_size(json_object_get(json, "messages")), n);
    return json;
}

static json_int_t number(const json_t *object, const char *key)
{
    assert_true(json_is_integer(json_object_get(object, key)));
    return json_integer_value(json_object_get(object, key));
}

static const char *string(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "(none)";
}

/* ---- what is said */

static void said_and_heard(void **state)
{
    struct store *store = store_with(PAGE_SEE | PAGE_SEND, false);
    struct scene scene;
    (void)state;
    open_scene(&scene, store, "tcp://127.0.0.1:0");
    uint64_t id = tap_row(&scene.tap, scene.client);
    assert_int_not_equal(id, 0);
    assert_int_not_equal(tap_row(&scene.tap, scene.server), id);
    scene.tap.from_page = true;
    assert_int_equal(sonde_stream_write(scene.client, "hi", 2), 0);
    scene.tap.from_page = false;
    scene.n_wanted = 2;
    run(&scene);
    json_t *row = row_json(store, id);
    assert_int_equal(number(row, "in"), 2);
    assert_int_equal(number(row, "out"), 2);
    assert_int_equal(number(row, "n_messages"), 2);
    assert_string_equal(string(row, "messages_kind"), "bytes");
    assert_string_equal(string(row, "state"), "ESTABLISHED");
    assert_int_equal(json_array_size(json_object_get(row, "can")), 2); /* no kicking */
    json_decref(row);
    struct store_cursor cursor = {.row = id};
    json_t *json = messages(store, &cursor, 100), *list = json_object_get(json, "messages");
    assert_string_equal(string(json_array_get(list, 0), "way"), "out");
    assert_string_equal(string(json_array_get(list, 0), "by"), "page");
    assert_string_equal(string(json_array_get(list, 1), "way"), "in");
    assert_string_equal(string(json_array_get(list, 1), "by"), "(none)");
    assert_string_equal(string(json_array_get(list, 1), "data"), "aGk=");
    assert_int_equal(number(json_array_get(list, 1), "n"), 2);
    json_decref(json);
    struct store_stream found;
    assert_true(store_find_stream(store, id, &found));
    assert_ptr_equal(found.loop, &scene);
    assert_int_equal(found.id, sonde_stream_id(scene.client));
    close_scene(&scene);
    assert_false(store_find_stream(store, id, &found));
    row = row_json(store, id);
    assert_true(json_is_true(json_object_get(row, "ended")));
    assert_string_equal(string(row, "state"), "CLOSED");
    assert_int_equal(number(row, "n_messages"), 2);
    assert_int_equal(json_array_size(json_object_get(row, "can")), 0);
    json_decref(row);
    store_free(store);
}

static void datagrams(void **state)
{
    struct store *store = store_with(PAGE_SEE | PAGE_SEND | PAGE_KICK, false);
    struct scene scene;
    (void)state;
    open_scene(&scene, store, "udp://127.0.0.1:0");
    talk(&scene, "abc", 3);
    uint64_t id = tap_row(&scene.tap, scene.server);
    json_t *row = row_json(store, id);
    assert_string_equal(string(row, "protocol"), "udp");
    assert_string_equal(string(row, "messages_kind"), "messages");
    assert_string_equal(string(row, "note"), "echo");
    assert_int_equal(json_array_size(json_object_get(row, "can")), 2); /* it has no end to send */
    json_decref(row);
    assert_null(store_row_of_cookie(store, 0)); /* its socket is everybody's: it has no cookie */
    close_scene(&scene);
    store_free(store);
}

/* What is long is cut, what is too much goes; how much it was is told. */
static void bounds(void **state)
{
    static unsigned char bytes[100 * 1000];
    struct store *store = store_with(PAGE_SEE, true);
    struct scene scene;
    (void)state;
    open_scene(&scene, store, "tcp://127.0.0.1:0");
    uint64_t id = tap_row(&scene.tap, scene.client);
    store_watch_row(store, id, 1);
    talk(&scene, bytes, 10000);
    struct store_cursor cursor = {.row = id};
    json_t *json = messages(store, &cursor, 1000), *first = json_array_get(json_object_get(json, "messages"), 0);
    assert_int_equal(number(first, "bytes"), 10000);
    assert_int_equal(strlen(string(first, "data")), (PAGE_MESSAGE_MAX + 2) / 3 * 4);
    json_decref(json);
    uint64_t n_before = cursor.next_message, n_bytes = cursor.next_byte;
    for (unsigned i = 0; i < 700; i++)
        talk(&scene, bytes, 10);
    for (unsigned i = 0; i < 100; i++) /* above the budget: these are counted, and some are not kept */
        talk(&scene, bytes, sizeof bytes);
    json_t *row = row_json(store, id);
    uint64_t n = (uint64_t)number(row, "n_messages");
    assert_int_equal(number(row, "out"), 10000 + 7000 + 100 * sizeof bytes);
    json_decref(row);
    json = messages(store, &cursor, 1000);
    size_t n_kept = json_array_size(json_object_get(json, "messages"));
    assert_true(n_kept <= PAGE_ROW_MESSAGES_MAX);
    assert_int_equal(number(json, "lost") + (json_int_t)n_kept, n - n_before);
    uint64_t n_told = (uint64_t)number(json, "lost_bytes");
    json_t *message;
    size_t i;
    json_array_foreach(json_object_get(json, "messages"), i, message)
    {
        n_told += (uint64_t)number(message, "bytes");
    }
    assert_int_equal(n_told, 2 * (10000 + 7000 + 100 * sizeof bytes) - n_bytes);
    json_decref(json);
    assert_int_equal(store->messages.n_bytes,
                     store_row_of(store, id)->messages.n_bytes +
                         store_row_of(store, tap_row(&scene.tap, scene.server))->messages.n_bytes);
    close_scene(&scene);
    store_free(store);
}

/* The kernel's socket is the stream's row, by its cookie; what it keeps of it afterwards, too. */
static void joined_with_the_kernel(void **state)
{
    struct store *store = store_with(PAGE_SEE, false);
    struct look *look;
    struct scene scene;
    (void)state;
    const struct page_settings settings = {.rows = PAGE_ROWS_STREAMS, .kinds = SOCKETS_TCP};
    if (look_new(store, &settings, &look) != 0)
        skip();
    open_scene(&scene, store, "tcp://127.0.0.1:0");
    talk(&scene, "hello", 5);
    uint64_t client = tap_row(&scene.tap, scene.client), server = tap_row(&scene.tap, scene.server);
    look_run(look, 1);
    json_t *row = row_json(store, client);
    assert_int_equal(number(row, "recv_q"), 0);
    assert_true(number(row, "rtt_us") > 0);
    assert_int_equal(number(row, "out"), 5);
    json_decref(row);
    sonde_stream_shutdown(scene.client); /* it closes first, so its end waits */
    while (scene.client)
        run(&scene);
    row = row_json(store, client);
    assert_false(json_is_true(json_object_get(row, "ended"))); /* the kernel knows more */
    json_decref(row);
    int64_t until_ns = store_now_ns() + DEADLINE_NS;
    const char *told = "";
    while (strcmp(told, "TIME_WAIT") != 0 && store_now_ns() < until_ns) {
        while (look_run(look, 1) > store_now_ns() + NS_PER_MS)
            usleep(1000);
        row = row_json(store, client);
        told = strcmp(string(row, "state"), "TIME_WAIT") == 0 ? "TIME_WAIT" : "";
        json_decref(row);
    }
    assert_string_equal(told, "TIME_WAIT");
    assert_int_not_equal(server, client);
    look_free(look);
    close_scene(&scene);
    store_free(store);
}

/* ---- threads */

#define N_TALKS 300
#define N_EVENTS 3000

static void *talk_on(void *user)
{
    struct store *store = user;
    struct scene scene;
    open_scene(&scene, store, "tcp://127.0.0.1:0");
    for (unsigned i = 0; i < N_TALKS; i++)
        talk(&scene, "hello", 5);
    close_scene(&scene);
    return NULL;
}

static void *trace_on(void *user)
{
    struct store *store = user;
    struct event event = {.kind = EVENT_KIND_CONNECTION, .t_ns = 1};
    for (unsigned i = 0; i < N_EVENTS; i++) {
        event.conn = 1 + i % 50;
        event.t_ns++;
        event.kind = i < 50 ? EVENT_KIND_CONNECTION : EVENT_KIND_SEGMENT;
        event.connection = (struct event_connection){.protocol = IPPROTO_TCP};
        if (event.kind == EVENT_KIND_SEGMENT)
            event.segment = (struct event_segment){.number = i};
        store_event(store, &event);
    }
    return NULL;
}

static void *look_on(void *user)
{
    struct store *store = user;
    for (unsigned i = 0; i < 200; i++) {
        struct text text = {.bytes = NULL};
        struct store_cursor cursor = {.row = 1 + i % 4};
        store_watch_row(store, cursor.row, 1);
        store_put_overview(store, &(struct store_overview){.n_rows_max = 10}, &text);
        store_put_events(store, &cursor, 100, &text);
        store_put_messages(store, &cursor, 100, &text);
        store_put_points(store, &cursor, &text);
        store_watch_row(store, cursor.row, -1);
        text_free(&text);
    }
    return NULL;
}

static void from_many_threads(void **state)
{
    static void *(*const functions[])(void *) = {talk_on, talk_on, trace_on, look_on};
    enum { N = sizeof functions / sizeof *functions };
    struct store *store = store_with(PAGE_SEE, false);
    pthread_t threads[N];
    (void)state;
    for (int i = 0; i < N; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, functions[i], store), 0);
    for (int i = 0; i < N; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(store->n_events, N_EVENTS);
    assert_int_equal(store->n_rows, 4);
    assert_int_equal(store->n_watching, 0);
    store_free(store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(said_and_heard),         cmocka_unit_test(datagrams),         cmocka_unit_test(bounds),
        cmocka_unit_test(joined_with_the_kernel), cmocka_unit_test(from_many_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
