/* SPDX-License-Identifier: MIT */
/* Parts of the wire that need no namespaces: the tap's ring, the queue, the memory, ICMP. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "observe/decode/decode.h"
#include "wire/wire_internal.h"

#include <errno.h>
#include <linux/if_ether.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LINK_ETHERNET 1
#define TAP_BYTES 4096
#define FRAME_MAX 700

static uint32_t next_random(uint32_t *state)
{
    *state = *state * 1664525 + 1013904223;
    return *state >> 8;
}

/* ---- tap */

struct both {
    struct tap reader, writer;
};

static void open_tap(struct both *both, uint64_t n_bytes, uint32_t snap_bytes)
{
    int fd;
    assert_int_equal(tap_make(&both->reader, n_bytes, &fd), 0);
    assert_int_equal(tap_map(&both->writer, fd, n_bytes, dup(both->reader.wake), snap_bytes), 0);
    close(fd);
}

static void close_tap(struct both *both)
{
    tap_unmap(&both->reader);
    tap_unmap(&both->writer);
}

static bool is_readable(int fd, int within_ms)
{
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    return poll(&wait, 1, within_ms) == 1;
}

/* The bytes follow from the number, so that each can be checked by itself. */
static struct wire_packet make_packet(uint64_t number, uint8_t bytes[FRAME_MAX])
{
    uint32_t state = (uint32_t)number * 7919;
    uint32_t n_bytes = next_random(&state) % FRAME_MAX;
    for (uint32_t i = 0; i < n_bytes; i++)
        bytes[i] = (uint8_t)next_random(&state);
    return (struct wire_packet){
        .number = number,
        .from = (uint8_t)(number % 2),
        .path = (uint8_t)(number / 2 % 2),
        .reason = (uint8_t)(number % N_WIRE_REASONS),
        .corrupted = number % 3 == 0,
        .reordered = number % 5 == 0,
        .copy = number % 7 == 0,
        .own = number % 11 == 0,
        .left_ns = (int64_t)number,
        .arrived_ns = (int64_t)number + 1,
        .n_wire = n_bytes,
        .data = bytes,
    };
}

static void check_packet(const struct wire_packet *packet, uint32_t snap_bytes)
{
    uint8_t bytes[FRAME_MAX];
    struct wire_packet made = make_packet(packet->number, bytes);
    uint32_t n_captured = made.n_wire < snap_bytes ? made.n_wire : snap_bytes;
    assert_int_equal(packet->n_wire, made.n_wire);
    assert_int_equal(packet->n_captured, n_captured);
    assert_int_equal(packet->from, made.from);
    assert_int_equal(packet->path, made.path);
    assert_int_equal(packet->reason, made.reason);
    assert_int_equal(packet->corrupted, made.corrupted);
    assert_int_equal(packet->reordered, made.reordered);
    assert_int_equal(packet->copy, made.copy);
    assert_int_equal(packet->own, made.own);
    assert_int_equal(packet->left_ns, made.left_ns);
    assert_int_equal(packet->arrived_ns, made.arrived_ns);
    assert_memory_equal(packet->data, bytes, n_captured);
}

static void test_tap_in_turn(void **state)
{
    static const uint32_t snaps[] = {1, 60, 128, FRAME_MAX};
    for (size_t i = 0; i < sizeof snaps / sizeof snaps[0]; i++) {
        struct both both;
        struct wire_packet packet;
        uint8_t bytes[FRAME_MAX];
        uint64_t n_written = 0, n_read = 0;
        uint32_t random = snaps[i];
        open_tap(&both, TAP_BYTES, snaps[i]);
        assert_int_equal(tap_read(&both.reader, &packet), 0);
        while (n_read < 3000) {
            for (uint32_t n = next_random(&random) % 12; n > 0; n--) {
                packet = make_packet(n_written + 1, bytes);
                if (!tap_write(&both.writer, &packet))
                    break; /* full: it will have room */
                n_written++;
            }
            /* Nothing is seen before it is published, and then the reader is woken. */
            bool has_more = n_written > n_read;
            if (!has_more)
                assert_int_equal(tap_read(&both.reader, &packet), 0);
            tap_publish(&both.writer);
            for (uint32_t n = next_random(&random) % 12; n > 0 && n_read < n_written; n--) {
                assert_int_equal(tap_read(&both.reader, &packet), 1);
                assert_int_equal(packet.number, ++n_read);
                check_packet(&packet, snaps[i]);
            }
        }
        close_tap(&both);
    }
}

static void test_tap_wakes(void **state)
{
    struct both both;
    struct wire_packet packet;
    uint8_t bytes[FRAME_MAX];
    open_tap(&both, TAP_BYTES, 64);
    assert_false(is_readable(both.reader.wake, 0));
    for (uint64_t number = 1; number < 50; number++) {
        packet = make_packet(number, bytes);
        assert_true(tap_write(&both.writer, &packet));
        assert_false(is_readable(both.reader.wake, 0));
        tap_publish(&both.writer);
        assert_true(is_readable(both.reader.wake, 0));
        assert_int_equal(tap_read(&both.reader, &packet), 1);
        assert_true(is_readable(both.reader.wake, 0)); /* until 0 was returned */
        assert_int_equal(tap_read(&both.reader, &packet), 0);
        assert_false(is_readable(both.reader.wake, 0));
    }
    close_tap(&both);
}

