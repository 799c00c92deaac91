/* SPDX-License-Identifier: MIT */
/* When packets arrive: delays, lines and their queues, order and its exceptions, and what is too large. */
#include "wire_scene.h"

#include <stdlib.h>

#define MS NS_PER_MS
#define US NS_PER_US
#define UDP_HEADERS (ETHERNET_BYTES + IPV4_BYTES + 8)

/* A UDP packet whose frame has so many bytes; how late it is. */
static int64_t late(struct scene *scene, enum event_end from, size_t n_frame)
{
    const struct wire_fate *fate = udp(scene, from, (uint32_t)(n_frame - UDP_HEADERS));

    assert_fate(fate, WIRE_PASSED);
    return fate->due_ns[0] - scene->t_ns;
}

static void delays_add_up(void **state)
{
    struct scene scene;

    scene_begin(&scene, 1, "delay 20ms, delay 3ms, delay 7ms port 80, delay 1s from 10s");
    assert_int_equal(late(&scene, END_A, 100), 23 * MS);
    assert_int_equal(late(&scene, END_B, 100), 0);
    scene.server_port = 80;
    assert_int_equal(late(&scene, END_A, 100), 30 * MS);
    scene.t_ns += 10 * NS_PER_S;
    assert_int_equal(late(&scene, END_A, 100), 1030 * MS);
    scene_end(&scene);
}

static void jitter_keeps_order(void **state)
{
    struct scene scene;
    int64_t last_ns = 0;
    unsigned n_held = 0;

    scene_begin(&scene, 4, "delay 20ms +-20ms");
    for (unsigned i = 0; i < 10000; i++) {
        scene.t_ns += MS;
        scene.client_port = (uint16_t)(40000 + i % 10);
        int64_t due_ns = udp(&scene, END_A, 10)->due_ns[0];
        assert_true(due_ns >= last_ns);
        assert_in_range(due_ns - scene.t_ns, 0, 40 * MS);
        n_held += due_ns == last_ns;
        last_ns = due_ns;
    }
    assert_true(n_held > 5000);
    scene_end(&scene);
}

/* A shorter delay does not overtake a longer one, whichever way the rules changed. */
static void order_stays(void **state)
{
    struct scene scene;

    scene_begin(&scene, 1, "delay 200ms to 1s");
    scene.t_ns += 999 * MS;
    assert_int_equal(late(&scene, END_A, 100), 200 * MS);
    scene.t_ns += MS;
    assert_int_equal(late(&scene, END_A, 100), 199 * MS);
    rules_for(&scene, END_A, "");
    scene.t_ns += MS;
    assert_int_equal(late(&scene, END_A, 100), 198 * MS);
    scene.t_ns += 198 * MS;
    assert_int_equal(late(&scene, END_A, 100), 0);
    scene_end(&scene);
}

/* What is slow for one port holds up no other; for that port order is kept. */
static void ports_have_lanes(void **state)
{
    struct scene scene;

    scene_begin(&scene, 1, "delay 1ms, delay 50ms port 80 to 1s, rate 8Mbit port 81");
    scene.server_port = 80;
    assert_int_equal(late(&scene, END_A, 100), 51 * MS);
    scene.server_port = 79;
    assert_int_equal(late(&scene, END_A, 100), MS);
    scene.server_port = 81;
    assert_int_equal(late(&scene, END_A, 1000), 2 * MS);
    assert_int_equal(late(&scene, END_A, 1000), 3 * MS);
    scene.server_port = 79;
    assert_int_equal(late(&scene, END_A, 100), MS);
    scene.server_port = 80;
    scene.t_ns += 990 * MS;
    assert_int_equal(late(&scene, END_A, 100), 51 * MS);
    scene.t_ns += 10 * MS; /* over, and still behind it */
    assert_int_equal(late(&scene, END_A, 100), 41 * MS);
    scene_end(&scene);
}

/* Nor does what had a lane of its own, when it has none any more. */
static void lanes_end(void **state)
{
    struct scene scene;

    scene_begin(&scene, 1, "delay 50ms port 7007");
    assert_int_equal(late(&scene, END_A, 100), 50 * MS);
    rules_for(&scene, END_A, "");
    scene.t_ns += MS;
    assert_int_equal(late(&scene, END_A, 100), 49 * MS);
    scene_end(&scene);
}

