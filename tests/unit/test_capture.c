/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "capture_build.h"
#include "observe/capture/capture.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define SECOND INT64_C(1000000000)

static struct build build;

static int begin(void **state)
{
    (void)state;
    build.n = 0;
    build.swapped = false;
    return 0;
}

static struct capture_file *opened(void)
{
    struct capture_file *file = NULL;
    struct sonde_why why;
    int error = capture_file_open_begun(-1, "memory", build.bytes, build.n, &file, &why);
    if (error < 0)
        print_error("%s\n", why.detail);
    assert_int_equal(error, 0);
    return file;
}

static struct packet next_packet(struct capture_file *file, const char *expected)
{
    struct packet packet;
    struct sonde_why why;
    int result = capture_file_next(file, &packet, &why);
    if (result < 0)
        print_error("%s\n", why.detail);
    assert_int_equal(result, 1);
    assert_int_equal(packet.n_captured, strlen(expected));
    assert_memory_equal(packet.data, expected, packet.n_captured);
    return packet;
}

static void end_of(struct capture_file *file)
{
    struct packet packet;
    struct sonde_why why;
    assert_int_equal(capture_file_next(file, &packet, &why), 0);
    assert_int_equal(capture_file_next(file, &packet, &why), 0);
    capture_file_close(file);
}

/* It cannot be read on, and the words name the offset. */
static void fails_with(struct capture_file *file, int error, const char *words)
{
    struct sonde_why why;
    struct packet packet = {.number = 77};
    for (int i = 0; i < 2; i++) {
        memset(&why, 0, sizeof why);
        assert_int_equal(capture_file_next(file, &packet, &why), error);
        assert_int_equal(why.code, error);
        assert_string_equal(why.call, "read");
        assert_string_equal(why.subject, "memory");
        if (!strstr(why.detail, words))
            fail_msg("\"%s\" is not in \"%s\"", words, why.detail);
    }
    assert_int_equal(packet.number, 77);
    capture_file_close(file);
}

static void open_fails(int error, const char *words)
{
    struct capture_file *file = NULL;
    struct sonde_why why;
    assert_int_equal(capture_file_open_begun(-1, "memory", build.bytes, build.n, &file, &why), error);
    assert_null(file);
    assert_int_equal(why.code, error);
    if (!strstr(why.detail, words))
        fail_msg("\"%s\" is not in \"%s\"", words, why.detail);
}

/* ---- pcap */

static void pcap_variants(void **state)
{
    (void)state;
    for (int i = 0; i < 4; i++) {
        bool nanoseconds = i & 2;
        begin(NULL);
        /* The upper bits say that there is a frame check sequence of four bytes. */
        build_pcap(&build, i & 1, nanoseconds ? 0xa1b23c4d : 0xa1b2c3d4, 0x44000000 | LINK_ETHERNET);
        build_record(&build, 1700000000, 999999, "hello", 5);
        build_record(&build, 4294967295, 1, "cut", 60000);
        build_record(&build, 0, 0, "", 0);
        assert_true(capture_file_is(build.bytes, 4));
        struct capture_file *file = opened();
        struct packet packet = next_packet(file, "hello");
        assert_int_equal(packet.number, 1);
        assert_true(packet.realtime_ns == 1700000000 * SECOND + (nanoseconds ? 999999 : 999999000));
        assert_int_equal(packet.link_type, LINK_ETHERNET);
        assert_int_equal(packet.n_wire, 5);
        assert_int_equal(packet.direction, PACKET_UNKNOWN);
        assert_null(packet.comment);
        packet = next_packet(file, "cut");
        assert_int_equal(packet.n_wire, 60000);
        assert_true(packet.realtime_ns == 4294967295 * SECOND + (nanoseconds ? 1 : 1000));
        packet = next_packet(file, "");
        assert_int_equal(packet.number, 3);
        assert_int_equal(capture_file_n_interfaces(file), 1);
        assert_string_equal(capture_file_interface_name(file, 0), "");
        assert_string_equal(capture_file_interface_name(file, 1), "");
        assert_int_equal(capture_file_n_dropped(file), 0);
        end_of(file);
    }
}