static void test_tap_is_full(void **state)
{
    struct both both;
    struct wire_packet packet;
    uint8_t bytes[FRAME_MAX];
    uint64_t n_written = 0, n_read = 0;
    open_tap(&both, TAP_BYTES, FRAME_MAX);
    for (;; n_written++) {
        packet = make_packet(n_written + 1, bytes);
        if (!tap_write(&both.writer, &packet))
            break;
    }
    assert_true(n_written > 4);
    assert_false(tap_write(&both.writer, &packet));
    tap_publish(&both.writer);
    while (tap_read(&both.reader, &packet) == 1) {
        assert_int_equal(packet.number, ++n_read);
        check_packet(&packet, FRAME_MAX);
    }
    assert_int_equal(n_read, n_written);
    close_tap(&both);
}

static void *write_all(void *data)
{
    struct tap *tap = data;
    uint8_t bytes[FRAME_MAX];
    for (uint64_t number = 1; number <= 20000; number++) {
        struct wire_packet packet = make_packet(number, bytes);
        while (!tap_write(tap, &packet)) {
            tap_publish(tap);
            sched_yield();
        }
        if (number % 3 == 0)
            tap_publish(tap);
    }
    tap_publish(tap);
    return NULL;
}

static void test_tap_with_two_threads(void **state)
{
    struct both both;
    struct wire_packet packet;
    pthread_t thread;
    uint64_t n_read = 0;
    open_tap(&both, 4 * TAP_BYTES, 200);
    assert_int_equal(pthread_create(&thread, NULL, write_all, &both.writer), 0);
    while (n_read < 20000) {
        if (tap_read(&both.reader, &packet) == 0) {
            assert_true(is_readable(both.reader.wake, 20000));
            continue;
        }
        assert_int_equal(packet.number, ++n_read);
        check_packet(&packet, 200);
    }
    pthread_join(thread, NULL);
    close_tap(&both);
}

static void test_tap_sizes(void **state)
{
    assert_int_equal(tap_round(0), 16 << 20);
    assert_int_equal(tap_round(1), 4096);
    assert_int_equal(tap_round(4097), 8192);
    assert_int_equal(tap_round(SIZE_MAX), 1 << 30);
}

/* ---- queue and pool */

static void test_queue_order(void **state)
{
    struct queue queue = {0};
    struct pool pool = {0};
    uint32_t random = 4711;
    int64_t last_ns = INT64_MIN;
    uint64_t last_number = 0;
    struct frame *frame;
    assert_null(queue_take(&queue, INT64_MAX));
    assert_true(queue_next_ns(&queue) == INT64_MAX);
    for (uint64_t number = 1; number <= 5000; number++) {
        frame = pool_take(&pool, 60);
        assert_non_null(frame);
        frame->due_ns = next_random(&random) % 500; /* many are due at the same time */
        frame->number = number;
        assert_int_equal(queue_put(&queue, frame), 0);
    }
    assert_null(queue_take(&queue, -1));
    for (unsigned n = 0; n < 5000; n++) {
        int64_t next_ns = queue_next_ns(&queue);
        assert_null(queue_take(&queue, next_ns - 1));
        frame = queue_take(&queue, next_ns);
        assert_non_null(frame);
        assert_true(frame->due_ns > last_ns || (frame->due_ns == last_ns && frame->number > last_number));
        last_ns = frame->due_ns;
        last_number = frame->number;
        pool_give(&pool, frame);
    }
    assert_int_equal(queue.n, 0);
    queue_free(&queue, &pool);
    pool_free(&pool);
}

static void test_pool_is_bounded(void **state)
{
    static const size_t sizes[] = {60, 1514, 66000};
    struct pool pool = {0};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct queue queue = {0};
        struct frame *frame;
        size_t n = 0;
        while ((frame = pool_take(&pool, sizes[i]))) {
            memset(frame->data, 1, sizes[i]);
            frame->due_ns = 0;
            if (queue_put(&queue, frame) < 0) {
                pool_give(&pool, frame);
                break;
            }
            n++;
        }
        assert_true(pool.n_bytes <= POOL_BYTES_MAX);
        assert_true(n <= POOL_FRAMES_MAX);
        assert_true(n * (sizes[i] + sizeof *frame) > POOL_BYTES_MAX / 2 || n == POOL_FRAMES_MAX);
        queue_free(&queue, &pool); /* free ones of this size make room for those of the next */
    }
    assert_null(pool_take(&pool, 1 << 20));
    pool_free(&pool);
    assert_int_equal(pool.n_bytes, 0);
}

/* ---- ICMP */

