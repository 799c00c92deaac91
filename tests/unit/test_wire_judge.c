/* SPDX-License-Identifier: MIT */
/* Which packets a wire's rules are about: kinds, numbers, copies, shares, windows of time and ports. */
#include "wire_scene.h"

#include <stdlib.h>

static void every_kind(void **state)
{
    struct scene scene;
    const char *kinds[] = {"syn", "syn-ack", "ack", "data", "fin", "rst", "udp", "icmp"};

    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        for (unsigned ipv6 = 0; ipv6 < 2; ipv6++) {
            char text[32];
            snprintf(text, sizeof text, "drop %s", kinds[i]);
            scene_begin(&scene, 1, text);
            rules_for(&scene, END_B, text);
            scene.ipv6 = ipv6;
            assert_fate(tcp(&scene, END_A, S, 0, 0, 0), i == 0 ? WIRE_DROPPED : WIRE_PASSED);
            assert_fate(tcp(&scene, END_B, S | K, 0, 1, 0), i == 1 ? WIRE_DROPPED : WIRE_PASSED);
            assert_fate(tcp(&scene, END_A, K, 1, 1, 0), i == 2 ? WIRE_DROPPED : WIRE_PASSED);
            assert_fate(tcp(&scene, END_A, P | K, 1, 1, 5), i == 3 ? WIRE_DROPPED : WIRE_PASSED);
            assert_fate(tcp(&scene, END_A, F | K, 6, 1, 0), i == 4 ? WIRE_DROPPED : WIRE_PASSED);
            assert_fate(tcp(&scene, END_B, F | P | K, 1, 7, 3), i == 3 || i == 4 ? WIRE_DROPPED : WIRE_PASSED);
            assert_fate(tcp(&scene, END_B, R | K, 4, 7, 0), i == 5 ? WIRE_DROPPED : WIRE_PASSED);
            assert_fate(udp(&scene, END_A, 0), i == 6 ? WIRE_DROPPED : WIRE_PASSED);
            assert_fate(udp(&scene, END_A, 1), i == 3 || i == 6 ? WIRE_DROPPED : WIRE_PASSED);
            assert_fate(icmp(&scene, END_A, ipv6 ? 128 : 8, 77), i == 7 ? WIRE_DROPPED : WIRE_PASSED);
            assert_fate(tcp(&scene, END_A, 0, 7, 0, 0), WIRE_PASSED); /* of no kind but any */
            assert_int_equal(scene.fate.n_copies, 1);
            scene_end(&scene);
        }
    }
}

static void untouched_without_rules(void **state)
{
    struct scene scene;

    scene_begin(&scene, 1, "");
    for (unsigned i = 0; i < 3; i++) {
        scene.t_ns += 5;
        const struct wire_fate *fate = tcp(&scene, i % 2, K | P, 1, 1, 100);
        struct wire_fate wanted = {.reason = WIRE_PASSED, .n_copies = 1, .due_ns = {scene.t_ns}};
        assert_memory_equal(fate, &wanted, sizeof wanted);
    }
    scene_end(&scene);
}

static void exact_numbers(void **state)
{
    struct scene scene;

    scene_begin(&scene, 1, "drop data #3");
    handshake(&scene);
    for (unsigned i = 1; i <= 6; i++) {
        assert_fate(tcp(&scene, END_A, K, 1 + 100 * (i - 1), 1, 100), i == 3 ? WIRE_DROPPED : WIRE_PASSED);
        assert_int_equal(scene.fate.n_copies, i != 3);
        assert_fate(tcp(&scene, END_A, K, 1 + 100 * i, 1, 0), WIRE_PASSED);         /* ACKs are not counted */
        assert_fate(tcp(&scene, END_B, K, 1 + 100 * (i - 1), 1, 100), WIRE_PASSED); /* nor the other direction's */
    }
    assert_fate(tcp(&scene, END_A, K, 201, 1, 100), WIRE_PASSED); /* the second copy of the third */
    /* Each connection has a third one. */
    scene.client_port++;
    handshake(&scene);
    for (unsigned i = 1; i <= 4; i++)
        assert_fate(tcp(&scene, END_A, K, 1 + 100 * (i - 1), 1, 100), i == 3 ? WIRE_DROPPED : WIRE_PASSED);
    scene_end(&scene);
}

