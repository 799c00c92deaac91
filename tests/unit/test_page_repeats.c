/* SPDX-License-Identifier: MIT */
/* The page's repeats: what a viewer sends again and again, and how that ends. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "page_scene.h"

#define ALL (PAGE_SEE | PAGE_SEND | PAGE_KICK | PAGE_RUN)

/* The news of this repeat when it is over. */
static json_t *wait_over(struct client *client, uint64_t repeat)
{
    for (;;) {
        json_t *list = json_object_get(client_wait(client, "repeats"), "repeats"), *item;
        size_t i;
        json_array_foreach(list, i, item) if ((uint64_t)json_integer_value(json_object_get(item, "repeat")) == repeat &&
                                              json_is_true(json_object_get(item, "over"))) return item;
    }
}

static void repeats(void **state)
{
    struct scene scene;
    struct shown shown;
    json_t *result, *over;
    uint64_t repeat[PAGE_REPEATS_MAX + 1];
    char got[64], text[64];

    (void)state;
    scene_begin(&scene, ALL, false);
    shown_open(&scene, &shown);
    struct client *client = client_known(&scene);
    /* So many times, each one another. */
    ask_about(client, "{\"do\":\"send\",\"re\":1,\"id\":%llu,\"parts\":[{\"counter\":8}],\"every_ms\":10,\"count\":4}",
              shown.row, &result);
    assert_null(error_of(result));
    repeat[0] = (uint64_t)json_integer_value(json_object_get(result, "repeat"));
    assert_true(repeat[0] > 0);
    over = wait_over(client, repeat[0]);
    assert_int_equal(json_integer_value(json_object_get(over, "sent")), 4);
    assert_true(json_is_null(json_object_get(over, "error")));
    read_all(&scene, shown.peer, got, 6);
    assert_memory_equal(got, "891011", 6);
    /* As many as there may be, and one more; then one is stopped. */
    for (unsigned i = 0; i <= PAGE_REPEATS_MAX; i++) {
        ask_about(client, "{\"do\":\"send\",\"re\":1,\"id\":%llu,\"parts\":[{\"counter\":8}],\"every_ms\":3600000}",
                  shown.row, &result);
        assert_int_equal(error_of(result) == NULL, i < PAGE_REPEATS_MAX);
        repeat[i] = (uint64_t)json_integer_value(json_object_get(result, "repeat"));
    }
    snprintf(text, sizeof text, "{\"do\":\"stop\",\"repeat\":%llu}", (unsigned long long)repeat[3]);
    assert_null(error_of(client_ask(client, text)));
    wait_over(client, repeat[3]);
    assert_non_null(error_of(client_ask(client, text)));
    ask_about(client, "{\"do\":\"send\",\"re\":1,\"id\":%llu,\"parts\":[{\"counter\":8}],\"every_ms\":10}", shown.row,
              &result);
    assert_null(error_of(result));
    repeat[0] = (uint64_t)json_integer_value(json_object_get(result, "repeat"));
    /* It ends with its row, and says so. */
    sonde_stream_close(shown.stream);
    over = wait_over(client, repeat[0]);
    assert_string_equal(json_string_value(json_object_get(over, "error")), "This connection is gone.");
    shown_end(&scene, &shown);
    scene_end(&scene);
}

/* A viewer that goes takes its repeats along, whatever is under way. */
static void gone_with_repeats(void **state)
{
    struct scene scene;
    struct shown shown;
    json_t *result;
    char got[256];

    (void)state;
    scene_begin(&scene, ALL, false);
    shown_open(&scene, &shown);
    for (unsigned i = 0; i < 10; i++) {
        struct client *client = client_known(&scene);
        ask_about(client, "{\"do\":\"send\",\"re\":1,\"id\":%llu,\"parts\":[{\"counter\":8}],\"every_ms\":10}",
                  shown.row, &result);
        assert_null(error_of(result));
        if (i % 2 == 0)
            sonde_stream_abort(client->stream);
        else
            sonde_stream_finish(client->stream, sonde_loop_now_ns(scene.loop) + PATIENCE_NS);
        UNTIL(&scene, client->stream == NULL);
    }
    /* Nothing comes any more: the next one that asks is answered alone. */
    struct client *client = client_known(&scene);
    ask_about(client, "{\"do\":\"send\",\"re\":1,\"id\":%llu,\"parts\":[{\"data\":\"IQ==\"}]}", shown.row, &result);
    assert_null(error_of(result));
    ssize_t n = 0, all = 0;
    UNTIL(&scene,
          (n = recv(shown.peer, got, sizeof got, MSG_DONTWAIT), all += n > 0 ? n : 0, n > 0 && got[n - 1] == '!'));
    assert_true(all >= 11);
    shown_end(&scene, &shown);
    scene_end(&scene);
}

struct untold {
    struct page *page;
    struct shown *shown;
    bool is_answered; /* else it fails at once */
    unsigned n_repeats;
    atomic_bool is_done;
};

/* The viewer's answer can't be sent any more: it is dropped, with the repeat that the answer is about. */
static void untold_try(void *user)
{
    struct untold *untold = user;
    struct page *page = untold->page;
    struct viewer *viewer = page->viewers;
    struct send own = {.row = untold->shown->row, .every_ns = PATIENCE_NS};
    const char *why;
    json_t *parts = json_pack("[{s:i}]", "counter", 1);
    struct order order = {.kind = ORDER_SEND, .viewer = viewer->id, .n_bytes = 1};

    assert_int_equal(template_parse(parts, &own.template, &why), 0);
    json_decref(parts);
    if (untold->is_answered)
        repeat_send(viewer, 1, &own);
    untold->n_repeats = viewer->n_repeats;
    assert_int_equal(sonde_ws_close(viewer->stream, 1000, "", 0), 0);
    assert_true(sonde_stream_send(viewer->stream, "x", 1, SONDE_TEXT) < 0);
    order.repeat = page->last_repeat;
    order.error = untold->is_answered ? -EPIPE : 0;
    if (untold->is_answered)
        page_order_answered(page, &order);
    else
        repeat_send(viewer, 1, &own);
    assert_int_equal(viewer->n_repeats, 0);
    atomic_store(&untold->is_done, true);
}

static void nobody_to_tell(void **state)
{
    (void)state;
    for (int is_answered = 0; is_answered < 2; is_answered++) {
        struct scene scene;
        struct shown shown;

        scene_begin(&scene, ALL, false);
        shown_open(&scene, &shown);
        struct client *client = client_known(&scene);
        struct untold untold = {.page = scene.page, .shown = &shown, .is_answered = is_answered};
        if (!is_answered) { /* so much waits there that no more is taken */
            pthread_mutex_lock(&scene.page_loop->lock);
            scene.page_loop->n_waiting = PAGE_ORDERS_MAX;
            pthread_mutex_unlock(&scene.page_loop->lock);
        }
        assert_int_equal(sonde_loop_post(scene.page->loop, untold_try, &untold), 0);
        UNTIL(&scene, atomic_load(&untold.is_done));
        assert_int_equal(untold.n_repeats, is_answered);
        pthread_mutex_lock(&scene.page_loop->lock);
        if (!is_answered)
            scene.page_loop->n_waiting = 0;
        pthread_mutex_unlock(&scene.page_loop->lock);
        UNTIL(&scene, client->stream == NULL);
        shown_end(&scene, &shown);
        scene_end(&scene);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(repeats),
        cmocka_unit_test(gone_with_repeats),
        cmocka_unit_test(nobody_to_tell),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
