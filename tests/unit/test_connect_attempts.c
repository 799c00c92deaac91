/* SPDX-License-Identifier: MIT */
/* What is said of several addresses that were tried in vain. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cli/connect/attempts.h"

#include "cli/say.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#define MS INT64_C(1000000)

static char said[8192];

static struct sonde_attempt attempt_at(uint8_t last, int family, int error, int64_t took_ns)
{
    struct sonde_attempt attempt = {.error = error, .start_ns = 1000 * MS};

    attempt.end_ns = took_ns < 0 ? 0 : attempt.start_ns + took_ns;
    attempt.address = (struct sonde_address){.family = (uint16_t)family, .port = 80};
    if (family == AF_INET)
        memcpy(attempt.address.u.ip, (uint8_t[]){192, 0, 2, last}, 4);
    else
        memcpy(attempt.address.u.ip, (uint8_t[]){0x20, 1, 0x0d, 0xb8, [15] = last}, 16);
    return attempt;
}

static void add(struct attempts *attempts, struct sonde_attempt attempt)
{
    attempts->over_ns = 3000 * MS;
    attempts->list[attempts->n++] = attempt;
}

static bool say_of(const struct attempts *attempts, const char *call, int code, const char *detail)
{
    struct sonde_why why = {.code = code, .call = call};
    int saved = dup(STDERR_FILENO), file = memfd_create("said", MFD_CLOEXEC);

    snprintf(why.detail, sizeof why.detail, "%s", detail);
    assert_true(saved >= 0 && file >= 0 && dup2(file, STDERR_FILENO) == STDERR_FILENO);
    bool result = attempts_say(attempts, "tcp://example.test:80", &why);
    assert_int_equal(dup2(saved, STDERR_FILENO), STDERR_FILENO);
    ssize_t n = pread(file, said, sizeof said - 1, 0);
    said[n > 0 ? n : 0] = '\0';
    close(saved);
    close(file);
    return result;
}

static void each_with_its_reason(void **state)
{
    struct attempts attempts = {.n = 0};

    (void)state;
    add(&attempts, attempt_at(1, AF_INET6, 0, -1));
    add(&attempts, attempt_at(1, AF_INET, -ECONNREFUSED, MS));
    add(&attempts, attempt_at(2, AF_INET, -ETIMEDOUT, 12340 * MS));
    assert_true(say_of(&attempts, "connect", -ETIMEDOUT, ""));
    assert_non_null(strstr(said,
                           "sonde: tcp://example.test:80 cannot be connected to: [2001:db8::1]:80 timed out after "
                           "2.0 s, 192.0.2.1:80 connection refused, 192.0.2.2:80 timed out after 12.3 s. "));
}

static void one_address_has_other_sentences(void **state)
{
    struct attempts attempts = {.n = 0};
    char text[ATTEMPTS_TEXT];

    (void)state;
    assert_false(say_of(&attempts, "connect", -ECONNREFUSED, ""));
    add(&attempts, attempt_at(1, AF_INET, -ECONNREFUSED, MS));
    assert_false(say_of(&attempts, "connect", -ECONNREFUSED, ""));
    assert_false(attempts_format(&attempts, text, sizeof text));
    assert_string_equal(said, "");
}

/* The hint depends on what they have in common. */
static void what_to_try(void **state)
{
    static const struct {
        int errors[2];
        const char *hint;
    } rows[] = {
        {{-ECONNREFUSED, -ECONNREFUSED}, "Nothing listens there"},
        {{-ETIMEDOUT, 0}, "ping"},
        {{-ENETUNREACH, -EHOSTUNREACH}, "ip route"},
        {{-ECONNREFUSED, -ENETUNREACH}, "Where it was refused"},
        {{-ECONNREFUSED, -ETIMEDOUT}, "the port and the network"},
        {{-EACCES, -ECONNREFUSED}, "the port and the network"},
    };

    (void)state;
    for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct attempts attempts = {.n = 0};
        add(&attempts, attempt_at(1, AF_INET6, rows[i].errors[0], MS));
        add(&attempts, attempt_at(1, AF_INET, rows[i].errors[1], rows[i].errors[1] == 0 ? -1 : MS));
        assert_true(say_of(&attempts, "connect", rows[i].errors[1], ""));
        assert_non_null(strstr(said, rows[i].hint));
    }
}

