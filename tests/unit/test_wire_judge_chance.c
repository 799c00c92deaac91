/* SPDX-License-Identifier: MIT */
/*
 * Choices of a wire: they are as many as the share says, evenly spread, and a function of the seed and of what the
 * packet is. Nothing here is random: what holds once holds always.
 */
#include "wire_scene.h"

#include <stdlib.h>

#define N_MANY 100000

/* A conversation of many packets of many kinds, told by when each leaves. */
struct told {
    char fates[4000]; /* a letter for each */
    size_t n;
};

static void tell(struct told *told, const struct wire_fate *fate)
{
    static const char letters[N_WIRE_REASONS] = {'.', 'x', 'd', 'q', 'm', 's', 'n'};
    char letter = letters[fate->reason];

    if (fate->n_copies == 2)
        letter = fate->corrupted ? 'D' : '2';
    else if (fate->corrupted)
        letter = (char)('a' + fate->corrupt_offset % 26);
    else if (fate->reordered)
        letter = 'r';
    assert_true(told->n + 1 < sizeof told->fates);
    told->fates[told->n++] = letter;
}

static void one_connection(struct scene *scene, struct told *told)
{
    tell(told, tcp(scene, END_A, S, 0, 0, 0));
    tell(told, tcp(scene, END_B, S | K, 0, 1, 0));
    tell(told, tcp(scene, END_A, K, 1, 1, 0));
    for (unsigned i = 0; i < 100; i++) {
        scene->t_ns += 1000;
        tell(told, tcp(scene, END_A, K, 1 + 1448 * i, 1, 1448));
        tell(told, tcp(scene, END_B, K, 1 + 10 * i, 1 + 1448 * i, 10));
        tell(told, tcp(scene, END_B, K, 1 + 10 * i, 1 + 1448 * i, 0));
        if (i % 10 == 9)
            tell(told, tcp(scene, END_A, K, 1 + 1448 * (i - 3), 1, 1448));
    }
    tell(told, tcp(scene, END_A, F | K, 1 + 144800, 1, 0));
    tell(told, tcp(scene, END_B, R, 1001, 0, 0));
}

static void conversation(struct scene *scene, struct told *told)
{
    one_connection(scene, told);
    scene->client_port += 7;
    scene->isn[END_A] += 1234567;
    one_connection(scene, told);
    scene->ipv6 = true;
    one_connection(scene, told);
    for (unsigned i = 0; i < 100; i++) {
        tell(told, udp(scene, END_A, 100));
        tell(told, udp(scene, END_B, 200));
        tell(told, icmp(scene, END_A, 128, (uint16_t)(scene->client_port + 3)));
    }
}

static const char *const mixed = "loss 20%, duplicate 15%, corrupt 10%, reorder 20% by 3ms";

static void tell_all(uint64_t seed, uint16_t client_port, uint32_t isn, int64_t pause_ns, struct told *told)
{
    struct scene scene;

    *told = (struct told){0};
    scene_begin(&scene, seed, mixed);
    rules_for(&scene, END_B, mixed);
    scene.client_port = client_port;
    scene.isn[END_A] = isn;
    scene.isn[END_B] = isn * 3;
    scene.t_ns += pause_ns;
    conversation(&scene, told);
    scene_end(&scene);
}

static void same_again(void **state)
{
    struct told first, again;

    tell_all(42, 40000, 1000, 0, &first);
    tell_all(42, 40000, 1000, 0, &again);
    assert_string_equal(first.fates, again.fates);
    /* Other ports of the client, other numbers, another time: the same conversation. */
    tell_all(42, 59999, UINT32_MAX - 5000, 3 * NS_PER_S, &again);
    assert_string_equal(first.fates, again.fates);
}

static void other_seeds_differ(void **state)
{
    struct told first, other;

    tell_all(42, 40000, 1000, 0, &first);
    for (uint64_t seed = 0; seed < 40; seed++) {
        tell_all(seed, 40000, 1000, 0, &other);
        unsigned n_same = 0;
        for (size_t i = 0; i < first.n; i++)
            n_same += first.fates[i] == other.fates[i];
        assert_int_equal(first.n, other.n);
        assert_true(n_same < first.n * 6 / 10);
    }
}

/* What passes between two packets of a connection does not change their fates. */
static void others_do_not_matter(void **state)
{
    struct scene alone, among;

    scene_begin(&alone, 7, "loss 50%");
    scene_begin(&among, 7, "loss 50%");
    handshake(&alone);
    handshake(&among);
    for (unsigned i = 0; i < 500; i++) {
        bool lost = tcp(&alone, END_A, K, 1 + 100 * i, 1, 100)->reason == WIRE_LOST;
        among.t_ns += 1 + i * i % 97;
        among.server_port = 80;
        tcp(&among, END_A, K, 1 + 50 * i, 1, 50);
        udp(&among, END_A, i);
        arp(&among, END_A);
        among.server_port = 7007;
        tcp(&among, END_B, K, 1, 1 + 100 * i, 0);
        assert_int_equal(tcp(&among, END_A, K, 1 + 100 * i, 1, 100)->reason == WIRE_LOST, lost);
    }
    scene_end(&alone);
    scene_end(&among);
}

