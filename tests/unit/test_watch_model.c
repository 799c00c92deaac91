/* SPDX-License-Identifier: MIT */
/* The model of watch: sockets followed from look to look, told by hand-made descriptions. */
#include "watch/model.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "watch_scene.h"

#define TOLD_MAX 64

struct told {
    struct change changes[TOLD_MAX];
    struct row rows[TOLD_MAX];
    size_t n;
};

struct fixture {
    struct model model;
    struct told told;
    int64_t now_ns;
};

static void on_change(const struct change *change, void *user)
{
    struct told *told = user;
    assert_true(told->n < TOLD_MAX);
    told->rows[told->n] = *change->row;
    told->changes[told->n++] = *change;
}

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    assert_non_null(fixture);
    model_init(&fixture->model, true);
    fixture->model.on_change = on_change;
    fixture->model.user = &fixture->told;
    fixture->now_ns = 1000 * NS_PER_S;
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    model_free(&fixture->model);
    free(fixture);
    return 0;
}

static void with_bytes(struct socket_info *info, uint64_t received, uint64_t sent, uint64_t acked)
{
    info->has_info = true;
    info->info.n_bytes = TCP_INFO_KERNEL_BYTES;
    info->info.bytes_received = received;
    info->info.bytes_sent = sent;
    info->info.bytes_acked = acked;
    info->info.snd_wnd = 65536;
}

static void begin(struct fixture *fixture, int64_t after_ns)
{
    fixture->now_ns += after_ns;
    model_begin(&fixture->model, fixture->now_ns);
}

static void look(struct fixture *fixture, int64_t after_ns, const struct socket_info *infos, size_t n)
{
    begin(fixture, after_ns);
    for (size_t i = 0; i < n; i++)
        assert_non_null(model_see(&fixture->model, &infos[i]));
    model_end(&fixture->model);
}

static void appears_changes_goes(void **state)
{
    struct fixture *fixture = *state;
    struct told *told = &fixture->told;
    struct socket_info both[] = {tcp(1, TCP_STATE_LISTEN, 7007, 0), tcp(2, TCP_STATE_ESTABLISHED, 7007, 40488)};

    look(fixture, 0, both, 1);
    assert_int_equal(told->n, 1);
    assert_true(told->changes[0].first_look);
    look(fixture, NS_PER_S, both, 2);
    assert_int_equal(told->n, 2);
    assert_int_equal(told->changes[1].kind, CHANGE_APPEARED);
    assert_false(told->changes[1].first_look);
    assert_int_equal(told->rows[1].direction, DIRECTION_IN);
    both[1].state = TCP_STATE_CLOSE_WAIT;
    both[1].receive_queue = 12;
    look(fixture, 3 * NS_PER_S, both, 2);
    assert_int_equal(told->n, 3);
    assert_int_equal(told->changes[2].kind, CHANGE_STATE);
    assert_int_equal(told->changes[2].from, TCP_STATE_ESTABLISHED);
    assert_int_equal(told->changes[2].to, TCP_STATE_CLOSE_WAIT);
    assert_int_equal(told->changes[2].in_state_ns, 3 * NS_PER_S);
    assert_true(told->changes[2].in_state_known);
    /* It dies, and that is told with its last TCP_INFO. */
    struct socket_info dead = tcp(2, TCP_STATE_CLOSED, 7007, 40488);
    with_bytes(&dead, 13, 20, 21); /* both FINs counted */
    begin(fixture, NS_PER_S);
    model_died(&fixture->model, &dead);
    model_see(&fixture->model, &both[0]);
    model_end(&fixture->model);
    assert_int_equal(told->n, 4);
    assert_int_equal(told->changes[3].kind, CHANGE_GONE);
    assert_int_equal(told->changes[3].from, TCP_STATE_CLOSE_WAIT);
    assert_true(told->changes[3].bytes_known);
    assert_int_equal(told->rows[3].bytes_in, 12);
    assert_int_equal(told->rows[3].bytes_out, 20);
    assert_int_equal(fixture->model.n_missed, 0);
    assert_null(model_find(&fixture->model, 2));
}

