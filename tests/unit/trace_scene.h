/* SPDX-License-Identifier: MIT */
/*
 * A session as session.c makes it, with packets and calls made by hand, and a view that records what it is shown. Time
 * is the test's own.
 */
#ifndef TRACE_SCENE_H
#define TRACE_SCENE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "packet_make.h"
#include "trace/session_internal.h"

#include <sonde/probe.h>
#include <stdlib.h>

#define SHOWN_MAX 512
#define US NS_PER_US

static struct {
    struct session *session;
    struct view_settings view_settings;
    struct view_run run;
    int64_t t_ns;
    struct made_packet made;
    struct event *shown[SHOWN_MAX];
    unsigned n_shown;
    uint64_t n_calls, n_lost_calls;
    unsigned n_finished;
} scene;

static inline void on_event(struct view_run *run, const struct event *event)
{
    if (event->kind == EVENT_KIND_CALL)
        scene.n_calls++;
    if (event->kind == EVENT_KIND_LOSS)
        scene.n_lost_calls += event->loss.n;
    if (scene.n_shown == SHOWN_MAX)
        return;
    scene.shown[scene.n_shown] = event_clone(event);
    assert_non_null(scene.shown[scene.n_shown++]);
}

static inline int on_finish(struct view_run *run)
{
    scene.n_finished++;
    return 0;
}

static const struct view recorder = {.name = "recorder", .event = on_event, .finish = on_finish};

static inline void begin_with(struct session_settings settings)
{
    memset(&scene, 0, sizeof scene);
    scene.view_settings.out = stdout;
    scene.run = (struct view_run){.view = &recorder, .settings = &scene.view_settings};
    scene.t_ns = 1000 * NS_PER_S;
    settings.views = &scene.run;
    settings.n_views = 1;
    scene.session = session_new(&settings);
    assert_non_null(scene.session);
    holders_free(scene.session->holders); /* these addresses are nobody's */
    scene.session->holders = NULL;
    scene.session->now_ns = scene.t_ns;
}

static inline void begin_without_packets(uint8_t our_role)
{
    begin_with((struct session_settings){.our_role = our_role, .stop_fd = -1, .no_packets = "No segments."});
}

static inline void begin(uint8_t our_role)
{
    begin_with((struct session_settings){.our_role = our_role, .stop_fd = -1, .where = "lo"});
    /* There is a capture, says this, and its packets come from here; nobody asks it for any. */
    scene.session->settings.live = (void *)&scene.made;
}

static inline int end(void **state)
{
    session_free(scene.session);
    scene.session = NULL;
    for (unsigned i = 0; i < scene.n_shown; i++)
        free(scene.shown[i]);
    scene.n_shown = 0;
    return 0;
}

/* All that has happened so far is shown. */
static inline void show(void)
{
    packets_release(scene.session->packets);
    timeline_flush(scene.session->line);
}

/* ---- what happens */

static inline void pass(int64_t ns)
{
    scene.t_ns += ns;
    scene.session->now_ns = scene.t_ns;
}

static inline void segment(const struct tuple *tuple, enum event_end from, unsigned flags, uint32_t seq, uint32_t ack,
                           const char *payload)
{
    pass(10 * US);
    make_packet(&scene.made, tuple, from, flags, seq, ack, payload, payload ? (uint32_t)strlen(payload) : 0);
    packets_packet(scene.session->packets, scene.t_ns, &scene.made.packet, NULL);
}

static inline void handshake(const struct tuple *tuple)
{
    segment(tuple, END_A, S, 0, 0, NULL);
    segment(tuple, END_B, S | K, 0, 1, NULL);
    segment(tuple, END_A, K, 1, 1, NULL);
}

