/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <sonde/error.h>
#include <sonde/version.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static void sentences_of_our_own(void **state)
{
    (void)state;
#define CHECK(name, value, sentence)                                                                                   \
    assert_string_equal(sonde_strerror(-name), sentence);                                                              \
    assert_string_equal(sonde_error_name(-name), #name);                                                               \
    assert_true(name == value && value > 4095);
    SONDE_ERRORS(CHECK)
#undef CHECK
}

static void sentences_of_the_system(void **state)
{
    (void)state;
    assert_string_equal(sonde_strerror(-ECONNREFUSED), "connection refused");
    assert_string_equal(sonde_error_name(-ECONNREFUSED), "ECONNREFUSED");
    assert_string_equal(sonde_strerror(-EADDRINUSE), "address already in use");
    assert_string_equal(sonde_strerror(-ECONNRESET), "connection reset by peer");
    assert_string_equal(sonde_error_name(-EWOULDBLOCK), "EAGAIN");
    assert_string_equal(sonde_error_name(-EOPNOTSUPP), "EOPNOTSUPP");
    /* One that is not in the table: glibc's words. */
    assert_string_equal(sonde_strerror(-EXDEV), strerrordesc_np(EXDEV));
}

/* Fit for the middle of a sentence: begins small, no full stop, one line, and says something for every errno. */
static void every_error_has_a_sentence(void **state)
{
    (void)state;
    for (int error = 1; error < 4096; error++) {
        const char *sentence = sonde_strerror(-error), *name = sonde_error_name(-error);
        size_t n = strlen(sentence);
        assert_true(n > 0 && sentence[n - 1] != '.' && strpbrk(sentence, "\n\t%") == NULL);
        bool known = strerrorname_np(error) != NULL;
        assert_true(known == (strcmp(name, "E?") != 0));
        assert_true(known == (strcmp(sentence, "unknown error") != 0));
        if (sentence != strerrordesc_np(error))
            assert_true(islower((unsigned char)sentence[0]));
    }
}

static void what_is_no_error(void **state)
{
    static const int others[] = {INT_MIN, INT_MIN + 1, -1000000, -10000, -10999, -4096, -200};

    (void)state;
    assert_string_equal(sonde_strerror(0), "no error");
    assert_string_equal(sonde_strerror(ENOENT), "no error");
    assert_string_equal(sonde_strerror(INT_MAX), "no error");
    assert_string_equal(sonde_error_name(0), "E?");
    assert_string_equal(sonde_error_name(ENOENT), "E?");
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        assert_string_equal(sonde_strerror(others[i]), "unknown error");
        assert_string_equal(sonde_error_name(others[i]), "E?");
    }
}

static void *ask_much(void *user)
{
    int own = *(int *)user;
    const char *expected = sonde_strerror(own);

    for (int i = 0; i < 20000; i++)
        if (sonde_strerror(own) != expected || sonde_error_name(own)[0] == '\0')
            return user;
    return NULL;
}

/* Another thread's question does not change the answer to this one's: the strings are static. */
static void any_thread(void **state)
{
    int one = -ECONNREFUSED, other = -9999;
    pthread_t thread;
    void *failed = NULL;

    (void)state;
    assert_int_equal(pthread_create(&thread, NULL, ask_much, &one), 0);
    assert_null(ask_much(&other));
    assert_int_equal(pthread_join(thread, &failed), 0);
    assert_null(failed);
}

static void version(void **state)
{
    char numbers[32];

    (void)state;
    assert_string_equal(sonde_version(), SONDE_VERSION_STRING);
    snprintf(numbers, sizeof numbers, "%d.%d.%d", SONDE_VERSION_MAJOR, SONDE_VERSION_MINOR, SONDE_VERSION_PATCH);
    assert_string_equal(numbers, SONDE_VERSION_STRING);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(sentences_of_our_own),
        cmocka_unit_test(sentences_of_the_system),
        cmocka_unit_test(every_error_has_a_sentence),
        cmocka_unit_test(what_is_no_error),
        cmocka_unit_test(any_thread),
        cmocka_unit_test(version),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