static void one_look_without_it_proves_nothing(void **state)
{
    struct fixture *fixture = *state;
    struct socket_info info = tcp(7, TCP_STATE_ESTABLISHED, 1, 2);

    look(fixture, 0, &info, 1);
    look(fixture, NS_PER_S, NULL, 0);
    assert_int_equal(fixture->told.n, 1);
    look(fixture, NS_PER_S, &info, 1);
    assert_int_equal(fixture->told.n, 1);
    look(fixture, NS_PER_S, NULL, 0);
    look(fixture, NS_PER_S, NULL, 0);
    assert_int_equal(fixture->told.n, 2);
    assert_int_equal(fixture->told.changes[1].kind, CHANGE_GONE);
    assert_false(fixture->told.changes[1].in_state_known);
    assert_false(fixture->told.changes[1].bytes_known);
}

/* Between two looks: told as missed, with what it carried. */
static void missed(void **state)
{
    struct fixture *fixture = *state;
    struct told *told = &fixture->told;
    struct socket_info listener = tcp(1, TCP_STATE_LISTEN, 7007, 0), dead = tcp(9, TCP_STATE_CLOSED, 7007, 40488);

    look(fixture, 0, &listener, 1);
    with_bytes(&dead, 13, 7, 8);
    begin(fixture, NS_PER_S);
    model_died(&fixture->model, &dead);
    model_see(&fixture->model, &listener);
    model_end(&fixture->model);
    assert_int_equal(told->n, 2);
    assert_int_equal(told->changes[1].kind, CHANGE_MISSED);
    assert_int_equal(told->changes[1].to, TCP_STATE_CLOSED);
    assert_int_equal(told->rows[1].bytes_in, 12);
    assert_int_equal(told->rows[1].bytes_out, 7);
    assert_int_equal(told->rows[1].direction, DIRECTION_IN);
    assert_int_equal(fixture->model.n_missed, 1);
    assert_int_equal(fixture->model.n_rows, 1);
}

/* Its TIME_WAIT entry has another cookie, and comes in the same look, or in the one before. */
static void missed_in_time_wait(void **state)
{
    struct fixture *fixture = *state;
    struct told *told = &fixture->told;
    struct socket_info listener = tcp(1, TCP_STATE_LISTEN, 7007, 0), dead = tcp(9, TCP_STATE_CLOSED, 40488, 7007),
                       left = tcp(10, TCP_STATE_TIME_WAIT, 40488, 7007);

    left.timer = TIMER_TIME_WAIT;
    with_bytes(&dead, 8, 12, 14);
    look(fixture, 0, &listener, 1);
    begin(fixture, NS_PER_S);
    model_died(&fixture->model, &dead);
    model_see(&fixture->model, &listener);
    model_see(&fixture->model, &left);
    model_end(&fixture->model);
    assert_int_equal(told->n, 2);
    assert_int_equal(told->changes[1].kind, CHANGE_MISSED);
    assert_int_equal(told->changes[1].to, TCP_STATE_TIME_WAIT);
    assert_int_equal(told->rows[1].bytes_in, 7);
    assert_int_equal(told->rows[1].bytes_out, 12);

    struct socket_info later[] = {listener, left, tcp(20, TCP_STATE_TIME_WAIT, 40489, 7007)};
    look(fixture, NS_PER_S, later, 3);
    assert_int_equal(told->n, 2); /* it waits for the death's notice */
    dead = tcp(19, TCP_STATE_CLOSED, 40489, 7007);
    with_bytes(&dead, 8, 12, 14);
    begin(fixture, NS_PER_S);
    model_died(&fixture->model, &dead);
    for (int i = 0; i < 3; i++)
        model_see(&fixture->model, &later[i]);
    model_end(&fixture->model);
    assert_int_equal(told->n, 3);
    assert_int_equal(told->changes[2].kind, CHANGE_MISSED);
    assert_int_equal(told->changes[2].to, TCP_STATE_TIME_WAIT);
    assert_int_equal(fixture->model.n_missed, 2);
    assert_int_equal(fixture->model.n_rows, 3);
}

