/* SPDX-License-Identifier: MIT */
/* The order and the times of attempts: scenarios in a small language, played against the race without a clock. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "net/race.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define MS INT64_C(1000000)

enum { TEXT_MAX = 2048 };

/*
 * What happens, in milliseconds, words between spaces:
 *
 *   0:6ab     two IPv6 addresses, a and b, become known (4xy: IPv4)
 *   0:end     the look-up is over
 *   30:-a     the attempt to a fails
 *   900:stop  nobody asks any more
 *
 * What is expected in the same language: 250:c means that the attempt to c began then; 700:lost that all is lost.
 */
struct scenario {
    const char *name, *happens, *expected;
};

static const struct scenario scenarios[] = {
    /* RFC 8305, 4: families in turn, IPv6 first. */
    {"interleaved", "0:6abc 0:4xyz 0:end", "0:a 250:x 500:b 750:y 1000:c 1250:z"},
    {"ipv4 alone", "0:4xy 0:end", "0:x 250:y"},
    {"ipv6 alone", "0:6ab 0:end", "0:a 250:b"},
    {"more of ipv4", "0:6a 0:4xyz 0:end", "0:a 250:x 500:y 750:z"},
    {"more of ipv6", "0:6abc 0:4x 0:end", "0:a 250:x 500:b 750:c"},

    /* RFC 8305, 3: AAAA first is used at once, A first waits 50 ms for it. */
    {"aaaa first", "0:6a 40:4x 40:end", "0:a 250:x"},
    {"aaaa first, a late", "0:6a 400:4x 400:end", "0:a 400:x"},
    {"a first, aaaa in time", "10:4x 40:6a 40:end", "40:a 290:x"},
    {"a first, aaaa at the last moment", "10:4x 60:6a 60:end", "60:a 310:x"},
    {"a first, aaaa too late", "10:4xy 100:6ab 100:end", "60:x 310:a 560:y 810:b"},
    {"a first, aaaa later than an attempt", "10:4xy 400:6a 400:end", "60:x 310:y 560:a"},
    {"aaaa never", "10:4xy", "60:x 310:y"},
    {"no aaaa is known in time", "10:4xy 25:end", "25:x 275:y"},
    {"aaaa has none at once", "10:4xy 10:end", "10:x 260:y"},

    /* RFC 8305, 5: the next one when the last has failed, or after the delay. */
    {"first refused", "0:6a 0:4x 0:end 3:-a", "0:a 3:x"},
    {"refused before the look-up is over", "0:6a 3:-a 20:4x 20:end", "0:a 20:x"},
    {"an older one fails", "0:6ab 0:4x 0:end 300:-a", "0:a 250:x 500:b"},
    {"the last one fails", "0:6ab 0:4x 0:end 300:-x", "0:a 250:x 300:b"},
    {"both fail", "0:6ab 0:4x 0:end 300:-a 310:-x", "0:a 250:x 310:b"},
    {"refused after the delay", "0:6a 0:4x 0:end 260:-a", "0:a 250:x"},
    {"all refused", "0:6ab 0:4x 0:end 1:-a 2:-x 3:-b", "0:a 1:x 2:b 3:lost"},
    {"all refused, late", "0:6a 0:4x 0:end 700:-a 900:-x", "0:a 250:x 900:lost"},
    {"refused, more may come", "0:4x 60:-x 300:6a 300:end 310:-a", "50:x 300:a 310:lost"},
    {"refused, no more come", "0:4x 60:-x 300:end", "50:x 300:lost"},
    {"ipv4 refused while aaaa is out", "0:4xy 60:-x", "50:x 60:y"},
    {"nothing", "5:end", "5:lost"},
    {"nothing yet", "", ""},
    {"stands", "0:6ab 0:4x 0:end 300:stop", "0:a 250:x"},
    {"stands at once", "0:6ab 0:4x 0:end 1:stop", "0:a"},
    {"cancelled while a waits", "10:4x 30:stop", ""},
};

struct play {
    struct race race;
    char log[TEXT_MAX];
    int64_t now_ns;
    char begun[SONDE_ATTEMPTS_MAX];
    bool over;
};

static struct sonde_address address_of(char letter, int family)
{
    struct sonde_address address = {.family = (uint16_t)family};