static void eight_and_how_many_more(void **state)
{
    struct attempts attempts = {.n = 0};
    char text[ATTEMPTS_TEXT];

    (void)state;
    for (uint8_t i = 0; i < 8; i++)
        add(&attempts, attempt_at(i, AF_INET, -ECONNREFUSED, MS));
    assert_true(attempts_format(&attempts, text, sizeof text));
    assert_non_null(strstr(text, "192.0.2.7:80 connection refused"));
    assert_null(strstr(text, "more"));
    for (uint8_t i = 8; i < SONDE_ATTEMPTS_MAX; i++)
        add(&attempts, attempt_at(i, AF_INET, -ECONNREFUSED, MS));
    assert_true(say_of(&attempts, "connect", -ECONNREFUSED, "8 more addresses were not tried"));
    assert_non_null(strstr(said, "192.0.2.7:80 connection refused, and 24 more (8 more addresses were not tried). "));
    assert_null(strstr(said, "192.0.2.8:"));
}

/* The longest addresses and reasons have room; what has none is cut, not written behind the end. */
static void room(void **state)
{
    struct attempts attempts = {.n = 0};
    char text[ATTEMPTS_TEXT], small[40];

    (void)state;
    for (uint8_t i = 0; i < 9; i++) {
        struct sonde_attempt attempt = attempt_at(i, AF_INET6, -ETIMEDOUT, INT64_MAX / 2);
        memset(attempt.address.u.ip, 0xee, 16);
        attempt.address.port = 65535;
        attempt.address.scope = UINT32_MAX;
        add(&attempts, attempt);
    }
    assert_true(attempts_format(&attempts, text, sizeof text));
    assert_non_null(strstr(text, ", and 1 more"));
    memset(small, 'x', sizeof small);
    attempts_format(&attempts, small, sizeof small - 1);
    assert_int_equal(small[sizeof small - 1], 'x');
    assert_non_null(memchr(small, '\0', sizeof small));
}

/* Where no address is to blame, one sentence is about what is. */
static void not_the_address(void **state)
{
    struct attempts attempts = {.n = 0};

    (void)state;
    add(&attempts, attempt_at(1, AF_INET6, -EMFILE, 0));
    add(&attempts, attempt_at(1, AF_INET, -EMFILE, 0));
    assert_false(attempts_differ(&attempts));
    assert_false(say_of(&attempts, "socket", -EMFILE, ""));
    attempts.list[0].error = -ECONNREFUSED;
    assert_true(attempts_differ(&attempts));
    assert_true(say_of(&attempts, "socket", -EMFILE, ""));
    attempts.list[1].error = 0; /* it stands: what failed came later */
    assert_false(say_of(&attempts, "proxy", -ECONNREFUSED, ""));
}

/* -v: not a word of the one that stands. */
static void told_one_by_one(void **state)
{
    struct attempts attempts = {.n = 0};
    int saved = dup(STDERR_FILENO), file = memfd_create("said", MFD_CLOEXEC);

    (void)state;
    add(&attempts, attempt_at(1, AF_INET6, 0, -1));
    add(&attempts, attempt_at(2, AF_INET6, -ECONNREFUSED, 2 * MS));
    add(&attempts, attempt_at(1, AF_INET, 0, 3 * MS));
    assert_int_equal(dup2(file, STDERR_FILENO), STDERR_FILENO);
    attempts_tell(&attempts);
    attempts.n = 1;
    attempts_tell(&attempts);
    assert_int_equal(dup2(saved, STDERR_FILENO), STDERR_FILENO);
    ssize_t n = pread(file, said, sizeof said - 1, 0);
    said[n > 0 ? n : 0] = '\0';
    close(saved);
    close(file);
    assert_string_equal(said, "sonde: [2001:db8::1]:80: no answer after 2.000 s.\n"
                              "sonde: [2001:db8::2]:80: connection refused after 0.002 s.\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_with_its_reason),
        cmocka_unit_test(one_address_has_other_sentences),
        cmocka_unit_test(what_to_try),
        cmocka_unit_test(eight_and_how_many_more),
        cmocka_unit_test(room),
        cmocka_unit_test(not_the_address),
        cmocka_unit_test(told_one_by_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