static void ranges_of_numbers(void **state)
{
    static const struct {
        const char *rules;
        const char *dropped; /* of ten segments */
    } rows[] = {
        {"drop data #3-#5", "..xxx....."},
        {"drop data #8-", ".......xxx"},
        {"drop data every 3", "..x..x..x."},
        {"drop data #2-#8 every 3", ".x..x..x.."},
        {"drop data #2, drop data #9", ".x......x."},
        {"drop data", "xxxxxxxxxx"},
        {"drop #1", ".........."} /* the SYN */,
        {"drop #3", "x........."},
        {"drop data every 1", "xxxxxxxxxx"},
        {"loss 100% of data #4-#6", "...xxx...."},
        {"loss 0%", ".........."},
        {"drop data #3 port 7007", "..x......."},
        {"drop data #3 port 7008", ".........."},
        {"drop data #3 port 40000", "..x......."},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct scene scene;
        scene_begin(&scene, 1, rows[i].rules);
        handshake(&scene);
        char got[11] = "";
        for (unsigned n = 0; n < 10; n++)
            got[n] = tcp(&scene, END_A, K, 1 + 100 * n, 1, 100)->reason == WIRE_PASSED ? '.' : 'x';
        assert_string_equal(got, rows[i].dropped);
        scene_end(&scene);
    }
}

/* How many copies of the second segment, and of the SYN and FIN, are dropped of five. */
static void copies(void **state)
{
    static const struct {
        const char *rules;
        unsigned flags;
        uint32_t seq, n_payload;
        const char *dropped;
    } rows[] = {
        {"drop data #2", K, 101, 100, "x...."},
        {"drop data #2 x2", K, 101, 100, "xx..."},
        {"drop data #2 always", K, 101, 100, "xxxxx"},
        {"drop data x3", K, 101, 100, "xxx.."},
        {"drop data once", K, 101, 100, "x...."},
        {"drop data #2-#2 x4", K, 101, 100, "xxxx."},
        {"drop data #1 always", K, 101, 100, "....."},
        {"drop fin #1 x2", F | K, 101, 0, "xx..."},
        {"drop fin", F | K, 101, 0, "xxxxx"},
        {"drop fin x2", F | K, 101, 10, "xx..."},
        {"drop syn #1 x3", S, 0, 0, "xxx.."},
        {"drop syn #2 always", S, 0, 0, "....."},
        {"drop #1 x2", S, 0, 0, "xx..."},
        {"drop any x2", S, 0, 0, "xx..."},
        {"drop #2 x2", K, 101, 100, "xx..."},
        {"drop #2 x2", F | K, 101, 0, "xx..."},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct scene scene;
        scene_begin(&scene, 1, rows[i].rules);
        if (!(rows[i].flags & S))
            tcp(&scene, END_A, K, 1, 1, 100);
        char got[6] = "";
        for (unsigned n = 0; n < 5; n++)
            got[n] = tcp(&scene, END_A, rows[i].flags, rows[i].seq, 1, rows[i].n_payload)->reason ? 'x' : '.';
        if (strcmp(got, rows[i].dropped) != 0)
            fail_msg("%s: %s", rows[i].rules, got);
        scene_end(&scene);
    }
}

/* Sequence numbers pass 2^32 in the middle of it, at every place where they may. */
static void numbers_wrap_around(void **state)
{
    for (uint32_t before = 0; before <= 700; before += 50) {
        struct scene scene;
        scene_begin(&scene, 1, "drop data #3 x2");
        scene.isn[END_A] = UINT32_MAX - before;
        scene.isn[END_B] = UINT32_MAX - before / 2;
        handshake(&scene);
        for (unsigned i = 0; i < 6; i++) {
            assert_fate(tcp(&scene, END_A, K, 1 + 100 * i, 1, 100), i == 2 ? WIRE_DROPPED : WIRE_PASSED);
            tcp(&scene, END_B, K, 1, 1 + 100 * (i + 1), 0);
        }
        assert_fate(tcp(&scene, END_A, K, 201, 1, 100), WIRE_DROPPED);
        assert_fate(tcp(&scene, END_A, K, 201, 1, 100), WIRE_PASSED);
        assert_fate(tcp(&scene, END_A, K, 601, 1, 100), WIRE_PASSED);
        scene_end(&scene);
    }
}

