/* SPDX-License-Identifier: MIT */
/* What the kernel says of connections of this machine, looked at again and again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "trace/kernel.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static struct {
    struct kernel_source *source;
    unsigned n_values[8], n_states[8]; /* by connection */
    struct event_state last_state;
    struct event_values last_values[N_ENDS];
} scene;

static void on_event(const struct event *event, void *user)
{
    assert_ptr_equal(user, &scene);
    assert_true(event->conn < 8 && event->source == EVENT_KERNEL);
    if (event->kind == EVENT_KIND_VALUES) {
        scene.n_values[event->conn]++;
        scene.last_values[event->values.end] = event->values;
    } else {
        assert_int_equal(event->kind, EVENT_KIND_STATE);
        assert_true(event->state.polled);
        scene.n_states[event->conn]++;
        scene.last_state = event->state;
    }
}

static int begin(void **state)
{
    memset(&scene, 0, sizeof scene);
    scene.source = kernel_source_new(on_event, &scene);
    return scene.source ? 0 : -1;
}

static int end(void **state)
{
    kernel_source_free(scene.source);
    return 0;
}

static struct sonde_address v4(uint16_t port)
{
    return (struct sonde_address){.family = AF_INET, .port = port, .u.ip = {127, 0, 0, 1}};
}

/* The same addresses and ports again are another connection, and the earlier one is over: only one is looked at. */
static void a_tuple_is_of_one_connection(void **state)
{
    const struct sonde_address tuple[N_ENDS] = {v4(1), v4(2)}, turned[N_ENDS] = {v4(2), v4(1)};
    const struct sonde_address other[N_ENDS] = {v4(1), v4(3)};
    assert_true(kernel_watch(scene.source, 1, tuple, true));
    assert_true(kernel_watch(scene.source, 1, tuple, true));
    assert_int_equal(kernel_n_watched(scene.source), 1);
    assert_true(kernel_watch(scene.source, 2, tuple, true));
    assert_true(kernel_watch(scene.source, 3, turned, true));
    assert_int_equal(kernel_n_watched(scene.source), 1);
    assert_true(kernel_watch(scene.source, 4, other, true));
    assert_int_equal(kernel_n_watched(scene.source), 2);
}

static void no_more_than_it_may(void **state)
{
    for (unsigned i = 0; i < KERNEL_WATCHED_MAX; i++) {
        const struct sonde_address tuple[N_ENDS] = {v4((uint16_t)(1 + i)), v4(7)};
        assert_true(kernel_watch(scene.source, 1 + i, tuple, true));
    }
    const struct sonde_address more[N_ENDS] = {v4(1000), v4(7)}, again[N_ENDS] = {v4(1), v4(7)};
    assert_false(kernel_watch(scene.source, 1000, more, true));
    assert_true(kernel_watch(scene.source, 1001, again, true));
    assert_int_equal(kernel_n_watched(scene.source), KERNEL_WATCHED_MAX);
}

static struct sonde_address name_of(int fd)
{
    struct sockaddr_in in;
    socklen_t n = sizeof in;
    assert_int_equal(getsockname(fd, (struct sockaddr *)&in, &n), 0);
    return v4(ntohs(in.sin_port));
}

struct pair {
    int listener, client, server;
    struct sonde_address tuple[N_ENDS];
};

static struct pair make_pair(void)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t n = sizeof in;
    struct pair pair = {.listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0),
                        .client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    assert_int_equal(bind(pair.listener, (struct sockaddr *)&in, sizeof in), 0);
    assert_int_equal(listen(pair.listener, 1), 0);
    assert_int_equal(getsockname(pair.listener, (struct sockaddr *)&in, &n), 0);
    assert_int_equal(connect(pair.client, (struct sockaddr *)&in, sizeof in), 0);
    pair.server = accept4(pair.listener, NULL, NULL, SOCK_CLOEXEC);
    assert_true(pair.server >= 0);
    pair.tuple[END_A] = name_of(pair.client);
    pair.tuple[END_B] = name_of(pair.listener);
    return pair;
}

