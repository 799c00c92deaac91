/* SPDX-License-Identifier: MIT */
/* Packets watched at both ends, for tests: a time in ms for each, and 5 ms of flight unless it is said otherwise. Their
 * events go through a time line, and can be drawn. */
#ifndef COURSE_SCENE_H
#define COURSE_SCENE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "observe/event/timeline.h"
#include "observe/ladder/ladder.h"
#include "packet_make.h"
#include "trace/packets.h"

#include <stdlib.h>

#define SCENE_EVENTS_MAX 256
#define SCENE_TEXT_MAX 32768
#define SCENE_BEGIN_NS (1000 * NS_PER_S)
#define FLIGHT_NS (5 * NS_PER_MS)
#define LOST INT64_MIN

static struct {
    struct packets *packets;
    struct timeline *line;
    struct made_packet made;
    struct packets_result result;
    struct event *events[SCENE_EVENTS_MAX];
    unsigned n_events;
    struct conversation over;
    unsigned n_over;
    char followed[N_ENDS][256];
    char text[SCENE_TEXT_MAX];
    size_t n_text;
} scene;

static const struct tuple tuple = {.host = {1, 2}, .port = {40000, 7007}, .isn = {1000, 5000}};

static inline void scene_event(const struct event *event, void *user)
{
    assert_int_equal(timeline_push(scene.line, event), 0);
}

static inline void scene_ordered(const struct event *event, void *user)
{
    assert_false(event->late);
    assert_true(scene.n_events < SCENE_EVENTS_MAX);
    scene.events[scene.n_events] = event_clone(event);
    assert_non_null(scene.events[scene.n_events++]);
}

static inline void scene_data(const struct conversation *conversation, int64_t t_ns, enum event_end from,
                              const void *data, size_t n_bytes, uint64_t n_missing, bool push, void *user)
{
    size_t n = strlen(scene.followed[from]);
    assert_true(n + n_bytes < sizeof scene.followed[from]);
    memcpy(scene.followed[from] + n, data, n_bytes);
    scene.followed[from][n + n_bytes] = '\0';
}

static inline void scene_conversation(const struct conversation *conversation, void *user)
{
    scene.over = *conversation;
    scene.n_over++;
}

static inline void scene_begin(bool sentences)
{
    struct packets_owner owner = {.event = scene_event,
                                  .data = scene_data,
                                  .conversation = scene_conversation,
                                  .sentences = sentences,
                                  .where = "wire"};
    memset(&scene, 0, sizeof scene);
    scene.line = timeline_new(10 * NS_PER_S, 1000, (struct timeline_sink){scene_ordered, NULL});
    assert_non_null(scene.line);
    scene.packets = packets_new(&owner);
    assert_non_null(scene.packets);
}

static inline int scene_end(void **state)
{
    packets_free(scene.packets);
    timeline_free(scene.line);
    for (unsigned i = 0; i < scene.n_events; i++)
        free(scene.events[i]);
    memset(&scene, 0, sizeof scene);
    return 0;
}

/* All has been given: all is told. */
static inline void scene_finish(void)
{
    packets_finish(scene.packets);
    timeline_flush(scene.line);
}

static inline int64_t at_ms(double ms)
{
    return SCENE_BEGIN_NS + (int64_t)(ms * NS_PER_MS + 0.5);
}

static inline void give(double ms, enum event_end from, unsigned flags, uint32_t seq, uint32_t ack, const char *payload,
                        const struct packet_course *course)
{
    make_packet(&scene.made, &tuple, from, flags, seq, ack, payload, payload ? (uint32_t)strlen(payload) : 0);
    packets_course(scene.packets, at_ms(ms), &scene.made.packet, course, &scene.result);
}

/* It arrives so many ms later; 0: 5 ms. */
static inline void arrives(double ms, double flight_ms, enum event_end from, unsigned flags, uint32_t seq, uint32_t ack,
                           const char *payload)
{
    int64_t flight_ns = flight_ms > 0 ? (int64_t)(flight_ms * NS_PER_MS + 0.5) : FLIGHT_NS;
    struct packet_course course = {.fate = FATE_ARRIVED, .arrived_ns = at_ms(ms) + flight_ns};
    give(ms, from, flags, seq, ack, payload, &course);
}

static inline void is_lost(double ms, enum event_end from, unsigned flags, uint32_t seq, uint32_t ack,
                           const char *payload)
{
    struct packet_course course = {.fate = FATE_LOST};
    give(ms, from, flags, seq, ack, payload, &course);
}

/* SYN, SYN-ACK, ACK: done at 15 ms. */
static inline void shake_hands(void)
{
    arrives(0, 0, END_A, S, 0, 0, NULL);
    arrives(5.02, 0, END_B, S | K, 0, 1, NULL);
    arrives(10.04, 0, END_A, K, 1, 1, NULL);
}

/* ---- what was told */

/* The n-th segment's event (its number). */
static inline const struct event *told(uint32_t number)
{
    for (unsigned i = 0; i < scene.n_events; i++) {
        if (scene.events[i]->kind == EVENT_KIND_SEGMENT && scene.events[i]->segment.number == number)
            return scene.events[i];
    }
    fail_msg("segment %u was not told", number);
    return NULL;
}

static inline void expect_states(uint32_t number, enum tcp_state a, enum tcp_state b, int line)
{
    const struct event_segment *segment = &told(number)->segment;
    if (segment->state[END_A] != a || segment->state[END_B] != b)
        fail_msg("line %d: after #%u: %s %s, and should be %s %s", line, number, tcp_state_name(segment->state[END_A]),
                 tcp_state_name(segment->state[END_B]), tcp_state_name(a), tcp_state_name(b));
}

#define EXPECT_STATES(number, a, b) expect_states(number, TCP_STATE_##a, TCP_STATE_##b, __LINE__)

static inline void expect_notes(uint32_t number, uint64_t notes, int line)
{
    uint64_t has = told(number)->segment.notes;
    if (has != notes)
        fail_msg("line %d: #%u has notes %llx, and should have %llx", line, number, (unsigned long long)has,
                 (unsigned long long)notes);
}

#define EXPECT_NOTES(number, notes) expect_notes(number, notes, __LINE__)
#define N(name) NOTE_BIT(NOTE_##name)

static inline void scene_write(const char *text, size_t n_bytes, void *user)
{
    assert_true(scene.n_text + n_bytes < sizeof scene.text);
    memcpy(scene.text + scene.n_text, text, n_bytes);
    scene.n_text += n_bytes;
    scene.text[scene.n_text] = '\0';
}

static inline const char *draw(unsigned width, bool live)
{
    struct ladder_options options = {.width = width, .unicode = true, .live = live};
    struct ladder *ladder = ladder_new(&options, scene_write, NULL);
    assert_non_null(ladder);
    scene.n_text = 0;
    for (unsigned i = 0; i < scene.n_events; i++)
        ladder_event(ladder, scene.events[i]);
    ladder_finish(ladder);
    ladder_free(ladder);
    return scene.text;
}

static inline const char *draw_svg(void)
{
    scene.n_text = 0;
    assert_int_equal(ladder_svg((const struct event *const *)scene.events, scene.n_events, 1, NULL, scene_write, NULL),
                     0);
    return scene.text;
}

#endif
