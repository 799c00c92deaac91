/* SPDX-License-Identifier: MIT */
/* The wire: what passes it, what does not, and what the tap says of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "wire_talk.h"

#include "observe/decode/decode.h"

#include <errno.h>
#include <linux/if_ether.h>
#include <netinet/udp.h>
#include <stdio.h>
#include <stdlib.h>

#define LINK_ETHERNET 1
#define SNAP 2048

static const struct wire_settings plain = {.snap_bytes = SNAP, .seed = 1};

static struct decoded decode(const struct wire_packet *packet)
{
    struct decoded decoded;
    decode_packet(LINK_ETHERNET, packet->data, packet->n_captured, packet->n_wire, DECODE_CHECK_CHECKSUMS, &decoded);
    return decoded;
}

/* ---- talking */

static void test_tcp_both_ways(void **state)
{
    static const struct {
        enum event_end client;
        const char *address;
    } cases[] = {{END_A, WIRE_B_IPV4}, {END_B, WIRE_A_IPV4}, {END_A, WIRE_B_IPV6}, {END_B, WIRE_A_IPV6}};
    struct wire *wire = wire_begun(plain, NULL, NULL);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct talk talk;
        talk_open(&talk, wire, cases[i].client, cases[i].address);
        ping_pong(&talk, 20);
        talk_close(&talk);
    }
    wire_stop(wire);
}

static void test_udp_both_ways(void **state)
{
    static const struct {
        enum event_end client;
        const char *address;
    } cases[] = {{END_A, WIRE_B_IPV4}, {END_B, WIRE_A_IPV4}, {END_A, WIRE_B_IPV6}, {END_B, WIRE_A_IPV6}};
    struct wire *wire = wire_begun(plain, NULL, NULL);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int server = bound(wire, other_end(cases[i].client), SOCK_DGRAM, cases[i].address, 7007);
        int family = strchr(cases[i].address, ':') ? AF_INET6 : AF_INET;
        int client = wire_socket(wire, cases[i].client, family, SOCK_DGRAM, 0);
        assert_int_equal(connect_to(client, cases[i].address, 7007), 0);
        struct sockaddr_storage from;
        socklen_t n_from = sizeof from;
        char heard[16];
        assert_int_equal(send(client, "ping", 4, 0), 4);
        assert_true(readable(server, TALK_MS));
        assert_int_equal(recvfrom(server, heard, sizeof heard, 0, (struct sockaddr *)&from, &n_from), 4);
        assert_int_equal(connect(server, (struct sockaddr *)&from, n_from), 0);
        say_to(server, client, "pong");
        close(client);
        close(server);
    }
    wire_stop(wire);
}