/* Six segments of 100 bytes; then the bytes of the third are sent again, cut in other ways. */
static void cut_differently(void **state)
{
    struct scene scene;

    scene_begin(&scene, 1, "drop data #3 x2");
    handshake(&scene);
    for (unsigned i = 0; i < 6; i++)
        tcp(&scene, END_A, K, 1 + 100 * i, 1, 100);
    assert_fate(tcp(&scene, END_A, K, 201, 1, 40), WIRE_DROPPED); /* byte 201 a second time */
    assert_fate(tcp(&scene, END_A, K, 241, 1, 60), WIRE_DROPPED); /* byte 241 a second time */
    assert_fate(tcp(&scene, END_A, K, 201, 1, 100), WIRE_PASSED); /* a third */
    assert_fate(tcp(&scene, END_A, K, 220, 1, 10), WIRE_PASSED);
    assert_fate(tcp(&scene, END_A, K, 101, 1, 300), WIRE_PASSED); /* begins in the second segment */
    scene_end(&scene);

    scene_begin(&scene, 1, "drop data #2 x2, drop data #7");
    handshake(&scene);
    for (unsigned i = 0; i < 6; i++)
        tcp(&scene, END_A, K, 1 + 100 * i, 1, 100);
    assert_fate(tcp(&scene, END_A, K, 1, 1, 600), WIRE_PASSED);   /* all of them in one: the first's */
    assert_fate(tcp(&scene, END_A, K, 101, 1, 100), WIRE_PASSED); /* so this is the third copy */
    /* Old and new bytes in one: new, the seventh. */
    assert_fate(tcp(&scene, END_A, K, 501, 1, 200), WIRE_DROPPED);
    assert_fate(tcp(&scene, END_A, K, 601, 1, 100), WIRE_PASSED);
    assert_fate(tcp(&scene, END_A, K, 501, 1, 200), WIRE_PASSED);
    scene_end(&scene);
}

/* Bytes in the middle of a segment are counted for themselves. */
static void cut_in_the_middle(void **state)
{
    struct scene scene;

    scene_begin(&scene, 1, "drop data #1 x2");
    handshake(&scene);
    assert_fate(tcp(&scene, END_A, K, 1, 1, 100), WIRE_DROPPED);
    assert_fate(tcp(&scene, END_A, K, 51, 1, 20), WIRE_DROPPED);
    assert_fate(tcp(&scene, END_A, K, 51, 1, 50), WIRE_PASSED); /* a third copy of byte 51, */
    assert_fate(tcp(&scene, END_A, K, 71, 1, 30), WIRE_PASSED); /* ... and now of byte 71, */
    assert_fate(tcp(&scene, END_A, K, 1, 1, 50), WIRE_DROPPED); /* ... but the second of byte 1 */
    scene_end(&scene);
}

/* Beyond 4 GiB, in steps that are as large as windows may be. */
static void long_streams(void **state)
{
    struct scene scene;

    scene_begin(&scene, 1, "drop data #18-#20 x2");
    handshake(&scene);
    for (unsigned i = 1; i <= 30; i++) {
        enum wire_reason wanted = i >= 18 && i <= 20 ? WIRE_DROPPED : WIRE_PASSED;
        for (unsigned copy = 0; copy < 3; copy++)
            assert_fate(tcp(&scene, END_A, K, i * 0x30000000u, 1, 100), copy < 2 ? wanted : WIRE_PASSED);
    }
    scene_end(&scene);
}

