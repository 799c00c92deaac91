/* SPDX-License-Identifier: MIT */
/*
 * What a viewer sends, once or again and again, on timers of the page's loop.
 *
 * A repeat sends the next one only when the last one was done: a stream that is slow gets fewer, and what was skipped
 * is counted. It begins with its first send: if that fails, there is no repeat. Later a full queue is waited for;
 * anything else ends it, and its viewer is told why. It ends with its row, its viewer, its count, or when it is
 * stopped. One that is over stays until its viewer was told.
 */
#include "page/page_internal.h"
#include "term/translate.h"
#include "json/json.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <time.h>

struct repeat {
    struct repeat *next;
    struct viewer *viewer;
    struct sonde_timer timer;
    struct store_stream stream;
    struct template *template;
    uint64_t id, row, count, n_sent, n_skipped;
    int64_t every_ns, next_ns;
    const char *error; /* why it is over; NULL: it is not, or its count was reached, or it was stopped */
    bool is_text, has_begun, is_under_way, is_over;
};

static int64_t realtime_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

/* --- ordering ----------------------------------------------------------------------------------------------------- */

struct sending {
    uint64_t viewer, repeat, n; /* n: how many were sent before */
    int64_t re;
    bool is_text;
};

/* Errors: those of page_order, -ENOMEM, and of getrandom(2). */
static int order_send(const struct store_stream *stream, const struct template *template, const struct sending *sending)
{
    struct order *order = page_order_new(ORDER_SEND, template_bytes(template));

    if (order == NULL)
        return -ENOMEM;
    ssize_t n_bytes = template_render(template, sending->n, realtime_ns(), order->bytes);
    if (n_bytes < 0) {
        free(order);
        return (int)n_bytes;
    }
    order->n_bytes = (size_t)n_bytes;
    order->viewer = sending->viewer;
    order->re = sending->re;
    order->repeat = sending->repeat;
    order->is_text = sending->is_text;
    int error = page_order(stream->loop, stream->id, order);
    if (error < 0)
        free(order);
    return error;
}

static bool is_busy(int error)
{
    return error == -EBUSY || error == -ENOBUFS;
}

static const char *why_not(int error)
{
    struct order order = {.kind = ORDER_SEND, .error = error};

    return page_order_why(&order);
}

/* --- repeats ------------------------------------------------------------------------------------------------------ */

static struct repeat **find_repeat(struct viewer *viewer, uint64_t id)
{
    struct repeat **at = &viewer->repeats;

    while (*at != NULL && (*at)->id != id)
        at = &(*at)->next;
    return at;
}

static void drop_repeat(struct repeat **at)
{
    struct repeat *repeat = *at;

    *at = repeat->next;
    repeat->viewer->n_repeats--;
    sonde_timer_stop(&repeat->timer);
    template_free(repeat->template);
    free(repeat);
}

static void end_repeat(struct repeat *repeat, const char *error)
{
    repeat->is_over = true;
    repeat->error = error;
    repeat->viewer->repeats_changed = true;
    sonde_timer_stop(&repeat->timer);
}

static int send_next(struct repeat *repeat, int64_t re)
{
    struct sending sending = {
        .viewer = repeat->viewer->id, .repeat = repeat->id, .n = repeat->n_sent, .re = re, .is_text = repeat->is_text};
    int error = order_send(&repeat->stream, repeat->template, &sending);

    repeat->is_under_way = error == 0;
    return error;
}

static void fire(struct sonde_timer *timer)
{
    struct repeat *repeat = timer->user;
    int64_t now_ns = sonde_loop_now_ns(timer->loop);
    int error = repeat->is_under_way ? -EBUSY : send_next(repeat, 0);

    repeat->viewer->repeats_changed = true;
    if (is_busy(error)) {
        repeat->n_skipped++;
    } else if (error < 0) {
        end_repeat(repeat, why_not(error));
        return;
    }
    repeat->next_ns += repeat->every_ns;
    if (repeat->next_ns <= now_ns) { /* this thread was late */
        int64_t n = (now_ns - repeat->next_ns) / repeat->every_ns + 1;
        repeat->n_skipped += (uint64_t)n;
        repeat->next_ns += n * repeat->every_ns;
    }
    sonde_timer_start(timer, repeat->next_ns);
}

static void begin_repeat(struct viewer *viewer, int64_t re, const struct store_stream *stream, const struct send *send)
{
    struct repeat *repeat = viewer->n_repeats < PAGE_REPEATS_MAX ? calloc(1, sizeof *repeat) : NULL;
    int error;

    if (repeat == NULL) {
        viewer_result(viewer, re,
                      viewer->n_repeats < PAGE_REPEATS_MAX ? _("There is no memory for it.")
                                                           : _("There are 16 repeats already: stop one first."),
                      false);
        template_free(send->template);
        return;
    }
    *repeat = (struct repeat){
        .next = viewer->repeats,
        .viewer = viewer,
        .stream = *stream,
        .template = send->template,
        .id = ++viewer->page->last_repeat,
        .row = send->row,
        .count = send->count,
        .every_ns = send->every_ns,
        .next_ns = sonde_loop_now_ns(viewer->page->loop) + send->every_ns,
        .is_text = send->is_text,
    };
    sonde_timer_init(&repeat->timer, viewer->page->loop, fire, repeat);
    viewer->repeats = repeat;
    viewer->n_repeats++;
    error = send_next(repeat, re);
    if (error < 0) { /* a viewer that cannot be told loses its repeats: so this one goes first */
        drop_repeat(&viewer->repeats);
        viewer_result(viewer, re, why_not(error), is_busy(error));
    }
}