/* A TIME_WAIT entry of a socket that died before anybody listened to deaths is news after one more look. */
static void time_wait_alone(void **state)
{
    struct fixture *fixture = *state;
    struct socket_info left = tcp(10, TCP_STATE_TIME_WAIT, 40488, 7007);

    look(fixture, 0, NULL, 0);
    look(fixture, NS_PER_S, &left, 1);
    assert_int_equal(fixture->told.n, 0);
    look(fixture, NS_PER_S, &left, 1);
    assert_int_equal(fixture->told.n, 1);
    assert_int_equal(fixture->told.changes[0].kind, CHANGE_APPEARED);
}

/* The kernel lists a reset connection no more, but its program may close it much later. */
static void dead_long_after(void **state)
{
    struct fixture *fixture = *state;
    struct socket_info info = tcp(7, TCP_STATE_ESTABLISHED, 1, 2), dead = tcp(7, TCP_STATE_CLOSED, 1, 2);

    look(fixture, 0, &info, 1);
    look(fixture, NS_PER_S, NULL, 0);
    look(fixture, NS_PER_S, NULL, 0);
    assert_int_equal(fixture->told.n, 2);
    look(fixture, 60 * NS_PER_S, NULL, 0);
    begin(fixture, NS_PER_S);
    model_died(&fixture->model, &dead);
    model_end(&fixture->model);
    assert_int_equal(fixture->told.n, 2);
    assert_int_equal(fixture->model.n_missed, 0);
    assert_int_equal(fixture->model.n_rows, 0);
}

/* A socket that was opened and closed without ever having a name is nothing to tell. */
static void nameless_deaths(void **state)
{
    struct fixture *fixture = *state;
    struct socket_info dead = tcp(7, TCP_STATE_CLOSED, 0, 0);

    look(fixture, 0, NULL, 0);
    begin(fixture, NS_PER_S);
    model_died(&fixture->model, &dead);
    model_end(&fixture->model);
    assert_int_equal(fixture->told.n, 0);
    assert_int_equal(fixture->model.n_missed, 0);
}

static const struct socket_past *past_of(struct fixture *fixture, uint64_t key)
{
    struct row *row = model_find(&fixture->model, key);
    assert_non_null(row);
    return &model_track(&fixture->model, row)->past;
}

static void queues_and_windows(void **state)
{
    struct fixture *fixture = *state;
    struct socket_info info = tcp(7, TCP_STATE_ESTABLISHED, 1, 2);
    int64_t first_ns = fixture->now_ns;

    with_bytes(&info, 0, 0, 0);
    look(fixture, 0, &info, 1);
    assert_int_equal(past_of(fixture, 7)->unread_since_ns, 0);
    assert_int_equal(past_of(fixture, 7)->window_zero_since_ns, 0);
    info.receive_queue = 5;
    info.send_queue = 9;
    info.info.snd_wnd = 0;
    look(fixture, NS_PER_S, &info, 1);
    assert_int_equal(past_of(fixture, 7)->unread_since_ns, first_ns); /* it was 0 last */
    assert_int_equal(past_of(fixture, 7)->unread_at_first, 5);
    assert_int_equal(past_of(fixture, 7)->unsent_since_ns, first_ns);
    assert_int_equal(past_of(fixture, 7)->window_zero_since_ns, first_ns + NS_PER_S);
    info.receive_queue = 7;
    look(fixture, NS_PER_S, &info, 1);
    assert_int_equal(past_of(fixture, 7)->unread_at_first, 5);
    info.receive_queue = info.send_queue = 0;
    info.info.snd_wnd = 100;
    look(fixture, NS_PER_S, &info, 1);
    assert_int_equal(past_of(fixture, 7)->unread_since_ns, 0);
    assert_int_equal(past_of(fixture, 7)->unsent_since_ns, 0);
    assert_int_equal(past_of(fixture, 7)->window_zero_since_ns, 0);
    /* A kernel that does not tell the window: 0 means nothing. */
    info.info.snd_wnd = 0;
    info.info.n_bytes = offsetof(struct tcp_info_whole, snd_wnd);
    look(fixture, NS_PER_S, &info, 1);
    assert_int_equal(past_of(fixture, 7)->window_zero_since_ns, 0);
}