/* Each end sees its own addresses, and nothing else. */
static void test_sockets_are_where_they_belong(void **state)
{
    struct wire *wire = wire_begun(plain, NULL, NULL);
    uint64_t cookies[N_ENDS] = {0, 0};
    for (enum event_end end = END_A; end < N_ENDS; end++) {
        socklen_t n_bytes = sizeof cookies[end];
        int fd = wire_socket(wire, end, AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        assert_true(fd >= 0);
        assert_int_equal(getsockopt(fd, SOL_SOCKET, 71 /* SO_NETNS_COOKIE */, &cookies[end], &n_bytes), 0);
        struct sockaddr_storage name;
        socklen_t n_name = wire_address(end == END_A ? WIRE_B_IPV4 : WIRE_A_IPV4, 0, &name);
        assert_int_equal(bind(fd, (struct sockaddr *)&name, n_name), -1);
        assert_int_equal(errno, EADDRNOTAVAIL);
        close(fd);
    }
    assert_true(cookies[END_A] != 0 && cookies[END_B] != 0 && cookies[END_A] != cookies[END_B]);
    assert_int_equal(wire_socket(wire, END_A, 12345, SOCK_STREAM, 0), -EAFNOSUPPORT);
    int between = wire_socket_between(wire, AF_INET, SOCK_DGRAM, 0);
    assert_true(between >= 0);
    close(between);
    wire_stop(wire);
}

/* ---- the tap */

struct story {
    unsigned n, n_from[N_ENDS], n_dropped, n_copies, n_bad_checksums, n_own;
    uint64_t number, number_from[N_ENDS];
    uint32_t n_wire_most;
    unsigned n_path[2];
};

static void read_tap(struct wire *wire, struct story *story)
{
    struct wire_packet packet;
    while (wire_tap_next(wire, &packet) == 1) {
        struct decoded decoded = decode(&packet);
        story->n++;
        story->n_from[packet.from]++;
        story->n_path[packet.path]++;
        story->n_copies += packet.copy;
        story->n_own += packet.own;
        assert_true(packet.left_ns > 0);
        if (packet.reason == WIRE_PASSED)
            assert_true(packet.arrived_ns > packet.left_ns);
        else
            assert_true(packet.arrived_ns == 0);
        story->n_dropped += packet.reason != WIRE_PASSED;
        story->n_bad_checksums += (decoded.trouble & (DECODE_CHECKSUM_BAD | DECODE_CHECKSUM_PARTIAL)) != 0;
        if (packet.n_wire > story->n_wire_most)
            story->n_wire_most = packet.n_wire;
        /* Nothing waits in these tests, so of one end the order of leaving is that of the tap. */
        assert_true(packet.number >= story->number_from[packet.from]);
        story->number_from[packet.from] = packet.number;
        story->number = packet.number > story->number ? packet.number : story->number;
    }
}

static void test_nobody_talks(void **state)
{
    struct wire *wire = wire_begun(plain, NULL, NULL);
    struct story story = {0};
    assert_false(readable(wire_tap_fd(wire), 1500)); /* so long may the kernel take for a report of its own */
    assert_int_equal(wire_tap_flush(wire), 0);
    read_tap(wire, &story);
    assert_int_equal(story.n, 0);
    wire_stop(wire);
}

static void test_tap_is_complete(void **state)
{
    struct wire *wire = wire_begun(plain, NULL, NULL);
    struct story story = {0};
    struct wire_counts counts[N_ENDS];
    struct talk talk;
    talk_open(&talk, wire, END_A, WIRE_B_IPV4);
    ping_pong(&talk, 50);
    talk_reset(&talk);
    assert_int_equal(wire_tap_flush(wire), 0);
    assert_true(readable(wire_tap_fd(wire), 0));
    read_tap(wire, &story);
    assert_false(readable(wire_tap_fd(wire), 0));
    assert_int_equal(wire_get_counts(wire, counts), 0);
    assert_true(story.n_from[END_A] >= 53 && story.n_from[END_B] >= 51);
    assert_int_equal(story.number, story.n);
    assert_int_equal(story.n_dropped, 0);
    assert_int_equal(story.n_bad_checksums, 0);
    for (enum event_end end = END_A; end < N_ENDS; end++) {
        assert_int_equal(counts[end].n_packets, story.n_from[end]);
        assert_int_equal(counts[end].n_arrived, story.n_from[end]);
        assert_int_equal(counts[end].n_overrun, 0);
        assert_int_equal(counts[end].n_tap_lost, 0);
        assert_int_equal(counts[end].n_waiting, 0);
    }
    wire_stop(wire);
}

static void send_much(struct talk *talk, size_t n_bytes)
{
    static char block[1 << 16];
    size_t n_sent = 0, n_read = 0;
    while (n_read < n_bytes) {
        ssize_t n = n_sent < n_bytes ? send(talk->client, block, sizeof block, MSG_DONTWAIT | MSG_NOSIGNAL) : 0;
        n_sent += n > 0 ? (size_t)n : 0;
        if (n <= 0)
            assert_true(readable(talk->server, TALK_MS));
        n = recv(talk->server, block, sizeof block, MSG_DONTWAIT);
        n_read += n > 0 ? (size_t)n : 0;
    }
}

/* One frame is one segment, and its checksums are right. */
static void test_frames_are_segments(void **state)
{
    struct wire *wire = wire_begun(plain, NULL, NULL);
    struct story story = {0};
    struct talk talk;
    talk_open(&talk, wire, END_A, WIRE_B_IPV4);
    send_much(&talk, 1 << 20);
    talk_close(&talk);
    assert_int_equal(wire_tap_flush(wire), 0);
    read_tap(wire, &story);
    assert_int_equal(story.n_bad_checksums, 0);
    assert_int_equal(story.n_wire_most, 1500 + ETH_HLEN);
    wire_stop(wire);
}

static void test_offloads(void **state)
{
    struct wire *wire = wire_begun(plain, NULL, NULL);
    struct story story = {0};
    struct talk talk;
    assert_int_equal(wire_set_offloads(wire, true), 0);
    talk_open(&talk, wire, END_A, WIRE_B_IPV4);
    send_much(&talk, 4 << 20);
    assert_int_equal(wire_tap_flush(wire), 0);
    read_tap(wire, &story);
    assert_true(story.n_bad_checksums > 0);
    assert_true(story.n_wire_most > 4 * 1500);
    assert_int_equal(wire_set_offloads(wire, false), 0);
    read_tap(wire, &story);
    story = (struct story){0};
    send_much(&talk, 1 << 20);
    talk_close(&talk);
    assert_int_equal(wire_tap_flush(wire), 0);
    read_tap(wire, &story);
    assert_int_equal(story.n_bad_checksums, 0);
    assert_int_equal(story.n_wire_most, 1500 + ETH_HLEN);
    wire_stop(wire);
}

static void test_tap_overflows(void **state)
{
    struct wire_settings settings = plain;
    settings.tap_bytes = 8192;
    struct wire *wire = wire_begun(settings, NULL, NULL);
    struct wire_counts counts[N_ENDS];
    struct story story = {0};
    struct talk talk;
    talk_open(&talk, wire, END_A, WIRE_B_IPV4);
    ping_pong(&talk, 100);
    assert_int_equal(wire_tap_flush(wire), 0);
    assert_int_equal(wire_get_counts(wire, counts), 0);
    read_tap(wire, &story);
    assert_true(story.n > 0);
    assert_true(counts[END_A].n_tap_lost > 0);
    assert_int_equal(counts[END_A].n_tap_lost + counts[END_B].n_tap_lost + story.n,
                     counts[END_A].n_packets + counts[END_B].n_packets);
    /* There is room again. */
    ping_pong(&talk, 1);
    assert_int_equal(wire_tap_flush(wire), 0);
    story = (struct story){0};
    read_tap(wire, &story);
    assert_true(story.n > 0);
    talk_close(&talk);
    wire_stop(wire);
}

/* ---- rules */

static void test_loss_of_everything(void **state)
{
    struct wire *wire = wire_begun(plain, "drop syn always", NULL);
    struct story story = {0};
    struct wire_counts counts[N_ENDS];
    assert_int_equal(wire_sysctl_set(wire, END_A, "net.ipv4.tcp_syn_retries", "1"), 0);
    int fd = wire_socket(wire, END_A, AF_INET, SOCK_STREAM, 0);
    const unsigned wait_ms = 700;
    setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &wait_ms, sizeof wait_ms);
    assert_int_equal(connect_to(fd, WIRE_B_IPV4, 7007), -ETIMEDOUT);
    close(fd);
    assert_int_equal(wire_tap_flush(wire), 0);
    read_tap(wire, &story);
    assert_int_equal(wire_get_counts(wire, counts), 0);
    assert_true(story.n_dropped >= 1);
    assert_int_equal(counts[END_A].n_dropped[WIRE_DROPPED], story.n_dropped);
    wire_stop(wire);
}