static size_t make_ipv4(uint8_t *frame, size_t n_payload, uint8_t protocol, uint16_t fragment, uint8_t first)
{
    size_t n_packet = 20 + n_payload;
    memset(frame, 0, ETH_HLEN + n_packet);
    memcpy(frame, "BBBBBBAAAAAA", 12);
    frame[12] = 8;
    uint8_t *ip = frame + ETH_HLEN;
    ip[0] = 0x45;
    ip[2] = (uint8_t)(n_packet >> 8);
    ip[3] = (uint8_t)n_packet;
    ip[6] = (uint8_t)(fragment >> 8);
    ip[7] = (uint8_t)fragment;
    ip[8] = 64;
    ip[9] = protocol;
    memcpy(ip + 12, "\x0a\x00\x00\x01\x0a\x00\x00\x02", 8);
    ip[20] = first;
    return ETH_HLEN + n_packet;
}

static size_t make_ipv6(uint8_t *frame, size_t n_payload, uint8_t protocol, uint8_t first)
{
    memset(frame, 0, ETH_HLEN + 40 + n_payload);
    memcpy(frame, "BBBBBBAAAAAA\x86\xdd", 14);
    uint8_t *ip = frame + ETH_HLEN;
    ip[0] = 0x60;
    ip[4] = (uint8_t)(n_payload >> 8);
    ip[5] = (uint8_t)n_payload;
    ip[6] = protocol;
    ip[7] = 64;
    ip[8] = ip[24] = 0xfd;
    ip[23] = 1;
    ip[39] = 2;
    ip[40] = first;
    return ETH_HLEN + 40 + n_payload;
}

static void test_icmp_tells(void **state)
{
    uint8_t frame[2000], told[ICMP_FRAME_MAX];
    for (size_t n_payload = 1; n_payload < 1480; n_payload += 7) {
        for (unsigned version = 4; version <= 6; version += 2) {
            size_t n_bytes = version == 4 ? make_ipv4(frame, n_payload, IPPROTO_UDP, 0x4000, 1)
                                          : make_ipv6(frame, n_payload, IPPROTO_UDP, 1);
            size_t n_told = icmp_tell_mtu(frame, n_bytes, 1300, 0, told);
            struct decoded decoded;
            assert_true(n_told > 0 && n_told <= sizeof told);
            assert_int_equal(decode_packet(LINK_ETHERNET, told, n_told, n_told, DECODE_CHECK_CHECKSUMS, &decoded),
                             DECODE_TRANSPORT);
            assert_int_equal(decoded.trouble, 0);
            assert_int_equal(decoded.icmp_mtu, 1300);
            assert_memory_equal(told, "AAAAAABBBBBB", 12);
            assert_memory_equal(decoded.destination.bytes, frame + ETH_HLEN + (version == 4 ? 12 : 8),
                                version == 4 ? 4 : 16);
            assert_true(n_told <= ETH_HLEN + (version == 4 ? 576u : 1280u));
            if (n_payload < 8)
                continue;
            assert_true(decoded.icmp_quotes);
            assert_int_equal(decoded.quoted_protocol, IPPROTO_UDP);
        }
    }
}

static void test_icmp_keeps_silent(void **state)
{
    uint8_t frame[2000], told[ICMP_FRAME_MAX];
    size_t n_bytes = make_ipv4(frame, 1400, IPPROTO_ICMP, 0, 3); /* an error */
    assert_int_equal(icmp_tell_mtu(frame, n_bytes, 1300, 0, told), 0);
    n_bytes = make_ipv4(frame, 1400, IPPROTO_ICMP, 0, 8); /* an echo */
    assert_int_not_equal(icmp_tell_mtu(frame, n_bytes, 1300, 0, told), 0);
    n_bytes = make_ipv4(frame, 1400, IPPROTO_UDP, 185, 1); /* a later fragment */
    assert_int_equal(icmp_tell_mtu(frame, n_bytes, 1300, 0, told), 0);
    n_bytes = make_ipv6(frame, 1400, IPPROTO_ICMPV6, 2);
    assert_int_equal(icmp_tell_mtu(frame, n_bytes, 1300, 0, told), 0);
    n_bytes = make_ipv4(frame, 1400, IPPROTO_UDP, 0, 1);
    frame[ETH_HLEN + 16] = 224;
    assert_int_equal(icmp_tell_mtu(frame, n_bytes, 1300, 0, told), 0);
    for (n_bytes = 0; n_bytes < ETH_HLEN + 20; n_bytes++) {
        make_ipv4(frame, 1400, IPPROTO_UDP, 0, 1);
        assert_int_equal(icmp_tell_mtu(frame, n_bytes, 1300, 0, told), 0);
        make_ipv6(frame, 1400, IPPROTO_UDP, 1);
        assert_int_equal(icmp_tell_mtu(frame, n_bytes, 1300, 0, told), 0);
    }
    memcpy(frame + 12, "\x08\x06", 2);
    assert_int_equal(icmp_tell_mtu(frame, 100, 1300, 0, told), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tap_in_turn),       cmocka_unit_test(test_tap_wakes),
        cmocka_unit_test(test_tap_is_full),       cmocka_unit_test(test_tap_with_two_threads),
        cmocka_unit_test(test_tap_sizes),         cmocka_unit_test(test_queue_order),
        cmocka_unit_test(test_pool_is_bounded),   cmocka_unit_test(test_icmp_tells),
        cmocka_unit_test(test_icmp_keeps_silent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