/* An ACK's fate is that of what it acknowledges, however many came before it. */
static void acks_by_what_they_say(void **state)
{
    struct scene few, many;

    scene_begin(&few, 7, "loss 50%");
    scene_begin(&many, 7, "loss 50%");
    handshake(&few);
    handshake(&many);
    for (unsigned i = 1; i < 500; i++) {
        for (unsigned n = 0; n < i % 5; n++)
            tcp(&many, END_A, K, 1, 1 + 100 * i - 50, 0);
        bool lost = tcp(&few, END_A, K, 1, 1 + 100 * i, 0)->reason == WIRE_LOST;
        assert_int_equal(tcp(&many, END_A, K, 1, 1 + 100 * i, 0)->reason == WIRE_LOST, lost);
    }
    scene_end(&few);
    scene_end(&many);
}

/* A server's port that the kernel picked is another one each time, too. */
static void ports_of_servers(void **state)
{
    struct told told[4];
    const uint16_t ports[] = {33333, 48888, 7007, 7008};

    for (unsigned i = 0; i < 4; i++) {
        struct scene scene;
        scene_begin(&scene, 3, mixed);
        scene.server_port = ports[i];
        told[i] = (struct told){0};
        one_connection(&scene, &told[i]);
        scene_end(&scene);
    }
    assert_string_equal(told[0].fates, told[1].fates);
    assert_string_not_equal(told[0].fates, told[2].fates);
    assert_string_not_equal(told[2].fates, told[3].fates);
}

/* Each copy is another choice, so that nothing is lost for ever. */
static void copies_are_choices(void **state)
{
    struct scene scene;
    unsigned n_lost[12] = {0};

    scene_begin(&scene, 5, "loss 50%");
    handshake(&scene);
    for (unsigned i = 0; i < 2000; i++) {
        for (unsigned copy = 0; copy < 12; copy++) {
            if (tcp(&scene, END_A, K, 1 + 100 * i, 1, 100)->reason != WIRE_LOST)
                break;
            n_lost[copy]++;
        }
    }
    for (unsigned copy = 0; copy < 5; copy++)
        assert_in_range(n_lost[copy], (1000u >> copy) * 3 / 4, (1000u >> copy) * 5 / 4);
    assert_int_equal(n_lost[11] / 4, 0);
    scene_end(&scene);
}

/* The same data cut elsewhere, the SYN, pure ACKs of one number, datagrams: each has its own choice. */
static void all_kinds_of_choices(void **state)
{
    struct scene scene;
    unsigned n_acks = 0, n_syns = 0, n_fins = 0, n_resets = 0, n_datagrams = 0, n_pings = 0;

    scene_begin(&scene, 11, "loss 50%");
    for (unsigned i = 0; i < 2000; i++) {
        scene.client_port = (uint16_t)(20000 + i);
        n_syns += tcp(&scene, END_A, S, 0, 0, 0)->reason == WIRE_LOST;
        n_fins += tcp(&scene, END_A, F | K, 1, 1, 0)->reason == WIRE_LOST;
        n_resets += tcp(&scene, END_A, R, 2, 0, 0)->reason == WIRE_LOST;
        n_acks += tcp(&scene, END_A, K, 1, 1, 0)->reason == WIRE_LOST;
        n_pings += icmp(&scene, END_A, 8, 77)->reason == WIRE_LOST;
        scene.client_port = 20000;
        n_datagrams += udp(&scene, END_A, 5)->reason == WIRE_LOST;
    }
    assert_in_range(n_syns, 900, 1100);
    assert_in_range(n_fins, 900, 1100);
    assert_in_range(n_resets, 900, 1100);
    assert_in_range(n_acks, 900, 1100);
    assert_in_range(n_datagrams, 900, 1100);
    assert_in_range(n_pings, 900, 1100);
    n_acks = 0;
    for (unsigned i = 0; i < 2000; i++)
        n_acks += tcp(&scene, END_A, K, 1, 1, 0)->reason == WIRE_LOST; /* the same ACK again and again */
    assert_in_range(n_acks, 900, 1100);
    scene_end(&scene);
}