    address.u.ip[3] = (uint8_t)letter;
    return address;
}

static void note(struct play *play, const char *what)
{
    size_t n = strlen(play->log);

    snprintf(play->log + n, sizeof play->log - n, "%s%lld:%s", n > 0 ? " " : "", (long long)(play->now_ns / MS), what);
}

/* Do what the race says now; returns when it is to be asked again. */
static int64_t ask(struct play *play)
{
    struct sonde_address address;
    int64_t until_ns = INT64_MAX;

    while (!play->over) {
        enum race_step step = race_next(&play->race, play->now_ns, &address, &until_ns);
        if (step == RACE_WAIT) {
            assert_true(until_ns > play->now_ns);
            return until_ns;
        }
        if (step == RACE_LOST) {
            note(play, "lost");
            play->over = true;
            break;
        }
        char letter[2] = {(char)address.u.ip[3], '\0'};
        play->begun[play->race.n_begun - 1] = letter[0];
        note(play, letter);
    }
    return INT64_MAX;
}

static void happen(struct play *play, const char *what)
{
    if (strcmp(what, "end") == 0) {
        race_complete(&play->race);
    } else if (strcmp(what, "stop") == 0) {
        play->over = true;
    } else if (what[0] == '-') {
        const char *found = memchr(play->begun, what[1], play->race.n_begun);
        assert_non_null(found);
        race_failed(&play->race, (unsigned)(found - play->begun));
    } else {
        struct sonde_address list[32];
        unsigned n = 0;
        for (const char *at = what + 1; *at != '\0'; at++)
            list[n++] = address_of(*at, what[0] == '6' ? AF_INET6 : AF_INET);
        race_add(&play->race, list, n, play->now_ns);
    }
}

static void play_scenario(void **state)
{
    const struct scenario *scenario = *state;
    struct play play = {.now_ns = 0};
    char happens[TEXT_MAX], *rest = NULL;

    race_init(&play.race, SONDE_ATTEMPT_DELAY_NS);
    snprintf(happens, sizeof happens, "%s", scenario->happens);
    int64_t until_ns = INT64_MAX;
    for (char *word = strtok_r(happens, " ", &rest); word != NULL; word = strtok_r(NULL, " ", &rest)) {
        char *what;
        int64_t at_ns = strtoll(word, &what, 10) * MS;
        /* What happens at the same moment is all known before anybody asks. */
        while (until_ns < at_ns) {
            play.now_ns = until_ns;
            until_ns = ask(&play);
        }
        play.now_ns = at_ns;
        happen(&play, what + 1);
        if (rest == NULL || *rest == '\0' || strtoll(rest, NULL, 10) * MS > at_ns)
            until_ns = ask(&play);
    }
    while (until_ns < INT64_MAX) {
        play.now_ns = until_ns;
        until_ns = ask(&play);
    }
    assert_string_equal(play.log, scenario->expected);
}

static unsigned drain(struct race *race, int64_t delay_ns, unsigned *ret_n_ipv4)
{
    struct sonde_address address;
    int64_t now_ns = 0, until_ns = 0;
    unsigned n = 0;
    enum race_step step;

    *ret_n_ipv4 = 0;
    while ((step = race_next(race, now_ns, &address, &until_ns)) != RACE_LOST) {
        if (step == RACE_BEGIN) {
            *ret_n_ipv4 += address.family == AF_INET;
            n++;
        } else if (until_ns < INT64_MAX) {
            assert_int_equal(until_ns, now_ns + delay_ns);
            now_ns = until_ns;
        } else {
            break;
        }
    }
    return n;
}

static void forty_addresses(void **state)
{
    struct sonde_address list[20];
    struct race race;
    unsigned n_ipv4;

    (void)state;
    race_init(&race, 7 * MS);
    for (unsigned i = 0; i < 20; i++)
        list[i] = address_of((char)('a' + i), AF_INET6);
    race_add(&race, list, 20, 0);
    for (unsigned i = 0; i < 20; i++)
        list[i].family = AF_INET;
    race_add(&race, list, 20, 0);
    race_complete(&race);
    assert_int_equal(drain(&race, 7 * MS, &n_ipv4), SONDE_ATTEMPTS_MAX);
    assert_int_equal(n_ipv4, SONDE_ATTEMPTS_MAX / 2);
    assert_int_equal(race.n_left_out, 40 - SONDE_ATTEMPTS_MAX);
    for (unsigned i = 0; i < SONDE_ATTEMPTS_MAX; i++)
        race_failed(&race, i);
    struct sonde_address address;
    int64_t until_ns;
    assert_int_equal(race_next(&race, INT64_MAX, &address, &until_ns), RACE_LOST);
}