static void pcap_modified(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        begin(NULL);
        build_pcap(&build, i, 0xa1b2cd34, LINK_RAW);
        for (int type = 0; type <= 4; type += 4) {
            build_32(&build, 7);
            build_32(&build, 8);
            build_32(&build, 2);
            build_32(&build, 2);
            build_32(&build, 1);
            build_16(&build, 0x0800);
            uint8_t last[2] = {(uint8_t)type, 0};
            build_raw(&build, last, 2);
            build_raw(&build, "ab", 2);
        }
        struct capture_file *file = opened();
        struct packet packet = next_packet(file, "ab");
        assert_int_equal(packet.direction, PACKET_IN);
        assert_true(packet.realtime_ns == 7 * SECOND + 8000);
        assert_int_equal(next_packet(file, "ab").direction, PACKET_OUT);
        end_of(file);
    }
}

static void pcap_old_lengths(void **state)
{
    (void)state;
    /* Before 2.3 the wire's length came first; in 2.3 it may. */
    for (uint16_t minor = 2; minor <= 3; minor++) {
        begin(NULL);
        build_pcap(&build, false, 0xa1b2c3d4, LINK_ETHERNET);
        memcpy(build.bytes + 6, &minor, 2);
        build_32(&build, 1);
        build_32(&build, 1);
        build_32(&build, 90);
        build_32(&build, 2);
        build_raw(&build, "ab", 2);
        struct capture_file *file = opened();
        assert_int_equal(next_packet(file, "ab").n_wire, 90);
        end_of(file);
    }
}

static void pcap_damaged(void **state)
{
    (void)state;
    build_pcap(&build, false, 0xa1b2c3d4, LINK_ETHERNET);
    build_record(&build, 1, 1, "ab", 2);
    build_32(&build, 1);
    build_32(&build, 1);
    build_32(&build, (UINT32_C(256) << 20) + 1);
    build_32(&build, 1);
    struct capture_file *file = opened();
    next_packet(file, "ab");
    fails_with(file, -EINVAL, "offset 42: a packet of more than 256 MiB");

    build.bytes[4] = 9;
    open_fails(-EINVAL, "offset 4: a version");
}

/* A length that the file does not hold is not taken for a promise: no memory is asked for that. */
static void pcap_promises(void **state)
{
    (void)state;
    build_pcap(&build, false, 0xa1b2c3d4, LINK_ETHERNET);
    build_32(&build, 1);
    build_32(&build, 1);
    build_32(&build, UINT32_C(256) << 20);
    build_32(&build, UINT32_C(256) << 20);
    fails_with(opened(), -EPIPE, "offset 40: the file ends");
}

/* ---- pcapng */

static void ng_everything(void **state)
{
    (void)state;
    build_everything(&build);
    struct capture_file *file = opened();
    for (unsigned i = 0; i < 2; i++) {
        struct packet packet = next_packet(file, "one");
        assert_int_equal(packet.number, 5 * i + 1);
        assert_true(packet.realtime_ns == SECOND + 1000);
        assert_int_equal(packet.n_wire, 100);
        assert_int_equal(packet.link_type, LINK_ETHERNET);
        assert_int_equal(packet.interface, 2 * i);
        assert_int_equal(packet.direction, PACKET_OUT);
        assert_string_equal(packet.comment, "the first\nand more");
        packet = next_packet(file, "four");
        assert_true(packet.realtime_ns == SECOND + 2);
        assert_int_equal(packet.link_type, LINK_RAW);
        assert_int_equal(packet.interface, 2 * i + 1);
        assert_null(packet.comment);
        packet = next_packet(file, "simpl");
        assert_true(packet.realtime_ns == 0);
        assert_int_equal(packet.interface, 2 * i);
        packet = next_packet(file, "old");
        assert_true(packet.realtime_ns == 2 * SECOND);
        packet = next_packet(file, "");
        assert_true(packet.realtime_ns == 3 * SECOND);
        assert_int_equal(capture_file_n_interfaces(file), 2 * i + 2);
        assert_string_equal(capture_file_interface_name(file, 2 * i), "eth0");
        assert_string_equal(capture_file_interface_name(file, 2 * i + 1), "tun0");
    }
    /* Each section: 3 before the obsolete packet, 42 as the statistics say. */
    assert_int_equal(capture_file_n_dropped(file), 90);
    end_of(file);
}