/* Both ends' values; where no segment tells it, their states; and their end, after which nobody looks any more. */
static void both_ends_of_a_connection(void **state)
{
    struct pair pair = make_pair();
    const struct linger reset = {.l_onoff = 1};
    assert_int_equal(send(pair.client, "hello", 5, 0), 5);
    kernel_watch(scene.source, 5, pair.tuple, false);
    kernel_look(scene.source, 1000);
    assert_int_equal(scene.n_values[5], 2);
    assert_int_equal(scene.n_states[5], 2);
    assert_int_equal(scene.last_state.before, TCP_STATE_UNKNOWN);
    assert_int_equal(scene.last_state.after, TCP_STATE_ESTABLISHED);
    assert_int_equal(scene.last_values[END_B].value[VALUE_RECEIVE_QUEUE], 5);
    assert_true(scene.last_values[END_A].value[VALUE_CWND] > 0);
    kernel_look(scene.source, 2000);
    assert_int_equal(scene.n_states[5], 2); /* nothing has changed */
    setsockopt(pair.client, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    close(pair.client);
    close(pair.server);
    close(pair.listener);
    kernel_look(scene.source, 3000);
    assert_int_equal(scene.n_states[5], 4);
    assert_int_equal(scene.last_state.after, TCP_STATE_CLOSED);
    assert_int_equal(kernel_n_watched(scene.source), 0);
}

/* Of an earlier connection of the same ports nothing is told any more. */
static void the_later_one_has_the_values(void **state)
{
    struct pair pair = make_pair();
    kernel_watch(scene.source, 1, pair.tuple, true);
    kernel_watch(scene.source, 2, pair.tuple, true);
    kernel_look(scene.source, 1000);
    assert_int_equal(scene.n_values[1], 0);
    assert_int_equal(scene.n_values[2], 2);
    assert_int_equal(scene.n_states[2], 0); /* the segments say them */
    close(pair.client);
    close(pair.server);
    close(pair.listener);
}

/* A port that listens answers for any connection to it: that is not the connection's end. */
static void a_listener_is_no_end(void **state)
{
    struct pair pair = make_pair();
    const struct sonde_address stranger[N_ENDS] = {v4(1), pair.tuple[END_B]};
    kernel_watch(scene.source, 3, stranger, false);
    for (int i = 0; i < 100 && kernel_n_watched(scene.source) > 0; i++)
        kernel_look(scene.source, 1000 * i);
    assert_int_equal(scene.n_values[3] + scene.n_states[3], 0);
    assert_int_equal(kernel_n_watched(scene.source), 0); /* given up */
    close(pair.client);
    close(pair.server);
    close(pair.listener);
}

/* ---- what is worth a mark */

static uint32_t changed(struct event_values *told, enum event_value which, int64_t value)
{
    struct event_values values = {.present = 1u << which | 1u << VALUE_RTT};
    values.value[which] = value;
    if (which != VALUE_RTT)
        values.value[VALUE_RTT] = 20;
    kernel_changes(&values, told);
    return values.changed & 1u << which;
}

static void what_is_worth_a_mark(void **state)
{
    struct event_values told = {0};
    assert_false(changed(&told, VALUE_RTT, 0)); /* nothing is known yet */
    assert_true(changed(&told, VALUE_RTT, 100));
    assert_false(changed(&told, VALUE_RTT, 199));
    assert_true(changed(&told, VALUE_RTT, 200));
    assert_false(changed(&told, VALUE_RTT, 101));
    assert_true(changed(&told, VALUE_RTT, 100));
    assert_false(changed(&told, VALUE_SEND_QUEUE, 0));
    assert_true(changed(&told, VALUE_SEND_QUEUE, 1));
    assert_false(changed(&told, VALUE_SEND_QUEUE, 1));
    assert_true(changed(&told, VALUE_SEND_QUEUE, 0));
    assert_true(changed(&told, VALUE_RTO, 200000));
    assert_false(changed(&told, VALUE_RTO, 219999));
    assert_true(changed(&told, VALUE_RTO, 400000));
    assert_false(changed(&told, VALUE_BYTES_ACKED, 1000000));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_tuple_is_of_one_connection, begin, end),
        cmocka_unit_test_setup_teardown(no_more_than_it_may, begin, end),
        cmocka_unit_test_setup_teardown(both_ends_of_a_connection, begin, end),
        cmocka_unit_test_setup_teardown(the_later_one_has_the_values, begin, end),
        cmocka_unit_test_setup_teardown(a_listener_is_no_end, begin, end),
        cmocka_unit_test(what_is_worth_a_mark),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