/* One family does not take the other's places, however many it has. */
static void a_hundred_of_one_family(void **state)
{
    struct sonde_address list[100], one = address_of('x', AF_INET);
    struct race race;
    unsigned n_ipv4;

    (void)state;
    race_init(&race, MS);
    for (unsigned i = 0; i < 100; i++)
        list[i] = address_of((char)i, AF_INET6);
    race_add(&race, list, 100, 0);
    race_add(&race, &one, 1, 0);
    assert_int_equal(race.n_left_out, 100 - SONDE_ATTEMPTS_MAX);
    assert_int_equal(drain(&race, MS, &n_ipv4), SONDE_ATTEMPTS_MAX);
    assert_int_equal(n_ipv4, 1);
    assert_int_equal(race.n_left_out, 101 - SONDE_ATTEMPTS_MAX);
}

/* No place is left, though the look-up goes on: it is lost with the last attempt. */
static void lost_without_the_look_up(void **state)
{
    struct sonde_address list[SONDE_ATTEMPTS_MAX], address;
    struct race race;
    int64_t until_ns;
    unsigned n_ipv4;

    (void)state;
    race_init(&race, MS);
    for (unsigned i = 0; i < SONDE_ATTEMPTS_MAX; i++)
        list[i] = address_of((char)i, AF_INET6);
    race_add(&race, list, SONDE_ATTEMPTS_MAX, 0);
    assert_int_equal(drain(&race, MS, &n_ipv4), SONDE_ATTEMPTS_MAX);
    for (unsigned i = 0; i < SONDE_ATTEMPTS_MAX; i++) {
        assert_int_equal(race_next(&race, INT64_MAX, &address, &until_ns), RACE_WAIT);
        race_failed(&race, i);
    }
    assert_int_equal(race_next(&race, INT64_MAX, &address, &until_ns), RACE_LOST);
}

/* A delay for ever: the next is tried when the last has failed, and only then. */
static void never_beside_another(void **state)
{
    const struct sonde_address list[] = {address_of('a', AF_INET6), address_of('x', AF_INET)};
    struct sonde_address address;
    struct race race;
    int64_t until_ns = 0;

    (void)state;
    race_init(&race, INT64_MAX);
    race_add(&race, list, 2, MS);
    race_complete(&race);
    assert_int_equal(race_next(&race, MS, &address, &until_ns), RACE_BEGIN);
    assert_int_equal(race_next(&race, 2 * MS, &address, &until_ns), RACE_WAIT);
    assert_true(until_ns == INT64_MAX);
    race_failed(&race, 0);
    assert_int_equal(race_next(&race, 3 * MS, &address, &until_ns), RACE_BEGIN);
}

int main(void)
{
    enum { N_SCENARIOS = sizeof scenarios / sizeof *scenarios };
    struct CMUnitTest tests[N_SCENARIOS + 4];

    for (unsigned i = 0; i < N_SCENARIOS; i++)
        tests[i] = (struct CMUnitTest){scenarios[i].name, play_scenario, NULL, NULL, (void *)(uintptr_t)&scenarios[i]};
    tests[N_SCENARIOS] = (struct CMUnitTest)cmocka_unit_test(forty_addresses);
    tests[N_SCENARIOS + 1] = (struct CMUnitTest)cmocka_unit_test(a_hundred_of_one_family);
    tests[N_SCENARIOS + 2] = (struct CMUnitTest)cmocka_unit_test(lost_without_the_look_up);
    tests[N_SCENARIOS + 3] = (struct CMUnitTest)cmocka_unit_test(never_beside_another);
    return _cmocka_run_group_tests("race", tests, N_SCENARIOS + 4, NULL, NULL);
}