/* A long transfer with losses: memory of acknowledged data goes, that of the rest stays. */
static void long_transfers(void **state)
{
    struct scene scene;
    uint32_t seq = 1;

    scene_begin(&scene, 1, "drop data #20000 x3, drop data #50000 x2");
    handshake(&scene);
    for (unsigned i = 1; i <= 60000; i++, seq += 1448) {
        enum wire_reason wanted = i == 20000 || i == 50000 ? WIRE_DROPPED : WIRE_PASSED;
        assert_fate(tcp(&scene, END_A, K, seq, 1, 1448), wanted);
        if (i == 25000) {
            uint32_t lost = 1 + 19999u * 1448;
            assert_fate(tcp(&scene, END_A, K, lost, 1, 1448), WIRE_DROPPED);
            assert_fate(tcp(&scene, END_A, K, lost, 1, 1448), WIRE_DROPPED);
            assert_fate(tcp(&scene, END_A, K, lost, 1, 1448), WIRE_PASSED);
        }
        if (i % 2 == 0)
            tcp(&scene, END_B, K, 1, i < 20000 || i >= 25000 ? seq + 1448 : 1 + 19999u * 1448, 0);
    }
    assert_int_equal(wire_judge_n_forgotten(scene.judge), 0);
    scene_end(&scene);
}

/* An acknowledgement that does not pass has told the sender nothing: its data comes again and is known. */
static void unacknowledged_is_remembered(void **state)
{
    struct scene scene;

    scene_begin(&scene, 1, "drop data #1 x2");
    rules_for(&scene, END_B, "drop ack");
    handshake(&scene);
    for (unsigned i = 0; i < 5000; i++) {
        assert_fate(tcp(&scene, END_A, K, 1 + 100 * i, 1, 100), i == 0 ? WIRE_DROPPED : WIRE_PASSED);
        assert_fate(tcp(&scene, END_B, K, 1, 101 + 100 * i, 0), WIRE_DROPPED);
    }
    assert_fate(tcp(&scene, END_A, K, 1, 1, 100), WIRE_DROPPED);
    assert_fate(tcp(&scene, END_A, K, 1, 1, 100), WIRE_PASSED);
    scene_end(&scene);
}

static void acks_are_counted(void **state)
{
    struct scene scene;

    scene_begin(&scene, 1, "");
    rules_for(&scene, END_B, "drop ack #2-#3");
    handshake(&scene);
    for (unsigned i = 1; i <= 5; i++) {
        tcp(&scene, END_A, K, 1 + 100 * i, 1, 100);
        tcp(&scene, END_B, K | P, 1 + 10 * (i - 1), 1, 10); /* carries one, and is not one */
        enum wire_reason wanted = i == 2 || i == 3 ? WIRE_DROPPED : WIRE_PASSED;
        assert_fate(tcp(&scene, END_B, K, 11, 1, 0), wanted); /* all the same, and each another */
    }
    scene_end(&scene);
}

static void simultaneous_open(void **state)
{
    struct scene scene;

    scene_begin(&scene, 1, "drop syn-ack #1, drop data #1");
    assert_fate(tcp(&scene, END_A, S, 0, 0, 0), WIRE_PASSED);
    assert_fate(tcp(&scene, END_B, S, 0, 0, 0), WIRE_PASSED);
    assert_fate(tcp(&scene, END_A, S | K, 0, 1, 0), WIRE_DROPPED);
    assert_fate(tcp(&scene, END_A, S | K, 0, 1, 0), WIRE_PASSED);
    assert_fate(tcp(&scene, END_A, K, 1, 1, 10), WIRE_DROPPED);
    assert_fate(tcp(&scene, END_A, K, 1, 1, 10), WIRE_PASSED);
    scene_end(&scene);
}

/* The same ports, and a SYN with another number: counted anew. */
static void ports_are_used_again(void **state)
{
    struct scene scene;

    scene_begin(&scene, 1, "drop syn #1, drop data #2");
    for (unsigned i = 0; i < 3; i++) {
        assert_fate(tcp(&scene, END_A, S, 0, 0, 0), WIRE_DROPPED);
        assert_fate(tcp(&scene, END_A, S, 0, 0, 0), WIRE_PASSED);
        tcp(&scene, END_B, S | K, 0, 1, 0);
        assert_fate(tcp(&scene, END_A, K, 1, 1, 50), WIRE_PASSED);
        assert_fate(tcp(&scene, END_A, K, 51, 1, 50), WIRE_DROPPED);
        tcp(&scene, END_B, R | K, 1, 101, 0);
        scene.isn[END_A] += 123456789;
        scene.isn[END_B] += 987654321;
    }
    scene_end(&scene);
}

