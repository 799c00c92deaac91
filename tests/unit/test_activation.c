/* SPDX-License-Identifier: MIT */
/* What a service manager's environment says, and what it does not: sockets that were passed, and whom to notify. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cli/serve/activation.h"
#include "cli/serve/sd_notify.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int parse(const char *pid, const char *fds, const char *names, struct activation *ret)
{
    return activation_parse(pid, fds, names, 4711, ret);
}

static void passed_to_us(void **state)
{
    struct activation activation;

    (void)state;
    assert_int_equal(parse("4711", "2", NULL, &activation), 0);
    assert_int_equal(activation.n, 2);
    assert_null(activation.names);
    activation_free(&activation);
    assert_int_equal(parse("4711", "1", "web", &activation), 0);
    assert_int_equal(activation.n, 1);
    assert_string_equal(activation.names, "web");
    activation_free(&activation);
    assert_int_equal(activation.n, 0);
}

static void not_passed_to_us(void **state)
{
    static const char *const pids[] = {NULL, "", "1", "4712", "04711x", "-4711", "99999999999999999999", "4711 ", "4k"};
    struct activation activation = {.n = 9};

    (void)state;
    for (size_t i = 0; i < sizeof(pids) / sizeof(*pids); i++) {
        activation.n = 9;
        /* What stands behind is not even looked at. */
        assert_int_equal(parse(pids[i], i % 2 ? "3" : "nonsense", "a:b:c", &activation), 0);
        assert_int_equal(activation.n, 0);
        assert_null(activation.names);
    }
    activation.n = 9;
    assert_int_equal(parse("4711", NULL, NULL, &activation), 0);
    assert_int_equal(activation.n, 0);
    assert_int_equal(parse("4711", "0", "a", &activation), 0);
    assert_int_equal(activation.n, 0);
    assert_null(activation.names);
}

static void no_number_of_sockets(void **state)
{
    static const char *const numbers[] = {"",   "-1", "x",  "1x",         "1.0",
                                          "1k", " 1", "+1", "2147483645", "99999999999999999999"};
    struct activation activation = {.n = 9};

    (void)state;
    for (size_t i = 0; i < sizeof(numbers) / sizeof(*numbers); i++)
        assert_int_equal(parse("4711", numbers[i], NULL, &activation), -EINVAL);
    assert_int_equal(activation.n, 9);
    assert_int_equal(parse("4711", "2147483644", NULL, &activation), 0);
    assert_int_equal(activation.n, 2147483644);
    activation_free(&activation);
}

static int find(const struct activation *activation, const char *name, unsigned from)
{
    unsigned number = 77;
    int fd = activation_find(activation, name, strlen(name), from, &number);

    if (fd >= 0)
        assert_int_equal(fd, number + ACTIVATION_FIRST_FD);
    else
        assert_int_equal(number, 77);
    return fd;
}

static void finds_names(void **state)
{
    struct activation activation;

    (void)state;
    assert_int_equal(parse("4711", "6", "web::a b/c%41?:web:\xc3\xa9:connection", &activation), 0);
    assert_int_equal(find(&activation, "web", 0), 3);
    assert_int_equal(find(&activation, "web", 1), 6);
    assert_int_equal(find(&activation, "web", 4), -1);
    assert_int_equal(find(&activation, "we", 0), -1);
    assert_int_equal(find(&activation, "webs", 0), -1);
    assert_int_equal(find(&activation, "a b/c%41?", 0), 5);
    assert_int_equal(find(&activation, "\xc3\xa9", 0), 7);
    assert_int_equal(find(&activation, "connection", 0), 8);
    assert_int_equal(find(&activation, "web:", 0), -1);
    activation_free(&activation);
    /* More sockets than names, more names than sockets, none. */
    assert_int_equal(parse("4711", "3", "a", &activation), 0);
    assert_int_equal(find(&activation, "a", 0), 3);
    assert_int_equal(find(&activation, "b", 0), -1);
    activation_free(&activation);
    assert_int_equal(parse("4711", "1", "a:b", &activation), 0);
    assert_int_equal(find(&activation, "b", 0), -1);
    activation_free(&activation);
    assert_int_equal(parse("4711", "1", NULL, &activation), 0);
    assert_int_equal(find(&activation, "a", 0), -1);
    activation_free(&activation);
}