static void test_rules_change(void **state)
{
    struct wire *wire = wire_begun(plain, NULL, NULL);
    struct wire_rules stop = {0}, none = {0};
    struct sonde_why why;
    struct talk talk;
    assert_int_equal(wire_rules_parse("stop", &stop, &why), 0);
    talk_open(&talk, wire, END_A, WIRE_B_IPV4);
    ping_pong(&talk, 3);
    assert_int_equal(wire_set_rules(wire, END_A, &stop), 0);
    assert_int_equal(send(talk.client, "lost", 4, MSG_NOSIGNAL), 4);
    assert_int_equal(wire_tap_flush(wire), 0);
    assert_false(readable(talk.server, 0));
    assert_int_equal(wire_set_rules(wire, END_A, &none), 0);
    assert_true(readable(talk.server, TALK_MS)); /* sent again */
    talk_close(&talk);
    wire_stop(wire);
}

/* What the wire says of a packet's time, and what the ends measure. */
static void test_delay(void **state)
{
    const int64_t delay_ns = 20 * NS_PER_MS;
    struct wire *wire = wire_begun(plain, "delay 20ms", "delay 20ms");
    struct wire_counts counts[N_ENDS];
    struct wire_packet packet;
    struct talk talk;
    talk_open(&talk, wire, END_A, WIRE_B_IPV4);
    ping_pong(&talk, 2);
    int64_t began_ns = talk_now();
    ping_pong(&talk, 1);
    assert_true(talk_now() - began_ns >= 2 * delay_ns);
    while (wire_tap_next(wire, &packet) == 1)
        assert_true(packet.arrived_ns - packet.left_ns >= delay_ns);
    assert_int_equal(wire_get_counts(wire, counts), 0);
    assert_true(counts[END_A].late_max_ns >= 0);
    assert_true(counts[END_A].late_total_ns >= counts[END_A].late_max_ns);
    talk_close(&talk);
    wire_stop(wire);
}

