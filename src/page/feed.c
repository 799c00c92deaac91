/* SPDX-License-Identifier: MIT */
/*
 * What a viewer is sent, a few times a second, while it looks on.
 *
 * One timer serves all viewers: every 100 ms while one of them looks at a row, else every 500 ms, and not at all while
 * nobody is here. An overview is sent each 500 ms if there is news, else each 2 s. Of events 1,000 a second are sent:
 * of what there is more the newest, and how many were left out; what is kept of a row when it is opened comes at once.
 */
#include "page/page_internal.h"
#include "term/translate.h"
#include "trace/sampling.h"
#include "json/json.h"

#include <inttypes.h>
#include <time.h>

#define MS_NS INT64_C(1000000)

enum {
    TICK_MS = 100,      /* while somebody looks at a row */
    SLOW_TICK_MS = 500, /* while nobody does */
    OVERVIEW_MS = 490,  /* a little less than the ticks, so that none is passed over */
    QUIET_MS = 1990,
    REPEATS_MS = 490,
    EVENTS_BURST = PAGE_EVENTS_PER_S / 5,
    MESSAGES_AT_A_TIME = 100, /* but for the first */
};

static int64_t now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * INT64_C(1000000000) + time.tv_nsec;
}

/* --- the overview ------------------------------------------------------------------------------------------------- */

static const char *why_sampled(bool rows, bool events, bool traced)
{
    if (traced && !events && rows)
        return _(
            "The rows that matter most are shown, and events are kept of some connections, and of each from when it "
            "is opened; bytes, states and verdicts are of all.");
    if (traced && !events)
        return _(
            "Events are kept of some connections, and of each from when it is opened; bytes, states and verdicts are "
            "of all.");
    if (rows && events)
        return _("The rows that matter most are shown, and some of the events of the connection that is open; counts "
                 "and verdicts are of everything.");
    if (rows)
        return _("The rows that matter most are shown; counts and verdicts are of everything.");
    return _("Some of the events of the connection that is open are shown; counts and verdicts are of everything.");
}

static void put_sampled(struct text *text, const struct viewer *viewer, bool rows)
{
    const struct look *look = viewer->page->look;
    const char *rarely = look != NULL ? look_why_rarely(look) : NULL;
    bool events = viewer->one_in > 1, traced;
    struct sampling_state sampling;
    char object[JSON_ROOM(PAGE_SENTENCE_MAX)];
    struct json json;

    sampling_state(page_sampling(viewer->page), &sampling);
    traced = sampling.one_in > 1;
    if (!rows && !events && !traced && rarely == NULL) {
        text_string(text, ",\"sampled\":null");
        return;
    }
    json_begin(&json, object, sizeof object);
    json_boolean(&json, "rows", rows);
    json_unsigned(&json, "events_one_in", events ? viewer->one_in : 1);
    json_unsigned(&json, "connections_one_in", traced ? sampling.one_in : 1);
    json_string(&json, "why", rows || events || traced ? why_sampled(rows, events, traced) : rarely);
    size_t n = json_end(&json);
    text_string(text, ",\"sampled\":");
    if (n > 0)
        text_append(text, object, n - 1); /* without its newline */
    else
        text_string(text, "null");
}

/* It may have changed since the viewer came. */
static void put_packets(struct text *text, struct viewer *viewer)
{
    char object[JSON_ROOM(PAGE_SENTENCE_MAX)];
    struct page *page = viewer->page;
    struct json json;
    bool changed;

    pthread_mutex_lock(&page->lock);
    changed = viewer->packets_version != page->packets_version;
    viewer->packets_version = page->packets_version;
    if (changed) {
        json_begin(&json, object, sizeof object);
        json_string(&json, "no_packets", page->no_packets);
    }
    pthread_mutex_unlock(&page->lock);
    size_t n = changed ? json_end(&json) : 0;
    if (n > 0) { /* {"no_packets":...}, without what is around it */
        text_append(text, object + 1, n - 3);
        text_string(text, ",");
    }
}