static void knows_a_name_from_a_number(void **state)
{
    static const struct {
        const char *text, *name, *options; /* name NULL: none */
    } rows[] = {
        {"fd://web", "web", ""},
        {"fd:web", "web", ""},
        {"FD://web?proxy=in&nodelay=1", "web", "?proxy=in&nodelay=1"},
        {"fd://3a", "3a", ""},
        {"fd://-1", "-1", ""},
        {"fd://a%3Fb%2fc%zz?x", "a?b/c%zz", "?x"},
        {"fd://a/b", "a/b", ""},
        {"fd:///web", "/web", ""},
        {"fd://3", NULL, NULL},
        {"fd:3", NULL, NULL},
        {"fd://3?nodelay=1", NULL, NULL},
        {"fd://%33", NULL, NULL},
        {"fd://", NULL, NULL},
        {"fd://?x", NULL, NULL},
        {"fd://a%00b", NULL, NULL},
        {"fd", NULL, NULL},
        {"", NULL, NULL},
        {"tcp://fd:7", NULL, NULL},
        {"unix:fd:web", NULL, NULL},
    };
    char name[16], long_text[64] = "fd://";
    const char *options;

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        bool is = activation_is_name(rows[i].text, name, sizeof(name), &options);
        assert_int_equal(is, rows[i].name != NULL);
        if (!is)
            continue;
        assert_string_equal(name, rows[i].name);
        assert_string_equal(options, rows[i].options);
    }
    memset(long_text + 5, 'x', 15);
    assert_true(activation_is_name(long_text, name, sizeof(name), &options));
    long_text[20] = 'x';
    assert_false(activation_is_name(long_text, name, sizeof(name), &options));
}

/* Nothing of it stays for our children, whoever it was for. */
static void is_taken_out_of_the_environment(void **state)
{
    static const char *const names[] = {"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"};
    struct activation activation;
    char pid[32];

    (void)state;
    snprintf(pid, sizeof(pid), "%ld", (long)getpid());
    for (int i = 0; i < 3; i++) {
        setenv("LISTEN_PID", i == 1 ? "1" : pid, 1);
        setenv("LISTEN_FDS", i == 2 ? "-3" : "0", 1);
        setenv("LISTEN_FDNAMES", "a:b", 1);
        assert_int_equal(activation_take(&activation), i == 2 ? -EINVAL : 0);
        for (size_t k = 0; k < sizeof(names) / sizeof(*names); k++)
            assert_null(getenv(names[k]));
    }
    /* The descriptors are not for them either. */
    int fd = fcntl(STDERR_FILENO, F_DUPFD, ACTIVATION_FIRST_FD);
    assert_true(fd >= ACTIVATION_FIRST_FD);
    char n[32];
    snprintf(n, sizeof(n), "%d", fd - ACTIVATION_FIRST_FD + 1);
    for (int i = ACTIVATION_FIRST_FD; i < fd; i++)
        assert_true(fcntl(i, F_GETFD) >= 0); /* a descriptor is the lowest that is free */
    setenv("LISTEN_PID", pid, 1);
    setenv("LISTEN_FDS", n, 1);
    assert_int_equal(activation_take(&activation), 0);
    assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
    activation_free(&activation);
    close(fd);
}

/* --- whom to notify ------------------------------------------------------------------------------------------------
 */

