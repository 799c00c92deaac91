/* SPDX-License-Identifier: MIT */
/* Token buckets: what comes in a time is rate times time, to the last token, however it is asked for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/bucket.h"

#define SECOND INT64_C(1000000000)
#define TERA UINT64_C(1000000000000)

static void starts_full_and_holds_no_more(void **state)
{
    struct bucket bucket;

    (void)state;
    bucket_init(&bucket, 10, 100, 5 * SECOND);
    assert_int_equal(bucket_tokens(&bucket, 5 * SECOND), 100);
    assert_int_equal(bucket_tokens(&bucket, 500 * SECOND), 100);
    bucket_take(&bucket, 60);
    assert_int_equal(bucket_tokens(&bucket, 501 * SECOND), 50);
    bucket_take(&bucket, 1000);
    assert_int_equal(bucket_tokens(&bucket, 501 * SECOND), 0);
    assert_int_equal(bucket_tokens(&bucket, 510 * SECOND), 90);
    assert_int_equal(bucket_tokens(&bucket, 511 * SECOND), 100);
    assert_int_equal(bucket_tokens(&bucket, INT64_MAX), 100);
}

/* Asked every few nanoseconds, in steps that never bring a whole token, nothing is rounded away. */
static void loses_no_remainder(void **state)
{
    static const uint64_t rates[] = {1, 3, 7, 999, 1000003, 999999999, 1000000001};
    static const int64_t steps_ns[] = {1, 3, 997, 100003};
    enum { N = 20000 };

    (void)state;
    for (unsigned r = 0; r < sizeof rates / sizeof *rates; r++)
        for (unsigned s = 0; s < sizeof steps_ns / sizeof *steps_ns; s++) {
            struct bucket bucket;
            uint64_t taken = 0;
            bucket_init(&bucket, rates[r], UINT64_MAX, 0);
            bucket_take(&bucket, UINT64_MAX);
            for (int64_t i = 1; i <= N; i++) {
                uint64_t n = bucket_tokens(&bucket, i * steps_ns[s]);
                bucket_take(&bucket, n);
                taken += n;
            }
            assert_int_equal(taken, rates[r] * (uint64_t)(N * steps_ns[s]) / SECOND);
        }
}

static void is_there_when_it_says(void **state)
{
    static const uint64_t rates[] = {1, 2, 3, 1000, 1024 * 1024, SECOND, 3 * SECOND, TERA, UINT64_MAX};
    static const uint64_t wants[] = {1, 2, 5, 1023, 1024};

    (void)state;
    for (unsigned r = 0; r < sizeof rates / sizeof *rates; r++) {
        struct bucket bucket;
        int64_t now_ns = 17;
        bucket_init(&bucket, rates[r], 1024, now_ns);
        for (unsigned w = 0; w < sizeof wants / sizeof *wants; w++) {
            bucket_take(&bucket, bucket_tokens(&bucket, now_ns));
            int64_t when_ns = bucket_when(&bucket, wants[w]);
            assert_true(when_ns > now_ns);
            struct bucket before = bucket;
            assert_true(bucket_tokens(&before, when_ns - 1) < wants[w]);
            assert_true(bucket_tokens(&bucket, when_ns) >= wants[w]);
            now_ns = when_ns;
        }
        assert_true(bucket_when(&bucket, 0) <= now_ns);
    }
}

static void does_not_overflow(void **state)
{
    struct bucket bucket;

    (void)state;
    /* A terabyte a second, and a year of it. */
    bucket_init(&bucket, TERA, TERA / 10, 0);
    bucket_take(&bucket, TERA / 10);
    assert_int_equal(bucket_tokens(&bucket, SECOND / 20), TERA / 20);
    assert_int_equal(bucket_tokens(&bucket, 31536000 * SECOND), TERA / 10);
    /* The fastest there is. */
    bucket_init(&bucket, UINT64_MAX, UINT64_MAX, 0);
    bucket_take(&bucket, UINT64_MAX);
    assert_int_equal(bucket_tokens(&bucket, SECOND / 2), UINT64_MAX / 2);
    assert_int_equal(bucket_tokens(&bucket, INT64_MAX), UINT64_MAX);
    /* The slowest, and more than it will ever give. */
    bucket_init(&bucket, 1, UINT64_MAX, 1);
    bucket_take(&bucket, UINT64_MAX);
    assert_true(bucket_when(&bucket, UINT64_MAX) == INT64_MAX);
    /* A clock that stands still, or that somebody has set back. */
    bucket_init(&bucket, 1000, 10, SECOND);
    bucket_take(&bucket, 4);
    assert_int_equal(bucket_tokens(&bucket, SECOND), 6);
    assert_int_equal(bucket_tokens(&bucket, 0), 6);
    /* One that began before zero. */
    bucket_init(&bucket, 1, 10, INT64_MIN);
    bucket_take(&bucket, 10);
    assert_int_equal(bucket_tokens(&bucket, INT64_MAX), 10);
}

static void changes_its_rate(void **state)
{
    struct bucket bucket;

    (void)state;
    bucket_init(&bucket, 10, 100, 0);
    bucket_take(&bucket, 100);
    /* What has come by the old rate stays. */
    bucket_change(&bucket, 1000, 100, 2 * SECOND);
    assert_int_equal(bucket_tokens(&bucket, 2 * SECOND), 20);
    assert_int_equal(bucket_tokens(&bucket, 2 * SECOND + SECOND / 100), 30);
    bucket_change(&bucket, 1, 7, 2 * SECOND + SECOND / 100);
    assert_int_equal(bucket_tokens(&bucket, 2 * SECOND + SECOND / 100), 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(starts_full_and_holds_no_more),
        cmocka_unit_test(loses_no_remainder),
        cmocka_unit_test(is_there_when_it_says),
        cmocka_unit_test(does_not_overflow),
        cmocka_unit_test(changes_its_rate),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