static void test_duplicates(void **state)
{
    struct wire *wire = wire_begun(plain, "duplicate udp", NULL);
    int server = bound(wire, END_B, SOCK_DGRAM, WIRE_B_IPV4, 7007);
    int client = wire_socket(wire, END_A, AF_INET, SOCK_DGRAM, 0);
    struct wire_counts counts[N_ENDS];
    char heard[8];
    assert_int_equal(connect_to(client, WIRE_B_IPV4, 7007), 0);
    assert_int_equal(send(client, "twice", 5, 0), 5);
    for (unsigned i = 0; i < 2; i++) {
        assert_true(readable(server, TALK_MS));
        assert_int_equal(recv(server, heard, sizeof heard, 0), 5);
    }
    assert_int_equal(wire_tap_flush(wire), 0);
    assert_int_equal(wire_get_counts(wire, counts), 0);
    assert_int_equal(counts[END_A].n_duplicated, 1);
    assert_int_equal(counts[END_A].n_arrived, counts[END_A].n_packets + 1);
    struct wire_packet packet;
    uint64_t number = 0;
    unsigned n = 0;
    while (wire_tap_next(wire, &packet) == 1) {
        struct decoded decoded = decode(&packet);
        if (decoded.protocol != IPPROTO_UDP)
            continue;
        assert_true(n == 0 || packet.number == number);
        assert_int_equal(packet.copy, n);
        number = packet.number;
        n++;
    }
    assert_int_equal(n, 2);
    close(client);
    close(server);
    wire_stop(wire);
}

/* The receiver's kernel throws it away; the tap has it as it left. */
static void test_corruption(void **state)
{
    struct wire *wire = wire_begun(plain, "corrupt udp #1", NULL);
    int server = bound(wire, END_B, SOCK_DGRAM, WIRE_B_IPV4, 7007);
    int client = wire_socket(wire, END_A, AF_INET, SOCK_DGRAM, 0);
    struct wire_packet packet;
    char heard[8] = "";
    unsigned n_corrupted = 0;
    assert_int_equal(connect_to(client, WIRE_B_IPV4, 7007), 0);
    assert_int_equal(send(client, "first", 5, 0), 5);
    assert_int_equal(send(client, "second", 6, 0), 6);
    assert_true(readable(server, TALK_MS));
    assert_int_equal(recv(server, heard, sizeof heard - 1, 0), 6);
    assert_string_equal(heard, "second");
    assert_int_equal(wire_tap_flush(wire), 0);
    while (wire_tap_next(wire, &packet) == 1) {
        struct decoded decoded = decode(&packet);
        n_corrupted += packet.corrupted;
        assert_false(decoded.trouble & DECODE_CHECKSUM_BAD);
        if (packet.corrupted)
            assert_memory_equal(decoded.payload, "first", 5);
    }
    assert_int_equal(n_corrupted, 1);
    close(client);
    close(server);
    wire_stop(wire);
}

/* The sender is told, and sends smaller ones. */
static void learn_mtu(const char *address, unsigned n_header)
{
    struct wire *wire = wire_begun(plain, "mtu 1300", NULL);
    struct wire_counts counts[N_ENDS];
    struct story story = {0};
    struct talk talk;
    talk_open(&talk, wire, END_A, address);
    send_much(&talk, 64 << 10);
    struct tcp_info info = {0};
    socklen_t n_bytes = sizeof info;
    assert_int_equal(getsockopt(talk.client, IPPROTO_TCP, TCP_INFO, &info, &n_bytes), 0);
    assert_int_equal(info.tcpi_pmtu, 1300);
    assert_true(info.tcpi_snd_mss <= 1300 - n_header);
    assert_int_equal(wire_tap_flush(wire), 0);
    assert_int_equal(wire_get_counts(wire, counts), 0);
    assert_true(counts[END_A].n_dropped[WIRE_TOO_LARGE] > 0);
    assert_true(counts[END_A].n_told_mtu > 0);
    read_tap(wire, &story);
    assert_int_equal(story.n_own, counts[END_A].n_told_mtu);
    assert_int_equal(story.n_bad_checksums, 0);
    talk_close(&talk);
    wire_stop(wire);
}