static void check_time(int resolution, int64_t offset, uint64_t ticks, int64_t expected)
{
    begin(NULL);
    build_section(&build, resolution & 1);
    build_interface(&build, LINK_ETHERNET, NULL, resolution, offset);
    build_packet(&build, 0, ticks, "x");
    struct capture_file *file = opened();
    int64_t got = next_packet(file, "x").realtime_ns;
    if (got != expected)
        fail_msg("resolution %d: %lld instead of %lld", resolution, (long long)got, (long long)expected);
    end_of(file);
}

static void ng_times(void **state)
{
    (void)state;
    const uint64_t now = 1700000000;
    check_time(-1, 0, now * 1000000 + 5, (int64_t)now * SECOND + 5000);
    check_time(0, 0, now, (int64_t)now * SECOND);
    check_time(3, 0, now * 1000 + 7, (int64_t)now * SECOND + 7000000);
    check_time(9, 0, now * 1000000000 + 1, (int64_t)now * SECOND + 1);
    check_time(10, 0, now * 10000000000 / 10 + 19, (int64_t)now * SECOND / 10 + 1);
    check_time(12, 0, 5000000001999, 5 * SECOND + 1);
    check_time(28, 0, UINT64_MAX, 1);
    check_time(29, 0, UINT64_MAX, 0);
    check_time(127, 0, UINT64_MAX, 0);
    check_time(0x80, 0, now, (int64_t)now * SECOND);
    check_time(0x80 | 10, 0, now * 1024 + 512, (int64_t)now * SECOND + SECOND / 2);
    check_time(0x80 | 30, 0, (UINT64_C(3) << 30) + (1 << 29), 3 * SECOND + SECOND / 2);
    check_time(0x80 | 127, 0, UINT64_MAX, 0);
    check_time(6, 100, 1000000, 101 * SECOND);
    check_time(6, -100, 1000000, -99 * SECOND);
    /* What no int64_t holds stays at its end. */
    check_time(0, 0, UINT64_MAX, INT64_MAX);
    check_time(0x80, 0, UINT64_MAX, INT64_MAX);
    check_time(0, INT64_MAX, UINT64_MAX, INT64_MAX);
    check_time(6, INT64_MIN, 1000000, INT64_MIN + SECOND);
}

static void ng_damaged_blocks(void **state)
{
    (void)state;
    static const struct {
        uint32_t length;
        const char *words;
    } rows[] = {
        {0, "offset 48: a block of an impossible length"},
        {8, "impossible length"},
        {14, "impossible length"},
        {0xfffffff0, "more than 257 MiB"},
        {44, "offset 48: a block whose two lengths differ"},
        {36, "lengths differ"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        begin(NULL);
        build_section(&build, false);
        assert_int_equal(build.n, 48);
        build_interface(&build, LINK_ETHERNET, "eth0", 6, 0);
        build_packet(&build, 0, 0, "abc");
        memcpy(build.bytes + 48 + 4, &rows[i].length, 4);
        fails_with(opened(), -EINVAL, rows[i].words);
    }
}

static void ng_short_bodies(void **state)
{
    (void)state;
    static const uint32_t kinds[] = {1, 2, 3, 5, 6, 0x0a0d0d0a};
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        begin(NULL);
        build_section(&build, false);
        build_begin(&build, kinds[i]);
        if (kinds[i] == 0x0a0d0d0a)
            build_32(&build, 0x1a2b3c4d);
        build_end(&build);
        fails_with(opened(), -EINVAL, "too short");
    }
}

static void ng_damaged_packets(void **state)
{
    (void)state;
    build_section(&build, true);
    build_packet(&build, 0, 0, "abc");
    fails_with(opened(), -EINVAL, "offset 48: a packet of an interface that its section has not");

    /* The first section's interfaces are not the second's. */
    begin(NULL);
    build_section(&build, true);
    build_interface(&build, LINK_ETHERNET, "eth0", 6, 0);
    build_section(&build, false);
    build_begin(&build, 3);
    build_32(&build, 0);
    build_end(&build);
    fails_with(opened(), -EINVAL, "interface that its section has not");

    for (uint32_t length = 5; length != 0; length = length == 5 ? 0x10000001 : 0) {
        begin(NULL);
        build_section(&build, false);
        build_interface(&build, LINK_ETHERNET, "eth0", 6, 0);
        build_packet(&build, 0, 0, "abc");
        memcpy(build.bytes + build.block + 8 + 12, &length, 4);
        fails_with(opened(), -EINVAL, length == 5 ? "longer than its block" : "more than 256 MiB");
    }

    begin(NULL);
    build_section(&build, false);
    build_interface(&build, LINK_ETHERNET, "eth0", 6, 0);
    build_begin(&build, 3);
    build_32(&build, 100);
    build_padded(&build, "abc", 3);
    build_end(&build);
    fails_with(opened(), -EINVAL, "longer than its block");
}