static void listeners(void **state)
{
    struct fixture *fixture = *state;
    struct socket_info info = tcp(7, TCP_STATE_LISTEN, 7009, 0);

    info.send_queue = 1;
    look(fixture, 0, &info, 1);
    assert_int_equal(past_of(fixture, 7)->no_accept_since_ns, 0);
    info.receive_queue = 1;
    look(fixture, NS_PER_S, &info, 1);
    int64_t since_ns = fixture->now_ns;
    assert_int_equal(past_of(fixture, 7)->no_accept_since_ns, since_ns);
    assert_int_equal(past_of(fixture, 7)->queue_full_since_ns, 0); /* a limit of 1 holds 2 */
    info.receive_queue = 2;
    look(fixture, NS_PER_S, &info, 1);
    assert_int_equal(past_of(fixture, 7)->no_accept_since_ns, since_ns);
    assert_int_equal(past_of(fixture, 7)->queue_full_since_ns, fixture->now_ns);
    info.receive_queue = 1; /* one was accepted */
    look(fixture, NS_PER_S, &info, 1);
    assert_int_equal(past_of(fixture, 7)->no_accept_since_ns, fixture->now_ns);
    assert_int_equal(past_of(fixture, 7)->queue_full_since_ns, 0);
    info.receive_queue = 0;
    look(fixture, NS_PER_S, &info, 1);
    assert_int_equal(past_of(fixture, 7)->no_accept_since_ns, 0);
}

static void rates(void **state)
{
    struct fixture *fixture = *state;
    struct socket_info info = tcp(7, TCP_STATE_ESTABLISHED, 1, 2);

    with_bytes(&info, 100, 1000, 1000);
    look(fixture, 0, &info, 1);
    const struct track *track = model_track(&fixture->model, model_find(&fixture->model, 7));
    assert_false(track->rates_known);
    with_bytes(&info, 110, 1000, 1000);
    look(fixture, NS_PER_S / 4, &info, 1);
    assert_true(track->rates_known);
    assert_int_equal(track->in_per_s, 40);
    assert_int_equal(track->out_per_s, 0);
    with_bytes(&info, 110, 3000, 1000);
    look(fixture, NS_PER_S / 2, &info, 1); /* a window of one second */
    assert_int_equal(track->in_per_s, 40);
    look(fixture, NS_PER_S / 2, &info, 1);
    assert_int_equal(track->in_per_s, 0);
    assert_int_equal(track->out_per_s, 2000);
}

