/* SPDX-License-Identifier: MIT */
/* The census of watch: what all sockets of a look come to together, and the verdicts that are given with it. */
#include "watch/judge.h"
#include "watch/model.h"

#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "watch_scene.h"

/* ---- the census */

static void half_open(void **state)
{
    (void)state;
    struct census census = {.port_high = 0};
    struct socket_info one = tcp(1, TCP_STATE_SYN_RECV, 7007, 40000);
    struct sonde_address any = {.family = AF_INET, .port = 7007}, any6 = {.family = AF_INET6, .port = 7007};

    for (uint16_t i = 0; i < 10; i++) {
        one.peer.port = (uint16_t)(40000 + i);
        one.local = at(i < 4 ? "127.0.0.1" : "10.0.0.2", 7007);
        census_count(&census, &one);
    }
    one.local.port = 7008;
    census_count(&census, &one);
    struct sonde_address specific = at("127.0.0.1", 7007);
    assert_int_equal(census_half_open(&census, &specific), 4);
    assert_int_equal(census_half_open(&census, &any), 10);
    assert_int_equal(census_half_open(&census, &any6), 10);
    census_free(&census);
}

static void ports_towards_one_peer(void **state)
{
    (void)state;
    struct census census = {.port_low = 32768, .port_high = 60999};
    struct socket_info info = tcp(1, TCP_STATE_TIME_WAIT, 0, 443);

    for (uint16_t i = 0; i < 300; i++) {
        info.local.port = (uint16_t)(32768 + i);
        census_count(&census, &info);
    }
    info.local.port = 7007; /* not ephemeral */
    census_count(&census, &info);
    assert_int_equal(census_same_peer(&census, &info.peer), 300);
    assert_int_equal(census.n_ports_most, 300);
    assert_int_equal(census.most_peer.port, 443);
    assert_int_equal(census.n_time_wait, 301);
    info.peer.port = 80;
    assert_int_equal(census_same_peer(&census, &info.peer), 0);
    census_clear(&census);
    assert_int_equal(census_same_peer(&census, &census.most_peer), 0);
    census_free(&census);
}

static void what_is_local(void **state)
{
    (void)state;
    struct census census = {.port_high = 0};
    struct socket_info info = tcp(1, TCP_STATE_ESTABLISHED, 1, 2);
    struct sonde_address other = at("10.0.0.2", 5), far = at("10.0.0.3", 5), six = {.family = AF_INET6, .port = 1};

    info.local = at("10.0.0.2", 7007);
    census_count(&census, &info);
    assert_true(census_is_local(&census, &other));
    assert_false(census_is_local(&census, &far));
    far = at("127.3.2.1", 9);
    assert_true(census_is_local(&census, &far));
    assert_false(census_is_local(&census, &six));
    six.u.ip[15] = 1;
    assert_true(census_is_local(&census, &six));
    census_free(&census);
}

static void directions(void **state)
{
    (void)state;
    struct census census = {.port_high = 0};
    struct socket_info listener = tcp(1, TCP_STATE_LISTEN, 7007, 0), info = tcp(2, TCP_STATE_ESTABLISHED, 7007, 40000);

    assert_int_equal(census_direction(&census, &info), DIRECTION_UNKNOWN);
    census_count(&census, &listener);
    assert_int_equal(census_direction(&census, &info), DIRECTION_IN);
    info = tcp(2, TCP_STATE_ESTABLISHED, 40000, 7007);
    assert_int_equal(census_direction(&census, &info), DIRECTION_OUT);
    info.peer = at("10.9.9.9", 7007); /* another machine's port */
    assert_int_equal(census_direction(&census, &info), DIRECTION_UNKNOWN);
    info.state = TCP_STATE_SYN_SENT;
    assert_int_equal(census_direction(&census, &info), DIRECTION_OUT);
    census_free(&census);
}

static bool note_direction(const struct row *row, void *user)
{
    *(enum direction *)user = (enum direction)row->direction;
    return true;
}

