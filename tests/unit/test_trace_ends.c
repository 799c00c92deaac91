/* SPDX-License-Identifier: MIT */
/* A capture of both ends of a wire: each packet's departure finds its arrival. */
#include "trace/ends.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "observe/event/event.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GIVEN_MAX 64
#define MS(time) ((int64_t)((time)*NS_PER_MS))

struct given {
    enum ends_kind kind;
    uint64_t number;
    int64_t t_ns;
    struct packet_course course;
    char why[64], data[16];
};

static struct {
    struct ends *ends;
    struct given given[GIVEN_MAX];
    size_t n, n_all;
    uint64_t n_packets;
} scene;

static void on_given(const struct ends_packet *packet, void *user)
{
    assert_ptr_equal(user, &scene);
    scene.n_all++;
    if (scene.n == GIVEN_MAX)
        return;
    struct given *given = &scene.given[scene.n++];
    *given = (struct given){
        .kind = packet->kind, .number = packet->packet->number, .t_ns = packet->t_ns, .course = packet->course};
    snprintf(given->why, sizeof given->why, "%s", packet->why ? packet->why : "");
    snprintf(given->data, sizeof given->data, "%.*s", (int)packet->packet->n_captured,
             (const char *)packet->packet->data);
}

static void begin(void)
{
    memset(&scene, 0, sizeof scene);
    scene.ends = ends_new(on_given, &scene);
    assert_non_null(scene.ends);
}

static void end(void)
{
    ends_finish(scene.ends);
    ends_free(scene.ends);
}

/* All that is lent is gone after the call. */
static struct packet make(uint32_t interface, enum packet_direction direction, const char *data, const char *comment)
{
    return (struct packet){
        .number = ++scene.n_packets,
        .data = (const uint8_t *)data,
        .n_captured = (uint32_t)strlen(data),
        .n_wire = (uint32_t)strlen(data),
        .link_type = LINK_ETHERNET,
        .interface = interface,
        .direction = direction,
        .comment = comment,
    };
}

static void put(double ms, uint32_t interface, enum packet_direction direction, const char *data, const char *comment)
{
    char *lent = strdup(data), *said = comment ? strdup(comment) : NULL;
    struct packet packet = make(interface, direction, lent, said);
    assert_int_equal(ends_put(scene.ends, MS(ms), &packet), 0);
    memset(lent, 'x', strlen(lent));
    free(lent);
    free(said);
}

static const struct given *next(enum ends_kind kind, uint64_t number, const char *data)
{
    static size_t at;
    if (number == 1 && kind != ENDS_COPY)
        at = 0;
    assert_true(at < scene.n);
    const struct given *given = &scene.given[at++];
    assert_int_equal(given->kind, kind);
    assert_int_equal(given->number, number);
    assert_string_equal(given->data, data);
    return given;
}

static void arrived(const struct given *given, double left_ms, double arrived_ms)
{
    assert_int_equal(given->course.fate, FATE_ARRIVED);
    assert_int_equal(given->t_ns, MS(left_ms));
    assert_int_equal(given->course.arrived_ns, MS(arrived_ms));
}

static void departures_find_their_arrivals(void **state)
{
    begin();
    put(0, 0, PACKET_OUT, "one", "somebody else's words");
    put(1, 0, PACKET_OUT, "two", "sonde: connection 1, segment 2, never arrived: lost");
    put(2, 1, PACKET_OUT, "one", NULL); /* the same bytes, the other way */
    assert_int_equal(scene.n, 0);       /* it may have one end only */
    put(3, 0, PACKET_OUT, "same", NULL);
    put(4, 0, PACKET_OUT, "same", NULL);
    put(5, 1, PACKET_IN, "one", NULL);
    put(6, 0, PACKET_IN, "one", NULL);
    put(7, 1, PACKET_IN, "same", NULL);
    put(9, 1, PACKET_IN, "same", NULL);
    put(9, 0, PACKET_OUT, "three", NULL); /* and no word of it */
    assert_true(ends_wait(scene.ends));
    end();
    const struct given *given = next(ENDS_LEFT, 1, "one");
    arrived(given, 0, 5);
    assert_string_equal(given->why, "");
    given = next(ENDS_LEFT, 2, "two");
    assert_int_equal(given->course.fate, FATE_LOST);
    assert_string_equal(given->why, "never arrived: lost");
    assert_null(given->course.why); /* a share that was asked for */
    arrived(next(ENDS_LEFT, 3, "one"), 2, 6);
    arrived(next(ENDS_LEFT, 4, "same"), 3, 7);
    arrived(next(ENDS_LEFT, 5, "same"), 4, 9);
    next(ENDS_ARRIVED, 6, "one");
    next(ENDS_ARRIVED, 7, "one");
    next(ENDS_ARRIVED, 8, "same");
    next(ENDS_ARRIVED, 9, "same");
    assert_int_equal(next(ENDS_LEFT, 10, "three")->course.fate, FATE_LOST);
    assert_int_equal(scene.n, 10);
}