/* Within four standard deviations of so many independent choices. */
static void shares_are_kept(void **state)
{
    static const struct {
        const char *share;
        double part;
    } rows[] = {{"0%", 0},    {"0.01%", 0.0001}, {"0.1%", 0.001}, {"1%", 0.01},
                {"10%", 0.1}, {"50%", 0.5},      {"99%", 0.99},   {"100%", 1}};

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct scene scene;
        char text[128];
        snprintf(text, sizeof text, "loss %s of data, duplicate %s", rows[i].share, rows[i].share);
        scene_begin(&scene, 1234 + i, text);
        handshake(&scene);
        unsigned n_lost = 0, n_doubled = 0;
        for (unsigned n = 0; n < N_MANY; n++) {
            n_lost += tcp(&scene, END_A, K, 1 + 100 * n, 1, 100)->reason == WIRE_LOST;
            n_doubled += scene.fate.n_copies == 2;
        }
        double wanted = N_MANY * rows[i].part, off = n_lost - wanted, variance = wanted * (1 - rows[i].part);
        assert_true(off * off <= 16 * variance);
        /* Another clause chooses for itself, of those that are left. */
        wanted *= 1 - rows[i].part;
        off = n_doubled - wanted;
        assert_true(off * off <= 16 * wanted);
        scene_end(&scene);
    }
}

/* Losses do not come in a pattern: as many pairs and triples as there should be. */
static void losses_are_independent(void **state)
{
    struct scene scene;
    unsigned n_pairs = 0, n_triples = 0, in_row = 0;

    scene_begin(&scene, 77, "loss 10%");
    handshake(&scene);
    for (unsigned n = 0; n < N_MANY; n++) {
        in_row = tcp(&scene, END_A, K, 1 + 100 * n, 1, 100)->reason == WIRE_LOST ? in_row + 1 : 0;
        n_pairs += in_row >= 2;
        n_triples += in_row >= 3;
    }
    assert_in_range(n_pairs, 850, 1150);
    assert_in_range(n_triples, 60, 140);
    scene_end(&scene);
}

static void jitter_is_even(void **state)
{
    struct scene scene;
    unsigned n[10] = {0};

    scene_begin(&scene, 9, "delay 20ms +-5ms");
    for (unsigned i = 0; i < N_MANY; i++) {
        scene.t_ns += NS_PER_S; /* so far apart that order does not hold any back */
        int64_t late_ns = udp(&scene, END_A, 10)->due_ns[0] - scene.t_ns;
        assert_in_range(late_ns, 15 * NS_PER_MS, 25 * NS_PER_MS);
        unsigned part = (unsigned)((late_ns - 15 * NS_PER_MS) / NS_PER_MS);
        n[part < 10 ? part : 9]++;
    }
    for (unsigned i = 0; i < 10; i++)
        assert_in_range(n[i], N_MANY / 10 - 400, N_MANY / 10 + 400);
    scene_end(&scene);
}

static void corrupted_bits(void **state)
{
    struct scene scene;
    unsigned seen_bytes[TCP_BYTES + 30] = {0}, seen_bits[8] = {0};

    for (unsigned ipv6 = 0; ipv6 < 2; ipv6++) {
        size_t header = ETHERNET_BYTES + (ipv6 ? IPV6_BYTES : IPV4_BYTES);
        scene_begin(&scene, 21, "corrupt data");
        scene.ipv6 = ipv6;
        handshake(&scene);
        assert_false(scene.fate.corrupted);
        for (unsigned i = 0; i < 20000; i++) {
            const struct wire_fate *fate = tcp(&scene, END_A, K, 1 + 30 * i, 1, 30);
            assert_true(fate->corrupted);
            assert_int_equal(fate->n_copies, 1);
            assert_in_range(fate->corrupt_offset, header, header + TCP_BYTES + 29);
            assert_int_equal(__builtin_popcount(fate->corrupt_mask), 1);
            seen_bytes[fate->corrupt_offset - header]++;
            seen_bits[__builtin_ctz(fate->corrupt_mask)]++;
        }
        /* Not in what Ethernet puts behind a short packet. */
        rules_for(&scene, END_A, "corrupt any");
        udp(&scene, END_A, 0);
        scene.n_frame = 60;
        for (unsigned i = 0; i < 1000; i++)
            assert_in_range(judge_frame(&scene, END_A)->corrupt_offset, header, header + 7);
        scene_end(&scene);
    }
    for (size_t i = 0; i < TCP_BYTES + 30; i++)
        assert_in_range(seen_bytes[i], 600, 1000);
    for (unsigned i = 0; i < 8; i++)
        assert_in_range(seen_bits[i], 4700, 5300);
    /* An IP packet with nothing in it has nothing that could be changed. */
    scene_begin(&scene, 21, "corrupt any");
    put_ip(&scene, END_A, 253, 0);
    assert_false(judge_frame(&scene, END_A)->corrupted);
    scene_end(&scene);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(same_again),
        cmocka_unit_test(other_seeds_differ),
        cmocka_unit_test(others_do_not_matter),
        cmocka_unit_test(acks_by_what_they_say),
        cmocka_unit_test(ports_of_servers),
        cmocka_unit_test(copies_are_choices),
        cmocka_unit_test(all_kinds_of_choices),
        cmocka_unit_test(shares_are_kept),
        cmocka_unit_test(losses_are_independent),
        cmocka_unit_test(jitter_is_even),
        cmocka_unit_test(corrupted_bits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