static void ng_sections(void **state)
{
    (void)state;
    build_section(&build, false);
    uint32_t order = 0x12345678;
    memcpy(build.bytes + 8, &order, 4);
    open_fails(-EINVAL, "offset 8: a section without a byte order");

    begin(NULL);
    build_section(&build, false);
    build.bytes[12] = 2;
    open_fails(-EINVAL, "version of pcapng");

    begin(NULL);
    build_section(&build, false);
    build_section(&build, true);
    memcpy(build.bytes + build.block + 8, &order, 4);
    fails_with(opened(), -EINVAL, "offset 56: a section without a byte order");
}

/* An option that reaches beyond its block is ignored, with those behind it. */
static void ng_bad_options(void **state)
{
    (void)state;
    build_section(&build, false);
    build_interface(&build, LINK_ETHERNET, NULL, 6, 0);
    build_packet_begin(&build, 0, 0, "abcd", 4);
    build_option(&build, 1, "good", 4);
    build_16(&build, 1);
    build_16(&build, 500);
    build_end(&build);
    struct capture_file *file = opened();
    assert_string_equal(next_packet(file, "abcd").comment, "good");
    end_of(file);
}

static void ng_long_comments(void **state)
{
    (void)state;
    static char text[20000];
    memset(text, 'c', sizeof text);
    build_section(&build, false);
    build_interface(&build, LINK_ETHERNET, "a name that is longer than any interface has a right to be, by far", 6, 0);
    build_packet_begin(&build, 0, 0, "abcd", 4);
    for (int i = 0; i < 3; i++)
        build_option(&build, 1, text, sizeof text);
    build_option(&build, 1, "", 0);
    build_end(&build);
    build_packet_begin(&build, 0, 0, "e", 1);
    build_option(&build, 1, "", 0);
    build_end(&build);
    struct capture_file *file = opened();
    assert_int_equal(strlen(next_packet(file, "abcd").comment), 3 * sizeof text + 2);
    assert_string_equal(next_packet(file, "e").comment, "");
    assert_int_equal(strlen(capture_file_interface_name(file, 0)), 63);
    end_of(file);
}

static void ng_flags(void **state)
{
    (void)state;
    build_section(&build, true);
    build_interface(&build, LINK_ETHERNET, "eth0", 6, 0);
    for (uint32_t flags = 0; flags < 4; flags++) {
        uint32_t swapped = __builtin_bswap32(flags | (flags == 1 ? 0x200 : 0x1fc));
        build_packet_begin(&build, 0, 0, "x", 1);
        build_option(&build, 2, &swapped, 4);
        build_end(&build);
    }
    struct capture_file *file = opened();
    static const uint8_t expected[] = {PACKET_UNKNOWN, PACKET_IN, PACKET_OUT, PACKET_UNKNOWN};
    for (int i = 0; i < 4; i++) {
        struct packet packet = next_packet(file, "x");
        assert_int_equal(packet.direction, expected[i]);
        assert_int_equal(packet.checksum_left, i == 1);
    }
    end_of(file);
}

/* ---- any */

static void no_captures(void **state)
{
    (void)state;
    open_fails(-EINVAL, "offset 0: the file is empty");
    build_raw(&build, "abc", 3);
    open_fails(-EINVAL, "no capture file");
    build_raw(&build, "{\"kind\":\"segment\"}", 18);
    assert_false(capture_file_is(build.bytes, build.n));
    open_fails(-EINVAL, "no capture file");
    begin(NULL);
    build_raw(&build, "\x1f\x8b\x08\0", 4);
    open_fails(-EINVAL, "gzip");

    struct capture_file *file = NULL;
    struct sonde_why why;
    assert_int_equal(capture_file_open("/nonexistent/x.pcap", &file, &why), -ENOENT);
    assert_string_equal(why.call, "open");
    assert_string_equal(why.subject, "/nonexistent/x.pcap");
    assert_int_equal(capture_file_open("/", &file, &why), -EISDIR);
    assert_string_equal(why.call, "read");
}

