/* SPDX-License-Identifier: MIT */
#include "cli/connect/send.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

/* ---- what is written */

static void check_parse(const char *text, bool crlf, const char *bytes, size_t n_bytes)
{
    const char *file = "unset", *wrong = NULL;
    char *got = NULL;
    size_t n_got = 99;

    assert_int_equal(send_parse(text, crlf, &got, &n_got, &file, &wrong), SEND_OK);
    assert_int_equal(n_got, n_bytes);
    assert_memory_equal(got, bytes, n_bytes);
    assert_null(file);
    free(got);
}

#define CHECK_PARSE(text, crlf, bytes) check_parse(text, crlf, bytes, sizeof(bytes) - 1)

static void test_text(void **state)
{
    (void)state;
    CHECK_PARSE("", false, "");
    CHECK_PARSE("hello", false, "hello");
    CHECK_PARSE("a\\nb\\rc\\td\\\\n", false, "a\nb\rc\td\\n");
    CHECK_PARSE("\\0x\\x00\\xfF\\x7e", false, "\0x\0\xff~");
    CHECK_PARSE("\\x40FILE", false, "@FILE");
    CHECK_PARSE("h\\x65x:", false, "hex:");
    CHECK_PARSE("HEX:00", false, "HEX:00");
}

static void test_text_crlf(void **state)
{
    (void)state;
    CHECK_PARSE("a\\n", true, "a\r\n");
    CHECK_PARSE("a\\r\\n\\n", true, "a\r\n\r\n");
    CHECK_PARSE("a\nb", true, "a\r\nb");
    CHECK_PARSE("\\n\\n\\n\\n", true, "\r\n\r\n\r\n\r\n");
    CHECK_PARSE("hex:0a 0d 0a", true, "\n\r\n"); /* bytes, not lines */
    CHECK_PARSE("", true, "");
}

static void test_hex(void **state)
{
    (void)state;
    CHECK_PARSE("hex:", false, "");
    CHECK_PARSE("hex:48656C6c6f", false, "Hello");
    CHECK_PARSE("hex: 48 65\t6c\n6c 6f ", false, "Hello");
    CHECK_PARSE("hex:00ff", false, "\0\xff");
}

static void check_wrong(const char *text, enum send_error error, size_t at)
{
    const char *file, *wrong = NULL;
    char *got;
    size_t n_got;

    assert_int_equal(send_parse(text, false, &got, &n_got, &file, &wrong), error);
    assert_ptr_equal(wrong, text + at);
}

static void test_wrong(void **state)
{
    (void)state;
    check_wrong("a\\q", SEND_ESCAPE, 1);
    check_wrong("abc\\", SEND_ESCAPE, 3);
    check_wrong("\\x4", SEND_ESCAPE, 0);
    check_wrong("\\xg0", SEND_ESCAPE, 0);
    check_wrong("\\x", SEND_ESCAPE, 0);
    check_wrong("hex:4", SEND_HEX, 4);
    check_wrong("hex:4 8", SEND_HEX, 4);
    check_wrong("hex:48 6g", SEND_HEX, 7);
    check_wrong("hex:0x48", SEND_HEX, 4);
    check_wrong("@", SEND_NO_FILE, 0);
}

static void test_file_name(void **state)
{
    static const char text[] = "@some\\nfile";
    const char *file, *wrong;
    char *got = (char *)1;
    size_t n_got;

    (void)state;
    assert_int_equal(send_parse(text, true, &got, &n_got, &file, &wrong), SEND_OK);
    assert_null(got);
    assert_ptr_equal(file, text + 1); /* as it is */
}

/* ---- when it goes */

static void test_schedule_at_once(void **state)
{
    struct send_schedule schedule = {.every_ns = 0};
    int64_t due_ns = -1;

    (void)state;
    for (int i = 0; i < 1000; i++)
        assert_true(send_schedule_take(&schedule, 5, &due_ns));
    assert_int_equal(schedule.n_missed, 0);
}

static void test_schedule_keeps_its_times(void **state)
{
    struct send_schedule schedule = {.every_ns = 100};
    int64_t due_ns = -1, now_ns = 1000;

    (void)state;
    assert_true(send_schedule_take(&schedule, now_ns, &due_ns));
    for (int64_t i = 1; i < 50; i++) {
        assert_false(send_schedule_take(&schedule, now_ns, &due_ns));
        assert_int_equal(due_ns, 1000 + i * 100); /* of the first one, however late the last was */
        assert_false(send_schedule_take(&schedule, due_ns - 1, &due_ns));
        now_ns = due_ns + i % 100;
        assert_true(send_schedule_take(&schedule, now_ns, &due_ns));
    }
    assert_int_equal(schedule.n_missed, 0);
}