/* Who is not kept has been told of its listener all the same. */
static void the_direction_of_one_that_passes(void **state)
{
    struct model model;
    enum direction direction = DIRECTION_UNKNOWN;
    struct socket_info info = tcp(1, TCP_STATE_LISTEN, 80, 0);

    (void)state;
    model_init(&model, false);
    model.pass = note_direction;
    model.user = &direction;
    model_begin(&model, 1);
    assert_non_null(model_see(&model, &info));
    for (uint64_t cookie = 2; cookie <= MODEL_PASS_FROM; cookie++) {
        info = tcp(cookie, TCP_STATE_ESTABLISHED, (uint16_t)(1000 + cookie), 7);
        assert_non_null(model_see(&model, &info));
    }
    info = tcp(MODEL_PASS_FROM + 1, TCP_STATE_ESTABLISHED, 80, 7);
    assert_null(model_see(&model, &info));
    assert_int_equal(direction, DIRECTION_IN);
    model_end(&model);
    model_free(&model);
}

static void tallies_grow(void **state)
{
    (void)state;
    struct tally tally = {.entries = NULL};
    struct sonde_address address = at("10.0.0.1", 1);

    assert_int_equal(tally_count(&tally, &address), 0);
    for (int i = 0; i < 20000; i++) {
        address.u.ip[2] = (uint8_t)(i % 100);
        address.port = (uint16_t)(i % 1000);
        tally_add(&tally, &address);
    }
    assert_int_equal(tally.n_entries, 1000);
    assert_int_equal(tally.n_refused, 0);
    address.u.ip[2] = 7;
    address.port = 107;
    assert_int_equal(tally_count(&tally, &address), 20);
    address.port = 108;
    assert_int_equal(tally_count(&tally, &address), 0);
    tally_free(&tally);
}

/* ---- verdicts */

static void a_full_queue_is_judged(void **state)
{
    (void)state;
    struct census census = {.port_high = 0};
    struct judge judge = {.census = &census};
    struct judgement judgement;
    struct socket_info info = tcp(7, TCP_STATE_LISTEN, 7009, 0);

    info.send_queue = 1;
    info.receive_queue = 2;
    info.has_info = info.has_memory = true;
    judge_socket(&judge, &info, NULL, 1000 * NS_PER_S, NULL, 0, &judgement);
    assert_non_null(judgement.verdict);
    assert_string_equal(judgement.verdict->name, "accept-queue-full");
    assert_int_equal(judgement.weight, VERDICT_TROUBLE);
    assert_true(judgement.brief[0] != '\0' && judgement.text[0] != '\0');
    struct row row = {.state = TCP_STATE_LISTEN};
    row_set_verdict(&row, &judgement);
    assert_string_equal(row.verdict_short, judgement.brief);
    info.receive_queue = 0;
    judge_socket(&judge, &info, NULL, 1000 * NS_PER_S, NULL, 0, &judgement);
    assert_null(judgement.verdict);
    row_set_verdict(&row, &judgement);
    assert_null(row.verdict_short);
    census_free(&census);
}

static void who_is_suspect(void **state)
{
    (void)state;
    struct row row = {.protocol = IPPROTO_TCP, .state = TCP_STATE_ESTABLISHED, .timer = TIMER_KEEPALIVE};
    assert_false(row_is_suspect(&row));
    row.timer = TIMER_PROBE;
    assert_true(row_is_suspect(&row));
    row.timer = TIMER_NONE;
    row.receive_queue = 1;
    assert_true(row_is_suspect(&row));
    row.receive_queue = 0;
    row.state = TCP_STATE_CLOSE_WAIT;
    assert_true(row_is_suspect(&row));
    row.state = TCP_STATE_TIME_WAIT;
    row.timer = TIMER_TIME_WAIT;
    assert_false(row_is_suspect(&row));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(half_open),
        cmocka_unit_test(ports_towards_one_peer),
        cmocka_unit_test(what_is_local),
        cmocka_unit_test(directions),
        cmocka_unit_test(the_direction_of_one_that_passes),
        cmocka_unit_test(tallies_grow),
        cmocka_unit_test(a_full_queue_is_judged),
        cmocka_unit_test(who_is_suspect),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