static void reordered_is_overtaken(void **state)
{
    struct scene scene;
    int64_t due_ns[6];

    scene_begin(&scene, 1, "delay 5ms, reorder data #2 by 3ms");
    handshake(&scene);
    for (unsigned i = 1; i <= 5; i++) {
        scene.t_ns += MS;
        due_ns[i] = tcp(&scene, END_A, K, 1 + 100 * i, 1, 100)->due_ns[0];
        assert_int_equal(scene.fate.reordered, i == 2);
        assert_int_equal(due_ns[i] - scene.t_ns, i == 2 ? 8 * MS : 5 * MS);
    }
    assert_true(due_ns[3] < due_ns[2] && due_ns[4] < due_ns[2] && due_ns[5] == due_ns[2]);
    rules_for(&scene, END_A, "reorder data by 3ms, reorder any by 4ms");
    assert_int_equal(tcp(&scene, END_A, K, 701, 1, 100)->due_ns[0] - due_ns[5], 7 * MS);
    scene_end(&scene);
}

static void duplicates_follow(void **state)
{
    struct scene scene;

    scene_begin(&scene, 1, "delay 5ms, duplicate data #2, duplicate data #2-, corrupt data #2, reorder data #3 by 1ms");
    handshake(&scene);
    for (unsigned i = 1; i <= 3; i++) {
        const struct wire_fate *fate = tcp(&scene, END_A, K, 1 + 100 * i, 1, 100);
        assert_int_equal(fate->n_copies, i == 1 ? 1 : 2);
        assert_int_equal(fate->due_ns[0], scene.t_ns + (i == 3 ? 6 : 5) * MS);
        if (i > 1)
            assert_int_equal(fate->due_ns[1], fate->due_ns[0]);
        assert_int_equal(fate->corrupted, i == 2);
    }
    scene_end(&scene);
}

static void line_is_exact(void **state)
{
    struct scene scene;

    scene_begin(&scene, 1, "rate 8Mbit"); /* a byte takes 1 us */
    assert_int_equal(late(&scene, END_A, 1000), 1000 * US);
    assert_int_equal(late(&scene, END_A, 500), 1500 * US);
    scene.t_ns += 700 * US;
    assert_int_equal(late(&scene, END_A, 100), 900 * US);
    scene.t_ns += 900 * US; /* just idle */
    assert_int_equal(late(&scene, END_A, 100), 100 * US);
    scene.t_ns += NS_PER_S;
    assert_int_equal(late(&scene, END_A, 1514), 1514 * US);
    assert_int_equal(late(&scene, END_B, 1514), 0);
    /* ARP takes its time on the line, too. */
    assert_int_equal(arp(&scene, END_A)->due_ns[0] - scene.t_ns, (1514 + 42) * US);
    scene_end(&scene);

    scene_begin(&scene, 1, "rate 8Mbit, delay 10ms"); /* the delay is behind the line */
    assert_int_equal(late(&scene, END_A, 1000), 11 * MS);
    assert_int_equal(late(&scene, END_A, 1000), 12 * MS);
    scene_end(&scene);
}

/* What is less than a nanosecond is not lost: after three packets of 100 bytes at 7 bit/s, 2400/7 s. */
static void line_keeps_fractions(void **state)
{
    struct scene scene;

    scene_begin(&scene, 1, "rate 7bit");
    assert_true(late(&scene, END_A, 100) == 114285714285);
    assert_true(late(&scene, END_A, 100) == 228571428571);
    assert_true(late(&scene, END_A, 100) == 342857142857);
    scene_end(&scene);
    scene_begin(&scene, 1, "rate 3Gbit queue 100000 packets");
    int64_t late_ns = 0;
    for (unsigned i = 0; i < 3000; i++)
        late_ns = late(&scene, END_A, 100);
    assert_int_equal(late_ns, 800 * US);
    scene_end(&scene);
}

