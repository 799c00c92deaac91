/* SPDX-License-Identifier: MIT */
/* Filters over real sockets: what the kernel lets through, against our own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "observe/sockets/filter_internal.h"
#include "sockets_scene.h"

#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

/* What depends on TCP_INFO is asked for; what depends on owners is let through. */
static void filtered(void **state)
{
    (void)state;
    int listener = listener_of(AF_INET, 4);
    struct sockets_filter *filter;
    char text[128], why[192];
    snprintf(text, sizeof text, "sport = :%u unsent = 0 process:nobody", local_of(listener).port);
    assert_int_equal(filter_parse(text, &filter, why), 0);
    struct search search = {.cookie = cookie_of(listener)};
    assert_true(sockets_dump(sockets, SOCKETS_ALL, 0, filter, search_one, &search) >= 0);
    assert_int_equal(search.n_found, 1);
    assert_int_equal(search.n_seen, 1);
    assert_true(search.socket.has_info);
    assert_false(filter_matches(filter, &search.socket, NULL));
    filter_free(filter);
    close(listener);
}

/* ---- the kernel's filter against our own */

#define MINE_MAX 32

struct mine {
    struct socket_info socket[MINE_MAX];
    size_t n;
    uint32_t seen; /* in the dump under way */
    bool takes;    /* all are taken down */
    uint64_t cookie[MINE_MAX];
};

static bool see_mine(const struct socket_info *socket, void *user)
{
    struct mine *mine = user;
    for (size_t i = 0; i < mine->n; i++) {
        if (mine->cookie[i] != socket->cookie)
            continue;
        mine->seen |= UINT32_C(1) << i;
        if (mine->takes)
            mine->socket[i] = *socket;
    }
    return true;
}

static uint32_t next_random(uint32_t *seed)
{
    *seed = *seed * UINT32_C(1664525) + UINT32_C(1013904223);
    return *seed >> 10;
}

static const char *pick(const char *const *words, size_t n, uint32_t *seed)
{
    return words[next_random(seed) % n];
}

#define PICK(words, seed) pick(words, sizeof(words) / sizeof((words)[0]), seed)

struct maker {
    char text[FILTER_TEXT_MAX];
    size_t n;
    uint32_t seed;
    const struct mine *mine;
};

__attribute__((format(printf, 2, 3))) static void say(struct maker *maker, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int n = vsnprintf(maker->text + maker->n, sizeof maker->text - maker->n, format, arguments);
    va_end(arguments);
    maker->n += (size_t)n;
    assert_true(maker->n < sizeof maker->text);
}

static void say_condition(struct maker *maker)
{
    static const char *const ends[] = {"sport", "dport"}, *const sides[] = {"src", "dst"},
                             *const signs[] = {"=", "!=", "<", "<=", ">", ">="}, *const equal[] = {"=", "!="},
                             *const hosts[] = {"127.0.0.1", "127/8", "0.0.0.0", "0/0",  "10/8",        "[::1]",
                                               "[::]",      "::/0",  "*",       "::/1", "127.0.0.1/31"},
                             *const states[] = {"state established", "listening",
                                                "state close-wait exclude established", "state connected"},
                             *const others[] = {"dev lo",  "dev != lo", "unread > 0",
                                                "127.0.0", "pid:1",     "retransmits = 0"};
    const struct socket_info *socket = &maker->mine->socket[next_random(&maker->seed) % maker->mine->n];
    unsigned port = next_random(&maker->seed) % 2 ? socket->local.port : socket->peer.port;
    switch (next_random(&maker->seed) % 6) {
    case 0:
    case 1:
        say(maker, "%s %s :%u", PICK(ends, &maker->seed), PICK(signs, &maker->seed), port);
        break;
    case 2:
        say(maker, "%s %s %s", PICK(sides, &maker->seed), PICK(equal, &maker->seed), PICK(hosts, &maker->seed));
        break;
    case 3:
        say(maker, "%s %s %s:%u", PICK(sides, &maker->seed), PICK(equal, &maker->seed),
            next_random(&maker->seed) % 2 ? "127.0.0.0/8" : "[::]/0", port);
        break;
    case 4:
        say(maker, "%s", PICK(states, &maker->seed));
        break;
    default:
        say(maker, "%s", PICK(others, &maker->seed));
        break;
    }
}