static void test_schedule_never_bursts(void **state)
{
    struct send_schedule schedule = {.every_ns = 100};
    int64_t due_ns = -1;

    (void)state;
    assert_true(send_schedule_take(&schedule, 1000, &due_ns));
    /* The times 1100 to 1500 have passed: the piece that was due at 1100 goes now, four others are missed. */
    assert_true(send_schedule_take(&schedule, 1550, &due_ns));
    assert_int_equal(schedule.n_missed, 4);
    assert_false(send_schedule_take(&schedule, 1550, &due_ns));
    assert_int_equal(due_ns, 1600);
    assert_true(send_schedule_take(&schedule, 1600, &due_ns));
    assert_false(send_schedule_take(&schedule, 1699, &due_ns));
    assert_int_equal(due_ns, 1700);
}

/* ---- the source */

struct bench {
    struct send send;
    struct sonde_loop *loop;
    char *got;
    size_t n_got;
};

static void open_bench(struct bench *bench, uint64_t n_rounds)
{
    *bench = (struct bench){.send = {.n_rounds = n_rounds}};
    assert_int_equal(sonde_loop_create(NULL, &bench->loop, NULL), 0);
    bench->send.loop = bench->loop;
    bench->got = malloc(1 << 20);
}

static void close_bench(struct bench *bench)
{
    send_free(&bench->send);
    sonde_loop_destroy(bench->loop);
    free(bench->got);
}

/* Read on with chunks of that size; the last answer: 0, or a negative errno. */
static ssize_t read_all(struct bench *bench, bool draining, size_t n_chunk, size_t n_most, struct input_wait *ret_wait)
{
    ssize_t n;

    do {
        *ret_wait = (struct input_wait){-1, 0};
        n = send_source.read(&bench->send, draining, bench->got + bench->n_got, n_chunk, ret_wait);
        assert_true(n <= (ssize_t)n_chunk);
        if (n > 0)
            bench->n_got += (size_t)n;
    } while (n > 0 && bench->n_got < n_most);
    return n;
}

static void test_pieces_in_order_whatever_the_chunks(void **state)
{
    static const char round[] = "one, two, three.";

    (void)state;
    for (size_t n_chunk = 1; n_chunk < 60; n_chunk++) {
        struct bench bench;
        struct input_wait wait;
        open_bench(&bench, 3);
        assert_true(send_add(&bench.send, "one, ", false));
        assert_true(send_add(&bench.send, "", false));
        assert_true(send_add(&bench.send, "hex:74776f2c20", false));
        assert_true(send_add(&bench.send, "three.", false));
        assert_int_equal(read_all(&bench, false, n_chunk, 1000, &wait), 0);
        assert_int_equal(bench.n_got, 3 * strlen(round));
        for (int i = 0; i < 3; i++)
            assert_memory_equal(bench.got + (size_t)i * strlen(round), round, strlen(round));
        assert_int_equal(read_all(&bench, false, n_chunk, 1000, &wait), 0);
        send_source.rewind(&bench.send);
        assert_int_equal(read_all(&bench, false, n_chunk, 1000, &wait), 0);
        assert_int_equal(bench.n_got, 6 * strlen(round));
        close_bench(&bench);
    }
}

static void test_for_ever_ends_with_a_round_when_draining(void **state)
{
    struct bench bench;
    struct input_wait wait;

    (void)state;
    open_bench(&bench, SEND_FOR_EVER);
    assert_true(send_add(&bench.send, "abc", false));
    assert_true(read_all(&bench, false, 100, 1000, &wait) > 0);
    assert_true(bench.n_got >= 1000);
    assert_int_equal(read_all(&bench, true, 100, 1 << 19, &wait), 0);
    assert_int_equal(bench.n_got % 3, 0);
    close_bench(&bench);
}

static void test_nothing_for_ever_is_over(void **state)
{
    struct bench bench;
    struct input_wait wait;

    (void)state;
    open_bench(&bench, SEND_FOR_EVER);
    assert_true(send_add(&bench.send, "", false));
    assert_true(send_add(&bench.send, "@/dev/null", false));
    assert_int_equal(read_all(&bench, false, 100, 1000, &wait), 0);
    assert_int_equal(bench.n_got, 0);
    close_bench(&bench);
}

