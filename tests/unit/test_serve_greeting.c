/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cli/serve/greeting.h"
#include "cli/unescape.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A copy that ends where it ends, in and out: a sanitizer sees a step past it. */
static bool undo(const char *text, char **ret_bytes, size_t *ret_n_bytes, size_t *ret_wrong)
{
    char *exact = strdup(text);
    const char *wrong = exact;

    *ret_bytes = malloc(strlen(text) + (text[0] == '\0'));
    bool understood = unescape(exact, *ret_bytes, ret_n_bytes, &wrong);
    *ret_wrong = (size_t)(wrong - exact);
    free(exact);
    return understood;
}

static void check(const char *text, const void *expected, size_t n_expected)
{
    size_t n = 12345, wrong;
    char *bytes;

    assert_true(undo(text, &bytes, &n, &wrong));
    assert_int_equal(n, n_expected);
    assert_memory_equal(bytes, expected, n_expected);
    free(bytes);
}

static void check_wrong(const char *text, size_t expected)
{
    size_t n = 12345, wrong;
    char *bytes;

    assert_false(undo(text, &bytes, &n, &wrong));
    assert_int_equal(wrong, expected);
    assert_int_equal(n, 12345); /* untouched on failure */
    free(bytes);
}

static void nothing_is_added(void **state)
{
    (void)state;
    check("", "", 0);
    check("hello", "hello", 5);
    check("\xff\xc3\xa9", "\xff\xc3\xa9", 3);
}

static void escapes(void **state)
{
    (void)state;
    check("a\\n\\r\\t\\\\b", "a\n\r\t\\b", 6);
    check("\\x00\\xFf\\x7e", "\0\xff~", 3);
    check("\\\\n", "\\n", 2);
    check("\\0\\01", "\0\0001", 3);
    check("\\x4142", "A42", 3);
}

static void what_means_nothing(void **state)
{
    (void)state;
    check_wrong("\\", 0);
    check_wrong("ab\\q", 2);
    check_wrong("\\x", 0);
    check_wrong("\\x1", 0);
    check_wrong("\\xg0", 0);
    check_wrong("\\n\\x0", 2);
}

static void files(void **state)
{
    char path[] = "/tmp/sonde-greeting-XXXXXX", *bytes = NULL;
    size_t n = 0;
    int fd = mkstemp(path);

    (void)state;
    assert_true(fd >= 0);
    assert_int_equal(greeting_read(path, &bytes, &n), 0);
    assert_int_equal(n, 0);
    free(bytes);
    /* Longer than the first room, and not text. */
    for (int i = 0; i < 3000; i++)
        assert_int_equal(write(fd, "\0\n\xff", 3), 3);
    close(fd);
    assert_int_equal(greeting_read(path, &bytes, &n), 0);
    assert_int_equal(n, 9000);
    assert_memory_equal(bytes + 8997, "\0\n\xff", 3);
    free(bytes);
    unlink(path);
    assert_int_equal(greeting_read(path, &bytes, &n), -ENOENT);
    assert_int_equal(greeting_read("/", &bytes, &n), -EISDIR);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_added),
        cmocka_unit_test(escapes),
        cmocka_unit_test(what_means_nothing),
        cmocka_unit_test(files),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