/* A call of the socket with this cookie that took so long and has just returned. */
static inline struct program_call *new_call(enum sonde_operation operation, uint64_t cookie, int64_t took_ns,
                                            int64_t result)
{
    pass(took_ns + US);
    struct event event = {.source = EVENT_APP, .kind = EVENT_KIND_CALL, .t_ns = scene.t_ns};
    event.call = (struct event_call){
        .operation = (uint8_t)operation,
        .result = result,
        .start_ns = took_ns > 0 ? scene.t_ns - took_ns : 0,
        .fd = 5,
        .arguments = "...",
    };
    struct program_call *call = calloc(1, sizeof *call);
    assert_non_null(call);
    call->event = event_clone(&event);
    assert_non_null(call->event);
    call->socket_cookie = cookie;
    call->stream = cookie;
    call->fd = 100 + (int32_t)cookie;
    return call;
}

static inline void give(struct program_call *call)
{
    join_call(scene.session, call);
    program_call_free(call);
}

static inline void called(enum sonde_operation operation, uint64_t cookie, int64_t took_ns, int64_t result)
{
    give(new_call(operation, cookie, took_ns, result));
}

static inline void accepted(const struct tuple *tuple, uint64_t cookie)
{
    struct program_call *call = new_call(SONDE_OP_ACCEPT, cookie, 0, 100 + (int64_t)cookie);
    call->has_addresses = true;
    call->local = address_of(tuple, END_B);
    call->peer = address_of(tuple, END_A);
    give(call);
}

static inline struct program_call *new_connect(const struct tuple *tuple, uint64_t cookie, int64_t took_ns,
                                               int64_t result)
{
    struct program_call *call = new_call(SONDE_OP_CONNECT, cookie, took_ns, result);
    call->has_target = true;
    call->target = address_of(tuple, END_B);
    return call;
}

/* ---- what was shown */

static inline const struct event *find_call(enum sonde_operation operation, unsigned phase, unsigned which)
{
    for (unsigned i = 0; i < scene.n_shown; i++) {
        const struct event *event = scene.shown[i];
        if (event->kind == EVENT_KIND_CALL && event->call.operation == operation && event->call.phase == phase &&
            which-- == 0)
            return event;
    }
    fail_msg("no such %s", sonde_operation_name(operation));
    return NULL;
}

static inline unsigned n_of(enum event_kind kind, uint64_t conn)
{
    unsigned n = 0;
    for (unsigned i = 0; i < scene.n_shown; i++)
        n += scene.shown[i]->kind == kind && scene.shown[i]->conn == conn;
    return n;
}

static inline unsigned n_sentences(uint64_t conn, char mark)
{
    unsigned n = 0;
    for (unsigned i = 0; i < scene.n_shown; i++) {
        const struct event *event = scene.shown[i];
        n += event->kind == EVENT_KIND_SENTENCE && event->conn == conn && event->sentence.mark == mark;
    }
    return n;
}

/* Whatever is shown of a connection, its introduction is first; and time does not run backwards. */
static inline void introduced_first(void)
{
    int64_t last_ns = 0;
    for (unsigned i = 0; i < scene.n_shown; i++) {
        const struct event *event = scene.shown[i];
        bool first = event->conn != 0;
        for (unsigned j = 0; j < i && first; j++)
            first = scene.shown[j]->conn != event->conn;
        if (first)
            assert_int_equal(event->kind, EVENT_KIND_CONNECTION);
        assert_int_equal(event->conn & CONN_IS_SOCKET, 0);
        if (event->late)
            continue;
        assert_true(event->t_ns >= last_ns);
        last_ns = event->t_ns;
    }
}

static inline const struct event_connection *introduction(uint64_t conn)
{
    for (unsigned i = 0; i < scene.n_shown; i++) {
        if (scene.shown[i]->conn == conn && scene.shown[i]->kind == EVENT_KIND_CONNECTION)
            return &scene.shown[i]->connection;
    }
    fail_msg("connection %u was not introduced", (unsigned)conn);
    return NULL;
}

static const struct tuple tuple = {.port = {40000, 7007}, .isn = {1000, 5000}};

#endif