/* How many packets a capture's first n bytes have; their contents are what the whole has. */
static unsigned n_whole(const uint8_t *bytes, size_t n, int *ret_result)
{
    struct sonde_why why;
    struct capture_file *whole, *part = NULL;
    /* In memory that ends with it, so that a byte read too far is seen. */
    uint8_t *copy = malloc(n ? n : 1);
    assert_non_null(copy);
    memcpy(copy, bytes, n);
    int result = capture_file_open_begun(-1, "part", copy, n, &part, &why);
    free(copy);
    if (result < 0) {
        *ret_result = result;
        return 0;
    }
    assert_int_equal(capture_file_open_begun(-1, "whole", build.bytes, build.n, &whole, &why), 0);
    unsigned n_packets = 0;
    struct packet got, expected;
    while ((result = capture_file_next(part, &got, &why)) == 1) {
        assert_int_equal(capture_file_next(whole, &expected, &why), 1);
        assert_int_equal(got.n_captured, expected.n_captured);
        assert_memory_equal(got.data, expected.data, got.n_captured);
        assert_true(got.realtime_ns == expected.realtime_ns);
        assert_true(!got.comment == !expected.comment);
        if (got.comment)
            assert_string_equal(got.comment, expected.comment);
        n_packets++;
    }
    capture_file_close(whole);
    capture_file_close(part);
    *ret_result = result;
    return n_packets;
}

static void truncated_everywhere(void **state)
{
    (void)state;
    for (int format = 0; format < 2; format++) {
        begin(NULL);
        if (format == 0) {
            build_everything(&build);
        } else {
            build_pcap(&build, false, 0xa1b2c3d4, LINK_ETHERNET);
            build_record(&build, 1, 2, "hello", 5);
            build_record(&build, 1, 3, "world", 5);
        }
        unsigned n_before = 0, n_ends = 0;
        for (size_t n = 0; n <= build.n; n++) {
            int result;
            unsigned n_packets = n_whole(build.bytes, n, &result);
            assert_true(n_packets >= n_before && n_packets <= n_before + 1);
            n_before = n_packets;
            n_ends += result == 0;
            if (result < 0)
                assert_int_equal(result, n < 4 ? -EINVAL : -EPIPE);
        }
        assert_int_equal(n_before, format == 0 ? 10 : 2);
        /* Only between blocks is the end an end: there are 22 blocks, or a header and two records. */
        assert_int_equal(n_ends, format == 0 ? 22 : 3);
    }
}

/* Every byte in turn is another: nothing but an error may come of it. */
static void damaged_everywhere(void **state)
{
    (void)state;
    build_everything(&build);
    static struct build whole;
    whole = build;
    for (size_t i = 0; i < whole.n; i++) {
        for (int value = 0; value < 3; value++) {
            uint8_t *copy = malloc(whole.n);
            assert_non_null(copy);
            memcpy(copy, whole.bytes, whole.n);
            copy[i] = value == 0 ? 0 : value == 1 ? 0xff : (uint8_t)(copy[i] ^ 1);
            struct capture_file *file;
            struct sonde_why why;
            struct packet packet;
            unsigned sum = 0;
            int result = capture_file_open_begun(-1, "x", copy, whole.n, &file, &why);
            free(copy);
            if (result < 0)
                continue;
            while ((result = capture_file_next(file, &packet, &why)) == 1) {
                assert_true(packet.n_wire >= packet.n_captured);
                for (uint32_t j = 0; j < packet.n_captured; j++)
                    sum += packet.data[j];
            }
            assert_true(result <= 0 && sum < UINT32_MAX);
            capture_file_close(file);
        }
    }
}

/* ---- from descriptors */

struct feed {
    int fd;
    const struct build *build;
};

static void *feed(void *user)
{
    struct feed *feed = user;
    for (size_t i = 0; i < feed->build->n; i++)
        assert_int_equal(write(feed->fd, feed->build->bytes + i, 1), 1);
    close(feed->fd);
    return NULL;
}

