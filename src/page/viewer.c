/* SPDX-License-Identifier: MIT */
/*
 * A viewer: one browser that looks on, from its WebSocket's beginning to its end; feed.c is what it is sent.
 *
 * It is a stranger until it has shown the token, which has to be within 5 seconds. What is sent to one that reads
 * slowly waits in its stream's queue: when 1 MiB waits there nothing more is made for it, and nothing more is read from
 * it, until the queue has gone; one that has taken nothing for 30 seconds is closed.
 */
#include "page/page_internal.h"
#include "json/json.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

/* --- sending ------------------------------------------------------------------------------------------------------ */

/* It is ended without another word: none would arrive. */
static void drop(struct viewer *viewer)
{
    viewer->is_closing = true;
    sonde_timer_stop(&viewer->hello);
    repeats_free(viewer);
    sonde_stream_abort(viewer->stream);
}

void viewer_send(struct viewer *viewer, const char *text, size_t n_bytes)
{
    if (viewer->is_closing)
        return;
    if (sonde_stream_send(viewer->stream, text, n_bytes, SONDE_TEXT) < 0) {
        drop(viewer);
        return;
    }
    if (!viewer->is_full && sonde_stream_queued_bytes(viewer->stream) > PAGE_QUEUE_FULL_BYTES) {
        viewer->is_full = true;
        sonde_stream_pause(viewer->stream);
    }
}

void viewer_send_text(struct viewer *viewer, const struct text *text)
{
    if (text->failed)
        viewer_close(viewer, 1011, "no memory");
    else
        viewer_send(viewer, text->bytes, text->n_bytes);
}

void viewer_send_json(struct viewer *viewer, struct json *json)
{
    size_t n_bytes = json_end(json);

    if (n_bytes > 0) /* without the newline */
        viewer_send(viewer, json->text, n_bytes - 1);
}

void viewer_result(struct viewer *viewer, int64_t re, const char *error, bool busy)
{
    char text[JSON_ROOM(PAGE_SENTENCE_MAX)];
    struct json json;

    json_begin(&json, text, sizeof text);
    json_string(&json, "kind", "result");
    json_number(&json, "re", re);
    json_boolean(&json, "ok", error == NULL);
    if (error != NULL)
        json_text(&json, "error", error, strnlen(error, PAGE_SENTENCE_MAX));
    if (error != NULL && busy)
        json_boolean(&json, "busy", true);
    viewer_send_json(viewer, &json);
}

void viewer_sent(struct viewer *viewer, int64_t re, uint64_t n_bytes, uint64_t n_queued, uint64_t repeat)
{
    char text[JSON_ROOM(0)];
    struct json json;

    json_begin(&json, text, sizeof text);
    json_string(&json, "kind", "result");
    json_number(&json, "re", re);
    json_boolean(&json, "ok", true);
    json_unsigned(&json, "sent", n_bytes);
    json_unsigned(&json, "queued", n_queued);
    if (repeat != 0)
        json_unsigned(&json, "repeat", repeat);
    viewer_send_json(viewer, &json);
}

void page_to_all(struct page *page, const char *text, size_t n_bytes)
{
    for (struct viewer *viewer = page->viewers; viewer != NULL; viewer = viewer->next)
        if (viewer->is_known)
            viewer_send(viewer, text, n_bytes);
}

void viewer_close(struct viewer *viewer, unsigned code, const char *reason)
{
    struct sonde_stream *stream = viewer->stream;

    if (viewer->is_closing)
        return;
    viewer->is_closing = true;
    sonde_timer_stop(&viewer->hello);
    repeats_free(viewer);
    if (sonde_ws_close(stream, code, reason, strlen(reason)) < 0) {
        sonde_stream_abort(stream);
        return;
    }
    sonde_stream_resume(stream); /* its own Close has to come in */
    sonde_stream_finish(stream, sonde_loop_now_ns(viewer->page->loop) + PAGE_BYE_NS);
}

void viewers_bye(struct page *page)
{
    static const char text[] = "{\"kind\":\"bye\",\"why\":\"sonde has ended.\"}";

    page_to_all(page, text, sizeof text - 1);
    for (struct viewer *viewer = page->viewers; viewer != NULL; viewer = viewer->next)
        viewer_close(viewer, 1001, "sonde has ended");
}