static void other_rules_count_anew(void **state)
{
    struct scene scene;

    scene_begin(&scene, 1, "drop data #2");
    handshake(&scene);
    assert_fate(tcp(&scene, END_A, K, 1, 1, 10), WIRE_PASSED);
    assert_fate(tcp(&scene, END_A, K, 11, 1, 10), WIRE_DROPPED);
    assert_fate(tcp(&scene, END_B, K, 1, 1, 10), WIRE_PASSED);
    rules_for(&scene, END_A, "drop data #2 x2, drop syn #1 always, drop data #5");
    assert_fate(tcp(&scene, END_A, K, 11, 1, 10), WIRE_PASSED); /* sent before these rules: it has no number */
    assert_fate(tcp(&scene, END_A, S, 0, 0, 0), WIRE_PASSED);
    assert_fate(tcp(&scene, END_A, K, 21, 1, 10), WIRE_PASSED);
    assert_fate(tcp(&scene, END_A, K, 31, 1, 10), WIRE_DROPPED);
    assert_fate(tcp(&scene, END_A, K, 31, 1, 10), WIRE_DROPPED);
    assert_fate(tcp(&scene, END_A, K, 31, 1, 10), WIRE_PASSED);
    rules_for(&scene, END_B, "drop data #1"); /* the other direction goes on */
    assert_fate(tcp(&scene, END_A, K, 41, 1, 10), WIRE_PASSED);
    assert_fate(tcp(&scene, END_A, K, 51, 1, 10), WIRE_PASSED);
    assert_fate(tcp(&scene, END_A, K, 61, 1, 10), WIRE_DROPPED);
    assert_fate(tcp(&scene, END_B, K, 11, 1, 10), WIRE_DROPPED);
    scene_end(&scene);
}

static void windows_of_time(void **state)
{
    struct scene scene;
    static const struct {
        int64_t ms;
        enum wire_reason reason;
    } rows[] = {{0, WIRE_PASSED},     {1999, WIRE_PASSED}, {2000, WIRE_STOPPED},
                {3999, WIRE_STOPPED}, {4000, WIRE_PASSED}, {5000, WIRE_DROPPED},
                {5001, WIRE_PASSED},  {5002, WIRE_PASSED}, {9999999, WIRE_PASSED}};

    scene_begin(&scene, 1, "stop from 2s to 4s, drop any from 5s to 5001ms");
    int64_t start_ns = scene.t_ns;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        scene.t_ns = start_ns + rows[i].ms * NS_PER_MS;
        assert_fate(udp(&scene, END_A, 10), rows[i].reason);
        assert_fate(udp(&scene, END_B, 10), WIRE_PASSED);
    }
    /* Time does not run backwards. */
    scene.t_ns = start_ns + 3 * NS_PER_S;
    assert_fate(udp(&scene, END_A, 10), WIRE_PASSED);
    assert_true(scene.fate.due_ns[0] == start_ns + 9999999 * NS_PER_MS);
    scene_end(&scene);
}

/* The first clause that takes it names the reason. */
static void first_reason(void **state)
{
    struct scene scene;

    scene_begin(&scene, 1, "loss 100% of data, drop data, stop");
    assert_fate(tcp(&scene, END_A, K, 1, 1, 10), WIRE_LOST);
    assert_fate(tcp(&scene, END_A, K, 1, 1, 0), WIRE_STOPPED);
    rules_for(&scene, END_A, "drop data, loss 100%");
    assert_fate(tcp(&scene, END_A, K, 11, 1, 10), WIRE_DROPPED);
    assert_fate(tcp(&scene, END_A, K, 1, 1, 0), WIRE_LOST);
    scene_end(&scene);
}

