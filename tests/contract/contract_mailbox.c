/* SPDX-License-Identifier: MIT */
/* The mailbox of a loop: how much it holds, in which order, and from which threads. */
#include "contract.h"
#include "loop_calls.h"

#include <errno.h>
#include <pthread.h>
#include <unistd.h>

static void mailbox_is_bounded(struct contract *c)
{
    struct script script = {0};
    struct sonde_loop *loop;
    unsigned n = 0;

    assert_int_equal(contract_create_loop(c, &script, 4, &loop), 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(CALL(sonde_loop_post(loop, count, &n)), 0);
    assert_int_equal(CALL(sonde_loop_post(loop, stop_loop, loop)), 0);
    assert_int_equal(CALL(sonde_loop_post(loop, count, &n)), -ENOBUFS);
    assert_int_equal(n, 0);
    /* Messages do not keep it running. */
    assert_int_equal(sonde_loop_run(loop), 0);
    sonde_loop_hold(loop, +1);
    assert_int_equal(CALL(sonde_loop_post(loop, count, &n)), -ENOBUFS);
    assert_int_equal(sonde_loop_run(loop), 0);
    assert_int_equal(n, 3);
    sonde_loop_hold(loop, -1);
    /* What has not run never does. */
    assert_int_equal(CALL(sonde_loop_post(loop, count, &n)), 0);
    assert_int_equal(sonde_loop_destroy(loop), 0);
    assert_int_equal(n, 3);
}

static void default_mailbox(struct contract *c)
{
    unsigned n = 0, n_posted = 0;

    while (CALL(sonde_loop_post(c->loop, count, &n)) == 0)
        n_posted++;
    assert_int_equal(n_posted, 256);
    sonde_loop_hold(c->loop, +1);
    until(c, n == n_posted);
    sonde_loop_hold(c->loop, -1);
}

static void post_again(void *user)
{
    struct contract *c = user;

    assert_int_equal(CALL(sonde_loop_post(c->loop, post_again, c)), 0);
}

static void message_does_not_hold_the_loop(struct contract *c)
{
    struct sonde_timer timer;
    unsigned n = 0;

    assert_int_equal(CALL(sonde_loop_post(c->loop, post_again, c)), 0);
    sonde_timer_init(&timer, c->loop, count_and_stop, &n);
    DO(sonde_timer_start_in(&timer, 2 * MILLISECOND));
    contract_run(c);
    assert_int_equal(n, 1);
}

enum { N_THREADS = 4, N_MESSAGES = 3000 };

struct poster {
    struct sonde_loop *loop;
    pthread_t thread;
    unsigned sent, got, full;
    unsigned *n_left;
};

static void receive(void *user)
{
    struct poster *poster = user;

    poster->got++;
    if (--*poster->n_left == 0)
        sonde_loop_hold(poster->loop, -1);
}

static void *post_many(void *user)
{
    struct poster *poster = user;

    while (poster->sent < N_MESSAGES) {
        if (sonde_loop_post(poster->loop, receive, poster) == 0)
            poster->sent++;
        else if (poster->full++ % 64 == 0)
            usleep(50);
    }
    return NULL;
}

static void post_from_threads(struct contract *c)
{
    struct poster posters[N_THREADS] = {{0}};
    unsigned n_left = N_THREADS * N_MESSAGES;

    sonde_loop_hold(c->loop, +1);
    for (unsigned i = 0; i < N_THREADS; i++) {
        posters[i] = (struct poster){.loop = c->loop, .n_left = &n_left};
        assert_int_equal(pthread_create(&posters[i].thread, NULL, post_many, &posters[i]), 0);
    }
    contract_run(c); /* asleep between the messages: a lost wake-up would hang */
    for (unsigned i = 0; i < N_THREADS; i++) {
        pthread_join(posters[i].thread, NULL);
        assert_int_equal(posters[i].got, N_MESSAGES);
    }
}

struct sequence {
    unsigned next;
    struct numbered {
        struct sequence *sequence;
        unsigned number;
    } messages[100];
};

static void in_turn(void *user)
{
    struct numbered *message = user;

    assert_int_equal(message->sequence->next++, message->number);
}

static void messages_keep_their_order(struct contract *c)
{
    struct sequence sequence = {0};

    sonde_loop_hold(c->loop, +1);
    for (unsigned i = 0; i < 100; i++) {
        sequence.messages[i] = (struct numbered){&sequence, i};
        assert_int_equal(CALL(sonde_loop_post(c->loop, in_turn, &sequence.messages[i])), 0);
        if (i % 30 == 0)
            contract_turn(c);
    }
    until(c, sequence.next == 100);
    sonde_loop_hold(c->loop, -1);
}

/* Stopped in the middle of its mail, the loop finds the rest the next time. */
static void stop_between_messages(struct contract *c)
{
    unsigned n = 0;

    assert_int_equal(CALL(sonde_loop_post(c->loop, stop_loop, c->loop)), 0);
    assert_int_equal(CALL(sonde_loop_post(c->loop, count, &n)), 0);
    sonde_loop_hold(c->loop, +1);
    contract_run(c);
    assert_int_equal(n, 0);
    until(c, n == 1);
    sonde_loop_hold(c->loop, -1);
}

int main(int argc, char **argv)
{
    static const struct contract_test tests[] = {
        CONTRACT_TEST(mailbox_is_bounded),
        CONTRACT_TEST(default_mailbox),
        CONTRACT_TEST(message_does_not_hold_the_loop),
        CONTRACT_TEST(post_from_threads),
        CONTRACT_TEST(messages_keep_their_order),
        CONTRACT_TEST(stop_between_messages),
    };
    return contract_main(argc, argv, tests, sizeof tests / sizeof *tests);
}