static void queue_of_packets(void **state)
{
    struct scene scene;

    scene_begin(&scene, 1, "rate 8Mbit queue 3 packets");
    for (unsigned i = 0; i < 4; i++) /* one is being sent, three wait */
        assert_int_equal(late(&scene, END_A, 1000), (i + 1) * MS);
    for (unsigned i = 0; i < 5; i++) {
        assert_fate(udp(&scene, END_A, 10), WIRE_QUEUE_FULL);
        assert_int_equal(scene.fate.n_copies, 0);
    }
    assert_int_equal(arp(&scene, END_A)->n_copies, 1); /* never refused */
    scene.t_ns += 999999;
    assert_fate(udp(&scene, END_A, 10), WIRE_QUEUE_FULL);
    scene.t_ns += 1 + MS;
    assert_int_equal(late(&scene, END_A, 1000), 3 * MS + 42 * US);
    assert_fate(udp(&scene, END_A, 10), WIRE_QUEUE_FULL);
    scene.t_ns += NS_PER_S;
    assert_int_equal(late(&scene, END_A, 1000), MS);
    scene_end(&scene);
}

static void queue_of_bytes(void **state)
{
    struct scene scene;

    scene_begin(&scene, 1, "rate 8Mbit queue 2000B");
    assert_int_equal(late(&scene, END_A, 9000), 9 * MS); /* an idle line takes any */
    assert_int_equal(late(&scene, END_A, 1500), 10500 * US);
    assert_fate(udp(&scene, END_A, 501 - UDP_HEADERS), WIRE_QUEUE_FULL);
    assert_int_equal(late(&scene, END_A, 500), 11 * MS); /* full to the byte */
    assert_fate(udp(&scene, END_A, 0), WIRE_QUEUE_FULL);
    scene.t_ns += 9 * MS;
    assert_int_equal(late(&scene, END_A, 1500), 3500 * US);
    assert_fate(udp(&scene, END_A, 0), WIRE_QUEUE_FULL);
    scene_end(&scene);
}

static void queue_of_time(void **state)
{
    struct scene scene;

    scene_begin(&scene, 1, "rate 8Mbit queue 2ms");
    assert_int_equal(late(&scene, END_A, 1000), MS);
    assert_int_equal(late(&scene, END_A, 1000), 2 * MS);
    assert_int_equal(late(&scene, END_A, 1000), 3 * MS); /* waits 2 ms */
    assert_fate(udp(&scene, END_A, 0), WIRE_QUEUE_FULL);
    scene.t_ns += MS;
    assert_int_equal(late(&scene, END_A, 1000), 3 * MS);
    assert_fate(udp(&scene, END_A, 0), WIRE_QUEUE_FULL);
    scene_end(&scene);
}

/* Whichever bound is met first; and what was taken away by other clauses has not waited. */
static void queue_of_all(void **state)
{
    struct scene scene;

    scene_begin(&scene, 1, "rate 8Mbit queue 10 packets queue 2500B queue 1s, drop 100% port 80, mtu 1400");
    scene.server_port = 80;
    for (unsigned i = 0; i < 100; i++)
        assert_fate(udp(&scene, END_A, 1000), WIRE_LOST);
    scene.server_port = 81;
    assert_fate(udp(&scene, END_A, 1400), WIRE_TOO_LARGE);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(late(&scene, END_A, 1000), (i + 1) * MS);
    assert_fate(udp(&scene, END_A, 1000), WIRE_QUEUE_FULL);
    scene_end(&scene);
}

/* One line behind another: the narrower one decides, and what it refuses has passed the first. */
static void lines_in_a_row(void **state)
{
    struct scene scene;

    scene_begin(&scene, 1, "rate 80Mbit, rate 8Mbit queue 2 packets");
    assert_int_equal(late(&scene, END_A, 1000), 1100 * US);
    assert_int_equal(late(&scene, END_A, 1000), 2100 * US);
    assert_int_equal(late(&scene, END_A, 1000), 3100 * US);
    assert_fate(udp(&scene, END_A, 1000 - UDP_HEADERS), WIRE_QUEUE_FULL);
    scene.t_ns += 1500 * US;
    assert_int_equal(late(&scene, END_A, 1000), 2600 * US);
    scene_end(&scene);
}