static void ports(void **state)
{
    struct scene scene;

    scene_begin(&scene, 1, "drop any port 7007");
    rules_for(&scene, END_B, "drop any port 7007");
    assert_fate(udp(&scene, END_A, 10), WIRE_DROPPED);
    assert_fate(udp(&scene, END_B, 10), WIRE_DROPPED);
    assert_fate(icmp(&scene, END_A, 8, 7007), WIRE_PASSED); /* an identifier is no port */
    scene.server_port = 7008;
    assert_fate(udp(&scene, END_A, 10), WIRE_PASSED);
    /* An ICMP error is about the port that it quotes. */
    uint8_t *at = put_ip(&scene, END_B, IPPROTO_ICMP, 36);
    at[0] = 3;
    at[1] = 3;
    memcpy(at + 8, (const uint8_t[]){0x45, 0, 0, 38, 0, 0, 0x40, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2}, 20);
    put16(put16(at + 28, 40000), 7007);
    assert_fate(judge_frame(&scene, END_B), WIRE_DROPPED);
    put16(put16(at + 28, 40000), 7008);
    assert_fate(judge_frame(&scene, END_B), WIRE_PASSED);
    scene_end(&scene);
}

/* ARP, neighbour discovery and what is no IP at all. */
static void link_talk_passes(void **state)
{
    struct scene scene;
    const unsigned types[] = {130, 131, 132, 133, 134, 135, 136, 137, 143};

    scene_begin(&scene, 1, "stop, loss 100%, drop icmp, duplicate 100%, corrupt 100%, reorder 100% by 1s, delay 3ms");
    assert_fate(arp(&scene, END_A), WIRE_PASSED);
    assert_int_equal(scene.fate.n_copies, 1);
    assert_false(scene.fate.corrupted || scene.fate.reordered);
    assert_true(scene.fate.due_ns[0] == scene.t_ns + 3 * NS_PER_MS);
    scene.ipv6 = true;
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        assert_fate(icmp(&scene, END_A, types[i], 0), WIRE_PASSED);
        assert_true(scene.fate.due_ns[0] == scene.t_ns + 3 * NS_PER_MS);
    }
    assert_fate(icmp(&scene, END_A, 128, 0), WIRE_STOPPED);
    scene.ipv6 = false;
    assert_fate(icmp(&scene, END_A, 135, 0), WIRE_STOPPED);
    for (size_t n = 0; n <= ETHERNET_BYTES; n++) {
        scene.n_frame = n;
        assert_fate(judge_frame(&scene, END_A), WIRE_PASSED);
    }
    scene_end(&scene);
}

/* Later fragments are of kind any, and have no ports. */
static void fragments(void **state)
{
    struct scene scene;

    scene_begin(&scene, 1, "drop udp, drop any port 7007");
    scene.may_fragment = true;
    for (unsigned i = 0; i < 3; i++) {
        udp(&scene, END_A, 1472);
        put16(scene.frame + ETHERNET_BYTES + 6, 0x2000 * (i < 2) | 185 * i);
        assert_fate(judge_frame(&scene, END_A), i == 0 ? WIRE_DROPPED : WIRE_PASSED);
    }
    rules_for(&scene, END_A, "drop #2");
    udp(&scene, END_A, 100);
    for (unsigned i = 1; i < 4; i++) {
        put16(scene.frame + ETHERNET_BYTES + 6, 0x2000 | 185 * i);
        assert_fate(judge_frame(&scene, END_A), i == 2 ? WIRE_DROPPED : WIRE_PASSED);
    }
    scene_end(&scene);
}