void repeat_send(struct viewer *viewer, int64_t re, const struct send *send)
{
    struct sending sending = {.viewer = viewer->id, .re = re, .is_text = send->is_text};
    struct store_stream stream;
    int error;

    if (!store_find_stream(viewer->page->store, send->row, &stream)) {
        viewer_result(viewer, re, _("This is no connection of this program, or it is gone."), false);
        template_free(send->template);
    } else if (send->every_ns > 0) {
        begin_repeat(viewer, re, &stream, send);
    } else {
        error = order_send(&stream, send->template, &sending);
        if (error < 0)
            viewer_result(viewer, re, why_not(error), is_busy(error));
        template_free(send->template);
    }
}

bool repeat_stop(struct viewer *viewer, uint64_t id)
{
    struct repeat *repeat = *find_repeat(viewer, id);

    if (repeat == NULL || repeat->is_over || !repeat->has_begun)
        return false;
    end_repeat(repeat, NULL);
    return true;
}

void repeats_free(struct viewer *viewer)
{
    while (viewer->repeats != NULL)
        drop_repeat(&viewer->repeats);
    viewer->repeats_changed = false;
}

/* --- answers ------------------------------------------------------------------------------------------------------ */

/* The viewer is told last: one that cannot be told is dropped, and its repeats with it. */
static void first_was_done(struct viewer *viewer, struct repeat **at, const struct order *order)
{
    struct repeat *repeat = *at;

    if (order->error < 0) {
        drop_repeat(at);
        viewer_result(viewer, order->re, page_order_why(order), is_busy(order->error));
        return;
    }
    repeat->has_begun = true;
    repeat->n_sent = 1;
    if (repeat->count == 1)
        end_repeat(repeat, NULL);
    else
        sonde_timer_start(&repeat->timer, repeat->next_ns);
    viewer_sent(viewer, order->re, order->n_bytes, order->n_queued, order->repeat);
}

static void next_was_done(struct repeat *repeat, const struct order *order)
{
    if (is_busy(order->error)) {
        repeat->n_skipped++;
    } else if (order->error < 0) {
        end_repeat(repeat, page_order_why(order));
    } else {
        repeat->n_sent++;
        if (repeat->n_sent == repeat->count)
            end_repeat(repeat, NULL);
    }
}

void page_order_answered(struct page *page, const struct order *order)
{
    struct viewer *viewer = page_find_viewer(page, order->viewer);

    if (viewer == NULL || viewer->is_closing)
        return;
    if (order->repeat != 0) {
        struct repeat **at = find_repeat(viewer, order->repeat);
        if (*at == NULL || (*at)->is_over)
            return; /* it was stopped meanwhile */
        (*at)->is_under_way = false;
        viewer->repeats_changed = true;
        if ((*at)->has_begun)
            next_was_done(*at, order);
        else
            first_was_done(viewer, at, order);
    } else if (order->error < 0) {
        viewer_result(viewer, order->re, page_order_why(order), is_busy(order->error));
    } else if (order->kind == ORDER_SEND) {
        viewer_sent(viewer, order->re, order->n_bytes, order->n_queued, 0);
    } else {
        viewer_result(viewer, order->re, NULL, false);
    }
}

/* --- telling ------------------------------------------------------------------------------------------------------ */

static void put_repeat(struct json *json, const struct repeat *repeat)
{
    json_object_begin(json, NULL);
    json_unsigned(json, "repeat", repeat->id);
    json_unsigned(json, "id", repeat->row);
    json_number(json, "every_ms", repeat->every_ns / 1000000);
    json_unsigned(json, "sent", repeat->n_sent);
    json_unsigned(json, "skipped", repeat->n_skipped);
    json_unsigned(json, "count", repeat->count);
    json_string(json, "error", repeat->error);
    if (repeat->is_over)
        json_boolean(json, "over", true);
    json_object_end(json);
}

void repeats_tell(struct viewer *viewer)
{
    char text[JSON_ROOM(PAGE_REPEATS_MAX * (PAGE_SENTENCE_MAX + 64))];
    struct repeat **at = &viewer->repeats;
    struct json json;

    json_begin(&json, text, sizeof text);
    json_string(&json, "kind", "repeats");
    json_array_begin(&json, "repeats");
    while (*at != NULL) {
        if ((*at)->has_begun)
            put_repeat(&json, *at);
        if ((*at)->is_over)
            drop_repeat(at);
        else
            at = &(*at)->next;
    }
    json_array_end(&json);
    viewer->repeats_changed = false;
    viewer_send_json(viewer, &json);
}