static void test_mtu_is_told(void **state)
{
    learn_mtu(WIRE_B_IPV4, 40);
    learn_mtu(WIRE_B_IPV6, 60);
}

/* ---- the second path */

static void test_second_path(void **state)
{
    struct wire_settings settings = plain;
    settings.second_path = true;
    struct wire *wire = wire_begun(settings, NULL, NULL);
    struct story story = {0};
    struct talk talk;
    talk_open(&talk, wire, END_A, WIRE_B_IPV4_SECOND);
    ping_pong(&talk, 5);
    talk_reset(&talk);
    assert_int_equal(wire_tap_flush(wire), 0);
    read_tap(wire, &story);
    assert_int_equal(story.n_path[0], 0);
    assert_true(story.n_path[1] > 10);
    /* One connection, which moves. */
    talk_open(&talk, wire, END_A, WIRE_B_IPV4);
    ping_pong(&talk, 5);
    assert_int_equal(wire_tap_flush(wire), 0);
    story = (struct story){0};
    read_tap(wire, &story);
    assert_int_equal(story.n_path[1], 0);
    assert_int_equal(wire_set_path(wire, END_A, 1), 0);
    assert_int_equal(wire_set_path(wire, END_B, 1), 0);
    ping_pong(&talk, 5);
    assert_int_equal(wire_tap_flush(wire), 0);
    story = (struct story){0};
    read_tap(wire, &story);
    assert_true(story.n_path[1] >= 10);
    assert_int_equal(wire_set_path(wire, END_A, 0), 0);
    assert_int_equal(wire_set_path(wire, END_A, 0), 0);
    assert_int_equal(wire_set_path(wire, END_A, 2), -EINVAL);
    ping_pong(&talk, 2);
    talk_close(&talk);
    wire_stop(wire);
}

static void test_large_and_small_mtu(void **state)
{
    static const uint32_t sizes[] = {9000, 65535, 600, 68};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct wire_settings settings = plain;
        settings.mtu = sizes[i];
        struct wire *wire = wire_begun(settings, NULL, NULL);
        struct story story = {0};
        struct talk talk;
        talk_open(&talk, wire, END_A, WIRE_B_IPV4);
        send_much(&talk, 128 << 10);
        talk_close(&talk);
        assert_int_equal(wire_tap_flush(wire), 0);
        read_tap(wire, &story);
        assert_true(story.n_wire_most <= sizes[i] + ETH_HLEN);
        assert_true(story.n_wire_most > sizes[i] / 2);
        wire_stop(wire);
    }
    struct wire_settings settings = plain;
    struct wire *wire = NULL;
    settings.mtu = 65536;
    assert_int_equal(wire_start(&settings, &wire, NULL), -EINVAL);
    assert_null(wire);
}

int main(int argc, char **argv)
{
    if (wire_process_asked(argc, argv))
        return wire_process_run();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tcp_both_ways),
        cmocka_unit_test(test_udp_both_ways),
        cmocka_unit_test(test_sockets_are_where_they_belong),
        cmocka_unit_test(test_nobody_talks),
        cmocka_unit_test(test_tap_is_complete),
        cmocka_unit_test(test_frames_are_segments),
        cmocka_unit_test(test_offloads),
        cmocka_unit_test(test_tap_overflows),
        cmocka_unit_test(test_loss_of_everything),
        cmocka_unit_test(test_rules_change),
        cmocka_unit_test(test_delay),
        cmocka_unit_test(test_duplicates),
        cmocka_unit_test(test_corruption),
        cmocka_unit_test(test_mtu_is_told),
        cmocka_unit_test(test_second_path),
        cmocka_unit_test(test_large_and_small_mtu),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
