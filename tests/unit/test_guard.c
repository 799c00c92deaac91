/* SPDX-License-Identifier: MIT */
/* Who may connect: lists of prefixes, and the counts of peers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cli/serve/peers.h"
#include "cli/serve/prefix_list.h"

#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

static struct sonde_address ip(const char *text)
{
    struct sonde_address address = {.family = strchr(text, ':') ? AF_INET6 : AF_INET, .port = 1234};

    assert_int_equal(inet_pton(address.family, text, address.u.ip), 1);
    return address;
}

static struct sonde_address user(uint32_t uid, int32_t pid)
{
    return (struct sonde_address){.family = AF_UNIX, .u.peer = {.pid = pid, .uid = uid}};
}

/* --- lists ----------------------------------------------------------------------------------------------------------
 */

static void takes_words_and_values(void **state)
{
    const struct option_list values = {.n = 3,
                                       .values = {"10.0.0.0/8,::1", "unix", "192.0.2.7,fd00::/8,198.51.100.0/24"}};
    struct sonde_address inside[] = {ip("10.1.2.3"),       ip("::1"),     user(0, 1),
                                     ip("192.0.2.7"),      ip("fd12::3"), ip("198.51.100.255"),
                                     ip("::ffff:10.0.0.1")};
    struct sonde_address outside[] = {ip("11.0.0.1"), ip("::2"), ip("192.0.2.8"), ip("fe80::1"), ip("198.51.101.0")};
    struct prefix_list list;
    struct sonde_why why;

    (void)state;
    assert_int_equal(prefix_list_parse(&values, PREFIX_LIST_MAX, &list, &why), 0);
    assert_int_equal(list.n, 6);
    for (size_t i = 0; i < sizeof(inside) / sizeof(*inside); i++)
        assert_true(prefix_list_contains(&list, &inside[i]));
    for (size_t i = 0; i < sizeof(outside) / sizeof(*outside); i++)
        assert_false(prefix_list_contains(&list, &outside[i]));
    prefix_list_free(&list);
    assert_false(prefix_list_contains(&list, &inside[0]));
}

static void says_which_word_is_wrong(void **state)
{
    static const struct {
        const char *value, *word;
    } rows[] = {
        {"10.0.0.0/8,localhost,::1", "localhost"},
        {"10.0.0.1/8", "10.0.0.1/8"},
        {"::1,10.0.0.0/33", "10.0.0.0/33"},
        {"", ""},
        {",", ","},
        {"::1,", "::1,"},
        {"::1,,unix", "::1,,unix"},
        {"unix, any", " any"},
    };
    struct prefix_list list = {.n = 77};

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        const struct option_list values = {.n = 2, .values = {"127.0.0.1", rows[i].value}};
        struct sonde_why why = {.code = 0};
        assert_int_equal(prefix_list_parse(&values, PREFIX_LIST_MAX, &list, &why), -SONDE_EOPTION);
        assert_string_equal(why.subject, rows[i].word);
        assert_true(why.detail[0] != '\0');
    }
    assert_int_equal(list.n, 77);
}

static void is_bounded(void **state)
{
    char *text = malloc(8 * 5000), *end = text;
    struct prefix_list list;
    struct sonde_why why;

    (void)state;
    assert_non_null(text);
    for (int i = 0; i < 1023; i++) {
        memcpy(end, "::1,", 4);
        end += 4;
    }
    memcpy(end, "::1", 4);
    const struct option_list values = {.n = 1, .values = {text}};
    assert_int_equal(prefix_list_parse(&values, PREFIX_LIST_MAX, &list, &why), 0);
    assert_int_equal(list.n, 1024);
    prefix_list_free(&list);
    assert_int_equal(prefix_list_parse(&values, PREFIX_LIST_MAX - 1, &list, &why), -E2BIG);
    assert_int_equal(prefix_list_parse(&values, 64, &list, &why), -E2BIG);
    /* A word that is far too long is refused, and not taken for its beginning. */
    memset(text, '1', 4000);
    memcpy(text, "::", 2);
    assert_int_equal(prefix_list_parse(&values, PREFIX_LIST_MAX, &list, &why), -SONDE_EOPTION);
    free(text);
}

/* --- peers ----------------------------------------------------------------------------------------------------------
 */