static void addresses_to_notify(void **state)
{
    struct sockaddr_un address;
    socklen_t n;
    char text[200] = "/";

    (void)state;
    assert_true(notify_parse_address("/run/notify", &address, &n));
    assert_int_equal(n, offsetof(struct sockaddr_un, sun_path) + 12);
    assert_string_equal(address.sun_path, "/run/notify");
    assert_true(notify_parse_address("@notify", &address, &n));
    assert_int_equal(n, offsetof(struct sockaddr_un, sun_path) + 7);
    assert_memory_equal(address.sun_path, "\0notify", 7);
    assert_false(notify_parse_address("", &address, &n));
    assert_false(notify_parse_address("@", &address, &n));
    assert_false(notify_parse_address("/", &address, &n));
    assert_false(notify_parse_address("run/notify", &address, &n));
    assert_false(notify_parse_address("vsock:2:1234", &address, &n));
    /* The longest of each kind, and one byte more. */
    memset(text + 1, 'x', sizeof(address.sun_path) - 2);
    assert_true(notify_parse_address(text, &address, &n));
    text[sizeof(address.sun_path) - 1] = 'x';
    assert_false(notify_parse_address(text, &address, &n));
    text[0] = '@';
    assert_true(notify_parse_address(text, &address, &n));
    assert_int_equal(n, sizeof(address));
    text[sizeof(address.sun_path)] = 'x';
    assert_false(notify_parse_address(text, &address, &n));
}

static void watchdogs(void **state)
{
    (void)state;
    assert_int_equal(notify_parse_watchdog(NULL, NULL, 7), 0);
    assert_int_equal(notify_parse_watchdog("3000000", NULL, 7), 3000000000);
    assert_int_equal(notify_parse_watchdog("3000000", "7", 7), 3000000000);
    assert_int_equal(notify_parse_watchdog("3000000", "8", 7), 0);
    assert_int_equal(notify_parse_watchdog("3000000", "", 7), 0);
    assert_int_equal(notify_parse_watchdog("3000000", "7x", 7), 0);
    assert_int_equal(notify_parse_watchdog("0", NULL, 7), 0);
    assert_int_equal(notify_parse_watchdog("-1", NULL, 7), 0);
    assert_int_equal(notify_parse_watchdog("", NULL, 7), 0);
    assert_int_equal(notify_parse_watchdog("1s", NULL, 7), 0);
    assert_int_equal(notify_parse_watchdog("9223372036854775", NULL, 7), INT64_C(9223372036854775000));
    assert_int_equal(notify_parse_watchdog("9223372036854776", NULL, 7), 0);
    assert_int_equal(notify_parse_watchdog("18446744073709551615", NULL, 7), 0);
}

/* Nobody to tell, or nobody there: no harm, and nothing of it stays. */
static void tells_nobody(void **state)
{
    struct notify notify;

    (void)state;
    notify_open(&notify);
    assert_int_equal(notify.fd, -1);
    notify_send(&notify, "READY=1", true);
    setenv("NOTIFY_SOCKET", "/nowhere/at/all", 1);
    setenv("WATCHDOG_USEC", "5000000", 1);
    notify_open(&notify);
    assert_null(getenv("NOTIFY_SOCKET"));
    assert_null(getenv("WATCHDOG_USEC"));
    assert_int_equal(notify.watchdog_ns, INT64_C(5000000000));
    notify_send(&notify, "READY=1", true);
    notify_send(&notify, "WATCHDOG=1", false);
    notify_close(&notify);
    assert_int_equal(notify.fd, -1);
    notify_close(&notify);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(passed_to_us),
        cmocka_unit_test(not_passed_to_us),
        cmocka_unit_test(no_number_of_sockets),
        cmocka_unit_test(finds_names),
        cmocka_unit_test(knows_a_name_from_a_number),
        cmocka_unit_test(is_taken_out_of_the_environment),
        cmocka_unit_test(addresses_to_notify),
        cmocka_unit_test(watchdogs),
        cmocka_unit_test(tells_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