/* As many as the line can carry arrive, whatever is sent. */
static void line_is_used_up(void **state)
{
    struct scene scene;
    unsigned n_passed = 0, n_sent = 0;

    scene_begin(&scene, 1, "rate 10Mbit queue 64KiB");
    int64_t end_ns = scene.t_ns + NS_PER_S;
    for (; scene.t_ns < end_ns; scene.t_ns += 300 * US, n_sent++) {
        const struct wire_fate *fate = udp(&scene, END_A, 1250 - UDP_HEADERS); /* 1 ms */
        n_passed += fate->reason == WIRE_PASSED;
        if (fate->reason == WIRE_PASSED)
            assert_true(fate->due_ns[0] - scene.t_ns <= (65536 / 1250 + 2) * MS);
        else
            assert_fate(fate, WIRE_QUEUE_FULL);
    }
    assert_in_range(n_passed, 1000 + 52, 1000 + 54);
    assert_true(n_sent > 3000);
    scene_end(&scene);
}

static void no_room_is_said(void **state)
{
    struct scene scene;
    unsigned n = 0;

    scene_begin(&scene, 1, "rate 1bit queue 1048576 packets");
    while (udp(&scene, END_A, 60000)->reason == WIRE_PASSED) {
        assert_true(scene.fate.due_ns[0] > scene.t_ns);
        assert_true(++n < 1048576);
    }
    assert_fate(&scene.fate, WIRE_NO_ROOM); /* 1000 hours are the most */
    for (unsigned i = 0; i < 10; i++)
        assert_true(arp(&scene, END_A)->due_ns[0] > scene.t_ns);
    scene_end(&scene);
}

static void too_large(void **state)
{
    struct scene scene;

    for (unsigned ipv6 = 0; ipv6 < 2; ipv6++) {
        scene_begin(&scene, 1, "mtu 1400");
        scene.ipv6 = ipv6;
        uint32_t room = 1400 - 8 - (ipv6 ? IPV6_BYTES : IPV4_BYTES);
        assert_fate(udp(&scene, END_A, room), WIRE_PASSED);
        assert_false(scene.fate.tell_mtu);
        assert_fate(udp(&scene, END_A, room + 1), WIRE_TOO_LARGE);
        assert_true(scene.fate.tell_mtu);
        assert_int_equal(scene.fate.mtu_bytes, 1400);
        assert_int_equal(scene.fate.n_copies, 0);
        scene.may_fragment = true;
        assert_fate(udp(&scene, END_A, room + 1), WIRE_TOO_LARGE);
        assert_true(scene.fate.tell_mtu);
        assert_fate(tcp(&scene, END_A, K, 1, 1, room), WIRE_TOO_LARGE);
        assert_fate(udp(&scene, END_B, 60000), WIRE_PASSED);
        scene_end(&scene);
    }
    /* Nobody is told about an error, nor about a later fragment. */
    scene_begin(&scene, 1, "mtu 100");
    uint8_t *at = put_ip(&scene, END_A, IPPROTO_ICMP, 150);
    at[0] = 3;
    at[1] = 3;
    at[8] = 0x45;
    at[17] = 17;
    put16(at + 10, 142);
    assert_fate(judge_frame(&scene, END_A), WIRE_TOO_LARGE);
    assert_false(scene.fate.tell_mtu);
    udp(&scene, END_A, 500);
    put16(scene.frame + ETHERNET_BYTES + 6, 20);
    assert_fate(judge_frame(&scene, END_A), WIRE_TOO_LARGE);
    assert_false(scene.fate.tell_mtu);
    scene_end(&scene);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(delays_add_up),
        cmocka_unit_test(jitter_keeps_order),
        cmocka_unit_test(order_stays),
        cmocka_unit_test(ports_have_lanes),
        cmocka_unit_test(lanes_end),
        cmocka_unit_test(reordered_is_overtaken),
        cmocka_unit_test(duplicates_follow),
        cmocka_unit_test(line_is_exact),
        cmocka_unit_test(line_keeps_fractions),
        cmocka_unit_test(queue_of_packets),
        cmocka_unit_test(queue_of_bytes),
        cmocka_unit_test(queue_of_time),
        cmocka_unit_test(queue_of_all),
        cmocka_unit_test(lines_in_a_row),
        cmocka_unit_test(line_is_used_up),
        cmocka_unit_test(no_room_is_said),
        cmocka_unit_test(too_large),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