/* --- what it looks at --------------------------------------------------------------------------------------------- */

void viewer_look_at(struct viewer *viewer, uint64_t row)
{
    struct store *store = viewer->page->store;

    if (row != 0)
        store_watch_row(store, row, 1); /* first, so that nothing of the same row is let go between */
    if (viewer->row != 0)
        store_watch_row(store, viewer->row, -1);
    viewer->row = row;
    viewer->cursor = (struct store_cursor){.row = row};
    viewer->is_first = true;
    viewer->one_in = 1;
    viewer->row_ns = sonde_loop_now_ns(viewer->page->loop) + PAGE_ROW_NS; /* it was shown when it was opened */
    viewer->row_version = 0;
    viewer->is_told_why = false;
    if (row == 0)
        page_traces_follow(viewer->page);
    if (row != 0) {
        page_look_now(viewer->page);
        sonde_timer_start(&viewer->page->tick, 0);
    }
}

void viewer_hurry(struct viewer *viewer)
{
    viewer->overview_ns = 0;
    viewer->overview_version = 0;
    sonde_timer_start(&viewer->page->tick, 0);
}

/* --- the token ---------------------------------------------------------------------------------------------------- */

static void put_rights(struct json *json, unsigned rights)
{
    static const struct {
        unsigned right;
        const char *name;
    } names[] = {
        {PAGE_SEE, "see"}, {PAGE_SEND, "send"}, {PAGE_KICK, "kick"}, {PAGE_RUN, "run"}, {PAGE_CONNECT, "connect"}};

    json_array_begin(json, "rights");
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (rights & names[i].right)
            json_string(json, NULL, names[i].name);
    json_array_end(json);
}

static void put_clocks(struct json *json)
{
    struct timespec mono, wall;

    clock_gettime(CLOCK_MONOTONIC, &mono);
    clock_gettime(CLOCK_REALTIME, &wall);
    json_number(json, "t_ns", mono.tv_sec * INT64_C(1000000000) + mono.tv_nsec);
    json_number(json, "wall_ms", wall.tv_sec * INT64_C(1000) + wall.tv_nsec / 1000000);
}

static void put_limits(struct json *json)
{
    json_object_begin(json, "limits");
    json_unsigned(json, "message_bytes", PAGE_MESSAGE_MAX);
    json_unsigned(json, "send_bytes", PAGE_SEND_MAX);
    json_unsigned(json, "ladder_events_per_s", PAGE_EVENTS_PER_S);
    json_object_end(json);
}

static void put_no_packets(struct json *json, struct viewer *viewer)
{
    struct page *page = viewer->page;

    pthread_mutex_lock(&page->lock);
    viewer->packets_version = page->packets_version;
    json_string(json, "no_packets", page->no_packets);
    pthread_mutex_unlock(&page->lock);
}

bool viewer_put_talk(struct json *json, struct viewer *viewer)
{
    static const char *const names[] = {NULL, "connecting", "connected", "over"};
    struct page *page = viewer->page;

    pthread_mutex_lock(&page->lock);
    bool is_new = viewer->talk_version != page->talk_version;
    viewer->talk_version = page->talk_version;
    if (is_new && page->talk == PAGE_TALK_NONE) {
        json_string(json, "talk", NULL);
    } else if (is_new) {
        json_object_begin(json, "talk");
        json_string(json, "state", names[page->talk]);
        json_string(json, "why", page->talk_why[0] != '\0' ? page->talk_why : NULL);
        json_object_end(json);
    }
    pthread_mutex_unlock(&page->lock);
    return is_new;
}

static void put_welcome(struct json *json, struct viewer *viewer, int64_t re)
{
    const struct page *page = viewer->page;

    json_string(json, "kind", "welcome");
    json_number(json, "re", re);
    json_string(json, "version", sonde_version());
    json_string(json, "verb", page->settings.verb);
    json_string(json, "title", page->settings.title);
    put_rights(json, page->rights);
    json_boolean(json, "read_only", page->settings.read_only);
    json_array_begin(json, "client_urls");
    for (unsigned i = 0; i < page->n_client_urls; i++)
        json_string(json, NULL, page->client_urls[i]);
    json_array_end(json);
    put_no_packets(json, viewer);
    viewer_put_talk(json, viewer);
    put_clocks(json);
    put_limits(json);
}