static void what_the_wire_did(void **state)
{
    begin();
    put(0, 0, PACKET_OUT, "one", "sonde, made twice on the wire");
    put(1, 0, PACKET_OUT, "bit", "sonde, a bit was changed on the wire (these bytes are as they left)");
    put(1, 0, PACKET_OUT, "full", "sonde, never arrived: queue full");
    put(5, 1, PACKET_IN, "one", "sonde, made twice on the wire");
    put(5.1, 1, PACKET_IN, "one", "sonde, a copy, made on the wire");
    put(6, 1, PACKET_IN, "bit", "sonde, a bit was changed on the wire (these bytes are as they left)");
    put(7, 0, PACKET_IN, "icmp", "sonde, sent by the wire itself");
    put(20, 0, PACKET_IN, "icmp", "sonde, sent by the wire itself");
    put(30, 1, PACKET_IN, "one", "sonde, a copy, made on the wire"); /* nobody said that it would come */
    end();
    const struct given *given = next(ENDS_LEFT, 1, "one");
    arrived(given, 0, 5);
    assert_string_equal(given->why, "made twice on the wire");
    given = next(ENDS_COPY, 1, "one"); /* told behind its original, and of the same number */
    arrived(given, 0, 5.1);
    assert_true(given->course.copy);
    given = next(ENDS_LEFT, 2, "bit");
    assert_int_equal(given->course.fate, FATE_THROWN);
    assert_non_null(given->course.why);
    given = next(ENDS_LEFT, 3, "full");
    assert_int_equal(given->course.fate, FATE_LOST);
    assert_non_null(given->course.why);
    next(ENDS_ARRIVED, 4, "one");
    assert_string_equal(next(ENDS_ARRIVED, 5, "one")->why, "a copy, made on the wire");
    next(ENDS_ARRIVED, 6, "bit");
    arrived(next(ENDS_LEFT, 7, "icmp"), 7, 7);
    arrived(next(ENDS_LEFT, 8, "icmp"), 20, 20);
    given = next(ENDS_LEFT, 9, "one");
    arrived(given, 30, 30);
    assert_true(given->course.copy);
}

/* A copy is told behind its original however late it comes; of packets that are alike, each has its own. */
static void a_copy_is_waited_for(void **state)
{
    begin();
    put(0, 0, PACKET_OUT, "same", "sonde, made twice on the wire");
    put(1, 0, PACKET_OUT, "same", "sonde, made twice on the wire, held back on the wire");
    put(2, 0, PACKET_OUT, "lost", "sonde, made twice on the wire");
    put(5, 1, PACKET_IN, "same", NULL);
    put(6, 1, PACKET_IN, "same", NULL);
    put(7, 1, PACKET_IN, "lost", NULL);
    assert_int_equal(scene.n, 0);
    put(1000, 1, PACKET_IN, "same", "sonde, a copy, made on the wire");
    assert_int_equal(scene.n, 2);
    put(2000, 1, PACKET_IN, "same", "sonde, a copy, made on the wire");
    assert_int_equal(scene.n, 4);
    end();
    arrived(next(ENDS_LEFT, 1, "same"), 0, 5);
    arrived(&scene.given[1], 0, 1000);
    assert_int_equal(scene.given[1].kind, ENDS_COPY);
    arrived(&scene.given[2], 1, 6);
    assert_string_equal(scene.given[2].why, "made twice on the wire, held back on the wire");
    arrived(&scene.given[3], 1, 2000);
    assert_int_equal(scene.given[3].number, 2);
    arrived(&scene.given[4], 2, 7);
    assert_int_equal(scene.n, 10); /* all five that arrived, and three that left, with two copies */
}

/* What one end has seen only, is as any capture. */
static void one_end_only(void **state)
{
    begin();
    put(0, 0, PACKET_OUT, "one", NULL);
    put(1, 0, PACKET_OUT, "two", "sonde, never arrived: lost");
    put(2, 0, PACKET_IN, "one", NULL); /* no wire brings it back */
    end();
    next(ENDS_ALONE, 1, "one");
    next(ENDS_ALONE, 2, "two");
    next(ENDS_ALONE, 3, "one");
}

static void waiting_is_bounded(void **state)
{
    begin();
    put(0, 0, PACKET_OUT, "first", NULL);
    put(5, 1, PACKET_IN, "first", NULL);
    char data[16];
    for (unsigned i = 0; i < ENDS_PACKETS_MAX + 100; i++) {
        snprintf(data, sizeof data, "%u", i);
        put(10 + i / 100.0, 0, PACKET_OUT, data, NULL);
    }
    assert_int_equal(scene.n_all, 2 + 100);
    assert_int_equal(scene.given[2].course.fate, FATE_ARRIVED);
    put(70000, 0, PACKET_OUT, "much later", NULL); /* nothing is under way for so long */
    assert_int_equal(scene.n_all, 2 + 100 + ENDS_PACKETS_MAX);
    end();
    /* The same before both ends were seen. */
    begin();
    for (unsigned i = 0; i < ENDS_PACKETS_MAX + 100; i++)
        put(0, 0, PACKET_OUT, "alike", NULL);
    assert_int_equal(scene.given[0].kind, ENDS_ALONE);
    put(0, 1, PACKET_IN, "alike", NULL); /* that is settled */
    end();
    assert_int_equal(scene.n_all, ENDS_PACKETS_MAX + 101);
    assert_int_equal(scene.given[GIVEN_MAX - 1].kind, ENDS_ALONE);
}

/* With -c: what follows is looked at for what was asked for. */
static void looks_ahead(void **state)
{
    begin();
    put(0, 0, PACKET_OUT, "one", NULL);
    assert_true(ends_wait(scene.ends));
    struct packet packet = make(0, PACKET_OUT, "two", NULL);
    ends_look(scene.ends, MS(1), &packet);
    assert_true(ends_wait(scene.ends));
    packet = make(1, PACKET_IN, "one", NULL);
    ends_look(scene.ends, MS(5), &packet);
    assert_false(ends_wait(scene.ends));
    end();
    assert_int_equal(scene.n, 1);
    arrived(next(ENDS_LEFT, 1, "one"), 0, 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(departures_find_their_arrivals),
        cmocka_unit_test(what_the_wire_did),
        cmocka_unit_test(a_copy_is_waited_for),
        cmocka_unit_test(one_end_only),
        cmocka_unit_test(waiting_is_bounded),
        cmocka_unit_test(looks_ahead),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