static void counts_what_one_peer_is(void **state)
{
    struct sonde_address first[] = {ip("192.0.2.1"), ip("2001:db8:1:2::1"), user(1000, 17), ip("10.0.0.1")};
    struct sonde_address same[] = {ip("192.0.2.1"), ip("2001:db8:1:2:ffff::9"), user(1000, 18), ip("::ffff:10.0.0.1")};
    struct sonde_address other[] = {ip("192.0.2.2"), ip("2001:db8:1:3::1"), user(1001, 17), ip("10.0.0.2")};
    enum { N = sizeof(first) / sizeof(*first) };
    struct peers *peers;

    (void)state;
    assert_int_equal(peers_new(2, &peers), 0);
    for (int i = 0; i < N; i++) {
        same[i].port = 999;
        assert_int_equal(peers_enter(peers, &first[i]), 0);
        assert_int_equal(peers_enter(peers, &same[i]), 0);
        assert_int_equal(peers_enter(peers, &same[i]), -EUSERS);
        assert_int_equal(peers_enter(peers, &other[i]), 0);
        assert_int_equal(peers_count(peers), 2 * i + 2);
    }
    for (int i = 0; i < N; i++) {
        peers_leave(peers, &same[i]);
        assert_int_equal(peers_enter(peers, &first[i]), 0);
        assert_int_equal(peers_enter(peers, &first[i]), -EUSERS);
        peers_leave(peers, &first[i]);
        peers_leave(peers, &first[i]);
        peers_leave(peers, &other[i]);
    }
    assert_int_equal(peers_count(peers), 0);
    peers_leave(peers, &first[0]);
    assert_int_equal(peers_count(peers), 0);
    peers_free(peers);
}

/* A link-local network is one on each interface. */
static void tells_links_apart(void **state)
{
    struct sonde_address a = ip("fe80::1"), b = ip("fe80::1");
    struct peers *peers;

    (void)state;
    a.scope = 1;
    b.scope = 2;
    assert_int_equal(peers_new(1, &peers), 0);
    assert_int_equal(peers_enter(peers, &a), 0);
    assert_int_equal(peers_enter(peers, &b), 0);
    assert_int_equal(peers_enter(peers, &a), -EUSERS);
    peers_free(peers);
}

/* Many peers that come and go, against a plain array. */
static void agrees_with_an_array(void **state)
{
    enum { ADDRESSES = 3000, MOST = 3, STEPS = 200000 };
    static int n[ADDRESSES];
    struct peers *peers;
    unsigned chance = 1;
    size_t n_peers = 0;

    (void)state;
    assert_int_equal(peers_new(MOST, &peers), 0);
    for (int i = 0; i < STEPS; i++) {
        chance = chance * 1103515245 + 12345;
        int k = (int)(chance >> 8) % ADDRESSES;
        bool enters = i < STEPS / 2 ? chance >> 30 != 0 : chance >> 30 == 0;
        struct sonde_address address = {.family = k % 2 ? AF_INET : AF_INET6};
        address.u.ip[0] = (uint8_t)(k >> 8);
        address.u.ip[1] = (uint8_t)k;
        if (enters) {
            assert_int_equal(peers_enter(peers, &address), n[k] < MOST ? 0 : -EUSERS);
            n_peers += n[k] == 0;
            n[k] += n[k] < MOST;
        } else if (n[k] > 0) {
            peers_leave(peers, &address);
            n_peers -= --n[k] == 0;
        }
        assert_int_equal(peers_count(peers), n_peers);
    }
    peers_free(peers); /* with those that are left */
    peers_free(NULL);
}

enum { ROUNDS = 20000, LIMIT = 3 };

static atomic_int n_inside, n_too_many, n_entered;

static void *come_and_go(void *user)
{
    struct peers *peers = user;
    struct sonde_address address = ip("192.0.2.1");

    for (int i = 0; i < ROUNDS; i++)
        if (peers_enter(peers, &address) == 0) {
            n_entered++;
            if (++n_inside > LIMIT)
                n_too_many++;
            n_inside--;
            peers_leave(peers, &address);
        }
    return NULL;
}

static void threads_share_it(void **state)
{
    pthread_t threads[4];
    struct peers *peers;

    (void)state;
    assert_int_equal(peers_new(LIMIT, &peers), 0);
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, come_and_go, peers), 0);
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_true(n_entered > 0);
    assert_int_equal(n_too_many, 0);
    assert_int_equal(peers_count(peers), 0);
    struct sonde_address address = ip("192.0.2.1");
    for (int i = 0; i < LIMIT; i++)
        assert_int_equal(peers_enter(peers, &address), 0);
    assert_int_equal(peers_enter(peers, &address), -EUSERS);
    peers_free(peers);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_words_and_values),
        cmocka_unit_test(says_which_word_is_wrong),
        cmocka_unit_test(is_bounded),
        cmocka_unit_test(counts_what_one_peer_is),
        cmocka_unit_test(tells_links_apart),
        cmocka_unit_test(agrees_with_an_array),
        cmocka_unit_test(threads_share_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