void viewer_welcome(struct viewer *viewer, int64_t re)
{
    struct page *page = viewer->page;
    size_t size_bytes = JSON_ROOM(strlen(page->settings.title) + PAGE_CLIENT_URLS_MAX * PAGE_URL_MAX + 4096);
    char *text = page->n_viewers < PAGE_VIEWERS_MAX ? malloc(size_bytes) : NULL;
    struct json json;

    if (text == NULL) {
        viewer_close(viewer, 1013, page->n_viewers < PAGE_VIEWERS_MAX ? "no memory" : "16 browsers are here already");
        return;
    }
    viewer->is_known = true;
    page->n_strangers--;
    page->n_viewers++;
    sonde_timer_stop(&viewer->hello);
    json_begin(&json, text, size_bytes);
    put_welcome(&json, viewer, re);
    viewer_send_json(viewer, &json);
    free(text);
    viewer->taken_ns = sonde_loop_now_ns(page->loop);
    page_look_now(page);
    viewer_hurry(viewer);
}

static void on_silence(struct sonde_timer *timer)
{
    viewer_close(timer->user, 4408, "nothing was said in time");
}

/* --- the stream --------------------------------------------------------------------------------------------------- */

static void on_data(struct sonde_stream *stream, const struct sonde_lent *bytes)
{
    struct viewer *viewer = sonde_stream_owner(stream);

    if (!viewer->is_closing)
        command_take(viewer, (const char *)bytes->data, bytes->n_bytes);
}

static void on_end(struct sonde_stream *stream)
{
    struct viewer *viewer = sonde_stream_owner(stream);

    viewer->is_closing = true;
    repeats_free(viewer);
    sonde_stream_finish(stream, sonde_loop_now_ns(viewer->page->loop) + PAGE_BYE_NS);
}

static void on_drained(struct sonde_stream *stream)
{
    struct viewer *viewer = sonde_stream_owner(stream);

    viewer->is_full = false;
    sonde_stream_resume(stream);
}

static void on_failed(struct sonde_stream *stream, int error)
{
    struct viewer *viewer = sonde_stream_owner(stream);

    (void)error;
    viewer->is_closing = true;
    sonde_stream_close(stream);
}

static void on_closed(struct sonde_stream *stream)
{
    struct viewer *viewer = sonde_stream_owner(stream);
    struct page *page = viewer->page;

    viewer->is_closing = true;
    sonde_timer_stop(&viewer->hello);
    if (viewer->row != 0)
        store_watch_row(page->store, viewer->row, -1);
    repeats_free(viewer);
    filter_free(viewer->filter);
    if (viewer->is_known)
        page->n_viewers--;
    else
        page->n_strangers--;
    *(viewer->previous != NULL ? &viewer->previous->next : &page->viewers) = viewer->next;
    if (viewer->next != NULL)
        viewer->next->previous = viewer->previous;
    free(viewer);
    page_traces_follow(page);
    page_check_end(page);
}

static const struct sonde_stream_handler handler = {
    .data = on_data,
    .end = on_end,
    .drained = on_drained,
    .failed = on_failed,
    .closed = on_closed,
};

bool viewer_new(struct page *page, struct sonde_stream *stream)
{
    struct viewer *viewer = calloc(1, sizeof *viewer);

    if (viewer == NULL)
        return false;
    viewer->page = page;
    viewer->stream = stream;
    viewer->id = ++page->last_viewer;
    viewer->n_rows_max = 200;
    viewer->one_in = 1;
    viewer->next = page->viewers;
    if (viewer->next != NULL)
        viewer->next->previous = viewer;
    page->viewers = viewer;
    page->n_strangers++;
    sonde_stream_set_handler(stream, &handler, viewer);
    sonde_timer_init(&viewer->hello, page->loop, on_silence, viewer);
    sonde_timer_start_in(&viewer->hello, PAGE_HELLO_NS);
    return true;
}

struct viewer *page_find_viewer(struct page *page, uint64_t id)
{
    struct viewer *viewer = page->viewers;

    while (viewer != NULL && viewer->id != id)
        viewer = viewer->next;
    return viewer;
}