static void test_every_gives_one_piece_at_a_time(void **state)
{
    struct bench bench;
    struct input_wait wait = {-1, 0};

    (void)state;
    open_bench(&bench, 2);
    bench.send.schedule.every_ns = INT64_C(3600) * 1000000000;
    assert_true(send_add(&bench.send, "one", false));
    assert_true(send_add(&bench.send, "two", false));
    assert_int_equal(send_source.read(&bench.send, false, bench.got, 100, &wait), 3);
    assert_memory_equal(bench.got, "one", 3);
    assert_int_equal(read_all(&bench, false, 100, 100, &wait), -EAGAIN);
    assert_int_equal(wait.fd, -1);
    assert_int_equal(wait.due_ns, bench.send.schedule.next_ns);
    assert_true(wait.due_ns > sonde_loop_now_ns(bench.loop));
    /* It is not there without waiting. */
    assert_int_equal(read_all(&bench, true, 100, 100, &wait), -EAGAIN);
    bench.send.schedule.next_ns = sonde_loop_now_ns(bench.loop);
    assert_int_equal(send_source.read(&bench.send, false, bench.got, 100, &wait), 3);
    assert_memory_equal(bench.got, "two", 3);
    close_bench(&bench);
}

static void test_files(void **state)
{
    char path[] = "/tmp/sonde-send-XXXXXX", text[64];
    int fd = mkstemp(path);
    struct bench bench;
    struct input_wait wait;

    (void)state;
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "of the file\n", 12), 12);
    snprintf(text, sizeof text, "@%s", path);
    open_bench(&bench, 2);
    assert_true(send_add(&bench.send, text, true)); /* as it is: no CR */
    assert_true(send_add(&bench.send, "and a text\\n", true));
    assert_null(send_find_stream(&bench.send));
    assert_int_equal(read_all(&bench, false, 5, 1000, &wait), 0);
    static const char whole[] = "of the file\nand a text\r\nof the file\nand a text\r\n";
    assert_int_equal(bench.n_got, strlen(whole));
    assert_memory_equal(bench.got, whole, strlen(whole));
    close_bench(&bench);
    close(fd);
    unlink(path);
}

static void test_a_fifo_is_waited_for(void **state)
{
    char folder[] = "/tmp/sonde-send-XXXXXX", path[64], text[80];
    struct bench bench;
    struct input_wait wait;

    (void)state;
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/fifo", folder);
    snprintf(text, sizeof text, "@%s", path);
    assert_int_equal(mkfifo(path, 0600), 0);
    open_bench(&bench, 1);
    assert_true(send_add(&bench.send, "before ", false));
    assert_true(send_add(&bench.send, text, false));
    assert_true(send_add(&bench.send, " behind", false));
    assert_string_equal(send_find_stream(&bench.send), path);
    /* Nobody writes to it yet: that is not its end. */
    assert_int_equal(read_all(&bench, false, 100, 1000, &wait), -EAGAIN);
    assert_int_equal(wait.fd, bench.send.pieces[1].fd);
    assert_int_equal(bench.n_got, 7);
    FILE *writer = fopen(path, "we");
    assert_non_null(writer);
    assert_int_equal(read_all(&bench, false, 100, 1000, &wait), -EAGAIN);
    fputs("in it", writer);
    fflush(writer);
    assert_int_equal(read_all(&bench, false, 100, 1000, &wait), -EAGAIN);
    assert_int_equal(bench.n_got, 12);
    fclose(writer);
    assert_int_equal(read_all(&bench, false, 100, 1000, &wait), 0);
    assert_int_equal(bench.n_got, 19);
    assert_memory_equal(bench.got, "before in it behind", 19);
    close_bench(&bench);
    unlink(path);
    rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_text_crlf),
        cmocka_unit_test(test_hex),
        cmocka_unit_test(test_wrong),
        cmocka_unit_test(test_file_name),
        cmocka_unit_test(test_schedule_at_once),
        cmocka_unit_test(test_schedule_keeps_its_times),
        cmocka_unit_test(test_schedule_never_bursts),
        cmocka_unit_test(test_pieces_in_order_whatever_the_chunks),
        cmocka_unit_test(test_for_ever_ends_with_a_round_when_draining),
        cmocka_unit_test(test_nothing_for_ever_is_over),
        cmocka_unit_test(test_every_gives_one_piece_at_a_time),
        cmocka_unit_test(test_files),
        cmocka_unit_test(test_a_fifo_is_waited_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
