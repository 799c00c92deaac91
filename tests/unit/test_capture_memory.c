/* SPDX-License-Identifier: MIT */
/* The n-th allocation fails, for every n: the reader and the writer are built in here with an allocator that counts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "capture_build.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

static long n_left = -1; /* allocations that work; negative: all */

static bool refused(void)
{
    if (n_left == 0) {
        errno = ENOMEM;
        return true;
    }
    n_left -= n_left > 0;
    return false;
}

static void *count_malloc(size_t n_bytes)
{
    return refused() ? NULL : malloc(n_bytes);
}

static void *count_calloc(size_t n, size_t n_bytes)
{
    return refused() ? NULL : calloc(n, n_bytes);
}

static void *count_realloc(void *memory, size_t n_bytes)
{
    return refused() ? NULL : realloc(memory, n_bytes);
}

#define malloc count_malloc
#define calloc count_calloc
#define realloc count_realloc
#include "observe/capture/file.c"
#include "observe/capture/pcap.c"
#include "observe/capture/pcapng.c"
#undef BUFFER_BYTES
#undef INTERFACES_MAX
#undef OPTION_COMMENT
#undef OPTION_FLAGS
#undef OPTION_DROPPED
#include "observe/capture/writer.c"
#undef malloc
#undef calloc
#undef realloc

static struct build build;

/* Reads the whole capture with n allocations; returns how it ended. */
static int read_all(long n)
{
    int fd = memfd_create("capture", MFD_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, build.bytes, build.n), build.n);
    lseek(fd, 0, SEEK_SET);
    struct capture_file *file = NULL;
    struct sonde_why why = {0};
    struct packet packet;
    n_left = n;
    int result = capture_file_open_fd(fd, "memfd", &file, &why);
    while (result == 0 && (result = capture_file_next(file, &packet, &why)) == 1)
        result = 0;
    if (result < 0)
        assert_int_equal(why.code, result);
    n_left = -1;
    capture_file_close(file);
    assert_int_equal(fcntl(fd, F_GETFD), -1);
    return result;
}

static int next_of_all(long n, unsigned *ret_n_packets)
{
    struct capture_file *file = NULL;
    struct sonde_why why = {0};
    struct packet packet;
    *ret_n_packets = 0;
    n_left = n;
    int result = capture_file_open_begun(-1, "memory", build.bytes, build.n, &file, &why);
    if (result == 0) {
        while ((result = capture_file_next(file, &packet, &why)) == 1)
            ++*ret_n_packets;
    }
    if (result < 0)
        assert_int_equal(why.code, result);
    n_left = -1;
    capture_file_close(file);
    return result;
}

static void reading(void **state)
{
    (void)state;
    build.n = 0;
    build_everything(&build);
    unsigned n_packets, n_before = 0;
    long n = 0;
    for (; next_of_all(n, &n_packets) < 0; n++) {
        assert_int_equal(next_of_all(n, &n_packets), -ENOMEM);
        assert_true(n_packets >= n_before);
        n_before = n_packets;
    }
    assert_int_equal(n_packets, 10);
    /* The file, its buffer, its interfaces, a comment. */
    assert_true(n >= 4);
    for (long i = 0; i < n; i++)
        assert_int_equal(read_all(i), -ENOMEM);
}

static void writing(void **state)
{
    (void)state;
    long n = 0;
    for (bool works = false; !works; n++) {
        struct capture_writer *writer = NULL;
        struct sonde_why why = {0};
        struct packet packet = {.data = (const uint8_t *)"x", .n_captured = 1, .n_wire = 1};
        n_left = n;
        int error = capture_writer_open("/dev/null", &writer, &why);
        if (error < 0) {
            assert_int_equal(error, -ENOMEM);
            assert_int_equal(why.code, -ENOMEM);
            assert_null(writer);
            continue;
        }
        int n_interfaces = 0, result = 0;
        while (result >= 0 && n_interfaces < 5) {
            result = capture_writer_interface(writer, "lo", LINK_ETHERNET, 0);
            n_interfaces += result >= 0;
        }
        works = result >= 0;
        if (!works)
            assert_int_equal(result, -ENOMEM);
        /* What is there goes on working. */
        packet.interface = (uint32_t)n_interfaces - 1;
        assert_int_equal(capture_writer_packet(writer, &packet, "x"), n_interfaces > 0 ? 0 : -EINVAL);
        n_left = -1;
        assert_int_equal(capture_writer_close(writer), 0);
    }
    assert_true(n >= 4);
    n_left = -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reading),
        cmocka_unit_test(writing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