/* The same. */
static void put_talk(struct text *text, struct viewer *viewer)
{
    char object[JSON_ROOM(PAGE_SENTENCE_MAX)];
    struct json json;

    json_begin(&json, object, sizeof object);
    if (!viewer_put_talk(&json, viewer))
        return;
    size_t n = json_end(&json);
    if (n > 0) {
        text_append(text, object + 1, n - 3);
        text_string(text, ",");
    }
}

static bool is_talk_new(const struct viewer *viewer)
{
    struct page *page = viewer->page;

    pthread_mutex_lock(&page->lock);
    bool is_new = viewer->talk_version != page->talk_version;
    pthread_mutex_unlock(&page->lock);
    return is_new;
}

static void send_overview(struct viewer *viewer)
{
    struct page *page = viewer->page;
    const struct store_overview overview = {
        .n_rows_max = viewer->n_rows_max,
        .filter = viewer->filter,
        .with = viewer->row,
    };
    struct text *text = &page->text;

    text_clear(text);
    text_format(text, "{\"kind\":\"overview\",\"t_ns\":%" PRId64 ",\"missed\":%u,", now(), viewer->missed);
    put_packets(text, viewer);
    put_talk(text, viewer);
    put_sampled(text, viewer, store_put_overview(page->store, &overview, text));
    text_string(text, "}");
    viewer->missed = 0;
    viewer_send_text(viewer, text);
}

static void do_overview(struct viewer *viewer, int64_t now_ns)
{
    uint64_t version = store_version(viewer->page->store);

    if (now_ns < viewer->overview_ns || (version == viewer->overview_version && !is_talk_new(viewer) &&
                                         now_ns < viewer->overview_ns + (QUIET_MS - OVERVIEW_MS) * MS_NS))
        return;
    viewer->overview_ns = now_ns + OVERVIEW_MS * MS_NS;
    viewer->overview_version = version;
    if (viewer->is_paused || viewer->is_full)
        viewer->missed++;
    else
        send_overview(viewer);
}

/* --- the row that it looks at ------------------------------------------------------------------------------------- */

static void send_row(struct viewer *viewer, int64_t now_ns)
{
    struct page *page = viewer->page;
    uint64_t version = store_version(page->store);

    if (now_ns < viewer->row_ns || version == viewer->row_version)
        return;
    viewer->row_ns = now_ns + PAGE_ROW_NS;
    viewer->row_version = version;
    text_clear(&page->text);
    text_string(&page->text, "{\"kind\":\"row\",\"row\":");
    if (!store_put_row(page->store, viewer->row, &page->text)) {
        viewer_look_at(viewer, 0);
        viewer_result(viewer, 0, _("There were so many connections since that this one was forgotten."), false);
        return;
    }
    text_string(&page->text, "}");
    viewer_send_text(viewer, &page->text);
}

static void raise_allowance(struct viewer *viewer, int64_t now_ns)
{
    int64_t more = (now_ns - viewer->allowance_ns) * PAGE_EVENTS_PER_S / (1000 * MS_NS);

    if (more <= 0)
        return;
    viewer->allowance_ns = now_ns;
    viewer->allowance = more >= EVENTS_BURST - viewer->allowance ? EVENTS_BURST : viewer->allowance + (unsigned)more;
}

static void begin_message(struct text *text, const char *kind, const struct viewer *viewer)
{
    text_clear(text);
    text_format(text, "{\"kind\":\"%s\",\"id\":%" PRIu64 ",", kind, viewer->row);
}