static void bounded_memory(void **state)
{
    struct scene scene;

    scene_begin(&scene, 1, "drop data #2-");
    scene.client_port = 0;
    for (unsigned i = 0; i < WIRE_FLOWS_MAX + 100; i++) {
        scene.client_port++;
        scene.server_port = (uint16_t)(7000 + i / 65536);
        tcp(&scene, END_A, K, 1, 1, 10);
        if (i < 50)
            assert_int_equal(wire_judge_n_forgotten(scene.judge), 0);
    }
    assert_int_equal(wire_judge_n_forgotten(scene.judge), 100);
    /* The newest are known, and the oldest are not. */
    scene.client_port--;
    assert_fate(tcp(&scene, END_A, K, 11, 1, 10), WIRE_DROPPED);
    scene.server_port = 7000;
    scene.client_port = 1;
    assert_fate(tcp(&scene, END_A, K, 11, 1, 10), WIRE_PASSED);
    assert_int_equal(wire_judge_n_forgotten(scene.judge), 101);
    /* What was used goes later: the oldest by now, and then another one comes. */
    scene.client_port = 102;
    assert_fate(tcp(&scene, END_A, K, 11, 1, 10), WIRE_DROPPED);
    scene.server_port = 9000;
    tcp(&scene, END_A, K, 1, 1, 10);
    assert_int_equal(wire_judge_n_forgotten(scene.judge), 102);
    scene.server_port = 7000;
    assert_fate(tcp(&scene, END_A, K, 21, 1, 10), WIRE_DROPPED);
    assert_int_equal(wire_judge_n_forgotten(scene.judge), 102);
    scene.client_port = 103;
    assert_fate(tcp(&scene, END_A, K, 11, 1, 10), WIRE_PASSED);
    scene_end(&scene);
    wire_judge_free(NULL);
}

/* A direction's memory is bounded too: what is sent again and not known has no number, and is told apart from others.
 */
static void bounded_ranges(void **state)
{
    struct scene scene;

    scene_begin(&scene, 1, "drop data #1 always");
    handshake(&scene);
    for (unsigned i = 0; i < 40000; i++)
        tcp(&scene, END_A, K, 1 + 10 * i, 1, 10);
    assert_int_equal(wire_judge_n_forgotten(scene.judge), 1);
    assert_fate(tcp(&scene, END_A, K, 1, 1, 10), WIRE_PASSED);
    rules_for(&scene, END_A, "loss 90% of data");
    unsigned n = 1;
    while (tcp(&scene, END_A, K, 1, 1, 10)->reason == WIRE_LOST && n < 1000)
        n++;
    assert_true(n > 1 && n < 1000); /* not lost for ever */
    scene_end(&scene);
}

/* Numbers from nowhere change nothing for the rest. */
static void forged_numbers(void **state)
{
    struct scene scene;

    scene_begin(&scene, 1, "drop data #2");
    handshake(&scene);
    assert_fate(tcp(&scene, END_A, K, 1, 1, 10), WIRE_PASSED);
    assert_fate(tcp(&scene, END_A, K, 0x60000000, 1, 10), WIRE_PASSED);
    assert_fate(tcp(&scene, END_A, K, 0xa0000000, 1, 10), WIRE_PASSED);
    assert_fate(tcp(&scene, END_A, K, 0, 1, 1), WIRE_PASSED); /* a keep-alive with a byte */
    assert_fate(tcp(&scene, END_A, R, 0x70000000, 0, 0), WIRE_PASSED);
    assert_fate(tcp(&scene, END_A, K, 11, 1, 10), WIRE_DROPPED);
    scene_end(&scene);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind),
        cmocka_unit_test(untouched_without_rules),
        cmocka_unit_test(exact_numbers),
        cmocka_unit_test(ranges_of_numbers),
        cmocka_unit_test(copies),
        cmocka_unit_test(numbers_wrap_around),
        cmocka_unit_test(cut_differently),
        cmocka_unit_test(cut_in_the_middle),
        cmocka_unit_test(long_streams),
        cmocka_unit_test(long_transfers),
        cmocka_unit_test(unacknowledged_is_remembered),
        cmocka_unit_test(acks_are_counted),
        cmocka_unit_test(simultaneous_open),
        cmocka_unit_test(ports_are_used_again),
        cmocka_unit_test(other_rules_count_anew),
        cmocka_unit_test(windows_of_time),
        cmocka_unit_test(first_reason),
        cmocka_unit_test(ports),
        cmocka_unit_test(link_talk_passes),
        cmocka_unit_test(fragments),
        cmocka_unit_test(bounded_memory),
        cmocka_unit_test(bounded_ranges),
        cmocka_unit_test(forged_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
