/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "trace/lines.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* A file that holds this; its first n_begun bytes were read already. */
static int make_file(const char *text, size_t n_bytes, size_t n_begun)
{
    int fd = memfd_create("lines", MFD_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, n_bytes), n_bytes);
    assert_int_equal(lseek(fd, (off_t)n_begun, SEEK_SET), n_begun);
    return fd;
}

static void expect_line(struct lines *lines, const char *text)
{
    const char *line;
    size_t n;
    assert_int_equal(lines_next(lines, &line, &n), 1);
    assert_int_equal(n, strlen(text));
    assert_memory_equal(line, text, n);
}

static void expect_end(struct lines *lines)
{
    const char *line;
    size_t n;
    for (int i = 0; i < 2; i++)
        assert_int_equal(lines_next(lines, &line, &n), 0);
}

/* However many bytes were read before, the lines are the same. */
static void lines_from_a_file(void **state)
{
    static const char text[] = "{}\n\n second, with \r\nlast without its end";
    for (size_t n_begun = 0; n_begun < sizeof text; n_begun++) {
        struct lines lines;
        int fd = make_file(text, sizeof text - 1, n_begun);
        lines_init(&lines, fd, text, n_begun);
        expect_line(&lines, "{}");
        expect_line(&lines, "");
        expect_line(&lines, " second, with \r");
        expect_line(&lines, "last without its end");
        expect_end(&lines);
        lines_free(&lines);
        close(fd);
    }
}

static void nothing_at_all(void **state)
{
    struct lines lines;
    int fd = make_file("", 0, 0);
    lines_init(&lines, fd, "", 0);
    expect_end(&lines);
    lines_free(&lines);
    close(fd);
}

static void *dribble(void *user)
{
    static const char text[] = "one\ntwo\nthree";
    int fd = *(int *)user;
    for (size_t i = 0; i < sizeof text - 1; i++)
        assert_int_equal(write(fd, text + i, 1), 1);
    close(fd);
    return NULL;
}

static void byte_by_byte_through_a_pipe(void **state)
{
    struct lines lines;
    int fds[2];
    pthread_t thread;
    assert_int_equal(pipe(fds), 0);
    assert_int_equal(pthread_create(&thread, NULL, dribble, &fds[1]), 0);
    lines_init(&lines, fds[0], "", 0);
    expect_line(&lines, "one");
    expect_line(&lines, "two");
    expect_line(&lines, "three");
    expect_end(&lines);
    pthread_join(thread, NULL);
    lines_free(&lines);
    close(fds[0]);
}

/* The longest line there may be, its newline with it; and one byte more. */
static void long_lines(void **state)
{
    const char *line;
    size_t n;
    struct lines lines;
    char *text = malloc(LINES_MAX + 8);
    assert_non_null(text);
    memset(text, 'x', LINES_MAX);
    text[1] = '\n'; /* so that it does not begin at the buffer's start */
    text[LINES_MAX + 1] = '\n';
    memcpy(text + 2, "yy", 2);
    memset(text + 4, 'x', LINES_MAX - 3);
    memcpy(text + LINES_MAX + 2, "z\n", 2);
    int fd = make_file(text, LINES_MAX + 4, 0);
    lines_init(&lines, fd, "", 0);
    expect_line(&lines, "x");
    assert_int_equal(lines_next(&lines, &line, &n), 1);
    assert_int_equal(n, LINES_MAX - 1);
    assert_memory_equal(line, text + 2, n);
    expect_line(&lines, "z");
    expect_end(&lines);
    lines_free(&lines);
    close(fd);

    memset(text, 'x', LINES_MAX);
    text[LINES_MAX] = '\n';
    fd = make_file(text, LINES_MAX + 1, 0);
    lines_init(&lines, fd, "", 0);
    assert_int_equal(lines_next(&lines, &line, &n), -E2BIG);
    lines_free(&lines);
    close(fd);
    free(text);
}

static void errors_of_reading(void **state)
{
    const char *line;
    size_t n;
    struct lines lines;
    int fd = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(fd >= 0);
    lines_init(&lines, fd, "whole\npart", 10);
    expect_line(&lines, "whole");
    assert_int_equal(lines_next(&lines, &line, &n), -EISDIR);
    lines_free(&lines);
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_from_a_file),           cmocka_unit_test(nothing_at_all),
        cmocka_unit_test(byte_by_byte_through_a_pipe), cmocka_unit_test(long_lines),
        cmocka_unit_test(errors_of_reading),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