static void send_events(struct viewer *viewer, int64_t now_ns)
{
    struct text *text = &viewer->page->text;
    uint64_t before = viewer->cursor.next_event, trace = viewer->cursor.trace;
    size_t n_max, n;

    raise_allowance(viewer, now_ns);
    n_max = viewer->is_first ? PAGE_ROW_EVENTS_MAX : viewer->allowance;
    if (n_max == 0)
        return;
    begin_message(text, "events", viewer);
    if (viewer->is_first)
        text_string(text, "\"first\":true,");
    n = store_put_events(viewer->page->store, &viewer->cursor, n_max, text);
    /* Another trace of the row begins anew what is shown. */
    bool is_another = trace != 0 && viewer->cursor.trace != trace;
    uint64_t n_passed = viewer->cursor.next_event - (is_another ? 0 : before);
    if (!viewer->is_first) {
        viewer->allowance -= n < viewer->allowance ? (unsigned)n : viewer->allowance;
        viewer->one_in = n > 0 ? (n_passed + n - 1) / n : 1;
    }
    if (!viewer->is_first && n_passed == 0)
        return;
    if (is_another && !viewer->is_first)
        text_string(text, ",\"first\":true");
    text_format(text, ",\"one_in\":%" PRIu64 "}", viewer->one_in);
    viewer_send_text(viewer, text);
}

static void send_messages(struct viewer *viewer)
{
    struct text *text = &viewer->page->text;
    uint64_t before = viewer->cursor.next_message;

    begin_message(text, "messages", viewer);
    store_put_messages(viewer->page->store, &viewer->cursor,
                       viewer->is_first ? PAGE_ROW_MESSAGES_MAX : MESSAGES_AT_A_TIME, text);
    text_string(text, "}");
    if (viewer->cursor.next_message != before)
        viewer_send_text(viewer, text);
}

static void send_points(struct viewer *viewer)
{
    struct text *text = &viewer->page->text;
    uint64_t before = viewer->cursor.next_point;

    begin_message(text, "points", viewer);
    store_put_points(viewer->page->store, &viewer->cursor, text);
    text_string(text, "}");
    if (viewer->cursor.next_point != before)
        viewer_send_text(viewer, text);
}

static void follow(struct viewer *viewer, int64_t now_ns)
{
    send_row(viewer, now_ns);
    if (viewer->row == 0)
        return;
    send_events(viewer, now_ns);
    send_messages(viewer);
    send_points(viewer);
    viewer->is_first = false;
}

/* --- ticks -------------------------------------------------------------------------------------------------------- */

/* Has it taken nothing of what waits for so long? */
static bool is_stuck(struct viewer *viewer, int64_t now_ns)
{
    uint64_t taken_bytes = sonde_stream_wire_sent_bytes(viewer->stream);

    if (taken_bytes != viewer->taken_bytes || sonde_stream_queued_bytes(viewer->stream) == 0) {
        viewer->taken_bytes = taken_bytes;
        viewer->taken_ns = now_ns;
    }
    return now_ns - viewer->taken_ns > PAGE_STUCK_NS;
}

static void serve_viewer(struct viewer *viewer, int64_t now_ns)
{
    if (is_stuck(viewer, now_ns)) {
        viewer->is_closing = true;
        repeats_free(viewer);
        sonde_stream_abort(viewer->stream);
        return;
    }
    do_overview(viewer, now_ns);
    if (viewer->row != 0 && !viewer->is_paused && !viewer->is_full)
        follow(viewer, now_ns);
    if (viewer->repeats_changed && !viewer->is_full && now_ns >= viewer->repeats_ns) {
        viewer->repeats_ns = now_ns + REPEATS_MS * MS_NS;
        repeats_tell(viewer);
    }
}

void viewers_tick(struct sonde_timer *timer)
{
    struct page *page = timer->user;
    int64_t now_ns = sonde_loop_now_ns(page->loop);
    bool any = false, any_row = false;

    page_orders_deliver(page);
    page_traces_follow(page);
    for (struct viewer *viewer = page->viewers; viewer != NULL; viewer = viewer->next) {
        if (!viewer->is_known || viewer->is_closing)
            continue;
        serve_viewer(viewer, now_ns);
        any = true;
        any_row |= viewer->row != 0 && !viewer->is_paused;
    }
    if (any && !page->ending)
        sonde_timer_start(timer, now_ns + (any_row ? TICK_MS : SLOW_TICK_MS) * MS_NS);
}