/* A pipe that gives one byte at a time, and does not block. */
static void pipes(void **state)
{
    (void)state;
    build_everything(&build);
    int ends[2];
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    assert_int_equal(fcntl(ends[0], F_SETFL, O_NONBLOCK), 0);
    struct feed fed = {ends[1], &build};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, feed, &fed), 0);
    struct capture_file *file;
    struct sonde_why why;
    assert_int_equal(capture_file_open_fd(ends[0], "pipe", &file, &why), 0);
    unsigned n = 0;
    struct packet packet;
    while (capture_file_next(file, &packet, &why) == 1)
        n++;
    assert_int_equal(n, 10);
    end_of(file);
    pthread_join(thread, NULL);
    assert_int_equal(fcntl(ends[0], F_GETFD), -1);
}

/* Some bytes were read already, to see what it is. */
static void begun(void **state)
{
    (void)state;
    build_everything(&build);
    for (size_t n_begun = 0; n_begun <= build.n; n_begun += 13) {
        int fd = memfd_create("capture", MFD_CLOEXEC);
        assert_int_equal(write(fd, build.bytes, build.n), build.n);
        lseek(fd, (off_t)n_begun, SEEK_SET);
        struct capture_file *file;
        struct sonde_why why;
        assert_int_equal(capture_file_open_begun(fd, "memfd", build.bytes, n_begun, &file, &why), 0);
        unsigned n = 0;
        struct packet packet;
        while (capture_file_next(file, &packet, &why) == 1)
            n++;
        assert_int_equal(n, 10);
        end_of(file);
    }
}

/* ---- writing */

static void make_path(char path[64])
{
    strcpy(path, "/tmp/sonde-capture-XXXXXX");
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
}

static void round_trip(void **state)
{
    (void)state;
    static uint8_t large[600000];
    for (size_t i = 0; i < sizeof large; i++)
        large[i] = (uint8_t)(i * 7);
    char path[64];
    make_path(path);
    struct capture_writer *writer;
    struct sonde_why why;
    assert_int_equal(capture_writer_open(path, &writer, &why), 0);
    assert_int_equal(capture_writer_interface(writer, "lo", LINK_ETHERNET, 0), 0);
    assert_int_equal(capture_writer_interface(writer, "b\xff", LINK_LINUX_SLL2, 96), 1);
    assert_int_equal(capture_writer_described(writer, "", "where\xff", LINK_RAW, 0), 2);
    for (uint32_t i = 0; i < 9; i++) {
        struct packet packet = {
            .realtime_ns = 1700000000 * SECOND + i,
            .data = large,
            .n_captured = i == 8 ? sizeof large : i,
            .n_wire = i == 8 ? sizeof large : 1000 + i,
            .interface = i % 3,
            .direction = (uint8_t)(i % 3),
            .checksum_left = i % 2,
        };
        assert_int_equal(capture_writer_packet(writer, &packet, i == 1 ? "nc: caf\xc3\xa9 \xff\xc3(" : NULL), 0);
    }
    struct packet wrong = {.interface = 3};
    assert_int_equal(capture_writer_packet(writer, &wrong, NULL), -EINVAL);
    assert_int_equal(capture_writer_statistics(writer, 1, 100, 7), 0);
    assert_int_equal(capture_writer_statistics(writer, 2, 1, 1), 0);
    assert_int_equal(capture_writer_statistics(writer, 3, 1, 1), -EINVAL);
    assert_int_equal(capture_writer_flush(writer), 0);
    assert_int_equal(capture_writer_close(writer), 0);

    struct stat status;
    assert_int_equal(stat(path, &status), 0);
    struct capture_file *file;
    struct packet packet;
    assert_int_equal(capture_file_open(path, &file, &why), 0);
    for (uint32_t i = 0; i < 9; i++) {
        assert_int_equal(capture_file_next(file, &packet, &why), 1);
        assert_true(packet.realtime_ns == 1700000000 * SECOND + i);
        assert_int_equal(packet.n_captured, i == 8 ? sizeof large : i);
        assert_int_equal(packet.n_wire, i == 8 ? sizeof large : 1000 + i);
        assert_memory_equal(packet.data, large, packet.n_captured);
        assert_int_equal(packet.interface, i % 3);
        assert_int_equal(packet.direction, i % 3);
        assert_int_equal(packet.checksum_left, i % 2);
        if (i == 1)
            assert_string_equal(packet.comment, "nc: caf\xc3\xa9 \xef\xbf\xbd\xef\xbf\xbd(");
        else
            assert_null(packet.comment);
    }
    assert_int_equal(capture_file_next(file, &packet, &why), 0);
    assert_string_equal(capture_file_interface_name(file, 0), "lo");
    assert_string_equal(capture_file_interface_name(file, 1), "b\xef\xbf\xbd");
    assert_string_equal(capture_file_interface_description(file, 0), "");
    assert_string_equal(capture_file_interface_description(file, 2), "where\xef\xbf\xbd");
    assert_string_equal(capture_file_interface_description(file, 3), "");
    assert_int_equal(capture_file_n_dropped(file), 8);
    end_of(file);
    unlink(path);
}