static void say_filter(struct maker *maker, unsigned depth)
{
    static const char *const joints[] = {" and ", " or ", " "};
    unsigned n = 1 + next_random(&maker->seed) % 3;
    if (next_random(&maker->seed) % 4 == 0)
        say(maker, "not ");
    if (depth == 0) {
        say_condition(maker);
        return;
    }
    say(maker, "(");
    for (unsigned i = 0; i < n; i++) {
        if (i > 0)
            say(maker, "%s", PICK(joints, &maker->seed));
        say_filter(maker, depth - 1);
    }
    say(maker, ")");
}

static size_t make_mine(int fd[MINE_MAX])
{
    size_t n = 0;
    int families[] = {AF_INET, AF_INET6};
    for (size_t i = 0; i < 2; i++) {
        int listener = listener_of(families[i], 8);
        if (listener < 0)
            continue;
        fd[n++] = listener;
        for (int k = 0; k < 3; k++) {
            fd[n++] = connected_to(listener);
            fd[n++] = accepted_from(listener);
        }
        assert_int_equal(send(fd[n - 1], "unread", 6, 0), 6);
        assert_int_equal(shutdown(fd[n - 3], SHUT_WR), 0);
        fd[n++] = bound(families[i], SOCK_DGRAM);
    }
    struct sockaddr_storage storage;
    socklen_t n_bytes = sizeof storage;
    assert_int_equal(getsockname(fd[n - 1], (void *)&storage, &n_bytes), 0);
    fd[n] = socket(storage.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd[n], (void *)&storage, n_bytes), 0);
    return n + 1;
}

static void random_filters(void **state)
{
    (void)state;
    int fd[MINE_MAX];
    struct mine mine = {.n = make_mine(fd), .takes = true};
    unsigned n_some = 0, n_programs = 0;
    _Alignas(4) unsigned char program[8192];
    for (size_t i = 0; i < mine.n; i++)
        mine.cookie[i] = cookie_of(fd[i]);
    /* Wait until the last segment has arrived: nothing is on its way, no timer runs. */
    until(fd[5], TCP_STATE_ESTABLISHED, 6, 0);
    until(fd[4], TCP_STATE_FIN_WAIT_2, 0, 0);
    if (mine.n > 10) {
        until(fd[8 + 5], TCP_STATE_ESTABLISHED, 6, 0);
        until(fd[8 + 4], TCP_STATE_FIN_WAIT_2, 0, 0);
    }
    assert_true(sockets_dump(sockets, SOCKETS_INET, 0, NULL, see_mine, &mine) >= 0);
    assert_int_equal(mine.seen, (UINT32_C(1) << mine.n) - 1);
    mine.takes = false;
    for (uint32_t round = 0; round < 400; round++) {
        struct maker maker = {.seed = round * 2654435761u + 1, .mine = &mine};
        struct sockets_filter *filter;
        char why[192];
        say_filter(&maker, round % 3);
        if (filter_parse(maker.text, &filter, why) < 0)
            fail_msg("%s: %s", maker.text, why);
        uint32_t expected = 0;
        for (size_t i = 0; i < mine.n; i++)
            expected |= filter_may_match(filter, &mine.socket[i]) ? UINT32_C(1) << i : 0;
        mine.seen = 0;
        assert_true(sockets_dump(sockets, SOCKETS_INET, 0, filter, see_mine, &mine) >= 0);
        if (mine.seen != expected)
            fail_msg("%s: 0x%x and not 0x%x", maker.text, mine.seen, expected);
        n_some += expected != 0 && expected != (UINT32_C(1) << mine.n) - 1;
        n_programs += filter_bytecode(filter, program, sizeof program) > 0;
        filter_free(filter);
    }
    assert_int_equal(sockets_n_programs_refused(sockets), 0);
    assert_true(n_some > 100 && n_programs > 100); /* these filters are worth something */
    for (size_t i = 0; i < mine.n; i++)
        close(fd[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(filtered),
        cmocka_unit_test(random_filters),
    };
    return cmocka_run_group_tests(tests, open_sockets, close_sockets);
}