static void payload(void **state)
{
    (void)state;
    static const struct {
        enum tcp_state state;
        enum direction direction;
        uint64_t received, sent, acked, in, out;
    } cases[] = {
        {TCP_STATE_ESTABLISHED, DIRECTION_OUT, 12, 7, 8, 12, 7},
        {TCP_STATE_CLOSE_WAIT, DIRECTION_IN, 13, 7, 7, 12, 7},
        {TCP_STATE_LAST_ACK, DIRECTION_IN, 1, 0, 0, 0, 0},
        {TCP_STATE_CLOSED, DIRECTION_IN, 13, 7, 8, 12, 7},  /* its FIN was acknowledged: both ended */
        {TCP_STATE_CLOSED, DIRECTION_OUT, 13, 7, 9, 12, 7}, /* SYN and FIN */
        {TCP_STATE_CLOSED, DIRECTION_OUT, 12, 7, 8, 12, 7}, /* reset: the SYN alone */
        {TCP_STATE_CLOSED, DIRECTION_IN, 0, 0, 0, 0, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct socket_info info = tcp(1, cases[i].state, 1, 2);
        uint64_t in, out;
        with_bytes(&info, cases[i].received, cases[i].sent, cases[i].acked);
        socket_payload(&info, cases[i].direction, &in, &out);
        assert_int_equal(in, cases[i].in);
        assert_int_equal(out, cases[i].out);
    }
}

/* Thousands come and go in an order of their own; none is lost, doubled or mistaken for another. */
static void many(void **state)
{
    struct fixture *fixture = *state;
    enum { N = 5000 };
    static bool there[N];
    uint32_t random = 1;

    fixture->model.on_change = NULL;
    memset(there, 0, sizeof there);
    for (int round = 0; round < 30; round++) {
        for (int i = 0; i < N; i++) {
            random = random * 1664525u + 1013904223u;
            there[i] = (random >> 16 & 3) != 0 ? there[i] : !there[i];
        }
        for (int again = 0; again < 2; again++) {
            begin(fixture, NS_PER_S);
            for (int i = 0; i < N; i++) {
                struct socket_info info = tcp((uint64_t)i * 4096 + 1, TCP_STATE_TIME_WAIT, (uint16_t)(i + 1), 9);
                info.uid = (uint32_t)i;
                if (there[i])
                    model_see(&fixture->model, &info);
            }
            model_end(&fixture->model);
        }
        size_t n = 0;
        for (int i = 0; i < N; i++) {
            const struct row *row = model_find(&fixture->model, (uint64_t)i * 4096 + 1);
            assert_int_equal(row != NULL, there[i]);
            if (row)
                assert_int_equal(row->uid, i);
            n += there[i];
        }
        assert_int_equal(fixture->model.n_rows, n);
        assert_int_equal(fixture->model.census.n_time_wait, n);
    }
}

static void twice_in_one_dump(void **state)
{
    struct fixture *fixture = *state;
    struct socket_info twice[] = {tcp(7, TCP_STATE_ESTABLISHED, 1, 2), tcp(7, TCP_STATE_ESTABLISHED, 1, 2)};

    look(fixture, 0, twice, 2);
    assert_int_equal(fixture->model.n_rows, 1);
    assert_int_equal(fixture->told.n, 1);
}

static void without_a_cookie(void **state)
{
    struct fixture *fixture = *state;
    struct socket_info two[] = {tcp(0, TCP_STATE_TIME_WAIT, 1, 2), tcp(0, TCP_STATE_TIME_WAIT, 1, 3)};

    look(fixture, 0, two, 2);
    look(fixture, NS_PER_S, two, 2);
    assert_int_equal(fixture->model.n_rows, 2);
    assert_int_equal(fixture->told.n, 2);
}

static void unix_names(void **state)
{
    struct fixture *fixture = *state;
    struct socket_info info = {.cookie = 5, .family = AF_UNIX, .type = SOCK_STREAM, .state = TCP_STATE_LISTEN};

    memcpy(info.unix_name, "\0abc", 4);
    info.n_unix_name = 4;
    look(fixture, 0, &info, 1);
    assert_int_equal(fixture->model.rows[0].n_unix_name, 4);
    assert_memory_equal(fixture->model.rows[0].unix_name, "\0abc", 4);
    memcpy(info.unix_name, "/run/longer", 11);
    info.n_unix_name = 11;
    look(fixture, NS_PER_S, &info, 1);
    assert_memory_equal(fixture->model.rows[0].unix_name, "/run/longer", 11);
    info.n_unix_name = 0;
    look(fixture, NS_PER_S, &info, 1);
    assert_int_equal(fixture->model.rows[0].n_unix_name, 0);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(appears_changes_goes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(one_look_without_it_proves_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(missed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(missed_in_time_wait, set_up, tear_down),
        cmocka_unit_test_setup_teardown(time_wait_alone, set_up, tear_down),
        cmocka_unit_test_setup_teardown(dead_long_after, set_up, tear_down),
        cmocka_unit_test_setup_teardown(nameless_deaths, set_up, tear_down),
        cmocka_unit_test_setup_teardown(queues_and_windows, set_up, tear_down),
        cmocka_unit_test_setup_teardown(listeners, set_up, tear_down),
        cmocka_unit_test_setup_teardown(rates, set_up, tear_down),
        cmocka_unit_test(payload),
        cmocka_unit_test_setup_teardown(many, set_up, tear_down),
        cmocka_unit_test_setup_teardown(twice_in_one_dump, set_up, tear_down),
        cmocka_unit_test_setup_teardown(without_a_cookie, set_up, tear_down),
        cmocka_unit_test_setup_teardown(unix_names, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