/* Comments of any bytes become UTF-8, and of any length fit. */
static void comments(void **state)
{
    (void)state;
#define BAD "\xef\xbf\xbd"
    static const char *const rows[][2] = {
        {"plain", "plain"},
        {"\xe2\x82\xac \xf0\x9f\x98\x80", "\xe2\x82\xac \xf0\x9f\x98\x80"},
        {"\xc0\xaf", BAD BAD},
        {"\xe0\x80\xaf", BAD BAD BAD},
        {"\xed\xa0\x80", BAD BAD BAD},
        {"\xf4\x90\x80\x80", BAD BAD BAD BAD},
        {"\xf0\x8f\xbf\xbf", BAD BAD BAD BAD},
        {"\xf5\x80", BAD BAD},
        {"\xe2\x82", BAD BAD},
        {"\xe2\x82z", BAD BAD "z"},
        {"\xf0\x9f\x98", BAD BAD BAD},
        {"\x80", BAD},
        {"\x1b[31m", "\x1b[31m"},
    };
    enum { N_ROWS = sizeof rows / sizeof rows[0] };
    static char long_text[70001];
    for (size_t i = 0; i < sizeof long_text - 1; i++)
        long_text[i] = '\xff';
    char path[64];
    make_path(path);
    struct capture_writer *writer;
    struct sonde_why why;
    struct packet packet = {.data = (const uint8_t *)"x", .n_captured = 1, .n_wire = 1};
    assert_int_equal(capture_writer_open(path, &writer, &why), 0);
    assert_int_equal(capture_writer_interface(writer, "lo", LINK_ETHERNET, 0), 0);
    for (int i = 0; i <= N_ROWS; i++)
        assert_int_equal(capture_writer_packet(writer, &packet, i < N_ROWS ? rows[i][0] : long_text), 0);
    assert_int_equal(capture_writer_close(writer), 0);
    struct capture_file *file;
    assert_int_equal(capture_file_open(path, &file, &why), 0);
    for (int i = 0; i <= N_ROWS; i++) {
        assert_int_equal(capture_file_next(file, &packet, &why), 1);
        if (i < N_ROWS)
            assert_string_equal(packet.comment, rows[i][1]);
        else
            assert_int_equal(strlen(packet.comment), 65532);
    }
    end_of(file);
    unlink(path);
}

/* The first error stays, and every call says it. */
static void writing_fails(void **state)
{
    (void)state;
    struct capture_writer *writer;
    struct sonde_why why;
    assert_int_equal(capture_writer_open("/nonexistent/x", &writer, &why), -ENOENT);
    assert_string_equal(why.call, "open");
    assert_string_equal(why.subject, "/nonexistent/x");

    assert_int_equal(capture_writer_open("/dev/full", &writer, &why), 0);
    assert_int_equal(capture_writer_interface(writer, "lo", LINK_ETHERNET, 0), 0);
    assert_int_equal(capture_writer_flush(writer), -ENOSPC);
    struct packet packet = {.data = (const uint8_t *)"x", .n_captured = 1, .n_wire = 1};
    assert_int_equal(capture_writer_packet(writer, &packet, NULL), -ENOSPC);
    assert_int_equal(capture_writer_interface(writer, "lo", LINK_ETHERNET, 0), -ENOSPC);
    assert_int_equal(capture_writer_statistics(writer, 0, 0, 0), -ENOSPC);
    assert_int_equal(capture_writer_close(writer), -ENOSPC);
}

/* ---- filters */

