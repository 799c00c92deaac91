/* SPDX-License-Identifier: MIT */
#include "cli/connect/verify.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static unsigned char byte_at(uint64_t offset)
{
    return (unsigned char)(offset * 2654435761u >> 13);
}

static void make(uint64_t offset, unsigned char *ret_bytes, size_t n_bytes)
{
    for (size_t i = 0; i < n_bytes; i++)
        ret_bytes[i] = byte_at(offset + i);
}

static void test_the_same_comes_back(void **state)
{
    static const size_t sizes[] = {1, 4095, 65536, 131072, 3, 262144};
    unsigned char *bytes = malloc(VERIFY_MAX);
    struct verify verify;
    uint64_t sent = 0, returned = 0;

    (void)state;
    assert_true(verify_open(&verify));
    /* Much more than the ring, so that it goes round at many places. */
    for (unsigned i = 0; sent < 20 * (uint64_t)VERIFY_MAX; i++) {
        size_t n_sent = sizes[i % 6], n_returned = sizes[(i * 5 + 2) % 6];
        if (n_sent <= verify_room(&verify)) {
            make(sent, bytes, n_sent);
            verify_sent(&verify, bytes, n_sent);
            sent += n_sent;
        }
        if (n_returned > sent - returned)
            n_returned = (size_t)(sent - returned);
        make(returned, bytes, n_returned);
        assert_int_equal(verify_received(&verify, bytes, n_returned), VERIFY_SAME);
        returned += n_returned;
        assert_int_equal(verify.n_sent, sent);
        assert_int_equal(verify.n_returned, returned);
        assert_int_equal(verify.n_bytes, sent - returned);
        assert_int_equal(verify_room(&verify), VERIFY_MAX - (sent - returned));
    }
    verify_free(&verify);
    free(bytes);
}

static void test_full(void **state)
{
    unsigned char *bytes = calloc(1, VERIFY_MAX);
    struct verify verify;

    (void)state;
    assert_true(verify_open(&verify));
    verify_sent(&verify, bytes, VERIFY_MAX);
    assert_int_equal(verify_room(&verify), 0);
    assert_int_equal(verify_received(&verify, bytes, VERIFY_MAX), VERIFY_SAME);
    assert_int_equal(verify_room(&verify), VERIFY_MAX);
    verify_free(&verify);
    free(bytes);
}

/* Wrong at every place of what goes round the ring's end. */
static void test_a_difference(void **state)
{
    enum { N = 64 };
    unsigned char *bytes = malloc(VERIFY_MAX), sent[N], came[N];
    struct verify verify;

    (void)state;
    assert_true(verify_open(&verify));
    make(0, bytes, VERIFY_MAX);
    make(7, sent, N);
    for (size_t wrong = 0; wrong < N; wrong++) {
        verify_restart(&verify);
        verify_sent(&verify, bytes, VERIFY_MAX - N / 2);
        assert_int_equal(verify_received(&verify, bytes, VERIFY_MAX - N / 2), VERIFY_SAME);
        verify_sent(&verify, sent, N);
        memcpy(came, sent, N);
        came[wrong] ^= 0x20;
        assert_int_equal(verify_received(&verify, came, 5), wrong < 5 ? VERIFY_DIFFERS : VERIFY_SAME);
        assert_int_equal(verify_received(&verify, came + 5, N - 5), VERIFY_DIFFERS);
        assert_int_equal(verify.n_returned, VERIFY_MAX - N / 2 + wrong);
        size_t n_expected = N - wrong < VERIFY_SHOWN ? N - wrong : VERIFY_SHOWN;
        assert_int_equal(verify.n_expected, n_expected);
        assert_memory_equal(verify.expected, sent + wrong, n_expected);
        size_t n_came = wrong < 5 && 5 - wrong < n_expected ? 5 - wrong : n_expected;
        assert_int_equal(verify.n_came, n_came);
        assert_memory_equal(verify.came, came + wrong, n_came);
        /* Nothing that comes later makes it good. */
        assert_int_equal(verify_received(&verify, sent, 1), VERIFY_DIFFERS);
    }
    verify_free(&verify);
    free(bytes);
}

static void test_more_than_was_sent(void **state)
{
    struct verify verify;

    (void)state;
    assert_true(verify_open(&verify));
    assert_int_equal(verify_received(&verify, "x", 1), VERIFY_MORE);
    assert_int_equal(verify.n_returned, 0);
    verify_restart(&verify);
    verify_sent(&verify, "abc", 3);
    assert_int_equal(verify_received(&verify, "abcdefghijklm", 13), VERIFY_MORE);
    assert_int_equal(verify.n_returned, 3);
    assert_int_equal(verify.n_expected, 0);
    assert_int_equal(verify.n_came, VERIFY_SHOWN);
    assert_memory_equal(verify.came, "defghijk", VERIFY_SHOWN);
    verify_free(&verify);
}

static void test_a_restart_forgets(void **state)
{
    struct verify verify;

    (void)state;
    assert_true(verify_open(&verify));
    verify_sent(&verify, "abc", 3);
    assert_int_equal(verify_received(&verify, "x", 1), VERIFY_DIFFERS);
    verify_restart(&verify);
    assert_int_equal(verify_room(&verify), VERIFY_MAX);
    verify_sent(&verify, "xyz", 3);
    assert_int_equal(verify_received(&verify, "xyz", 3), VERIFY_SAME);
    assert_int_equal(verify.n_bytes, 0);
    verify_free(&verify);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_same_comes_back), cmocka_unit_test(test_full),
        cmocka_unit_test(test_a_difference),        cmocka_unit_test(test_more_than_was_sent),
        cmocka_unit_test(test_a_restart_forgets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