/* An IPv4 packet with a TCP header, behind n_before bytes. */
static void put_tcp(uint8_t *at, uint16_t port)
{
    static const uint8_t ip[40] = {0x45, 0, 0, 40, 0, 0, 0, 0, 64, 6, 0, 0, 127, 0, 0, 1, 127, 0, 0, 1};
    memcpy(at, ip, sizeof ip);
    at[20] = 0x9c;
    at[21] = 0x40;
    at[22] = (uint8_t)(port >> 8);
    at[23] = (uint8_t)port;
    at[32] = 0x50;
}

static bool is_tcp_to(struct capture_filter *filter, uint16_t link_type, size_t n_before, uint16_t port)
{
    static uint8_t bytes[128];
    memset(bytes, 0, sizeof bytes);
    if (link_type == LINK_ETHERNET)
        bytes[12] = 0x08;
    if (link_type == LINK_LINUX_SLL2)
        bytes[0] = 0x08;
    put_tcp(bytes + n_before, port);
    struct packet packet = {
        .data = bytes,
        .n_captured = (uint32_t)n_before + 40,
        .n_wire = (uint32_t)n_before + 40,
        .link_type = link_type,
    };
    return capture_filter_matches(filter, &packet);
}

static void filters(void **state)
{
    (void)state;
    struct capture_filter *filter = NULL;
    struct sonde_why why = {0};
    int error = capture_filter_compile("tcp port 7007", LINK_ETHERNET, 0, &filter, &why);
    if (error == -ENOENT) {
        print_message("skipped: there is no libpcap\n");
        skip();
    }
    assert_int_equal(error, 0);
    for (int i = 0; i < 2; i++) {
        assert_true(is_tcp_to(filter, LINK_ETHERNET, 14, 7007));
        assert_false(is_tcp_to(filter, LINK_ETHERNET, 14, 7008));
        assert_true(is_tcp_to(filter, LINK_RAW, 0, 7007));
        assert_false(is_tcp_to(filter, LINK_RAW, 0, 7008));
        assert_true(is_tcp_to(filter, LINK_LINUX_SLL2, 20, 7007));
        assert_false(is_tcp_to(filter, 60000, 0, 7007));
    }
    for (uint16_t link_type = 61000; link_type < 61030; link_type++)
        assert_false(is_tcp_to(filter, link_type, 0, 7007));
    capture_filter_free(filter);

    assert_int_equal(capture_filter_compile("ether host 0:0:0:0:0:0 and tcp", LINK_ETHERNET, 0, &filter, &why), 0);
    assert_true(is_tcp_to(filter, LINK_ETHERNET, 14, 1));
    assert_false(is_tcp_to(filter, LINK_RAW, 0, 1));
    capture_filter_free(filter);

    filter = NULL;
    assert_int_equal(capture_filter_compile("port or and", LINK_ETHERNET, 0, &filter, &why), -EINVAL);
    assert_null(filter);
    assert_string_equal(why.call, "filter");
    assert_string_equal(why.subject, "port or and");
    assert_non_null(strstr(why.detail, "syntax error"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(pcap_variants, begin),
        cmocka_unit_test_setup(pcap_modified, begin),
        cmocka_unit_test_setup(pcap_old_lengths, begin),
        cmocka_unit_test_setup(pcap_damaged, begin),
        cmocka_unit_test_setup(pcap_promises, begin),
        cmocka_unit_test_setup(ng_everything, begin),
        cmocka_unit_test_setup(ng_times, begin),
        cmocka_unit_test_setup(ng_damaged_blocks, begin),
        cmocka_unit_test_setup(ng_short_bodies, begin),
        cmocka_unit_test_setup(ng_damaged_packets, begin),
        cmocka_unit_test_setup(ng_sections, begin),
        cmocka_unit_test_setup(ng_bad_options, begin),
        cmocka_unit_test_setup(ng_long_comments, begin),
        cmocka_unit_test_setup(ng_flags, begin),
        cmocka_unit_test_setup(no_captures, begin),
        cmocka_unit_test_setup(truncated_everywhere, begin),
        cmocka_unit_test_setup(damaged_everywhere, begin),
        cmocka_unit_test_setup(pipes, begin),
        cmocka_unit_test_setup(begun, begin),
        cmocka_unit_test_setup(round_trip, begin),
        cmocka_unit_test_setup(comments, begin),
        cmocka_unit_test_setup(writing_fails, begin),
        cmocka_unit_test_setup(filters, begin),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
